/*
 * new/: bytes of specs until they are submitted.
 *
 *    an open of new/spec or creat of new/NAME      a draft of its own for each open, so writers never mix
 *    creat of a name that matches draft_patterns   a kept draft: one file that may be opened, read and rewritten until it
 *                                                  is renamed to a plain name (which submits it), removed or an hour old
 *
 * Everything that must outlive the server is in the keep and changes there by one flip; this file holds what finds it
 * again: a hash by serial number, which is also the handle given to the kernel.
 */
#include "fs/draft.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

static const uint64_t SERIAL_MASK = (UINT64_C(1) << 52) - 1;
static const int64_t KEPT_US = INT64_C(3600) * 1000000;

fuse_ino_t draft_ino(struct fs *fs, uint64_t file)
{
	return ino_of((struct node){ .kind = KIND_DRAFT, .row = (int64_t)((fs->drafts->base + file) & SERIAL_MASK) });
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

void draft_free_locked(struct drafts *ds, struct draft *d)
{
	lock_assert_held(&ds->lock);
	HASH_DEL(ds->all, d);
	keep_draft_drop(ds->fs->keep, d->k);
	free(d);
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
	while ((k = keep_draft_each(fs->keep, &at)))
		if (!adopt_locked(ds, k))
			return err_set(err, -ENOMEM, "no memory for drafts");
	*ret = ds;
	return 0;
}

/* The keep's part stays: it is the next server's, or dies with the supervisor. */
void drafts_free(struct drafts *ds)
{
	struct draft *d, *tmp;

	if (!ds)
		return;
	HASH_ITER(hh, ds->all, d, tmp)
	{
		HASH_DEL(ds->all, d);
		free(d);
	}
	lock_release(&ds->lock);
	free(ds);
}

static bool is_draft_name(struct fs *fs, const char *name)
{
	for (char **p = fs->conf->draft_patterns; p && *p; p++)
		if (fnmatch(*p, name, 0) == 0)
			return true;
	return false;
}

/* The file of that name: a kept draft, or the first open of a name that is being written. */
static struct draft *by_name_locked(struct drafts *ds, const char *name)
{
	struct draft *d, *tmp;

	lock_assert_held(&ds->lock);
	HASH_ITER(hh, ds->all, d, tmp)
		if (d->k->file == d->serial && !d->k->dropped && !strcmp(d->k->name, name))
			return d;
	return NULL;
}

static struct draft *by_file_locked(struct drafts *ds, uint64_t file)
{
	struct draft *d = draft_by_serial_locked(ds, file), *tmp;

	if (d)
		return d;
	HASH_ITER(hh, ds->all, d, tmp)
		if (d->k->file == file)
			return d;
	return NULL;
}

/* Kept drafts that nobody has open die after an hour. */
static void prune_locked(struct drafts *ds)
{
	int64_t now = clock_wall_us();
	struct draft *d, *tmp;

	lock_assert_held(&ds->lock);
	HASH_ITER(hh, ds->all, d, tmp)
		if (d->k->kept && !d->k->opens && !d->submitting && now - d->k->opened_us > KEPT_US)
			draft_free_locked(ds, d);
}

static long kept_by_locked(struct drafts *ds, uid_t uid)
{
	struct draft *d, *tmp;
	long n = 0;

	HASH_ITER(hh, ds->all, d, tmp)
		n += d->k->kept && d->k->uid == uid;
	return n;
}

/* A new draft of the caller; file 0 and own: its own serial is its file. NULL: no slot is free. */
static struct draft *take_locked(struct drafts *ds, const struct who *who, const char *name, uint64_t file, bool own)
{
	struct keep_draft *k = keep_draft_take(ds->fs->keep);
	uuid_t id;

	lock_assert_held(&ds->lock);
	if (!k)
		return NULL;
	k->file = own ? k->serial : file;
	k->opened_us = clock_wall_us();
	k->uid = who->caller.uid;
	k->gid = who->caller.gid;
	k->tgid = who->tgid;
	k->session = who->caller.session;
	k->opens = 1;
	k->group_count = (uint32_t)who->caller.group_count;
	memcpy(k->groups, who->groups, sizeof who->groups);
	uuid_generate_random(id);
	uuid_unparse_lower(id, k->uuid);
	(void)snprintf(k->name, sizeof k->name, "%s", name);
	return adopt_locked(ds, k);
}

static void stat_of(struct ctx *c, const struct keep_draft *k, struct stat *st)
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
	d = by_file_locked(ds, file);
	if (!d)
		return -ENOENT;
	stat_of(c, d->k, st);
	return 0;
}

