/*
 * The mount itself: what is at a mountpoint, mount(2) over /dev/fuse, and its end. For the
 * supervisor, which has one thread. Whatever may have to wait for a server that does not answer is
 * done in a child process and bounded.
 */
#ifndef VOLFS_MOUNT_H
#define VOLFS_MOUNT_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct mount {
	char *path;	     /* absolute, symlinks resolved */
	const char *source;  /* borrowed; shown in /proc/mounts */
	unsigned long flags; /* MS_…; nosuid and nodev always */
	char dev[24];	     /* "0:43", while mounted */
};

/* Looks at the mountpoint and the options of -o (by comma, NULL: none). A mount that a dead daemon
 * left there is cleared away. Refused with a sentence: missing, not a directory, a volfs lives
 * there, an option that volfs does not know. */
int mount_prepare(const char *path, const char *source, const char *options, struct mount *ret,
	struct err *err);
void mount_release(struct mount *m);

/* Opens /dev/fuse and mounts it. Returns the descriptor (close-on-exec off). */
int mount_begin(struct mount *m, struct err *err);

bool mount_is_there(const struct mount *m);

/* The kernel caps a FUSE mount's read-ahead at 128 KiB; after INIT was answered it can be raised.
 */
void mount_raise_read_ahead(const struct mount *m);

/* Starts a process that ends with 0 when the mount answers, and waits as long as that takes.
 * fuse_fd: closed there. */
pid_t mount_probe(const struct mount *m, int fuse_fd);

/* Unmounts: if it is in use, it disappears from the tree now and ends with its last user. Bounded.
 */
void mount_end(struct mount *m, int fuse_fd);

#endif
