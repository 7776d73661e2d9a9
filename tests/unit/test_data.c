/* The bytes of volumes: in which order requests reach the storage, what is kept, and the life of an open image. */
#include "data_rig.h"
#include "unit.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char buf[KEEP_WRITE_MAX * 4];

static bool all(const char *bytes, size_t n, char c)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != c)
			return false;
	return true;
}

/* --- requests */

static void requests_wait_for_the_image(void **state)
{
	struct data_image *i;
	struct req w, r;
	char in[100];

	backend_ready(false);
	disk_hold(HOLD(DISK_OPEN));
	i = image_of(1);
	memset(buf, 'a', 100);
	req_begin(&w, i, DATA_WRITE, 4096, 100, buf);
	assert_int_equal(disk_begun(DISK_OPEN), 0);
	backend_ready(true);
	WAIT_FOR(disk_held(DISK_OPEN) == 1);
	req_begin(&r, i, DATA_READ, 8192, 100, in);
	assert_int_equal(disk_begun(DISK_WRITE) + disk_begun(DISK_READ), 0);
	assert_false(w.over || r.over);
	disk_answer(DISK_OPEN, 0);
	assert_int_equal(req_wait(&w), 0);
	assert_int_equal(req_wait(&r), 0);
	assert_true(all(disk_bytes(1) + 4096, 100, 'a') && all(in, 100, 0));
	assert_int_equal(disk_begun(DISK_OPEN), 1);
	data_put(i);
}

static void an_image_that_cannot_be_opened(void **state)
{
	struct data_image *i;
	struct req r[3];

	disk_hold(HOLD(DISK_OPEN));
	i = image_of(1);
	req_begin(&r[0], i, DATA_READ, 0, 10, buf);
	req_begin(&r[1], i, DATA_FLUSH, 0, 0, NULL);
	req_begin(&r[2], i, DATA_DRAIN, 0, 0, NULL);
	disk_answer(DISK_OPEN, -ETIMEDOUT);
	for (int n = 0; n < 3; n++)
		assert_int_equal(req_wait(&r[n]), -ETIMEDOUT);
	disk_hold(HOLD_NONE);
	assert_int_equal(request(i, DATA_READ, 0, 10, buf), 0); /* the next one tries again */
	data_put(i);
}

static void errors_are_passed_on(void **state)
{
	static const struct {
		enum data_op op;
		enum disk_op at;
	} kinds[] = {
		{ DATA_READ, DISK_READ },
		{ DATA_WRITE, DISK_WRITE },
		{ DATA_ZERO, DISK_ZERO },
		{ DATA_FLUSH, DISK_FLUSH },
	};
	struct data_image *i = open_image(1);

	for (size_t n = 0; n < COUNT(kinds); n++) {
		uint64_t len = kinds[n].op == DATA_FLUSH ? 0 : 10;
		struct req r;

		disk_fail(kinds[n].at, -ENOSPC);
		assert_int_equal(request(i, kinds[n].op, 0, len, buf), -ENOSPC);
		disk_hold(HOLD(kinds[n].at));
		req_begin(&r, i, kinds[n].op, 0, len, buf);
		assert_false(r.over);
		disk_answer(kinds[n].at, -EIO); /* not within the call */
		assert_int_equal(req_wait(&r), -EIO);
		disk_hold(HOLD_NONE);
		assert_int_equal(request(i, kinds[n].op, 0, len, buf), 0);
	}
	assert_int_equal(failures, 2); /* the flushes: whoever writes to it is to know */
	data_put(i);
}

static void images_are_counted(void **state)
{
	struct data_image *i = image_of(1), *j = image_of(1), *k = image_of(2);
	struct volume other = { .id = UNCONFIGURED };
	struct err err = { 0 };

	assert_ptr_equal(i, j);
	assert_ptr_not_equal(i, k);
	assert_int_equal(data_get(server, &other, false, &i, &err), -EIO);
	assert_string_equal(err.text, "its backend is not configured");
	assert_int_equal(data_size(j), DISK_BYTES);
	data_resized(server, 1, 2 * DISK_BYTES);
	data_resized(server, 3, 1); /* nobody has it */
	assert_int_equal(data_size(j), 2 * DISK_BYTES);
	assert_int_equal(data_size(k), DISK_BYTES);
	data_put(j);
	data_put(j);
	data_put(k);
}

/* A driver that answers within the call must not make the stack grow with each step, or with each that waited. */
static void nothing_piles_up_on_the_stack(void **state)
{
	enum { MANY = 60000 };
	struct req *r = calloc(MANY, sizeof *r);
	struct data_image *i;

	must(r);
	volumes[1].size = 64 * TIB;
	backend_ready(false);
	i = image_of(1);
	for (int n = 0; n < MANY; n++)
		req_begin(&r[n], i, DATA_READ, 0, 10, buf);
	backend_ready(true);
	for (int n = 0; n < MANY; n++)
		must(req_wait(&r[n]) == 0);
	assert_int_equal(request(i, DATA_ZERO, 0, 64 * TIB, NULL), 0);
	assert_int_equal(disk_begun(DISK_ZERO), 64 * TIB / (256 * MIB));
	free(r);
	data_put(i);
}

