#include "volume.h"

#include <errno.h>
#include <string.h>

enum {
	UNSETTLED = 1 << 0, /* something is under way: `wait` waits */
	FAILED = 1 << 1,    /* `wait` ends in EIO */
};

static const struct {
	const char *name;
	unsigned flags;
} statuses[VOL_STATUS_COUNT] = {
	[VOL_CREATING] = { "creating", UNSETTLED },
	[VOL_DOWNLOADING] = { "downloading", UNSETTLED },
	[VOL_AVAILABLE] = { "available", 0 },
	[VOL_RESERVED] = { "reserved", 0 },
	[VOL_ATTACHING] = { "attaching", UNSETTLED },
	[VOL_IN_USE] = { "in-use", 0 },
	[VOL_DETACHING] = { "detaching", UNSETTLED },
	[VOL_EXTENDING] = { "extending", UNSETTLED },
	[VOL_RETYPING] = { "retyping", UNSETTLED },
	[VOL_MIGRATING] = { "migrating", UNSETTLED },
	[VOL_BACKING_UP] = { "backing-up", UNSETTLED },
	[VOL_RESTORING_BACKUP] = { "restoring-backup", UNSETTLED },
	[VOL_REVERTING] = { "reverting", UNSETTLED },
	[VOL_UPLOADING] = { "uploading", UNSETTLED },
	[VOL_DELETING] = { "deleting", UNSETTLED },
	[VOL_MANAGING] = { "managing", UNSETTLED },
	[VOL_UNMANAGING] = { "unmanaging", UNSETTLED },
	[VOL_MAINTENANCE] = { "maintenance", 0 },
	[VOL_ERROR] = { "error", FAILED },
	[VOL_ERROR_DELETING] = { "error_deleting", FAILED },
	[VOL_ERROR_EXTENDING] = { "error_extending", FAILED },
	[VOL_ERROR_RESTORING] = { "error_restoring", FAILED },
	[VOL_ERROR_BACKING_UP] = { "error_backing-up", FAILED },
	[VOL_ERROR_MANAGING] = { "error_managing", FAILED },
	[VOL_ERROR_UNMANAGING] = { "error_unmanaging", FAILED },
};

/* Numbers come from the database as well: one that is out of range must not be an index. */
static bool known(enum vol_status s)
{
	return (unsigned)s < VOL_STATUS_COUNT;
}

const char *vol_status_name(enum vol_status s)
{
	return known(s) ? statuses[s].name : "error";
}

int vol_status_find(const char *name, enum vol_status *ret)
{
	for (unsigned i = 0; i < VOL_STATUS_COUNT; i++) {
		if (!strcmp(statuses[i].name, name)) {
			*ret = (enum vol_status)i;
			return 0;
		}
	}
	return -ENOENT;
}

bool vol_status_settled(enum vol_status s)
{
	return !known(s) || !(statuses[s].flags & UNSETTLED);
}

bool vol_status_is_error(enum vol_status s)
{
	return !known(s) || (statuses[s].flags & FAILED);
}

const char *snap_status_name(enum snap_status s)
{
	static const char *const names[SNAP_STATUS_COUNT] = {
		[SNAP_CREATING] = "creating",
		[SNAP_AVAILABLE] = "available",
		[SNAP_RESTORING] = "restoring",
		[SNAP_DELETING] = "deleting",
		[SNAP_ERROR_DELETING] = "error_deleting",
	};

	return (unsigned)s < SNAP_STATUS_COUNT ? names[s] : "error";
}

const char *backend_state_name(enum backend_state s)
{
	switch (s) {
	case BACKEND_UP:
		return "up";
	case BACKEND_DISABLED:
		return "disabled";
	case BACKEND_DOWN:
		break;
	}
	return "down";
}

static const struct {
	const char *name;
	bool is_size;
} resources[QUOTA_COUNT] = {
	[QUOTA_VOLUMES] = { "volumes", false },
	[QUOTA_SIZE] = { "size", true },
	[QUOTA_PER_VOLUME_SIZE] = { "per_volume_size", true },
	[QUOTA_SNAPSHOTS] = { "snapshots", false },
	[QUOTA_BACKUPS] = { "backups", false },
	[QUOTA_BACKUP_SIZE] = { "backup_size", true },
	[QUOTA_GROUPS] = { "groups", false },
	[QUOTA_TRASH_SIZE] = { "trash_size", true },
};

const char *quota_resource_name(enum quota_resource r)
{
	return resources[r].name;
}

bool quota_resource_is_size(enum quota_resource r)
{
	return resources[r].is_size;
}

const char *use_mode(const struct use *u)
{
	return u->writes ? "rw" : "ro";
}

const char *qos_consumer_name(enum qos_consumer c)
{
	static const char *const names[QOS_CONSUMER_COUNT] = {
		[QOS_BACK_END] = "back-end",
		[QOS_FRONT_END] = "front-end",
		[QOS_BOTH] = "both",
	};

	return (unsigned)c < QOS_CONSUMER_COUNT ? names[c] : names[QOS_BACK_END];
}
