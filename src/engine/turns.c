/*
 * How many requests of one user may be under way: max_requests at the writer, and as many creations that have room or wait for it
 * (room.c). The next one waits here until one of them is answered, first come first served. So whoever has a thousand threads delays
 * another's request by one batch and not by four, and can neither hold all the room before the writer sees a request nor be first in
 * line for all that becomes free. Root and volfs itself go at once.
 *
 * What is at the writer is answered soon, whatever the storage does; so nobody waits for that turn for long, and a caller who was
 * killed meanwhile only wastes it. A creation that waits for room may wait as long as the storage hangs: hence the count of its own,
 * other requests of its user pass by.
 */
#include "engine/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <uthash.h>

struct turns {
	uid_t uid;
	struct {
		long under_way;
		struct request *first, **last; /* those that wait */
	} of[TURNS];
	UT_hash_handle hh;
};

static struct turns *turns_of_locked(struct engine *e, uid_t uid)
{
	struct turns *t;

	lock_assert_held(&e->turns_lock);
	HASH_FIND(hh, e->turns, &uid, sizeof uid, t);
	return t;
}

static struct turns *turns_new_locked(struct engine *e, uid_t uid)
{
	struct turns *t = calloc(1, sizeof *t);

	lock_assert_held(&e->turns_lock);
	if (!t)
		return NULL;
	t->uid = uid;
	for (int i = 0; i < TURNS; i++)
		t->of[i].last = &t->of[i].first;
	HASH_ADD(hh, e->turns, uid, sizeof t->uid, t);
	return t;
}

int turn_ask(struct request *q, enum turn what, bool wait)
{
	struct engine *e = q->e;
	struct turns *t;

	if (q->uid == 0)
		return 1;
	LOCK_SCOPE(&e->turns_lock);
	t = turns_of_locked(e, q->uid);
	t = t ? t : turns_new_locked(e, q->uid);
	if (!t)
		return 1; /* no memory to count: better than to refuse */
	if (t->of[what].under_way < e->conf->max_requests) {
		q->counted[what] = true;
		t->of[what].under_way++;
		return 1;
	}
	if (!wait)
		return -EAGAIN;
	q->counted[what] = true;
	q->next = NULL;
	*t->of[what].last = q;
	t->of[what].last = &q->next;
	return 0;
}

struct request *turn_over(struct request *q, enum turn what)
{
	struct engine *e = q->e;
	struct request *next;
	struct turns *t;

	if (!q->counted[what])
		return NULL;
	LOCK_SCOPE(&e->turns_lock);
	t = turns_of_locked(e, q->uid);
	next = t->of[what].first;
	if (next) {
		t->of[what].first = next->next;
		if (!next->next)
			t->of[what].last = &t->of[what].first;
		return next;
	}
	t->of[what].under_way--;
	if (t->of[TURN_CREATE].under_way == 0 && t->of[TURN_WRITE].under_way == 0) {
		HASH_DEL(e->turns, t);
		free(t);
	}
	return NULL;
}
