/* What names, keys and values of volume types may be (reference, 1.9, 5.9, 7.6, 7.8). */
#include "type.h"

#include "base/text.h"
#include "spec.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int type_name_check(const char *name, struct err *err)
{
	return strcmp(name, "new") == 0 ? 0 : spec_name_check(name, NULL, err);
}

int type_key_check(const char *key, struct err *err)
{
	char shown[TEXT_SHOWN_MAX];

	for (const char *p = key; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_:.", *p))
			return err_set(err, -EINVAL,
				"the key '%s' has more than letters, digits and - _ : . in it",
				text_shown(key, shown));
	if (!*key || *key == '.' || strlen(key) > NAME_LEN)
		return err_set(err, -EINVAL, "a key has 1 to 255 bytes, and no '.' at its start");
	return 0;
}

static bool is_bound(const char *key)
{
	return !strcmp(key, TYPE_MIN_SIZE) || !strcmp(key, TYPE_MAX_SIZE);
}

int type_spec_check(const char *key, const char *value, struct err *err)
{
	uint64_t size;
	int r = type_key_check(key, err);

	r = r < 0 ? r : spec_value_check(value, strlen(value), err);
	return r == 0 && *value && is_bound(key) ? text_size(value, &size, err) : r;
}

/* total_iops_sec, read_bytes_sec_max, … */
bool type_qos_is_limit(const char *key)
{
	static const char *const whose[] = { "total_", "read_", "write_" };
	static const char *const what[] = { "iops_sec", "bytes_sec", "iops_sec_max",
		"bytes_sec_max" };

	for (size_t i = 0; i < sizeof whose / sizeof whose[0]; i++)
		for (size_t k = 0; k < sizeof what / sizeof what[0]; k++)
			if (!strncmp(key, whose[i], strlen(whose[i])) &&
				!strcmp(key + strlen(whose[i]), what[k]))
				return true;
	return false;
}

int type_qos_check(const char *key, const char *value, struct err *err)
{
	int r = type_key_check(key, err);

	r = r < 0 ? r : spec_value_check(value, strlen(value), err);
	if (r == 0 && type_qos_is_limit(key) &&
		(value[strspn(value, "0123456789")] || strlen(value) > 18))
		return err_set(err, -EINVAL, "%s takes a whole number", key);
	return r;
}

int type_pair_check(enum type_list list, const char *pair, struct err *err)
{
	const char *value = strchr(pair, '=');
	enum qos_consumer consumer;
	char key[NAME_LEN + 2], shown[TEXT_SHOWN_MAX];

	if (!value || value - pair > NAME_LEN)
		return err_set(
			err, -EINVAL, "must be \"key=value\", not '%s'", text_shown(pair, shown));
	(void)snprintf(key, sizeof key, "%.*s", (int)(value - pair), pair);
	if (list == TYPE_EXTRA_SPECS)
		return type_spec_check(key, value + 1, err);
	if (strcmp(key, "consumer") != 0)
		return type_qos_check(key, value + 1, err);
	if (type_consumer_find(value + 1, &consumer) < 0)
		return err_set(err, -EINVAL, TYPE_CONSUMER_WORDS);
	return 0;
}

int type_pair_fits(const char *key, const char *value, const char *other, const char *other_value,
	struct err *err)
{
	static const char yes[] = "<is> True";
	bool is_min = !strcmp(key, TYPE_MIN_SIZE);
	uint64_t a, b;

	if (is_bound(key) && is_bound(other) && strcmp(key, other) != 0 &&
		text_size(value, &a, err) == 0 && text_size(other_value, &b, err) == 0 &&
		(is_min ? a > b : a < b))
		return err_set(err, -EINVAL, "%s is %s: no size would do", other, other_value);
	if (((!strcmp(key, "multiattach") && !strcmp(other, "cacheable")) ||
		    (!strcmp(key, "cacheable") && !strcmp(other, "multiattach"))) &&
		!strcmp(value, yes) && !strcmp(other_value, yes))
		return err_set(err, -EINVAL, "%s and %s exclude each other", key, other);
	return 0;
}

int type_consumer_find(const char *word, enum qos_consumer *ret)
{
	static const struct {
		const char *word;
		enum qos_consumer is;
	} words[] = {
		{ "back-end", QOS_BACK_END },
		{ "back", QOS_BACK_END },
		{ "front-end", QOS_FRONT_END },
		{ "front", QOS_FRONT_END },
		{ "both", QOS_BOTH },
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (!strcmp(word, words[i].word)) {
			*ret = words[i].is;
			return 0;
		}
	return -ENOENT;
}
