/*
 * Those who look at one volume: who blocks until it has settled (wait_read.c), who sleeps in poll(2) (wait_poll.c), and the thread that
 * looks at a volume for all of them when it has changed (wait.c). For these three files only.
 */
#ifndef VOLFS_FS_WAIT_H
#define VOLFS_FS_WAIT_H

#include "fs/internal.h"

#include <uthash.h>
#include <utlist.h>

struct waiter;
struct poller;

/* Everybody who looks at one volume. */
struct watched {
	int64_t volume;
	struct waiter *waiters;
	struct poller *pollers;
	bool woken;
	struct watched *prev, *next; /* of the woken ones */
	UT_hash_handle hh;
};

struct waiters {
	struct fs *fs;
	struct lock lock; /* after a request's own lock; never held over a reply */
	pthread_cond_t more;
	pthread_t thread;
	bool ending;		    /* lock */
	uint64_t next_id;	    /* lock */
	unsigned readers, polls;    /* lock: how many of each there are */
	struct waiter *by_id;	    /* lock */
	struct poller *by_fh;	    /* lock */
	struct watched *watched;    /* lock */
	struct watched *woken;	    /* lock */
	struct waiter *interrupted; /* lock: taken off their volume */
};

/* --- wait.c */

struct watched *watched_find_locked(struct waiters *w, int64_t volume); /* NULL: nobody looks */
struct watched *watched_get_locked(struct waiters *w, int64_t volume);	/* NULL: no memory */
void watched_put_locked(struct waiters *w, struct watched *x); /* freed if nobody looks any more */

/* --- wait_read.c */

/* What a reader of `wait` is told now: false while it must wait. error: of the read after it. */
bool wait_look(struct ctx *c, int64_t volume, struct buf *text, int *ret_error);

/* Of the thread, and of waiters_go(). Takes all who block on x, and answers them; or those that it took off w->interrupted. */
bool waiters_is_one_locked(const struct watched *x); /* exactly one blocks */
struct waiter *waiters_take_locked(struct waiters *w, struct watched *x);
void waiters_answer(struct fs *fs, struct waiter *list, const struct buf *text, int error);
void waiters_interrupted(struct waiter *list);
void waiters_drop_locked(struct waiters *w); /* they stay unanswered; no thread runs any more */

/* --- wait_poll.c: the same. *ret_kh: to be freed; how many */

size_t pollers_take_locked(struct waiters *w, struct watched *x, uint64_t **ret_kh);
void pollers_drop_locked(struct waiters *w);

#endif
