/* Memory that runs out while a backend is chosen, or while it is said why none fits. */
#include "faults.h"
#include "sched_rig.h"

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

/* What is compiled before the first choice. Each makes one thing, and releases it where that has succeeded. */

static const char report[] = "{'disk': 'ssd', 'a': {'b': [1, 'x']}, 'iops': 5000}";

static int make_facts(struct err *err)
{
	static json_t *json;
	struct facts *f = NULL;
	int r;

	json = json ? json : json_of(report);
	r = facts_new(json, &f, err);
	assert_true((r == 0) == (f != NULL));
	facts_free(f);
	return r;
}

static int make_type(struct err *err)
{
	static json_t *json;
	struct sched_type *t = NULL;
	int r;

	json = json ? json : json_of("{'capabilities:a:b': '>= 5', 'disk': 'ssd'}");
	r = sched_type_new(json, json, &t, err);
	assert_true((r == 0) == (t != NULL));
	sched_type_free(t);
	return r;
}

static int make_query(struct err *err)
{
	static json_t *json;
	struct query *q = NULL;
	int r;

	json = json ? json
		    : json_of("['and', ['<', '$capabilities.a.b', 5], true, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]");
	r = query_new(json, &q, err);
	assert_true((r == 0) == (q != NULL));
	query_free(q);
	return r;
}

static int make_malformed_query(struct err *err)
{
	static json_t *json;
	struct query *q = NULL;
	int r;

	json = json ? json : json_of("['like', 5]");
	r = query_new(json, &q, err);
	assert_true(r < 0 || query_check(q, NULL) == -EINVAL);
	query_free(q);
	return r;
}

static int make_expr(struct err *err)
{
	struct expr *e = NULL;
	int r = expr_new(
		"volume.size + volume.size + stats.free_capacity_gb + extra.a + qos.b + 1 + 2 + 3 + 4 + 5 < 7",
		&e, err);

	assert_true((r == 0) == (e != NULL));
	assert_true(r < 0 || expr_check(e, NULL) == 0);
	expr_free(e);
	return r;
}

static int make_malformed_expr(struct err *err)
{
	struct expr *e = NULL;
	int r = expr_new("1 +", &e, err);

	assert_true(r < 0 || expr_check(e, NULL) == -EINVAL);
	expr_free(e);
	return r;
}

static int make_index(struct err *err)
{
	const struct sched_backend b[] = { backend_of("a", 10, 0, 1), backend_of("b", 10, 0, 1) };
	static struct sched *s;
	struct sched_index *x = NULL;
	int r;

	s = s ? s : sched_of("capacity", "capacity", 1);
	r = sched_index_new(s, b, 2, &x, err);
	assert_true((r == 0) == (x != NULL));
	sched_index_free(x);
	return r;
}

static int make_match(struct err *err)
{
	static json_t *json;
	bool is = false;

	json = json ? json : json_of(report);
	return match_json(json, "x", &is, err);
}

static void compiling(void **state)
{
	static int (*const make[])(struct err * err) = { make_facts, make_type, make_query,
		make_malformed_query, make_expr, make_malformed_expr, make_index, make_match };

	for (size_t i = 0; i < COUNT(make); i++) {
		long n;

		assert_int_equal(make[i](NULL), 0);
		for (n = 1;; n++) {
			struct err err = { 0 };
			int code;

			faults_begin(n, false);
			code = make[i](&err);
			if (!faults_end())
				break;
			assert_int_equal(code, -ENOMEM);
			assert_int_equal(err.code, -ENOMEM);
			assert_true(err.text[0]);
		}
		assert_true(n > 1);
	}
}

/* With every filter and weigher on: once there is room for as many backends, the next choice takes none. */
static void a_choice_allocates_nothing(void **state)
{
	static const char *const all[] = { "availability_zone", "capacity", "capabilities",
		"same_backend", "different_backend", "driver", "json", "ignore_attempted", NULL };
	static const struct sched_weigher_conf weighers[] = { { "capacity", 1 },
		{ "allocated_capacity", -1 }, { "volume_number", -1 }, { "goodness", 1 },
		{ "chance", 1 }, { "stochastic", 1 } };
	static const char *const attempted[] = { "b", NULL };
	static const uint32_t on[] = { 1, 2, 3 };
	const struct sched_conf conf_all = { all, weighers, COUNT(weighers), true };
	struct sched_type *type = type_of(
		"{'disk': 'ssd', 'iops': '>= 100', 'a': '<or> x <or> y'}", "{'maxIOPS': '5'}");
	struct facts *capabilities = facts_of("{'disk': 'ssd', 'iops': 500, 'a': ['x', 'z']}");
	struct query *query = query_of(
		"['and', ['<', '$allocated_capacity_gb', 5], ['=', '$capabilities.disk', 'ssd']]");
	struct expr *filter = expr_of("volume.size < 5 and qos.maxIOPS == 5 and stats.host != 'x'");
	struct expr *goodness = expr_of("100 / max(stats.free_capacity_gb, 1)");
	const struct sched_request r = { .size = 1,
		.zone = "default",
		.type = type,
		.query = query,
		.attempted = attempted,
		.same = { .volumes = "x", .on = on, .on_count = 3 },
		.different = { .volumes = "y" } };
	struct sched_backend b[100];
	struct sched_work work = { 0 };
	struct sched *s = NULL;

	for (size_t i = 0; i < COUNT(b); i++) {
		b[i] = backend_of("a", 10, 0, 1);
		b[i].capabilities = capabilities;
		b[i].filter = filter;
		b[i].goodness = goodness;
	}
	assert_int_equal(sched_new(&conf_all, &s, NULL), 0);
	assert_true(sched_choose(s, &work, &r, b, COUNT(b), NULL, NULL) >= 0);
	faults_begin(1, true);
	assert_true(sched_choose(s, &work, &r, b, COUNT(b), NULL, NULL) >= 0);
	assert_true(sched_rank(s, &work, &r, b, COUNT(b), NULL) == 3);
	assert_false(faults_end());
	sched_work_release(&work);
	sched_free(s);
	sched_type_free(type);
	facts_free(capabilities);
	query_free(query);
	expr_free(filter);
	expr_free(goodness);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(making_one),
		cmocka_unit_test(choosing),
		cmocka_unit_test(compiling),
		cmocka_unit_test(a_choice_allocates_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
