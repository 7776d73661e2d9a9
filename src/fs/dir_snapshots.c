/*
 * snapshots/: a volume's snapshots, a directory each, in the order of their taking. mkdir takes one and answers when it is taken; whoever is
 * interrupted meanwhile has taken none. rmdir deletes, mv in place renames.
 */
#include "base/clock.h"
#include "base/text.h"
#include "fs/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- one snapshot */

/* Its size and time are those of the bytes in it; it is owned as its volume. */
static void snapshot_stat_of(const struct snapshot *s, const struct vol_entry *v, struct stat *st)
{
	stat_dir(st, 0755, v->uid, v->gid, s->created_us);
	st->st_size = (off_t)s->size;
}

/* One without a name is gone for its users: it is being removed. */
static int snapshot_of(struct ctx *c, int64_t row, struct snapshot *ret)
{
	int r = view_snapshot(c->view, row, ret);

	return r == 0 && !ret->name[0] ? -ENOENT : r;
}

static int snapshot_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct snapshot s;
	struct vol_entry v;
	int r = snapshot_of(c, row, &s);

	if (r == 0)
		r = view_entry(c->view, s.volume, &v);
	if (r == 0)
		snapshot_stat_of(&s, &v, st);
	return r;
}

/* One show per field: load the row, write a line. */
#define SHOW(what, ...)                                                                            \
	static int show_##what(struct ctx *c, int64_t row, struct buf *out)                        \
	{                                                                                          \
		struct snapshot s;                                                                 \
		int r = snapshot_of(c, row, &s);                                                   \
                                                                                                   \
		if (r == 0)                                                                        \
			buf_addf(out, __VA_ARGS__);                                                \
		return r;                                                                          \
	}
SHOW(status, "%s\n", snap_status_name(s.status))
SHOW(size, "%s\n", text_of_size(s.size, (char[TEXT_SIZE_MAX]){ 0 }))
SHOW(created, "%s\n", clock_text(s.created_us, (char[CLOCK_TEXT_MAX]){ 0 }))
SHOW(description, "%s\n", s.description)
SHOW(id, "%s\n", s.uuid)
SHOW(error, "%s%s", s.reason, s.reason[0] ? "\n" : "")

static void store_description(struct change *ch, int64_t row, const char *text)
{
	struct err err = { 0 };

	if (spec_value_check(text, strlen(text), &err) < 0)
		change_refuse(ch, &err);
	else
		engine_snapshot_describe(ch->fs->engine, ch->id, &ch->who.caller, row, text,
			ch->append, change_done, ch);
}

static const struct attr attrs[] = {
	{ "status", 0444, show_status, NULL, 0, NULL },
	{ "size", 0444, show_size, NULL, 0, NULL },
	{ "created", 0444, show_created, NULL, 0, NULL },
	{ "description", 0644, show_description, store_description, ATTR_FREE, NULL },
	{ "id", 0444, show_id, NULL, 0, NULL },
	{ "error", 0444, show_error, NULL, 0, NULL },
	{ 0 },
};

unsigned snapshot_attr_count(void)
{
	return sizeof attrs / sizeof attrs[0] - 1;
}

static int snapshot_space(struct ctx *c, int64_t row, struct statvfs *ret)
{
	struct snapshot s;
	int r = snapshot_of(c, row, &s);

	return r < 0 ? r : dir_volume.space(c, s.volume, ret);
}

static const struct subdir subdirs[] = {
	{ .name = "data", .kind = KIND_DATA, .same_row = true, .index = DATA_OF_SNAPSHOT },
	{ 0 },
};

const struct dir dir_snapshot = {
	.attrs = attrs,
	.subdirs = subdirs,
	.timeout = LONG_TIMEOUT,
	.attr_timeout = LONG_TIMEOUT,
	.stat = snapshot_stat,
	.space = snapshot_space,
};

/* --- all of a volume */

/* The volume that they are of; in the trash there are none. */
static int volume_of(struct ctx *c, int64_t row, struct vol_entry *ret)
{
	int r = view_entry(c->view, row, ret);

	return r == 0 && ret->trashed ? -ENOENT : r;
}

static int snapshots_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct vol_entry v;
	int r = volume_of(c, row, &v);

	if (r == 0)
		stat_dir(st, 0755, v.uid, v.gid, v.updated_us);
	return r;
}

static void entry_of(const struct snapshot *s, const struct vol_entry *v, struct entry *ret)
{
	ret->node = (struct node){ .kind = KIND_SNAPSHOT, .row = s->id };
	ret->at = s->id;
	ret->generation = 1;
	memcpy(ret->name, s->name, sizeof ret->name);
	snapshot_stat_of(s, v, &ret->st);
}

static int snapshots_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	struct snapshot s;
	struct vol_entry v;
	int r = volume_of(c, row, &v);

	if (r == 0)
		r = view_snapshot_by_name(c->view, row, name, &s);
	if (r == 0)
		entry_of(&s, &v, ret);
	return r;
}

static int snapshots_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	struct snapshot s[8];
	struct vol_entry v;
	int got = volume_of(c, row, &v);

	if (got == 0)
		got = view_snapshots(c->view, row, after, s, n < 8 ? n : 8);
	for (int i = 0; i < got; i++)
		entry_of(&s[i], &v, &ret[i]);
	return got;
}

