/*
 * Removing a snapshot.
 *
 *   engine_snapshot_remove ─▶ [ checks; nameless, `deleting`, job ] ─▶ worker: away ─▶ [ its row and job gone ]
 *                                                                         │ failed
 *                                                                         └─▶ [ `error_deleting` with the reason, named again; job gone ]
 */
#include "engine/internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- the request --- */

struct removal {
	struct request q;
	int64_t snapshot;
	struct backend *b; /* of the last apply() */
};

int snapshot_live(
	struct tx *tx, int64_t id, struct snapshot *ret, struct volume *ret_volume, struct err *err)
{
	int r = tx_snapshot(tx, id, ret);

	r = r < 0 ? r : tx_volume(tx, ret->volume, ret_volume);
	if (r == -ENOENT || (r == 0 && (!ret->name[0] || ret_volume->trashed)))
		return err_set(err, -ENOENT, "no such snapshot");
	return r;
}

static int check(struct removal *m, struct tx *tx, const struct volume *v, const struct snapshot *s,
	struct err *err)
{
	struct backend *b = backend_by_name(m->q.e, v->backend);

	if (s->status != SNAP_AVAILABLE && s->status != SNAP_ERROR_DELETING)
		return err_set(
			err, -EBUSY, "snapshot '%s' is %s", s->name, snap_status_name(s->status));
	if (!b)
		return err_set(err, -EIO, "backend '%s' is not configured", v->backend);
	if (!b->driver->snap_remove)
		return err_set(
			err, -EOPNOTSUPP, "backend '%s' removes no snapshots", b->conf->name);
	m->b = b;
	return source_check(tx, v, s->id, err);
}

/* Its job, from here on. */
static int begin(struct request *q, struct tx *tx, struct backend *b, const struct volume *v,
	const struct snapshot *s)
{
	struct job_row job;
	int r = job_for(tx, b, v, JOB_UNSNAP, CLASS_SNAP, &job);

	job.snapshot = s->id;
	job.size = 0;
	r = r < 0 ? r : job_begin(q, tx, b, &job);
	return r < 0 ? r : snapshot_nameless(q, tx, v, s, &job);
}

/* One that could not be removed would keep its image for ever: in the trash nobody else can try again. */
int snapshots_end(struct request *q, struct tx *tx, struct backend *b, const struct volume *v)
{
	struct snapshot s;
	int64_t after = 0;
	int n, r = 0;

	while (r == 0 && (n = tx_snapshots(tx, v->id, after, &s, 1)) != 0) {
		if (n < 0)
			return n;
		after = s.id;
		if (s.status == SNAP_ERROR_DELETING && b->driver->snap_remove)
			r = begin(q, tx, b, v, &s);
	}
	return r;
}

static int removal_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct removal *m = (struct removal *)q;
	struct snapshot s;
	struct volume v;
	int r;

	r = snapshot_live(tx, m->snapshot, &s, &v, err);
	r = r < 0 ? r : check(m, tx, &v, &s, err);
	r = r < 0 ? r : begin(q, tx, m->b, &v, &s);
	return r < 0 ? r
		     : request_event_snap(q, tx, v.id, s.name, "snapshot.delete.start", "%s", "");
}

void engine_snapshot_remove(struct engine *e, struct change_id id, const struct caller *who,
	int64_t snapshot, engine_done *done, void *arg)
{
	struct removal *m = request_new(e, sizeof *m, id, who, done, arg);

	if (!m)
		return;
	m->snapshot = m->q.row = snapshot;
	m->q.apply = removal_apply;
	request_submit(&m->q);
}

/* --- the step and its result --- */

static void image_unsnapshot(struct backend *b, struct run *const *run, size_t n)
{
	for (size_t i = 0; i < n; i++)
		run[i]->code = snapshot_remove_image(b, run[i]);
}

static const struct step unsnap_steps[] = {
	{ "snapshot", image_unsnapshot, NULL }, /* half removed is to be removed again */
	{ 0 },
};

static int removed(struct outcome *o, struct tx *tx, const struct volume *v, const char *name)
{
	int r = tx_snapshot_remove(tx, o->snapshot);

	return r < 0 ? r
		     : request_event_snap(&o->q, tx, v->id, name, "snapshot.delete.end", "%s", "");
}

/* Its old name, unless that has been given away meanwhile. */
static int not_removed(struct outcome *o, struct tx *tx, const struct volume *v,
	const struct snapshot *s, const char *name)
{
	char reason[REASON_LEN + 1];
	struct snapshot other;
	int r;

	if (!name[0] || tx_snapshot_by_name(tx, v->id, name, &other) == 0)
		name = s->uuid;
	outcome_reason(o, reason);
	r = tx_snapshot_rename(tx, s->id, name);
	r = r < 0 ? r : tx_snapshot_status(tx, s->id, SNAP_ERROR_DELETING, reason);
	r = r < 0 ? r
		  : request_event_snap(
			    &o->q, tx, v->id, name, "snapshot.delete.error", "%s", reason);
	return r < 0 ? r : snapshot_note_quota(o->q.e, tx, v);
}

static int outcome_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct outcome *o = (struct outcome *)q;
	struct snapshot s;
	struct job_row job;
	struct volume v;
	int r = tx_job(tx, o->id, &job);

	if (r == -ENOENT)
		return 0;
	r = r < 0 ? r : tx_job_remove(tx, o->id);
	r = r < 0 ? r : tx_snapshot(tx, o->snapshot, &s);
	r = r < 0 ? r : tx_volume(tx, job.volume, &v);
	if (r < 0)
		return r;
	snapshot_note(q->e, &v, s.id);
	return o->code < 0 ? not_removed(o, tx, &v, &s, job.image) : removed(o, tx, &v, job.image);
}

static struct request *unsnap_finish(struct backend *b, struct run *r)
{
	struct outcome *o = outcome_new(b, r, sizeof *o, outcome_apply);

	if (!o)
		return NULL;
	o->q.change.lazy = r->code == 0; /* after a power cut there is nothing to remove */
	if (r->code < 0)
		log_warning("backend %s: volume %s: a snapshot cannot be removed: %s",
			b->conf->name, o->uuid, o->sentence);
	return &o->q;
}

const struct op op_unsnap = { JOB_UNSNAP, unsnap_steps, unsnap_finish };
