/* Volumes: the rows that everything else hangs on. */
#include "store/internal.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The columns of a struct vol_entry, in the order of entry_row(). */
#define ENTRY                                                                                         \
	"id, name, status, size, generation, uid, gid, mode, trashed, created_us, updated_us, uuid, " \
	"used, data_uid, data_gid, data_mode"

/* Of `data`, whose columns these are: null follows the volume. */
static uint32_t own_id(sqlite3_stmt *st, int i)
{
	bool follows = sqlite3_column_type(st, i) == SQLITE_NULL;

	return follows ? UINT32_MAX : (uint32_t)sqlite3_column_int64(st, i);
}

static mode_t own_mode(sqlite3_stmt *st, int i)
{
	bool none = sqlite3_column_type(st, i) == SQLITE_NULL;

	return none ? 0600 : (mode_t)sqlite3_column_int(st, i);
}

static void entry_row(sqlite3_stmt *st, struct vol_entry *ret)
{
	bool trashed = sqlite3_column_int(st, 8);
	bool named = !trashed && sqlite3_column_type(st, 1) != SQLITE_NULL;

	ret->id = sqlite3_column_int64(st, 0);
	col_text(st, named ? 1 : 11, ret->name);
	ret->status = (enum vol_status)sqlite3_column_int(st, 2);
	ret->size = (uint64_t)sqlite3_column_int64(st, 3);
	ret->generation = (uint64_t)sqlite3_column_int64(st, 4);
	ret->uid = (uid_t)sqlite3_column_int64(st, 5);
	ret->gid = (gid_t)sqlite3_column_int64(st, 6);
	ret->mode = (mode_t)sqlite3_column_int(st, 7);
	ret->trashed = trashed;
	ret->created_us = sqlite3_column_int64(st, 9);
	ret->updated_us = sqlite3_column_int64(st, 10);
	ret->used = (uint64_t)sqlite3_column_int64(st, 12);
	ret->data_uid = own_id(st, 13);
	ret->data_gid = own_id(st, 14);
	ret->data_mode = own_mode(st, 15);
}

static int entry_end(struct view *v, sqlite3_stmt *st, int r, struct vol_entry *ret)
{
	if (r == 0) {
		entry_row(st, ret);
		conn_end(st);
	}
	return view_result(v, r);
}

int view_entry(struct view *v, int64_t id, struct vol_entry *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st, "SELECT " ENTRY " FROM volume WHERE id = ?", "i", id);

	return entry_end(v, st, r, ret);
}

int view_entry_by_uuid(struct view *v, const char *uuid, struct vol_entry *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st, "SELECT " ENTRY " FROM volume WHERE uuid = ?", "s", uuid);

	return entry_end(v, st, r, ret);
}

/*
 * A name that has the shape of a UUID is its volume's own (spec_name_check() sees to that) and stands in the row as NULL: so a volume
 * without a name of its own costs one index less, and that one is random.
 */
#define BY_UUID_AS_NAME "FROM volume WHERE uuid = ? AND name IS NULL AND trashed = 0"
#define BY_NAME		"FROM volume WHERE name = ? AND trashed = 0"

int view_entry_by_name(struct view *v, const char *name, struct vol_entry *ret)
{
	sqlite3_stmt *st;
	int r;

	if (text_is_uuid(name))
		r = conn_row(&v->conn, &st, "SELECT " ENTRY " " BY_UUID_AS_NAME, "s", name);
	else
		r = conn_row(&v->conn, &st, "SELECT " ENTRY " " BY_NAME, "s", name);
	return entry_end(v, st, r, ret);
}

int volume_id_by_name(struct conn *c, const char *name, int64_t *ret)
{
	sqlite3_stmt *st;
	int r;

	if (text_is_uuid(name))
		r = conn_row(c, &st, "SELECT id " BY_UUID_AS_NAME, "s", name);
	else
		r = conn_row(c, &st, "SELECT id " BY_NAME, "s", name);
	return id_of(st, r, ret);
}

int view_entries(
	struct view *v, enum vol_list which, int64_t after, struct vol_entry *ret, size_t n)
{
	sqlite3_stmt *st;
	int r;

