#include "base/text.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

static void sizes_are_read(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "10", 10 * GIB },
		{ "0", 0 },
		{ "010", 10 * GIB },
		{ "1G", GIB },
		{ "1g", GIB },
		{ "1GB", GIB },
		{ "1GiB", GIB },
		{ "1gib", GIB },
		{ "512M", 512 * MIB },
		{ "3K", 3 * KIB },
		{ "3kB", 3 * KIB },
		{ "2T", 2 * TIB },
		{ "1P", 1024 * TIB },
		{ "1048577B", 1048577 },
		{ "7b", 7 },
		{ "8191P", 8191 * 1024 * TIB },
		{ "9223372036854775807B", INT64_MAX },
	};

	for (size_t i = 0; i < COUNT(good); i++) {
		uint64_t bytes = 99;

		assert_int_equal(text_size(good[i].text, &bytes, NULL), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
}

static void bad_sizes_are_refused(void **state)
{
	static const char *const bad[] = { "", "G", "-1", "+1", "1e3", "1.5", "1,5", " 1", "1 ",
		"1 G", "0x10", "1GiBs", "1Gi", "1BB", "1iB", "1E", "1KK", "99999999T", "8192P",
		"9223372036854775808B", "18446744073709551616", "99999999999999999999999999999",
		"\xff", "1\n", "ten", "1G1", "\xd9\xa1" };

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct err err = { 0 };
		uint64_t bytes = 99;

		if (text_size(bad[i], &bytes, &err) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
		assert_int_equal(err.code, -EINVAL);
		assert_true(text_is_plain(err.text, strlen(err.text)));
		assert_int_equal(bytes, 99);
	}
}

static void volume_sizes_have_bounds(void **state)
{
	uint64_t bytes;

	assert_int_equal(text_volume_size("1M", &bytes, NULL), 0);
	assert_int_equal(text_volume_size("1049088B", &bytes, NULL), 0);
	assert_int_equal(bytes, MIB + 512);
	assert_int_equal(text_volume_size("1023K", &bytes, NULL), -EINVAL);
	assert_int_equal(text_volume_size("0", &bytes, NULL), -EINVAL);
	assert_int_equal(text_volume_size("1048577B", &bytes, NULL), -EINVAL);
}

static void sizes_are_shown_by_their_largest_unit(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} row[] = {
		{ 0, "0B" },
		{ 1, "1B" },
		{ KIB, "1K" },
		{ 1536 * MIB, "1536M" },
		{ 10 * GIB, "10G" },
		{ 1024 * GIB, "1T" },
		{ 1048577, "1048577B" },
		{ 1024 * TIB, "1P" },
		{ UINT64_MAX, "18446744073709551615B" },
	};

	for (size_t i = 0; i < COUNT(row); i++) {
		char text[TEXT_SIZE_MAX];
		uint64_t back;

		assert_string_equal(text_of_size(row[i].bytes, text), row[i].text);
		if (row[i].bytes <= INT64_MAX) {
			assert_int_equal(text_size(text, &back, NULL), 0);
			assert_int_equal(back, row[i].bytes);
		}
	}
}

static void plain_text_is_utf8_without_controls(void **state)
{
	assert_true(text_is_plain("", 0));
	assert_true(text_is_plain("d\xc3\xa9j\xc3\xa0 \xe2\x82\xac \xf0\x9f\x90\x98", 15));
	assert_true(text_is_plain("\xc2\xa0", 2));
	assert_false(text_is_plain("a\tb", 3));
	assert_false(text_is_plain("a\0b", 3));
	assert_false(text_is_plain("\x7f", 1));
	assert_false(text_is_plain("\xc2\x85", 2));
	assert_false(text_is_plain("\xc2", 1));
	assert_false(text_is_plain("\xff\xfe", 2));
	assert_false(text_is_plain("\xc0\xaf", 2));	    /* '/' in two bytes */
	assert_false(text_is_plain("\xed\xa0\x80", 3));	    /* a surrogate */
	assert_false(text_is_plain("\xf4\x90\x80\x80", 4)); /* beyond U+10FFFF */
}

static void uuids_are_known(void **state)
{
	assert_true(text_is_uuid("0f3e7a52-6d1c-4f0e-9a3b-2c5d7e8f9a0b"));
	assert_true(text_is_uuid("0F3E7A52-6D1C-4F0E-9A3B-2C5D7E8F9A0B"));
	assert_false(text_is_uuid(""));
	assert_false(text_is_uuid("0f3e7a52-6d1c-4f0e-9a3b-2c5d7e8f9a0"));
	assert_false(text_is_uuid("0f3e7a52-6d1c-4f0e-9a3b-2c5d7e8f9a0b1"));
	assert_false(text_is_uuid("0f3e7a52x6d1c-4f0e-9a3b-2c5d7e8f9a0b"));
	assert_false(text_is_uuid("0f3e7a526d1c4f0e9a3b2c5d7e8f9a0b"));
}

