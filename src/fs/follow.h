/*
 * Those who wait for the next event, in read(2) (follow_read.c) or in poll(2) (follow_poll.c), and the thread that looks for them what is
 * new (follow.c). For these three files only.
 */
#ifndef VOLFS_FS_FOLLOW_H
#define VOLFS_FS_FOLLOW_H

#include "fs/log.h"

#include <uthash.h>
#include <utlist.h>

/* Where somebody is in the stream, and what he may see of it. */
struct stand {
	uint64_t fh;
	struct log_place at;
	struct log_reader who;
};

struct follower;
struct sleeper;

struct follow {
	struct fs *fs;
	struct window *window; /* the thread fills it */
	struct lock lock;      /* after a request's own lock; never held over a reply or a query */
	pthread_cond_t more;
	pthread_t thread;
	bool ending, woken;	      /* lock */
	uint64_t next_id;	      /* lock */
	struct follower *by_id;	      /* lock */
	struct follower *blocked;     /* lock: those armed */
	struct follower *interrupted; /* lock: taken off the list */
	struct sleeper *by_fh;	      /* lock */
	struct sleeper
		*asleep; /* lock: the same, those that were looked at last behind the others */
	_Atomic size_t looking; /* how many there are of both */
	_Atomic int64_t next;	/* event that the window does not have yet */
	/* The thread's own: */
	uint64_t pass;	    /* at each, everybody is looked at once */
	int64_t project_at; /* event by which the latest new project is there */
	int64_t kept;	    /* events before this one are known to be gone … */
	uint64_t kept_pos;  /* … and where it begins */
	int64_t due_ns;	    /* when it may look again */
};

/* --- follow.c */

void follow_look(
	struct follow *f); /* the thread is to look: what somebody waits for may be there */
/* Of the thread: what the window has for s. False: it does not begin early enough, and nothing is known to be lost. */
bool follow_next(struct follow *f, struct view *v, struct stand *s, struct log_answer *a);

/* --- follow_read.c */

/* Of any thread that asks for itself: at_once: also what will be in the window soon. 0; -EIO, -ENOMEM. */
int follow_fill(struct ctx *c, const struct log_reader *who, bool at_once, struct log_answer *a);
/* The first event that a blocked reader waits for; 0: there is none. */
int64_t blocked_first_locked(struct follow *f);
/* Of the thread: answers those for whom there is something now. How many. */
size_t blocked_answer(struct follow *f, struct view *v);
void blocked_interrupted(struct follow *f, struct follower *list); /* taken off f->interrupted */
void blocked_free_locked(struct follow *f); /* they stay unanswered; no thread runs any more */

/* --- follow_poll.c: the same */

int64_t asleep_first_locked(struct follow *f);
size_t asleep_wake(struct follow *f, struct view *v);
void asleep_free_locked(struct follow *f);

#endif
