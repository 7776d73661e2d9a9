/*
 * .volfs/json: all volumes that the reader may see, in order of their rows, a line each. Nothing of it is kept: each read walks on in a
 * snapshot of its own from the volume at which the one before ended; so whoever exists all the time is there once, and a million volumes
 * take no memory.
 *
 * A read is answered with as many whole lines as fit, and the place of an open (place.c) is a row between two such answers, or chunks.
 * A chunk that does not go out as a whole is a line that is longer than the read. Who asks for the middle of the latest chunk gets it
 * from the text that was kept, if it was a short one or such a line; so programs work which read a little too much and seek back, as
 * a shell's `read`. A successor, who has no text, writes the chunk once more, if the catalogue still says the same. Everything
 * else but the beginning is unknown: EINVAL.
 */
#include "fs/internal.h"
#include "fs/json.h"
#include "fs/log.h"

#include <errno.h>

/* ANSWER_MAX: a millisecond's work; more would only take more memory. KEPT_MAX: who seeks back reads with a small buffer. */
enum { ANSWER_MAX = 256 * 1024, KEPT_MAX = 16 * 1024 };

struct chunk {
	struct part part; /* pos: the row before it */
	int64_t last;	  /* row of its last volume */
	struct buf text;
};

/* Adds the next line if it fits; of a new chunk at least one. 1: go on. */
static int add_line(struct ctx *c, struct chunk *k, size_t room)
{
	size_t before = k->text.len;
	struct volume v;
	int r = json_next(c->view, c->fs->engine, &k->text, &v);

	if (r <= 0)
		return r;
	if (before && k->text.len > room) {
		buf_cut(&k->text, before);
		return 0;
	}
	k->last = v.id;
	return k->text.len < room;
}

static int write_chunk(struct ctx *c, uint64_t fh, struct chunk *k, size_t room)
{
	struct log_reader who;
	int r = log_who(c, fh, &who);

	if (r < 0)
		return r;
	k->last = k->part.pos;
	r = view_walk(c->view, &who, k->part.pos);
	while (r >= 0 && (r = add_line(c, k, room)) > 0)
		;
	view_walk_end(c->view);
	return r;
}

/* What is kept is kept before the answer, for the next read may come at once. */
static void answer(struct ctx *c, uint64_t fh, struct chunk *k, size_t size, off_t off)
{
	if (k->text.len > KEPT_MAX && k->text.len <= size) {
		opens_drop(c->fs->opens, fh);
		reply_slice(c->req, k->text.at, k->text.len, size, off - k->part.begin);
		return;
	}
	opens_keep_at(c->fs->opens, fh, k->part.begin, &k->text);
	if (!opens_reply_at(c->fs->opens, fh, c->req, k->part.begin, size, off))
		fuse_reply_err(c->req, ENOMEM);
}

void json_all_read(struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct chunk k = { 0 };
	const struct part *p = &k.part;
	size_t room;
	int r;

	if (!place_part(c->fs, fi->fh, off, 0, &k.part)) {
		refuse_node(c, n, -EINVAL, "it is read from its beginning on, without leaps");
		return;
	}
	if (p->end && opens_reply_at(c->fs->opens, fi->fh, c->req, p->begin, size, off))
		return;
	room = p->end ? (size_t)(p->end - p->begin) : size < ANSWER_MAX ? size : ANSWER_MAX;
	r = write_chunk(c, fi->fh, &k, room);
	if (r >= 0 && p->end && p->begin + (off_t)k.text.len != p->end)
		r = -ESTALE; /* as a handle of what has changed meanwhile */
	if (r >= 0 && !p->end && k.text.len)
		place_part_read(c->fs, fi->fh, p, k.text.len, k.last);
	if (r < 0)
		fuse_reply_err(c->req, reply_errno(r));
	else if (!k.text.len)
		fuse_reply_buf(c->req, NULL, 0);
	else
		answer(c, fi->fh, &k, size, off);
	buf_release(&k.text);
}
