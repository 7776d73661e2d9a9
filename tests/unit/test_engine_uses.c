/* Who uses a volume: opens of `data`, attachments, watchers outside; what they do to its status and keep others from. */
#include "base/clock.h"
#include "store/numbers.h"
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;
static const struct caller user = { .uid = 1, .gid = 1, .pid = 12 };

static int set_up_of(const struct driver *driver)
{
	fault_reset();
	rig_make(&rig, 1, "");
	rig.driver = driver;
	rig_up(&rig);
	return 0;
}

static int set_up(void **state)
{
	return set_up_of(&driver_fault);
}

static int set_up_watched(void **state)
{
	return set_up_of(&driver_watched);
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

static size_t uses(int64_t volume, struct use *ret)
{
	struct use u[8];
	int n = view_uses(rig.view, volume, 0, u, 8);

	assert_true(n >= 0);
	if (ret && n)
		*ret = u[n - 1];
	return (size_t)n;
}

static const struct change_id no_id = { 0 };

static int opened(const struct caller *who, int64_t volume, uint64_t handle, bool writes)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_data_open(rig.engine, no_id, who, volume, handle, writes, rig_done, &a);
	return rig_wait(&a, NULL);
}

static void closed(int64_t volume, uint64_t handle)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_data_closed(rig.engine, volume, handle, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
}

static int attached(const struct caller *who, int64_t volume, const char *name, int64_t *ret)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_attach(rig.engine, no_id, who, volume, name, rig_done, &a);
	return rig_wait(&a, ret);
}

static int detached(const struct caller *who, int64_t use)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_detach(rig.engine, no_id, who, use, rig_done, &a);
	return rig_wait(&a, NULL);
}

static int use_set(
	const struct caller *who, int64_t use, unsigned fields, const char *host, bool rw)
{
	struct use u = { .writes = rw };
	struct rig_answer a;

	(void)snprintf(u.host, sizeof u.host, "%s", host);
	rig_begin(&a);
	engine_use_set(rig.engine, no_id, who, use, fields, &u, rig_done, &a);
	return rig_wait(&a, NULL);
}

static int set(int64_t volume, unsigned fields, const struct volume *values)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_set(rig.engine, no_id, &rig.who, volume, fields, values, rig_done, &a);
	return rig_wait(&a, NULL);
}

static int reset(int64_t volume, enum vol_status status)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_reset(rig.engine, no_id, &rig.who, volume, status, rig_done, &a);
	return rig_wait(&a, NULL);
}

static void says(const char *part)
{
	if (!strstr(rig_text, part))
		fail_msg("'%s' is not in: %s", part, rig_text);
}

/* --- opens --- */

static void writers_put_it_in_use(void **state)
{
	int64_t id = made("size=1M name=db");
	struct use u;

	assert_int_equal(opened(&user, id, 1, false), 0);
	assert_int_equal(row(id).status, VOL_AVAILABLE);
	assert_int_equal(opened(&user, id, 2, true), 0);
	assert_int_equal(row(id).status, VOL_IN_USE);
	assert_int_equal(row(id).used, 512);
	assert_int_equal(uses(id, &u), 2);
	assert_int_equal(u.kind, USE_OPEN);
	assert_true(u.writes && u.handle == 2 && u.uid == 1 && u.pid == 12);
	assert_int_equal(opened(&user, id, 2, true), 0); /* sent again */
	assert_int_equal(uses(id, NULL), 2);
	closed(id, 2);
	assert_int_equal(row(id).status, VOL_AVAILABLE);
	for (int i = 0; i < 2000 && row(id).used == 512; i++)
		usleep(1000);
	assert_int_equal(row(id).used, 0); /* measured at once: nothing was written */
	closed(id, 1);
	closed(id, 1);
	assert_int_equal(uses(id, NULL), 0);
	assert_int_equal(opened(&user, 4711, 3, false), -ENOENT);
}

