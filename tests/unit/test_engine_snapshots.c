/* Snapshots: what may be taken, named, described and removed, what it costs of a quota, and what a failing storage leaves of it. */
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;
static const struct change_id no_id;
static const struct caller user = { .uid = 1, .gid = 1, .pid = 12 };

static void begin(size_t backends, const char *more)
{
	fault_reset();
	rig_make(&rig, backends, more);
	rig_up(&rig);
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

static int64_t made_as(const struct caller *who, const char *spec)
{
	int64_t id;

	if (rig_create_as(&rig, who, spec, NULL, &id) != 0)
		fail_msg("%s: %s", spec, rig_text);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	return id;
}

static int64_t made(const char *spec)
{
	return made_as(&rig.who, spec);
}

static struct snapshot row(int64_t id)
{
	struct snapshot s;

	assert_int_equal(view_snapshot(rig.view, id, &s), 0);
	return s;
}

static int64_t taken(int64_t volume, const char *name)
{
	int64_t id;

	if (rig_snapshot(&rig, volume, name, &id) != 0)
		fail_msg("%s: %s", name, rig_text);
	assert_int_equal(row(id).status, SNAP_AVAILABLE);
	return id;
}

static struct quota quota_of(const char *project)
{
	struct quota q;

	assert_int_equal(view_quota_by_name(rig.view, project, &q), 0);
	return q;
}

static bool history_has(int64_t volume, const char *text)
{
	struct buf b = { 0 };
	bool has;

	assert_int_equal(view_history(rig.view, volume, &b), 0);
	has = strstr(buf_text(&b), text);
	buf_release(&b);
	return has;
}

static void refused(int64_t volume, const char *name, int code, const char *sentence)
{
	int r = rig_snapshot(&rig, volume, name, NULL);

	if (r != code || !strstr(rig_text, sentence))
		fail_msg("%d: %s", r, rig_text);
}

static void is_taken_and_removed(void **state)
{
	int64_t id, snap;
	struct snapshot s;
	uint64_t n;

	begin(1, NULL);
	id = made("size=2M name=db");
	snap = taken(id, "monday");
	s = row(snap);
	assert_string_equal(s.name, "monday");
	assert_int_equal(s.size, 2 << 20);
	assert_int_equal(s.volume, id);
	assert_int_equal(rig_snapshots(&rig), 1);
	assert_int_equal(quota_of("root").used[QUOTA_SNAPSHOTS], 1);
	assert_int_equal(quota_of("root").used[QUOTA_SIZE], 4 << 20);
	assert_true(history_has(id, "snapshot.create.start uid 0"));
	assert_true(history_has(id, "snapshot.create.end volfs: snapshot monday"));
	assert_int_equal(view_snapshot_count(rig.view, id, &n), 0);
	assert_int_equal(n, 1);
	rig_recount(&rig);

	atomic_store(&fault.hang_snap, "b0");
	assert_int_equal(rig_unsnap(&rig, snap), 0);
	assert_int_equal(row(snap).status, SNAP_DELETING);
	assert_int_equal(view_snapshot_by_name(rig.view, id, "monday", &s), -ENOENT);
	assert_int_equal(quota_of("root").used[QUOTA_SNAPSHOTS], 0);
	assert_int_equal(quota_of("root").used[QUOTA_SIZE], 2 << 20);
	assert_int_equal(rig_unsnap(&rig, snap), -ENOENT);
	atomic_store(&fault.hang_snap, NULL);
	rig_idle(&rig);
	assert_int_equal(view_snapshot(rig.view, snap, &s), -ENOENT);
	assert_int_equal(rig_snapshots(&rig), 0);
	assert_true(history_has(id, "snapshot.delete.end volfs: snapshot monday"));
	assert_true(taken(id, "monday") > snap);
}

static void names_of_snapshots(void **state)
{
	int64_t id, other;
	char uuid[UUID_LEN + 1], longest[NAME_LEN + 2];

	begin(1, NULL);
	id = made("size=1M name=db");
	other = made("size=1M name=web");
	(void)taken(id, "new");
	(void)taken(other, "new");
	refused(id, "new", -EEXIST, "volume 'db' has a snapshot 'new'");
	refused(id, "a@b", -EINVAL, "'@'");
	refused(id, "a/b", -EINVAL, "'/'");
	refused(id, "", -EINVAL, "empty");
	memset(longest, 'a', NAME_LEN + 1);
	longest[NAME_LEN + 1] = '\0';
	refused(id, longest, -ENAMETOOLONG, "256");
	memcpy(uuid, row(taken(id, "tuesday")).uuid, sizeof uuid);
	refused(id, uuid, -EINVAL, "UUID");
	refused(4711, "monday", -ENOENT, "no such volume");
}

static int renamed(int64_t snap, const char *name)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_snapshot_rename(rig.engine, no_id, &rig.who, snap, name, rig_done, &a);
	return rig_wait(&a, NULL);
}

