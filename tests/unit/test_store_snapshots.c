/* Snapshots, the trash, who needs whose image, and what nobody owns, as the catalogue has them. */
#include "base/clock.h"
#include "store/internal.h"
#include "store_rig.h"

#include <errno.h>

static struct view *v;

static int start(void **state)
{
	if (make_dir(state) < 0)
		return -1;
	up();
	return view_open(s, &v, &err);
}

static int64_t added(const char *name)
{
	struct volume vol = volume(name);

	assert_int_equal(change(add_volume, &vol), 0);
	return vol.id;
}

/* --- snapshots --- */

static struct snapshot snapshot(int64_t of, const char *name)
{
	struct snapshot n = { .volume = of, .size = 1 << 20 };
	uuid_t uuid;

	uuid_generate(uuid);
	uuid_unparse_lower(uuid, n.uuid);
	(void)snprintf(n.name, sizeof n.name, "%s", name);
	return n;
}

static int add_snapshot(struct tx *tx, void *arg, struct err *e)
{
	return tx_snapshot_add(tx, arg);
}

static struct snapshot taken(int64_t of, const char *name)
{
	struct snapshot n = snapshot(of, name);

	assert_int_equal(change(add_snapshot, &n), 0);
	return n;
}

static void a_snapshot_is_read_as_it_was_written(void **state)
{
	int64_t db = added("db");
	struct snapshot n = snapshot(db, "monday"), got;

	(void)snprintf(n.description, sizeof n.description, "before the change");
	n.status = SNAP_AVAILABLE;
	n.created_us = 77; /* an adopted one's */
	assert_int_equal(change(add_snapshot, &n), 0);
	assert_int_equal(view_snapshot(v, n.id, &got), 0);
	assert_int_equal(got.volume, db);
	assert_string_equal(got.uuid, n.uuid);
	assert_string_equal(got.name, "monday");
	assert_string_equal(got.description, "before the change");
	assert_string_equal(got.reason, "");
	assert_int_equal(got.status, SNAP_AVAILABLE);
	assert_int_equal(got.size, 1 << 20);
	assert_int_equal(got.created_us, 77);
	assert_true(got.updated_us > 77 && got.updated_us == n.updated_us);
	assert_int_equal(view_snapshot_by_uuid(v, n.uuid, &got), 0);
	assert_int_equal(got.id, n.id);
	assert_int_equal(view_snapshot_by_name(v, db, "monday", &got), 0);
	assert_int_equal(got.id, n.id);
	assert_int_equal(view_snapshot_by_name(v, db, "Monday", &got), -ENOENT);
	assert_int_equal(view_snapshot_by_name(v, db + 1, "monday", &got), -ENOENT);
	assert_int_equal(view_snapshot(v, n.id + 1, &got), -ENOENT);
}

static int change_snapshot(struct tx *tx, void *arg, struct err *e)
{
	const struct snapshot *n = arg;
	int r = tx_snapshot_status(tx, n->id, n->status, n->reason);

	r = r < 0 ? r : tx_snapshot_text(tx, n->id, n->description);
	return r < 0 ? r : tx_snapshot_rename(tx, n->id, n->name);
}

static int remove_snapshot(struct tx *tx, void *arg, struct err *e)
{
	return tx_snapshot_remove(tx, *(int64_t *)arg);
}

static void a_name_is_taken_once(void **state)
{
	int64_t db = added("db"), log = added("log");
	struct snapshot a = taken(db, "a"), other = taken(log, "a"), n = snapshot(db, "a"), got;

	assert_int_equal(change(add_snapshot, &n), -EEXIST);
	n = taken(db, "b");
	(void)snprintf(n.name, sizeof n.name, "a");
	assert_int_equal(change(change_snapshot, &n), -EEXIST);
	(void)snprintf(other.name, sizeof other.name, "b"); /* of another volume */
	assert_int_equal(change(change_snapshot, &other), 0);
	a.name[0] = '\0'; /* rmdir */
	a.status = SNAP_DELETING;
	assert_int_equal(change(change_snapshot, &a), 0);
	assert_int_equal(change(change_snapshot, &n), 0);
	assert_int_equal(view_snapshot_by_name(v, db, "a", &got), 0);
	assert_int_equal(got.id, n.id);
	assert_int_equal(view_snapshot(v, a.id, &got), 0);
	assert_string_equal(got.name, "");
	assert_int_equal(got.status, SNAP_DELETING);
	(void)snprintf(a.name, sizeof a.name, "a"); /* it failed, and its old name is gone */
	assert_int_equal(change(change_snapshot, &a), -EEXIST);
	(void)snprintf(a.name, sizeof a.name, "%s", a.uuid);
	(void)snprintf(a.reason, sizeof a.reason, "the pool is full");
	a.status = SNAP_ERROR_DELETING;
	assert_int_equal(change(change_snapshot, &a), 0);
	assert_int_equal(view_snapshot_by_name(v, db, a.uuid, &got), 0);
	assert_string_equal(got.reason, "the pool is full");
	recount();
	assert_int_equal(change(remove_snapshot, &a.id), 0);
	assert_int_equal(change(remove_snapshot, &a.id), -ENOENT);
	assert_int_equal(change(change_snapshot, &a), -ENOENT);
	n = snapshot(log + 1, "x"); /* of no volume */
	assert_int_equal(change(add_snapshot, &n), -ENOENT);
	recount();
}

