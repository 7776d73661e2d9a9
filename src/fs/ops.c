/* One handler per operation: unpack, find what the inode is, call. What changes nothing replies
 * here, once. */
#include "fs/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

struct ctx ctx_of(fuse_req_t req)
{
	struct fs *fs = fuse_req_userdata(req);
	const struct fuse_ctx *who = fuse_req_ctx(req);

	return (struct ctx){ .fs = fs,
		.view = fs_view(fs),
		.req = req,
		.uid = who->uid,
		.gid = who->gid,
		.pid = who->pid,
		.seen = changes_seen(fs->changes) };
}

/* Begins every handler: without a read connection nothing can be answered. */
#define CTX(req)                                                                                   \
	struct ctx c = ctx_of(req);                                                                \
	if (!c.view) {                                                                             \
		fuse_reply_err(req, EIO);                                                          \
		return;                                                                            \
	}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	CTX(req);
	struct node p = ino_node(parent);
	struct fuse_entry_param e = { 0 };
	struct entry found;
	const struct dir *d = dir_of(p.kind);
	int r = strlen(name) > NAME_LEN ? -ENAMETOOLONG
					: dir_lookup(&c, p, name, &found, &e.entry_timeout);

	if (r == -ENOENT && d && d->make) {
		d->make(&c, p.row, name);
		return;
	}
	if (r < 0) {
		fuse_reply_err(req, reply_errno(r));
		return;
	}
	e.ino = found.st.st_ino;
	e.generation = found.generation;
	e.attr = found.st;
	e.attr_timeout = node_attr_timeout(found.node);
	changes_tell(c.fs->changes, found.node);
	fuse_reply_entry(req, &e);
	changes_repeat(c.fs, c.seen, found.node.row, e.ino);
}

/* A volume that was let go is still found where mv put it, and its image is what should be: ESTALE has the kernel look names up anew that it
 * would keep. */
static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	CTX(req);
	struct node n = ino_node(ino);
	struct stat st;
	int r = node_stat(&c, n, &st);

	if (r == -ENOENT && n.kind == KIND_VOLUME && n.index == 0)
		r = -ESTALE;
	if (r < 0)
		fuse_reply_err(req, reply_errno(r));
	else
		fuse_reply_attr(req, &st, node_attr_timeout(n));
}

/* A key of metadata or of a type; a directory of such. */
static bool is_key(enum kind kind)
{
	return kind == KIND_META || kind == KIND_TYPE_ENTRY;
}

static bool is_keys(struct node n)
{
	return n.index == 0 && (n.kind == KIND_METADATA || type_list_of(n.kind));
}

static void op_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	CTX(req);
	enum { OWNER = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID };
	struct node n = ino_node(ino);
	const struct attr *a = dir_attr(n);

	if (n.kind == KIND_DRAFT && (to_set & FUSE_SET_ATTR_MODE))
		draft_chmod(&c, n, attr->st_mode);
	if (n.kind == KIND_DATA)
		file_setattr(&c, n, attr, to_set);
	else if (n.kind == KIND_DRAFT && (to_set & FUSE_SET_ATTR_SIZE))
		draft_truncate(&c, n, attr->st_size);
	else if (n.kind == KIND_DRAFT || n.kind == KIND_ACCEPTED)
		op_getattr(req, ino, fi); /* cp -p, install and Ansible set what they like; but
					     for a draft's mode it has no meaning here */
	else if (is_keys(n) || (is_key(n.kind) && !(to_set & FUSE_SET_ATTR_SIZE)))
		op_getattr(req, ino, fi); /* the same of tar, rsync -a and cp -a among keys */
	else if (n.kind == KIND_VOLUME && n.index == 0)
		volume_setattr(&c, n, attr, to_set);
	else if (a && (to_set & FUSE_SET_ATTR_SIZE))
		attr_truncate(&c, n, a, attr->st_size);
	else if (to_set & OWNER)
		refuse_node(&c, n, -EPERM,
			"only a volume's directory has an owner and a mode of its own");
	else
		op_getattr(req, ino, fi); /* times: accepted, and ours all the same */
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	CTX(req);
	char target[BY_TARGET_MAX];
	struct node n = ino_node(ino);
	int r = n.kind == KIND_BY_LINK ? by_link_target(&c, n, target) : -EINVAL;

	if (r < 0)
		fuse_reply_err(req, reply_errno(r));
	else
		fuse_reply_readlink(req, target);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	CTX(req);
	struct node n = ino_node(ino);
	const struct attr *a = dir_attr(n);

	if (n.kind == KIND_DATA) {
		file_open(&c, n, fi);
	} else if (n.kind == KIND_DRAFT) {
		draft_open(&c, n, fi);
	} else if (n.kind == KIND_ACCEPTED) {
		accepted_open(&c, n, fi);
	} else if (a) {
		attr_open(&c, n, a, fi);
	} else {
		fuse_reply_err(req, ENOENT);
	}
}

