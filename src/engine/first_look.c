/*
 * The comparison of the catalogue with a backend's storage (compare.h), once, some seconds after the backend has become ready. What
 * differs is logged, and left as it is: `volfs --repair` mends. Nobody waits for it: it has a thread of its own that the system runs
 * when no other wants to, with a pause after each volume, and its own view of the catalogue.
 */
#include "engine/compare.h"
#include "engine/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum {
	AFTER_MS = 5000,
	PAUSE_MS = 5,
	LOGGED = 50, /* differences; --check names them all */
};

struct first_look {
	struct backend *b;
	uint64_t found;
};

/* true: the engine stops. */
static bool sleep_for(struct backend *b, long ms)
{
	struct timespec until = clock_mono_in_ms(ms);

	LOCK_SCOPE(&b->lock);
	while (!b->stopping && lock_wait_until(&b->lock, &b->tick, &until))
		;
	return b->stopping;
}

static bool pause_between(void *arg)
{
	struct first_look *l = arg;

	return sleep_for(l->b, PAUSE_MS);
}

static int found(void *arg, const struct difference *d)
{
	struct first_look *l = arg;
	char text[DIFFERENCE_TEXT];

	if (++l->found <= LOGGED) {
		difference_text(d, text);
		log_warning("backend %s: %s", l->b->conf->name, text);
	}
	return 0;
}

static void say(const struct first_look *l, const struct compare *c)
{
	const char *name = l->b->conf->name;

	if (l->found)
		log_warning("backend %s: the catalogue and the storage differ in %" PRIu64
			    " places: volfs --check names them",
			name, l->found);
	else
		log_info("backend %s: the catalogue and the storage agree on %" PRIu64 " volumes",
			name, c->volumes);
}

static void compare(struct backend *b)
{
	struct first_look look = { .b = b };
	struct compare c = {
		.driver = b->driver,
		.be = b->be,
		.backend = b->id,
		.name = b->conf->name,
		.found = found,
		.pause = pause_between,
		.arg = &look,
	};
	struct err err = { 0 };
	int r = view_open(b->e->store, &c.view, &err);

	if (r == 0)
		r = driver_said(b, compare_backend(&c, &err), &err);
	view_close(c.view);
	if (r == 0)
		say(&look, &c);
	else if (r != -EINTR)
		log_notice("backend %s: the catalogue was not compared with the storage: %s",
			b->conf->name, err.text);
}

static void *thread(void *arg)
{
	struct backend *b = arg;
	struct sched_param idle = { 0 };

	backend_name_thread(b, "compare");
	(void)pthread_setschedparam(pthread_self(), SCHED_IDLE, &idle);
	if (!sleep_for(b, AFTER_MS))
		compare(b);
	lock_take(&b->lock);
	b->comparing = false;
	pthread_cond_broadcast(&b->tick);
	lock_drop(&b->lock);
	return NULL;
}

void first_look_begin(struct backend *b)
{
	pthread_t t;

	if (!b->driver->list || !b->driver->look)
		return;
	lock_take(&b->lock);
	b->comparing = true;
	lock_drop(&b->lock);
	if (pthread_create(&t, NULL, thread, b) == 0) {
		pthread_detach(t);
		return;
	}
	lock_take(&b->lock);
	b->comparing = false;
	lock_drop(&b->lock);
}
