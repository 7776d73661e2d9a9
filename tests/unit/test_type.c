/* What names, keys and values of volume types may be: a table for each check. */
#include "type.h"
#include "unit.h"

#include <errno.h>
#include <string.h>

#define FIFTY  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG   FIFTY FIFTY FIFTY FIFTY FIFTY "aaaaa" /* 255 bytes */
#define WHOLE  "a whole number, with K, M, G, T, P or B after it or nothing (GiB)"
#define DOMAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:."

/* The sentence begins with `sentence`, or there is none. */
static void same(const char *what, int code, const struct err *err, int want, const char *sentence)
{
	if (code != want)
		fail_msg("'%s': %d, not %d: %s", what, code, want, err->text);
	if (code == 0)
		return;
	assert_int_equal(err->code, code);
	if (strncmp(err->text, sentence, strlen(sentence)) != 0)
		fail_msg("'%s' was answered: %s", what, err->text);
}

static void names(void **state)
{
	static const struct {
		const char *name;
		int code;
		const char *sentence;
	} cases[] = {
		{ "fast", 0, "" },
		{ "new", 0, "" },
		{ "default", 0, "" },
		{ "a", 0, "" },
		{ LONG, 0, "" },
		{ LONG "a", -ENAMETOOLONG, "" },
		{ "", -EINVAL, "" },
		{ ".fast", -EINVAL, "" },
		{ "-fast", -EINVAL, "" },
		{ "a/b", -EINVAL, "" },
		{ "a\nb", -EINVAL, "" },
		{ "a\xff", -EINVAL, "a name must be UTF-8" },
		{ "schnell-ä", 0, "" },
		{ "00000000-0000-4000-8000-000000000000", -EINVAL, "name '00000000-" },
		{ "00000000-0000-4000-8000-00000000000", 0, "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err err = { 0 };

		same(cases[i].name, type_name_check(cases[i].name, &err), &err, cases[i].code,
			cases[i].sentence);
	}
}

static void keys(void **state)
{
	static const char length[] = "a key has 1 to 255 bytes, and no '.' at its start";
	static const struct {
		const char *key;
		int code;
		const char *sentence;
	} cases[] = {
		{ DOMAIN, 0, "" },
		{ "provisioning:min_vol_size", 0, "" },
		{ "-", 0, "" },
		{ ":", 0, "" },
		{ "..", -EINVAL, length },
		{ ".hidden", -EINVAL, length },
		{ "", -EINVAL, length },
		{ LONG, 0, "" },
		{ LONG "a", -EINVAL, length },
		{ "a b", -EINVAL, "the key 'a b' has more than letters, digits and - _ : . in it" },
		{ "a/b", -EINVAL, "the key 'a/b' has more" },
		{ "a=b", -EINVAL, "the key 'a=b' has more" },
		{ "ä", -EINVAL, "the key 'ä' has more" },
		{ "a\nb", -EINVAL, "the key '" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err err = { 0 };

		same(cases[i].key, type_key_check(cases[i].key, &err), &err, cases[i].code,
			cases[i].sentence);
	}
}

static void extra_specs(void **state)
{
	static const struct {
		const char *key, *value;
		int code;
		const char *sentence;
	} cases[] = {
		{ "volume_backend_name", "ssd", 0, "" },
		{ "a", "", 0, "" },
		{ "a", "<is> True", 0, "" },
		{ "a", LONG, 0, "" },
		{ "a", LONG "a", -EINVAL, "the value is 256 bytes long; at most 255 are possible" },
		{ "a", "b\nc", -EINVAL, "the value must be UTF-8" },
		{ "a b", "c", -EINVAL, "the key 'a b'" },
		{ TYPE_MIN_SIZE, "", 0, "" },
		{ TYPE_MIN_SIZE, "10", 0, "" },
		{ TYPE_MIN_SIZE, "512M", 0, "" },
		{ TYPE_MIN_SIZE, "0", 0, "" },
		{ TYPE_MAX_SIZE, "2T", 0, "" },
		{ TYPE_MAX_SIZE, "much", -EINVAL, "size 'much' is not " WHOLE },
		{ TYPE_MAX_SIZE, "1.5T", -EINVAL, "size '1.5T' is not " WHOLE },
		{ TYPE_MIN_SIZE, "-1", -EINVAL, "size '-1' is not " WHOLE },
		{ TYPE_MIN_SIZE, "9000000000G", -EINVAL, "size '9000000000G' is too large" },
		{ "min_vol_size", "much", 0, "" },
		{ TYPE_ZONES, "a, b,,c", 0, "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err err = { 0 };

		same(cases[i].value, type_spec_check(cases[i].key, cases[i].value, &err), &err,
			cases[i].code, cases[i].sentence);
	}
}

static void qos_specs(void **state)
{
	static const struct {
		const char *key, *value;
		int code;
		const char *sentence;
	} cases[] = {
		{ "total_iops_sec", "1000", 0, "" },
		{ "total_iops_sec", "0", 0, "" },
		{ "total_iops_sec", "", 0, "" },
		{ "read_bytes_sec_max", "999999999999999999", 0, "" },
		{ "read_bytes_sec_max", "1000000000000000000", -EINVAL,
			"read_bytes_sec_max takes a whole number" },
		{ "write_iops_sec", "-1", -EINVAL, "write_iops_sec takes a whole number" },
		{ "write_iops_sec", "1.5", -EINVAL, "write_iops_sec takes a whole number" },
		{ "write_iops_sec_max", "1 ", -EINVAL, "write_iops_sec_max takes a whole number" },
		{ "total_bytes_sec", "10M", -EINVAL, "total_bytes_sec takes a whole number" },
		{ "read_iops_sec_per_gb", "0.5", 0, "" },
		{ "iops_sec", "many", 0, "" },
		{ "my_total_iops_sec", "many", 0, "" },
		{ "a", LONG "a", -EINVAL, "the value is 256 bytes long" },
		{ "a=", "b", -EINVAL, "the key 'a='" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err err = { 0 };

		same(cases[i].key, type_qos_check(cases[i].key, cases[i].value, &err), &err,
			cases[i].code, cases[i].sentence);
	}
}

static void pairs(void **state)
{
	static const struct {
		enum type_list list;
		const char *pair;
		int code;
		const char *sentence;
	} cases[] = {
		{ TYPE_EXTRA_SPECS, "a=b", 0, "" },
		{ TYPE_EXTRA_SPECS, "a=", 0, "" },
		{ TYPE_EXTRA_SPECS, "a=s== b", 0, "" },
		{ TYPE_EXTRA_SPECS, "a", -EINVAL, "must be \"key=value\", not 'a'" },
		{ TYPE_EXTRA_SPECS, "", -EINVAL, "must be \"key=value\", not ''" },
		{ TYPE_EXTRA_SPECS, "=b", -EINVAL, "a key has 1 to 255 bytes" },
		{ TYPE_EXTRA_SPECS, "a b=c", -EINVAL, "the key 'a b'" },
		{ TYPE_EXTRA_SPECS, LONG "=c", 0, "" },
		{ TYPE_EXTRA_SPECS, LONG "a=c", -EINVAL, "must be \"key=value\", not 'aaa" },
		{ TYPE_EXTRA_SPECS, TYPE_MAX_SIZE "=x", -EINVAL, "size 'x' is not" },
		{ TYPE_EXTRA_SPECS, "total_iops_sec=x", 0, "" },
		{ TYPE_EXTRA_SPECS, "consumer=x", 0, "" },
		{ TYPE_QOS, "total_iops_sec=5", 0, "" },
		{ TYPE_QOS, "total_iops_sec=x", -EINVAL, "total_iops_sec takes a whole number" },
		{ TYPE_QOS, "consumer=back-end", 0, "" },
		{ TYPE_QOS, "consumer=both", 0, "" },
		{ TYPE_QOS, "consumer=x", -EINVAL, "consumer takes back-end, front-end or both" },
		{ TYPE_QOS, "consumer=", -EINVAL, "consumer takes back-end, front-end or both" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err err = { 0 };

		same(cases[i].pair, type_pair_check(cases[i].list, cases[i].pair, &err), &err,
			cases[i].code, cases[i].sentence);
	}
}

static void pairs_of_one_type(void **state)
{
	static const char exclude[] = "multiattach and cacheable exclude each other";
	static const struct {
		const char *key, *value, *other, *other_value;
		int code;
		const char *sentence;
	} cases[] = {
		{ TYPE_MIN_SIZE, "2G", TYPE_MAX_SIZE, "1G", -EINVAL,
			TYPE_MAX_SIZE " is 1G: no size would do" },
		{ TYPE_MAX_SIZE, "1G", TYPE_MIN_SIZE, "2", -EINVAL,
			TYPE_MIN_SIZE " is 2: no size would do" },
		{ TYPE_MIN_SIZE, "1G", TYPE_MAX_SIZE, "1", 0, "" },
		{ TYPE_MAX_SIZE, "1G", TYPE_MIN_SIZE, "1024M", 0, "" },
		{ TYPE_MIN_SIZE, "", TYPE_MAX_SIZE, "1G", 0, "" },
		{ TYPE_MAX_SIZE, "1G", TYPE_MIN_SIZE, "", 0, "" },
		{ TYPE_MIN_SIZE, "2G", TYPE_MIN_SIZE, "1G", 0, "" },
		{ TYPE_MIN_SIZE, "2G", "a", "1G", 0, "" },
		{ "multiattach", "<is> True", "cacheable", "<is> True", -EINVAL, exclude },
		{ "cacheable", "<is> True", "multiattach", "<is> True", -EINVAL,
			"cacheable and multiattach exclude each other" },
		{ "multiattach", "<is> true", "cacheable", "<is> True", 0, "" },
		{ "multiattach", "<is> True", "cacheable", "<is> False", 0, "" },
		{ "multiattach", "<is> True", "multiattach", "<is> True", 0, "" },
		{ "multiattach", "", "cacheable", "<is> True", 0, "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err err = { 0 };

		same(cases[i].key,
			type_pair_fits(cases[i].key, cases[i].value, cases[i].other,
				cases[i].other_value, &err),
			&err, cases[i].code, cases[i].sentence);
	}
}

static void consumers(void **state)
{
	static const struct {
		const char *word;
		enum qos_consumer is;
	} good[] = {
		{ "back-end", QOS_BACK_END },
		{ "back", QOS_BACK_END },
		{ "front-end", QOS_FRONT_END },
		{ "front", QOS_FRONT_END },
		{ "both", QOS_BOTH },
	};
	static const char *const bad[] = { "", "Both", "back end", "back-end ", "none" };
	enum qos_consumer c;

	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(type_consumer_find(good[i].word, &c), 0);
		assert_int_equal(c, good[i].is);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(type_consumer_find(bad[i], &c), -ENOENT);
	for (c = 0; c < QOS_CONSUMER_COUNT; c++) {
		enum qos_consumer same_;

		assert_int_equal(type_consumer_find(qos_consumer_name(c), &same_), 0);
		assert_int_equal(same_, c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(keys),
		cmocka_unit_test(extra_specs),
		cmocka_unit_test(qos_specs),
		cmocka_unit_test(pairs),
		cmocka_unit_test(pairs_of_one_type),
		cmocka_unit_test(consumers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
