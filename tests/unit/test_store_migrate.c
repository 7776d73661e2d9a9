/*
 * A catalogue of an older version, as that version's schema made it (schema-1.sql and so on), is opened: nothing of it is lost, and afterwards it is
 * what a fresh one would be. Or it stays as it was.
 */
#include "base/clock.h"
#include "store_rig.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

static const char schema_1[] =
#include "schema-1.h"
	;

static const char schema_2[] =
#include "schema-2.h"
	;

static const char schema_3[] =
#include "schema-3.h"
	;

static const char schema_4[] =
#include "schema-4.h"
	;

/* --- a catalogue of version 1 --- */

static void run(sqlite3 *db, const char *text)
{
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sqlite3_errmsg(db), text);
}

/* As that version made it: what it set, and then its -wal. The application's number is "volf". */
static sqlite3 *open_as(const char *schema, const char *version)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	run(db, "PRAGMA page_size=2048; BEGIN");
	run(db, schema);
	run(db, version);
	run(db, "PRAGMA application_id=1987013734; COMMIT; "
		"PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0");
	return db;
}

static sqlite3 *open_1(void)
{
	return open_as(schema_1, "PRAGMA user_version=1");
}

#define VOLUME_1                                                                                   \
	"INSERT INTO volume (uuid, name, status, size, reserved, uid, gid, mode, created_us, "     \
	"updated_us, project, backend, used, protected, image_id, zone, description, reason, "     \
	"file, spec, generation) VALUES "

/* Something in every table, through the triggers of then. The highest ids are gone again. */
static const char rows_1[] =
	"INSERT INTO project (name, volumes_max, size_max, per_volume_max) VALUES "
	"('web', 5, 1000, -1), ('root', NULL, NULL, NULL), ('gone', 1, 1, 1), ('idle', 0, 7, 9);"
	"DELETE FROM project WHERE name = 'gone';"
	"UPDATE project SET volumes_max = 20, size_max = 5000, per_volume_max = 100 "
	"WHERE name = 'default';"
	"INSERT INTO backend (name, disabled, up, total, free) VALUES "
	"('b0', 0, 1, 4096, 2048), ('b1', 1, 0, -1, -2);" VOLUME_1
	"('u1', 'db', 2, 10, 0, 7, 8, 493, 100, 101, 2, 1, 3, 1, 'i1', 'z', 'a b', NULL, 'db', 's1', 0),"
	"('u2', NULL, 0, 20, 0, 0, 0, 448, 200, 201, 3, 1, 0, 0, 'i2', 'z', NULL, NULL, NULL, 's2', 0),"
	"('u3', 'x', 7, 30, 5, 0, 0, 448, 300, 301, 2, 2, 9, 0, 'i3', 'y', NULL, NULL, NULL, '', 0),"
	"('u4', 'y', 18, 40, 0, 0, 0, 448, 400, 401, 2, NULL, 0, 0, 'i4', '', NULL, 'no', NULL, '', 0),"
	"('u5', 'db2', 14, 50, 6, 0, 0, 448, 500, 501, 2, 1, 0, 0, 'i5', 'z', NULL, NULL, 'g', '', 3),"
	"('u6', NULL, 14, 60, 0, 0, 0, 448, 600, 601, 3, 2, 0, 0, 'i6', 'z', NULL, NULL, NULL, '', 0),"
	"('u7', 'z', 2, 70, 0, 0, 0, 448, 700, 701, 5, 1, 0, 0, 'i7', 'z', NULL, NULL, NULL, '', 0),"
	"('u8', 'last', 2, 80, 0, 0, 0, 448, 800, 801, 2, 1, 0, 0, 'i8', 'z', NULL, NULL, NULL, '', 0);"
	"UPDATE volume SET trashed = 1 WHERE uuid IN ('u5', 'u6', 'u7');"
	"DELETE FROM volume WHERE uuid = 'u8';"
	"INSERT INTO meta (volume, key, value, updated_us) VALUES "
	"(1, 'a', 'b', 1), (1, 'c', '', 2), (2, 'a', 'd', 3), (2, 'z', '', 4);"
	"DELETE FROM meta WHERE key = 'z';"
	"INSERT INTO job (kind, volume, backend, project, uuid, image_id, size, attempt, tried) VALUES "
	"(1, 2, 1, 3, 'u2', 'i2', 20, 2, 'b1' || char(9) || 'no room' || char(10)),"
	"(2, 5, 1, 2, 'u5', 'i5', 50, 1, NULL), (3, 3, 2, 2, 'u3', 'i3', 35, 1, NULL),"
	"(1, 2, 2, 3, 'u2', 'i2b', 20, 1, NULL), (2, 8, 1, 2, 'u8', 'i8', 80, 1, NULL);"
	"UPDATE job SET kind = 4 WHERE id = 4; DELETE FROM job WHERE id = 5;"
	"INSERT INTO event (volume, at_us, event, who, detail) VALUES "
	"(1, 1, 'volume.create.start', 'uid 7, pid 8', 'size 10'), (8, 2, 'x', 'volfs', NULL),"
	"(1, 3, 'volume.create.end', 'volfs', ''); DELETE FROM event WHERE id = 3;"
	"INSERT INTO purged VALUES (8, 'u8', 1, 2, 448, 80, 4, 800, 900);"
	"INSERT INTO client (backend, address) VALUES (1, 'b0/1'), (2, 'b1/1'), (2, 'b1/2');"
	"DELETE FROM client WHERE id = 3;"
	"INSERT INTO answered (server, mount, uniq, code, row, at_s) VALUES "
	"(1, 7, 9, 0, 42, 5), (1, 7, 11, 0, 43, 6); DELETE FROM answered WHERE uniq = 11;"
	"UPDATE counts SET server = 17;";

