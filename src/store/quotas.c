/*
 * Quotas. A limit is the project's own, else that of the row `default` (the class), else the configuration's, which has none for
 * single types. The project `root` knows its own only: root fills the disk anyway.
 *
 * Rows of project hold the sums and limits of all types together, rows of type_quota those of one type: the same columns.
 */
#include "store/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* In the order of enum quota_resource. */
#define USED(t)                                                                                    \
	t ".volumes, " t ".size, 0, " t ".snapshots, " t ".backups, " t ".backup_size, " t         \
	  ".groups, " t ".trash_size"
#define MAX(t)                                                                                     \
	t ".volumes_max, " t ".size_max, " t ".per_volume_size_max, " t ".snapshots_max, " t       \
	  ".backups_max, " t ".backup_size_max, " t ".groups_max, " t ".trash_size_max"

/* The columns of a struct quota, in the order of quota_row(): q is the row itself, d that of the class. */
enum {
	COL_ID,
	COL_PROJECT,
	COL_TYPE_ID,
	COL_TYPE,
	COL_USED,
	COL_OWN = COL_USED + QUOTA_COUNT,
	COL_CLASS = COL_OWN + QUOTA_COUNT
};
#define COLUMNS	     USED("q") ", " MAX("q") ", " MAX("d")
#define CLASS	     "(SELECT id FROM project WHERE name = 'default')"
#define OF_ALL_TYPES "LEFT JOIN project d ON d.id = " CLASS " "
#define OF_ITS_TYPE  "LEFT JOIN type_quota d ON d.project = " CLASS " AND d.type = t.id "

static void quota_row(sqlite3_stmt *st, const struct quota *defaults, struct quota *ret)
{
	bool root;

	*ret = (struct quota){ .id = sqlite3_column_int64(st, COL_ID) };
	col_text(st, COL_PROJECT, ret->project);
	ret->type_id = sqlite3_column_int64(st, COL_TYPE_ID);
	col_text(st, COL_TYPE, ret->type);
	root = strcmp(ret->project, "root") == 0;
	for (int i = 0; i < QUOTA_COUNT; i++) {
		ret->used[i] = sqlite3_column_int64(st, COL_USED + i);
		if (sqlite3_column_type(st, COL_OWN + i) != SQLITE_NULL)
			ret->max[i] = sqlite3_column_int64(st, COL_OWN + i);
		else if (root)
			ret->max[i] = SIZE_LIMIT_NONE;
		else if (sqlite3_column_type(st, COL_CLASS + i) != SQLITE_NULL)
			ret->max[i] = sqlite3_column_int64(st, COL_CLASS + i);
		else
			ret->max[i] = ret->type_id ? SIZE_LIMIT_NONE : defaults->max[i];
	}
}

static int quota_end(sqlite3_stmt *st, int r, const struct quota *defaults, struct quota *ret)
{
	if (r < 0)
		return r;
	quota_row(st, defaults, ret);
	conn_end(st);
	return 0;
}

/* Also of what has no row yet: the limits of the class, nothing used. */
static int quota_get(struct conn *c, const struct quota *defaults, const char *project,
	int64_t type, struct quota *ret)
{
	sqlite3_stmt *st;
	int r;

	if (type)
		r = conn_row(c, &st,
			"SELECT q.id, ?1, t.id, t.name, " COLUMNS " FROM type t "
			"LEFT JOIN project p ON p.name = ?1 "
			"LEFT JOIN type_quota q ON q.project = p.id AND q.type = t.id " OF_ITS_TYPE
			"WHERE t.id = ?2",
			"si", project, type);
	else
		r = conn_row(c, &st,
			"SELECT q.id, ?1, 0, '', " COLUMNS " FROM (SELECT 1) "
			"LEFT JOIN project q ON q.name = ?1 " OF_ALL_TYPES,
			"s", project);
	return quota_end(st, r, defaults, ret);
}

int view_quota_by_name(struct view *v, const char *project, struct quota *ret)
{
	return view_result(v, quota_get(&v->conn, &v->store->defaults, project, 0, ret));
}

