/* Who may do what, when: every call of engine.h, its errors and its sentences. */
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;
static const gid_t in_bin[] = { 2 };
static const struct caller user = {
	.uid = 1, .gid = 1, .pid = 1, .groups = in_bin, .group_count = 1
};

static int set_up(void **state)
{
	fault_reset();
	rig_make(&rig, 1, "quota = { volumes = 4; size = \"100M\"; per_volume_size = \"60M\"; };");
	rig_up(&rig);
	return 0;
}

static int tear_down(void **state)
{
	fault_reset();
	rig_idle(&rig);
	rig_recount(&rig);
	rig_down(&rig);
	rig_drop(&rig);
	return 0;
}

static int64_t made(const char *spec)
{
	int64_t id;

	if (rig_create(&rig, spec, &id) != 0)
		fail_msg("%s: %s", spec, rig_text);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	return id;
}

static struct volume row(int64_t id)
{
	struct volume v;

	assert_int_equal(view_volume(rig.view, id, &v), 0);
	return v;
}

/* The same answer from the check while writing and from the transaction. */
static void refused(const struct caller *who, const char *text, int code, const char *sentence)
{
	struct spec spec;
	struct err err = { 0 };

	assert_int_equal(rig_create_as(&rig, who, text, NULL, NULL), code);
	if (!strstr(rig_text, sentence))
		fail_msg("'%s' is not in: %s", sentence, rig_text);
	assert_int_equal(spec_parse(text, strlen(text), true, &spec, &err), 0);
	assert_int_equal(engine_spec_check(rig.engine, rig.view, who, &spec,
				 "00000000-0000-4000-8000-000000000000", false, &err),
		code);
	assert_string_equal(err.text, rig_text);
	spec_release(&spec);
}

static void refuses_specs(void **state)
{
	(void)made("size=1M name=db");
	refused(&user, "size=1M name=db", -EEXIST, "the name 'db' is taken by a volume of uid 0");
	refused(&user, "size=1M type=fast", -ENOENT, "no such volume type: 'fast'");
	refused(&user, "size=1M zone=moon", -ENOENT, "no such zone: no backend is in 'moon'");
	refused(&user, "size=1M source=log", -ENOENT, "no such volume: 'log'");
	refused(&user, "size=1M snapshot=db@s", -ENOENT, "volume 'db' has no snapshot 's'");
	refused(&user, "size=1M source=db", -EACCES,
		"you may not read volume 'db': see the mode of its file 'data'");
	refused(&user, "size=1M image=i", -ENOENT, "no such image: 'i'");
	refused(&user, "size=1M backup=b", -ENOENT, "no such backup: 'b'");
	refused(&user, "size=1M group=g", -ENOENT, "no such group: 'g' (there are none yet)");
	refused(&user, "size=1M hint.same_backend=db,nowhere", -ENOENT,
		"no such volume: 'nowhere'");
	refused(&user, "size=1M hint.query='[\"near\", 1]'", -EINVAL,
		"hint.query: there is no operator 'near'");
	refused(&user, "size=1M hint.query=7", -EINVAL, "hint.query: is not a list");
	refused(&user, "size=1M project=no-such-group", -ENOENT,
		"there is no group 'no-such-group'");
	refused(&user, "size=1M project=sys", -EACCES, "you are not in that group");
	refused(&user, "size=61M", -EFBIG,
		"a volume of 61M is larger than project 'daemon' may have: 60M");
	assert_int_equal(rig_create_as(&rig, &user, "size=60M", NULL, NULL), 0);
	refused(&user, "size=41M", -EDQUOT,
		"quota of project 'daemon': 41M wanted, 60M of 100M in use");
	assert_int_equal(rig_create_as(&rig, &user, "size=40M project=bin", NULL, NULL), 0);
	assert_int_equal(rig_create_as(&rig, &user, "size=40M zone=default", NULL, NULL), 0);
	assert_int_equal(rig_create_as(&rig, &rig.who, "size=400M project=root", NULL, NULL), 0);
	assert_int_equal(rig_create_as(&rig, &rig.who, "size=40M project=sys", NULL, NULL), 0);
}

