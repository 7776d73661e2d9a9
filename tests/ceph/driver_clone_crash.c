/*
 * Processes that die while they make or remove a clone: like driver_crash.c, and what they leave in the parent's header is looked at
 * too. It has had snapshots before the first comparison, so what those change for good is there already.
 */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

static struct rig_backend backend;
static struct driver_image parent;
static struct driver_source source; /* of a snapshot */
static struct driver_source now;    /* of the image as it is */
static char *before;

static void clone_must(const struct driver_image *image, const struct driver_source *of)
{
	struct err err = { 0 };

	if (rig_clone(&backend, image, of, &err) != 0)
		fail_msg("clone: %s", err.text);
}

/* Who died while it removed a snapshot of the parent holds its lock, until somebody else wants it. */
static void pass_the_lock(void)
{
	rbd_image_t handle;

	assert_int_equal(rbd_open(rig.vols, rig_image_name(&parent), &handle, NULL), 0);
	assert_int_equal(rbd_lock_acquire(handle, RBD_LOCK_MODE_EXCLUSIVE), 0);
	assert_int_equal(rbd_lock_release(handle), 0);
	assert_int_equal(rbd_close(handle), 0);
}

static int setup(const char *direct)
{
	struct driver_image image = rig_image(96 * MIB);

	backend = (struct rig_backend){ .driver = &driver_rbd };
	rig_backend_conf(&backend.conf, direct);
	rig_open(&backend);
	parent = rig_image(64 * MIB);
	rig_must_create(&backend, &parent);
	rig_write(&parent, 4);
	source = now = (struct driver_source){ .image = parent };
	clone_must(&image, &now);
	rig_must_remove(&backend, &image);
	rig_snap(&backend, &parent, source.snapshot);
	pass_the_lock();
	before = rig_dump(rig.vols, NULL);
	return 0;
}

static int setup_direct(void **state)
{
	return setup("on");
}

static int setup_librbd(void **state)
{
	return setup("off");
}

static int teardown(void **state)
{
	rig_snap_remove(&backend, &parent, source.snapshot);
	rig_must_remove(&backend, &parent);
	rig_close(&backend);
	free(before);
	return 0;
}

static void nothing_left(void)
{
	pass_the_lock();
	rig_same(before, rig_dump(rig.vols, NULL));
}

static rbd_image_t look(const struct driver_image *image)
{
	rbd_image_t handle;

	assert_int_equal(rbd_open_read_only(rig.vols, rig_image_name(image), &handle, NULL), 0);
	return handle;
}

/* Pages that are not zero, of those that rig_write() writes. */
static int written(const struct driver_image *image)
{
	rbd_image_t handle = look(image);
	char page[4096];
	int n = 0;

	for (uint64_t at = 0; at < image->size; at += 4 * MIB) {
		assert_int_equal(rbd_read(handle, at, sizeof page, page), (int)sizeof page);
		n += page[0] == 'x';
	}
	assert_int_equal(rbd_close(handle), 0);
	return n;
}

/* Whole, the only clone, and no temporary snapshot is to be seen. */
static void check_clone(const struct driver_image *image)
{
	rbd_linked_image_spec_t child[4];
	rbd_snap_info_t snap[4];
	size_t max = COUNT(child);
	int max_snaps = COUNT(snap), n;
	rbd_image_t handle = look(&parent);

	assert_int_equal(rbd_list_children3(handle, child, &max), 0);
	assert_int_equal(max, 1);
	assert_string_equal(child[0].image_name, rig_image_name(image));
	rbd_linked_image_spec_list_cleanup(child, max);
	n = rbd_snap_list(handle, snap, &max_snaps);
	for (int i = 0; i < n; i++)
		assert_null(strstr(snap[i].name, "clone_snap"));
	rbd_snap_list_end(snap);
	assert_int_equal(rbd_close(handle), 0);
	assert_int_equal(written(image), 4);
}

/* --- at every operation */

/* what: "clone", or "fresh" where the one that dies is the first that is asked for it. */
static int clone_at_every_operation(const char *what, const struct driver_source *of)
{
	bool died = true;
	int n;

	for (n = 1; died; n++) {
		struct driver_image image = rig_image(96 * MIB);

		died = rig_dies_at(&backend, what, &image, of, n);
		clone_must(&image, of);
		check_clone(&image);
		rig_must_remove(&backend, &image);
		nothing_left();

		if (!of->snapshot[0])
			continue;
		image = rig_image(96 * MIB);
		(void)rig_dies_at(&backend, what, &image, of, n);
		rig_must_remove(&backend, &image);
		nothing_left();
	}
	return n - 2;
}