	if (which == LIST_TRASH)
		r = conn_rows(&v->conn, &st,
			"SELECT " ENTRY " FROM volume INDEXED BY volume_trash "
			"WHERE trashed = 1 AND id > ? ORDER BY id",
			"i", after);
	else
		r = conn_rows(&v->conn, &st,
			"SELECT " ENTRY " FROM volume WHERE id > ? AND +trashed = 0 ORDER BY id",
			"i", after);
	while (conn_take(&v->conn, st, n, &r))
		entry_row(st, &ret[r - 1]);
	return view_result(v, r);
}

/* The columns of a struct volume, in the order of volume_row(). */
#define VOLUME                                                                                     \
	"v.id, v.uuid, v.name, v.image_id, b.name, t.name, v.zone, p.name, v.description, "        \
	"v.reason, v.status, v.size, v.used, v.uid, v.gid, v.mode, v.protected, v.trashed, "       \
	"v.generation, v.created_us, v.updated_us, v.type, t.uuid, v.readonly, v.bootable, "       \
	"v.data_uid, v.data_gid, v.data_mode, v.expires_us, v.parent, v.origin FROM volume v "     \
	"LEFT JOIN backend b ON b.id = v.backend LEFT JOIN project p ON p.id = v.project "         \
	"LEFT JOIN type t ON t.id = v.type"

void volume_row(sqlite3_stmt *st, struct volume *ret)
{
	ret->id = sqlite3_column_int64(st, 0);
	col_text(st, 1, ret->uuid);
	col_text(st, sqlite3_column_type(st, 2) == SQLITE_NULL ? 1 : 2, ret->name);
	col_text(st, 3, ret->image_id);
	col_text(st, 4, ret->backend);
	col_text(st, 5, ret->type);
	col_text(st, 6, ret->zone);
	col_text(st, 7, ret->project);
	col_text(st, 8, ret->description);
	col_text(st, 9, ret->reason);
	ret->status = (enum vol_status)sqlite3_column_int(st, 10);
	ret->size = (uint64_t)sqlite3_column_int64(st, 11);
	ret->used = (uint64_t)sqlite3_column_int64(st, 12);
	ret->uid = (uid_t)sqlite3_column_int64(st, 13);
	ret->gid = (gid_t)sqlite3_column_int64(st, 14);
	ret->mode = (mode_t)sqlite3_column_int(st, 15);
	ret->protected_ = sqlite3_column_int(st, 16);
	ret->trashed = sqlite3_column_int(st, 17);
	ret->generation = (uint64_t)sqlite3_column_int64(st, 18);
	ret->created_us = sqlite3_column_int64(st, 19);
	ret->updated_us = sqlite3_column_int64(st, 20);
	ret->type_id = sqlite3_column_int64(st, 21);
	col_text(st, 22, ret->type_uuid);
	ret->readonly = sqlite3_column_int(st, 23);
	ret->bootable = sqlite3_column_int(st, 24);
	ret->data_uid = own_id(st, 25);
	ret->data_gid = own_id(st, 26);
	ret->data_mode = own_mode(st, 27);
	ret->expires_us = sqlite3_column_int64(st, 28);
	ret->parent = sqlite3_column_int64(st, 29);
	col_text(st, 30, ret->origin);
}

int volume_get(struct conn *c, int64_t id, struct volume *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, "SELECT " VOLUME " WHERE v.id = ?", "i", id);

	if (r < 0)
		return r;
	volume_row(st, ret);
	conn_end(st);
	return 0;
}

int volumes_after(struct conn *c, sqlite3_stmt **ret, int64_t after)
{
	return conn_rows(c, ret,
		"SELECT " VOLUME " WHERE v.id > ? AND +v.trashed = 0 ORDER BY v.id", "i", after);
}

int view_volume(struct view *v, int64_t id, struct volume *ret)
{
	return view_result(v, volume_get(&v->conn, id, ret));
}

int64_t view_newest(struct view *v)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st, "SELECT max(id) FROM volume", "");
	int64_t id;

	if (r < 0)
		return view_result(v, r);
	id = sqlite3_column_int64(st, 0);
	conn_end(st);
	return id;
}

