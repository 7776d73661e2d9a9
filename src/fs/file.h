/* What file.c (open descriptions of `data`) and file_io.c (requests on them) share. */
#ifndef VOLFS_FS_FILE_H
#define VOLFS_FS_FILE_H

#include "data/data.h"
#include "fs/internal.h"

struct handle {
	uint64_t fh;
	bool writes;
	struct data_image *image;
	_Atomic bool dirty; /* a write was kept since the last close */
};

/* NULL: there is none (a description whose volume could not be found again). It lives until its RELEASE, which the kernel sends after
 * everything else on it was answered. */
struct handle *handle_find(struct fs *fs, uint64_t fh);

#endif
