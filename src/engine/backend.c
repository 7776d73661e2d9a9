/*
 * A backend's state and its monitor: statistics every stats_interval, and before the first change the fence (fence.c).
 *
 *     (last server's word) ──▶ look ──▶ UP, not ready ── own address in the catalogue, earlier ones fenced ──▶ UP, ready
 *                               │  ▲                                                                            │
 *                               ▼  └──────────── asked again every RETRY_S, by itself ◀── no answer in time ────┘
 *                              DOWN: no new volumes; creations that wait or hang there are given up
 */
#include "engine/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	RETRY_S = 1,   /* between two looks at a backend that is down */
	OVERDUE_S = 2, /* what a driver may take on top of the time-out that it promised */
};

struct backend *backend_by_id(struct engine *e, int64_t id)
{
	for (size_t i = 0; i < e->backend_count; i++)
		if (e->backend[i].id == id)
			return &e->backend[i];
	return NULL;
}

struct backend *backend_by_name(struct engine *e, const char *name)
{
	for (size_t i = 0; i < e->backend_count; i++)
		if (strcmp(e->backend[i].conf->name, name) == 0)
			return &e->backend[i];
	return NULL;
}

void backend_name_thread(const struct backend *b, const char *what)
{
	char name[16]; /* the kernel's limit */

	(void)snprintf(name, sizeof name, "%s-%s", what, b->conf->name);
	pthread_setname_np(pthread_self(), name);
}

int backend_job(struct backend *b, int64_t id, struct job_row *ret)
{
	LOCK_SCOPE(&b->view_lock);
	return view_job(b->view, id, ret);
}

int backend_init(struct backend *b, struct engine *e, const struct backend_conf *conf,
	const struct driver *driver, struct err *err)
{
	b->e = e;
	b->conf = conf;
	b->driver = driver;
	for (int class = 0; class < CLASS_COUNT; class ++)
		b->work[class].window.more = true;
	(void)snprintf(b->reason, sizeof b->reason, "not asked yet");
	lock_init(&b->lock);
	lock_init(&b->view_lock);
	cond_init(&b->wake);
	cond_init(&b->tick);
	if (driver->open(conf, &b->be, err) < 0)
		return err_in(err, "backend '%s'", conf->name);
	return functions_compile(b, err);
}

void backend_release(struct backend *b)
{
	if (b->be)
		b->driver->close(b->be);
	view_close(b->view);
	capabilities_release(b);
	for (int class = 0; class < CLASS_COUNT; class ++)
		queue_release(&b->work[class].queue);
	for (size_t i = 0; i < JOB_BUCKETS; i++)
		while (b->jobs[i]) {
			struct job *next = b->jobs[i]->hash_next;

			free(b->jobs[i]);
			b->jobs[i] = next;
		}
	pthread_cond_destroy(&b->tick);
	pthread_cond_destroy(&b->wake);
	lock_release(&b->view_lock);
	lock_release(&b->lock);
}

/* --- what is known of it --- */

struct report {
	struct request q;
	struct backend *b;
	bool up;
	char why[REASON_LEN + 1];
	struct backend_stats stats;
};

static int report_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct report *r = (struct report *)q;
	struct backend_row had;
	int code;

	note(q->e, (struct change_note){ .kind = CHANGE_BACKEND, .row = r->b->id });
	code = tx_backend_sums(tx, r->b->id, &had);
	code = code < 0 ? code : tx_backend_report(tx, r->b->id, r->up, &r->stats);
	if (code < 0 || r->up == had.known_up)
		return code;
	return request_event_of(
		q, tx, 0, r->b->conf->name, r->up ? "backend.up" : "backend.down", "%s", r->why);
}

/* To the catalogue, for the next server's first moments, and through it to whoever looks. */
static void report(struct backend *b, bool up, const struct backend_stats *stats, const char *why)
{
	struct report *r = request_new(b->e, sizeof *r, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!r)
		return;
	r->b = b;
	r->up = up;
	(void)snprintf(r->why, sizeof r->why, "%s", why);
	r->stats = *stats;
	r->q.apply = report_apply;
	request_submit(&r->q);
}

