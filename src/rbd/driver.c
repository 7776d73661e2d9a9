/*
 * The driver for Ceph RBD. Plain images are made and removed by the object class (create.c, format.c, remove.c: several times librbd's
 * rate), everything else by librbd (image.c). Which way an image was made does not matter later: whoever removes looks for
 * both.
 */
#include "driver.h"

#include "rbd/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- open and close */

static int read_features(const char *text, uint64_t *ret, struct err *err)
{
	uint64_t f = 0;

	if (text[0] && rbd_features_from_string(text, &f) < 0)
		return err_set(
			err, -EINVAL, "features '%s': at least one is unknown to librbd", text);
	if (f & RBD_FEATURE_DATA_POOL)
		return err_set(err, -EINVAL,
			"features '%s': data-pool comes from the option data_pool", text);
	/* librbd makes both of a pair that needs each other, so must we. */
	if (f & (RBD_FEATURE_OBJECT_MAP | RBD_FEATURE_FAST_DIFF))
		f |= RBD_FEATURE_OBJECT_MAP | RBD_FEATURE_FAST_DIFF;
	if (f & (RBD_FEATURE_OBJECT_MAP | RBD_FEATURE_JOURNALING) &&
		!(f & RBD_FEATURE_EXCLUSIVE_LOCK))
		return err_set(err, -EINVAL,
			"features '%s': object-map, fast-diff and journaling need exclusive-lock",
			text);
	*ret = f;
	return 0;
}

static int read_order(uint64_t chunk, uint8_t *ret, struct err *err)
{
	if (chunk < 4096 || chunk > 32 << 20 || chunk & (chunk - 1))
		return err_set(err, -EINVAL,
			"chunk_size %" PRIu64 " is no power of two from 4K to 32M", chunk);
	*ret = (uint8_t)__builtin_ctzll(chunk);
	return 0;
}

/* "on" where the features are not plain is a contradiction that nobody would notice. */
static int read_direct(const char *text, uint64_t features, int *ret, struct err *err)
{
	bool plain = !(features & ~(uint64_t)RB_PLAIN_FEATURES);

	if (!strcmp(text, "off") || (!strcmp(text, "auto") && !plain))
		*ret = RB_DIRECT_OFF;
	else if (!strcmp(text, "auto"))
		*ret = RB_DIRECT_UNKNOWN;
	else if (strcmp(text, "on"))
		return err_set(err, -EINVAL, "direct '%s' is none of auto, on, off", text);
	else if (!plain)
		return err_set(
			err, -EINVAL, "direct = \"on\" cannot make images with these features");
	else
		*ret = RB_DIRECT_ON;
	return 0;
}

static void be_close(void *backend)
{
	struct rb_backend *be = backend;

	/* A call that hangs in a dead cluster still uses all of it: then the end of the process is what frees it. */
	if (atomic_load(&be->calls) > 0)
		return;
	rb_link_release(&be->change);
	rb_link_release(&be->look);
	pthread_cond_destroy(&be->handle_changed);
	lock_release(&be->handle_lock);
	lock_release(&be->info_lock);
	lock_release(&be->known_lock);
	free(be);
}

static int be_open(const struct backend_conf *conf, void **ret, struct err *err)
{
	struct rb_backend *be;
	uint64_t features = 0;
	uint8_t order = 0;
	int direct = RB_DIRECT_OFF,
	    r = read_features(conf->features ? conf->features : "", &features, err);

	if (r >= 0)
		r = read_order(conf->chunk_size, &order, err);
	if (r >= 0)
		r = read_direct(conf->direct ? conf->direct : "auto", features, &direct, err);
	if (r < 0)
		return r;
	be = calloc(1, sizeof *be);
	if (!be)
		return err_set(err, -ENOMEM, "out of memory");
	be->conf = conf;
	be->features = features;
	be->order = order;
	atomic_init(&be->direct, direct);
	atomic_init(&be->crash_left, conf->crash_at);
	rb_link_init(&be->change, false);
	rb_link_init(&be->look, true);
	lock_init(&be->handle_lock);
	cond_init(&be->handle_changed);
	lock_init(&be->info_lock);
	lock_init(&be->known_lock);
	*ret = be;
	return 0;
}

/* --- the rest of an image's life */

static int remove_here(struct rb_backend *be, struct rb_pool *p, const struct driver_image *image,
	struct driver_progress *progress, struct err *err)
{
	char name[RB_NAME_ROOM];
	int r;

	rb_image_name(image->uuid, name);
	if (atomic_load(&be->direct) == RB_DIRECT_ON) {
		r = rb_format_remove(be, p, name, image->image_id, progress, err);
		return r < 0 || r == RB_REMOVED
			       ? r
			       : rb_image_remove(be, p, name, image, progress, err);
	}
	r = rb_image_remove(be, p, name, image, progress, err);
	return r < 0 ? r : rb_format_remove(be, p, name, image->image_id, progress, err);
}

static int be_remove(void *backend, const struct driver_image *image,
	struct driver_progress *progress, struct err *err)
{
	struct rb_backend *be = backend;
	struct rb_pool *p;
	bool stale = true;
	int r = 0;

