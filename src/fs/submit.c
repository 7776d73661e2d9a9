/*
 * When a spec is a request, and how it becomes one. The draft's UUID was chosen when it was opened:
 * the volume will have it, so a submission that is repeated after a server's death finds what the
 * first one made.
 */
#include "fs/draft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void draft_volume_name(const char *file, char name[NAME_LEN + 1])
{
	size_t n = strlen(file);

	(void)snprintf(name, NAME_LEN + 1, "%s", file);
	if (n > 5 && n <= NAME_LEN && !strcmp(file + n - 5, ".spec"))
		name[n - 5] = '\0';
}

void draft_caller(struct fs *fs, const struct keep_draft *k, struct caller *ret)
{
	*ret = (struct caller){ .uid = k->uid,
		.gid = k->gid,
		.pid = k->tgid,
		.session = k->session,
		.groups = k->groups,
		.group_count = k->group_count };
	ret->admin = k->uid == 0 || k->gid == fs->admin_gid;
	for (uint32_t i = 0; i < k->group_count; i++)
		ret->admin |= k->groups[i] == fs->admin_gid;
}

/* Descriptors of the same file that belong to that process's other opens. */
static unsigned other_opens(struct drafts *ds, const struct draft *d, uint64_t file, pid_t tgid)
{
	struct draft *o, *tmp;
	unsigned n = 0;

	LOCK_SCOPE(&ds->lock);
	HASH_ITER (hh, ds->all, o, tmp)
		n += o != d && o->k->file == file && o->k->tgid == tgid && o->k->opens > 0;
	return n;
}

bool draft_held(struct fs *fs, const struct draft *d, uint64_t file, pid_t tgid)
{
	unsigned n = tgid > 0 ? who_descriptors(tgid, draft_ino(fs, file)) : 0;

	return n > 0 && n > other_opens(fs->drafts, d, file, tgid);
}

/* Parses text for the name that the file gives. On failure *ret is released. */
static int parse(const struct keep_draft *k, const char *file, size_t len, bool whole,
	struct spec *ret, struct err *err)
{
	char name[NAME_LEN + 1];
	int r = spec_parse(k->text, len, whole, ret, err);

	if (r < 0)
		return r;
	if (!file[0]) /* new/spec: the spec names it, or its UUID does */
		return ret->name ? spec_name_check(ret->name, k->uuid, err) : 0;
	draft_volume_name(file, name);
	if (ret->name && strcmp(ret->name, name) != 0)
		return err_set(err, -EINVAL,
			"the file's name '%s' is the volume's: leave name= out, or give the same",
			name);
	if (!ret->name)
		ret->name = strdup(name);
	return ret->name ? spec_name_check(name, k->uuid, err) : err_set(err, -ENOMEM, "no memory");
}

/* A spec that is written once more can only be what was accepted. */
static int judge_again(
	struct fs *fs, const struct keep_draft *k, size_t len, bool whole, struct err *err)
{
	struct view *v = fs_view(fs);
	struct buf text = { 0 };
	int r = v ? view_spec(v, k->again, &text) : -EIO;

	if (r < 0)
		err_set(err, r, "the spec that was accepted cannot be read");
	else if (text.len < len || memcmp(text.at, k->text, len) || (whole && text.len > len))
		r = err_set(err, -EEXIST,
			"another spec was accepted under this name, and its volume lives");
	buf_release(&text);
	return r;
}

int draft_judge(struct fs *fs, const struct keep_draft *k, size_t len, struct err *err)
{
	struct view *v = fs_view(fs);
	struct caller who;
	struct spec spec = { 0 };
	int r;

	if (k->again)
		return judge_again(fs, k, len, false, err);
	r = parse(k, keep_draft_now(k)->name, len, false, &spec, err);
	draft_caller(fs, k, &who);
	if (r == 0 && v)
		r = engine_spec_check(fs->engine, v, &who, &spec, k->uuid, true, err);
	spec_release(&spec);
	return r;
}

static void add_shown(struct drafts *ds, const struct draft *d, struct buf *out)
{
	const struct keep_draft_state *s;

	LOCK_SCOPE(&ds->lock);
	s = keep_draft_now(d->k);
	buf_add(out, d->k->text, s->len);
	if (s->done)
		buf_addf(out, "%s\n", d->k->uuid);
	else if (s->refused)
		buf_addf(out, "%s\n", s->reason);
	else if (s->len == 0 && d->k->file == 0)
		spec_template(out);
}

void draft_reply_read(struct fs *fs, struct draft *d, fuse_req_t req, size_t size, off_t off)
{
	struct buf text = { 0 };

	add_shown(fs->drafts, d, &text);
	if (buf_failed(&text))
		fuse_reply_err(req, ENOMEM);
	else
		reply_slice(req, buf_text(&text), text.len, size, off);
	buf_release(&text);
}

