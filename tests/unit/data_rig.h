/*
 * What tests of src/data stand on: a storage in memory whose answers come when the test says so, and the few functions of the engine and
 * the catalogue that src/data calls. Nothing else is linked, so what src/data knows of others is what stands here.
 *
 * Everything is global: one storage, one keep, one server at a time. must() may be used by every thread and after fork().
 */
#ifndef VOLFS_TESTS_DATA_RIG_H
#define VOLFS_TESTS_DATA_RIG_H

#include "data/data.h"
#include "keep.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define must(x)                                                                                    \
	((x) ? (void)0 : (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x), abort()))

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)

/* --- the storage. It has DISK_BYTES for each of its images, a snapshot's are those of the volume of its UUID's number, and outlives a server killed after fork(); what is beyond reads as zeroes. */

enum { DISK_BYTES = 4 << 20, DISK_IMAGES = 8 };

enum disk_op {
	DISK_OPEN,
	DISK_CLOSE,
	DISK_READ,
	DISK_WRITE,
	DISK_ZERO,
	DISK_FLUSH,
	DISK_NEXT, /* blocks its thread while it is held */
	DISK_OPS,
};
#define HOLD(op)  (1U << (op))
#define HOLD_ALL  (HOLD(DISK_OPS) - 1)
#define HOLD_NONE 0U

void disk_hold(unsigned
		ops); /* those of these kinds wait for disk_answer(); at first none does: they are answered within the call */
void disk_threads(
	unsigned n); /* so many threads answer, in any order; 0: they end, once all is answered */
void disk_fail(enum disk_op op, int code); /* the next one; it is not done */
void disk_answer(enum disk_op op,
	int code);	    /* the oldest that is held, after it came; code < 0: it is not done */
void disk_answer_all(void); /* and holds none any more */
void disk_forget(void);	    /* what is held never comes; and holds none any more */
unsigned disk_held(enum disk_op op);
const void *disk_backend(void);	      /* as engine_image() names it */
unsigned disk_begun(enum disk_op op); /* how often since set up */
uint64_t disk_off(enum disk_op op);   /* of the one begun last */
uint64_t disk_len(enum disk_op op);
char *disk_bytes(int64_t volume);

/* --- the engine and the catalogue */

enum {
	FENCED = 42,
	GONE = 99,
	UNCONFIGURED = 98
}; /* an exit status; volumes: in no row; of a backend that is not configured */

void backend_ready(bool yes);	     /* at first it is */
void backend_forget(void);	     /* those who wait for it: the engine has ended */
extern struct volume *const volumes; /* [1 … DISK_IMAGES) */

/* --- one server */

extern struct data *server;
extern struct keep *keep;

int data_set_up(void **state);
int data_tear_down(void **state); /* everything ended and nothing is kept: else dies */

void server_new(void); /* with what the last one kept, in two steps: */
void server_begin(void);
void server_recover(void);
void server_end(void);	    /* in order */
void server_forget(void);   /* it hangs: as if its process had ended by _exit() */
unsigned kept_places(void); /* in use */
void run_ahead(long s);	    /* the clock of src/data */

struct data_image *image_of(int64_t volume);
struct data_image *open_image(int64_t volume); /* the same, once it is open */

unsigned moment(void);			     /* rising */
extern _Atomic unsigned failures, failed_at; /* of kept writes: how many; the moment of the last */
extern _Atomic int failed_code;
extern _Atomic int64_t failed_volume;

/* A request of the test's. */
struct req {
	struct data_io io;
	_Atomic bool over;
	unsigned at; /* the moment of its end */
	int code;
};
void req_begin(struct req *r, struct data_image *i, enum data_op op, uint64_t off, uint64_t len,
	void *buf);
int req_wait(struct req *r); /* its code; dies after 20 s */
int request(struct data_image *i, enum data_op op, uint64_t off, uint64_t len, void *buf);

/* Keeps len times c; dies if it is not kept. false: it waits for another. */
bool keep_c(struct data_image *i, uint64_t off, size_t len, char c);
bool keeps(
	struct data_image *i, uint64_t off, size_t len); /* would it, with zeroes? It does, then */

/* An answer of data_next(). */
struct answer {
	_Atomic bool over;
	int code;
	uint64_t off;
};
data_found answered;
int answer_wait(struct answer *a, uint64_t *ret);

#define WAIT_FOR(x)                                                                                \
	do {                                                                                       \
		for (int n_ = 0; !(x); n_++) {                                                     \
			must(n_ < 20000 && #x);                                                    \
			if (n_ < 100)                                                              \
				sched_yield();                                                     \
			else                                                                       \
				pause_ms(1);                                                       \
		}                                                                                  \
	} while (0)
void pause_ms(long ms);

#endif
