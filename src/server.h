/* The server process: builds the modules from the leaves up, serves until told to end, ends them in reverse. */
#ifndef VOLFS_SERVER_H
#define VOLFS_SERVER_H

/* What the supervisor hands over by exec; descriptors are open in the server. */
struct server_args {
	const char *config, *local; /* one of them */
	const char *mountpoint;     /* absolute */
	int fuse_fd, keep_fd;
	int ready_fd;               /* one byte is written when requests are answered; else a sentence; -1: nobody waits */
	int lock_fd;                /* keeps the database locked while a server lives */
};

/* Returns the exit status: 0 ended in order (unmounted or SIGTERM), SERVER_REFUSED: do not start another. */
int server_run(const struct server_args *args);

enum { SERVER_REFUSED = 78 }; /* EX_CONFIG: the configuration or the database cannot be used */

#endif
