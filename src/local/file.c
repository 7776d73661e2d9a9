/*
 * The files of images. "volume-<uuid>" is there with its full size and all that it is made from, or not at all: a file is made as
 * ".volume-<uuid>.new", filled, synced and then renamed. A crash leaves at most that other name behind; the next try, or remove(),
 * clears it.
 */
#include "base/cleanup.h"
#include "local/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGE = 1 << 30, STEPS = 100, STEP_GRAIN = 64 << 20 }; /* of what is freed in steps; bytes */

/* Is the image there from an earlier try? 1 yes, 0 no. */
static int find_made(struct local *l, int dir, const struct driver_image *image, struct err *err)
{
	char name[LOCAL_NAME_MAX];
	struct stat st;
	int r;

	local_name(image, name);
	r = local_find(l, dir, name, &st, err);
	if (r <= 0)
		return r;
	if ((uint64_t)st.st_size != image->size)
		return err_set(err, -EEXIST, "'%s/%s' is there already and has %" PRIu64 " bytes",
			l->conf->path, name, (uint64_t)st.st_size);
	return 1;
}

/* The file that a clone is made from. */
static int open_source(struct local *l, int dir, const struct driver_source *source,
	struct stat *st, struct err *err)
{
	struct driver_snap snap = { 0 };
	char name[LOCAL_NAME_MAX];

	if (source->snapshot[0]) {
		memcpy(snap.uuid, source->snapshot, sizeof snap.uuid);
		return local_open_snap(l, dir, &source->image, &snap, st, err);
	}
	local_name(&source->image, name);
	return local_open_file(l, dir, name, O_RDONLY, st, err);
}

static int fill(struct local *l, int dir, int to, const struct driver_create *c, const char *name,
	struct err *err)
{
	struct stat st;
	CLEANUP_FD int from = open_source(l, dir, c->source, &st, err);
	int r;

	if (from < 0)
		return from;
	if ((uint64_t)st.st_size > c->image.size)
		return err_set(err, -EINVAL, "what it is made from has %" PRIu64 " bytes",
			(uint64_t)st.st_size);
	local_crash_point(l);
	r = local_copy(from, to, (uint64_t)st.st_size, c->progress);
	return r < 0 ? err_set(err, r, "cannot copy to '%s/%s': %s", l->conf->path, name,
			       strerror(-r))
		     : 0;
}

/* The descriptor of ".volume-<uuid>.new", of the right size and with the right bytes. */
static int make_new(struct local *l, int dir, struct driver_create *c)
{
	char name[LOCAL_NAME_MAX], unfinished[LOCAL_NAME_MAX];
	int fd, r = 0;

	local_name(&c->image, name);
	local_name_new(name, unfinished);
	fd = local_open_new(l, dir, unfinished, 0600, &c->err);
	if (fd < 0)
		return fd;
	if (c->source)
		r = fill(l, dir, fd, c, unfinished, &c->err);
	local_crash_point(l);
	if (r == 0 && ftruncate(fd, (off_t)c->image.size) < 0)
		r = local_failed(&c->err, l, "size", unfinished);
	if (r == 0)
		return fd;
	close(fd);
	(void)local_unlink(l, dir, unfinished, NULL); /* it may have filled the disk */
	return r;
}

static int keep_new(
	struct local *l, int dir, int fd, const struct driver_image *image, struct err *err)
{
	char name[LOCAL_NAME_MAX], unfinished[LOCAL_NAME_MAX];
	int r;

	local_name(image, name);
	local_name_new(name, unfinished);
	r = local_sync(l, fd, unfinished, err);
	if (r == 0)
		return local_rename(l, dir, unfinished, name, err);
	(void)local_unlink(l, dir, unfinished, NULL);
	return r;
}

static void create_all(struct local *l, int dir, struct driver_create *each, int *fd, size_t n)
{
	/* all are made before the first is synced: then one commit of the filesystem's journal
	 * holds them all */
	for (size_t i = 0; i < n; i++) {
		struct driver_create *c = &each[i];

		fd[i] = -1;
		c->code = find_made(l, dir, &c->image, &c->err);
		if (c->code == 0)
			c->code = fd[i] = make_new(l, dir, c);
	}
	for (size_t i = 0; i < n; i++) {
		struct driver_create *c = &each[i];

		if (fd[i] < 0)
			continue;
		c->code = keep_new(l, dir, fd[i], &c->image, &c->err);
		close(fd[i]);
	}
}

