/* backends/<backend>/: what the storage last told, and what the catalogue has promised there.
 * Numbers are plain bytes. */
#include "base/clock.h"
#include "fs/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

static int backends_stat(struct ctx *c, int64_t row, struct stat *st)
{
	stat_dir(st, 0755, 0, c->fs->admin_gid, c->fs->started_us);
	return 0;
}

/* The backend whose catalogue row it is; ret_index may be NULL. */
static int backend_of(struct ctx *c, int64_t row, struct engine_backend *ret, size_t *ret_index)
{
	for (size_t i = 0; i < engine_backend_count(c->fs->engine); i++) {
		int r = engine_backend(c->fs->engine, c->view, i, ret);

		if (r < 0)
			return r;
		if (ret->id == row) {
			if (ret_index)
				*ret_index = i;
			return 0;
		}
	}
	return -ENOENT;
}

static void entry_of(const struct engine_backend *b, gid_t admin, struct entry *ret)
{
	ret->node = (struct node){ .kind = KIND_BACKEND, .row = b->id };
	ret->at = b->id;
	ret->generation = 1;
	(void)snprintf(ret->name, sizeof ret->name, "%s", b->name);
	stat_dir(&ret->st, 0755, 0, admin, b->changed_us);
}

static int backends_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	struct engine_backend b;

	for (size_t i = 0; i < engine_backend_count(c->fs->engine); i++) {
		int r = engine_backend(c->fs->engine, c->view, i, &b);

		if (r < 0)
			return r;
		if (!strcmp(b.name, name)) {
			entry_of(&b, c->fs->admin_gid, ret);
			return 0;
		}
	}
	return -ENOENT;
}

/* In order of their rows: backends are few, so the next one is looked for among all. */
static int backends_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	struct engine_backend b;
	size_t done = 0;

	while (done < n) {
		bool found = false;

		for (size_t i = 0; i < engine_backend_count(c->fs->engine); i++) {
			if (engine_backend(c->fs->engine, c->view, i, &b) < 0 || b.id <= after)
				continue;
			if (!found || b.id < ret[done].at)
				entry_of(&b, c->fs->admin_gid, &ret[done]);
			found = true;
		}
		if (!found)
			break;
		after = ret[done++].at;
	}
	return (int)done;
}

const struct dir dir_backends = {
	.timeout = LONG_TIMEOUT,
	.stat = backends_stat,
	.find = backends_find,
	.list = backends_list,
};

static int backend_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct engine_backend b;
	int r = backend_of(c, row, &b, NULL);

	if (r == 0)
		stat_dir(st, 0755, 0, c->fs->admin_gid, b.changed_us);
	return r;
}

#define SHOW(what, fmt, ...)                                                                       \
	static int show_##what(struct ctx *c, int64_t row, struct buf *out)                        \
	{                                                                                          \
		struct engine_backend b;                                                           \
		int r = backend_of(c, row, &b, NULL);                                              \
                                                                                                   \
		if (r == 0)                                                                        \
			buf_addf(out, fmt, __VA_ARGS__);                                           \
		return r;                                                                          \
	}
SHOW(state, "%s\n", backend_state_name(b.state))
SHOW(error, "%s%s", b.reason, b.reason[0] ? "\n" : "")
SHOW(driver, "%s\n", b.driver)
SHOW(zone, "%s\n", b.zone)
SHOW(allocated, "%" PRIu64 "\n", b.allocated)
SHOW(volumes, "%" PRIu64 "\n", b.volumes)

static void add_capacity(struct buf *out, bool unknown, bool infinite, uint64_t bytes)
{
	if (unknown || infinite)
		buf_adds(out, unknown ? "unknown\n" : "infinite\n");
	else
		buf_addf(out, "%" PRIu64 "\n", bytes);
}

