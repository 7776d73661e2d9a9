/*
 * How many of each user's calls may wait here: in read(2) so many as limits.blocked says, and as many in poll(2) have a place in the
 * keep, by which a later server wakes them. Nobody takes all of the places from the others: whose polls are more, or come when there is
 * none left, is woken by this server, and not by a later one.
 */
#include "base/tally.h"
#include "fs/internal.h"

#include <errno.h>
#include <stdlib.h>

struct admit {
	struct keep *keep;
	long max;
	struct lock lock;    /* a leaf */
	struct tally reads;  /* lock */
	struct tally sleeps; /* lock; those that have a place */
};

int admit_new(struct keep *keep, long max, struct admit **ret)
{
	struct admit *a = calloc(1, sizeof *a);

	if (!a)
		return -ENOMEM;
	a->keep = keep;
	a->max = max;
	lock_init(&a->lock);
	*ret = a;
	return 0;
}

void admit_free(struct admit *a)
{
	if (!a)
		return;
	tally_release(&a->reads);
	tally_release(&a->sleeps);
	lock_release(&a->lock);
	free(a);
}

bool admit_read(struct admit *a, uid_t uid)
{
	LOCK_SCOPE(&a->lock);
	return tally_take(&a->reads, uid, a->max);
}

void admit_read_end(struct admit *a, uid_t uid)
{
	LOCK_SCOPE(&a->lock);
	tally_give(&a->reads, uid);
}

int admit_poll(struct admit *a, uid_t uid, uint64_t kh)
{
	int slot;

	LOCK_SCOPE(&a->lock);
	if (!tally_take(&a->sleeps, uid, a->max))
		return -1;
	slot = keep_poll_add(a->keep, kh);
	if (slot >= 0)
		return slot;
	tally_give(&a->sleeps, uid);
	return -1;
}

void admit_poll_end(struct admit *a, uid_t uid, int slot)
{
	if (slot < 0)
		return;
	keep_poll_drop(a->keep, slot);
	LOCK_SCOPE(&a->lock);
	tally_give(&a->sleeps, uid);
}
