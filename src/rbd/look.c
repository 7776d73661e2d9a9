/* One image and its snapshots, whoever made them, and whether it can be adopted. */
#include "rbd/internal.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- may it be adopted? */

/* Kinds that have a life of their own beside the volume's. */
static const struct {
	uint64_t feature;
	const char *reason;
} foreign[] = {
	{ RBD_FEATURE_MIGRATING, "it is being migrated (rbd migration commit or abort ends that)" },
	{ RBD_FEATURE_NON_PRIMARY,
		"it is the copy of a mirrored image (rbd mirror image promote)" },
	{ RBD_FEATURE_JOURNALING, "it has a journal (rbd feature disable … journaling)" },
};

static int judge_kind(rbd_image_t image, struct err *err)
{
	rbd_mirror_image_info_t mirror;
	rbd_group_info_t group;
	uint64_t features, size;
	int r = rbd_get_features(image, &features);

	if (r >= 0)
		r = rbd_get_size(image, &size);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
		if (features & foreign[i].feature)
			return err_set(err, -EOPNOTSUPP, "%s", foreign[i].reason);
	if (size % SIZE_UNIT)
		return err_set(err, -EINVAL, "its size, %" PRIu64 " bytes, is no multiple of %d",
			size, SIZE_UNIT);
	if (rbd_mirror_image_get_info(image, &mirror, sizeof mirror) >= 0) {
		bool mirrored = mirror.state != RBD_MIRROR_IMAGE_DISABLED;

		rbd_mirror_image_get_info_cleanup(&mirror);
		if (mirrored)
			return err_set(
				err, -EOPNOTSUPP, "it is mirrored (rbd mirror image disable)");
	}
	if (rbd_get_group(image, &group, sizeof group) >= 0) {
		r = group.name && group.name[0]
			    ? err_set(err, -EOPNOTSUPP,
				      "it belongs to group '%s' (rbd group image remove)",
				      group.name)
			    : 0;
		(void)rbd_group_info_cleanup(&group, sizeof group);
	}
	return r < 0 ? r : 0;
}

/*
 * A lock that a person took (rbd lock add). That of a writer is not asked for: a living one watches as well, and a dead one's is broken by
 * librbd.
 */
int rb_judge_lock(struct rb_pool *p, const char *id, struct err *err)
{
	char header[RB_OBJECT_ROOM];
	struct rb_locker l;
	int r = rb_locker_of(p, rb_object(header, "rbd_header.", id), &l);

	if (r == -ERANGE)
		return err_set(err, -EBUSY, "it is locked by many (rbd lock ls)");
	if (r <= 0 || rb_is_writer(&l))
		return r < 0 ? r : 0;
	return err_set(err, -EBUSY, "%s at %s holds lock '%s' of it (rbd lock rm)", l.client,
		l.address, l.cookie);
}

int rb_judge(struct rb_backend *be, struct rb_pool *p, rbd_image_t image, const char *id,
	struct err *err)
{
	struct driver_watcher who;
	int r = judge_kind(image, err);

	if (r >= 0)
		r = rb_judge_lock(p, id, err);
	if (r < 0)
		return r;
	r = rb_watchers_of(be, image, &who, 1);
	return r > 0 ? err_set(err, -EBUSY, "%s has it open", who.address) : r;
}

/* --- look */

/* Without a map it would be a question for each object: then the most that it can be. */
static int count_used(rbd_image_t image, uint64_t size, uint64_t *ret)
{
	uint64_t features, flags;
	int r = rbd_get_features(image, &features);

	if (r >= 0)
		r = rbd_get_flags(image, &flags);
	if (r < 0)
		return r;
	*ret = size;
	if (!(features & RBD_FEATURE_FAST_DIFF) || flags & RBD_FLAG_FAST_DIFF_INVALID)
		return 0;
	return rb_image_sum(image, size, ret);
}

static int count_snaps(struct rb_pool *p, const char *id, unsigned *ret)
{
	CLEANUP_FREE struct rb_snap *all = NULL;
	int n = rb_snap_list(p, id, &all);

	if (n < 0)
		return n;
	*ret = 0;
	for (int i = 0; i < n; i++)
		*ret += all[i].space == RB_SNAP_USER;
	return 0;
}

