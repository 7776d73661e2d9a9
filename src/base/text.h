/* Text as users write and read it: sizes, UTF-8, quoting. Pure; any thread. */
#ifndef VOLFS_BASE_TEXT_H
#define VOLFS_BASE_TEXT_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXT_SIZE_MAX = 32, TEXT_SHOWN_MAX = 48 };

/*
 * A size as product.md, "Sizes": an unsigned integer and optionally K, M, G, T or P (binary; also
 * GiB, GB, g, and B for bytes); a bare number is GiB; no sign, no fraction. Any number of bytes up
 * to INT64_MAX; limits of a volume (at least 1 MiB, a multiple of 512) are text_volume_size()'s.
 * -EINVAL with a sentence.
 */
int text_size(const char *text, uint64_t *ret_bytes, struct err *err);
int text_volume_size(const char *text, uint64_t *ret_bytes, struct err *err);

/* Shown by the largest unit that divides it: "10G", "1536M", else "1048577B"; returns text. */
const char *text_of_size(uint64_t bytes, char text[TEXT_SIZE_MAX]);

/* Valid UTF-8 without control characters (C0, DEL, C1)? */
bool text_is_plain(const char *text, size_t len);

/* The text as a sentence may show it: at most some 40 bytes and then "…", what is not plain as "?";
 * returns shown. */
const char *text_shown(const char *text, char shown[TEXT_SHOWN_MAX]);

/* Is it a UUID in its canonical form (lower-case or upper-case hex, hyphens)? */
bool text_is_uuid(const char *text);

/* Is name before, a UUID in lower case, behind? Then ret is that UUID, else "". */
bool text_uuid_within(const char *name, const char *before, const char *behind, char ret[37]);

/* Adds text as one POSIX sh word, quoted only where it must be. */
void text_quote(struct buf *b, const char *text);

/* How many of its len bytes, at most room, end at a character's border. */
size_t text_cut(const char *text, size_t len, size_t room);

/* Adds text as a JSON string, quotes included. What is not UTF-8 shows as U+FFFD. */
void text_json(struct buf *b, const char *text);

/* How many letters must be changed, added or left out to make b of a; SIZE_MAX where either has 32
 * bytes or more. For "did you mean". */
size_t text_edits(const char *a, const char *b);

/* Trims white space at both ends in place; returns its first byte. */
char *text_trim(char *text);

#endif
