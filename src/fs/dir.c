/*
 * The generic half of a directory. Its entries, and their places in a listing:
 *
 *      1 2            . and ..
 *      ATTRS +        its attribute files, by their index in the table (before everything that
 * walkers could remove) SUBDIRS +      its fixed subdirectories ROWS +         its dynamic entries,
 * by row: so a listing stays right while rows come and go, and costs the same at the end of a
 * million as at the start
 */
#include "base/cleanup.h"
#include "fs/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_DOT = 1, AT_DOTDOT = 2, AT_ATTRS = 16, AT_SUBDIRS = 512, AT_ROWS = 1024 };
enum { BATCH = 64 };

static const struct dir *const dirs[KIND_COUNT] = {
	[KIND_ROOT] = &dir_root,
	[KIND_NEW] = &dir_new,
	[KIND_VOLFS] = &dir_volfs,
	[KIND_VOLUME] = &dir_volume,
	[KIND_METADATA] = &dir_metadata,
	[KIND_BY] = &dir_by,
	[KIND_BY_KEY] = &dir_by_key,
	[KIND_BACKENDS] = &dir_backends,
	[KIND_BACKEND] = &dir_backend,
	[KIND_QUOTAS] = &dir_quotas,
	[KIND_QUOTA] = &dir_quota,
	[KIND_TRASH] = &dir_trash,
	[KIND_TYPES] = &dir_types,
	[KIND_TYPE] = &dir_type,
	[KIND_EXTRA_SPECS] = &dir_extra_specs,
	[KIND_QOS] = &dir_qos,
	[KIND_ACCESS] = &dir_access,
	[KIND_DEFAULT_FOR] = &dir_default_for,
	[KIND_QUOTA_TYPES] = &dir_quota_types,
	[KIND_TYPE_QUOTA] = &dir_type_quota,
	[KIND_ATTACHMENTS] = &dir_attachments,
	[KIND_ATTACHMENT] = &dir_attachment,
	[KIND_SNAPSHOTS] = &dir_snapshots,
	[KIND_SNAPSHOT] = &dir_snapshot,
	[KIND_UNMANAGED] = &dir_unmanaged,
	[KIND_UNMANAGED_IMAGE] = &dir_unmanaged_image,
};

const struct dir *dir_of(enum kind kind)
{
	return kind < KIND_COUNT ? dirs[kind] : NULL;
}

const struct attr *dir_attr(struct node n)
{
	const struct dir *d;

	if (n.kind == KIND_META)
		return meta_attr();
	if (n.kind == KIND_TYPE_ENTRY)
		return type_entry_attr();
	d = dir_of(n.kind);
	if (!d || !d->attrs || n.index == 0)
		return NULL;
	for (unsigned i = 0; d->attrs[i].name; i++)
		if (i == n.index - 1)
			return &d->attrs[i];
	return NULL;
}

bool dir_has_attr(const struct dir *d, const char *name)
{
	for (const struct attr *a = d->attrs; a && a->name; a++)
		if (!strcmp(a->name, name))
			return true;
	return false;
}

bool dir_has_subdir(const struct dir *d, const char *name)
{
	for (const struct subdir *s = d->subdirs; s && s->name; s++)
		if (!strcmp(s->name, name))
			return true;
	return false;
}

void stat_dir(struct stat *st, mode_t mode, uid_t uid, gid_t gid, int64_t changed_us)
{
	/* One link: as elsewhere where subdirectories are not counted, so no walker concludes that
	 * there are none. */
	*st = (struct stat){
		.st_mode = S_IFDIR | mode, .st_nlink = 1, .st_uid = uid, .st_gid = gid
	};
	st->st_mtim.tv_sec = changed_us / 1000000;
	st->st_mtim.tv_nsec = changed_us % 1000000 * 1000;
	st->st_atim = st->st_ctim = st->st_mtim;
}

int node_stat(struct ctx *c, struct node n, struct stat *st)
{
	const struct dir *d = dir_of(n.kind);
	const struct attr *a;
	struct stat object;
	int r;

	if (n.kind == KIND_DRAFT)
		r = draft_stat(c, n, st);
	else if (n.kind == KIND_ACCEPTED)
		r = volume_stat_file(c, n.row, 0640, st);
	else if (n.kind == KIND_DATA)
		r = file_stat(c, n, st);
	else if (n.kind == KIND_BY_LINK)
		r = by_link_stat(c, n, st);
	else if (n.kind == KIND_META)
		r = meta_stat(c, n.row, st);
	else if (n.kind == KIND_TYPE_ENTRY)
		r = type_entry_stat(c, n.row, st);
	else if (!d)
		r = -ENOENT;
	else if (n.index == 0)
		r = d->stat(c, n.row, st);
	else if (!(a = dir_attr(n)))
		r = -ENOENT;
	else if ((r = d->stat(c, n.row, &object)) == 0)
		r = attr_stat(c, n, a, &object, st);
	st->st_ino = ino_of(n);
	return r;
}

