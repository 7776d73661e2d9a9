/*
 * Clones, and what becomes of the snapshots that they are made of.
 *
 * Comparison: every kind of clone is made both ways of the same snapshot, and all that lies in the pools then is compared, the parent's
 * header too. The rest: what Ceph's own tools say of ours, and who may go before whom.
 */
#include "rig.h"

#include "rbd/encode.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	const char *parent_features, *features, *space, *data_pool;
	uint64_t parent_chunk, chunk, parent_size, size;
	bool of_clone, limited, shared;
};

/* A backend for the parents of that kind of clone, or for the clones. */
static void open_kind(struct rig_backend *b, const struct kind *k, bool parent, const char *direct)
{
	b->driver = &driver_rbd;
	rig_backend_conf(&b->conf, direct);
	b->conf.features = (char *)(parent ? k->parent_features : k->features);
	b->conf.chunk_size = parent ? k->parent_chunk : k->chunk;
	b->conf.namespace = (char *)k->space;
	b->conf.data_pool = (char *)k->data_pool;
	rig_open(b);
}

/* Everything in both pools while the clone is there; and what was before after it. */
static char *made_by(struct rig_backend *b, const struct driver_image *image,
	const struct driver_source *source, size_t *id_len)
{
	struct err err = { 0 };
	char id[64], *vols, *data, *before = rig_dump(rig.vols, NULL);
	struct buf all = { 0 };

	if (rig_clone(b, image, source, &err) != 0)
		fail_msg("clone: %s", err.text);
	rig_id(b, image, id);
	*id_len = strlen(id);
	vols = rig_dump(rig.vols, id);
	data = rig_dump(rig.data, id);
	buf_addf(&all, "%s%s", vols, data);
	free(vols);
	free(data);
	rig_must_remove(b, image);
	rig_same(before, rig_dump(rig.vols, NULL));
	free(before);
	return buf_detach(&all);
}

/* Lengths of the structs that an id stands in tell its own length: ours is made as long as librbd's. */
static void compare_clones(const struct kind *k, const struct driver_source *source)
{
	struct driver_image image = rig_image(k->size);
	struct rig_backend off, on;
	char *librbd, *direct;
	size_t len;

	image.shared = k->shared;
	open_kind(&off, k, false, "off");
	open_kind(&on, k, false, "on");
	librbd = made_by(&off, &image, source, &len);
	assert_true(len <= strlen(image.image_id));
	memmove(image.image_id, image.image_id + strlen(image.image_id) - len, len + 1);
	image.image_id[0] = image.image_id[0] == 'f' ? 'e' : 'f'; /* so it is no part of the name */
	direct = made_by(&on, &image, source, &len);
	if (strcmp(librbd, direct))
		(void)fprintf(stderr, "features '%s', namespace '%s', data pool '%s', size %llu:\n",
			k->features, k->space, k->data_pool, (unsigned long long)k->size);
	rig_same(librbd, direct);
	free(librbd);
	rig_close(&on);
	rig_close(&off);
}

static void compare(const struct kind *k)
{
	struct driver_image parent = rig_image(k->parent_size), middle = rig_image(k->parent_size);
	struct driver_source source = { .image = parent }, second = { .image = middle };
	struct rig_backend b;

	open_kind(&b, k, true, "on");
	rig_must_create(&b, &parent);
	rig_snap(&b, &parent, source.snapshot);
	if (k->of_clone) {
		assert_int_equal(rig_clone(&b, &middle, &source, NULL), 0);
		rig_snap(&b, &middle, second.snapshot);
	}
	compare_clones(k, k->of_clone ? &second : &source);
	if (k->of_clone) {
		rig_snap_remove(&b, &middle, second.snapshot);
		rig_must_remove(&b, &middle);
	}
	rig_snap_remove(&b, &parent, source.snapshot);
	rig_must_remove(&b, &parent);
	rig_close(&b);
	nothing_left();
}

static const struct kind plain = {
	.parent_features = ALL_FEATURES,
	.features = ALL_FEATURES,
	.space = "",
	.data_pool = "",
	.parent_chunk = 4 * MIB,
	.chunk = 4 * MIB,
	.parent_size = GIB,
	.size = GIB,
};

