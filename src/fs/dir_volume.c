/*
 * A volume's directory. Each attribute is a row: name, mode, show, store. The index is part of the
 * inode number: new rows go to the end. mask says which changes of the engine touch it, so that the
 * kernel's copy of its attributes is dropped.
 */
#include "base/clock.h"
#include "base/text.h"
#include "fs/internal.h"
#include "fs/json.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int volume_entry(struct ctx *c, int64_t row, struct vol_entry *ret, bool *ret_purged)
{
	int r = view_entry(c->view, row, ret);

	*ret_purged = false;
	if (r != -ENOENT)
		return r;
	r = view_purged_by_id(c->view, row, ret);
	*ret_purged = r == 0;
	return r;
}

static int volume_stat(struct ctx *c, int64_t row, struct stat *st)
{
	struct vol_entry v;
	bool purged;
	int r = volume_entry(c, row, &v, &purged);

	if (r < 0)
		return r;
	stat_dir(st, v.mode, v.uid, v.gid, v.updated_us);
	st->st_size = (off_t)v.size;
	return 0;
}

int volume_stat_file(struct ctx *c, int64_t row, mode_t mode, struct stat *st)
{
	struct buf text = { 0 };
	int r = volume_stat(c, row, st);

	if (r == 0)
		r = view_spec(c->view, row, &text);
	st->st_mode = S_IFREG | mode;
	st->st_nlink = 1;
	st->st_size = (off_t)text.len;
	buf_release(&text);
	return r;
}

/* --- show --- */

static int show_status(struct ctx *c, int64_t row, struct buf *out)
{
	enum vol_status s;
	struct vol_entry gone;
	bool trashed;
	int r = view_status(c->view, row, &s, &trashed);

	if (r == 0)
		buf_adds(out, vol_status_name(s));
	else if (r == -ENOENT && (r = view_purged_by_id(c->view, row, &gone)) == 0)
		buf_adds(out, "deleted");
	if (r == 0)
		buf_addc(out, '\n');
	return r;
}

static void add_line(struct buf *out, const char *text)
{
	buf_adds(out, text);
	buf_addc(out, '\n');
}

/* One show per field: load the row, say what there is of it. */
#define SHOW(what, say)                                                                            \
	static int show_##what(struct ctx *c, int64_t row, struct buf *out)                        \
	{                                                                                          \
		struct volume v;                                                                   \
		int r = view_volume(c->view, row, &v);                                             \
                                                                                                   \
		if (r == 0)                                                                        \
			say;                                                                       \
		return r;                                                                          \
	}
SHOW(error, buf_addf(out, "%s%s", v.reason, v.reason[0] ? "\n" : ""))
SHOW(id, add_line(out, v.uuid))
SHOW(size, add_line(out, text_of_size(v.size, (char[TEXT_SIZE_MAX]){ 0 })))
SHOW(type, add_line(out, v.type))
SHOW(zone, add_line(out, v.zone))
SHOW(backend, add_line(out, v.backend))
SHOW(project, add_line(out, v.project))
SHOW(description, add_line(out, v.description))
SHOW(created, add_line(out, clock_text(v.created_us, (char[CLOCK_TEXT_MAX]){ 0 })))
SHOW(updated, add_line(out, clock_text(v.updated_us, (char[CLOCK_TEXT_MAX]){ 0 })))
SHOW(protected, add_line(out, v.protected_ ? "1" : "0"))
SHOW(readonly, add_line(out, v.readonly ? "1" : "0"))
SHOW(bootable, add_line(out, v.bootable ? "1" : "0"))

static int show_used(struct ctx *c, int64_t row, struct buf *out)
{
	struct volume v;
	int r = view_volume(c->view, row, &v);

	if (r < 0)
		return r;
	engine_measure(c->fs->engine, &v);
	buf_addf(out, "%" PRIu64 "\n", v.used);
	return 0;
}

static int show_json(struct ctx *c, int64_t row, struct buf *out)
{
	struct volume v;
	int r = json_of_volume(c->view, c->fs->engine, row, out, &v);

	if (r < 0)
		return r;
	engine_measure(c->fs->engine, &v);
	engine_watch(c->fs->engine, &v);
	return 0;
}

static int show_history(struct ctx *c, int64_t row, struct buf *out)
{
	return view_history(c->view, row, out);
}

