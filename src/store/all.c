/*
 * Walks over volumes with all that hangs on them. Most volumes have no metadata, no snapshots and nobody who uses them: so these are not
 * asked for volume by volume, but read beside the volumes, each list in order of volume and by one query. Only where volumes are
 * picked from among others' is what hangs on the others not read but skipped.
 */
#include "store/internal.h"

#include <errno.h>
#include <stdlib.h>

/* In order of enum walk_side. */
static int (*const side_from[WALK_SIDES])(struct conn *, sqlite3_stmt **, int64_t) = {
	metas_from,
	uses_from,
	snapshots_from,
};

static void end_sides(struct walk *w)
{
	for (int i = 0; i < WALK_SIDES; i++) {
		if (w->side[i].st)
			conn_end(w->side[i].st);
		w->side[i] = (struct side){ 0 };
	}
}

/* Its next row, or its end. */
static int side_step(struct view *v, struct side *s)
{
	int r = conn_next(&v->conn, s->st);

	s->taken = false;
	s->volume = r > 0 ? sqlite3_column_int64(s->st, 1) : INT64_MAX;
	if (r <= 0)
		s->st = NULL;
	return r;
}

/* 1: at a row of the walk's volume that was not taken before; 0: there is none. */
static int side_take(struct view *v, enum walk_side which)
{
	struct side *s = &v->walk.side[which];
	int r = 0;

	if (s->volume == 0)
		r = side_from[which](&v->conn, &s->st, v->walk.volume);
	while (r >= 0 && s->st && (s->taken || s->volume < v->walk.volume))
		r = side_step(v, s);
	if (r < 0)
		return view_result(v, r);
	s->taken = s->st && s->volume == v->walk.volume;
	return s->taken;
}

int view_walk_meta(struct view *v, struct meta_entry *ret)
{
	int r = side_take(v, WALK_METAS);

	if (r > 0)
		meta_row(v->walk.side[WALK_METAS].st, ret);
	return r;
}

int view_walk_use(struct view *v, struct use *ret)
{
	int r = side_take(v, WALK_USES);

	if (r > 0)
		use_row(v->walk.side[WALK_USES].st, ret);
	return r;
}

int view_walk_snapshot(struct view *v, struct snapshot *ret)
{
	int r = side_take(v, WALK_SNAPSHOTS);

	if (r > 0)
		snapshot_row(v->walk.side[WALK_SNAPSHOTS].st, ret);
	return r;
}

/* --- volumes --- */

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int ids_of(struct view *v, int64_t project, int64_t after, int64_t *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(&v->conn, &st,
		"SELECT id FROM volume INDEXED BY volume_by_project "
		"WHERE project = ? AND trashed = 0 AND id > ? ORDER BY id LIMIT ?",
		"iii", project, after, (int64_t)n);

	while (conn_take(&v->conn, st, n, &r))
		ret[r - 1] = sqlite3_column_int64(st, 0);
	return r;
}

/* The first n of each project hold the first n of them all. */
static int more_ids(struct view *v)
{
	struct walk *w = &v->walk;
	size_t n = w->who.count ? WALK_IDS / w->who.count : 0;

	w->count = w->next = 0;
	for (size_t i = 0; i < w->who.count; i++) {
		int got = ids_of(v, w->who.project[i], w->volume, w->id + w->count, n);

		if (got < 0)
			return got;
		w->count += (size_t)got;
	}
	qsort(w->id, w->count, sizeof *w->id, by_number);
	if (w->count > n)
		w->count = n;
	return (int)w->count;
}

static int picked_volume(struct view *v, struct volume *ret)
{
	struct walk *w = &v->walk;
	int r = 1;

	if (w->next == w->count)
		r = w->one ? 0 : more_ids(v);
	if (r <= 0)
		return r;
	end_sides(w);
	w->volume = w->id[w->next++];
	r = volume_get(&v->conn, w->volume, ret);
	return r == 0 ? 1 : r == -ENOENT ? 0 : r; /* as a single one may */
}

int view_walk_volume(struct view *v, struct volume *ret)
{
	struct walk *w = &v->walk;
	int r;

	if (!w->who.all)
		return view_result(v, picked_volume(v, ret));
	if (!w->volumes)
		return 0;
	r = conn_next(&v->conn, w->volumes);
	if (r <= 0) {
		w->volumes = NULL;
		return view_result(v, r);
	}
	volume_row(w->volumes, ret);
	w->volume = ret->id;
	return 1;
}

/* --- a walk --- */

static int begin(struct view *v)
{
	int r = conn_do(&v->conn, "BEGIN", "");

	return r < 0 ? r : 0;
}

int view_walk(struct view *v, const struct log_reader *who, int64_t after)
{
	struct walk *w = &v->walk;
	int r = begin(v);

	w->who = *who;
	w->volume = after;
	if (r == 0 && who->all)
		r = volumes_after(&v->conn, &w->volumes, after);
	return view_result(v, r);
}

int view_walk_one(struct view *v, int64_t id)
{
	struct walk *w = &v->walk;

	w->one = true;
	w->id[0] = id;
	w->count = 1;
	return view_result(v, begin(v));
}

void view_walk_end(struct view *v)
{
	struct walk *w = &v->walk;

	end_sides(w);
	if (w->volumes)
		conn_end(w->volumes);
	w->volumes = NULL;
	w->one = false;
	w->who.all = false;
	w->who.count = w->count = w->next = 0;
	v->conn.lost = 0;
	if (!sqlite3_get_autocommit(v->conn.db))
		(void)view_result(v, conn_do(&v->conn, "COMMIT", ""));
}
