/*
 * `data`: a volume's bytes as a file; its attributes, and its open descriptions. Requests on those are file_io.c.
 *
 * An open description has a slot in the keep, since it outlives this server, and its number is a row of attachments/ (engine).
 *
 * Buffered opens go through the kernel's page cache, O_DIRECT ones past it, many writes at a time (the flag for that is not in libfuse
 * 3.14, so that reply is made by hand).
 */
#include "fs/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Not in linux/fuse.h of 6.1. */
enum { OPEN_DIRECT_IO = 1, OPEN_NOFLUSH = 32, OPEN_PARALLEL_WRITES = 64 };

struct handles {
	_Atomic(struct handle *) at[KEEP_OPENS];
};

static uint64_t fh_of(const struct keep_open *o, int slot)
{
	return o->serial << 16 | (uint64_t)slot;
}

struct handle *handle_find(struct fs *fs, uint64_t fh)
{
	struct handle *h = atomic_load(&fs->handles->at[fh % KEEP_OPENS]);

	return h && h->fh == fh ? h : NULL;
}

/* May programs on other hosts have it, too? A type's extra specs do not change while a volume has it. */
static bool is_shared(struct view *v, const struct volume *vol)
{
	struct type_entry e;

	return vol->type_id &&
	       view_type_entry_by_key(v, vol->type_id, TYPE_EXTRA_SPECS, "multiattach", &e) == 0 &&
	       !strcmp(e.value, "<is> True");
}

/* Refers to the image, which begins to be opened. */
static int handle_make(struct fs *fs, int slot, struct view *v, struct err *err)
{
	struct keep_open *o = &fs->keep->open[slot];
	struct handle *h = calloc(1, sizeof *h);
	struct volume vol;
	int r = h ? view_volume(v, o->volume, &vol) : -ENOMEM;

	if (r == 0)
		r = data_get(fs->data, &vol, is_shared(v, &vol), &h->image, err);
	if (r < 0) {
		free(h);
		return r;
	}
	if (view_volume(v, o->volume, &vol) == 0)
		data_resized(fs->data, o->volume, vol.size);
	h->fh = fh_of(o, slot);
	h->writes = o->writes;
	atomic_store(&fs->handles->at[slot], h);
	return 0;
}

/* The image is put before the engine hears of it: whoever deletes the volume from then on finds nobody there. NULL is fine. */
static void handle_end(struct fs *fs, struct handle *h)
{
	if (!h)
		return;
	atomic_store(&fs->handles->at[h->fh % KEEP_OPENS], NULL);
	data_put(h->image);
	free(h);
}

/* The slot goes last, for as long as it is there a successor knows of the description. A RELEASE that is sent again finds it given back,
 * perhaps to another. */
static void slot_drop(struct fs *fs, uint64_t fh)
{
	int slot = (int)(fh % KEEP_OPENS);
	struct keep_open *o = &fs->keep->open[slot];

	if (atomic_load(&o->used) == KEEP_USED && fh_of(o, slot) == fh)
		keep_open_drop(fs->keep, slot);
}

/* --- life */

