/* What the tests of store/ share: a catalogue in a folder of its own, one change that is waited for, one number by SQL, a recount. */
#ifndef VOLFS_TESTS_STORE_RIG_H
#define VOLFS_TESTS_STORE_RIG_H

#include "base/lock.h"
#include "store/store.h"
#include "tests/lib/recount.h"
#include "unit.h"

#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid.h>

static char dir[64], path[128];
static struct store *s;
static struct err err;
static const struct quota defaults = {
	.max[QUOTA_VOLUMES] = 10, .max[QUOTA_SIZE] = 1 << 30, .max[QUOTA_PER_VOLUME_SIZE] = -1
};

/* --- one change, waited for --- */

struct one {
	struct change change;
	int (*fn)(struct tx *tx, void *arg, struct err *err);
	void *arg;
	struct lock lock;
	pthread_cond_t cond;
	bool over;
	int code;
	char text[ERR_TEXT_MAX];
};

static inline int one_run(struct change *c, struct tx *tx, struct err *e)
{
	struct one *o = (struct one *)c;

	return o->fn(tx, o->arg, e);
}

static inline void one_done(struct change *c, int code, const struct err *e)
{
	struct one *o = (struct one *)c;

	LOCK_SCOPE(&o->lock);
	o->over = true;
	o->code = code;
	(void)snprintf(o->text, sizeof o->text, "%s", e->text);
	pthread_cond_signal(&o->cond);
}

static inline void one_begin(struct one *o, int (*fn)(struct tx *, void *, struct err *), void *arg)
{
	*o = (struct one){ .change = { .run = one_run, .done = one_done }, .fn = fn, .arg = arg };
	lock_init(&o->lock);
	cond_init(&o->cond);
	store_submit(s, &o->change);
}

static inline int one_end(struct one *o)
{
	LOCK_SCOPE(&o->lock);
	while (!o->over)
		lock_wait(&o->lock, &o->cond);
	return o->code;
}

static inline int change(int (*fn)(struct tx *, void *, struct err *), void *arg)
{
	struct one o;

	one_begin(&o, fn, arg);
	return one_end(&o);
}

static inline int add_volume(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_add(tx, arg, false, "size=1\n", 7);
}

static inline struct volume volume(const char *name)
{
	struct volume v = { .size = 1 << 20, .status = VOL_AVAILABLE, .mode = 0755 };
	uuid_t uuid;

	uuid_generate(uuid);
	uuid_unparse_lower(uuid, v.uuid);
	(void)snprintf(v.name, sizeof v.name, "%s", name ? name : v.uuid);
	(void)snprintf(v.project, sizeof v.project, "p");
	(void)snprintf(v.backend, sizeof v.backend, "b");
	(void)snprintf(v.image_id, sizeof v.image_id, "0123456789abcd");
	return v;
}

static inline int64_t sql(const char *text)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db;
	int64_t n = -1;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	if (sqlite3_prepare_v2(db, text, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sqlite3_errmsg(db), text);
	if (sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

/* --- the folder --- */

static inline void hook(void *arg, bool ok)
{
}

static inline void up(void)
{
	struct store_hooks hooks = { .committed = hook };

	if (store_open(path, &defaults, &s, &err) < 0 || store_start(s, &hooks, &err) < 0)
		fail_msg("%s", err.text);
}

static inline void down(void)
{
	if (!s)
		return;
	store_stop(s);
	store_close(s);
	s = NULL;
}

static inline int make_dir(void **state)
{
	(void)snprintf(dir, sizeof dir, "/tmp/volfs-store.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof path, "%s/v.db", dir);
	err = (struct err){ 0 };
	return 0;
}

static inline int remove_entry(const char *p, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(p);
}

static inline int drop_dir(void **state)
{
	down();
	(void)umount(dir);
	(void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

/* --- the sums --- */

/* Each is what the rows say, in whatever way they came about. */
static inline void recount(void)
{
	for (size_t i = 0; i < RECOUNT_SUMS; i++)
		if (sql(recount_sums[i]) != 0)
			fail_msg("the catalogue is wrong: %s", recount_sums[i]);
}

#endif
