/* Backends that do not answer, refuse, come back; attempts elsewhere; the fence. */
#include "base/clock.h"
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
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
	rig_recount(&rig);
	rig_down(&rig);
	rig_drop(&rig);
	return 0;
}

static enum backend_state state_of(size_t i)
{
	struct engine_backend b;

	assert_int_equal(engine_backend(rig.engine, rig.view, i, &b), 0);
	return b.state;
}

static void wait_for_state(size_t i, enum backend_state state)
{
	for (int k = 0; k < 10000 && state_of(i) != state; k++)
		usleep(1000);
	assert_int_equal(state_of(i), state);
}

static void check(int64_t id, enum vol_status status, const char *backend, const char *reason)
{
	struct volume v;

	assert_int_equal(rig_settle(&rig, id), status);
	assert_int_equal(view_volume(rig.view, id, &v), 0);
	assert_string_equal(v.backend, backend);
	if (!strstr(v.reason, reason))
		fail_msg("'%s' is not in: %s", reason, v.reason);
}

static void goes_elsewhere(void **state)
{
	int64_t id;

	begin(2, NULL);
	atomic_store(&fault.refuse, "b0");
	for (int i = 0; i < 8; i++) {
		assert_int_equal(rig_create(&rig, "size=1M", &id), 0);
		check(id, VOL_AVAILABLE, "b1", "");
	}
	assert_true(
		rig_sql(&rig,
			"SELECT count(*) FROM event WHERE line->>'event' = 'volume.create.retry'") >
		0);
	rig_idle(&rig);
	assert_int_equal(rig_images(&rig), 8);
}

static void gives_up_after_all(void **state)
{
	int64_t id;

	begin(1, NULL);
	atomic_store(&fault.refuse, "b0");
	assert_int_equal(rig_create(&rig, "size=1M name=db", &id), 0);
	check(id, VOL_ERROR, "", "no backend fits: b0: ");
	check(id, VOL_ERROR, "", "(tried b0: refused)");
	/* the quota stays used until it is deleted; the backend is free at once */
	assert_int_equal(rig_sql(&rig, "SELECT volumes FROM project WHERE name = 'root'"), 1);
	assert_int_equal(rig_sql(&rig, "SELECT allocated FROM backend"), 0);
	assert_int_equal(rig_delete(&rig, id), 0);
	assert_int_equal(rig_sql(&rig, "SELECT volumes FROM project WHERE name = 'root'"), 0);
	assert_int_equal(rig_settle(&rig, id), -ENOENT);
}

static void counts_attempts(void **state)
{
	int64_t id;

	begin(4, "scheduler = { attempts = 1; };");
	atomic_store(&fault.refuse, "b0");
	assert_int_equal(rig_create(&rig, "size=1M", &id), 0);
	check(id, VOL_ERROR, "", "given up after 1 attempts (tried b0: refused)");
}

static void says_who_is_down(void **state)
{
	int64_t id;

	begin(2, NULL);
	atomic_store(&fault.down, "b0");
	wait_for_state(0, BACKEND_DOWN);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(rig_create(&rig, "size=1M", &id), 0);
		check(id, VOL_AVAILABLE, "b1", "");
	}
	assert_int_equal(rig_create(&rig, "size=900T", &id), 0);
	check(id, VOL_ERROR, "", "no backend fits: b0: down since ");
	check(id, VOL_ERROR, "", "b1: ");
	atomic_store(&fault.down, NULL);
	wait_for_state(0, BACKEND_UP);
}

