/*
 * Snapshots, revert and flatten, by librbd over the connection without time-outs.
 *
 * An image that this process has open for writing is opened once more: librbd sees that another handle holds the lock and asks that one
 * to do it, as it asks a client elsewhere; the owner holds back writes from the moment of the snapshot on.
 *
 * What a crash leaves:
 *   snap_create   the snapshot without its object map: made anew, since nobody has been told of it
 *   snap_remove   the snapshot in the trash namespace (a kind that users do not see), where librbd moves it first; also there to stay
 *                 while clones need it. Looked for by its former name
 *   revert        a map that tells of the snapshot's objects, while those written since are still there: the map is called invalid until
 *                 the end
 *   flatten       everything copied, and the source has forgotten the clone, but not the clone its source
 */
#include "rbd/internal.h"

#include "rbd/encode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MAP_FLAGS (RBD_FLAG_OBJECT_MAP_INVALID | RBD_FLAG_FAST_DIFF_INVALID)

/* An image opened for a change. */
struct change {
	struct rb_backend *be;
	struct rb_pool *p;
	rbd_image_t image;
	char name[RB_NAME_ROOM], id[RB_NAME_ROOM];
	uint64_t features;
};

static int change_open(struct change *c, rados_ioctx_t io)
{
	int r = rbd_open(io, c->name, &c->image, NULL);

	if (r < 0)
		return r;
	r = rbd_get_id(c->image, c->id, sizeof c->id);
	if (r >= 0)
		r = rbd_get_features(c->image, &c->features);
	if (r < 0)
		(void)rbd_close(c->image);
	return r;
}

/* Opens the image, lets do() change it, closes it. The sentence is the caller's. */
static int change(struct change *c, int (*run)(struct change *c, void *arg), void *arg)
{
	int r = change_open(c, c->p->io);

	if (r < 0)
		return r;
	r = run(c, arg);
	(void)rbd_close(c->image);
	return r;
}

/* --- object maps of snapshots */

static bool has_map(const struct change *c)
{
	return c->features & RBD_FEATURE_OBJECT_MAP;
}

/* 0, -ENOENT: the snapshot has no object map. */
static int find_map(const struct change *c, uint64_t snap)
{
	char object[RB_OBJECT_ROOM];

	(void)snprintf(object, sizeof object, "rbd_object_map.%s.%016" PRIx64, c->id, snap);
	return rados_stat(c->p->io, object, NULL, NULL);
}

/* --- create */

static int take(struct change *c, void *arg)
{
	const char *snap = arg;
	uint64_t id;
	int r = rbd_snap_create(c->image, snap);

	if (r != -EEXIST || !has_map(c))
		return r == -EEXIST ? 0 : r;
	r = rbd_snap_get_id(c->image, snap, &id);
	if (r >= 0)
		r = find_map(c, id);
	if (r != -ENOENT)
		return r;
	r = rbd_snap_remove(c->image, snap);
	return r < 0 ? r : rbd_snap_create(c->image, snap);
}

int rb_snap_create(void *backend, const struct driver_image *image, const struct driver_snap *snap,
	struct err *err)
{
	struct rb_backend *be = backend;
	struct change c = { .be = be };
	char name[RB_NAME_ROOM];
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->change, &c.p, err);
	if (r < 0)
		return r;
	rb_image_name(image->uuid, c.name);
	rb_snap_name(snap, name);
	r = change(&c, take, name);
	rb_pool_put(c.p);
	return r < 0 ? rb_fail(be, err, r, "take snapshot '%s@%s'", c.name, name) : 0;
}

/* --- remove */

/* Did this snapshot in the trash namespace have that name? */
static bool was_named(rbd_image_t image, uint64_t id, const char *name)
{
	char was[NAME_LEN + 1];

	return rbd_snap_get_trash_namespace(image, id, was, sizeof was) >= 0 && !strcmp(was, name);
}

static bool is_trash(rbd_image_t image, uint64_t id)
{
	rbd_snap_namespace_type_t type;

	return rbd_snap_get_namespace_type(image, id, &type) >= 0 &&
	       type == RBD_SNAP_NAMESPACE_TYPE_TRASH;
}

int rb_snaps_of(rbd_image_t image, rbd_snap_info_t **ret)
{
	int n = 16, r;

	do {
		*ret = calloc((size_t)n, sizeof **ret);
		if (!*ret)
			return -ENOMEM;
		r = rbd_snap_list(image, *ret, &n); /* -ERANGE: n is what it takes */
		if (r < 0)
			free(*ret);
	} while (r == -ERANGE);
	return r;
}

void rb_snaps_end(rbd_snap_info_t *list)
{
	rbd_snap_list_end(list);
	free(list);
}

