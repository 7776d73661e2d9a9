#include "rig.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20 };

/* --- calls that wait */

struct wait {
	sem_t done;
	int code;
};

static void wait_begin(struct wait *w)
{
	(void)sem_init(&w->done, 0, 0);
}

static void on_done(void *arg, int code)
{
	struct wait *w = arg;

	w->code = code;
	(void)sem_post(&w->done);
}

static int wait_end(struct wait *w)
{
	while (sem_wait(&w->done) < 0)
		;
	(void)sem_destroy(&w->done);
	return w->code;
}

int rig_data_open(struct rig_data *d, struct rig_backend *b, const struct driver_image *image,
	const struct driver_snap *snap, bool writable)
{
	struct wait w;

	*d = (struct rig_data){ .b = b, .size = image->size };
	wait_begin(&w);
	b->driver->data_open(b->be, image, snap, writable, &d->data, on_done, &w);
	return wait_end(&w);
}

void rig_data_close(struct rig_data *d)
{
	struct wait w;

	wait_begin(&w);
	d->b->driver->data_close(d->data, on_done, &w);
	assert_int_equal(wait_end(&w), 0);
}

/* --- contents */

static void pattern(unsigned char *at, size_t len, uint64_t off, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (unsigned char)((off + i) * 31 + ((off + i) >> 9) * 7 + seed * 97 + 1);
}

void rig_data_put(struct rig_data *d, uint64_t off, size_t len, unsigned seed)
{
	unsigned char *bytes = malloc(len);
	struct wait w;

	assert_non_null(bytes);
	pattern(bytes, len, off, seed);
	wait_begin(&w);
	d->b->driver->data_write(d->data, off, len, bytes, on_done, &w);
	assert_int_equal(wait_end(&w), 0);
	wait_begin(&w);
	d->b->driver->data_flush(d->data, on_done, &w);
	assert_int_equal(wait_end(&w), 0);
	free(bytes);
}

void rig_put(struct rig_backend *b, const struct driver_image *image, uint64_t off, size_t len,
	unsigned seed)
{
	struct rig_data d;

	assert_int_equal(rig_data_open(&d, b, image, NULL, true), 0);
	rig_data_put(&d, off, len, seed);
	rig_data_close(&d);
}

/* FNV-1a, eight bytes at a time. */
static uint64_t add_sum(uint64_t sum, const char *bytes, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i += 8) {
		uint64_t word;

		memcpy(&word, bytes + i, 8);
		sum = (sum ^ word) * UINT64_C(0x100000001b3);
	}
	return sum;
}

uint64_t rig_sum(struct rig_backend *b, const struct driver_image *image, uint64_t size,
	const struct driver_snap *snap)
{
	static char bytes[PIECE];
	uint64_t sum = UINT64_C(0xcbf29ce484222325);
	struct rig_data d;

	assert_int_equal(rig_data_open(&d, b, image, snap, false), 0);
	for (uint64_t off = 0; off < size; off += PIECE) {
		size_t len = size - off < PIECE ? (size_t)(size - off) : PIECE;
		struct wait w;

		wait_begin(&w);
		b->driver->data_read(d.data, off, len, bytes, on_done, &w);
		assert_int_equal(wait_end(&w), 0);
		sum = add_sum(sum, bytes, len);
	}
	rig_data_close(&d);
	return sum;
}

uint64_t rig_sum_outside(const char *name)
{
	static char bytes[PIECE];
	uint64_t size, sum = UINT64_C(0xcbf29ce484222325);
	char image_name[128];
	char *snap;
	rbd_image_t image;

	(void)snprintf(image_name, sizeof image_name, "%s", name);
	snap = strchr(image_name, '@');
	if (snap)
		*snap++ = '\0';
	assert_int_equal(rbd_open_read_only(rig.vols, image_name, &image, snap), 0);
	assert_int_equal(rbd_get_size(image, &size), 0);
	for (uint64_t off = 0; off < size; off += PIECE) {
		size_t len = size - off < PIECE ? (size_t)(size - off) : PIECE;

		assert_int_equal(rbd_read(image, off, len, bytes), (int)len);
		sum = add_sum(sum, bytes, len);
	}
	assert_int_equal(rbd_close(image), 0);
	return sum;
}

/* --- snapshots and clones */

struct driver_snap rig_new_snap(void)
{
	struct driver_image image = rig_image(0);
	struct driver_snap snap = { .temporary = false };

	memcpy(snap.uuid, image.uuid, sizeof snap.uuid);
	return snap;
}

const char *rig_snap_name(const struct driver_snap *snap)
{
	static char name[64];

	(void)snprintf(name, sizeof name, snap->temporary ? "volume-%s.clone_snap" : "snapshot-%s",
		snap->uuid);
	return name;
}

void rig_clone_by_librbd(const struct driver_image *image, const struct driver_snap *snap,
	const struct driver_image *clone, int format)
{
	char name[64];
	rbd_image_options_t options;

	rbd_image_options_create(&options);
	assert_int_equal(rbd_image_options_set_uint64(
				 options, RBD_IMAGE_OPTION_CLONE_FORMAT, (uint64_t)format),
		0);
	(void)snprintf(name, sizeof name, "%s", rig_image_name(image));
	assert_int_equal(rbd_clone3(rig.vols, name, rig_snap_name(snap), rig.vols,
				 rig_image_name(clone), options),
		0);
	rbd_image_options_destroy(options);
}