static void op_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	CTX(req);
	struct node n = ino_node(ino);
	const struct attr *a = dir_attr(n);

	if (n.kind == KIND_DATA)
		file_read(&c, fi, size, off);
	else if (n.kind == KIND_DRAFT)
		draft_read(&c, fi, size, off);
	else if (n.kind == KIND_ACCEPTED)
		accepted_read(&c, n, size, off);
	else if (a && a->show)
		attr_read(&c, n, a, size, off, fi);
	else
		fuse_reply_err(req, EBADF);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *text, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	CTX(req);
	struct node n = ino_node(ino);
	const struct attr *a = dir_attr(n);

	if (n.kind == KIND_DATA)
		file_write(&c, fi, text, size, off);
	else if (n.kind == KIND_DRAFT)
		draft_write(&c, fi, text, size, off);
	else if (a && a->store)
		attr_write(&c, n, a, text, size, off, fi);
	else
		fuse_reply_err(req, EBADF);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	CTX(req);

	if (ino_node(ino).kind == KIND_DATA)
		file_flush(&c, fi);
	else if (ino_node(ino).kind == KIND_DRAFT)
		draft_flush(&c, fi);
	else
		fuse_reply_err(req, 0);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	CTX(req);
	struct node n = ino_node(ino);

	if (n.kind == KIND_DATA) {
		file_release(&c, n, fi);
		return;
	}
	if (n.kind == KIND_DRAFT) {
		draft_release(&c, fi);
		return;
	}
	opens_drop(c.fs->opens, fi->fh);
	place_drop(c.fs, fi->fh);
	waiters_forget(c.fs->waiters, fi->fh);
	openers_forget(c.fs->openers, fi->fh);
	follow_forget(c.fs->follow, fi->fh);
	fuse_reply_err(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	CTX(req);

	if (ino_node(ino).kind == KIND_DATA)
		file_fsync(&c, fi);
	else
		fuse_reply_err(req, 0);
}

static void op_fallocate(
	fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	CTX(req);

	if (ino_node(ino).kind == KIND_DATA)
		file_fallocate(&c, fi, mode, off, len);
	else
		fuse_reply_err(req, EOPNOTSUPP);
}

static void op_lseek(
	fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	CTX(req);

	if (ino_node(ino).kind == KIND_DATA)
		file_lseek(&c, fi, off, whence);
	else
		fuse_reply_err(req, EOPNOTSUPP);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_open(req, fi);
}

static void op_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	CTX(req);

	dir_read(&c, ino_node(ino), size, off, false);
}

static void op_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	CTX(req);

	dir_read(&c, ino_node(ino), size, off, true);
}

static void op_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	CTX(req);
	struct node p = ino_node(parent);
	const struct dir *d = dir_of(p.kind);

	if (d && d->create)
		d->create(&c, p.row, name, mode, fi);
	else
		refuse(&c, -EPERM, name, "nothing can be created here");
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	CTX(req);
	struct node p = ino_node(parent);
	const struct dir *d = dir_of(p.kind);

	if (d && d->mkdir)
		d->mkdir(&c, p.row, name);
	else
		refuse(&c, -EPERM, name, "no directory can be made here");
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	CTX(req);

	refuse(&c, -EPERM, name, "nothing can be created here");
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	op_mknod(req, parent, name, 0, 0);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	op_mknod(req, parent, name, 0, 0);
}

