/*
 * Snapshots, clones, revert and adoption of the local driver. Everything is done twice: on a filesystem that cannot share bytes between
 * files, or is made to look so, and on an xfs of the test's own, through a loop device (root, xfsprogs).
 */
#include "driver.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB  (UINT64_C(1) << 20)
#define SIZE (8 * MIB)

static char base[64] = "/tmp", dir[128], name[] = "disk", text[400];
static bool shares; /* this filesystem can */
static struct backend_conf conf;
static void *be;

/* --- the kernel's answers */

static struct {
	int copy_errno; /* of copy_file_range(), once it has copied copies */
	int copies;
	int write_errno; /* of pwrite() */
	int sync_errno;
	_Atomic unsigned shared; /* FICLONE that went well */
	int by_hand;		 /* pwrite() that went well */
} kernel;

int __real_ioctl(int fd, unsigned long what, ...);
int __wrap_ioctl(int fd, unsigned long what, ...);
ssize_t __real_copy_file_range(
	int in, off_t *off_in, int out, off_t *off_out, size_t len, unsigned flags);
ssize_t __wrap_copy_file_range(
	int in, off_t *off_in, int out, off_t *off_out, size_t len, unsigned flags);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_ioctl(int fd, unsigned long what, ...)
{
	va_list args;
	long arg;
	int r;

	va_start(args, what);
	arg = va_arg(args, long);
	va_end(args);
	if (what == FICLONE && !shares) {
		errno = EOPNOTSUPP;
		return -1;
	}
	r = __real_ioctl(fd, what, arg);
	kernel.shared += what == FICLONE && r == 0;
	return r;
}

ssize_t __wrap_copy_file_range(
	int in, off_t *off_in, int out, off_t *off_out, size_t len, unsigned flags)
{
	if (kernel.copy_errno && kernel.copies-- <= 0) {
		errno = kernel.copy_errno;
		return -1;
	}
	return __real_copy_file_range(in, off_in, out, off_out, len < MIB ? len : MIB, flags);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	if (kernel.write_errno) {
		errno = kernel.write_errno;
		return -1;
	}
	kernel.by_hand++;
	return __real_pwrite64(fd, buf, len < 10000 ? len : 10000, off);
}

int __wrap_fsync(int fd)
{
	struct stat st;

	if (kernel.sync_errno && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		errno = kernel.sync_errno;
		return -1;
	}
	return __real_fsync(fd);
}

/* --- a directory */

static int set_up(void **state)
{
	(void)snprintf(dir, sizeof dir, "%s/volfs-snaps-XXXXXX", base);
	if (!mkdtemp(dir))
		return -1;
	memset(&kernel, 0, sizeof kernel);
	conf = (struct backend_conf){ .name = name, .path = dir };
	return driver_local.open(&conf, &be, NULL);
}

