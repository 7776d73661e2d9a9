/*
 * One run of a job, or of a batch of creations: its row is read anew, its operation's steps are run, and the result goes to the writer.
 */
#include "engine/internal.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static const struct op *op_of(enum job_kind kind)
{
	static const struct op *const op[] = {
		[JOB_CREATE] = &op_create,
		[JOB_PURGE] = &op_purge,
		[JOB_EXTEND] = &op_extend,
		[JOB_CLEAN] = &op_clean,
		[JOB_SNAP] = &op_snap,
		[JOB_UNSNAP] = &op_unsnap,
		[JOB_REVERT] = &op_revert,
		[JOB_ADOPT] = &op_adopt,
		[JOB_DISOWN] = &op_disown,
	};

	assert(kind < sizeof op / sizeof op[0] && op[kind]);
	return op[kind];
}

/* What its row names, as the catalogue has it now. */
static int read_named(struct backend *b, struct run *r)
{
	int code = 0;

	LOCK_SCOPE(&b->view_lock);
	if (r->row.source)
		code = view_volume(b->view, r->row.source, &r->source);
	if (code == 0 && r->row.snapshot)
		code = view_snapshot(b->view, r->row.snapshot, &r->snap);
	return code == -ENOENT ? 0 : code;
}

/* Its row, read anew: what the catalogue says now is what is to be done. */
static struct run *begin(struct backend *b, struct job *j)
{
	struct run *r = calloc(1, sizeof *r);
	int code;

	if (!r)
		return NULL;
	r->job = j;
	r->fresh = j->fresh;
	j->fresh = false;
	code = backend_job(b, j->id, &r->row);
	if (code == -ENOENT)
		r->stale = true;
	else if (code == 0 && j->kind == JOB_CREATE && r->row.kind != JOB_CREATE)
		r->code = -ECANCELED; /* given up in this very moment */
	else if (code < 0 || read_named(b, r) < 0) {
		free(r);
		return NULL;
	}
	return r;
}

/* --- how far it is --- */

/* Few are in the list: a worker has one job, unless it creates many, and of those none counts anything. */
static void hide_locked(struct backend *b, struct job *j)
{
	struct job **at = &b->shown;

	lock_assert_held(&b->lock);
	if (!j->doing)
		return;
	while (*at != j)
		at = &(*at)->shown_next;
	*at = j->shown_next;
	j->doing = NULL;
	atomic_fetch_sub(&b->e->counting, 1);
}

struct driver_progress *run_progress(struct run *r, const char *what)
{
	struct job *j = r->job;
	struct backend *b = j->b;

	LOCK_SCOPE(&b->lock);
	hide_locked(b, j);
	atomic_store(&j->progress.total, 0);
	atomic_store(&j->progress.done, 0);
	if (what) {
		j->shown_next = b->shown;
		b->shown = j;
		atomic_fetch_add(&b->e->counting, 1);
	}
	j->doing = what;
	return &j->progress;
}

bool engine_progress(struct engine *e, const struct volume *v, uint64_t *ret_done,
	uint64_t *ret_total, const char **ret_what)
{
	struct backend *b;
	uint64_t done, total;
	struct job *j;

	if (!atomic_load(&e->counting)) /* a million lines of JSON ask */
		return false;
	b = backend_by_name(e, v->backend);
	if (!b)
		return false;
	LOCK_SCOPE(&b->lock);
	/* Who is abandoned hangs in the storage, perhaps for ever: the volume is an error, or elsewhere. */
	for (j = b->shown; j && (j->volume != v->id || j->given_up || !j->progress.total);)
		j = j->shown_next;
	if (!j)
		return false;
	total = atomic_load(&j->progress.total);
	done = atomic_load(&j->progress.done);
	*ret_what = j->doing;
	*ret_total = total;
	*ret_done = done < total ? done : total;
	return true;
}

/* --- the run --- */

/* Hands the results to the writer, together: one commit. */
static void submit_results(struct backend *b, struct request *const *result, size_t n)
{
	struct change *first = NULL;

	while (n-- > 0) {
		result[n]->change.next = first;
		first = &result[n]->change;
	}
	store_submit_all(b->e->store, first);
}

/* Its call has returned. True: it was given up meanwhile, so what it made must go. */
static bool ends_given_up(struct backend *b, struct job *j)
{
	bool given_up;

	LOCK_SCOPE(&b->lock);
	hide_locked(b, j);
	j->state = JOB_ENDS; /* from here on it cannot be given up any more */
	given_up = j->given_up;
	j->given_up = false; /* done now, or by op_clean later */
	return given_up;
}

/* The result of a run, which ends here; NULL: there is none now. */
static struct request *result_of(const struct op *op, struct backend *b, struct run *r)
{
	struct request *result = NULL;

	if (r->stale && op != &op_clean) {
		worker_forget(r->job);
	} else {
		result = r->again ? NULL : op->finish(b, r);
		if (!result)
			later_job(r->job);
	}
	free(r);
	return result;
}

static void clean_up(struct backend *b, struct run *r)
{
	struct request *result;

	r->err = (struct err){ 0 };
	r->again = false;
	r->code = r->stale ? 0 : image_remove(b, r, &r->err);
	result = result_of(&op_clean, b, r);
	submit_results(b, &result, result ? 1 : 0);
}

/* Several: all of CLASS_CREATE. */
void run_jobs(struct backend *b, struct job **job, size_t count)
{
	const struct op *op = op_of(job[0]->kind);
	struct run *run[BATCH_LIMIT] = { NULL }, *given_up[BATCH_LIMIT];
	struct request *result[BATCH_LIMIT];
	size_t n = 0, given = 0, results = 0;

	assert(count <= BATCH_LIMIT);
	for (size_t i = 0; i < count; i++) {
		run[n] = begin(b, job[i]);
		if (run[n])
			n++;
		else
			later_job(job[i]);
	}
	steps_run(op, b, run, n);
	for (size_t i = 0; i < n; i++) {
		if (ends_given_up(b, run[i]->job))
			given_up[given++] = run[i];
		else if ((result[results] = result_of(op, b, run[i])))
			results++;
	}
	submit_results(b, result, results);
	/* Removing may hang again: what is done does not wait for it. */
	for (size_t i = 0; i < given; i++)
		clean_up(b, given_up[i]);
}
