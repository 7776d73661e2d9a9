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
 * Each of these operations is atomic, and what it makes is found by name and id alone. So whatever subset of them a crash
 * has let through, sending them again completes the image: "exists" is then an answer to be checked, not an error.
 *
 * tests/ceph compares what comes of it with librbd's own images, key by key.
 */
#include "rbd/internal.h"

#include "rbd/encode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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

/* --- creation */

struct parts {
	struct flight id, header, map;
};

static void add_entry(rados_write_op_t op, const struct driver_image *image)
{
	char name[RB_NAME_ROOM];
	struct enc in = { .len = 0 };

	enc_string(&in, rb_image_name(image->uuid, name));
	enc_string(&in, image->image_id);
	call(op, "dir_add_image", &in);
}

static void send_id(struct rb_backend *be, struct rb_pool *p, const struct driver_image *image,
	struct flight *f)
{
	rados_write_op_t op = rados_create_write_op();
	char name[RB_NAME_ROOM], object[RB_OBJECT_ROOM];
	struct enc in = { .len = 0 };

	enc_string(&in, image->image_id);
	rados_write_op_create(op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
	call(op, "set_id", &in);
	rb_fly(be, f, p->io, rb_object(object, "rbd_id.", rb_image_name(image->uuid, name)), op);
}

/* With its limits, so that a header never lacks them: who finds one that exists need not look. */
static void send_header(
	struct rb_backend *be, struct rb_pool *p, const struct driver_create *c, struct flight *f)
{
	const struct driver_image *image = &c->image;
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
	enc_u64(&in, be->features | (apart ? RBD_FEATURE_DATA_POOL : 0));
	enc_string(&in, prefix);
	enc_u64(&in, (uint64_t)p->data_id);
	rados_write_op_create(op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
	call(op, "create", &in);
	rb_qos_add(op, c);
	rb_fly(be, f, p->io, rb_object(object, "rbd_header.", image->image_id), op);
}

static void send_map(struct rb_backend *be, struct rb_pool *p, const struct driver_image *image,
	struct flight *f)
{
	rados_write_op_t op;
	char object[RB_OBJECT_ROOM];
	struct enc in = { .len = 0 };

	*f = (struct flight){ 0 };
	if (!(be->features & RBD_FEATURE_OBJECT_MAP))
		return;
	enc_u64(&in, rb_object_count(image->size, be->order));
	enc_u8(&in, 0); /* no object exists */
	op = rados_create_write_op();
	call(op, "object_map_resize", &in);
	rb_fly(be, f, p->io, rb_object(object, "rbd_object_map.", image->image_id), op);
}

/* The id object's own content; -ENOENT. */
static int read_id(struct rb_pool *p, const char *name, char ret_id[RB_NAME_ROOM])
{
	char object[RB_OBJECT_ROOM], raw[4 + RB_NAME_ROOM];
	struct dec d = { .at = raw };
	int r = rados_read(p->io, rb_object(object, "rbd_id.", name), raw, sizeof raw, 0);

	if (r < 0)
		return r;
	d.left = (size_t)r;
	dec_string(&d, ret_id, RB_NAME_ROOM);
	return d.bad ? -EBADMSG : 0;
}

static int ask_directory(
	struct rb_pool *p, const char *method, const char *about, char ret[RB_NAME_ROOM])
{
	char raw[4 + RB_NAME_ROOM];
	struct enc in = { .len = 0 };
	struct dec d = { .at = raw };
	int r;

