/*
 * Opening the catalogue. What is wrong with a file is looked for from outside first, so that a file which is refused stays
 * byte for byte as it was, without a -wal or -shm beside it.
 */
#include "store/internal.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	WRITER_CACHE_KIB = 4096,
	VIEW_CACHE_KIB = 512, /* one for each thread that reads */
	HEADER = 100,	      /* bytes of SQLite's header */
	HEADER_PAGE_SIZE = 16,
	HEADER_PAGES = 28,
	HEADER_USER_VERSION = 60,
	HEADER_APPLICATION_ID = 68,
	WAL_LIMIT = 64 << 20, /* a longer -wal is cut when it starts over */
};

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int refuse_older(const char *path, int version, struct err *err)
{
	return err_set(err, -EPROTO,
		"the catalogue '%s' is of version %d, this volfs knows %d: start it once, which brings the "
		"catalogue over",
		path, version, SCHEMA_VERSION);
}

static int refuse_newer(const char *path, int version, struct err *err)
{
	return err_set(err, -EPROTO,
		"the catalogue '%s' is of a newer version (%d) than this volfs knows (%d): install the "
		"newer volfs again",
		path, version, SCHEMA_VERSION);
}

static bool has_wal(const char *path)
{
	CLEANUP_FREE char *wal = NULL;
	struct stat st;

	return asprintf(&wal, "%s-wal", path) >= 0 && stat(wal, &st) == 0 && st.st_size > 0;
}

/* The first bytes of the file. user_version may be older there than in the -wal; never newer. */
static int check_header(const char *path, int fd, off_t size, struct err *err)
{
	unsigned char h[HEADER];
	uint32_t page;

	if (size < HEADER || pread(fd, h, sizeof h, 0) != HEADER ||
		memcmp(h, "SQLite format 3", 16) != 0)
		return err_set(err, -EUCLEAN,
			"'%s' is damaged or no catalogue: it does not begin as a database does",
			path);
	if (be32(h + HEADER_APPLICATION_ID) != APPLICATION_ID)
		return err_set(
			err, -EUCLEAN, "'%s' is a database, but not a catalogue of volfs", path);
	if (be32(h + HEADER_USER_VERSION) > SCHEMA_VERSION)
		return refuse_newer(path, (int)be32(h + HEADER_USER_VERSION), err);
	page = (uint32_t)h[HEADER_PAGE_SIZE] << 8 | h[HEADER_PAGE_SIZE + 1];
	page = page == 1 ? 65536 : page;
	/* With a -wal the missing pages may stand there: a checkpoint writes page 1 first. */
	if (!has_wal(path) && (off_t)page * be32(h + HEADER_PAGES) > size)
		return err_set(err, -EUCLEAN,
			"the catalogue '%s' is damaged: it is cut off (%lld bytes of %lld)", path,
			(long long)size, (long long)page * be32(h + HEADER_PAGES));
	return 0;
}

static int count_row(void *arg, int n, char **value, char **name)
{
	++*(int *)arg;
	return 0;
}

/*
 * Looks at the schema and at the first row of every table, which reads every root page: damage of what everything hangs on. All of
 * it would take minutes with a million volumes.
 */
static int check_tables(struct conn *c, const char *path, struct err *err)
{
	static const char *const sql[] = {
		"SELECT name FROM sqlite_schema",
		"SELECT id FROM volume WHERE id = (SELECT max(id) FROM volume)",
		"SELECT id FROM volume WHERE uuid > '' LIMIT 1",
		"SELECT id FROM volume WHERE name > '' AND trashed = 0 LIMIT 1",
		"SELECT id FROM project LIMIT 1",
		"SELECT id FROM backend LIMIT 1",
		"SELECT id FROM meta LIMIT 1",
		"SELECT id FROM job LIMIT 1",
		"SELECT id FROM job WHERE backend > 0 LIMIT 1",
		"SELECT id FROM event LIMIT 1",
		"SELECT volumes FROM counts WHERE id = 1",
	};

	for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
		int rows = 0;
		int rc = sqlite3_exec(c->db, sql[i], count_row, &rows, NULL);

		if (rc != SQLITE_OK)
			return err_set(err, rc == SQLITE_NOMEM ? -ENOMEM : -EUCLEAN,
				"the catalogue '%s' is damaged: %s", path, sqlite3_errmsg(c->db));
	}
	return 0;
}

/* immutable=1: SQLite makes no file beside it. Only right where no -wal waits to be read. */
static int check_untouched(const char *path, struct err *err)
{
	struct conn c;
	struct buf uri = { 0 };
	int r;

	buf_adds(&uri, "file:");
	for (const char *p = path; *p; p++) {
		if (strchr("%?#", *p))
			buf_addf(&uri, "%%%02X", (unsigned)(unsigned char)*p);
		else
			buf_addc(&uri, *p);
	}
	buf_adds(&uri, "?immutable=1");
	r = buf_failed(&uri)
		    ? -ENOMEM
		    : conn_open(&c, uri.at, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, 512, err);
	buf_release(&uri);
	if (r < 0)
		return r;
	r = check_tables(&c, path, err);
	conn_close(&c);
	return r;
}

