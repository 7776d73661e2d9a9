/* Lines of JSON, held against what a library makes of the same rows; and the walks that they come from. */
#include "base/clock.h"
#include "fs/json.h"
#include "store/internal.h"
#include "store_rig.h"

#include <errno.h>
#include <jansson.h>

static struct view *v;
static const struct log_reader everybody = { .all = true };

static int start(void **state)
{
	if (make_dir(state) < 0)
		return -1;
	up();
	return view_open(s, &v, &err);
}

static int stop(void **state)
{
	view_close(v);
	return drop_dir(state);
}

/* --- what hangs on a volume --- */

static struct volume added(const char *name, const char *project)
{
	struct volume vol = volume(name);

	(void)snprintf(vol.project, sizeof vol.project, "%s", project);
	assert_int_equal(change(add_volume, &vol), 0);
	return vol;
}

struct key {
	int64_t volume, id;
	const char *key, *value;
};

static int set_key(struct tx *tx, void *arg, struct err *e)
{
	struct key *k = arg;

	return tx_meta_set(tx, k->volume, k->key, k->value, &k->id);
}

static void has_key(int64_t of, const char *key, const char *value)
{
	struct key k = { of, 0, key, value };

	assert_true(change(set_key, &k) >= 0);
}

static int add_use(struct tx *tx, void *arg, struct err *e)
{
	return tx_use_add(tx, arg);
}

static struct use has_use(int64_t of, const char *name, const char *host, bool writes)
{
	struct use u = { .volume = of, .kind = USE_ATTACHED, .writes = writes };

	(void)snprintf(u.name, sizeof u.name, "%s", name);
	(void)snprintf(u.host, sizeof u.host, "%s", host);
	assert_int_equal(change(add_use, &u), 0);
	return u;
}

static int add_snapshot(struct tx *tx, void *arg, struct err *e)
{
	return tx_snapshot_add(tx, arg);
}

static struct snapshot has_snapshot(int64_t of, const char *name)
{
	struct snapshot n = { .volume = of, .size = 1 << 20, .status = SNAP_AVAILABLE };
	uuid_t uuid;

	uuid_generate(uuid);
	uuid_unparse_lower(uuid, n.uuid);
	(void)snprintf(n.name, sizeof n.name, "%s", name);
	assert_int_equal(change(add_snapshot, &n), 0);
	return n;
}

static int nameless(struct tx *tx, void *arg, struct err *e)
{
	return tx_snapshot_rename(tx, *(int64_t *)arg, "");
}

static int to_trash(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_trash(tx, *(int64_t *)arg, clock_wall_us());
}

/* --- lines --- */

static json_t *parsed(const char *line)
{
	json_error_t error;
	json_t *j;

	assert_true(line[0] && strchr(line, '\n') == line + strlen(line) - 1);
	j = json_loads(line, JSON_REJECT_DUPLICATES, &error);
	if (!j)
		fail_msg("%s: %s", error.text, line);
	return j;
}

static json_t *line_of(int64_t id)
{
	struct buf text = { 0 };
	struct volume got;
	json_t *j;

	assert_int_equal(json_of_volume(v, NULL, id, &text, &got), 0);
	assert_int_equal(got.id, id);
	j = parsed(buf_text(&text));
	buf_release(&text);
	return j;
}

static json_t *expected(int64_t id)
{
	char created[CLOCK_TEXT_MAX], updated[CLOCK_TEXT_MAX];
	struct volume vol;
	json_t *j;

	assert_int_equal(view_volume(v, id, &vol), 0);
	j = json_pack(
		"{s:s s:s s:s s:s s:I s:I s:s s:s s:s s:s s:s s:s s:s s:b s:b s:b s:I s:I s:s "
		"s:n s:{} s:[] s:[]}",
		"id", vol.uuid, "name", vol.name, "status", vol_status_name(vol.status), "error",
		vol.reason, "size", (json_int_t)vol.size, "used", (json_int_t)vol.used, "type",
		vol.type, "zone", vol.zone, "backend", vol.backend, "project", vol.project,
		"description", vol.description, "created", clock_text(vol.created_us, created),
		"updated", clock_text(vol.updated_us, updated), "protected", vol.protected_,
		"readonly", vol.readonly, "bootable", vol.bootable, "uid", (json_int_t)vol.uid,
		"gid", (json_int_t)vol.gid, "origin", vol.origin, "progress", "metadata",
		"attachments", "snapshots");
	assert_non_null(j);
	return j;
}

