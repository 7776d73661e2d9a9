/* A query over one backend: recursion as deep as it is nested, which query.c bounds; nothing is copied but numbers. */
#include "sched/internal.h"

#include <string.h>

static struct fact truth(bool is)
{
	return (struct fact){ .kind = FACT_BOOL, .integer = is };
}

static bool number_of(const struct fact *f, double *ret)
{
	if (f->kind == FACT_BOOL)
		*ret = f->integer;
	else if (f->kind == FACT_INT)
		*ret = (double)f->integer;
	else if (f->kind == FACT_REAL)
		*ret = f->real;
	else
		return false;
	return true;
}

/* false: they have no order */
static bool order(const struct fact *l, const struct fact *r, int *ret)
{
	double a, b;

	if (l->kind == FACT_TEXT && r->kind == FACT_TEXT) {
		*ret = strcmp(l->text, r->text);
		return true;
	}
	if (!number_of(l, &a) || !number_of(r, &b))
		return false;
	*ret = (a > b) - (a < b);
	return true;
}

static bool holds(enum query_op op, const struct fact *l, const struct fact *r)
{
	int is;

	if (!order(l, r, &is))
		return false;
	switch (op) {
	case OP_BELOW:
		return is < 0;
	case OP_ABOVE:
		return is > 0;
	case OP_AT_MOST:
		return is <= 0;
	case OP_AT_LEAST:
		return is >= 0;
	default:
		return is == 0;
	}
}

static const struct fact *evaluate(const struct query *q, const struct query_node *n,
	const struct sched_backend *b, struct fact *room);

/* The next argument that is not null, from index *at on; NULL: there is none. */
static const struct fact *next_argument(
	const struct query *q, const struct sched_backend *b, uint32_t *at, struct fact *room)
{
	while (*at) {
		const struct query_node *n = &q->node[*at];
		const struct fact *f = evaluate(q, n, b, room);

		*at = n->next;
		if (f->kind != FACT_NULL)
			return f;
	}
	return NULL;
}

/* The first with each of the others; `in` wants one that is equal, the comparisons want all. */
static bool compare(
	const struct query *q, const struct query_node *n, const struct sched_backend *b)
{
	uint32_t at = n->first;
	struct fact room, other_room;
	const struct fact *first = next_argument(q, b, &at, &room), *other;
	bool any = false;

	if (!first)
		return false;
	while ((other = next_argument(q, b, &at, &other_room))) {
		bool is = holds(n->op, first, other);

		if (is != (n->op != OP_IN)) /* settled */
			return is;
		any = true;
	}
	return any && n->op != OP_IN;
}

static bool call(const struct query *q, const struct query_node *n, const struct sched_backend *b)
{
	uint32_t at = n->first;
	const struct fact *f;
	struct fact room;

	if (n->op < OP_NOT)
		return compare(q, n, b);
	while ((f = next_argument(q, b, &at, &room))) {
		if (fact_is_true(f) == (n->op == OP_OR)) /* one decides for all */
			return n->op != OP_AND;
	}
	return n->op == OP_AND;
}

/* Its value, perhaps in room. */
static const struct fact *evaluate(const struct query *q, const struct query_node *n,
	const struct sched_backend *b, struct fact *room)
{
	static const struct fact nothing = { .kind = FACT_NULL },
				 map = { .kind = FACT_MAP, .count = 1 };
	const struct fact *f;

	switch (n->kind) {
	case NODE_LITERAL:
		return &n->value;
	case NODE_ATTRIBUTE:
		attribute_get(n->attribute, b, room);
		return room;
	case NODE_REPORTED:
		return attribute_reported(b, &n->path);
	case NODE_CAPABILITY:
		f = facts_find(b->capabilities, &n->path);
		return f ? f : &nothing;
	case NODE_MAP:
		return &map;
	case NODE_ALWAYS:
		*room = truth(true);
		return room;
	case NODE_CALL:
		*room = truth(call(q, n, b));
		return room;
	default:
		return &nothing;
	}
}

bool query_is_empty(const struct query *q)
{
	return !q || (!q->malformed && (q->count == 0 || q->node[0].kind == NODE_ALWAYS));
}

bool query_passes(const struct query *q, const struct sched_backend *b)
{
	if (!q || q->malformed || !q->count)
		return query_is_empty(q);
	return q->node[0].kind != NODE_CALL || call(q, &q->node[0], b);
}

/* "the query ["<", "$free_capacity_gb", 3] is false ($free_capacity_gb is 5)" */
void query_why(const struct query *q, const struct sched_backend *b, struct buf *out)
{
	const char *before = " (";

	if (q->malformed) {
		buf_addf(out, "the query cannot be understood: %s", q->malformed);
		return;
	}
	buf_adds(out, "the query ");
	add_shown(out, q->text);
	buf_adds(out, " is false");
	for (size_t i = 0, said = 0; i < q->count && said <= SAID_MAX; i++) {
		const struct query_node *n = &q->node[i];
		struct fact room;

		if (!n->name || n->kind == NODE_MAP)
			continue;
		if (said++ == SAID_MAX) {
			buf_adds(out, ", …");
			break;
		}
		buf_adds(out, before);
		add_shown(out, n->name);
		add_value(out, evaluate(q, n, b, &room));
		before = ", ";
	}
	if (*before == ',')
		buf_addc(out, ')');
}
