/*
 * Letting go: a volume is forgotten, its image stays in the storage under a name of its own. The other way of op_adopt.c.
 *
 *   engine_disown ─▶ [ checks, `unmanaging`, job, row in unmanaged/ ] ─▶ worker: image renamed ─▶ [ volume and its snapshots' rows gone ]
 *                                                                         │ failed: ours again
 *                                                                         └─▶ [ `available` with the reason, job gone ]
 *
 * Its snapshots stay as they are in the storage. Where its image is missing, or has a name that nobody can tell, it is `error_unmanaging`,
 * until an administrator's `reset`.
 */
#include "engine/internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the request --- */

struct disown {
	struct unused u;
	int64_t backend;
	char *image;
};

static void disown_release(struct request *q)
{
	free(((struct disown *)q)->image);
}

static int check_status(const struct volume *v, struct err *err)
{
	if (v->status != VOL_AVAILABLE)
		return err_set(
			err, -EBUSY, "volume '%s' is %s", v->name, vol_status_name(v->status));
	return 0;
}

/* Nothing of ours may come to depend on what is not ours any more. */
static int is_needed(struct tx *tx, const struct volume *v, struct err *err)
{
	struct volume child = { 0 };
	int64_t id;
	int r = source_check(tx, v, 0, err);

	if (r < 0)
		return r;
	if (tx_job_of_snapshots(tx, v->id, &id) == 0)
		return err_set(
			err, -EBUSY, "snapshots of volume '%s' are being made or removed", v->name);
	if (tx_volume_child(tx, v->id, &id) < 0)
		return 0;
	if (tx_volume(tx, id, &child) < 0)
		return err_set(err, -EBUSY,
			"the image of volume '%s' is needed by one that is being removed", v->name);
	if (child.trashed)
		return err_set(err, -EBUSY,
			"volume '%s' in the trash was made from '%s' and still needs its image",
			child.uuid, v->name);
	return err_set(err, -EBUSY, "volume '%s' was made from '%s' and still needs its image",
		child.name, v->name);
}

/* May the image have that name? */
static int name_check(struct disown *d, struct tx *tx, const struct driver *driver,
	const struct volume *v, struct err *err)
{
	char uuid[UUID_LEN + 1];
	struct unmanaged u;
	int64_t id;

	if (!d->image[0] || strlen(d->image) > NAME_LEN)
		return err_set(err, -EINVAL, "an image's name has 1 to %d bytes", (int)NAME_LEN);
	if (!image_is_ours(d->image, uuid)) {
		if (driver->can_be_called && !driver->can_be_called(d->image))
			return err_set(err, -EINVAL, "no image on '%s' can be called '%s'",
				v->backend, d->image);
	} else if (strcmp(uuid, v->uuid) != 0) {
		return err_set(
			err, -EINVAL, "'%s' is the name of another volume's image", d->image);
	}
	if (tx_unmanaged_by_name(tx, d->backend, d->image, &u) == 0)
		return err_set(err, -EEXIST, "image '%s' exists", d->image);
	if (tx_job_of_name(tx, d->backend, d->image, &id) == 0)
		return err_set(err, -EBUSY, "image '%s' is being adopted or let go", d->image);
	return 0;
}

static int find_backend(
	struct disown *d, const struct volume *v, struct backend **ret, struct err *err)
{
	struct backend *b = *ret = backend_by_name(d->u.q.e, v->backend);

	if (!b)
		return err_set(err, -EIO, "backend '%s' is not configured", v->backend);
	if (b->id != d->backend)
		return err_set(err, -EINVAL, "volume '%s' is on backend '%s'", v->name, v->backend);
	if (!b->driver->disown)
		return err_set(err, -EOPNOTSUPP, "backend '%s' lets nothing go", v->backend);
	return 0;
}

