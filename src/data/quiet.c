/*
 * While a snapshot is taken of an image. What was kept is carried out first: its callers have been told that it is done. Where the storage
 * copies the image, nothing may be written meanwhile: writes that come wait with those that wait for the image to be open, and their
 * callers can be killed as always. A stopped image may be closed, even forgotten; the list of the stopped is the data's own, so that whoever
 * opens it meanwhile finds it stopped.
 */
#include "data/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct quiet {
	const void *be;
	char uuid[UUID_LEN + 1];
	struct quiet *prev, *next;
};

static struct quiet *find_locked(const struct data *d, const void *be, const char *uuid)
{
	struct quiet *q;

	DL_FOREACH(d->quiets, q)
	if (q->be == be && !strcmp(q->uuid, uuid))
		return q;
	return NULL;
}

bool quiet_find_locked(const struct data *d, const void *be, const char *uuid)
{
	return find_locked(d, be, uuid);
}

static void set_stopped(struct data_image *i, bool stopped)
{
	LOCK_SCOPE(&i->lock);
	i->stopped = stopped;
}

/* One at a time stops an image: the other's copy is to hold what was kept meanwhile. q NULL: without stopping it. */
static int begin(
	struct data *d, const void *be, const char *uuid, struct quiet *q, struct data_image **ret)
{
	LOCK_SCOPE(&d->lock);

	if (!data_recovered_locked(d))
		return -EAGAIN;
	while (q && find_locked(d, be, uuid) && !d->ending)
		lock_wait(&d->lock, &d->turn);
	if (d->ending)
		return -EAGAIN;
	*ret = image_find_locked(d, be, uuid);
	if (!q)
		return 0;
	q->be = be;
	(void)snprintf(q->uuid, sizeof q->uuid, "%s", uuid);
	DL_APPEND(d->quiets, q);
	if (*ret)
		set_stopped(*ret, true);
	return 0;
}

/* What was kept is in the storage; of a stopped one, no write is under way any more. */
static int settle(struct data_image *i, bool stop)
{
	bool kept;
	int r;

	lock_take(&i->lock);
	kept = i->kept;
	lock_drop(&i->lock);
	/* It opens the image, if need be, and fails where that cannot be. */
	r = kept ? io_wait(i, DATA_DRAIN, 0, 0) : 0;
	LOCK_SCOPE(&i->lock);
	while (r == 0 && stop && i->changing)
		lock_wait(&i->lock, &i->changed);
	return r;
}

int data_quiet(void *arg, const void *be, const char *uuid, bool stop)
{
	struct data *d = arg;
	struct quiet *q = stop ? calloc(1, sizeof *q) : NULL;
	struct data_image *i = NULL;
	int r = stop && !q ? -ENOMEM : begin(d, be, uuid, q, &i);

	if (r < 0) {
		free(q);
		return r;
	}
	if (!i)
		return 0;
	r = settle(i, stop);
	data_put(i);
	if (r < 0)
		data_go_on(d, be, uuid);
	return r;
}

void data_go_on(void *arg, const void *be, const char *uuid)
{
	struct data *d = arg;
	struct data_image *i = NULL;
	struct quiet *q;

	lock_take(&d->lock);
	q = find_locked(d, be, uuid);
	if (q) {
		DL_DELETE(d->quiets, q);
		i = image_find_locked(d, be, uuid);
		if (i)
			set_stopped(i, false);
		pthread_cond_broadcast(&d->turn);
	}
	lock_drop(&d->lock);
	free(q);
	if (!i)
		return;
	lock_take(&i->lock);
	io_send_locked(i);
	lock_drop(&i->lock);
	data_put(i);
}
