/*
 * Adoption: an image that somebody else has made becomes a volume's.
 *
 *   engine_adopt ─▶ [ checks, quota, volume `managing`, job ] ─▶ worker: image renamed ─▶ its snapshots ─▶ [ `available`, job gone ]
 *                                                                 │                        └─ [ rows of them ], then each renamed
 *                                                                 │ failed: its old name again
 *                                                                 └─▶ [ `error_managing` with the reason, job gone ]
 *
 * It is there already, so no backend is asked whether it has room for it, nor whether it meets its type's extra specs. One whose name
 * could be a volume's of ours (from a catalogue that was lost, from another program of the same habits) keeps that name and its UUID.
 * A snapshot is called as in the storage where that is a name, else by its UUID; its description keeps the old name, by which a
 * repetition after a crash finds the row.
 */
#include "engine/internal.h"

#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- the request --- */

struct adopt {
	struct request q;
	struct volume vol;
	char fresh[UUID_LEN + 1]; /* its UUID, unless the image has one */
};

static int find_image(struct adopt *a, struct tx *tx, struct backend **ret_b, struct unmanaged *ret,
	struct err *err)
{
	int r = tx_unmanaged(tx, a->q.row, ret);
	int64_t id;

	if (r == -ENOENT)
		return err_set(err, r, "no such image: it is gone, or a volume's by now");
	*ret_b = r < 0 ? NULL : backend_by_id(a->q.e, ret->backend);
	if (r < 0)
		return r;
	if (!*ret_b)
		return err_set(err, -EIO, "the image's backend is not configured");
	if (!(*ret_b)->driver->adopt)
		return err_set(
			err, -EOPNOTSUPP, "backend '%s' adopts nothing", (*ret_b)->conf->name);
	if (ret->reason[0])
		return err_set(
			err, -EBUSY, "image '%s' cannot be adopted: %s", ret->name, ret->reason);
	if (tx_job_of_name(tx, ret->backend, ret->name, &id) == 0)
		return err_set(err, -EBUSY, "image '%s' is being adopted or let go", ret->name);
	return 0;
}

static int choose_uuid(struct adopt *a, struct tx *tx, const struct unmanaged *u, struct err *err)
{
	int64_t id;

	if (!image_is_ours(u->name, a->vol.uuid)) {
		memcpy(a->vol.uuid, a->fresh, sizeof a->vol.uuid);
		return 0;
	}
	if (tx_volume_by_uuid(tx, a->vol.uuid, &id) == 0)
		return err_set(err, -EBUSY, "image '%s' is a volume's", u->name);
	if (tx_volume_purged(tx, a->vol.uuid, &id) == 0)
		return err_set(err, -EBUSY,
			"image '%s' was a volume's that is gone for less than an hour: try again later",
			u->name);
	return 0;
}

/* The default type, if there is one; then whether it all may be. Each snapshot counts as much as the image. */
static int reserve(struct adopt *a, struct tx *tx, const struct unmanaged *u, struct err *err)
{
	const struct reader reader = { NULL, tx };
	struct volume *v = &a->vol;
	struct vol_type t;
	struct quotas q;
	uint64_t bytes;
	int r = type_wanted(a->q.e, &reader, NULL, v->project, true, &t, err);

	if (r < 0)
		return r;
	v->type_id = t.id;
	memcpy(v->type, t.name, sizeof v->type);
	memcpy(v->type_uuid, t.uuid, sizeof v->type_uuid);
	if (__builtin_mul_overflow(u->size, 1 + (uint64_t)u->snapshots, &bytes))
		bytes = UINT64_MAX;
	r = quotas_read(&reader, v->project, v->type_id, &q);
	r = r < 0 ? r : size_check(&q, u->size, err);
	r = r < 0 ? r : quota_check(&q, 1, bytes, err);
	return r < 0 ? r : quota_check_snapshots(&q, u->snapshots, 0, err);
}

