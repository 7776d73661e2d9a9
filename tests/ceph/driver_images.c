/* What is in a pool, whoever made it, and how it changes hands. The foreigner's tool is `rbd`. */
#include "rig.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig_backend backend;
static char *before;

static int setup(const char *direct, const char *data_pool, const char *space)
{
	backend = (struct rig_backend){ .driver = &driver_rbd };
	rig_backend_conf(&backend.conf, direct);
	backend.conf.data_pool = (char *)data_pool;
	backend.conf.namespace = (char *)space;
	rig_open(&backend);
	before = rig_dump_trimmed(rig.vols);
	rig_space(space);
	(void)setenv("IN", space[0] ? "vols/team" : "vols", 1);
	return 0;
}

static int setup_plain(void **state)
{
	return setup("on", "", "");
}

static int setup_apart(void **state)
{
	return setup("on", "data", "team");
}

static int teardown(void **state)
{
	rig_space("");
	rig_close(&backend);
	free(before);
	return 0;
}

static void nothing_left(void)
{
	rig_same_soon(before, rig.vols, backend.conf.namespace);
}

/* --- list */

struct seen {
	struct driver_found *at;
	size_t n, room, stop_at;
};

static int see(void *arg, const struct driver_found *found)
{
	struct seen *s = arg;

	if (s->n == s->room) {
		s->room = s->room * 2 + 64;
		s->at = realloc(s->at, s->room * sizeof *s->at);
		assert_non_null(s->at);
	}
	s->at[s->n++] = *found;
	return s->n == s->stop_at ? -ECANCELED : 0;
}

static int list(struct seen *s, bool parts)
{
	struct err err = { 0 };
	int r = backend.driver->list(backend.be, parts, see, s, &err);

	if (r < 0 && r != -ECANCELED)
		fail_msg("list: %s", err.text);
	return r;
}

static const struct driver_found *find(const struct seen *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->at[i].name, name))
			return &s->at[i];
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(
		((const struct driver_found *)a)->name, ((const struct driver_found *)b)->name);
}

static void test_list_in_pages(void **state)
{
	enum { MANY = 2100 };
	struct driver_create *each = calloc(MANY, sizeof *each);
	struct seen s = { 0 }, few = { .stop_at = 3 };

	assert_non_null(each);
	for (size_t i = 0; i < MANY; i++)
		each[i].image = rig_image(MIB);
	backend.driver->create(backend.be, each, MANY);
	rig_sh("rbd -c $CONF create --size 1M $IN/theirs");
	assert_int_equal(list(&s, false), 0);
	assert_int_equal(s.n, MANY + 1);
	qsort(s.at, s.n, sizeof *s.at, by_name);
	assert_string_equal(s.at[0].name, "theirs");
	assert_string_equal(s.at[0].uuid, "");
	assert_true(s.at[0].image_id[0]);
	for (size_t i = 0; i < MANY; i++) {
		struct driver_found key = { .name = "" }, *found;

		assert_int_equal(each[i].code, 0);
		(void)snprintf(key.name, sizeof key.name, "%s", rig_image_name(&each[i].image));
		found = bsearch(&key, s.at, s.n, sizeof *s.at, by_name);
		assert_non_null(found);
		assert_string_equal(found->uuid, each[i].image.uuid);
		assert_string_equal(found->image_id, each[i].image.image_id);
		assert_false(found->parts);
	}
	assert_int_equal(list(&few, false), -ECANCELED);
	assert_int_equal(few.n, 3);
	for (size_t i = 0; i < MANY; i++)
		rig_must_remove(&backend, &each[i].image);
	rig_sh("rbd -c $CONF rm --no-progress $IN/theirs");
	free(s.at);
	free(few.at);
	free(each);
	nothing_left();
}

static void forget_entry(const char *name, const char *id)
{
	char of_name[300], of_id[100];
	const char *keys[] = { of_name, of_id };
	rados_write_op_t op = rados_create_write_op();

	(void)snprintf(of_name, sizeof of_name, "name_%s", name);
	(void)snprintf(of_id, sizeof of_id, "id_%s", id);
	rados_write_op_omap_rm_keys(op, keys, 2);
	assert_int_equal(rados_write_op_operate(op, rig.vols, "rbd_directory", NULL, 0), 0);
	rados_release_write_op(op);
}

