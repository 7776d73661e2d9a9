/*
 * Who blocks until a volume has settled: readers of `wait`, and callers whose change is to be carried out before they are answered.
 *
 * A blocked reader is a request kept here, no thread. It is answered by the waiters' own thread when a change of its volume says so,
 * or with EINTR when the kernel interrupts it. libfuse calls the interrupt function with the request's lock held and may do so at any
 * moment, also while the request is being answered: so it is given a number, not a pointer, and only hands that number to the thread.
 * Until a waiter is armed the handler itself deals with an interrupt.
 */
#include "fs/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

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

bool wait_look(struct ctx *c, int64_t volume, struct buf *text, int *ret_error)
{
	enum vol_status s;
	struct volume v;
	bool trashed;
	int r = view_status(c->view, volume, &s, &trashed);

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
	if (vol_status_is_error(s) || (view_volume(c->view, volume, &v) == 0 && v.reason[0]))
		*ret_error = EIO;
	return true;
}

/* --- answers --- */

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

/* A change that was waited for. Its volume's error has the reason. */
static void change_settled(struct change *ch, int error)
{
	change_answer(
		ch, -error, error ? "the volume could not be changed: see its file 'error'" : "");
}

void waiters_answer(struct fs *fs, struct waiter *list, const struct buf *text, int error)
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

void waiters_interrupted(struct waiter *list)
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

/* --- who blocks --- */

static struct waiter *find_locked(struct waiters *w, uint64_t id)
{
	struct waiter *v;

	lock_assert_held(&w->lock);
	HASH_FIND(hh, w->by_id, &id, sizeof id, v);
	return v;
}

static void forget_locked(struct waiters *w, struct waiter *v)
{
	lock_assert_held(&w->lock);
	HASH_DEL(w->by_id, v);
	w->readers--;
	admit_read_end(w->fs->admit, v->uid);
}

/* Of one that is armed. */
static void take_locked(struct waiters *w, struct waiter *v)
{
	struct watched *x = watched_find_locked(w, v->volume);

	DL_DELETE(x->waiters, v);
	watched_put_locked(w, x);
	forget_locked(w, v);
}

bool waiters_is_one_locked(const struct watched *x)
{
	return x->waiters && !x->waiters->next;
}

struct waiter *waiters_take_locked(struct waiters *w, struct watched *x)
{
	struct waiter *list = x->waiters, *v;

	lock_assert_held(&w->lock);
	x->waiters = NULL;
	DL_FOREACH(list, v)
	forget_locked(w, v);
	return list;
}

void waiters_drop_locked(struct waiters *w)
{
	struct waiter *v, *tmp;

	lock_assert_held(&w->lock);
	HASH_ITER (hh, w->by_id, v, tmp) {
		forget_locked(w, v);
		free(v->change);
		free(v);
	}
}

/* Called with the request's lock held: hands over and returns. */
static void on_interrupt(fuse_req_t req, void *id_as_pointer)
{
	struct fs *fs = fuse_req_userdata(req);
	struct waiters *w = fs->waiters;
	struct waiter *v;

	LOCK_SCOPE(&w->lock);
	v = find_locked(w, (uintptr_t)id_as_pointer);
	if (!v || v->interrupted)
		return;
	v->interrupted = true;
	if (!v->armed)
		return;
	take_locked(w, v);
	DL_APPEND(w->interrupted, v);
	pthread_cond_signal(&w->more);
}

static struct waiter *waiter_new(
	struct waiters *w, struct ctx *c, int64_t volume, uint64_t fh, size_t size, int *ret_error)
{
	struct waiter *v = calloc(1, sizeof *v);

	*ret_error = v ? EAGAIN : ENOMEM;
	if (!v || !admit_read(w->fs->admit, c->uid)) {
		free(v);
		return NULL;
	}
	*v = (struct waiter){
		.req = c->req, .volume = volume, .fh = fh, .uid = c->uid, .size = size
	};
	LOCK_SCOPE(&w->lock);
	v->id = ++w->next_id;
	HASH_ADD(hh, w->by_id, id, sizeof v->id, v);
	w->readers++;
	return v;
}

/* From here on the thread may answer it. False: it was interrupted meanwhile, or there is no memory. */
static bool arm(struct waiters *w, struct waiter *v)
{
	struct watched *x;

	LOCK_SCOPE(&w->lock);
	x = v->interrupted ? NULL : watched_get_locked(w, v->volume);
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
	struct waiter *v;

	LOCK_SCOPE(&w->lock);
	v = find_locked(w, id);
	if (!v)
		return false;
	take_locked(w, v);
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
	} else if (wait_look(&c, volume, &text, &error) && disarm(w, id)) {
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
	if (wait_look(c, volume, &text, &error) && disarm(w, id))
		answer_settled(c->fs, c->req, fi->fh, size, 0, &text, error);
	buf_release(&text);
}

void wait_read(struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct buf text = { 0 };
	int error;

	if (wait_look(c, n.row, &text, &error))
		answer_settled(c->fs, c->req, fi->fh, size, off, &text, error);
	else if (off > 0)
		fuse_reply_buf(c->req, NULL, 0); /* what it was told before is with a dead server */
	else if (fi->flags & O_NONBLOCK)
		fuse_reply_err(c->req, EAGAIN);
	else
		block(c, n.row, size, fi);
	buf_release(&text);
}