/* Writes the outcome into the keep. A refused rename leaves the draft as it was: to be mended and
 * tried again. */
static void settle(struct drafts *ds, struct draft *d, int code, const char *text)
{
	struct keep_draft_state *next;

	LOCK_SCOPE(&ds->lock);
	if (code < 0 && d->to[0])
		return;
	next = keep_draft_next(d->k);
	next->submitted = next->len;
	if (code < 0) {
		next->refused = code;
		(void)snprintf(next->reason, sizeof next->reason, "%.*s",
			(int)sizeof next->reason - 1, text);
	} else {
		next->done = 1;
	}
	keep_draft_flip(d->k);
}

static void answer_one(struct fs *fs, struct draft *d, struct pending *p, int code)
{
	switch (p->kind) {
	case PENDING_FLUSH:
	case PENDING_RENAME:
		fuse_reply_err(p->req, reply_errno(code));
		break;
	case PENDING_READ:
		draft_reply_read(fs, d, p->req, p->size, p->off);
		break;
	}
	free(p);
}

/* Answers who waits, also those who come while others are answered; ends the submission with the
 * last. */
static void answer_all(struct fs *fs, struct draft *d, int code)
{
	struct drafts *ds = fs->drafts;
	struct pending *p;

	lock_take(&ds->lock);
	if (code == 0)
		draft_name_locked(
			ds, d); /* it leads to the accepted spec now, without waiting for RELEASE */
	while ((p = d->pending)) {
		d->pending = p->next;
		lock_drop(&ds->lock);
		answer_one(fs, d, p, code);
		lock_take(&ds->lock);
	}
	d->submitting = false;
	d->to[0] = '\0';
	draft_end_locked(ds, d);
	lock_drop(&ds->lock);
}

/* The outcome is durable. */
static void finish(struct fs *fs, struct draft *d, int code, const char *text)
{
	char file[2 * NAME_LEN];
	struct caller who;

	if (d->to[0])
		code = rename_code(code);
	settle(fs->drafts, d, code, text);
	if (code < 0) {
		draft_caller(fs, d->k, &who);
		(void)snprintf(file, sizeof file, "new/%s",
			d->to[0]	   ? d->to
			: draft_name(d)[0] ? draft_name(d)
					   : "spec");
		errlog_add(fs->errlog, &who, code, file, text);
	} else if (d->to[0]) {
		LOCK_SCOPE(&fs->drafts->lock);
		draft_drop_locked(fs->drafts, d); /* its name is the volume's spec now */
	}
	answer_all(fs, d, code);
}

struct submission {
	struct fs *fs;
	struct draft *d;
};

static void submitted(void *arg, const struct result *res)
{
	struct submission *s = arg;

	finish(s->fs, s->d, res->code, res->text ? res->text : "");
	free(s);
}

/* Joins a submission that is under way; false: this is the first. */
static bool join(struct drafts *ds, struct draft *d, struct pending *p)
{
	bool under_way;

	LOCK_SCOPE(&ds->lock);
	under_way = d->submitting;
	d->submitting = true;
	if (p) {
		p->next = d->pending;
		d->pending = p;
	}
	return under_way;
}

void draft_submit_claimed(struct fs *fs, struct draft *d, bool nonblock)
{
	const struct keep_draft *k = d->k;
	struct submission *s;
	struct err err = { 0 };
	struct spec spec = { 0 };
	struct caller who;
	const char *file = d->to[0] ? d->to : draft_name(d);
	char name[NAME_LEN + 1];
	size_t len = keep_draft_now(k)->len;

	if (k->again) {
		(void)judge_again(fs, k, len, true, &err);
		finish(fs, d, err.code, err.text);
		return;
	}
	if (!strcmp(file, "spec"))
		file = "";
	s = malloc(sizeof *s);
	if (!s || parse(k, file, len, true, &spec, &err) < 0) {
		finish(fs, d, s ? err.code : -ENOMEM, s ? err.text : "no memory");
		spec_release(&spec);
		free(s);
		return;
	}
	*s = (struct submission){ fs, d };
	draft_caller(fs, k, &who);
	draft_volume_name(file, name);
	engine_create(fs->engine, (struct change_id){ 0 }, &who, &spec, k->uuid,
		name[0] ? name : NULL, k->text, len, !nonblock, submitted, s);
	spec_release(&spec);
}

void draft_submit(struct fs *fs, struct draft *d, struct pending *p, bool nonblock)
{
	if (!join(fs->drafts, d, p))
		draft_submit_claimed(fs, d, nonblock);
}
