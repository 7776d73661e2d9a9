/*
 * The JSON filter's queries: [op, argument…], where an argument is a literal, a variable "$name" or a query. The reference,
 * 4.5. Taken apart once; evaluated by recursion, as deep as the query is nested, which is bounded.
 *
 * The result of `not` is the list of its arguments' negations. At the top such a list passes where any of them is true;
 * here it counts so everywhere, while the original takes every list that is not empty for true, so that a `not`
 * within `and` would never refuse anything. Values of different kinds have no order and are not equal.
 */
#include "base/text.h"
#include "sched/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 32 };

enum node_kind {
	NODE_LITERAL,
	NODE_ATTRIBUTE, /* of the backend */
	NODE_REPORTED,	/* of the backend, if it reports it */
	NODE_CAPABILITY,
	NODE_MAP,     /* all of its capabilities, or its service */
	NODE_MISSING, /* no such variable: it vanishes */
	NODE_ALWAYS,  /* an empty query: true */
	NODE_CALL,
};

enum op {
	OP_EQUAL,
	OP_BELOW,
	OP_ABOVE,
	OP_AT_MOST,
	OP_AT_LEAST,
	OP_IN,
	OP_NOT,
	OP_AND,
	OP_OR,
	OPS
};

static const char *const op_names[OPS] = { "=", "<", ">", "<=", ">=", "in", "not", "and", "or" };

struct node {
	enum node_kind kind;
	enum op op;
	uint32_t first,
		next; /* its first argument; the next one of its parent; 0: none (node 0 is the top) */
	struct fact value;
	const struct attribute *attribute;
	struct path path;
	char *owned;	  /* the path's text */
	const char *name; /* of a variable, with the $ */
};

struct query {
	json_t *json; /* literals point into it */
	struct node *node;
	size_t count, room;
	char *text;	 /* for the sentence */
	char *malformed; /* why it is no query; NULL: it is one */
};

/* Making one. */

static int add_node(struct query *q, struct err *err)
{
	if (q->count == q->room) {
		size_t room = q->room ? 2 * q->room : 16;
		struct node *more = reallocarray(q->node, room, sizeof *more);

		if (!more)
			return err_set(err, -ENOMEM, "out of memory");
		q->node = more;
		q->room = room;
	}
	q->node[q->count] = (struct node){ 0 };
	return (int)q->count++;
}

/* "$capabilities.a.b" walks maps; "$free_capacity_gb" does not. */
static int make_variable(struct query *q, struct node *n, const char *name, struct err *err)
{
	static const char capabilities[] = "capabilities";
	size_t own = strlen(capabilities), len;

	n->name = name++;
	n->kind = NODE_MISSING;
	len = strlen(name);
	if (!strcmp(name, capabilities) || !strcmp(name, "service")) {
		n->kind = NODE_MAP;
		return 0;
	}
	n->attribute = attribute_find(name, len);
	if (n->attribute) {
		n->kind = NODE_ATTRIBUTE;
		return 0;
	}
	if (!strncmp(name, capabilities, own) && name[own] == '.') {
		n->kind = NODE_CAPABILITY;
		name += own + 1;
	} else if (attribute_is_reported(name, strcspn(name, "."))) {
		n->kind = NODE_REPORTED;
	} else {
		return 0;
	}
	len = strlen(name);
	n->owned = strdup(name);
	if (!n->owned)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < len; i++)
		n->owned[i] = name[i] == '.' ? '\0' : name[i];
	n->path = path_of(n->owned, len);
	return 0;
}

static int make_literal(struct node *n, const json_t *json, struct err *err)
{
	n->kind = NODE_LITERAL;
	switch (json_typeof(json)) {
	case JSON_TRUE:
	case JSON_FALSE:
		n->value = (struct fact){ .kind = FACT_BOOL, .integer = json_is_true(json) };
		return 0;
	case JSON_INTEGER:
		n->value = (struct fact){ .kind = FACT_INT, .integer = json_integer_value(json) };
		return 0;
	case JSON_REAL:
		n->value = (struct fact){ .kind = FACT_REAL, .real = json_real_value(json) };
		return 0;
	case JSON_STRING:
		n->value = (struct fact){ .kind = FACT_TEXT, .text = json_string_value(json) };
		return 0;
	case JSON_NULL:
		return 0; /* it vanishes, too */
	default:
		return err_set(err, -EINVAL,
			"an argument is a text, a number, true, false or a list, not a map");
	}
}

static int find_op(const json_t *json, enum op *ret, struct err *err)
{
	const char *name = json_string_value(json);
	char shown[TEXT_SHOWN_MAX];
	size_t i = 0;

	if (!name)
		return err_set(err, -EINVAL, "a list begins with its operator, a text");
	while (i < OPS && strcmp(op_names[i], name) != 0)
		i++;
	if (i == OPS)
		return err_set(err, -EINVAL,
			"there is no operator '%s', only = < > <= >= in not and or",
			text_shown(name, shown));
	*ret = (enum op)i;
	return 0;
}

