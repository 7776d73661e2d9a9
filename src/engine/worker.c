/*
 * The jobs of one backend and the threads that carry them out.
 *
 *    worker_offer ──▶ WAITS ──(a worker takes it)──▶ RUNS ──(op->finish)──▶ ENDS ──(committed)──▶ worker_forget
 *        ▲                                             │                      │
 *        │ window: read from the catalogue             └── given up: CLEAN    └── worker_again, after a pause
 *
 * Memory holds at most WINDOW waiting jobs of a class; what does not fit is read from the job table when there is room again. A
 * start after a crash is the same thing: a window that holds nothing yet.
 *
 * Threads are started when there is something to do and none is idle, up to `workers` of each backend. A driver call may hang for
 * ever: then its thread is lost to this backend and to no other.
 */
#include "engine/internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STACK = 512 * 1024 };

static struct job **bucket(struct backend *b, int64_t id)
{
	return &b->jobs[(uint64_t)id % JOB_BUCKETS];
}

static struct job *find_locked(struct backend *b, int64_t id)
{
	struct job *j = *bucket(b, id);

	while (j && j->id != id)
		j = j->hash_next;
	return j;
}

static void wait_locked(struct backend *b, struct job *j)
{
	j->state = JOB_WAITS;
	queue_push(j->kind == JOB_CREATE ? &b->create : &b->other, j);
}

static bool add_locked(struct backend *b, const struct job_brief *brief, bool counted)
{
	struct job *j = calloc(1, sizeof *j);

	if (!j)
		return false;
	j->id = brief->id;
	j->volume = brief->volume;
	j->project = brief->project;
	j->kind = brief->kind;
	j->counted = counted;
	j->b = b;
	j->hash_next = *bucket(b, j->id);
	*bucket(b, j->id) = j;
	b->job_count++;
	wait_locked(b, j);
	return true;
}

/* May a worker begin anything of this class now? */
static bool may_create_locked(const struct backend *b)
{
	unsigned limit = b->driver->batch(b->be) > 1 ? BATCHES : (unsigned)b->e->conf->workers;

	return b->ready && !b->stopping && b->create.waiting && b->creating < limit;
}

/* While creations wait, the rest leaves half of the threads to them: a removal may take fifty times as long. */
static bool may_other_locked(const struct backend *b)
{
	unsigned limit = (unsigned)b->e->conf->workers;

	if (b->create.waiting || b->creating)
		limit = (limit + 1) / 2;
	return b->ready && !b->stopping && b->other.waiting && b->others < limit;
}

static bool may_load_locked(const struct backend *b)
{
	return b->ready && !b->stopping && !b->loading &&
	       ((b->window[0].more && b->other.waiting < WINDOW / 4) ||
		       (b->window[1].more && b->create.waiting < WINDOW / 4));
}

static void *work_thread(void *arg);

