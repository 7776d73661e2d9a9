/* Columns of a table to look at: text by its width on a terminal, not by its bytes. Pure; any thread. */
#ifndef VOLFS_BASE_COLUMN_H
#define VOLFS_BASE_COLUMN_H

#include "base/buf.h"

#include <stdint.h>

/* Adds text in just so many columns, filled up with blanks, or cut with "…" if it needs more; at their left, or right. Text is UTF-8. */
void column_left(struct buf *b, const char *text, unsigned columns);
void column_right(struct buf *b, const char *text, unsigned columns);

/* At their left, and cut in its middle: for names that often differ at their end alone, such as "ceph-ssd-1". */
void column_ends(struct buf *b, const char *text, unsigned columns);

/* A size in two to four digits, rounded: "6.0T", "512M", "1023K", "17B"; at their right. */
void column_bytes(struct buf *b, uint64_t bytes, unsigned columns);

#endif
