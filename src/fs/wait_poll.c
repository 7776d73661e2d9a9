/*
 * poll(2). A sleeper is woken when its volume changes, and asks anew. It is remembered in the keep as well: the kernel does not send
 * sleeping polls again to a later server, so that one wakes all of them.
 */
#include "fs/wait.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

struct poller {
	uint64_t fh;
	uint64_t kh;
	int64_t volume;
	uid_t uid;
	int slot; /* in the keep; -1: none, for the user has many */
	struct poller *prev, *next;
	UT_hash_handle hh;
};

static struct poller *find_locked(struct waiters *w, uint64_t fh)
{
	struct poller *p;

	lock_assert_held(&w->lock);
	HASH_FIND(hh, w->by_fh, &fh, sizeof fh, p);
	return p;
}

/* Its volume is still watched; who calls looks whether it needs to be. */
static void poller_free_locked(struct waiters *w, struct watched *x, struct poller *p)
{
	lock_assert_held(&w->lock);
	DL_DELETE(x->pollers, p);
	HASH_DEL(w->by_fh, p);
	w->polls--;
	admit_poll_end(w->fs->admit, p->uid, p->slot);
	free(p);
}

void waiters_forget(struct waiters *w, uint64_t fh)
{
	struct watched *x;
	struct poller *p;

	LOCK_SCOPE(&w->lock);
	p = find_locked(w, fh);
	if (!p)
		return;
	x = watched_find_locked(w, p->volume);
	poller_free_locked(w, x, p);
	watched_put_locked(w, x);
}

/* Without memory they sleep on. */
size_t pollers_take_locked(struct waiters *w, struct watched *x, uint64_t **ret_kh)
{
	struct poller *p;
	size_t n = 0;

	lock_assert_held(&w->lock);
	DL_COUNT(x->pollers, p, n);
	*ret_kh = n ? calloc(n, sizeof **ret_kh) : NULL;
	for (n = 0; *ret_kh && x->pollers; n++) {
		(*ret_kh)[n] = x->pollers->kh;
		poller_free_locked(w, x, x->pollers);
	}
	return n;
}

void pollers_drop_locked(struct waiters *w)
{
	lock_assert_held(&w->lock);
	while (w->by_fh)
		poller_free_locked(w, watched_find_locked(w, w->by_fh->volume), w->by_fh);
}

/* False: no memory, it will not be woken. */
static bool poller_add(struct waiters *w, const struct ctx *c, int64_t volume, uint64_t fh)
{
	uint64_t kh = session_poll_kh();
	struct watched *x;
	struct poller *p;

	LOCK_SCOPE(&w->lock);
	if (find_locked(w, fh))
		return true;
	x = watched_get_locked(w, volume);
	p = x ? calloc(1, sizeof *p) : NULL;
	if (!p) {
		if (x)
			watched_put_locked(w, x);
		return false;
	}
	*p = (struct poller){ .fh = fh, .kh = kh, .volume = volume, .uid = c->uid };
	p->slot = admit_poll(w->fs->admit, c->uid, kh);
	DL_APPEND(x->pollers, p);
	HASH_ADD(hh, w->by_fh, fh, sizeof p->fh, p);
	w->polls++;
	return true;
}

static unsigned poll_events(struct ctx *c, struct node n, const struct attr *a, uint64_t fh)
{
	struct buf text = { 0 };
	unsigned events = POLLIN | POLLOUT;
	int error;

	if (a->flags & ATTR_WAIT)
		events = wait_look(c, n.row, &text, &error) ? POLLIN : 0;
	else if ((a->flags & ATTR_POLL) && a->show(c, n.row, &text) == 0)
		events = POLLIN | (opens_differ(c->fs->opens, fh, &text) ? POLLPRI | POLLERR : 0);
	buf_release(&text);
	return events;
}

void wait_poll(struct ctx *c, struct node n, const struct attr *a, struct fuse_file_info *fi,
	struct fuse_pollhandle *ph)
{
	/* Registered before looking: a change in between wakes it. */
	bool deaf = ph && a->flags & (ATTR_WAIT | ATTR_POLL) &&
		    !poller_add(c->fs->waiters, c, n.row, fi->fh);

	if (deaf) /* for poll(2) that is POLLERR: better than to sleep for ever */
		fuse_reply_err(c->req, ENOMEM);
	else
		fuse_reply_poll(c->req, poll_events(c, n, a, fi->fh));
	if (ph)
		fuse_pollhandle_destroy(ph);
}