static int show_total(struct ctx *c, int64_t row, struct buf *out)
{
	struct engine_backend b;
	int r = backend_of(c, row, &b, NULL);

	if (r == 0)
		add_capacity(out, b.stats.total_unknown, b.stats.total_infinite, b.stats.total);
	return r;
}

static int show_free(struct ctx *c, int64_t row, struct buf *out)
{
	struct engine_backend b;
	int r = backend_of(c, row, &b, NULL);

	if (r == 0)
		add_capacity(out, b.stats.free_unknown, b.stats.free_infinite, b.stats.free);
	return r;
}

/* The line of a text that may be empty. */
#define SHOW_TEXT(what) SHOW(what, "%s%s", b.what, *b.what ? "\n" : "")
SHOW_TEXT(filter_function)
SHOW_TEXT(goodness_function)

static int show_capabilities(struct ctx *c, int64_t row, struct buf *out)
{
	struct engine_backend b;
	size_t i;
	int r = backend_of(c, row, &b, &i);

	r = r < 0 ? r : engine_backend_capabilities(c->fs->engine, i, out);
	buf_addc(out, '\n');
	return r;
}

static void store_state(struct change *ch, int64_t row, const char *text)
{
	struct ctx c = { .fs = ch->fs, .view = fs_view(ch->fs) };
	bool disable = !strcmp(text, "disabled");
	struct engine_backend b;
	size_t i;

	if (!disable && strcmp(text, "enabled") && strcmp(text, "up"))
		change_answer(ch, -EINVAL, "state takes enabled or disabled");
	else if (!c.view || backend_of(&c, row, &b, &i) < 0)
		change_answer(ch, -ENOENT, "no such backend");
	else
		engine_backend_disable(
			ch->fs->engine, ch->id, &ch->who.caller, i, disable, change_done, ch);
}

static const struct attr attrs[] = {
	{ "state", 0664, show_state, store_state, ATTR_ADMIN, NULL },
	{ "error", 0444, show_error, NULL, 0, NULL },
	{ "driver", 0444, show_driver, NULL, 0, NULL },
	{ "zone", 0444, show_zone, NULL, 0, NULL },
	{ "total", 0444, show_total, NULL, 0, NULL },
	{ "free", 0444, show_free, NULL, 0, NULL },
	{ "allocated", 0444, show_allocated, NULL, 0, NULL },
	{ "volumes", 0444, show_volumes, NULL, 0, NULL },
	{ "filter_function", 0444, show_filter_function, NULL, 0, NULL },
	{ "goodness_function", 0444, show_goodness_function, NULL, 0, NULL },
	{ "capabilities", 0444, show_capabilities, NULL, 0, NULL },
	{ 0 },
};

static void add_space(const struct engine_backend *b, struct statvfs *ret)
{
	if (b->stats.total_unknown || b->stats.total_infinite)
		return;
	ret->f_blocks += b->stats.total / 4096;
	if (!b->stats.free_unknown && !b->stats.free_infinite)
		ret->f_bfree += b->stats.free / 4096;
	ret->f_bavail = ret->f_bfree;
}

int backend_space(struct ctx *c, const char *name, struct statvfs *ret)
{
	struct engine_backend b;

	*ret = (struct statvfs){ .f_bsize = 4096, .f_frsize = 4096, .f_namemax = NAME_LEN };
	for (size_t i = 0; i < engine_backend_count(c->fs->engine); i++) {
		int r = engine_backend(c->fs->engine, c->view, i, &b);

		if (r < 0)
			return r;
		if (!name || !strcmp(name, b.name))
			add_space(&b, ret);
	}
	return 0;
}

static int space(struct ctx *c, int64_t row, struct statvfs *ret)
{
	struct engine_backend b;
	int r = backend_of(c, row, &b, NULL);

	return r < 0 ? r : backend_space(c, b.name, ret);
}

const struct dir dir_backend = {
	.attrs = attrs,
	.timeout = LONG_TIMEOUT,
	.stat = backend_stat,
	.space = space,
};