static int check_file(const char *path, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(
			err, -errno, "cannot open the catalogue '%s': %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "the catalogue '%s' is not a regular file", path);
	r = check_header(path, fd, st.st_size, err);
	if (r == 0 && !has_wal(path))
		r = check_untouched(path, err);
	return r;
}

static int check_directory(const char *path, struct err *err)
{
	CLEANUP_FREE char *copy = strdup(path);
	struct stat st;

	if (!copy)
		return -ENOMEM;
	if (stat(dirname(copy), &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return err_set(err, -ENOENT,
		"cannot make the catalogue '%s': its directory does not exist; make it with mkdir -p",
		path);
}

/* The catalogue is there and sound as far as one look can tell. */
static int find_or_create(const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) == 0 && st.st_size > 0)
		return check_file(path, err);
	if (check_directory(path, err) < 0)
		return -ENOENT;
	return migrate_create(path, err);
}

static int open_writer(struct store *s, struct err *err)
{
	sqlite3_stmt *st;
	char sql[160];
	int r, version;

	r = conn_open(&s->write, s->path, SQLITE_OPEN_READWRITE, WRITER_CACHE_KIB, err);
	if (r < 0)
		return r;
	r = conn_row(&s->write, &st, "PRAGMA user_version", "");
	if (r < 0)
		return conn_explain(&s->write, r, s->path, err);
	version = sqlite3_column_int(st, 0);
	conn_end(st);
	if (version > SCHEMA_VERSION)
		return refuse_newer(s->path, version, err);
	if (version < 1)
		return err_set(err, -EUCLEAN, "the catalogue '%s' is damaged: its version is %d",
			s->path, version);
	(void)snprintf(sql, sizeof sql,
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; "
		"PRAGMA journal_size_limit=%d",
		WAL_LIMIT);
	r = conn_exec(&s->write, sql);
	if (r < 0)
		return conn_explain(&s->write, r, s->path, err);
	r = check_tables(&s->write, s->path, err);
	return r < 0 ? r : migrate(&s->write, version, err);
}

int store_open(const char *path, const struct quota *defaults, struct store **ret, struct err *err)
{
	struct store *s;
	int r;

	/* Before SQLite's first use: its count of all memory is one mutex that every thread's every allocation takes. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	r = find_or_create(path, err);
	if (r < 0)
		return r;
	s = calloc(1, sizeof *s);
	if (!s || !(s->path = strdup(path))) {
		free(s);
		return err_set(err, -ENOMEM, "out of memory");
	}
	s->defaults = *defaults;
	r = open_writer(s, err);
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

static int look_at_version(struct store *s, struct err *err)
{
	sqlite3_stmt *st;
	struct view *v;
	int version = 0, r = view_open(s, &v, err);

	if (r < 0)
		return r;
	r = conn_row(&v->conn, &st, "PRAGMA user_version", "");
	if (r == 0) {
		version = sqlite3_column_int(st, 0);
		conn_end(st);
		r = check_tables(&v->conn, s->path, err);
	} else {
		conn_explain(&v->conn, r, s->path, err);
	}
	view_close(v);
	if (r < 0 || version == SCHEMA_VERSION)
		return r;
	return version > SCHEMA_VERSION ? refuse_newer(s->path, version, err)
					: refuse_older(s->path, version, err);
}

int store_look(const char *path, const struct quota *defaults, struct store **ret, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct store *s;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(
			err, -errno, "cannot open the catalogue '%s': %s", path, strerror(errno));
	r = check_header(path, fd, st.st_size, err);
	if (r < 0)
		return r;
	s = calloc(1, sizeof *s);
	if (!s || !(s->path = strdup(path))) {
		free(s);
		return err_set(err, -ENOMEM, "out of memory");
	}
	s->defaults = *defaults;
	s->looks_only = true;
	r = look_at_version(s, err);
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	writer_free(s->writer);
	conn_close(&s->write);
	free(s->path);
	free(s);
}

int view_open(struct store *s, struct view **ret, struct err *err)
{
	struct view *v = calloc(1, sizeof *v);
	int r;

	if (!v)
		return err_set(err, -ENOMEM, "out of memory");
	v->store = s;
	r = conn_open(&v->conn, s->path,
		s->looks_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE, VIEW_CACHE_KIB, err);
	if (r == 0)
		r = conn_exec(&v->conn, "PRAGMA query_only=ON");
	if (r < 0) {
		conn_close(&v->conn);
		free(v);
		return r;
	}
	*ret = v;
	return 0;
}

void view_close(struct view *v)
{
	if (!v)
		return;
	conn_close(&v->conn);
	free(v);
}

int view_result(struct view *v, int r)
{
	v->conn.lost = 0; /* what failed once may work the next time */
	return r >= 0 || r == -ENOENT ? r : -EIO;
}
