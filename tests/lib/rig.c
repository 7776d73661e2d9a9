#include "tests/lib/rig.h"
#include "base/clock.h"
#include "tests/lib/recount.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid.h>

_Thread_local char rig_text[ERR_TEXT_MAX];

#define DIE(...)                                                                                   \
	do {                                                                                       \
		(void)fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                              \
		(void)fprintf(stderr, __VA_ARGS__);                                                \
		(void)fputc('\n', stderr);                                                         \
		abort();                                                                           \
	} while (0)

void rig_make(struct rig *r, size_t backends, const char *more)
{
	rig_make_of(r, backends, more, NULL);
}

void rig_make_of(struct rig *r, size_t backends, const char *more, const char *const *each)
{
	char path[128], dir[128];
	struct err err;
	FILE *f;

	*r = (struct rig){ .dir = "/tmp/volfs-rig.XXXXXX" };
	if (!mkdtemp(r->dir))
		DIE("mkdtemp: %s", strerror(errno));
	lock_init(&r->lock);
	(void)snprintf(path, sizeof path, "%s/volfs.conf", r->dir);
	f = fopen(path, "w");
	if (!f)
		DIE("%s: %s", path, strerror(errno));
	(void)fprintf(f, "database = \"%s/volfs.db\";\nstats_interval = 1;\n%s\n%s\nbackends = (",
		r->dir, more ? more : "",
		more && strstr(more, "trash_delay") ? "" : "trash_delay = 0;");
	for (size_t i = 0; i < backends; i++) {
		(void)snprintf(dir, sizeof dir, "%s/b%zu", r->dir, i);
		if (mkdir(dir, 0700) < 0)
			DIE("%s: %s", dir, strerror(errno));
		(void)fprintf(f,
			"%s{ name = \"b%zu\"; driver = \"local\"; path = \"%s\"; timeout = 1; %s }",
			i ? ", " : "", i, dir, each ? each[i] : "");
	}
	(void)fprintf(f, ");\n");
	(void)fclose(f);
	if (conf_read(path, &r->conf, &err) < 0)
		DIE("%s", err.text);
	r->who = (struct caller){ .uid = 0, .gid = 0, .pid = getpid(), .admin = true };
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void rig_drop(struct rig *r)
{
	conf_release(&r->conf);
	(void)nftw(r->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void changed(void *arg, const struct change_note *note, size_t n)
{
	struct rig *r = arg;

	if (atomic_fetch_add(&fault.commits, 1) + 1 == atomic_load(&fault.kill_after))
		kill(getpid(), SIGKILL);
	LOCK_SCOPE(&r->lock);
	r->notes += (unsigned)n;
	if (n > r->most)
		r->most = (unsigned)n;
}

void rig_up(struct rig *r)
{
	const struct driver *drivers[] = { r->driver ? r->driver : &driver_fault, NULL };
	struct engine_hooks hooks = { changed, r };
	struct err err;

	if (store_open(r->conf.database, &r->conf.quota, &r->store, &err) < 0 ||
		engine_new(&r->conf, r->store, drivers, &hooks, &r->engine, &err) < 0 ||
		engine_start(r->engine, &err) < 0 || view_open(r->store, &r->view, &err) < 0)
		DIE("%s", err.text);
}

static void end(struct rig *r, bool replaced)
{
	view_close(r->view);
	engine_stop(r->engine, 5000, replaced);
	engine_free(r->engine);
	store_close(r->store);
	r->view = NULL;
	r->engine = NULL;
	r->store = NULL;
}

void rig_down(struct rig *r)
{
	end(r, false);
}

void rig_replace(struct rig *r)
{
	end(r, true);
	rig_up(r);
}

void rig_begin(struct rig_answer *a)
{
	*a = (struct rig_answer){ 0 };
	lock_init(&a->lock);
	cond_init(&a->cond);
}

void rig_done(void *arg, const struct result *res)
{
	struct rig_answer *a = arg;

	LOCK_SCOPE(&a->lock);
	if (a->over)
		DIE("answered twice");
	a->over = true;
	a->code = res ? res->code : -ENOTCONN;
	a->row = res ? res->row : 0;
	(void)snprintf(a->text, sizeof a->text, "%s", res ? res->text : "");
	pthread_cond_signal(&a->cond);
}

int rig_wait(struct rig_answer *a, int64_t *ret_row)
{
	struct timespec until = clock_mono_in_ms(20000);

	LOCK_SCOPE(&a->lock);
	while (!a->over)
		if (!lock_wait_until(&a->lock, &a->cond, &until))
			DIE("no answer");
	if (ret_row)
		*ret_row = a->row;
	(void)snprintf(rig_text, sizeof rig_text, "%s", a->text);
	return a->code;
}

int rig_create_as(struct rig *r, const struct caller *who, const char *text, const char *file,
	int64_t *ret_row)
{
	struct rig_answer a;
	struct spec spec;
	struct err err;
	char id[UUID_LEN + 1];
	uuid_t uuid;

	uuid_generate(uuid);
	uuid_unparse_lower(uuid, id);
	if (spec_parse(text, strlen(text), true, &spec, &err) < 0)
		DIE("%s", err.text);
	rig_begin(&a);
	engine_create(r->engine, (struct change_id){ 0 }, who, &spec, id, file, text, strlen(text),
		true, rig_done, &a);
	spec_release(&spec);
	return rig_wait(&a, ret_row);
}

int rig_create(struct rig *r, const char *spec, int64_t *ret_row)
{
	return rig_create_as(r, &r->who, spec, NULL, ret_row);
}

int rig_delete(struct rig *r, int64_t volume)
{
	struct rig_answer a;

	rig_begin(&a);
	lock_take(&r->lock); /* one view for all threads of a test */
	engine_delete(r->engine, r->view, (struct change_id){ 0 }, &r->who, volume, rig_done, &a);
	lock_drop(&r->lock);
	return rig_wait(&a, NULL);
}

int rig_purge(struct rig *r, int64_t volume)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_purge(r->engine, (struct change_id){ 0 }, &r->who, volume, rig_done, &a);
	return rig_wait(&a, NULL);
}

int rig_extend(struct rig *r, int64_t volume, uint64_t size)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_extend(r->engine, (struct change_id){ 0 }, &r->who, volume, size, rig_done, &a);
	return rig_wait(&a, NULL);
}

int rig_snapshot(struct rig *r, int64_t volume, const char *name, int64_t *ret_row)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_snapshot(r->engine, (struct change_id){ 0 }, &r->who, volume, name, rig_done, &a);
	return rig_wait(&a, ret_row);
}

