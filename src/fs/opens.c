/*
 * What a reader was shown. An attribute's text is rendered at the read at offset 0 and kept for
 * that open until the next such read: `cat status` reads twice, and between the two the status may
 * have changed to a longer word. The handle is a number, counted on from another range by each
 * server, so one of a dead server's finds nothing here.
 */
#include "fs/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum { SHARDS = 64 };

struct kept {
	uint64_t fh;
	char *at;
	off_t from; /* of its first byte */
	size_t len;
	int error; /* what the read at the end answers; 0: end of file */
	UT_hash_handle hh;
};

struct shard {
	struct lock lock;
	struct kept *all; /* lock */
};

struct opens {
	_Atomic uint64_t next;
	struct shard shard[SHARDS];
};

int opens_new(struct fs *fs, struct opens **ret)
{
	struct opens *o = calloc(1, sizeof *o);

	if (!o)
		return -ENOMEM;
	o->next = atomic_load(&fs->keep->server) << 40 | 1;
	for (unsigned i = 0; i < SHARDS; i++)
		lock_init(&o->shard[i].lock);
	*ret = o;
	return 0;
}

static void forget(struct shard *s, struct kept *k)
{
	HASH_DEL(s->all, k);
	free(k->at);
	free(k);
}

void opens_free(struct opens *o)
{
	if (!o)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		while (o->shard[i].all)
			forget(&o->shard[i], o->shard[i].all);
		lock_release(&o->shard[i].lock);
	}
	free(o);
}

uint64_t opens_next(struct opens *o)
{
	return atomic_fetch_add(&o->next, 1);
}

static struct kept *find_locked(struct shard *s, uint64_t fh)
{
	struct kept *k;

	lock_assert_held(&s->lock);
	HASH_FIND(hh, s->all, &fh, sizeof fh, k);
	return k;
}

static void keep(struct opens *o, uint64_t fh, off_t from, struct buf *text, int error)
{
	struct shard *s = &o->shard[fh % SHARDS];
	struct kept *k;

	LOCK_SCOPE(&s->lock);
	k = find_locked(s, fh);
	if (!k) {
		k = calloc(1, sizeof *k);
		if (!k)
			return;
		k->fh = fh;
		HASH_ADD(hh, s->all, fh, sizeof k->fh, k);
	}
	free(k->at);
	k->len = text->len;
	k->from = from;
	k->at = buf_detach(text);
	k->error = error;
}

void opens_keep(struct opens *o, uint64_t fh, struct buf *text, int error)
{
	keep(o, fh, 0, text, error);
}

void opens_keep_at(struct opens *o, uint64_t fh, off_t from, struct buf *text)
{
	keep(o, fh, from, text, 0);
}

void reply_slice(fuse_req_t req, const char *at, size_t len, size_t size, off_t off)
{
	size_t from = off < 0 || (size_t)off > len ? len : (size_t)off;
	size_t n = len - from < size ? len - from : size;

	fuse_reply_buf(req, n ? at + from : NULL, n);
}

bool opens_reply_at(
	struct opens *o, uint64_t fh, fuse_req_t req, off_t from, size_t size, off_t off)
{
	struct shard *s = &o->shard[fh % SHARDS];
	struct buf copy = { 0 };
	struct kept *k;
	int error = 0;

	lock_take(&s->lock);
	k = find_locked(s, fh);
	if (k && k->from != from)
		k = NULL;
	off -= from;
	if (k && (size_t)off < k->len)
		buf_add(&copy, k->at + off,
			k->len - (size_t)off < size ? k->len - (size_t)off : size);
	else if (k)
		error = k->error;
	lock_drop(&s->lock);
	if (k && error)
		fuse_reply_err(req, error);
	else if (k)
		fuse_reply_buf(req, copy.at, copy.len);
	buf_release(&copy);
	return k != NULL;
}

bool opens_reply(struct opens *o, uint64_t fh, fuse_req_t req, size_t size, off_t off)
{
	return opens_reply_at(o, fh, req, 0, size, off);
}

bool opens_differ(struct opens *o, uint64_t fh, const struct buf *text)
{
	struct shard *s = &o->shard[fh % SHARDS];
	struct kept *k;

	LOCK_SCOPE(&s->lock);
	k = find_locked(s, fh);
	/* Unknown: never read, or read from a server that is gone. As sysfs does, then: look. */
	return !k || k->len != text->len || (k->len && memcmp(k->at, text->at, k->len));
}

void opens_drop(struct opens *o, uint64_t fh)
{
	struct shard *s = &o->shard[fh % SHARDS];
	struct kept *k;

	LOCK_SCOPE(&s->lock);
	k = find_locked(s, fh);
	if (k)
		forget(s, k);
}
