/* What file.c (open descriptions of `data`), file_empty.c (those with O_TRUNC) and file_io.c (requests on them) share. */
#ifndef VOLFS_FS_FILE_H
#define VOLFS_FS_FILE_H

#include "data/data.h"
#include "fs/internal.h"

struct handle {
	uint64_t fh;
	bool writes;
	struct data_image *image;
	_Atomic bool
		dirty; /* a write was kept since the last close, or may have been by a dead server */
};

/* NULL: there is none (a description whose volume could not be found again). It lives until its RELEASE, which the kernel sends after
 * everything else on it was answered. */
struct handle *handle_find(struct fs *fs, uint64_t fh);

/* --- overflow.c: memory of requests under way, and what writes carry beyond it */

/* Are n bytes within io_memory? Then they are counted, until they are given back. From any thread, without a lock. */
bool overflow_room(struct overflow *o, size_t n);
void overflow_back(struct overflow *o, size_t n);

/* What a read or write carries; embedded in the request, zeroed but for ready. */
struct parcel {
	void (*ready)(struct parcel *p); /* of overflow_put() */
	void *at;
	size_t len;
	bool in_file;
	struct parcel *next;
};
/* Memory of which none is taken before it is written to. NULL: there is none. */
void *overflow_space(struct parcel *p, size_t len);
/* Copies bytes, which are moved to a file where that is possible, and never waits for it; ready() once they are at `at`, perhaps within this
 * call. false: no memory, and no ready(). */
bool overflow_put(struct overflow *o, struct parcel *p, const void *bytes, size_t len);
void overflow_drop(struct overflow *o, struct parcel *p); /* its bytes, if it has any */

/* --- file.c, for file_empty.c */

/* Ends an open that the engine has accepted: with its descriptor; with an error. The change is over. */
void file_reply_open(struct change *ch);
void file_refuse_opened(struct change *ch, int code, const char *text);
/* A description that nobody has: it is closed, and the engine hears of it. */
void file_forget(struct fs *fs, uint64_t fh, struct node n);

/* --- file_empty.c: O_TRUNC */

/* Discards all blocks, then answers the open. */
void file_empty(struct change *ch, struct handle *h);
/* Goes on with what a dead server did after the opener was killed; then the description ends. */
void file_empty_left(struct fs *fs, struct handle *h, struct node n);

#endif
