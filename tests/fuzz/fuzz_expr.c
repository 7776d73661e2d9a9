/*
 * Any text as a filter or goodness function: the first line is the expression, the rest the variables as JSON. Held:
 *  - a failure has a plain sentence that begins with the column, or with its length; the same one twice;
 *  - a value is a boolean, a finite number or a text, and is JSON;
 *  - parentheses around the whole change nothing but columns.
 */
#include "base/text.h"
#include "sched/sched.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int value_of(const char *text, const struct facts *variables, struct buf *ret)
{
	struct expr *e = NULL;
	struct err err = { 0 };
	struct fact value;
	int r;

	assert(expr_new(text, &e, NULL) == 0);
	r = expr_value(e, variables, &value, &err);
	if (r < 0) {
		assert(r == -EINVAL && err.code == r);
		assert(!strncmp(err.text, "column ", 7) || !strncmp(err.text, "it is longer", 12));
		assert(text_is_plain(err.text, strlen(err.text)));
		assert(expr_value(e, variables, &value, NULL) == r);
	} else {
		assert(expr_check(e, NULL) == 0 && !err.text[0]);
		assert(value.kind == FACT_BOOL || value.kind == FACT_INT ||
			value.kind == FACT_REAL || value.kind == FACT_TEXT);
		fact_json(&value, ret);
	}
	expr_free(e);
	return r;
}

static void check_json(const struct buf *text)
{
	json_t *json = json_loads(buf_text(text), JSON_DECODE_ANY, NULL);

	assert(json && !json_is_null(json));
	json_decref(json);
}

static void check(const char *text, const struct facts *variables)
{
	struct buf once = { 0 }, twice = { 0 }, around = { 0 };
	int r = value_of(text, variables, &once);

	buf_addf(&around, "(%s)", text);
	if (r == 0) {
		check_json(&once);
		assert(value_of(text, variables, &twice) == 0 &&
			!strcmp(buf_text(&once), buf_text(&twice)));
		buf_clear(&twice);
		/* one level more may be one too many */
		if (value_of(buf_text(&around), variables, &twice) == 0)
			assert(!strcmp(buf_text(&once), buf_text(&twice)));
	}
	buf_release(&once);
	buf_release(&twice);
	buf_release(&around);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = memchr(data, '\n', len);
	size_t n = end ? (size_t)(end - data) : len;
	struct facts *variables = NULL;
	json_t *json = end ? json_loadb((const char *)end + 1, len - n - 1, 0, NULL) : NULL;
	char *text = strndup((const char *)data, n);

	if (json_is_object(json))
		(void)facts_new(json, &variables, NULL);
	/* documents and configurations have no other texts */
	if (text_is_plain(text, strlen(text)))
		check(text, variables);
	facts_free(variables);
	json_decref(json);
	free(text);
	return 0;
}
