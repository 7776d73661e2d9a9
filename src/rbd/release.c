/*
 * Snapshots that go with something else: with their image the temporary ones and those in the trash that nobody needs any more, and
 * with its last clone a parent's snapshot in the trash. What of these a crash leaves goes with the image at last. Snapshots are
 * removed by librbd: the monitors must be told, and the object maps of later ones change by it.
 */
#include "rbd/internal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_temporary(const struct rb_snap *s)
{
	char uuid[UUID_LEN + 1];

	return s->space == RB_SNAP_USER &&
	       text_uuid_within(s->name, "volume-", ".clone_snap", uuid);
}

/* -ENOENT: the image is gone. */
static int remove_all(struct rb_pool *p, const char *id, const struct rb_snap *snap, int n)
{
	rbd_image_t image;
	int r = rbd_open_by_id(p->io, id, &image, NULL);

	if (r < 0)
		return r;
	for (int i = 0; i < n && r >= 0; i++) {
		r = rbd_snap_remove_by_id(image, snap[i].id);
		if (r == -ENOENT)
			r = 0;
	}
	(void)rbd_close(image);
	return r;
}

int rb_snaps_clear(struct rb_pool *p, const char *id)
{
	CLEANUP_FREE struct rb_snap *all = NULL;
	int n = rb_snap_list(p, id, &all), r = 0;

	for (int i = 0; i < n; i++) {
		if (all[i].space != RB_SNAP_TRASH && !is_temporary(&all[i]))
			r = -ENOTEMPTY;
		else if (all[i].children && r == 0)
			r = -EMLINK;
	}
	if (n < 0)
		r = n;
	if (n > 0 && r == 0) {
		r = remove_all(p, id, all, n);
		if (r == -EBUSY) /* it was cloned, or its clone came back, just now */
			r = -EMLINK;
	}
	return r;
}

/* The image is opened by its id: its name need not be ours. */
static int remove_one(struct rb_backend *be, struct rb_pool *p, const char *id, uint64_t snap)
{
	struct rb_handle *h;
	rbd_image_t image;
	int r = rb_handle_get(be, p, id, &h, &image);

	if (r < 0)
		return r;
	r = rbd_snap_remove_by_id(image, snap);
	rb_handle_put(be, h);
	return r;
}

void rb_parent_release(struct rb_backend *be, struct rb_pool *p, const struct rb_parent *parent,
	int r, const struct rb_snap *snap)
{
	if (r >= 0 && (snap->space != RB_SNAP_TRASH || snap->children))
		return;
	if (r >= 0)
		r = remove_one(be, p, parent->id, snap->id);
	if (r < 0 && r != -ENOENT)
		log_notice(
			"backend %s: snapshot '%s' of the image of id '%s', which lost its last clone, stays until that image goes: %s",
			be->conf->name, snap->name, parent->id, strerror(-r));
}