static void zeroes_go_in_steps(void **state)
{
	struct data_image *i;
	struct req r;

	volumes[1].size = TIB;
	i = open_image(1);
	memset(disk_bytes(1), 'x', DISK_BYTES);
	disk_hold(HOLD(DISK_ZERO));
	req_begin(&r, i, DATA_ZERO, 4096, 600 * MIB, NULL);
	for (unsigned n = 0; n < 3; n++) {
		assert_false(r.over);
		assert_int_equal(disk_begun(DISK_ZERO), n + 1);
		assert_int_equal(disk_off(DISK_ZERO), 4096 + n * 256 * MIB);
		assert_int_equal(disk_len(DISK_ZERO), (n < 2 ? 256 : 88) * MIB);
		disk_answer(DISK_ZERO, 0);
	}
	assert_int_equal(req_wait(&r), 0);
	assert_int_equal(disk_held(DISK_ZERO), 0);
	assert_true(all(disk_bytes(1), 4096, 'x'));
	assert_true(all(disk_bytes(1) + 4096, DISK_BYTES - 4096, 0));
	req_begin(&r, i, DATA_ZERO, 0, 600 * MIB, NULL);
	disk_answer(DISK_ZERO, 0);
	disk_answer(DISK_ZERO, -EIO); /* no third */
	assert_int_equal(req_wait(&r), -EIO);
	assert_int_equal(disk_begun(DISK_ZERO), 5);
	data_put(i);
}

/* --- kept writes */

static void a_kept_write_is_told_at_once(void **state)
{
	struct data_image *i = open_image(1);
	const struct keep_write *w = NULL;

	disk_hold(HOLD_ALL);
	assert_true(keep_c(i, 100, 5000, 'k'));
	assert_int_equal(kept_places(), 1);
	for (int n = 0; n < KEEP_WRITES; n++)
		if (keep->write[n].used == KEEP_USED)
			w = &keep->write[n];
	assert_int_equal(w->volume, 1);
	assert_int_equal(w->off, 100);
	assert_int_equal(w->len, 5000);
	assert_true(all(w->bytes, 5000, 'k'));
	assert_int_equal(disk_held(DISK_WRITE), 1);
	assert_true(all(disk_bytes(1), DISK_BYTES, 0));
	disk_answer(DISK_WRITE, 0);
	assert_true(all(disk_bytes(1) + 100, 5000, 'k'));
	assert_int_equal(disk_bytes(1)[99] | disk_bytes(1)[5100], 0);
	assert_int_equal(kept_places(), 0);
	assert_int_equal(failures, 0);
	data_put(i);
}

static void what_is_not_kept(void **state)
{
	struct data_image *i;

	disk_hold(HOLD(DISK_OPEN));
	i = image_of(1);
	assert_false(keeps(i, 0, 10)); /* not open yet */
	disk_answer(DISK_OPEN, 0);
	assert_false(keeps(i, 0, KEEP_WRITE_MAX + 1));
	assert_true(keeps(i, 0, KEEP_WRITE_MAX));
	data_stop(server, 0);
	assert_false(keeps(i, 0, 10));
	data_put(i);
}

/* off: of a kept write of 4 KiB; waits: does this one wait for it? */
struct meeting {
	uint64_t kept, off, len;
	bool waits;
};
static const struct meeting meetings[] = {
	{ 16384, 16384, 4096, true },
	{ 16384, 20479, 1, true },
	{ 16384, 20480, 4096, false }, /* right behind it, in the same block */
	{ 16384, 12288, 4096, false },
	{ 16384, 12288, 4097, true },
	{ 20480, 16384, 4096, false }, /* right before it, in the same block */
	{ 14336, 16384, 512, true },   /* in the second of two blocks */
	{ 14336, 18432, 512, false },
	{ 16384, 16384 + 64 * MIB, 4096, false }, /* the same counter */
	{ 16384, 0, 32768, true },
};

static void meet(struct data_image *i, const struct meeting *m, enum data_op op, enum disk_op at)
{
	unsigned before = disk_begun(at);
	struct req r;

	memset(buf, 'w', m->len);
	assert_true(keep_c(i, m->kept, 4096, 'k'));
	before += at == DISK_WRITE;
	req_begin(&r, i, op, m->off, m->len, buf);
	assert_int_equal(disk_begun(at), before + !m->waits);
	disk_answer(DISK_WRITE, 0);
	assert_int_equal(disk_begun(at), before + 1);
	assert_false(r.over);
	disk_answer(at, 0);
	assert_int_equal(req_wait(&r), 0);
	assert_int_equal(kept_places(), 0);
}

