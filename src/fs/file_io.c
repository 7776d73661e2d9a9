/*
 * Requests on an open `data`. Each is answered by whoever has its result: the storage's library calls back (src/data), and that thread
 * replies; no thread of the session waits. A large write is not copied: the message that brought it is taken from the session until the
 * storage has it; when too much is under way (overflow.c) its bytes go elsewhere.
 */
#include "fs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Bytes from which a write's message is taken and not copied, and a read goes into such a message's memory, whose pages are there; and up
 * to which they do not count, being no more than a request takes anyway. */
enum { LARGE = 64 * 1024, TINY = 4096 };

/* One on its way. */
struct move {
	struct data_io io;
	struct patient patient;
	struct fs *fs;
	fuse_req_t req;
	struct data_image *image; /* held: once its caller is killed, the description may go */
	uint64_t fh;
	void *message;	      /* of the session; NULL */
	struct parcel parcel; /* of a large one that found no room */
	size_t held;	      /* counted as memory of requests under way */
	bool then_flush;      /* O_SYNC: the write is followed by a flush */
	bool error;	      /* tells what failed behind its caller's back */
	char bytes[];
};

/* Other codes than these would tell a program something else than that its storage failed. */
static int errno_of(int code)
{
	switch (code) {
	case -ENOSPC:
	case -EDQUOT:
	case -ETIMEDOUT:
	case -EINTR:
	case -ENOMEM:
	case -EROFS:
	case -EOPNOTSUPP:
		return -code;
	default:
		return EIO;
	}
}

static struct move *of_patient(struct patient *p)
{
	return (struct move *)((char *)p - offsetof(struct move, patient));
}

static void move_free(struct patient *p)
{
	struct move *m = of_patient(p);

	if (m->message)
		session_message_give(m->fs->session, m->message);
	overflow_drop(m->fs->overflow, &m->parcel);
	overflow_back(m->fs->overflow, m->held);
	free(m);
}

static void move_leave(struct patient *p)
{
	struct move *m = of_patient(p);

	data_leave(m->image, &m->io);
}

static void move_over(struct move *m)
{
	data_unhold(m->image);
	patient_end(&m->patient);
}

/* What failed behind a caller's back is told once. */
static int take_error(struct fs *fs, uint64_t fh)
{
	return atomic_exchange(&fs->keep->open[fh % KEEP_OPENS].error, 0);
}

static void moved(struct data_io *io, int code);

static void answer(struct move *m, int code)
{
	int error;

	if (!patient_claim(&m->patient)) { /* its caller was killed */
		move_over(m);
		return;
	}
	error = m->error ? take_error(m->fs, m->fh) : 0;
	code = code < 0 ? code : error;
	if (code < 0)
		fuse_reply_err(m->req, errno_of(code));
	else if (m->io.op == DATA_READ)
		fuse_reply_buf(m->req, m->io.buf, m->io.len);
	else if (m->io.op == DATA_WRITE)
		fuse_reply_write(m->req, m->io.len);
	else
		fuse_reply_err(m->req, 0);
	move_over(m);
}

/* The flush behind a write: the write is what is answered. */
static void flushed(struct data_io *io, int code)
{
	io->op = DATA_WRITE;
	answer((struct move *)io, code);
}

static void moved(struct data_io *io, int code)
{
	struct move *m = (struct move *)io;

	if (code == 0 && m->then_flush) {
		io->op = DATA_FLUSH;
		io->done = flushed;
		data_submit(io->image, io);
	} else {
		answer(m, code);
	}
}

/* held: counted by the caller, and given back with it. NULL: answered. From move_submit() on a killed caller is let go. */
static struct move *move_new(struct ctx *c, struct fuse_file_info *fi, enum data_op op,
	uint64_t off, uint64_t len, size_t bytes, size_t held)
{
	struct handle *h = handle_find(c->fs, fi->fh);
	struct move *m = h ? malloc(sizeof *m + bytes) : NULL;

	if (!m) {
		overflow_back(c->fs->overflow, held);
		fuse_reply_err(c->req, h ? ENOMEM : EIO);
		return NULL;
	}
	memset(m, 0, sizeof *m);
	m->io = (struct data_io){
		.op = op, .off = off, .len = len, .buf = m->bytes, .done = moved
	};
	m->fs = c->fs;
	m->req = c->req;
	m->image = h->image;
	m->fh = h->fh;
	data_hold(m->image);
	m->held = held;
	return m;
}

