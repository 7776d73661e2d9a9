/*
 * Reading the log. Ids count by one, and of what the log holds none is missing; the place of a line rises with its id, in the whole log and
 * among the lines of its project alike. So a place is found by halving the ids, without an index that every event would pay for.
 */
#include "store/internal.h"

#include <errno.h>

#define LOG_START "(SELECT log_start FROM counts)"

int view_log(struct view *v, int64_t after, struct log_row *ret, size_t n, struct buf *text)
{
	sqlite3_stmt *st;
	size_t i = 0;
	int r = conn_rows(&v->conn, &st,
		"SELECT id, project, pos, line, at_us FROM event WHERE id > max(?, " LOG_START
		") ORDER BY id LIMIT ?",
		"ii", after, (int64_t)n);

	if (r < 0)
		return view_result(v, r);
	for (; (r = conn_next(&v->conn, st)) > 0; i++) {
		const void *line = sqlite3_column_text(st, 3);

		ret[i] = (struct log_row){ sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1),
			(uint64_t)sqlite3_column_int64(st, 2), (size_t)sqlite3_column_bytes(st, 3),
			sqlite3_column_int64(st, 4) };
		buf_add(text, line, ret[i].len);
	}
	return r < 0 ? view_result(v, r) : (int)i;
}

int view_log_next_of(struct view *v, const struct log_reader *who, int64_t after, int64_t *ret_id)
{
	int64_t next = 0;

	for (size_t i = 0; i < who->count; i++) {
		sqlite3_stmt *st;
		int64_t id = 0;
		int r = conn_row(&v->conn, &st,
			"SELECT id FROM event INDEXED BY event_project "
			"WHERE project = ? AND id > max(?, " LOG_START ") ORDER BY id LIMIT 1",
			"ii", who->project[i], after);

		r = id_of(st, r, &id);
		if (r < 0 && r != -ENOENT)
			return view_result(v, r);
		if (r == 0 && (!next || id < next))
			next = id;
	}
	*ret_id = next;
	return next ? 0 : -ENOENT;
}

/* --- several queries that see one moment --- */

static int begin(struct view *v)
{
	int r = conn_do(&v->conn, "BEGIN", "");

	return r < 0 ? view_result(v, r) : 0;
}

static int end(struct view *v, int r)
{
	r = view_result(v, r);
	if (!sqlite3_get_autocommit(v->conn.db))
		(void)conn_do(&v->conn, "COMMIT", "");
	return r;
}

static struct log_ends ends_of_row(sqlite3_stmt *st)
{
	struct log_ends ends = { sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1),
		(uint64_t)sqlite3_column_int64(st, 2), (uint64_t)sqlite3_column_int64(st, 3) };

	conn_end(st);
	return ends;
}

/* --- both ends --- */

static int all_ends(struct view *v, struct log_ends *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st,
		"SELECT c.log_start + 1, "
		"max(c.log_start, coalesce((SELECT max(id) FROM event), 0)), "
		"coalesce((SELECT pos FROM event WHERE id = c.log_start + 1), c.log_end), c.log_end "
		"FROM counts c",
		"");

	if (r == 0)
		*ret = ends_of_row(st);
	return r;
}

/* first 0: the log holds none of its lines. */
static int project_ends(struct view *v, int64_t project, struct log_ends *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(&v->conn, &st,
		"SELECT coalesce(e.id, 0), "
		"(SELECT max(id) FROM event INDEXED BY event_project WHERE project = p.id), "
		"coalesce(e.project_pos, p.log_end), p.log_end "
		"FROM project p LEFT JOIN event e ON e.id = (SELECT min(id) FROM event "
		"INDEXED BY event_project WHERE project = p.id AND id > " LOG_START ") "
		"WHERE p.id = ?",
		"i", project);

	if (r == 0)
		*ret = ends_of_row(st);
	return r;
}

/* all: of the whole log. */
static int own_ends(struct view *v, const struct log_reader *who, const struct log_ends *all,
	struct log_ends *ret)
{
	struct log_ends sum = { .first = all->last + 1, .last = all->last }, one = { 0 };
	bool any = false;

