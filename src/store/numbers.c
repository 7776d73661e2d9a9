/* What there is to watch of the catalogue; the counters are writer.c's. */
#include "store/numbers.h"

#include "store/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

const struct store_numbers *store_numbers(const struct view *v)
{
	return &v->store->numbers;
}

int view_volume_counts(
	struct view *v, void (*each)(void *arg, const struct volume_count *c), void *arg)
{
	struct volume_count c;
	sqlite3_stmt *st;
	int r = conn_rows(&v->conn, &st,
		"SELECT b.name, c.trashed, c.status, c.volumes, c.size FROM volume_count c "
		"LEFT JOIN backend b ON b.id = c.backend ORDER BY c.backend, c.trashed, c.status",
		"");

	while (r >= 0 && (r = conn_next(&v->conn, st)) > 0) {
		col_text(st, 0, c.backend);
		c.trashed = sqlite3_column_int(st, 1);
		c.status = (enum vol_status)sqlite3_column_int(st, 2);
		c.volumes = (uint64_t)sqlite3_column_int64(st, 3);
		c.size = (uint64_t)sqlite3_column_int64(st, 4);
		each(arg, &c);
	}
	return view_result(v, r);
}

int view_file_sizes(struct view *v, uint64_t *ret_database, uint64_t *ret_wal)
{
	struct stat st;
	char *wal;
	int r;

	if (stat(v->store->path, &st) < 0)
		return -EIO;
	*ret_database = (uint64_t)st.st_size;
	if (asprintf(&wal, "%s-wal", v->store->path) < 0)
		return -EIO;
	r = stat(wal, &st);
	free(wal);
	*ret_wal = r < 0 ? 0 : (uint64_t)st.st_size;
	return 0;
}
