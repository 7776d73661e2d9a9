/*
 * The FUSE session: libfuse's low-level loop over a /dev/fuse that the supervisor has mounted, in a
 * form that a later server can take up where a killed one stopped.
 *
 *      session_new ──▶ session_take_over ──▶ session_start ──▶ session_wait ──▶ session_stop ──▶ session_free
 *
 * What a handler may rely on: it runs on one of `threads` threads of the session and may reply from
 * any thread, at any time. A handler of a changing request passes session_change_id() on, because
 * the kernel sends every request that a killed server did not answer again. session_change_id(),
 * session_poll_kh() and session_thread() describe the request that the calling thread is handling
 * and are valid only inside a handler's own call.
 *
 * No operation answers ENOSYS, which would switch it off for the whole mount: see session_new().
 */
#ifndef VOLFS_FS_SESSION_H
#define VOLFS_FS_SESSION_H

#include "base/err.h"
#include "engine/engine.h"
#include "keep.h"

#include <fuse_lowlevel.h>

#include <stdbool.h>
#include <stdint.h>

struct session;

enum {
	SESSION_THREADS = 10,
	SESSION_SPACE = 1 << 20,
	SESSION_MESSAGE =
		SESSION_SPACE + 4096, /* memory of a message: a WRITE of full size and its header */
};

/* INIT flags of the kernel that libfuse 3.14 has no name for; for session_offers(). */
#define SESSION_DIRECT_IO_ALLOW_MMAP (UINT64_C(1) << 36)
#define SESSION_HAS_RESEND	     (UINT64_C(1) << 39)

/*
 * keep and userdata outlive the session; fuse_fd is the session's and closed by session_free(). ops
 * is copied; what it leaves NULL is answered here: flush, fsync and fsyncdir with 0, ioctl with
 * ENOTTY, everything else with EOPNOTSUPP. Left to libfuse are forget, open, opendir, release,
 * releasedir and statfs (it answers them), locks and bmap (the kernel does them itself),
 * readdirplus (not offered), xattrs and poll (absent for good). ops->init is called after the
 * session has chosen what it wants of the kernel, and may change that: its result must be the same
 * in every server of one binary. threads: 0 means SESSION_THREADS.
 */
int session_new(const struct fuse_lowlevel_ops *ops, void *userdata, struct keep *keep, int fuse_fd,
	unsigned threads, struct session **ret, struct err *err);

/*
 * If the keep holds a FUSE_INIT exchange, it is played to libfuse; then the kernel sends all
 * unanswered requests again, drops stale names, and sleeping poll(2) callers are woken to ask anew.
 * No request is handled yet: the time to notify what the last server could not. -ESTALE: this binary
 * answers INIT otherwise than the mount's first server: mount again.
 */
int session_take_over(struct session *s, struct err *err);

/* Starts the threads: requests are handled from here on. */
int session_start(struct session *s, struct err *err);

/* Did the kernel drop all cached names and attributes when this server took over (INC_EPOCH, Linux
 * 6.16)? If not, and session_is_successor(), what the last one may have changed without a
 * notification must be notified. */
bool session_epoch_done(const struct session *s);

/* Makes the kernel forget all entries and attributes, which it asks for anew. False: this one cannot. */
bool session_inval_all(struct session *s);
bool session_is_successor(const struct session *s);

/* Until the filesystem was unmounted or session_quit() was called: 0; the connection failed:
 * -errno. */
int session_wait(struct session *s);
void session_quit(struct session *s); /* async-signal-safe; any thread */

/* Takes no new request and joins the threads; replies of other threads are still possible until
 * session_free(). A request that stays unanswered is sent again to the next server. */
void session_stop(struct session *s);
void session_free(struct session *s);

/* Of the request that this thread is handling. */
struct change_id session_change_id(struct session *s);
uint64_t session_poll_kh(
	void); /* POLL only: what session_poll_wake() wants; a handle is asked for by ph != NULL */
unsigned session_thread(void); /* 0 … threads - 1: for views that belong to one thread */

/*
 * The message of the request that this thread is handling, taken away from it: what the handler was given by pointer stays as it is
 * until session_message_give(), from any thread. NULL: no memory.
 */
void *session_message_take(struct session *s);
/* Memory of SESSION_SPACE bytes whose pages are there, for a large answer; the same way back. NULL: no memory. */
void *session_message_space(struct session *s);
void session_message_give(struct session *s, void *message);

/* Notifications: from one thread that answers no request. */
int session_inval(struct session *s,
	fuse_ino_t ino); /* all cached attributes of ino; -ENOENT: not cached, no error */
void session_poll_wake(struct session *s, uint64_t kh);

/* Did the kernel offer this INIT flag (bits 0 … 63)? Valid after session_take_over() once INIT
 * was answered. */
bool session_offers(const struct session *s, uint64_t init_flag);

#endif
