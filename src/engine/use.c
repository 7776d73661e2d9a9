/*
 * Who uses a volume, and what follows for its status.
 *
 *   available ── first attachment, or first open for writing ──▶ in-use ── none left ──▶ available, and its space is measured
 *
 * Every use is a row. Those of open descriptions are lazy: a power cut ends the descriptions too, and after any other end of this
 * server the next one removes the rows of those that are gone (engine_data_handles).
 *
 * Another status, such as `extending`, is left alone: whoever ends it asks use_status() which of the two comes next.
 */
#include "engine/internal.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What may have been written must show as a block: tar and others take a file without any for one hole. */
enum { USED_MIN = 512 };

const char *use_who(const struct use *u, char text[USE_WHO])
{
	switch (u->kind) {
	case USE_ATTACHED:
		(void)snprintf(text, USE_WHO, "attached as '%s' to host %s by uid %u", u->name,
			u->host, (unsigned)u->uid);
		break;
	case USE_OPEN:
		(void)snprintf(text, USE_WHO, "open for %s by uid %u, pid %d",
			u->writes ? "writing" : "reading", (unsigned)u->uid, (int)u->pid);
		break;
	case USE_WATCHER:
		(void)snprintf(text, USE_WHO, "open by a client at %s", u->host);
		break;
	}
	return text;
}

int use_status(struct tx *tx, int64_t volume, enum vol_status *ret)
{
	struct use u;
	int r = tx_use_holder(tx, volume, true, &u);

	if (r < 0 && r != -ENOENT)
		return r;
	*ret = r == 0 ? VOL_IN_USE : VOL_AVAILABLE;
	return 0;
}

bool use_multiattach(struct tx *tx, const struct volume *v)
{
	struct type_entry e;

	return v->type_id &&
	       tx_type_entry(tx, v->type_id, TYPE_EXTRA_SPECS, "multiattach", &e) == 0 &&
	       !strcmp(e.value, "<is> True");
}

void image_of(const struct volume *v, struct driver_image *ret)
{
	*ret = (struct driver_image){ .size = v->size };
	memcpy(ret->uuid, v->uuid, sizeof ret->uuid);
	memcpy(ret->image_id, v->image_id, sizeof ret->image_id);
}

static int set_status(struct request *q, struct tx *tx, struct volume *v, enum vol_status to)
{
	int r = tx_volume_status(tx, v->id, to, v->reason);

	v->status = to;
	note_volume(q->e, v->id, VOL_CHANGED_STATUS, to, v->trashed);
	return r;
}

/* Opens are told where they change the status; attachments, which somebody named, and watchers, which somebody evicted, each. */
int use_settle(struct request *q, struct tx *tx, struct volume *v, const struct use *u, bool begins)
{
	enum vol_status to = v->status;
	char who[USE_WHO];
	bool turns;
	int r = 0;

	note(q->e, (struct change_note){ .kind = CHANGE_USES, .volume = v->id, .row = u->id });
	if (v->status == VOL_AVAILABLE || v->status == VOL_IN_USE)
		r = use_status(tx, v->id, &to);
	turns = to != v->status;
	if (r == 0 && turns)
		r = set_status(q, tx, v, to);
	if (r < 0 || (!turns && u->kind == USE_OPEN))
		return r;
	use_who(u, who);
	return begins ? request_event(q, tx, v->id, "volume.attach.end", "%s", who)
		      : request_event(q, tx, v->id, "volume.detach.end", "%swas %s",
				u->kind == USE_WATCHER ? "evicted: " : "", who);
}

/* --- open and closed --- */

struct open_use {
	struct request q;
	struct use use;
	bool measure; /* of the last apply(): nobody writes any more */
	char backend[NAME_LEN + 1];
};

