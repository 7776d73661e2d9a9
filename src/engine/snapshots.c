/* What several ask of a volume's snapshots, or do to one. */
#include "engine/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int snapshots_check(struct tx *tx, const struct volume *v, struct err *err)
{
	uint64_t n, size;
	int r = tx_snapshot_sums(tx, v->id, &n, &size);

	if (r < 0 || !n)
		return r;
	return err_set(err, -ENOTEMPTY, "volume '%s' has %" PRIu64 " snapshot%s: remove %s first",
		v->name, n, n == 1 ? "" : "s", n == 1 ? "it" : "them");
}

/* What a snapshot's row says of its size must be true of it. */
int snapshots_rest(struct tx *tx, const struct volume *v, struct err *err)
{
	struct snapshot s[4];
	int64_t after = 0;
	int n;

	while ((n = tx_snapshots(tx, v->id, after, s, 4)) > 0)
		for (int i = 0; i < n; i++) {
			after = s[i].id;
			if (s[i].status == SNAP_CREATING)
				return err_set(err, -EBUSY,
					"snapshot '%s' of volume '%s' is being taken", s[i].name,
					v->name);
		}
	return n;
}

void snapshot_note(struct engine *e, const struct volume *v, int64_t snapshot)
{
	note(e, (struct change_note){ .kind = CHANGE_SNAP,
			.volume = v->id,
			.row = snapshot,
			.status = v->status,
			.trashed = v->trashed });
}

int snapshot_note_quota(struct engine *e, struct tx *tx, const struct volume *v)
{
	int64_t project;
	int r = tx_project(tx, v->project, &project);

	if (r == 0)
		note_quota(e, project);
	return r;
}

int snapshot_nameless(struct request *q, struct tx *tx, const struct volume *v,
	const struct snapshot *s, struct job_row *job)
{
	int r;

	memcpy(job->image, s->name, sizeof job->image);
	r = tx_job_turn(tx, job);
	r = r < 0 ? r : tx_snapshot_rename(tx, s->id, "");
	r = r < 0 ? r : tx_snapshot_status(tx, s->id, SNAP_DELETING, "");
	snapshot_note(q->e, v, s->id);
	return r < 0 ? r : snapshot_note_quota(q->e, tx, v);
}

int snapshot_answered(struct tx *tx, const struct job_row *job)
{
	struct answer a = { .row = job->snapshot };

	if (sscanf(job->tried, "%" SCNu64 " %" SCNu64, &a.mount, &a.unique) != 2)
		return 0;
	return tx_answer_add(tx, &a);
}

void snapshot_of_run(const struct run *r, struct driver_image *image, struct driver_snap *snap)
{
	*image = (struct driver_image){ .size = r->snap.size };
	memcpy(image->uuid, r->row.uuid, sizeof image->uuid);
	memcpy(image->image_id, r->row.image_id, sizeof image->image_id);
	*snap = (struct driver_snap){ 0 };
	memcpy(snap->uuid, r->snap.uuid, sizeof snap->uuid);
}

int snapshot_remove_image(struct backend *b, struct run *r)
{
	struct driver_image image;
	struct driver_snap snap;

	snapshot_of_run(r, &image, &snap);
	r->again = b->e->let_go && b->e->let_go(b->e->let_go_arg, b->be, snap.uuid) < 0;
	if (r->again)
		return err_set(&r->err, -EBUSY, "its bytes are still read here");
	return driver_said(b, b->driver->snap_remove(b->be, &image, &snap, &r->err), &r->err);
}
