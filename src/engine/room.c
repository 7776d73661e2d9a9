/*
 * How many creations may be unfinished: queue_max. Who comes when there is no room waits here (its writer is blocked in close), first come
 * first served, once it is its user's turn to wait (turns.c). So it is while nothing is known of the backends yet: placing volumes by no
 * knowledge would refuse them all. Who would not wait for room does wait for that, as long as ROOM_PATIENCE_NS: a rename that a killed
 * server did not answer comes before its successor has looked at a backend that was down.
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

/* The refusal takes its turn at the writer as everything does; it holds no room. */
static void refuse(struct request *q, const struct err *err)
{
	q->ended = NULL;
	request_refuse(q, err->code, err);
}

static void refuse_at_end(struct request *q)
{
	struct err err;

	err_set(&err, -EAGAIN, "volfs is ending");
	refuse(q, &err);
}

static void refuse_now(struct request *q, bool placing)
{
	struct err err;

	if (placing)
		err_set(&err, -EAGAIN, "%ld volumes are being created: try again later",
			q->e->conf->queue_max);
	else
		err_set(&err, -EAGAIN,
			"no backend is up, and not all have been looked at: try again later");
	refuse(q, &err);
}

static bool is_patient(const struct engine *e)
{
	return clock_mono_ns() - e->started_ns <= ROOM_PATIENCE_NS;
}

/* The first of those that are held and do not wait for room. */
static struct request *hasty_locked(struct engine *e)
{
	struct request **at = &e->held, *q;

	lock_assert_held(&e->held_lock);
	while (*at && (*at)->wait)
		at = &(*at)->next;
	q = *at;
	if (!q)
		return NULL;
	*at = q->next;
	if (!*at)
		e->held_last = at;
	return q;
}

static void refuse_hasty(struct engine *e)
{
	struct request *q;
	bool placing;

	do {
		lock_take(&e->held_lock);
		placing = e->placing;
		q = hasty_locked(e);
		lock_drop(&e->held_lock);
		if (q)
			refuse_now(q, placing);
	} while (q);
}

void room_opened(struct engine *e)
{
	bool placing;

	lock_take(&e->held_lock);
	placing = e->placing;
	lock_drop(&e->held_lock);
	if (placing)
		return;
	if (known(e)) {
		lock_take(&e->held_lock);
		e->placing = true;
		lock_drop(&e->held_lock);
		let_in(e);
		refuse_hasty(e);
	} else if (!is_patient(e)) {
		refuse_hasty(e);
	}
}

void room_enter(struct request *q)
{
	struct engine *e = q->e;
	bool in, closed, placing, waits;

	lock_take(&e->held_lock);
	closed = e->closed;
	placing = e->placing;
	in = !closed && placing && !e->held && e->room > 0;
	waits = !in && !closed && (q->wait || (!placing && is_patient(e)));
	if (in) {
		e->room--;
	} else if (waits) {
		q->next = NULL;
		*e->held_last = q;
		e->held_last = &q->next;
	}
	lock_drop(&e->held_lock);
	if (in)
		request_submit(q);
	else if (closed)
		refuse_at_end(q);
	else if (!waits)
		refuse_now(q, placing);
}

void room_ask(struct request *q, bool wait)
{
	int r = turn_ask(q, TURN_CREATE, wait);
	struct err err;

	q->wait = wait;
	if (r > 0) {
		room_enter(q);
	} else if (r < 0) {
		err_set(&err, r, "%ld volumes of yours are waiting to be accepted: try again later",
			q->e->conf->max_requests);
		refuse(q, &err);
	}
}

void room_close(struct engine *e)
{
	struct request *q, *next;

	lock_take(&e->held_lock);
	q = e->held;
	e->held = NULL;
	e->held_last = &e->held;
	e->closed = true;
	lock_drop(&e->held_lock);
	for (; q; q = next) {
		next = q->next;
		refuse_at_end(q);
	}
}
