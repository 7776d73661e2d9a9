/*
 * Many threads on the same bytes, against what a disk promises: who reads sees the last write that ended before the read began, or one
 * that was under way since. Each write has a number, which fills its sectors; a kept one has ended once it is kept.
 */
#include "data_rig.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum {
	THREADS = 6,
	SECTOR = 512,
	SECTORS = 512,
	WRITES = 1 << 20,
	MOST = 96 /* sectors of one request */
};

/* Times are moment()s; 0: not yet. */
static struct {
	_Atomic unsigned begun, ended;
} writes[WRITES];
static _Atomic unsigned last_write, zeroing[SECTORS],
	zeroed[SECTORS];		   /* how many are under way; when the last ended */
static _Atomic unsigned floor_of[SECTORS]; /* when the latest of the writes that ended had begun */
static _Atomic unsigned kept_count, waited_count;
static _Atomic bool enough;

static struct data_image *image;
static unsigned shift; /* sectors: where on the disk it is all done */

static void raise_to(_Atomic unsigned *at, unsigned n)
{
	unsigned was = *at;

	while (was < n && !atomic_compare_exchange_weak(at, &was, n))
		;
}

struct worker {
	pthread_t thread;
	unsigned seed;
	unsigned floor[MOST];
	uint32_t words[MOST * SECTOR / 4];
};

static unsigned some(struct worker *w, unsigned n)
{
	return (unsigned)rand_r(&w->seed) % n;
}

/* Was it there, or might it be, when a read began that had to see all that floor says? */
static void check(unsigned sector, const uint32_t *words, unsigned floor)
{
	uint32_t n = words[0];

	for (unsigned k = 1; k < SECTOR / 4; k++)
		must(words[k] == n);
	must(n <= last_write);
	if (n)
		must(!writes[n].ended || writes[n].ended >= floor);
	else
		must(!floor || zeroing[sector] || zeroed[sector] >= floor);
}

static void reads(struct worker *w, unsigned at, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		w->floor[k] = floor_of[at + k];
	must(request(image, DATA_READ, (uint64_t)(shift + at) * SECTOR, (uint64_t)n * SECTOR,
		     w->words) == 0);
	for (unsigned k = 0; k < n; k++)
		check(at + k, w->words + k * SECTOR / 4, w->floor[k]);
}

static void has_ended(uint32_t number, unsigned at, unsigned n)
{
	writes[number].ended = moment();
	for (unsigned k = 0; k < n; k++)
		raise_to(&floor_of[at + k], writes[number].begun);
}

static void writes_some(struct worker *w, unsigned at, unsigned n)
{
	uint64_t off = (uint64_t)(shift + at) * SECTOR, len = (uint64_t)n * SECTOR;
	uint32_t number = ++last_write;
	struct data_io *io;

	must(number < WRITES);
	for (unsigned k = 0; k < n * SECTOR / 4; k++)
		w->words[k] = number;
	writes[number].begun = moment();
	if (data_keep_write(image, off, len, w->words, &io)) {
		has_ended(number, at, n);
		kept_count++;
		waited_count += !io;
		data_submit_kept(io);
		return;
	}
	must(request(image, DATA_WRITE, off, len, w->words) == 0);
	has_ended(number, at, n);
}

static void zeroes_some(unsigned at, unsigned n)
{
	unsigned begun;

	for (unsigned k = 0; k < n; k++)
		zeroing[at + k]++;
	begun = moment();
	must(request(image, DATA_ZERO, (uint64_t)(shift + at) * SECTOR, (uint64_t)n * SECTOR,
		     NULL) == 0);
	for (unsigned k = 0; k < n; k++) {
		raise_to(&zeroed[at + k], moment());
		zeroing[at + k]--;
		raise_to(&floor_of[at + k], begun);
	}
}

