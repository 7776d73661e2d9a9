/*
 * Numbers for those who watch: counters, and histograms with fixed bounds. Lock-free, any thread, some nanoseconds each, since nobody
 * needs several of them to be of the same moment. `{ 0 }` is a fresh one. Each module owns its own and shows them by a header of its
 * own; what they look like to a reader is fs/metrics.c's.
 */
#ifndef VOLFS_BASE_METRIC_H
#define VOLFS_BASE_METRIC_H

#include <stdatomic.h>
#include <stdint.h>

struct counter {
	_Atomic uint64_t n;
};

static inline void counter_add(struct counter *c, uint64_t n)
{
	atomic_fetch_add_explicit(&c->n, n, memory_order_relaxed);
}

/* Of a number that may fall, too, and has one writer. */
static inline void counter_set(struct counter *c, uint64_t n)
{
	atomic_store_explicit(&c->n, n, memory_order_relaxed);
}

static inline uint64_t counter_get(const struct counter *c)
{
	return atomic_load_explicit(&c->n, memory_order_relaxed);
}

enum { METRIC_BOUNDS = 16 };

/* The upper ends of a histogram's ranges, rising, each belonging to its range. `unit` of them make one of what is shown. */
struct bounds {
	unsigned count;
	double unit;
	uint64_t at[METRIC_BOUNDS];
};

#define BOUNDS_MS  UINT64_C(1000000)
#define BOUNDS_SEC UINT64_C(1000000000)

struct histogram {
	struct counter range[METRIC_BOUNDS + 1]; /* the last one in use: above all bounds */
	struct counter sum;
};

/* Always with the same bounds. */
void histogram_add(struct histogram *h, const struct bounds *b, uint64_t value);

#endif
