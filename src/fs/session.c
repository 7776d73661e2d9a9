/*
 * Each thread reads requests from the one /dev/fuse (no clone_fd: requests read through a clone fail when it closes)
 * and hands them to libfuse, whose handlers reply through our writev callback.
 *
 * A server may be killed at any instruction, and the next one takes over:
 *
 *   1. The kernel's INIT message is copied into the keep before it is answered, and its answer too. The next server
 *      plays the message to its own libfuse and writes the answer to the kernel all the same: ENOENT if the kernel had
 *      it, and if not, the mount comes to life.
 *   2. A request is named by its `unique`, which libfuse hides: the thread that read it keeps the header in `now`, and
 *      its handler runs in the same thread.
 *   3. Notification 7 (RESEND) makes the kernel send again what was read and never answered, with the top bit of
 *      `unique` set; 8 (INC_EPOCH) drops what it cached of names, since a notification may have died with the server.
 *      Sleepers in poll(2) are no requests: their handles are in the keep, and each is notified.
 *   4. The kernel copies a request into our buffer and a reply out of it while the thread may be dying already; a
 *      page fault then fails the request with EIO. So every page is present before: read buffers are populated
 *      and locked, replies are touched.
 */
#include "fs/session.h"

#include "base/lock.h"
#include "base/log.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	WRITE_MAX = 1 << 20,
	READ_SIZE = WRITE_MAX + PAGE, /* a WRITE of full size and its header */
	NOTIFY_RESEND = 7,            /* not in linux/fuse.h of 6.1 */
	NOTIFY_INC_EPOCH = 8,
	WAKE_SIGNAL = SIGUSR1,        /* ends a read(2) of a session thread */
	WAKE_MS = 5,
};

#define RESENT (UINT64_C(1) << 63)
#define PATCHED_FLAGS (SESSION_DIRECT_IO_ALLOW_MMAP | SESSION_HAS_RESEND)

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
	_Atomic int failure;  /* -errno that ended a thread; 0 */
	sem_t ended;          /* posted by session_quit() and by every thread that leaves */
	unsigned thread_count, started;
	struct reader *reader; /* thread_count of them */
};

/* What the calling thread is handling. */
static _Thread_local struct {
	struct session *session;
	struct fuse_in_header head;
	uint64_t kh;
	unsigned thread;
	int init_error; /* of INIT: what the answer was found to be */
} now;

/* --- gaps in the table of operations ------------------------------------------------------------------------- */

/* Where the signatures differ only in what follows the request, one function per length of it would do; C wants one
 * per type. Every answer of these is final for the caller but leaves the operation open for other files. */
#define GAP(op, error, ...)                                                                        \
	static void gap_##op(fuse_req_t req, __VA_ARGS__)                                          \
	{                                                                                          \
		(void)fuse_reply_err(req, error);                                                  \
	}

typedef struct fuse_file_info info;

GAP(lookup, ENOENT, fuse_ino_t ino, const char *name)
GAP(getattr, EOPNOTSUPP, fuse_ino_t ino, info *fi)
GAP(setattr, EOPNOTSUPP, fuse_ino_t ino, struct stat *attr, int to_set, info *fi)
GAP(readlink, EOPNOTSUPP, fuse_ino_t ino)
GAP(mknod, EOPNOTSUPP, fuse_ino_t ino, const char *name, mode_t mode, dev_t dev)
GAP(mkdir, EOPNOTSUPP, fuse_ino_t ino, const char *name, mode_t mode)
GAP(unlink, EOPNOTSUPP, fuse_ino_t ino, const char *name)
GAP(rmdir, EOPNOTSUPP, fuse_ino_t ino, const char *name)
GAP(symlink, EOPNOTSUPP, const char *link, fuse_ino_t ino, const char *name)
GAP(rename, EOPNOTSUPP, fuse_ino_t from, const char *name, fuse_ino_t to, const char *new_name, unsigned flags)
GAP(link, EOPNOTSUPP, fuse_ino_t ino, fuse_ino_t parent, const char *name)
GAP(read, EOPNOTSUPP, fuse_ino_t ino, size_t size, off_t off, info *fi)
GAP(write, EOPNOTSUPP, fuse_ino_t ino, const char *buf, size_t size, off_t off, info *fi)
GAP(flush, 0, fuse_ino_t ino, info *fi)
GAP(fsync, 0, fuse_ino_t ino, int data_only, info *fi)
GAP(readdir, EOPNOTSUPP, fuse_ino_t ino, size_t size, off_t off, info *fi)
GAP(fsyncdir, 0, fuse_ino_t ino, int data_only, info *fi)
GAP(access, EOPNOTSUPP, fuse_ino_t ino, int mask)
GAP(create, EOPNOTSUPP, fuse_ino_t ino, const char *name, mode_t mode, info *fi)
GAP(ioctl, ENOTTY, fuse_ino_t ino, unsigned cmd, void *arg, info *fi, unsigned flags, const void *in, size_t in_size,
	size_t out_size)
