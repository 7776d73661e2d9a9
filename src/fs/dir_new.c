/* new/: the template and the kept drafts are listed; specs that were accepted are found by name
 * only. */
#include "fs/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int new_stat(struct ctx *c, int64_t row, struct stat *st)
{
	bool restricted = c->fs->conf->new_group && c->fs->conf->new_group[0];

	stat_dir(st, restricted ? 01770 : 01777, 0, restricted ? c->fs->new_gid : 0,
		c->fs->started_us);
	return 0;
}

int64_t accepted_find(struct ctx *c, const char *file)
{
	char name[NAME_LEN + 1];
	int64_t volume;

	draft_volume_name(file, name);
	return view_accepted(c->view, name, &volume) == 0 ? volume : 0;
}

bool accepted_was_unlinked(struct ctx *c, int64_t volume)
{
	return !guard_is_empty(c->fs->unlinked) &&
	       guard_knows(c->fs->unlinked, who_tgid(c->pid), ino_of_volume(volume));
}

/* By its name, which is the volume's now. */
static void refuse_accepted(struct ctx *c, struct node n)
{
	char file[NAME_LEN + 8] = "new/";
	struct vol_entry v;

	if (view_entry(c->view, n.row, &v) == 0)
		(void)snprintf(file, sizeof file, "new/%s", v.name);
	refuse(c, -EEXIST, file, "this spec was accepted already: its volume exists");
}

void accepted_open(struct ctx *c, struct node n, struct fuse_file_info *fi)
{
	if ((fi->flags & O_ACCMODE) != O_RDONLY) {
		refuse_accepted(c, n);
		return;
	}
	fi->direct_io = 1;
	fi->noflush = 1;
	fi->fh = opens_next(c->fs->opens);
	fuse_reply_open(c->req, fi);
}

void accepted_read(struct ctx *c, struct node n, size_t size, off_t off)
{
	struct buf text = { 0 };
	int r = view_spec(c->view, n.row, &text);

	if (r < 0)
		fuse_reply_err(c->req, reply_errno(r));
	else
		reply_slice(c->req, buf_text(&text), text.len, size, off);
	buf_release(&text);
}

static void new_create(
	struct ctx *c, int64_t row, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	draft_create(c, 0, name, mode, fi);
}

static void new_unlink(struct ctx *c, int64_t row, const char *name)
{
	int64_t volume;

	if (draft_unlink(c, 0, name))
		return;
	volume = accepted_find(c, name);
	if (volume) /* it is not listed, so it is not there: as chmod and chown, this does nothing to it */
		guard_note(c->fs->unlinked, who_tgid(c->pid), ino_of_volume(volume));
	fuse_reply_err(c->req, !strcmp(name, "spec") ? EPERM : volume ? 0 : ENOENT);
}

static int new_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	int r = draft_find(c, 0, name, ret);
	int64_t volume;

	if (r != -ENOENT)
		return r;
	volume = accepted_find(c, name);
	if (!volume || accepted_was_unlinked(c, volume))
		return -ENOENT;
	ret->node = (struct node){ .kind = KIND_ACCEPTED, .row = volume };
	return node_stat(c, ret->node, &ret->st);
}

static int new_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	return draft_list(c, after, ret, n);
}

/* Who writes a spec needs to search and to write this directory: without its attributes in the cache
 * the kernel would ask for them twice for each volume. They are the configuration's. */
const struct dir dir_new = {
	.timeout = 0,
	.attr_timeout = LONG_TIMEOUT,
	.stat = new_stat,
	.find = new_find,
	.list = new_list,
	.create = new_create,
	.unlink = new_unlink,
	.rename = new_rename,
};
