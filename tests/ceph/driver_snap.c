/* Snapshots, revert and flatten: what is in them is told by sums of all bytes. */
#include "rig.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig_backend backend;
static char *before;

static int setup(const char *direct, const char *data_pool, const char *space)
{
	backend = (struct rig_backend){ .driver = &driver_rbd };
	rig_backend_conf(&backend.conf, direct);
	backend.conf.data_pool = (char *)data_pool;
	backend.conf.namespace = (char *)space;
	rig_open(&backend);
	rig_space(space);
	before = rig_dump_trimmed(rig.vols);
	rig_space(space);
	return 0;
}

static int setup_direct(void **state)
{
	return setup("on", "", "");
}

static int setup_direct_apart(void **state)
{
	return setup("on", "data", "team");
}

static int setup_librbd(void **state)
{
	return setup("off", "", "");
}

static int teardown(void **state)
{
	rig_space("");
	rig_close(&backend);
	free(before);
	return 0;
}

/* --- what the driver must do */

static void must(int r, const struct err *err, const char *what)
{
	if (r != 0)
		fail_msg("%s: %s", what, err->text);
}

static void snap_create(const struct driver_image *image, const struct driver_snap *snap)
{
	struct err err = { 0 };

	must(backend.driver->snap_create(backend.be, image, snap, NULL, &err), &err, "snap_create");
}

static void snap_remove(const struct driver_image *image, const struct driver_snap *snap)
{
	struct err err = { 0 };

	must(backend.driver->snap_remove(backend.be, image, snap, &err), &err, "snap_remove");
}

static void revert(const struct driver_image *image, const struct driver_snap *snap)
{
	struct driver_progress progress = { 0 };
	struct err err = { 0 };

	must(backend.driver->revert(backend.be, image, snap, &progress, &err), &err, "revert");
	assert_int_equal(progress.total, image->size);
	assert_true(progress.done > 0 && progress.done <= progress.total);
}

static void flatten(const struct driver_image *image)
{
	struct driver_progress progress = { 0 };
	struct err err = { 0 };

	must(backend.driver->flatten(backend.be, image, &progress, &err), &err, "flatten");
	assert_true(progress.done <= progress.total);
}

static uint64_t used(const struct driver_image *image)
{
	struct err err = { 0 };
	uint64_t bytes;

	must(backend.driver->used(backend.be, image, &bytes, &err), &err, "used");
	return bytes;
}

static void nothing_left(void)
{
	rig_same_soon(before, rig.vols, backend.conf.namespace);
}

static struct driver_image written(unsigned seed)
{
	struct driver_image image = rig_image(24 * MIB);

	rig_must_create(&backend, &image);
	rig_put(&backend, &image, 0, MIB, seed);
	rig_put(&backend, &image, 9 * MIB + 512, 3 * MIB, seed);
	return image;
}

/* Does the object map tell the truth, and do others trust it? */
static void check_map(const struct driver_image *image)
{
	const char *space = backend.conf.namespace;
	uint64_t flags = 1;
	rbd_image_t handle;

	rig_sh("rbd -c $CONF object-map check --no-progress vols/%s%s%s", space,
		space[0] ? "/" : "", rig_image_name(image));
	assert_int_equal(rbd_open_read_only(rig.vols, rig_image_name(image), &handle, NULL), 0);
	assert_int_equal(rbd_get_flags(handle, &flags), 0);
	assert_int_equal(rbd_close(handle), 0);
	assert_int_equal(flags, 0);
}

/* --- the tests */

static void test_snapshot(void **state)
{
	struct driver_image image = written(1);
	struct driver_snap snap = rig_new_snap(), other = rig_new_snap(), never = rig_new_snap();
	uint64_t sum = rig_sum(&backend, &image, image.size, NULL), now;
	char name[128];

	snap_create(&image, &snap);
	snap_create(&image, &snap); /* it is there */
	rig_put(&backend, &image, 0, 2 * MIB, 2);
	rig_put(&backend, &image, 20 * MIB, MIB, 2);
	now = rig_sum(&backend, &image, image.size, NULL);
	assert_true(now != sum);
	assert_true(rig_sum(&backend, &image, image.size, &snap) == sum);
	(void)snprintf(name, sizeof name, "%s@%s", rig_image_name(&image), rig_snap_name(&snap));
	assert_true(rig_sum_outside(name) == sum);
	snap_create(&image, &other);
	snap_remove(&image, &snap);
	snap_remove(&image, &snap);
	snap_remove(&image, &never);
	assert_true(rig_sum(&backend, &image, image.size, &other) == now);
	snap_remove(&image, &other);
	rig_must_remove(&backend, &image);
	snap_remove(&image, &other); /* nor the image */
	nothing_left();
}