struct listed {
	int64_t volume;
	int all;
	struct snapshot latest, first[3];
	uint64_t count, size;
};

static int list(struct tx *tx, void *arg, struct err *e)
{
	struct listed *l = arg;
	int r = tx_snapshot_latest(tx, l->volume, &l->latest);

	r = r < 0 ? r : tx_snapshot_sums(tx, l->volume, &l->count, &l->size);
	if (r < 0)
		return r;
	l->all = tx_snapshots(tx, l->volume, 0, l->first, 3);
	return l->all < 0 ? l->all : 0;
}

static void they_are_listed_in_the_order_of_their_taking(void **state)
{
	int64_t db = added("db"), other = added("other");
	struct snapshot c = taken(db, "c"), x = taken(other, "x"), a = taken(db, "a"),
			b = taken(db, "b"), got[4];
	struct listed l = { .volume = db };
	uint64_t n;

	assert_int_equal(view_snapshots(v, db, 0, got, 4), 3);
	assert_int_equal(got[0].id, c.id);
	assert_int_equal(got[1].id, a.id);
	assert_int_equal(got[2].id, b.id);
	assert_int_equal(view_snapshots(v, db, 0, got, 2), 2);
	assert_int_equal(view_snapshots(v, db, got[1].id, got, 2), 1);
	assert_string_equal(got[0].name, "b");
	assert_int_equal(view_snapshot_count(v, db, &n), 0);
	assert_int_equal(n, 3);
	b.name[0] = '\0';
	assert_int_equal(change(change_snapshot, &b), 0);
	assert_int_equal(view_snapshots(v, db, 0, got, 4), 2);
	assert_int_equal(view_snapshot_count(v, db, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(change(list, &l), 0);
	assert_int_equal(l.latest.id, a.id);
	assert_int_equal(l.count, 2);
	assert_int_equal(l.size, 2 << 20);
	assert_int_equal(l.all, 3); /* also the one that is being removed */
	assert_string_equal(l.first[2].name, "");
	assert_int_equal(view_snapshots(v, other, 0, got, 4), 1);
	assert_int_equal(got[0].id, x.id);
	l.volume = other + 1;
	assert_int_equal(change(list, &l), -ENOENT);
}

static int purge(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_purge(tx, *(int64_t *)arg);
}

static void they_go_with_their_volume(void **state)
{
	int64_t db = added("db"), other = added("other");
	struct snapshot got, a = taken(db, "a"), x = taken(other, "x");

	assert_int_equal(sql("SELECT size FROM project WHERE name = 'p'"), 4 << 20);
	assert_int_equal(change(purge, &db), 0);
	assert_int_equal(view_snapshot(v, a.id, &got), -ENOENT);
	assert_int_equal(view_snapshot(v, x.id, &got), 0);
	assert_int_equal(sql("SELECT size FROM project WHERE name = 'p'"), 2 << 20);
	assert_int_equal(sql("SELECT snapshots FROM project WHERE name = 'p'"), 1);
	recount();
}

static int to_q(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_owner(tx, *(int64_t *)arg, 0700, 1, 1, "q");
}

static int add_type(struct tx *tx, void *arg, struct err *e)
{
	return tx_type_add(tx, arg);
}

static void they_pay_where_their_volume_does(void **state)
{
	struct vol_type t = { .name = "fast", .uuid = "t" };
	struct volume vol = volume("db");

	assert_int_equal(change(add_type, &t), 0);
	vol.type_id = t.id;
	assert_int_equal(change(add_volume, &vol), 0);
	(void)taken(vol.id, "a");
	(void)taken(vol.id, "b");
	assert_int_equal(sql("SELECT size FROM type_quota WHERE in_use = 1"), 3 << 20);
	assert_int_equal(change(to_q, &vol.id), 0);
	assert_int_equal(sql("SELECT size FROM project WHERE name = 'p'"), 0);
	assert_int_equal(sql("SELECT snapshots FROM project WHERE name = 'p'"), 0);
	assert_int_equal(sql("SELECT size FROM project WHERE name = 'q'"), 3 << 20);
	assert_int_equal(sql("SELECT snapshots FROM type_quota WHERE in_use = 1"), 2);
	assert_int_equal(sql("SELECT size FROM type_quota WHERE in_use = 1"), 3 << 20);
	recount();
}

/* --- a random walk over everything that the sums depend on --- */

static int64_t types[2];

static int add_types(struct tx *tx, void *arg, struct err *e)
{
	struct vol_type a = { .name = "fast", .uuid = "t1" }, b = { .name = "slow", .uuid = "t2" };
	int r = tx_type_add(tx, &a);

	r = r < 0 ? r : tx_type_add(tx, &b);
	types[0] = a.id;
	types[1] = b.id;
	return r;
}

struct walked {
	int64_t id, snap[5];
};

static int step_volume(struct tx *tx, struct walked *w)
{
	static const char *const project[] = { "p", "q", "root" };
	struct volume vol = volume(NULL);
	int r;

	if (!w->id) {
		vol.type_id = rand() % 3 ? types[rand() % 2] : 0;
		vol.size = (uint64_t)(1 + rand() % 9) << 20;
		r = tx_volume_add(tx, &vol, false, "", 0);
		*w = (struct walked){ .id = vol.id };
		return r;
	}
	switch (rand() % 5) {
	case 0:
		return tx_volume_resize(tx, w->id, (uint64_t)(1 + rand() % 9) << 20);
	case 1:
		return tx_volume_owner(tx, w->id, 0700, 1, 1, project[(unsigned)rand() % 3]);
	case 2:
		return tx_volume_trash(tx, w->id, rand() % 2 * 1000);
	case 3:
		r = tx_volume_restore(tx, w->id, vol.name);
		return r == -ENOENT ? 0 : r;
	default:
		r = tx_volume_purge(tx, w->id);
		*w = (struct walked){ 0 };
		return r;
	}
}

static int step_snapshot(struct tx *tx, const struct walked *w, int64_t *snap)
{
	struct snapshot n;
	char name[16];
	int r;

	(void)snprintf(name, sizeof name, "%d", rand());
	if (!*snap) {
		n = snapshot(w->id, rand() % 4 ? name : "");
		n.size = (uint64_t)(rand() % 9) << 20;
		r = tx_snapshot_add(tx, &n);
		*snap = n.id;
		return r;
	}
	switch (rand() % 4) {
	case 0:
		return tx_snapshot_rename(tx, *snap, "");
	case 1:
		return tx_snapshot_rename(tx, *snap, name);
	case 2:
		return tx_snapshot_status(tx, *snap, SNAP_DELETING, "");
	default:
		r = tx_snapshot_remove(tx, *snap);
		*snap = 0;
		return r;
	}
}

static int step(struct tx *tx, void *arg, struct err *e)
{
	static struct walked all[30];
	struct walked *w = &all[rand() % 30];

	return !w->id || rand() % 4 == 0 ? step_volume(tx, w)
					 : step_snapshot(tx, w, &w->snap[rand() % 5]);
}

static void sums_equal_a_recount(void **state)
{
	assert_int_equal(change(add_types, NULL), 0);
	for (int i = 0; i < 4000; i++) {
		assert_int_equal(change(step, NULL), 0);
		if (i % 500 == 0)
			recount();
	}
	recount();
	assert_true(sql("SELECT count(*) FROM snapshot WHERE name IS NULL AND type > 0") > 0);
	assert_true(sql("SELECT sum(snapshots) FROM project") > 10);
	assert_true(sql("SELECT sum(snapshots) FROM type_quota") > 5);
}

/* --- the trash --- */

struct put {
	int64_t id, expires_us;
};

static int trash(struct tx *tx, void *arg, struct err *e)
{
	const struct put *t = arg;

	return tx_volume_trash(tx, t->id, t->expires_us);
}

struct asked {
	int64_t now, project, type, backend, id[4];
	int n, next;
	struct trashed at;
};

static int ask(struct tx *tx, void *arg, struct err *e)
{
	struct asked *a = arg;

	a->n = tx_trash_expired(tx, a->now, a->id, 4);
	a->next = a->project ? tx_trash_of(tx, a->project, a->type, &a->at)
			     : tx_trash_on(tx, a->backend, &a->at);
	return 0;
}

static struct asked expired(int64_t now)
{
	struct asked a = { .now = now };

	assert_int_equal(change(ask, &a), 0);
	return a;
}

/* The one after that; NULL: the oldest. */
static int64_t after(const struct trashed *at, int64_t project, int64_t type, int64_t backend)
{
	struct asked a = { .project = project, .type = type, .backend = backend };

	if (at)
		a.at = *at;
	assert_int_equal(change(ask, &a), 0);
	return a.next < 0 ? a.next : a.at.id;
}

static int64_t waiting_of(const char *project)
{
	char text[96];

	(void)snprintf(
		text, sizeof text, "SELECT trash_waiting FROM project WHERE name = '%s'", project);
	return sql(text);
}

static int begin_purge(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_status(tx, *(int64_t *)arg, VOL_DELETING, "");
}

static int64_t in_trash(const char *name, const char *project, const char *backend, int64_t expires)
{
	struct volume vol = volume(name);
	struct put t;

	(void)snprintf(vol.project, sizeof vol.project, "%s", project);
	(void)snprintf(vol.backend, sizeof vol.backend, "%s", backend);
	assert_int_equal(change(add_volume, &vol), 0);
	t = (struct put){ vol.id, expires };
	assert_int_equal(change(trash, &t), 0);
	return vol.id;
}

static void what_expires_first_comes_first(void **state)
{
	int64_t us, a, b, c, p, alive;
	struct asked got;
	struct volume vol;

	assert_int_equal(view_trash_next(v, &us), -ENOENT);
	assert_int_equal(after(NULL, 0, 0, 1), -ENOENT);
	alive = added("alive");
	a = in_trash("a", "p", "b", 300);
	b = in_trash("b", "q", "c", 100);
	c = in_trash("c", "p", "c", 200);
	(void)in_trash("never", "p", "b", 0);
	assert_int_equal(view_trash_next(v, &us), 0);
	assert_int_equal(us, 100);
	assert_int_equal(expired(99).n, 0);
	got = expired(200);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.id[0], b);
	assert_int_equal(got.id[1], c);
	p = sql("SELECT id FROM project WHERE name = 'p'");
	assert_int_equal(after(NULL, p, 0, 0), c);
	assert_int_equal(after(&(struct trashed){ 200, c, 0 }, p, 0, 0), a);
	assert_int_equal(after(&(struct trashed){ 300, a, 0 }, p, 0, 0), -ENOENT);
	assert_int_equal(after(NULL, p, 1, 0), -ENOENT);
	assert_int_equal(after(NULL, 0, 0, sql("SELECT id FROM backend WHERE name = 'c'")), b);
	assert_int_equal(after(NULL, 0, 0, sql("SELECT id FROM backend WHERE name = 'b'")), a);
	assert_int_equal(waiting_of("p"), 2 << 20);
	assert_int_equal(sql("SELECT trash_waiting FROM backend WHERE name = 'c'"), 2 << 20);
	assert_int_equal(change(begin_purge, &b), 0);
	got = expired(INT64_MAX);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.id[0], c);
	assert_int_equal(
		after(NULL, sql("SELECT id FROM project WHERE name = 'q'"), 0, 0), -ENOENT);
	assert_int_equal(waiting_of("q"), 0);
	assert_int_equal(view_volume(v, b, &vol), 0);
	assert_int_equal(vol.expires_us, 0);
	assert_int_equal(view_volume(v, a, &vol), 0);
	assert_int_equal(vol.expires_us, 300);
	assert_int_equal(view_volume(v, alive, &vol), 0);
	assert_int_equal(vol.expires_us, 0);
	recount();
}

