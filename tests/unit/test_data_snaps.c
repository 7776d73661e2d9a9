/* The bytes of volumes while a snapshot is taken, and the bytes of snapshots. */
#include "data_rig.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static char buf[KEEP_WRITE_MAX * 4];

static bool all(const char *bytes, size_t n, char c)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != c)
			return false;
	return true;
}

/* A call that waits, in a thread of its own. */
struct call {
	pthread_t thread;
	int (*run)(const struct call *c);
	int64_t volume;
	bool stop;
	_Atomic bool over;
	int code;
};

static int quiets(const struct call *c)
{
	return data_quiet(server, disk_backend(), volumes[c->volume].uuid, c->stop);
}

static int lets_go(const struct call *c)
{
	return data_let_go(server, disk_backend(), volumes[c->volume].uuid);
}

static void *call_run(void *arg)
{
	struct call *c = arg;

	c->code = c->run(c);
	c->over = true;
	return NULL;
}

static void call_begin(struct call *c, int (*run)(const struct call *), int64_t volume, bool stop)
{
	*c = (struct call){ .run = run, .volume = volume, .stop = stop };
	must(pthread_create(&c->thread, NULL, call_run, c) == 0);
}

static int call_end(struct call *c)
{
	WAIT_FOR(c->over);
	must(pthread_join(c->thread, NULL) == 0);
	return c->code;
}

static int quiet(int64_t volume, bool stop)
{
	struct call c;

	call_begin(&c, quiets, volume, stop);
	return call_end(&c);
}

static void go_on(int64_t volume)
{
	data_go_on(server, disk_backend(), volumes[volume].uuid);
}

/* --- quiet */

static void what_was_kept_is_carried_out(void **state)
{
	struct data_image *i = open_image(1);
	struct call c;

	for (int stop = 0; stop < 2; stop++) {
		disk_hold(HOLD(DISK_WRITE));
		(void)keep_c(i, 0, 512, 'a');
		(void)keep_c(i, 0, 512, 'b'); /* waits for the first */
		(void)keep_c(i, 4096, 512, 'c');
		call_begin(&c, quiets, 1, stop);
		for (int n = 0; n < 3; n++) {
			pause_ms(10);
			assert_false(c.over);
			disk_answer(DISK_WRITE, 0);
		}
		assert_int_equal(call_end(&c), 0);
		assert_true(all(disk_bytes(1), 512, 'b'));
		assert_true(all(disk_bytes(1) + 4096, 512, 'c'));
		memset(disk_bytes(1), 0, DISK_BYTES);
		go_on(1);
	}
	data_put(i);
}

static void writes_wait_until_it_goes_on(void **state)
{
	struct data_image *i = open_image(1);
	struct req before, w, z, r, f;
	struct call c;
	char in[512];

	memset(buf, 'w', sizeof buf);
	disk_hold(HOLD(DISK_WRITE));
	req_begin(&before, i, DATA_WRITE, 0, 512, buf);
	call_begin(&c, quiets, 1, true);
	pause_ms(10);
	assert_false(c.over); /* what is under way ends first */
	disk_answer(DISK_WRITE, 0);
	assert_int_equal(req_wait(&before), 0);
	assert_int_equal(call_end(&c), 0);
	disk_hold(HOLD_NONE);

	assert_false(keeps(i, 8192, 512));
	req_begin(&w, i, DATA_WRITE, 8192, 512, buf);
	req_begin(&z, i, DATA_ZERO, 0, 512, NULL);
	req_begin(&r, i, DATA_READ, 8192, 512, in);
	req_begin(&f, i, DATA_FLUSH, 0, 0, NULL);
	assert_int_equal(req_wait(&r), 0);
	assert_int_equal(req_wait(&f), 0);
	assert_true(all(in, 512, 0));
	assert_int_equal(request(i, DATA_DRAIN, 0, 0, NULL), 0);
	pause_ms(10);
	assert_false(w.over || z.over);
	assert_int_equal(disk_begun(DISK_WRITE), 1);
	assert_int_equal(disk_begun(DISK_ZERO), 0);

	go_on(1);
	assert_int_equal(req_wait(&w), 0);
	assert_int_equal(req_wait(&z), 0);
	assert_true(all(disk_bytes(1) + 8192, 512, 'w'));
	assert_true(all(disk_bytes(1), 512, 0));
	assert_true(keeps(i, 0, 512));
	data_put(i);
}

