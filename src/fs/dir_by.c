/*
 * by/<view>/<key>/<name>: symlinks to the volumes of a view, and by/id/<uuid> to all of them. Nothing here is cached by the kernel: a
 * volume changes its places by itself, and a private type is there for some callers and not for others.
 *
 *      KIND_BY        row: 0: by/ itself; else the view (enum vol_by), a directory of its keys
 *      KIND_BY_KEY    row: 0: by/id/; else the key's number and, in the lowest bits, its view
 *      KIND_BY_LINK   row: the volume; index: the view
 */
#include "fs/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { VIEW_BITS = 3 };
_Static_assert(BY_ID == 0 && BY_COUNT <= 1 << VIEW_BITS, "views are part of inode numbers");

static const char *const views[BY_COUNT] = {
	[BY_ID] = "id",
	[BY_STATUS] = "status",
	[BY_TYPE] = "type",
	[BY_BACKEND] = "backend",
	[BY_PROJECT] = "project",
	[BY_ZONE] = "zone",
};

static enum vol_by view_of(int64_t row)
{
	return (enum vol_by)(row & ((1 << VIEW_BITS) - 1));
}

static struct node key_node(enum vol_by by, int64_t key)
{
	return (struct node){ .kind = KIND_BY_KEY, .row = key << VIEW_BITS | by };
}

struct node by_above(struct node n)
{
	if (n.kind == KIND_BY && n.row == 0)
		return (struct node){ .kind = KIND_VOLFS };
	return (struct node){ .kind = KIND_BY, .row = n.kind == KIND_BY_KEY ? view_of(n.row) : 0 };
}

static void dir_entry(struct ctx *c, struct node n, const char *name, int64_t at, struct entry *ret)
{
	ret->node = n;
	ret->at = at;
	ret->generation = 1;
	(void)snprintf(ret->name, sizeof ret->name, "%s", name);
	stat_dir(&ret->st, 0755, 0, 0, c->fs->started_us);
}

/* --- keys --- */

/* Backends and zones are there while they are configured or a volume is in them; the catalogue remembers them for longer. */
static bool is_configured(struct ctx *c, enum vol_by by, const struct vol_key *k)
{
	struct engine_backend b;

	for (size_t i = 0; i < engine_backend_count(c->fs->engine); i++)
		if (engine_backend(c->fs->engine, c->view, i, &b) == 0 &&
			(by == BY_ZONE ? !strcmp(b.zone, k->name) : b.id == k->id))
			return true;
	return false;
}

static bool is_seen(struct ctx *c, struct looker *l, enum vol_by by, const struct vol_key *k)
{
	struct vol_type t;

	/* A zone may be called anything. */
	if (strchr(k->name, '/') || !strcmp(k->name, ".") || !strcmp(k->name, ".."))
		return false;
	if (by == BY_TYPE)
		return view_type(c->view, k->id, &t) == 0 && type_seen(c, l, &t);
	return k->used || is_configured(c, by, k);
}

static int keys_find(struct ctx *c, enum vol_by by, const char *name, struct entry *ret)
{
	struct looker looker = { 0 };
	struct vol_key k;
	int r = view_by_key_find(c->view, by, name, &k);

	if (r == 0 && !is_seen(c, &looker, by, &k))
		r = -ENOENT;
	if (r == 0)
		dir_entry(c, key_node(by, k.id), k.name, k.id + 1, ret);
	return r;
}

/* Places are numbers of keys and one, for these may be 0. */
static int keys_list(struct ctx *c, enum vol_by by, int64_t after, struct entry *ret, size_t n)
{
	struct looker looker = { 0 };
	struct vol_key k[8];
	int got, done = 0;

	do {
		got = view_by_keys(c->view, by, after - 1, k, n < 8 ? n : 8);
		for (int i = 0; i < got; i++) {
			after = k[i].id + 1;
			if (is_seen(c, &looker, by, &k[i]))
				dir_entry(c, key_node(by, k[i].id), k[i].name, after, &ret[done++]);
		}
	} while (got > 0 && done == 0);
	return got < 0 ? got : done;
}

