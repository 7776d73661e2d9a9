/* What .volfs/summary shows: counts by status, and a line for each volume. */
#include "store/internal.h"

#include <errno.h>

int view_status_counts(struct view *v, struct status_counts *ret)
{
	sqlite3_stmt *st;
	int r = conn_rows(
		&v->conn, &st, "SELECT trashed, status, volumes, size FROM volume_count", "");

	*ret = (struct status_counts){ 0 };
	while (r >= 0 && (r = conn_next(&v->conn, st)) > 0) {
		unsigned trashed = (unsigned)sqlite3_column_int(st, 0);
		unsigned status = (unsigned)sqlite3_column_int(st, 1);

		if (trashed > 1 || status >= VOL_STATUS_COUNT)
			continue;
		ret->volumes[trashed][status] += (uint64_t)sqlite3_column_int64(st, 2);
		ret->size[trashed][status] += (uint64_t)sqlite3_column_int64(st, 3);
	}
	return view_result(v, r);
}

#define SUMMARY(from)                                                                              \
	"SELECT v.id, v.name, v.uuid, t.name, b.name, v.status, v.size, v.used, v.created_us "     \
	"FROM volume v " from " LEFT JOIN type t ON t.id = v.type "                                \
	"LEFT JOIN backend b ON b.id = v.backend "

static void summary_row(sqlite3_stmt *st, struct vol_summary *ret)
{
	ret->id = sqlite3_column_int64(st, 0);
	col_text(st, sqlite3_column_type(st, 1) == SQLITE_NULL ? 2 : 1, ret->name);
	col_text(st, 3, ret->type);
	col_text(st, 4, ret->backend);
	ret->status = (enum vol_status)sqlite3_column_int(st, 5);
	ret->size = (uint64_t)sqlite3_column_int64(st, 6);
	ret->used = (uint64_t)sqlite3_column_int64(st, 7);
	ret->created_us = sqlite3_column_int64(st, 8);
}

int view_summary(struct view *v, int64_t project, int64_t after, struct vol_summary *ret, size_t n)
{
	sqlite3_stmt *st;
	size_t i = 0;
	int r;

	if (project)
		r = conn_rows(&v->conn, &st,
			SUMMARY("INDEXED BY volume_by_project") "WHERE v.trashed = 0 AND v.project = ? "
								"AND v.id > ? ORDER BY v.id",
			"ii", project, after);
	else
		r = conn_rows(&v->conn, &st,
			SUMMARY("") "WHERE +v.trashed = 0 AND v.id > ? ORDER BY v.id", "i", after);
	if (r < 0)
		return view_result(v, r);
	for (; i < n; i++) {
		r = conn_next(&v->conn, st);
		if (r <= 0)
			return r < 0 ? view_result(v, r) : (int)i;
		summary_row(st, &ret[i]);
	}
	conn_end(st);
	return (int)i;
}
