/* The folder's map: what each file of local/ offers its siblings. */
#ifndef VOLFS_LOCAL_INTERNAL_H
#define VOLFS_LOCAL_INTERNAL_H

#include "base/lock.h"
#include "driver.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

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

/* file.c */
enum { LOCAL_NAME_MAX = UUID_LEN + 16 };
void local_name(const struct driver_image *image, char name[LOCAL_NAME_MAX]); /* "volume-<uuid>" */
void local_create(void *be, struct driver_create *each, size_t n);
int local_remove(void *be, const struct driver_image *image, struct err *err);
int local_resize(void *be, const struct driver_image *image, uint64_t size, struct err *err);
int local_used(void *be, const struct driver_image *image, uint64_t *ret, struct err *err);

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
