/*
 * An image's life. It is wanted, so it is opened once its backend is ready; nobody has it any more, so it is closed after a while.
 * While somebody has it, it stays open: its watch tells everybody else that it is in use.
 */
#include "data/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
	IDLE_S = 30,
	TICK_MS = 1000,
	STOP_TICK_MS = 5,
	LEAVE_MS = 100, /* a thread has told its answer before it is done with its task */
};

#define OF(member, p) ((struct data_image *)((char *)(p)-offsetof(struct data_image, member)))

const char *image_uuid(const struct data_image *i)
{
	return i->key.snapshot ? i->snap.uuid : i->at.image.uuid;
}

static const char *what(const struct data_image *i)
{
	return i->key.snapshot ? "snapshot" : "volume";
}

/* --- opening */

static void opened(void *arg, int code)
{
	struct data_image *i = arg;

	if (code == -ESHUTDOWN)
		engine_fenced(i->d->engine, i->at.be);
	LOCK_SCOPE(&i->lock);
	i->under_way++; /* not to be freed while the lock is given up */
	if (code < 0) {
		log_warning("%s %s: its image cannot be opened: %s", what(i), image_uuid(i),
			strerror(-code));
		i->handle = NULL;
		i->state = IMAGE_CLOSED;
		/* What is kept is tried again, unless it has no place any more. */
		io_fail_locked(i, code, code == -ENOENT);
	} else {
		i->state = IMAGE_OPEN;
		io_send_locked(i);
	}
	i->under_way--;
	pthread_cond_broadcast(&i->changed);
}

static void open_now(struct slow_task *t)
{
	struct data_image *i = OF(open_task, t);

	i->at.driver->data_open(i->at.be, &i->at.image, i->key.snapshot ? &i->snap : NULL,
		!i->key.snapshot, &i->handle, opened, i);
}

static void begin_opening(struct data_image *i)
{
	i->open_task.run = open_now;
	slow_run(i->d->slow, i->at.be, &i->open_task);
}

static void became_ready(struct engine_ready *r)
{
	struct data_image *i = OF(ready, r);

	lock_take(&i->lock);
	i->state = IMAGE_OPENING;
	lock_drop(&i->lock);
	begin_opening(i);
}

void image_want_locked(struct data_image *i)
{
	lock_assert_held(&i->lock);
	if (i->state != IMAGE_CLOSED)
		return;
	i->state = IMAGE_WAITS;
	i->ready.ready = became_ready;
	lock_drop(&i->lock);
	if (engine_when_ready(i->d->engine, i->at.be, &i->ready))
		became_ready(&i->ready);
	lock_take(&i->lock);
}

/* --- closing */

static void closed(void *arg, int code)
{
	struct data_image *i = arg;

	if (code < 0)
		log_warning(
			"%s %s: closing its image: %s", what(i), image_uuid(i), strerror(-code));
	LOCK_SCOPE(&i->lock);
	i->state = IMAGE_CLOSED;
	i->handle = NULL;
	if (i->waiting)
		image_want_locked(i);
	pthread_cond_broadcast(&i->changed);
}

/* Begins to close it if nothing is under way; gives the lock up meanwhile. */
static void close_quiet_locked(struct data_image *i)
{
	lock_assert_held(&i->lock);
	if (i->state != IMAGE_OPEN || !io_quiet_locked(i))
		return;
	i->state = IMAGE_CLOSING;
	lock_drop(&i->lock);
	i->at.driver->data_close(i->handle, closed, i);
	lock_take(&i->lock);
}

struct data_image *image_find_locked(struct data *d, const void *be, const char *uuid)
{
	struct data_image *i, *tmp;

	lock_assert_held(&d->lock);
	HASH_ITER (hh, d->images, i, tmp)
		if (i->at.be == be && !strcmp(image_uuid(i), uuid)) {
			i->users++;
			return i;
		}
	return NULL;
}

static void wait_closed(struct data_image *i)
{
	LOCK_SCOPE(&i->lock);
	while (i->state != IMAGE_CLOSED || !io_quiet_locked(i)) {
		close_quiet_locked(i);
		/* What is kept and could not be opened, the ticker tries again. Who is failing what waited needs the lock to end. */
		if (i->state != IMAGE_CLOSED || !io_quiet_locked(i))
			lock_wait(&i->lock, &i->changed);
	}
}

