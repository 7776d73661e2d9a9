/* Views of volumes in the catalogue: they follow every change, and each question is answered by an index. */
#include "store_rig.h"

#include "store/internal.h"

#include <errno.h>

static struct view *v;

static int set_up(void **state)
{
	int r = make_dir(state);

	if (r < 0)
		return r;
	up();
	return view_open(s, &v, &err);
}

static int tear_down(void **state)
{
	view_close(v);
	return drop_dir(state);
}

/* --- changes --- */

struct deed {
	int64_t volume;
	enum vol_status status;
	const char *text;
	int64_t type;
};

static int do_status(struct tx *tx, void *arg, struct err *e)
{
	struct deed *d = arg;

	return tx_volume_status(tx, d->volume, d->status, "");
}

static int do_rename(struct tx *tx, void *arg, struct err *e)
{
	struct deed *d = arg;

	return tx_volume_rename(tx, d->volume, d->text);
}

static int do_trash(struct tx *tx, void *arg, struct err *e)
{
	struct deed *d = arg;

	return tx_volume_trash(tx, d->volume, 0);
}

static int do_restore(struct tx *tx, void *arg, struct err *e)
{
	struct deed *d = arg;

	return tx_volume_restore(tx, d->volume, d->text);
}

static int do_place(struct tx *tx, void *arg, struct err *e)
{
	struct deed *d = arg;

	return tx_volume_place(tx, d->volume, d->text, d->text, "0123456789abcd");
}

static int do_zone(struct tx *tx, void *arg, struct err *e)
{
	struct deed *d = arg;

	return tx_zone(tx, d->text);
}

static int do_type(struct tx *tx, void *arg, struct err *e)
{
	return tx_type_add(tx, arg);
}

static int64_t add_type(const char *name)
{
	struct vol_type t = { .is_public = true };

	(void)snprintf(t.name, sizeof t.name, "%s", name);
	(void)snprintf(t.uuid, sizeof t.uuid, "%s", name);
	assert_int_equal(change(do_type, &t), 0);
	return t.id;
}

static struct volume added(const char *name, enum vol_status status, const char *zone, int64_t type)
{
	struct volume vol = volume(name);

	vol.status = status;
	vol.type_id = type;
	(void)snprintf(vol.zone, sizeof vol.zone, "%s", zone);
	assert_int_equal(change(add_volume, &vol), 0);
	return vol;
}

/* --- what is asked --- */

static int64_t key(enum vol_by by, const char *name)
{
	struct vol_key k;

	assert_int_equal(view_by_key_find(v, by, name, &k), 0);
	assert_string_equal(k.name, name);
	assert_int_equal(view_by_key(v, by, k.id, &k), 0);
	assert_string_equal(k.name, name);
	return k.id;
}

/* The names in a view, in order, two at a time: "a b c". Each is found there by name, too. */
static const char *in(enum vol_by by, const char *of)
{
	static char names[1024];
	struct vol_link link[2], one;
	int64_t number = by == BY_ID ? 0 : key(by, of), after = 0;
	size_t len = 0;
	int got;

	names[0] = '\0';
	while ((got = view_by(v, by, number, after, link, 2)) > 0)
		for (int i = 0; i < got; i++) {
			const char *name = by == BY_ID ? link[i].uuid : link[i].name;

			assert_int_equal(view_by_find(v, by, number, name, &one), 0);
			assert_int_equal(one.id, link[i].id);
			assert_true(link[i].id > after);
			after = link[i].id;
			len += (size_t)snprintf(names + len, sizeof names - len, "%s%s",
				len ? " " : "", link[i].name);
		}
	assert_int_equal(got, 0);
	return names;
}

static const char *keys_of(enum vol_by by)
{
	static char names[1024];
	struct vol_key k[2];
	int64_t after = -1;
	size_t len = 0;
	int got;

	names[0] = '\0';
	while ((got = view_by_keys(v, by, after, k, 2)) > 0)
		for (int i = 0; i < got; i++) {
			assert_true(k[i].id > after);
			after = k[i].id;
			len += (size_t)snprintf(names + len, sizeof names - len, "%s%s%s",
				len ? " " : "", k[i].name, k[i].used ? "" : "(unused)");
		}
	assert_int_equal(got, 0);
	return names;
}

/* --- tests --- */

static void each_view_has_what_belongs_there(void **state)
{
	int64_t fast = add_type("fast"), slow = add_type("slow");

	(void)added("a", VOL_AVAILABLE, "near", fast);
	(void)added("b", VOL_ERROR, "far", 0);
	(void)added("c", VOL_AVAILABLE, "far", slow);
	(void)added("d", VOL_AVAILABLE, "", fast);
	assert_string_equal(in(BY_ID, ""), "a b c d");
	assert_string_equal(in(BY_STATUS, "available"), "a c d");
	assert_string_equal(in(BY_STATUS, "error"), "b");
	assert_string_equal(in(BY_STATUS, "creating"), "");
	assert_string_equal(in(BY_TYPE, "fast"), "a d");
	assert_string_equal(in(BY_TYPE, "slow"), "c");
	assert_string_equal(in(BY_BACKEND, "b"), "a b c d");
	assert_string_equal(in(BY_PROJECT, "p"), "a b c d");
	assert_string_equal(in(BY_ZONE, "near"), "a");
	assert_string_equal(in(BY_ZONE, "far"), "b c");
}

