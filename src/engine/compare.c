/* From the catalogue to the storage, volume by volume; the other way is compare_images.c. */
#include "engine/compare_internal.h"

#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void difference_text(const struct difference *d, char text[DIFFERENCE_TEXT])
{
	const char *name = d->name, *uuid = d->image.uuid, *detail = d->detail;

	switch (d->kind) {
	case DIFF_ORPHAN:
		if (d->volume)
			(void)snprintf(text, DIFFERENCE_TEXT,
				"image '%s' bears the name of a volume that is on backend '%s': decide by hand",
				name, detail);
		else
			(void)snprintf(text, DIFFERENCE_TEXT,
				"image '%s' is no volume's: adopt it, or remove it by hand", name);
		break;
	case DIFF_PARTS:
		(void)snprintf(text, DIFFERENCE_TEXT,
			"'%s' was left over by an interrupted change%s", name,
			d->volume ? ": its volume is there, so decide by hand"
			: *uuid	  ? ""
				  : ": whose it was cannot be told, so decide by hand");
		break;
	case DIFF_MISSING:
		(void)snprintf(text, DIFFERENCE_TEXT, "volume '%s' (%s): its image is missing",
			name, uuid);
		break;
	case DIFF_SIZE:
		(void)snprintf(text, DIFFERENCE_TEXT,
			"volume '%s' (%s): its image has %" PRIu64 " bytes, not %" PRIu64, name,
			uuid, d->size, d->image.size);
		break;
	case DIFF_BROKEN:
		(void)snprintf(text, DIFFERENCE_TEXT, "volume '%s' (%s): its image is broken: %s",
			name, uuid, detail);
		break;
	case DIFF_SNAP_MISSING:
		(void)snprintf(text, DIFFERENCE_TEXT,
			"volume '%s' (%s): its snapshot '%s' (%s) is missing", name, uuid, detail,
			d->snap.uuid);
		break;
	case DIFF_SNAP_ORPHAN:
		(void)snprintf(text, DIFFERENCE_TEXT,
			"volume '%s' (%s): its image's snapshot '%s' is none of the volume's: remove it by hand",
			name, uuid, detail);
		break;
	case DIFF_SNAP_TEMPORARY:
		(void)snprintf(text, DIFFERENCE_TEXT,
			"volume '%s' (%s): its image's temporary snapshot '%s' was left over", name,
			uuid, detail);
		break;
	}
}

static bool same(const struct difference *a, const struct difference *b)
{
	return a->kind == b->kind && a->volume == b->volume && a->snapshot == b->snapshot &&
	       a->image.size == b->image.size && a->size == b->size &&
	       a->snap.temporary == b->snap.temporary && !strcmp(a->image.uuid, b->image.uuid) &&
	       !strcmp(a->image.image_id, b->image.image_id) &&
	       !strcmp(a->snap.uuid, b->snap.uuid) &&
	       (a->kind == DIFF_SNAP_MISSING || !strcmp(a->detail, b->detail));
}

struct difference *differences_add(struct differences *all)
{
	if (all->len == all->room) {
		size_t room = all->room ? 2 * all->room : 4;
		struct difference *more = reallocarray(all->at, room, sizeof *more);

		if (!more)
			return NULL;
		all->at = more;
		all->room = room;
	}
	return memset(&all->at[all->len++], 0, sizeof *all->at);
}

void differences_release(struct differences *all)
{
	free(all->at);
	*all = (struct differences){ 0 };
}

int catalogue_failed(int code, struct err *err)
{
	return err_set(err, code, "the catalogue cannot be read");
}

/* Is work under way that names this volume's image? 1, 0 or -errno. */
int compare_has_job(struct compare *c, int64_t backend, const char *uuid, struct err *err)
{
	struct job_row job;
	int r = view_job_of_image(c->view, backend, uuid, &job);

	return r == -ENOENT ? 0 : r < 0 ? catalogue_failed(r, err) : 1;
}

/* In these an image may be there or not, or bear another name. */
static bool has_image_for_certain(const struct volume *v)
{
	return vol_status_settled(v->status) && v->status != VOL_ERROR &&
	       v->status != VOL_ERROR_DELETING && v->status != VOL_ERROR_MANAGING &&
	       v->status != VOL_ERROR_UNMANAGING;
}

