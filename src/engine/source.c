/*
 * What a volume is made from: another volume as it is now, or a snapshot. Who may, and what keeps the source from going meanwhile.
 */
#include "engine/internal.h"

#include "base/text.h"

#include <errno.h>
#include <string.h>

/* --- who may read it --- */

static bool in_group(const struct caller *who, gid_t gid)
{
	for (size_t i = 0; i < who->group_count; i++)
		if (who->groups[i] == gid)
			return true;
	return who->gid == gid;
}

/* Of the three digits of a mode the one that the kernel would take. */
static mode_t bits_of(const struct caller *who, mode_t mode, uid_t uid, gid_t gid)
{
	if (who->uid == uid)
		return mode >> 6 & 7;
	return in_group(who, gid) ? mode >> 3 & 7 : mode & 7;
}

/* Whoever cannot open `data` must not get at it by a clone: so its directory counts, too. */
bool engine_may_read(const struct caller *who, const struct volume *v)
{
	uid_t uid = v->data_uid == (uid_t)-1 ? v->uid : v->data_uid;
	gid_t gid = v->data_gid == (gid_t)-1 ? v->gid : v->data_gid;

	if (who->admin || who->uid == v->uid)
		return true;
	return (bits_of(who, v->mode, v->uid, v->gid) & 1) &&
	       (bits_of(who, v->data_mode, uid, gid) & 4);
}

/* --- the lock: the row of the creation's job --- */

int source_check(struct tx *tx, const struct volume *v, int64_t snapshot, struct err *err)
{
	char shown[TEXT_SHOWN_MAX];
	struct job_row job;
	struct volume made;
	int r = tx_job_from(tx, v->id, snapshot, &job);

	if (r == -ENOENT)
		return 0;
	r = r < 0 ? r : tx_volume(tx, job.volume, &made);
	if (r < 0)
		return r;
	return err_set(err, -EBUSY, "volume '%s' is being made from it",
		text_shown(made.name[0] ? made.name : made.uuid, shown));
}