static int snapshots_space(struct ctx *c, int64_t row, struct statvfs *ret)
{
	return dir_volume.space(c, row, ret);
}

/* In `errors` by its place: "db/snapshots/monday". */
static struct change *snapshot_change(
	struct ctx *c, int64_t volume, enum reply_kind reply, int64_t row, const char *name)
{
	struct node n = { .kind = KIND_SNAPSHOT, .row = row };
	struct vol_entry v = { 0 };

	(void)view_entry(c->view, volume, &v);
	return change_new(c, reply, n, "%s/snapshots/%s", v.name, name);
}

/*
 * A mkdir on its way. The handler and the engine each refer to it, since libfuse calls on_interrupt() at any moment: also before the engine
 * has been asked, which then knows nothing to give up yet. The handler looks for that afterwards.
 */
struct taking {
	struct change *ch;
	struct engine *engine;
	atomic_bool interrupted;
	atomic_uint refs;
};

static void taking_put(struct taking *t)
{
	if (atomic_fetch_sub(&t->refs, 1) == 1)
		free(t);
}

static void taken(void *arg, const struct result *res)
{
	struct taking *t = arg;

	/* Waits for an on_interrupt() that is running; none comes after. */
	fuse_req_interrupt_func(t->ch->req, NULL, NULL);
	if (res) {
		change_done(t->ch, res);
	} else { /* the next server's */
		fuse_reply_none(t->ch->req);
		free(t->ch);
	}
	taking_put(t);
}

/* Any signal: programs that freeze, take a snapshot and thaw must get out. The request's lock is held. */
static void on_interrupt(fuse_req_t req, void *arg)
{
	struct taking *t = arg;

	atomic_store(&t->interrupted, true);
	engine_snapshot_give_up(t->engine, taken, t);
}

static void snapshots_mkdir(struct ctx *c, int64_t row, const char *name)
{
	struct change *ch = snapshot_change(c, row, REPLY_ENTRY, 0, name);
	struct taking *t = ch ? malloc(sizeof *t) : NULL;

	if (!ch)
		return;
	if (!t) {
		change_answer(ch, -ENOMEM, "no memory");
		return;
	}
	*t = (struct taking){ .ch = ch, .engine = c->fs->engine };
	atomic_init(&t->interrupted, false);
	atomic_init(&t->refs, 2);
	fuse_req_interrupt_func(c->req, on_interrupt, t);
	engine_snapshot(t->engine, ch->id, &ch->who.caller, row, name, taken, t);
	if (atomic_load(&t->interrupted))
		engine_snapshot_give_up(t->engine, taken, t);
	taking_put(t);
}

/* Was this process just refused to remove a file of it, or of its volume? */
static bool is_walked(struct change *ch, int64_t volume, int64_t row)
{
	fuse_ino_t own = ino_of((struct node){ .kind = KIND_SNAPSHOT, .row = row });

	return guard_knows(ch->fs->guard, ch->who.tgid, ino_of_volume(volume)) ||
	       guard_knows(ch->fs->guard, ch->who.tgid, own);
}

/* e->node is the volume's where a dead server has removed the row: the engine knows its answer by the request's number. */
static void snapshots_rmdir(struct ctx *c, const struct entry *e)
{
	struct snapshot s = { 0 };
	struct change *ch;

	if (e->node.kind == KIND_SNAPSHOT)
		(void)view_snapshot(c->view, e->node.row, &s);
	ch = snapshot_change(c, s.volume, REPLY_CODE, s.id, s.name);
	if (!ch)
		return;
	if (is_walked(ch, s.volume, s.id))
		change_answer(ch, -EPERM,
			"this process was just refused to remove files here; use rmdir alone");
	else if (file_snapshot_is_open(c->fs, s.id))
		change_answer(ch, -EBUSY, "its data is open");
	else
		engine_snapshot_remove(
			c->fs->engine, ch->id, &ch->who.caller, s.id, change_done, ch);
}

/* Under the old name a dead server's rename may have left nothing. */
static void snapshots_rename(struct ctx *c, int64_t row, const char *name, const char *newname)
{
	bool resent = session_change_id(c->fs->session).resent;
	struct snapshot s = { 0 };
	int r = view_snapshot_by_name(c->view, row, name, &s);
	struct change *ch;

	if (r < 0 && !(r == -ENOENT && resent)) {
		fuse_reply_err(c->req, reply_errno(r));
		return;
	}
	ch = snapshot_change(c, row, REPLY_RENAME, s.id, name);
	if (ch)
		engine_snapshot_rename(
			c->fs->engine, ch->id, &ch->who.caller, s.id, newname, change_done, ch);
}

const struct dir dir_snapshots = {
	.timeout = LONG_TIMEOUT,
	.attr_timeout = LONG_TIMEOUT,
	.stat = snapshots_stat,
	.find = snapshots_find,
	.list = snapshots_list,
	.mkdir = snapshots_mkdir,
	.rmdir = snapshots_rmdir,
	.rename = snapshots_rename,
	.space = snapshots_space,
};
