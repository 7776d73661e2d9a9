/*
 * Purge: the end of what lies in the trash.
 *
 *   purge_begin ─▶ [ `deleting`, job ] ─▶ worker: image away ─▶ [ row away, remembered for an hour ]
 *   (trash.c, reclaim.c, rmdir there)        │     │ clones need it
 *                                            │     └─▶ [ row away; its job is held until they are gone: held.c ]
 *                                            │ failed
 *                                            └─▶ [ `error_deleting` with the reason, job gone ] ── rmdir there: once more
 *
 * The driver looks once more whether a program outside has the image open. What is still being done to the volume's snapshots comes
 * first: the job is tried again until that is over. A volume that never got a backend has no image, and one that could not be adopted has
 * none of ours: its row goes at once.
 *
 * op_clean removes what a given-up creation may have left, and what was held; no volume waits for it, so it tries until it succeeds.
 */
#include "engine/internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void note_gone(struct request *q, const struct volume *v, enum vol_status status, bool purged)
{
	note(q->e, (struct change_note){ .kind = CHANGE_VOLUME,
			   .volume = v->id,
			   .mask = VOL_CHANGED_GONE | VOL_CHANGED_STATUS,
			   .status = status,
			   .trashed = true,
			   .purged = purged });
	note(q->e, (struct change_note){ .kind = CHANGE_LIST, .volume = v->id });
}

int purge_row(struct request *q, struct tx *tx, const struct volume *v)
{
	int r = request_event(q, tx, v->id, "volume.delete.end", "%s%s",
		v->backend[0] ? "from " : "", v->backend);

	r = r < 0 ? r : tx_volume_purge(tx, v->id);
	note_gone(q, v, VOL_DELETING, true);
	return r;
}

/* A backend that is not configured any more fails it at once. */
static int begin_nowhere(struct request *q, struct tx *tx, const struct volume *v)
{
	char reason[REASON_LEN + 1];
	int r = tx_volume_trash(tx, v->id, 0);

	(void)snprintf(reason, sizeof reason, "cannot be removed: backend '%s' is not configured",
		v->backend);
	r = r < 0 ? r : tx_volume_status(tx, v->id, VOL_ERROR_DELETING, reason);
	r = r < 0 ? r : request_event(q, tx, v->id, "volume.delete.error", "%s", reason);
	note_gone(q, v, VOL_ERROR_DELETING, false);
	return r;
}

int purge_begin(struct request *q, struct tx *tx, const struct volume *v, const char *why)
{
	struct backend *b = backend_by_name(q->e, v->backend);
	struct job_row job;
	int r = request_event(q, tx, v->id, "volume.delete.start", "%s", why);

	if (r < 0)
		return r;
	if (!v->backend[0] || v->status == VOL_ERROR_MANAGING)
		return purge_row(q, tx, v);
	if (!b)
		return begin_nowhere(q, tx, v);
	r = job_for(tx, b, v, JOB_PURGE, CLASS_OTHER, &job);
	r = r < 0 ? r : job_begin(q, tx, b, &job);
	r = r < 0 ? r : snapshots_end(q, tx, b, v);
	r = r < 0 ? r : tx_volume_status(tx, v->id, VOL_DELETING, "");
	note_gone(q, v, VOL_DELETING, false);
	return r;
}

/* --- rmdir in the trash --- */

static int purge_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct volume v;
	int64_t job;
	int r = tx_volume(tx, q->volume, &v);

	q->row = q->volume;
	if (r == -ENOENT || (r == 0 && !v.trashed))
		return err_set(err, -ENOENT, "no such volume in the trash");
	if (r == 0 && tx_job_of(tx, v.id, &job) == 0)
		return 0; /* it is being purged */
	return r < 0 ? r : purge_begin(q, tx, &v, "removed from the trash");
}

void engine_purge(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	engine_done *done, void *arg)
{
	struct request *q = request_new(e, sizeof *q, id, who, done, arg);

	if (!q)
		return;
	q->volume = volume;
	q->apply = purge_apply;
	request_submit(q);
}

/* --- the results --- */

struct removed {
	struct outcome o;
	bool alone; /* of the last apply(): nothing is done to its snapshots any more, as the next run will find */
	bool again;	    /* the same: the job stays, … */
	enum job_kind kind; /* … as what the catalogue calls it now */
};

static int purge_failed(struct outcome *o, struct tx *tx, const struct volume *v)
{
	char reason[REASON_LEN + 1];
	int r;

	outcome_reason(o, reason);
	r = tx_job_remove(tx, o->id);
	r = r < 0 ? r : tx_volume_status(tx, v->id, VOL_ERROR_DELETING, reason);
	r = r < 0 ? r : request_event(&o->q, tx, v->id, "volume.delete.error", "%s", reason);
	note_volume(o->q.e, v->id, VOL_CHANGED_STATUS, VOL_ERROR_DELETING, true);
	return r;
}

