/* The server process: builds the modules from the leaves up, serves until told to end, ends them in
 * reverse. */
#ifndef VOLFS_SERVER_H
#define VOLFS_SERVER_H

#include <stdbool.h>

/* What the supervisor hands over by exec; descriptors are open in the server. */
struct server_args {
	const char *config, *local; /* one of them */
	const char *mountpoint;	    /* absolute */
	bool foreground;	    /* log to stderr */
	int fuse_fd, keep_fd;
	int ready_fd; /* SERVER_READY is written when requests are answered; else a sentence */
	int lock_fd;  /* keeps the database locked while a server lives */
};

enum { SERVER_READY = '+' };

/* Exit statuses. 0: ended in order, because it was unmounted. */
enum {
	SERVER_FAILED = 1,
	SERVER_TOLD = 80, /* ended in order, by SIGTERM, or by SIGHUP to make way for another */
	SERVER_REFUSED = 78, /* EX_CONFIG: the configuration or the database cannot be used: do not
				start another */
	SERVER_REMOUNT = 79, /* this binary cannot go on with the mount: make it anew */
};

/* Returns the exit status. */
int server_run(const struct server_args *args);

#endif
