/* The catalogue: opening and refusing it, group commit, sums by triggers, a full disk. */
#include "base/clock.h"
#include "store_rig.h"

#include <errno.h>
#include <fcntl.h>

static size_t entries(void)
{
	char command[160];
	FILE *f;
	size_t n = 0;

	(void)snprintf(command, sizeof command, "ls -A %s | wc -l", dir);
	f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%zu", &n), 1);
	(void)pclose(f);
	return n;
}

static unsigned long sum_of_file(void)
{
	unsigned long sum = 5381;
	FILE *f = fopen(path, "r");
	int c;

	assert_non_null(f);
	while ((c = fgetc(f)) != EOF)
		sum = sum * 33 + (unsigned long)c;
	(void)fclose(f);
	return sum;
}

static void put(long at, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), (ssize_t)n);
	close(fd);
}

/* --- opening --- */

static void makes_and_finds_again(void **state)
{
	struct volume v = volume("db");

	up();
	assert_int_equal(change(add_volume, &v), 0);
	down();
	up();
	assert_int_equal(sql("SELECT count(*) FROM volume"), 1);
}

static void refuses_missing_directory(void **state)
{
	assert_int_equal(store_open("/tmp/volfs-nowhere/x/v.db", &defaults, &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, "directory does not exist"));
	assert_null(s);
}

/* A catalogue that was closed in order, to be spoilt. */
static void closed(void)
{
	struct volume v = volume("db");

	up();
	assert_int_equal(change(add_volume, &v), 0);
	down();
	assert_int_equal(entries(), 1);
}

static void refused_untouched(int code, const char *word)
{
	unsigned long before = sum_of_file();

	assert_int_equal(store_open(path, &defaults, &s, &err), code);
	if (!strstr(err.text, word))
		fail_msg("'%s' is not in: %s", word, err.text);
	assert_int_equal(sum_of_file(), before);
	assert_int_equal(entries(), 1);
}

static void refuses_what_is_no_database(void **state)
{
	FILE *f = fopen(path, "w");

	for (int i = 0; i < 1000; i++)
		(void)fputs("this is not a database\n", f);
	(void)fclose(f);
	refused_untouched(-EUCLEAN, "does not begin as a database");
}

static void refuses_another_database(void **state)
{
	assert_int_equal(sql("CREATE TABLE t (a)"), -1);
	refused_untouched(-EUCLEAN, "not a catalogue of volfs");
}

static void refuses_newer_version(void **state)
{
	closed();
	put(60, "\0\0\0\x63", 4);
	refused_untouched(-EPROTO, "newer version (99)");
}

static void refuses_newer_version_in_the_wal(void **state)
{
	sqlite3 *db;

	closed();
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(store_open(path, &defaults, &s, &err), -EPROTO);
	sqlite3_close(db);
}

static void refuses_cut_off(void **state)
{
	closed();
	assert_int_equal(truncate(path, 8192), 0);
	refused_untouched(-EUCLEAN, "cut off");
}

