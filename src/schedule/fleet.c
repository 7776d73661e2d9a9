/* The document's backends, as sched/ wants them; and which of them holds which volume. */
#include "base/cleanup.h"
#include "base/text.h"
#include "schedule/internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define MOST 1e15

struct owned {
	char *name, *zone;
	struct facts *capabilities;
};

struct name {
	const char *name; /* owned's */
	UT_hash_handle hh;
};

struct function {
	char *text;
	struct expr *expr;
	UT_hash_handle hh;
};

/* One backend as it stands in the document. */
struct entry {
	const char *name, *zone, *filter_function, *goodness_function;
	enum backend_state state;
	const json_t *capabilities, *volume_ids;
	struct sched_amount total, free;
	double allocated, provisioned, reserved_percentage, ratio;
	bool thin, thick;
	uint64_t volumes;
};

static int take_state(const json_t *v, void *to, struct err *err)
{
	static const struct {
		const char *word;
		enum backend_state state;
	} states[] = {
		{ "up", BACKEND_UP },
		{ "down", BACKEND_DOWN },
		{ "disabled", BACKEND_DISABLED },
	};

	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
		if (json_is_string(v) && !strcmp(json_string_value(v), states[i].word)) {
			*(enum backend_state *)to = states[i].state;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "must be \"up\", \"down\" or \"disabled\"");
}

/* What it reports may be below 0: more has been written than it thought, or promised than it has. */
static int take_amount(const json_t *v, void *to, struct err *err)
{
	struct sched_amount *a = to;
	const char *text = json_string_value(v);

	a->is = SCHED_NUMBER;
	if (json_is_null(v))
		a->is = SCHED_UNSET;
	else if (text && !strcmp(text, "infinite"))
		a->is = SCHED_INFINITE;
	else if (text && !strcmp(text, "unknown"))
		a->is = SCHED_UNKNOWN;
	else if (!json_is_number(v))
		return err_set(err, -EINVAL, "must be a number, \"infinite\" or \"unknown\"");
	else
		return take_number(v, -MOST, MOST, &a->gib, err);
	return 0;
}

static int take_percentage(const json_t *v, void *to, struct err *err)
{
	return take_number(v, 0, 100, to, err);
}

/* A number, a text that is one, or "auto"; what is empty or 0 is the default. The result is as in sched_backend. */
static int take_ratio(const json_t *v, void *to, struct err *err)
{
	const char *text = json_string_value(v);
	double ratio = 20, *ret = to;
	char *end;
	int r = 0;

	if (text && !strcmp(text, "auto")) {
		*ret = 0;
		return 0;
	}
	if (text && *text) {
		ratio = strtod(text, &end);
		if (*end || !isdigit((unsigned char)*text) || !(ratio >= 0 && ratio <= MOST))
			return err_set(err, -EINVAL, "must be a number, or \"auto\"");
	} else if (!text) {
		r = take_number(v, 0, MOST, &ratio, err);
	}
	*ret = ratio > 0 ? ratio : 20;
	return r;
}

#define AT(member) offsetof(struct entry, member)
static const struct field fields[] = {
	{ "name", take_text, AT(name), true },
	{ "zone", take_text, AT(zone), false },
	{ "state", take_state, AT(state), false },
	{ "capabilities", take_object, AT(capabilities), false },
	{ "total_capacity_gb", take_amount, AT(total), true },
	{ "free_capacity_gb", take_amount, AT(free), true },
	{ "allocated_capacity_gb", take_size, AT(allocated), false },
	{ "provisioned_capacity_gb", take_size, AT(provisioned), false },
	{ "reserved_percentage", take_percentage, AT(reserved_percentage), false },
	{ "max_over_subscription_ratio", take_ratio, AT(ratio), false },
	{ "thin_provisioning_support", take_bool, AT(thin), false },
	{ "thick_provisioning_support", take_bool, AT(thick), false },
	{ "volumes", take_count, AT(volumes), false },
	{ "volume_ids", take_array, AT(volume_ids), false },
	{ "filter_function", take_text, AT(filter_function), false },
	{ "goodness_function", take_text, AT(goodness_function), false },
};
#undef AT

/* A backend's report is one dictionary: what stands beside `capabilities` is a capability too, for extra specs and
 * functions that ask for it. */
static const char *const reported[] = { "total_capacity_gb", "free_capacity_gb",
	"allocated_capacity_gb", "provisioned_capacity_gb", "reserved_percentage",
	"max_over_subscription_ratio", "thin_provisioning_support", "thick_provisioning_support",
	"filter_function", "goodness_function" };

static json_t *whole_report(const json_t *element, const struct entry *e)
{
	json_t *report =
		e->capabilities ? json_copy((json_t *)(uintptr_t)e->capabilities) : json_object();

	for (size_t i = 0; report && i < sizeof reported / sizeof reported[0]; i++) {
		json_t *v = json_object_get(element, reported[i]);

		if (!v || json_object_get(report, reported[i]))
			continue;
		if (json_object_set(report, reported[i], v) < 0) {
			json_decref(report);
			return NULL;
		}
	}
	return report;
}

static int set_capabilities(
	const json_t *element, const struct entry *e, struct owned *o, struct err *err)
{
	json_t *report = whole_report(element, e);
	int r = report ? facts_new(report, &o->capabilities, err)
		       : err_set(err, -ENOMEM, "out of memory");

	json_decref(report);
	return r < 0 ? err_in(err, "capabilities") : 0;
}

