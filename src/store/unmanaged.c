/* Images that were seen on a backend and are no volume's: rows of unmanaged/. */
#include "store/internal.h"

#include "base/clock.h"

#include <errno.h>

static void unmanaged_row(sqlite3_stmt *st, struct unmanaged *ret)
{
	ret->id = sqlite3_column_int64(st, 0);
	ret->backend = sqlite3_column_int64(st, 1);
	col_text(st, 2, ret->name);
	ret->size = (uint64_t)sqlite3_column_int64(st, 3);
	ret->used = (uint64_t)sqlite3_column_int64(st, 4);
	ret->snapshots = (unsigned)sqlite3_column_int64(st, 5);
	col_text(st, 6, ret->reason);
	ret->seen_us = sqlite3_column_int64(st, 7);
}

#define UNMANAGED "SELECT id, backend, name, size, used, snapshots, reason, seen_us FROM unmanaged "

static int unmanaged_end(sqlite3_stmt *st, int r, struct unmanaged *ret)
{
	if (r == 0) {
		unmanaged_row(st, ret);
		conn_end(st);
	}
	return r;
}

static int unmanaged_get(struct conn *c, int64_t id, struct unmanaged *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, UNMANAGED "WHERE id = ?", "i", id);

	return unmanaged_end(st, r, ret);
}

static int unmanaged_by_name(
	struct conn *c, int64_t backend, const char *name, struct unmanaged *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, UNMANAGED "WHERE backend = ? AND name = ?", "is", backend, name);

	return unmanaged_end(st, r, ret);
}

int view_unmanaged(struct view *v, int64_t id, struct unmanaged *ret)
{
	return view_result(v, unmanaged_get(&v->conn, id, ret));
}

int view_unmanaged_by_name(struct view *v, int64_t backend, const char *name, struct unmanaged *ret)
{
	return view_result(v, unmanaged_by_name(&v->conn, backend, name, ret));
}

int view_unmanageds(struct view *v, int64_t backend, int64_t after, struct unmanaged *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(&v->conn, &st,
		UNMANAGED "INDEXED BY unmanaged_list WHERE backend = ? AND id > ? ORDER BY id",
		"ii", backend, after);

	while (conn_take(&v->conn, st, n, &r))
		unmanaged_row(st, &ret[r - 1]);
	return view_result(v, r);
}

int tx_unmanaged(struct tx *tx, int64_t id, struct unmanaged *ret)
{
	return unmanaged_get(tx->conn, id, ret);
}

int tx_unmanaged_by_name(struct tx *tx, int64_t backend, const char *name, struct unmanaged *ret)
{
	return unmanaged_by_name(tx->conn, backend, name, ret);
}

int tx_unmanaged_see(struct tx *tx, struct unmanaged *u)
{
	struct unmanaged old;
	int r = unmanaged_by_name(tx->conn, u->backend, u->name, &old);

	u->seen_us = clock_wall_us();
	if (r == 0) {
		u->id = old.id;
		r = conn_do(tx->conn,
			"UPDATE unmanaged SET size = ?, used = ?, snapshots = ?, reason = ?, seen_us = ? "
			"WHERE id = ?",
			"iiieii", (int64_t)u->size, (int64_t)u->used, (int64_t)u->snapshots,
			u->reason, u->seen_us, u->id);
	} else if (r == -ENOENT) {
		r = conn_do(tx->conn,
			"INSERT INTO unmanaged (backend, name, size, used, snapshots, reason, seen_us) "
			"VALUES (?, ?, ?, ?, ?, ?, ?)",
			"isiiiei", u->backend, u->name, (int64_t)u->size, (int64_t)u->used,
			(int64_t)u->snapshots, u->reason, u->seen_us);
		u->id = sqlite3_last_insert_rowid(tx->conn->db);
	}
	return r < 0 ? r : 0;
}

int tx_unmanaged_remove(struct tx *tx, int64_t id)
{
	int r = conn_do(tx->conn, "DELETE FROM unmanaged WHERE id = ?", "i", id);

	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}

int tx_unmanaged_unseen(struct tx *tx, int64_t backend, int64_t before_us)
{
	return conn_do(tx->conn,
		"DELETE FROM unmanaged WHERE backend = ? AND seen_us < ? AND NOT EXISTS "
		"(SELECT 1 FROM job INDEXED BY job_image WHERE job.backend = unmanaged.backend "
		"AND job.image = unmanaged.name AND job.kind IN (8, 9))",
		"ii", backend, before_us);
}
