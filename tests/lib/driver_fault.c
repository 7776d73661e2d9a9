#include "tests/lib/driver_fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fault fault;

static pthread_mutex_t qos_lock = PTHREAD_MUTEX_INITIALIZER;
static char last_qos[FAULT_QOS]; /* qos_lock */

struct wrapped {
	const struct backend_conf *conf;
	void *be;
};

void fault_reset(void)
{
	/* one by one: calls of an engine that still runs may be reading */
	fault.passed = fault.fail_at = fault.kill_at = fault.delay_us = 0;
	fault.refuse = fault.hang = fault.down = fault.stick = fault.slow_stat = fault.blocked =
		NULL;
	fault.hang_snap = fault.refuse_snap = fault.stick_snap = NULL;
	fault.snapped = fault.unsnapped = fault.reverted = fault.most_snapping = 0;
	fault.progress = 0;
	fault.commits = fault.kill_after = 0;
	fault.created = fault.fresh = fault.removed = fault.resized = fault.largest = fault.fenced =
		0;
	fault.total = 0;
	fault.no_fence = false;
	fault.outside = fault.mute = fault.hang_list = fault.hang_look = fault.foreign = NULL;
	fault.listed = fault.adopted = fault.snaps_adopted = fault.disowned = 0;
	fault.free = 0;
	fault.asked = 0;
	pthread_mutex_lock(&qos_lock);
	last_qos[0] = '\0';
	pthread_mutex_unlock(&qos_lock);
}

void fault_qos(char ret[FAULT_QOS])
{
	pthread_mutex_lock(&qos_lock);
	memcpy(ret, last_qos, FAULT_QOS);
	pthread_mutex_unlock(&qos_lock);
}

static void keep_qos(const struct driver_create *c)
{
	size_t n = 0;

	pthread_mutex_lock(&qos_lock);
	last_qos[0] = '\0';
	for (size_t i = 0; i < c->qos_count && n < FAULT_QOS; i++)
		n += (size_t)snprintf(last_qos + n, FAULT_QOS - n, "%s%s=%llu", i ? " " : "",
			c->qos[i].key, (unsigned long long)c->qos[i].value);
	pthread_mutex_unlock(&qos_lock);
}

static bool fault_qos_known(const char *key)
{
	return true;
}

static bool is(const char *_Atomic *which, const struct wrapped *w)
{
	const char *name = atomic_load(which);

	return name && strcmp(name, w->conf->name) == 0;
}

int fault_point(struct err *err)
{
	long n = atomic_fetch_add(&fault.passed, 1) + 1;

	if (n == atomic_load(&fault.kill_at))
		kill(getpid(), SIGKILL);
	if (n == atomic_load(&fault.fail_at))
		return err_set(err, -EIO, "point %ld fails", n);
	return 0;
}

void *fault_inner(void *be)
{
	return ((struct wrapped *)be)->be;
}

static void slow(const struct wrapped *w)
{
	long us = atomic_load(&fault.delay_us);

	while (is(&fault.hang, w))
		usleep(2000);
	if (us)
		usleep((useconds_t)us);
}

static int fault_open(const struct backend_conf *conf, void **ret, struct err *err)
{
	struct wrapped *w = calloc(1, sizeof *w);
	int r;

	if (!w)
		return -ENOMEM;
	w->conf = conf;
	r = driver_local.open(conf, &w->be, err);
	if (r < 0)
		free(w);
	else
		*ret = w;
	return r;
}

static void fault_close(void *be)
{
	struct wrapped *w = be;

	driver_local.close(w->be);
	free(w);
}

static int fault_stat(void *be, struct backend_stats *ret, struct err *err)
{
	struct wrapped *w = be;
	int r;

	if (is(&fault.down, w))
		return err_set(err, -ETIMEDOUT, "no answer");
	while (is(&fault.slow_stat, w))
		usleep(2000);
	r = driver_local.stat(w->be, ret, err);
	if (r == 0 && atomic_load(&fault.total)) {
		ret->total = ret->free = atomic_load(&fault.total);
	}
	if (r == 0 && atomic_load(&fault.free))
		ret->free = atomic_load(&fault.free);
	return r;
}

