/*
 * Room that lies in the trash. A creation, or an extension, that finds no room on any backend, but would if a trash were emptied, has the
 * oldest volumes there purged, as many as it needs, and is judged anew:
 *
 *   apply(): -ENOSPC, and place.c names a backend ─▶ divert(): purges begin ─▶ a moment later: apply()
 *                       └── not so any more, or PATIENCE_MS are over: as if there had been no trash
 *
 * What is promised to a volume counts as free once its purge has begun (place.c), so that where promises are all that lacks, the second
 * look finds room. Where the bytes themselves lack, the storage must have them back and say so: its statistics are asked for at once.
 */
#include "engine/internal.h"

#include "base/clock.h"

#include <errno.h>

enum {
	PATIENCE_MS = 6000,
	BEGIN_MS = 20,	  /* until purges that have been asked for have begun */
	MEASURE_MS = 250, /* between two looks at the statistics */
	BATCH = 256,	  /* purges that one transaction begins; the next look wants the rest */
};

/* --- the purges --- */

struct purges {
	struct request q;
	struct backend *b;
	uint64_t purging;
};

/* One whose image clones need gives nothing back: it stays. */
static int purges_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct purges *p = (struct purges *)q;
	struct trashed at = { 0 };
	struct backend_row row;
	struct volume v;
	int64_t child;
	int r = tx_backend_sums(tx, p->b->id, &row);

	for (int n = 0; r == 0 && row.purging < p->purging && n < BATCH; n++) {
		r = tx_trash_on(tx, p->b->id, &at);
		if (r < 0 || tx_volume_child(tx, at.id, &child) == 0)
			continue;
		r = tx_volume(tx, at.id, &v);
		r = r < 0 ? r : purge_begin(q, tx, &v, "its backend needs the room");
		row.purging += at.size;
	}
	return r == -ENOENT ? 0 : r;
}

void reclaim_begin(struct backend *b, uint64_t purging)
{
	struct purges *p = request_new(b->e, sizeof *p, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!p)
		return;
	p->b = b;
	p->purging = purging;
	p->q.apply = purges_apply;
	request_submit(&p->q);
}

/* --- who waits for them --- */

int reclaim_wanted(struct reclaim *own, const struct reclaim *found, struct err *err)
{
	int64_t now = clock_mono_ns();
	struct err said = *err;
	/* what was purged for it, and is gone, the storage may not have counted yet */
	bool lags = !found->b && own->b && own->measured;

	own->wants = false;
	if (!found->b && !own->b)
		return -ENOSPC;
	if (!own->until_ns)
		own->until_ns = now + PATIENCE_MS * INT64_C(1000000);
	if ((!found->b && !lags) || now >= own->until_ns)
		return err_set(err, -ENOSPC, "%.900s; purging what lies in the trash did not help",
			said.text);
	own->wants = true;
	own->purging = found->purging;
	if (found->b) {
		own->b = found->b;
		own->measured = found->measured;
	}
	return err_set(err, -EAGAIN, "%.900s; the trash is being purged for it: try again later",
		said.text);
}

bool reclaim_divert(struct request *q, struct reclaim *own, int code)
{
	if (code != -EAGAIN || !own->wants)
		return false;
	if (own->purging)
		reclaim_begin(own->b, own->purging);
	if (own->measured)
		backend_look_soon(own->b);
	return later_in_ms(q, own->tries++ ? MEASURE_MS : BEGIN_MS);
}
