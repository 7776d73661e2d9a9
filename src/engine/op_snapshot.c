/*
 * Taking a snapshot.
 *
 *   engine_snapshot ─▶ [ checks, quota, room; snapshot `creating`, job ] ─▶ worker: quiet, taken ─▶ [ `available`, job gone ] ─▶ answer
 *                                                                             │ failed: undone ─▶ [ its row and job gone ] ─▶ answer
 *                                                                             │ undoing failed, or withdrawn meanwhile
 *                                                                             └─▶ [ nameless, `deleting`; the job becomes JOB_UNSNAP ]
 *
 * Who asked waits in snapshot_wait.c. Until the answer is out the job's row knows the kernel's request, for a later server: what was
 * written of it with the first commit is forgotten sooner than a slow storage takes a snapshot.
 */
#include "engine/internal.h"

#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- the request --- */

struct take {
	struct request q;
	struct change_id sent;
	struct snap_wait *wait;
	struct snapshot snap;
	struct backend *b; /* of the last apply() */
	bool waits;	   /* of the last apply(): the answer is not known yet */
};

static int is_taken(struct take *t, const struct snapshot *s, struct err *err)
{
	t->q.row = s->id;
	t->waits = s->status == SNAP_CREATING;
	if (s->name[0])
		return 0;
	return err_set(
		err, -EIO, "the snapshot was not taken: see the file 'history' of its volume");
}

/* It was accepted for an earlier server: 1, and what became of it. */
static int taken_before(struct take *t, struct tx *tx, struct err *err)
{
	struct snapshot s = { 0 };
	struct answer a;
	int r;

	if (!t->sent.resent)
		return 0;
	if (tx_answer_find(tx, t->sent.mount, t->sent.unique, &a) == 0) {
		r = tx_snapshot(tx, a.row, &s);
		r = r == 0 || r == -ENOENT ? is_taken(t, &s, err) : r;
		return r < 0 ? r : 1;
	}
	/* The first server had waited for long. Nobody else can be told of one that is being taken. */
	r = tx_snapshot_by_name(tx, t->q.volume, t->snap.name, &s);
	if (r == -ENOENT || (r == 0 && s.status != SNAP_CREATING))
		return 0;
	r = r < 0 ? r : is_taken(t, &s, err);
	return r < 0 ? r : 1;
}

static int check(struct take *t, struct tx *tx, const struct volume *v, struct err *err)
{
	struct backend *b = backend_by_name(t->q.e, v->backend);
	struct snapshot other;
	int r;

	if (v->status != VOL_AVAILABLE && v->status != VOL_IN_USE)
		return err_set(
			err, -EBUSY, "volume '%s' is %s", v->name, vol_status_name(v->status));
	if (!b)
		return err_set(err, -EIO, "backend '%s' is not configured", v->backend);
	if (!b->driver->snap_create)
		return err_set(err, -EOPNOTSUPP, "backend '%s' takes no snapshots", b->conf->name);
	r = tx_snapshot_by_name(tx, v->id, t->snap.name, &other);
	if (r == 0)
		return err_set(
			err, -EEXIST, "volume '%s' has a snapshot '%s'", v->name, t->snap.name);
	t->b = b;
	return r == -ENOENT ? 0 : r;
}

static int reserve(struct take *t, struct tx *tx, const struct volume *v, struct err *err)
{
	struct quotas q;
	int r = quotas_read(&(struct reader){ NULL, tx }, v->project, v->type_id, &q);

	r = r < 0 ? r : quota_check_snapshots(&q, 1, v->size, err);
	return r < 0 ? r : place_beside(t->q.e, tx, t->b, v, err);
}

static int add_job(struct take *t, struct tx *tx, const struct volume *v)
{
	struct job_row job;
	int r = job_for(tx, t->b, v, JOB_SNAP, CLASS_SNAP, &job);

	job.snapshot = t->snap.id;
	job.size = 0;
	if (t->sent.unique)
		(void)snprintf(job.tried, sizeof job.tried, "%" PRIu64 " %" PRIu64, t->sent.mount,
			t->sent.unique);
	r = r < 0 ? r : job_begin(&t->q, tx, t->b, &job);
	return r < 0 ? r : snapshot_answered(tx, &job);
}