double node_attr_timeout(struct node n)
{
	const struct dir *d = dir_of(n.kind);
	const struct attr *a = n.kind == KIND_VOLUME ? dir_attr(n) : NULL;

	if (a && a->flags & ATTR_FRESH)
		return 0;
	if (n.kind == KIND_META)
		return dir_metadata.timeout;
	if (n.kind == KIND_DATA)
		return dir_volume.attr_timeout;
	if (n.kind == KIND_DRAFT)
		return DRAFT_TIMEOUT;
	return d ? d->attr_timeout : 0;
}

static struct node subdir_node(const struct subdir *s, struct node parent)
{
	return (struct node){
		.kind = s->kind, .row = s->same_row ? parent.row : 0, .index = s->index
	};
}

static int find_fixed(const struct dir *d, struct node parent, const char *name, struct node *ret)
{
	for (unsigned i = 0; d->attrs && d->attrs[i].name; i++)
		if (!strcmp(d->attrs[i].name, name)) {
			*ret = (struct node){
				.kind = parent.kind, .row = parent.row, .index = i + 1
			};
			return 0;
		}
	for (const struct subdir *s = d->subdirs; s && s->name; s++)
		if (!strcmp(s->name, name)) {
			*ret = subdir_node(s, parent);
			return 0;
		}
	return -ENOENT;
}

/* NFS asks for "." and ".." of an inode by itself; ".." of what has one fixed place. */
static enum kind kind_above(enum kind kind)
{
	static const enum kind above[KIND_COUNT] = {
		[KIND_METADATA] = KIND_VOLUME,
		[KIND_BACKENDS] = KIND_VOLFS,
		[KIND_BACKEND] = KIND_BACKENDS,
		[KIND_QUOTAS] = KIND_VOLFS,
		[KIND_QUOTA] = KIND_QUOTAS,
		[KIND_TRASH] = KIND_VOLFS,
		[KIND_TYPES] = KIND_VOLFS,
		[KIND_TYPE] = KIND_TYPES,
		[KIND_EXTRA_SPECS] = KIND_TYPE,
		[KIND_QOS] = KIND_TYPE,
		[KIND_ACCESS] = KIND_TYPE,
		[KIND_DEFAULT_FOR] = KIND_TYPE,
		[KIND_QUOTA_TYPES] = KIND_QUOTA,
		[KIND_ATTACHMENTS] = KIND_VOLUME,
		[KIND_SNAPSHOTS] = KIND_VOLUME,
		[KIND_UNMANAGED] = KIND_VOLFS,
	};

	return above[kind];
}

static struct node node_above(struct node n)
{
	enum kind kind = kind_above(n.kind);
	bool same_row = kind == KIND_VOLUME || kind == KIND_TYPE || kind == KIND_QUOTA;

	if (n.kind == KIND_BY || n.kind == KIND_BY_KEY)
		return by_above(n);
	return (struct node){ .kind = kind, .row = same_row && n.kind != kind ? n.row : 0 };
}

int dir_lookup(struct ctx *c, struct node parent, const char *name, struct entry *ret,
	double *entry_timeout)
{
	const struct dir *d = dir_of(parent.kind);
	int r;

	if (!d || parent.index)
		return -ENOTDIR;
	*ret = (struct entry){ .generation = 1 };
	*entry_timeout = d->attr_timeout > 0 ? d->attr_timeout : d->timeout;
	if (!strcmp(name, ".") || !strcmp(name, "..")) {
		*entry_timeout = 0;
		ret->node = name[1] ? node_above(parent) : parent;
		return node_stat(c, ret->node, &ret->st);
	}
	if (find_fixed(d, parent, name, &ret->node) == 0)
		return node_stat(c, ret->node, &ret->st);
	if (!d->find)
		return -ENOENT;
	*entry_timeout = d->timeout;
	r = d->find(c, parent.row, name, ret);
	if (ret->node.kind == KIND_DRAFT)
		*entry_timeout = 0; /* the kernel moves a renamed one's entry over what it became */
	ret->st.st_ino = ino_of(ret->node);
	return r;
}

