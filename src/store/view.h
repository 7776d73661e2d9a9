/*
 * Read-only queries of the catalogue. A struct view is one read connection with its prepared statements: one thread at a
 * time, opened once per thread, a few microseconds a query. Each call is a read transaction of its own and sees everything
 * committed before it began. fs and engine may use these.
 *
 * Results: 0 found, -ENOENT no such row, -EIO (logged) when SQLite failed.
 */
#ifndef VOLFS_STORE_VIEW_H
#define VOLFS_STORE_VIEW_H

#include "base/buf.h"
#include "base/err.h"
#include "volume.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct view;

int view_open(struct store *s, struct view **ret, struct err *err);
void view_close(struct view *v); /* NULL is fine */

/* What lookup, getattr and readdir need of a volume: one small row. */
struct vol_entry {
	int64_t id;
	char name[NAME_LEN + 1]; /* alive: its name; in the trash: its UUID */
	enum vol_status status;
	uint64_t size, generation;
	uid_t uid;
	gid_t gid;
	mode_t mode;
	bool trashed;
	uid_t data_uid; /* as in struct volume */
	gid_t data_gid;
	mode_t data_mode;
	uint64_t used;
	int64_t created_us, updated_us;
};

int view_entry(struct view *v, int64_t id, struct vol_entry *ret);
int view_entry_by_name(
	struct view *v, const char *name, struct vol_entry *ret); /* alive ones only */
int view_entry_by_uuid(
	struct view *v, const char *uuid, struct vol_entry *ret); /* alive or in the trash */

/* Which volumes a listing walks, always in order of id. */
enum vol_list {
	LIST_ALIVE,
	LIST_TRASH,
};

/* Views of those alive: .volfs/by/… A view has keys, which have numbers. */
enum vol_by {
	BY_ID,	   /* all of them, by UUID; no key: 0 */
	BY_STATUS, /* key: enum vol_status */
	BY_TYPE,   /* key: the row, of this and the next three */
	BY_BACKEND,
	BY_PROJECT,
	BY_ZONE,
	BY_COUNT,
};

/* Fills up to n rows with id > after; returns how many (0: the end) or -EIO. */
int view_entries(
	struct view *v, enum vol_list which, int64_t after, struct vol_entry *ret, size_t n);

/* The keys of a view: by number, by name, and those with id > after, in order of id (from -1 on: a status may be 0). */
struct vol_key {
	int64_t id;
	char name[NAME_LEN + 1];
	bool used; /* a volume has this backend, or zone; true of the others */
};
int view_by_key(struct view *v, enum vol_by by, int64_t id, struct vol_key *ret);
int view_by_key_find(struct view *v, enum vol_by by, const char *name, struct vol_key *ret);
int view_by_keys(struct view *v, enum vol_by by, int64_t after, struct vol_key *ret, size_t n);

/* The volumes of a key: by name (BY_ID: by UUID), and listed at the cost of what is listed. */
struct vol_link {
	int64_t id;
	char name[NAME_LEN + 1];
	char uuid[UUID_LEN + 1];
	int64_t updated_us;
};
int view_by_find(
	struct view *v, enum vol_by by, int64_t key, const char *name, struct vol_link *ret);
int view_by(
	struct view *v, enum vol_by by, int64_t key, int64_t after, struct vol_link *ret, size_t n);

/* Snapshots that have a name: by row or UUID (also without), by name, listed in order of their taking, counted. */
int view_snapshot(struct view *v, int64_t id, struct snapshot *ret);
int view_snapshot_by_name(struct view *v, int64_t volume, const char *name, struct snapshot *ret);
int view_snapshots(struct view *v, int64_t volume, int64_t after, struct snapshot *ret, size_t n);
int view_snapshot_by_uuid(struct view *v, const char *uuid, struct snapshot *ret);
int view_snapshot_count(struct view *v, int64_t volume, uint64_t *ret);

