/*
 * The folder's map: what each file of store/ offers to its siblings.
 *
 * A struct conn is one SQLite connection with its prepared statements, used by one thread at a time. The text of a query
 * stands where it is used; a statement is found again by the address of that text.
 */
#ifndef VOLFS_STORE_INTERNAL_H
#define VOLFS_STORE_INTERNAL_H

#include "base/lock.h"
#include "store/numbers.h"
#include "store/store.h"

#include <errno.h>
#include <sqlite3.h>

enum {
	SCHEMA_VERSION = 5,
	APPLICATION_ID = 0x766f6c66, /* "volf" */
	CONN_STATEMENTS = 512, /* slots; a power of two, more than twice the queries there are */
	PURGED_KEPT_S = 3600,
};

/* --- conn.c --- */

struct conn {
	sqlite3 *db;
	int lost; /* -errno of a failure after which the transaction cannot go on; 0 */
	struct {
		const char *sql;
		sqlite3_stmt *stmt;
	} slot[CONN_STATEMENTS];
};

int conn_open(struct conn *c, const char *path, int flags, int cache_kib, struct err *err);
void conn_close(struct conn *c);

/* The sentence for a failure at opening; returns code. */
int conn_explain(struct conn *c, int code, const char *path, struct err *err);

/* -errno for a result code of SQLite; the one place. */
int conn_errno(int rc);

/*
 * Runs sql with arguments bound by types: 'i' int64_t, 's' text (NULL: null), 'e' text where empty is null, 'b' bytes and
 * size_t as text. conn_do(): to its end; how many rows it changed. conn_row(): to its first row, which the caller reads and
 * gives back by conn_end(); -ENOENT: there is none (nothing to give back). conn_rows(): before its first row.
 */
int conn_do(struct conn *c, const char *sql, const char *types, ...);
int conn_row(struct conn *c, sqlite3_stmt **ret, const char *sql, const char *types, ...);
int conn_rows(struct conn *c, sqlite3_stmt **ret, const char *sql, const char *types, ...);
int conn_next(struct conn *c, sqlite3_stmt *st); /* 1: a row, 0: the end, or -errno */
void conn_end(sqlite3_stmt *st);
/*
 * For a loop over at most n rows. *r: conn_rows()'s result, and then how many were taken, or -errno. True: the row there is number *r - 1.
 * False: there are no more, and the statement is given back.
 */
bool conn_take(struct conn *c, sqlite3_stmt *st, size_t n, int *r);
int conn_exec(struct conn *c, const char *sql); /* several statements, no arguments */

/* conn_do()'s result: 0 for at least one changed row, else -ENOENT. */
static inline int changed(int r)
{
	return r > 0 ? 0 : r == 0 ? -ENOENT : r;
}

/* conn_row()'s result: the number in its only column. */
static inline int id_of(sqlite3_stmt *st, int r, int64_t *ret)
{
	if (r < 0)
		return r;
	*ret = sqlite3_column_int64(st, 0);
	conn_end(st);
	return 0;
}

/* Column as text into an array, "" for null. */
#define col_text(st, i, array) col_copy((st), (i), (array), sizeof(array))
void col_copy(sqlite3_stmt *st, int i, char *to, size_t room);

/* --- open.c, migrate.c --- */

/* The newest event's id, the bytes of all lines so far, and the marks in `counts`. */
struct log_tail {
	int64_t last;
	uint64_t end;
	int64_t start, swept;
};

struct store {
	char *path;
	struct quota defaults;
	struct conn write;     /* the writer thread's, or store_open()'s before it */
	struct writer *writer; /* writer.c; NULL before store_start() */
	int64_t server;	       /* this server's number */
	int64_t answered_from; /* rows of `answered` above it are this server's */
	int64_t began_s;       /* when it began, monotonic */
	bool looks_only;       /* store_look(): views write nothing, not even beside the file */
	struct log_tail log;   /* the writer thread's, uncommitted events included */
	int64_t keep_events, keep_age_s; /* 0: all */
	_Atomic(int64_t) logged;	 /* of the newest committed event */
	struct store_numbers numbers;
	bool earlier_gone; /* the writer thread's: no row of `answered` below that is left */
};

/* all.c: what hangs on volumes, in order of volume. */
enum walk_side { WALK_METAS, WALK_USES, WALK_SNAPSHOTS, WALK_SIDES };
struct side {
	sqlite3_stmt *st; /* NULL: not begun, or at its end */
	int64_t volume;	  /* of the row where it is; 0: not begun; INT64_MAX: at its end */
	bool taken;	  /* that row */
};

enum { WALK_IDS = 2048 };
struct walk {
	int64_t volume;	       /* where it is */
	sqlite3_stmt *volumes; /* of everybody's volumes; NULL: they are in id[] */
	struct log_reader who; /* of others */
	bool one;	       /* of a single volume */
	size_t count, next;    /* of id[] */
	int64_t id[WALK_IDS];
	struct side side[WALK_SIDES];
};

struct view {
	struct store *store;
	struct conn conn;
	struct walk walk;
};

struct tx {
	struct store *store;
	struct conn *conn;
};

int migrate(struct conn *c, int from, struct err *err); /* inside no transaction */
int migrate_create(const char *path, struct err *err);

/* --- writer.c --- */

void writer_free(struct writer *w); /* stopped; NULL is fine */

/* --- volumes.c --- */

/* Drops what the catalogue remembers for a while only; the writer thread, at most once a second. */
int volumes_forget(struct tx *tx);

/* --- answers.c: the same --- */

int answers_forget(struct tx *tx);

/* --- retention.c: the writer thread --- */

/* Moves the log's start, at most once a second, and sweeps behind it. */
int log_forget(struct tx *tx);
/* At the end of each batch: sweeps as much as it has added, and writes down what differs from `before`. */
int log_write(struct tx *tx, const struct log_tail *before);
/* A volume that nobody remembers any more: what was kept of it below the log goes. */
int log_forget_volume(struct tx *tx, int64_t volume);

/* --- snapshots.c --- */

int snapshots_follow(struct tx *tx, int64_t volume, int64_t project);
int snapshots_purge(struct tx *tx, int64_t volume);

/* --- for all.c: statements before their first row, and what reads a row --- */

int volumes_after(struct conn *c, sqlite3_stmt **ret, int64_t after); /* those alive */
int metas_from(struct conn *c, sqlite3_stmt **ret, int64_t volume);
int uses_from(struct conn *c, sqlite3_stmt **ret, int64_t volume);
int snapshots_from(struct conn *c, sqlite3_stmt **ret, int64_t volume);
void volume_row(sqlite3_stmt *st, struct volume *ret);
void meta_row(sqlite3_stmt *st, struct meta_entry *ret);
void use_row(sqlite3_stmt *st, struct use *ret);
void snapshot_row(sqlite3_stmt *st, struct snapshot *ret);

/* --- shared by views and transactions --- */

int volume_get(struct conn *c, int64_t id, struct volume *ret);
int volume_id_by_name(struct conn *c, const char *name, int64_t *ret);
int job_get(struct conn *c, int64_t id, struct job_row *ret);
int backend_get(struct conn *c, int64_t id, struct backend_row *ret);
int view_result(struct view *v, int r); /* logs and turns what is not -ENOENT into -EIO */

#endif