struct back {
	int64_t id;
	const char *name;
};

static int restore(struct tx *tx, void *arg, struct err *e)
{
	const struct back *b = arg;

	return tx_volume_restore(tx, b->id, b->name);
}

static void it_comes_back(void **state)
{
	int64_t id = in_trash("db", "p", "b", 100), us;
	struct back b = { id, "db" };
	struct vol_entry entry;
	struct volume vol;

	(void)added("db"); /* the name was free */
	assert_int_equal(change(restore, &b), -EEXIST);
	assert_int_equal(sql("SELECT trash_size FROM project WHERE name = 'p'"), 1 << 20);
	b.name = "db2";
	assert_int_equal(change(restore, &b), 0);
	assert_int_equal(change(restore, &b), -ENOENT); /* it is not there any more */
	assert_int_equal(view_entry_by_name(v, "db2", &entry), 0);
	assert_int_equal(entry.id, id);
	assert_false(entry.trashed);
	assert_int_equal(entry.generation, 1);
	assert_int_equal(view_volume(v, id, &vol), 0);
	assert_int_equal(vol.expires_us, 0);
	assert_int_equal(view_trash_next(v, &us), -ENOENT);
	assert_int_equal(sql("SELECT trash_size FROM project WHERE name = 'p'"), 0);
	assert_int_equal(sql("SELECT volumes FROM project WHERE name = 'p'"), 2);
	recount();
	assert_int_equal(change(trash, &(struct put){ id, 7 }), 0);
	b.name = vol.uuid; /* by its UUID again */
	assert_int_equal(change(restore, &b), 0);
	assert_int_equal(view_entry_by_name(v, vol.uuid, &entry), 0);
	assert_int_equal(entry.generation, 2);
}

