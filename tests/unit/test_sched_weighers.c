/* Each weigher's formula, and what is made of their weights. The reference, 4.6. */
#include "sched_rig.h"

#include <errno.h>
#include <math.h>

enum { A, B, C, N };

/* Ranks b by the weighers and compares the order and, where given, the weights. */
static void check_by(const struct sched_weigher_conf *weighers, size_t count,
	const struct sched_backend *b, size_t n, struct sched_chance chance, const uint32_t *order,
	const double *weight)
{
	static const char *const none[] = { NULL };
	const struct sched_conf conf = { none, weighers, count, true };
	const struct sched_request r = { .size = 1 };
	struct sched_work work = { .chance = chance };
	struct sched *s = NULL;
	double best;

	assert_int_equal(sched_new(&conf, &s, NULL), 0);
	assert_int_equal(sched_rank(s, &work, &r, b, n, NULL), n);
	for (size_t k = 0; k < n; k++) {
		assert_int_equal(work.ranked[k].backend, order[k]);
		if (weight && fabs(work.ranked[k].weight - weight[k]) > 1e-12)
			fail_msg("weight %zu is %.17g, not %.17g", k, work.ranked[k].weight,
				weight[k]);
	}
	work.chance = chance;
	assert_int_equal(sched_choose(s, &work, &r, b, n, &best, NULL), order[0]);
	if (weight && fabs(best - weight[0]) > 1e-12)
		fail_msg("the winner's weight is %.17g", best);
	sched_work_release(&work);
	sched_free(s);
}

static void check(const char *name, double multiplier, const struct sched_backend *b,
	const uint32_t *order, const double *weight)
{
	const struct sched_weigher_conf weigher = { name, multiplier };

	check_by(&weigher, 1, b, N, (struct sched_chance){ 0 }, order, weight);
}

static void capacity_is_virtual_free(void **state)
{
	struct sched_backend b[N] = { backend_of("a", 100, 60, 2), backend_of("b", 100, 20, 1),
		backend_of("c", 40, 0, 1) }; /* 140, 80, 40 */

	check("capacity", 1, b, (uint32_t[]){ A, B, C }, (double[]){ 1, 0.4, 0 });
	check("capacity", 2, b, (uint32_t[]){ A, B, C }, (double[]){ 2, 0.8, 0 });
	check("capacity", -1, b, (uint32_t[]){ C, B, A }, (double[]){ 0, -0.4, -1 });
	check("capacity", 0, b, (uint32_t[]){ A, B, C }, (double[]){ 0, 0, 0 });
	b[A].thin = false; /* 40 now: less is free than could be promised, or it is all the same */
	check("capacity", 1, b, (uint32_t[]){ B, A, C }, (double[]){ 1, 0, 0 });
	b[B].free.gib = 10;
	b[B].thin = false;
	check("capacity", 1, b, (uint32_t[]){ A, C, B }, (double[]){ 1, 1, 0 });
}

/* Unknown ones weigh -1 when spreading, and when stacking more than all: the most plus 100 times the range. */
static void what_knows_no_numbers(void **state)
{
	struct sched_backend b[N] = { backend_of("a", 0, 0, 1), backend_of("b", 20, 0, 1),
		backend_of("c", 10, 12, 1) }; /* -1, 20, -2 */

	b[A].free.is = SCHED_UNKNOWN;
	check("capacity", 1, b, (uint32_t[]){ B, A, C }, (double[]){ 1, 1.0 / 22, 0 });
	/* 20 + 100 * 22 = 2220; (20 + 2) / 2222 */
	check("capacity", -1, b, (uint32_t[]){ C, B, A }, (double[]){ 0, -22.0 / 2222, -1 });
	b[C] = backend_of("c", 20, 0, 1);
	/* no range: 20 + 10000 */
	check("capacity", -1, b, (uint32_t[]){ B, C, A }, (double[]){ 0, 0, -1 });
	b[B].total.is = b[C].free.is = SCHED_INFINITE;
	check("capacity", -1, b, (uint32_t[]){ A, B, C }, (double[]){ 0, 0, 0 });
	check("capacity", 1, b, (uint32_t[]){ A, B, C }, (double[]){ 0, 0, 0 });
}

static void allocated_and_volumes(void **state)
{
	struct sched_backend b[N] = { backend_of("a", 100, 60, 2), backend_of("b", 100, 20, 1),
		backend_of("c", 40, 0, 1) };

	b[A].volumes = 5;
	b[B].volumes = 1;
	b[C].volumes = 3;
	check("allocated_capacity", -1, b, (uint32_t[]){ C, B, A }, (double[]){ 0, -1.0 / 3, -1 });
	check("allocated_capacity", 1, b, (uint32_t[]){ A, B, C }, NULL);
	check("volume_number", -1, b, (uint32_t[]){ B, C, A }, (double[]){ 0, -0.5, -1 });
	assert_true(sched_multiplier("allocated_capacity") == -1 &&
		    sched_multiplier("volume_number") == -1);
	assert_true(sched_multiplier("capacity") == 1 && sched_multiplier("goodness") == 1);
	assert_true(sched_multiplier("chance") == 1 && sched_multiplier("speed") == 0);
}