int draft_find(struct ctx *c, const char *name, struct entry *ret)
{
	struct drafts *ds = c->fs->drafts;
	struct draft *d;

	ret->generation = 1;
	if (!strcmp(name, "spec")) {
		ret->node = ino_node(draft_ino(c->fs, 0));
		stat_of_spec(c, &ret->st);
		return 0;
	}
	LOCK_SCOPE(&ds->lock);
	d = by_name_locked(ds, name);
	if (!d)
		return -ENOENT;
	ret->node = ino_node(draft_ino(c->fs, d->k->file));
	stat_of(c, d->k, &ret->st);
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
	HASH_ITER(hh, ds->all, d, tmp)
		if (d->k->kept && !d->k->dropped && (int64_t)d->serial + 1 > after)
			all[count++] = d;
	qsort(all, count, sizeof(struct draft *), by_serial);
	for (; done < count && done < n; done++) {
		ret[done] = (struct entry){ .generation = 1, .at = (int64_t)all[done]->serial + 1 };
		memcpy(ret[done].name, all[done]->k->name, sizeof ret[done].name);
		stat_of(c, all[done]->k, &ret[done].st);
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
		return draft_find(c, "spec", ret) == 0 ? 1 : -EIO;
	}
	LOCK_SCOPE(&ds->lock);
	prune_locked(ds);
	return list_kept_locked(c, after, ret, n);
}

/* Refuses a create or an open in new/ with a line in `errors`. */
static void refuse(struct ctx *c, const struct who *who, const char *name, const struct err *err)
{
	char file[NAME_LEN + 8];

	(void)snprintf(file, sizeof file, "new/%.*s", NAME_LEN, name);
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
		r = err_set(err, -EEXIST, "a volume '%s' exists; it belongs to uid %u", name, (unsigned)v.uid);
	return r;
}

static void open_reply_params(struct fuse_file_info *fi, const struct draft *d)
{
	fi->direct_io = 1;
	fi->fh = d->serial;
}

/* A CREATE or OPEN that a killed server carried out but did not answer made this. */
static struct draft *made_by_locked(struct drafts *ds, uint64_t unique)
{
	struct draft *d, *tmp;

	lock_assert_held(&ds->lock);
	HASH_ITER(hh, ds->all, d, tmp)
		if (d->k->made_by == unique)
			return d;
	return NULL;
}

/* A draft for one more open of a name, or why not. */
static struct draft *open_new(struct ctx *c, const struct who *who, const char *name, uint64_t file, bool own, bool kept,
	mode_t mode, struct err *err)
{
	struct change_id id = session_change_id(c->fs->session);
	struct drafts *ds = c->fs->drafts;
	struct draft *d;

	LOCK_SCOPE(&ds->lock);
	d = id.resent ? made_by_locked(ds, id.unique) : NULL;
	if (d)
		return d;
	prune_locked(ds);
	if (kept && who->caller.uid != 0 && kept_by_locked(ds, who->caller.uid) >= c->fs->conf->max_drafts) {
		err_set(err, -EAGAIN, "you have %ld drafts already", c->fs->conf->max_drafts);
		return NULL;
	}
	d = take_locked(ds, who, name, file, own);
	if (!d) {
		err_set(err, -EAGAIN, "too many specs are being written");
		return NULL;
	}
	d->k->kept = kept;
	d->k->mode = mode & 0777;
	d->k->made_by = id.unique;
	return d;
}

