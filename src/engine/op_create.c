/*
 * Creation: the request. What becomes of it is attempt.c's.
 *
 *   engine_create ─▶ [ checks, quota, place, volume `creating`, job ] ─▶ attempt.c
 *                      (a transaction)       no backend fits: `error`, no job
 */
#include "engine/internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct create {
	struct request q;
	struct volume vol;
	bool named;
	char *file, *text;
	char *zone, *type, *source; /* as the spec names them; NULL */
	struct caller who;	    /* groups: its own copy */
	gid_t *groups;
	struct wish wish; /* of the last apply(), but for what the spec says */
	uint64_t size;	  /* that the spec names; 0 */
	struct hints hints;
	size_t len;
	struct spec_pair *meta;
	size_t meta_count;
	int64_t project;	/* row */
	struct backend *b;	/* of the last apply(); NULL: none fits, or nothing new */
	bool accepted;		/* of the last apply(): the volume is new */
	struct clone_plan plan; /* of the last apply() */
	struct reclaim reclaim;
	struct job_row job;
};

static void create_release(struct request *q)
{
	struct create *c = (struct create *)q;

	for (size_t i = 0; i < c->meta_count; i++) {
		free(c->meta[i].key);
		free(c->meta[i].value);
	}
	free(c->meta);
	free(c->file);
	free(c->text);
	free(c->zone);
	free(c->type);
	free(c->source);
	free(c->groups);
	hints_release(&c->hints);
}

static int meta_copy(struct create *c, const struct spec *s)
{
	c->meta = calloc(s->metadata_count ? s->metadata_count : 1, sizeof *c->meta);
	if (!c->meta)
		return -ENOMEM;
	for (; c->meta_count < s->metadata_count; c->meta_count++) {
		struct spec_pair *to = &c->meta[c->meta_count];

		to->key = strdup(s->metadata[c->meta_count].key);
		to->value = strdup(s->metadata[c->meta_count].value);
		if (!to->key || !to->value) {
			c->meta_count++;
			return -ENOMEM;
		}
	}
	return 0;
}

/* The name in new/ without the suffix that people like to give it. */
static char *file_name(const char *file)
{
	size_t n = strlen(file);

	return strndup(file, n > 5 && !strcmp(file + n - 5, ".spec") ? n - 5 : n);
}

static int keep_text(
	struct create *c, const struct spec *s, const char *file, const char *text, size_t len)
{
	if (file && !(c->file = file_name(file)))
		return -ENOMEM;
	c->text = malloc(len + 1);
	if (!c->text)
		return -ENOMEM;
	memcpy(c->text, text, len);
	c->len = len;
	if (s->zone && !(c->zone = strdup(s->zone)))
		return -ENOMEM;
	if (s->type && !(c->type = strdup(s->type)))
		return -ENOMEM;
	if (s->source && !(c->source = strdup(s->source)))
		return -ENOMEM;
	return meta_copy(c, s);
}

/* Whether it may read the source is asked once more in the transaction. */
static int keep_caller(struct create *c, const struct caller *who)
{
	size_t bytes = who->group_count * sizeof *who->groups;

	c->who = *who;
	c->groups = malloc(bytes ? bytes : 1);
	if (!c->groups)
		return -ENOMEM;
	if (bytes)
		memcpy(c->groups, who->groups, bytes);
	c->who.groups = c->groups;
	return 0;
}

static void keep_wish(struct create *c, const struct spec *s)
{
	c->size = s->size;
	c->wish = (struct wish){ .type = c->type,
		.zone = c->zone,
		.project = c->vol.project,
		.kind = s->source_kind,
		.source = c->source,
		.who = &c->who };
}

/* What can be judged without the catalogue. */
static int prepare(struct create *c, const struct caller *who, const struct spec *s,
	const char *uuid, struct err *err)
{
	const char *name = s->name ? s->name : c->file ? c->file : uuid;
	struct volume *v = &c->vol;
	int r;

	r = names_check(s, err);
	r = r < 0 ? r : hints_take(s, &c->hints, err);
	r = r < 0 ? r : project_of(c->q.e, who, s->project, v->project, &v->gid, err);
	if (r < 0)
		return r;
	c->named = strcmp(name, uuid) != 0;
	if (c->named)
		r = spec_name_check(name, uuid, err);
	if (r == 0 && !s->size && s->source_kind == SPEC_RAW)
		r = err_set(err, -EINVAL, "size is missing");
	if (r < 0)
		return r;
	(void)snprintf(v->uuid, sizeof v->uuid, "%s", uuid);
	(void)snprintf(v->name, sizeof v->name, "%s", name);
	(void)snprintf(
		v->description, sizeof v->description, "%s", s->description ? s->description : "");
	v->uid = who->uid;
	v->mode = c->q.e->conf->volume_mode;
	v->status = VOL_CREATING;
	return 0;
}

/* --- the transaction --- */

