/* The memory between two servers: open descriptions of `data`. */
#include "keep.h"
#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

static int fd;
static struct keep *keep;

static int set_up(void **state)
{
	struct err err = { 0 };

	fd = keep_create(&err);
	return fd < 0 ? fd : keep_map(fd, &keep, &err);
}

static int tear_down(void **state)
{
	keep_unmap(keep);
	return close(fd);
}

static void opens_are_taken_and_dropped(void **state)
{
	int a = keep_open_take(keep), b = keep_open_take(keep);
	uint64_t serial = keep->open[a].serial;

	assert_true(a >= 0 && b >= 0 && a != b);
	assert_int_equal(keep->open[a].used, KEEP_CLAIMED);
	assert_int_not_equal(serial, 0);
	assert_int_not_equal(serial, keep->open[b].serial);
	assert_true((int)keep->open_high > a && (int)keep->open_high > b);
	keep->open[a].error = -5;
	keep->open[a].used = KEEP_USED;
	keep_open_drop(keep, a);
	assert_int_equal(keep->open[a].used, KEEP_FREE);
	assert_int_equal(keep_open_take(keep), a); /* the lowest is had again */
	assert_int_equal(keep->open[a].error, 0);
	assert_true(keep->open[a].serial > serial);
	keep_open_drop(keep, a);
	keep_open_drop(keep, b);
}

static void opens_are_used_up(void **state)
{
	char *seen = calloc(KEEP_OPENS, 1);

	assert_non_null(seen);
	for (int n = 0; n < KEEP_OPENS; n++) {
		int slot = keep_open_take(keep);

		assert_true(slot >= 0 && slot < KEEP_OPENS && !seen[slot]);
		seen[slot] = 1;
	}
	assert_int_equal(keep_open_take(keep), -1);
	assert_int_equal(keep->open_high, KEEP_OPENS);
	keep_open_drop(keep, 1234);
	assert_int_equal(keep_open_take(keep), 1234);
	assert_int_equal(keep_open_take(keep), -1);
	for (int n = 0; n < KEEP_OPENS; n++)
		keep_open_drop(keep, n);
	free(seen);
}

/* One that was claimed and not filled in when the server died is nobody's; the others stay. */
static void a_successor_frees_what_was_claimed(void **state)
{
	int used = keep_open_take(keep), claimed = keep_open_take(keep),
	    left = keep_open_take(keep);
	uint64_t serial = keep->open[used].serial, server = keep->server;

	keep->open[used].row = 7;
	keep->open[used].error = -28;
	keep->open[used].used = KEEP_USED;
	keep_open_drop(keep, left);
	keep_unmap(keep);
	assert_int_equal(keep_map(fd, &keep, &(struct err){ 0 }), 0);
	keep_succeed(keep);
	assert_int_equal(keep->server, server + 1);
	assert_int_equal(keep->open[used].used, KEEP_USED);
	assert_int_equal(keep->open[used].serial, serial);
	assert_int_equal(keep->open[used].row, 7);
	assert_int_equal(keep->open[used].error, -28);
	assert_int_equal(keep->open[claimed].used, KEEP_FREE);
	assert_int_equal(keep->open[left].used, KEEP_FREE);
	keep_open_drop(keep, used);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(opens_are_taken_and_dropped),
		TEST(opens_are_used_up),
		TEST(a_successor_frees_what_was_claimed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
