/* Volumes: what changes them. Sums are the triggers' business (schema.sql). */
#include "store/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

enum { FORGET_AT_ONCE = 500 }; /* purged volumes dropped per batch: none waits long for it */

int tx_volume(struct tx *tx, int64_t id, struct volume *ret)
{
	return volume_get(tx->conn, id, ret);
}

int tx_volume_by_uuid(struct tx *tx, const char *uuid, int64_t *ret_id)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st, "SELECT id FROM volume WHERE uuid = ?", "s", uuid);

	return id_of(st, r, ret_id);
}

int tx_volume_by_name(struct tx *tx, const char *name, int64_t *ret_id)
{
	return volume_id_by_name(tx->conn, name, ret_id);
}

int tx_volume_purged(struct tx *tx, const char *uuid, int64_t *ret_id)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st, "SELECT id FROM purged WHERE uuid = ?", "s", uuid);

	return id_of(st, r, ret_id);
}

/* Row of a backend's name; 0 for "". Given to SQLite as NULL by nullif(?, 0). */
static int backend_id(struct tx *tx, const char *name, int64_t *ret)
{
	struct backend_row row;
	int r = 0;

	*ret = 0;
	if (*name) {
		r = tx_backend(tx, name, &row);
		if (r == 0)
			*ret = row.id;
	}
	return r;
}

int tx_volume_add(struct tx *tx, struct volume *v, bool filed, const char *text, size_t len)
{
	int64_t project, backend;
	int r;

	r = tx_project(tx, v->project, &project);
	r = r < 0 ? r : backend_id(tx, v->backend, &backend);
	if (r < 0)
		return r;
	v->created_us = v->updated_us = clock_wall_us();
	r = conn_do(tx->conn,
		"INSERT INTO volume (uuid, name, status, size, uid, gid, mode, created_us, updated_us, "
		"project, backend, protected, image_id, zone, type, description, reason, filed, parent, "
		"origin, spec) "
		"VALUES (?, nullif(?, ?), ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), ?, ?, ?, nullif(?, 0), "
		"?, ?, ?, nullif(?, 0), ?, ?)",
		"sssiiiiiiiiiiseieeiieb", v->uuid, v->name, v->uuid, (int64_t)v->status,
		(int64_t)v->size, (int64_t)v->uid, (int64_t)v->gid, (int64_t)v->mode, v->created_us,
		v->updated_us, project, backend, (int64_t)v->protected_, v->image_id, v->zone,
		v->type_id, v->description, v->reason, (int64_t)filed, v->parent, v->origin, text,
		len);
	if (r < 0)
		return r;
	v->id = sqlite3_last_insert_rowid(tx->conn->db);
	return 0;
}

int tx_volume_place(
	struct tx *tx, int64_t id, const char *backend, const char *zone, const char *image_id)
{
	int64_t row;
	int r = backend_id(tx, backend, &row);

	return r < 0 ? r
		     : changed(conn_do(tx->conn,
			       "UPDATE volume SET backend = nullif(?, 0), zone = ?, image_id = ?, "
			       "updated_us = ? WHERE id = ?",
			       "iesii", row, zone, image_id, clock_wall_us(), id));
}

int tx_volume_status(struct tx *tx, int64_t id, enum vol_status status, const char *reason)
{
	int64_t now = clock_wall_us();

	/* A purge that has begun does not expire any more, even if it fails. generation: as in tx_volume_trash(). */
	if (status == VOL_DELETING)
		return changed(conn_do(tx->conn,
			"UPDATE volume SET status = ?, reason = ?, expires_us = NULL, "
			"generation = generation + 1, updated_us = ? WHERE id = ?",
			"ieii", (int64_t)status, reason, now, id));
	return changed(conn_do(tx->conn,
		"UPDATE volume SET status = ?, reason = ?, updated_us = ? WHERE id = ?", "ieii",
		(int64_t)status, reason, now, id));
}

int tx_volume_reserve(struct tx *tx, int64_t id, uint64_t more)
{
	return changed(conn_do(
		tx->conn, "UPDATE volume SET reserved = ? WHERE id = ?", "ii", (int64_t)more, id));
}

int tx_volume_resize(struct tx *tx, int64_t id, uint64_t size)
{
	return changed(conn_do(tx->conn,
		"UPDATE volume SET size = ?, reserved = 0, updated_us = ? WHERE id = ?", "iii",
		(int64_t)size, clock_wall_us(), id));
}

int tx_volume_used(struct tx *tx, int64_t id, uint64_t used)
{
	return changed(conn_do(
		tx->conn, "UPDATE volume SET used = ? WHERE id = ?", "ii", (int64_t)used, id));
}

int tx_volume_rename(struct tx *tx, int64_t id, const char *name)
{
	return changed(conn_do(tx->conn,
		"UPDATE volume SET name = nullif(?, uuid), updated_us = ? WHERE id = ?", "sii",
		name, clock_wall_us(), id));
}

int tx_volume_owner(
	struct tx *tx, int64_t id, mode_t mode, uid_t uid, gid_t gid, const char *project)
{
	int64_t row;
	int r = tx_project(tx, project, &row);