static void test_equal_by_features(void **state)
{
	static const char *const sets[] = { ALL_FEATURES, "layering", "layering,exclusive-lock",
		"layering,exclusive-lock,object-map,fast-diff" };

	for (size_t i = 0; i < COUNT(sets); i++)
		for (size_t p = 0; p < COUNT(sets); p++) {
			struct kind k = plain;

			k.features = sets[i];
			k.parent_features = sets[p];
			if (rig.full || i == 0 || p == 0)
				compare(&k);
		}
}

static void test_equal_by_size(void **state)
{
	static const uint64_t sizes[][2] = { { GIB, 2 * GIB }, { 4 * MIB + 512, 4 * MIB + 512 },
		{ 33 * MIB + 1536, 3 * GIB + 4096 }, { MIB, 5 * MIB } };
	static const uint64_t chunks[] = { 4 * MIB, 64 * 1024, 32 * MIB };

	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct kind k = plain;

		k.parent_size = sizes[i][0];
		k.size = sizes[i][1];
		compare(&k);
	}
	for (size_t i = 0; i < COUNT(chunks); i++)
		for (size_t p = 0; p < COUNT(chunks); p++) {
			struct kind k = plain;

			k.chunk = chunks[i];
			k.parent_chunk = chunks[p];
			if (i != p)
				compare(&k);
		}
}

static void test_equal_by_place(void **state)
{
	static const char *const places[][2] = { { "team", "" }, { "", "data" },
		{ "team", "data" } };

	for (size_t i = 0; i < COUNT(places); i++) {
		struct kind k = plain;

		k.space = places[i][0];
		k.data_pool = places[i][1];
		compare(&k);
		k.of_clone = true;
		k.size = 2 * GIB;
		compare(&k);
	}
}

static void test_equal_of_clone(void **state)
{
	struct kind k = plain;

	k.of_clone = true;
	compare(&k);
}

/* For several hosts, of a source that only one could write to. */
static void test_equal_where_shared(void **state)
{
	struct kind k = plain;

	k.shared = true;
	compare(&k);
	k.of_clone = true;
	compare(&k);
}

/* --- limits and metadata */

/* A clone has the limits of its own volume, not those of its source; other metadata it inherits, as librbd has it. */
static void inherit(const char *direct)
{
	struct driver_image parent = rig_image(64 * MIB), image = rig_image(64 * MIB);
	struct driver_source source = { .image = parent };
	struct rig_backend b;
	char name[64];

	open_backend(&b, direct);
	qos_must_create(&b, &parent);
	rig_snap(&b, &parent, source.snapshot);
	assert_int_equal(rig_clone(&b, &image, &source, NULL), 0);
	qos_check(&b, &image, false);
	rig_must_remove(&b, &image);
	(void)snprintf(name, sizeof name, "%s", rig_image_name(&parent));
	rig_sh("rbd -c $CONF image-meta set vols/%s colour blue", name);
	usleep(1100 * 1000); /* so long the source is believed to be as it was */
	assert_int_equal(rig_clone(&b, &image, &source, NULL), 0);
	rig_sh("test \"$(rbd -c $CONF image-meta list --format json vols/%s)\" = '{\"colour\":\"blue\"}'",
		rig_image_name(&image));
	rig_must_remove(&b, &image);
	rig_snap_remove(&b, &parent, source.snapshot);
	rig_must_remove(&b, &parent);
	rig_close(&b);
	nothing_left();
}

static void test_metadata(void **state)
{
	inherit("on");
	inherit("off");
}

/* --- Ceph's own tools on a direct clone */

