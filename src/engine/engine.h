/*
 * The engine: takes a request, makes it durable, and looks after the job until it is done or undone. Knows no FUSE; all
 * SQL is in store/.
 *
 * Every changing call returns at once; `done` is called exactly once, from a thread of the engine (never from the caller's
 * stack), after the change is durable or refused. The strings of a result live until done returns. Before done,
 * engine_hooks.changed has been called for what the change touched.
 *
 * Errors, everywhere: as product.md, "Errors", with a finished sentence.
 */
#ifndef VOLFS_ENGINE_H
#define VOLFS_ENGINE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"
#include "config.h"
#include "spec.h"
#include "store/view.h"
#include "volume.h"

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct store;

/* Who asks. */
struct caller {
	uid_t uid;
	gid_t gid;
	pid_t pid, session;
	bool admin;	     /* root or a member of admin_group */
	const gid_t *groups; /* supplementary ones, for project=; borrowed until the call returns */
	size_t group_count;
};

/*
 * Names a request across servers: a request that the kernel sends again (resent) is answered from the table `answered`
 * if its first sending was carried out, so nothing is done twice. unique 0: not to be remembered (internal).
 */
struct change_id {
	uint64_t mount, unique; /* unique without its top bit */
	bool resent;
};

struct result {
	int code;	  /* 0 or -errno */
	int64_t row;	  /* the volume's, metadata's or quota's row; 0 */
	const char *text; /* the sentence if code < 0; "" */
};
typedef void engine_done(void *arg, const struct result *res);

/* What a commit changed, for caches and waiters; called from one thread, in commit order. */
enum change_kind {
	CHANGE_VOLUME, /* attributes in mask changed */
	CHANGE_META,   /* metadata row `row` of volume (set, added or removed) */
	CHANGE_LIST, /* the root listing or the trash listing changed (created, renamed, deleted, purged) */
	CHANGE_QUOTA,	  /* row: the quota's */
	CHANGE_BACKEND,	  /* a backend's state or numbers */
	CHANGE_TYPE,	  /* row: a volume type has another name, which its volumes show */
	CHANGE_USES,	  /* attachments/ of volume; row: one of them that changed; 0 */
	CHANGE_SNAP,	  /* snapshots/ of volume; row: the snapshot that came, changed or went */
	CHANGE_UNMANAGED, /* unmanaged/ of the backend `row` */
};
enum {				     /* mask of CHANGE_VOLUME */
	VOL_CHANGED_STATUS = 1 << 0, /* status, error, updated */
	VOL_CHANGED_SIZE = 1 << 1,
	VOL_CHANGED_PLACE = 1 << 2, /* backend, zone */
	VOL_CHANGED_OWNER = 1 << 3, /* uid, gid, mode, project */
	VOL_CHANGED_TEXT = 1 << 4,  /* description, protected */
	VOL_CHANGED_NAME = 1 << 5,
	VOL_CHANGED_GONE = 1 << 6, /* moved to the trash, or purged */
	VOL_CHANGED_NEW =
		1 << 7, /* its row was made by this commit: the kernel knows nothing of it yet */
	VOL_CHANGED_USED = 1 << 8,  /* measured anew: no change of the volume */
	VOL_CHANGED_DATA = 1 << 9,  /* owner or mode of `data` */
	VOL_CHANGED_BACK = 1 << 10, /* it came back from the trash */
};
struct change_note {
	enum change_kind kind;
	int64_t volume, row;
	unsigned mask;
	enum vol_status status; /* of the volume after the commit */
	bool trashed, purged;
	uint64_t size; /* VOL_CHANGED_SIZE: the new one */
};

struct engine_hooks {
	void (*changed)(void *arg, const struct change_note *note,
		size_t n); /* after each commit, before the results; n may be 0 */
	void *arg;
};

/* conf, store outlive it. drivers: every driver that conf may name, NULL-terminated. Nothing runs before engine_start(). */
int engine_new(const struct conf *conf, struct store *store, const struct driver *const *drivers,
	const struct engine_hooks *hooks, struct engine **ret, struct err *err);

/* Starts writer, workers, monitors; takes unfinished jobs up again, once the dead server's addresses are fenced. Does not wait
 * for any of that. */
int engine_start(struct engine *e, struct err *err);

/* Takes no new work, lets what can end within grace_ms end; the rest is taken up again at the next start. replaced: another server goes on at
 * once, on the same mount: it is asked again by whoever waits for a snapshot. */
void engine_stop(struct engine *e, long grace_ms, bool replaced);

/* Every change is answered before it returns. false: calls still hang in the storage, so nothing that was given to the engine may be
 * freed, and the process must end by _exit(). */
