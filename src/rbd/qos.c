/*
 * Limits on an image's speed. librbd keeps them itself, in every client that has the image open: it reads its options from the image's
 * metadata too, where their names begin with `conf_`, and there they come before those of the pool and of the client.
 */
#include "rbd/internal.h"

#include "rbd/encode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { VALUE_ROOM = 21 }; /* a limit in digits */

static const struct {
	const char *key, *metadata;
} limits[] = {
	{ "total_iops_sec", "conf_rbd_qos_iops_limit" },
	{ "read_iops_sec", "conf_rbd_qos_read_iops_limit" },
	{ "write_iops_sec", "conf_rbd_qos_write_iops_limit" },
	{ "total_bytes_sec", "conf_rbd_qos_bps_limit" },
	{ "read_bytes_sec", "conf_rbd_qos_read_bps_limit" },
	{ "write_bytes_sec", "conf_rbd_qos_write_bps_limit" },
	{ "total_iops_sec_max", "conf_rbd_qos_iops_burst" },
	{ "read_iops_sec_max", "conf_rbd_qos_read_iops_burst" },
	{ "write_iops_sec_max", "conf_rbd_qos_write_iops_burst" },
	{ "total_bytes_sec_max", "conf_rbd_qos_bps_burst" },
	{ "read_bytes_sec_max", "conf_rbd_qos_read_bps_burst" },
	{ "write_bytes_sec_max", "conf_rbd_qos_write_bps_burst" },
};

bool rb_qos_supported(void)
{
	int major, minor, extra;

	rbd_version(&major, &minor, &extra);
	return minor >= 15; /* Nautilus: the first with limits for reads, writes and bursts */
}

/* The key of the metadata; NULL: none that we know. */
static const char *metadata_of(const char *key)
{
	if (!rb_qos_supported())
		return NULL;
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
		if (!strcmp(limits[i].key, key))
			return limits[i].metadata;
	return NULL;
}

bool rb_qos_known(const char *key)
{
	return metadata_of(key) != NULL;
}

static const char *text(uint64_t value, char ret[VALUE_ROOM])
{
	(void)snprintf(ret, VALUE_ROOM, "%" PRIu64, value);
	return ret;
}

/* One call for each limit: a map of one entry. The class method only writes, so it need not see what made the object just before. */
void rb_qos_add(rados_write_op_t op, const struct driver_create *c)
{
	for (size_t i = 0; i < c->qos_count; i++) {
		const char *key = metadata_of(c->qos[i].key);
		char value[VALUE_ROOM];
		struct enc in = { .len = 0 };

		if (!key)
			continue;
		enc_u32(&in, 1);
		enc_string(&in, key);
		enc_string(&in, text(c->qos[i].value, value));
		rados_write_op_exec(op, "rbd", "metadata_set", in.at, in.len, NULL);
	}
}

static int set_each(rbd_image_t image, const struct driver_create *c)
{
	int r = 0;

	for (size_t i = 0; i < c->qos_count && r >= 0; i++) {
		const char *key = metadata_of(c->qos[i].key);
		char value[VALUE_ROOM];

		if (key)
			r = rbd_metadata_set(image, key, text(c->qos[i].value, value));
	}
	return r;
}

bool rb_qos_any(const struct driver_create *c)
{
	for (size_t i = 0; i < c->qos_count; i++)
		if (metadata_of(c->qos[i].key))
			return true;
	return false;
}

bool rb_qos_is_limit(const char *metadata)
{
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
		if (!strcmp(limits[i].metadata, metadata))
			return true;
	return false;
}

static bool has(const struct driver_create *c, const char *metadata)
{
	for (size_t i = 0; i < c->qos_count; i++) {
		const char *key = metadata_of(c->qos[i].key);

		if (key && !strcmp(key, metadata))
			return true;
	}
	return false;
}

/* librbd's clones have their parent's metadata; its limits were those of another volume. */
static int drop_inherited(rbd_image_t image, const struct driver_create *c)
{
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		char value[VALUE_ROOM];
		size_t room = sizeof value;
		int r;

		if (has(c, limits[i].metadata))
			continue;
		r = rbd_metadata_get(image, limits[i].metadata, value, &room);
		if (r >= 0 || r == -ERANGE)
			r = rbd_metadata_remove(image, limits[i].metadata);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

int rb_qos_apply(rbd_image_t image, const struct driver_create *c)
{
	int r = c->source ? drop_inherited(image, c) : 0;

	return r < 0 ? r : set_each(image, c);
}
