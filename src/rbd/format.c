/*
 * The `rbd` object class: the OSD's own interface to what an image consists of. librbd goes through it one operation after the
 * other; we send all of them at once, because their order does not matter to anybody before the image is known to exist:
 *
 *      rbd_directory          name_<name> → id, id_<id> → name      dir_add_image    one operation for a whole batch
 *      rbd_id.<name>          the id                                set_id
 *      rbd_header.<id>        size, order, features, prefix, times  create, and in the same operation
 *                             limits, where there are any           metadata_set
 *      rbd_object_map.<id>    two bits an object                    object_map_resize (only with the feature)
 *
 * A clone has besides
 *
 *      rbd_header.<id>        the parent, overlap                   parent_attach, op_features_set
 *      rbd_header.<parent>    the clones of each snapshot           child_attach
 *
 * of which the first is a second operation on its header, sent at once: class methods in one operation do not see each other's writes.
 * child_attach waits for it: who undoes half a clone must find in its header where to take it off. So do the clone's names: an image
 * that has a name and no parent was a whole clone, and was flattened since.
 *
 * Each of these operations is atomic, and what it makes is found by name and id alone. So whatever subset of them a crash
 * has let through, sending them again completes the image: "exists" is then an answer to be checked, not an error.
 *
 * tests/ceph compares what comes of it with librbd's own images, key by key.
 */
#include "rbd/internal.h"

#include "rbd/encode.h"

#include <errno.h>
#include <stdio.h>

#define DIRECTORY "rbd_directory"

const char *rb_image_name(const char *uuid, char ret[RB_NAME_ROOM])
{
	(void)snprintf(ret, RB_NAME_ROOM, "volume-%s", uuid);
	return ret;
}

const char *rb_object(char ret[RB_OBJECT_ROOM], const char *kind, const char *name)
{
	(void)snprintf(ret, RB_OBJECT_ROOM, "%s%s", kind, name);
	return ret;
}

uint64_t rb_object_count(uint64_t size, uint8_t order)
{
	return (size >> order) + ((size & ((UINT64_C(1) << order) - 1)) != 0);
}

static void call(rados_write_op_t op, const char *method, const struct enc *in)
{
	rados_write_op_exec(op, "rbd", method, in->at, in->len, NULL);
}

/* --- the operations */

/* One image on its way. */
struct making {
	struct driver_create *c;
	const struct rb_source *source; /* NULL: no parent to attach */
	bool attached;			/* by an earlier try */
	struct flight *look, entry, id, header, parent, child, map;
};

static void add_entry(rados_write_op_t op, const struct driver_image *image)
{
	char name[RB_NAME_ROOM];
	struct enc in = { .len = 0 };

	enc_string(&in, rb_image_name(image->uuid, name));
	enc_string(&in, image->image_id);
	call(op, "dir_add_image", &in);
}

