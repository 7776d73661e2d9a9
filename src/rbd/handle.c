/*
 * Images that this process changes: one handle for all threads that change an image at the same time, and none while one removes it.
 *
 * librbd 16.2 ends the process (AsyncOpTracker, m_pending_ops == 0) if a handle is closed in the moment in which another one of the same
 * image notifies it, as every change does: seen when 64 snapshots of one image were removed at once, each by a handle of its own. So
 * the last who changes an image closes it, and who comes then waits until it is closed.
 *
 * To a removal whoever has the image open is somebody who needs it. So it waits for our own handle to be closed, and whoever wants
 * one then for its end.
 */
#include "rbd/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rb_handle {
	struct rb_handle *next;
	int64_t pool;
	char id[RB_NAME_ROOM];
	rbd_image_t image; /* constant once open; NULL: of a removal */
	unsigned users;
	bool open; /* false: it is being opened or closed, or the image removed */
};

static struct rb_handle *find_locked(struct rb_backend *be, const struct rb_pool *p, const char *id)
{
	struct rb_handle *h = be->handles;

	lock_assert_held(&be->handle_lock);
	while (h && (h->pool != p->id || strcmp(h->id, id)))
		h = h->next;
	return h;
}

static void forget_locked(struct rb_backend *be, struct rb_handle *h)
{
	struct rb_handle **at = &be->handles;

	lock_assert_held(&be->handle_lock);
	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	pthread_cond_broadcast(&be->handle_changed);
	free(h);
}

/* One that is open, unless the caller must be alone; else a new one, which is not. Counted. NULL: no memory. */
static struct rb_handle *join(
	struct rb_backend *be, const struct rb_pool *p, const char *id, bool alone)
{
	struct rb_handle *h;

	LOCK_SCOPE(&be->handle_lock);
	while ((h = find_locked(be, p, id)) && (alone || !h->open))
		lock_wait(&be->handle_lock, &be->handle_changed);
	if (h) {
		h->users++;
		return h;
	}
	h = calloc(1, sizeof *h);
	if (!h)
		return NULL;
	h->pool = p->id;
	h->users = 1;
	(void)snprintf(h->id, sizeof h->id, "%s", id);
	h->next = be->handles;
	be->handles = h;
	return h;
}

int rb_handle_get(struct rb_backend *be, struct rb_pool *p, const char *id, struct rb_handle **ret,
	rbd_image_t *ret_image)
{
	struct rb_handle *h = join(be, p, id, false);
	int r = h ? 0 : -ENOMEM;

	if (h && !h->image) {
		rbd_image_t image;

		r = rbd_open_by_id(p->io, id, &image, NULL);
		LOCK_SCOPE(&be->handle_lock);
		if (r < 0) {
			forget_locked(be, h);
		} else {
			h->image = image;
			h->open = true;
			pthread_cond_broadcast(&be->handle_changed);
		}
	}
	if (r < 0)
		return r;
	*ret = h;
	*ret_image = h->image;
	return 0;
}

int rb_handle_alone(
	struct rb_backend *be, struct rb_pool *p, const char *id, struct rb_handle **ret)
{
	*ret = join(be, p, id, true);
	return *ret ? 0 : -ENOMEM;
}

void rb_handle_put(struct rb_backend *be, struct rb_handle *h)
{
	bool last;

	lock_take(&be->handle_lock);
	last = --h->users == 0;
	h->open = !last;
	lock_drop(&be->handle_lock);
	if (!last)
		return;
	if (h->image)
		(void)rbd_close(h->image);
	LOCK_SCOPE(&be->handle_lock);
	forget_locked(be, h);
}
