/*
 * The lists of a volume type: extra_specs/ and qos/ are a file a key, access/ and default_for/ an empty file a project. A key is a row
 * of its own, as one of metadata is. What only administrators may know of a type, its extra specs and who has access, only they can
 * list and read.
 */
#include "fs/internal.h"
#include "type.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct list {
	enum kind kind;
	const char *name;
	enum type_list list;
	mode_t mode; /* of the directory; its files have it without x */
};

static const struct list lists[] = {
	{ KIND_EXTRA_SPECS, "extra_specs", TYPE_EXTRA_SPECS, 0770 },
	{ KIND_QOS, "qos", TYPE_QOS, 0775 },
	{ KIND_ACCESS, "access", TYPE_ACCESS, 0770 },
	{ KIND_DEFAULT_FOR, "default_for", TYPE_DEFAULT_FOR, 0775 },
};
enum { LIST_COUNT = sizeof lists / sizeof lists[0] };

enum type_list type_list_of(enum kind kind)
{
	for (size_t i = 0; i < LIST_COUNT; i++)
		if (lists[i].kind == kind)
			return lists[i].list;
	return 0;
}

static const struct list *list_of(enum type_list list)
{
	for (size_t i = 0; i < LIST_COUNT; i++)
		if (lists[i].list == list)
			return &lists[i];
	return &lists[0];
}

const char *type_list_name(enum type_list list)
{
	return list_of(list)->name;
}

static int64_t ino_of_list(const struct list *l, int64_t type)
{
	return (int64_t)ino_of((struct node){ .kind = l->kind, .row = type });
}

/* --- the files --- */

static void stat_of(struct ctx *c, const struct type_entry *e, struct stat *st)
{
	stat_dir(st, 0, 0, c->fs->admin_gid, e->updated_us);
	st->st_mode = S_IFREG | (list_of(e->list)->mode & 0666);
	st->st_size = *e->value ? (off_t)strlen(e->value) + 1 : 0;
}

int type_entry_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct type_entry e;
	int r = view_type_entry(c->view, row, &e);

	if (r == 0)
		stat_of(c, &e, st);
	return r;
}

/* What is made and not yet written is empty. */
static int entry_show(struct ctx *c, int64_t row, struct buf *out)
{
	struct type_entry e;
	int r = view_type_entry(c->view, row, &e);

	if (r == 0 && *e.value)
		buf_addf(out, "%s\n", e.value);
	return r;
}

static void entry_store(struct change *ch, int64_t row, const char *text)
{
	struct view *v = fs_view(ch->fs);
	struct type_entry e;

	if (!v || view_type_entry(v, row, &e) < 0)
		change_answer(ch, -ENOENT, "the key is gone");
	else
		engine_type_entry(ch->fs->engine, ch->id, &ch->who.caller, e.type, e.list, e.key,
			text, ch->append ? META_APPEND : META_SET, change_done, ch);
}

const struct attr *type_entry_attr(void)
{
	static const struct attr a = { "key", 0664, entry_show, entry_store, 0, NULL };

	return &a;
}

/* --- the directories --- */

static int list_stat(struct ctx *c, const struct list *l, int64_t type, struct stat *st)
{
	struct vol_type t;
	int r = view_type(c->view, type, &t);

	if (r == 0)
		stat_dir(st, l->mode, 0, c->fs->admin_gid, t.updated_us);
	return r;
}

static void entry_of(struct ctx *c, const struct type_entry *e, struct entry *ret)
{
	ret->node = (struct node){ .kind = KIND_TYPE_ENTRY, .row = e->id };
	ret->at = e->id;
	ret->generation = 1;
	memcpy(ret->name, e->key, sizeof ret->name);
	stat_of(c, e, &ret->st);
}

static int list_find(
	struct ctx *c, const struct list *l, int64_t type, const char *name, struct entry *ret)
{
	struct type_entry e;
	int r = view_type_entry_by_key(c->view, type, l->list, name, &e);

	if (r == -ENOENT)
		return draft_find(c, ino_of_list(l, type), name, ret);
	if (r == 0)
		entry_of(c, &e, ret);
	return r;
}

static int list_list(struct ctx *c, const struct list *l, int64_t type, int64_t after,
	struct entry *ret, size_t n)
{
	struct type_entry e[8];
	int got = view_type_entries(c->view, type, l->list, after, e, n < 8 ? n : 8);

	for (int i = 0; i < got; i++)
		entry_of(c, &e[i], &ret[i]);
	return got;
}

void keys_file(struct ctx *c, struct node dir, const char *name, char text[KEYS_FILE])
{
	enum type_list list = type_list_of(dir.kind);
	struct vol_type t = { 0 };

	if (list)
		(void)view_type(c->view, dir.row, &t);
	if (list)
		(void)snprintf(text, KEYS_FILE, ".volfs/types/%s/%s/%s", t.name,
			type_list_name(list), name);
	else
		(void)snprintf(text, KEYS_FILE, "metadata/%s", name);
}

