/*
 * Creation: sorts the images of a batch by the way they are made. Empty ones and clones of a snapshot go together, by the object class
 * (format.c), where backend and source are plain; everything else is librbd's (image.c), one after the other. A clone of an image
 * as it is now (clone.c) takes its time, and comes alone.
 */
#include "rbd/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MAP_MAX UINT64_C(256000000) /* objects that an object map can describe */

int rb_check_size(const struct rb_backend *be, uint64_t size, struct err *err)
{
	if (be->features & RBD_FEATURE_OBJECT_MAP && rb_object_count(size, be->order) > MAP_MAX)
		return err_set(err, -EFBIG,
			"%" PRIu64 " bytes are more than %" PRIu64 " objects of %" PRIu64
			" bytes, which is all that an object map can describe",
			size, MAP_MAX, UINT64_C(1) << be->order);
	return 0;
}

/* --- sources */

/* What the images of a batch are made of. */
struct sources {
	struct rb_source of[RB_BATCH];
	int code[RB_BATCH]; /* of rb_source_find() */
};

static bool is_same_source(const struct driver_source *a, const struct driver_source *b)
{
	return a == b || (a && b && !strcmp(a->image.uuid, b->image.uuid) &&
				 !strcmp(a->snapshot, b->snapshot));
}

/* Asks for the source of each[i], unless an earlier one had the same. */
static int find_source(struct rb_backend *be, struct rb_pool *p, struct driver_create *each,
	size_t i, struct sources *s)
{
	struct driver_create *c = &each[i];

	for (size_t k = 0; k < i; k++)
		if (is_same_source(each[k].source, c->source) && s->code[k] >= 0) {
			s->of[i] = s->of[k];
			return s->code[i] = s->code[k];
		}
	if (rb_known_get(be, p, c->source, &s->of[i]))
		return s->code[i] = 0;
	s->code[i] = rb_source_find(be, p, c, &s->of[i]);
	if (s->code[i] == 0 && c->source->snapshot[0])
		rb_known_put(be, c->source, &s->of[i]);
	return s->code[i];
}

/* A source of this size fits into the clone? */
static int check_source(
	const struct driver_create *c, const struct rb_source *source, struct err *err)
{
	if (source->size > c->image.size)
		return err_set(err, -EINVAL,
			"what it is made from has %" PRIu64 " bytes, it would have %" PRIu64,
			source->size, c->image.size);
	return 0;
}

/* --- a batch */

/* librbd has no creation that does not block: batch() asks for one at a time, so that each has a worker of its own. */
static void make_by_librbd(
	struct rb_backend *be, struct rb_pool *p, struct driver_create *each, size_t n)
{
	for (size_t i = 0; i < n; i++)
		each[i].code = rb_image_create(be, p, &each[i]);
}

/* Directly what can be: the others of the batch have RB_NOT_PLAIN then. */
static void make_direct(
	struct rb_backend *be, struct rb_pool *p, struct driver_create *each, size_t n)
{
	struct flight look[RB_BATCH];
	struct rb_make make[RB_BATCH];
	struct sources s;
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (each[i].source)
			rb_format_look(be, p, &each[i], &look[i]);
	for (size_t i = 0; i < n; i++) {
		struct driver_create *c = &each[i];

		s.code[i] = 0;
		if (c->source && find_source(be, p, each, i, &s) == 0)
			s.code[i] = check_source(c, &s.of[i], &c->err);
		c->code = s.code[i];
		if (c->code == 0)
			make[count++] =
				(struct rb_make){ c, c->source ? &s.of[i] : NULL, &look[i] };
		else
			(void)rb_land(&look[i]);
	}
	if (count > 0)
		rb_format_create(be, p, make, count);
}

static void make_all(struct rb_backend *be, struct rb_pool *p, struct driver_create *each, size_t n)
{
	if (atomic_load(&be->direct) != RB_DIRECT_ON) {
		make_by_librbd(be, p, each, n);
		return;
	}
	make_direct(be, p, each, n);
	/* The name leads to an image that librbd made: an earlier try, when this backend was not direct. */
	for (size_t i = 0; i < n; i++)
		if (each[i].code == -EEXIST || each[i].code == RB_NOT_PLAIN)
			make_by_librbd(be, p, &each[i], 1);
}

static bool is_of_image(const struct driver_create *c)
{
	return c->source && !c->source->snapshot[0];
}

/* Did every one fail because the pool is gone? */
static bool lost_pool(
	struct rb_backend *be, const struct rb_pool *p, const struct driver_create *each, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (each[i].code != -ENOENT)
			return false;
	return rb_pool_is_stale(be, p);
}

static void make_in_pool(struct rb_backend *be, struct driver_create *each, size_t n)
{
	struct err err = { 0 };
	struct rb_pool *p;
	bool again = true;

	while (again) {
		int r = rb_pool_get(be, &be->change, &p, &err);

		if (r < 0) {
			for (size_t i = 0; i < n; i++)
				each[i].code = err_set(&each[i].err, r, "%s", err.text);
			return;
		}
		if (n == 1 && is_of_image(each))
			rb_clone_image(be, p, each, make_all);
		else
			make_all(be, p, each, n);
		again = lost_pool(be, p, each, n);
		rb_pool_put(p);
	}
}

/* Where a run of images that can be made together ends: at n, at a batch's length, around what must be alone. */
static size_t run_of(const struct driver_create *each, size_t n)
{
	size_t i = 0;

	while (i < n && i < RB_BATCH && !is_of_image(&each[i]))
		i++;
	return i > 0 ? i : 1;
}

void rb_create(void *backend, struct driver_create *each, size_t n)
{
	struct rb_backend *be = backend;
	size_t good = 0;

	RB_CALL(be);
	for (size_t i = 0; i < n; i++)
		each[i].code = rb_check_size(be, each[i].image.size, &each[i].err);
	for (size_t i = 0; i < n; i += good) {
		for (good = 0; i + good < n && each[i + good].code >= 0; good++)
			;
		good = good > 0 ? run_of(each + i, good) : 0;
		if (good > 0)
			make_in_pool(be, each + i, good);
		else
			good = 1; /* too large: it has its answer */
	}
}