static int add(struct take *t, struct tx *tx, const struct volume *v)
{
	char size[TEXT_SIZE_MAX];
	int r;

	t->snap.volume = v->id;
	t->snap.size = v->size;
	t->snap.status = SNAP_CREATING;
	t->snap.created_us = 0;
	r = tx_snapshot_add(tx, &t->snap);
	r = r < 0 ? r : add_job(t, tx, v);
	r = r < 0 ? r
		  : request_event_snap(&t->q, tx, v->id, t->snap.name, "snapshot.create.start",
			    "id %s, size %s", t->snap.uuid, text_of_size(v->size, size));
	t->q.row = t->snap.id;
	t->waits = true;
	snapshot_note(t->q.e, v, t->snap.id);
	return r < 0 ? r : snapshot_note_quota(t->q.e, tx, v);
}

static int take_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct take *t = (struct take *)q;
	struct volume v;
	int r;

	t->waits = false;
	r = taken_before(t, tx, err);
	if (r)
		return r < 0 ? r : 0;
	r = volume_live(tx, q->volume, &v, err);
	r = r < 0 ? r : check(t, tx, &v, err);
	r = r < 0 ? r : reserve(t, tx, &v, err);
	return r < 0 ? r : add(t, tx, &v);
}

static void accepted(void *arg, const struct result *res)
{
	struct take *t = arg;

	if (res->code == 0 && t->waits)
		snap_wait_for(t->wait, t->q.row);
	else
		snap_wait_over(t->wait, res);
}

/* Its own memory of what was sent: the answer comes long after the commit. */
void engine_snapshot(struct engine *e, struct change_id id, const struct caller *who,
	int64_t volume, const char *name, engine_done *done, void *arg)
{
	struct take *t = request_new(e, sizeof *t, (struct change_id){ 0 }, who, done, arg);
	struct err err = { 0 };
	int r;

	if (!t)
		return;
	t->sent = id;
	t->q.volume = volume;
	t->q.apply = take_apply;
	r = spec_snapshot_name_check(name, NULL, &err);
	if (r == 0 && !(t->wait = snap_wait_new(e, done, arg)))
		r = err_set(&err, -ENOMEM, "out of memory");
	if (r < 0) {
		request_refuse(&t->q, r, &err);
		return;
	}
	new_uuid(t->snap.uuid);
	(void)snprintf(t->snap.name, sizeof t->snap.name, "%s", name);
	t->q.done = accepted;
	t->q.arg = t;
	request_submit(&t->q);
}

void engine_on_snapshot(struct engine *e,
	int (*quiet)(void *arg, const void *be, const char *image_uuid, bool stop),
	void (*go_on)(void *arg, const void *be, const char *image_uuid), void *arg)
{
	e->quiet = quiet;
	e->go_on = go_on;
	e->quiet_arg = arg;
}

/* --- the step --- */

/* One that was withdrawn before is not taken; undoing removes what an earlier server may have taken of it. */
static int take_one(struct backend *b, struct run *r)
{
	struct engine *e = b->e;
	struct driver_image image;
	struct driver_snap snap;
	int code = 0;

	if (!r->snap.id || r->snap.status != SNAP_CREATING)
		return -ECANCELED;
	snapshot_of_run(r, &image, &snap);
	if (e->quiet)
		code = e->quiet(e->quiet_arg, b->be, image.uuid, b->driver->quiet);
	r->again = code == -EAGAIN; /* the server ends */
	if (code < 0)
		return err_set(&r->err, code, "what is being written does not come to rest: %s",
			strerror(-code));
	code = b->driver->snap_create(b->be, &image, &snap, run_progress(r, "snapshot"), &r->err);
	if (e->go_on)
		e->go_on(e->quiet_arg, b->be, image.uuid);
	return code;
}

static void image_snapshot(struct backend *b, struct run *const *run, size_t n)
{
	for (size_t i = 0; i < n; i++)
		run[i]->code = take_one(b, run[i]);
}

/* The sentence of what failed first stays. */
static int image_unsnapshot(struct backend *b, struct run *r)
{
	struct err why = r->err;
	int code = snapshot_remove_image(b, r);

	r->err = why;
	return code;
}

static const struct step snap_steps[] = {
	{ "snapshot", image_snapshot, image_unsnapshot },
	{ 0 },
};

/* --- its result --- */

struct taken {
	struct outcome o;
	bool turned; /* of the last apply(): it is to be removed by this job */
};

