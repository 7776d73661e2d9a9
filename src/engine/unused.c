/*
 * Nobody uses a volume: for what a user of its bytes would not survive.
 *
 * What has an attachment or an open `data` is in use. A close may still be on its way behind what it wrote, so a volume that is only open
 * is looked at again for CLOSE_MS. Programs outside are not known here: the storage is asked, between two runs of the request, and has
 * LOOK_MS to answer; who does not, or is down, keeps nobody: the driver finds out when it comes to that.
 *
 *   apply() ─ only open: after RETRY_MS ─▶ apply()
 *      └───── all else is well, not asked yet: driver->busy(), or LOOK_MS ─▶ apply()
 *
 * Where all else is likely to be well the storage is asked before the first run, which would only wait for a commit to say so.
 */
#include "engine/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

enum { CLOSE_MS = 100, RETRY_MS = 5, LOOK_MS = 100 };

void unused_begin(struct unused *u)
{
	u->next = UNUSED_GO_ON;
}

int unused_here(struct unused *u, struct tx *tx, const struct volume *v, struct err *err)
{
	int64_t now = clock_mono_ns();
	char who[USE_WHO];
	struct use use;
	int r = tx_use_holder(tx, v->id, false, &use);

	if (r == -ENOENT || r < 0)
		return r == -ENOENT ? 0 : r;
	if (use.kind == USE_OPEN && !u->patience_ns)
		u->patience_ns = now + CLOSE_MS * INT64_C(1000000);
	if (use.kind == USE_OPEN && now < u->patience_ns)
		u->next = UNUSED_TRY_AGAIN;
	return err_set(err, -EBUSY, "volume '%s' is %s", v->name, use_who(&use, who));
}

/* May it be asked for now? */
static bool can_look(struct backend *b)
{
	if (!b || !b->driver->busy)
		return false;
	LOCK_SCOPE(&b->lock);
	return b->state == BACKEND_UP && b->ready;
}

/* Is there a backend that can be asked? Then whom, and of what, stands in u. */
static bool find_look(struct unused *u, const struct volume *v)
{
	struct backend *b = backend_by_name(u->q.e, v->backend);

	if (!can_look(b))
		return false;
	u->at = b;
	image_of(v, &u->image);
	return true;
}

int unused_outside(struct unused *u, const struct volume *v, struct err *err)
{
	if (u->looked && u->said == -EBUSY)
		return err_set(err, -EBUSY,
			"volume '%s' is open by a program outside: see its attachments/", v->name);
	if (u->looked || !find_look(u, v))
		return 0;
	u->next = UNUSED_LOOK;
	return err_set(err, -EBUSY, "volume '%s' may be in use", v->name);
}

/* --- it is looked at again --- */

/* A question to the storage; lives until its answer, however late. */
struct look {
	struct engine *e;
	uint64_t number;
};

static bool is_look(const struct request *q, uint64_t number)
{
	return q->divert == unused_divert && ((const struct unused *)q)->look == number;
}

/* From a thread of the storage's library. */
static void look_done(void *arg, int code)
{
	struct look *l = arg;
	struct engine *e = l->e;
	struct request *q = later_take(e, is_look, l->number);

	free(l);
	if (q) {
		((struct unused *)q)->said = code;
		store_submit(e->store, &q->change);
	}
	atomic_fetch_sub(&e->looks, 1);
}

static bool look_outside(struct unused *u)
{
	struct look *l = malloc(sizeof *l);
	struct driver_image image = u->image;
	struct backend *b = u->at;

	if (!l)
		return false;
	u->looked = true;
	*l = (struct look){ u->q.e, u->look = atomic_fetch_add(&u->q.e->last_look, 1) + 1 };
	atomic_fetch_add(&l->e->looks, 1);
	if (!later_in_ms(&u->q, LOOK_MS)) {
		atomic_fetch_sub(&l->e->looks, 1);
		free(l);
		return false;
	}
	/* From here on u may be gone. */
	b->driver->busy(b->be, &image, look_done, l);
	return true;
}

bool unused_divert(struct request *q, int code)
{
	struct unused *u = (struct unused *)q;

	if (code != -EBUSY || u->next == UNUSED_GO_ON)
		return false;
	return u->next == UNUSED_LOOK ? look_outside(u) : later_in_ms(q, RETRY_MS);
}

void unused_submit(struct unused *u, const struct volume *v)
{
	if (turn_ask(&u->q, TURN_WRITE, true) <= 0)
		return; /* it has to wait: then for its first run too */
	if (!v || !find_look(u, v) || !look_outside(u))
		store_submit(u->q.e->store, &u->q.change);
}
