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

static const char *const op_names[OPS] = { "=", "<", ">", "<=", ">=", "in", "not", "and", "or" };

/* Making one. */

static int add_node(struct query *q, struct err *err)
{
	if (q->count == q->room) {
		size_t room = q->room ? 2 * q->room : 16;
		struct query_node *more = reallocarray(q->node, room, sizeof *more);

		if (!more)
			return err_set(err, -ENOMEM, "out of memory");
		q->node = more;
		q->room = room;
	}
	q->node[q->count] = (struct query_node){ 0 };
	return (int)q->count++;
}

/* "$capabilities.a.b" walks maps; "$free_capacity_gb" does not. */
static int make_variable(struct query *q, struct query_node *n, const char *name, struct err *err)
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

static int make_literal(struct query_node *n, const json_t *json, struct err *err)
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

static int find_op(const json_t *json, enum query_op *ret, struct err *err)
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
	*ret = (enum query_op)i;
	return 0;
}

static int make_node(struct query *q, const json_t *json, unsigned depth, struct err *err);

static int make_call(
	struct query *q, uint32_t at, const json_t *json, unsigned depth, struct err *err)
{
	size_t n = json_array_size(json);
	uint32_t last = 0;
	enum query_op op = OP_EQUAL;
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
