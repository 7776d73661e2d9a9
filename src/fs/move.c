/*
 * Renames of what is no key and no draft: in the root, and between it and the trash or unmanaged/. Every other pair is EPERM, never EXDEV,
 * for which mv(1) would begin to copy.
 *
 * The kernel moves its entry with the inode that it had. A volume keeps its number in the trash. An image that is adopted does not, but what
 * comes from unmanaged/ is looked up each time. A volume that is let go is shown in unmanaged/ until it is forgotten; then its inode is
 * ESTALE, for which the kernel looks the path up anew (op_getattr).
 */
#include "fs/internal.h"

#include <errno.h>

struct move {
	struct node from, to; /* directories */
	const char *name, *newname;
};

static const char part_of_it[] = "this is part of the filesystem";

/* r: of the look for what is to be moved. False: it is not there, and that is answered. A resent request goes to the engine all the same,
 * which knows what it answered before. */
static bool is_there(struct ctx *c, int r, const char *name)
{
	if (r == 0 || (r == -ENOENT && session_change_id(c->fs->session).resent))
		return true;
	if (r == -ENOENT)
		refuse(c, -EPERM, name, part_of_it);
	else
		fuse_reply_err(c->req, reply_errno(r));
	return false;
}

/* Of a volume in the root; NULL: that is answered. */
static struct change *change_volume(struct ctx *c, const struct move *m)
{
	struct vol_entry v = { 0 };
	int r = view_entry_by_name(c->view, m->name, &v);
	struct node n = { .kind = KIND_VOLUME, .row = v.id };

	return is_there(c, r, m->name) ? change_new(c, REPLY_RENAME, n, "%s", m->name) : NULL;
}

static void rename_volume(struct ctx *c, const struct move *m)
{
	struct change *ch = change_volume(c, m);

	if (ch)
		engine_rename(c->fs->engine, ch->id, &ch->who.caller, ch->node.row, m->newname,
			change_done, ch);
}

static void restore(struct ctx *c, const struct move *m)
{
	struct entry e = { 0 };
	int r = dir_trash.find(c, 0, m->name, &e);
	struct change *ch = is_there(c, r, m->name) ? change_new(c, REPLY_RENAME, e.node,
							      ".volfs/trash/%s", m->name)
						    : NULL;

	if (ch)
		engine_restore(c->fs->engine, ch->id, &ch->who.caller, e.node.row, m->newname,
			change_done, ch);
}

static void adopt(struct ctx *c, const struct move *m)
{
	struct entry e = { 0 };
	struct change *ch;
	int r;

	if (!m->from.row) { /* a backend's directory: its row is no image's */
		refuse(c, -EPERM, m->name, part_of_it);
		return;
	}
	r = dir_unmanaged.find(c, m->from.row, m->name, &e);
	ch = is_there(c, r, m->name) ? change_new(c, REPLY_RENAME, e.node, "%s", m->name) : NULL;
	if (ch)
		engine_adopt(c->fs->engine, ch->id, &ch->who.caller, e.node.row, m->newname,
			change_done, ch);
}

static void disown(struct ctx *c, const struct move *m)
{
	struct change *ch = change_volume(c, m);
	char image[NAME_LEN + 1];

	if (!ch)
		return;
	if (!m->to.row)
		change_answer(ch, -EPERM, "only .volfs/unmanaged/BACKEND/ takes a volume");
	else if (!unmanaged_name(m->newname, image))
		change_answer(
			ch, -EINVAL, "no image can have that name: '/' is written %2F, '%' %25");
	else
		engine_disown(c->fs->engine, ch->id, &ch->who.caller, ch->node.row, m->to.row,
			image, change_done, ch);
}

static const struct {
	enum kind from, to;
	void (*run)(struct ctx *c, const struct move *m);
} moves[] = {
	{ KIND_ROOT, KIND_ROOT, rename_volume },
	{ KIND_TRASH, KIND_ROOT, restore },
	{ KIND_UNMANAGED, KIND_ROOT, adopt },
	{ KIND_ROOT, KIND_UNMANAGED, disown },
};

void move_between(
	struct ctx *c, struct node from, const char *name, struct node to, const char *newname)
{
	const struct move m = { from, to, name, newname };

	for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++)
		if (moves[i].from == from.kind && moves[i].to == to.kind) {
			moves[i].run(c, &m);
			return;
		}
	refuse(c, -EPERM, name, "it cannot be moved there");
}
