/* new/: the gestures on an open spec or draft: reading, writing, closing. */
#include "fs/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An open, and what was true of it at one moment. It stays as long as it is open, and so while the kernel waits for an answer. */
struct found {
	struct draft *d;
	bool kept, unsubmitted, submitting;
	int refused;
	uint64_t file;
	pid_t opener;
};

static bool find(struct drafts *ds, uint64_t serial, struct found *ret)
{
	struct draft *d;

	LOCK_SCOPE(&ds->lock);
	d = draft_by_serial_locked(ds, serial);
	if (d)
		*ret = (struct found){ .d = d,
			.kept = d->k->kept,
			.unsubmitted = draft_unsubmitted(d->k),
			.submitting = d->submitting,
			.refused = keep_draft_now(d->k)->refused,
			.file = d->k->file,
			.opener = d->k->tgid };
	return d != NULL;
}

static void drop(struct drafts *ds, struct draft *d)
{
	LOCK_SCOPE(&ds->lock);
	draft_drop_locked(ds, d);
}

void draft_read(struct ctx *c, struct fuse_file_info *fi, size_t size, off_t off)
{
	struct pending *p;
	struct found f;

	if (!find(c->fs->drafts, fi->fh, &f)) {
		fuse_reply_err(c->req, EIO);
		return;
	}
	if (f.kept || !f.unsubmitted) {
		draft_reply_read(c->fs, f.d, c->req, size, off);
		return;
	}
	p = calloc(1, sizeof *p);
	if (!p) {
		fuse_reply_err(c->req, ENOMEM);
		return;
	}
	*p = (struct pending){ .kind = PENDING_READ, .req = c->req, .size = size, .off = off };
	draft_submit(c->fs, f.d, p, fi->flags & O_NONBLOCK);
}

/* A kept draft is an ordinary small file: written in place. What is written after it was renamed to what it
 * was for would be lost. The lock: an open with O_TRUNC may come at the same time. */
static int write_kept(
	struct drafts *ds, struct draft *d, const char *text, size_t size, off_t off, bool append)
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

/* Puts text behind what counts. 0, and *ret_len: it is to be judged; else what the write is answered. */
static int add_text(struct drafts *ds, struct draft *d, const char *text, size_t size,
	struct change_id id, size_t *ret_len, struct err *err)
{
	const struct keep_draft_state *now;

	LOCK_SCOPE(&ds->lock);
	now = keep_draft_now(d->k);
	*ret_len = now->len + size;
	if (id.resent && now->last_write == id.unique)
		return now->last_result;
	if (now->refused)
		return now->refused;
	if (now->submitted || now->done || d->submitting)
		return err_set(err, -EBUSY, "the spec was submitted already");
	if (*ret_len <= SPEC_MAX)
		memcpy(d->k->text + now->len, text, size);
	return 0;
}

/* From here on the text counts, or the draft is refused (r): what the write is answered. */
static int count_text(struct drafts *ds, struct draft *d, size_t size, struct change_id id,
	size_t len, int r, const struct err *err)
{
	struct keep_draft_state *next;

	LOCK_SCOPE(&ds->lock);
	next = keep_draft_next(d->k);
	next->last_write = id.unique;
	next->last_result = r < 0 ? r : (int32_t)size;
	if (r < 0) {
		next->refused = r;
		(void)snprintf(next->reason, sizeof next->reason, "%.*s",
			(int)sizeof next->reason - 1, err->text);
	} else {
		next->len = (uint32_t)len;
	}
	keep_draft_flip(d->k);
	return next->last_result;
}

/* The first error of a spec poisons its descriptor: nothing of it is submitted, everything after
 * fails alike. The kernel sends one write of a file at a time. */
static int write_spec(
	struct ctx *c, struct draft *d, const char *text, size_t size, struct err *err)
{
	struct change_id id = session_change_id(c->fs->session);
	struct drafts *ds = c->fs->drafts;
	size_t len;
	int r = add_text(ds, d, text, size, id, &len, err);

	if (r != 0)
		return r;
	if (len > SPEC_MAX)
		r = err_set(err, -EFBIG, "a spec is at most %d bytes", SPEC_MAX);
	else if (memchr(text, '\n', size))
		r = draft_judge(c->fs, d->k, len, err);
	return count_text(ds, d, size, id, len, r, err);
}

static void tell_refused(struct ctx *c, const struct draft *d, int code, const char *text)
{
	struct caller who;
	char file[NAME_LEN + 8];

	lock_take(&c->fs->drafts->lock);
	draft_caller(c->fs, d->k, &who);
	(void)snprintf(
		file, sizeof file, "new/%.*s", NAME_LEN, draft_name(d)[0] ? draft_name(d) : "spec");
	lock_drop(&c->fs->drafts->lock);
	errlog_add(c->fs->errlog, &who, code, file, text);
}

void draft_write(struct ctx *c, struct fuse_file_info *fi, const char *text, size_t size, off_t off)
{
	struct err err = { 0 };
	struct found f;
	int r;

	if (!find(c->fs->drafts, fi->fh, &f)) {
		fuse_reply_err(c->req, EIO);
		return;
	}
	if (f.kept)
		r = write_kept(c->fs->drafts, f.d, text, size, off, fi->flags & O_APPEND);
	else
		r = write_spec(c, f.d, text, size, &err);
	if (err.code)
		tell_refused(c, f.d, r, err.text);
	if (r < 0)
		fuse_reply_err(c->req, reply_errno(r));
	else
		fuse_reply_write(c->req, (size_t)r);
}

/* The rule that is right for 45 shell idioms: submitted when neither who flushes nor the opener still
 * holds it. */
static bool is_held(struct fs *fs, const struct found *f, pid_t tgid)
{
	return draft_held(fs, f->d, f->file, tgid) ||
	       (f->opener != tgid && draft_held(fs, f->d, f->file, f->opener));
}

void draft_flush(struct ctx *c, struct fuse_file_info *fi)
{
	struct pending *p;
	struct found f;
	pid_t tgid;
	bool killed;

	if (!find(c->fs->drafts, fi->fh, &f) || f.kept) {
		fuse_reply_err(c->req, 0);
		return;
	}
	if (f.refused || c->pid == 0 || (!f.unsubmitted && !f.submitting)) {
		fuse_reply_err(c->req, reply_errno(f.refused));
		return;
	}
	tgid = who_closes(c->pid, &killed);
	if (killed)
		drop(c->fs->drafts, f.d);
	if (killed || is_held(c->fs, &f, tgid)) {
		fuse_reply_err(c->req, 0);
		return;
	}
	p = calloc(1, sizeof *p);
	if (!p) {
		fuse_reply_err(c->req, ENOMEM);
		return;
	}
	*p = (struct pending){ .kind = PENDING_FLUSH, .req = c->req };
	draft_submit(c->fs, f.d, p, fi->flags & O_NONBLOCK);
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