static void what_overlaps_waits(void **state)
{
	struct data_image *i;

	volumes[1].size = TIB;
	i = open_image(1);
	disk_hold(HOLD_ALL);
	for (size_t n = 0; n < COUNT(meetings); n++) {
		meet(i, &meetings[n], DATA_READ, DISK_READ);
		meet(i, &meetings[n], DATA_WRITE, DISK_WRITE);
		meet(i, &meetings[n], DATA_ZERO, DISK_ZERO);
	}
	data_put(i);
}

static void what_waited_sees_it(void **state)
{
	struct data_image *i = open_image(1);
	struct req r, z, w;
	char in[8192];

	disk_hold(HOLD(DISK_WRITE));
	(void)keep_c(i, 0, 4096, 'k');
	req_begin(&r, i, DATA_READ, 0, sizeof in, in);
	disk_answer(DISK_WRITE, 0);
	assert_int_equal(req_wait(&r), 0);
	assert_true(all(in, 4096, 'k') && all(in + 4096, 4096, 0));

	(void)keep_c(i, 0, 4096, 'l');
	req_begin(&z, i, DATA_ZERO, 0, 2048, NULL);
	disk_answer(DISK_WRITE, 0);
	assert_int_equal(req_wait(&z), 0);
	assert_true(all(disk_bytes(1), 2048, 0) && all(disk_bytes(1) + 2048, 2048, 'l'));

	(void)keep_c(i, 0, 4096, 'm');
	memset(buf, 'w', sizeof buf);
	req_begin(&w, i, DATA_WRITE, 4000, sizeof buf, buf);
	disk_answer(DISK_WRITE, 0);
	disk_answer(DISK_WRITE, 0);
	assert_int_equal(req_wait(&w), 0);
	assert_true(all(disk_bytes(1), 4000, 'm') && all(disk_bytes(1) + 4000, sizeof buf, 'w'));
	data_put(i);
}

static void kept_ones_keep_their_order(void **state)
{
	struct data_image *i = open_image(1);

	disk_hold(HOLD(DISK_WRITE));
	assert_true(keep_c(i, 0, 4096, '1'));
	assert_false(keep_c(i, 2048, 4096, '2'));
	assert_false(keep_c(i, 4096, 4096, '3')); /* waits for 2 */
	assert_true(keep_c(i, 8192, 4096, '4'));
	assert_int_equal(disk_held(DISK_WRITE), 2);
	disk_answer(DISK_WRITE, 0);
	assert_int_equal(disk_held(DISK_WRITE), 2);
	assert_int_equal(disk_off(DISK_WRITE), 2048);
	disk_answer(DISK_WRITE, 0); /* 4 */
	assert_int_equal(disk_held(DISK_WRITE), 1);
	disk_answer(DISK_WRITE, 0); /* 2 */
	disk_answer(DISK_WRITE, 0);
	assert_true(all(disk_bytes(1), 2048, '1'));
	assert_true(all(disk_bytes(1) + 2048, 2048, '2'));
	assert_true(all(disk_bytes(1) + 4096, 4096, '3'));
	assert_true(all(disk_bytes(1) + 8192, 4096, '4'));
	data_put(i);
}

static void flush_and_drain_wait_for_those_before(void **state)
{
	struct data_image *i = open_image(1), *j = open_image(2);
	struct req f, d, w;

	disk_hold(HOLD(DISK_WRITE) | HOLD(DISK_FLUSH));
	(void)keep_c(j, 0, 512, 'j');
	(void)keep_c(i, 0, 512, '1');
	(void)keep_c(i, 512, 512, '2');
	req_begin(&w, i, DATA_WRITE, MIB, 512, buf); /* not kept: nobody waits for it */
	req_begin(&f, i, DATA_FLUSH, 0, 0, NULL);
	req_begin(&d, i, DATA_DRAIN, 0, 0, NULL);
	(void)keep_c(i, 1024, 512, '3');
	disk_answer(DISK_WRITE, 0); /* j */
	disk_answer(DISK_WRITE, 0); /* 1 */
	assert_false(f.over || d.over);
	assert_int_equal(disk_begun(DISK_FLUSH), 0);
	disk_answer(DISK_WRITE, 0); /* 2 */
	assert_int_equal(req_wait(&d), 0);
	assert_int_equal(disk_begun(DISK_FLUSH), 1);
	assert_false(f.over);
	disk_answer(DISK_FLUSH, 0);
	assert_int_equal(req_wait(&f), 0);
	assert_false(w.over);
	assert_int_equal(kept_places(), 1);
	assert_int_equal(disk_held(DISK_WRITE), 2);
	disk_answer_all();
	assert_int_equal(req_wait(&w), 0);
	data_put(i);
	data_put(j);
}