/* Its calls hang and its statistics do not come back: what waits there goes elsewhere, and is cleaned up when the call returns. */
static void a_stuck_attempt_is_given_up(void **state)
{
	int64_t id[40];

	begin(2, NULL);
	atomic_store(&fault.hang, "b0");
	for (int i = 0; i < 40; i++)
		assert_int_equal(rig_create(&rig, "size=1M", &id[i]), 0);
	atomic_store(&fault.slow_stat, "b0");
	for (int i = 0; i < 40; i++)
		check(id[i], VOL_AVAILABLE, "b1", "");
	assert_int_equal(state_of(0), BACKEND_DOWN);
	assert_true(rig_sql(&rig, "SELECT count(*) FROM job WHERE kind = 4") > 0);
	rig_recount(&rig);
	atomic_store(&fault.slow_stat, NULL);
	atomic_store(&fault.hang, NULL);
	rig_idle(&rig);
	wait_for_state(0, BACKEND_UP);
	assert_int_equal(rig_images(&rig), 40);
	assert_int_equal(rig_sql(&rig, "SELECT allocated FROM backend WHERE name = 'b0'"), 0);
}

static void the_only_backend_hangs(void **state)
{
	int64_t id, fine;

	begin(1, NULL);
	assert_int_equal(rig_create(&rig, "size=1M", &fine), 0);
	assert_int_equal(rig_settle(&rig, fine), VOL_AVAILABLE);
	atomic_store(&fault.hang, "b0");
	assert_int_equal(rig_create(&rig, "size=1M", &id), 0);
	atomic_store(&fault.slow_stat, "b0");
	check(id, VOL_ERROR, "", "no backend fits: b0: down since ");
	/* deletion takes it to the trash at once and waits there */
	assert_int_equal(rig_delete(&rig, fine), 0);
	assert_int_equal(rig_delete(&rig, id), 0);
	atomic_store(&fault.slow_stat, NULL);
	atomic_store(&fault.hang, NULL);
	rig_idle(&rig);
	assert_int_equal(rig_images(&rig), 0);
}

