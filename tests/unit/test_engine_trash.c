/* The trash: what comes back, what is purged when, and room that lies in it. */
#include "base/clock.h"
#include "tests/lib/driver_clone.h"
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rig rig;
static const struct caller user = { .uid = 1, .gid = 1, .pid = 1 };

static int set_up_of(size_t backends, const char *more, const char *each)
{
	const char *const all[] = { each, each };

	clone_fault_reset();
	rig_make_of(&rig, backends, more, each ? all : NULL);
	return 0;
}

static int set_up(void **state)
{
	return set_up_of(1,
		"trash_delay = 3600;\n"
		"quota = { volumes = 4; size = \"100M\"; per_volume_size = \"60M\"; };\n"
		"types = ( { name = \"fast\"; } );",
		NULL);
}

/* 100 MiB can be promised, and no more. */
static int set_up_small(void **state)
{
	int r = set_up_of(1, "trash_delay = 3600;", "max_over_subscription_ratio = 1.0;");

	atomic_store(&fault.total, UINT64_C(100) << 20);
	return r;
}

/* … and what is promised is taken at once. */
static int set_up_thick(void **state)
{
	int r = set_up_of(1, "trash_delay = 3600;", "thin = false;");

	atomic_store(&fault.total, UINT64_C(100) << 20);
	return r;
}

static int tear_down(void **state)
{
	clone_fault_reset();
	if (rig.engine) {
		rig_recount(&rig);
		rig_down(&rig);
	}
	rig_drop(&rig);
	return 0;
}

static int64_t made_as(const struct caller *who, const char *spec)
{
	int64_t id;

	if (rig_create_as(&rig, who, spec, NULL, &id) != 0)
		fail_msg("%s: %s", spec, rig_text);
	if (rig_settle(&rig, id) != VOL_AVAILABLE)
		fail_msg("%s: not available", spec);
	return id;
}

static int64_t made(const char *spec)
{
	return made_as(&rig.who, spec);
}

static struct volume row(int64_t id)
{
	struct volume v;

	assert_int_equal(view_volume(rig.view, id, &v), 0);
	return v;
}

static bool is_there(int64_t id)
{
	struct volume v;

	return view_volume(rig.view, id, &v) == 0;
}

static bool waits(int64_t id)
{
	struct volume v;

	return view_volume(rig.view, id, &v) == 0 && v.trashed && v.expires_us;
}

static int restore_as(const struct caller *who, int64_t id, const char *name)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_restore(rig.engine, (struct change_id){ 0 }, who, id, name, rig_done, &a);
	return rig_wait(&a, NULL);
}

static int restore(int64_t id, const char *name)
{
	return restore_as(&rig.who, id, name);
}

static void refused(int code, int expected, const char *sentence)
{
	assert_int_equal(code, expected);
	if (!strstr(rig_text, sentence))
		fail_msg("'%s' is not in: %s", sentence, rig_text);
}

static int64_t trashed(const char *spec)
{
	int64_t id = made(spec);

	assert_int_equal(rig_delete(&rig, id), 0);
	return id;
}

static int limit(const char *project, int64_t type, enum quota_resource what, int64_t max)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_quota_set(rig.engine, (struct change_id){ 0 }, &rig.who, project, type, what, max,
		rig_done, &a);
	return rig_wait(&a, NULL);
}

static int reset(int64_t id, enum vol_status status)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_reset(rig.engine, (struct change_id){ 0 }, &rig.who, id, status, rig_done, &a);
	return rig_wait(&a, NULL);
}

static bool has_event(int64_t id, const char *event)
{
	struct buf history = { 0 };
	bool has;

	assert_int_equal(view_history(rig.view, id, &history), 0);
	has = strstr(buf_text(&history), event);
	buf_release(&history);
	return has;
}

/* Within 10 s. */
static void until_gone(int64_t id)
{
	for (int i = 0; i < 10000 && is_there(id); i++)
		usleep(1000);
	assert_false(is_there(id));
}

/* --- into it and out of it --- */