static void a_kept_write_that_fails(void **state)
{
	struct data_image *i = open_image(3), *j = open_image(2);
	struct req f, d;

	disk_hold(HOLD(DISK_WRITE));
	(void)keep_c(i, 0, 512, 'k');
	req_begin(&f, i, DATA_FLUSH, 0, 0, NULL);
	req_begin(&d, i, DATA_DRAIN, 0, 0, NULL);
	disk_hold(HOLD(DISK_WRITE) | HOLD(DISK_FLUSH));
	disk_answer(DISK_WRITE, -ENOSPC);
	assert_int_equal(req_wait(&d), 0);
	assert_int_equal(failures, 1);
	assert_int_equal(failed_volume, 3);
	assert_int_equal(failed_code, -ENOSPC);
	assert_true(failed_at < d.at && disk_held(DISK_FLUSH) == 1);
	disk_answer(DISK_FLUSH, -EIO);
	assert_int_equal(req_wait(&f), -EIO);
	assert_int_equal(failed_code, -EIO);
	assert_true(failed_at < f.at);
	disk_hold(HOLD_NONE);
	assert_int_equal(failures, 2);
	assert_int_equal(kept_places(), 0);
	assert_false(keeps(i, 0, 512));
	assert_true(keeps(j, 0, 512));
	assert_int_equal(request(i, DATA_WRITE, 0, 512, buf), 0);
	assert_int_equal(request(i, DATA_DRAIN, 0, 0, NULL), 0);
	assert_false(keeps(i, 0, 512));
	assert_int_equal(request(i, DATA_FLUSH, 0, 0, NULL), 0);
	assert_true(keeps(i, 0, 512));
	data_put(i);
	data_put(j);
}

/* The flush was under way when the write came: it says nothing of it. */
static void a_flush_before_the_failure_mends_nothing(void **state)
{
	struct data_image *i = open_image(1);
	struct req f;

	disk_hold(HOLD_ALL);
	req_begin(&f, i, DATA_FLUSH, 0, 0, NULL);
	(void)keep_c(i, 0, 512, 'k');
	disk_answer(DISK_WRITE, -EIO);
	disk_answer(DISK_FLUSH, 0);
	assert_int_equal(req_wait(&f), 0);
	disk_hold(HOLD_NONE);
	assert_false(keeps(i, 0, 512));
	assert_int_equal(request(i, DATA_FLUSH, 0, 0, NULL), 0);
	assert_true(keeps(i, 0, 512));
	data_put(i);
}

static void places_are_used_up(void **state)
{
	enum { OF_ONE = KEEP_WRITES / 4 };
	struct data_image *i[6];

	for (int n = 1; n < 6; n++)
		i[n] = open_image(n);
	disk_hold(HOLD(DISK_WRITE));
	for (int n = 1; n < 5; n++) {
		for (uint64_t at = 0; at < OF_ONE; at++)
			must(keeps(i[n], at * 512, 512));
		assert_false(keeps(i[n], MIB, 512));
	}
	assert_int_equal(kept_places(), KEEP_WRITES);
	assert_false(keeps(i[5], 0, 512)); /* nothing of its own is kept, but no place is left */
	disk_answer(DISK_WRITE, 0);
	assert_true(keeps(i[5], 0, 512));
	assert_false(keeps(i[1], 0, 512));
	disk_answer_all();
	assert_int_equal(kept_places(), 0);
	assert_true(keeps(i[1], 0, 512));
	for (int n = 1; n < 6; n++)
		data_put(i[n]);
}

/* --- a server that died */

