/* A struct change goes into the engine with the request and comes back with its result: here it is
 * answered, once. */
#include "fs/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int reply_errno(int code)
{
	if (code == 0)
		return 0;
	if (code > 0 || code < -4095 || code == -ENOSYS)
		return EIO;
	return -code;
}

int rename_code(int code)
{
	return code == -EINVAL ? -EBADMSG : code;
}

void refuse_node(struct ctx *c, struct node n, int code, const char *text)
{
	const struct attr *a = dir_attr(n);
	char file[NAMED_MAX];

	refuse(c, code, named(c->fs, n, a && a->name ? a->name : "metadata", file), text);
}

void refuse(struct ctx *c, int code, const char *what, const char *text)
{
	struct who who;

	who_fill(c->fs, c->uid, c->gid, c->pid, &who);
	errlog_add(c->fs->errlog, &who.caller, code, what, text);
	fuse_reply_err(c->req, reply_errno(code));
}

struct change *change_new(
	struct ctx *c, enum reply_kind reply, struct node node, const char *fmt, ...)
{
	struct change *ch = calloc(1, sizeof *ch);
	va_list ap;

	if (!ch) {
		fuse_reply_err(c->req, ENOMEM);
		return NULL;
	}
	ch->fs = c->fs;
	ch->req = c->req;
	ch->reply = reply;
	ch->node = node;
	ch->id = session_change_id(c->fs->session);
	who_fill(c->fs, c->uid, c->gid, c->pid, &ch->who);
	va_start(ap, fmt);
	(void)vsnprintf(ch->what, sizeof ch->what, fmt, ap);
	va_end(ap);
	return ch;
}

void change_opens(struct change *ch, const struct fuse_file_info *fi)
{
	ch->fi = *fi;
	ch->fi.direct_io = 1;
	ch->fi.noflush = 1;
	ch->fi.fh = opens_next(ch->fs->opens);
}

/* A context for work on behalf of a request in another thread than the session's. */
static struct ctx ctx_of_change(struct change *ch)
{
	return (struct ctx){ .fs = ch->fs,
		.view = fs_view(ch->fs),
		.req = ch->req,
		.uid = ch->who.caller.uid,
		.gid = ch->who.caller.gid,
		.pid = ch->who.caller.pid,
		.seen = changes_seen(ch->fs->changes) };
}

static void reply_attr(struct change *ch)
{
	struct ctx c = ctx_of_change(ch);
	fuse_ino_t ino = ino_of(ch->node);
	struct stat st;
	int r = c.view ? node_stat(&c, ch->node, &st) : -EIO;

	if (r < 0) {
		fuse_reply_err(ch->req, reply_errno(r));
		return;
	}
	fuse_reply_attr(ch->req, &st, node_attr_timeout(ch->node));
	changes_repeat(ch->fs, c.seen, ch->node.row, ino);
}

static void reply_entry(struct change *ch, int64_t row)
{
	struct ctx c = ctx_of_change(ch);
	struct node n = { .kind = ch->node.kind, .row = row };
	struct fuse_entry_param e = { .ino = ino_of(n), .entry_timeout = node_attr_timeout(n) };
	int r = c.view ? node_stat(&c, n, &e.attr) : -EIO;

	if (r < 0) {
		fuse_reply_err(ch->req, reply_errno(r));
		return;
	}
	e.attr_timeout = e.entry_timeout;
	e.generation = 1;
	if (ch->reply == REPLY_CREATE)
		fuse_reply_create(ch->req, &e, &ch->fi);
	else
		fuse_reply_entry(ch->req, &e);
	changes_repeat(ch->fs, c.seen, row, e.ino);
}

static void reply_success(struct change *ch, int64_t row)
{
	switch (ch->reply) {
	case REPLY_CODE:
	case REPLY_RENAME:
		fuse_reply_err(ch->req, 0);
		break;
	case REPLY_WRITE:
		fuse_reply_write(ch->req, ch->size);
		break;
	case REPLY_OPEN:
		fuse_reply_open(ch->req, &ch->fi);
		break;
	case REPLY_ATTR:
	case REPLY_GROWN:
	case REPLY_DATA:
		reply_attr(ch);
		break;
	case REPLY_CREATE:
	case REPLY_ENTRY:
		reply_entry(ch, row);
		break;
	}
}

static void answer(struct change *ch, int code, int64_t row, const char *text)
{
	char file[NAMED_MAX];

	if (ch->reply == REPLY_RENAME)
		code = rename_code(code);
	if (ch->reply == REPLY_DATA) {
		if (code == 0) {
			file_opened(ch);
			return;
		}
		file_not_opened(ch);
	}
	if (code < 0) {
		errlog_add(ch->fs->errlog, &ch->who.caller, code,
			named(ch->fs, ch->node, ch->what, file), text);
		fuse_reply_err(ch->req, reply_errno(code));
	} else {
		reply_success(ch, row);
	}
	free(ch);
}

void change_done(void *arg, const struct result *res)
{
	struct change *ch = arg;

	if (ch->reply == REPLY_GROWN && res->code == 0)
		wait_change(ch, ch->node.row);
	else
		answer(ch, res->code, res->row, res->text ? res->text : "");
}

void change_answer(struct change *ch, int code, const char *text)
{
	answer(ch, code, ch->node.row, text);
}

void change_fields(
	struct ctx *c, struct node n, const char *what, unsigned fields, const struct volume *v)
{
	struct change *ch = change_new(c, REPLY_ATTR, n, "%s", what);

	if (!ch)
		return;
	if (fields)
		engine_set(
			c->fs->engine, ch->id, &ch->who.caller, n.row, fields, v, change_done, ch);
	else
		change_answer(ch, 0, "");
}
