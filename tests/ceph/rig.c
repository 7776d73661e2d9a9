#include "rig.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct rig rig;

/* --- backends and images */

void rig_backend_conf(struct backend_conf *conf, const char *direct)
{
	*conf = (struct backend_conf){
		.name = (char *)"test",
		.driver = (char *)"rbd",
		.zone = (char *)"z",
		.thin = true,
		.timeout = 30,
		.max_over_subscription_ratio = 20,
		.ceph_conf = (char *)rig.ceph_conf,
		.ceph_user = (char *)"admin",
		.pool = (char *)"vols",
		.namespace = (char *)"",
		.data_pool = (char *)"",
		.features = (char *)ALL_FEATURES,
		.direct = (char *)direct,
		.chunk_size = 4 * MIB,
	};
}

void rig_open(struct rig_backend *b)
{
	struct err err = { 0 };

	if (b->driver->open(&b->conf, &b->be, &err) < 0)
		fail_msg("cannot open the backend: %s", err.text);
}

void rig_close(struct rig_backend *b)
{
	b->driver->close(b->be);
	b->be = NULL;
}

struct driver_image rig_image(uint64_t size)
{
	static unsigned count;
	static unsigned start;
	struct driver_image image = { .size = size };

	if (!start)
		start = (unsigned)getpid() & 0xffff;
	count++;
	(void)snprintf(
		image.uuid, sizeof image.uuid, "%08x-0000-4000-8000-%04x%08x", count, start, count);
	(void)snprintf(image.image_id, sizeof image.image_id, "%06x%08x", start, count);
	return image;
}

const char *rig_image_name(const struct driver_image *image)
{
	static char name[64];

	(void)snprintf(name, sizeof name, "volume-%s", image->uuid);
	return name;
}

static int make(struct rig_backend *b, struct driver_create c, struct err *err)
{
	b->driver->create(b->be, &c, 1);
	if (c.code < 0 && err)
		*err = c.err;
	return c.code;
}

int rig_create(struct rig_backend *b, const struct driver_image *image, struct err *err)
{
	return make(b, (struct driver_create){ .image = *image }, err);
}

int rig_clone(struct rig_backend *b, const struct driver_image *image,
	const struct driver_source *source, struct err *err)
{
	return make(b, (struct driver_create){ .image = *image, .source = source }, err);
}

int rig_clone_fresh(struct rig_backend *b, const struct driver_image *image,
	const struct driver_source *source, struct err *err)
{
	return make(
		b, (struct driver_create){ .image = *image, .source = source, .fresh = true }, err);
}

void rig_must_create(struct rig_backend *b, const struct driver_image *image)
{
	struct err err = { 0 };

	if (rig_create(b, image, &err) != 0)
		fail_msg("create: %s", err.text);
}

void rig_must_remove(struct rig_backend *b, const struct driver_image *image)
{
	struct err err = { 0 };

	if (b->driver->remove(b->be, image, NULL, &err) != 0)
		fail_msg("remove: %s", err.text);
}

/* A look at an image, whatever its place; rbd_close() it, and rados_ioctx_destroy(*io). */
static rbd_image_t look(
	const struct rig_backend *b, const struct driver_image *image, rados_ioctx_t *io)
{
	rbd_image_t handle;

	assert_int_equal(rados_ioctx_create(rig.admin, b->conf.pool, io), 0);
	rados_ioctx_set_namespace(*io, b->conf.namespace);
	assert_int_equal(rbd_open(*io, rig_image_name(image), &handle, NULL), 0);
	return handle;
}

void rig_id(const struct rig_backend *b, const struct driver_image *image, char id[64])
{
	rados_ioctx_t io;
	rbd_image_t handle = look(b, image, &io);

	assert_int_equal(rbd_get_id(handle, id, 64), 0);
	assert_int_equal(rbd_close(handle), 0);
	rados_ioctx_destroy(io);
}

uint64_t rig_snap(
	const struct rig_backend *b, const struct driver_image *image, char uuid[UUID_LEN + 1])
{
	rados_ioctx_t io;
	rbd_image_t handle = look(b, image, &io);
	char name[64];
	uint64_t id;

	(void)snprintf(uuid, UUID_LEN + 1, "%s", rig_image(0).uuid);
	(void)snprintf(name, sizeof name, "snapshot-%s", uuid);
	assert_int_equal(rbd_snap_create(handle, name), 0);
	assert_int_equal(rbd_snap_get_id(handle, name, &id), 0);
	assert_int_equal(rbd_close(handle), 0);
	rados_ioctx_destroy(io);
	return id;
}

