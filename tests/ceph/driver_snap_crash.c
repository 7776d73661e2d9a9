/*
 * Processes that die just before their n-th message in the middle of what librbd does for us, n walking through the whole of it. Each is
 * fenced; then another repeats the change, or takes it all away at once; and nothing may be left.
 */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig_backend backend;
static char *before;

static int setup(void **state)
{
	backend = (struct rig_backend){ .driver = &driver_rbd };
	rig_backend_conf(&backend.conf, "on");
	rig_open(&backend);
	before = rig_dump_trimmed(rig.vols);
	return 0;
}

static int teardown(void **state)
{
	rig_close(&backend);
	free(before);
	return 0;
}

static void must(int r, const struct err *err, const char *what, int n)
{
	if (r != 0)
		fail_msg("%s after a death before message %d: %s", what, n, err->text);
}

static void snap_create(const struct driver_image *image, const struct driver_snap *snap, int n)
{
	struct err err = { 0 };

	must(backend.driver->snap_create(backend.be, image, snap, NULL, &err), &err, "snap_create",
		n);
}

static void snap_remove(const struct driver_image *image, const struct driver_snap *snap, int n)
{
	struct err err = { 0 };

	must(backend.driver->snap_remove(backend.be, image, snap, &err), &err, "snap_remove", n);
}

static void remove_image(const struct driver_image *image, int n)
{
	struct err err = { 0 };

	must(backend.driver->remove(backend.be, image, NULL, &err), &err, "remove", n);
}

static struct driver_image written(void)
{
	struct driver_image image = rig_image(24 * MIB);

	rig_must_create(&backend, &image);
	rig_put(&backend, &image, 0, MIB, 1);
	rig_put(&backend, &image, 9 * MIB + 512, 3 * MIB, 1);
	return image;
}

static uint64_t sum(const struct driver_image *image)
{
	return rig_sum(&backend, image, image->size, NULL);
}

static int step(void)
{
	return rig.full ? 1 : 9; /* odd, so that every other one is even */
}

static void test_snap_create(void **state)
{
	bool died = true;
	int n;

	for (n = 1; died; n += step()) {
		struct driver_image image = written();
		struct driver_snap snap = rig_new_snap();
		uint64_t is = sum(&image);

		died = rig_dies_at_message(&backend, "snap", &image, snap.uuid, n);
		if (n % 2) {
			snap_create(&image, &snap, n);
			rig_put(&backend, &image, 0, 2 * MIB, 2);
			assert_true(rig_sum(&backend, &image, image.size, &snap) == is);
		}
		snap_remove(&image, &snap, n);
		remove_image(&image, n);
		rig_same_soon(before, rig.vols, "");
	}
	assert_true(n > 15);
}

static void test_snap_remove(void **state)
{
	bool died = true;
	int n;

	for (n = 1; died; n += step()) {
		struct driver_image image = written();
		struct driver_snap snap = rig_new_snap(), later = rig_new_snap();
		uint64_t is;

		snap_create(&image, &snap, 0);
		rig_put(&backend, &image, 0, 2 * MIB, 2);
		is = sum(&image);
		snap_create(&image, &later, 0);
		died = rig_dies_at_message(&backend, "unsnap", &image, snap.uuid, n);
		snap_remove(&image, &snap, n);
		assert_true(rig_sum(&backend, &image, image.size, &later) == is);
		snap_remove(&image, &later, n);
		remove_image(&image, n);
		rig_same_soon(before, rig.vols, "");
	}
	assert_true(n > 15);
}

/* What an image holds after a revert and one write to a place that was written between snapshot and revert. */
static uint64_t sum_after_revert(void)
{
	struct driver_image image = written();
	uint64_t is;

	rig_put(&backend, &image, 20 * MIB + 4096, 4096, 3);
	is = sum(&image);
	remove_image(&image, 0);
	return is;
}

