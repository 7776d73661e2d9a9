/* FUSE's pid is a thread's id; what it belongs to, and what else that process holds open, only
 * /proc can say. */
#include "base/cleanup.h"
#include "fs/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads a small file of /proc whole; false if the process is gone. */
static bool proc_read(pid_t pid, const char *file, char *text, size_t room)
{
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, room - 1);
	text[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

/* A number in the text of /proc/<pid>/status; key: "\nTgid:". -1: it is not there. */
static long number_in(const char *status, const char *key)
{
	const char *at = strstr(status, key);

	return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

pid_t who_tgid(pid_t tid)
{
	char text[4096];

	if (tid <= 0 || !proc_read(tid, "status", text, sizeof text))
		return 0;
	return (pid_t)number_in(text, "\nTgid:");
}

/* The supplementary groups in the text of /proc/<pid>/status. */
static size_t groups_in(const char *status, gid_t *groups, size_t room)
{
	const char *at = strstr(status, "\nGroups:");
	size_t n = 0;
	char *end;

	for (at = at ? at + 8 : "\n"; n < room; at = end) {
		unsigned long gid;

		while (*at == ' ' || *at == '\t')
			at++;
		if (*at < '0' || *at > '9')
			break;
		gid = strtoul(at, &end, 10);
		groups[n++] = (gid_t)gid;
	}
	return n;
}

static bool in_group(const struct caller *c, gid_t gid)
{
	for (size_t i = 0; i < c->group_count; i++)
		if (c->groups[i] == gid)
			return true;
	return c->gid == gid;
}

void who_fill(struct fs *fs, uid_t uid, gid_t gid, pid_t tid, struct who *ret)
{
	char text[4096];
	pid_t session;

	*ret = (struct who){ .caller = { .uid = uid, .gid = gid, .pid = tid } };
	ret->caller.groups = ret->groups;
	if (tid > 0 && proc_read(tid, "status", text, sizeof text)) {
		ret->tgid = (pid_t)number_in(text, "\nTgid:");
		ret->caller.group_count = groups_in(text, ret->groups, WHO_GROUPS);
		session = getsid(tid);
		ret->caller.session = session < 0 ? 0 : session;
	}
	if (ret->tgid)
		ret->caller.pid = ret->tgid;
	ret->caller.admin = uid == 0 || in_group(&ret->caller, fs->admin_gid);
}

bool who_is_admin(struct fs *fs, const struct ctx *c)
{
	struct who who;

	if (c->uid == 0)
		return true;
	who_fill(fs, c->uid, c->gid, c->pid, &who);
	return who.caller.admin;
}

/*
 * /proc/<pid>/stat: after the name in parentheses the 9th field of all is the kernel's task flags,
 * the last one (52) the exit code, whose low seven bits are the signal. A thread that another
 * thread's exit() takes along has the flag too, but no signal.
 */
static bool dies_by_signal(pid_t tid)
{
	enum { PF_SIGNALED = 0x400 }; /* <linux/sched.h> */
	char text[1024], state;
	const char *at, *last;
	unsigned flags;

	if (!proc_read(tid, "stat", text, sizeof text))
		return false;
	at = strrchr(text, ')');
	last = strrchr(text, ' ');
	return at && last && sscanf(at + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) == 2 &&
	       (flags & PF_SIGNALED) && (strtoul(last, NULL, 10) & 0x7f);
}

/*
 * Only of who is past the point of its exit at which the kernel takes its descriptors away and
 * closes them (FDSize 0) may /proc/<pid>/stat be read: execve(2) closes what is close-on-exec under
 * the very lock that reading it waits for, and waits there for our answer. /proc/<pid>/status needs
 * no such lock.
 */
pid_t who_closes(pid_t tid, bool *ret_killed)
{
	char text[4096];

	*ret_killed = false;
	if (tid <= 0 || !proc_read(tid, "status", text, sizeof text))
		return 0;
	*ret_killed = number_in(text, "\nFDSize:") == 0 && dies_by_signal(tid);
	return (pid_t)number_in(text, "\nTgid:");
}

/* A signal that ends a process is turned into SIGKILL for each of its threads. */
bool who_is_killed(pid_t tid)
{
	enum { SIGKILL_BIT = 1 << (9 - 1) };
	char text[4096];
	const char *at;

	if (tid <= 0)
		return false;
	if (!proc_read(tid, "status", text, sizeof text))
		return true;
	at = strstr(text, "\nSigPnd:");
	return at && strtoull(at + 8, NULL, 16) & SIGKILL_BIT;
}

/* Not by stat(2) of /proc/<pid>/fd/N, which takes half the time, but whose links wait for the same
 * lock of execve(2) (Linux 6.18). */
unsigned who_descriptors(pid_t tgid, fuse_ino_t ino)
{
	char path[64], text[512];
	const char *at;
	unsigned n = 0;
	struct dirent *e;
	DIR *dir;

	(void)snprintf(path, sizeof path, "/proc/%d/fdinfo", (int)tgid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT || errno == ESRCH
			       ? 0
			       : UINT_MAX; /* unknown: RELEASE will tell */
	while ((e = readdir(dir))) {
		CLEANUP_FD int fd = -1;
		ssize_t got;

		if (e->d_name[0] == '.')
			continue;
		fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC);
		got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
		if (got <= 0)
			continue;
		text[got] = '\0';
		at = strstr(text, "\nino:");
		if (at && strtoull(at + 5, NULL, 10) == ino)
			n++;
	}
	closedir(dir);
	return n;
}