static void *works(void *arg)
{
	struct worker *w = arg;

	while (!enough && last_write < WRITES - 100) {
		unsigned n = 1 + some(w, some(w, 3) ? 8 : MOST), at = some(w, SECTORS - n),
			 kind = some(w, 20);

		if (kind < 9)
			writes_some(w, at, n);
		else if (kind < 17)
			reads(w, at, n);
		else if (kind < 18)
			zeroes_some(at, n);
		else
			must(request(image, kind < 19 ? DATA_FLUSH : DATA_DRAIN, 0, 0, NULL) == 0);
	}
	return NULL;
}

/* The bytes as they are on the disk, once nothing is kept. */
static void check_disk(void)
{
	const char *bytes = disk_bytes(1) + shift * SECTOR;

	for (unsigned s = 0; s < SECTORS; s++)
		check(s, (const uint32_t *)(bytes + s * SECTOR), floor_of[s]);
}

static void runs(unsigned disk, unsigned how_shifted, long ms)
{
	static struct worker w[THREADS];

	shift = how_shifted;
	last_write = 0;
	memset(writes, 0, sizeof writes);
	memset((void *)floor_of, 0, sizeof floor_of);
	memset((void *)zeroed, 0, sizeof zeroed);
	kept_count = waited_count = 0;
	enough = false;
	disk_threads(disk);
	image = open_image(1);
	for (unsigned n = 0; n < THREADS; n++) {
		w[n].seed = 7 * n + 1;
		must(pthread_create(&w[n].thread, NULL, works, &w[n]) == 0);
	}
	pause_ms(ms);
	enough = true;
	for (unsigned n = 0; n < THREADS; n++)
		must(pthread_join(w[n].thread, NULL) == 0);
	assert_int_equal(request(image, DATA_DRAIN, 0, 0, NULL), 0);
	assert_int_equal(kept_places(), 0);
	check_disk();
	print_message("%u writes, %u of them kept, %u of these waited for others\n", last_write,
		kept_count, waited_count);
	assert_true(kept_count > 100);
	data_put(image);
	server_end();
	disk_threads(0);
}

static void answered_by_threads(void **state)
{
	runs(3, 0, 1500);
	assert_true(waited_count > 10);
}

static void answered_by_one(void **state)
{
	runs(1, 3, 1000);
}

static void answered_within_the_call(void **state)
{
	runs(0, 0, 1000);
}

/* --- images that come and go */

static _Atomic unsigned let_go_count;

static void *comes_and_goes(void *arg)
{
	struct worker *w = arg;

	while (!enough) {
		int64_t vol = 1 + some(w, 3);
		struct data_image *i = image_of(vol);
		struct data_io *io;
		char c[SECTOR];
		int r;

		if (some(w, 2))
			must(request(i, DATA_READ, 0, SECTOR, c) == 0);
		if (some(w, 2) && data_keep_write(i, some(w, 8) * SECTOR, SECTOR, c, &io))
			data_submit_kept(io);
		data_put(i);
		if (some(w, 4))
			continue;
		r = data_let_go(server, disk_backend(), volumes[vol].uuid);
		must(r == 0 || r == -EBUSY);
		let_go_count += r == 0;
	}
	return NULL;
}

static void images_come_and_go(void **state)
{
	static struct worker w[THREADS];

	enough = false;
	disk_threads(2);
	for (unsigned n = 0; n < THREADS; n++) {
		w[n].seed = 11 * n + 1;
		must(pthread_create(&w[n].thread, NULL, comes_and_goes, &w[n]) == 0);
	}
	pause_ms(2500);
	enough = true;
	for (unsigned n = 0; n < THREADS; n++)
		must(pthread_join(w[n].thread, NULL) == 0);
	server_end();
	disk_threads(0);
	assert_int_equal(kept_places(), 0);
	assert_int_equal(disk_begun(DISK_OPEN), disk_begun(DISK_CLOSE));
	print_message("opened %u times, let go %u times\n", disk_begun(DISK_OPEN), let_go_count);
	assert_true(let_go_count > 10);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, data_set_up, data_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(answered_by_threads),
		TEST(answered_by_one),
		TEST(answered_within_the_call),
		TEST(images_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
