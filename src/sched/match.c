/*
 * One extra spec against one capability: the reference, 4.5, CapabilitiesFilter. A requirement is taken apart once, when
 * its type is compiled, and points into its own text.
 *
 * Where the original fails the whole request (a number compared as text, a bare `<or>`, `<in>` on a boolean), the capability
 * does not match: one odd report must not stop every placement.
 */
#include "base/cleanup.h"
#include "sched/internal.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *word;
	enum match_op op;
} operators[] = {
	{ "=", MATCH_AT_LEAST }, /* not equality: it always was "at least" */
	{ "==", MATCH_EQUAL },
	{ "!=", MATCH_OTHER },
	{ ">=", MATCH_AT_LEAST },
	{ "<=", MATCH_AT_MOST },
	{ "s==", MATCH_TEXT_EQUAL },
	{ "s!=", MATCH_TEXT_OTHER },
	{ "s<", MATCH_TEXT_BELOW },
	{ "s<=", MATCH_TEXT_AT_MOST },
	{ "s>", MATCH_TEXT_ABOVE },
	{ "s>=", MATCH_TEXT_AT_LEAST },
	{ "<in>", MATCH_IN },
	{ "<is>", MATCH_IS },
	{ "<or>", MATCH_OR },
};

static struct word next_word(const char **at)
{
	struct word w;

	while (isspace((unsigned char)**at))
		++*at;
	w.text = *at;
	while (**at && !isspace((unsigned char)**at))
		++*at;
	w.len = (size_t)(*at - w.text);
	return w;
}

static bool word_is(struct word w, const char *text)
{
	return strlen(text) == w.len && !memcmp(w.text, text, w.len);
}

/*
 * A number as people and JSON write it, white space around it allowed: a sign, digits with or without a point, an
 * exponent; or "inf", "infinity". Nothing else that strtod() would take.
 */
bool text_number(const char *text, size_t len, double *ret)
{
	char copy[64], *end;
	const char *digits;

	while (len && isspace((unsigned char)*text))
		text++, len--;
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	if (!len || len >= sizeof copy)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	digits = copy + (*copy == '-' || *copy == '+');
	if (strcasecmp(digits, "inf") != 0 && strcasecmp(digits, "infinity") != 0 &&
		(!strpbrk(digits, "0123456789") || digits[strspn(digits, "0123456789.eE+-")]))
		return false;
	*ret = strtod(copy, &end);
	return !*end;
}

static bool number_of(const struct fact *f, double *ret)
{
	switch (f->kind) {
	case FACT_BOOL:
		*ret = f->integer;
		return true;
	case FACT_INT:
		*ret = (double)f->integer;
		return true;
	case FACT_REAL:
		*ret = f->real;
		return true;
	case FACT_TEXT:
		return text_number(f->text, strlen(f->text), ret);
	default:
		return false;
	}
}

/* The words for true; every other one means false, also one that means nothing. */
static bool word_truth(struct word w)
{
	static const char *const words[] = { "t", "true", "on", "y", "yes", "1" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strlen(words[i]) == w.len && !strncasecmp(w.text, words[i], w.len))
			return true;
	}
	return false;
}

static bool fact_truth(const struct fact *f)
{
	const char *at = f->text;

	switch (f->kind) {
	case FACT_BOOL:
		return f->integer;
	case FACT_INT:
		return f->integer == 1;
	case FACT_TEXT: {
		struct word w = next_word(&at);

		return word_truth(w) && !next_word(&at).len;
	}
	default:
		return false;
	}
}

/* The words after each <or>: the first few; the text from where there may be more. */
static void parse_choices(struct requirement *r, const char *at)
{
	struct word before = { "<or>", strlen("<or>") }, w;

	while ((w = next_word(&at)).len) {
		if (r->choices == REQUIREMENT_CHOICES) {
			r->rest = before.text;
			return;
		}
		if (word_is(before, "<or>"))
			r->choice[r->choices++] = w;
		before = w;
	}
}

void requirement_parse(const char *text, struct requirement *ret)
{
	const char *at = text;
	struct word first;

	*ret = (struct requirement){ .op = text ? MATCH_WHOLE : MATCH_NULL, .text = text };
	if (!text)
		return;
	first = next_word(&at);
	for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
		if (word_is(first, operators[i].word))
			ret->op = operators[i].op;
	}
	if (ret->op == MATCH_WHOLE) {
		ret->operand = (struct word){ text, strlen(text) };
		return;
	}
	if (ret->op == MATCH_OR)
		parse_choices(ret, at);
	ret->operand = next_word(&at); /* further words mean nothing */
	ret->is_number = text_number(ret->operand.text, ret->operand.len, &ret->number);
	ret->truth = word_truth(ret->operand);
}