/* What an interrupted removal has left in the trash namespace. Clones may need it: then it is where it belongs. */
static int empty_trash(struct change *c, const char *name)
{
	rbd_snap_info_t *list;
	int n = rb_snaps_of(c->image, &list), r = 0;

	if (n < 0)
		return n;
	for (int i = 0; i < n && r >= 0; i++) {
		if (!is_trash(c->image, list[i].id) || !was_named(c->image, list[i].id, name))
			continue;
		r = rbd_snap_remove_by_id(c->image, list[i].id);
		if (r == -EBUSY || r == -ENOENT)
			r = 0;
	}
	rb_snaps_end(list);
	return r;
}

static int drop(struct change *c, void *arg)
{
	const char *snap = arg;
	int r = rbd_snap_remove2(c->image, snap, RBD_SNAP_REMOVE_UNPROTECT, NULL, NULL);

	return r == -ENOENT ? empty_trash(c, snap) : r;
}

int rb_snap_remove(void *backend, const struct driver_image *image, const struct driver_snap *snap,
	struct err *err)
{
	struct rb_backend *be = backend;
	struct change c = { .be = be };
	char name[RB_NAME_ROOM];
	struct rb_header h;
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->change, &c.p, err);
	if (r < 0)
		return r;
	rb_image_name(image->uuid, c.name);
	rb_snap_name(snap, name);
	r = change(&c, drop, name);
	/* Is the image gone, or is it another thing that it needs? */
	if (r == -ENOENT && rb_format_find(c.p, c.name, c.id) == -ENOENT)
		r = 0;
	else if (r == -ENOENT && c.id[0] && rb_format_header(c.p, c.id, &h) == -ENOENT)
		r = 0;
	rb_pool_put(c.p);
	if (r == -EBUSY)
		return err_set(err, r,
			"cannot remove snapshot '%s@%s': clones of the old format need it (rbd children; rbd flatten them)",
			c.name, name);
	return r < 0 ? rb_fail(be, err, r, "remove snapshot '%s@%s'", c.name, name) : 0;
}

/* --- progress */

struct meter {
	struct driver_progress *progress;
	uint64_t size; /* bytes */
};

/* librbd counts objects. */
static int on_progress(uint64_t done, uint64_t total, void *arg)
{
	const struct meter *m = arg;

	if (total > 0)
		atomic_store(
			&m->progress->done, (uint64_t)((unsigned __int128)m->size * done / total));
	return 0;
}

static void meter_start(struct meter *m, struct driver_progress *progress, uint64_t size)
{
	*m = (struct meter){ progress, size };
	atomic_store(&progress->done, 0);
	atomic_store(&progress->total, size);
}

/* --- revert */

struct revert {
	const char *snap;
	struct driver_progress *progress;
};

static int read_flags(const struct change *c, uint64_t snap, uint64_t *ret)
{
	struct enc in = { .len = 0 };
	char header[RB_OBJECT_ROOM], out[8];
	struct dec d = { .at = out };
	int r;

	enc_u64(&in, snap);
	r = rados_exec(c->p->io, rb_object(header, "rbd_header.", c->id), "rbd", "get_flags", in.at,
		in.len, out, sizeof out);
	if (r < 0)
		return r;
	d.left = (size_t)r;
	*ret = dec_u64(&d);
	return d.bad ? -EBADMSG : 0;
}

/* Of the image itself. librbd, which has it open, does not hear of it: the map that it has in memory is a good one. */
static int write_flags(const struct change *c, uint64_t flags)
{
	rados_write_op_t op = rados_create_write_op();
	struct enc in = { .len = 0 };
	char header[RB_OBJECT_ROOM];
	struct flight f;

	enc_u64(&in, flags);
	enc_u64(&in, MAP_FLAGS);
	rados_write_op_assert_exists(op);
	rados_write_op_exec(op, "rbd", "set_flags", in.at, in.len, NULL);
	rb_fly(c->be, &f, c->p->io, rb_object(header, "rbd_header.", c->id), op);
	return rb_land(&f);
}

/* Can the maps of image and snapshot be trusted? 1, 0, or -errno. */
static int maps_are_sound(const struct change *c, uint64_t snap)
{
	uint64_t flags, snap_flags;
	int r = read_flags(c, RB_NO_SNAP, &flags);

	if (r >= 0)
		r = read_flags(c, snap, &snap_flags);
	if (r >= 0)
		r = find_map(c, snap);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : !((flags | snap_flags) & MAP_FLAGS);
}

/*
 * librbd (16.2) writes the snapshot's map into the image's before it touches an object, and skips the objects that neither knows.
 * Dead in between, the next one would skip what was written since the snapshot: those objects would stay, unknown to the
 * map, and appear again behind the first write to them. So the map is called invalid for as long as that can happen.
 */
