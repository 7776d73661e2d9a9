/* The local driver on a directory of its own; the conformance tests of all drivers are elsewhere.
 */
#include "driver.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static char dir[64], name[] = "disk", path_of[200];
static struct backend_conf conf;
static void *be;

static int set_up(void **state)
{
	strcpy(dir, "/tmp/volfs-local-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	conf = (struct backend_conf){ .name = name, .path = dir };
	return driver_local.open(&conf, &be, NULL);
}

static int tear_down(void **state)
{
	char command[100];

	driver_local.close(be);
	(void)snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

static struct driver_image image(int i)
{
	struct driver_image im = { .image_id = "0123456789abcd", .size = 8 * MIB };

	(void)snprintf(im.uuid, sizeof im.uuid, "00000000-0000-0000-0000-%012d", i);
	return im;
}

static const char *path(const struct driver_image *im)
{
	(void)snprintf(path_of, sizeof path_of, "%s/volume-%s", dir, im->uuid);
	return path_of;
}

static int create(const struct driver_image *im, struct err *err)
{
	struct driver_create c = { .image = *im, .code = 99 };

	driver_local.create(be, &c, 1);
	if (err)
		*err = c.err;
	return c.code;
}

static size_t entries(void)
{
	struct dirent **list;
	int n = scandir(dir, &list, NULL, NULL);

	for (int i = 0; i < n; i++)
		free(list[i]);
	free(list);
	return (size_t)n - 2; /* . and .. */
}

static void an_image_is_a_sparse_file(void **state)
{
	struct driver_image im = image(1);
	uint64_t used = 99;
	struct stat st;

	im.size = UINT64_C(1) << 40;
	assert_int_equal(create(&im, NULL), 0);
	assert_int_equal(stat(path(&im), &st), 0);
	assert_int_equal(st.st_size, im.size);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(driver_local.used(be, &im, &used, NULL), 0);
	assert_true(used < MIB);
	assert_int_equal(entries(), 1);
	assert_int_equal(create(&im, NULL), 0); /* an earlier try had finished */
	assert_int_equal(driver_local.remove(be, &im, NULL), 0);
	assert_int_equal(driver_local.remove(be, &im, NULL), 0);
	assert_int_equal(entries(), 0);
}

static void each_of_a_batch_has_its_own_result(void **state)
{
	enum { N = 100 }; /* more than the driver takes at once */
	static struct driver_create each[N];
	struct driver_image other = image(7);

	other.size = MIB;
	assert_int_equal(create(&other, NULL), 0);
	for (int i = 0; i < N; i++)
		each[i] = (struct driver_create){ .image = image(i), .code = 99 };
	driver_local.create(be, each, N);
	for (int i = 0; i < N; i++)
		assert_int_equal(each[i].code, i == 7 ? -EEXIST : 0);
	assert_non_null(strstr(each[7].err.text, "is there already and has 1048576 bytes"));
	assert_int_equal(entries(), N);
	for (int i = 0; i < N; i++)
		assert_int_equal(driver_local.remove(be, &each[i].image, NULL), 0);
	assert_int_equal(entries(), 0);
}

static void images_only_grow(void **state)
{
	struct driver_image im = image(1);
	struct err err = { 0 };
	struct stat st;

	assert_int_equal(driver_local.resize(be, &im, 16 * MIB, &err), -ENOENT);
	assert_int_equal(create(&im, NULL), 0);
	assert_int_equal(driver_local.resize(be, &im, 16 * MIB, NULL), 0);
	assert_int_equal(driver_local.resize(be, &im, 16 * MIB, NULL), 0);
	assert_int_equal(driver_local.resize(be, &im, 8 * MIB, &err), -EINVAL);
	assert_non_null(strstr(err.text, "only grow"));
	assert_int_equal(stat(path(&im), &st), 0);
	assert_int_equal(st.st_size, 16 * MIB);
}

static void an_open_image_is_not_removed(void **state)
{
	struct driver_image im = image(1);
	struct err err = { 0 };
	int fd;

	assert_int_equal(create(&im, NULL), 0);
	fd = open(path(&im), O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(driver_local.remove(be, &im, &err), -EBUSY);
	close(fd);
	fd = open(path(&im), O_RDONLY);
	assert_int_equal(driver_local.remove(be, &im, &err), -EBUSY);
	close(fd);
	assert_int_equal(driver_local.remove(be, &im, NULL), 0);
}

static void links_are_not_followed(void **state)
{
	struct driver_image im = image(1);
	char outside[] = "/tmp/volfs-outside-XXXXXX";
	struct err err = { 0 };
	uint64_t used;
	struct stat st;
	int fd = mkstemp(outside);

	assert_true(fd >= 0);
	assert_int_equal(symlink(outside, path(&im)), 0);
	assert_int_equal(create(&im, &err), -EINVAL);
	assert_int_equal(driver_local.resize(be, &im, 16 * MIB, NULL), -ELOOP);
	assert_int_equal(driver_local.used(be, &im, &used, NULL), -EINVAL);
	assert_int_equal(driver_local.remove(be, &im, NULL), 0); /* the link itself */
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(st.st_nlink, 1);
	close(fd);
	unlink(outside);
}

static void a_directory_that_is_not_there_is_down(void **state)
{
	struct driver_image im = image(1);
	struct backend_stats stats;
	struct err err = { 0 };

	assert_int_equal(driver_local.stat(be, &stats, NULL), 0);
	assert_true(stats.total > 0 && stats.free <= stats.total);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(driver_local.stat(be, &stats, &err), -ENOENT);
	assert_non_null(strstr(err.text, dir));
	assert_int_equal(create(&im, &err), -ENOENT);
	assert_int_equal(close(open(dir, O_WRONLY | O_CREAT, 0600)), 0);
	assert_int_equal(driver_local.stat(be, &stats, &err), -ENOTDIR);
	assert_int_equal(driver_local.remove(be, &im, &err), -ENOTDIR);
}

static void bad_paths_do_not_open(void **state)
{
	char relative[] = "disk";
	struct backend_conf bad = { .name = name, .path = relative };
	void *ret = NULL;

	assert_int_equal(driver_local.open(&bad, &ret, NULL), -EINVAL);
	bad.path = NULL;
	assert_int_equal(driver_local.open(&bad, &ret, NULL), -EINVAL);
	assert_null(ret);
}

static void a_connection_is_lines(void **state)
{
	struct driver_image im = image(1);
	struct buf out = { 0 };
	char want[500];

	driver_local.connection(be, &im, &out);
	(void)snprintf(
		want, sizeof want, "path=%s\nformat=raw\nuri=file://%s\n", path(&im), path(&im));
	assert_string_equal(buf_text(&out), want);
	buf_release(&out);
}

/* A child that dies before its n-th change: 0 when it ended by itself. */
static bool dies_in(long n, void (*work)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		conf.crash_at = n;
		(void)driver_local.open(&conf, &be, NULL);
		work();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status);
}

static void create_three(void)
{
	struct driver_create each[] = { { .image = image(1) }, { .image = image(2) },
		{ .image = image(3) } };

	driver_local.create(be, each, 3);
}

static void remove_one(void)
{
	struct driver_image im = image(1);

	(void)driver_local.remove(be, &im, NULL);
}

/* Whatever a killed creation or removal left, doing it again finishes it and removing it clears it.
 */
static void a_crash_anywhere_leaves_nothing_that_stays(void **state)
{
	bool dies = true;
	long n;

	for (n = 1; dies; n++) {
		dies = dies_in(n, create_three);
		if (n % 2)
			create_three();
		for (int i = 1; i <= 3; i++) {
			struct driver_image im = image(i);

			if (n % 2)
				assert_int_equal(access(path(&im), F_OK), 0);
			assert_int_equal(driver_local.remove(be, &im, NULL), 0);
		}
		assert_int_equal(entries(), 0);
	}
	assert_true(n > 10);
	for (n = 1, dies = true; dies; n++) {
		create_three();
		dies = dies_in(n, remove_one);
		remove_one();
		assert_int_equal(entries(), 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_image_is_a_sparse_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			each_of_a_batch_has_its_own_result, set_up, tear_down),
		cmocka_unit_test_setup_teardown(images_only_grow, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_open_image_is_not_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(links_are_not_followed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_directory_that_is_not_there_is_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_paths_do_not_open, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_connection_is_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_crash_anywhere_leaves_nothing_that_stays, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
