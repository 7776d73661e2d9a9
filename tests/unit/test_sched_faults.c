/* Memory that runs out while a backend is chosen, or while it is said why none fits. */
#include "faults.h"
#include "sched/sched.h"
#include "unit.h"

#include <errno.h>

static const char *const filters[] = { "availability_zone", "capacity", NULL };
static const struct sched_weigher_conf spread = { "capacity", 1.0 };
static const struct sched_conf conf = { filters, &spread, 1, true };

static void making_one(void **state)
{
	struct sched *s = NULL;
	long n;

	for (n = 1;; n++) {
		struct err err = { 0 };
		int code;

		faults_begin(n, false);
		code = sched_new(&conf, &s, &err);
		if (!faults_end())
			break;
		assert_int_equal(code, -ENOMEM);
		assert_int_equal(err.code, -ENOMEM);
		assert_null(s);
	}
	assert_true(n > 2);
	sched_free(s);
}

/* For a request that one of two fits, and for one that none fits. */
static void choosing(void **state)
{
	const struct sched_backend b[] = {
		{ .name = "a", .zone = "z", .state = BACKEND_DOWN, .state_reason = "no answer" },
		{ .name = "b",
			.zone = "z",
			.state = BACKEND_UP,
			.thin = true,
			.max_over_subscription_ratio = 1,
			.total = { SCHED_NUMBER, 1000 },
			.free = { SCHED_NUMBER, 1000 } },
	};
	struct sched_work work = { 0 };
	struct sched *s = NULL;

	assert_int_equal(sched_new(&conf, &s, NULL), 0);
	for (int size = 1000; size <= 1001; size++) {
		const struct sched_request r = { .size = size };
		int without = size > 1000 ? -ENOSPC : 1, code;
		long n;

		for (n = 1;; n++) {
			struct err err = { 0 };

			sched_work_release(&work);
			faults_begin(n, false);
			code = sched_choose(s, &work, &r, b, 2, NULL, &err);
			if (!faults_end())
				break;
			/* without memory for the reasons it is still said that none fits */
			assert_true(code == -ENOMEM || (code == without && code < 0));
			assert_int_equal(err.code, code);
			assert_true(err.text[0]);
		}
		assert_int_equal(code, without);
		assert_true(n > 2);
	}
	sched_work_release(&work);
	sched_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(making_one),
		cmocka_unit_test(choosing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
