/* Time: wall-clock for people and the catalogue (microseconds since 1970, UTC), monotonic for bounds. */
#ifndef VOLFS_BASE_CLOCK_H
#define VOLFS_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { CLOCK_TEXT_MAX = 32 };

int64_t clock_wall_us(void);
int64_t clock_mono_ns(void);
struct timespec clock_mono_in_ms(int64_t ms); /* a moment for lock_wait_until() */

/* RFC 3339, UTC, seconds ("2026-11-22T20:38:58Z"); returns text. */
const char *clock_text(int64_t wall_us, char text[CLOCK_TEXT_MAX]);
/* The same with microseconds. */
const char *clock_text_us(int64_t wall_us, char text[CLOCK_TEXT_MAX]);

#endif
