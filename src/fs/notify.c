/*
 * Changes to the kernel's caches. Entries and attributes are cached long; each commit invalidates
 * the attributes of what it changed (inval_inode with offset -1: 1.5 µs, never waits) before anyone
 * is answered, so a change is visible to every reader when its commit is.
 *
 * One race is left: a LOOKUP that read the row before the change and is answered after the
 * notification. The kernel did not know the inode when it was notified and would now cache the old
 * attributes. So every change has a number, the latest CHANGES of them are remembered by row, and
 * who answers with attributes repeats the notification if the row changed since it began to read.
 *
 * Most volumes live and die without anybody looking at more than one or two of their files. So one bit for each file of a volume (of
 * 16,384, by row: several volumes share theirs) says whether the kernel was ever told of it: if not, there is nothing to drop. What an
 * earlier server told is not known: then all bits are set.
 *
 * Another is left: the answer is written, but who asked has not run since. So what the kernel does not know and was told of within a second
 * is notified again (again.c).
 */
#include "base/clock.h"
#include "base/log.h"
#include "fs/internal.h"

#include <assert.h>
#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>

/* LATEST events: a batch of the writer makes fewer, and is notified before the next one. */
enum { CHANGES = 1024, LATEST = 4096, TOLD = 16384 };
#define LATELY_NS INT64_C(1000000000)

struct changes {
	_Atomic uint64_t count;
	_Atomic int64_t row[CHANGES];  /* of change number i: at i % CHANGES */
	_Atomic uint64_t told[TOLD];   /* bit of a file: its index; 0: data */
	_Atomic int64_t told_ns[TOLD]; /* when the kernel was last told of what has such a row */
};

int changes_new(bool all_told, struct changes **ret)
{
	*ret = calloc(1, sizeof **ret);
	if (!*ret)
		return -ENOMEM;
	assert(volume_attr_count() < 64);
	for (size_t i = 0; all_told && i < TOLD; i++)
		atomic_store(&(*ret)->told[i], UINT64_MAX);
	return 0;
}

void changes_free(struct changes *ch)
{
	free(ch);
}

uint64_t changes_seen(struct changes *ch)
{
	return atomic_load(&ch->count);
}

static uint64_t bit_of(unsigned index)
{
	return UINT64_C(1) << index;
}

void changes_tell(struct changes *ch, struct node n)
{
	_Atomic uint64_t *told = &ch->told[n.row % TOLD];

	atomic_store(&ch->told_ns[n.row % TOLD], clock_mono_ns());
	/* `wait` is what everybody opens, and nobody asks whose it is. */
	if (((n.kind == KIND_DATA && !n.index) ||
		    (n.kind == KIND_VOLUME && n.index && n.index != volume_attr_index("wait"))) &&
		!(atomic_load(told) & bit_of(n.index)))
		atomic_fetch_or(told, bit_of(n.index));
}

/* Of which files of it: bits. */
static uint64_t told_of(struct changes *ch, int64_t volume)
{
	return atomic_load(&ch->told[volume % TOLD]);
}

/* The kernel forgets the attributes of n; if it does not know n, but may be about to, once more. */
static void drop(struct fs *fs, struct node n)
{
	int64_t told = atomic_load(&fs->changes->told_ns[n.row % TOLD]);

	if (session_inval(fs->session, ino_of(n)) == -ENOENT && clock_mono_ns() - told < LATELY_NS)
		again_later(fs->again, ino_of(n));
}

static void changes_add(struct changes *ch, int64_t row)
{
	uint64_t n = atomic_load(&ch->count); /* one thread adds */

	atomic_store(&ch->row[n % CHANGES], row);
	atomic_store(&ch->count, n + 1);
}

void changes_repeat(struct fs *fs, uint64_t seen, int64_t row, fuse_ino_t ino)
{
	uint64_t now = atomic_load(&fs->changes->count);
	bool hit = now - seen >= CHANGES;

	for (uint64_t i = seen; i < now && !hit; i++)
		hit = atomic_load(&fs->changes->row[i % CHANGES]) == row;
	if (hit)
		drop(fs, ino_node(ino));
}