static int tear_down(void **state)
{
	char command[200];

	driver_local.close(be);
	(void)snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

static struct driver_image image(int i)
{
	struct driver_image im = { .image_id = "0123456789abcd", .size = SIZE };

	(void)snprintf(im.uuid, sizeof im.uuid, "00000000-0000-0000-0000-%012d", i);
	return im;
}

static struct driver_snap snap(int i)
{
	struct driver_snap s = { .temporary = i >= 900 };

	(void)snprintf(s.uuid, sizeof s.uuid, "11111111-0000-0000-0000-%012d", i);
	return s;
}

static const char *at(const char *file)
{
	(void)snprintf(text, sizeof text, "%s/%s", dir, file);
	return text;
}

static const char *path(int i)
{
	(void)snprintf(text, sizeof text, "%s/volume-%s", dir, image(i).uuid);
	return text;
}

static const char *snap_path(int i, int s)
{
	(void)snprintf(text, sizeof text, "%s/.volume-%s.snapshots/snapshot-%s", dir, image(i).uuid,
		snap(s).uuid);
	return text;
}

static unsigned entries_of(const char *path_of)
{
	struct dirent **list;
	int n = scandir(path_of, &list, NULL, NULL);

	for (int i = 0; i < n; i++)
		free(list[i]);
	if (n >= 0)
		free(list);
	return n < 0 ? 0 : (unsigned)n - 2; /* . and .. */
}

static unsigned entries(void)
{
	return entries_of(dir);
}

static unsigned entries_of_snaps(int i)
{
	(void)snprintf(text, sizeof text, "%s/.volume-%s.snapshots", dir, image(i).uuid);
	return entries_of(text);
}

static int create_from(int i, uint64_t size, const struct driver_source *source, struct err *err)
{
	struct driver_create c = { .image = image(i), .source = source, .code = 99 };

	c.image.size = size;
	driver_local.create(be, &c, 1);
	if (err)
		*err = c.err;
	return c.code;
}

static int create(int i)
{
	return create_from(i, SIZE, NULL, NULL);
}

static struct driver_source source(int i, int s)
{
	struct driver_source from = { .image = image(i) };

	if (s)
		memcpy(from.snapshot, snap(s).uuid, sizeof from.snapshot);
	return from;
}

static int take(int i, int s)
{
	struct driver_image im = image(i);
	struct driver_snap sn = snap(s);

	return driver_local.snap_create(be, &im, &sn, NULL, NULL);
}

static int take_away(int i, int s)
{
	struct driver_image im = image(i);
	struct driver_snap sn = snap(s);

	return driver_local.snap_remove(be, &im, &sn, NULL);
}

static int removed(int i)
{
	struct driver_image im = image(i);

	return driver_local.remove(be, &im, NULL, NULL);
}

static int reverted(int i, int s, struct driver_progress *p)
{
	struct driver_image im = image(i);
	struct driver_snap sn = snap(s);

	return driver_local.revert(be, &im, &sn, p, NULL);
}

/* 64 KiB of c at every fourth 256 KiB but the first: with holes in between, and at both ends. */
static void fill(const char *file, char c)
{
	char buf[64 << 10];
	int fd = open(file, O_WRONLY);

	assert_true(fd >= 0);
	memset(buf, c, sizeof buf);
	for (off_t off = (off_t)MIB; off < (off_t)SIZE; off += (off_t)MIB)
		assert_int_equal(__real_pwrite64(fd, buf, sizeof buf, off), sizeof buf);
	assert_int_equal(close(fd), 0);
}

static bool all(const char *p, size_t n, char c)
{
	return n == 0 || (p[0] == c && memcmp(p, p + 1, n - 1) == 0);
}

/* Is it as fill() left it, of that size? c 0: all zeroes. */
static bool holds(const char *file, char c, uint64_t size)
{
	char *buf = malloc(size);
	int fd = open(file, O_RDONLY);
	struct stat st;
	bool good;

	assert_true(buf && fd >= 0 && fstat(fd, &st) == 0);
	good = (uint64_t)st.st_size == size && read(fd, buf, size) == (ssize_t)size;
	for (uint64_t off = 0; good && off < size; off += MIB) {
		size_t n = off > 0 && off < SIZE ? 64 << 10 : 0;

		good = all(buf + off, n, c) && all(buf + off + n, MIB - n, 0);
	}
	close(fd);
	free(buf);
	return good;
}

static uint64_t blocks(const char *file)
{
	struct stat st;

	assert_int_equal(stat(file, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* --- snapshots */

static void a_snapshot_is_what_was_there(void **state)
{
	struct stat st;

	assert_int_equal(take(1, 1), -ENOENT);
	assert_int_equal(entries(), 0);
	assert_int_equal(create(1), 0);
	fill(path(1), 'a');
	assert_int_equal(take(1, 1), 0);
	fill(path(1), 'b');
	assert_int_equal(take(1, 1), 0); /* an earlier try had finished */
	assert_int_equal(take(1, 2), 0);
	assert_true(holds(snap_path(1, 1), 'a', SIZE));
	assert_true(holds(snap_path(1, 2), 'b', SIZE));
	assert_true(holds(path(1), 'b', SIZE));
	assert_int_equal(stat(snap_path(1, 1), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_true(blocks(snap_path(1, 1)) < MIB);
	assert_int_equal(kernel.shared, shares ? 2 : 0);
	assert_int_equal(entries(), 2);
	assert_int_equal(take_away(1, 1), 0);
	assert_int_equal(take_away(1, 1), 0);
	assert_int_equal(access(snap_path(1, 1), F_OK), -1);
	assert_true(holds(snap_path(1, 2), 'b', SIZE));
	assert_int_equal(take_away(1, 2), 0);
	assert_int_equal(entries(), 1); /* the last one's directory went along */
	assert_int_equal(take_away(1, 2), 0);
}

static void an_image_with_snapshots_stays(void **state)
{
	struct driver_image im = image(1);
	struct err err = { 0 };

	assert_int_equal(create(1), 0);
	assert_int_equal(take(1, 1), 0);
	assert_int_equal(take(1, 900), 0); /* temporary */
	assert_int_equal(driver_local.remove(be, &im, NULL, &err), -ENOTEMPTY);
	assert_non_null(strstr(err.text, "has 1 snapshots"));
	assert_int_equal(entries(), 2);
	assert_int_equal(entries_of_snaps(1), 2);
	assert_int_equal(take_away(1, 1), 0);
	assert_int_equal(entries_of_snaps(1), 1);
	assert_int_equal(removed(1), 0);
	assert_int_equal(entries(), 0);
}

static void holes_stay_holes(void **state)
{
	struct driver_source from = source(1, 1);
	struct driver_image im = image(1);
	struct driver_progress p = { 0 };

	im.size = UINT64_C(1) << 42;
	assert_int_equal(create_from(1, im.size, NULL, NULL), 0);
	fill(path(1), 'a');
	assert_int_equal(take(1, 1), 0);
	assert_true(blocks(snap_path(1, 1)) < MIB);
	assert_int_equal(create_from(2, im.size, &from, NULL), 0);
	assert_true(blocks(path(2)) < MIB);
	assert_int_equal(reverted(1, 1, &p), 0);
	assert_true(blocks(path(1)) < MIB);
	/* bytes that there are, and where they are shared none has to be copied */
	assert_true(shares ? p.total == 0 : p.total > 0 && p.total <= SIZE);
	assert_int_equal(p.done, p.total);
}

/* Also half-way: then the kernel has said no. */
static void copies_are_counted(void **state)
{
	struct driver_progress p = { 0 }, q = { 0 };
	struct driver_source from = source(1, 1);
	struct driver_image im = image(1), clone = image(2);
	struct driver_create c = { .image = clone, .source = &from, .progress = &q };
	struct driver_snap sn = snap(1), other = snap(2);
	char *buf = malloc(SIZE);
	int fd;

	shares = false;
	assert_int_equal(create(1), 0);
	memset(buf, 'a', SIZE);
	fd = open(path(1), O_WRONLY);
	assert_int_equal(write(fd, buf, SIZE), SIZE);
	close(fd);
	free(buf);
	assert_int_equal(driver_local.snap_create(be, &im, &sn, &p, NULL), 0);
	assert_int_equal(p.total, SIZE);
	assert_int_equal(p.done, SIZE);
	driver_local.create(be, &c, 1);
	assert_int_equal(c.code, 0);
	assert_int_equal(q.total, SIZE);
	assert_int_equal(q.done, SIZE);
	kernel.copy_errno = ENOSPC;
	kernel.copies = 3;
	assert_int_equal(driver_local.snap_create(be, &im, &other, &p, NULL), -ENOSPC);
	assert_int_equal(p.total, SIZE);
	assert_int_equal(p.done, 3 * MIB);
}

static void the_kernel_may_not_be_able_to_copy(void **state)
{
	struct driver_source from = source(1, 1);

	assert_int_equal(create(1), 0);
	fill(path(1), 'a');
	shares = false;
	kernel.copy_errno = EXDEV;
	assert_int_equal(take(1, 1), 0);
	assert_true(kernel.by_hand > 7);
	assert_true(holds(snap_path(1, 1), 'a', SIZE));
	assert_true(blocks(snap_path(1, 1)) < MIB);
	kernel.copies = 3; /* it says so late */
	assert_int_equal(create_from(2, SIZE, &from, NULL), 0);
	assert_true(holds(path(2), 'a', SIZE));
}

static void a_full_disk_leaves_nothing(void **state)
{
	static const int errnos[] = { ENOSPC, EDQUOT, EIO };
	struct driver_source from = source(1, 1);
	struct driver_image im = image(1);
	struct driver_snap sn = snap(2);
	struct err err = { 0 };

	assert_int_equal(create(1), 0);
	fill(path(1), 'a');
	assert_int_equal(take(1, 1), 0);
	shares = false;
	for (int hand = 0; hand < 2; hand++) {
		for (size_t i = 0; i < COUNT(errnos); i++) {
			kernel.copy_errno = hand ? EXDEV : errnos[i];
			kernel.write_errno = hand ? errnos[i] : 0;
			kernel.copies = 2;
			assert_int_equal(
				driver_local.snap_create(be, &im, &sn, NULL, &err), -errnos[i]);
			assert_non_null(strstr(err.text, strerror(errnos[i])));
			kernel.copies = 2;
			assert_int_equal(create_from(2, SIZE, &from, NULL), -errnos[i]);
			kernel.copies = 2;
			assert_int_equal(reverted(1, 1, NULL), -errnos[i]);
			assert_int_equal(entries(), 2);
			assert_int_equal(entries_of_snaps(1), 1);
		}
	}
	assert_true(holds(path(1), 'a', SIZE));
	kernel.copy_errno = kernel.write_errno = 0;
	kernel.sync_errno = ENOSPC;
	assert_int_equal(take(1, 2), -ENOSPC);
	assert_int_equal(create(2), -ENOSPC);
	assert_int_equal(create_from(2, SIZE, &from, NULL), -ENOSPC);
	assert_int_equal(reverted(1, 1, NULL), -ENOSPC);
	assert_int_equal(entries(), 2);
	assert_int_equal(take_away(1, 1), 0);
	assert_int_equal(take(1, 2), -ENOSPC);
	assert_int_equal(entries(), 1); /* not even the directory */
}

/* --- clones */

static void clones_are_of_their_own(void **state)
{
	struct driver_source from = source(1, 1), now = source(1, 0), again;
	struct driver_image im = image(2);

	assert_int_equal(create(1), 0);
	fill(path(1), 'a');
	assert_int_equal(take(1, 1), 0);
	fill(path(1), 'b');
	assert_int_equal(create_from(2, SIZE, &from, NULL), 0);
	assert_int_equal(create_from(2, SIZE, &from, NULL), 0); /* an earlier try had finished */
	assert_int_equal(create_from(3, SIZE + MIB, &from, NULL), 0);
	assert_int_equal(create_from(4, SIZE, &now, NULL), 0);
	assert_true(holds(path(2), 'a', SIZE));
	assert_true(holds(path(3), 'a', SIZE + MIB));
	assert_true(holds(path(4), 'b', SIZE));
	assert_int_equal(take(2, 2), 0);
	again = source(2, 2);
	assert_int_equal(create_from(5, 2 * SIZE, &again, NULL), 0);
	fill(path(2), 'c');
	assert_int_equal(take_away(1, 1), 0);
	assert_int_equal(removed(1), 0);
	assert_true(holds(path(2), 'c', SIZE));
	assert_true(holds(path(3), 'a', SIZE + MIB));
	assert_true(holds(path(5), 'a', 2 * SIZE));
	assert_int_equal(driver_local.resize(be, &im, SIZE + MIB, NULL), 0);
	assert_true(holds(path(2), 'c', SIZE + MIB));
	assert_int_equal(kernel.shared, shares ? 6 : 0);
}

static void what_cannot_be_cloned(void **state)
{
	struct driver_source from = source(1, 1), none = source(1, 7), gone = source(9, 1);
	struct driver_create each[3] = { { .image = image(2), .source = &none },
		{ .image = image(3), .source = &from }, { .image = image(4) } };
	struct err err = { 0 };

	assert_int_equal(create(1), 0);
	assert_int_equal(create_from(2, SIZE, &from, &err), -ENOENT);
	assert_non_null(strstr(err.text, "has no snapshot-11111111"));
	assert_int_equal(take(1, 1), 0);
	assert_int_equal(create_from(2, SIZE, &gone, NULL), -ENOENT);
	gone = source(9, 0);
	assert_int_equal(create_from(2, SIZE, &gone, NULL), -ENOENT);
	assert_int_equal(create_from(2, SIZE - MIB, &from, &err), -EINVAL);
	assert_non_null(strstr(err.text, "has 8388608 bytes"));
	assert_int_equal(entries(), 2);
	driver_local.create(be, each, COUNT(each)); /* the others of a batch come nevertheless */
	assert_int_equal(each[0].code, -ENOENT);
	assert_int_equal(each[1].code, 0);
	assert_int_equal(each[2].code, 0);
	assert_int_equal(entries(), 4);
}

/* --- revert */

static void an_image_is_reverted(void **state)
{
	struct driver_progress p = { 0 };
	struct driver_image im = image(1);
	struct driver_snap sn = snap(1);
	struct err err = { 0 };
	int fd;

	assert_int_equal(create(1), 0);
	fill(path(1), 'a');
	assert_int_equal(take(1, 1), 0);
	fill(path(1), 'b');
	assert_int_equal(reverted(1, 2, &p), -ENOENT);
	fd = open(path(1), O_RDONLY);
	assert_int_equal(driver_local.revert(be, &im, &sn, &p, &err), -EBUSY);
	assert_non_null(strstr(err.text, "is open"));
	close(fd);
	assert_true(holds(path(1), 'b', SIZE));
	assert_int_equal(reverted(1, 1, &p), 0);
	assert_true(holds(path(1), 'a', SIZE));
	assert_true(shares ? p.total == 0 : p.total > 0);
	assert_int_equal(p.done, p.total);
	fill(path(1), 'c'); /* it can be written to, and the snapshot is as it was */
	assert_true(holds(snap_path(1, 1), 'a', SIZE));
	assert_int_equal(reverted(1, 1, NULL), 0);
	assert_true(holds(path(1), 'a', SIZE));
	assert_int_equal(entries(), 2);
	assert_int_equal(driver_local.resize(be, &im, SIZE + MIB, NULL), 0);
	assert_int_equal(driver_local.revert(be, &im, &sn, &p, &err), -EINVAL);
	assert_int_equal(reverted(2, 1, NULL), -ENOENT);
}

/* --- what there is */

struct seen {
	char names[2000];
	unsigned n, parts, ours;
	int code; /* what each() returns */
};

static int see(void *arg, const struct driver_found *f)
{
	struct seen *s = arg;
	size_t len = strlen(s->names);

	s->n++;
	s->parts += f->parts;
	s->ours += f->uuid[0] != '\0';
	(void)snprintf(s->names + len, sizeof s->names - len, "%s ", f->name);
	return s->code;
}

static void put_file(const char *file, off_t size)
{
	int fd = open(at(file), O_WRONLY | O_CREAT | O_EXCL, 0644);

	assert_true(fd >= 0 && ftruncate(fd, size) == 0);
	close(fd);
}

static void all_is_listed(void **state)
{
	struct seen s = { 0 }, parts = { 0 }, ended = { .code = -EINTR };
	char orphan[100];

	assert_int_equal(create(1), 0);
	assert_int_equal(take(1, 1), 0);
	put_file("foreign.img", (off_t)SIZE);
	put_file(".hidden", 512);
	(void)snprintf(orphan, sizeof orphan, ".volume-%s.new", image(7).uuid);
	put_file(orphan, 512);
	(void)snprintf(orphan, sizeof orphan, ".volume-%s.snapshots", image(8).uuid);
	assert_int_equal(mkdir(at(orphan), 0700), 0);
	assert_int_equal(mkdir(at("folder"), 0700), 0);
	assert_int_equal(symlink("foreign.img", at("link")), 0);
	assert_int_equal(mkfifo(at("pipe"), 0600), 0);
	assert_int_equal(driver_local.list(be, false, see, &s, NULL), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.ours, 1);
	assert_non_null(strstr(s.names, "foreign.img "));
	assert_int_equal(driver_local.list(be, true, see, &parts, NULL), 0);
	assert_int_equal(parts.n, 4);
	assert_int_equal(parts.parts, 2);
	assert_int_equal(parts.ours, 3);
	assert_int_equal(driver_local.list(be, true, see, &ended, NULL), -EINTR);
	assert_int_equal(ended.n, 1);
	assert_int_equal(removed(7), 0); /* as what becomes of parts */
	assert_int_equal(removed(8), 0);
	memset(&parts, 0, sizeof parts);
	assert_int_equal(driver_local.list(be, true, see, &parts, NULL), 0);
	assert_int_equal(parts.parts, 0);
}

static void one_is_looked_at(void **state)
{
	struct driver_found f = { 0 };
	struct err err = { 0 };
	int fd;

	assert_int_equal(create(1), 0);
	fill(path(1), 'a');
	assert_int_equal(take(1, 1), 0);
	assert_int_equal(take(1, 2), 0);
	assert_int_equal(driver_local.look(be, path(1) + strlen(dir) + 1, &f, NULL), 0);
	assert_string_equal(f.uuid, image(1).uuid);
	assert_string_equal(f.reason, "");
	assert_int_equal(f.size, SIZE);
	assert_int_equal(f.used, blocks(path(1)));
	assert_int_equal(f.snapshots, 2);
	assert_false(f.parts);
	put_file("odd", 1000);
	put_file("empty", 0);
	put_file("good", 1024);
	assert_int_equal(driver_local.look(be, "odd", &f, NULL), 0);
	assert_string_equal(f.reason, "'odd' has 1000 bytes, which is no multiple of 512");
	assert_string_equal(f.uuid, "");
	assert_int_equal(driver_local.look(be, "empty", &f, NULL), 0);
	assert_string_equal(f.reason, "'empty' is empty");
	assert_int_equal(driver_local.look(be, "good", &f, NULL), 0);
	assert_string_equal(f.reason, "");
	fd = open(at("good"), O_RDONLY);
	assert_int_equal(driver_local.look(be, "good", &f, NULL), 0);
	assert_string_equal(f.reason, "'good' is open");
	close(fd);
	assert_int_equal(driver_local.look(be, "none", &f, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/none'"));
	assert_int_equal(driver_local.look(be, "../etc/passwd", &f, NULL), -ENOENT);
	assert_int_equal(symlink("good", at("link")), 0);
	assert_int_equal(driver_local.look(be, "link", &f, NULL), -EINVAL);
}

static void snapshots_come_in_order(void **state)
{
	static const int order[] = { 5, 2, 9, 901, 1 };
	struct driver_found_snap f[10];
	int64_t before = 0;
	char of[60];

	assert_int_equal(create(1), 0);
	(void)snprintf(of, sizeof of, "volume-%s", image(1).uuid);
	assert_int_equal(driver_local.snaps(be, of, f, 10, NULL), 0);
	for (size_t i = 0; i < COUNT(order); i++) {
		assert_int_equal(take(1, order[i]), 0);
	}
	assert_int_equal(driver_local.snaps(be, of, f, 10, NULL), 5);
	for (size_t i = 0; i < COUNT(order); i++) {
		assert_string_equal(f[i].uuid, snap(order[i]).uuid);
		assert_int_equal(f[i].temporary, order[i] >= 900);
		assert_int_equal(f[i].size, SIZE);
		assert_true(f[i].created_us > before);
		before = f[i].created_us;
	}
	memset(f, 0, sizeof f);
	assert_int_equal(
		driver_local.snaps(be, of, f, 2, NULL), 5); /* no more than there is room for */
	assert_string_equal(f[1].uuid, snap(2).uuid);
	assert_string_equal(f[2].uuid, "");
	assert_int_equal(driver_local.snaps(be, of, NULL, 0, NULL), 5);
	assert_int_equal(driver_local.snaps(be, "none", f, 10, NULL), -ENOENT);
}

/* --- adopting */

static void an_image_is_adopted_and_let_go(void **state)
{
	struct driver_image im = image(1);
	struct driver_snap sn = snap(5);
	struct driver_found_snap f[3];
	char was[100];

	put_file("old", (off_t)SIZE);
	fill(at("old"), 'a');
	im.size = 0;
	assert_int_equal(driver_local.adopt(be, "old", &im, NULL), 0);
	assert_int_equal(im.size, SIZE);
	im.size = 0;
	assert_int_equal(driver_local.adopt(be, "old", &im, NULL), 0); /* it is already */
	assert_int_equal(im.size, SIZE);
	assert_true(holds(path(1), 'a', SIZE));
	assert_int_equal(take(1, 1), 0);
	assert_int_equal(take(1, 2), 0);
	assert_int_equal(driver_local.disown(be, &im, "new", NULL), 0);
	assert_int_equal(driver_local.disown(be, &im, "new", NULL), 0);
	assert_true(holds(at("new"), 'a', SIZE));
	assert_int_equal(entries(), 2);
	assert_int_equal(driver_local.snaps(be, "new", f, 3, NULL), 2);
	im = image(2);
	assert_int_equal(driver_local.adopt(be, "new", &im, NULL), 0); /* snapshots come along */
	(void)snprintf(was, sizeof was, "snapshot-%s", snap(1).uuid);
	assert_int_equal(driver_local.snap_adopt(be, &im, was, &sn, NULL), 0);
	assert_int_equal(driver_local.snap_adopt(be, &im, was, &sn, NULL), 0);
	assert_true(holds(snap_path(2, 5), 'a', SIZE));
	sn = snap(2);
	(void)snprintf(was, sizeof was, "snapshot-%s", snap(2).uuid);
	assert_int_equal(
		driver_local.snap_adopt(be, &im, was, &sn, NULL), 0); /* it has that name */
	assert_int_equal(driver_local.snaps(be, path(2) + strlen(dir) + 1, f, 3, NULL), 2);
	assert_string_equal(f[0].uuid, snap(5).uuid); /* the older is the older */
	assert_string_equal(f[1].uuid, snap(2).uuid);
	sn = snap(6);
	assert_int_equal(driver_local.snap_adopt(be, &im, "monday", &sn, NULL), -EINVAL);
	(void)snprintf(was, sizeof was, "snapshot-%s", snap(7).uuid);
	assert_int_equal(driver_local.snap_adopt(be, &im, was, &sn, NULL), -ENOENT);
}

static void names_are_checked(void **state)
{
	static const char *const bad[] = { "", ".", "..", ".hidden", "a/b", "../x", "/etc/passwd",
		"volume-00000000-0000-0000-0000-000000000009" };
	struct driver_image im = image(1);
	char longest[300];

	assert_int_equal(create(1), 0);
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(driver_local.disown(be, &im, bad[i], NULL), -EINVAL);
		assert_int_equal(driver_local.adopt(be, bad[i], &im, NULL), -EINVAL);
	}
	memset(longest, 'x', sizeof longest);
	longest[245] = '\0';
	assert_int_equal(driver_local.disown(be, &im, longest, NULL), -EINVAL);
	assert_int_equal(entries(), 1);
	assert_int_equal(take(1, 1), 0);
	longest[244] = '\0';
	assert_int_equal(driver_local.disown(be, &im, longest, NULL), 0);
	assert_int_equal(driver_local.snaps(be, longest, NULL, 0, NULL), 1);
}

static void what_cannot_be_adopted(void **state)
{
	struct driver_image im = image(1), other = image(2);
	struct err err = { 0 };
	int fd;

	put_file("odd", 1000);
	put_file("taken", 512);
	put_file("good", 1024);
	assert_int_equal(mkdir(at("folder"), 0700), 0);
	assert_int_equal(driver_local.adopt(be, "odd", &im, &err), -EINVAL);
	assert_non_null(strstr(err.text, "multiple of 512"));
	assert_int_equal(driver_local.adopt(be, "folder", &im, NULL), -EINVAL);
	assert_int_equal(driver_local.adopt(be, "none", &im, NULL), -ENOENT);
	fd = open(at("good"), O_RDWR);
	assert_int_equal(driver_local.adopt(be, "good", &im, &err), -EBUSY);
	assert_string_equal(err.text, "'good' is open");
	close(fd);
	assert_int_equal(create(2), 0);
	assert_int_equal(driver_local.adopt(be, "good", &other, NULL), -EEXIST);
	assert_int_equal(driver_local.disown(be, &other, "taken", &err), -EEXIST);
	assert_non_null(strstr(err.text, "is there already"));
	assert_int_equal(driver_local.disown(be, &other, "folder", NULL), -EEXIST);
	assert_int_equal(driver_local.disown(be, &im, "none", NULL), -ENOENT);
	fd = open(path(2), O_RDWR);
	assert_int_equal(driver_local.disown(be, &other, "free", NULL), -EBUSY);
	close(fd);
	assert_int_equal(entries(), 5);
}

/* --- bytes */

struct end {
	pthread_mutex_t lock;
	pthread_cond_t change;
	bool over;
	int code;
};

static void ended(void *arg, int code)
{
	struct end *e = arg;

	pthread_mutex_lock(&e->lock);
	e->over = true;
	e->code = code;
	pthread_cond_signal(&e->change);
	pthread_mutex_unlock(&e->lock);
}

static int wait_end(struct end *e)
{
	pthread_mutex_lock(&e->lock);
	while (!e->over)
		pthread_cond_wait(&e->change, &e->lock);
	pthread_mutex_unlock(&e->lock);
	return e->code;
}
#define END                                                                                        \
	{                                                                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER              \
	}

static void a_snapshot_is_read(void **state)
{
	struct end opens = END, reads = END, writes = END, closes = END, none = END;
	struct driver_image im = image(1);
	struct driver_snap sn = snap(1), other = snap(2);
	uint64_t next;
	void *data;
	char c[2];

	assert_int_equal(create(1), 0);
	fill(path(1), 'a');
	assert_int_equal(take(1, 1), 0);
	fill(path(1), 'b');
	driver_local.data_open(be, &im, &other, false, &data, ended, &none);
	assert_int_equal(wait_end(&none), -ENOENT);
	driver_local.data_open(be, &im, &sn, false, &data, ended, &opens);
	assert_int_equal(wait_end(&opens), 0);
	driver_local.data_read(data, MIB - 1, 2, c, ended, &reads);
	assert_int_equal(wait_end(&reads), 0);
	assert_int_equal(c[0], 0);
	assert_int_equal(c[1], 'a');
	driver_local.data_write(data, 0, 1, "x", ended, &writes);
	assert_int_equal(wait_end(&writes), -EBADF);
	assert_int_equal(driver_local.data_next(data, 0, SIZE, false, &next), 0);
	assert_int_equal(next, MIB);
	driver_local.data_close(data, ended, &closes);
	assert_int_equal(wait_end(&closes), 0);
}

/* --- crashes: whatever a killed change left, doing it again finishes it, and nothing stays over */

static struct driver_source crash_source;

static int do_take(void)
{
	return take(1, 1);
}

static int do_take_away(void)
{
	return take_away(1, 1);
}

static int do_clone(void)
{
	return create_from(2, SIZE + MIB, &crash_source, NULL);
}

static int do_revert(void)
{
	return reverted(1, 1, NULL);
}

static int do_remove(void)
{
	return removed(1);
}

static int do_adopt(void)
{
	struct driver_image im = image(3);

	return driver_local.adopt(be, "old", &im, NULL);
}

static int do_snap_adopt(void)
{
	struct driver_image im = image(1);
	struct driver_snap sn = snap(5);
	char was[100];

	(void)snprintf(was, sizeof was, "snapshot-%s", snap(1).uuid);
	return driver_local.snap_adopt(be, &im, was, &sn, NULL);
}

static int do_disown(void)
{
	struct driver_image im = image(1);

	return driver_local.disown(be, &im, "old", NULL);
}

static void with_image(void)
{
	assert_int_equal(create(1), 0);
	fill(path(1), 'a');
}

static void with_snapshot(void)
{
	with_image();
	assert_int_equal(take(1, 1), 0);
	fill(path(1), 'b');
	crash_source = source(1, 1);
}

static void with_temporary(void)
{
	with_image();
	assert_int_equal(take(1, 900), 0);
	assert_int_equal(take(1, 901), 0);
}

static void with_foreign(void)
{
	struct driver_image im = image(1);

	with_snapshot();
	assert_int_equal(driver_local.disown(be, &im, "old", NULL), 0);
}

static bool is_taken(void)
{
	return holds(snap_path(1, 1), 'a', SIZE) && entries() == 2 && entries_of_snaps(1) == 1;
}

static bool is_taken_away(void)
{
	return holds(path(1), 'b', SIZE) && entries() == 1;
}

static bool is_cloned(void)
{
	return holds(path(2), 'a', SIZE + MIB) && entries() == 3;
}

static bool is_reverted(void)
{
	return holds(path(1), 'a', SIZE) && entries() == 2;
}

static bool is_gone(void)
{
	return entries() == 0;
}

static bool is_adopted(void)
{
	return holds(path(3), 'b', SIZE) && holds(snap_path(3, 1), 'a', SIZE) && entries() == 2;
}

static bool is_snap_adopted(void)
{
	return holds(snap_path(1, 5), 'a', SIZE) && entries_of_snaps(1) == 1;
}

static bool is_disowned(void)
{
	return holds(at("old"), 'b', SIZE) && driver_local.snaps(be, "old", NULL, 0, NULL) == 1 &&
	       entries() == 2;
}

static const struct {
	void (*before)(void);
	int (*change)(void);
	bool (*done)(void);
	int steps; /* at least */
} changes[] = {
	{ with_image, do_take, is_taken, 8 },
	{ with_snapshot, do_take_away, is_taken_away, 5 },
	{ with_snapshot, do_clone, is_cloned, 7 },
	{ with_snapshot, do_revert, is_reverted, 6 },
	{ with_temporary, do_remove, is_gone, 6 },
	{ with_foreign, do_adopt, is_adopted, 3 },
	{ with_snapshot, do_snap_adopt, is_snap_adopted, 2 },
	{ with_snapshot, do_disown, is_disowned, 3 },
};

/* In a child that dies before its n-th change: did it? */
static bool dies_in(long n, int (*change)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		conf.crash_at = n;
		(void)driver_local.open(&conf, &be, NULL);
		_exit(change() == 0 ? 0 : 9);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

static void a_crash_anywhere_is_made_good(void **state)
{
	for (size_t i = 0; i < COUNT(changes); i++) {
		bool dies = true;
		int n;

		for (n = 1; dies; n++) {
			assert_int_equal(tear_down(NULL) | set_up(NULL), 0);
			changes[i].before();
			dies = dies_in(n, changes[i].change);
			assert_int_equal(changes[i].change(), 0);
			assert_true(changes[i].done());
		}
		if (n - 2 < changes[i].steps)
			fail_msg("change %zu has %d steps", i, n - 2);
	}
}

/* Somebody opens the image after a crash: whether it stays or goes, its snapshots are where it is. */
static void snapshots_stay_with_their_image(void **state)
{
	struct driver_image im = image(1);
	bool dies = true;
	int fd, r;

	for (int n = 1; dies; n++) {
		assert_int_equal(tear_down(NULL) | set_up(NULL), 0);
		with_snapshot();
		dies = dies_in(n, do_disown);
		fd = open(access(at("old"), F_OK) == 0 ? at("old") : path(1), O_RDONLY);
		assert_true(fd >= 0);
		r = driver_local.disown(be, &im, "old", NULL);
		close(fd);
		if (r == 0) {
			assert_true(is_disowned());
			assert_int_equal(driver_local.adopt(be, "old", &im, NULL), 0);
		}
		assert_true(r == 0 || r == -EBUSY);
		assert_true(holds(path(1), 'b', SIZE) && holds(snap_path(1, 1), 'a', SIZE));
		assert_int_equal(entries(), 2);
	}
}

/* Given up after a crash: what is removed leaves nothing. */
static void a_crash_is_cleared_by_removal(void **state)
{
	for (size_t i = 0; i < 4; i++) {
		bool dies = true;

		for (int n = 1; dies; n++) {
			assert_int_equal(tear_down(NULL) | set_up(NULL), 0);
			changes[i].before();
			dies = dies_in(n, changes[i].change);
			assert_int_equal(removed(2), 0);
			assert_int_equal(take_away(1, 1), 0);
			assert_true(holds(path(1), 'a', SIZE) || holds(path(1), 'b', SIZE));
			assert_int_equal(removed(1), 0);
			assert_int_equal(entries(), 0);
		}
	}
}

/* --- many at once */

static void *come_and_go(void *arg)
{
	int s = *(int *)arg;

	for (int i = 0; i < 100; i++)
		if (take(1, s) < 0 || take_away(1, s) < 0)
			return arg;
	return NULL;
}

static void snapshots_come_and_go_together(void **state)
{
	pthread_t t[3];
	int which[3] = { 1, 2, 3 };
	void *failed;

	assert_int_equal(create_from(1, MIB, NULL, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, come_and_go, &which[i]), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(t[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(entries(), 1);
}

/* --- xfs */

static void bytes_are_shared(void **state)
{
	struct driver_source from = source(1, 0);
	struct statvfs before, after;
	char *buf = malloc(32 * MIB);
	int fd;

	assert_non_null(buf);
	memset(buf, 'x', 32 * MIB);
	assert_int_equal(create_from(1, 32 * MIB, NULL, NULL), 0);
	fd = open(path(1), O_WRONLY);
	assert_int_equal(write(fd, buf, 32 * MIB), 32 * MIB);
	assert_int_equal(__real_fsync(fd), 0);
	close(fd);
	free(buf);
	assert_int_equal(statvfs(dir, &before), 0);
	for (int s = 1; s <= 4; s++)
		assert_int_equal(take(1, s), 0);
	assert_int_equal(create_from(2, 64 * MIB, &from, NULL), 0);
	assert_int_equal(statvfs(dir, &after), 0);
	assert_true((before.f_bfree - after.f_bfree) * before.f_frsize < 16 * MIB);
	assert_int_equal(kernel.shared, 5);
}

static int run(const char *command, const char *what)
{
	if (system(command) == 0)
		return 0;
	(void)fprintf(stderr,
		"test_local_snaps: %s: needs root, a loop device and xfsprogs (script/setup --test)\n",
		what);
	return -1;
}

static int xfs_begin(void **state)
{
	char command[400];

	strcpy(base, "/tmp/volfs-xfs-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	(void)snprintf(command, sizeof command,
		"truncate -s 320M %s.img && mkfs.xfs -q -m reflink=1 %s.img && mount -o loop %s.img %s",
		base, base, base, base);
	return run(command, "no xfs can be made");
}

static int xfs_end(void **state)
{
	char command[400];

	(void)snprintf(
		command, sizeof command, "umount %s; rmdir %s && rm %s.img", base, base, base);
	return run(command, "the xfs cannot be unmounted");
}

static int set_up_copying(void **state)
{
	shares = false;
	return set_up(state);
}

static int set_up_sharing(void **state)
{
	shares = true;
	return set_up(state);
}

#define EACH(setup)                                                                                \
	cmocka_unit_test_setup_teardown(a_snapshot_is_what_was_there, setup, tear_down),           \
		cmocka_unit_test_setup_teardown(an_image_with_snapshots_stays, setup, tear_down),  \
		cmocka_unit_test_setup_teardown(holes_stay_holes, setup, tear_down),               \
		cmocka_unit_test_setup_teardown(copies_are_counted, setup, tear_down),             \
		cmocka_unit_test_setup_teardown(                                                   \
			the_kernel_may_not_be_able_to_copy, setup, tear_down),                     \
		cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing, setup, tear_down),     \
		cmocka_unit_test_setup_teardown(clones_are_of_their_own, setup, tear_down),        \
		cmocka_unit_test_setup_teardown(what_cannot_be_cloned, setup, tear_down),          \
		cmocka_unit_test_setup_teardown(an_image_is_reverted, setup, tear_down),           \
		cmocka_unit_test_setup_teardown(all_is_listed, setup, tear_down),                  \
		cmocka_unit_test_setup_teardown(one_is_looked_at, setup, tear_down),               \
		cmocka_unit_test_setup_teardown(snapshots_come_in_order, setup, tear_down),        \
		cmocka_unit_test_setup_teardown(an_image_is_adopted_and_let_go, setup, tear_down), \
		cmocka_unit_test_setup_teardown(names_are_checked, setup, tear_down),              \
		cmocka_unit_test_setup_teardown(what_cannot_be_adopted, setup, tear_down),         \
		cmocka_unit_test_setup_teardown(a_snapshot_is_read, setup, tear_down),             \
		cmocka_unit_test_setup_teardown(a_crash_anywhere_is_made_good, setup, tear_down),  \
		cmocka_unit_test_setup_teardown(                                                   \
			snapshots_stay_with_their_image, setup, tear_down),                        \
		cmocka_unit_test_setup_teardown(a_crash_is_cleared_by_removal, setup, tear_down),  \
		cmocka_unit_test_setup_teardown(snapshots_come_and_go_together, setup, tear_down)

int main(void)
{
	const struct CMUnitTest copying[] = { EACH(set_up_copying) };
	const struct CMUnitTest sharing[] = { EACH(set_up_sharing),
		cmocka_unit_test_setup_teardown(bytes_are_shared, set_up_sharing, tear_down) };
	int failed = cmocka_run_group_tests(copying, NULL, NULL);

	return failed + cmocka_run_group_tests(sharing, xfs_begin, xfs_end);
}
