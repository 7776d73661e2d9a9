/*
 * What stands in the keep of a running volfs: one line for each draft in use, `serial opens name`. With SECONDS, each was opened so
 * much longer ago afterwards, and once more: as by an OPEN that a killed server carried out, and the next one again.
 *
 *      keep-look SUPERVISOR-PID [SECONDS]
 */
#include "keep.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The supervisor holds it as a memfd. -1: it does not. */
static int keep_of(const char *pid)
{
	char path[512], to[64];
	struct dirent *e;
	int fd = -1;
	DIR *dir;

	(void)snprintf(path, sizeof path, "/proc/%s/fd", pid);
	dir = opendir(path);
	while (dir && fd < 0 && (e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, to, sizeof to - 1);

		to[n < 0 ? 0 : n] = '\0';
		if (strstr(to, "memfd:volfs-keep"))
			fd = openat(dirfd(dir), e->d_name, O_RDWR | O_CLOEXEC);
	}
	if (dir)
		(void)closedir(dir);
	return fd;
}

int main(int argc, char **argv)
{
	int64_t older_us = argc == 3 ? atol(argv[2]) * INT64_C(1000000) : 0;
	int fd = argc >= 2 ? keep_of(argv[1]) : -1;
	struct keep_draft *d;
	struct err err = { 0 };
	struct keep *k;
	size_t at = 0;

	if (fd < 0 || keep_map(fd, &k, &err) < 0) {
		(void)fprintf(stderr, "keep-look: no keep: %s\n", err.text);
		return 1;
	}
	while ((d = keep_draft_each(k, &at))) {
		printf("%" PRIu64 " %" PRIu32 " %s\n", d->serial, d->opens,
			keep_draft_now(d)->name);
		d->opened_us -= older_us;
		d->opens += older_us != 0;
	}
	keep_unmap(k);
	(void)close(fd);
	return 0;
}
