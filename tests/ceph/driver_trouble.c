/* Bad luck: an image that is in use, a pool that is full or gone, an OSD or a monitor that does not answer, a wrong key, a fence. */
#include "rig.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rig_backend backend;

static int setup_direct(void **state)
{
	backend = (struct rig_backend){ .driver = &driver_rbd };
	rig_backend_conf(&backend.conf, "on");
	backend.conf.timeout = 2;
	rig_open(&backend);
	return 0;
}

static int setup_librbd(void **state)
{
	backend = (struct rig_backend){ .driver = &driver_rbd };
	rig_backend_conf(&backend.conf, "off");
	backend.conf.timeout = 2;
	rig_open(&backend);
	return 0;
}

static int teardown(void **state)
{
	rig_close(&backend);
	return 0;
}

static double seconds_since(int64_t ns)
{
	return (double)(clock_mono_ns() - ns) / 1e9;
}

static int remove_code(const struct driver_image *image, struct err *err)
{
	*err = (struct err){ 0 };
	return backend.driver->remove(backend.be, image, NULL, err);
}

/* --- in use */

static void refuse_while_open(const char *how)
{
	struct driver_image image = rig_image(64 * MIB);
	const char *words[] = { how, rig_image_name(&image), NULL };
	struct rig_child child;
	char line[256], *vols = NULL;
	struct err err;

	rig_must_create(&backend, &image);
	child = rig_child(words);
	rig_child_line(&child, line);
	assert_true(line[0]);
	vols = rig_dump(rig.vols, NULL);
	assert_int_equal(remove_code(&image, &err), -EBUSY);
	assert_non_null(strstr(err.text, "has it open"));
	if (!strcmp(backend.conf.direct,
		    "on")) /* librbd's try asks the writer for its lock, and gets it */
		rig_same(vols, rig_dump(rig.vols, NULL));
	free(vols);
	assert_int_equal(rig_child_end(&child), 0);
	rig_must_remove(&backend, &image);
}

static void test_open_elsewhere(void **state)
{
	refuse_while_open("open");
}

static void test_written_elsewhere(void **state)
{
	refuse_while_open("write");
}

/* Whoever had it open is dead: its watch stands for some 30 s, its lock for ever, unless it is fenced. */
static void test_dead_writer(void **state)
{
	struct driver_image image = rig_image(64 * MIB);
	const char *words[] = { "write", rig_image_name(&image), NULL };
	struct rig_child child;
	char address[256];
	struct err err;

	rig_must_create(&backend, &image);
	child = rig_child(words);
	rig_child_line(&child, address);
	assert_true(address[0]);
	rig_child_kill(&child);
	if (!strcmp(backend.conf.direct, "on")) /* librbd fences it itself */
		assert_int_equal(remove_code(&image, &err), -EBUSY);
	assert_int_equal(backend.driver->fence(backend.be, address, &err), 0);
	rig_must_remove(&backend, &image);
}

static void test_has_a_snapshot(void **state)
{
	struct driver_image image = rig_image(64 * MIB);
	struct err err;

	rig_must_create(&backend, &image);
	rig_sh("rbd -c $CONF snap create --no-progress vols/%s@s", rig_image_name(&image));
	assert_int_equal(remove_code(&image, &err), -ENOTEMPTY);
	assert_non_null(strstr(err.text, "snapshots"));
	rig_sh("rbd -c $CONF info vols/%s >/dev/null", rig_image_name(&image));
	rig_sh("rbd -c $CONF snap rm --no-progress vols/%s@s", rig_image_name(&image));
	rig_must_remove(&backend, &image);
}

/* A clone is not plain: librbd removes it, and takes it off its parent. */
static void test_is_a_clone(void **state)
{
	struct driver_image parent = rig_image(64 * MIB), clone = rig_image(64 * MIB);
	char name[64];

	rig_must_create(&backend, &parent);
	(void)snprintf(name, sizeof name, "%s", rig_image_name(&parent));
	rig_sh("rbd -c $CONF snap create --no-progress vols/%s@s", name);
	rig_sh("rbd -c $CONF clone --rbd-default-clone-format 2 vols/%s@s vols/%s", name,
		rig_image_name(&clone));
	rig_must_remove(&backend, &clone);
	rig_sh("test -z \"$(rbd -c $CONF children vols/%s@s)\"", name);
	rig_sh("rbd -c $CONF snap rm --no-progress vols/%s@s", name);
	rig_must_remove(&backend, &parent);
}

