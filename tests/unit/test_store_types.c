/* Volume types in the catalogue: their names, their lists, the default, the limits and sums of each type in each project. */
#include "store_rig.h"

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

/* --- the calls as changes --- */

static int do_add(struct tx *tx, void *arg, struct err *e)
{
	return tx_type_add(tx, arg);
}

static struct vol_type type(const char *name)
{
	struct vol_type t = { .is_public = true };
	uuid_t uuid;

	uuid_generate(uuid);
	uuid_unparse_lower(uuid, t.uuid);
	(void)snprintf(t.name, sizeof t.name, "%s", name);
	return t;
}

static int64_t added(const char *name)
{
	struct vol_type t = type(name);

	assert_int_equal(change(do_add, &t), 0);
	return t.id;
}

struct entry {
	int64_t type;
	enum type_list list;
	const char *key, *value; /* value NULL: remove; the other key */
	int64_t id;
};

static int do_set(struct tx *tx, void *arg, struct err *e)
{
	struct entry *x = arg;

	return tx_type_entry_set(tx, x->type, x->list, x->key, x->value, &x->id);
}

static int64_t set(int64_t type_, enum type_list list, const char *key, const char *value)
{
	struct entry x = { type_, list, key, value, 0 };

	assert_int_equal(change(do_set, &x), 0);
	return x.id;
}

static int do_rename(struct tx *tx, void *arg, struct err *e)
{
	struct entry *x = arg;

	return tx_type_rename(tx, x->type, x->key);
}

static int do_entry_rename(struct tx *tx, void *arg, struct err *e)
{
	struct entry *x = arg;

	return tx_type_entry_rename(tx, x->id, x->key);
}

static int do_entry_remove(struct tx *tx, void *arg, struct err *e)
{
	return tx_type_entry_remove(tx, *(int64_t *)arg);
}

static int do_remove(struct tx *tx, void *arg, struct err *e)
{
	return tx_type_remove(tx, *(int64_t *)arg);
}

static int do_default(struct tx *tx, void *arg, struct err *e)
{
	return tx_type_make_default(tx, *(int64_t *)arg);
}

static int do_values(struct tx *tx, void *arg, struct err *e)
{
	return tx_type_set(tx, arg);
}

/* --- types --- */

static void adds_and_finds(void **state)
{
	struct vol_type fast = type("fast"), again = type("fast"), twin = type("slow"), t, all[4];

	(void)snprintf(fast.description, sizeof fast.description, "quick");
	fast.is_public = false;
	fast.consumer = QOS_BOTH;
	assert_int_equal(change(do_add, &fast), 0);
	assert_true(fast.id > 0 && fast.created_us > 0);
	assert_int_equal(change(do_add, &again), -EEXIST);
	memcpy(twin.uuid, fast.uuid, sizeof twin.uuid);
	assert_int_equal(change(do_add, &twin), -EEXIST);
	assert_int_equal(view_type(v, fast.id, &t), 0);
	assert_string_equal(t.name, "fast");
	assert_string_equal(t.description, "quick");
	assert_false(t.is_public);
	assert_false(t.is_default);
	assert_int_equal(t.consumer, QOS_BOTH);
	assert_int_equal(view_type_find(v, "fast", &t), 0);
	assert_int_equal(view_type_find(v, fast.uuid, &t), 0);
	assert_int_equal(t.id, fast.id);
	assert_int_equal(view_type_find(v, "FAST", &t), -ENOENT);
	assert_int_equal(view_type_find(v, "", &t), -ENOENT);
	assert_int_equal(view_type(v, 99, &t), -ENOENT);
	(void)added("slow");
	assert_int_equal(sql("SELECT count(*) FROM type"), 2);
	assert_int_equal(view_types(v, 0, all, 4), 2);
	assert_string_equal(all[1].name, "slow");
	assert_int_equal(view_types(v, all[0].id, all, 4), 1);
	assert_int_equal(view_types(v, 0, all, 1), 1);
}

/* What has the shape of an id is first an id; no type can be called so, but one could have been. */
static void an_id_goes_before_a_name(void **state)
{
	struct vol_type one = type("one"), two, t;

	assert_int_equal(change(do_add, &one), 0);
	two = type(one.uuid);
	assert_int_equal(change(do_add, &two), 0);
	assert_int_equal(view_type_find(v, one.uuid, &t), 0);
	assert_int_equal(t.id, one.id);
	assert_int_equal(change(do_remove, &one.id), 0);
	assert_int_equal(view_type_find(v, one.uuid, &t), 0);
	assert_int_equal(t.id, two.id);
}

