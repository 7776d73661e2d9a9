#include "fs/requests.h"

#include "base/clock.h"

/*
 * The kernel numbers requests by twos, so that each of the last SLOTS has a slot of its own. One that is never answered (a FORGET), or
 * waits for longer than so many others take, loses it to a later one, and its time is not counted.
 */
enum { SLOTS = 4096 };

static struct slot {
	_Atomic uint64_t unique; /* 0: none */
	_Atomic uint64_t began;	 /* ns, and the opcode in the lowest bits */
} slots[SLOTS];

static struct request_numbers numbers[REQUEST_KINDS];

const struct bounds request_bounds = { 12, BOUNDS_SEC,
	{ BOUNDS_MS / 100, BOUNDS_MS / 20, BOUNDS_MS / 10, BOUNDS_MS / 4, BOUNDS_MS / 2, BOUNDS_MS,
		5 * BOUNDS_MS / 2, 10 * BOUNDS_MS, 50 * BOUNDS_MS, 250 * BOUNDS_MS, BOUNDS_SEC,
		10 * BOUNDS_SEC } };

static struct slot *slot_of(uint64_t unique)
{
	return &slots[unique / 2 % SLOTS];
}

const struct request_numbers *request_numbers(unsigned opcode)
{
	return &numbers[opcode % REQUEST_KINDS];
}

void requests_begin(const struct fuse_in_header *in)
{
	struct slot *s = slot_of(in->unique);

	if (in->opcode >= REQUEST_KINDS)
		return;
	counter_add(&numbers[in->opcode].asked, 1);
	if (in->opcode ==
		FUSE_INTERRUPT) /* its slot is that of the request it is about, which is still to be answered */
		return;
	atomic_store_explicit(&s->began, (uint64_t)clock_mono_ns() * REQUEST_KINDS + in->opcode,
		memory_order_relaxed);
	atomic_store_explicit(&s->unique, in->unique, memory_order_release);
}

void requests_end(const struct fuse_out_header *out)
{
	struct slot *s = slot_of(out->unique);
	uint64_t unique = out->unique, began;

	if (!unique || atomic_load_explicit(&s->unique, memory_order_acquire) != unique)
		return;
	began = atomic_load_explicit(&s->began, memory_order_relaxed);
	if (!atomic_compare_exchange_strong(&s->unique, &unique, 0))
		return;
	histogram_add(&numbers[began % REQUEST_KINDS].took, &request_bounds,
		(uint64_t)clock_mono_ns() - began / REQUEST_KINDS);
}