/* Look, header, parent, map; entry, child, id. */
static void test_clone_of_a_snapshot(void **state)
{
	assert_int_equal(clone_at_every_operation("clone", &source), 7);
}

/* Without the look. */
static void test_first_clone_of_a_snapshot(void **state)
{
	assert_int_equal(clone_at_every_operation("fresh", &source), 6);
}

static void test_clone_of_an_image(void **state)
{
	assert_int_equal(clone_at_every_operation("clone", &now), 7);
}

static void test_first_clone_of_an_image(void **state)
{
	assert_int_equal(clone_at_every_operation("fresh", &now), 6);
}

static void remove_at_every_operation(const struct driver_source *of)
{
	bool died = true;
	int n;

	for (n = 1; died; n++) {
		struct driver_image image = rig_image(96 * MIB);

		clone_must(&image, of);
		rig_write(&image, 3);
		died = rig_dies_at(&backend, "remove", &image, NULL, n);
		rig_must_remove(&backend, &image);
		nothing_left();
	}
	assert_true(n > 10);
}

static void test_remove_a_clone(void **state)
{
	remove_at_every_operation(&source);
}

/* And with it the snapshot, which is in the trash. */
static void test_remove_the_last_clone(void **state)
{
	remove_at_every_operation(&now);
}

/* --- at every message: what librbd does, too */

static int step(void)
{
	return rig.full ? 1 : 23;
}

static void clone_at_every_message(const struct driver_source *of)
{
	bool died = true;

	for (int n = 1; died; n += step()) {
		struct driver_image image = rig_image(96 * MIB);

		died = rig_dies_at(&backend, "clone", &image, of, -n);
		clone_must(&image, of);
		check_clone(&image);
		rig_must_remove(&backend, &image);
		nothing_left();

		if (!of->snapshot[0])
			continue;
		image = rig_image(96 * MIB);
		(void)rig_dies_at(&backend, "clone", &image, of, -n);
		rig_must_remove(&backend, &image);
		nothing_left();
	}
}

static void test_clone_at_every_message(void **state)
{
	clone_at_every_message(&source);
}

static void test_clone_an_image_at_every_message(void **state)
{
	clone_at_every_message(&now);
}

/* Given up after its process died: what stays of the snapshot goes with the image that it is of. */
static void test_given_up_at_every_message(void **state)
{
	bool died = true;

	for (int n = 1; died; n += step()) {
		struct driver_image base = rig_image(64 * MIB), image = rig_image(64 * MIB);
		struct driver_source of = { .image = base };

		rig_must_create(&backend, &base);
		died = rig_dies_at(&backend, "clone", &image, &of, -n);
		rig_must_remove(&backend, &image);
		rig_must_remove(&backend, &base);
		nothing_left();
	}
}

static void remove_at_every_message(const struct driver_source *of)
{
	bool died = true;

	for (int n = 1; died; n += step()) {
		struct driver_image image = rig_image(96 * MIB);

		clone_must(&image, of);
		rig_write(&image, 3);
		died = rig_dies_at(&backend, "remove", &image, NULL, -n);
		rig_must_remove(&backend, &image);
		nothing_left();
	}
}

static void test_remove_at_every_message(void **state)
{
	remove_at_every_message(&source);
}

static void test_remove_the_last_at_every_message(void **state)
{
	remove_at_every_message(&now);
}

int clone_crash_tests(void)
{
	const struct CMUnitTest direct[] = {
		cmocka_unit_test(test_clone_of_a_snapshot),
		cmocka_unit_test(test_first_clone_of_a_snapshot),
		cmocka_unit_test(test_clone_of_an_image),
		cmocka_unit_test(test_first_clone_of_an_image),
		cmocka_unit_test(test_remove_a_clone),
		cmocka_unit_test(test_remove_the_last_clone),
		cmocka_unit_test(test_clone_an_image_at_every_message),
		cmocka_unit_test(test_given_up_at_every_message),
		cmocka_unit_test(test_remove_the_last_at_every_message),
	};
	const struct CMUnitTest librbd[] = {
		cmocka_unit_test(test_clone_at_every_message),
		cmocka_unit_test(test_clone_an_image_at_every_message),
		cmocka_unit_test(test_given_up_at_every_message),
		cmocka_unit_test(test_remove_at_every_message),
		cmocka_unit_test(test_remove_the_last_at_every_message),
	};

	return cmocka_run_group_tests_name("clone, crash: direct", direct, setup_direct, teardown) +
	       cmocka_run_group_tests_name("clone, crash: librbd", librbd, setup_librbd, teardown);
}
