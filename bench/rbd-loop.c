/*
 * The limits that volfs is measured against: a loop of T threads, each of which makes or removes
 * one image after the other.
 *
 *      rbd-loop CONF POOL create|clone|remove|write|open|watchers librbd|direct PREFIX COUNT THREADS
 *
 *   create librbd   rbd_create4
 *   create direct   the object class, four operations an image, all at once; one directory operation an image
 *   clone librbd    rbd_clone3, format 2, of volume-golden@snapshot-golden, which is made if it is not there
 *   clone direct    the driver's own clone of the same, one at a time
 *   remove librbd   rbd_remove
 *   remove direct   the driver's own removal
 *   write librbd    4 KiB into each of 256 objects
 *   watchers librbd rbd_open_read_only, rbd_watchers_list, rbd_close
 *   open librbd     rbd_open, then 4 KiB written, flushed and read; all stay open to the end
 *
 * Images are 10 GiB in objects of 4 MiB with all features, named volume-PREFIX-0 … ; whatever made
 * them, either way removes them. Prints one line: per second, and the median and the 99th
 * percentile of one call in ms; what the process held in memory before and after, in MiB.
 */
#include "base/clock.h"
#include "driver.h"
#include "rbd/encode.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <rados/librados.h>
#include <rbd/librbd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ORDER = 22, WRITTEN = 256 };
#define SIZE	 (UINT64_C(10) << 30)
#define FEATURES UINT64_C(61)

struct loop {
	rados_t cluster;
	const char *pool, *prefix;
	int (*one)(struct loop *l, rados_ioctx_t io, const struct driver_image *image);
	void *driver;
	int count;
	atomic_int taken, failed, opened;
	int64_t *took;	   /* ns, by image */
	rbd_image_t *open; /* by image, of those that stay open */
};

static void image_name(const struct driver_image *image, char name[64])
{
	(void)snprintf(name, 64, "volume-%s", image->uuid);
}

/* --- one image */

static int create_librbd(struct loop *l, rados_ioctx_t io, const struct driver_image *image)
{
	rbd_image_options_t options;
	char name[64];
	int r;

	image_name(image, name);
	rbd_image_options_create(&options);
	(void)rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_ORDER, ORDER);
	(void)rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_FEATURES, FEATURES);
	r = rbd_create4(io, name, image->size, options);
	rbd_image_options_destroy(options);
	return r;
}

/* What is cloned: no uuids, but names of their form. */
static const struct driver_source golden = { .image = { .uuid = "golden", .size = SIZE },
	.snapshot = "golden" };

static int prepare_golden(struct loop *l)
{
	rados_ioctx_t io;
	rbd_image_t image;
	int r = rados_ioctx_create(l->cluster, l->pool, &io);

	if (r < 0)
		return r;
	r = create_librbd(l, io, &golden.image);
	if (r == 0 || r == -EEXIST)
		r = rbd_open(io, "volume-golden", &image, NULL);
	if (r == 0) {
		r = rbd_snap_create(image, "snapshot-golden");
		(void)rbd_close(image);
	}
	rados_ioctx_destroy(io);
	return r == -EEXIST ? 0 : r;
}

static int clone_librbd(struct loop *l, rados_ioctx_t io, const struct driver_image *image)
{
	rbd_image_options_t options;
	char name[64];
	int r;

	image_name(image, name);
	rbd_image_options_create(&options);
	(void)rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_ORDER, ORDER);
	(void)rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_FEATURES, FEATURES);
	(void)rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_CLONE_FORMAT, 2);
	r = rbd_clone3(io, "volume-golden", "snapshot-golden", io, name, options);
	rbd_image_options_destroy(options);
	return r;
}

static int clone_direct(struct loop *l, rados_ioctx_t io, const struct driver_image *image)
{
	struct driver_create c = { .image = *image, .source = &golden, .fresh = true };

	driver_rbd.create(l->driver, &c, 1);
	return c.code;
}

static int write_librbd(struct loop *l, rados_ioctx_t io, const struct driver_image *image)
{
	char name[64], block[4096] = "x";
	rbd_image_t it;
	ssize_t r;

	image_name(image, name);
	r = rbd_open(io, name, &it, NULL);
	if (r < 0)
		return (int)r;
	for (uint64_t i = 0; i < WRITTEN && r >= 0; i++)
		r = rbd_write(it, i << ORDER, sizeof block, block);
	(void)rbd_close(it);
	return r < 0 ? (int)r : 0;
}

static int remove_librbd(struct loop *l, rados_ioctx_t io, const struct driver_image *image)
{
	char name[64];

	image_name(image, name);
	return rbd_remove(io, name);
}

