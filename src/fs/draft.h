/* What draft.c (finding drafts), draft_open.c and draft_io.c (gestures), submit.c (when and how one
 * becomes a request) and draft_meta.c (how one becomes metadata) share. */
#ifndef VOLFS_FS_DRAFT_H
#define VOLFS_FS_DRAFT_H

#include "base/tally.h"
#include "fs/internal.h"

#include <uthash.h>

/* Who waits for a submission's outcome. */
struct pending {
	enum {
		PENDING_FLUSH,
		PENDING_READ,
		PENDING_RENAME,
	} kind;
	fuse_req_t req;
	size_t size; /* PENDING_READ */
	off_t off;
	struct pending *next;
};

/* Where a file is found: dir as in the keep. */
struct draft_key {
	int64_t dir;
	char name[NAME_LEN + 1];
};

/* One open spec, or one kept draft: the part that dies with the server. The rest is in the keep. */
struct draft {
	struct keep_draft *k;
	uint64_t serial; /* = k->serial */
	bool submitting; /* lock: the engine has it; nobody frees it meanwhile */
	bool moving;	 /* lock: its unlink is not answered yet: nobody frees it meanwhile */
	bool released;	 /* lock: its last open is gone: freed when the submission has ended */
	char to[NAME_LEN + 1];	 /* lock: the name of a renamed draft while it is submitted */
	struct pending *pending; /* lock */
	struct draft_key key;	 /* lock: as in the keep, where the name moves with each change */
	bool named;		 /* lock: it is in drafts.named */
	UT_hash_handle hh;	 /* by serial */
	UT_hash_handle by_name;
};

struct drafts {
	struct fs *fs;
	struct lock lock;    /* nothing is called under it but /proc-free, I/O-free code */
	struct draft *all;   /* lock */
	struct draft *named; /* lock: those that are a file by themselves, and not dropped */
	struct tally kept;   /* lock */
	int64_t pruned_us;   /* lock */
	uint64_t base;	     /* displaces the serials in inode numbers */
};

/* draft.c */

/* Found by handle; by the name of a kept draft or of the first open of a spec, until it is accepted; by the file serial
 * (any open of it). */
struct draft *draft_by_name_locked(struct drafts *ds, int64_t dir, const char *name);
struct draft *draft_by_file_locked(struct drafts *ds, uint64_t file);
struct draft *draft_by_serial_locked(struct drafts *ds, uint64_t serial);
void draft_free_locked(struct drafts *ds, struct draft *d);
void draft_end_locked(struct drafts *ds, struct draft *d); /* frees what nothing needs any more */

/* A draft to be made: all that must be in the keep before a successor may find it. */
struct draft_new {
	const struct who *who;
	int64_t dir;
	const char *name;
	uint64_t file; /* … of which this is one more open, if not own */
	bool own;      /* its file is its own serial */
	bool kept;
	mode_t mode;
	int64_t again; /* the accepted spec that it writes once more; 0 */
};

/* A new draft of the caller, with one open, made by the request that this thread handles. NULL: no slot is free, or its user
 * has too many. */
struct draft *draft_take_locked(struct drafts *ds, const struct draft_new *n, struct err *err);

/* It has another name now. It is found by none any more, and never submitted. */
void draft_name_locked(struct drafts *ds, struct draft *d);
void draft_drop_locked(struct drafts *ds, struct draft *d);
void draft_prune_locked(struct drafts *ds); /* kept drafts that nobody has open die after an hour */
void draft_stat_of(struct ctx *c, const struct keep_draft *k, struct stat *st);
uint64_t draft_file_of(struct fs *fs, struct node n); /* the file serial of a node; 0: new/spec */

static inline const char *draft_name(const struct draft *d)
{
	return keep_draft_now(d->k)->name;
}

/* Has bytes that were neither submitted nor refused. */
static inline bool draft_unsubmitted(const struct keep_draft *k)
{
	const struct keep_draft_state *s = keep_draft_now(k);

	return s->len > s->submitted && !s->refused && !s->done && !k->dropped;
}

/* draft_open.c */

/* A RENAME or UNLINK that the kernel sends again was carried out on this draft by a server that is
 * dead now; NULL: by none. What is noted for that: name NULL: it keeps its own. */
struct draft *draft_moved_by_locked(struct drafts *ds, struct change_id id);
void draft_move_locked(struct drafts *ds, struct draft *d, const char *name, struct change_id id);

/* submit.c */

/* Does that process keep d, an open of that file, open? Its other opens of the file do not count. May read /proc; no lock held. */
bool draft_held(struct fs *fs, const struct draft *d, uint64_t file, pid_t tgid);

/* Judges what can be known of text (the lines written so far, which change by this thread only). Not under the lock. */
int draft_judge(struct fs *fs, const struct keep_draft *k, size_t len, struct err *err);

/* Submits d; p (may be NULL) is answered with the outcome. nonblock: a full queue is -EAGAIN. Not
 * under the lock. */
void draft_submit(struct fs *fs, struct draft *d, struct pending *p, bool nonblock);
/* The same, with nobody to answer, by who has set d->submitting. */
void draft_submit_claimed(struct fs *fs, struct draft *d, bool nonblock);

/* Answers a read of an open spec from its text and the answer behind it. Not under the lock. */
void draft_reply_read(struct fs *fs, struct draft *d, fuse_req_t req, size_t size, off_t off);

/* The name of the volume for a file in new/: without a suffix .spec; "" for new/spec itself. */
void draft_volume_name(const char *file, char name[NAME_LEN + 1]);
void draft_caller(struct fs *fs, const struct keep_draft *k, struct caller *ret);

#endif