/* The directory and its files: every one shows the volume's time. */
static void volume_files_changed(struct fs *fs, int64_t volume)
{
	uint64_t told = told_of(fs->changes, volume);

	if (told)
		told |= bit_of(volume_attr_index("wait"));
	drop(fs, (struct node){ KIND_VOLUME, volume, 0 });
	for (unsigned i = 1; i <= volume_attr_count(); i++)
		if (told & bit_of(i))
			drop(fs, (struct node){ KIND_VOLUME, volume, i });
	if (told & bit_of(0))
		drop(fs, (struct node){ .kind = KIND_DATA, .row = volume });
}

static void snapshot_changed(struct fs *fs, int64_t row)
{
	changes_add(fs->changes, row);
	for (unsigned i = 0; i <= snapshot_attr_count(); i++)
		drop(fs, (struct node){ KIND_SNAPSHOT, row, i });
	drop(fs, (struct node){ KIND_DATA, row, DATA_OF_SNAPSHOT });
}

/* They are owned as the volume, and their bytes as its. */
static void all_snapshots_changed(struct fs *fs, int64_t volume)
{
	struct view *v = fs_view(fs);
	struct snapshot s[8];
	int64_t after = 0;
	int got;

	drop(fs, (struct node){ KIND_SNAPSHOTS, volume, 0 });
	while (v && (got = view_snapshots(v, volume, after, s, 8)) > 0)
		for (int i = 0; i < got; i++) {
			after = s[i].id;
			snapshot_changed(fs, after);
		}
}

/* What is owned as the volume is. */
static void owner_changed(struct fs *fs, int64_t volume)
{
	struct view *v = fs_view(fs);
	struct meta_entry m[8];
	int64_t after = 0;
	int got;

	drop(fs, (struct node){ KIND_METADATA, volume, 0 });
	drop(fs, (struct node){ KIND_ATTACHMENTS, volume, 0 });
	drop(fs, (struct node){ KIND_VOLUME, volume, volume_attr_index("wait") });
	while (v && (got = view_metas(v, volume, after, m, 8)) > 0)
		for (int i = 0; i < got; i++) {
			after = m[i].id;
			changes_add(fs->changes, after);
			drop(fs, (struct node){ KIND_META, after, 0 });
		}
}

static void volume_changed(struct fs *fs, const struct change_note *n)
{
	if (n->mask & VOL_CHANGED_SIZE && n->size)
		data_resized(fs->data, n->volume, n->size);
	if (!(n->mask & VOL_CHANGED_NEW)) {
		changes_add(fs->changes, n->volume);
		volume_files_changed(fs, n->volume);
		if (n->mask & VOL_CHANGED_OWNER)
			owner_changed(fs, n->volume);
		if (n->mask & (VOL_CHANGED_OWNER | VOL_CHANGED_DATA))
			all_snapshots_changed(fs, n->volume);
	}
	if (n->mask & (VOL_CHANGED_STATUS | VOL_CHANGED_GONE | VOL_CHANGED_BACK))
		waiters_wake(fs->waiters, n->volume);
}

void changes_repeat_page(struct fs *fs, uint64_t seen, const char *at, size_t len)
{
	struct fuse_direntplus e;

	if (changes_seen(fs->changes) == seen)
		return;
	for (; len >= sizeof e; at += FUSE_DIRENTPLUS_SIZE(&e), len -= FUSE_DIRENTPLUS_SIZE(&e)) {
		memcpy(&e, at, sizeof e);
		if (e.entry_out.nodeid)
			changes_repeat(
				fs, seen, ino_node(e.entry_out.nodeid).row, e.entry_out.nodeid);
	}
}

static void meta_changed(struct fs *fs, const struct change_note *n)
{
	changes_add(fs->changes, n->row);
	changes_add(fs->changes, n->volume);
	drop(fs, (struct node){ KIND_META, n->row, 0 });
	drop(fs, (struct node){ KIND_METADATA, n->volume, 0 });
	volume_files_changed(fs, n->volume);
}