static void test_no_image(void **state)
{
	struct driver_image image = rig_image(MIB);
	struct driver_snap snap = rig_new_snap();
	struct driver_progress progress = { 0 };
	struct err err = { 0 };
	const struct driver *d = backend.driver;

	assert_int_equal(d->snap_create(backend.be, &image, &snap, NULL, &err), -ENOENT);
	assert_true(err.text[0]);
	assert_int_equal(d->revert(backend.be, &image, &snap, &progress, &err), -ENOENT);
	assert_int_equal(d->flatten(backend.be, &image, &progress, &err), -ENOENT);
	rig_must_create(&backend, &image);
	assert_int_equal(d->revert(backend.be, &image, &snap, &progress, &err), -ENOENT);
	rig_must_remove(&backend, &image);
}

static void test_next_in_a_snapshot(void **state)
{
	struct driver_image image = rig_image(24 * MIB);
	struct driver_snap snap = rig_new_snap();
	struct rig_data d;
	uint64_t at;

	rig_must_create(&backend, &image);
	rig_put(&backend, &image, 8 * MIB, 4 * MIB, 1);
	snap_create(&image, &snap);
	rig_put(&backend, &image, 0, MIB, 1);
	assert_int_equal(rig_data_open(&d, &backend, &image, &snap, false), 0);
	assert_int_equal(backend.driver->data_next(d.data, 0, image.size, false, &at), 0);
	assert_int_equal(at, 8 * MIB);
	assert_int_equal(backend.driver->data_next(d.data, at, image.size, true, &at), 0);
	assert_int_equal(at, 12 * MIB);
	rig_data_close(&d);
	snap_remove(&image, &snap);
	rig_must_remove(&backend, &image);
	nothing_left();
}

/* Two places are written in turn, the same number in both, each on stable storage before the next. */
struct writer {
	const struct driver_image *image;
	struct rig_data d;
	atomic_bool stop;
	unsigned rounds;
	pthread_t thread;
};

static void *write_in_turn(void *arg)
{
	struct writer *w = arg;

	for (w->rounds = 1; !atomic_load(&w->stop); w->rounds++) {
		rig_data_put(&w->d, 0, 4096, w->rounds);
		rig_data_put(&w->d, 16 * MIB, 4096, w->rounds);
	}
	return NULL;
}

static unsigned read_round(const struct driver_image *image, const char *snap, uint64_t off)
{
	unsigned char byte;
	rbd_image_t handle;

	assert_int_equal(rbd_open_read_only(rig.vols, rig_image_name(image), &handle, snap), 0);
	assert_int_equal(rbd_read(handle, off, 1, (char *)&byte), 1);
	assert_int_equal(rbd_close(handle), 0);
	return byte;
}

/* The second place may be one round behind the first, never before it: as a power cut would have left them. */
static void test_snapshot_of_what_is_written(void **state)
{
	struct driver_image image = rig_image(24 * MIB);
	struct writer w = { .image = &image };
	struct driver_snap snap[5];

	rig_must_create(&backend, &image);
	assert_int_equal(rig_data_open(&w.d, &backend, &image, NULL, true), 0);
	rig_data_put(&w.d, 0, 4096, 0);
	rig_data_put(&w.d, 16 * MIB, 4096, 0);
	assert_int_equal(pthread_create(&w.thread, NULL, write_in_turn, &w), 0);
	for (size_t i = 0; i < COUNT(snap); i++) {
		snap[i] = rig_new_snap();
		snap_create(&image, &snap[i]);
	}
	atomic_store(&w.stop, true);
	pthread_join(w.thread, NULL);
	assert_true(w.rounds > COUNT(snap));
	rig_data_close(&w.d);
	for (size_t i = 0; i < COUNT(snap); i++) {
		unsigned a = read_round(&image, rig_snap_name(&snap[i]), 0);
		unsigned b = read_round(&image, rig_snap_name(&snap[i]), 16 * MIB);
		unsigned pattern = 16 * MIB * 31 + (16 * MIB >> 9) * 7; /* of the place */

		b -= pattern;
		assert_true((a - b) % 256 == 0 || (a - b) % 256 == 97);
		snap_remove(&image, &snap[i]);
	}
	rig_must_remove(&backend, &image);
	nothing_left();
}

