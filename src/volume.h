/*
 * The vocabulary: what a volume is, its states, the limits. Every module may include this; it includes nothing
 * but the C library. Types that cross a border between modules stand here or in the header of the module
 * that is called.
 */
#ifndef VOLFS_VOLUME_H
#define VOLFS_VOLUME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	NAME_LEN = 255,	      /* bytes of a name, a description, a metadata key or value */
	UUID_LEN = 36,	      /* canonical text */
	IMAGE_ID_LEN = 14,    /* hex digits of an RBD image id, chosen by us */
	SPEC_MAX = 64 * 1024, /* bytes of a spec */
	SIZE_UNIT = 512,      /* a volume's size is a multiple of it */
	REASON_LEN = 1023,    /* bytes of the sentence in `error` */
	QOS_LIMITS = 12,      /* kinds of limits that a storage may keep: see struct driver_qos */
	QOS_TEXT_MAX = 512,   /* all of them as text, with the NUL */
	ORIGIN_LEN = 2 * UUID_LEN + 1,
};
#define SIZE_MIN	(UINT64_C(1) << 20)
#define SIZE_LIMIT_NONE INT64_C(-1) /* a quota limit of -1: no limit */

/*
 * A volume's status.
 *
 *            spec accepted         image made
 *    (none) ──────────────▶ creating ────────▶ available ──── size ───▶ extending ──▶ available
 *                              │                  │                        │
 *                              │ no attempt left   │ rmdir                  └─▶ error_extending
 *                              ▼                  ▼
 *                            error ── rmdir ─▶ (in the trash) ─ purge ▶ deleting ──▶ gone
 *                                                                        └─▶ error_deleting ── rmdir ─▶ deleting
 *
 * available ◀──▶ in-use: by who uses it (struct use). What begins in either, such as an extension, ends in the one that is right then.
 *
 * The words are the field's and never change; their order is part of the database. Those that nothing enters yet
 * are here because `reset` accepts them and every reader must know them.
 */
enum vol_status {
	VOL_CREATING,
	VOL_DOWNLOADING,
	VOL_AVAILABLE,
	VOL_RESERVED,
	VOL_ATTACHING,
	VOL_IN_USE,
	VOL_DETACHING,
	VOL_EXTENDING,
	VOL_RETYPING,
	VOL_MIGRATING,
	VOL_BACKING_UP,
	VOL_RESTORING_BACKUP,
	VOL_REVERTING,
	VOL_UPLOADING,
	VOL_DELETING,
	VOL_MANAGING,
	VOL_UNMANAGING,
	VOL_MAINTENANCE,
	VOL_ERROR,
	VOL_ERROR_DELETING,
	VOL_ERROR_EXTENDING,
	VOL_ERROR_RESTORING,
	VOL_ERROR_BACKING_UP,
	VOL_ERROR_MANAGING,
	VOL_ERROR_UNMANAGING,
	VOL_STATUS_COUNT,
};

/*
 * A snapshot's status; the numbers are part of the database.
 *
 *            mkdir          taken
 *    (none) ───────▶ creating ────▶ available ──── rmdir ──▶ deleting ──▶ gone
 *                       │               │ ▲                     └─▶ error_deleting ── rmdir ─▶ deleting
 *                       │ failed, or     │ │ done, or not done
 *                       │ given up       ▼ │
 *                       └─▶ deleting   restoring: its volume is reverted to it
 *
 * In `deleting` it has no name and no quota any more: both were free when rmdir returned.
 */
enum snap_status {
	SNAP_CREATING,
	SNAP_AVAILABLE,
	SNAP_RESTORING,
	SNAP_DELETING,
	SNAP_ERROR_DELETING,
	SNAP_STATUS_COUNT,
};
const char *snap_status_name(enum snap_status s); /* "error_deleting"; static */

const char *vol_status_name(enum vol_status s);		     /* "in-use"; static */
int vol_status_find(const char *name, enum vol_status *ret); /* 0 or -ENOENT */
bool vol_status_settled(enum vol_status s);  /* nothing is under way: `wait` returns */
bool vol_status_is_error(enum vol_status s); /* `wait` ends in EIO */

/* One row of the catalogue. Plain data: copied by assignment, owns nothing. */
struct volume {
	int64_t id; /* row; never used twice; part of the inode number */
	char uuid[UUID_LEN + 1];
	char name[NAME_LEN + 1];	 /* the directory's; in the trash: as it was */
	char image_id[IMAGE_ID_LEN + 1]; /* chosen before the image exists */
	char backend[NAME_LEN + 1];	 /* "" until one is chosen, or when none fits */
	int64_t type_id;		 /* row; 0: none */
	char type[NAME_LEN + 1], type_uuid[UUID_LEN + 1];
	char zone[NAME_LEN + 1];
	char project[NAME_LEN + 1];
	char description[NAME_LEN + 1];
	char reason[REASON_LEN + 1]; /* the sentence in `error`; "" : none */
	enum vol_status status;
	uint64_t size; /* bytes */
	uint64_t used; /* bytes really allocated, as last known */
	uid_t uid;
	gid_t gid;		 /* the project's group */
	mode_t mode;		 /* permission bits of the directory */
	bool protected_;	 /* rmdir answers EPERM */
	bool readonly, bootable; /* readonly: `data` cannot be opened for writing */
	uid_t data_uid;		 /* of `data`; (uid_t)-1: the volume's */
	gid_t data_gid;		 /* the same */
	mode_t data_mode;	 /* permission bits of `data` */
	bool trashed;		 /* its directory is .volfs/trash/<uuid> */
	int64_t expires_us;	 /* in the trash: when it is purged; 0: not by the clock */
	int64_t parent; /* row of the volume (perhaps purged) whose image its own needs, on the same backend; 0: none */
	char origin[ORIGIN_LEN +
		    1]; /* what it was made from: UUID of a volume, or of both as "volume@snapshot"; "" */
	uint64_t generation; /* counts up when it goes into the trash, and when it is purged */
	int64_t created_us, updated_us; /* clock_wall_us() */
};