/* Images that nobody owns, of a backend. */
int view_unmanaged(struct view *v, int64_t id, struct unmanaged *ret);
int view_unmanaged_by_name(
	struct view *v, int64_t backend, const char *name, struct unmanaged *ret);
int view_unmanageds(
	struct view *v, int64_t backend, int64_t after, struct unmanaged *ret, size_t n);

int view_volume(struct view *v, int64_t id, struct volume *ret);

/* The newest volume that is there: its row, 0 if there is none, or -EIO. */
int64_t view_newest(struct view *v);

/* What has been placed on a backend (row), trash included: rows with id > after, in order of id. How many, or -EIO. */
struct vol_image {
	int64_t id;
	char image_id[IMAGE_ID_LEN + 1];
};
int view_images(struct view *v, int64_t backend, int64_t after, struct vol_image *ret, size_t n);
int view_status(struct view *v, int64_t id, enum vol_status *ret, bool *ret_trashed);

/* A purged volume is remembered for an hour by its UUID: 0 and the row's id and last owner. */
int view_purged(struct view *v, const char *uuid, struct vol_entry *ret);
int view_purged_by_id(struct view *v, int64_t id, struct vol_entry *ret);

/* Metadata of a volume: rows with id > after, in order of id. */
struct meta_entry {
	int64_t id, volume;
	char key[NAME_LEN + 1];
	char value[NAME_LEN + 1];
	int64_t updated_us;
};
int view_meta(struct view *v, int64_t id, struct meta_entry *ret);
int view_meta_by_key(struct view *v, int64_t volume, const char *key, struct meta_entry *ret);
int view_metas(struct view *v, int64_t volume, int64_t after, struct meta_entry *ret, size_t n);

/* Uses of a volume: by row, by name, and listed. */
int view_use(struct view *v, int64_t id, struct use *ret);
int view_use_by_name(struct view *v, int64_t volume, const char *name, struct use *ret);
int view_uses(struct view *v, int64_t volume, int64_t after, struct use *ret, size_t n);

/* The spec as it was submitted (text), of an accepted volume. */
int view_spec(struct view *v, int64_t id, struct buf *ret);

/* One line per event of the volume's life, oldest first, as `history` shows them: time, event, who, detail. Of a volume with very many the
 * latest, for the text is kept for every reader. */
enum { VIEW_HISTORY_MAX = 1000 };
int view_history(struct view *v, int64_t id, struct buf *ret);

/*
 * The log: events as lines of JSON. A line's place is how many bytes of the log come before it, counted from the first that ever was:
 * what the log no longer holds still counts. Events have ids that rise by one.
 */
enum { LOG_PROJECTS = 64 };

/*
 * Who reads: everybody's lines, or those of some projects (rows, each once). A project has no row before its first event: so what is
 * nobody's of these is others' for certain only up to event `known`.
 */
struct log_reader {
	bool all;
	int64_t known;
	size_t count;
	int64_t project[LOG_PROJECTS];
};

struct log_row {
	int64_t id, project;
	uint64_t pos; /* of the line's first byte */
	size_t len;   /* with its newline */
	int64_t at_us;
};

/* Up to n lines with id > after that the log holds, their texts one behind the other added to text. How many, or -EIO. */
int view_log(struct view *v, int64_t after, struct log_row *ret, size_t n, struct buf *text);
/* The id of the newest event that is committed, before anybody is told of that commit, hooks included. Any thread. */
int64_t store_log_last(struct store *s);

