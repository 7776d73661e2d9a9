/*
 * new/: bytes of specs until they are submitted; and temporary files among metadata.
 *
 *    an open of new/spec or creat of new/NAME      a draft of its own for each open, so writers
 * never mix creat of a name that matches draft_patterns   a kept draft: one file that may be
 * opened, read and rewritten until it is renamed to a plain name (which submits it), removed or an
 * hour old
 *
 * Everything that must outlive the server is in the keep and changes there by one flip; this file
 * holds what finds it again: a hash by serial number, which is also the handle given to the kernel,
 * and one by name.
 */
#include "fs/draft.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

static const uint64_t SERIAL_MASK = (UINT64_C(1) << 52) - 1;
static const int64_t KEPT_US = INT64_C(3600) * 1000000;
static const int64_t PRUNE_US = INT64_C(60) * 1000000;

fuse_ino_t draft_ino(struct fs *fs, uint64_t file)
{
	return ino_of((struct node){
		.kind = KIND_DRAFT, .row = (int64_t)((fs->drafts->base + file) & SERIAL_MASK) });
}

uint64_t draft_file_of(struct fs *fs, struct node n)
{
	return ((uint64_t)n.row - fs->drafts->base) & SERIAL_MASK;
}

struct draft *draft_by_serial_locked(struct drafts *ds, uint64_t serial)
{
	struct draft *d;

	lock_assert_held(&ds->lock);
	HASH_FIND(hh, ds->all, &serial, sizeof serial, d);
	return d;
}

static unsigned key_len(const struct draft_key *key)
{
	return (unsigned)(offsetof(struct draft_key, name) + strlen(key->name));
}

static void unname_locked(struct drafts *ds, struct draft *d)
{
	lock_assert_held(&ds->lock);
	if (d->named)
		HASH_DELETE(by_name, ds->named, d);
	d->named = false;
}

void draft_name_locked(struct drafts *ds, struct draft *d)
{
	unname_locked(ds, d);
	d->key.dir = d->k->dir;
	memcpy(d->key.name, draft_name(d), sizeof d->key.name);
	if (d->k->file != d->serial || d->k->dropped || keep_draft_now(d->k)->done ||
		draft_by_name_locked(ds, d->key.dir, d->key.name))
		return;
	HASH_ADD_KEYPTR(by_name, ds->named, &d->key, key_len(&d->key), d);
	d->named = true;
}

void draft_drop_locked(struct drafts *ds, struct draft *d)
{
	d->k->dropped = 1;
	unname_locked(ds, d);
}

void draft_free_locked(struct drafts *ds, struct draft *d)
{
	lock_assert_held(&ds->lock);
	unname_locked(ds, d);
	if (d->k->kept)
		tally_give(&ds->kept, d->k->uid);
	HASH_DEL(ds->all, d);
	keep_draft_drop(ds->fs->keep, d->k);
	free(d);
}

void draft_end_locked(struct drafts *ds, struct draft *d)
{
	bool gone = d->released || (d->k->dropped && d->k->opens == 0);

	lock_assert_held(&ds->lock);
	if (gone && !d->submitting && !d->moving)
		draft_free_locked(ds, d);
}

static struct draft *adopt_locked(struct drafts *ds, struct keep_draft *k)
{
	struct draft *d = calloc(1, sizeof *d);

	lock_assert_held(&ds->lock);
	if (!d) {
		keep_draft_drop(ds->fs->keep, k);
		return NULL;
	}
	d->k = k;
	d->serial = k->serial;
	HASH_ADD(hh, ds->all, serial, sizeof d->serial, d);
	draft_name_locked(ds, d);
	return d;
}

int drafts_new(struct fs *fs, struct drafts **ret, struct err *err)
{
	struct drafts *ds = calloc(1, sizeof *ds);
	struct keep_draft *k;
	size_t at = 0;

	if (!ds)
		return err_set(err, -ENOMEM, "no memory for drafts");
	ds->fs = fs;
	ds->base = fs->keep->mount_id & SERIAL_MASK;
	lock_init(&ds->lock);
	LOCK_SCOPE(&ds->lock);
	while ((k = keep_draft_each(fs->keep, &at))) {
		struct draft *d = adopt_locked(ds, k);

		if (!d || (k->kept && !tally_take(&ds->kept, k->uid, LONG_MAX)))
			return err_set(err, -ENOMEM, "no memory for drafts");
	}
	*ret = ds;
	return 0;
}

