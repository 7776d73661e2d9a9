/*
 * Projects are groups: the caller's primary one, or one that it is in. Names are asked of the system (which may ask a directory
 * server), so in the caller's thread and remembered for a minute.
 */
#include "engine/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum {
	KEPT_S = 60,
	REMEMBERED_MAX = 4096,
	GROUP_BYTES_MAX = 1 << 20, /* a group's list of members counts */
};

struct project_name {
	gid_t gid;
	int64_t until_ns;
	char name[NAME_LEN + 1];
	UT_hash_handle hh;
};

/* getgrgid_r (name NULL) or getgrnam_r with a buffer that grows. -ENOENT: no such group. */
static int ask_group(gid_t gid, const char *wanted, char name[NAME_LEN + 1], gid_t *ret_gid)
{
	for (size_t room = 4096; room <= GROUP_BYTES_MAX; room *= 4) {
		struct group g, *found = NULL;
		char *bytes = malloc(room);
		int r;

		if (!bytes)
			return -ENOMEM;
		r = wanted ? getgrnam_r(wanted, &g, bytes, room, &found)
			   : getgrgid_r(gid, &g, bytes, room, &found);
		if (found) {
			(void)snprintf(name, NAME_LEN + 1, "%s", found->gr_name);
			*ret_gid = found->gr_gid;
		}
		free(bytes);
		if (r != ERANGE)
			return found ? 0 : -ENOENT; /* whatever it is called: there is no answer */
	}
	return -ENOENT;
}

static bool recall(struct engine *e, gid_t gid, char name[NAME_LEN + 1])
{
	struct project_name *p;

	LOCK_SCOPE(&e->project_lock);
	HASH_FIND(hh, e->projects, &gid, sizeof gid, p);
	if (!p || p->until_ns < clock_mono_ns())
		return false;
	memcpy(name, p->name, NAME_LEN + 1);
	return true;
}

static void remember(struct engine *e, gid_t gid, const char *name)
{
	struct project_name *p;

	LOCK_SCOPE(&e->project_lock);
	HASH_FIND(hh, e->projects, &gid, sizeof gid, p);
	if (!p) {
		if (HASH_COUNT(e->projects) >= REMEMBERED_MAX)
			return;
		p = calloc(1, sizeof *p);
		if (!p)
			return;
		p->gid = gid;
		HASH_ADD(hh, e->projects, gid, sizeof p->gid, p);
	}
	(void)snprintf(p->name, sizeof p->name, "%s", name);
	p->until_ns = clock_mono_ns() + KEPT_S * INT64_C(1000000000);
}

void project_release(struct engine *e)
{
	struct project_name *p, *next;

	HASH_ITER (hh, e->projects, p, next) {
		HASH_DEL(e->projects, p);
		free(p);
	}
}

static int allowed(struct engine *e, const char *name, struct err *err)
{
	char **all = e->conf->projects;

	if (!all || !all[0])
		return 0;
	for (; *all; all++)
		if (strcmp(*all, name) == 0)
			return 0;
	return err_set(err, -EACCES,
		"project '%s' is not among those that the configuration allows", name);
}

int project_of_gid(struct engine *e, gid_t gid, char name[NAME_LEN + 1], struct err *err)
{
	gid_t same;

	if (!recall(e, gid, name)) {
		if (gid == 0)
			(void)snprintf(
				name, NAME_LEN + 1, "root"); /* whatever the system calls it */
		else if (ask_group(gid, NULL, name, &same) < 0)
			(void)snprintf(name, NAME_LEN + 1, "%u", (unsigned)gid);
		remember(e, gid, name);
	}
	return allowed(e, name, err);
}

static bool is_member(const struct caller *who, gid_t gid)
{
	if (who->gid == gid)
		return true;
	for (size_t i = 0; i < who->group_count; i++)
		if (who->groups[i] == gid)
			return true;
	return false;
}

int project_of(struct engine *e, const struct caller *who, const char *wanted,
	char name[NAME_LEN + 1], gid_t *ret_gid, struct err *err)
{
	if (!wanted || !*wanted) {
		*ret_gid = who->gid;
		return project_of_gid(e, who->gid, name, err);
	}
	if (ask_group(0, wanted, name, ret_gid) < 0)
		return err_set(err, -ENOENT, "no such project: there is no group '%s'", wanted);
	if (!who->admin && !is_member(who, *ret_gid))
		return err_set(err, -EACCES, "project '%s': you are not in that group", wanted);
	return allowed(e, name, err);
}
