/*
 * Removal by the object class: four waves of operations, each under way at once.
 *
 *   1  header   watch it; take librbd's own lock; notify "header updated"; ask what it is
 *   2  directory entry gone; object map read
 *   3  data objects that exist; a clone is taken off its parent, and perhaps its snapshot with it (release.c)
 *   4  id object, map, header; the watch goes with the header
 *
 * Wave 1 decides, and until it has, nothing is changed but lock and watch, which are taken back:
 *  - Whoever has the image open read-write watches its header, and acknowledges the notification: an acknowledgement that is not
 *    our own is somebody. One that does not come (time-out) is somebody too: perhaps only slow.
 *  - The lock is the one that a writer holds. It carries librbd's tag and names our watch in its cookie, and the watch comes
 *    before it: a lock without the tag makes librbd wait for ever, one whose owner does not watch is broken by librbd at
 *    once, and its owner blocklisted.
 *  - A lock that is held though nobody watches is a dead one's. As librbd does, fence the owner first (it may only have lost
 *    its watch), then break the lock.
 *
 * The header is what says that there may be data, and a parent, so it goes last. Without one only names and a map can be left.
 */
#include "rbd/internal.h"

#include "base/cleanup.h"
#include "rbd/encode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	NOTIFY_MS = 5000,
	DATA_FLIGHTS = 64,
	WATCH_SECONDS = 30, /* the OSD forgets a watch that long after its client has died */
	SNAP_TRIES = 3,
};

enum { HAS_SNAPSHOTS = RB_NOT_PLAIN + 1 }; /* of take_hold(): to be looked at */

struct removal {
	struct rb_backend *be;
	struct rb_pool *p;
	const char *name, *id;
	char header[RB_OBJECT_ROOM], map[RB_OBJECT_ROOM];
	uint64_t watch;
	char cookie[32];
	bool others; /* the notification reached somebody else */
	struct rb_header h;
	struct driver_progress *progress;
	struct rb_meter meter;
	uint64_t objects,
		gone; /* data objects: as far as known, and those of which the OSD has said so */
};

/* Runs in librados' thread: answers our own notification, and those of people who come now. */
static void notified(
	void *arg, uint64_t notify, uint64_t handle, uint64_t from, void *data, size_t len)
{
	struct removal *m = arg;

	(void)rados_notify_ack(m->p->io, m->header, notify, handle, NULL, 0);
}

/* --- wave 1 */

static void send_watch(struct removal *m, struct flight *f)
{
	if (rb_flight_begin(m->be, f))
		rb_flight_sent(f, rados_aio_watch2(m->p->io, m->header, f->done, &m->watch,
					  notified, NULL, WATCH_SECONDS, m));
	(void)snprintf(m->cookie, sizeof m->cookie, "auto %" PRIu64, m->watch);
}

static void send_lock(struct removal *m, struct flight *f)
{
	rados_write_op_t op = rados_create_write_op();
	struct enc in = { .len = 0 };
	size_t at = enc_begin(&in, 1);

	enc_string(&in, RB_LOCK_NAME);
	enc_u8(&in, 1); /* exclusive */
	enc_string(&in, m->cookie);
	enc_string(&in, RB_LOCK_TAG);
	enc_string(&in, ""); /* description */
	enc_u64(&in, 0);     /* no expiry */
	enc_u8(&in, 0);	     /* flags */
	enc_end(&in, at);
	rados_write_op_assert_exists(op); /* a lock would make the object */
	rados_write_op_exec(op, "lock", "lock", in.at, in.len, NULL);
	rb_fly(m->be, f, m->p->io, m->header, op);
}

static void send_notify(struct removal *m, struct flight *f, char **reply, size_t *len)
{
	struct enc in = { .len = 0 };

	enc_header_updated(&in);
	if (rb_flight_begin(m->be, f))
		rb_flight_sent(f, rados_aio_notify(m->p->io, m->header, f->done, in.at, (int)in.len,
					  NOTIFY_MS, reply, len));
}

