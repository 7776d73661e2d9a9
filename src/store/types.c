/* Volume types, and what hangs on them: extra specs, QoS specs, access, whose default they are. */
#include "store/internal.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>

/* The columns of a struct vol_type, in the order of type_row(). */
#define TYPE                                                                                       \
	"SELECT t.id, t.uuid, t.name, t.description, t.public, t.is_default, t.consumer, "         \
	"t.created_us, t.updated_us FROM type t "

static void type_row(sqlite3_stmt *st, struct vol_type *ret)
{
	ret->id = sqlite3_column_int64(st, 0);
	col_text(st, 1, ret->uuid);
	col_text(st, 2, ret->name);
	col_text(st, 3, ret->description);
	ret->is_public = sqlite3_column_int(st, 4);
	ret->is_default = sqlite3_column_int(st, 5);
	ret->consumer = (enum qos_consumer)sqlite3_column_int(st, 6);
	ret->created_us = sqlite3_column_int64(st, 7);
	ret->updated_us = sqlite3_column_int64(st, 8);
}

static int type_end(sqlite3_stmt *st, int r, struct vol_type *ret)
{
	if (r < 0)
		return r;
	type_row(st, ret);
	conn_end(st);
	return 0;
}

static int type_get(struct conn *c, int64_t id, struct vol_type *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, TYPE "WHERE t.id = ?", "i", id);

	return type_end(st, r, ret);
}

/* What has the shape of an id is first taken for one. */
static int type_find(struct conn *c, const char *name, struct vol_type *ret)
{
	sqlite3_stmt *st;
	int r = -ENOENT;

	if (text_is_uuid(name))
		r = conn_row(c, &st, TYPE "WHERE t.uuid = ?", "s", name);
	if (r == -ENOENT)
		r = conn_row(c, &st, TYPE "WHERE t.name = ?", "s", name);
	return type_end(st, r, ret);
}

static int type_default(struct conn *c, const char *project, struct vol_type *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st,
		TYPE "JOIN type_entry e ON e.type = t.id WHERE e.list = 4 AND e.key = ?", "s",
		project);

	if (r == -ENOENT)
		r = conn_row(c, &st, TYPE "WHERE t.is_default = 1", "");
	return type_end(st, r, ret);
}

int view_type(struct view *v, int64_t id, struct vol_type *ret)
{
	return view_result(v, type_get(&v->conn, id, ret));
}

int view_type_find(struct view *v, const char *name, struct vol_type *ret)
{
	return view_result(v, type_find(&v->conn, name, ret));
}

int view_type_default(struct view *v, const char *project, struct vol_type *ret)
{
	return view_result(v, type_default(&v->conn, project, ret));
}

int view_types(struct view *v, int64_t after, struct vol_type *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(&v->conn, &st, TYPE "WHERE t.id > ? ORDER BY t.id", "i", after);

	while (conn_take(&v->conn, st, n, &r))
		type_row(st, &ret[r - 1]);
	return view_result(v, r);
}

int tx_type(struct tx *tx, int64_t id, struct vol_type *ret)
{
	return type_get(tx->conn, id, ret);
}

int tx_type_find(struct tx *tx, const char *name, struct vol_type *ret)
{
	return type_find(tx->conn, name, ret);
}

int tx_type_default(struct tx *tx, const char *project, struct vol_type *ret)
{
	return type_default(tx->conn, project, ret);
}

int tx_type_add(struct tx *tx, struct vol_type *t)
{
	int64_t class, quota;
	int r;

	t->created_us = t->updated_us = clock_wall_us();
	r = conn_do(tx->conn,
		"INSERT INTO type (uuid, name, description, public, consumer, created_us, updated_us) "
		"VALUES (?, ?, ?, ?, ?, ?, ?)",
		"sseiiii", t->uuid, t->name, t->description, (int64_t)t->is_public,
		(int64_t)t->consumer, t->created_us, t->updated_us);
	if (r < 0)
		return r;
	t->id = sqlite3_last_insert_rowid(tx->conn->db);
	r = tx_project(tx, "default", &class);
	return r < 0 ? r : tx_type_quota(tx, class, t->id, &quota);
}

int tx_type_rename(struct tx *tx, int64_t id, const char *name)
{
	return changed(conn_do(tx->conn, "UPDATE type SET name = ?, updated_us = ? WHERE id = ?",
		"sii", name, clock_wall_us(), id));
}

int tx_type_set(struct tx *tx, const struct vol_type *t)
{
	return changed(conn_do(tx->conn,
		"UPDATE type SET description = ?, public = ?, consumer = ?, updated_us = ? WHERE id = ?",
		"eiiii", t->description, (int64_t)t->is_public, (int64_t)t->consumer,
		clock_wall_us(), t->id));
}