static int start_thread(void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t t;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = -pthread_create(&t, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return r;
}

static void wake_locked(struct backend *b)
{
	if (!may_create_locked(b) && !may_other_locked(b) && !may_load_locked(b))
		return;
	if (b->idle) {
		pthread_cond_signal(&b->work);
	} else if (b->threads < (unsigned)b->e->conf->workers) {
		b->threads++;
		if (start_thread(work_thread, b) < 0)
			b->threads--;
	}
}

void worker_kick(struct backend *b)
{
	LOCK_SCOPE(&b->lock);
	wake_locked(b);
}

void worker_offered(struct backend *b)
{
	LOCK_SCOPE(&b->lock);
	if (b->offered)
		wake_locked(b);
	b->offered = false;
}

void worker_offer(struct backend *b, const struct job_brief *brief, bool counted)
{
	bool creation = brief->kind == JOB_CREATE;
	struct window *w = &b->window[creation];
	struct queue *q = creation ? &b->create : &b->other;

	LOCK_SCOPE(&b->lock);
	/* counted ones always fit: their number is bounded by queue_max */
	if ((w->more && !counted) ||
		q->waiting >= WINDOW + (size_t)(counted ? b->e->conf->queue_max : 0))
		w->more = true;
	else if (!find_locked(b, brief->id) && !add_locked(b, brief, counted))
		w->more = true;
	b->offered = true;
}

void worker_forget(struct job *j)
{
	struct backend *b = j->b;
	struct job **at;
	bool counted = j->counted;

	lock_take(&b->lock);
	for (at = bucket(b, j->id); *at != j; at = &(*at)->hash_next)
		;
	*at = j->hash_next;
	b->job_count--;
	lock_drop(&b->lock);
	free(j);
	if (counted)
		room_return(b->e);
}

void worker_again(struct job *j)
{
	struct backend *b = j->b;

	LOCK_SCOPE(&b->lock);
	wait_locked(b, j);
	wake_locked(b);
}

/* Reads the next rows of a class. Called with the lock; gives it back meanwhile. */
static void load_locked(struct backend *b, bool creations)
{
	struct window *w = &b->window[creations];
	struct job_brief brief[128];
	int64_t after = w->loaded;
	int n;

	b->loading = true;
	w->more = false; /* who adds a row from here on and finds no place says so again */
	lock_drop(&b->lock);
	lock_take(&b->view_lock);
	n = view_jobs(b->view, b->id, creations ? CLASS_CREATE : CLASS_OTHER, after, brief, 128);
	lock_drop(&b->view_lock);
	lock_take(&b->lock);
	for (int i = 0; i < n; i++) {
		if (!find_locked(b, brief[i].id) && !add_locked(b, &brief[i], false))
			break;
		w->loaded = brief[i].id;
	}
	if (n < 0 || n == 128)
		w->more = true;
	b->loading = false;
}

static size_t take_locked(struct backend *b, struct job **ret)
{
	size_t n = 0, max = b->driver->batch(b->be);

	max = max < BATCH_LIMIT ? max : BATCH_LIMIT;
	if (may_create_locked(b) && (b->creating <= b->others || !may_other_locked(b))) {
		b->creating++;
		while (n < max && b->create.waiting)
			ret[n++] = queue_take(&b->create);
	} else if (may_other_locked(b)) {
		b->others++;
		ret[n++] = queue_take(&b->other);
	}
	for (size_t i = 0; i < n; i++)
		ret[i]->state = JOB_RUNS;
	return n;
}

/* Waits for work; 0: the engine stops. */
static size_t next_jobs(struct backend *b, struct job **ret, bool *ret_creations)
{
	size_t n;

	LOCK_SCOPE(&b->lock);
	while (!b->stopping) {
		if (may_load_locked(b))
			load_locked(b, b->window[1].more && b->create.waiting < WINDOW / 4);
		n = take_locked(b, ret);
		if (n) {
			*ret_creations = ret[0]->kind == JOB_CREATE;
			wake_locked(b); /* the next one, if there is more */
			return n;
		}
		if (may_load_locked(b))
			continue;
		b->idle++;
		lock_wait(&b->lock, &b->work);
		b->idle--;
	}
	return 0;
}

/* Collects what is to be given up: creations that wait, and those whose call is under way. */
static void give_up_locked(struct backend *b)
{
	struct job *j;

	for (size_t n = b->create.waiting; n--;) {
		j = queue_take(&b->create);
		if (attempt_give_up(j, false))
			j->state = JOB_ENDS;
		else
			queue_push(&b->create, j); /* until the next look at the backend */
	}
	for (size_t i = 0; b->creating && i < JOB_BUCKETS; i++)
		for (j = b->jobs[i]; j; j = j->hash_next)
			if (j->state == JOB_RUNS && j->kind == JOB_CREATE && !j->given_up)
				j->given_up = attempt_give_up(j, true);
}

void worker_give_up(struct backend *b)
{
	LOCK_SCOPE(&b->lock);
	if (b->window[1].more && !b->loading && b->create.waiting < WINDOW / 4)
		load_locked(b, true);
	give_up_locked(b);
}

static const struct op *op_of(enum job_kind kind)
{
	switch (kind) {
	case JOB_CREATE:
		return &op_create;
	case JOB_PURGE:
		return &op_purge;
	case JOB_EXTEND:
		return &op_extend;
	case JOB_CLEAN:
		break;
	}
	return &op_clean;
}

/* Its row, read anew: what the catalogue says now is what is to be done. */
static struct run *begin(struct backend *b, struct job *j, bool creation)
{
	struct run *r = calloc(1, sizeof *r);
	int code;

	if (!r)
		return NULL;
	r->job = j;
	code = backend_job(b, j->id, &r->row);
	if (code == -ENOENT)
		r->stale = true;
	else if (creation && r->row.kind != JOB_CREATE)
		r->code = -ECANCELED; /* given up in this very moment */
	else if (code < 0) {
		free(r);
		return NULL;
	}
	return r;
}

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
		result = op->finish(b, r);
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
	r->code = r->stale ? 0 : image_remove(b, r, &r->err);
	result = result_of(&op_clean, b, r);
	submit_results(b, &result, result ? 1 : 0);
}

static void run_jobs(struct backend *b, struct job **job, size_t count, bool creations)
{
	const struct op *op = creations ? &op_create : op_of(job[0]->kind);
	struct run *run[BATCH_LIMIT], *given_up[BATCH_LIMIT];
	struct request *result[BATCH_LIMIT];
	size_t n = 0, given = 0, results = 0;

	for (size_t i = 0; i < count; i++) {
		run[n] = begin(b, job[i], creations);
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

static void *work_thread(void *arg)
{
	struct backend *b = arg;
	struct job *job[BATCH_LIMIT];
	bool creations;
	size_t n;

	backend_name_thread(b, "work");
	while ((n = next_jobs(b, job, &creations))) {
		run_jobs(b, job, n, creations);
		lock_take(&b->lock);
		if (creations)
			b->creating--;
		else
			b->others--;
		lock_drop(&b->lock);
	}
	lock_take(&b->lock);
	b->threads--;
	pthread_cond_broadcast(&b->tick); /* who waits for the threads to end */
	lock_drop(&b->lock);
	return NULL;
}
