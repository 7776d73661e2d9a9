/*
 * poll(2) of .volfs/events: who sleeps until there is a line for him. A sleeper goes when its open is released, at any moment: so the
 * thread looks at a copy of where it stands, and finds it again by its handle.
 */
#include "fs/follow.h"

#include <poll.h>
#include <stdlib.h>

struct sleeper {
	struct stand stand;
	uint64_t kh;
	uid_t uid;
	int slot;      /* in the keep; -1: none was to be had */
	uint64_t pass; /* in which it was looked at last */
	struct sleeper *prev, *next;
	UT_hash_handle hh; /* by stand.fh */
};

static struct sleeper *find_locked(struct follow *f, uint64_t fh)
{
	struct sleeper *w;

	lock_assert_held(&f->lock);
	HASH_FIND(hh, f->by_fh, &fh, sizeof fh, w);
	return w;
}

static void sleeper_free_locked(struct follow *f, struct sleeper *w)
{
	lock_assert_held(&f->lock);
	HASH_DEL(f->by_fh, w);
	DL_DELETE(f->asleep, w);
	admit_poll_end(f->fs->admit, w->uid, w->slot);
	atomic_fetch_sub(&f->looking, 1);
	free(w);
}

void follow_forget(struct follow *f, uint64_t fh)
{
	struct sleeper *w;

	LOCK_SCOPE(&f->lock);
	w = find_locked(f, fh);
	if (w)
		sleeper_free_locked(f, w);
}

void asleep_free_locked(struct follow *f)
{
	lock_assert_held(&f->lock);
	while (f->asleep)
		sleeper_free_locked(f, f->asleep);
}

/* False: no memory, it will not be woken. */
static bool sleep_on(struct follow *f, const struct stand *s, uid_t uid, uint64_t kh)
{
	struct sleeper *w;

	LOCK_SCOPE(&f->lock);
	w = find_locked(f, s->fh);
	if (w) {
		w->stand = *s;
		return true;
	}
	w = calloc(1, sizeof *w);
	if (!w)
		return false;
	*w = (struct sleeper){ .stand = *s, .kh = kh, .uid = uid };
	w->slot = admit_poll(f->fs->admit, uid, kh);
	HASH_ADD(hh, f->by_fh, stand.fh, sizeof w->stand.fh, w);
	DL_APPEND(f->asleep, w);
	atomic_fetch_add(&f->looking, 1);
	return true;
}

/* Is there a line for it? Else it moves on over those of others. */
static bool is_ready(struct ctx *c, struct stand *s)
{
	struct log_answer a = { .room = 1, .at = s->at };
	bool ready = follow_fill(c, &s->who, true, &a) < 0 || a.text.len;

	if (!ready)
		s->at = a.at;
	buf_release(&a.text);
	return ready;
}

/* Says what comes after the latest read: a seek is not known before the read that follows it. */
void follow_poll(struct ctx *c, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct stand s = { .fh = fi->fh };
	unsigned events = POLLERR;
	int64_t pos;

	if (log_who(c, fi->fh, &s.who) == 0 && place_latest(c->fs, fi->fh, &pos)) {
		s.at = log_unpack(pos);
		events = is_ready(c, &s) ? POLLIN | POLLRDNORM : 0;
		if (ph && !events && !sleep_on(c->fs->follow, &s, c->uid, session_poll_kh()))
			events = POLLERR;
		if (ph && !events && store_log_last(c->fs->store) >= s.at.id)
			follow_look(c->fs->follow);
	}
	fuse_reply_poll(c->req, events);
	if (ph)
		fuse_pollhandle_destroy(ph);
}

/* --- of the thread --- */

int64_t asleep_first_locked(struct follow *f)
{
	struct sleeper *w;
	int64_t first = 0;

	lock_assert_held(&f->lock);
	DL_FOREACH(f->asleep, w)
	first = !first || w->stand.at.id < first ? w->stand.at.id : first;
	return first;
}

/* The next one of this pass. False: everybody was looked at. */
static bool next_asleep(struct follow *f, struct stand *ret)
{
	struct sleeper *w;

	LOCK_SCOPE(&f->lock);
	w = f->asleep;
	if (!w || w->pass == f->pass)
		return false;
	w->pass = f->pass;
	DL_DELETE(f->asleep, w);
	DL_APPEND(f->asleep, w);
	*ret = w->stand;
	return true;
}

/* Is there anything for it now? A line, or something that the window cannot tell. */
static bool has_news(struct follow *f, struct view *v, struct stand *s)
{
	struct log_answer a = { .room = 1, .at = s->at };
	bool news = !follow_next(f, v, s, &a) || a.text.len;

	s->at = a.at;
	buf_release(&a.text);
	return news;
}

/* Ends its sleep, if it is still asleep: its kh. */
static bool rouse(struct follow *f, const struct stand *s, uint64_t *ret_kh)
{
	struct sleeper *w;

	LOCK_SCOPE(&f->lock);
	w = find_locked(f, s->fh);
	if (!w)
		return false;
	*ret_kh = w->kh;
	sleeper_free_locked(f, w);
	return true;
}

/* It has polled once more meanwhile, perhaps: what it is known to have passed only grows. */
static void sleep_further(struct follow *f, const struct stand *s)
{
	struct sleeper *w;

	LOCK_SCOPE(&f->lock);
	w = find_locked(f, s->fh);
	if (w && w->stand.at.id <= s->at.id)
		w->stand = *s;
}

size_t asleep_wake(struct follow *f, struct view *v)
{
	struct stand s;
	uint64_t kh;
	size_t n = 0;

	while (next_asleep(f, &s)) {
		if (!has_news(f, v, &s)) {
			sleep_further(f, &s);
		} else if (rouse(f, &s, &kh)) {
			session_poll_wake(f->fs->session, kh);
			n++;
		}
	}
	return n;
}