/* The reply being filled. */
struct page {
	struct ctx *c;
	char *at;
	size_t len, room;
	bool plus;
	double entry_timeout, attr_timeout;
};

/* False: it did not fit, the page is full. */
static bool page_add(
	struct page *p, const char *name, const struct entry *e, double timeout, off_t at)
{
	size_t n;

	if (p->plus) {
		struct fuse_entry_param param = { .ino = e->st.st_ino,
			.generation = e->generation,
			.attr = e->st,
			.entry_timeout = timeout,
			.attr_timeout = node_attr_timeout(e->node) };

		/* The kernel takes "." and ".." by name alone. */
		if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
			param.ino = 0;
		changes_tell(p->c->fs->changes, e->node);
		n = fuse_add_direntry_plus(
			p->c->req, p->at + p->len, p->room - p->len, name, &param, at);
	} else {
		n = fuse_add_direntry(
			p->c->req, p->at + p->len, p->room - p->len, name, &e->st, at);
	}
	if (n > p->room - p->len)
		return false;
	p->len += n;
	return true;
}

/* maybe: it is there at times only. */
static bool page_add_node(struct page *p, const char *name, struct node n, bool maybe, off_t at)
{
	struct entry e = { .node = n, .generation = 1 };

	if ((p->plus || maybe) && node_stat(p->c, n, &e.st) < 0)
		return true; /* gone meanwhile */
	if (!e.st.st_mode) {
		bool file = n.index > 0 || n.kind == KIND_DATA;

		e.st.st_mode = file ? S_IFREG : S_IFDIR;
	}
	e.st.st_ino = ino_of(n);
	return page_add(p, name, &e, p->entry_timeout, at);
}

static bool page_fixed(struct page *p, const struct dir *d, struct node n, off_t off)
{
	if (off < AT_DOT && !page_add_node(p, ".", n, false, AT_DOT))
		return false;
	if (off < AT_DOTDOT && !page_add_node(p, "..", node_above(n), false, AT_DOTDOT))
		return false;
	for (unsigned i = 0; d->attrs && d->attrs[i].name; i++) {
		struct node file = { .kind = n.kind, .row = n.row, .index = i + 1 };
		const struct attr *a = &d->attrs[i];

		if (off < AT_ATTRS + i && !(a->flags & ATTR_UNLISTED) &&
			!page_add_node(p, a->name, file, a->flags & ATTR_MAYBE, AT_ATTRS + i))
			return false;
	}
	for (unsigned i = 0; d->subdirs && d->subdirs[i].name; i++) {
		const struct subdir *s = &d->subdirs[i];

		if (off < AT_SUBDIRS + i && !s->unlisted &&
			!page_add_node(p, s->name, subdir_node(s, n), s->same_row, AT_SUBDIRS + i))
			return false;
	}
	return true;
}

static int page_rows(struct page *p, const struct dir *d, struct node n, off_t off)
{
	CLEANUP_FREE struct entry *batch = d->list ? malloc(BATCH * sizeof *batch) : NULL;
	int64_t after = off >= AT_ROWS ? off - AT_ROWS : 0;
	int got;

	if (!d->list)
		return 0;
	if (!batch)
		return -ENOMEM;
	while ((got = d->list(p->c, n.row, after, batch, BATCH)) > 0)
		for (int i = 0; i < got; i++) {
			after = batch[i].at;
			batch[i].st.st_ino = ino_of(batch[i].node);
			if (!page_add(p, batch[i].name, &batch[i], d->timeout, AT_ROWS + after))
				return 0;
		}
	return got;
}

void dir_read(struct ctx *c, struct node n, size_t size, off_t off, bool plus)
{
	const struct dir *d = dir_of(n.kind);
	struct page p = { .c = c, .room = size, .plus = plus };
	CLEANUP_FREE char *at = malloc(size);
	int r = 0;

	if (!d || !at) {
		fuse_reply_err(c->req, d ? ENOMEM : ENOTDIR);
		return;
	}
	p.at = at;
	p.entry_timeout = d->attr_timeout > 0 ? d->attr_timeout : d->timeout;
	if (page_fixed(&p, d, n, off))
		r = page_rows(&p, d, n, off);
	if (r < 0 && p.len == 0)
		fuse_reply_err(c->req, reply_errno(r));
	else
		fuse_reply_buf(c->req, p.at, p.len);
	if (plus)
		changes_repeat_page(c->fs, c->seen, p.at, p.len);
}
