/*
 * What the scheduler is told of a backend beside its numbers, and of a volume: as facts, made whenever they change.
 *
 *      monitor: driver's + ours + the configuration's ─▶ reported (and as JSON, for whoever looks) ─▶ writer: capabilities
 *
 * The writer takes the newest ones before it chooses, so that nothing is freed under a choice.
 */
#include "engine/internal.h"

#include "base/log.h"
#include "version.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static json_t *number(double n)
{
	return n == floor(n) && fabs(n) < 0x1p53 ? json_integer((json_int_t)n) : json_real(n);
}

/* GiB to hundredths, as storage reports them. */
static json_t *capacity(uint64_t bytes, bool is_unknown, bool is_infinite)
{
	if (is_unknown || is_infinite)
		return json_string(is_unknown ? "unknown" : "infinite");
	return number(round(sched_gib(bytes) * 100) / 100);
}

static json_t *ratio(double n)
{
	return n > 0 ? number(n) : json_string("auto");
}

static json_t *own(const struct backend_conf *c, const struct backend_stats *s)
{
	return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o}", "volume_backend_name", c->name,
		"driver_version", VOLFS_VERSION, "thin_provisioning_support", c->thin,
		"reserved_percentage", number(c->reserved_percentage),
		"max_over_subscription_ratio", ratio(c->max_over_subscription_ratio),
		"total_capacity_gb", capacity(s->total, s->total_unknown, s->total_infinite),
		"free_capacity_gb", capacity(s->free, s->free_unknown, s->free_infinite));
}

static int add_text(json_t *all, const char *key, const char *value)
{
	return *value ? json_object_set_new(all, key, json_string(value)) : 0;
}

/* An administrator's word comes last. NULL: no memory. */
static json_t *everything(struct backend *b, const struct backend_stats *s)
{
	const struct backend_conf *c = b->conf;
	json_t *all = own(c, s);
	json_t *more = b->driver->capabilities ? b->driver->capabilities(b->be) : json_object();
	int r = all && more ? json_object_update(all, more) : -1;

	json_decref(more);
	if (r == 0 && !c->thin)
		r = json_object_set_new(all, "thick_provisioning_support", json_true());
	r = r < 0 ? r : add_text(all, "filter_function", c->filter_function);
	r = r < 0 ? r : add_text(all, "goodness_function", c->goodness_function);
	r = r < 0 ? r : json_object_update(all, c->capabilities);
	if (r == 0)
		return all;
	json_decref(all);
	return NULL;
}

void capabilities_report(struct backend *b, const struct backend_stats *stats)
{
	json_t *all = everything(b, stats);
	char *text = all ? json_dumps(all, JSON_REAL_PRECISION(15)) : NULL;
	struct facts *facts = NULL;
	struct err err = { 0 };
	int r = text ? facts_new(all, &facts, &err) : err_set(&err, -ENOMEM, "out of memory");

	json_decref(all);
	if (r < 0) {
		log_err_seldom("backend %s: its capabilities stay what they were: %s",
			b->conf->name, err.text);
		free(text);
		return;
	}
	LOCK_SCOPE(&b->lock);
	facts_free(b->reported);
	b->reported = facts;
	free(b->report);
	b->report = text;
}

const struct facts *capabilities_locked(struct backend *b)
{
	lock_assert_held(&b->lock);
	if (b->reported) {
		facts_free(b->capabilities);
		b->capabilities = b->reported;
		b->reported = NULL;
	}
	return b->capabilities;
}

int functions_compile(struct backend *b, struct err *err)
{
	const struct backend_conf *c = b->conf;
	int r = *c->filter_function ? expr_new(c->filter_function, &b->filter, err) : 0;

	if (r == 0 && *c->goodness_function)
		r = expr_new(c->goodness_function, &b->goodness, err);
	return r;
}

void capabilities_release(struct backend *b)
{
	expr_free(b->filter);
	expr_free(b->goodness);
	facts_free(b->capabilities);
	facts_free(b->reported);
	free(b->report);
}

int volume_facts(const struct engine *e, const struct volume *v, const char *zone,
	struct facts **ret, struct err *err)
{
	json_t *all;
	int r;

	*ret = NULL;
	if (!e->follows.functions)
		return 0;
	all = json_pack("{s:s, s:s, s:o, s:s, s:s, s:I, s:s*, s:s, s:s, s:s*, s:s*}", "id", v->uuid,
		"name", v->name, "size", number(sched_gib(v->size)), "description", v->description,
		"project_id", v->project, "user_id", (json_int_t)v->uid, "availability_zone", zone,
		"status", vol_status_name(v->status), "attach_status", "detached", "volume_type_id",
		v->type_id ? v->type_uuid : NULL, "volume_type", v->type_id ? v->type : NULL);
	r = all ? facts_new(all, ret, err) : err_set(err, -ENOMEM, "out of memory");
	json_decref(all);
	return r;
}