static void fail_all(struct driver_create *each, size_t n, const struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (each[i].code >= 0) {
			each[i].code = err->code;
			each[i].err = *err;
		}
	}
}

void local_create(void *be, struct driver_create *each, size_t n)
{
	struct local *l = be;
	struct err err;
	CLEANUP_FD int dir = local_dir(l, &err);
	int fd[LOCAL_BATCH];

	for (size_t i = 0; i < n; i++)
		each[i].code = 0;
	if (dir < 0) {
		fail_all(each, n, &err);
		return;
	}
	for (size_t i = 0; i < n; i += LOCAL_BATCH)
		create_all(l, dir, each + i, fd, n - i < LOCAL_BATCH ? n - i : LOCAL_BATCH);
	if (local_sync(l, dir, ".", &err) < 0)
		fail_all(each, n, &err);
	for (size_t i = 0; i < n; i++) {
		if (each[i].code > 0)
			each[i].code = 0;
	}
}

/* Freeing a large file may take seconds. Its name has gone, so nobody else has to go on with what is cut short. */
static void free_in_steps(int fd, struct driver_progress *progress)
{
	uint64_t step, had;
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_nlink > 0 || st.st_blocks < LARGE / 512)
		return;
	had = (uint64_t)st.st_blocks * 512;
	step = ((uint64_t)st.st_size / STEPS + STEP_GRAIN) / STEP_GRAIN * STEP_GRAIN;
	atomic_store(&progress->total, had);
	for (uint64_t size = (uint64_t)st.st_size; size > step;) {
		size -= step;
		if (ftruncate(fd, (off_t)size) < 0 || fstat(fd, &st) < 0)
			return;
		atomic_store(&progress->done, had - (uint64_t)st.st_blocks * 512);
	}
}

int local_remove(void *be, const struct driver_image *image, struct driver_progress *progress,
	struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	CLEANUP_FD int fd = -1;
	char name[LOCAL_NAME_MAX], unfinished[LOCAL_NAME_MAX];
	int r;

	if (dir < 0)
		return dir;
	local_name(image, name);
	local_name_new(name, unfinished);
	r = local_refuse_used(l, dir, name, err);
	if (r == 0)
		r = local_end_snaps(l, dir, name, err);
	if (r == 0)
		r = local_unlink(l, dir, unfinished, err);
	if (r == 0 && progress)
		fd = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (r == 0)
		r = local_unlink(l, dir, name, err);
	if (r == 0)
		r = local_sync(l, dir, ".", err);
	if (r == 0 && fd >= 0)
		free_in_steps(fd, progress);
	return r;
}

static int resize_file(struct local *l, int fd, const struct stat *st, const char *name,
	uint64_t size, struct err *err)
{
	if ((uint64_t)st->st_size > size)
		return err_set(err, -EINVAL, "'%s/%s' has %" PRIu64 " bytes: volumes only grow",
			l->conf->path, name, (uint64_t)st->st_size);
	local_crash_point(l);
	if ((uint64_t)st->st_size < size && ftruncate(fd, (off_t)size) < 0)
		return local_failed(err, l, "extend", name);
	/* also where nothing was to be done: the try that did it may have been cut short of this */
	return fsync(fd) < 0 ? local_failed(err, l, "sync", name) : 0;
}

int local_resize(void *be, const struct driver_image *image, uint64_t size, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	CLEANUP_FD int fd = -1;
	char name[LOCAL_NAME_MAX];
	struct stat st;

	if (dir < 0)
		return dir;
	local_name(image, name);
	fd = local_open_file(l, dir, name, O_WRONLY, &st, err);
	return fd < 0 ? fd : resize_file(l, fd, &st, name, size, err);
}

int local_used(void *be, const struct driver_image *image, uint64_t *ret, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	char name[LOCAL_NAME_MAX];
	struct stat st;
	int r;

	if (dir < 0)
		return dir;
	local_name(image, name);
	r = local_look_at(l, dir, name, &st, err);
	if (r == 0)
		*ret = (uint64_t)st.st_blocks * 512;
	return r;
}
