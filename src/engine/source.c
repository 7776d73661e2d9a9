/*
 * What a volume is made from: another volume as it is now, or a snapshot. Which one a spec means, who may, what it must fulfil, and
 * what keeps it from going meanwhile. The same checks serve the line just written and the transaction that decides (struct reader).
 */
#include "engine/internal.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
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

/* --- which one --- */

static int volume_by_name(const struct reader *r, const char *name, struct volume *ret)
{
	struct vol_entry entry;
	int64_t id;
	int code;

	if (r->v) {
		code = view_entry_by_name(r->v, name, &entry);
		code = code == -ENOENT ? view_entry_by_uuid(r->v, name, &entry) : code;
		id = entry.id;
	} else {
		code = hint_volume(r->tx, name, &id);
	}
	if (code < 0)
		return code;
	return r->v ? view_volume(r->v, id, ret) : tx_volume(r->tx, id, ret);
}

static int volume_by_row(const struct reader *r, int64_t id, struct volume *ret)
{
	return r->v ? view_volume(r->v, id, ret) : tx_volume(r->tx, id, ret);
}

static int snapshot_by_uuid(const struct reader *r, const char *uuid, struct snapshot *ret)
{
	int code = r->v ? view_snapshot_by_uuid(r->v, uuid, ret)
			: tx_snapshot_by_uuid(r->tx, uuid, ret);

	return code == 0 && !ret->name[0] ? -ENOENT : code;
}

static int snapshot_by_name(
	const struct reader *r, int64_t volume, const char *name, struct snapshot *ret)
{
	int code = r->v ? view_snapshot_by_name(r->v, volume, name, ret)
			: tx_snapshot_by_name(r->tx, volume, name, ret);

	if (code != -ENOENT || !text_is_uuid(name))
		return code;
	code = snapshot_by_uuid(r, name, ret);
	return code == 0 && ret->volume != volume ? -ENOENT : code;
}

static int unreadable(int code, struct err *err)
{
	return err_set(err, code, "the catalogue cannot be read: see the log");
}

static int find_volume(
	const struct reader *r, const char *name, struct volume *ret, struct err *err)
{
	char shown[TEXT_SHOWN_MAX];
	int code = volume_by_name(r, name, ret);

	if (code == -ENOENT || (code == 0 && ret->trashed))
		return err_set(err, -ENOENT, "no such volume: '%s'", text_shown(name, shown));
	return code < 0 ? unreadable(code, err) : 0;
}

/* VOLUME@SNAPSHOT, or the snapshot's UUID. */
static int find_snapshot(
	const struct reader *r, const char *text, struct source *ret, struct err *err)
{
	const char *at = strchr(text, '@');
	char name[NAME_LEN + 1], shown[TEXT_SHOWN_MAX];
	int code;

	if (!at) {
		code = snapshot_by_uuid(r, text, &ret->snap);
		code = code < 0 ? code : volume_by_row(r, ret->snap.volume, &ret->vol);
		if (code == -ENOENT || (code == 0 && ret->vol.trashed))
			return err_set(
				err, -ENOENT, "no such snapshot: '%s'", text_shown(text, shown));
		return code < 0 ? unreadable(code, err) : 0;
	}
	(void)snprintf(name, sizeof name, "%.*s", (int)(at - text), text);
	code = find_volume(r, name, &ret->vol, err);
	if (code < 0)
		return code;
	code = snapshot_by_name(r, ret->vol.id, at + 1, &ret->snap);
	if (code == -ENOENT)
		return err_set(err, code, "volume '%s' has no snapshot '%s'", name,
			text_shown(at + 1, shown));
	return code < 0 ? unreadable(code, err) : 0;
}

int source_find(const struct reader *r, enum spec_source kind, const char *text,
	const struct caller *who, struct source *ret, struct err *err)
{
	int code = 0;

	*ret = (struct source){ 0 };
	if (kind == SPEC_VOLUME)
		code = find_volume(r, text, &ret->vol, err);
	else if (kind == SPEC_SNAPSHOT)
		code = find_snapshot(r, text, ret, err);
	if (code < 0 || !ret->vol.id || engine_may_read(who, &ret->vol))
		return code;
	return err_set(err, -EACCES,
		"you may not read volume '%s': see the mode of its file 'data'", ret->vol.name);
}

