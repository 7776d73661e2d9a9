/*
 * Snapshots by librbd, over the connection without time-outs.
 *
 * An image that this process has open for writing is opened once more: librbd sees that another handle holds the lock and asks that one
 * to do it, as it asks a client elsewhere; the owner holds back writes from the moment of the snapshot on.
 *
 * What a crash leaves:
 *   snap_create   the snapshot without its object map: made anew, since nobody has been told of it
 *   snap_remove   the snapshot in the trash namespace (a kind that users do not see), where librbd moves it first; also there to stay
 *                 while clones need it. Looked for by its former name
 */
#include "rbd/internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int rb_change_image(struct rb_change *c, int (*run)(struct rb_change *c, void *arg), void *arg)
{
	struct rb_handle *h;
	int r = c->id[0] ? 0 : rb_format_find(c->p, c->name, c->id);

	if (r >= 0)
		r = rb_handle_get(c->be, c->p, c->id, &h, &c->image);
	if (r < 0)
		return r;
	r = rbd_get_features(c->image, &c->features);
	if (r >= 0)
		r = run(c, arg);
	rb_handle_put(c->be, h);
	return r;
}

/* --- object maps of snapshots */

int rb_change_find_map(const struct rb_change *c, uint64_t snap)
{
	char object[RB_OBJECT_ROOM];

	(void)snprintf(object, sizeof object, "rbd_object_map.%s.%016" PRIx64, c->id, snap);
	return rados_stat(c->p->io, object, NULL, NULL);
}

/* --- create */

/* Nobody is asked to bring what he holds in memory to rest: a client that hangs would keep us for as long as it has a watch. */
static int create_once(rbd_image_t image, const char *snap)
{
	return rbd_snap_create2(image, snap, RBD_SNAP_CREATE_SKIP_QUIESCE, NULL, NULL);
}

static int take(struct rb_change *c, void *arg)
{
	const char *snap = arg;
	uint64_t id;
	int r = create_once(c->image, snap);

	if (r != -EEXIST || !(c->features & RBD_FEATURE_OBJECT_MAP))
		return r == -EEXIST ? 0 : r;
	r = rbd_snap_get_id(c->image, snap, &id);
	if (r >= 0)
		r = rb_change_find_map(c, id);
	if (r != -ENOENT)
		return r;
	r = rbd_snap_remove(c->image, snap);
	return r < 0 ? r : create_once(c->image, snap);
}

/* Of no length that could be told: librbd only writes the object map's copy. */
int rb_snap_create(void *backend, const struct driver_image *image, const struct driver_snap *snap,
	struct driver_progress *progress, struct err *err)
{
	struct rb_backend *be = backend;
	struct rb_change c = { .be = be };
	char name[RB_NAME_ROOM];
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->change, &c.p, err);
	if (r < 0)
		return r;
	rb_image_name(image->uuid, c.name);
	rb_snap_name(snap, name);
	r = rb_change_image(&c, take, name);
	rb_pool_put(c.p);
	return r < 0 ? rb_fail(be, err, r, "take snapshot '%s@%s'", c.name, name) : 0;
}

/* --- remove */

struct dropping {
	const char *name;
	struct rb_snap *all;
	int n;
};

/* In the trash namespace it is where it belongs as long as clones need it. */
static bool is_dropped(const struct dropping *d, const struct rb_snap *s)
{
	if (strcmp(s->name, d->name))
		return false;
	return s->space == RB_SNAP_USER || (s->space == RB_SNAP_TRASH && !s->children);
}

static int drop_one(rbd_image_t image, const struct rb_snap *s)
{
	int r;

	if (s->space == RB_SNAP_USER)
		return rbd_snap_remove2(image, s->name, RBD_SNAP_REMOVE_UNPROTECT, NULL, NULL);
	r = rbd_snap_remove_by_id(image, s->id);
	return r == -EBUSY ? 0 : r; /* its clone came back just now: that one removes it */
}

static int drop(struct rb_change *c, void *arg)
{
	const struct dropping *d = arg;
	int r = 0;

	for (int i = 0; i < d->n && r >= 0; i++) {
		if (is_dropped(d, &d->all[i]))
			r = drop_one(c->image, &d->all[i]);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

/* Without anything to remove the image is not even opened. */
static int drop_found(struct rb_change *c, const char *name)
{
	CLEANUP_FREE struct rb_snap *all = NULL;
	struct dropping d = { .name = name };
	bool any = false;

	d.n = rb_snap_list(c->p, c->id, &all);
	d.all = all;
	for (int i = 0; i < d.n; i++)
		any = any || is_dropped(&d, &all[i]);
	if (!any)
		return d.n < 0 ? d.n : 0;
	return rb_change_image(c, drop, &d);
}

int rb_snap_remove(void *backend, const struct driver_image *image, const struct driver_snap *snap,
	struct err *err)
{
	struct rb_backend *be = backend;
	struct rb_change c = { .be = be };
	char name[RB_NAME_ROOM];
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->change, &c.p, err);
	if (r < 0)
		return r;
	rb_image_name(image->uuid, c.name);
	rb_snap_name(snap, name);
	r = rb_format_find(c.p, c.name, c.id);
	if (r >= 0)
		r = drop_found(&c, name);
	rb_pool_put(c.p);
	if (r == -ENOENT) /* the image is gone, or goes */
		return 0;
	if (r == -EBUSY)
		return err_set(err, r,
			"cannot remove snapshot '%s@%s': clones of the old format need it (rbd children shows them, rbd flatten frees it)",
			c.name, name);
	return r < 0 ? rb_fail(be, err, r, "remove snapshot '%s@%s'", c.name, name) : 0;
}
