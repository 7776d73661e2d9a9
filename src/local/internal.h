/* The folder's map: what each file of local/ offers its siblings. */
#ifndef VOLFS_LOCAL_INTERNAL_H
#define VOLFS_LOCAL_INTERNAL_H

#include "base/lock.h"
#include "driver.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

enum { LOCAL_THREADS = 8 };

/* Something for a thread of the pool: run(), then free(spent), which may be the operation itself, then done() with run()'s result. */
struct local_op {
	struct local_op *next;
	int (*run)(struct local_op *op);
	void *of, *spent;
	driver_done *done;
	void *arg;
};

struct local_pool {
	struct lock lock;
	pthread_cond_t more;
	struct local_op *first, **end;	  /* lock */
	size_t queued, count, idle;	  /* lock: operations, threads, those of them that wait */
	bool closing;			  /* lock */
	pthread_t threads[LOCAL_THREADS]; /* lock */
	atomic_size_t at_work;		  /* raised under the lock */
};

/* One backend: a directory. */
struct local {
	const struct backend_conf *conf;
	atomic_long crash_left; /* counts conf->crash_at down */
	struct local_pool pool;
};

enum { LOCAL_BATCH = 64 }; /* creations that share one fsync of the directory */

/* driver.c: a descriptor of the directory, the caller's to close; -ENOENT, -ENOTDIR … with a
 * sentence. It is opened for each call: what is mounted there may come and go. */
int local_dir(const struct local *l, struct err *err);

/* The tests' crash: the process dies just before its n-th change. */
void local_crash_point(struct local *l);

/* name.c. `of`: the name of an image. */
enum { LOCAL_NAME_MAX = NAME_LEN + 16 };
void local_name(const struct driver_image *image, char name[LOCAL_NAME_MAX]); /* "volume-<uuid>" */
void local_name_new(const char *of, char name[LOCAL_NAME_MAX]); /* of anything, while it is made */
void local_name_snaps(
	const char *of, char name[LOCAL_NAME_MAX]); /* the directory of its snapshots */
void local_name_snap(const struct driver_snap *snap, char name[LOCAL_NAME_MAX]); /* in there */
bool local_name_is_volume(const char *name, char uuid[UUID_LEN + 1]); /* uuid: untouched if not */
bool local_name_is_new(const char *name, char uuid[UUID_LEN + 1]);    /* of an image */
bool local_name_is_snaps(const char *name, char of[LOCAL_NAME_MAX]);
bool local_name_is_snap(const char *name, struct driver_snap *ret);
bool local_name_is_foreign(const char *name); /* may an image have it that is not ours? */

/* step.c. Names are relative to dir. */
int local_failed(
	struct err *err, const struct local *l, const char *what, const char *name); /* by errno */
int local_open_file(const struct local *l, int dir, const char *name, int flags, struct stat *st,
	struct err *err); /* the descriptor of an ordinary file; -EINVAL: it is none */
int local_find(const struct local *l, int dir, const char *name, struct stat *st,
	struct err *err); /* 1: there is such a file; 0: nothing; -EINVAL: something else */
int local_look_at(const struct local *l, int dir, const char *name, struct stat *st,
	struct err *err); /* the same, but 0: there is; -ENOENT */
int local_sync(struct local *l, int fd, const char *name, struct err *err);
int local_open_new(struct local *l, int dir, const char *name, mode_t mode,
	struct err *err); /* the descriptor of an empty file; what was there is gone */
int local_rename(
	struct local *l, int dir, const char *from, const char *to, struct err *err); /* -EEXIST */
int local_unlink(
	struct local *l, int dir, const char *name, struct err *err); /* 0 if there is none */
/*
 * Has anybody the file open? The kernel grants a write lease only if not. Filesystems without leases say neither yes nor no; then
 * nobody is asked. The signal for a broken lease is set to one that is ignored by default, since SIGIO would end the process.
 */
bool local_is_used(int dir, const char *name);
int local_refuse_used(
	const struct local *l, int dir, const char *name, struct err *err); /* -EBUSY */

/* copy.c: all bytes of a file into an empty one; -errno. progress may be NULL, and counts what has to be copied. */
int local_copy(int from, int to, uint64_t size, struct driver_progress *progress);

/* file.c */
void local_create(void *be, struct driver_create *each, size_t n);
int local_remove(void *be, const struct driver_image *image, struct driver_progress *progress,
	struct err *err);
int local_resize(void *be, const struct driver_image *image, uint64_t size, struct err *err);
int local_used(void *be, const struct driver_image *image, uint64_t *ret, struct err *err);

/* snap.c */
int local_open_snaps(const struct local *l, int dir, const char *of,
	struct err *err); /* the directory; -ENOENT, without a sentence: it has none */
int local_open_snap(const struct local *l, int dir, const struct driver_image *image,
	const struct driver_snap *snap, struct stat *st, struct err *err); /* for reading */
/* Of an image that is about to be removed: temporary ones and what is half made go. -ENOTEMPTY: it has others (nothing is touched). */
int local_end_snaps(struct local *l, int dir, const char *of, struct err *err);
int local_snap_create(void *be, const struct driver_image *image, const struct driver_snap *snap,
	struct driver_progress *progress, struct err *err);
int local_snap_remove(void *be, const struct driver_image *image, const struct driver_snap *snap,
	struct err *err);
int local_revert(void *be, const struct driver_image *image, const struct driver_snap *snap,
	struct driver_progress *progress, struct err *err);

/* found.c. local_walk: each() of every name in a directory; what it returns < 0 ends it and is returned. */
int local_walk(const struct local *l, int dir, int (*each)(void *arg, const char *name), void *arg,
	struct err *err);
int local_list(void *be, bool parts, int (*each)(void *arg, const struct driver_found *found),
	void *arg, struct err *err);
int local_look(void *be, const char *name, struct driver_found *ret, struct err *err);
int local_snaps(
	void *be, const char *name, struct driver_found_snap *ret, size_t n, struct err *err);
int local_adopt(void *be, const char *name, struct driver_image *image, struct err *err);
int local_snap_adopt(void *be, const struct driver_image *image, const char *name,
	const struct driver_snap *snap, struct err *err);
int local_disown(void *be, const struct driver_image *image, const char *name, struct err *err);

/* pool.c. Submitting never waits; it may end the operation before it returns. */
void local_pool_init(struct local_pool *p);
void local_submit(struct local_pool *p, struct local_op *op);
void local_op_end(struct local_op *op, int code);
bool local_pool_end(
	struct local_pool *p); /* false: a thread still uses the pool, and for ever may */

/* data.c: struct driver's data_* */
void local_data_open(void *be, const struct driver_image *image, const struct driver_snap *snap,
	bool writable, void **ret, driver_done *done, void *arg);
void local_data_close(void *data, driver_done *done, void *arg);
void local_data_read(void *data, uint64_t off, size_t len, void *buf, driver_done *done, void *arg);
void local_data_write(
	void *data, uint64_t off, size_t len, const void *buf, driver_done *done, void *arg);
void local_data_zero(void *data, uint64_t off, uint64_t len, driver_done *done, void *arg);
void local_data_flush(void *data, driver_done *done, void *arg);
int local_data_next(void *data, uint64_t off, uint64_t size, bool hole, uint64_t *ret);

#endif
