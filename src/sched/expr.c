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
#include "base/text.h"
#include "sched/internal.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 65536, NO_OP = UINT32_MAX };

enum token {
	T_END,
	T_NUMBER,
	T_TEXT,
	T_WORD,
	T_OR,
	T_AND,
	T_NOT,
	T_ASK,
	T_COLON,
	T_BELOW, /* the comparisons in the order of enum expr_compare */
	T_AT_MOST,
	T_ABOVE,
	T_AT_LEAST,
	T_EQUAL,
	T_OTHER,
	T_PLUS,
	T_MINUS,
	T_TIMES,
	T_DIVIDE,
	T_POWER,
	T_OPEN,
	T_CLOSE,
	T_COMMA,
	T_WRONG, /* a character that begins nothing, or a text that does not end */
};

/* Longer ones before those that they begin with. */
static const struct {
	const char *text;
	enum token token;
} symbols[] = {
	{ "||", T_OR },
	{ "&&", T_AND },
	{ "<=", T_AT_MOST },
	{ ">=", T_AT_LEAST },
	{ "==", T_EQUAL },
	{ "!=", T_OTHER },
	{ "<>", T_OTHER },
	{ "<", T_BELOW },
	{ ">", T_ABOVE },
	{ "!", T_NOT },
	{ "?", T_ASK },
	{ ":", T_COLON },
	{ "+", T_PLUS },
	{ "-", T_MINUS },
	{ "*", T_TIMES },
	{ "/", T_DIVIDE },
	{ "^", T_POWER },
	{ "(", T_OPEN },
	{ ")", T_CLOSE },
	{ ",", T_COMMA },
};

static const struct {
	const char *text;
	enum token token;
} word_symbols[] = {
	{ "or", T_OR },
	{ "OR", T_OR },
	{ "and", T_AND },
	{ "AND", T_AND },
	{ "not", T_NOT },
	{ "NOT", T_NOT },
};

static const struct {
	const char *name;
	enum expr_code code;
} functions[] = {
	{ "abs", EXPR_ABS },
	{ "min", EXPR_MIN },
	{ "max", EXPR_MAX },
};

const char *const expr_dict_name[EXPR_DICTS] = { "stats", "capabilities", "volume", "extra",
	"qos" };

struct parser {
	struct expr *e;
	enum token token; /* the one that is looked at: */
	const char *at;	  /* its text, */
	size_t len;	  /* and how long that is */
	char *bytes;	  /* where the next literal goes */
	size_t op_room, variable_room;
	int stack; /* values on it here */
	int nested;
	struct err *err; /* the first failure's: nothing is emitted after it */
	int code;
};

/* Errors. */

size_t expr_column(const struct expr *e, size_t at)
{
	size_t column = 1;

	for (size_t i = 0; i < at; i++)
		column += (e->text[i] & 0xc0) != 0x80;
	return column;
}

__attribute__((format(printf, 2, 3))) static void refuse(struct parser *p, const char *fmt, ...)
{
	char why[ERR_TEXT_MAX];
	va_list ap;

	if (p->code < 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	p->code = err_set(p->err, -EINVAL, "column %zu: %s",
		expr_column(p->e, (size_t)(p->at - p->e->text)), why);
}

static void no_memory(struct parser *p)
{
	if (p->code == 0)
		p->code = -ENOMEM;
}

/* "expected a value, found ')'" */
static void refuse_token(struct parser *p, const char *expected)
{
	char text[TEXT_SHOWN_MAX], shown[TEXT_SHOWN_MAX];

	if (p->token == T_END) {
		refuse(p, "expected %s, found the end", expected);
		return;
	}
	(void)snprintf(text, sizeof text, "%.*s",
		(int)(p->len < sizeof text ? p->len : sizeof text - 1), p->at);
	if (p->token == T_WRONG && (*p->at == '\'' || *p->at == '"'))
		refuse(p, "the text that begins here has no closing %c", *p->at);
	else
		refuse(p, "expected %s, found '%s'", expected, text_shown(text, shown));
}

/* Tokens. */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
}

static size_t number_length(const char *at)
{
	size_t n = 0;

	while (is_digit(at[n]))
		n++;
	if (at[n] == '.' && is_digit(at[n + 1])) {
		while (is_digit(at[++n]))
			;
	}
	return n;
}

static bool is_text(const char *at, size_t len, const char *text)
{
	return strlen(text) == len && !memcmp(at, text, len);
}

static void take_word(struct parser *p)
{
	p->token = T_WORD;
	while (is_letter(p->at[p->len]))
		p->len++;
	for (size_t i = 0; i < sizeof word_symbols / sizeof word_symbols[0]; i++) {
		if (is_text(p->at, p->len, word_symbols[i].text))
			p->token = word_symbols[i].token;
	}
}

