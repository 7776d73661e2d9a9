/* A volume's life, once through, on sparse files. */
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <string.h>

static struct rig rig;

static int set_up(void **state)
{
	fault_reset();
	rig_make(&rig, 2, NULL);
	rig_up(&rig);
	return 0;
}

static int tear_down(void **state)
{
	rig_recount(&rig);
	rig_down(&rig);
	rig_drop(&rig);
	return 0;
}

static void a_life(void **state)
{
	struct volume v;
	struct buf history = { 0 };
	int64_t id;

	assert_int_equal(
		rig_create(&rig, "size=10M name=db metadata.a=b description='a b'", &id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(view_volume(rig.view, id, &v), 0);
	assert_string_equal(v.name, "db");
	assert_string_equal(v.project, "root");
	assert_string_equal(v.description, "a b");
	assert_int_equal(rig_images(&rig), 1);
	assert_int_equal(rig_extend(&rig, id, 20 << 20), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(view_volume(rig.view, id, &v), 0);
	assert_int_equal(v.size, 20 << 20);
	assert_int_equal(rig_delete(&rig, id), 0);
	rig_idle(&rig);
	assert_int_equal(rig_settle(&rig, id), -ENOENT);
	assert_int_equal(rig_images(&rig), 0);
	assert_int_equal(view_history(rig.view, id, &history), 0);
	assert_non_null(strstr(history.at, "volume.create.start"));
	assert_non_null(strstr(history.at, "volume.delete.end"));
	buf_release(&history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_life, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
