/* Volumes in the trash whose purge has not begun: they have expires_us. Their sums are the triggers' business (schema.sql). */
#include "store/internal.h"

int tx_trash_expired(struct tx *tx, int64_t now_us, int64_t *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(tx->conn, &st,
		"SELECT id FROM volume INDEXED BY volume_expires "
		"WHERE expires_us <= ? ORDER BY expires_us, id",
		"i", now_us);

	while (conn_take(tx->conn, st, n, &r))
		ret[r - 1] = sqlite3_column_int64(st, 0);
	return r;
}

int view_trash_next(struct view *v, int64_t *ret_us)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st,
		"SELECT expires_us FROM volume INDEXED BY volume_expires "
		"WHERE expires_us IS NOT NULL ORDER BY expires_us LIMIT 1",
		"");

	return view_result(v, id_of(st, r, ret_us));
}

/* The delay is one for all, so that who expires first was deleted first. */
static int next(sqlite3_stmt *st, int r, struct trashed *at)
{
	if (r < 0)
		return r;
	at->expires_us = sqlite3_column_int64(st, 0);
	at->id = sqlite3_column_int64(st, 1);
	at->size = (uint64_t)sqlite3_column_int64(st, 2);
	conn_end(st);
	return 0;
}

int tx_trash_of(struct tx *tx, int64_t project, int64_t type, struct trashed *at)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		"SELECT expires_us, id, size FROM volume INDEXED BY volume_expires_project "
		"WHERE project = ? AND (expires_us, id) > (?, ?) AND expires_us IS NOT NULL "
		"AND ? IN (0, type) ORDER BY expires_us, id LIMIT 1",
		"iiii", project, at->expires_us, at->id, type);

	return next(st, r, at);
}

int tx_trash_on(struct tx *tx, int64_t backend, struct trashed *at)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		"SELECT expires_us, id, size FROM volume INDEXED BY volume_expires_backend "
		"WHERE backend = ? AND (expires_us, id) > (?, ?) AND expires_us IS NOT NULL "
		"ORDER BY expires_us, id LIMIT 1",
		"iii", backend, at->expires_us, at->id);

	return next(st, r, at);
}

int tx_trash_waiting(struct tx *tx, int64_t project, int64_t type, uint64_t *ret)
{
	sqlite3_stmt *st;
	int r;

	if (type)
		r = conn_row(tx->conn, &st,
			"SELECT trash_waiting FROM type_quota WHERE project = ? AND type = ?", "ii",
			project, type);
	else
		r = conn_row(tx->conn, &st, "SELECT trash_waiting FROM project WHERE id = ?", "i",
			project);
	if (r < 0)
		return r;
	*ret = (uint64_t)sqlite3_column_int64(st, 0);
	conn_end(st);
	return 0;
}
