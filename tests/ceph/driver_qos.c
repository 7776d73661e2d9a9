/*
 * Limits on an image's speed: librbd must take what the driver wrote for its own options, whichever way the image was made. That both
 * ways write the same bytes is driver_format.c's.
 */
#include "rig.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Each key with a value of its own; the last is one that no driver knows. */
static const struct driver_qos limits[] = {
	{ "total_iops_sec", 1000 },
	{ "read_iops_sec", 1001 },
	{ "write_iops_sec", 1002 },
	{ "total_bytes_sec", UINT64_C(5000000000000) },
	{ "read_bytes_sec", 1004 << 20 },
	{ "write_bytes_sec", 0 },
	{ "total_iops_sec_max", 2000 },
	{ "read_iops_sec_max", 2001 },
	{ "write_iops_sec_max", 2002 },
	{ "total_bytes_sec_max", UINT64_C(6000000000000) },
	{ "read_bytes_sec_max", UINT64_C(2004) << 20 },
	{ "write_bytes_sec_max", UINT64_C(2005) << 20 },
	{ "size_iops_sec", 3000 },
};

/* What they are to librbd; the last is nothing. */
static const struct {
	const char *option, *value;
} wanted[] = {
	{ "rbd_qos_iops_limit", "1000" },
	{ "rbd_qos_read_iops_limit", "1001" },
	{ "rbd_qos_write_iops_limit", "1002" },
	{ "rbd_qos_bps_limit", "5000000000000" },
	{ "rbd_qos_read_bps_limit", "1052770304" },
	{ "rbd_qos_write_bps_limit", "0" },
	{ "rbd_qos_iops_burst", "2000" },
	{ "rbd_qos_read_iops_burst", "2001" },
	{ "rbd_qos_write_iops_burst", "2002" },
	{ "rbd_qos_bps_burst", "6000000000000" },
	{ "rbd_qos_read_bps_burst", "2101346304" },
	{ "rbd_qos_write_bps_burst", "2102394880" },
};
enum { LIMITS = COUNT(limits), WANTED = COUNT(wanted) };

static struct rig_backend backend;
static char *vols_before, *data_before;

/* --- creation */

int qos_create(struct rig_backend *b, const struct driver_image *image, struct err *err)
{
	struct driver_create c = { .image = *image, .qos = limits, .qos_count = LIMITS };

	b->driver->create(b->be, &c, 1);
	if (c.code < 0 && err)
		*err = c.err;
	return c.code;
}

void qos_must_create(struct rig_backend *b, const struct driver_image *image)
{
	struct err err = { 0 };

	if (qos_create(b, image, &err) != 0)
		fail_msg("create: %s", err.text);
}

/* --- what librbd says */

static int count_metadata(rbd_image_t image)
{
	static char keys[8192], values[8192];
	size_t keys_len = sizeof keys, values_len = sizeof values;
	int n = 0;

	assert_true(rbd_metadata_list(image, "", 0, keys, &keys_len, values, &values_len) >= 0);
	for (size_t i = 0; i < keys_len; i++)
		n += keys[i] == '\0';
	return n;
}

static void check_metadata(rbd_image_t image)
{
	for (size_t i = 0; i < WANTED; i++) {
		char key[64], value[64] = "";
		size_t len = sizeof value;

		(void)snprintf(key, sizeof key, "conf_%s", wanted[i].option);
		assert_int_equal(rbd_metadata_get(image, key, value, &len), 0);
		assert_string_equal(value, wanted[i].value);
	}
}

static void check_option(const rbd_config_option_t *o)
{
	for (size_t i = 0; i < WANTED; i++)
		if (!strcmp(o->name, wanted[i].option)) {
			assert_string_equal(o->value, wanted[i].value);
			return;
		}
	fail_msg("%s is an option of the image", o->name);
}

