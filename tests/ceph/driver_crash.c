/*
 * Processes that die in the middle of a change. Each is fenced, as the engine does it, then the change is done again by another,
 * and at the end nothing may be left.
 *
 * Direct: the process kills itself just before its n-th operation, for every n until it passes untouched.
 * librbd has no such point, so it is killed after times that walk through the whole call.
 */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

static struct rig_backend backend;
static char *before;

static int setup(const char *direct)
{
	backend = (struct rig_backend){ .driver = &driver_rbd };
	rig_backend_conf(&backend.conf, direct);
	rig_open(&backend);
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
	rig_close(&backend);
	free(before);
	return 0;
}

/* Creates again what a dead process may have left half-way. */
static void create_again(const char *what, const struct driver_image *image)
{
	bool limited = !strcmp(what, "limited");

	if (limited)
		qos_must_create(&backend, image);
	else
		rig_must_create(&backend, image);
	qos_check(&backend, image, limited);
}

static void create_at_every_operation(const char *what)
{
	struct driver_image image;
	bool died = true;
	int n;

	for (n = 1; died; n++) {
		image = rig_image(GIB);
		died = rig_dies_at(&backend, what, &image, NULL, n);
		create_again(what, &image);
		rig_must_remove(&backend, &image);
		rig_same(before, rig_dump(rig.vols, NULL));

		image = rig_image(GIB);
		(void)rig_dies_at(&backend, what, &image, NULL, n);
		rig_must_remove(&backend, &image);
		rig_same(before, rig_dump(rig.vols, NULL));
	}
	/* Four operations, with limits too, and one round that nothing kills. */
	assert_int_equal(n - 1, 5);
}

static void test_create_at_every_operation(void **state)
{
	create_at_every_operation("create");
}

static void test_create_limited_at_every_operation(void **state)
{
	create_at_every_operation("limited");
}

static void test_remove_at_every_operation(void **state)
{
	bool died = true;
	int n;

	for (n = 1; died; n++) {
		struct driver_image image = rig_image(100 * MIB);

		rig_must_create(&backend, &image);
		rig_write(&image, 5);
		died = rig_dies_at(&backend, "remove", &image, NULL, n);
		rig_must_remove(&backend, &image);
		rig_same(before, rig_dump(rig.vols, NULL));
	}
	assert_true(n > 10);
}

static void create_at_any_time(const char *what, unsigned until, unsigned step)
{
	for (unsigned us = 0; us < until; us += step) {
		struct driver_image image = rig_image(GIB);

		rig_dies_after(&backend, what, &image, NULL, us);
		if (us / step % 2)
			create_again(what, &image);
		rig_must_remove(&backend, &image);
		rig_same(before, rig_dump(rig.vols, NULL));
	}
}

static void test_create_at_any_time(void **state)
{
	create_at_any_time("create", 20000, rig.full ? 200 : 2500);
}

static void test_create_limited_at_any_time(void **state)
{
	create_at_any_time("limited", 100000, rig.full ? 1000 : 9000);
}

static void test_remove_at_any_time(void **state)
{
	unsigned step = rig.full ? 1000 : 12000;

	for (unsigned us = 0; us < 90000; us += step) {
		struct driver_image image = rig_image(100 * MIB);

		rig_must_create(&backend, &image);
		rig_write(&image, 5);
		rig_dies_after(&backend, "remove", &image, NULL, us);
		rig_must_remove(&backend, &image);
		rig_same(before, rig_dump(rig.vols, NULL));
	}
}

int crash_tests(void)
{
	const struct CMUnitTest direct[] = {
		cmocka_unit_test(test_create_at_every_operation),
		cmocka_unit_test(test_create_limited_at_every_operation),
		cmocka_unit_test(test_remove_at_every_operation),
	};
	const struct CMUnitTest librbd[] = {
		cmocka_unit_test(test_create_at_any_time),
		cmocka_unit_test(test_create_limited_at_any_time),
		cmocka_unit_test(test_remove_at_any_time),
	};

	return cmocka_run_group_tests_name("crash: direct", direct, setup_direct, teardown) +
	       cmocka_run_group_tests_name("crash: librbd", librbd, setup_librbd, teardown);
}
