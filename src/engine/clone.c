/*
 * How a volume that is made from another one, or from a snapshot, comes about:
 *
 *   on the source's backend   a clone, which may go on needing its source's image (volume.parent); or flattened, which ends that
 *   on another one            a copy of every byte: of the snapshot, or of a temporary one of the volume
 *
 * The source stays meanwhile: the creation's job names it. A temporary snapshot bears the new volume's UUID, so whoever undoes the
 * creation finds it.
 */
#include "engine/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- in the transaction --- */

/* The volume whose image this one's needs; of a purged one the image that is held knows. */
static int parent_of(struct tx *tx, int64_t volume, int64_t *ret)
{
	struct job_row held;
	struct volume v;
	int r = tx_volume(tx, volume, &v);

	*ret = 0;
	if (r == 0) {
		*ret = v.parent;
		return 0;
	}
	r = r == -ENOENT ? tx_job_held(tx, volume, &held) : r;
	if (r == 0)
		*ret = held.parent;
	return r == -ENOENT ? 0 : r;
}

/* Has it so many ancestors? */
static int is_deep(struct tx *tx, const struct volume *v, long depth, bool *ret)
{
	int64_t at = v->parent;
	int r = 0;

	while (r == 0 && at && depth > 0) {
		depth--;
		r = parent_of(tx, at, &at);
	}
	*ret = depth <= 0;
	return r;
}

int clone_plan(struct tx *tx, const struct volume *vol, bool snapshot, const struct backend *b,
	const struct type_rules *rules, struct clone_plan *ret)
{
	bool here = !strcmp(vol->backend, b->conf->name), deep = false;
	int r = 0;

	*ret = (struct clone_plan){ .class = CLASS_COPY };
	/* A driver whose clones need nothing of their source may have to copy all of it: nobody's creation is to wait for that. */
	if (!here || !b->driver->flatten)
		return 0;
	r = is_deep(tx, vol, b->e->conf->max_clone_depth, &deep);
	if (deep || b->conf->flatten || type_flattens(rules))
		ret->flatten = true;
	else
		*ret = (struct clone_plan){ .class = snapshot ? CLASS_CREATE : CLASS_SNAP,
			.parent = vol->id };
	return r;
}

int clone_from(struct engine *e, const struct volume *vol, struct backend **ret, struct err *err)
{
	struct backend *b = backend_by_name(e, vol->backend);

	if (!b)
		return err_set(err, -ENOSPC,
			"backend '%s', which has its source '%s', is not configured", vol->backend,
			vol->name);
	*ret = b;
	LOCK_SCOPE(&b->lock);
	if (b->state == BACKEND_UP)
		return 0;
	return err_set(err, -ENOSPC, "backend '%s', which has its source '%s', is %.200s",
		vol->backend, vol->name, b->reason);
}

/* --- in the worker --- */

static bool elsewhere(const struct backend *b, const struct run *r)
{
	return r->row.source && strcmp(r->source.backend, b->conf->name) != 0;
}

/* Of a volume as it is now, and not here: what is copied must hold still. */
static bool wants_snapshot(const struct backend *b, const struct run *r)
{
	return elsewhere(b, r) && !r->row.snapshot;
}

static struct backend *source_backend(const struct backend *b, const struct run *r)
{
	return backend_by_name(b->e, r->source.backend);
}

static struct driver_snap temporary(const struct run *r)
{
	struct driver_snap s = { .temporary = true };

	memcpy(s.uuid, r->row.uuid, sizeof s.uuid);
	return s;
}

static void source_image(const struct run *r, struct driver_image *ret)
{
	image_of(&r->source, ret);
	if (r->snap.id)
		ret->size = r->snap.size;
}

/* Down: it fails, for the source may stay away. Not ready: it will be in a moment. */
static int check_source(struct backend *b, struct run *r)
{
	struct backend *s = source_backend(b, r);
	bool gone = !r->source.id || (r->row.snapshot && !r->snap.id);

	if (gone)
		return err_set(&r->err, -ENOENT, "its source is gone");
	if (!s)
		return err_set(&r->err, -EIO,
			"backend '%s', which has its source, is not configured", r->source.backend);
	LOCK_SCOPE(&s->lock);
	if (s != b && s->state == BACKEND_DOWN && s->looked)
		return err_set(&r->err, -EIO, "backend '%s', which has its source, is %.500s",
			s->conf->name, s->reason);
	r->again = !s->ready;
	return s->ready ? 0 : -EAGAIN;
}

void clone_check(struct backend *b, struct run *const *run, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (run[i]->row.source)
			run[i]->code = check_source(b, run[i]);
}

/* What was acknowledged to writers here is in the storage when this returns 0; source_go_on() must follow. */
static int quiet(struct backend *s, struct run *r, struct err *err)
{
	struct engine *e = s->e;
	int code = e->quiet ? e->quiet(e->quiet_arg, s->be, r->source.uuid, s->driver->quiet) : 0;

	r->again |= code == -EAGAIN; /* the server ends: the next one does it */
	return code < 0 ? err_set(err, code, "what was written to its source does not reach it: %s",
				  strerror(-code))
			: 0;
}

static void go_on(struct backend *s, const char *uuid)
{
	if (s->e->go_on)
		s->e->go_on(s->e->quiet_arg, s->be, uuid);
}

