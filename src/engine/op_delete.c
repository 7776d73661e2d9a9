/*
 * Deletion.
 *
 *   engine_delete ─▶ [ checks, to the trash: name and quota free, job ] ─▶ worker: image away ─▶ [ row away, remembered for an hour ]
 *   engine_purge  ─▶ [ job ] ────────────────────────────────────────────┘      │ failed
 *                                                                               └─▶ [ `error_deleting` with the reason, job gone ]
 *
 * What is in use stays: what has an attachment or an open `data`. A close may still be on its way behind what it wrote, so a volume
 * that is only open is looked at again for CLOSE_MS. Programs outside are not known here: the storage is asked, between two runs of the
 * request, and has LOOK_MS to answer; who does not, or is down, does not keep anybody from deleting: the purge finds out.
 *
 *   apply() ─ only open: after RETRY_MS ─▶ apply()
 *      └───── may go, not asked yet: driver->busy(), or LOOK_MS ─▶ apply()
 *
 * A volume that never got a backend has no image: its row goes at once. op_clean removes what a given-up creation may have left;
 * no volume waits for it, so it tries until it succeeds.
 */
#include "engine/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the request --- */

enum { CLOSE_MS = 100, RETRY_MS = 5, LOOK_MS = 100 };

struct delete
{
	struct request q;
	struct backend *b; /* of the last apply(); NULL: nothing to run */
	struct job_row job;
	enum {
		GO_ON,
		TRY_AGAIN,
		LOOK
	} next;			   /* of the last apply(): what it wants before it runs again */
	int64_t patience_ns;	   /* until when it waits for a close; 0: it did not yet */
	struct backend *at;	   /* LOOK: whom to ask */
	struct driver_image image; /* … of what */
	bool looked;		   /* the storage was asked */
	uint64_t look;		   /* number of the question */
	int said;		   /* its answer */
};

static bool may_delete(enum vol_status s)
{
	switch (s) {
	case VOL_AVAILABLE:
	case VOL_ERROR:
	case VOL_ERROR_DELETING:
	case VOL_ERROR_EXTENDING:
	case VOL_ERROR_RESTORING:
	case VOL_ERROR_MANAGING:
	case VOL_ERROR_BACKING_UP:
		return true;
	default:
		return false;
	}
}

static int check(const struct volume *v, struct err *err)
{
	if (v->trashed)
		return err_set(err, -ENOENT, "volume '%s' is deleted already", v->uuid);
	if (v->protected_)
		return err_set(err, -EPERM,
			"volume '%s' is protected: write 0 into its file 'protected' first",
			v->name);
	return 0;
}

static int check_status(const struct volume *v, struct err *err)
{
	if (!may_delete(v->status))
		return err_set(
			err, -EBUSY, "volume '%s' is %s", v->name, vol_status_name(v->status));
	return 0;
}

/* Who attached it, or has it open, keeps it. */
static int check_uses(struct delete *d, struct tx *tx, const struct volume *v, struct err *err)
{
	int64_t now = clock_mono_ns();
	char who[USE_WHO];
	struct use u;
	int r = tx_use_holder(tx, v->id, false, &u);

	if (r == -ENOENT || r < 0)
		return r == -ENOENT ? 0 : r;
	if (u.kind == USE_OPEN && !d->patience_ns)
		d->patience_ns = now + CLOSE_MS * INT64_C(1000000);
	if (u.kind == USE_OPEN && now < d->patience_ns)
		d->next = TRY_AGAIN;
	return err_set(err, -EBUSY, "volume '%s' is %s", v->name, use_who(&u, who));
}

/* May it be asked for now? */
static bool can_look(struct backend *b)
{
	if (!b || !b->driver->busy)
		return false;
	LOCK_SCOPE(&b->lock);
	return b->state == BACKEND_UP && b->ready;
}

static int check_outside(struct delete *d, struct tx *tx, const struct volume *v, struct err *err)
{
	struct backend *b = backend_by_name(d->q.e, v->backend);

	if (d->looked)
		return d->said == -EBUSY ? err_set(err, -EBUSY,
						   "volume '%s' is open by a program outside: see "
						   "its attachments/",
						   v->name)
					 : 0;
	if (!can_look(b))
		return 0;
	d->next = LOOK;
	d->at = b;
	image_of(v, &d->image);
	return err_set(err, -EBUSY, "volume '%s' may be in use", v->name);
}

static void note_gone(
	struct request *q, const struct volume *v, enum vol_status status, bool purged)
{
	note(q->e, (struct change_note){ .kind = CHANGE_VOLUME,
			   .volume = v->id,
			   .mask = VOL_CHANGED_GONE | VOL_CHANGED_STATUS,
			   .status = status,
			   .trashed = true,
			   .purged = purged });
	note(q->e, (struct change_note){ .kind = CHANGE_LIST, .volume = v->id });
}