static void make_1(void)
{
	sqlite3 *db = open_1();

	run(db, rows_1);
	sqlite3_close(db);
}

/* --- what is in it, as text --- */

static void add_rows(struct buf *out, const char *text)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	if (sqlite3_prepare_v2(db, text, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sqlite3_errmsg(db), text);
	while (sqlite3_step(st) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(st); i++) {
			const char *value = (const char *)sqlite3_column_text(st, i);

			buf_addf(out, "%s|", value ? value : "NULL");
		}
		buf_addc(out, '\n');
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
}

/*
 * All columns of version 1 but a volume's type, which no volume had; the limit of one volume under its name of today; of the file in
 * new/ whether it has the volume's name, since renames keep it so.
 */
static char *contents(bool migrated)
{
	static const char *const tables[] = {
		"SELECT id, name, disabled, volumes, allocated, pending, up, total, free FROM backend",
		"SELECT id, uuid, name, status, trashed, size, reserved, generation, uid, gid, mode, "
		"created_us, updated_us, project, backend, used, protected, image_id, zone, "
		"description, reason, spec FROM volume",
		"SELECT * FROM meta",
		"SELECT id, kind, volume, backend, project, uuid, image_id, size, attempt, tried FROM job",
		"SELECT * FROM purged",
		"SELECT * FROM client",
		"SELECT * FROM answered",
		"SELECT id, volumes, jobs, server FROM counts",
		"SELECT * FROM sqlite_sequence ORDER BY name",
	};
	struct buf out = { 0 };

	add_rows(&out,
		migrated
			? "SELECT id, name, volumes_max, size_max, per_volume_size_max, volumes, size "
			  "FROM project"
			: "SELECT id, name, volumes_max, size_max, per_volume_max, volumes, size "
			  "FROM project");
	add_rows(&out, migrated ? "SELECT id, volume, at_us, line->>'event', line->>'who', "
				  "line->>'detail' FROM event"
				: "SELECT id, volume, at_us, event, who, detail FROM event");
	add_rows(&out, migrated ? "SELECT filed FROM volume"
				: "SELECT coalesce(file = coalesce(name, uuid), 0) FROM volume");
	for (size_t i = 0; i < COUNT(tables); i++)
		add_rows(&out, tables[i]);
	assert_false(buf_failed(&out));
	return out.at;
}

