/* How far a long change of an image is: librbd and remove.c count objects, whoever looks wants bytes. */
#include "rbd/internal.h"

void rb_meter_start(struct rb_meter *m, struct driver_progress *progress, uint64_t bytes)
{
	*m = (struct rb_meter){ progress, bytes };
	if (!progress)
		return;
	atomic_store(&progress->done, 0);
	atomic_store(&progress->total, bytes);
}

int rb_meter_tell(uint64_t done, uint64_t total, void *meter)
{
	const struct rb_meter *m = meter;
	uint64_t bytes;

	if (!m->progress || !total)
		return 0;
	atomic_store(&m->progress->total, m->bytes);
	bytes = (uint64_t)((unsigned __int128)m->bytes * done / total);
	if (bytes > atomic_load(&m->progress->done))
		atomic_store(&m->progress->done, bytes);
	return 0;
}