GAP(fallocate, EOPNOTSUPP, fuse_ino_t ino, int mode, off_t off, off_t len, info *fi)
GAP(copy_file_range, EOPNOTSUPP, fuse_ino_t in, off_t off_in, info *fi_in, fuse_ino_t out, off_t off_out,
	info *fi_out, size_t len, int flags)
GAP(lseek, EOPNOTSUPP, fuse_ino_t ino, off_t off, int whence, info *fi)

static void fill_gaps(struct fuse_lowlevel_ops *ops)
{
#define FILL(op)                                                                                   \
	if (!ops->op)                                                                              \
	ops->op = gap_##op
	FILL(lookup);
	FILL(getattr);
	FILL(setattr);
	FILL(readlink);
	FILL(mknod);
	FILL(mkdir);
	FILL(unlink);
	FILL(rmdir);
	FILL(symlink);
	FILL(rename);
	FILL(link);
	FILL(read);
	if (!ops->write_buf)
		FILL(write);
	FILL(flush);
	FILL(fsync);
	FILL(readdir);
	FILL(fsyncdir);
	FILL(access);
	FILL(create);
	FILL(ioctl);
	FILL(fallocate);
	FILL(copy_file_range);
	FILL(lseek);
#undef FILL
}

/* --- INIT ---------------------------------------------------------------------------------------------------- */

static void want(struct fuse_conn_info *conn, unsigned cap, bool wanted)
{
	conn->want &= ~cap;
	if (wanted)
		conn->want |= conn->capable & cap;
}

/* Runs inside fuse_session_process_buf(), in the thread that plays INIT. The same in every server: no state goes in. */
static void session_init(void *userdata, struct fuse_conn_info *conn)
{
	want(conn, FUSE_CAP_WRITEBACK_CACHE, false);     /* the kernel would ignore our sizes */
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);     /* drops the page cache whenever mtime moves */
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, true);       /* open(2) with O_TRUNC is one request */
	want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	want(conn, FUSE_CAP_ASYNC_READ, true);
	want(conn, FUSE_CAP_ASYNC_DIO, true);
	want(conn, FUSE_CAP_EXPORT_SUPPORT, true);       /* NFS looks up "." and ".." by inode number */
	want(conn, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE, false);
	conn->max_write = WRITE_MAX;
	conn->max_background = 65535;                    /* the default lets 12 requests fly */
	conn->congestion_threshold = 49151;
	if (now.session->ops.init)
		now.session->ops.init(userdata, conn);
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

/* The answer to INIT passes here on its way to the kernel: patched, kept, and not sent if it is not what it was. */
static ssize_t write_init_reply(struct session *s, int fd, const struct iovec *iov, int count)
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
		now.init_error = -EPROTO;
		return writev(fd, iov, count);
	}
	body = iov[1].iov_len;
	memcpy(&out.body, iov[1].iov_base, body);
	patch_init(s, &out.body);
	now.init_error = keep_init_reply(s->keep, &out.body, body);
	if (now.init_error)
		return (ssize_t)out.head.len;
	n = write(fd, &out, sizeof out.head + body);
	/* The kernel has the first server's answer already: so it should be. */
	return n < 0 && errno == ENOENT ? (ssize_t)out.head.len : n;
}

/* --- what libfuse writes ------------------------------------------------------------------------------------- */

static void touch(const struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++) {
		const volatile char *at = iov[i].iov_base;
		size_t len = iov[i].iov_len;

		for (size_t off = 0; off < len; off += PAGE)
			(void)at[off];
		if (len)
			(void)at[len - 1];
	}
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	ssize_t n;

	if (now.session && now.head.opcode == FUSE_INIT)
		return write_init_reply(now.session, fd, iov, count);
	touch(iov, count);
	n = writev(fd, iov, count);
	/* An unmounted filesystem wants no answer; libfuse would complain about anything but ENOENT. */
	if (n < 0 && (errno == ENODEV || errno == ECONNABORTED || errno == EPERM))
		errno = ENOENT;
	return n;
}

/* Never called, since the threads read for themselves, but libfuse insists on it. */
static ssize_t read_request(int fd, void *buf, size_t size, void *userdata)
{
	return read(fd, buf, size);
}

static const struct fuse_custom_io session_io = {
	.writev = write_reply,
	.read = read_request,
};

/* A notification without a request: its code stands where a reply has its error. */
static int notify(struct session *s, int code, const void *body, size_t len)
{
	struct fuse_out_header head = { .len = (uint32_t)(sizeof head + len), .error = code };
	struct iovec iov[2] = { { &head, sizeof head }, { (void *)body, len } };

	return writev(s->fd, iov, len ? 2 : 1) < 0 ? -errno : 0;
}