static void a_zeroing_under_way_ends_first(void **state)
{
	struct data_image *i;
	struct call c;
	struct req z;

	volumes[1].size = GIB;
	i = open_image(1);
	disk_hold(HOLD(DISK_ZERO));
	req_begin(&z, i, DATA_ZERO, 0, 600 * MIB, NULL);
	call_begin(&c, quiets, 1, true);
	for (int n = 0; n < 3; n++) {
		pause_ms(10);
		assert_false(c.over);
		disk_answer(DISK_ZERO, 0);
	}
	assert_int_equal(req_wait(&z), 0);
	assert_int_equal(call_end(&c), 0);
	go_on(1);
	data_put(i);
}

/* Where the storage takes snapshots by itself, nobody waits. */
static void without_stop_nothing_waits(void **state)
{
	struct data_image *i = open_image(1);
	struct req w;

	disk_hold(HOLD(DISK_WRITE));
	req_begin(&w, i, DATA_WRITE, 0, 512, buf); /* its caller has not been told */
	assert_int_equal(quiet(1, false), 0);
	disk_answer(DISK_WRITE, 0);
	assert_int_equal(req_wait(&w), 0);
	disk_hold(HOLD_NONE);
	assert_true(keeps(i, 0, 512));
	assert_int_equal(request(i, DATA_WRITE, 0, 512, buf), 0);
	go_on(1); /* does nothing */
	data_put(i);
}

static void only_its_own_image_is_stopped(void **state)
{
	struct data_image *i = open_image(1), *k = open_image(2);
	struct req w;

	assert_int_equal(quiet(1, true), 0);
	assert_int_equal(request(k, DATA_WRITE, 0, 512, buf), 0);
	req_begin(&w, i, DATA_WRITE, 0, 512, buf);
	go_on(2);
	data_go_on(server, state, volumes[1].uuid); /* another backend's of that name */
	pause_ms(10);
	assert_false(w.over);
	go_on(1);
	assert_int_equal(req_wait(&w), 0);
	data_put(i);
	data_put(k);
}

static void who_opens_it_meanwhile_finds_it_stopped(void **state)
{
	struct data_image *i;
	struct req w;

	assert_int_equal(quiet(1, true), 0); /* nobody has it */
	assert_int_equal(disk_begun(DISK_OPEN), 0);
	i = open_image(1);
	assert_false(keeps(i, 0, 512));
	req_begin(&w, i, DATA_WRITE, 0, 512, buf);
	pause_ms(10);
	assert_false(w.over);
	go_on(1);
	assert_int_equal(req_wait(&w), 0);
	data_put(i);
}

static void it_may_be_closed_meanwhile(void **state)
{
	struct data_image *i = open_image(1);
	struct req w;

	assert_int_equal(quiet(1, true), 0);
	data_put(i);
	run_ahead(60);
	WAIT_FOR(disk_begun(DISK_CLOSE) == 1);
	i = open_image(1);
	req_begin(&w, i, DATA_WRITE, 0, 512, buf);
	pause_ms(10);
	assert_false(w.over);
	go_on(1);
	assert_int_equal(req_wait(&w), 0);
	data_put(i);
}

static void two_stop_it_one_after_the_other(void **state)
{
	struct data_image *i = open_image(1);
	struct call second;
	struct req w;

	assert_int_equal(quiet(1, true), 0);
	call_begin(&second, quiets, 1, true);
	req_begin(&w, i, DATA_WRITE, 0, 512, buf);
	pause_ms(20);
	assert_false(second.over);
	go_on(1);
	assert_int_equal(call_end(&second), 0);
	go_on(1);
	assert_int_equal(req_wait(&w), 0);
	assert_int_equal(quiet(1, true), 0);
	go_on(1);
	data_put(i);
}

