/* What the engine counts: each operation once, by what it came to; queues, and the age of what is in them. */
#include "base/clock.h"
#include "engine/numbers.h"
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;

static void begin(size_t backends, const char *more)
{
	fault_reset();
	rig_make(&rig, backends, more);
	rig_up(&rig);
}

static int tear_down(void **state)
{
	fault_reset();
	rig_idle(&rig);
	rig_down(&rig);
	rig_drop(&rig);
	return 0;
}

static uint64_t ended(enum engine_op op, enum engine_result result)
{
	const struct histogram *h = &engine_numbers(rig.engine)->op[op].took[result];
	uint64_t n = 0;

	for (unsigned i = 0; i <= engine_op_bounds.count; i++)
		n += counter_get(&h->range[i]);
	return n;
}

static uint64_t accepted(enum engine_op op)
{
	return counter_get(&engine_numbers(rig.engine)->op[op].accepted);
}

/* It counts a moment after its commit, which is what everybody else waits for. */
static void check(enum engine_op op, uint64_t taken, uint64_t ok, uint64_t error)
{
	for (int i = 0; i < 5000 && ended(op, RESULT_OK) + ended(op, RESULT_ERROR) < ok + error;
		i++)
		usleep(1000);
	assert_int_equal(accepted(op), taken);
	assert_int_equal(ended(op, RESULT_OK), ok);
	assert_int_equal(ended(op, RESULT_ERROR), error);
}

static struct engine_backend_numbers of(size_t i)
{
	struct engine_backend_numbers n;

	engine_backend_numbers(rig.engine, i, &n);
	return n;
}

static int64_t made(const char *spec, int want)
{
	int64_t id;

	assert_int_equal(rig_create(&rig, spec, &id), 0);
	assert_int_equal(rig_settle(&rig, id), want);
	return id;
}

static void each_operation_is_counted_once(void **state)
{
	int64_t id, snap;

	begin(1, NULL);
	id = made("size=1M name=a", VOL_AVAILABLE);
	assert_int_equal(rig_snapshot(&rig, id, "s", &snap), 0);
	made("snapshot=a@s name=b", VOL_AVAILABLE);
	assert_int_equal(rig_revert(&rig, id, "s"), 0);
	rig_idle(&rig);
	assert_int_equal(rig_unsnap(&rig, snap), 0);
	rig_idle(&rig);
	assert_int_equal(rig_extend(&rig, id, 2 << 20), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(rig_extend(&rig, id, 1), -EINVAL); /* was never accepted */
	assert_int_equal(rig_delete(&rig, id), 0);
	rig_idle(&rig);
	check(OP_CREATE, 1, 1, 0);
	check(OP_CLONE, 1, 1, 0);
	check(OP_SNAPSHOT, 1, 1, 0);
	check(OP_UNSNAPSHOT, 1, 1, 0);
	check(OP_REVERT, 1, 1, 0);
	check(OP_EXTEND, 1, 1, 0);
	check(OP_DELETE, 0, 1, 0);
	check(OP_PURGE, 1, 1, 0);
	assert_int_equal(of(0).chosen, 2);
	assert_int_equal(of(0).errors, 0);
}

static void attempts_are_one_creation(void **state)
{
	begin(2, NULL);
	atomic_store(&fault.refuse, "b0");
	for (int i = 0; i < 4; i++)
		made("size=1M", VOL_AVAILABLE);
	check(OP_CREATE, 4, 4, 0);
	assert_true(of(0).chosen > 0);
	assert_int_equal(counter_get(&engine_numbers(rig.engine)->retries), of(0).chosen);
	assert_int_equal(of(1).chosen, 4);
	assert_int_equal(of(0).errors, of(0).chosen);
}

/* An attempt that cannot be undone goes on as a cleaning. */
static void what_is_left_over_is_cleaned_and_counted(void **state)
{
	begin(2, NULL);
	atomic_store(&fault.refuse, "b0");
	atomic_store(&fault.stick, "b0");
	for (int i = 0; i < 4; i++)
		made("size=1M", VOL_AVAILABLE);
	check(OP_CREATE, 4, 4, 0);
	assert_true(of(0).chosen > 0);
	assert_int_equal(accepted(OP_CLEAN), of(0).chosen);
	assert_int_equal(ended(OP_CLEAN, RESULT_OK), 0);
	atomic_store(&fault.stick, NULL);
	rig_idle(&rig);
	check(OP_CLEAN, of(0).chosen, of(0).chosen, 0);
}

static void a_snapshot_that_fails_is_an_error(void **state)
{
	int64_t id, snap;

	begin(1, NULL);
	id = made("size=1M name=a", VOL_AVAILABLE);
	atomic_store(&fault.refuse_snap, "b0");
	assert_true(rig_snapshot(&rig, id, "s", &snap) < 0);
	rig_idle(&rig);
	check(OP_SNAPSHOT, 1, 0, 1);
	check(OP_UNSNAPSHOT, accepted(OP_UNSNAPSHOT), accepted(OP_UNSNAPSHOT), 0);
}

static void one_that_fails_everywhere_is_an_error(void **state)
{
	begin(1, NULL);
	atomic_store(&fault.refuse, "b0");
	made("size=1M", VOL_ERROR);
	check(OP_CREATE, 1, 0, 1);
	assert_int_equal(counter_get(&engine_numbers(rig.engine)->unplaced), 0);
}

static void one_that_fits_nowhere_is_an_error_at_once(void **state)
{
	begin(1, NULL);
	made("size=1000000000", VOL_ERROR);
	check(OP_CREATE, 1, 0, 1);
	assert_int_equal(counter_get(&engine_numbers(rig.engine)->unplaced), 1);
	assert_int_equal(of(0).chosen, 0);
}

static void the_oldest_job_has_an_age(void **state)
{
	struct engine_backend_numbers n;
	int64_t first, second, from_ns;

	begin(1, NULL);
	assert_true(of(0).queue[QUEUE_CREATE].oldest_s == 0);
	atomic_store(&fault.hang, "b0");
	from_ns = clock_mono_ns();
	assert_int_equal(rig_create(&rig, "size=1M", &first), 0);
	usleep(20000);
	assert_int_equal(rig_create(&rig, "size=1M", &second), 0);
	n = of(0);
	assert_int_equal(n.queue[QUEUE_CREATE].running + n.queue[QUEUE_CREATE].waiting, 2);
	assert_true(n.queue[QUEUE_CREATE].oldest_s >= 0.02);
	assert_true(n.queue[QUEUE_CREATE].oldest_s <= (double)(clock_mono_ns() - from_ns) / 1e9);
	check(OP_CREATE, 2, 0, 0);
	atomic_store(&fault.hang, NULL);
	assert_int_equal(rig_settle(&rig, first), VOL_AVAILABLE);
	assert_int_equal(rig_settle(&rig, second), VOL_AVAILABLE);
	rig_idle(&rig);
	check(OP_CREATE, 2, 2, 0);
	assert_true(of(0).queue[QUEUE_CREATE].oldest_s == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(each_operation_is_counted_once, tear_down),
		cmocka_unit_test_teardown(attempts_are_one_creation, tear_down),
		cmocka_unit_test_teardown(what_is_left_over_is_cleaned_and_counted, tear_down),
		cmocka_unit_test_teardown(a_snapshot_that_fails_is_an_error, tear_down),
		cmocka_unit_test_teardown(one_that_fails_everywhere_is_an_error, tear_down),
		cmocka_unit_test_teardown(one_that_fits_nowhere_is_an_error_at_once, tear_down),
		cmocka_unit_test_teardown(the_oldest_job_has_an_age, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
