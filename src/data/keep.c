/*
 * Places for kept writes, in the memory that outlives this server. A place counts once `used` says so, which is written last: a server
 * killed before has not told anybody that the write was done.
 */
#include "data/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct keeper {
	struct keep *keep;
	struct lock lock;
	int free[KEEP_WRITES]; /* lock; places to be had, the last one first: warm memory */
	int free_count;	       /* lock */
};

int keeper_new(struct keep *k, struct keeper **ret)
{
	struct keeper *x = calloc(1, sizeof *x);

	if (!x)
		return -ENOMEM;
	x->keep = k;
	lock_init(&x->lock);
	LOCK_SCOPE(&x->lock);
	for (int i = KEEP_WRITES - 1; i >= 0; i--)
		if (atomic_load(&k->write[i].used) != KEEP_USED)
			x->free[x->free_count++] = i;
	*ret = x;
	return 0;
}

void keeper_free(struct keeper *k)
{
	if (!k)
		return;
	lock_release(&k->lock);
	free(k);
}

struct keep_write *keeper_at(struct keeper *k, int slot)
{
	return &k->keep->write[slot];
}

int keeper_take(struct keeper *k, int64_t volume, uint64_t off, size_t len, const void *buf)
{
	struct keep_write *w;
	int slot = -1;

	lock_take(&k->lock);
	if (k->free_count > 0)
		slot = k->free[--k->free_count];
	lock_drop(&k->lock);
	if (slot < 0)
		return -1;
	w = keeper_at(k, slot);
	w->volume = volume;
	w->off = off;
	w->len = (uint32_t)len;
	w->number = atomic_fetch_add(&k->keep->write_number, 1) + 1;
	memcpy(w->bytes, buf, len);
	atomic_store_explicit(&w->used, KEEP_USED, memory_order_release);
	return slot;
}

void keeper_give(struct keeper *k, int slot)
{
	atomic_store(&keeper_at(k, slot)->used, KEEP_FREE);
	LOCK_SCOPE(&k->lock);
	k->free[k->free_count++] = slot;
}

static int by_number(const void *a, const void *b, void *keep)
{
	const struct keep *k = keep;
	uint64_t x = k->write[*(const int *)a].number, y = k->write[*(const int *)b].number;

	return (x > y) - (x < y);
}

int *keeper_left(struct keeper *k, size_t *ret_n)
{
	int *list = calloc(KEEP_WRITES, sizeof *list);
	size_t n = 0;

	for (int i = 0; list && i < KEEP_WRITES; i++)
		if (atomic_load(&k->keep->write[i].used) == KEEP_USED)
			list[n++] = i;
	if (list)
		qsort_r(list, n, sizeof *list, by_number, k->keep);
	*ret_n = n;
	return list;
}
