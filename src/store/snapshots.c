/* Snapshots of volumes: rows of snapshots/. What they count for a quota is the triggers' business (schema.sql). */
#include "store/internal.h"

#include "base/clock.h"

void snapshot_row(sqlite3_stmt *st, struct snapshot *ret)
{
	ret->id = sqlite3_column_int64(st, 0);
	ret->volume = sqlite3_column_int64(st, 1);
	col_text(st, 2, ret->uuid);
	col_text(st, 3, ret->name);
	col_text(st, 4, ret->description);
	col_text(st, 5, ret->reason);
	ret->status = (enum snap_status)sqlite3_column_int(st, 6);
	ret->size = (uint64_t)sqlite3_column_int64(st, 7);
	ret->created_us = sqlite3_column_int64(st, 8);
	ret->updated_us = sqlite3_column_int64(st, 9);
}

#define SNAPSHOT                                                                                   \
	"SELECT id, volume, uuid, name, description, reason, status, size, created_us, "           \
	"updated_us FROM snapshot "

static int snapshot_end(sqlite3_stmt *st, int r, struct snapshot *ret)
{
	if (r == 0) {
		snapshot_row(st, ret);
		conn_end(st);
	}
	return r;
}

static int snapshot_get(struct conn *c, int64_t id, struct snapshot *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, SNAPSHOT "WHERE id = ?", "i", id);

	return snapshot_end(st, r, ret);
}

static int snapshot_by_name(struct conn *c, int64_t volume, const char *name, struct snapshot *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, SNAPSHOT "WHERE volume = ? AND name = ?", "is", volume, name);

	return snapshot_end(st, r, ret);
}

static int snapshot_by_uuid(struct conn *c, const char *uuid, struct snapshot *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, SNAPSHOT "WHERE uuid = ?", "s", uuid);

	return snapshot_end(st, r, ret);
}

int snapshots_from(struct conn *c, sqlite3_stmt **ret, int64_t volume)
{
	return conn_rows(c, ret,
		SNAPSHOT "INDEXED BY snapshot_list "
			 "WHERE volume >= ? AND name IS NOT NULL ORDER BY volume, id",
		"i", volume);
}

int view_snapshot(struct view *v, int64_t id, struct snapshot *ret)
{
	return view_result(v, snapshot_get(&v->conn, id, ret));
}

int view_snapshot_by_name(struct view *v, int64_t volume, const char *name, struct snapshot *ret)
{
	return view_result(v, snapshot_by_name(&v->conn, volume, name, ret));
}

int view_snapshot_by_uuid(struct view *v, const char *uuid, struct snapshot *ret)
{
	return view_result(v, snapshot_by_uuid(&v->conn, uuid, ret));
}

int view_snapshots(struct view *v, int64_t volume, int64_t after, struct snapshot *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(&v->conn, &st,
		SNAPSHOT "INDEXED BY snapshot_list "
			 "WHERE volume = ? AND id > ? AND name IS NOT NULL ORDER BY id",
		"ii", volume, after);

	while (conn_take(&v->conn, st, n, &r))
		snapshot_row(st, &ret[r - 1]);
	return view_result(v, r);
}

int view_snapshot_count(struct view *v, int64_t volume, uint64_t *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st,
		"SELECT count(*) FROM snapshot INDEXED BY snapshot_name "
		"WHERE volume = ? AND name IS NOT NULL",
		"i", volume);

	if (r == 0) {
		*ret = (uint64_t)sqlite3_column_int64(st, 0);
		conn_end(st);
	}
	return view_result(v, r);
}

int tx_snapshot(struct tx *tx, int64_t id, struct snapshot *ret)
{
	return snapshot_get(tx->conn, id, ret);
}

int tx_snapshot_by_name(struct tx *tx, int64_t volume, const char *name, struct snapshot *ret)
{
	return snapshot_by_name(tx->conn, volume, name, ret);
}