/* --- what the kernel sends ----------------------------------------------------------------------------------- */

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

static void handle(struct session *s, char *msg, size_t len)
{
	struct fuse_buf buf = { .size = len, .mem = msg };

	memcpy(&now.head, msg, sizeof now.head);
	now.session = s;
	if (now.head.opcode == FUSE_POLL && len >= sizeof now.head + sizeof(struct fuse_poll_in))
		memcpy(&now.kh, msg + sizeof now.head + offsetof(struct fuse_poll_in, kh), sizeof now.kh);
	fuse_session_process_buf(s->fuse, &buf);
	now.head.opcode = 0;
}

/* One message of the kernel; 0: none came, look whether it is time to go; -errno: the connection is over. */
static ssize_t next_message(struct reader *r)
{
	struct session *s = r->session;
	ssize_t n;

	atomic_store(&r->reading, true);
	n = atomic_load(&s->quitting) ? 0 : read(s->fd, r->buffer, READ_SIZE);
	atomic_store(&r->reading, false);
	if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) /* ENOENT: it was interrupted meanwhile */
		return 0;
	if (n < 0)
		return -errno;
	return n >= (ssize_t)sizeof(struct fuse_in_header) ? n : 0;
}

static void leave(struct session *s, int failure)
{
	int none = 0;

	if (failure && failure != -ENODEV) /* ENODEV: unmounted, the usual end */
		(void)atomic_compare_exchange_strong(&s->failure, &none, failure);
	(void)sem_post(&s->ended);
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	ssize_t n = 0;

	now.thread = r->index;
	while (!atomic_load(&r->session->quitting)) {
		n = next_message(r);
		if (n < 0)
			break;
		if (n > 0)
			handle(r->session, r->buffer, (size_t)n);
	}
	leave(r->session, n < 0 ? (int)n : 0);
	return NULL;
}

/* --- life ---------------------------------------------------------------------------------------------------- */

static void fuse_logged(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[1024];
	size_t len;

	if (level > FUSE_LOG_NOTICE)
		return;
	(void)vsnprintf(text, sizeof text, fmt, ap);
	len = strlen(text);
	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	log_line((int)level, "libfuse: %s", text);
}

static void woken(int signal)
{
}

/* No SA_RESTART: the signal is there to end a read(2). */
static int catch_wake_signal(void)
{
	struct sigaction act = { .sa_handler = woken };

	return sigaction(WAKE_SIGNAL, &act, NULL) < 0 ? -errno : 0;
}

