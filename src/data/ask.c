/* What takes a thread of its own, since a driver may block: where data and holes are; giving all of a volume's space back. */
#include "data/internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

struct waited {
	struct data_io io;
	struct lock lock;
	pthread_cond_t over_cond;
	bool over; /* lock */
	int code;  /* lock */
};

static void wake(struct data_io *io, int code)
{
	struct waited *w = (struct waited *)io;

	LOCK_SCOPE(&w->lock);
	w->over = true;
	w->code = code;
	pthread_cond_signal(&w->over_cond);
}

int io_wait(struct data_image *i, enum data_op op, uint64_t off, uint64_t len)
{
	struct waited w = { .io = { .op = op, .off = off, .len = len, .done = wake } };

	lock_init(&w.lock);
	cond_init(&w.over_cond);
	data_submit(i, &w.io);
	lock_take(&w.lock);
	while (!w.over)
		lock_wait(&w.lock, &w.over_cond);
	lock_drop(&w.lock);
	pthread_cond_destroy(&w.over_cond);
	lock_release(&w.lock);
	return w.code;
}

/* The image is open, and stays so, for whoever asks is a request that is under way. */
static int next(struct data_image *i, uint64_t off, uint64_t size, bool hole, uint64_t *ret)
{
	return i->at.driver->data_next(i->handle, off, size, hole, ret);
}

/* --- where data is */

struct question {
	struct data_io io;
	struct slow_task task;
	uint64_t off, at;
	bool hole;
	data_found *done;
	void *arg;
};

static void look(struct slow_task *t)
{
	struct question *q = (struct question *)((char *)t - offsetof(struct question, task));
	uint64_t size = data_size(q->io.image);
	int r;

	q->at = size;
	r = next(q->io.image, q->off, size, q->hole, &q->at);
	if (r == 0 && q->at >= size && !q->hole)
		r = -ENXIO;
	if (q->at > size)
		q->at = size;
	io_ended(&q->io, r);
}

void ask(struct data_image *i, struct data_io *io)
{
	slow_run(i->d->slow, i->at.be, &((struct question *)io)->task);
}

static void answered(struct data_io *io, int code)
{
	struct question *q = (struct question *)io;

	q->done(q->arg, code, q->at);
	free(q);
}

void data_next(struct data_image *i, uint64_t off, bool hole, data_found *done, void *arg)
{
	struct question *q = calloc(1, sizeof *q);

	if (!q) {
		done(arg, -ENOMEM, 0);
		return;
	}
	*q = (struct question){ .io = { .op = DATA_NEXT, .done = answered },
		.task = { .run = look },
		.off = off,
		.hole = hole,
		.done = done,
		.arg = arg };
	data_submit(i, &q->io);
}

/* --- emptying: a thread looks where there is data, and has no part in its zeroing, which may take long */

struct emptying {
	struct data_io part; /* DATA_ZERO of one stretch of data */
	struct slow_task task;
	struct data_image *image;
	struct data_io *io;
	uint64_t at; /* up to here it is empty */
};

static void empty_over(struct emptying *e, int code)
{
	struct data_io *io = e->io;

	free(e);
	io_ended(io, code);
}

/* The first stretch of data from there; from: the size if there is none. */
static int find_data(struct data_image *i, uint64_t at, uint64_t size, uint64_t *from, uint64_t *to)
{
	int r = next(i, at, size, false, from);

	*to = size;
	return r == 0 && *from < size ? next(i, *from, size, true, to) : r;
}

static void empty_next(struct slow_task *t)
{
	struct emptying *e = (struct emptying *)((char *)t - offsetof(struct emptying, task));
	uint64_t size = data_size(e->image), from = size;
	int r = e->at < size ? find_data(e->image, e->at, size, &from, &e->at) : 0;

	if (r < 0 || from >= size) {
		empty_over(e, r);
		return;
	}
	e->part.off = from;
	e->part.len = e->at - from;
	io_send_now(e->image, &e->part);
}

static void part_emptied(struct data_io *part, int code)
{
	struct emptying *e = (struct emptying *)part;

	if (code < 0)
		empty_over(e, code);
	else
		slow_run(e->image->d->slow, e->image->at.be, &e->task);
}

void empty(struct data_image *i, struct data_io *io)
{
	struct emptying *e = malloc(sizeof *e);

	if (!e) {
		io_ended(io, -ENOMEM);
		return;
	}
	*e = (struct emptying){ .part = { .op = DATA_ZERO, .done = part_emptied },
		.task = { .run = empty_next },
		.image = i,
		.io = io };
	slow_run(i->d->slow, i->at.be, &e->task);
}
