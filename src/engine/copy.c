/*
 * The bytes of an image, or of a snapshot of it, into an empty image of another backend.
 *
 *   this thread: next data ─▶ a free piece ─▶ read ─▶ (storage) ─▶ write ─▶ (storage) ─▶ free ─▶ … ─▶ flush ─▶ both closed
 *
 * A few pieces are under way together; what is a hole, or reads as zeroes, is one in the empty image already. Requests carry no
 * time-out: whoever stops a copy waits for what is under way.
 */
#include "engine/internal.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	PIECE = 1 << 20,
	PIECES = 8,    /* under way at a time */
	GRAIN = 4096,  /* data begins and ends at a multiple of it, as far as the image goes */
	LOOK_MS = 100, /* how often is asked whether it is to go on */
};

struct piece {
	struct copy *c;
	uint64_t off;
	size_t len;
	char *buf;
	struct piece *next; /* of the free ones */
};

struct copy {
	const struct copy_end *from, *to;
	void *source, *target; /* what data_open() gave; NULL: not open */
	const struct copy_watch *watch;
	struct piece piece[PIECES];

	struct lock lock;
	pthread_cond_t cond;
	struct piece *free; /* lock */
	unsigned busy;	    /* lock; requests under way */
	int code;	    /* lock; the first failure */
	struct err err;	    /* lock */
};

static void fail_locked(struct copy *c, int code, const char *what, uint64_t off)
{
	lock_assert_held(&c->lock);
	if (c->code < 0)
		return;
	c->code = code;
	err_set(&c->err, code, "%s at %" PRIu64 ": %s", what, off, strerror(-code));
}

/* A request has ended. From any thread, like all below that the driver calls. */
static void ended_locked(struct copy *c)
{
	lock_assert_held(&c->lock);
	c->busy--;
	pthread_cond_signal(&c->cond);
}

/* --- a piece --- */

static void piece_ends(struct piece *p, int code, const char *what)
{
	struct copy *c = p->c;

	LOCK_SCOPE(&c->lock);
	if (code < 0)
		fail_locked(c, code, what, p->off);
	else
		atomic_fetch_add(&c->watch->progress->done, p->len);
	p->next = c->free;
	c->free = p;
	ended_locked(c);
}

static void written(void *arg, int code)
{
	piece_ends(arg, code, "writing");
}

static bool is_zero(const char *buf, size_t len)
{
	return !buf[0] && !memcmp(buf, buf + 1, len - 1);
}

static void was_read(void *arg, int code)
{
	struct piece *p = arg;
	struct copy *c = p->c;

	if (code < 0 || is_zero(p->buf, p->len))
		piece_ends(p, code, "reading its source");
	else
		c->to->driver->data_write(c->target, p->off, p->len, p->buf, written, p);
}

/* --- waiting --- */

/* Whether it is to go on is asked now and then: nobody could wake this thread from a driver's call. */
static void wait_locked(struct copy *c)
{
	struct timespec until = clock_mono_in_ms(LOOK_MS);
	bool on;

	lock_assert_held(&c->lock);
	if (lock_wait_until(&c->lock, &c->cond, &until))
		return;
	lock_drop(&c->lock);
	on = c->watch->goes_on(c->watch->arg);
	lock_take(&c->lock);
	if (!on && c->code == 0) {
		c->code = -ECANCELED;
		err_set(&c->err, c->code, "given up");
	}
}

/* A piece that nothing is under way for; NULL: it has failed, or is to end. */
static struct piece *take_piece(struct copy *c)
{
	struct piece *p;

	LOCK_SCOPE(&c->lock);
	while (!c->free && c->code == 0)
		wait_locked(c);
	if (c->code < 0)
		return NULL;
	p = c->free;
	c->free = p->next;
	c->busy++;
	return p;
}

static void wait_all(struct copy *c)
{
	LOCK_SCOPE(&c->lock);
	while (c->busy)
		wait_locked(c);
}

static void one_ended(void *arg, int code)
{
	struct copy *c = arg;

	LOCK_SCOPE(&c->lock);
	if (code < 0 && c->code == 0)
		c->code = code;
	ended_locked(c);
}

/* Before a request that one_ended() ends: then wait_one(). */
static void begin_one(struct copy *c)
{
	LOCK_SCOPE(&c->lock);
	c->busy++;
}

