/*
 * Deletion: rmdir of a volume, which puts it into the trash (trash.c). What is in use stays (unused.c), and what has snapshots, or is the
 * source of a volume that is being made.
 */
#include "engine/internal.h"

#include <errno.h>

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

static int delete_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct unused *u = (struct unused *)q;
	struct volume v;
	int r;

	unused_begin(u);
	q->row = q->volume;
	r = tx_volume(tx, q->volume, &v);
	if (r == -ENOENT)
		return err_set(err, r, "no such volume");
	r = r < 0 ? r : check(&v, err);
	r = r < 0 ? r : unused_here(u, tx, &v, err);
	r = r < 0 ? r : check_status(&v, err);
	r = r < 0 ? r : snapshots_check(tx, &v, err);
	r = r < 0 ? r : source_check(tx, &v, 0, err);
	r = r < 0 ? r : unused_outside(u, &v, err);
	return r < 0 ? r : trash_put(q, tx, &v);
}

void engine_delete(struct engine *e, struct view *v, struct change_id id, const struct caller *who,
	int64_t volume, engine_done *done, void *arg)
{
	struct unused *u = request_new(e, sizeof *u, id, who, done, arg);
	struct err err = { 0 };
	struct volume vol;
	bool likely;

	if (!u)
		return;
	likely = v && view_volume(v, volume, &vol) == 0 && check(&vol, &err) == 0 &&
		 check_status(&vol, &err) == 0;
	request_counts(&u->q, OP_DELETE);
	u->q.volume = volume;
	u->q.apply = delete_apply;
	u->q.divert = unused_divert;
	unused_submit(u, likely ? &vol : NULL);
}
