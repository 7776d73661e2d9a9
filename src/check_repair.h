/* How what check.c finds is mended: see volfs(8), CHECK AND REPAIR. One thread; the caller holds the database's lock. */
#ifndef VOLFS_CHECK_REPAIR_H
#define VOLFS_CHECK_REPAIR_H

#include "engine/compare.h"
#include "store/store.h"

struct repair {
	struct store *store;
	struct view *view;
	/* the backend at hand */
	const struct driver *driver;
	void *be;
	int64_t client; /* row of this process' address there; 0 */
};

/* The store has been opened, and is this one's to start and to stop. */
int repair_begin(struct repair *r, struct store *s, struct view *v, struct err *err);
void repair_end(struct repair *r);

/* Nothing that an earlier server has sent lands any more. *ret_backend: its row. After the last change there, repair_leave(). */
int repair_enter(struct repair *r, const char *backend, const struct driver *driver, void *be,
	int64_t *ret_backend, struct err *err);
void repair_leave(struct repair *r);

/* 1, mended, and *ret_how says how ("it is in error now"; static); 0: that is for a person to decide; -errno with a sentence. */
int repair_difference(
	struct repair *r, const struct difference *d, const char **ret_how, struct err *err);
int repair_sums(struct repair *r, struct err *err);

#endif
