/*
 * Readers that block until a volume has settled, and poll(2).
 *
 * A blocked reader is a request kept here, no thread. It is answered by the waiters' own thread
 * when a change of its volume says so (the only one whom a commit concerns by the writer itself,
 * which spares it a thread's waking up), or with EINTR when the kernel interrupts it. libfuse calls
 * the interrupt function with the request's lock held and may do so at any moment, also while the
 * request is being answered: so it is given a number, not a pointer, and only hands that number to
 * the thread. Until a waiter is armed the handler itself deals with an interrupt.
 *
 * A poll is remembered in the keep as well: the kernel does not send sleeping polls again to a
 * later server, so that one wakes all of them and they ask anew.
 *
 * The same thread tells the kernel that the root's time has changed. Not at each commit: every path
 * into the mount asks for the root's attributes when they are not cached, so under a stream of
 * creations that would be one more request for each.
 */
#include "base/tally.h"
#include "fs/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

enum { LIST_PAUSE_MS = 5 };

struct waiter {
	uint64_t id;
	fuse_req_t req;
	int64_t volume;
	uint64_t fh;
	uid_t uid;
	size_t size;
	struct change *change; /* of a caller whose change is to settle; NULL: a reader */
	bool armed, interrupted;
	struct waiter *prev, *next; /* of its volume, or of a list on its way to an answer */
	UT_hash_handle hh;
};

struct poller {
	uint64_t fh;
	uint64_t kh;
	int64_t volume;
	uid_t uid;
	int slot; /* in the keep; -1: none, for the user has many */
	struct poller *prev, *next;
	UT_hash_handle hh;
};

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
	struct waiter *by_id;	    /* lock */
	struct watched *watched;    /* lock */
	struct watched *woken;	    /* lock */
	struct waiter *interrupted; /* lock: taken off their volume */
	int64_t list_due_ns;	    /* lock: when to notify the root; 0: not at all */
	struct poller *by_fh;	    /* lock */
	struct tally blocked;	    /* lock */
	struct tally polls;	    /* lock; places in the keep */
};

/* What a reader of `wait` is told now: false while it must wait. error: of the read after it. */
static bool look(struct ctx *c, int64_t row, struct buf *text, int *ret_error)
{
	enum vol_status s;
	struct volume v;
	bool trashed;
	int r = view_status(c->view, row, &s, &trashed);

	*ret_error = 0;
	if (r == -ENOENT) {
		buf_adds(text, "deleted\n");
		return true;
	}
	if (r < 0) {
		*ret_error = EIO;
		return true;
	}
	if (trashed ? s != VOL_ERROR_DELETING : !vol_status_settled(s))
		return false;
	buf_adds(text, vol_status_name(s));
	buf_addc(text, '\n');
	if (vol_status_is_error(s) || (view_volume(c->view, row, &v) == 0 && v.reason[0]))
		*ret_error = EIO;
	return true;
}

static void answer_settled(struct fs *fs, fuse_req_t req, uint64_t fh, size_t size, off_t off,
	struct buf *text, int error)
{
	bool ended = off >= (off_t)text->len;

	/* Kept first: the answer's reader may be back, in another thread, before this one goes on. */
	opens_keep(fs->opens, fh, text, error);
	if (opens_reply(fs->opens, fh, req, size, off))
		return;
	if (ended && error)
		fuse_reply_err(req, error);
	else
		reply_slice(req, buf_text(text), text->len, size, off);
}

void waiters_count(struct waiters *w, unsigned *ret_readers, unsigned *ret_polls)
{
	LOCK_SCOPE(&w->lock);
	*ret_readers = HASH_COUNT(w->by_id);
	*ret_polls = HASH_COUNT(w->by_fh);
}

static struct watched *watch_locked(struct waiters *w, int64_t volume)
{
	struct watched *x;

	lock_assert_held(&w->lock);
	HASH_FIND(hh, w->watched, &volume, sizeof volume, x);
	if (x)
		return x;
	x = calloc(1, sizeof *x);
	if (x) {
		x->volume = volume;
		HASH_ADD(hh, w->watched, volume, sizeof x->volume, x);
	}
	return x;
}