/* Functions. */

static int function_of(struct fleet *f, const char *text, const struct expr **ret, struct err *err)
{
	struct function *fn;

	if (!text)
		return 0;
	HASH_FIND_STR(f->functions, text, fn);
	if (!fn) {
		fn = calloc(1, sizeof *fn);
		if (!fn || !(fn->text = strdup(text)) || expr_new(text, &fn->expr, err) < 0) {
			free(fn ? fn->text : NULL);
			free(fn);
			return err_set(err, -ENOMEM, "out of memory");
		}
		HASH_ADD_KEYPTR(hh, f->functions, fn->text, strlen(fn->text), fn);
	}
	*ret = fn->expr;
	return 0;
}

/* It may stand among the capabilities, too. */
static const char *function_text(const struct entry *e, const char *own, const char *name)
{
	return own ? own : json_string_value(json_object_get(e->capabilities, name));
}

static int set_functions(
	struct fleet *f, const struct entry *e, struct sched_backend *b, struct err *err)
{
	int r = function_of(
		f, function_text(e, e->filter_function, "filter_function"), &b->filter, err);

	return r < 0 ? r
		     : function_of(f, function_text(e, e->goodness_function, "goodness_function"),
			       &b->goodness, err);
}

static int set_volumes(struct fleet *f, const json_t *element, const struct entry *e,
	struct sched_backend *b, struct err *err)
{
	size_t n = json_array_size(e->volume_ids);

	b->volumes = json_is_number(json_object_get(element, "volumes")) ? e->volumes : n;
	for (size_t i = 0; i < n; i++) {
		const char *id = json_string_value(json_array_get(e->volume_ids, i));
		int r = id ? places_add(&f->places, id, (uint32_t)f->count, err)
			   : err_set(err, -EINVAL, "must be a list of texts");

		if (r < 0)
			return err_in(err, "volume_ids");
	}
	return 0;
}

/* Backends. */

static int grow(struct fleet *f, struct err *err)
{
	size_t room = f->room ? 2 * f->room : 64;
	struct sched_backend *b;
	struct owned *o;

	if (f->count < f->room)
		return 0;
	b = reallocarray(f->b, room, sizeof *b);
	if (b)
		f->b = b;
	o = reallocarray(f->owned, room, sizeof *o);
	if (o)
		f->owned = o;
	if (!b || !o)
		return err_set(err, -ENOMEM, "out of memory");
	f->room = room;
	return 0;
}

static int set_name(struct fleet *f, const struct entry *e, struct owned *o, struct err *err)
{
	struct name *n;
	char shown[TEXT_SHOWN_MAX];

	if (!e->name || !*e->name)
		return err_set(err, -EINVAL, "it has no name");
	HASH_FIND_STR(f->names, e->name, n);
	if (n)
		return err_set(err, -EINVAL, "a second backend has the name '%s'",
			text_shown(e->name, shown));
	o->name = strdup(e->name);
	o->zone = strdup(e->zone ? e->zone : "default");
	n = calloc(1, sizeof *n);
	if (!o->name || !o->zone || !n) {
		free(n);
		return err_set(err, -ENOMEM, "out of memory");
	}
	n->name = o->name;
	HASH_ADD_KEYPTR(hh, f->names, n->name, strlen(n->name), n);
	return 0;
}

static int fill(struct fleet *f, const json_t *element, const struct entry *e, struct err *err)
{
	struct sched_backend *b = &f->b[f->count];
	struct owned *o = &f->owned[f->count];
	int r = set_name(f, e, o, err);

	r = r < 0 ? r : set_capabilities(element, e, o, err);
	*b = (struct sched_backend){ .name = o->name,
		.zone = o->zone,
		.state = e->state,
		.state_reason = "",
		.total = e->total,
		.free = e->free,
		.allocated = e->allocated,
		.provisioned = e->provisioned < 0 ? e->allocated : e->provisioned,
		.reserved_percentage = e->reserved_percentage,
		.max_over_subscription_ratio = e->ratio,
		.thin = e->thin,
		.thick = e->thick,
		.capabilities = o->capabilities };
	r = r < 0 ? r : set_functions(f, e, b, err);
	return r < 0 ? r : set_volumes(f, element, e, b, err);
}

int fleet_add(struct fleet *f, json_t *element, struct err *err)
{
	struct entry e = { .state = BACKEND_UP, .provisioned = -1, .ratio = 20 };
	int r = fields_read(element, fields, sizeof fields / sizeof fields[0], &e, err);

	r = r < 0 ? r : grow(f, err);
	if (r < 0)
		return r;
	f->owned[f->count] = (struct owned){ 0 };
	r = fill(f, element, &e, err);
	f->count++; /* a half-made one is released, too */
	return r;
}

void fleet_release(struct fleet *f)
{
	struct name *name, *next_name;
	struct function *fn, *next_fn;

	HASH_ITER (hh, f->names, name, next_name) {
		HASH_DEL(f->names, name);
		free(name);
	}
	HASH_ITER (hh, f->functions, fn, next_fn) {
		HASH_DEL(f->functions, fn);
		expr_free(fn->expr);
		free(fn->text);
		free(fn);
	}
	for (size_t i = 0; i < f->count; i++) {
		free(f->owned[i].name);
		free(f->owned[i].zone);
		facts_free(f->owned[i].capabilities);
	}
	places_release(&f->places);
	free(f->owned);
	free(f->b);
	*f = (struct fleet){ 0 };
}
