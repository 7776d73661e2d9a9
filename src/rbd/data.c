/*
 * The bytes of an image, by librbd's asynchronous calls over the connection without time-outs. Its cache is off (connect.c): what it had
 * acknowledged and not written would be lost with this process, whose callers live on.
 */
#include "rbd/internal.h"

#include <errno.h>
#include <stdlib.h>

struct rb_data {
	struct rb_backend *be;
	struct rb_pool *pool;
	rbd_image_t image;
};

/* One call under way. */
struct call {
	driver_done *done;
	void *arg;
	size_t len; /* of a read: what it must bring */
};

static int result(const struct call *c, ssize_t r)
{
	if (r < 0)
		return (int)r;
	return (size_t)r < c->len ? -EIO : 0; /* the image is shorter than the catalogue knows */
}

/* A thread of librbd's. */
static void ended(rbd_completion_t completion, void *arg)
{
	struct call *c = arg, copy = *c;
	int code = result(c, rbd_aio_get_return_value(completion));

	rbd_aio_release(completion);
	free(c);
	copy.done(copy.arg, code);
}

/* NULL: no memory; done has been told. */
static struct call *begin(
	driver_done *done, void *arg, size_t len, rbd_callback_t callback, rbd_completion_t *ret)
{
	struct call *c = malloc(sizeof *c);

	if (c)
		*c = (struct call){ done, arg, len };
	if (c && rbd_aio_create_completion(c, callback, ret) >= 0)
		return c;
	free(c);
	done(arg, -ENOMEM);
	return NULL;
}

/* It could not even be sent: no callback comes. */
static void sent(struct call *c, rbd_completion_t completion, int r)
{
	struct call copy = *c;

	if (r >= 0)
		return;
	rbd_aio_release(completion);
	free(c);
	copy.done(copy.arg, r);
}

/* --- open and close */

struct opening {
	struct rb_data *data;
	void **ret;
	driver_done *done;
	void *arg;
};

static void data_release(struct rb_data *x)
{
	rb_pool_put(x->pool);
	atomic_fetch_sub(&x->be->calls, 1);
	free(x);
}

static void opened(void *arg, int code)
{
	struct opening *o = arg, copy = *o;

	free(o);
	if (code < 0)
		data_release(copy.data);
	else
		*copy.ret = copy.data;
	copy.done(copy.arg, code);
}

void rb_data_open(void *backend, const struct driver_image *image, const struct driver_snap *snap,
	bool writable, void **ret, driver_done *done, void *arg)
{
	struct rb_backend *be = backend;
	struct rb_data *x = calloc(1, sizeof *x);
	struct opening *o = calloc(1, sizeof *o);
	rbd_completion_t completion;
	char name[RB_NAME_ROOM], then[RB_NAME_ROOM];
	const char *at = snap ? rb_snap_name(snap, then) : NULL;
	struct err err = { 0 };
	struct call *c;
	int r = x && o ? rb_pool_get(be, &be->change, &x->pool, &err) : -ENOMEM;

	if (r < 0) {
		free(x);
		free(o);
		done(arg, r);
		return;
	}
	x->be = be;
	atomic_fetch_add(&be->calls, 1); /* until it is closed */
	*o = (struct opening){ x, ret, done, arg };
	c = begin(opened, o, 0, ended, &completion);
	if (!c)
		return;
	rb_image_name(image->uuid, name);
	r = writable && !at ? rbd_aio_open(x->pool->io, name, &x->image, NULL, completion)
			    : rbd_aio_open_read_only(x->pool->io, name, &x->image, at, completion);
	sent(c, completion, r);
}

struct closing {
	struct rb_data *data;
	driver_done *done;
	void *arg;
};

static void closed(void *arg, int code)
{
	struct closing *o = arg, copy = *o;

	free(o);
	data_release(copy.data);
	copy.done(copy.arg, code);
}

void rb_data_close(void *data, driver_done *done, void *arg)
{
	struct rb_data *x = data;
	struct closing *o = malloc(sizeof *o);
	rbd_completion_t completion;
	struct call *c;

	if (!o) {
		done(arg, -ENOMEM); /* it stays open until the process ends */
		return;
	}
	*o = (struct closing){ x, done, arg };
	c = begin(closed, o, 0, ended, &completion);
	if (c)
		sent(c, completion, rbd_aio_close(x->image, completion));
}

/* --- bytes */

void rb_data_read(void *data, uint64_t off, size_t len, void *buf, driver_done *done, void *arg)
{
	struct rb_data *x = data;
	rbd_completion_t completion;
	struct call *c = begin(done, arg, len, ended, &completion);

	if (c)
		sent(c, completion, rbd_aio_read(x->image, off, len, buf, completion));
}

void rb_data_write(
	void *data, uint64_t off, size_t len, const void *buf, driver_done *done, void *arg)
{
	struct rb_data *x = data;
	rbd_completion_t completion;
	struct call *c = begin(done, arg, 0, ended, &completion);

	if (c)
		sent(c, completion, rbd_aio_write(x->image, off, len, buf, completion));
}

/* Not rbd_aio_discard(), which leaves what is smaller than its granularity as it was. */
void rb_data_zero(void *data, uint64_t off, uint64_t len, driver_done *done, void *arg)
{
	struct rb_data *x = data;
	rbd_completion_t completion;
	struct call *c = begin(done, arg, 0, ended, &completion);

	if (c)
		sent(c, completion, rbd_aio_write_zeroes(x->image, off, len, completion, 0, 0));
}

void rb_data_flush(void *data, driver_done *done, void *arg)
{
	struct rb_data *x = data;
	rbd_completion_t completion;
	struct call *c = begin(done, arg, 0, ended, &completion);

	if (c)
		sent(c, completion, rbd_aio_flush(x->image, completion));
}

/* --- where there is data */

#define WINDOW (UINT64_C(64) << 30) /* bytes of one look */

struct search {
	uint64_t at;	/* up to here all is of the other kind */
	uint64_t found; /* UINT64_MAX: nothing yet */
	bool hole;
};

/* Extents come in order; what lies between is a hole. Ends the iteration by a code of its own. */
static int extent(uint64_t off, size_t len, int exists, void *arg)
{
	struct search *s = arg;

	if (!exists)
		return 0;
	if (s->hole && off > s->at)
		s->found = s->at;
	else if (!s->hole)
		s->found = off;
	s->at = off + len;
	return s->found == UINT64_MAX ? 0 : -EINTR;
}

int rb_data_next(void *data, uint64_t off, uint64_t size, bool hole, uint64_t *ret)
{
	struct rb_data *x = data;
	struct search s = { .at = off, .found = UINT64_MAX, .hole = hole };
	int r = 0;

	for (uint64_t from = off; from < size && s.found == UINT64_MAX && r >= 0;) {
		uint64_t len = size - from < WINDOW ? size - from : WINDOW;

		r = rbd_diff_iterate2(x->image, NULL, from, len, 1, 1, extent, &s);
		if (s.found != UINT64_MAX)
			r = 0;
		from += len;
		if (hole && r >= 0 && s.found == UINT64_MAX && s.at < from)
			s.found = s.at;
	}
	*ret = s.found < size ? s.found : size;
	return r < 0 ? r : 0;
}
