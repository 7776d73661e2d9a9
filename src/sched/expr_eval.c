/*
 * Runs the steps that expr.c has made: one loop, no recursion, no allocation; text is borrowed from the function or from
 * what is asked for variables. Values: whole numbers while they fit 64 bits, else floating; truths, which count as 1 and
 * 0; texts. An error ends it.
 */
#include "base/text.h"
#include "sched/internal.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct machine {
	const struct expr *e;
	const struct expr_scope *scope;
	struct fact *top; /* of the stack: the last value */
	struct err *err;
};

static const char *const signs[] = {
	[EXPR_ADD] = "+",
	[EXPR_SUBTRACT] = "-",
	[EXPR_MULTIPLY] = "*",
	[EXPR_DIVIDE] = "/",
	[EXPR_POWER] = "^",
	[EXPR_MINUS] = "-",
	[EXPR_PLUS] = "+",
	[EXPR_ABS] = "abs",
};

/* In front of the sentence: where. */
static int at(struct machine *m, const struct expr_op *op)
{
	return m->err ? err_in(m->err, "column %zu", expr_column(m->e, op->at)) : -EINVAL;
}

/* Values. */

static bool is_number(const struct fact *f)
{
	return f->kind == FACT_BOOL || f->kind == FACT_INT || f->kind == FACT_REAL;
}

static bool is_whole(const struct fact *f)
{
	return f->kind == FACT_BOOL || f->kind == FACT_INT;
}

static int64_t whole_of(const struct fact *f)
{
	return f->kind == FACT_BOOL ? f->truth : f->integer;
}

static double number_of(const struct fact *f)
{
	return f->kind == FACT_REAL ? f->real : (double)whole_of(f);
}

bool fact_is_true(const struct fact *f)
{
	switch (f->kind) {
	case FACT_NULL:
		return false;
	case FACT_TEXT:
		return *f->text;
	case FACT_LIST:
	case FACT_MAP:
		return f->count > 0;
	default:
		return number_of(f) != 0;
	}
}

static struct fact truth(bool is)
{
	return (struct fact){ .kind = FACT_BOOL, .truth = is };
}

static struct fact whole(int64_t n)
{
	return (struct fact){ .kind = FACT_INT, .integer = n };
}

static int real(double number, struct fact *ret, struct err *err)
{
	if (!isfinite(number))
		return err_set(err, -EINVAL, "the result is %s",
			isnan(number) ? "no real number" : "too large");
	*ret = (struct fact){ .kind = FACT_REAL, .real = number };
	return 0;
}

/* Variables. */

/* A text that is a number is one: reports and extra specs are full of them. */
static struct fact coerce(const struct fact *f)
{
	size_t len;
	double number;
	char *end;

	if (f->kind == FACT_BOOL)
		return whole(f->truth);
	/* "inf" is a text here: nothing could be done with it */
	if (f->kind != FACT_TEXT || !strpbrk(f->text, "0123456789"))
		return *f;
	len = strlen(f->text);
	if (!text_number(f->text, len, &number) || !isfinite(number))
		return *f;
	if (!strpbrk(f->text, ".eE")) {
		errno = 0;
		int64_t n = strtoll(f->text, &end, 10);

		if (!errno)
			return whole(n);
	}
	return (struct fact){ .kind = FACT_REAL, .real = number };
}

static int variable(struct machine *m, const struct expr_op *op)
{
	const struct expr_variable *v = &m->e->variable[op->variable];
	const char *dict = expr_dict_name[v->dict], *entry = v->entry.text;
	struct fact room;
	const struct fact *f = m->scope->find(m->scope, v, &room);

	if (!f)
		return err_set(m->err, -EINVAL, "there is no %s.%s", dict, entry);
	if (f->kind == FACT_NULL)
		return err_set(m->err, -EINVAL, "%s.%s is null", dict, entry);
	if (f->kind == FACT_LIST || f->kind == FACT_MAP)
		return err_set(m->err, -EINVAL, "%s.%s is a %s", dict, entry,
			f->kind == FACT_MAP ? "map" : "list");
	*++m->top = coerce(f);
	return 0;
}

/* Operators. */

