/* What there is: the pool's capacity, an image's allocated bytes. Everything here is asked over the connection with time-outs. */
#include "rbd/internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* --- capacity */

static void unknown(struct backend_stats *ret)
{
	*ret = (struct backend_stats){ .total_unknown = true, .free_unknown = true };
}

static uint64_t number(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

/*
 * With a quota, free is what it leaves, but no more than the pool could still hold. total is what the pool could hold in
 * all: free and used (the cluster's raw size says nothing about a pool with replicas).
 */
static void calculate(const json_t *pool, struct backend_stats *ret)
{
	uint64_t used = number(pool, "stored"), quota = number(pool, "quota_bytes"),
		 available = number(pool, "max_avail");

	*ret = (struct backend_stats){ .free = available };
	if (quota) {
		uint64_t left = quota > used ? quota - used : 0;

		ret->free = left < available ? left : available;
	}
	ret->total = ret->free + used;
}

/* Of a pool that was made a moment ago the manager knows nothing yet: unknown. */
static int read_df(const char *text, size_t len, const char *name, struct backend_stats *ret)
{
	json_t *df = json_loadb(text, len, 0, NULL), *pool;
	size_t i;

	unknown(ret);
	json_array_foreach(json_object_get(df, "pools"), i, pool)
	{
		const char *is = json_string_value(json_object_get(pool, "name"));

		if (is && !strcmp(is, name))
			calculate(json_object_get(pool, "stats"), ret);
	}
	json_decref(df);
	return df ? 0 : -EBADMSG;
}

static int ask_df(
	struct rb_backend *be, rados_t cluster, struct backend_stats *ret, struct err *err)
{
	const char *data_pool = be->conf->data_pool;
	const char *name = data_pool && data_pool[0] ? data_pool : be->conf->pool;
	const char *command = "{\"prefix\": \"df\", \"detail\": \"detail\", \"format\": \"json\"}";
	char *out = NULL, *status = NULL;
	size_t out_len = 0, status_len = 0;
	int r = rados_mon_command(
		cluster, &command, 1, "", 0, &out, &out_len, &status, &status_len);

	if (r >= 0)
		r = read_df(out, out_len, name, ret);
	rados_buffer_free(out);
	rados_buffer_free(status);
	if (r >= 0)
		return 0;
	if (r == -ETIMEDOUT || r == -ESHUTDOWN)
		return rb_fail(be, err, r, "read the capacity of pool '%s'", name);
	unknown(ret); /* a client that may not ask can create all the same */
	return 0;
}

/* Does an OSD of the pool answer? The monitor would go on telling its capacity. */
static int ping(struct rb_backend *be, struct rb_pool *p, struct flight *f)
{
	if (rb_flight_begin(be, f))
		rb_flight_sent(f, rados_aio_stat(p->io, "rbd_directory", f->done, NULL, NULL));
	return f->code;
}

/*
 * Calls of the object class ask for no namespace; but where it is not registered, rbd and QEMU find nothing. A user whose rights are
 * for the namespace alone may not be told.
 */
static int check_namespace(struct rb_backend *be, struct rb_pool *p, struct err *err)
{
	const char *name = be->conf->namespace;
	bool there = true;

	if (!name || !name[0] || rbd_namespace_exists(p->io, name, &there) < 0 || there)
		return 0;
	return err_set(err, -ENOENT, "pool '%s' has no namespace '%s' (rbd namespace create %s/%s)",
		be->conf->pool, name, be->conf->pool, name);
}

int rb_stat_pool(void *backend, struct backend_stats *ret, struct err *err)
{
	struct rb_backend *be = backend;
	struct backend_stats stats;
	struct rb_pool *p;
	struct flight f;
	int r, alive;

	RB_CALL(be);
	r = rb_pool_get(be, &be->look, &p, err);
	if (r < 0)
		return r;
	(void)ping(be, p, &f);
	r = ask_df(be, p->cluster, &stats,
		err); /* beside the ping, so that both together take one time-out */
	alive = rb_land(&f);
	if (r >= 0 && alive == -ENOENT && rb_pool_is_stale(be, p))
		r = err_set(err, -ENOENT, "pool '%s' was deleted", be->conf->pool);
	else if (r >= 0 && alive < 0 && alive != -ENOENT)
		r = rb_fail(be, err, alive, "reach pool '%s'", be->conf->pool);
	if (r >= 0)
		r = check_namespace(be, p, err);
	rb_pool_put(p);
	if (r >= 0)
		*ret = stats;
	return r < 0 ? r : 0;
}

/* --- allocated bytes */

static uint64_t count_bytes(const struct rb_header *h, const unsigned char *bits)
{
	uint64_t count = rb_object_count(h->size, h->order), object = UINT64_C(1) << h->order,
		 sum = 0;

	for (uint64_t i = 0; i < count; i++)
		if (rb_map_state(bits, i))
			sum += i + 1 == count ? h->size - i * object : object;
	return sum;
}

/* By the object map, in two operations; -EINVAL: it cannot be trusted, librbd must ask the objects. */
static int used_by_map(struct rb_pool *p, const char *id, uint64_t *ret)
{
	CLEANUP_FREE unsigned char *bits = NULL;
	struct rb_header h;
	int r = rb_format_header(p, id, &h);

	if (r < 0)
		return r;
	if (!(h.features & RBD_FEATURE_OBJECT_MAP) || h.flags & RBD_FLAG_OBJECT_MAP_INVALID)
		return -EINVAL;
	r = rb_format_map(p, id, rb_object_count(h.size, h.order), &bits);
	if (r < 0)
		return -EINVAL;
	*ret = count_bytes(&h, bits);
	return 0;
}

int rb_used(void *backend, const struct driver_image *image, uint64_t *ret, struct err *err)
{
	struct rb_backend *be = backend;
	char name[RB_NAME_ROOM];
	struct rb_pool *p;
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->look, &p, err);
	if (r < 0)
		return r;
	r = atomic_load(&be->direct) == RB_DIRECT_ON ? used_by_map(p, image->image_id, ret)
						     : -EINVAL;
	if (r == -EINVAL || r == -ENOENT) /* -ENOENT: librbd's, under another id */
		r = rb_image_used(be, p, rb_image_name(image->uuid, name), ret, err);
	else if (r < 0)
		rb_fail(be, err, r, "measure image '%s'", rb_image_name(image->uuid, name));
	rb_pool_put(p);
	return r;
}