/* The writes of a dead server come first: they must not land on what is there afterwards. */
int data_let_go(void *arg, const void *be, const char *uuid)
{
	struct data *d = arg;
	struct data_image *i = NULL;
	bool used = true;

	lock_take(&d->lock);
	if (data_recovered_locked(d)) {
		i = image_find_locked(d, be, uuid);
		used = i && i->users > 1;
		if (used)
			i->users--;
	}
	lock_drop(&d->lock);
	if (used || !i)
		return used ? -EBUSY : 0;
	wait_closed(i);
	data_put(i);
	return 0;
}

/* --- getting */

/* snap NULL: the volume as it is. */
static struct data_image *image_new_locked(
	struct data *d, const struct volume *vol, const struct snapshot *snap, struct err *err)
{
	struct data_image *i = calloc(1, sizeof *i);

	if (!i) {
		err_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	if (engine_image(d->engine, vol, &i->at, err) < 0) {
		free(i);
		return NULL;
	}
	i->d = d;
	i->key = (struct data_key){ vol->id, snap ? snap->id : 0 };
	if (snap)
		memcpy(i->snap.uuid, snap->uuid, sizeof i->snap.uuid);
	atomic_init(&i->size, snap ? snap->size : vol->size);
	lock_init(&i->lock);
	cond_init(&i->changed);
	i->stopped = quiet_find_locked(d, i->at.be, image_uuid(i));
	HASH_ADD(hh, d->images, key, sizeof i->key, i);
	return i;
}

static void image_free_locked(struct data *d, struct data_image *i)
{
	HASH_DEL(d->images, i);
	io_forget(i);
	pthread_cond_destroy(&i->changed);
	lock_release(&i->lock);
	free(i);
}

static int get(struct data *d, const struct volume *vol, const struct snapshot *snap, bool shared,
	struct data_image **ret, struct err *err)
{
	struct data_key key = { vol->id, snap ? snap->id : 0 };
	struct data_image *i;

	lock_take(&d->lock);
	HASH_FIND(hh, d->images, &key, sizeof key, i);
	if (!i)
		i = image_new_locked(d, vol, snap, err);
	if (i) {
		i->users++;
		i->idle_ns = 0;
	}
	lock_drop(&d->lock);
	if (!i)
		return err->code;
	LOCK_SCOPE(&i->lock);
	i->shared |= shared;
	image_want_locked(i);
	*ret = i;
	return 0;
}

int data_get(struct data *d, const struct volume *vol, bool shared, struct data_image **ret,
	struct err *err)
{
	return get(d, vol, NULL, shared, ret, err);
}

int data_get_snapshot(struct data *d, const struct volume *vol, const struct snapshot *snap,
	struct data_image **ret, struct err *err)
{
	return get(d, vol, snap, false, ret, err);
}

void data_put(struct data_image *i)
{
	LOCK_SCOPE(&i->d->lock);
	if (--i->users == 0)
		i->idle_ns = clock_mono_ns();
}

void data_hold(struct data_image *i)
{
	atomic_fetch_add(&i->held, 1);
}

void data_unhold(struct data_image *i)
{
	atomic_fetch_sub(&i->held, 1);
}

uint64_t data_size(struct data_image *i)
{
	return atomic_load_explicit(&i->size, memory_order_relaxed);
}

void data_resized(struct data *d, int64_t volume, uint64_t size)
{
	struct data_key key = { .volume = volume };
	struct data_image *i;

	LOCK_SCOPE(&d->lock);
	HASH_FIND(hh, d->images, &key, sizeof key, i);
	/* Volumes only grow: who tells of a commit may have been overtaken by one who tells of the next. */
	if (i && size > atomic_load(&i->size))
		atomic_store(&i->size, size);
}

/* --- the ticker */

/* True: it is of no use to anybody, and can be freed. */
static bool look_after_locked(struct data_image *i, int64_t now)
{
	bool idle = !i->users && now - i->idle_ns > IDLE_S * INT64_C(1000000000);

	LOCK_SCOPE(&i->lock);
	if (i->state == IMAGE_CLOSED && i->kept)
		image_want_locked(i);
	else if (idle)
		close_quiet_locked(i);
	return !i->users && !atomic_load(&i->held) && i->state == IMAGE_CLOSED &&
	       io_quiet_locked(i);
}

static void *tick(void *arg)
{
	struct data *d = arg;

	pthread_setname_np(pthread_self(), "data-idle");
	lock_take(&d->lock);
	while (!d->ending) {
		struct timespec until = clock_mono_in_ms(TICK_MS);
		struct data_image *i, *tmp;
		int64_t now = clock_mono_ns();

		HASH_ITER (hh, d->images, i, tmp)
			if (look_after_locked(i, now))
				image_free_locked(d, i);
		(void)lock_wait_until(&d->lock, &d->tick, &until);
	}
	lock_drop(&d->lock);
	return NULL;
}

/* --- the whole */

int data_new(struct engine *e, struct keep *keep, const struct data_hooks *hooks, struct data **ret,
	struct err *err)
{
	struct data *d = calloc(1, sizeof *d);

