/*
 * .volfs/unmanaged/<backend>/<image>/: images in a storage that no volume owns, as last seen. Looking here has the backend look again, for
 * the next time. mv to the root adopts one, mv of a volume to here lets it go: see move.c. Names are not cached: images come and go without
 * the kernel's doing, and one that is moved is another inode afterwards.
 */
#include "base/clock.h"
#include "base/text.h"
#include "fs/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- names: '/' is shown as "%2F", '%' and what is not text likewise */

static bool is_odd(unsigned char c, bool plain)
{
	return c < ' ' || c == 0x7f || c == '/' || c == '%' || (!plain && c >= 0x80);
}

/* False: it does not fit. */
static bool name_shown(const char *name, char shown[NAME_LEN + 1])
{
	bool dots = !strcmp(name, ".") || !strcmp(name, "..");
	bool plain = text_is_plain(name, strlen(name));
	size_t len = 0;

	for (; *name; name++) {
		bool odd = dots || is_odd((unsigned char)*name, plain);

		if (len + (odd ? 3 : 1) > NAME_LEN)
			return false;
		if (odd)
			len += (size_t)snprintf(
				shown + len, 4, "%%%02X", (unsigned)(unsigned char)*name);
		else
			shown[len++] = *name;
	}
	shown[len] = '\0';
	return len > 0;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Only what a listing shows: a directory has one name. */
bool unmanaged_name(const char *shown, char name[NAME_LEN + 1])
{
	char again[NAME_LEN + 1];
	const char *p = shown;
	size_t len = 0;

	for (; *p && len < NAME_LEN; len++, p++) {
		int high, low;

		name[len] = *p;
		if (*p != '%')
			continue;
		high = hex(p[1]);
		low = high < 0 ? -1 : hex(p[2]);
		if (low < 0 || !(high << 4 | low))
			return false;
		name[len] = (char)(high << 4 | low);
		p += 2;
	}
	name[len] = '\0';
	return !*p && name_shown(name, again) && !strcmp(shown, again);
}

/* --- one image */

static void image_stat_of(const struct fs *fs, const struct unmanaged *u, struct stat *st)
{
	stat_dir(st, 0770, 0, fs->admin_gid, u->seen_us);
	st->st_size = (off_t)u->size;
}

static int image_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct unmanaged u;
	int r = view_unmanaged(c->view, row, &u);

	if (r == 0)
		image_stat_of(c->fs, &u, st);
	return r;
}

/* One show per field: load the row, write a line. */
#define SHOW(what, ...)                                                                            \
	static int show_##what(struct ctx *c, int64_t row, struct buf *out)                        \
	{                                                                                          \
		struct unmanaged u;                                                                \
		int r = view_unmanaged(c->view, row, &u);                                          \
                                                                                                   \
		if (r == 0)                                                                        \
			buf_addf(out, __VA_ARGS__);                                                \
		return r;                                                                          \
	}
SHOW(size, "%s\n", text_of_size(u.size, (char[TEXT_SIZE_MAX]){ 0 }))
SHOW(used, "%" PRIu64 "\n", u.used)
SHOW(snapshots, "%u\n", u.snapshots)
SHOW(error, "%s%s", u.reason, u.reason[0] ? "\n" : "")
SHOW(seen, "%s\n", clock_text(u.seen_us, (char[CLOCK_TEXT_MAX]){ 0 }))

static const struct attr attrs[] = {
	{ "size", 0444, show_size, NULL, 0, NULL },
	{ "used", 0444, show_used, NULL, 0, NULL },
	{ "snapshots", 0444, show_snapshots, NULL, 0, NULL },
	{ "error", 0444, show_error, NULL, 0, NULL },
	{ "seen", 0444, show_seen, NULL, 0, NULL },
	{ 0 },
};

const struct dir dir_unmanaged_image = {
	.attrs = attrs,
	.stat = image_stat,
};

/* --- of a backend, and the directory of these */

static void entry_of(const struct fs *fs, const struct unmanaged *u, struct entry *ret)
{
	ret->node = (struct node){ .kind = KIND_UNMANAGED_IMAGE, .row = u->id };
	ret->at = u->id;
	ret->generation = 1;
	image_stat_of(fs, u, &ret->st);
}

static int images_find(struct ctx *c, int64_t backend, const char *name, struct entry *ret)
{
	char image[NAME_LEN + 1];
	struct unmanaged u;
	int r;

	engine_look_unmanaged(c->fs->engine, backend);
	if (!unmanaged_name(name, image))
		return -ENOENT;
	r = view_unmanaged_by_name(c->view, backend, image, &u);
	if (r == 0)
		entry_of(c->fs, &u, ret);
	return r;
}

/* What has too long a name to be shown is left out. */
static int images_list(struct ctx *c, int64_t backend, int64_t after, struct entry *ret, size_t n)
{
	struct unmanaged u[8];
	int got, done = 0;

	if (after == 0)
		engine_look_unmanaged(c->fs->engine, backend);
	do {
		got = view_unmanageds(c->view, backend, after, u, n < 8 ? n : 8);
		for (int i = 0; i < got; i++) {
			after = u[i].id;
			if (!name_shown(u[i].name, ret[done].name))
				continue;
			entry_of(c->fs, &u[i], &ret[done++]);
		}
	} while (got > 0 && done == 0);
	return got < 0 ? got : done;
}

/* Another directory than the backend's in backends/: kind and place are all that differ. */
static void to_unmanaged(struct ctx *c, struct entry *e)
{
	e->node.kind = KIND_UNMANAGED;
	stat_dir(&e->st, 0770, 0, c->fs->admin_gid, c->fs->started_us);
}

static int unmanaged_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	int r;

	if (row)
		return images_find(c, row, name, ret);
	r = dir_backends.find(c, 0, name, ret);
	if (r == 0)
		to_unmanaged(c, ret);
	return r;
}

static int unmanaged_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	int got;

	if (row)
		return images_list(c, row, after, ret, n);
	got = dir_backends.list(c, 0, after, ret, n);
	for (int i = 0; i < got; i++)
		to_unmanaged(c, &ret[i]);
	return got;
}

static int unmanaged_stat(struct ctx *c, int64_t row, struct stat *st)
{
	stat_dir(st, 0770, 0, c->fs->admin_gid, c->fs->started_us);
	return 0;
}

static int unmanaged_space(struct ctx *c, int64_t row, struct statvfs *ret)
{
	return row ? dir_backend.space(c, row, ret) : backend_space(c, NULL, ret);
}

static void unmanaged_rmdir(struct ctx *c, const struct entry *e)
{
	refuse(c, -EPERM, e->name,
		e->node.kind == KIND_UNMANAGED_IMAGE
			? "an image that no volume owns is not removed from here: adopt it first"
			: "this directory is part of the filesystem");
}

const struct dir dir_unmanaged = {
	.stat = unmanaged_stat,
	.find = unmanaged_find,
	.list = unmanaged_list,
	.rmdir = unmanaged_rmdir,
	.space = unmanaged_space,
};
