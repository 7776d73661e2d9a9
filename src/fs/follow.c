/*
 * .volfs/events: readers that wait for the next event, and poll(2) on it.
 *
 * As in wait.c a blocked reader is a request kept here, no thread, and known to its interrupt by a number. One thread looks after a
 * commit, reads what is new once for all of them into the window, and answers. It does so at once when there was nothing for a while, and
 * else every PAUSE_US at most, or later where there are many to answer: so what they cost is bounded, and each gets more at a time.
 *
 * Nothing is queued for a reader. Who does not read stays where he is, and reads from the window when he comes back, or from the
 * catalogue in a thread of his own request if he is far behind.
 */
#include "fs/log.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

enum {
	PAUSE_US = 4000,
	PAUSE_EACH_US = 25, /* … for each that is answered */
	AT_ONCE = 32,	    /* answered between two looks at the lock */
	/* The kernel sends a large read(2) in several READs, and the next one if the first was filled: which would wait. */
	READ_WHOLE = 64 * 1024,
};

struct follower {
	uint64_t id;
	fuse_req_t req;
	uint64_t fh;
	uid_t uid;
	off_t off;
	size_t size;
	struct log_place at;
	struct log_reader who;
	bool armed, interrupted;
	uint64_t pass; /* in which it was looked at last */
	struct follower *prev, *next;
	UT_hash_handle hh;
};

/* A sleeping poll(2). */
struct watcher {
	uint64_t fh, kh;
	uid_t uid;
	int slot; /* in the keep; -1: none was to be had */
	struct log_place at;
	struct log_reader who;
	struct watcher *prev, *next;
	UT_hash_handle hh;
};

struct follow {
	struct fs *fs;
	struct window *window;
	struct lock lock; /* after a request's own lock; never held over a reply */
	pthread_cond_t more;
	pthread_t thread;
	bool ending, woken;	      /* lock */
	uint64_t next_id;	      /* lock */
	struct follower *by_id;	      /* lock */
	struct follower *blocked;     /* lock: those armed */
	struct follower *interrupted; /* lock: taken off the list */
	struct watcher *by_fh;	      /* lock */
	_Atomic size_t looking;	      /* how many there are of both */
	_Atomic int64_t next;	      /* event that the window does not have yet */
	uint64_t pass;		      /* the thread's, as the next ones */
	int64_t kept;		      /* events before this one are known to be gone … */
	uint64_t kept_pos;	      /* … and where it begins */
	int64_t due_ns;		      /* when it may look again */
};

static size_t room_of(size_t size)
{
	return size > READ_WHOLE ? size - 1 : size;
}

static void wake(struct follow *f)
{
	bool first;

	lock_take(&f->lock);
	first = !f->woken;
	f->woken = true;
	lock_drop(&f->lock);
	if (first)
		pthread_cond_signal(&f->more);
}

void follow_wake(struct follow *f)
{
	if (atomic_load(&f->looking) && store_log_last(f->fs->store) >= atomic_load(&f->next))
		wake(f);
}

