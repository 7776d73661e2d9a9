/* The folder's map: what each file of local/ offers its siblings. */
#ifndef VOLFS_LOCAL_INTERNAL_H
#define VOLFS_LOCAL_INTERNAL_H

#include "driver.h"

#include <stdatomic.h>

/* One backend: a directory. Nothing to lock. */
struct local {
	const struct backend_conf *conf;
	atomic_long crash_left; /* counts conf->crash_at down */
};

enum { LOCAL_BATCH = 64 }; /* creations that share one fsync of the directory */

/* driver.c: a descriptor of the directory, the caller's to close; -ENOENT, -ENOTDIR … with a
 * sentence. It is opened for each call: what is mounted there may come and go. */
int local_dir(const struct local *l, struct err *err);

/* The tests' crash: the process dies just before its n-th change. */
void local_crash_point(struct local *l);

/* file.c */
enum { LOCAL_NAME_MAX = UUID_LEN + 16 };
void local_name(const struct driver_image *image, char name[LOCAL_NAME_MAX]); /* "volume-<uuid>" */
void local_create(void *be, struct driver_create *each, size_t n);
int local_remove(void *be, const struct driver_image *image, struct err *err);
int local_resize(void *be, const struct driver_image *image, uint64_t size, struct err *err);
int local_used(void *be, const struct driver_image *image, uint64_t *ret, struct err *err);

#endif
