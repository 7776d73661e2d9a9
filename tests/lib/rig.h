/*
 * A catalogue and an engine in a folder of their own, for tests: calls that wait for their answer, and the question whether
 * everything was put away.
 */
#ifndef VOLFS_TESTS_RIG_H
#define VOLFS_TESTS_RIG_H

#include "base/lock.h"
#include "engine/engine.h"
#include "store/store.h"
#include "tests/lib/driver_fault.h"

struct rig {
	char dir[64];
	struct conf conf;
	struct store *store;
	struct engine *engine;
	struct view *view;
	struct lock lock;
	unsigned notes; /* lock */
	unsigned most;	/* lock; notes of one commit */
	struct caller who;
	const struct driver *driver; /* for the next rig_up(); driver_fault */
};

/* Makes the folder and the configuration: n backends b0, b1, … and `more` lines of it. What is deleted is purged at once, unless these say
 * otherwise. Dies on failure. */
void rig_make(struct rig *r, size_t backends, const char *more);
/* The same; each[i]: more lines of backend i, such as its zone. */
void rig_make_of(struct rig *r, size_t backends, const char *more, const char *const *each);
void rig_drop(struct rig *r); /* the folder too */

/* Opens, starts; ends in order. */
void rig_up(struct rig *r);
void rig_down(struct rig *r);
/* By a successor; who is not answered hears -ENOTCONN. */
void rig_replace(struct rig *r);

/* -errno; *ret_row may be NULL; the sentence goes to rig_text. spec is text. */
int rig_create(struct rig *r, const char *spec, int64_t *ret_row);
int rig_create_as(struct rig *r, const struct caller *who, const char *spec, const char *file,
	int64_t *ret_row);
int rig_delete(struct rig *r, int64_t volume);
int rig_purge(struct rig *r, int64_t volume);
int rig_extend(struct rig *r, int64_t volume, uint64_t size);
/* mkdir of a snapshot, rmdir of one; and back to one. */
int rig_snapshot(struct rig *r, int64_t volume, const char *name, int64_t *ret_row);
int rig_unsnap(struct rig *r, int64_t snapshot);
int rig_revert(struct rig *r, int64_t volume, const char *name);
extern _Thread_local char rig_text[ERR_TEXT_MAX];

/* For calls of the engine with no wrapper here: rig_wait gives what rig_done was told. */
struct rig_answer {
	struct lock lock;
	pthread_cond_t cond;
	bool over;
	int code;
	int64_t row;
	char text[ERR_TEXT_MAX];
};
void rig_begin(struct rig_answer *a);
void rig_done(void *arg, const struct result *res);
int rig_wait(struct rig_answer *a, int64_t *ret_row);

/* Waits until the volume is settled or gone (10 s, then dies): its status, or -ENOENT. */
int rig_settle(struct rig *r, int64_t volume);
void rig_idle(struct rig *r); /* until there is no job */

/* Files that the backends hold; of snapshots. */
size_t rig_images(struct rig *r);
size_t rig_snapshots(struct rig *r);

/* How far a loop over points of failure goes at a step: 1, but where the sanitizers look in the short run at what the plain one has proved. */
long rig_stride(void);

/* Compares every sum of the catalogue with a recount; dies when one differs. */
void rig_recount(struct rig *r);
int64_t rig_sql(struct rig *r, const char *sql); /* one number, on a connection of its own */

#endif
