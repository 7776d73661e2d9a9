/*
 * A filesystem of one directory for tests/system/replace.sh: session, keep and supervisor as in
 * volfs, and nothing else of it. Its names and the answers to changing requests are in an SQLite
 * file, so a killed server loses nothing; what is then still lost, done twice or answered wrongly
 * is the fault of the parts under test.
 *
 *      replace-fs STATE MOUNTPOINT        in front, never gives up
 *
 * While STATE/other exists, a server answers INIT otherwise: as a newer binary may.
 *
 * Besides what is made in it: `text` (a constant, direct I/O, can be mapped), `block` (a read of it
 * blocks until `go` is made), `poll` (ready for poll(2) from then on).
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "fs/session.h"
#include "keep.h"
#include "server.h"
#include "supervisor.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INO_TEXT = 2, INO_BLOCK, INO_POLL, INO_FIRST = 1000, BLOCKED_MAX = 1024 };
static const char text[] = "the same text for everybody\n";
static const char *const fixed[] = { "text", "block", "poll" };

static struct session *session;
static struct keep *keep;
static sqlite3 *db;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* db, blocked */
static fuse_req_t blocked[BLOCKED_MAX];

/* --- the names ------------------------------------------------------------------------------- */

static const char schema[] =
	"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
	"CREATE TABLE IF NOT EXISTS name (ino INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, dir INT);"
	"CREATE TABLE IF NOT EXISTS answered (mount INT, request INT, code INT, ino INT,"
	" PRIMARY KEY (mount, request));"
	"INSERT OR IGNORE INTO sqlite_sequence SELECT 'name', 1000 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence);";

/* Runs one statement; integers and texts by position from the varargs: "it" for (int64_t, const
 * char *). Returns the row's first two integers. SQLITE_ROW, SQLITE_DONE or an error. */
__attribute__((sentinel(0))) static int sql(
	int64_t ret[2], const char *stmt_text, const char *kinds, ...)
{
	sqlite3_stmt *stmt;
	va_list ap;
	int r;

	if (sqlite3_prepare_v2(db, stmt_text, -1, &stmt, NULL) != SQLITE_OK)
		abort();
	va_start(ap, kinds);
	for (int i = 0; kinds[i]; i++) {
		if (kinds[i] == 'i')
			(void)sqlite3_bind_int64(stmt, i + 1, va_arg(ap, int64_t));
		else
			(void)sqlite3_bind_text(
				stmt, i + 1, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
	}
	va_end(ap);
	r = sqlite3_step(stmt);
	for (int i = 0; i < 2 && ret && r == SQLITE_ROW; i++)
		ret[i] = sqlite3_column_int64(stmt, i);
	(void)sqlite3_finalize(stmt);
	return r;
}

static int name_find(const char *name, struct stat *st)
{
	int64_t row[2];

	memset(st, 0, sizeof *st);
	st->st_nlink = 1;
	st->st_mode = S_IFREG | 0644;
	for (size_t i = 0; i < 3; i++) {
		if (strcmp(name, fixed[i]))
			continue;
		st->st_ino = INO_TEXT + i;
		st->st_size = i == 0 ? (off_t)strlen(text) : 0;
		return 0;
	}
	if (sql(row, "SELECT ino, dir FROM name WHERE name = ?", "t", name, NULL) != SQLITE_ROW)
		return -ENOENT;
	st->st_ino = (ino_t)row[0];
	if (row[1])
		st->st_mode = S_IFDIR | 0755;
	return 0;
}

/* --- changes --------------------------------------------------------------------------------- */

static int name_add(const char *name, int dir)
{
	struct stat st;

	if (name_find(name, &st) == 0)
		return -EEXIST;
	return sql(NULL, "INSERT INTO name (name, dir) VALUES (?, ?)", "ti", name, (int64_t)dir,
		       NULL) == SQLITE_DONE
		       ? 0
		       : -EIO;
}

static int name_drop(const char *name, int dir)
{
	struct stat st;

	if (name_find(name, &st) < 0)
		return -ENOENT;
	if (S_ISDIR(st.st_mode) != (dir != 0))
		return dir ? -ENOTDIR : -EISDIR;
	return sql(NULL, "DELETE FROM name WHERE name = ?", "t", name, NULL) == SQLITE_DONE ? 0
											    : -EIO;
}

static int name_move(const char *from, const char *to, unsigned flags)
{
	struct stat st;

	if (name_find(from, &st) < 0)
		return -ENOENT;
	if (name_find(to, &st) == 0) {
		if (flags)
			return -EEXIST;
		(void)sql(NULL, "DELETE FROM name WHERE name = ?", "t", to, NULL);
	}
	return sql(NULL, "UPDATE name SET name = ? WHERE name = ?", "tt", to, from, NULL) ==
			       SQLITE_DONE
		       ? 0
		       : -EIO;
}

enum change_op { ADD_FILE, ADD_DIR, DROP_FILE, DROP_DIR, MOVE };

static int carry_out(enum change_op op, const char *name, const char *to, unsigned flags)
{
	switch (op) {
	case ADD_FILE:
	case ADD_DIR:
		return name_add(name, op == ADD_DIR);
	case DROP_FILE:
	case DROP_DIR:
		return name_drop(name, op == DROP_DIR);
	case MOVE:
		return name_move(name, to, flags);
	}
	return -EIO;
}

/* A change and its answer in one transaction; a request that was sent again is answered as it was.
 */
static int change(
	enum change_op op, const char *name, const char *to, unsigned flags, struct stat *st)
{
	struct change_id id = session_change_id(session);
	int64_t row[2];
	int r;

	pthread_mutex_lock(&mutex);
	(void)sql(NULL, "BEGIN IMMEDIATE", "", NULL);
	if (id.resent && sql(row, "SELECT code, 0 FROM answered WHERE mount = ? AND request = ?",
				 "ii", (int64_t)id.mount, (int64_t)id.unique, NULL) == SQLITE_ROW) {
		r = (int)row[0];
	} else {
		r = carry_out(op, name, to, flags);
		(void)sql(NULL, "INSERT OR REPLACE INTO answered VALUES (?, ?, ?, 0)", "iii",
			(int64_t)id.mount, (int64_t)id.unique, (int64_t)r, NULL);
	}
	if (r == 0 && st)
		(void)name_find(name, st);
	(void)sql(NULL, "COMMIT", "", NULL);
	pthread_mutex_unlock(&mutex);
	return r;
}

/* --- handlers -------------------------------------------------------------------------------- */

static bool gone_ahead(void)
{
	struct stat st;

	return name_find("go", &st) == 0;
}

static void reply_entry(fuse_req_t req, int r, const struct stat *st)
{
	struct fuse_entry_param e = { .attr_timeout = 1, .entry_timeout = 1 };

	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	e.ino = st->st_ino;
	e.attr = *st;
	(void)fuse_reply_entry(req, &e);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct stat st;
	int r;

	pthread_mutex_lock(&mutex);
	r = name_find(name, &st);
	pthread_mutex_unlock(&mutex);
	reply_entry(req, r, &st);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st = { .st_ino = ino, .st_mode = S_IFREG | 0644, .st_nlink = 1 };
	int64_t row[2] = { 0, 0 };

	pthread_mutex_lock(&mutex);
	if (ino == FUSE_ROOT_ID)
		st.st_mode = S_IFDIR | 01777;
	else if (ino == INO_TEXT)
		st.st_size = (off_t)strlen(text);
	else if (ino >= INO_FIRST &&
		 sql(row, "SELECT dir, 0 FROM name WHERE ino = ?", "i", (int64_t)ino, NULL) ==
			 SQLITE_ROW &&
		 row[0])
		st.st_mode = S_IFDIR | 0755;
	pthread_mutex_unlock(&mutex);
	(void)fuse_reply_attr(req, &st, 1);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct stat st;
	int r = change(ADD_DIR, name, NULL, 0, &st);

	reply_entry(req, r, &st);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)fuse_reply_err(req, -change(DROP_DIR, name, NULL, 0, NULL));
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)fuse_reply_err(req, -change(DROP_FILE, name, NULL, 0, NULL));
}