static int take_snapshot(struct backend *b, struct run *r)
{
	struct backend *s = source_backend(b, r);
	struct driver_snap snap = temporary(r);
	struct driver_image image;
	int code;

	if (!s->driver->snap_create)
		return err_set(&r->err, -EOPNOTSUPP,
			"backend '%s', which has its source, knows no snapshots", s->conf->name);
	source_image(r, &image);
	code = quiet(s, r, &r->err);
	if (code < 0)
		return code;
	code = s->driver->snap_create(s->be, &image, &snap, run_progress(r, "snapshot"), &r->err);
	code = driver_said(s, code, &r->err);
	go_on(s, image.uuid);
	return code;
}

void clone_snapshot(struct backend *b, struct run *const *run, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (wants_snapshot(b, run[i]))
			run[i]->code = take_snapshot(b, run[i]);
}

/* Another attempt at the same volume is under way, which uses the same snapshot and removes it. */
static bool has_successor(struct backend *b, const struct run *r)
{
	struct volume v;

	LOCK_SCOPE(&b->view_lock);
	return view_volume(b->view, r->row.volume, &v) == 0 && v.status == VOL_CREATING &&
	       strcmp(v.image_id, r->row.image_id) != 0;
}

int clone_let_go(struct backend *b, struct run *r, struct err *err)
{
	struct backend *s = source_backend(b, r);
	struct driver_snap snap = temporary(r);
	struct driver_image image;
	bool ready;

	/* What is gone took it along; so does what is not configured, one day. */
	if (!r->row.source || r->row.snapshot || !r->source.id || !s || !s->driver->snap_remove)
		return 0;
	if (has_successor(b, r))
		return 0;
	lock_take(&s->lock);
	ready = s->ready;
	lock_drop(&s->lock);
	if (!ready)
		return err_set(err, -EAGAIN, "backend '%s', which has its source, is not ready",
			s->conf->name);
	source_image(r, &image);
	return driver_said(s, s->driver->snap_remove(s->be, &image, &snap, err), err);
}

void clone_release(struct backend *b, struct run *const *run, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (wants_snapshot(b, run[i]))
			run[i]->code = clone_let_go(b, run[i], &run[i]->err);
}

bool clone_source(struct backend *b, const struct run *r, struct driver_source *ret)
{
	if (!r->row.source || elsewhere(b, r))
		return false;
	*ret = (struct driver_source){ 0 };
	source_image(r, &ret->image);
	memcpy(ret->snapshot, r->snap.uuid, sizeof ret->snapshot);
	return true;
}

int clone_create(struct backend *b, struct run *r, struct driver_create *each)
{
	bool now = each->source && !r->row.snapshot;
	int code = 0;

	/* What an earlier try has copied may not be what there is now. */
	if (elsewhere(b, r))
		code = b->driver->remove(b->be, &each->image, NULL, &each->err);
	if (code == 0 && now)
		code = quiet(b, r, &each->err);
	if (code < 0)
		return each->code = code;
	if (!b->driver->flatten && !elsewhere(b, r))
		each->progress = run_progress(r, "copy");
	b->driver->create(b->be, each, 1);
	if (now)
		go_on(b, r->source.uuid);
	return each->code;
}

/* --- the bytes --- */

struct going {
	struct backend *b, *source;
	struct run *r;
};

/* The source's backend does not answer any more: the volume is given up, though this thread has to wait for what it asked. */
static void give_up_source(const struct going *g)
{
	char why[REASON_LEN + 1];
	struct job *j = g->r->job;

	if (!backend_lasting_down(g->source, why))
		return;
	LOCK_SCOPE(&g->b->lock);
	if (!j->given_up)
		j->given_up = attempt_give_up(j, true, why);
}

static bool goes_on(void *arg)
{
	const struct going *g = arg;

	give_up_source(g);
	LOCK_SCOPE(&g->b->lock);
	return !g->b->stopping && !g->r->job->given_up;
}

static int copy(struct backend *b, struct run *r)
{
	struct backend *s = source_backend(b, r);
	struct driver_snap snap = temporary(r);
	struct copy_end from = { .driver = s->driver, .be = s->be, .snap = &snap };
	struct copy_end to = { .driver = b->driver, .be = b->be };
	struct going g = { b, s, r };
	struct copy_watch watch = { run_progress(r, "copy"), goes_on, &g };
	int code;

	if (r->snap.id) {
		snap = (struct driver_snap){ .temporary = false };
		memcpy(snap.uuid, r->snap.uuid, sizeof snap.uuid);
	}
	source_image(r, &from.image);
	run_image(r, &to.image);
	code = copy_run(&from, &to, &watch, &r->err);
	if (code == -ECANCELED) {
		LOCK_SCOPE(&b->lock);
		r->again = !r->job->given_up; /* the engine stops: the next one begins anew */
	}
	return code;
}

static int flatten(struct backend *b, struct run *r)
{
	struct driver_image image;

	run_image(r, &image);
	return b->driver->flatten(b->be, &image, run_progress(r, "flatten"), &r->err);
}

void clone_fill(struct backend *b, struct run *const *run, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (elsewhere(b, run[i]))
			run[i]->code = copy(b, run[i]);
		else if (run[i]->row.flatten)
			run[i]->code = flatten(b, run[i]);
	}
}