	for (size_t i = 0; i < who->count; i++) {
		int r = project_ends(v, who->project[i], &one);

		if (r < 0)
			return r;
		sum.start += one.start;
		sum.end += one.end;
		if (one.first == 0)
			continue;
		sum.first = one.first < sum.first ? one.first : sum.first;
		sum.last = !any || one.last > sum.last ? one.last : sum.last;
		any = true;
	}
	*ret = sum;
	return 0;
}

int view_log_ends(struct view *v, struct log_ends *ret)
{
	return view_result(v, all_ends(v, ret));
}

int view_log_ends_of(struct view *v, const struct log_reader *who, struct log_ends *ret)
{
	struct log_ends all;
	int r;

	if (who->all)
		return view_log_ends(v, ret);
	r = begin(v);
	if (r < 0)
		return r;
	r = all_ends(v, &all);
	return end(v, r < 0 ? r : own_ends(v, who, &all, ret));
}

/* --- places --- */

static int place_in_all(struct view *v, int64_t id, uint64_t *ret)
{
	sqlite3_stmt *st;
	int64_t pos = 0;
	int r = conn_row(&v->conn, &st, "SELECT pos FROM event WHERE id = ?", "i", id);

	r = id_of(st, r, &pos);
	*ret = (uint64_t)pos;
	return r;
}

/* How many bytes of what he sees come before the event of that id, which may be another's. */
static int place_of(struct view *v, const struct log_reader *who, int64_t id, uint64_t *ret)
{
	if (who->all)
		return place_in_all(v, id, ret);
	*ret = 0;
	for (size_t i = 0; i < who->count; i++) {
		sqlite3_stmt *st;
		int64_t pos = 0;
		int r = conn_row(&v->conn, &st,
			"SELECT coalesce((SELECT project_pos FROM event "
			"INDEXED BY event_project WHERE project = ?1 AND id >= ?2 "
			"ORDER BY id LIMIT 1), p.log_end) FROM project p WHERE p.id = ?1",
			"ii", who->project[i], id);

		r = id_of(st, r, &pos);
		if (r < 0)
			return r;
		*ret += (uint64_t)pos;
	}
	return 0;
}

/* The last event that has not more than pos bytes before it: that is one of his, for after another's none are added. */
static int find(struct view *v, const struct log_reader *who, uint64_t pos, int64_t *ret_id,
	uint64_t *ret_start)
{
	struct log_ends all, own;
	int64_t low, high;
	uint64_t at;
	int r = all_ends(v, &all);

	own = all;
	if (r == 0 && !who->all)
		r = own_ends(v, who, &all, &own);
	if (r < 0)
		return r;
	if (pos < own.start)
		pos = own.start;
	if (pos >= own.end)
		return -ENOENT;
	at = own.start;
	for (low = all.first, high = all.last + 1; high - low > 1;) {
		int64_t mid = low + (high - low) / 2;
		uint64_t place;

		r = place_of(v, who, mid, &place);
		if (r < 0)
			return r;
		if (place > pos) {
			high = mid;
		} else {
			low = mid;
			at = place;
		}
	}
	*ret_id = low;
	*ret_start = at;
	return 0;
}

int view_log_at_of(struct view *v, const struct log_reader *who, uint64_t pos, int64_t *ret_id,
	uint64_t *ret_start)
{
	int r = begin(v);

	return r < 0 ? r : end(v, find(v, who, pos, ret_id, ret_start));
}

int view_log_at(struct view *v, uint64_t pos, int64_t *ret_id)
{
	uint64_t start;

	return view_log_at_of(v, &(struct log_reader){ .all = true }, pos, ret_id, &start);
}

/* --- who reads --- */

static bool reads(const struct log_reader *who, int64_t project)
{
	for (size_t i = 0; i < who->count; i++)
		if (who->project[i] == project)
			return true;
	return false;
}

int view_log_reader(struct view *v, const char *const *names, size_t n, struct log_reader *ret)
{
	struct log_reader who = { 0 };

	for (size_t i = 0; i < n && who.count < LOG_PROJECTS; i++) {
		sqlite3_stmt *st;
		int64_t id = 0;
		int r = conn_row(
			&v->conn, &st, "SELECT id FROM project WHERE name = ?", "s", names[i]);

		r = id_of(st, r, &id);
		if (r < 0 && r != -ENOENT)
			return view_result(v, r);
		if (r == 0 && !reads(&who, id))
			who.project[who.count++] = id;
	}
	*ret = who;
	return 0;
}