/* The keep's part stays: it is the next server's, or dies with the supervisor. */
void drafts_free(struct drafts *ds)
{
	struct draft *d, *tmp;

	if (!ds)
		return;
	HASH_ITER (hh, ds->all, d, tmp) {
		HASH_DEL(ds->all, d);
		if (d->named)
			HASH_DELETE(by_name, ds->named, d);
		free(d);
	}
	tally_release(&ds->kept);
	lock_release(&ds->lock);
	free(ds);
}

/* The file of that name: a kept draft, or the first open of a name that is being written. */
struct draft *draft_by_name_locked(struct drafts *ds, int64_t dir, const char *name)
{
	struct draft_key key = { .dir = dir };
	struct draft *d;

	lock_assert_held(&ds->lock);
	(void)snprintf(key.name, sizeof key.name, "%s", name);
	HASH_FIND(by_name, ds->named, &key, key_len(&key), d);
	return d;
}

struct draft *draft_by_file_locked(struct drafts *ds, uint64_t file)
{
	struct draft *d = draft_by_serial_locked(ds, file), *tmp;

	if (d)
		return d;
	HASH_ITER (hh, ds->all, d, tmp)
		if (d->k->file == file)
			return d;
	return NULL;
}

/* Kept drafts that nobody has open die after an hour. */
void draft_prune_locked(struct drafts *ds)
{
	int64_t now = clock_wall_us();
	struct draft *d, *tmp;

	lock_assert_held(&ds->lock);
	if (now - ds->pruned_us < PRUNE_US)
		return;
	ds->pruned_us = now;
	HASH_ITER (hh, ds->all, d, tmp)
		/* Opens do not count: an OPEN or RELEASE that a killed server carried out is carried out again. */
		if (d->k->kept && !d->submitting && !d->moving && now - d->k->opened_us > KEPT_US)
			draft_free_locked(ds, d);
}

/*
 * A UUID of version 7: the time first, then 74 random bits. New ones are neighbours in the catalogue's index, so adding one to a
 * million costs as much as adding the first; random ones cost 25 us of CPU more each.
 */
static void new_uuid(char text[UUID_LEN + 1])
{
	uint64_t ms = (uint64_t)clock_wall_us() / 1000;
	uuid_t id;

	uuid_generate_random(id); /* its variant stays */
	for (int i = 0; i < 6; i++)
		id[i] = (unsigned char)(ms >> (40 - 8 * i));
	id[6] = (id[6] & 0x0f) | 0x70;
	uuid_unparse_lower(id, text);
}

static void fill(struct keep_draft *k, const struct draft_new *n, uint64_t made_by)
{
	const struct who *who = n->who;

	k->file = n->own ? k->serial : n->file;
	k->dir = n->dir;
	k->opened_us = clock_wall_us();
	k->uid = who->caller.uid;
	k->gid = who->caller.gid;
	k->tgid = who->tgid;
	k->session = who->caller.session;
	k->opens = 1;
	k->kept = n->kept;
	k->mode = n->mode & 0777;
	k->again = n->again;
	k->made_by = made_by;
	k->group_count = (uint32_t)who->caller.group_count;
	memcpy(k->groups, who->groups, sizeof who->groups);
	new_uuid(k->uuid);
	(void)snprintf(k->state[0].name, sizeof k->state[0].name, "%s", n->name); /* turn is 0 */
}

/* A server that is killed in here leaves no draft, or one that the request finds when it is sent again. */
struct draft *draft_take_locked(struct drafts *ds, const struct draft_new *n, struct err *err)
{
	uid_t uid = n->who->caller.uid;
	struct draft *d = NULL;
	struct keep_draft *k;

	lock_assert_held(&ds->lock);
	if (n->kept && !tally_take(&ds->kept, uid, ds->fs->conf->max_drafts)) {
		err_set(err, -EAGAIN, "you have %ld drafts already", ds->fs->conf->max_drafts);
		return NULL;
	}
	k = keep_draft_take(ds->fs->keep);
	if (k) {
		fill(k, n, session_change_id(ds->fs->session).unique);
		keep_draft_use(k);
		d = adopt_locked(ds, k);
	}
	if (!d) {
		if (n->kept)
			tally_give(&ds->kept, uid);
		err_set(err, -EAGAIN, "too many specs are being written");
	}
	return d;
}

