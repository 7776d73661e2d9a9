/* Backends: their stable rows, what is promised there, and who may still be writing to them. */
#include "store/internal.h"

#include <errno.h>

/* total and free of the row: bytes, or one of these. */
enum {
	COLUMN_UNKNOWN = -1,
	COLUMN_INFINITE = -2,
};

#define BACKEND                                                                                    \
	"SELECT id, volumes, allocated, pending, disabled, up, total, free, trash_waiting, "       \
	"purging FROM backend "

static uint64_t measure(sqlite3_stmt *st, int i, bool *unknown, bool *infinite)
{
	int64_t n = sqlite3_column_int64(st, i);

	*unknown = n == COLUMN_UNKNOWN;
	*infinite = n == COLUMN_INFINITE;
	return n < 0 ? 0 : (uint64_t)n;
}

static int64_t column(uint64_t n, bool unknown, bool infinite)
{
	return infinite ? COLUMN_INFINITE : unknown ? COLUMN_UNKNOWN : (int64_t)n;
}

static void backend_row(sqlite3_stmt *st, struct backend_row *ret)
{
	struct backend_stats *s = &ret->stats;

	ret->id = sqlite3_column_int64(st, 0);
	ret->volumes = (uint64_t)sqlite3_column_int64(st, 1);
	ret->allocated = (uint64_t)sqlite3_column_int64(st, 2);
	ret->pending = (uint64_t)sqlite3_column_int64(st, 3);
	ret->disabled = sqlite3_column_int(st, 4);
	ret->known_up = sqlite3_column_int(st, 5);
	s->total = measure(st, 6, &s->total_unknown, &s->total_infinite);
	s->free = measure(st, 7, &s->free_unknown, &s->free_infinite);
	ret->trash = (uint64_t)sqlite3_column_int64(st, 8);
	ret->purging = (uint64_t)sqlite3_column_int64(st, 9);
}

int backend_get(struct conn *c, int64_t id, struct backend_row *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, BACKEND "WHERE id = ?", "i", id);

	if (r < 0)
		return r;
	backend_row(st, ret);
	conn_end(st);
	return 0;
}

int tx_backend_sums(struct tx *tx, int64_t id, struct backend_row *ret)
{
	return backend_get(tx->conn, id, ret);
}

int tx_backends(struct tx *tx, void (*each)(void *arg, const struct backend_row *row), void *arg)
{
	struct backend_row row;
	sqlite3_stmt *st;
	int r = conn_rows(tx->conn, &st, BACKEND "ORDER BY id", "");

	if (r < 0)
		return r;
	while ((r = conn_next(tx->conn, st)) > 0) {
		backend_row(st, &row);
		each(arg, &row);
	}
	return r;
}

int view_backend_row(struct view *v, int64_t id, struct backend_row *ret)
{
	return view_result(v, backend_get(&v->conn, id, ret));
}

static int backend_by_name(struct conn *c, const char *name, struct backend_row *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(c, &st, BACKEND "WHERE name = ?", "s", name);

	if (r < 0)
		return r;
	backend_row(st, ret);
	conn_end(st);
	return 0;
}

int tx_backend(struct tx *tx, const char *name, struct backend_row *ret)
{
	int r = backend_by_name(tx->conn, name, ret);

	if (r != -ENOENT)
		return r;
	r = conn_do(tx->conn, "INSERT INTO backend (name) VALUES (?)", "s", name);
	return r < 0 ? r : backend_by_name(tx->conn, name, ret);
}

int view_backend(struct view *v, const char *backend, struct backend_sums *ret)
{
	struct backend_row row;
	int r = backend_by_name(&v->conn, backend, &row);

	if (r == 0)
		*ret = (struct backend_sums){ row.id, row.volumes, row.allocated };
	return view_result(v, r);
}

int view_backend_next(struct view *v, int64_t after, int64_t *ret_id, char *name, size_t room)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st,
		"SELECT id, name FROM backend WHERE id > ? ORDER BY id LIMIT 1", "i", after);

	if (r == 0) {
		*ret_id = sqlite3_column_int64(st, 0);
		col_copy(st, 1, name, room);
		conn_end(st);
	}
	return view_result(v, r);
}

int tx_backend_disable(struct tx *tx, int64_t id, bool disabled)
{
	int r = conn_do(tx->conn, "UPDATE backend SET disabled = ? WHERE id = ?", "ii",
		(int64_t)disabled, id);

	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}

int tx_backend_report(struct tx *tx, int64_t id, bool up, const struct backend_stats *stats)
{
	int r = conn_do(tx->conn, "UPDATE backend SET up = ?, total = ?, free = ? WHERE id = ?",
		"iiii", (int64_t)up,
		column(stats->total, stats->total_unknown, stats->total_infinite),
		column(stats->free, stats->free_unknown, stats->free_infinite), id);

	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}

int tx_client_add(struct tx *tx, int64_t backend, const char *address, int64_t *ret_id)
{
	int r = conn_do(tx->conn, "INSERT INTO client (backend, address) VALUES (?, ?)", "is",
		backend, address);

	if (r < 0)
		return r;
	*ret_id = sqlite3_last_insert_rowid(tx->conn->db);
	return 0;
}

int tx_client_remove(struct tx *tx, int64_t id)
{
	int r = conn_do(tx->conn, "DELETE FROM client WHERE id = ?", "i", id);

	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}

int view_client(
	struct view *v, int64_t backend, int64_t after, int64_t *ret_id, char *address, size_t room)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st,
		"SELECT id, address FROM client WHERE backend = ? AND id > ? ORDER BY id LIMIT 1",
		"ii", backend, after);

	if (r == 0) {
		*ret_id = sqlite3_column_int64(st, 0);
		col_copy(st, 1, address, room);
		conn_end(st);
	}
	return view_result(v, r);
}
