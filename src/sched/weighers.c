/* One row is one weigher: a raw weight for each backend. The reference, 4.6. */
#include "sched/internal.h"

#include <math.h>
#include <string.h>

/*
 * What is left to promise. A backend that knows no numbers is always last: when spreading it weighs
 * -1 GiB (and so comes before those that have promised too much), when stacking more than every
 * other.
 */
static double capacity_weigh(const struct want *w, const struct sched_backend *b, double multiplier)
{
	const struct memo *memo = w->memo ? &w->memo[b - w->all] : NULL;
	struct capacity c;

	if (memo && memo->choice == w->choice) /* the filter has worked it out */
		return memo->virtual_free;
	c = capacity_of(w, b);
	if (c.known)
		return c.virtual_free;
	return multiplier > 0 ? -1 : INFINITY;
}

static double allocated_weigh(
	const struct want *w, const struct sched_backend *b, double multiplier)
{
	return b->allocated;
}

static double volumes_weigh(const struct want *w, const struct sched_backend *b, double multiplier)
{
	return (double)b->volumes;
}

static double goodness_weigh(const struct want *w, const struct sched_backend *b, double multiplier)
{
	return function_goodness(w, b);
}

static double chance_weigh(const struct want *w, const struct sched_backend *b, double multiplier)
{
	return chance_draw(w->chance);
}

static const struct weigher weighers[] = {
	{ "capacity", 1, capacity_weigh },
	{ "allocated_capacity", -1, allocated_weigh },
	{ "volume_number", -1, volumes_weigh },
	{ "goodness", 1, goodness_weigh },
	{ "stochastic", 1, NULL },
	{ "chance", 1, chance_weigh },
};

const struct weigher *weigher_find(const char *name)
{
	for (size_t i = 0; i < sizeof weighers / sizeof weighers[0]; i++) {
		if (!strcmp(weighers[i].name, name))
			return &weighers[i];
	}
	return NULL;
}

double sched_multiplier(const char *weigher)
{
	const struct weigher *w = weigher_find(weigher);

	return w ? w->multiplier : 0;
}

struct range {
	double min, max;
	bool infinite; /* some are */
};

/* Of the finite ones. */
static struct range range_of(const double *weight, size_t n)
{
	struct range r = { INFINITY, -INFINITY, false };

	for (size_t i = 0; i < n; i++) {
		double w = weight[i];

		if (w == INFINITY) {
			r.infinite = true;
			continue;
		}
		r.min = w < r.min ? w : r.min;
		r.max = w > r.max ? w : r.max;
	}
	return r;
}

/* Those that are more than all finite ones become that. */
static void make_finite(double *weight, size_t n, const struct range *r)
{
	double most = r->max + (r->max > r->min ? 100 * (r->max - r->min) : 10000);

	if (isinf(r->min)) /* none is finite: all are equal */
		most = 0;
	for (size_t i = 0; i < n; i++) {
		if (weight[i] == INFINITY)
			weight[i] = most;
	}
}

void weigher_add(
	double *raw, size_t n, double multiplier, bool normalise, struct sched_ranked *left)
{
	struct range r = range_of(raw, n);
	double span;

	if (r.infinite) {
		make_finite(raw, n, &r);
		r = range_of(raw, n);
	}
	span = r.max - r.min;
	if (!normalise) {
		for (size_t k = 0; k < n; k++)
			left[k].weight += multiplier * raw[k];
	} else if (span > 0) {
		for (size_t k = 0; k < n; k++)
			left[k].weight += multiplier * ((raw[k] - r.min) / span);
	}
}

/* Of those that are given, the next; else splitmix64's, as a fraction of 53 bits. */
double chance_draw(struct sched_chance *c)
{
	uint64_t z;

	if (c->count) {
		if (c->next == c->count)
			c->next = 0;
		return c->number[c->next++];
	}
	z = c->state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}
