/*
 * The language of filter and goodness functions: text into steps of a stack machine. The reference, 4.7. One function
 * here is one level of precedence, loosest first; expr_eval.c runs what they emit.
 *
 *	or        and { ("or" | "OR" | "||") and }
 *	and       choice { ("and" | "AND" | "&&") choice }
 *	choice    compare [ "?" compare ":" compare ]
 *	compare   negation { ("<" | "<=" | ">" | ">=" | "==" | "!=" | "<>") negation }
 *	negation  { "!" | "not" | "NOT" } sum
 *	sum       product { ("+" | "-") product }
 *	product   sign { ("*" | "/") sign }
 *	sign      { "+" | "-" } power
 *	power     value [ "^" power ]
 *	value     number | 'text' | "text" | word | ("abs" | "min" | "max") "(" or { "," or } ")" | "(" or ")"
 *
 * What the original takes and nobody can mean is refused here with a sentence: a list outside of a function's
 * parentheses, as in "1, 2".
 */
#include "sched/expr_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 65536 };

static const struct {
	const char *name;
	enum expr_code code;
} functions[] = {
	{ "abs", EXPR_ABS },
	{ "min", EXPR_MIN },
	{ "max", EXPR_MAX },
};

static void parse_or(struct parser *p);

/* Every recursion passes here or through power(). */
static bool enter(struct parser *p)
{
	if (++p->nested > EXPR_NESTED)
		parse_refuse(p, "nested more than %d levels deep", EXPR_NESTED);
	return p->code == 0;
}

static void close_parenthesis(struct parser *p, const char *expected)
{
	if (p->code == 0 && !parse_accept(p, T_CLOSE))
		parse_refuse_token(p, expected);
}

static void function(struct parser *p, enum expr_code code, const char *at)
{
	parse_next(p); /* the parenthesis */
	if (enter(p))
		parse_or(p);
	if (code == EXPR_ABS) {
		if (p->token == T_COMMA)
			parse_refuse(p, "abs takes one value");
		emit_code(p, code, at, 0);
	}
	while (p->code == 0 && parse_accept(p, T_COMMA)) {
		parse_or(p);
		emit_code(p, code, at, -1);
	}
	close_parenthesis(p, "',' or ')'");
	p->nested--;
}

static void word(struct parser *p)
{
	const char *at = p->at;
	size_t len = p->len;

	if (token_is_variable(at, len)) {
		emit_variable(p);
		parse_next(p);
		return;
	}
	if (*at == '.' && char_is_digit(at[len])) {
		parse_refuse(p, "a number has a digit on both sides of its point");
		return;
	}
	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
		if (!token_is(at, len, functions[i].name) ||
			at[len + strspn(at + len, " \t\r\n")] != '(')
			continue;
		parse_next(p);
		function(p, functions[i].code, at);
		return;
	}
	emit_value(p, (struct fact){ .kind = FACT_TEXT, .text = emit_text(p, at, len) });
	parse_next(p);
}

static void parenthesis(struct parser *p)
{
	parse_next(p);
	if (enter(p))
		parse_or(p);
	if (p->code == 0 && p->token == T_COMMA)
		parse_refuse(p, "a list stands only in abs, min or max");
	close_parenthesis(p, "an operator or ')'");
	p->nested--;
}

static void value(struct parser *p)
{
	if (p->code < 0)
		return;
	switch (p->token) {
	case T_NUMBER:
		emit_number(p);
		return;
	case T_TEXT: /* always a text, also where its characters are digits */
		emit_value(p, (struct fact){ .kind = FACT_TEXT,
				      .text = emit_text(p, p->at + 1, p->len - 2) });
		parse_next(p);
		return;
	case T_WORD:
		word(p);
		return;
	case T_OPEN:
		parenthesis(p);
		return;
	default:
		parse_refuse_token(p, "a value");
	}
}

/* Operators, tightest first. */

static void power(struct parser *p)
{
	const char *at;

	value(p);
	at = p->at;
	if (p->code < 0 || !parse_accept(p, T_POWER))
		return;
	if (p->token == T_MINUS || p->token == T_PLUS)
		parse_refuse(p, "a signed exponent stands in parentheses");
	if (enter(p))
		power(p);
	p->nested--;
	emit_code(p, EXPR_POWER, at, -1);
}

/* Several signs: the one nearest to the value is first. They are counted instead of kept: two minus are a plus. */
static void sign(struct parser *p)
{
	const char *at = p->at;
	bool any = false, minus = false;

	while (p->token == T_MINUS || p->token == T_PLUS) {
		any = true;
		minus ^= p->token == T_MINUS;
		parse_next(p);
	}
	power(p);
	if (any)
		emit_code(p, minus ? EXPR_MINUS : EXPR_PLUS, at, 0);
}

static void product(struct parser *p)
{
	sign(p);
	while (p->code == 0 && (p->token == T_TIMES || p->token == T_DIVIDE)) {
		enum expr_code code = p->token == T_TIMES ? EXPR_MULTIPLY : EXPR_DIVIDE;
		const char *at = p->at;

		parse_next(p);
		sign(p);
		emit_code(p, code, at, -1);
	}
}

