/*
 * Projects are groups: the caller's primary one, or one that it is in. Names, also those of users, are asked of the system (which may ask a directory
 * server), so in the caller's thread and remembered for a minute; that there is no such group, for some seconds; that the system could
 * not say, not at all.
 */
#include "engine/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum {
	KEPT_S = 60,
	KEPT_ABSENT_S = 5,
	REMEMBERED_MAX = 4096,	   /* then the first one is forgotten */
	GROUP_BYTES_MAX = 1 << 20, /* a group's list of members counts */
};

struct project_name {
	gid_t gid;
	int64_t until_ns;
	char name[NAME_LEN + 1];
	UT_hash_handle hh;
};

struct project_gid {
	char wanted[NAME_LEN + 1];
	int64_t until_ns;
	int code; /* -ENOENT: no such group */
	gid_t gid;
	char name[NAME_LEN + 1];
	UT_hash_handle hh;
};

static int64_t from_now(int seconds)
{
	return clock_mono_ns() + seconds * INT64_C(1000000000);
}

/* What the system's answer without a group means. The manual names these as ways to say that there is none; others say that whoever
 * knows the groups did not answer. */
static int code_of(int r)
{
	switch (r) {
	case 0:
	case ENOENT:
	case ESRCH:
	case EBADF:
	case EPERM:
		return -ENOENT;
	case ENOMEM:
	case ETIMEDOUT:
		return -r;
	default:
		log_err_seldom("the system's groups cannot be read: %s", strerror(r));
		return -EIO;
	}
}

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
			return found ? 0 : code_of(r);
	}
	return code_of(ERANGE);
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

static void forget(struct engine *e, struct project_name *p)
{
	HASH_DEL(e->projects, p);
	free(p);
}

static void remember(struct engine *e, gid_t gid, const char *name)
{
	struct project_name *p;

	LOCK_SCOPE(&e->project_lock);
	HASH_FIND(hh, e->projects, &gid, sizeof gid, p);
	if (!p) {
		if (HASH_COUNT(e->projects) >= REMEMBERED_MAX)
			forget(e, e->projects);
		p = calloc(1, sizeof *p);
		if (!p)
			return;
		p->gid = gid;
		HASH_ADD(hh, e->projects, gid, sizeof p->gid, p);
	}
	(void)snprintf(p->name, sizeof p->name, "%s", name);
	p->until_ns = from_now(KEPT_S);
}

static void forget_gid(struct engine *e, struct project_gid *p)
{
	HASH_DEL(e->gids, p);
	free(p);
}

/* --- users --- */

struct user_name {
	uid_t uid;
	int64_t until_ns;
	char name[WHO_LEN]; /* "": none */
	UT_hash_handle hh;
};

static void forget_user(struct engine *e, struct user_name *u)
{
	HASH_DEL(e->users, u);
	free(u);
}

static bool recall_user(struct engine *e, uid_t uid, bool any_age, char *name, size_t room)
{
	struct user_name *u;

	LOCK_SCOPE(&e->project_lock);
	HASH_FIND(hh, e->users, &uid, sizeof uid, u);
	if (!u || (!any_age && u->until_ns < clock_mono_ns()))
		return false;
	(void)snprintf(name, room, "%s", u->name);
	return true;
}

static void remember_user(struct engine *e, uid_t uid, const char *name)
{
	struct user_name *u;

	LOCK_SCOPE(&e->project_lock);
	HASH_FIND(hh, e->users, &uid, sizeof uid, u);
	if (!u) {
		if (HASH_COUNT(e->users) >= REMEMBERED_MAX)
			forget_user(e, e->users);
		u = calloc(1, sizeof *u);
		if (!u)
			return;
		u->uid = uid;
		HASH_ADD(hh, e->users, uid, sizeof u->uid, u);
	}
	(void)snprintf(u->name, sizeof u->name, "%s", name);
	u->until_ns = from_now(*name ? KEPT_S : KEPT_ABSENT_S);
}

/* What an event says beside the number: not known is as good as none. */
static void ask_user(uid_t uid, char *name, size_t room)
{
	char bytes[4096];
	struct passwd p, *found = NULL;

	(void)getpwuid_r(uid, &p, bytes, sizeof bytes, &found);
	(void)snprintf(name, room, "%s", found ? found->pw_name : "");
}

void user_name(struct engine *e, uid_t uid, bool ask, char *name, size_t room)
{
	*name = '\0';
	if (recall_user(e, uid, !ask, name, room) || !ask)
		return;
	ask_user(uid, name, room);
	remember_user(e, uid, name);
}