/* A snapshot of a volume: a row of snapshots/. Plain data. Owner and project are its volume's. */
struct snapshot {
	int64_t id; /* row; never used twice; they count up, so they order snapshots by time */
	int64_t volume;
	char uuid[UUID_LEN + 1];
	char name[NAME_LEN +
		  1]; /* the directory's; "": it is being removed, and its name is free */
	char description[NAME_LEN + 1];
	char reason[REASON_LEN + 1]; /* why it could not be removed; "" */
	enum snap_status status;
	uint64_t size; /* bytes: its volume's when it was taken */
	int64_t created_us, updated_us;
};

/* An image in a backend's storage that no volume owns, as last seen. Plain data. */
struct unmanaged {
	int64_t id; /* row; never used twice */
	int64_t backend;
	char name[NAME_LEN + 1]; /* the image's own */
	uint64_t size, used;	 /* bytes */
	unsigned snapshots;
	char reason[REASON_LEN + 1]; /* why it cannot be adopted; "": it can */
	int64_t seen_us;
};

/*
 * Who uses a volume: a row of attachments/. An attachment lasts until it is removed; an open `data` as long as its descriptor; a
 * watcher as long as the storage says so. The numbers are part of the database.
 */
enum use_kind {
	USE_ATTACHED = 1, /* mkdir attachments/NAME */
	USE_OPEN = 2,	  /* an open file description of `data` */
	USE_WATCHER = 3,  /* a program outside this daemon has the image open */
};

struct use {
	int64_t id; /* row; never used twice */
	int64_t volume;
	enum use_kind kind;
	char name[NAME_LEN + 1]; /* USE_OPEN: "open:<id>"; USE_WATCHER: "watcher:<address>" */
	char host[NAME_LEN + 1];
	bool writes; /* mode: rw or ro */
	uid_t uid;   /* who made it, or opened it */
	gid_t gid;
	pid_t pid;	 /* of who opened it; 0 */
	uint64_t handle; /* USE_OPEN: the keep's number of it */
	int64_t since_us;
};

const char *use_mode(const struct use *u); /* "rw" or "ro"; static */

/* What a quota counts. The words are those of .volfs/quotas/; their order is nobody's. */
enum quota_resource {
	QUOTA_VOLUMES,
	QUOTA_SIZE,	       /* bytes of volumes and snapshots */
	QUOTA_PER_VOLUME_SIZE, /* a ceiling on each volume: nothing is counted */
	QUOTA_SNAPSHOTS,
	QUOTA_BACKUPS,
	QUOTA_BACKUP_SIZE,
	QUOTA_GROUPS,
	QUOTA_TRASH_SIZE, /* bytes of deleted volumes that are still there */
	QUOTA_COUNT,
};
const char *quota_resource_name(enum quota_resource r); /* "per_volume_size"; static */
bool quota_resource_is_size(enum quota_resource r);	/* in bytes */

#define QUOTA_INHERIT INT64_C(-2) /* written as a limit: no own one any more */

/* What stands in .volfs/quotas/<project>, and in its type/<type>: limits (SIZE_LIMIT_NONE: unlimited) and what is used now. */
struct quota {
	int64_t id; /* row; 0: it has none yet */
	char project[NAME_LEN + 1];
	int64_t type_id; /* 0: of all types together */
	char type[NAME_LEN + 1];
	int64_t max[QUOTA_COUNT], used[QUOTA_COUNT];
};

/* Who keeps to the QoS specs of a type: the storage, who attaches the volume, or both. */
enum qos_consumer {
	QOS_BACK_END,
	QOS_FRONT_END,
	QOS_BOTH,
	QOS_CONSUMER_COUNT,
};
const char *qos_consumer_name(enum qos_consumer c); /* "back-end"; static */

/* A volume type, without its lists. Plain data. */
struct vol_type {
	int64_t id; /* row; never used twice */
	char uuid[UUID_LEN + 1];
	char name[NAME_LEN + 1];
	char description[NAME_LEN + 1];
	bool is_public;	 /* else only projects in its `access` may use it and see it */
	bool is_default; /* of volumes whose spec and project name none */
	enum qos_consumer consumer;
	int64_t created_us, updated_us;
};

/* What hangs on a type: keys with values, or names of projects. The numbers are part of the database. */
enum type_list {
	TYPE_EXTRA_SPECS = 1,
	TYPE_QOS = 2,
	TYPE_ACCESS = 3,      /* projects that may use it while it is private */
	TYPE_DEFAULT_FOR = 4, /* projects whose default it is: one type each */
};

/* A backend's state as its last statistics told. Sizes in bytes. */
enum backend_state {
	BACKEND_DOWN, /* did not answer, or never has yet */
	BACKEND_UP,
	BACKEND_DISABLED, /* by an administrator: no new volumes */
};
const char *backend_state_name(enum backend_state s);

struct backend_stats {
	uint64_t total, free;
	bool total_unknown, free_unknown, total_infinite, free_infinite;
};

#endif