/* What is said to be asked for the first time is not there. */
static void check_fresh(struct wrapped *w, const struct driver_create *c)
{
	struct err err = { 0 };
	uint64_t used;

	if (!c->fresh)
		return;
	if (driver_local.used(w->be, &c->image, &used, &err) != -ENOENT)
		abort();
	atomic_fetch_add(&fault.fresh, 1);
}

static void create_one(struct wrapped *w, struct driver_create *c)
{
	int r = fault_point(&c->err);

	keep_qos(c);
	atomic_fetch_add(&fault.shared, c->image.shared);
	check_fresh(w, c);
	if (r == 0 && is(&fault.blocked, w))
		r = err_set(&c->err, -ESHUTDOWN, "blocklisted");
	if (r == 0 && is(&fault.refuse, w))
		r = err_set(&c->err, -EIO, "refused");
	if (r < 0) {
		c->code = r;
		return;
	}
	driver_local.create(w->be, c, 1);
	if (c->code == 0)
		atomic_fetch_add(&fault.created, 1);
	r = fault_point(&c->err);
	if (r < 0)
		c->code = r;
}

/* Of 100 bytes, before it hangs. */
static void show_progress(struct driver_progress *progress)
{
	if (!progress)
		return;
	progress->done = fault.progress;
	progress->total = fault.progress ? 100 : 0;
}

static void fault_create(void *be, struct driver_create *each, size_t n)
{
	unsigned largest = atomic_load(&fault.largest);

	for (size_t i = 0; i < n; i++)
		show_progress(each[i].progress);
	slow(be);
	if (n > largest)
		atomic_store(&fault.largest, (unsigned)n);
	for (size_t i = 0; i < n; i++)
		create_one(be, &each[i]);
}

static int fault_remove(void *be, const struct driver_image *image,
	struct driver_progress *progress, struct err *err)
{
	struct wrapped *w = be;
	int r;

	show_progress(progress);
	slow(w);
	r = fault_point(err);
	if (r == 0 && is(&fault.stick, w))
		r = err_set(err, -EBUSY, "somebody has it open");
	r = r < 0 ? r : driver_local.remove(w->be, image, progress, err);
	if (r < 0)
		return r;
	atomic_fetch_add(&fault.removed, 1);
	return fault_point(err);
}

static int fault_resize(void *be, const struct driver_image *image, uint64_t size, struct err *err)
{
	struct wrapped *w = be;
	int r;

	slow(w);
	r = fault_point(err);
	r = r < 0 ? r : driver_local.resize(w->be, image, size, err);
	if (r < 0)
		return r;
	atomic_fetch_add(&fault.resized, 1);
	return fault_point(err);
}

/* --- snapshots --- */

static void begin_snap(const struct wrapped *w)
{
	unsigned now = atomic_fetch_add(&fault.snapping, 1) + 1;

	if (now > atomic_load(&fault.most_snapping))
		atomic_store(&fault.most_snapping, now);
	slow(w);
	while (is(&fault.hang_snap, w))
		usleep(2000);
}

static int end_snap(int r, _Atomic unsigned *count, struct err *err)
{
	if (r == 0) {
		atomic_fetch_add(count, 1);
		r = fault_point(err);
	}
	atomic_fetch_sub(&fault.snapping, 1);
	return r;
}

static int fault_snap_create(void *be, const struct driver_image *image,
	const struct driver_snap *snap, struct driver_progress *progress, struct err *err)
{
	struct wrapped *w = be;
	int r;

	show_progress(progress);
	begin_snap(w);
	r = fault_point(err);
	if (r == 0 && is(&fault.refuse_snap, w))
		r = err_set(err, -ENOENT, "no snapshots here");
	r = r < 0 ? r : driver_local.snap_create(w->be, image, snap, progress, err);
	return end_snap(r, &fault.snapped, err);
}

