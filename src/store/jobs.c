/* Jobs: what is unfinished. */
#include "store/internal.h"

#include <errno.h>

int tx_job_add(struct tx *tx, struct job_row *j)
{
	int r = conn_do(tx->conn,
		"INSERT INTO job (kind, class, volume, backend, project, uuid, image_id, size, attempt, qos, tried) "
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"iiiiissiiee", (int64_t)j->kind, (int64_t)j->class, j->volume, j->backend,
		j->project, j->uuid, j->image_id, (int64_t)j->size, (int64_t)j->attempt, j->qos,
		j->tried);

	if (r < 0)
		return r;
	j->id = sqlite3_last_insert_rowid(tx->conn->db);
	return 0;
}

int job_get(struct conn *c, int64_t id, struct job_row *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st,
		"SELECT id, kind, volume, backend, project, uuid, image_id, size, attempt, tried, qos "
		"FROM job WHERE id = ?",
		"i", id);

	if (r < 0)
		return r;
	ret->id = sqlite3_column_int64(st, 0);
	ret->kind = (enum job_kind)sqlite3_column_int(st, 1);
	ret->volume = sqlite3_column_int64(st, 2);
	ret->backend = sqlite3_column_int64(st, 3);
	ret->project = sqlite3_column_int64(st, 4);
	col_text(st, 5, ret->uuid);
	col_text(st, 6, ret->image_id);
	ret->size = (uint64_t)sqlite3_column_int64(st, 7);
	ret->attempt = sqlite3_column_int(st, 8);
	col_text(st, 9, ret->tried);
	col_text(st, 10, ret->qos);
	conn_end(st);
	return 0;
}

int tx_job(struct tx *tx, int64_t id, struct job_row *ret)
{
	return job_get(tx->conn, id, ret);
}

int view_job(struct view *v, int64_t id, struct job_row *ret)
{
	return view_result(v, job_get(&v->conn, id, ret));
}

int tx_job_of(struct tx *tx, int64_t volume, int64_t *ret_id)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		"SELECT id FROM job WHERE volume = ? AND class <> 1 AND kind <> 4", "i", volume);

	/* Seldom asked for: no index of creations by volume is worth what it costs each of them. */
	if (r == -ENOENT)
		r = conn_row(tx->conn, &st,
			"SELECT j.id FROM volume v JOIN job j INDEXED BY job_backend "
			"ON j.backend = v.backend AND j.class = 1 "
			"WHERE v.id = ? AND v.status = ? AND j.volume = v.id",
			"ii", volume, (int64_t)VOL_CREATING);
	if (r < 0)
		return r;
	*ret_id = sqlite3_column_int64(st, 0);
	conn_end(st);
	return 0;
}

static int changed(int r)
{
	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}

int tx_job_remove(struct tx *tx, int64_t id)
{
	return changed(conn_do(tx->conn, "DELETE FROM job WHERE id = ?", "i", id));
}

int tx_job_abandon(struct tx *tx, int64_t id)
{
	return changed(conn_do(tx->conn, "UPDATE job SET kind = ?, class = 0 WHERE id = ?", "ii",
		(int64_t)JOB_CLEAN, id));
}

int view_jobs(struct view *v, int64_t backend, enum job_class class, int64_t after,
	struct job_brief *ret, size_t n)
{
	sqlite3_stmt *st;
	size_t i = 0;
	int r;

	r = conn_rows(&v->conn, &st,
		"SELECT id, volume, project, kind FROM job INDEXED BY job_backend "
		"WHERE backend = ? AND class = ? AND id > ? ORDER BY id",
		"iii", backend, (int64_t) class, after);
	if (r < 0)
		return view_result(v, r);
	for (; i < n; i++) {
		r = conn_next(&v->conn, st);
		if (r <= 0)
			return r < 0 ? view_result(v, r) : (int)i;
		ret[i].id = sqlite3_column_int64(st, 0);
		ret[i].volume = sqlite3_column_int64(st, 1);
		ret[i].project = sqlite3_column_int64(st, 2);
		ret[i].kind = (enum job_kind)sqlite3_column_int(st, 3);
		ret[i].class = class;
	}
	conn_end(st);
	return (int)i;
}