static void goodness_is_0_to_100(void **state)
{
	static const struct {
		const char *function;
		double goodness; /* beside one of 0 and one of 100 */
	} rows[] = {
		{ "50", 0.5 },
		{ "0.5 * 100", 0.5 },
		{ "1 < 2", 1 },
		{ "2 < 1", 0 },
		{ "100", 1 },
		{ "100.5", 0 },
		{ "-1", 0 },
		{ "gold", 0 },
		{ "1/0", 0 },
		{ "1 +", 0 },
		{ "stats.nosuch", 0 },
		{ "100 * (volume.size / stats.total_capacity_gb)", 0.25 },
	};
	struct expr *none = expr_of("0"), *all = expr_of("100");

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sched_backend b[N] = { backend_of("a", 4, 0, 1), backend_of("b", 4, 0, 1),
			backend_of("c", 4, 0, 1) };
		struct expr *e = expr_of(rows[i].function);
		double g = rows[i].goodness;
		const uint32_t first[] = { A, C, B }, last[] = { C, A, B }, tie[] = { C, A, B };

		b[A].goodness = e;
		b[B].goodness = i % 2 ? none : NULL;
		b[C].goodness = all;
		check("goodness", 1, b,
			g == 1	? first
			: g > 0 ? last
				: tie,
			g == 1 ? (double[]){ 1, 1, 0 } : (double[]){ 1, g, 0 });
		expr_free(e);
	}
	expr_free(none);
	expr_free(all);
}

static void the_best_of_several_names_counts(void **state)
{
	struct facts *f = facts_of("{'storage_protocol': ['FC', 'fc', 7]}");
	struct expr *e = expr_of("stats.storage_protocol == 'fc' ? 80 : 20");
	struct expr *all = expr_of("100");
	struct sched_backend b[N] = { backend_of("a", 4, 0, 1), backend_of("b", 4, 0, 1),
		backend_of("c", 4, 0, 1) };

	b[A].capabilities = f;
	b[A].goodness = e;
	b[B].goodness = all;
	check("goodness", 1, b, (uint32_t[]){ B, A, C }, (double[]){ 1, 0.8, 0 });
	expr_free(e);
	expr_free(all);
	facts_free(f);
}

static void sums(void **state)
{
	static const struct sched_weigher_conf weighers[] = { { "capacity", 1 },
		{ "volume_number", -3 } };
	struct sched_backend b[N] = { backend_of("a", 100, 0, 1), backend_of("b", 50, 0, 1),
		backend_of("c", 0, 0, 1) };

	b[A].volumes = 10;
	b[B].volumes = 5;
	check_by(weighers, 2, b, N, (struct sched_chance){ 0 }, (uint32_t[]){ C, B, A },
		(double[]){ 0, -1, -2 });
	check_by(NULL, 0, b, N, (struct sched_chance){ 0 }, (uint32_t[]){ A, B, C },
		(double[]){ 0, 0, 0 });
}

static void chance_takes_one_number_for_each(void **state)
{
	static const double numbers[] = { 0.5, 0.25, 0.75, 0.1 };
	const struct sched_weigher_conf weigher = { "chance", 1 };
	const struct sched_chance chance = { .number = numbers, .count = 4 };
	struct sched_backend b[N] = { backend_of("a", 4, 0, 1), backend_of("b", 4, 0, 1),
		backend_of("c", 4, 0, 1) };

	check_by(&weigher, 1, b, N, chance, (uint32_t[]){ C, A, B }, (double[]){ 1, 0.5, 0 });
	/* the next ones begin with the last, and then from the first again */
	check_by(&weigher, 1, b, N,
		(struct sched_chance){ .number = numbers, .count = 4, .next = 3 },
		(uint32_t[]){ B, C, A }, (double[]){ 1, 0.375, 0 });
	/* without numbers: a generator's, the same for the same seed */
	for (uint64_t seed = 0; seed < 3; seed++) {
		static const char *const none[] = { NULL };
		const struct sched_conf conf = { none, &weigher, 1, true };
		const struct sched_request r = { .size = 1 };
		struct sched_work one = { .chance = { .state = seed } }, other = one;
		struct sched *s = NULL;
		unsigned seen[N] = { 0 };

		assert_int_equal(sched_new(&conf, &s, NULL), 0);
		for (int i = 0; i < 300; i++) {
			int best = sched_choose(s, &one, &r, b, N, NULL, NULL);

			assert_int_equal(best, sched_choose(s, &other, &r, b, N, NULL, NULL));
			seen[best]++;
		}
		assert_true(seen[A] > 60 && seen[B] > 60 && seen[C] > 60);
		sched_work_release(&one);
		sched_work_release(&other);
		sched_free(s);
	}
}

