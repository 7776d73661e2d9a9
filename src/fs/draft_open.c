/* new/: the gestures on names: creating and opening a spec, removing and renaming a draft (which
 * submits it). */
#include "fs/draft.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool draft_is_name(struct fs *fs, const char *name)
{
	for (char **p = fs->conf->draft_patterns; p && *p; p++)
		if (fnmatch(*p, name, 0) == 0)
			return true;
	return false;
}

/* Refuses a create, an open or a rename with a line in `errors`. */
static void draft_refuse(
	struct ctx *c, const struct who *who, int64_t dir, const char *name, const struct err *err)
{
	char file[NAME_LEN + 16];

	(void)snprintf(file, sizeof file, "%s%.*s", dir ? "metadata/" : "new/", NAME_LEN, name);
	errlog_add(c->fs->errlog, &who->caller, err->code, file, err->text);
	fuse_reply_err(c->req, reply_errno(err->code));
}

/* May a spec be written under this name? What is refused here fails in open(2) already. */
static int name_judge(struct ctx *c, const char *file, struct err *err)
{
	char name[NAME_LEN + 1];
	struct vol_entry v;
	int r;

	if (strlen(file) > NAME_LEN)
		return err_set(err, -ENAMETOOLONG, "a name is at most %d bytes", NAME_LEN);
	draft_volume_name(file, name);
	r = spec_name_check(name, NULL, err);
	if (r == 0 && view_entry_by_name(c->view, name, &v) == 0)
		r = err_set(err, -EEXIST, "a volume '%s' exists; it belongs to uid %u", name,
			(unsigned)v.uid);
	return r;
}

static void open_params_locked(struct drafts *ds, const struct draft *d, struct fuse_file_info *fi)
{
	lock_assert_held(&ds->lock);
	fi->direct_io = 1;
	fi->fh = d->serial;
}

/* A CREATE or OPEN that a killed server carried out but did not answer made this. */
static struct draft *made_before(struct ctx *c)
{
	struct change_id id = session_change_id(c->fs->session);
	struct drafts *ds = c->fs->drafts;
	struct draft *d, *tmp;

	if (!id.resent)
		return NULL;
	LOCK_SCOPE(&ds->lock);
	HASH_ITER (hh, ds->all, d, tmp)
		if (d->k->made_by == id.unique)
			return d;
	return NULL;
}

static struct draft *take(struct drafts *ds, const struct draft_new *n, struct err *err)
{
	LOCK_SCOPE(&ds->lock);
	draft_prune_locked(ds);
	return draft_take_locked(ds, n, err);
}

/* An accepted spec that this process unlinked just now: it may be written once more. NULL: it is none. */
static struct draft *take_again(struct ctx *c, const struct draft_new *n, struct err *err)
{
	struct draft_new again = *n;
	struct draft *d;

	again.again = accepted_find(c, n->name);
	if (!again.again || !accepted_was_unlinked(c, again.again))
		return NULL;
	d = take(c->fs->drafts, &again, err);
	if (d)
		guard_forget(c->fs->unlinked, n->who->tgid, ino_of_volume(again.again));
	return d;
}

static struct draft *create(struct ctx *c, const struct draft_new *n, struct err *err)
{
	struct draft *d = made_before(c);

	if (d)
		return d;
	if (strlen(n->name) > NAME_LEN) {
		err_set(err, -ENAMETOOLONG, "a name is at most %d bytes", NAME_LEN);
		return NULL;
	}
	if (!n->kept)
		d = take_again(c, n, err);
	if (!d && !err->code && (n->kept || name_judge(c, n->name, err) == 0))
		d = take(c->fs->drafts, n, err);
	return d;
}

void draft_create(
	struct ctx *c, int64_t dir, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fuse_entry_param e = { .generation = 1 };
	struct drafts *ds = c->fs->drafts;
	struct err err = { 0 };
	struct draft *d;
	struct who who;

	who_fill(c->fs, c->uid, c->gid, c->pid, &who);
	d = create(c,
		&(struct draft_new){ .who = &who,
			.dir = dir,
			.name = name,
			.own = true,
			.kept = dir || draft_is_name(c->fs, name),
			.mode = mode },
		&err);
	if (!d) {
		draft_refuse(c, &who, dir, name, &err);
		return;
	}
	lock_take(&ds->lock);
	draft_stat_of(c, d->k, &e.attr);
	open_params_locked(ds, d, fi);
	lock_drop(&ds->lock);
	e.ino = e.attr.st_ino;
	e.attr_timeout = DRAFT_TIMEOUT;
	fuse_reply_create(c->req, &e, fi);
}