void draft_stat_of(struct ctx *c, const struct keep_draft *k, struct stat *st)
{
	stat_dir(st, 0, k->uid, k->gid, k->opened_us);
	st->st_mode = S_IFREG | k->mode;
	st->st_nlink = 1;
	st->st_size = keep_draft_now(k)->len;
	st->st_ino = draft_ino(c->fs, k->file);
}

/* new/spec itself: everybody may write into it, what is read is the template. */
static void stat_of_spec(struct ctx *c, struct stat *st)
{
	struct buf text = { 0 };

	spec_template(&text);
	stat_dir(st, 0, 0, 0, c->fs->started_us);
	st->st_mode = S_IFREG | 0666;
	st->st_nlink = 1;
	st->st_size = (off_t)text.len;
	st->st_ino = draft_ino(c->fs, 0);
	buf_release(&text);
}

/* Among metadata the mode is the volume's. */
void draft_chmod(struct ctx *c, struct node n, mode_t mode)
{
	struct drafts *ds = c->fs->drafts;
	struct draft *d;

	LOCK_SCOPE(&ds->lock);
	d = draft_by_file_locked(ds, draft_file_of(c->fs, n));
	if (d && !d->k->dir)
		d->k->mode = mode & 0777;
}

int draft_stat(struct ctx *c, struct node n, struct stat *st)
{
	struct drafts *ds = c->fs->drafts;
	uint64_t file = draft_file_of(c->fs, n);
	struct draft *d;

	if (file == 0) {
		stat_of_spec(c, st);
		return 0;
	}
	LOCK_SCOPE(&ds->lock);
	d = draft_by_file_locked(ds, file);
	if (!d)
		return -ENOENT;
	draft_stat_of(c, d->k, st);
	return 0;
}

int draft_find(struct ctx *c, int64_t dir, const char *name, struct entry *ret)
{
	struct drafts *ds = c->fs->drafts;
	struct draft *d;

	ret->generation = 1;
	if (dir == 0 && !strcmp(name, "spec")) {
		ret->node = ino_node(draft_ino(c->fs, 0));
		stat_of_spec(c, &ret->st);
		return 0;
	}
	LOCK_SCOPE(&ds->lock);
	d = draft_by_name_locked(ds, dir, name);
	if (!d)
		return -ENOENT;
	ret->node = ino_node(draft_ino(c->fs, d->k->file));
	draft_stat_of(c, d->k, &ret->st);
	return 0;
}

static int by_serial(const void *a, const void *b)
{
	struct draft *const *x = a, *const *y = b;

	return ((*x)->serial > (*y)->serial) - ((*x)->serial < (*y)->serial);
}

static int list_kept_locked(struct ctx *c, int64_t after, struct entry *ret, size_t n)
{
	struct drafts *ds = c->fs->drafts;
	struct draft **all = calloc(HASH_COUNT(ds->all) + 1, sizeof(struct draft *)), *d, *tmp;
	size_t count = 0, done = 0;

	lock_assert_held(&ds->lock);
	if (!all)
		return -ENOMEM;
	HASH_ITER (hh, ds->all, d, tmp)
		if (d->k->kept && d->k->dir == 0 && !d->k->dropped &&
			(int64_t)d->serial + 1 > after)
			all[count++] = d;
	qsort(all, count, sizeof(struct draft *), by_serial);
	for (; done < count && done < n; done++) {
		ret[done] = (struct entry){ .generation = 1, .at = (int64_t)all[done]->serial + 1 };
		memcpy(ret[done].name, draft_name(all[done]), sizeof ret[done].name);
		draft_stat_of(c, all[done]->k, &ret[done].st);
		ret[done].node = ino_node(ret[done].st.st_ino);
	}
	free(all);
	return (int)done;
}

/* spec is at place 1, a kept draft at its serial + 1. */
int draft_list(struct ctx *c, int64_t after, struct entry *ret, size_t n)
{
	struct drafts *ds = c->fs->drafts;

	if (after < 1) {
		*ret = (struct entry){ .name = "spec", .at = 1 };
		return draft_find(c, 0, "spec", ret) == 0 ? 1 : -EIO;
	}
	LOCK_SCOPE(&ds->lock);
	draft_prune_locked(ds);
	return list_kept_locked(c, after, ret, n);
}