/* Its source and type, and where and how large they let it be. zone: NULL for any that the type lists. */
static int choose_type(struct create *c, struct tx *tx, const struct type_rules **rules,
	const char **zone, struct err *err)
{
	const struct reader reader = { NULL, tx };
	struct engine *e = c->q.e;
	struct volume *v = &c->vol;
	struct wish *w = &c->wish;
	int r;

	w->size = c->size;
	w->found = (struct vol_type){ 0 };
	r = wish_find(e, &reader, w, err);
	r = r < 0 ? r : wish_fits(e, &reader, w, err);
	r = r < 0 ? r : type_rules(e, tx, w->found.id, rules, err);
	r = r < 0 ? r : type_zone(e, &w->found, *rules, wish_zone(e, w), zone, err);
	r = r < 0 ? r : type_size_check(&w->found, *rules, w->size, err);
	if (r == 0 && w->from.vol.id)
		r = source_zone_check(e, &w->from, *zone, err);
	if (r < 0)
		return r;
	v->size = w->size;
	v->type_id = w->found.id;
	memcpy(v->type, w->found.name, sizeof v->type);
	memcpy(v->type_uuid, w->found.uuid, sizeof v->type_uuid);
	return 0;
}

static int reserve(struct create *c, struct tx *tx, struct err *err)
{
	struct quotas q;
	int r = quotas_read(&(struct reader){ NULL, tx }, c->vol.project, c->vol.type_id, &q);

	r = r < 0 ? r : size_check(&q, c->vol.size, err);
	return r < 0 ? r : quota_check(&q, 1, c->vol.size, err);
}

static int add_metadata(struct create *c, struct tx *tx)
{
	int64_t id;
	int r = 0;

	for (size_t i = 0; i < c->meta_count && r == 0; i++)
		r = tx_meta_set(tx, c->vol.id, c->meta[i].key, c->meta[i].value, &id);
	return r;
}

static int add_job(struct create *c, struct tx *tx, const struct type_rules *rules)
{
	c->job = (struct job_row){ .kind = JOB_CREATE,
		.class = c->plan.class,
		.volume = c->vol.id,
		.backend = c->b->id,
		.project = c->project,
		.source = c->wish.from.vol.id,
		.snapshot = c->wish.from.snap.id,
		.flatten = c->plan.flatten,
		.size = c->vol.size,
		.attempt = 1 };
	memcpy(c->job.uuid, c->vol.uuid, sizeof c->job.uuid);
	memcpy(c->job.image_id, c->vol.image_id, sizeof c->job.image_id);
	(void)snprintf(c->job.qos, sizeof c->job.qos, "%s", type_limits(rules));
	return tx_job_add(tx, &c->job);
}

/* How its bytes come there, and what it takes over. */
static int take_source(struct create *c, struct tx *tx, const struct type_rules *rules)
{
	const struct source *from = &c->wish.from;
	struct volume *v = &c->vol;
	int r = 0;

	c->plan = (struct clone_plan){ .class = CLASS_CREATE };
	if (from->vol.id) {
		source_origin(from, v->origin);
		v->bootable = from->vol.bootable;
		if (c->b)
			r = clone_plan(tx, &from->vol, from->snap.id, c->b, rules, &c->plan);
	}
	v->parent = c->plan.parent;
	return r;
}

/* Chooses a backend; where none fits the volume is accepted all the same, as `error` with the reason. */
static int choose(struct create *c, struct tx *tx, const struct type_rules *rules, const char *zone,
	struct placement *ret, struct err *ret_err)
{
	CLEANUP(free_facts) struct facts *facts = NULL;
	struct volume *v = &c->vol;
	struct wanted wanted = { .size = v->size,
		.from = c->wish.from.vol.id ? &c->wish.from.vol : NULL,
		.zone = zone,
		.project = v->project,
		.tried = "",
		.type = type_compiled(rules),
		.hints = &c->hints };
	struct err err = { 0 };
	int r = volume_facts(c->q.e, v, zone, &facts, &err);

	wanted.volume = facts;
	r = r < 0 ? r : place(c->q.e, tx, &wanted, ret, &err);
	if (r == -ENOSPC && err.code)
		r = reclaim_wanted(&c->reclaim, &ret->room, &err);
	if (r == -EAGAIN)
		return err_set(ret_err, r, "%s", err.text);
	c->b = r == 0 ? ret->b : NULL;
	v->backend[0] = v->reason[0] = '\0';
	new_image_id(v->image_id);
	v->status = c->b ? VOL_CREATING : VOL_ERROR;
	(void)snprintf(v->zone, sizeof v->zone, "%s", c->b ? c->b->conf->zone : zone ? zone : "");
	if (r == 0) {
		(void)snprintf(v->backend, sizeof v->backend, "%s", c->b->conf->name);
	} else if (r == -ENOSPC && err.code) {
		(void)snprintf(v->reason, sizeof v->reason, "%s", err.text);
		r = 0;
	}
	return r;
}