void fs_write_failed(void *arg, int64_t volume, int code)
{
	struct fs *fs = arg;
	uint32_t high = atomic_load(&fs->keep->open_high);

	for (uint32_t i = 0; i < high; i++) {
		struct keep_open *o = &fs->keep->open[i];

		if (atomic_load(&o->used) == KEEP_USED && o->volume == volume && o->writes)
			atomic_store(&o->error, code);
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The descriptions of the servers before: their volumes are open anew, and the engine forgets all others. */
static int restore(struct fs *fs, struct view *v, struct err *err)
{
	uint32_t high = atomic_load(&fs->keep->open_high);
	uint64_t *fh = calloc(high + 1, sizeof *fh);
	size_t n = 0;
	int r = fh ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < high && r == 0; i++) {
		struct keep_open *o = &fs->keep->open[i];

		if (atomic_load(&o->used) != KEEP_USED)
			continue;
		fh[n++] = fh_of(o, (int)i);
		if (handle_make(fs, (int)i, v, err) < 0)
			log_err("an open `data` cannot be gone on with: %s", err->text);
	}
	if (r == 0) {
		qsort(fh, n, sizeof *fh, by_value);
		r = engine_data_handles(fs->engine, fh, n, err);
	}
	free(fh);
	return r;
}

int files_new(struct fs *fs, struct err *err)
{
	struct view *v = fs_view(fs);
	int r;

	fs->handles = calloc(1, sizeof *fs->handles);
	if (!fs->handles || !v)
		return err_set(err, -ENOMEM, "no memory for open files");
	r = data_recover(fs->data, v, err);
	return r < 0 ? r : restore(fs, v, err);
}

void files_free(struct fs *fs)
{
	for (size_t i = 0; fs->handles && i < KEEP_OPENS; i++)
		free(atomic_load(&fs->handles->at[i]));
	free(fs->handles);
}

/* --- attributes */

int file_stat(struct ctx *c, struct node n, struct stat *st)
{
	struct vol_entry v;
	int r = view_entry(c->view, n.row, &v);

	if (r < 0)
		return r;
	if (v.trashed)
		return -ENOENT;
	stat_dir(st, 0, v.data_uid == (uid_t)-1 ? v.uid : v.data_uid,
		v.data_gid == (gid_t)-1 ? v.gid : v.data_gid, v.updated_us);
	st->st_mode = S_IFREG | (v.data_mode & 0777);
	st->st_size = (off_t)v.size;
	st->st_blocks = (blkcnt_t)((v.used + 511) / 512);
	return 0;
}

static void extend(struct ctx *c, struct node n, off_t size)
{
	struct change *ch = change_new(c, REPLY_GROWN, n, "data");
	struct vol_entry v;

	if (!ch)
		return;
	if (view_entry(c->view, n.row, &v) < 0 || v.trashed)
		change_answer(ch, -ENOENT, "the volume is deleted");
	else if (size < 0 || (uint64_t)size < v.size)
		change_answer(ch, -EINVAL, "a volume cannot shrink");
	else
		engine_extend(c->fs->engine, ch->id, &ch->who.caller, n.row, (uint64_t)size,
			change_done, ch);
}

void file_setattr(struct ctx *c, struct node n, const struct stat *attr, int to_set)
{
	struct volume v = { .data_mode = attr->st_mode & 0777,
		.data_uid = attr->st_uid,
		.data_gid = attr->st_gid };
	unsigned fields = 0;
	struct change *ch;

	if (to_set & FUSE_SET_ATTR_SIZE) {
		extend(c, n, attr->st_size);
		return;
	}
	fields |= to_set & FUSE_SET_ATTR_MODE ? SET_DATA_MODE : 0;
	fields |= to_set & FUSE_SET_ATTR_UID ? SET_DATA_UID : 0;
	fields |= to_set & FUSE_SET_ATTR_GID ? SET_DATA_GID : 0;
	ch = change_new(c, REPLY_ATTR, n, "data");
	if (!ch)
		return;
	if (fields)
		engine_set(
			c->fs->engine, ch->id, &ch->who.caller, n.row, fields, &v, change_done, ch);
	else
		change_answer(ch, 0, ""); /* times are ours */
}

/* --- open and release */

/* The slot of a request that a dead server began to carry out. */
static int slot_again(struct fs *fs, const struct change_id *id)
{
	uint32_t high = atomic_load(&fs->keep->open_high);

	for (uint32_t i = 0; id->resent && i < high; i++)
		if (atomic_load(&fs->keep->open[i].used) == KEEP_USED &&
			fs->keep->open[i].made_by == id->unique)
			return (int)i;
	return -1;
}

static int slot_take(struct fs *fs, const struct change *ch, bool writes)
{
	int slot = slot_again(fs, &ch->id);
	struct keep_open *o;

	if (slot < 0)
		slot = keep_open_take(fs->keep);
	if (slot < 0)
		return -ENFILE;
	o = &fs->keep->open[slot];
	o->volume = ch->node.row;
	o->writes = writes;
	o->made_by = ch->id.unique;
	atomic_store(&o->used, KEEP_USED);
	return slot;
}

void file_open(struct ctx *c, struct node n, struct fuse_file_info *fi)
{
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	struct change *ch = change_new(c, REPLY_DATA, n, "data");
	int slot;

	if (!ch)
		return;
	slot = slot_take(c->fs, ch, writes);
	if (slot < 0) {
		ch->reply = REPLY_CODE;
		change_answer(ch, slot, "too many open files: see the daemon's limits");
		return;
	}
	ch->fi = *fi;
	ch->fi.fh = fh_of(&c->fs->keep->open[slot], slot);
	engine_data_open(
		c->fs->engine, ch->id, &ch->who.caller, n.row, ch->fi.fh, writes, change_done, ch);
}

/* The description is gone before anybody had it. */
static void forget(struct fs *fs, uint64_t fh, int64_t volume)
{
	handle_end(fs, handle_find(fs, fh));
	slot_drop(fs, fh);
	engine_data_closed(fs->engine, volume, fh, NULL, NULL);
}

void file_not_opened(struct change *ch)
{
	handle_end(ch->fs, handle_find(ch->fs, ch->fi.fh));
	slot_drop(ch->fs, ch->fi.fh);
}

static void reply_open(struct change *ch)
{
	struct fuse_open_out {
		uint64_t fh;
		uint32_t open_flags, padding;
	} out = { .fh = ch->fi.fh };

	if (ch->fi.flags & O_DIRECT)
		out.open_flags = OPEN_DIRECT_IO | OPEN_PARALLEL_WRITES;
	if ((ch->fi.flags & O_ACCMODE) == O_RDONLY)
		out.open_flags |= OPEN_NOFLUSH;
	/* The caller was killed meanwhile: no RELEASE will come. */
	if (fuse_reply_buf(ch->req, (const char *)&out, sizeof out) == -ENOENT)
		forget(ch->fs, ch->fi.fh, ch->node.row);
	free(ch);
}

static void emptied(void *arg, int code, uint64_t off)
{
	struct change *ch = arg;

	if (code < 0) {
		forget(ch->fs, ch->fi.fh, ch->node.row);
		ch->reply = REPLY_CODE;
		change_answer(ch, code, "its blocks cannot be discarded");
	} else {
		reply_open(ch);
	}
}

/* Accepted by the engine. cp skips the holes of its source and trusts that an emptied file has zeroes there. */
void file_opened(struct change *ch)
{
	struct view *v = fs_view(ch->fs);
	struct err err = { 0 };
	int slot = (int)(ch->fi.fh % KEEP_OPENS);
	struct handle *h = handle_find(ch->fs, ch->fi.fh);
	int r = h ? 0 : v ? handle_make(ch->fs, slot, v, &err) : -EIO;

	if (r < 0) {
		forget(ch->fs, ch->fi.fh, ch->node.row);
		ch->reply = REPLY_CODE;
		change_answer(ch, r, err.text);
		return;
	}
	h = handle_find(ch->fs, ch->fi.fh);
	if ((ch->fi.flags & O_TRUNC) && h->writes)
		data_discard(h->image, emptied, ch);
	else
		reply_open(ch);
}

struct release {
	struct fs *fs;
	fuse_req_t req;
	uint64_t fh;
};

static void released(void *arg, const struct result *res)
{
	struct release *r = arg;

	slot_drop(r->fs, r->fh);
	fuse_reply_err(r->req, 0);
	free(r);
}

void file_release(struct ctx *c, struct node n, struct fuse_file_info *fi)
{
	struct release *r = malloc(sizeof *r);

	if (!r) {
		forget(c->fs, fi->fh, n.row);
		fuse_reply_err(c->req, 0);
		return;
	}
	*r = (struct release){ c->fs, c->req, fi->fh };
	handle_end(c->fs, handle_find(c->fs, fi->fh));
	engine_data_closed(c->fs->engine, n.row, fi->fh, released, r);
}