static void status_and_readonly_refuse_opens(void **state)
{
	struct volume ro = { .readonly = true }, rw = { 0 };
	int64_t id = made("size=1M name=db");

	assert_int_equal(set(id, SET_READONLY, &ro), 0);
	assert_int_equal(opened(&user, id, 1, true), -EROFS);
	says("volume 'db' is read-only");
	assert_int_equal(opened(&user, id, 1, false), 0);
	closed(id, 1);
	assert_int_equal(set(id, SET_READONLY, &rw), 0);
	assert_int_equal(opened(&user, id, 1, true), 0);
	assert_int_equal(set(id, SET_READONLY, &ro), -EBUSY);
	says("volume 'db' is in-use");
	closed(id, 1);
	assert_int_equal(reset(id, VOL_MAINTENANCE), 0);
	assert_int_equal(opened(&user, id, 1, true), -EBUSY);
	says("volume 'db' is maintenance");
	assert_int_equal(opened(&user, id, 1, false), 0);
	closed(id, 1);
	assert_int_equal(reset(id, VOL_ERROR), 0);
	assert_int_equal(opened(&user, id, 1, false), -EBUSY);
	assert_int_equal(rig_delete(&rig, id), 0);
	assert_int_equal(opened(&user, id, 1, false), -ENOENT);
}

static void data_has_an_owner_of_its_own(void **state)
{
	struct volume to = { .data_uid = 5, .data_gid = 6, .data_mode = 0640, .uid = 3 };
	int64_t id = made("size=1M");
	struct vol_entry e;

	assert_int_equal(row(id).data_mode, 0600);
	assert_int_equal(row(id).data_uid, (uid_t)-1);
	assert_int_equal(set(id, SET_DATA_MODE | SET_DATA_UID, &to), 0);
	assert_int_equal(view_entry(rig.view, id, &e), 0);
	assert_int_equal(e.data_mode, 0640);
	assert_int_equal(e.data_uid, 5);
	assert_int_equal(e.data_gid, (gid_t)-1);
	assert_int_equal(set(id, SET_UID, &to), 0);
	assert_int_equal(row(id).data_uid, (uid_t)-1);
	assert_int_equal(row(id).data_mode, 0640);
	to.bootable = true;
	assert_int_equal(set(id, SET_BOOTABLE, &to), 0);
	assert_true(row(id).bootable);
}

static void opens_of_a_dead_server_go(void **state)
{
	int64_t a = made("size=1M name=a"), b = made("size=1M name=b");
	const uint64_t alive[] = { 3, UINT64_MAX };
	struct err err = { 0 };

	assert_int_equal(opened(&user, a, 2, true), 0);
	assert_int_equal(opened(&user, b, 3, true), 0);
	assert_int_equal(opened(&user, b, UINT64_MAX, false), 0);
	rig_down(&rig);
	rig_up(&rig);
	assert_int_equal(engine_data_handles(rig.engine, alive, 2, &err), 0);
	assert_int_equal(row(a).status, VOL_AVAILABLE);
	assert_int_equal(row(b).status, VOL_IN_USE);
	assert_int_equal(uses(b, NULL), 2);
	assert_int_equal(engine_data_handles(rig.engine, NULL, 0, &err), 0);
	assert_int_equal(row(b).status, VOL_AVAILABLE);
	assert_int_equal(uses(b, NULL), 0);
}

/* --- extension --- */

static void extends_online(void **state)
{
	int64_t id = made("size=1M");

	assert_int_equal(opened(&user, id, 1, true), 0);
	assert_int_equal(rig_extend(&rig, id, 2 << 20), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_IN_USE);
	assert_int_equal(row(id).size, 2 << 20);
	fault.delay_us = 100000;
	assert_int_equal(rig_extend(&rig, id, 3 << 20), 0);
	closed(id, 1);
	assert_int_equal(row(id).status, VOL_EXTENDING);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(rig_extend(&rig, id, 4 << 20), 0);
	assert_int_equal(opened(&user, id, 2, true), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_IN_USE);
	fault.delay_us = 0;
	fault.fail_at = fault.passed + 1;
	assert_int_equal(rig_extend(&rig, id, 5 << 20), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_ERROR_EXTENDING);
	closed(id, 2);
	assert_int_equal(row(id).status, VOL_ERROR_EXTENDING);
}

/* --- attachments --- */

