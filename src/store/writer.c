/*
 * The one writer: group commit.
 *
 *   submit ──▶ list ──▶ BEGIN  (SAVEPOINT run RELEASE)*  COMMIT ──▶ committed() ──▶ ended()* ──▶ done()*
 *
 * While a commit waits for the disk the next batch gathers by itself; nothing is delayed on purpose.
 *
 * Checkpoints: SQLite would run them inside the commit that crosses a limit, which then takes ten times as long. So a second
 * thread moves the -wal into the database while the writer goes on (PASSIVE waits for nobody). The -wal starts over only at a
 * moment when all of it has been moved, which under steady writing never comes by itself: past WAL_HARD pages the writer moves the
 * rest between two batches. That bounds it.
 */
#include "store/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	BATCH_MAX = 256, /* bounds how long the first waits for the last */
	WAL_SOFT = 2000, /* pages of 2 KiB (migrate.c) */
	WAL_HARD = 16000,
	FORGET_MS = 1000,
};

const struct bounds store_batch_bounds = { 9, 1, { 1, 2, 4, 8, 16, 32, 64, 128, 256 } };
const struct bounds store_commit_bounds = { 12, BOUNDS_SEC,
	{ BOUNDS_MS / 10, BOUNDS_MS / 4, BOUNDS_MS / 2, BOUNDS_MS, 5 * BOUNDS_MS / 2, 5 * BOUNDS_MS,
		10 * BOUNDS_MS, 25 * BOUNDS_MS, 50 * BOUNDS_MS, 100 * BOUNDS_MS, 250 * BOUNDS_MS,
		BOUNDS_SEC } };

struct writer {
	struct store *store;
	struct store_hooks hooks;
	struct lock lock;	      /* leaf: nothing is taken under it */
	pthread_cond_t work, page;    /* lock: something to commit; something to move */
	struct change *first, **last; /* lock */
	bool ending, ended;	      /* lock; no more is taken up; no more is taken in */
	int wal_pages;		      /* lock; as of the last commit */
	int64_t forgot_ns;	      /* the writer thread's */
	bool server_written;	      /* the writer thread's */
	bool lazy;		      /* the writer thread's: synchronous is NORMAL */
	pthread_t thread, mover;
	struct conn move; /* the mover's */
};

static struct change *take_batch(struct writer *w)
{
	struct change *batch, *c;
	int n = 1;

	LOCK_SCOPE(&w->lock);
	while (!w->first && !w->ending)
		lock_wait(&w->lock, &w->work);
	batch = c = w->first;
	if (!c)
		return NULL;
	while (c->next && n++ < BATCH_MAX)
		c = c->next;
	w->first = c->next;
	if (!w->first)
		w->last = &w->first;
	c->next = NULL;
	return batch;
}

/* One change in its savepoint. Negative: the whole transaction is lost. */
static int run_one(struct tx *tx, struct change *c)
{
	struct conn *conn = tx->conn;
	struct log_tail log = tx->store->log;
	int r;

	c->err = (struct err){ 0 };
	r = conn_do(conn, "SAVEPOINT one", "");
	if (r < 0)
		return r;
	c->code = c->run(c, tx, &c->err);
	if (!conn->lost && c->code < 0) {
		counter_add(&tx->store->numbers.refused, 1);
		conn_do(conn, "ROLLBACK TO one", "");
		tx->store->log = log;
	}
	if (!conn->lost)
		conn_do(conn, "RELEASE one", "");
	return conn->lost;
}

static void forget_old(struct writer *w, struct tx *tx)
{
	int64_t now = clock_mono_ns();

	if (now - w->forgot_ns < FORGET_MS * INT64_C(1000000))
		return;
	w->forgot_ns = now;
	(void)answers_forget(tx);
	(void)volumes_forget(tx);
	(void)log_forget(tx);
}

static int write_server(struct store *s)
{
	return conn_do(&s->write, "UPDATE counts SET server = ?", "i", s->server);
}

