/*
 * Ceph's encoding: integers little-endian, a string is its length (u32) and its bytes, a versioned struct is version (u8),
 * oldest reader (u8), length (u32) and that many bytes. Pure; only what the driver sends and reads.
 */
#ifndef VOLFS_RBD_ENCODE_H
#define VOLFS_RBD_ENCODE_H

#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The longest that is ever sent: a rename, of two names that people may have chosen, and an id. */
struct enc {
	char at[640];
	size_t len;
};

static inline void enc_raw(struct enc *e, const void *bytes, size_t n)
{
	assert(e->len + n <= sizeof e->at);
	memcpy(e->at + e->len, bytes, n);
	e->len += n;
}

static inline void enc_u8(struct enc *e, uint8_t v)
{
	enc_raw(e, &v, sizeof v);
}

static inline void enc_u32(struct enc *e, uint32_t v)
{
	v = htole32(v);
	enc_raw(e, &v, sizeof v);
}

static inline void enc_u64(struct enc *e, uint64_t v)
{
	v = htole64(v);
	enc_raw(e, &v, sizeof v);
}

static inline void enc_string(struct enc *e, const char *s)
{
	size_t n = strlen(s);

	enc_u32(e, (uint32_t)n);
	enc_raw(e, s, n);
}

/* Opens a struct; the result goes to enc_end(). */
static inline size_t enc_begin(struct enc *e, uint8_t version)
{
	enc_u8(e, version);
	enc_u8(e, 1);
	enc_u32(e, 0);
	return e->len;
}

static inline void enc_end(struct enc *e, size_t from)
{
	uint32_t n = htole32((uint32_t)(e->len - from));

	memcpy(e->at + from - sizeof n, &n, sizeof n);
}

/* The notification that librbd sends after a change of an image: every watcher of its header looks anew, and answers. */
static inline void enc_header_updated(struct enc *e)
{
	size_t at = enc_begin(e, 7);

	enc_u32(e, 3);
	enc_end(e, at);
}

/* Reads on until something is missing; from then on `bad` is set and everything is 0. So one check at the end will do. */
struct dec {
	const char *at;
	size_t left;
	bool bad;
};

static inline bool dec_raw(struct dec *d, void *ret, size_t n)
{
	if (d->bad || d->left < n) {
		d->bad = true;
		return false;
	}
	if (ret)
		memcpy(ret, d->at, n);
	d->at += n;
	d->left -= n;
	return true;
}

static inline uint8_t dec_u8(struct dec *d)
{
	uint8_t v = 0;

	dec_raw(d, &v, sizeof v);
	return v;
}

static inline uint32_t dec_u32(struct dec *d)
{
	uint32_t v = 0;

	dec_raw(d, &v, sizeof v);
	return le32toh(v);
}

static inline uint64_t dec_u64(struct dec *d)
{
	uint64_t v = 0;

	dec_raw(d, &v, sizeof v);
	return le64toh(v);
}

/* A string of at most room-1 bytes into ret. */
static inline void dec_string(struct dec *d, char *ret, size_t room)
{
	uint32_t n = dec_u32(d);

	ret[0] = '\0';
	if (n >= room)
		d->bad = true;
	else if (dec_raw(d, ret, n))
		ret[n] = '\0';
}

/* A string of which only the first room-1 bytes are of interest. */
static inline void dec_string_cut(struct dec *d, char *ret, size_t room)
{
	uint32_t n = dec_u32(d);
	size_t kept = n < room ? n : room - 1;

	ret[0] = '\0';
	if (dec_raw(d, ret, kept) && dec_raw(d, NULL, n - kept))
		ret[kept] = '\0';
}

/* Enters a struct of any version: its contents begin. */
static inline void dec_begin(struct dec *d)
{
	dec_raw(d, NULL, 1 + 1 + 4);
}

#endif
