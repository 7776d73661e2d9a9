/* The language of filter and goodness functions: every operator, function and error. The reference, 4.7. */
#include "sched/sched.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char variables[] =
	"{\"stats\": {\"free_capacity_gb\": 50, \"total_capacity_gb\": 100.5, \"vendor_name\": \"Acme\", \"note\": null},"
	" \"capabilities\": {\"thin\": true, \"thick\": false, \"iops\": \"5000\", \"ratio\": \"1.5\", \"list\": [1], \"map\": {\"a\": 1},"
	"   \"quoted\": \"it's\", \"word\": \"12 apples\", \"infinite\": \"inf\"},"
	" \"volume\": {\"size\": 7, \"name\": \"db\"}, \"extra\": {\"tier\": \"gold\"}, \"qos\": {\"maxIOPS\": \"100\"}}";

struct row {
	const char *expression, *value; /* as JSON; or the sentence */
};

/* Its value as JSON, or its sentence; the caller's to free. */
static char *evaluated(const char *expression)
{
	json_t *json = json_loads(variables, 0, NULL);
	struct facts *facts = NULL;
	struct expr *e = NULL;
	struct err err = { 0 };
	struct buf out = { 0 };
	struct fact value;
	int r;

	assert_non_null(json);
	assert_int_equal(facts_new(json, &facts, NULL), 0);
	assert_int_equal(expr_new(expression, &e, NULL), 0);
	r = expr_value(e, facts, &value, &err);
	if (r == 0) {
		fact_json(&value, &out);
		assert_int_equal(expr_check(e, NULL), 0);
	} else {
		assert_int_equal(r, -EINVAL);
		assert_int_equal(expr_value(e, facts, &value, NULL), -EINVAL);
		buf_adds(&out, err.text);
	}
	expr_free(e);
	facts_free(facts);
	json_decref(json);
	return buf_detach(&out);
}

static void check(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *got = evaluated(rows[i].expression);

		if (strcmp(got, rows[i].value) != 0)
			fail_msg("%s is %s, not %s", rows[i].expression, got, rows[i].value);
		free(got);
	}
}

static void values(void **state)
{
	static const struct row rows[] = {
		{ "7", "7" },
		{ "007", "7" },
		{ "2.50", "2.5" },
		{ "2.0", "2.0" },
		{ "9223372036854775807", "9223372036854775807" },
		{ "9223372036854775808", "9.223372036854776e+18" },
		{ "'a b'", "\"a b\"" },
		{ "\"it's\"", "\"it's\"" },
		{ "''", "\"\"" },
		{ "'5'", "\"5\"" },
		{ "True", "\"True\"" },
		{ "abc", "\"abc\"" },
		{ "_a.", "\"_a.\"" },
		{ "a.b.c", "\"a.b.c\"" }, /* two points: no variable */
		{ "(((7)))", "7" },
		{ " \t7\n", "7" },
		{ "max", "\"max\"" },
	};

	check(rows, COUNT(rows));
}

static void variables_are_what_they_look_like(void **state)
{
	static const struct row rows[] = {
		{ "stats.free_capacity_gb", "50" },
		{ "stats.total_capacity_gb", "100.5" },
		{ "stats.vendor_name", "\"Acme\"" },
		{ "capabilities.thin", "1" },
		{ "capabilities.thick", "0" },
		{ "capabilities.iops", "5000" },
		{ "capabilities.ratio", "1.5" },
		{ "capabilities.quoted", "\"it's\"" },
		{ "capabilities.word", "\"12 apples\"" },
		{ "capabilities.infinite", "\"inf\"" },
		{ "volume.size", "7" },
		{ "volume.name", "\"db\"" },
		{ "extra.tier == 'gold'", "true" },
		{ "extra.tier == gold", "true" },
		{ "qos.maxIOPS + 1", "101" },
		{ "stats.nosuch", "column 1: there is no stats.nosuch" },
		{ "1 + stats.note", "column 5: stats.note is null" },
		{ "capabilities.list", "column 1: capabilities.list is a list" },
		{ "capabilities.map", "column 1: capabilities.map is a map" },
		{ "state.free",
			"column 1: there is no 'state': variables are stats.…, capabilities.…, volume.…, extra.… and qos.…" },
		{ "stats.raid10", "column 11: expected an operator, found '10'" },
	};

	check(rows, COUNT(rows));
}

