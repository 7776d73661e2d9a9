/*
 * Where the signatures differ only in what follows the request, one function per length of it would
 * do; C wants one per type. Every answer of these is final for the caller but leaves the operation
 * open for other files, which ENOSYS does not.
 */
#include "fs/gaps.h"

#include <errno.h>

#define GAP(op, error, ...)                                                                        \
	static void gap_##op(fuse_req_t req, __VA_ARGS__)                                          \
	{                                                                                          \
		(void)fuse_reply_err(req, error);                                                  \
	}

typedef struct fuse_file_info info;

GAP(lookup, ENOENT, fuse_ino_t ino, const char *name)
GAP(getattr, EOPNOTSUPP, fuse_ino_t ino, info *fi)
GAP(setattr, EOPNOTSUPP, fuse_ino_t ino, struct stat *attr, int to_set, info *fi)
GAP(readlink, EOPNOTSUPP, fuse_ino_t ino)
GAP(mknod, EOPNOTSUPP, fuse_ino_t ino, const char *name, mode_t mode, dev_t dev)
GAP(mkdir, EOPNOTSUPP, fuse_ino_t ino, const char *name, mode_t mode)
GAP(unlink, EOPNOTSUPP, fuse_ino_t ino, const char *name)
GAP(rmdir, EOPNOTSUPP, fuse_ino_t ino, const char *name)
GAP(symlink, EOPNOTSUPP, const char *link, fuse_ino_t ino, const char *name)
GAP(rename, EOPNOTSUPP, fuse_ino_t from, const char *name, fuse_ino_t to, const char *new_name,
	unsigned flags)
GAP(link, EOPNOTSUPP, fuse_ino_t ino, fuse_ino_t parent, const char *name)
GAP(read, EOPNOTSUPP, fuse_ino_t ino, size_t size, off_t off, info *fi)
GAP(write, EOPNOTSUPP, fuse_ino_t ino, const char *buf, size_t size, off_t off, info *fi)
GAP(flush, 0, fuse_ino_t ino, info *fi)
GAP(fsync, 0, fuse_ino_t ino, int data_only, info *fi)
GAP(readdir, EOPNOTSUPP, fuse_ino_t ino, size_t size, off_t off, info *fi)
GAP(fsyncdir, 0, fuse_ino_t ino, int data_only, info *fi)
GAP(access, EOPNOTSUPP, fuse_ino_t ino, int mask)
GAP(create, EOPNOTSUPP, fuse_ino_t ino, const char *name, mode_t mode, info *fi)
GAP(ioctl, ENOTTY, fuse_ino_t ino, unsigned cmd, void *arg, info *fi, unsigned flags,
	const void *in, size_t in_size, size_t out_size)
GAP(fallocate, EOPNOTSUPP, fuse_ino_t ino, int mode, off_t off, off_t len, info *fi)
GAP(copy_file_range, EOPNOTSUPP, fuse_ino_t in, off_t off_in, info *fi_in, fuse_ino_t out,
	off_t off_out, info *fi_out, size_t len, int flags)
GAP(lseek, EOPNOTSUPP, fuse_ino_t ino, off_t off, int whence, info *fi)

void gaps_fill(struct fuse_lowlevel_ops *ops)
{
#define FILL(op)                                                                                   \
	if (!ops->op)                                                                              \
	ops->op = gap_##op
	FILL(lookup);
	FILL(getattr);
	FILL(setattr);
	FILL(readlink);
	FILL(mknod);
	FILL(mkdir);
	FILL(unlink);
	FILL(rmdir);
	FILL(symlink);
	FILL(rename);
	FILL(link);
	FILL(read);
	if (!ops->write_buf)
		FILL(write);
	FILL(flush);
	FILL(fsync);
	FILL(readdir);
	FILL(fsyncdir);
	FILL(access);
	FILL(create);
	FILL(ioctl);
	FILL(fallocate);
	FILL(copy_file_range);
	FILL(lseek);
#undef FILL
}
