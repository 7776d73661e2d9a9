/*
 * Every image of a pool, and what interrupted changes left over, page by page over the connection with time-outs.
 *
 *      rbd_directory   omap   name_<name> → id
 *      rbd_trash       omap   id_<id> → who, name, …
 *      all objects            rbd_id.<name>, rbd_header.<id>, rbd_object_map.<id>[.<snapshot>]: of a name or an id that neither has
 *
 * Somebody may be making or removing an image meanwhile, so what seems to be left over is asked for once more before it is told.
 */
#include "rbd/internal.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "rbd/encode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 512 };

struct listing {
	struct rb_pool *p;
	int (*each)(void *arg, const struct driver_found *found);
	void *arg;
	bool parts;
	struct words {
		char **at;
		size_t n, room;
	} names,
		ids; /* that directory and trash have; sorted before the objects are looked through */
};

/* --- words */

static int words_add(struct words *w, const char *word)
{
	char *copy = strdup(word);

	if (copy && w->n == w->room) {
		size_t room = w->room * 2 + 256;
		char **at = realloc(w->at, room * sizeof *at);

		if (!at) {
			free(copy);
			return -ENOMEM;
		}
		w->at = at;
		w->room = room;
	}
	if (!copy)
		return -ENOMEM;
	w->at[w->n++] = copy;
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void words_sort(struct words *w)
{
	if (w->n)
		qsort(w->at, w->n, sizeof *w->at, by_text);
}

static bool words_have(const struct words *w, const char *word)
{
	return w->n && bsearch(&word, w->at, w->n, sizeof *w->at, by_text);
}

static void words_release(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->at[i]);
	free(w->at);
}

/* --- the omap of an object */

/* Keys with that prefix, which is taken off. What each() returns < 0 ends it. Without the object there is nothing. */
typedef int each_entry(struct listing *l, const char *key, struct dec *value);

static int walk_page(struct listing *l, rados_omap_iter_t iter, const char *prefix, char **last,
	each_entry *each)
{
	char *key, *value;
	size_t key_len, len;
	int r = 0;

	while (r >= 0 && rados_omap_get_next2(iter, &key, &value, &key_len, &len) >= 0 && key) {
		struct dec d = { value, len, false };

		free(*last);
		*last = strndup(key, key_len);
		r = *last ? each(l, *last + strlen(prefix), &d) : -ENOMEM;
	}
	return r;
}

static int walk(struct listing *l, const char *object, const char *prefix, each_entry *each)
{
	CLEANUP_FREE char *last = strdup("");
	unsigned char more = 1;
	int r = last ? 0 : -ENOMEM;

	while (r >= 0 && more) {
		rados_read_op_t op = rados_create_read_op();
		rados_omap_iter_t iter;
		int code = 0;

		rados_read_op_omap_get_vals2(op, last, prefix, PAGE, &iter, &more, &code);
		r = rados_read_op_operate(op, l->p->io, object, 0);
		r = r < 0 ? r : code;
		if (r >= 0)
			r = walk_page(l, iter, prefix, &last, each);
		rados_omap_get_end(iter); /* it is there also without an answer */
		rados_release_read_op(op);
	}
	return r == -ENOENT ? 0 : r;
}

/* --- what is told */

/* A name that no file can have is not told. */
static int tell(struct listing *l, const char *name, const char *id, bool parts)
{
	struct driver_found found = { .parts = parts };

	if (strlen(name) > NAME_LEN)
		return 0;
	(void)snprintf(found.name, sizeof found.name, "%s", name);
	if (strlen(id) <= IMAGE_ID_LEN)
		(void)snprintf(found.image_id, sizeof found.image_id, "%s", id);
	(void)text_uuid_within(name, "volume-", "", found.uuid);
	return l->each(l->arg, &found);
}

static int know(struct listing *l, const char *name, const char *id)
{
	int r = l->parts ? words_add(&l->ids, id) : 0;

	return r >= 0 && l->parts && name ? words_add(&l->names, name) : r;
}