/* Opens a kept draft once more: the same bytes for everyone. False: it is none. */
static bool open_kept(struct ctx *c, uint64_t file, struct fuse_file_info *fi)
{
	struct drafts *ds = c->fs->drafts;
	struct keep_draft_state *next;
	struct draft *d;

	LOCK_SCOPE(&ds->lock);
	d = draft_by_serial_locked(ds, file);
	if (!d || !d->k->kept)
		return false;
	d->k->opens++;
	d->k->opened_us = clock_wall_us();
	if (fi->flags & O_TRUNC) {
		next = keep_draft_next(d->k);
		next->len = 0;
		keep_draft_flip(d->k);
	}
	open_params_locked(ds, d, fi);
	return true;
}

/* The name under which a file is being written; false: it is gone. */
static bool name_of_file(struct drafts *ds, uint64_t file, char name[NAME_LEN + 1], mode_t *mode)
{
	struct draft *d;

	name[0] = '\0';
	*mode = 0666;
	if (file == 0)
		return true;
	LOCK_SCOPE(&ds->lock);
	d = draft_by_file_locked(ds, file);
	if (!d)
		return false;
	memcpy(name, draft_name(d), NAME_LEN + 1);
	*mode = d->k->mode;
	return true;
}

void draft_open(struct ctx *c, struct node n, struct fuse_file_info *fi)
{
	uint64_t file = draft_file_of(c->fs, n);
	struct drafts *ds = c->fs->drafts;
	char name[NAME_LEN + 1];
	struct err err = { 0 };
	struct draft *d;
	struct who who;
	mode_t mode;

	if (file && open_kept(c, file, fi)) {
		fuse_reply_open(c->req, fi);
		return;
	}
	if (!name_of_file(ds, file, name, &mode)) {
		fuse_reply_err(c->req, ENOENT);
		return;
	}
	who_fill(c->fs, c->uid, c->gid, c->pid, &who);
	d = made_before(c);
	if (!d)
		d = take(ds,
			&(struct draft_new){
				.who = &who, .name = name, .file = file, .mode = mode },
			&err);
	if (!d) {
		draft_refuse(c, &who, 0, name[0] ? name : "spec", &err);
		return;
	}
	lock_take(&ds->lock);
	open_params_locked(ds, d, fi);
	lock_drop(&ds->lock);
	fuse_reply_open(c->req, fi);
}

struct draft *draft_moved_by_locked(struct drafts *ds, struct change_id id)
{
	struct draft *d, *tmp;

	lock_assert_held(&ds->lock);
	if (!id.resent)
		return NULL;
	HASH_ITER (hh, ds->all, d, tmp)
		if (keep_draft_now(d->k)->moved_by == id.unique)
			return d;
	return NULL;
}

void draft_move_locked(struct drafts *ds, struct draft *d, const char *name, struct change_id id)
{
	struct keep_draft_state *next = keep_draft_next(d->k);

	lock_assert_held(&ds->lock);
	next->moved_by = id.unique;
	if (name)
		(void)snprintf(next->name, sizeof next->name, "%s", name);
	keep_draft_flip(d->k);
	if (name)
		draft_name_locked(ds, d);
}

/* Takes a draft off its name: freed after the answer, for until then it is the only trace of what
 * was done. -ENOENT: there is none. */
static int unlink_begin(
	struct drafts *ds, int64_t dir, const char *name, struct change_id id, struct draft **ret)
{
	struct draft *d;

	LOCK_SCOPE(&ds->lock);
	d = draft_moved_by_locked(ds, id);
	d = d ? d : draft_by_name_locked(ds, dir, name);
	if (!d)
		return -ENOENT;
	if (d->submitting)
		return -EBUSY;
	draft_move_locked(ds, d, NULL, id);
	draft_drop_locked(ds, d);
	d->moving = true;
	*ret = d;
	return 0;
}

