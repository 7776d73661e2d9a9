/*
 * What a request must fulfil. The same checks serve the line just written (against a view) and the transaction that decides. Order
 * as in the reference: what it names, whose it is, where, how it is called, how large, and last the quota; size ahead of count.
 */
#include "engine/internal.h"

#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int quotas_read(const struct reader *r, const char *project, int64_t type, struct quotas *ret)
{
	int code = r->v ? view_quota_by_name(r->v, project, &ret->project)
			: tx_quota(r->tx, project, 0, &ret->project);

	ret->type = (struct quota){ 0 };
	if (code < 0 || !type)
		return code;
	return r->v ? view_quota_of_type(r->v, project, type, &ret->type)
		    : tx_quota(r->tx, project, type, &ret->type);
}

/* "project 'web'", "type 'fast' in project 'web'" */
static const char *whose(const struct quota *q, char text[2 * NAME_LEN + 32])
{
	if (q->type_id)
		(void)snprintf(
			text, 2 * NAME_LEN + 32, "type '%s' in project '%s'", q->type, q->project);
	else
		(void)snprintf(text, 2 * NAME_LEN + 32, "project '%s'", q->project);
	return text;
}

static int one_size(const struct quota *q, uint64_t size, struct err *err)
{
	char want[TEXT_SIZE_MAX], max[TEXT_SIZE_MAX], who[2 * NAME_LEN + 32];
	int64_t ceiling = q->max[QUOTA_PER_VOLUME_SIZE];

	if (ceiling < 0 || size <= (uint64_t)ceiling)
		return 0;
	return err_set(err, -EFBIG, "a volume of %s is larger than %s may have: %s each",
		text_of_size(size, want), whose(q, who), text_of_size((uint64_t)ceiling, max));
}

int size_check(const struct quotas *q, uint64_t size, struct err *err)
{
	int r = one_size(&q->project, size, err);

	return r < 0 || !q->type.type_id ? r : one_size(&q->type, size, err);
}

/* The catalogue counts in 64 bits with a sign. Beyond them SQLite goes on in floating point, and what is taken away again later leaves
 * a rest: so also who has no limit stays within them. */
static int countable(const struct quota *q, int64_t now, uint64_t more, struct err *err)
{
	char want[TEXT_SIZE_MAX], used[TEXT_SIZE_MAX], who[2 * NAME_LEN + 32];

	if (now < 0 || more <= (uint64_t)(INT64_MAX - now))
		return 0;
	return err_set(err, -EDQUOT,
		"quota of %s: %s wanted, %s in use: together more than can be counted",
		whose(q, who), text_of_size(more, want), text_of_size((uint64_t)now, used));
}

const char *engine_limit_text(enum quota_resource what, int64_t max, char text[TEXT_SIZE_MAX])
{
	if (max > 0 && quota_resource_is_size(what))
		return text_of_size((uint64_t)max, text);
	if (max < 0)
		(void)snprintf(text, TEXT_SIZE_MAX, "%s", max == QUOTA_INHERIT ? "default" : "max");
	else
		(void)snprintf(text, TEXT_SIZE_MAX, "%" PRId64, max);
	return text;
}

/* Nothing more is wanted of a resource: then it is no matter how much is used already. */
static int one_resource(
	const struct quota *q, enum quota_resource what, uint64_t more, struct err *err)
{
	char want[TEXT_SIZE_MAX], used[TEXT_SIZE_MAX], max[TEXT_SIZE_MAX], who[2 * NAME_LEN + 32];
	int64_t limit = q->max[what], now = q->used[what];

	if (limit < 0)
		return countable(q, now, more, err);
	if (!more || (more <= INT64_MAX && limit - now >= (int64_t)more))
		return 0;
	if (quota_resource_is_size(what))
		return err_set(err, -EDQUOT, "quota of %s: %s wanted, %s of %s in use",
			whose(q, who), text_of_size(more, want), text_of_size((uint64_t)now, used),
			text_of_size((uint64_t)limit, max));
	return err_set(err, -EDQUOT,
		"quota of %s: %" PRIu64 " more wanted, %" PRId64 " of %" PRId64 " %s in use",
		whose(q, who), more, now, limit, quota_resource_name(what));
}

/* Of each the project ahead of the type (reference, 2.5). */
static int both(const struct quotas *q, enum quota_resource what, uint64_t more, struct err *err)
{
	int r = one_resource(&q->project, what, more, err);

	return r < 0 || !q->type.type_id ? r : one_resource(&q->type, what, more, err);
}

/* Size ahead of count. */
int quota_check(const struct quotas *q, int64_t volumes, uint64_t more, struct err *err)
{
	int r = both(q, QUOTA_SIZE, more, err);

	return r < 0 ? r : both(q, QUOTA_VOLUMES, (uint64_t)volumes, err);
}

int quota_check_snapshots(
	const struct quotas *q, uint64_t snapshots, uint64_t more, struct err *err)
{
	int r = both(q, QUOTA_SIZE, more, err);

	return r < 0 ? r : both(q, QUOTA_SNAPSHOTS, snapshots, err);
}