/* Remembers who tried to unlink an attribute of a volume, type, attachment or snapshot: tree walkers do, and may not remove the rest after it. */
static void unlink_attr(struct ctx *c, struct node p, const char *name)
{
	if (type_list_of(p.kind))
		p.kind = KIND_TYPE;
	if (p.kind == KIND_VOLUME || p.kind == KIND_TYPE || p.kind == KIND_ATTACHMENT ||
		p.kind == KIND_SNAPSHOT)
		guard_note(c->fs->guard, who_tgid(c->pid), ino_of(p));
	refuse(c, -EPERM, name,
		p.kind == KIND_VOLUME
			? "an attribute cannot be removed; rmdir of its directory deletes a volume"
			: "this file cannot be removed");
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	CTX(req);
	struct node p = ino_node(parent);
	const struct dir *d = dir_of(p.kind);
	struct entry e;
	double timeout;
	int r;

	if (d && d->unlink && !dir_has_attr(d, name))
		d->unlink(&c, p.row, name);
	else if ((r = dir_lookup(&c, p, name, &e, &timeout)) < 0)
		fuse_reply_err(req, reply_errno(r));
	else
		unlink_attr(&c, p, name);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	CTX(req);
	struct node p = ino_node(parent);
	const struct dir *d = dir_of(p.kind);
	bool resent = session_change_id(c.fs->session).resent;
	struct entry e;
	double timeout;
	int r = dir_lookup(&c, p, name, &e, &timeout);

	if (r == -ENOENT && resent) {
		/* Carried out by a dead server: the engine knows its answer by the request's
		 * number. */
		e = (struct entry){ .node.kind = KIND_VOLUME };
		r = 0;
	}
	(void)snprintf(e.name, sizeof e.name, "%s", name);
	if (r < 0)
		fuse_reply_err(req, reply_errno(r));
	else if (d && d->rmdir && !dir_has_subdir(d, name) && e.node.index == 0)
		d->rmdir(&c, &e);
	else
		refuse(&c, -EPERM, name, "this directory is part of the filesystem");
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	CTX(req);
	struct node from = ino_node(parent), to = ino_node(newparent);
	const struct dir *d = dir_of(from.kind);

	if (flags & ~(unsigned)RENAME_NOREPLACE)
		fuse_reply_err(req, EINVAL);
	else if (d && d->rename && from.kind == to.kind && from.row == to.row)
		d->rename(&c, from.row, name, newname);
	else
		move_between(&c, from, name, to, newname);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	CTX(req);
	struct node n = ino_node(ino);
	const struct dir *d = dir_of(n.kind);
	struct statvfs s;
	int r = -ENOENT;

	if (n.kind == KIND_DATA)
		d = n.index == DATA_OF_SNAPSHOT ? &dir_snapshot : &dir_volume;
	else if (n.kind == KIND_METADATA || n.kind == KIND_ATTACHMENTS)
		d = &dir_volume;
	if (d && d->space)
		r = d->space(&c, n.row, &s);
	if (r == -ENOENT)
		r = backend_space(&c, NULL, &s);
	if (r < 0)
		fuse_reply_err(req, reply_errno(r));
	else
		fuse_reply_statfs(req, &s);
}

static void op_poll(
	fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	CTX(req);
	static const struct attr plain = { .name = "" };
	struct node n = ino_node(ino);
	const struct attr *a = dir_attr(n);

	if (a && a->flags & ATTR_FOLLOW)
		follow_poll(&c, fi, ph);
	else
		wait_poll(&c, n, a ? a : &plain, fi, ph);
}

const struct fuse_lowlevel_ops fs_ops = {
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.create = op_create,
	.statfs = op_statfs,
	.poll = op_poll,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
};
