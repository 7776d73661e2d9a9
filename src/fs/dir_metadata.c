/* metadata/: one file a key. A key is a row of its own, so its inode number is its alone; the file
 * behaves as an attribute. Temporary files are drafts (draft_meta.c). */
#include "base/text.h"
#include "fs/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int64_t ino_of_keys(int64_t volume)
{
	return (int64_t)ino_of((struct node){ .kind = KIND_METADATA, .row = volume });
}

static int metadata_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct vol_entry v;
	int r = view_entry(c->view, row, &v);

	if (r == 0)
		stat_dir(st, 0750, v.uid, v.gid, v.updated_us);
	return r;
}

/* A key's file: its value with a newline, owned as the volume. */
static void stat_of(const struct meta_entry *m, const struct stat *dir, struct stat *st)
{
	*st = *dir;
	st->st_mode = S_IFREG | 0640;
	st->st_nlink = 1;
	st->st_size = (off_t)strlen(m->value) + 1;
	st->st_mtim.tv_sec = m->updated_us / 1000000;
	st->st_mtim.tv_nsec = m->updated_us % 1000000 * 1000;
	st->st_ctim = st->st_mtim;
}

static void entry_of(const struct meta_entry *m, const struct stat *dir, struct entry *ret)
{
	ret->node = (struct node){ .kind = KIND_META, .row = m->id };
	ret->at = m->id;
	ret->generation = 1;
	memcpy(ret->name, m->key, sizeof ret->name);
	stat_of(m, dir, &ret->st);
}

int meta_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct meta_entry m;
	struct stat dir;
	int r = view_meta(c->view, row, &m);

	if (r == 0)
		r = metadata_stat(c, m.volume, &dir);
	if (r == 0)
		stat_of(&m, &dir, st);
	return r;
}

static int metadata_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	struct meta_entry m;
	struct stat dir;
	int r = view_meta_by_key(c->view, row, name, &m);

	if (r == -ENOENT)
		return draft_find(c, ino_of_keys(row), name, ret);
	if (r == 0)
		r = metadata_stat(c, row, &dir);
	if (r == 0)
		entry_of(&m, &dir, ret);
	return r;
}

static int metadata_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	struct meta_entry m[8];
	struct stat dir;
	int r = metadata_stat(c, row, &dir);

	if (r == 0)
		r = view_metas(c->view, row, after, m, n < 8 ? n : 8);
	for (int i = 0; i < r; i++)
		entry_of(&m[i], &dir, &ret[i]);
	return r;
}

static int meta_show(struct ctx *c, int64_t row, struct buf *out)
{
	struct meta_entry m;
	int r = view_meta(c->view, row, &m);

	if (r < 0)
		return r;
	buf_adds(out, m.value);
	buf_addc(out, '\n');
	return 0;
}

static void meta_store(struct change *ch, int64_t row, const char *text)
{
	struct err err = { 0 };
	struct view *v = fs_view(ch->fs);
	struct meta_entry m;
	int r = v ? view_meta(v, row, &m) : -EIO;

	if (r < 0)
		err_set(&err, r, "the key is gone");
	else if ((r = spec_value_check(text, strlen(text), &err)) == 0)
		(void)snprintf(ch->what, sizeof ch->what, "metadata/%s", m.key);
	if (r < 0)
		change_refuse(ch, &err);
	else
		engine_meta(ch->fs->engine, ch->id, &ch->who.caller, m.volume, m.key, text,
			ch->append ? META_APPEND : META_SET, change_done, ch);
}

const struct attr *meta_attr(void)
{
	static const struct attr a = { "metadata", 0640, meta_show, meta_store, ATTR_FREE, NULL };

	return &a;
}

static void metadata_create(
	struct ctx *c, int64_t volume, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct change *ch;
	struct err err = { 0 };

	if (keys_create(c, ino_of_keys(volume), name, mode, fi))
		return;
	ch = change_new(c, REPLY_CREATE, (struct node){ .kind = KIND_META }, "metadata/%s", name);
	if (!ch)
		return;
	if (spec_metadata_key_check(name, &err) < 0) {
		change_refuse(ch, &err);
		return;
	}
	change_opens(ch, fi);
	engine_meta(c->fs->engine, ch->id, &ch->who.caller, volume, name, "", META_CREATE,
		change_done, ch);
}

static void metadata_unlink(struct ctx *c, int64_t volume, const char *name)
{
	struct change *ch;

	if (draft_unlink(c, ino_of_keys(volume), name))
		return;
	ch = change_new(c, REPLY_CODE, (struct node){ .kind = KIND_METADATA, .row = volume },
		"metadata/%s", name);
	if (!ch)
		return;
	if (guard_knows(c->fs->guard, ch->who.tgid, ino_of_volume(volume)))
		change_answer(
			ch, -EPERM, "this process was just refused to remove the volume's files");
	else
		engine_meta(c->fs->engine, ch->id, &ch->who.caller, volume, name, NULL, META_SET,
			change_done, ch);
}

static void metadata_rename(struct ctx *c, int64_t volume, const char *name, const char *newname)
{
	struct change *ch;

	if (keys_rename(c, ino_of_keys(volume), name, newname))
		return;
	ch = change_new(c, REPLY_RENAME, (struct node){ .kind = KIND_METADATA, .row = volume },
		"metadata/%s", name);
	if (ch)
		engine_meta_rename(c->fs->engine, ch->id, &ch->who.caller, volume, name, newname,
			change_done, ch);
}

const struct dir dir_metadata = {
	.timeout = LONG_TIMEOUT,
	.attr_timeout = LONG_TIMEOUT,
	.stat = metadata_stat,
	.find = metadata_find,
	.list = metadata_list,
	.create = metadata_create,
	.unlink = metadata_unlink,
	.rename = metadata_rename,
};
