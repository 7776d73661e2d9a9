/*
 * The trash: what was deleted and may come back.
 *
 *   rmdir ─▶ trash_put ─▶ [ in the trash, its status unchanged, expires_us ] ── mv ─▶ [ restored: alive again ]
 *                 │            │ expired · rmdir there · its project's trash is too large · a backend needs the room (reclaim.c)
 *                 │            ▼
 *                 └──────▶ purge_begin (op_purge.c): from here on it does not come back
 *              trash_delay 0
 *
 * What has expired is begun in batches of a transaction each, one after the other: other changes come in between, and neither a start nor
 * an hour in which a hundred thousand expire holds anybody up. The ticker looks once a second when the next one is due.
 */
#include "engine/internal.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 64 /* purges that one transaction begins */ };

/* --- its limits --- */

/* Begins the purge of the oldest ones until it fits; what one transaction does not, the next deletion does. */
static int fit(struct request *q, struct tx *tx, int64_t project, const struct quota *limit)
{
	int64_t max = limit->max[QUOTA_TRASH_SIZE];
	struct trashed at = { 0 };
	char why[3 * NAME_LEN];
	struct volume v;
	uint64_t waiting;
	int r;

	if (max < 0)
		return 0;
	(void)snprintf(why, sizeof why, "the trash of %s%s%sproject %s is full",
		limit->type_id ? "type " : "", limit->type, limit->type_id ? " in " : "",
		limit->project);
	r = tx_trash_waiting(tx, project, limit->type_id, &waiting);
	for (int n = 0; r == 0 && waiting > (uint64_t)max && n < BATCH; n++) {
		r = tx_trash_of(tx, project, limit->type_id, &at);
		r = r < 0 ? r : tx_volume(tx, at.id, &v);
		r = r < 0 ? r : purge_begin(q, tx, &v, why);
		waiting -= at.size;
	}
	return r == -ENOENT ? 0 : r;
}

static int fit_both(struct request *q, struct tx *tx, int64_t project, const struct quotas *quotas)
{
	int r = fit(q, tx, project, &quotas->project);

	return r < 0 || !quotas->type.type_id ? r : fit(q, tx, project, &quotas->type);
}

int trash_fit(struct request *q, struct tx *tx, const char *project, int64_t type)
{
	struct quotas quotas;
	int64_t id;
	int r = tx_project(tx, project, &id);

	r = r < 0 ? r : quotas_read(&(struct reader){ NULL, tx }, project, type, &quotas);
	return r < 0 ? r : fit_both(q, tx, id, &quotas);
}

static bool is_larger(const struct quota *limit, uint64_t size)
{
	int64_t max = limit->max[QUOTA_TRASH_SIZE];

	return max >= 0 && size > (uint64_t)max;
}

/* One that is larger than all of the trash may be drives nobody else out. */
static int fit_all(struct request *q, struct tx *tx, const struct volume *v, int64_t project)
{
	struct quotas quotas;
	int r = quotas_read(&(struct reader){ NULL, tx }, v->project, v->type_id, &quotas);

	if (r < 0)
		return r;
	if (is_larger(&quotas.project, v->size) ||
		(quotas.type.type_id && is_larger(&quotas.type, v->size)))
		return purge_begin(q, tx, v, "it is larger than the trash may be");
	return fit_both(q, tx, project, &quotas);
}

/* --- into it --- */

int trash_put(struct request *q, struct tx *tx, const struct volume *v)
{
	long delay = q->e->conf->trash_delay;
	bool keep = delay > 0 && v->backend[0] && v->status != VOL_ERROR_MANAGING;
	int64_t expires = keep ? clock_wall_us() + delay * INT64_C(1000000) : 0, project;
	char size[TEXT_SIZE_MAX], what[NAME_LEN + TEXT_SIZE_MAX + 16], until[CLOCK_TEXT_MAX];
	int r = tx_volume_trash(tx, v->id, expires);

	r = r < 0 ? r : tx_project(tx, v->project, &project);
	if (r < 0)
		return r;
	note_quota(q->e, project);
	(void)snprintf(what, sizeof what, "name %s, size %s", v->name, text_of_size(v->size, size));
	if (!keep)
		return purge_begin(q, tx, v, what);
	note_gone(q, v, v->status, false);
	r = request_event(
		q, tx, v->id, "volume.trash", "%s, until %s", what, clock_text(expires, until));
	return r < 0 ? r : fit_all(q, tx, v, project);
}

