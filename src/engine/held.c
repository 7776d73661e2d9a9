/*
 * Images of purged volumes that clones still need: JOB_CLEAN of CLASS_HELD, which no worker gets. When the last clone is gone, or needs
 * its parent no more, its parent's is let go.
 *
 *   purge: the driver says -EMLINK ─▶ held ─── the last clone is purged, cleaned or flattened ──▶ CLASS_OTHER ─▶ worker: image away
 *                                      ▲                                                                           │
 *                                      └── its own parent may be held, too: the same once more ◀───────────────────┘
 */
#include "engine/internal.h"

#include <errno.h>

int release_held(struct tx *tx, int64_t parent, struct held *ret)
{
	int r;

	*ret = (struct held){ 0 };
	if (!parent)
		return 0;
	r = tx_job_release(tx, parent, &ret->job);
	if (r == 0)
		ret->is = true;
	return r == -ENOENT ? 0 : r;
}

void held_ended(struct engine *e, const struct held *h)
{
	struct backend *b = h->is ? backend_by_id(e, h->job.backend) : NULL;
	struct job_brief brief = { .id = h->job.id,
		.volume = h->job.volume,
		.project = h->job.project,
		.kind = h->job.kind,
		.class = h->job.class };

	/* One that the configuration no longer names is not waited for: the row stays until it is named again. */
	if (b)
		worker_offer(b, &brief, false);
}