/* As the reference does, also under the scheduler's own name. */
static int tell_refusal(struct create *c, struct tx *tx, const char *what)
{
	const struct volume *v = &c->vol;
	int r = request_event(&c->q, tx, v->id, "scheduler.create_volume", "%s", v->reason);

	return r < 0 ? r
		     : request_event(
			       &c->q, tx, v->id, "volume.create.error", "%s: %s", what, v->reason);
}

static int tell(struct create *c, struct tx *tx, const struct placement *p)
{
	const struct volume *v = &c->vol;
	const struct source *from = &c->wish.from;
	const char *typed = v->type[0] ? ", type " : "", *made = from->vol.id ? ", from " : "";
	char size[TEXT_SIZE_MAX], why[32] = "beside its source", what[5 * NAME_LEN];
	int r;

	(void)text_of_size(v->size, size);
	if (!from->vol.id || strcmp(v->backend, from->vol.backend) != 0)
		(void)snprintf(why, sizeof why, "weight %.3f", p->weight);
	(void)snprintf(what, sizeof what, "size %s%s%s%s%s%s%s, project %s", size, typed, v->type,
		made, from->vol.name, from->snap.id ? "@" : "", from->snap.name, v->project);
	if (c->b)
		r = request_event(&c->q, tx, v->id, "volume.create.start",
			"%s, on %s in zone %s, %s%s", what, v->backend, v->zone, why, p->others);
	else
		r = tell_refusal(c, tx, what);
	note_volume(c->q.e, v->id, VOL_CHANGED_NEW | VOL_CHANGED_STATUS, v->status, false);
	note(c->q.e, (struct change_note){ .kind = CHANGE_LIST, .volume = v->id });
	note_quota(c->q.e, c->project);
	return r;
}

static int add_row(struct create *c, struct tx *tx)
{
	bool filed = c->file && !strcmp(c->file, c->vol.name);
	int r = tx_volume_add(tx, &c->vol, filed, c->text, c->len);

	if (r == 0 && c->vol.bootable)
		r = tx_volume_flags(tx, c->vol.id, false, true);
	return r < 0 ? r : add_metadata(c, tx);
}

static int create_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct create *c = (struct create *)q;
	const struct type_rules *rules;
	const char *zone;
	struct placement p = { 0 };
	int r;

	c->b = NULL;
	c->accepted = false;
	if (tx_volume_by_uuid(tx, c->vol.uuid, &q->row) == 0 ||
		tx_volume_purged(tx, c->vol.uuid, &q->row) == 0)
		return 0; /* this very spec was accepted before */
	r = choose_type(c, tx, &rules, &zone, err);
	r = r < 0 ? r
		  : hints_check(
			    &(struct reader){ NULL, tx }, c->hints.same, c->hints.different, err);
	if (r == 0 && c->named)
		r = name_free(tx, c->vol.name, err);
	r = r < 0 ? r : reserve(c, tx, err);
	r = r < 0 ? r : choose(c, tx, rules, zone, &p, err);
	r = r < 0 ? r : take_source(c, tx, rules);
	r = r < 0 ? r : tx_project(tx, c->vol.project, &c->project);
	r = r < 0 ? r : add_row(c, tx);
	r = r < 0 || !c->b ? r : add_job(c, tx, rules);
	q->row = c->vol.id;
	c->accepted = true;
	return r < 0 ? r : tell(c, tx, &p);
}

/* It is accepted; where no backend fits, that was all. One that was accepted before is counted by nobody. */
static void count(struct create *c)
{
	enum engine_op op = c->wish.from.vol.id ? OP_CLONE : OP_CREATE;

	if (!c->accepted)
		return;
	op_accepted(c->q.e, op);
	if (c->b)
		return;
	counter_add(&c->q.e->numbers.unplaced, 1);
	op_ended(c->q.e, op, -ENOSPC, clock_mono_ns());
}

static void create_ended(struct request *q, int code)
{
	struct create *c = (struct create *)q;

	if (code == -EAGAIN && c->reclaim.wants)
		return; /* it keeps its room */
	if (code == 0)
		count(c);
	if (code == 0 && c->b)
		attempt_offer(c->b, &c->job, true, 0);
	else
		room_return(q->e);
}

static bool create_divert(struct request *q, int code)
{
	return reclaim_divert(q, &((struct create *)q)->reclaim, code);
}

void engine_create(struct engine *e, struct change_id id, const struct caller *who,
	const struct spec *spec, const char *uuid, const char *file, const char *text, size_t len,
	bool wait, engine_done *done, void *arg)
{
	struct create *c = request_new(e, sizeof *c, id, who, done, arg);
	struct err err = { 0 };
	int r;

	if (!c)
		return;
	c->q.apply = create_apply;
	c->q.release = create_release;
	r = keep_text(c, spec, file, text, len);
	r = r < 0 ? r : keep_caller(c, who);
	if (r < 0)
		err_set(&err, r, "out of memory");
	else
		r = prepare(c, who, spec, uuid, &err);
	keep_wish(c, spec);
	if (r < 0) {
		request_refuse(&c->q, r, &err);
		return;
	}
	c->q.ended = create_ended;
	c->q.divert = create_divert;
	room_ask(&c->q, wait);
}
