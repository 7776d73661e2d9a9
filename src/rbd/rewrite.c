/*
 * The long changes of an image's contents, by librbd, with their progress.
 *
 * What a crash leaves:
 *   revert    a map that tells of the snapshot's objects, while those written since are still there: the map is called invalid until the
 *             end
 *   flatten   a map that tells of objects which were not copied yet: called invalid too. Or everything is copied, and the source has
 *             forgotten the clone, but not the clone its source
 */
#include "rbd/internal.h"

#include "base/cleanup.h"
#include "rbd/encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NOTIFY_MS = 5000 };

#define MAP_FLAGS (RBD_FLAG_OBJECT_MAP_INVALID | RBD_FLAG_FAST_DIFF_INVALID)

/* --- the flags of the object map */

static int read_flags(const struct rb_change *c, uint64_t snap, uint64_t *ret)
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

/* Of the image itself. Who has it open does not hear of it. */
static int write_flags(const struct rb_change *c, uint64_t flags)
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

/* Everybody who has the image open looks at its header anew, and has done so when this returns, but for those who do not answer. */
static void tell_watchers(const struct rb_change *c)
{
	struct enc in = { .len = 0 };
	char header[RB_OBJECT_ROOM], *reply = NULL;
	size_t len;

	enc_header_updated(&in);
	(void)rados_notify2(c->p->io, rb_object(header, "rbd_header.", c->id), in.at, (int)in.len,
		NOTIFY_MS, &reply, &len);
	rados_buffer_free(reply);
}

/* --- revert */

struct revert {
	const char *snap;
	struct driver_progress *progress;
	struct err why;
};

/* Can the maps of image and snapshot be trusted? 1, 0, or -errno. */
static int maps_are_sound(const struct rb_change *c, uint64_t snap)
{
	uint64_t flags, snap_flags;
	int r = read_flags(c, RB_NO_SNAP, &flags);

	if (r >= 0)
		r = read_flags(c, snap, &snap_flags);
	if (r >= 0)
		r = rb_change_find_map(c, snap);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : !((flags | snap_flags) & MAP_FLAGS);
}

/*
 * librbd (16.2) writes the snapshot's map into the image's before it touches an object, and skips the objects that neither knows.
 * Dead in between, the next one would skip what was written since the snapshot: those objects would stay, unknown to the
 * map, and appear again behind the first write to them. So the map is called invalid for as long as that can happen.
 */
static int roll_back_mapped(
	struct rb_change *c, const struct revert *v, uint64_t id, struct rb_meter *m)
{
	int sound = maps_are_sound(c, id), r;

	r = sound < 0 ? sound : write_flags(c, MAP_FLAGS);
	if (r >= 0)
		r = rbd_snap_rollback_with_progress(c->image, v->snap, rb_meter_tell, m);
	if (r < 0)
		return r;
	if (sound) {
		r = write_flags(c, 0);
		tell_watchers(c);
		return r;
	}
	(void)rbd_rebuild_object_map(
		c->image, rb_meter_tell, m); /* without it all is slower, no more */
	return 0;
}

/* The size first: librbd would do it after our flags, hear of them by it, and then trust no map. */
static int roll_back(struct rb_change *c, void *arg)
{
	struct revert *v = arg;
	struct rb_meter m;
	struct rb_snap snap;
	uint64_t now;
	int r = rb_wait_alone(c->be, c->image);

	if (r >= 0)
		r = rb_judge_lock(c->p, c->id, &v->why);
	if (r >= 0)
		r = rb_snap_find(c->p, c->id, v->snap, &snap);
	/* To keep it: who comes now does not get it from us half-way. */
	if (r >= 0 && c->features & RBD_FEATURE_EXCLUSIVE_LOCK)
		r = rbd_lock_acquire(c->image, RBD_LOCK_MODE_EXCLUSIVE);
	if (r >= 0)
		r = rbd_get_size(c->image, &now);
	if (r < 0)
		return r == -EROFS ? -EBUSY : r;
	rb_meter_start(&m, v->progress, snap.size);
	if (now != snap.size)
		r = rbd_resize(c->image, snap.size);
	if (r < 0)
		return r;
	return c->features & RBD_FEATURE_OBJECT_MAP
		       ? roll_back_mapped(c, v, snap.id, &m)
		       : rbd_snap_rollback_with_progress(c->image, v->snap, rb_meter_tell, &m);
}

int rb_revert(void *backend, const struct driver_image *image, const struct driver_snap *snap,
	struct driver_progress *progress, struct err *err)
{
	struct rb_backend *be = backend;
	struct rb_change c = { .be = be };
	char name[RB_NAME_ROOM];
	struct revert v = { .snap = name, .progress = progress };
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->change, &c.p, err);
	if (r < 0)
		return r;
	rb_image_name(image->uuid, c.name);
	rb_snap_name(snap, name);
	r = rb_change_image(&c, roll_back, &v);
	rb_pool_put(c.p);
	if (r < 0 && v.why.text[0])
		return err_set(err, r, "cannot revert image '%s': %s", c.name, v.why.text);
	return r < 0 ? rb_fail(be, err, r, "revert image '%s' to snapshot '%s'", c.name, name) : 0;
}

/* --- flatten */

struct flatten {
	struct rb_header h;
	struct rb_meter m;
};

