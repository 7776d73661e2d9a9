/*
 * read(2) of .volfs/events: what comes next, or a wait for it. As in wait_read.c a blocked reader is a request kept here, no thread, and known
 * to its interrupt by a number.
 */
#include "fs/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

/* The kernel sends a large read(2) in several READs, and the next one if the first was filled: which would wait. */
enum { READ_WHOLE = 64 * 1024 };

struct follower {
	uint64_t id;
	fuse_req_t req;
	uid_t uid;
	off_t off;
	size_t size;
	struct stand stand;
	bool armed;	  /* lock: it is in f->blocked */
	bool interrupted; /* lock */
	uint64_t pass;	  /* in which it was looked at last */
	struct follower *prev, *next;
	UT_hash_handle hh;
};

static size_t room_of(size_t size)
{
	return size > READ_WHOLE ? size - 1 : size;
}

/* --- blocked readers --- */

static void forget_locked(struct follow *f, struct follower *v)
{
	lock_assert_held(&f->lock);
	HASH_DEL(f->by_id, v);
	atomic_fetch_sub(&f->looking, 1);
}

static void follower_free(struct follow *f, struct follower *v)
{
	admit_read_end(f->fs->admit, v->uid);
	free(v);
}

/* Called with the request's lock held: hands over and returns. */
static void on_interrupt(fuse_req_t req, void *id_as_pointer)
{
	struct fs *fs = fuse_req_userdata(req);
	struct follow *f = fs->follow;
	uint64_t id = (uintptr_t)id_as_pointer;
	struct follower *v;

	LOCK_SCOPE(&f->lock);
	HASH_FIND(hh, f->by_id, &id, sizeof id, v);
	if (!v || v->interrupted)
		return;
	v->interrupted = true;
	if (!v->armed)
		return;
	DL_DELETE(f->blocked, v);
	forget_locked(f, v);
	DL_APPEND(f->interrupted, v);
	pthread_cond_signal(&f->more);
}

static struct follower *follower_new(struct follow *f, const struct follower *like, int *ret_error)
{
	struct follower *v = calloc(1, sizeof *v);

	*ret_error = v ? EAGAIN : ENOMEM;
	if (!v || !admit_read(f->fs->admit, like->uid)) {
		free(v);
		return NULL;
	}
	*v = *like;
	LOCK_SCOPE(&f->lock);
	v->id = ++f->next_id;
	HASH_ADD(hh, f->by_id, id, sizeof v->id, v);
	atomic_fetch_add(&f->looking, 1);
	return v;
}

/* From here on the thread may answer it. False: it was interrupted meanwhile, and is to be answered by the caller. */
static bool arm(struct follow *f, struct follower *v)
{
	LOCK_SCOPE(&f->lock);
	if (v->interrupted) {
		forget_locked(f, v);
		return false;
	}
	v->armed = true;
	DL_APPEND(f->blocked, v);
	return true;
}

static void end_interrupted(struct follow *f, struct follower *v)
{
	fuse_reply_err(v->req, EINTR);
	follower_free(f, v);
}

static void block(struct follow *f, const struct follower *like)
{
	fuse_req_t req = like->req;
	int64_t wants = like->stand.at.id;
	int error;
	struct follower *v = follower_new(f, like, &error);

	if (!v) {
		fuse_reply_err(req, error);
		return;
	}
	fuse_req_interrupt_func(req, on_interrupt, (void *)(uintptr_t)v->id);
	if (!arm(f, v))
		end_interrupted(f, v);
	else if (store_log_last(f->fs->store) >= wants)
		follow_look(
			f); /* it came between the look and now, or the thread has not got to it */
}

/* --- of the thread --- */

int64_t blocked_first_locked(struct follow *f)
{
	struct follower *v;
	int64_t first = 0;

	lock_assert_held(&f->lock);
	DL_FOREACH(f->blocked, v)
	first = !first || v->stand.at.id < first ? v->stand.at.id : first;
	return first;
}

/* Takes the next one of this pass off the list: meanwhile an interrupt only leaves its mark. */
static struct follower *take_next(struct follow *f)
{
	struct follower *v;

	LOCK_SCOPE(&f->lock);
	v = f->blocked;
	if (!v || v->pass == f->pass)
		return NULL;
	v->pass = f->pass;
	v->armed = false;
	DL_DELETE(f->blocked, v);
	return v;
}

