/*
 * The generic half of an attribute file: opening, offsets, permission against a missing show or
 * store, the text's limits. A row of a table does the value: show renders all of it, store gets all
 * of it at once, trimmed (of free text, with ch->append, what comes after the text that is there).
 */
#include "base/text.h"
#include "fs/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { STORE_MAX = 4096 }; /* no value is longer than a description; a page is what sysfs takes */

int attr_stat(struct ctx *c, struct node n, const struct attr *a, const struct stat *object,
	struct stat *ret)
{
	struct buf text = { 0 };
	int r = 0;

	*ret = *object;
	ret->st_mode = S_IFREG | a->mode;
	ret->st_nlink = 1;
	ret->st_size = 0;
	ret->st_blocks = 0;
	if (a->flags & ATTR_ADMIN) {
		ret->st_uid = 0;
		ret->st_gid = c->fs->admin_gid;
	}
	if (a->flags & ATTR_LOG)
		return log_stat(c, ret);
	if (a->show && !(a->flags & (ATTR_STREAM | ATTR_WAIT)))
		r = a->show(c, n.row, &text);
	ret->st_size = (off_t)text.len;
	buf_release(&text);
	return r;
}

/* Is there anything to be done about O_TRUNC, or a truncation to nothing? What has no text changes by neither, and is no event. */
static bool is_emptied(struct ctx *c, struct node n, const struct attr *a)
{
	struct buf text = { 0 };
	bool emptied = a->flags & ATTR_FREE &&
		       (a->show(c, n.row, &text) < 0 || text.len > 1); /* more than a newline */

	buf_release(&text);
	return emptied;
}

void attr_truncate(struct ctx *c, struct node n, const struct attr *a, off_t size)
{
	struct change *ch;

	if (!a->store) {
		refuse_node(c, n, -EACCES, "it cannot be written");
	} else if (size != 0) {
		refuse_node(c, n, -EINVAL, "its value is written, not cut to a length");
	} else if (!is_emptied(c, n, a)) {
		struct stat st;
		int r = node_stat(c, n, &st);

		if (r < 0)
			fuse_reply_err(c->req, reply_errno(r));
		else
			fuse_reply_attr(c->req, &st, node_attr_timeout(n));
	} else {
		ch = change_new(c, REPLY_ATTR, n, "%s", a->name ? a->name : "?");
		if (ch)
			a->store(ch, n.row, "");
	}
}

static void open_stream(
	struct ctx *c, struct node n, const struct attr *a, struct fuse_file_info *fi)
{
	int r = place_open(c, &fi->fh);

	if (r < 0) {
		refuse_node(c, n, r,
			r == -EAGAIN ? "its user has too many streams open (limits.blocked)"
				     : "too many streams are open");
		return;
	}
	r = log_opened(c, a, fi->fh);
	if (r == 0) {
		fuse_reply_open(c->req, fi);
		return;
	}
	place_drop(c->fs, fi->fh);
	fuse_reply_err(c->req, reply_errno(r));
}

void attr_open(struct ctx *c, struct node n, const struct attr *a, struct fuse_file_info *fi)
{
	int want = fi->flags & O_ACCMODE;
	struct change *ch;

	/* Root passes every permission bit: what cannot be read or written at all is refused here.
	 */
	if ((want != O_WRONLY && !a->show) || (want != O_RDONLY && !a->store)) {
		refuse_node(
			c, n, -EACCES, a->store ? "it can only be written" : "it can only be read");
		return;
	}
	fi->direct_io = 1;
	fi->noflush = 1;
	if (a->read) {
		open_stream(c, n, a, fi);
		return;
	}
	fi->fh = opens_next(c->fs->opens);
	if (!(fi->flags & O_TRUNC) || !is_emptied(c, n, a)) {
		fuse_reply_open(c->req, fi);
		return;
	}
	ch = change_new(c, REPLY_OPEN, n, "%s", a->name ? a->name : "?");
	if (!ch)
		return;
	ch->fi = *fi;
	a->store(ch, n.row, "");
}

void attr_read(struct ctx *c, struct node n, const struct attr *a, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct buf text = { 0 };
	int r;

	if ((a->flags & (ATTR_STREAM | ATTR_WAIT)) && (fi->flags & O_DIRECT)) {
		fuse_reply_err(c->req, EINVAL);
		return;
	}
	if (a->read) {
		a->read(c, n, size, off, fi);
		return;
	}
	if (off > 0 && opens_reply(c->fs->opens, fi->fh, c->req, size, off))
		return;
	if (a->flags & ATTR_WAIT) {
		wait_read(c, n, size, off, fi);
		return;
	}
	r = a->show(c, n.row, &text);
	if (r == 0 && buf_failed(&text))
		r = -ENOMEM;
	/* Kept first: the answer's reader may be back, in another thread, before this one goes on. */
	if (r == 0 && off == 0)
		opens_keep(c->fs->opens, fi->fh, &text, 0);
	if (r < 0)
		fuse_reply_err(c->req, reply_errno(r));
	else if (off > 0 || !opens_reply(c->fs->opens, fi->fh, c->req, size, off))
		reply_slice(c->req, buf_text(&text), text.len, size, off);
	buf_release(&text);
}

void attr_write(struct ctx *c, struct node n, const struct attr *a, const char *text, size_t size,
	off_t off, struct fuse_file_info *fi)
{
	char value[STORE_MAX + 1];
	struct change *ch;

	if (off != 0 && !(fi->flags & O_APPEND)) {
		refuse_node(c, n, -EINVAL,
			"its value is one write(2): what came after the first is left out");
		return;
	}
	ch = change_new(c, REPLY_WRITE, n, "%s", a->name ? a->name : "?");
	if (!ch)
		return;
	ch->size = size;
	ch->append = fi->flags & O_APPEND;
	if (size > STORE_MAX) {
		change_answer(ch, -EFBIG, "the value is longer than 4096 bytes");
		return;
	}
	memcpy(value, text, size);
	value[size] = '\0';
	if (strlen(value) != size)
		change_answer(ch, -EINVAL, "the value holds a NUL byte");
	else
		a->store(ch, n.row, text_trim(value));
}