void draft_create(struct ctx *c, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	bool kept = is_draft_name(c->fs, name);
	struct fuse_entry_param e = { .generation = 1 };
	struct err err = { 0 };
	struct draft *d = NULL;
	struct who who;

	who_fill(c->fs, c->uid, c->gid, c->pid, &who);
	if (kept && strlen(name) > NAME_LEN)
		err_set(&err, -ENAMETOOLONG, "a name is at most %d bytes", NAME_LEN);
	else if (kept || name_judge(c, name, &err) == 0)
		d = open_new(c, &who, name, 0, true, kept, mode, &err);
	if (!d) {
		refuse(c, &who, name, &err);
		return;
	}
	stat_of(c, d->k, &e.attr);
	e.ino = e.attr.st_ino;
	open_reply_params(fi, d);
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
	open_reply_params(fi, d);
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
	d = by_file_locked(ds, file);
	if (!d)
		return false;
	memcpy(name, d->k->name, NAME_LEN + 1);
	*mode = d->k->mode;
	return true;
}

void draft_open(struct ctx *c, struct node n, struct fuse_file_info *fi)
{
	uint64_t file = draft_file_of(c->fs, n);
	char name[NAME_LEN + 1];
	struct err err = { 0 };
	struct draft *d;
	struct who who;
	mode_t mode;

	if (file && open_kept(c, file, fi)) {
		fuse_reply_open(c->req, fi);
		return;
	}
	if (!name_of_file(c->fs->drafts, file, name, &mode)) {
		fuse_reply_err(c->req, ENOENT);
		return;
	}
	who_fill(c->fs, c->uid, c->gid, c->pid, &who);
	d = open_new(c, &who, name, file, false, false, mode, &err);
	if (!d) {
		refuse(c, &who, name[0] ? name : "spec", &err);
		return;
	}
	open_reply_params(fi, d);
	fuse_reply_open(c->req, fi);
}

static struct draft *find(struct drafts *ds, uint64_t serial)
{
	LOCK_SCOPE(&ds->lock);
	return draft_by_serial_locked(ds, serial);
}

void draft_read(struct ctx *c, struct fuse_file_info *fi, size_t size, off_t off)
{
	struct draft *d = find(c->fs->drafts, fi->fh);
	struct pending *p;

	if (!d) {
		fuse_reply_err(c->req, EIO);
		return;
	}
	if (d->k->kept || !draft_unsubmitted(d->k)) {
		draft_reply_read(c->fs, d, c->req, size, off);
		return;
	}
	p = calloc(1, sizeof *p);
	if (!p) {
		fuse_reply_err(c->req, ENOMEM);
		return;
	}
	*p = (struct pending){ .kind = PENDING_READ, .req = c->req, .size = size, .off = off };
	draft_submit(c->fs, d, p, fi->flags & O_NONBLOCK);
}

/* A kept draft is an ordinary small file: written in place. */
static int write_kept(struct draft *d, const char *text, size_t size, off_t off, bool append)
{
	struct keep_draft_state *next = keep_draft_next(d->k);
	uint32_t at = append ? next->len : (uint32_t)off;

	if (off < 0 || off > SPEC_MAX || at + size > SPEC_MAX)
		return -EFBIG;
	if (at > next->len)
		memset(d->k->text + next->len, 0, at - next->len);
	memcpy(d->k->text + at, text, size);
	if (at + size > next->len)
		next->len = at + (uint32_t)size;
	keep_draft_flip(d->k);
	return (int)size;
}