/* --- when their time is over --- */

static int sweep_apply(struct request *q, struct tx *tx, struct err *err)
{
	int64_t id[BATCH];
	struct volume v;
	int n = tx_trash_expired(tx, clock_wall_us(), id, BATCH), r = n < 0 ? n : 0;

	for (int i = 0; i < n && r == 0; i++) {
		r = tx_volume(tx, id[i], &v);
		r = r < 0 ? r : purge_begin(q, tx, &v, "its time in the trash is over");
	}
	q->row = n;
	return r;
}

static void sweep(struct engine *e);

/* The writer's thread: what it submits before the engine stops is still carried out. */
static void swept(void *arg, const struct result *res)
{
	if (res->code == 0 && res->row == BATCH)
		sweep(arg);
	else
		atomic_store(&((struct engine *)arg)->sweeping, false);
}

static void sweep(struct engine *e)
{
	struct request *q;
	bool ticking;

	lock_take(&e->later_lock);
	ticking = e->ticking;
	lock_drop(&e->later_lock);
	q = ticking ? request_new(e, sizeof *q, (struct change_id){ 0 }, NULL, NULL, NULL) : NULL;
	if (!q) {
		atomic_store(&e->sweeping, false);
		return;
	}
	q->done = swept;
	q->arg = e;
	q->apply = sweep_apply;
	request_submit(q);
}

void trash_tick(struct engine *e)
{
	int64_t due;

	if (atomic_load(&e->sweeping) || view_trash_next(e->trash, &due) < 0 ||
		due > clock_wall_us())
		return;
	atomic_store(&e->sweeping, true);
	sweep(e);
}

/* --- out of it --- */

struct restore {
	struct request q;
	char *name;
};

static void restore_release(struct request *q)
{
	free(((struct restore *)q)->name);
}

static int may_restore(struct restore *c, struct tx *tx, const struct volume *v, struct err *err)
{
	int64_t id;

	if (!c->q.admin && c->q.uid != v->uid)
		return err_set(err, -EPERM, "volume '%s' is uid %u's: only its owner restores it",
			v->uuid, (unsigned)v->uid);
	if (!v->expires_us || tx_job_of(tx, v->id, &id) == 0)
		return err_set(err, -EBUSY, "volume '%s' is %s: its purge has begun", v->uuid,
			vol_status_name(v->status));
	return spec_name_check(c->name, v->uuid, err);
}

/* As for a new volume of that name and size. */
static int has_place(struct restore *c, struct tx *tx, const struct volume *v, struct err *err)
{
	struct quotas q;
	int r = name_free(tx, c->name, err);

	r = r < 0 ? r : quotas_read(&(struct reader){ NULL, tx }, v->project, v->type_id, &q);
	r = r < 0 ? r : size_check(&q, v->size, err);
	return r < 0 ? r : quota_check(&q, 1, v->size, err);
}

static int restore_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct restore *c = (struct restore *)q;
	struct volume v;
	int64_t project;
	int r = tx_volume(tx, q->volume, &v);

	q->row = q->volume;
	if (r == -ENOENT || (r == 0 && !v.trashed))
		return err_set(err, -ENOENT, "no such volume in the trash");
	r = r < 0 ? r : may_restore(c, tx, &v, err);
	r = r < 0 ? r : has_place(c, tx, &v, err);
	r = r < 0 ? r : tx_volume_restore(tx, v.id, c->name);
	r = r < 0 ? r : request_event(q, tx, v.id, "volume.restore", "name %s", c->name);
	r = r < 0 ? r : tx_project(tx, v.project, &project);
	if (r < 0)
		return r;
	note_volume(q->e, v.id, VOL_CHANGED_BACK | VOL_CHANGED_NAME | VOL_CHANGED_STATUS, v.status,
		false);
	note(q->e, (struct change_note){ .kind = CHANGE_LIST, .volume = v.id });
	note_quota(q->e, project);
	return 0;
}

void engine_restore(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	const char *name, engine_done *done, void *arg)
{
	struct restore *c = request_new(e, sizeof *c, id, who, done, arg);

	if (!c)
		return;
	request_counts(&c->q, OP_RESTORE);
	c->q.volume = volume;
	c->q.apply = restore_apply;
	c->q.release = restore_release;
	c->name = strdup(name);
	request_send(&c->q, c->name ? 0 : -ENOMEM, NULL);
}
