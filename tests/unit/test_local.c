/* The local driver on a directory of its own; the conformance tests of all drivers are elsewhere.
 */
#include "driver.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
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
	assert_int_equal(driver_local.remove(be, &im, NULL, NULL), 0);
	assert_int_equal(driver_local.remove(be, &im, NULL, NULL), 0);
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
		assert_int_equal(driver_local.remove(be, &each[i].image, NULL, NULL), 0);
	assert_int_equal(entries(), 0);
}

/* Freeing 2 GiB takes a moment, 100 times that seconds. Of a name beside it nothing is taken away. */
static void large_images_are_freed_in_steps(void **state)
{
	struct driver_progress p = { 0 };
	struct driver_image im = image(1);
	char other[300];
	struct stat st;
	int fd;

	im.size = 2048 * MIB;
	for (int linked = 0; linked < 2; linked++) {
		p.total = p.done = 0;
		assert_int_equal(create(&im, NULL), 0);
		fd = open(path(&im), O_WRONLY);
		assert_int_equal(posix_fallocate(fd, 0, (off_t)im.size), 0);
		close(fd);
		(void)snprintf(other, sizeof other, "%s/other", dir);
		assert_int_equal(linked ? link(path(&im), other) : 0, 0);
		assert_int_equal(driver_local.remove(be, &im, &p, NULL), 0);
		assert_true(linked ? p.total == 0 : p.total >= im.size);
		assert_true(linked ? p.done == 0 : p.done > im.size / 2 && p.done <= p.total);
	}
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_size, im.size);
	assert_int_equal(unlink(other), 0);
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
	assert_int_equal(driver_local.remove(be, &im, NULL, &err), -EBUSY);
	close(fd);
	fd = open(path(&im), O_RDONLY);
	assert_int_equal(driver_local.remove(be, &im, NULL, &err), -EBUSY);
	close(fd);
	assert_int_equal(driver_local.remove(be, &im, NULL, NULL), 0);
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
	assert_int_equal(driver_local.remove(be, &im, NULL, NULL), 0); /* the link itself */
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
	assert_int_equal(driver_local.remove(be, &im, NULL, &err), -ENOTDIR);
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

	(void)driver_local.remove(be, &im, NULL, NULL);
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
			assert_int_equal(driver_local.remove(be, &im, NULL, NULL), 0);
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

/* ---- the bytes */

/* What the kernel would do, as the tests want it: at most so many bytes at once, an error after so many calls. */
static struct {
	size_t most;
	int write_errno, punch_errno;
	_Atomic int writes_left, punched;
} kernel;

ssize_t __real_pread64(int fd, void *buf, size_t len, off_t off);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t __real_preadv64v2(int fd, const struct iovec *iov, int n, off_t off, int flags);
int __real_fallocate64(int fd, int mode, off_t off, off_t len);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int n, off_t off, int flags);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);

static size_t at_most(size_t len)
{
	return kernel.most && len > kernel.most ? kernel.most : len;
}

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off)
{
	return __real_pread64(fd, buf, at_most(len), off);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	if (kernel.write_errno && kernel.writes_left-- <= 0) {
		errno = kernel.write_errno;
		return -1;
	}
	return __real_pwrite64(fd, buf, at_most(len), off);
}

ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	struct iovec one = *iov;

	assert_int_equal(n, 1);
	one.iov_len = at_most(one.iov_len);
	return __real_preadv64v2(fd, &one, 1, off, flags);
}

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	if (kernel.punch_errno) {
		errno = kernel.punch_errno;
		return -1;
	}
	kernel.punched++;
	return __real_fallocate64(fd, mode, off, len);
}

/* How many operations have ended, and the first error of them. */
struct ends {
	pthread_mutex_t lock;
	pthread_cond_t change;
	int count, code;
};
#define NO_ENDS                                                                                    \
	{                                                                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER              \
	}

static void ended(void *arg, int code)
{
	struct ends *e = arg;

	pthread_mutex_lock(&e->lock);
	e->count++;
	if (e->code == 0)
		e->code = code;
	pthread_cond_signal(&e->change);
	pthread_mutex_unlock(&e->lock);
}

