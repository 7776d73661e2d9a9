#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistr.h>

static const char units[] = "KMGTP"; /* each 1024 times the one before */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* "" (GiB), "B", or a unit letter with nothing, B or iB after it, in any case. -1: none of these.
 */
static int unit_shift(const char *unit)
{
	const char *at;

	if (!unit[0])
		return 30;
	if (upper(unit[0]) == 'B' && !unit[1])
		return 0;
	at = strchr(units, upper(unit[0]));
	if (!at)
		return -1;
	unit++;
	if (upper(unit[0]) == 'I' && unit[1])
		unit++;
	if (upper(unit[0]) == 'B')
		unit++;
	return unit[0] ? -1 : (int)(at - units + 1) * 10;
}

static int size_err(struct err *err, const char *text, const char *why)
{
	char shown[TEXT_SHOWN_MAX];

	return err_set(err, -EINVAL, "size '%s' is %s", text_shown(text, shown), why);
}

int text_size(const char *text, uint64_t *ret_bytes, struct err *err)
{
	uint64_t n = 0;
	const char *at = text;
	int shift;

	for (; is_digit(*at); at++) {
		if (__builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
			return size_err(err, text, "too large");
	}
	shift = unit_shift(at);
	if (at == text || shift < 0)
		return size_err(err, text,
			"not a whole number, with K, M, G, T, P or B after it or nothing (GiB)");
	if (n > (uint64_t)INT64_MAX >> shift)
		return size_err(err, text, "too large");
	*ret_bytes = n << shift;
	return 0;
}

int text_volume_size(const char *text, uint64_t *ret_bytes, struct err *err)
{
	uint64_t bytes;
	int r = text_size(text, &bytes, err);

	if (r < 0)
		return r;
	if (bytes < UINT64_C(1) << 20)
		return size_err(err, text, "less than 1 MiB");
	if (bytes % 512)
		return size_err(err, text, "not a multiple of 512 bytes");
	*ret_bytes = bytes;
	return 0;
}

const char *text_of_size(uint64_t bytes, char text[TEXT_SIZE_MAX])
{
	for (int i = (int)sizeof units - 2; i >= 0 && bytes; i--) {
		int shift = (i + 1) * 10;

		if (bytes % (UINT64_C(1) << shift) == 0) {
			(void)snprintf(
				text, TEXT_SIZE_MAX, "%" PRIu64 "%c", bytes >> shift, units[i]);
			return text;
		}
	}
	(void)snprintf(text, TEXT_SIZE_MAX, "%" PRIu64 "B", bytes);
	return text;
}

bool text_is_plain(const char *text, size_t len)
{
	const unsigned char *at = (const unsigned char *)text;

	if (len && u8_check(at, len))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (at[i] < 0x20 || at[i] == 0x7f)
			return false;
		/* U+0080 … U+009F; the second byte is there, or u8_check() had seen it */
		if (at[i] == 0xc2 && at[i + 1] < 0xa0)
			return false;
	}
	return true;
}

const char *text_shown(const char *text, char shown[TEXT_SHOWN_MAX])
{
	static const char cut[] = "…";
	size_t len = strlen(text), out = 0;

	for (size_t i = 0, n; i < len; i += n) {
		ucs4_t c;
		bool plain;

		n = (size_t)u8_mbtouc(&c, (const uint8_t *)text + i, len - i);
		plain = text_is_plain(text + i, n);
		if (out + n + sizeof cut > TEXT_SHOWN_MAX) {
			memcpy(shown + out, cut, sizeof cut);
			return shown;
		}
		memcpy(shown + out, plain ? text + i : "?", plain ? n : 1);
		out += plain ? n : 1;
	}
	shown[out] = '\0';
	return shown;
}

bool text_is_uuid(const char *text)
{
	size_t i;

	for (i = 0; text[i] && i < 36; i++) {
		bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
		bool hex = is_digit(text[i]) || (upper(text[i]) >= 'A' && upper(text[i]) <= 'F');

		if (hyphen ? text[i] != '-' : !hex)
			return false;
	}
	return i == 36 && !text[i];
}

bool text_uuid_within(const char *name, const char *before, const char *behind, char ret[37])
{
	size_t n = strlen(before);

	ret[0] = '\0';
	if (strncmp(name, before, n) != 0 || strlen(name + n) != 36 + strlen(behind) ||
		strcmp(name + n + 36, behind) != 0)
		return false;
	memcpy(ret, name + n, 36);
	ret[36] = '\0';
	if (text_is_uuid(ret) && !ret[strcspn(ret, "ABCDEF")])
		return true;
	ret[0] = '\0';
	return false;
}

/* Bytes that mean nothing to a shell wherever they stand in a word. */
static bool is_bare(char c)
{
	return is_digit(c) || (upper(c) >= 'A' && upper(c) <= 'Z') || (c && strchr("@%+:,./_-", c));
}

void text_quote(struct buf *b, const char *text)
{
	const char *at = text;

	while (is_bare(*at))
		at++;
	if (at > text && !*at) {
		buf_adds(b, text);
		return;
	}
	buf_addc(b, '\'');
	for (at = text; *at; at++) {
		if (*at == '\'')
			buf_adds(b, "'\\''");
		else
			buf_addc(b, *at);
	}
	buf_addc(b, '\'');
}

size_t text_cut(const char *text, size_t len, size_t room)
{
	if (len <= room)
		return len;
	for (len = room; len && (text[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

/* Bytes of the UTF-8 sequence at text; 0: it is none. */
static size_t sequence(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t n = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;

	return n && !u8_check(at, strnlen(text, n)) ? n : 0;
}

/* What may stand in a JSON string as it is, from here on. */
static size_t json_run(const char *text)
{
	size_t n = 0;

	while ((unsigned char)text[n] >= 0x20 && (unsigned char)text[n] < 0x80 && text[n] != '"' &&
		text[n] != '\\')
		n++;
	return n;
}

void text_json(struct buf *b, const char *text)
{
	buf_addc(b, '"');
	for (;;) {
		size_t n = json_run(text);

		buf_add(b, text, n);
		text += n;
		if (!*text)
			break;
		n = sequence(text);
		if (*text == '"' || *text == '\\')
			buf_addf(b, "\\%c", *text);
		else if (n == 1)
			buf_addf(b, "\\u%04x", (unsigned)*text);
		else if (n)
			buf_add(b, text, n);
		else
			buf_adds(b, "\xef\xbf\xbd");
		text += n ? n : 1;
	}
	buf_addc(b, '"');
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

char *text_trim(char *text)
{
	size_t len;

	while (is_space(*text))
		text++;
	len = strlen(text);
	while (len && is_space(text[len - 1]))
		len--;
	text[len] = '\0';
	return text;
}

size_t text_edits(const char *a, const char *b)
{
	size_t row[32], n = strlen(b); /* row[j]: edits from what was read of a to j bytes of b */

	if (strlen(a) >= 32 || n >= 32)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t corner = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t best = corner + (a[i] != b[j]);

			corner = row[j + 1];
			if (corner + 1 < best)
				best = corner + 1;
			if (row[j] + 1 < best)
				best = row[j] + 1;
			row[j + 1] = best;
		}
	}
	return row[n];
}
