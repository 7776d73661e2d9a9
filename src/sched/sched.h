/*
 * Which backend. Pure: backends and a request in, an ordered choice and the reasons out. No I/O, no
 * clock, no threads; time and chance come in as arguments. Semantics: the reference, section 4.
 * Filters run in the configured order, each over the survivors of the one before; weighers'
 * normalised, multiplied sums order what is left, best first, stable.
 */
#ifndef VOLFS_SCHED_H
#define VOLFS_SCHED_H

#include "base/buf.h"
#include "base/err.h"
#include "volume.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One candidate. Strings are borrowed. Sizes in bytes here (the reference counts GiB; the formulas
 * are linear). */
struct sched_backend {
	const char *name, *zone;
	enum backend_state state;
	const char *state_reason; /* why it is not up; "" */
	struct backend_stats stats;
	uint64_t allocated;   /* sum of its volumes' sizes in the catalogue */
	uint64_t provisioned; /* what the storage says is promised; = allocated where not known */
	double reserved_percentage;	    /* 0 … 100 */
	double max_over_subscription_ratio; /* 0: auto */
	bool thin, thick;		    /* what it supports */
	uint64_t volumes;
};

struct sched_request {
	uint64_t size;		      /* bytes */
	const char *zone;	      /* NULL or "": any */
	bool thick;		      /* type's provisioning:type = thick */
	const char *const *attempted; /* names that failed this volume; NULL-terminated */
};

struct sched_weigher_conf {
	const char *name;
	double multiplier;
};

struct sched; /* compiled configuration; constant after sched_new(), shared by threads */

/* filters: NULL-terminated names. -EINVAL with a sentence for an unknown name. */
int sched_new(const char *const *filters, const struct sched_weigher_conf *weighers,
	size_t weigher_count, struct sched **ret, struct err *err);
void sched_free(struct sched *s);

/*
 * Chooses among n backends. Returns the index of the best, or -ENOSPC with a sentence naming every
 * backend and what was wrong with it: "no backend fits: ssd: 3 GiB free, 10 GiB wanted; hdd: down
 * since 12:04:11". *ret_weight (may be NULL) is the winner's sum.
 */
int sched_choose(const struct sched *s, const struct sched_request *r,
	const struct sched_backend *b, size_t n, double *ret_weight, struct err *err);

#endif
