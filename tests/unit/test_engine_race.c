/* Many at once: one name, a quota that is exactly reached, room that is promised only once; fairness, bounds, batches. */
#include "base/clock.h"
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;
static long queue_max; /* of the next rig; 0: as configured */

static void begin(size_t backends, const char *more)
{
	fault_reset();
	rig_make(&rig, backends, more);
	if (queue_max)
		rig.conf.queue_max = queue_max;
	rig_up(&rig);
}

static int tear_down(void **state)
{
	fault_reset();
	rig_idle(&rig);
	rig_recount(&rig);
	rig_down(&rig);
	rig_drop(&rig);
	queue_max = 0;
	return 0;
}

struct writer {
	pthread_t thread;
	struct caller who;
	const char *spec;
	int each;
	int ok, refused; /* refused with code */
	int code;
};

static void *write_specs(void *arg)
{
	struct writer *w = arg;

	for (int i = 0; i < w->each; i++) {
		int r = rig_create_as(&rig, &w->who, w->spec, NULL, NULL);

		if (r == 0)
			w->ok++;
		else
			w->refused++, w->code = r;
	}
	return NULL;
}

/* Everybody writes the same; returns how many were accepted. */
static int race(int writers, int each, const char *spec, const struct caller *who, int code)
{
	struct writer w[64];
	int ok = 0;

	for (int i = 0; i < writers; i++) {
		w[i] = (struct writer){ .who = *who, .spec = spec, .each = each };
		assert_int_equal(pthread_create(&w[i].thread, NULL, write_specs, &w[i]), 0);
	}
	for (int i = 0; i < writers; i++) {
		pthread_join(w[i].thread, NULL);
		ok += w[i].ok;
		if (w[i].refused)
			assert_int_equal(w[i].code, code);
	}
	return ok;
}

static void one_name_has_one_winner(void **state)
{
	begin(2, NULL);
	assert_int_equal(race(50, 1, "size=1M name=db", &rig.who, -EEXIST), 1);
	assert_int_equal(rig_create(&rig, "size=1M name=db", NULL), -EEXIST);
	assert_string_equal(rig_text, "the name 'db' is taken by a volume of uid 0");
}

static const struct caller user = { .uid = 1, .gid = 1, .pid = 1 };

static void a_quota_is_reached_exactly(void **state)
{
	struct quota q;

	begin(2, "quota = { volumes = 100; size = \"57M\"; };");
	assert_int_equal(race(32, 8, "size=1M", &user, -EDQUOT), 57);
	assert_int_equal(view_quota_by_name(rig.view, "daemon", &q), 0);
	assert_int_equal(q.used[QUOTA_SIZE], 57 << 20);
	assert_int_equal(q.used[QUOTA_VOLUMES], 57);
	assert_int_equal(rig_create_as(&rig, &user, "size=1M", NULL, NULL), -EDQUOT);
	assert_string_equal(rig_text, "quota of project 'daemon': 1M wanted, 57M of 57M in use");
}

static void a_count_is_reached_exactly(void **state)
{
	begin(2, "quota = { volumes = 33; size = -1; };");
	assert_int_equal(race(32, 4, "size=1M", &user, -EDQUOT), 33);
	assert_int_equal(rig_create_as(&rig, &user, "size=1M", NULL, NULL), -EDQUOT);
	assert_string_equal(
		rig_text, "quota of project 'daemon': 1 more wanted, 33 of 33 volumes in use");
}

/* Two backends of 10 MiB without over-subscription: 20 volumes of 1 MiB fit, however many ask at once. */
static void room_is_promised_once(void **state)
{
	fault_reset();
	atomic_store(&fault.total, 10 << 20);
	rig_make(&rig, 2, NULL);
	for (int i = 0; i < 2; i++)
		rig.conf.backends[i].max_over_subscription_ratio = 1;
	rig_up(&rig);
	assert_int_equal(race(32, 2, "size=1M", &rig.who, 0), 64); /* accepted; most end in error */
	rig_idle(&rig);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM volume WHERE status = 2"), 20);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM volume WHERE status = 18 "
				       "AND reason LIKE 'no backend fits: b0: %; b1: %'"),
		44);
	assert_int_equal(rig_images(&rig), 20);
	assert_int_equal(rig_sql(&rig, "SELECT max(allocated) FROM backend"), 10 << 20);
}