static int add(struct differences *all, enum difference_kind kind, const struct volume *v,
	uint64_t size, struct err *err)
{
	struct difference *d = differences_add(all);

	if (!d)
		return err_set(err, -ENOMEM, "out of memory");
	d->kind = kind;
	d->volume = v->id;
	memcpy(d->image.uuid, v->uuid, sizeof v->uuid);
	memcpy(d->image.image_id, v->image_id, sizeof v->image_id);
	d->image.size = v->size;
	d->size = size;
	memcpy(d->name, v->name, sizeof v->name);
	return 0;
}

static int add_snap(struct differences *all, enum difference_kind kind, const struct volume *v,
	const struct driver_snap *snap, const char *name, int64_t row, struct err *err)
{
	int r = add(all, kind, v, 0, err);
	struct difference *d;

	if (r < 0)
		return r;
	d = &all->at[all->len - 1];
	d->snapshot = row;
	d->snap = *snap;
	(void)snprintf(d->detail, sizeof d->detail, "%s", name);
	return 0;
}

int all_snaps(const struct driver *driver, void *be, const char *image, unsigned about,
	struct driver_found_snap **ret, struct err *err)
{
	size_t room = about + 4;

	for (;;) {
		struct driver_found_snap *at = calloc(room, sizeof *at);
		int n;

		if (!at)
			return err_set(err, -ENOMEM, "out of memory");
		n = driver->snaps(be, image, at, room, err);
		if (n >= 0 && (size_t)n <= room) {
			*ret = at;
			return n;
		}
		free(at);
		if (n < 0)
			return n;
		room = (size_t)n + 4; /* one more may be taken meanwhile */
	}
}

static bool is_among(const struct driver_found_snap *at, int n, const char *uuid)
{
	for (int i = 0; i < n; i++)
		if (!at[i].temporary && !strcmp(at[i].uuid, uuid))
			return true;
	return false;
}

/* Rows whose snapshot is not among them. */
static int find_missing(struct compare *c, const struct volume *v,
	const struct driver_found_snap *at, int n, struct differences *all, struct err *err)
{
	struct snapshot row[8];
	int64_t after = 0;
	int got;

	while ((got = view_snapshots(c->view, v->id, after, row, 8)) > 0)
		for (int i = 0; i < got; i++) {
			struct driver_snap snap = { 0 };
			int r;

			after = row[i].id;
			if ((row[i].status != SNAP_AVAILABLE && row[i].status != SNAP_RESTORING) ||
				is_among(at, n, row[i].uuid))
				continue;
			memcpy(snap.uuid, row[i].uuid, sizeof snap.uuid);
			r = add_snap(all, DIFF_SNAP_MISSING, v, &snap, row[i].name, row[i].id, err);
			if (r < 0)
				return r;
		}
	return got < 0 ? catalogue_failed(got, err) : 0;
}

/* 1: a row, or work under way, says why it is there. Those that others took of the image are their business. */
static int is_snap_known(struct compare *c, const struct volume *v,
	const struct driver_found_snap *found, struct err *err)
{
	struct snapshot row;
	int r;

	if (!*found->uuid)
		return 1;
	if (found->temporary) /* of a volume that may be made on another backend */
		return compare_has_job(c, 0, found->uuid, err);
	r = view_snapshot_by_uuid(c->view, found->uuid, &row);
	if (r < 0 && r != -ENOENT)
		return catalogue_failed(r, err);
	return r == 0 && row.volume == v->id;
}

static int look_at_snaps(struct compare *c, const struct volume *v, const char *image,
	unsigned about, struct differences *all, struct err *err)
{
	struct driver_found_snap *at = NULL;
	int n = all_snaps(c->driver, c->be, image, about, &at, err), r;

	if (n < 0)
		return n == -ENOENT ? 0 : n;
	r = find_missing(c, v, at, n, all, err);
	for (int i = 0; i < n && r >= 0; i++) {
		struct driver_snap snap = { .temporary = at[i].temporary };

		r = is_snap_known(c, v, &at[i], err);
		memcpy(snap.uuid, at[i].uuid, sizeof snap.uuid);
		if (r == 0)
			r = add_snap(all, at[i].temporary ? DIFF_SNAP_TEMPORARY : DIFF_SNAP_ORPHAN,
				v, &snap, at[i].name, 0, err);
	}
	free(at);
	return r < 0 ? r : 0;
}