/* --- */

static bool recall_gid(struct engine *e, const char *wanted, struct project_gid *ret)
{
	struct project_gid *p;

	LOCK_SCOPE(&e->project_lock);
	HASH_FIND_STR(e->gids, wanted, p);
	if (!p || p->until_ns < clock_mono_ns())
		return false;
	*ret = *p;
	return true;
}

static void remember_gid(struct engine *e, const struct project_gid *known)
{
	struct project_gid *p;

	LOCK_SCOPE(&e->project_lock);
	HASH_FIND_STR(e->gids, known->wanted, p);
	if (p)
		forget_gid(e, p);
	else if (HASH_COUNT(e->gids) >= REMEMBERED_MAX)
		forget_gid(e, e->gids);
	p = malloc(sizeof *p);
	if (!p)
		return;
	*p = *known;
	HASH_ADD_STR(e->gids, wanted, p);
}

/* The group of that name. -ENOENT: there is none; another: it is not known whether there is. */
static int find_group(struct engine *e, const char *wanted, char name[NAME_LEN + 1], gid_t *ret_gid)
{
	struct project_gid p = { 0 };

	if (strlen(wanted) > NAME_LEN)
		return -ENOENT;
	if (!recall_gid(e, wanted, &p)) {
		memcpy(p.wanted, wanted, strlen(wanted) + 1);
		p.code = ask_group(0, wanted, p.name, &p.gid);
		p.until_ns = from_now(p.code < 0 ? KEPT_ABSENT_S : KEPT_S);
		if (p.code == 0 || p.code == -ENOENT)
			remember_gid(e, &p);
	}
	if (p.code < 0)
		return p.code;
	memcpy(name, p.name, NAME_LEN + 1);
	*ret_gid = p.gid;
	return 0;
}

void project_release(struct engine *e)
{
	while (e->projects)
		forget(e, e->projects);
	while (e->gids)
		forget_gid(e, e->gids);
	while (e->users)
		forget_user(e, e->users);
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

/* A group without a name is called by its number. But a volume must not be the number's because the name could not be had. */
static int name_of_gid(gid_t gid, char name[NAME_LEN + 1])
{
	gid_t same;
	int r;

	if (gid == 0) {
		(void)snprintf(name, NAME_LEN + 1, "root"); /* whatever the system calls it */
		return 0;
	}
	r = ask_group(gid, NULL, name, &same);
	if (r != -ENOENT)
		return r;
	(void)snprintf(name, NAME_LEN + 1, "%u", (unsigned)gid);
	return 0;
}

static int known_name(struct engine *e, gid_t gid, char name[NAME_LEN + 1])
{
	int r;

	if (recall(e, gid, name))
		return 0;
	r = name_of_gid(gid, name);
	if (r == 0)
		remember(e, gid, name);
	return r;
}

int project_of_gid(struct engine *e, gid_t gid, char name[NAME_LEN + 1], struct err *err)
{
	int r = known_name(e, gid, name);

	if (r < 0)
		return err_set(err, r,
			"the project of gid %u cannot be looked up now: try again later",
			(unsigned)gid);
	return allowed(e, name, err);
}

size_t engine_projects_of(
	struct engine *e, const struct caller *who, char (*ret)[NAME_LEN + 1], size_t n)
{
	size_t done = 0;

	for (size_t i = 0; i <= who->group_count && done < n; i++) {
		gid_t gid = i ? who->groups[i - 1] : who->gid;
		bool again = i && gid == who->gid;

		if (!again && known_name(e, gid, ret[done]) == 0)
			done++;
	}
	return done;
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
	int r;

	if (!wanted || !*wanted) {
		*ret_gid = who->gid;
		return project_of_gid(e, who->gid, name, err);
	}
	r = find_group(e, wanted, name, ret_gid);
	if (r == -ENOENT)
		return err_set(err, r, "no such project: there is no group '%s'", wanted);
	if (r < 0)
		return err_set(
			err, r, "project '%s' cannot be looked up now: try again later", wanted);
	if (!who->admin && !is_member(who, *ret_gid))
		return err_set(err, -EACCES, "project '%s': you are not in that group", wanted);
	return allowed(e, name, err);
}

int engine_project_find(struct engine *e, const char *name)
{
	char found[NAME_LEN + 1];
	gid_t gid;

	return find_group(e, name, found, &gid);
}