static int fault_snap_remove(
	void *be, const struct driver_image *image, const struct driver_snap *snap, struct err *err)
{
	struct wrapped *w = be;
	int r;

	begin_snap(w);
	r = fault_point(err);
	if (r == 0 && is(&fault.stick_snap, w))
		r = err_set(err, -EBUSY, "it sticks");
	r = r < 0 ? r : driver_local.snap_remove(w->be, image, snap, err);
	return end_snap(r, &fault.unsnapped, err);
}

static int fault_revert(void *be, const struct driver_image *image, const struct driver_snap *snap,
	struct driver_progress *progress, struct err *err)
{
	struct wrapped *w = be;
	int r;

	show_progress(progress);
	begin_snap(w);
	r = fault_point(err);
	if (r == 0 && is(&fault.refuse_snap, w))
		r = err_set(err, -EIO, "no way back");
	r = r < 0 ? r : driver_local.revert(w->be, image, snap, progress, err);
	return end_snap(r, &fault.reverted, err);
}

/* --- what nobody owns --- */

static int fault_list(void *be, bool parts,
	int (*each)(void *arg, const struct driver_found *found), void *arg, struct err *err)
{
	struct wrapped *w = be;

	atomic_fetch_add(&fault.listed, 1);
	while (is(&fault.hang_list, w))
		usleep(2000);
	return driver_local.list(w->be, parts, each, arg, err);
}

static void hang_look(const char *name)
{
	const char *which = atomic_load(&fault.hang_look);

	if (!which || strcmp(which, name) != 0)
		return;
	atomic_fetch_add(&fault.looking, 1);
	while (atomic_load(&fault.hang_look) == which)
		usleep(2000);
	atomic_fetch_sub(&fault.looking, 1);
}

/* Foreign snapshots come from the test. */
static bool has_foreign(const struct wrapped *w)
{
	return is(&fault.foreign, w);
}

static int fault_look(void *be, const char *name, struct driver_found *ret, struct err *err)
{
	struct wrapped *w = be;
	int r = driver_local.look(w->be, name, ret, err);

	if (r == 0 && has_foreign(w))
		ret->snapshots = FAULT_SNAPS;
	if (r == 0 && is(&fault.outside, w))
		(void)snprintf(ret->reason, sizeof ret->reason, "%s has it open", FAULT_WATCHER);
	hang_look(name);
	return r;
}

static int fault_snaps(
	void *be, const char *name, struct driver_found_snap *ret, size_t n, struct err *err)
{
	static const struct driver_found_snap all[FAULT_SNAPS] = {
		{ .name = "monday", .size = 1 << 20, .created_us = 1000 },
		{ .name = "up/down", .size = 1 << 20, .created_us = 2000 },
		{ .name = "mine", .uuid = FAULT_SNAP, .size = 1 << 20, .created_us = 3000 },
		{ .name = "volume-x.clone_snap", .temporary = true, .size = 1 << 20 },
	};
	struct wrapped *w = be;

	if (!has_foreign(w))
		return driver_local.snaps(w->be, name, ret, n, err);
	memcpy(ret, all, (n < FAULT_SNAPS ? n : FAULT_SNAPS) * sizeof *all);
	return FAULT_SNAPS;
}

static int fault_adopt(void *be, const char *name, struct driver_image *image, struct err *err)
{
	struct wrapped *w = be;
	int r;

	slow(w);
	r = fault_point(err);
	if (r == 0 && is(&fault.outside, w))
		r = err_set(err, -EBUSY, "%s has it open", FAULT_WATCHER);
	r = r < 0 ? r : driver_local.adopt(w->be, name, image, err);
	if (r < 0)
		return r;
	atomic_fetch_add(&fault.adopted, 1);
	return fault_point(err);
}

static int fault_snap_adopt(void *be, const struct driver_image *image, const char *name,
	const struct driver_snap *snap, struct err *err)
{
	struct wrapped *w = be;
	int r = fault_point(err);

	if (r == 0 && !has_foreign(w))
		r = driver_local.snap_adopt(w->be, image, name, snap, err);
	if (r < 0)
		return r;
	atomic_fetch_add(&fault.snaps_adopted, 1);
	return fault_point(err);
}

