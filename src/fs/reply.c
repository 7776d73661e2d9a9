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

enum { FILE_LEN = 3 * NAME_LEN };

/* The object that a node is, or is a file of: "db", ".volfs/types/fast". 0, or -ENOENT where it is better named by the request. */
static int object_of(struct view *v, struct node n, char text[FILE_LEN])
{
	struct type_entry entry;
	struct vol_entry vol;
	struct vol_type type;
	struct quota q;
	struct snapshot s;
	struct use use;

	if (n.kind == KIND_DATA && n.index == DATA_OF_SNAPSHOT)
		n.kind = KIND_SNAPSHOT;
	switch (n.kind) {
	case KIND_VOLUME:
	case KIND_DATA:
		if (view_entry(v, n.row, &vol) < 0)
			return -ENOENT;
		(void)snprintf(
			text, FILE_LEN, "%s%s", vol.trashed ? ".volfs/trash/" : "", vol.name);
		return 0;
	case KIND_ATTACHMENT:
		if (view_use(v, n.row, &use) < 0 || view_entry(v, use.volume, &vol) < 0)
			return -ENOENT;
		(void)snprintf(text, FILE_LEN, "%s/attachments/%s", vol.name, use.name);
		return 0;
	case KIND_SNAPSHOT:
		if (view_snapshot(v, n.row, &s) < 0 || view_entry(v, s.volume, &vol) < 0)
			return -ENOENT;
		(void)snprintf(text, FILE_LEN, "%s/snapshots/%s", vol.name, s.name);
		return 0;
	case KIND_TYPE:
		if (view_type(v, n.row, &type) < 0)
			return -ENOENT;
		(void)snprintf(text, FILE_LEN, ".volfs/types/%s", type.name);
		return 0;
	case KIND_TYPE_ENTRY:
		if (view_type_entry(v, n.row, &entry) < 0 || view_type(v, entry.type, &type) < 0)
			return -ENOENT;
		(void)snprintf(text, FILE_LEN, ".volfs/types/%s/%s/%s", type.name,
			type_list_name(entry.list), entry.key);
		return 0;
	case KIND_QOS: /* itself is named by the request: its keys are no attributes */
		if (!n.index || view_type(v, n.row, &type) < 0)
			return -ENOENT;
		(void)snprintf(
			text, FILE_LEN, ".volfs/types/%s/%s", type.name, type_list_name(TYPE_QOS));
		return 0;
	case KIND_TYPES:
		(void)snprintf(text, FILE_LEN, ".volfs/types");
		return 0;
	case KIND_QUOTA:
		if (view_quota(v, n.row, &q) < 0)
			return -ENOENT;
		(void)snprintf(text, FILE_LEN, ".volfs/quotas/%s", q.project);
		return 0;
	case KIND_TYPE_QUOTA:
		if (view_type_quota(v, n.row, &q) < 0)
			return -ENOENT;
		(void)snprintf(text, FILE_LEN, ".volfs/quotas/%s/type/%s", q.project, q.type);
		return 0;
	default:
		return -ENOENT;
	}
}

/* A node as a user would name it, for what is known of it is often only its inode: "db/size", or else. */
static const char *file_of(struct fs *fs, struct node n, const char *otherwise, char text[FILE_LEN])
{
	struct view *v = fs_view(fs);
	const struct attr *a = n.index ? dir_attr(n) : NULL;
	size_t len;

	if (!v || object_of(v, n, text) < 0)
		return otherwise;
	len = strlen(text);
	if (a || n.kind == KIND_DATA)
		(void)snprintf(text + len, FILE_LEN - len, "/%s", a ? a->name : "data");
	return text;
}

void refuse_node(struct ctx *c, struct node n, int code, const char *text)
{
	const struct attr *a = dir_attr(n);
	char file[FILE_LEN];

	refuse(c, code, file_of(c->fs, n, a && a->name ? a->name : "metadata", file), text);
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
	char file[FILE_LEN];

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
			file_of(ch->fs, ch->node, ch->what, file), text);
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