static int roll_back_mapped(struct change *c, const struct revert *v, struct meter *m)
{
	uint64_t id;
	int sound, r = rbd_snap_get_id(c->image, v->snap, &id);

	if (r < 0)
		return r;
	sound = maps_are_sound(c, id);
	r = sound < 0 ? sound : write_flags(c, MAP_FLAGS);
	if (r >= 0)
		r = rbd_snap_rollback_with_progress(c->image, v->snap, on_progress, m);
	if (r < 0)
		return r;
	if (sound)
		return write_flags(c, 0);
	(void)rbd_rebuild_object_map(
		c->image, on_progress, m); /* without it all is slower, no more */
	return 0;
}

static int snap_size(rbd_image_t image, const char *name, uint64_t *ret)
{
	rbd_snap_info_t *list;
	int n = rb_snaps_of(image, &list), r = -ENOENT;

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		if (strcmp(list[i].name, name) || is_trash(image, list[i].id))
			continue;
		*ret = list[i].size;
		r = 0;
	}
	rb_snaps_end(list);
	return r;
}

/* The size first: librbd would do it after our flags, hear of them by it, and then trust no map. */
static int roll_back(struct change *c, void *arg)
{
	const struct revert *v = arg;
	struct meter m;
	uint64_t size, now;
	int r = rb_is_open_beside(c->image);

	if (r >= 0)
		r = snap_size(c->image, v->snap, &size);
	/* To keep it: who comes now does not get it from us half-way. */
	if (r >= 0 && c->features & RBD_FEATURE_EXCLUSIVE_LOCK)
		r = rbd_lock_acquire(c->image, RBD_LOCK_MODE_EXCLUSIVE);
	if (r >= 0)
		r = rbd_get_size(c->image, &now);
	if (r < 0)
		return r == -EROFS ? -EBUSY : r;
	meter_start(&m, v->progress, size);
	if (now != size)
		r = rbd_resize(c->image, size);
	if (r < 0)
		return r;
	return has_map(c) ? roll_back_mapped(c, v, &m)
			  : rbd_snap_rollback_with_progress(c->image, v->snap, on_progress, &m);
}

int rb_revert(void *backend, const struct driver_image *image, const struct driver_snap *snap,
	struct driver_progress *progress, struct err *err)
{
	struct rb_backend *be = backend;
	struct change c = { .be = be };
	char name[RB_NAME_ROOM];
	struct revert v = { name, progress };
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->change, &c.p, err);
	if (r < 0)
		return r;
	rb_image_name(image->uuid, c.name);
	rb_snap_name(snap, name);
	r = change(&c, roll_back, &v);
	rb_pool_put(c.p);
	return r < 0 ? rb_fail(be, err, r, "revert image '%s' to snapshot '%s'", c.name, name) : 0;
}

/* --- flatten */

static int count_snaps(rbd_image_t image)
{
	rbd_snap_info_t *list;
	int n = rb_snaps_of(image, &list);

	if (n >= 0)
		rb_snaps_end(list);
	return n;
}

/* Snapshots of a clone need its source too, but for the feature that flattens them as well. */
static int flatten_opened(struct change *c, void *arg)
{
	rbd_linked_image_spec_t parent;
	rbd_snap_spec_t snap;
	struct meter m;
	uint64_t size;
	int r = rbd_get_parent(c->image, &parent, &snap);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	rbd_linked_image_spec_cleanup(&parent);
	rbd_snap_spec_cleanup(&snap);
	r = c->features & RBD_FEATURE_DEEP_FLATTEN ? 0 : count_snaps(c->image);
	if (r != 0)
		return r < 0 ? r : -ENOTEMPTY;
	r = rbd_get_size(c->image, &size);
	if (r < 0)
		return r;
	meter_start(&m, arg, size);
	r = rbd_flatten_with_progress(c->image, on_progress, &m);
	return r == -EINVAL ? 0 : r; /* somebody else has done it */
}

int rb_flatten(void *backend, const struct driver_image *image, struct driver_progress *progress,
	struct err *err)
{
	struct rb_backend *be = backend;
	struct change c = { .be = be };
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->change, &c.p, err);
	if (r < 0)
		return r;
	rb_image_name(image->uuid, c.name);
	r = change(&c, flatten_opened, progress);
	rb_pool_put(c.p);
	if (r == -ENOTEMPTY)
		return err_set(err, r,
			"cannot flatten image '%s': its snapshots need its source, since it lacks the feature deep-flatten",
			c.name);
	return r < 0 ? rb_fail(be, err, r, "flatten image '%s'", c.name) : 0;
}