/* --- who needs whose image --- */

struct child {
	int64_t of, child, parent;
	int code;
	struct job_row job;
};

static int find_child(struct tx *tx, void *arg, struct err *e)
{
	struct child *c = arg;

	return tx_volume_child(tx, c->of, &c->child);
}

static int set_parent(struct tx *tx, void *arg, struct err *e)
{
	const struct child *c = arg;

	return tx_volume_parent(tx, c->of, c->parent);
}

static int add_job(struct tx *tx, void *arg, struct err *e)
{
	return tx_job_add(tx, arg);
}

static int turn_job(struct tx *tx, void *arg, struct err *e)
{
	return tx_job_turn(tx, arg);
}

static int remove_job(struct tx *tx, void *arg, struct err *e)
{
	return tx_job_remove(tx, *(int64_t *)arg);
}

static int release(struct tx *tx, void *arg, struct err *e)
{
	struct child *c = arg;

	return tx_job_release(tx, c->of, &c->job);
}

static int64_t clone_of(const char *name, int64_t parent)
{
	struct volume vol = volume(name), got;

	vol.parent = parent;
	(void)snprintf(vol.origin, sizeof vol.origin, "%s@%s", vol.uuid, vol.uuid);
	assert_int_equal(change(add_volume, &vol), 0);
	assert_int_equal(view_volume(v, vol.id, &got), 0);
	assert_int_equal(got.parent, parent);
	assert_string_equal(got.origin, vol.origin);
	return vol.id;
}

