/*
 * `data`: a volume's bytes as a file, or a snapshot's; its attributes, and its open descriptions. Requests on those are file_io.c.
 *
 * An open description has a slot in the keep, since it outlives this server, and its number is a row of attachments/ (engine). One of a
 * snapshot is no use of the volume: the engine hears nothing of it, and rmdir of the snapshot looks at the slots.
 *
 * Buffered opens go through the kernel's page cache, O_DIRECT ones past it, many writes at a time (the flag for that is not in libfuse
 * 3.14, so that reply is made by hand).
 */
#include "fs/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not in linux/fuse.h of 6.1. */
enum { OPEN_DIRECT_IO = 1, OPEN_KEEP_CACHE = 2, OPEN_NOFLUSH = 32, OPEN_PARALLEL_WRITES = 64 };

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

/* A type's extra specs do not change while a volume has it. */
bool file_is_shared(struct view *v, const struct volume *vol)
{
	struct type_entry e;

	return vol->type_id &&
	       view_type_entry_by_key(v, vol->type_id, TYPE_EXTRA_SPECS, "multiattach", &e) == 0 &&
	       !strcmp(e.value, "<is> True");
}

static int volume_image(
	struct fs *fs, struct view *v, int64_t row, struct data_image **ret, struct err *err)
{
	struct volume vol;
	int r = view_volume(v, row, &vol);

	if (r == 0)
		r = data_get(fs->data, &vol, file_is_shared(v, &vol), ret, err);
	if (r == 0 && view_volume(v, row, &vol) == 0)
		data_resized(fs->data, row, vol.size);
	return r;
}

static int snapshot_image(
	struct fs *fs, struct view *v, int64_t row, struct data_image **ret, struct err *err)
{
	struct snapshot s;
	struct volume vol;
	int r = view_snapshot(v, row, &s);

	if (r == 0)
		r = view_volume(v, s.volume, &vol);
	return r == 0 ? data_get_snapshot(fs->data, &vol, &s, ret, err) : r;
}

/* Refers to the image, which begins to be opened. */
static int handle_make(struct fs *fs, int slot, struct view *v, struct err *err)
{
	struct keep_open *o = &fs->keep->open[slot];
	struct handle *h = calloc(1, sizeof *h);
	int r = h ? 0 : -ENOMEM;

	if (r == 0)
		r = (o->of_snapshot ? snapshot_image : volume_image)(fs, v, o->row, &h->image, err);
	if (r < 0) {
		free(h);
		return r;
	}
	h->fh = fh_of(o, slot);
	h->writes = o->writes != 0;
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

	if (atomic_load(&o->used) != KEEP_FREE && fh_of(o, slot) == fh)
		keep_open_drop(fs->keep, slot);
}

/* --- life */

void fs_write_failed(void *arg, int64_t volume, int code)
{
	struct fs *fs = arg;
	uint32_t high = atomic_load(&fs->keep->open_high);

	for (uint32_t i = 0; i < high; i++) {
		struct keep_open *o = &fs->keep->open[i];

		if (atomic_load(&o->used) == KEEP_USED && o->row == volume && o->writes)
			atomic_store(&o->error, code); /* nobody writes to a snapshot */
	}
}

