/*
 * A JSON object made compact. A choice asks ten thousand backends for the same capability: as JSON that would be
 * a handful of scattered cache lines for each of them; here it is one block,
 *
 *	header | slots | entries, each with its path and its text | items of lists | their texts
 *
 * and a value is found by the hash of its path: the slot, then the entry. The members of nested maps are entries
 * of the same table: {"a": {"b": 1}} has the paths "a" and "a\0b". (A key may contain any character but NUL.)
 */
#include "base/cleanup.h"
#include "base/text.h"
#include "sched/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 16, SIZE_MAX_BYTES = UINT16_MAX * 8 };

/* Made in two passes over the same code: the first counts, the second fills. */
struct maker {
	size_t entries, entry_bytes, items, bytes; /* counted */
	struct facts *f;			   /* NULL while counting */
	uint32_t next;				   /* offset of the next entry */
	struct fact *item;
	char *text;
	struct buf path; /* of the member that is looked at */
	struct err *err;
};

static size_t round_up(size_t n)
{
	return (n + FACTS_UNIT - 1) & ~(size_t)(FACTS_UNIT - 1);
}

uint64_t path_hash(const char *text, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	return hash ^ hash >> 32;
}

struct path path_of(const char *text, size_t len)
{
	return (struct path){ .hash = path_hash(text, len), .text = text, .len = (uint32_t)len };
}

static const char *keep(struct maker *m, const char *text, size_t len)
{
	char *to = m->text;

	m->bytes += len + 1;
	if (!to)
		return NULL;
	m->text += len + 1;
	to[len] = '\0';
	return memcpy(to, text, len);
}

static struct fact make_value(struct maker *m, const json_t *json);

static struct fact make_list(struct maker *m, const json_t *json)
{
	size_t n = json_array_size(json);
	struct fact list = { .kind = FACT_LIST, .count = (uint32_t)n, .item = m->item };
	struct fact *to = m->item;

	m->items += n;
	if (to)
		m->item += n;
	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(json, i);
		/* nothing asks for what is in a list in a list */
		struct fact value = { .kind = FACT_LIST };

		if (!json_is_array(item))
			value = make_value(m, item);
		if (to)
			to[i] = value;
	}
	return list;
}

static struct fact make_value(struct maker *m, const json_t *json)
{
	switch (json_typeof(json)) {
	case JSON_TRUE:
	case JSON_FALSE:
		return (struct fact){ .kind = FACT_BOOL, .integer = json_is_true(json) };
	case JSON_INTEGER:
		return (struct fact){ .kind = FACT_INT, .integer = json_integer_value(json) };
	case JSON_REAL:
		return (struct fact){ .kind = FACT_REAL, .real = json_real_value(json) };
	case JSON_STRING:
		return (struct fact){ .kind = FACT_TEXT,
			.text = keep(m, json_string_value(json), json_string_length(json)) };
	case JSON_ARRAY:
		return make_list(m, json);
	case JSON_OBJECT:
		return (struct fact){ .kind = FACT_MAP, .count = (uint32_t)json_object_size(json) };
	default:
		return (struct fact){ .kind = FACT_NULL };
	}
}

static void take_slot(struct facts *f, uint64_t hash, uint32_t offset)
{
	while (f->slot[hash & f->mask])
		hash++;
	f->slot[hash & f->mask] = (uint16_t)(offset / FACTS_UNIT);
}

static void make_entry(struct maker *m, const json_t *value)
{
	const char *path = buf_text(&m->path), *text = json_string_value(value);
	size_t len = m->path.len, text_room = text ? json_string_length(value) + 1 : 0;
	size_t size = round_up(sizeof(struct fact_entry) + len + 1 + text_room);
	struct fact_entry *e;

	m->entries++;
	m->entry_bytes += size;
	if (!m->f) {
		(void)(text ? (struct fact){ 0 } : make_value(m, value));
		return;
	}
	e = facts_entry(m->f, m->next);
	e->hash = path_hash(path, len);
	e->len = (uint32_t)len;
	e->size = (uint32_t)size;
	memcpy(e->path, path, len + 1);
	if (text)
		e->value = (struct fact){ .kind = FACT_TEXT,
			.text = memcpy(e->path + len + 1, text, text_room) };
	else
		e->value = make_value(m, value);
	take_slot(m->f, e->hash, m->next);
	m->next += e->size;
}

static void path_cut(struct buf *path, size_t len)
{
	if (path->at)
		path->at[len] = '\0';
	path->len = len;
}

