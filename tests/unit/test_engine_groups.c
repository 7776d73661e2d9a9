/* What the system says of a group, and what it does not: it is linked with --wrap for both questions. */
#include "base/clock.h"
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <grp.h>
#include <stdatomic.h>
#include <string.h>

static struct rig rig;
static _Atomic int answer; /* an errno without a group; 0: the system's own */
static _Atomic unsigned asked;

int __real_getgrnam_r(
	const char *name, struct group *g, char *bytes, size_t room, struct group **ret);
int __real_getgrgid_r(gid_t gid, struct group *g, char *bytes, size_t room, struct group **ret);
int __wrap_getgrnam_r(
	const char *name, struct group *g, char *bytes, size_t room, struct group **ret);
int __wrap_getgrgid_r(gid_t gid, struct group *g, char *bytes, size_t room, struct group **ret);

int __wrap_getgrnam_r(
	const char *name, struct group *g, char *bytes, size_t room, struct group **ret)
{
	atomic_fetch_add(&asked, 1);
	*ret = NULL;
	return answer ? answer : __real_getgrnam_r(name, g, bytes, room, ret);
}

int __wrap_getgrgid_r(gid_t gid, struct group *g, char *bytes, size_t room, struct group **ret)
{
	atomic_fetch_add(&asked, 1);
	*ret = NULL;
	return answer ? answer : __real_getgrgid_r(gid, g, bytes, room, ret);
}

static int set_up(void **state)
{
	fault_reset();
	answer = 0;
	asked = 0;
	rig_make(&rig, 1, "quota = { volumes = -1; size = -1; };");
	rig_up(&rig);
	return 0;
}

static int tear_down(void **state)
{
	rig_idle(&rig);
	rig_recount(&rig);
	rig_down(&rig);
	rig_drop(&rig);
	return 0;
}

static int create_in(const char *spec)
{
	return rig_create_as(&rig, &rig.who, spec, NULL, NULL);
}

/* What the manual names as a way to say no is remembered as a no. */
static void a_group_that_is_not_there(void **state)
{
	static const int none[] = { ENOENT, ESRCH, EBADF, EPERM };
	char spec[64];

	for (size_t i = 0; i < COUNT(none); i++) {
		(void)snprintf(spec, sizeof spec, "size=1M project=nosuch%zu", i);
		answer = none[i];
		assert_int_equal(create_in(spec), -ENOENT);
		assert_non_null(strstr(rig_text, "there is no group 'nosuch"));
		assert_int_equal(create_in(spec), -ENOENT);
		assert_int_equal(asked, i + 1);
	}
}

/* A directory service that fails says nothing of the group, and is asked again. */
static void a_group_that_is_not_known(void **state)
{
	answer = EIO;
	assert_int_equal(create_in("size=1M project=daemon"), -EIO);
	assert_string_equal(rig_text, "project 'daemon' cannot be looked up now: try again later");
	assert_int_equal(engine_project_find(rig.engine, "daemon"), -EIO);
	answer = EMFILE;
	assert_int_equal(create_in("size=1M project=daemon"), -EIO);
	answer = ETIMEDOUT;
	assert_int_equal(create_in("size=1M project=daemon"), -ETIMEDOUT);
	answer = 0;
	assert_int_equal(create_in("size=1M project=daemon"), 0);
	assert_int_equal(engine_project_find(rig.engine, "daemon"), 0);
	answer = EIO; /* it is remembered */
	assert_int_equal(create_in("size=1M project=daemon"), 0);
}

/* The caller's own group: no volume is booked under its number because its name could not be had. */
static void a_gid_that_is_not_known(void **state)
{
	const struct caller user = { .uid = 1, .gid = 1, .pid = 1 };
	const struct caller nameless = { .uid = 1, .gid = 54321, .pid = 1 };

	answer = EIO;
	assert_int_equal(rig_create_as(&rig, &user, "size=1M", NULL, NULL), -EIO);
	assert_string_equal(
		rig_text, "the project of gid 1 cannot be looked up now: try again later");
	answer = 0;
	assert_int_equal(rig_create_as(&rig, &user, "size=1M", NULL, NULL), 0);
	assert_int_equal(rig_create_as(&rig, &nameless, "size=1M", NULL, NULL), 0);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM project WHERE name = '1'"), 0);
	assert_int_equal(rig_sql(&rig, "SELECT volumes FROM project WHERE name = 'daemon'"), 1);
	assert_int_equal(rig_sql(&rig, "SELECT volumes FROM project WHERE name = '54321'"), 1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_group_that_is_not_there),
		TEST(a_group_that_is_not_known),
		TEST(a_gid_that_is_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