/* The purge of a volume whose image is needed. */
static int hold(struct tx *tx, void *arg, struct err *e)
{
	struct job_row *j = arg;
	int r = tx_volume_purge(tx, j->volume);

	j->kind = JOB_CLEAN;
	j->class = CLASS_HELD;
	return r < 0 ? r : tx_job_turn(tx, j);
}

static struct job_row held(int64_t id, int64_t parent)
{
	struct volume vol;
	struct job_row j = { .kind = JOB_PURGE, .volume = id, .backend = 1, .attempt = 1 };

	assert_int_equal(view_volume(v, id, &vol), 0);
	(void)snprintf(j.uuid, sizeof j.uuid, "%s", vol.uuid);
	j.size = vol.size;
	assert_int_equal(change(add_job, &j), 0);
	j.parent = parent;
	assert_int_equal(change(hold, &j), 0);
	return j;
}

/* base, of which mid is a clone, of which leaf is one; purged from the oldest on. */
static void an_image_is_held_until_nobody_needs_it(void **state)
{
	int64_t base = added("base"), mid = clone_of("mid", base), leaf = clone_of("leaf", mid);
	struct child c = { .of = base };
	struct job_row of_base, of_mid, got;

	assert_int_equal(change(find_child, &c), 0);
	assert_int_equal(c.child, mid);
	c.of = leaf;
	assert_int_equal(change(find_child, &c), -ENOENT);
	of_base = held(base, 0);
	assert_int_equal(sql("SELECT allocated FROM backend WHERE id = 1"), 3 << 20);
	recount();
	c.of = base;
	assert_int_equal(change(release, &c), -ENOENT); /* mid needs it */
	of_mid = held(mid, base);
	assert_int_equal(change(find_child, &c), 0); /* mid's image still does */
	assert_int_equal(c.child, mid);
	assert_int_equal(change(release, &c), -ENOENT);
	assert_int_equal(view_job_of_image(v, 1, of_mid.uuid, &got), 0);
	assert_int_equal(got.id, of_mid.id);
	assert_int_equal(got.class, CLASS_HELD);
	assert_int_equal(got.parent, base);
	c = (struct child){ .of = leaf }; /* flattened */
	assert_int_equal(change(set_parent, &c), 0);
	c.of = mid;
	assert_int_equal(change(release, &c), 0);
	assert_int_equal(c.job.id, of_mid.id);
	assert_int_equal(c.job.class, CLASS_OTHER);
	assert_int_equal(c.job.parent, base);
	assert_int_equal(change(release, &c), -ENOENT); /* once */
	c.of = base;
	assert_int_equal(change(release, &c), -ENOENT); /* mid's image is there still */
	assert_int_equal(change(remove_job, &of_mid.id), 0);
	assert_int_equal(change(release, &c), 0);
	assert_int_equal(c.job.id, of_base.id);
	assert_int_equal(sql("SELECT allocated FROM backend WHERE id = 1"), 2 << 20);
	recount();
}