static void goes_and_comes_back(void **state)
{
	int64_t id, now;
	struct volume v;

	rig_up(&rig);
	id = made_as(&user, "size=10M name=db metadata.a=b");
	now = clock_wall_us();
	assert_int_equal(rig_delete(&rig, id), 0);
	v = row(id);
	assert_true(v.trashed);
	assert_int_equal(v.status, VOL_AVAILABLE); /* it keeps the word that it had */
	assert_true(v.expires_us >= now + 3600 * INT64_C(1000000));
	assert_true(v.expires_us <= clock_wall_us() + 3600 * INT64_C(1000000));
	assert_true(has_event(id, "volume.trash"));
	assert_true(has_event(id, "name db, size 10M, until 20")); /* RFC 3339 */
	assert_false(has_event(id, "volume.delete"));
	refused(rig_delete(&rig, id), -ENOENT, "is deleted already");
	(void)made_as(&user, "size=10M name=db"); /* its name is free */
	assert_int_equal(rig_images(&rig), 2);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM job"), 0);
	assert_int_equal(restore_as(&user, id, "db2"), 0);
	v = row(id);
	assert_false(v.trashed);
	assert_int_equal(v.expires_us, 0);
	assert_int_equal(v.generation, 1);
	assert_string_equal(v.name, "db2");
	assert_true(has_event(id, "volume.restore"));
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM meta WHERE key = 'a'"), 1);
	refused(restore(id, "db3"), -ENOENT, "no such volume in the trash");
	refused(restore(99, "db3"), -ENOENT, "no such volume in the trash");
	assert_int_equal(rig_delete(&rig, id), 0);
	assert_int_equal(restore(id, row(id).uuid), 0); /* by its UUID */
	assert_int_equal(row(id).generation, 2);
}

static void comes_back_only_where_it_may(void **state)
{
	int64_t id, other;

	rig_up(&rig);
	id = made_as(&user, "size=50M name=db");
	assert_int_equal(rig_delete(&rig, id), 0);
	refused(restore_as(&(struct caller){ .uid = 2, .gid = 1 }, id, "db"), -EPERM,
		"only its owner restores it");
	refused(restore(id, ".volfs"), -EINVAL, "'.volfs'");
	other = made("size=1M name=taken");
	refused(restore(id, "taken"), -EEXIST, "the name 'taken' is taken by a volume of uid 0");
	assert_int_equal(rig_delete(&rig, other), 0);
	other = made_as(&user, "size=60M");
	refused(restore(id, "db"), -EDQUOT, "50M wanted, 60M of 100M in use");
	assert_int_equal(rig_delete(&rig, other), 0);
	assert_int_equal(limit("daemon", 0, QUOTA_VOLUMES, 0), 0);
	refused(restore(id, "db"), -EDQUOT, "1 more wanted, 0 of 0 volumes in use");
	assert_int_equal(limit("daemon", 0, QUOTA_VOLUMES, QUOTA_INHERIT), 0);
	assert_int_equal(limit("daemon", 0, QUOTA_PER_VOLUME_SIZE, 40 << 20), 0);
	refused(restore(id, "db"), -EFBIG, "a volume of 50M is larger than project 'daemon'");
	assert_int_equal(limit("daemon", 0, QUOTA_PER_VOLUME_SIZE, QUOTA_INHERIT), 0);
	assert_int_equal(restore_as(&user, id, "db"), 0);
}

static void an_error_comes_back_as_one(void **state)
{
	int64_t id;

	rig_up(&rig);
	id = made("size=1M name=db");
	assert_int_equal(reset(id, VOL_ERROR), 0);
	assert_int_equal(rig_delete(&rig, id), 0);
	assert_int_equal(row(id).status, VOL_ERROR);
	assert_int_equal(restore(id, "db"), 0);
	assert_int_equal(row(id).status, VOL_ERROR);
	/* this word says nothing of a purge either */
	assert_int_equal(reset(id, VOL_ERROR_DELETING), 0);
	assert_int_equal(rig_delete(&rig, id), 0);
	assert_int_equal(restore(id, "db"), 0);
	assert_int_equal(rig_images(&rig), 1);
}

