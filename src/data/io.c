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

enum { KEPT_MAX = 128 }; /* of one image: the cache of a small disk */
#define ZERO_STEP (UINT64_C(256) << 20) /* bytes of one call: a driver may send an operation for each object */

static bool overlap(const struct data_io *a, const struct data_io *b)
{
	if (a->op == DATA_FLUSH || a->op == DATA_DRAIN)
		return true;
	return a->off < b->off + b->len && b->off < a->off + a->len;
}

/* Must it wait for a kept write? */
static bool blocked_locked(const struct data_image *i, const struct data_io *io)
{
	const struct data_io *k;

	DL_FOREACH (i->kept, k) {
		if (k->mark > io->mark)
			return false; /* in order: all the others are later still */
		if (k != io && overlap(io, k))
			return true;
	}
	return false;
}

bool io_quiet_locked(const struct data_image *i)
{
	return !i->under_way && !i->kept && !i->waiting;
}

/* --- the end of a request */

static void io_ended(void *arg, int code);

static void send(struct data_image *i, struct data_io *io)
{
	const struct driver *driver = i->at.driver;
	uint64_t left;

	switch (io->op) {
	case DATA_READ:
		driver->data_read(i->handle, io->off, io->len, io->buf, io_ended, io);
		break;
	case DATA_WRITE:
		driver->data_write(i->handle, io->off, io->len, io->buf, io_ended, io);
		break;
	case DATA_ZERO:
		left = io->len - io->sent;
		left = left < ZERO_STEP ? left : ZERO_STEP;
		io->sent += left;
		driver->data_zero(i->handle, io->off + io->sent - left, left, io_ended, io);
		break;
	case DATA_FLUSH:
		driver->data_flush(i->handle, io_ended, io);
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
	i->d->hooks.failed(i->d->hooks.arg, i->volume, code);
}

static void kept_landed(struct data_image *i, struct data_io *io, int code)
{
	if (code < 0)
		kept_failed(i, io, code);
	keeper_give(i->d->keeper, io->slot);
}

static void io_ended(void *arg, int code)
{
	struct data_io *io = arg;
	struct data_image *i = io->image;
	bool kept = io->slot >= 0;

	/* Before anything is told or given back: the next server repeats it. */
	if (code == -ESHUTDOWN)
		engine_fenced(i->d->engine, i->at.be);
	if (io->op == DATA_ZERO && code >= 0 && io->sent < io->len) {
		send(i, io);
		return;
	}
	if (kept)
		kept_landed(i, io, code);
	lock_take(&i->lock);
	if (kept) {
		DL_DELETE(i->kept, io);
		i->kept_count--;
		i->trouble |= code < 0;
	} else if (io->op == DATA_FLUSH && code >= 0) {
		i->trouble = false;
	}
	i->under_way--;
	if (i->waiting || i->kept)
		io_send_locked(i);
	if (!i->under_way)
		pthread_cond_broadcast(&i->changed);
	lock_drop(&i->lock);
	if (kept)
		free(io);
	else
		io->done(io, code < 0 ? code : 0);
}

/* --- sending */

/* Takes one that may go: first of those kept, then of those that wait. */
static struct data_io *next_locked(struct data_image *i)
{
	struct data_io *io;

	DL_FOREACH (i->kept, io)
		if (!io->on_its_way && !blocked_locked(i, io))
			return io;
	DL_FOREACH (i->waiting, io)
		if (!blocked_locked(i, io)) {
			DL_DELETE(i->waiting, io);
			return io;
		}
	return NULL;
}

void io_send_locked(struct data_image *i)
{
	struct data_io *io;

	lock_assert_held(&i->lock);
	while (i->state == IMAGE_OPEN && (io = next_locked(i))) {
		io->on_its_way = true;
		i->under_way++;
		lock_drop(&i->lock);
		send(i, io);
		lock_take(&i->lock);
	}
}

void io_fail_locked(struct data_image *i, int code, bool lose)
{
	struct data_io *io;

	lock_assert_held(&i->lock);
	while ((io = i->waiting)) {
		DL_DELETE(i->waiting, io);
		lock_drop(&i->lock);
		io->done(io, code);
		lock_take(&i->lock);
	}
	while (lose && (io = i->kept)) {
		DL_DELETE(i->kept, io);
		i->kept_count--;
		lock_drop(&i->lock);
		kept_landed(i, io, code);
		free(io);
		lock_take(&i->lock);
	}
}

void data_submit(struct data_image *i, struct data_io *io)
{
	bool now;

	io->image = i;
	io->slot = -1;
	io->sent = 0;
	io->on_its_way = true;
	lock_take(&i->lock);
	io->mark = i->kept_last;
	now = i->state == IMAGE_OPEN && (!i->kept || !blocked_locked(i, io));
	if (now) {
		i->under_way++;
	} else {
		DL_APPEND(i->waiting, io);
		image_want_locked(i);
	}
	lock_drop(&i->lock);
	if (now)
		send(i, io);
}

/* --- kept writes */

static struct data_io *kept_new(
	struct data_image *i, uint64_t off, size_t len)
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
	io->mark = ++i->kept_last;
	DL_APPEND(i->kept, io);
	i->kept_count++;
}

bool data_keep_write(struct data_image *i, uint64_t off, size_t len, const void *buf,
	struct data_io **ret)
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
	if (i->state == IMAGE_OPEN && !i->trouble && i->kept_count < KEPT_MAX)
		slot = keeper_take(i->d->keeper, i->volume, off, len, buf);
	if (slot >= 0)
		kept_add_locked(i, io, slot);
	/* One that has to wait for another is sent, and freed, by that one's end. */
	io->on_its_way = now = slot >= 0 && !blocked_locked(i, io);
	i->under_way += now;
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

	if (!io)
		return -ENOMEM;
	LOCK_SCOPE(&i->lock);
	kept_add_locked(i, io, slot);
	return 0;
}
