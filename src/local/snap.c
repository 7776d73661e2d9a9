/*
 * Snapshots: a copy of the image's file, made under another name, synced and renamed, so it is there whole or not at all. An image is
 * reverted in the same way: its new file takes the old one's name.
 */
#include "base/cleanup.h"
#include "local/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 100 };

int local_open_snaps(const struct local *l, int dir, const char *of, struct err *err)
{
	char name[LOCAL_NAME_MAX];
	int fd;

	local_name_snaps(of, name);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	return errno == ENOENT ? -ENOENT : local_failed(err, l, "open", name);
}

int local_open_snap(const struct local *l, int dir, const struct driver_image *image,
	const struct driver_snap *snap, struct stat *st, struct err *err)
{
	char of[LOCAL_NAME_MAX], name[LOCAL_NAME_MAX];
	CLEANUP_FD int snaps = -1;

	local_name(image, of);
	local_name_snap(snap, name);
	snaps = local_open_snaps(l, dir, of, err);
	if (snaps == -ENOENT)
		return err_set(err, -ENOENT, "'%s/%s' has no %s", l->conf->path, of, name);
	if (snaps < 0)
		return snaps;
	return local_open_file(l, snaps, name, O_RDONLY, st, err);
}

/* Where others are in it, it stays. */
static int drop_snaps(struct local *l, int dir, const char *of, struct err *err)
{
	char name[LOCAL_NAME_MAX];

	local_name_snaps(of, name);
	local_crash_point(l);
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != ENOTEMPTY &&
		errno != EEXIST)
		return local_failed(err, l, "remove", name);
	return 0;
}

/* --- taking */

/* Snapshots are ordered by the time of their files, and the kernel's own is as coarse as its tick. */
static int set_time(int fd)
{
	struct timespec now[2];

	(void)clock_gettime(CLOCK_REALTIME, &now[0]);
	now[1] = now[0];
	return futimens(fd, now) < 0 ? -errno : 0;
}

/* Copies into a new file and syncs it; nothing is left of it after a failure. */
static int copy_new(struct local *l, int from, const struct stat *st, int dir, const char *name,
	mode_t mode, struct driver_progress *progress, struct err *err)
{
	CLEANUP_FD int to = local_open_new(l, dir, name, mode, err);
	int r;

	if (to < 0)
		return to;
	local_crash_point(l);
	r = local_copy(from, to, (uint64_t)st->st_size, progress);
	if (r == 0)
		r = set_time(to);
	if (r < 0)
		(void)err_set(
			err, r, "cannot copy to '%s/%s': %s", l->conf->path, name, strerror(-r));
	else
		r = local_sync(l, to, name, err);
	if (r < 0)
		(void)local_unlink(l, dir, name, NULL);
	return r;
}

/* 0 also if it is there already. */
static int take(struct local *l, int dir, int snaps, const struct driver_image *image,
	const struct driver_snap *snap, struct driver_progress *progress, struct err *err)
{
	char of[LOCAL_NAME_MAX], name[LOCAL_NAME_MAX], unfinished[LOCAL_NAME_MAX];
	CLEANUP_FD int from = -1;
	struct stat st;
	int r;

	local_name_snap(snap, name);
	r = local_find(l, snaps, name, &st, err);
	if (r != 0)
		return r < 0 ? r : 0;
	local_name(image, of);
	from = local_open_file(l, dir, of, O_RDONLY, &st, err);
	if (from < 0)
		return from;
	local_name_new(name, unfinished);
	r = copy_new(l, from, &st, snaps, unfinished, 0400, progress, err);
	return r < 0 ? r : local_rename(l, snaps, unfinished, name, err);
}

/* The directory goes with the last snapshot in it, which another thread may just be removing. -ESTALE: it is gone. */
static int take_into(struct local *l, int dir, const struct driver_image *image,
	const struct driver_snap *snap, struct driver_progress *progress, struct err *err)
{
	char of[LOCAL_NAME_MAX], name[LOCAL_NAME_MAX];
	CLEANUP_FD int snaps = -1;
	struct stat st;
	int r;

	local_name(image, of);
	local_name_snaps(of, name);
	local_crash_point(l);
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return local_failed(err, l, "make", name);
	snaps = local_open_snaps(l, dir, of, err);
	if (snaps < 0)
		return snaps == -ENOENT ? -ESTALE : snaps;
	r = take(l, dir, snaps, image, snap, progress, err);
	if (r == 0)
		r = local_sync(l, snaps, name, err);
	if (r == 0)
		return local_sync(l, dir, ".", err);
	(void)drop_snaps(l, dir, of, NULL);
	return r == -ENOENT && fstat(snaps, &st) == 0 && st.st_nlink == 0 ? -ESTALE : r;
}