	RB_CALL(be);
	while (stale) {
		r = rb_pool_get(be, &be->change, &p, err);
		if (r < 0)
			break;
		r = remove_here(be, p, image, progress, err);
		/* That nothing (more) was there is to be believed of a pool that is there. */
		stale = (r >= 0 || r == -ENOENT) && r != RB_REMOVED && rb_pool_is_stale(be, p);
		rb_pool_put(p);
	}
	return r < 0 ? r : 0;
}

static int be_resize(
	void *backend, const struct driver_image *image, uint64_t size, struct err *err)
{
	struct rb_backend *be = backend;
	struct rb_pool *p;
	int r = rb_check_size(be, size, err);

	if (r < 0)
		return r;
	RB_CALL(be);
	r = rb_pool_get(be, &be->change, &p, err);
	if (r >= 0) {
		r = rb_image_resize(be, p, image->uuid, size, err);
		rb_pool_put(p);
	}
	return r;
}

/* --- connection */

/* In qemu's options of a file name a backslash goes before what would end the value. */
static void add_escaped(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (strchr(":@=\\", *text))
			buf_addc(out, '\\');
		buf_addc(out, *text);
	}
}

static void be_connection(void *backend, const struct driver_image *image, struct buf *out)
{
	struct rb_backend *be = backend;
	const struct backend_conf *c = be->conf;
	const char *space = c->namespace ? c->namespace : "";
	char name[RB_NAME_ROOM], features[256];
	size_t room = sizeof features;

	rb_image_name(image->uuid, name);
	{
		LOCK_SCOPE(&be->info_lock);
		if (be->fsid[0])
			buf_addf(out, "fsid=%s\n", be->fsid);
		if (be->monitors[0])
			buf_addf(out, "monitors=%s\n", be->monitors);
	}
	buf_addf(out, "pool=%s\nnamespace=%s\nimage=%s\nuser=%s\n", c->pool, space, name,
		c->ceph_user);
	if (rbd_features_to_string(rb_features(be, image), features, &room) >= 0)
		buf_addf(out, "features=%s\n", features);
	if (c->data_pool && c->data_pool[0])
		buf_addf(out, "data_pool=%s\n", c->data_pool);
	buf_adds(out, "uri=rbd:");
	add_escaped(out, c->pool);
	buf_addf(out, "/%s%s%s:id=", space, space[0] ? "/" : "", name);
	add_escaped(out, c->ceph_user);
	buf_adds(out, ":conf=");
	add_escaped(out, c->ceph_conf);
	buf_addc(out, '\n');
}

/* --- capabilities */

/* "cluster:conf:fsid:user:pool", once the cluster has told who it is. */
static int add_location(struct rb_backend *be, json_t *out)
{
	const struct backend_conf *c = be->conf;
	char fsid[sizeof be->fsid];

	lock_take(&be->info_lock);
	memcpy(fsid, be->fsid, sizeof fsid);
	lock_drop(&be->info_lock);
	if (!fsid[0])
		return 0;
	return json_object_set_new(out, "location_info",
		json_sprintf("ceph:%s:%s:%s:%s", c->ceph_conf, fsid, c->ceph_user, c->pool));
}

static json_t *be_capabilities(void *backend)
{
	bool qos = rb_qos_supported();
	json_t *out;

	out = json_pack("{s:s, s:s, s:b, s:b, s:b, s:b}", "vendor_name", "Open Source",
		"storage_protocol", "ceph", "multiattach", 1, "qos_support", qos, "QoS_support",
		qos, "replication_enabled", 0);
	if (out && add_location(backend, out) == 0)
		return out;
	json_decref(out);
	return NULL;
}

static size_t be_batch(void *be)
{
	return atomic_load(&((struct rb_backend *)be)->direct) == RB_DIRECT_ON ? RB_BATCH : 1;
}

const struct driver driver_rbd = {
	.name = "rbd",
	.open = be_open,
	.close = be_close,
	.stat = rb_stat_pool,
	.create = rb_create,
	.batch = be_batch,
	.remove = be_remove,
	.resize = be_resize,
	.snap_create = rb_snap_create,
	.snap_remove = rb_snap_remove,
	.revert = rb_revert,
	.flatten = rb_flatten,
	.list = rb_list,
	.look = rb_look,
	.snaps = rb_snaps,
	.adopt = rb_adopt,
	.snap_adopt = rb_snap_adopt,
	.disown = rb_disown,
	.can_be_called = rb_can_be_called,
	.used = rb_used,
	.connection = be_connection,
	.address = rb_fence_address,
	.fence = rb_fence,
	.capabilities = be_capabilities,
	.qos_known = rb_qos_known,
	.data_open = rb_data_open,
	.data_close = rb_data_close,
	.data_read = rb_data_read,
	.data_write = rb_data_write,
	.data_zero = rb_data_zero,
	.data_flush = rb_data_flush,
	.data_next = rb_data_next,
	.busy = rb_busy,
	.watchers = rb_watchers,
	.evict = rb_evict,
};