int tx_type_make_default(struct tx *tx, int64_t id)
{
	int r = conn_do(tx->conn, "UPDATE type SET is_default = 0 WHERE is_default = 1", "");

	if (r < 0 || !id)
		return r < 0 ? r : 0;
	return changed(conn_do(tx->conn, "UPDATE type SET is_default = 1 WHERE id = ?", "i", id));
}

int tx_type_remove(struct tx *tx, int64_t id)
{
	int r = conn_do(tx->conn, "DELETE FROM type_entry WHERE type = ?", "i", id);

	r = r < 0 ? r : conn_do(tx->conn, "DELETE FROM type_quota WHERE type = ?", "i", id);
	return r < 0 ? r : changed(conn_do(tx->conn, "DELETE FROM type WHERE id = ?", "i", id));
}

int tx_type_uses(struct tx *tx, int64_t id, int64_t *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		"SELECT coalesce(sum(in_use), 0) FROM type_quota WHERE type = ?", "i", id);

	return id_of(st, r, ret);
}

/* --- what hangs on a type --- */

#define TYPE_ENTRY "SELECT id, type, list, key, value, updated_us FROM type_entry "

static void type_entry_row(sqlite3_stmt *st, struct type_entry *ret)
{
	ret->id = sqlite3_column_int64(st, 0);
	ret->type = sqlite3_column_int64(st, 1);
	ret->list = (enum type_list)sqlite3_column_int(st, 2);
	col_text(st, 3, ret->key);
	col_text(st, 4, ret->value);
	ret->updated_us = sqlite3_column_int64(st, 5);
}

static int type_entry_end(sqlite3_stmt *st, int r, struct type_entry *ret)
{
	if (r < 0)
		return r;
	type_entry_row(st, ret);
	conn_end(st);
	return 0;
}

static int type_entry_by_key(
	struct conn *c, int64_t type, enum type_list list, const char *key, struct type_entry *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, TYPE_ENTRY "WHERE type = ? AND list = ? AND key = ?", "iis", type,
		(int64_t)list, key);

	return type_entry_end(st, r, ret);
}

static int type_entries(struct conn *c, int64_t type, enum type_list list, int64_t after,
	struct type_entry *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(c, &st,
		TYPE_ENTRY "INDEXED BY type_entry_list WHERE type = ? AND list = ? AND id > ? "
			   "ORDER BY id",
		"iii", type, (int64_t)list, after);

	while (conn_take(c, st, n, &r))
		type_entry_row(st, &ret[r - 1]);
	return r;
}

int view_type_entry(struct view *v, int64_t id, struct type_entry *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st, TYPE_ENTRY "WHERE id = ?", "i", id);

	return view_result(v, type_entry_end(st, r, ret));
}

int view_type_entry_by_key(
	struct view *v, int64_t type, enum type_list list, const char *key, struct type_entry *ret)
{
	return view_result(v, type_entry_by_key(&v->conn, type, list, key, ret));
}

int view_type_entries(struct view *v, int64_t type, enum type_list list, int64_t after,
	struct type_entry *ret, size_t n)
{
	return view_result(v, type_entries(&v->conn, type, list, after, ret, n));
}

int tx_type_entry(
	struct tx *tx, int64_t type, enum type_list list, const char *key, struct type_entry *ret)
{
	return type_entry_by_key(tx->conn, type, list, key, ret);
}

int tx_type_entries(struct tx *tx, int64_t type, enum type_list list, int64_t after,
	struct type_entry *ret, size_t n)
{
	return type_entries(tx->conn, type, list, after, ret, n);
}

int tx_type_entry_set(struct tx *tx, int64_t type, enum type_list list, const char *key,
	const char *value, int64_t *ret_id)
{
	struct type_entry had;
	int64_t now = clock_wall_us();
	int r;

	if (list == TYPE_DEFAULT_FOR) {
		r = conn_do(tx->conn,
			"DELETE FROM type_entry WHERE list = 4 AND key = ? AND type <> ?", "si",
			key, type);
		if (r < 0)
			return r;
	}
	r = tx_type_entry(tx, type, list, key, &had);
	if (r == 0) {
		*ret_id = had.id;
		r = conn_do(tx->conn,
			"UPDATE type_entry SET value = ?, updated_us = ? WHERE id = ?", "sii",
			value, now, had.id);
	} else if (r == -ENOENT) {
		r = conn_do(tx->conn,
			"INSERT INTO type_entry (type, list, key, value, updated_us) "
			"VALUES (?, ?, ?, ?, ?)",
			"iissi", type, (int64_t)list, key, value, now);
		*ret_id = sqlite3_last_insert_rowid(tx->conn->db);
	}
	return r < 0 ? r : 0;
}

int tx_type_entry_rename(struct tx *tx, int64_t id, const char *key)
{
	return changed(
		conn_do(tx->conn, "UPDATE type_entry SET key = ? WHERE id = ?", "si", key, id));
}

int tx_type_entry_remove(struct tx *tx, int64_t id)
{
	return changed(conn_do(tx->conn, "DELETE FROM type_entry WHERE id = ?", "i", id));
}
