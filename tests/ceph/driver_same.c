/* The same tests for every driver: what driver.h promises, whatever lies behind it. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct rig_backend backend;

/* --- the kinds */

static int setup_rbd(const char *direct, const char *data_pool, const char *space)
{
	backend = (struct rig_backend){ .driver = &driver_rbd };
	rig_backend_conf(&backend.conf, direct);
	backend.conf.data_pool = (char *)data_pool;
	backend.conf.namespace = (char *)space;
	rig_open(&backend);
	return 0;
}

static int setup_direct(void **state)
{
	return setup_rbd("on", "", "");
}

static int setup_direct_apart(void **state)
{
	return setup_rbd("on", "data", "team");
}

static int setup_librbd(void **state)
{
	return setup_rbd("off", "", "");
}

static int setup_local(void **state)
{
	static char path[512];

	(void)snprintf(path, sizeof path, "%s/local", rig.dir);
	(void)mkdir(path, 0755);
	backend = (struct rig_backend){ .driver = &driver_local };
	rig_backend_conf(&backend.conf, "auto");
	backend.conf.driver = (char *)"local";
	backend.conf.path = path;
	rig_open(&backend);
	return 0;
}

static int teardown(void **state)
{
	rig_close(&backend);
	return 0;
}

/* --- the tests */

static void test_create_and_remove(void **state)
{
	struct driver_image image = rig_image(10 * GIB);

	rig_must_create(&backend, &image);
	rig_must_remove(&backend, &image);
}

static void test_create_again(void **state)
{
	struct driver_image image = rig_image(GIB);

	rig_must_create(&backend, &image);
	rig_must_create(&backend, &image);
	rig_must_remove(&backend, &image);
}

static void test_remove_again(void **state)
{
	struct driver_image image = rig_image(GIB), never = rig_image(GIB);

	rig_must_create(&backend, &image);
	rig_must_remove(&backend, &image);
	rig_must_remove(&backend, &image);
	rig_must_remove(&backend, &never);
}

static void test_a_batch(void **state)
{
	struct driver_create each[40] = { 0 };

	for (size_t i = 0; i < COUNT(each); i++)
		each[i].image = rig_image(GIB);
	rig_must_create(&backend, &each[3].image); /* one is there already */
	backend.driver->create(backend.be, each, COUNT(each));
	for (size_t i = 0; i < COUNT(each); i++) {
		if (each[i].code != 0)
			fail_msg("%zu: %s", i, each[i].err.text);
		rig_must_remove(&backend, &each[i].image);
	}
}

static void test_odd_sizes(void **state)
{
	static const uint64_t sizes[] = { MIB, MIB + 512, 3 * MIB + 4096, 4 * MIB, 4 * MIB + 512,
		13 * MIB + 1536 };

	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct driver_image image = rig_image(sizes[i]);
		uint64_t used = 1;

		rig_must_create(&backend, &image);
		assert_int_equal(backend.driver->used(backend.be, &image, &used, NULL), 0);
		assert_int_equal(used, 0);
		rig_must_remove(&backend, &image);
	}
}

static void test_resize(void **state)
{
	struct driver_image image = rig_image(GIB);
	struct err err = { 0 };

	rig_must_create(&backend, &image);
	assert_int_equal(backend.driver->resize(backend.be, &image, 2 * GIB + 512, &err), 0);
	assert_int_equal(backend.driver->resize(backend.be, &image, 2 * GIB + 512, &err), 0);
	assert_int_equal(backend.driver->resize(backend.be, &image, GIB, &err), -EINVAL);
	assert_true(err.text[0]);
	rig_must_remove(&backend, &image);
}

static void test_nothing_there(void **state)
{
	struct driver_image image = rig_image(GIB);
	struct err err = { 0 };
	uint64_t used;

	assert_int_equal(backend.driver->resize(backend.be, &image, 2 * GIB, &err), -ENOENT);
	assert_true(err.text[0]);
	err = (struct err){ 0 };
	assert_int_equal(backend.driver->used(backend.be, &image, &used, &err), -ENOENT);
	assert_true(err.text[0]);
}

static void test_stat(void **state)
{
	struct backend_stats s = { 0 };
	struct err err = { 0 };

	if (backend.driver->stat(backend.be, &s, &err) != 0)
		fail_msg("stat: %s", err.text);
	assert_false(s.total_unknown || s.free_unknown);
	assert_true(s.total > 0 && s.free > 0 && s.free <= s.total);
}

static void test_connection(void **state)
{
	struct driver_image image = rig_image(GIB);
	struct buf b = { 0 };

	backend.driver->connection(backend.be, &image, &b);
	assert_false(buf_failed(&b));
	assert_true(b.len > 0 && b.at[b.len - 1] == '\n');
	assert_non_null(strstr(b.at, image.uuid));
	assert_null(strstr(b.at, "key"));
	buf_release(&b);
}

int same_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_create_and_remove),
		cmocka_unit_test(test_create_again),
		cmocka_unit_test(test_remove_again),
		cmocka_unit_test(test_a_batch),
		cmocka_unit_test(test_odd_sizes),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_nothing_there),
		cmocka_unit_test(test_connection),
	};
	char *vols = rig_dump(rig.vols, NULL), *data = rig_dump(rig.data, NULL);
	int failed = cmocka_run_group_tests_name("same: local", tests, setup_local, teardown);

	failed += cmocka_run_group_tests_name("same: rbd, direct", tests, setup_direct, teardown);
	failed += cmocka_run_group_tests_name(
		"same: rbd, direct, data pool and namespace", tests, setup_direct_apart, teardown);
	failed += cmocka_run_group_tests_name("same: rbd, librbd", tests, setup_librbd, teardown);
	if (!failed) {
		rig_same(vols, rig_dump(rig.vols, NULL));
		rig_same(data, rig_dump(rig.data, NULL));
	}
	free(vols);
	free(data);
	return failed;
}
