/*
 * What lives between two servers: a memfd that the supervisor owns and every server maps. The
 * kernel's mount and the programs on it outlive a server's death; what they may rely on and what is
 * in no row of the catalogue stands here: the FUSE_INIT exchange, unfinished specs, open descriptions of `data`,
 * writes that were acknowledged and may not have reached the storage yet, poll handles, who was refused to
 * remove what, the latest refusals' reasons.
 *
 * Every server may be killed at any instruction, so a record is changed by writing its spare half
 * and then one number that says which half is valid. The file is sparse: only what was touched
 * takes memory.
 *
 * One server at a time maps it (the supervisor has reaped the one before). Threads of the server:
 * each slot belongs to whoever took it; taking and giving back is atomic.
 */
#ifndef VOLFS_KEEP_H
#define VOLFS_KEEP_H

#include "base/err.h"
#include "volume.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	KEEP_INIT_MAX = 256,
	KEEP_DRAFTS = 16384,
	KEEP_POLLS = 65536,
	KEEP_DEEDS = 16384,
	KEEP_USERS = 1024, /* whose refusals are remembered */
	KEEP_LINES = 64,   /* of each */
	KEEP_LINE = 1024,
	KEEP_OPENS = 65536,	    /* open file descriptions of `data` */
	KEEP_WRITES = 4096,	    /* kept writes (src/data) */
	KEEP_WRITE_MAX = 16 * 1024, /* bytes of one */
	KEEP_PLACES = 65536,	    /* open streams */
};

enum { KEEP_FREE, KEEP_USED, KEEP_CLAIMED };

/* The changing half of a draft: two of them, `turn` says which is valid. */
struct keep_draft_state {
	uint32_t len;	     /* bytes of text that count */
	uint32_t submitted;  /* bytes of text that were submitted or refused at submission; no write
				after it */
	int32_t refused;     /* -errno that poisons the descriptor; 0 */
	uint32_t done;	     /* 1: a volume with `uuid` was accepted */
	uint64_t last_write; /* `unique` (without the top bit) of the last WRITE counted in len */
	int32_t last_result; /* what it was answered */
	uint32_t spare;
	uint64_t moved_by; /* `unique` of the RENAME or UNLINK that came last: sent again, it is
			      answered, not repeated */
	char name[NAME_LEN + 1];
	char reason[512]; /* the sentence of the refusal */
};

/* One open spec or draft file in new/, or a draft among metadata. */
struct keep_draft {
	_Atomic uint32_t
		used; /* KEEP_FREE, KEEP_CLAIMED (being filled in or emptied) or KEEP_USED */
	_Atomic uint32_t turn; /* which of state[] is valid */
	uint64_t serial;       /* names this open (fi->fh); never 0 */
	uint64_t file; /* its inode number is made from it: the serial of the first open of that
			  name; 0: new/spec */
	int64_t dir;   /* 0: new/; else the row of the volume in whose metadata/ it is */
	int64_t opened_us;
	uid_t uid; /* the caller: who opened it */
	gid_t gid;
	pid_t tgid, session;
	uint32_t opens;	  /* open descriptions (a kept draft may be opened again) */
	uint32_t kept;	  /* a name that matches draft_patterns: stays after RELEASE */
	uint32_t dropped; /* unlinked, or its writer was killed: never submitted */
	uint32_t mode;	  /* permission bits */
	int64_t again; /* the volume that this very file became: it is written once more, and must be
			     the same */
	uint64_t made_by; /* `unique` of the CREATE or OPEN that made it: sent again, it makes no
			     second one */
	char uuid[UUID_LEN + 1];
	uint32_t group_count;
	gid_t groups[64]; /* the caller's supplementary groups at OPEN */
	struct keep_draft_state state[2];
	char text[SPEC_MAX + 1];
};

/* What a process did to an object within the last minute (fs/guard.c). */
struct keep_deed {
	_Atomic int64_t at_ns; /* CLOCK_MONOTONIC; 0: free. Written last */
	uint64_t ino;
	uint64_t tgid;
};

struct keep_deeds {
	_Atomic uint32_t high; /* slots from here on were never taken */
	_Atomic uint32_t hint; /* where the search for a free one begins */
	struct keep_deed deed[KEEP_DEEDS];
};

/* keep_open.writes: its opener was killed while the volume was emptied (fs/file_empty.c), which goes on. */
enum { KEEP_EMPTIES = 2 };

/* One open file description of `data`, a volume's or a snapshot's (fs/file.c). */
struct keep_open {
	_Atomic uint32_t
		used;	 /* KEEP_FREE, KEEP_CLAIMED until the open is answered, or KEEP_USED */
	uint32_t writes; /* 1: it may write; KEEP_EMPTIES */
	_Atomic int32_t
		error; /* -errno of a kept write or a flush that failed: told at the next fsync or close; 0 */
	uint32_t of_snapshot; /* 1: the bytes of a snapshot. Servers that knew none have left 0 */
	uint64_t serial;      /* with the slot: fi->fh */
	int64_t row;	      /* the volume's, or the snapshot's */
	uint64_t made_by;     /* `unique` of the OPEN: sent again, it makes no second one */
};

