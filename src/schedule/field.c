/* The members of an object, by a table: who they are, of what type, and where they go. */
#include "base/text.h"
#include "schedule/internal.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* GiB. Far above every storage, far below where a double's digits end. */
#define MOST 1e15

int take_text(const json_t *v, void *to, struct err *err)
{
	const char *text = json_string_value(v);

	if (!text)
		return err_set(err, -EINVAL, "must be text");
	*(const char **)to = text;
	return 0;
}

int take_bool(const json_t *v, void *to, struct err *err)
{
	if (!json_is_boolean(v))
		return err_set(err, -EINVAL, "must be true or false");
	*(bool *)to = json_is_true(v);
	return 0;
}

int take_number(const json_t *v, double min, double max, double *ret, struct err *err)
{
	double number = json_number_value(v);

	if (!json_is_number(v))
		return err_set(err, -EINVAL, "must be a number");
	if (min == 0 && number < 0)
		return err_set(err, -EINVAL, "must not be negative");
	if (!(number >= min && number <= max))
		return err_set(err, -EINVAL, "must be %.10g to %.10g", min, max);
	*ret = number;
	return 0;
}

int take_size(const json_t *v, void *to, struct err *err)
{
	return take_number(v, 0, MOST, to, err);
}

int take_count(const json_t *v, void *to, struct err *err)
{
	double number;
	int r = take_number(v, 0, MOST, &number, err);

	if (r < 0)
		return r;
	if (number != floor(number))
		return err_set(err, -EINVAL, "must be a whole number");
	*(uint64_t *)to = (uint64_t)number;
	return 0;
}

int take_object(const json_t *v, void *to, struct err *err)
{
	if (!json_is_object(v))
		return err_set(err, -EINVAL, "must be an object: { … }");
	*(const json_t **)to = v;
	return 0;
}

int take_array(const json_t *v, void *to, struct err *err)
{
	if (!json_is_array(v))
		return err_set(err, -EINVAL, "must be a list: [ … ]");
	*(const json_t **)to = v;
	return 0;
}

int take_any(const json_t *v, void *to, struct err *err)
{
	*(const json_t **)to = v;
	return 0;
}

/* The field that was probably meant. */
static const char *near(const char *name, const struct field *fields, size_t count)
{
	size_t best = 4, len = strlen(name);
	const char *found = NULL;

	for (size_t i = 0; i < count; i++) {
		size_t n = text_edits(name, fields[i].name);

		if (n < best && n < len) {
			best = n;
			found = fields[i].name;
		}
	}
	return found;
}

static int unknown(const char *name, const struct field *fields, size_t count, struct err *err)
{
	const char *other = near(name, fields, count);
	char shown[TEXT_SHOWN_MAX];

	return err_set(err, -EINVAL, "unknown key '%s'%s%s%s", text_shown(name, shown),
		other ? "; did you mean '" : "", other ? other : "", other ? "'?" : "");
}

static int read_one(const char *name, const json_t *v, const struct field *fields, size_t count,
	void *to, struct err *err)
{
	size_t i = 0;
	int r;

	while (i < count && strcmp(fields[i].name, name) != 0)
		i++;
	if (i == count)
		return unknown(name, fields, count, err);
	if (json_is_null(v) && !fields[i].null_too)
		return 0;
	r = fields[i].take(v, (char *)to + fields[i].offset, err);
	return r < 0 ? err_in(err, "%s", name) : 0;
}

int fields_read(
	const json_t *object, const struct field *fields, size_t count, void *to, struct err *err)
{
	json_t *map = (json_t *)(uintptr_t)object; /* iterators of jansson know no const */
	const char *name;
	json_t *v;

	if (!json_is_object(object))
		return err_set(err, -EINVAL, "must be an object: { … }");
	json_object_foreach(map, name, v)
	{
		int r = read_one(name, v, fields, count, to, err);

		if (r < 0)
			return r;
	}
	return 0;
}
