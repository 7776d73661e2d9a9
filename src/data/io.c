/*
 * Requests on one image. What can go is sent from the caller's thread, and ended from the driver's; what must wait, because the image is
 * not open or an overlapping kept write is under way, is sent by whoever ends that.
 *
 * A kept write is in the list `kept` from its keeping to its end. Its place is given back before what waits for it is sent: else a
 * successor might repeat it over something newer.
 */
#include "data/internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum {
	KEPT_MAX =
		KEEP_WRITES /
		4, /* of one image: what a disk's cache holds, and no more than the others need */
};
#define ZERO_STEP                                                                                  \
	(UINT64_C(256)                                                                             \
		<< 20) /* bytes of one call: a driver may send an operation for each object */

bool io_quiet_locked(const struct data_image *i)
{
	return !i->under_way && !i->kept && !i->waiting;
}

/* --- the end of a request */

/*
 * A long one goes in steps. Each has two ends, in any order: the driver's call returns, and tells its code. Who comes second goes on, so
 * a driver that answers within the call does not make the stack grow.
 */
enum { STEP_BEGUN, STEP_PART };

static void zero_told(void *arg, int code);

static void zero(struct data_image *i, struct data_io *io)
{
	do {
		uint64_t left = io->len - io->sent, n = left < ZERO_STEP ? left : ZERO_STEP;
		uint64_t off = io->off + io->sent;

		io->sent += n;
		atomic_store(&io->step, STEP_BEGUN);
		i->at.driver->data_zero(i->handle, off, n, zero_told, io);
		if (atomic_exchange(&io->step, STEP_PART) == STEP_BEGUN)
			return;
	} while (io->code >= 0 && io->sent < io->len);
	io_ended(io, io->code);
}

static void zero_told(void *arg, int code)
{
	struct data_io *io = arg;

	io->code = code;
	if (atomic_exchange(&io->step, STEP_PART) == STEP_BEGUN)
		return;
	if (code >= 0 && io->sent < io->len)
		zero(io->image, io);
	else
		io_ended(io, code);
}

static void send(struct data_image *i, struct data_io *io)
{
	const struct driver *driver = i->at.driver;

	switch (io->op) {
	case DATA_READ:
		driver->data_read(i->handle, io->off, io->len, io->buf, io_ended, io);
		break;
	case DATA_WRITE:
		driver->data_write(i->handle, io->off, io->len, io->buf, io_ended, io);
		break;
	case DATA_ZERO:
		zero(i, io);
		break;
	case DATA_FLUSH:
		driver->data_flush(i->handle, io_ended, io);
		break;
	case DATA_NEXT:
		ask(i, io);
		break;
	case DATA_EMPTY:
		empty(i, io);
		break;
	case DATA_DRAIN:
		io_ended(io, 0);
		break;
	}
}

/* Whose descriptor it came by will be told at its next fsync or close. */
static void kept_failed(struct data_image *i, const struct data_io *io, int code)
{
	log_err_seldom("volume %s: a write of %zu bytes at %llu failed: %s", i->at.image.uuid,
		(size_t)io->len, (unsigned long long)io->off, strerror(-code));
	i->d->hooks.failed(i->d->hooks.arg, i->key.volume, code);
}

static void kept_landed(struct data_image *i, struct data_io *io, int code)
{
	if (code < 0)
		kept_failed(i, io, code);
	keeper_give(i->d->keeper, io->slot);
}

static void kept_remove_locked(struct data_image *i, struct data_io *io)
{
	DL_DELETE2(i->kept, io, kept_prev, kept_next);
	i->kept_count--;
	order_count_locked(i, io, -1);
}

/* It is about to be sent. */
static void count_in_locked(struct data_image *i, struct data_io *io)
{
	io->state = DATA_SENT;
	i->under_way++;
	i->changing += io_changes(io);
	if (io->op == DATA_EMPTY)
		order_first_locked(i, io);
}

static void count_out_locked(struct data_image *i, const struct data_io *io)
{
	i->under_way--;
	i->changing -= io_changes(io);
	if (!i->under_way || (i->stopped && !i->changing))
		pthread_cond_broadcast(&i->changed);
}

void io_ended(void *arg, int code)
{
	struct data_io *io = arg;
	struct data_image *i = io->image;
	bool kept = io->slot >= 0;

	/* Before anything is told or given back: the next server repeats it. */
	if (code == -ESHUTDOWN)
		engine_fenced(i->d->engine, i->at.be);
	if (kept)
		kept_landed(i, io, code);
	else if (code < 0 && io->op == DATA_FLUSH && !i->key.snapshot)
		i->d->hooks.failed(i->d->hooks.arg, i->key.volume, code);
	lock_take(&i->lock);
	if (kept) {
		kept_remove_locked(i, io);
		if (code < 0 && i->trouble < io->mark)
			i->trouble = io->mark;
	} else if (io->op == DATA_FLUSH && code >= 0 && io->mark >= i->trouble) {
		i->trouble = 0;
	}
	io->state = DATA_OVER;
	order_over_locked(i, io);
	if (i->waiting)
		io_send_locked(i);
	count_out_locked(i, io); /* only now: it holds the image while the lock is given up */
	lock_drop(&i->lock);
	if (kept)
		free(io);
	else
		io->done(io, code < 0 ? code : 0);
}

/* --- sending */

/* Takes the first that may go. */
static struct data_io *next_locked(struct data_image *i)
{
	struct data_io *io;

	DL_FOREACH(i->waiting, io)
	if (!order_waits_locked(i, io)) {
		DL_DELETE(i->waiting, io);
		return io;
	}
	return NULL;
}

/* The end of one that is answered within its call, below, leaves the next one to the loop: else the stack grew with each that waits. */
static _Thread_local const struct data_image *sending;

