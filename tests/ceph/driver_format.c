/*
 * What format.c and remove.c make of objects.
 *
 * Comparison: every kind of image is made both ways and all that lies in the pools afterwards is compared, omap keys, contents and
 * attributes, but for the id and the times. A Ceph release that does more than we know of fails here, and only releases that
 * passed are in the table of connect.c.
 *
 * Half-states: the operations of a creation or removal are atomic and independent, so what a crash leaves is an image of
 * which some parts are missing. Every such subset is made, then completed by create() and cleared by remove().
 */
#include "rig.h"

#include "rbd/encode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *vols_before, *data_before;

static int remember_pools(void **state)
{
	vols_before = rig_dump(rig.vols, NULL);
	data_before = rig_dump(rig.data, NULL);
	return 0;
}

static int forget_pools(void **state)
{
	free(vols_before);
	free(data_before);
	return 0;
}

static void nothing_left(void)
{
	rig_same(vols_before, rig_dump(rig.vols, NULL));
	rig_same(data_before, rig_dump(rig.data, NULL));
}

static void open_backend(struct rig_backend *b, const char *direct)
{
	b->driver = &driver_rbd;
	rig_backend_conf(&b->conf, direct);
	rig_open(b);
}

/* --- comparison */

struct kind {
	const char *features, *space, *data_pool;
	uint64_t chunk, size;
	bool limited, shared;
};

static const char *const feature_sets[] = {
	ALL_FEATURES,
	"layering",
	"layering,exclusive-lock",
	"layering,exclusive-lock,object-map,fast-diff",
	"",
	"exclusive-lock,deep-flatten",
	"layering,exclusive-lock,object-map",
};
static const uint64_t chunks[] = { 4 * MIB, 4096, 64 * 1024, 32 * MIB };
static const uint64_t sizes[] = { 10 * GIB, MIB, 4 * MIB + 512, 33 * MIB + 1536, 3 * GIB + 4096 };

/* Everything in both pools while the image is there; and nothing after. */
static char *made_by(const struct kind *k, const char *direct, const struct driver_image *image)
{
	struct rig_backend b = { .driver = &driver_rbd };
	char id[64], *vols, *data;
	struct buf all = { 0 };

	rig_backend_conf(&b.conf, direct);
	b.conf.features = (char *)k->features;
	b.conf.namespace = (char *)k->space;
	b.conf.data_pool = (char *)k->data_pool;
	b.conf.chunk_size = k->chunk;
	rig_open(&b);
	if (k->limited)
		qos_must_create(&b, image);
	else
		rig_must_create(&b, image);
	rig_id(&b, image, id);
	if (!strcmp(direct, "on"))
		assert_string_equal(id, image->image_id);
	vols = rig_dump(rig.vols, id);
	data = rig_dump(rig.data, id);
	buf_addf(&all, "%s%s", vols, data);
	free(vols);
	free(data);
	rig_must_remove(&b, image);
	rig_close(&b);
	nothing_left();
	return buf_detach(&all);
}

static void compare(const struct kind *k)
{
	struct driver_image image = rig_image(k->size);
	char *librbd, *direct;

	image.shared = k->shared;
	librbd = made_by(k, "off", &image);
	direct = made_by(k, "on", &image);
	if (strcmp(librbd, direct))
		(void)fprintf(stderr,
			"features '%s', namespace '%s', data pool '%s', chunk %llu, size %llu%s:\n",
			k->features, k->space, k->data_pool, (unsigned long long)k->chunk,
			(unsigned long long)k->size, k->limited ? ", with limits" : "");
	rig_same(librbd, direct);
	free(librbd);
}

/* Without a map every object that might be there has to be asked for at removal: millions where they are small. */
static bool is_endless(const struct kind *k)
{
	return !strstr(k->features, "object-map") && k->size / k->chunk > 10000;
}

/* Each value of each dimension once beside the defaults; all combinations in a full run. */
static void test_equal_to_librbd(void **state)
{
	static const char *const places[][2] = { { "", "" }, { "team", "" }, { "", "data" },
		{ "team", "data" } };

	for (size_t f = 0; f < COUNT(feature_sets); f++)
		for (size_t c = 0; c < COUNT(chunks); c++)
			for (size_t s = 0; s < COUNT(sizes); s++)
				for (size_t p = 0; p < COUNT(places); p++) {
					struct kind kind = { feature_sets[f], places[p][0],
						places[p][1], chunks[c], sizes[s], false, false };
					size_t apart = (f != 0) + (c != 0) + (s != 0) + (p != 0);

					if ((rig.full || apart <= 1) && !is_endless(&kind))
						compare(&kind);
				}
}