static void same(json_t *got, json_t *want)
{
	if (!json_equal(got, want))
		fail_msg("got %s\nwant %s", json_dumps(got, 0), json_dumps(want, 0));
	json_decref(got);
	json_decref(want);
}

static int dress(struct tx *tx, void *arg, struct err *e)
{
	int64_t id = *(int64_t *)arg;
	int r = tx_volume_status(tx, id, VOL_ERROR, "it's \"broken\"\nfor good \\");

	r = r < 0 ? r : tx_volume_text(tx, id, "caf\xc3\xa9 \xf0\x9f\x98\x80 / \x7f", true);
	r = r < 0 ? r : tx_volume_flags(tx, id, true, false);
	r = r < 0 ? r : tx_volume_resize(tx, id, INT64_MAX / 512 * 512);
	return r < 0 ? r : tx_volume_owner(tx, id, 0750, UINT32_MAX - 1, 7, "q \"q\"");
}

static void every_member_is_what_the_row_says(void **state)
{
	int64_t id = added("v1", "p").id, plain = added(NULL, "p").id;

	assert_true(change(dress, &id) >= 0);
	same(line_of(id), expected(id));
	same(line_of(plain), expected(plain));
}

static void what_hangs_on_it_is_there(void **state)
{
	int64_t before = added("before", "p").id, id = added("v", "p").id;
	struct snapshot monday, gone;
	struct use vm, vm2;
	char text[4][CLOCK_TEXT_MAX];
	json_t *want;

	has_key(before, "other", "1");
	has_key(id, "z", "first");
	has_key(id, "a\"b", "\\ \xc3\xa9");
	vm = has_use(id, "vm", "node\"1\"", true);
	vm2 = has_use(id, "vm2", "", false);
	monday = has_snapshot(id, "monday");
	gone = has_snapshot(id, "gone");
	assert_true(change(nameless, &gone.id) >= 0);
	has_snapshot(added("after", "p").id, "tuesday");
	want = expected(id);
	json_object_set_new(
		want, "metadata", json_pack("{s:s s:s}", "z", "first", "a\"b", "\\ \xc3\xa9"));
	json_object_set_new(want, "attachments",
		json_pack("[{s:s s:s s:s s:s} {s:s s:s s:s s:s}]", "name", "vm", "host",
			"node\"1\"", "mode", "rw", "since", clock_text(vm.since_us, text[0]),
			"name", "vm2", "host", "", "mode", "ro", "since",
			clock_text(vm2.since_us, text[1])));
	json_object_set_new(want, "snapshots",
		json_pack("[{s:s s:s s:I s:s s:s}]", "name", "monday", "id", monday.uuid, "size",
			(json_int_t)monday.size, "created", clock_text(monday.created_us, text[2]),
			"status", "available"));
	same(line_of(id), want);
}

static void text_that_is_none_is_replaced(void **state)
{
	int64_t id = added("v", "p").id;
	json_t *j;

	has_key(id, "k", "\xff!");
	j = line_of(id);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "metadata"), "k")),
		"\xef\xbf\xbd!");
	json_decref(j);
}

static void what_is_not_there_has_no_line(void **state)
{
	int64_t id = added("v", "p").id;
	struct buf text = { 0 };
	struct volume got;

	assert_int_equal(json_of_volume(v, NULL, id + 1, &text, &got), -ENOENT);
	assert_int_equal(text.len, 0);
	assert_true(change(to_trash, &id) >= 0);
	json_decref(line_of(id));
}

/* --- walks --- */

enum { MANY = 100 };

/* The names that a walk passes, after a row. */
static void passes(const struct log_reader *who, int64_t after, const char *want)
{
	struct buf names = { 0 };
	struct volume got;
	int r;

	assert_int_equal(view_walk(v, who, after), 0);
	while ((r = view_walk_volume(v, &got)) > 0)
		buf_addf(&names, "%s%s", names.len ? " " : "", got.name);
	assert_int_equal(r, 0);
	assert_int_equal(view_walk_volume(v, &got), 0);
	view_walk_end(v);
	assert_string_equal(buf_text(&names), want);
	buf_release(&names);
}

static struct log_reader member_of(const char *a, const char *b)
{
	struct log_reader who;

