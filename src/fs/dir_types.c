/*
 * types/<type>/: volume types, an administrator's. mkdir makes one, rmdir removes it, mv renames it. Nothing here is cached by the
 * kernel, since a private type is there for some callers and not for others.
 */
#include "fs/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool type_seen(struct ctx *c, struct looker *l, const struct vol_type *t)
{
	if (t->is_public)
		return true;
	if (!l->known)
		who_fill(c->fs, c->uid, c->gid, c->pid, &l->who);
	l->known = true;
	return engine_type_seen(c->fs->engine, c->view, &l->who.caller, t);
}

static int types_stat(struct ctx *c, int64_t row, struct stat *st)
{
	stat_dir(st, 0775, 0, c->fs->admin_gid, c->fs->started_us);
	return 0;
}

static void entry_of(const struct vol_type *t, struct ctx *c, struct entry *ret)
{
	ret->node = (struct node){ .kind = KIND_TYPE, .row = t->id };
	ret->at = t->id;
	ret->generation = 1;
	memcpy(ret->name, t->name, sizeof ret->name);
	stat_dir(&ret->st, 0775, 0, c->fs->admin_gid, t->updated_us);
}

/* By its name alone: a directory has no second one. */
static int types_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	struct looker looker = { 0 };
	struct vol_type t;
	int r = view_type_find(c->view, name, &t);

	if (r == 0 && (strcmp(t.name, name) != 0 || !type_seen(c, &looker, &t)))
		r = -ENOENT;
	if (r == 0)
		entry_of(&t, c, ret);
	return r;
}

static int types_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	struct looker looker = { 0 };
	struct vol_type t[8];
	int got, done = 0;

	do {
		got = view_types(c->view, after, t, n < 8 ? n : 8);
		for (int i = 0; i < got; i++) {
			after = t[i].id;
			if (type_seen(c, &looker, &t[i]))
				entry_of(&t[i], c, &ret[done++]);
		}
	} while (got > 0 && done == 0);
	return got < 0 ? got : done;
}

static void types_mkdir(struct ctx *c, int64_t row, const char *name)
{
	struct change *ch = change_new(
		c, REPLY_ENTRY, (struct node){ .kind = KIND_TYPE }, ".volfs/types/%s", name);

	if (ch)
		engine_type_add(c->fs->engine, ch->id, &ch->who.caller, name, change_done, ch);
}

static void types_rmdir(struct ctx *c, const struct entry *e)
{
	struct change *ch = change_new(c, REPLY_CODE, e->node, ".volfs/types/%s", e->name);

	if (!ch)
		return;
	if (guard_knows(c->fs->guard, ch->who.tgid, ino_of(e->node)))
		change_answer(ch, -EPERM,
			"this process was just refused to remove the type's files; use rmdir alone");
	else
		engine_type_remove(
			c->fs->engine, ch->id, &ch->who.caller, e->node.row, change_done, ch);
}

static void types_rename(struct ctx *c, int64_t row, const char *name, const char *newname)
{
	bool resent = session_change_id(c->fs->session).resent;
	struct vol_type t = { 0 };
	struct change *ch;

	/* Sent again it may have its new name already: then the engine knows the answer. */
	if (view_type_find(c->view, name, &t) < 0 && !resent) {
		fuse_reply_err(c->req, ENOENT);
		return;
	}
	ch = change_new(c, REPLY_RENAME, (struct node){ .kind = KIND_TYPE, .row = t.id },
		".volfs/types/%s", name);
	if (ch)
		engine_type_rename(
			c->fs->engine, ch->id, &ch->who.caller, t.id, newname, change_done, ch);
}

const struct dir dir_types = {
	.timeout = 0,
	.stat = types_stat,
	.find = types_find,
	.list = types_list,
	.mkdir = types_mkdir,
	.rmdir = types_rmdir,
	.rename = types_rename,
};

/* --- one of them --- */

static int type_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct vol_type t;
	int r = view_type(c->view, row, &t);

	if (r == 0)
		stat_dir(st, 0775, 0, c->fs->admin_gid, t.updated_us);
	return r;
}

#define SHOW(what, fmt, ...)                                                                       \
	static int show_##what(struct ctx *c, int64_t row, struct buf *out)                        \
	{                                                                                          \
		struct vol_type t;                                                                 \
		int r = view_type(c->view, row, &t);                                               \
                                                                                                   \
		if (r == 0)                                                                        \
			buf_addf(out, fmt "\n", __VA_ARGS__);                                      \
		return r;                                                                          \
	}
SHOW(id, "%s", t.uuid)
SHOW(description, "%s", t.description)
SHOW(public, "%d", t.is_public)
SHOW(default, "%d", engine_type_is_default(c->fs->engine, c->view, &t))

static void set(struct change *ch, int64_t row, unsigned fields, const struct vol_type *values)
{
	engine_type_set(
		ch->fs->engine, ch->id, &ch->who.caller, row, fields, values, change_done, ch);
}

static void store_description(struct change *ch, int64_t row, const char *text)
{
	struct vol_type t = { 0 };
	struct err err = { 0 };

	if (spec_value_check(text, strlen(text), &err) < 0) {
		change_refuse(ch, &err);
		return;
	}
	(void)snprintf(t.description, sizeof t.description, "%s", text);
	set(ch, row, TYPE_SET_DESCRIPTION | (ch->append ? TYPE_SET_APPEND : 0), &t);
}

static void store_flag(struct change *ch, int64_t row, const char *text, unsigned field)
{
	bool yes = text[0] == '1';

	if (strcmp(text, "0") && strcmp(text, "1"))
		change_answer(ch, -EINVAL, "it takes 0 or 1");
	else
		set(ch, row, field, &(struct vol_type){ .is_public = yes, .is_default = yes });
}

static void store_public(struct change *ch, int64_t row, const char *text)
{
	store_flag(ch, row, text, TYPE_SET_PUBLIC);
}

static void store_default(struct change *ch, int64_t row, const char *text)
{
	store_flag(ch, row, text, TYPE_SET_DEFAULT);
}

static const struct attr attrs[] = {
	{ "id", 0444, show_id, NULL, 0, NULL },
	{ "description", 0664, show_description, store_description, ATTR_ADMIN | ATTR_FREE, NULL },
	{ "public", 0664, show_public, store_public, ATTR_ADMIN, NULL },
	{ "default", 0664, show_default, store_default, ATTR_ADMIN, NULL },
	{ 0 },
};

static const struct subdir subdirs[] = {
	{ .name = "extra_specs", .kind = KIND_EXTRA_SPECS, .same_row = true },
	{ .name = "qos", .kind = KIND_QOS, .same_row = true },
	{ .name = "access", .kind = KIND_ACCESS, .same_row = true },
	{ .name = "default_for", .kind = KIND_DEFAULT_FOR, .same_row = true },
	{ 0 },
};

const struct dir dir_type = {
	.attrs = attrs,
	.subdirs = subdirs,
	.timeout = 0,
	.stat = type_stat,
};