/* --- by/ and its views --- */

static void view_entry_of(struct ctx *c, enum vol_by by, struct entry *ret)
{
	struct node n =
		by == BY_ID ? key_node(BY_ID, 0) : (struct node){ .kind = KIND_BY, .row = by };

	dir_entry(c, n, views[by], by + 1, ret);
}

static int by_stat(struct ctx *c, int64_t row, struct stat *st)
{
	if (row >= BY_COUNT)
		return -ENOENT;
	stat_dir(st, 0755, 0, 0, c->fs->started_us);
	return 0;
}

static int by_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	if (row)
		return row < BY_COUNT ? keys_find(c, (enum vol_by)row, name, ret) : -ENOENT;
	for (enum vol_by by = 0; by < BY_COUNT; by++)
		if (!strcmp(views[by], name)) {
			view_entry_of(c, by, ret);
			return 0;
		}
	return -ENOENT;
}

static int by_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	int done = 0;

	if (row)
		return row < BY_COUNT ? keys_list(c, (enum vol_by)row, after, ret, n) : 0;
	for (; after < BY_COUNT && (size_t)done < n; after++)
		view_entry_of(c, (enum vol_by)after, &ret[done++]);
	return done;
}

const struct dir dir_by = {
	.timeout = 0,
	.stat = by_stat,
	.find = by_find,
	.list = by_list,
};

/* --- links --- */

/* by/id/ is one deep, all others two. */
static void target_of(enum vol_by by, const char *name, char target[BY_TARGET_MAX])
{
	(void)snprintf(target, BY_TARGET_MAX, "%s../../../%s", by == BY_ID ? "" : "../", name);
}

static void link_stat(enum vol_by by, const char *name, int64_t updated_us, struct stat *st)
{
	char target[BY_TARGET_MAX];

	target_of(by, name, target);
	stat_dir(st, 0, 0, 0, updated_us);
	st->st_mode = S_IFLNK | 0777;
	st->st_size = (off_t)strlen(target);
}

int by_link_stat(struct ctx *c, struct node n, struct stat *st)
{
	struct vol_entry v;
	int r = view_entry(c->view, n.row, &v);

	if (r == 0 && v.trashed)
		r = -ENOENT;
	if (r == 0)
		link_stat((enum vol_by)n.index, v.name, v.updated_us, st);
	return r;
}

int by_link_target(struct ctx *c, struct node n, char target[BY_TARGET_MAX])
{
	struct vol_entry v;
	int r = view_entry(c->view, n.row, &v);

	if (r == 0 && v.trashed)
		r = -ENOENT;
	if (r == 0)
		target_of((enum vol_by)n.index, v.name, target);
	return r;
}

static void link_entry(enum vol_by by, const struct vol_link *v, struct entry *ret)
{
	ret->node = (struct node){ .kind = KIND_BY_LINK, .row = v->id, .index = by };
	ret->at = v->id;
	ret->generation = 1;
	(void)snprintf(ret->name, sizeof ret->name, "%s", by == BY_ID ? v->uuid : v->name);
	link_stat(by, v->name, v->updated_us, &ret->st);
}

static int key_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct vol_key k;
	int r = row ? view_by_key(c->view, view_of(row), row >> VIEW_BITS, &k) : 0;

	if (r == 0)
		stat_dir(st, 0755, 0, 0, c->fs->started_us);
	return r;
}

static int key_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	struct vol_link v;
	int r = view_by_find(c->view, view_of(row), row >> VIEW_BITS, name, &v);

	if (r == 0)
		link_entry(view_of(row), &v, ret);
	return r;
}

static int key_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	struct vol_link v[64];
	int got = view_by(c->view, view_of(row), row >> VIEW_BITS, after, v, n < 64 ? n : 64);

	for (int i = 0; i < got; i++)
		link_entry(view_of(row), &v[i], &ret[i]);
	return got;
}

const struct dir dir_by_key = {
	.timeout = 0,
	.stat = key_stat,
	.find = key_find,
	.list = key_list,
};
