/*
 * The catalogue: opening it, and every change to it. Reading is view.h.
 *
 *      store_open ──▶ (views may be opened) ──▶ store_start ──▶ store_submit* ──▶ store_stop ──▶ store_close
 *
 * A change is a function that runs in the one writer thread, inside a savepoint of its own; all that wait are committed
 * together, and only then is each told its result. So nobody waits for the disk but the writer, and a commit costs the
 * same for one change as for sixty-four.
 *
 *  - run() returned < 0: its savepoint is undone, the others' are not, and done() gets that code.
 *  - a batch of nothing but lazy changes is committed without waiting for the disk; the next commit that does takes it along.
 *  - the commit itself fails (disk full, I/O): the whole batch is undone and every change of it gets -ENOSPC or -EIO,
 *    deletions and refusals too; the next batch is tried as if nothing had been.
 *
 * The tx_… functions are what run() may call: 0 (or a count), -ENOENT no such row, -EEXIST a unique value is taken, or the code
 * of a failure after which the batch is lost anyway. They know no rules: who may do what, and when, is the engine's.
 */
#ifndef VOLFS_STORE_STORE_H
#define VOLFS_STORE_STORE_H

#include "base/err.h"
#include "store/view.h"
#include "volume.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct tx; /* the writer's transaction; lives during run() */

/*
 * Opens the catalogue, makes it if the file does not exist (its directory must), migrates it forward. defaults: the limits of a
 * project that has none of its own (only the *_max fields); copied. Refused with a sentence, the file left as it is: not a
 * catalogue of volfs, damaged, of a newer version (-EPROTO), or a missing directory (-ENOENT).
 */
int store_open(const char *path, const struct quota *defaults, struct store **ret, struct err *err);
/*
 * The same for views alone, also beside a daemon: nothing is written, made or brought to another version. -ENOENT: there is none yet;
 * -EPROTO: of another version.
 */
int store_look(const char *path, const struct quota *defaults, struct store **ret, struct err *err);
void store_close(struct store *s); /* after store_stop() and every view_close(); NULL is fine */

struct store_hooks {
	/* The writer thread, after each batch and before its ended() calls; ok: it was committed. */
	void (*committed)(void *arg, bool ok);
	/* The same, after all ended() calls of the batch and before the first done(): what they began may begin together. */
	void (*ended)(void *arg);
	void *arg;
};
int store_start(struct store *s, const struct store_hooks *hooks, struct err *err);

/*
 * How much the log keeps: so many events, none older than so many seconds; 0: all. Before store_start(); without it nothing is
 * forgotten. A volume that exists keeps its latest 256 besides.
 */
void store_keep_log(struct store *s, int64_t events, int64_t age_s);

/* Carries out what was submitted, then ends the writer. What a straggler submits afterwards is dropped unanswered. */
void store_stop(struct store *s);

/* Embedded in the caller's struct, which lives until done() has been called; done() may free it. */
struct change {
	int (*run)(struct change *c, struct tx *tx, struct err *err);
	void (*ended)(struct change *c, int code); /* what is to go on from here; may be NULL */
	void (*done)(struct change *c, int code,
		const struct err *err); /* who asked is told. err->text: the sentence if code < 0 */
	bool lazy; /* a power cut may take it back (kill -9 cannot): what it says will be found out again */
	/* the writer's */
	struct change *next;
	int code;
	struct err err;
};

/* Any thread, run(), ended() and done() included; never waits for the disk. In order of submission. */
void store_submit(struct store *s, struct change *c);

/* Several at once, linked by next: they share a commit. NULL: none. */
void store_submit_all(struct store *s, struct change *first);

/* --- volumes.c ------------------------------------------------------------------------------------------------------ */

int tx_volume(struct tx *tx, int64_t id, struct volume *ret);
int tx_volume_by_uuid(struct tx *tx, const char *uuid, int64_t *ret_id); /* alive or in the trash */
int tx_volume_by_name(struct tx *tx, const char *name, int64_t *ret_id); /* alive */
int tx_volume_purged(
	struct tx *tx, const char *uuid, int64_t *ret_id); /* purged within the last hour */

/* v->id is set; v->project and v->backend name rows (made if need be). filed: it was accepted as new/<name>. -EEXIST: a live
 * volume has the name. */
int tx_volume_add(struct tx *tx, struct volume *v, bool filed, const char *text, size_t len);

int tx_volume_spec(struct tx *tx, int64_t id, struct buf *ret); /* as it was submitted */

/* Where it is to be: backend "" for nowhere. */
int tx_volume_place(
	struct tx *tx, int64_t id, const char *backend, const char *zone, const char *image_id);