/* What is where it is going, so that whoever moved it there finds it; only to look at yet. */
static int show(struct request *q, struct tx *tx, const struct volume *v, int64_t backend,
	const char *image)
{
	struct unmanaged u = { .backend = backend, .size = v->size, .used = v->used };
	uint64_t snaps = 0, bytes;
	int r = tx_snapshot_sums(tx, v->id, &snaps, &bytes);

	u.snapshots = (unsigned)snaps;
	(void)snprintf(u.name, sizeof u.name, "%s", image);
	(void)snprintf(u.reason, sizeof u.reason, "volume %s is being let go", v->uuid);
	r = r < 0 ? r : tx_unmanaged_see(tx, &u);
	note_unmanaged(q->e, backend);
	return r;
}

static int begin(struct disown *d, struct tx *tx, struct backend *b, const struct volume *v)
{
	struct request *q = &d->u.q;
	struct job_row job;
	int r = job_for(tx, b, v, JOB_DISOWN, CLASS_OTHER, &job);

	(void)snprintf(job.image, sizeof job.image, "%s", d->image);
	r = r < 0 ? r : job_begin(q, tx, b, &job);
	r = r < 0 ? r : tx_volume_status(tx, v->id, VOL_UNMANAGING, "");
	r = r < 0 ? r : show(q, tx, v, b->id, d->image);
	r = r < 0 ? r
		  : request_event(q, tx, v->id, "volume.unmanage.start", "image %s of %s", d->image,
			    b->conf->name);
	note_volume(q->e, v->id, VOL_CHANGED_STATUS, VOL_UNMANAGING, false);
	return r;
}

static int disown_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct disown *d = (struct disown *)q;
	struct backend *b;
	struct volume v;
	int r;

	unused_begin(&d->u);
	q->row = q->volume;
	r = volume_live(tx, q->volume, &v, err);
	r = r < 0 ? r : find_backend(d, &v, &b, err);
	r = r < 0 ? r : unused_here(&d->u, tx, &v, err);
	r = r < 0 ? r : check_status(&v, err);
	r = r < 0 ? r : is_needed(tx, &v, err);
	r = r < 0 ? r : name_check(d, tx, b->driver, &v, err);
	r = r < 0 ? r : unused_outside(&d->u, &v, err);
	return r < 0 ? r : begin(d, tx, b, &v);
}

void engine_disown(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	int64_t backend, const char *image, engine_done *done, void *arg)
{
	struct disown *d = request_new(e, sizeof *d, id, who, done, arg);
	struct err err = { 0 };
	int r = 0;

	if (!d)
		return;
	d->u.q.volume = volume;
	d->u.q.apply = disown_apply;
	d->u.q.divert = unused_divert;
	d->u.q.release = disown_release;
	d->backend = backend;
	d->image = strdup(image);
	if (!who->admin)
		r = err_set(&err, -EACCES, "only an administrator lets an image go");
	else if (!d->image)
		r = -ENOMEM;
	request_send(&d->u.q, r, &err);
}

/* --- the image --- */

/* It was let go under the name that it has. */
static bool keeps_name(const struct job_row *row)
{
	char uuid[UUID_LEN + 1];

	return image_is_ours(row->image, uuid);
}

static void image_disown(struct backend *b, struct run *const *run, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct run *r = run[i];
		struct driver_image image;

		run_image(r, &image);
		if (b->e->let_go && b->e->let_go(b->e->let_go_arg, b->be, image.uuid) < 0)
			r->code = err_set(&r->err, -EBUSY, "its bytes are still in use here");
		else if (!keeps_name(&r->row))
			r->code = b->driver->disown(b->be, &image, r->row.image, &r->err);
	}
}

/* Somebody has it open: then it was not renamed, and cannot be renamed back. */
static bool is_ours_still(struct backend *b, const struct run *r)
{
	char name[sizeof "volume-" + UUID_LEN];
	struct driver_found found;

	(void)snprintf(name, sizeof name, "volume-%s", r->row.uuid);
	return r->code == -EBUSY && b->driver->look(b->be, name, &found, NULL) == 0;
}