/* Blanks and lines are no matter. */
static void add_sql(struct buf *out, const char *text)
{
	bool blank = false;

	for (; text && *text; text++) {
		if (isspace((unsigned char)*text)) {
			blank = true;
			continue;
		}
		if (blank)
			buf_addc(out, ' ');
		blank = false;
		buf_addc(out, *text);
	}
	buf_addc(out, '\n');
}

/* Columns in the order of their names: where one stands in its table nobody asks. */
static char *shape(void)
{
	struct buf out = { 0 };
	sqlite3_stmt *st = NULL;
	sqlite3 *db;

	add_rows(&out,
		"SELECT m.name, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk FROM sqlite_schema m "
		"JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.name");
	add_rows(&out, "SELECT name, sql LIKE '%AUTOINCREMENT%', sql LIKE '%CHECK (id = 1)%' "
		       "FROM sqlite_schema WHERE type = 'table' ORDER BY name");
	add_rows(&out,
		"SELECT m.name, i.name, i.\"unique\", i.origin, i.partial, c.seqno, c.name, c.desc, "
		"c.coll FROM sqlite_schema m JOIN pragma_index_list(m.name) i "
		"JOIN pragma_index_xinfo(i.name) c WHERE m.type = 'table' ORDER BY m.name, i.name, "
		"c.seqno");
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(db,
			"SELECT name || ' ' || tbl_name || ' ' || sql FROM sqlite_schema "
			"WHERE type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY name",
			-1, &st, NULL),
		SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW)
		add_sql(&out, (const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	sqlite3_close(db);
	assert_false(buf_failed(&out));
	return out.at;
}

/* --- it works --- */

static void every_row_is_still_there(void **state)
{
	char *before, *after;

	make_1();
	before = contents(false);
	up();
	down();
	after = contents(true);
	assert_string_equal(after, before);
	assert_int_equal(sql("PRAGMA user_version"), 5);
	assert_int_equal(sql("SELECT count(*) FROM volume WHERE type IS NOT NULL"), 0);
	assert_int_equal(sql("SELECT count(*) FROM job WHERE qos IS NOT NULL"), 0);
	assert_int_equal(sql("SELECT sum(trash_size) FROM project"), 50 + 6 + 60 + 70);
	assert_int_equal(sql("SELECT trash_size FROM project WHERE name = 'web'"), 56);
	assert_int_equal(sql("SELECT trash_size FROM project WHERE name = 'default'"), 0);
	assert_int_equal(sql("SELECT purging FROM backend WHERE name = 'b0'"), 50);
	recount();
	free(before);
	before = after;
	up(); /* once more changes nothing */
	down();
	after = contents(true);
	assert_string_equal(after, before);
	free(before);
	free(after);
}

static void it_has_the_shape_of_a_fresh_one(void **state)
{
	char *fresh, *migrated;

	up();
	down();
	fresh = shape();
	assert_int_equal(unlink(path), 0);
	make_1();
	up();
	down();
	migrated = shape();
	assert_string_equal(migrated, fresh);
	free(migrated);
	assert_int_equal(unlink(path), 0);
	sqlite3_close(open_as(schema_2, "PRAGMA user_version=2"));
	up();
	down();
	migrated = shape();
	assert_string_equal(migrated, fresh);
	free(migrated);
	assert_int_equal(unlink(path), 0);
	sqlite3_close(open_as(schema_3, "PRAGMA user_version=3"));
	up();
	down();
	migrated = shape();
	assert_string_equal(migrated, fresh);
	free(migrated);
	assert_int_equal(unlink(path), 0);
	sqlite3_close(open_as(schema_4, "PRAGMA user_version=4"));
	up();
	down();
	migrated = shape();
	assert_string_equal(migrated, fresh);
	free(fresh);
	free(migrated);
}

/* --- a catalogue of version 2 --- */

static int open_data(struct tx *tx, void *arg, struct err *e)
{
	return tx_use_add(tx, arg);
}

static void version_2_gets_uses(void **state)
{
	struct use u = { .volume = 1, .kind = USE_OPEN, .writes = true, .handle = UINT64_MAX };
	sqlite3 *db = open_as(schema_2, "PRAGMA user_version=2");
	struct volume v;
	struct view *view;

	run(db, "INSERT INTO project (name) VALUES ('web');"
		"INSERT INTO volume (uuid, name, status, size, uid, gid, mode, created_us, "
		"updated_us, project, image_id, spec) VALUES "
		"('u1', 'db', 2, 10, 7, 8, 493, 100, 101, 2, 'i1', 's1')");
	sqlite3_close(db);
	up();
	assert_int_equal(view_open(s, &view, &err), 0);
	assert_int_equal(view_volume(view, 1, &v), 0);
	assert_false(v.readonly || v.bootable);
	assert_int_equal(v.data_uid, (uid_t)-1);
	assert_int_equal(v.data_gid, (gid_t)-1);
	assert_int_equal(v.data_mode, 0600);
	assert_int_equal(change(open_data, &u), 0);
	assert_int_equal(view_uses(view, 1, 0, &u, 1), 1);
	assert_string_equal(u.name, "open:1");
	assert_true(u.handle == UINT64_MAX);
	view_close(view);
	recount();
}

/* --- a catalogue of version 3 --- */

/* A creation, a given-up attempt of it, an extension, and the purge of what is in the trash. */
static const char rows_3[] =
	"INSERT INTO project (name) VALUES ('web');"
	"INSERT INTO backend (name) VALUES ('b0');"
	"INSERT INTO volume (uuid, name, status, size, uid, gid, mode, created_us, updated_us, project, "
	"backend, image_id, spec) VALUES "
	"('u1', 'db', 0, 10, 7, 8, 493, 100, 101, 2, 1, 'i1', 's1'),"
	"('u2', 'log', 7, 20, 7, 8, 493, 200, 201, 2, 1, 'i2', 's2'),"
	"('u3', 'old', 14, 30, 7, 8, 493, 300, 301, 2, 1, 'i3', 's3');"
	"UPDATE volume SET trashed = 1 WHERE id = 3;"
	"INSERT INTO job (kind, volume, backend, project, uuid, image_id, size, attempt, qos, tried) VALUES "
	"(1, 1, 1, 2, 'u1', 'i0', 10, 1, NULL, NULL),"
	"(1, 1, 1, 2, 'u1', 'i1', 10, 2, 'total_iops_sec=9' || char(10), 'b1' || char(9) || 'no' || char(10)),"
	"(3, 2, 1, 2, 'u2', 'i2', 40, 1, NULL, NULL),"
	"(2, 3, 1, 2, 'u3', 'i3', 30, 1, NULL, NULL);"
	"UPDATE job SET kind = 4 WHERE id = 1;";

static int jobs_3(struct tx *tx, void *arg, struct err *e)
{
	int64_t *of = arg;

	for (int i = 0; i < 3; i++)
		if (tx_job_of(tx, i + 1, &of[i]) < 0)
			return -EIO;
	return 0;
}

static void version_3_gets_classes(void **state)
{
	sqlite3 *db = open_as(schema_3, "PRAGMA user_version=3");
	struct job_brief brief[4];
	struct job_row j;
	struct volume v;
	struct view *view;
	int64_t of[3], us;

	run(db, rows_3);
	sqlite3_close(db);
	up();
	assert_int_equal(view_open(s, &view, &err), 0);
	assert_int_equal(view_jobs(view, 1, CLASS_CREATE, 0, brief, 4), 1);
	assert_int_equal(brief[0].id, 2);
	assert_int_equal(view_jobs(view, 1, CLASS_OTHER, 0, brief, 4), 3);
	assert_int_equal(brief[0].kind, JOB_CLEAN);
	assert_int_equal(brief[1].kind, JOB_EXTEND);
	assert_int_equal(brief[2].kind, JOB_PURGE);
	assert_int_equal(change(jobs_3, of), 0);
	assert_int_equal(of[0], 2);
	assert_int_equal(of[1], 3);
	assert_int_equal(of[2], 4);
	assert_int_equal(view_job(view, 2, &j), 0);
	assert_string_equal(j.qos, "total_iops_sec=9\n");
	assert_string_equal(j.tried, "b1\tno\n");
	assert_true(j.class == CLASS_CREATE && !j.source && !j.snapshot && !j.parent && !j.flatten);
	assert_string_equal(j.image, "");
	assert_int_equal(view_volume(view, 3, &v), 0);
	assert_true(v.trashed && !v.expires_us && !v.parent);
	assert_string_equal(v.origin, "");
	assert_int_equal(view_trash_next(view, &us), -ENOENT);
	view_close(view);
	recount();
}

static void ids_go_on_where_they_were(void **state)
{
	struct volume v = volume("new");

	make_1();
	up();
	assert_int_equal(change(add_volume, &v), 0);
	assert_int_equal(v.id, 9); /* 8 was purged */
	assert_int_equal(sql("SELECT id FROM project WHERE name = 'p'"), 6);
	recount();
}

/* --- the sums afterwards --- */

static int trash_1(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_trash(tx, 1, 0);
}

static int move_1(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_owner(tx, 1, 0700, 1, 1, "root");
}

static int grow_5(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_resize(tx, 5, 100);
}

static int purge_5(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_purge(tx, 5);
}

static int add_type(struct tx *tx, void *arg, struct err *e)
{
	return tx_type_add(tx, arg);
}

static void sums_go_on(void **state)
{
	struct vol_type t = { .name = "fast", .uuid = "t1" };
	struct volume v = volume("typed");

	make_1();
	up();
	assert_int_equal(sql("SELECT size FROM project WHERE name = 'web'"), 10 + 35 + 40);
	assert_int_equal(change(trash_1, NULL), 0);
	assert_int_equal(sql("SELECT size FROM project WHERE name = 'web'"), 75);
	assert_int_equal(sql("SELECT trash_size FROM project WHERE name = 'web'"), 66);
	assert_int_equal(change(move_1, NULL), 0);
	assert_int_equal(sql("SELECT trash_size FROM project WHERE name = 'web'"), 56);
	assert_int_equal(sql("SELECT trash_size FROM project WHERE name = 'root'"), 70);
	assert_int_equal(change(grow_5, NULL), 0);
	assert_int_equal(sql("SELECT trash_size FROM project WHERE name = 'web'"), 100);
	assert_int_equal(change(purge_5, NULL), 0);
	assert_int_equal(sql("SELECT trash_size FROM project WHERE name = 'web'"), 0);
	recount();
	assert_int_equal(change(add_type, &t), 0);
	v.type_id = t.id;
	assert_int_equal(change(add_volume, &v), 0);
	assert_int_equal(sql("SELECT in_use FROM type_quota WHERE in_use > 0"), 1);
	recount();
}

static int job_1(struct tx *tx, void *arg, struct err *e)
{
	struct job_row *j = arg;

	return tx_job(tx, 1, j);
}

static void limits_and_jobs_are_read_as_before(void **state)
{
	struct job_row j;
	struct quota q;
	struct view *v;

	make_1();
	up();
	assert_int_equal(view_open(s, &v, &err), 0);
	assert_int_equal(view_quota_by_name(v, "web", &q), 0);
	assert_int_equal(q.max[QUOTA_VOLUMES], 5);
	assert_int_equal(q.max[QUOTA_SIZE], 1000);
	assert_int_equal(q.max[QUOTA_PER_VOLUME_SIZE], -1);
	assert_int_equal(q.used[QUOTA_VOLUMES], 3);
	assert_int_equal(q.used[QUOTA_TRASH_SIZE], 56);
	assert_int_equal(view_quota_by_name(v, "new", &q), 0);
	assert_int_equal(q.max[QUOTA_VOLUMES], 20);
	assert_int_equal(q.max[QUOTA_PER_VOLUME_SIZE], 100);
	assert_int_equal(view_quota_by_name(v, "root", &q), 0);
	assert_int_equal(q.max[QUOTA_SIZE], SIZE_LIMIT_NONE);
	assert_int_equal(change(job_1, &j), 0);
	assert_string_equal(j.qos, "");
	assert_int_equal(j.attempt, 2);
	assert_string_equal(j.tried, "b1\tno room\n");
	view_close(v);
}

/* --- a server that died: its -wal --- */

static void what_waits_in_the_wal_comes_along(void **state)
{
	char wal[160], *after;
	struct stat st;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		run(open_1(), rows_1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)snprintf(wal, sizeof wal, "%s-wal", path);
	assert_int_equal(stat(wal, &st), 0);
	assert_true(st.st_size > 0);
	up();
	assert_int_equal(sql("SELECT count(*) FROM volume"), 7);
	assert_int_equal(sql("SELECT server FROM counts"), 17);
	recount();
	down();
	after = contents(true);
	assert_int_equal(stat(wal, &st), -1);
	free(after);
}

/* --- it does not work --- */

static void stays_version_1(int code, const char *why)
{
	char *before = contents(false), *after;

	assert_int_equal(store_open(path, &defaults, &s, &err), code);
	assert_null(s);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, why))
		fail_msg("'%s' is not in: %s", why, err.text);
	after = contents(false);
	assert_string_equal(after, before);
	assert_int_equal(sql("PRAGMA user_version"), 1);
	assert_int_equal(
		sql("SELECT count(*) FROM sqlite_schema WHERE name IN ('type', 'type_entry')"), 0);
	free(before);
	free(after);
}