static int all_ended(struct ends *e, int count)
{
	pthread_mutex_lock(&e->lock);
	while (e->count < count)
		pthread_cond_wait(&e->change, &e->lock);
	pthread_mutex_unlock(&e->lock);
	assert_int_equal(e->count, count);
	return e->code;
}

static int open_data(const struct driver_image *im, bool writable, void **ret)
{
	struct ends e = NO_ENDS;

	driver_local.data_open(be, im, NULL, writable, ret, ended, &e);
	return all_ended(&e, 1);
}

static void close_data(void *data)
{
	struct ends e = NO_ENDS;

	driver_local.data_close(data, ended, &e);
	assert_int_equal(all_ended(&e, 1), 0);
}

static int read_data(void *data, uint64_t off, size_t len, void *buf)
{
	struct ends e = NO_ENDS;

	driver_local.data_read(data, off, len, buf, ended, &e);
	return all_ended(&e, 1);
}

static int write_data(void *data, uint64_t off, size_t len, const void *buf)
{
	struct ends e = NO_ENDS;

	driver_local.data_write(data, off, len, buf, ended, &e);
	return all_ended(&e, 1);
}

static int zero_data(void *data, uint64_t off, uint64_t len)
{
	struct ends e = NO_ENDS;

	driver_local.data_zero(data, off, len, ended, &e);
	return all_ended(&e, 1);
}

static int flush_data(void *data)
{
	struct ends e = NO_ENDS;

	driver_local.data_flush(data, ended, &e);
	return all_ended(&e, 1);
}

static void *data; /* of image(1), writable */
static unsigned char *was, *is;

static int set_up_data(void **state)
{
	struct driver_image im = image(1);

	if (set_up(state) < 0 || create(&im, NULL) < 0)
		return -1;
	memset(&kernel, 0, sizeof kernel);
	was = malloc(8 * MIB);
	is = malloc(8 * MIB);
	for (size_t i = 0; i < 8 * MIB; i++)
		was[i] = (unsigned char)(i * 7 + i / 4096);
	return open_data(&im, true, &data);
}

static int tear_down_data(void **state)
{
	close_data(data);
	free(was);
	free(is);
	return tear_down(state);
}

