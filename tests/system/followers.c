/*
 * A crowd of followers of .volfs/events, a thread each that blocks in read(2) on a descriptor of its own. For tests/system/events.sh and
 * bench/run.
 *
 *      followers FILE COUNT LAST
 *
 * Prints "open" when all have opened it. Each checks that what it is given are whole lines without a gap: the position of each line is
 * where the one before has ended (so it must see all lines). It ends with the first line of the
 * volume LAST, if nothing comes soon after that. Then it is told
 * how long after the line's `time`, which is taken just before the commit, they had it, in microseconds: of the first line of each read(2),
 * which has waited longest; and when all had the last one.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 128 * 1024, STACK = 256 * 1024, DELAYS = 1 << 22 };

static const char *path, *last;
static pthread_barrier_t opened;
static _Atomic long batches, bytes, failed;
static _Atomic int64_t end_us; /* the longest until the last line */
static int32_t *delays;

static void fail(const char *what, const char *text)
{
	if (failed++ == 0)
		fprintf(stderr, "followers: %s: %s\n", what, text);
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* {"time":"2026-11-27T14:02:15.123456Z",… */
static int64_t time_of(const char *line)
{
	struct tm tm = { 0 };
	const char *at = strptime(line + 9, "%Y-%m-%dT%H:%M:%S", &tm);

	return at ? (int64_t)timegm(&tm) * 1000000 + atol(at + 1) : 0;
}

/* …,"position":123} and the newline, which is at end[-1]. */
static int64_t position_of(const char *end)
{
	const char *at = end - 2;

	while (at[-1] != ':')
		at--;
	return atoll(at);
}

static void note_delay(int64_t us)
{
	long n = batches++;

	if (n < DELAYS)
		delays[n] = (int32_t)us;
}

/* False: that was the last line, or a fault. */
static bool take(const char *at, size_t len, int64_t *next)
{
	const char *line = memrchr(at, '\n', len - 1), *first_end = memchr(at, '\n', len);
	int64_t now = now_us(), first, end;
	char name[300];

	if (at[len - 1] != '\n') {
		fail("not a whole line", at);
		return false;
	}
	line = line ? line + 1 : at;
	first = position_of(first_end + 1);
	end = position_of(at + len) + (at + len - line);
	if ((*next && first != *next) || end - first != (int64_t)len) {
		fail("lines are missing or twice before", at);
		return false;
	}
	*next = end;
	bytes += (long)len;
	note_delay(now - time_of(at));
	snprintf(name, sizeof name, ",\"name\":\"%s\",", last);
	if (!strstr(line, name))
		return true;
	now -= time_of(line);
	for (int64_t most = end_us;
		now > most && !__atomic_compare_exchange_n((int64_t *)&end_us, &most, now, false,
				      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);)
		;
	return false;
}

static void *follow(void *unused)
{
	char *at = malloc(ROOM + 1);
	int fd = open(path, O_RDONLY);
	int64_t next = 0;
	ssize_t n = 0;

	if (fd < 0 || !at)
		fail(path, strerror(errno));
	pthread_barrier_wait(&opened);
	while (fd >= 0 && at && (n = read(fd, at, ROOM)) > 0) {
		at[n] = '\0';
		if (!take(at, (size_t)n, &next))
			break;
	}
	if (n < 0)
		fail("read", strerror(errno));
	free(at);
	close(fd);
	return unused;
}

static int by_value(const void *a, const void *b)
{
	return *(const int32_t *)a - *(const int32_t *)b;
}

int main(int argc, char **argv)
{
	int count = argc == 4 ? atoi(argv[2]) : 0;
	pthread_t *thread = calloc((size_t)count + 1, sizeof *thread);
	struct rlimit files = { 65536, 65536 };
	pthread_attr_t attr;
	long n;

	delays = malloc(DELAYS * sizeof *delays);
	if (count < 1 || !thread || !delays)
		return 2;
	path = argv[1];
	last = argv[3];
	(void)setrlimit(RLIMIT_NOFILE, &files);
	pthread_barrier_init(&opened, NULL, (unsigned)count + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (int i = 0; i < count; i++)
		if (pthread_create(&thread[i], &attr, follow, NULL))
			return 2;
	pthread_barrier_wait(&opened);
	puts("open");
	fflush(stdout);
	for (int i = 0; i < count; i++)
		pthread_join(thread[i], NULL);
	n = batches < DELAYS ? batches : DELAYS;
	qsort(delays, (size_t)n, sizeof *delays, by_value);
	if (n)
		printf("reads=%ld bytes=%ld delay_p50=%d delay_p99=%d delay_max=%d last=%ld failed=%ld\n",
			batches, bytes, delays[n / 2], delays[n * 99 / 100], delays[n - 1],
			(long)end_us, failed);
	free(thread);
	free(delays);
	return failed ? 1 : 0;
}
