/* What the log says of who asked for what, of decisions, and of what is no volume; what a volume's history makes of it. */
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;
static const struct change_id none;

static int set_up(void **state)
{
	static const char *const each[] = { "capabilities = { multiattach = true; };", "", "" };

	fault_reset();
	rig_make_of(&rig, 3, NULL, each);
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

/* How many lines of the log are so; where: SQL about their members. */
static int64_t lines(const char *where)
{
	char text[600];

	(void)snprintf(text, sizeof text, "SELECT count(*) FROM event WHERE %s", where);
	return rig_sql(&rig, text);
}

static void history(int64_t id, bool has, const char *text)
{
	struct buf b = { 0 };

	assert_int_equal(view_history(rig.view, id, &b), 0);
	if (!!strstr(buf_text(&b), text) != has)
		fail_msg("'%s' is %s:\n%s", text, has ? "not there" : "there", buf_text(&b));
	buf_release(&b);
}

static int64_t created(const char *spec)
{
	int64_t id;

	if (rig_create(&rig, spec, &id) != 0)
		fail_msg("%s", rig_text);
	(void)rig_settle(&rig, id);
	return id;
}

/* --- who --- */

static void a_name_stands_beside_the_number(void **state)
{
	struct caller nobody = { .uid = 4242, .gid = 0, .pid = 77 };
	char who[64];
	int64_t id;

	id = created("size=1M");
	(void)snprintf(
		who, sizeof who, "volume.create.start uid 0 (root), pid %d: ", (int)rig.who.pid);
	history(id, true, who);
	history(id, true, "volume.create.end volfs: on b");
	assert_int_equal(lines("line->>'user' = 'root' AND line->>'uid' = 0"), 1);
	assert_int_equal(
		lines("volume <> 0 AND line->>'user' = 'volfs' AND line->>'uid' IS NULL"), 1);
	assert_int_equal(rig_create_as(&rig, &nobody, "size=1M", NULL, &id), 0);
	(void)rig_settle(&rig, id);
	history(id, true, "volume.create.start uid 4242, pid 77: ");
	assert_int_equal(lines("line->>'uid' = 4242 AND line->>'user' IS NULL"), 1);
}

/* --- decisions --- */

static void what_was_weighed_is_told(void **state)
{
	int64_t id = created("size=1M");
	struct volume v;

	assert_int_equal(view_volume(rig.view, id, &v), 0);
	history(id, true, ", weight 0.000; also weighed: b");
	history(id, false, "refused");
	assert_int_equal(lines("line->>'detail' LIKE '%; also weighed: b%'"), 1);
}

static int disable(size_t i, bool yes)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_backend_disable(rig.engine, none, &rig.who, i, yes, rig_done, &a);
	return rig_wait(&a, NULL);
}

static void what_was_refused_and_why(void **state)
{
	int64_t id;

	assert_int_equal(disable(0, true), 0);
	assert_int_equal(disable(1, true), 0);
	id = created("size=1M");
	history(id, true,
		"on b2 in zone default, weight 0.000; refused: b0 (state): disabled by an administrator; "
		"b1 (state): disabled by an administrator");
	assert_int_equal(disable(2, true), 0);
	id = created("size=1M");
	history(id, true, "scheduler.create_volume uid 0 (root)");
	history(id, true, "volume.create.error uid 0 (root)");
	assert_int_equal(lines("line->>'status' = 'error'"), 2);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(disable(i, false), 0);
}

static void each_retry_says_why(void **state)
{
	int64_t id;

	assert_int_equal(disable(2, true), 0);
	atomic_store(&fault.refuse, "b0");
	do
		id = created("size=1M");
	while (lines("line->>'event' = 'volume.create.retry'") == 0);
	history(id, true, "volume.create.retry volfs: b0: refused; attempt 2 on b1, weight ");
	history(id, true, "b0 (");
}

/* --- what is done to one --- */

static void set(int64_t id, unsigned field, const struct volume *values)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_set(rig.engine, none, &rig.who, id, field, values, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
}

