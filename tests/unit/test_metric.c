#include "base/metric.h"
#include "unit.h"

#include <pthread.h>

static const struct bounds bounds = { 3, 1000, { 10, 100, 1000 } };

static void a_value_belongs_to_the_first_bound_that_it_does_not_exceed(void **state)
{
	static const uint64_t value[] = { 0, 10, 11, 100, 1000, 1001, UINT64_C(1) << 40 };
	static const uint64_t want[] = { 2, 2, 1, 2 };
	struct histogram h = { 0 };

	for (size_t i = 0; i < COUNT(value); i++)
		histogram_add(&h, &bounds, value[i]);
	for (size_t i = 0; i < COUNT(want); i++)
		assert_int_equal(counter_get(&h.range[i]), want[i]);
	assert_int_equal(counter_get(&h.sum), 2122 + (UINT64_C(1) << 40));
}

enum { THREADS = 4, EACH = 20000 };

static struct counter shared;
static struct histogram shared_histogram;

static void *count(void *arg)
{
	for (unsigned i = 0; i < EACH; i++) {
		counter_add(&shared, 2);
		histogram_add(&shared_histogram, &bounds, 50);
	}
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	pthread_t t[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_int_equal(counter_get(&shared), 2 * THREADS * EACH);
	assert_int_equal(counter_get(&shared_histogram.range[1]), THREADS * EACH);
	assert_int_equal(counter_get(&shared_histogram.sum), UINT64_C(50) * THREADS * EACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_belongs_to_the_first_bound_that_it_does_not_exceed),
		cmocka_unit_test(threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
