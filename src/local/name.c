/*
 * Names in the directory.
 *
 *      volume-<uuid>                           an image
 *      .volume-<uuid>.new                      the same while it is made, or reverted
 *      .volume-<uuid>.snapshots/               its snapshots: a directory that is there while it has any
 *              snapshot-<uuid>                 one, that nobody may write to
 *              volume-<uuid>.clone_snap        a temporary one, for the creation of that volume
 *              .snapshot-<uuid>.new            one while it is taken
 *
 * So an image of another name, which is adopted or let go, takes its snapshots along by one renaming, and whose a snapshot is needs no
 * table. What begins with a dot is ours, whatever it is.
 */
#include "base/text.h"
#include "local/internal.h"

#include <stdio.h>
#include <string.h>

static const char temporary[] = ".clone_snap", snapshots[] = ".snapshots", unfinished[] = ".new";

void local_name(const struct driver_image *image, char name[LOCAL_NAME_MAX])
{
	(void)snprintf(name, LOCAL_NAME_MAX, "volume-%s", image->uuid);
}

void local_name_new(const char *of, char name[LOCAL_NAME_MAX])
{
	(void)snprintf(name, LOCAL_NAME_MAX, ".%s%s", of, unfinished);
}

void local_name_snaps(const char *of, char name[LOCAL_NAME_MAX])
{
	(void)snprintf(name, LOCAL_NAME_MAX, ".%s%s", of, snapshots);
}

void local_name_snap(const struct driver_snap *snap, char name[LOCAL_NAME_MAX])
{
	(void)snprintf(name, LOCAL_NAME_MAX, snap->temporary ? "volume-%s%s" : "snapshot-%s%s",
		snap->uuid, snap->temporary ? temporary : "");
}

bool local_name_is_volume(const char *name, char uuid[UUID_LEN + 1])
{
	return text_uuid_within(name, "volume-", "", uuid);
}

bool local_name_is_snap(const char *name, struct driver_snap *ret)
{
	ret->temporary = text_uuid_within(name, "volume-", temporary, ret->uuid);
	return ret->temporary || text_uuid_within(name, "snapshot-", "", ret->uuid);
}

bool local_name_is_new(const char *name, char uuid[UUID_LEN + 1])
{
	return text_uuid_within(name, ".volume-", unfinished, uuid);
}

bool local_name_is_snaps(const char *name, char of[LOCAL_NAME_MAX])
{
	size_t n = strlen(name), tail = sizeof snapshots - 1;

	if (name[0] != '.' || n <= 1 + tail || n >= LOCAL_NAME_MAX ||
		strcmp(name + n - tail, snapshots))
		return false;
	memcpy(of, name + 1, n - 1 - tail);
	of[n - 1 - tail] = '\0';
	return true;
}

bool local_name_is_foreign(const char *name)
{
	char uuid[UUID_LEN + 1];

	return name[0] && name[0] != '.' && !strchr(name, '/') &&
	       strlen(name) + sizeof snapshots <= NAME_LEN && !local_name_is_volume(name, uuid);
}