static void refuses_damaged_schema(void **state)
{
	closed();
	put(100, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	refused_untouched(-EUCLEAN, "damaged");
}

static void refuses_damaged_table(void **state)
{
	char page[2048];
	int64_t root;

	closed();
	root = sql("SELECT rootpage FROM sqlite_schema WHERE name = 'volume'");
	memset(page, 0xee, sizeof page);
	put((root - 1) * (long)sizeof page, page, sizeof page);
	refused_untouched(-EUCLEAN, "damaged");
}

static void replaces_a_half_made_one(void **state)
{
	char fresh[160];
	FILE *f;

	(void)snprintf(fresh, sizeof fresh, "%s.new", path);
	f = fopen(fresh, "w");
	(void)fputs("half", f);
	(void)fclose(f);
	up();
	down();
	assert_int_equal(entries(), 1);
}

/* --- changes --- */

static int add_then_fail(struct tx *tx, void *arg, struct err *e)
{
	int r = add_volume(tx, arg, e);

	return r < 0 ? r : err_set(e, -EPERM, "no");
}

static int slow_change(struct tx *tx, void *arg, struct err *e)
{
	usleep(50000);
	return 0;
}

static void a_failed_change_spares_its_neighbours(void **state)
{
	struct volume v[3] = { volume("a"), volume("b"), volume("c") };
	struct one slow, o[3];

	up();
	one_begin(&slow, slow_change, NULL); /* the others gather behind it */
	one_begin(&o[0], add_volume, &v[0]);
	one_begin(&o[1], add_then_fail, &v[1]);
	one_begin(&o[2], add_volume, &v[2]);
	assert_int_equal(one_end(&slow), 0);
	assert_int_equal(one_end(&o[0]), 0);
	assert_int_equal(one_end(&o[1]), -EPERM);
	assert_string_equal(o[1].text, "no");
	assert_int_equal(one_end(&o[2]), 0);
	assert_int_equal(sql("SELECT count(*) FROM volume"), 2);
	assert_int_equal(sql("SELECT volumes FROM project WHERE name = 'p'"), 2);
}

static void names_are_unique_among_the_living(void **state)
{
	struct volume a = volume("db"), b = volume("db"), c = volume(NULL);
	struct view *v;
	struct vol_entry entry;

	up();
	assert_int_equal(change(add_volume, &a), 0);
	assert_int_equal(change(add_volume, &b), -EEXIST);
	assert_int_equal(change(add_volume, &c), 0);
	assert_int_equal(view_open(s, &v, &err), 0);
	assert_int_equal(view_entry_by_name(v, "db", &entry), 0);
	assert_int_equal(entry.id, a.id);
	assert_int_equal(view_entry_by_name(v, "DB", &entry), -ENOENT);
	assert_int_equal(view_entry_by_name(v, c.uuid, &entry), 0);
	assert_string_equal(entry.name, c.uuid);
	assert_int_equal(view_entry_by_name(v, a.uuid, &entry), -ENOENT);
	assert_int_equal(view_entry_by_uuid(v, a.uuid, &entry), 0);
	view_close(v);
}

/* A random walk over everything that the sums depend on. */
static int step(struct tx *tx, void *arg, struct err *e)
{
	static int64_t id[50], job[50];
	static const char *const backend[] = { "", "b", "c" };
	static const char *const project[] = { "p", "q" };
	int i = rand() % 50, r = 0;
	struct volume v;

	if (!id[i]) {
		v = volume(rand() % 2 ? NULL : "");
		(void)snprintf(v.name, sizeof v.name, "%s", v.uuid);
		(void)snprintf(v.backend, sizeof v.backend, "%s", backend[rand() % 3]);
		r = tx_volume_add(tx, &v, false, "", 0);
		id[i] = v.id;
		return r;
	}
	switch (rand() % 8) {
	case 0:
		return tx_volume_place(tx, id[i], backend[rand() % 3], "z", "x");
	case 1:
		return tx_volume_reserve(tx, id[i], (uint64_t)(rand() % 3) << 20);
	case 2:
		return tx_volume_resize(tx, id[i], (uint64_t)(1 + rand() % 9) << 20);
	case 3:
		return tx_volume_owner(tx, id[i], 0700, 1, 1, project[rand() % 2]);
	case 4:
		return tx_volume_trash(tx, id[i], 0);
	case 5:
		r = tx_volume_purge(tx, id[i]);
		id[i] = 0;
		return r;
	case 6:
		if (job[i]) {
			r = rand() % 2 ? tx_job_abandon(tx, job[i]) : tx_job_remove(tx, job[i]);
			job[i] = tx_job(tx, job[i], &(struct job_row){ 0 }) == 0 ? job[i] : 0;
		} else {
			struct job_row j = { .kind = JOB_CREATE + rand() % 4,
				.volume = id[i],
				.backend = 1,
				.project = 1,
				.size = 7 };

			r = tx_job_add(tx, &j);
			job[i] = j.id;
		}
		return r;
	default:
		return tx_volume_status(tx, id[i], VOL_ERROR, "x");
	}
}

static void sums_equal_a_recount(void **state)
{
	up();
	for (int i = 0; i < 3000; i++)
		assert_int_equal(change(step, NULL), 0);
	recount();
	assert_true(sql("SELECT count(*) FROM volume WHERE trashed = 1") > 0);
}

static int set_limit(struct tx *tx, void *arg, struct err *e)
{
	int64_t id;
	int r = tx_project(tx, arg, &id);

	return r < 0 ? r : tx_quota_limit(tx, id, false, QUOTA_VOLUMES, 3);
}

static void limits_come_from_the_nearest(void **state)
{
	struct quota q;
	struct view *v;

	up();
	assert_int_equal(view_open(s, &v, &err), 0);
	assert_int_equal(view_quota_by_name(v, "web", &q), 0);
	assert_int_equal(q.id, 0);
	assert_int_equal(q.max[QUOTA_VOLUMES], 10);
	assert_int_equal(view_quota_by_name(v, "root", &q), 0);
	assert_int_equal(q.max[QUOTA_VOLUMES], SIZE_LIMIT_NONE);
	assert_int_equal(change(set_limit, (void *)"default"), 0);
	assert_int_equal(view_quota_by_name(v, "web", &q), 0);
	assert_int_equal(q.max[QUOTA_VOLUMES], 3);
	assert_int_equal(q.max[QUOTA_SIZE], 1 << 30);
	assert_int_equal(view_quota_by_name(v, "root", &q), 0);
	assert_int_equal(q.max[QUOTA_VOLUMES], SIZE_LIMIT_NONE);
	assert_int_equal(change(set_limit, (void *)"root"), 0);
	assert_int_equal(view_quota_by_name(v, "root", &q), 0);
	assert_int_equal(q.max[QUOTA_VOLUMES], 3);
	view_close(v);
}

static int answer(struct tx *tx, void *arg, struct err *e)
{
	return tx_answer_add(tx, &(struct answer){ 7, 9, 0, 42 });
}

static int find_answer(struct tx *tx, void *arg, struct err *e)
{
	struct answer a;
	int r = tx_answer_find(tx, 7, 9, &a);

	return r < 0 ? r : a.row == 42 ? 0 : -EINVAL;
}

/* Several may be killed in a row before one of them has answered what the kernel sent again. */
static void answers_outlive_servers(void **state)
{
	up();
	assert_int_equal(change(find_answer, NULL), -ENOENT);
	assert_int_equal(change(answer, NULL), 0);
	for (int i = 0; i < 5; i++) {
		down();
		up();
		assert_int_equal(change(find_answer, NULL), 0);
	}
}

/* --- a full disk --- */

static void a_full_disk_loses_nothing(void **state)
{
	struct one o[64];
	struct volume v[64];
	struct view *view;
	struct vol_entry entry;
	int64_t rows = 0;
	char big[160];
	int full = 0, fd;

	if (mount("volfs-test", dir, "tmpfs", 0, "size=1m") < 0)
		fail_msg("mount: %s (tests run as root)", strerror(errno));
	up();
	assert_int_equal(view_open(s, &view, &err), 0);
	for (int round = 0; round < 200 && !full; round++) {
		for (int i = 0; i < 64; i++) {
			v[i] = volume(NULL);
			one_begin(&o[i], add_volume, &v[i]);
		}
		for (int i = 0; i < 64; i++) {
			int r = one_end(&o[i]);

			assert_true(r == 0 || r == -ENOSPC);
			rows += r == 0;
			full += r == -ENOSPC;
		}
	}
	assert_true(full > 0);
	assert_int_equal(view_entries(view, LIST_ALIVE, 0, &entry, 1), 1);
	assert_int_equal(sql("SELECT count(*) FROM volume"), rows);
	/* room again: more of it, since there is nothing in there to delete */
	assert_int_equal(mount("volfs-test", dir, NULL, MS_REMOUNT, "size=8m"), 0);
	v[0] = volume("after");
	assert_int_equal(change(add_volume, &v[0]), 0);
	assert_int_equal(sql("SELECT count(*) FROM volume"), rows + 1);
	view_close(view);
	down();
	/* full to the last byte: it says so, and starts when there is room */
	(void)snprintf(big, sizeof big, "%s/big", dir);
	fd = open(big, O_WRONLY | O_CREAT, 0600);
	while (write(fd, v, sizeof v) > 0)
		;
	while (write(fd, v, 1) > 0)
		;
	close(fd);
	assert_int_equal(store_open(path, &defaults, &s, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "no room"));
	assert_int_equal(unlink(big), 0);
	up();
	v[1] = volume("again");
	assert_int_equal(change(add_volume, &v[1]), 0);
}

static void the_wal_stays_small(void **state)
{
	char wal[160];
	struct stat st;

	up();
	for (int round = 0; round < 100; round++) {
		struct one o[256];
		static struct volume v[256];

		for (int i = 0; i < 256; i++) {
			v[i] = volume(NULL);
			one_begin(&o[i], add_volume, &v[i]);
		}
		for (int i = 0; i < 256; i++)
			assert_int_equal(one_end(&o[i]), 0);
	}
	(void)snprintf(wal, sizeof wal, "%s-wal", path);
	assert_int_equal(stat(wal, &st), 0);
	assert_true(st.st_size < 64 << 20);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_dir, drop_dir)
	const struct CMUnitTest tests[] = {
		TEST(makes_and_finds_again),
		TEST(refuses_missing_directory),
		TEST(refuses_what_is_no_database),
		TEST(refuses_another_database),
		TEST(refuses_newer_version),
		TEST(refuses_newer_version_in_the_wal),
		TEST(refuses_cut_off),
		TEST(refuses_damaged_schema),
		TEST(refuses_damaged_table),
		TEST(replaces_a_half_made_one),
		TEST(a_failed_change_spares_its_neighbours),
		TEST(names_are_unique_among_the_living),
		TEST(sums_equal_a_recount),
		TEST(limits_come_from_the_nearest),
		TEST(answers_outlive_servers),
		TEST(a_full_disk_loses_nothing),
		TEST(the_wal_stays_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