static void checks_what_is_there_so_far(void **state)
{
	struct spec spec = { 0 };
	struct err err = { 0 };

	assert_int_equal(engine_spec_check(rig.engine, rig.view, &user, &spec, "", true, &err), 0);
	assert_int_equal(
		engine_spec_check(rig.engine, rig.view, &user, &spec, "", false, &err), -EINVAL);
	spec.zone = (char *)"moon";
	assert_int_equal(
		engine_spec_check(rig.engine, rig.view, &user, &spec, "", true, &err), -ENOENT);
}

static void names_come_from_the_file(void **state)
{
	struct buf text = { 0 };
	int64_t id, found;

	assert_int_equal(rig_create_as(&rig, &rig.who, "size=1M", "web.spec", &id), 0);
	assert_string_equal(row(id).name, "web");
	assert_int_equal(view_accepted(rig.view, "web", &found), 0);
	assert_int_equal(found, id);
	assert_int_equal(view_spec(rig.view, id, &text), 0);
	assert_string_equal(text.at, "size=1M");
	buf_release(&text);
	assert_int_equal(rig_create(&rig, "size=1M", &id), 0);
	assert_string_equal(row(id).name, row(id).uuid);
}

static void the_same_spec_twice_is_one_volume(void **state)
{
	static const char uuid[] = "00000000-0000-4000-8000-000000000001";
	struct spec spec = { .size = 1 << 20 };
	struct rig_answer a[2];
	int64_t first, second;

	for (int i = 0; i < 2; i++) {
		rig_begin(&a[i]);
		engine_create(rig.engine, (struct change_id){ 0 }, &rig.who, &spec, uuid, NULL, "",
			0, true, rig_done, &a[i]);
	}
	assert_int_equal(rig_wait(&a[0], &first), 0);
	assert_int_equal(rig_wait(&a[1], &second), 0);
	assert_int_equal(first, second);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM volume"), 1);
}

static int rename_to(int64_t id, const char *name, struct change_id change)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_rename(rig.engine, change, &rig.who, id, name, rig_done, &a);
	return rig_wait(&a, NULL);
}

static void renames(void **state)
{
	struct change_id none = { 0 };
	int64_t db = made("size=1M name=db"), web = made("size=1M name=web"), found;
	struct vol_entry entry;

	assert_int_equal(rename_to(web, "db", none), -EEXIST);
	assert_int_equal(rename_to(web, "-x", none), -EINVAL);
	assert_int_equal(rename_to(web, row(db).uuid, none), -EINVAL);
	assert_int_equal(rename_to(web, "www", none), 0);
	assert_int_equal(rename_to(web, "www", none), 0);
	assert_int_equal(view_entry_by_name(rig.view, "web", &entry), -ENOENT);
	assert_int_equal(rename_to(web, row(web).uuid, none), 0);
	assert_int_equal(view_entry_by_name(rig.view, row(web).uuid, &entry), 0);
	assert_int_equal(rename_to(12345, "x", none), -ENOENT);
	(void)found;
}

