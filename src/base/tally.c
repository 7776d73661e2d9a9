#include "base/tally.h"

#include <stdlib.h>
#include <uthash.h>

struct tally_of {
	uid_t uid;
	long n;
	UT_hash_handle hh;
};

static struct tally_of *user_new(struct tally *t, uid_t uid)
{
	struct tally_of *u = calloc(1, sizeof *u);

	if (!u)
		return NULL;
	u->uid = uid;
	HASH_ADD(hh, t->users, uid, sizeof u->uid, u);
	return u;
}

static void user_free(struct tally *t, struct tally_of *u)
{
	HASH_DEL(t->users, u);
	free(u);
}

bool tally_take(struct tally *t, uid_t uid, long max)
{
	struct tally_of *u;

	if (uid == 0)
		return true;
	HASH_FIND(hh, t->users, &uid, sizeof uid, u);
	if (!u && max > 0)
		u = user_new(t, uid);
	if (!u || u->n >= max)
		return false;
	u->n++;
	return true;
}

void tally_give(struct tally *t, uid_t uid)
{
	struct tally_of *u;

	if (uid == 0)
		return;
	HASH_FIND(hh, t->users, &uid, sizeof uid, u);
	if (u && --u->n == 0)
		user_free(t, u);
}

void tally_release(struct tally *t)
{
	while (t->users)
		user_free(t, t->users);
}