static void one_that_cannot_be_opened(void **state)
{
	struct data_image *i = open_image(1);
	struct call c;

	disk_hold(HOLD(DISK_WRITE));
	(void)keep_c(i, 0, 512, 'a');
	(void)keep_c(i, 0, 512, 'b');
	server_forget(); /* it dies with what it kept */
	disk_forget();
	disk_hold(HOLD(DISK_OPEN));
	server_new();
	call_begin(&c, quiets, 1, true);
	disk_answer(DISK_OPEN, -ETIMEDOUT);
	if (!c.over) { /* it came after that answer */
		pause_ms(50);
		if (!c.over)
			disk_answer(DISK_OPEN, -ETIMEDOUT);
	}
	assert_int_equal(call_end(&c), -ETIMEDOUT);
	disk_answer_all();
	WAIT_FOR(kept_places() == 0);
	i = open_image(1);
	assert_true(keeps(i, 8192, 512)); /* it has gone on */
	data_put(i);
}

/* A volume that is written from its beginning takes no thread while it waits: those are needed to open others. */
static void discards_wait_without_a_thread(void **state)
{
	enum { MANY = 10 };
	static struct req r[MANY];
	struct data_image *i = open_image(1), *k;

	memset(disk_bytes(1), 'x', MIB);
	memset(r, 0, sizeof r);
	assert_int_equal(quiet(1, true), 0);
	for (int n = 0; n < MANY; n++)
		req_begin(&r[n], i, DATA_EMPTY, 0, 0, NULL);
	k = open_image(2);
	assert_int_equal(request(k, DATA_READ, 0, 512, buf), 0);
	assert_true(all(disk_bytes(1), MIB, 'x'));
	go_on(1);
	for (int n = 0; n < MANY; n++)
		assert_int_equal(req_wait(&r[n]), 0);
	assert_true(all(disk_bytes(1), DISK_BYTES, 0));
	data_put(i);
	data_put(k);
}

/* An engine begins before the filesystem does, which knows what a dead server kept. */
static void a_dead_servers_writes_come_first(void **state)
{
	struct data_image *i = open_image(1);
	struct call q, gone;

	disk_hold(HOLD(DISK_WRITE));
	(void)keep_c(i, 0, 512, 'a');
	server_forget();
	disk_forget();
	server_begin();
	call_begin(&q, quiets, 1, true);
	call_begin(&gone, lets_go, 2, false);
	pause_ms(20);
	assert_false(q.over || gone.over);
	server_recover();
	assert_int_equal(call_end(&q), 0);
	assert_int_equal(call_end(&gone), 0);
	assert_true(all(disk_bytes(1), 512, 'a'));
	go_on(1);
}

static void the_server_ends_meanwhile(void **state)
{
	struct call before, second;

	server_end();
	server_begin();
	call_begin(&before, quiets, 1, true);
	call_begin(&second, lets_go, 1, false);
	pause_ms(20);
	data_stop(server, 0);
	assert_int_equal(call_end(&before), -EAGAIN);
	assert_int_equal(call_end(&second), -EBUSY);
	assert_true(data_free(server));
	server_new();
	assert_int_equal(quiet(1, true), 0);
	call_begin(&second, quiets, 1, true);
	pause_ms(20);
	data_stop(server, 0);
	assert_int_equal(call_end(&second), -EAGAIN);
	go_on(1);
}

/* Writers, and somebody who takes snapshots: in each of these, of two places that are written one after the other the first has never less
 * than the second. */
static _Atomic bool writers_end;

static void *write_on(void *arg)
{
	struct data_image *i = arg;

	for (unsigned n = 1; !writers_end; n++)
		for (uint64_t off = 0; off < 2; off++) {
			struct data_io *io;

			if (data_keep_write(i, off * MIB, sizeof n, &n, &io))
				data_submit_kept(io);
			else
				must(request(i, DATA_WRITE, off * MIB, sizeof n, &n) == 0);
		}
	return NULL;
}

static unsigned at(uint64_t off)
{
	unsigned n;

	memcpy(&n, disk_bytes(1) + off, sizeof n);
	return n;
}

static void a_stopped_image_stands_still(void **state)
{
	struct data_image *i = open_image(1);
	pthread_t writer;

	disk_threads(4);
	writers_end = false;
	must(pthread_create(&writer, NULL, write_on, i) == 0);
	for (int n = 0; n < 200; n++) {
		unsigned first, second;

		must(data_quiet(server, disk_backend(), volumes[1].uuid, true) == 0);
		first = at(0);
		second = at(MIB);
		must(first == second || first == second + 1);
		if (n % 10 == 0) {
			pause_ms(1);
			must(at(0) == first && at(MIB) == second);
		}
		go_on(1);
	}
	writers_end = true;
	must(pthread_join(writer, NULL) == 0);
	data_put(i);
	server_end();
	disk_threads(0);
}