/* Does anybody wait for the disk? In WAL mode NORMAL leaves out the fsync of a commit and nothing else: order and atomicity stay. */
static int set_durability(struct writer *w, const struct change *batch)
{
	bool lazy = true;
	int r;

	for (const struct change *c = batch; c && lazy; c = c->next)
		lazy = c->lazy;
	if (lazy == w->lazy)
		return 0;
	r = conn_exec(
		&w->store->write, lazy ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL");
	if (r == 0)
		w->lazy = lazy;
	return r;
}

static int run_batch(struct writer *w, struct change *batch)
{
	struct conn *conn = &w->store->write;
	struct store *s = w->store;
	struct tx tx = { .store = s, .conn = conn };
	struct log_tail log = s->log;
	int64_t changes = sqlite3_total_changes64(conn->db);
	int r, server_written = 0;

	conn->lost = 0;
	r = set_durability(w, batch);
	r = r < 0 ? r : conn_do(conn, "BEGIN IMMEDIATE", "");
	for (struct change *c = batch; c && r >= 0; c = c->next)
		r = run_one(&tx, c);
	if (r >= 0) {
		forget_old(w, &tx);
		r = log_write(&tx, &log);
	}
	/* Not if nothing else is written: that needs no room on the disk. */
	if (r >= 0 && !w->server_written && sqlite3_total_changes64(conn->db) != changes)
		r = server_written = write_server(s);
	r = r < 0 ? r : conn_do(conn, "COMMIT", "");
	if (r >= 0) {
		w->server_written = w->server_written || server_written > 0;
		atomic_store(&s->logged, s->log.last);
		return 0;
	}
	s->log = log;
	if (!sqlite3_get_autocommit(conn->db))
		(void)sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL);
	conn->lost = 0;
	return r == -ENOSPC ? -ENOSPC : -EIO;
}

/* run_batch(), and what it came to. */
static int commit_batch(struct writer *w, struct change *batch)
{
	struct store_numbers *n = &w->store->numbers;
	int64_t from_ns = clock_mono_ns();
	uint64_t changes = 0;
	int lost = run_batch(w, batch);

	if (lost) {
		counter_add(&n->lost, 1);
		return lost;
	}
	for (const struct change *c = batch; c; c = c->next)
		changes++;
	histogram_add(&n->batch, &store_batch_bounds, changes);
	histogram_add(&n->commit, &store_commit_bounds, (uint64_t)(clock_mono_ns() - from_ns));
	return 0;
}

static void explain_loss(struct change *c, int lost)
{
	c->code = lost == -ENOSPC
			  ? err_set(&c->err, lost, "no room on the disk of the catalogue")
			  : err_set(&c->err, lost, "the catalogue cannot be written: see the log");
}

/* The work that follows from the batch begins before anybody is told of it: telling takes longer. */
static void answer(struct writer *w, struct change *batch, int lost)
{
	struct change *next;

	for (struct change *c = batch; c; c = c->next) {
		if (lost)
			explain_loss(c, lost);
		if (c->ended)
			c->ended(c, c->code);
	}
	if (w->hooks.ended)
		w->hooks.ended(w->hooks.arg);
	for (struct change *c = batch; c; c = next) {
		next = c->next; /* done() may free it */
		c->done(c, c->code, &c->err);
	}
}