/* What hangs on a volume, its uses and snapshots, is told by these two of its files. */
static void lists_changed(struct fs *fs, int64_t volume)
{
	uint64_t told = told_of(fs->changes, volume);
	unsigned file[] = { volume_attr_index("json"), volume_attr_index("history") };

	for (size_t i = 0; i < sizeof file / sizeof *file; i++)
		if (told & bit_of(file[i]))
			drop(fs, (struct node){ KIND_VOLUME, volume, file[i] });
}

static void uses_changed(struct fs *fs, const struct change_note *n)
{
	changes_add(fs->changes, n->row);
	changes_add(fs->changes, n->volume);
	for (unsigned i = 0; i <= attachment_attr_count(); i++)
		drop(fs, (struct node){ KIND_ATTACHMENT, n->row, i });
	drop(fs, (struct node){ KIND_ATTACHMENTS, n->volume, 0 });
	lists_changed(fs, n->volume);
}

static void snapshots_changed(struct fs *fs, const struct change_note *n)
{
	changes_add(fs->changes, n->volume);
	snapshot_changed(fs, n->row);
	drop(fs, (struct node){ KIND_SNAPSHOTS, n->volume, 0 });
	lists_changed(fs, n->volume);
}

static void one_changed(struct fs *fs, const struct change_note *n)
{
	switch (n->kind) {
	case CHANGE_VOLUME:
		volume_changed(fs, n);
		break;
	case CHANGE_META:
		meta_changed(fs, n);
		break;
	case CHANGE_LIST: /* once for all of a commit */
	case CHANGE_QUOTA: /* never cached, as the next two: their numbers change with every volume */
	case CHANGE_BACKEND:
	case CHANGE_UNMANAGED:
		break;
	case CHANGE_USES:
		uses_changed(fs, n);
		break;
	case CHANGE_SNAP:
		snapshots_changed(fs, n);
		break;
	case CHANGE_TYPE: /* every volume of the type shows its name: dropped all at once, which is rare enough */
		if (!session_inval_all(fs->session))
			changes_again(fs);
		break;
	}
}

void fs_changed(void *arg, const struct change_note *note, size_t n)
{
	struct fs *fs = arg;
	bool listed = false;

	for (size_t i = 0; i < n && fs->session; i++) {
		one_changed(fs, &note[i]);
		listed |= note[i].kind == CHANGE_LIST;
	}
	follow_wake(fs->follow);
	if (listed) {
		atomic_store(&fs->listed_us, clock_wall_us());
		again_root(fs->again);
	}
	waiters_go(fs->waiters);
}

static void metadata_again(struct fs *fs, struct view *v, int64_t volume)
{
	struct meta_entry m[8];
	int64_t after = 0;
	int got;

	while ((got = view_metas(v, volume, after, m, 8)) > 0)
		for (int i = 0; i < got; i++) {
			meta_changed(fs, &(struct change_note){ .volume = volume, .row = m[i].id });
			after = m[i].id;
		}
}

static void uses_again(struct fs *fs, struct view *v, int64_t volume)
{
	struct use u[8];
	int64_t after = 0;
	int got;

	while ((got = view_uses(v, volume, after, u, 8)) > 0)
		for (int i = 0; i < got; i++) {
			uses_changed(fs, &(struct change_note){ .volume = volume, .row = u[i].id });
			after = u[i].id;
		}
}

/* Attributes only: names change by the kernel's own requests, and those that a dead server did not answer
 * are sent again. */
void changes_again(struct fs *fs)
{
	struct view *v = fs_view(fs);
	int64_t *volume = calloc(LATEST, sizeof *volume);
	int n = v && volume ? view_changed_last(v, volume, LATEST) : -ENOMEM;

	if (n < 0)
		log_warning("sizes and times of files that were looked at may be out of date");
	for (int i = 0; i < n; i++) {
		volume_changed(fs, &(struct change_note){ .volume = volume[i],
					   .mask = ~(unsigned)VOL_CHANGED_NEW });
		metadata_again(fs, v, volume[i]);
		uses_again(fs, v, volume[i]);
	}
	waiters_go(fs->waiters);
	free(volume);
}
