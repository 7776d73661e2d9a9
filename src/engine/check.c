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

int size_check(const struct quota *q, uint64_t size, struct err *err)
{
	char want[TEXT_SIZE_MAX], max[TEXT_SIZE_MAX];

	if (q->per_volume_max < 0 || size <= (uint64_t)q->per_volume_max)
		return 0;
	return err_set(err, -EFBIG, "a volume of %s is larger than project '%s' may have: %s each",
		text_of_size(size, want), q->project,
		text_of_size((uint64_t)q->per_volume_max, max));
}

int quota_check(const struct quota *q, int64_t volumes, uint64_t more, struct err *err)
{
	char want[TEXT_SIZE_MAX], used[TEXT_SIZE_MAX], max[TEXT_SIZE_MAX];

	if (q->size_max >= 0 && (more > INT64_MAX || q->size_max - q->size < (int64_t)more))
		return err_set(err, -EDQUOT, "quota of project '%s': %s wanted, %s of %s in use",
			q->project, text_of_size(more, want), text_of_size((uint64_t)q->size, used),
			text_of_size((uint64_t)q->size_max, max));
	if (q->volumes_max >= 0 && q->volumes_max - q->volumes < volumes)
		return err_set(err, -EDQUOT,
			"quota of project '%s': %" PRId64 " more wanted, %" PRId64 " of %" PRId64
			" volumes in use",
			q->project, volumes, q->volumes, q->volumes_max);
	return 0;
}

/* What does not exist yet cannot be named. */
int names_check(struct engine *e, const struct spec *s, struct err *err)
{
	static const char *const source[] = {
		[SPEC_VOLUME] = "source",
		[SPEC_SNAPSHOT] = "snapshot",
		[SPEC_IMAGE] = "image",
		[SPEC_BACKUP] = "backup",
	};
	const char *zone = s->zone ? s->zone : e->conf->default_zone;

	if (s->type)
		return err_set(
			err, -ENOENT, "no such volume type: '%s' (there are none yet)", s->type);
	if (s->source_kind != SPEC_RAW)
		return err_set(err, -ENOENT, "%s='%s': this volfs makes empty volumes only",
			source[s->source_kind], s->source);
	if (s->group)
		return err_set(err, -ENOENT, "no such group: '%s' (there are none yet)", s->group);
	if (!place_zone_known(e, zone))
		return err_set(err, -ENOENT, "no such zone: no backend is in '%s'%s", zone,
			s->zone ? "" : ", which is default_zone");
	return 0;
}

struct seeker {
	struct view *v; /* one of the two */
	struct tx *tx;
};

static bool exists(const struct seeker *s, const char *name)
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
	const struct seeker *seeker, const char *key, const char *value, struct err *err)
{
	char name[NAME_LEN + 1];
	int r;

	while ((r = hint_next(&value, name)) > 0)
		if (!exists(seeker, name))
			return err_set(err, -ENOENT, "%s: no such volume: '%s'", key, name);
	return r < 0 ? err_set(err, r, "%s: a name is too long", key) : 0;
}

int hints_check(
	struct view *v, struct tx *tx, const char *same, const char *different, struct err *err)
{
	struct seeker seeker = { v, tx };
	int r = hint_check(&seeker, "hint.same_backend", same, err);

	return r < 0 ? r : hint_check(&seeker, "hint.different_backend", different, err);
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

int engine_spec_check(struct engine *e, struct view *v, const struct caller *who,
	const struct spec *spec, const char *uuid, bool partial, struct err *err)
{
	char project[NAME_LEN + 1];
	struct vol_entry entry;
	struct quota q;
	gid_t gid;
	int r;

	r = names_check(e, spec, err);
	r = r < 0 ? r : query_is_sound(spec->hint_query, err);
	r = r < 0 ? r
		  : hints_check(
			    v, NULL, spec->hint_same_backend, spec->hint_different_backend, err);
	r = r < 0 ? r : project_of(e, who, spec->project, project, &gid, err);
	if (r == 0 && spec->name)
		r = spec_name_check(spec->name, uuid, err);
	if (r < 0)
		return r;
	if (spec->name && view_entry_by_name(v, spec->name, &entry) == 0)
		return taken(err, spec->name, entry.uid);
	r = view_quota_by_name(v, project, &q);
	if (r < 0)
		return err_set(err, r, "the catalogue cannot be read: see the log");
	if (!spec->size && !partial)
		return err_set(err, -EINVAL, "size is missing");
	r = size_check(&q, spec->size, err);
	return r < 0 ? r : quota_check(&q, 1, spec->size, err);
}