/* A write whose caller was told that it is done, while the storage has not answered yet (src/data/keep.c). */
struct keep_write {
	_Atomic uint32_t used; /* KEEP_FREE or KEEP_USED; written last */
	uint32_t len;
	int64_t volume; /* row */
	uint64_t off;
	uint64_t number; /* rising: the order of writes that overlap */
	char bytes[KEEP_WRITE_MAX];
};

/*
 * Where a reader of a stream is (fs/place.c): what comes at the offset of its next read. The one before is still true, for the answer
 * that said so may not have reached it.
 */
struct keep_place {
	_Atomic uint32_t used;	  /* KEEP_FREE, KEEP_CLAIMED or KEEP_USED */
	_Atomic uint32_t turn;	  /* which of at[] is the newer */
	_Atomic uint64_t serial;  /* with the slot: fi->fh */
	_Atomic uint64_t made_by; /* `unique` of the OPEN: sent again, it makes no second one */
	_Atomic uint32_t admin;	  /* 1: an administrator opened it */
	_Atomic uid_t uid;	  /* who did */
	struct {
		_Atomic int64_t off; /* -1: none */
		_Atomic int64_t pos;
	} at[2];
};

/* The latest refusals of one user (fs/errlog.c). */
struct keep_refusals {
	_Atomic uint64_t number[KEEP_LINES]; /* over all users, rising; 0: no line. Written last */
	uid_t uid;			     /* if there is a line */
	char line[KEEP_LINES][KEEP_LINE];    /* texts without a newline */
};

struct keep {
	uint32_t magic, version;
	uint64_t mount_id;	 /* random, one per mount */
	_Atomic uint64_t server; /* counts the servers of this mount, from 1 */
	_Atomic uint64_t draft_serial;
	_Atomic uint32_t init_len, init_reply_len;
	_Atomic uint32_t draft_high; /* slots from here on were never taken: nobody looks there */
	uint8_t init[KEEP_INIT_MAX]; /* the kernel's FUSE_INIT message; valid if init_len */
	uint8_t init_reply[KEEP_INIT_MAX]; /* its answer, without the header */
	uint64_t capable;		   /* INIT flags that the kernel offered (64 bits) */
	_Atomic uint64_t poll[KEEP_POLLS]; /* kernel's handles of sleepers; 0: free */
	struct keep_deeds refused;	   /* to unlink an attribute */
	struct keep_deeds unlinked;	   /* an accepted spec */
	_Atomic uint32_t refusals_high;	   /* slots from here on were never taken */
	struct keep_refusals refusals[KEEP_USERS];
	struct keep_draft draft[KEEP_DRAFTS];
	_Atomic uint64_t open_serial, write_number;
	_Atomic uint32_t open_high; /* slots from here on were never taken */
	struct keep_open open[KEEP_OPENS];
	struct keep_write write[KEEP_WRITES];
	_Atomic uint32_t place_high; /* slots from here on were never taken */
	struct keep_place place[KEEP_PLACES];
};

/* Makes the memfd (close-on-exec off); supervisor only. Returns the descriptor. */
int keep_create(struct err *err);

/* Maps it; -EPROTO if it is of another version. */
int keep_map(int fd, struct keep **ret, struct err *err);
void keep_unmap(struct keep *k);

/* A new server, before its first thread: counts it, and frees what its predecessor was killed in
 * the middle of taking. */
void keep_succeed(struct keep *k);

/* Claims a free draft slot, zeroed but for serial; NULL if none is free. It is there for a successor once it was put in use:
 * filled in by then, so that no half of one is found. Gives one back and its memory to the kernel. */
struct keep_draft *keep_draft_take(struct keep *k);
void keep_draft_use(struct keep_draft *d);
void keep_draft_drop(struct keep *k, struct keep_draft *d);

/* Walks the slots in use: *at begins with 0; NULL at the end. Touches no memory of slots that were
 * never taken. */
struct keep_draft *keep_draft_each(struct keep *k, size_t *at);

/* Remembers a poll handle, so that its sleeper is woken when this server is replaced; the slot, or
 * -ENOSPC. */
int keep_poll_add(struct keep *k, uint64_t kh);
void keep_poll_drop(struct keep *k, int slot);

/* Notes a deed; NULL: all slots are taken. Who calls these holds the table's lock. */
struct keep_deed *keep_deed_add(struct keep_deeds *all, uint64_t tgid, uint64_t ino, int64_t at_ns);
void keep_deed_drop(struct keep_deeds *all, struct keep_deed *d);

/* Claims a slot for an open description, its serial set; -1: all are taken. Who claimed it fills it in and sets `used`. */
int keep_open_take(struct keep *k);
void keep_open_drop(struct keep *k, int slot);

/* Claims a slot, its serial set and no place known; -1: all are taken. Who claimed it sets `used`. */
int keep_place_take(struct keep *k);
void keep_place_drop(struct keep *k, int slot);

/* The valid half; the other one to fill (a copy of the valid one is put there); and the flip that
 * makes it valid. */
const struct keep_draft_state *keep_draft_now(const struct keep_draft *d);
struct keep_draft_state *keep_draft_next(struct keep_draft *d);
void keep_draft_flip(struct keep_draft *d);

#endif