static void renames_and_changes(void **state)
{
	int64_t fast = added("fast"), slow = added("slow");
	struct vol_type t;

	assert_int_equal(change(do_rename, &(struct entry){ fast, 0, "slow", NULL, 0 }), -EEXIST);
	assert_int_equal(change(do_rename, &(struct entry){ 99, 0, "x", NULL, 0 }), -ENOENT);
	assert_int_equal(change(do_rename, &(struct entry){ fast, 0, "quick", NULL, 0 }), 0);
	assert_int_equal(view_type_find(v, "fast", &t), -ENOENT);
	assert_int_equal(view_type_find(v, "quick", &t), 0);
	assert_int_equal(t.id, fast);
	(void)snprintf(t.description, sizeof t.description, "x");
	t.is_public = false;
	t.consumer = QOS_FRONT_END;
	assert_int_equal(change(do_values, &t), 0);
	assert_int_equal(view_type(v, fast, &t), 0);
	assert_string_equal(t.description, "x");
	assert_false(t.is_public);
	assert_int_equal(t.consumer, QOS_FRONT_END);
	t.id = 99;
	assert_int_equal(change(do_values, &t), -ENOENT);
	assert_int_equal(view_type(v, slow, &t), 0);
	assert_true(t.is_public);
}

static void one_default_at_most(void **state)
{
	int64_t fast = added("fast"), slow = added("slow"), none = 0, nowhere = 99;
	struct vol_type t;

	assert_int_equal(view_type_default(v, "web", &t), -ENOENT);
	assert_int_equal(change(do_default, &fast), 0);
	assert_int_equal(view_type_default(v, "web", &t), 0);
	assert_int_equal(t.id, fast);
	assert_true(t.is_default);
	assert_int_equal(change(do_default, &slow), 0);
	assert_int_equal(change(do_default, &slow), 0);
	assert_int_equal(view_type_default(v, "web", &t), 0);
	assert_int_equal(t.id, slow);
	assert_int_equal(sql("SELECT count(*) FROM type WHERE is_default"), 1);
	assert_int_equal(change(do_default, &nowhere), -ENOENT); /* undone: slow stays */
	assert_int_equal(view_type_default(v, "web", &t), 0);
	assert_int_equal(t.id, slow);
	assert_int_equal(change(do_default, &none), 0);
	assert_int_equal(view_type_default(v, "web", &t), -ENOENT);
}

static void a_project_has_one_default_type(void **state)
{
	int64_t fast = added("fast"), slow = added("slow"), first, again;
	struct type_entry e[4];
	struct vol_type t;

	assert_int_equal(change(do_default, &slow), 0);
	first = set(fast, TYPE_DEFAULT_FOR, "web", "");
	(void)set(fast, TYPE_DEFAULT_FOR, "db", "");
	assert_int_equal(view_type_default(v, "web", &t), 0);
	assert_int_equal(t.id, fast);
	assert_int_equal(view_type_default(v, "other", &t), 0);
	assert_int_equal(t.id, slow);
	again = set(fast, TYPE_DEFAULT_FOR, "web", "");
	assert_int_equal(again, first);
	(void)set(slow, TYPE_DEFAULT_FOR, "web", "");
	assert_int_equal(view_type_default(v, "web", &t), 0);
	assert_int_equal(t.id, slow);
	assert_int_equal(view_type_entries(v, fast, TYPE_DEFAULT_FOR, 0, e, 4), 1);
	assert_string_equal(e[0].key, "db");
	assert_int_equal(sql("SELECT count(*) FROM type_entry WHERE list = 4 AND key = 'web'"), 1);
}

/* The same key in each list, and in each type, is another one. */
static void lists_keep_apart(void **state)
{
	int64_t fast = added("fast"), slow = added("slow"), id;
	struct type_entry e[4], one;

	id = set(fast, TYPE_EXTRA_SPECS, "a", "1");
	(void)set(fast, TYPE_QOS, "a", "2");
	(void)set(fast, TYPE_ACCESS, "a", "");
	(void)set(fast, TYPE_EXTRA_SPECS, "b", "");
	(void)set(slow, TYPE_EXTRA_SPECS, "a", "3");
	(void)set(slow, TYPE_ACCESS, "a", "");
	assert_int_equal(view_type_entries(v, fast, TYPE_EXTRA_SPECS, 0, e, 4), 2);
	assert_string_equal(e[0].key, "a");
	assert_string_equal(e[0].value, "1");
	assert_string_equal(e[1].key, "b");
	assert_int_equal(view_type_entries(v, fast, TYPE_EXTRA_SPECS, e[0].id, e, 4), 1);
	assert_int_equal(view_type_entry_by_key(v, fast, TYPE_QOS, "a", &one), 0);
	assert_string_equal(one.value, "2");
	assert_int_equal(set(fast, TYPE_EXTRA_SPECS, "a", "4"), id);
	assert_int_equal(view_type_entry(v, id, &one), 0);
	assert_string_equal(one.value, "4");
	assert_int_equal(view_type_entry_by_key(v, fast, TYPE_EXTRA_SPECS, "A", &one), -ENOENT);
	assert_int_equal(change(do_entry_rename, &(struct entry){ .key = "b", .id = id }), -EEXIST);
	assert_int_equal(change(do_entry_rename, &(struct entry){ .key = "c", .id = id }), 0);
	assert_int_equal(view_type_entry_by_key(v, fast, TYPE_EXTRA_SPECS, "c", &one), 0);
	assert_int_equal(one.id, id);
	assert_int_equal(change(do_entry_remove, &id), 0);
	assert_int_equal(change(do_entry_remove, &id), -ENOENT);
	assert_int_equal(view_type_entry(v, id, &one), -ENOENT);
}