bool engine_free(struct engine *e);

/*
 * A spec. uuid was chosen by the caller and makes it idempotent: if a volume with it exists already, that is the result.
 * text is the spec as submitted (kept, shown under `file`); file: the name in new/, or NULL for new/spec.
 * spec, text, file are copied before it returns. res->row is the volume.
 * wait: where the queue is full, done comes when there is room (true), or -EAGAIN at once.
 */
void engine_create(struct engine *e, struct change_id id, const struct caller *who,
	const struct spec *spec, const char *uuid, const char *file, const char *text, size_t len,
	bool wait, engine_done *done, void *arg);

/* What can be known of a spec before it is submitted: name taken, unknown type or zone, source, project, quota exhausted. Reads
 * only, never waits. 0 or -errno with a sentence. partial: the size may be missing yet. */
int engine_spec_check(struct engine *e, struct view *v, const struct caller *who,
	const struct spec *spec, const char *uuid, bool partial, struct err *err);

void engine_rename(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	const char *name, engine_done *done, void *arg);

/* rmdir of a live volume: name and quota free at once, to the trash; purge follows after trash_delay. -ENOTEMPTY: it has snapshots;
 * -EBUSY: a volume is being made from it. v: the calling thread's, read before it
 * returns; NULL: all is found out in the transaction. */
void engine_delete(struct engine *e, struct view *v, struct change_id id, const struct caller *who,
	int64_t volume, engine_done *done, void *arg);

/* rmdir in the trash: purge now (also an error_deleting one: try again). */
void engine_purge(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	engine_done *done, void *arg);

/* mv out of the trash: -EBUSY: its purge has begun; -EEXIST, -EDQUOT. */
void engine_restore(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	const char *name, engine_done *done, void *arg);

/*
 * mkdir snapshots/NAME. done comes when it has been taken (res->row: the snapshot's), or has not been: then none is there. -EEXIST,
 * -EDQUOT, -EBUSY (the volume's status), -ETIMEDOUT (snapshot_timeout). give_up: its caller does not wait any more: done comes soon,
 * -EINTR, unless it was taken just before; name the very done and arg. res NULL, from engine_free(): the next server answers.
 */
void engine_snapshot(struct engine *e, struct change_id id, const struct caller *who,
	int64_t volume, const char *name, engine_done *done, void *arg);
void engine_snapshot_give_up(struct engine *e, engine_done *done, void *arg);

/* rmdir: name and quota free at once, the rest in the background. -EBUSY: a volume is being made from it, or reverted to it. */
void engine_snapshot_remove(struct engine *e, struct change_id id, const struct caller *who,
	int64_t snapshot, engine_done *done, void *arg);
void engine_snapshot_rename(struct engine *e, struct change_id id, const struct caller *who,
	int64_t snapshot, const char *name, engine_done *done, void *arg);
void engine_snapshot_describe(struct engine *e, struct change_id id, const struct caller *who,
	int64_t snapshot, const char *text, bool append, engine_done *done, void *arg);

/* Back to the latest snapshot, by name. -EINVAL: it is not the latest, or the volume has grown since; -EBUSY: in use. */
void engine_revert(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	const char *snapshot, engine_done *done, void *arg);

/* May this caller read the bytes of that volume: an administrator, its owner, or whom the mode of its `data` lets. */
bool engine_may_read(const struct caller *who, const struct volume *v);

/* What is under way on a volume's bytes; what: the last word of `progress`; static; total > 0. From memory: it
 * waits for nobody. false: nothing that can be counted. */
bool engine_progress(struct engine *e, const struct volume *v, uint64_t *ret_done,
	uint64_t *ret_total, const char **ret_what);

/* mv .volfs/unmanaged/BACKEND/IMAGE NAME: it becomes a volume, `managing` at first; res->row: the volume's. Administrators. */
void engine_adopt(struct engine *e, struct change_id id, const struct caller *who,
	int64_t unmanaged, const char *name, engine_done *done, void *arg);
/* mv NAME .volfs/unmanaged/BACKEND/IMAGE: the volume is forgotten, its image stays. -EXDEV never: another backend is -EINVAL. */
void engine_disown(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	int64_t backend, const char *image, engine_done *done, void *arg);
/* Somebody looks at unmanaged/BACKEND: it is looked through soon, if that was not done within stats_interval. Never waits. */
void engine_look_unmanaged(struct engine *e, int64_t backend);

void engine_extend(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	uint64_t size, engine_done *done, void *arg);

