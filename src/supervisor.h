/*
 * The supervisor: opens /dev/fuse, mounts, starts the server process on that descriptor, and starts
 * another when it dies. Single-threaded, no Ceph, no SQLite, no FUSE protocol. The descriptors it
 * keeps outlive every server: /dev/fuse, the keep memfd, the lock of the database.
 *
 *      mounted ──▶ server runs ──(dies)──▶ server runs …     SIGTERM: unmount, server ends, exit 0
 *                      └─ five deaths within a minute ─▶ unmount, say why, exit 1
 *
 * SIGHUP: the server makes way for a new one, of the binary that stands at the same path now. Where
 * the kernel cannot send unanswered requests again (before Linux 6.9), or the new binary cannot go
 * on with the old one's mount, it is mounted anew: open files then fail with ENOTCONN.
 */
#ifndef VOLFS_SUPERVISOR_H
#define VOLFS_SUPERVISOR_H

#include "base/err.h"

#include <stdbool.h>

struct supervisor_args {
	const char *config;	/* path, or NULL */
	const char *local;	/* --local DIR, or NULL */
	const char *source;	/* shown in /proc/mounts; NULL: "volfs" */
	const char *mountpoint; /* as given */
	const char *options;	/* of -o, by comma; NULL */
	bool foreground;
	unsigned max_deaths;  /* of the server within a minute, then it is given up; 0: never */
	const char *database; /* from the configuration: its lock is the supervisor's */
};

/* Runs until the mount ends. Returns the exit status of `volfs`. Without foreground the calling
 * process returns 0 when the mount answers, 1 with the sentence on stderr when it cannot. */
int supervisor_run(const struct supervisor_args *args);

#endif
