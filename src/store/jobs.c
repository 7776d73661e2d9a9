/* Jobs: what is unfinished. */
#include "store/internal.h"

#include <errno.h>

int tx_job_add(struct tx *tx, struct job_row *j)
{
	int r = conn_do(tx->conn,
		"INSERT INTO job (kind, class, volume, backend, project, uuid, image_id, size, attempt, qos, "
		"source, snapshot, parent, flatten, image, tried) "
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), nullif(?, 0), nullif(?, 0), ?, ?, ?)",
		"iiiiissiieiiiiee", (int64_t)j->kind, (int64_t)j->class, j->volume, j->backend,
		j->project, j->uuid, j->image_id, (int64_t)j->size, (int64_t)j->attempt, j->qos,
		j->source, j->snapshot, j->parent, (int64_t)j->flatten, j->image, j->tried);

	if (r < 0)
		return r;
	j->id = sqlite3_last_insert_rowid(tx->conn->db);
	return 0;
}

#define JOB                                                                                        \
	"SELECT j.id, j.kind, j.volume, j.backend, j.project, j.uuid, j.image_id, j.size, "        \
	"j.attempt, j.tried, j.qos, j.class, j.source, j.snapshot, j.parent, j.flatten, j.image, " \
	"j.kind IN (1, 8) AND EXISTS (SELECT 1 FROM volume v JOIN type_entry e "                   \
	"ON e.type = v.type AND e.list = 1 AND e.key = 'multiattach' "                             \
	"WHERE v.id = j.volume AND e.value = '<is> True') "

static void job_row(sqlite3_stmt *st, struct job_row *ret)
{
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
	ret->class = (enum job_class)sqlite3_column_int(st, 11);
	ret->source = sqlite3_column_int64(st, 12);
	ret->snapshot = sqlite3_column_int64(st, 13);
	ret->parent = sqlite3_column_int64(st, 14);
	ret->flatten = sqlite3_column_int(st, 15);
	col_text(st, 16, ret->image);
	ret->shared = sqlite3_column_int(st, 17);
}

static int job_end(sqlite3_stmt *st, int r, struct job_row *ret)
{
	if (r == 0) {
		job_row(st, ret);
		conn_end(st);
	}
	return r;
}

int job_get(struct conn *c, int64_t id, struct job_row *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, JOB "FROM job j WHERE j.id = ?", "i", id);

	return job_end(st, r, ret);
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
		"SELECT id FROM job INDEXED BY job_volume "
		"WHERE volume = ? AND class <> 1 AND kind NOT IN (4, 5, 6) LIMIT 1",
		"i", volume);

	/* Seldom asked for: no index of creations by volume is worth what it costs each of them. */
	if (r == -ENOENT)
		r = conn_row(tx->conn, &st,
			"SELECT j.id FROM volume v JOIN job j INDEXED BY job_backend "
			"ON j.backend = v.backend AND j.class = 1 "
			"WHERE v.id = ? AND v.status = ? AND j.volume = v.id",
			"ii", volume, (int64_t)VOL_CREATING);
	return id_of(st, r, ret_id);
}

int tx_job_of_snapshot(struct tx *tx, int64_t snapshot, int64_t *ret_id)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		"SELECT id FROM job INDEXED BY job_snapshot "
		"WHERE snapshot = ? AND kind IN (5, 6) LIMIT 1",
		"i", snapshot);

	return id_of(st, r, ret_id);
}

int tx_job_of_snapshots(struct tx *tx, int64_t volume, int64_t *ret_id)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		"SELECT id FROM job INDEXED BY job_volume "
		"WHERE volume = ? AND class <> 1 AND kind IN (5, 6) LIMIT 1",
		"i", volume);

	return id_of(st, r, ret_id);
}

int tx_job_taking(struct tx *tx, int64_t volume, int64_t *ret_id)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		"SELECT id FROM job INDEXED BY job_volume "
		"WHERE volume = ? AND class <> 1 AND kind = 5 LIMIT 1",
		"i", volume);

	return id_of(st, r, ret_id);
}

int tx_job_of_name(struct tx *tx, int64_t backend, const char *image, int64_t *ret_id)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		"SELECT id FROM job INDEXED BY job_image "
		"WHERE backend = ? AND image = ? AND kind IN (8, 9) LIMIT 1",
		"is", backend, image);

	return id_of(st, r, ret_id);
}

