/*
 * How `errors` names a file: as its user would, "db/size", though often no more of it is known than its inode number.
 */
#include "fs/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int volume_path(struct view *v, struct node n, char text[NAMED_MAX])
{
	struct vol_entry vol;
	int r = view_entry(v, n.row, &vol);

	if (r == 0)
		(void)snprintf(
			text, NAMED_MAX, "%s%s", vol.trashed ? ".volfs/trash/" : "", vol.name);
	return r;
}

static int attachment_path(struct view *v, struct node n, char text[NAMED_MAX])
{
	struct vol_entry vol;
	struct use use;
	int r = view_use(v, n.row, &use);

	r = r < 0 ? r : view_entry(v, use.volume, &vol);
	if (r == 0)
		(void)snprintf(text, NAMED_MAX, "%s/attachments/%s", vol.name, use.name);
	return r;
}

static int snapshot_path(struct view *v, struct node n, char text[NAMED_MAX])
{
	struct vol_entry vol;
	struct snapshot s;
	int r = view_snapshot(v, n.row, &s);

	r = r < 0 ? r : view_entry(v, s.volume, &vol);
	if (r == 0)
		(void)snprintf(text, NAMED_MAX, "%s/snapshots/%s", vol.name, s.name);
	return r;
}

static int data_path(struct view *v, struct node n, char text[NAMED_MAX])
{
	return (n.index == DATA_OF_SNAPSHOT ? snapshot_path : volume_path)(v, n, text);
}

static int types_path(struct view *v, struct node n, char text[NAMED_MAX])
{
	(void)snprintf(text, NAMED_MAX, ".volfs/types");
	return 0;
}

static int type_path(struct view *v, struct node n, char text[NAMED_MAX])
{
	struct vol_type type;
	int r = view_type(v, n.row, &type);

	if (r == 0)
		(void)snprintf(text, NAMED_MAX, ".volfs/types/%s", type.name);
	return r;
}

static int type_entry_path(struct view *v, struct node n, char text[NAMED_MAX])
{
	struct type_entry entry;
	struct vol_type type;
	int r = view_type_entry(v, n.row, &entry);

	r = r < 0 ? r : view_type(v, entry.type, &type);
	if (r == 0)
		(void)snprintf(text, NAMED_MAX, ".volfs/types/%s/%s/%s", type.name,
			type_list_name(entry.list), entry.key);
	return r;
}

/* Its keys are no attributes: they are named by the request. */
static int qos_path(struct view *v, struct node n, char text[NAMED_MAX])
{
	struct vol_type type;
	int r = n.index ? view_type(v, n.row, &type) : -ENOENT;

	if (r == 0)
		(void)snprintf(
			text, NAMED_MAX, ".volfs/types/%s/%s", type.name, type_list_name(TYPE_QOS));
	return r;
}

static int quota_path(struct view *v, struct node n, char text[NAMED_MAX])
{
	struct quota q;
	int r = view_quota(v, n.row, &q);

	if (r == 0)
		(void)snprintf(text, NAMED_MAX, ".volfs/quotas/%s", q.project);
	return r;
}

static int type_quota_path(struct view *v, struct node n, char text[NAMED_MAX])
{
	struct quota q;
	int r = view_type_quota(v, n.row, &q);

	if (r == 0)
		(void)snprintf(text, NAMED_MAX, ".volfs/quotas/%s/type/%s", q.project, q.type);
	return r;
}

/* The object that a node is, or is a file of. NULL: it is better named by the request. */
static int (*const object_path[KIND_COUNT])(struct view *v, struct node n, char text[NAMED_MAX]) = {
	[KIND_VOLUME] = volume_path,
	[KIND_DATA] = data_path,
	[KIND_ATTACHMENT] = attachment_path,
	[KIND_SNAPSHOT] = snapshot_path,
	[KIND_TYPES] = types_path,
	[KIND_TYPE] = type_path,
	[KIND_TYPE_ENTRY] = type_entry_path,
	[KIND_QOS] = qos_path,
	[KIND_QUOTA] = quota_path,
	[KIND_TYPE_QUOTA] = type_quota_path,
};

const char *named(struct fs *fs, struct node n, const char *otherwise, char text[NAMED_MAX])
{
	struct view *v = fs_view(fs);
	const struct attr *a = n.index ? dir_attr(n) : NULL;
	size_t len;

	if (!v || n.kind >= KIND_COUNT || !object_path[n.kind] ||
		object_path[n.kind](v, n, text) < 0)
		return otherwise;
	len = strlen(text);
	if (a || n.kind == KIND_DATA)
		(void)snprintf(text + len, NAMED_MAX - len, "/%s", a ? a->name : "data");
	return text;
}
