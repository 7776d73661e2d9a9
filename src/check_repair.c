#include "check_repair.h"

#include "base/lock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- one change of the catalogue, waited for --- */

struct waited {
	struct change change;
	int (*fn)(struct tx *tx, void *arg);
	void *arg;
	struct lock lock;
	pthread_cond_t cond;
	bool over; /* lock */
	int code;  /* lock */
};

static int waited_run(struct change *c, struct tx *tx, struct err *err)
{
	struct waited *w = (struct waited *)c;

	return w->fn(tx, w->arg);
}

static void waited_done(struct change *c, int code, const struct err *err)
{
	struct waited *w = (struct waited *)c;

	LOCK_SCOPE(&w->lock);
	w->over = true;
	w->code = code;
	pthread_cond_signal(&w->cond);
}

static int change(struct repair *r, int (*fn)(struct tx *tx, void *arg), void *arg, struct err *err)
{
	struct waited w = {
		.change = { .run = waited_run, .done = waited_done }, .fn = fn, .arg = arg
	};

	lock_init(&w.lock);
	cond_init(&w.cond);
	store_submit(r->store, &w.change);
	lock_take(&w.lock);
	while (!w.over)
		lock_wait(&w.lock, &w.cond);
	lock_drop(&w.lock);
	pthread_cond_destroy(&w.cond);
	lock_release(&w.lock);
	return w.code < 0 ? err_set(err, w.code, "cannot write it into the catalogue: %s",
				    strerror(-w.code))
			  : 0;
}

static void committed(void *arg, bool ok)
{
}

int repair_begin(struct repair *r, struct store *s, struct view *v, struct err *err)
{
	struct store_hooks hooks = { .committed = committed };

	*r = (struct repair){ .store = s, .view = v };
	return store_start(s, &hooks, err);
}

void repair_end(struct repair *r)
{
	store_stop(r->store);
}

/* --- the fence, as a server puts it up before its first change --- */

struct client {
	const char *backend, *address; /* address NULL: forget row */
	int64_t backend_id, row;
};

static int find_backend(struct tx *tx, void *arg)
{
	struct client *c = arg;
	struct backend_row row = { 0 };
	int r = tx_backend(tx, c->backend, &row);

	c->backend_id = row.id;
	return r;
}

static int add_client(struct tx *tx, void *arg)
{
	struct client *c = arg;

	return tx_client_add(tx, c->backend_id, c->address, &c->row);
}

static int drop_client(struct tx *tx, void *arg)
{
	return tx_client_remove(tx, *(int64_t *)arg);
}

static int fence_earlier(struct repair *r, const struct client *own, struct err *err)
{
	char address[1024];
	int64_t row = 0;
	int code;

	while ((code = view_client(r->view, own->backend_id, row, &row, address, sizeof address)) ==
		0) {
		if (row == own->row)
			continue;
		if (strcmp(address, own->address) != 0 && r->driver->fence(r->be, address, err) < 0)
			return err_in(err, "cannot fence the server before");
		code = change(r, drop_client, &row, err);
		if (code < 0)
			return code;
	}
	return code == -ENOENT ? 0 : err_set(err, code, "the catalogue cannot be read");
}

int repair_enter(struct repair *r, const char *backend, const struct driver *driver, void *be,
	int64_t *ret_backend, struct err *err)
{
	struct client own = { .backend = backend };
	char address[1024];
	int code;

	r->driver = driver;
	r->be = be;
	r->client = 0;
	code = change(r, find_backend, &own, err);
	if (code < 0)
		return code;
	*ret_backend = own.backend_id;
	if (!driver->fence)
		return 0;
	code = driver->address(be, address, sizeof address, err);
	if (code < 0)
		return code;
	own.address = address;
	code = change(r, add_client, &own, err);
	if (code < 0)
		return code;
	r->client = own.row;
	return fence_earlier(r, &own, err);
}

/* All that was sent from here has been answered. */
void repair_leave(struct repair *r)
{
	struct err err;

	if (r->client && change(r, drop_client, &r->client, &err) < 0)
		log_warning("%s", err.text);
	r->client = 0;
}

/* --- each kind --- */

