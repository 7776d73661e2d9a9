/*
 * How an expression is parsed: between expr_token.c (characters into tokens), expr_emit.c (what was understood into the
 * steps of expr_eval.c) and expr.c (the grammar). After the first failure nothing more is emitted.
 */
#ifndef VOLFS_SCHED_EXPR_INTERNAL_H
#define VOLFS_SCHED_EXPR_INTERNAL_H

#include "sched/internal.h"

enum { NO_OP = UINT32_MAX };

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

/* --- expr_token.c --- */

void parse_next(struct parser *p);
bool parse_accept(struct parser *p, enum token token); /* goes on where it is that one */
bool token_is(const char *at, size_t len, const char *text);

/* "column 7: …"; the first one counts. */
__attribute__((format(printf, 2, 3))) void parse_refuse(struct parser *p, const char *fmt, ...);
void parse_refuse_token(struct parser *p, const char *expected); /* "expected a value, found ')'" */

static inline bool char_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* --- expr_emit.c --- */

/* grows: by how many values the stack does. Returns the step's index, or NO_OP after a failure. */
uint32_t emit(struct parser *p, struct expr_op op, int grows);
void emit_code(struct parser *p, enum expr_code code, const char *at, int grows);
void emit_compare(
	struct parser *p, enum expr_code code, enum expr_compare how, const char *at, int grows);
void emit_value(struct parser *p, struct fact value);
void emit_landing(
	struct parser *p, uint32_t jump); /* jumps are emitted before it is known where to */

/* The token as a literal's text, kept. */
const char *emit_text(struct parser *p, const char *text, size_t len);
void emit_number(struct parser *p);
bool token_is_variable(const char *at, size_t len);
void emit_variable(struct parser *p);

#endif