/* A request that the kernel sends again is not done twice, and only if it was done. */
static void resent_requests_are_answered_once(void **state)
{
	struct change_id id = { .mount = 7, .unique = 9 };
	int64_t db = made("size=1M name=db");
	struct rig_answer a;
	int64_t row_;

	assert_int_equal(rename_to(db, "web", id), 0);
	assert_int_equal(rename_to(db, "db", (struct change_id){ 0 }), 0);
	rig_down(&rig);
	rig_up(&rig);
	id.resent = true;
	assert_int_equal(rename_to(db, "web", id), 0);
	assert_string_equal(row(db).name, "db");
	id.unique = 10;
	assert_int_equal(rename_to(db, "web", id), 0);
	assert_string_equal(row(db).name, "web");
	assert_int_equal(rename_to(db, "new", id), 0); /* whatever is thought of it now */
	rig_begin(&a);
	id = (struct change_id){ .mount = 7, .unique = 11 };
	engine_delete(rig.engine, rig.view, id, &rig.who, db, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
	rig_idle(&rig);
	id.resent = true;
	rig_begin(&a);
	engine_delete(rig.engine, rig.view, id, &rig.who, db, rig_done, &a);
	assert_int_equal(rig_wait(&a, &row_), 0);
	assert_int_equal(row_, db);
	assert_int_equal(rig_delete(&rig, db), -ENOENT);
}

static void deletes_what_may_be_deleted(void **state)
{
	struct volume values = { .protected_ = true };
	struct vol_entry entry;
	struct rig_answer a;
	int64_t id = made("size=1M name=db");
	char uuid[UUID_LEN + 1];

	memcpy(uuid, row(id).uuid, sizeof uuid);
	rig_begin(&a);
	engine_set(rig.engine, (struct change_id){ 0 }, &rig.who, id, SET_PROTECTED, &values,
		rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
	assert_int_equal(rig_delete(&rig, id), -EPERM);
	values.protected_ = false;
	rig_begin(&a);
	engine_set(rig.engine, (struct change_id){ 0 }, &rig.who, id, SET_PROTECTED, &values,
		rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
	atomic_store(&fault.hang, "b0");
	assert_int_equal(rig_extend(&rig, id, 2 << 20), 0);
	assert_int_equal(rig_delete(&rig, id), -EBUSY);
	assert_string_equal(rig_text, "volume 'db' is extending");
	assert_int_equal(rig_extend(&rig, id, 3 << 20), -EBUSY);
	atomic_store(&fault.hang, NULL);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	atomic_store(&fault.hang, "b0");
	assert_int_equal(rig_delete(&rig, id), 0);
	assert_int_equal(rig_delete(&rig, id), -ENOENT);
	/* name and quota are free at once; the backend is not */
	assert_int_equal(rig_sql(&rig, "SELECT size FROM project WHERE name = 'root'"), 0);
	assert_int_equal(rig_sql(&rig, "SELECT allocated FROM backend"), 2 << 20);
	assert_int_equal(view_entry_by_uuid(rig.view, uuid, &entry), 0);
	assert_true(entry.trashed);
	assert_int_equal(entry.status, VOL_DELETING);
	assert_int_equal(view_entries(rig.view, LIST_TRASH, 0, &entry, 1), 1);
	assert_int_equal(rig_create(&rig, "size=1M name=db", NULL), 0);
	assert_int_equal(rig_purge(&rig, id), 0); /* it is being purged */
	atomic_store(&fault.hang, NULL);
	rig_idle(&rig);
	assert_int_equal(view_purged(rig.view, uuid, &entry), 0);
	assert_int_equal(entry.id, id);
	assert_int_equal(rig_purge(&rig, id), -ENOENT);
}

static void extends(void **state)
{
	int64_t id;
	struct quota q;

	assert_int_equal(rig_create_as(&rig, &user, "size=10M name=db", NULL, &id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(rig_extend(&rig, id, 10 << 20), 0);
	assert_int_equal(rig_extend(&rig, id, 9 << 20), -EINVAL);
	assert_string_equal(rig_text, "volume 'db' has 10M: it cannot shrink to 9M");
	assert_int_equal(rig_extend(&rig, id, (11 << 20) + 1), -EINVAL);
	assert_int_equal(rig_extend(&rig, id, 61 << 20), -EFBIG);
	assert_int_equal(rig_create_as(&rig, &user, "size=60M", NULL, NULL), 0);
	assert_int_equal(rig_extend(&rig, id, 41 << 20), -EDQUOT);
	assert_string_equal(rig_text, "quota of project 'daemon': 31M wanted, 70M of 100M in use");
	rig_idle(&rig);
	atomic_store(&fault.fail_at, atomic_load(&fault.passed) + 1);
	assert_int_equal(rig_extend(&rig, id, 20 << 20), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_ERROR_EXTENDING);
	assert_int_equal(row(id).size, 10 << 20);
	assert_non_null(strstr(row(id).reason, "b0: point"));
	assert_int_equal(view_quota_by_name(rig.view, "daemon", &q), 0);
	assert_int_equal(q.used[QUOTA_SIZE], 70 << 20);
	assert_int_equal(rig_extend(&rig, id, 20 << 20), -EBUSY);
}

static int set(const struct caller *who, int64_t id, unsigned fields, struct volume values)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_set(rig.engine, (struct change_id){ 0 }, who, id, fields, &values, rig_done, &a);
	return rig_wait(&a, NULL);
}

static void changes_owner_and_text(void **state)
{
	int64_t id = made("size=50M name=db");
	struct quota q;

	assert_int_equal(
		set(&rig.who, id, SET_UID | SET_MODE, (struct volume){ .uid = 7, .mode = 0700 }),
		0);
	assert_int_equal(row(id).uid, 7);
	assert_int_equal(row(id).mode, 0700);
	assert_string_equal(row(id).project, "root");
	assert_int_equal(set(&rig.who, id, SET_GID, (struct volume){ .gid = 1 }), 0);
	assert_string_equal(row(id).project, "daemon");
	assert_int_equal(view_quota_by_name(rig.view, "daemon", &q), 0);
	assert_int_equal(q.used[QUOTA_SIZE], 50 << 20);
	id = made("size=51M name=web");
	assert_int_equal(set(&rig.who, id, SET_GID, (struct volume){ .gid = 1 }), -EDQUOT);
	assert_string_equal(row(id).project, "root");
	assert_int_equal(
		set(&rig.who, id, SET_DESCRIPTION, (struct volume){ .description = "x y" }), 0);
	assert_string_equal(row(id).description, "x y");
	assert_int_equal(
		set(&rig.who, id, SET_DESCRIPTION, (struct volume){ .description = "x\ny" }),
		-EINVAL);
}

static int meta(int64_t id, const char *key, const char *value, enum meta_how how)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_meta(
		rig.engine, (struct change_id){ 0 }, &rig.who, id, key, value, how, rig_done, &a);
	return rig_wait(&a, NULL);
}

static int meta_rename(int64_t id, const char *key, const char *to)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_meta_rename(
		rig.engine, (struct change_id){ 0 }, &rig.who, id, key, to, rig_done, &a);
	return rig_wait(&a, NULL);
}

static void renames_metadata(void **state)
{
	int64_t id = made("size=1M name=db metadata.a=1 metadata.b=2");
	struct meta_entry entry[4];

	assert_int_equal(meta_rename(id, "c", "a"), -ENOENT);
	assert_int_equal(meta_rename(id, "a", "a/b"), -EINVAL);
	assert_int_equal(meta_rename(id, "a", "a"), 0);
	assert_int_equal(meta_rename(id, "a", "c"), 0);
	assert_int_equal(view_meta_by_key(rig.view, id, "a", entry), -ENOENT);
	assert_int_equal(meta_rename(id, "c", "b"), 0);
	assert_int_equal(view_metas(rig.view, id, 0, entry, 4), 1);
	assert_string_equal(entry[0].key, "b");
	assert_string_equal(entry[0].value, "1");
}

static void keeps_metadata(void **state)
{
	int64_t id = made("size=1M name=db metadata.a=1");
	struct meta_entry entry[4];

	assert_int_equal(meta(id, "a", "2", META_CREATE), -EEXIST);
	assert_int_equal(meta(id, "a", "2", META_SET), 0);
	assert_int_equal(meta(id, "b", "3", META_CREATE), 0);
	assert_int_equal(meta(id, "b/c", "3", META_CREATE), -EINVAL);
	assert_int_equal(meta(id, "b", "3\n", META_SET), -EINVAL);
	assert_int_equal(meta(id, "c", NULL, META_SET), -ENOENT);
	assert_int_equal(view_metas(rig.view, id, 0, entry, 4), 2);
	assert_string_equal(entry[0].value, "2");
	assert_int_equal(meta(id, "a", "more", META_APPEND), 0);
	assert_int_equal(meta(id, "d", "new", META_APPEND), 0);
	assert_int_equal(view_metas(rig.view, id, 0, entry, 4), 3);
	assert_string_equal(entry[0].value, "2 more");
	assert_string_equal(entry[2].value, "new");
	assert_int_equal(meta(id, "a", NULL, META_SET), 0);
	assert_int_equal(view_meta_by_key(rig.view, id, "a", entry), -ENOENT);
	assert_int_equal(meta(12345, "a", "1", META_SET), -ENOENT);
}

static int reset(const struct caller *who, int64_t id, enum vol_status to)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_reset(rig.engine, (struct change_id){ 0 }, who, id, to, rig_done, &a);
	return rig_wait(&a, NULL);
}

static void resets(void **state)
{
	int64_t id = made("size=1M name=db");

	assert_int_equal(reset(&user, id, VOL_ERROR), -EACCES);
	assert_int_equal(reset(&rig.who, id, VOL_DELETING), -EINVAL);
	assert_int_equal(reset(&rig.who, id, VOL_REVERTING), -EINVAL);
	assert_int_equal(reset(&rig.who, id, VOL_ERROR), 0);
	assert_int_equal(row(id).status, VOL_ERROR);
	assert_int_equal(reset(&rig.who, id, VOL_AVAILABLE), 0);
	atomic_store(&fault.hang, "b0");
	assert_int_equal(rig_extend(&rig, id, 2 << 20), 0);
	assert_int_equal(reset(&rig.who, id, VOL_AVAILABLE), -EBUSY);
	atomic_store(&fault.hang, NULL);
}

static int limit(
	const struct caller *who, const char *project, enum quota_resource what, int64_t max)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_quota_set(
		rig.engine, (struct change_id){ 0 }, who, project, 0, what, max, rig_done, &a);
	return rig_wait(&a, NULL);
}

