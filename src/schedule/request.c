/* One request of the document, as sched/ wants it. */
#include "base/cleanup.h"
#include "base/text.h"
#include "schedule/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As it stands in the document. */
struct entry {
	double size, new_size; /* below 0: not given */
	const char *zone;
	const json_t *type, *hints, *attempted, *volume;
};

#define AT(member) offsetof(struct entry, member)
static const struct field fields[] = {
	{ "size", take_size, AT(size), false },
	{ "new_size", take_size, AT(new_size), false },
	{ "zone", take_text, AT(zone), false },
	{ "type", take_object, AT(type), false },
	{ "hints", take_object, AT(hints), false },
	{ "attempted", take_array, AT(attempted), false },
	{ "volume", take_object, AT(volume), false },
};
#undef AT

struct type_entry {
	const char *name;
	const json_t *extra_specs, *qos_specs;
};

#define AT(member) offsetof(struct type_entry, member)
static const struct field type_fields[] = {
	{ "name", take_text, AT(name), false },
	{ "extra_specs", take_object, AT(extra_specs), false },
	{ "qos_specs", take_object, AT(qos_specs), false },
};
#undef AT

static int no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

static int set_type(const json_t *json, struct request *r, struct err *err)
{
	struct type_entry e = { 0 };
	int code =
		fields_read(json, type_fields, sizeof type_fields / sizeof type_fields[0], &e, err);

	code = code < 0 ? code : sched_type_new(e.extra_specs, e.qos_specs, &r->type, err);
	r->r.type = r->type;
	return code < 0 ? err_in(err, "type") : 0;
}

static int set_attempted(const json_t *json, struct request *r, struct err *err)
{
	size_t n = json_array_size(json);

	r->attempted = calloc(n + 1, sizeof *r->attempted);
	if (!r->attempted)
		return no_memory(err);
	for (size_t i = 0; i < n; i++) {
		r->attempted[i] = json_string_value(json_array_get(json, i));
		if (!r->attempted[i])
			return err_set(err, -EINVAL, "attempted: must be a list of names");
	}
	r->r.attempted = r->attempted;
	return 0;
}

static int set_volume(const json_t *json, struct request *r, struct err *err)
{
	int code = facts_new(json, &r->volume, err);

	r->r.volume = r->volume;
	return code < 0 ? err_in(err, "volume") : 0;
}

/* Hints that name volumes. What is wrong with one is the request's failure, not the document's. */

struct hint {
	struct buf *shown, *on;
	char **bad;
};

static int add_bad(const struct hint *h, const char *what)
{
	char shown[TEXT_SHOWN_MAX];

	if (!*h->bad && asprintf(h->bad,
				what ? "the hint's '%s' is no id of a volume"
				     : "the hint is neither an id nor a list of ids",
				what ? text_shown(what, shown) : "") < 0)
		*h->bad = NULL;
	return *h->bad ? 0 : -ENOMEM;
}

static int add_id(const struct hint *h, const struct fleet *f, const char *id)
{
	bool is_id = true;
	int code;

	if (!id)
		return add_bad(h, NULL);
	buf_addf(h->shown, "%s%s", h->shown->len ? ", " : "", id);
	code = f ? places_find(&f->places, id, &is_id, h->on) : 0;
	if (code == 0 && !is_id)
		code = add_bad(h, id);
	return buf_failed(h->shown) ? -ENOMEM : code;
}

static int compare_indices(const void *l, const void *r)
{
	uint32_t a = *(const uint32_t *)l, b = *(const uint32_t *)r;

	return (a > b) - (a < b);
}

static int set_hint(const json_t *json, const struct fleet *f, const struct hint *h,
	struct sched_hint *ret, struct err *err)
{
	size_t n = json_is_array(json) ? json_array_size(json) : 1;
	int code = 0;

	if (!json || json_is_null(json) || n == 0)
		return 0;
	for (size_t i = 0; i < n && code == 0; i++)
		code = add_id(h, f,
			json_string_value(json_is_array(json) ? json_array_get(json, i) : json));
	if (code < 0)
		return no_memory(err);
	*ret = (struct sched_hint){ .volumes = buf_text(h->shown),
		.bad = *h->bad,
		.on = (const uint32_t *)(const void *)h->on->at,
		.on_count = h->on->len / sizeof(uint32_t) };
	if (ret->on_count)
		qsort(h->on->at, ret->on_count, sizeof(uint32_t), compare_indices);
	return 0;
}

/* Others are nobody's business here, and pass. */
static int set_hints(const json_t *json, const struct fleet *f, struct request *r, struct err *err)
{
	const struct hint same = { &r->same, &r->on_same, &r->bad_same };
	const struct hint different = { &r->different, &r->on_different, &r->bad_different };
	const json_t *query = json_object_get(json, "query");
	int code = set_hint(json_object_get(json, "same_backend"), f, &same, &r->r.same, err);

	if (code == 0)
		code = set_hint(json_object_get(json, "different_backend"), f, &different,
			&r->r.different, err);
	if (code == 0 && query && !json_is_null(query))
		code = query_new(query, &r->query, err);
	r->r.query = r->query;
	return code < 0 ? err_in(err, "hints") : 0;
}

static int set_size(const struct entry *e, struct request *r, struct err *err)
{
	if (e->size < 0)
		return err_set(err, -EINVAL, "it has no size");
	r->r.size = e->size;
	r->r.extending = e->new_size >= 0;
	r->r.new_size = e->new_size;
	if (r->r.extending && e->new_size < e->size)
		return err_set(err, -EINVAL, "new_size: must not be below size");
	return 0;
}

int request_read(const json_t *element, const struct fleet *f, struct request *ret, struct err *err)
{
	struct entry e = { .size = -1, .new_size = -1 };
	struct request r = { 0 };
	int code = fields_read(element, fields, sizeof fields / sizeof fields[0], &e, err);

	r.r.zone = e.zone;
	code = code < 0 ? code : set_size(&e, &r, err);
	if (code == 0 && e.type)
		code = set_type(e.type, &r, err);
	if (code == 0 && e.attempted)
		code = set_attempted(e.attempted, &r, err);
	if (code == 0 && e.volume)
		code = set_volume(e.volume, &r, err);
	if (code == 0 && e.hints)
		code = set_hints(e.hints, f, &r, err);
	if (code < 0)
		request_release(&r);
	else
		*ret = r;
	return code;
}

void request_release(struct request *r)
{
	sched_type_free(r->type);
	query_free(r->query);
	facts_free(r->volume);
	free(r->attempted);
	buf_release(&r->same);
	buf_release(&r->different);
	buf_release(&r->on_same);
	buf_release(&r->on_different);
	free(r->bad_same);
	free(r->bad_different);
}
