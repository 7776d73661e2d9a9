/*
 * A backend's filter and goodness functions, over what a choice knows: what they can ask for, what their values mean, and
 * how a person is told. Where a storage protocol has several names (a list in the report), a function that mentions it
 * is asked for each: one that passes is enough, the best goodness counts.
 */
#include "base/text.h"
#include "sched/internal.h"

#include <errno.h>
#include <string.h>

static const struct fact *find_volume(
	const struct expr_scope *s, const struct expr_variable *v, struct fact *room)
{
	const struct sched_request *r = s->want->r;
	const struct fact *f = facts_find(r->volume, &v->entry);

	if (f || !v->is_size)
		return f;
	fact_number(r->size, room);
	return room;
}

static const struct fact *find_reported(
	const struct expr_scope *s, const struct expr_variable *v, const struct fact *f)
{
	return f && f->kind == FACT_LIST && s->protocol && v->is_protocol ? s->protocol : f;
}

static const struct fact *find(
	const struct expr_scope *s, const struct expr_variable *v, struct fact *room)
{
	const struct sched_type *type = s->want->r->type;

	switch (v->dict) {
	case EXPR_STATS:
		if (v->attribute && v->attribute->in_stats) {
			attribute_get(v->attribute, s->backend, room);
			return room;
		}
		return v->reported ? find_reported(s, v, attribute_reported(s->backend, &v->entry))
				   : NULL;
	case EXPR_CAPABILITIES:
		return find_reported(s, v, facts_find(s->backend->capabilities, &v->entry));
	case EXPR_VOLUME:
		return find_volume(s, v, room);
	case EXPR_EXTRA:
		return type ? facts_find(type->extra, &v->entry) : NULL;
	default:
		return type ? facts_find(type->qos, &v->entry) : NULL;
	}
}

static struct expr_scope scope_of(const struct want *w, const struct sched_backend *b)
{
	return (struct expr_scope){ .find = find, .want = w, .backend = b };
}

/* The names of its protocol if there are several and e mentions it; else NULL. */
static const struct fact *synonyms(const struct expr *e, const struct sched_backend *b)
{
	const struct fact *f = e->protocol ? facts_find(b->capabilities, e->protocol) : NULL;

	return f && f->kind == FACT_LIST ? f : NULL;
}

/* 1: it passes; 0: it does not; -EINVAL: it has no value */
static int passes(const struct want *w, const struct sched_backend *b, struct err *err)
{
	struct expr_scope s = scope_of(w, b);
	const struct fact *names = synonyms(b->filter, b);
	struct fact value;
	int code = 0;

	for (uint32_t i = 0; i < (names ? names->count : 1) && code <= 0; i++) {
		s.protocol = names ? &names->item[i] : NULL;
		code = expr_eval(b->filter, &s, &value, err);
		code = code < 0 ? code : fact_is_true(&value);
	}
	return code;
}

bool function_passes(const struct want *w, const struct sched_backend *b)
{
	return !b->filter || passes(w, b, NULL) > 0;
}

static bool is_again(const struct expr *e, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (e->variable[k].dict == e->variable[i].dict &&
			!strcmp(e->variable[k].entry.text, e->variable[i].entry.text))
			return true;
	}
	return false;
}

/* " (stats.free_capacity_gb is 3, volume.size is 10)": each variable once, the first few */
static void add_variables(const struct expr *e, const struct expr_scope *s, struct buf *out)
{
	const char *before = " (";

	for (size_t i = 0, said = 0; i < e->variables && said < SAID_MAX; i++) {
		const struct expr_variable *v = &e->variable[i];
		struct fact room;
		const struct fact *f = is_again(e, i) ? NULL : s->find(s, v, &room);

		if (!f)
			continue;
		buf_addf(out, "%s%s.", before, expr_dict_name[v->dict]);
		add_shown(out, v->entry.text);
		add_value(out, f);
		before = ", ";
		said++;
	}
	if (*before == ',')
		buf_addc(out, ')');
}

void function_why(const struct want *w, const struct sched_backend *b, struct buf *out)
{
	struct expr_scope s = scope_of(w, b);
	struct err err = { 0 };
	int code = passes(w, b, &err);

	buf_adds(out, "its filter function '");
	add_shown(out, b->filter->text);
	if (code < 0)
		buf_addf(out, "' has no value: %s", err.text);
	else
		buf_adds(out, "' is false");
	add_variables(b->filter, &s, out);
}

/* 0 … 100; what is no number of these is 0 */
static double goodness(const struct fact *f)
{
	switch (f->kind) {
	case FACT_BOOL:
		return f->integer ? 100 : 0;
	case FACT_INT:
		return f->integer >= 0 && f->integer <= 100 ? (double)f->integer : 0;
	case FACT_REAL:
		return f->real >= 0 && f->real <= 100 ? f->real : 0;
	default:
		return 0;
	}
}

double function_goodness(const struct want *w, const struct sched_backend *b)
{
	struct expr_scope s = scope_of(w, b);
	const struct fact *names;
	struct fact value;
	double best = 0;

	if (!b->goodness)
		return 0;
	names = synonyms(b->goodness, b);
	for (uint32_t i = 0; i < (names ? names->count : 1); i++) {
		double good;

		s.protocol = names ? &names->item[i] : NULL;
		good = expr_eval(b->goodness, &s, &value, NULL) < 0 ? 0 : goodness(&value);
		best = good > best ? good : best;
	}
	return best;
}