static int each_image(struct listing *l, const char *name, struct dec *value)
{
	char id[RB_NAME_ROOM];
	int r;

	dec_string(value, id, sizeof id);
	if (value->bad)
		return -EBADMSG;
	r = know(l, name, id);
	return r < 0 ? r : tell(l, name, id, false);
}

/* What a person put there, too: who asks decides by the name whose it is. */
static int each_trashed(struct listing *l, const char *id, struct dec *value)
{
	char name[NAME_LEN + 1];
	int r = know(l, NULL, id);

	dec_begin(value);
	(void)dec_u8(value); /* who put it there */
	dec_string(value, name, sizeof name);
	if (r < 0 || value->bad)
		return r;
	return tell(l, name, id, true);
}

/* --- objects that nobody leads to */

static const char *behind(const char *object, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(object, prefix, n) ? NULL : object + n;
}

static bool in_trash(struct listing *l, const char *id)
{
	char found[RB_NAME_ROOM];

	return rb_trash_find(l->p, "", id, found) >= 0;
}

/* The id object of a name that the directory has not: of an image that is nowhere, or that has another name since. */
static int tell_id_object(struct listing *l, const char *name)
{
	char id[RB_NAME_ROOM], is[NAME_LEN + 1];
	int r = strlen(name) > NAME_LEN ? -ENOENT : rb_format_find(l->p, name, id);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = rb_format_name_of(l->p, id, is);
	if (r >= 0)
		return strcmp(is, name) ? tell(l, name, "", true) : 0;
	return r == -ENOENT ? tell(l, name, id, true) : r;
}

/* A header or an object map. */
static int tell_part(struct listing *l, const char *object, const char *of)
{
	char id[RB_NAME_ROOM], is[NAME_LEN + 1];
	int r;

	(void)snprintf(id, sizeof id, "%.*s", (int)strcspn(of, "."), of);
	if (words_have(&l->ids, id))
		return 0;
	r = rb_format_name_of(l->p, id, is);
	if (r != -ENOENT || in_trash(l, id))
		return r == -ENOENT ? 0 : r;
	r = rados_stat(l->p->io, object, NULL, NULL);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return tell(l, object, id, true);
}

static int each_object(struct listing *l, const char *object)
{
	const char *of = behind(object, "rbd_id.");

	if (of)
		return words_have(&l->names, of) ? 0 : tell_id_object(l, of);
	of = behind(object, "rbd_header.");
	of = of ? of : behind(object, "rbd_object_map.");
	return of ? tell_part(l, object, of) : 0;
}

static int walk_objects(struct listing *l)
{
	rados_list_ctx_t list;
	const char *object;
	int r = rados_nobjects_list_open(l->p->io, &list), end = 0;

	if (r < 0)
		return r;
	words_sort(&l->names);
	words_sort(&l->ids);
	while (r >= 0 && (end = rados_nobjects_list_next(list, &object, NULL, NULL)) >= 0)
		r = each_object(l, object);
	rados_nobjects_list_close(list);
	if (r >= 0 && end != -ENOENT)
		r = end;
	return r;
}

int rb_list(void *backend, bool parts, int (*each)(void *arg, const struct driver_found *found),
	void *arg, struct err *err)
{
	struct rb_backend *be = backend;
	struct listing l = { .each = each, .arg = arg, .parts = parts };
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->look, &l.p, err);
	if (r < 0)
		return r;
	r = walk(&l, "rbd_directory", "name_", each_image);
	if (r >= 0 && parts)
		r = walk(&l, "rbd_trash", "id_", each_trashed);
	if (r >= 0 && parts)
		r = walk_objects(&l);
	words_release(&l.names);
	words_release(&l.ids);
	rb_pool_put(l.p);
	return r < 0 ? rb_fail(be, err, r, "list the images of pool '%s'", be->conf->pool) : 0;
}
