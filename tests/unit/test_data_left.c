/* Requests whose callers were killed, and the emptying of an image: what comes later waits for them, and for nothing else. */
#include "data_rig.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum { LARGE = KEEP_WRITE_MAX * 2 };

static char a[LARGE], b[LARGE], buf[LARGE];

static bool all(const char *bytes, size_t n, char c)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != c)
			return false;
	return true;
}

/* A write of 'a' that hangs in the storage, and that nobody waits for any more. */
static struct data_image *image_with_left_write(struct req *r)
{
	struct data_image *i = open_image(1);

	memset(a, 'a', sizeof a);
	memset(b, 'b', sizeof b);
	disk_hold(HOLD(DISK_WRITE));
	req_begin(r, i, DATA_WRITE, 0, sizeof a, a);
	assert_int_equal(disk_held(DISK_WRITE), 1);
	data_leave(i, &r->io);
	data_leave(i, &r->io); /* once is enough */
	assert_false(r->over);
	return i;
}

static void a_later_write_is_the_last(void **state)
{
	struct req left, later, read, beside;
	struct data_image *i = image_with_left_write(&left);

	req_begin(&later, i, DATA_WRITE, 512, sizeof b, b);
	req_begin(&read, i, DATA_READ, 0, 512, buf);
	assert_int_equal(request(i, DATA_READ, MIB, 512, buf), 0);
	req_begin(&beside, i, DATA_WRITE, MIB, sizeof b, b);
	assert_int_equal(disk_held(DISK_WRITE), 2);
	assert_int_equal(disk_off(DISK_WRITE), MIB);
	assert_int_equal(disk_begun(DISK_READ), 1);
	disk_answer_all();
	assert_int_equal(req_wait(&left), 0);
	assert_int_equal(req_wait(&later), 0);
	assert_int_equal(req_wait(&read), 0);
	assert_int_equal(req_wait(&beside), 0);
	assert_true(all(disk_bytes(1), 512, 'a') && all(disk_bytes(1) + 512, sizeof b, 'b'));
	data_put(i);
}

static void a_kept_write_is_the_last(void **state)
{
	struct req left;
	struct data_image *i = image_with_left_write(&left);

	assert_false(keep_c(i, 0, 512, 'k'));
	assert_true(keep_c(i, MIB, 512, 'k'));
	disk_answer_all();
	assert_int_equal(request(i, DATA_DRAIN, 0, 0, NULL), 0);
	assert_true(all(disk_bytes(1), 512, 'k') && all(disk_bytes(1) + 512, sizeof a - 512, 'a'));
	data_put(i);
}

/* One that is over, one that only reads, one that waits, and one that is not even submitted. */
static void who_leaves_otherwise_stops_nobody(void **state)
{
	struct req over, read, waits, again;
	struct data_image *i = open_image(1);

	memset(b, 'b', sizeof b);
	req_begin(&over, i, DATA_WRITE, 0, sizeof b, b);
	data_leave(i, &over.io);
	disk_hold(HOLD(DISK_READ) | HOLD(DISK_WRITE));
	req_begin(&read, i, DATA_READ, 0, 512, buf);
	data_leave(i, &read.io);
	(void)keep_c(i, 0, 512, 'k');
	req_begin(&waits, i, DATA_WRITE, 0, sizeof a, a);
	assert_int_equal(disk_held(DISK_WRITE), 1);
	data_leave(i, &waits.io);
	assert_true(waits.over);
	assert_int_equal(waits.code, -EINTR);
	disk_answer_all();
	assert_int_equal(req_wait(&read), 0);
	assert_int_equal(request(i, DATA_DRAIN, 0, 0, NULL), 0);
	assert_int_equal(disk_begun(DISK_WRITE), 2);
	again = over; /* with its done() */
	again.over = false;
	again.io.op = DATA_FLUSH;
	data_submit(i, &again.io);
	assert_int_equal(req_wait(&again), -EINTR);
	assert_int_equal(disk_begun(DISK_FLUSH), 0);
	data_put(i);
}

static void who_leaves_before_the_image_is_open(void **state)
{
	struct data_image *i;
	struct req r;

	disk_hold(HOLD(DISK_OPEN));
	i = image_of(1);
	req_begin(&r, i, DATA_EMPTY, 0, 0, NULL);
	data_leave(i, &r.io);
	assert_true(r.over);
	assert_int_equal(r.code, -EINTR);
	disk_bytes(1)[0] = 'x';
	disk_answer_all();
	assert_int_equal(request(i, DATA_READ, 0, 512, buf), 0);
	assert_int_equal(disk_bytes(1)[0], 'x');
	data_put(i);
}

/* Nobody sees half of it, whoever began it. */
static void what_is_emptied_is_waited_for(void **state)
{
	struct req empty, second, read, write, small;
	struct data_image *i = open_image(1);

	memset(a, 'a', sizeof a);
	memset(b, 'b', sizeof b);
	memset(disk_bytes(1), 'x', 8192);
	memset(disk_bytes(1) + MIB, 'x', 8192);
	disk_hold(HOLD(DISK_ZERO));
	req_begin(&empty, i, DATA_EMPTY, 0, 0, NULL);
	WAIT_FOR(disk_held(DISK_ZERO) == 1);
	data_leave(i, &empty.io);
	req_begin(&second, i, DATA_EMPTY, 0, 0, NULL);
	req_begin(&read, i, DATA_READ, MIB, 512, buf);
	req_begin(&write, i, DATA_WRITE, MIB, sizeof b, b);
	req_begin(&small, i, DATA_WRITE, 0, 512, a);
	disk_answer(DISK_ZERO, 0);
	WAIT_FOR(disk_held(DISK_ZERO) == 1);
	assert_false(empty.over || second.over || read.over || write.over || small.over);
	assert_int_equal(disk_begun(DISK_WRITE), 0);
	disk_answer(DISK_ZERO, 0);
	assert_int_equal(req_wait(&empty), 0);
	assert_int_equal(req_wait(&second), 0);
	assert_int_equal(req_wait(&read), 0);
	assert_int_equal(req_wait(&write), 0);
	assert_int_equal(req_wait(&small), 0);
	disk_hold(HOLD_NONE);
	assert_true(all(disk_bytes(1), 512, 'a') && all(disk_bytes(1) + 512, 8192 - 512, 0));
	assert_true(all(disk_bytes(1) + MIB, sizeof b, 'b'));
	data_put(i);
}