static int remove_direct(struct loop *l, rados_ioctx_t io, const struct driver_image *image)
{
	return driver_rbd.remove(l->driver, image, NULL, NULL);
}

static int watchers_librbd(struct loop *l, rados_ioctx_t io, const struct driver_image *image)
{
	rbd_image_watcher_t all[8];
	size_t n = sizeof all / sizeof all[0];
	char name[64];
	rbd_image_t it;
	int r;

	image_name(image, name);
	r = rbd_open_read_only(io, name, &it, NULL);
	if (r < 0)
		return r;
	r = rbd_watchers_list(it, all, &n);
	if (r >= 0)
		rbd_watchers_list_cleanup(all, n);
	(void)rbd_close(it);
	return r;
}

static int open_librbd(struct loop *l, rados_ioctx_t io, const struct driver_image *image)
{
	char name[64], block[4096] = "x";
	rbd_image_t it;
	ssize_t r;

	image_name(image, name);
	r = rbd_open(io, name, &it, NULL);
	if (r < 0)
		return (int)r;
	l->open[atomic_fetch_add(&l->opened, 1)] = it;
	r = rbd_write(it, 0, sizeof block, block);
	if (r >= 0)
		r = rbd_flush(it);
	if (r >= 0)
		r = rbd_read(it, 0, sizeof block, block);
	return r < 0 ? (int)r : 0;
}

struct part {
	rados_write_op_t op;
	rados_completion_t done;
	char object[128];
	struct enc in;
};

static void send_part(rados_ioctx_t io, struct part *p, const char *method, bool exclusive)
{
	p->op = rados_create_write_op();
	if (exclusive)
		rados_write_op_create(p->op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
	rados_write_op_exec(p->op, "rbd", method, p->in.at, p->in.len, NULL);
	rados_aio_create_completion2(NULL, NULL, &p->done);
	rados_aio_write_op_operate(p->op, io, p->done, p->object, NULL, 0);
}

static int land(struct part *p)
{
	int r;

	rados_aio_wait_for_complete(p->done);
	r = rados_aio_get_return_value(p->done);
	rados_aio_release(p->done);
	rados_release_write_op(p->op);
	return r;
}

static int create_direct(struct loop *l, rados_ioctx_t io, const struct driver_image *image)
{
	struct part part[4] = { 0 };
	char name[64], data[64];
	int r = 0;

	image_name(image, name);
	(void)snprintf(data, sizeof data, "rbd_data.%s", image->image_id);
	(void)snprintf(part[0].object, sizeof part[0].object, "rbd_id.%s", name);
	enc_string(&part[0].in, image->image_id);
	send_part(io, &part[0], "set_id", true);

	(void)snprintf(part[1].object, sizeof part[1].object, "rbd_directory");
	enc_string(&part[1].in, name);
	enc_string(&part[1].in, image->image_id);
	send_part(io, &part[1], "dir_add_image", false);

	(void)snprintf(part[2].object, sizeof part[2].object, "rbd_object_map.%s", image->image_id);
	enc_u64(&part[2].in, image->size >> ORDER);
	enc_u8(&part[2].in, 0);
	send_part(io, &part[2], "object_map_resize", false);

	(void)snprintf(part[3].object, sizeof part[3].object, "rbd_header.%s", image->image_id);
	enc_u64(&part[3].in, image->size);
	enc_u8(&part[3].in, ORDER);
	enc_u64(&part[3].in, FEATURES);
	enc_string(&part[3].in, data);
	enc_u64(&part[3].in, UINT64_MAX); /* no data pool */
	send_part(io, &part[3], "create", true);
	for (int i = 0; i < 4; i++) {
		int one = land(&part[i]);

		r = one < 0 ? one : r;
	}
	return r;
}

static const struct {
	const char *job, *way;
	int (*one)(struct loop *l, rados_ioctx_t io, const struct driver_image *image);
} jobs[] = {
	{ "create", "librbd", create_librbd },
	{ "create", "direct", create_direct },
	{ "clone", "librbd", clone_librbd },
	{ "clone", "direct", clone_direct },
	{ "write", "librbd", write_librbd },
	{ "remove", "librbd", remove_librbd },
	{ "remove", "direct", remove_direct },
	{ "watchers", "librbd", watchers_librbd },
	{ "open", "librbd", open_librbd },
};

/* --- the loop */

/* An id that follows from the name, so that a later run removes what an earlier one made. */
static struct driver_image image_of(const char *prefix, int i)
{
	struct driver_image image = { .size = SIZE };
	uint64_t hash = UINT64_C(14695981039346656037);

	(void)snprintf(image.uuid, sizeof image.uuid, "%s-%d", prefix, i);
	for (const char *at = image.uuid; *at; at++)
		hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
	(void)snprintf(image.image_id, sizeof image.image_id, "%014" PRIx64, hash >> 8);
	return image;
}

static void *work(void *arg)
{
	struct loop *l = arg;
	rados_ioctx_t io;
	int i;

	if (rados_ioctx_create(l->cluster, l->pool, &io) < 0)
		return NULL;
	while ((i = atomic_fetch_add(&l->taken, 1)) < l->count) {
		struct driver_image image = image_of(l->prefix, i);
		int64_t from = clock_mono_ns();
		int r = l->one(l, io, &image);

		l->took[i] = clock_mono_ns() - from;
		if (r < 0 && atomic_fetch_add(&l->failed, 1) == 0)
			(void)fprintf(
				stderr, "rbd-loop: volume-%s: %s\n", image.uuid, strerror(-r));
	}
	rados_ioctx_destroy(io);
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Resident pages, KiB; those of shared memory excepted. */
static long resident(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	long all = 0, n;

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "RssAnon: %ld", &n) == 1 || sscanf(line, "RssFile: %ld", &n) == 1)
			all += n;
	if (f)
		(void)fclose(f);
	return all;
}