/* Which fields engine_set() takes from its struct volume. */
enum {
	SET_MODE = 1,
	SET_UID = 2,
	SET_GID = 4,
	SET_DESCRIPTION = 8,
	SET_PROTECTED = 16,
	SET_APPEND = 32, /* with SET_DESCRIPTION: after what is there, and a blank */
	SET_READONLY = 64,
	SET_BOOTABLE = 128,
	SET_DATA_MODE = 256, /* of `data` alone */
	SET_DATA_UID = 512,
	SET_DATA_GID = 1024,
};

/* SET_GID moves the quota to the project of that group (-EDQUOT if it does not fit). */
void engine_set(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	unsigned fields, const struct volume *values, engine_done *done, void *arg);

/* Admin's `reset`: any status word that the reference, 6.1, accepts. */
void engine_reset(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	enum vol_status status, engine_done *done, void *arg);

enum meta_how {
	META_SET,
	META_CREATE, /* -EEXIST if present */
	META_APPEND, /* after what is there, and a blank */
};

/* Metadata: value NULL removes (-ENOENT if absent). res->row: the key's row. */
void engine_meta(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	const char *key, const char *value, enum meta_how how, engine_done *done, void *arg);

/* Another key for the value; one that is there already goes. -ENOENT: there is no `key`. */
void engine_meta_rename(struct engine *e, struct change_id id, const struct caller *who,
	int64_t volume, const char *key, const char *to, engine_done *done, void *arg);

/* A limit of a project (row made if need be), or of one type in it (0: of all together): max, SIZE_LIMIT_NONE or QUOTA_INHERIT. */
void engine_quota_set(struct engine *e, struct change_id id, const struct caller *who,
	const char *project, int64_t type, enum quota_resource what, int64_t max, engine_done *done,
	void *arg);

/* A limit as it is written: "max", "default", "100G" or "100"; returns text. Any thread. */
const char *engine_limit_text(enum quota_resource what, int64_t max, char text[TEXT_SIZE_MAX]);

/* Makes sure that a project (lookup of quotas/<project>), or a type in it, has a row: res->row. */
void engine_quota_row(
	struct engine *e, const char *project, int64_t type, engine_done *done, void *arg);

/* Is there a group of that name? Asked of the system now and then only. 0; -ENOENT: no; another: the system could not say. */
int engine_project_find(struct engine *e, const char *name);

/* Names of the caller's projects, whether volumes may be made in them now or not: how many. May ask the system's directory. */
size_t engine_projects_of(
	struct engine *e, const struct caller *who, char (*ret)[NAME_LEN + 1], size_t n);

/*
 * Volume types; an administrator's, else -EACCES. type: its row. -ENOENT: it is gone. -EBUSY where a volume has it: for removing it,
 * and for its extra specs.
 */
void engine_type_add(struct engine *e, struct change_id id, const struct caller *who,
	const char *name, engine_done *done, void *arg); /* -EEXIST; res->row: the type's */
void engine_type_rename(struct engine *e, struct change_id id, const struct caller *who,
	int64_t type, const char *name, engine_done *done, void *arg);
void engine_type_remove(struct engine *e, struct change_id id, const struct caller *who,
	int64_t type, engine_done *done, void *arg);

/* Which fields engine_type_set() takes from its struct vol_type. */
enum {
	TYPE_SET_DESCRIPTION = 1,
	TYPE_SET_PUBLIC = 2,
	TYPE_SET_DEFAULT = 4, /* true: the only one */
	TYPE_SET_CONSUMER = 8,
	TYPE_SET_APPEND = 16, /* with TYPE_SET_DESCRIPTION: after what is there, and a blank */
};
void engine_type_set(struct engine *e, struct change_id id, const struct caller *who, int64_t type,
	unsigned fields, const struct vol_type *values, engine_done *done, void *arg);

/* One key of a list: value NULL removes it (-ENOENT if absent). res->row: the key's row. A project must exist: -ENOENT. */
void engine_type_entry(struct engine *e, struct change_id id, const struct caller *who,
	int64_t type, enum type_list list, const char *key, const char *value, enum meta_how how,
	engine_done *done, void *arg);

/* Another key for the value; one that is there already goes. */
void engine_type_entry_rename(struct engine *e, struct change_id id, const struct caller *who,
	int64_t type, enum type_list list, const char *key, const char *to, engine_done *done,
	void *arg);

/* May this caller know of it? It is public, or one of the caller's projects has access. */
bool engine_type_seen(
	struct engine *e, struct view *v, const struct caller *who, const struct vol_type *t);

/* Is it that of volumes whose spec and project name none? */
bool engine_type_is_default(struct engine *e, struct view *v, const struct vol_type *t);