/* The reference's example: weights A 2, B 5, C 3. */
static void the_stochastic_handler_draws_by_weight(void **state)
{
	static const struct {
		double x;
		uint32_t order[N];
	} rows[] = {
		{ 0, { A, B, C } },
		{ 0.199, { A, B, C } },
		{ 0.201, { B, C, A } },
		{ 0.699, { B, C, A } },
		{ 0.701, { C, A, B } },
		{ 0.9999, { C, A, B } },
	};
	static const struct sched_weigher_conf weighers[] = { { "stochastic", 7 },
		{ "allocated_capacity", 1 } };
	struct sched_backend b[N] = { backend_of("a", 100, 2, 1), backend_of("b", 100, 5, 1),
		backend_of("c", 100, 3, 1) };

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct sched_chance chance = { .number = &rows[i].x, .count = 1 };
		double weight[N];

		for (size_t k = 0; k < N; k++)
			weight[k] = b[rows[i].order[k]].allocated; /* not normalised */
		check_by(weighers, 2, b, N, chance, rows[i].order, weight);
	}
}

static void the_stochastic_handler_and_weights_without_a_share(void **state)
{
	static const struct sched_weigher_conf weighers[] = { { "allocated_capacity", 1 },
		{ "stochastic", 1 } };
	static const struct sched_weigher_conf against[] = { { "allocated_capacity", -1 },
		{ "stochastic", 1 } };
	const double x[] = { 0.4, 0.99 };
	struct sched_backend b[N] = { backend_of("a", 100, 0, 1), backend_of("b", 100, 5, 1),
		backend_of("c", 100, 0, 1) };

	/* what weighs nothing never wins, but where nobody weighs anything all are as likely */
	for (size_t i = 0; i < 2; i++)
		check_by(weighers, 2, b, N, (struct sched_chance){ .number = &x[i], .count = 1 },
			(uint32_t[]){ B, C, A }, NULL);
	b[B].allocated = 0;
	check_by(weighers, 2, b, N, (struct sched_chance){ .number = x, .count = 2 },
		(uint32_t[]){ B, C, A }, NULL);
	check_by(weighers, 2, b, N, (struct sched_chance){ .number = x, .count = 2, .next = 1 },
		(uint32_t[]){ C, A, B }, NULL);
	b[B].allocated = 5; /* less than nothing is nothing, too */
	check_by(against, 2, b, N, (struct sched_chance){ .number = x, .count = 2 },
		(uint32_t[]){ B, C, A }, NULL);
}

/* First one number for each backend, then one for the draw. */
static void stochastic_draws_after_chance(void **state)
{
	static const double numbers[] = { 0.2, 0.5, 0.3, 0.69, 0.3, 0.3, 0.4, 0.1 };
	static const char *const none[] = { NULL };
	static const struct sched_weigher_conf weighers[] = { { "stochastic", 1 },
		{ "chance", 1 } };
	const struct sched_conf conf = { none, weighers, 2, true };
	const struct sched_request r = { .size = 1 };
	struct sched_backend b[N] = { backend_of("a", 4, 0, 1), backend_of("b", 4, 0, 1),
		backend_of("c", 4, 0, 1) };
	struct sched_work work = { .chance = { .number = numbers, .count = 8 } };
	struct sched *s = NULL;

	assert_int_equal(sched_new(&conf, &s, NULL), 0);
	assert_int_equal(sched_choose(s, &work, &r, b, N, NULL, NULL), B);
	assert_int_equal(sched_choose(s, &work, &r, b, N, NULL, NULL), A);
	assert_int_equal(work.chance.next, 8);
	assert_int_equal(sched_choose(s, &work, &r, b, N, NULL, NULL), B);
	b[A].state = b[B].state = b[C].state =
		BACKEND_DOWN; /* nobody to draw for: nothing is drawn */
	assert_int_equal(sched_choose(s, &work, &r, b, N, NULL, NULL), -ENOSPC);
	assert_int_equal(work.chance.next, 4);
	sched_work_release(&work);
	sched_free(s);
}

static void what_is_chosen_is_booked(void **state)
{
	struct sched_backend b = backend_of("a", 100, 10, 1);
	struct sched_request r = { .size = 5 };

	sched_consume(&b, &r);
	assert_true(b.allocated == 15 && b.provisioned == 15 && b.free.gib == 95 && b.volumes == 1);
	r = (struct sched_request){ .size = 5, .extending = true, .new_size = 105 };
	sched_consume(&b, &r);
	assert_true(b.allocated == 115 && b.free.gib == -5 && b.volumes == 1); /* no new volume */
	b.free.is = SCHED_INFINITE;
	sched_consume(&b, &r);
	assert_true(b.allocated == 215 && b.free.gib == -5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capacity_is_virtual_free),
		cmocka_unit_test(what_knows_no_numbers),
		cmocka_unit_test(allocated_and_volumes),
		cmocka_unit_test(goodness_is_0_to_100),
		cmocka_unit_test(the_best_of_several_names_counts),
		cmocka_unit_test(sums),
		cmocka_unit_test(chance_takes_one_number_for_each),
		cmocka_unit_test(the_stochastic_handler_draws_by_weight),
		cmocka_unit_test(the_stochastic_handler_and_weights_without_a_share),
		cmocka_unit_test(stochastic_draws_after_chance),
		cmocka_unit_test(what_is_chosen_is_booked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