static void what_was_changed_is_told_alone(void **state)
{
	int64_t id = created("size=1M"), other = created("size=1M");
	const struct volume to = { .protected_ = true, .bootable = true, .readonly = true };

	set(id, SET_DESCRIPTION, &to);
	set(id, SET_PROTECTED, &to);
	set(id, SET_BOOTABLE, &to);
	set(other, SET_READONLY, &to);
	set(id, SET_MODE, &(struct volume){ .mode = 0700 });
	set(id, SET_UID, &(struct volume){ .uid = 7 });
	set(id, SET_GID, &(struct volume){ .gid = 1 });
	history(id, true, ": description\n");
	history(id, true, ": protected 1\n");
	history(id, true, ": bootable 1\n");
	history(id, true, ": mode 0700, was 0755\n");
	history(id, true, ": uid 7, was 0\n");
	history(id, true, ": project daemon, was root\n");
	assert_int_equal(lines("line->>'event' = 'volume.transfer.accept.end'"), 2);
	assert_int_equal(
		lines("line->>'event' = 'volume.transfer.accept.start' AND line->>'project' = 'root' AND "
		      "line->>'detail' = 'to project daemon' AND project = (SELECT id FROM project WHERE name = 'root')"),
		1);
	assert_int_equal(
		lines("line->>'event' = 'volume.transfer.accept.end' AND line->>'project' = 'daemon' AND "
		      "project = (SELECT id FROM project WHERE name = 'daemon')"),
		1);
	history(other, true, ": readonly 1\n");
}

static void its_source_is_told_by_name(void **state)
{
	(void)created("size=1M name=db");
	history(created("source=db"), true, ": size 1M, from db, project root, on ");
}

static void its_end_says_where_it_was(void **state)
{
	int64_t id = created("size=1M");
	struct volume v;

	assert_int_equal(rig_delete(&rig, id), 0);
	while (view_volume(rig.view, id, &v) == 0)
		usleep(1000);
	assert_int_equal(
		lines("line->>'event' = 'volume.delete.end' AND line->>'detail' LIKE 'from b_'"),
		1);
}

/* --- what is no volume --- */

static int64_t added_type(const char *name)
{
	struct rig_answer a;
	int64_t id;

	rig_begin(&a);
	engine_type_add(rig.engine, none, &rig.who, name, rig_done, &a);
	assert_int_equal(rig_wait(&a, &id), 0);
	return id;
}

static void entry(int64_t type, enum type_list list, const char *key, const char *value)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_type_entry(
		rig.engine, none, &rig.who, type, list, key, value, META_SET, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
}

static void limit(int64_t type, enum quota_resource what, int64_t max)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_quota_set(rig.engine, none, &rig.who, "root", type, what, max, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
}

#define OF_ADMINS "project = 0 AND volume = 0 AND line->>'project' IS NULL AND "

