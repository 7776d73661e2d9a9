/* What session.c (threads, life) and takeover.c (INIT, and the server before) share. */
#ifndef VOLFS_FS_SESSION_INTERNAL_H
#define VOLFS_FS_SESSION_INTERNAL_H

#include "base/lock.h"
#include "fs/session.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
	SESSION_WRITE_MAX = SESSION_SPACE,
	SESSION_SPARE = 32, /* messages that are kept for the next that is taken */
};

struct reader {
	struct session *session;
	pthread_t thread;
	unsigned index;
	_Atomic bool reading; /* in read(2), or about to be: a signal does no harm */
	char *buffer;
};

struct session {
	struct fuse_session *fuse;
	struct fuse_lowlevel_ops ops; /* the caller's, before the gaps were filled */
	struct keep *keep;
	int fd; /* the same as libfuse's, which closes it */
	bool epoch_done;
	_Atomic bool quitting;
	_Atomic int failure; /* -errno that ended a thread; 0 */
	sem_t ended;	     /* posted by session_quit() and by every thread that leaves */
	unsigned thread_count, started;
	struct lock spare_lock;
	char *spare[SESSION_SPARE]; /* spare_lock; messages that nobody has */
	unsigned spare_count;	    /* spare_lock */
	struct reader *reader;	    /* thread_count of them */
};

/* What the calling thread is handling. */
struct session_now {
	struct session *session;
	struct fuse_in_header head;
	uint64_t kh;
	unsigned thread;
	struct reader *reader; /* whose message it is; NULL: nobody's to take */
	int init_error;	       /* of INIT: what the answer was found to be */
};
extern _Thread_local struct session_now session_now;

/* --- session.c */

/* One message of the kernel into r->buffer: its length; 0: none came, look whether it is time to
 * go; -errno: the connection is over. */
ssize_t session_next_message(struct reader *r);
void session_handle(struct session *s, char *msg, size_t len);

/* --- takeover.c */

/* libfuse's init handler: chooses what is wanted of the kernel, and asks the caller's. */
void session_init(void *userdata, struct fuse_conn_info *conn);

/* INIT's answer passes here on its way to the kernel: patched, kept, and not sent if it is not what
 * the mount lives by. As writev(2). */
ssize_t session_write_init(struct session *s, int fd, const struct iovec *iov, int count);

/* A notification without a request: its code stands where a reply has its error. */
int session_notify(struct session *s, int code, const void *body, size_t len);

#endif
