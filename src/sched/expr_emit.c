/* What was understood of an expression, as steps of expr_eval.c: a stack machine's. */
#include "sched/expr_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const expr_dict_name[EXPR_DICTS] = { "stats", "capabilities", "volume", "extra",
	"qos" };

static void no_memory(struct parser *p)
{
	if (p->code == 0)
		p->code = -ENOMEM;
}

uint32_t emit(struct parser *p, struct expr_op op, int grows)
{
	struct expr *e = p->e;

	if (p->code < 0)
		return NO_OP;
	if (e->count == p->op_room) {
		size_t room = p->op_room ? 2 * p->op_room : 16;
		struct expr_op *more = reallocarray(e->op, room, sizeof *more);

		if (!more) {
			no_memory(p);
			return NO_OP;
		}
		e->op = more;
		p->op_room = room;
	}
	p->stack += grows;
	if (p->stack > EXPR_STACK)
		parse_refuse(p, "too much is left open here: take it apart");
	e->op[e->count] = op;
	return (uint32_t)e->count++;
}

void emit_code(struct parser *p, enum expr_code code, const char *at, int grows)
{
	(void)emit(p, (struct expr_op){ .code = code, .at = (uint32_t)(at - p->e->text) }, grows);
}

void emit_compare(
	struct parser *p, enum expr_code code, enum expr_compare how, const char *at, int grows)
{
	(void)emit(p,
		(struct expr_op){ .code = code, .at = (uint32_t)(at - p->e->text), .compare = how },
		grows);
}

void emit_value(struct parser *p, struct fact value)
{
	(void)emit(p,
		(struct expr_op){
			.code = EXPR_PUSH, .at = (uint32_t)(p->at - p->e->text), .value = value },
		1);
}

void emit_landing(struct parser *p, uint32_t jump)
{
	if (jump != NO_OP)
		p->e->op[jump].to = (uint32_t)p->e->count;
}

const char *emit_text(struct parser *p, const char *text, size_t len)
{
	char *to = p->bytes;

	memcpy(to, text, len);
	to[len] = '\0';
	p->bytes += len + 1;
	return to;
}

void emit_number(struct parser *p)
{
	const char *text = emit_text(p, p->at, p->len);
	struct fact value = { .kind = FACT_REAL, .real = strtod(text, NULL) };

	errno = 0;
	if (!strchr(text, '.')) {
		long long n = strtoll(text, NULL, 10);

		if (!errno) /* a larger one is no whole number to this machine */
			value = (struct fact){ .kind = FACT_INT, .integer = n };
	}
	if (value.kind == FACT_REAL && !isfinite(value.real))
		parse_refuse(p, "a number this large is not understood");
	emit_value(p, value);
	parse_next(p);
	if (p->token == T_WORD && *p->at == '.')
		parse_refuse(p, "a number has a digit on both sides of its point");
}

/* dict.entry is a variable: exactly one point, and something on both sides. */
bool token_is_variable(const char *at, size_t len)
{
	const char *point = memchr(at, '.', len);

	return point && point > at && point + 1 < at + len &&
	       !memchr(point + 1, '.', len - (size_t)(point + 1 - at));
}

static bool make_variable(struct parser *p, struct expr_variable *ret)
{
	size_t dict_len = (size_t)((const char *)memchr(p->at, '.', p->len) - p->at);
	size_t entry_len = p->len - dict_len - 1, i = 0;
	char *whole;

	while (i < EXPR_DICTS && !token_is(p->at, dict_len, expr_dict_name[i]))
		i++;
	if (i == EXPR_DICTS) {
		parse_refuse(p,
			"there is no '%.*s': variables are stats.…, capabilities.…, volume.…, extra.… and qos.…",
			(int)(dict_len < 40 ? dict_len : 40), p->at);
		return false;
	}
	whole = (char *)(uintptr_t)emit_text(p, p->at, p->len);
	whole[dict_len] = '\0';
	*ret = (struct expr_variable){ .dict = (enum expr_dict)i,
		.whole = path_of(whole, p->len),
		.entry = path_of(whole + dict_len + 1, entry_len) };
	ret->is_size = i == EXPR_VOLUME && token_is(ret->entry.text, entry_len, "size");
	ret->is_protocol = (i == EXPR_STATS || i == EXPR_CAPABILITIES) &&
			   token_is(ret->entry.text, entry_len, "storage_protocol");
	if (i == EXPR_STATS) {
		ret->attribute = attribute_find(ret->entry.text, entry_len);
		if (ret->attribute && ret->attribute->in_stats) {
			ret->number = ret->attribute->number;
			ret->amount = ret->attribute->amount;
		}
		ret->reported = attribute_is_reported(ret->entry.text, entry_len);
	}
	return true;
}

void emit_variable(struct parser *p)
{
	struct expr *e = p->e;
	struct expr_variable v;

	if (p->code < 0 || !make_variable(p, &v))
		return;
	if (e->variables == p->variable_room) {
		size_t room = p->variable_room ? 2 * p->variable_room : 4;
		struct expr_variable *more = reallocarray(e->variable, room, sizeof *more);

		if (!more) {
			no_memory(p);
			return;
		}
		e->variable = more;
		p->variable_room = room;
	}
	e->variable[e->variables] = v;
	(void)emit(p,
		(struct expr_op){ .code = EXPR_VARIABLE,
			.at = (uint32_t)(p->at - e->text),
			.variable = (uint32_t)e->variables++ },
		1);
}
