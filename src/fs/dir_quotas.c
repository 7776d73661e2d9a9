/*
 * quotas/<project>/: limits and what is used, as cgroup v2 names them; `max` is no limit. A project
 * gets its row at the first lookup of its name, so that its inode number is stable.
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
	ret->node = (struct node){ .kind = KIND_QUOTA, .row = q->id };
	ret->at = q->id;
	ret->generation = 1;
	memcpy(ret->name, q->project, sizeof ret->name);
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
static void quotas_make(struct ctx *c, const char *name)
{
	int r = engine_project_find(c->fs->engine, name);
	struct change *ch;

	if (r < 0) {
		fuse_reply_err(c->req, reply_errno(r));
		return;
	}
	ch = change_new(c, REPLY_ENTRY, (struct node){ .kind = KIND_QUOTA }, "quotas/%s", name);
	if (ch)
		engine_quota_row(c->fs->engine, name, change_done, ch);
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

static void add_limit(struct buf *out, int64_t limit, bool is_size)
{
	char size[TEXT_SIZE_MAX];

	if (limit < 0)
		buf_adds(out, "max\n");
	else if (is_size)
		buf_addf(out, "%s\n", text_of_size((uint64_t)limit, size));
	else
		buf_addf(out, "%" PRId64 "\n", limit);
}

#define SHOW(what, value)                                                                          \
	static int show_##what(struct ctx *c, int64_t row, struct buf *out)                        \
	{                                                                                          \
		struct quota q;                                                                    \
		int r = view_quota(c->view, row, &q);                                              \
                                                                                                   \
		if (r == 0)                                                                        \
			value;                                                                     \
		return r;                                                                          \
	}
SHOW(volumes_max, add_limit(out, q.volumes_max, false))
SHOW(size_max, add_limit(out, q.size_max, true))
SHOW(per_volume_max, add_limit(out, q.per_volume_max, true))
SHOW(volumes, buf_addf(out, "%" PRId64 "\n", q.volumes))
SHOW(size, buf_addf(out, "%" PRId64 "\n", q.size))

/* "max", or a number (of volumes), or a size. */
static int limit_of(const char *text, bool is_size, int64_t *ret, struct err *err)
{
	unsigned long long n;
	uint64_t bytes;
	char *end;
	int r;

	if (!strcmp(text, "max")) {
		*ret = SIZE_LIMIT_NONE;
		return 0;
	}
	if (is_size) {
		r = text_size(text, &bytes, err);
		if (r == 0)
			*ret = (int64_t)bytes;
		return r;
	}
	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || n > INT32_MAX)
		return err_set(err, -EINVAL, "a limit is a number up to %d, or max", INT32_MAX);
	*ret = (int64_t)n;
	return 0;
}

static void store_limit(
	struct change *ch, int64_t row, const char *text, const char *resource, bool is_size)
{
	struct view *v = fs_view(ch->fs);
	struct err err = { 0 };
	struct quota q;
	int64_t limit = 0;
	int r = v ? view_quota(v, row, &q) : -EIO;

	if (r < 0)
		err_set(&err, r, "no such quota");
	else
		r = limit_of(text, is_size, &limit, &err);
	if (r < 0)
		change_refuse(ch, &err);
	else
		engine_quota_set(ch->fs->engine, ch->id, &ch->who.caller, q.project, resource,
			limit, change_done, ch);
}

static void store_volumes_max(struct change *ch, int64_t row, const char *text)
{
	store_limit(ch, row, text, "volumes", false);
}

static void store_size_max(struct change *ch, int64_t row, const char *text)
{
	store_limit(ch, row, text, "size", true);
}

static void store_per_volume_max(struct change *ch, int64_t row, const char *text)
{
	store_limit(ch, row, text, "per_volume_size", true);
}

static const struct attr attrs[] = {
	{ "volumes.max", 0664, show_volumes_max, store_volumes_max, ATTR_ADMIN },
	{ "volumes.current", 0444, show_volumes, NULL, 0 },
	{ "size.max", 0664, show_size_max, store_size_max, ATTR_ADMIN },
	{ "size.current", 0444, show_size, NULL, 0 },
	{ "per_volume_size.max", 0664, show_per_volume_max, store_per_volume_max, ATTR_ADMIN },
	{ 0 },
};

/* df of a quota: its size limit; without one, the sum of the backends. */
static int quota_space(struct ctx *c, int64_t row, struct statvfs *ret)
{
	struct quota q;
	int r = view_quota(c->view, row, &q);

	if (r < 0)
		return r;
	if (q.size_max < 0)
		return backend_space(c, NULL, ret);
	*ret = (struct statvfs){ .f_bsize = 4096, .f_frsize = 4096, .f_namemax = NAME_LEN };
	ret->f_blocks = (fsblkcnt_t)q.size_max / 4096;
	ret->f_bfree = q.size < q.size_max ? (fsblkcnt_t)(q.size_max - q.size) / 4096 : 0;
	ret->f_bavail = ret->f_bfree;
	return 0;
}

const struct dir dir_quota = {
	.attrs = attrs,
	.timeout = 0,
	.stat = quota_stat,
	.space = quota_space,
};
