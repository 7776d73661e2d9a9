/*
 * Quotas. A limit is the project's own, else that of the row `default`, else the configuration's. The project `root`
 * knows its own only: root fills the disk anyway.
 */
#include "store/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define QUOTA                                                                                      \
	"SELECT p.id, p.name, p.volumes, p.size, p.volumes_max, p.size_max, p.per_volume_max, "    \
	"d.volumes_max, d.size_max, d.per_volume_max FROM project p "                              \
	"LEFT JOIN project d ON d.name = 'default' "

static bool unlimited(const char *project)
{
	return strcmp(project, "root") == 0;
}

/* Column own if it is not null, else the default's column, else the configured limit. */
static int64_t limit(sqlite3_stmt *st, int own, const char *project, int64_t conf)
{
	if (sqlite3_column_type(st, own) != SQLITE_NULL)
		return sqlite3_column_int64(st, own);
	if (unlimited(project))
		return SIZE_LIMIT_NONE;
	if (sqlite3_column_type(st, own + 3) != SQLITE_NULL)
		return sqlite3_column_int64(st, own + 3);
	return conf;
}

static void quota_row(sqlite3_stmt *st, const struct quota *defaults, struct quota *ret)
{
	ret->id = sqlite3_column_int64(st, 0);
	col_text(st, 1, ret->project);
	ret->volumes = sqlite3_column_int64(st, 2);
	ret->size = sqlite3_column_int64(st, 3);
	ret->volumes_max = limit(st, 4, ret->project, defaults->volumes_max);
	ret->size_max = limit(st, 5, ret->project, defaults->size_max);
	ret->per_volume_max = limit(st, 6, ret->project, defaults->per_volume_max);
}

/* What a project has that nobody asked for yet: no row, the limits of `default`. */
static int quota_of_none(
	struct conn *c, const struct quota *defaults, const char *project, struct quota *ret)
{
	int r = 0;

	if (unlimited(project))
		*ret = (struct quota){ .volumes_max = SIZE_LIMIT_NONE,
			.size_max = SIZE_LIMIT_NONE,
			.per_volume_max = SIZE_LIMIT_NONE };
	else
		r = quota_get(c, defaults, "default", ret);
	ret->id = 0;
	ret->volumes = ret->size = 0;
	(void)snprintf(ret->project, sizeof ret->project, "%s", project);
	return r;
}

int quota_get(struct conn *c, const struct quota *defaults, const char *project, struct quota *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, QUOTA "WHERE p.name = ?", "s", project);

	if (r == -ENOENT && strcmp(project, "default") != 0)
		return quota_of_none(c, defaults, project, ret);
	if (r < 0)
		return r;
	quota_row(st, defaults, ret);
	conn_end(st);
	return 0;
}

int view_quota_by_name(struct view *v, const char *project, struct quota *ret)
{
	return view_result(v, quota_get(&v->conn, &v->store->defaults, project, ret));
}

int view_quota(struct view *v, int64_t id, struct quota *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st, QUOTA "WHERE p.id = ?", "i", id);

	if (r == 0) {
		quota_row(st, &v->store->defaults, ret);
		conn_end(st);
	}
	return view_result(v, r);
}

int view_quotas(struct view *v, int64_t after, struct quota *ret, size_t n)
{
	sqlite3_stmt *st;
	size_t i = 0;
	int r = conn_rows(&v->conn, &st, QUOTA "WHERE p.id > ? ORDER BY p.id", "i", after);

	if (r < 0)
		return view_result(v, r);
	for (; i < n; i++) {
		r = conn_next(&v->conn, st);
		if (r <= 0)
			return r < 0 ? view_result(v, r) : (int)i;
		quota_row(st, &v->store->defaults, &ret[i]);
	}
	conn_end(st);
	return (int)i;
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

int tx_quota(struct tx *tx, const char *project, struct quota *ret)
{
	return quota_get(tx->conn, &tx->store->defaults, project, ret);
}

int tx_quota_limit(struct tx *tx, int64_t id, enum quota_limit which, int64_t max)
{
	int r;

	if (which == QUOTA_VOLUMES)
		r = conn_do(
			tx->conn, "UPDATE project SET volumes_max = ? WHERE id = ?", "ii", max, id);
	else if (which == QUOTA_SIZE)
		r = conn_do(
			tx->conn, "UPDATE project SET size_max = ? WHERE id = ?", "ii", max, id);
	else
		r = conn_do(tx->conn, "UPDATE project SET per_volume_max = ? WHERE id = ?", "ii",
			max, id);
	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}