static void write_all(const struct driver_image *image, char with, int n)
{
	rbd_image_t handle;
	char page[4096];

	memset(page, with, sizeof page);
	assert_int_equal(rbd_open(rig.vols, rig_image_name(image), &handle, NULL), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(
			rbd_write(handle, image->size / (unsigned)n * (unsigned)i / 4096 * 4096,
				sizeof page, page),
			(int)sizeof page);
	assert_int_equal(rbd_close(handle), 0);
}

/* How many bytes of that value an image has. */
static void has_bytes(const struct driver_image *image, char value, int n)
{
	rig_sh("test $(rbd -c $CONF export --no-progress vols/%s - | tr -dc '%c' | wc -c) = %d",
		rig_image_name(image), value, n * 4096);
}

static void test_tools_work_on_it(void **state)
{
	struct driver_image parent = rig_image(64 * MIB), image = rig_image(96 * MIB);
	struct driver_source source = { .image = parent };
	struct rig_backend b;
	char from[64], name[64];

	open_backend(&b, "on");
	rig_must_create(&b, &parent);
	write_all(&parent, 'x', 8);
	rig_snap(&b, &parent, source.snapshot);
	write_all(&parent, 'z', 8);
	assert_int_equal(rig_clone(&b, &image, &source, NULL), 0);
	(void)snprintf(from, sizeof from, "%s", rig_image_name(&parent));
	(void)snprintf(name, sizeof name, "%s", rig_image_name(&image));
	has_bytes(&image, 'x', 8);
	write_all(&image, 'y', 3);
	has_bytes(&image, 'y', 3);
	has_bytes(&parent, 'z', 8);
	rig_sh("rbd -c $CONF info vols/%s | grep -q 'parent: vols/%s@snapshot-%s'", name, from,
		source.snapshot);
	rig_sh("rbd -c $CONF info vols/%s | grep -q 'overlap: 64 MiB'", name);
	rig_sh("rbd -c $CONF children vols/%s@snapshot-%s | grep -qx vols/%s", from,
		source.snapshot, name);
	rig_sh("rbd -c $CONF object-map check --no-progress vols/%s", name);
	rig_sh("rbd -c $CONF flatten --no-progress vols/%s", name);
	rig_sh("test -z \"$(rbd -c $CONF children vols/%s@snapshot-%s)\"", from, source.snapshot);
	has_bytes(&image, 'y', 3);
	rig_sh("rbd -c $CONF rm --no-progress vols/%s", name);
	rig_snap_remove(&b, &parent, source.snapshot);
	rig_must_remove(&b, &parent);
	rig_close(&b);
	nothing_left();
}

/* --- batches */

static void test_a_batch(void **state)
{
	struct driver_image parent[2] = { rig_image(GIB), rig_image(64 * MIB) };
	struct driver_source source[4] = { { .image = parent[0] }, { .image = parent[1] },
		{ .image = parent[1], .snapshot = "00000000-0000-4000-8000-00000000dead" },
		{ .image = rig_image(GIB), .snapshot = "00000000-0000-4000-8000-00000000dead" } };
	struct driver_create each[40] = { 0 };
	struct rig_backend b;

	open_backend(&b, "on");
	for (size_t i = 0; i < 2; i++) {
		rig_must_create(&b, &parent[i]);
		rig_snap(&b, &parent[i], source[i].snapshot);
	}
	for (size_t i = 0; i < COUNT(each); i++)
		each[i] = (struct driver_create){ .image = rig_image(GIB),
			.source = i % 5 < 4 ? &source[i % 5] : NULL };
	each[5].image.size = 512 * MIB; /* too small for its source */
	assert_int_equal(rig_clone(&b, &each[10].image, &source[0], NULL), 0); /* there already */
	for (int again = 0; again < 2; again++) {
		b.driver->create(b.be, each, COUNT(each));
		for (size_t i = 0; i < COUNT(each); i++)
			assert_int_equal(each[i].code, i % 5 == 2 || i % 5 == 3 ? -ENOENT
						       : i == 5			? -EINVAL
										: 0);
	}
	assert_true(each[2].err.text[0] && each[3].err.text[0] && each[5].err.text[0]);
	rig_sh("test $(rbd -c $CONF children vols/%s@snapshot-%s | wc -l) = 7",
		rig_image_name(&parent[0]), source[0].snapshot);
	for (size_t i = 0; i < COUNT(each); i++)
		rig_must_remove(&b, &each[i].image);
	for (size_t i = 0; i < 2; i++) {
		rig_snap_remove(&b, &parent[i], source[i].snapshot);
		rig_must_remove(&b, &parent[i]);
	}
	rig_close(&b);
	nothing_left();
}

/* A creation that is repeated after its clone was flattened must not attach it again: it may have gone on since. */
static void test_repeated_after_flatten(void **state)
{
	struct driver_image parent = rig_image(64 * MIB), image = rig_image(64 * MIB);
	struct driver_source source = { .image = parent };
	struct rig_backend b;

	open_backend(&b, "on");
	rig_must_create(&b, &parent);
	rig_snap(&b, &parent, source.snapshot);
	assert_int_equal(rig_clone(&b, &image, &source, NULL), 0);
	rig_sh("rbd -c $CONF flatten --no-progress vols/%s", rig_image_name(&image));
	assert_int_equal(rig_clone(&b, &image, &source, NULL), 0);
	rig_sh("! rbd -c $CONF info vols/%s | grep -q parent:", rig_image_name(&image));
	rig_snap_remove(&b, &parent, source.snapshot);
	rig_must_remove(&b, &parent);
	rig_must_remove(&b, &image);
	rig_close(&b);
	nothing_left();
}

/* --- of an image as it is now */

static int snapshots_of(const struct driver_image *image)
{
	rbd_image_t handle;
	rbd_snap_info_t info[8];
	int max = COUNT(info), n;

	assert_int_equal(rbd_open_read_only(rig.vols, rig_image_name(image), &handle, NULL), 0);
	n = rbd_snap_list(handle, info, &max);
	rbd_snap_list_end(info);
	assert_int_equal(rbd_close(handle), 0);
	return n;
}

static void clone_an_image(const char *direct)
{
	struct driver_image parent = rig_image(64 * MIB), image = rig_image(96 * MIB),
			    other = rig_image(64 * MIB), small = rig_image(32 * MIB);
	struct driver_source source = { .image = parent };
	struct rig_backend b;
	struct err err = { 0 };

	open_backend(&b, direct);
	rig_must_create(&b, &parent);
	write_all(&parent, 'x', 4);
	assert_int_equal(rig_clone(&b, &image, &source, NULL), 0);
	write_all(&parent, 'z', 4);
	assert_int_equal(rig_clone(&b, &image, &source, NULL), 0); /* again: it is there */
	assert_int_equal(snapshots_of(&parent), 1);
	has_bytes(&image, 'x', 4);
	assert_int_equal(rig_clone(&b, &other, &source, NULL), 0);
	has_bytes(&other, 'z', 4);
	assert_int_equal(snapshots_of(&parent), 2);
	rig_sh("test $(rbd -c $CONF snap ls --all vols/%s | grep -c trash) = 2",
		rig_image_name(&parent));

	assert_int_equal(rig_clone(&b, &small, &source, &err), -EINVAL);
	assert_true(err.text[0]);
	assert_int_equal(snapshots_of(&parent), 2);

	assert_int_equal(b.driver->remove(b.be, &parent, NULL, &err), -EMLINK);
	rig_must_remove(&b, &image);
	assert_int_equal(snapshots_of(&parent), 1);
	assert_int_equal(b.driver->remove(b.be, &parent, NULL, &err), -EMLINK);
	has_bytes(&other, 'z', 4);
	rig_must_remove(&b, &other);
	assert_int_equal(snapshots_of(&parent), 0);
	rig_must_remove(&b, &parent);
	assert_int_equal(rig_clone(&b, &image, &source, &err), -ENOENT);
	rig_must_remove(&b, &image);
	rig_close(&b);
	nothing_left();
}

static void test_of_an_image(void **state)
{
	clone_an_image("on");
	clone_an_image("off");
}

/* --- who may go before whom */

static void expect_untouched(struct rig_backend *b, const struct driver_image *image, int code)
{
	char *before = rig_dump(rig.vols, NULL);
	struct err err = { 0 };

	assert_int_equal(b->driver->remove(b->be, image, NULL, &err), code);
	assert_non_null(strstr(err.text, code == -EMLINK ? "clones" : "snapshots"));
	rig_same(before, rig_dump(rig.vols, NULL));
	free(before);
}

/* A clone that there is not, as the parent's header knows it. */
static void fake_clone(
	struct rig_backend *b, const struct driver_image *parent, uint64_t snap, const char *method)
{
	struct enc in = { .len = 0 };
	char id[64], header[128];
	size_t at;

	rig_id(b, parent, id);
	(void)snprintf(header, sizeof header, "rbd_header.%s", id);
	enc_u64(&in, snap);
	at = enc_begin(&in, 2);
	enc_u64(&in, (uint64_t)rados_ioctx_get_id(rig.vols));
	enc_string(&in, "0123456789abcd");
	enc_string(&in, "");
	enc_end(&in, at);
	assert_int_equal(rados_exec(rig.vols, header, "rbd", method, in.at, in.len, NULL, 0), 0);
}

/* As a crash leaves them: a temporary snapshot without its clone, and one in the trash that has lost its last. */
static void leave_snapshots(struct rig_backend *b, const struct driver_image *parent)
{
	char uuid[UUID_LEN + 1];
	uint64_t id;

	rig_sh("rbd -c $CONF snap create --no-progress vols/%s@volume-%s.clone_snap",
		rig_image_name(parent), rig_image(GIB).uuid);
	id = rig_snap(b, parent, uuid);
	fake_clone(b, parent, id, "child_attach");
	rig_snap_remove(b, parent, uuid);
	fake_clone(b, parent, id, "child_detach");
	assert_int_equal(snapshots_of(parent), 2);
}

static void order_of_removal(const char *direct)
{
	struct driver_image parent = rig_image(GIB), clone = rig_image(GIB);
	struct driver_source source = { .image = parent };
	char user[UUID_LEN + 1];
	struct rig_backend b;

	open_backend(&b, direct);
	rig_must_create(&b, &parent);
	rig_snap(&b, &parent, source.snapshot);
	rig_snap(&b, &parent, user);
	assert_int_equal(rig_clone(&b, &clone, &source, NULL), 0);
	expect_untouched(&b, &parent, -ENOTEMPTY);
	rig_snap_remove(&b, &parent, source.snapshot);
	expect_untouched(&b, &parent, -ENOTEMPTY); /* not -EMLINK: the other can go first */
	rig_snap_remove(&b, &parent, user);
	expect_untouched(&b, &parent, -EMLINK);
	rig_must_remove(&b, &clone);
	assert_int_equal(snapshots_of(&parent), 0);
	rig_must_remove(&b, &parent);
	rig_close(&b);
	nothing_left();
}

static void test_order_of_removal(void **state)
{
	order_of_removal("on");
	order_of_removal("off");
}

static void test_leftovers_go(void **state)
{
	static const char *const ways[] = { "on", "off" };

	for (size_t i = 0; i < COUNT(ways); i++) {
		struct driver_image parent = rig_image(GIB);
		struct rig_backend b;

		open_backend(&b, ways[i]);
		rig_must_create(&b, &parent);
		leave_snapshots(&b, &parent);
		rig_must_remove(&b, &parent);
		rig_close(&b);
		nothing_left();
	}
}

/* Of another pool, of format 1, of a parent that is gone: as people's adopted images are. */
static void test_foreign_clones(void **state)
{
	static const char *const ways[] = { "on", "off" };

	for (size_t i = 0; i < COUNT(ways); i++) {
		struct driver_image image = rig_image(64 * MIB);
		const char *name = rig_image_name(&image);
		struct rig_backend b;

		open_backend(&b, ways[i]);
		rig_sh("rbd -c $CONF create --size 64M data/golden && rbd -c $CONF snap create --no-progress data/golden@s");
		rig_sh("rbd -c $CONF clone --rbd-default-clone-format 2 data/golden@s vols/%s",
			name);
		rig_sh("rbd -c $CONF snap rm --no-progress data/golden@s");
		rig_must_remove(&b, &image);
		rig_sh("test -z \"$(rbd -c $CONF snap ls --all data/golden)\"");
		rig_sh("rbd -c $CONF snap create --no-progress data/golden@s && rbd -c $CONF snap protect data/golden@s");
		rig_sh("rbd -c $CONF clone --rbd-default-clone-format 1 data/golden@s vols/%s",
			name);
		rig_must_remove(&b, &image);
		rig_sh("rbd -c $CONF snap unprotect data/golden@s && rbd -c $CONF snap purge --no-progress data/golden");
		rig_sh("rbd -c $CONF rm --no-progress data/golden");
		rig_sh("rbd -c $CONF create --size 64M vols/golden && rbd -c $CONF snap create --no-progress vols/golden@s");
		rig_sh("rbd -c $CONF clone --rbd-default-clone-format 2 vols/golden@s vols/%s",
			name);
		rig_sh("id=$(rbd -c $CONF info --format json vols/golden | sed 's/.*\"id\":\"\\([^\"]*\\)\".*/\\1/');"
		       "rados -c $CONF -p vols ls | grep $id | xargs -n1 rados -c $CONF -p vols rm;"
		       "rados -c $CONF -p vols rm rbd_id.golden;"
		       "rados -c $CONF -p vols rmomapkey rbd_directory name_golden;"
		       "rados -c $CONF -p vols rmomapkey rbd_directory id_$id");
		rig_must_remove(&b, &image);
		rig_close(&b);
		(void)rig_sh_code(
			"rados -c $CONF -p vols rm rbd_children 2>/dev/null"); /* of format 1: empty */
		nothing_left();
	}
}

/* A protected snapshot, and a source whose features are not plain, are librbd's to clone. */
static void test_sources_of_librbd(void **state)
{
	for (int journaled = 0; journaled < 2; journaled++) {
		struct driver_image parent = rig_image(64 * MIB), image = rig_image(64 * MIB);
		struct driver_source source = { .image = parent };
		struct rig_backend b;
		char name[64], id[64];

		open_backend(&b, "on");
		rig_must_create(&b, &parent);
		rig_snap(&b, &parent, source.snapshot);
		(void)snprintf(name, sizeof name, "%s", rig_image_name(&parent));
		if (journaled)
			rig_sh("rbd -c $CONF feature enable vols/%s journaling", name);
		else
			rig_sh("rbd -c $CONF snap protect vols/%s@snapshot-%s", name,
				source.snapshot);
		assert_int_equal(rig_clone(&b, &image, &source, NULL), 0);
		rig_id(&b, &image, id);
		assert_string_not_equal(id, image.image_id);
		assert_int_equal(rig_clone(&b, &image, &source, NULL), 0);
		rig_must_remove(&b, &image);
		if (!journaled)
			rig_sh("rbd -c $CONF snap unprotect vols/%s@snapshot-%s", name,
				source.snapshot);
		rig_snap_remove(&b, &parent, source.snapshot);
		rig_must_remove(&b, &parent);
		rig_close(&b);
		nothing_left();
	}
}

/* --- races */

struct race {
	struct rig_backend *b;
	struct driver_image parent;
	struct driver_source source;
	struct driver_create each[8];
};

static void *clone_them(void *arg)
{
	struct race *r = arg;

	r->b->driver->create(r->b->be, r->each, COUNT(r->each));
	return NULL;
}

static void *remove_the_snapshot(void *arg)
{
	struct race *r = arg;

	rig_snap_remove(r->b, &r->parent, r->source.snapshot);
	return NULL;
}

static void *remove_them(void *arg)
{
	struct race *r = arg;

	for (size_t i = 0; i < COUNT(r->each); i++)
		rig_must_remove(r->b, &r->each[i].image);
	return NULL;
}

static void *remove_the_parent(void *arg)
{
	struct race *r = arg;
	struct err err;
	int code;

	do {
		code = r->b->driver->remove(r->b->be, &r->parent, NULL, &err);
		assert_true(code == 0 || code == -EMLINK);
	} while (code != 0);
	return NULL;
}

static void both(struct race *r, void *(*one)(void *), void *(*two)(void *))
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, one, r), 0);
	two(r);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Clones that were made are whole, whatever became of the snapshot; and when they go, it goes. */
