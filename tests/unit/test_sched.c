#include "sched/sched.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTE 0x1p-30

static const char *const default_filters[] = { "ignore_attempted", "availability_zone", "capacity",
	NULL };

static struct sched_type *type_of(const char *extra_specs)
{
	json_t *json = json_loads(extra_specs, 0, NULL);
	struct sched_type *type = NULL;

	assert_non_null(json);
	assert_int_equal(sched_type_new(json, NULL, &type, NULL), 0);
	json_decref(json);
	return type;
}

/* A backend as the reference's examples give it, in GiB. */
static struct sched_backend backend(
	const char *name, double total, double free, double provisioned, double ratio, bool thin)
{
	return (struct sched_backend){
		.name = name,
		.zone = "default",
		.state = BACKEND_UP,
		.state_reason = "",
		.total = { SCHED_NUMBER, total },
		.free = { SCHED_NUMBER, free },
		.allocated = provisioned,
		.provisioned = provisioned,
		.max_over_subscription_ratio = ratio,
		.thin = thin,
		.thick = !thin,
	};
}

static int choose_by(const struct sched_weigher_conf *weigher, size_t weighers,
	const struct sched_backend *b, size_t n, const struct sched_request *r, double *weight,
	struct err *err)
{
	const struct sched_conf conf = { default_filters, weigher, weighers, false };
	struct sched_work work = { 0 };
	struct sched *s = NULL;
	int best;

	assert_int_equal(sched_new(&conf, &s, err), 0);
	best = sched_choose(s, &work, r, b, n, weight, err);
	sched_work_release(&work);
	sched_free(s);
	return best;
}

static int choose(
	const struct sched_backend *b, size_t n, const struct sched_request *r, struct err *err)
{
	const struct sched_weigher_conf spread = { "capacity", 1.0 };

	return choose_by(&spread, 1, b, n, r, NULL, err);
}

static bool fits(const struct sched_backend *b, double gib)
{
	const struct sched_request r = { .size = gib };
	int best = choose(b, 1, &r, NULL);

	assert_true(best == 0 || best == -ENOSPC);
	return best == 0;
}

/* The worked numbers of the reference, 4.5. */
static void worked_numbers(void **state)
{
	struct sched_backend thin = backend("a", 40, 10, 100, 3, true);
	struct sched_backend thick = backend("a", 80, 70, 30, 1, false);
	struct sched_backend full = backend("a", 60, 0, 0, 1, true);

	assert_true(fits(&thin, 20));
	assert_false(fits(&thin, 21));
	assert_true(fits(&thick, 50));
	assert_false(fits(&thick, 51));
	assert_true(fits(&full, 60));
	assert_false(fits(&full, 61));
}

static void boundaries_are_inclusive_to_the_byte(void **state)
{
	struct sched_backend thin = backend("a", 40, 10, 100, 3, true);

	assert_true(fits(&thin, 20));
	assert_false(fits(&thin, 20 + BYTE));
	assert_true(fits(&thin, 20 - BYTE));
}

static void thick_looks_at_free_space_too(void **state)
{
	struct sched_backend b = backend("a", 100, 5, 0, 20, false);
	struct sched_backend thin = backend("a", 100, 5, 0, 2, true);
	struct sched_request r = { .size = 6 };
	struct sched_type *thick;

	thick = type_of("{\"provisioning:type\": \"thick\"}");
	assert_true(fits(&b, 5));
	assert_false(fits(&b, 6));
	/* a thick type on a thin backend takes the thick branch */
	r.type = thick;
	assert_int_equal(choose(&thin, 1, &r, NULL), -ENOSPC);
	r.type = NULL;
	assert_int_equal(choose(&thin, 1, &r, NULL), 0);
	sched_type_free(thick);
}

static void reserved_percentage_is_never_promised(void **state)
{
	struct sched_backend b = backend("a", 100, 100, 0, 1, true);

	b.reserved_percentage = 10;
	assert_true(fits(&b, 90));
	assert_false(fits(&b, 91));
	b.reserved_percentage = 100; /* nothing to divide by */
	assert_false(fits(&b, 1));
	assert_true(fits(&b, 0));
}