/* "'+' wants a number, not 'fast'" */
static int want_numbers(struct machine *m, const struct expr_op *op, const struct fact *f, size_t n)
{
	char shown[TEXT_SHOWN_MAX];

	for (size_t i = 0; i < n; i++) {
		if (!is_number(&f[i]))
			return err_set(m->err, -EINVAL, "'%s' wants a number, not '%s'",
				signs[op->code], text_shown(f[i].text, shown));
	}
	return 0;
}

/* false: it does not fit, or is no whole number at all */
static bool whole_power(int64_t base, int64_t exponent, int64_t *ret)
{
	int64_t n = 1;

	if (exponent < 0)
		return false;
	while (exponent) {
		if ((exponent & 1) && __builtin_mul_overflow(n, base, &n))
			return false;
		exponent >>= 1;
		if (exponent && __builtin_mul_overflow(base, base, &base))
			return false;
	}
	*ret = n;
	return true;
}

static bool whole_result(enum expr_code code, int64_t l, int64_t r, int64_t *ret)
{
	switch (code) {
	case EXPR_ADD:
		return !__builtin_add_overflow(l, r, ret);
	case EXPR_SUBTRACT:
		return !__builtin_sub_overflow(l, r, ret);
	case EXPR_MULTIPLY:
		return !__builtin_mul_overflow(l, r, ret);
	case EXPR_POWER:
		return whole_power(l, r, ret);
	default:
		return false; /* a division of whole numbers is none: 8/4 is 2.0 */
	}
}

static double real_result(enum expr_code code, double l, double r)
{
	switch (code) {
	case EXPR_ADD:
		return l + r;
	case EXPR_SUBTRACT:
		return l - r;
	case EXPR_MULTIPLY:
		return l * r;
	case EXPR_DIVIDE:
		return l / r;
	default:
		return pow(l, r);
	}
}

static int arithmetic(struct machine *m, const struct expr_op *op)
{
	struct fact *l = m->top - 1, *r = m->top;
	int64_t n;
	int code = want_numbers(m, op, l, 2);

	if (code < 0)
		return code;
	if ((op->code == EXPR_DIVIDE && number_of(r) == 0) ||
		(op->code == EXPR_POWER && number_of(l) == 0 && number_of(r) < 0))
		return err_set(m->err, -EINVAL, "division by zero");
	m->top--;
	if (is_whole(l) && is_whole(r) && whole_result(op->code, whole_of(l), whole_of(r), &n)) {
		*l = whole(n);
		return 0;
	}
	return real(real_result(op->code, number_of(l), number_of(r)), l, m->err);
}

static int sign(struct machine *m, const struct expr_op *op)
{
	struct fact *f = m->top;
	int code = want_numbers(m, op, f, 1);
	bool turn;

	if (code < 0)
		return code;
	turn = op->code == EXPR_MINUS || (op->code == EXPR_ABS && number_of(f) < 0);
	if (is_whole(f) && !(turn && whole_of(f) == INT64_MIN))
		*f = whole(turn ? -whole_of(f) : whole_of(f));
	else
		*f = (struct fact){ .kind = FACT_REAL,
			.real = turn ? -number_of(f) : number_of(f) };
	return 0;
}

/* -1, 0, 1; false: there is no order between a text and a number */
static bool order(const struct fact *l, const struct fact *r, int *ret)
{
	if (l->kind == FACT_TEXT && r->kind == FACT_TEXT) {
		*ret = strcmp(l->text, r->text);
		return true;
	}
	if (l->kind == FACT_TEXT || r->kind == FACT_TEXT)
		return false;
	if (is_whole(l) && is_whole(r))
		*ret = (whole_of(l) > whole_of(r)) - (whole_of(l) < whole_of(r));
	else
		*ret = (number_of(l) > number_of(r)) - (number_of(l) < number_of(r));
	return true;
}

static int no_order(struct machine *m, const struct fact *l, const struct fact *r)
{
	const struct fact *text = l->kind == FACT_TEXT ? l : r;
	char shown[TEXT_SHOWN_MAX];

	return err_set(m->err, -EINVAL, "cannot compare a number with the text '%s'",
		text_shown(text->text, shown));
}

