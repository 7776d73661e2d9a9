/* One row is one weigher: a raw weight for each backend. The reference, 4.6. */
#include "sched/internal.h"

#include <math.h>
#include <string.h>

/*
 * What is left to promise. A backend that knows no numbers is always last: when spreading it weighs
 * -1 GiB (and so comes before those that have promised too much), when stacking more than every
 * other.
 */
static double capacity_weigh(
	const struct sched_backend *b, const struct sched_request *r, double multiplier)
{
	struct capacity c = capacity_of(b, r);

	if (c.known)
		return c.virtual_free;
	return multiplier > 0 ? -GIB : INFINITY;
}

static const struct weigher weighers[] = {
	{ "capacity", capacity_weigh },
};

const struct weigher *weigher_find(const char *name)
{
	for (size_t i = 0; i < sizeof weighers / sizeof weighers[0]; i++) {
		if (!strcmp(weighers[i].name, name))
			return &weighers[i];
	}
	return NULL;
}

void weigher_normalise(double *weight, size_t n)
{
	double min = INFINITY, max = -INFINITY;
	bool infinite = false;

	for (size_t i = 0; i < n; i++) {
		if (isinf(weight[i])) {
			infinite = true;
			continue;
		}
		min = fmin(min, weight[i]);
		max = fmax(max, weight[i]);
	}
	if (isinf(min)) /* none is finite: all are equal */
		min = max = 0, infinite = false;
	if (infinite)
		max += max > min ? 100 * (max - min) : 10000 * GIB;
	for (size_t i = 0; i < n; i++) {
		double w = isinf(weight[i]) ? max : weight[i];

		weight[i] = max > min ? (w - min) / (max - min) : 0;
	}
}