static void send_question(
	struct removal *m, struct flight *f, struct rb_header_query *q, rados_read_op_t *ret_op)
{
	*ret_op = rb_header_ask(q);
	if (rb_flight_begin(m->be, f))
		rb_flight_sent(
			f, rados_aio_read_op_operate(*ret_op, m->p->io, f->done, m->header, 0));
}

/* This very watch, in time: any other of this process is somebody, too. */
static bool is_this_watch(const void *arg, uint64_t client, uint64_t watch, bool late)
{
	const struct removal *m = arg;

	return !late && client == rados_get_instance_id(m->p->cluster) && watch == m->watch;
}

static int read_replies(struct removal *m, const char *reply, size_t len)
{
	int r = rb_others(reply, len, is_this_watch, m);

	m->others = r > 0;
	return r < 0 ? r : 0;
}

static int notify_result(struct removal *m, struct flight *f, const char *reply, size_t len)
{
	if (f->code < 0 && f->code != -ETIMEDOUT)
		return f->code;
	return read_replies(m, reply, len);
}

/* The lock is held, and nobody watches: fences its owner and breaks it. */
static int break_dead_lock(struct removal *m)
{
	struct rb_locker l;
	uint64_t gid = 0;
	int r = rb_locker_of(m->p, m->header, &l);

	if (r <= 0)
		return r; /* 0: given up meanwhile */
	if (!rb_is_writer(&l) || sscanf(l.client, "client.%" SCNu64, &gid) != 1)
		return -EBUSY;
	if (gid == rados_get_instance_id(m->p->cluster))
		return -EBUSY; /* another thread of ours */
	r = rb_fence_one(m->be, m->p->cluster, l.address);
	if (r >= 0)
		r = rados_break_lock(m->p->io, m->header, RB_LOCK_NAME, l.client, l.cookie);
	return r == -ENOENT ? 0 : r;
}

static int lock_again(struct removal *m)
{
	struct flight f;
	int r = break_dead_lock(m);

	if (r < 0)
		return r;
	send_lock(m, &f);
	return rb_land(&f);
}

static void unwatch(struct removal *m)
{
	(void)rados_unwatch2(m->p->io, m->watch);
	(void)rados_watch_flush(m->p->cluster); /* `notified` has seen the last of m */
}

static void back_off(struct removal *m)
{
	(void)rados_unlock(m->p->io, m->header, RB_LOCK_NAME, m->cookie);
	unwatch(m);
}

/* No clone, or one of format 2 whose parent is in this very pool and namespace. */
static bool is_plain_clone(const struct removal *m)
{
	const char *space = m->be->conf->namespace ? m->be->conf->namespace : "";
	const struct rb_parent *parent = &m->h.parent;

	return parent->pool < 0 || (parent->pool == m->p->id && !strcmp(parent->space, space) &&
					   m->h.op_features & RBD_OPERATION_FEATURE_CLONE_CHILD);
}

/* May it be removed, and by us? The lock aside. */
static int judge(const struct removal *m)
{
	const struct rb_header *h = &m->h;

	if (m->others)
		return -EBUSY;
	if (h->snapshots)
		return HAS_SNAPSHOTS;
	if (!rb_is_plain(h) || !is_plain_clone(m))
		return RB_NOT_PLAIN;
	return h->data_pool >= 0 && h->data_pool != m->p->data_id ? RB_NOT_PLAIN : 0;
}

