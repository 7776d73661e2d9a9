/*
 * Snapshots that go with something else: with their image the temporary ones and those in the trash that nobody needs any more, and
 * with its last clone a parent's snapshot in the trash. What of these a crash leaves goes with the image at last. Snapshots are
 * removed by librbd: the monitors must be told, and the object maps of later ones change by it.
 */
#include "rbd/internal.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- holds */

static bool must_wait_locked(struct rb_backend *be, const struct rb_hold *h)
{
	lock_assert_held(&be->hold_lock);
	for (const struct rb_hold *o = be->holds; o; o = o->next)
		if (!strcmp(o->id, h->id) && (o->removal || h->removal))
			return true;
	return false;
}

void rb_hold(struct rb_backend *be, struct rb_hold *h, const char *id, bool removal)
{
	LOCK_SCOPE(&be->hold_lock);
	*h = (struct rb_hold){ .id = id, .removal = removal };
	while (must_wait_locked(be, h))
		lock_wait(&be->hold_lock, &be->hold_free);
	h->next = be->holds;
	be->holds = h;
}

void rb_unhold(struct rb_backend *be, struct rb_hold *h)
{
	struct rb_hold **at;

	LOCK_SCOPE(&be->hold_lock);
	for (at = &be->holds; *at != h; at = &(*at)->next)
		;
	*at = h->next;
	pthread_cond_broadcast(&be->hold_free);
}

/* --- removal of snapshots */

/* Opened by its id: its name need not be ours. -ENOENT: the image or all of them are gone. */
static int remove_snaps(struct rb_backend *be, struct rb_pool *p, const char *image_id,
	const struct rb_snap *snap, int n)
{
	struct rb_handle *h;
	rbd_image_t image;
	int r = rb_handle_get(be, p, image_id, true, &h, &image);

	if (r < 0)
		return r;
	for (int i = 0; i < n && r >= 0; i++) {
		r = rbd_snap_remove_by_id(image, snap[i].id);
		if (r == -ENOENT)
			r = 0;
	}
	rb_handle_put(be, h);
	return r;
}

static bool is_temporary(const struct rb_snap *s)
{
	static const char suffix[] = ".clone_snap";
	size_t n = strlen(s->name), m = sizeof suffix - 1;

	return s->space == RB_SNAP_USER && !strncmp(s->name, "volume-", 7) &&
	       n == 7 + UUID_LEN + m && !strcmp(s->name + n - m, suffix);
}

int rb_snaps_clear(struct rb_backend *be, struct rb_pool *p, const char *id)
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
		r = remove_snaps(be, p, id, all, n);
		if (r == -EBUSY) /* it was cloned, or its clone came back, just now */
			r = -EMLINK;
	}
	return r;
}

void rb_parent_release(struct rb_backend *be, struct rb_pool *p, const struct rb_parent *parent,
	int r, const struct rb_snap *snap)
{
	struct rb_hold hold;

	if (r >= 0 && (snap->space != RB_SNAP_TRASH || snap->children))
		return;
	if (r >= 0) {
		rb_hold(be, &hold, parent->id, false);
		r = remove_snaps(be, p, parent->id, snap, 1);
		rb_unhold(be, &hold);
	}
	if (r < 0 && r != -ENOENT)
		log_notice(
			"backend %s: snapshot '%s' of the image of id '%s', which lost its last clone, stays until that image goes: %s",
			be->conf->name, snap->name, parent->id, strerror(-r));
}
