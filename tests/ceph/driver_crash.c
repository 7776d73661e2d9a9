/*
 * Processes that die in the middle of a change. Each is fenced, as the engine does it, then the change is done again by another,
 * and at the end nothing may be left.
 *
 * Direct: the process kills itself just before its n-th operation, for every n until it passes untouched.
 * librbd has no such point, so it is killed after times that walk through the whole call.
 */
#include "rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

static struct rig_child start(
	const char *what, const struct driver_image *image, int crash_at, char address[256])
{
	char size[24], at[24];
	const char *words[] = { what, backend.conf.direct, image->uuid, image->image_id, size, at,
		NULL };
	struct rig_child c;

	(void)snprintf(size, sizeof size, "%llu", (unsigned long long)image->size);
	(void)snprintf(at, sizeof at, "%d", crash_at);
	c = rig_child(words);
	rig_child_line(&c, address);
	assert_true(address[0]);
	return c;
}

static void fence(const char *address)
{
	struct err err = { 0 };

	if (backend.driver->fence(backend.be, address, &err) != 0)
		fail_msg("fence: %s", err.text);
}

/* Lets a process die at its n-th operation; true if it did. librados itself can throw and abort a young process ("EVP_DecryptInit_ex
 * failed"): then another one does it. */
static bool dies_at(const char *what, const struct driver_image *image, int n)
{
	char address[256];
	int status;

	for (int tries = 1;; tries++) {
		struct rig_child c = start(what, image, n, address);

		status = rig_child_end(&c);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			return false;
		assert_true(WIFSIGNALED(status));
		fence(address);
		if (WTERMSIG(status) != SIGABRT || tries == 3)
			break;
	}
	assert_int_equal(WTERMSIG(status), SIGKILL);
	return true;
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
		died = dies_at(what, &image, n);
		create_again(what, &image);
		rig_must_remove(&backend, &image);
		rig_same(before, rig_dump(rig.vols, NULL));

		image = rig_image(GIB);
		(void)dies_at(what, &image, n);
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
		died = dies_at("remove", &image, n);
		rig_must_remove(&backend, &image);
		rig_same(before, rig_dump(rig.vols, NULL));
	}
	assert_true(n > 10);
}

/* Kills a process us microseconds after it began. */
static void dies_after(const char *what, const struct driver_image *image, unsigned us)
{
	char address[256];
	struct rig_child c = start(what, image, 0, address);

	usleep(us);
	rig_child_kill(&c);
	fence(address);
}

static void create_at_any_time(const char *what, unsigned until, unsigned step)
{
	for (unsigned us = 0; us < until; us += step) {
		struct driver_image image = rig_image(GIB);

		dies_after(what, &image, us);
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
		dies_after("remove", &image, us);
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