/* --- the pool */

static void test_pool_is_full(void **state)
{
	struct driver_image image = rig_image(GIB), more = rig_image(GIB);
	struct backend_stats s;
	struct err err = { 0 };
	char *vols = rig_dump(rig.vols, NULL);
	int64_t from;
	int r;

	rig_must_create(&backend, &image);
	rig_sh("ceph -c $CONF osd pool set-quota vols max_objects 1 2>/dev/null");
	rig_until(20, "ceph -c $CONF osd pool ls detail | grep vols | grep -q full");
	from = clock_mono_ns();
	r = rig_create(&backend, &more, &err);
	assert_true(r == -EDQUOT || r == -ENOSPC);
	assert_non_null(strstr(err.text, "is full"));
	assert_true(seconds_since(from) < 2);
	assert_int_equal(backend.driver->stat(backend.be, &s, &err), 0);
	rig_must_remove(&backend, &more);
	rig_must_remove(&backend, &image);
	assert_true(seconds_since(from) < 5);
	rig_sh("ceph -c $CONF osd pool set-quota vols max_objects 0 2>/dev/null");
	rig_until(20, "! ceph -c $CONF osd pool ls detail | grep vols | grep -q full");
	rig_must_create(&backend, &more);
	rig_must_remove(&backend, &more);
	rig_same(vols, rig_dump(rig.vols, NULL));
	free(vols);
}

static void test_quota_is_the_capacity(void **state)
{
	struct backend_stats s;
	struct err err;
	int64_t until = clock_mono_ns() + INT64_C(20000000000);

	rig_sh("ceph -c $CONF osd pool set-quota vols max_bytes %llu 2>/dev/null",
		(unsigned long long)GIB);
	do
		assert_int_equal(backend.driver->stat(backend.be, &s, &err), 0);
	while (s.total != GIB && clock_mono_ns() < until);
	assert_int_equal(s.total, GIB);
	assert_true(s.free <= GIB && s.free > 0);
	rig_sh("ceph -c $CONF osd pool set-quota vols max_bytes 0 2>/dev/null");
	rig_until(20, "! ceph -c $CONF osd pool ls detail | grep vols | grep -q full");
}

static void test_pool_goes_and_comes(void **state)
{
	struct rig_backend gone = { .driver = &driver_rbd, .conf = backend.conf };
	struct driver_image image = rig_image(GIB);
	struct backend_stats s;
	struct err err = { 0 };

	gone.conf.pool = (char *)"fleeting";
	rig_open(&gone);
	assert_int_equal(gone.driver->stat(gone.be, &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, "pool 'fleeting' does not exist"));
	rig_sh("ceph -c $CONF osd pool create fleeting 8 2>/dev/null");
	rig_must_create(&gone, &image);
	rig_sh("ceph -c $CONF osd pool delete fleeting fleeting --yes-i-really-really-mean-it 2>/dev/null");
	assert_int_equal(rig_create(&gone, &image, &err), -ENOENT);
	assert_non_null(strstr(err.text, "does not exist"));
	assert_int_equal(gone.driver->remove(gone.be, &image, NULL, &err), -ENOENT);
	assert_int_equal(gone.driver->stat(gone.be, &s, &err), -ENOENT);
	rig_sh("ceph -c $CONF osd pool create fleeting 8 2>/dev/null");
	rig_must_create(&gone, &image);
	rig_sh("rbd -c $CONF info fleeting/%s >/dev/null", rig_image_name(&image));
	rig_must_remove(&gone, &image);
	assert_int_equal(gone.driver->stat(gone.be, &s, &err), 0);
	rig_sh("ceph -c $CONF osd pool delete fleeting fleeting --yes-i-really-really-mean-it 2>/dev/null");
	rig_close(&gone);
}

