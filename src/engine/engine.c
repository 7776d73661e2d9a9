/* The engine as a whole: making, starting, ending it; what it tells of its backends. */
#include "engine/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct driver *driver_find(const struct driver *const *drivers, const char *name)
{
	for (; *drivers; drivers++)
		if (strcmp((*drivers)->name, name) == 0)
			return *drivers;
	return NULL;
}

static int make_backends(struct engine *e, const struct driver *const *drivers, struct err *err)
{
	for (size_t i = 0; i < e->conf->backend_count; i++) {
		const struct backend_conf *conf = &e->conf->backends[i];
		const struct driver *driver = driver_find(drivers, conf->driver);
		int r;

		if (!driver)
			return err_set(err, -EINVAL, "backend '%s': there is no driver '%s'",
				conf->name, conf->driver);
		e->backend_count++; /* a half-made one is released too */
		r = backend_init(&e->backend[i], e, conf, driver, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The configured filters, after the one that is never left out: what has failed a volume does not get it again. */
static const char **filter_names(const struct conf *c)
{
	size_t n = 0;
	const char **names;

	while (c->filters[n])
		n++;
	names = calloc(n + 2, sizeof *names);
	if (!names)
		return NULL;
	names[0] = "ignore_attempted";
	for (size_t i = 0; i < n; i++)
		names[i + 1] = c->filters[i];
	return names;
}

static bool has(const char *const *names, const char *name)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names;
}

/* Is any backend's function ever asked? */
static bool has_functions(const struct conf *c, const char *const *filters)
{
	bool filter = has(filters, "driver"), goodness = false;

	for (size_t i = 0; i < c->weigher_count; i++)
		goodness |= !strcmp(c->weighers[i].name, "goodness");
	for (size_t i = 0; i < c->backend_count; i++)
		if ((filter && *c->backends[i].filter_function) ||
			(goodness && *c->backends[i].goodness_function))
			return true;
	return false;
}

static int make_sched(struct engine *e, struct err *err)
{
	const struct conf *c = e->conf;
	struct sched_weigher_conf *w = calloc(c->weigher_count + 1, sizeof *w);
	const char **filters = filter_names(c);
	const struct sched_conf conf = { filters, w, c->weigher_count, false };
	int r;

	if (!w || !filters) {
		r = err_set(err, -ENOMEM, "out of memory");
	} else {
		e->follows = (struct follows){ has(filters, "same_backend"),
			has(filters, "different_backend"), has(filters, "json"),
			has_functions(c, filters) };
		for (size_t i = 0; i < c->weigher_count; i++)
			w[i] = (struct sched_weigher_conf){ c->weighers[i].name,
				c->weighers[i].multiplier };
		r = sched_new(&conf, &e->sched, err);
	}
	free(w);
	free(filters);
	return r;
}

int engine_new(const struct conf *conf, struct store *store, const struct driver *const *drivers,
	const struct engine_hooks *hooks, struct engine **ret, struct err *err)
{
	struct engine *e = calloc(1, sizeof *e);
	int r;

	if (!e)
		return err_set(err, -ENOMEM, "out of memory");
	e->conf = conf;
	e->store = store;
	e->hooks = *hooks;
	e->held_last = &e->held;
	e->room = conf->queue_max;
	if (gethostname(e->host, sizeof e->host - 1) < 0 || !e->host[0])
		(void)snprintf(e->host, sizeof e->host, "localhost");
	lock_init(&e->held_lock);
	lock_init(&e->later_lock);
	lock_init(&e->project_lock);
	lock_init(&e->turns_lock);
	lock_init(&e->snaps_lock);
	cond_init(&e->later);
	e->backend = calloc(conf->backend_count + 1, sizeof *e->backend);
	r = e->backend ? make_sched(e, err) : err_set(err, -ENOMEM, "out of memory");
	r = r < 0 ? r : make_backends(e, drivers, err);
	if (r < 0) {
		engine_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

/* --- start --- */

static void committed(void *arg, bool ok)
{
	struct engine *e = arg;

	if (ok && e->hooks.changed)
		e->hooks.changed(e->hooks.arg, e->notes.at, e->notes.len);
	if (!ok) {
		types_forget(e); /* they may have been compiled from what is lost now */
		e->offers.len = 0;
	}
	e->notes.len = 0;
}

static void batch_ended(void *arg)
{
	struct engine *e = arg;

	for (size_t i = 0; i < e->offers.len; i++) {
		const struct offer *o = &e->offers.at[i];

		op_accepted(e, op_of_job(o->brief.kind));
		worker_offer(o->b, &o->brief, false, 0);
	}
	e->offers.len = 0;
	for (size_t i = 0; i < e->backend_count; i++)
		worker_offered(&e->backend[i]);
}

static int rows_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct engine *e = q->e;
	struct backend_row row;
	int r = 0;

	for (size_t i = 0; i < e->backend_count && r == 0; i++) {
		r = tx_backend(tx, e->backend[i].conf->name, &row);
		r = r < 0 ? r : tx_zone(tx, e->backend[i].conf->zone);
	}
	return r;
}

/* What the last server knew of a backend serves until this one has looked: so nobody waits after a restart. */
static int learn(struct engine *e, struct view *v, struct backend *b, struct err *err)
{
	struct backend_sums sums;
	struct backend_row row;

	if (view_backend(v, b->conf->name, &sums) < 0 || view_backend_row(v, sums.id, &row) < 0)
		return err_set(err, -EIO, "backend '%s' cannot be entered into the catalogue",
			b->conf->name);
	b->id = sums.id;
	b->stats = row.stats;
	b->settled = row.allocated - row.pending;
	b->state = row.known_up ? BACKEND_UP : BACKEND_DOWN;
	if (row.known_up)
		b->reason[0] = '\0';
	capabilities_report(b, &b->stats);
	return 0;
}

/* Rows of the backends. On a full disk those that are there already will do. */
static int learn_all(struct engine *e, struct err *err)
{
	struct request *q = request_new(e, sizeof *q, (struct change_id){ 0 }, NULL, NULL, NULL);
	struct view *v;
	int r;

	if (!q)
		return err_set(err, -ENOMEM, "out of memory");
	q->apply = rows_apply;
	(void)request_wait(q, NULL, NULL);
	r = view_open(e->store, &v, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < e->backend_count && r == 0; i++)
		r = learn(e, v, &e->backend[i], err);
	view_close(v);
	return r;
}

int engine_start(struct engine *e, struct err *err)
{
	struct store_hooks hooks = { committed, batch_ended, e };
	int r;

	store_keep_log(e->store, e->conf->history_events, e->conf->history_age);
	r = store_start(e->store, &hooks, err);
	if (r < 0)
		return r;
	e->started = true;
	e->started_ns = clock_mono_ns();
	r = learn_all(e, err);
	r = r < 0 ? r : types_configured(e, err);
	r = r < 0 ? r : recover_orphans(e, err);
	r = r < 0 ? r : view_open(e->store, &e->trash, err);
	if (r == 0) {
		r = ticker_start(e);
		if (r < 0)
			err_set(err, r, "cannot start a thread: %s", strerror(-r));
	}
	room_opened(e);
	for (size_t i = 0; i < e->backend_count && r == 0; i++)
		r = backend_begin(&e->backend[i], err);
	return r;
}

/* --- stop --- */

static void stop_backend(struct backend *b)
{
	LOCK_SCOPE(&b->lock);
	b->stopping = true;
	pthread_cond_broadcast(&b->wake);
	pthread_cond_broadcast(&b->tick);
}

/* Waits until its threads have ended, or the moment has come. */
static bool wait_backend(struct backend *b, const struct timespec *until)
{
	LOCK_SCOPE(&b->lock);
	while (b->threads || b->monitoring || b->comparing || b->scanning)
		if (!lock_wait_until(&b->lock, &b->tick, until))
			break;
	return !b->threads && !b->monitoring && !b->comparing && !b->scanning;
}

/* Whoever is asked whether an image is open answers soon, or hangs. */
static void wait_looks(struct engine *e, const struct timespec *until)
{
	int64_t until_ns = until->tv_sec * INT64_C(1000000000) + until->tv_nsec;

	while (atomic_load(&e->looks) && clock_mono_ns() < until_ns)
		usleep(2000);
	e->hung = e->hung || atomic_load(&e->looks);
}

void engine_stop(struct engine *e, long grace_ms, bool replaced)
{
	struct timespec until = clock_mono_in_ms(grace_ms);

	if (!e->started || e->stopping)
		return;
	e->stopping = true;
	for (size_t i = 0; i < e->backend_count; i++)
		stop_backend(&e->backend[i]);
	e->hung = false;
	for (size_t i = 0; i < e->backend_count; i++)
		if (!wait_backend(&e->backend[i], &until)) {
			log_notice(
				"backend %s: calls are still under way: the next start goes on with them",
				e->backend[i].conf->name);
			e->hung = true;
		}
	ticker_stop(e);
	wait_looks(e, &until);
	room_close(e);
	if (!replaced)
		snap_wait_close(e);
}

static void free_late(struct engine *e)
{
	while (e->late) {
		struct request *next = e->late->next;

		if (e->late->release)
			e->late->release(e->late);
		free(e->late->sentence);
		free(e->late);
		e->late = next;
	}
}

bool engine_free(struct engine *e)
{
	if (!e)
		return true;
	engine_stop(e, 0, false);
	if (e->started)
		store_stop(e->store);
	if (e->hung)
		return false; /* threads that hang in the storage still use it */
	free_late(e);
	snap_wait_release(e);
	for (size_t i = 0; i < e->backend_count; i++)
		backend_release(&e->backend[i]);
	free(e->backend);
	free(e->candidate);
	free(e->choice);
	sched_work_release(&e->work);
	hints_end(e);
	types_forget(e);
	free(e->notes.at);
	free(e->offers.at);
	view_close(e->trash);
	project_release(e);
	sched_free(e->sched);
	pthread_cond_destroy(&e->later);
	lock_release(&e->project_lock);
	lock_release(&e->snaps_lock);
	lock_release(&e->turns_lock);
	lock_release(&e->later_lock);
	lock_release(&e->held_lock);
	free(e);
	return true;
}

/* --- what it tells --- */

size_t engine_backend_count(const struct engine *e)
{
	return e->backend_count;
}

int engine_backend(struct engine *e, struct view *v, size_t i, struct engine_backend *ret)
{
	struct backend *b = &e->backend[i];
	struct backend_row row;
	int r = view_backend_row(v, b->id, &row);

	if (r < 0)
		return r;
	*ret = (struct engine_backend){ .name = b->conf->name,
		.driver = b->conf->driver,
		.zone = b->conf->zone,
		.filter_function = b->conf->filter_function,
		.goodness_function = b->conf->goodness_function,
		.id = b->id,
		.volumes = row.volumes,
		.allocated = row.allocated };
	LOCK_SCOPE(&b->lock);
	ret->state = row.disabled ? BACKEND_DISABLED : b->state;
	(void)snprintf(ret->reason, sizeof ret->reason, "%s",
		row.disabled ? "disabled by an administrator" : b->reason);
	ret->stats = b->stats;
	if (!b->stats.total && !b->stats.total_infinite) /* it has never answered */
		ret->stats.total_unknown = ret->stats.free_unknown = true;
	ret->changed_us = b->changed_us;
	return 0;
}

int engine_backend_capabilities(struct engine *e, size_t i, struct buf *out)
{
	struct backend *b = &e->backend[i];

	LOCK_SCOPE(&b->lock);
	buf_adds(out, b->report ? b->report : "{}");
	return buf_failed(out) ? -ENOMEM : 0;
}

int engine_connection(struct engine *e, const struct volume *vol, bool shared, struct buf *out)
{
	struct backend *b = backend_by_name(e, vol->backend);
	struct driver_image image = { .size = vol->size, .shared = shared };

	if (!b)
		return -ENOENT;
	memcpy(image.uuid, vol->uuid, sizeof image.uuid);
	memcpy(image.image_id, vol->image_id, sizeof image.image_id);
	b->driver->connection(b->be, &image, out);
	return buf_failed(out) ? -ENOMEM : 0;
}

const char *engine_status(struct engine *e)
{
	bool ready = true;

	for (size_t i = 0; i < e->backend_count; i++) {
		struct backend *b = &e->backend[i];

		lock_take(&b->lock);
		ready = ready && (b->ready || (b->looked && b->state == BACKEND_DOWN));
		lock_drop(&b->lock);
	}
	return ready ? "ready" : "recovering";
}