	if (!d || keeper_new(keep, &d->keeper) < 0 || slow_new(&d->slow) < 0)
		goto no_memory;
	d->engine = e;
	d->hooks = *hooks;
	lock_init(&d->lock);
	cond_init(&d->tick);
	cond_init(&d->turn);
	if (pthread_create(&d->ticker, NULL, tick, d))
		goto no_memory;
	d->ticking = true;
	*ret = d;
	return 0;

no_memory:
	if (d) {
		keeper_free(d->keeper);
		(void)slow_free(d->slow, 0);
	}
	free(d);
	return err_set(err, -ENOMEM, "no memory, or no thread, for the volumes' data");
}

/* A volume that is gone took its writes along. */
static int recover(struct data *d, struct view *v, int slot, struct err *err)
{
	struct data_image *i;
	struct volume vol;
	int r = view_volume(v, keeper_at(d->keeper, slot)->volume, &vol);

	if (r == -ENOENT) {
		keeper_give(d->keeper, slot);
		return 0;
	}
	if (r < 0) /* the catalogue cannot be read: nobody knows yet */
		return r;
	r = data_get(d, &vol, false, &i, err);
	if (r == -EIO) { /* its backend is not configured: it stays for a server that knows it */
		log_err("a write that the last server kept waits: %s", err->text);
		return 0;
	}
	if (r < 0)
		return r;
	r = io_recover(i, slot);
	data_put(i);
	return r;
}

int data_recover(struct data *d, struct view *v, struct err *err)
{
	size_t n;
	int *slot = keeper_left(d->keeper, &n), r = slot ? 0 : -ENOMEM;

	for (size_t at = 0; at < n && r == 0; at++)
		r = recover(d, v, slot[at], err);
	free(slot);
	if (r < 0)
		return err_set(err, r,
			"the writes that the last server kept cannot be taken over: %s",
			strerror(-r));
	if (n)
		log_info("%zu writes that the last server kept are taken over", n);
	LOCK_SCOPE(&d->lock);
	d->recovered = true;
	pthread_cond_broadcast(&d->turn);
	return 0;
}

bool data_recovered_locked(struct data *d)
{
	while (!d->recovered && !d->ending)
		lock_wait(&d->lock, &d->turn);
	return d->recovered;
}

/* How many are not closed; those that are quiet begin to be. */
static unsigned close_all_locked(struct data *d)
{
	struct data_image *i, *tmp;
	unsigned open = 0;

	HASH_ITER (hh, d->images, i, tmp) {
		LOCK_SCOPE(&i->lock);
		close_quiet_locked(i);
		open += i->state != IMAGE_CLOSED && i->state != IMAGE_WAITS;
	}
	return open;
}

void data_stop(struct data *d, long ms)
{
	int64_t until = clock_mono_ns() + ms * INT64_C(1000000);

	if (!d)
		return;
	atomic_store(&d->stopped, true);
	lock_take(&d->lock);
	d->ending = true;
	pthread_cond_broadcast(&d->tick);
	pthread_cond_broadcast(&d->turn);
	while (close_all_locked(d) && clock_mono_ns() < until) {
		struct timespec pause = clock_mono_in_ms(STOP_TICK_MS);

		(void)lock_wait_until(&d->lock, &d->tick, &pause);
	}
	lock_drop(&d->lock);
	if (d->ticking)
		pthread_join(d->ticker, NULL);
	d->ticking = false;
}

bool data_is_closed(struct data *d)
{
	unsigned open;

	if (!d)
		return true;
	lock_take(&d->lock);
	open = close_all_locked(d);
	lock_drop(&d->lock);
	return !open;
}

bool data_free(struct data *d)
{
	struct data_image *i, *tmp;

	if (!d)
		return true;
	data_stop(d, 0);
	if (!data_is_closed(d) || !slow_free(d->slow, LEAVE_MS))
		return false;
	HASH_ITER (hh, d->images, i, tmp)
		image_free_locked(d, i);
	keeper_free(d->keeper);
	pthread_cond_destroy(&d->tick);
	pthread_cond_destroy(&d->turn);
	lock_release(&d->lock);
	free(d);
	return true;
}