/* Runs one in a process of its own, until it is killed: what it had under way never comes. Its exit status, or -SIGKILL. */
static int in_a_dead_server(void (*run)(void))
{
	int status;
	pid_t pid;

	server_end();
	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		server_new();
		run();
		(void)kill(getpid(), SIGKILL);
	}
	must(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void keeps_three(void)
{
	struct data_image *i = open_image(1);

	disk_hold(HOLD(DISK_WRITE));
	(void)keep_c(i, 0, 512, 'x');
	disk_answer(DISK_WRITE, 0); /* its place is given back, and taken again */
	(void)keep_c(i, 0, 4096, 'a');
	(void)keep_c(i, 8192, 512, 'c');
	(void)keep_c(i, 2048, 4096, 'b');
}

static void the_next_server_goes_on(void **state)
{
	struct data_image *i;
	struct req r, d;
	char in[16384];

	assert_int_equal(in_a_dead_server(keeps_three), -SIGKILL);
	assert_int_equal(kept_places(), 3);
	assert_true(all(disk_bytes(1), 512, 'x') && all(disk_bytes(1) + 512, DISK_BYTES - 512, 0));
	backend_ready(false);
	disk_hold(HOLD(DISK_WRITE));
	server_new();
	i = image_of(1);
	req_begin(&r, i, DATA_READ, 0, sizeof in, in);
	req_begin(&d, i, DATA_DRAIN, 0, 0, NULL);
	assert_int_equal(disk_begun(DISK_OPEN), 0);
	backend_ready(true);
	WAIT_FOR(disk_held(DISK_WRITE) == 2);
	pause_ms(20);
	assert_int_equal(disk_held(DISK_WRITE), 2); /* a, c: b waits for a */
	disk_answer(DISK_WRITE, 0);
	assert_true(all(disk_bytes(1), 4096, 'a'));
	disk_answer(DISK_WRITE, 0); /* c */
	assert_true(all(disk_bytes(1) + 8192, 512, 'c'));
	assert_false(r.over || d.over);
	assert_true(keep_c(i, 2048, 512, 'n') == false); /* overlaps b, so it comes after it */
	disk_answer(DISK_WRITE, 0);
	assert_int_equal(req_wait(&d), 0);
	assert_int_equal(req_wait(&r), 0);
	assert_true(all(in, 2048, 'a') && all(in + 2048, 4096, 'b') && all(in + 8192, 512, 'c'));
	disk_answer(DISK_WRITE, 0);
	assert_true(all(disk_bytes(1) + 2048, 512, 'n'));
	assert_int_equal(kept_places(), 0);
	data_put(i);
}

static void is_fenced(void)
{
	(void)keep_c(open_image(1), 0, 512, 'x');
	disk_hold(HOLD(DISK_WRITE));
	(void)keep_c(open_image(1), 0, 512, 'a');
	disk_answer(DISK_WRITE, -ESHUTDOWN);
}

static void a_fenced_server_loses_nothing(void **state)
{
	struct data_image *i;

	assert_int_equal(in_a_dead_server(is_fenced), FENCED);
	assert_int_equal(kept_places(), 1);
	server_new();
	i = open_image(1);
	assert_true(all(disk_bytes(1), 512, 'a'));
	assert_int_equal(failures, 0);
	data_put(i);
}

static void its_image_cannot_be_opened(void **state)
{
	struct data_image *i;
	struct req r;

	assert_int_equal(in_a_dead_server(keeps_three), -SIGKILL);
	disk_hold(HOLD(DISK_OPEN));
	server_new();
	i = image_of(1);
	req_begin(&r, i, DATA_READ, 0, 512, buf);
	disk_answer(DISK_OPEN, -EIO);
	assert_int_equal(req_wait(&r), -EIO);
	assert_int_equal(kept_places(), 3);
	assert_int_equal(failures, 0);
	disk_answer(DISK_OPEN, 0); /* by itself, after a while */
	WAIT_FOR(kept_places() == 0);
	assert_true(all(disk_bytes(1), 2048, 'a') && all(disk_bytes(1) + 2048, 4096, 'b'));
	data_put(i);
}

static void its_image_is_gone(void **state)
{
	struct data_image *i;
	struct req d;

	assert_int_equal(in_a_dead_server(keeps_three), -SIGKILL);
	disk_hold(HOLD(DISK_OPEN));
	server_new();
	i = image_of(1);
	req_begin(&d, i, DATA_DRAIN, 0, 0, NULL);
	disk_answer(DISK_OPEN, -ENOENT);
	assert_int_equal(req_wait(&d), -ENOENT);
	WAIT_FOR(failures == 3);
	assert_int_equal(failed_volume, 1);
	assert_int_equal(failed_code, -ENOENT);
	WAIT_FOR(kept_places() == 0);
	assert_int_equal(disk_begun(DISK_WRITE), 0);
	data_put(i);
}

static void its_volume_is_gone(void **state)
{
	assert_int_equal(in_a_dead_server(keeps_three), -SIGKILL);
	for (int n = 0; n < KEEP_WRITES; n++)
		keep->write[n].volume = GONE;
	server_new();
	assert_int_equal(kept_places(), 0);
	assert_int_equal(disk_begun(DISK_OPEN), 0);
	assert_int_equal(failures, 0);
}

/* The next server's turn comes before the backend is ready, as often as it likes. */
static void what_is_kept_outlasts_servers(void **state)
{
	assert_int_equal(in_a_dead_server(keeps_three), -SIGKILL);
	backend_ready(false);
	for (int n = 0; n < 3; n++) {
		server_new();
		server_end();
		backend_forget();
		assert_int_equal(kept_places(), 3);
	}
	assert_int_equal(disk_begun(DISK_OPEN), 0);
	backend_ready(true);
	server_new();
	WAIT_FOR(kept_places() == 0);
	assert_true(all(disk_bytes(1), 2048, 'a') && all(disk_bytes(1) + 2048, 4096, 'b'));
}

/* --- where the data is */

static int next(struct data_image *i, uint64_t off, bool hole, uint64_t *ret)
{
	struct answer a = { 0 };

	data_next(i, off, hole, answered, &a);
	return answer_wait(&a, ret);
}

static void data_and_holes_are_found(void **state)
{
	struct data_image *i = open_image(1);
	uint64_t at;

	assert_int_equal(next(i, 0, false, &at), -ENXIO);
	assert_int_equal(next(i, 5, true, &at), 0);
	assert_int_equal(at, 5);
	disk_threads(1);
	(void)keep_c(i, 65536, 4096, 'k'); /* it has landed when the question is put */
	assert_int_equal(next(i, 0, false, &at), 0);
	assert_int_equal(at, 65536);
	disk_threads(0);
	assert_int_equal(next(i, 65537, true, &at), 0);
	assert_int_equal(at, 65536 + 4096);
	assert_int_equal(next(i, 65536 + 4096, false, &at), -ENXIO);
	disk_bytes(1)[DISK_BYTES - 1] = 1;
	assert_int_equal(next(i, DISK_BYTES - 1, true, &at), 0);
	assert_int_equal(at, DISK_BYTES); /* the hole behind the end */
	disk_fail(DISK_NEXT, -EIO);
	assert_int_equal(next(i, 0, false, &at), -EIO);
	data_put(i);
}

/* Whoever asks while the image is not open must not take the threads that would open it. */
static void questions_do_not_hold_up_the_opening(void **state)
{
	struct answer a[9] = { 0 };
	struct data_image *i;
	uint64_t at;

	disk_bytes(1)[4096] = 1;
	backend_ready(false);
	i = image_of(1);
	for (size_t n = 0; n < COUNT(a); n++)
		data_next(i, 0, false, answered, &a[n]);
	pause_ms(20);
	backend_ready(true);
	for (size_t n = 0; n < COUNT(a); n++) {
		assert_int_equal(answer_wait(&a[n], &at), 0);
		assert_int_equal(at, 4096);
	}
	data_put(i);
}

/* A thread that is idle takes one question, not all that came before it woke. */
static void questions_do_not_wait_for_each_other(void **state)
{
	for (int n = 0; n < 20; n++) {
		struct data_image *i = open_image(1); /* leaves one thread */
		unsigned before = disk_begun(DISK_NEXT);
		struct answer a[4] = { 0 };

		pause_ms(2); /* which is idle by now */
		disk_hold(HOLD(DISK_NEXT));
		for (size_t k = 0; k < COUNT(a); k++)
			data_next(i, 0, true, answered, &a[k]);
		WAIT_FOR(disk_begun(DISK_NEXT) == before + COUNT(a));
		disk_hold(HOLD_NONE);
		for (size_t k = 0; k < COUNT(a); k++)
			assert_int_equal(answer_wait(&a[k], NULL), 0);
		data_put(i);
		server_end(); /* the threads, too */
		server_new();
	}
}

static void a_question_fails_with_its_image(void **state)
{
	struct answer a = { 0 };
	struct data_image *i;

	disk_hold(HOLD(DISK_OPEN));
	i = image_of(1);
	data_next(i, 0, true, answered, &a);
	disk_answer(DISK_OPEN, -EIO);
	assert_int_equal(answer_wait(&a, NULL), -EIO);
	data_put(i);
}

static int discarded(struct data_image *i)
{
	return request(i, DATA_EMPTY, 0, 0, NULL);
}

static void discard_touches_only_data(void **state)
{
	struct data_image *i;

	volumes[1].size = 4 * TIB;
	i = open_image(1);
	assert_int_equal(discarded(i), 0);
	assert_int_equal(disk_begun(DISK_ZERO), 0);
	disk_threads(1);
	(void)keep_c(i, 4096, 8192, 'k');
	(void)keep_c(i, MIB, 100, 'l');
	assert_int_equal(discarded(i), 0);
	disk_threads(0);
	assert_int_equal(disk_begun(DISK_ZERO), 2);
	assert_int_equal(disk_off(DISK_ZERO), MIB);
	assert_int_equal(disk_len(DISK_ZERO), 4096);
	assert_true(all(disk_bytes(1), DISK_BYTES, 0));
	disk_bytes(1)[0] = disk_bytes(1)[MIB] = 'x';
	disk_fail(DISK_ZERO, -EIO);
	assert_int_equal(discarded(i), -EIO);
	assert_int_equal(disk_begun(DISK_ZERO), 3);
	disk_fail(DISK_NEXT, -EIO);
	assert_int_equal(discarded(i), -EIO);
	assert_int_equal(discarded(i), 0);
	assert_true(all(disk_bytes(1), DISK_BYTES, 0));
	data_put(i);
}

/* --- the life of an image */

static struct {
	pthread_t thread;
	_Atomic bool over;
	int code;
} going;

static void *go(void *arg)
{
	going.code = data_let_go(server, disk_backend(), volumes[1].uuid);
	going.over = true;
	return NULL;
}

static void shared_images_keep_nothing(void **state)
{
	struct data_image *i = open_image(1), *same;
	char bytes[512] = { 1 };
	struct err err = { 0 };
	struct data_io *io;

	assert_int_equal(data_get(server, &volumes[1], true, &same, &err), 0);
	assert_ptr_equal(same, i);
	assert_false(data_keep_write(i, 0, sizeof bytes, bytes, &io));
	assert_null(io);
	data_put(same);
	data_put(i);
}

static void lets_go(void **state)
{
	struct data_image *i = open_image(1);

	assert_int_equal(
		data_let_go(server, disk_backend(), volumes[2].uuid), 0); /* nobody knows it */
	assert_int_equal(data_let_go(server, disk_backend(), volumes[1].uuid), -EBUSY);
	/* what a given-up creation left on another backend has the same name, and is another image */
	assert_int_equal(data_let_go(server, state, volumes[1].uuid), 0);
	assert_int_equal(disk_begun(DISK_CLOSE), 0);
	data_put(i);
	assert_int_equal(data_let_go(server, disk_backend(), volumes[1].uuid), 0);
	assert_int_equal(disk_begun(DISK_CLOSE), 1);
	assert_int_equal(
		data_let_go(server, disk_backend(), volumes[1].uuid), 0); /* closed as it is */
	assert_int_equal(disk_begun(DISK_CLOSE), 1);
	i = open_image(1);
	assert_int_equal(disk_begun(DISK_OPEN), 2);
	data_put(i);
}

static void lets_go_of_what_is_under_way(void **state)
{
	struct data_image *i = open_image(1);

	disk_hold(HOLD(DISK_WRITE) | HOLD(DISK_CLOSE));
	(void)keep_c(i, 0, 512, 'a');
	(void)keep_c(i, 0, 512, 'b');
	data_put(i);
	going.over = false;
	must(pthread_create(&going.thread, NULL, go, NULL) == 0);
	pause_ms(20);
	disk_answer(DISK_WRITE, 0);
	pause_ms(20);
	assert_false(going.over);
	assert_int_equal(disk_begun(DISK_CLOSE), 0);
	disk_answer(DISK_WRITE, 0);
	WAIT_FOR(disk_held(DISK_CLOSE) == 1);
	pause_ms(20);
	assert_false(going.over);
	disk_answer(DISK_CLOSE, 0);
	must(pthread_join(going.thread, NULL) == 0);
	assert_int_equal(going.code, 0);
	assert_true(all(disk_bytes(1), 512, 'b'));
	assert_int_equal(kept_places(), 0);
}

/* What a dead server kept is carried out before an image goes, though it cannot be opened at first. */
static void lets_go_of_a_dead_servers(void **state)
{
	assert_int_equal(in_a_dead_server(keeps_three), -SIGKILL);
	disk_hold(HOLD(DISK_OPEN));
	server_new();
	going.over = false;
	must(pthread_create(&going.thread, NULL, go, NULL) == 0);
	disk_answer(DISK_OPEN, -EIO);
	disk_answer(DISK_OPEN, -EIO);
	disk_answer(DISK_OPEN, 0);
	must(pthread_join(going.thread, NULL) == 0);
	assert_int_equal(going.code, 0);
	assert_int_equal(disk_begun(DISK_CLOSE), 1);
	assert_int_equal(kept_places(), 0);
	assert_true(all(disk_bytes(1) + 2048, 4096, 'b'));
}

/* A request that comes while its image is being closed has it opened again. */
static void asked_while_closing(void **state)
{
	struct data_image *i = open_image(1);
	struct req r;

	data_put(i);
	disk_hold(HOLD(DISK_CLOSE));
	run_ahead(31);
	WAIT_FOR(disk_held(DISK_CLOSE) == 1);
	i = image_of(1);
	req_begin(&r, i, DATA_READ, 0, 10, buf);
	assert_int_equal(disk_begun(DISK_OPEN), 1);
	assert_false(keeps(i, 0, 10));
	disk_answer(DISK_CLOSE, -EIO); /* and whatever closing says */
	assert_int_equal(req_wait(&r), 0);
	assert_int_equal(disk_begun(DISK_OPEN), 2);
	data_put(i);
}

static void the_idle_are_closed(void **state)
{
	struct data_image *i = open_image(1), *j = open_image(2);

	data_put(j);
	run_ahead(25);
	pause_ms(1500);
	assert_int_equal(disk_begun(DISK_CLOSE), 0);
	run_ahead(10);
	WAIT_FOR(disk_begun(DISK_CLOSE) == 1);
	pause_ms(1500);
	assert_int_equal(disk_begun(DISK_CLOSE), 1); /* not the one that somebody has */
	j = open_image(2);
	assert_int_equal(disk_begun(DISK_OPEN), 3);
	data_put(i);
	data_put(j);
}

/* --- the end */

static int64_t took_ms(long ms)
{
	int64_t since = clock_mono_ns();

	data_stop(server, ms);
	return (clock_mono_ns() - since) / 1000000;
}

static void stops_once_all_is_done(void **state)
{
	struct data_image *i = open_image(1);

	disk_threads(2);
	(void)keep_c(i, 0, 512, 'a');
	(void)keep_c(i, 0, 512, 'b');
	data_put(i);
	assert_true(took_ms(20000) < 5000);
	assert_int_equal(kept_places(), 0);
	assert_int_equal(disk_begun(DISK_CLOSE), 1);
	assert_true(data_free(server)); /* at once, though threads linger */
	server = NULL;
	disk_threads(0);
	assert_true(all(disk_bytes(1), 512, 'b'));
	assert_true(data_free(NULL));
	data_stop(NULL, 0);
}

static void stops_though_the_storage_hangs(void **state)
{
	static const enum disk_op hangs[] = { DISK_OPEN, DISK_CLOSE, DISK_READ, DISK_WRITE };

	for (size_t n = 0; n < COUNT(hangs); n++) {
		struct data_image *i;
		static struct req r[COUNT(hangs)];
		int64_t ms;

		if (n)
			server_new();
		if (hangs[n] == DISK_OPEN)
			disk_hold(HOLD(DISK_OPEN));
		i = hangs[n] == DISK_OPEN ? image_of(1) : open_image(1);
		disk_hold(HOLD(hangs[n]));
		if (hangs[n] == DISK_READ)
			req_begin(&r[n], i, DATA_READ, 0, 10, buf);
		if (hangs[n] == DISK_WRITE)
			(void)keep_c(i, 0, 10, 'k');
		WAIT_FOR(hangs[n] == DISK_CLOSE || disk_held(hangs[n]) == 1);
		ms = took_ms(200);
		assert_true(ms >= 200 && ms < 5000);
		assert_false(data_free(server));
		assert_int_equal(kept_places(), hangs[n] == DISK_WRITE);
		server_forget();
		disk_forget();
	}
	server_new(); /* what was kept is the next one's */
	WAIT_FOR(kept_places() == 0);
	assert_true(all(disk_bytes(1), 10, 'k'));
}

static void stops_though_a_question_hangs(void **state)
{
	static struct answer a;
	struct data_image *i = open_image(1);

	disk_hold(HOLD(DISK_NEXT));
	data_next(i, 0, true, answered, &a);
	WAIT_FOR(disk_begun(DISK_NEXT) == 1);
	assert_true(took_ms(200) < 5000);
	assert_false(data_free(server));
	disk_hold(HOLD_NONE);
	WAIT_FOR(a.over);
	data_put(i);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, data_set_up, data_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(requests_wait_for_the_image),
		TEST(an_image_that_cannot_be_opened),
		TEST(errors_are_passed_on),
		TEST(images_are_counted),
		TEST(nothing_piles_up_on_the_stack),
		TEST(zeroes_go_in_steps),
		TEST(a_kept_write_is_told_at_once),
		TEST(what_is_not_kept),
		TEST(what_overlaps_waits),
		TEST(what_waited_sees_it),
		TEST(kept_ones_keep_their_order),
		TEST(flush_and_drain_wait_for_those_before),
		TEST(a_kept_write_that_fails),
		TEST(a_flush_before_the_failure_mends_nothing),
		TEST(places_are_used_up),
		TEST(the_next_server_goes_on),
		TEST(a_fenced_server_loses_nothing),
		TEST(its_image_cannot_be_opened),
		TEST(its_image_is_gone),
		TEST(its_volume_is_gone),
		TEST(what_is_kept_outlasts_servers),
		TEST(data_and_holes_are_found),
		TEST(questions_do_not_hold_up_the_opening),
		TEST(questions_do_not_wait_for_each_other),
		TEST(a_question_fails_with_its_image),
		TEST(discard_touches_only_data),
		TEST(shared_images_keep_nothing),
		TEST(lets_go),
		TEST(lets_go_of_what_is_under_way),
		TEST(lets_go_of_a_dead_servers),
		TEST(asked_while_closing),
		TEST(the_idle_are_closed),
		TEST(stops_once_all_is_done),
		TEST(stops_though_the_storage_hangs),
		TEST(stops_though_a_question_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
