/*
 * The exchange with the kernel that a mount begins with, and how a server goes on where a killed
 * one stopped: points 1 and 3 of session.c.
 */
#include "fs/session_internal.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	NOTIFY_RESEND = 7, /* neither is in linux/fuse.h of 6.1 */
	NOTIFY_INC_EPOCH = 8,
};

#define PATCHED_FLAGS (SESSION_DIRECT_IO_ALLOW_MMAP | SESSION_HAS_RESEND)

static void want(struct fuse_conn_info *conn, unsigned cap, bool wanted)
{
	conn->want &= ~cap;
	if (wanted)
		conn->want |= conn->capable & cap;
}

/* Runs inside fuse_session_process_buf(), in the thread that plays INIT. The same in every server:
 * no state goes in. */
void session_init(void *userdata, struct fuse_conn_info *conn)
{
	want(conn, FUSE_CAP_WRITEBACK_CACHE, false); /* the kernel would ignore our sizes */
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false); /* drops the page cache whenever mtime moves */
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, true); /* open(2) with O_TRUNC is one request */
	want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	want(conn, FUSE_CAP_ASYNC_READ, true);
	want(conn, FUSE_CAP_ASYNC_DIO, true);
	want(conn, FUSE_CAP_EXPORT_SUPPORT, true); /* NFS looks up "." and ".." by inode number */
	want(conn, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE, false);
	conn->max_write = SESSION_WRITE_MAX;
	conn->max_background = 65535; /* the default lets 12 requests fly */
	conn->congestion_threshold = 49151;
	if (session_now.session->ops.init)
		session_now.session->ops.init(userdata, conn);
}

/* Adds the flags that libfuse cannot ask for, where the kernel offered them. */
static void patch_init(const struct session *s, struct fuse_init_out *out)
{
	uint64_t add = s->keep->capable & PATCHED_FLAGS;

	if (!add)
		return;
	out->flags |= FUSE_INIT_EXT;
	out->flags2 |= (uint32_t)(add >> 32);
}

/* Keeps the answer, or compares it with the one that the mount lives by. */
static int keep_init_reply(struct keep *k, const void *reply, size_t len)
{
	size_t had = atomic_load(&k->init_reply_len);

	if (len > sizeof k->init_reply)
		return -EPROTO;
	if (had)
		return had == len && !memcmp(k->init_reply, reply, len) ? 0 : -ESTALE;
	memcpy(k->init_reply, reply, len);
	atomic_store(&k->init_reply_len, (uint32_t)len);
	return 0;
}

/* The answer to INIT passes here on its way to the kernel: patched, kept, and not sent if it is not
 * what it was. */
ssize_t session_write_init(struct session *s, int fd, const struct iovec *iov, int count)
{
	struct {
		struct fuse_out_header head;
		struct fuse_init_out body;
	} out;
	size_t body;
	ssize_t n;

	memset(&out, 0, sizeof out);
	memcpy(&out.head, iov[0].iov_base, sizeof out.head);
	if (count != 2 || out.head.error || iov[1].iov_len > sizeof out.body) {
		session_now.init_error = -EPROTO;
		return writev(fd, iov, count);
	}
	body = iov[1].iov_len;
	memcpy(&out.body, iov[1].iov_base, body);
	patch_init(s, &out.body);
	session_now.init_error = keep_init_reply(s->keep, &out.body, body);
	if (session_now.init_error)
		return (ssize_t)out.head.len;
	n = write(fd, &out, sizeof out.head + body);
	/* The kernel has the first server's answer already: so it should be. */
	return n < 0 && errno == ENOENT ? (ssize_t)out.head.len : n;
}

/* A notification without a request: its code stands where a reply has its error. */
int session_notify(struct session *s, int code, const void *body, size_t len)
{
	struct fuse_out_header head = { .len = (uint32_t)(sizeof head + len), .error = code };
	struct iovec iov[2] = { { &head, sizeof head }, { (void *)body, len } };

	return writev(s->fd, iov, len ? 2 : 1) < 0 ? -errno : 0;
}

