/*
 * Back to the latest snapshot.
 *
 *   engine_revert ─▶ [ checks; volume `reverting`, snapshot `restoring`, job ] ─▶ worker: image closed, reverted ─▶ [ `available`, job gone ]
 *                                                                                    │ failed
 *                                                                                    └─▶ [ `error` with the reason, job gone ]
 *
 * The snapshot is `available` again in both. There is no step back: half reverted is neither the one nor the other, so after a crash it is
 * repeated, and after a failure it is for an administrator to say what the volume is worth.
 */
#include "engine/internal.h"

#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct revert {
	struct unused u;
	char snapshot[NAME_LEN + 1];
	struct backend *b; /* of the last apply() */
};

/* --- the request --- */

static int check_status(struct tx *tx, const struct volume *v, struct err *err)
{
	int64_t id;

	if (v->status != VOL_AVAILABLE)
		return err_set(
			err, -EBUSY, "volume '%s' is %s", v->name, vol_status_name(v->status));
	/* Who gave it up does not see it any more, but the driver is still at it. */
	if (tx_job_taking(tx, v->id, &id) == 0)
		return err_set(
			err, -EBUSY, "a snapshot of volume '%s' is still being taken", v->name);
	return source_check(tx, v, 0, err);
}

static int check_backend(struct revert *x, const struct volume *v, struct err *err)
{
	struct backend *b = backend_by_name(x->u.q.e, v->backend);

	if (!b)
		return err_set(err, -EIO, "backend '%s' is not configured", v->backend);
	if (!b->driver->revert)
		return err_set(err, -EOPNOTSUPP, "backend '%s' reverts nothing", b->conf->name);
	x->b = b;
	return 0;
}

static int find_latest(struct revert *x, struct tx *tx, const struct volume *v,
	struct snapshot *ret, struct err *err)
{
	char now[TEXT_SIZE_MAX], then[TEXT_SIZE_MAX];
	struct snapshot latest;
	int r = tx_snapshot_by_name(tx, v->id, x->snapshot, ret);

	if (r == -ENOENT)
		return err_set(
			err, r, "volume '%s' has no snapshot '%.255s'", v->name, x->snapshot);
	r = r < 0 ? r : tx_snapshot_latest(tx, v->id, &latest);
	if (r < 0)
		return r;
	if (latest.id != ret->id)
		return err_set(err, -EINVAL,
			"snapshot '%s' is not the latest of volume '%s': that is '%s'", ret->name,
			v->name, latest.name);
	if (ret->size != v->size)
		return err_set(err, -EINVAL, "volume '%s' has %s now, and had %s in snapshot '%s'",
			v->name, text_of_size(v->size, now), text_of_size(ret->size, then),
			ret->name);
	if (ret->status != SNAP_AVAILABLE)
		return err_set(err, -EBUSY, "snapshot '%s' is %s", ret->name,
			snap_status_name(ret->status));
	return 0;
}

static int begin(struct revert *x, struct tx *tx, const struct volume *v, const struct snapshot *s)
{
	struct request *q = &x->u.q;
	struct job_row job;
	int r = job_for(tx, x->b, v, JOB_REVERT, CLASS_COPY, &job);

	job.snapshot = s->id;
	r = r < 0 ? r : job_begin(q, tx, x->b, &job);
	r = r < 0 ? r : tx_volume_status(tx, v->id, VOL_REVERTING, "");
	r = r < 0 ? r : tx_snapshot_status(tx, s->id, SNAP_RESTORING, "");
	r = r < 0 ? r : request_event_snap(q, tx, v->id, s->name, "volume.revert.start", "%s", "");
	note_volume(q->e, v->id, VOL_CHANGED_STATUS, VOL_REVERTING, false);
	snapshot_note(q->e, v, s->id);
	return r;
}

static int revert_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct revert *x = (struct revert *)q;
	struct snapshot s;
	struct volume v;
	int r;

	unused_begin(&x->u);
	r = volume_live(tx, q->volume, &v, err);
	r = r < 0 ? r : find_latest(x, tx, &v, &s, err);
	/* Also who only reads would see what was there and what is there now, mixed. */
	r = r < 0 ? r : unused_here(&x->u, tx, &v, err);
	r = r < 0 ? r : check_status(tx, &v, err);
	r = r < 0 ? r : check_backend(x, &v, err);
	r = r < 0 ? r : unused_outside(&x->u, &v, err);
	return r < 0 ? r : begin(x, tx, &v, &s);
}