static void race_once(struct rig_backend *b)
{
	struct race r = { .b = b, .parent = rig_image(64 * MIB) };
	size_t made = 0;

	rig_must_create(b, &r.parent);
	write_all(&r.parent, 'x', 2);
	r.source.image = r.parent;
	rig_snap(b, &r.parent, r.source.snapshot);
	for (size_t i = 0; i < COUNT(r.each); i++)
		r.each[i] =
			(struct driver_create){ .image = rig_image(64 * MIB), .source = &r.source };
	both(&r, clone_them, remove_the_snapshot);
	for (size_t i = 0; i < COUNT(r.each); i++) {
		assert_true(r.each[i].code == 0 || r.each[i].code == -ENOENT);
		if (r.each[i].code == 0 && made++ == 0)
			has_bytes(&r.each[i].image, 'x', 2);
	}
	assert_int_equal(snapshots_of(&r.parent), made > 0);
	both(&r, remove_them, remove_the_parent);
	nothing_left();
}

static void test_races(void **state)
{
	struct rig_backend b;

	open_backend(&b, "on");
	for (int i = 0; i < (rig.full ? 100 : 5); i++)
		race_once(&b);
	rig_close(&b);
}

int clone_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_by_features),
		cmocka_unit_test(test_equal_by_size),
		cmocka_unit_test(test_equal_by_place),
		cmocka_unit_test(test_equal_of_clone),
		cmocka_unit_test(test_equal_where_shared),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_tools_work_on_it),
		cmocka_unit_test(test_a_batch),
		cmocka_unit_test(test_repeated_after_flatten),
		cmocka_unit_test(test_of_an_image),
		cmocka_unit_test(test_order_of_removal),
		cmocka_unit_test(test_leftovers_go),
		cmocka_unit_test(test_foreign_clones),
		cmocka_unit_test(test_sources_of_librbd),
		cmocka_unit_test(test_races),
	};

	return cmocka_run_group_tests_name("clone", tests, remember_pools, forget_pools);
}
