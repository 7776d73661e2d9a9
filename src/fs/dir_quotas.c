/*
 * quotas/<project>/: limits and what is used, as cgroup v2 names them; `max` is no limit. The same once more for the volumes of one
 * type in type/<type>/. A project, and a type in it, gets its row at the first lookup of its name, so that its inode number is stable;
 * listed are those that have one.
 */
#include "base/text.h"
#include "fs/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

static int quotas_stat(struct ctx *c, int64_t row, struct stat *st)
{
	stat_dir(st, 0755, 0, c->fs->admin_gid, c->fs->started_us);
	return 0;
}

static void entry_of(const struct quota *q, struct ctx *c, struct entry *ret)
{
	enum kind kind = q->type_id ? KIND_TYPE_QUOTA : KIND_QUOTA;

	ret->node = (struct node){ .kind = kind, .row = q->id };
	ret->at = q->id;
	ret->generation = 1;
	memcpy(ret->name, q->type_id ? q->type : q->project, sizeof ret->name);
	stat_dir(&ret->st, 0755, 0, c->fs->admin_gid, c->fs->started_us);
}

static int quotas_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	struct quota q;
	int r = view_quota_by_name(c->view, name, &q);

	if (r == 0 && q.id == 0)
		r = -ENOENT;
	if (r == 0)
		entry_of(&q, c, ret);
	return r;
}

static int quotas_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	struct quota q[8];
	int got = view_quotas(c->view, after, q, n < 8 ? n : 8);

	for (int i = 0; i < got; i++)
		entry_of(&q[i], c, &ret[i]);
	return got;
}

/* Every group can be a project; it gets its row now. */
static void quotas_make(struct ctx *c, int64_t row, const char *name)
{
	int r = engine_project_find(c->fs->engine, name);
	struct change *ch;

	if (r < 0) {
		fuse_reply_err(c->req, reply_errno(r));
		return;
	}
	ch = change_new(
		c, REPLY_ENTRY, (struct node){ .kind = KIND_QUOTA }, ".volfs/quotas/%s", name);
	if (ch)
		engine_quota_row(c->fs->engine, name, 0, change_done, ch);
}

const struct dir dir_quotas = {
	.timeout = 0,
	.stat = quotas_stat,
	.find = quotas_find,
	.list = quotas_list,
	.make = quotas_make,
};

static int quota_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct quota q;
	int r = view_quota(c->view, row, &q);

	if (r == 0)
		stat_dir(st, 0755, 0, c->fs->admin_gid, c->fs->started_us);
	return r;
}

/* --- its types --- */

static int quota_types_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	struct looker looker = { 0 };
	struct vol_type t;
	struct quota q;
	int r = view_quota(c->view, row, &q);

	r = r < 0 ? r : view_type_find(c->view, name, &t);
	if (r == 0 && (strcmp(t.name, name) != 0 || !type_seen(c, &looker, &t)))
		r = -ENOENT;
	r = r < 0 ? r : view_quota_of_type(c->view, q.project, t.id, &q);
	if (r == 0 && q.id == 0)
		r = -ENOENT;
	if (r == 0)
		entry_of(&q, c, ret);
	return r;
}

static bool quota_seen(struct ctx *c, struct looker *l, const struct quota *q)
{
	struct vol_type t;

	return view_type(c->view, q->type_id, &t) == 0 && type_seen(c, l, &t);
}

static int quota_types_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	struct looker looker = { 0 };
	struct quota q[8];
	int got, done = 0;

	do {
		got = view_type_quotas(c->view, row, after, q, n < 8 ? n : 8);
		for (int i = 0; i < got; i++) {
			after = q[i].id;
			if (quota_seen(c, &looker, &q[i]))
				entry_of(&q[i], c, &ret[done++]);
		}
	} while (got > 0 && done == 0);
	return got < 0 ? got : done;
}

static void quota_types_make(struct ctx *c, int64_t row, const char *name)
{
	struct looker looker = { 0 };
	struct vol_type t;
	struct quota q;
	struct change *ch;

	if (view_quota(c->view, row, &q) < 0 || view_type_find(c->view, name, &t) < 0 ||
		strcmp(t.name, name) != 0 || !type_seen(c, &looker, &t)) {
		fuse_reply_err(c->req, ENOENT);
		return;
	}
	ch = change_new(c, REPLY_ENTRY, (struct node){ .kind = KIND_TYPE_QUOTA },
		".volfs/quotas/%.200s/type/%s", q.project, name);
	if (ch)
		engine_quota_row(c->fs->engine, q.project, t.id, change_done, ch);
}

const struct dir dir_quota_types = {
	.timeout = 0,
	.stat = quota_stat,
	.find = quota_types_find,
	.list = quota_types_list,
	.make = quota_types_make,
};

static int type_quota_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct quota q;
	int r = view_type_quota(c->view, row, &q);

	if (r == 0)
		stat_dir(st, 0755, 0, c->fs->admin_gid, c->fs->started_us);
	return r;
}

/* --- their files --- */

/* A limit as it is written; what is in use is a plain number, bytes of sizes. */
static void add_limit(struct buf *out, enum quota_resource what, int64_t limit)
{
	char text[TEXT_SIZE_MAX];

	buf_addf(out, "%s\n", engine_limit_text(what, limit, text));
}

