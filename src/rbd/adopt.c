/*
 * Images change hands by their name. A rename is three operations of the object class, each of which can be repeated:
 *
 *      rbd_id.<to>     the id                                  set_id
 *      rbd_directory   name_<from> becomes name_<to>           dir_rename_image
 *      rbd_id.<from>   goes, if it holds the id
 *
 * librbd's rename is the same three, but begun anew in the middle it refuses or finds nothing. So what is there is asked for by id. The
 * image's header, its snapshots and data do not know the name.
 */
#include "rbd/internal.h"

#include "rbd/encode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- rename */

/* 0, or -EEXIST: the name leads to another image. */
static int check_free(struct rb_pool *p, const char *id, const char *name)
{
	char found[RB_NAME_ROOM];
	int r = rb_format_find(p, name, found);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return strcmp(found, id) ? -EEXIST : 0;
}

/* The id object of a new name; it may be there, from an earlier try. */
static int give_id(struct rb_backend *be, struct rb_pool *p, const char *id, const char *to)
{
	rados_write_op_t op = rados_create_write_op();
	char object[RB_OBJECT_ROOM];
	struct enc in = { .len = 0 };
	struct flight f;
	int r;

	enc_string(&in, id);
	rados_write_op_create(op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
	rados_write_op_exec(op, "rbd", "set_id", in.at, in.len, NULL);
	rb_fly(be, &f, p->io, rb_object(object, "rbd_id.", to), op);
	r = rb_land(&f);
	return r == -EEXIST ? check_free(p, id, to) : r;
}

static int rename_entry(
	struct rb_backend *be, struct rb_pool *p, const char *id, const char *from, const char *to)
{
	rados_write_op_t op = rados_create_write_op();
	struct enc in = { .len = 0 };
	struct flight f;

	enc_string(&in, from);
	enc_string(&in, to);
	enc_string(&in, id);
	rados_write_op_exec(op, "rbd", "dir_rename_image", in.at, in.len, NULL);
	rb_fly(be, &f, p->io, "rbd_directory", op);
	return rb_land(&f);
}

static int take_id(struct rb_backend *be, struct rb_pool *p, const char *id, const char *from)
{
	rados_write_op_t op = rados_create_write_op();
	char object[RB_OBJECT_ROOM];
	struct enc in = { .len = 0 };
	struct flight f;
	int r;

	enc_string(&in, id);
	rados_write_op_cmpext(op, in.at, in.len, 0, NULL);
	rados_write_op_remove(op);
	rb_fly(be, &f, p->io, rb_object(object, "rbd_id.", from), op);
	r = rb_land(&f);
	return r == -ENOENT || r <= -4095 ? 0 : r; /* gone, or another image's by now */
}

/* The image of that id is called `to` afterwards, whatever it is called now. -EEXIST: another one is. */
static int rename_image(
	struct rb_backend *be, struct rb_pool *p, const char *id, const char *from, const char *to)
{
	char is[NAME_LEN + 1];
	int r;

	if (!strcmp(from, to))
		return 0;
	r = check_free(p, id, to);
	if (r >= 0)
		r = give_id(be, p, id, to);
	if (r >= 0)
		r = rb_format_name_of(p, id, is);
	if (r >= 0 && strcmp(is, to))
		r = rename_entry(be, p, id, is, to);
	return r < 0 ? r : take_id(be, p, id, from);
}

/* --- adopt */

/* The id that one of the names leads to, `to` counting only if the other leads nowhere; -ENOENT. */
static int find_either(struct rb_pool *p, const char *from, const char *to, char id[RB_NAME_ROOM])
{
	int r = rb_format_find(p, from, id);

	return r == -ENOENT ? rb_format_find(p, to, id) : r;
}

static int check(struct rb_backend *be, struct rb_pool *p, const char *id,
	struct driver_image *image, struct err *why)
{
	rbd_image_t handle;
	uint64_t size;
	int r = rbd_open_by_id_read_only(p->io, id, &handle, NULL);

	if (r < 0)
		return r;
	r = rb_judge(be, p, handle, id, why);
	if (r >= 0)
		r = rbd_get_size(handle, &size);
	(void)rbd_close(handle);
	if (r < 0)
		return r;
	if (strlen(id) > IMAGE_ID_LEN)
		return err_set(
			why, -ENAMETOOLONG, "its id '%s' has more than %d bytes", id, IMAGE_ID_LEN);
	(void)snprintf(image->image_id, sizeof image->image_id, "%s", id);
	image->size = size;
	return 0;
}

/* What an image that several hosts write to must not have. */
static int drop_features(struct rb_change *c, void *arg)
{
	uint64_t drop = c->features & RB_ALONE_FEATURES;

	return drop ? rbd_update_features(c->image, drop, 0) : 0;
}

static int share(struct rb_backend *be, struct rb_pool *p, const char *id)
{
	struct rb_change c = { .be = be, .p = p };

	(void)snprintf(c.id, sizeof c.id, "%s", id);
	return rb_change_image(&c, drop_features, NULL);
}

int rb_adopt(void *backend, const char *name, struct driver_image *image, struct err *err)
{
	struct rb_backend *be = backend;
	struct driver_image found = *image;
	char to[RB_NAME_ROOM], id[RB_NAME_ROOM];
	struct err why = { 0 };
	struct rb_pool *p;
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->change, &p, err);
	if (r < 0)
		return r;
	rb_image_name(image->uuid, to);
	r = find_either(p, name, to, id);
	if (r >= 0)
		r = check(be, p, id, &found, &why);
	if (r >= 0 && image->shared)
		r = share(be, p, id);
	if (r >= 0)
		r = rename_image(be, p, id, name, to);
	rb_pool_put(p);
	if (r < 0 && why.text[0])
		return err_set(err, r, "cannot adopt image '%s': %s", name, why.text);
	if (r < 0)
		return rb_fail(be, err, r, "adopt image '%s' as '%s'", name, to);
	*image = found;
	return 0;
}

