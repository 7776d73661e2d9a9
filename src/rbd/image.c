/*
 * Images by librbd. It does one operation after the other and chooses the image's id itself, so here an image is known by its
 * name alone, and what an interrupted call left has to be looked for: under the name, and in librbd's trash, where its
 * removal moves an image first.
 */
#include "rbd/internal.h"

#include <errno.h>

/* --- creation */

/* Objects as configured: librbd (16.2) would stripe a clone by the size of its parent's, and may not even be able to. */
static int set_clone(const struct rb_backend *be, rbd_image_options_t options)
{
	int r = rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_CLONE_FORMAT, 2);

	if (r >= 0)
		r = rbd_image_options_set_uint64(
			options, RBD_IMAGE_OPTION_STRIPE_UNIT, UINT64_C(1) << be->order);
	return r < 0 ? r : rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_STRIPE_COUNT, 1);
}

static int make_once(
	struct rb_backend *be, struct rb_pool *p, const char *name, const struct driver_create *c)
{
	rbd_image_options_t options;
	char source[RB_NAME_ROOM], snap[RB_NAME_ROOM];
	uint64_t features = rb_features(be, &c->image);
	int r;

	rbd_image_options_create(&options);
	r = rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_FORMAT, 2);
	if (r >= 0)
		r = rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_ORDER, be->order);
	if (r >= 0 && p->data_id >= 0) {
		features |= RBD_FEATURE_DATA_POOL;
		r = rbd_image_options_set_string(
			options, RBD_IMAGE_OPTION_DATA_POOL, be->conf->data_pool);
	}
	if (r >= 0)
		r = rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_FEATURES, features);
	if (r >= 0 && c->source)
		r = set_clone(be, options);
	if (r >= 0)
		r = c->source ? rbd_clone3(p->io, rb_image_name(c->source->image.uuid, source),
					rb_source_snap_name(c, snap), p->io, name, options)
			      : rbd_create4(p->io, name, c->image.size, options);
	rbd_image_options_destroy(options);
	return r;
}

/* An earlier try: had it finished? Nobody has used it yet, so a clone, of which that is not easily told, is made again. */
static bool is_complete(struct rb_pool *p, const char *name, const struct driver_create *c)
{
	char id[RB_NAME_ROOM];

	return !c->source && rb_format_find(p, name, id) >= 0 &&
	       rb_format_complete(p, name, id, c->image.size) >= 0;
}

/* The image alone. */
static int make(struct rb_backend *be, struct rb_pool *p, const char *name, struct driver_create *c)
{
	int r = make_once(be, p, name, c);

	if (r == -EEXIST) {
		if (is_complete(p, name, c))
			return 0;
		r = rb_image_remove(be, p, name, &c->image, NULL, &c->err);
		if (r < 0)
			return r;
		r = make_once(be, p, name, c);
	}
	if (r == -ENOENT && c->source)
		return err_set(
			&c->err, r, "cannot create image '%s': what it is made from is gone", name);
	return r < 0 ? rb_fail(be, &c->err, r, "create image '%s'", name) : 0;
}

static int grow(rbd_image_t image, uint64_t size)
{
	uint64_t now;
	int r = rbd_get_size(image, &now);

	if (r < 0)
		return r;
	if (size < now)
		return -EINVAL;
	return size == now ? 0 : rbd_resize(image, size);
}

/* What it must have besides: also if it was there already, since an earlier try may have stopped just before. */
static int finish(struct rb_change *change, void *arg)
{
	const struct driver_create *c = arg;
	int r = rb_qos_apply(change->image, c);

	return r < 0 || !c->source ? r : grow(change->image, c->image.size);
}

int rb_image_create(struct rb_backend *be, struct rb_pool *p, struct driver_create *c)
{
	struct rb_change change = { .be = be, .p = p };
	const char *name = rb_image_name(c->image.uuid, change.name);
	int r = make(be, p, name, c);

	if (r < 0)
		return r;
	if (c->source || rb_qos_any(c))
		r = rb_change_image(&change, finish, c);
	if (r == -EINVAL && c->source)
		return err_set(&c->err, r,
			"cannot create image '%s': what it is made from is larger", name);
	return r < 0 ? rb_fail(be, &c->err, r, "set size and limits of image '%s'", name) : 0;
}

