/*
 * Fault loops. For N = 1, 2, …: the N-th point of a driver's calls fails, or the process dies there; then a new start; then
 * nothing may be left over and nothing may be under way. Until an operation has passed untouched.
 */
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rig rig;

static int set_up(void **state)
{
	fault_reset();
	rig_make(&rig, 2,
		"scheduler = { attempts = 2; };\n"
		"types = ( { name = \"fast\"; qos = [ \"total_iops_sec=9\" ]; } );");
	return 0;
}

static int tear_down(void **state)
{
	rig_drop(&rig);
	return 0;
}

/* The only volume there is; 0: none. */
static int64_t only_volume(void)
{
	return rig_sql(&rig, "SELECT coalesce(max(id), 0) FROM volume");
}

/* Whatever happened before: after this start everything is settled, an image belongs to each volume that says so, and after its
 * deletion nothing is left. */
static void settles_and_leaves_nothing(int64_t id)
{
	size_t images;
	int status;

	rig_idle(&rig);
	rig_recount(&rig);
	if (!id)
		id = only_volume();
	status = id ? rig_settle(&rig, id) : -ENOENT;
	images = status == VOL_AVAILABLE || status == VOL_ERROR_EXTENDING;
	if (status == VOL_ERROR_DELETING)
		images = rig_images(&rig) ? 1 : 0; /* it may have failed after its work */
	assert_int_equal(rig_images(&rig), images);
	if (status == VOL_ERROR_DELETING)
		assert_int_equal(rig_purge(&rig, id), 0);
	else if (status >= 0)
		assert_int_equal(rig_delete(&rig, id), 0);
	rig_idle(&rig);
	rig_recount(&rig);
	assert_int_equal(rig_images(&rig), 0);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM volume"), 0);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM job"), 0);
	assert_int_equal(
		rig_sql(&rig, "SELECT total(volumes + size + trash_size) FROM project"), 0);
	assert_int_equal(
		rig_sql(&rig, "SELECT total(in_use + volumes + size + trash_size) FROM type_quota"),
		0);
	assert_int_equal(
		rig_sql(&rig, "SELECT total(volumes + allocated + pending) FROM backend"), 0);
}

typedef int64_t operation(void); /* the volume's row, waited for; 0: gone */

static int64_t create(void)
{
	int64_t id;

	assert_int_equal(rig_create(&rig, "size=1M name=db", &id), 0);
	(void)rig_settle(&rig, id);
	return id;
}

/* With a type: its limits go with each attempt, also with one that a dead server has begun. */
static int64_t create_typed(void)
{
	char qos[FAULT_QOS];
	struct volume v;
	int64_t id;

	assert_int_equal(rig_create(&rig, "size=1M name=db type=fast", &id), 0);
	(void)rig_settle(&rig, id);
	assert_int_equal(view_volume(rig.view, id, &v), 0);
	assert_string_equal(v.type, "fast");
	fault_qos(qos);
	assert_string_equal(qos, "total_iops_sec=9");
	assert_int_equal(rig_extend(&rig, id, 2 << 20), v.status == VOL_AVAILABLE ? 0 : -EBUSY);
	(void)rig_settle(&rig, id);
	return id;
}

static int64_t extend(void)
{
	int64_t id = create();
	int r = rig_extend(&rig, id, 2 << 20);

	assert_true(r == 0 || r == -EBUSY); /* where the creation ended in error */
	(void)rig_settle(&rig, id);
	return id;
}

static int64_t delete (void)
{
	int64_t id = create();

	assert_int_equal(rig_delete(&rig, id), 0);
	(void)rig_settle(&rig, id);
	return id;
}

/* Points that one untouched run passes. */
static long points_of(operation *op)
{
	long n;
	int64_t id;

	fault_reset();
	rig_up(&rig);
	id = op();
	rig_idle(&rig);
	n = atomic_load(&fault.passed);
	assert_int_equal(atomic_load(&fault.fresh), 1);
	settles_and_leaves_nothing(id);
	rig_down(&rig);
	return n;
}

static void fails_everywhere(operation *op)
{
	long points = points_of(op);

	assert_true(points >= 2);
	for (long n = 1; n <= points; n += rig_stride()) {
		int64_t id;

		fault_reset();
		atomic_store(&fault.fail_at, n);
		rig_up(&rig);
		id = op();
		rig_idle(&rig);
		assert_true(atomic_load(&fault.passed) >= n);
		fault_reset();
		settles_and_leaves_nothing(id);
		rig_down(&rig);
	}
}

enum where {
	AT_POINT,
	AFTER_COMMIT,
};

static void die_in_child(operation *op, enum where where, long n)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		fault_reset();
		atomic_store(where == AT_POINT ? &fault.kill_at : &fault.kill_after, n);
		rig_up(&rig);
		(void)op();
		rig_idle(&rig);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (where == AT_POINT)
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void dies_everywhere(operation *op)
{
	long points = points_of(op);

	for (long n = 1; n <= points; n += rig_stride()) {
		die_in_child(op, AT_POINT, n);
		fault_reset();
		rig_up(&rig);
		settles_and_leaves_nothing(0);
		assert_int_equal(atomic_load(&fault.fresh), 0);
		rig_down(&rig);
	}
}

/* Dies when a change is durable, and nobody has been told. How many commits there are differs: they may share one. */
static void dies_after_commits(void **state)
{
	for (long n = 1; n <= 12; n += rig_stride()) {
		die_in_child(delete, AFTER_COMMIT, n);
		fault_reset();
		rig_up(&rig);
		settles_and_leaves_nothing(0);
		rig_down(&rig);
		die_in_child(extend, AFTER_COMMIT, n);
		fault_reset();
		rig_up(&rig);
		settles_and_leaves_nothing(0);
		rig_down(&rig);
	}
}

