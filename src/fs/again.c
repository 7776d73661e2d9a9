/*
 * Notifications that are made later. One reaches only an inode that the kernel knows. It may be about to know it: the answer with the
 * attributes of before is written, but who asked has not run since and put them into the cache; a moment later they would be
 * there to stay. The kernel says what it does not know (ENOENT), and so it is told again in 5 ms, in 50 more and in 500 more, when whoever
 * was answered has run. Nothing is pending while nothing changes that was just asked for.
 *
 * The root's time is not notified at each commit: every path into the mount asks for the root's attributes when they are not cached, so
 * under a stream of creations that would be one more request for each.
 */
#include "base/clock.h"
#include "fs/internal.h"

#include <errno.h>
#include <stdlib.h>

enum { ROUNDS = 3, ROOM = 4096 };
static const int64_t root_pause_ns = 5000000;
static const int64_t pause_ns[ROUNDS] = { 5000000, 50000000, 500000000 };

struct ring {
	fuse_ino_t ino[ROOM];
	int64_t due_ns[ROOM];
	unsigned first, count;
};

struct again {
	struct fs *fs;
	struct lock lock; /* a leaf */
	pthread_cond_t more;
	pthread_t thread;
	bool ending;		  /* lock */
	int64_t root_due_ns;	  /* lock; 0: it is not due */
	struct ring ring[ROUNDS]; /* lock: each in order of time */
};

/* If there are too many, the oldest are left out. */
static void push_locked(struct again *a, unsigned round, fuse_ino_t ino)
{
	struct ring *r = &a->ring[round];
	unsigned at = (r->first + r->count) % ROOM;

	lock_assert_held(&a->lock);
	if (r->count == ROOM)
		r->first = (r->first + 1) % ROOM;
	else
		r->count++;
	r->ino[at] = ino;
	r->due_ns[at] = clock_mono_ns() + pause_ns[round];
}

void again_later(struct again *a, fuse_ino_t ino)
{
	bool first;

	lock_take(&a->lock);
	first = !a->ring[0]
			 .count; /* else the thread wakes for an older one, and meets this one later */
	push_locked(a, 0, ino);
	lock_drop(&a->lock);
	if (first)
		pthread_cond_signal(&a->more);
}

void again_root(struct again *a)
{
	bool first;

	lock_take(&a->lock);
	first = !a->root_due_ns;
	if (first)
		a->root_due_ns = clock_mono_ns() + root_pause_ns;
	lock_drop(&a->lock);
	if (first)
		pthread_cond_signal(&a->more);
}

/* Which round has the one that is due first, and when; ROUNDS: the root is; 0: nothing is due. */
static int64_t first_locked(const struct again *a, unsigned *ret_round)
{
	int64_t due = a->root_due_ns;

	*ret_round = ROUNDS;
	for (unsigned i = 0; i < ROUNDS; i++) {
		const struct ring *r = &a->ring[i];

		if (r->count && (!due || r->due_ns[r->first] < due)) {
			due = r->due_ns[r->first];
			*ret_round = i;
		}
	}
	return due;
}

static fuse_ino_t take_locked(struct again *a, unsigned round)
{
	struct ring *r = &a->ring[round % ROUNDS];
	fuse_ino_t ino = r->ino[r->first];

	if (round == ROUNDS) {
		a->root_due_ns = 0;
		return FUSE_ROOT_ID;
	}
	r->first = (r->first + 1) % ROOM;
	r->count--;
	return ino;
}

/* Waits for the next one that is due. False: it ends. */
static bool next_locked(struct again *a, unsigned *ret_round, fuse_ino_t *ret_ino)
{
	while (!a->ending) {
		int64_t due = first_locked(a, ret_round);

		if (!due) {
			lock_wait(&a->lock, &a->more);
		} else if (clock_mono_ns() < due) {
			(void)lock_wait_until(&a->lock, &a->more,
				&(struct timespec){ due / 1000000000, due % 1000000000 });
		} else {
			*ret_ino = take_locked(a, *ret_round);
			return true;
		}
	}
	return false;
}

static void *run(void *arg)
{
	struct again *a = arg;
	unsigned round;
	fuse_ino_t ino;

	lock_take(&a->lock);
	while (next_locked(a, &round, &ino)) {
		int r;

		lock_drop(&a->lock);
		r = session_inval(a->fs->session, ino);
		lock_take(&a->lock);
		if (r == -ENOENT && round + 1 < ROUNDS)
			push_locked(a, round + 1, ino);
	}
	lock_drop(&a->lock);
	return NULL;
}

int again_new(struct fs *fs, struct again **ret, struct err *err)
{
	struct again *a = calloc(1, sizeof *a);
	int r;

	if (!a)
		return err_set(err, -ENOMEM, "no memory for notifications");
	a->fs = fs;
	lock_init(&a->lock);
	cond_init(&a->more);
	r = pthread_create(&a->thread, NULL, run, a);
	if (r) {
		free(a);
		return err_set(err, -r, "cannot start the thread of notifications");
	}
	*ret = a;
	return 0;
}

void again_free(struct again *a)
{
	if (!a)
		return;
	lock_take(&a->lock);
	a->ending = true;
	pthread_cond_signal(&a->more);
	lock_drop(&a->lock);
	pthread_join(a->thread, NULL);
	pthread_cond_destroy(&a->more);
	lock_release(&a->lock);
	free(a);
}