static int to_error(struct tx *tx, void *arg)
{
	const struct difference *d = arg;
	int r = tx_volume_status(tx, d->volume, VOL_ERROR, "its image is missing");

	return r < 0 ? r
		     : tx_event(tx, &(struct event){ .volume = d->volume,
					    .event = "volume.repair",
					    .uid = -1,
					    .detail = "image missing" });
}

static int mend_missing(struct repair *r, const struct difference *d, struct err *err)
{
	int code = change(r, to_error, (void *)d, err);

	return code < 0 ? code : 1;
}

static int to_size(struct tx *tx, void *arg)
{
	const struct difference *d = arg;
	char detail[64];
	int r = tx_volume_resize(tx, d->volume, d->size);

	(void)snprintf(detail, sizeof detail, "size %llu", (unsigned long long)d->size);
	return r < 0 ? r
		     : tx_event(tx, &(struct event){ .volume = d->volume,
					    .event = "volume.repair",
					    .uid = -1,
					    .detail = detail });
}

static int mend_size(struct repair *r, const struct difference *d, struct err *err)
{
	int code;

	if (!d->size || d->size % SIZE_UNIT)
		return 0; /* no volume has such a size */
	code = change(r, to_size, (void *)d, err);
	return code < 0 ? code : 1;
}

/* -EBUSY: a volume is still to be made from it, which fails as it does, and is cleaned up. */
static int drop_snapshot(struct tx *tx, void *arg)
{
	const struct difference *d = arg;
	struct job_row job;
	int r = tx_job_from(tx, d->volume, d->snapshot, &job);

	if (r != -ENOENT)
		return r < 0 ? r : -EBUSY;
	r = tx_snapshot_remove(tx, d->snapshot);
	return r < 0 ? r
		     : tx_event(tx, &(struct event){ .volume = d->volume,
					    .event = "snapshot.repair",
					    .uid = -1,
					    .detail = d->detail });
}

static int mend_snap_missing(struct repair *r, const struct difference *d, struct err *err)
{
	int code = change(r, drop_snapshot, (void *)d, err);

	return code < 0 ? code : 1;
}

/* What removes parts removes all of an image: only where there is nothing else of it. */
static int mend_parts(struct repair *r, const struct difference *d, struct err *err)
{
	struct driver_found whole;
	char name[UUID_LEN + 8];
	int code;

	if (d->volume || !*d->image.uuid)
		return 0;
	(void)snprintf(name, sizeof name, "volume-%s", d->image.uuid);
	code = r->driver->look(r->be, name, &whole, err);
	if (code < 0 && code != -ENOENT)
		return code;
	if (code == 0 && whole.size) /* else it cannot even be opened */
		return 0;
	code = r->driver->remove(r->be, &d->image, NULL, err);
	return code < 0 ? code : 1;
}

static int mend_temporary(struct repair *r, const struct difference *d, struct err *err)
{
	int code = r->driver->snap_remove(r->be, &d->image, &d->snap, err);

	return code < 0 ? code : 1;
}

/* A broken image, and an image or a snapshot that has a row no more, may be all that is left of somebody's data: those have none. */
static const struct {
	int (*mend)(struct repair *r, const struct difference *d, struct err *err);
	const char *how;
} mends[] = {
	[DIFF_ORPHAN] = { NULL, NULL },
	[DIFF_PARTS] = { mend_parts, "removed" },
	[DIFF_MISSING] = { mend_missing, "the volume is in error now" },
	[DIFF_BROKEN] = { NULL, NULL },
	[DIFF_SIZE] = { mend_size, "that is the volume's size now" },
	[DIFF_SNAP_MISSING] = { mend_snap_missing, "forgotten" },
	[DIFF_SNAP_ORPHAN] = { NULL, NULL },
	[DIFF_SNAP_TEMPORARY] = { mend_temporary, "removed" },
};

int repair_difference(
	struct repair *r, const struct difference *d, const char **ret_how, struct err *err)
{
	int code;

	if (!mends[d->kind].mend)
		return 0;
	code = mends[d->kind].mend(r, d, err);
	if (code > 0)
		*ret_how = mends[d->kind].how;
	return code;
}

static int recount(struct tx *tx, void *arg)
{
	return tx_recount(tx);
}

int repair_sums(struct repair *r, struct err *err)
{
	return change(r, recount, NULL, err);
}
