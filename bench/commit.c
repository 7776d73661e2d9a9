/* One durable commit of one small row, as the catalogue makes them (WAL, synchronous=FULL): the
 * median in microseconds. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 0;
	double *took = calloc((size_t)count + 1, sizeof *took);
	sqlite3 *db;

	if (count < 1 || !took || sqlite3_open(argv[1], &db))
		return fprintf(stderr, "commit DATABASE COUNT\n"), 2;
	sqlite3_exec(db,
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE IF NOT EXISTS t (a, b)",
		0, 0, 0);
	for (int i = 0; i < count; i++) {
		double from = now_us();

		if (sqlite3_exec(db,
			    "INSERT INTO t VALUES (1, 'a row of about the size of a small job, one hundred bytes')",
			    0, 0, 0))
			return fprintf(stderr, "commit: %s\n", sqlite3_errmsg(db)), 1;
		took[i] = now_us() - from;
	}
	sqlite3_close(db);
	qsort(took, (size_t)count, sizeof *took, by_value);
	printf("%.0f\n", took[count / 2]);
	return 0;
}
