#include "dblock.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long the server of a killed daemon may take to end in order. */
enum { ORPHAN_MS = 10000 };

static int make_folder(const char *database, struct err *err)
{
	CLEANUP_FREE char *folder = strdup(database);
	char *slash = folder ? strrchr(folder, '/') : NULL;

	if (!slash || slash == folder)
		return 0;
	*slash = '\0';
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "cannot make '%s' for the database: %m", folder);
	return 0;
}

/* The process whose id stands in the file; 0 if none does. */
static pid_t holder(int fd)
{
	char text[16] = "";

	return pread(fd, text, sizeof text - 1, 0) > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* Is the daemon that took it still there? If not, what holds it is its last server, on its way out.
 */
static bool holder_lives(int fd)
{
	pid_t pid = holder(fd);

	return pid <= 0 || kill(pid, 0) == 0 || errno == EPERM;
}

static int lock_or_refuse(int fd, const char *database, struct err *err)
{
	int64_t until = clock_mono_ns() + ORPHAN_MS * INT64_C(1000000);

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return err_set(err, -errno, "cannot lock the database '%s': %m", database);
		if (holder_lives(fd) || clock_mono_ns() > until)
			return err_set(err, -EBUSY,
				"the database '%s' is in use by another volfs, process %d",
				database, (int)holder(fd));
		(void)usleep(20000);
	}
	return 0;
}

static char *path_of(const char *database)
{
	CLEANUP_FREE char *real = NULL;
	char *path;

	real = realpath(database, NULL); /* SQLite follows symbolic links too; NULL: a new one */
	return asprintf(&path, "%s.lock", real ? real : database) < 0 ? NULL : path;
}

bool dblock_is_held_by(const char *database, pid_t pid)
{
	CLEANUP_FREE char *path = path_of(database);
	CLEANUP_FD int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	return fd >= 0 && holder(fd) == pid && flock(fd, LOCK_SH | LOCK_NB) < 0;
}

int dblock_take(const char *database, int *ret, struct err *err)
{
	CLEANUP_FREE char *path = NULL;
	int fd, r;

	if (!strncmp(database, "rados:", strlen("rados:"))) {
		*ret = -1;
		return 0;
	}
	r = make_folder(database, err);
	if (r < 0)
		return r;
	path = path_of(database);
	if (!path)
		return err_set(err, -ENOMEM, "no memory");
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return err_set(err, -errno, "cannot open '%s': %m", path);
	r = lock_or_refuse(fd, database, err);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	dblock_sign(fd);
	*ret = fd;
	return 0;
}

void dblock_sign(int fd)
{
	char text[16];
	int n = snprintf(text, sizeof text, "%d\n", (int)getpid());

	if (fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) != n)
		(void)ftruncate(fd, 0);
}