static void limits(void **state)
{
	struct rig_answer a;
	struct quota q;
	int64_t id;

	assert_int_equal(limit(&user, "daemon", QUOTA_VOLUMES, 9), -EACCES);
	assert_int_equal(limit(&rig.who, "daemon", QUOTA_VOLUMES, 9), 0);
	assert_int_equal(view_quota_by_name(rig.view, "daemon", &q), 0);
	assert_int_equal(q.max[QUOTA_VOLUMES], 9);
	assert_int_equal(q.max[QUOTA_SIZE], 100 << 20);
	assert_int_equal(limit(&rig.who, "root", QUOTA_SIZE, 1 << 20), 0);
	assert_int_equal(rig_create(&rig, "size=2M", NULL), -EDQUOT);
	assert_int_equal(limit(&rig.who, "root", QUOTA_SIZE, SIZE_LIMIT_NONE), 0);
	assert_int_equal(rig_create(&rig, "size=2M", NULL), 0);
	rig_begin(&a);
	engine_quota_row(rig.engine, "bin", 0, rig_done, &a);
	assert_int_equal(rig_wait(&a, &id), 0);
	assert_int_equal(view_quota(rig.view, id, &q), 0);
	assert_string_equal(q.project, "bin");
	rig_begin(&a);
	engine_quota_row(rig.engine, "no-such-group", 0, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), -ENOENT);
}

