/*
 * Who else has an image open. Whoever opens one for writing watches its header, until the client dies or is fenced.
 *
 *   watchers   librbd's list, over the connection with time-outs: who, for people to read
 *   busy       does anybody at all? One notification, "header updated", over the connection that changes things: every watcher
 *              acknowledges it. Nothing blocks; the steps follow each other in librados' thread:
 *
 *       header of the id we chose ── none ──▶ id object of the name ──▶ header of librbd's id ── none ──▶ nobody
 *
 *   evict      fences the client, and breaks the lock that it may hold
 *
 * Our own connections are not somebody.
 */
#include "rbd/internal.h"

#include "base/clock.h"
#include "rbd/encode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	NOTIFY_MS = 5000, /* who has not acknowledged by then is there, but slow */
	LIST_MAX = 64,
	ALONE_MS = 30000,
	ALONE_STEP_US = 20000,
};

/* --- ourselves */

/* Refers to the link's pool if that is at hand without waiting; NULL. */
static struct rb_pool *pool_at_hand(struct rb_link *l)
{
	struct rb_pool *p;

	LOCK_SCOPE(&l->lock);
	p = l->state == RB_LINK_UP ? l->pool : NULL;
	if (p)
		atomic_fetch_add(&p->refs, 1);
	return p;
}

static bool is_of(struct rb_link *l, uint64_t client)
{
	rados_t cluster;

	lock_take(&l->lock);
	cluster = l->state == RB_LINK_UP ? l->cluster : NULL;
	lock_drop(&l->lock);
	return cluster && rados_get_instance_id(cluster) == client;
}

bool rb_is_own(struct rb_backend *be, uint64_t client)
{
	return is_of(&be->change, client) || is_of(&be->look, client);
}

/* --- busy */

struct busy {
	struct rb_backend *be;
	struct rb_pool *p;
	driver_done *done;
	void *arg;
	char name[RB_NAME_ROOM], header[RB_OBJECT_ROOM];
	char raw[4 + RB_NAME_ROOM]; /* the id object */
	bool by_name;		    /* its id was asked for */
	char *reply;
	size_t reply_len;
};

static void busy_end(struct busy *b, int code)
{
	struct rb_backend *be = b->be;

	rados_buffer_free(b->reply);
	rb_pool_put(b->p);
	b->done(b->arg, code);
	free(b);
	atomic_fetch_sub(&be->calls, 1);
}

int rb_others(const char *reply, size_t len,
	bool (*is_ours)(const void *arg, uint64_t client, uint64_t watch, bool late),
	const void *arg)
{
	struct dec d = { reply, len, false };
	bool found = false;

	for (int late = 0; late < 2; late++) {
		for (uint32_t n = dec_u32(&d); n > 0 && !d.bad; n--) {
			uint64_t client = dec_u64(&d), watch = dec_u64(&d);

			if (!late)
				dec_raw(&d, NULL, dec_u32(&d));
			found = found || (!d.bad && !is_ours(arg, client, watch, late));
		}
	}
	return found ? 1 : d.bad ? -EBADMSG : 0;
}

static bool is_own_client(const void *arg, uint64_t client, uint64_t watch, bool late)
{
	const struct busy *b = arg;

	return rb_is_own(b->be, client);
}

static int others(const struct busy *b)
{
	int r = rb_others(b->reply, b->reply_len, is_own_client, b);

	return r > 0 ? -EBUSY : r;
}

static int landed(rados_completion_t c)
{
	int r = rados_aio_get_return_value(c);

	rados_aio_release(c);
	return r;
}

static void send_notify(struct busy *b);

static void id_read(rados_completion_t c, void *arg)
{
	struct busy *b = arg;
	char id[RB_NAME_ROOM];
	int r = landed(c);
	struct dec d = { b->raw, r < 0 ? 0 : (size_t)r, false };

	dec_string(&d, id, sizeof id);
	if (r < 0 || d.bad) {
		busy_end(b, r == -ENOENT ? 0 : r < 0 ? r : -EBADMSG);
		return;
	}
	rb_object(b->header, "rbd_header.", id);
	send_notify(b);
}

static void send_read(struct busy *b)
{
	char object[RB_OBJECT_ROOM];
	rados_completion_t c;
	int r = rados_aio_create_completion2(b, id_read, &c);

	if (r < 0) {
		busy_end(b, r);
		return;
	}
	b->by_name = true;
	r = rados_aio_read(
		b->p->io, rb_object(object, "rbd_id.", b->name), c, b->raw, sizeof b->raw, 0);
	if (r < 0) {
		rados_aio_release(c);
		busy_end(b, r);
	}
}

static void notified(rados_completion_t c, void *arg)
{
	struct busy *b = arg;
	int r = landed(c);

	if (r == -ENOENT && !b->by_name)
		send_read(b);
	else if (r == -ENOENT)
		busy_end(b, 0);
	else if (r < 0 && r != -ETIMEDOUT)
		busy_end(b, r);
	else
		busy_end(b, others(b));
}

static void send_notify(struct busy *b)
{
	struct enc in = { .len = 0 };
	rados_completion_t c;
	int r = rados_aio_create_completion2(b, notified, &c);

	if (r < 0) {
		busy_end(b, r);
		return;
	}
	enc_header_updated(&in);
	r = rados_aio_notify(
		b->p->io, b->header, c, in.at, (int)in.len, NOTIFY_MS, &b->reply, &b->reply_len);
	if (r < 0) {
		rados_aio_release(c);
		busy_end(b, r);
	}
}

