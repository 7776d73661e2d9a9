/* What there is to watch of the engine. Jobs and requests are counted when their outcome is in the catalogue, each once. */
#include "engine/internal.h"

#include "base/clock.h"

const struct bounds engine_op_bounds = { 15, BOUNDS_SEC,
	{ BOUNDS_MS, 5 * BOUNDS_MS / 2, 5 * BOUNDS_MS, 10 * BOUNDS_MS, 25 * BOUNDS_MS,
		50 * BOUNDS_MS, 100 * BOUNDS_MS, 250 * BOUNDS_MS, 500 * BOUNDS_MS, BOUNDS_SEC,
		5 * BOUNDS_SEC, 15 * BOUNDS_SEC, 60 * BOUNDS_SEC, 600 * BOUNDS_SEC,
		3600 * BOUNDS_SEC } };

static const char *const op_names[OP_COUNT] = {
	[OP_CREATE] = "create",
	[OP_CLONE] = "clone",
	[OP_EXTEND] = "extend",
	[OP_PURGE] = "purge",
	[OP_SNAPSHOT] = "snapshot",
	[OP_UNSNAPSHOT] = "unsnapshot",
	[OP_REVERT] = "revert",
	[OP_MANAGE] = "manage",
	[OP_UNMANAGE] = "unmanage",
	[OP_CLEAN] = "clean",
	[OP_DELETE] = "delete",
	[OP_RESTORE] = "restore",
	[OP_RENAME] = "rename",
	[OP_UPDATE] = "update",
	[OP_ATTACH] = "attach",
	[OP_DETACH] = "detach",
	[OP_RESET] = "reset",
};

const char *engine_op_name(enum engine_op op)
{
	return op_names[op];
}

enum engine_op op_of_job(enum job_kind kind)
{
	static const enum engine_op op[] = {
		[JOB_CREATE] = OP_CREATE,
		[JOB_PURGE] = OP_PURGE,
		[JOB_EXTEND] = OP_EXTEND,
		[JOB_CLEAN] = OP_CLEAN,
		[JOB_SNAP] = OP_SNAPSHOT,
		[JOB_UNSNAP] = OP_UNSNAPSHOT,
		[JOB_REVERT] = OP_REVERT,
		[JOB_ADOPT] = OP_MANAGE,
		[JOB_DISOWN] = OP_UNMANAGE,
	};

	return op[kind];
}

void op_accepted(struct engine *e, enum engine_op op)
{
	counter_add(&e->numbers.op[op].accepted, 1);
}

void op_ended(struct engine *e, enum engine_op op, int code, int64_t began_ns)
{
	enum engine_result result = code < 0 ? RESULT_ERROR : RESULT_OK;

	histogram_add(&e->numbers.op[op].took[result], &engine_op_bounds,
		(uint64_t)(clock_mono_ns() - began_ns));
}

void op_turned(struct job *j, enum job_kind to, int code)
{
	struct engine *e = j->b->e;

	if (to == j->kind)
		return;
	op_ended(e, op_of_job(j->kind), code, j->began_ns);
	op_accepted(e, op_of_job(to));
	j->kind = to;
}

const struct engine_numbers *engine_numbers(const struct engine *e)
{
	return &e->numbers;
}

static const char *const queue_names[QUEUE_COUNT] = {
	[QUEUE_OTHER] = "other",
	[QUEUE_CREATE] = "create",
	[QUEUE_SNAPSHOT] = "snapshot",
	[QUEUE_COPY] = "copy",
};

const char *engine_queue_name(enum engine_queue q)
{
	return queue_names[q];
}

static double age_s(const struct job *oldest)
{
	return oldest ? (double)(clock_mono_ns() - oldest->began_ns) / 1e9 : 0;
}

void engine_backend_numbers(struct engine *e, size_t i, struct engine_backend_numbers *ret)
{
	static const enum job_class class[QUEUE_COUNT] = {
		[QUEUE_OTHER] = CLASS_OTHER,
		[QUEUE_CREATE] = CLASS_CREATE,
		[QUEUE_SNAPSHOT] = CLASS_SNAP,
		[QUEUE_COPY] = CLASS_COPY,
	};
	struct backend *b = &e->backend[i];

	*ret = (struct engine_backend_numbers){ .chosen = counter_get(&b->chosen),
		.errors = counter_get(&b->errors) };
	LOCK_SCOPE(&b->lock);
	for (unsigned q = 0; q < QUEUE_COUNT; q++) {
		const struct work *w = &b->work[class[q]];

		ret->queue[q].waiting = w->queue.waiting;
		ret->queue[q].running = w->busy;
		ret->queue[q].oldest_s = age_s(w->oldest);
	}
}
