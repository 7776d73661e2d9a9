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
	struct backend *b; /* of the last apply(); NULL */
	struct job_row job;
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

static int begin(struct removal *m, struct tx *tx, const struct volume *v, const struct snapshot *s)
{
	int r;

	m->job = (struct job_row){ .kind = JOB_UNSNAP,
		.class = CLASS_SNAP,
		.volume = v->id,
		.backend = m->b->id,
		.snapshot = s->id,
		.attempt = 1 };
	memcpy(m->job.uuid, v->uuid, sizeof m->job.uuid);
	memcpy(m->job.image_id, v->image_id, sizeof m->job.image_id);
	r = tx_project(tx, v->project, &m->job.project);
	r = r < 0 ? r : tx_job_add(tx, &m->job);
	r = r < 0 ? r : snapshot_nameless(&m->q, tx, v, s, &m->job);
	return r < 0 ? r
		     : request_event(&m->q, tx, v->id, "snapshot.delete.start", "name %s", s->name);
}

/* One that could not be removed would keep its image for ever: in the trash nobody else can try again. */
int snapshots_end(struct request *q, struct tx *tx, struct backend *b, const struct volume *v,
	int64_t project)
{
	struct snapshot s;
	int64_t after = 0;
	int n, r = 0;

	while (r == 0 && (n = tx_snapshots(tx, v->id, after, &s, 1)) != 0) {
		struct job_row job = { .kind = JOB_UNSNAP,
			.class = CLASS_SNAP,
			.volume = v->id,
			.backend = b->id,
			.project = project,
			.attempt = 1 };

		if (n < 0)
			return n;
		after = job.snapshot = s.id;
		if (s.status != SNAP_ERROR_DELETING || !b->driver->snap_remove)
			continue;
		memcpy(job.uuid, v->uuid, sizeof job.uuid);
		memcpy(job.image_id, v->image_id, sizeof job.image_id);
		r = tx_job_add(tx, &job);
		r = r < 0 ? r : snapshot_nameless(q, tx, v, &s, &job);
		r = r < 0 ? r : request_offer(q, b, &job);
	}
	return r;
}

static int removal_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct removal *m = (struct removal *)q;
	struct snapshot s;
	struct volume v;
	int r;

	m->b = NULL;
	r = snapshot_live(tx, m->snapshot, &s, &v, err);
	r = r < 0 ? r : check(m, tx, &v, &s, err);
	return r < 0 ? r : begin(m, tx, &v, &s);
}

static void removal_ended(struct request *q, int code)
{
	struct removal *m = (struct removal *)q;
	struct job_brief brief = { m->job.id, m->job.volume, m->job.project, m->job.kind,
		m->job.class };

	if (code == 0 && m->b)
		worker_offer(m->b, &brief, false);
}

void engine_snapshot_remove(struct engine *e, struct change_id id, const struct caller *who,
	int64_t snapshot, engine_done *done, void *arg)
{
	struct removal *m = request_new(e, sizeof *m, id, who, done, arg);

	if (!m)
		return;
	m->snapshot = m->q.row = snapshot;
	m->q.apply = removal_apply;
	m->q.ended = removal_ended;
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

struct outcome {
	struct request q;
	struct backend *b;
	struct job *job;
	int64_t id, snapshot;
	int code;
	char sentence[ERR_TEXT_MAX];
};

static int removed(struct outcome *o, struct tx *tx, const struct volume *v, const char *name)
{
	int r = tx_snapshot_remove(tx, o->snapshot);

	return r < 0 ? r : request_event(&o->q, tx, v->id, "snapshot.delete.end", "name %s", name);
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
	(void)snprintf(reason, sizeof reason, "%s: %.900s", o->b->conf->name, o->sentence);
	r = tx_snapshot_rename(tx, s->id, name);
	r = r < 0 ? r : tx_snapshot_status(tx, s->id, SNAP_ERROR_DELETING, reason);
	r = r < 0 ? r
		  : request_event(
			    &o->q, tx, v->id, "snapshot.delete.error", "name %s: %s", name, reason);
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

static void outcome_ended(struct request *q, int code)
{
	worker_forget(((struct outcome *)q)->job);
}

static struct request *unsnap_finish(struct backend *b, struct run *r)
{
	struct outcome *o = request_new(b->e, sizeof *o, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!o)
		return NULL;
	o->b = b;
	o->job = r->job;
	o->id = r->job->id;
	o->snapshot = r->row.snapshot;
	o->code = r->code;
	o->q.change.lazy = r->code == 0; /* after a power cut there is nothing to remove */
	(void)snprintf(o->sentence, sizeof o->sentence, "%s",
		r->err.text[0] ? r->err.text : strerror(-r->code));
	o->q.apply = outcome_apply;
	o->q.ended = outcome_ended;
	o->q.must = true;
	if (r->code < 0)
		log_warning("backend %s: volume %s: a snapshot cannot be removed: %s",
			b->conf->name, r->row.uuid, o->sentence);
	return &o->q;
}

const struct op op_unsnap = { JOB_UNSNAP, unsnap_steps, unsnap_finish };
