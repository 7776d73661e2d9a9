#include "base/column.h"
#include "unit.h"

static struct buf b;

static int tear_down(void **state)
{
	buf_release(&b);
	return 0;
}

static const char *left(const char *text, unsigned columns)
{
	buf_clear(&b);
	column_left(&b, text, columns);
	return buf_text(&b);
}

static const char *right(const char *text, unsigned columns)
{
	buf_clear(&b);
	column_right(&b, text, columns);
	return buf_text(&b);
}

static const char *bytes(uint64_t n)
{
	buf_clear(&b);
	column_bytes(&b, n, 6);
	return buf_text(&b);
}

static void text_takes_just_its_columns(void **state)
{
	assert_string_equal(left("db", 4), "db  ");
	assert_string_equal(left("", 3), "   ");
	assert_string_equal(left("four", 4), "four");
	assert_string_equal(left("fives", 4), "fiv…");
	assert_string_equal(left("ab", 1), "…");
	assert_string_equal(right("db", 4), "  db");
	assert_string_equal(right("fives", 4), "fiv…");
}

static void width_is_the_terminals(void **state)
{
	assert_string_equal(left("größe", 6), "größe ");
	assert_string_equal(left("größer", 5), "größ…");
	assert_string_equal(left("数据", 5), "数据 "); /* two columns each */
	assert_string_equal(left("数据库", 5), "数据…");
	assert_string_equal(left("数据库", 4), "数… "); /* half of one is none */
	assert_string_equal(left("e\xcc\x81t\xc3\xa9", 4), "e\xcc\x81t\xc3\xa9 ");
	assert_string_equal(left("ete\xcc\x81", 3), "ete\xcc\x81");
	assert_string_equal(right("数", 4), "  数");
	assert_string_equal(left("\xff\xfe", 4), "\xff\xfe  "); /* no text: not ours to mend */
}

static const char *ends(const char *text, unsigned columns)
{
	buf_clear(&b);
	column_ends(&b, text, columns);
	return buf_text(&b);
}

static void both_ends_of_a_name_are_told(void **state)
{
	assert_string_equal(ends("ssd", 8), "ssd     ");
	assert_string_equal(ends("ceph-ssd", 8), "ceph-ssd");
	assert_string_equal(ends("ceph-ssd-1", 8), "ceph…d-1");
	assert_string_equal(ends("ceph-ssd-12", 7), "ceph…12");
	assert_string_equal(ends("数据库数据库", 8), "数据…库 "); /* half of one is none */
	assert_string_equal(ends("数据库数据库", 9), "数据库…库");
	assert_string_equal(ends("größergrößer", 7), "größ…er");
	assert_string_equal(ends("fives", 4), "fi…s");
	assert_string_equal(ends("fives", 2), "f…");
	assert_string_equal(ends("\xff\xff\xff\xff\xff", 4), "\xff\xff…\xff");
}

static void sizes_have_few_digits(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} good[] = {
		{ 0, "    0B" },
		{ 17, "   17B" },
		{ 1023, " 1023B" },
		{ 1024, "  1.0K" },
		{ 1536, "  1.5K" },
		{ 10 * 1024, "   10K" },
		{ 1023 * 1024 + 511, " 1023K" },
		{ 1023 * 1024 + 600, "  1.0M" },
		{ UINT64_C(6) << 40, "  6.0T" },
		{ (UINT64_C(10) << 30) - 1, "   10G" },
		{ INT64_MAX, "  8.0E" },
		{ UINT64_MAX, "   16E" },
	};

	for (size_t i = 0; i < COUNT(good); i++)
		assert_string_equal(bytes(good[i].bytes), good[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(text_takes_just_its_columns, tear_down),
		cmocka_unit_test_teardown(width_is_the_terminals, tear_down),
		cmocka_unit_test_teardown(both_ends_of_a_name_are_told, tear_down),
		cmocka_unit_test_teardown(sizes_have_few_digits, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
