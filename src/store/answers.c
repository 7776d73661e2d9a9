/* What changing requests were answered, for those that the kernel sends again to another server. */
#include "store/internal.h"

#include "base/clock.h"

enum {
	ANSWER_KEPT_S =
		10, /* a reply is written within this after its commit, or its server is dead */
	ANSWERS_AT_ONCE = 2000,
	EARLIER_KEPT_S =
		30, /* of earlier servers: what they left unanswered has been sent again and answered by then */
};

int tx_answer_find(struct tx *tx, uint64_t mount, uint64_t unique, struct answer *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		"SELECT code, row FROM answered WHERE mount = ? AND uniq = ?", "ii", (int64_t)mount,
		(int64_t)unique);

	if (r < 0)
		return r;
	*ret = (struct answer){ mount, unique, sqlite3_column_int(st, 0),
		sqlite3_column_int64(st, 1) };
	conn_end(st);
	return 0;
}

int tx_answer_add(struct tx *tx, const struct answer *a)
{
	int r = conn_do(tx->conn,
		"INSERT INTO answered (server, mount, uniq, code, row, at_s) VALUES (?, ?, ?, ?, ?, ?)",
		"iiiiii", tx->store->server, (int64_t)a->mount, (int64_t)a->unique,
		(int64_t)a->code, a->row, clock_mono_ns() / 1000000000);

	return r < 0 ? r : 0;
}

/*
 * Answers of earlier servers: not only of the last one, for several may have been killed one after the other before any
 * of them had answered what the kernel sent again. They go when this server has lived long enough to have done that.
 */
static int forget_earlier(struct tx *tx, int64_t now_s)
{
	struct store *s = tx->store;
	int r;

	if (s->earlier_gone || now_s - s->began_s < EARLIER_KEPT_S)
		return 0;
	r = conn_do(tx->conn, "DELETE FROM answered WHERE id <= ?", "i", s->answered_from);
	s->earlier_gone = r >= 0;
	return r;
}

/* This server's own answers are oldest first above answered_from: so the oldest few tell whether there is anything to drop. */
int answers_forget(struct tx *tx)
{
	int64_t now_s = clock_mono_ns() / 1000000000;
	int r = forget_earlier(tx, now_s);

	if (r < 0)
		return r;
	return conn_do(tx->conn,
		"DELETE FROM answered WHERE id IN "
		"(SELECT id FROM answered WHERE id > ? ORDER BY id LIMIT ?) AND at_s < ?",
		"iii", tx->store->answered_from, (int64_t)ANSWERS_AT_ONCE, now_s - ANSWER_KEPT_S);
}
