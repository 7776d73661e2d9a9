/* The capacity factors of the reference, 4.3 and 4.4, and what a choice changes of them. */
#include "sched/internal.h"

#include <math.h>

static bool is_number(const struct sched_amount *a)
{
	return a->is == SCHED_NUMBER || a->is == SCHED_UNSET; /* what is unset counts as 0 */
}

static bool has_numbers(const struct sched_backend *b)
{
	return is_number(&b->total) && is_number(&b->free);
}

/* How often the usable total may be promised. */
static double ratio_of(const struct sched_backend *b)
{
	double used;

	if (!b->thin || !has_numbers(b))
		return 1;
	if (b->max_over_subscription_ratio > 0)
		return b->max_over_subscription_ratio;
	if (b->provisioned == 0)
		return 20;
	/* auto: as often as what is there has turned out to need it */
	used = b->total.gib > b->free.gib ? b->total.gib - b->free.gib : 0;
	return 1 + b->provisioned / (used + 1);
}

/* To two decimals, exact ties to even. x * 100 may round into a tie that x is not: what was rounded off tells. */
static inline double to_hundredths(double x)
{
	const double shift =
		0x1.8p52; /* what is added to it loses its fraction, by that rounding */
	double y = x * 100, r = y + shift - shift, rest;

	if (fabs(y) > 0x1p50) /* so large that it has no hundredths */
		return x;
	if (fabs(y - r) == 0.5) {
		rest = fma(x, 100, -y);
		if (rest != 0)
			r = rest > 0 ? ceil(y) : floor(y);
	}
	return r / 100;
}

/* What is never promised: whole GiB of it to the letter of the reference, so that a tenth of 5 GiB is nothing; else whole
 * bytes. */
static double reserved_of(const struct sched_backend *b, bool hundredths)
{
	double reserved;

	if (b->reserved_percentage == 0)
		return 0;
	reserved = b->total.gib * b->reserved_percentage / 100;
	return hundredths ? floor(reserved) : floor(reserved * GIB) / GIB;
}

struct capacity capacity_of(const struct want *w, const struct sched_backend *b)
{
	bool hundredths = w->s->hundredths;
	double usable = b->total.gib - reserved_of(b, hundredths);
	struct capacity c = {
		.known = has_numbers(b),
		.thin = b->thin && !w->thick,
		.ratio = ratio_of(b),
	};

	c.available = c.thin ? usable * c.ratio : usable;
	c.virtual_free = c.available - b->provisioned;
	/* thin volumes take what they need later: what is free now says nothing about the promise */
	if (!c.thin && b->free.gib < c.virtual_free)
		c.virtual_free = b->free.gib;
	if (hundredths) {
		c.available = to_hundredths(c.available);
		c.virtual_free = to_hundredths(c.virtual_free);
	}
	return c;
}

void sched_consume(struct sched_backend *b, const struct sched_request *r)
{
	double need = r->extending ? r->new_size - r->size : r->size;

	b->allocated += need;
	b->provisioned += need;
	if (b->free.is == SCHED_NUMBER)
		b->free.gib -= need;
	b->volumes += !r->extending;
}