static void arithmetic(void **state)
{
	static const struct row rows[] = {
		{ "1 + 2 * 3", "7" },
		{ "(1 + 2) * 3", "9" },
		{ "7 - 2 - 1", "4" },
		{ "1.5 + 1.5", "3.0" },
		{ "9/2", "4.5" },
		{ "8/4", "2.0" },
		{ "8/4/2", "1.0" },
		{ "2 * 3 / 4", "1.5" },
		{ "-3^2", "-9" },
		{ "(-3)^2", "9" },
		{ "2^2^3", "256" },
		{ "2^(-1)", "0.5" },
		{ "2^0.5", "1.4142135623730951" },
		{ "0^0", "1" },
		{ "2^62", "4611686018427387904" },
		{ "2^63", "9.223372036854776e+18" },
		{ "(-2)^63", "-9223372036854775808" },
		{ "9223372036854775807 + 1", "9.223372036854776e+18" },
		{ "9223372036854775807 * 2", "1.8446744073709552e+19" },
		{ "-(-9223372036854775807 - 1)", "9.223372036854776e+18" },
		{ "+5", "5" },
		{ "- - 5", "5" },
		{ "-+-+5", "5" },
		{ "2 * -3", "-6" },
		{ "2 - -3", "5" },
		{ "(1 < 2) + 1", "2" },
		{ "abs(-2)", "2" },
		{ "abs(2 - 4.5)", "2.5" },
		{ "abs(-2)^2", "4" },
		{ "max(1, 2.5, 2)", "2.5" },
		{ "min (3, 1 + 1)", "2" },
		{ "max(5)", "5" },
		{ "max(a, b)", "\"b\"" },
		{ "max(min(1, 2), abs(-3))", "3" },
		{ "max(1, 1.0)", "1" },
		{ "capabilities.iops / 100", "50.0" },
		{ "1/0", "column 2: division by zero" },
		{ "1/(2 - 2.0)", "column 2: division by zero" },
		{ "0^(-1)", "column 2: division by zero" },
		{ "(-8)^0.5", "column 5: the result is no real number" },
		{ "10^400", "column 3: the result is too large" },
		{ "'a' + 1", "column 5: '+' wants a number, not 'a'" },
		{ "-abc", "column 1: '-' wants a number, not 'abc'" },
		{ "abs(x)", "column 1: 'abs' wants a number, not 'x'" },
		{ "max(1, x)", "column 1: cannot compare a number with the text 'x'" },
	};

	check(rows, COUNT(rows));
}

static void comparisons(void **state)
{
	static const struct row rows[] = {
		{ "3 < 5", "true" }, { "5 < 3", "false" }, { "3 <= 3", "true" },
		{ "4 > 3.5", "true" }, { "3 >= 4", "false" }, { "3 == 3.0", "true" },
		{ "3 != 3", "false" }, { "3 <> 4", "true" }, { "3 < 5 < 9", "true" },
		{ "3 < 5 < 4", "false" }, { "5 < 3 < 9", "false" }, { "1 < 2 < 3 < 4", "true" },
		{ "1 < 2 == 2 >= 2", "true" }, { "(3 < 5) < 9", "true" },
		{ "'abc' < 'abd'", "true" }, { "abc == 'abc'", "true" },
		{ "'5' == 5", "false" }, /* a text and a number are never equal, */
		{ "'5' != 5", "true" }, { "9223372036854775807 > 9223372036854775806", "true" },
		{ "3 < abc",
			"column 3: cannot compare a number with the text 'abc'" }, /* and have no order */
	};

	check(rows, COUNT(rows));
}

static void logic(void **state)
{
	static const struct row rows[] = {
		{ "not 3 == 4", "false" }, /* negation binds tighter */
		{ "not (3 == 4)", "true" },
		{ "!0", "true" },
		{ "NOT 1 - 1", "true" },
		{ "not not 5", "true" },
		{ "not not not 5", "false" },
		{ "not ''", "true" },
		{ "not False", "false" }, /* a text that is not empty */
		{ "3 == not 4", "false" },
		{ "4 and 6", "6" },
		{ "0 and 6", "0" },
		{ "4 or 6", "4" },
		{ "0 or 6", "6" },
		{ "0 or ''", "\"\"" },
		{ "1 && 2 || 0", "2" },
		{ "0 AND 1 OR 3", "3" },
		{ "1 or 0 and 0", "1" },
		{ "1 < 2 and 2 < 3", "true" },
		{ "True and 5", "5" },
		{ "1 or 1/0", "column 7: division by zero" }, /* both sides are evaluated */
		{ "0 and stats.nosuch", "column 7: there is no stats.nosuch" },
		{ "1 ? 2 : 3", "2" },
		{ "0 ? 2 : 3", "3" },
		{ "volume.size > 5 ? 'big' : 'small'", "\"big\"" },
		{ "1 ? 2 : 1/0", "2" }, /* a condition can guard a division */
		{ "0 ? 1/0 : 3", "3" },
		{ "1 ? (0 ? 1 : 2) : 3", "2" },
		{ "1 ? 2 : 3 and 4", "4" }, /* tighter than and */
		{ "0 and 1 ? 2 : 3", "0" },
		{ "0 ? 5 : 6 or 0", "6" },
	};

	check(rows, COUNT(rows));
}