static void send_id(struct rb_backend *be, struct rb_pool *p, struct making *m)
{
	const struct driver_image *image = &m->c->image;
	rados_write_op_t op = rados_create_write_op();
	char name[RB_NAME_ROOM], object[RB_OBJECT_ROOM];
	struct enc in = { .len = 0 };

	enc_string(&in, image->image_id);
	rados_write_op_create(op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
	call(op, "set_id", &in);
	rb_fly(be, &m->id, p->io, rb_object(object, "rbd_id.", rb_image_name(image->uuid, name)),
		op);
}

/* With its limits, so that a header never lacks them: who finds one that exists need not look. */
static void send_header(struct rb_backend *be, struct rb_pool *p, struct making *m)
{
	const struct driver_image *image = &m->c->image;
	rados_write_op_t op = rados_create_write_op();
	char object[RB_OBJECT_ROOM], prefix[RB_NAME_ROOM];
	bool apart = p->data_id >= 0;
	struct enc in = { .len = 0 };

	if (apart)
		(void)snprintf(prefix, sizeof prefix, "rbd_data.%lld.%s", (long long)p->id,
			image->image_id);
	else
		(void)snprintf(prefix, sizeof prefix, "rbd_data.%s", image->image_id);
	enc_u64(&in, image->size);
	enc_u8(&in, be->order);
	enc_u64(&in, rb_features(be, image) | (apart ? RBD_FEATURE_DATA_POOL : 0));
	enc_string(&in, prefix);
	enc_u64(&in, (uint64_t)p->data_id);
	rados_write_op_create(op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
	call(op, "create", &in);
	rb_qos_add(op, m->c);
	rb_fly(be, &m->header, p->io, rb_object(object, "rbd_header.", image->image_id), op);
}

static void send_map(struct rb_backend *be, struct rb_pool *p, struct making *m)
{
	const struct driver_image *image = &m->c->image;
	rados_write_op_t op;
	char object[RB_OBJECT_ROOM];
	struct enc in = { .len = 0 };

	if (!(rb_features(be, image) & RBD_FEATURE_OBJECT_MAP))
		return;
	enc_u64(&in, rb_object_count(image->size, be->order));
	enc_u8(&in, 0); /* no object exists */
	op = rados_create_write_op();
	call(op, "object_map_resize", &in);
	rb_fly(be, &m->map, p->io, rb_object(object, "rbd_object_map.", image->image_id), op);
}

static void send_parent(struct rb_backend *be, struct rb_pool *p, struct making *m)
{
	const struct rb_parent *parent = &m->source->parent;
	rados_write_op_t op = rados_create_write_op();
	struct enc attach = { .len = 0 }, features = { .len = 0 };
	char object[RB_OBJECT_ROOM];
	size_t at = enc_begin(&attach, 1);

	enc_u64(&attach, (uint64_t)parent->pool);
	enc_string(&attach, parent->space);
	enc_string(&attach, parent->id);
	enc_u64(&attach, parent->snap);
	enc_end(&attach, at);
	enc_u64(&attach, m->source->size); /* overlap */
	enc_u8(&attach, 0);		   /* attached for the first time */
	call(op, "parent_attach", &attach);
	enc_u64(&features, RBD_OPERATION_FEATURE_CLONE_CHILD); /* value, mask */
	enc_u64(&features, RBD_OPERATION_FEATURE_CLONE_CHILD);
	call(op, "op_features_set", &features);
	rb_fly(be, &m->parent, p->io, rb_object(object, "rbd_header.", m->c->image.image_id), op);
}

/* A clone as its parent's header knows it. */
static void add_child(rados_write_op_t op, const char *method, struct rb_backend *be,
	struct rb_pool *p, const char *id, uint64_t snap)
{
	struct enc in = { .len = 0 };
	size_t at;

	enc_u64(&in, snap);
	at = enc_begin(&in, 2);
	enc_u64(&in, (uint64_t)p->id);
	enc_string(&in, id);
	enc_string(&in, be->conf->namespace ? be->conf->namespace : "");
	enc_end(&in, at);
	call(op, method, &in);
}

void rb_format_detach(rados_write_op_t op, struct rb_backend *be, struct rb_pool *p, const char *id,
	uint64_t snap)
{
	add_child(op, "child_detach", be, p, id, snap);
}

static void send_child(struct rb_backend *be, struct rb_pool *p, struct making *m)
{
	rados_write_op_t op = rados_create_write_op();
	char object[RB_OBJECT_ROOM];

	add_child(op, "child_attach", be, p, m->c->image.image_id, m->source->parent.snap);
	rb_fly(be, &m->child, p->io, rb_object(object, "rbd_header.", m->source->parent.id), op);
}

/* --- the directory: one operation for many */

static void enter_all(struct rb_backend *be, struct rb_pool *p, struct making *const *m, size_t n)
{
	rados_write_op_t op;

	if (n == 0)
		return;
	op = rados_create_write_op();
	for (size_t i = 0; i < n; i++)
		add_entry(op, &m[i]->c->image);
	rb_fly(be, &m[0]->entry, p->io, DIRECTORY, op);
}

/* One image of the batch was in the directory already, so the shared operation did nothing: each by itself. */
static void enter_each(struct rb_backend *be, struct rb_pool *p, struct making *const *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		rados_write_op_t op = rados_create_write_op();

		add_entry(op, &m[i]->c->image);
		rb_fly(be, &m[i]->entry, p->io, DIRECTORY, op);
	}
	for (size_t i = n; i-- > 0;)
		(void)rb_land(&m[i]->entry);
}

static void land_entries(
	struct rb_backend *be, struct rb_pool *p, struct making *const *m, size_t n)
{
	if (n == 0)
		return;
	(void)rb_land(&m[0]->entry);
	if (n > 1 && m[0]->entry.code == -EEXIST) {
		enter_each(be, p, m, n);
		return;
	}
	for (size_t i = 1; i < n; i++)
		m[i]->entry.code = m[0]->entry.code;
}

/* --- what became of one image */

/* What "it exists" means for a part that a name leads to: 0 if it leads to this image. */
static int same_id(int r, const char *found, const char *id)
{
	return r < 0 ? r : strcmp(found, id) ? -EEXIST : 0;
}

static int judge_entry(struct rb_pool *p, const char *name, const char *id, int code)
{
	char found[RB_NAME_ROOM];

	if (code != -EEXIST)
		return code;
	return same_id(rb_format_entry_of(p, name, found), found, id);
}

static int judge_id(struct rb_pool *p, const char *name, const char *id, int code)
{
	char found[RB_NAME_ROOM];

	if (code != -EEXIST)
		return code;
	return same_id(rb_format_id_of(p, name, found), found, id);
}

/* Takes back a header that this very call made and that has no map: such a one would have to be removed object by object. */
static void take_header_back(struct rb_backend *be, struct rb_pool *p, const char *id)
{
	char object[RB_OBJECT_ROOM];
	struct flight f;

	rb_fly_remove(be, &f, p->io, rb_object(object, "rbd_header.", id));
	(void)rb_land(&f);
}

static int unless_there(int code)
{
	return code == -EEXIST ? 0 : code;
}

/* Sets its result. */
static void judge(struct rb_backend *be, struct rb_pool *p, struct making *m)
{
	char name[RB_NAME_ROOM];
	struct driver_create *c = m->c;
	const char *id = c->image.image_id;
	int codes[6];

	rb_image_name(c->image.uuid, name);
	codes[0] = judge_entry(p, name, id, m->entry.code);
	codes[1] = judge_id(p, name, id, m->id.code);
	codes[2] = unless_there(m->header.code);
	codes[3] = m->map.code;
	codes[4] = m->parent.code;
	codes[5] = unless_there(m->child.code);
	if (m->map.code < 0 && m->header.code == 0)
		take_header_back(be, p, id);
	c->code = 0;
	for (size_t i = 0; i < sizeof codes / sizeof *codes && c->code >= 0; i++)
		c->code = codes[i];
	if (c->code == -EEXIST)
		(void)rb_format_remove(be, p, name, id, NULL, NULL);
	if (c->code == -ENOENT && m->child.code == -ENOENT) {
		rb_known_forget(be, m->source);
		err_set(&c->err, c->code, "cannot create image '%s': what it is made from is gone",
			name);
	} else if (c->code < 0) {
		rb_fail(be, &c->err, c->code, "create image '%s'", name);
	}
}

/* --- clones that an earlier try began */

void rb_format_look(
	struct rb_backend *be, struct rb_pool *p, const struct driver_create *c, struct flight *f)
{
	char object[RB_OBJECT_ROOM];

	*f = (struct flight){ .code = -ENOENT };
	rb_object(object, "rbd_header.", c->image.image_id);
	if (!c->fresh && rb_flight_begin(be, f))
		rb_flight_sent(f, rados_aio_stat(p->io, object, f->done, NULL, NULL));
}

static bool is_same_parent(const struct rb_parent *a, const struct rb_parent *b)
{
	return a->pool == b->pool && a->snap == b->snap && !strcmp(a->id, b->id) &&
	       !strcmp(a->space, b->space);
}

/* There is a header: how far did it get? -EEXIST: it is a clone of something else. */
static int take_up(struct rb_pool *p, struct making *m)
{
	char name[RB_NAME_ROOM], is[NAME_LEN + 1];
	struct rb_header h;
	int r = rb_format_header(p, m->c->image.image_id, &h);

	if (r < 0)
		return r;
	m->attached = h.parent.pool >= 0;
	if (m->attached)
		return is_same_parent(&h.parent, &m->source->parent) ? 0 : -EEXIST;
	rb_image_name(m->c->image.uuid, name);
	if (rb_format_name_of(p, m->c->image.image_id, is) >= 0 && !strcmp(is, name))
		m->source = NULL; /* flattened since */
	return 0;
}

static void take_up_all(struct rb_pool *p, struct making *m, size_t n)
{
	for (size_t i = n; i-- > 0;) {
		int r;

		if (!m[i].source)
			continue;
		r = rb_land(m[i].look);
		if (r >= 0)
			r = take_up(p, &m[i]);
		m[i].parent.code = r == -ENOENT ? 0 : r;
	}
}

/* --- creation */

/* The parts that depend on nothing. */
static void send_first(struct rb_backend *be, struct rb_pool *p, struct making *m)
{
	send_header(be, p, m);
	if (m->source && !m->attached)
		send_parent(be, p, m);
	send_map(be, p, m);
	if (!m->source)
		send_id(be, p, m);
}

static void land_first(struct making *m)
{
	(void)rb_land(&m->id);
	(void)rb_land(&m->map);
	(void)rb_land(&m->parent);
	(void)rb_land(&m->header);
}

/* Those of m that are clones, or those that are not, and have met no error. */
static size_t choose(struct making *m, size_t n, bool clones, struct making *ret[RB_BATCH])
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if ((m[i].source != NULL) == clones && m[i].parent.code >= 0 &&
			unless_there(m[i].header.code) >= 0 && m[i].map.code >= 0)
			ret[count++] = &m[i];
	return count;
}