static int give_limit(struct tx *tx, void *arg, struct err *e)
{
	int64_t project, id;
	int r = tx_project(tx, "web", &project);

	r = r < 0 ? r : tx_type_quota(tx, project, *(int64_t *)arg, &id);
	return r < 0 ? r : tx_quota_limit(tx, id, true, QUOTA_VOLUMES, 3);
}

static void what_is_removed_leaves_nothing(void **state)
{
	int64_t fast = added("fast"), slow = added("slow");
	struct vol_type t;

	for (enum type_list list = TYPE_EXTRA_SPECS; list <= TYPE_DEFAULT_FOR; list++) {
		(void)set(fast, list, "a", "");
		(void)set(slow, list, "b", "");
	}
	assert_int_equal(change(give_limit, &fast), 0);
	assert_int_equal(change(give_limit, &slow), 0);
	assert_int_equal(change(do_remove, &fast), 0);
	assert_int_equal(change(do_remove, &fast), -ENOENT);
	assert_int_equal(view_type(v, fast, &t), -ENOENT);
	assert_int_equal(sql("SELECT count(*) FROM type_entry"), 4);
	assert_int_equal(sql("SELECT count(*) FROM type_quota WHERE type <> 2"), 0);
	assert_int_equal(sql("SELECT count(*) FROM type_quota"), 2);
	/* the name is free, the id is not */
	assert_int_equal(added("fast"), slow + 1);
}

/* --- sums --- */

static int count_uses(struct tx *tx, void *arg, struct err *e)
{
	int64_t *io = arg;

	return tx_type_uses(tx, *io, io);
}

static int64_t uses(int64_t type_)
{
	assert_int_equal(change(count_uses, &type_), 0);
	return type_;
}

static int trash(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_trash(tx, *(int64_t *)arg, 0);
}

static int purge(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_purge(tx, *(int64_t *)arg);
}

static void a_type_is_used_until_the_last_is_purged(void **state)
{
	struct volume a = volume("a"), b = volume("b");
	struct quota q;
	int64_t fast = added("fast");

	a.type_id = b.type_id = fast;
	assert_int_equal(uses(fast), 0);
	assert_int_equal(change(add_volume, &a), 0);
	assert_int_equal(change(add_volume, &b), 0);
	assert_int_equal(uses(fast), 2);
	assert_int_equal(view_volume(v, a.id, &a), 0);
	assert_string_equal(a.type, "fast");
	assert_int_equal(a.type_id, fast);
	assert_int_equal(view_quota_of_type(v, "p", fast, &q), 0);
	assert_int_equal(q.used[QUOTA_VOLUMES], 2);
	assert_int_equal(q.used[QUOTA_SIZE], 2 << 20);
	assert_int_equal(change(trash, &a.id), 0);
	assert_int_equal(uses(fast), 2);
	assert_int_equal(view_quota_of_type(v, "p", fast, &q), 0);
	assert_int_equal(q.used[QUOTA_VOLUMES], 1);
	assert_int_equal(q.used[QUOTA_SIZE], 1 << 20);
	assert_int_equal(q.used[QUOTA_TRASH_SIZE], 1 << 20);
	assert_int_equal(change(purge, &a.id), 0);
	assert_int_equal(uses(fast), 1);
	assert_int_equal(change(purge, &b.id), 0);
	assert_int_equal(uses(fast), 0);
	recount();
}

static int64_t types[2];