/* The end of a volume: its row goes, and only the memory of it stays. */
static int purge_row(struct request *q, struct tx *tx, const struct volume *v)
{
	int r = request_event(q, tx, v->id, "volume.delete.end", "%s", v->backend);

	r = r < 0 ? r : tx_volume_purge(tx, v->id);
	note_gone(q, v, VOL_DELETING, true);
	return r;
}

/* From here on it is being deleted. A backend that is not configured any more fails it at once. */
static int begin_purge(struct delete *d, struct tx *tx, const struct volume *v)
{
	struct request *q = &d->q;
	struct backend *b = backend_by_name(q->e, v->backend);
	int r;

	if (!v->backend[0])
		return purge_row(q, tx, v);
	if (!b) {
		char reason[REASON_LEN + 1];

		(void)snprintf(reason, sizeof reason,
			"cannot be removed: backend '%s' is not configured", v->backend);
		note_gone(q, v, VOL_ERROR_DELETING, false);
		return tx_volume_status(tx, v->id, VOL_ERROR_DELETING, reason);
	}
	d->b = b;
	d->job = (struct job_row){
		.kind = JOB_PURGE, .volume = v->id, .backend = b->id, .size = v->size, .attempt = 1
	};
	memcpy(d->job.uuid, v->uuid, sizeof d->job.uuid);
	memcpy(d->job.image_id, v->image_id, sizeof d->job.image_id);
	r = tx_project(tx, v->project, &d->job.project);
	r = r < 0 ? r : tx_job_add(tx, &d->job);
	r = r < 0 ? r : tx_volume_status(tx, v->id, VOL_DELETING, "");
	note_gone(q, v, VOL_DELETING, false);
	return r;
}

static int delete_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct delete *d = (struct delete *)q;
	char size[TEXT_SIZE_MAX];
	struct volume v;
	int64_t project;
	int r;

	d->b = NULL;
	d->next = GO_ON;
	q->row = q->volume;
	r = tx_volume(tx, q->volume, &v);
	if (r == -ENOENT)
		return err_set(err, r, "no such volume");
	r = r < 0 ? r : check(&v, err);
	r = r < 0 ? r : check_uses(d, tx, &v, err);
	r = r < 0 ? r : check_status(&v, err);
	r = r < 0 ? r : check_outside(d, tx, &v, err);
	r = r < 0 ? r : tx_volume_trash(tx, v.id, 0);
	r = r < 0 ? r
		  : request_event(q, tx, v.id, "volume.delete.start", "name %s, size %s", v.name,
			    text_of_size(v.size, size));
	r = r < 0 ? r : tx_project(tx, v.project, &project);
	if (r < 0)
		return r;
	note_quota(q->e, project);
	return begin_purge(d, tx, &v);
}

static int purge_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct delete *d = (struct delete *)q;
	struct volume v;
	int64_t job;
	int r;

	d->b = NULL;
	q->row = q->volume;
	r = tx_volume(tx, q->volume, &v);
	if (r == -ENOENT || (r == 0 && !v.trashed))
		return err_set(err, -ENOENT, "no such volume in the trash");
	if (r == 0 && tx_job_of(tx, v.id, &job) == 0)
		return 0; /* it is being purged */
	return r < 0 ? r : begin_purge(d, tx, &v);
}

static void delete_ended(struct request *q, int code)
{
	struct delete *d = (struct delete *)q;
	struct job_brief brief = { d->job.id, d->job.volume, d->job.project, d->job.kind,
		d->job.class };

	if (code == 0 && d->b)
		worker_offer(d->b, &brief, false);
}

/* --- it is looked at again --- */

/* A question to the storage; lives until its answer, however late. */
struct look {
	struct engine *e;
	uint64_t number;
};

static bool is_look(const struct request *q, uint64_t number)
{
	return q->apply == delete_apply && ((const struct delete *)q)->look == number;
}

/* From a thread of the storage's library. */
static void look_done(void *arg, int code)
{
	struct look *l = arg;
	struct engine *e = l->e;
	struct request *q = later_take(e, is_look, l->number);

	free(l);
	if (q) {
		((struct delete *)q)->said = code;
		store_submit(e->store, &q->change);
	}
	atomic_fetch_sub(&e->looks, 1);
}

static bool look_outside(struct delete *d)
{
	struct look *l = malloc(sizeof *l);
	struct driver_image image = d->image;
	struct backend *b = d->at;

	if (!l)
		return false;
	d->looked = true;
	*l = (struct look){ d->q.e, d->look = atomic_fetch_add(&d->q.e->last_look, 1) + 1 };
	atomic_fetch_add(&l->e->looks, 1);
	if (!later_in_ms(&d->q, LOOK_MS)) {
		atomic_fetch_sub(&l->e->looks, 1);
		free(l);
		return false;
	}
	/* From here on d may be gone. */
	b->driver->busy(b->be, &image, look_done, l);
	return true;
}

