#include "check.h"

#include "base/cleanup.h"
#include "base/lock.h"
#include "check_repair.h"
#include "dblock.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOKERS = 8 }; /* threads: the storage takes some milliseconds for each volume */

static const struct driver *const drivers[] = { &driver_rbd, &driver_local, NULL };

struct check {
	const struct conf *conf;
	bool mends;
	struct store *store;
	struct view *view;
	struct repair repair; /* if it mends */
	const char *backend;  /* the one at hand */
	struct lock lock;
	uint64_t found, mended; /* lock, while there are lookers */
	uint64_t volumes, snapshots;
	bool blind; /* something could not be looked at */
};

static void cannot_look(struct check *c, const char *what, const struct err *err)
{
	c->blind = true;
	(void)fprintf(stderr, "volfs: %s%s%s\n", what ? what : "", what ? ": " : "", err->text);
}

/* --- one difference --- */

/* what: of a backend, or of the catalogue. code: as repair_difference() has it. */
static void say(struct check *c, const char *where, const char *text, int code, const char *how,
	const struct err *err)
{
	c->found++;
	c->mended += code > 0;
	if (code < 0)
		(void)printf("%s: %s: cannot be mended: %s\n", where, text, err->text);
	else if (code > 0)
		(void)printf("%s: %s: mended: %s\n", where, text, how);
	else
		(void)printf("%s: %s\n", where, text);
}

static int found(void *arg, const struct difference *d)
{
	struct check *c = arg;
	char text[DIFFERENCE_TEXT];
	const char *how = NULL;
	struct err err = { 0 };
	int code;

	difference_text(d, text);
	LOCK_SCOPE(&c->lock);
	code = c->mends ? repair_difference(&c->repair, d, &how, &err) : 0;
	say(c, c->backend, text, code, how, &err);
	return 0;
}

static void sum_found(void *arg, const char *text)
{
	struct check *c = arg;

	c->found++;
	(void)printf("catalogue: %s\n", text);
}

static void check_sums(struct check *c)
{
	uint64_t before = c->found;
	struct err err = { 0 };
	int r = view_recount(c->view, sum_found, c);

	if (r < 0)
		(void)err_set(&err, r, "the catalogue cannot be read");
	else if (r > 0 && c->mends)
		r = repair_sums(&c->repair, &err);
	if (r < 0) {
		cannot_look(c, NULL, &err);
	} else if (c->mends && c->found > before) {
		c->mended += c->found - before;
		(void)printf("catalogue: its sums are counted anew: mended\n");
	}
}

/* --- one backend --- */

struct looker {
	struct check *check;
	pthread_t thread;
	struct compare with;
	atomic_bool *ended; /* one of them has failed */
	int code;
	struct err err;
};

static int looker_found(void *arg, const struct difference *d)
{
	const struct looker *l = arg;

	return found(l->check, d);
}

static bool looker_pause(void *arg)
{
	const struct looker *l = arg;

	return atomic_load(l->ended);
}

static void *looker_thread(void *arg)
{
	struct looker *l = arg;

	l->code = view_open(l->check->store, &l->with.view, &l->err);
	if (l->code == 0)
		l->code = compare_backend(&l->with, &l->err);
	view_close(l->with.view);
	if (l->code < 0)
		atomic_store(l->ended, true);
	return NULL;
}

/* Of those that failed, the one that did so by itself. */
static int end_lookers(struct check *c, struct looker *all, size_t n, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		pthread_join(all[i].thread, NULL);
		c->volumes += all[i].with.volumes;
		c->snapshots += all[i].with.snapshots;
		if (all[i].code < 0 && (r == 0 || r == -EINTR)) {
			r = all[i].code;
			*err = all[i].err;
		}
	}
	return r;
}

static int compare_all(struct check *c, const struct compare *with, struct err *err)
{
	struct looker all[LOOKERS];
	atomic_bool ended = false;
	size_t n;
	int r = 0;

	for (n = 0; n < LOOKERS && r == 0; n++) {
		all[n] = (struct looker){ .check = c, .with = *with, .ended = &ended };
		all[n].with.part = (unsigned)n;
		all[n].with.arg = &all[n];
		r = -pthread_create(&all[n].thread, NULL, looker_thread, &all[n]);
	}
	if (r < 0) {
		n--;
		atomic_store(&ended, true);
		(void)end_lookers(c, all, n, err);
		return err_set(err, r, "cannot start a thread: %s", strerror(-r));
	}
	return end_lookers(c, all, n, err);
}

