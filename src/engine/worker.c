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
 * Each class of jobs has its queue, its window and its limit (pace.c), and a thread for all that the limits allow: so none of them
 * waits for another. Threads are started when there is something to do and none is idle, and do what comes next of any class. A driver call may
 * hang for ever: then its thread is lost to this class of this backend and to no other.
 */
#include "engine/internal.h"

#include "base/clock.h"
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

/* As the newest of its class. */
static void list_locked(struct backend *b, struct job *j)
{
	struct work *w = &b->work[j->class];

	lock_assert_held(&b->lock);
	j->listed = j->class;
	j->newer = NULL;
	j->older = w->newest;
	*(w->newest ? &w->newest->newer : &w->oldest) = j;
	w->newest = j;
}

static void unlist_locked(struct backend *b, struct job *j)
{
	struct work *w = &b->work[j->listed];

	lock_assert_held(&b->lock);
	*(j->older ? &j->older->newer : &w->oldest) = j->newer;
	*(j->newer ? &j->newer->older : &w->newest) = j->older;
}

static void wait_locked(struct backend *b, struct job *j)
{
	if (j->listed != j->class) { /* it is another one now */
		unlist_locked(b, j);
		j->began_ns = clock_mono_ns();
		list_locked(b, j);
	}
	j->state = JOB_WAITS;
	queue_push(&b->work[j->class].queue, j);
}

static bool add_locked(
	struct backend *b, const struct job_brief *brief, bool counted, int64_t began_ns)
{
	struct job *j = calloc(1, sizeof *j);

	if (!j)
		return false;
	j->id = brief->id;
	j->volume = brief->volume;
	j->project = brief->project;
	j->kind = brief->kind;
	j->class = brief->class;
	j->counted = j->fresh =
		counted; /* else it may have been read from the catalogue of a server that died */
	j->b = b;
	j->began_ns = began_ns ? began_ns : clock_mono_ns();
	j->hash_next = *bucket(b, j->id);
	*bucket(b, j->id) = j;
	b->job_count++;
	list_locked(b, j);
	wait_locked(b, j);
	return true;
}

static bool wants_rows_locked(const struct backend *b, enum job_class class)
{
	const struct work *w = &b->work[class];

	return w->window.more && w->queue.waiting < WINDOW / 4;
}

/* Of which class the next rows are to be read; CLASS_COUNT: of none now. */
static enum job_class to_load_locked(const struct backend *b)
{
	int class = 0;