/* The QoS specs that who attaches the volume has to keep. */
static int add_qos(struct ctx *c, int64_t type, struct buf *out)
{
	struct type_entry e[8];
	struct vol_type t;
	int64_t after = 0;
	int got, r = view_type(c->view, type, &t);

	if (r < 0 || t.consumer == QOS_BACK_END)
		return r == -ENOENT ? 0 : r;
	while ((got = view_type_entries(c->view, type, TYPE_QOS, after, e, 8)) > 0)
		for (int i = 0; i < got; i++) {
			after = e[i].id;
			buf_addf(out, "qos.%s=%s\n", e[i].key, e[i].value);
		}
	return got;
}

static int show_connection(struct ctx *c, int64_t row, struct buf *out)
{
	struct volume v;
	int r = view_volume(c->view, row, &v);

	r = r < 0 ? r : engine_connection(c->fs->engine, &v, file_is_shared(c->view, &v), out);
	return r < 0 || !v.type_id ? r : add_qos(c, v.type_id, out);
}

/* "37% 3900 MiB of 10240 MiB flatten"; nothing while nothing is under way that can be counted. */
static int show_progress(struct ctx *c, int64_t row, struct buf *out)
{
	uint64_t done, total;
	const char *what;
	struct volume v;
	int r = view_volume(c->view, row, &v);

	if (r < 0 || !engine_progress(c->fs->engine, &v, &done, &total, &what))
		return r;
	buf_addf(out, "%u%% %" PRIu64 " MiB of %" PRIu64 " MiB %s\n",
		(unsigned)(100.0 * (double)done / (double)total), done >> 20, total >> 20, what);
	return 0;
}

/* When a volume in the trash is purged; empty: not by the clock. */
static int show_expires(struct ctx *c, int64_t row, struct buf *out)
{
	char when[CLOCK_TEXT_MAX];
	struct volume v;
	int r = view_volume(c->view, row, &v);

	if (r == 0 && !v.trashed)
		r = -ENOENT;
	if (r == 0 && v.expires_us)
		add_line(out, clock_text(v.expires_us, when));
	return r;
}

/* Root passes every permission bit: its tar and cp find an empty file rather than an error. */
static int show_nothing(struct ctx *c, int64_t row, struct buf *out)
{
	return 0;
}

/* chmod, chown, chgrp of a volume's directory are the volume's; the kernel has checked who may. Set-id and sticky bits mean
 * nothing there, and no file of it can be run: as on filesystems that have none, they are left out in silence. */
void volume_setattr(struct ctx *c, struct node n, const struct stat *attr, int to_set)
{
	struct volume v = {
		.mode = attr->st_mode & 0777, .uid = attr->st_uid, .gid = attr->st_gid
	};
	unsigned fields = 0;

	fields |= to_set & FUSE_SET_ATTR_MODE ? SET_MODE : 0;
	fields |= to_set & FUSE_SET_ATTR_UID ? SET_UID : 0;
	fields |= to_set & FUSE_SET_ATTR_GID ? SET_GID : 0;
	change_fields(c, n, "volume", fields, &v);
}

/* --- store --- */

static void store_size(struct change *ch, int64_t row, const char *text)
{
	struct err err = { 0 };
	uint64_t size;

	if (text_volume_size(text, &size, &err) < 0)
		change_refuse(ch, &err);
	else
		engine_extend(ch->fs->engine, ch->id, &ch->who.caller, row, size, change_done, ch);
}

static void store_description(struct change *ch, int64_t row, const char *text)
{
	struct volume v = { 0 };
	struct err err = { 0 };

	if (spec_value_check(text, strlen(text), &err) < 0) {
		change_refuse(ch, &err);
		return;
	}
	(void)snprintf(v.description, sizeof v.description, "%s", text);
	engine_set(ch->fs->engine, ch->id, &ch->who.caller, row,
		SET_DESCRIPTION | (ch->append ? SET_APPEND : 0), &v, change_done, ch);
}

/* 0 or 1 into the field that is named. */
static void store_flag(struct change *ch, int64_t row, const char *text, unsigned field)
{
	bool on = text[0] == '1';
	struct volume v = { .protected_ = on, .readonly = on, .bootable = on };

	if (strcmp(text, "0") && strcmp(text, "1"))
		change_answer(ch, -EINVAL, "it takes 0 or 1");
	else
		engine_set(
			ch->fs->engine, ch->id, &ch->who.caller, row, field, &v, change_done, ch);
}

