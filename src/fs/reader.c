/* Who reads what is a project's: an administrator everything, others what belongs to the groups that they are in. */
#include "fs/internal.h"

#include <string.h>

int log_who(struct ctx *c, uint64_t fh, struct log_reader *ret)
{
	char name[LOG_PROJECTS][NAME_LEN + 1];
	const char *at[LOG_PROJECTS];
	struct who who;
	size_t n;

	*ret = (struct log_reader){ .all = c->uid == 0 };
	if (ret->all)
		return 0;
	who_fill(c->fs, c->uid, c->gid, c->pid, &who);
	ret->all = who.caller.admin;
	if (ret->all)
		return 0;
	n = engine_projects_of(c->fs->engine, &who.caller, name, LOG_PROJECTS);
	for (size_t i = 0; i < n; i++)
		at[i] = name[i];
	return view_log_reader(c->view, at, n, ret);
}
