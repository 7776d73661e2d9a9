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

/* A step takes the stack's top, the last value, and returns the new one, or NULL with the sentence. */
struct machine {
	const struct expr *e;
	const struct expr_scope *scope;
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
	return f->integer;
}

static double number_of(const struct fact *f)
{
	return f->kind == FACT_REAL ? f->real : (double)whole_of(f);
}

static struct fact truth(bool is)
{
	return (struct fact){ .kind = FACT_BOOL, .integer = is };
}

/* Member by member: what was just written in two parts the processor can hand on in two parts, but not in one. */
static inline void copy(struct fact *to, const struct fact *from)
{
	to->kind = from->kind;
	to->integer = from->integer; /* or whatever else is there */
}

static struct fact whole(int64_t n)
{
	return (struct fact){ .kind = FACT_INT, .integer = n };
}

static struct fact *real(struct machine *m, struct fact *top, double number)
{
	if (!isfinite(number)) {
		(void)err_set(m->err, -EINVAL, "the result is %s",
			isnan(number) ? "no real number" : "too large");
		return NULL;
	}
	top->kind = FACT_REAL;
	top->real = number;
	return top;
}

/* Variables. */

/* A text that is a number is one: reports and extra specs are full of them. */
static struct fact coerce(const struct fact *f)
{
	size_t len;
	double number;
	char *end;

	if (f->kind == FACT_BOOL)
		return whole(f->integer);
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

static struct fact *no_value(struct machine *m, const struct expr_variable *v, const struct fact *f)
{
	const char *dict = expr_dict_name[v->dict], *entry = v->entry.text;

	if (!f)
		(void)err_set(m->err, -EINVAL, "there is no %s.%s", dict, entry);
	else if (f->kind == FACT_NULL)
		(void)err_set(m->err, -EINVAL, "%s.%s is null", dict, entry);
	else
		(void)err_set(m->err, -EINVAL, "%s.%s is a %s", dict, entry,
			f->kind == FACT_MAP ? "map" : "list");
	return NULL;
}

/* The most usual ones, numbers of a backend, without more ado. */
static inline bool number_at_once(
	const struct expr_variable *v, const struct sched_backend *b, struct fact *ret)
{
	const struct sched_amount *a;

	if (!b || !(v->number | v->amount))
		return false;
	if (v->number) {
		fact_number(*(const double *)backend_at(b, v->number), ret);
		return true;
	}
	a = backend_at(b, v->amount);
	if (a->is != SCHED_NUMBER)
		return false;
	fact_number(a->gib, ret);
	return true;
}

static struct fact *variable(struct machine *m, const struct expr_op *op, struct fact *top)
{
	const struct expr_variable *v = &m->e->variable[op->variable];
	const struct fact *f;

	if (number_at_once(v, m->scope->backend, ++top))
		return top;
	f = m->scope->find(m->scope, v, top);
	if (!f || f->kind == FACT_NULL || f->kind > FACT_TEXT)
		return no_value(m, v, f);
	if (f->kind != FACT_INT && f->kind != FACT_REAL)
		*top = coerce(f);
	else if (f != top)
		copy(top, f);
	return top;
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

/* Anything but two whole numbers whose result is one. */
static struct fact *real_arithmetic(
	struct machine *m, const struct expr_op *op, struct fact *l, const struct fact *r)
{
	if (want_numbers(m, op, l, 2) < 0)
		return NULL;
	if ((op->code == EXPR_DIVIDE && number_of(r) == 0) ||
		(op->code == EXPR_POWER && number_of(l) == 0 && number_of(r) < 0)) {
		(void)err_set(m->err, -EINVAL, "division by zero");
		return NULL;
	}
	return real(m, l, real_result(op->code, number_of(l), number_of(r)));
}

static struct fact *arithmetic(struct machine *m, const struct expr_op *op, struct fact *top)
{
	struct fact *l = top - 1;
	int64_t n;

	if (!is_whole(l) || !is_whole(top) ||
		!whole_result(op->code, whole_of(l), whole_of(top), &n))
		return real_arithmetic(m, op, l, top);
	*l = whole(n);
	return l;
}

static struct fact *sign(struct machine *m, const struct expr_op *op, struct fact *top)
{
	bool turn;

	if (want_numbers(m, op, top, 1) < 0)
		return NULL;
	turn = op->code == EXPR_MINUS || (op->code == EXPR_ABS && number_of(top) < 0);
	if (!is_whole(top) || (turn && whole_of(top) == INT64_MIN))
		return real(m, top, turn ? -number_of(top) : number_of(top));
	*top = whole(turn ? -whole_of(top) : whole_of(top));
	return top;
}

/* -1, 0, 1 */
static inline int order_of_numbers(const struct fact *l, const struct fact *r)
{
	if (is_whole(l) && is_whole(r))
		return (whole_of(l) > whole_of(r)) - (whole_of(l) < whole_of(r));
	return (number_of(l) > number_of(r)) - (number_of(l) < number_of(r));
}

/* false: there is no order between a text and a number */
static inline bool order(const struct fact *l, const struct fact *r, int *ret)
{
	if (is_number(l) && is_number(r))
		*ret = order_of_numbers(l, r);
	else if (l->kind == FACT_TEXT && r->kind == FACT_TEXT)
		*ret = strcmp(l->text, r->text);
	else
		return false;
	return true;
}

static void no_order(struct machine *m, const struct fact *l, const struct fact *r)
{
	const struct fact *text = l->kind == FACT_TEXT ? l : r;
	char shown[TEXT_SHOWN_MAX];

	(void)err_set(m->err, -EINVAL, "cannot compare a number with the text '%s'",
		text_shown(text->text, shown));
}

/* By what an order is: below, equal, above. */
static const bool holds[][3] = {
	[EXPR_BELOW] = { true, false, false },
	[EXPR_AT_MOST] = { true, true, false },
	[EXPR_ABOVE] = { false, false, true },
	[EXPR_AT_LEAST] = { false, true, true },
	[EXPR_EQUAL] = { false, true, false },
	[EXPR_OTHER] = { true, false, true },
};

/* A number and a text are not equal, and have no order: below 0. */
static int compare(
	struct machine *m, const struct expr_op *op, const struct fact *l, const struct fact *r)
{
	enum expr_compare how = op->compare;
	int is;