/* --- removal */

/*
 * Removes from the trash what has this name or this id. rbd_trash_list() hides exactly what we look for, images that an interrupted
 * rbd_remove() has moved there, so the list is the object class's own.
 */
static int search_trash(struct rb_pool *p, const char *name, const char *id, struct rb_meter *meter)
{
	char found[RB_NAME_ROOM];
	int r;

	while ((r = rb_trash_find(p, name, id, found)) >= 0) {
		r = rbd_trash_remove_with_progress(p->io, found, true, rb_meter_tell, meter);
		/* Who moved it is dead: the caller fenced it before it tried again. */
		if (r == -EUCLEAN && rb_trash_finish_move(p, found) >= 0)
			r = rbd_trash_remove_with_progress(
				p->io, found, true, rb_meter_tell, meter);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

/* By librbd, and first the snapshots that go with it. */
static int remove_known(struct rb_backend *be, struct rb_pool *p, const char *name, const char *id,
	struct rb_meter *meter, struct err *why)
{
	struct rb_handle *alone;
	int r = rb_handle_alone(be, p, id, &alone);

	if (r < 0)
		return r;
	r = rb_judge_lock(p, id, why);
	if (r >= 0)
		r = rb_snaps_clear(p, id);
	if (r >= 0 || r == -ENOENT) {
		r = rbd_remove_with_progress(p->io, name, rb_meter_tell, meter);
		if (r == -EMLINK) /* it belongs to a group */
			r = -EBUSY;
	}
	rb_handle_put(be, alone);
	return r;
}

/* librbd counts all objects that there could be. */
int rb_image_remove(struct rb_backend *be, struct rb_pool *p, const char *name,
	const struct driver_image *image, struct driver_progress *progress, struct err *err)
{
	char found[RB_NAME_ROOM];
	struct rb_meter meter = { progress, image->size };
	struct err why = { 0 };
	int known = rb_format_find(p, name, found), r = known;

	if (known >= 0)
		r = remove_known(be, p, name, found, &meter, &why);
	if (r == -ENOENT) {
		r = search_trash(p, name, image->image_id, &meter);
		/* A name that led to an image which could not be opened: what is left of it. */
		if (r >= 0 && known >= 0)
			r = rb_format_remove(be, p, name, found, progress, NULL);
	}
	if (r < 0 && why.text[0])
		return err_set(err, r, "cannot remove image '%s': %s", name, why.text);
	return r < 0 ? rb_fail(be, err, r, "remove image '%s'", name) : 0;
}

/* --- resize, used */

static int grow_opened(struct rb_change *c, void *size)
{
	return grow(c->image, *(const uint64_t *)size);
}

int rb_image_resize(
	struct rb_backend *be, struct rb_pool *p, const char *uuid, uint64_t size, struct err *err)
{
	struct rb_change c = { .be = be, .p = p };
	const char *name = rb_image_name(uuid, c.name);
	int r = rb_change_image(&c, grow_opened, &size);

	if (r == -EINVAL)
		return err_set(err, r, "image '%s' cannot shrink", name);
	return r < 0 ? rb_fail(be, err, r, "resize image '%s'", name) : 0;
}

static int add_extent(uint64_t offset, size_t len, int exists, void *sum)
{
	if (exists)
		*(uint64_t *)sum += len;
	return 0;
}

int rb_image_sum(rbd_image_t image, uint64_t size, uint64_t *ret)
{
	*ret = 0;
	return rbd_diff_iterate2(image, NULL, 0, size, 0, 1, add_extent, ret);
}

int rb_image_used(
	struct rb_backend *be, struct rb_pool *p, const char *name, uint64_t *ret, struct err *err)
{
	rbd_image_t image;
	uint64_t size;
	int r = rbd_open_read_only(p->io, name, &image, NULL);

	if (r < 0)
		return rb_fail(be, err, r, "open image '%s'", name);
	r = rbd_get_size(image, &size);
	if (r >= 0)
		r = rb_image_sum(image, size, ret);
	(void)rbd_close(image);
	return r < 0 ? rb_fail(be, err, r, "measure image '%s'", name) : 0;
}
