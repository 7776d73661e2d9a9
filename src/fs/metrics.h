/*
 * .volfs/metrics: a page of families, each a row of one of two tables.
 *
 *	metrics.c         gathers once what several families show, and writes the page
 *	metrics_things.c  what there is: volumes, backends, queues, projects
 *	metrics_work.c    what was done: operations, commits, requests; counters of the modules, read as they are
 *	metrics_text.c    Prometheus' text format
 */
#ifndef VOLFS_FS_METRICS_H
#define VOLFS_FS_METRICS_H

#include "engine/numbers.h"
#include "fs/internal.h"
#include "fs/metrics_text.h"
#include "store/numbers.h"

struct of_backend {
	struct engine_backend now;
	struct engine_backend_numbers numbers;
	const struct backend_conf *conf;
};

/* What one reader is shown. */
struct page {
	struct ctx *c;
	struct buf *out;
	struct of_backend *backends; /* as configured */
	size_t backend_count;
	struct volume_count *counts;
	size_t count_count, count_room;
	struct quota *projects;
	size_t project_count;
	uint64_t jobs;
	uint64_t database, wal; /* bytes */
	struct log_ends log;
	bool failed;
};

struct family {
	const char *name;
	enum metric_type type;
	const char *help;
	void (*samples)(struct page *p, const struct family *f);
	double (*one)(const struct page *p);			    /* of metrics_one() */
	double (*of_backend)(const struct of_backend *b);	    /* of samples_of_backends() */
	double (*of_project)(const struct quota *q);		    /* of samples_of_projects() */
	double (*of_queue)(const struct of_backend *b, unsigned q); /* of samples_of_queues() */
};

/* A row of a table. samples() adds all of a family; those of many alike ask a function of each. */
#define SAMPLES(fn)  .samples = (fn)
#define ONE(fn)	     .samples = metrics_one, .one = (fn)
#define BACKENDS(fn) .samples = samples_of_backends, .of_backend = (fn)
#define QUEUES(fn)   .samples = samples_of_queues, .of_queue = (fn)
#define PROJECTS(fn) .samples = samples_of_projects, .of_project = (fn)

/* Ended by a row without a name. */
extern const struct family metrics_things[], metrics_work[];

void metrics_one(struct page *p, const struct family *f);

#endif
