/*
 * Starting the server process by exec of the binary that stands at the supervisor's own path: after
 * an upgrade that is the new one.
 */
#ifndef VOLFS_SPAWN_H
#define VOLFS_SPAWN_H

#include "base/err.h"
#include "server.h"

#include <limits.h>
#include <sys/types.h>

struct program {
	char path[PATH_MAX];
	int fd; /* the binary that runs now: started if nothing can be started by path */
};

int program_find(struct program *ret, struct err *err);

/*
 * Starts a server; ready_fd of args is filled in, the reading end (non-blocking) goes to
 * *ret_ready_fd and belongs to the caller. The server is in a process group of its own and gets
 * SIGTERM when the calling thread's process dies. Returns its id.
 */
pid_t spawn_server(const struct program *p, const struct server_args *args, int *ret_ready_fd,
	struct err *err);

/* Runs `volfs --check-config` of the binary at the path: would it accept the configuration? -EINVAL with
 * its sentence. */
int spawn_check(const struct program *p, const struct server_args *args, struct err *err);

#endif