/* librbd opens an image to set its limits, and takes its lock if it has one: nothing of that must stay. */
static void test_equal_with_limits(void **state)
{
	for (size_t f = 0; f < COUNT(feature_sets); f++)
		compare(&(struct kind){ feature_sets[f], "", "", 4 * MIB, GIB, true, false });
	compare(&(struct kind){ ALL_FEATURES, "team", "data", 4 * MIB, GIB, true, false });
}

/* Made for several hosts, they lack what only one can keep, and are otherwise the same. */
static void test_equal_where_shared(void **state)
{
	struct kind k = { ALL_FEATURES, "", "", 4 * MIB, GIB, false, true };

	for (size_t f = 0; f < COUNT(feature_sets); f++) {
		k.features = feature_sets[f];
		compare(&k);
	}
	k.limited = true;
	compare(&k);
}

static void shared_has_its_features(const char *direct)
{
	struct driver_image image = rig_image(64 * MIB), own = rig_image(64 * MIB);
	struct buf lines = { 0 };
	struct rig_backend b;

	open_backend(&b, direct);
	image.shared = true;
	rig_must_create(&b, &image);
	rig_must_create(&b, &own);
	rig_sh("rbd -c $CONF info vols/%s | grep -qx '[[:space:]]features: layering, deep-flatten'",
		rig_image_name(&image));
	rig_sh("rbd -c $CONF info vols/%s | grep -q 'features:.*exclusive-lock, object-map, fast-diff'",
		rig_image_name(&own));
	b.driver->connection(b.be, &image, &lines);
	assert_non_null(strstr(buf_text(&lines), "\nfeatures=deep-flatten,layering\n"));
	buf_release(&lines);
	rig_must_remove(&b, &image);
	rig_must_remove(&b, &own);
	rig_close(&b);
	nothing_left();
}

static void test_shared_has_its_features(void **state)
{
	shared_has_its_features("on");
	shared_has_its_features("off");
}

/* --- Ceph's own tools on a direct image */

static void test_tools_work_on_it(void **state)
{
	struct rig_backend b;
	struct driver_image image = rig_image(64 * MIB);
	const char *name = rig_image_name(&image);
	uint64_t used = 0;

	open_backend(&b, "on");
	rig_must_create(&b, &image);
	rig_sh("rbd -c $CONF info vols/%s | grep -q 'size 64 MiB in 16 objects'", name);
	rig_sh("rbd -c $CONF bench --io-type write --io-size 4M --io-threads 1 --io-total 16M vols/%s >/dev/null",
		name);
	assert_int_equal(b.driver->used(b.be, &image, &used, NULL), 0);
	assert_int_equal(used, 16 * MIB);
	rig_sh("rbd -c $CONF du vols/%s | grep -q '64 MiB  *16 MiB'", name);
	rig_sh("test $(rbd -c $CONF export --no-progress vols/%s - | wc -c) = 67108864", name);
	rig_sh("rbd -c $CONF object-map check --no-progress vols/%s", name);
	rig_sh("rbd -c $CONF snap create --no-progress vols/%s@s", name);
	rig_sh("rbd -c $CONF snap rm --no-progress vols/%s@s", name);
	rig_sh("rbd -c $CONF rm --no-progress vols/%s", name);
	nothing_left();
	rig_close(&b);
}

/* --- half-states */

enum part { ENTRY = 1, ID = 2, HEADER = 4, MAP = 8, ALL_PARTS = 15 };

static void lose_entry(const struct driver_image *image)
{
	struct enc in = { .len = 0 };

	enc_string(&in, rig_image_name(image));
	enc_string(&in, image->image_id);
	assert_int_equal(rados_exec(rig.vols, "rbd_directory", "rbd", "dir_remove_image", in.at,
				 in.len, NULL, 0),
		0);
}

static void lose(const struct driver_image *image, unsigned parts)
{
	char object[128];

	if (parts & ENTRY)
		lose_entry(image);
	(void)snprintf(object, sizeof object, "rbd_id.%s", rig_image_name(image));
	if (parts & ID)
		assert_int_equal(rados_remove(rig.vols, object), 0);
	(void)snprintf(object, sizeof object, "rbd_header.%s", image->image_id);
	if (parts & HEADER)
		assert_int_equal(rados_remove(rig.vols, object), 0);
	(void)snprintf(object, sizeof object, "rbd_object_map.%s", image->image_id);
	if (parts & MAP)
		assert_int_equal(rados_remove(rig.vols, object), 0);
}