/* The first statement, one in the middle, and the last fail. */
static void a_step_that_fails_leaves_version_1(void **state)
{
	make_1();
	assert_int_equal(sql("ALTER TABLE project RENAME COLUMN per_volume_max TO other"), -1);
	assert_int_equal(store_open(path, &defaults, &s, &err), -EIO);
	assert_string_equal(err.text,
		"cannot bring the catalogue to version 2: no such column: \"per_volume_max\"");
	assert_int_equal(sql("ALTER TABLE project RENAME COLUMN other TO per_volume_max"), -1);
	assert_int_equal(sql("CREATE TABLE type_quota (id INTEGER PRIMARY KEY)"), -1);
	stays_version_1(
		-EIO, "cannot bring the catalogue to version 2: table type_quota already exists");
	assert_int_equal(sql("DROP TABLE type_quota"), -1);
	assert_int_equal(sql("CREATE TRIGGER typed_moved AFTER DELETE ON client BEGIN "
			     "SELECT 1; END"),
		-1);
	stays_version_1(-EIO,
		"cannot bring the catalogue to version 2: trigger typed_moved already exists");
	assert_int_equal(sql("DROP TRIGGER typed_moved"), -1);
	up();
	recount();
}

static void refuses_version_0(void **state)
{
	make_1();
	assert_int_equal(sql("PRAGMA user_version=0"), -1);
	assert_int_equal(store_open(path, &defaults, &s, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, "is damaged: its version is 0"));
	assert_int_equal(sql("PRAGMA user_version=1"), -1);
	up();
}

