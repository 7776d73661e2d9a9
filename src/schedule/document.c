/*
 * The whole document is read once, to see that it is well-formed and to keep all but the requests; where these stand is
 * kept. So nothing is written of a document that is not well-formed.
 */
#include "base/cleanup.h"
#include "base/text.h"
#include "schedule/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Members. Each takes the value at which the text stands. */

static int in_list(int r, const char *list, size_t i, struct err *err)
{
	return r < 0 ? err_in(err, "%s[%zu]", list, i) : r;
}

static int take_backend(void *to, json_t *element, size_t i, struct err *err)
{
	struct document *d = to;

	return in_list(fleet_add(&d->fleet, element, err), "backends", i, err);
}

static int take_filter(void *to, json_t *element, size_t i, struct err *err)
{
	struct document *d = to;
	const char *name = NULL;
	int r = take_text(element, &name, err);

	if (r == 0 && i == DOCUMENT_NAMES_MAX)
		r = err_set(err, -EINVAL, "more than %d filters", DOCUMENT_NAMES_MAX);
	if (r == 0 && !(d->filter[d->filters++] = strdup(name)))
		r = err_set(err, -ENOMEM, "out of memory");
	return in_list(r, "filters", i, err);
}

static int take_multiplier(const json_t *v, void *to, struct err *err)
{
	return take_number(v, -1e9, 1e9, to, err);
}

struct weigher_entry {
	const char *name;
	double multiplier;
};

static const struct field weigher_fields[] = {
	{ "name", take_text, offsetof(struct weigher_entry, name), true },
	{ "multiplier", take_multiplier, offsetof(struct weigher_entry, multiplier), false },
};

static int read_weigher(
	const json_t *element, size_t i, struct sched_weigher_conf *ret, struct err *err)
{
	struct weigher_entry e = { 0 };
	char shown[TEXT_SHOWN_MAX];
	int r = fields_read(element, weigher_fields, 2, &e, err);

	if (r < 0)
		return r;
	if (i == DOCUMENT_NAMES_MAX)
		return err_set(err, -EINVAL, "more than %d weighers", DOCUMENT_NAMES_MAX);
	if (!e.name)
		return err_set(err, -EINVAL, "it has no name");
	if (sched_multiplier(e.name) == 0)
		return err_set(err, -EINVAL, "there is no weigher '%s'", text_shown(e.name, shown));
	ret->multiplier = json_is_number(json_object_get(element, "multiplier"))
				  ? e.multiplier
				  : sched_multiplier(e.name);
	ret->name = strdup(e.name);
	return ret->name ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int take_weigher(void *to, json_t *element, size_t i, struct err *err)
{
	struct document *d = to;
	int r = read_weigher(element, i, &d->weigher[i < DOCUMENT_NAMES_MAX ? i : 0], err);

	d->weighers += r == 0;
	return in_list(r, "weighers", i, err);
}

static int take_draw(void *to, json_t *element, size_t i, struct err *err)
{
	struct document *d = to;
	double number = 0;
	int r = take_number(element, 0, 1, &number, err);

	if (r == 0 && number == 1)
		r = err_set(err, -EINVAL, "must be below 1");
	if (r == 0 && i == d->random_room) {
		size_t room = i ? 2 * i : 64;
		double *more = reallocarray(d->random, room, sizeof *more);

		if (!more)
			return err_set(err, -ENOMEM, "out of memory");
		d->random = more;
		d->random_room = room;
	}
	if (r == 0)
		d->random[d->random_count++] = number;
	return in_list(r, "random", i, err);
}

static int check_request(void *to, json_t *element, size_t i, struct err *err)
{
	struct request r;
	int code = request_read(element, NULL, &r, err);

	if (code == 0)
		request_release(&r);
	return in_list(code, "requests", i, err);
}

static int take_flag(struct document *d, const char *key, bool *to, struct err *err)
{
	json_t *value = text_value(&d->text, err);
	int r = -EINVAL;

	if (value)
		r = json_is_null(value) ? 0 : take_bool(value, to, err);
	if (value && r < 0)
		(void)err_in(err, "%s", key);
	json_decref(value);
	return r;
}

static const struct member {
	const char *name;
	int (*take)(
		void *to, json_t *element, size_t i, struct err *err); /* of a list; NULL: a flag */
	size_t flag;
} members[] = {
	{ "backends", take_backend, 0 },
	{ "requests", check_request, 0 },
	{ "filters", take_filter, 0 },
	{ "weighers", take_weigher, 0 },
	{ "random", take_draw, 0 },
	{ "commit", NULL, offsetof(struct document, commit) },
	{ "explain", NULL, offsetof(struct document, explain) },
};
enum { BACKENDS, REQUESTS, FILTERS, WEIGHERS, MEMBERS = sizeof members / sizeof members[0] };

static int unknown_member(const char *key, struct err *err)
{
	char shown[TEXT_SHOWN_MAX];

	return err_set(err, -EINVAL,
		"unknown key '%s', only backends, requests, filters, weighers, random, commit and explain",
		text_shown(key, shown));
}

/* null where a list is left out */
static bool skip_null(struct text *t)
{
	if (t->len - t->pos < 4 || memcmp(t->at + t->pos, "null", 4) != 0)
		return false;
	t->pos += 4;
	return true;
}

static int take_member(void *to, const char *key, struct err *err)
{
	struct document *d = to;
	size_t i = 0;

	while (i < MEMBERS && strcmp(members[i].name, key) != 0)
		i++;
	if (i == MEMBERS)
		return unknown_member(key, err);
	if (d->seen & 1u << i)
		return err_set(err, -EINVAL, "the key '%s' is given twice", key);
	if (!members[i].take) {
		d->seen |= 1u << i;
		return take_flag(d, key, (bool *)(void *)((char *)d + members[i].flag), err);
	}
	if (i > REQUESTS && skip_null(&d->text))
		return 0;
	d->seen |= 1u << i;
	if (i == REQUESTS)
		d->requests_at = d->text.pos;
	return text_array(&d->text, members[i].take, d, err);
}

static int read_all(struct document *d, int in, struct err *err)
{
	int r = text_read(in, &d->text, err);

	r = r < 0 ? r : text_object(&d->text, take_member, d, err);
	r = r < 0 ? r : text_end(&d->text, err);
	for (size_t i = BACKENDS; i <= REQUESTS && r == 0; i++) {
		if (!(d->seen & 1u << i))
			r = err_set(err, -EINVAL, "the document has no '%s'", members[i].name);
	}
	return r;
}

int document_read(int fd, struct document *ret, struct err *err)
{
	struct document d = { 0 };
	int r = read_all(&d, fd, err);

	if (r < 0) {
		document_release(&d);
		return r;
	}
	d.has_filters = d.seen & 1u << FILTERS;
	d.has_weighers = d.seen & 1u << WEIGHERS;
	places_sort(&d.fleet.places);
	*ret = d;
	return 0;
}

void document_release(struct document *d)
{
	text_release(&d->text);
	fleet_release(&d->fleet);
	for (size_t i = 0; i < d->filters; i++)
		free(d->filter[i]);
	for (size_t i = 0; i < d->weighers; i++)
		free((char *)(uintptr_t)d->weigher[i].name);
	free(d->random);
}
