/* How far the long operations are: each shows it while it runs, and nothing before and after. */
#include "tests/lib/driver_clone.h"
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;

static int set_up(void **state)
{
	clone_fault_reset();
	rig_make(&rig, 2, "scheduler = { attempts = 1; };");
	rig_up(&rig);
	return 0;
}

static int tear_down(void **state)
{
	clone_fault_reset();
	rig_idle(&rig);
	rig_down(&rig);
	rig_drop(&rig);
	return 0;
}

static struct volume row(int64_t id)
{
	struct volume v;

	assert_int_equal(view_volume(rig.view, id, &v), 0);
	return v;
}

static int64_t made(const char *spec)
{
	int64_t id;

	assert_int_equal(rig_create(&rig, spec, &id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	return id;
}

static bool shows(int64_t id, uint64_t *done, const char **what)
{
	struct volume v = row(id);
	uint64_t total;

	if (!engine_progress(rig.engine, &v, done, &total, what))
		return false;
	assert_int_equal(total, 100);
	return true;
}

static void shows_nothing(int64_t id)
{
	const char *what;
	uint64_t done;

	assert_false(shows(id, &done, &what));
}

/* Within 10 s. */
static void must_show(int64_t id, uint64_t wanted, const char *what)
{
	const char *is = "";
	uint64_t done = 0;

	for (int i = 0; i < 10000; i++) {
		if (shows(id, &done, &is) && done == wanted && !strcmp(is, what))
			return;
		usleep(1000);
	}
	fail_msg("it shows %d of 100 %s, and not %d of 100 %s", (int)done, is, (int)wanted, what);
}

static void a_purge(void **state)
{
	int64_t id = made("size=1M");

	shows_nothing(id);
	atomic_store(&fault.progress, 37);
	atomic_store(&fault.hang, row(id).backend[1] == '0' ? "b0" : "b1");
	assert_int_equal(rig_delete(&rig, id), 0); /* without a stay in the trash */
	must_show(id, 37, "purge");
	atomic_store(&fault.hang, NULL);
	assert_int_equal(rig_settle(&rig, id), -ENOENT);
}

static void a_purge_that_fails(void **state)
{
	int64_t id = made("size=1M");

	atomic_store(&fault.progress, 37);
	atomic_store(&fault.stick, row(id).backend[1] == '0' ? "b0" : "b1");
	assert_int_equal(rig_delete(&rig, id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_ERROR_DELETING);
	shows_nothing(id);
}

static void *take_snapshot(void *volume)
{
	(void)rig_snapshot(&rig, *(int64_t *)volume, "monday", NULL);
	return NULL;
}

/* With a driver that copies; mkdir waits meanwhile. */
static void a_snapshot(void **state)
{
	int64_t id = made("size=1M");
	pthread_t t;

	atomic_store(&fault.progress, 1);
	atomic_store(&fault.hang_snap, row(id).backend[1] == '0' ? "b0" : "b1");
	assert_int_equal(pthread_create(&t, NULL, take_snapshot, &id), 0);
	must_show(id, 1, "snapshot");
	atomic_store(&fault.hang_snap, NULL);
	assert_int_equal(pthread_join(t, NULL), 0);
	shows_nothing(id);
}

/* The clone shows it, and not its source. */
static void a_copy_on_one_backend(void **state)
{
	int64_t db = made("size=1M name=db"), id;

	atomic_store(&fault.progress, 99);
	atomic_store(&fault.hang, row(db).backend[1] == '0' ? "b0" : "b1");
	assert_int_equal(rig_create(&rig, "source=db name=copy", &id), 0);
	must_show(id, 99, "copy");
	shows_nothing(db);
	assert_string_equal(row(id).backend, row(db).backend);
	atomic_store(&fault.hang, NULL);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	shows_nothing(id);
}

/* Its call hangs on, but what it counts is nobody's any more. */
static void a_copy_that_is_given_up(void **state)
{
	int64_t db = made("size=1M name=db"), id;
	const char *backend = row(db).backend[1] == '0' ? "b0" : "b1";

	atomic_store(&fault.progress, 99);
	atomic_store(&fault.hang, backend);
	assert_int_equal(rig_create(&rig, "source=db name=copy", &id), 0);
	must_show(id, 99, "copy");
	atomic_store(&fault.down, backend);
	(void)rig_settle(&rig, id);
	shows_nothing(id);
	atomic_store(&fault.down, NULL);
	atomic_store(&fault.hang, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_purge, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_purge_that_fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_snapshot, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_copy_on_one_backend, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_copy_that_is_given_up, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
