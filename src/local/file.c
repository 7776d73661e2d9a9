/*
 * The files. "volume-<uuid>" is there with its full size or not at all: a file is made as
 * ".volume-<uuid>.new", sized, synced and then renamed. A crash leaves at most that other name
 * behind; the next try, or remove(), clears it.
 *
 * Everything is opened relative to the directory and without following symbolic links: a link that
 * somebody put there would lead writes elsewhere.
 */
#include "base/cleanup.h"
#include "local/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void local_name(const struct driver_image *image, char name[LOCAL_NAME_MAX])
{
	(void)snprintf(name, LOCAL_NAME_MAX, "volume-%s", image->uuid);
}

static void new_name(const struct driver_image *image, char name[LOCAL_NAME_MAX])
{
	(void)snprintf(name, LOCAL_NAME_MAX, ".volume-%s.new", image->uuid);
}

static int failed(struct err *err, struct local *l, const char *what, const char *name)
{
	return err_set(
		err, -errno, "cannot %s '%s/%s': %s", what, l->conf->path, name, strerror(errno));
}

static int not_a_file(struct err *err, struct local *l, const char *name)
{
	return err_set(err, -EINVAL, "'%s/%s' is not an ordinary file", l->conf->path, name);
}

static int sync_dir(struct local *l, int dir, struct err *err)
{
	local_crash_point(l);
	return fsync(dir) < 0 ? failed(err, l, "sync", ".") : 0;
}

/* Is the image there from an earlier try? 1 yes, 0 no. */
static int find_made(struct local *l, int dir, const struct driver_image *image, struct err *err)
{
	char name[LOCAL_NAME_MAX];
	struct stat st;

	local_name(image, name);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed(err, l, "look at", name);
	if (!S_ISREG(st.st_mode))
		return not_a_file(err, l, name);
	if ((uint64_t)st.st_size != image->size)
		return err_set(err, -EEXIST, "'%s/%s' is there already and has %" PRIu64 " bytes",
			l->conf->path, name, (uint64_t)st.st_size);
	return 1;
}

/* Returns the descriptor of ".volume-<uuid>.new", empty. */
static int open_new(struct local *l, int dir, const char *name, struct err *err)
{
	int fd;

	local_crash_point(l);
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return failed(err, l, "remove", name);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? failed(err, l, "create", name) : fd;
}

static int make_new(struct local *l, int dir, const struct driver_image *image, struct err *err)
{
	char name[LOCAL_NAME_MAX];
	int fd;

	new_name(image, name);
	fd = open_new(l, dir, name, err);
	local_crash_point(l);
	if (fd >= 0 && ftruncate(fd, (off_t)image->size) < 0) {
		(void)failed(err, l, "size", name);
		close(fd);
		return err->code;
	}
	return fd;
}

static int keep_new(struct local *l, int dir, const struct driver_image *image, struct err *err)
{
	char from[LOCAL_NAME_MAX], to[LOCAL_NAME_MAX];

	new_name(image, from);
	local_name(image, to);
	local_crash_point(l);
	if (renameat2(dir, from, dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	/* a filesystem without that flag; nobody else makes this name */
	if (errno == EINVAL && renameat(dir, from, dir, to) == 0)
		return 0;
	return failed(err, l, "create", to);
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
			c->code = fd[i] = make_new(l, dir, &c->image, &c->err);
	}
	for (size_t i = 0; i < n; i++) {
		struct driver_create *c = &each[i];

		if (fd[i] < 0)
			continue;
		c->code = fsync(fd[i]) < 0 ? failed(&c->err, l, "sync", "volume") : 0;
		close(fd[i]);
		if (c->code == 0)
			c->code = keep_new(l, dir, &c->image, &c->err);
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
	if (sync_dir(l, dir, &err) < 0)
		fail_all(each, n, &err);
	for (size_t i = 0; i < n; i++) {
		if (each[i].code > 0)
			each[i].code = 0;
	}
}

/*
 * Has anybody else the file open? The kernel grants a write lease only if not. Filesystems without
 * leases say neither yes nor no; then nobody is asked. The signal for a broken lease is set to one
 * that is ignored by default, since SIGIO would end the process.
 */
static bool in_use(int dir, const char *name)
{
	CLEANUP_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fcntl(fd, F_SETSIG, SIGURG) < 0)
		return false;
	if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0) {
		(void)fcntl(fd, F_SETLEASE, F_UNLCK);
		return false;
	}
	return errno == EAGAIN || errno == EBUSY;
}

static int remove_name(struct local *l, int dir, const char *name, struct err *err)
{
	local_crash_point(l);
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return failed(err, l, "remove", name);
	return 0;
}

int local_remove(void *be, const struct driver_image *image, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	char name[LOCAL_NAME_MAX], unfinished[LOCAL_NAME_MAX];
	int r;

	if (dir < 0)
		return dir;
	local_name(image, name);
	new_name(image, unfinished);
	if (in_use(dir, name))
		return err_set(err, -EBUSY, "'%s/%s' is open", l->conf->path, name);
	r = remove_name(l, dir, unfinished, err);
	if (r == 0)
		r = remove_name(l, dir, name, err);
	return r < 0 ? r : sync_dir(l, dir, err);
}

static int resize_file(struct local *l, int fd, const char *name, uint64_t size, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return failed(err, l, "look at", name);
	if (!S_ISREG(st.st_mode))
		return not_a_file(err, l, name);
	if ((uint64_t)st.st_size > size)
		return err_set(err, -EINVAL, "'%s/%s' has %" PRIu64 " bytes: volumes only grow",
			l->conf->path, name, (uint64_t)st.st_size);
	local_crash_point(l);
	if ((uint64_t)st.st_size < size && ftruncate(fd, (off_t)size) < 0)
		return failed(err, l, "extend", name);
	/* also where nothing was to be done: the try that did it may have been cut short of this */
	return fsync(fd) < 0 ? failed(err, l, "sync", name) : 0;
}

int local_resize(void *be, const struct driver_image *image, uint64_t size, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	CLEANUP_FD int fd = -1;
	char name[LOCAL_NAME_MAX];

	if (dir < 0)
		return dir;
	local_name(image, name);
	fd = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? failed(err, l, "open", name) : resize_file(l, fd, name, size, err);
}

int local_used(void *be, const struct driver_image *image, uint64_t *ret, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	char name[LOCAL_NAME_MAX];
	struct stat st;

	if (dir < 0)
		return dir;
	local_name(image, name);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(err, l, "look at", name);
	if (!S_ISREG(st.st_mode))
		return not_a_file(err, l, name);
	*ret = (uint64_t)st.st_blocks * 512;
	return 0;
}
