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

int release_held(struct request *q, struct tx *tx, int64_t parent)
{
	struct job_row job;
	struct backend *b;
	int r = parent ? tx_job_release(tx, parent, &job) : -ENOENT;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	b = backend_by_id(q->e, job.backend);
	/* One that the configuration no longer names is not waited for: the row stays until it is named again. */
	return b ? request_offer(q, b, &job) : 0;
}