/* Dies during the recovery from a death, too. */
static int64_t recover(void)
{
	rig_idle(&rig);
	return 0;
}

static void dies_twice(operation *op)
{
	long points = points_of(op);

	for (long n = 1; n <= points; n += rig_stride()) {
		die_in_child(op, AT_POINT, n);
		die_in_child(recover, AT_POINT, 1);
		fault_reset();
		rig_up(&rig);
		settles_and_leaves_nothing(0);
		rig_down(&rig);
	}
}

static void create_fails(void **state)
{
	fails_everywhere(create);
}

static void create_typed_fails(void **state)
{
	fails_everywhere(create_typed);
}

static void create_typed_dies(void **state)
{
	dies_everywhere(create_typed);
}

static void extend_fails(void **state)
{
	fails_everywhere(extend);
}

static void delete_fails(void **state)
{
	fails_everywhere(delete);
}

static void create_dies(void **state)
{
	dies_everywhere(create);
}

static void extend_dies(void **state)
{
	dies_everywhere(extend);
}

static void delete_dies(void **state)
{
	dies_everywhere(delete);
}

static void create_dies_twice(void **state)
{
	dies_twice(create);
}

/* Undoing fails as well: the attempt's row stays until what it left is gone. */
static void an_attempt_is_cleaned_up_later(void **state)
{
	int64_t id;
	struct volume v;

	rig_up(&rig);
	atomic_store(&fault.refuse, "b0");
	atomic_store(&fault.stick, "b0");
	for (int i = 0; i < 4; i++) {
		char spec[32];

		(void)snprintf(spec, sizeof spec, "size=1M name=v%d", i);
		assert_int_equal(rig_create(&rig, spec, &id), 0);
		assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
		assert_int_equal(view_volume(rig.view, id, &v), 0);
		assert_string_equal(v.backend, "b1");
	}
	assert_true(rig_sql(&rig, "SELECT count(*) FROM job WHERE kind = 4") > 0);
	rig_recount(&rig);
	rig_down(&rig);
	fault_reset();
	rig_up(&rig);
	rig_idle(&rig);
	rig_recount(&rig);
	assert_int_equal(rig_images(&rig), 4);
	rig_down(&rig);
}

/* The disk of the catalogue fills up while an image is made: the result waits until it can be written. */
static void a_result_waits_for_room(void **state)
{
	char small[128], big[160], block[4096] = { 0 };
	int64_t id, other;
	enum vol_status status;
	bool trashed;
	int fd;

	(void)snprintf(small, sizeof small, "%s/small", rig.dir);
	assert_int_equal(mkdir(small, 0700), 0);
	assert_int_equal(mount("volfs-test", small, "tmpfs", 0, "size=2m"), 0);
	free(rig.conf.database);
	assert_true(asprintf(&rig.conf.database, "%s/volfs.db", small) > 0);
	rig_up(&rig);
	assert_int_equal(rig_create(&rig, "size=1M name=other", &other), 0);
	assert_int_equal(rig_settle(&rig, other), VOL_AVAILABLE);
	atomic_store(&fault.delay_us, 300000);
	assert_int_equal(rig_create(&rig, "size=1M name=db", &id), 0);
	(void)snprintf(big, sizeof big, "%s/big", small);
	fd = open(big, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, block, sizeof block) > 0)
		;
	usleep(500000);
	assert_int_equal(view_status(rig.view, id, &status, &trashed), 0);
	assert_int_equal(status, VOL_CREATING);
	assert_int_equal(rig_images(&rig), 2);
	assert_int_equal(rig_create(&rig, "size=1M", NULL), -ENOSPC);
	assert_int_equal(rig_delete(&rig, other), -ENOSPC);
	assert_int_equal(unlink(big), 0);
	close(fd);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	atomic_store(&fault.delay_us, 0);
	assert_int_equal(rig_delete(&rig, other), 0);
	rig_idle(&rig);
	rig_recount(&rig);
	assert_int_equal(rig_images(&rig), 1);
	rig_down(&rig);
	assert_int_equal(umount(small), 0);
}

/* Kill at random instants, under eight writers that create, extend and delete. */
static void *writer(void *arg)
{
	int64_t id;

	for (unsigned i = 0;; i++) {
		if (rig_create(&rig, "size=1M", &id) < 0)
			continue;
		(void)rig_settle(&rig, id);
		(void)rig_extend(&rig, id, 2 << 20);
		if (i % 2)
			(void)rig_delete(&rig, id);
	}
	return NULL;
}

static void killed_at_random(void **state)
{
	for (int round = 0; round < 12; round++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			rig_up(&rig);
			for (int i = 0; i < 8; i++) {
				pthread_t t;

				pthread_create(&t, NULL, writer, NULL);
			}
			pause();
		}
		usleep(30000 + (unsigned)(rand() % 200000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	rig_up(&rig);
	rig_idle(&rig);
	rig_recount(&rig);
	assert_true(rig_sql(&rig, "SELECT count(*) FROM volume") > 0);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM volume WHERE status <> 2"), 0);
	assert_int_equal(rig_images(&rig), rig_sql(&rig, "SELECT count(*) FROM volume"));
	rig_down(&rig);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(create_fails),
		TEST(create_typed_fails),
		TEST(extend_fails),
		TEST(delete_fails),
		TEST(create_dies),
		TEST(create_typed_dies),
		TEST(extend_dies),
		TEST(delete_dies),
		TEST(create_dies_twice),
		TEST(dies_after_commits),
		TEST(an_attempt_is_cleaned_up_later),
		TEST(a_result_waits_for_room),
		TEST(killed_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
