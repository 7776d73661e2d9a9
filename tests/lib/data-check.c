/*
 * Random operations on a file of fixed size, such as a volume's `data`, each compared with a model in memory:
 *
 *	data-check [-n OPERATIONS] [-s SEED] [-d] [-t THREADS] [-g SIZE] [-p] FILE
 *
 * -d: also through a descriptor with O_DIRECT. -t: now and then so many threads at once, each on a part of its own. -g: grow it, up to SIZE
 * bytes. -p: a plain file, which may be cut short and written past its end, so none of that is tried. The file's contents are lost.
 * Exit status 1: a difference; what led to it is on stderr, and the same seed does it again (but for threads).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, LONGEST = 2 << 20, MAX_SIZE = 64 << 20, SECTOR = 512, TOLD = 60, LINE = 160 };

static const char *path;
static long operations = 10000, done_so_far;
static uint64_t seed;
static unsigned threads;
static size_t size, grow_to;
static bool direct, plain;
static int fd, direct_fd = -1;
static unsigned char *model;

/* What a thread works with: its random numbers, its part of the file, memory as O_DIRECT wants it. */
struct actor {
	uint64_t random;
	size_t from, to;
	unsigned char *buf;
	const char *name;
};

/* ---- what happened, for the report */

static char log_lines[TOLD][LINE];
static long log_count;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((format(printf, 2, 3))) static void tell(
	const struct actor *a, const char *format, ...)
{
	char line[LINE - 40];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof line, format, args);
	va_end(args);
	pthread_mutex_lock(&log_lock);
	(void)snprintf(log_lines[log_count % TOLD], LINE, "%ld %s: %s", done_so_far, a->name, line);
	log_count++;
	pthread_mutex_unlock(&log_lock);
}

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&log_lock); /* never given back: the first of the threads reports */
	for (long i = log_count > TOLD ? log_count - TOLD : 0; i < log_count; i++)
		fprintf(stderr, "%s\n", log_lines[i % TOLD]);
	fprintf(stderr, "data-check: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n(%s, %zu bytes, operation %ld of %ld, -s %" PRIu64 ")\n", path, size,
		done_so_far, operations, seed);
	exit(1);
}

/* A system call that must succeed. */
static long must(long result, const char *what)
{
	if (result < 0)
		fail("%s: %s", what, strerror(errno));
	return result;
}

static void must_refuse(long result, int want, const char *what)
{
	if (result >= 0)
		fail("%s: it succeeded (%ld) and should be %s", what, result, strerror(want));
	if (errno != want)
		fail("%s: %s instead of %s", what, strerror(errno), strerror(want));
}

static void compare(const unsigned char *got, size_t off, size_t len, const char *what)
{
	const unsigned char *want = model + off;
	size_t first = 0, wrong = 0;

	if (memcmp(got, want, len) == 0)
		return;
	while (got[first] == want[first])
		first++;
	for (size_t i = first; i < len; i++)
		wrong += got[i] != want[i];
	fprintf(stderr, "offset %zu (%#zx), of a %s at %zu, %zu bytes: %zu differ\n", off + first,
		off + first, what, off, len, wrong);
	for (size_t i = first; i < len && i < first + 16; i++)
		fprintf(stderr, "\t%#zx: wanted %02x, got %02x\n", off + i, want[i], got[i]);
	fail("contents differ");
}

/* ---- choosing */

static uint64_t pick(struct actor *a, uint64_t below)
{
	a->random ^= a->random << 13;
	a->random ^= a->random >> 7;
	a->random ^= a->random << 17;
	return below ? (a->random * UINT64_C(0x2545f4914f6cdd1d) >> 16) % below : 0;
}

/* Short ones as often as long ones; a third of them whole pages. */
static void choose(struct actor *a, size_t unit, size_t *off, size_t *len)
{
	bool exact = unit > 1;
	size_t room;

	if (!exact && pick(a, 3) == 0)
		unit = PAGE;
	*off = (a->from + pick(a, a->to - a->from)) / unit * unit;
	if (*off < a->from)
		*off = a->from;
	*len = 1 + pick(a, UINT64_C(1) << (1 + pick(a, 21)));
	*len = (*len + unit - 1) / unit * unit;
	room = (a->to - *off) / unit * unit;
	if (*len > room) /* 0 of the part of a page at the end: a direct transfer of nothing */
		*len = room || exact ? room : a->to - *off;
}

