/* new/: the gestures on an open spec or draft: reading, writing, closing. */
#include "fs/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct draft *find(struct drafts *ds, uint64_t serial)
{
	LOCK_SCOPE(&ds->lock);
	return draft_by_serial_locked(ds, serial);
}

static void drop(struct drafts *ds, struct draft *d)
{
	LOCK_SCOPE(&ds->lock);
	draft_drop_locked(ds, d);
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

/* A kept draft is an ordinary small file: written in place. What is written after it was renamed to what it
 * was for would be lost. The lock: an open with O_TRUNC may come at the same time. */
static int write_kept(struct drafts *ds, struct draft *d, const char *text, size_t size, off_t off,
	bool append)
{
	struct keep_draft_state *next;
	uint32_t at;

	LOCK_SCOPE(&ds->lock);
	if (d->k->dropped)
		return -EBUSY;
	next = keep_draft_next(d->k);
	at = append ? next->len : (uint32_t)off;
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

/* The first error of a spec poisons its descriptor: nothing of it is submitted, everything after
 * fails alike. */
static int write_spec(struct ctx *c, struct draft *d, const char *text, size_t size,
	struct change_id id, struct err *err)
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
		(void)snprintf(next->reason, sizeof next->reason, "%.*s",
			(int)sizeof next->reason - 1, err->text);
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
		r = write_kept(c->fs->drafts, d, text, size, off, fi->flags & O_APPEND);
	else
		r = write_spec(c, d, text, size, session_change_id(c->fs->session), &err);
	if (r >= 0) {
		fuse_reply_write(c->req, (size_t)r);
		return;
	}
	if (err.code) {
		draft_caller(c->fs, d->k, &who);
		(void)snprintf(file, sizeof file, "new/%.*s", NAME_LEN,
			draft_name(d)[0] ? draft_name(d) : "spec");
		errlog_add(c->fs->errlog, &who, r, file, err.text);
	}
	fuse_reply_err(c->req, reply_errno(r));
}

/* fuse-facts.md's rule, right for 45 shell idioms: submitted when neither who flushes nor the
 * opener still holds it. */
void draft_flush(struct ctx *c, struct fuse_file_info *fi)
{
	struct draft *d = find(c->fs->drafts, fi->fh);
	struct pending *p;
	pid_t tgid;
	bool killed;
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
	tgid = who_closes(c->pid, &killed);
	if (killed) {
		drop(c->fs->drafts, d);
		fuse_reply_err(c->req, 0);
		return;
	}
	if (draft_held(c->fs, d, tgid) ||
		(d->k->tgid != tgid && draft_held(c->fs, d, d->k->tgid))) {
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
		d->submitting |= submit; /* from here on nobody else may free it */
		d->released = !d->k->kept || d->k->dropped;
		if (!submit)
			draft_end_locked(ds, d);
	}
	lock_drop(&ds->lock);
	if (submit)
		draft_submit_claimed(c->fs, d, false);
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
	d = file ? draft_by_file_locked(ds, file) : NULL;
	if (d && !d->submitting && keep_draft_now(d->k)->submitted == 0 &&
		(d->k->kept || size == 0)) {
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