static void purged_it_stays_gone(void **state)
{
	int64_t id;

	rig_up(&rig);
	id = trashed("size=1M name=db");
	atomic_store(&fault.hang, "b0");
	assert_int_equal(rig_purge(&rig, id), 0);
	refused(restore(id, "db"), -EBUSY, "is deleting: its purge has begun");
	assert_int_equal(rig_purge(&rig, id), 0); /* it is under way: no matter */
	atomic_store(&fault.stick, "b0");
	atomic_store(&fault.hang, NULL);
	assert_int_equal(rig_settle(&rig, id), VOL_ERROR_DELETING);
	assert_string_equal(row(id).reason, "b0: somebody has it open");
	refused(restore(id, "db"), -EBUSY, "is error_deleting: its purge has begun");
	atomic_store(&fault.stick, NULL);
	assert_int_equal(rig_purge(&rig, id), 0);
	until_gone(id);
	refused(restore(id, "db"), -ENOENT, "no such volume in the trash");
	refused(rig_purge(&rig, id), -ENOENT, "no such volume in the trash");
	assert_int_equal(rig_images(&rig), 0);
}

static void what_never_was_leaves_at_once(void **state)
{
	int64_t id;

	rig_up(&rig);
	assert_int_equal(rig_create(&rig, "size=1M type=fast zone=default", &id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(rig_delete(&rig, id), 0);
	assert_true(is_there(id));
	atomic_store(&fault.refuse, "b0");
	assert_int_equal(rig_create(&rig, "size=1M", &id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_ERROR);
	assert_string_equal(row(id).backend, "");
	assert_int_equal(rig_delete(&rig, id), 0);
	assert_false(is_there(id));
}

static void what_has_snapshots_stays(void **state)
{
	int64_t id, first, second;

	rig_up(&rig);
	id = made("size=1M name=db");
	assert_int_equal(rig_snapshot(&rig, id, "monday", &first), 0);
	refused(rig_delete(&rig, id), -ENOTEMPTY, "volume 'db' has 1 snapshot: remove it first");
	assert_int_equal(rig_snapshot(&rig, id, "tuesday", &second), 0);
	refused(rig_delete(&rig, id), -ENOTEMPTY, "volume 'db' has 2 snapshots: remove them first");
	atomic_store(&fault.hang_snap, "b0");
	assert_int_equal(rig_unsnap(&rig, first), 0);
	assert_int_equal(rig_unsnap(&rig, second), 0);
	assert_int_equal(rig_delete(&rig, id), 0); /* they are on their way out */
	assert_int_equal(rig_purge(&rig, id), 0);
	usleep(300000); /* the purge waits for them, and does not fail */
	assert_int_equal(row(id).status, VOL_DELETING);
	atomic_store(&fault.hang_snap, NULL);
	until_gone(id);
	rig_idle(&rig);
	assert_int_equal(rig_images(&rig), 0);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM snapshot"), 0);
}

/* --- when its time is over --- */

static void expires(void **state)
{
	int64_t soon, late;

	rig_up(&rig);
	late = trashed("size=1M");
	rig.conf.trash_delay = 1;
	soon = trashed("size=1M");
	until_gone(soon);
	assert_true(has_event(soon, "its time in the trash is over"));
	assert_true(waits(late));
	assert_int_equal(rig_images(&rig), 1);
}

static void expires_while_nobody_looks(void **state)
{
	int64_t id;

	rig.conf.trash_delay = 1;
	rig_up(&rig);
	id = trashed("size=1M");
	rig_down(&rig);
	usleep(1100000);
	rig_up(&rig);
	until_gone(id);
	rig_idle(&rig);
	assert_int_equal(rig_images(&rig), 0);
}

/* More than a batch, and more than the workers take at once; creations do not wait for them. */
static void many_expire_together(void **state)
{
	enum { MANY = 300 };
	int64_t ids[MANY], id, began, longest = 0;

	rig.conf.quota.max[QUOTA_VOLUMES] = SIZE_LIMIT_NONE;
	rig.conf.quota.max[QUOTA_SIZE] = SIZE_LIMIT_NONE;
	rig.conf.trash_delay = 3600;
	rig_up(&rig);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(rig_create(&rig, "size=1M", &ids[i]), 0);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(rig_settle(&rig, ids[i]), VOL_AVAILABLE);
		assert_int_equal(rig_delete(&rig, ids[i]), 0);
	}
	rig_down(&rig);
	(void)rig_sql(&rig, "UPDATE volume SET expires_us = 1 RETURNING 1");
	atomic_store(&fault.delay_us, 2000);
	rig_up(&rig);
	for (int i = 0; i < 20; i++) {
		began = clock_mono_ns();
		id = made("size=1M");
		if (clock_mono_ns() - began > longest)
			longest = clock_mono_ns() - began;
		assert_true(is_there(id));
	}
	assert_true(longest < INT64_C(2000000000));
	for (int i = 0; i < MANY; i++)
		until_gone(ids[i]);
	rig_idle(&rig);
	assert_int_equal(rig_images(&rig), 20);
}

/* --- its limits --- */

static void the_oldest_leave_a_full_trash(void **state)
{
	int64_t id[5];

	rig_up(&rig);
	assert_int_equal(limit("root", 0, QUOTA_TRASH_SIZE, 10 << 20), 0);
	id[0] = trashed("size=4M");
	id[1] = trashed("size=4M");
	assert_true(waits(id[0]));
	id[2] = trashed("size=4M");
	until_gone(id[0]);
	assert_true(has_event(id[0], "the trash of project root is full"));
	assert_true(waits(id[1]));
	assert_true(waits(id[2]));
	/* what is larger than all of it drives nobody out */
	id[3] = trashed("size=11M");
	until_gone(id[3]);
	assert_true(waits(id[1]));
	assert_true(waits(id[2]));
	/* what is on its way out counts no more, however long it takes */
	id[3] = made("size=4M");
	id[4] = made("size=2M");
	atomic_store(&fault.hang, "b0");
	assert_int_equal(rig_delete(&rig, id[3]), 0);
	assert_false(waits(id[1]));
	assert_int_equal(row(id[1]).status, VOL_DELETING);
	assert_int_equal(rig_delete(&rig, id[4]), 0);
	assert_true(waits(id[2]));
	atomic_store(&fault.hang, NULL);
	rig_idle(&rig);
	assert_int_equal(limit("root", 0, QUOTA_TRASH_SIZE, 0), 0);
	id[0] = trashed("size=1M");
	until_gone(id[0]);
}

static void a_lower_limit_shows_at_once(void **state)
{
	int64_t id[3], type;

	rig_up(&rig);
	type = rig_sql(&rig, "SELECT id FROM type");
	for (int i = 0; i < 3; i++)
		id[i] = trashed(i < 2 ? "size=4M type=fast" : "size=4M");
	assert_int_equal(limit("root", 0, QUOTA_TRASH_SIZE, 12 << 20), 0);
	assert_true(waits(id[0]));
	assert_int_equal(limit("root", type, QUOTA_TRASH_SIZE, 4 << 20), 0);
	until_gone(id[0]);
	assert_true(waits(id[1]) && waits(id[2]));
	assert_int_equal(limit("root", 0, QUOTA_TRASH_SIZE, 4 << 20), 0);
	until_gone(id[1]);
	assert_true(has_event(id[1], "the trash of project root is full"));
	assert_int_equal(limit("root", 0, QUOTA_TRASH_SIZE, -1), 0);
	assert_true(waits(id[2]));
}

static void a_type_has_its_own_limit(void **state)
{
	int64_t a, b, plain, type;

	rig_up(&rig);
	type = rig_sql(&rig, "SELECT id FROM type");
	assert_int_equal(limit("root", type, QUOTA_TRASH_SIZE, 5 << 20), 0);
	plain = trashed("size=4M");
	a = trashed("size=4M type=fast");
	b = trashed("size=4M type=fast");
	until_gone(a);
	assert_true(has_event(a, "the trash of type fast in project root is full"));
	assert_true(waits(b));
	assert_true(waits(plain));
}

/* --- clones --- */

static int64_t cloned(const char *spec, int64_t parent)
{
	int64_t id = made(spec);

	assert_int_equal(row(id).parent, parent);
	return id;
}

static int64_t held(void)
{
	return rig_sql(&rig, "SELECT count(*) FROM job WHERE class = 9");
}

static void until_held(int64_t n)
{
	for (int i = 0; i < 10000 && held() != n; i++)
		usleep(1000);
	assert_int_equal(held(), n);
}

/* Each one's image is needed by the next: they go from the end, whatever their users saw. */
static void a_chain_goes_from_its_end(void **state)
{
	int64_t a, b, c, snap;

	rig.driver = driver_clone();
	rig_up(&rig);
	a = made("size=1M name=a");
	assert_int_equal(rig_snapshot(&rig, a, "s", &snap), 0);
	b = cloned("name=b snapshot=a@s", a);
	assert_int_equal(rig_unsnap(&rig, snap), 0);
	assert_int_equal(rig_snapshot(&rig, b, "s", &snap), 0);
	c = cloned("name=c snapshot=b@s", b);
	assert_int_equal(rig_unsnap(&rig, snap), 0);
	rig_idle(&rig);
	assert_int_equal(rig_delete(&rig, a), 0);
	assert_int_equal(rig_purge(&rig, a), 0);
	until_gone(a);
	until_held(1);
	assert_int_equal(rig_images(&rig), 3);
	rig_recount(&rig);
	rig_down(&rig); /* and so it is for the next server */
	rig_up(&rig);
	assert_int_equal(held(), 1);
	assert_int_equal(rig_delete(&rig, b), 0);
	assert_int_equal(rig_purge(&rig, b), 0);
	until_gone(b);
	until_held(2);
	assert_int_equal(restore(b, "b"), -ENOENT);
	assert_int_equal(rig_images(&rig), 3);
	assert_int_equal(rig_delete(&rig, c), 0);
	usleep(100000);
	assert_int_equal(held(), 2); /* what may come back needs them still */
	assert_int_equal(restore(c, "c"), 0);
	assert_int_equal(rig_delete(&rig, c), 0);
	assert_int_equal(rig_purge(&rig, c), 0);
	until_gone(c);
	rig_idle(&rig);
	assert_int_equal(rig_images(&rig), 0);
}

/* The driver says that it is needed, and the last one that needed it goes before that is written down. */
static void the_last_clone_goes_meanwhile(void **state)
{
	int64_t a, b, snap;

	rig.driver = driver_clone();
	for (int i = 0; i < 20; i++) {
		rig_up(&rig);
		a = made("size=1M name=a");
		assert_int_equal(rig_snapshot(&rig, a, "s", &snap), 0);
		b = cloned("name=b snapshot=a@s", a);
		assert_int_equal(rig_unsnap(&rig, snap), 0);
		assert_int_equal(rig_delete(&rig, a), 0);
		assert_int_equal(rig_delete(&rig, b), 0);
		assert_int_equal(rig_purge(&rig, b), 0);
		assert_int_equal(rig_purge(&rig, a), 0);
		until_gone(a);
		until_gone(b);
		rig_idle(&rig);
		assert_int_equal(rig_images(&rig), 0);
		rig_recount(&rig);
		rig_down(&rig);
	}
}

/* --- room --- */

static void promises_come_from_the_trash(void **state)
{
	int64_t a, b, c, d;

	rig_up(&rig);
	a = trashed("size=30M");
	b = trashed("size=30M");
	c = trashed("size=30M");
	d = made("size=40M name=d"); /* 10M are free: 30M more are enough */
	until_gone(a);
	assert_true(has_event(a, "its backend needs the room"));
	assert_true(waits(b));
	assert_true(waits(c));
	assert_true(is_there(d));
	/* more than all of it: refused as ever, and nobody is purged in vain */
	assert_int_equal(rig_create(&rig, "size=61M", &d), 0);
	assert_int_equal(rig_settle(&rig, d), VOL_ERROR);
	assert_non_null(strstr(row(d).reason, "61 MiB wanted"));
	assert_null(strstr(row(d).reason, "trash"));
	assert_true(waits(b));
	assert_true(waits(c));
}

/* It does not wait until what is purged is gone: what matters is that it will be. */
static void promises_do_not_wait(void **state)
{
	int64_t a, b;

	rig_up(&rig);
	a = trashed("size=60M");
	b = trashed("size=30M");
	atomic_store(&fault.hang, "b0");
	assert_int_equal(rig_create(&rig, "size=40M", NULL), 0);
	assert_int_equal(row(a).status, VOL_DELETING);
	assert_true(waits(b));
	/* 10M that were free, and 60M on their way, less 40M: these 30M need nobody else */
	assert_int_equal(rig_create(&rig, "size=30M", NULL), 0);
	assert_true(waits(b));
	assert_int_equal(rig_create(&rig, "size=10M", NULL), 0);
	assert_int_equal(row(b).status, VOL_DELETING);
	atomic_store(&fault.hang, NULL);
	until_gone(a);
	until_gone(b);
	rig_idle(&rig);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM volume WHERE status = 2"), 3);
}

static void an_extension_finds_room(void **state)
{
	int64_t a, b;

	rig_up(&rig);
	a = trashed("size=50M");
	b = made("size=50M");
	assert_int_equal(rig_extend(&rig, b, 80 << 20), 0);
	until_gone(a);
	assert_int_equal(rig_settle(&rig, b), VOL_AVAILABLE);
	assert_int_equal(row(b).size, 80 << 20);
	refused(rig_extend(&rig, b, 101 << 20), -ENOSPC, "wanted");
}

/* A parent gives nothing back while its clone is there. */
static void who_gives_nothing_back_stays(void **state)
{
	int64_t a, b, c, snap;

	rig.driver = driver_clone();
	rig_up(&rig);
	a = made("size=30M name=a");
	assert_int_equal(rig_snapshot(&rig, a, "s", &snap), 0);
	(void)cloned("name=b snapshot=a@s", a);
	assert_int_equal(rig_unsnap(&rig, snap), 0);
	rig_idle(&rig);
	assert_int_equal(rig_delete(&rig, a), 0);
	b = trashed("size=30M");
	c = made("size=40M");
	until_gone(b);
	assert_true(waits(a));
	assert_true(is_there(c));
}

static void *purged_bytes_are_seen(void *arg)
{
	while (!atomic_load(&fault.removed))
		usleep(1000);
	usleep(500000); /* a storage counts late */
	atomic_store(&fault.free, UINT64_C(90) << 20);
	return NULL;
}

static void bytes_are_waited_for(void **state)
{
	int64_t a, b, c;
	pthread_t t;

	rig_up(&rig);
	a = trashed("size=40M");
	b = trashed("size=40M");
	atomic_store(&fault.free, UINT64_C(20) << 20);
	usleep(1500000); /* its statistics say so */
	atomic_store(&fault.removed, 0);
	assert_int_equal(pthread_create(&t, NULL, purged_bytes_are_seen, NULL), 0);
	c = made("size=50M");
	pthread_join(t, NULL);
	assert_false(waits(a));
	assert_true(is_there(c));
	assert_true(waits(b) || !is_there(b));
}

static void bytes_that_do_not_come(void **state)
{
	int64_t a, c, began;

	rig_up(&rig);
	a = trashed("size=40M");
	atomic_store(&fault.free, UINT64_C(20) << 20);
	usleep(1500000);
	began = clock_mono_ns();
	assert_int_equal(rig_create(&rig, "size=50M", &c), 0);
	assert_true(clock_mono_ns() - began < INT64_C(9000000000));
	assert_int_equal(rig_settle(&rig, c), VOL_ERROR);
	assert_non_null(strstr(row(c).reason, "purging what lies in the trash did not help"));
	until_gone(a);
}

/* --- races and crashes --- */

static void *restores(void *arg)
{
	int r = restore(*(int64_t *)arg, "db");

	assert_true(r == 0 || r == -EBUSY || r == -ENOENT);
	return r == 0 ? arg : NULL;
}

/* Either it is back, whole, or it is gone. */
static void restore_races_with_purge(void **state)
{
	rig_up(&rig);
	for (int i = 0; i < 50; i++) {
		int64_t id = trashed("size=1M name=db");
		pthread_t t;
		void *back;

		assert_int_equal(pthread_create(&t, NULL, restores, &id), 0);
		if (i % 2)
			usleep((useconds_t)i * 20);
		(void)rig_purge(&rig, id);
		pthread_join(t, &back);
		rig_idle(&rig);
		assert_int_equal(is_there(id), back != NULL);
		assert_int_equal(rig_images(&rig), back != NULL);
		if (!back)
			continue;
		assert_int_equal(row(id).status, VOL_AVAILABLE);
		assert_int_equal(rig_delete(&rig, id), 0);
		assert_int_equal(rig_purge(&rig, id), 0);
		until_gone(id);
		rig_idle(&rig);
	}
}

static void live_and_die(long commits, long points)
{
	int64_t id;

	clone_fault_reset();
	atomic_store(&fault.kill_after, commits);
	atomic_store(&fault.kill_at, points);
	rig_up(&rig);
	id = made("size=1M name=db");
	assert_int_equal(rig_delete(&rig, id), 0);
	assert_int_equal(restore(id, "db"), 0);
	assert_int_equal(rig_delete(&rig, id), 0);
	assert_int_equal(rig_purge(&rig, id), 0);
	until_gone(id);
	rig_idle(&rig);
	_exit(0);
}

/* Whatever was answered holds, and what was begun ends. */
static void dies_anywhere(void **state)
{
	for (long n = 1; n <= 16; n += rig_stride()) {
		pid_t pid = fork();
		int status;
		int64_t id;

		assert_true(pid >= 0);
		if (pid == 0)
			live_and_die(n <= 12 ? n : 0, n > 12 ? n - 12 : 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		clone_fault_reset();
		rig_up(&rig);
		rig_idle(&rig);
		rig_recount(&rig);
		id = rig_sql(&rig, "SELECT coalesce(max(id), 0) FROM volume");
		assert_int_equal(rig_images(&rig), id != 0);
		if (id && !row(id).trashed)
			assert_int_equal(rig_delete(&rig, id), 0);
		if (id) {
			assert_int_equal(rig_purge(&rig, id), 0);
			until_gone(id);
		}
		rig_idle(&rig);
		assert_int_equal(rig_images(&rig), 0);
		rig_down(&rig);
	}
}

/* It would lie in the trash for ever: nobody finds its snapshot there. */
static void test_purge_takes_a_snapshot_that_stuck(void **state)
{
	int64_t id, snap;

	rig_up(&rig);
	id = made("size=1 name=db");
	assert_int_equal(rig_snapshot(&rig, id, "monday", &snap), 0);
	atomic_store(&fault.hang_snap, "b0");
	assert_int_equal(rig_unsnap(&rig, snap), 0);
	assert_int_equal(rig_delete(&rig, id), 0);
	atomic_store(&fault.stick_snap, "b0");
	atomic_store(&fault.hang_snap, NULL);
	rig_idle(&rig);
	assert_int_equal(rig_purge(&rig, id), 0);
	rig_idle(&rig);
	assert_int_equal(row(id).status, VOL_ERROR_DELETING);
	atomic_store(&fault.stick_snap, NULL);
	assert_int_equal(rig_purge(&rig, id), 0);
	rig_idle(&rig);
	assert_false(is_there(id));
	assert_int_equal(rig_images(&rig) + rig_snapshots(&rig), 0);
}

#define TEST(name, up) cmocka_unit_test_setup_teardown(name, up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_purge_takes_a_snapshot_that_stuck, set_up),
		TEST(goes_and_comes_back, set_up),
		TEST(comes_back_only_where_it_may, set_up),
		TEST(an_error_comes_back_as_one, set_up),
		TEST(purged_it_stays_gone, set_up),
		TEST(what_never_was_leaves_at_once, set_up),
		TEST(what_has_snapshots_stays, set_up),
		TEST(expires, set_up),
		TEST(expires_while_nobody_looks, set_up),
		TEST(many_expire_together, set_up),
		TEST(the_oldest_leave_a_full_trash, set_up),
		TEST(a_lower_limit_shows_at_once, set_up),
		TEST(a_type_has_its_own_limit, set_up),
		TEST(a_chain_goes_from_its_end, set_up),
		TEST(the_last_clone_goes_meanwhile, set_up),
		TEST(promises_come_from_the_trash, set_up_small),
		TEST(promises_do_not_wait, set_up_small),
		TEST(an_extension_finds_room, set_up_small),
		TEST(who_gives_nothing_back_stays, set_up_small),
		TEST(bytes_are_waited_for, set_up_thick),
		TEST(bytes_that_do_not_come, set_up_thick),
		TEST(restore_races_with_purge, set_up),
		TEST(dies_anywhere, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
