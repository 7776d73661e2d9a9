/* The folder's map: what each file of sched/ offers its siblings. */
#ifndef VOLFS_SCHED_INTERNAL_H
#define VOLFS_SCHED_INTERNAL_H

#include "sched/sched.h"

#define GIB ((double)(UINT64_C(1) << 30))

/* capacity.c: what a backend can still promise. */
struct capacity {
	bool known;   /* false: total or free is infinite or unknown, and the rest means nothing */
	bool thin;    /* the request and the backend are */
	double ratio; /* how often the usable total may be promised */
	double available;    /* bytes that may be promised in all */
	double virtual_free; /* bytes of them that are left; negative where more has been promised
			      */
};
struct capacity capacity_of(const struct sched_backend *b, const struct sched_request *r);

/* filters.c */
struct filter {
	const char *name; /* as configured; NULL: always the first ones */
	bool (*pass)(const struct sched_backend *b, const struct sched_request *r);
	/* adds why it did not, for a person: "3 GiB free, 10 GiB wanted" */
	void (*why)(const struct sched_backend *b, const struct sched_request *r, struct buf *out);
};
const struct filter *filter_find(const char *name); /* NULL: there is none */
const struct filter *filter_always(
	size_t i); /* those that need no configuration; NULL at the end */

/* weighers.c */
struct weigher {
	const char *name;
	/* the raw weight; INFINITY stands for "more than all finite ones" */
	double (*weigh)(
		const struct sched_backend *b, const struct sched_request *r, double multiplier);
};
const struct weigher *weigher_find(const char *name);

/* Turns n raw weights into 0 … 1 in place: (w - min) / (max - min); all equal: all 0. */
void weigher_normalise(double *weight, size_t n);

#endif