static void attaches_one(void **state)
{
	int64_t id = made("size=1M name=db"), use, again;
	char host[NAME_LEN + 1];
	struct use u;

	assert_int_equal(gethostname(host, sizeof host), 0);
	assert_int_equal(attached(&user, id, "vm1", &use), 0);
	assert_int_equal(row(id).status, VOL_IN_USE);
	assert_int_equal(view_use_by_name(rig.view, id, "vm1", &u), 0);
	assert_int_equal(u.id, use);
	assert_string_equal(u.host, host);
	assert_true(u.writes);
	assert_int_equal(attached(&user, id, "vm1", &again), -EEXIST);
	assert_int_equal(attached(&user, id, "vm2", &again), -EBUSY);
	says("volume 'db' is attached as 'vm1' to host ");
	says(" by uid 1");
	assert_int_equal(opened(&rig.who, id, 1, true), 0); /* on this host */
	closed(id, 1);
	assert_int_equal(use_set(&user, use, USE_SET_HOST, "far.example", false), 0);
	assert_int_equal(opened(&rig.who, id, 1, true), -EBUSY);
	says("attached as 'vm1' to host far.example by uid 1");
	assert_int_equal(opened(&rig.who, id, 1, false), 0);
	closed(id, 1);
	assert_int_equal(detached(&user, use), 0);
	assert_int_equal(row(id).status, VOL_AVAILABLE);
	assert_int_equal(detached(&user, use), -ENOENT);
}

static void names_and_fields_of_attachments(void **state)
{
	const struct caller other = { .uid = 2, .gid = 2, .pid = 2 };
	struct volume ro = { .readonly = true };
	int64_t id = made("size=1M name=db"), use;
	struct use u;

	assert_int_equal(attached(&user, id, "open:1", &use), -EINVAL);
	assert_int_equal(attached(&user, id, "a b", &use), -EINVAL);
	assert_int_equal(attached(&user, 4711, "vm", &use), -ENOENT);
	assert_int_equal(set(id, SET_READONLY, &ro), 0);
	assert_int_equal(attached(&user, id, "vm", &use), 0);
	assert_int_equal(view_use(rig.view, use, &u), 0);
	assert_false(u.writes);
	assert_int_equal(use_set(&user, use, USE_SET_MODE, "", true), -EROFS);
	assert_int_equal(use_set(&other, use, USE_SET_HOST, "h", false), -EACCES);
	assert_int_equal(use_set(&user, use, USE_SET_HOST, "a b", false), -EINVAL);
	assert_int_equal(use_set(&user, use, USE_SET_HOST, "", false), -EINVAL);
	assert_int_equal(use_set(&rig.who, use, USE_SET_HOST | USE_SET_MODE, "h", false), 0);
	assert_int_equal(view_use(rig.view, use, &u), 0);
	assert_string_equal(u.host, "h");
	assert_int_equal(use_set(&user, 4711, USE_SET_HOST, "h", false), -ENOENT);
	assert_int_equal(detached(&user, use), 0);
}

static void opens_hold_off_attachments(void **state)
{
	int64_t id = made("size=1M name=db"), use;
	struct use u;

	assert_int_equal(opened(&user, id, 1, true), 0);
	assert_int_equal(attached(&user, id, "vm", &use), -EBUSY);
	says("volume 'db' is open for writing by uid 1, pid 12");
	assert_int_equal(uses(id, &u), 1);
	assert_int_equal(detached(&rig.who, u.id), -EBUSY);
	says("close it");
	assert_int_equal(use_set(&rig.who, u.id, USE_SET_HOST, "h", false), -EPERM);
	closed(id, 1);
	assert_int_equal(attached(&user, id, "vm", &use), 0);
	assert_int_equal(detached(&user, use), 0);
	assert_int_equal(reset(id, VOL_ERROR), 0);
	assert_int_equal(attached(&user, id, "vm", &use), -EBUSY);
	says("volume 'db' is error");
}