static int look_opened(
	struct rb_backend *be, struct rb_pool *p, rbd_image_t image, struct driver_found *found)
{
	struct err why = { 0 };
	int r = rbd_get_size(image, &found->size);

	if (r >= 0)
		r = count_used(image, found->size, &found->used);
	if (r >= 0)
		r = count_snaps(p, found->image_id, &found->snapshots);
	if (r < 0)
		return r;
	r = rb_judge(be, p, image, found->image_id, &why);
	if (r < 0 && !why.text[0])
		return r;
	(void)snprintf(found->reason, sizeof found->reason, "%s", why.text);
	return 0;
}

/* A name leads to it, but librbd does not open it. */
static int look_closed(int code, struct driver_found *found)
{
	if (code == -ETIMEDOUT || code == -ESHUTDOWN || code == -ENOTCONN)
		return code;
	(void)snprintf(found->reason, sizeof found->reason, "librbd cannot open it: %s",
		code == -ENOENT	  ? "a part of it, or what it is a clone of, is missing"
		: code == -ENOSYS ? "it has features that this version does not know"
				  : strerror(-code));
	return 0;
}

static int look_at(
	struct rb_backend *be, struct rb_pool *p, const char *name, struct driver_found *found)
{
	char id[RB_NAME_ROOM];
	rbd_image_t image;
	int r = rb_format_find(p, name, id);

	if (r < 0)
		return r;
	(void)text_uuid_within(name, "volume-", "", found->uuid);
	if ((size_t)snprintf(found->image_id, sizeof found->image_id, "%s", id) >=
		sizeof found->image_id)
		return -ENAMETOOLONG; /* since Hammer librbd makes no such id */
	r = rbd_open_read_only(p->io, name, &image, NULL);
	if (r < 0)
		return look_closed(r, found);
	r = look_opened(be, p, image, found);
	(void)rbd_close(image);
	return r;
}

int rb_look(void *backend, const char *name, struct driver_found *ret, struct err *err)
{
	struct rb_backend *be = backend;
	struct driver_found found = { 0 };
	struct rb_pool *p;
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->look, &p, err);
	if (r < 0)
		return r;
	(void)snprintf(found.name, sizeof found.name, "%s", name);
	r = look_at(be, p, name, &found);
	rb_pool_put(p);
	if (r < 0)
		return rb_fail(be, err, r, "look at image '%s'", name);
	*ret = found;
	return 0;
}

/* --- snapshots */

static void describe(const struct rb_snap *snap, struct driver_found_snap *ret)
{
	*ret = (struct driver_found_snap){ .size = snap->size, .created_us = snap->created_us };
	(void)snprintf(ret->name, sizeof ret->name, "%s", snap->name);
	if (!text_uuid_within(snap->name, "snapshot-", "", ret->uuid))
		ret->temporary = text_uuid_within(snap->name, "volume-", ".clone_snap", ret->uuid);
}

static int list_snaps(
	struct rb_pool *p, const char *name, struct driver_found_snap *ret, size_t room)
{
	CLEANUP_FREE struct rb_snap *all = NULL;
	char id[RB_NAME_ROOM];
	size_t count = 0;
	int n = rb_format_find(p, name, id);

	if (n >= 0)
		n = rb_snap_list(p, id, &all);
	for (int i = 0; i < n; i++) {
		if (all[i].space != RB_SNAP_USER)
			continue;
		if (count < room)
			describe(&all[i], &ret[count]);
		count++;
	}
	return n < 0 ? n : (int)count;
}

int rb_snaps(
	void *backend, const char *name, struct driver_found_snap *ret, size_t n, struct err *err)
{
	struct rb_backend *be = backend;
	struct rb_pool *p;
	int r;

	RB_CALL(be);
	r = rb_pool_get(be, &be->look, &p, err);
	if (r < 0)
		return r;
	r = list_snaps(p, name, ret, n);
	rb_pool_put(p);
	return r < 0 ? rb_fail(be, err, r, "list the snapshots of image '%s'", name) : r;
}
