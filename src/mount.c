#include "mount.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PROBE_MS = 3000, /* is what lives at the mountpoint alive? */
	UMOUNT_MS = 2000,
	MAX_READ = 1 << 20,
	READ_AHEAD_KB = 4096,
};

static const char fs_type[] = "fuse.volfs";

/* --- options --------------------------------------------------------------------------------- */

/* What mount(8) and fstab may say. set and clear are MS_ flags; a name that ends in '=' or '-'
 * stands for all that begin with it. Those without flags are either always so or mount(8)'s own. */
static const struct option_row {
	const char *name;
	unsigned long set, clear;
} option_rows[] = {
	{ "rw", 0, MS_RDONLY },
	{ "ro", MS_RDONLY, 0 },
	{ "exec", 0, MS_NOEXEC },
	{ "noexec", MS_NOEXEC, 0 },
	{ "atime", 0, MS_NOATIME },
	{ "noatime", MS_NOATIME, 0 },
	{ "relatime", MS_RELATIME, 0 },
	{ "norelatime", 0, MS_RELATIME },
	{ "strictatime", MS_STRICTATIME, 0 },
	{ "diratime", 0, MS_NODIRATIME },
	{ "nodiratime", MS_NODIRATIME, 0 },
	{ "sync", MS_SYNCHRONOUS, 0 },
	{ "async", 0, MS_SYNCHRONOUS },
	{ "dirsync", MS_DIRSYNC, 0 },
	{ "suid", 0, 0 }, /* accepted, since mount(8) always says it; never granted */
	{ "nosuid", 0, 0 },
	{ "dev", 0, 0 },
	{ "nodev", 0, 0 },
	{ "auto", 0, 0 },
	{ "noauto", 0, 0 },
	{ "nouser", 0, 0 },
	{ "nofail", 0, 0 },
	{ "defaults", 0, 0 },
	{ "_netdev", 0, 0 },
	{ "allow_other", 0, 0 },
	{ "default_permissions", 0, 0 },
	{ "max_read=", 0, 0 },
	{ "comment=", 0, 0 },
	{ "x-", 0, 0 },
	{ "X-", 0, 0 },
	{ NULL, 0, 0 },
};

static const struct option_row *option_find(const char *name)
{
	for (const struct option_row *row = option_rows; row->name; row++) {
		size_t n = strlen(row->name);
		bool prefix = row->name[n - 1] == '=' || row->name[n - 1] == '-';

		if (prefix ? !strncmp(name, row->name, n) : !strcmp(name, row->name))
			return row;
	}
	return NULL;
}

static int parse_options(const char *options, unsigned long *flags, struct err *err)
{
	CLEANUP_FREE char *copy = strdup(options ? options : "");
	char *rest = copy, *name;

	if (!copy)
		return err_set(err, -ENOMEM, "no memory for the mount options");
	*flags = MS_NOSUID | MS_NODEV;
	while ((name = strsep(&rest, ","))) {
		const struct option_row *row = *name ? option_find(name) : NULL;

		if (*name && !row)
			return err_set(err, -EINVAL, "unknown mount option '%s'", name);
		if (row)
			*flags = (*flags & ~row->clear) | row->set;
	}
	return 0;
}

/* --- what is mounted where ------------------------------------------------------------------- */

/* mountinfo writes blank, tab, newline and backslash as three octal digits. In place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *at = text; *at; at++) {
		if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] && at[3]) {
			*to++ = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
			at += 3;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
}

/* One line of /proc/self/mountinfo: is it a volfs at path? Then its device. */
static bool line_is_ours(char *line, const char *path, char dev[24])
{
	char *rest = line, *field[5];
	const char *type = strstr(line, " - ");

	if (!type || strncmp(type + 3, fs_type, sizeof fs_type - 1) ||
		type[2 + sizeof fs_type] != ' ')
		return false;
	for (size_t i = 0; i < 5; i++)
		if (!(field[i] = strsep(&rest, " ")))
			return false;
	unescape(field[4]);
	if (strcmp(field[4], path))
		return false;
	(void)snprintf(dev, 24, "%s", field[2]);
	return true;
}

/* The topmost volfs at path; false if there is none. */
static bool find_mount(const char *path, char ret_dev[24])
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	size_t room = 0;
	bool found = false;

	if (!f)
		return false;
	while (getline(&line, &room, f) > 0)
		if (line_is_ours(line, path, ret_dev))
			found = true;
	(void)fclose(f);
	return found;
}

bool mount_is_there(const struct mount *m)
{
	char dev[24];

	return find_mount(m->path, dev) && !strcmp(dev, m->dev);
}

/* --- children that may hang ------------------------------------------------------------------ */