size_t follow_count(struct follow *f)
{
	return atomic_load(&f->looking);
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
	waiters_leave(f->fs->waiters, v->uid);
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
	if (!v || !waiters_admit(f->fs->waiters, like->uid)) {
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

/* From here on the thread may answer it. False: it was interrupted meanwhile. */
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

static void block(struct follow *f, const struct follower *like)
{
	fuse_req_t req = like->req;
	int64_t wants = like->at.id;
	int error;
	struct follower *v = follower_new(f, like, &error);

	if (!v) {
		fuse_reply_err(req, error);
		return;
	}
	fuse_req_interrupt_func(req, on_interrupt, (void *)(uintptr_t)v->id);
	if (!arm(f, v)) {
		fuse_reply_err(req, EINTR);
		follower_free(f, v);
	} else if (store_log_last(f->fs->store) >= wants) {
		wake(f); /* it came between the look and now, or the thread has not got to it */
	}
}

/* --- what comes next --- */

/* The first read of an open goes on from there (log_opened); else it is a seek. */
static int find_place(struct ctx *c, const struct follower *v, struct log_place *ret)
{
	struct log_ends ends;
	int64_t id;
	int r;

	if (log_goes_on(c, &v->who, v->fh, v->off, ret))
		return 0;
	r = view_log_ends(c->view, &ends);
	*ret = (struct log_place){ .id = v->off == 1 ? ends.first : ends.last + 1 };
	if (r < 0 || v->off <= 1)
		return r;
	if ((uint64_t)v->off < ends.start) {
		*ret = (struct log_place){ .within = LOG_TELLS };
		return 0;
	}
	r = view_log_at(c->view, (uint64_t)v->off, &id);
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

/* at_once: there is no thread to be left to. */
static int fill(struct ctx *c, const struct follower *v, bool at_once, struct log_answer *a)
{
	struct follow *f = c->fs->follow;

	(void)window_fill(f->window, &v->who, a);
	if (a->text.len || is_future(f, &a->at) || (!at_once && is_new(f, &a->at)))
		return buf_failed(&a->text) ? -ENOMEM : 0;
	return log_fill(c->view, &v->who, a);
}

void follow_read(struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct follower v = {
		.req = c->req, .fh = fi->fh, .uid = c->uid, .off = off, .size = size
	};
	struct log_answer a = { .room = room_of(size), .whole = true };
	bool at_once = fi->flags & O_NONBLOCK;
	int r = log_who(c, fi->fh, &v.who);

	if (r == 0)
		r = find_place(c, &v, &v.at);
	a.at = v.at;
	if (r == 0)
		r = fill(c, &v, at_once, &a);
	if (r < 0) {
		fuse_reply_err(c->req, reply_errno(r));
	} else if (a.text.len) {
		log_reply(c->fs, c->req, fi->fh, off, v.at, &a);
	} else {
		/* Where it waits must not be found anew by another server. */
		log_note(c->fs, fi->fh, off, a.at);
		v.at = a.at;
		if (at_once)
			fuse_reply_err(c->req, EAGAIN);
		else
			block(c->fs->follow, &v);
	}
	buf_release(&a.text);
}

/* --- poll(2) --- */

static void watcher_free_locked(struct follow *f, struct watcher *w)
{
	lock_assert_held(&f->lock);
	HASH_DEL(f->by_fh, w);
	waiters_slot_drop(f->fs->waiters, w->uid, w->slot);
	atomic_fetch_sub(&f->looking, 1);
	free(w);
}

void follow_forget(struct follow *f, uint64_t fh)
{
	struct watcher *w;

	LOCK_SCOPE(&f->lock);
	HASH_FIND(hh, f->by_fh, &fh, sizeof fh, w);
	if (w)
		watcher_free_locked(f, w);
}

static void watch(struct follow *f, const struct follower *v, uint64_t kh)
{
	struct watcher *w;

	LOCK_SCOPE(&f->lock);
	HASH_FIND(hh, f->by_fh, &v->fh, sizeof v->fh, w);
	if (w) {
		w->at = v->at;
		w->who = v->who;
		return;
	}
	w = calloc(1, sizeof *w);
	if (!w)
		return;
	*w = (struct watcher){ .fh = v->fh, .kh = kh, .uid = v->uid, .at = v->at, .who = v->who };
	w->slot = waiters_slot_take(f->fs->waiters, v->uid, kh);
	HASH_ADD(hh, f->by_fh, fh, sizeof w->fh, w);
	atomic_fetch_add(&f->looking, 1);
}

/* Is there a line for it? *at moves over those of others. */
static bool is_ready(struct ctx *c, const struct follower *v, struct log_place *at)
{
	struct log_answer a = { .room = 1, .at = *at };
	bool ready = fill(c, v, true, &a) < 0 || a.text.len;

	if (!ready)
		*at = a.at;
	buf_release(&a.text);
	return ready;
}

/* Says what comes after the latest read: a seek is not known before the read that follows it. */
void follow_poll(struct ctx *c, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct follower v = { .fh = fi->fh, .uid = c->uid };
	unsigned events = POLLERR;
	int64_t pos;

	if (log_who(c, fi->fh, &v.who) == 0 && place_latest(c->fs, fi->fh, &pos)) {
		v.at = log_unpack(pos);
		events = is_ready(c, &v, &v.at) ? POLLIN | POLLRDNORM : 0;
		if (ph && !events) {
			watch(c->fs->follow, &v, session_poll_kh());
			if (store_log_last(c->fs->store) >= v.at.id)
				wake(c->fs->follow);
		}
	}
	fuse_reply_poll(c->req, events);
	if (ph)
		fuse_pollhandle_destroy(ph);
}

/* --- the thread --- */

/* The first event that somebody waits for; 0: nobody does. */
static int64_t lowest(struct follow *f)
{
	struct watcher *w, *tmp;
	struct follower *v;
	int64_t low = 0;

	LOCK_SCOPE(&f->lock);
	DL_FOREACH(f->blocked, v)
	low = !low || v->at.id < low ? v->at.id : low;
	HASH_ITER (hh, f->by_fh, w, tmp)
		low = !low || w->at.id < low ? w->at.id : low;
	return low;
}

/* Events of a project that was not there when they asked. */
static void learn_projects(struct follow *f, struct view *v)
{
	struct watcher *w, *tmp;
	struct follower *x;

	LOCK_SCOPE(&f->lock);
	DL_FOREACH(f->blocked, x)
	log_who_again(f->fs, v, x->fh, &x->who);
	HASH_ITER (hh, f->by_fh, w, tmp)
		log_who_again(f->fs, v, w->fh, &w->who);
}

/* Takes what is new into the window: how many lines. */
static int read_new(struct follow *f, struct view *v)
{
	struct log_row row[LOG_BATCH];
	int64_t first, next, low = lowest(f);
	struct buf text = { 0 };
	int n = 0;

	window_ends(f->window, &first, &next);
	if (low && (low > next || low < first))
		window_restart(f->window, next = low);
	if (low)
		n = view_log(v, next - 1, row, LOG_BATCH, &text);
	if (n > 0 && row[0].id > next) {
		f->kept = row[0].id;
		f->kept_pos = row[0].pos;
	}
	if (n > 0 && !buf_failed(&text) && window_add(f->window, row, (size_t)n, text.at))
		learn_projects(f, v);
	window_ends(f->window, &first, &next);
	atomic_store(&f->next, next);
	buf_release(&text);
	return n;
}

/* What the window has for it. If that begins too late for one that has just come, the next look will do; but events may also be gone. */
static void fill_locked(struct follow *f, struct follower *v, struct log_answer *a)
{
	*a = (struct log_answer){ .room = room_of(v->size), .whole = true, .at = v->at };
	if (v->at.id >= f->kept || log_answer_lost(a, f->kept, f->kept_pos))
		(void)window_fill(f->window, &v->who, a);
}

/* Those to be answered next, with their answers; how many, at most AT_ONCE. Others move on over what is not for them. */
static size_t take_some(struct follow *f, struct follower **ret, struct log_answer *a)
{
	struct follower *v;
	size_t n = 0;

	LOCK_SCOPE(&f->lock);
	for (size_t i = 0; i < AT_ONCE && (v = f->blocked) && v->pass != f->pass; i++) {
		DL_DELETE(f->blocked, v);
		fill_locked(f, v, &a[n]);
		if (a[n].text.len) {
			forget_locked(f, v);
			ret[n++] = v;
			continue;
		}
		v->at = a[n].at;
		v->pass = f->pass;
		log_note(f->fs, v->fh, v->off, v->at);
		DL_APPEND(f->blocked, v);
	}
	return n;
}

static size_t answer_some(struct follow *f)
{
	struct follower *v[AT_ONCE];
	struct log_answer a[AT_ONCE];
	size_t n = take_some(f, v, a);

	for (size_t i = 0; i < n; i++) {
		if (buf_failed(&a[i].text))
			fuse_reply_err(v[i]->req, ENOMEM);
		else
			log_reply(f->fs, v[i]->req, v[i]->fh, v[i]->off, v[i]->at, &a[i]);
		buf_release(&a[i].text);
		follower_free(f, v[i]);
	}
	return n;
}

static bool more_to_look_at(struct follow *f)
{
	LOCK_SCOPE(&f->lock);
	return f->blocked && f->blocked->pass != f->pass;
}

/* Those that have something now. *ret: their kh; how many. */
static size_t take_ready(struct follow *f, uint64_t **ret)
{
	struct watcher *w, *tmp;
	size_t n = 0;

	LOCK_SCOPE(&f->lock);
	*ret = f->by_fh ? calloc(HASH_COUNT(f->by_fh), sizeof **ret) : NULL;
	HASH_ITER (hh, f->by_fh, w, tmp) {
		struct log_answer a = { .room = 1, .at = w->at };
		bool ready =
			w->at.id < f->kept || !window_fill(f->window, &w->who, &a) || a.text.len;

		buf_release(&a.text);
		w->at = a.at;
		if (!ready || !*ret)
			continue;
		(*ret)[n++] = w->kh;
		watcher_free_locked(f, w);
	}
	return n;
}

static void look(struct follow *f, struct view *v)
{
	int64_t began_ns = clock_mono_ns(), each = 0;
	uint64_t *kh;
	size_t n;
	int rows;

	do {
		rows = v ? read_new(f, v) : 0;
		f->pass++;
		while (more_to_look_at(f))
			each += (int64_t)answer_some(f);
		n = take_ready(f, &kh);
		for (size_t i = 0; i < n; i++)
			session_poll_wake(f->fs->session, kh[i]);
		each += (int64_t)n;
		free(kh);
	} while (rows == LOG_BATCH);
	each *= PAUSE_EACH_US;
	f->due_ns = began_ns + (each > PAUSE_US ? each : PAUSE_US) * 1000;
}

static void answer_interrupted(struct follow *f, struct follower *list)
{
	struct follower *v, *tmp;

	DL_FOREACH_SAFE(list, v, tmp)
	{
		fuse_reply_err(v->req, EINTR);
		follower_free(f, v);
	}
}

/* Until there is something to do. True: to look. */
static bool next_locked(struct follow *f)
{
	while (!f->ending && !f->interrupted) {
		if (f->woken && clock_mono_ns() >= f->due_ns)
			break;
		if (f->woken)
			(void)lock_wait_until(&f->lock, &f->more,
				&(struct timespec){
					f->due_ns / 1000000000, f->due_ns % 1000000000 });
		else
			lock_wait(&f->lock, &f->more);
	}
	if (f->interrupted || f->ending)
		return false;
	f->woken = false;
	return true;
}

static void *run(void *arg)
{
	struct follow *f = arg;
	struct view *view = fs_view(f->fs);

	for (;;) {
		struct follower *interrupted;
		bool due, ending;

		lock_take(&f->lock);
		due = next_locked(f);
		ending = f->ending;
		interrupted = f->interrupted;
		f->interrupted = NULL;
		lock_drop(&f->lock);
		answer_interrupted(f, interrupted);
		if (ending)
			return NULL;
		if (due)
			look(f, view);
	}
}

int follow_new(struct fs *fs, struct follow **ret, struct err *err)
{
	struct follow *f = calloc(1, sizeof *f);

	if (!f || window_new(&f->window) < 0) {
		free(f);
		return err_set(err, -ENOMEM, "no memory for followers of events");
	}
	f->fs = fs;
	lock_init(&f->lock);
	cond_init(&f->more);
	if (pthread_create(&f->thread, NULL, run, f)) {
		window_free(f->window);
		free(f);
		return err_set(err, -EAGAIN, "cannot start the followers' thread");
	}
	(void)pthread_setname_np(f->thread, "followers");
	*ret = f;
	return 0;
}

/* As with waiters, blocked readers stay unanswered. */
void follow_free(struct follow *f)
{
	struct follower *v, *tmp;

	if (!f)
		return;
	lock_take(&f->lock);
	f->ending = true;
	pthread_cond_signal(&f->more);
	lock_drop(&f->lock);
	pthread_join(f->thread, NULL);
	lock_take(&f->lock);
	while (f->by_fh)
		watcher_free_locked(f, f->by_fh);
	HASH_ITER (hh, f->by_id, v, tmp) {
		forget_locked(f, v);
		fuse_reply_none(v->req); /* sends nothing, and frees it */
		follower_free(f, v);
	}
	lock_drop(&f->lock);
	lock_release(&f->lock);
	window_free(f->window);
	free(f);
}