int view_quota_of_type(struct view *v, const char *project, int64_t type, struct quota *ret)
{
	return view_result(v, quota_get(&v->conn, &v->store->defaults, project, type, ret));
}

#define PROJECT_QUOTA "SELECT q.id, q.name, 0, '', " COLUMNS " FROM project q " OF_ALL_TYPES
#define TYPE_QUOTA                                                                                 \
	"SELECT q.id, p.name, t.id, t.name, " COLUMNS " FROM type_quota q "                        \
	"JOIN project p ON p.id = q.project JOIN type t ON t.id = q.type " OF_ITS_TYPE

int view_quota(struct view *v, int64_t id, struct quota *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st, PROJECT_QUOTA "WHERE q.id = ?", "i", id);

	return view_result(v, quota_end(st, r, &v->store->defaults, ret));
}

int view_type_quota(struct view *v, int64_t id, struct quota *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st, TYPE_QUOTA "WHERE q.id = ?", "i", id);

	return view_result(v, quota_end(st, r, &v->store->defaults, ret));
}

int view_quotas(struct view *v, int64_t after, struct quota *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(&v->conn, &st, PROJECT_QUOTA "WHERE q.id > ? ORDER BY q.id", "i", after);

	while (conn_take(&v->conn, st, n, &r))
		quota_row(st, &v->store->defaults, &ret[r - 1]);
	return view_result(v, r);
}

int view_type_quotas(struct view *v, int64_t project, int64_t after, struct quota *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(&v->conn, &st,
		TYPE_QUOTA "WHERE q.project = ? AND q.id > ? ORDER BY q.id", "ii", project, after);

	while (conn_take(&v->conn, st, n, &r))
		quota_row(st, &v->store->defaults, &ret[r - 1]);
	return view_result(v, r);
}

int tx_project(struct tx *tx, const char *name, int64_t *ret_id)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st, "SELECT id FROM project WHERE name = ?", "s", name);

	if (r == 0) {
		*ret_id = sqlite3_column_int64(st, 0);
		conn_end(st);
	} else if (r == -ENOENT) {
		r = conn_do(tx->conn, "INSERT INTO project (name) VALUES (?)", "s", name);
		*ret_id = sqlite3_last_insert_rowid(tx->conn->db);
	}
	return r < 0 ? r : 0;
}

int tx_type_quota(struct tx *tx, int64_t project, int64_t type, int64_t *ret_id)
{
	sqlite3_stmt *st = NULL;
	int r = conn_do(tx->conn,
		"INSERT INTO type_quota (project, type) VALUES (?, ?) ON CONFLICT DO NOTHING", "ii",
		project, type);

	r = r < 0 ? r
		  : conn_row(tx->conn, &st,
			    "SELECT id FROM type_quota WHERE project = ? AND type = ?", "ii",
			    project, type);
	return id_of(st, r, ret_id);
}

int tx_quota(struct tx *tx, const char *project, int64_t type, struct quota *ret)
{
	return quota_get(tx->conn, &tx->store->defaults, project, type, ret);
}

/* A text each, since a statement is found again by the address of its text. */
#define SET(table, column)     "UPDATE " table " SET " column "_max = nullif(?, -2) WHERE id = ?"
#define SETS(resource, column) [resource] = { SET("project", column), SET("type_quota", column) }

int tx_quota_limit(struct tx *tx, int64_t id, bool of_type, enum quota_resource which, int64_t max)
{
	static const char *const sql[QUOTA_COUNT][2] = {
		SETS(QUOTA_VOLUMES, "volumes"),
		SETS(QUOTA_SIZE, "size"),
		SETS(QUOTA_PER_VOLUME_SIZE, "per_volume_size"),
		SETS(QUOTA_SNAPSHOTS, "snapshots"),
		SETS(QUOTA_BACKUPS, "backups"),
		SETS(QUOTA_BACKUP_SIZE, "backup_size"),
		SETS(QUOTA_GROUPS, "groups"),
		SETS(QUOTA_TRASH_SIZE, "trash_size"),
	};
	int r = conn_do(tx->conn, sql[which][of_type], "ii", max, id);

	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}
