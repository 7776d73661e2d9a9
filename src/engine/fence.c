/*
 * The fence: before this server changes anything on a storage its address there is in the catalogue, and those of earlier servers, whose
 * changes may still be on their way, are shut out. The monitor's thread.
 */
#include "engine/internal.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

struct client_change {
	struct request q;
	struct backend *b;
	const char *address; /* to add; NULL: remove row */
};

static int client_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct client_change *c = (struct client_change *)q;

	if (c->address)
		return tx_client_add(tx, c->b->id, c->address, &q->row);
	return tx_client_remove(tx, q->row);
}

static int client_change(struct backend *b, const char *address, int64_t *row)
{
	struct client_change *c =
		request_new(b->e, sizeof *c, (struct change_id){ 0 }, NULL, NULL, NULL);
	int r;

	if (!c)
		return -ENOMEM;
	c->b = b;
	c->address = address;
	c->q.row = *row;
	c->q.apply = client_apply;
	r = request_wait(&c->q, row, NULL);
	return r == -ENOENT ? 0 : r;
}

/* This server's address is in the catalogue before its first change; a new one (a new connection) is added. */
static int write_address(struct backend *b, struct err *err)
{
	char now[sizeof b->address];
	int r;

	r = driver_said(b, b->driver->address(b->be, now, sizeof now, err), err);
	if (r < 0 || strcmp(now, b->address) == 0)
		return r;
	b->client = 0;
	r = client_change(b, now, &b->client);
	if (r < 0)
		return err_set(
			err, r, "cannot write its address into the catalogue: %s", strerror(-r));
	memcpy(b->address, now, sizeof now);
	return 0;
}

static int fence_one(struct backend *b, int64_t row, const char *address, struct err *err)
{
	int r = driver_said(b, b->driver->fence(b->be, address, err), err);

	if (r < 0)
		return err_in(err, "cannot fence the server before");
	log_info("backend %s: fenced the server before (%s)", b->conf->name, address);
	r = client_change(b, NULL, &row);
	return r < 0 ? err_set(err, r, "cannot forget a fenced address: %s", strerror(-r)) : 0;
}

/* Those that a server before this one has left in the catalogue. */
static int fence_earlier(struct backend *b, struct err *err)
{
	char address[sizeof b->address];
	int64_t row = 0;
	int r;

	for (;;) {
		lock_take(&b->view_lock);
		r = view_client(b->view, b->id, row, &row, address, sizeof address);
		lock_drop(&b->view_lock);
		if (r == -ENOENT || row >= b->client)
			return 0;
		r = r < 0 ? r : strcmp(address, b->address) ? fence_one(b, row, address, err) : 0;
		if (r < 0)
			return r;
	}
}

int fence_put_up(struct backend *b, struct err *err)
{
	int r;

	if (!b->driver->fence)
		return 0;
	r = write_address(b, err);
	return r < 0 || b->ready ? r : fence_earlier(b, err);
}
