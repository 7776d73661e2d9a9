#include "base/clock.h"

#include <stdio.h>
#include <string.h>

int64_t clock_wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct timespec clock_mono_in_ms(int64_t ms)
{
	int64_t at = clock_mono_ns() + ms * 1000000;

	return (struct timespec){ .tv_sec = at / 1000000000, .tv_nsec = at % 1000000000 };
}

const char *clock_text(int64_t wall_us, char text[CLOCK_TEXT_MAX])
{
	time_t s = wall_us / 1000000;
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(text, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return text;
}

const char *clock_text_us(int64_t wall_us, char text[CLOCK_TEXT_MAX])
{
	size_t n = strlen(clock_text(wall_us, text)) - 1;

	(void)snprintf(text + n, CLOCK_TEXT_MAX - n, ".%06uZ", (unsigned)(wall_us % 1000000));
	return text;
}