void rb_busy(void *backend, const struct driver_image *image, driver_done *done, void *arg)
{
	struct rb_backend *be = backend;
	struct rb_pool *p = pool_at_hand(&be->change);
	struct busy *b = p ? calloc(1, sizeof *b) : NULL;

	if (!b) {
		if (p)
			rb_pool_put(p);
		done(arg, p ? -ENOMEM : -ENOTCONN);
		return;
	}
	atomic_fetch_add(&be->calls, 1);
	*b = (struct busy){ .be = be, .p = p, .done = done, .arg = arg };
	rb_image_name(image->uuid, b->name);
	rb_object(b->header, "rbd_header.", image->image_id);
	send_notify(b);
}

/* --- watchers */

static size_t take(struct rb_backend *be, const rbd_image_watcher_t *list, size_t n,
	struct driver_watcher *ret, size_t room)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		if (rb_is_own(be, (uint64_t)list[i].id))
			continue;
		if (count < room) {
			(void)snprintf(
				ret[count].address, sizeof ret[count].address, "%s", list[i].addr);
		}
		count++;
	}
	return count;
}

int rb_watchers_of(
	struct rb_backend *be, rbd_image_t image, struct driver_watcher *ret, size_t room)
{
	rbd_image_watcher_t found[LIST_MAX];
	size_t n = LIST_MAX;
	int r = rbd_watchers_list(image, found, &n);

	if (r < 0)
		return r;
	r = (int)take(be, found, n, ret, room);
	rbd_watchers_list_cleanup(found, n);
	return r;
}

static int list(struct rb_backend *be, struct rb_pool *p, const char *name,
	struct driver_watcher *ret, size_t room)
{
	rbd_image_t image;
	int r = rbd_open_read_only(p->io, name, &image, NULL); /* such a one does not watch */

	if (r < 0)
		return r;
	r = rb_watchers_of(be, image, ret, room);
	(void)rbd_close(image);
	return r;
}

/* Who has it open besides the caller: 0, 1 (we ourselves), -EBUSY (a program outside), or another -errno. */
static int look_beside(struct rb_backend *be, rbd_image_t image)
{
	rbd_image_watcher_t found[LIST_MAX];
	size_t n = LIST_MAX;
	int r = rbd_watchers_list(image, found, &n);

	if (r < 0)
		return r == -ERANGE ? -EBUSY : r;
	r = n > 1;
	for (size_t i = 0; i < n; i++)
		if (!rb_is_own(be, (uint64_t)found[i].id))
			r = -EBUSY;
	rbd_watchers_list_cleanup(found, n);
	return r;
}

int rb_wait_alone(struct rb_backend *be, rbd_image_t image)
{
	int64_t until = clock_mono_ns() + ALONE_MS * INT64_C(1000000);
	int r;

	while ((r = look_beside(be, image)) > 0 && clock_mono_ns() < until)
		usleep(ALONE_STEP_US);
	return r > 0 ? -EBUSY : r;
}

int rb_watchers(void *backend, const struct driver_image *image, struct driver_watcher *ret,
	size_t n, struct err *err)
{
	struct rb_backend *be = backend;
	char name[RB_NAME_ROOM];
	struct rb_pool *p;
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->look, &p, err);
	if (r < 0)
		return r;
	r = list(be, p, rb_image_name(image->uuid, name), ret, n);
	rb_pool_put(p);
	return r < 0 ? rb_fail(be, err, r, "list the watchers of image '%s'", name) : r;
}

/* --- lock */

int rb_locker_of(struct rb_pool *p, const char *header, struct rb_locker *ret)
{
	size_t tag = sizeof ret->tag, client = sizeof ret->client, cookie = sizeof ret->cookie,
	       address = sizeof ret->address;
	int exclusive;
	ssize_t n = rados_list_lockers(p->io, header, RB_LOCK_NAME, &exclusive, ret->tag, &tag,
		ret->client, &client, ret->cookie, &cookie, ret->address, &address);

	return n == -ENOENT ? 0 : n < 0 ? (int)n : n > 0;
}

bool rb_is_writer(const struct rb_locker *l)
{
	return !strcmp(l->tag, RB_LOCK_TAG) && !strncmp(l->cookie, "auto ", 5);
}

/* --- evict */

/* The lock is held by the client at this address, which is fenced: nobody need wait until that is found out. */
static int break_lock(struct rb_pool *p, const char *id, const char *of)
{
	char header[RB_OBJECT_ROOM];
	struct rb_locker l;
	int r = rb_locker_of(p, rb_object(header, "rbd_header.", id), &l);

	if (r > 0 && !strcmp(l.tag, RB_LOCK_TAG) && !strcmp(l.address, of))
		r = rados_break_lock(p->io, header, RB_LOCK_NAME, l.client, l.cookie);
	return r == -ENOENT || r > 0 ? 0 : r;
}

int rb_evict(void *backend, const struct driver_image *image, const struct driver_watcher *who,
	struct err *err)
{
	struct rb_backend *be = backend;
	char name[RB_NAME_ROOM], id[RB_NAME_ROOM];
	struct rb_pool *p;
	rados_t change;
	int r;

	RB_CALL(be);
	rb_image_name(image->uuid, name);
	r = rb_link_connect(be, &be->change, &change, err);
	r = r < 0 ? r : rb_pool_get(be, &be->look, &p, err);
	if (r < 0)
		return r;
	r = rb_fence_one(be, change, who->address);
	if (r >= 0)
		r = rb_format_find(p, name, id);
	if (r >= 0)
		r = break_lock(p, id, who->address);
	rb_pool_put(p);
	return r < 0 && r != -ENOENT
		       ? rb_fail(be, err, r, "evict '%s' from image '%s'", who->address, name)
		       : 0;
}
