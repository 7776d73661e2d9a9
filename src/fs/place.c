/*
 * Places of readers of streams. A server may be killed after it has noted a place and before its answer is out: then the kernel sends the
 * same read again. So the place before is kept as well, and the offset says which of the two is meant.
 */
#include "base/tally.h"
#include "fs/internal.h"

#include <errno.h>
#include <stdlib.h>

/* Nobody takes all of them from the others: a user has as many as blocked reads. */
struct places {
	struct lock lock;   /* leaf */
	struct tally users; /* lock */
};

/* A bit of its own: handles of other opens are counted from the server's number on (opens.c). */
#define PLACE_BIT (UINT64_C(1) << 63)

static uint64_t fh_of(const struct keep_place *p, size_t slot)
{
	return PLACE_BIT | p->serial * KEEP_PLACES | slot;
}

static struct keep_place *place_of(struct fs *fs, uint64_t fh)
{
	size_t slot = fh % KEEP_PLACES;
	struct keep_place *p = &fs->keep->place[slot];

	return (fh & PLACE_BIT) && atomic_load(&p->used) == KEEP_USED && fh_of(p, slot) == fh
		       ? p
		       : NULL;
}

int places_new(struct fs *fs)
{
	uint32_t high = atomic_load(&fs->keep->place_high);
	struct places *all = calloc(1, sizeof *all);

	if (!all)
		return -ENOMEM;
	lock_init(&all->lock);
	lock_take(&all->lock);
	for (uint32_t i = 0; i < high; i++)
		if (atomic_load(&fs->keep->place[i].used) == KEEP_USED)
			(void)tally_take(&all->users, fs->keep->place[i].uid, KEEP_PLACES);
	lock_drop(&all->lock);
	fs->places = all;
	return 0;
}

void places_free(struct places *all)
{
	if (!all)
		return;
	tally_release(&all->users);
	lock_release(&all->lock);
	free(all);
}

static bool admit(struct fs *fs, uid_t uid)
{
	LOCK_SCOPE(&fs->places->lock);
	return tally_take(&fs->places->users, uid, fs->conf->max_blocked);
}

static void give_back(struct fs *fs, uid_t uid)
{
	LOCK_SCOPE(&fs->places->lock);
	tally_give(&fs->places->users, uid);
}

/* The one that this very OPEN made, when it was sent to a server that died. */
static bool made_before(struct fs *fs, uint64_t unique, uint64_t *ret_fh)
{
	uint32_t high = atomic_load(&fs->keep->place_high);

	for (uint32_t i = 0; i < high; i++) {
		struct keep_place *p = &fs->keep->place[i];

		if (atomic_load(&p->used) == KEEP_USED && p->made_by == unique) {
			*ret_fh = fh_of(p, i);
			return true;
		}
	}
	return false;
}

int place_open(struct ctx *c, uint64_t *ret_fh)
{
	struct fs *fs = c->fs;
	struct change_id id = session_change_id(fs->session);
	struct keep_place *p;
	int slot;

	if (id.resent && made_before(fs, id.unique, ret_fh))
		return 0;
	if (!admit(fs, c->uid))
		return -EAGAIN;
	slot = keep_place_take(fs->keep);
	if (slot < 0) {
		give_back(fs, c->uid);
		return -ENFILE;
	}
	p = &fs->keep->place[slot];
	p->made_by = id.unique;
	p->admin = who_is_admin(fs, c);
	p->uid = c->uid;
	*ret_fh = fh_of(p, (size_t)slot);
	atomic_store(&p->used, KEEP_USED);
	return 0;
}

bool place_is_admin(struct fs *fs, uint64_t fh)
{
	const struct keep_place *p = place_of(fs, fh);

	return p && p->admin;
}

bool place_is_of(struct fs *fs, uint64_t fh, uid_t uid)
{
	const struct keep_place *p = place_of(fs, fh);

	return p && p->uid == uid;
}

bool place_find(struct fs *fs, uint64_t fh, off_t off, int64_t *ret_pos)
{
	const struct keep_place *p = place_of(fs, fh);
	uint32_t turn = p ? atomic_load(&p->turn) : 0;

	for (uint32_t i = 0; p && i < 2; i++, turn ^= 1)
		if (p->at[turn].off == off) {
			*ret_pos = p->at[turn].pos;
			return true;
		}
	return false;
}

bool place_latest(struct fs *fs, uint64_t fh, int64_t *ret_pos)
{
	const struct keep_place *p = place_of(fs, fh);
	uint32_t turn = p ? atomic_load(&p->turn) : 0;

	if (!p || p->at[turn].off < 0)
		return false;
	*ret_pos = p->at[turn].pos;
	return true;
}

bool place_within(
	struct fs *fs, uint64_t fh, off_t off, off_t *ret_begin, int64_t *ret_pos, off_t *ret_end)
{
	const struct keep_place *p = place_of(fs, fh);
	uint32_t turn = p ? atomic_load(&p->turn) : 0;

	if (!p || p->at[turn ^ 1].off < 0 || off < p->at[turn ^ 1].off || off >= p->at[turn].off)
		return false;
	*ret_begin = p->at[turn ^ 1].off;
	*ret_pos = p->at[turn ^ 1].pos;
	*ret_end = p->at[turn].off;
	return true;
}

void place_next(struct fs *fs, uint64_t fh, off_t off, int64_t pos)
{
	struct keep_place *p = place_of(fs, fh);
	uint32_t spare = p ? atomic_load(&p->turn) ^ 1 : 0;

	if (!p || (p->at[spare ^ 1].off == off && p->at[spare ^ 1].pos == pos))
		return;
	if (p->at[spare].off == off &&
		p->at[spare].pos == pos) { /* it is the newer one again, not the next to go */
		atomic_store(&p->turn, spare);
		return;
	}
	atomic_store(&p->at[spare].off, -1);
	atomic_store(&p->at[spare].pos, pos);
	atomic_store(&p->at[spare].off, off);
	atomic_store(&p->turn, spare);
}

bool place_part(struct fs *fs, uint64_t fh, off_t off, int64_t first, struct part *ret)
{
	*ret = (struct part){ .begin = off, .pos = first };
	return off == 0 || place_find(fs, fh, off, &ret->pos) ||
	       place_within(fs, fh, off, &ret->begin, &ret->pos, &ret->end);
}

void place_part_read(struct fs *fs, uint64_t fh, const struct part *p, size_t len, int64_t next)
{
	place_next(fs, fh, p->begin, p->pos);
	place_next(fs, fh, p->begin + (off_t)len, next);
}

unsigned place_count(struct fs *fs)
{
	uint32_t high = atomic_load(&fs->keep->place_high);
	unsigned n = 0;

	for (uint32_t i = 0; i < high; i++)
		n += atomic_load(&fs->keep->place[i].used) == KEEP_USED;
	return n;
}

void place_drop(struct fs *fs, uint64_t fh)
{
	const struct keep_place *p = place_of(fs, fh);
	uid_t uid = p ? p->uid : 0;

	if (!p)
		return;
	keep_place_drop(fs->keep, (int)(fh % KEEP_PLACES));
	give_back(fs, uid);
}
