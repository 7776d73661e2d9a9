/*
 * Growing text. `{ 0 }` is a valid empty one; at is NULL or NUL-terminated at len; embedded NULs are allowed.
 * Memory errors are remembered: after one, everything added is ignored and buf_failed() is true; so a
 * sequence of additions needs one check at its end.
 */
#ifndef VOLFS_BASE_BUF_H
#define VOLFS_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *at;   /* NULL while nothing was ever added */
	size_t len; /* without the terminating NUL */
	size_t room;
	bool failed;
};

void buf_release(struct buf *b); /* frees the contents; leaves { 0 } */
void buf_clear(struct buf *b);	 /* empty again, memory kept */
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_adds(struct buf *b, const char *text);
void buf_addc(struct buf *b, char c);
void buf_addu(struct buf *b, uint64_t number); /* in decimal: many times faster than buf_addf() */
void buf_cut(struct buf *b, size_t len);       /* what comes after len bytes is dropped */
__attribute__((format(printf, 2, 3))) void buf_addf(struct buf *b, const char *fmt, ...);
char *buf_detach(struct buf *b); /* the caller's to free; NULL after a failure; leaves { 0 } */

static inline bool buf_failed(const struct buf *b)
{
	return b->failed;
}

static inline const char *buf_text(const struct buf *b)
{
	return b->at ? b->at : "";
}

#endif