static int fault_disown(
	void *be, const struct driver_image *image, const char *name, struct err *err)
{
	char ours[UUID_LEN + 16];
	struct driver_found found;
	struct wrapped *w = be;
	struct err ignored;
	int r;

	(void)snprintf(ours, sizeof ours, "volume-%s", image->uuid);
	slow(w);
	r = fault_point(err);
	if (r == 0 && is(&fault.outside, w) &&
		driver_local.look(w->be, ours, &found, &ignored) == 0)
		r = err_set(err, -EBUSY, "%s has it open", FAULT_WATCHER);
	r = r < 0 ? r : driver_local.disown(w->be, image, name, err);
	if (r < 0)
		return r;
	atomic_fetch_add(&fault.disowned, 1);
	return fault_point(err);
}

static int fault_used(void *be, const struct driver_image *image, uint64_t *ret, struct err *err)
{
	return driver_local.used(((struct wrapped *)be)->be, image, ret, err);
}

static void fault_connection(void *be, const struct driver_image *image, struct buf *out)
{
	driver_local.connection(((struct wrapped *)be)->be, image, out);
}

static size_t fault_batch(void *be)
{
	return 16;
}

#define COMMON                                                                                     \
	.name = "local", .open = fault_open, .close = fault_close, .stat = fault_stat,             \
	.create = fault_create, .batch = fault_batch, .remove = fault_remove,                      \
	.resize = fault_resize, .quiet = true, .snap_create = fault_snap_create,                   \
	.snap_remove = fault_snap_remove, .revert = fault_revert, .list = fault_list,              \
	.look = fault_look, .snaps = fault_snaps, .adopt = fault_adopt,                            \
	.snap_adopt = fault_snap_adopt, .disown = fault_disown, .used = fault_used,                \
	.connection = fault_connection

const struct driver driver_fault = {
	COMMON,
	.qos_known = fault_qos_known,
};

static int fault_address(void *be, char *text, size_t room, struct err *err)
{
	struct wrapped *w = be;

	if (is(&fault.down, w))
		return err_set(err, -ENOTCONN, "not connected");
	(void)snprintf(text, room, "%s/%d", w->conf->name, (int)getpid());
	return 0;
}

static int fault_fence(void *be, const char *text, struct err *err)
{
	if (atomic_load(&fault.no_fence))
		return err_set(err, -EACCES, "not allowed");
	atomic_fetch_add(&fault.fenced, 1);
	return 0;
}

const struct driver driver_fenced = {
	COMMON,
	.qos_known = fault_qos_known,
	.address = fault_address,
	.fence = fault_fence,
};

struct question {
	struct wrapped *w;
	driver_done *done;
	void *arg;
};

static void *answer_later(void *arg)
{
	struct question *q = arg;

	while (is(&fault.mute, q->w))
		usleep(2000);
	q->done(q->arg, 0);
	free(q);
	return NULL;
}

static void fault_busy(void *be, const struct driver_image *image, driver_done *done, void *arg)
{
	struct question *q = malloc(sizeof *q);
	pthread_t t;

	atomic_fetch_add(&fault.asked, 1);
	*q = (struct question){ be, done, arg };
	if (is(&fault.mute, be) && pthread_create(&t, NULL, answer_later, q) == 0) {
		pthread_detach(t);
		return;
	}
	free(q);
	done(arg, is(&fault.outside, be) ? -EBUSY : 0);
}

static int fault_watchers(void *be, const struct driver_image *image, struct driver_watcher *ret,
	size_t n, struct err *err)
{
	if (!is(&fault.outside, be))
		return 0;
	*ret = (struct driver_watcher){ .address = FAULT_WATCHER };
	return 1;
}

static int fault_evict(void *be, const struct driver_image *image, const struct driver_watcher *who,
	struct err *err)
{
	if (strcmp(who->address, FAULT_WATCHER) != 0)
		return err_set(err, -EINVAL, "who is '%s'?", who->address);
	atomic_store(&fault.outside, NULL);
	return 0;
}

const struct driver driver_watched = {
	COMMON,
	.busy = fault_busy,
	.watchers = fault_watchers,
	.evict = fault_evict,
};
