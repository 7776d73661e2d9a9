/*
 * mkdir of a snapshot waits until it has been taken: who gives up, for whom it takes too long, a server that dies or ends meanwhile; and
 * that nothing else waits with it.
 */
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
static const struct change_id no_id;

static void begin(size_t backends, const char *more)
{
	fault_reset();
	rig_make(&rig, backends, more);
	rig_up(&rig);
}

/* Nothing is left of what was not taken. */
static int tear_down(void **state)
{
	fault_reset();
	rig_idle(&rig);
	rig_recount(&rig);
	assert_int_equal(rig_snapshots(&rig),
		rig_sql(&rig, "SELECT count(*) FROM snapshot WHERE status = 1"));
	rig_down(&rig);
	rig_drop(&rig);
	return 0;
}

static int64_t made(const char *spec)
{
	int64_t id;

	assert_int_equal(rig_create(&rig, spec, &id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	return id;
}

static void ask_as(struct change_id id, int64_t volume, const char *name, struct rig_answer *a)
{
	rig_begin(a);
	engine_snapshot(rig.engine, id, &rig.who, volume, name, rig_done, a);
}

static void ask(int64_t volume, const char *name, struct rig_answer *a)
{
	ask_as(no_id, volume, name, a);
}

static bool is_over(struct rig_answer *a)
{
	LOCK_SCOPE(&a->lock);
	return a->over;
}

static void wait_for_calls(unsigned n)
{
	for (int i = 0; i < 5000 && atomic_load(&fault.snapping) < n; i++)
		usleep(1000);
	assert_int_equal(atomic_load(&fault.snapping), n);
}

static int64_t rows(const char *where)
{
	char sql[128];

	(void)snprintf(sql, sizeof sql, "SELECT count(*) FROM snapshot WHERE %s", where);
	return rig_sql(&rig, sql);
}

static void is_given_up(void **state)
{
	struct rig_answer a;
	int64_t id;

	begin(1, NULL);
	id = made("size=1M name=db");
	atomic_store(&fault.hang_snap, "b0");
	ask(id, "monday", &a);
	wait_for_calls(1);
	assert_false(is_over(&a));
	engine_snapshot_give_up(rig.engine, rig_done, &id); /* somebody else's */
	engine_snapshot_give_up(rig.engine, rig_done, &a);
	engine_snapshot_give_up(rig.engine, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), -EINTR);
	assert_string_equal(rig_text, "interrupted: snapshot 'monday' of volume 'db' is not taken");
	assert_int_equal(rows("status = 3 AND name IS NULL"), 1);
	assert_int_equal(rig_sql(&rig, "SELECT snapshots FROM project WHERE name = 'root'"), 0);
	/* its name is free, and the other's job is another one */
	atomic_store(&fault.hang_snap, NULL);
	assert_int_equal(rig_snapshot(&rig, id, "monday", NULL), 0);
	rig_idle(&rig);
	assert_int_equal(rows("1"), 1);
	assert_int_equal(atomic_load(&fault.unsnapped), 1);
}

/* The call fails after all: what it may have left is removed with it. */
static void is_given_up_and_fails(void **state)
{
	struct rig_answer a;
	int64_t id;

	begin(1, NULL);
	id = made("size=1M name=db");
	atomic_store(&fault.hang_snap, "b0");
	atomic_store(&fault.refuse_snap, "b0");
	ask(id, "monday", &a);
	wait_for_calls(1);
	engine_snapshot_give_up(rig.engine, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), -EINTR);
	atomic_store(&fault.hang_snap, NULL);
	rig_idle(&rig);
	assert_int_equal(rows("1"), 0);
}