static void add_many(sqlite3 *db, int n)
{
	char text[800];

	(void)snprintf(text, sizeof text,
		"BEGIN; WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %d) "
		"INSERT INTO volume (uuid, name, status, trashed, size, uid, gid, mode, created_us, "
		"updated_us, project, backend, image_id, spec) "
		"SELECT 'uuid-of-some-length-' || n, 'volume-' || n, 2, n %% 50 = 0, 1048576, 0, 0, "
		"493, n, n, 2 + n %% 2, 1, 'image', 'size=1M name=volume-' || n FROM c; "
		/* those of version 1 counted nothing that came into the world trashed */
		"COMMIT",
		n);
	run(db, "INSERT INTO project (name) VALUES ('web'), ('root'); "
		"INSERT INTO backend (name) VALUES ('b0')");
	run(db, text);
}

static void a_full_disk_leaves_version_1(void **state)
{
	char size[64];
	struct stat st;
	sqlite3 *db;

	if (mount("volfs-test", dir, "tmpfs", 0, "size=16m") < 0)
		fail_msg("mount: %s (tests run as root)", strerror(errno));
	db = open_1();
	add_many(db, 3000);
	sqlite3_close(db);
	assert_int_equal(stat(path, &st), 0);
	(void)snprintf(size, sizeof size, "size=%lldk", (long long)st.st_size / 1024 + 200);
	assert_int_equal(mount("volfs-test", dir, NULL, MS_REMOUNT, size), 0);
	stays_version_1(
		-ENOSPC, "cannot bring the catalogue to version 2: database or disk is full");
	assert_int_equal(mount("volfs-test", dir, NULL, MS_REMOUNT, "size=16m"), 0);
	up();
	assert_int_equal(sql("SELECT count(*) FROM volume"), 3000);
	recount();
}