/* The first error of a spec poisons its descriptor: nothing of it is submitted, everything after fails alike. */
static int write_spec(struct ctx *c, struct draft *d, const char *text, size_t size, struct change_id id, struct err *err)
{
	struct keep_draft *k = d->k;
	const struct keep_draft_state *now = keep_draft_now(k);
	struct keep_draft_state *next;
	size_t len = now->len + size;
	int r = 0;

	if (id.resent && now->last_write == id.unique)
		return now->last_result;
	if (now->refused)
		return now->refused;
	if (now->submitted || now->done || d->submitting)
		return err_set(err, -EBUSY, "the spec was submitted already");
	if (len > SPEC_MAX)
		r = err_set(err, -EFBIG, "a spec is at most %d bytes", SPEC_MAX);
	else
		memcpy(k->text + now->len, text, size);
	if (r == 0 && memchr(text, '\n', size))
		r = draft_judge(c->fs, k, len, err);
	next = keep_draft_next(k);
	next->last_write = id.unique;
	next->last_result = r < 0 ? r : (int32_t)size;
	if (r < 0) {
		next->refused = r;
		(void)snprintf(next->reason, sizeof next->reason, "%.*s", (int)sizeof next->reason - 1, err->text);
	} else {
		next->len = (uint32_t)len;
	}
	keep_draft_flip(k);
	return next->last_result;
}

void draft_write(struct ctx *c, struct fuse_file_info *fi, const char *text, size_t size, off_t off)
{
	struct draft *d = find(c->fs->drafts, fi->fh);
	struct err err = { 0 };
	struct caller who;
	char file[NAME_LEN + 8];
	int r;

	if (!d) {
		fuse_reply_err(c->req, EIO);
		return;
	}
	if (d->k->kept)
		r = write_kept(d, text, size, off, fi->flags & O_APPEND);
	else
		r = write_spec(c, d, text, size, session_change_id(c->fs->session), &err);
	if (r >= 0) {
		fuse_reply_write(c->req, (size_t)r);
		return;
	}
	if (err.code) {
		draft_caller(c->fs, d->k, &who);
		(void)snprintf(file, sizeof file, "new/%.*s", NAME_LEN, d->k->name[0] ? d->k->name : "spec");
		errlog_add(c->fs->errlog, &who, r, file, err.text);
	}
	fuse_reply_err(c->req, reply_errno(r));
}

/* fuse-facts.md's rule, right for 45 shell idioms: submitted when neither who flushes nor the opener still holds it. */
void draft_flush(struct ctx *c, struct fuse_file_info *fi)
{
	struct draft *d = find(c->fs->drafts, fi->fh);
	struct pending *p;
	pid_t tgid;
	int refused;

	if (!d || d->k->kept) {
		fuse_reply_err(c->req, 0);
		return;
	}
	refused = keep_draft_now(d->k)->refused;
	if (refused || c->pid == 0 || (!draft_unsubmitted(d->k) && !d->submitting)) {
		fuse_reply_err(c->req, reply_errno(refused));
		return;
	}
	if (who_is_being_killed(c->pid)) {
		d->k->dropped = 1;
		fuse_reply_err(c->req, 0);
		return;
	}
	tgid = who_tgid(c->pid);
	if (draft_held(c->fs, d, tgid) || (d->k->tgid != tgid && draft_held(c->fs, d, d->k->tgid))) {
		fuse_reply_err(c->req, 0);
		return;
	}
	p = calloc(1, sizeof *p);
	if (!p) {
		fuse_reply_err(c->req, ENOMEM);
		return;
	}
	*p = (struct pending){ .kind = PENDING_FLUSH, .req = c->req };
	draft_submit(c->fs, d, p, fi->flags & O_NONBLOCK);
}

/* Its error is lost: it only sweeps up what no flush decided. */
void draft_release(struct ctx *c, struct fuse_file_info *fi)
{
	struct drafts *ds = c->fs->drafts;
	bool submit = false;
	struct draft *d;

	lock_take(&ds->lock);
	d = draft_by_serial_locked(ds, fi->fh);
	if (d && d->k->opens > 0 && --d->k->opens == 0) {
		submit = !d->k->kept && draft_unsubmitted(d->k) && !d->submitting;
		d->released = !d->k->kept || d->k->dropped;
		if (d->released && !submit && !d->submitting)
			draft_free_locked(ds, d);
	}
	lock_drop(&ds->lock);
	if (submit)
		draft_submit(c->fs, d, NULL, false);
	fuse_reply_err(c->req, 0);
}