void rig_snap_remove(
	const struct rig_backend *b, const struct driver_image *image, const char *uuid)
{
	rados_ioctx_t io;
	rbd_image_t handle = look(b, image, &io);
	char name[64];

	(void)snprintf(name, sizeof name, "snapshot-%s", uuid);
	assert_int_equal(rbd_snap_remove(handle, name), 0);
	assert_int_equal(rbd_close(handle), 0);
	rados_ioctx_destroy(io);
}

void rig_write(const struct driver_image *image, int n)
{
	rbd_image_t handle;
	char page[4096];

	memset(page, 'x', sizeof page);
	assert_int_equal(rbd_open(rig.vols, rig_image_name(image), &handle, NULL), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(
			rbd_write(handle, image->size / (unsigned)n * (unsigned)i / 4096 * 4096,
				sizeof page, page),
			(int)sizeof page);
	assert_int_equal(rbd_close(handle), 0);
}

/* --- a pool's objects as text */

struct lines {
	char **at;
	size_t n, room;
};

static void add_line(struct lines *l, struct buf *text)
{
	if (l->n == l->room) {
		l->room = l->room * 2 + 64;
		l->at = realloc(l->at, l->room * sizeof *l->at);
		assert_non_null(l->at);
	}
	l->at[l->n++] = buf_detach(text);
}

static void add_hex(struct buf *b, unsigned char byte)
{
	static const char digit[] = "0123456789abcdef";

	buf_addc(b, digit[byte >> 4]);
	buf_addc(b, digit[byte & 15]);
}

/* Bytes in hex, but the id, and strings that end in it, as words: length (u32), bytes. */
static void add_value(struct buf *b, const char *value, size_t len, const char *id)
{
	size_t n = id ? strlen(id) : 0;

	for (size_t i = 0; i < len; i++) {
		uint32_t size;

		if (id && i + 4 <= len) {
			memcpy(&size, value + i, 4);
			if (size >= n && size <= 64 && i + 4 + size <= len &&
				!memcmp(value + i + 4 + size - n, id, n)) {
				buf_addf(b, "<%.*s<id>>", (int)(size - n), value + i + 4);
				i += 3 + size;
				continue;
			}
		}
		add_hex(b, (unsigned char)value[i]);
	}
}

static void add_name(struct buf *b, const char *name, const char *id)
{
	const char *at = id ? strstr(name, id) : NULL;

	if (at)
		buf_addf(b, "%.*s<id>%s", (int)(at - name), name, at + strlen(id));
	else
		buf_adds(b, name);
}

/* The number of the newest snapshot that there ever was: the monitors choose it. */
static bool is_used_sequence(const char *key, const char *value, size_t len)
{
	return !strcmp(key, "snap_seq") && len == 8 && memcmp(value, "\0\0\0\0\0\0\0", 8) != 0;
}

static void dump_omap(
	rados_ioctx_t io, const char *object, const char *head, const char *id, struct lines *l)
{
	rados_read_op_t op = rados_create_read_op();
	rados_omap_iter_t iter;
	unsigned char more;
	int r;

	rados_read_op_omap_get_vals2(op, "", "", 100000, &iter, &more, &r);
	assert_true(rados_read_op_operate(op, io, object, 0) >= 0);
	for (;;) {
		char *key, *value;
		size_t key_len, len;
		struct buf b = { 0 };

		assert_int_equal(rados_omap_get_next2(iter, &key, &value, &key_len, &len), 0);
		if (!key)
			break;
		buf_adds(&b, head);
		buf_adds(&b, " omap ");
		add_name(&b, key, id);
		buf_addc(&b, '=');
		if (strstr(key, "timestamp") || is_used_sequence(key, value, len))
			buf_addf(&b, "(%zu bytes)", len);
		else
			add_value(&b, value, len, id);
		add_line(l, &b);
	}
	rados_omap_get_end(iter);
	rados_release_read_op(op);
}

/* What a lock leaves when it has been given back: no owner. */
static bool is_free_lock(const char *name, const char *value, size_t len)
{
	uint32_t owners;

	if (strncmp(name, "lock.", 5) || len < 10)
		return false;
	memcpy(&owners, value + 6, sizeof owners); /* behind version and length */
	return owners == 0;
}

static void dump_attributes(rados_ioctx_t io, const char *object, const char *head, struct lines *l)
{
	rados_xattrs_iter_t iter;
	const char *name, *value;
	size_t len;

	assert_true(rados_getxattrs(io, object, &iter) >= 0);
	while (rados_getxattrs_next(iter, &name, &value, &len) == 0 && name) {
		struct buf b = { 0 };

		if (is_free_lock(name, value, len))
			continue;
		buf_addf(&b, "%s attribute %s=", head, name);
		add_value(&b, value, len, NULL);
		add_line(l, &b);
	}
	rados_getxattrs_end(iter);
}

#define IN_SNAPSHOTS " in snapshots only"

static void dump_object(rados_ioctx_t io, const char *space, const char *object, const char *id,
	bool trimmed, struct lines *l)
{
	static char content[1 << 20];
	struct buf b = { 0 };
	CLEANUP_FREE char *head = NULL;
	int n;

	rados_ioctx_set_namespace(io, space);
	buf_addf(&b, "%s/", space);
	add_name(&b, object, id);
	head = strdup(buf_text(&b));
	n = rados_read(io, object, content, sizeof content, 0);
	if (n == -ENOENT) { /* removed, but not yet from a snapshot that is gone too */
		if (trimmed) {
			buf_adds(&b, IN_SNAPSHOTS);
			add_line(l, &b);
		}
		buf_release(&b);
		return;
	}
	assert_true(n >= 0);
	buf_addc(&b, ' ');
	add_value(&b, content, (size_t)n, id);
	add_line(l, &b);
	dump_omap(io, object, head, id, l);
	dump_attributes(io, object, head, l);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* librbd counts the images of a pool in an omap value of this object when it likes; it is no part of an image. */
static bool is_bookkeeping(const char *object)
{
	return !strcmp(object, "rbd_info");
}

/* trimmed: also what is there for a snapshot alone. */
static char *dump(rados_ioctx_t pool, const char *id, bool trimmed)
{
	rados_list_ctx_t list;
	const char *object, *key, *space;
	struct lines l = { 0 };
	struct buf all = { 0 };

	rados_ioctx_set_namespace(pool, LIBRADOS_ALL_NSPACES);
	assert_int_equal(rados_nobjects_list_open(pool, &list), 0);
	while (rados_nobjects_list_next(list, &object, &key, &space) == 0) {
		rados_ioctx_t io;

		assert_int_equal(rados_ioctx_create2(rig.admin, rados_ioctx_get_id(pool), &io), 0);
		if (!is_bookkeeping(object))
			dump_object(io, space, object, id, trimmed, &l);
		rados_ioctx_destroy(io);
	}
	rados_nobjects_list_close(list);
	rados_ioctx_set_namespace(pool, "");
	qsort(l.at, l.n, sizeof *l.at, by_text);
	for (size_t i = 0; i < l.n; i++) {
		buf_addf(&all, "%s\n", l.at[i]);
		free(l.at[i]);
	}
	free(l.at);
	return buf_detach(&all);
}

char *rig_dump(rados_ioctx_t pool, const char *id)
{
	return dump(pool, id, false);
}

/* Prints the lines of a that b lacks. */
static void print_missing(const char *sign, const char *a, const char *b)
{
	for (const char *at = a, *end; *at; at = end + 1) {
		CLEANUP_FREE char *line = NULL;

		end = strchr(at, '\n');
		line = strndup(at, (size_t)(end - at) + 1);
		if (!strstr(b, line))
			(void)fprintf(
				stderr, "%s %.300s%s", sign, line, strlen(line) > 300 ? "…\n" : "");
	}
}

void rig_same(const char *before, char *after)
{
	bool same = !strcmp(before, after);

	if (!same) {
		print_missing("-", before, after);
		print_missing("+", after, before);
	}
	free(after);
	assert_true(same);
}

char *rig_dump_trimmed(rados_ioctx_t pool)
{
	int64_t until = clock_mono_ns() + INT64_C(20) * 1000000000;
	char *now = dump(pool, NULL, true);

	while (strstr(now, IN_SNAPSHOTS) && clock_mono_ns() < until) {
		free(now);
		usleep(50 * 1000);
		now = dump(pool, NULL, true);
	}
	return now;
}

void rig_same_soon(const char *before, rados_ioctx_t pool, const char *space)
{
	char *now = rig_dump_trimmed(pool);

	rados_ioctx_set_namespace(pool, space);
	rig_same(before, now);
}

void rig_space(const char *space)
{
	rados_ioctx_set_namespace(rig.vols, space);
	rados_ioctx_set_namespace(rig.data, space);
}

/* --- the cluster's tools */

int rig_sh_code(const char *fmt, ...)
{
	char command[1024];
	va_list ap;
	int status;

	va_start(ap, fmt);
	(void)vsnprintf(command, sizeof command, fmt, ap);
	va_end(ap);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void rig_sh(const char *fmt, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(command, sizeof command, fmt, ap);
	va_end(ap);
	if (rig_sh_code("%s", command))
		fail_msg("failed: %s", command);
}

void rig_until(int seconds, const char *command)
{
	int64_t until = clock_mono_ns() + (int64_t)seconds * 1000000000;

	while (rig_sh_code("%s", command)) {
		if (clock_mono_ns() > until)
			fail_msg("not within %d s: %s", seconds, command);
		usleep(100 * 1000);
	}
}
