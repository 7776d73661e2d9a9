#include "base/metric.h"

void histogram_add(struct histogram *h, const struct bounds *b, uint64_t value)
{
	unsigned i = 0;

	while (i < b->count && value > b->at[i])
		i++;
	counter_add(&h->range[i], 1);
	counter_add(&h->sum, value);
}