static int make_map(struct maker *m, const json_t *object, unsigned depth)
{
	json_t *map = (json_t *)(uintptr_t)object; /* iterators of jansson know no const */
	size_t was = m->path.len;
	const char *key;
	json_t *value;
	int r = 0;

	if (depth > DEPTH_MAX)
		return err_set(m->err, -EINVAL, "is nested more than %d levels deep", DEPTH_MAX);
	json_object_foreach(map, key, value)
	{
		if (depth > 1)
			buf_addc(&m->path, '\0');
		buf_adds(&m->path, key);
		if (buf_failed(&m->path))
			return err_set(m->err, -ENOMEM, "out of memory");
		make_entry(m, value);
		if (json_is_object(value))
			r = make_map(m, value, depth + 1);
		path_cut(&m->path, was);
		if (r < 0)
			return r;
	}
	return 0;
}

static int make_block(struct maker *m, const json_t *object, struct facts **ret)
{
	size_t slots = 4, first, items, texts;
	struct facts *f;

	while (slots < m->entries + m->entries / 2)
		slots *= 2;
	first = round_up(sizeof *f + slots * sizeof f->slot[0]);
	items = first + m->entry_bytes;
	texts = items + m->items * sizeof *m->item;
	if (items > SIZE_MAX_BYTES || m->items > SIZE_MAX_BYTES)
		return err_set(m->err, -EINVAL, "is too large");
	f = calloc(1, texts + m->bytes + 1);
	if (!f)
		return err_set(m->err, -ENOMEM, "out of memory");
	f->mask = (uint32_t)slots - 1;
	f->first = m->next = (uint32_t)first;
	f->end = (uint32_t)items;
	m->f = f;
	m->item = (struct fact *)(void *)((char *)f + items);
	m->text = (char *)f + texts;
	if (object && make_map(m, object, 1) <
			      0) { /* of memory: the first pass has found no other fault */
		free(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

int facts_new(const json_t *object, struct facts **ret, struct err *err)
{
	struct maker m = { .err = err };
	int r = object ? make_map(&m, object, 1) : 0;

	if (r == 0)
		r = make_block(&m, object, ret);
	buf_release(&m.path);
	return r;
}

void facts_free(struct facts *f)
{
	free(f);
}

const struct fact *facts_next(const struct facts *f, uint32_t *at, struct path *ret_path)
{
	const struct fact_entry *e;

	if (!*at)
		*at = f->first;
	if (*at == f->end)
		return NULL;
	e = facts_entry(f, *at);
	*at += e->size;
	*ret_path = (struct path){ .hash = e->hash, .text = e->path, .len = e->len };
	return &e->value;
}

bool fact_is_something(const struct fact *f)
{
	switch (f->kind) {
	case FACT_BOOL:
	case FACT_INT:
		return f->integer != 0;
	case FACT_REAL:
		return f->real != 0;
	case FACT_TEXT:
		return *f->text;
	case FACT_LIST:
	case FACT_MAP:
		return f->count > 0;
	default:
		return false;
	}
}

/* As JSON, for people and for those who read it again: the shortest digits that say the same number. */

void number_json(double number, struct buf *out)
{
	char text[40];

	if (!isfinite(number)) {
		buf_adds(out, "null");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(text, sizeof text, "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
	buf_adds(out, text);
	if (!strpbrk(text, ".e"))
		buf_adds(out, ".0");
}

static void list_json(const struct fact *f, struct buf *out)
{
	buf_addc(out, '[');
	for (uint32_t i = 0; i < f->count; i++) {
		buf_adds(out, i ? ", " : "");
		if (f->item[i].kind == FACT_LIST) /* what is in it was not kept */
			buf_adds(out, "[]");
		else
			fact_json(&f->item[i], out);
	}
	buf_addc(out, ']');
}

void fact_json(const struct fact *f, struct buf *out)
{
	switch (f->kind) {
	case FACT_NULL:
		buf_adds(out, "null");
		return;
	case FACT_BOOL:
		buf_adds(out, f->integer ? "true" : "false");
		return;
	case FACT_INT:
		buf_addf(out, "%" PRId64, f->integer);
		return;
	case FACT_REAL:
		number_json(f->real, out);
		return;
	case FACT_TEXT:
		text_json(out, f->text);
		return;
	case FACT_LIST:
		list_json(f, out);
		return;
	case FACT_MAP:
		buf_adds(out, "{…}");
		return;
	}
}