/* A random walk over everything that the sums of projects and types depend on. */
static int step(struct tx *tx, void *arg, struct err *e)
{
	static int64_t id[50];
	static const char *const project[] = { "p", "q", "root" };
	int i = rand() % 50, r;
	struct volume vol;

	if (!id[i]) {
		vol = volume(NULL);
		vol.type_id = rand() % 3 ? types[rand() % 2] : 0;
		vol.size = (uint64_t)(1 + rand() % 9) << 20;
		(void)snprintf(
			vol.project, sizeof vol.project, "%s", project[(unsigned)rand() % 3]);
		r = tx_volume_add(tx, &vol, false, "", 0);
		id[i] = vol.id;
		return r;
	}
	switch (rand() % 6) {
	case 0:
		return tx_volume_reserve(tx, id[i], (uint64_t)(rand() % 3) << 20);
	case 1:
		return tx_volume_resize(tx, id[i], (uint64_t)(1 + rand() % 9) << 20);
	case 2:
		return tx_volume_owner(tx, id[i], 0700, 1, 1, project[(unsigned)rand() % 3]);
	case 3:
		return tx_volume_trash(tx, id[i], 0);
	case 4:
		r = tx_volume_purge(tx, id[i]);
		id[i] = 0;
		return r;
	default:
		return tx_volume_status(tx, id[i], VOL_ERROR, "x");
	}
}

static void sums_equal_a_recount(void **state)
{
	types[0] = added("fast");
	types[1] = added("slow");
	for (int i = 0; i < 3000; i++) {
		assert_int_equal(change(step, NULL), 0);
		if (i % 500 == 0)
			recount();
	}
	recount();
	assert_true(sql("SELECT count(*) FROM volume WHERE trashed = 1 AND type > 0") > 0);
	assert_true(sql("SELECT count(*) FROM volume WHERE type IS NULL") > 0);
	assert_true(sql("SELECT count(*) FROM type_quota WHERE in_use > 0") > 2);
}

/* --- limits --- */

struct limit {
	const char *project;
	int64_t type, max;
	enum quota_resource what;
};

static int set_limit(struct tx *tx, void *arg, struct err *e)
{
	const struct limit *l = arg;
	int64_t id;
	int r = tx_project(tx, l->project, &id);

	if (r == 0 && l->type)
		r = tx_type_quota(tx, id, l->type, &id);
	return r < 0 ? r : tx_quota_limit(tx, id, l->type != 0, l->what, l->max);
}

static void limit(const char *project, int64_t type_, enum quota_resource what, int64_t max)
{
	struct limit l = { project, type_, max, what };

	assert_int_equal(change(set_limit, &l), 0);
}

static int64_t limit_of(const char *project, int64_t type_, enum quota_resource what)
{
	struct quota q;

	if (type_)
		assert_int_equal(view_quota_of_type(v, project, type_, &q), 0);
	else
		assert_int_equal(view_quota_by_name(v, project, &q), 0);
	assert_string_equal(q.project, project);
	assert_int_equal(q.type_id, type_);
	return q.max[what];
}

/* Own, else the class's, else the configuration's; a limit given back is the next one's again. */
static void limits_of_projects(void **state)
{
	assert_int_equal(limit_of("web", 0, QUOTA_VOLUMES), 10);
	limit("default", 0, QUOTA_VOLUMES, 5);
	assert_int_equal(limit_of("web", 0, QUOTA_VOLUMES), 5);
	assert_int_equal(limit_of("default", 0, QUOTA_VOLUMES), 5);
	limit("web", 0, QUOTA_VOLUMES, 7);
	assert_int_equal(limit_of("web", 0, QUOTA_VOLUMES), 7);
	assert_int_equal(limit_of("db", 0, QUOTA_VOLUMES), 5);
	limit("web", 0, QUOTA_VOLUMES, 0);
	assert_int_equal(limit_of("web", 0, QUOTA_VOLUMES), 0);
	limit("web", 0, QUOTA_VOLUMES, SIZE_LIMIT_NONE);
	assert_int_equal(limit_of("web", 0, QUOTA_VOLUMES), SIZE_LIMIT_NONE);
	limit("web", 0, QUOTA_VOLUMES, QUOTA_INHERIT);
	assert_int_equal(limit_of("web", 0, QUOTA_VOLUMES), 5);
	limit("default", 0, QUOTA_VOLUMES, QUOTA_INHERIT);
	assert_int_equal(limit_of("web", 0, QUOTA_VOLUMES), 10);
}

