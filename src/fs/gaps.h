/* What the filesystem leaves out of its table of operations; for session.c. */
#ifndef VOLFS_FS_GAPS_H
#define VOLFS_FS_GAPS_H

#include <fuse_lowlevel.h>

/* Puts an answer wherever libfuse would say ENOSYS of an operation that the kernel may ask for;
 * which one: session.h. */
void gaps_fill(struct fuse_lowlevel_ops *ops);

#endif