static void auto_ratio_follows_what_is_used(void **state)
{
	/* used 29, and the formula's 1: 1 + 60/30 = 3; 100 * 3 - 60 = 240 */
	struct sched_backend b = backend("a", 100, 71, 60, 0, true);
	struct sched_backend empty = backend("a", 100, 100, 0, 0, true);
	struct sched_backend odd = backend("a", 100, 200, 10, 0, true); /* more free than total */

	assert_true(fits(&b, 240));
	assert_false(fits(&b, 241));
	assert_true(fits(&empty, 2000));
	assert_false(fits(&empty, 2001));
	assert_true(fits(&odd, 1));
}

static void infinite_and_unknown_numbers(void **state)
{
	struct sched_backend b = backend("a", 0, 0, 0, 1, true);

	b.free.is = SCHED_INFINITE;
	assert_true(fits(&b, 1000000));
	b.free.is = SCHED_UNKNOWN;
	assert_true(fits(&b, 1000000));
	b.free.is = SCHED_NUMBER;
	b.total.is = SCHED_INFINITE;
	assert_true(fits(&b, 1000000));
	b.total.is = SCHED_UNKNOWN;
	b.reserved_percentage = 1;
	assert_false(fits(&b, 1));
	b.total.is = SCHED_NUMBER;
	assert_false(fits(&b, 1));
	assert_true(fits(&b, 0));
	b = backend("a", 10, 10, 0, 1, true);
	b.free.is = SCHED_UNSET; /* it has not said what is free */
	assert_false(fits(&b, 1));
	assert_true(fits(&b, 0));
}

static void zones_are_equal_or_any(void **state)
{
	struct sched_backend b[] = { backend("a", 10, 10, 0, 1, true),
		backend("b", 10, 10, 0, 1, true) };
	struct sched_request r = { .size = 1, .zone = "west" };

	b[1].zone = "west";
	assert_int_equal(choose(b, 2, &r, NULL), 1);
	r.zone = "east";
	assert_int_equal(choose(b, 2, &r, NULL), -ENOSPC);
	r.zone = "";
	assert_int_equal(choose(b, 2, &r, NULL), 0);
	r.zone = NULL;
	assert_int_equal(choose(b, 2, &r, NULL), 0);
}

static void what_is_not_up_or_was_tried_is_never_chosen(void **state)
{
	struct sched_backend b[] = { backend("a", 90, 90, 0, 1, true),
		backend("b", 50, 50, 0, 1, true), backend("c", 10, 10, 0, 1, true) };
	const char *const attempted[] = { "b", NULL };
	struct sched_request r = { .size = 1, .attempted = attempted };

	b[0].state = BACKEND_DOWN;
	assert_int_equal(choose(b, 3, &r, NULL), 2);
	b[2].state = BACKEND_DISABLED;
	assert_int_equal(choose(b, 3, &r, NULL), -ENOSPC);
}

static void spreading_takes_the_freest_stacking_the_fullest(void **state)
{
	struct sched_backend b[] = { backend("a", 50, 50, 0, 1, true),
		backend("b", 90, 90, 0, 1, true), backend("c", 20, 20, 0, 1, true) };
	const struct sched_weigher_conf stack = { "capacity", -2.0 };
	const struct sched_weigher_conf spread = { "capacity", 3.0 };
	const struct sched_request r = { .size = 1 };
	double weight = 99;

	assert_int_equal(choose_by(&spread, 1, b, 3, &r, &weight, NULL), 1);
	assert_true(weight == 3.0);
	assert_int_equal(choose_by(&stack, 1, b, 3, &r, &weight, NULL), 2);
	assert_true(weight == 0.0);
	/* weights are compared among the survivors alone */
	b[1].state = BACKEND_DOWN;
	assert_int_equal(choose_by(&spread, 1, b, 3, &r, &weight, NULL), 0);
	assert_true(weight == 3.0);
}

static void ties_keep_their_order(void **state)
{
	struct sched_backend b[] = { backend("a", 20, 20, 0, 1, true),
		backend("b", 90, 90, 0, 1, true), backend("c", 90, 90, 0, 1, true),
		backend("d", 90, 90, 0, 1, true) };
	const struct sched_request r = { .size = 1 };

	assert_int_equal(choose(b, 4, &r, NULL), 1);
	assert_int_equal(choose(b + 1, 3, &r, NULL), 0);
	assert_int_equal(choose_by(NULL, 0, b, 4, &r, NULL, NULL), 0);
}