void engine_revert(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	const char *snapshot, engine_done *done, void *arg)
{
	struct revert *x = request_new(e, sizeof *x, id, who, done, arg);
	struct err err = { 0 };

	if (!x)
		return;
	x->u.q.volume = x->u.q.row = volume;
	x->u.q.apply = revert_apply;
	x->u.q.divert = unused_divert;
	if (strlen(snapshot) > NAME_LEN) {
		err_set(&err, -EINVAL, "no snapshot has so long a name");
		request_refuse(&x->u.q, err.code, &err);
		return;
	}
	(void)snprintf(x->snapshot, sizeof x->snapshot, "%s", snapshot);
	request_submit(&x->u.q);
}

/* --- the step --- */

static int revert_one(struct backend *b, struct run *r)
{
	struct engine *e = b->e;
	struct driver_image image;
	struct driver_snap snap;

	snapshot_of_run(r, &image, &snap);
	if (e->let_go && e->let_go(e->let_go_arg, b->be, image.uuid) < 0)
		return err_set(&r->err, -EBUSY, "its bytes are still in use here");
	return b->driver->revert(b->be, &image, &snap, run_progress(r, "revert"), &r->err);
}

static void image_revert(struct backend *b, struct run *const *run, size_t n)
{
	for (size_t i = 0; i < n; i++)
		run[i]->code = revert_one(b, run[i]);
}

static const struct step revert_steps[] = {
	{ "image", image_revert, NULL },
	{ 0 },
};

/* --- its result --- */

static void note_end(struct outcome *o, enum vol_status status)
{
	note_volume(o->q.e, o->volume, VOL_CHANGED_STATUS, status, false);
}

static int reverted(struct outcome *o, struct tx *tx, const struct snapshot *s)
{
	enum vol_status to = VOL_AVAILABLE;
	int r = use_status(tx, o->volume, &to);

	r = r < 0 ? r : tx_volume_status(tx, o->volume, to, "");
	note_end(o, to);
	return r < 0 ? r
		     : request_event_snap(
			       &o->q, tx, o->volume, s->name, "volume.revert.end", "%s", "");
}

static int not_reverted(struct outcome *o, struct tx *tx, const struct snapshot *s)
{
	char reason[REASON_LEN + 1];
	int r;

	(void)snprintf(reason, sizeof reason, "%s: cannot be reverted to '%s': %.600s",
		o->b->conf->name, s->name, o->sentence);
	r = tx_volume_status(tx, o->volume, VOL_ERROR, reason);
	note_end(o, VOL_ERROR);
	return r < 0 ? r
		     : request_event_snap(
			       &o->q, tx, o->volume, s->name, "volume.revert.error", "%s", reason);
}

static int outcome_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct outcome *o = (struct outcome *)q;
	struct snapshot s;
	struct volume v;
	int r = tx_job_remove(tx, o->id);

	if (r == -ENOENT)
		return 0;
	r = r < 0 ? r : tx_volume(tx, o->volume, &v);
	r = r < 0 ? r : tx_snapshot(tx, o->snapshot, &s);
	r = r < 0 ? r : tx_snapshot_status(tx, s.id, SNAP_AVAILABLE, "");
	if (r < 0)
		return r;
	snapshot_note(q->e, &v, s.id);
	return o->code < 0 ? not_reverted(o, tx, &s) : reverted(o, tx, &s);
}

static void revert_outcome_ended(struct request *q, int code)
{
	struct outcome *o = (struct outcome *)q;

	measure_now(o->b, o->volume); /* other blocks are in use now */
	outcome_ended(q, code);
}

static struct request *revert_finish(struct backend *b, struct run *r)
{
	struct outcome *o = outcome_new(b, r, sizeof *o, outcome_apply);

	if (!o)
		return NULL;
	o->q.ended = revert_outcome_ended;
	if (r->code < 0)
		log_warning("backend %s: volume %s: cannot be reverted: %s", b->conf->name, o->uuid,
			o->sentence);
	return &o->q;
}

const struct op op_revert = { JOB_REVERT, revert_steps, revert_finish };