static void nothing_else_is_found_there(void **state)
{
	struct volume a = added("a", VOL_AVAILABLE, "near", 0);
	struct volume own = added(NULL, VOL_ERROR, "near", 0);
	struct vol_link link;
	struct vol_key k;

	assert_int_equal(view_by_find(v, BY_STATUS, VOL_ERROR, "a", &link), -ENOENT);
	assert_int_equal(view_by_find(v, BY_STATUS, VOL_AVAILABLE, "x", &link), -ENOENT);
	assert_int_equal(view_by_find(v, BY_STATUS, VOL_AVAILABLE, a.uuid, &link), -ENOENT);
	assert_int_equal(view_by_find(v, BY_STATUS, VOL_ERROR, own.uuid, &link), 0);
	assert_int_equal(view_by_find(v, BY_ID, 0, "a", &link), -ENOENT);
	assert_int_equal(view_by_find(v, BY_TYPE, 1, "a", &link), -ENOENT);
	assert_int_equal(view_by_find(v, BY_ZONE, key(BY_ZONE, "near") + 1, "a", &link), -ENOENT);
	for (enum vol_by by = BY_STATUS; by < BY_COUNT; by++) {
		assert_int_equal(view_by_key_find(v, by, "nosuch", &k), -ENOENT);
		assert_int_equal(view_by_key(v, by, 99, &k), -ENOENT);
		assert_int_equal(view_by(v, by, 99, 0, &link, 1), 0);
	}
	assert_int_equal(view_by_key_find(v, BY_ID, "a", &k), -ENOENT);
	assert_int_equal(view_by_key(v, BY_STATUS, VOL_STATUS_COUNT, &k), -ENOENT);
}

static void they_follow_every_change(void **state)
{
	struct volume vol = added("a", VOL_CREATING, "near", 0);
	struct deed d = { .volume = vol.id, .status = VOL_AVAILABLE, .text = "z" };

	assert_string_equal(in(BY_STATUS, "creating"), "a");
	assert_int_equal(change(do_status, &d), 0);
	assert_string_equal(in(BY_STATUS, "creating"), "");
	assert_string_equal(in(BY_STATUS, "available"), "a");
	assert_int_equal(change(do_rename, &d), 0);
	assert_string_equal(in(BY_STATUS, "available"), "z");
	d.text = "far";
	assert_int_equal(change(do_place, &d), 0);
	assert_string_equal(in(BY_ZONE, "near"), "");
	assert_string_equal(in(BY_ZONE, "far"), "z");
	assert_string_equal(in(BY_BACKEND, "far"), "z");
	assert_int_equal(change(do_trash, &d), 0);
	for (enum vol_by by = BY_ID; by < BY_COUNT; by++)
		if (by != BY_TYPE)
			assert_string_equal(in(by, by == BY_STATUS     ? "available"
						    : by == BY_PROJECT ? "p"
								       : "far"),
				"");
	d.text = "back";
	assert_int_equal(change(do_restore, &d), 0);
	assert_string_equal(in(BY_ID, ""), "back");
	assert_string_equal(in(BY_ZONE, "far"), "back");
	assert_string_equal(in(BY_PROJECT, "p"), "back");
}

static void keys_are_what_there_is(void **state)
{
	struct volume vol;
	struct deed d = { .text = "new zone" };

	assert_string_equal(keys_of(BY_TYPE), "");
	assert_string_equal(keys_of(BY_PROJECT), "");
	assert_string_equal(keys_of(BY_ID), "");
	assert_int_equal(change(do_zone, &d), 0);
	assert_int_equal(change(do_zone, &d), 0);
	(void)add_type("fast");
	vol = added("a", VOL_AVAILABLE, "near", 0);
	assert_string_equal(keys_of(BY_TYPE), "fast");
	assert_string_equal(keys_of(BY_PROJECT), "p");
	assert_string_equal(keys_of(BY_BACKEND), "b");
	assert_string_equal(keys_of(BY_ZONE), "new zone(unused) near");
	assert_int_equal(strncmp(keys_of(BY_STATUS), "creating downloading available ", 31), 0);
	d.volume = vol.id;
	assert_int_equal(change(do_trash, &d), 0);
	assert_string_equal(keys_of(BY_BACKEND), "b(unused)");
	assert_string_equal(keys_of(BY_ZONE), "new zone(unused) near(unused)");
}

/* --- how SQLite answers what was asked --- */

/* Of every statement that the view has prepared by now. */
static void assert_no_scan_and_no_sort(void)
{
	int seen = 0;

	for (size_t i = 0; i < CONN_STATEMENTS; i++) {
		sqlite3_stmt *of = v->conn.slot[i].stmt, *st;
		char text[4096];

		if (!of)
			continue;
		(void)snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", sqlite3_sql(of));
		assert_int_equal(sqlite3_prepare_v2(v->conn.db, text, -1, &st, NULL), SQLITE_OK);
		while (sqlite3_step(st) == SQLITE_ROW) {
			const char *plan = (const char *)sqlite3_column_text(st, 3);

			if (strstr(plan, "SCAN") || strstr(plan, "B-TREE"))
				fail_msg("%s: %s", plan, sqlite3_sql(of));
		}
		sqlite3_finalize(st);
		seen++;
	}
	assert_true(seen >= 15);
}

static void each_is_answered_by_an_index(void **state)
{
	struct vol_link link[2];
	struct vol_key k[2];

	for (enum vol_by by = 0; by < BY_COUNT; by++) {
		(void)view_by(v, by, 1, 0, link, 2);
		(void)view_by_find(v, by, 1, "a", link);
		(void)view_by_find(v, by, 1, "00000000-0000-4000-8000-000000000000", link);
		(void)view_by_key(v, by, 1, k);
		(void)view_by_key_find(v, by, "a", k);
		(void)view_by_keys(v, by, -1, k, 2);
	}
	assert_no_scan_and_no_sort();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_view_has_what_belongs_there),
		TEST(nothing_else_is_found_there),
		TEST(they_follow_every_change),
		TEST(keys_are_what_there_is),
		TEST(each_is_answered_by_an_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