static void move_submit(struct move *m)
{
	patient_begin(&m->patient, m->req, move_free, move_leave);
	data_submit(m->image, &m->io);
}

static void move_refuse(struct move *m)
{
	fuse_reply_err(m->req, ENOMEM);
	data_unhold(m->image);
	move_free(&m->patient);
}

/* Into memory whose pages are there; else into some that takes none before the storage answers. */
void file_read(struct ctx *c, struct fuse_file_info *fi, size_t size, off_t off)
{
	struct handle *h = handle_find(c->fs, fi->fh);
	uint64_t end = h ? data_size(h->image) : 0;
	struct move *m;
	bool large, room;

	if (!h || (uint64_t)off >= end) {
		if (h)
			fuse_reply_buf(c->req, NULL, 0);
		else
			fuse_reply_err(c->req, EIO);
		return;
	}
	if (size > end - (uint64_t)off)
		size = (size_t)(end - (uint64_t)off);
	large = size >= LARGE;
	room = large && size <= SESSION_MESSAGE && overflow_room(c->fs->overflow, SESSION_MESSAGE);
	m = move_new(c, fi, DATA_READ, (uint64_t)off, size, large ? 0 : size,
		room ? SESSION_MESSAGE : 0);
	if (!m)
		return;
	if (room)
		m->io.buf = m->message = session_message_space(c->fs->session);
	else if (large)
		m->io.buf = overflow_space(&m->parcel, size);
	if (m->io.buf)
		move_submit(m);
	else
		move_refuse(m);
}

/* Its bytes have found a place. */
static void carried(struct parcel *p)
{
	struct move *m = (struct move *)((char *)p - offsetof(struct move, parcel));

	m->io.buf = p->at;
	move_submit(m);
}

/* text lies in the session's message. */
static void write_through(struct ctx *c, struct fuse_file_info *fi, const char *text, size_t size,
	uint64_t off, bool sync)
{
	bool take = size >= LARGE, tiny = size <= TINY;
	size_t need = take ? SESSION_MESSAGE : tiny ? 0 : size;
	bool room = tiny || overflow_room(c->fs->overflow, need);
	struct move *m =
		move_new(c, fi, DATA_WRITE, off, size, room && !take ? size : 0, room ? need : 0);

	if (!m)
		return;
	m->then_flush = m->error = sync;
	if (!room) {
		m->parcel.ready = carried;
		if (!overflow_put(c->fs->overflow, &m->parcel, text, size))
			move_refuse(m);
		return;
	}
	if (take) {
		m->message = session_message_take(c->fs->session);
		m->io.buf = (void *)text;
	} else {
		memcpy(m->bytes, text, size);
	}
	if (take && !m->message) {
		move_refuse(m);
		return;
	}
	move_submit(m);
}

void file_write(struct ctx *c, struct fuse_file_info *fi, const char *text, size_t size, off_t off)
{
	struct handle *h = handle_find(c->fs, fi->fh);
	bool sync = fi->flags & (O_SYNC | O_DSYNC);
	uint64_t end = h ? data_size(h->image) : 0;
	struct data_io *kept;

	if (!h || !h->writes || (uint64_t)off >= end) {
		fuse_reply_err(c->req, !h ? EIO : h->writes ? ENOSPC : EBADF);
		return;
	}
	if (size > end - (uint64_t)off)
		size = (size_t)(end - (uint64_t)off);
	if (sync || !data_keep_write(h->image, (uint64_t)off, size, text, &kept)) {
		write_through(c, fi, text, size, (uint64_t)off, sync);
		return;
	}
	/* Only now: a close that takes the mark meanwhile must find the write kept. */
	if (!atomic_load_explicit(&h->dirty, memory_order_relaxed))
		atomic_store(&h->dirty, true);
	fuse_reply_write(c->req, size); /* first: its caller need not wait for it to be sent */
	data_submit_kept(kept);
}