/* The next event after one that a reader sees; -ENOENT: there is none yet. */
int view_log_next_of(struct view *v, const struct log_reader *who, int64_t after, int64_t *ret_id);
/* The log's oldest event (if it is empty: the next there will be), its newest, and the places of its first byte and of its end. */
struct log_ends {
	int64_t first, last;
	uint64_t start, end;
};
int view_log_ends(struct view *v, struct log_ends *ret);
/* The event whose line holds the byte at pos; pos below the log: its oldest; at its end or beyond: -ENOENT. */
int view_log_at(struct view *v, uint64_t pos, int64_t *ret_id);
/* The same of what a reader sees: its bytes count as if there were no others. An event's id there may be followed by others' events. */
int view_log_ends_of(struct view *v, const struct log_reader *who, struct log_ends *ret);
int view_log_at_of(struct view *v, const struct log_reader *who, uint64_t pos, int64_t *ret_id,
	uint64_t *ret_start);
/* Rows of the projects with these names. Those that have none yet are left out; are there none such, everything is known (INT64_MAX). */
int view_log_reader(struct view *v, const char *const *names, size_t n, struct log_reader *ret);

/*
 * A walk over volumes with what hangs on each, in one snapshot of the catalogue: those alive with id > after that who may see, in
 * order of id; or a single one, also in the trash. Begin it, take a volume, then what hangs on it, one list after the other and each to
 * its end or not at all, then the next volume; end it, also after a failure. One walk of a view at a time. It costs what is passed:
 * others' volumes nothing.
 */
int view_walk(struct view *v, const struct log_reader *who, int64_t after);
int view_walk_one(struct view *v, int64_t id);
/* 1: there is one more, 0: no, or -EIO. */
int view_walk_volume(struct view *v, struct volume *ret);
int view_walk_meta(struct view *v, struct meta_entry *ret);
int view_walk_use(struct view *v, struct use *ret);
int view_walk_snapshot(struct view *v, struct snapshot *ret);
void view_walk_end(struct view *v);

/* The volumes of the latest n events, each once, in no order: how many, or -EIO. */
int view_changed_last(struct view *v, int64_t *ret, size_t n);

/* Which volume an accepted new/NAME became, while it lives: by the file's name (without .spec). */
int view_accepted(struct view *v, const char *file, int64_t *ret_id);

/* Quota of a project, or of one type in it; what has no row yet has the class's limits and id 0. Rows of both kinds are counted
 * apart. */
int view_quota(struct view *v, int64_t id, struct quota *ret);
int view_quota_by_name(struct view *v, const char *project, struct quota *ret);
int view_quotas(struct view *v, int64_t after, struct quota *ret, size_t n);
int view_type_quota(struct view *v, int64_t id, struct quota *ret);
int view_quota_of_type(struct view *v, const char *project, int64_t type, struct quota *ret);
int view_type_quotas(struct view *v, int64_t project, int64_t after, struct quota *ret, size_t n);

/* Volume types. find: by name, or by id where that has the shape of one. default: the project's own, else everybody's. */
int view_type(struct view *v, int64_t id, struct vol_type *ret);
int view_type_find(struct view *v, const char *name, struct vol_type *ret);
int view_type_default(struct view *v, const char *project, struct vol_type *ret);
int view_types(struct view *v, int64_t after, struct vol_type *ret, size_t n);

/* What hangs on a type. */
struct type_entry {
	int64_t id, type;
	enum type_list list;
	char key[NAME_LEN + 1];
	char value[NAME_LEN + 1];
	int64_t updated_us;
};
int view_type_entry(struct view *v, int64_t id, struct type_entry *ret);
int view_type_entry_by_key(
	struct view *v, int64_t type, enum type_list list, const char *key, struct type_entry *ret);
int view_type_entries(struct view *v, int64_t type, enum type_list list, int64_t after,
	struct type_entry *ret, size_t n);

/* What the catalogue has promised on a backend. */
struct backend_sums {
	int64_t id; /* row of the backend's name: stable, part of inode numbers */
	uint64_t volumes, allocated;
};
int view_backend(struct view *v, const char *backend, struct backend_sums *ret);

/* How many volumes are alive, and how many unfinished jobs there are. */
int view_counts(struct view *v, uint64_t *ret_volumes, uint64_t *ret_jobs);

#endif
