/*
 * What an image's header says of its snapshots, asked through the object class: two round trips for up to SHEAF of them, without
 * opening the image. A snapshot that was removed while clones needed it lies in the trash namespace, under a name of librbd's making,
 * until the last of them is gone.
 */
#include "rbd/internal.h"

#include "base/cleanup.h"
#include "rbd/encode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	SHEAF = 32,  /* snapshots asked for by one operation */
	TRIES = 100, /* each is spoilt by a snapshot that goes meanwhile */
};

/* --- one snapshot */

static void ask(rados_read_op_t op, uint64_t id, struct rb_snap_query *a)
{
	struct enc in = { .len = 0 };

	enc_u64(&in, id);
	rados_read_op_exec_user_buf(op, "rbd", "snapshot_get", in.at, in.len, a->info,
		sizeof a->info, &a->info_len, &a->info_code);
	rados_read_op_exec_user_buf(op, "rbd", "get_protection_status", in.at, in.len,
		a->protection, sizeof a->protection, &a->protection_len, &a->protection_code);
}

/* The namespace: of what kind, and what kind it had before it went to the trash. Its name then replaces the one that librbd made. */
static void read_space(struct dec *d, struct rb_snap *ret, char name[RB_SNAP_NAME_ROOM])
{
	struct dec body;
	uint32_t len;

	dec_raw(d, NULL, 2);
	len = dec_u32(d);
	body = (struct dec){ d->at, len, d->bad || len > d->left };
	dec_raw(d, NULL, len);
	ret->space = (enum rb_snap_space)dec_u32(&body);
	if (ret->space == RB_SNAP_TRASH)
		dec_string_cut(&body, name, RB_SNAP_NAME_ROOM);
	d->bad = d->bad || body.bad;
}

rados_read_op_t rb_snap_ask(struct rb_snap_query *q, uint64_t id)
{
	rados_read_op_t op = rados_create_read_op();

	ask(op, id, q);
	return op;
}

int rb_snap_answer(const struct rb_snap_query *a, struct rb_snap *ret)
{
	struct dec d = { a->info, a->info_len, false },
		   protection = { a->protection, a->protection_len, false };
	char before[RB_SNAP_NAME_ROOM] = "";
	uint32_t seconds, nanoseconds;

	if (a->info_code < 0 || a->protection_code < 0)
		return a->info_code < 0 ? a->info_code : a->protection_code;
	*ret = (struct rb_snap){ .last = false };
	dec_begin(&d);
	ret->id = dec_u64(&d);
	read_space(&d, ret, before);
	dec_string_cut(&d, ret->name, sizeof ret->name);
	ret->size = dec_u64(&d);
	seconds = dec_u32(&d);
	nanoseconds = dec_u32(&d);
	ret->created_us = (int64_t)seconds * 1000000 + nanoseconds / 1000;
	ret->children = dec_u32(&d);
	ret->is_protected = dec_u8(&protection) != 0;
	if (ret->space == RB_SNAP_TRASH)
		memcpy(ret->name, before, sizeof before);
	return d.bad || protection.bad ? -EBADMSG : 0;
}

/* n ≤ SHEAF; -ENOENT: one of them is gone, or the image. */
static int get_sheaf(
	struct rb_pool *p, const char *header, const uint64_t *id, size_t n, struct rb_snap *ret)
{
	CLEANUP_FREE struct rb_snap_query *a = calloc(n, sizeof *a);
	rados_read_op_t op;
	int r;

	if (!a)
		return -ENOMEM;
	op = rados_create_read_op();
	for (size_t i = 0; i < n; i++)
		ask(op, id[i], &a[i]);
	r = rados_read_op_operate(op, p->io, header, 0);
	rados_release_read_op(op);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = rb_snap_answer(&a[i], &ret[i]);
	return r < 0 ? r : 0;
}

int rb_snap_get(struct rb_pool *p, const char *image_id, uint64_t id, struct rb_snap *ret)
{
	char header[RB_OBJECT_ROOM];

	return get_sheaf(p, rb_object(header, "rbd_header.", image_id), &id, 1, ret);
}

/* --- all of them */

/* The ids, the oldest first, out of what get_snapcontext answered: *ret malloc'ed; how many. */
static int read_ids(const char *raw, size_t len, uint64_t **ret)
{
	struct dec d = { raw, len, false };
	uint32_t n;

	(void)dec_u64(&d);
	n = dec_u32(&d);
	if (d.bad || d.left < n * sizeof **ret)
		return -EBADMSG;
	*ret = malloc(n * sizeof **ret + 1);
	if (!*ret)
		return -ENOMEM;
	for (uint32_t i = n; i-- > 0;)
		(*ret)[i] = dec_u64(&d);
	return (int)n;
}

