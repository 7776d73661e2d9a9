/* The capacity factors of the reference, 4.3 and 4.4, in bytes. They are linear but for one "+ 1",
 * which is 1 GiB. */
#include "sched/internal.h"

#include <math.h>

static bool has_numbers(const struct backend_stats *s)
{
	return !s->total_unknown && !s->free_unknown && !s->total_infinite && !s->free_infinite;
}

/* How often the usable total may be promised. */
static double ratio_of(const struct sched_backend *b)
{
	double used;

	if (!b->thin || !has_numbers(&b->stats))
		return 1;
	if (b->max_over_subscription_ratio > 0)
		return b->max_over_subscription_ratio;
	if (!b->provisioned)
		return 20;
	/* auto: as often as what is there has turned out to need it */
	used = b->stats.total > b->stats.free ? (double)(b->stats.total - b->stats.free) : 0;
	return 1 + (double)b->provisioned / (used + GIB);
}

struct capacity capacity_of(const struct sched_backend *b, const struct sched_request *r)
{
	double total = (double)b->stats.total, free = (double)b->stats.free;
	double usable = total - floor(total * b->reserved_percentage / 100);
	struct capacity c = {
		.known = has_numbers(&b->stats),
		.thin = b->thin && !r->thick,
		.ratio = ratio_of(b),
	};

	c.available = c.thin ? usable * c.ratio : usable;
	c.virtual_free = c.available - (double)b->provisioned;
	/* thin volumes take what they need later: what is free now says nothing about the promise
	 */
	if (!c.thin && free < c.virtual_free)
		c.virtual_free = free;
	return c;
}