int tx_snapshot_by_uuid(struct tx *tx, const char *uuid, struct snapshot *ret)
{
	return snapshot_by_uuid(tx->conn, uuid, ret);
}

int tx_snapshot_latest(struct tx *tx, int64_t volume, struct snapshot *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		SNAPSHOT "INDEXED BY snapshot_list "
			 "WHERE volume = ? AND name IS NOT NULL ORDER BY id DESC LIMIT 1",
		"i", volume);

	return snapshot_end(st, r, ret);
}

int tx_snapshots(struct tx *tx, int64_t volume, int64_t after, struct snapshot *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(tx->conn, &st,
		SNAPSHOT "INDEXED BY snapshot_list WHERE volume = ? AND id > ? ORDER BY id", "ii",
		volume, after);

	while (conn_take(tx->conn, st, n, &r))
		snapshot_row(st, &ret[r - 1]);
	return r;
}

int tx_snapshot_sums(struct tx *tx, int64_t volume, uint64_t *ret_count, uint64_t *ret_size)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		"SELECT count(*), coalesce(sum(size), 0) FROM snapshot INDEXED BY snapshot_list "
		"WHERE volume = ? AND name IS NOT NULL",
		"i", volume);

	if (r < 0)
		return r;
	*ret_count = (uint64_t)sqlite3_column_int64(st, 0);
	*ret_size = (uint64_t)sqlite3_column_int64(st, 1);
	conn_end(st);
	return 0;
}

int tx_snapshot_add(struct tx *tx, struct snapshot *s)
{
	int64_t now = clock_wall_us(), created = s->created_us ? s->created_us : now;
	int r = changed(conn_do(tx->conn,
		"INSERT INTO snapshot (uuid, volume, name, status, size, project, type, description, "
		"reason, created_us, updated_us) "
		"SELECT ?, id, ?, ?, ?, project, type, ?, ?, ?, ? FROM volume WHERE id = ?",
		"seiieeiii", s->uuid, s->name, (int64_t)s->status, (int64_t)s->size, s->description,
		s->reason, created, now, s->volume));

	if (r < 0)
		return r;
	s->id = sqlite3_last_insert_rowid(tx->conn->db);
	s->created_us = created;
	s->updated_us = now;
	return 0;
}

int tx_snapshot_status(struct tx *tx, int64_t id, enum snap_status status, const char *reason)
{
	return changed(conn_do(tx->conn,
		"UPDATE snapshot SET status = ?, reason = ?, updated_us = ? WHERE id = ?", "ieii",
		(int64_t)status, reason, clock_wall_us(), id));
}

int tx_snapshot_rename(struct tx *tx, int64_t id, const char *name)
{
	return changed(
		conn_do(tx->conn, "UPDATE snapshot SET name = ?, updated_us = ? WHERE id = ?",
			"eii", name, clock_wall_us(), id));
}

int tx_snapshot_text(struct tx *tx, int64_t id, const char *description)
{
	return changed(conn_do(tx->conn,
		"UPDATE snapshot SET description = ?, updated_us = ? WHERE id = ?", "eii",
		description, clock_wall_us(), id));
}

int tx_snapshot_remove(struct tx *tx, int64_t id)
{
	return changed(conn_do(tx->conn, "DELETE FROM snapshot WHERE id = ?", "i", id));
}

/* After its volume has moved to another project: see the trigger. */
int snapshots_follow(struct tx *tx, int64_t volume, int64_t project)
{
	return conn_do(tx->conn,
		"UPDATE snapshot INDEXED BY snapshot_list SET project = ? "
		"WHERE volume = ? AND project <> ?",
		"iii", project, volume, project);
}

/* Before its volume goes: the sums of a type's row need that. */
int snapshots_purge(struct tx *tx, int64_t volume)
{
	return conn_do(tx->conn, "DELETE FROM snapshot WHERE volume = ?", "i", volume);
}
