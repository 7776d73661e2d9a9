/* The root: new/, .volfs/, and a directory for every volume; the trash, which holds such directories too. */
#include "fs/internal.h"

#include <errno.h>
#include <string.h>

void entry_of_volume(const struct vol_entry *v, struct entry *ret)
{
	ret->node = (struct node){ .kind = KIND_VOLUME, .row = v->id };
	ret->at = v->id;
	ret->generation = v->generation;
	memcpy(ret->name, v->name, sizeof ret->name);
	stat_dir(&ret->st, v->mode, v->uid, v->gid, v->updated_us);
	ret->st.st_size = (off_t)v->size;
}

static int root_stat(struct ctx *c, int64_t row, struct stat *st)
{
	stat_dir(st, 01777, 0, 0, atomic_load(&c->fs->listed_us));
	return 0;
}

static int root_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	struct vol_entry v;
	int r = view_entry_by_name(c->view, name, &v);

	if (r == 0)
		entry_of_volume(&v, ret);
	return r;
}

static void root_mkdir(struct ctx *c, int64_t row, const char *name)
{
	refuse(c, -EPERM, name,
		"a volume is made by writing a spec into new/, as in: echo size=10 > new/NAME");
}

/* A change that removes a volume. NULL: it is refused, and answered. */
static struct change *remove_begin(struct ctx *c, const struct entry *e, const char *where)
{
	struct change *ch = change_new(c, REPLY_CODE, e->node, "%s%s", where, e->name);

	if (!ch || !guard_knows(c->fs->guard, ch->who.tgid, ino_of(e->node)))
		return ch;
	change_answer(ch, -EPERM,
		"this process was just refused to remove the volume's files; use rmdir alone");
	return NULL;
}

static void root_rmdir(struct ctx *c, const struct entry *e)
{
	struct change *ch = remove_begin(c, e, "");

	if (ch)
		engine_delete(c->fs->engine, c->view, ch->id, &ch->who.caller, e->node.row,
			change_done, ch);
}

/* Both listings of volumes: alive and in the trash. */
static int list_volumes(
	struct ctx *c, enum vol_list which, int64_t after, struct entry *ret, size_t n)
{
	struct vol_entry v[64]; /* a query costs as much as some rows */
	size_t done = 0;
	int got;

	while (done < n) {
		size_t want = n - done < 64 ? n - done : 64;

		got = view_entries(c->view, which, after, v, want);
		if (got < 0)
			return done ? (int)done : got;
		for (int i = 0; i < got; i++)
			entry_of_volume(&v[i], &ret[done++]);
		if ((size_t)got < want)
			break;
		after = v[got - 1].id;
	}
	return (int)done;
}

static int root_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	return list_volumes(c, LIST_ALIVE, after, ret, n);
}

static const struct subdir root_subdirs[] = {
	{ .name = "new", .kind = KIND_NEW },
	{ .name = ".volfs", .kind = KIND_VOLFS },
	{ 0 },
};

const struct dir dir_root = {
	.subdirs = root_subdirs,
	.timeout = LONG_TIMEOUT,
	.attr_timeout = LONG_TIMEOUT,
	.stat = root_stat,
	.find = root_find,
	.list = root_list,
	.mkdir = root_mkdir,
	.rmdir = root_rmdir,
};

static int trash_stat(struct ctx *c, int64_t row, struct stat *st)
{
	stat_dir(st, 01777, 0, 0, c->fs->started_us);
	return 0;
}

/* A purged one is found by name for an hour: its status and wait say `deleted`. */
static int trash_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	struct vol_entry v;
	int r = view_entry_by_uuid(c->view, name, &v);

	if (r == -ENOENT)
		r = view_purged(c->view, name, &v);
	else if (r == 0 && !v.trashed)
		r = -ENOENT;
	if (r == 0)
		entry_of_volume(&v, ret);
	return r;
}

static int trash_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	return list_volumes(c, LIST_TRASH, after, ret, n);
}

static void trash_rmdir(struct ctx *c, const struct entry *e)
{
	struct change *ch = remove_begin(c, e, ".volfs/trash/");

	if (ch)
		engine_purge(c->fs->engine, ch->id, &ch->who.caller, e->node.row, change_done, ch);
}

const struct dir dir_trash = {
	.timeout = 0,
	.stat = trash_stat,
	.find = trash_find,
	.list = trash_list,
	.rmdir = trash_rmdir,
};