/* Who has the lock takes the snapshot for us; who hangs keeps us for two notifications (5 s each), not for as long as he watches (30 s). */
static void test_snapshot_of_what_others_have_open(void **state)
{
	static const char *const how[] = { "write", "open" };
	size_t n = backend.conf.namespace[0] ? 0 : rig.full ? 2 : 1;
	struct driver_image image = written(1);

	for (size_t i = 0; i < n; i++) {
		const char *words[] = { how[i], rig_image_name(&image), NULL };
		struct driver_snap snap = rig_new_snap();
		struct rig_child c = rig_child(words);
		int64_t began = clock_mono_ns();
		char line[256];

		rig_child_line(&c, line);
		if (i == 1)
			assert_int_equal(kill(c.pid, SIGSTOP), 0);
		snap_create(&image, &snap);
		assert_true(clock_mono_ns() - began < INT64_C(20) * 1000000000);
		assert_int_equal(kill(c.pid, SIGCONT), 0);
		assert_int_equal(rig_child_end(&c), 0);
		rig_put(&backend, &image, 20 * MIB, MIB, 2 + (unsigned)i);
		assert_true(rig_sum(&backend, &image, image.size, &snap) !=
			    rig_sum(&backend, &image, image.size, NULL));
		snap_remove(&image, &snap);
	}
	rig_must_remove(&backend, &image);
	nothing_left();
}

static void test_revert(void **state)
{
	struct driver_image image = written(1);
	struct driver_snap snap = rig_new_snap();
	uint64_t sum = rig_sum(&backend, &image, image.size, NULL), size = 0;
	rbd_image_t handle;

	snap_create(&image, &snap);
	rig_put(&backend, &image, 0, 2 * MIB, 2);
	rig_put(&backend, &image, 20 * MIB, MIB, 2);
	revert(&image, &snap);
	assert_true(rig_sum(&backend, &image, image.size, NULL) == sum);
	check_map(&image);
	revert(&image, &snap); /* again, nothing having changed */
	/* Grown meanwhile: it gets its size back. */
	assert_int_equal(backend.driver->resize(backend.be, &image, 40 * MIB, NULL), 0);
	image.size = 40 * MIB;
	rig_put(&backend, &image, 30 * MIB, MIB, 3);
	image.size = 24 * MIB;
	revert(&image, &snap);
	assert_int_equal(rbd_open_read_only(rig.vols, rig_image_name(&image), &handle, NULL), 0);
	assert_int_equal(rbd_get_size(handle, &size), 0);
	assert_int_equal(rbd_close(handle), 0);
	assert_int_equal(size, 24 * MIB);
	assert_true(rig_sum(&backend, &image, image.size, NULL) == sum);
	check_map(&image);
	rig_put(&backend, &image, 20 * MIB, 4096, 4);
	revert(&image, &snap);
	assert_true(rig_sum(&backend, &image, image.size, NULL) == sum);
	snap_remove(&image, &snap);
	rig_must_remove(&backend, &image);
	nothing_left();
}

static void lock_by_hand(const struct driver_image *image, bool yes)
{
	char id[64], header[96];
	rbd_image_t handle;

	assert_int_equal(rbd_open_read_only(rig.vols, rig_image_name(image), &handle, NULL), 0);
	assert_int_equal(rbd_get_id(handle, id, sizeof id), 0);
	assert_int_equal(rbd_close(handle), 0);
	(void)snprintf(header, sizeof header, "rbd_header.%s", id);
	if (yes)
		assert_int_equal(
			rados_lock_exclusive(rig.vols, header, "rbd_lock", "mine", "", NULL, 0), 0);
	else
		assert_int_equal(rados_unlock(rig.vols, header, "rbd_lock", "mine"), 0);
}