static void uuids_are_found_in_names(void **state)
{
	static const struct {
		const char *name;
		bool is;
	} cases[] = {
		{ "volume-0f3e7a52-6d1c-4f0e-9a3b-2c5d7e8f9a0b.snap", true },
		{ "volume-0f3e7a52-6d1c-4f0e-9a3b-2c5d7e8f9a0b", false },
		{ "volume-0f3e7a52-6d1c-4f0e-9a3b-2c5d7e8f9a0b.snap2", false },
		{ "Volume-0f3e7a52-6d1c-4f0e-9a3b-2c5d7e8f9a0b.snap", false },
		{ "volume-0F3E7A52-6D1C-4F0E-9A3B-2C5D7E8F9A0B.snap",
			false }, /* not as we write it */
		{ "volume-0f3e7a52-6d1c-4f0e-9a3b-2c5d7e8f9a0x.snap", false },
		{ "volume-.snap", false },
		{ "vol", false },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char uuid[37] = "x";

		assert_int_equal(
			text_uuid_within(cases[i].name, "volume-", ".snap", uuid), cases[i].is);
		assert_string_equal(
			uuid, cases[i].is ? "0f3e7a52-6d1c-4f0e-9a3b-2c5d7e8f9a0b" : "");
	}
}

static void words_are_quoted_only_where_they_must_be(void **state)
{
	static const struct {
		const char *text, *word;
	} row[] = {
		{ "db", "db" },
		{ "a=b", "'a=b'" },
		{ "", "''" },
		{ "two words", "'two words'" },
		{ "it's", "'it'\\''s'" },
		{ "#x", "'#x'" },
		{ "a/b:c@d%e+f,g._-", "a/b:c@d%e+f,g._-" },
		{ "$x", "'$x'" },
		{ "\xc3\xa9", "'\xc3\xa9'" },
		{ "\\", "'\\'" },
	};

	for (size_t i = 0; i < COUNT(row); i++) {
		struct buf b = { 0 };

		text_quote(&b, row[i].text);
		assert_string_equal(buf_text(&b), row[i].word);
		buf_release(&b);
	}
}

static void strings_of_json_are_valid(void **state)
{
	static const struct {
		const char *text, *string;
	} row[] = {
		{ "", "\"\"" },
		{ "db", "\"db\"" },
		{ "say \"x\" \\ /", "\"say \\\"x\\\" \\\\ /\"" },
		{ "a\tb\nc\x01\x1f", "\"a\\u0009b\\u000ac\\u0001\\u001f\"" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
			"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		{ "\xff\xc3", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xc0\xafx", "\"\xef\xbf\xbd\xef\xbf\xbdx\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
	};

	for (size_t i = 0; i < COUNT(row); i++) {
		struct buf b = { 0 };

		text_json(&b, row[i].text);
		assert_string_equal(buf_text(&b), row[i].string);
		buf_release(&b);
	}
}

static void white_space_is_trimmed(void **state)
{
	char text[] = " \t\r\n a b \v\f\n", blank[] = " \n ", empty[] = "";

	assert_string_equal(text_trim(text), "a b");
	assert_string_equal(text_trim(blank), "");
	assert_string_equal(text_trim(empty), "");
}

static void what_is_shown_is_short_and_plain(void **state)
{
	char shown[TEXT_SHOWN_MAX], longer[300];

	assert_string_equal(text_shown("db", shown), "db");
	assert_string_equal(text_shown("a\nb\xff", shown), "a?b?");
	for (size_t n = 0; n + 2 < sizeof longer; n += 2) {
		memcpy(longer + n, "\xc3\xa9", 3);
		text_shown(longer, shown);
		assert_true(strlen(shown) < TEXT_SHOWN_MAX);
		assert_true(text_is_plain(shown, strlen(shown)));
	}
}

static void edits_are_counted(void **state)
{
	char longer[33];

	memset(longer, 'x', 32);
	longer[32] = '\0';
	assert_int_equal(text_edits("size", "size"), 0);
	assert_int_equal(text_edits("sise", "size"), 1);
	assert_int_equal(text_edits("nmae", "name"), 2);
	assert_int_equal(text_edits("", "abc"), 3);
	assert_int_equal(text_edits("sizes", "size"), 1);
	assert_true(text_edits(longer, "size") == SIZE_MAX);
	assert_true(text_edits("size", longer) == SIZE_MAX);
	assert_int_equal(text_edits(longer + 1, longer + 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_read),
		cmocka_unit_test(bad_sizes_are_refused),
		cmocka_unit_test(volume_sizes_have_bounds),
		cmocka_unit_test(sizes_are_shown_by_their_largest_unit),
		cmocka_unit_test(plain_text_is_utf8_without_controls),
		cmocka_unit_test(uuids_are_known),
		cmocka_unit_test(uuids_are_found_in_names),
		cmocka_unit_test(words_are_quoted_only_where_they_must_be),
		cmocka_unit_test(strings_of_json_are_valid),
		cmocka_unit_test(white_space_is_trimmed),
		cmocka_unit_test(what_is_shown_is_short_and_plain),
		cmocka_unit_test(edits_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