static bool may_open(enum vol_status s, bool writes)
{
	switch (s) {
	case VOL_AVAILABLE:
	case VOL_IN_USE:
	case VOL_EXTENDING:
		return true;
	case VOL_ERROR_EXTENDING:
	case VOL_ERROR_BACKING_UP:
	case VOL_BACKING_UP:
	case VOL_UPLOADING:
	case VOL_MAINTENANCE:
	case VOL_RESERVED:
		return !writes;
	default:
		return false;
	}
}

/* An attachment to another host keeps writers away from this one. */
static int attached_elsewhere(
	struct engine *e, struct tx *tx, const struct volume *v, struct err *err)
{
	char who[USE_WHO];
	struct use u[4];
	int64_t after = 0;
	int got;

	if (use_multiattach(tx, v))
		return 0;
	while ((got = tx_uses(tx, v->id, after, u, 4)) > 0)
		for (int i = 0; i < got; i++) {
			after = u[i].id;
			if (u[i].kind == USE_ATTACHED && strcmp(u[i].host, e->host))
				return err_set(err, -EBUSY, "volume '%s' is %s", v->name,
					use_who(&u[i], who));
		}
	return got;
}

static int check_open(
	struct engine *e, struct tx *tx, const struct volume *v, bool writes, struct err *err)
{
	if (v->trashed)
		return err_set(err, -ENOENT, "volume '%s' is deleted", v->uuid);
	if (!may_open(v->status, writes))
		return err_set(
			err, -EBUSY, "volume '%s' is %s", v->name, vol_status_name(v->status));
	if (writes && v->readonly)
		return err_set(
			err, -EROFS, "volume '%s' is read-only: see its file 'readonly'", v->name);
	return writes ? attached_elsewhere(e, tx, v, err) : 0;
}

static int open_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct open_use *o = (struct open_use *)q;
	struct use had;
	struct volume v;
	int r;

	/* Asked again of another server, and done by the one before. */
	if (tx_use_open(tx, o->use.handle, &had) == 0)
		return 0;
	r = tx_volume(tx, q->volume, &v);
	if (r == -ENOENT)
		return err_set(err, r, "no such volume");
	r = r < 0 ? r : check_open(q->e, tx, &v, o->use.writes, err);
	r = r < 0 ? r : tx_use_add(tx, &o->use);
	if (r == 0 && o->use.writes && v.used == 0) {
		r = tx_volume_used(tx, v.id, USED_MIN);
		note_volume(q->e, v.id, VOL_CHANGED_USED, v.status, false);
	}
	return r < 0 ? r : use_settle(q, tx, &v, &o->use, true);
}

void engine_data_open(struct engine *e, struct change_id id, const struct caller *who,
	int64_t volume, uint64_t handle, bool writes, engine_done *done, void *arg)
{
	struct open_use *o;

	id.unique = 0; /* the handle's row is the memory of it */
	o = request_new(e, sizeof *o, id, NULL, done, arg);
	if (!o)
		return;
	request_asked_by(&o->q, who); /* whoever wants its bytes waits for no directory server */
	o->use = (struct use){ .volume = volume,
		.kind = USE_OPEN,
		.writes = writes,
		.uid = who->uid,
		.gid = who->gid,
		.pid = who->pid,
		.handle = handle };
	memcpy(o->use.host, e->host, sizeof e->host);
	o->q.volume = o->q.row = volume;
	o->q.apply = open_apply;
	o->q.change.lazy = true;
	request_submit(&o->q);
}

/* The row goes; the volume may be settled by it. */
static int close_row(struct open_use *o, struct tx *tx, const struct use *u)
{
	bool was_used;
	struct volume v;
	int r = tx_use_remove(tx, u->id);

	r = r < 0 ? r : tx_volume(tx, u->volume, &v);
	if (r < 0)
		return r;
	was_used = v.status == VOL_IN_USE;
	r = use_settle(&o->q, tx, &v, u, false);
	o->measure = was_used && v.status == VOL_AVAILABLE;
	memcpy(o->backend, v.backend, sizeof o->backend);
	return r;
}