/* So early that it is not even accepted, or so late that it has been taken. */
static void is_given_up_at_any_moment(void **state)
{
	struct rig_answer a[50];
	int64_t id;
	char name[16];

	begin(1, "quota = { snapshots = -1; size = -1; };");
	id = made("size=1M name=db");
	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof name, "s%d", i);
		ask(id, name, &a[i]);
		if (i % 5)
			usleep((unsigned)(i * 100));
		engine_snapshot_give_up(rig.engine, rig_done, &a[i]);
	}
	for (int i = 0; i < 50; i++) {
		int r = rig_wait(&a[i], NULL);

		assert_true(r == 0 || r == -EINTR);
		engine_snapshot_give_up(rig.engine, rig_done, &a[i]);
		(void)snprintf(name, sizeof name, "name = 's%d'", i);
		assert_int_equal(rows(name), r == 0);
	}
}

static void takes_too_long(void **state)
{
	struct rig_answer a;
	int64_t id;

	begin(1, "snapshot_timeout = 1;");
	id = made("size=1M name=db");
	atomic_store(&fault.hang_snap, "b0");
	ask(id, "monday", &a);
	assert_int_equal(rig_wait(&a, NULL), -ETIMEDOUT);
	assert_string_equal(rig_text, "snapshot 'monday' of volume 'db' was not taken within 1 s");
	atomic_store(&fault.hang_snap, NULL);
	rig_idle(&rig);
	assert_int_equal(rows("1"), 0);
	assert_int_equal(atomic_load(&fault.snapped), 1);
}

/* Nothing is asked of a storage that does not answer; when it does again, nobody wants the snapshot any more. */
static void the_backend_is_down(void **state)
{
	struct rig_answer a;
	int64_t id;

	begin(1, "snapshot_timeout = 1;");
	id = made("size=1M name=db");
	rig_down(&rig);
	rig.driver = &driver_fenced;
	atomic_store(&fault.down, "b0");
	rig_up(&rig);
	ask(id, "monday", &a);
	usleep(200000);
	assert_false(is_over(&a));
	assert_int_equal(rig_wait(&a, NULL), -ETIMEDOUT);
	assert_non_null(strstr(rig_text, "was not taken within 1 s: its backend is down since "));
	assert_int_equal(rows("name IS NULL"), 1);
	atomic_store(&fault.down, NULL);
	rig_idle(&rig);
	assert_int_equal(rows("1"), 0);
	assert_int_equal(atomic_load(&fault.snapped), 0);
	assert_int_equal(rig_snapshot(&rig, id, "monday", NULL), 0);
}

/* 64 hang, each of another volume: creations, removals and extensions go on. The 65th waits for one of them. */
static void nothing_waits_behind_them(void **state)
{
	static struct rig_answer a[65];
	int64_t id[65], other;
	int64_t since;

	begin(1, "workers = 4; quota = { volumes = -1; size = -1; snapshots = -1; };");
	for (int i = 0; i < 65; i++)
		id[i] = made("size=1M");
	other = made("size=1M");
	atomic_store(&fault.hang_snap, "b0");
	for (int i = 0; i < 65; i++)
		ask(id[i], "monday", &a[i]);
	wait_for_calls(64);
	since = clock_mono_ns();
	(void)made("size=1M");
	assert_int_equal(rig_extend(&rig, other, 2 << 20), 0);
	assert_int_equal(rig_settle(&rig, other), VOL_AVAILABLE);
	assert_int_equal(rig_delete(&rig, other), 0);
	while (rig_settle(&rig, other) != -ENOENT)
		usleep(1000);
	assert_true(clock_mono_ns() - since < INT64_C(3000000000));
	assert_int_equal(atomic_load(&fault.snapping), 64);
	atomic_store(&fault.hang_snap, NULL);
	for (int i = 0; i < 65; i++)
		assert_int_equal(rig_wait(&a[i], NULL), 0);
	assert_int_equal(atomic_load(&fault.most_snapping), 64);
}

