/*
 * What holds in every world: random backends and requests, the same ones in each run. Numbers are chosen so that ties,
 * full backends and boundaries are frequent.
 */
#include "sched_rig.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

enum { MOST = 40, ROUNDS = 3000 };

struct world {
	uint64_t seed;
	struct sched_backend b[MOST];
	size_t n;
	struct sched_request r;
	uint32_t on[MOST];
	const char *attempted[3];
};

static const char *const zones[] = { "west", "east", "north" };
static const char *names[MOST];
static struct facts *capabilities[3];
static struct expr *functions[4];
static struct sched_type *types[6];
static struct query *queries[3];

static uint64_t draw(struct world *w, uint64_t below)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return (w->seed >> 11) % below;
}

static int make_parts(void **state)
{
	static const char *const reports[] = { "{'disk': 'ssd', 'iops': 500}",
		"{'disk': 'hdd', 'iops': 100}", "{}" };
	static const char *const texts[] = { "stats.free_capacity_gb > volume.size",
		"volume.size < 12", "extra.disk == 'ssd'",
		"100 / (stats.allocated_capacity_gb + 1)" };
	static const char *const extras[] = { "{'disk': 'ssd'}", "{'iops': '>= 200'}",
		"{'provisioning:type': 'thick'}", "{}",
		"{'RESKEY:availability_zones': 'west, east'}", "{'nosuch': '<is> True'}" };
	static const char *const texts_of_queries[] = { "['>', '$free_capacity_gb', 20]",
		"['not', ['=', '$capabilities.disk', 'ssd']]", "['like']" };

	for (size_t i = 0; i < MOST; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "b%02zu", i);
		names[i] = strdup(name);
	}
	for (size_t i = 0; i < COUNT(reports); i++)
		capabilities[i] = facts_of(reports[i]);
	for (size_t i = 0; i < COUNT(texts); i++)
		functions[i] = expr_of(texts[i]);
	for (size_t i = 0; i < COUNT(extras); i++)
		types[i] = type_of(extras[i], NULL);
	for (size_t i = 0; i < COUNT(texts_of_queries); i++)
		queries[i] = query_of(texts_of_queries[i]);
	return 0;
}

static int release_parts(void **state)
{
	for (size_t i = 0; i < MOST; i++)
		free((char *)(uintptr_t)names[i]);
	for (size_t i = 0; i < COUNT(capabilities); i++)
		facts_free(capabilities[i]);
	for (size_t i = 0; i < COUNT(functions); i++)
		expr_free(functions[i]);
	for (size_t i = 0; i < COUNT(types); i++)
		sched_type_free(types[i]);
	for (size_t i = 0; i < COUNT(queries); i++)
		query_free(queries[i]);
	return 0;
}

/* Whole GiB mostly, hundredths sometimes, and sometimes what rounds. */
static double some_size(struct world *w, uint64_t below)
{
	double size = (double)draw(w, below);

	switch (draw(w, 8)) {
	case 0:
		return size + (double)draw(w, 100) / 100;
	case 1:
		return size + (double)draw(w, 1000) / 1000;
	default:
		return size;
	}
}

static struct sched_backend some_backend(struct world *w, size_t i)
{
	static const double ratios[] = { 1, 1, 1.5, 2, 20, 0, 0.5 };
	struct sched_backend b = backend_of(
		names[i], some_size(w, 40), some_size(w, 40), ratios[draw(w, COUNT(ratios))]);

	b.zone = zones[draw(w, COUNT(zones))];
	b.state = draw(w, 10) ? BACKEND_UP : draw(w, 2) ? BACKEND_DOWN : BACKEND_DISABLED;
	b.free.gib = draw(w, 2) ? b.total.gib : some_size(w, 40);
	b.free.is = draw(w, 20) ? SCHED_NUMBER : (enum sched_is)draw(w, 4);
	b.total.is = draw(w, 20) ? SCHED_NUMBER : (enum sched_is)draw(w, 4);
	b.reserved_percentage = draw(w, 3) ? 0 : (double)draw(w, 101);
	b.thin = draw(w, 3);
	b.volumes = draw(w, 5);
	b.allocated = b.provisioned;
	b.capabilities = capabilities[draw(w, COUNT(capabilities))];
	return b;
}

