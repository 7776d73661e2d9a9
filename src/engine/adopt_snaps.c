/* Snapshots of an image that is adopted: first their rows, then their names in the storage; so a repetition knows which is which. */
#include "engine/compare.h"
#include "engine/internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct snap {
	struct driver_found_snap found;
	char uuid[UUID_LEN + 1]; /* first a fresh one, then its row's */
};

struct rows {
	struct request q;
	struct backend *b;
	const struct job_row *job;
	struct snap *snap; /* n of them; the worker's, which waits */
	size_t n;
};

/* Of an earlier try. */
static int find_row(
	struct tx *tx, int64_t volume, const struct driver_found_snap *f, struct snapshot *ret)
{
	int64_t after = 0;
	int n;

	while ((n = tx_snapshots(tx, volume, after, ret, 1)) > 0) {
		after = ret->id;
		if (!strcmp(ret->uuid, f->uuid) || !strcmp(ret->name, f->name) ||
			!strcmp(ret->description, f->name))
			return 0;
	}
	return n < 0 ? n : -ENOENT;
}

static int add_row(struct rows *c, struct tx *tx, struct snap *s)
{
	struct snapshot row = { .volume = c->job->volume,
		.status = SNAP_CREATING,
		.size = s->found.size,
		.created_us = s->found.created_us };
	struct snapshot other;
	struct err ignored;
	int r;

	if (s->found.uuid[0] && tx_snapshot_by_uuid(tx, s->found.uuid, &other) == -ENOENT)
		memcpy(s->uuid, s->found.uuid, sizeof s->uuid);
	memcpy(row.uuid, s->uuid, sizeof row.uuid);
	(void)snprintf(row.name, sizeof row.name, "%s", s->found.name);
	if (spec_name_check(row.name, row.uuid, &ignored) < 0) {
		(void)snprintf(row.name, sizeof row.name, "%s", row.uuid);
		(void)snprintf(row.description, sizeof row.description, "%s", s->found.name);
	}
	r = tx_snapshot_add(tx, &row);
	note(c->q.e,
		(struct change_note){ .kind = CHANGE_SNAP, .volume = row.volume, .row = row.id });
	return r;
}

static int rows_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct rows *c = (struct rows *)q;
	struct snapshot row;
	struct volume v;
	int r = tx_volume(tx, c->job->volume, &v);

	r = r < 0 ? r : tx_volume_place(tx, v.id, v.backend, v.zone, c->job->image_id);
	r = r < 0 || v.size == c->job->size ? r : tx_volume_resize(tx, v.id, c->job->size);
	for (size_t i = 0; i < c->n && r == 0; i++) {
		if (c->snap[i].found.temporary)
			continue;
		r = find_row(tx, v.id, &c->snap[i].found, &row);
		if (r == 0)
			memcpy(c->snap[i].uuid, row.uuid, sizeof c->snap[i].uuid);
		else if (r == -ENOENT)
			r = add_row(c, tx, &c->snap[i]);
	}
	return r;
}

static int make_rows(
	struct backend *b, const struct job_row *job, struct snap *snap, size_t n, struct err *err)
{
	struct rows *c = request_new(b->e, sizeof *c, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	c->b = b;
	c->job = job;
	c->snap = snap;
	c->n = n;
	c->q.apply = rows_apply;
	return request_wait(&c->q, NULL, err);
}

int adopt_snaps(struct backend *b, struct run *r)
{
	CLEANUP_FREE struct driver_found_snap *found = NULL;
	CLEANUP_FREE struct snap *snap = NULL;
	struct driver_image image;
	char name[NAME_LEN + 1];
	int n = 0, code;

	run_image(r, &image);
	(void)snprintf(name, sizeof name, "volume-%s", r->row.uuid);
	if (b->driver->snaps && b->driver->snap_adopt)
		n = all_snaps(b->driver, b->be, name, 0, &found, &r->err);
	snap = n < 0 ? NULL : calloc((size_t)n + 1, sizeof *snap);
	if (!snap)
		return n < 0 ? n : err_set(&r->err, -ENOMEM, "out of memory");
	for (int i = 0; i < n; i++) {
		snap[i].found = found[i];
		new_uuid(snap[i].uuid);
	}
	code = make_rows(b, &r->row, snap, (size_t)n, &r->err);
	for (int i = 0; i < n && code == 0; i++) {
		struct driver_snap to = { .temporary = false };

		memcpy(to.uuid, snap[i].uuid, sizeof to.uuid);
		if (!snap[i].found.temporary)
			code = b->driver->snap_adopt(
				b->be, &image, snap[i].found.name, &to, &r->err);
	}
	return code;
}

int adopt_snaps_end(struct engine *e, struct tx *tx, int64_t volume, bool adopted)
{
	struct snapshot s;
	int64_t after = 0;
	int n, r = 0;

	while (r == 0 && (n = tx_snapshots(tx, volume, after, &s, 1)) != 0) {
		if (n < 0)
			return n;
		after = s.id;
		r = adopted ? tx_snapshot_status(tx, s.id, SNAP_AVAILABLE, "")
			    : tx_snapshot_remove(tx, s.id);
		note(e, (struct change_note){ .kind = CHANGE_SNAP, .volume = volume, .row = s.id });
	}
	return r;
}
