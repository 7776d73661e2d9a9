/* Every operator of extra specs against every kind of capability: the reference, 4.5, CapabilitiesFilter. */
#include "sched/sched.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* capability: JSON; requirement NULL: null */
static bool matches(const char *capability, const char *requirement)
{
	json_t *json = json_loads(capability, JSON_DECODE_ANY, NULL);
	bool is = false;

	assert_non_null(json);
	assert_int_equal(match_json(json, requirement, &is, NULL), 0);
	json_decref(json);
	return is;
}

struct row {
	const char *capability, *requirement;
	bool is;
};

static void check(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (matches(rows[i].capability, rows[i].requirement) != rows[i].is)
			fail_msg("%s against '%s' is not %s", rows[i].capability,
				rows[i].requirement ? rows[i].requirement : "null",
				rows[i].is ? "true" : "false");
	}
}

static void without_an_operator_it_is_this_very_text(void **state)
{
	static const struct row rows[] = {
		{ "\"ssd\"", "ssd", true },
		{ "\"ssd\"", "SSD", false },
		{ "\"ssd\"", "ssd ", false },
		{ "\"a b\"", "a b", true },
		{ "\"\"", "", true },
		{ "\"x\"", "", false },
		{ "true", "true", false }, /* a text is no boolean, and no number */
		{ "true", "True", false },
		{ "7", "7", false },
		{ "\"7\"", "7", true },
		{ "7.5", "7.5", false },
		{ "null", "null", false },
		{ "\"< 5\"", "< 5", true }, /* there is no such operator */
		{ "4", "< 5", false },
		{ "6", "> 5", false },
		{ "\"<all-in> x\"", "<all-in> x", true },
	};

	check(rows, COUNT(rows));
}

static void numbers(void **state)
{
	static const struct row rows[] = {
		{ "7", "= 7", true },
		{ "8", "= 7", true }, /* at least */
		{ "6", "= 7", false },
		{ "\"8\"", "= 7", true },
		{ "7", "== 7", true },
		{ "7.0", "== 7", true },
		{ "\" 7.0 \"", "== 7", true },
		{ "8", "== 7", false },
		{ "8", "!= 7", true },
		{ "7", "!= 7.0", false },
		{ "7", ">= 7", true },
		{ "6.99", ">= 7", false },
		{ "7", "<= 7", true },
		{ "7.01", "<= 7", false },
		{ "-3", "<= -2", true },
		{ "1e3", ">= 999", true },
		{ "true", "== 1", true },
		{ "\"infinite\"", ">= 1", false },
		{ "\"inf\"", ">= 1e300", true },
		{ "\"nan\"", "!= 1", false },
		{ "\"0x10\"", "== 16", false },
		{ "\"\"", ">= 0", false },
		{ "\"many\"", "!= 7", false }, /* no number: no match, also not for != */
		{ "7", "== seven", false },
		{ "7", "==", false },
		{ "7", "== 7 8 9", true }, /* further words mean nothing */
		{ "7", "  ==   7", true },
		{ "null", "!= 7", false },
		{ "{\"a\": 7}", "== 7", false },
	};

	check(rows, COUNT(rows));
}

static void texts(void **state)
{
	static const struct row rows[] = {
		{ "\"b\"", "s== b", true },
		{ "\"b\"", "s== a", false },
		{ "\"b\"", "s!= a", true },
		{ "\"b\"", "s!= b", false },
		{ "\"a\"", "s< b", true },
		{ "\"b\"", "s< b", false },
		{ "\"b\"", "s<= b", true },
		{ "\"c\"", "s<= b", false },
		{ "\"c\"", "s> b", true },
		{ "\"b\"", "s> b", false },
		{ "\"b\"", "s>= b", true },
		{ "\"a\"", "s>= b", false },
		{ "\"10\"", "s< 9", true }, /* by letters */
		{ "\"ab\"", "s> a", true },
		{ "\"a\"", "s< ab", true },
		{ "7", "s== 7", false },
		{ "7", "s!= 7", true }, /* a number differs from every text, */
		{ "7", "s< 8", false }, /* and has no place in their order */
		{ "7", "s>= 1", false },
		{ "null", "s!= a", false },
		{ "\"b\"", "s==", false },
	};

	check(rows, COUNT(rows));
}

static void in_is_and_or(void **state)
{
	static const struct row rows[] = {
		{ "\"aes-xts\"", "<in> xts", true },
		{ "\"aes-xts\"", "<in> cbc", false },
		{ "\"['a', 'b']\"", "<in> b", true },
		{ "true", "<in> t", false },
		{ "7", "<in> 7", false },
		{ "\"x\"", "<in>", false },
		{ "true", "<is> True", true },
		{ "true", "<is> true", true },
		{ "true", "<is> 1", true },
		{ "true", "<is> yes", true },
		{ "true", "<is> Y", true },
		{ "true", "<is> ON", true },
		{ "true", "<is> t", true },
		{ "true", "<is> False", false },
		{ "true", "<is> certainly", false },
		{ "false", "<is> False", true },
		{ "false", "<is> certainly", true }, /* what means nothing is false */
		{ "false", "<is> True", false },
		{ "\"True\"", "<is> true", true },
		{ "\" on \"", "<is> true", true },
		{ "\"t t\"", "<is> true", false },
		{ "1", "<is> True", true },
		{ "2", "<is> True", false },
		{ "0", "<is> no", true },
		{ "null", "<is> False", false },
		{ "true", "<is>", false },
		{ "\"b\"", "<or> a <or> b", true },
		{ "\"c\"", "<or> a <or> b", false },
		{ "\"b\"", "<or> a <or> b <or>", true },
		{ "\"a\"", "<or> a", true },
		{ "\"c\"", "<or> a b <or> c", true },
		{ "\"b\"", "<or> a b <or> c", false },
		{ "\"<or>\"", "<or>", false },
		{ "\"f\"", "<or> a <or> b <or> c <or> d <or> e <or> f <or> g", true },
		{ "\"g\"", "<or> a <or> b <or> c <or> d <or> e <or> f <or> g", true },
		{ "\"d\"", "<or> a <or> b <or> c <or> d <or>", true },
		{ "\"e\"", "<or> a <or> b <or> c <or> d e <or> f", false },
		{ "\"e\"", "<or> a <or> b <or> c <or> d <or> e", true },
		{ "\"ab\"", "<or> a <or> abc", false },
		{ "true", "<or> true <or> True", false },
		{ "7", "<or> 7", false },
	};

	check(rows, COUNT(rows));
}

static void lists_and_nulls(void **state)
{
	static const struct row rows[] = {
		{ "[\"a\", \"b\"]", "b", true },
		{ "[\"a\", \"b\"]", "c", false },
		{ "[1, 2, 3]", ">= 3", true },
		{ "[1, 2, 3]", ">= 4", false },
		{ "[]", "a", false },
		{ "[]", NULL, false },
		{ "[null]", NULL, true },
		{ "[[\"a\"]]", "a", false },
		{ "[{\"a\": 1}]", "a", false },
		{ "null", NULL, true },
		{ "\"\"", NULL, false },
		{ "0", NULL, false },
		{ "{}", NULL, false },
	};

	check(rows, COUNT(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_an_operator_it_is_this_very_text),
		cmocka_unit_test(numbers),
		cmocka_unit_test(texts),
		cmocka_unit_test(in_is_and_or),
		cmocka_unit_test(lists_and_nulls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
