/* What is in the directory, whoever made it; and how it becomes ours, or is ours no more. */
#include "base/cleanup.h"
#include "local/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int local_walk(const struct local *l, int dir, int (*each)(void *arg, const char *name), void *arg,
	struct err *err)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		r = local_failed(err, l, "list", ".");
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r >= 0 && (errno = 0, e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			r = each(arg, e->d_name);
	if (r >= 0 && errno)
		r = local_failed(err, l, "list", ".");
	closedir(d);
	return r < 0 ? r : 0;
}

/* --- listing */

struct listing {
	int dir;
	bool parts;
	int (*each)(void *arg, const struct driver_found *found);
	void *arg;
};

/* A file half made; snapshots of what is not there. */
static bool is_part(int dir, const char *name, char uuid[UUID_LEN + 1])
{
	char of[LOCAL_NAME_MAX];
	struct stat st;

	if (local_name_is_new(name, uuid))
		return true;
	return local_name_is_snaps(name, of) && local_name_is_volume(of, uuid) &&
	       fstatat(dir, of, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

static int list_one(void *arg, const char *name)
{
	struct listing *w = arg;
	struct driver_found found = { 0 };
	struct stat st;

	(void)snprintf(found.name, sizeof found.name, "%s", name);
	if (name[0] == '.') {
		found.parts = w->parts && is_part(w->dir, name, found.uuid);
		return found.parts ? w->each(w->arg, &found) : 0;
	}
	if (fstatat(w->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0; /* no image, or gone meanwhile */
	(void)local_name_is_volume(name, found.uuid);
	return w->each(w->arg, &found);
}

int local_list(void *be, bool parts, int (*each)(void *arg, const struct driver_found *found),
	void *arg, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	struct listing w = { .dir = dir, .parts = parts, .each = each, .arg = arg };

	return dir < 0 ? dir : local_walk(l, dir, list_one, &w, err);
}

/* --- snapshots */

struct snaps {
	int dir;
	struct driver_found_snap *list;
	size_t n, room;
};

static int snap_one(void *arg, const char *name)
{
	struct snaps *s = arg;
	struct driver_snap snap;
	struct driver_found_snap *f;
	struct stat st;

	if (!local_name_is_snap(name, &snap) ||
		fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (s->n == s->room) {
		size_t room = s->room ? 2 * s->room : 16;
		struct driver_found_snap *list = reallocarray(s->list, room, sizeof *list);

		if (!list)
			return -ENOMEM;
		s->list = list;
		s->room = room;
	}
	f = &s->list[s->n++];
	*f = (struct driver_found_snap){ .temporary = snap.temporary,
		.size = (uint64_t)st.st_size,
		/* nobody has written to it since it was taken, and a renaming leaves that as it is */
		.created_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000 };
	(void)snprintf(f->name, sizeof f->name, "%s", name);
	memcpy(f->uuid, snap.uuid, sizeof f->uuid);
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct driver_found_snap *x = a, *y = b;

	if (x->created_us != y->created_us)
		return x->created_us < y->created_us ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The caller frees the list. */
static int find_snaps(
	const struct local *l, int dir, const char *of, struct snaps *ret, struct err *err)
{
	CLEANUP_FD int snaps = local_open_snaps(l, dir, of, err);
	int r;

	*ret = (struct snaps){ .dir = snaps };
	if (snaps < 0)
		return snaps == -ENOENT ? 0 : snaps;
	r = local_walk(l, snaps, snap_one, ret, err);
	if (r == -ENOMEM)
		(void)err_set(err, r, "out of memory");
	if (r == 0 && ret->n)
		qsort(ret->list, ret->n, sizeof *ret->list, by_time);
	return r;
}

int local_snaps(
	void *be, const char *name, struct driver_found_snap *ret, size_t n, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	struct snaps s = { 0 };
	struct stat st;
	int r;

	if (dir < 0)
		return dir;
	r = find_snaps(l, dir, name, &s, err);
	if (r == 0 && !s.n)
		r = local_look_at(l, dir, name, &st, err);
	for (size_t i = 0; r == 0 && i < s.n && i < n; i++)
		ret[i] = s.list[i];
	free(s.list);
	return r < 0 ? r : (int)s.n;
}

/* --- one */

/* Can it be a volume? 0, or -errno with the reason. */
static int check(int dir, const char *name, const struct stat *st, struct err *err)
{
	if (st->st_size == 0)
		return err_set(err, -EINVAL, "'%s' is empty", name);
	if (st->st_size % 512)
		return err_set(err, -EINVAL,
			"'%s' has %" PRIu64 " bytes, which is no multiple of 512", name,
			(uint64_t)st->st_size);
	return local_is_used(dir, name) ? err_set(err, -EBUSY, "'%s' is open", name) : 0;
}

int local_look(void *be, const char *name, struct driver_found *ret, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	struct driver_found found = { 0 };
	struct err reason = { 0 };
	struct snaps s = { 0 };
	struct stat st;
	int r;

	if (dir < 0)
		return dir;
	if (!local_name_is_volume(name, found.uuid) && !local_name_is_foreign(name))
		return err_set(err, -ENOENT, "'%s' is no image", name);
	r = local_look_at(l, dir, name, &st, err);
	if (r == 0)
		r = find_snaps(l, dir, name, &s, err);
	free(s.list);
	if (r < 0)
		return r;
	(void)snprintf(found.name, sizeof found.name, "%s", name);
	found.size = (uint64_t)st.st_size;
	found.used = (uint64_t)st.st_blocks * 512;
	found.snapshots = (unsigned)s.n;
	/* One of ours is not asked whether it is open: who opens it at that moment would be refused. */
	if (!found.uuid[0] && check(dir, name, &st, &reason) < 0)
		(void)snprintf(found.reason, sizeof found.reason, "%s", reason.text);
	*ret = found;
	return 0;
}

/* --- adopting and letting go */

/*
 * The image has its new name: its snapshots follow it. In this order, for one that has moved is not refused any more, whoever has it open,
 * and moving it back finds its snapshots where they were.
 */
static int follow(struct local *l, int dir, const char *from, const char *to, struct err *err)
{
	char from_snaps[LOCAL_NAME_MAX], to_snaps[LOCAL_NAME_MAX];
	struct stat st;
	int r = 0;

	local_name_snaps(from, from_snaps);
	local_name_snaps(to, to_snaps);
	if (fstatat(dir, from_snaps, &st, AT_SYMLINK_NOFOLLOW) == 0)
		r = local_rename(l, dir, from_snaps, to_snaps, err);
	return r < 0 ? r : local_sync(l, dir, ".", err);
}

static int move(struct local *l, int dir, const char *from, const char *to, struct err *err)
{
	int r = local_rename(l, dir, from, to, err);

	return r < 0 ? r : follow(l, dir, from, to, err);
}

int local_adopt(void *be, const char *name, struct driver_image *image, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	char ours[LOCAL_NAME_MAX];
	struct stat st;
	int r;

	if (dir < 0)
		return dir;
	local_name(image, ours);
	if (!local_name_is_foreign(name) && strcmp(name, ours) != 0)
		return err_set(err, -EINVAL, "'%s' is no name of an image to be adopted", name);
	r = local_find(l, dir, name, &st, err);
	if (r > 0) {
		r = check(dir, name, &st, err);
		if (r == 0 && strcmp(name, ours) != 0)
			r = move(l, dir, name, ours, err);
	} else if (r == 0) { /* an earlier try did it, or there is none */
		r = local_find(l, dir, ours, &st, err);
		r = r > 0 ? follow(l, dir, name, ours, err)
			  : err_set(err, -ENOENT, "there is no '%s/%s'", l->conf->path, name);
	}
	if (r == 0)
		image->size = (uint64_t)st.st_size;
	return r;
}

static int snap_rename(
	struct local *l, int snaps, const char *name, const char *ours, struct err *err)
{
	struct stat st;
	int r = local_find(l, snaps, ours, &st, err);

	if (r == 0)
		r = local_rename(l, snaps, name, ours, err);
	return r < 0 ? r : local_sync(l, snaps, name, err);
}

int local_snap_adopt(void *be, const struct driver_image *image, const char *name,
	const struct driver_snap *snap, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	CLEANUP_FD int snaps = -1;
	char of[LOCAL_NAME_MAX], ours[LOCAL_NAME_MAX];
	struct driver_snap was;

	if (dir < 0)
		return dir;
	if (!local_name_is_snap(name, &was))
		return err_set(err, -EINVAL, "'%s' is no name of a snapshot", name);
	local_name(image, of);
	local_name_snap(snap, ours);
	snaps = local_open_snaps(l, dir, of, err);
	if (snaps == -ENOENT)
		return err_set(err, -ENOENT, "'%s/%s' has no %s", l->conf->path, of, name);
	return snaps < 0 ? snaps : snap_rename(l, snaps, name, ours, err);
}

int local_disown(void *be, const struct driver_image *image, const char *name, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	char ours[LOCAL_NAME_MAX];
	struct stat st, other;
	bool there;
	int r;

	if (dir < 0)
		return dir;
	if (!local_name_is_foreign(name))
		return err_set(err, -EINVAL, "'%s' cannot be an image's name here", name);
	local_name(image, ours);
	there = fstatat(dir, name, &other, AT_SYMLINK_NOFOLLOW) == 0;
	r = local_find(l, dir, ours, &st, err);
	if (r < 0)
		return r;
	if (r == 0) /* an earlier try did it, or there is none */
		return there ? follow(l, dir, ours, name, err)
			     : err_set(err, -ENOENT, "there is no '%s/%s'", l->conf->path, ours);
	if (there)
		return err_set(err, -EEXIST, "'%s/%s' is there already", l->conf->path, name);
	r = local_refuse_used(l, dir, ours, err);
	return r < 0 ? r : move(l, dir, ours, name, err);
}