/* Nobody looks at it any more. */
static void unwatch_locked(struct waiters *w, int64_t volume)
{
	struct watched *x;

	lock_assert_held(&w->lock);
	HASH_FIND(hh, w->watched, &volume, sizeof volume, x);
	if (!x || x->waiters || x->pollers || x->woken)
		return;
	HASH_DEL(w->watched, x);
	free(x);
}

static void forget_locked(struct waiters *w, struct waiter *x)
{
	lock_assert_held(&w->lock);
	HASH_DEL(w->by_id, x);
	tally_give(&w->blocked, x->uid);
}

bool waiters_admit(struct waiters *w, uid_t uid)
{
	LOCK_SCOPE(&w->lock);
	return tally_take(&w->blocked, uid, w->fs->conf->max_blocked);
}

void waiters_leave(struct waiters *w, uid_t uid)
{
	LOCK_SCOPE(&w->lock);
	tally_give(&w->blocked, uid);
}

/* A change that was waited for. Its volume's error has the reason. */
static void change_settled(struct change *ch, int error)
{
	change_answer(
		ch, -error, error ? "the volume could not be changed: see its file 'error'" : "");
}

/* Called with the request's lock held: hands over and returns. */
static void on_interrupt(fuse_req_t req, void *id_as_pointer)
{
	struct fs *fs = fuse_req_userdata(req);
	struct waiters *w = fs->waiters;
	uint64_t id = (uintptr_t)id_as_pointer;
	struct watched *x;
	struct waiter *v;

	LOCK_SCOPE(&w->lock);
	HASH_FIND(hh, w->by_id, &id, sizeof id, v);
	if (!v || v->interrupted)
		return;
	v->interrupted = true;
	if (!v->armed)
		return;
	HASH_FIND(hh, w->watched, &v->volume, sizeof v->volume, x);
	DL_DELETE(x->waiters, v);
	unwatch_locked(w, v->volume);
	forget_locked(w, v);
	DL_APPEND(w->interrupted, v);
	pthread_cond_signal(&w->more);
}

static struct waiter *waiter_new(
	struct waiters *w, struct ctx *c, int64_t volume, uint64_t fh, size_t size, int *ret_error)
{
	struct waiter *v = calloc(1, sizeof *v);

	*ret_error = ENOMEM;
	if (!v)
		return NULL;
	*v = (struct waiter){
		.req = c->req, .volume = volume, .fh = fh, .uid = c->uid, .size = size
	};
	LOCK_SCOPE(&w->lock);
	if (w->ending || !tally_take(&w->blocked, c->uid, c->fs->conf->max_blocked)) {
		free(v);
		*ret_error = EAGAIN;
		return NULL;
	}
	v->id = ++w->next_id;
	HASH_ADD(hh, w->by_id, id, sizeof v->id, v);
	return v;
}

/* From here on the thread may answer it. False: it was interrupted meanwhile, or there is no
 * memory. */
static bool arm(struct waiters *w, struct waiter *v)
{
	struct watched *x;

	LOCK_SCOPE(&w->lock);
	x = v->interrupted ? NULL : watch_locked(w, v->volume);
	if (!x) {
		forget_locked(w, v);
		return false;
	}
	v->armed = true;
	DL_APPEND(x->waiters, v);
	return true;
}

/* Takes an armed waiter back, if nobody else has taken it yet. */
static bool disarm(struct waiters *w, uint64_t id)
{
	struct watched *x;
	struct waiter *v;

	LOCK_SCOPE(&w->lock);
	HASH_FIND(hh, w->by_id, &id, sizeof id, v);
	if (!v)
		return false;
	HASH_FIND(hh, w->watched, &v->volume, sizeof v->volume, x);
	DL_DELETE(x->waiters, v);
	unwatch_locked(w, v->volume);
	forget_locked(w, v);
	free(v);
	return true;
}