int view_images(struct view *v, int64_t backend, int64_t after, struct vol_image *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(&v->conn, &st,
		"SELECT id, image_id FROM volume WHERE id > ? AND backend = ? ORDER BY id", "ii",
		after, backend);

	while (conn_take(&v->conn, st, n, &r)) {
		ret[r - 1].id = sqlite3_column_int64(st, 0);
		col_text(st, 1, ret[r - 1].image_id);
	}
	return view_result(v, r);
}

int view_status(struct view *v, int64_t id, enum vol_status *ret, bool *ret_trashed)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st, "SELECT status, trashed FROM volume WHERE id = ?", "i", id);

	if (r == 0) {
		*ret = (enum vol_status)sqlite3_column_int(st, 0);
		if (ret_trashed)
			*ret_trashed = sqlite3_column_int(st, 1);
		conn_end(st);
	}
	return view_result(v, r);
}

#define PURGED_COLUMNS                                                                             \
	"SELECT id, uuid, uid, gid, mode, size, generation, created_us, at_us FROM purged "

static int read_purged(struct view *v, sqlite3_stmt *st, int r, struct vol_entry *ret)
{
	if (r == 0) {
		*ret = (struct vol_entry){ .id = sqlite3_column_int64(st, 0),
			.status = VOL_DELETING,
			.uid = (uid_t)sqlite3_column_int64(st, 2),
			.gid = (gid_t)sqlite3_column_int64(st, 3),
			.mode = (mode_t)sqlite3_column_int(st, 4),
			.size = (uint64_t)sqlite3_column_int64(st, 5),
			.generation = (uint64_t)sqlite3_column_int64(st, 6),
			.trashed = true,
			.data_uid = (uid_t)-1,
			.data_gid = (gid_t)-1,
			.data_mode = 0600,
			.created_us = sqlite3_column_int64(st, 7),
			.updated_us = sqlite3_column_int64(st, 8) };
		col_text(st, 1, ret->name);
		conn_end(st);
	}
	return view_result(v, r);
}

static int64_t forgotten_us(void)
{
	return clock_wall_us() - PURGED_KEPT_S * INT64_C(1000000);
}

int view_purged(struct view *v, const char *uuid, struct vol_entry *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st, PURGED_COLUMNS "WHERE uuid = ? AND at_us > ?", "si", uuid,
		forgotten_us());

	return read_purged(v, st, r, ret);
}

int view_purged_by_id(struct view *v, int64_t id, struct vol_entry *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st, PURGED_COLUMNS "WHERE id = ? AND at_us > ?", "ii", id,
		forgotten_us());

	return read_purged(v, st, r, ret);
}

static int volume_spec(struct conn *c, int64_t id, struct buf *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, "SELECT spec FROM volume WHERE id = ?", "i", id);

	if (r == 0) {
		const void *text = sqlite3_column_text(st, 0);

		buf_add(ret, text ? text : "", (size_t)sqlite3_column_bytes(st, 0));
		conn_end(st);
	}
	return r;
}

int view_spec(struct view *v, int64_t id, struct buf *ret)
{
	return view_result(v, volume_spec(&v->conn, id, ret));
}

int tx_volume_spec(struct tx *tx, int64_t id, struct buf *ret)
{
	return volume_spec(tx->conn, id, ret);
}

int view_accepted(struct view *v, const char *file, int64_t *ret_id)
{
	sqlite3_stmt *st;
	int r;

	if (text_is_uuid(file))
		r = conn_row(
			&v->conn, &st, "SELECT id " BY_UUID_AS_NAME " AND filed = 1", "s", file);
	else
		r = conn_row(&v->conn, &st, "SELECT id " BY_NAME " AND filed = 1", "s", file);

	return view_result(v, id_of(st, r, ret_id));
}

int view_counts(struct view *v, uint64_t *ret_volumes, uint64_t *ret_jobs)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st, "SELECT volumes, jobs FROM counts", "");

	if (r == 0) {
		*ret_volumes = (uint64_t)sqlite3_column_int64(st, 0);
		*ret_jobs = (uint64_t)sqlite3_column_int64(st, 1);
		conn_end(st);
	}
	return view_result(v, r);
}
