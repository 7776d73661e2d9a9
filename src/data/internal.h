/*
 * The folder's map: what each file of data/ offers to its siblings.
 *
 *      image.c   an image's life: got, opened, idle, closed     keep.c   writes that are kept, and their places
 *      io.c      requests: sending, ending                     slow.c   threads for what blocks
 *      order.c   which of them waits for which                 ask.c    what is done in those
 *      quiet.c   nothing is written while a snapshot is taken
 *
 * Locks: data.lock → image.lock → keeper.lock; slow.lock is a leaf. None is held over a done(), or over a driver call
 * but data_close(), which does not block: data.lock keeps the image from being freed meanwhile.
 */
#ifndef VOLFS_DATA_INTERNAL_H
#define VOLFS_DATA_INTERNAL_H

#include "base/lock.h"
#include "data/data.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

/* --- slow.c --- */

/* Work that may block; run by one of a few threads of its backend. */
struct slow_task {
	void (*run)(struct slow_task *t);
	struct slow_task *next;
};
struct slow;
int slow_new(struct slow **ret);
/* false: a thread is stuck in a task; everything stays as it is. */
bool slow_free(struct slow *s, long ms);
void slow_run(struct slow *s, const void *backend, struct slow_task *t);

/*
 *   CLOSED ──(wanted)──▶ WAITS ──(backend ready)──▶ OPENING ──▶ OPEN ──(idle, let go)──▶ CLOSING ──▶ CLOSED
 *                                                     └─(failed)─▶ CLOSED: what waits is answered with the reason
 */
enum image_state {
	IMAGE_CLOSED,
	IMAGE_WAITS,
	IMAGE_OPENING,
	IMAGE_OPEN,
	IMAGE_CLOSING,
};

/* Rows; snapshot 0: the volume as it is. */
struct data_key {
	int64_t volume, snapshot;
};

struct data_image {
	struct data *d;
	struct data_key key;
	struct engine_image at;
	struct driver_snap snap; /* of a snapshot */
	_Atomic uint64_t size;

	unsigned users;	  /* data.lock */
	atomic_uint held; /* rises only while there are users */
	int64_t idle_ns;  /* data.lock; since when without users; 0 */
	UT_hash_handle hh;

	struct lock lock;
	enum image_state state; /* lock */
	void *handle;		/* lock; the driver's, in OPEN and CLOSING */
	unsigned under_way;	/* lock; calls of the driver that have not ended */
	unsigned changing;	/* lock; of these, writes and zeroings */
	bool stopped; /* lock; and data.lock to change it: a snapshot is taken, so only kept writes are sent, and none is kept */
	struct data_io *kept; /* lock; kept writes that have not ended, in order */
	unsigned kept_count;  /* lock */
	bool shared;   /* lock; others must see a write when its caller is told: none is kept */
	uint64_t last; /* lock; number of the last request */
	uint16_t *
		kept_at; /* lock; how many kept writes touch a block (order.c); NULL before the first */
	struct data_io *first; /* lock; of those under way, the ones that come first (order.c) */
	uint64_t
		trouble; /* lock; the last kept write that failed: none is kept until a flush after it succeeds; 0 */
	struct data_io
		*waiting; /* lock; requests and kept writes that are not sent yet, in order */
	struct engine_ready ready;
	struct slow_task open_task;
	pthread_cond_t changed; /* lock; state, under_way, changing */
};

/* --- keep.c --- */

struct keeper;
int keeper_new(struct keep *k, struct keeper **ret);
void keeper_free(struct keeper *k);
/* A place with these bytes in it, durable against this server's death; -1: none is free. */
int keeper_take(struct keeper *k, int64_t volume, uint64_t off, size_t len, const void *buf);
void keeper_give(struct keeper *k, int slot);
/* Places that a dead server left, in the order of their writes; NULL: no memory, or none (*ret_n). The caller frees the list. */
int *keeper_left(struct keeper *k, size_t *ret_n);
struct keep_write *keeper_at(struct keeper *k, int slot);

/* --- image.c --- */

struct data {
	struct engine *engine;
	struct keeper *keeper;
	struct slow *slow;
	struct data_hooks hooks;
	struct lock lock;
	pthread_cond_t tick;	   /* lock */
	struct data_image *images; /* lock; by key */
	struct quiet *quiets;	   /* lock; images that are stopped, also those that nobody has */
	bool recovered;		   /* lock; what a dead server kept is taken over */
	pthread_cond_t turn;	   /* lock; quiets, recovered, ending */
	bool ending;		   /* lock */
	bool ticking;		   /* lock */
	pthread_t ticker;
	atomic_bool stopped; /* nothing is kept any more */
};

/* Begins what an image needs to be open; called with its lock, which it gives up and takes again. */
void image_want_locked(struct data_image *i);
/* What the storage calls it: the UUID of the volume, or of the snapshot. */
const char *image_uuid(const struct data_image *i);
/* The image of that name there, counted; NULL: nobody has had it of late. Called with data.lock. */
struct data_image *image_find_locked(struct data *d, const void *be, const char *uuid);
/* Waits until no kept write of a dead server can come any more; false: the server ends. Called with data.lock. */
bool data_recovered_locked(struct data *d);

/* --- quiet.c --- */

/* Is an image of that name stopped? Called with data.lock. */
bool quiet_find_locked(const struct data *d, const void *be, const char *uuid);

/* --- io.c --- */

/* Sends whatever may go now; called with the lock, which it gives up and takes again. */
void io_send_locked(struct data_image *i);
/* Answers all that waits, and lose: gives up what is kept; the same. */
void io_fail_locked(struct data_image *i, int code, bool lose);
int io_recover(struct data_image *i, int slot); /* a kept write of a dead server, in order */
void io_forget(struct data_image *i); /* nobody has it any more: kept writes stay in the keep */
bool io_quiet_locked(const struct data_image *i); /* nothing is under way or to be done */
/* Sends it, whatever there is: it is part of another, which is under way and has waited for everything. */
void io_send_now(struct data_image *i, struct data_io *io);
void io_ended(void *arg, int code); /* a driver_done; arg: the struct data_io */

/* --- order.c --- */

bool io_changes(const struct data_io *io);
/* Must it wait for another, or until the image goes on? */
bool order_waits_locked(struct data_image *i, const struct data_io *io);
/* It is under way, and what comes later waits for it; until it is over. */
void order_first_locked(struct data_image *i, struct data_io *io);
void order_over_locked(struct data_image *i, struct data_io *io);
bool order_is_emptied_locked(struct data_image *i); /* just now */
/* Counts a kept write in (1), or out (-1). Before that: can it, is there memory? */
void order_count_locked(struct data_image *i, const struct data_io *io, int by);
bool order_may_count_locked(struct data_image *i);

/* --- ask.c: what takes a thread that may block --- */

/* Submits a request and waits for its code. */
int io_wait(struct data_image *i, enum data_op op, uint64_t off, uint64_t len);
/* Carry out a DATA_NEXT, a DATA_EMPTY that is under way, and end it. */
void ask(struct data_image *i, struct data_io *io);
void empty(struct data_image *i, struct data_io *io);

#endif
