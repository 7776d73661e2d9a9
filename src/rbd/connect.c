/*
 * Connections and pools. A connection is made by the first thread that needs it; those that come meanwhile wait and share
 * what became of that attempt, so that with a dead monitor a hundred of them wait one time-out and not a hundred.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "rbd/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * Releases (require_osd_release) whose way of making and removing an image the conformance test (tests/ceph) has compared
 * with format.c, key by key. Elsewhere `direct = "auto"` is librbd.
 */
static const struct {
	int8_t number;
	const char *name;
} proven[] = {
	{ 16, "pacific" },
};

void rb_link_init(struct rb_link *l, bool timed)
{
	l->timed = timed;
	lock_init(&l->lock);
	cond_init(&l->settled);
}

void rb_link_release(struct rb_link *l)
{
	if (l->pool) {
		rb_flights_settle(l->pool->io);
		rb_pool_put(l->pool);
	}
	if (l->state == RB_LINK_UP)
		rados_shutdown(l->cluster);
	pthread_cond_destroy(&l->settled);
	lock_release(&l->lock);
}

/* librbd would take these from ceph.conf where our own configuration says nothing; the backend's options alone decide. */
static const char *const neutral[][2] = {
	{ "rbd_default_data_pool", "" },
	{ "rbd_default_stripe_unit", "0" },
	{ "rbd_default_stripe_count", "0" },
	{ "rbd_move_to_trash_on_remove", "false" },
	{ "rbd_cache", "false" }, /* see data.c */
};

static int configure(struct rb_backend *be, struct rb_link *l, rados_t cluster, struct err *err)
{
	const struct backend_conf *c = be->conf;
	char seconds[24];
	int r = rados_conf_read_file(cluster, c->ceph_conf);

	if (r < 0)
		return err_set(err, r, "cannot read '%s': %s", c->ceph_conf, strerror(-r));
	(void)snprintf(seconds, sizeof seconds, "%ld", c->timeout);
	(void)rados_conf_set(cluster, "client_mount_timeout", seconds);
	(void)rados_conf_set(cluster, "rados_osd_op_timeout", l->timed ? seconds : "0");
	(void)rados_conf_set(cluster, "rados_mon_op_timeout", l->timed ? seconds : "0");
	/* librados asks for a newer map when an operation is ten seconds old; with a time-out none ever is, and an OSD that
	 * came back at another address would not be found. */
	if (l->timed) {
		(void)rados_conf_set(cluster, "objecter_timeout", "0.5");
		(void)rados_conf_set(cluster, "objecter_tick_interval", "0.5");
	}
	for (size_t i = 0; i < sizeof neutral / sizeof *neutral; i++)
		(void)rados_conf_set(cluster, neutral[i][0], neutral[i][1]);
	return 0;
}

static int connect_failed(const struct rb_backend *be, int r, struct err *err)
{
	const struct backend_conf *c = be->conf;

	if (r == -ETIMEDOUT)
		return err_set(err, r, "no monitor answered within %ld s ('%s')", c->timeout,
			c->ceph_conf);
	if (r == -EACCES || r == -EPERM)
		return err_set(err, -EACCES, "the cluster refused the key of client.%s ('%s')",
			c->ceph_user, c->ceph_conf);
	if (r == -ENOENT)
		return err_set(err, r,
			"cannot connect: '%s' leads to no monitor or to no key of client.%s",
			c->ceph_conf, c->ceph_user);
	return rb_fail(be, err, r, "connect by '%s' as client.%s", c->ceph_conf, c->ceph_user);
}

static int connect_new(struct rb_backend *be, struct rb_link *l, rados_t *ret, struct err *err)
{
	rados_t cluster;
	int r = rados_create(&cluster, be->conf->ceph_user);

	if (r < 0)
		return rb_fail(be, err, r, "prepare a connection");
	r = configure(be, l, cluster, err);
	if (r >= 0) {
		r = rados_connect(cluster);
		if (r < 0)
			r = connect_failed(be, r, err);
	}
	if (r < 0) {
		rados_shutdown(cluster);
		return r;
	}
	*ret = cluster;
	return 0;
}

/* Keeps what `connection` shows, so that it never has to ask. */
static void note_cluster(struct rb_backend *be, rados_t cluster)
{
	LOCK_SCOPE(&be->info_lock);
	if (rados_cluster_fsid(cluster, be->fsid, sizeof be->fsid) < 0)
		be->fsid[0] = '\0';
	if (rados_conf_get(cluster, "mon_host", be->monitors, sizeof be->monitors) < 0)
		be->monitors[0] = '\0';
}

/* `direct = "auto"`: now that there is a map of the cluster, its release decides. */
static void decide_direct(struct rb_backend *be, rados_t cluster)
{
	int decided = RB_DIRECT_OFF, unknown = RB_DIRECT_UNKNOWN;
	int8_t release = 0;
	int r;

	if (atomic_load(&be->direct) != RB_DIRECT_UNKNOWN)
		return;
	r = rados_get_min_compatible_osd(cluster, &release);
	for (size_t i = 0; r >= 0 && i < sizeof proven / sizeof *proven; i++)
		if (proven[i].number == release)
			decided = RB_DIRECT_ON;
	if (atomic_compare_exchange_strong(&be->direct, &unknown, decided) &&
		decided == RB_DIRECT_OFF)
		log_notice(
			"backend %s: images are made by librbd: the direct way is not proven on Ceph release %d "
			"(direct = \"on\" overrides)",
			be->conf->name, release);
}

