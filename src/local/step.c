/*
 * The steps that changes of the directory are made of. Each is a crash point of the tests.
 *
 * Everything is opened relative to the directory and without following symbolic links: a link that somebody put there would lead
 * writes elsewhere.
 */
#include "base/cleanup.h"
#include "local/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int local_failed(struct err *err, const struct local *l, const char *what, const char *name)
{
	return err_set(
		err, -errno, "cannot %s '%s/%s': %s", what, l->conf->path, name, strerror(errno));
}

int local_open_file(const struct local *l, int dir, const char *name, int flags, struct stat *st,
	struct err *err)
{
	/* O_NONBLOCK: something else by that name, such as a FIFO, must not hold up the thread */
	int fd = openat(dir, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int r;

	if (fd < 0)
		return local_failed(err, l, "open", name);
	if (fstat(fd, st) < 0)
		r = local_failed(err, l, "look at", name);
	else if (!S_ISREG(st->st_mode))
		r = err_set(err, -EINVAL, "'%s/%s' is not an ordinary file", l->conf->path, name);
	else
		return fd;
	close(fd);
	return r;
}

int local_find(const struct local *l, int dir, const char *name, struct stat *st, struct err *err)
{
	if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : local_failed(err, l, "look at", name);
	if (!S_ISREG(st->st_mode))
		return err_set(
			err, -EINVAL, "'%s/%s' is not an ordinary file", l->conf->path, name);
	return 1;
}

int local_look_at(
	const struct local *l, int dir, const char *name, struct stat *st, struct err *err)
{
	int r = local_find(l, dir, name, st, err);

	if (r == 0)
		return err_set(err, -ENOENT, "there is no '%s/%s'", l->conf->path, name);
	return r < 0 ? r : 0;
}

int local_sync(struct local *l, int fd, const char *name, struct err *err)
{
	local_crash_point(l);
	return fsync(fd) < 0 ? local_failed(err, l, "sync", name) : 0;
}

int local_open_new(struct local *l, int dir, const char *name, mode_t mode, struct err *err)
{
	int fd, r = local_unlink(l, dir, name, err);

	if (r < 0)
		return r;
	local_crash_point(l);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	return fd < 0 ? local_failed(err, l, "create", name) : fd;
}

int local_rename(struct local *l, int dir, const char *from, const char *to, struct err *err)
{
	struct stat st;

	local_crash_point(l);
	if (renameat2(dir, from, dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	/* a filesystem without that flag; nobody else makes such names */
	if (errno == EINVAL) {
		if (fstatat(dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
			errno = EEXIST;
		else if (renameat(dir, from, dir, to) == 0)
			return 0;
	}
	return local_failed(err, l, "make", to);
}

int local_unlink(struct local *l, int dir, const char *name, struct err *err)
{
	local_crash_point(l);
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return local_failed(err, l, "remove", name);
	return 0;
}

bool local_is_used(int dir, const char *name)
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

int local_refuse_used(const struct local *l, int dir, const char *name, struct err *err)
{
	return local_is_used(dir, name)
		       ? err_set(err, -EBUSY, "'%s/%s' is open", l->conf->path, name)
		       : 0;
}
