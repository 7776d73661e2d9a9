/*
 * How many of something each user has: drafts, blocked readers. Root is exempt, and not counted. Holds no lock: what
 * guards its owner guards it. `{ 0 }` is an empty one.
 */
#ifndef VOLFS_BASE_TALLY_H
#define VOLFS_BASE_TALLY_H

#include <stdbool.h>
#include <sys/types.h>

struct tally {
	struct tally_of *users; /* hash by uid: those who have any */
};

/* One more; false: the user has max already, or there is no memory. */
bool tally_take(struct tally *t, uid_t uid, long max);
void tally_give(struct tally *t, uid_t uid);
void tally_release(struct tally *t);

#endif