static int buffers_new(struct session *s)
{
	for (unsigned i = 0; i < s->thread_count; i++) {
		struct reader *r = &s->reader[i];

		r->session = s;
		r->index = i;
		r->buffer = mmap(NULL, READ_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (r->buffer == MAP_FAILED) {
			r->buffer = NULL;
			return -ENOMEM;
		}
		(void)mlock(r->buffer, READ_SIZE); /* else swapping could take a page: rare, and no reason to refuse */
	}
	return 0;
}

static int fuse_new(struct session *s, const struct fuse_lowlevel_ops *ops, void *userdata, int fuse_fd)
{
	struct fuse_lowlevel_ops full = *ops;
	char *argv[] = { (char *)"volfs", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	int r;

	fill_gaps(&full);
	full.init = session_init;
	fuse_set_log_func(fuse_logged);
	s->fuse = fuse_session_new(&args, &full, sizeof full, userdata);
	fuse_opt_free_args(&args);
	if (!s->fuse)
		return -ENOMEM;
	r = fuse_session_custom_io(s->fuse, &session_io, fuse_fd);
	if (r == 0)
		s->fd = fuse_fd;
	return r;
}

int session_new(const struct fuse_lowlevel_ops *ops, void *userdata, struct keep *keep, int fuse_fd,
	unsigned threads, struct session **ret, struct err *err)
{
	struct session *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return err_set(err, -ENOMEM, "no memory for the FUSE session");
	s->fd = -1;
	s->ops = *ops;
	s->keep = keep;
	s->thread_count = threads ? threads : SESSION_THREADS;
	(void)sem_init(&s->ended, 0, 0);
	s->reader = calloc(s->thread_count, sizeof *s->reader);
	r = s->reader ? buffers_new(s) : -ENOMEM;
	if (r == 0)
		r = catch_wake_signal();
	if (r == 0)
		r = fuse_new(s, ops, userdata, fuse_fd);
	if (r < 0) {
		session_free(s);
		return err_set(err, r, "cannot set up the FUSE session: %s", strerror(-r));
	}
	*ret = s;
	return 0;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	if (s->fuse)
		fuse_session_destroy(s->fuse);
	for (unsigned i = 0; s->reader && i < s->thread_count; i++)
		if (s->reader[i].buffer)
			(void)munmap(s->reader[i].buffer, READ_SIZE);
	(void)sem_destroy(&s->ended);
	free(s->reader);
	free(s);
}

/* The kernel's first message is INIT; it waits since the mount was made. */
static ssize_t first_message(struct session *s)
{
	struct fuse_in_header head;
	ssize_t n;

	do
		n = next_message(&s->reader[0]);
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
	if (n == 0 || n == -ENODEV) /* told to end, or unmounted before it began: session_wait() says so at once */
		return 0;
	if (n < 0)
		return err_set(err, (int)n, "the kernel's first FUSE message could not be read: %s", strerror((int)-n));
	now.init_error = -EPROTO; /* until the answer passes write_init_reply() */
	handle(s, msg, (size_t)n);
	if (now.init_error == -ESTALE)
		return err_set(err, -ESTALE, "this volfs answers the kernel otherwise than the one that the mount began with");
	if (now.init_error)
		return err_set(err, now.init_error, "the kernel's FUSE version is not understood");
	return 0;
}

static void wake_polls(struct session *s)
{
	uint32_t high = atomic_load(&s->keep->poll_high);

	for (uint32_t i = 0; i < high; i++) {
		uint64_t kh = atomic_load(&s->keep->poll[i].kh);

		if (!kh)
			continue;
		/* Woken first, forgotten then: a server that dies between the two leaves it to the next. */
		session_poll_wake(s, kh);
		keep_poll_drop(s->keep, (int)i);
	}
}

/* What a killed server left unanswered. Before INIT is played: the first server may have died with it. */
static int resend(struct session *s, struct err *err)
{
	int r = notify(s, NOTIFY_RESEND, NULL, 0);

	if (r == 0 || r == -ENODEV)
		return 0;
	return err_set(err, -ESTALE, "this kernel cannot send unanswered requests again (%s)", strerror(-r));
}

static int start_threads(struct session *s, struct err *err)
{
	for (; s->started < s->thread_count; s->started++) {
		struct reader *r = &s->reader[s->started];
		char name[16];
		int code = pthread_create(&r->thread, NULL, reader_main, r);

		if (code)
			return err_set(err, -code, "cannot start a FUSE thread: %s", strerror(code));
		(void)snprintf(name, sizeof name, "fuse-%u", r->index);
		(void)pthread_setname_np(r->thread, name);
	}
	return 0;
}

int session_start(struct session *s, struct err *err)
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
		s->epoch_done = notify(s, NOTIFY_INC_EPOCH, NULL, 0) == 0;
		wake_polls(s);
	}
	return r < 0 ? r : start_threads(s, err);
}

int session_wait(struct session *s)
{
	while (sem_wait(&s->ended) < 0 && errno == EINTR)
		;
	return atomic_load(&s->failure);
}

void session_quit(struct session *s)
{
	atomic_store(&s->quitting, true);
	(void)sem_post(&s->ended);
}

/* Ends a thread's read(2), again and again, since the signal may come just before it. */
static void join(struct reader *r)
{
	for (;;) {
		struct timespec until;

		if (atomic_load(&r->reading))
			(void)pthread_kill(r->thread, WAKE_SIGNAL);
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += WAKE_MS * 1000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		if (pthread_timedjoin_np(r->thread, NULL, &until) != ETIMEDOUT)
			return;
	}
}

void session_stop(struct session *s)
{
	session_quit(s);
	while (s->started > 0)
		join(&s->reader[--s->started]);
}

/* --- questions ----------------------------------------------------------------------------------------------- */

bool session_epoch_done(const struct session *s)
{
	return s->epoch_done;
}

bool session_is_successor(const struct session *s)
{
	return atomic_load(&s->keep->server) > 1;
}

struct change_id session_change_id(struct session *s)
{
	return (struct change_id){
		.mount = s->keep->mount_id,
		.unique = now.head.unique & ~RESENT,
		.resent = (now.head.unique & RESENT) != 0,
	};
}

uint64_t session_poll_kh(void)
{
	return now.kh;
}

unsigned session_thread(void)
{
	return now.thread;
}

int session_inval(struct session *s, fuse_ino_t ino)
{
	int r = fuse_lowlevel_notify_inval_inode(s->fuse, ino, -1, 0);

	return r == -ENOENT ? 0 : r;
}

void session_poll_wake(struct session *s, uint64_t kh)
{
	struct fuse_notify_poll_wakeup_out body = { .kh = kh };

	(void)notify(s, FUSE_NOTIFY_POLL, &body, sizeof body);
}

bool session_offers(const struct session *s, uint64_t init_flag)
{
	return (s->keep->capable & init_flag) != 0;
}