static int described(int64_t snap, const char *text, bool append)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_snapshot_describe(rig.engine, no_id, &rig.who, snap, text, append, rig_done, &a);
	return rig_wait(&a, NULL);
}

static void is_renamed_and_described(void **state)
{
	char longest[NAME_LEN + 2];
	int64_t id, a, b;

	begin(1, NULL);
	id = made("size=1M name=db");
	a = taken(id, "a");
	b = taken(id, "b");
	assert_int_equal(renamed(a, "b"), -EEXIST);
	assert_int_equal(renamed(a, "a"), 0);
	assert_int_equal(renamed(a, "x y"), -EINVAL);
	memset(longest, 'a', NAME_LEN + 1);
	longest[NAME_LEN + 1] = '\0';
	assert_int_equal(renamed(a, longest), -ENAMETOOLONG);
	assert_int_equal(described(a, longest, false), -EINVAL);
	assert_int_equal(renamed(a, "c"), 0);
	assert_string_equal(row(a).name, "c");
	assert_int_equal(renamed(b, "a"), 0);
	assert_int_equal(renamed(a, row(a).uuid), 0);
	assert_int_equal(described(a, "before the upgrade", false), 0);
	assert_int_equal(described(a, "of glibc", true), 0);
	assert_string_equal(row(a).description, "before the upgrade of glibc");
	assert_int_equal(described(a, "x\ny", false), -EINVAL);
	assert_true(history_has(id, "snapshot.update"));
	assert_int_equal(rig_unsnap(&rig, a), 0);
	assert_int_equal(described(a, "", false), -ENOENT);
	assert_int_equal(renamed(a, "d"), -ENOENT);
}

