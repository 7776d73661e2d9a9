/*
 * Fault loops of what is made from something. For N = 1, 2, …: the N-th point of the drivers' calls fails, or the process dies there; then
 * a new start; then the new volume is there with all of its source's bytes, or it is not and left nothing, and nothing holds the source.
 */
#include "tests/lib/driver_clone.h"
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20, SIZE = 4 * MIB };

static struct rig rig;
static bool is_up;

/* A way to make a volume. */
struct way {
	const struct driver *(*driver)(void);
	const char *spec;
	bool flatten;
	bool elsewhere; /* on b1; else there is nothing but b0 */
};

static const struct way ways[] = {
	{ driver_clone, "name=copy source=db", false, false },
	{ driver_clone, "name=copy snapshot=db@monday size=6M", false, false },
	{ driver_clone, "name=copy source=db", true, false },
	{ driver_clone, "name=copy snapshot=db@monday size=6M", true, false },
	{ driver_clone, "name=copy source=db zone=b", false, true },
	{ driver_clone, "name=copy snapshot=db@monday size=6M zone=b", false, true },
	{ driver_copies, "name=copy source=db", false, false },
	{ driver_copies, "name=copy snapshot=db@monday size=6M", false, false },
};

static void up(const struct way *w)
{
	rig.driver = w->driver();
	rig_up(&rig);
	is_up = true;
}

static void down(void)
{
	rig_down(&rig);
	is_up = false;
}

static int tear_down(void **state)
{
	clone_fault_reset();
	if (is_up)
		down();
	rig_drop(&rig);
	return 0;
}

static int64_t by_name(const char *name)
{
	struct vol_entry e;

	return view_entry_by_name(rig.view, name, &e) == 0 ? e.id : 0;
}

static struct volume row(int64_t id)
{
	struct volume v;

	assert_int_equal(view_volume(rig.view, id, &v), 0);
	return v;
}