static void test_create_completes(void **state)
{
	struct rig_backend b;

	open_backend(&b, "on");
	for (unsigned lost = 0; lost <= ALL_PARTS; lost++) {
		struct driver_image image = rig_image(GIB);
		char *whole;

		rig_must_create(&b, &image);
		whole = rig_dump(rig.vols, image.image_id);
		lose(&image, lost);
		rig_must_create(&b, &image);
		rig_same(whole, rig_dump(rig.vols, image.image_id));
		free(whole);
		rig_must_remove(&b, &image);
		nothing_left();
	}
	rig_close(&b);
}

static void remove_after_loss(const char *direct)
{
	struct rig_backend b, remover;

	open_backend(&b, "on");
	open_backend(&remover, direct);
	for (unsigned lost = 0; lost <= ALL_PARTS; lost++) {
		struct driver_image image = rig_image(GIB);

		rig_must_create(&b, &image);
		lose(&image, lost);
		rig_must_remove(&remover, &image);
		nothing_left();
	}
	rig_close(&remover);
	rig_close(&b);
}

static void test_remove_clears(void **state)
{
	remove_after_loss("on");
}

static void test_librbd_remove_clears(void **state)
{
	remove_after_loss("off");
}

/* With data, while the header is there: whatever the map may say or be. */
static void test_remove_clears_data(void **state)
{
	struct rig_backend b;

	open_backend(&b, "on");
	for (unsigned lost = 0; lost <= ALL_PARTS; lost++) {
		struct driver_image image = rig_image(200 * MIB + 512);

		if (lost & HEADER)
			continue;
		rig_must_create(&b, &image);
		rig_write(&image, 7);
		lose(&image, lost);
		rig_must_remove(&b, &image);
		nothing_left();
	}
	rig_close(&b);
}

static void object_map_name(const struct driver_image *image, char object[128])
{
	(void)snprintf(object, 128, "rbd_object_map.%s", image->image_id);
}

static void test_short_map(void **state)
{
	struct rig_backend b;
	struct driver_image image = rig_image(200 * MIB);
	char object[128];

	open_backend(&b, "on");
	rig_must_create(&b, &image);
	rig_write(&image, 7);
	object_map_name(&image, object);
	assert_int_equal(rados_trunc(rig.vols, object, 20), 0);
	rig_must_remove(&b, &image);
	nothing_left();
	rig_close(&b);
}

/* A map that says "nothing" and is marked as invalid must not be believed. */
static void test_invalid_map(void **state)
{
	struct rig_backend b;
	struct driver_image image = rig_image(200 * MIB);
	struct enc map = { .len = 0 }, flags = { .len = 0 };
	char object[128];

	open_backend(&b, "on");
	rig_must_create(&b, &image);
	rig_write(&image, 7);
	object_map_name(&image, object);
	assert_int_equal(rados_remove(rig.vols, object), 0);
	enc_u64(&map, 50);
	enc_u8(&map, 0);
	assert_int_equal(
		rados_exec(rig.vols, object, "rbd", "object_map_resize", map.at, map.len, NULL, 0),
		0);
	enc_u64(&flags, RBD_FLAG_OBJECT_MAP_INVALID); /* value, mask, of the image itself */
	enc_u64(&flags, RBD_FLAG_OBJECT_MAP_INVALID);
	enc_u64(&flags, UINT64_C(0xfffffffffffffffe));
	(void)snprintf(object, sizeof object, "rbd_header.%s", image.image_id);
	assert_int_equal(
		rados_exec(rig.vols, object, "rbd", "set_flags", flags.at, flags.len, NULL, 0), 0);
	rig_must_remove(&b, &image);
	nothing_left();
	rig_close(&b);
}

/* As a process leaves it that dies between its last two operations of moving: librbd refuses to remove such an image. */
static void mark_as_moving(const char *id)
{
	struct enc in = { .len = 0 };

	enc_string(&in, id);
	enc_u8(&in, 1); /* moving */
	enc_u8(&in, 0); /* from: normal */
	assert_int_equal(
		rados_exec(rig.vols, "rbd_trash", "rbd", "trash_state_set", in.at, in.len, NULL, 0),
		0);
}

