/*
 * The thread for those who look at a volume: when it has changed, the thread looks once for all of them, answers who blocks if it has
 * settled, and wakes who sleeps in poll(2), who then asks anew. Where a commit concerns one reader alone the writer answers him: to wake
 * the thread for it would take longer.
 */
#include "fs/wait.h"

#include <errno.h>
#include <stdlib.h>

void waiters_count(struct waiters *w, unsigned *ret_readers, unsigned *ret_polls)
{
	LOCK_SCOPE(&w->lock);
	*ret_readers = w->readers;
	*ret_polls = w->polls;
}

struct watched *watched_find_locked(struct waiters *w, int64_t volume)
{
	struct watched *x;

	lock_assert_held(&w->lock);
	HASH_FIND(hh, w->watched, &volume, sizeof volume, x);
	return x;
}

struct watched *watched_get_locked(struct waiters *w, int64_t volume)
{
	struct watched *x = watched_find_locked(w, volume);

	if (x)
		return x;
	x = calloc(1, sizeof *x);
	if (x) {
		x->volume = volume;
		HASH_ADD(hh, w->watched, volume, sizeof x->volume, x);
	}
	return x;
}

void watched_put_locked(struct waiters *w, struct watched *x)
{
	lock_assert_held(&w->lock);
	if (x->waiters || x->pollers || x->woken)
		return;
	HASH_DEL(w->watched, x);
	free(x);
}

void waiters_wake(struct waiters *w, int64_t volume)
{
	struct watched *x;

	LOCK_SCOPE(&w->lock);
	x = watched_find_locked(w, volume);
	if (!x || x->woken)
		return;
	x->woken = true;
	DL_APPEND(w->woken, x);
}

/* Looks at a woken volume once for all who wait for it. */
static void serve(struct waiters *w, struct ctx *c, int64_t volume)
{
	struct waiter *blocked = NULL;
	struct buf text = { 0 };
	uint64_t *kh = NULL;
	struct watched *x;
	size_t n = 0;
	int error;
	bool settled = c->view && wait_look(c, volume, &text, &error);

	lock_take(&w->lock);
	x = watched_find_locked(w, volume);
	if (x) {
		if (settled)
			blocked = waiters_take_locked(w, x);
		n = pollers_take_locked(w, x, &kh);
		watched_put_locked(w, x);
	}
	lock_drop(&w->lock);
	if (settled)
		waiters_answer(w->fs, blocked, &text, error);
	for (size_t i = 0; i < n; i++)
		session_poll_wake(w->fs->session, kh[i]);
	free(kh);
	buf_release(&text);
}

/* The next volume that was woken; 0: there is none. */
static int64_t next_woken_locked(struct waiters *w)
{
	struct watched *x = w->woken;

	lock_assert_held(&w->lock);
	if (!x)
		return 0;
	DL_DELETE(w->woken, x);
	x->woken = false;
	return x->volume;
}

/* Is there one reader to answer, and nothing else to do? */
static bool is_alone_locked(const struct waiters *w)
{
	const struct watched *x = w->woken;

	return x && !x->next && !x->pollers && waiters_is_one_locked(x);
}

void waiters_go(struct waiters *w)
{
	int64_t volume = 0;
	bool more;

	lock_take(&w->lock);
	if (is_alone_locked(w))
		volume = next_woken_locked(w);
	more = w->woken;
	lock_drop(&w->lock);
	if (more)
		pthread_cond_signal(&w->more);
	if (volume)
		serve(w, &(struct ctx){ .fs = w->fs, .view = fs_view(w->fs) }, volume);
}

static void *run(void *arg)
{
	struct waiters *w = arg;
	struct ctx c = { .fs = w->fs, .view = fs_view(w->fs) };

	for (;;) {
		struct waiter *interrupted;
		int64_t volume;

		lock_take(&w->lock);
		while (!w->ending && !w->interrupted && !w->woken)
			lock_wait(&w->lock, &w->more);
		if (w->ending) {
			lock_drop(&w->lock);
			return NULL;
		}
		interrupted = w->interrupted;
		w->interrupted = NULL;
		volume = next_woken_locked(w);
		lock_drop(&w->lock);
		waiters_interrupted(interrupted);
		if (volume)
			serve(w, &c, volume);
	}
}

int waiters_new(struct fs *fs, struct waiters **ret, struct err *err)
{
	struct waiters *w = calloc(1, sizeof *w);

	if (!w)
		return err_set(err, -ENOMEM, "no memory for waiters");
	w->fs = fs;
	lock_init(&w->lock);
	cond_init(&w->more);
	if (pthread_create(&w->thread, NULL, run, w)) {
		free(w);
		return err_set(err, -EAGAIN, "cannot start the waiters' thread");
	}
	*ret = w;
	return 0;
}

/* Blocked readers stay unanswered: the kernel sends them to the next server, or the mount ends. */
void waiters_free(struct waiters *w)
{
	struct watched *x, *tmp;

	if (!w)
		return;
	lock_take(&w->lock);
	w->ending = true;
	pthread_cond_signal(&w->more);
	lock_drop(&w->lock);
	pthread_join(w->thread, NULL);
	lock_take(&w->lock);
	pollers_drop_locked(w);
	waiters_drop_locked(w);
	HASH_ITER (hh, w->watched, x, tmp) {
		HASH_DEL(w->watched, x);
		free(x);
	}
	lock_drop(&w->lock);
	lock_release(&w->lock);
	free(w);
}