static int open_image(int64_t id)
{
	struct volume v = row(id);
	char path[512];
	int fd;

	(void)snprintf(path, sizeof path, "%s/%s/volume-%s", rig.dir, v.backend, v.uuid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

enum { BLOCK = 64 << 10, BLOCKS = 32 };

/* Two blocks; the rest are holes. */
static unsigned char pattern(off_t at)
{
	return (unsigned char)(at / BLOCK % BLOCKS ? 0 : 1 + at % 250);
}

static void write_pattern(int64_t id)
{
	unsigned char *block = malloc(BLOCK);
	int fd = open_image(id);

	assert_non_null(block);
	for (off_t at = 0; at < SIZE; at += BLOCK * BLOCKS) {
		for (off_t i = 0; i < BLOCK; i++)
			block[i] = pattern(at + i);
		assert_int_equal(pwrite(fd, block, BLOCK, at), BLOCK);
	}
	close(fd);
	free(block);
}

static void has_pattern(int64_t id)
{
	uint64_t size = row(id).size;
	unsigned char *all = malloc(size);
	int fd = open_image(id);

	assert_non_null(all);
	assert_int_equal(pread(fd, all, size, 0), (ssize_t)size);
	for (uint64_t i = 0; i < size; i++)
		if (all[i] != (i < SIZE ? pattern((off_t)i) : 0))
			fail_msg("byte %llu is %u", (unsigned long long)i, all[i]);
	close(fd);
	free(all);
}

/* The source, and a snapshot of it, without any fault. */
static void prepare(const struct way *w)
{
	static const char *const apart[] = { "zone = \"a\";", "zone = \"b\";" };
	static const char *const flat[] = { "zone = \"a\"; flatten = true;" };
	int64_t db;

	clone_fault_reset();
	rig_make_of(&rig, w->elsewhere ? 2 : 1,
		"clone_in_same_zone = false; default_zone = \"a\"; scheduler = { attempts = 2; };",
		w->flatten ? flat : apart);
	up(w);
	assert_int_equal(rig_create(&rig, "size=4M name=db", &db), 0);
	assert_int_equal(rig_settle(&rig, db), VOL_AVAILABLE);
	write_pattern(db);
	assert_int_equal(rig_snapshot(&rig, db, "monday", NULL), 0);
	rig_idle(&rig);
	fault_reset();
}

static void make(const struct way *w)
{
	int64_t id;

	assert_int_equal(rig_create(&rig, w->spec, &id), 0);
	(void)rig_settle(&rig, id);
	rig_idle(&rig);
}

static void is_gone(int64_t id)
{
	if (id) {
		assert_int_equal(rig_delete(&rig, id), 0);
		rig_idle(&rig);
	}
}

static void settles_and_leaves_nothing(const struct way *w, bool source_first)
{
	int64_t db, copy;
	struct snapshot s;
	bool made;

	rig_idle(&rig);
	rig_recount(&rig);
	db = by_name("db");
	copy = by_name("copy");
	made = copy && rig_settle(&rig, copy) == VOL_AVAILABLE;
	assert_int_equal(rig_images(&rig), made ? 2 : 1);
	assert_int_equal(rig_snapshots(&rig), 1); /* monday */
	has_pattern(db);
	if (made)
		has_pattern(copy);
	assert_int_equal(view_snapshot_by_name(rig.view, db, "monday", &s), 0);
	assert_int_equal(rig_unsnap(&rig, s.id), 0);
	rig_idle(&rig);
	if (source_first) {
		/* its image stays as long as the clone needs it, and its job with it */
		assert_int_equal(rig_delete(&rig, db), 0);
		(void)rig_settle(&rig, db);
		if (made)
			has_pattern(copy);
		if (copy)
			assert_int_equal(rig_delete(&rig, copy), 0);
	} else {
		is_gone(copy);
		is_gone(db);
	}
	rig_idle(&rig);
	rig_recount(&rig);
	assert_int_equal(rig_images(&rig), 0);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM volume"), 0);
	assert_int_equal(
		rig_sql(&rig, "SELECT total(volumes + allocated + pending) FROM backend"), 0);
}

/* Points that an untouched run passes; -1: it went wrong. */
static long points_of(const struct way *w)
{
	long n;

	prepare(w);
	make(w);
	n = atomic_load(&fault.passed);
	assert_int_equal(row(by_name("copy")).status, VOL_AVAILABLE);
	settles_and_leaves_nothing(w, true);
	tear_down(NULL);
	return n;
}

static void fails_everywhere(void **state)
{
	for (size_t i = 0; i < COUNT(ways); i++) {
		long points = points_of(&ways[i]);

		assert_true(points >= 2);
		for (long n = 1; n <= points; n += rig_stride()) {
			prepare(&ways[i]);
			atomic_store(&fault.fail_at, n);
			make(&ways[i]);
			assert_true(atomic_load(&fault.passed) >= n);
			fault_reset();
			settles_and_leaves_nothing(&ways[i], n % 2);
			tear_down(NULL);
		}
	}
	rig_make(&rig, 1, NULL); /* for tear_down() */
}

static void die_in_child(const struct way *w, _Atomic long *when, long n)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		clone_fault_reset();
		atomic_store(when, n);
		up(w);
		make(w);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void dies(const struct way *w, _Atomic long *when, long n)
{
	prepare(w);
	down();
	die_in_child(w, when, n);
	clone_fault_reset();
	up(w);
	settles_and_leaves_nothing(w, n % 2);
	tear_down(NULL);
}

static void dies_everywhere(void **state)
{
	for (size_t i = 0; i < COUNT(ways); i++) {
		long points = points_of(&ways[i]);

		for (long n = 1; n <= points; n += rig_stride())
			dies(&ways[i], &fault.kill_at, n);
	}
	rig_make(&rig, 1, NULL);
}

static void dies_after_commits(void **state)
{
	for (size_t i = 0; i < COUNT(ways); i++)
		for (long n = 1; n <= 4; n++)
			dies(&ways[i], &fault.kill_after, n);
	rig_make(&rig, 1, NULL);
}

/* What cannot be undone yet is cleaned later, and needs its source until then; the volume does not. */
static void an_attempt_is_cleaned_up_later(void **state)
{
	const struct way *w = &ways[0];
	int64_t db, copy;

	prepare(w);
	atomic_store(&fault.fail_at, 2); /* after the clone was made */
	atomic_store(&fault.stick, "b0");
	assert_int_equal(rig_create(&rig, w->spec, &copy), 0);
	assert_int_equal(rig_settle(&rig, copy), VOL_ERROR);
	db = by_name("db");
	assert_int_equal(row(copy).parent, 0);
	assert_int_equal(rig_sql(&rig, "SELECT parent FROM job WHERE kind = 4"), db);
	fault_reset();
	settles_and_leaves_nothing(w, true);
}

/* --- deletes and clones on one source --- */

struct racer {
	pthread_t thread;
	const char *spec;
	int64_t id;
	int code;
};

static void *race_delete(void *arg)
{
	struct racer *r = arg;

	r->code = rig_delete(&rig, r->id);
	return NULL;
}

static void *race_clone(void *arg)
{
	struct racer *r = arg;

	r->code = rig_create(&rig, r->spec, &r->id);
	return NULL;
}

static void one_race(int round)
{
	struct racer d = { 0 }, c[2] = { { .spec = "name=copy source=db" },
		{ .spec = "name=other source=db zone=b" } };

	assert_int_equal(rig_create(&rig, "size=4M name=db", &d.id), 0);
	assert_int_equal(rig_settle(&rig, d.id), VOL_AVAILABLE);
	write_pattern(d.id);
	for (int i = 0; i < 2; i++)
		pthread_create(&c[i].thread, NULL, race_clone, &c[i]);
	usleep((unsigned)(round % 10) * 200);
	pthread_create(&d.thread, NULL, race_delete, &d);
	pthread_join(d.thread, NULL);
	assert_true(d.code == 0 || d.code == -EBUSY);
	for (int i = 0; i < 2; i++) {
		pthread_join(c[i].thread, NULL);
		assert_true(c[i].code == 0 || c[i].code == -ENOENT || c[i].code == -EBUSY);
		if (c[i].code < 0)
			continue;
		assert_int_equal(rig_settle(&rig, c[i].id), VOL_AVAILABLE);
		has_pattern(c[i].id);
	}
	for (int i = 0; i < 2; i++)
		if (c[i].code == 0)
			assert_int_equal(rig_delete(&rig, c[i].id), 0);
	if (d.code < 0)
		assert_int_equal(rig_delete(&rig, d.id), 0);
	rig_idle(&rig);
	assert_int_equal(rig_images(&rig), 0);
	assert_int_equal(rig_snapshots(&rig), 0);
}

static void deletes_and_clones_race(void **state)
{
	static const char *const apart[] = { "zone = \"a\";", "zone = \"b\";" };
	int rounds = getenv("VOLFS_TEST_SANITIZED") ? 30 : 100;

	clone_fault_reset();
	rig_make_of(&rig, 2, "clone_in_same_zone = false; default_zone = \"a\";", apart);
	up(&ways[0]);
	for (int round = 0; round < rounds; round++)
		one_race(round);
	rig_recount(&rig);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_teardown(fn, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(fails_everywhere),
		TEST(dies_everywhere),
		TEST(dies_after_commits),
		TEST(an_attempt_is_cleaned_up_later),
		TEST(deletes_and_clones_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