static void note_init(struct keep *k, const char *msg, size_t len)
{
	struct fuse_init_in in;
	size_t body = len - sizeof(struct fuse_in_header);

	memset(&in, 0, sizeof in);
	memcpy(&in, msg + sizeof(struct fuse_in_header), body < sizeof in ? body : sizeof in);
	k->capable = in.flags;
	if (in.flags & FUSE_INIT_EXT)
		k->capable |= (uint64_t)in.flags2 << 32;
	memcpy(k->init, msg, len);
	atomic_store(&k->init_len, (uint32_t)len);
}

/* The kernel's first message is INIT; it waits since the mount was made. */
static ssize_t first_message(struct session *s)
{
	struct fuse_in_header head;
	ssize_t n;

	do
		n = session_next_message(&s->reader[0]);
	while (n == 0 && !atomic_load(&s->quitting));
	if (n <= 0)
		return n;
	memcpy(&head, s->reader[0].buffer, sizeof head);
	if (head.opcode != FUSE_INIT || n > KEEP_INIT_MAX)
		return -EPROTO;
	note_init(s->keep, s->reader[0].buffer, (size_t)n);
	return n;
}

static int play_init(struct session *s, struct err *err)
{
	char *msg = s->reader[0].buffer;
	ssize_t n = atomic_load(&s->keep->init_len);

	if (n > 0)
		memcpy(msg, s->keep->init, (size_t)n);
	else
		n = first_message(s);
	if (n == 0 || n == -ENODEV) /* told to end, or unmounted before it began: session_wait()
				       says so at once */
		return 0;
	if (n < 0)
		return err_set(err, (int)n, "the kernel's first FUSE message could not be read: %s",
			strerror((int)-n));
	session_now.init_error = -EPROTO; /* until the answer passes session_write_init() */
	session_handle(s, msg, (size_t)n);
	if (session_now.init_error == -ESTALE)
		return err_set(err, -ESTALE,
			"this volfs answers the kernel otherwise than the one that the mount began with");
	if (session_now.init_error)
		return err_set(
			err, session_now.init_error, "the kernel's FUSE version is not understood");
	return 0;
}

static void wake_polls(struct session *s)
{
	for (uint32_t i = 0; i < KEEP_POLLS; i++) {
		uint64_t kh = atomic_load(&s->keep->poll[i]);

		if (!kh)
			continue;
		/* Woken first, forgotten then: a server that dies between the two leaves it to the
		 * next. */
		session_poll_wake(s, kh);
		keep_poll_drop(s->keep, (int)i);
	}
}

/* What a killed server left unanswered. Before INIT is played: the first server may have died with
 * it. */
static int resend(struct session *s, struct err *err)
{
	int r = session_notify(s, NOTIFY_RESEND, NULL, 0);

	if (r == 0 || r == -ENODEV)
		return 0;
	return err_set(err, -ESTALE, "this kernel cannot send unanswered requests again (%s)",
		strerror(-r));
}

bool session_inval_all(struct session *s)
{
	return !getenv("VOLFS_TEST_NO_EPOCH") && session_notify(s, NOTIFY_INC_EPOCH, NULL, 0) == 0;
}

int session_take_over(struct session *s, struct err *err)
{
	bool successor = session_is_successor(s);
	int r = 0;

	if (successor && !atomic_load(&s->keep->init_len))
		r = resend(s, err);
	if (r == 0)
		r = play_init(s, err);
	if (r == 0 && successor)
		r = resend(s, err);
	if (r == 0 && successor) {
		s->epoch_done = session_inval_all(s);
		wake_polls(s);
	}
	return r;
}

bool session_epoch_done(const struct session *s)
{
	return s->epoch_done;
}

bool session_is_successor(const struct session *s)
{
	return atomic_load(&s->keep->server) > 1;
}