void file_fsync(struct ctx *c, struct fuse_file_info *fi)
{
	struct move *m = move_new(c, fi, DATA_FLUSH, 0, 0, 0, 0);

	if (!m)
		return;
	m->error = true;
	move_submit(m);
}

/* close(2): what others read from now on holds what was written here, and what went wrong is told. */
void file_flush(struct ctx *c, struct fuse_file_info *fi)
{
	struct handle *h = handle_find(c->fs, fi->fh);
	struct move *m;
	bool killed;

	if (!h || !h->writes || !atomic_load(&h->dirty)) {
		fuse_reply_err(c->req, 0);
		return;
	}
	/* Who is being killed takes no more signals, and asks for nothing: the mark stays for another who has the description. */
	(void)who_closes(c->pid, &killed);
	if (killed || !atomic_exchange(&h->dirty, false)) {
		fuse_reply_err(c->req, 0);
		return;
	}
	m = move_new(c, fi, DATA_DRAIN, 0, 0, 0, 0);
	if (!m)
		return;
	m->error = true;
	move_submit(m);
}

/* As on a block device: only what lies within, and nothing grows. */
void file_fallocate(struct ctx *c, struct fuse_file_info *fi, int mode, off_t off, off_t len)
{
	struct handle *h = handle_find(c->fs, fi->fh);
	uint64_t end = h ? data_size(h->image) : 0, from = (uint64_t)off, n = (uint64_t)len;
	struct move *m;
	int error = 0;

	if (!h)
		error = EIO;
	else if (!h->writes)
		error = EBADF;
	else if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) &&
		 (mode & ~FALLOC_FL_KEEP_SIZE) != FALLOC_FL_ZERO_RANGE)
		error = EOPNOTSUPP;
	else if (!(mode & FALLOC_FL_KEEP_SIZE) && (from > end || n > end - from))
		error = ENOSPC;
	if (error || from >= end) {
		fuse_reply_err(c->req, error);
		return;
	}
	m = move_new(c, fi, DATA_ZERO, from, n < end - from ? n : end - from, 0, 0);
	if (!m)
		return;
	move_submit(m);
}

struct question {
	struct patient patient;
	struct data_image *image; /* held, as that of a move */
};

static void question_free(struct patient *p)
{
	free(p);
}

static void found(void *arg, int code, uint64_t off)
{
	struct question *q = arg;
	fuse_req_t req = q->patient.req;

	if (!patient_claim(&q->patient))
		; /* its caller was killed */
	else if (code < 0)
		fuse_reply_err(req, code == -ENXIO ? ENXIO : errno_of(code));
	else
		fuse_reply_lseek(req, (off_t)off);
	data_unhold(q->image);
	patient_end(&q->patient);
}

static void seek(struct ctx *c, struct data_image *i, uint64_t off, bool hole)
{
	struct question *q = calloc(1, sizeof *q);

	if (!q) {
		fuse_reply_err(c->req, ENOMEM);
		return;
	}
	q->image = i;
	data_hold(i);
	patient_begin(&q->patient, c->req, question_free, NULL);
	data_next(i, off, hole, found, q);
}

void file_lseek(struct ctx *c, struct fuse_file_info *fi, off_t off, int whence)
{
	struct handle *h = handle_find(c->fs, fi->fh);

	if (!h)
		fuse_reply_err(c->req, EIO);
	else if (whence != SEEK_DATA && whence != SEEK_HOLE)
		fuse_reply_err(c->req, EINVAL);
	else if (off < 0 || (uint64_t)off >= data_size(h->image))
		fuse_reply_err(c->req, ENXIO);
	else
		seek(c, h->image, (uint64_t)off, whence == SEEK_HOLE);
}