/* Nor do they wait behind others: all workers hang in extensions. */
static void they_wait_behind_nothing(void **state)
{
	int64_t id[4], db;

	begin(1, "workers = 2;");
	db = made("size=1M name=db");
	for (int i = 0; i < 4; i++)
		id[i] = made("size=1M");
	atomic_store(&fault.delay_us, 1500000);
	for (int i = 0; i < 4; i++)
		assert_int_equal(rig_extend(&rig, id[i], 2 << 20), 0);
	usleep(400000); /* two have begun, which takes a moment after a creation, and are not done yet */
	atomic_store(&fault.delay_us, 0);
	assert_int_equal(rig_snapshot(&rig, db, "monday", NULL), 0);
	assert_int_equal(atomic_load(&fault.resized), 0);
}

/* The end answers who waits, and takes nothing. */
static void the_server_ends(void **state)
{
	struct rig_answer a;
	int64_t id;

	begin(1, NULL);
	id = made("size=1M name=db");
	rig_down(&rig);
	rig.driver = &driver_fenced;
	atomic_store(&fault.down, "b0");
	rig_up(&rig);
	ask(id, "monday", &a);
	usleep(100000);
	rig_down(&rig);
	assert_int_equal(rig_wait(&a, NULL), -EINTR);
	fault_reset();
	rig_up(&rig);
	rig_idle(&rig);
	assert_int_equal(rows("1"), 0);
}

/* --- the kernel asks again --- */

static const struct change_id first = { .mount = 7, .unique = 5 },
			      again = { .mount = 7, .unique = 5, .resent = true };

/* A child takes a snapshot, or begins to, and dies; its row says `status`. answered: what an earlier server remembers. */
static void die_asked(const char *hang, int status, bool give_up)
{
	pid_t pid = fork();
	int code;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct rig_answer a;
		int64_t id;

		rig_up(&rig);
		id = made("size=1M name=db");
		atomic_store(&fault.hang_snap, hang);
		ask_as(first, id, "monday", &a);
		if (hang)
			wait_for_calls(1);
		if (give_up)
			engine_snapshot_give_up(rig.engine, rig_done, &a);
		if (!hang || give_up)
			(void)rig_wait(&a, NULL);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &code, 0), pid);
	assert_true(WIFSIGNALED(code));
	assert_int_equal(rig_sql(&rig, "SELECT status FROM snapshot"), status);
}

/* As if it had waited for longer than the memory of its first commit. */
static void forget_answers(void)
{
	(void)rig_sql(&rig, "DELETE FROM answered RETURNING 1");
}

static void another_server_answers(void **state)
{
	struct rig_answer a;
	int64_t id, snap;

	begin(1, NULL);
	id = made("size=1M name=db");
	rig_down(&rig);
	rig.driver = &driver_fenced;
	atomic_store(&fault.down, "b0");
	rig_up(&rig);
	ask_as(first, id, "monday", &a);
	usleep(100000);
	rig_replace(&rig);
	assert_int_equal(rig_wait(&a, NULL), -ENOTCONN);
	ask_as(again, id, "monday", &a);
	usleep(100000);
	assert_false(is_over(&a));
	fault_reset();
	assert_int_equal(rig_wait(&a, &snap), 0);
	assert_int_equal(rows("status = 1"), 1);
	assert_int_equal(rows("1"), 1);
}

static void a_resent_one_waits(void **state)
{
	struct rig_answer a;
	int64_t snap;

	fault_reset();
	rig_make(&rig, 1, NULL);
	die_asked("b0", SNAP_CREATING, false);
	atomic_store(&fault.hang_snap, "b0");
	rig_up(&rig);
	ask_as(again, 1, "monday", &a);
	wait_for_calls(1);
	assert_false(is_over(&a));
	atomic_store(&fault.hang_snap, NULL);
	assert_int_equal(rig_wait(&a, &snap), 0);
	assert_int_equal(snap, 1);
	assert_int_equal(rows("1"), 1);
}

static void a_resent_one_waits_after_long(void **state)
{
	struct rig_answer a;
	int64_t snap;

	fault_reset();
	rig_make(&rig, 1, NULL);
	die_asked("b0", SNAP_CREATING, false);
	forget_answers();
	atomic_store(&fault.hang_snap, "b0");
	rig_up(&rig);
	ask_as(again, 1, "monday", &a);
	wait_for_calls(1);
	atomic_store(&fault.hang_snap, NULL);
	assert_int_equal(rig_wait(&a, &snap), 0);
	assert_int_equal(snap, 1);
}