static int make_node(struct query *q, const json_t *json, unsigned depth, struct err *err);

static int make_call(
	struct query *q, uint32_t at, const json_t *json, unsigned depth, struct err *err)
{
	size_t n = json_array_size(json);
	uint32_t last = 0;
	enum op op = OP_EQUAL;
	int r;

	q->node[at].kind = NODE_ALWAYS;
	if (n == 0)
		return 0;
	if (depth > DEPTH_MAX)
		return err_set(err, -EINVAL, "is nested more than %d levels deep", DEPTH_MAX);
	r = find_op(json_array_get(json, 0), &op, err);
	if (r < 0)
		return r;
	q->node[at].kind = NODE_CALL;
	q->node[at].op = op;
	for (size_t i = 1; i < n; i++) {
		r = make_node(q, json_array_get(json, i), depth, err);
		if (r < 0)
			return r;
		if (last)
			q->node[last].next = (uint32_t)r;
		else
			q->node[at].first = (uint32_t)r;
		last = (uint32_t)r;
	}
	return 0;
}

/* Returns its index. */
static int make_node(struct query *q, const json_t *json, unsigned depth, struct err *err)
{
	const char *text = json_string_value(json);
	int at = add_node(q, err), r;

	if (at < 0)
		return at;
	if (json_is_array(json))
		r = make_call(q, (uint32_t)at, json, depth + 1, err);
	else if (text && *text == '$')
		r = make_variable(q, &q->node[at], text, err);
	else
		r = make_literal(&q->node[at], json, err);
	return r < 0 ? r : at;
}

/* A hint is a text for whom writes it into a spec, a list for whom has JSON anyway. */
static json_t *load(const json_t *json, struct err *err)
{
	const char *text = json_string_value(json);
	char shown[TEXT_SHOWN_MAX];
	json_error_t error;
	json_t *loaded;

	if (!text)
		return json_incref((json_t *)(uintptr_t)json);
	if (!text[strspn(text, " \t\r\n")])
		return json_array();
	loaded = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
	if (!loaded)
		(void)err_set(err, -EINVAL, "line %d, column %d: %s", error.line, error.column,
			text_shown(error.text, shown));
	return loaded;
}

static int make(struct query *q, const json_t *json, struct err *err)
{
	q->json = load(json, err);
	if (!q->json)
		return -EINVAL;
	if (json_is_null(q->json) || (json_is_object(q->json) && !json_object_size(q->json)))
		return 0; /* as good as none */
	if (!json_is_array(q->json))
		return err_set(
			err, -EINVAL, "is not a list: [\"<\", \"$allocated_capacity_gb\", 100]");
	q->text = json_dumps(q->json, 0);
	if (!q->text)
		return err_set(err, -ENOMEM, "out of memory");
	return make_node(q, q->json, 0, err);
}

int query_new(const json_t *json, struct query **ret, struct err *err)
{
	struct query *q = calloc(1, sizeof *q);
	struct err why = { 0 };
	int r = q ? make(q, json, &why) : -ENOMEM;

	if (r == -EINVAL)
		q->malformed = strdup(why.text);
	if (r == -ENOMEM || (r == -EINVAL && !q->malformed)) {
		query_free(q);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*ret = q;
	return 0;
}

int query_check(const struct query *q, struct err *err)
{
	return q->malformed ? err_set(err, -EINVAL, "%s", q->malformed) : 0;
}

void query_free(struct query *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < q->count; i++)
		free(q->node[i].owned);
	free(q->node);
	free(q->text);
	free(q->malformed);
	json_decref(q->json);
	free(q);
}

/* Evaluating. */

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

static bool holds(enum op op, const struct fact *l, const struct fact *r)
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

static const struct fact *evaluate(const struct query *q, const struct node *n,
	const struct sched_backend *b, struct fact *room);

/* The next argument that is not null, from index *at on; NULL: there is none. */
static const struct fact *next_argument(
	const struct query *q, const struct sched_backend *b, uint32_t *at, struct fact *room)
{
	while (*at) {
		const struct node *n = &q->node[*at];
		const struct fact *f = evaluate(q, n, b, room);

		*at = n->next;
		if (f->kind != FACT_NULL)
			return f;
	}
	return NULL;
}

/* The first with each of the others; `in` wants one that is equal, the comparisons want all. */
static bool compare(const struct query *q, const struct node *n, const struct sched_backend *b)
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

static bool call(const struct query *q, const struct node *n, const struct sched_backend *b)
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
static const struct fact *evaluate(const struct query *q, const struct node *n,
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
		const struct node *n = &q->node[i];
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
