/*
 * Volume types as creation and extension ask for them: which one a volume gets, what it demands of size and zone, and how the
 * scheduler and the drivers are told. What changes types is type_change.c.
 *
 *   spec's type= ─▶ project's default ─▶ everybody's default ─▶ the configuration's default_type ─▶ none     (reference, 1.6)
 *
 * The writer keeps what it has compiled until any type is changed, which it does itself.
 */
#include "engine/internal.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum { ENTRIES = 8 }; /* read at a time */

struct type_rules {
	int64_t id;
	uint64_t min_size, max_size;
	char zones[NAME_LEN + 1];
	bool flatten;
	char qos[QOS_TEXT_MAX];	  /* job_row.qos */
	struct sched_type *sched; /* NULL where only the rest was asked for */
	UT_hash_handle hh;
};

/* --- reading, in either way --- */

static int find(const struct reader *r, const char *name, struct vol_type *ret)
{
	return r->v ? view_type_find(r->v, name, ret) : tx_type_find(r->tx, name, ret);
}

static int find_default(const struct reader *r, const char *project, struct vol_type *ret)
{
	return r->v ? view_type_default(r->v, project, ret) : tx_type_default(r->tx, project, ret);
}

static int find_entry(const struct reader *r, int64_t type, enum type_list list, const char *key,
	struct type_entry *ret)
{
	return r->v ? view_type_entry_by_key(r->v, type, list, key, ret)
		    : tx_type_entry(r->tx, type, list, key, ret);
}

static int next_entries(const struct reader *r, int64_t type, enum type_list list, int64_t after,
	struct type_entry ret[ENTRIES])
{
	return r->v ? view_type_entries(r->v, type, list, after, ret, ENTRIES)
		    : tx_type_entries(r->tx, type, list, after, ret, ENTRIES);
}

static int for_entries(const struct reader *r, int64_t type, enum type_list list,
	int (*each)(void *arg, const struct type_entry *e), void *arg)
{
	struct type_entry e[ENTRIES];
	int64_t after = 0;
	int n;

	while ((n = next_entries(r, type, list, after, e)) > 0)
		for (int i = 0; i < n; i++) {
			int code = each(arg, &e[i]);

			if (code < 0)
				return code;
			after = e[i].id;
		}
	return n;
}

/* --- which one --- */

static int unreadable(struct err *err, int r)
{
	return r < 0 && r != -ENOENT ? err_set(err, r, "the catalogue cannot be read: see the log")
				     : r;
}

/* A private type does not exist for projects that have no access; whose default it is has it. */
static int may_use(
	const struct reader *r, const struct vol_type *t, const char *project, bool admin)
{
	struct type_entry e;
	int code = t->is_public || admin ? 0 : find_entry(r, t->id, TYPE_ACCESS, project, &e);

	return code == -ENOENT ? find_entry(r, t->id, TYPE_DEFAULT_FOR, project, &e) : code;
}

static int explicit_type(const struct reader *r, const char *wanted, const char *project,
	bool admin, struct vol_type *ret, struct err *err)
{
	char shown[TEXT_SHOWN_MAX];
	int code = find(r, wanted, ret);

	code = code < 0 ? code : may_use(r, ret, project, admin);
	if (code == -ENOENT)
		return err_set(err, code, "no such volume type: '%s'", text_shown(wanted, shown));
	return unreadable(err, code);
}

static int default_type(struct engine *e, const struct reader *r, const char *project,
	struct vol_type *ret, struct err *err)
{
	const char *configured = e->conf->default_type;
	int code = -ENOENT;

	if (atomic_load(&e->has_types))
		code = find_default(r, project, ret);
	if (code == -ENOENT && !*configured) {
		*ret = (struct vol_type){ 0 };
		return 0;
	}
	if (code == -ENOENT)
		code = find(r, configured, ret);
	if (code == -ENOENT)
		return err_set(err, code,
			"no such volume type: '%s', which is default_type of the configuration",
			configured);
	return unreadable(err, code);
}

int type_wanted(struct engine *e, const struct reader *r, const char *wanted, const char *project,
	bool admin, struct vol_type *ret, struct err *err)
{
	if (wanted)
		return explicit_type(r, wanted, project, admin, ret, err);
	return default_type(e, r, project, ret, err);
}

int type_of_source(
	const struct reader *r, const struct volume *v, struct vol_type *ret, struct err *err)
{
	int code = r->v ? view_type(r->v, v->type_id, ret) : tx_type(r->tx, v->type_id, ret);

	return unreadable(err, code);
}

