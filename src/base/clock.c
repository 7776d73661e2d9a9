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

/* Writes digits of n, at most as many as there is room for. */
static void digits(char *at, int count, uint64_t n)
{
	for (; count > 0; n /= 10)
		at[--count] = (char)('0' + n % 10);
}

/* Of the Gregorian calendar, by its periods: 400 years are 146,097 days. A year begins in March here, so that the odd day comes last. */
static void date(int64_t days_since_1970, char *at)
{
	enum { PERIOD = 146097, CENTURY = 36524, FOUR_YEARS = 1461, YEAR = 365 };
	uint64_t day = (uint64_t)(days_since_1970 + 719468); /* since 1 March of the year 0 */
	uint64_t year = day / PERIOD * 400, n, month;

	day %= PERIOD;
	n = day / CENTURY < 4 ? day / CENTURY : 3;
	day -= n * CENTURY;
	year += n * 100 + day / FOUR_YEARS * 4;
	day %= FOUR_YEARS;
	n = day / YEAR < 4 ? day / YEAR : 3;
	day -= n * YEAR;
	year += n;
	month = (5 * day + 2) / 153; /* five months are 153 days, whichever five in a row */
	digits(at + 8, 2, day - (153 * month + 2) / 5 + 1);
	digits(at + 5, 2, month < 10 ? month + 3 : month - 9);
	digits(at, 4, year + (month >= 10));
}

/* Without strftime(3), which takes longer than all the rest of a line of .volfs/json. */
const char *clock_text(int64_t wall_us, char text[CLOCK_TEXT_MAX])
{
	int64_t s = wall_us / 1000000, of_day = s % 86400;

	memcpy(text, "0000-00-00T00:00:00Z", sizeof "0000-00-00T00:00:00Z");
	date(s / 86400, text);
	digits(text + 11, 2, (uint64_t)of_day / 3600);
	digits(text + 14, 2, (uint64_t)of_day / 60 % 60);
	digits(text + 17, 2, (uint64_t)of_day % 60);
	return text;
}

const char *clock_text_us(int64_t wall_us, char text[CLOCK_TEXT_MAX])
{
	size_t n = strlen(clock_text(wall_us, text)) - 1;

	(void)snprintf(text + n, CLOCK_TEXT_MAX - n, ".%06uZ", (unsigned)(wall_us % 1000000));
	return text;
}
