/*
 * How much of a volume is really allocated. Asking the storage takes milliseconds, so it is asked when somebody looks: the look
 * itself is answered with what was last known, and the backend's monitor, between two statistics, asks anew. A volume is asked
 * for at most once in stats_interval; what does not fit into the short list is left to the next look. Who has its image open outside
 * (watchers.c) is asked in the same way; evicting one of those waits here for the monitor, too.
 */
#include "engine/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct measured {
	struct request q;
	uint64_t used;
};

/* While somebody may write there is always something: what was measured may be older than that. A clone that has no bytes of its own has
 * its source's. */
static uint64_t shown(const struct volume *v, uint64_t used)
{
	bool written = v->status == VOL_IN_USE || v->status == VOL_EXTENDING || v->origin[0];

	return written && used < SIZE_UNIT ? SIZE_UNIT : used;
}

static int apply(struct request *q, struct tx *tx, struct err *err)
{
	struct measured *m = (struct measured *)q;
	struct volume v;
	int r = tx_volume(tx, q->volume, &v);

	if (r == -ENOENT)
		return 0; /* gone meanwhile */
	r = r < 0 ? r : tx_volume_used(tx, v.id, shown(&v, m->used));
	if (r == 0)
		note_volume(q->e, v.id, VOL_CHANGED_USED, v.status, v.trashed);
	return r;
}

static void write_down(struct engine *e, int64_t volume, uint64_t used)
{
	struct measured *m = request_new(e, sizeof *m, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!m)
		return;
	m->used = used;
	m->q.volume = volume;
	m->q.apply = apply;
	request_submit(&m->q);
}

static int measure(struct backend *b, const struct volume *v)
{
	struct driver_image image;
	struct err err = { 0 };
	uint64_t used;
	int r;

	image_of(v, &image);
	r = driver_said(b, b->driver->used(b->be, &image, &used, &err), &err);
	if (r < 0)
		log_debug("volume %s: how much is used is not known: %s", v->name, err.text);
	else if (shown(v, used) != v->used)
		write_down(b->e, v->id, used);
	return r;
}

/* Goes on to the writer, or is refused there; it has had its turn. */
static void evict(struct backend *b, const struct volume *v, struct request *q)
{
	struct err err = { 0 };
	int r = v ? watchers_evict(b, v, q, &err) : 0;

	if (r < 0) {
		q->refused = r;
		q->sentence = strdup(err.text);
	}
	store_submit(b->e->store, &q->change);
}

/* The monitor's thread. -ETIMEDOUT: the storage does not answer. */
static int ask_for(struct backend *b, const struct asked *a)
{
	struct volume v;
	int r;

	lock_take(&b->view_lock);
	r = view_volume(b->view, a->volume, &v);
	lock_drop(&b->view_lock);
	if (r == 0 && (v.status == VOL_CREATING || strcmp(v.backend, b->conf->name) != 0))
		r = -ENOENT;
	if (a->what == ASKED_EVICT)
		evict(b, r < 0 ? NULL : &v, a->q);
	if (r < 0 || a->what == ASKED_EVICT)
		return 0;
	return a->what == ASKED_USED ? measure(b, &v) : watchers_look(b, &v);
}

/* Evictions stay: somebody waits for them. */
static void forget_looks_locked(struct backend *b)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < b->asked_count; i++)
		if (b->asked[i].what == ASKED_EVICT)
			b->asked[kept++] = b->asked[i];
	b->asked_count = kept;
}

bool measure_asked_locked(struct backend *b)
{
	lock_assert_held(&b->lock);
	while (b->asked_count > 0 && !b->stopping) {
		struct asked a = b->asked[--b->asked_count];
		int r;

		lock_drop(&b->lock);
		r = ask_for(b, &a);
		lock_take(&b->lock);
		if (r == -ETIMEDOUT) { /* the others would take as long each */
			forget_looks_locked(b);
			return false;
		}
	}
	return true;
}

void measure_end(struct backend *b)
{
	LOCK_SCOPE(&b->lock);
	forget_looks_locked(b);
	while (b->asked_count > 0) {
		struct request *q = b->asked[--b->asked_count].q;

		q->refused = -EINTR;
		q->sentence = strdup("volfs ends");
		store_submit(b->e->store, &q->change);
	}
}

static bool lately_locked(struct backend *b, enum asked_what what, int64_t volume)
{
	struct lately *l = &b->lately[((uint64_t)volume * 2 + what) % MEASURE_LATELY];
	int64_t now = clock_mono_ns();

	lock_assert_held(&b->lock);
	if (l->volume == volume && l->what == what &&
		now - l->at_ns < b->e->conf->stats_interval * INT64_C(1000000000))
		return true;
	*l = (struct lately){ what, volume, now };
	return false;
}

static bool push_locked(struct backend *b, enum asked_what what, int64_t volume, struct request *q)
{
	lock_assert_held(&b->lock);
	if (b->state != BACKEND_UP || !b->ready || b->asked_count == MEASURE_ASKED || b->stopping)
		return false;
	b->asked[b->asked_count++] = (struct asked){ what, volume, q };
	pthread_cond_broadcast(&b->tick);
	return true;
}

static void look(struct engine *e, enum asked_what what, const struct volume *vol)
{
	struct backend *b = backend_by_name(e, vol->backend);

	if (!b || (what == ASKED_WATCHERS && !b->driver->watchers))
		return;
	LOCK_SCOPE(&b->lock);
	if (b->state == BACKEND_UP && b->ready && b->asked_count < MEASURE_ASKED &&
		!lately_locked(b, what, vol->id))
		(void)push_locked(b, what, vol->id, NULL);
}

void engine_measure(struct engine *e, const struct volume *vol)
{
	look(e, ASKED_USED, vol);
}

void engine_watch(struct engine *e, const struct volume *vol)
{
	look(e, ASKED_WATCHERS, vol);
}

void measure_now(struct backend *b, int64_t volume)
{
	LOCK_SCOPE(&b->lock);
	(void)push_locked(b, ASKED_USED, volume, NULL);
}

bool measure_evict(struct backend *b, int64_t volume, struct request *q)
{
	LOCK_SCOPE(&b->lock);
	return push_locked(b, ASKED_EVICT, volume, q);
}