static int image_adopt(struct backend *b, struct run *r)
{
	struct driver_image image;
	struct err err = { 0 };

	/* Nothing was done, and what has that name is somebody else's: it is not to become ours. */
	if (keeps_name(&r->row) || r->code == -EEXIST || r->code == -EINVAL || r->code == -ENOENT ||
		is_ours_still(b, r))
		return 0;
	run_image(r, &image);
	return driver_said(b, b->driver->adopt(b->be, r->row.image, &image, &err), &err);
}

static const struct step disown_steps[] = {
	{ "image", image_disown, image_adopt },
	{ 0 },
};

/* --- the result --- */

struct let_go {
	struct outcome o;
	char image[NAME_LEN + 1];
};

/* The row that shows it: an image like others from now on, or none. */
static int show_outcome(struct let_go *g, struct tx *tx)
{
	struct unmanaged u;
	int r = tx_unmanaged_by_name(tx, g->o.b->id, g->image, &u);

	note_unmanaged(g->o.q.e, g->o.b->id);
	if (r == -ENOENT)
		return 0; /* the next look through finds it */
	if (r < 0 || g->o.code < 0)
		return r < 0 ? r : tx_unmanaged_remove(tx, u.id);
	u.reason[0] = '\0';
	return tx_unmanaged_see(tx, &u);
}

static int let_go(struct let_go *g, struct tx *tx, const struct volume *v)
{
	int64_t project;
	int r = request_event(
		&g->o.q, tx, v->id, "volume.unmanage.end", "image %s of %s", g->image, v->backend);

	r = r < 0 ? r : tx_project(tx, v->project, &project);
	r = r < 0 ? r : tx_volume_purge(tx, v->id);
	r = r < 0 ? r : release_held(&g->o.q, tx, v->parent);
	if (r < 0)
		return r;
	note_quota(g->o.q.e, project);
	note_gone(&g->o.q, v, VOL_UNMANAGING, true);
	return 0;
}

static int not_let_go(struct let_go *g, struct tx *tx, const struct volume *v)
{
	enum vol_status to =
		g->o.left_over || g->o.code == -ENOENT ? VOL_ERROR_UNMANAGING : VOL_AVAILABLE;
	char reason[REASON_LEN + 1], called[NAME_LEN + 32] = "";
	int r;

	if (g->o.left_over)
		(void)snprintf(called, sizeof called, "; it may be called %s by now", g->image);
	(void)snprintf(
		reason, sizeof reason, "%s: %.600s%s", g->o.b->conf->name, g->o.sentence, called);
	r = tx_volume_status(tx, v->id, to, reason);
	note_volume(g->o.q.e, v->id, VOL_CHANGED_STATUS, to, false);
	return r < 0 ? r : request_event(&g->o.q, tx, v->id, "volume.unmanage.error", "%s", reason);
}

static int let_go_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct let_go *g = (struct let_go *)q;
	struct volume v;
	int r = tx_job_remove(tx, g->o.id);

	if (r == -ENOENT)
		return 0;
	r = r < 0 ? r : tx_volume(tx, g->o.volume, &v);
	r = r < 0 ? r : show_outcome(g, tx);
	if (r < 0)
		return r;
	return g->o.code < 0 ? not_let_go(g, tx, &v) : let_go(g, tx, &v);
}

static struct request *disown_finish(struct backend *b, struct run *r)
{
	struct let_go *g = outcome_new(b, r, sizeof *g, let_go_apply);

	if (!g)
		return NULL;
	memcpy(g->image, r->row.image, sizeof g->image);
	if (r->code < 0)
		log_warning("backend %s: volume %s: cannot be let go: %s", b->conf->name, g->o.uuid,
			g->o.sentence);
	return &g->o.q;
}

const struct op op_disown = { JOB_DISOWN, disown_steps, disown_finish };