void wait_change(struct change *ch, int64_t volume)
{
	struct ctx c = {
		.fs = ch->fs, .view = fs_view(ch->fs), .req = ch->req, .uid = ch->who.caller.uid
	};
	struct waiters *w = c.fs->waiters;
	struct buf text = { 0 };
	int error;
	struct waiter *v = c.view ? waiter_new(w, &c, volume, 0, 0, &error) : NULL;
	uint64_t id = v ? v->id : 0;

	/* It is durable, and goes on by itself: who cannot wait for it is told so much. */
	if (!v) {
		change_answer(ch, 0, "");
		return;
	}
	v->change = ch;
	fuse_req_interrupt_func(ch->req, on_interrupt, (void *)(uintptr_t)id);
	if (!arm(w, v)) {
		change_answer(ch, 0, "");
		free(v);
	} else if (look(&c, volume, &text, &error) && disarm(w, id)) {
		change_settled(ch, error);
	}
	buf_release(&text);
}

static void block(struct ctx *c, int64_t volume, size_t size, struct fuse_file_info *fi)
{
	struct waiters *w = c->fs->waiters;
	struct buf text = { 0 };
	int error;
	struct waiter *v = waiter_new(w, c, volume, fi->fh, size, &error);
	uint64_t id = v ? v->id : 0;

	if (!v) {
		fuse_reply_err(c->req, error);
		return;
	}
	fuse_req_interrupt_func(c->req, on_interrupt, (void *)(uintptr_t)id);
	if (!arm(w, v)) {
		fuse_reply_err(c->req, EINTR);
		free(v);
		return;
	}
	/* It may have settled between the first look and now. */
	if (look(c, volume, &text, &error) && disarm(w, id))
		answer_settled(c->fs, c->req, fi->fh, size, 0, &text, error);
	buf_release(&text);
}

void wait_read(struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct buf text = { 0 };
	int error;

	if (look(c, n.row, &text, &error))
		answer_settled(c->fs, c->req, fi->fh, size, off, &text, error);
	else if (off > 0)
		fuse_reply_buf(c->req, NULL, 0); /* what it was told before is with a dead server */
	else if (fi->flags & O_NONBLOCK)
		fuse_reply_err(c->req, EAGAIN);
	else
		block(c, n.row, size, fi);
	buf_release(&text);
}

/* --- poll(2) --- */

/* slot -1: it has none. */
static void slot_drop(struct waiters *w, uid_t uid, int slot)
{
	lock_assert_held(&w->lock);
	if (slot < 0)
		return;
	keep_poll_drop(w->fs->keep, slot);
	tally_give(&w->polls, uid);
}

static void poller_free_locked(struct waiters *w, struct poller *p)
{
	struct watched *x;

	lock_assert_held(&w->lock);
	HASH_FIND(hh, w->watched, &p->volume, sizeof p->volume, x);
	if (x) {
		DL_DELETE(x->pollers, p);
		unwatch_locked(w, p->volume);
	}
	HASH_DEL(w->by_fh, p);
	slot_drop(w, p->uid, p->slot);
	free(p);
}

void waiters_forget(struct waiters *w, uint64_t fh)
{
	struct poller *p;

	LOCK_SCOPE(&w->lock);
	HASH_FIND(hh, w->by_fh, &fh, sizeof fh, p);
	if (p)
		poller_free_locked(w, p);
}

/* A place in the keep. Nobody takes all of them from the others: whose polls are more than his blocked reads could be, or come when there
 * is none left, is woken by this server, and not by a later one. */
static int slot_take(struct waiters *w, uid_t uid, uint64_t kh)
{
	int slot;

	lock_assert_held(&w->lock);
	if (!tally_take(&w->polls, uid, w->fs->conf->max_blocked))
		return -1;
	slot = keep_poll_add(w->fs->keep, kh);
	if (slot < 0)
		tally_give(&w->polls, uid);
	return slot < 0 ? -1 : slot;
}

int waiters_slot_take(struct waiters *w, uid_t uid, uint64_t kh)
{
	LOCK_SCOPE(&w->lock);
	return slot_take(w, uid, kh);
}