static int closed_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct open_use *o = (struct open_use *)q;
	struct use u;
	int r = tx_use_open(tx, o->use.handle, &u);

	o->measure = false;
	return r == -ENOENT ? 0 : r < 0 ? r : close_row(o, tx, &u);
}

static void closed_ended(struct request *q, int code)
{
	struct open_use *o = (struct open_use *)q;
	struct backend *b = code == 0 && o->measure ? backend_by_name(q->e, o->backend) : NULL;

	if (b)
		measure_now(b, q->volume);
}

void engine_data_closed(
	struct engine *e, int64_t volume, uint64_t handle, engine_done *done, void *arg)
{
	struct open_use *o = request_new(e, sizeof *o, (struct change_id){ 0 }, NULL, done, arg);

	if (!o)
		return;
	o->use.handle = handle;
	o->q.volume = o->q.row = volume;
	o->q.apply = closed_apply;
	o->q.ended = closed_ended;
	o->q.must = true;
	o->q.change.lazy = true;
	request_submit(&o->q);
}

/* --- what an earlier server left --- */

struct handles {
	struct open_use o;
	const uint64_t *handles;
	size_t n;
};

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int handles_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct handles *h = (struct handles *)q;
	struct use u[8];
	int64_t after = 0;
	int got, r;

	while ((got = tx_opens(tx, after, u, 8)) > 0)
		for (int i = 0; i < got; i++) {
			after = u[i].id;
			if (h->n && bsearch(&u[i].handle, h->handles, h->n, sizeof *h->handles,
					    compare))
				continue;
			r = close_row(&h->o, tx, &u[i]);
			if (r < 0)
				return r;
		}
	return got;
}

static int remove_handles(struct engine *e, const uint64_t *handles, size_t n, struct err *err)
{
	struct handles *h = request_new(e, sizeof *h, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!h)
		return err_set(err, -ENOMEM, "out of memory");
	h->handles = handles;
	h->n = n;
	h->o.q.apply = handles_apply;
	return request_wait(&h->o.q, NULL, err);
}

/* Mostly nothing is to be written: on a full disk it fails only if it is committed together with what does need room. */
int engine_data_handles(struct engine *e, const uint64_t *handles, size_t n, struct err *err)
{
	int r = remove_handles(e, handles, n, err);

	for (int tries = 0; r == -ENOSPC && tries < 3; tries++)
		r = remove_handles(e, handles, n, err);
	return r;
}

/* --- the image --- */

int engine_image(
	struct engine *e, const struct volume *vol, struct engine_image *ret, struct err *err)
{
	struct backend *b = backend_by_name(e, vol->backend);

	if (!b)
		return err_set(err, -EIO, "backend '%s' is not configured", vol->backend);
	*ret = (struct engine_image){ .driver = b->driver, .be = b->be };
	image_of(vol, &ret->image);
	return 0;
}

static struct backend *backend_of(struct engine *e, const void *be)
{
	for (size_t i = 0; i < e->backend_count; i++)
		if (e->backend[i].be == be)
			return &e->backend[i];
	assert(!"one that engine_image() named");
	__builtin_unreachable();
}

bool engine_when_ready(struct engine *e, void *be, struct engine_ready *r)
{
	struct backend *b = backend_of(e, be);

	LOCK_SCOPE(&b->lock);
	if (b->ready)
		return true;
	r->next = b->when_ready;
	b->when_ready = r;
	return false;
}

void engine_on_remove(struct engine *e,
	int (*let_go)(void *arg, const void *be, const char *image_uuid), void *arg)
{
	e->let_go = let_go;
	e->let_go_arg = arg;
}

void engine_fenced(struct engine *e, void *be)
{
	struct err err = { .text = "told at its bytes" };

	(void)driver_said(backend_of(e, be), -ESHUTDOWN, &err);
}