/* `deleting`: its purge begins, and from then on nothing expires. */
int tx_volume_status(struct tx *tx, int64_t id, enum vol_status status, const char *reason);

/* While it is extended `more` bytes are counted on top of its size, for quota and backend; a new size takes them in. */
int tx_volume_reserve(struct tx *tx, int64_t id, uint64_t more);
int tx_volume_resize(struct tx *tx, int64_t id, uint64_t size);
int tx_volume_used(
	struct tx *tx, int64_t id, uint64_t used); /* a measurement: leaves updated alone */
int tx_volume_rename(struct tx *tx, int64_t id, const char *name); /* -EEXIST */
int tx_volume_owner(
	struct tx *tx, int64_t id, mode_t mode, uid_t uid, gid_t gid, const char *project);
int tx_volume_text(struct tx *tx, int64_t id, const char *description, bool protected_);
int tx_volume_flags(struct tx *tx, int64_t id, bool readonly, bool bootable);
int tx_volume_data(struct tx *tx, int64_t id, uid_t uid, gid_t gid,
	mode_t mode); /* of `data`; -1: the volume's */
/* Name and quota are free; the backend is not. expires_us: when it is to be purged; 0: not by the clock. */
int tx_volume_trash(struct tx *tx, int64_t id, int64_t expires_us);
int tx_volume_restore(struct tx *tx, int64_t id, const char *name); /* out of it; -EEXIST */

int tx_volume_parent(struct tx *tx, int64_t id, int64_t parent); /* 0: it needs nobody's image */
/* Does a volume, or the held image of a purged one, need this one's image? 0, -ENOENT. */
int tx_volume_child(struct tx *tx, int64_t id, int64_t *ret_id);

/* The row, its metadata and its uses go; for an hour one from the trash is remembered by UUID. */
int tx_volume_purge(struct tx *tx, int64_t id);

int tx_meta_find(struct tx *tx, int64_t volume, const char *key, int64_t *ret_id);
int tx_meta_get(struct tx *tx, int64_t volume, const char *key, int64_t *ret_id,
	char ret_value[NAME_LEN + 1]);
int tx_meta_set(struct tx *tx, int64_t volume, const char *key, const char *value, int64_t *ret_id);
int tx_meta_rename(struct tx *tx, int64_t id, const char *key); /* -EEXIST */
int tx_meta_remove(struct tx *tx, int64_t id);

/* --- trash.c: volumes in the trash whose purge has not begun ---------------------------------------------------------- */

/* Those that have expired, the first ones first: how many. */
int tx_trash_expired(struct tx *tx, int64_t now_us, int64_t *ret, size_t n);
int view_trash_next(
	struct view *v, int64_t *ret_us); /* when the next one expires; -ENOENT: none does */

/* One of those, as these walk them; { 0 } is before the first one. */
struct trashed {
	int64_t expires_us, id;
	uint64_t size;
};

/* The next one, in the order in which they were deleted: of a project, and of one type there (0: of any); on a backend. -ENOENT. */
int tx_trash_of(struct tx *tx, int64_t project, int64_t type, struct trashed *at);
int tx_trash_on(struct tx *tx, int64_t backend, struct trashed *at);

/* Their bytes: of a project, and of one type there (0: of all). */
int tx_trash_waiting(struct tx *tx, int64_t project, int64_t type, uint64_t *ret);

/* --- snapshots.c ---------------------------------------------------------------------------------------------------- */

int tx_snapshot(struct tx *tx, int64_t id, struct snapshot *ret);
int tx_snapshot_by_name(struct tx *tx, int64_t volume, const char *name, struct snapshot *ret);
int tx_snapshot_by_uuid(struct tx *tx, const char *uuid, struct snapshot *ret);
int tx_snapshot_latest(
	struct tx *tx, int64_t volume, struct snapshot *ret); /* of those that have a name */
int tx_snapshots(struct tx *tx, int64_t volume, int64_t after, struct snapshot *ret,
	size_t n); /* with and without a name */
int tx_snapshot_sums(struct tx *tx, int64_t volume, uint64_t *ret_count,
	uint64_t *ret_size); /* those with a name */

/* s->id and times are filled in (created_us, if it is not 0, stays). Counts for the quota of its volume's project and type. -EEXIST. */
int tx_snapshot_add(struct tx *tx, struct snapshot *s);
int tx_snapshot_status(struct tx *tx, int64_t id, enum snap_status status, const char *reason);
int tx_snapshot_rename(
	struct tx *tx, int64_t id, const char *name); /* "": name and quota are free; -EEXIST */