/* --- many volumes --- */

static void a_hundred_thousand_take_seconds(void **state)
{
	sqlite3 *db = open_1();
	int64_t began;

	add_many(db, 100000);
	sqlite3_close(db);
	began = clock_mono_ns();
	assert_int_equal(store_open(path, &defaults, &s, &err), 0);
	began = clock_mono_ns() - began;
	print_message("100,000 volumes: %.2f s\n", (double)began / 1e9);
	assert_true(began < INT64_C(60000000000));
	store_close(s);
	s = NULL;
	recount();
	assert_int_equal(sql("SELECT trash_size FROM project WHERE name = 'web'"), 2000 << 20);
}

/* As many projects as there are groups, and a backend that could not delete for a while. */
static void trash_of_many_projects_is_walked_once(void **state)
{
	sqlite3 *db = open_1();
	int64_t began;

	run(db, "BEGIN; WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 10000) "
		"INSERT INTO project (name) SELECT 'p' || n FROM c;"
		"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 30000) "
		"INSERT INTO volume (uuid, name, status, trashed, size, uid, gid, mode, created_us, "
		"updated_us, project, image_id, spec) "
		"SELECT 'u' || n, 'v' || n, 2, 1, 1048576, 0, 0, 493, n, n, 2 + n % 10000, 'i', '' FROM c;"
		"COMMIT");
	sqlite3_close(db);
	began = clock_mono_ns();
	up();
	began = clock_mono_ns() - began;
	print_message(
		"30,000 volumes in the trash of 10,000 projects: %.2f s\n", (double)began / 1e9);
	assert_true(began < INT64_C(10000000000));
	assert_int_equal(sql("SELECT count(*) FROM project WHERE trash_size = 3 << 20"), 10000);
}