/* A successor would carry that out first, and then go on with the emptying: what somebody was told to be written would be gone. */
static void nothing_is_kept_while_it_is_emptied(void **state)
{
	struct data_image *i = open_image(1);
	struct req empty;

	disk_bytes(1)[0] = 'x';
	disk_hold(HOLD(DISK_ZERO));
	req_begin(&empty, i, DATA_EMPTY, 0, 0, NULL);
	WAIT_FOR(disk_held(DISK_ZERO) == 1);
	data_leave(i, &empty.io);
	assert_false(keeps(i, MIB, 512));
	disk_answer_all();
	assert_int_equal(req_wait(&empty), 0);
	assert_true(keeps(i, MIB, 512));
	assert_int_equal(request(i, DATA_DRAIN, 0, 0, NULL), 0);
	data_put(i);
}

static void *quiets(void *over)
{
	must(data_quiet(server, disk_backend(), volumes[1].uuid, true) == 0);
	*(_Atomic bool *)over = true;
	return NULL;
}

/* A snapshot is of before or after. */
static void a_snapshot_waits_until_it_is_empty(void **state)
{
	struct data_image *i = open_image(1);
	_Atomic bool over = false;
	struct req empty;
	pthread_t t;

	memset(disk_bytes(1), 'x', 8192);
	memset(disk_bytes(1) + MIB, 'x', 8192);
	disk_hold(HOLD(DISK_ZERO));
	req_begin(&empty, i, DATA_EMPTY, 0, 0, NULL);
	WAIT_FOR(disk_held(DISK_ZERO) == 1);
	must(pthread_create(&t, NULL, quiets, &over) == 0);
	pause_ms(20);
	assert_false(over);
	disk_answer(DISK_ZERO, 0);
	disk_answer(DISK_ZERO, 0);
	must(pthread_join(t, NULL) == 0);
	WAIT_FOR(empty.over); /* its thread tells it when it no longer counts as under way */
	disk_hold(HOLD_NONE);
	assert_true(all(disk_bytes(1), 8192, 0) && all(disk_bytes(1) + MIB, 8192, 0));
	data_go_on(server, disk_backend(), volumes[1].uuid);
	data_put(i);
}

/* It takes long, and as many at once as there are threads are no reason that no image can be opened. */
static void emptying_takes_no_thread(void **state)
{
	struct data_image *i[6];
	struct req empty[6];

	disk_hold(HOLD(DISK_ZERO));
	for (int n = 1; n < 6; n++) {
		i[n] = open_image(n);
		disk_bytes(n)[0] = 'x';
		req_begin(&empty[n], i[n], DATA_EMPTY, 0, 0, NULL);
	}
	WAIT_FOR(disk_held(DISK_ZERO) == 5);
	data_put(open_image(6));
	disk_answer(DISK_ZERO, -EIO);
	disk_answer_all();
	assert_int_equal(req_wait(&empty[1]) + req_wait(&empty[2]) + req_wait(&empty[3]) +
				 req_wait(&empty[4]) + req_wait(&empty[5]),
		-EIO);
	for (int n = 1; n < 6; n++)
		data_put(i[n]);
}

/* A caller is killed, and its description goes, while it waits for a thread to look for a hole, or before it submits what comes next. */
static void who_is_killed_puts_the_image(void **state)
{
	struct data_image *busy = open_image(1), *asked = open_image(2), *held = open_image(3);
	struct answer first[4] = { 0 }, last = { 0 };
	uint64_t off;
	struct req r;

	disk_hold(HOLD(DISK_NEXT));
	for (int n = 0; n < 4; n++)
		data_next(busy, 0, false, answered, &first[n]);
	WAIT_FOR(disk_begun(DISK_NEXT) == 4);
	data_next(asked, 0, false, answered, &last);
	data_put(asked);
	data_hold(held);
	req_begin(&r, held, DATA_WRITE, 0, 512, buf);
	data_put(held);
	assert_int_equal(data_let_go(server, disk_backend(), volumes[3].uuid), 0);
	run_ahead(60);
	pause_ms(1500); /* they would be forgotten by now */
	disk_answer_all();
	for (int n = 0; n < 4; n++)
		assert_int_equal(answer_wait(&first[n], &off), -ENXIO);
	assert_int_equal(answer_wait(&last, &off), -ENXIO);
	data_leave(held, &r.io);
	r.over = false;
	data_submit(held, &r.io);
	assert_int_equal(req_wait(&r), -EINTR);
	data_unhold(held);
	data_put(busy);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, data_set_up, data_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_later_write_is_the_last),
		TEST(a_kept_write_is_the_last),
		TEST(who_leaves_otherwise_stops_nobody),
		TEST(who_leaves_before_the_image_is_open),
		TEST(what_is_emptied_is_waited_for),
		TEST(nothing_is_kept_while_it_is_emptied),
		TEST(a_snapshot_waits_until_it_is_empty),
		TEST(emptying_takes_no_thread),
		TEST(who_is_killed_puts_the_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
