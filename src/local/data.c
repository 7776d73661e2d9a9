/*
 * The bytes of an image: its file, one descriptor for each data_open(). Everything that may wait for the disk is done by the pool's
 * threads; only what the page cache holds is read at once.
 */
#include "base/cleanup.h"
#include "local/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

struct local_data {
	struct local *l;
	int fd;
	bool writable;
	struct driver_image image;
	struct driver_snap snap; /* uuid "": the image as it is */
	struct local_op own;	 /* of opening and closing: closing must not need memory */
	void **ret;		 /* while it is opened */
};

struct transfer {
	struct local_op op;
	int fd;
	uint64_t off, len;
	char *in;
	const char *out;
};

static int open_file(const struct local_data *d)
{
	CLEANUP_FD int dir = local_dir(d->l, NULL);
	char name[LOCAL_NAME_MAX];
	struct stat st;

	if (dir < 0)
		return dir;
	if (d->snap.uuid[0])
		return local_open_snap(d->l, dir, &d->image, &d->snap, &st, NULL);
	local_name(&d->image, name);
	return local_open_file(d->l, dir, name, d->writable ? O_RDWR : O_RDONLY, &st, NULL);
}

static int run_open(struct local_op *op)
{
	struct local_data *d = op->of;
	int fd = open_file(d);

	if (fd < 0)
		return fd;
	d->fd = fd;
	*d->ret = d;
	op->spent = NULL; /* from now on data_close() frees it */
	return 0;
}

void local_data_open(void *be, const struct driver_image *image, const struct driver_snap *snap,
	bool writable, void **ret, driver_done *done, void *arg)
{
	struct local_data *d = calloc(1, sizeof *d);

	if (!d) {
		done(arg, -ENOMEM);
		return;
	}
	d->l = be;
	d->fd = -1;
	d->writable = writable;
	d->ret = ret;
	d->image = *image;
	if (snap)
		d->snap = *snap;
	d->own =
		(struct local_op){ .run = run_open, .of = d, .spent = d, .done = done, .arg = arg };
	local_submit(&d->l->pool, &d->own);
}

static int run_close(struct local_op *op)
{
	struct local_data *d = op->of;

	return close(d->fd) < 0 ? -errno : 0;
}

void local_data_close(void *data, driver_done *done, void *arg)
{
	struct local_data *d = data;

	d->own = (struct local_op){
		.run = run_close, .of = d, .spent = d, .done = done, .arg = arg
	};
	local_submit(&d->l->pool, &d->own);
}

/* What a read or write of the kernel's has moved; 0: go on. */
static int moved(struct transfer *t, ssize_t n)
{
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EIO; /* somebody has made the file shorter */
	t->off += (uint64_t)n;
	t->len -= (uint64_t)n;
	return 0;
}

static int run_read(struct local_op *op)
{
	struct transfer *t = op->of;
	int r = 0;

	while (r == 0 && t->len > 0) {
		ssize_t n = pread(t->fd, t->in, t->len, (off_t)t->off);

		t->in += n > 0 ? n : 0;
		r = moved(t, n);
	}
	return r;
}

static int run_write(struct local_op *op)
{
	struct transfer *t = op->of;
	int r = 0;

	while (r == 0 && t->len > 0) {
		ssize_t n = pwrite(t->fd, t->out, t->len, (off_t)t->off);

		t->out += n > 0 ? n : 0;
		r = moved(t, n);
	}
	return r;
}

static int write_zeroes(struct transfer *t)
{
	static const char zeroes[128 << 10];
	int r = 0;

	while (r == 0 && t->len > 0) {
		size_t len = t->len < sizeof zeroes ? t->len : sizeof zeroes;

		r = moved(t, pwrite(t->fd, zeroes, len, (off_t)t->off));
	}
	return r;
}

static int run_zero(struct local_op *op)
{
	struct transfer *t = op->of;
	int r;

	do
		r = fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)t->off,
			(off_t)t->len);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return 0;
	/* a filesystem without holes */
	return errno == EOPNOTSUPP || errno == ENOSYS ? write_zeroes(t) : -errno;
}

static int run_flush(struct local_op *op)
{
	struct transfer *t = op->of;

	return fdatasync(t->fd) < 0 ? -errno : 0;
}

static void begin(struct local_data *d, int (*run)(struct local_op *), struct transfer what,
	driver_done *done, void *arg)
{
	struct transfer *t = malloc(sizeof *t);

	if (!t) {
		done(arg, -ENOMEM);
		return;
	}
	*t = what;
	t->fd = d->fd;
	t->op = (struct local_op){ .run = run, .of = t, .spent = t, .done = done, .arg = arg };
	local_submit(&d->l->pool, &t->op);
}

void local_data_read(void *data, uint64_t off, size_t len, void *buf, driver_done *done, void *arg)
{
	struct local_data *d = data;
	struct iovec to = { .iov_base = buf, .iov_len = len };
	/* what is in memory, without waiting: as much of it as there is, an error where there is none or the filesystem knows
	 * no such reads */
	ssize_t n = preadv2(d->fd, &to, 1, (off_t)off, RWF_NOWAIT);
	size_t got = n > 0 ? (size_t)n : 0;

	if (got == len) {
		done(arg, 0);
		return;
	}
	begin(d, run_read,
		(struct transfer){ .off = off + got, .len = len - got, .in = (char *)buf + got },
		done, arg);
}

void local_data_write(
	void *data, uint64_t off, size_t len, const void *buf, driver_done *done, void *arg)
{
	begin(data, run_write, (struct transfer){ .off = off, .len = len, .out = buf }, done, arg);
}

void local_data_zero(void *data, uint64_t off, uint64_t len, driver_done *done, void *arg)
{
	if (len == 0) /* fallocate() would refuse it */
		done(arg, 0);
	else
		begin(data, run_zero, (struct transfer){ .off = off, .len = len }, done, arg);
}

void local_data_flush(void *data, driver_done *done, void *arg)
{
	begin(data, run_flush, (struct transfer){ 0 }, done, arg);
}

int local_data_next(void *data, uint64_t off, uint64_t size, bool hole, uint64_t *ret)
{
	struct local_data *d = data;
	off_t next = lseek(d->fd, (off_t)off, hole ? SEEK_HOLE : SEEK_DATA);

	if (next < 0 && errno != ENXIO)
		return -errno;
	*ret = next < 0 || (uint64_t)next > size ? size : (uint64_t)next;
	return 0;
}