/* --- jobs --- */

struct found {
	int64_t volume, snapshot, of, of_snapshot, of_snapshots;
	struct job_row from;
};

static int64_t or_code(int r, int64_t id)
{
	return r < 0 ? r : id;
}

static int find_jobs(struct tx *tx, void *arg, struct err *e)
{
	struct found *f = arg;
	int64_t id = 0;
	int r;

	r = tx_job_of(tx, f->volume, &id);
	f->of = or_code(r, id);
	r = tx_job_of_snapshot(tx, f->snapshot, &id);
	f->of_snapshot = or_code(r, id);
	r = tx_job_of_snapshots(tx, f->volume, &id);
	f->of_snapshots = or_code(r, id);
	if (tx_job_from(tx, f->volume, f->snapshot, &f->from) < 0)
		f->from.id = 0;
	return 0;
}

static struct found jobs_of(int64_t of, int64_t snap)
{
	struct found f = { .volume = of, .snapshot = snap };

	assert_int_equal(change(find_jobs, &f), 0);
	return f;
}

static int64_t job(struct job_row j)
{
	j.backend = j.backend ? j.backend : 1;
	assert_int_equal(change(add_job, &j), 0);
	return j.id;
}

static void every_column_of_a_job_is_kept(void **state)
{
	struct job_row got, j = { .kind = JOB_CREATE,
		.class = CLASS_COPY,
		.volume = 3,
		.backend = 4,
		.project = 5,
		.source = 6,
		.snapshot = 7,
		.parent = 8,
		.flatten = true,
		.image = "theirs",
		.uuid = "u",
		.image_id = "i",
		.size = 9,
		.attempt = 2,
		.qos = "a=1\n",
		.tried = "b\tno\n" };

	assert_int_equal(change(add_job, &j), 0);
	assert_int_equal(view_job(v, j.id, &got), 0);
	assert_true(got.kind == JOB_CREATE && got.class == CLASS_COPY && got.volume == 3);
	assert_true(got.backend == 4 && got.project == 5 && got.source == 6 && got.snapshot == 7);
	assert_true(got.parent == 8 && got.flatten && got.size == 9 && got.attempt == 2);
	assert_string_equal(got.image, "theirs");
	assert_string_equal(got.qos, "a=1\n");
	assert_string_equal(got.tried, "b\tno\n");
	j = (struct job_row){ .id = j.id, .kind = JOB_UNSNAP, .class = CLASS_SNAP, .snapshot = 9 };
	assert_int_equal(change(turn_job, &j), 0);
	assert_int_equal(view_job(v, j.id, &got), 0);
	assert_true(got.kind == JOB_UNSNAP && got.class == CLASS_SNAP && got.snapshot == 9);
	assert_true(got.parent == 0 && got.volume == 3 && got.size == 9);
	assert_string_equal(got.image, "");
	j.id++;
	assert_int_equal(change(turn_job, &j), -ENOENT);
}