int tx_job_from(struct tx *tx, int64_t volume, int64_t snapshot, struct job_row *ret)
{
	sqlite3_stmt *st;
	int r;

	if (snapshot)
		r = conn_row(tx->conn, &st,
			JOB "FROM job j INDEXED BY job_snapshot "
			    "WHERE j.snapshot = ? AND j.source = ? AND j.kind = 1 LIMIT 1",
			"ii", snapshot, volume);
	else
		r = conn_row(tx->conn, &st,
			JOB "FROM job j INDEXED BY job_source "
			    "WHERE j.source = ? AND j.kind = 1 LIMIT 1",
			"i", volume);
	return job_end(st, r, ret);
}

int tx_job_from_now(struct tx *tx, int64_t volume, struct job_row *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		JOB "FROM job j INDEXED BY job_source "
		    "WHERE j.source = ? AND j.kind = 1 AND j.snapshot IS NULL LIMIT 1",
		"i", volume);

	return job_end(st, r, ret);
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

int tx_job_turn(struct tx *tx, const struct job_row *j)
{
	return changed(conn_do(tx->conn,
		"UPDATE job SET kind = ?, class = ?, parent = nullif(?, 0), snapshot = nullif(?, 0), "
		"image = ? WHERE id = ?",
		"iiiiei", (int64_t)j->kind, (int64_t)j->class, j->parent, j->snapshot, j->image,
		j->id));
}

int tx_job_held(struct tx *tx, int64_t volume, struct job_row *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		JOB "FROM job j INDEXED BY job_volume "
		    "WHERE j.volume = ? AND j.class <> 1 AND j.class = 9 AND j.kind = 4 LIMIT 1",
		"i", volume);

	return job_end(st, r, ret);
}

int tx_job_release(struct tx *tx, int64_t volume, struct job_row *ret)
{
	struct job_row held;
	int64_t child;
	int r = tx_job_held(tx, volume, &held);

	if (r < 0)
		return r;
	r = tx_volume_child(tx, volume, &child);
	if (r != -ENOENT)
		return r < 0 ? r : -ENOENT;
	held.class = CLASS_OTHER;
	r = tx_job_turn(tx, &held);
	if (r == 0)
		*ret = held;
	return r;
}

int view_job_of_image(struct view *v, int64_t backend, const char *uuid, struct job_row *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st,
		JOB "FROM job j INDEXED BY job_clean "
		    "WHERE j.uuid = ? AND j.kind = 4 AND ? IN (0, j.backend) LIMIT 1",
		"si", uuid, backend);

	/* All others are a volume's that is still there. */
	if (r == -ENOENT)
		r = conn_row(&v->conn, &st,
			JOB "FROM volume v JOIN job j INDEXED BY job_volume "
			    "ON j.volume = v.id AND j.class <> 1 "
			    "WHERE v.uuid = ? AND ? IN (0, j.backend) LIMIT 1",
			"si", uuid, backend);
	if (r == -ENOENT)
		r = conn_row(&v->conn, &st,
			JOB "FROM volume v JOIN job j INDEXED BY job_backend "
			    "ON j.backend = v.backend AND j.class = 1 AND j.volume = v.id "
			    "WHERE v.uuid = ? AND v.status = ? AND ? IN (0, j.backend) LIMIT 1",
			"sii", uuid, (int64_t)VOL_CREATING, backend);
	return view_result(v, job_end(st, r, ret));
}

int view_jobs(struct view *v, int64_t backend, enum job_class class, int64_t after,
	struct job_brief *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(&v->conn, &st,
		"SELECT id, volume, project, kind FROM job INDEXED BY job_backend "
		"WHERE backend = ? AND class = ? AND id > ? ORDER BY id",
		"iii", backend, (int64_t) class, after);

	while (conn_take(&v->conn, st, n, &r))
		ret[r - 1] = (struct job_brief){ .id = sqlite3_column_int64(st, 0),
			.volume = sqlite3_column_int64(st, 1),
			.project = sqlite3_column_int64(st, 2),
			.kind = (enum job_kind)sqlite3_column_int(st, 3),
			.class = class };
	return view_result(v, r);
}