/* The name by which a type asks for its backends; "": any. */
static int backend_name(const struct reader *r, int64_t type, char name[NAME_LEN + 1])
{
	struct type_entry e;
	int code = type ? find_entry(r, type, TYPE_EXTRA_SPECS, TYPE_BACKEND, &e) : -ENOENT;

	name[0] = '\0';
	if (code == 0)
		memcpy(name, e.value, NAME_LEN + 1);
	return code == -ENOENT ? 0 : code;
}

/* No type is encrypted: what the reference asks of that first always holds. */
int type_fits_source(struct engine *e, const struct reader *r, const struct vol_type *t,
	const struct volume *v, struct err *err)
{
	char wanted[NAME_LEN + 1], has[NAME_LEN + 1];
	int code;

	if (t->id == v->type_id || e->backend_count == 1)
		return 0;
	code = backend_name(r, t->id, wanted);
	code = code < 0 ? code : backend_name(r, v->type_id, has);
	if (code < 0)
		return unreadable(err, code);
	if (wanted[0] && !strcmp(wanted, has))
		return 0;
	return err_set(err, -EINVAL,
		"type '%s' is not for what is made from volume '%s', which has %s%s%s: both types "
		"must have the same " TYPE_BACKEND,
		t->name, v->name, v->type[0] ? "type '" : "none", v->type, v->type[0] ? "'" : "");
}

bool engine_type_seen(
	struct engine *e, struct view *v, const struct caller *who, const struct vol_type *t)
{
	const struct reader r = { v, NULL };
	char project[NAME_LEN + 1];
	struct err err;

	if (t->is_public || who->admin)
		return true;
	if (project_of_gid(e, who->gid, project, &err) == 0 && may_use(&r, t, project, false) == 0)
		return true;
	for (size_t i = 0; i < who->group_count; i++)
		if (project_of_gid(e, who->groups[i], project, &err) == 0 &&
			may_use(&r, t, project, false) == 0)
			return true;
	return false;
}

bool engine_type_is_default(struct engine *e, struct view *v, const struct vol_type *t)
{
	struct vol_type other;

	/* No project has an empty name. */
	return t->is_default || (!strcmp(e->conf->default_type, t->name) &&
					view_type_default(v, "", &other) == -ENOENT);
}

/* --- what it demands --- */

struct loading {
	struct type_rules *rules;
	json_t *extra, *qos; /* NULL: not wanted */
	bool kept;	     /* QoS specs are for the storage */
};

/* "<is> True", or the word alone, as the scheduler reads it. */
static bool is_true(const char *value)
{
	const struct fact truth = { .kind = FACT_BOOL, .integer = 1 };
	char is[NAME_LEN + sizeof "<is> "];

	(void)snprintf(is, sizeof is, "%s%s", strncmp(value, "<is>", 4) ? "<is> " : "", value);
	return match(&truth, is);
}

static int take_spec(void *arg, const struct type_entry *e)
{
	struct loading *l = arg;
	struct err err;

	if (!*e->value)
		return 0; /* made, and not written yet */
	if (!strcmp(e->key, TYPE_MIN_SIZE))
		(void)text_size(e->value, &l->rules->min_size, &err);
	else if (!strcmp(e->key, TYPE_MAX_SIZE))
		(void)text_size(e->value, &l->rules->max_size, &err);
	else if (!strcmp(e->key, TYPE_ZONES))
		(void)snprintf(l->rules->zones, sizeof l->rules->zones, "%s", e->value);
	else if (!strcmp(e->key, TYPE_FLATTEN))
		l->rules->flatten = is_true(e->value);
	return l->extra && json_object_set_new(l->extra, e->key, json_string(e->value)) < 0
		       ? -ENOMEM
		       : 0;
}

static int take_qos(void *arg, const struct type_entry *e)
{
	struct loading *l = arg;
	size_t n = strlen(l->rules->qos);

	if (l->kept && *e->value && type_qos_is_limit(e->key))
		(void)snprintf(
			l->rules->qos + n, sizeof l->rules->qos - n, "%s=%s\n", e->key, e->value);
	return json_object_set_new(l->qos, e->key, json_string(e->value)) < 0 ? -ENOMEM : 0;
}

static int load(const struct reader *r, int64_t type, struct type_rules *ret)
{
	*ret = (struct type_rules){ .id = type };
	return for_entries(r, type, TYPE_EXTRA_SPECS, take_spec, &(struct loading){ .rules = ret });
}

static int load_compiled(struct tx *tx, int64_t type, struct type_rules *ret, struct err *err)
{
	const struct reader r = { NULL, tx };
	struct loading l = { ret, json_object(), json_object(), false };
	struct vol_type t;
	int code = l.extra && l.qos ? tx_type(tx, type, &t) : -ENOMEM;

	*ret = (struct type_rules){ .id = type };
	l.kept = code == 0 && t.consumer != QOS_FRONT_END;
	code = code < 0 ? code : for_entries(&r, type, TYPE_EXTRA_SPECS, take_spec, &l);
	code = code < 0 ? code : for_entries(&r, type, TYPE_QOS, take_qos, &l);
	code = code < 0 ? code : sched_type_new(l.extra, l.qos, &ret->sched, err);
	json_decref(l.extra);
	json_decref(l.qos);
	return code;
}