/* A volume that fits nowhere is counted as well. That nothing is left of the sums is what tear_down() asks. */
static void sums_stay_whole_numbers(void **state)
{
	int64_t small, big;

	assert_int_equal(rig_create(&rig, "size=1049088B", &small), 0);
	assert_int_equal(rig_create(&rig, "size=8191P", &big), 0);
	assert_int_equal(rig_settle(&rig, big), VOL_ERROR);
	refused(&rig.who, "size=8191P", -EDQUOT,
		"quota of project 'root': 8191P wanted, 9222246136948982272B in use: "
		"together more than can be counted");
	assert_int_equal(rig_create(&rig, "size=1023T", NULL), 0);
	assert_int_equal(rig_settle(&rig, small), VOL_AVAILABLE);
	assert_int_equal(rig_extend(&rig, small, INT64_C(8191) << 50), -EDQUOT);
	assert_int_equal(rig_delete(&rig, big), 0);
	assert_int_equal(rig_create(&rig, "size=8190P", NULL), 0);
}

static void tells_the_connection(void **state)
{
	struct volume v = row(made("size=1M name=db"));
	struct buf out = { 0 };

	assert_int_equal(engine_connection(rig.engine, &v, false, &out), 0);
	assert_non_null(strstr(out.at, "uri=file://"));
	buf_release(&out);
	assert_int_equal(engine_backend_count(rig.engine), 1);
}

static void projects_may_be_restricted(void **state)
{
	static char *only[] = { (char *)"bin", NULL };
	char **was = rig.conf.projects;

	rig.conf.projects = only;
	refused(&user, "size=1M", -EACCES,
		"project 'daemon' is not among those that the configuration allows");
	assert_int_equal(rig_create_as(&rig, &user, "size=1M project=bin", NULL, NULL), 0);
	rig.conf.projects = was;
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(refuses_specs),
		TEST(checks_what_is_there_so_far),
		TEST(names_come_from_the_file),
		TEST(the_same_spec_twice_is_one_volume),
		TEST(renames),
		TEST(resent_requests_are_answered_once),
		TEST(deletes_what_may_be_deleted),
		TEST(extends),
		TEST(changes_owner_and_text),
		TEST(keeps_metadata),
		TEST(renames_metadata),
		TEST(resets),
		TEST(limits),
		TEST(sums_stay_whole_numbers),
		TEST(tells_the_connection),
		TEST(projects_may_be_restricted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
