/* json.c: volumes as JSON, an object and a newline each. Any thread, with its own view. */
#ifndef VOLFS_FS_JSON_H
#define VOLFS_FS_JSON_H

#include "base/buf.h"
#include "engine/engine.h"

/* The next volume of a walk (store/view.h), added to out, and its row; e knows what is under way, NULL: nothing. 1; 0: there is none;
 * -EIO, -ENOMEM. */
int json_next(struct view *v, struct engine *e, struct buf *out, struct volume *ret);

/* One volume, alive or in the trash. 0, -ENOENT, -EIO, -ENOMEM. */
int json_of_volume(
	struct view *v, struct engine *e, int64_t row, struct buf *out, struct volume *ret);

#endif