int tx_snapshot_text(struct tx *tx, int64_t id, const char *description);
int tx_snapshot_remove(struct tx *tx, int64_t id);

/* --- unmanaged.c: what was seen on a backend that nobody owns -------------------------------------------------------- */

int tx_unmanaged(struct tx *tx, int64_t id, struct unmanaged *ret);
int tx_unmanaged_by_name(struct tx *tx, int64_t backend, const char *name, struct unmanaged *ret);
int tx_unmanaged_see(struct tx *tx,
	struct unmanaged *u); /* made, or brought up to date; id and seen_us are filled in */
int tx_unmanaged_remove(struct tx *tx, int64_t id);
int tx_unmanaged_unseen(struct tx *tx, int64_t backend,
	int64_t before_us); /* those not seen since then go, unless a job gives or takes them; how many */

/* --- uses.c --------------------------------------------------------------------------------------------------------- */

int tx_use(struct tx *tx, int64_t id, struct use *ret);
int tx_use_by_name(struct tx *tx, int64_t volume, const char *name, struct use *ret);
int tx_use_open(struct tx *tx, uint64_t handle, struct use *ret); /* that open `data` */
int tx_uses(struct tx *tx, int64_t volume, int64_t after, struct use *ret, size_t n);
int tx_opens(struct tx *tx, int64_t after, struct use *ret, size_t n); /* of every volume */

/* Somebody who attached it or has it open, the one that matters most first; holds: readers do not count. -ENOENT: nobody. */
int tx_use_holder(struct tx *tx, int64_t volume, bool holds, struct use *ret);

/* u->id and since_us are filled in, and the name of an open one. -EEXIST: the volume has a use of that name. */
int tx_use_add(struct tx *tx, struct use *u);
int tx_use_set(struct tx *tx, const struct use *u); /* host, writes */
int tx_use_remove(struct tx *tx, int64_t id);	    /* -ENOENT */

/* --- jobs.c --------------------------------------------------------------------------------------------------------- */

/*
 * What is unfinished. A job row is written in the transaction of the change that needs it, and goes with its result; what has
 * one at start is taken up again. Invariant: while an image may exist that no settled volume row names, a job names it.
 * The numbers are part of the database.
 */
enum job_kind {
	JOB_CREATE = 1, /* make the image of a `creating` volume */
	JOB_PURGE = 2,	/* remove the image of a volume in the trash, then its row */
	JOB_EXTEND = 3, /* grow to `size` */
	JOB_CLEAN =
		4, /* remove an image that no volume has any more: of a given-up attempt, or a purged one's that clones needed */
	JOB_SNAP = 5,	/* take a snapshot */
	JOB_UNSNAP = 6, /* remove it */
	JOB_REVERT = 7, /* to a snapshot */
	JOB_ADOPT = 8,	/* make a foreign image that of a `managing` volume */
	JOB_DISOWN =
		9, /* give the image of an `unmanaging` volume a name of its own, then forget the volume */
};

/* What waits for what: jobs of one class do not wait for those of another. The numbers are part of the database. */
enum job_class {
	CLASS_OTHER,  /* some operations on the storage: removals, extensions, … */
	CLASS_CREATE, /* creations in one go: empty, or clones of a snapshot */
	CLASS_SNAP, /* what waits for the storage's monitor, a second or so, and does nothing meanwhile */
	CLASS_COPY, /* what moves a volume's bytes: minutes */
	CLASS_COUNT,
	CLASS_HELD = 9, /* nobody's, yet: JOB_CLEAN of an image that clones need */
};

struct job_row {
	int64_t id; /* counts up; never used twice */
	enum job_kind kind;
	enum job_class class;
	int64_t volume;
	int64_t backend; /* row */
	int64_t project; /* row: for fairness */
	int64_t source; /* JOB_CREATE: the volume that it is made from, which must stay until then; 0 */
	int64_t snapshot; /* JOB_CREATE: … or the snapshot, of `source`; others: the snapshot in question; 0 */
	int64_t parent; /* JOB_CLEAN: as volume.parent, of the image that is to go; 0 */
	bool flatten;	/* JOB_CREATE: a clone is not to stay one */
	bool shared; /* JOB_CREATE, JOB_ADOPT: several hosts will write to it, as its type says, which does not change meanwhile */
	char image[NAME_LEN + 1]; /* JOB_ADOPT, JOB_DISOWN: the image's own name */
	char uuid[UUID_LEN + 1], image_id[IMAGE_ID_LEN + 1];
	uint64_t size; /* of the image; JOB_EXTEND: the new size; JOB_SNAP, JOB_UNSNAP: 0 */
	int attempt;   /* JOB_CREATE: 1, 2, … */
	/* JOB_CREATE: limits that its image is to keep, as its type said when it was accepted: "key=value\n" each */
	char qos[QOS_TEXT_MAX];
	/* JOB_CREATE: backends that failed this volume, a line each: "name\tsentence\n"; JOB_SNAP: who waits for it, as "mount unique" */
	char tried[4096];
};