static void unknown_numbers_come_last(void **state)
{
	const struct sched_weigher_conf spread = { "capacity", 1.0 }, stack = { "capacity", -1.0 };
	struct sched_backend b[] = { backend("unknown", 0, 0, 0, 1, true),
		backend("b", 20, 20, 0, 1, true), backend("c", 90, 90, 0, 1, true) };
	const struct sched_request r = { .size = 1 };
	double weight;

	b[0].free.is = SCHED_UNKNOWN;
	assert_int_equal(choose_by(&spread, 1, b, 3, &r, NULL, NULL), 2);
	assert_int_equal(choose_by(&stack, 1, b, 3, &r, NULL, NULL), 1);
	assert_int_equal(
		choose_by(&stack, 1, b, 2, &r, NULL, NULL), 1); /* the finite ones do not differ */
	assert_int_equal(choose_by(&stack, 1, b, 1, &r, &weight, NULL), 0);
	assert_true(weight == 0);
}

static void the_sentence_names_every_backend_and_why(void **state)
{
	struct sched_backend b[] = { backend("ssd", 100, 3, 0, 1, false),
		backend("hdd", 10, 10, 0, 1, true), backend("off", 10, 10, 0, 1, true),
		backend("far", 10, 10, 0, 1, true), backend("sad", 10, 10, 0, 1, true),
		backend("thin", 1, 1, 19, 20, true), backend("odd", 10, 10, 0, 1, true) };
	const char *const attempted[] = { "sad", NULL };
	const struct sched_request r = { .size = 10, .zone = "default", .attempted = attempted };
	struct err err = { 0 };

	b[1].state = BACKEND_DOWN;
	b[1].state_reason = "since 12:04:11";
	b[2].state = BACKEND_DISABLED;
	b[3].zone = "west";
	b[6].state = BACKEND_DOWN;
	b[6].state_reason = "no answer within 30 s";
	assert_int_equal(choose(b, COUNT(b), &r, &err), -ENOSPC);
	assert_string_equal(err.text,
		"no backend fits: ssd: 3 GiB free, 10 GiB wanted; hdd: down since 12:04:11; off: disabled; "
		"far: is in zone west, zone default wanted; sad: has failed this volume already; "
		"thin: 1 GiB free, 10 GiB wanted (19 GiB of 20 GiB are promised); "
		"odd: down: no answer within 30 s");
	assert_int_equal(choose(b, 0, &r, &err), -ENOSPC);
	assert_string_equal(err.text, "no backend fits: none is configured");
}

static void what_is_free_never_looks_enough(void **state)
{
	struct sched_backend b = backend("a", 100, 10, 0, 1, false);
	const struct sched_request r = { .size = 10 };
	struct err err = { 0 };

	b.free.gib -= BYTE;
	assert_int_equal(choose(&b, 1, &r, &err), -ENOSPC);
	assert_string_equal(err.text, "no backend fits: a: 9.9 GiB free, 10 GiB wanted");
	b = backend("a", 100, 100, 200, 1, true);
	assert_int_equal(choose(&b, 1, &r, &err), -ENOSPC);
	assert_string_equal(err.text,
		"no backend fits: a: 0 bytes free, 10 GiB wanted (200 GiB of 100 GiB are promised)");
}

static void the_sentence_is_bounded(void **state)
{
	enum { N = 2000 };
	struct sched_backend *b = calloc(N, sizeof *b);
	static char longer[1000];
	const struct sched_request r = { .size = 1 };
	struct err err = { 0 };

	memset(longer, 'x', sizeof longer - 1);
	for (size_t i = 0; i < N; i++) {
		b[i] = backend("a-backend", 10, 10, 0, 1, true);
		b[i].state = BACKEND_DOWN;
		b[i].state_reason = i % 2 ? longer : "";
	}
	assert_int_equal(choose(b, N, &r, &err), -ENOSPC);
	assert_true(strlen(err.text) < ERR_TEXT_MAX);
	assert_non_null(strstr(err.text, "; and 19"));
	assert_string_equal(err.text + strlen(err.text) - 5, " more");
	free(b);
}