static void bound_wal(struct writer *w)
{
	int pages;

	lock_take(&w->lock);
	pages = w->wal_pages;
	if (pages > WAL_SOFT)
		pthread_cond_signal(&w->page);
	lock_drop(&w->lock);
	if (pages > WAL_HARD)
		(void)sqlite3_wal_checkpoint_v2(
			w->store->write.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void *write_thread(void *arg)
{
	struct writer *w = arg;
	struct change *batch;

	pthread_setname_np(pthread_self(), "writer");
	while ((batch = take_batch(w))) {
		int lost = commit_batch(w, batch);

		if (w->hooks.committed)
			w->hooks.committed(w->hooks.arg, lost == 0);
		answer(w, batch, lost);
		bound_wal(w);
	}
	return NULL;
}

/* After each commit, in the writer thread; being set, it replaces SQLite's own checkpoints. */
static int count_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct writer *w = arg;

	counter_set(&w->store->numbers.wal, (uint64_t)pages);
	LOCK_SCOPE(&w->lock);
	w->wal_pages = pages;
	return SQLITE_OK;
}

static bool wait_for_pages(struct writer *w)
{
	LOCK_SCOPE(&w->lock);
	while (w->wal_pages <= WAL_SOFT && !w->ending)
		lock_wait(&w->lock, &w->page);
	w->wal_pages = 0; /* until the next commit counts them again */
	return !w->ending;
}

static void *move_thread(void *arg)
{
	struct writer *w = arg;

	pthread_setname_np(pthread_self(), "checkpoint");
	while (wait_for_pages(w))
		(void)sqlite3_wal_checkpoint_v2(
			w->move.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	return NULL;
}

static int start_threads(struct writer *w)
{
	int r = -pthread_create(&w->thread, NULL, write_thread, w);

	if (r < 0)
		return r;
	r = -pthread_create(&w->mover, NULL, move_thread, w);
	if (r < 0) {
		lock_take(&w->lock);
		w->ending = true;
		pthread_cond_signal(&w->work);
		lock_drop(&w->lock);
		pthread_join(w->thread, NULL);
	}
	return r;
}

int64_t store_log_last(struct store *s)
{
	return atomic_load(&s->logged);
}

static int find_log_place(struct store *s)
{
	sqlite3_stmt *st;
	int r = conn_row(&s->write, &st,
		"SELECT max(log_start, coalesce((SELECT max(id) FROM event), 0)), log_end, "
		"log_start, log_swept FROM counts",
		"");

	if (r < 0)
		return r;
	s->log = (struct log_tail){ sqlite3_column_int64(st, 0),
		(uint64_t)sqlite3_column_int64(st, 1), sqlite3_column_int64(st, 2),
		sqlite3_column_int64(st, 3) };
	atomic_store(&s->logged, s->log.last);
	conn_end(st);
	return 0;
}

/* This server's number. It is written down with the first change, for a disk that is full now is no reason not to serve. */
static int begin_server(struct store *s)
{
	struct conn *c = &s->write;
	sqlite3_stmt *st;
	int r;

	r = conn_row(c, &st,
		"SELECT server + 1, (SELECT coalesce(max(id), 0) FROM answered) FROM counts", "");
	if (r < 0)
		return r;
	s->server = sqlite3_column_int64(st, 0);
	s->answered_from = sqlite3_column_int64(st, 1);
	s->began_s = clock_mono_ns() / 1000000000;
	conn_end(st);
	return 0;
}

int store_start(struct store *s, const struct store_hooks *hooks, struct err *err)
{
	struct writer *w = calloc(1, sizeof *w);
	int r;

	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	w->store = s;
	w->hooks = *hooks;
	w->last = &w->first;
	lock_init(&w->lock);
	cond_init(&w->work);
	cond_init(&w->page);
	r = begin_server(s);
	r = r < 0 ? r : find_log_place(s);
	if (r < 0)
		conn_explain(&s->write, r, s->path, err);
	else
		r = conn_open(&w->move, s->path, SQLITE_OPEN_READWRITE, 64, err);
	if (r == 0) {
		sqlite3_wal_hook(s->write.db, count_wal, w);
		r = start_threads(w);
		if (r < 0)
			err_set(err, r, "cannot start the writer: %s", strerror(-r));
	}
	if (r < 0) {
		conn_close(&w->move);
		writer_free(w);
		return r;
	}
	s->writer = w;
	return 0;
}

void store_submit_all(struct store *s, struct change *first)
{
	struct writer *w = s->writer;
	struct change *last = first;
	bool wake;

	if (!first)
		return;
	while (last->next)
		last = last->next;
	lock_take(&w->lock);
	wake = !w->first && !w->ended;
	if (!w->ended) {
		*w->last = first;
		w->last = &last->next;
	}
	lock_drop(&w->lock);
	/* Not under the lock: woken at once, the writer would wait for it. */
	if (wake)
		pthread_cond_signal(&w->work);
}

void store_submit(struct store *s, struct change *c)
{
	c->next = NULL;
	store_submit_all(s, c);
}

void store_stop(struct store *s)
{
	struct writer *w = s->writer;

	if (!w || w->ended)
		return;
	lock_take(&w->lock);
	w->ending = true;
	pthread_cond_signal(&w->work);
	pthread_cond_signal(&w->page);
	lock_drop(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_join(w->mover, NULL);
	lock_take(&w->lock);
	w->ended = true;
	lock_drop(&w->lock);
	sqlite3_wal_hook(s->write.db, NULL, NULL);
	conn_close(&w->move);
}

void writer_free(struct writer *w)
{
	if (!w)
		return;
	pthread_cond_destroy(&w->work);
	pthread_cond_destroy(&w->page);
	lock_release(&w->lock);
	free(w);
}