/* 0: ours to remove, lock and watch held. RB_NOT_PLAIN, -ENOENT (no header), -EBUSY, …: lock and watch given back. */
static int take_hold(struct removal *m)
{
	struct flight watch, lock, notify, question;
	struct rb_header_query q;
	rados_read_op_t op;
	char *reply = NULL;
	size_t len = 0;
	int r;

	send_watch(m, &watch);
	send_lock(m, &lock);
	send_notify(m, &notify, &reply, &len);
	send_question(m, &question, &q, &op);
	(void)rb_land(&notify);
	(void)rb_land(&question);
	(void)rb_land(&lock);
	(void)rb_land(&watch);
	rados_release_read_op(op);
	r = notify_result(m, &notify, reply, len);
	rados_buffer_free(reply);
	if (watch.code < 0) {
		if (lock.code >= 0)
			(void)rados_unlock(m->p->io, m->header, RB_LOCK_NAME, m->cookie);
		(void)rados_watch_flush(m->p->cluster);
		return watch.code;
	}
	if (r >= 0)
		r = question.code < 0 ? question.code : rb_header_answer(&q, &m->h);
	if (r >= 0)
		r = judge(m);
	if (r == 0 && lock.code < 0)
		r = lock.code = lock.code == -EBUSY ? lock_again(m) : lock.code;
	if (r == 0)
		return 0;
	if (lock.code >= 0)
		back_off(m);
	else
		unwatch(m);
	return r;
}

/* The same, once the snapshots that go with it have gone. */
static int take_hold_alone(struct removal *m)
{
	int r = HAS_SNAPSHOTS;

	for (int i = 0; i < SNAP_TRIES && r == HAS_SNAPSHOTS; i++) {
		r = take_hold(m);
		if (r == HAS_SNAPSHOTS) {
			int cleared = rb_snaps_clear(m->p, m->id);

			r = cleared < 0 ? cleared : r;
		}
	}
	return r == HAS_SNAPSHOTS ? -ENOTEMPTY : r; /* somebody goes on taking them */
}

/* --- waves 2 to 4 */

static void send_entry(struct removal *m, struct flight *f)
{
	rados_write_op_t op = rados_create_write_op();
	struct enc in = { .len = 0 };

	enc_string(&in, m->name);
	enc_string(&in, m->id);
	rados_write_op_exec(op, "rbd", "dir_remove_image", in.at, in.len, NULL);
	rb_fly(m->be, f, m->p->io, "rbd_directory", op);
}

/* The id object, if it leads to this id. */
static void send_id(struct removal *m, struct flight *f)
{
	rados_write_op_t op = rados_create_write_op();
	char object[RB_OBJECT_ROOM];
	struct enc id = { .len = 0 };

	enc_string(&id, m->id);
	rados_write_op_cmpext(op, id.at, id.len, 0, NULL);
	rados_write_op_remove(op);
	rb_fly(m->be, f, m->p->io, rb_object(object, "rbd_id.", m->name), op);
}

static bool is_mismatch(int code) /* of cmpext: -MAX_ERRNO - offset */
{
	return code <= -4095;
}

static int worst(int a, int b)
{
	if (a < 0 && a != -ENOENT)
		return a;
	return b < 0 && b != -ENOENT && !is_mismatch(b) ? b : 0;
}

/* Without a map every object there could be has to be asked for. */
static void meter_data(struct removal *m, const unsigned char *bits, uint64_t count)
{
	uint64_t bytes;

	m->objects = bits ? 0 : count;
	for (uint64_t i = 0; bits && i < count; i++) {
		if (i % 4 == 0 && !bits[i / 4])
			i += 3;
		else
			m->objects += rb_map_state(bits, i) != 0;
	}
	bytes = m->objects << m->h.order;
	rb_meter_start(&m->meter, m->progress, bytes < m->h.size ? bytes : m->h.size);
}

/* 0 also for an object that was not there, and for a flight that never began. */
static int land_data(struct removal *m, struct flight *f)
{
	bool sent = f->done != NULL;
	int r = rb_land(f);

	if (sent)
		(void)rb_meter_tell(++m->gone, m->objects, &m->meter);
	return r == -ENOENT ? 0 : r;
}

