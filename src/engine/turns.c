/*
 * How many requests of one user may be at the writer: max_requests. The next one waits here until one of them is answered, first come
 * first served, so whoever has a thousand threads delays another's request by one batch and not by four. Root and volfs itself go at
 * once. What is at the writer is answered soon, whatever the storage does; so nobody waits here for long, and a caller who was killed
 * meanwhile only wastes its turn. A creation that waits for room (room.c) has not come here yet.
 */
#include "engine/internal.h"

#include <stdlib.h>
#include <uthash.h>

struct turns {
	uid_t uid;
	long under_way;
	struct request *first, **last; /* those that wait */
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
	t->last = &t->first;
	HASH_ADD(hh, e->turns, uid, sizeof t->uid, t);
	return t;
}

bool turn_ask(struct request *q)
{
	struct engine *e = q->e;
	struct turns *t;

	if (q->uid == 0)
		return true;
	LOCK_SCOPE(&e->turns_lock);
	t = turns_of_locked(e, q->uid);
	t = t ? t : turns_new_locked(e, q->uid);
	if (!t)
		return true; /* no memory to count: better than to refuse */
	q->counted = true;
	if (t->under_way < e->conf->max_requests) {
		t->under_way++;
		return true;
	}
	q->next = NULL;
	*t->last = q;
	t->last = &q->next;
	return false;
}

struct request *turn_over(struct request *q)
{
	struct engine *e = q->e;
	struct request *next;
	struct turns *t;

	if (!q->counted)
		return NULL;
	LOCK_SCOPE(&e->turns_lock);
	t = turns_of_locked(e, q->uid);
	next = t->first;
	if (next) {
		t->first = next->next;
		if (!t->first)
			t->last = &t->first;
	} else if (--t->under_way == 0) {
		HASH_DEL(e->turns, t);
		free(t);
	}
	return next;
}