static struct sched_request some_request(struct world *w, bool simple)
{
	struct sched_request r = { .size = some_size(w, 15) };

	if (draw(w, 2))
		r.zone = draw(w, 10) ? zones[draw(w, COUNT(zones))] : "mars";
	if (simple)
		return r;
	r.type = draw(w, 2) ? types[draw(w, COUNT(types))] : NULL;
	r.query = draw(w, 4) ? NULL : queries[draw(w, COUNT(queries))];
	w->attempted[0] = names[draw(w, MOST)];
	w->attempted[1] = names[draw(w, MOST)];
	r.attempted = draw(w, 3) ? NULL : w->attempted;
	if (!draw(w, 3))
		r.same = (struct sched_hint){ .volumes = "x", .on = w->on, .on_count = 20 };
	if (!draw(w, 3))
		r.different = (struct sched_hint){
			.volumes = "y", .on = w->on + 5, .on_count = draw(w, 5)
		};
	if (!draw(w, 4)) {
		r.extending = true;
		r.new_size = r.size + some_size(w, 10);
	}
	return r;
}

/* simple: what goes by the pattern of index.c, mostly */
static void make(struct world *w, uint64_t seed, bool simple)
{
	*w = (struct world){ .seed = seed * 0x9e3779b97f4a7c15 + 1 };
	for (size_t i = 0; i < MOST; i++)
		w->on[i] = (uint32_t)(2 * i);
	w->n = draw(w, MOST + 1);
	for (size_t i = 0; i < w->n; i++) {
		w->b[i] = some_backend(w, i);
		if (simple)
			continue;
		w->b[i].filter = draw(w, 3) ? NULL : functions[draw(w, 3)];
		w->b[i].goodness = draw(w, 2) ? NULL : functions[3];
	}
	w->r = some_request(w, simple);
}

static const char *const all_filters[] = { "availability_zone", "capacity", "capabilities",
	"same_backend", "different_backend", "driver", "json", "ignore_attempted", NULL };
static const struct sched_weigher_conf all_weighers[] = { { "capacity", 1 },
	{ "allocated_capacity", -0.5 }, { "volume_number", -2 }, { "goodness", 0.25 } };

static struct sched *everything(void)
{
	const struct sched_conf conf = { all_filters, all_weighers, COUNT(all_weighers), true };
	struct sched *s = NULL;

	assert_int_equal(sched_new(&conf, &s, NULL), 0);
	return s;
}

static double gib_of(double size, const char *unit)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };

	for (size_t i = 0; i < COUNT(units); i++) {
		if (!strcmp(units[i], unit))
			return size * pow(1024, (double)i - 3);
	}
	fail_msg("what unit is '%s'?", unit);
	return 0;
}

/* Is it so, what the sentence says? */
static void check_reason(const struct world *w, size_t i, const char *filter, const char *why)
{
	const struct sched_backend *b = &w->b[i];
	char unit[16], other[16];
	double free, wanted;

	assert_true(*why);
	if (!strcmp(filter, "state"))
		assert_string_equal(why, b->state == BACKEND_DOWN ? "down" : "disabled");
	else if (!strcmp(filter, "ignore_attempted"))
		assert_true(!strcmp(w->attempted[0], b->name) || !strcmp(w->attempted[1], b->name));
	else if (!strcmp(filter, "availability_zone"))
		assert_true(strstr(why, "zone ") &&
			    (!w->r.zone || strcmp(w->r.zone, b->zone) != 0 || w->r.type));
	else if (!strcmp(filter, "same_backend"))
		assert_true(i % 2 == 1 || i >= 40);
	else if (!strcmp(filter, "different_backend"))
		assert_true(i % 2 == 0 && i >= 10 && i < 20);
	else if (sscanf(why, "%lf %15s free, %lf %15s wanted", &free, unit, &wanted, other) == 4)
		assert_true(gib_of(free, strtok(unit, ",")) < gib_of(wanted, other) ||
			    /* or it is the rounding of row 7 */ b->thin);
}

