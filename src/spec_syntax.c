/*
 * The two syntaxes of a spec: words as in POSIX sh, and one JSON object. Both give each key and
 * value to spec_take() with the offsets where they stand.
 *
 * Words: '…' takes everything as it is; in "…" a backslash escapes $ ` " \ and nothing else;
 * outside it escapes any character. A backslash before the end of a line joins the lines. A quote
 * that is open at the end of its line is an error: no value has a line break in it, so the closing
 * quote was forgotten, and saying so there beats swallowing the rest of the file.
 *
 * While more may follow, words are judged up to the last complete line. Where that line is
 * continued (a backslash at its end) its last word is not judged either.
 */
#include "base/cleanup.h"
#include "base/text.h"
#include "spec_internal.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistr.h>

/* Where an error is. */

/* Columns count characters, as editors do. */
static void position(const struct spec_reader *r, size_t at, size_t *ret_line, size_t *ret_column)
{
	*ret_line = *ret_column = 1;
	for (size_t i = 0; i < at && i < r->len; i++) {
		if (r->text[i] == '\n') {
			++*ret_line;
			*ret_column = 1;
		} else if ((r->text[i] & 0xc0) != 0x80)
			++*ret_column;
	}
}

int spec_fail(struct spec_reader *r, size_t at, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	(void)err_set(r->err, code, "%s", text);
	return spec_fail_in(r, at);
}

