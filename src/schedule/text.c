/*
 * The document's text. It may have a million requests, so it never becomes one tree of JSON: this walks its top level and
 * hands what it meets to jansson element by element.
 */
#include "base/text.h"
#include "schedule/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int text_read(int fd, struct text *ret, struct err *err)
{
	struct text t = { 0 };
	size_t room = 0;
	ssize_t n = 1;

	while (n != 0) {
		if (t.len == room) {
			char *more = realloc(t.at, room = room ? 2 * room : 65536);

			if (!more) {
				free(t.at);
				return err_set(err, -ENOMEM, "out of memory");
			}
			t.at = more;
		}
		n = read(fd, t.at + t.len, room - t.len);
		if (n < 0 && errno != EINTR) {
			free(t.at);
			return err_set(
				err, -errno, "cannot read the document: %s", strerror(errno));
		}
		t.len += n > 0 ? (size_t)n : 0;
	}
	*ret = t;
	return 0;
}

void text_release(struct text *t)
{
	free(t->at);
	*t = (struct text){ 0 };
}

int text_fail(const struct text *t, size_t pos, const char *why, struct err *err)
{
	size_t line = 1, column = 1;

	for (size_t i = 0; i < pos && i < t->len; i++) {
		if (t->at[i] == '\n') {
			line++;
			column = 1;
		} else {
			column += (t->at[i] & 0xc0) != 0x80;
		}
	}
	return err_set(err, -EINVAL, "line %zu, column %zu: %s", line, column, why);
}

json_t *text_value(struct text *t, struct err *err)
{
	const size_t flags = JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY | JSON_REJECT_DUPLICATES;
	char shown[TEXT_SHOWN_MAX];
	json_error_t error;
	json_t *value = json_loadb(t->at + t->pos, t->len - t->pos, flags, &error);

	if (value) {
		t->pos += (size_t)error.position;
		return value;
	}
	if (json_error_code(&error) == json_error_out_of_memory)
		(void)err_set(err, -ENOMEM, "out of memory");
	else
		(void)text_fail(
			t, t->pos + (size_t)error.position, text_shown(error.text, shown), err);
	return NULL;
}

/* The next character that is no white space; 0 at the end. */
static char peek(struct text *t)
{
	while (t->pos < t->len && strchr(" \t\r\n", t->at[t->pos]) && t->at[t->pos])
		t->pos++;
	return t->pos < t->len ? t->at[t->pos] : '\0';
}

static int want(struct text *t, char c, const char *otherwise, struct err *err)
{
	if (peek(t) != c)
		return text_fail(t, t->pos, otherwise, err);
	t->pos++;
	return 0;
}

/* After an element: true where another follows. */
static int want_more(struct text *t, char end, const char *otherwise, struct err *err)
{
	char c = peek(t);

	if (c != ',' && c != end)
		return text_fail(t, t->pos, otherwise, err);
	t->pos++;
	return c == ',';
}

int text_array(struct text *t, int (*take)(void *to, json_t *element, size_t i, struct err *err),
	void *to, struct err *err)
{
	int r = want(t, '[', "expected '[', the begin of a list", err);

	if (r == 0 && peek(t) == ']') {
		t->pos++;
		return 0;
	}
	r = r < 0 ? r : 1;
	for (size_t i = 0; r > 0; i++) {
		json_t *element = (peek(t), text_value(t, err));

		if (!element)
			return -EINVAL;
		r = take(to, element, i, err);
		json_decref(element);
		if (r == 0)
			r = want_more(t, ']', "expected ',' or ']'", err);
	}
	return r;
}

static int take_member(struct text *t, int (*take)(void *to, const char *key, struct err *err),
	void *to, struct err *err)
{
	json_t *key = peek(t) == '"' ? text_value(t, err) : NULL;
	int r = 0;

	if (!key)
		return t->pos < t->len && t->at[t->pos] == '"'
			       ? -EINVAL
			       : text_fail(t, t->pos, "expected a key in double quotes", err);
	r = want(t, ':', "expected ':'", err);
	if (r == 0) {
		(void)peek(t);
		r = take(to, json_string_value(key), err);
	}
	json_decref(key);
	return r;
}

int text_object(struct text *t, int (*take)(void *to, const char *key, struct err *err), void *to,
	struct err *err)
{
	int r = want(t, '{', "expected '{', the begin of the document", err);

	if (r == 0 && peek(t) == '}') {
		t->pos++;
		return 0;
	}
	r = r < 0 ? r : 1;
	while (r > 0) {
		r = take_member(t, take, to, err);
		if (r == 0)
			r = want_more(t, '}', "expected ',' or '}'", err);
	}
	return r;
}

int text_end(struct text *t, struct err *err)
{
	(void)peek(t);
	return t->pos == t->len
		       ? 0
		       : text_fail(t, t->pos, "something follows the end of the document", err);
}
