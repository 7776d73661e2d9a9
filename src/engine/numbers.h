/* What there is to watch of the engine. fs alone shows it. */
#ifndef VOLFS_ENGINE_NUMBERS_H
#define VOLFS_ENGINE_NUMBERS_H

#include "base/metric.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;

/* First those that are jobs: accepted, and carried out later. The others are done when they are answered. */
enum engine_op {
	OP_NONE,
	OP_CREATE,
	OP_CLONE, /* a creation from a volume or a snapshot */
	OP_EXTEND,
	OP_PURGE,
	OP_SNAPSHOT,
	OP_UNSNAPSHOT,
	OP_REVERT,
	OP_MANAGE,
	OP_UNMANAGE,
	OP_CLEAN, /* an image that an attempt left, or that clones needed */
	OP_JOBS,
	OP_DELETE = OP_JOBS, /* rmdir: into the trash */
	OP_RESTORE,
	OP_RENAME,
	OP_UPDATE, /* a volume's owner, mode, description and so on, and its metadata */
	OP_ATTACH,
	OP_DETACH,
	OP_RESET,
	OP_COUNT,
};
const char *engine_op_name(enum engine_op op); /* "unsnapshot"; static */

enum engine_result { RESULT_OK, RESULT_ERROR, RESULT_COUNT };

/* Since this server began; any thread. */
struct engine_numbers {
	struct op_numbers {
		struct counter accepted; /* of jobs */
		/* From its acceptance, or where an earlier server accepted it from when this one took it up; else from its request. */
		struct histogram took[RESULT_COUNT];
	} op[OP_COUNT];
	struct counter retries;	 /* attempts at a creation after the first */
	struct counter unplaced; /* creations that no backend fitted */
};
extern const struct bounds engine_op_bounds;
const struct engine_numbers *engine_numbers(const struct engine *e);

/* Jobs of a backend that do not wait for each other. */
enum engine_queue { QUEUE_OTHER, QUEUE_CREATE, QUEUE_SNAPSHOT, QUEUE_COPY, QUEUE_COUNT };
const char *engine_queue_name(enum engine_queue q); /* static */

struct engine_backend_numbers {
	uint64_t chosen; /* creations that the scheduler sent there, retries included */
	uint64_t errors; /* steps of jobs, and questions for its statistics, that failed there */
	struct {
		uint64_t waiting; /* in memory: at most some thousands more than queue_max */
		uint64_t running; /* calls of the driver under way */
		double oldest_s; /* how long the oldest of both has been under way; 0: there is none */
	} queue[QUEUE_COUNT];
};

/* Of the i-th configured backend; locks it for a moment. */
void engine_backend_numbers(struct engine *e, size_t i, struct engine_backend_numbers *ret);

#endif