	if (order(l, r, &is))
		return holds[how][is < 0 ? 0 : is == 0 ? 1 : 2];
	if (how == EXPR_EQUAL || how == EXPR_OTHER)
		return how == EXPR_OTHER;
	no_order(m, l, r);
	return -EINVAL;
}

/* The chain's truth so far stands below the two values. */
static struct fact *comparison(struct machine *m, const struct expr_op *op, struct fact *top)
{
	int is = compare(m, op, top - 1, top);

	if (is < 0)
		return NULL;
	if (op->code == EXPR_COMPARE) {
		*--top = truth(is);
	} else if (op->code == EXPR_COMPARE_KEEP) {
		top[-1] = truth(is);
	} else {
		top[-2].integer &= is;
		copy(top - 1, top);
		top--;
	}
	return top;
}

/* The operand that wins, as it is. */
static struct fact *extreme(struct machine *m, const struct expr_op *op, struct fact *top)
{
	struct fact *l = top - 1;
	int is;

	if (!order(l, top, &is)) {
		no_order(m, l, top);
		return NULL;
	}
	if (op->code == EXPR_MIN ? is > 0 : is < 0)
		copy(l, top);
	return l;
}

/* Both sides are there already: what is wrong in either is always told. The result is one of them, not a truth. */
static struct fact *junction(struct machine *m, const struct expr_op *op, struct fact *top)
{
	struct fact *l = top - 1;

	if (fact_is_true(l) == (op->code == EXPR_AND))
		copy(l, top);
	return l;
}

static struct fact *end_of_chain(struct machine *m, const struct expr_op *op, struct fact *top)
{
	return top - 1;
}

static struct fact *push(struct machine *m, const struct expr_op *op, struct fact *top)
{
	copy(++top, &op->value);
	return top;
}

static struct fact *negation(struct machine *m, const struct expr_op *op, struct fact *top)
{
	*top = truth(!fact_is_true(top));
	return top;
}

/* These few steps are most of what a choice does. So each goes straight to the next (labels as values, which gcc and clang
 * have), and is compiled into its place. */
int expr_eval(const struct expr *e, const struct expr_scope *s, struct fact *ret, struct err *err)
{
#define NEXT goto *to[(++op)->code]
#define STEP(label, run)                                                                           \
	label:                                                                                     \
	next = run(&m, op, top);                                                                   \
	if (!next)                                                                                 \
		return at(&m, op);                                                                 \
	top = next;                                                                                \
	NEXT

	static const void *const to[] = {
		[EXPR_PUSH] = &&push,
		[EXPR_VARIABLE] = &&variable,
		[EXPR_OR] = &&junction,
		[EXPR_AND] = &&junction,
		[EXPR_JUMP] = &&jump,
		[EXPR_JUMP_UNLESS] = &&jump_unless,
		[EXPR_COMPARE] = &&comparison,
		[EXPR_COMPARE_KEEP] = &&comparison,
		[EXPR_COMPARE_NEXT] = &&comparison,
		[EXPR_COMPARE_END] = &&end_of_chain,
		[EXPR_NOT] = &&negation,
		[EXPR_ADD] = &&arithmetic,
		[EXPR_SUBTRACT] = &&arithmetic,
		[EXPR_MULTIPLY] = &&arithmetic,
		[EXPR_DIVIDE] = &&arithmetic,
		[EXPR_POWER] = &&arithmetic,
		[EXPR_MINUS] = &&sign,
		[EXPR_PLUS] = &&sign,
		[EXPR_ABS] = &&sign,
		[EXPR_MIN] = &&extreme,
		[EXPR_MAX] = &&extreme,
		[EXPR_END] = &&end,
	};
	struct fact stack[EXPR_STACK + 1], *top = stack, *next;
	struct machine m = { .e = e, .scope = s, .err = err };
	const struct expr_op *op = e->op;

	if (e->malformed)
		return expr_check(e, err);
	goto *to[op->code];

	STEP(push, push);
	STEP(variable, variable);
	STEP(junction, junction);
	STEP(comparison, comparison);
	STEP(end_of_chain, end_of_chain);
	STEP(negation, negation);
	STEP(arithmetic, arithmetic);
	STEP(sign, sign);
	STEP(extreme, extreme);
jump_unless:
	if (fact_is_true(top--))
		NEXT;
jump:
	op = e->op + op->to;
	goto *to[op->code];
end:
	assert(top == stack + 1);
	copy(ret, top);
	return 0;
#undef NEXT
#undef STEP
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