static void remove_from_trash(const char *made, const char *removed, bool moving)
{
	struct rig_backend maker, remover;
	struct driver_image image = rig_image(100 * MIB);
	char id[64];

	open_backend(&maker, made);
	open_backend(&remover, removed);
	rig_must_create(&maker, &image);
	rig_write(&image, 5);
	rig_id(&maker, &image, id);
	rig_sh("rbd -c $CONF trash mv vols/%s", rig_image_name(&image));
	if (moving)
		mark_as_moving(id);
	rig_must_remove(&remover, &image);
	nothing_left();
	rig_close(&maker);
	rig_close(&remover);
}

/* In librbd's trash: a removal by librbd that did not come to its end, or a person's `rbd trash mv`. */
static void test_in_the_trash(void **state)
{
	static const char *const ways[] = { "on", "off" };

	for (size_t i = 0; i < 8; i++)
		remove_from_trash(ways[i & 1], ways[i >> 1 & 1], i & 4);
}

static void remove_counted(const char *direct, const char *features, uint64_t bytes)
{
	struct driver_image image = rig_image(10 * 4 * MIB + 512);
	struct driver_progress p = { 0 };
	struct err err = { 0 };
	struct rig_backend b = { .driver = &driver_rbd };

	rig_backend_conf(&b.conf, direct);
	b.conf.features = (char *)features;
	rig_open(&b);
	rig_must_create(&b, &image);
	rig_write(&image, 3);
	assert_int_equal(b.driver->remove(b.be, &image, &p, &err), 0);
	assert_int_equal(p.total, bytes);
	assert_true(p.done == p.total ||
		    !strcmp(direct, "off")); /* librbd may keep its last step to itself */
	p.total = p.done = 0;
	assert_int_equal(b.driver->remove(b.be, &image, &p, &err), 0);
	assert_int_equal(p.total, 0); /* there was nothing to do */
	rig_close(&b);
	nothing_left();
}

/* By the map what there is, else all there could be. */
static void test_removal_counts(void **state)
{
	remove_counted("on", "layering,exclusive-lock,object-map,fast-diff", 3 * 4 * MIB);
	remove_counted("on", "layering", 10 * 4 * MIB + 512);
	remove_counted("off", "layering,exclusive-lock,object-map,fast-diff", 10 * 4 * MIB + 512);
}

/* The backend's `direct` was changed between the tries. */
static void test_direct_is_switched(void **state)
{
	struct rig_backend on, off;
	struct driver_image image = rig_image(GIB);

	open_backend(&on, "on");
	open_backend(&off, "off");
	rig_must_create(&off, &image);
	rig_must_create(&on, &image);
	rig_write(&image, 3);
	rig_must_remove(&on, &image);
	nothing_left();

	image = rig_image(GIB);
	rig_must_create(&on, &image);
	rig_must_create(&off, &image);
	rig_write(&image, 3);
	rig_must_remove(&off, &image);
	nothing_left();

	image = rig_image(GIB); /* half direct, then whole by librbd */
	rig_must_create(&on, &image);
	lose(&image, ENTRY | ID);
	rig_must_create(&off, &image);
	rig_must_remove(&on, &image);
	nothing_left();
	rig_close(&on);
	rig_close(&off);
}

/* A person has given the image another name: it is theirs now, the data stays. */
static void test_renamed(void **state)
{
	struct rig_backend b;
	struct driver_image image = rig_image(GIB);

	open_backend(&b, "on");
	rig_must_create(&b, &image);
	rig_write(&image, 3);
	rig_sh("rbd -c $CONF rename vols/%s vols/theirs", rig_image_name(&image));
	rig_must_remove(&b, &image);
	rig_sh("test $(rbd -c $CONF export --no-progress vols/theirs - | tr -d '\\0' | wc -c) = %d",
		3 * 4096);
	rig_sh("rbd -c $CONF rm --no-progress vols/theirs");
	nothing_left();
	rig_close(&b);
}

int format_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_to_librbd),
		cmocka_unit_test(test_equal_with_limits),
		cmocka_unit_test(test_equal_where_shared),
		cmocka_unit_test(test_shared_has_its_features),
		cmocka_unit_test(test_tools_work_on_it),
		cmocka_unit_test(test_create_completes),
		cmocka_unit_test(test_remove_clears),
		cmocka_unit_test(test_librbd_remove_clears),
		cmocka_unit_test(test_remove_clears_data),
		cmocka_unit_test(test_short_map),
		cmocka_unit_test(test_invalid_map),
		cmocka_unit_test(test_in_the_trash),
		cmocka_unit_test(test_removal_counts),
		cmocka_unit_test(test_direct_is_switched),
		cmocka_unit_test(test_renamed),
	};

	return cmocka_run_group_tests_name("format", tests, remember_pools, forget_pools);
}