static int remove_data(struct removal *m, const unsigned char *bits)
{
	struct flight flight[DATA_FLIGHTS] = { 0 };
	uint64_t count = rb_object_count(m->h.size, m->h.order), sent = 0;
	rados_ioctx_t io = m->h.data_pool >= 0 ? m->p->data : m->p->io;
	char prefix[RB_NAME_ROOM], object[RB_OBJECT_ROOM];
	int r = 0;

	meter_data(m, bits, count);
	if (m->h.data_pool >= 0)
		(void)snprintf(prefix, sizeof prefix, "%lld.%s", (long long)m->p->id, m->id);
	else
		(void)snprintf(prefix, sizeof prefix, "%s", m->id);
	for (uint64_t i = 0; i < count && r >= 0; i++) {
		struct flight *f = &flight[sent % DATA_FLIGHTS];

		if (bits && !bits[i / 4] && i % 4 == 0) {
			i += 3; /* four at a step where nothing is */
			continue;
		}
		if (bits && !rb_map_state(bits, i))
			continue;
		r = land_data(m, f);
		(void)snprintf(object, sizeof object, "rbd_data.%s.%016" PRIx64, prefix, i);
		rb_fly_remove(m->be, f, io, object);
		sent++;
	}
	for (size_t i = 0; i < DATA_FLIGHTS; i++) {
		int last = land_data(m, &flight[i]);

		r = last < 0 ? last : r;
	}
	return r;
}

/* A clone on its way off its parent. */
struct leaving {
	struct flight detach; /* -ENOENT: it was off already, or its parent is gone */
	struct flight look;   /* what that leaves of the snapshot */
	struct rb_snap_query query;
	rados_read_op_t op;
};

/* The look comes behind the detachment, though both are under way: the flag makes the OSD keep their order. */
static void send_leaving(struct removal *m, struct leaving *l)
{
	const struct rb_parent *parent = &m->h.parent;
	rados_write_op_t op = rados_create_write_op();
	char header[RB_OBJECT_ROOM];

	rb_object(header, "rbd_header.", parent->id);
	rados_write_op_assert_exists(op);
	rb_format_detach(op, m->be, m->p, m->id, parent->snap);
	rb_fly(m->be, &l->detach, m->p->io, header, op);
	l->op = rb_snap_ask(&l->query, parent->snap);
	if (rb_flight_begin(m->be, &l->look))
		rb_flight_sent(&l->look, rados_aio_read_op_operate(l->op, m->p->io, l->look.done,
						 header, LIBRADOS_OPERATION_ORDER_READS_WRITES));
}

/* r: of what else there was to do. */
static int land_leaving(struct removal *m, struct leaving *l, int r)
{
	struct rb_snap snap = { .id = m->h.parent.snap };
	int look = rb_land(&l->look);

	rados_release_read_op(l->op);
	if (look >= 0)
		look = rb_snap_answer(&l->query, &snap);
	r = worst(r, rb_land(&l->detach));
	if (r >= 0)
		rb_parent_release(m->be, m->p, &m->h.parent, look, &snap);
	return r;
}

/* Wave 3. */
static int remove_contents(struct removal *m, const unsigned char *bits)
{
	struct leaving leaving;
	int r;

	if (m->h.parent.pool < 0)
		return remove_data(m, bits);
	send_leaving(m, &leaving);
	r = remove_data(m, bits);
	return land_leaving(m, &leaving, r);
}

/* The map's bits; NULL where there is none that can be trusted: then every object has to be asked for. */
static int read_map(struct removal *m, unsigned char **ret)
{
	uint64_t count = rb_object_count(m->h.size, m->h.order);
	int r;

	*ret = NULL;
	if (!(m->h.features & RBD_FEATURE_OBJECT_MAP) || m->h.flags & RBD_FLAG_OBJECT_MAP_INVALID)
		return 0;
	r = rb_format_map(m->p, m->id, count, ret);
	return r == -ENOENT || r == -EINVAL ? 0 : r;
}