/* Who is chosen passes every filter; who is not in the order is refused, for a reason that is true. */
static void the_chosen_pass_and_the_refused_do_not(void **state)
{
	struct sched_work work = { 0 };
	struct sched *s = everything();
	struct buf why = { 0 };
	size_t chosen = 0, refused = 0;

	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		bool passes[MOST] = { false };
		struct world w;
		int n, best;

		make(&w, seed, false);
		n = sched_rank(s, &work, &w.r, w.b, w.n, NULL);
		for (int k = 0; k < n; k++)
			passes[work.ranked[k].backend] = true;
		best = n < 0 ? n : (int)work.ranked[0].backend;
		assert_int_equal(sched_choose(s, &work, &w.r, w.b, w.n, NULL, NULL), best);
		for (size_t i = 0; i < w.n; i++) {
			const char *filter;

			buf_clear(&why);
			filter = sched_refusal(s, &w.r, w.b, w.n, i, &why);
			assert_true(passes[i] == !filter);
			if (filter)
				check_reason(&w, i, filter, buf_text(&why));
			refused += filter != NULL;
		}
		chosen += n > 0;
	}
	assert_true(chosen > ROUNDS / 4 && refused > ROUNDS);
	buf_release(&why);
	sched_work_release(&work);
	sched_free(s);
}

/* Ranked once as they are and once shuffled: the same weights, the same backends at each but for ties. */
static void the_order_of_the_input_decides_nothing_but_ties(void **state)
{
	struct sched_work one = { 0 }, other = { 0 };
	struct sched *s = everything();

	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		struct world w, shuffled;
		int n;

		make(&w, seed, false);
		w.r.same.volumes = w.r.different.volumes = NULL; /* they name places in the input */
		shuffled = w;
		for (size_t i = w.n; i-- > 1;) {
			size_t k = draw(&w, i + 1);
			struct sched_backend b = shuffled.b[i];

			shuffled.b[i] = shuffled.b[k];
			shuffled.b[k] = b;
		}
		n = sched_rank(s, &one, &w.r, w.b, w.n, NULL);
		assert_int_equal(sched_rank(s, &other, &w.r, shuffled.b, w.n, NULL), n);
		for (int k = 0; k < n; k++) {
			assert_true(one.ranked[k].weight == other.ranked[k].weight);
			if ((k && one.ranked[k - 1].weight == one.ranked[k].weight) ||
				(k + 1 < n && one.ranked[k + 1].weight == one.ranked[k].weight))
				continue;
			assert_string_equal(w.b[one.ranked[k].backend].name,
				shuffled.b[other.ranked[k].backend].name);
		}
	}
	sched_work_release(&one);
	sched_work_release(&other);
	sched_free(s);
}

static void more_capacity_never_loses(void **state)
{
	struct sched_work work = { 0 };
	struct sched *s = sched_of("capacity", "capacity", 1);

	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		struct world w;
		int best;

		make(&w, seed, true);
		best = sched_choose(s, &work, &w.r, w.b, w.n, NULL, NULL);
		if (best < 0)
			continue;
		w.b[best].total.gib += 10;
		w.b[best].free.gib += 10;
		assert_int_equal(sched_choose(s, &work, &w.r, w.b, w.n, NULL, NULL), best);
	}
	sched_work_release(&work);
	sched_free(s);
}