bool backend_lasting_down(struct backend *b, char why[REASON_LEN + 1])
{
	int64_t patience = b->conf->timeout * INT64_C(1000000000);

	LOCK_SCOPE(&b->lock);
	memcpy(why, b->reason, sizeof b->reason);
	return b->state == BACKEND_DOWN && b->trouble_ns &&
	       clock_mono_ns() - b->trouble_ns >= patience;
}

/* Creations there wait as long as statistics may take, then go elsewhere: what fails at once may be well a second later. */
static void give_up_if_lasting(struct backend *b)
{
	char why[REASON_LEN + 1];

	if (backend_lasting_down(b, why))
		worker_give_up(b);
}

/* asked_ns: when the question was asked that went wrong. */
static void went_down(struct backend *b, const char *why, int64_t asked_ns)
{
	struct backend_stats stats;
	char reason[sizeof b->reason];
	time_t now = time(NULL);
	struct tm tm;
	bool news, other;

	localtime_r(&now, &tm);
	lock_take(&b->lock);
	news = b->state != BACKEND_DOWN || !b->looked;
	if (news) {
		b->changed_us = clock_wall_us();
		strftime(b->down_at, sizeof b->down_at, "%H:%M:%S", &tm);
	}
	/* what is wrong may change while it is down: no cluster, then no pool */
	(void)snprintf(reason, sizeof reason, "down since %s: %s", b->down_at, why);
	other = strcmp(reason, b->reason) != 0;
	memcpy(b->reason, reason, sizeof reason);
	b->state = BACKEND_DOWN;
	b->looked = true;
	if (!b->trouble_ns)
		b->trouble_ns = asked_ns;
	stats = b->stats;
	lock_drop(&b->lock);
	if (news)
		log_warning("backend %s: down: %s", b->conf->name, why);
	if (news || other)
		report(b, false, &stats, why);
	if (news)
		room_opened(b->e);
	give_up_if_lasting(b);
}

/* Other numbers, or the first ones since it was asked in vain: it may have more to tell, too. */
static bool tells_news(struct backend *b, const struct backend_stats *stats)
{
	LOCK_SCOPE(&b->lock);
	return b->state != BACKEND_UP || !b->looked || memcmp(&b->stats, stats, sizeof *stats) != 0;
}

static void came_up(struct backend *b, const struct backend_stats *stats, uint64_t settled)
{
	bool news, moved;

	if (tells_news(b, stats))
		capabilities_report(b, stats);
	lock_take(&b->lock);
	news = b->state != BACKEND_UP || !b->looked;
	moved = memcmp(&b->stats, stats, sizeof *stats) != 0;
	if (news)
		b->changed_us = clock_wall_us();
	b->state = BACKEND_UP;
	b->looked = true;
	b->reason[0] = '\0';
	b->stats = *stats;
	b->settled = settled;
	lock_drop(&b->lock);
	if (news)
		log_info("backend %s: up", b->conf->name);
	if (news || moved)
		report(b, true, stats, "");
	if (news)
		room_opened(b->e);
}

/* What of the catalogue's promises the coming statistics include for certain. */
static int settled_now(struct backend *b, uint64_t *ret)
{
	struct backend_row row;

	LOCK_SCOPE(&b->view_lock);
	if (view_backend_row(b->view, b->id, &row) < 0)
		return -EIO;
	*ret = row.allocated - row.pending;
	return 0;
}

static int ask(struct backend *b, struct backend_stats *stats, uint64_t *settled, struct err *err)
{
	int r = settled_now(b, settled);

	if (r < 0)
		return err_set(err, r, "the catalogue cannot be read");
	lock_take(&b->lock);
	b->asked_ns = clock_mono_ns();
	lock_drop(&b->lock);
	r = driver_said(b, b->driver->stat(b->be, stats, err), err);
	if (r < 0)
		counter_add(&b->errors, 1);
	lock_take(&b->lock);
	b->asked_ns = 0;
	lock_drop(&b->lock);
	return r;
}

