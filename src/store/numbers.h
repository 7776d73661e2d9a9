/* What there is to watch of the catalogue. fs alone shows it. */
#ifndef VOLFS_STORE_NUMBERS_H
#define VOLFS_STORE_NUMBERS_H

#include "base/metric.h"
#include "store/view.h"
#include "volume.h"

/* Of the writer, since this server began: any thread, no query. */
struct store_numbers {
	struct counter lost;	 /* commits that failed: a full disk, above all */
	struct counter refused;	 /* changes that were rolled back alone */
	struct counter wal;	 /* pages in the -wal, as of the latest commit */
	struct histogram batch;	 /* changes of a commit */
	struct histogram commit; /* how long it took, its changes included */
};
extern const struct bounds store_batch_bounds, store_commit_bounds;
const struct store_numbers *store_numbers(const struct view *v);

/* How many volumes are in one state, and their sizes. backend "": on none. */
struct volume_count {
	char backend[NAME_LEN + 1];
	bool trashed;
	enum vol_status status;
	uint64_t volumes, size;
};

/* All of them that ever were, also those that are 0 by now, in order of backends; a query of as many rows. each() asks the catalogue
 * nothing. 0 or -EIO. */
int view_volume_counts(
	struct view *v, void (*each)(void *arg, const struct volume_count *c), void *arg);

/* Bytes of the files of the catalogue: the database, its -wal. 0 or -EIO. */
int view_file_sizes(struct view *v, uint64_t *ret_database, uint64_t *ret_wal);

#endif