	enc_string(&in, about);
	r = rados_exec(p->io, DIRECTORY, "rbd", method, in.at, in.len, raw, sizeof raw);
	if (r < 0)
		return r;
	d.left = (size_t)r;
	dec_string(&d, ret, RB_NAME_ROOM);
	return d.bad ? -EBADMSG : 0;
}

int rb_format_name_of(struct rb_pool *p, const char *id, char ret_name[RB_NAME_ROOM])
{
	return ask_directory(p, "dir_get_name", id, ret_name);
}

int rb_format_find(struct rb_pool *p, const char *name, char ret_id[RB_NAME_ROOM])
{
	int r = read_id(p, name, ret_id);

	return r == -ENOENT ? ask_directory(p, "dir_get_id", name, ret_id) : r;
}

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
	return same_id(ask_directory(p, "dir_get_id", name, found), found, id);
}

static int judge_id(struct rb_pool *p, const char *name, const char *id, int code)
{
	char found[RB_NAME_ROOM];

	if (code != -EEXIST)
		return code;
	return same_id(read_id(p, name, found), found, id);
}

/* Takes back a header that this very call made and that has no map: such a one would have to be removed object by object. */
static void take_header_back(struct rb_backend *be, struct rb_pool *p, const char *id)
{
	char object[RB_OBJECT_ROOM];
	struct flight f;

	rb_fly_remove(be, &f, p->io, rb_object(object, "rbd_header.", id));
	(void)rb_land(&f);
}

/* What became of one image, all its operations having landed. */
static int judge(struct rb_backend *be, struct rb_pool *p, struct driver_create *c,
	const struct parts *part, int entry)
{
	char name[RB_NAME_ROOM];
	const char *id = c->image.image_id;
	int header = part->header.code == -EEXIST ? 0 : part->header.code;
	int codes[] = { 0, 0, header, part->map.code };

	rb_image_name(c->image.uuid, name);
	codes[0] = judge_entry(p, name, id, entry);
	codes[1] = judge_id(p, name, id, part->id.code);
	if (part->map.code < 0 && part->header.code == 0)
		take_header_back(be, p, id);
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		if (codes[i] >= 0)
			continue;
		if (codes[i] == -EEXIST)
			(void)rb_format_remove(be, p, name, id, NULL);
		return rb_fail(be, &c->err, codes[i], "create image '%s'", name);
	}
	return 0;
}

/* One image of the batch was in the directory already, so the shared operation did nothing: each by itself. */
static void enter_each(struct rb_backend *be, struct rb_pool *p, struct driver_create *each,
	size_t n, struct flight *entry)
{
	for (size_t i = 0; i < n; i++) {
		rados_write_op_t op = rados_create_write_op();

		add_entry(op, &each[i].image);
		rb_fly(be, &entry[i], p->io, DIRECTORY, op);
	}
	for (size_t i = n; i-- > 0;)
		(void)rb_land(&entry[i]);
}

static void enter_all(struct rb_backend *be, struct rb_pool *p, struct driver_create *each,
	size_t n, struct flight *entry)
{
	rados_write_op_t op = rados_create_write_op();

	for (size_t i = 0; i < n; i++)
		add_entry(op, &each[i].image);
	rb_fly(be, entry, p->io, DIRECTORY, op);
}

void rb_format_create(
	struct rb_backend *be, struct rb_pool *p, struct driver_create *each, size_t n)
{
	struct parts part[RB_BATCH];
	struct flight entry[RB_BATCH];

	assert(n <= RB_BATCH);
	/* The directory first: it is the largest, and batches of other threads queue up behind it. */
	enter_all(be, p, each, n, &entry[0]);
	for (size_t i = 0; i < n; i++) {
		send_header(be, p, &each[i], &part[i].header);
		send_map(be, p, &each[i].image, &part[i].map);
		send_id(be, p, &each[i].image, &part[i].id);
	}
	for (size_t i = n; i-- > 0;) {
		(void)rb_land(&part[i].id);
		(void)rb_land(&part[i].map);
		(void)rb_land(&part[i].header);
	}
	(void)rb_land(&entry[0]);
	if (n > 1 && entry[0].code == -EEXIST)
		enter_each(be, p, each, n, entry);
	else
		for (size_t i = 1; i < n; i++)
			entry[i] = entry[0];
	for (size_t i = 0; i < n; i++)
		each[i].code = judge(be, p, &each[i], &part[i], entry[i].code);
}

/* --- what is there */

/* Adds the questions to a read operation; the answers lie in q until rb_header_answer(). */
rados_read_op_t rb_header_ask(struct rb_header_query *q)
{
	rados_read_op_t op = rados_create_read_op();
	struct enc snap = { .len = 0 }, snap_ro = { .len = 0 };
	static const char *const methods[RB_QUESTIONS] = {
		"get_size",
		"get_features",
		"get_flags",
		"get_snapcontext",
		"get_data_pool",
		"parent_get",
	};

	enc_u64(&snap, RB_NO_SNAP);
	enc_u64(&snap_ro, RB_NO_SNAP);
	enc_u8(&snap_ro, 1);
	for (size_t i = 0; i < RB_QUESTIONS; i++) {
		const struct enc *in = i == 1 ? &snap_ro : &snap;
		size_t len = i < 3 ? in->len : 0;

		q->len[i] = 0;
		q->code[i] = 0;
		rados_read_op_exec_user_buf(op, "rbd", methods[i], in->at, len, q->answer[i],
			sizeof q->answer[i], &q->len[i], &q->code[i]);
	}
	return op;
}