/* An entry of ours in librbd's trash: a removal by librbd that did not come to its end. */
static int remove_trash_entry(struct removal *m)
{
	rados_write_op_t op = rados_create_write_op();
	struct enc in = { .len = 0 };
	struct flight f;
	int r;

	enc_string(&in, m->id);
	rados_write_op_assert_exists(op);
	rados_write_op_exec(op, "rbd", "trash_remove", in.at, in.len, NULL);
	rb_fly(m->be, &f, m->p->io, "rbd_trash", op);
	r = rb_land(&f);
	return r == -ENOENT ? 0 : r;
}

/* Wave 4. had_entry: the directory led to this image. An enum rb_removed. */
static int remove_parts(struct removal *m, bool had_entry, bool had_header)
{
	struct flight id, map, header = { 0 }, watch = { 0 };
	int r;

	send_id(m, &id);
	rb_fly_remove(m->be, &map, m->p->io, m->map);
	if (had_header) {
		rb_fly_remove(m->be, &header, m->p->io, m->header);
		if (rb_flight_begin(m->be, &watch))
			rb_flight_sent(&watch, rados_aio_unwatch(m->p->io, m->watch, watch.done));
	}
	(void)rb_land(&watch); /* -ENOENT: it went with the header */
	(void)rb_land(&header);
	(void)rb_land(&map);
	(void)rb_land(&id);
	r = worst(header.code, worst(map.code, id.code));
	if (r >= 0 && !had_entry)
		r = remove_trash_entry(m);
	if (r < 0)
		return r;
	return had_header && had_entry && id.code >= 0 ? RB_REMOVED : RB_REMOVED_PARTS;
}

/* Has a person renamed it? Then the directory leads from its id to another name, and it is theirs. */
static bool is_renamed(struct removal *m)
{
	char name[NAME_LEN + 1];

	return rb_format_name_of(m->p, m->id, name) >= 0 && strcmp(name, m->name);
}

static int remove_held(struct removal *m)
{
	CLEANUP_FREE unsigned char *bits = NULL;
	struct flight entry;
	int r, map;

	send_entry(m, &entry);
	map = read_map(m, &bits);
	(void)rb_land(&entry);
	r = worst(map, entry.code == -ESTALE ? 0 : entry.code);
	if (r >= 0 && entry.code < 0 && is_renamed(m)) {
		back_off(m);
		return RB_REMOVED_PARTS;
	}
	if (r >= 0)
		r = remove_contents(m, bits);
	if (r < 0) {
		back_off(m);
		return r;
	}
	r = remove_parts(m, entry.code >= 0, true);
	(void)rados_watch_flush(m->p->cluster);
	return r;
}

static int remove_without_header(struct removal *m)
{
	struct flight entry;
	int r;

	send_entry(m, &entry);
	(void)rb_land(&entry);
	r = worst(entry.code == -ESTALE ? 0 : entry.code, 0);
	return r < 0 ? r : remove_parts(m, entry.code >= 0, false);
}

int rb_format_remove(struct rb_backend *be, struct rb_pool *p, const char *name, const char *id,
	struct driver_progress *progress, struct err *err)
{
	struct removal m = { .be = be, .p = p, .name = name, .id = id, .progress = progress };
	struct err why = { 0 };
	struct rb_handle *alone;
	int r = rb_handle_alone(be, p, id, &alone);

	if (r < 0)
		return rb_fail(be, err, r, "remove image '%s'", name);
	rb_object(m.header, "rbd_header.", id);
	rb_object(m.map, "rbd_object_map.", id);
	r = take_hold_alone(&m);
	if (r == 0)
		r = remove_held(&m);
	else if (r == -ENOENT)
		r = remove_without_header(&m);
	rb_handle_put(be, alone);
	if (r == -EBUSY && rb_judge_lock(p, id, &why) == -EBUSY)
		return err_set(err, r, "cannot remove image '%s': %s", name, why.text);
	return r < 0 ? rb_fail(be, err, r, "remove image '%s'", name) : r;
}
