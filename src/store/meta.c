/* Metadata of volumes. */
#include "store/internal.h"

#include "base/clock.h"

#include <errno.h>

void meta_row(sqlite3_stmt *st, struct meta_entry *ret)
{
	ret->id = sqlite3_column_int64(st, 0);
	ret->volume = sqlite3_column_int64(st, 1);
	col_text(st, 2, ret->key);
	col_text(st, 3, ret->value);
	ret->updated_us = sqlite3_column_int64(st, 4);
}

#define META "SELECT id, volume, key, value, updated_us FROM meta "

static int meta_end(struct view *v, sqlite3_stmt *st, int r, struct meta_entry *ret)
{
	if (r == 0) {
		meta_row(st, ret);
		conn_end(st);
	}
	return view_result(v, r);
}

int metas_from(struct conn *c, sqlite3_stmt **ret, int64_t volume)
{
	return conn_rows(c, ret, META "INDEXED BY meta_list WHERE volume >= ? ORDER BY volume, id",
		"i", volume);
}

int view_meta(struct view *v, int64_t id, struct meta_entry *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st, META "WHERE id = ?", "i", id);

	return meta_end(v, st, r, ret);
}

int view_meta_by_key(struct view *v, int64_t volume, const char *key, struct meta_entry *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st, META "WHERE volume = ? AND key = ?", "is", volume, key);

	return meta_end(v, st, r, ret);
}

int view_metas(struct view *v, int64_t volume, int64_t after, struct meta_entry *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(&v->conn, &st,
		META "INDEXED BY meta_list WHERE volume = ? AND id > ? ORDER BY id", "ii", volume,
		after);

	while (conn_take(&v->conn, st, n, &r))
		meta_row(st, &ret[r - 1]);
	return view_result(v, r);
}

int tx_meta_get(struct tx *tx, int64_t volume, const char *key, int64_t *ret_id,
	char ret_value[NAME_LEN + 1])
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st, "SELECT id, value FROM meta WHERE volume = ? AND key = ?",
		"is", volume, key);

	if (r < 0)
		return r;
	*ret_id = sqlite3_column_int64(st, 0);
	col_copy(st, 1, ret_value, NAME_LEN + 1);
	conn_end(st);
	return 0;
}

int tx_meta_find(struct tx *tx, int64_t volume, const char *key, int64_t *ret_id)
{
	char value[NAME_LEN + 1];

	return tx_meta_get(tx, volume, key, ret_id, value);
}

int tx_meta_set(struct tx *tx, int64_t volume, const char *key, const char *value, int64_t *ret_id)
{
	int64_t now = clock_wall_us();
	int r = tx_meta_find(tx, volume, key, ret_id);

	if (r == 0)
		r = conn_do(tx->conn, "UPDATE meta SET value = ?, updated_us = ? WHERE id = ?",
			"sii", value, now, *ret_id);
	else if (r == -ENOENT) {
		r = conn_do(tx->conn,
			"INSERT INTO meta (volume, key, value, updated_us) VALUES (?, ?, ?, ?)",
			"issi", volume, key, value, now);
		*ret_id = sqlite3_last_insert_rowid(tx->conn->db);
	}
	return r < 0 ? r : 0;
}

int tx_meta_rename(struct tx *tx, int64_t id, const char *key)
{
	int r = conn_do(tx->conn, "UPDATE meta SET key = ? WHERE id = ?", "si", key, id);

	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}

int tx_meta_remove(struct tx *tx, int64_t id)
{
	int r = conn_do(tx->conn, "DELETE FROM meta WHERE id = ?", "i", id);

	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}