static void store_protected(struct change *ch, int64_t row, const char *text)
{
	store_flag(ch, row, text, SET_PROTECTED);
}

static void store_readonly(struct change *ch, int64_t row, const char *text)
{
	store_flag(ch, row, text, SET_READONLY);
}

static void store_bootable(struct change *ch, int64_t row, const char *text)
{
	store_flag(ch, row, text, SET_BOOTABLE);
}

static void store_reset(struct change *ch, int64_t row, const char *text)
{
	enum vol_status status;

	if (vol_status_find(text, &status) < 0)
		change_answer(ch, -EINVAL, "no such status");
	else
		engine_reset(ch->fs->engine, ch->id, &ch->who.caller, row, status, change_done, ch);
}

static void store_later(struct change *ch, int64_t row, const char *text)
{
	change_answer(ch, -EOPNOTSUPP, "retype and migration are not available yet");
}

static void store_revert(struct change *ch, int64_t row, const char *text)
{
	engine_revert(ch->fs->engine, ch->id, &ch->who.caller, row, text, change_done, ch);
}

static const struct attr attrs[] = {
	{ "status", 0444, show_status, NULL, ATTR_POLL, NULL },
	{ "error", 0444, show_error, NULL, 0, NULL },
	{ "id", 0444, show_id, NULL, 0, NULL },
	{ "size", 0644, show_size, store_size, 0, NULL },
	{ "used", 0444, show_used, NULL, 0, NULL },
	{ "type", 0644, show_type, store_later, 0, NULL },
	{ "zone", 0444, show_zone, NULL, 0, NULL },
	{ "backend", 0664, show_backend, store_later, ATTR_ADMIN, NULL },
	{ "project", 0444, show_project, NULL, 0, NULL },
	{ "description", 0644, show_description, store_description, ATTR_FREE, NULL },
	{ "spec", 0440, respec_show, NULL, ATTR_FRESH, NULL },
	{ "created", 0444, show_created, NULL, 0, NULL },
	{ "updated", 0444, show_updated, NULL, 0, NULL },
	{ "protected", 0644, show_protected, store_protected, 0, NULL },
	{ "wait", 0444, show_status, NULL, ATTR_UNLISTED | ATTR_WAIT, NULL },
	{ "history", 0444, show_history, NULL, 0, NULL },
	{ "connection", 0640, show_connection, NULL, 0, NULL },
	{ "reset", 0220, show_nothing, store_reset, ATTR_ADMIN, NULL },
	{ "json", 0440, show_json, NULL, 0, NULL },
	{ "readonly", 0644, show_readonly, store_readonly, 0, NULL },
	{ "bootable", 0644, show_bootable, store_bootable, 0, NULL },
	{ "revert", 0200, show_nothing, store_revert, 0, NULL },
	{ "progress", 0444, show_progress, NULL, ATTR_STREAM, NULL },
	{ "expires", 0444, show_expires, NULL, ATTR_MAYBE, NULL },
	{ 0 },
};

unsigned volume_attr_index(const char *name)
{
	for (unsigned i = 0; attrs[i].name; i++)
		if (!strcmp(attrs[i].name, name))
			return i + 1;
	return 0;
}

unsigned volume_attr_count(void)
{
	return sizeof attrs / sizeof attrs[0] - 1;
}

static int volume_space(struct ctx *c, int64_t row, struct statvfs *ret)
{
	struct volume v;
	int r = view_volume(c->view, row, &v);

	return r < 0 ? r : backend_space(c, v.backend[0] ? v.backend : NULL, ret);
}

static const struct subdir subdirs[] = {
	{ .name = "data", .kind = KIND_DATA, .same_row = true },
	{ .name = "metadata", .kind = KIND_METADATA, .same_row = true },
	{ .name = "attachments", .kind = KIND_ATTACHMENTS, .same_row = true },
	{ .name = "snapshots", .kind = KIND_SNAPSHOTS, .same_row = true },
	{ 0 },
};

const struct dir dir_volume = {
	.attrs = attrs,
	.subdirs = subdirs,
	.timeout = LONG_TIMEOUT,
	.attr_timeout = LONG_TIMEOUT,
	.stat = volume_stat,
	.space = volume_space,
};
