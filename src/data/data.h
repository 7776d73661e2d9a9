/*
 * The bytes of volumes: open images, and what is under way on them.
 *
 *      data_new ──▶ data_recover ──▶ ( data_get ──▶ data_submit · data_next … ──▶ data_put )* ──▶ data_stop ──▶ data_free
 *
 * An image is opened when somebody gets it, and closed some time after the last has put it; it can be had at once, and what is asked of it
 * waits until it is open. Nothing here blocks the caller, whatever the storage does, but for data_let_go() and data_stop().
 *
 * A small write may be kept: its bytes lie in the memory that outlives this server (keep.h), so its caller may be told at once that it is
 * done, as a disk's cache does. A server that dies leaves what it kept to the next one, which carries it out before anything else is
 * done to that image. A flush waits for all that was kept before it. What fails later is told to hooks.failed.
 *
 * Order: whatever overlaps a kept write that came before waits for it. Requests that overlap and whose callers have not been told come in
 * any order, as on a disk; but for those whose callers are gone (data_leave).
 */
#ifndef VOLFS_DATA_DATA_H
#define VOLFS_DATA_DATA_H

#include "engine/engine.h"
#include "keep.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct data;
struct data_image;

struct data_hooks {
	/* A kept write of that volume failed, or a flush: the storage tells of what it lost only once. -errno; from any thread, before who
	 * asked for the flush is told. */
	void (*failed)(void *arg, int64_t volume, int code);
	void *arg;
};

/* engine and keep outlive it. */
int data_new(struct engine *e, struct keep *keep, const struct data_hooks *hooks, struct data **ret,
	struct err *err);

/* Takes over the writes that a dead server kept; before the first data_get(). v: any read connection. */
int data_recover(struct data *d, struct view *v, struct err *err);

/* What is kept is carried out and images are closed, within ms; what is not, stays kept for the next server. Nobody submits any more. */
void data_stop(struct data *d, long ms);

/* Is every image closed? If not, the backends must stay as they are. NULL is fine. */
bool data_is_closed(struct data *d);

/* false: something still hangs in the storage, so the process must end by _exit(). NULL is fine. */
bool data_free(struct data *d);

/* The image of a volume, counted. shared: programs on other hosts may write to it and read what is written here, so no write is
 * kept. -EIO: its backend is not configured. */
int data_get(struct data *d, const struct volume *vol, bool shared, struct data_image **ret,
	struct err *err);
/* The same of a snapshot, of its own size: another image. Nobody writes to it. */
int data_get_snapshot(struct data *d, const struct volume *vol, const struct snapshot *snap,
	struct data_image **ret, struct err *err);
void data_put(struct data_image *i);

/*
 * For a request whose caller may be killed and put the image before the request is over: the image stays in memory, though it may be closed.
 * While somebody has it; from any thread.
 */
void data_hold(struct data_image *i);
void data_unhold(struct data_image *i);

uint64_t data_size(struct data_image *i); /* bytes, as of the last commit */

/* The volume has grown to that size: the engine's commit, before anybody is told; and who got the image after reading the catalogue, for
 * the commit may have come between. */
void data_resized(struct data *d, int64_t volume, uint64_t size);

/*
 * For a worker about to remove the image there, or to revert it: it is closed when this returns 0. -EBUSY: somebody has it. uuid: the
 * volume's, or a snapshot's where that is removed; they are images of their own, and none is let go with another. What a given-up
 * creation left elsewhere under the same name is another image. arg: the struct data; be: the driver's backend.
 */
int data_let_go(void *arg, const void *be, const char *uuid);

/*
 * For a worker about to take a snapshot of the volume's image there: see engine_on_snapshot(). arg: the struct data. Waits for the storage,
 * and with stop until another who has stopped it goes on; every call of one backend has the same stop. Reads go on meanwhile, also
 * flushes; writes wait, and their callers with them. An image that nobody has open is stopped as well: for who opens it meanwhile.
 * -EAGAIN: the server ends.
 */
int data_quiet(void *arg, const void *be, const char *uuid, bool stop);
/* Ends what a data_quiet() with stop began; after one without it does nothing. */
void data_go_on(void *arg, const void *be, const char *uuid);

enum data_op {
	DATA_READ,
	DATA_WRITE,
	DATA_ZERO,  /* the range reads as zeroes, its space is given back; any length */
	DATA_FLUSH, /* off, len: 0 */
	DATA_DRAIN, /* waits for what was kept, no more */
	DATA_NEXT,  /* of data_next() alone */
	DATA_EMPTY, /* all of it reads as zeroes, its space is given back; what is a hole costs nothing. What comes later waits for it */
};

/*
 * One request; embedded in the caller's struct, all zero but for what is said here, which lives until done(). off, len: within data_size(). buf: borrowed until done. done:
 * once, from any thread, perhaps within data_submit(); 0 or -errno. It must not block.
 */
struct data_io {
	enum data_op op;
	uint64_t off, len;
	void *buf;
	void (*done)(struct data_io *io, int code);
	/* the module's */
	struct data_image *image;
	uint64_t mark; /* its number: rising on one image */
	enum { DATA_NEW, DATA_WAITS, DATA_SENT, DATA_OVER } state; /* the image's lock */
	bool left;	  /* the image's lock; see data_leave() */
	bool first;	  /* the image's lock; it is in the list of those that come first */
	uint64_t sent;	  /* DATA_ZERO: bytes of which the driver has been told */
	_Atomic int step; /* DATA_ZERO: see io.c */
	int code;	  /* DATA_ZERO: of its last step */
	int slot;	  /* a kept write's place in the keep; -1 */
	struct data_io *prev, *next;		 /* of those that wait */
	struct data_io *kept_prev, *kept_next;	 /* of those that are kept */
	struct data_io *first_prev, *first_next; /* of those that come first */
};
void data_submit(struct data_image *i, struct data_io *io);

/*
 * Its caller was killed, and is about to be told that it was ended. One that waits, or is yet to be submitted, is not carried out: done with
 * -EINTR. Another may still land, so whatever overlaps it and comes later waits for that. From any thread; it may be over by now, but
 * io is there, and somebody has the image.
 */
void data_leave(struct data_image *i, struct data_io *io);

/*
 * Keeps a write: true, and its caller may be told that it is done; *ret is to be passed to data_submit_kept() next. false: it is to be
 * submitted as any other (too long, no room, trouble).
 */
bool data_keep_write(
	struct data_image *i, uint64_t off, size_t len, const void *buf, struct data_io **ret);
void data_submit_kept(struct data_io *io); /* NULL is fine: it waits for another */

/* Where the next data (hole: the next hole) is at or after off; -ENXIO: there is none before the end. done: from a thread of the module. */
typedef void data_found(void *arg, int code, uint64_t off);
void data_next(struct data_image *i, uint64_t off, bool hole, data_found *done, void *arg);

#endif