/* --- adoption of a snapshot */

struct renaming {
	const char *from, *to;
};

static int rename_snap(struct rb_change *c, void *arg)
{
	const struct renaming *n = arg;
	bool there = false;
	int r = strcmp(n->from, n->to) ? rbd_snap_rename(c->image, n->from, n->to) : 0;

	if (r != -ENOENT)
		return r;
	r = rbd_snap_exists(c->image, n->to, &there);
	return r < 0 || there ? r : -ENOENT;
}

int rb_snap_adopt(void *backend, const struct driver_image *image, const char *name,
	const struct driver_snap *snap, struct err *err)
{
	struct rb_backend *be = backend;
	struct rb_change c = { .be = be };
	char to[RB_NAME_ROOM];
	struct renaming n = { name, to };
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->change, &c.p, err);
	if (r < 0)
		return r;
	rb_image_name(image->uuid, c.name);
	rb_snap_name(snap, to);
	r = rb_change_image(&c, rename_snap, &n);
	rb_pool_put(c.p);
	return r < 0 ? rb_fail(be, err, r, "adopt snapshot '%s@%s' as '%s'", c.name, name, to) : 0;
}

/* --- letting go */

/* Characters that librbd's own tools take for separators. */
bool rb_can_be_called(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= NAME_LEN && !strpbrk(name, "/@");
}

int rb_disown(void *backend, const struct driver_image *image, const char *name, struct err *err)
{
	struct rb_backend *be = backend;
	char from[RB_NAME_ROOM], id[RB_NAME_ROOM];
	struct rb_pool *p;
	int r;

	if (!rb_can_be_called(name))
		return err_set(err, -EINVAL, "'%s' cannot be the name of an image", name);
	RB_CALL(be);
	r = rb_pool_get(be, &be->change, &p, err);
	if (r < 0)
		return r;
	rb_image_name(image->uuid, from);
	r = rb_format_find(p, from, id);
	if (r == -ENOENT) { /* an earlier try has come to its end? */
		r = rb_format_find(p, name, id);
		if (r >= 0 && strcmp(id, image->image_id))
			r = -ENOENT;
	}
	if (r >= 0)
		r = rename_image(be, p, id, from, name);
	rb_pool_put(p);
	if (r == -EEXIST)
		return err_set(err, r, "there is an image '%s' in pool '%s'", name, be->conf->pool);
	return r < 0 ? rb_fail(be, err, r, "rename image '%s' to '%s'", from, name) : 0;
}