void backend_overdue(struct backend *b)
{
	int64_t limit = (b->conf->timeout + OVERDUE_S) * INT64_C(1000000000), asked;
	bool overdue, down;
	char why[64];

	lock_take(&b->lock);
	asked = b->asked_ns;
	overdue = asked && clock_mono_ns() - asked > limit;
	down = b->state == BACKEND_DOWN && b->looked;
	lock_drop(&b->lock);
	if (overdue && !down) {
		(void)snprintf(why, sizeof why, "no answer within %ld s", b->conf->timeout);
		went_down(b, why, asked);
	} else {
		give_up_if_lasting(b); /* also what was placed there in the last moment */
	}
}

/* --- the monitor --- */

static int make_ready(struct backend *b, struct err *err)
{
	struct engine_ready *waiting, *next;
	int r = fence_put_up(b, err);

	if (r < 0 || b->ready)
		return r;
	lock_take(&b->lock);
	b->ready = true;
	waiting = b->when_ready;
	b->when_ready = NULL;
	lock_drop(&b->lock);
	for (; waiting; waiting = next) {
		next = waiting->next; /* it may be gone afterwards */
		waiting->ready(waiting);
	}
	first_look_begin(b);
	return 0;
}

/* false: the engine stops. */
static bool pause_for(struct backend *b, long seconds)
{
	struct timespec until = clock_mono_in_ms(seconds * 1000);

	LOCK_SCOPE(&b->lock);
	while (measure_asked_locked(b) && !b->stopping && !b->look_soon &&
		lock_wait_until(&b->lock, &b->tick, &until))
		;
	b->look_soon = false;
	return !b->stopping;
}

void backend_look_soon(struct backend *b)
{
	LOCK_SCOPE(&b->lock);
	b->look_soon = true;
	pthread_cond_broadcast(&b->tick);
}

/*
 * One look. Volumes are placed on a backend that answers while the fence is still being put up, which takes a second; but where that
 * failed before, only once it stands.
 */
static int look(struct backend *b, struct err *err)
{
	struct backend_stats stats = { 0 };
	uint64_t settled = 0;
	bool trouble;
	int r;

	lock_take(&b->lock);
	trouble = b->trouble_ns != 0;
	lock_drop(&b->lock);
	r = ask(b, &stats, &settled, err);
	if (r == 0 && !trouble)
		came_up(b, &stats, settled);
	r = r < 0 ? r : make_ready(b, err);
	if (r < 0)
		return r;
	lock_take(&b->lock);
	b->trouble_ns = 0;
	lock_drop(&b->lock);
	if (trouble)
		came_up(b, &stats, settled);
	worker_kick(b);
	unmanaged_due(b, false);
	return 0;
}

static void *monitor_thread(void *arg)
{
	struct backend *b = arg;
	struct err err;
	int64_t asked;
	long pause;

	backend_name_thread(b, "look");
	do {
		err = (struct err){ 0 };
		asked = clock_mono_ns();
		pause = b->e->conf->stats_interval;
		if (look(b, &err) < 0) {
			went_down(b, err.text, asked);
			pause = RETRY_S < pause ? RETRY_S : pause;
		}
	} while (pause_for(b, pause));
	measure_end(b);
	lock_take(&b->lock);
	b->monitoring = false;
	pthread_cond_broadcast(&b->tick);
	lock_drop(&b->lock);
	return NULL;
}

int backend_begin(struct backend *b, struct err *err)
{
	pthread_t t;
	int r;

	r = view_open(b->e->store, &b->view, err);
	if (r < 0)
		return r;
	b->monitoring = true;
	r = -pthread_create(&t, NULL, monitor_thread, b);
	if (r < 0) {
		b->monitoring = false;
		return err_set(err, r, "cannot start the monitor of backend '%s': %s",
			b->conf->name, strerror(-r));
	}
	pthread_detach(t);
	return 0;
}