/* A change of the list, named in `errors` by its file. NULL: answered. */
static struct change *list_change(
	struct ctx *c, const struct list *l, int64_t type, enum reply_kind reply, const char *name)
{
	struct node made = { .kind = KIND_TYPE_ENTRY }; /* its row is the result's */
	struct node n = { .kind = l->kind, .row = type };
	char file[KEYS_FILE];

	keys_file(c, n, name, file);
	return change_new(c, reply, reply == REPLY_CREATE ? made : n, "%s", file);
}

static void list_create(struct ctx *c, const struct list *l, int64_t type, const char *name,
	mode_t mode, struct fuse_file_info *fi)
{
	struct change *ch;

	if (keys_create(c, ino_of_list(l, type), name, mode, fi))
		return;
	ch = list_change(c, l, type, REPLY_CREATE, name);
	if (!ch)
		return;
	change_opens(ch, fi);
	engine_type_entry(c->fs->engine, ch->id, &ch->who.caller, type, l->list, name, "",
		META_CREATE, change_done, ch);
}

static void list_unlink(struct ctx *c, const struct list *l, int64_t type, const char *name)
{
	fuse_ino_t whole = ino_of((struct node){ .kind = KIND_TYPE, .row = type });
	struct change *ch;

	if (draft_unlink(c, ino_of_list(l, type), name))
		return;
	ch = list_change(c, l, type, REPLY_CODE, name);
	if (!ch)
		return;
	if (guard_knows(c->fs->guard, ch->who.tgid, whole))
		change_answer(
			ch, -EPERM, "this process was just refused to remove the type's files");
	else
		engine_type_entry(c->fs->engine, ch->id, &ch->who.caller, type, l->list, name, NULL,
			META_SET, change_done, ch);
}

static void list_rename(
	struct ctx *c, const struct list *l, int64_t type, const char *name, const char *newname)
{
	struct change *ch;

	if (keys_rename(c, ino_of_list(l, type), name, newname))
		return;
	ch = list_change(c, l, type, REPLY_RENAME, name);
	if (!ch)
		return;
	if (dir_has_attr(dir_of(l->kind), name) || dir_has_attr(dir_of(l->kind), newname))
		change_answer(ch, -EPERM, "consumer is always there and no key: write into it");
	else
		engine_type_entry_rename(c->fs->engine, ch->id, &ch->who.caller, type, l->list,
			name, newname, change_done, ch);
}

/* A directory of list i, with these files besides. */
#define LIST(what, i, fixed)                                                                       \
	static int what##_stat(struct ctx *c, int64_t row, struct stat *st)                        \
	{                                                                                          \
		return list_stat(c, &lists[i], row, st);                                           \
	}                                                                                          \
	static int what##_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)    \
	{                                                                                          \
		return list_find(c, &lists[i], row, name, ret);                                    \
	}                                                                                          \
	static int what##_list(                                                                    \
		struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)            \
	{                                                                                          \
		return list_list(c, &lists[i], row, after, ret, n);                                \
	}                                                                                          \
	static void what##_create(struct ctx *c, int64_t row, const char *name, mode_t mode,       \
		struct fuse_file_info *fi)                                                         \
	{                                                                                          \
		list_create(c, &lists[i], row, name, mode, fi);                                    \
	}                                                                                          \
	static void what##_unlink(struct ctx *c, int64_t row, const char *name)                    \
	{                                                                                          \
		list_unlink(c, &lists[i], row, name);                                              \
	}                                                                                          \
	static void what##_rename(                                                                 \
		struct ctx *c, int64_t row, const char *name, const char *newname)                 \
	{                                                                                          \
		list_rename(c, &lists[i], row, name, newname);                                     \
	}                                                                                          \
	const struct dir dir_##what = {                                                            \
		.attrs = (fixed),                                                                  \
		.timeout = 0,                                                                      \
		.stat = what##_stat,                                                               \
		.find = what##_find,                                                               \
		.list = what##_list,                                                               \
		.create = what##_create,                                                           \
		.unlink = what##_unlink,                                                           \
		.rename = what##_rename,                                                           \
	}

/* qos/consumer is always there: who keeps to the rest. */
static int show_consumer(struct ctx *c, int64_t row, struct buf *out)
{
	struct vol_type t;
	int r = view_type(c->view, row, &t);

	if (r == 0)
		buf_addf(out, "%s\n", qos_consumer_name(t.consumer));
	return r;
}

static void store_consumer(struct change *ch, int64_t row, const char *text)
{
	struct vol_type t = { 0 };

	if (type_consumer_find(text, &t.consumer) < 0)
		change_answer(ch, -EINVAL, TYPE_CONSUMER_WORDS);
	else
		engine_type_set(ch->fs->engine, ch->id, &ch->who.caller, row, TYPE_SET_CONSUMER, &t,
			change_done, ch);
}

static const struct attr qos_attrs[] = {
	{ "consumer", 0664, show_consumer, store_consumer, ATTR_ADMIN, NULL },
	{ 0 },
};

LIST(extra_specs, 0, NULL);
LIST(qos, 1, qos_attrs);
LIST(access, 2, NULL);
LIST(default_for, 3, NULL);
