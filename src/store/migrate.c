/*
 * Versions of the schema. A new catalogue is made beside its place and renamed into it, so that a file of that name is always a
 * whole one: a process that dies in between leaves nothing that the next start would have to refuse.
 */
#include "store/internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char schema[] =
#include "store/schema.h"
	;

static const char from_1_to_2[] =
#include "store/from-1-to-2.h"
	;

static const char from_2_to_3[] =
#include "store/from-2-to-3.h"
	;

static const char from_3_to_4[] =
#include "store/from-3-to-4.h"
	;

static const char from_4_to_5[] =
#include "store/from-4-to-5.h"
	;

/* steps[i] brings version i + 1 to i + 2. */
static const char *const steps[SCHEMA_VERSION - 1] = { from_1_to_2, from_2_to_3, from_3_to_4,
	from_4_to_5 };

int migrate(struct conn *c, int from, struct err *err)
{
	for (int v = from; v < SCHEMA_VERSION; v++) {
		char sql[64];
		int r;

		(void)snprintf(sql, sizeof sql, "PRAGMA user_version=%d", v + 1);
		r = conn_exec(c, "BEGIN IMMEDIATE");
		r = r < 0 ? r : conn_exec(c, steps[v - 1]);
		r = r < 0 ? r : conn_exec(c, sql);
		r = r < 0 ? r : conn_exec(c, "COMMIT");
		if (r < 0) {
			err_set(err, r, "cannot bring the catalogue to version %d: %s", v + 1,
				sqlite3_errmsg(c->db));
			if (!sqlite3_get_autocommit(c->db))
				(void)conn_exec(c, "ROLLBACK");
			return r;
		}
	}
	return 0;
}

static int fill(const char *path, struct err *err)
{
	struct conn c;
	char sql[160];
	int r;

	r = conn_open(&c, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, 1024, err);
	if (r < 0)
		return r;
	(void)snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
		APPLICATION_ID, SCHEMA_VERSION);
	/*
	 * A creation changes a dozen pages by some bytes each, and each goes into the -wal whole, with a check sum. Of 2 KiB instead
	 * of SQLite's 4, that is 30 of the 370 us of a spec's close(2), and lists a million volumes as fast.
	 */
	r = conn_exec(&c, "PRAGMA page_size=2048; PRAGMA synchronous=FULL; BEGIN IMMEDIATE");
	r = r < 0 ? r : conn_exec(&c, schema);
	r = r < 0 ? r : conn_exec(&c, sql);
	if (r < 0)
		err_set(err, r, "cannot make the catalogue '%s': %s", path, sqlite3_errmsg(c.db));
	conn_close(&c);
	return r;
}

static int sync_directory_of(const char *path)
{
	CLEANUP_FREE char *copy = strdup(path);
	CLEANUP_FD int fd = -1;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int migrate_create(const char *path, struct err *err)
{
	CLEANUP_FREE char *fresh = NULL;
	int r;

	if (asprintf(&fresh, "%s.new", path) < 0)
		return -ENOMEM;
	if (unlink(fresh) < 0 && errno != ENOENT)
		return err_set(err, -errno, "cannot remove '%s': %s", fresh, strerror(errno));
	r = fill(fresh, err);
	if (r < 0) {
		(void)unlink(fresh);
		return r;
	}
	if (rename(fresh, path) < 0)
		return err_set(
			err, -errno, "cannot make the catalogue '%s': %s", path, strerror(errno));
	r = sync_directory_of(path);
	if (r < 0)
		return err_set(
			err, r, "cannot make the catalogue '%s' durable: %s", path, strerror(-r));
	return 0;
}