int local_snap_create(void *be, const struct driver_image *image, const struct driver_snap *snap,
	struct driver_progress *progress, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	char name[LOCAL_NAME_MAX];
	struct stat st;
	int r;

	if (dir < 0)
		return dir;
	local_name(image, name);
	r = local_look_at(l, dir, name, &st, err); /* else nothing is to be made */
	if (r < 0)
		return r;
	r = -ESTALE;
	for (int i = 0; i < TRIES && r == -ESTALE; i++)
		r = take_into(l, dir, image, snap, progress, err);
	return r == -ESTALE ? err_set(err, -EAGAIN, "'%s/%s': its snapshots are being removed",
				      l->conf->path, name)
			    : r;
}

/* --- removing */

static int remove_from(
	struct local *l, int dir, const char *of, const struct driver_snap *snap, struct err *err)
{
	char name[LOCAL_NAME_MAX], unfinished[LOCAL_NAME_MAX];
	CLEANUP_FD int snaps = local_open_snaps(l, dir, of, err);
	int r;

	if (snaps < 0)
		return snaps == -ENOENT ? 0 : snaps;
	local_name_snap(snap, name);
	local_name_new(name, unfinished);
	r = local_unlink(l, snaps, unfinished, err);
	if (r == 0)
		r = local_unlink(l, snaps, name, err);
	return r < 0 ? r : local_sync(l, snaps, name, err);
}

int local_snap_remove(
	void *be, const struct driver_image *image, const struct driver_snap *snap, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	char of[LOCAL_NAME_MAX];
	int r;

	if (dir < 0)
		return dir;
	local_name(image, of);
	r = remove_from(l, dir, of, snap, err);
	if (r == 0)
		r = drop_snaps(l, dir, of, err);
	return r < 0 ? r : local_sync(l, dir, ".", err);
}

/* Real ones are counted; the rest goes. */
struct ending {
	struct local *l;
	int snaps;
	unsigned real;
	struct err *err;
};

static int count_real(void *arg, const char *name)
{
	struct ending *e = arg;
	struct driver_snap snap;

	e->real += local_name_is_snap(name, &snap) && !snap.temporary;
	return 0;
}

static int clear(void *arg, const char *name)
{
	struct ending *e = arg;
	struct driver_snap snap;

	if (name[0] != '.' && !local_name_is_snap(name, &snap))
		return 0; /* somebody else's, who has to look after it */
	return local_unlink(e->l, e->snaps, name, e->err);
}

int local_end_snaps(struct local *l, int dir, const char *of, struct err *err)
{
	CLEANUP_FD int snaps = local_open_snaps(l, dir, of, err);
	struct ending e = { .l = l, .snaps = snaps, .err = err };
	int r;

	if (snaps < 0)
		return snaps == -ENOENT ? 0 : snaps;
	r = local_walk(l, snaps, count_real, &e, err);
	if (r < 0)
		return r;
	if (e.real)
		return err_set(
			err, -ENOTEMPTY, "'%s/%s' has %u snapshots", l->conf->path, of, e.real);
	r = local_walk(l, snaps, clear, &e, err);
	return r < 0 ? r : drop_snaps(l, dir, of, err);
}

/* --- reverting */

static int revert_to(struct local *l, int dir, int from, const struct stat *st, const char *name,
	struct driver_progress *progress, struct err *err)
{
	char unfinished[LOCAL_NAME_MAX];
	int r;

	local_name_new(name, unfinished);
	r = copy_new(l, from, st, dir, unfinished, 0600, progress, err);
	if (r < 0)
		return r;
	r = local_refuse_used(l, dir, name, err); /* that may have taken a while */
	local_crash_point(l);
	if (r == 0 && renameat(dir, unfinished, dir, name) < 0)
		r = local_failed(err, l, "replace", name);
	if (r < 0)
		(void)local_unlink(l, dir, unfinished, NULL);
	return r < 0 ? r : local_sync(l, dir, ".", err);
}

int local_revert(void *be, const struct driver_image *image, const struct driver_snap *snap,
	struct driver_progress *progress, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	CLEANUP_FD int from = -1;
	char name[LOCAL_NAME_MAX];
	struct stat st, now;
	int r;

	if (dir < 0)
		return dir;
	local_name(image, name);
	r = local_refuse_used(l, dir, name, err);
	if (r == 0)
		r = local_look_at(l, dir, name, &now, err);
	if (r < 0)
		return r;
	from = local_open_snap(l, dir, image, snap, &st, err);
	if (from < 0)
		return from;
	if (st.st_size != now.st_size)
		return err_set(err, -EINVAL,
			"the snapshot has %" PRIu64 " bytes, '%s/%s' has %" PRIu64,
			(uint64_t)st.st_size, l->conf->path, name, (uint64_t)now.st_size);
	return revert_to(l, dir, from, &st, name, progress, err);
}