static void explain(const struct sched_backend *b, size_t n, struct buf *out)
{
	const struct sched_weigher_conf spread = { "capacity", 1.0 };
	const struct sched_conf conf = { default_filters, &spread, 1, false };
	const struct sched_request r = { .size = 10 };
	struct sched_work work = { 0 };
	struct sched *s = NULL;
	int best;

	assert_int_equal(sched_new(&conf, &s, NULL), 0);
	best = sched_choose(s, &work, &r, b, n, NULL, NULL);
	assert_true(best >= 0);
	sched_explain(s, &work, &r, b, n, (uint32_t)best, out);
	sched_work_release(&work);
	sched_free(s);
}

static void a_choice_is_told_the_heaviest_first(void **state)
{
	struct sched_backend b[] = { backend("one", 100, 20, 0, 1, false),
		backend("ssd", 100, 100, 0, 1, false), backend("slow", 100, 3, 0, 1, false),
		backend("two", 100, 60, 0, 1, false), backend("off", 100, 90, 0, 1, false) };
	struct buf text = { 0 };

	b[4].state = BACKEND_DISABLED;
	b[4].state_reason = "disabled by an administrator";
	explain(b, COUNT(b), &text);
	assert_string_equal(buf_text(&text),
		"; also weighed: two 0.500, one 0.000; refused: slow (capacity): 3 GiB free, 10 GiB wanted; "
		"off (state): disabled by an administrator");
	buf_clear(&text);
	explain(&b[1], 1, &text);
	assert_string_equal(buf_text(&text), "");
	buf_release(&text);
}

static void what_is_told_of_a_choice_is_bounded(void **state)
{
	enum { N = 2000 };
	struct sched_backend *b = calloc(N, sizeof *b);
	static char longer[1000];
	struct buf text = { 0 };

	memset(longer, 'x', sizeof longer - 1);
	for (size_t i = 0; i < N; i++) {
		b[i] = backend("a-backend", 100, (double)(i % 90) + 10, 0, 1, false);
		b[i].state = i % 2 ? BACKEND_DOWN : BACKEND_UP;
		b[i].state_reason = longer;
	}
	explain(b, N, &text);
	assert_true(text.len < 700);
	assert_non_null(strstr(buf_text(&text), " and 995 more; refused: "));
	assert_string_equal(text.at + text.len - 13, " and 997 more");
	buf_release(&text);
	free(b);
}

static void unknown_names_are_refused(void **state)
{
	static const char *const wrong[] = { "capacity", "kapazitaet", NULL };
	const struct sched_weigher_conf weigher = { "speed", 1.0 };
	const struct sched_conf filters = { wrong, NULL, 0, false };
	const struct sched_conf weighers = { default_filters, &weigher, 1, false };
	struct sched *s = NULL;
	struct err err = { 0 };

	assert_int_equal(sched_new(&filters, &s, &err), -EINVAL);
	assert_string_equal(err.text, "there is no filter 'kapazitaet'");
	assert_int_equal(sched_new(&weighers, &s, &err), -EINVAL);
	assert_string_equal(err.text, "there is no weigher 'speed'");
	assert_null(s);
	sched_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worked_numbers),
		cmocka_unit_test(boundaries_are_inclusive_to_the_byte),
		cmocka_unit_test(thick_looks_at_free_space_too),
		cmocka_unit_test(reserved_percentage_is_never_promised),
		cmocka_unit_test(auto_ratio_follows_what_is_used),
		cmocka_unit_test(infinite_and_unknown_numbers),
		cmocka_unit_test(zones_are_equal_or_any),
		cmocka_unit_test(what_is_not_up_or_was_tried_is_never_chosen),
		cmocka_unit_test(spreading_takes_the_freest_stacking_the_fullest),
		cmocka_unit_test(ties_keep_their_order),
		cmocka_unit_test(unknown_numbers_come_last),
		cmocka_unit_test(the_sentence_names_every_backend_and_why),
		cmocka_unit_test(what_is_free_never_looks_enough),
		cmocka_unit_test(the_sentence_is_bounded),
		cmocka_unit_test(a_choice_is_told_the_heaviest_first),
		cmocka_unit_test(what_is_told_of_a_choice_is_bounded),
		cmocka_unit_test(unknown_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