/* librbd would wait for its end when it reverts, or removes. */
static void test_a_locked_image(void **state)
{
	struct driver_image image = written(1);
	struct driver_snap snap = rig_new_snap();
	struct driver_progress progress = { 0 };
	const struct driver *d = backend.driver;
	struct err err = { 0 };

	snap_create(&image, &snap);
	lock_by_hand(&image, true);
	assert_int_equal(d->revert(backend.be, &image, &snap, &progress, &err), -EBUSY);
	assert_non_null(strstr(err.text, "holds lock 'mine' of it"));
	assert_int_equal(d->resize(backend.be, &image, image.size + MIB, &err), -EROFS);
	assert_non_null(strstr(err.text, "somebody keeps it locked"));
	lock_by_hand(&image, false);
	revert(&image, &snap);
	snap_remove(&image, &snap);
	lock_by_hand(&image, true);
	assert_int_equal(d->remove(backend.be, &image, NULL, &err), -EBUSY);
	assert_non_null(strstr(err.text, "holds lock 'mine' of it"));
	lock_by_hand(&image, false);
	rig_must_remove(&backend, &image);
	nothing_left();
}

static void test_revert_of_an_open_image(void **state)
{
	struct driver_image image = written(1);
	struct driver_snap snap = rig_new_snap();
	struct driver_progress progress = { 0 };
	struct err err = { 0 };
	struct rig_data d;
	const char *words[] = { "open", rig_image_name(&image), NULL };

	snap_create(&image, &snap);
	assert_int_equal(rig_data_open(&d, &backend, &image, NULL, true), 0);
	assert_int_equal(
		backend.driver->revert(backend.be, &image, &snap, &progress, &err), -EBUSY);
	rig_data_close(&d);
	if (!backend.conf.namespace[0]) {
		struct rig_child c = rig_child(words);
		char line[256];

		rig_child_line(&c, line);
		err = (struct err){ 0 };
		assert_int_equal(
			backend.driver->revert(backend.be, &image, &snap, &progress, &err), -EBUSY);
		assert_true(err.text[0]);
		assert_int_equal(rig_child_end(&c), 0);
	}
	revert(&image, &snap);
	snap_remove(&image, &snap);
	rig_must_remove(&backend, &image);
	nothing_left();
}

static void test_flatten(void **state)
{
	struct driver_image image = written(1), clone = rig_image(24 * MIB);
	struct driver_snap snap = rig_new_snap();
	uint64_t sum = rig_sum(&backend, &image, image.size, NULL);

	flatten(&image); /* no clone */
	snap_create(&image, &snap);
	rig_clone_by_librbd(&image, &snap, &clone, 2);
	rig_put(&backend, &image, 0, MIB, 2);
	snap_remove(&image, &snap);
	snap_remove(&image, &snap);
	assert_true(rig_sum(&backend, &clone, clone.size, NULL) == sum);
	flatten(&clone);
	flatten(&clone);
	check_map(&clone);
	assert_int_equal(used(&clone), 3 * 4 * MIB); /* what the source had, and no object more */
	/* The source's snapshot went with its last clone: else the image could not be removed. */
	rig_must_remove(&backend, &image);
	assert_true(rig_sum(&backend, &clone, clone.size, NULL) == sum);
	rig_must_remove(&backend, &clone);
	nothing_left();
}

/*
 * One that a dead writer has left with a map which knows an object that is not there: librbd would not copy it. And one that is open
 * for writing here.
 */
static void test_flatten_of_a_used_clone(void **state)
{
	struct driver_image image = written(1), clone = rig_image(24 * MIB);
	struct driver_snap snap = rig_new_snap();
	struct rig_data d;
	uint64_t sum;
	char object[64];
	rbd_image_t handle;

	snap_create(&image, &snap);
	rig_clone_by_librbd(&image, &snap, &clone, 2);
	snap_remove(&image, &snap);
	rig_put(&backend, &clone, 0, 4096, 1); /* what it holds already */
	sum = rig_sum(&backend, &clone, clone.size, NULL);
	assert_int_equal(rbd_open_read_only(rig.vols, rig_image_name(&clone), &handle, NULL), 0);
	assert_int_equal(rbd_get_id(handle, clone.image_id, sizeof clone.image_id), 0);
	assert_int_equal(rbd_close(handle), 0);
	(void)snprintf(object, sizeof object, "rbd_data.%s.%016x", clone.image_id, 0);
	assert_int_equal(rados_remove(rig.vols, object), 0);
	assert_true(rig_sum(&backend, &clone, clone.size, NULL) == sum);
	assert_int_equal(rig_data_open(&d, &backend, &clone, NULL, true), 0);
	rig_data_put(&d, 16 * MIB, 4096, 0);
	sum = rig_sum(&backend, &clone, clone.size, NULL);
	flatten(&clone);
	rig_must_remove(&backend, &image);
	assert_true(rig_sum(&backend, &clone, clone.size, NULL) == sum);
	rig_data_put(&d, 20 * MIB, 4096, 0);
	rig_data_close(&d);
	check_map(&clone);
	rig_must_remove(&backend, &clone);
	nothing_left();
}