static void unlink_end(struct drafts *ds, struct draft *d)
{
	LOCK_SCOPE(&ds->lock);
	d->moving = false;
	draft_end_locked(ds, d);
}

bool draft_unlink(struct ctx *c, int64_t dir, const char *name)
{
	struct drafts *ds = c->fs->drafts;
	struct draft *d = NULL;
	int r = unlink_begin(ds, dir, name, session_change_id(c->fs->session), &d);

	if (r == -ENOENT)
		return false;
	fuse_reply_err(c->req, reply_errno(r));
	if (d)
		unlink_end(ds, d);
	return true;
}

/* One draft name to another: the old content of the new name goes first, so that no moment knows two
 * of that name. False: `from` is no kept draft. */
static bool rename_kept(struct ctx *c, int64_t dir, const char *from, const char *to)
{
	struct change_id id = session_change_id(c->fs->session);
	struct drafts *ds = c->fs->drafts;
	struct draft *d, *old;

	LOCK_SCOPE(&ds->lock);
	if (draft_moved_by_locked(ds, id))
		return true;
	d = draft_by_name_locked(ds, dir, from);
	if (!d || !d->k->kept || d->submitting)
		return false;
	old = draft_by_name_locked(ds, dir, to);
	if (old && old != d) {
		draft_drop_locked(ds, old);
		draft_end_locked(ds, old);
	}
	draft_move_locked(ds, d, to, id);
	return true;
}

/* Takes a kept draft for submission under another name. NULL: there is none, or it is on its way
 * already. */
static struct draft *take_for_rename(
	struct drafts *ds, const char *from, const char *to, struct change_id id)
{
	struct draft *d;

	LOCK_SCOPE(&ds->lock);
	d = draft_by_name_locked(ds, 0, from);
	if (!d || !d->k->kept || d->submitting)
		return NULL;
	draft_move_locked(ds, d, NULL, id);
	(void)snprintf(d->to, sizeof d->to, "%s", to);
	return d;
}

/* Was this rename, sent again by the kernel, accepted from a server that is dead now? ret_dropped: the
 * draft is gone already. */
static bool rename_was_accepted(struct ctx *c, struct change_id id, bool *ret_dropped)
{
	struct drafts *ds = c->fs->drafts;
	char uuid[UUID_LEN + 1];
	struct vol_entry v;
	struct draft *d;

	*ret_dropped = false;
	lock_take(&ds->lock);
	d = draft_moved_by_locked(ds, id);
	if (d) {
		memcpy(uuid, d->k->uuid, sizeof uuid);
		*ret_dropped = d->k->dropped != 0;
	}
	lock_drop(&ds->lock);
	return d &&
	       (view_entry_by_uuid(c->view, uuid, &v) == 0 || view_purged(c->view, uuid, &v) == 0);
}

bool draft_rename(struct ctx *c, int64_t dir, const char *from, const char *to)
{
	bool done = rename_kept(c, dir, from, to);

	if (done)
		fuse_reply_err(c->req, 0);
	return done;
}

void new_rename(struct ctx *c, int64_t row, const char *from, const char *to)
{
	struct change_id id = session_change_id(c->fs->session);
	struct err err = { 0 };
	bool accepted, dropped;
	struct pending *p;
	struct draft *d;
	struct who who;

	if (strlen(to) <= NAME_LEN && draft_is_name(c->fs, to)) {
		if (!draft_rename(c, 0, from, to))
			refuse(c, -EPERM, from, "only a draft can be renamed here");
		return;
	}
	accepted = rename_was_accepted(c, id, &dropped);
	if (dropped) {
		fuse_reply_err(c->req, 0);
		return;
	}
	if (!accepted && strcmp(to, "spec") && name_judge(c, to, &err) < 0) {
		who_fill(c->fs, c->uid, c->gid, c->pid, &who);
		err.code = rename_code(err.code);
		draft_refuse(c, &who, 0, to, &err);
		return;
	}
	d = take_for_rename(c->fs->drafts, from, to, id);
	p = d ? calloc(1, sizeof *p) : NULL;
	if (!p) {
		refuse(c, d ? -ENOMEM : -EPERM, from,
			d ? "no memory" : "only a draft can be renamed here");
		return;
	}
	*p = (struct pending){ .kind = PENDING_RENAME, .req = c->req };
	draft_submit(c->fs, d, p, true);
}