static void take_quoted(struct parser *p)
{
	const char *end = strchr(p->at + 1, *p->at);

	p->token = end ? T_TEXT : T_WRONG;
	p->len = end ? (size_t)(end - p->at) + 1 : strlen(p->at);
}

static void take_symbol(struct parser *p)
{
	p->token = T_WRONG;
	p->len = 1;
	while ((p->at[p->len] & 0xc0) == 0x80) /* the whole character, for the sentence */
		p->len++;
	for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
		if (strncmp(p->at, symbols[i].text, strlen(symbols[i].text)) != 0)
			continue;
		p->token = symbols[i].token;
		p->len = strlen(symbols[i].text);
		return;
	}
}

static void next(struct parser *p)
{
	p->at += p->len;
	p->at += strspn(p->at, " \t\r\n");
	p->len = 0;
	if (!*p->at) {
		p->token = T_END;
	} else if (is_digit(*p->at)) {
		p->token = T_NUMBER;
		p->len = number_length(p->at);
	} else if (is_letter(*p->at)) {
		take_word(p);
	} else if (*p->at == '\'' || *p->at == '"') {
		take_quoted(p);
	} else {
		take_symbol(p);
	}
}

static bool accept(struct parser *p, enum token token)
{
	if (p->token != token)
		return false;
	next(p);
	return true;
}

/* Emitting. */

static uint32_t emit(struct parser *p, struct expr_op op, int grows)
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
		refuse(p, "too much is left open here: take it apart");
	e->op[e->count] = op;
	return (uint32_t)e->count++;
}

static void emit_code(struct parser *p, enum expr_code code, const char *at, int grows)
{
	(void)emit(p, (struct expr_op){ .code = code, .at = (uint32_t)(at - p->e->text) }, grows);
}

static void emit_compare(
	struct parser *p, enum expr_code code, enum expr_compare how, const char *at, int grows)
{
	(void)emit(p,
		(struct expr_op){ .code = code, .at = (uint32_t)(at - p->e->text), .compare = how },
		grows);
}

static void emit_value(struct parser *p, struct fact value)
{
	(void)emit(p,
		(struct expr_op){
			.code = EXPR_PUSH, .at = (uint32_t)(p->at - p->e->text), .value = value },
		1);
}

/* Jumps are emitted before it is known where to. */
static void land(struct parser *p, uint32_t jump)
{
	if (jump != NO_OP)
		p->e->op[jump].to = (uint32_t)p->e->count;
}

static const char *keep(struct parser *p, const char *text, size_t len)
{
	char *to = p->bytes;

	memcpy(to, text, len);
	to[len] = '\0';
	p->bytes += len + 1;
	return to;
}

/* Values. */

static void number(struct parser *p)
{
	const char *text = keep(p, p->at, p->len);
	struct fact value = { .kind = FACT_REAL, .real = strtod(text, NULL) };

	errno = 0;
	if (!strchr(text, '.')) {
		long long n = strtoll(text, NULL, 10);

		if (!errno) /* a larger one is no whole number to this machine */
			value = (struct fact){ .kind = FACT_INT, .integer = n };
	}
	if (value.kind == FACT_REAL && !isfinite(value.real))
		refuse(p, "a number this large is not understood");
	emit_value(p, value);
	next(p);
	if (p->token == T_WORD && *p->at == '.')
		refuse(p, "a number has a digit on both sides of its point");
}

/* dict.entry is a variable: exactly one point, and something on both sides. */
static bool is_variable(const char *at, size_t len)
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

	while (i < EXPR_DICTS && !is_text(p->at, dict_len, expr_dict_name[i]))
		i++;
	if (i == EXPR_DICTS) {
		refuse(p,
			"there is no '%.*s': variables are stats.…, capabilities.…, volume.…, extra.… and qos.…",
			(int)(dict_len < 40 ? dict_len : 40), p->at);
		return false;
	}
	whole = (char *)(uintptr_t)keep(p, p->at, p->len);
	whole[dict_len] = '\0';
	*ret = (struct expr_variable){ .dict = (enum expr_dict)i,
		.whole = path_of(whole, p->len),
		.entry = path_of(whole + dict_len + 1, entry_len) };
	ret->is_size = i == EXPR_VOLUME && is_text(ret->entry.text, entry_len, "size");
	ret->is_protocol = (i == EXPR_STATS || i == EXPR_CAPABILITIES) &&
			   is_text(ret->entry.text, entry_len, "storage_protocol");
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