/* One that somebody else had made and protected, and a clone of the old kind, which keeps it. */
static void test_a_protected_snapshot(void **state)
{
	struct driver_image image = written(1), clone = rig_image(24 * MIB);
	struct driver_snap snap = rig_new_snap();
	struct err err = { 0 };
	rbd_image_t handle;

	snap_create(&image, &snap);
	assert_int_equal(rbd_open(rig.vols, rig_image_name(&image), &handle, NULL), 0);
	assert_int_equal(rbd_snap_protect(handle, rig_snap_name(&snap)), 0);
	assert_int_equal(rbd_close(handle), 0);
	rig_clone_by_librbd(&image, &snap, &clone, 1);
	assert_int_equal(backend.driver->snap_remove(backend.be, &image, &snap, &err), -EBUSY);
	assert_non_null(strstr(err.text, "clones"));
	flatten(&clone);
	snap_remove(&image, &snap);
	rig_must_remove(&backend, &clone);
	rig_must_remove(&backend, &image);
	/* What librbd keeps the clones of the old kind in stays behind, empty. */
	(void)rados_remove(rig.vols, "rbd_children");
	nothing_left();
}

/* Without the feature that flattens snapshots too, these would go on needing the source. */
static void test_flatten_with_snapshots(void **state)
{
	struct driver_image image = written(1), clone = rig_image(24 * MIB);
	struct driver_snap snap = rig_new_snap(), own = rig_new_snap();
	struct driver_progress progress = { 0 };
	struct err err = { 0 };
	rbd_image_t handle;
	uint64_t sum = rig_sum(&backend, &image, image.size, NULL);

	snap_create(&image, &snap);
	rig_clone_by_librbd(&image, &snap, &clone, 2);
	snap_create(&clone, &own);
	assert_int_equal(rbd_open(rig.vols, rig_image_name(&clone), &handle, NULL), 0);
	assert_int_equal(rbd_update_features(handle, RBD_FEATURE_DEEP_FLATTEN, 0), 0);
	assert_int_equal(rbd_close(handle), 0);
	assert_int_equal(backend.driver->flatten(backend.be, &clone, &progress, &err), -ENOTEMPTY);
	assert_non_null(strstr(err.text, "deep-flatten"));
	assert_true(rig_sum(&backend, &clone, clone.size, &own) == sum);
	snap_remove(&clone, &own);
	flatten(&clone);
	snap_remove(&image, &snap);
	rig_must_remove(&backend, &clone);
	rig_must_remove(&backend, &image);
	nothing_left();
}

/* Snapshots of 64 images at once wait for the monitor together. */
struct one_of_many {
	struct driver_image image;
	struct driver_snap snap;
	pthread_t thread;
	int code;
};

static void *snap_one(void *arg)
{
	struct one_of_many *one = arg;

	one->code = backend.driver->snap_create(backend.be, &one->image, &one->snap, NULL, NULL);
	return NULL;
}

static void all_at_once(struct one_of_many *each, size_t n, void *(*run)(void *arg))
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(pthread_create(&each[i].thread, NULL, run, &each[i]), 0);
	for (size_t i = 0; i < n; i++) {
		pthread_join(each[i].thread, NULL);
		assert_int_equal(each[i].code, 0);
	}
}

