/* What there is of an image: its names, its header, its object map; asked through the object class or read. */
#include "rbd/internal.h"

#include "rbd/encode.h"

#include <errno.h>
#include <stdlib.h>

/* --- names */

int rb_format_id_of(struct rb_pool *p, const char *name, char ret_id[RB_NAME_ROOM])
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
	struct rb_pool *p, const char *method, const char *about, char *ret, size_t room)
{
	char raw[4 + NAME_LEN + 1];
	struct enc in = { .len = 0 };
	struct dec d = { .at = raw };
	int r;

	enc_string(&in, about);
	r = rados_exec(p->io, "rbd_directory", "rbd", method, in.at, in.len, raw, sizeof raw);
	if (r < 0)
		return r;
	d.left = (size_t)r;
	dec_string(&d, ret, room);
	return d.bad ? -EBADMSG : 0;
}

int rb_format_entry_of(struct rb_pool *p, const char *name, char ret_id[RB_NAME_ROOM])
{
	return ask_directory(p, "dir_get_id", name, ret_id, RB_NAME_ROOM);
}

int rb_format_name_of(struct rb_pool *p, const char *id, char ret_name[NAME_LEN + 1])
{
	return ask_directory(p, "dir_get_name", id, ret_name, NAME_LEN + 1);
}

int rb_format_find(struct rb_pool *p, const char *name, char ret_id[RB_NAME_ROOM])
{
	int r = rb_format_id_of(p, name, ret_id);

	return r == -ENOENT ? rb_format_entry_of(p, name, ret_id) : r;
}

/* --- header */

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
		"op_features_get",
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

/* The parent: like one in a pool that there cannot be, if what there is of it does not fit here. */
static void read_parent(struct dec *d, bool too_long, struct rb_parent *ret)
{
	*ret = (struct rb_parent){ .pool = INT64_MAX };
	if (too_long)
		return;
	dec_begin(d);
	ret->pool = (int64_t)dec_u64(d);
	dec_string_cut(d, ret->space, sizeof ret->space);
	dec_string_cut(d, ret->id, sizeof ret->id);
	ret->snap = dec_u64(d);
}

int rb_header_answer(const struct rb_header_query *q, struct rb_header *ret)
{
	struct dec d[RB_QUESTIONS];
	bool many = q->code[RB_QUESTION_SNAPS] ==
		    -ERANGE; /* more snapshots than fit: they need not be counted */
	bool too_long = q->code[5] == -ERANGE;

	for (size_t i = 0; i < RB_QUESTIONS; i++) {
		d[i] = (struct dec){ q->answer[i], q->len[i], false };
		if (q->code[i] < 0 && !(many && i == RB_QUESTION_SNAPS) && !(too_long && i == 5))
			return q->code[i];
	}
	ret->order = dec_u8(&d[0]);
	ret->size = dec_u64(&d[0]);
	ret->features = dec_u64(&d[1]);
	ret->flags = dec_u64(&d[2]);
	(void)dec_u64(&d[RB_QUESTION_SNAPS]);
	ret->snapshots = many ? 1 : dec_u32(&d[RB_QUESTION_SNAPS]);
	ret->data_pool = (int64_t)dec_u64(&d[4]);
	read_parent(&d[5], too_long, &ret->parent);
	ret->op_features = dec_u64(&d[6]);
	for (size_t i = 0; i < RB_QUESTIONS; i++)
		if (d[i].bad && !(many && i == RB_QUESTION_SNAPS))
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
	r = rb_format_id_of(p, name, found);
	if (r < 0 || strcmp(found, id))
		return r < 0 ? r : -ENOENT;
	r = rb_format_entry_of(p, name, found);
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