void waiters_slot_drop(struct waiters *w, uid_t uid, int slot)
{
	LOCK_SCOPE(&w->lock);
	slot_drop(w, uid, slot);
}

/* False: no memory, it will not be woken. */
static bool poller_add(struct waiters *w, const struct ctx *c, int64_t volume, uint64_t fh)
{
	uint64_t kh = session_poll_kh();
	struct watched *x;
	struct poller *p;

	LOCK_SCOPE(&w->lock);
	HASH_FIND(hh, w->by_fh, &fh, sizeof fh, p);
	if (p)
		return true;
	x = watch_locked(w, volume);
	p = x ? calloc(1, sizeof *p) : NULL;
	if (!p) {
		unwatch_locked(w, volume);
		return false;
	}
	*p = (struct poller){ .fh = fh, .kh = kh, .volume = volume, .uid = c->uid };
	p->slot = slot_take(w, c->uid, kh);
	DL_APPEND(x->pollers, p);
	HASH_ADD(hh, w->by_fh, fh, sizeof p->fh, p);
	return true;
}

static unsigned poll_events(struct ctx *c, struct node n, const struct attr *a, uint64_t fh)
{
	struct buf text = { 0 };
	unsigned events = POLLIN | POLLOUT;
	int error;

	if (a->flags & ATTR_WAIT)
		events = look(c, n.row, &text, &error) ? POLLIN : 0;
	else if ((a->flags & ATTR_POLL) && a->show(c, n.row, &text) == 0)
		events = POLLIN | (opens_differ(c->fs->opens, fh, &text) ? POLLPRI | POLLERR : 0);
	buf_release(&text);
	return events;
}

void wait_poll(struct ctx *c, struct node n, const struct attr *a, struct fuse_file_info *fi,
	struct fuse_pollhandle *ph)
{
	bool deaf;

	/* Registered before looking: a change in between wakes it. */
	deaf = ph && a->flags & (ATTR_WAIT | ATTR_POLL) &&
	       !poller_add(c->fs->waiters, c, n.row, fi->fh);
	if (deaf)
		fuse_reply_err(c->req,
			ENOMEM); /* for poll(2) that is POLLERR: better than to sleep for ever */
	else
		fuse_reply_poll(c->req, poll_events(c, n, a, fi->fh));
	if (ph)
		fuse_pollhandle_destroy(ph);
}

/* --- the thread --- */

void waiters_wake(struct waiters *w, int64_t volume)
{
	struct watched *x;

	LOCK_SCOPE(&w->lock);
	HASH_FIND(hh, w->watched, &volume, sizeof volume, x);
	if (!x || x->woken)
		return;
	x->woken = true;
	DL_APPEND(w->woken, x);
}

/* The volume that was woken first; 0: none. */
static int64_t take_woken_locked(struct waiters *w)
{
	struct watched *x = w->woken;

	lock_assert_held(&w->lock);
	if (!x)
		return 0;
	DL_DELETE(w->woken, x);
	x->woken = false;
	return x->volume;
}

static void answer_all(struct fs *fs, struct waiter *list, const struct buf *text, int error)
{
	struct waiter *v, *tmp;

	DL_FOREACH_SAFE(list, v, tmp)
	{
		struct buf copy = { 0 };

		buf_add(&copy, text->at, text->len);
		if (v->change)
			change_settled(v->change, error);
		else
			answer_settled(fs, v->req, v->fh, v->size, 0, &copy, error);
		buf_release(&copy);
		free(v);
	}
}

void waiters_list_changed(struct waiters *w)
{
	bool first;

	lock_take(&w->lock);
	first = !w->list_due_ns;
	if (first)
		w->list_due_ns = clock_mono_ns() + LIST_PAUSE_MS * INT64_C(1000000);
	lock_drop(&w->lock);
	if (first)
		pthread_cond_signal(&w->more);
}

