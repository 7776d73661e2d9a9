/*
 * Sources of clones, as they were found a moment ago. A snapshot never changes, and that it is still there shows when the clone is
 * entered in its header; so all that a second of belief can miss is that a person has just given its image metadata or a feature.
 */
#include "rbd/internal.h"

#include "base/clock.h"

#include <string.h>

#define BELIEVED_NS INT64_C(1000000000)

static bool is_of(const struct rb_known *k, const struct driver_source *s)
{
	return !strcmp(k->image, s->image.uuid) && !strcmp(k->snapshot, s->snapshot);
}

bool rb_known_get(struct rb_backend *be, const struct rb_pool *p, const struct driver_source *s,
	struct rb_source *ret)
{
	int64_t now = clock_mono_ns();

	LOCK_SCOPE(&be->known_lock);
	for (size_t i = 0; i < RB_KNOWN; i++) {
		const struct rb_known *k = &be->known[i];

		if (k->until_ns <= now || !is_of(k, s) || k->source.parent.pool != p->id)
			continue;
		*ret = k->source;
		return true;
	}
	return false;
}

void rb_known_put(
	struct rb_backend *be, const struct driver_source *s, const struct rb_source *source)
{
	struct rb_known *k = &be->known[0];

	LOCK_SCOPE(&be->known_lock);
	for (size_t i = 1; i < RB_KNOWN; i++)
		if (be->known[i].until_ns < k->until_ns)
			k = &be->known[i];
	memcpy(k->image, s->image.uuid, sizeof k->image);
	memcpy(k->snapshot, s->snapshot, sizeof k->snapshot);
	k->source = *source;
	k->until_ns = clock_mono_ns() + BELIEVED_NS;
}

void rb_known_forget(struct rb_backend *be, const struct rb_source *source)
{
	LOCK_SCOPE(&be->known_lock);
	for (size_t i = 0; i < RB_KNOWN; i++)
		if (be->known[i].source.parent.snap == source->parent.snap)
			be->known[i].until_ns = 0;
}
