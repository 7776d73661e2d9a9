/*
 * Each thread reads requests from the one /dev/fuse (no clone_fd: requests read through a clone
 * fail when it closes) and hands them to libfuse, whose handlers reply through our writev callback.
 *
 * A server may be killed at any instruction, and the next one takes over:
 *
 * 1. The kernel's INIT message is copied into the keep before it is answered, and its answer too.
 *    The next server plays the message to its own libfuse and writes the answer to the kernel all
 *    the same: ENOENT if the kernel had it, and if not, the mount comes to life.
 *
 * 2. A request is named by its `unique`, which libfuse hides: the thread that read it keeps the
 *    header in `now`, and its handler runs in the same thread.
 *
 * 3. Notification 7 (RESEND) makes the kernel send again what was read and never answered, with the
 *    top bit of `unique` set; 8 (INC_EPOCH) drops what it cached of names, since a notification may
 *    have died with the server; kernels before 6.16 refuse that one, see changes_again(). Sleepers
 *    in poll(2) are no requests: their handles are in the keep, and each is notified.
 *
 * 4. The kernel copies a request into our buffer, and a reply out of it, while the thread may be
 *    dying already; a page fault then fails the request with EIO. So every page is present before:
 *    read buffers are populated and locked, replies are touched.
 */
#include "fs/session.h"

#include "base/lock.h"
#include "base/log.h"
#include "fs/gaps.h"
#include "fs/requests.h"
#include "fs/session_internal.h"

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
	WAKE_SIGNAL = SIGUSR1, /* ends a read(2) of a session thread */
	WAKE_MS = 5,
};

#define RESENT (UINT64_C(1) << 63)

_Thread_local struct session_now session_now;

/* --- what libfuse writes --------------------------------------------------------------------- */

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

	if (session_now.session && session_now.head.opcode == FUSE_INIT)
		return session_write_init(session_now.session, fd, iov, count);
	touch(iov, count);
	requests_end(iov[0].iov_base); /* before: after it, the same number may come again */
	n = writev(fd, iov, count);
	/* An unmounted filesystem wants no answer; libfuse would complain about anything but
	 * ENOENT. */
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

/* --- what the kernel sends ------------------------------------------------------------------- */

void session_handle(struct session *s, char *msg, size_t len)
{
	struct fuse_buf buf = { .size = len, .mem = msg };

	memcpy(&session_now.head, msg, sizeof session_now.head);
	session_now.session = s;
	requests_begin(&session_now.head);
	if (session_now.head.opcode == FUSE_POLL &&
		len >= sizeof session_now.head + sizeof(struct fuse_poll_in))
		memcpy(&session_now.kh,
			msg + sizeof session_now.head + offsetof(struct fuse_poll_in, kh),
			sizeof session_now.kh);
	fuse_session_process_buf(s->fuse, &buf);
	session_now.head.opcode = 0;
}

ssize_t session_next_message(struct reader *r)
{
	struct session *s = r->session;
	ssize_t n;

	atomic_store(&r->reading, true);
	n = atomic_load(&s->quitting) ? 0 : read(s->fd, r->buffer, SESSION_MESSAGE);
	atomic_store(&r->reading, false);
	if (n < 0 && (errno == EINTR || errno == EAGAIN ||
			     errno == ENOENT)) /* ENOENT: it was interrupted meanwhile */
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

	session_now.thread = r->index;
	session_now.reader = r;
	while (!atomic_load(&r->session->quitting)) {
		n = session_next_message(r);
		if (n < 0)
			break;
		if (n > 0)
			session_handle(r->session, r->buffer, (size_t)n);
	}
	leave(r->session, n < 0 ? (int)n : 0);
	return NULL;
}

/* --- life ------------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 0))) static void fuse_logged(
	enum fuse_log_level level, const char *fmt, va_list ap)
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

static char *message_new(void)
{
	char *at = mmap(NULL, SESSION_MESSAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	(void)mlock(at,
		SESSION_MESSAGE); /* else swapping could take a page: rare, and no reason to refuse */
	return at;
}

void *session_message_space(struct session *s)
{
	char *spare = NULL;

	lock_take(&s->spare_lock);
	if (s->spare_count)
		spare = s->spare[--s->spare_count];
	lock_drop(&s->spare_lock);
	return spare ? spare : message_new();
}

void *session_message_take(struct session *s)
{
	struct reader *r = session_now.reader;
	char *next = session_message_space(s), *message;

	if (!next)
		return NULL;
	message = r->buffer;
	r->buffer = next;
	return message;
}

void session_message_give(struct session *s, void *message)
{
	bool full;

	lock_take(&s->spare_lock);
	full = s->spare_count == SESSION_SPARE;
	if (!full)
		s->spare[s->spare_count++] = message;
	lock_drop(&s->spare_lock);
	if (full)
		(void)munmap(message, SESSION_MESSAGE);
}

static int buffers_new(struct session *s)
{
	for (unsigned i = 0; i < s->thread_count; i++) {
		struct reader *r = &s->reader[i];

		r->session = s;
		r->index = i;
		r->buffer = message_new();
		if (!r->buffer)
			return -ENOMEM;
	}
	return 0;
}

static int fuse_new(
	struct session *s, const struct fuse_lowlevel_ops *ops, void *userdata, int fuse_fd)
{
	struct fuse_lowlevel_ops full = *ops;
	char *argv[] = { (char *)"volfs", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	int r;

	gaps_fill(&full);
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
	lock_init(&s->spare_lock);
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
			(void)munmap(s->reader[i].buffer, SESSION_MESSAGE);
	while (s->spare_count)
		(void)munmap(s->spare[--s->spare_count], SESSION_MESSAGE);
	lock_release(&s->spare_lock);
	(void)sem_destroy(&s->ended);
	free(s->reader);
	free(s);
}

int session_start(struct session *s, struct err *err)
{
	for (; s->started < s->thread_count; s->started++) {
		struct reader *r = &s->reader[s->started];
		char name[16];
		int code = pthread_create(&r->thread, NULL, reader_main, r);

		if (code)
			return err_set(
				err, -code, "cannot start a FUSE thread: %s", strerror(code));
		(void)snprintf(name, sizeof name, "fuse-%u", r->index);
		(void)pthread_setname_np(r->thread, name);
	}
	return 0;
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

/* --- questions ------------------------------------------------------------------------------- */

struct change_id session_change_id(struct session *s)
{
	return (struct change_id){
		.mount = s->keep->mount_id,
		.unique = session_now.head.unique & ~RESENT,
		.resent = (session_now.head.unique & RESENT) != 0,
	};
}

uint64_t session_poll_kh(void)
{
	return session_now.kh;
}

unsigned session_thread(void)
{
	return session_now.thread;
}

int session_inval(struct session *s, fuse_ino_t ino)
{
	return fuse_lowlevel_notify_inval_inode(s->fuse, ino, -1, 0);
}

void session_poll_wake(struct session *s, uint64_t kh)
{
	struct fuse_notify_poll_wakeup_out body = { .kh = kh };

	(void)session_notify(s, FUSE_NOTIFY_POLL, &body, sizeof body);
}

bool session_offers(const struct session *s, uint64_t init_flag)
{
	return (s->keep->capable & init_flag) != 0;
}