/* Snapshots of a clone need its source too, but for the feature that flattens them as well. */
static int flatten_opened(struct rb_change *c, void *arg)
{
	struct flatten *f = arg;
	int r;

	if (!(c->features & RBD_FEATURE_DEEP_FLATTEN)) {
		CLEANUP_FREE struct rb_snap *all = NULL;

		r = rb_snap_list(c->p, c->id, &all);
		if (r != 0)
			return r < 0 ? r : -ENOTEMPTY;
	}
	r = rbd_flatten_with_progress(c->image, rb_meter_tell, &f->m);
	return r == -EINVAL ? 0 : r; /* -EINVAL: somebody else has done it */
}

/* A map that knows of no object. It is called invalid, so nobody believes it; who has it in memory goes on with that. */
static void empty_map(const struct rb_change *c, const struct rb_header *h)
{
	rados_write_op_t op = rados_create_write_op();
	struct enc in = { .len = 0 };
	char object[RB_OBJECT_ROOM];
	struct flight f;

	enc_u64(&in, rb_object_count(h->size, h->order));
	enc_u8(&in, 0);
	rados_write_op_assert_exists(op);
	rados_write_op_truncate(op, 0);
	rados_write_op_exec(op, "rbd", "object_map_resize", in.at, in.len, NULL);
	rb_fly(c->be, &f, c->p->io, rb_object(object, "rbd_object_map.", c->id), op);
	(void)rb_land(&f); /* as it was: it tells of too many objects, no more */
}

static int rebuild_map(struct rb_change *c, void *arg)
{
	struct flatten *f = arg;

	return rbd_rebuild_object_map(c->image, rb_meter_tell, &f->m);
}

/*
 * librbd (16.2) skips objects that the map knows. But a writer enters an object into the map first and copies it from the source after
 * that; where it died in between, the object would be lost with the source. So librbd is told not to trust the map; and should it
 * die itself, the next one is told so, too.
 *
 * It enters all objects, those too of which the source has nothing and which are not made. To make the map anew does not help alone: what
 * an old one knows may just be about to be written, and stays. So that begins with none.
 */
static int flatten_mapped(struct rb_change *c, struct flatten *f)
{
	int r = write_flags(c, MAP_FLAGS);

	if (r < 0)
		return r;
	tell_watchers(c);
	r = rb_change_image(c, flatten_opened, f);
	if (r < 0) {
		(void)write_flags(c, f->h.flags);
		tell_watchers(c);
		return r;
	}
	empty_map(c, &f->h);
	(void)rb_change_image(c, rebuild_map, f); /* without it all is slower, no more */
	return 0;
}

/* Is the snapshot that a clone is made of gone? 0, -EEXIST, or another -errno. */
static int parent_is_gone(struct rb_pool *p, const struct rb_parent *parent)
{
	struct rb_pool there = *p; /* but for another I/O context; it stays here */
	struct rb_snap snap;
	int r;

	if (strlen(parent->space) + 1 == sizeof parent->space ||
		strlen(parent->id) + 1 == sizeof parent->id)
		return -EEXIST; /* perhaps cut */
	r = rados_ioctx_create2(p->cluster, parent->pool, &there.io);
	if (r < 0)
		return r;
	rados_ioctx_set_namespace(there.io, parent->space);
	r = rb_snap_get(&there, parent->id, parent->snap, &snap);
	rados_ioctx_destroy(there.io);
	return r == -ENOENT ? 0 : r < 0 ? r : -EEXIST;
}

/*
 * librbd (16.2) takes a flattened clone off its source, with the source's snapshot if that is in the trash, before it takes the source
 * from the clone. Dead in between, it leaves an image that nobody can open, since what it is a clone of is not there. A snapshot never goes
 * while it has clones; so this one had none any more, and its last has all its data. -ENOENT: that is not why it cannot be opened.
 */
static int finish_flatten(struct rb_change *c, const struct rb_header *h)
{
	rados_write_op_t op;
	char header[RB_OBJECT_ROOM];
	struct flight f;
	int r = parent_is_gone(c->p, &h->parent);

	if (r < 0)
		return r == -EEXIST ? -ENOENT : r;
	op = rados_create_write_op();
	rados_write_op_assert_exists(op);
	rados_write_op_exec(op, "rbd", "parent_detach", NULL, 0, NULL);
	rb_fly(c->be, &f, c->p->io, rb_object(header, "rbd_header.", c->id), op);
	return rb_land(&f);
}

static int flatten_image(struct rb_change *c, struct driver_progress *progress)
{
	struct flatten f = { 0 };
	int r = rb_format_find(c->p, c->name, c->id);

	if (r >= 0)
		r = rb_format_header(c->p, c->id, &f.h);
	if (r < 0 || f.h.parent.pool < 0)
		return r;
	rb_meter_start(&f.m, progress, f.h.size);
	r = f.h.features & RBD_FEATURE_OBJECT_MAP ? flatten_mapped(c, &f)
						  : rb_change_image(c, flatten_opened, &f);
	return r == -ENOENT ? finish_flatten(c, &f.h) : r;
}

int rb_flatten(void *backend, const struct driver_image *image, struct driver_progress *progress,
	struct err *err)
{
	struct rb_backend *be = backend;
	struct rb_change c = { .be = be };
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->change, &c.p, err);
	if (r < 0)
		return r;
	rb_image_name(image->uuid, c.name);
	r = flatten_image(&c, progress);
	rb_pool_put(c.p);
	if (r == -ENOTEMPTY)
		return err_set(err, r,
			"cannot flatten image '%s': its snapshots need its source, since it lacks the feature deep-flatten",
			c.name);
	return r < 0 ? rb_fail(be, err, r, "flatten image '%s'", c.name) : 0;
}