void draft_truncate(struct ctx *c, struct node n, off_t size)
{
	struct drafts *ds = c->fs->drafts;
	uint64_t file = draft_file_of(c->fs, n);
	struct keep_draft_state *next;
	struct stat st;
	struct draft *d;
	int r;

	lock_take(&ds->lock);
	d = file ? by_file_locked(ds, file) : NULL;
	if (d && !d->submitting && keep_draft_now(d->k)->submitted == 0 && (d->k->kept || size == 0)) {
		next = keep_draft_next(d->k);
		if (size < next->len)
			next->len = (uint32_t)size;
		keep_draft_flip(d->k);
	}
	lock_drop(&ds->lock);
	r = draft_stat(c, n, &st);
	if (r < 0)
		fuse_reply_err(c->req, reply_errno(r));
	else
		fuse_reply_attr(c->req, &st, 0);
}

void draft_unlink(struct ctx *c, const char *name)
{
	struct drafts *ds = c->fs->drafts;
	int64_t volume;
	struct draft *d;
	int code = 0;

	lock_take(&ds->lock);
	d = by_name_locked(ds, name);
	if (d && !d->submitting) {
		d->k->dropped = 1;
		if (d->k->opens == 0)
			draft_free_locked(ds, d);
	} else {
		code = d ? EBUSY : 0;
	}
	lock_drop(&ds->lock);
	if (!d)
		code = !strcmp(name, "spec") || view_accepted(c->view, name, &volume) == 0 ? EPERM : ENOENT;
	fuse_reply_err(c->req, code);
}

/* One draft name to another: the old content of the new name goes. False: `from` is no kept draft. */
static bool rename_kept(struct drafts *ds, const char *from, const char *to)
{
	struct draft *d, *old;

	LOCK_SCOPE(&ds->lock);
	d = by_name_locked(ds, from);
	if (!d || !d->k->kept || d->submitting)
		return false;
	old = by_name_locked(ds, to);
	if (old && old != d) {
		old->k->dropped = 1;
		if (old->k->opens == 0)
			draft_free_locked(ds, old);
	}
	(void)snprintf(d->k->name, sizeof d->k->name, "%s", to);
	return true;
}

/* Takes a kept draft for submission under another name. NULL: there is none, or it is on its way already. */
static struct draft *take_for_rename(struct drafts *ds, const char *from, const char *to)
{
	struct draft *d;

	LOCK_SCOPE(&ds->lock);
	d = by_name_locked(ds, from);
	if (!d || !d->k->kept || d->submitting)
		return NULL;
	(void)snprintf(d->to, sizeof d->to, "%s", to);
	return d;
}

/* mv says "cannot move to a subdirectory of itself" for EINVAL: a bad spec is EBADMSG here. */
static int rename_code(int code)
{
	return code == -EINVAL ? -EBADMSG : code;
}

void draft_rename(struct ctx *c, const char *from, const char *to)
{
	struct err err = { 0 };
	struct pending *p;
	struct draft *d;
	struct who who;

	if (strlen(to) <= NAME_LEN && is_draft_name(c->fs, to)) {
		fuse_reply_err(c->req, rename_kept(c->fs->drafts, from, to) ? 0 : EPERM);
		return;
	}
	if (strcmp(to, "spec") && name_judge(c, to, &err) < 0) {
		who_fill(c->fs, c->uid, c->gid, c->pid, &who);
		err.code = rename_code(err.code);
		refuse(c, &who, to, &err);
		return;
	}
	d = take_for_rename(c->fs->drafts, from, to);
	p = d ? calloc(1, sizeof *p) : NULL;
	if (!p) {
		fuse_reply_err(c->req, d ? ENOMEM : EPERM);
		return;
	}
	*p = (struct pending){ .kind = PENDING_RENAME, .req = c->req };
	draft_submit(c->fs, d, p, true);
}
