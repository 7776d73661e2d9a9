/* Events as they are written, and as the history of a volume shows them. The log's readers are log.c's. */
#include "store/internal.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>

/* Of whom a line speaks, as it stands now. */
struct subject {
	int64_t project;
	int64_t project_end; /* bytes of the project's lines until now */
	char uuid[UUID_LEN + 1], name[NAME_LEN + 1], project_name[NAME_LEN + 1];
	char backend[NAME_LEN + 1];
	uint64_t size;
	enum vol_status status;
};

static int find_volume(struct tx *tx, int64_t id, struct subject *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(tx->conn, &st,
		"SELECT p.id, p.log_end, p.name, v.uuid, v.name, v.status, v.size, b.name "
		"FROM volume v JOIN project p ON p.id = v.project "
		"LEFT JOIN backend b ON b.id = v.backend WHERE v.id = ?",
		"i", id);

	if (r < 0)
		return r;
	ret->project = sqlite3_column_int64(st, 0);
	ret->project_end = sqlite3_column_int64(st, 1);
	col_text(st, 2, ret->project_name);
	col_text(st, 3, ret->uuid);
	col_text(st, sqlite3_column_type(st, 4) == SQLITE_NULL ? 3 : 4, ret->name);
	ret->status = (enum vol_status)sqlite3_column_int(st, 5);
	ret->size = (uint64_t)sqlite3_column_int64(st, 6);
	col_text(st, 7, ret->backend);
	conn_end(st);
	return 0;
}

static int find_project(struct tx *tx, int64_t id, struct subject *ret)
{
	sqlite3_stmt *st;
	int r = conn_row(
		tx->conn, &st, "SELECT id, log_end, name FROM project WHERE id = ?", "i", id);

	if (r < 0)
		return r;
	ret->project = sqlite3_column_int64(st, 0);
	ret->project_end = sqlite3_column_int64(st, 1);
	col_text(st, 2, ret->project_name);
	conn_end(st);
	return 0;
}

static void add_member(struct buf *line, const char *key, const char *value)
{
	if (!value || !value[0])
		return;
	buf_addf(line, ",\"%s\":", key);
	text_json(line, value);
}

static void write_line(struct buf *line, const struct event *e, const struct subject *s,
	int64_t at_us, uint64_t pos)
{
	char at[CLOCK_TEXT_MAX];

	buf_addf(line, "{\"time\":\"%s\"", clock_text_us(at_us, at));
	add_member(line, "event", e->event);
	add_member(line, "volume", s->uuid);
	add_member(line, "name", e->volume ? s->name : e->name);
	add_member(line, "snapshot", e->snapshot);
	add_member(line, "project", s->project_name);
	add_member(line, "user", e->uid < 0 ? "volfs" : e->user);
	if (e->uid >= 0)
		buf_addf(line, ",\"uid\":%" PRId64 ",\"pid\":%" PRId64, e->uid, e->pid);
	if (e->volume) {
		add_member(line, "status", vol_status_name(s->status));
		buf_addf(line, ",\"size\":%" PRIu64, s->size);
		add_member(line, "backend", s->backend);
	}
	add_member(line, "detail", e->detail);
	buf_addf(line, ",\"position\":%" PRIu64 "}\n", pos);
}

/* The log's own place is remembered by the writer, and written down once per batch. */
static int add_line(struct tx *tx, const struct event *e, const struct subject *s, struct buf *line)
{
	struct log_tail *log = &tx->store->log;
	int64_t at_us = clock_wall_us();
	int r;

	write_line(line, e, s, at_us, log->end);
	if (buf_failed(line))
		return -ENOMEM;
	r = conn_do(tx->conn,
		"INSERT INTO event (id, volume, project, at_us, pos, project_pos, line) "
		"VALUES (?, ?, ?, ?, ?, ?, ?)",
		"iiiiiib", log->last + 1, e->volume, s->project, at_us, (int64_t)log->end,
		s->project_end, line->at, line->len);
	if (r >= 0 && s->project)
		r = conn_do(tx->conn, "UPDATE project SET log_end = ? WHERE id = ?", "ii",
			s->project_end + (int64_t)line->len, s->project);
	if (r < 0)
		return r;
	log->last++;
	log->end += line->len;
	return 0;
}

int tx_event(struct tx *tx, const struct event *e)
{
	struct subject s = { 0 };
	struct buf line = { 0 };
	int r = 0;

	if (e->volume)
		r = find_volume(tx, e->volume, &s);
	else if (e->project)
		r = find_project(tx, e->project, &s);
	r = r < 0 ? r : add_line(tx, e, &s, &line);
	buf_release(&line);
	return r;
}

static void add_who(struct buf *out, const char *uid, const char *pid, const char *user)
{
	buf_addf(out, "uid %s", uid);
	if (user)
		buf_addf(out, " (%s)", user);
	buf_addf(out, ", pid %s", pid ? pid : "0");
}

static void history_line(sqlite3_stmt *st, struct buf *out)
{
	const char *text[8];

	for (int i = 0; i < 8; i++)
		text[i] = (const char *)sqlite3_column_text(st, i);
	buf_addf(out, "%s %s ", text[0] ? text[0] : "", text[1] ? text[1] : "");
	if (text[2])
		buf_adds(out, text[2]);
	else if (text[3])
		add_who(out, text[3], text[4], text[5]);
	else
		buf_adds(out, "volfs");
	if (text[6])
		buf_addf(out, ": snapshot %s", text[6]);
	if (text[7] && *text[7])
		buf_addf(out, "%s%s", text[6] ? ", " : ": ", text[7]);
	buf_addc(out, '\n');
}

int view_history(struct view *v, int64_t id, struct buf *ret)
{
	sqlite3_stmt *st;
	int r = conn_rows(&v->conn, &st,
		"SELECT line->>'time', line->>'event', line->>'who', line->>'uid', line->>'pid', "
		"line->>'user', line->>'snapshot', line->>'detail' FROM (SELECT id, line FROM event "
		"INDEXED BY event_volume WHERE volume = ? ORDER BY id DESC LIMIT ?) ORDER BY id",
		"ii", id, (int64_t)VIEW_HISTORY_MAX);

	if (r < 0)
		return view_result(v, r);
	while ((r = conn_next(&v->conn, st)) > 0)
		history_line(st, ret);
	return view_result(v, r);
}

int view_changed_last(struct view *v, int64_t *ret, size_t n)
{
	sqlite3_stmt *st;
	int r = conn_rows(&v->conn, &st,
		"SELECT DISTINCT volume FROM (SELECT volume FROM event WHERE volume <> 0 "
		"ORDER BY id DESC LIMIT ?)",
		"i", (int64_t)n);

	while (conn_take(&v->conn, st, n, &r))
		ret[r - 1] = sqlite3_column_int64(st, 0);
	return view_result(v, r);
}