static void limits_of_types(void **state)
{
	int64_t fast = added("fast"), slow = added("slow");

	/* the configuration has none for a type, and a project's are not a type's */
	limit("web", 0, QUOTA_VOLUMES, 7);
	assert_int_equal(limit_of("web", fast, QUOTA_VOLUMES), SIZE_LIMIT_NONE);
	limit("default", fast, QUOTA_VOLUMES, 5);
	assert_int_equal(limit_of("web", fast, QUOTA_VOLUMES), 5);
	assert_int_equal(limit_of("nowhere", fast, QUOTA_VOLUMES), 5);
	assert_int_equal(limit_of("web", slow, QUOTA_VOLUMES), SIZE_LIMIT_NONE);
	limit("web", fast, QUOTA_VOLUMES, 3);
	assert_int_equal(limit_of("web", fast, QUOTA_VOLUMES), 3);
	assert_int_equal(limit_of("db", fast, QUOTA_VOLUMES), 5);
	limit("web", fast, QUOTA_VOLUMES, QUOTA_INHERIT);
	assert_int_equal(limit_of("web", fast, QUOTA_VOLUMES), 5);
	limit("default", fast, QUOTA_VOLUMES, QUOTA_INHERIT);
	assert_int_equal(limit_of("web", fast, QUOTA_VOLUMES), SIZE_LIMIT_NONE);
	assert_int_equal(view_quota_of_type(v, "web", 99, &(struct quota){ 0 }), -ENOENT);
}

static void root_knows_its_own_only(void **state)
{
	int64_t fast = added("fast");

	limit("default", 0, QUOTA_SIZE, 5);
	limit("default", fast, QUOTA_SIZE, 4);
	assert_int_equal(limit_of("root", 0, QUOTA_SIZE), SIZE_LIMIT_NONE);
	assert_int_equal(limit_of("root", fast, QUOTA_SIZE), SIZE_LIMIT_NONE);
	limit("root", 0, QUOTA_SIZE, 3);
	limit("root", fast, QUOTA_SIZE, 2);
	assert_int_equal(limit_of("root", 0, QUOTA_SIZE), 3);
	assert_int_equal(limit_of("root", fast, QUOTA_SIZE), 2);
	limit("root", 0, QUOTA_SIZE, QUOTA_INHERIT);
	limit("root", fast, QUOTA_SIZE, QUOTA_INHERIT);
	assert_int_equal(limit_of("root", 0, QUOTA_SIZE), SIZE_LIMIT_NONE);
	assert_int_equal(limit_of("root", fast, QUOTA_SIZE), SIZE_LIMIT_NONE);
}

/* Each resource has a column of its own, in both tables, and changes no other. */
static void every_resource_has_its_limit(void **state)
{
	int64_t fast = added("fast");

	for (int round = 0; round < 2; round++)
		for (enum quota_resource i = 0; i < QUOTA_COUNT; i++)
			limit("web", round ? fast : 0, i, 100 + i);
	for (enum quota_resource i = 0; i < QUOTA_COUNT; i++) {
		assert_int_equal(limit_of("web", 0, i), 100 + i);
		assert_int_equal(limit_of("web", fast, i), 100 + i);
	}
}

static void quotas_are_listed(void **state)
{
	int64_t fast = added("fast"), slow = added("slow"), web;
	struct quota q[8], one;

	limit("web", fast, QUOTA_SIZE, 4);
	limit("web", slow, QUOTA_SIZE, 5);
	limit("db", fast, QUOTA_SIZE, 6);
	assert_int_equal(view_quotas(v, 0, q, 8), 3);
	assert_string_equal(q[0].project, "default");
	web = q[1].id;
	assert_int_equal(view_type_quotas(v, web, 0, q, 8), 2);
	assert_string_equal(q[0].project, "web");
	assert_string_equal(q[0].type, "fast");
	assert_int_equal(q[1].max[QUOTA_SIZE], 5);
	assert_int_equal(view_type_quotas(v, web, q[0].id, &one, 1), 1);
	assert_int_equal(one.id, q[1].id);
	assert_int_equal(view_type_quota(v, q[1].id, &one), 0);
	assert_string_equal(one.type, "slow");
	assert_int_equal(view_type_quota(v, 99, &one), -ENOENT);
	/* the class has a row of each type from its birth on */
	assert_int_equal(view_type_quotas(v, 1, 0, q, 8), 2);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(adds_and_finds),
		TEST(an_id_goes_before_a_name),
		TEST(renames_and_changes),
		TEST(one_default_at_most),
		TEST(a_project_has_one_default_type),
		TEST(lists_keep_apart),
		TEST(what_is_removed_leaves_nothing),
		TEST(a_type_is_used_until_the_last_is_purged),
		TEST(sums_equal_a_recount),
		TEST(limits_of_projects),
		TEST(limits_of_types),
		TEST(root_knows_its_own_only),
		TEST(every_resource_has_its_limit),
		TEST(quotas_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
