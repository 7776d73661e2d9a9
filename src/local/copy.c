/*
 * One file's bytes in another: shared where the filesystem can (btrfs, xfs), else copied, and then holes stay holes.
 */
#include "local/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP (UINT64_C(16) << 20) /* bytes between two looks at the progress */
enum { BUFFER = 1 << 20 };

struct copy {
	int from, to;
	struct driver_progress *progress;
	uint64_t done, total; /* bytes of data */
	uint64_t sent;	      /* up to here the kernel has been told to write */
	char *buffer; /* where the kernel cannot copy between these files; NULL before that is known */
};

/* n more bytes, which end at `end`. They are sent to the disk as they come: else the sync at the end would be the longer half, uncounted. */
static void tell(struct copy *c, uint64_t n, uint64_t end)
{
	c->done += n;
	if (c->progress)
		atomic_store(&c->progress->done, c->done);
	if (end - c->sent < STEP)
		return;
	(void)sync_file_range(c->to, (off_t)c->sent, (off_t)(end - c->sent), SYNC_FILE_RANGE_WRITE);
	c->sent = end;
}

/* 1 done, 0 not possible here, -errno. What says no without a reason of the storage's is answered by copying. */
static int share(const struct copy *c)
{
	if (ioctl(c->to, FICLONE, c->from) == 0)
		return 1;
	return errno == ENOSPC || errno == EDQUOT || errno == EIO ? -errno : 0;
}

static int write_all(const struct copy *c, size_t n, off_t at)
{
	for (size_t done = 0; done < n;) {
		ssize_t w = pwrite(c->to, c->buffer + done, n - done, at + (off_t)done);

		if (w < 0 && errno != EINTR)
			return -errno;
		done += w > 0 ? (size_t)w : 0;
	}
	return 0;
}

/* How many bytes, 0 at the end of the file, -errno. */
static ssize_t by_hand(struct copy *c, uint64_t at, size_t len)
{
	ssize_t n;
	int r;

	if (!c->buffer)
		c->buffer = malloc(BUFFER);
	if (!c->buffer)
		return -ENOMEM;
	do
		n = pread(c->from, c->buffer, len < BUFFER ? len : BUFFER, (off_t)at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	r = write_all(c, (size_t)n, (off_t)at);
	return r < 0 ? r : n;
}

static ssize_t some(struct copy *c, uint64_t at, size_t len)
{
	off_t in = (off_t)at, out = (off_t)at;
	ssize_t n;

	if (c->buffer)
		return by_hand(c, at, len);
	do
		n = copy_file_range(c->from, &in, c->to, &out, len, 0);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	/* what the storage has against it, and not the kernel's way of copying */
	if (errno == ENOSPC || errno == EDQUOT || errno == EIO)
		return -errno;
	return by_hand(c, at, len);
}

static int copy_range(struct copy *c, uint64_t at, uint64_t end)
{
	while (at < end) {
		uint64_t left = end - at;
		ssize_t n = some(c, at, left < STEP ? left : STEP);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO; /* somebody has made the file shorter */
		at += (uint64_t)n;
		tell(c, (uint64_t)n, at);
	}
	return 0;
}

/* Where the next data, or hole, begins; size: nowhere. */
static int next(int fd, uint64_t at, uint64_t size, int whence, uint64_t *ret)
{
	off_t r = lseek(fd, (off_t)at, whence);

	if (r < 0 && errno != ENXIO)
		return -errno;
	*ret = r < 0 || (uint64_t)r > size ? size : (uint64_t)r;
	return 0;
}

/* Each range of data; what each() returns < 0 ends it. */
static int walk_data(
	struct copy *c, uint64_t size, int (*each)(struct copy *c, uint64_t at, uint64_t end))
{
	uint64_t from = 0, to = 0;
	int r = 0;

	while (r == 0 && to < size) {
		r = next(c->from, to, size, SEEK_DATA, &from);
		if (r == 0)
			r = next(c->from, from, size, SEEK_HOLE, &to);
		if (r == 0)
			r = each(c, from, to);
	}
	return r;
}

static int count_range(struct copy *c, uint64_t at, uint64_t end)
{
	c->total += end - at;
	return 0;
}

static int copy_data(struct copy *c, uint64_t size)
{
	int r = ftruncate(c->to, (off_t)size) < 0 ? -errno : 0;

	if (r == 0 && c->progress) {
		r = walk_data(c, size, count_range);
		atomic_store(&c->progress->total, c->total);
	}
	return r < 0 ? r : walk_data(c, size, copy_range);
}

int local_copy(int from, int to, uint64_t size, struct driver_progress *progress)
{
	struct copy c = { .from = from, .to = to, .progress = progress };
	int r;

	r = share(&c);
	if (r == 0)
		r = copy_data(&c, size);
	free(c.buffer);
	return r < 0 ? r : 0;
}
