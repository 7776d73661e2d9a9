/* Back to the latest snapshot; and the fault loops of all that is done with snapshots. */
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
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

static int tear_down(void **state)
{
	fault_reset();
	rig_idle(&rig);
	rig_recount(&rig);
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

static int64_t taken(int64_t volume, const char *name)
{
	int64_t id;

	if (rig_snapshot(&rig, volume, name, &id) != 0)
		fail_msg("%s: %s", name, rig_text);
	return id;
}

static struct volume row(int64_t id)
{
	struct volume v;

	assert_int_equal(view_volume(rig.view, id, &v), 0);
	return v;
}

static enum snap_status status_of(int64_t snap)
{
	struct snapshot s;

	assert_int_equal(view_snapshot(rig.view, snap, &s), 0);
	return s.status;
}

static int open_image(int64_t id)
{
	char path[512];
	int fd;

	(void)snprintf(
		path, sizeof path, "%s/%s/volume-%s", rig.dir, row(id).backend, row(id).uuid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void put(int64_t id, char c)
{
	int fd = open_image(id);

	assert_int_equal(pwrite(fd, &c, 1, 4711), 1);
	close(fd);
}

static char get(int64_t id)
{
	int fd = open_image(id);
	char c;

	assert_int_equal(pread(fd, &c, 1, 4711), 1);
	close(fd);
	return c;
}

static void refused(int64_t id, const char *name, int code, const char *sentence)
{
	int r = rig_revert(&rig, id, name);

	if (r != code || !strstr(rig_text, sentence))
		fail_msg("%d: %s", r, rig_text);
	assert_int_not_equal(row(id).status, VOL_REVERTING);
}

static void goes_back(void **state)
{
	int64_t id, snap;

	begin(1, NULL);
	id = made("size=1M name=db");
	put(id, 'a');
	snap = taken(id, "monday");
	put(id, 'b');
	atomic_store(&fault.hang_snap, "b0");
	assert_int_equal(rig_revert(&rig, id, "monday"), 0);
	assert_int_equal(row(id).status, VOL_REVERTING);
	assert_int_equal(status_of(snap), SNAP_RESTORING);
	assert_int_equal(rig_unsnap(&rig, snap), -EBUSY);
	assert_string_equal(rig_text, "snapshot 'monday' is restoring");
	assert_int_equal(rig_snapshot(&rig, id, "x", NULL), -EBUSY);
	assert_int_equal(rig_delete(&rig, id), -EBUSY);
	assert_int_equal(rig_extend(&rig, id, 2 << 20), -EBUSY);
	rig_recount(&rig);
	atomic_store(&fault.hang_snap, NULL);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(status_of(snap), SNAP_AVAILABLE);
	assert_int_equal(get(id), 'a');
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM event WHERE line->>'event' = "
				       "'volume.revert.end' AND line->>'snapshot' = 'monday'"),
		1);
	/* once more, and to another one when that is the latest */
	put(id, 'c');
	snap = taken(id, "tuesday");
	refused(id, "monday", -EINVAL,
		"snapshot 'monday' is not the latest of volume 'db': that is 'tuesday'");
	assert_int_equal(rig_unsnap(&rig, snap), 0);
	assert_int_equal(rig_revert(&rig, id, "monday"), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(get(id), 'a');
}

static void is_refused(void **state)
{
	char longest[NAME_LEN + 2];
	struct rig_answer a;
	int64_t id, use;

	begin(1, NULL);
	id = made("size=1M name=db");
	refused(id, "monday", -ENOENT, "volume 'db' has no snapshot 'monday'");
	refused(id, "", -ENOENT, "volume 'db' has no snapshot ''");
	memset(longest, 'a', NAME_LEN + 1);
	longest[NAME_LEN + 1] = '\0';
	refused(id, longest, -EINVAL, "no snapshot has so long a name");
	assert_int_equal(rig_revert(&rig, 4711, "monday"), -ENOENT);
	(void)taken(id, "monday");

	rig_begin(&a);
	engine_attach(rig.engine, no_id, &rig.who, id, "vm", rig_done, &a);
	assert_int_equal(rig_wait(&a, &use), 0);
	refused(id, "monday", -EBUSY, "volume 'db' is attached as 'vm' to host ");
	rig_begin(&a);
	engine_detach(rig.engine, no_id, &rig.who, use, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
	rig_begin(&a);
	engine_data_open(rig.engine, no_id, &rig.who, id, 99, false, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
	refused(id, "monday", -EBUSY, "volume 'db' is open for reading by uid 0, pid ");
	rig_begin(&a);
	engine_data_closed(rig.engine, id, 99, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);

	assert_int_equal(rig_extend(&rig, id, 2 << 20), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	refused(id, "monday", -EINVAL, "volume 'db' has 2M now, and had 1M in snapshot 'monday'");
}

/* A volume is made from it: it stays as it is until then. */
static void the_source_stays(void **state)
{
	int64_t id, snap, copy;

	begin(1, NULL);
	id = made("size=1M name=db");
	put(id, 'a');
	snap = taken(id, "monday");
	put(id, 'b');
	atomic_store(&fault.hang, "b0");
	if (rig_create(&rig, "snapshot=db@monday name=copy", &copy) != 0)
		fail_msg("%s", rig_text);
	assert_int_equal(rig_unsnap(&rig, snap), -EBUSY);
	assert_string_equal(rig_text, "volume 'copy' is being made from it");
	refused(id, "monday", -EBUSY, "volume 'copy' is being made from it");
	assert_int_equal(rig_delete(&rig, id), -ENOTEMPTY);
	assert_string_equal(rig_text, "volume 'db' has 1 snapshot: remove it first");
	atomic_store(&fault.hang, NULL);
	assert_int_equal(rig_settle(&rig, copy), VOL_AVAILABLE);
	assert_int_equal(get(copy), 'a');
	(void)taken(id, "tuesday");
	assert_int_equal(rig_delete(&rig, id), -ENOTEMPTY);
	assert_string_equal(rig_text, "volume 'db' has 2 snapshots: remove them first");
	assert_int_equal(rig_unsnap(&rig, snap), 0);
	assert_int_equal(rig_revert(&rig, id, "tuesday"), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(get(id), 'b');
}

/* It is nobody's any more, but its driver still reads the bytes. */
static void a_snapshot_given_up_keeps_it(void **state)
{
	struct rig_answer a;
	int64_t id;

	begin(1, NULL);
	id = made("size=1M name=db");
	put(id, 'a');
	(void)taken(id, "monday");
	put(id, 'b');
	atomic_store(&fault.hang_snap, "b0");
	rig_begin(&a);
	engine_snapshot(rig.engine, no_id, &rig.who, id, "tuesday", rig_done, &a);
	for (int i = 0; i < 5000 && !atomic_load(&fault.snapping); i++)
		usleep(1000);
	engine_snapshot_give_up(rig.engine, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), -EINTR);
	refused(id, "monday", -EBUSY, "a snapshot of volume 'db' is still being taken");
	atomic_store(&fault.hang_snap, NULL);
	rig_idle(&rig);
	assert_int_equal(rig_revert(&rig, id, "monday"), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(get(id), 'a');
}

static void a_program_outside_keeps_it(void **state)
{
	int64_t id;

	fault_reset();
	rig_make(&rig, 1, NULL);
	rig.driver = &driver_watched;
	rig_up(&rig);
	id = made("size=1M name=db");
	(void)taken(id, "monday");
	atomic_store(&fault.outside, "b0");
	refused(id, "monday", -EBUSY, "volume 'db' is open by a program outside");
	assert_int_equal(atomic_load(&fault.asked), 1);
	atomic_store(&fault.outside, NULL);
	assert_int_equal(rig_revert(&rig, id, "monday"), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(atomic_load(&fault.reverted), 1);
}

static int holds(void *arg, const void *be, const char *uuid)
{
	return -EBUSY;
}

static void a_failure_is_an_error(void **state)
{
	int64_t id, snap;

	begin(1, NULL);
	id = made("size=1M name=db");
	snap = taken(id, "monday");
	atomic_store(&fault.refuse_snap, "b0");
	assert_int_equal(rig_revert(&rig, id, "monday"), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_ERROR);
	assert_string_equal(row(id).reason, "b0: cannot be reverted to 'monday': no way back");
	assert_int_equal(status_of(snap), SNAP_AVAILABLE);
	refused(id, "monday", -EBUSY, "volume 'db' is error");
	fault_reset();
	rig_idle(&rig);
	id = made("size=1M name=web");
	(void)taken(id, "monday");
	engine_on_remove(rig.engine, holds, NULL);
	assert_int_equal(rig_revert(&rig, id, "monday"), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_ERROR);
	assert_non_null(strstr(row(id).reason, "its bytes are still in use here"));
	assert_int_equal(atomic_load(&fault.reverted), 0);
}

/* So many at a time, the others wait; how far each is can be seen. */
static void copies_at_a_time(void **state)
{
	uint64_t done, total;
	const char *what;
	int64_t id[6];
	struct volume v;
	int shown = 0;

	begin(1, "copies = 2;");
	for (int i = 0; i < 6; i++) {
		id[i] = made("size=1M");
		(void)taken(id[i], "monday");
	}
	v = row(id[0]);
	assert_false(engine_progress(rig.engine, &v, &done, &total, &what));
	atomic_store(&fault.most_snapping, 0);
	atomic_store(&fault.progress, 37);
	atomic_store(&fault.hang_snap, "b0");
	for (int i = 0; i < 6; i++)
		assert_int_equal(rig_revert(&rig, id[i], "monday"), 0);
	for (int i = 0; i < 5000 && atomic_load(&fault.snapping) < 2; i++)
		usleep(1000);
	for (int i = 0; i < 6; i++) {
		v = row(id[i]);
		if (!engine_progress(rig.engine, &v, &done, &total, &what))
			continue;
		shown++;
		assert_int_equal(done, 37);
		assert_int_equal(total, 100);
		assert_string_equal(what, "revert");
	}
	assert_int_equal(shown, 2);
	(void)made("size=1M"); /* and a creation does not */
	atomic_store(&fault.hang_snap, NULL);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(rig_settle(&rig, id[i]), VOL_AVAILABLE);
		v = row(id[i]);
		assert_false(engine_progress(rig.engine, &v, &done, &total, &what));
	}
	assert_int_equal(atomic_load(&fault.most_snapping), 2);
}

static void its_backend_is_lost(void **state)
{
	int64_t id;
	pid_t pid;
	int status;

	fault_reset();
	rig_make(&rig, 2, NULL);
	rig.conf.backend_count = 1;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		rig_up(&rig);
		id = made("size=1M name=db");
		(void)taken(id, "monday");
		atomic_store(&fault.hang_snap, "b0");
		(void)rig_revert(&rig, id, "monday");
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	rig.conf.backends++;
	rig_up(&rig);
	assert_int_equal(rig_settle(&rig, 1), VOL_ERROR);
	assert_string_equal(row(1).reason, "backend 'b0' is not configured any more");
	assert_int_equal(status_of(1), SNAP_AVAILABLE);
	rig_idle(&rig);
	rig_recount(&rig);
	rig_down(&rig);
	rig.conf.backends--;
	rig.conf.backend_count = 2;
	rig_up(&rig);
}

/* --- fault loops --- */

/* A volume with 'b' in it and 'a' in its snapshot; the operation goes on from there. */
static int64_t prepare(void)
{
	int64_t id, snap;

	if (rig_create(&rig, "size=1M name=db", &id) < 0 || rig_settle(&rig, id) != VOL_AVAILABLE)
		return 0;
	put(id, 'a');
	if (rig_snapshot(&rig, id, "monday", &snap) == 0)
		put(id, 'b');
	return id;
}

typedef void operation(void);

static void take_and_remove(void)
{
	int64_t id = prepare(), snap;

	if (id && rig_snapshot(&rig, id, "tuesday", &snap) == 0)
		(void)rig_unsnap(&rig, snap);
	rig_idle(&rig);
}

static void revert(void)
{
	int64_t id = prepare();

	if (id)
		(void)rig_revert(&rig, id, "monday");
	rig_idle(&rig);
}

/* Whatever happened: a snapshot that can be seen is there and one that cannot is not; all can be removed. */
static void settles_and_leaves_nothing(void)
{
	int64_t id, snap;
	int status;

	rig_idle(&rig);
	rig_recount(&rig);
	assert_int_equal(
		rig_sql(&rig, "SELECT count(*) FROM snapshot WHERE status IN (0, 2, 3)"), 0);
	id = rig_sql(&rig, "SELECT coalesce(max(id), 0) FROM volume");
	status = id ? rig_settle(&rig, id) : -ENOENT;
	if (status == VOL_AVAILABLE && rig_revert(&rig, id, "monday") == 0) {
		assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
		assert_int_equal(get(id), 'a');
	}
	while ((snap = rig_sql(&rig, "SELECT coalesce(max(id), 0) FROM snapshot"))) {
		assert_int_equal(rig_unsnap(&rig, snap), 0);
		rig_idle(&rig);
	}
	assert_int_equal(rig_snapshots(&rig), 0);
	if (status >= 0)
		assert_int_equal(rig_delete(&rig, id), 0);
	rig_idle(&rig);
	rig_recount(&rig);
	assert_int_equal(rig_images(&rig), 0);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM volume"), 0);
	assert_int_equal(rig_sql(&rig, "SELECT total(snapshots + size) FROM project"), 0);
}

static long points_of(operation *op)
{
	long n;

	fault_reset();
	rig_up(&rig);
	op();
	n = atomic_load(&fault.passed);
	settles_and_leaves_nothing();
	rig_down(&rig);
	return n;
}

static void fails_everywhere(operation *op)
{
	long points = points_of(op);

	assert_true(points >= 6);
	for (long n = 1; n <= points; n += rig_stride()) {
		fault_reset();
		atomic_store(&fault.fail_at, n);
		rig_up(&rig);
		op();
		fault_reset();
		settles_and_leaves_nothing();
		rig_down(&rig);
	}
}

static void die_in_child(operation *op, long point, long commit)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		fault_reset();
		atomic_store(&fault.kill_at, point);
		atomic_store(&fault.kill_after, commit);
		rig_up(&rig);
		op();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (point)
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	fault_reset();
}

static void recover(void)
{
	rig_idle(&rig);
}

static void dies_everywhere(operation *op, bool twice)
{
	long points = points_of(op);

	for (long n = 1; n <= points; n += rig_stride()) {
		die_in_child(op, n, 0);
		if (twice)
			die_in_child(recover, 0, 1);
		rig_up(&rig);
		settles_and_leaves_nothing();
		rig_down(&rig);
	}
}

static void dies_after_commits(operation *op)
{
	for (long n = 1; n <= 12; n += rig_stride()) {
		die_in_child(op, 0, n);
		rig_up(&rig);
		settles_and_leaves_nothing();
		rig_down(&rig);
	}
}

static int set_up_loop(void **state)
{
	fault_reset();
	rig_make(&rig, 1, NULL);
	return 0;
}

static int tear_down_loop(void **state)
{
	rig_drop(&rig);
	return 0;
}

static void taking_fails(void **state)
{
	fails_everywhere(take_and_remove);
}

static void taking_dies(void **state)
{
	dies_everywhere(take_and_remove, false);
}

static void taking_dies_twice(void **state)
{
	dies_everywhere(take_and_remove, true);
}

static void taking_dies_after_commits(void **state)
{
	dies_after_commits(take_and_remove);
}

static void revert_fails(void **state)
{
	fails_everywhere(revert);
}

static void revert_dies(void **state)
{
	dies_everywhere(revert, false);
}

static void revert_dies_twice(void **state)
{
	dies_everywhere(revert, true);
}

static void revert_dies_after_commits(void **state)
{
	dies_after_commits(revert);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_teardown(fn, tear_down)
#define LOOP(fn) cmocka_unit_test_setup_teardown(fn, set_up_loop, tear_down_loop)
	const struct CMUnitTest tests[] = {
		TEST(goes_back),
		TEST(is_refused),
		TEST(the_source_stays),
		TEST(a_snapshot_given_up_keeps_it),
		TEST(a_program_outside_keeps_it),
		TEST(a_failure_is_an_error),
		TEST(copies_at_a_time),
		TEST(its_backend_is_lost),
		LOOP(taking_fails),
		LOOP(taking_dies),
		LOOP(taking_dies_twice),
		LOOP(taking_dies_after_commits),
		LOOP(revert_fails),
		LOOP(revert_dies),
		LOOP(revert_dies_twice),
		LOOP(revert_dies_after_commits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
