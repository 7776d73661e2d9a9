/* From the storage to the catalogue: what bears our names there, and no row and no job knows it. */
#include "engine/compare_internal.h"

#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAUSE_EVERY = 64, /* images */
	KNOWN = -1,
};

/* One look: the storage is listed, each image looked up in the catalogue as it comes. */
struct listing {
	struct compare *c;
	struct differences unknown;
	unsigned listed;
	struct err *err;
};

/* Its volume is there, on this backend: 1. 0: on another one, or (ret->id 0) there is none. -errno. */
static int find_volume(
	struct compare *c, const struct driver_found *f, struct volume *ret, struct err *err)
{
	struct vol_entry entry;
	int r = view_entry_by_uuid(c->view, f->uuid, &entry);

	ret->id = 0;
	if (r == 0)
		r = view_volume(c->view, entry.id, ret);
	if (r < 0)
		return r == -ENOENT ? 0 : catalogue_failed(r, err);
	return !strcmp(ret->backend, c->name);
}

/* Parts of a volume's own image are a matter of that volume: whether its image is whole is asked there. */
static bool are_its_own(const struct volume *v, const struct driver_found *f)
{
	return !vol_status_settled(v->status) || !strcmp(v->image_id, f->image_id);
}

/*
 * Without a name of ours. A whole image, also one that somebody has put aside, is nobody's, and that is well. But parts that are called
 * after an id belong to no image; whether one of ours was to be made of them, the id tells (look_up_ids()).
 */
static bool are_parts_of_nothing(const struct driver_found *f)
{
	return f->parts && *f->image_id && strstr(f->name, f->image_id);
}

/* 1, 0 or -errno. d->volume: whose name it bears; of an image, d->detail: on which backend that volume is. */
static int is_known(
	struct compare *c, const struct driver_found *f, struct difference *d, struct err *err)
{
	struct volume v;
	int r;

	if (!*f->uuid)
		return !are_parts_of_nothing(f);
	r = find_volume(c, f, &v, err);
	if (r < 0)
		return r;
	if (r == 1 && (!f->parts || are_its_own(&v, f)))
		return 1;
	if (r == 1 || (v.id && !f->parts))
		d->volume = v.id;
	if (r == 0 && d->volume)
		memcpy(d->detail, v.backend, sizeof d->detail);
	return compare_has_job(c, c->backend, f->uuid, err);
}

static int each_image(void *arg, const struct driver_found *f)
{
	struct listing *l = arg;
	struct difference d = { .kind = f->parts ? DIFF_PARTS : DIFF_ORPHAN }, *at;
	int r = ++l->listed % PAUSE_EVERY ? 0 : compare_pause(l->c, l->err);

	r = r < 0 ? r : is_known(l->c, f, &d, l->err);
	if (r != 0)
		return r < 0 ? r : 0;
	memcpy(d.name, f->name, sizeof f->name);
	memcpy(d.image.uuid, f->uuid, sizeof f->uuid);
	memcpy(d.image.image_id, f->image_id, sizeof f->image_id);
	at = differences_add(&l->unknown);
	if (!at)
		return err_set(l->err, -ENOMEM, "out of memory");
	*at = d;
	return 0;
}

/* --- parts of which the storage tells only the image's id --- */

static int by_image_id(const void *a, const void *b)
{
	return strcmp(((const struct difference *)a)->image.image_id,
		((const struct difference *)b)->image.image_id);
}

/* A row has that id. */
static void note_known(struct listing *l, const char *image_id)
{
	struct difference key = { 0 }, *d;

	(void)snprintf(key.image.image_id, sizeof key.image.image_id, "%s", image_id);
	d = bsearch(&key, l->unknown.at, l->unknown.len, sizeof key, by_image_id);
	for (; d && d > l->unknown.at && by_image_id(&d[-1], &key) == 0; d--)
		;
	for (; d && d < l->unknown.at + l->unknown.len && by_image_id(d, &key) == 0; d++)
		if (!*d->image.uuid)
			d->volume = KNOWN;
}

static int note_volumes(struct listing *l)
{
	struct vol_image row[64];
	int64_t after = 0;
	int n;

	while ((n = view_images(l->c->view, l->c->backend, after, row, 64)) > 0)
		for (int i = 0; i < n; i++) {
			after = row[i].id;
			note_known(l, row[i].image_id);
		}
	return n;
}

static int note_jobs(struct listing *l, enum job_class class)
{
	struct view *v = l->c->view;
	struct job_brief brief[64];
	struct job_row job;
	int64_t after = 0;
	int n, r;

	while ((n = view_jobs(v, l->c->backend, class, after, brief, 64)) > 0)
		for (int i = 0; i < n; i++) {
			after = brief[i].id;
			r = view_job(v, after, &job);
			if (r == 0)
				note_known(l, job.image_id);
			else if (r != -ENOENT)
				return r;
		}
	return n;
}

/* Some of an image's parts may tell whose they are: that says all. */
static void note_named(struct listing *l)
{
	for (size_t i = 0; i < l->unknown.len; i++) {
		const struct driver_image *image = &l->unknown.at[i].image;

		if (*image->uuid && *image->image_id)
			note_known(l, image->image_id);
	}
}

static void drop_known(struct differences *all)
{
	size_t kept = 0;

	for (size_t i = 0; i < all->len; i++)
		if (all->at[i].volume != KNOWN)
			all->at[kept++] = all->at[i];
	all->len = kept;
}

static int look_up_ids(struct listing *l)
{
	bool any = false;
	int r;

	for (size_t i = 0; i < l->unknown.len; i++)
		any = any || !*l->unknown.at[i].image.uuid;
	if (!any)
		return 0;
	qsort(l->unknown.at, l->unknown.len, sizeof *l->unknown.at, by_image_id);
	note_named(l);
	r = note_volumes(l);
	for (unsigned class = 0; class < CLASS_COUNT && r >= 0; class ++)
		r = note_jobs(l, class);
	r = r < 0 ? r : note_jobs(l, CLASS_HELD);
	if (r < 0)
		return catalogue_failed(r, l->err);
	drop_known(&l->unknown);
	return 0;
}

/* --- two of them --- */

static int by_name(const void *a, const void *b)
{
	const struct difference *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : strcmp(x->image.image_id, y->image.image_id);
}

/* Sorted by name. */
static int list(struct compare *c, struct differences *ret, struct err *err)
{
	struct listing l = { .c = c, .err = err };
	int r = c->driver->list(c->be, true, each_image, &l, err);

	r = r < 0 ? r : look_up_ids(&l);
	*ret = l.unknown;
	if (r < 0)
		return r;
	if (ret->len)
		qsort(ret->at, ret->len, sizeof *ret->at, by_name);
	return 0;
}

int compare_images(struct compare *c, struct err *err)
{
	CLEANUP(differences_release) struct differences first = { 0 }, second = { 0 };
	int r = list(c, &first, err);

	if (r < 0 || !first.len)
		return r;
	r = list(c, &second, err);
	for (size_t i = 0; i < second.len && r >= 0; i++) {
		const struct difference *d = &second.at[i];

		if (i > 0 && by_name(&d[-1], d) == 0) /* it was listed twice */
			continue;
		if (bsearch(d, first.at, first.len, sizeof *d, by_name))
			r = c->found(c->arg, d);
	}
	return r;
}