int rig_unsnap(struct rig *r, int64_t snapshot)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_snapshot_remove(r->engine, (struct change_id){ 0 }, &r->who, snapshot, rig_done, &a);
	return rig_wait(&a, NULL);
}

int rig_revert(struct rig *r, int64_t volume, const char *name)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_revert(r->engine, (struct change_id){ 0 }, &r->who, volume, name, rig_done, &a);
	return rig_wait(&a, NULL);
}

int rig_settle(struct rig *r, int64_t volume)
{
	enum vol_status status;
	bool trashed;

	for (int i = 0; i < 10000; i++) {
		int code;

		lock_take(&r->lock); /* one view for all threads of a test */
		code = view_status(r->view, volume, &status, &trashed);
		lock_drop(&r->lock);
		if (code < 0)
			return code;
		if (vol_status_settled(status))
			return (int)status;
		usleep(1000);
	}
	DIE("volume %lld stays %s", (long long)volume, vol_status_name(status));
}

void rig_idle(struct rig *r)
{
	uint64_t volumes, jobs;

	for (int i = 0; i < 10000; i++) {
		if (view_counts(r->view, &volumes, &jobs) < 0)
			DIE("no counts");
		if (jobs == 0)
			return;
		usleep(1000);
	}
	DIE("%llu jobs stay", (unsigned long long)jobs);
}

size_t rig_images(struct rig *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->conf.backend_count; i++) {
		DIR *dir = opendir(r->conf.backends[i].path);
		struct dirent *d;

		if (!dir)
			DIE("%s: %s", r->conf.backends[i].path, strerror(errno));
		while ((d = readdir(dir)))
			n += d->d_name[0] != '.';
		closedir(dir);
	}
	return n;
}

static size_t snapshots; /* that count_snapshot() has met */

static int count_snapshot(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	snapshots += type == FTW_F && !strncmp(path + ftw->base, "snapshot-", 9);
	return 0;
}

size_t rig_snapshots(struct rig *r)
{
	snapshots = 0;
	for (size_t i = 0; i < r->conf.backend_count; i++)
		(void)nftw(r->conf.backends[i].path, count_snapshot, 16, FTW_PHYS);
	return snapshots;
}

int64_t rig_sql(struct rig *r, const char *sql)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	int64_t n;

	if (sqlite3_open(r->conf.database, &db) != SQLITE_OK ||
		sqlite3_busy_timeout(db, 10000) != SQLITE_OK ||
		sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK ||
		sqlite3_step(st) != SQLITE_ROW)
		DIE("%s: %s", sqlite3_errmsg(db), sql);
	n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

void rig_recount(struct rig *r)
{
	static const char *const wrong[] = {
		/* a volume on its way has a job; a settled one has none */
		"SELECT count(*) FROM volume v WHERE (status IN (0, 7, 12, 14, 15, 16)) <> "
		"EXISTS (SELECT 1 FROM job WHERE volume = v.id AND kind NOT IN (4, 5, 6))",
		/* the same of snapshots; one that is reverted to has its volume's */
		"SELECT count(*) FROM snapshot s WHERE (status IN (0, 3)) <> "
		"EXISTS (SELECT 1 FROM job WHERE snapshot = s.id AND kind IN (5, 6))",
		"SELECT count(*) FROM snapshot s WHERE (status = 2) <> "
		"EXISTS (SELECT 1 FROM job WHERE snapshot = s.id AND kind = 7)",
		"SELECT count(*) FROM snapshot WHERE (name IS NULL) <> (status = 3)",
		"SELECT count(*) FROM meta WHERE volume NOT IN (SELECT id FROM volume)",
		"SELECT count(*) FROM attachment WHERE volume NOT IN (SELECT id FROM volume)",
	};

	for (size_t i = 0; i < RECOUNT_SUMS; i++)
		if (rig_sql(r, recount_sums[i]))
			DIE("the catalogue is wrong: %s", recount_sums[i]);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		if (rig_sql(r, wrong[i]))
			DIE("the catalogue is wrong: %s", wrong[i]);
}

long rig_stride(void)
{
	return getenv("VOLFS_TEST_SANITIZED") && !getenv("VOLFS_TEST_FULL") ? 3 : 1;
}
