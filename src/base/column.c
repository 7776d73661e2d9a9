#include "base/column.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistr.h>
#include <uniwidth.h>

/* How many bytes of text fit into so many columns; *ret_width: how many these take. */
static size_t fitting(const char *text, unsigned columns, unsigned *ret_width)
{
	size_t len = strlen(text), at = 0;

	*ret_width = 0;
	while (at < len) {
		ucs4_t c;
		int n = u8_mbtouc(&c, (const uint8_t *)text + at, len - at);
		int width = uc_width(c, "UTF-8"); /* 0: what joins the one before; -1: a control */

		if (width > 0 && *ret_width + (unsigned)width > columns)
			break;
		*ret_width += width > 0 ? (unsigned)width : 0;
		at += (size_t)n;
	}
	return at;
}

static void add_blanks(struct buf *b, unsigned n)
{
	while (n-- > 0)
		buf_addc(b, ' ');
}

static void column(struct buf *b, const char *text, unsigned columns, bool right)
{
	unsigned width, blanks;
	size_t n = fitting(text, columns, &width);
	bool cut = text[n];

	if (cut)
		n = fitting(text, columns - 1, &width);
	blanks = columns - width - cut;
	if (right)
		add_blanks(b, blanks);
	buf_add(b, text, n);
	if (cut)
		buf_adds(b, "…");
	if (!right)
		add_blanks(b, blanks);
}

void column_left(struct buf *b, const char *text, unsigned columns)
{
	column(b, text, columns, false);
}

void column_right(struct buf *b, const char *text, unsigned columns)
{
	column(b, text, columns, true);
}

/* What is at most so many columns wide at the end of text. */
static const char *end_of(const char *text, unsigned columns)
{
	unsigned width;
	ucs4_t c;

	while (text[fitting(text, columns, &width)])
		text += u8_mbtouc(&c, (const uint8_t *)text, strlen(text));
	return text;
}

void column_ends(struct buf *b, const char *text, unsigned columns)
{
	unsigned width, rest = columns / 2;
	const char *end;
	size_t n;

	if (!text[fitting(text, columns, &width)] || rest < 2) {
		column_left(b, text, columns);
		return;
	}
	end = end_of(text, rest - 1);
	(void)fitting(end, columns, &rest);
	n = fitting(text, columns - 1 - rest, &width);
	buf_add(b, text, n);
	buf_adds(b, "…");
	buf_adds(b, end);
	add_blanks(b, columns - width - 1 - rest);
}

void column_bytes(struct buf *b, uint64_t bytes, unsigned columns)
{
	static const char scale[] = "BKMGTPE";
	double n = (double)bytes;
	unsigned unit = 0;
	char text[16];

	/* What would be rounded to 1024 of a unit is 1.0 of the next. */
	for (; n >= 1023.5; unit++)
		n /= 1024;
	(void)snprintf(text, sizeof text, "%.*f%c", unit && n < 9.95, n, scale[unit]);
	column_right(b, text, columns);
}
