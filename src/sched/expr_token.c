/* An expression's characters into tokens, and what was wrong with one. */
#include "base/text.h"
#include "sched/expr_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

size_t expr_column(const struct expr *e, size_t at)
{
	size_t column = 1;

	for (size_t i = 0; i < at; i++)
		column += (e->text[i] & 0xc0) != 0x80;
	return column;
}

void parse_refuse(struct parser *p, const char *fmt, ...)
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

/* "expected a value, found ')'" */
void parse_refuse_token(struct parser *p, const char *expected)
{
	char text[TEXT_SHOWN_MAX], shown[TEXT_SHOWN_MAX];

	if (p->token == T_END) {
		parse_refuse(p, "expected %s, found the end", expected);
		return;
	}
	(void)snprintf(text, sizeof text, "%.*s",
		(int)(p->len < sizeof text ? p->len : sizeof text - 1), p->at);
	if (p->token == T_WRONG && (*p->at == '\'' || *p->at == '"'))
		parse_refuse(p, "the text that begins here has no closing %c", *p->at);
	else
		parse_refuse(p, "expected %s, found '%s'", expected, text_shown(text, shown));
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
}

static size_t number_length(const char *at)
{
	size_t n = 0;

	while (char_is_digit(at[n]))
		n++;
	if (at[n] == '.' && char_is_digit(at[n + 1])) {
		while (char_is_digit(at[++n]))
			;
	}
	return n;
}

bool token_is(const char *at, size_t len, const char *text)
{
	return strlen(text) == len && !memcmp(at, text, len);
}

static void take_word(struct parser *p)
{
	p->token = T_WORD;
	while (is_letter(p->at[p->len]))
		p->len++;
	for (size_t i = 0; i < sizeof word_symbols / sizeof word_symbols[0]; i++) {
		if (token_is(p->at, p->len, word_symbols[i].text))
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

void parse_next(struct parser *p)
{
	p->at += p->len;
	p->at += strspn(p->at, " \t\r\n");
	p->len = 0;
	if (!*p->at) {
		p->token = T_END;
	} else if (char_is_digit(*p->at)) {
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

bool parse_accept(struct parser *p, enum token token)
{
	if (p->token != token)
		return false;
	parse_next(p);
	return true;
}
