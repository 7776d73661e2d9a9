/*
 * What clones are made of. A snapshot is cloned directly (format.c) where its image is plain and in no other state than volfs would
 * bring it to; librbd copies a parent's metadata to a clone, so one that has some is left to it.
 *
 * A clone of an image as it is now is that of a temporary snapshot, which then goes to the trash namespace, and with the last clone
 * (release.c). The snapshot comes first and goes last: while it is there, the clone is not known to be whole.
 *
 *      snapshot taken ──▶ clone made ──▶ snapshot in the trash
 */
#include "rbd/internal.h"

#include "base/log.h"
#include "rbd/encode.h"

#include <errno.h>
#include <string.h>

enum { METADATA_ROOM = 4096, METADATA_MAX = 64 };

const char *rb_source_snap_name(const struct driver_create *c, char ret[RB_NAME_ROOM])
{
	bool now = !c->source->snapshot[0];
	struct driver_snap snap = { .temporary = now };

	memcpy(snap.uuid, now ? c->image.uuid : c->source->snapshot, sizeof snap.uuid);
	return rb_snap_name(&snap, ret);
}

/* --- the source of a clone */

/* All that is asked of the source's header, in one operation. */
struct questions {
	struct rb_header_query header;
	char metadata[METADATA_ROOM];
	size_t metadata_len;
	int metadata_code;
};

static int ask(struct rb_pool *p, const char *id, struct questions *q)
{
	char header[RB_OBJECT_ROOM];
	rados_read_op_t op = rb_header_ask(&q->header);
	struct enc in = { .len = 0 };
	int r;

	enc_string(&in, ""); /* from the first */
	enc_u64(&in, METADATA_MAX);
	rados_read_op_exec_user_buf(op, "rbd", "metadata_list", in.at, in.len, q->metadata,
		sizeof q->metadata, &q->metadata_len, &q->metadata_code);
	r = rados_read_op_operate(op, p->io, rb_object(header, "rbd_header.", id), 0);
	rados_release_read_op(op);
	return r;
}

/* The image's id: the one that was chosen for it, unless librbd made it. */
static int ask_image(struct rb_pool *p, const struct driver_image *image, char ret_id[RB_NAME_ROOM],
	struct questions *q)
{
	char name[RB_NAME_ROOM];
	int r;

	(void)strcpy(ret_id, image->image_id);
	r = ret_id[0] ? ask(p, ret_id, q) : -ENOENT;
	if (r != -ENOENT)
		return r;
	r = rb_format_find(p, rb_image_name(image->uuid, name), ret_id);
	return r < 0 ? r : ask(p, ret_id, q);
}

/* Has it none other than limits on its speed, which a clone has of its own? */
static bool has_no_metadata(const struct questions *q)
{
	struct dec d = { q->metadata, q->metadata_len, q->metadata_code < 0 };
	uint32_t n = dec_u32(&d);
	bool none = true;

	for (; n > 0 && !d.bad; n--) {
		char key[RB_NAME_ROOM];

		dec_string_cut(&d, key, sizeof key);
		dec_raw(&d, NULL, dec_u32(&d));
		none = none && rb_qos_is_limit(key);
	}
	return none && !d.bad;
}

/* Is nothing about it librbd's? */
static bool is_plain_source(const struct rb_backend *be, const struct questions *q,
	const struct rb_header *h, const struct rb_snap *snap)
{
	const char *space = be->conf->namespace ? be->conf->namespace : "";

	return rb_is_plain(h) && h->features & be->features & RBD_FEATURE_LAYERING &&
	       has_no_metadata(q) && !snap->is_protected && strlen(space) < RB_NAME_ROOM;
}

int rb_source_find(
	struct rb_backend *be, struct rb_pool *p, struct driver_create *c, struct rb_source *ret)
{
	char snap_name[RB_NAME_ROOM];
	struct rb_parent *parent = &ret->parent;
	struct questions q;
	struct rb_header h;
	struct rb_snap snap;
	int r = ask_image(p, &c->source->image, parent->id, &q);

	rb_source_snap_name(c, snap_name);
	if (r >= 0)
		r = rb_header_answer(&q.header, &h);
	if (r >= 0)
		r = rb_snap_find_in(p, parent->id, &q.header, snap_name, &snap);
	if (r < 0)
		return rb_fail(be, &c->err, r, "look at snapshot '%s' of image 'volume-%s'",
			snap_name, c->source->image.uuid);
	parent->pool = p->id;
	parent->snap = snap.id;
	(void)snprintf(parent->space, sizeof parent->space, "%s",
		be->conf->namespace ? be->conf->namespace : "");
	ret->size = snap.size;
	return is_plain_source(be, &q, &h, &snap) ? 0 : RB_NOT_PLAIN;
}

/* --- an image as it is now */

/* Only what says so counts: any other failure leaves it open. */
static bool has_no_snapshot(struct rb_pool *p, const struct driver_create *c)
{
	char name[RB_NAME_ROOM], id[RB_NAME_ROOM];
	struct rb_snap snap;
	int r = rb_format_find(p, rb_image_name(c->source->image.uuid, name), id);

	if (r >= 0)
		r = rb_snap_find(p, id, rb_source_snap_name(c, name), &snap);
	return r == -ENOENT;
}

/* An earlier try came to its end: the clone is there, and its temporary snapshot is not. */
static bool is_finished(struct rb_pool *p, const struct driver_create *c)
{
	char name[RB_NAME_ROOM], id[RB_NAME_ROOM];

	rb_image_name(c->image.uuid, name);
	return rb_format_find(p, name, id) >= 0 &&
	       rb_format_complete(p, name, id, c->image.size) >= 0 && has_no_snapshot(p, c);
}

/* Half a clone goes before the snapshot: without that it would be taken for a whole one. What cannot be removed is left to remove(). */
static void undo(
	struct rb_backend *be, const struct driver_create *c, const struct driver_snap *snap)
{
	struct err err = { 0 };
	int r = driver_rbd.remove(be, &c->image, NULL, &err);

	if (r >= 0)
		r = rb_snap_remove(be, &c->source->image, snap, &err);
	if (r < 0)
		log_notice("backend %s: a temporary snapshot stays until its image goes: %s",
			be->conf->name, err.text);
}

void rb_clone_image(struct rb_backend *be, struct rb_pool *p, struct driver_create *c,
	void (*make)(
		struct rb_backend *be, struct rb_pool *p, struct driver_create *each, size_t n))
{
	const struct driver_image *source = &c->source->image;
	struct driver_snap snap = { .temporary = true };

	memcpy(snap.uuid, c->image.uuid, sizeof snap.uuid);
	c->code = 0;
	if (!c->fresh && is_finished(p, c))
		return;
	c->code = rb_snap_create(be, source, &snap, NULL, &c->err);
	if (c->code >= 0)
		make(be, p, c, 1);
	/* To the trash namespace, since it has a clone: the monitors need not be asked. */
	if (c->code >= 0)
		c->code = rb_snap_remove(be, source, &snap, &c->err);
	if (c->code < 0)
		undo(be, c, &snap);
}