	if (!b->ready || b->stopping || b->loading)
		return CLASS_COUNT;
	while (class < CLASS_COUNT && !wants_rows_locked(b, (enum job_class) class))
		class ++;
	return (enum job_class) class;
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
	if (pace_next_locked(b) == CLASS_COUNT && to_load_locked(b) == CLASS_COUNT &&
		!pace_wants_timer_locked(b))
		return;
	if (b->idle) {
		pthread_cond_signal(&b->wake);
	} else if (b->threads < pace_threads_max(b)) {
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

/* One that was held is older than what has been read already: from there again. */
static void left_out_locked(struct window *w, int64_t id)
{
	w->more = true;
	if (id <= w->loaded)
		w->loaded = id - 1;
}

void worker_offer(struct backend *b, const struct job_brief *brief, bool counted, int64_t began_ns)
{
	struct work *w = &b->work[brief->class];
	bool loose = false; /* its place in engine.room is nobody's */
	struct job *j;

	lock_take(&b->lock);
	j = find_locked(b, brief->id);
	if (j && j->state == JOB_WAITS) {
		j->counted |= counted; /* it was read from the catalogue since the commit */
	} else if (j) {
		loose = counted;
		/* counted ones always fit: their number is bounded by queue_max */
	} else if ((w->window.more && !counted) ||
		   w->queue.waiting >= WINDOW + (size_t)(counted ? b->e->conf->queue_max : 0) ||
		   !add_locked(b, brief, counted, began_ns)) {
		left_out_locked(&w->window, brief->id);
		loose = counted;
	}
	b->offered = true;
	lock_drop(&b->lock);
	if (loose)
		room_return(b->e);
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
	unlist_locked(b, j);
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
static void load_locked(struct backend *b, enum job_class class)
{
	struct window *w = &b->work[class].window;
	struct job_brief brief[128];
	int64_t after = w->loaded, loaded = after;
	int n;

	b->loading = true;
	w->more = false; /* who adds a row from here on and finds no place says so again */
	lock_drop(&b->lock);
	lock_take(&b->view_lock);
	n = view_jobs(b->view, b->id, class, after, brief, 128);
	lock_drop(&b->view_lock);
	lock_take(&b->lock);
	for (int i = 0; i < n; i++) {
		if (!find_locked(b, brief[i].id) && !add_locked(b, &brief[i], false, 0))
			break;
		loaded = brief[i].id;
	}
	if (w->loaded == after) /* else an older one has been left out meanwhile */
		w->loaded = loaded;
	if (n < 0 || n == 128)
		w->more = true;
	b->loading = false;
}

/* Only creations in one go are taken several at a time. */
static size_t take_locked(struct backend *b, struct job **ret)
{
	enum job_class class = pace_next_locked(b);
	struct work *w = &b->work[class];
	size_t n = 0, max = 1;

	if (class == CLASS_COUNT)
		return 0;
	if (class == CLASS_CREATE)
		max = b->driver->batch(b->be);
	max = max < BATCH_LIMIT ? max : BATCH_LIMIT;
	pace_began_locked(b, class);
	while (n < max && w->queue.waiting)
		ret[n++] = queue_take(&w->queue);
	for (size_t i = 0; i < n; i++)
		ret[i]->state = JOB_RUNS;
	return n;
}

/* Until it is woken, or the next removal may begin. */
static void idle_locked(struct backend *b)
{
	struct timespec until;

	b->idle++;
	if (pace_wants_timer_locked(b)) {
		until = clock_mono_in_ms((long)(pace_timer_locked(b) / 1000000) + 1);
		b->pacing = true;
		(void)lock_wait_until(&b->lock, &b->wake, &until);
		b->pacing = false;
	} else {
		lock_wait(&b->lock, &b->wake);
	}
	b->idle--;
}

/* Waits for work; 0: the engine stops. */
static size_t next_jobs(struct backend *b, struct job **ret)
{
	size_t n;

	LOCK_SCOPE(&b->lock);
	while (!b->stopping) {
		enum job_class class = to_load_locked(b);

		if (class < CLASS_COUNT)
			load_locked(b, class);
		n = take_locked(b, ret);
		if (n) {
			wake_locked(b); /* the next one, if there is more */
			return n;
		}
		if (to_load_locked(b) < CLASS_COUNT)
			continue;
		idle_locked(b);
	}
	return 0;
}

/* Creations of a class that wait. What else waits there goes once round and keeps its place. */
static void give_up_waiting_locked(struct queue *q)
{
	for (size_t n = q->waiting; n--;) {
		struct job *j = queue_take(q);

		if (j->kind == JOB_CREATE && attempt_give_up(j, false, j->b->reason))
			j->state = JOB_ENDS;
		else
			queue_push(
				q, j); /* one without memory: until the next look at the backend */
	}
}

/* Collects what is to be given up: creations that wait, and those whose call is under way. */
static void give_up_locked(struct backend *b)
{
	static const enum job_class creations[] = { CLASS_CREATE, CLASS_SNAP, CLASS_COPY };
	unsigned busy = 0;

	for (size_t i = 0; i < sizeof creations / sizeof creations[0]; i++) {
		give_up_waiting_locked(&b->work[creations[i]].queue);
		busy += b->work[creations[i]].busy;
	}
	for (size_t i = 0; busy && i < JOB_BUCKETS; i++)
		for (struct job *j = b->jobs[i]; j; j = j->hash_next)
			if (j->state == JOB_RUNS && j->kind == JOB_CREATE && !j->given_up)
				j->given_up = attempt_give_up(j, true, j->b->reason);
}

void worker_give_up(struct backend *b)
{
	LOCK_SCOPE(&b->lock);
	for (int class = 0; class < CLASS_COUNT && !b->loading; class ++)
		if (class != CLASS_OTHER && wants_rows_locked(b, (enum job_class) class))
			load_locked(b, (enum job_class) class);
	give_up_locked(b);
}

static void *work_thread(void *arg)
{
	struct backend *b = arg;
	struct job *job[BATCH_LIMIT];
	size_t n;

	backend_name_thread(b, "work");
	while ((n = next_jobs(b, job))) {
		enum job_class class =
			job[0]->class; /* the job may soon be gone, or of another one */

		run_jobs(b, job, n);
		lock_take(&b->lock);
		pace_ended_locked(b, class);
		lock_drop(&b->lock);
	}
	lock_take(&b->lock);
	b->threads--;
	pthread_cond_broadcast(&b->tick); /* who waits for the threads to end */
	lock_drop(&b->lock);
	return NULL;
}