/* Stopping does not wait for calls that hang; the next start finishes them. In a child, for its threads stay behind. */
static void stopping_does_not_wait(void **state)
{
	pid_t pid;
	int status;

	fault_reset();
	rig_make(&rig, 1, NULL);
	pid = fork();
	if (pid == 0) {
		int64_t from;

		rig_up(&rig);
		atomic_store(&fault.hang, "b0");
		if (rig_create(&rig, "size=1M", NULL) < 0)
			_exit(1);
		usleep(20000);
		from = clock_mono_ns();
		view_close(rig.view);
		engine_stop(rig.engine, 200, false);
		engine_free(rig.engine);
		_exit(clock_mono_ns() - from < 2000000000 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	rig_up(&rig);
	rig_idle(&rig);
	assert_int_equal(rig_settle(&rig, 1), VOL_AVAILABLE);
	assert_int_equal(rig_images(&rig), 1);
}

static void disabled_takes_no_new_ones(void **state)
{
	struct rig_answer a;
	int64_t id;

	begin(1, NULL);
	assert_int_equal(rig_create(&rig, "size=1M", &id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	rig_begin(&a);
	engine_backend_disable(
		rig.engine, (struct change_id){ 0 }, &rig.who, 0, true, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
	assert_int_equal(state_of(0), BACKEND_DISABLED);
	assert_int_equal(rig_extend(&rig, id, 2 << 20), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(rig_create(&rig, "size=1M", &id), 0);
	check(id, VOL_ERROR, "", "no backend fits: b0: disabled");
	rig_down(&rig);
	rig_up(&rig);
	assert_int_equal(state_of(0), BACKEND_DISABLED);
}

static void a_failed_purge_stays_in_the_trash(void **state)
{
	struct volume v;
	int64_t id;

	begin(1, NULL);
	assert_int_equal(rig_create(&rig, "size=1M", &id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	atomic_store(&fault.stick, "b0");
	assert_int_equal(rig_delete(&rig, id), 0);
	check(id, VOL_ERROR_DELETING, "b0", "b0: somebody has it open");
	assert_int_equal(view_volume(rig.view, id, &v), 0);
	assert_true(v.trashed);
	assert_int_equal(rig_purge(&rig, id), 0);
	check(id, VOL_ERROR_DELETING, "b0", "b0: somebody has it open");
	atomic_store(&fault.stick, NULL);
	assert_int_equal(rig_purge(&rig, id), 0);
	rig_idle(&rig);
	assert_int_equal(rig_settle(&rig, id), -ENOENT);
	assert_int_equal(rig_images(&rig), 0);
}

/* A backend that the configuration names no more. */
static void a_lost_backend_settles_its_jobs(void **state)
{
	int64_t id;
	pid_t pid;
	int status;

	fault_reset();
	rig_make(&rig, 2, NULL);
	pid = fork();
	if (pid == 0) {
		rig.conf.backend_count = 1;
		rig_up(&rig);
		atomic_store(&fault.hang, "b0");
		if (rig_create(&rig, "size=1M", &id) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	rig.conf.backends++;
	rig.conf.backend_count = 1;
	rig_up(&rig);
	check(1, VOL_ERROR, "", "backend 'b0' is not configured any more");
	rig_down(&rig);
	rig.conf.backends--;
	rig.conf.backend_count = 2;
	rig_up(&rig);
	rig_idle(&rig);
	assert_int_equal(rig_images(&rig), 0);
}

/* A restart does not make anybody wait for statistics. */
static void knows_what_the_last_server_knew(void **state)
{
	int64_t id, from;

	begin(1, NULL);
	wait_for_state(0, BACKEND_UP);
	assert_int_equal(rig_create(&rig, "size=1M", &id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	rig_down(&rig);
	atomic_store(&fault.slow_stat, "b0");
	rig_up(&rig);
	from = clock_mono_ns();
	assert_int_equal(rig_create(&rig, "size=1M", &id), 0);
	assert_true(clock_mono_ns() - from < 500000000);
	atomic_store(&fault.slow_stat, NULL);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
}

/* --- the fence --- */

static void die_with_a_job(const char *hang)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		rig_up(&rig);
		atomic_store(&fault.hang, hang);
		for (int i = 0; i < 2000 && strcmp(engine_status(rig.engine), "ready") != 0; i++)
			usleep(1000);
		if (rig_create(&rig, "size=1M", NULL) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void the_dead_are_fenced_first(void **state)
{
	fault_reset();
	rig_make(&rig, 1, NULL);
	rig.driver = &driver_fenced;
	die_with_a_job("b0");
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM client"), 1);
	atomic_store(&fault.no_fence, true);
	rig_up(&rig);
	usleep(300000);
	assert_int_equal(rig_sql(&rig, "SELECT status FROM volume"), VOL_CREATING);
	assert_int_equal(atomic_load(&fault.created), 0);
	assert_int_equal(state_of(0), BACKEND_DOWN);
	atomic_store(&fault.no_fence, false);
	rig_idle(&rig);
	assert_int_equal(atomic_load(&fault.fenced), 1);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM client"), 1); /* its own */
	wait_for_state(0, BACKEND_UP);
	assert_string_equal(engine_status(rig.engine), "ready");
}

static void the_fenced_end(void **state)
{
	pid_t pid;
	int status;

	fault_reset();
	rig_make(&rig, 1, NULL);
	pid = fork();
	if (pid == 0) {
		atomic_store(&fault.blocked, "b0");
		rig_up(&rig);
		(void)rig_create(&rig, "size=1M", NULL);
		sleep(5);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 75);
	rig_up(&rig);
	rig_idle(&rig);
	assert_int_equal(rig_settle(&rig, 1), VOL_AVAILABLE);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_teardown(fn, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(goes_elsewhere),
		TEST(gives_up_after_all),
		TEST(counts_attempts),
		TEST(says_who_is_down),
		TEST(a_stuck_attempt_is_given_up),
		TEST(the_only_backend_hangs),
		TEST(stopping_does_not_wait),
		TEST(disabled_takes_no_new_ones),
		TEST(a_failed_purge_stays_in_the_trash),
		TEST(a_lost_backend_settles_its_jobs),
		TEST(knows_what_the_last_server_knew),
		TEST(the_dead_are_fenced_first),
		TEST(the_fenced_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
