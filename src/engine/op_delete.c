/*
 * Deletion: rmdir of a volume, which puts it into the trash (trash.c).
 *
 * What is in use stays: what has an attachment or an open `data`, snapshots, or a volume that is being made from it. A close may still be
 * on its way behind what it wrote, so a volume that is only open is looked at again for CLOSE_MS. Programs outside are not known here: the
 * storage is asked, between two runs of the request, and has LOOK_MS to answer; who does not, or is down, does not keep anybody from
 * deleting: the purge finds out.
 *
 *   apply() ─ only open: after RETRY_MS ─▶ apply()
 *      └───── may go, not asked yet: driver->busy(), or LOOK_MS ─▶ apply()
 */
#include "engine/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

enum { CLOSE_MS = 100, RETRY_MS = 5, LOOK_MS = 100 };

struct delete
{
	struct request q;
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

static int delete_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct delete *d = (struct delete *)q;
	struct volume v;
	int r;

	d->next = GO_ON;
	q->row = q->volume;
	r = tx_volume(tx, q->volume, &v);
	if (r == -ENOENT)
		return err_set(err, r, "no such volume");
	r = r < 0 ? r : check(&v, err);
	r = r < 0 ? r : check_uses(d, tx, &v, err);
	r = r < 0 ? r : check_status(&v, err);
	r = r < 0 ? r : snapshots_check(tx, &v, err);
	r = r < 0 ? r : source_check(tx, &v, 0, err);
	r = r < 0 ? r : check_outside(d, tx, &v, err);
	return r < 0 ? r : trash_put(q, tx, &v);
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

void engine_delete(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	engine_done *done, void *arg)
{
	struct delete *d = request_new(e, sizeof *d, id, who, done, arg);

	if (!d)
		return;
	d->q.volume = volume;
	d->q.apply = delete_apply;
	d->q.divert = delete_divert;
	request_submit(&d->q);
}