static void forget(struct engine *e, struct type_rules *rules)
{
	HASH_DEL(e->rules, rules);
	sched_type_free(rules->sched);
	free(rules);
}

void types_forget(struct engine *e)
{
	while (e->rules)
		forget(e, e->rules);
}

int type_rules(struct engine *e, struct tx *tx, int64_t type, const struct type_rules **ret,
	struct err *err)
{
	struct type_rules *rules;
	int r;

	*ret = NULL;
	if (!type)
		return 0;
	HASH_FIND(hh, e->rules, &type, sizeof type, rules);
	if (!rules) {
		rules = calloc(1, sizeof *rules);
		r = rules ? load_compiled(tx, type, rules, err) : -ENOMEM;
		if (r < 0) {
			free(rules);
			return r;
		}
		HASH_ADD(hh, e->rules, id, sizeof rules->id, rules);
	}
	*ret = rules;
	return 0;
}

const struct sched_type *type_compiled(const struct type_rules *rules)
{
	return rules ? rules->sched : NULL;
}

const char *type_limits(const struct type_rules *rules)
{
	return rules ? rules->qos : "";
}

bool type_lists_zones(const struct type_rules *rules)
{
	return rules && rules->zones[0];
}

bool type_flattens(const struct type_rules *rules)
{
	return rules && rules->flatten;
}

int type_size_check(
	const struct vol_type *t, const struct type_rules *rules, uint64_t size, struct err *err)
{
	char want[TEXT_SIZE_MAX], bound[TEXT_SIZE_MAX];

	if (!rules || !size)
		return 0;
	if (rules->min_size && size < rules->min_size)
		return err_set(err, -EINVAL,
			"a volume of type '%s' has at least %s: %s is too small", t->name,
			text_of_size(rules->min_size, bound), text_of_size(size, want));
	if (rules->max_size && size > rules->max_size)
		return err_set(err, -EINVAL,
			"a volume of type '%s' has at most %s: %s is too large", t->name,
			text_of_size(rules->max_size, bound), text_of_size(size, want));
	return 0;
}

/* --- where (reference, 1.7) --- */

/* Is any backend in one of these zones? */
static bool any_known(const struct engine *e, const char *zones)
{
	for (size_t i = 0; i < e->backend_count; i++)
		if (sched_zone_listed(zones, e->backend[i].conf->zone))
			return true;
	return false;
}

/* A zone that the volume cannot be in: the default one in its place, if the configuration says so. */
static int fall_back(struct engine *e, const char **ret, int code, struct err *err, const char *why)
{
	if (!e->conf->zone_fallback || !place_zone_known(e, e->conf->default_zone))
		return err_set(err, code, "%s", why);
	*ret = e->conf->default_zone;
	return 0;
}

int type_zone(struct engine *e, const struct vol_type *t, const struct type_rules *rules,
	const char *wanted, const char **ret, struct err *err)
{
	const char *zones = type_lists_zones(rules) ? rules->zones : NULL;
	char why[ERR_TEXT_MAX], shown[TEXT_SHOWN_MAX];

	*ret = wanted ? wanted : zones ? NULL : e->conf->default_zone;
	if (zones && !any_known(e, zones))
		return err_set(
			err, -EINVAL, "no backend is in a zone of type '%s': %s", t->name, zones);
	if (*ret && !place_zone_known(e, *ret)) {
		(void)snprintf(why, sizeof why, "no such zone: no backend is in '%s'%s",
			text_shown(*ret, shown), wanted ? "" : ", which is default_zone");
		return fall_back(e, ret, -ENOENT, err, why);
	}
	if (wanted && zones && !sched_zone_listed(zones, wanted)) {
		(void)snprintf(why, sizeof why, "type '%s' is not for zone '%s', only for: %s",
			t->name, text_shown(wanted, shown), zones);
		return fall_back(e, ret, -EINVAL, err, why);
	}
	return 0;
}

/* --- both, for a line that was just written --- */

int type_check(struct engine *e, struct view *v, const struct vol_type *t, const char *zone,
	uint64_t size, const char **ret_zone, struct err *err)
{
	const struct reader r = { v, NULL };
	struct type_rules rules = { 0 };
	int code = t->id ? unreadable(err, load(&r, t->id, &rules)) : 0;

	if (code == 0 && ret_zone)
		code = type_zone(e, t, &rules, zone, ret_zone, err);
	return code < 0 ? code : type_size_check(t, &rules, size, err);
}
