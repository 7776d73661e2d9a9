/*
 * How many creations may be unfinished: queue_max. Who comes when there is no room waits here (its writer is blocked in close), first come
 * first served. So it is while nothing is known of the backends yet: placing volumes by no knowledge would refuse them all.
 */
#include "engine/internal.h"

#include "base/clock.h"

#include <errno.h>

static struct request *next_locked(struct engine *e)
{
	struct request *q = e->held;

	if (!q || e->room <= 0 || !e->placing)
		return NULL;
	e->held = q->next;
	if (!e->held)
		e->held_last = &e->held;
	e->room--;
	return q;
}

static void let_in(struct engine *e)
{
	struct request *q;

	do {
		lock_take(&e->held_lock);
		q = next_locked(e);
		lock_drop(&e->held_lock);
		if (q)
			request_submit(q);
	} while (q);
}

void room_return(struct engine *e)
{
	lock_take(&e->held_lock);
	e->room++;
	lock_drop(&e->held_lock);
	let_in(e);
}

/* Every backend has been looked at, by this server or the one before; or one is up and the others had their chance. */
static bool known(struct engine *e)
{
	bool all = true, any = false;

	for (size_t i = 0; i < e->backend_count; i++) {
		struct backend *b = &e->backend[i];

		lock_take(&b->lock);
		all = all && (b->looked || b->state == BACKEND_UP);
		any = any || b->state == BACKEND_UP;
		lock_drop(&b->lock);
	}
	return all || (any && clock_mono_ns() - e->started_ns > ROOM_PATIENCE_NS);
}

void room_opened(struct engine *e)
{
	bool placing;

	lock_take(&e->held_lock);
	placing = e->placing;
	lock_drop(&e->held_lock);
	if (placing || !known(e))
		return;
	lock_take(&e->held_lock);
	e->placing = true;
	lock_drop(&e->held_lock);
	let_in(e);
}

void room_ask(struct request *q, bool wait)
{
	struct engine *e = q->e;
	bool in, full;

	lock_take(&e->held_lock);
	in = e->placing && !e->held && e->room > 0;
	full = !in && !wait;
	if (in) {
		e->room--;
	} else if (!full) {
		q->next = NULL;
		*e->held_last = q;
		e->held_last = &q->next;
	}
	lock_drop(&e->held_lock);
	if (in) {
		request_submit(q);
	} else if (full) {
		struct err err;

		err_set(&err, -EAGAIN, "%ld volumes are being created: try again later",
			e->conf->queue_max);
		q->ended = NULL; /* it holds no room */
		request_refuse(q, err.code, &err);
	}
}
