/*
 * attachments/: who uses a volume, a directory each. mkdir attaches, rmdir detaches; what is open, here or by a program outside, is listed
 * too, and is nobody's to write. Looking here makes the backend ask who is outside (engine_watch), for the next look.
 */
#include "base/clock.h"
#include "fs/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- one use --- */

/* Whoever made an attachment may say where it is; of the others only the storage or the kernel know. */
static bool is_somebodys(const struct use *u)
{
	return u->kind == USE_ATTACHED;
}

static void use_stat_of(const struct use *u, struct stat *st)
{
	bool own = is_somebodys(u);

	stat_dir(st, own ? 0755 : 0555, own ? u->uid : 0, own ? u->gid : 0, u->since_us);
}

static int use_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct use u;
	int r = view_use(c->view, row, &u);

	if (r == 0)
		use_stat_of(&u, st);
	return r;
}

/* One show per field: load the row, write a line. */
#define SHOW(what, ...)                                                                            \
	static int show_##what(struct ctx *c, int64_t row, struct buf *out)                        \
	{                                                                                          \
		struct use u;                                                                      \
		int r = view_use(c->view, row, &u);                                                \
                                                                                                   \
		if (r == 0)                                                                        \
			buf_addf(out, __VA_ARGS__);                                                \
		return r;                                                                          \
	}
SHOW(host, "%s\n", u.host)
SHOW(mode, "%s\n", use_mode(&u))

static int show_since(struct ctx *c, int64_t row, struct buf *out)
{
	char when[CLOCK_TEXT_MAX];
	struct use u;
	int r = view_use(c->view, row, &u);

	if (r == 0)
		buf_addf(out, "%s\n", clock_text(u.since_us, when));
	return r;
}

/* Of a watcher nothing is known but where it is. */
static int show_who(struct ctx *c, int64_t row, struct buf *out)
{
	struct use u;
	int r = view_use(c->view, row, &u);

	if (r < 0 || u.kind == USE_WATCHER)
		return r;
	buf_addf(out, "uid %u", (unsigned)u.uid);
	if (u.pid)
		buf_addf(out, ", pid %d", (int)u.pid);
	buf_addc(out, '\n');
	return 0;
}

static void store_host(struct change *ch, int64_t row, const char *text)
{
	struct use u = { 0 };

	if (strlen(text) > NAME_LEN) {
		change_answer(ch, -EINVAL, "a host's name has at most 255 bytes");
		return;
	}
	(void)snprintf(u.host, sizeof u.host, "%s", text);
	engine_use_set(
		ch->fs->engine, ch->id, &ch->who.caller, row, USE_SET_HOST, &u, change_done, ch);
}

static void store_mode(struct change *ch, int64_t row, const char *text)
{
	struct use u = { .writes = !strcmp(text, "rw") };

	if (!u.writes && strcmp(text, "ro"))
		change_answer(ch, -EINVAL, "mode takes rw or ro");
	else
		engine_use_set(ch->fs->engine, ch->id, &ch->who.caller, row, USE_SET_MODE, &u,
			change_done, ch);
}

static const struct attr attrs[] = {
	{ "host", 0644, show_host, store_host, 0, NULL },
	{ "mode", 0644, show_mode, store_mode, 0, NULL },
	{ "since", 0444, show_since, NULL, 0, NULL },
	{ "who", 0444, show_who, NULL, 0, NULL },
	{ 0 },
};

unsigned attachment_attr_count(void)
{
	return sizeof attrs / sizeof attrs[0] - 1;
}

const struct dir dir_attachment = {
	.attrs = attrs,
	.timeout = LONG_TIMEOUT,
	.attr_timeout = LONG_TIMEOUT,
	.stat = use_stat,
};

/* --- all of a volume --- */

static int attachments_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct vol_entry v;
	int r = view_entry(c->view, row, &v);

	if (r == 0)
		stat_dir(st, 0755, v.uid, v.gid, v.updated_us);
	return r;
}

static void look_outside(struct ctx *c, int64_t row)
{
	struct volume v;

	if (view_volume(c->view, row, &v) == 0)
		engine_watch(c->fs->engine, &v);
}

static void entry_of(const struct use *u, struct entry *ret)
{
	ret->node = (struct node){ .kind = KIND_ATTACHMENT, .row = u->id };
	ret->at = u->id;
	ret->generation = 1;
	memcpy(ret->name, u->name, sizeof ret->name);
	use_stat_of(u, &ret->st);
}

static int attachments_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	struct use u;
	int r;

	look_outside(c, row);
	r = view_use_by_name(c->view, row, name, &u);
	if (r == 0)
		entry_of(&u, ret);
	return r;
}

static int attachments_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	struct use u[8];
	int got;

	if (after == 0)
		look_outside(c, row);
	got = view_uses(c->view, row, after, u, n < 8 ? n : 8);
	for (int i = 0; i < got; i++)
		entry_of(&u[i], &ret[i]);
	return got;
}

/* In `errors` by its place: "db/attachments/vm1". */
static struct change *attachment_change(
	struct ctx *c, int64_t volume, enum reply_kind reply, struct node n, const char *name)
{
	struct vol_entry v = { 0 };

	(void)view_entry(c->view, volume, &v);
	return change_new(c, reply, n, "%s/attachments/%s", v.name, name);
}

static void attachments_mkdir(struct ctx *c, int64_t row, const char *name)
{
	struct change *ch = attachment_change(
		c, row, REPLY_ENTRY, (struct node){ .kind = KIND_ATTACHMENT }, name);

	if (ch)
		engine_attach(c->fs->engine, ch->id, &ch->who.caller, row, name, change_done, ch);
}

/* e->node is the volume's where a dead server has removed the row: the engine knows its answer by the request's number. */
static void attachments_rmdir(struct ctx *c, const struct entry *e)
{
	struct node n = { .kind = KIND_ATTACHMENT };
	struct use u = { 0 };
	struct change *ch;

	if (e->node.kind == KIND_ATTACHMENT && view_use(c->view, e->node.row, &u) == 0)
		n.row = u.id;
	ch = attachment_change(c, u.volume, REPLY_CODE, n, u.name);
	if (!ch)
		return;
	if (guard_knows(c->fs->guard, ch->who.tgid, ino_of_volume(u.volume)) ||
		guard_knows(c->fs->guard, ch->who.tgid, ino_of(n)))
		change_answer(ch, -EPERM,
			"this process was just refused to remove files here; use rmdir alone");
	else
		engine_detach(c->fs->engine, ch->id, &ch->who.caller, n.row, change_done, ch);
}

/* Names are not cached: those of what is open go without the kernel's doing. */
const struct dir dir_attachments = {
	.timeout = 0,
	.attr_timeout = LONG_TIMEOUT,
	.stat = attachments_stat,
	.find = attachments_find,
	.list = attachments_list,
	.mkdir = attachments_mkdir,
	.rmdir = attachments_rmdir,
};