static void op_rename(fuse_req_t req, fuse_ino_t from, const char *name, fuse_ino_t to,
	const char *new_name, unsigned flags)
{
	(void)fuse_reply_err(req, -change(MOVE, name, new_name, flags, NULL));
}

/* Answers everybody who waited, and wakes who polls. */
static void wake_all(void)
{
	pthread_mutex_lock(&mutex);
	for (size_t i = 0; i < BLOCKED_MAX; i++) {
		if (blocked[i])
			(void)fuse_reply_buf(blocked[i], "gone\n", 5);
		blocked[i] = NULL;
	}
	pthread_mutex_unlock(&mutex);
	for (uint32_t i = 0; i < KEEP_POLLS; i++)
		if (keep->poll[i])
			session_poll_wake(session, keep->poll[i]);
}

static void op_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fuse_entry_param e = { .attr_timeout = 1, .entry_timeout = 1 };
	int r = change(ADD_FILE, name, NULL, 0, &e.attr);

	e.ino = e.attr.st_ino;
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_create(req, &e, fi);
	if (!strcmp(name, "go"))
		wake_all();
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	fi->noflush = 1;
	(void)fuse_reply_open(req, fi);
}

static void block(fuse_req_t req)
{
	bool waits = false;

	pthread_mutex_lock(&mutex);
	for (size_t i = 0; i < BLOCKED_MAX && !waits && !gone_ahead(); i++) {
		if (!blocked[i]) {
			blocked[i] = req;
			waits = true;
		}
	}
	pthread_mutex_unlock(&mutex);
	if (!waits)
		(void)fuse_reply_buf(req, "gone\n", 5);
}

static void op_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	size_t len = ino == INO_TEXT ? strlen(text) : 0;

	if (ino == INO_BLOCK && off == 0)
		block(req);
	else if ((size_t)off >= len)
		(void)fuse_reply_buf(req, NULL, 0);
	else
		(void)fuse_reply_buf(
			req, text + off, len - (size_t)off < size ? len - (size_t)off : size);
}

