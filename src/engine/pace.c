/*
 * Which jobs of a backend may begin, and when: so many of each class are under way as its limit says.
 *
 * A removal asks as much of the storage as many creations, and somebody waits for those: while they come, removals begin one by one,
 * PACE_MS apart, and a moment after the last creation at full speed again. Not so many at once: one that hangs would stop all. One idle
 * worker waits by the clock for the next removal's turn, while the others sleep until they are woken.
 */
#include "engine/internal.h"

#include "base/clock.h"

enum {
	CALM_MS = 20, /* creations that follow each other are no farther apart */
	PACE_MS = 6,  /* while they come: from the beginning of one removal to the next */
};

unsigned pace_threads_max(const struct backend *b)
{
	const struct conf *c = b->e->conf;
	unsigned create = (unsigned)c->workers > BATCHES ? (unsigned)c->workers : BATCHES;

	return create + (unsigned)c->workers + SNAPS + (unsigned)c->copies;
}

static bool creations_come_locked(const struct backend *b)
{
	const struct work *create = &b->work[CLASS_CREATE];

	return create->queue.waiting || create->busy || clock_mono_ns() < b->calm_ns;
}

/* How long until the next of CLASS_OTHER may begin, ns. */
static int64_t pause_locked(const struct backend *b)
{
	int64_t left = b->paced_ns - clock_mono_ns();

	return left > 0 && creations_come_locked(b) ? left : 0;
}

/* So many of a class may be under way. */
static unsigned limit_locked(const struct backend *b, enum job_class class)
{
	unsigned workers = (unsigned)b->e->conf->workers;

	switch (class) {
	case CLASS_CREATE:
		return b->driver->batch(b->be) > 1 ? BATCHES : workers;
	case CLASS_SNAP:
		return SNAPS;
	case CLASS_COPY:
		return (unsigned)b->e->conf->copies;
	default:
		return creations_come_locked(b) ? (workers + 1) / 2 : workers;
	}
}

/* Is there anything of this class that its limit allows? */
static bool has_work_locked(const struct backend *b, enum job_class class)
{
	const struct work *w = &b->work[class];

	return b->ready && !b->stopping && w->queue.waiting && w->busy < limit_locked(b, class);
}

/* May a worker begin it now? */
static bool may_begin_locked(const struct backend *b, enum job_class class)
{
	return has_work_locked(b, class) && (class != CLASS_OTHER || pause_locked(b) == 0);
}

/* Is a worker to wait until the next removal may begin? One is enough. While creations are under way their end wakes it. */
bool pace_wants_timer_locked(const struct backend *b)
{
	const struct work *w = &b->work[CLASS_OTHER], *create = &b->work[CLASS_CREATE];
	bool calms = !create->queue.waiting && !create->busy;

	if (b->pacing || !b->ready || b->stopping || !w->queue.waiting)
		return false;
	return w->busy < limit_locked(b, CLASS_OTHER) ||
	       (calms && w->busy < (unsigned)b->e->conf->workers);
}

/* How long it waits, ns: for its turn, or until more are allowed. */
int64_t pace_timer_locked(const struct backend *b)
{
	int64_t turn = pause_locked(b), calm = b->calm_ns - clock_mono_ns();

	return has_work_locked(b, CLASS_OTHER) || calm < turn ? turn : calm;
}

/* Creations first: somebody waits for each of them. CLASS_COUNT: there is nothing to begin. */
enum job_class pace_next_locked(const struct backend *b)
{
	static const enum job_class order[] = { CLASS_CREATE, CLASS_SNAP, CLASS_COPY, CLASS_OTHER };

	for (size_t i = 0; i < CLASS_COUNT; i++)
		if (may_begin_locked(b, order[i]))
			return order[i];
	return CLASS_COUNT;
}

void pace_began_locked(struct backend *b, enum job_class class)
{
	lock_assert_held(&b->lock);
	b->work[class].busy++;
	if (class == CLASS_OTHER)
		b->paced_ns = clock_mono_ns() + PACE_MS * INT64_C(1000000);
}

void pace_ended_locked(struct backend *b, enum job_class class)
{
	lock_assert_held(&b->lock);
	b->work[class].busy--;
	if (class == CLASS_CREATE)
		b->calm_ns = clock_mono_ns() + CALM_MS * INT64_C(1000000);
}
