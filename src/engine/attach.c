/*
 * Attachments: what a person or a program says of who uses a volume, as rows that last until they are removed. One at a time, unless the
 * type has the extra spec multiattach "<is> True".
 */
#include "engine/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct attach {
	struct request q;
	struct use use;
	unsigned fields;
	struct backend *b; /* detach: whose monitor is to evict the watcher; of the last apply() */
	bool evicted;
	int64_t measure; /* detach: nobody is left */
};

static struct attach *attach_new(struct engine *e, struct change_id id, const struct caller *who,
	int (*apply)(struct request *, struct tx *, struct err *), engine_done *done, void *arg)
{
	struct attach *a = request_new(e, sizeof *a, id, who, done, arg);

	if (a)
		a->q.apply = apply;
	return a;
}

/* --- attach --- */

static int may_attach(struct tx *tx, const struct volume *v, struct err *err)
{
	char who[USE_WHO];
	struct use u;

	if (v->status == VOL_AVAILABLE || (v->status == VOL_IN_USE && use_multiattach(tx, v)))
		return 0;
	if (v->status == VOL_IN_USE && tx_use_holder(tx, v->id, true, &u) == 0)
		return err_set(err, -EBUSY, "volume '%s' is %s", v->name, use_who(&u, who));
	return err_set(err, -EBUSY, "volume '%s' is %s", v->name, vol_status_name(v->status));
}

static int attach_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct attach *a = (struct attach *)q;
	struct volume v;
	struct use had;
	int r = volume_live(tx, q->volume, &v, err);

	if (r == 0 && tx_use_by_name(tx, v.id, a->use.name, &had) == 0)
		return err_set(
			err, -EEXIST, "volume '%s' has an attachment '%s'", v.name, a->use.name);
	r = r < 0 ? r : may_attach(tx, &v, err);
	if (r < 0)
		return r;
	a->use.writes = !v.readonly;
	r = tx_use_add(tx, &a->use);
	q->row = a->use.id;
	return r < 0 ? r : use_settle(q, tx, &v, &a->use, true);
}

/* The rules of a volume's name; what has a colon is ours to make. */
static int name_check(const char *name, struct err *err)
{
	if (strchr(name, ':'))
		return err_set(err, -EINVAL, "the name of an attachment has no ':'");
	return spec_name_check(name, name, err);
}

void engine_attach(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	const char *name, engine_done *done, void *arg)
{
	struct attach *a = attach_new(e, id, who, attach_apply, done, arg);
	struct err err = { 0 };
	int r;

	if (!a)
		return;
	request_counts(&a->q, OP_ATTACH);
	r = name_check(name, &err);
	a->q.volume = volume;
	a->use = (struct use){
		.volume = volume, .kind = USE_ATTACHED, .uid = who->uid, .gid = who->gid
	};
	(void)snprintf(a->use.name, sizeof a->use.name, "%s", name);
	memcpy(a->use.host, e->host, sizeof e->host);
	request_send(&a->q, r, &err);
}

/* --- detach --- */

static int may_detach(
	struct attach *a, struct tx *tx, const struct use *u, struct volume *v, struct err *err)
{
	char who[USE_WHO];
	int r = tx_volume(tx, u->volume, v);

	if (r < 0 || u->kind == USE_ATTACHED || a->evicted)
		return r;
	if (u->kind == USE_OPEN)
		return err_set(
			err, -EBUSY, "volume '%s' is %s: close it", v->name, use_who(u, who));
	if (!a->q.admin)
		return err_set(err, -EACCES, "only an administrator evicts a watcher");
	a->b = backend_by_name(a->q.e, v->backend);
	return err_set(err, -EBUSY, "backend '%s' cannot evict anybody now", v->backend);
}

static int detach_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct attach *a = (struct attach *)q;
	enum vol_status was;
	struct volume v;
	struct use u;
	int r = tx_use(tx, a->use.id, &u);

	a->b = NULL;
	a->measure = 0;
	if (r == -ENOENT && a->evicted)
		return 0; /* it was seen to be gone meanwhile */
	if (r == -ENOENT)
		return err_set(err, r, "no such attachment");
	q->volume = u.volume;
	r = r < 0 ? r : may_detach(a, tx, &u, &v, err);
	r = r < 0 ? r : tx_use_remove(tx, u.id);
	if (r < 0)
		return r;
	was = v.status;
	r = use_settle(q, tx, &v, &u, false);
	if (was == VOL_IN_USE && v.status == VOL_AVAILABLE) {
		a->b = backend_by_name(q->e, v.backend);
		a->measure = v.id;
	}
	return r;
}

/* A watcher is evicted by the monitor, which may wait for the storage; afterwards its row goes. */
static bool detach_divert(struct request *q, int code)
{
	struct attach *a = (struct attach *)q;

	if (code != -EBUSY || !a->b || a->evicted)
		return false;
	a->evicted = true;
	return measure_evict(a->b, q->volume, q);
}

static void detach_ended(struct request *q, int code)
{
	struct attach *a = (struct attach *)q;

	if (code == 0 && a->measure && a->b)
		measure_now(a->b, a->measure);
}

void engine_detach(struct engine *e, struct change_id id, const struct caller *who, int64_t use,
	engine_done *done, void *arg)
{
	struct attach *a = attach_new(e, id, who, detach_apply, done, arg);

	if (!a)
		return;
	request_counts(&a->q, OP_DETACH);
	a->use.id = a->q.row = use;
	a->q.divert = detach_divert;
	a->q.ended = detach_ended;
	request_submit(&a->q);
}

/* --- its fields --- */

static int set_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct attach *a = (struct attach *)q;
	struct volume v;
	struct use u;
	int r = tx_use(tx, a->use.id, &u);

	if (r == -ENOENT)
		return err_set(err, r, "no such attachment");
	if (r == 0 && u.kind != USE_ATTACHED)
		return err_set(err, -EPERM, "that is what it is, and nobody's to say");
	if (r == 0 && u.uid != q->uid && !q->admin)
		return err_set(err, -EACCES, "only who attached it (uid %u) changes that",
			(unsigned)u.uid);
	r = r < 0 ? r : volume_live(tx, u.volume, &v, err);
	if (r < 0)
		return r;
	if (a->fields & USE_SET_MODE && a->use.writes && v.readonly)
		return err_set(
			err, -EROFS, "volume '%s' is read-only: see its file 'readonly'", v.name);
	if (a->fields & USE_SET_HOST)
		memcpy(u.host, a->use.host, sizeof u.host);
	if (a->fields & USE_SET_MODE)
		u.writes = a->use.writes;
	note(q->e, (struct change_note){ .kind = CHANGE_USES, .volume = v.id, .row = u.id });
	r = tx_use_set(tx, &u);
	return r < 0 ? r
		     : request_event(q, tx, v.id, "volume.update.end",
			       "attachment %s, host %s, for %s", u.name, u.host,
			       u.writes ? "writing" : "reading");
}

static int host_check(const char *host, struct err *err)
{
	if (!*host || strpbrk(host, " \t\n"))
		return err_set(err, -EINVAL, "a host is one word");
	return spec_value_check(host, strlen(host), err);
}

void engine_use_set(struct engine *e, struct change_id id, const struct caller *who, int64_t use,
	unsigned fields, const struct use *values, engine_done *done, void *arg)
{
	struct attach *a = attach_new(e, id, who, set_apply, done, arg);
	struct err err = { 0 };

	if (!a)
		return;
	a->use = *values;
	a->use.id = a->q.row = use;
	a->fields = fields;
	request_send(&a->q, fields & USE_SET_HOST ? host_check(values->host, &err) : 0, &err);
}
