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

static void waited_init(struct waited *w, enum data_op op, uint64_t off, uint64_t len)
{
	*w = (struct waited){ .io = { .op = op, .off = off, .len = len, .done = wake } };
	lock_init(&w->lock);
	cond_init(&w->over_cond);
}

/* Waits for its code. */
static int waited_end(struct waited *w)
{
	lock_take(&w->lock);
	while (!w->over)
		lock_wait(&w->lock, &w->over_cond);
	lock_drop(&w->lock);
	pthread_cond_destroy(&w->over_cond);
	lock_release(&w->lock);
	return w->code;
}

int io_wait(struct data_image *i, enum data_op op, uint64_t off, uint64_t len)
{
	struct waited w;

	waited_init(&w, op, off, len);
	data_submit(i, &w.io);
	return waited_end(&w);
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

/* --- emptying */

struct emptying {
	struct slow_task task;
	struct data_image *image;
	struct data_io *io;
};

static int zero_now(struct data_image *i, uint64_t off, uint64_t len)
{
	struct waited w;

	waited_init(&w, DATA_ZERO, off, len);
	io_send_now(i, &w.io);
	return waited_end(&w);
}

static void empty_all(struct slow_task *t)
{
	struct emptying e = *(struct emptying *)t;
	uint64_t size = data_size(e.image), from = 0, to = 0;
	int r = 0;

	free(t);
	while (r == 0 && to < size) {
		r = next(e.image, to, size, false, &from);
		if (r == 0 && from < size)
			r = next(e.image, from, size, true, &to);
		else
			to = size;
		if (r == 0 && from < size)
			r = zero_now(e.image, from, to - from);
	}
	io_ended(e.io, r);
}

void empty(struct data_image *i, struct data_io *io)
{
	struct emptying *e = malloc(sizeof *e);

	if (!e) {
		io_ended(io, -ENOMEM);
		return;
	}
	*e = (struct emptying){ .task = { .run = empty_all }, .image = i, .io = io };
	slow_run(i->d->slow, i->at.be, &e->task);
}