static bool delete_divert(struct request *q, int code)
{
	struct delete *d = (struct delete *)q;

	if (code != -EBUSY || d->next == GO_ON)
		return false;
	return d->next == LOOK ? look_outside(d) : later_in_ms(q, RETRY_MS);
}

static void submit(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	int (*apply)(struct request *, struct tx *, struct err *), engine_done *done, void *arg)
{
	struct delete *d = request_new(e, sizeof *d, id, who, done, arg);

	if (!d)
		return;
	d->q.volume = volume;
	d->q.apply = apply;
	d->q.ended = delete_ended;
	d->q.divert = delete_divert;
	request_submit(&d->q);
}

void engine_delete(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	engine_done *done, void *arg)
{
	submit(e, id, who, volume, delete_apply, done, arg);
}

void engine_purge(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	engine_done *done, void *arg)
{
	submit(e, id, who, volume, purge_apply, done, arg);
}

/* --- the results --- */

struct outcome {
	struct request q;
	struct backend *b;
	struct job *job;
	int64_t id, volume;
	int code;
	char sentence[ERR_TEXT_MAX];
};

static int purge_failed(struct outcome *o, struct tx *tx, const struct volume *v)
{
	char reason[REASON_LEN + 1];
	int r;

	(void)snprintf(reason, sizeof reason, "%s: %.900s", o->b->conf->name, o->sentence);
	r = tx_volume_status(tx, v->id, VOL_ERROR_DELETING, reason);
	r = r < 0 ? r : request_event(&o->q, tx, v->id, "volume.delete.error", "%s", reason);
	note_volume(o->q.e, v->id, VOL_CHANGED_STATUS, VOL_ERROR_DELETING, true);
	return r;
}

static int purge_outcome_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct outcome *o = (struct outcome *)q;
	struct volume v;
	int r = tx_job_remove(tx, o->id);

	if (r == -ENOENT)
		return 0;
	r = r < 0 ? r : tx_volume(tx, o->volume, &v);
	if (r < 0)
		return r;
	return o->code < 0 ? purge_failed(o, tx, &v) : purge_row(q, tx, &v);
}

static void outcome_ended(struct request *q, int code)
{
	worker_forget(((struct outcome *)q)->job);
}

static struct outcome *outcome_new(
	struct backend *b, struct run *r, int (*apply)(struct request *, struct tx *, struct err *))
{
	struct outcome *o = request_new(b->e, sizeof *o, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!o)
		return NULL;
	o->b = b;
	o->job = r->job;
	o->id = r->job->id;
	o->volume = r->row.volume;
	o->code = r->code;
	/* After a power cut the job is there again, and finds nothing to remove. (A creation's result waits for the disk: what is
	 * written to the volume from then on must not meet that job again, for it might be given up.) */
	o->q.change.lazy = r->code == 0;
	(void)snprintf(o->sentence, sizeof o->sentence, "%s",
		r->err.text[0] ? r->err.text : strerror(-r->code));
	o->q.apply = apply;
	o->q.ended = outcome_ended;
	o->q.must = true;
	return o;
}

static struct request *purge_finish(struct backend *b, struct run *r)
{
	struct outcome *o = outcome_new(b, r, purge_outcome_apply);

	if (r->code < 0)
		log_warning("backend %s: volume %s: cannot be removed: %s", b->conf->name,
			r->row.uuid, r->err.text);
	return o ? &o->q : NULL;
}

static const struct step remove_steps[] = {
	{ "image", step_remove_image, NULL },
	{ 0 },
};

const struct op op_purge = { JOB_PURGE, remove_steps, purge_finish };

/* --- cleaning up after an attempt --- */

static int clean_outcome_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct outcome *o = (struct outcome *)q;
	struct job_row row;
	int r = tx_job(tx, o->id, &row);

	if (r == -ENOENT)
		return 0;
	if (r == 0 && row.kind != JOB_CLEAN)
		return -EAGAIN; /* giving up is on its way; the volume must not lose its only job */
	return r < 0 ? r : tx_job_remove(tx, o->id);
}

static struct request *clean_finish(struct backend *b, struct run *r)
{
	struct outcome *o = NULL;

	if (r->code == 0)
		o = outcome_new(b, r, clean_outcome_apply);
	else if (r->job->failures == 0)
		log_warning("backend %s: volume %s: what an attempt left cannot be removed yet: %s",
			b->conf->name, r->row.uuid, r->err.text);
	r->job->kind = JOB_CLEAN;
	r->job->class = CLASS_OTHER;
	return o ? &o->q : NULL;
}

const struct op op_clean = { JOB_CLEAN, remove_steps, clean_finish };
