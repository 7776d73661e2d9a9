/*
 * What the log forgets. Two marks move up: log_start, up to which events are no longer of the log, once a second and at no cost; behind it
 * log_swept, up to which it was decided which of them a volume's own history still needs. That reads and removes rows, so each batch
 * does a bounded part of it, in step with the events that it adds.
 */
#include "store/internal.h"

#include "base/clock.h"

#include <errno.h>

enum {
	KEPT_OF_VOLUME = 256, /* below the log, the newest ones of each volume */
	SWEPT_AT_ONCE = 100,
	SWEPT_PER_EVENT = 2, /* more than one: so it catches up under load, too */
	SWEPT_IDLE = 2000,   /* once a second, … */
	SWEPT_IDLE_MS = 4,   /* … but no more when this has passed: others wait for the commit */
};

void store_keep_log(struct store *s, int64_t events, int64_t age_s)
{
	s->keep_events = events;
	s->keep_age_s = age_s;
}

/* --- the log's start --- */

static int is_older(struct tx *tx, int64_t id, int64_t limit_us, bool *ret)
{
	sqlite3_stmt *st;
	int64_t at_us = 0;
	int r = conn_row(tx->conn, &st, "SELECT at_us FROM event WHERE id = ?", "i", id);

	r = id_of(st, r, &at_us);
	*ret = at_us < limit_us;
	return r;
}

/* The last event that is too old; where the clock was set back, some such event. Mostly the oldest is not, and that was all. */
static int find_older(struct tx *tx, int64_t *start)
{
	const struct log_tail *log = &tx->store->log;
	int64_t limit_us = clock_wall_us() - tx->store->keep_age_s * 1000000;
	int64_t low = *start, high = log->last + 1, mid = low + 1;

	for (; high - low > 1; mid = low + (high - low) / 2) {
		bool older;
		int r = is_older(tx, mid, limit_us, &older);

		if (r < 0)
			return r;
		if (older)
			low = mid;
		else
			high = mid;
	}
	*start = low;
	return 0;
}

static int move_start(struct tx *tx)
{
	const struct store *s = tx->store;
	int64_t start = s->log.start;
	int r;

	if (s->keep_events && s->log.last - start > s->keep_events)
		start = s->log.last - s->keep_events;
	r = s->keep_age_s && start < s->log.last ? find_older(tx, &start) : 0;
	if (r == 0)
		tx->store->log.start = start;
	return r;
}

/* --- the sweep --- */

/* Of what is no volume's any more nothing stays; one that was purged has an hour more (volumes_forget). */
static int sweep_dead(struct tx *tx, int64_t after, int64_t to)
{
	return conn_do(tx->conn,
		"DELETE FROM event WHERE id > ? AND id <= ? "
		"AND NOT EXISTS (SELECT 1 FROM volume v WHERE v.id = event.volume) "
		"AND NOT EXISTS (SELECT 1 FROM purged p WHERE p.id = event.volume)",
		"ii", after, to);
}

static int sweep_volume(struct tx *tx, int64_t volume, int64_t to)
{
	return conn_do(tx->conn,
		"DELETE FROM event WHERE volume = ?1 AND id <= (SELECT id FROM event "
		"INDEXED BY event_volume WHERE volume = ?1 AND id <= ?2 "
		"ORDER BY id DESC LIMIT 1 OFFSET ?3)",
		"iii", volume, to, (int64_t)KEPT_OF_VOLUME);
}

static int sweep_part(struct tx *tx, int64_t after, int64_t to)
{
	int64_t volume[SWEPT_AT_ONCE];
	sqlite3_stmt *st;
	int n, r = sweep_dead(tx, after, to);

	if (r < 0)
		return r;
	r = conn_rows(tx->conn, &st, "SELECT DISTINCT volume FROM event WHERE id > ? AND id <= ?",
		"ii", after, to);
	while (conn_take(tx->conn, st, SWEPT_AT_ONCE, &r))
		volume[r - 1] = sqlite3_column_int64(st, 0);
	n = r;
	for (int i = 0; i < n && r >= 0; i++)
		r = sweep_volume(tx, volume[i], to);
	return r;
}

static int sweep(struct tx *tx, int64_t rows, int64_t until_ns)
{
	struct log_tail *log = &tx->store->log;
	int r = 0;

	while (rows > 0 && log->swept < log->start && r >= 0 && clock_mono_ns() < until_ns) {
		int64_t n = rows < SWEPT_AT_ONCE ? rows : SWEPT_AT_ONCE;
		int64_t to = log->start - log->swept < n ? log->start : log->swept + n;

		r = sweep_part(tx, log->swept, to);
		if (r >= 0)
			log->swept = to;
		rows -= n;
	}
	return r < 0 ? r : 0;
}

int log_forget(struct tx *tx)
{
	int r = move_start(tx);

	return r < 0 ? r
		     : sweep(tx, SWEPT_IDLE, clock_mono_ns() + SWEPT_IDLE_MS * INT64_C(1000000));
}

int log_write(struct tx *tx, const struct log_tail *before)
{
	const struct log_tail *log = &tx->store->log;
	int r = 0;

	if (log->last != before->last)
		r = sweep(tx, SWEPT_PER_EVENT * (log->last - before->last), INT64_MAX);
	if (r < 0 || (log->last == before->last && log->start == before->start &&
			     log->swept == before->swept))
		return r;
	return conn_do(tx->conn, "UPDATE counts SET log_start = ?, log_swept = ?, log_end = ?",
		"iii", log->start, log->swept, (int64_t)log->end);
}

int log_forget_volume(struct tx *tx, int64_t volume)
{
	return conn_do(tx->conn, "DELETE FROM event WHERE volume = ? AND id <= ?", "ii", volume,
		tx->store->log.swept);
}