static void variable(struct parser *p)
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

static void parse_or(struct parser *p);

/* Every recursion passes here or through power(). */
static bool enter(struct parser *p)
{
	if (++p->nested > EXPR_NESTED)
		refuse(p, "nested more than %d levels deep", EXPR_NESTED);
	return p->code == 0;
}

static void close_parenthesis(struct parser *p, const char *expected)
{
	if (p->code == 0 && !accept(p, T_CLOSE))
		refuse_token(p, expected);
}

static void function(struct parser *p, enum expr_code code, const char *at)
{
	next(p); /* the parenthesis */
	if (enter(p))
		parse_or(p);
	if (code == EXPR_ABS) {
		if (p->token == T_COMMA)
			refuse(p, "abs takes one value");
		emit_code(p, code, at, 0);
	}
	while (p->code == 0 && accept(p, T_COMMA)) {
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

	if (is_variable(at, len)) {
		variable(p);
		next(p);
		return;
	}
	if (*at == '.' && is_digit(at[len])) {
		refuse(p, "a number has a digit on both sides of its point");
		return;
	}
	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
		if (!is_text(at, len, functions[i].name) ||
			at[len + strspn(at + len, " \t\r\n")] != '(')
			continue;
		next(p);
		function(p, functions[i].code, at);
		return;
	}
	emit_value(p, (struct fact){ .kind = FACT_TEXT, .text = keep(p, at, len) });
	next(p);
}

static void parenthesis(struct parser *p)
{
	next(p);
	if (enter(p))
		parse_or(p);
	if (p->code == 0 && p->token == T_COMMA)
		refuse(p, "a list stands only in abs, min or max");
	close_parenthesis(p, "an operator or ')'");
	p->nested--;
}

static void value(struct parser *p)
{
	if (p->code < 0)
		return;
	switch (p->token) {
	case T_NUMBER:
		number(p);
		return;
	case T_TEXT: /* always a text, also where its characters are digits */
		emit_value(p,
			(struct fact){ .kind = FACT_TEXT, .text = keep(p, p->at + 1, p->len - 2) });
		next(p);
		return;
	case T_WORD:
		word(p);
		return;
	case T_OPEN:
		parenthesis(p);
		return;
	default:
		refuse_token(p, "a value");
	}
}

/* Operators, tightest first. */

static void power(struct parser *p)
{
	const char *at;

	value(p);
	at = p->at;
	if (p->code < 0 || !accept(p, T_POWER))
		return;
	if (p->token == T_MINUS || p->token == T_PLUS)
		refuse(p, "a signed exponent stands in parentheses");
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
		next(p);
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

		next(p);
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

		next(p);
		product(p);
		emit_code(p, code, at, -1);
	}
}

static void negation(struct parser *p)
{
	const char *at = p->at;
	unsigned n = 0;

	while (accept(p, T_NOT))
		n++;
	sum(p);
	for (n = n > 2 ? 2 - n % 2 : n; n;
		n--) /* the second makes a truth of a number, further pairs nothing */
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

		next(p);
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
	if (p->code < 0 || !accept(p, T_ASK))
		return;
	unless = emit(p, jump, -1);
	compare(p);
	if (p->code == 0 && !accept(p, T_COLON))
		refuse_token(p, p->token == T_ASK ? "parentheses around a '?' within another"
						  : "an operator or ':'");
	jump.code = EXPR_JUMP;
	over = emit(p, jump, -1);
	land(p, unless);
	compare(p);
	land(p, over);
	if (p->code == 0 && p->token == T_ASK)
		refuse_token(p, "parentheses around a '?' within another");
}

static void parse_and(struct parser *p)
{
	choice(p);
	for (const char *at = p->at; p->code == 0 && accept(p, T_AND); at = p->at) {
		choice(p);
		emit_code(p, EXPR_AND, at, -1);
	}
}

static void parse_or(struct parser *p)
{
	parse_and(p);
	for (const char *at = p->at; p->code == 0 && accept(p, T_OR); at = p->at) {
		parse_and(p);
		emit_code(p, EXPR_OR, at, -1);
	}
}

static int parse(struct expr *e, size_t len, struct err *err)
{
	struct parser p = { .e = e, .at = e->text, .bytes = e->bytes, .err = err };

	if (len > TEXT_MAX)
		return err_set(err, -EINVAL, "it is longer than %d bytes", TEXT_MAX);
	next(&p);
	parse_or(&p);
	if (p.code == 0 && p.token == T_COMMA)
		refuse(&p, "a list stands only in abs, min or max");
	if (p.code == 0 && p.token != T_END)
		refuse_token(&p, "an operator");
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