static void types_are_administrators_business(void **state)
{
	struct rig_answer a;
	int64_t fast = added_type("fast");

	entry(fast, TYPE_EXTRA_SPECS, "k", "v");
	entry(fast, TYPE_EXTRA_SPECS, "k", NULL);
	entry(fast, TYPE_QOS, "total_iops_sec", "5");
	entry(fast, TYPE_ACCESS, "root", "");
	entry(fast, TYPE_ACCESS, "root", NULL);
	rig_begin(&a);
	engine_type_rename(rig.engine, none, &rig.who, fast, "slow", rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
	rig_begin(&a);
	engine_type_remove(rig.engine, none, &rig.who, fast, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
#define NAMED(event, name, detail)                                                                 \
	assert_int_equal(lines(OF_ADMINS "line->>'event' = '" event "' AND line->>'name' = '" name \
					 "' AND line->>'detail' IS " detail),                      \
		1)
	NAMED("volume_type.create", "fast", "NULL");
	NAMED("volume_type_extra_specs.update", "fast", "'k=v'");
	NAMED("volume_type_extra_specs.delete", "fast", "'k'");
	NAMED("qos_specs.update", "fast", "'total_iops_sec=5'");
	NAMED("volume_type_project.access.add", "fast", "'root'");
	NAMED("volume_type_project.access.remove", "fast", "'root'");
	NAMED("volume_type.update", "slow", "'was fast'");
	NAMED("volume_type.delete", "slow", "NULL");
}

static void a_quota_is_its_projects_business(void **state)
{
	limit(0, QUOTA_VOLUMES, 7);
	limit(added_type("fast"), QUOTA_VOLUMES, 7);
	limit(0, QUOTA_SIZE, INT64_C(100) << 30);
	limit(0, QUOTA_SIZE, SIZE_LIMIT_NONE);
	limit(0, QUOTA_VOLUMES, QUOTA_INHERIT);
	assert_int_equal(lines("line->>'event' = 'quota.update' AND line->>'project' = 'root' AND "
			       "line->>'detail' IN ('volumes 7', 'volumes 7, type fast', "
			       "'size 100G', 'size max', 'volumes default') AND "
			       "project = (SELECT id FROM project WHERE name = 'root')"),
		5);
}

static void told(const char *event, int64_t times)
{
	char where[200];

	(void)snprintf(where, sizeof where, OF_ADMINS "line->>'event' = '%s'", event);
	for (int i = 0; lines(where) != times; i++) {
		assert_true(i < 1000);
		usleep(10000);
	}
}

static void backends_tell_of_themselves(void **state)
{
	told("backend.up", 3);
	assert_int_equal(disable(1, true), 0);
	assert_int_equal(disable(1, true), 0);
	assert_int_equal(disable(1, false), 0);
	NAMED("backend.disable", "b1", "NULL");
	NAMED("backend.enable", "b1", "NULL");
	atomic_store(&fault.down, "b1");
	told("backend.down", 1);
	assert_int_equal(lines("line->>'event' = 'backend.down' AND line->>'detail' <> ''"), 1);
	atomic_store(&fault.down, NULL);
	told("backend.up", 4);
}

/* --- all attachments, not only the first one --- */

static int attach(int64_t id, const char *name, int64_t *ret)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_attach(rig.engine, none, &rig.who, id, name, rig_done, &a);
	return rig_wait(&a, ret);
}

static void each_attachment_is_told(void **state)
{
	int64_t shared = added_type("shared"), id, vm[2];
	struct rig_answer a;

	entry(shared, TYPE_EXTRA_SPECS, "multiattach", "<is> True");
	(void)created("size=1M");
	assert_int_equal(fault.shared, 0);
	id = created("size=1M type=shared");
	assert_int_equal(fault.shared, 1);
	for (int i = 0; i < 2; i++)
		if (attach(id, i ? "vm2" : "vm1", &vm[i]) != 0)
			fail_msg("%s", rig_text);
	for (int i = 0; i < 2; i++) {
		rig_begin(&a);
		engine_detach(rig.engine, none, &rig.who, vm[i], rig_done, &a);
		assert_int_equal(rig_wait(&a, NULL), 0);
	}
	history(id, true, ": attached as 'vm1' to host ");
	history(id, true, ": attached as 'vm2' to host ");
	history(id, true, ": was attached as 'vm1' to host ");
	history(id, true, ": was attached as 'vm2' to host ");
	assert_int_equal(
		lines("line->>'event' = 'volume.detach.end' AND line->>'status' = 'in-use'"), 1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_name_stands_beside_the_number),
		TEST(what_was_weighed_is_told),
		TEST(what_was_refused_and_why),
		TEST(each_retry_says_why),
		TEST(what_was_changed_is_told_alone),
		TEST(its_source_is_told_by_name),
		TEST(its_end_says_where_it_was),
		TEST(types_are_administrators_business),
		TEST(a_quota_is_its_projects_business),
		TEST(backends_tell_of_themselves),
		TEST(each_attachment_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