static int add(struct adopt *a, struct tx *tx, struct backend *b, const struct unmanaged *u)
{
	struct job_row job;
	struct volume *v = &a->vol;
	char text[NAME_LEN + 64];
	int n, r;

	v->status = VOL_MANAGING;
	v->size = u->size;
	(void)snprintf(v->backend, sizeof v->backend, "%s", b->conf->name);
	(void)snprintf(v->zone, sizeof v->zone, "%s", b->conf->zone);
	n = snprintf(text, sizeof text, "# adopted from backend '%s'\nsize=%llu\n", b->conf->name,
		(unsigned long long)u->size);
	r = tx_volume_add(tx, v, false, text, (size_t)n);
	r = r < 0 ? r : tx_volume_used(tx, v->id, u->used);
	r = r < 0 ? r : job_for(tx, b, v, JOB_ADOPT, CLASS_OTHER, &job);
	if (r < 0)
		return r;
	memcpy(job.image, u->name, sizeof job.image);
	note_quota(a->q.e, job.project);
	return job_begin(&a->q, tx, b, &job);
}

static int adopt_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct adopt *a = (struct adopt *)q;
	char size[TEXT_SIZE_MAX];
	struct backend *b = NULL;
	struct unmanaged u;
	int r = find_image(a, tx, &b, &u, err);

	r = r < 0 ? r : choose_uuid(a, tx, &u, err);
	r = r < 0 ? r : spec_name_check(a->vol.name, a->vol.uuid, err);
	r = r < 0 ? r : name_free(tx, a->vol.name, err);
	r = r < 0 ? r : reserve(a, tx, &u, err);
	r = r < 0 ? r : add(a, tx, b, &u);
	r = r < 0 ? r : tx_unmanaged_remove(tx, u.id);
	r = r < 0 ? r
		  : request_event(q, tx, a->vol.id, "volume.manage_existing.start",
			    "image %s of %s, size %s", u.name, b->conf->name,
			    text_of_size(u.size, size));
	if (r < 0)
		return r;
	q->volume = a->vol.id;
	note_volume(q->e, a->vol.id, VOL_CHANGED_NEW | VOL_CHANGED_STATUS, VOL_MANAGING, false);
	note(q->e, (struct change_note){ .kind = CHANGE_LIST, .volume = a->vol.id });
	note_unmanaged(q->e, b->id);
	return 0;
}

static int adopt_run(struct request *q, struct tx *tx, struct err *err)
{
	int64_t unmanaged = q->row;
	int r = adopt_apply(q, tx, err);

	/* it may run again */
	q->row = r < 0 ? unmanaged : q->volume;
	return r;
}

void engine_adopt(struct engine *e, struct change_id id, const struct caller *who,
	int64_t unmanaged, const char *name, engine_done *done, void *arg)
{
	struct adopt *a = request_new(e, sizeof *a, id, who, done, arg);
	struct err err = { 0 };
	int r;

	if (!a)
		return;
	a->q.row = unmanaged;
	a->q.apply = adopt_run;
	r = who->admin ? project_of(e, who, NULL, a->vol.project, &a->vol.gid, &err)
		       : err_set(&err, -EACCES, "only an administrator adopts an image");
	if (r == 0 && strlen(name) > NAME_LEN)
		r = err_set(&err, -ENAMETOOLONG, "a name has at most %d bytes", (int)NAME_LEN);
	if (r < 0) {
		request_refuse(&a->q, r, &err);
		return;
	}
	(void)snprintf(a->vol.name, sizeof a->vol.name, "%s", name);
	a->vol.uid = who->uid;
	a->vol.mode = e->conf->volume_mode;
	new_uuid(a->fresh);
	request_submit(&a->q);
}

/* --- the image --- */

/* It may have changed since it was seen. */
static int still_fits(uint64_t size, struct err *err)
{
	if (size >= SIZE_MIN && size <= INT64_MAX && size % SIZE_UNIT == 0)
		return 0;
	return err_set(err, -EINVAL,
		"it has %llu bytes: a volume has at least 1 MiB, in units of %d bytes",
		(unsigned long long)size, (int)SIZE_UNIT);
}