static void what_is_wrong_is_told_with_its_place(void **state)
{
	static const struct row rows[] = {
		{ "", "column 1: expected a value, found the end" },
		{ "1 +", "column 4: expected a value, found the end" },
		{ "1 + )", "column 5: expected a value, found ')'" },
		{ "(1", "column 3: expected an operator or ')', found the end" },
		{ "max(1; 2)", "column 6: expected ',' or ')', found ';'" },
		{ "max(", "column 5: expected a value, found the end" },
		{ "1 2", "column 3: expected an operator, found '2'" },
		{ "a = b", "column 3: expected an operator, found '='" },
		{ "1 + 'abc", "column 5: the text that begins here has no closing '" },
		{ "2^-1", "column 3: a signed exponent stands in parentheses" },
		{ ".5", "column 1: a number has a digit on both sides of its point" },
		{ "5.", "column 2: a number has a digit on both sides of its point" },
		{ "1.2.3", "column 4: a number has a digit on both sides of its point" },
		{ "1, 2", "column 2: a list stands only in abs, min or max" },
		{ "(1, 2)", "column 3: a list stands only in abs, min or max" },
		{ "abs(1, 2)", "column 6: abs takes one value" },
		{ "1 + not 2", "column 5: expected a value, found 'not'" },
		{ "1 ? 2", "column 6: expected an operator or ':', found the end" },
		{ "1 ? 2 : 3 ? 4 : 5",
			"column 11: expected parentheses around a '?' within another, found '?'" },
		{ "1 ? 2 ? 3 : 4 : 5",
			"column 7: expected parentheses around a '?' within another, found '?'" },
		{ "5 % 3", "column 3: expected an operator, found '%'" },
		{ "'ä' + é", "column 7: expected a value, found 'é'" }, /* columns are characters */
	};

	check(rows, COUNT(rows));
}

static char *repeated(const char *before, size_t n, const char *after)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < n; i++)
		buf_adds(&b, before);
	buf_adds(&b, "1");
	for (size_t i = 0; i < n; i++)
		buf_adds(&b, after);
	return buf_detach(&b);
}

static void check_repeated(const char *before, size_t n, const char *after, const char *want)
{
	char *text = repeated(before, n, after), *got = evaluated(text);

	if (!strstr(got, want))
		fail_msg("%s…1…%s is %s, not %s", before, after, got, want);
	free(text);
	free(got);
}

static void depth_and_length_are_bounded(void **state)
{
	check_repeated("(", 50, ")", "1");
	check_repeated("(", 51, ")", "nested more than 50 levels deep");
	check_repeated("(", 30000, ")", "nested more than 50 levels deep");
	check_repeated("2^", 51, "", "nested more than 50 levels deep");
	check_repeated("max(1,", 51, ")", "nested more than 50 levels deep");
	check_repeated("1 + (", 50, ")", "51");
	check_repeated("0 or (0 and (1 < 1 + 2 * (", 60, ")))", "nested more than 50 levels deep");
	check_repeated("-", 20000, "", "1");
	check_repeated("! ", 20001, "", "false");
	check_repeated("1 + ", 16000, "", "16001");
	check_repeated("0 or ", 13000, "", "1");
	check_repeated("1 < ", 10000, "", "false");
	check_repeated("1 + ", 20000, "", "it is longer than 65536 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(variables_are_what_they_look_like),
		cmocka_unit_test(arithmetic),
		cmocka_unit_test(comparisons),
		cmocka_unit_test(logic),
		cmocka_unit_test(what_is_wrong_is_told_with_its_place),
		cmocka_unit_test(depth_and_length_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