int tx_job_add(struct tx *tx, struct job_row *j); /* sets j->id */
int tx_job(struct tx *tx, int64_t id, struct job_row *ret);
/* The unfinished one of a volume, those of its snapshots and JOB_CLEAN aside; of a snapshot (JOB_SNAP, JOB_UNSNAP). */
int tx_job_of(struct tx *tx, int64_t volume, int64_t *ret_id);
int tx_job_of_snapshot(struct tx *tx, int64_t snapshot, int64_t *ret_id);
/* One of its snapshots' (JOB_SNAP, JOB_UNSNAP). */
int tx_job_of_snapshots(struct tx *tx, int64_t volume, int64_t *ret_id);
/* One that takes a snapshot of it (JOB_SNAP), also for nobody any more. */
int tx_job_taking(struct tx *tx, int64_t volume, int64_t *ret_id);
/* One that gives this image of a backend to a volume, or takes it away (JOB_ADOPT, JOB_DISOWN). */
int tx_job_of_name(struct tx *tx, int64_t backend, const char *image, int64_t *ret_id);
/* A creation that is made from this volume, or from one of its snapshots (snapshot 0: any, or none). */
int tx_job_from(struct tx *tx, int64_t volume, int64_t snapshot, struct job_row *ret);
/* One that is made from the volume as it is now. */
int tx_job_from_now(struct tx *tx, int64_t volume, struct job_row *ret);
int tx_job_remove(struct tx *tx, int64_t id); /* -ENOENT: it was gone */

/* The attempt is given up: the same row and id, from now on JOB_CLEAN. */
int tx_job_abandon(struct tx *tx, int64_t id);

/* The same row and id becomes another job: its kind, class, parent, snapshot and image as in j. */
int tx_job_turn(struct tx *tx, const struct job_row *j);

/* The held image (CLASS_HELD) of that purged volume. */
int tx_job_held(struct tx *tx, int64_t volume, struct job_row *ret);

/* A held image (CLASS_HELD) of that purged volume that nothing needs any more: it is to go now, and its row is in ret. -ENOENT: there is
 * none, or it is needed still. */
int tx_job_release(struct tx *tx, int64_t volume, struct job_row *ret);

int view_job(struct view *v, int64_t id, struct job_row *ret);

/* Jobs of one class of a backend with id > after, in order of id. How many, or -EIO. */
struct job_brief {
	int64_t id, volume, project;
	enum job_kind kind;
	enum job_class class;
};
int view_jobs(struct view *v, int64_t backend, enum job_class class, int64_t after,
	struct job_brief *ret, size_t n);

/* Any job row that names this image of a backend (0: of any), CLASS_HELD too: then its presence, or its absence, is no difference. 0,
 * -ENOENT. */
int view_job_of_image(struct view *v, int64_t backend, const char *uuid, struct job_row *ret);

/* --- quotas.c ------------------------------------------------------------------------------------------------------- */

int tx_project(struct tx *tx, const char *name, int64_t *ret_id); /* makes the row if need be */
int tx_type_quota(struct tx *tx, int64_t project, int64_t type, int64_t *ret_id); /* the same */

/* type 0: of all together. -ENOENT: there is no such type; a project need not have a row. */
int tx_quota(struct tx *tx, const char *project, int64_t type, struct quota *ret);

/* id: of a project, or of a type's quota. max: SIZE_LIMIT_NONE, or QUOTA_INHERIT. */
int tx_quota_limit(struct tx *tx, int64_t id, bool of_type, enum quota_resource which, int64_t max);

/* --- recount.c ------------------------------------------------------------------------------------------------------ */

/* What of the sums is not what the rows say, a sentence for each: how many, or -EIO. each() asks the catalogue nothing. */
int view_recount(struct view *v, void (*each)(void *arg, const char *text), void *arg);
int tx_recount(struct tx *tx); /* makes all of them what the rows say */

/* --- types.c -------------------------------------------------------------------------------------------------------- */

int tx_type(struct tx *tx, int64_t id, struct vol_type *ret);
int tx_type_find(struct tx *tx, const char *name, struct vol_type *ret);
int tx_type_default(struct tx *tx, const char *project, struct vol_type *ret);