static int get_ids(struct rb_pool *p, const char *header, uint64_t **ret)
{
	int r = -ERANGE;

	for (size_t room = 4096; r == -ERANGE && room <= 16 << 20; room *= 16) {
		CLEANUP_FREE char *raw = malloc(room);

		if (!raw)
			return -ENOMEM;
		r = rados_exec(p->io, header, "rbd", "get_snapcontext", NULL, 0, raw, room);
		if (r >= 0)
			return read_ids(raw, (size_t)r, ret);
	}
	return r;
}

static int get_each(
	struct rb_pool *p, const char *header, const uint64_t *id, int n, struct rb_snap **ret)
{
	CLEANUP_FREE struct rb_snap *all = calloc((size_t)n + 1, sizeof *all);
	int r = all ? 0 : -ENOMEM;

	for (int i = 0; i < n && r >= 0; i += SHEAF)
		r = get_sheaf(p, header, id + i, (size_t)(n - i < SHEAF ? n - i : SHEAF), all + i);
	if (r < 0)
		return r;
	*ret = take_ptr(&all);
	return n;
}

/* -ENOENT: one was removed meanwhile; -ESTALE: there is no image. */
static int list_once(struct rb_pool *p, const char *image_id, struct rb_snap **ret)
{
	CLEANUP_FREE uint64_t *id = NULL;
	char header[RB_OBJECT_ROOM];
	int n = get_ids(p, rb_object(header, "rbd_header.", image_id), &id);

	if (n < 0)
		return n == -ENOENT ? -ESTALE : n;
	return get_each(p, header, id, n, ret);
}

static void mark_last(struct rb_snap *all, int n)
{
	while (n-- > 0)
		if (all[n].space == RB_SNAP_USER) {
			all[n].last = true;
			return;
		}
}

int rb_snap_list(struct rb_pool *p, const char *image_id, struct rb_snap **ret)
{
	int n = -ENOENT;

	*ret = NULL;
	for (int i = 0; i < TRIES && n == -ENOENT; i++)
		n = list_once(p, image_id, ret);
	if (n < 0)
		return n == -ESTALE ? -ENOENT : n == -ENOENT ? -EAGAIN : n;
	mark_last(*ret, n);
	return n;
}

static int find(const struct rb_snap *all, int n, const char *name, struct rb_snap *ret)
{
	for (int i = 0; i < n; i++)
		if (all[i].space == RB_SNAP_USER && !strcmp(all[i].name, name)) {
			*ret = all[i];
			return 0;
		}
	return n < 0 ? n : -ENOENT;
}

int rb_snap_find(
	struct rb_pool *p, const char *image_id, const char *snap_name, struct rb_snap *ret)
{
	CLEANUP_FREE struct rb_snap *all = NULL;
	int n = rb_snap_list(p, image_id, &all);

	return find(all, n, snap_name, ret);
}

int rb_snap_find_in(struct rb_pool *p, const char *image_id, const struct rb_header_query *q,
	const char *snap_name, struct rb_snap *ret)
{
	CLEANUP_FREE struct rb_snap *all = NULL;
	CLEANUP_FREE uint64_t *id = NULL;
	char header[RB_OBJECT_ROOM];
	int n = q->code[RB_QUESTION_SNAPS];

	if (n >= 0)
		n = read_ids(q->answer[RB_QUESTION_SNAPS], q->len[RB_QUESTION_SNAPS], &id);
	if (n >= 0)
		n = get_each(p, rb_object(header, "rbd_header.", image_id), id, n, &all);
	/* More than fit there, or one of them went meanwhile. */
	if (n == -ERANGE || n == -ENOENT)
		return rb_snap_find(p, image_id, snap_name, ret);
	mark_last(all, n);
	return find(all, n, snap_name, ret);
}

/* --- names */

const char *rb_snap_name(const struct driver_snap *snap, char ret[RB_NAME_ROOM])
{
	if (snap->temporary)
		(void)snprintf(ret, RB_NAME_ROOM, "volume-%s.clone_snap", snap->uuid);
	else
		(void)snprintf(ret, RB_NAME_ROOM, "snapshot-%s", snap->uuid);
	return ret;
}