static void test_many_at_once(void **state)
{
	static struct one_of_many each[64];
	int64_t began;

	for (size_t i = 0; i < COUNT(each); i++) {
		each[i].image = rig_image(GIB);
		each[i].snap = rig_new_snap();
		rig_must_create(&backend, &each[i].image);
	}
	began = clock_mono_ns();
	all_at_once(each, COUNT(each), snap_one);
	print_message("%zu snapshots at once: %.2f s\n", COUNT(each),
		(double)(clock_mono_ns() - began) / 1e9);
	for (size_t i = 0; i < COUNT(each); i++) {
		snap_remove(&each[i].image, &each[i].snap);
		rig_must_remove(&backend, &each[i].image);
	}
	nothing_left();
}

static void *unsnap_one(void *arg)
{
	struct one_of_many *one = arg;
	struct err err;

	one->code = backend.driver->snap_remove(backend.be, &one->image, &one->snap, &err);
	return NULL;
}

/* librbd's assertion (rbd/handle.c): each of the threads by a handle of its own ended this process within a round or two. A round takes long,
 * since librbd does one after the other; the two groups make it two. */
static void test_many_of_one_image(void **state)
{
	struct driver_image image = rig_image(64 * MIB);
	static struct one_of_many each[64];

	rig_must_create(&backend, &image);
	for (unsigned round = 0; round < (rig.full ? 20 : 1); round++) {
		for (size_t i = 0; i < COUNT(each); i++) {
			each[i].image = image;
			each[i].snap = rig_new_snap();
		}
		all_at_once(each, COUNT(each), snap_one);
		all_at_once(each, COUNT(each), unsnap_one);
	}
	rig_must_remove(&backend, &image);
	nothing_left();
}

static void *remove_clone(void *arg)
{
	struct one_of_many *one = arg;
	struct err err;

	one->code = backend.driver->remove(backend.be, &one->image, NULL, &err);
	return NULL;
}

/* The last clones go, and with each its snapshot in the trash: who does that is nobody to a revert of the same image. */
static void test_clones_go_meanwhile(void **state)
{
	struct driver_image image = written(1);
	struct driver_source source = { .image = image };
	struct driver_snap snap = rig_new_snap();
	static struct one_of_many clone[24];

	for (size_t i = 0; i < COUNT(clone); i++) {
		clone[i].image = rig_image(24 * MIB);
		assert_int_equal(rig_clone(&backend, &clone[i].image, &source, NULL), 0);
	}
	snap_create(&image, &snap);
	for (size_t i = 0; i < COUNT(clone); i++)
		assert_int_equal(
			pthread_create(&clone[i].thread, NULL, remove_clone, &clone[i]), 0);
	for (size_t i = 0; i < COUNT(clone); i++)
		revert(&image, &snap);
	for (size_t i = 0; i < COUNT(clone); i++) {
		pthread_join(clone[i].thread, NULL);
		assert_int_equal(clone[i].code, 0);
	}
	snap_remove(&image, &snap);
	rig_must_remove(&backend, &image);
	nothing_left();
}

int snap_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_no_image),
		cmocka_unit_test(test_next_in_a_snapshot),
		cmocka_unit_test(test_snapshot_of_what_is_written),
		cmocka_unit_test(test_snapshot_of_what_others_have_open),
		cmocka_unit_test(test_revert),
		cmocka_unit_test(test_a_locked_image),
		cmocka_unit_test(test_revert_of_an_open_image),
		cmocka_unit_test(test_flatten),
		cmocka_unit_test(test_flatten_of_a_used_clone),
		cmocka_unit_test(test_a_protected_snapshot),
		cmocka_unit_test(test_flatten_with_snapshots),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_many_of_one_image),
		cmocka_unit_test(test_clones_go_meanwhile),
	};
	const struct CMUnitTest by_librbd[] = { cmocka_unit_test(test_clones_go_meanwhile) };

	int failed = cmocka_run_group_tests_name("snap: direct", tests, setup_direct, teardown) +
		     cmocka_run_group_tests_name("snap: direct, data pool, namespace", tests,
			     setup_direct_apart, teardown);

	/* The same calls; only images are made and removed otherwise: librbd then opens what a clone was made of. */
	if (rig.full)
		failed +=
			cmocka_run_group_tests_name("snap: librbd", tests, setup_librbd, teardown);
	else
		failed += cmocka_run_group_tests_name(
			"snap: librbd", by_librbd, setup_librbd, teardown);
	return failed;
}