/* Exit status of a child within ms; -ETIMEDOUT: it was killed. */
static int wait_bounded(pid_t pid, long ms)
{
	int64_t until = clock_mono_ns() + ms * 1000000;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (clock_mono_ns() > until) {
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, &status, WNOHANG); /* the kernel may hold it still:
								 reaped later or by init */
			return -ETIMEDOUT;
		}
		(void)usleep(2000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* Exits with the errno of statfs(2), which asks the server. */
static pid_t start_statfs(const char *path, int fuse_fd)
{
	struct statfs sfs;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (fuse_fd >= 0)
		(void)close(fuse_fd); /* else the connection would live as long as we wait */
	_exit(statfs(path, &sfs) < 0 ? errno & 0xff : 0);
}

pid_t mount_probe(const struct mount *m, int fuse_fd)
{
	return start_statfs(m->path, fuse_fd);
}

/* --- before ---------------------------------------------------------------------------------- */

/* A mount whose daemon is dead answers ENOTCONN (ECONNABORTED if it was cut off by hand), and even
 * realpath(3) may. */
static bool is_stale(int code)
{
	return code == ENOTCONN || code == ECONNABORTED;
}

/* The path of a directory that cannot be looked at: its parent's and its name. */
static char *path_by_parent(const char *given)
{
	CLEANUP_FREE char *copy = strdup(given);
	CLEANUP_FREE char *parent = NULL;
	char *slash, *name, *path = NULL;
	size_t n = copy ? strlen(copy) : 0;

	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = '\0';
	if (n == 0)
		return NULL;
	slash = strrchr(copy, '/');
	name = slash ? slash + 1 : copy;
	if (slash)
		*slash = '\0';
	parent = realpath(!slash ? "." : *copy ? copy : "/", NULL);
	if (parent && asprintf(&path, "%s/%s", strcmp(parent, "/") ? parent : "", name) < 0)
		return NULL;
	return path;
}

/* Clears what dead daemons left, however many lie on each other; refuses if one is alive. */
static int clear_stale(const char *path, struct err *err)
{
	char dev[24];

	for (int i = 0; i < 16 && find_mount(path, dev); i++) {
		int code = wait_bounded(start_statfs(path, -1), PROBE_MS);

		if (code == -ETIMEDOUT)
			return err_set(err, -EBUSY,
				"'%s' is a volfs already, one that does not answer", path);
		if (!is_stale(code))
			return err_set(err, -EBUSY, "'%s' is a volfs already", path);
		log_notice("clearing a mount that a dead daemon left at %s", path);
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return err_set(
				err, -errno, "cannot clear the dead mount at '%s': %m", path);
	}
	return 0;
}

static int resolve_path(const char *given, char **ret, struct err *err)
{
	char *path = realpath(given, NULL);

	if (!path && is_stale(errno))
		path = path_by_parent(given);
	if (!path)
		return err_set(err, -errno, "mountpoint '%s': %s", given,
			errno == ENOENT ? "no such directory, make it first" : strerror(errno));
	*ret = path;
	return 0;
}

int mount_prepare(const char *path, const char *source, const char *options, struct mount *ret,
	struct err *err)
{
	struct mount m = { .source = source ? source : "volfs" };
	struct stat st;
	int r = parse_options(options, &m.flags, err);

	if (r == 0)
		r = resolve_path(path, &m.path, err);
	if (r == 0)
		r = clear_stale(m.path, err);
	if (r == 0 && stat(m.path, &st) < 0)
		r = err_set(err, -errno, "mountpoint '%s': %m", m.path);
	if (r == 0 && !S_ISDIR(st.st_mode))
		r = err_set(err, -ENOTDIR, "mountpoint '%s' is not a directory", m.path);
	if (r < 0) {
		mount_release(&m);
		return r;
	}
	*ret = m;
	return 0;
}

void mount_release(struct mount *m)
{
	free(m->path);
	*m = (struct mount){ 0 };
}

/* --- during ---------------------------------------------------------------------------------- */

int mount_begin(struct mount *m, struct err *err)
{
	char data[160];
	int fd = open("/dev/fuse", O_RDWR);
	int r;

	if (fd < 0)
		return err_set(err, -errno,
			"cannot open /dev/fuse: %m (is the kernel's fuse module there?)");
	(void)snprintf(data, sizeof data,
		"fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other,max_read=%d",
		fd, MAX_READ);
	if (mount(m->source, m->path, fs_type, m->flags, data) < 0) {
		r = err_set(err, -errno, "cannot mount at '%s': %s", m->path,
			errno == EPERM ? "only root may" : strerror(errno));
		(void)close(fd);
		return r;
	}
	if (!find_mount(m->path, m->dev))
		m->dev[0] = '\0'; /* unmounted again this very moment: the server will notice */
	return fd;
}

void mount_raise_read_ahead(const struct mount *m)
{
	char path[96], text[16];
	CLEANUP_FD int fd = -1;
	int n = snprintf(text, sizeof text, "%d\n", READ_AHEAD_KB);

	(void)snprintf(path, sizeof path, "/sys/class/bdi/%s/read_ahead_kb", m->dev);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		log_notice("cannot raise the read-ahead of %s by %s: %s", m->path, path,
			strerror(errno));
}

/* --- after ----------------------------------------------------------------------------------- */

/* In a child, because umount(2) writes back mapped pages of `data`, through a server that may hang.
 */
void mount_end(struct mount *m, int fuse_fd)
{
	pid_t pid;

	if (!mount_is_there(m))
		return;
	pid = fork();
	if (pid == 0) {
		(void)close(fuse_fd);
		_exit(umount2(m->path, UMOUNT_NOFOLLOW) < 0 ? errno & 0xff : 0);
	}
	if (pid > 0 && wait_bounded(pid, UMOUNT_MS) == 0)
		return;
	if (mount_is_there(m) && umount2(m->path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		log_err("cannot unmount %s: %s", m->path, strerror(errno));
}