static void a_volume_has_one_job_and_its_snapshots_theirs(void **state)
{
	int64_t db = added("db"), clone = added("clone");
	struct snapshot a = taken(db, "a"), b = taken(db, "b");
	int64_t clean = job((struct job_row){ .kind = JOB_CLEAN, .volume = db });
	int64_t snap = job((struct job_row){
		.kind = JOB_SNAP, .class = CLASS_SNAP, .volume = db, .snapshot = a.id });
	int64_t revert, create;
	struct found f = jobs_of(db, a.id);

	assert_int_equal(f.of, -ENOENT);
	assert_int_equal(f.of_snapshot, snap);
	assert_int_equal(f.of_snapshots, snap);
	assert_int_equal(f.from.id, 0);
	f = jobs_of(db, b.id);
	assert_int_equal(f.of_snapshot, -ENOENT);
	assert_int_equal(f.of_snapshots, snap);
	revert = job((struct job_row){
		.kind = JOB_REVERT, .class = CLASS_COPY, .volume = db, .snapshot = b.id });
	f = jobs_of(db, b.id);
	assert_int_equal(f.of, revert);
	assert_int_equal(f.of_snapshot, -ENOENT);
	create = job((struct job_row){ .kind = JOB_CREATE,
		.class = CLASS_CREATE,
		.volume = clone,
		.source = db,
		.snapshot = b.id });
	assert_int_equal(jobs_of(db, b.id).from.id, create);
	assert_int_equal(jobs_of(db, b.id).from.volume, clone);
	assert_int_equal(jobs_of(db, a.id).from.id, 0);
	assert_int_equal(jobs_of(db, 0).from.id, create);
	assert_int_equal(jobs_of(clone, 0).from.id, 0);
	assert_int_equal(change(remove_job, &snap), 0);
	assert_int_equal(jobs_of(db, 0).of_snapshots, -ENOENT);
	assert_true(clean > 0);
}

static int abandon(struct tx *tx, void *arg, struct err *e)
{
	return tx_job_abandon(tx, *(int64_t *)arg);
}

static void a_given_up_attempt_locks_no_source(void **state)
{
	int64_t db = added("db"), clone = added("clone");
	int64_t create = job((struct job_row){ .kind = JOB_CREATE,
		.class = CLASS_SNAP,
		.volume = clone,
		.source = db,
		.uuid = "the-clone",
		.size = 1 << 20 });
	struct job_row got;

	assert_int_equal(jobs_of(db, 0).from.id, create);
	assert_int_equal(jobs_of(clone, 0).of, create);
	assert_int_equal(view_job_of_image(v, 1, "the-clone", &got), -ENOENT);
	assert_int_equal(change(abandon, &create), 0);
	assert_int_equal(jobs_of(db, 0).from.id, 0);
	assert_int_equal(jobs_of(clone, 0).of, -ENOENT);
	assert_int_equal(view_job_of_image(v, 1, "the-clone", &got), 0);
	assert_int_equal(view_job_of_image(v, 2, "the-clone", &got), -ENOENT);
	recount();
}

static void a_job_answers_for_its_image(void **state)
{
	struct volume vol = volume("db");
	struct job_row got;
	int64_t id;

	vol.status = VOL_CREATING;
	assert_int_equal(change(add_volume, &vol), 0);
	assert_int_equal(view_job_of_image(v, 1, vol.uuid, &got), -ENOENT);
	id = job((struct job_row){ .kind = JOB_CREATE, .class = CLASS_CREATE, .volume = vol.id });
	assert_int_equal(view_job_of_image(v, 1, vol.uuid, &got), 0);
	assert_int_equal(got.id, id);
	assert_int_equal(change(remove_job, &id), 0);
	id = job((struct job_row){ .kind = JOB_EXTEND, .volume = vol.id });
	assert_int_equal(view_job_of_image(v, 1, vol.uuid, &got), 0);
	assert_int_equal(got.id, id);
	assert_int_equal(view_job_of_image(v, 2, vol.uuid, &got), -ENOENT);
}

/* --- what nobody owns --- */

static int see(struct tx *tx, void *arg, struct err *e)
{
	return tx_unmanaged_see(tx, arg);
}

struct unseen {
	int64_t backend, before_us;
	struct unmanaged got;
	int by_id, by_name;
};

static int drop_unseen(struct tx *tx, void *arg, struct err *e)
{
	const struct unseen *u = arg;

	return tx_unmanaged_unseen(tx, u->backend, u->before_us);
}

static int find_unmanaged(struct tx *tx, void *arg, struct err *e)
{
	struct unseen *u = arg;

	u->by_id = tx_unmanaged(tx, u->got.id, &u->got);
	u->by_name = tx_unmanaged_by_name(tx, u->backend, u->got.name, &u->got);
	return 0;
}

static int drop_unmanaged(struct tx *tx, void *arg, struct err *e)
{
	return tx_unmanaged_remove(tx, *(int64_t *)arg);
}