/* --- what it must fulfil --- */

uint64_t source_size(const struct source *s)
{
	return s->snap.id ? s->snap.size : s->vol.size;
}

/* "volume 'db'", "snapshot 'db@monday'" */
static const char *called(const struct source *s, char text[2 * NAME_LEN + 16])
{
	(void)snprintf(text, 2 * NAME_LEN + 16, "%s '%s%s%s'", s->snap.id ? "snapshot" : "volume",
		s->vol.name, s->snap.id ? "@" : "", s->snap.name);
	return text;
}

int source_fits(const struct source *s, uint64_t size, struct err *err)
{
	char name[2 * NAME_LEN + 16], want[TEXT_SIZE_MAX], has[TEXT_SIZE_MAX];
	bool ready = s->snap.id ? s->snap.status == SNAP_AVAILABLE
				: s->vol.status == VOL_AVAILABLE || s->vol.status == VOL_IN_USE;

	if (!ready)
		return err_set(err, -EBUSY, "%s is %s", called(s, name),
			s->snap.id ? snap_status_name(s->snap.status)
				   : vol_status_name(s->vol.status));
	if (size && size < source_size(s))
		return err_set(err, -EINVAL, "%s is too small for what is made from %s: it has %s",
			text_of_size(size, want), called(s, name),
			text_of_size(source_size(s), has));
	return 0;
}

/* Of its backend as it is configured now, which is where it can be had. */
const char *source_zone(struct engine *e, const struct source *s)
{
	const struct backend *b = backend_by_name(e, s->vol.backend);

	return b ? b->conf->zone : s->vol.zone;
}

int source_zone_check(struct engine *e, const struct source *s, const char *zone, struct err *err)
{
	char name[2 * NAME_LEN + 16], shown[TEXT_SHOWN_MAX];

	if (!e->conf->clone_in_same_zone || !zone || !strcmp(zone, source_zone(e, s)))
		return 0;
	return err_set(err, -EINVAL, "zone '%s': what is made from %s is in its zone, '%s'",
		text_shown(zone, shown), called(s, name), source_zone(e, s));
}

void source_origin(const struct source *s, char ret[ORIGIN_LEN + 1])
{
	(void)snprintf(
		ret, ORIGIN_LEN + 1, "%s%s%s", s->vol.uuid, s->snap.id ? "@" : "", s->snap.uuid);
}

/* --- a spec: what it names, and what that comes to --- */

int wish_find(struct engine *e, const struct reader *r, struct wish *w, struct err *err)
{
	int code = 0;

	if (w->type)
		code = type_wanted(e, r, w->type, w->project, w->who->admin, &w->found, err);
	return code < 0 ? code : source_find(r, w->kind, w->source, w->who, &w->from, err);
}

/* The source's, also if this project could not have named it. */
static int type_unnamed(struct engine *e, const struct reader *r, struct wish *w, struct err *err)
{
	if (w->from.vol.type_id)
		return type_of_source(r, &w->from.vol, &w->found, err);
	return type_wanted(e, r, NULL, w->project, w->who->admin, &w->found, err);
}

int wish_fits(struct engine *e, const struct reader *r, struct wish *w, struct err *err)
{
	bool made = w->from.vol.id;
	int code = 0;

	if (made && w->type)
		code = type_fits_source(e, r, &w->found, &w->from.vol, err);
	if (code == 0 && made)
		code = source_fits(&w->from, w->size, err);
	if (code == 0 && !w->type)
		code = type_unnamed(e, r, w, err);
	if (code == 0 && made && !w->size)
		w->size = source_size(&w->from);
	return code;
}

const char *wish_zone(struct engine *e, const struct wish *w)
{
	return w->zone || !w->from.vol.id ? w->zone : source_zone(e, &w->from);
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