bool file_snapshot_is_open(struct fs *fs, int64_t snapshot)
{
	uint32_t high = atomic_load(&fs->keep->open_high);

	for (uint32_t i = 0; i < high; i++) {
		const struct keep_open *o = &fs->keep->open[i];

		if (atomic_load(&o->used) == KEEP_USED && o->of_snapshot && o->row == snapshot)
			return true;
	}
	return false;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* One of a server before, which may have kept writes that came by it, or noted that one has failed: its close asks. */
static int handle_remake(struct fs *fs, int slot, struct view *v, struct err *err)
{
	int r = handle_make(fs, slot, v, err);
	struct handle *h = r == 0 ? atomic_load(&fs->handles->at[slot]) : NULL;

	if (h)
		atomic_store(&h->dirty, h->writes);
	return r;
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
		if (!o->of_snapshot)
			fh[n++] = fh_of(o, (int)i);
		if (handle_remake(fs, (int)i, v, err) < 0)
			log_err("an open `data` cannot be gone on with: %s", err->text);
		else if (o->writes == KEEP_EMPTIES)
			file_empty_left(fs, handle_find(fs, fh_of(o, (int)i)),
				(struct node){ .kind = KIND_DATA, .row = o->row });
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

static int volume_data_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct vol_entry v;
	int r = view_entry(c->view, row, &v);

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

/* Who may read the volume's bytes may read these. How many of them are there nobody knows: as many as of the volume, and never none, for
 * tar does not look for data where there are no blocks. */
static int snapshot_data_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct snapshot s;
	int r = view_snapshot(c->view, row, &s);

	if (r == 0)
		r = s.name[0] ? volume_data_stat(c, s.volume, st) : -ENOENT;
	if (r < 0)
		return r;
	st->st_mode &= ~(mode_t)0222;
	st->st_mtim = st->st_ctim = st->st_atim =
		(struct timespec){ .tv_sec = s.created_us / 1000000,
			.tv_nsec = s.created_us % 1000000 * 1000 };
	st->st_size = (off_t)s.size;
	if (st->st_blocks > st->st_size / 512)
		st->st_blocks = st->st_size / 512;
	if (!st->st_blocks)
		st->st_blocks = 1;
	return 0;
}

int file_stat(struct ctx *c, struct node n, struct stat *st)
{
	return n.index == DATA_OF_SNAPSHOT ? snapshot_data_stat(c, n.row, st)
					   : volume_data_stat(c, n.row, st);
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

static const char never_changes[] = "a snapshot never changes";

static void set_snapshot(struct ctx *c, struct node n, int to_set)
{
	enum {
		OURS = FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID |
		       FUSE_SET_ATTR_GID,
	};
	struct change *ch = change_new(c, REPLY_ATTR, n, "data");

	if (ch)
		change_answer(ch, to_set & OURS ? -EROFS : 0, to_set & OURS ? never_changes : "");
}

void file_setattr(struct ctx *c, struct node n, const struct stat *attr, int to_set)
{
	struct volume v = { .data_mode = attr->st_mode & 0777,
		.data_uid = attr->st_uid,
		.data_gid = attr->st_gid };
	unsigned fields = 0;

	if (n.index == DATA_OF_SNAPSHOT) {
		set_snapshot(c, n, to_set);
		return;
	}
	if (to_set & FUSE_SET_ATTR_SIZE) {
		extend(c, n, attr->st_size);
		return;
	}
	fields |= to_set & FUSE_SET_ATTR_MODE ? SET_DATA_MODE : 0;
	fields |= to_set & FUSE_SET_ATTR_UID ? SET_DATA_UID : 0;
	fields |= to_set & FUSE_SET_ATTR_GID ? SET_DATA_GID : 0;
	change_fields(c, n, "data", fields, &v);
}

/* --- open and release */

/* The slot of a request that a dead server was about to answer. One whose caller was killed is nobody's any more, and ends by itself. */
static int slot_again(struct fs *fs, const struct change_id *id)
{
	uint32_t high = atomic_load(&fs->keep->open_high);

	for (uint32_t i = 0; id->resent && i < high; i++)
		if (atomic_load(&fs->keep->open[i].used) == KEEP_USED &&
			fs->keep->open[i].made_by == id->unique &&
			fs->keep->open[i].writes != KEEP_EMPTIES)
			return (int)i;
	return -1;
}

/*
 * A volume's is only claimed until the open is answered: a successor frees it, and is asked again, unless the caller was killed just before
 * it read the request, which the kernel takes back then without a word. Nothing waits in a snapshot's open, whose slot must be seen at once.
 */
static int slot_take(struct fs *fs, const struct change *ch, bool writes)
{
	int slot = slot_again(fs, &ch->id);
	struct keep_open *o;

	if (slot < 0)
		slot = keep_open_take(fs->keep);
	if (slot < 0)
		return -ENFILE;
	o = &fs->keep->open[slot];
	o->row = ch->node.row;
	o->of_snapshot = ch->node.index == DATA_OF_SNAPSHOT;
	o->writes = writes;
	o->made_by = ch->id.unique;
	if (o->of_snapshot)
		atomic_store(&o->used, KEEP_USED);
	return slot;
}

/* No slot is taken, or it was given back. */
static void refuse_open(struct change *ch, int code, const char *text)
{
	ch->reply = REPLY_CODE;
	change_answer(ch, code, text);
}

/* The slot is taken before it is looked whether the snapshot is there: an rmdir sees the one or is seen by the other, unless it is just being
 * committed; then the snapshot has no name any more, and goes when this is closed. */
static void open_snapshot(struct ctx *c, struct change *ch)
{
	struct snapshot s;
	char text[128];
	int r = view_snapshot(c->view, ch->node.row, &s);

	if (r == 0 && !s.name[0])
		r = -ENOENT;
	if (r < 0) {
		change_answer(ch, r, "the snapshot is deleted");
	} else if (s.status != SNAP_AVAILABLE && s.status != SNAP_RESTORING) {
		(void)snprintf(text, sizeof text, "the snapshot is %s", snap_status_name(s.status));
		change_answer(ch, -EBUSY, text);
	} else {
		change_answer(ch, 0, "");
	}
}

void file_open(struct ctx *c, struct node n, struct fuse_file_info *fi)
{
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC;
	bool snapshot = n.index == DATA_OF_SNAPSHOT;
	struct change *ch = change_new(c, REPLY_DATA, n, "data");
	int slot;

	if (!ch)
		return;
	if (snapshot && writes) {
		refuse_open(ch, -EROFS, never_changes);
		return;
	}
	slot = slot_take(c->fs, ch, writes);
	if (slot < 0) {
		refuse_open(ch, slot, "too many open files: see the daemon's limits");
		return;
	}
	ch->fi = *fi;
	ch->fi.fh = fh_of(&c->fs->keep->open[slot], slot);
	if (snapshot)
		open_snapshot(c, ch);
	else
		engine_data_open(c->fs->engine, ch->id, &ch->who.caller, n.row, ch->fi.fh, writes,
			change_done, ch);
}

void file_forget(struct fs *fs, uint64_t fh, struct node n)
{
	handle_end(fs, handle_find(fs, fh));
	slot_drop(fs, fh);
	if (n.index != DATA_OF_SNAPSHOT)
		engine_data_closed(fs->engine, n.row, fh, NULL, NULL);
}

void file_not_opened(struct change *ch)
{
	handle_end(ch->fs, handle_find(ch->fs, ch->fi.fh));
	slot_drop(ch->fs, ch->fi.fh);
}

void file_reply_open(struct change *ch)
{
	struct fuse_open_out {
		uint64_t fh;
		uint32_t open_flags, padding;
	} out = { .fh = ch->fi.fh };

	if (ch->fi.flags & O_DIRECT)
		out.open_flags = OPEN_DIRECT_IO | OPEN_PARALLEL_WRITES;
	if ((ch->fi.flags & O_ACCMODE) == O_RDONLY)
		out.open_flags |= OPEN_NOFLUSH;
	/* Else each open drops what is cached: a volume may have been reverted, or written to elsewhere. */
	if (ch->node.index == DATA_OF_SNAPSHOT)
		out.open_flags |= OPEN_KEEP_CACHE;
	atomic_store(&ch->fs->keep->open[ch->fi.fh % KEEP_OPENS].used, KEEP_USED);
	/* The caller was killed meanwhile: no RELEASE will come. */
	if (fuse_reply_buf(ch->req, (const char *)&out, sizeof out) == -ENOENT)
		file_forget(ch->fs, ch->fi.fh, ch->node);
	free(ch);
}

void file_refuse_opened(struct change *ch, int code, const char *text)
{
	file_forget(ch->fs, ch->fi.fh, ch->node);
	refuse_open(ch, code, text);
}

void file_opened(struct change *ch)
{
	struct view *v = fs_view(ch->fs);
	struct err err = { 0 };
	int slot = (int)(ch->fi.fh % KEEP_OPENS);
	struct handle *h = handle_find(ch->fs, ch->fi.fh);
	int r = h ? 0 : v ? handle_make(ch->fs, slot, v, &err) : -EIO;

	if (r < 0) {
		file_refuse_opened(ch, r, err.text);
		return;
	}
	h = handle_find(ch->fs, ch->fi.fh);
	if (ch->fi.flags & O_TRUNC)
		file_empty(ch, h);
	else
		file_reply_open(ch);
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
	struct release *r = n.index == DATA_OF_SNAPSHOT ? NULL : malloc(sizeof *r);

	if (!r) {
		file_forget(c->fs, fi->fh, n);
		fuse_reply_err(c->req, 0);
		return;
	}
	*r = (struct release){ c->fs, c->req, fi->fh };
	handle_end(c->fs, handle_find(c->fs, fi->fh));
	engine_data_closed(c->fs->engine, n.row, fi->fh, released, r);
}
