/* new/: the template and the kept drafts are listed; specs that were accepted are found by name
 * only. */
#include "fs/draft.h"

#include <errno.h>
#include <string.h>

static int new_stat(struct ctx *c, int64_t row, struct stat *st)
{
	bool restricted = c->fs->conf->new_group && c->fs->conf->new_group[0];

	stat_dir(st, restricted ? 01770 : 01777, 0, restricted ? c->fs->new_gid : 0,
		c->fs->started_us);
	return 0;
}

static int new_find(struct ctx *c, int64_t row, const char *name, struct entry *ret)
{
	char volume[NAME_LEN + 1];
	int r = draft_find(c, 0, name, ret);

	if (r != -ENOENT)
		return r;
	draft_volume_name(name, volume);
	r = view_accepted(c->view, volume, &ret->node.row);
	if (r < 0)
		return r;
	ret->node.kind = KIND_ACCEPTED;
	ret->node.index = 0;
	return node_stat(c, ret->node, &ret->st);
}

static int new_list(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n)
{
	return draft_list(c, after, ret, n);
}

/* Who writes a spec needs to search and to write this directory: without its attributes in the cache
 * the kernel would ask for them twice for each volume. They are the configuration's. */
const struct dir dir_new = {
	.timeout = 0,
	.attr_timeout = LONG_TIMEOUT,
	.stat = new_stat,
	.find = new_find,
	.list = new_list,
};