/* The index and the plain pass make the same choices, one after the other, each booked. */
static unsigned compare_with_plain(struct sched *s, uint64_t seed, bool simple)
{
	struct sched_backend plain[MOST];
	struct sched_work one = { .chance = { .state = seed } }, other = one;
	struct sched_index *x = NULL;
	unsigned chosen = 0;
	struct world w;

	make(&w, seed, simple);
	memcpy(plain, w.b, sizeof plain);
	assert_int_equal(sched_index_new(s, w.b, w.n, &x, NULL), 0);
	for (int k = 0; k < 40; k++) {
		const struct sched_request r = some_request(&w, simple || draw(&w, 2));
		double weight = -7, plain_weight = -7;
		struct err err = { 0 }, plain_err = { 0 };
		int i = sched_index_choose(x, &one, &r, &weight, &err);

		assert_int_equal(
			sched_choose(s, &other, &r, plain, w.n, &plain_weight, &plain_err), i);
		assert_true(weight == plain_weight);
		assert_string_equal(err.text, plain_err.text);
		if (i < 0)
			continue;
		chosen++;
		sched_consume(&w.b[i], &r);
		sched_index_changed(x, (size_t)i);
		sched_consume(&plain[i], &r);
		assert_true(w.b[i].provisioned == plain[i].provisioned &&
			    w.b[i].free.gib == plain[i].free.gib);
	}
	sched_index_free(x);
	sched_work_release(&one);
	sched_work_release(&other);
	return chosen;
}

static void the_index_chooses_as_the_plain_pass(void **state)
{
	static const char *const default_filters[] = { "availability_zone", "capacity", NULL };
	static const char *const only_capacity[] = { "capacity", NULL }, *const only_zone[] = {
		"availability_zone", NULL
	};
	static const struct sched_weigher_conf spread[] = { { "capacity", 1 } },
					       more[] = { { "capacity", 2.5 } },
					       stack[] = { { "capacity", -1 } },
					       draws[] = { { "capacity", 1 }, { "stochastic", 1 } };
	static const struct sched_conf confs[] = {
		{ default_filters, spread, 1, true },
		{ all_filters, spread, 1, true },
		{ only_capacity, more, 1, true },
		{ only_zone, spread, 1, true },
		{ default_filters, stack, 1, true },
		{ default_filters, draws, 2, true },
		{ default_filters, spread, 1, false },
		{ all_filters, all_weighers, COUNT(all_weighers), true },
		{ default_filters, NULL, 0, true },
	};
	unsigned chosen = 0;

	for (size_t i = 0; i < COUNT(confs); i++) {
		struct sched *s = NULL;

		assert_int_equal(sched_new(&confs[i], &s, NULL), 0);
		for (uint64_t seed = 0; seed < (i < 2 ? 2 * ROUNDS : ROUNDS / 10); seed++)
			chosen += compare_with_plain(s, seed, seed % 2 == 0);
		sched_free(s);
	}
	assert_true(chosen > 20 * ROUNDS);
}

/* Beyond the numbers that stay different when they are normalised, the index makes a plain pass, too. */
static void the_index_and_huge_numbers(void **state)
{
	struct sched *s = sched_of("capacity", "capacity", 1);
	struct sched_backend b[] = { backend_of("a", 1e15, 0, 1),
		backend_of("b", 1e15 + 0.125, 0, 1), backend_of("c", 5, 0, 1) };
	const struct sched_request r = { .size = 1 };
	struct sched_work work = { 0 };
	struct sched_index *x = NULL;

	assert_int_equal(sched_index_new(s, b, 3, &x, NULL), 0);
	assert_int_equal(sched_index_choose(x, &work, &r, NULL, NULL),
		sched_choose(s, &work, &r, b, 3, NULL, NULL));
	sched_index_free(x);
	sched_work_release(&work);
	sched_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_chosen_pass_and_the_refused_do_not),
		cmocka_unit_test(the_order_of_the_input_decides_nothing_but_ties),
		cmocka_unit_test(more_capacity_never_loses),
		cmocka_unit_test(the_index_chooses_as_the_plain_pass),
		cmocka_unit_test(the_index_and_huge_numbers),
	};

	return cmocka_run_group_tests(tests, make_parts, release_parts);
}