	assert_int_equal(view_log_reader(v, (const char *const[]){ a, b }, 2, &who), 0);
	return who;
}

static void walks_pass_what_the_reader_may_see(void **state)
{
	int64_t a = added("a", "p").id, b = added("b", "q").id, c = added("c", "r").id;
	struct log_reader who;

	added("d", "p");
	added("e", "q");
	passes(&everybody, 0, "a b c d e");
	passes(&everybody, b, "c d e");
	who = member_of("p", "q");
	passes(&who, 0, "a b d e");
	passes(&who, a, "b d e");
	who = member_of("r", "none");
	passes(&who, 0, "c");
	passes(&who, c, "");
	who = member_of("none", "neither");
	passes(&who, 0, "");
	assert_true(change(to_trash, &b) >= 0);
	passes(&everybody, 0, "a c d e");
	who = member_of("q", "r");
	passes(&who, 0, "c e");
}

/* More of one project than a batch holds, others' between them: each once, in order, with its own keys. */
static void long_walks_are_complete(void **state)
{
	struct log_reader who = { 0 };
	int64_t id = 0, first = added("first", "p").id;
	struct meta_entry m;
	struct volume got;
	char number[16];
	int n = 0;

	for (int i = 0; i < MANY; i++) {
		(void)snprintf(number, sizeof number, "v%d", i);
		has_key(added(number, i % 3 ? "q" : "r").id, "n", number);
		added(NULL, "others");
	}
	who = member_of("q", "r");
	while (who.count < LOG_PROJECTS) /* so that a batch is small */
		who.project[who.count++] = INT32_MAX;
	assert_int_equal(view_walk(v, &who, first), 0);
	while (view_walk_volume(v, &got) == 1) {
		assert_true(got.id > id);
		id = got.id;
		(void)snprintf(number, sizeof number, "v%d", n++);
		assert_string_equal(got.name, number);
		assert_int_equal(view_walk_meta(v, &m), 1);
		assert_string_equal(m.value, number);
		assert_int_equal(view_walk_meta(v, &m), 0);
	}
	view_walk_end(v);
	assert_int_equal(n, MANY);
}

static void lists_need_not_be_taken(void **state)
{
	int64_t a = added("a", "p").id, b = added("b", "p").id, c = added("c", "p").id;
	struct meta_entry m;
	struct snapshot n;
	struct volume got;
	struct use u;

	has_key(a, "k", "a");
	has_key(b, "k", "b");
	has_snapshot(b, "s");
	has_use(c, "vm", "h", true);
	assert_true(change(to_trash, &b) >= 0);
	assert_int_equal(view_walk(v, &everybody, 0), 0);
	assert_int_equal(view_walk_volume(v, &got), 1);
	assert_int_equal(view_walk_volume(v, &got), 1);
	assert_int_equal(got.id, c);
	assert_int_equal(view_walk_meta(v, &m), 0);
	assert_int_equal(view_walk_snapshot(v, &n), 0);
	assert_int_equal(view_walk_use(v, &u), 1);
	assert_string_equal(u.name, "vm");
	view_walk_end(v);
	view_walk_end(v);
}

/* One snapshot of the catalogue: what is committed meanwhile is not seen, and nobody waits. */
static void a_walk_sees_one_moment(void **state)
{
	int64_t a = added("a", "p").id, b = added("b", "p").id;
	struct meta_entry m;
	struct volume got;

	assert_int_equal(view_walk(v, &everybody, 0), 0);
	assert_int_equal(view_walk_volume(v, &got), 1);
	assert_int_equal(got.id, a);
	added("c", "p");
	has_key(b, "k", "1");
	assert_true(change(to_trash, &b) >= 0);
	assert_int_equal(view_walk_volume(v, &got), 1);
	assert_int_equal(got.id, b);
	assert_int_equal(view_walk_meta(v, &m), 0);
	assert_int_equal(view_walk_volume(v, &got), 0);
	view_walk_end(v);
	passes(&everybody, 0, "a c");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(every_member_is_what_the_row_says),
		TEST(what_hangs_on_it_is_there),
		TEST(text_that_is_none_is_replaced),
		TEST(what_is_not_there_has_no_line),
		TEST(walks_pass_what_the_reader_may_see),
		TEST(long_walks_are_complete),
		TEST(lists_need_not_be_taken),
		TEST(a_walk_sees_one_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