int rb_header_answer(const struct rb_header_query *q, struct rb_header *ret)
{
	struct dec d[RB_QUESTIONS];
	bool many = q->code[3] == -ERANGE; /* more snapshots than fit: they need not be counted */

	for (size_t i = 0; i < RB_QUESTIONS; i++) {
		d[i] = (struct dec){ q->answer[i], q->len[i], false };
		if (q->code[i] < 0 && !(many && i == 3))
			return q->code[i];
	}
	ret->order = dec_u8(&d[0]);
	ret->size = dec_u64(&d[0]);
	ret->features = dec_u64(&d[1]);
	ret->flags = dec_u64(&d[2]);
	(void)dec_u64(&d[3]);
	ret->snapshots = many ? 1 : dec_u32(&d[3]);
	ret->data_pool = (int64_t)dec_u64(&d[4]);
	dec_begin(&d[5]);
	ret->cloned = (int64_t)dec_u64(&d[5]) >= 0;
	for (size_t i = 0; i < RB_QUESTIONS; i++)
		if (d[i].bad && !(many && i == 3))
			return -EBADMSG;
	return ret->order >= 12 && ret->order <= 25 ? 0 : -EBADMSG;
}

int rb_format_header(struct rb_pool *p, const char *id, struct rb_header *ret)
{
	struct rb_header_query q;
	char object[RB_OBJECT_ROOM];
	rados_read_op_t op = rb_header_ask(&q);
	int r = rados_read_op_operate(op, p->io, rb_object(object, "rbd_header.", id), 0);

	rados_release_read_op(op);
	return r < 0 ? r : rb_header_answer(&q, ret);
}

int rb_format_complete(struct rb_pool *p, const char *name, const char *id, uint64_t size)
{
	char object[RB_OBJECT_ROOM], found[RB_NAME_ROOM];
	struct rb_header h;
	uint64_t bytes;
	int r = rb_format_header(p, id, &h);

	if (r < 0)
		return r;
	if (h.size != size)
		return -ENOENT;
	r = read_id(p, name, found);
	if (r < 0 || strcmp(found, id))
		return r < 0 ? r : -ENOENT;
	r = ask_directory(p, "dir_get_id", name, found);
	if (r < 0 || strcmp(found, id))
		return r < 0 ? r : -ENOENT;
	if (!(h.features & RBD_FEATURE_OBJECT_MAP))
		return 0;
	return rados_stat(p->io, rb_object(object, "rbd_object_map.", id), &bytes, NULL);
}

/*
 * An object map is a bit vector: u32 length of a header that holds the number of entries, then the bits, then check sums
 * (which we do not need: what is wrong here shows as objects that are left over, and those the tests look for).
 */
int rb_format_map(struct rb_pool *p, const char *id, uint64_t count, unsigned char **ret_bits)
{
	char object[RB_OBJECT_ROOM];
	uint64_t bytes;
	size_t head, room, body = (size_t)((count + 3) / 4);
	struct dec d;
	unsigned char *bits;
	int r;

	*ret_bits = NULL;
	room = body + body / 512 + 4096; /* check sums: 4 bytes for each 4 KiB */
	bits = malloc(room);
	if (!bits)
		return -ENOMEM;
	r = rados_read(p->io, rb_object(object, "rbd_object_map.", id), (char *)bits, room, 0);
	d = (struct dec){ (char *)bits, r < 0 ? 0 : (size_t)r, false };
	head = dec_u32(&d);
	dec_begin(&d);
	bytes = dec_u64(&d);
	if (r >= 0 && (d.bad || bytes != count || (size_t)r < 4 + head + body))
		r = -EINVAL;
	if (r < 0) {
		free(bits);
		return r;
	}
	memmove(bits, bits + 4 + head, body);
	*ret_bits = bits;
	return 0;
}