static void fill(struct actor *a, unsigned char *p, size_t len)
{
	uint64_t start = pick(a, UINT64_MAX) | 1;

	for (size_t i = 0; i < len; i++)
		p[i] = (unsigned char)((start + i) * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

/* ---- operations */

static int either(struct actor *a)
{
	return direct && pick(a, 2) ? direct_fd : fd;
}

static void read_from(struct actor *a, int from, size_t unit)
{
	size_t off, len;
	long n;

	choose(a, unit, &off, &len);
	tell(a, "read%s %zu + %zu", from == fd ? "" : " direct", off, len);
	n = must(pread(from, a->buf, len, (off_t)off), "read");
	if ((size_t)n != len)
		fail("read of %zu at %zu: %ld bytes", len, off, n);
	compare(a->buf, off, len, "read");
}

static void write_to(struct actor *a, int to, size_t unit)
{
	size_t off, len;
	long n;

	choose(a, unit, &off, &len);
	tell(a, "write%s %zu + %zu", to == fd ? "" : " direct", off, len);
	fill(a, a->buf, len);
	n = must(pwrite(to, a->buf, len, (off_t)off), "write");
	if ((size_t)n != len)
		fail("write of %zu at %zu: %ld bytes", len, off, n);
	memcpy(model + off, a->buf, len);
}

static void write_vector(struct actor *a)
{
	struct iovec iov[4];
	size_t off, len, at = 0, part;

	choose(a, 1, &off, &len);
	tell(a, "writev %zu + %zu", off, len);
	fill(a, a->buf, len);
	for (int i = 0; i < 4; i++) {
		part = i == 3 ? len - at : pick(a, len - at + 1);
		iov[i] = (struct iovec){ a->buf + at, part };
		at += part;
	}
	if ((size_t)must(pwritev(fd, iov, 4, (off_t)off), "writev") != len)
		fail("short writev");
	memcpy(model + off, a->buf, len);
}

/* A shared mapping of the pages around: written and synced, or read. */
static void through_memory(struct actor *a, bool write)
{
	size_t off, len, start, whole;
	unsigned char *p;

	choose(a, 1, &off, &len);
	start = off / PAGE * PAGE;
	whole = off + len - start;
	tell(a, "mmap %s %zu + %zu", write ? "write" : "read", off, len);
	p = mmap(NULL, whole, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, fd, (off_t)start);
	if (p == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	if (write) {
		fill(a, a->buf, len);
		memcpy(p + (off - start), a->buf, len);
		memcpy(model + off, a->buf, len);
		must(msync(p, whole, MS_SYNC), "msync");
	} else {
		memcpy(a->buf, p + (off - start), len);
	}
	compare(p + (off - start), off, len, "mapping");
	munmap(p, whole);
}

static void sync_it(struct actor *a)
{
	bool all = pick(a, 2);

	tell(a, "%s", all ? "fsync" : "fdatasync");
	must(all ? fsync(either(a)) : fdatasync(either(a)), "fsync");
}

static void zero(struct actor *a, bool punch)
{
	int mode = punch ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_ZERO_RANGE;
	size_t off, len;

	choose(a, 1, &off, &len);
	tell(a, "%s %zu + %zu", punch ? "punch" : "zero", off, len);
	if (fallocate(either(a), mode, (off_t)off, (off_t)len) < 0) {
		if (plain && errno == EOPNOTSUPP) /* tmpfs has no ZERO_RANGE */
			return;
		fail("fallocate: %s", strerror(errno));
	}
	memset(model + off, 0, len);
}

static void must_be_zero(size_t off, size_t end, const char *what)
{
	for (size_t i = off; i < end; i++)
		if (model[i])
			fail("%s: %zu … %zu is called a hole, but there is data at %zu", what, off,
				end, i);
}

static off_t seek(size_t off, int whence)
{
	off_t found = lseek(fd, (off_t)off, whence);

	if (found < 0 && errno == ENXIO && whence == SEEK_DATA)
		return (off_t)size;
	must(found, "lseek");
	if ((size_t)found < off || (size_t)found > size)
		fail("lseek from %zu: %jd", off, (intmax_t)found);
	return found;
}

static void look_for_holes(struct actor *a)
{
	size_t off = pick(a, size), hole, data;

	tell(a, "seek %zu", off);
	must_be_zero(off, (size_t)seek(off, SEEK_DATA), "SEEK_DATA");
	hole = (size_t)seek(off, SEEK_HOLE);
	if (hole < size) {
		data = (size_t)seek(hole, SEEK_DATA);
		must_be_zero(hole, data, "SEEK_HOLE");
		if (data == hole)
			fail("SEEK_HOLE says %zu is a hole, SEEK_DATA says it is data", hole);
	}
	must_refuse(lseek(fd, (off_t)size, SEEK_DATA), ENXIO, "SEEK_DATA at the end");
}

static int open_it(int flags)
{
	int new = open(path, O_RDWR | O_CLOEXEC | flags);

	if (new < 0)
		fail("cannot open %s: %s", path, strerror(errno));
	return new;
}

static void open_both(int flags)
{
	fd = open_it(flags);
	if (direct)
		direct_fd = open_it(O_DIRECT);
}

static void close_both(void)
{
	must(close(fd), "close");
	if (direct)
		must(close(direct_fd), "close");
}

static void check_size(void)
{
	struct stat st;

	must(fstat(fd, &st), "fstat");
	if ((size_t)st.st_size != size)
		fail("its size is %jd instead of %zu", (intmax_t)st.st_size, size);
}

static void reopen(struct actor *a)
{
	tell(a, "reopen");
	close_both();
	open_both(0);
	check_size();
}

/* Everything is discarded, the size stays; half the time while others have it open. */
static void open_and_discard(struct actor *a)
{
	bool shared = pick(a, 2);

	tell(a, "open with O_TRUNC%s", shared ? ", open elsewhere" : "");
	if (shared) {
		must(close(open_it(O_TRUNC)), "close");
	} else {
		close_both();
		open_both(O_TRUNC);
	}
	check_size();
	memset(model, 0, size);
}

static void compare_all(struct actor *a)
{
	tell(a, "whole comparison");
	for (size_t off = 0, len; off < size; off += len) {
		len = size - off < LONGEST ? size - off : LONGEST;
		if ((size_t)must(pread(fd, a->buf, len, (off_t)off), "read") != len)
			fail("short read at %zu", off);
		compare(a->buf, off, len, "read of all");
	}
}

/* What of a write that did not fit has been written: some first part of it. */
static void learn_what_was_written(size_t off)
{
	size_t len = size - off, n = 0;
	unsigned char now[PAGE];

	if ((size_t)must(pread(fd, now, len, (off_t)off), "read") != len)
		fail("short read at %zu", off);
	while (n < len && now[n] == 0xee)
		n++;
	memset(model + off, 0xee, n);
	compare(now, off, len, "read after a write past the end");
}

static void past_the_end(struct actor *a)
{
	size_t before = pick(a, PAGE);
	long n;

	tell(a, "past the end, from %zu before it", before);
	memset(a->buf, 0xee, (size_t)2 * PAGE);
	n = pwrite(fd, a->buf, (size_t)2 * PAGE, (off_t)(size - before));
	if (n > (long)before || (n < 0 && errno != ENOSPC))
		fail("write past the end: %ld, %s", n, strerror(errno));
	if (n >= 0)
		memset(model + size - before, 0xee, (size_t)n);
	else
		learn_what_was_written(size - before);
	must_refuse(pwrite(fd, a->buf, 1, (off_t)size), ENOSPC, "write at the end");
	if (direct)
		must_refuse(pwrite(direct_fd, a->buf, PAGE, (off_t)(size / PAGE * PAGE + PAGE)),
			ENOSPC, "direct write past the end");
	n = must(pread(fd, a->buf, (size_t)2 * PAGE, (off_t)(size - before)), "read");
	if ((size_t)n != before)
		fail("read across the end: %ld bytes instead of %zu", n, before);
	compare(a->buf, size - before, before, "read across the end");
	if (must(pread(fd, a->buf, 1, (off_t)size + 1), "read") != 0)
		fail("a read past the end gave something");
	check_size();
}

static void shrink(struct actor *a)
{
	size_t to = pick(a, size / SECTOR) * SECTOR;

	tell(a, "truncate to %zu", to);
	must_refuse(ftruncate(fd, (off_t)to), EINVAL, "ftruncate to less");
	must_refuse(truncate(path, (off_t)to), EINVAL, "truncate to less");
	must(ftruncate(fd, (off_t)size), "ftruncate to the same");
	check_size();
}

static void rest(void)
{
	struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

	nanosleep(&pause, NULL);
}

/* May take effect some time after it was accepted. */
static void grow(struct actor *a)
{
	size_t to = size + (1 + pick(a, (grow_to - size) / SECTOR)) * SECTOR;
	struct stat st = { 0 };
	int tries = 0;

	if (to > size + LONGEST)
		to = size + LONGEST;
	tell(a, "truncate to %zu", to);
	/* the one before may not be settled, though its size is seen */
	while (ftruncate(fd, (off_t)to) < 0) {
		if (errno != EBUSY || tries++ > 1000)
			fail("ftruncate to more: %s", strerror(errno));
		rest();
	}
	for (tries = 0; tries < 1000 && (size_t)st.st_size != to; tries++) {
		if (tries)
			rest();
		must(fstat(fd, &st), "fstat");
	}
	if ((size_t)st.st_size != to)
		fail("10 s after ftruncate to %zu its size is %jd", to, (intmax_t)st.st_size);
	memset(model + size, 0, to - size);
	size = a->to = to;
}

/* ---- threads */

static void *one_thread(void *arg)
{
	struct actor *a = arg;

	for (int i = 0; i < 40; i++) {
		bool through = direct && pick(a, 2);

		if (pick(a, 8) == 0)
			zero(a, true);
		else if (pick(a, 8) == 0)
			sync_it(a);
		else if (pick(a, 2))
			write_to(a, through ? direct_fd : fd, through ? PAGE : 1);
		else
			read_from(a, through ? direct_fd : fd, through ? PAGE : 1);
	}
	return NULL;
}

static unsigned char *memory(void)
{
	unsigned char *p = aligned_alloc(PAGE, LONGEST);

	if (!p)
		fail("no memory");
	return p;
}

static void many_at_once(struct actor *a)
{
	struct actor each[64];
	char names[64][16];
	pthread_t id[64];
	size_t part = size / threads / PAGE * PAGE;

	tell(a, "%u threads", threads);
	for (unsigned i = 0; part && i < threads; i++) {
		(void)snprintf(names[i], sizeof names[i], "thread %u", i);
		each[i].random = pick(a, UINT64_MAX) | 1;
		each[i].from = i * part;
		each[i].to = (i + 1) * part;
		each[i].name = names[i];
		each[i].buf = memory();
		if (pthread_create(&id[i], NULL, one_thread, &each[i]) != 0)
			fail("no thread");
	}
	for (unsigned i = 0; part && i < threads; i++) {
		pthread_join(id[i], NULL);
		free(each[i].buf);
	}
}

/* ---- all of it */

/* What is done seldom. */
static void seldom(struct actor *a)
{
	switch (pick(a, 8)) {
	case 0:
		reopen(a);
		break;
	case 1:
		if (threads)
			many_at_once(a);
		break;
	case 2:
		if (!plain)
			past_the_end(a);
		break;
	case 3:
		if (!plain)
			shrink(a);
		break;
	case 4:
		if (grow_to >= size + SECTOR)
			grow(a);
		break;
	case 5:
		if (!plain && pick(a, 4) == 0)
			open_and_discard(a);
		break;
	case 6:
		if (pick(a, 4) == 0)
			compare_all(a);
		break;
	default:
		check_size();
	}
}

static void act(struct actor *a)
{
	uint64_t what = pick(a, 100);

	if (what < 25)
		read_from(a, fd, 1);
	else if (what < 50)
		write_to(a, fd, 1);
	else if (what < 55)
		write_vector(a);
	else if (what < 65 && direct)
		read_from(a, direct_fd, PAGE);
	else if (what < 75 && direct)
		write_to(a, direct_fd, PAGE);
	else if (what < 80)
		through_memory(a, true);
	else if (what < 85)
		through_memory(a, false);
	else if (what < 87)
		sync_it(a);
	else if (what < 91)
		zero(a, true);
	else if (what < 93)
		zero(a, false);
	else if (what < 96)
		look_for_holes(a);
	else
		seldom(a);
}

static void start(struct actor *a)
{
	struct stat st;

	if (direct)
		direct_fd = open_it(O_DIRECT);
	fd = open_it(0);
	must(fstat(fd, &st), "fstat");
	size = (size_t)st.st_size;
	if (size < (size_t)2 * PAGE || size > MAX_SIZE || grow_to > MAX_SIZE)
		fail("its size must be 8 KiB … 64 MiB");
	model = calloc(1, grow_to > size ? grow_to : size);
	*a = (struct actor){ .random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1,
		.to = size,
		.buf = memory(),
		.name = "main" };
	if (!model)
		fail("no memory");
	for (size_t off = 0, len; off < size; off += len) { /* as it is now */
		len = size - off < LONGEST ? size - off : LONGEST;
		if ((size_t)must(pread(fd, model + off, len, (off_t)off), "read") != len)
			fail("short read at %zu", off);
	}
}

static void usage(void)
{
	fprintf(stderr, "usage: data-check [-n OPERATIONS] [-s SEED] [-d] [-t THREADS] [-g SIZE] "
			"[-p] FILE\n");
	exit(2);
}

int main(int argc, char **argv)
{
	struct actor a;
	int option;

	seed = (uint64_t)time(NULL);
	while ((option = getopt(argc, argv, "n:s:dt:g:p")) != -1) {
		if (option == 'n')
			operations = atol(optarg);
		else if (option == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (option == 'd')
			direct = true;
		else if (option == 't')
			threads = (unsigned)atoi(optarg);
		else if (option == 'g')
			grow_to = strtoull(optarg, NULL, 10);
		else if (option == 'p')
			plain = true;
		else
			usage();
	}
	if (optind + 1 != argc || threads > 64)
		usage();
	path = argv[optind];
	start(&a);
	for (; done_so_far < operations; done_so_far++)
		act(&a);
	compare_all(&a);
	reopen(&a);
	compare_all(&a);
	close_both();
	free(a.buf);
	free(model);
	return 0;
}
