/*
 * Who waits for whom. A request waits for those that came before it, overlap it, and of which somebody may believe that they are done:
 *
 *      kept writes                their callers have been told so
 *      those that come first      changes whose callers were killed, so that nobody waits for them any more; the emptying of the
 *                                 whole image
 *
 * Each waits only for what came before it, and what comes first is under way: so nobody waits for ever.
 */
#include "data/internal.h"

#include <stdlib.h>
#include <utlist.h>

enum {
	BLOCK_SHIFT = 14, /* a kept write touches two blocks at most */
	BLOCKS = 4096,	  /* counters of an image: block numbers modulo this */
};

/* Of a part of the image, and not of all that came before. */
static bool has_range(const struct data_io *io)
{
	return io->op == DATA_READ || io->op == DATA_WRITE || io->op == DATA_ZERO;
}

bool io_changes(const struct data_io *io)
{
	return io->op == DATA_WRITE || io->op == DATA_ZERO || io->op == DATA_EMPTY;
}

static bool overlap(const struct data_io *a, const struct data_io *b)
{
	if (!has_range(a) || !has_range(b))
		return true;
	return a->off < b->off + b->len && b->off < a->off + a->len;
}

/* --- what comes first */

void order_first_locked(struct data_image *i, struct data_io *io)
{
	lock_assert_held(&i->lock);
	if (!io->first)
		DL_APPEND2(i->first, io, first_prev, first_next);
	io->first = true;
}

void order_over_locked(struct data_image *i, struct data_io *io)
{
	lock_assert_held(&i->lock);
	if (io->first)
		DL_DELETE2(i->first, io, first_prev, first_next);
	io->first = false;
}

bool order_is_emptied_locked(struct data_image *i)
{
	const struct data_io *f;

	lock_assert_held(&i->lock);
	DL_FOREACH2(i->first, f, first_next)
	if (f->op == DATA_EMPTY)
		return true;
	return false;
}

static bool waits_for_first_locked(const struct data_image *i, const struct data_io *io)
{
	const struct data_io *f;

	DL_FOREACH2(i->first, f, first_next)
	if (f->mark < io->mark && overlap(io, f))
		return true;
	return false;
}

/* --- kept writes */

bool order_may_count_locked(struct data_image *i)
{
	lock_assert_held(&i->lock);
	if (!i->kept_at)
		i->kept_at = calloc(BLOCKS, sizeof *i->kept_at);
	return i->kept_at;
}

void order_count_locked(struct data_image *i, const struct data_io *io, int by)
{
	uint64_t first = io->off >> BLOCK_SHIFT, last = (io->off + io->len - 1) >> BLOCK_SHIFT;

	lock_assert_held(&i->lock);
	for (uint64_t b = first; b <= last; b++)
		i->kept_at[b % BLOCKS] = (uint16_t)(i->kept_at[b % BLOCKS] + by);
}

/* Does any kept write touch its blocks? Most requests meet none, and need not be held against each. */
static bool may_meet_locked(const struct data_image *i, const struct data_io *io)
{
	uint64_t first = io->off >> BLOCK_SHIFT, last = (io->off + io->len - 1) >> BLOCK_SHIFT;

	if (!has_range(io) || last - first >= BLOCKS)
		return true;
	for (uint64_t b = first; b <= last; b++)
		if (i->kept_at[b % BLOCKS] > (io->slot >= 0))
			return true;
	return false;
}

static bool waits_for_kept_locked(const struct data_image *i, const struct data_io *io)
{
	const struct data_io *k;

	if (!i->kept || !may_meet_locked(i, io))
		return false;
	DL_FOREACH2(i->kept, k, kept_next)
	{
		if (k->mark > io->mark)
			return false; /* in order: all the others are later still */
		if (k != io && overlap(io, k))
			return true;
	}
	return false;
}

bool order_waits_locked(struct data_image *i, const struct data_io *io)
{
	lock_assert_held(&i->lock);
	if (i->stopped && io->slot < 0 && io_changes(io))
		return true;
	return waits_for_first_locked(i, io) || waits_for_kept_locked(i, io);
}