static bool match_number(const struct requirement *r, const struct fact *f)
{
	double v;

	if (!r->is_number || !number_of(f, &v))
		return false;
	switch (r->op) {
	case MATCH_AT_LEAST:
		return v >= r->number;
	case MATCH_AT_MOST:
		return v <= r->number;
	case MATCH_EQUAL:
		return v == r->number;
	default:
		return v != r->number;
	}
}

static int compare(const char *text, struct word w)
{
	size_t len = strlen(text);
	int order = memcmp(text, w.text, len < w.len ? len : w.len);

	return order ? order : (len > w.len) - (len < w.len);
}

static bool match_text(const struct requirement *r, const struct fact *f)
{
	int order;

	if (f->kind != FACT_TEXT) /* it differs from every text, and has no place in their order */
		return r->op == MATCH_TEXT_OTHER;
	order = compare(f->text, r->operand);
	switch (r->op) {
	case MATCH_TEXT_EQUAL:
		return order == 0;
	case MATCH_TEXT_OTHER:
		return order != 0;
	case MATCH_TEXT_BELOW:
		return order < 0;
	case MATCH_TEXT_AT_MOST:
		return order <= 0;
	case MATCH_TEXT_ABOVE:
		return order > 0;
	default:
		return order >= 0;
	}
}

static bool is_text(const struct fact *f, struct word w)
{
	return f->kind == FACT_TEXT && !strncmp(f->text, w.text, w.len) && !f->text[w.len];
}

/* "<or> a <or> b": one of the words that follow an <or>. */
static bool match_or(const struct requirement *r, const struct fact *f)
{
	const char *at = r->rest;
	struct word before = { "", 0 }, w;

	for (size_t i = 0; i < r->choices; i++) {
		if (is_text(f, r->choice[i]))
			return true;
	}
	while (at && (w = next_word(&at)).len) {
		if (word_is(before, "<or>") && is_text(f, w))
			return true;
		before = w;
	}
	return false;
}

/* An operator without an operand is met by nothing, as is every operator by null. */
static bool match_one(const struct requirement *r, const struct fact *f)
{
	switch (r->op) {
	case MATCH_NULL:
		return f->kind == FACT_NULL;
	case MATCH_WHOLE:
		return is_text(f, r->operand);
	case MATCH_AT_LEAST:
	case MATCH_AT_MOST:
	case MATCH_EQUAL:
	case MATCH_OTHER:
		return match_number(r, f);
	case MATCH_IS:
		return r->operand.len && f->kind != FACT_NULL && f->kind <= FACT_TEXT &&
		       fact_truth(f) == r->truth;
	case MATCH_IN:
		return r->operand.len && f->kind == FACT_TEXT &&
		       memmem(f->text, strlen(f->text), r->operand.text, r->operand.len);
	case MATCH_OR:
		return match_or(r, f);
	default:
		return r->operand.len && f->kind != FACT_NULL && f->kind <= FACT_TEXT &&
		       match_text(r, f);
	}
}

bool requirement_met(const struct requirement *r, const struct fact *f)
{
	if (f->kind != FACT_LIST)
		return match_one(r, f);
	for (uint32_t i = 0; i < f->count; i++) {
		if (match_one(r, &f->item[i]))
			return true;
	}
	return false;
}

bool match(const struct fact *capability, const char *requirement)
{
	struct requirement r;

	requirement_parse(requirement, &r);
	return requirement_met(&r, capability);
}

int match_json(const json_t *capability, const char *requirement, bool *ret, struct err *err)
{
	const struct path path = path_of("value", strlen("value"));
	struct facts *f = NULL;
	json_t *object = json_object();
	int r;

	if (!object || json_object_set(object, "value", (json_t *)(uintptr_t)capability) < 0)
		r = err_set(err, -ENOMEM, "out of memory");
	else
		r = facts_new(object, &f, err);
	if (r == 0)
		*ret = match(facts_find(f, &path), requirement);
	facts_free(f);
	json_decref(object);
	return r;
}