/* Backends, as configured, 0 … count-1; strings live as long as the engine. */
struct engine_backend {
	const char *name, *driver, *zone;
	const char *filter_function, *goodness_function; /* "": none */
	int64_t id;					 /* row */
	enum backend_state state;
	char reason[REASON_LEN + 1]; /* why it is not up */
	struct backend_stats stats;  /* last known */
	int64_t changed_us;
	uint64_t volumes, allocated; /* of the catalogue */
};
size_t engine_backend_count(const struct engine *e);
int engine_backend(struct engine *e, struct view *v, size_t i, struct engine_backend *ret);

/* What it reports to the scheduler, as one JSON object. */
int engine_backend_capabilities(struct engine *e, size_t i, struct buf *out);

/* Administrator's word: disabled true takes it out of scheduling. Durable. */
void engine_backend_disable(struct engine *e, struct change_id id, const struct caller *who,
	size_t i, bool disabled, engine_done *done, void *arg);

/* --- use.c, attach.c: who uses a volume ------------------------------------------------------------------------------- */

/*
 * Somebody opens `data`; handle: names the open description for as long as it lives. res->row: the volume's. Refused: -EBUSY (its
 * status, or another host has it attached), -EROFS (readonly), -ENOENT (deleted). The first that writes makes it `in-use`. Lazy: a power
 * cut ends every open.
 */
void engine_data_open(struct engine *e, struct change_id id, const struct caller *who,
	int64_t volume, uint64_t handle, bool writes, engine_done *done, void *arg);

/* The description is gone. done may be NULL. */
void engine_data_closed(
	struct engine *e, int64_t volume, uint64_t handle, engine_done *done, void *arg);

/* Before the first request: those opens that are not among handles (n of them, sorted) ended with an earlier server. Waits. */
int engine_data_handles(struct engine *e, const uint64_t *handles, size_t n, struct err *err);

/* mkdir attachments/NAME: -EBUSY with who holds it, unless the type has multiattach; res->row: the use's. */
void engine_attach(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	const char *name, engine_done *done, void *arg);
/* rmdir: -EBUSY of an open `data`; a watcher is evicted, by an administrator (-EACCES). */
void engine_detach(struct engine *e, struct change_id id, const struct caller *who, int64_t use,
	engine_done *done, void *arg);
enum {
	USE_SET_HOST = 1,
	USE_SET_MODE = 2,
};
/* host and mode of an attachment: only who made it, or an administrator. */
void engine_use_set(struct engine *e, struct change_id id, const struct caller *who, int64_t use,
	unsigned fields, const struct use *values, engine_done *done, void *arg);

/* Where the bytes of a volume are. ready: an earlier server's late changes cannot land any more, so they may be touched. */
struct engine_image {
	const struct driver *driver;
	void *be;
	struct driver_image image;
};
int engine_image(struct engine *e, const struct volume *vol, struct engine_image *ret,
	struct err *err); /* -EIO: its backend is not configured */
/* true: ready. Else ready(arg) will be called once, from a thread of the engine, or never if the engine ends before. */
struct engine_ready {
	void (*ready)(struct engine_ready *r);
	struct engine_ready *next;
};
bool engine_when_ready(struct engine *e, void *be, struct engine_ready *r);

/* Called before an image is removed or reverted, or a snapshot removed (by its own UUID), by a worker: returns when this server has it
 * open no more. -EBUSY: it is used. Set before engine_start(). */
void engine_on_remove(struct engine *e,
	int (*let_go)(void *arg, const void *be, const char *image_uuid), void *arg);

/* Called around the taking of a snapshot, by a worker: quiet() returns when what was acknowledged to writers here is in the storage; stop:
 * and nothing is written until go_on(). 0, or -errno: then no go_on() follows. Set before engine_start(). */
void engine_on_snapshot(struct engine *e,
	int (*quiet)(void *arg, const void *be, const char *image_uuid, bool stop),
	void (*go_on)(void *arg, const void *be, const char *image_uuid), void *arg);

/* -ESHUTDOWN of a driver: this server has been fenced and ends. */
void engine_fenced(struct engine *e, void *be);

/* Lines of `connection` of a volume, whose type has multiattach (shared); never waits. */
int engine_connection(struct engine *e, const struct volume *vol, bool shared, struct buf *out);

/* Somebody looks at how much a volume uses: it is measured anew soon, if that was not done within stats_interval. Never waits. */
void engine_measure(struct engine *e, const struct volume *vol);

/* The same of who has its image open outside this daemon: rows of USE_WATCHER. */
void engine_watch(struct engine *e, const struct volume *vol);

/* "ready", or why not yet: "recovering" while jobs of an earlier server are fenced and taken up. */
const char *engine_status(struct engine *e);

#endif