static void remove_object(const char *kind, const char *name)
{
	char object[300];

	(void)snprintf(object, sizeof object, "%s%s", kind, name);
	assert_int_equal(rados_remove(rig.vols, object), 0);
}

/* An image that has neither entry nor name: what is there is told by its objects. */
static void test_parts(void **state)
{
	struct driver_image lost = rig_image(MIB), whole = rig_image(MIB), trashed = rig_image(MIB),
			    renamed = rig_image(MIB);
	char name[300];
	struct seen s = { 0 }, all = { 0 };
	const struct driver_found *found;

	rig_must_create(&backend, &lost);
	rig_must_create(&backend, &whole);
	rig_must_create(&backend, &trashed);
	rig_must_create(&backend, &renamed);
	forget_entry(rig_image_name(&lost), lost.image_id);
	remove_object("rbd_id.", rig_image_name(&lost));
	rig_sh("rbd -c $CONF trash mv $IN/%s", rig_image_name(&trashed));
	/* The name before last: a rename that stopped before its last step. */
	rig_sh("rbd -c $CONF rename $IN/%s $IN/theirs", rig_image_name(&renamed));
	rig_sh("rados -c $CONF -p vols -N \"%s\" get rbd_id.theirs $DIR/id && "
	       "rados -c $CONF -p vols -N \"%s\" put rbd_id.%s $DIR/id",
		backend.conf.namespace, backend.conf.namespace, rig_image_name(&renamed));

	assert_int_equal(list(&s, false), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(list(&all, true), 0);
	assert_int_equal(all.n, 6);
	assert_false(find(&all, rig_image_name(&whole))->parts);
	assert_false(find(&all, "theirs")->parts);
	found = find(&all, rig_image_name(&trashed));
	assert_true(found && found->parts);
	assert_string_equal(found->image_id, trashed.image_id);
	found = find(&all, rig_image_name(&renamed));
	assert_true(found && found->parts);
	assert_string_equal(found->image_id, ""); /* it leads to an image that is whole */
	(void)snprintf(name, sizeof name, "rbd_header.%s", lost.image_id);
	found = find(&all, name);
	assert_true(found && found->parts);
	assert_string_equal(found->image_id, lost.image_id);
	(void)snprintf(name, sizeof name, "rbd_object_map.%s", lost.image_id);
	assert_non_null(find(&all, name));

	remove_object("rbd_id.", rig_image_name(&renamed));
	rig_sh("rbd -c $CONF rename $IN/theirs $IN/%s", rig_image_name(&renamed));
	rig_must_remove(&backend, &lost);
	rig_must_remove(&backend, &whole);
	rig_must_remove(&backend, &trashed);
	rig_must_remove(&backend, &renamed);
	free(s.at);
	free(all.at);
	nothing_left();
}

/* --- look */

static struct driver_found look(const char *name)
{
	struct driver_found found;
	struct err err = { 0 };

	if (backend.driver->look(backend.be, name, &found, &err) != 0)
		fail_msg("look: %s", err.text);
	return found;
}

static void test_look(void **state)
{
	struct driver_found found;
	struct err err = { 0 };

	assert_int_equal(backend.driver->look(backend.be, "nobody", &found, &err), -ENOENT);
	assert_true(err.text[0]);
	rig_sh("rbd -c $CONF create --size 64M --image-feature " ALL_FEATURES " $IN/theirs && "
	       "rbd -c $CONF bench --io-type write --io-size 4M --io-total 8M $IN/theirs >/dev/null && "
	       "rbd -c $CONF snap create --no-progress $IN/theirs@a && "
	       "rbd -c $CONF snap create --no-progress $IN/theirs@b && "
	       "rbd -c $CONF clone --rbd-default-clone-format 2 $IN/theirs@a $IN/clone && "
	       "rbd -c $CONF snap rm --no-progress $IN/theirs@a");
	found = look("theirs");
	assert_string_equal(found.name, "theirs");
	assert_string_equal(found.uuid, "");
	assert_true(found.image_id[0]);
	assert_string_equal(found.reason, "");
	assert_int_equal(found.size, 64 * MIB);
	assert_int_equal(found.used, 8 * MIB);
	assert_int_equal(found.snapshots, 1);
	found = look("clone");
	assert_int_equal(found.used, 0);
	rig_sh("rbd -c $CONF rm --no-progress $IN/clone && "
	       "rbd -c $CONF snap rm --no-progress $IN/theirs@b && "
	       "rbd -c $CONF rm --no-progress $IN/theirs");
	nothing_left();
}

static void test_reasons(void **state)
{
	static const struct {
		const char *make, *unmake, *reason;
	} cases[] = {
		{ "create --size 3000001B $IN/odd", "", "no multiple of 512" },
		{ "create --size 4M --image-feature layering,exclusive-lock,journaling $IN/odd", "",
			"journal" },
		{ "create --size 4M $IN/odd && rbd -c $CONF lock add $IN/odd mine",
			"rbd -c $CONF lock rm $IN/odd mine $(rbd -c $CONF lock ls $IN/odd | awk 'END { print $1 }')",
			"lock 'mine'" },
		{ "create --size 4M $IN/odd && rbd -c $CONF group create $IN/us && rbd -c $CONF group image add $IN/us $IN/odd",
			"rbd -c $CONF group rm $IN/us", "group 'us'" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct driver_image image = rig_image(0);
		struct err err = { 0 };
		struct driver_found found;

		rig_sh("rbd -c $CONF %s", cases[i].make);
		found = look("odd");
		assert_non_null(strstr(found.reason, cases[i].reason));
		assert_true(found.size > 0);
		assert_true(backend.driver->adopt(backend.be, "odd", &image, &err) < 0);
		assert_non_null(strstr(err.text, cases[i].reason));
		assert_non_null(strstr(err.text, "'odd'"));
		rig_sh("%s", cases[i].unmake[0] ? cases[i].unmake : ":");
		rig_sh("rbd -c $CONF rm --no-progress $IN/odd");
	}
	/* What librbd keeps the groups in stays behind, empty. */
	(void)rados_remove(rig.vols, "rbd_group_directory");
	nothing_left();
}

static void test_open_elsewhere(void **state)
{
	static const char *const words[] = { "write", "theirs", NULL };
	struct driver_image image = rig_image(0);
	struct err err = { 0 };
	struct driver_found found;
	struct rig_child c;
	char address[256];

	if (backend.conf.namespace[0])
		return; /* the other process works without */
	rig_sh("rbd -c $CONF create --size 4M $IN/theirs");
	c = rig_child(words);
	rig_child_line(&c, address);
	found = look("theirs");
	assert_non_null(strstr(found.reason, "127.0.0.1:0/"));
	assert_int_equal(backend.driver->adopt(backend.be, "theirs", &image, &err), -EBUSY);
	assert_non_null(strstr(err.text, "127.0.0.1:0/"));
	assert_int_equal(rig_child_end(&c), 0);
	rig_sh("rbd -c $CONF rm --no-progress $IN/theirs");
	nothing_left();
}

/* --- snapshots */

static void test_snaps(void **state)
{
	struct driver_image image = rig_image(8 * MIB), clone = rig_image(8 * MIB);
	struct driver_snap first = rig_new_snap(), temporary = rig_new_snap(),
			   gone = rig_new_snap();
	struct driver_found_snap found[3];
	struct err err = { 0 };
	char name[64];
	const struct driver *d = backend.driver;

	temporary.temporary = true;
	rig_must_create(&backend, &image);
	(void)snprintf(name, sizeof name, "%s", rig_image_name(&image));
	assert_int_equal(d->snaps(backend.be, name, found, 3, &err), 0);
	assert_int_equal(d->snap_create(backend.be, &image, &first, NULL, &err), 0);
	assert_int_equal(d->resize(backend.be, &image, 16 * MIB, &err), 0);
	assert_int_equal(d->snap_create(backend.be, &image, &temporary, NULL, &err), 0);
	assert_int_equal(d->snap_create(backend.be, &image, &gone, NULL, &err), 0);
	rig_clone_by_librbd(&image, &gone, &clone, 2);
	assert_int_equal(d->snap_remove(backend.be, &image, &gone, &err), 0);
	rig_sh("rbd -c $CONF snap create --no-progress $IN/%s@theirs", name);
	assert_int_equal(d->snaps(backend.be, name, found, 1, &err), 3);
	assert_int_equal(d->snaps(backend.be, name, found, 3, &err), 3);
	assert_string_equal(found[0].uuid, first.uuid);
	assert_false(found[0].temporary);
	assert_int_equal(found[0].size, 8 * MIB);
	assert_true(llabs(found[0].created_us - clock_wall_us()) < 60 * INT64_C(1000000));
	assert_string_equal(found[1].uuid, temporary.uuid);
	assert_true(found[1].temporary);
	assert_int_equal(found[1].size, 16 * MIB);
	assert_string_equal(found[2].name, "theirs");
	assert_string_equal(found[2].uuid, "");
	assert_int_equal(d->snaps(backend.be, "nobody", found, 3, &err), -ENOENT);
	rig_must_remove(&backend, &clone);
	assert_int_equal(d->snap_remove(backend.be, &image, &temporary, &err), 0);
	assert_int_equal(d->snap_remove(backend.be, &image, &first, &err), 0);
	rig_sh("rbd -c $CONF snap rm --no-progress $IN/%s@theirs", name);
	rig_must_remove(&backend, &image);
	nothing_left();
}

/* --- from hand to hand */

static void must(int r, const struct err *err)
{
	if (r != 0)
		fail_msg("%s", err->text);
}

static void test_adopt_and_disown(void **state)
{
	struct driver_image image = rig_image(0), other = rig_image(0);
	struct driver_snap snap = rig_new_snap(), never = rig_new_snap();
	struct err err = { 0 };
	const struct driver *d = backend.driver;
	uint64_t sum;
	char long_name[221];

	memset(long_name, 'n', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	image.image_id[0] = '\0';
	rig_sh("rbd -c $CONF create --size 8M $IN/theirs && rbd -c $CONF create --size 1M $IN/taken && "
	       "rbd -c $CONF bench --io-type write --io-size 4K --io-total 64K $IN/theirs >/dev/null && "
	       "rbd -c $CONF snap create --no-progress $IN/theirs@monday && "
	       "rbd -c $CONF snap protect $IN/theirs@monday");
	sum = rig_sum_outside("theirs@monday");
	assert_int_equal(d->adopt(backend.be, "nobody", &other, &err), -ENOENT);
	for (int i = 0; i < 2; i++) { /* the second finds it done */
		must(d->adopt(backend.be, "theirs", &image, &err), &err);
		assert_int_equal(strlen(image.image_id) > 0, 1);
		assert_int_equal(image.size, 8 * MIB);
		must(d->snap_adopt(backend.be, &image, "monday", &snap, &err), &err);
	}
	assert_int_equal(d->snap_adopt(backend.be, &image, "tuesday", &never, &err), -ENOENT);
	assert_true(rig_sum(&backend, &image, image.size, &snap) == sum);

	assert_int_equal(d->disown(backend.be, &image, "taken", &err), -EEXIST);
	assert_int_equal(d->disown(backend.be, &image, "a/b", &err), -EINVAL);
	assert_int_equal(d->disown(backend.be, &image, "a@b", &err), -EINVAL);
	assert_int_equal(d->disown(backend.be, &image, "", &err), -EINVAL);
	must(d->disown(backend.be, &image, long_name, &err), &err);
	must(d->disown(backend.be, &image, long_name, &err), &err);
	assert_int_equal(look(long_name).snapshots, 1);
	rig_sh("rbd -c $CONF info $IN/%s | grep -q 'features:.*exclusive-lock'", long_name);
	image.shared = true;
	for (int i = 0; i < 2; i++)
		must(d->adopt(backend.be, long_name, &image, &err), &err);
	rig_sh("rbd -c $CONF info $IN/%s | grep -qx '[[:space:]]features: layering, deep-flatten.*'",
		rig_image_name(&image));
	must(d->snap_remove(backend.be, &image, &snap, &err), &err); /* it was protected */
	rig_must_remove(&backend, &image);
	rig_sh("rbd -c $CONF rm --no-progress $IN/taken");
	(void)rados_remove(rig.vols, "rbd_children");
	nothing_left();
}

int images_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_in_pages),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_open_elsewhere),
		cmocka_unit_test(test_snaps),
		cmocka_unit_test(test_adopt_and_disown),
	};

	return cmocka_run_group_tests_name("images", tests, setup_plain, teardown) +
	       cmocka_run_group_tests_name(
		       "images: data pool, namespace", tests, setup_apart, teardown);
}