/* What of a clone must not come before its parent is in its header. */
static void finish_clones(struct rb_backend *be, struct rb_pool *p, struct making *m, size_t n)
{
	struct making *clone[RB_BATCH];
	size_t count = choose(m, n, true, clone);

	enter_all(be, p, clone, count);
	for (size_t i = 0; i < count; i++) {
		send_child(be, p, clone[i]);
		send_id(be, p, clone[i]);
	}
	for (size_t i = count; i-- > 0;) {
		(void)rb_land(&clone[i]->id);
		(void)rb_land(&clone[i]->child);
	}
	land_entries(be, p, clone, count);
}

void rb_format_create(
	struct rb_backend *be, struct rb_pool *p, const struct rb_make *each, size_t n)
{
	struct making m[RB_BATCH], *empty[RB_BATCH];
	size_t count;

	assert(n <= RB_BATCH);
	for (size_t i = 0; i < n; i++)
		m[i] = (struct making){ each[i].c, each[i].source, .look = each[i].look };
	take_up_all(p, m, n);
	/* The directory first: it is the largest, and batches of other threads queue up behind it. */
	count = choose(m, n, false, empty);
	enter_all(be, p, empty, count);
	for (size_t i = 0; i < n; i++)
		if (m[i].parent.code >= 0)
			send_first(be, p, &m[i]);
	for (size_t i = n; i-- > 0;)
		land_first(&m[i]);
	finish_clones(be, p, m, n);
	land_entries(be, p, empty, count);
	for (size_t i = 0; i < n; i++)
		judge(be, p, &m[i]);
}