static void sum(struct parser *p)
{
	product(p);
	while (p->code == 0 && (p->token == T_PLUS || p->token == T_MINUS)) {
		enum expr_code code = p->token == T_PLUS ? EXPR_ADD : EXPR_SUBTRACT;
		const char *at = p->at;

		parse_next(p);
		product(p);
		emit_code(p, code, at, -1);
	}
}

static void negation(struct parser *p)
{
	const char *at = p->at;
	unsigned n = 0;

	while (parse_accept(p, T_NOT))
		n++;
	sum(p);
	/* the second makes a truth of a number; further pairs change nothing */
	for (n = n > 2 ? 2 - n % 2 : n; n; n--)
		emit_code(p, EXPR_NOT, at, 0);
}

static bool is_comparison(const struct parser *p)
{
	return p->code == 0 && p->token >= T_BELOW && p->token <= T_OTHER;
}

/* 3 < 5 < 9 means both; what is in the middle is evaluated once. */
static void compare(struct parser *p)
{
	enum expr_code code = EXPR_COMPARE_KEEP;

	negation(p);
	while (is_comparison(p)) {
		enum expr_compare how = (enum expr_compare)(p->token - T_BELOW);
		const char *at = p->at;

		parse_next(p);
		negation(p);
		if (code == EXPR_COMPARE_KEEP && !is_comparison(p)) {
			emit_compare(p, EXPR_COMPARE, how, at, -1);
			return;
		}
		emit_compare(p, code, how, at, code == EXPR_COMPARE_KEEP ? 0 : -1);
		code = EXPR_COMPARE_NEXT;
	}
	if (code == EXPR_COMPARE_NEXT)
		emit_code(p, EXPR_COMPARE_END, p->at, -1);
}

/* Only the chosen value is evaluated, so that a condition can guard a division. */
static void choice(struct parser *p)
{
	struct expr_op jump = { .code = EXPR_JUMP_UNLESS };
	uint32_t unless, over;

	compare(p);
	if (p->code < 0 || !parse_accept(p, T_ASK))
		return;
	unless = emit(p, jump, -1);
	compare(p);
	if (p->code == 0 && !parse_accept(p, T_COLON))
		parse_refuse_token(p, p->token == T_ASK ? "parentheses around a '?' within another"
							: "an operator or ':'");
	jump.code = EXPR_JUMP;
	over = emit(p, jump, -1);
	emit_landing(p, unless);
	compare(p);
	emit_landing(p, over);
	if (p->code == 0 && p->token == T_ASK)
		parse_refuse_token(p, "parentheses around a '?' within another");
}

static void parse_and(struct parser *p)
{
	choice(p);
	for (const char *at = p->at; p->code == 0 && parse_accept(p, T_AND); at = p->at) {
		choice(p);
		emit_code(p, EXPR_AND, at, -1);
	}
}

static void parse_or(struct parser *p)
{
	parse_and(p);
	for (const char *at = p->at; p->code == 0 && parse_accept(p, T_OR); at = p->at) {
		parse_and(p);
		emit_code(p, EXPR_OR, at, -1);
	}
}

static int parse(struct expr *e, size_t len, struct err *err)
{
	struct parser p = { .e = e, .at = e->text, .bytes = e->bytes, .err = err };

	if (len > TEXT_MAX)
		return err_set(err, -EINVAL, "it is longer than %d bytes", TEXT_MAX);
	parse_next(&p);
	parse_or(&p);
	if (p.code == 0 && p.token == T_COMMA)
		parse_refuse(&p, "a list stands only in abs, min or max");
	if (p.code == 0 && p.token != T_END)
		parse_refuse_token(&p, "an operator");
	emit_code(&p, EXPR_END, p.at, 0);
	return p.code;
}

static void find_protocol(struct expr *e)
{
	for (size_t i = 0; i < e->variables; i++) {
		if (e->variable[i].is_protocol)
			e->protocol = &e->variable[i].entry;
	}
}

static int compile(struct expr *e, const char *text)
{
	size_t len = strlen(text);
	struct err err = { 0 };
	int r;

	e->text = strdup(text);
	/* a literal and its NUL are at most one byte longer than its token */
	e->bytes = malloc(2 * len + 1);
	if (!e->text || !e->bytes)
		return -ENOMEM;
	r = parse(e, len, &err);
	find_protocol(e);
	if (r != -EINVAL)
		return r;
	e->malformed = strdup(err.text);
	return e->malformed ? 0 : -ENOMEM;
}

int expr_new(const char *text, struct expr **ret, struct err *err)
{
	struct expr *e = calloc(1, sizeof *e);

	if (!e || compile(e, text) < 0) {
		expr_free(e);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*ret = e;
	return 0;
}

void expr_free(struct expr *e)
{
	if (!e)
		return;
	free(e->text);
	free(e->bytes);
	free(e->op);
	free(e->variable);
	free(e->malformed);
	free(e);
}

int expr_check(const struct expr *e, struct err *err)
{
	return e->malformed ? err_set(err, -EINVAL, "%s", e->malformed) : 0;
}

bool expr_has_variables(const struct expr *e)
{
	return e->variables > 0;
}
