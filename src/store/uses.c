/* Who uses a volume: rows of attachments/. */
#include "store/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>

void use_row(sqlite3_stmt *st, struct use *ret)
{
	ret->id = sqlite3_column_int64(st, 0);
	ret->volume = sqlite3_column_int64(st, 1);
	ret->kind = (enum use_kind)sqlite3_column_int(st, 2);
	col_text(st, 3, ret->name);
	col_text(st, 4, ret->host);
	ret->writes = sqlite3_column_int(st, 5);
	ret->uid = (uid_t)sqlite3_column_int64(st, 6);
	ret->gid = (gid_t)sqlite3_column_int64(st, 7);
	ret->pid = (pid_t)sqlite3_column_int64(st, 8);
	ret->handle = (uint64_t)sqlite3_column_int64(st, 9);
	ret->since_us = sqlite3_column_int64(st, 10);
}

#define USE                                                                                        \
	"SELECT id, volume, kind, name, host, writes, uid, gid, pid, handle, since_us "            \
	"FROM attachment "

static int use_end(sqlite3_stmt *st, int r, struct use *ret)
{
	if (r == 0) {
		use_row(st, ret);
		conn_end(st);
	}
	return r;
}

static int use_get(struct conn *c, int64_t id, struct use *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, USE "WHERE id = ?", "i", id);

	return use_end(st, r, ret);
}

static int use_by_name(struct conn *c, int64_t volume, const char *name, struct use *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, USE "WHERE volume = ? AND name = ?", "is", volume, name);

	return use_end(st, r, ret);
}

static int uses_list(struct conn *c, int64_t volume, int64_t after, struct use *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(c, &st,
		USE "INDEXED BY attachment_list WHERE volume = ? AND id > ? ORDER BY id", "ii",
		volume, after);

	while (conn_take(c, st, n, &r))
		use_row(st, &ret[r - 1]);
	return r;
}

int uses_from(struct conn *c, sqlite3_stmt **ret, int64_t volume)
{
	return conn_rows(c, ret,
		USE "INDEXED BY attachment_list WHERE volume >= ? ORDER BY volume, id", "i",
		volume);
}

int view_use(struct view *v, int64_t id, struct use *ret)
{
	return view_result(v, use_get(&v->conn, id, ret));
}

int view_use_by_name(struct view *v, int64_t volume, const char *name, struct use *ret)
{
	return view_result(v, use_by_name(&v->conn, volume, name, ret));
}

int view_uses(struct view *v, int64_t volume, int64_t after, struct use *ret, size_t n)
{
	return view_result(v, uses_list(&v->conn, volume, after, ret, n));
}

int tx_use(struct tx *tx, int64_t id, struct use *ret)
{
	return use_get(tx->conn, id, ret);
}

int tx_use_by_name(struct tx *tx, int64_t volume, const char *name, struct use *ret)
{
	return use_by_name(tx->conn, volume, name, ret);
}

int tx_uses(struct tx *tx, int64_t volume, int64_t after, struct use *ret, size_t n)
{
	return uses_list(tx->conn, volume, after, ret, n);
}

int tx_use_open(struct tx *tx, uint64_t handle, struct use *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st, USE "WHERE handle = ? AND kind = 2", "i", (int64_t)handle);

	return use_end(st, r, ret);
}

int tx_opens(struct tx *tx, int64_t after, struct use *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(tx->conn, &st, USE "WHERE kind = 2 AND id > ? ORDER BY id", "i", after);

	while (conn_take(tx->conn, st, n, &r))
		use_row(st, &ret[r - 1]);
	return r;
}

int tx_use_holder(struct tx *tx, int64_t volume, bool holds, struct use *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		USE "WHERE volume = ? AND (kind = 1 OR (kind = 2 AND writes >= ?)) "
		    "ORDER BY kind, writes DESC, id LIMIT 1",
		"ii", volume, (int64_t)holds);

	return use_end(st, r, ret);
}

static int name_open(struct tx *tx, struct use *u)
{
	int r;

	(void)snprintf(u->name, sizeof u->name, "open:%lld", (long long)u->id);
	r = conn_do(tx->conn, "UPDATE attachment SET name = ? WHERE id = ?", "si", u->name, u->id);
	return r < 0 ? r : 0;
}

int tx_use_add(struct tx *tx, struct use *u)
{
	int r;

	u->since_us = clock_wall_us();
	r = conn_do(tx->conn,
		"INSERT INTO attachment (volume, kind, name, host, writes, uid, gid, pid, handle, "
		"since_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"iissiiiiii", u->volume, (int64_t)u->kind, u->kind == USE_OPEN ? "open:" : u->name,
		u->host, (int64_t)u->writes, (int64_t)u->uid, (int64_t)u->gid, (int64_t)u->pid,
		(int64_t)u->handle, u->since_us);
	if (r < 0)
		return r;
	u->id = sqlite3_last_insert_rowid(tx->conn->db);
	return u->kind == USE_OPEN ? name_open(tx, u) : 0;
}

int tx_use_set(struct tx *tx, const struct use *u)
{
	int r = conn_do(tx->conn, "UPDATE attachment SET host = ?, writes = ? WHERE id = ?", "sii",
		u->host, (int64_t)u->writes, u->id);

	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}

int tx_use_remove(struct tx *tx, int64_t id)
{
	int r = conn_do(tx->conn, "DELETE FROM attachment WHERE id = ?", "i", id);

	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}