int spec_fail_in(struct spec_reader *r, size_t at)
{
	size_t line, column;

	position(r, at, &line, &column);
	return err_in(r->err, "line %zu, column %zu", line, column);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* UTF-8, and of the control characters only those that part words. */
static int check_bytes(struct spec_reader *r)
{
	const uint8_t *text = (const uint8_t *)r->text;
	const uint8_t *bad = r->len ? u8_check(text, r->len) : NULL;
	size_t good = bad ? (size_t)(bad - text) : r->len;

	for (size_t i = 0; i < good; i++) {
		uint8_t c = text[i];
		bool c1 = c == 0xc2 && i + 1 < good && text[i + 1] < 0xa0;
		bool line_end = c == '\r' && i + 1 < r->len && text[i + 1] == '\n';

		if (c1 || c == 0x7f || (c < ' ' && c != '\t' && c != '\n' && !line_end))
			return spec_fail(
				r, i, -EINVAL, "control character U+%04X", c1 ? text[i + 1] : c);
	}
	return bad ? spec_fail(r, good, -EINVAL, "not valid UTF-8") : 0;
}

/* Words. */

struct word {
	struct buf text; /* without its quotes */
	size_t at;	 /* offset of its first byte */
	size_t equals;	 /* index of the first '=' in text; SIZE_MAX: none */
	size_t value_at; /* offset of what follows it */
};

static void put(struct word *w, const struct spec_reader *r, size_t at)
{
	if (r->text[at] == '=' && w->equals == SIZE_MAX) {
		w->equals = w->text.len;
		w->value_at = at + 1;
	}
	buf_addc(&w->text, r->text[at]);
}

/* Length of the line end at `at`: 0 if there is none. */
static size_t line_end(const struct spec_reader *r, size_t at)
{
	if (at < r->len && r->text[at] == '\n')
		return 1;
	return at + 1 < r->len && r->text[at] == '\r' && r->text[at + 1] == '\n' ? 2 : 0;
}

/* From an opening quote at *at to behind the closing one; or to the end of the text, if that may be
 * continued. */
static int read_quoted(struct spec_reader *r, struct word *w, bool whole, size_t *at)
{
	size_t open = *at, i = open + 1;
	char quote = r->text[open];

	for (; i < r->len && !line_end(r, i); i++) {
		bool escape = quote == '"' && r->text[i] == '\\';
		size_t end = escape ? line_end(r, i + 1) : 0;

		if (r->text[i] == quote) {
			*at = i + 1;
			return 0;
		}
		if (end) {
			i += end;
			continue;
		}
		if (escape && i + 1 < r->len && strchr("$`\"\\", r->text[i + 1]))
			i++;
		put(w, r, i);
	}
	if (i >= r->len && !whole) {
		*at = r->len;
		return 0;
	}
	return spec_fail(r, open, -EINVAL, "the quote is not closed on its line");
}

static int read_word(struct spec_reader *r, struct word *w, bool whole, size_t *at)
{
	size_t i = *at;
	int code = 0;

	buf_clear(&w->text);
	w->at = i;
	w->equals = SIZE_MAX;
	while (i < r->len && !is_blank(r->text[i]) && code == 0) {
		char c = r->text[i];

		if (c == '\'' || c == '"') {
			code = read_quoted(r, w, whole, &i);
			continue;
		}
		if (c == '\\') {
			size_t end = line_end(r, ++i);

			if (end) {
				i += end;
				continue;
			}
			if (i >= r->len)
				return spec_fail(
					r, i - 1, -EINVAL, "nothing follows the backslash");
		}
		put(w, r, i++);
	}
	*at = i;
	return code;
}

static int take_word(struct spec_reader *r, struct word *w)
{
	char shown[TEXT_SHOWN_MAX];
	char *key = w->text.at;

	if (buf_failed(&w->text))
		return err_set(r->err, -ENOMEM, "out of memory");
	if (w->equals == SIZE_MAX) {
		/* a word of nothing but continued lines */
		if (!key || !w->text.len)
			return 0;
		return spec_fail(
			r, w->at, -EINVAL, "'%s' is not key=value", text_shown(key, shown));
	}
	if (w->equals == 0)
		return spec_fail(r, w->at, -EINVAL, "'%s' has no key", text_shown(key, shown));
	key[w->equals] = '\0';
	return spec_take(r, key, w->at, key + w->equals + 1, w->value_at);
}

static size_t skip_comment(const struct spec_reader *r, size_t at)
{
	while (at < r->len && r->text[at] != '\n')
		at++;
	return at;
}

int spec_read_words(struct spec_reader *r, bool whole)
{
	struct word w = { 0 };
	int code;

	while (!whole && r->len && r->text[r->len - 1] != '\n')
		r->len--;
	code = check_bytes(r);
	for (size_t at = 0; code == 0 && at < r->len;) {
		if (is_blank(r->text[at]))
			at++;
		else if (r->text[at] == '#')
			at = skip_comment(r, at);
		else {
			code = read_word(r, &w, whole, &at);
			/* text that is to be continued ends in a line end: only a joined line ends
			 * the word here */
			if (code == 0 && !whole && at == r->len)
				break;
			if (code == 0)
				code = take_word(r, &w);
		}
	}
	buf_release(&w.text);
	return code;
}

/*
 * JSON. Jansson keeps no positions, but the order of keys: a cursor walks the text, which Jansson
 * has found valid, beside its objects.
 */

struct cursor {
	size_t at;
	size_t key_at, value_at; /* of the key that was reached last */
};

static size_t skip_string(const struct spec_reader *r, size_t at)
{
	for (at++; at < r->len && r->text[at] != '"'; at++) {
		if (r->text[at] == '\\')
			at++;
	}
	return at + 1;
}

static size_t skip_blanks(const struct spec_reader *r, size_t at)
{
	while (at < r->len && is_blank(r->text[at]))
		at++;
	return at;
}

/* The next string that a colon follows. */
static void cursor_next(const struct spec_reader *r, struct cursor *c)
{
	while (c->at < r->len) {
		size_t key_at = c->at;

		if (r->text[c->at] != '"') {
			c->at++;
			continue;
		}
		c->at = skip_blanks(r, skip_string(r, c->at));
		if (c->at < r->len && r->text[c->at] == ':') {
			c->key_at = key_at;
			c->value_at = skip_blanks(r, c->at + 1);
			c->at = c->value_at;
			return;
		}
	}
}

/* A number is taken as it is written: 1e3 is not 1000, and 0.10 keeps its zero. */
static int take_number(struct spec_reader *r, const char *key, const struct cursor *c)
{
	struct buf literal = { 0 };
	size_t end = c->value_at;
	int code;

	while (end < r->len && !is_blank(r->text[end]) && !strchr(",}]", r->text[end]))
		end++;
	buf_add(&literal, r->text + c->value_at, end - c->value_at);
	code = buf_failed(&literal) ? err_set(r->err, -ENOMEM, "out of memory")
				    : spec_take(r, key, c->key_at, buf_text(&literal), c->value_at);
	buf_release(&literal);
	return code;
}

/* From the bracket where a list or an object begins to its end, without the blanks between. Cut from the text and not written
 * anew: so its numbers and texts stay as they are. */
static size_t add_compact(const struct spec_reader *r, size_t at, struct buf *out)
{
	size_t depth = 0;

	do {
		size_t from = at;

		at = r->text[at] == '"' ? skip_string(r, at) : at + 1;
		if (is_blank(r->text[from]))
			continue;
		depth += strchr("[{", r->text[from]) != NULL;
		depth -= strchr("]}", r->text[from]) != NULL;
		buf_add(out, r->text + from, at - from);
	} while (depth > 0 && at < r->len);
	return at;
}

static int add_names(
	struct spec_reader *r, const char *key, json_t *list, size_t at, struct buf *out)
{
	json_t *name;
	size_t i;

	json_array_foreach(list, i, name)
	{
		const char *text = json_string_value(name);

		if (!text || !*text || strchr(text, ','))
			return spec_fail(r, at, -EINVAL,
				"the list '%s' must hold names, each a text without a comma", key);
		buf_addf(out, "%s%s", i ? "," : "", text);
	}
	return 0;
}

/* The text that the words would give. The cursor goes behind the value: no string in it is a key. */
static int take_list(struct spec_reader *r, const char *key, json_t *value, struct cursor *c)
{
	struct buf compact = { 0 }, names = { 0 };
	bool any = spec_key_json(key) == SPEC_JSON_ANY;
	int code = any ? 0 : add_names(r, key, value, c->value_at, &names);

	c->at = add_compact(r, c->value_at, &compact);
	if (buf_failed(&compact) || buf_failed(&names))
		code = err_set(r->err, -ENOMEM, "out of memory");
	if (code == 0)
		code = spec_take(r, key, c->key_at, buf_text(any ? &compact : &names), c->value_at);
	buf_release(&compact);
	buf_release(&names);
	return code;
}

static int take_json(struct spec_reader *r, const char *key, json_t *value, struct cursor *c)
{
	static const char *const also[] = { "text or a number", "text or a list of names",
		"text, a list or an object" };
	enum spec_json may = spec_key_json(key);
	char shown[TEXT_SHOWN_MAX];

	if (json_is_string(value))
		return spec_take(r, key, c->key_at, json_string_value(value), c->value_at);
	if (json_is_number(value))
		return take_number(r, key, c);
	if ((json_is_array(value) && may != SPEC_JSON_PLAIN) ||
		(json_is_object(value) && may == SPEC_JSON_ANY))
		return take_list(r, key, value, c);
	return spec_fail(r, c->value_at, -EINVAL, "the value of '%s' must be %s",
		text_shown(key, shown), also[may]);
}

/* {"metadata": {"k": "v"}} is {"metadata.k": "v"}. */
static int take_nested(struct spec_reader *r, json_t *object, struct cursor *c)
{
	struct buf name = { 0 };
	const char *key;
	json_t *value;
	int code = 0;

	json_object_foreach(object, key, value)
	{
		cursor_next(r, c);
		buf_clear(&name);
		buf_addf(&name, "metadata.%s", key);
		code = buf_failed(&name) ? err_set(r->err, -ENOMEM, "out of memory")
					 : take_json(r, buf_text(&name), value, c);
		if (code < 0)
			break;
	}
	buf_release(&name);
	return code;
}

static int take_object(struct spec_reader *r, json_t *object)
{
	struct cursor c = { 0 };
	const char *key;
	json_t *value;
	int code = 0;

	json_object_foreach(object, key, value)
	{
		cursor_next(r, &c);
		if (!strcmp(key, "metadata") && json_is_object(value))
			code = take_nested(r, value, &c);
		else
			code = take_json(r, key, value, &c);
		if (code < 0)
			break;
	}
	return code;
}

static int json_twice(struct spec_reader *r, size_t end)
{
	struct buf key = { 0 };
	char shown[TEXT_SHOWN_MAX];
	size_t at = end;
	int code;

	while (at > 0 && r->text[at - 1] != '"')
		at--;
	buf_add(&key, r->text + at, end - at);
	code = spec_fail(r, at ? at - 1 : 0, -EINVAL, "key '%s' is given twice",
		text_shown(buf_text(&key), shown));
	buf_release(&key);
	return code;
}

/* Jansson points at the end of a token and quotes it after " near ": how many bytes it began before
 * its last one. */
static size_t token_before(const struct spec_reader *r, size_t last, const char *near)
{
	const char *token = near ? strchr(near, '\'') : NULL;
	size_t n = token ? strlen(token + 1) - 1 : 0; /* without its quotes */

	if (n == 0 || n > last + 1 || memcmp(r->text + last + 1 - n, token + 1, n) != 0)
		return 0;
	return n - 1;
}

static int json_failed(struct spec_reader *r, json_error_t *e, bool whole)
{
	enum json_error_code code = json_error_code(e);
	size_t at = e->position > 0 ? (size_t)e->position - 1 : 0;
	char *near = strstr(e->text, " near ");

	/* where it has no memory for its own state, Jansson says nothing at all */
	if (code == json_error_out_of_memory || !e->text[0])
		return err_set(r->err, -ENOMEM, "out of memory");
	/* half a token at the very end looks wrong, and may yet become right */
	if (!whole && (code == json_error_premature_end_of_input || at + 1 >= r->len))
		return 0;
	if (at >= r->len)
		at = r->len - 1;
	if (code == json_error_duplicate_key)
		return json_twice(r, at);
	at -= token_before(r, at, near);
	if (near) /* what follows may be cut in the middle of a character */
		*near = '\0';
	return spec_fail(r, at, -EINVAL, "not JSON: %s", e->text);
}

/* A character that the next write may complete, or half a CR LF, is not judged yet. */
static void leave_half_character(struct spec_reader *r)
{
	size_t n = 0;
	ucs4_t c;

	while (n < 3 && n + 1 < r->len && (r->text[r->len - 1 - n] & 0xc0) == 0x80)
		n++;
	n++;
	if (u8_mbtoucr(&c, (const uint8_t *)r->text + r->len - n, n) == -2 ||
		r->text[r->len - 1] == '\r')
		r->len -= r->text[r->len - 1] == '\r' ? 1 : n;
}

int spec_read_json(struct spec_reader *r, bool whole)
{
	json_error_t e;
	json_t *object;
	int code;

	if (!whole)
		leave_half_character(r);
	code = check_bytes(r);
	if (code < 0)
		return code;
	object = json_loadb(r->text, r->len, JSON_REJECT_DUPLICATES, &e);
	if (!object)
		return json_failed(r, &e, whole);
	code = take_object(r, object);
	json_decref(object);
	return code;
}