/* Looks at a woken volume once for all who wait for it. */
static void serve(struct waiters *w, struct ctx *c, int64_t volume)
{
	struct waiter *list = NULL, *v;
	struct poller *p, *tmp;
	uint64_t *wake = NULL;
	struct buf text = { 0 };
	struct watched *x;
	size_t n = 0;
	int error;
	bool settled = c->view && look(c, volume, &text, &error);

	lock_take(&w->lock);
	HASH_FIND(hh, w->watched, &volume, sizeof volume, x);
	if (x && settled) {
		list = x->waiters;
		x->waiters = NULL;
		DL_FOREACH(list, v)
		forget_locked(w, v);
	}
	if (x) {
		DL_COUNT(x->pollers, p, n);
		wake = calloc(n + 1, sizeof *wake);
		n = 0;
		for (p = wake ? x->pollers : NULL; p; p = tmp) {
			tmp = p->next;
			wake[n++] = p->kh;
		}
		for (size_t i = 0; i < n; i++)
			poller_free_locked(w, x->pollers);
		unwatch_locked(w, volume);
	}
	lock_drop(&w->lock);
	if (settled)
		answer_all(w->fs, list, &text, error);
	for (size_t i = 0; i < n; i++)
		session_poll_wake(w->fs->session, wake[i]);
	free(wake);
	buf_release(&text);
}

/* Is there one reader to answer, and nothing else to do? */
static bool is_alone_locked(const struct waiters *w)
{
	const struct watched *x = w->woken;

	return x && !x->next && !x->pollers && x->waiters && !x->waiters->next;
}

void waiters_go(struct waiters *w)
{
	int64_t volume = 0;
	bool more;

	lock_take(&w->lock);
	if (is_alone_locked(w))
		volume = take_woken_locked(w);
	more = w->woken;
	lock_drop(&w->lock);
	if (more)
		pthread_cond_signal(&w->more);
	if (volume)
		serve(w, &(struct ctx){ .fs = w->fs, .view = fs_view(w->fs) }, volume);
}

static void answer_interrupted(struct waiter *list)
{
	struct waiter *v, *tmp;

	DL_FOREACH_SAFE(list, v, tmp)
	{
		if (v->change)
			change_answer(v->change, 0, "");
		else
			fuse_reply_err(v->req, EINTR);
		free(v);
	}
}

/* Waits for something to do. True: the root is to be notified. */
static bool next_locked(struct waiters *w)
{
	while (!w->ending && !w->interrupted && !w->woken) {
		int64_t due = w->list_due_ns;

		if (due && clock_mono_ns() >= due)
			break;
		if (due)
			(void)lock_wait_until(&w->lock, &w->more,
				&(struct timespec){ due / 1000000000, due % 1000000000 });
		else
			lock_wait(&w->lock, &w->more);
	}
	if (!w->list_due_ns || clock_mono_ns() < w->list_due_ns)
		return false;
	w->list_due_ns = 0;
	return true;
}

static void *run(void *arg)
{
	struct waiters *w = arg;
	struct ctx c = { .fs = w->fs, .view = fs_view(w->fs) };

	for (;;) {
		struct waiter *interrupted;
		int64_t volume;
		bool listed;

		lock_take(&w->lock);
		listed = next_locked(w);
		if (w->ending) {
			lock_drop(&w->lock);
			return NULL;
		}
		interrupted = w->interrupted;
		w->interrupted = NULL;
		volume = take_woken_locked(w);
		lock_drop(&w->lock);
		if (listed)
			session_inval(w->fs->session, FUSE_ROOT_ID);
		answer_interrupted(interrupted);
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
	struct waiter *v, *tmp_v;

	if (!w)
		return;
	lock_take(&w->lock);
	w->ending = true;
	pthread_cond_signal(&w->more);
	lock_drop(&w->lock);
	pthread_join(w->thread, NULL);
	lock_take(&w->lock);
	while (w->by_fh)
		poller_free_locked(w, w->by_fh);
	HASH_ITER (hh, w->by_id, v, tmp_v) {
		forget_locked(w, v);
		free(v->change);
		free(v);
	}
	HASH_ITER (hh, w->watched, x, tmp) {
		HASH_DEL(w->watched, x);
		free(x);
	}
	lock_drop(&w->lock);
	lock_release(&w->lock);
	free(w);
}
