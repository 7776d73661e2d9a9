/*
 * `rm -rf`, `find -delete`, rmtree: each tries to unlink an object's attribute files first, is
 * refused, and some then go on to rmdir the object all the same. So a process that was refused such
 * an unlink may not remove that volume, nor its metadata, for a minute; a plain rmdir by anyone else
 * works. An object is known here by its directory's inode number, whatever its kind.
 *
 * `install`, `cp -f` and `tar` remove a file before they write it anew: who removed new/NAME, whose spec was
 * accepted, may write it once more within a minute.
 *
 * Both must be known to the next server too: a walker goes on when this one is killed between its two calls. So
 * each deed has a slot in the keep; the hash finds it.
 */
#include "base/clock.h"
#include "fs/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <uthash.h>

static const int64_t GUARD_NS = 60 * INT64_C(1000000000);

struct deed {
	struct deed_key {
		uint64_t ino;
		uint64_t tgid;
	} key;
	struct keep_deed *k;
	UT_hash_handle hh;
};

struct guard {
	struct lock lock;
	struct keep_deeds *keep;
	struct deed *all; /* lock; oldest first */
};

static void forget_locked(struct guard *g, struct deed *d)
{
	HASH_DEL(g->all, d);
	keep_deed_drop(g->keep, d->k);
	free(d);
}

/* Drops what is over a minute old; the hash keeps the order of insertion. */
static void prune_locked(struct guard *g, int64_t now)
{
	lock_assert_held(&g->lock);
	while (g->all && now - atomic_load(&g->all->k->at_ns) > GUARD_NS)
		forget_locked(g, g->all);
}

/* Without memory it is forgotten. */
static void adopt_locked(struct guard *g, struct keep_deed *k)
{
	struct deed *d = calloc(1, sizeof *d);

	lock_assert_held(&g->lock);
	if (!d) {
		keep_deed_drop(g->keep, k);
		return;
	}
	d->key = (struct deed_key){ .ino = k->ino, .tgid = k->tgid };
	d->k = k;
	HASH_ADD(hh, g->all, key, sizeof d->key, d);
}

static int by_age(const struct deed *a, const struct deed *b)
{
	int64_t x = atomic_load(&a->k->at_ns), y = atomic_load(&b->k->at_ns);

	return (x > y) - (x < y);
}

int guard_new(struct keep_deeds *keep, struct guard **ret)
{
	struct guard *g = calloc(1, sizeof *g);
	uint32_t high = atomic_load(&keep->high);

	if (!g)
		return -ENOMEM;
	g->keep = keep;
	lock_init(&g->lock);
	LOCK_SCOPE(&g->lock);
	for (uint32_t i = 0; i < high; i++)
		if (atomic_load(&keep->deed[i].at_ns))
			adopt_locked(g, &keep->deed[i]);
	HASH_SORT(g->all, by_age);
	*ret = g;
	return 0;
}

/* The keep's part stays: it is the next server's. */
void guard_free(struct guard *g)
{
	struct deed *d, *tmp;

	if (!g)
		return;
	HASH_ITER (hh, g->all, d, tmp) {
		HASH_DEL(g->all, d);
		free(d);
	}
	lock_release(&g->lock);
	free(g);
}

static struct deed *find_locked(struct guard *g, pid_t tgid, fuse_ino_t ino)
{
	struct deed_key key = { .ino = ino, .tgid = (uint64_t)tgid };
	struct deed *d;

	lock_assert_held(&g->lock);
	HASH_FIND(hh, g->all, &key, sizeof key, d);
	return d;
}

void guard_note(struct guard *g, pid_t tgid, fuse_ino_t ino)
{
	int64_t now = clock_mono_ns();
	struct keep_deed *k;
	struct deed *d;

	LOCK_SCOPE(&g->lock);
	prune_locked(g, now);
	d = find_locked(g, tgid, ino);
	if (d) { /* youngest now: to the end */
		HASH_DEL(g->all, d);
		HASH_ADD(hh, g->all, key, sizeof d->key, d);
		atomic_store(&d->k->at_ns, now);
		return;
	}
	if (HASH_COUNT(g->all) >= KEEP_DEEDS)
		forget_locked(g, g->all);
	k = keep_deed_add(g->keep, (uint64_t)tgid, ino, now);
	if (k)
		adopt_locked(g, k);
}

bool guard_knows(struct guard *g, pid_t tgid, fuse_ino_t ino)
{
	LOCK_SCOPE(&g->lock);
	prune_locked(g, clock_mono_ns());
	return find_locked(g, tgid, ino) != NULL;
}

void guard_forget(struct guard *g, pid_t tgid, fuse_ino_t ino)
{
	struct deed *d;

	LOCK_SCOPE(&g->lock);
	d = find_locked(g, tgid, ino);
	if (d)
		forget_locked(g, d);
}

bool guard_is_empty(struct guard *g)
{
	LOCK_SCOPE(&g->lock);
	prune_locked(g, clock_mono_ns());
	return !g->all;
}
