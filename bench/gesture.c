/*
 * Gestures on a mounted volfs (or on the constant filesystem), counted and timed from outside as a
 * program would make them.
 *
 *      gesture create DIR COUNT THREADS PREFIX [SPEC [RATE]]  a spec into new/, then its `wait`: volumes/s, latency, that of close(2);
 *                                                       with RATE no more of them a second
 *      gesture delete DIR COUNT THREADS PREFIX          rmdir, then `wait` in the trash
 *      gesture cat FILE SECONDS THREADS                 open, read to the end, close
 *      gesture stat FILE SECONDS THREADS                stat
 *      gesture list DIR ROUNDS 1                        readdir and fstatat of every entry
 *      gesture names DIR ROUNDS 1                       readdir alone
 *
 * Prints one line of key=value words; times in microseconds.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *where, *prefix = "b", *spec = "size=10";
static long count;
static bool looks = true;  /* at every entry */
static double rate, began; /* rate 0: as fast as it goes */
static double until;
static _Atomic long taken, done, failed;
static double *took, *closing; /* of each create or delete */

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void fail(const char *what, const char *path)
{
	if (failed++ == 0)
		fprintf(stderr, "gesture: %s %s: %s\n", what, path, strerror(errno));
}

/* Reads a small file whole; -1: it cannot be read. */
static ssize_t slurp(const char *path, char *text, size_t room)
{
	int fd = open(path, O_RDONLY);
	ssize_t n, all = 0;

	if (fd < 0)
		return -1;
	while (all < (ssize_t)room - 1 && (n = read(fd, text + all, room - 1 - (size_t)all)) > 0)
		all += n;
	text[all] = '\0';
	close(fd);
	return all;
}

static bool create_one(long i)
{
	char path[512], text[512];
	double from = now_us(), before;
	int fd, r, n = snprintf(text, sizeof text, "%s\n", spec);

	snprintf(path, sizeof path, "%s/new/%s-%ld", where, prefix, i);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd < 0 || write(fd, text, (size_t)n) != n) {
		fail("create", path);
		return false;
	}
	before = now_us();
	r = close(fd);
	closing[i] = now_us() - before;
	snprintf(path, sizeof path, "%s/%s-%ld/wait", where, prefix, i);
	if (r || slurp(path, text, sizeof text) < 0 || strcmp(text, "available\n")) {
		fail("wait", path);
		return false;
	}
	took[i] = now_us() - from;
	return true;
}

static bool delete_one(long i)
{
	char path[512], text[64];
	double from = now_us(), before;
	ssize_t n;

	snprintf(path, sizeof path, "%s/%s-%ld/id", where, prefix, i);
	n = slurp(path, text, sizeof text);
	if (n > 0)
		text[n - 1] = '\0';
	snprintf(path, sizeof path, "%s/%s-%ld", where, prefix, i);
	before = now_us();
	if (n <= 0 || rmdir(path)) {
		fail("rmdir", path);
		return false;
	}
	closing[i] = now_us() - before;
	snprintf(path, sizeof path, "%s/.volfs/trash/%s/wait", where, text);
	if (slurp(path, text, sizeof text) < 0 || strcmp(text, "deleted\n")) {
		fail("wait", path);
		return false;
	}
	took[i] = now_us() - from;
	return true;
}

/* Until it is the turn of number i. */
static void pace(long i)
{
	double left = rate > 0 ? began + (double)i / rate * 1e6 - now_us() : 0;

	if (left > 0)
		nanosleep(&(struct timespec){ (time_t)(left / 1e6),
				  (long)(left - (double)(time_t)(left / 1e6) * 1e6) * 1000 },
			NULL);
}

static void *changes(void *one)
{
	bool (*gesture)(long) = *(bool (**)(long))one;
	long i;

	while ((i = taken++) < count) {
		pace(i);
		done += gesture(i);
	}
	return NULL;
}

static void *cats(void *unused)
{
	char text[4096];

	while (now_us() < until)
		for (int i = 0; i < 100; i++) {
			if (slurp(where, text, sizeof text) <= 0)
				fail("read", where);
			done++;
		}
	return unused;
}

static void *stats(void *unused)
{
	struct stat st;

	while (now_us() < until)
		for (int i = 0; i < 1000; i++) {
			if (stat(where, &st))
				fail("stat", where);
			done++;
		}
	return unused;
}

static void *lists(void *unused)
{
	struct dirent *e;
	struct stat st;

	for (long i = 0; i < count; i++) {
		DIR *dir = opendir(where);

		if (!dir) {
			fail("opendir", where);
			break;
		}
		while ((e = readdir(dir))) {
			if (looks && fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
				fail("stat", e->d_name);
			done++;
		}
		closedir(dir);
	}
	return unused;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void print_latency(const char *name, double *of)
{
	qsort(of, (size_t)count, sizeof *of, by_value);
	printf(" %s_p50=%.0f %s_p99=%.0f", name, of[count / 2], name, of[count * 99 / 100]);
}

int main(int argc, char **argv)
{
	static bool (*one)(long);
	void *(*run)(void *) = changes;
	double from;
	int threads;

	if (argc < 5)
		return fprintf(stderr,
			       "gesture create|delete|cat|stat|list|names PATH COUNT|SECONDS THREADS [PREFIX [SPEC [RATE]]]\n"),
		       2;
	where = argv[2];
	count = atol(argv[3]);
	threads = atoi(argv[4]);
	prefix = argc > 5 ? argv[5] : prefix;
	spec = argc > 6 ? argv[6] : spec;
	rate = argc > 7 ? atof(argv[7]) : 0;
	one = !strcmp(argv[1], "create")   ? create_one
	      : !strcmp(argv[1], "delete") ? delete_one
					   : NULL;
	if (!one)
		run = !strcmp(argv[1], "cat") ? cats : !strcmp(argv[1], "stat") ? stats : lists;
	looks = strcmp(argv[1], "names") != 0;
	took = calloc((size_t)count + 1, sizeof *took);
	closing = calloc((size_t)count + 1, sizeof *closing);
	pthread_t *thread = calloc((size_t)threads, sizeof *thread);
	if (!took || !closing || !thread)
		return 1;
	from = began = now_us();
	until = from + (double)count * 1e6;
	for (int i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, run, &one))
			return 1;
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	printf("done=%ld per_second=%.1f", done, (double)done / (now_us() - from) * 1e6);
	if (one) {
		print_latency("took", took);
		print_latency(one == create_one ? "close" : "rmdir", closing);
	}
	printf(" failed=%ld\n", failed);
	return failed ? 1 : 0;
}
