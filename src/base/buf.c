#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_release(struct buf *b)
{
	free(b->at);
	*b = (struct buf){ 0 };
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->at)
		b->at[0] = '\0';
}

/* Makes room for n more bytes and the NUL. */
static bool grow(struct buf *b, size_t n)
{
	size_t want, room = b->room ? b->room : 128;
	char *at;

	if (b->failed || __builtin_add_overflow(b->len, n, &want) || want >= SIZE_MAX / 2)
		return !(b->failed = true);
	if (want < b->room)
		return true;
	while (room <= want)
		room *= 2;
	at = realloc(b->at, room);
	if (!at)
		return !(b->failed = true);
	b->at = at;
	b->room = room;
	return true;
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
	if (!grow(b, n))
		return;
	if (n)
		memcpy(b->at + b->len, bytes, n);
	b->len += n;
	b->at[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		b->failed = true;
	else if (grow(b, (size_t)n)) {
		(void)vsnprintf(b->at + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void buf_addu(struct buf *b, uint64_t number)
{
	char text[20];
	size_t at = sizeof text;

	do {
		text[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	buf_add(b, text + at, sizeof text - at);
}

void buf_cut(struct buf *b, size_t len)
{
	if (len >= b->len)
		return;
	b->len = len;
	b->at[len] = '\0';
}

char *buf_detach(struct buf *b)
{
	char *at = NULL;

	if (!b->failed && grow(b, 0)) {
		b->at[b->len] = '\0';
		at = b->at;
		b->at = NULL;
	}
	buf_release(b);
	return at;
}
