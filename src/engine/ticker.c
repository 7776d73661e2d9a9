/* What is due later: results that could not be written, cleanings that failed, statistics that are overdue, requests that wait a moment
 * for somebody else, snapshots that take too long. */
#include "engine/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

enum {
	TICK_MS =
		1000, /* how often overdue statistics are looked for; what is due sooner wakes it */
	REQUEST_PAUSE_MAX_MS = 5000,
	JOB_PAUSE_MAX_MS = 60000,
};

/* 100 ms, doubled with each failure. */
static int64_t pause_ns(unsigned failures, int64_t max_ms)
{
	int64_t ms = INT64_C(100) << (failures < 16 ? failures : 16);

	return (ms < max_ms ? ms : max_ms) * 1000000;
}

void later_request(struct request *q)
{
	struct engine *e = q->e;

	if (q->tries == 0 && q->change.code != -EAGAIN)
		log_warning_seldom(
			"a result cannot be written into the catalogue (%s): trying again",
			q->change.err.text);
	LOCK_SCOPE(&e->later_lock);
	q->due_ns = clock_mono_ns() + pause_ns(q->tries++, REQUEST_PAUSE_MAX_MS);
	q->next = e->late;
	e->late = q;
	pthread_cond_signal(&e->later);
}

bool later_in_ms(struct request *q, long ms)
{
	struct engine *e = q->e;

	LOCK_SCOPE(&e->later_lock);
	if (!e->ticking)
		return false;
	q->waits = true;
	q->due_ns = clock_mono_ns() + ms * INT64_C(1000000);
	q->next = e->late;
	e->late = q;
	if (q->due_ns < e->wakes_ns)
		pthread_cond_signal(&e->later);
	return true;
}

struct request *later_take(
	struct engine *e, bool (*is)(const struct request *q, uint64_t what), uint64_t what)
{
	LOCK_SCOPE(&e->later_lock);
	for (struct request **at = &e->late; *at; at = &(*at)->next) {
		struct request *q = *at;

		if (!q->waits || (is && !is(q, what)))
			continue;
		*at = q->next;
		return q;
	}
	return NULL;
}

/* One that waits has its turn already. */
static void submit_again(struct request *q)
{
	if (q->waits)
		store_submit(q->e->store, &q->change);
	else
		request_submit(q);
}

void later_job(struct job *j)
{
	struct engine *e = j->b->e;

	LOCK_SCOPE(&e->later_lock);
	j->due_ns = clock_mono_ns() + pause_ns(j->failures++, JOB_PAUSE_MAX_MS);
	j->next = e->late_jobs;
	e->late_jobs = j;
	pthread_cond_signal(&e->later);
}

static struct request *due_request_locked(struct engine *e, int64_t now)
{
	for (struct request **at = &e->late; *at; at = &(*at)->next) {
		struct request *q = *at;

		if (q->due_ns > now)
			continue;
		*at = q->next;
		return q;
	}
	return NULL;
}

static struct job *due_job_locked(struct engine *e, int64_t now)
{
	for (struct job **at = &e->late_jobs; *at; at = &(*at)->next) {
		struct job *j = *at;

		if (j->due_ns > now)
			continue;
		*at = j->next;
		return j;
	}
	return NULL;
}

static void run_due(struct engine *e)
{
	int64_t now = clock_mono_ns();
	struct request *q;
	struct job *j;

	do {
		lock_take(&e->later_lock);
		q = due_request_locked(e, now);
		j = q ? NULL : due_job_locked(e, now);
		lock_drop(&e->later_lock);
		if (q)
			submit_again(q);
		else if (j)
			worker_again(j);
	} while (q || j);
}

/* When it has to wake: the first thing that is due, else the next tick. */
static struct timespec wake_locked(struct engine *e, int64_t tick_ns)
{
	int64_t at = tick_ns;

	for (struct request *q = e->late; q; q = q->next)
		at = q->due_ns < at ? q->due_ns : at;
	for (struct job *j = e->late_jobs; j; j = j->next)
		at = j->due_ns < at ? j->due_ns : at;
	e->wakes_ns = at;
	return (struct timespec){ .tv_sec = at / 1000000000, .tv_nsec = at % 1000000000 };
}

static void *tick_thread(void *arg)
{
	struct engine *e = arg;
	int64_t tick_ns = 0;

	pthread_setname_np(pthread_self(), "ticker");
	for (;;) {
		struct timespec until;
		bool ticking;

		if (clock_mono_ns() >= tick_ns) {
			for (size_t i = 0; i < e->backend_count; i++)
				backend_overdue(&e->backend[i]);
			room_opened(e); /* also if no backend says anything any more */
			trash_tick(e);
			snap_wait_due(e);
			tick_ns = clock_mono_ns() + TICK_MS * INT64_C(1000000);
		}
		lock_take(&e->later_lock);
		until = wake_locked(e, tick_ns);
		if (e->ticking)
			(void)lock_wait_until(&e->later_lock, &e->later, &until);
		ticking = e->ticking;
		lock_drop(&e->later_lock);
		if (!ticking)
			return NULL;
		run_due(e);
	}
}

int ticker_start(struct engine *e)
{
	int r;

	e->ticking = true;
	r = -pthread_create(&e->ticker, NULL, tick_thread, e);
	if (r < 0)
		e->ticking = false;
	return r;
}

void ticker_stop(struct engine *e)
{
	bool ticking;

	lock_take(&e->later_lock);
	ticking = e->ticking;
	e->ticking = false;
	pthread_cond_signal(&e->later);
	lock_drop(&e->later_lock);
	if (ticking)
		pthread_join(e->ticker, NULL);
	/* Somebody waits for an answer to these. */
	for (struct request *q; (q = later_take(e, NULL, 0));)
		submit_again(q);
}
