#include "store/internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int conn_errno(int rc)
{
	if (rc == SQLITE_IOERR_SHMSIZE)
		return -ENOSPC; /* the -shm file cannot grow: that is what it means */
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	default:
		return -EIO;
	}
}

int conn_exec(struct conn *c, const char *sql)
{
	int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
	int r = conn_errno(rc);

	if (r < 0 && r != -EEXIST)
		log_err_seldom("catalogue: %s: %s", sqlite3_errmsg(c->db), sql);
	return r;
}

int conn_explain(struct conn *c, int code, const char *path, struct err *err)
{
	if (code == -ENOSPC)
		return err_set(
			err, code, "cannot open the catalogue '%s': no room on its disk", path);
	if (code == -EUCLEAN)
		return err_set(err, code, "the catalogue '%s' is damaged: %s", path,
			sqlite3_errmsg(c->db));
	return err_set(
		err, code, "cannot open the catalogue '%s': %s", path, sqlite3_errmsg(c->db));
}

int conn_open(struct conn *c, const char *path, int flags, int cache_kib, struct err *err)
{
	char sql[256];
	int rc, r;

	*c = (struct conn){ 0 };
	rc = sqlite3_open_v2(
		path, &c->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (rc != SQLITE_OK) {
		r = err_set(err, conn_errno(rc), "cannot open the catalogue '%s': %s", path,
			c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc));
		conn_close(c);
		return r;
	}
	/* Another connection holds a lock only while it checkpoints or recovers after a crash. */
	sqlite3_busy_timeout(c->db, 10000);
	/* temp_store: a sort or a statement journal never needs a second disk that can be full. */
	(void)snprintf(sql, sizeof sql,
		"PRAGMA cache_size=-%d; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; "
		"PRAGMA foreign_keys=OFF; PRAGMA trusted_schema=OFF;",
		cache_kib);
	r = conn_exec(c, sql);
	if (r < 0) {
		conn_explain(c, r, path, err);
		conn_close(c);
	}
	return r;
}

void conn_close(struct conn *c)
{
	for (size_t i = 0; i < CONN_STATEMENTS; i++)
		sqlite3_finalize(c->slot[i].stmt);
	sqlite3_close(c->db);
	*c = (struct conn){ 0 };
}

/* Notes a failure after which SQLite itself may have rolled the transaction back. */
static int failed(struct conn *c, int rc, const char *sql)
{
	int r = conn_errno(rc);

	if (r == -EEXIST)
		return r;
	log_err_seldom("catalogue: %s: %s", sqlite3_errmsg(c->db), sql);
	c->lost = r;
	return r;
}

static sqlite3_stmt *statement(struct conn *c, const char *sql)
{
	size_t i = ((uintptr_t)sql >> 3) * 0x9E3779B97F4A7C15u >> 56;
	int rc;

	for (;; i++) {
		i &= CONN_STATEMENTS - 1;
		if (c->slot[i].sql == sql)
			return c->slot[i].stmt;
		if (!c->slot[i].sql)
			break;
	}
	rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &c->slot[i].stmt, NULL);
	if (rc != SQLITE_OK) {
		failed(c, rc, sql);
		return NULL;
	}
	c->slot[i].sql = sql;
	return c->slot[i].stmt;
}

static void bind(sqlite3_stmt *st, const char *types, va_list ap)
{
	const char *text;
	size_t len;

	for (int i = 1; *types; i++, types++) {
		switch (*types) {
		case 'i':
			sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
			break;
		case 'b':
			text = va_arg(ap, const char *);
			len = va_arg(ap, size_t);
			sqlite3_bind_text64(
				st, i, text ? text : "", len, SQLITE_STATIC, SQLITE_UTF8);
			break;
		default:
			text = va_arg(ap, const char *);
			if (text && (*types == 's' || *text))
				sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
			else
				sqlite3_bind_null(st, i);
		}
	}
}

void conn_end(sqlite3_stmt *st)
{
	sqlite3_reset(st);
	sqlite3_clear_bindings(st); /* they point into the caller's memory */
}

int conn_next(struct conn *c, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st), r;

	if (rc == SQLITE_ROW)
		return 1;
	r = rc == SQLITE_DONE ? 0 : failed(c, rc, sqlite3_sql(st));
	conn_end(st);
	return r;
}

bool conn_take(struct conn *c, sqlite3_stmt *st, size_t n, int *r)
{
	int taken = *r, next;

	if (taken < 0)
		return false;
	if ((size_t)taken == n) {
		conn_end(st);
		return false;
	}
	next = conn_next(c, st);
	*r = next < 0 ? next : taken + next;
	return next > 0;
}

static int start(struct conn *c, sqlite3_stmt **ret, const char *sql, const char *types, va_list ap)
{
	if (c->lost)
		return c->lost;
	*ret = statement(c, sql);
	if (!*ret)
		return c->lost ? c->lost : -EIO;
	bind(*ret, types, ap);
	return 0;
}

int conn_rows(struct conn *c, sqlite3_stmt **ret, const char *sql, const char *types, ...)
{
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(c, ret, sql, types, ap);
	va_end(ap);
	return r;
}

int conn_row(struct conn *c, sqlite3_stmt **ret, const char *sql, const char *types, ...)
{
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(c, ret, sql, types, ap);
	va_end(ap);
	if (r < 0)
		return r;
	r = conn_next(c, *ret);
	return r == 1 ? 0 : r == 0 ? -ENOENT : r;
}

int conn_do(struct conn *c, const char *sql, const char *types, ...)
{
	sqlite3_stmt *st;
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(c, &st, sql, types, ap);
	va_end(ap);
	if (r < 0)
		return r;
	do
		r = conn_next(c, st);
	while (r == 1);
	return r < 0 ? r : sqlite3_changes(c->db);
}

void col_copy(sqlite3_stmt *st, int i, char *to, size_t room)
{
	const char *text = (const char *)sqlite3_column_text(st, i);
	size_t n = text ? (size_t)sqlite3_column_bytes(st, i) : 0;

	if (n >= room)
		n = room - 1;
	if (n)
		memcpy(to, text, n);
	to[n] = '\0';
}