static int64_t type_with(const char *value)
{
	struct rig_answer a;
	int64_t type;

	rig_begin(&a);
	engine_type_add(rig.engine, no_id, &rig.who, "many", rig_done, &a);
	assert_int_equal(rig_wait(&a, &type), 0);
	rig_begin(&a);
	engine_type_entry(rig.engine, no_id, &rig.who, type, TYPE_EXTRA_SPECS, "multiattach", value,
		META_SET, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
	return type;
}

static void attaches_many_by_type(void **state)
{
	int64_t id, one, two;

	(void)type_with("<is> True");
	/* the local driver does not say that it can */
	id = made("size=1M name=db");
	assert_int_equal(rig_sql(&rig, "SELECT id FROM type"), 1);
	assert_int_equal(rig_sql(&rig, "UPDATE volume SET type = 1 RETURNING id"), id);
	assert_int_equal(attached(&user, id, "vm1", &one), 0);
	assert_int_equal(attached(&user, id, "vm2", &two), 0);
	assert_int_equal(use_set(&user, two, USE_SET_HOST, "far", false), 0);
	assert_int_equal(opened(&user, id, 1, true), 0);
	assert_int_equal(detached(&user, one), 0);
	assert_int_equal(detached(&user, two), 0);
	assert_int_equal(row(id).status, VOL_IN_USE);
	closed(id, 1);
	assert_int_equal(row(id).status, VOL_AVAILABLE);
}

/* --- deletion --- */

static void what_is_used_stays(void **state)
{
	int64_t id = made("size=1M name=db"), use, began;

	assert_int_equal(opened(&user, id, 1, false), 0);
	began = clock_mono_ns();
	assert_int_equal(rig_delete(&rig, id), -EBUSY);
	assert_true(clock_mono_ns() - began >= 90000000);
	says("volume 'db' is open for reading by uid 1, pid 12");
	closed(id, 1);
	assert_int_equal(attached(&user, id, "vm", &use), 0);
	began = clock_mono_ns();
	assert_int_equal(rig_delete(&rig, id), -EBUSY);
	assert_true(clock_mono_ns() - began < 90000000);
	says("attached as 'vm'");
	assert_int_equal(detached(&user, use), 0);
	assert_int_equal(reset(id, VOL_IN_USE), 0);
	assert_int_equal(rig_delete(&rig, id), -EBUSY);
	says("volume 'db' is in-use");
	assert_int_equal(reset(id, VOL_AVAILABLE), 0);
	assert_int_equal(rig_delete(&rig, id), 0);
}

static void a_close_on_its_way_is_waited_for(void **state)
{
	int64_t id = made("size=1M name=db");
	struct rig_answer a;

	assert_int_equal(opened(&user, id, 1, true), 0);
	rig_begin(&a);
	engine_delete(rig.engine, rig.view, no_id, &user, id, rig_done, &a);
	usleep(20000);
	closed(id, 1);
	assert_int_equal(rig_wait(&a, NULL), 0);
}

static int let_go(void *arg, const void *be, const char *uuid)
{
	unsigned *n = arg;

	assert_non_null(be);
	assert_int_equal(strlen(uuid), UUID_LEN);
	return ++*n == 1 ? -EBUSY : 0;
}

static void bytes_in_use_here_stay(void **state)
{
	int64_t id = made("size=1M");
	unsigned n = 0;

	rig_down(&rig);
	rig_up(&rig); /* set before it starts; nothing is removed before */
	engine_on_remove(rig.engine, let_go, &n);
	assert_int_equal(rig_delete(&rig, id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_ERROR_DELETING);
	assert_int_equal(rig_images(&rig), 1);
	assert_int_equal(rig_purge(&rig, id), 0);
	assert_int_equal(rig_settle(&rig, id), -ENOENT);
	assert_int_equal(n, 2);
	assert_int_equal(rig_images(&rig), 0);
}

static void programs_outside_keep_it(void **state)
{
	int64_t id = made("size=1M name=db"), began;

	fault.outside = "b0";
	assert_int_equal(rig_delete(&rig, id), -EBUSY);
	says("open by a program outside");
	assert_int_equal(fault.asked, 1);
	fault.outside = NULL;
	fault.mute = "b0";
	began = clock_mono_ns();
	assert_int_equal(rig_delete(&rig, id), 0); /* no answer: the purge finds out */
	began = clock_mono_ns() - began;
	assert_true(began >= 90000000 && began < INT64_C(2000000000));
	fault.mute = NULL;
	assert_int_equal(rig_settle(&rig, id), -ENOENT);
}

/* The storage is asked before the writer's first run, which would only be rolled back to ask it. */
static void the_writer_sees_a_deletion_once(void **state)
{
	const struct store_numbers *n = store_numbers(rig.view);
	int64_t id = made("size=1M name=db"), kept = made("size=1M name=kept");
	uint64_t refused = counter_get(&n->refused);

	assert_int_equal(rig_delete(&rig, id), 0);
	assert_int_equal(fault.asked, 1);
	assert_int_equal(counter_get(&n->refused), refused);
	assert_int_equal(
		rig_sql(&rig, "UPDATE volume SET protected = 1 WHERE name = 'kept' RETURNING 1"),
		1);
	assert_int_equal(rig_delete(&rig, kept), -EPERM);
	assert_int_equal(fault.asked, 1); /* nobody need be asked */
	assert_int_equal(counter_get(&n->refused), refused + 1);
	assert_int_equal(rig_settle(&rig, id), -ENOENT);
}

static bool watched(int64_t volume, struct use *ret)
{
	struct volume v = row(volume);

	engine_watch(rig.engine, &v);
	return uses(volume, ret) == 1;
}

static void watchers_are_shown_and_evicted(void **state)
{
	int64_t id = made("size=1M name=db"), first;
	struct use u;

	fault.outside = "b0";
	for (int i = 0; i < 3000 && !watched(id, &u); i++)
		usleep(1000);
	assert_int_equal(uses(id, &u), 1);
	assert_int_equal(u.kind, USE_WATCHER);
	assert_string_equal(u.name, "watcher:10.0.0.1:0%2F77");
	assert_string_equal(u.host, FAULT_WATCHER);
	first = u.id;
	usleep(1200000); /* stats_interval */
	(void)watched(id, &u);
	usleep(100000);
	assert_true(watched(id, &u) && u.id == first);
	assert_int_equal(row(id).status, VOL_AVAILABLE);
	assert_int_equal(detached(&user, u.id), -EACCES);
	assert_int_equal(detached(&rig.who, u.id), 0);
	assert_int_equal(
		rig_sql(&rig,
			"SELECT count(*) FROM event WHERE line->>'event' = 'volume.detach.end' AND line->>'uid' = 0 "
			"AND line->>'detail' = 'evicted: was open by a client at " FAULT_WATCHER
			"'"),
		1);
	assert_null(fault.outside);
	assert_int_equal(uses(id, NULL), 0);
	assert_int_equal(rig_delete(&rig, id), 0);
}

/* --- the fence --- */

struct waits {
	struct engine_ready r; /* first */
	_Atomic bool ready;
};

static void is_ready(struct engine_ready *r)
{
	atomic_store(&((struct waits *)r)->ready, true);
}

static void bytes_wait_for_the_fence(void **state)
{
	struct waits w = { .r.ready = is_ready };
	struct engine_image image;
	struct err err = { 0 };
	struct volume v = row(made("size=1M")), nowhere = { .backend = "gone" };

	assert_int_equal(engine_image(rig.engine, &nowhere, &image, &err), -EIO);
	assert_int_equal(engine_image(rig.engine, &v, &image, &err), 0);
	assert_string_equal(image.image.uuid, v.uuid);
	assert_true(engine_when_ready(rig.engine, image.be, &w.r));
	rig_down(&rig);
	fault.down = "b0";
	rig_up(&rig);
	assert_int_equal(engine_image(rig.engine, &v, &image, &err), 0);
	assert_false(engine_when_ready(rig.engine, image.be, &w.r));
	assert_false(w.ready);
	fault.down = NULL;
	for (int i = 0; i < 5000 && !w.ready; i++)
		usleep(1000);
	assert_true(w.ready);
}

int main(void)
{
#define TEST(fn)    cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
#define WATCHED(fn) cmocka_unit_test_setup_teardown(fn, set_up_watched, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(writers_put_it_in_use),
		TEST(status_and_readonly_refuse_opens),
		TEST(data_has_an_owner_of_its_own),
		TEST(opens_of_a_dead_server_go),
		TEST(extends_online),
		TEST(attaches_one),
		TEST(names_and_fields_of_attachments),
		TEST(opens_hold_off_attachments),
		TEST(attaches_many_by_type),
		TEST(what_is_used_stays),
		TEST(a_close_on_its_way_is_waited_for),
		TEST(bytes_in_use_here_stay),
		WATCHED(programs_outside_keep_it),
		WATCHED(the_writer_sees_a_deletion_once),
		WATCHED(watchers_are_shown_and_evicted),
		TEST(bytes_wait_for_the_fence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