static int compare(struct machine *m, const struct expr_op *op, bool *ret)
{
	const struct fact *l = m->top - 1, *r = m->top;
	enum expr_compare how = op->compare;
	int is;

	if (!order(l, r, &is)) {
		if (how != EXPR_EQUAL && how != EXPR_OTHER)
			return no_order(m, l, r);
		*ret = how == EXPR_OTHER;
		return 0;
	}
	*ret = (how == EXPR_BELOW && is < 0) || (how == EXPR_AT_MOST && is <= 0) ||
	       (how == EXPR_ABOVE && is > 0) || (how == EXPR_AT_LEAST && is >= 0) ||
	       (how == EXPR_EQUAL && is == 0) || (how == EXPR_OTHER && is != 0);
	return 0;
}

/* The chain's truth so far stands below the two values. */
static int comparison(struct machine *m, const struct expr_op *op)
{
	bool is = false;
	int code = compare(m, op, &is);

	if (code < 0)
		return code;
	if (op->code == EXPR_COMPARE_KEEP) {
		m->top[-1] = truth(is);
		return 0;
	}
	m->top--;
	if (op->code == EXPR_COMPARE) {
		*m->top = truth(is);
	} else {
		m->top[-1].truth &= is;
		m->top[0] = m->top[1];
	}
	return 0;
}

/* The operand that wins, as it is. */
static int extreme(struct machine *m, const struct expr_op *op)
{
	struct fact *l = m->top - 1, *r = m->top;
	int is;

	if (!order(l, r, &is))
		return no_order(m, l, r);
	m->top--;
	if (op->code == EXPR_MIN ? is > 0 : is < 0)
		*l = *r;
	return 0;
}

/* Both sides are there already: what is wrong in either is always told. The result is one of them, not a truth. */
static int junction(struct machine *m, const struct expr_op *op)
{
	struct fact *l = m->top - 1, *r = m->top;

	if (fact_is_true(l) == (op->code == EXPR_AND))
		*l = *r;
	m->top--;
	return 0;
}

static int push(struct machine *m, const struct expr_op *op)
{
	*++m->top = op->value;
	return 0;
}

static int negation(struct machine *m, const struct expr_op *op)
{
	*m->top = truth(!fact_is_true(m->top));
	return 0;
}

static int end_of_chain(struct machine *m, const struct expr_op *op)
{
	m->top--;
	return 0;
}

static int (*const run[])(struct machine *m, const struct expr_op *op) = {
	[EXPR_PUSH] = push,
	[EXPR_VARIABLE] = variable,
	[EXPR_OR] = junction,
	[EXPR_AND] = junction,
	[EXPR_COMPARE] = comparison,
	[EXPR_COMPARE_KEEP] = comparison,
	[EXPR_COMPARE_NEXT] = comparison,
	[EXPR_COMPARE_END] = end_of_chain,
	[EXPR_NOT] = negation,
	[EXPR_ADD] = arithmetic,
	[EXPR_SUBTRACT] = arithmetic,
	[EXPR_MULTIPLY] = arithmetic,
	[EXPR_DIVIDE] = arithmetic,
	[EXPR_POWER] = arithmetic,
	[EXPR_MINUS] = sign,
	[EXPR_PLUS] = sign,
	[EXPR_ABS] = sign,
	[EXPR_MIN] = extreme,
	[EXPR_MAX] = extreme,
};

int expr_eval(const struct expr *e, const struct expr_scope *s, struct fact *ret, struct err *err)
{
	struct fact stack[EXPR_STACK + 1];
	struct machine m = { .e = e, .scope = s, .top = stack, .err = err };
	int code = expr_check(e, err);

	if (code < 0)
		return code;
	for (size_t i = 0; i < e->count;) {
		const struct expr_op *op = &e->op[i++];

		if (op->code == EXPR_JUMP)
			i = op->to;
		else if (op->code != EXPR_JUMP_UNLESS)
			code = run[op->code](&m, op);
		else if (!fact_is_true(m.top--))
			i = op->to;
		if (code < 0)
			return at(&m, op);
	}
	assert(m.top == stack + 1);
	*ret = *m.top;
	return 0;
}

static const struct fact *find_in_all(
	const struct expr_scope *s, const struct expr_variable *v, struct fact *room)
{
	return facts_find(s->all, &v->whole);
}

int expr_value(const struct expr *e, const struct facts *all, struct fact *ret, struct err *err)
{
	const struct expr_scope scope = { .find = find_in_all, .all = all };

	return expr_eval(e, &scope, ret, err);
}