static int compare(struct check *c, const struct driver *driver, void *be, struct err *err)
{
	struct backend_sums row = { 0 };
	struct compare with = {
		.driver = driver,
		.be = be,
		.name = c->backend,
		.found = looker_found,
		.pause = looker_pause,
		.parts = LOOKERS,
	};
	struct backend_stats stats;
	int r = driver->stat(be, &stats, err); /* it connects, or says why not */

	if (r < 0)
		return r;
	if (c->mends)
		r = repair_enter(&c->repair, c->backend, driver, be, &with.backend, err);
	else if (view_backend(c->view, c->backend, &row) == 0)
		with.backend = row.id; /* else nothing was ever placed there */
	r = r < 0 ? r : compare_all(c, &with, err);
	if (c->mends)
		repair_leave(&c->repair);
	return r;
}

static void check_backend(struct check *c, const struct backend_conf *conf)
{
	const struct driver *const *driver = drivers;
	struct err err = { 0 };
	void *be;
	int r;

	c->backend = conf->name;
	while (*driver && strcmp((*driver)->name, conf->driver) != 0)
		driver++;
	r = *driver ? (*driver)->open(conf, &be, &err)
		    : err_set(&err, -EINVAL, "there is no driver '%s'", conf->driver);
	if (r == 0) {
		r = compare(c, *driver, be, &err);
		(*driver)->close(be);
	}
	if (r < 0)
		cannot_look(c, conf->name, &err);
}

static bool is_configured(const struct check *c, const char *name)
{
	for (size_t i = 0; i < c->conf->backend_count; i++)
		if (strcmp(c->conf->backends[i].name, name) == 0)
			return true;
	return false;
}

/* What lies where the configuration does not lead any more. */
static void check_others(struct check *c)
{
	struct backend_row row;
	char name[NAME_LEN + 1];
	int64_t id = 0;

	while (view_backend_next(c->view, id, &id, name, sizeof name) == 0) {
		struct err err = { 0 };

		if (is_configured(c, name) || view_backend_row(c->view, id, &row) < 0 ||
			!row.allocated)
			continue;
		(void)err_set(&err, -ENOENT,
			"%" PRIu64 " volumes are there, and the configuration does not name it",
			row.volumes);
		cannot_look(c, name, &err);
	}
}

/* --- all of it --- */

static int look(struct check *c)
{
	for (size_t i = 0; i < c->conf->backend_count; i++)
		check_backend(c, &c->conf->backends[i]);
	check_others(c);
	check_sums(c);
	(void)printf("%" PRIu64 " differences", c->found);
	if (c->mends)
		(void)printf(", %" PRIu64 " mended", c->mended);
	(void)printf("; %" PRIu64 " volumes and %" PRIu64 " snapshots were compared\n", c->volumes,
		c->snapshots);
	return c->blind ? CHECK_BLIND : c->found > c->mended ? CHECK_DIFFERS : CHECK_AGREES;
}

static int open_for_repair(struct check *c, int *ret_lock, struct err *err)
{
	int r = dblock_take(c->conf->database, ret_lock, err);

	/* A look first: what is not there is not made, nor brought to another version. */
	r = r < 0 ? r : store_look(c->conf->database, &c->conf->quota, &c->store, err);
	if (r < 0)
		return r;
	store_close(c->store);
	c->store = NULL;
	return store_open(c->conf->database, &c->conf->quota, &c->store, err);
}

static int mend(struct check *c, struct err *err)
{
	int r = repair_begin(&c->repair, c->store, c->view, err);

	if (r == 0) {
		r = look(c);
		repair_end(&c->repair);
	}
	return r;
}

/*
 * A supervisor of a version whose --check read only the configuration asks so, of the binary that was installed over its own, before it
 * replaces its server: it means no more than that.
 */
static bool is_asked_by_supervisor(const struct conf *conf)
{
	return dblock_is_held_by(conf->database, getppid());
}

int check_run(const struct conf *conf, bool repair)
{
	struct check c = { .conf = conf, .mends = repair };
	CLEANUP_FD int lock = -1;
	struct err err = { 0 };
	int r;

	if (!repair && is_asked_by_supervisor(conf))
		return CHECK_AGREES;
	lock_init(&c.lock);
	r = repair ? open_for_repair(&c, &lock, &err)
		   : store_look(conf->database, &conf->quota, &c.store, &err);
	r = r < 0 ? r : view_open(c.store, &c.view, &err);
	if (r == 0)
		r = repair ? mend(&c, &err) : look(&c);
	if (r < 0) {
		cannot_look(&c, NULL, &err);
		r = CHECK_BLIND;
	}
	view_close(c.view);
	store_close(c.store);
	lock_release(&c.lock);
	return r;
}