static void test_revert(void **state)
{
	uint64_t wanted = sum_after_revert();
	bool died = true;
	int n;

	for (n = 1; died; n += step()) {
		struct driver_image image = written();
		struct driver_snap snap = rig_new_snap();
		struct driver_progress progress = { 0 };
		struct err err = { 0 };

		snap_create(&image, &snap, 0);
		rig_put(&backend, &image, 0, 2 * MIB, 2);
		rig_put(&backend, &image, 20 * MIB, MIB, 2);
		died = rig_dies_at_message(&backend, "revert", &image, snap.uuid, n);
		if (n % 2) {
			must(backend.driver->revert(backend.be, &image, &snap, &progress, &err),
				&err, "revert", n);
			rig_put(&backend, &image, 20 * MIB + 4096, 4096, 3);
			if (sum(&image) != wanted)
				fail_msg(
					"death before message %d: what was written before the revert is back",
					n);
		}
		snap_remove(&image, &snap, n);
		remove_image(&image, n);
		rig_same_soon(before, rig.vols, "");
	}
	assert_true(n > 15);
}

static void test_flatten(void **state)
{
	bool died = true;
	int n;

	for (n = 1; died; n += step()) {
		struct driver_image image = written(), clone = rig_image(24 * MIB);
		struct driver_snap snap = rig_new_snap();
		struct driver_progress progress = { 0 };
		struct err err = { 0 };
		uint64_t is = sum(&image);

		snap_create(&image, &snap, 0);
		rig_clone_by_librbd(&image, &snap, &clone, 2);
		snap_remove(&image, &snap, 0);
		died = rig_dies_at_message(&backend, "flatten", &clone, "-", n);
		if (n % 2) {
			must(backend.driver->flatten(backend.be, &clone, &progress, &err), &err,
				"flatten", n);
			remove_image(&image, n);
			assert_true(sum(&clone) == is);
			remove_image(&clone, n);
		} else {
			remove_image(&clone, n);
			remove_image(&image, n);
		}
		rig_same_soon(before, rig.vols, "");
	}
	assert_true(n > 15);
}

/* One of librbd's making, with a snapshot, and what it holds. */
static uint64_t foreign(const char *name)
{
	rig_sh("rbd -c $CONF create --size 24M vols/%s && "
	       "rbd -c $CONF bench --io-type write --io-size 4K --io-total 1M --io-pattern rand vols/%s "
	       ">/dev/null && rbd -c $CONF snap create --no-progress vols/%s@theirs",
		name, name, name);
	return rig_sum_outside(name);
}

static void test_adoption(void **state)
{
	static const char *const whats[] = { "adopt", "snap_adopt", "disown" };

	for (size_t what = 0; what < COUNT(whats); what++) {
		bool died = true;

		for (int n = 1; died; n += rig.full ? 1 : what == 1 ? 9 : 3) {
			struct driver_image image = rig_image(0);
			struct driver_snap snap = rig_new_snap();
			const struct driver *d = backend.driver;
			struct err err = { 0 };
			uint64_t is = foreign("theirs");

			image.image_id[0] = '\0';
			if (what > 0)
				must(d->adopt(backend.be, "theirs", &image, &err), &err, "adopt",
					n);
			died = rig_dies_at_message(
				&backend, whats[what], &image, what == 1 ? snap.uuid : "theirs", n);
			if (what == 0)
				must(d->adopt(backend.be, "theirs", &image, &err), &err, "adopt",
					n);
			if (what == 2) {
				must(d->disown(backend.be, &image, "theirs", &err), &err, "disown",
					n);
				assert_true(rig_sum_outside("theirs@theirs") == is);
				must(d->adopt(backend.be, "theirs", &image, &err), &err, "adopt",
					n);
			}
			must(d->snap_adopt(backend.be, &image, "theirs", &snap, &err), &err,
				"snap_adopt", n);
			assert_int_equal(image.size, 24 * MIB);
			assert_true(rig_sum(&backend, &image, image.size, &snap) == is);
			snap_remove(&image, &snap, n);
			remove_image(&image, n);
			rig_same_soon(before, rig.vols, "");
		}
	}
}

int snap_crash_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snap_create),
		cmocka_unit_test(test_snap_remove),
		cmocka_unit_test(test_revert),
		cmocka_unit_test(test_flatten),
		cmocka_unit_test(test_adoption),
	};

	return cmocka_run_group_tests_name("snap: deaths", tests, setup, teardown);
}