static void what_nobody_owns_is_seen_and_forgotten(void **state)
{
	struct unmanaged a = { .backend = 1,
		.name = "disk",
		.size = 10,
		.used = 5,
		.snapshots = 2,
		.reason = "somebody has it open" },
			 b = { .backend = 1, .name = "other" },
			 c = { .backend = 2, .name = "disk" }, got[3];
	struct unseen u = { .backend = 1 };
	int64_t first;

	assert_int_equal(change(see, &a), 0);
	assert_int_equal(change(see, &b), 0);
	assert_int_equal(change(see, &c), 0);
	first = a.id;
	assert_int_equal(view_unmanageds(v, 1, 0, got, 3), 2);
	assert_int_equal(got[0].id, a.id);
	assert_true(got[0].size == 10 && got[0].used == 5 && got[0].snapshots == 2);
	assert_string_equal(got[0].reason, "somebody has it open");
	assert_int_equal(view_unmanageds(v, 1, a.id, got, 3), 1);
	assert_string_equal(got[0].name, "other");
	u.before_us = b.seen_us + 1;
	while (clock_wall_us() <= u.before_us)
		usleep(1);
	a.id = 0;
	a.reason[0] = '\0';
	a.used = 6;
	assert_int_equal(change(see, &a), 0);
	assert_int_equal(a.id, first); /* brought up to date */
	assert_int_equal(change(drop_unseen, &u), 1);
	assert_int_equal(view_unmanaged_by_name(v, 1, "other", got), -ENOENT);
	assert_int_equal(view_unmanaged_by_name(v, 1, "disk", got), 0);
	assert_true(got[0].used == 6 && !*got[0].reason);
	assert_int_equal(view_unmanaged(v, c.id, got), 0); /* of another backend */
	u.got = a;
	assert_int_equal(change(find_unmanaged, &u), 0);
	assert_true(u.by_id == 0 && u.by_name == 0 && u.got.id == first);
	assert_int_equal(change(drop_unmanaged, &first), 0);
	assert_int_equal(change(drop_unmanaged, &first), -ENOENT);
	assert_int_equal(change(find_unmanaged, &u), 0);
	assert_true(u.by_id == -ENOENT && u.by_name == -ENOENT);
}

/* --- none of the queries walks a table --- */

/* One row, or one for each backend there is. */
static bool is_small(const char *detail)
{
	return !strcmp(detail, "SCAN counts") || !strcmp(detail, "SCAN backend");
}

static void look_at_plan(struct conn *c, const char *query)
{
	char text[4096];
	sqlite3_stmt *st;

	(void)snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", query);
	assert_int_equal(sqlite3_prepare_v2(c->db, text, -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW) {
		const char *detail = (const char *)sqlite3_column_text(st, 3);

		if ((strstr(detail, "SCAN") && !is_small(detail)) || strstr(detail, "TEMP B-TREE"))
			fail_msg("%s: %s", detail, query);
	}
	sqlite3_finalize(st);
}

static int look_at_plans(struct conn *c)
{
	int n = 0;

	for (size_t i = 0; i < CONN_STATEMENTS; i++)
		if (c->slot[i].sql) {
			look_at_plan(c, c->slot[i].sql);
			n++;
		}
	return n;
}

static int plans(struct tx *tx, void *arg, struct err *e)
{
	*(int *)arg = look_at_plans(tx->conn);
	return 0;
}

static void is_wrong(void *arg, const char *text)
{
	fail_msg("%s", text);
}

/* What --check asks finds nothing. Of a view of its own: it walks all tables. */
static void check_sums(void)
{
	struct view *own;

	assert_int_equal(view_open(s, &own, NULL), 0);
	assert_int_equal(view_recount(own, is_wrong, NULL), 0);
	view_close(own);
}

/* After each test: of all queries that it has made. */
static int stop(void **state)
{
	int n = 0;

	if (!v)
		return drop_dir(state);
	assert_int_equal(change(plans, &n), 0);
	assert_true(n + look_at_plans(&v->conn) > 3);
	check_sums();
	view_close(v);
	v = NULL;
	return drop_dir(state);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_snapshot_is_read_as_it_was_written),
		TEST(a_name_is_taken_once),
		TEST(they_are_listed_in_the_order_of_their_taking),
		TEST(they_go_with_their_volume),
		TEST(they_pay_where_their_volume_does),
		TEST(sums_equal_a_recount),
		TEST(what_expires_first_comes_first),
		TEST(it_comes_back),
		TEST(an_image_is_held_until_nobody_needs_it),
		TEST(every_column_of_a_job_is_kept),
		TEST(a_volume_has_one_job_and_its_snapshots_theirs),
		TEST(a_given_up_attempt_locks_no_source),
		TEST(a_job_answers_for_its_image),
		TEST(what_nobody_owns_is_seen_and_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
