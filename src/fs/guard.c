/*
 * `rm -rf`, `find -delete`, rmtree: each tries to unlink an object's attribute files first, is
 * refused, and some then go on to rmdir the object all the same. So a process that was refused such
 * an unlink may not remove that volume, nor its metadata, for a minute; a plain rmdir by anyone else
 * works. An object is known here by its directory's inode number, whatever its kind.
 *
 * `install`, `cp -f` and `tar` remove a file before they write it anew: who removed new/NAME, whose spec was
 * accepted, may write it once more within a minute.
 */
#include "base/clock.h"
#include "fs/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <uthash.h>

static const int64_t GUARD_NS = 60 * INT64_C(1000000000);
enum { GUARD_MAX = 65536 };

struct deed {
	struct deed_key {
		uint64_t ino;
		uint64_t tgid;
	} key;
	int64_t at_ns;
	UT_hash_handle hh;
};

struct guard {
	struct lock lock;
	struct deed *all; /* lock; oldest first */
};

int guard_new(struct guard **ret)
{
	struct guard *g = calloc(1, sizeof *g);

	if (!g)
		return -ENOMEM;
	lock_init(&g->lock);
	*ret = g;
	return 0;
}

static void forget(struct guard *g, struct deed *r)
{
	HASH_DEL(g->all, r);
	free(r);
}

void guard_free(struct guard *g)
{
	if (!g)
		return;
	while (g->all)
		forget(g, g->all);
	lock_release(&g->lock);
	free(g);
}

/* Drops what is over a minute old; the hash keeps the order of insertion. */
static void prune_locked(struct guard *g, int64_t now)
{
	lock_assert_held(&g->lock);
	while (g->all && (now - g->all->at_ns > GUARD_NS || HASH_COUNT(g->all) > GUARD_MAX))
		forget(g, g->all);
}

void guard_note(struct guard *g, pid_t tgid, fuse_ino_t ino)
{
	struct deed_key key = { .ino = ino, .tgid = (uint64_t)tgid };
	struct deed *r;

	LOCK_SCOPE(&g->lock);
	HASH_FIND(hh, g->all, &key, sizeof key, r);
	if (r)
		HASH_DEL(g->all, r);
	else
		r = calloc(1, sizeof *r);
	if (!r)
		return;
	r->key = key;
	r->at_ns = clock_mono_ns();
	HASH_ADD(hh, g->all, key, sizeof r->key, r);
	prune_locked(g, r->at_ns);
}

bool guard_knows(struct guard *g, pid_t tgid, fuse_ino_t ino)
{
	struct deed_key key = { .ino = ino, .tgid = (uint64_t)tgid };
	struct deed *r;

	LOCK_SCOPE(&g->lock);
	prune_locked(g, clock_mono_ns());
	HASH_FIND(hh, g->all, &key, sizeof key, r);
	return r != NULL;
}

void guard_forget(struct guard *g, pid_t tgid, fuse_ino_t ino)
{
	struct deed_key key = { .ino = ino, .tgid = (uint64_t)tgid };
	struct deed *r;

	LOCK_SCOPE(&g->lock);
	HASH_FIND(hh, g->all, &key, sizeof key, r);
	if (r)
		forget(g, r);
}

bool guard_is_empty(struct guard *g)
{
	LOCK_SCOPE(&g->lock);
	prune_locked(g, clock_mono_ns());
	return !g->all;
}
