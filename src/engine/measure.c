/*
 * How much of a volume is really allocated. Asking the storage takes milliseconds, so it is asked when somebody looks: the look
 * itself is answered with what was last known, and the backend's monitor, between two statistics, asks anew. A volume is asked
 * for at most once in stats_interval; what does not fit into the short list is left to the next look.
 */
#include "engine/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

struct measured {
	struct request q;
	uint64_t used;
};

static int apply(struct request *q, struct tx *tx, struct err *err)
{
	struct measured *m = (struct measured *)q;
	struct volume v;
	int r = tx_volume(tx, q->volume, &v);

	if (r == -ENOENT)
		return 0; /* gone meanwhile */
	r = r < 0 ? r : tx_volume_used(tx, v.id, m->used);
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

/* The monitor's thread. -ETIMEDOUT: the storage does not answer. */
static int measure(struct backend *b, int64_t id)
{
	struct driver_image image;
	struct err err = { 0 };
	struct volume v;
	uint64_t used;
	int r;

	lock_take(&b->view_lock);
	r = view_volume(b->view, id, &v);
	lock_drop(&b->view_lock);
	if (r < 0 || v.status == VOL_CREATING || strcmp(v.backend, b->conf->name) != 0)
		return 0;
	image.size = v.size;
	memcpy(image.uuid, v.uuid, sizeof image.uuid);
	memcpy(image.image_id, v.image_id, sizeof image.image_id);
	r = driver_said(b, b->driver->used(b->be, &image, &used, &err), &err);
	if (r < 0)
		log_debug("volume %s: how much is used is not known: %s", v.name, err.text);
	else if (used != v.used)
		write_down(b->e, id, used);
	return r;
}

bool measure_asked_locked(struct backend *b)
{
	lock_assert_held(&b->lock);
	while (b->asked_count > 0 && !b->stopping) {
		int64_t id = b->asked[--b->asked_count];
		int r;

		lock_drop(&b->lock);
		r = measure(b, id);
		lock_take(&b->lock);
		if (r == -ETIMEDOUT) { /* the others would take as long each */
			b->asked_count = 0;
			return false;
		}
	}
	return true;
}

static bool lately_locked(struct backend *b, int64_t volume)
{
	struct lately *l = &b->lately[(uint64_t)volume % MEASURE_LATELY];
	int64_t now = clock_mono_ns();

	lock_assert_held(&b->lock);
	if (l->volume == volume &&
		now - l->at_ns < b->e->conf->stats_interval * INT64_C(1000000000))
		return true;
	*l = (struct lately){ volume, now };
	return false;
}

void engine_measure(struct engine *e, const struct volume *vol)
{
	struct backend *b = backend_by_name(e, vol->backend);

	if (!b)
		return;
	LOCK_SCOPE(&b->lock);
	if (b->state != BACKEND_UP || !b->ready || b->asked_count == MEASURE_ASKED ||
		lately_locked(b, vol->id))
		return;
	b->asked[b->asked_count++] = vol->id;
	pthread_cond_broadcast(&b->tick);
}