int rb_link_connect(struct rb_backend *be, struct rb_link *l, rados_t *ret, struct err *err)
{
	rados_t cluster = NULL;
	struct err why = { 0 };
	int r;

	lock_take(&l->lock);
	while (l->state == RB_LINK_CONNECTING) {
		unsigned attempt = l->attempt;

		lock_wait(&l->lock, &l->settled);
		if (l->state == RB_LINK_DOWN && l->attempt == attempt) {
			r = err_set(err, l->failure.code, "%s", l->failure.text);
			lock_drop(&l->lock);
			return r;
		}
	}
	if (l->state == RB_LINK_UP) {
		*ret = l->cluster;
		lock_drop(&l->lock);
		return 0;
	}
	l->state = RB_LINK_CONNECTING;
	l->attempt++;
	lock_drop(&l->lock);

	r = connect_new(be, l, &cluster, &why);
	if (r >= 0) {
		note_cluster(be, cluster);
		decide_direct(be, cluster);
		*ret = cluster;
	} else {
		err_set(err, why.code, "%s", why.text);
	}
	LOCK_SCOPE(&l->lock);
	l->cluster = cluster;
	l->failure = why;
	l->state = r < 0 ? RB_LINK_DOWN : RB_LINK_UP;
	pthread_cond_broadcast(&l->settled);
	return r;
}

/* --- pools */

void rb_pool_put(struct rb_pool *p)
{
	if (atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	if (p->data && p->data != p->io)
		rados_ioctx_destroy(p->data);
	if (p->io)
		rados_ioctx_destroy(p->io);
	free(p);
}

static int open_io(struct rb_backend *be, rados_t cluster, const char *name, rados_ioctx_t *ret,
	struct err *err)
{
	int r = rados_ioctx_create(cluster, name, ret);

	if (r == -ENOENT)
		return err_set(err, r, "pool '%s' does not exist", name);
	if (r < 0)
		return rb_fail(be, err, r, "open pool '%s'", name);
	rados_ioctx_set_namespace(*ret, be->conf->namespace ? be->conf->namespace : "");
	/* Without it every change waits for ever while the pool is full, removal too. */
	rados_set_pool_full_try(*ret);
	return 0;
}

static int open_data(struct rb_backend *be, rados_t cluster, struct rb_pool *p, struct err *err)
{
	const char *name = be->conf->data_pool;
	int aligned = 0, r;

	p->data = p->io;
	p->data_id = -1;
	if (!name || !name[0])
		return 0;
	p->data = NULL;
	r = open_io(be, cluster, name, &p->data, err);
	if (r < 0)
		return r;
	/* librbd refuses such a pool at creation as well. */
	if (rados_ioctx_pool_requires_alignment2(p->data, &aligned) >= 0 && aligned)
		return err_set(err, -EINVAL,
			"data pool '%s' is erasure-coded without overwrites (ceph osd pool set %s allow_ec_overwrites true)",
			name, name);
	p->data_id = rados_ioctx_get_id(p->data);
	return 0;
}

static int pool_new(struct rb_backend *be, rados_t cluster, struct rb_pool **ret, struct err *err)
{
	struct rb_pool *p = calloc(1, sizeof *p);
	int r;

	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	atomic_init(&p->refs, 1);
	p->cluster = cluster;
	r = open_io(be, cluster, be->conf->pool, &p->io, err);
	if (r >= 0)
		r = open_data(be, cluster, p, err);
	if (r < 0) {
		rb_pool_put(p);
		return r;
	}
	p->id = rados_ioctx_get_id(p->io);
	*ret = p;
	return 0;
}

/* The look-up is in librados' copy of the cluster's map; only where that lacks the name does it ask a monitor. */
bool rb_pool_is_stale(struct rb_backend *be, const struct rb_pool *p)
{
	return rados_pool_lookup(p->cluster, be->conf->pool) != p->id ||
	       (p->data_id >= 0 &&
		       rados_pool_lookup(p->cluster, be->conf->data_pool) != p->data_id);
}

int rb_pool_get(struct rb_backend *be, struct rb_link *l, struct rb_pool **ret, struct err *err)
{
	struct rb_pool *p, *was;
	rados_t cluster;
	int r = rb_link_connect(be, l, &cluster, err);

	if (r < 0)
		return r;
	lock_take(&l->lock);
	p = l->pool;
	if (p)
		atomic_fetch_add(&p->refs, 1);
	lock_drop(&l->lock);
	if (p && !rb_pool_is_stale(be, p)) {
		*ret = p;
		return 0;
	}
	if (p)
		rb_pool_put(p);
	r = pool_new(be, cluster, &p, err);
	if (r < 0)
		return r;
	atomic_fetch_add(&p->refs, 1); /* the link's */
	lock_take(&l->lock);
	was = l->pool;
	l->pool = p;
	lock_drop(&l->lock);
	if (was)
		rb_pool_put(was);
	*ret = p;
	return 0;
}
