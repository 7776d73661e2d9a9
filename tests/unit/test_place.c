/* Where readers of streams are: what a successor finds however often its predecessors were killed, and how many a user may have. */
#include "unit.h"

#include "fs/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX = 3, ALICE = 1001, BOB = 1002 };

static struct conf conf = { .max_blocked = MAX };
static struct change_id request;
static struct fs fs;

struct change_id session_change_id(struct session *s)
{
	return request;
}

bool who_is_admin(struct fs *f, const struct ctx *c)
{
	return c->uid == 0;
}

static int set_up(void **state)
{
	struct err err;
	int fd = keep_create(&err);

	assert_true(fd >= 0);
	request = (struct change_id){ .unique = 2 };
	fs = (struct fs){ .conf = &conf };
	assert_int_equal(keep_map(fd, &fs.keep, &err), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(places_new(&fs), 0);
	return 0;
}

static int tear_down(void **state)
{
	places_free(fs.places);
	keep_unmap(fs.keep);
	return 0;
}

static int open_as(uid_t uid, uint64_t *ret_fh)
{
	struct ctx c = { .fs = &fs, .uid = uid };

	request.unique += 2;
	return place_open(&c, ret_fh);
}

static void is_at(uint64_t fh, off_t off, int64_t pos)
{
	int64_t got = -1;

	assert_true(place_find(&fs, fh, off, &got));
	assert_int_equal(got, pos);
}

/* As log_reply() and the others do: where the answer begins, and its end. */
static void answer(uint64_t fh, off_t off, int64_t pos, off_t end, int64_t next)
{
	place_next(&fs, fh, off, pos);
	place_next(&fs, fh, end, next);
	is_at(fh, off, pos);
	is_at(fh, end, next);
}

static void an_answer_can_be_given_any_number_of_times(void **state)
{
	uint64_t fh;
	int64_t pos;

	assert_int_equal(open_as(ALICE, &fh), 0);
	place_next(&fs, fh, 0, 10);
	for (int i = 0; i < 3; i++)
		answer(fh, 0, 10, 100, 20);
	for (int i = 0; i < 3; i++)
		answer(fh, 100, 20, 250 + i, 30 + i); /* a successor may have more to say */
	assert_true(place_latest(&fs, fh, &pos));
	assert_int_equal(pos, 32);
	answer(fh, 100, 20, 110, 21); /* it seeks back, and reads less */
	assert_false(place_find(&fs, fh, 252, &pos));
	place_drop(&fs, fh);
}

static void others_moved_on_while_it_waited(void **state)
{
	uint64_t fh;

	assert_int_equal(open_as(ALICE, &fh), 0);
	place_next(&fs, fh, 0, 10);
	for (int64_t pos = 11; pos < 15; pos++) {
		place_next(&fs, fh, 0, pos);
		is_at(fh, 0, pos);
	}
	answer(fh, 0, 14, 50, 15);
	place_drop(&fs, fh);
}

static void a_part_is_found_by_every_offset_in_it(void **state)
{
	enum { FIRST = 7 };
	struct part p;
	uint64_t fh;

	assert_int_equal(open_as(ALICE, &fh), 0);
	assert_true(place_part(&fs, fh, 0, FIRST, &p));
	assert_int_equal(p.pos, FIRST);
	assert_int_equal(p.end, 0);
	place_part_read(&fs, fh, &p, 100, 20);
	assert_true(place_part(&fs, fh, 100, FIRST, &p));
	assert_int_equal(p.begin, 100);
	assert_int_equal(p.pos, 20);
	place_part_read(&fs, fh, &p, 50, 30);
	for (off_t off = 101; off < 150; off++) {
		assert_true(place_part(&fs, fh, off, FIRST, &p));
		assert_int_equal(p.begin, 100);
		assert_int_equal(p.end, 150);
		assert_int_equal(p.pos, 20);
	}
	assert_false(place_part(&fs, fh, 99, FIRST, &p)); /* a part before the latest */
	assert_false(place_part(&fs, fh, 151, FIRST, &p));
	assert_true(place_part(&fs, fh, 0, FIRST, &p)); /* anew */
	assert_int_equal(p.pos, FIRST);
	place_drop(&fs, fh);
}

static void nobody_takes_all_of_them(void **state)
{
	uint64_t fh[MAX + 1], other, again;

	for (int i = 0; i < MAX; i++)
		assert_int_equal(open_as(ALICE, &fh[i]), 0);
	assert_int_equal(open_as(ALICE, &fh[MAX]), -EAGAIN);
	assert_int_equal(open_as(BOB, &other), 0);
	for (int i = 0; i < 2 * MAX; i++)
		assert_int_equal(open_as(0, &again), 0);

	places_free(fs.places); /* a later server counts those that there are */
	assert_int_equal(places_new(&fs), 0);
	assert_int_equal(open_as(ALICE, &again), -EAGAIN);
	assert_true(place_is_of(&fs, fh[0], ALICE));
	assert_false(place_is_of(&fs, fh[0], BOB));
	place_drop(&fs, fh[0]);
	place_drop(&fs, fh[0]);
	assert_int_equal(open_as(ALICE, &again), 0);
	assert_int_equal(open_as(ALICE, &fh[0]), -EAGAIN);
}

static void an_open_that_is_sent_again_makes_no_second_one(void **state)
{
	struct ctx c = { .fs = &fs, .uid = ALICE };
	uint64_t fh, again;

	assert_int_equal(open_as(ALICE, &fh), 0);
	request.resent = true;
	assert_int_equal(place_open(&c, &again), 0);
	assert_int_equal(again, fh);
	assert_int_equal(place_count(&fs), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_can_be_given_any_number_of_times),
		TEST(others_moved_on_while_it_waited),
		TEST(a_part_is_found_by_every_offset_in_it),
		TEST(nobody_takes_all_of_them),
		TEST(an_open_that_is_sent_again_makes_no_second_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