static void image_adopt(struct backend *b, struct run *const *run, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct run *r = run[i];
		struct driver_image image;

		run_image(r, &image);
		r->code = b->driver->adopt(b->be, r->row.image, &image, &r->err);
		if (r->code == 0)
			r->code = still_fits(image.size, &r->err);
		memcpy(r->row.image_id, image.image_id, sizeof r->row.image_id);
		r->row.size = image.size;
	}
}

static int image_disown(struct backend *b, struct run *r)
{
	struct driver_image image;
	char uuid[UUID_LEN + 1];
	struct err err = { 0 };
	int code;

	if (image_is_ours(r->row.image, uuid))
		return 0;
	run_image(r, &image);
	code = driver_said(b, b->driver->disown(b->be, &image, r->row.image, &err), &err);
	return code == -ENOENT ? 0 : code; /* neither is there */
}

static void snaps_adopt(struct backend *b, struct run *const *run, size_t n)
{
	for (size_t i = 0; i < n; i++)
		run[i]->code = adopt_snaps(b, run[i]);
}

static const struct step adopt_steps[] = {
	{ "image", image_adopt, image_disown },
	{ "snapshots", snaps_adopt,
		NULL }, /* they go back with their image, under their new names */
	{ 0 },
};

/* --- the result --- */

static int adopted(struct outcome *o, struct tx *tx, const struct volume *v)
{
	char size[TEXT_SIZE_MAX];
	int r = tx_volume_status(tx, v->id, VOL_AVAILABLE, "");

	note(o->q.e, (struct change_note){ .kind = CHANGE_VOLUME,
			     .volume = v->id,
			     .mask = VOL_CHANGED_STATUS | VOL_CHANGED_SIZE | VOL_CHANGED_PLACE,
			     .status = VOL_AVAILABLE,
			     .size = v->size });
	return r < 0 ? r
		     : request_event(&o->q, tx, v->id, "volume.manage_existing.end", "size %s",
			       text_of_size(v->size, size));
}

static int not_adopted(struct outcome *o, struct tx *tx, const struct volume *v)
{
	char reason[REASON_LEN + 1], called[UUID_LEN + 64] = "";
	int r;

	if (o->left_over)
		(void)snprintf(
			called, sizeof called, "; the image is called volume-%s now", o->uuid);
	(void)snprintf(
		reason, sizeof reason, "%s: %.800s%s", o->b->conf->name, o->sentence, called);
	r = tx_volume_status(tx, v->id, VOL_ERROR_MANAGING, reason);
	note_volume(o->q.e, v->id, VOL_CHANGED_STATUS, VOL_ERROR_MANAGING, false);
	return r < 0 ? r
		     : request_event(
			       &o->q, tx, v->id, "volume.manage_existing.error", "%s", reason);
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
	r = r < 0 ? r : adopt_snaps_end(q->e, tx, o->volume, o->code >= 0);
	r = r < 0 ? r : tx_project(tx, v.project, &project);
	if (r < 0)
		return r;
	atomic_fetch_add(&o->b->adoptions, 1);
	note_quota(q->e, project);
	return o->code < 0 ? not_adopted(o, tx, &v) : adopted(o, tx, &v);
}

static void adopt_ended(struct request *q, int code)
{
	struct outcome *o = (struct outcome *)q;

	outcome_ended(q, code);
	measure_now(o->b, o->volume);
}

static struct request *adopt_finish(struct backend *b, struct run *r)
{
	struct outcome *o = outcome_new(b, r, sizeof *o, outcome_apply);

	if (!o)
		return NULL;
	o->q.ended = adopt_ended;
	if (r->code < 0)
		log_warning("backend %s: image %s: cannot be adopted: %s", b->conf->name,
			r->row.image, o->sentence);
	return &o->q;
}

const struct op op_adopt = { JOB_ADOPT, adopt_steps, adopt_finish };