/* Names of files tell their own story to mkdir: of the storage's errors only these mean the same there. */
static int mkdir_code(int code)
{
	switch (code) {
	case -EBUSY:
	case -ENOSPC:
	case -EOPNOTSUPP:
	case -ETIMEDOUT:
		return code;
	default:
		return -EIO;
	}
}

static int succeeded(
	struct outcome *o, struct tx *tx, const struct volume *v, const struct snapshot *s)
{
	int r = tx_job_remove(tx, o->id);

	r = r < 0 ? r : tx_snapshot_status(tx, s->id, SNAP_AVAILABLE, "");
	snapshot_note(o->q.e, v, s->id);
	return r < 0 ? r
		     : request_event_snap(
			       &o->q, tx, v->id, s->name, "snapshot.create.end", "%s", "");
}

/* Nobody has it, or wants it. */
static int drop(struct outcome *o, struct tx *tx, const struct volume *v, const struct snapshot *s)
{
	int r = tx_job_remove(tx, o->id);

	r = r < 0 ? r : tx_snapshot_remove(tx, s->id);
	snapshot_note(o->q.e, v, s->id);
	return r < 0 ? r : snapshot_note_quota(o->q.e, tx, v);
}

/* It may be there: the job goes on as its removal. */
static int turn(struct taken *t, struct tx *tx, const struct volume *v, const struct snapshot *s,
	struct job_row *job)
{
	t->turned = true;
	job->kind = JOB_UNSNAP;
	return s->name[0] ? snapshot_nameless(&t->o.q, tx, v, s, job) : tx_job_turn(tx, job);
}

static int settle(struct taken *t, struct tx *tx, const struct volume *v, const struct snapshot *s,
	struct job_row *job)
{
	struct outcome *o = &t->o;
	bool withdrawn = s->status != SNAP_CREATING;
	int r = 0;

	if (!withdrawn)
		r = snapshot_answered(tx, job);
	if (r == 0 && o->code < 0 && !withdrawn)
		r = request_event_snap(&o->q, tx, v->id, s->name, "snapshot.create.error", "%s: %s",
			o->b->conf->name, o->sentence);
	if (r < 0)
		return r;
	if (o->code == 0 && !withdrawn)
		return succeeded(o, tx, v, s);
	return o->code == 0 || o->left_over ? turn(t, tx, v, s, job) : drop(o, tx, v, s);
}

static int taken_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct taken *t = (struct taken *)q;
	struct snapshot s;
	struct job_row job;
	struct volume v;
	int r = tx_job(tx, t->o.id, &job);

	t->turned = false;
	if (r == -ENOENT)
		return 0;
	r = r < 0 ? r : tx_snapshot(tx, t->o.snapshot, &s);
	r = r < 0 ? r : tx_volume(tx, job.volume, &v);
	return r < 0 ? r : settle(t, tx, &v, &s, &job);
}

static void taken_ended(struct request *q, int code)
{
	struct taken *t = (struct taken *)q;
	struct job *j = t->o.job;

	if (!t->turned) {
		outcome_ended(q, code);
		return;
	}
	op_turned(j, JOB_UNSNAP, -ECANCELED);
	if (t->o.left_over)
		later_job(j); /* it has just failed */
	else
		worker_again(j);
}

static void taken_done(void *arg, const struct result *res)
{
	struct outcome *o = arg;
	char text[ERR_TEXT_MAX];

	(void)snprintf(text, sizeof text, "backend '%s': %.900s", o->b->conf->name, o->sentence);
	snap_wait_answer(o->q.e, o->snapshot, o->code < 0 ? mkdir_code(o->code) : 0, text);
}

static struct request *snap_finish(struct backend *b, struct run *r)
{
	struct taken *t = outcome_new(b, r, sizeof *t, taken_apply);

	if (!t)
		return NULL;
	t->o.q.ended = taken_ended;
	t->o.q.done = taken_done;
	t->o.q.arg = &t->o;
	if (r->code < 0 && r->code != -ECANCELED)
		log_warning("backend %s: volume %s: no snapshot '%s': %s", b->conf->name, t->o.uuid,
			r->snap.name, t->o.sentence);
	return &t->o.q;
}

const struct op op_snap = { JOB_SNAP, snap_steps, snap_finish };