/* 1: nothing to compare, its backend is another one or its image need not be there now. */
static int is_beside_the_point(struct compare *c, int64_t id, struct volume *ret, struct err *err)
{
	int r = view_volume(c->view, id, ret);

	if (r == -ENOENT)
		return 1;
	if (r < 0)
		return catalogue_failed(r, err);
	if (strcmp(ret->backend, c->name) != 0 || !has_image_for_certain(ret))
		return 1;
	return compare_has_job(c, c->backend, ret->uuid, err);
}

/* No volume is empty. */
static int add_broken(
	struct differences *all, const struct volume *v, const char *reason, struct err *err)
{
	int r = add(all, DIFF_BROKEN, v, 0, err);
	char *to = r < 0 ? NULL : all->at[all->len - 1].detail;

	if (to)
		(void)snprintf(
			to, NAME_LEN + 1, "%.*s", NAME_LEN, *reason ? reason : "it is empty");
	return r;
}

/* One look at one volume: the catalogue, then the storage. */
static int look_at(struct compare *c, int64_t id, struct differences *all, struct err *err)
{
	struct driver_found found = { 0 };
	char image[UUID_LEN + 8];
	uint64_t snapshots;
	struct volume v;
	int r = is_beside_the_point(c, id, &v, err);

	if (r != 0)
		return r < 0 ? r : 0;
	c->volumes++;
	(void)snprintf(image, sizeof image, "volume-%s", v.uuid);
	r = c->driver->look(c->be, image, &found, err);
	if (r == -ENOENT)
		return add(all, DIFF_MISSING, &v, 0, err);
	if (r < 0)
		return r;
	if (!found.size)
		return add_broken(all, &v, found.reason, err);
	if (found.size != v.size)
		r = add(all, DIFF_SIZE, &v, found.size, err);
	if (r < 0 || !c->driver->snaps)
		return r;
	r = view_snapshot_count(c->view, v.id, &snapshots);
	if (r < 0)
		return catalogue_failed(r, err);
	c->snapshots += snapshots;
	return snapshots || found.snapshots ? look_at_snaps(c, &v, image, found.snapshots, all, err)
					    : 0;
}

/* Of those that both looks found. */
static int tell(
	struct compare *c, const struct differences *first, const struct differences *second)
{
	for (size_t i = 0; i < second->len; i++)
		for (size_t j = 0; j < first->len; j++)
			if (same(&first->at[j], &second->at[i])) {
				int r = c->found(c->arg, &second->at[i]);

				if (r < 0)
					return r;
				break;
			}
	return 0;
}

static int compare_volume(struct compare *c, int64_t id, struct err *err)
{
	CLEANUP(differences_release) struct differences first = { 0 }, second = { 0 };
	uint64_t volumes = c->volumes, snapshots = c->snapshots;
	int r = look_at(c, id, &first, err);

	if (r < 0 || !first.len)
		return r;
	c->volumes = volumes;
	c->snapshots = snapshots;
	r = look_at(c, id, &second, err);
	return r < 0 ? r : tell(c, &first, &second);
}

int compare_pause(struct compare *c, struct err *err)
{
	return c->pause && c->pause(c->arg) ? err_set(err, -EINTR, "it was ended") : 0;
}

static bool is_mine(const struct compare *c, int64_t id)
{
	return c->parts < 2 || id % c->parts == c->part;
}

/* Those that there are now: what is made meanwhile would never come to an end, and takes the storage's time from who makes it. */
static int compare_volumes(struct compare *c, struct err *err)
{
	int64_t newest = view_newest(c->view), after = 0;
	struct vol_image row[64];
	int n = newest < 0 ? (int)newest : 0, r;

	while (after < newest && (n = view_images(c->view, c->backend, after, row, 64)) > 0)
		for (int i = 0; i < n; i++) {
			after = row[i].id;
			if (!is_mine(c, after) || after > newest)
				continue;
			r = compare_pause(c, err);
			r = r < 0 ? r : compare_volume(c, after, err);
			if (r < 0)
				return r;
		}
	return n < 0 ? catalogue_failed(n, err) : 0;
}

int compare_backend(struct compare *c, struct err *err)
{
	int r = 0;

	if (!c->driver->list || !c->driver->look)
		return err_set(err, -ENOTSUP, "the driver '%s' cannot list what is there",
			c->driver->name);
	if (c->part == 0)
		r = compare_images(c, err);
	return r < 0 ? r : compare_volumes(c, err);
}