/* t->uuid, name and what else is known are set; id and times are filled in. -EEXIST: the name is taken. The class `default` gets
 * its quota of the type. */
int tx_type_add(struct tx *tx, struct vol_type *t);
int tx_type_rename(struct tx *tx, int64_t id, const char *name); /* -EEXIST */
int tx_type_set(struct tx *tx, const struct vol_type *t); /* description, is_public, consumer */
int tx_type_make_default(struct tx *tx, int64_t id);	  /* the only one; 0: none is */
int tx_type_remove(struct tx *tx, int64_t id);		  /* with its lists and quotas */
int tx_type_uses(
	struct tx *tx, int64_t id, int64_t *ret); /* volumes, those in the trash included */

int tx_type_entry(
	struct tx *tx, int64_t type, enum type_list list, const char *key, struct type_entry *ret);
int tx_type_entries(struct tx *tx, int64_t type, enum type_list list, int64_t after,
	struct type_entry *ret, size_t n);

/* Made or overwritten. TYPE_DEFAULT_FOR takes the project from the type that had it. */
int tx_type_entry_set(struct tx *tx, int64_t type, enum type_list list, const char *key,
	const char *value, int64_t *ret_id);
int tx_type_entry_rename(struct tx *tx, int64_t id, const char *key); /* -EEXIST */
int tx_type_entry_remove(struct tx *tx, int64_t id);

/* --- backends.c ----------------------------------------------------------------------------------------------------- */

/* What the catalogue keeps of a backend: its stable row, what is promised there, and what was last known of it. */
struct backend_row {
	int64_t id;
	uint64_t volumes;   /* rows placed there, trash included */
	uint64_t allocated; /* their sizes, and those of given-up attempts */
	uint64_t pending;   /* of that, what is being created */
	uint64_t trash;	    /* of that, what lies in the trash and is not being purged yet */
	uint64_t purging;   /* of that, what is being purged */
	bool disabled;
	bool known_up; /* the last server to look found it up, with these statistics */
	struct backend_stats stats;
};
int tx_backend(
	struct tx *tx, const char *name, struct backend_row *ret); /* makes the row if need be */
int tx_backend_sums(struct tx *tx, int64_t id, struct backend_row *ret);
/* All rows, configured or not, in order of id. each() asks the catalogue nothing. */
int tx_backends(struct tx *tx, void (*each)(void *arg, const struct backend_row *row), void *arg);
/* A zone is known from now on, also while no volume is in it. */
int tx_zone(struct tx *tx, const char *name);
int tx_backend_disable(struct tx *tx, int64_t id, bool disabled);
int tx_backend_report(struct tx *tx, int64_t id, bool up, const struct backend_stats *stats);
int view_backend_row(struct view *v, int64_t id, struct backend_row *ret);

/* The first backend row with id > after that there is, configured or not: 0 or -ENOENT. */
int view_backend_next(struct view *v, int64_t after, int64_t *ret_id, char *name, size_t room);

/* Addresses of connections that change things, to be fenced by the next server. Texts are the driver's. */
int tx_client_add(struct tx *tx, int64_t backend, const char *address, int64_t *ret_id);
int tx_client_remove(struct tx *tx, int64_t id);

/* The oldest one of a backend with id > after: 0 or -ENOENT. The address is cut at room. */
int view_client(struct view *v, int64_t backend, int64_t after, int64_t *ret_id, char *address,
	size_t room);

/* --- events.c ------------------------------------------------------------------------------------------------------- */

/* What happened; texts may be NULL where there is nothing to say. */
struct event {
	int64_t volume;	 /* row, still there; 0: of none */
	int64_t project; /* row, of an event without a volume; 0: for admins alone */
	const char *event;
	const char *name;     /* of what is no volume: a type, a backend, … */
	const char *snapshot; /* its name */
	int64_t uid, pid;     /* who asked; -1: volfs itself */
	const char *user;     /* its name, where known */
	const char *detail;
};

/* Adds its line to the log, with the volume's name, project and status of now. */
int tx_event(struct tx *tx, const struct event *e);

/* --- answers.c ------------------------------------------------------------------------------------------------------ */

/* What a changing request was answered, for when the kernel sends it again. Rows of earlier servers stay until this one has
 * lived a while and must have been asked again; its own are dropped when their reply is long out. */
struct answer {
	uint64_t mount, unique;
	int code;
	int64_t row;
};
int tx_answer_find(struct tx *tx, uint64_t mount, uint64_t unique, struct answer *ret);
int tx_answer_add(struct tx *tx, const struct answer *a);

#endif