	if (r < 0)
		return r;
	r = changed(conn_do(tx->conn,
		"UPDATE volume SET mode = ?, uid = ?, gid = ?, project = ?, updated_us = ? "
		"WHERE id = ?",
		"iiiiii", (int64_t)mode, (int64_t)uid, (int64_t)gid, row, clock_wall_us(), id));
	r = r < 0 ? r : snapshots_follow(tx, id, row);
	return r < 0 ? r : 0;
}

int tx_volume_text(struct tx *tx, int64_t id, const char *description, bool protected_)
{
	return changed(conn_do(tx->conn,
		"UPDATE volume SET description = ?, protected = ?, updated_us = ? WHERE id = ?",
		"eiii", description, (int64_t)protected_, clock_wall_us(), id));
}

int tx_volume_flags(struct tx *tx, int64_t id, bool readonly, bool bootable)
{
	return changed(conn_do(tx->conn,
		"UPDATE volume SET readonly = ?, bootable = ?, updated_us = ? WHERE id = ?", "iiii",
		(int64_t)readonly, (int64_t)bootable, clock_wall_us(), id));
}

/* An id that follows the volume, 0xffffffff, is nobody's: it stands as null. */
int tx_volume_data(struct tx *tx, int64_t id, uid_t uid, gid_t gid, mode_t mode)
{
	return changed(conn_do(tx->conn,
		"UPDATE volume SET data_uid = nullif(?, 4294967295), data_gid = nullif(?, 4294967295), "
		"data_mode = nullif(?, 384), updated_us = ? WHERE id = ?",
		"iiiii", (int64_t)uid, (int64_t)gid, (int64_t)mode, clock_wall_us(), id));
}

/* For the kernel the directory is removed for good by rmdir: what is found in the trash is another. mv brings back the very same. */
int tx_volume_trash(struct tx *tx, int64_t id, int64_t expires_us)
{
	return changed(conn_do(tx->conn,
		"UPDATE volume SET trashed = 1, reserved = 0, generation = generation + 1, "
		"expires_us = nullif(?, 0), updated_us = ? WHERE id = ?",
		"iii", expires_us, clock_wall_us(), id));
}

int tx_volume_restore(struct tx *tx, int64_t id, const char *name)
{
	return changed(conn_do(tx->conn,
		"UPDATE volume SET trashed = 0, expires_us = NULL, name = nullif(?, uuid), "
		"updated_us = ? WHERE id = ? AND trashed = 1",
		"sii", name, clock_wall_us(), id));
}

int tx_volume_parent(struct tx *tx, int64_t id, int64_t parent)
{
	return changed(conn_do(tx->conn, "UPDATE volume SET parent = nullif(?, 0) WHERE id = ?",
		"ii", parent, id));
}

int tx_volume_child(struct tx *tx, int64_t id, int64_t *ret_id)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		"SELECT id FROM volume INDEXED BY volume_parent WHERE parent = ? LIMIT 1", "i", id);

	if (r == -ENOENT)
		r = conn_row(tx->conn, &st,
			"SELECT volume FROM job INDEXED BY job_parent "
			"WHERE parent = ? AND kind = 4 LIMIT 1",
			"i", id);
	return id_of(st, r, ret_id);
}

/* Only in the trash is a purged one found: nothing is kept of one that was never there, because it was let go. */
int tx_volume_purge(struct tx *tx, int64_t id)
{
	int r;

	r = conn_do(tx->conn,
		"INSERT INTO purged SELECT id, uuid, uid, gid, mode, size, generation, created_us, ? "
		"FROM volume WHERE id = ? AND trashed = 1",
		"ii", clock_wall_us(), id);
	if (r == 0) /* it was not */
		r = log_forget_volume(tx, id);
	if (r >= 0)
		r = conn_do(tx->conn, "DELETE FROM meta WHERE volume = ?", "i", id);
	if (r >= 0)
		r = conn_do(tx->conn, "DELETE FROM attachment WHERE volume = ?", "i", id);
	if (r >= 0)
		r = snapshots_purge(tx, id);
	return r < 0 ? r : changed(conn_do(tx->conn, "DELETE FROM volume WHERE id = ?", "i", id));
}

/* The history of a volume goes with the last memory of it; the log keeps its own part. */
int volumes_forget(struct tx *tx)
{
	int64_t before = clock_wall_us() - PURGED_KEPT_S * INT64_C(1000000);
	int r;

	r = conn_do(tx->conn,
		"DELETE FROM event WHERE id <= ? AND volume IN "
		"(SELECT id FROM purged WHERE at_us < ? ORDER BY at_us LIMIT ?)",
		"iii", tx->store->log.swept, before, (int64_t)FORGET_AT_ONCE);
	if (r < 0)
		return r;
	return conn_do(tx->conn,
		"DELETE FROM purged WHERE id IN "
		"(SELECT id FROM purged WHERE at_us < ? ORDER BY at_us LIMIT ?)",
		"ii", before, (int64_t)FORGET_AT_ONCE);
}