static int purged(struct removed *m, struct tx *tx, const struct volume *v)
{
	int r = tx_job_remove(tx, m->o.id);

	r = r < 0 ? r : purge_row(&m->o.q, tx, v);
	return r < 0 ? r : release_held(&m->o.q, tx, v->parent);
}

/* For its user it is gone. Where nobody is known who needs the image (the last clone has just gone, or was never ours), it is tried again. */
static int purge_held(
	struct removed *m, struct tx *tx, const struct volume *v, const struct job_row *row)
{
	struct job_row held = *row;
	int64_t child;
	int r = tx_volume_child(tx, v->id, &child);

	m->again = r == -ENOENT;
	if (r < 0 && !m->again)
		return r;
	held.kind = m->kind = JOB_CLEAN;
	held.class = m->again ? CLASS_OTHER : CLASS_HELD;
	held.parent = v->parent;
	r = tx_job_turn(tx, &held);
	return r < 0 ? r : purge_row(&m->o.q, tx, v);
}

/* It was read from the job table just before it was held: its volume is gone already. */
static int cleaned_meanwhile(struct removed *m, struct tx *tx, const struct job_row *row)
{
	int r;

	m->kind = JOB_CLEAN;
	m->again = m->o.code < 0 && row->class != CLASS_HELD;
	if (m->o.code < 0)
		return 0;
	r = tx_job_remove(tx, m->o.id);
	return r < 0 ? r : release_held(&m->o.q, tx, row->parent);
}

static int purge_outcome_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct removed *m = (struct removed *)q;
	struct job_row row;
	struct volume v;
	int64_t other;
	int r = tx_job(tx, m->o.id, &row);

	m->again = m->alone = false;
	if (r == -ENOENT)
		return 0;
	if (r == 0 && row.kind == JOB_CLEAN)
		return cleaned_meanwhile(m, tx, &row);
	r = r < 0 ? r : tx_volume(tx, m->o.volume, &v);
	if (r < 0)
		return r;
	m->kind = row.kind;
	if (tx_job_of_snapshots(tx, v.id, &other) == 0) {
		m->again = true;
		return 0;
	}
	/* The last one may have gone since the driver looked. */
	if (m->o.code == -ENOTEMPTY && !m->o.job->alone) {
		m->again = m->alone = true;
		return 0;
	}
	if (m->o.code == -EMLINK)
		return purge_held(m, tx, &v, &row);
	return m->o.code < 0 ? purge_failed(&m->o, tx, &v) : purged(m, tx, &v);
}

static void purge_ended(struct request *q, int code)
{
	struct removed *m = (struct removed *)q;

	if (!m->again) {
		if (m->o.code == -EMLINK)
			m->o.code = 0; /* its image is held; the volume is gone */
		outcome_ended(q, code);
	} else {
		op_turned(m->o.job, m->kind, 0);
		m->o.job->alone = m->alone;
		later_job(m->o.job);
	}
}

/* Lazy: after a power cut the job is there again, and finds nothing to remove. (A creation's result waits for the disk: what is written
 * to the volume from then on must not meet that job again, for it might be given up.) */
static struct request *purge_finish(struct backend *b, struct run *r)
{
	struct removed *m = outcome_new(b, r, sizeof *m, purge_outcome_apply);

	if (!m)
		return NULL;
	m->o.q.change.lazy = r->code == 0;
	m->o.q.ended = purge_ended;
	if (r->code < 0 && r->code != -EMLINK && r->code != -ENOTEMPTY)
		log_warning("backend %s: volume %s: cannot be removed: %s", b->conf->name,
			m->o.uuid, m->o.sentence);
	return &m->o.q;
}

static const struct step remove_steps[] = {
	{ "image", step_remove_image, NULL },
	{ 0 },
};

const struct op op_purge = { JOB_PURGE, remove_steps, purge_finish };

/* --- cleaning up: after an attempt, and what was held --- */

static int clean_outcome_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct job_row row;
	int r = tx_job(tx, ((struct outcome *)q)->id, &row);

	if (r == -ENOENT)
		return 0;
	if (r == 0 && row.kind != JOB_CLEAN)
		return -EAGAIN; /* giving up is on its way; the volume must not lose its only job */
	r = r < 0 ? r : tx_job_remove(tx, row.id);
	return r < 0 ? r : release_held(q, tx, row.parent);
}

static struct request *clean_finish(struct backend *b, struct run *r)
{
	struct outcome *o = NULL;

	if (r->code == 0)
		o = outcome_new(b, r, sizeof *o, clean_outcome_apply);
	else if (r->job->failures == 0 && r->code != -EMLINK)
		log_warning("backend %s: volume %s: what an attempt left cannot be removed yet: %s",
			b->conf->name, r->row.uuid, r->err.text);
	if (o) {
		o->q.change.lazy = true;
		o->op = OP_CLEAN; /* also of what was an attempt until now */
	}
	r->job->kind = JOB_CLEAN;
	r->job->class = CLASS_OTHER;
	return o ? &o->q : NULL;
}

const struct op op_clean = { JOB_CLEAN, remove_steps, clean_finish };