/* What does not exist yet cannot be named. */
int names_check(const struct spec *s, struct err *err)
{
	if (s->group)
		return err_set(err, -ENOENT, "no such group: '%s' (there are none yet)", s->group);
	if (s->source_kind == SPEC_IMAGE)
		return err_set(err, -ENOENT, "no such image: '%s' (there are none yet)", s->source);
	if (s->source_kind == SPEC_BACKUP)
		return err_set(
			err, -ENOENT, "no such backup: '%s' (there are none yet)", s->source);
	return 0;
}

static bool exists(const struct reader *s, const char *name)
{
	struct vol_entry entry;
	struct volume vol;
	int64_t id;

	if (s->v)
		return view_entry_by_name(s->v, name, &entry) == 0 ||
		       (view_entry_by_uuid(s->v, name, &entry) == 0 && !entry.trashed);
	return hint_volume(s->tx, name, &id) == 0 && tx_volume(s->tx, id, &vol) == 0 &&
	       !vol.trashed;
}

/* The volumes that a hint names, by comma. */
static int hint_check(
	const struct reader *reader, const char *key, const char *value, struct err *err)
{
	char name[NAME_LEN + 1];
	int r;

	while ((r = hint_next(&value, name)) > 0)
		if (!exists(reader, name))
			return err_set(err, -ENOENT, "%s: no such volume: '%s'", key, name);
	return r < 0 ? err_set(err, r, "%s: a name is too long", key) : 0;
}

int hints_check(const struct reader *r, const char *same, const char *different, struct err *err)
{
	int code = hint_check(r, "hint.same_backend", same, err);

	return code < 0 ? code : hint_check(r, "hint.different_backend", different, err);
}

static int query_is_sound(const char *text, struct err *err)
{
	struct query *q = NULL;
	int r = text ? hint_query(text, &q, err) : 0;

	query_free(q);
	return r;
}

int taken(struct err *err, const char *name, uid_t owner)
{
	return err_set(err, -EEXIST, "the name '%s' is taken by a volume of uid %u", name,
		(unsigned)owner);
}

int name_free(struct tx *tx, const char *name, struct err *err)
{
	struct volume other;
	int64_t id;
	int r = tx_volume_by_name(tx, name, &id);

	r = r < 0 ? r : tx_volume(tx, id, &other);
	return r == -ENOENT ? 0 : r < 0 ? r : taken(err, name, other.uid);
}

/*
 * Its type's bounds and zones. Where more may follow, another than the default type may yet be named, and a zone that is not the
 * source's.
 */
static int check_type(struct engine *e, struct view *v, const struct spec *spec,
	const struct wish *w, bool partial, struct err *err)
{
	bool made = w->from.vol.id, zoned = spec->zone || !made || !partial;
	const char *zone = NULL;
	int r = type_check(e, v, &w->found, wish_zone(e, w), partial ? spec->size : w->size,
		zoned ? &zone : NULL, err);

	if (r < 0 && partial && w->found.id && !spec->type)
		return err_in(err, "no type= before the size");
	return r < 0 || !made ? r : source_zone_check(e, &w->from, zone, err);
}

/* What it names, and whether that exists for the project. */
static int check_names(struct engine *e, struct view *v, const struct spec *spec, bool partial,
	struct wish *w, struct err *err)
{
	const struct reader reader = { v, NULL };
	int r;

	r = wish_find(e, &reader, w, err);
	r = r < 0 ? r : names_check(spec, err);
	r = r < 0 ? r : wish_fits(e, &reader, w, err);
	r = r < 0 ? r : check_type(e, v, spec, w, partial, err);
	r = r < 0 ? r : query_is_sound(spec->hint_query, err);
	return r < 0 ? r
		     : hints_check(
			       &reader, spec->hint_same_backend, spec->hint_different_backend, err);
}

int engine_spec_check(struct engine *e, struct view *v, const struct caller *who,
	const struct spec *spec, const char *uuid, bool partial, struct err *err)
{
	char project[NAME_LEN + 1];
	struct wish w = { .type = spec->type,
		.zone = spec->zone,
		.project = project,
		.kind = spec->source_kind,
		.source = spec->source,
		.size = spec->size,
		.who = who };
	struct vol_entry entry;
	struct quotas q;
	gid_t gid;
	int r;

	r = project_of(e, who, spec->project, project, &gid, err);
	r = r < 0 ? r : check_names(e, v, spec, partial, &w, err);
	if (r == 0 && spec->name)
		r = spec_name_check(spec->name, uuid, err);
	if (r < 0)
		return r;
	if (spec->name && view_entry_by_name(v, spec->name, &entry) == 0)
		return taken(err, spec->name, entry.uid);
	r = quotas_read(&(struct reader){ v, NULL }, project, w.found.id, &q);
	if (r < 0)
		return err_set(err, r, "the catalogue cannot be read: see the log");
	if (!w.size && !partial)
		return err_set(err, -EINVAL, "size is missing");
	r = size_check(&q, w.size, err); /* what may follow is not smaller than the source */
	return r < 0 ? r : quota_check(&q, 1, w.size, err);
}