void io_send_locked(struct data_image *i)
{
	const struct data_image *outer = sending;
	struct data_io *io;

	lock_assert_held(&i->lock);
	if (outer == i)
		return;
	sending = i;
	while (i->state == IMAGE_OPEN && (io = next_locked(i))) {
		count_in_locked(i, io);
		lock_drop(&i->lock);
		send(i, io);
		lock_take(&i->lock);
	}
	sending = outer;
}

void io_fail_locked(struct data_image *i, int code, bool lose)
{
	struct data_io *io, *tmp, *failed = NULL;

	lock_assert_held(&i->lock);
	DL_FOREACH_SAFE(i->waiting, io, tmp)
	{
		if (io->slot >= 0 && !lose)
			continue;
		DL_DELETE(i->waiting, io);
		io->state = DATA_OVER;
		if (io->slot >= 0)
			kept_remove_locked(i, io);
		DL_APPEND(failed, io);
	}
	lock_drop(&i->lock);
	DL_FOREACH_SAFE(failed, io, tmp)
	{
		if (io->slot < 0) {
			io->done(io, code);
			continue;
		}
		kept_landed(i, io, code);
		free(io);
	}
	lock_take(&i->lock);
}

void data_submit(struct data_image *i, struct data_io *io)
{
	bool now, left;

	io->image = i;
	io->slot = -1;
	io->sent = 0;
	lock_take(&i->lock);
	io->mark = ++i->last;
	left = io->left;
	now = !left && i->state == IMAGE_OPEN && !order_waits_locked(i, io);
	if (now) {
		count_in_locked(i, io);
	} else if (!left) {
		io->state = DATA_WAITS;
		DL_APPEND(i->waiting, io);
		image_want_locked(i);
	}
	lock_drop(&i->lock);
	if (left)
		io->done(io, -EINTR);
	else if (now)
		send(i, io);
}

void io_send_now(struct data_image *i, struct data_io *io)
{
	io->image = i;
	io->slot = -1;
	io->sent = 0;
	lock_take(&i->lock);
	count_in_locked(i, io);
	lock_drop(&i->lock);
	send(i, io);
}

void data_leave(struct data_image *i, struct data_io *io)
{
	bool unsent;

	lock_take(&i->lock);
	io->left = true;
	unsent = io->state == DATA_WAITS;
	if (unsent) {
		DL_DELETE(i->waiting, io);
		io->state = DATA_OVER;
		pthread_cond_broadcast(&i->changed);
	} else if (io->state == DATA_SENT && io_changes(io)) {
		order_first_locked(i, io);
	}
	lock_drop(&i->lock);
	if (unsent)
		io->done(io, -EINTR);
}

/* --- kept writes */

static struct data_io *kept_new(struct data_image *i, uint64_t off, size_t len)
{
	struct data_io *io = calloc(1, sizeof *io);

	if (io)
		*io = (struct data_io){
			.op = DATA_WRITE, .off = off, .len = len, .image = i, .slot = -1
		};
	return io;
}

static void kept_add_locked(struct data_image *i, struct data_io *io, int slot)
{
	io->slot = slot;
	io->buf = keeper_at(i->d->keeper, slot)->bytes;
	io->mark = ++i->last;
	DL_APPEND2(i->kept, io, kept_prev, kept_next);
	i->kept_count++;
	order_count_locked(i, io, 1);
}

/* None while it is emptied: a successor carries out what is kept first, and then empties what its predecessor left half empty. */
static bool may_keep_locked(struct data_image *i)
{
	return i->state == IMAGE_OPEN && !i->shared && !i->stopped && !i->trouble &&
	       i->kept_count < KEPT_MAX && !order_is_emptied_locked(i) && order_may_count_locked(i);
}

bool data_keep_write(
	struct data_image *i, uint64_t off, size_t len, const void *buf, struct data_io **ret)
{
	struct data_io *io = NULL;
	int slot = -1;
	bool now;

	if (len <= KEEP_WRITE_MAX && !atomic_load_explicit(&i->d->stopped, memory_order_relaxed))
		io = kept_new(i, off, len);
	*ret = NULL;
	if (!io)
		return false;
	lock_take(&i->lock);
	if (may_keep_locked(i))
		slot = keeper_take(i->d->keeper, i->key.volume, off, len, buf);
	if (slot >= 0)
		kept_add_locked(i, io, slot);
	/* One that has to wait for another is sent, and freed, by that one's end. */
	now = slot >= 0 && !order_waits_locked(i, io);
	if (now)
		count_in_locked(i, io);
	if (slot >= 0 && !now)
		DL_APPEND(i->waiting, io);
	lock_drop(&i->lock);
	if (now)
		*ret = io;
	if (slot < 0)
		free(io);
	return slot >= 0;
}

void data_submit_kept(struct data_io *io)
{
	if (io)
		send(io->image, io);
}

int io_recover(struct data_image *i, int slot)
{
	struct keep_write *w = keeper_at(i->d->keeper, slot);
	struct data_io *io = kept_new(i, w->off, w->len);
	bool can;

	if (!io)
		return -ENOMEM;
	lock_take(&i->lock);
	can = order_may_count_locked(i);
	if (can) {
		kept_add_locked(i, io, slot);
		DL_APPEND(i->waiting, io);
		io_send_locked(i); /* it may be open by now */
	}
	lock_drop(&i->lock);
	if (!can)
		free(io);
	return can ? 0 : -ENOMEM;
}

void io_forget(struct data_image *i)
{
	struct data_io *io, *tmp;

	DL_FOREACH_SAFE2(i->kept, io, tmp, kept_next)
	free(io);
	free(i->kept_at);
}
