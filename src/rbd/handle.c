/*
 * Handles of images that are being changed: one for all threads that change an image at the same time.
 *
 * librbd 16.2 ends the process (AsyncOpTracker, m_pending_ops == 0) if a handle is closed in the moment in which another one of the same
 * image notifies it, as every change does: seen when 64 snapshots of one image were removed at once, each by a handle of its own. So
 * the last who changes an image closes it, and who comes then waits until it is closed.
 */
#include "rbd/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rb_handle {
	struct rb_handle *next;
	struct rb_pool *p; /* referred to by its users */
	char key[RB_NAME_ROOM];
	bool by_id;
	rbd_image_t image; /* constant once open */
	unsigned users;
	bool open; /* false: it is being opened or closed */
};

static struct rb_handle *find_locked(
	struct rb_backend *be, const struct rb_pool *p, const char *key, bool by_id)
{
	struct rb_handle *h = be->handles;

	lock_assert_held(&be->handle_lock);
	while (h && (h->p != p || h->by_id != by_id || strcmp(h->key, key)))
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

/* One that is open, counted; else a new one, which the caller opens. NULL: no memory. */
static struct rb_handle *join(struct rb_backend *be, struct rb_pool *p, const char *key, bool by_id)
{
	struct rb_handle *h;

	LOCK_SCOPE(&be->handle_lock);
	while ((h = find_locked(be, p, key, by_id)) && !h->open)
		lock_wait(&be->handle_lock, &be->handle_changed);
	if (h) {
		h->users++;
		return h;
	}
	h = calloc(1, sizeof *h);
	if (!h)
		return NULL;
	h->p = p;
	h->by_id = by_id;
	(void)snprintf(h->key, sizeof h->key, "%s", key);
	h->next = be->handles;
	be->handles = h;
	return h;
}

int rb_handle_get(struct rb_backend *be, struct rb_pool *p, const char *key, bool by_id,
	struct rb_handle **ret, rbd_image_t *ret_image)
{
	struct rb_handle *h = join(be, p, key, by_id);
	int r = h ? 0 : -ENOMEM;

	if (h && !h->users) {
		r = by_id ? rbd_open_by_id(p->io, key, &h->image, NULL)
			  : rbd_open(p->io, key, &h->image, NULL);
		LOCK_SCOPE(&be->handle_lock);
		if (r < 0) {
			forget_locked(be, h);
		} else {
			h->open = true;
			h->users = 1;
			pthread_cond_broadcast(&be->handle_changed);
		}
	}
	if (r < 0)
		return r;
	*ret = h;
	*ret_image = h->image;
	return 0;
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
	(void)rbd_close(h->image);
	LOCK_SCOPE(&be->handle_lock);
	forget_locked(be, h);
}
