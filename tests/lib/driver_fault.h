/*
 * A driver for tests: another one, with faults. It bears the name of the one that it wraps ("local"), so a configuration needs to know
 * nothing of it. Changing calls (create of each image, remove, resize, those of snapshots) pass two points each, before and after the real one; at a
 * point the call can be failed or the process killed. Calls of a backend can be made to hang, its statistics to fail.
 */
#ifndef VOLFS_TESTS_DRIVER_FAULT_H
#define VOLFS_TESTS_DRIVER_FAULT_H

#include "driver.h"

#include <stdatomic.h>

extern const struct driver driver_fault;
extern const struct driver driver_fenced;  /* the same, with addresses to be fenced */
extern const struct driver driver_watched; /* the same, with watchers from outside */

struct fault {
	_Atomic long passed;  /* points so far */
	_Atomic long fail_at; /* this point fails, from 1; 0: none */
	_Atomic long commits,
		kill_after; /* commits that changed something; after this one the process dies, nobody told yet */
	_Atomic long kill_at;	    /* at this point the process dies */
	const char *_Atomic refuse; /* backend whose creations fail */
	const char *_Atomic
		hang; /* backend whose changing calls do not return until this is another */
	const char *_Atomic
		hang_snap; /* backend whose snapshots and reverts do not return until this is another */
	const char *_Atomic refuse_snap; /* backend that takes none, and reverts to none */
	const char *_Atomic stick_snap;	 /* backend that removes none */
	_Atomic unsigned snapped, unsnapped, reverted;
	_Atomic unsigned snapping, most_snapping; /* calls under way: now, and at most so far */
	_Atomic uint64_t progress; /* of total 100, that a call shows while it hangs; 0: none */
	const char *_Atomic down;  /* backend whose statistics fail */
	const char *_Atomic stick; /* backend whose removals fail */
	_Atomic unsigned created, removed, resized;
	_Atomic unsigned fresh;	  /* creations that the engine said it asks for the first time */
	_Atomic unsigned shared;  /* creations of images that several hosts will write to */
	_Atomic unsigned largest; /* batch */
	_Atomic long delay_us;	  /* of each changing call */
	_Atomic uint64_t total;	  /* capacity that is told; 0: the real one */
	const char *_Atomic
		slow_stat; /* backend whose statistics do not return until this is another */
	const char *_Atomic blocked; /* backend whose creations say that this server is fenced */
	_Atomic unsigned fenced;     /* how many addresses */
	_Atomic bool no_fence;	     /* fencing fails */
	const char *_Atomic
		outside; /* backend whose images FAULT_WATCHER has open, until it is evicted */
	const char *_Atomic
		mute; /* backend that does not say who has an image open until this is another */
	_Atomic unsigned asked;	       /* how often it was to say so */
	_Atomic uint64_t free;	       /* that is told, of `total`; 0: all */
	const char *_Atomic hang_list; /* backend that lists nothing until this is another */
	const char *_Atomic
		hang_look; /* image whose looks, once taken, do not return until this is another */
	_Atomic unsigned looking; /* how many of those */
	const char *_Atomic
		foreign; /* backend whose images have FAULT_SNAPS snapshots, if only in name */
	_Atomic unsigned listed, adopted, snaps_adopted, disowned;
};
extern struct fault fault;
void fault_reset(void);

/* For drivers around this one: a point that a call passes; the backend of the driver within. */
int fault_point(struct err *err);
void *fault_inner(void *be);

#define FAULT_WATCHER "10.0.0.1:0/77"

/* Of a foreign image: "monday", "up/down", which can be no name here, "mine" of that UUID, and a temporary one. */
enum { FAULT_SNAPS = 4 };
#define FAULT_SNAP "00000000-0000-4000-8000-00000000abcd"

/* The limits of the creation that came last, as "key=value key=value"; "": it had none, or there was none. */
enum { FAULT_QOS = 1024 };
void fault_qos(char ret[FAULT_QOS]);

#endif