/* Killed at some instant of it: it is one of the versions and nothing between, and the next start goes on. */
static void killed_in_between(void **state)
{
	for (int i = 0; i < 8; i++) {
		sqlite3 *db = open_1();
		int64_t version;
		pid_t pid;

		add_many(db, 10000);
		sqlite3_close(db);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(store_open(path, &defaults, &s, &err) < 0);
		usleep(2000 + (unsigned)i * 15000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		version = sql("PRAGMA user_version");
		assert_int_equal(
			sql("SELECT count(*) FROM sqlite_schema WHERE name = 'type_quota'"),
			version >= 2);
		assert_int_equal(
			sql("SELECT count(*) FROM sqlite_schema WHERE name = 'attachment'"),
			version >= 3);
		assert_int_equal(sql("SELECT count(*) FROM sqlite_schema WHERE name = 'snapshot'"),
			version >= 4);
		up();
		assert_int_equal(sql("SELECT count(*) FROM volume"), 10000);
		recount();
		down();
		assert_int_equal(unlink(path), 0);
	}
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_dir, drop_dir)
	const struct CMUnitTest tests[] = {
		TEST(every_row_is_still_there),
		TEST(it_has_the_shape_of_a_fresh_one),
		TEST(version_2_gets_uses),
		TEST(version_3_gets_classes),
		TEST(ids_go_on_where_they_were),
		TEST(sums_go_on),
		TEST(limits_and_jobs_are_read_as_before),
		TEST(what_waits_in_the_wal_comes_along),
		TEST(a_step_that_fails_leaves_version_1),
		TEST(refuses_version_0),
		TEST(a_full_disk_leaves_version_1),
		TEST(a_hundred_thousand_take_seconds),
		TEST(trash_of_many_projects_is_walked_once),
		TEST(killed_in_between),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