/* --- snapshots */

static struct snapshot snapshot(int64_t row)
{
	struct snapshot s = { .id = row, .volume = 1, .size = MIB };

	memcpy(s.uuid, volumes[row].uuid, sizeof s.uuid);
	return s;
}

static struct data_image *snapshot_of(int64_t row)
{
	struct snapshot s = snapshot(row);
	struct data_image *i;
	struct err err = { 0 };

	must(data_get_snapshot(server, &volumes[1], &s, &i, &err) == 0);
	return i;
}

static void a_snapshot_is_another_image(void **state)
{
	struct data_image *i = open_image(1), *s = snapshot_of(5), *same = snapshot_of(5),
			  *other = snapshot_of(1), *two = image_of(5);

	assert_ptr_equal(s, same);
	assert_ptr_not_equal(s, i);
	assert_ptr_not_equal(other, i); /* rows of both are counted apart */
	assert_ptr_not_equal(two, s);
	memset(disk_bytes(5), 's', DISK_BYTES);
	assert_int_equal(request(s, DATA_READ, 0, 512, buf), 0);
	assert_true(all(buf, 512, 's'));
	assert_int_equal(request(i, DATA_READ, 0, 512, buf), 0);
	assert_true(all(buf, 512, 0));
	assert_int_equal(data_size(s), MIB);
	data_resized(server, 1, 2 * DISK_BYTES);
	data_resized(server, 5, 2 * DISK_BYTES);
	assert_int_equal(data_size(i), 2 * DISK_BYTES);
	assert_int_equal(data_size(s), MIB);
	data_put(i);
	data_put(s);
	data_put(same);
	data_put(other);
	data_put(two);
}

static void it_is_let_go_by_its_own_name(void **state)
{
	struct data_image *i = open_image(1), *s = snapshot_of(5);

	assert_int_equal(request(s, DATA_DRAIN, 0, 0, NULL), 0);
	data_put(i);
	assert_int_equal(data_let_go(server, disk_backend(), volumes[5].uuid), -EBUSY);
	assert_int_equal(data_let_go(server, disk_backend(), volumes[1].uuid), 0);
	assert_int_equal(disk_begun(DISK_CLOSE), 1);
	assert_int_equal(request(s, DATA_READ, 0, 512, buf), 0); /* it is open still */
	data_put(s);
	assert_int_equal(data_let_go(server, disk_backend(), volumes[5].uuid), 0);
	assert_int_equal(disk_begun(DISK_CLOSE), 2);
}

static void it_is_read_while_the_next_is_taken(void **state)
{
	struct data_image *s = snapshot_of(5);

	assert_int_equal(quiet(1, true), 0);
	assert_int_equal(request(s, DATA_READ, 0, 512, buf), 0);
	go_on(1);
	data_put(s);
}

static void an_idle_one_is_closed(void **state)
{
	struct data_image *s = snapshot_of(5);

	assert_int_equal(request(s, DATA_READ, 0, 512, buf), 0);
	data_put(s);
	run_ahead(60);
	WAIT_FOR(disk_begun(DISK_CLOSE) == 1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, data_set_up, data_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_was_kept_is_carried_out),
		TEST(writes_wait_until_it_goes_on),
		TEST(a_zeroing_under_way_ends_first),
		TEST(without_stop_nothing_waits),
		TEST(only_its_own_image_is_stopped),
		TEST(who_opens_it_meanwhile_finds_it_stopped),
		TEST(it_may_be_closed_meanwhile),
		TEST(two_stop_it_one_after_the_other),
		TEST(one_that_cannot_be_opened),
		TEST(discards_wait_without_a_thread),
		TEST(a_dead_servers_writes_come_first),
		TEST(the_server_ends_meanwhile),
		TEST(a_stopped_image_stands_still),
		TEST(a_snapshot_is_another_image),
		TEST(it_is_let_go_by_its_own_name),
		TEST(it_is_read_while_the_next_is_taken),
		TEST(an_idle_one_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