/* The object class would fill a namespace that rbd and QEMU do not find. */
static void test_namespace_is_made_first(void **state)
{
	struct rig_backend apart = { .driver = &driver_rbd, .conf = backend.conf };
	struct backend_stats s;
	struct err err = { 0 };

	apart.conf.namespace = (char *)"later";
	rig_open(&apart);
	assert_int_equal(apart.driver->stat(apart.be, &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no namespace 'later' (rbd namespace create vols/later)"));
	rig_sh("rbd -c $CONF namespace create vols/later");
	assert_int_equal(apart.driver->stat(apart.be, &s, &err), 0);
	rig_sh("rbd -c $CONF namespace remove vols/later");
	rig_close(&apart);
}

/* --- no answer */

static struct driver_image slow_image;
static int slow_code;

static void *create_slowly(void *unused)
{
	slow_code = rig_create(&backend, &slow_image, NULL);
	return unused;
}

static void test_osd_stops(void **state)
{
	struct backend_stats s;
	struct err err = { 0 };
	pthread_t thread;
	int64_t from;
	uint64_t used;

	rig_must_create(
		&backend, &(struct driver_image){
				  .uuid = "warm", .image_id = "00000000aaaaaa", .size = GIB });
	rig_must_remove(
		&backend, &(struct driver_image){
				  .uuid = "warm", .image_id = "00000000aaaaaa", .size = GIB });
	assert_int_equal(backend.driver->stat(backend.be, &s, &err), 0);
	slow_image = rig_image(GIB);
	/* Until one of its threads has taken the signal, the others go on. */
	rig_sh("kill -STOP $(cat $DIR/ceph/run/osd.0.pid)");
	rig_until(5, "grep -q '^State:.T' /proc/$(cat $DIR/ceph/run/osd.0.pid)/status");
	from = clock_mono_ns();
	assert_int_equal(pthread_create(&thread, NULL, create_slowly, NULL), 0);
	assert_int_equal(backend.driver->stat(backend.be, &s, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "did not answer within 2 s"));
	assert_true(seconds_since(from) < 5);
	from = clock_mono_ns();
	assert_int_equal(backend.driver->used(backend.be, &slow_image, &used, &err), -ETIMEDOUT);
	assert_true(seconds_since(from) < 5);
	rig_sh("kill -CONT $(cat $DIR/ceph/run/osd.0.pid)");
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(slow_code, 0);
	rig_sh("rbd -c $CONF info vols/%s >/dev/null", rig_image_name(&slow_image));
	assert_int_equal(backend.driver->stat(backend.be, &s, &err), 0);
	rig_must_remove(&backend, &slow_image);
}

static void expect_down(const char *conf_file, int code, const char *words)
{
	struct rig_backend b = { .driver = &driver_rbd, .conf = backend.conf };
	struct driver_image image = rig_image(GIB);
	struct backend_stats s;
	struct err err = { 0 };
	int64_t from = clock_mono_ns();
	char address[256];

	b.conf.ceph_conf = (char *)conf_file;
	rig_open(&b);
	assert_int_equal(b.driver->stat(b.be, &s, &err), code);
	if (!strstr(err.text, words))
		fail_msg("'%s' does not say '%s'", err.text, words);
	assert_int_equal(rig_create(&b, &image, &err), code);
	assert_int_equal(b.driver->address(b.be, address, sizeof address, &err), -ENOTCONN);
	assert_true(seconds_since(from) < 10);
	rig_close(&b);
}

static void test_no_monitor(void **state)
{
	char file[512];

	(void)snprintf(file, sizeof file, "%s/no-monitor.conf", rig.dir);
	rig_sh("sed 's/^mon host = .*/mon host = [v2:127.0.0.1:19]/' $CONF >%s", file);
	expect_down(file, -ETIMEDOUT, "no monitor answered within 2 s");
}

static void test_wrong_key(void **state)
{
	char file[512];

	(void)snprintf(file, sizeof file, "%s/wrong-key.conf", rig.dir);
	rig_sh("ceph-authtool --create-keyring %s.keyring --gen-key -n client.admin >/dev/null",
		file);
	rig_sh("sed 's|^keyring = .*|keyring = %s.keyring|' $CONF >%s", file, file);
	expect_down(file, -EACCES, "refused the key of client.admin");
}

static void test_no_configuration(void **state)
{
	expect_down("/nonexistent/ceph.conf", -ENOENT, "cannot read '/nonexistent/ceph.conf'");
}

static void test_bad_options(void **state)
{
	static const struct {
		const char *features, *direct;
		uint64_t chunk;
	} bad[] = {
		{ "layering,frobnicate", "auto", 4 * MIB },
		{ "object-map", "auto", 4 * MIB },
		{ ALL_FEATURES ",journaling", "on", 4 * MIB },
		{ ALL_FEATURES, "maybe", 4 * MIB },
		{ ALL_FEATURES, "auto", 5 * MIB },
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct backend_conf conf = backend.conf;
		struct err err = { 0 };
		void *be;

		conf.features = (char *)bad[i].features;
		conf.direct = (char *)bad[i].direct;
		conf.chunk_size = bad[i].chunk;
		assert_int_equal(driver_rbd.open(&conf, &be, &err), -EINVAL);
		assert_true(err.text[0]);
	}
}

static void test_more_than_a_map_holds(void **state)
{
	struct driver_create each[3] = { 0 };

	for (size_t i = 0; i < COUNT(each); i++)
		each[i].image = rig_image(i == 1 ? UINT64_C(1) << 60 : GIB);
	backend.driver->create(backend.be, each, COUNT(each));
	assert_int_equal(each[0].code, 0);
	assert_int_equal(each[1].code, -EFBIG);
	assert_int_equal(each[2].code, 0);
	for (size_t i = 0; i < COUNT(each); i++)
		rig_must_remove(&backend, &each[i].image);
}

/* --- fencing */

static void test_fenced(void **state)
{
	struct rig_backend old = { .driver = &driver_rbd, .conf = backend.conf };
	struct driver_image image = rig_image(GIB), late = rig_image(GIB), after = rig_image(GIB);
	struct err err = { 0 };
	char address[256];

	rig_open(&old);
	assert_int_equal(old.driver->address(old.be, address, sizeof address, &err), 0);
	rig_must_create(&old, &image);
	if (backend.driver->fence(backend.be, address, &err) != 0)
		fail_msg("fence: %s", err.text);
	rig_must_create(&backend, &after); /* the OSD hears of it with this at the latest */
	assert_int_equal(rig_create(&old, &late, &err), -ESHUTDOWN);
	assert_non_null(strstr(err.text, "fenced"));
	assert_int_equal(old.driver->remove(old.be, &image, NULL, &err), -ESHUTDOWN);
	rig_must_remove(&backend, &image);
	rig_must_remove(&backend, &late);
	rig_must_remove(&backend, &after);
	rig_close(&old);
}

/* What depends on the way that images are made and removed. */
static const struct CMUnitTest both_ways[] = {
	cmocka_unit_test(test_open_elsewhere),
	cmocka_unit_test(test_written_elsewhere),
	cmocka_unit_test(test_has_a_snapshot),
	cmocka_unit_test(test_more_than_a_map_holds),
	cmocka_unit_test(test_pool_is_full),
	cmocka_unit_test(test_fenced),
};

/* What takes time-outs, or does not depend on it. By librbd in a full run only. */
static const struct CMUnitTest slow[] = {
	cmocka_unit_test(test_dead_writer),
	cmocka_unit_test(test_is_a_clone),
	cmocka_unit_test(test_pool_goes_and_comes),
	cmocka_unit_test(test_namespace_is_made_first),
	cmocka_unit_test(test_osd_stops),
	cmocka_unit_test(test_quota_is_the_capacity),
	cmocka_unit_test(test_no_monitor),
	cmocka_unit_test(test_wrong_key),
	cmocka_unit_test(test_no_configuration),
	cmocka_unit_test(test_bad_options),
};

int trouble_tests(void)
{
	int failed =
		cmocka_run_group_tests_name("trouble: direct", both_ways, setup_direct, teardown);

	failed += cmocka_run_group_tests_name("trouble: librbd", both_ways, setup_librbd, teardown);
	failed += cmocka_run_group_tests_name("slow trouble: direct", slow, setup_direct, teardown);
	if (rig.full)
		failed += cmocka_run_group_tests_name(
			"slow trouble: librbd", slow, setup_librbd, teardown);
	return failed;
}