static void op_poll(
	fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	bool ready;

	if (ph)
		(void)keep_poll_add(keep, session_poll_kh());
	fuse_pollhandle_destroy(ph);
	pthread_mutex_lock(&mutex);
	ready = ino != INO_POLL || gone_ahead();
	pthread_mutex_unlock(&mutex);
	(void)fuse_reply_poll(req, ready ? POLLIN | POLLPRI : 0);
}

static size_t add_entry(fuse_req_t req, char *buf, size_t len, size_t size, const char *name,
	const struct stat *st, off_t at)
{
	size_t need = fuse_add_direntry(req, NULL, 0, name, st, at);

	if (len + need > size)
		return 0;
	(void)fuse_add_direntry(req, buf + len, size - len, name, st, at);
	return need;
}

/* Offsets: 1 to 3 the fixed names, then inode numbers. */
static void op_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	CLEANUP_FREE char *buf = malloc(size);
	size_t len = 0, n = 1;
	sqlite3_stmt *stmt;

	pthread_mutex_lock(&mutex);
	for (; buf && ino == FUSE_ROOT_ID && off < 3 && n; off++) {
		struct stat st = { .st_ino = INO_TEXT + (ino_t)off, .st_mode = S_IFREG };

		len += n = add_entry(req, buf, len, size, fixed[off], &st, off + 1);
	}
	if (buf && ino == FUSE_ROOT_ID &&
		sqlite3_prepare_v2(db, "SELECT ino, dir, name FROM name WHERE ino > ? ORDER BY ino",
			-1, &stmt, NULL) == SQLITE_OK) {
		(void)sqlite3_bind_int64(stmt, 1, off);
		while (n && sqlite3_step(stmt) == SQLITE_ROW) {
			struct stat st = { .st_ino = (ino_t)sqlite3_column_int64(stmt, 0),
				.st_mode = sqlite3_column_int(stmt, 1) ? S_IFDIR : S_IFREG };

			len += n = add_entry(req, buf, len, size,
				(const char *)sqlite3_column_text(stmt, 2), &st, (off_t)st.st_ino);
		}
		(void)sqlite3_finalize(stmt);
	}
	pthread_mutex_unlock(&mutex);
	(void)fuse_reply_buf(req, buf, len);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	if (access(userdata, F_OK) == 0)
		conn->time_gran = 1000;
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.mkdir = op_mkdir,
	.rmdir = op_rmdir,
	.unlink = op_unlink,
	.rename = op_rename,
	.create = op_create,
	.open = op_open,
	.read = op_read,
	.poll = op_poll,
	.readdir = op_readdir,
};

/* --- life ------------------------------------------------------------------------------------ */

static void on_term(int signal)
{
	if (session)
		session_quit(session);
}

/* Answers of servers before the last can no longer be asked for; here all but the newest 10,000 go.
 */
static void open_names(const char *state)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/names.db", state) < 0 || sqlite3_open(path, &db) != SQLITE_OK ||
		sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK) {
		log_err("replace-fs: %s", db ? sqlite3_errmsg(db) : "no memory");
		_exit(SERVER_REFUSED);
	}
	(void)sqlite3_exec(db,
		"DELETE FROM answered WHERE rowid < (SELECT max(rowid) - 10000 FROM answered)",
		NULL, NULL, NULL);
}

static int serve(char **argv)
{
	int fuse_fd, keep_fd, ready_fd, lock_fd;
	CLEANUP_FREE char *other = NULL;
	struct err err;
	const char ready = SERVER_READY;

	if (sscanf(argv[2], "%d,%d,%d,%d", &fuse_fd, &keep_fd, &ready_fd, &lock_fd) != 4)
		return 2;
	(void)signal(SIGTERM, on_term);
	(void)signal(SIGHUP, on_term);
	open_names(argv[5]);
	if (asprintf(&other, "%s/other", argv[5]) < 0)
		return SERVER_FAILED;
	if (keep_map(keep_fd, &keep, &err) < 0)
		return SERVER_REMOUNT;
	keep_succeed(keep);
	if (session_new(&ops, other, keep, fuse_fd, 0, &session, &err) < 0 ||
		session_take_over(session, &err) < 0 || session_start(session, &err) < 0) {
		log_err("replace-fs: %s", err.text);
		return err.code == -ESTALE ? SERVER_REMOUNT : SERVER_FAILED;
	}
	if (write(ready_fd, &ready, 1) != 1)
		return SERVER_FAILED;
	(void)close(ready_fd);
	(void)session_wait(session);
	session_stop(session);
	session_free(session);
	return 0;
}

int main(int argc, char **argv)
{
	struct supervisor_args args = { .foreground = true, .source = "replace-fs" };
	CLEANUP_FREE char *database = NULL;

	log_open(LOG_TO_STDERR, NULL);
	if (argc > 5 && !strcmp(argv[1], "--server"))
		return serve(argv);
	if (argc > 1 && !strcmp(argv[1], "--check-config"))
		return 0;
	if (argc != 3 || asprintf(&database, "%s/names.db", argv[1]) < 0)
		return 2;
	args.config = argv[1];
	args.mountpoint = argv[2];
	args.database = database;
	return supervisor_run(&args);
}