/* The options that the image has of itself. */
static int check_options(rbd_image_t image)
{
	static rbd_config_option_t options[512];
	int max = COUNT(options), n = 0;

	assert_int_equal(rbd_config_image_list(image, options, &max), 0);
	for (int i = 0; i < max; i++)
		if (options[i].source == RBD_CONFIG_SOURCE_IMAGE) {
			check_option(&options[i]);
			n++;
		}
	rbd_config_image_list_cleanup(options, max);
	return n;
}

static rbd_image_t open_image(const struct rig_backend *b, const struct driver_image *image)
{
	rbd_image_t handle;

	rig_space(b->conf.namespace);
	assert_int_equal(rbd_open(rig.vols, rig_image_name(image), &handle, NULL), 0);
	rig_space("");
	return handle;
}

void qos_check(const struct rig_backend *b, const struct driver_image *image, bool limited)
{
	rbd_image_t handle = open_image(b, image);

	assert_int_equal(count_metadata(handle), limited ? WANTED : 0);
	assert_int_equal(check_options(handle), limited ? WANTED : 0);
	if (limited)
		check_metadata(handle);
	assert_int_equal(rbd_close(handle), 0);
}

/* --- the ways an image is made */

static int setup(const char *direct, const char *data_pool, const char *space)
{
	vols_before = rig_dump(rig.vols, NULL);
	data_before = rig_dump(rig.data, NULL);
	backend = (struct rig_backend){ .driver = &driver_rbd };
	rig_backend_conf(&backend.conf, direct);
	backend.conf.data_pool = (char *)data_pool;
	backend.conf.namespace = (char *)space;
	rig_open(&backend);
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
	rig_close(&backend);
	free(vols_before);
	free(data_before);
	return 0;
}

static void remove_all_of(const struct driver_image *image)
{
	rig_must_remove(&backend, image);
	rig_same(vols_before, rig_dump(rig.vols, NULL));
	rig_same(data_before, rig_dump(rig.data, NULL));
}

/* --- the tests */

static void test_known(void **state)
{
	for (size_t i = 0; i < LIMITS; i++)
		assert_int_equal(backend.driver->qos_known(limits[i].key), i < WANTED);
	assert_false(backend.driver->qos_known(""));
}

static void test_limited(void **state)
{
	struct driver_image image = rig_image(GIB);

	qos_must_create(&backend, &image);
	qos_check(&backend, &image, true);
	remove_all_of(&image);
}

static void test_not_limited(void **state)
{
	struct driver_image image = rig_image(GIB);

	rig_must_create(&backend, &image);
	qos_check(&backend, &image, false);
	remove_all_of(&image);
}

/* Limits that the driver does not know are none. */
static void test_unknown(void **state)
{
	struct driver_create c = {
		.image = rig_image(GIB), .qos = &limits[WANTED], .qos_count = 1
	};

	backend.driver->create(backend.be, &c, 1);
	assert_int_equal(c.code, 0);
	qos_check(&backend, &c.image, false);
	remove_all_of(&c.image);
}

static void test_again(void **state)
{
	struct driver_image image = rig_image(GIB);
	char *once;

	qos_must_create(&backend, &image);
	once = rig_dump(rig.vols, NULL);
	qos_must_create(&backend, &image);
	rig_same(once, rig_dump(rig.vols, NULL));
	free(once);
	qos_check(&backend, &image, true);
	remove_all_of(&image);
}

static void test_mixed_batch(void **state)
{
	struct driver_create each[6] = { 0 };

	for (size_t i = 0; i < COUNT(each); i++) {
		each[i].image = rig_image(GIB);
		each[i].qos = limits;
		each[i].qos_count = i % 2 ? LIMITS : 0;
	}
	backend.driver->create(backend.be, each, COUNT(each));
	for (size_t i = 0; i < COUNT(each); i++) {
		if (each[i].code != 0)
			fail_msg("%zu: %s", i, each[i].err.text);
		qos_check(&backend, &each[i].image, i % 2);
	}
	for (size_t i = 1; i < COUNT(each); i++)
		rig_must_remove(&backend, &each[i].image);
	remove_all_of(&each[0].image);
}