static bool all_zero(const unsigned char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static void what_was_written_is_read(void **state)
{
	struct driver_image im = image(1);
	void *other;

	assert_int_equal(read_data(data, 0, 8 * MIB, is), 0);
	assert_true(all_zero(is, 8 * MIB));
	assert_int_equal(write_data(data, 0, 8 * MIB, was), 0);
	assert_int_equal(read_data(data, 0, 8 * MIB, is), 0);
	assert_memory_equal(is, was, 8 * MIB);
	assert_int_equal(write_data(data, 8 * MIB - 1, 1, "x"), 0);
	assert_int_equal(flush_data(data), 0);
	assert_int_equal(open_data(&im, false, &other), 0);
	assert_int_equal(read_data(other, 8 * MIB - 3, 3, is), 0);
	assert_memory_equal(is, was + 8 * MIB - 3, 2);
	assert_int_equal(is[2], 'x');
	assert_int_equal(write_data(other, 0, 1, "x"), -EBADF);
	assert_int_equal(flush_data(other), 0);
	assert_int_equal(read_data(other, 0, 0, is), 0);
	assert_int_equal(write_data(data, 0, 0, is), 0);
	close_data(other);
}

static void short_transfers_are_continued(void **state)
{
	kernel.most = 1000;
	assert_int_equal(write_data(data, 1, MIB, was), 0);
	assert_int_equal(read_data(data, 1, MIB, is), 0);
	assert_memory_equal(is, was, MIB);
}

static void errors_are_told(void **state)
{
	struct driver_image im = image(1);

	kernel.most = MIB;
	kernel.write_errno = ENOSPC;
	kernel.writes_left = 2;
	assert_int_equal(write_data(data, 0, 4 * MIB, was), -ENOSPC);
	kernel.write_errno = EIO;
	assert_int_equal(write_data(data, 0, 1, was), -EIO);
	kernel.write_errno = 0;
	kernel.punch_errno = EIO;
	assert_int_equal(zero_data(data, 0, MIB), -EIO);
	assert_int_equal(read_data(data, 0, 2 * MIB, is), 0);
	assert_memory_equal(is, was, 2 * MIB);
	/* a file that somebody has made shorter does not read as zeroes */
	assert_int_equal(truncate(path(&im), MIB), 0);
	assert_int_equal(read_data(data, MIB / 2, MIB, is), -EIO);
}

static void zeroing_gives_back_room(void **state)
{
	struct driver_image im = image(1);
	uint64_t before, after, next;

	assert_int_equal(write_data(data, 0, 8 * MIB, was), 0);
	assert_int_equal(flush_data(data), 0);
	assert_int_equal(driver_local.used(be, &im, &before, NULL), 0);
	assert_true(before >= 8 * MIB);
	assert_int_equal(zero_data(data, MIB, 4 * MIB), 0);
	assert_int_equal(zero_data(data, 6 * MIB + 100, 1000), 0);
	assert_int_equal(zero_data(data, 0, 0), 0);
	assert_int_equal(kernel.punched, 2);
	assert_int_equal(driver_local.used(be, &im, &after, NULL), 0);
	assert_true(after < before - 3 * MIB);
	memset(was + MIB, 0, 4 * MIB);
	memset(was + 6 * MIB + 100, 0, 1000);
	assert_int_equal(read_data(data, 0, 8 * MIB, is), 0);
	assert_memory_equal(is, was, 8 * MIB);
	assert_int_equal(driver_local.data_next(data, 0, 8 * MIB, true, &next), 0);
	assert_int_equal(next, MIB);
	assert_int_equal(driver_local.data_next(data, MIB, 8 * MIB, false, &next), 0);
	assert_int_equal(next, 5 * MIB);
	assert_int_equal(driver_local.data_next(data, 5 * MIB, 8 * MIB, true, &next), 0);
	assert_int_equal(next, 8 * MIB);
	assert_int_equal(driver_local.data_next(data, 5 * MIB, 7 * MIB, true, &next), 0);
	assert_int_equal(next, 7 * MIB); /* no further than asked */
	assert_int_equal(zero_data(data, 0, 8 * MIB), 0);
	assert_int_equal(driver_local.data_next(data, 0, 8 * MIB, false, &next), 0);
	assert_int_equal(next, 8 * MIB);
	assert_int_equal(driver_local.data_next(data, 8 * MIB, 8 * MIB, false, &next), 0);
	assert_int_equal(next, 8 * MIB);
}

static void zeroes_are_written_where_holes_cannot_be(void **state)
{
	assert_int_equal(write_data(data, 0, 8 * MIB, was), 0);
	kernel.punch_errno = EOPNOTSUPP;
	assert_int_equal(zero_data(data, 12345, 3 * MIB + 1), 0);
	memset(was + 12345, 0, 3 * MIB + 1);
	assert_int_equal(read_data(data, 0, 8 * MIB, is), 0);
	assert_memory_equal(is, was, 8 * MIB);
}

static void many_are_in_flight(void **state)
{
	enum { N = 2000, LEN = 4096 };
	struct ends e = NO_ENDS;

	for (size_t i = 0; i < N; i++)
		driver_local.data_write(data, i * LEN, LEN, was + i * LEN, ended, &e);
	assert_int_equal(all_ended(&e, N), 0);
	for (size_t i = 0; i < N; i++)
		driver_local.data_read(data, i * LEN, LEN, is + i * LEN, ended, &e);
	for (size_t i = 0; i < 10; i++)
		driver_local.data_flush(data, ended, &e);
	assert_int_equal(all_ended(&e, 2 * N + 10), 0);
	assert_memory_equal(is, was, N * LEN);
}

static void many_are_open(void **state)
{
	enum { N = 3000 };
	static void *all[N];
	struct driver_image im = image(1);
	struct ends e = NO_ENDS;
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(limit.rlim_cur == limit.rlim_max);
	assert_true(limit.rlim_max > N);
	for (int i = 0; i < N; i++)
		driver_local.data_open(be, &im, NULL, i % 2, &all[i], ended, &e);
	assert_int_equal(all_ended(&e, N), 0);
	assert_int_equal(driver_local.remove(be, &im, NULL, NULL), -EBUSY);
	for (int i = 0; i < N; i++)
		driver_local.data_close(all[i], ended, &e);
	assert_int_equal(all_ended(&e, 2 * N), 0);
	assert_int_equal(driver_local.remove(be, &im, NULL, NULL), -EBUSY); /* `data` */
	close_data(data);
	assert_int_equal(driver_local.remove(be, &im, NULL, NULL), 0);
	assert_int_equal(create(&im, NULL), 0);
	assert_int_equal(open_data(&im, true, &data), 0);
	assert_int_equal(read_data(data, 0, 8 * MIB, is), 0);
	assert_true(all_zero(is, 8 * MIB));
}

static void what_is_no_image_does_not_open(void **state)
{
	struct driver_image im = image(2);
	void *none = NULL;
	char away[80];

	assert_int_equal(open_data(&im, true, &none), -ENOENT);
	assert_int_equal(symlink("/dev/zero", path(&im)), 0);
	assert_int_equal(open_data(&im, false, &none), -ELOOP);
	assert_int_equal(unlink(path(&im)), 0);
	assert_int_equal(mkfifo(path(&im), 0600), 0);
	assert_int_equal(open_data(&im, true, &none), -EINVAL);
	assert_int_equal(open_data(&im, false, &none), -EINVAL);
	(void)snprintf(away, sizeof away, "%s.away", dir);
	assert_int_equal(rename(dir, away), 0);
	assert_int_equal(open_data(&im, false, &none), -ENOENT);
	assert_int_equal(rename(away, dir), 0);
	assert_null(none);
}

static void an_open_image_grows(void **state)
{
	struct driver_image im = image(1);

	assert_int_equal(write_data(data, 0, 8 * MIB, was), 0);
	assert_int_equal(driver_local.resize(be, &im, 16 * MIB, NULL), 0);
	assert_int_equal(read_data(data, 8 * MIB, 8 * MIB, is), 0);
	assert_true(all_zero(is, 8 * MIB));
	assert_int_equal(write_data(data, 8 * MIB, 8 * MIB, was), 0);
	assert_int_equal(read_data(data, 8 * MIB, 8 * MIB, is), 0);
	assert_memory_equal(is, was, 8 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_image_is_a_sparse_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			each_of_a_batch_has_its_own_result, set_up, tear_down),
		cmocka_unit_test_setup_teardown(large_images_are_freed_in_steps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(images_only_grow, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_open_image_is_not_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(links_are_not_followed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_directory_that_is_not_there_is_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_paths_do_not_open, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_connection_is_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_crash_anywhere_leaves_nothing_that_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_was_written_is_read, set_up_data, tear_down_data),
		cmocka_unit_test_setup_teardown(
			short_transfers_are_continued, set_up_data, tear_down_data),
		cmocka_unit_test_setup_teardown(errors_are_told, set_up_data, tear_down_data),
		cmocka_unit_test_setup_teardown(
			zeroing_gives_back_room, set_up_data, tear_down_data),
		cmocka_unit_test_setup_teardown(
			zeroes_are_written_where_holes_cannot_be, set_up_data, tear_down_data),
		cmocka_unit_test_setup_teardown(many_are_in_flight, set_up_data, tear_down_data),
		cmocka_unit_test_setup_teardown(many_are_open, set_up_data, tear_down_data),
		cmocka_unit_test_setup_teardown(
			what_is_no_image_does_not_open, set_up_data, tear_down_data),
		cmocka_unit_test_setup_teardown(an_open_image_grows, set_up_data, tear_down_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