static void answer(struct follow *f, struct follower *v, const struct log_answer *a)
{
	lock_take(&f->lock);
	forget_locked(f, v);
	lock_drop(&f->lock);
	if (buf_failed(&a->text))
		fuse_reply_err(v->req, ENOMEM);
	else
		log_reply(f->fs, v->req, v->stand.fh, v->off, v->stand.at, a);
	follower_free(f, v);
}

/* There is nothing for it: it moves on over what is others'. */
static void wait_on(struct follow *f, struct follower *v, struct log_place at)
{
	v->stand.at = at;
	log_note(f->fs, v->stand.fh, v->off, at);
	if (!arm(f, v))
		end_interrupted(f, v);
}

/* If the window begins too late for one that has just come, the next look will do. */
size_t blocked_answer(struct follow *f, struct view *view)
{
	struct follower *v;
	size_t n = 0;

	while ((v = take_next(f))) {
		struct log_answer a = {
			.room = room_of(v->size), .whole = true, .at = v->stand.at
		};

		(void)follow_next(f, view, &v->stand, &a);
		if (a.text.len) {
			answer(f, v, &a);
			n++;
		} else {
			wait_on(f, v, a.at);
		}
		buf_release(&a.text);
	}
	return n;
}

void blocked_interrupted(struct follow *f, struct follower *list)
{
	struct follower *v, *tmp;

	DL_FOREACH_SAFE(list, v, tmp)
	end_interrupted(f, v);
}

void blocked_free_locked(struct follow *f)
{
	struct follower *v, *tmp;

	lock_assert_held(&f->lock);
	HASH_ITER (hh, f->by_id, v, tmp) {
		forget_locked(f, v);
		fuse_reply_none(v->req); /* sends nothing, and frees it */
		follower_free(f, v);
	}
}

/* --- what comes next, for who asks --- */

/* The first read of an open goes on from there (log_opened); else it is a seek. */
static int find_place(struct ctx *c, const struct stand *s, off_t off, struct log_place *ret)
{
	struct log_ends ends;
	int64_t id;
	int r;

	if (log_goes_on(c, &s->who, s->fh, off, ret))
		return 0;
	r = view_log_ends(c->view, &ends);
	*ret = (struct log_place){ .id = off == 1 ? ends.first : ends.last + 1 };
	if (r < 0 || off <= 1)
		return r;
	if ((uint64_t)off < ends.start) {
		*ret = (struct log_place){ .within = LOG_TELLS };
		return 0;
	}
	r = view_log_at(c->view, (uint64_t)off, &id);
	if (r == 0)
		ret->id = id;
	return r == -ENOENT ? 0 : r;
}

static bool is_future(struct follow *f, const struct log_place *at)
{
	return !at->within && at->id > store_log_last(f->fs->store);
}

/* May it be left to the thread? What is new is read by that once for all; what is older, by whoever wants it. */
static bool is_new(struct follow *f, const struct log_place *at)
{
	int64_t first, next;

	window_ends(f->window, &first, &next);
	return at->id >= next && !at->within && store_log_last(f->fs->store) - at->id < LOG_BATCH;
}

int follow_fill(struct ctx *c, const struct log_reader *who, bool at_once, struct log_answer *a)
{
	struct follow *f = c->fs->follow;

	(void)window_fill(f->window, who, a);
	if (a->text.len || is_future(f, &a->at) || (!at_once && is_new(f, &a->at)))
		return buf_failed(&a->text) ? -ENOMEM : 0;
	return log_fill(c->view, who, a);
}

void follow_read(struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct follower v = {
		.req = c->req, .uid = c->uid, .off = off, .size = size, .stand.fh = fi->fh
	};
	struct log_answer a = { .room = room_of(size), .whole = true };
	bool at_once = fi->flags & O_NONBLOCK;
	int r = log_who(c, fi->fh, &v.stand.who);

	if (r == 0)
		r = find_place(c, &v.stand, off, &v.stand.at);
	a.at = v.stand.at;
	if (r == 0)
		r = follow_fill(c, &v.stand.who, at_once, &a);
	if (r < 0) {
		fuse_reply_err(c->req, reply_errno(r));
	} else if (a.text.len) {
		log_reply(c->fs, c->req, fi->fh, off, v.stand.at, &a);
	} else {
		/* Where it waits must not be found anew by another server. */
		log_note(c->fs, fi->fh, off, a.at);
		v.stand.at = a.at;
		if (at_once)
			fuse_reply_err(c->req, EAGAIN);
		else
			block(c->fs->follow, &v);
	}
	buf_release(&a.text);
}
