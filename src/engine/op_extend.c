/*
 * Extension.
 *
 *   engine_extend ─▶ [ checks, quota and room reserved, `extending`, job ] ─▶ worker: resize ─▶ [ new size, `available` or `in-use`, job gone ]
 *                                                                                │ failed
 *                                                                                └─▶ [ `error_extending`, reservation gone, job gone ]
 */
#include "engine/internal.h"

#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct extend {
	struct request q;
	uint64_t size;
	struct backend *b; /* of the last apply() */
	struct reclaim reclaim;
};

static int check(const struct volume *v, uint64_t size, struct err *err)
{
	char now[TEXT_SIZE_MAX], want[TEXT_SIZE_MAX];

	if (v->status != VOL_AVAILABLE && v->status != VOL_IN_USE)
		return err_set(
			err, -EBUSY, "volume '%s' is %s", v->name, vol_status_name(v->status));
	if (size < v->size)
		return err_set(err, -EINVAL, "volume '%s' has %s: it cannot shrink to %s", v->name,
			text_of_size(v->size, now), text_of_size(size, want));
	return 0;
}

/* What is made from a volume as it is now has its size. */
static int check_clones(struct tx *tx, const struct volume *v, struct err *err)
{
	struct job_row job;
	int r = tx_job_from_now(tx, v->id, &job);

	return r == -ENOENT ? 0 : r < 0 ? r : source_check(tx, v, 0, err);
}

static int reserve(struct extend *x, struct tx *tx, const struct volume *v, struct err *err)
{
	uint64_t more = x->size - v->size;
	const struct type_rules *rules;
	struct vol_type t = { 0 };
	struct reclaim found = { 0 };
	struct quotas q;
	int r = quotas_read(&(struct reader){ NULL, tx }, v->project, v->type_id, &q);

	memcpy(t.name, v->type, sizeof t.name);
	r = r < 0 ? r : type_rules(x->q.e, tx, v->type_id, &rules, err);
	r = r < 0 ? r : type_size_check(&t, rules, x->size, err);
	r = r < 0 ? r : size_check(&q, x->size, err);
	r = r < 0 ? r : quota_check(&q, 0, more, err);
	x->b = backend_by_name(x->q.e, v->backend);
	if (r == 0 && !x->b)
		r = err_set(err, -EIO, "backend '%s' is not configured", v->backend);
	r = r < 0 ? r : place_more(x->q.e, tx, x->b, v, x->size, &found, err);
	if (r == -ENOSPC)
		r = reclaim_wanted(&x->reclaim, &found, err);
	return r < 0 ? r : tx_volume_reserve(tx, v->id, more);
}

static int begin(struct extend *x, struct tx *tx, const struct volume *v)
{
	char now[TEXT_SIZE_MAX], want[TEXT_SIZE_MAX];
	struct job_row job;
	int r = job_for(tx, x->b, v, JOB_EXTEND, CLASS_OTHER, &job);

	job.size = x->size;
	r = r < 0 ? r : job_begin(&x->q, tx, x->b, &job);
	r = r < 0 ? r : tx_volume_status(tx, v->id, VOL_EXTENDING, "");
	r = r < 0 ? r
		  : request_event(&x->q, tx, v->id, "volume.resize.start", "from %s to %s",
			    text_of_size(v->size, now), text_of_size(x->size, want));
	note_volume(x->q.e, v->id, VOL_CHANGED_STATUS, VOL_EXTENDING, false);
	note_quota(x->q.e, job.project);
	return r;
}

static int extend_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct extend *x = (struct extend *)q;
	struct volume v;
	int r;

	q->row = q->volume;
	r = volume_live(tx, q->volume, &v, err);
	r = r < 0 ? r : check(&v, x->size, err);
	if (r < 0 || x->size == v.size)
		return r;
	r = check_clones(tx, &v, err);
	r = r < 0 ? r : snapshots_rest(tx, &v, err);
	r = r < 0 ? r : reserve(x, tx, &v, err);
	return r < 0 ? r : begin(x, tx, &v);
}

static bool extend_divert(struct request *q, int code)
{
	return reclaim_divert(q, &((struct extend *)q)->reclaim, code);
}

void engine_extend(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	uint64_t size, engine_done *done, void *arg)
{
	struct extend *x = request_new(e, sizeof *x, id, who, done, arg);

	if (!x)
		return;
	x->q.volume = volume;
	x->q.apply = extend_apply;
	x->q.divert = extend_divert;
	x->size = size;
	if (size < SIZE_MIN || size % SIZE_UNIT || size > INT64_MAX) {
		struct err err;

		err_set(&err, -EINVAL, "a volume has at least 1 MiB, in units of 512 bytes");
		request_refuse(&x->q, err.code, &err);
		return;
	}
	request_submit(&x->q);
}

/* --- the step and its result --- */

static void image_resize(struct backend *b, struct run *const *run, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct driver_image image;

		run_image(run[i], &image);
		run[i]->code = b->driver->resize(b->be, &image, image.size, &run[i]->err);
	}
}

static const struct step extend_steps[] = {
	{ "image", image_resize, NULL }, /* nothing to undo: an image never shrinks */
	{ 0 },
};

static int extended(struct outcome *o, struct tx *tx)
{
	char size[TEXT_SIZE_MAX];
	enum vol_status to = VOL_AVAILABLE;
	int r = tx_volume_resize(tx, o->volume, o->size);

	r = r < 0 ? r : use_status(tx, o->volume, &to); /* by who uses it by now */
	r = r < 0 ? r : tx_volume_status(tx, o->volume, to, "");
	note(o->q.e, (struct change_note){ .kind = CHANGE_VOLUME,
			     .volume = o->volume,
			     .mask = VOL_CHANGED_STATUS | VOL_CHANGED_SIZE,
			     .status = to,
			     .size = o->size });
	return r < 0 ? r
		     : request_event(&o->q, tx, o->volume, "volume.resize.end", "%s",
			       text_of_size(o->size, size));
}

static int not_extended(struct outcome *o, struct tx *tx)
{
	char reason[REASON_LEN + 1];
	int r = tx_volume_reserve(tx, o->volume, 0);

	outcome_reason(o, reason);
	r = r < 0 ? r : tx_volume_status(tx, o->volume, VOL_ERROR_EXTENDING, reason);
	note_volume(o->q.e, o->volume, VOL_CHANGED_STATUS, VOL_ERROR_EXTENDING, false);
	return r < 0 ? r : request_event(&o->q, tx, o->volume, "volume.resize.error", "%s", reason);
}

static int outcome_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct outcome *o = (struct outcome *)q;
	struct volume v;
	int64_t project;
	int r = tx_job_remove(tx, o->id);

	if (r == -ENOENT)
		return 0;
	r = r < 0 ? r : tx_volume(tx, o->volume, &v);
	r = r < 0 ? r : tx_project(tx, v.project, &project);
	if (r < 0)
		return r;
	note_quota(q->e, project);
	return o->code < 0 ? not_extended(o, tx) : extended(o, tx);
}

static struct request *extend_finish(struct backend *b, struct run *r)
{
	struct outcome *o = outcome_new(b, r, sizeof *o, outcome_apply);

	if (o && r->code < 0)
		log_warning("backend %s: volume %s: cannot be extended: %s", b->conf->name, o->uuid,
			o->sentence);
	return o ? &o->q : NULL;
}

const struct op op_extend = { JOB_EXTEND, extend_steps, extend_finish };