static int run(struct loop *l, int threads, const char *what)
{
	long before = resident();
	pthread_t *thread = calloc((size_t)threads, sizeof *thread);
	int64_t from = clock_mono_ns();
	double all;

	for (int i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, work, l);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	all = (double)(clock_mono_ns() - from) / 1e9;
	free(thread);
	qsort(l->took, (size_t)l->count, sizeof *l->took, by_size);
	(void)printf(
		"%s threads=%d count=%d per-second=%.1f p50=%.2f p99=%.2f failed=%d before=%.1f open=%.1f\n",
		what, threads, l->count, l->count / all, (double)l->took[l->count / 2] / 1e6,
		(double)l->took[l->count * 99 / 100] / 1e6, atomic_load(&l->failed),
		(double)before / 1024, (double)resident() / 1024);
	for (int i = 0; i < l->opened; i++)
		(void)rbd_close(l->open[i]);
	return atomic_load(&l->failed) ? 1 : 0;
}

static int connect_to(rados_t *cluster, const char *conf)
{
	int r = rados_create(cluster, "admin");

	if (r >= 0)
		r = rados_conf_read_file(*cluster, conf);
	return r < 0 ? r : rados_connect(*cluster);
}

int main(int argc, char **argv)
{
	struct backend_conf conf = { .name = (char *)"bench",
		.ceph_user = (char *)"admin",
		.timeout = 30,
		.features = (char *)"layering,exclusive-lock,object-map,fast-diff,deep-flatten",
		.direct = (char *)"on",
		.chunk_size = UINT64_C(1) << ORDER };
	struct loop l = { 0 };
	char what[32];
	int r;

	for (size_t i = 0; argc == 8 && i < sizeof jobs / sizeof *jobs; i++)
		if (!strcmp(argv[3], jobs[i].job) && !strcmp(argv[4], jobs[i].way))
			l.one = jobs[i].one;
	if (!l.one || atoi(argv[6]) < 1 || atoi(argv[7]) < 1) {
		(void)fprintf(stderr,
			"usage: rbd-loop CONF POOL create|clone|remove|write|open|watchers librbd|direct PREFIX COUNT THREADS\n");
		return 2;
	}
	conf.ceph_conf = argv[1];
	conf.pool = argv[2];
	l.pool = argv[2];
	l.prefix = argv[5];
	l.count = atoi(argv[6]);
	l.took = calloc((size_t)l.count, sizeof *l.took);
	l.open = calloc((size_t)l.count, sizeof *l.open);
	r = l.took && l.open ? connect_to(&l.cluster, argv[1]) : -ENOMEM;
	if (r >= 0)
		r = driver_rbd.open(&conf, &l.driver, NULL);
	if (r >= 0 && !strcmp(argv[3], "clone"))
		r = prepare_golden(&l);
	if (r < 0) {
		(void)fprintf(stderr, "rbd-loop: cannot start: %s\n", strerror(-r));
		return 1;
	}
	(void)snprintf(what, sizeof what, "%s %s", argv[3], argv[4]);
	r = run(&l, atoi(argv[7]), what);
	driver_rbd.close(l.driver);
	rados_shutdown(l.cluster);
	free(l.took);
	free(l.open);
	return r;
}