/* The job was quicker than the kernel. */
static void a_resent_one_finds_it(void **state)
{
	struct rig_answer a;
	int64_t snap;

	fault_reset();
	rig_make(&rig, 1, NULL);
	die_asked("b0", SNAP_CREATING, false);
	forget_answers();
	rig_up(&rig);
	rig_idle(&rig);
	for (int i = 0; i < 2; i++) {
		ask_as(again, 1, "monday", &a);
		assert_int_equal(rig_wait(&a, &snap), 0);
		assert_int_equal(snap, 1);
	}
	ask(1, "monday", &a);
	assert_int_equal(rig_wait(&a, NULL), -EEXIST);
}

static void a_resent_one_finds_what_was_taken(void **state)
{
	struct rig_answer a;

	fault_reset();
	rig_make(&rig, 1, NULL);
	die_asked(NULL, SNAP_AVAILABLE, false);
	rig_up(&rig);
	ask_as(again, 1, "monday", &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
	/* and what has been removed since was taken all the same, but is no more */
	assert_int_equal(rig_unsnap(&rig, 1), 0);
	ask_as(again, 1, "monday", &a);
	assert_int_equal(rig_wait(&a, NULL), -EIO);
	rig_idle(&rig);
	ask_as(again, 1, "monday", &a);
	assert_int_equal(rig_wait(&a, NULL), -EIO);
	assert_non_null(strstr(rig_text, "was not taken: see the file 'history'"));
	assert_int_equal(rows("1"), 0);
}

static void a_resent_one_stays_given_up(void **state)
{
	struct rig_answer a;

	fault_reset();
	rig_make(&rig, 1, NULL);
	die_asked("b0", SNAP_DELETING, true);
	rig_up(&rig);
	ask_as(again, 1, "monday", &a);
	assert_int_equal(rig_wait(&a, NULL), -EIO);
	rig_idle(&rig);
	assert_int_equal(rows("1"), 0);
	/* what was refused is judged again */
	ask_as((struct change_id){ 7, 6, true }, 1, "a@b", &a);
	assert_int_equal(rig_wait(&a, NULL), -EINVAL);
	ask_as((struct change_id){ 7, 6, true }, 1, "tuesday", &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
}

/* Its backend is no longer configured: nobody gets it, and what there may be of it goes when the backend is back. */
static void its_backend_is_lost(void **state)
{
	struct rig_answer a;

	fault_reset();
	rig_make(&rig, 2, NULL);
	rig.conf.backend_count = 1;
	die_asked("b0", SNAP_CREATING, false);
	rig.conf.backends++;
	rig_up(&rig);
	ask_as(again, 1, "monday", &a);
	assert_int_equal(rig_wait(&a, NULL), -EIO);
	assert_int_equal(rows("status = 3 AND name IS NULL"), 1);
	assert_int_equal(rig_sql(&rig, "SELECT kind FROM job"), JOB_UNSNAP);
	rig_recount(&rig);
	rig_down(&rig);
	rig.conf.backends--;
	rig.conf.backend_count = 2;
	rig_up(&rig);
	rig_idle(&rig);
	assert_int_equal(rows("1"), 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_teardown(fn, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(is_given_up),
		TEST(is_given_up_and_fails),
		TEST(is_given_up_at_any_moment),
		TEST(takes_too_long),
		TEST(the_backend_is_down),
		TEST(nothing_waits_behind_them),
		TEST(they_wait_behind_nothing),
		TEST(the_server_ends),
		TEST(another_server_answers),
		TEST(a_resent_one_waits),
		TEST(a_resent_one_waits_after_long),
		TEST(a_resent_one_finds_it),
		TEST(a_resent_one_finds_what_was_taken),
		TEST(a_resent_one_stays_given_up),
		TEST(its_backend_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