/* Thick: what was promised since the statistics counts against what they called free. */
static void thick_room_is_promised_once(void **state)
{
	fault_reset();
	atomic_store(&fault.total, 10 << 20);
	rig_make(&rig, 1, NULL);
	rig.conf.backends[0].thin = false;
	rig_up(&rig);
	assert_int_equal(race(32, 1, "size=1M", &rig.who, 0), 32);
	rig_idle(&rig);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM volume WHERE status = 2"), 10);
}

/* A thousand of one project wait; one of another is done long before the last of them. */
static void projects_take_turns(void **state)
{
	struct caller other = { .uid = 2, .gid = 2, .pid = 2 };
	int64_t id;

	begin(1, "quota = { volumes = -1; size = -1; };");
	atomic_store(&fault.delay_us, 100000);
	assert_int_equal(race(50, 20, "size=1M", &user, 0), 1000);
	assert_int_equal(rig_create_as(&rig, &other, "size=1M", NULL, &id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_true(rig_sql(&rig, "SELECT count(*) FROM volume WHERE status = 0") > 300);
}

static void batches_grow_under_load(void **state)
{
	begin(1, "quota = { volumes = -1; size = -1; };");
	atomic_store(&fault.delay_us, 10000);
	assert_int_equal(race(32, 10, "size=1M", &user, 0), 320);
	rig_idle(&rig);
	assert_true(atomic_load(&fault.largest) > 8);
}

/* The queue is full: a patient writer waits, an impatient one hears EAGAIN. */
static void the_queue_is_bounded(void **state)
{
	struct spec spec = { .size = 1 << 20 };
	struct rig_answer a[3];

	queue_max = 2;
	begin(1, NULL);
	atomic_store(&fault.hang, "b0");
	for (int i = 0; i < 2; i++)
		assert_int_equal(rig_create(&rig, "size=1M", NULL), 0);
	rig_begin(&a[0]);
	rig_begin(&a[1]);
	engine_create(rig.engine, (struct change_id){ 0 }, &rig.who, &spec,
		"00000000-0000-4000-8000-000000000001", NULL, "", 0, false, rig_done, &a[0]);
	assert_int_equal(rig_wait(&a[0], NULL), -EAGAIN);
	engine_create(rig.engine, (struct change_id){ 0 }, &rig.who, &spec,
		"00000000-0000-4000-8000-000000000002", NULL, "", 0, true, rig_done, &a[1]);
	usleep(50000);
	assert_false(a[1].over);
	atomic_store(&fault.hang, NULL);
	assert_int_equal(rig_wait(&a[1], NULL), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(rig_create(&rig, "size=1M", NULL), 0);
	rig_idle(&rig);
	assert_int_equal(rig_images(&rig), 23);
}

static unsigned most(void)
{
	unsigned n;

	lock_take(&rig.lock);
	n = rig.most;
	rig.most = 0;
	lock_drop(&rig.lock);
	return n;
}

/* Appends numbers, all at once: the largest commit had how many of them? */
static unsigned append_all(int64_t id, const struct caller *who)
{
	static struct rig_answer a[64];
	char text[8];

	(void)most();
	for (int i = 0; i < 64; i++) {
		rig_begin(&a[i]);
		(void)snprintf(text, sizeof text, "%d", i);
		engine_meta(rig.engine, (struct change_id){ 0 }, who, id, "k", text,
			i ? META_APPEND : META_SET, rig_done, &a[i]);
	}
	for (int i = 0; i < 64; i++)
		assert_int_equal(rig_wait(&a[i], NULL), 0);
	return most();
}

/* A user's requests take turns, in order; root's do not. */
static void a_user_has_so_many_under_way(void **state)
{
	const struct caller root = { .uid = 0 };
	struct meta_entry m;
	int64_t id;

	begin(1, "limits = { requests = 2; };");
	assert_int_equal(rig_create(&rig, "size=1M", &id), 0);
	rig_idle(&rig);
	assert_in_range(append_all(id, &user), 1, 2);
	assert_int_equal(view_meta_by_key(rig.view, id, "k", &m), 0);
	assert_int_equal(strncmp(m.value, "0 1 2 3 4 5 6 7 8 9 10 11 ", 26), 0);
	assert_string_equal(m.value + strlen(m.value) - 3, " 63");
	assert_true(append_all(id, &root) > 2);
}

static void create_as(const struct caller *who, int i, bool wait, struct rig_answer *a)
{
	struct spec spec = { .size = 1 << 20 };
	char uuid[UUID_LEN + 1];

	(void)snprintf(uuid, sizeof uuid, "00000000-0000-4000-8000-%012d", i);
	rig_begin(a);
	engine_create(rig.engine, (struct change_id){ 0 }, who, &spec, uuid, NULL, "", 0, wait,
		rig_done, a);
}

static bool is_over(struct rig_answer *a)
{
	LOCK_SCOPE(&a->lock);
	return a->over;
}

/* Who has many specs waiting holds no more of the room, and of the line before it, than is its turn. */
static void a_user_waits_for_so_much_room(void **state)
{
	static struct rig_answer many[40];
	const struct caller other = { .uid = 2, .gid = 2 };
	struct rig_answer one, hasty;
	struct meta_entry m;
	int64_t id, first = 0;

	queue_max = 1;
	begin(1, "limits = { requests = 2; }; quota = { volumes = -1; size = -1; };");
	assert_int_equal(rig_create(&rig, "size=1M", &id), 0);
	rig_idle(&rig);
	atomic_store(&fault.hang, "b0");
	assert_int_equal(rig_create(&rig, "size=1M", NULL), 0);
	for (int i = 0; i < 40; i++)
		create_as(&user, i, true, &many[i]);
	create_as(&other, 100, true, &one);
	create_as(&user, 200, false, &hasty);
	assert_int_equal(rig_wait(&hasty, NULL), -EAGAIN);
	assert_int_equal(append_all(id, &user) > 0, 1); /* its other requests go on */
	assert_int_equal(view_meta_by_key(rig.view, id, "k", &m), 0);
	assert_false(is_over(&many[0]));
	atomic_store(&fault.hang, NULL);
	assert_int_equal(rig_wait(&one, NULL), 0);
	for (int i = 0; i < 40; i++)
		first += is_over(&many[i]);
	for (int i = 0; i < 40; i++)
		assert_int_equal(rig_wait(&many[i], NULL), 0);
	assert_in_range(first, 0, 20); /* behind two of them, not behind forty */
}

/* At the start nothing is known of a backend: then the impatient wait as well. Of those the queue has room for one. */
static void the_impatient_wait_for_a_look_at_the_backends(void **state)
{
	struct rig_answer a[2];

	fault_reset();
	atomic_store(&fault.slow_stat, "b0");
	rig_make(&rig, 1, NULL);
	rig.conf.queue_max = 1;
	rig_up(&rig);
	for (int i = 0; i < 2; i++)
		create_as(&user, i, false, &a[i]);
	usleep(50000);
	assert_false(is_over(&a[0]) || is_over(&a[1]));
	atomic_store(&fault.hang, "b0");
	atomic_store(&fault.slow_stat, NULL);
	assert_int_equal(rig_wait(&a[0], NULL), 0);
	assert_int_equal(rig_wait(&a[1], NULL), -EAGAIN);
	assert_string_equal(a[1].text, "1 volumes are being created: try again later");
	atomic_store(&fault.hang, NULL);
}

/* More deletions than memory holds at once. */
static void deletions_outgrow_the_window(void **state)
{
	static struct rig_answer a[6000];
	uint64_t volumes, jobs;

	queue_max = 20000;
	begin(1, NULL);
	assert_int_equal(race(50, 120, "size=1M", &rig.who, 0), 6000);
	for (int i = 0; i < 600; i++) {
		if (view_counts(rig.view, &volumes, &jobs) == 0 && jobs == 0)
			break;
		usleep(100000);
	}
	assert_int_equal(jobs, 0);
	atomic_store(&fault.hang, "b0");
	for (int i = 0; i < 6000; i++) {
		rig_begin(&a[i]);
		engine_delete(rig.engine, NULL, (struct change_id){ 0 }, &rig.who, i + 1, rig_done,
			&a[i]);
	}
	for (int i = 0; i < 6000; i++)
		assert_int_equal(rig_wait(&a[i], NULL), 0);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM job"), 6000);
	atomic_store(&fault.hang, NULL);
	for (int i = 0; i < 600; i++) {
		if (view_counts(rig.view, &volumes, &jobs) == 0 && jobs == 0)
			break;
		usleep(100000);
	}
	assert_int_equal(jobs, 0);
	assert_int_equal(rig_images(&rig), 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_teardown(fn, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(one_name_has_one_winner),
		TEST(a_quota_is_reached_exactly),
		TEST(a_count_is_reached_exactly),
		TEST(room_is_promised_once),
		TEST(thick_room_is_promised_once),
		TEST(projects_take_turns),
		TEST(batches_grow_under_load),
		TEST(the_queue_is_bounded),
		TEST(a_user_has_so_many_under_way),
		TEST(a_user_waits_for_so_much_room),
		TEST(the_impatient_wait_for_a_look_at_the_backends),
		TEST(deletions_outgrow_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