static int wait_one(struct copy *c, const char *what)
{
	wait_all(c);
	LOCK_SCOPE(&c->lock);
	if (c->code < 0 && !c->err.text[0])
		err_set(&c->err, c->code, "%s: %s", what, strerror(-c->code));
	return c->code;
}

/* --- the whole --- */

static int open_both(struct copy *c)
{
	int r;

	begin_one(c);
	c->from->driver->data_open(
		c->from->be, &c->from->image, c->from->snap, false, &c->source, one_ended, c);
	r = wait_one(c, "opening its source");
	if (r < 0)
		return r;
	begin_one(c);
	c->to->driver->data_open(
		c->to->be, &c->to->image, c->to->snap, true, &c->target, one_ended, c);
	return wait_one(c, "opening it");
}

static int flush(struct copy *c)
{
	begin_one(c);
	c->to->driver->data_flush(c->target, one_ended, c);
	return wait_one(c, "flushing it");
}

/* All that matters was flushed. */
static void closed(void *arg, int code)
{
	one_ended(arg, 0);
}

static void close_one(struct copy *c, const struct driver *driver, void *data)
{
	if (!data)
		return;
	begin_one(c);
	driver->data_close(data, closed, c);
	wait_all(c);
}

/* The next data at or after *off, in whole grains: 1, 0 at the end, or -errno. */
static int next_data(struct copy *c, uint64_t off, uint64_t *ret_from, uint64_t *ret_to)
{
	const struct driver *d = c->from->driver;
	uint64_t size = c->from->image.size, from, to;
	int r = d->data_next(c->source, off, size, false, &from);

	if (r == 0 && from < size)
		r = d->data_next(c->source, from, size, true, &to);
	if (r < 0) {
		LOCK_SCOPE(&c->lock);
		fail_locked(c, r, "looking for its source's data", off);
		return r;
	}
	if (from >= size)
		return 0;
	from -= from % GRAIN;
	to = (to + GRAIN - 1) / GRAIN * GRAIN;
	*ret_from = from > off ? from : off;
	*ret_to = to < size ? to : size;
	return 1;
}

/* How much there is to do. */
static int count(struct copy *c)
{
	uint64_t from = 0, to = 0, total = 0;
	int r;

	while ((r = next_data(c, to, &from, &to)) > 0) {
		total += to - from;
		if (!c->watch->goes_on(c->watch->arg))
			return err_set(&c->err, c->code = -ECANCELED, "given up");
	}
	atomic_store(&c->watch->progress->total, total);
	return r;
}

static int copy_range(struct copy *c, uint64_t off, uint64_t end)
{
	while (off < end) {
		struct piece *p = take_piece(c);
		uint64_t border = off - off % PIECE + PIECE;

		if (!p)
			return -ECANCELED;
		p->off = off;
		p->len = (size_t)((border < end ? border : end) - off);
		off += p->len;
		c->from->driver->data_read(c->source, p->off, p->len, p->buf, was_read, p);
	}
	return 0;
}

static int copy_all(struct copy *c)
{
	uint64_t from = 0, to = 0;
	int r = count(c);

	if (r < 0)
		return r;
	while ((r = next_data(c, to, &from, &to)) > 0 && (r = copy_range(c, from, to)) == 0)
		;
	wait_all(c);
	LOCK_SCOPE(&c->lock);
	return c->code < 0 ? c->code : r;
}

static void run(struct copy *c)
{
	int r = open_both(c);

	r = r < 0 ? r : copy_all(c);
	if (r == 0)
		(void)flush(c);
	close_one(c, c->from->driver, c->source);
	close_one(c, c->to->driver, c->target);
}

int copy_run(const struct copy_end *from, const struct copy_end *to, const struct copy_watch *watch,
	struct err *err)
{
	CLEANUP_FREE char *bytes = malloc((size_t)PIECES * PIECE);
	struct copy c = { .from = from, .to = to, .watch = watch };

	if (!bytes)
		return err_set(err, -ENOMEM, "out of memory");
	lock_init(&c.lock);
	cond_init(&c.cond);
	for (size_t i = 0; i < PIECES; i++) {
		c.piece[i] = (struct piece){ .c = &c, .buf = bytes + i * PIECE, .next = c.free };
		c.free = &c.piece[i];
	}
	run(&c);
	pthread_cond_destroy(&c.cond);
	lock_release(&c.lock);
	return c.code < 0 ? err_set(err, c.code, "%s", c.err.text) : 0;
}