/* What a process leaves that dies after librbd has made the image and before its limits are set. */
static void test_made_without(void **state)
{
	struct driver_image image = rig_image(GIB);

	rig_must_create(&backend, &image);
	qos_check(&backend, &image, false);
	qos_must_create(&backend, &image);
	qos_check(&backend, &image, true);
	remove_all_of(&image);
}

/* The same where the backend was made direct before the next try. */
static void test_made_without_by_librbd(void **state)
{
	struct rig_backend off = { .driver = &driver_rbd, .conf = backend.conf };
	struct driver_image image = rig_image(GIB);

	off.conf.direct = (char *)"off";
	rig_open(&off);
	rig_must_create(&off, &image);
	qos_must_create(&backend, &image);
	qos_check(&backend, &image, true);
	rig_close(&off);
	remove_all_of(&image);
}

/* 20 writes a second, the first second's worth at once: 60 cannot be done within a second and a half. */
static void test_it_limits(void **state)
{
	static const struct driver_qos slow = { "write_iops_sec", 20 };
	struct driver_create c = { .image = rig_image(GIB), .qos = &slow, .qos_count = 1 };
	rbd_image_t handle;
	int64_t from;

	backend.driver->create(backend.be, &c, 1);
	assert_int_equal(c.code, 0);
	handle = open_image(&backend, &c.image);
	from = clock_mono_ns();
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(rbd_write(handle, i * MIB, 4, "data"), 4);
	assert_true(clock_mono_ns() - from > INT64_C(1500000000));
	assert_int_equal(rbd_close(handle), 0);
	remove_all_of(&c.image);
}

static void test_capability(void **state)
{
	json_t *all = backend.driver->capabilities(backend.be);
	bool wants = backend.driver == &driver_rbd;

	assert_non_null(all);
	assert_true(json_is_boolean(json_object_get(all, "qos_support")));
	assert_int_equal(json_is_true(json_object_get(all, "qos_support")), wants);
	json_decref(all);
}

/* --- a driver that keeps none */

static int setup_local(void **state)
{
	static char path[512];

	(void)snprintf(path, sizeof path, "%s/local", rig.dir);
	(void)mkdir(path, 0755);
	backend = (struct rig_backend){ .driver = &driver_local };
	rig_backend_conf(&backend.conf, "auto");
	backend.conf.path = path;
	rig_open(&backend);
	return 0;
}

static int teardown_local(void **state)
{
	rig_close(&backend);
	return 0;
}

static void test_ignored(void **state)
{
	struct driver_image image = rig_image(GIB);

	assert_null(backend.driver->qos_known);
	qos_must_create(&backend, &image);
	qos_must_create(&backend, &image);
	rig_must_remove(&backend, &image);
}

int qos_tests(void)
{
#define EITHER_WAY                                                                                 \
	cmocka_unit_test(test_known), cmocka_unit_test(test_capability),                           \
		cmocka_unit_test(test_limited), cmocka_unit_test(test_not_limited),                \
		cmocka_unit_test(test_unknown), cmocka_unit_test(test_again),                      \
		cmocka_unit_test(test_mixed_batch), cmocka_unit_test(test_it_limits)
	const struct CMUnitTest direct[] = {
		EITHER_WAY,
		cmocka_unit_test(test_made_without_by_librbd),
	};
	const struct CMUnitTest librbd[] = {
		EITHER_WAY,
		cmocka_unit_test(test_made_without),
	};
	const struct CMUnitTest local[] = {
		cmocka_unit_test(test_capability),
		cmocka_unit_test(test_ignored),
	};

	return cmocka_run_group_tests_name("qos: direct", direct, setup_direct, teardown) +
	       cmocka_run_group_tests_name("qos: direct, data pool and namespace", direct,
		       setup_direct_apart, teardown) +
	       cmocka_run_group_tests_name("qos: librbd", librbd, setup_librbd, teardown) +
	       cmocka_run_group_tests_name("qos: local", local, setup_local, teardown_local);
}
