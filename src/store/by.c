/*
 * .volfs/by/: the keys of each view, and the volumes of each key. A listing walks the view's own index, which is in order of rows within a
 * key, from any row on: nothing is sorted, and nothing else is read. Only those alive are in these indexes.
 */
#include "store/internal.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- keys: rows of small tables; statuses are words of ours --- */

#define KEY(table, used) "SELECT id, name, " used " FROM " table " k "
#define USED(view, column)                                                                         \
	"EXISTS (SELECT 1 FROM volume INDEXED BY volume_by_" view " WHERE trashed = 0 AND " column \
	")"
#define KEYS(table, used, if)                                                                      \
	{                                                                                          \
		KEY(table, used)                                                                   \
		"WHERE id = ?" if, KEY(table, used) "WHERE name = ?" if,                           \
			KEY(table, used) "WHERE id > ?" if " ORDER BY id",                         \
	}

static const struct {
	const char *by_id, *by_name, *list;
} keys[BY_COUNT] = {
	[BY_TYPE] = KEYS("type", "1", ""),
	[BY_BACKEND] = KEYS("backend", USED("backend", "backend = k.id"), ""),
	/* The row `default` is there for its limits; it is a project if there is a group of that name. */
	[BY_PROJECT] = KEYS("project", "1", " AND (volumes > 0 OR name <> 'default')"),
	[BY_ZONE] = KEYS("zone", USED("zone", "zone = k.name"), ""),
};

static void key_row(sqlite3_stmt *st, struct vol_key *ret)
{
	ret->id = sqlite3_column_int64(st, 0);
	col_text(st, 1, ret->name);
	ret->used = sqlite3_column_int(st, 2);
}

static int key_end(struct view *v, sqlite3_stmt *st, int r, struct vol_key *ret)
{
	if (r == 0) {
		key_row(st, ret);
		conn_end(st);
	}
	return view_result(v, r);
}

static int status_key(int64_t status, struct vol_key *ret)
{
	if (status < 0 || status >= VOL_STATUS_COUNT)
		return -ENOENT;
	*ret = (struct vol_key){ .id = status, .used = true };
	(void)snprintf(ret->name, sizeof ret->name, "%s", vol_status_name((enum vol_status)status));
	return 0;
}

int view_by_key(struct view *v, enum vol_by by, int64_t id, struct vol_key *ret)
{
	sqlite3_stmt *st;
	int r;

	if (by == BY_STATUS)
		return status_key(id, ret);
	if (!keys[by].by_id)
		return -ENOENT;
	r = conn_row(&v->conn, &st, keys[by].by_id, "i", id);
	return key_end(v, st, r, ret);
}

int view_by_key_find(struct view *v, enum vol_by by, const char *name, struct vol_key *ret)
{
	enum vol_status status;
	sqlite3_stmt *st;
	int r;

	if (by == BY_STATUS) {
		r = vol_status_find(name, &status);
		return r < 0 ? r : status_key(status, ret);
	}
	if (!keys[by].by_name)
		return -ENOENT;
	r = conn_row(&v->conn, &st, keys[by].by_name, "s", name);
	return key_end(v, st, r, ret);
}

int view_by_keys(struct view *v, enum vol_by by, int64_t after, struct vol_key *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = 0;

	if (by == BY_STATUS) {
		while ((size_t)r < n && status_key(after + 1 + r, &ret[r]) == 0)
			r++;
		return r;
	}
	if (!keys[by].list)
		return 0;
	r = conn_rows(&v->conn, &st, keys[by].list, "i", after);
	while (conn_take(&v->conn, st, n, &r))
		key_row(st, &ret[r - 1]);
	return view_result(v, r);
}

int tx_zone(struct tx *tx, const char *name)
{
	int r = conn_do(tx->conn, "INSERT OR IGNORE INTO zone (name) VALUES (?)", "s", name);

	return r < 0 ? r : 0;
}

/* --- volumes --- */

/* The columns of a struct vol_link, in the order of link_row(). */
#define LINK "v.id, v.name, v.uuid, v.updated_us"

static void link_row(sqlite3_stmt *st, struct vol_link *ret)
{
	bool named = sqlite3_column_type(st, 1) != SQLITE_NULL;

	ret->id = sqlite3_column_int64(st, 0);
	col_text(st, named ? 1 : 2, ret->name);
	col_text(st, 2, ret->uuid);
	ret->updated_us = sqlite3_column_int64(st, 3);
}

/* What follows LINK: the number of its key in each view, in the order of enum vol_by. */
#define FIND                                                                                       \
	"SELECT " LINK ", 0, v.status, v.type, v.backend, v.project, z.id FROM volume v "          \
	"LEFT JOIN zone z ON z.name = v.zone WHERE v.trashed = 0 AND "
enum { FIND_KEYS = 4 };

int view_by_find(
	struct view *v, enum vol_by by, int64_t key, const char *name, struct vol_link *ret)
{
	sqlite3_stmt *st;
	int r;

	if (by == BY_ID)
		r = conn_row(&v->conn, &st, FIND "v.uuid = ?", "s", name);
	else if (text_is_uuid(name))
		r = conn_row(&v->conn, &st, FIND "v.uuid = ? AND v.name IS NULL", "s", name);
	else
		r = conn_row(&v->conn, &st, FIND "v.name = ?", "s", name);
	if (r < 0)
		return view_result(v, r);
	/* What has no type, for example, is nowhere in BY_TYPE: its NULL reads as 0, which is no row. */
	if (sqlite3_column_int64(st, FIND_KEYS + (int)by) == key)
		link_row(st, ret);
	else
		r = -ENOENT;
	conn_end(st);
	return r;
}

#define LIST(view, where)                                                                          \
	"SELECT " LINK " FROM volume v INDEXED BY volume_by_" view                                 \
	" WHERE v.trashed = 0 AND " where " AND v.id > ?2 ORDER BY v.id"

static const char *const lists[BY_COUNT] = {
	[BY_ID] = "SELECT " LINK " FROM volume v WHERE +v.trashed = 0 AND v.id > ?2 ORDER BY v.id",
	[BY_STATUS] = LIST("status", "v.status = ?1"),
	[BY_TYPE] = LIST("type", "v.type = ?1"),
	[BY_BACKEND] = LIST("backend", "v.backend = ?1"),
	[BY_PROJECT] = LIST("project", "v.project = ?1"),
	[BY_ZONE] = LIST("zone", "v.zone = (SELECT name FROM zone WHERE id = ?1)"),
};

int view_by(
	struct view *v, enum vol_by by, int64_t key, int64_t after, struct vol_link *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(&v->conn, &st, lists[by], "ii", key, after);

	while (conn_take(&v->conn, st, n, &r))
		link_row(st, &ret[r - 1]);
	return view_result(v, r);
}
