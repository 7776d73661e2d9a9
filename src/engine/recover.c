/*
 * What an earlier server left. Jobs of configured backends need nothing here: they are the first window of their backend's workers
 * (worker.c). Jobs of a backend that the configuration no longer names would wait for ever: their volumes are settled with the reason.
 * What such a backend may still hold keeps its row (JOB_CLEAN, JOB_UNSNAP), for the day when it is configured again.
 */
#include "engine/internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct orphan {
	struct request q;
	int64_t job;
	char backend[NAME_LEN + 1];
};

/* What becomes of the volume. Those that are not here are no volume's. */
static const struct {
	const char *event; /* NULL: nothing */
	enum vol_status to;
} settles[] = {
	[JOB_CREATE] = { "volume.create.error", VOL_ERROR },
	[JOB_PURGE] = { "volume.delete.error", VOL_ERROR_DELETING },
	[JOB_EXTEND] = { "volume.resize.error", VOL_ERROR_EXTENDING },
	[JOB_REVERT] = { "volume.revert.error", VOL_ERROR },
	[JOB_ADOPT] = { "volume.manage_existing.error", VOL_ERROR_MANAGING },
	[JOB_DISOWN] = { "volume.unmanage.error", VOL_ERROR_UNMANAGING },
};

static int settle_volume(
	struct orphan *o, struct tx *tx, const struct job_row *j, const char *reason)
{
	enum vol_status to = settles[j->kind].to;
	struct volume v;
	int r = tx_volume(tx, j->volume, &v);

	r = r < 0 ? r : tx_volume_status(tx, v.id, to, reason);
	if (r == 0 && j->kind == JOB_CREATE)
		r = tx_volume_place(tx, v.id, "", v.zone, v.image_id);
	if (r == 0 && j->kind == JOB_EXTEND)
		r = tx_volume_reserve(tx, v.id, 0);
	r = r < 0 ? r : request_event(&o->q, tx, v.id, settles[j->kind].event, "%s", reason);
	if (r == 0)
		note_volume(o->q.e, v.id, VOL_CHANGED_STATUS, to, v.trashed);
	return r;
}

/* Nobody has been told that it was taken: it is to be removed. */
static int settle_taking(struct orphan *o, struct tx *tx, struct job_row *j)
{
	struct snapshot s;
	struct volume v;
	int r = tx_snapshot(tx, j->snapshot, &s);

	r = r < 0 ? r : tx_volume(tx, j->volume, &v);
	j->kind = JOB_UNSNAP;
	if (r < 0 || !s.name[0]) /* withdrawn before */
		return r < 0 ? r : tx_job_turn(tx, j);
	r = snapshot_nameless(&o->q, tx, &v, &s, j);
	r = r < 0 ? r : snapshot_answered(tx, j);
	return r < 0 ? r
		     : request_event_snap(&o->q, tx, v.id, s.name, "snapshot.create.error",
			       "backend '%s' is not configured any more", o->backend);
}

/* The job goes, or stays with what is to be done when the backend is back. */
static int settle_job(struct orphan *o, struct tx *tx, struct job_row *j)
{
	int r = 0;

	switch (j->kind) {
	case JOB_CLEAN:
	case JOB_UNSNAP:
		return 0;
	case JOB_CREATE:
		return attempt_abandon(tx, j);
	case JOB_SNAP:
		return settle_taking(o, tx, j);
	case JOB_REVERT:
		r = tx_snapshot_status(tx, j->snapshot, SNAP_AVAILABLE, "");
		break;
	case JOB_ADOPT:
		r = adopt_snaps_end(o->q.e, tx, j->volume, false);
		note_quota(o->q.e, j->project);
		break;
	default:
		break;
	}
	return r < 0 ? r : tx_job_remove(tx, j->id);
}

static int settle(struct orphan *o, struct tx *tx, struct job_row *j)
{
	char reason[REASON_LEN + 1];
	int r = 0;

	(void)snprintf(
		reason, sizeof reason, "backend '%s' is not configured any more", o->backend);
	if (j->kind < sizeof settles / sizeof settles[0] && settles[j->kind].event)
		r = settle_volume(o, tx, j, reason);
	return r < 0 && r != -ENOENT ? r : settle_job(o, tx, j);
}

static int orphan_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct orphan *o = (struct orphan *)q;
	struct job_row j;
	int r = tx_job(tx, o->job, &j);

	return r == -ENOENT ? 0 : r < 0 ? r : settle(o, tx, &j);
}

static void settle_later(struct engine *e, int64_t job, const char *backend)
{
	struct orphan *o = request_new(e, sizeof *o, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!o)
		return;
	o->job = job;
	(void)snprintf(o->backend, sizeof o->backend, "%s", backend);
	o->q.apply = orphan_apply;
	o->q.must = true;
	request_submit(&o->q);
}

static int settle_class(
	struct engine *e, struct view *v, int64_t backend, const char *name, enum job_class class)
{
	struct job_brief brief[64];
	int64_t after = 0;
	int n;

	while ((n = view_jobs(v, backend, class, after, brief, 64)) > 0) {
		for (int i = 0; i < n; i++)
			if (brief[i].kind != JOB_CLEAN && brief[i].kind != JOB_UNSNAP)
				settle_later(e, brief[i].id, name);
		after = brief[n - 1].id;
	}
	return n;
}

static int settle_all(struct engine *e, struct view *v, int64_t backend, const char *name)
{
	int r = 0;

	for (int class = 0; r == 0 && class < CLASS_COUNT; class ++)
		r = settle_class(e, v, backend, name, (enum job_class) class);
	return r;
}

int recover_orphans(struct engine *e, struct err *err)
{
	char name[NAME_LEN + 1];
	struct view *v;
	int64_t id = 0;
	int r = view_open(e->store, &v, err);

	if (r < 0)
		return r;
	while ((r = view_backend_next(v, id, &id, name, sizeof name)) == 0) {
		if (backend_by_id(e, id))
			continue;
		r = settle_all(e, v, id, name);
		if (r < 0)
			break;
	}
	view_close(v);
	return r == -ENOENT ? 0 : err_set(err, r, "the catalogue cannot be read: see the log");
}