static void wants_a_volume_at_rest(void **state)
{
	int64_t id, bad;
	struct rig_answer a;

	begin(1, NULL);
	id = made("size=1M name=db");
	rig_begin(&a);
	engine_attach(rig.engine, no_id, &rig.who, id, "vm", rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
	(void)taken(id, "in-use");
	atomic_store(&fault.hang, "b0");
	assert_int_equal(rig_create(&rig, "size=1M name=young", &bad), 0);
	refused(bad, "a", -EBUSY, "volume 'young' is creating");
	assert_int_equal(rig_extend(&rig, id, 2 << 20), 0);
	refused(id, "b", -EBUSY, "volume 'db' is extending");
	atomic_store(&fault.hang, NULL);
	rig_idle(&rig);
	atomic_store(&fault.refuse, "b0");
	assert_int_equal(rig_create(&rig, "size=1M name=bad", &bad), 0);
	assert_int_equal(rig_settle(&rig, bad), VOL_ERROR);
	refused(bad, "a", -EBUSY, "volume 'bad' is error");
	assert_int_equal(rig_delete(&rig, bad), 0);
	refused(bad, "a", -ENOENT, "no such volume");
}

/* The size that a snapshot's row names is what was taken. */
static void nothing_grows_meanwhile(void **state)
{
	int64_t id;
	struct rig_answer a;

	begin(1, NULL);
	id = made("size=1M name=db");
	(void)taken(id, "before");
	atomic_store(&fault.hang_snap, "b0");
	rig_begin(&a);
	engine_snapshot(rig.engine, no_id, &rig.who, id, "monday", rig_done, &a);
	while (!atomic_load(&fault.snapping))
		usleep(1000);
	(void)rig_snapshot(&rig, id, "before", NULL);
	assert_int_equal(rig_extend(&rig, id, 2 << 20), -EBUSY);
	assert_string_equal(rig_text, "snapshot 'monday' of volume 'db' is being taken");
	atomic_store(&fault.hang_snap, NULL);
	assert_int_equal(rig_wait(&a, NULL), 0);
	assert_int_equal(rig_extend(&rig, id, 2 << 20), 0);
	rig_idle(&rig);
	assert_int_equal(row(a.row).size, 1 << 20);
	assert_int_equal(row(taken(id, "after")).size, 2 << 20);
}

static void costs_quota(void **state)
{
	int64_t id, snap;

	begin(1, "quota = { snapshots = 2; size = \"7M\"; };");
	id = made_as(&user, "size=2M name=db");
	(void)taken(id, "a");
	snap = taken(id, "b");
	refused(id, "c", -EDQUOT, "quota of project 'daemon': 2M wanted, 6M of 7M in use");
	assert_int_equal(rig_extend(&rig, id, 3 << 20), 0);
	rig_idle(&rig);
	assert_int_equal(rig_unsnap(&rig, snap), 0);
	id = made_as(&user, "size=1M name=web");
	(void)taken(id, "a");
	refused(id, "b", -EDQUOT, "quota of project 'daemon': 1M wanted, 7M of 7M in use");
	assert_int_equal(rig_unsnap(&rig, rig_sql(&rig, "SELECT min(id) FROM snapshot")), 0);
	(void)taken(id, "b");
	refused(id, "c", -EDQUOT,
		"quota of project 'daemon': 1 more wanted, 2 of 2 snapshots in use");
	rig_idle(&rig);
	assert_int_equal(rig_snapshots(&rig), 2);
}

static void costs_quota_of_the_type(void **state)
{
	struct rig_answer a;
	struct vol_type t;
	struct quota q;
	int64_t id;

	begin(1, "types = ( { name = \"fast\"; } );");
	assert_int_equal(view_type_find(rig.view, "fast", &t), 0);
	rig_begin(&a);
	engine_quota_set(
		rig.engine, no_id, &rig.who, "root", t.id, QUOTA_SNAPSHOTS, 1, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
	id = made("size=1M name=db type=fast");
	(void)taken(id, "a");
	refused(id, "b", -EDQUOT, "type 'fast' in project 'root': 1 more wanted, 1 of 1 snapshots");
	assert_int_equal(view_quota_of_type(rig.view, "root", t.id, &q), 0);
	assert_int_equal(q.used[QUOTA_SNAPSHOTS], 1);
	assert_int_equal(q.used[QUOTA_SIZE], 2 << 20);
}

static int chgrp(int64_t id, gid_t gid)
{
	struct volume values = { .gid = gid };
	struct rig_answer a;

	rig_begin(&a);
	engine_set(rig.engine, no_id, &rig.who, id, SET_GID, &values, rig_done, &a);
	return rig_wait(&a, NULL);
}

/* A volume takes its snapshots along to another project: there must be room for them, too. */
static void moves_with_its_volume(void **state)
{
	int64_t id, other;

	begin(1, "quota = { snapshots = 2; size = \"5M\"; };");
	id = made("size=1M name=db");
	(void)taken(id, "a");
	(void)taken(id, "b");
	other = made_as(&user, "size=3M name=large");
	assert_int_equal(chgrp(id, 1), -EDQUOT);
	assert_string_equal(rig_text, "quota of project 'daemon': 3M wanted, 3M of 5M in use");
	assert_int_equal(rig_delete(&rig, other), 0);
	other = made_as(&user, "size=1M name=small");
	(void)taken(other, "a");
	assert_int_equal(chgrp(id, 1), -EDQUOT);
	assert_string_equal(
		rig_text, "quota of project 'daemon': 2 more wanted, 1 of 2 snapshots in use");
	assert_int_equal(rig_unsnap(&rig, rig_sql(&rig, "SELECT max(id) FROM snapshot")), 0);
	assert_int_equal(chgrp(id, 1), 0);
	assert_int_equal(quota_of("root").used[QUOTA_SNAPSHOTS], 0);
	assert_int_equal(quota_of("root").used[QUOTA_SIZE], 0);
	assert_int_equal(quota_of("daemon").used[QUOTA_SNAPSHOTS], 2);
	assert_int_equal(quota_of("daemon").used[QUOTA_SIZE], 4 << 20);
}

static void wants_room(void **state)
{
	int64_t id;

	fault_reset();
	atomic_store(&fault.total, 10 << 20);
	rig_make(&rig, 1, NULL);
	rig.conf.backends[0].max_over_subscription_ratio = 1;
	rig_up(&rig);
	id = made("size=4M name=db");
	(void)taken(id, "a");
	(void)made("size=3M name=more");
	refused(id, "b", -ENOSPC, "no backend fits: b0: ");
	(void)taken(rig_sql(&rig, "SELECT max(id) FROM volume"), "fits");
}

static void not_every_driver_has_them(void **state)
{
	struct driver plain = driver_fault;
	int64_t id, snap;

	begin(1, NULL);
	id = made("size=1M name=db");
	snap = taken(id, "a");
	rig_down(&rig);
	plain.snap_create = NULL;
	plain.snap_remove = NULL;
	plain.revert = NULL;
	rig.driver = &plain;
	rig_up(&rig);
	refused(id, "b", -EOPNOTSUPP, "backend 'b0' takes no snapshots");
	assert_int_equal(rig_unsnap(&rig, snap), -EOPNOTSUPP);
	assert_int_equal(rig_revert(&rig, id, "a"), -EOPNOTSUPP);
	rig_down(&rig);
	rig.driver = NULL;
	rig_up(&rig);
}

/* What the storage says of its files is no answer to mkdir. */
static void a_failure_leaves_nothing(void **state)
{
	int64_t id;

	begin(1, NULL);
	id = made("size=1M name=db");
	atomic_store(&fault.refuse_snap, "b0");
	refused(id, "a", -EIO, "backend 'b0': no snapshots here");
	rig_idle(&rig);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM snapshot"), 0);
	assert_int_equal(quota_of("root").used[QUOTA_SNAPSHOTS], 0);
	assert_true(
		history_has(id, "snapshot.create.error volfs: snapshot a, b0: no snapshots here"));
	assert_int_equal(rig_delete(&rig, id), 0);
}

/* Nor can what it left be removed: then it is to be seen, and to be removed again. */
static void a_failure_upon_a_failure_is_seen(void **state)
{
	int64_t id, snap;

	begin(1, NULL);
	id = made("size=1M name=db");
	atomic_store(&fault.refuse_snap, "b0");
	atomic_store(&fault.stick_snap, "b0");
	refused(id, "a", -EIO, "backend 'b0': no snapshots here");
	rig_idle(&rig);
	snap = rig_sql(&rig, "SELECT max(id) FROM snapshot");
	assert_int_equal(row(snap).status, SNAP_ERROR_DELETING);
	assert_string_equal(row(snap).name, "a");
	assert_string_equal(row(snap).reason, "b0: it sticks");
	atomic_store(&fault.refuse_snap, NULL);
	atomic_store(&fault.stick_snap, NULL);
	refused(id, "a", -EEXIST, "volume 'db' has a snapshot 'a'");
	assert_int_equal(rig_unsnap(&rig, snap), 0);
	rig_idle(&rig);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM snapshot"), 0);
	(void)taken(id, "a");
}

static void what_sticks_gets_its_name_back(void **state)
{
	int64_t id, a, b;

	begin(1, NULL);
	id = made("size=1M name=db");
	a = taken(id, "a");
	b = taken(id, "b");
	atomic_store(&fault.stick_snap, "b0");
	assert_int_equal(rig_unsnap(&rig, a), 0);
	rig_idle(&rig);
	assert_string_equal(row(a).name, "a");
	assert_int_equal(row(a).status, SNAP_ERROR_DELETING);
	assert_int_equal(quota_of("root").used[QUOTA_SNAPSHOTS], 2);
	assert_true(history_has(id, "snapshot.delete.error volfs: snapshot a, b0: it sticks"));
	/* its name has been given away meanwhile */
	atomic_store(&fault.hang_snap, "b0");
	assert_int_equal(rig_unsnap(&rig, b), 0);
	assert_int_equal(renamed(a, "b"), 0);
	atomic_store(&fault.hang_snap, NULL);
	rig_idle(&rig);
	assert_string_equal(row(b).name, row(b).uuid);
	assert_int_equal(row(b).status, SNAP_ERROR_DELETING);
	atomic_store(&fault.stick_snap, NULL);
	assert_int_equal(rig_unsnap(&rig, a), 0);
	assert_int_equal(rig_unsnap(&rig, b), 0);
	rig_idle(&rig);
	assert_int_equal(rig_snapshots(&rig), 0);
}

static _Atomic unsigned held; /* so often it is open here */

static int is_held(void *arg, const void *be, const char *uuid)
{
	return atomic_load(&held) && atomic_fetch_sub(&held, 1) ? -EBUSY : 0;
}

/* It was opened while its rmdir was on its way to the catalogue: nameless as it is, it stays until it is closed. */
static void what_is_open_goes_later(void **state)
{
	struct snapshot s;
	int64_t id, snap;

	begin(1, NULL);
	engine_on_remove(rig.engine, is_held, NULL);
	id = made("size=1M name=db");
	snap = taken(id, "a");
	atomic_store(&held, 2);
	assert_int_equal(rig_unsnap(&rig, snap), 0);
	rig_idle(&rig);
	assert_int_equal(atomic_load(&held), 0);
	assert_int_equal(view_snapshot(rig.view, snap, &s), -ENOENT);
	assert_int_equal(rig_snapshots(&rig), 0);
	assert_false(history_has(id, "snapshot.delete.error"));
}

static struct {
	int code;
	unsigned quiet, go_on, busy;
	bool stop;
} rest;

static int quiet(void *arg, const void *be, const char *uuid, bool stop)
{
	assert_int_equal(strlen(uuid), UUID_LEN);
	rest.quiet++;
	rest.stop = stop;
	return rest.busy && rest.busy-- ? -EAGAIN : rest.code;
}

static void go_on(void *arg, const void *be, const char *uuid)
{
	rest.go_on++;
}

static void writers_come_to_rest(void **state)
{
	int64_t id;

	begin(1, NULL);
	engine_on_snapshot(rig.engine, quiet, go_on, NULL);
	id = made("size=1M name=db");
	(void)taken(id, "a");
	assert_int_equal(rest.quiet, 1);
	assert_int_equal(rest.go_on, 1);
	assert_true(rest.stop);
	rest.code = -ENOSPC;
	refused(id, "b", -ENOSPC, "what is being written does not come to rest: No space left");
	assert_int_equal(rest.go_on, 1);
	rest.code = 0;
	rest.busy = 2; /* as at the end of a server: not now */
	(void)taken(id, "c");
	assert_int_equal(rest.go_on, 2);
	assert_false(history_has(id, "snapshot c, b0"));
	atomic_store(&fault.refuse_snap, "b0");
	refused(id, "b", -EIO, "no snapshots here");
	assert_int_equal(rest.go_on, 3);
}

/* They are in order of their taking, by row. */
static void a_chain_of_a_hundred(void **state)
{
	struct snapshot s[128];
	char name[8];
	int64_t id;
	int n;

	begin(1, "quota = { snapshots = -1; size = -1; };");
	id = made("size=1M name=db");
	for (int i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof name, "s%d", i);
		(void)taken(id, name);
	}
	n = view_snapshots(rig.view, id, 0, s, COUNT(s));
	assert_int_equal(n, 100);
	for (int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof name, "s%d", i);
		assert_string_equal(s[i].name, name);
		assert_int_equal(rig_unsnap(&rig, s[i].id), 0);
	}
	rig_idle(&rig);
	assert_int_equal(rig_snapshots(&rig), 0);
	assert_int_equal(quota_of("root").used[QUOTA_SNAPSHOTS], 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_teardown(fn, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(is_taken_and_removed),
		TEST(names_of_snapshots),
		TEST(is_renamed_and_described),
		TEST(wants_a_volume_at_rest),
		TEST(nothing_grows_meanwhile),
		TEST(costs_quota),
		TEST(costs_quota_of_the_type),
		TEST(moves_with_its_volume),
		TEST(wants_room),
		TEST(not_every_driver_has_them),
		TEST(a_failure_leaves_nothing),
		TEST(a_failure_upon_a_failure_is_seen),
		TEST(what_sticks_gets_its_name_back),
		TEST(what_is_open_goes_later),
		TEST(writers_come_to_rest),
		TEST(a_chain_of_a_hundred),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