/* "max" or "-1", "default" for none of its own, or a number or size. */
static int limit_of(const char *text, enum quota_resource what, int64_t *ret, struct err *err)
{
	unsigned long long n;
	uint64_t bytes;
	char *end;
	int r;

	if (!strcmp(text, "max") || !strcmp(text, "-1")) {
		*ret = SIZE_LIMIT_NONE;
		return 0;
	}
	if (!strcmp(text, "default")) {
		*ret = QUOTA_INHERIT;
		return 0;
	}
	if (quota_resource_is_size(what) && strcmp(text, "0") != 0) {
		r = text_size(text, &bytes, err);
		if (r == 0)
			*ret = (int64_t)bytes;
		return r;
	}
	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || n > INT32_MAX)
		return err_set(err, -EINVAL,
			"a limit is a number up to %d, max, or default for that of quotas/default",
			INT32_MAX);
	*ret = (int64_t)n;
	return 0;
}

typedef int get_quota(struct view *v, int64_t row, struct quota *ret);

static void store_limit(
	struct change *ch, get_quota *get, int64_t row, const char *text, enum quota_resource what)
{
	struct view *v = fs_view(ch->fs);
	struct err err = { 0 };
	struct quota q;
	int64_t limit = 0;
	int r = v ? get(v, row, &q) : -EIO;

	if (r < 0)
		err_set(&err, r, "no such quota");
	else
		r = limit_of(text, what, &limit, &err);
	if (r < 0)
		change_refuse(ch, &err);
	else
		engine_quota_set(ch->fs->engine, ch->id, &ch->who.caller, q.project, q.type_id,
			what, limit, change_done, ch);
}

/* The functions of NAME.max and NAME.current of one resource, in both kinds of directory. */
#define MAX(of, get, name, what)                                                                   \
	static int of##_show_##name##_max(struct ctx *c, int64_t row, struct buf *out)             \
	{                                                                                          \
		struct quota q;                                                                    \
		int r = get(c->view, row, &q);                                                     \
                                                                                                   \
		if (r == 0)                                                                        \
			add_limit(out, what, q.max[what]);                                         \
		return r;                                                                          \
	}                                                                                          \
	static void of##_store_##name(struct change *ch, int64_t row, const char *text)            \
	{                                                                                          \
		store_limit(ch, get, row, text, what);                                             \
	}
#define BOTH(of, get, name, what)                                                                  \
	MAX(of, get, name, what)                                                                   \
	static int of##_show_##name(struct ctx *c, int64_t row, struct buf *out)                   \
	{                                                                                          \
		struct quota q;                                                                    \
		int r = get(c->view, row, &q);                                                     \
                                                                                                   \
		if (r == 0)                                                                        \
			buf_addf(out, "%" PRId64 "\n", q.used[what]);                              \
		return r;                                                                          \
	}
#define MAX_FILE(of, what)                                                                         \
	{                                                                                          \
		.name = #what ".max", .mode = 0664, .show = of##_show_##what##_max,                \
		.store = of##_store_##what, .flags = ATTR_ADMIN                                    \
	}
#define FILES(of, what)                                                                            \
	MAX_FILE(of, what),                                                                        \
	{                                                                                          \
		.name = #what ".current", .mode = 0444, .show = of##_show_##what                   \
	}

#define QUOTA_FILES(of, get)                                                                       \
	BOTH(of, get, volumes, QUOTA_VOLUMES)                                                      \
	BOTH(of, get, size, QUOTA_SIZE)                                                            \
	MAX(of, get, per_volume_size, QUOTA_PER_VOLUME_SIZE)                                       \
	BOTH(of, get, snapshots, QUOTA_SNAPSHOTS)                                                  \
	BOTH(of, get, backups, QUOTA_BACKUPS)                                                      \
	BOTH(of, get, backup_size, QUOTA_BACKUP_SIZE)                                              \
	BOTH(of, get, groups, QUOTA_GROUPS)                                                        \
	BOTH(of, get, trash_size, QUOTA_TRASH_SIZE)                                                \
	static const struct attr of##_attrs[] = {                                                  \
		FILES(of, volumes),                                                                \
		FILES(of, size),                                                                   \
		MAX_FILE(of, per_volume_size),                                                     \
		FILES(of, snapshots),                                                              \
		FILES(of, backups),                                                                \
		FILES(of, backup_size),                                                            \
		FILES(of, groups),                                                                 \
		FILES(of, trash_size),                                                             \
		{ 0 },                                                                             \
	};
QUOTA_FILES(project, view_quota)
QUOTA_FILES(type, view_type_quota)

/* df of a quota: its size limit; without one, the sum of the backends. */
static int space_of(struct ctx *c, get_quota *get, int64_t row, struct statvfs *ret)
{
	struct quota q;
	int r = get(c->view, row, &q);
	int64_t max, used;

	if (r < 0)
		return r;
	max = q.max[QUOTA_SIZE];
	used = q.used[QUOTA_SIZE];
	if (max < 0)
		return backend_space(c, NULL, ret);
	*ret = (struct statvfs){ .f_bsize = 4096, .f_frsize = 4096, .f_namemax = NAME_LEN };
	ret->f_blocks = (fsblkcnt_t)max / 4096;
	ret->f_bfree = used < max ? (fsblkcnt_t)(max - used) / 4096 : 0;
	ret->f_bavail = ret->f_bfree;
	return 0;
}

static int quota_space(struct ctx *c, int64_t row, struct statvfs *ret)
{
	return space_of(c, view_quota, row, ret);
}

static int type_quota_space(struct ctx *c, int64_t row, struct statvfs *ret)
{
	return space_of(c, view_type_quota, row, ret);
}

static const struct subdir quota_subdirs[] = {
	{ .name = "type", .kind = KIND_QUOTA_TYPES, .same_row = true },
	{ 0 },
};

const struct dir dir_quota = {
	.attrs = project_attrs,
	.subdirs = quota_subdirs,
	.timeout = 0,
	.stat = quota_stat,
	.space = quota_space,
};

const struct dir dir_type_quota = {
	.attrs = type_attrs,
	.timeout = 0,
	.stat = type_quota_stat,
	.space = type_quota_space,
};
