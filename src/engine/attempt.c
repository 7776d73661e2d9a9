/*
 * Creation: attempts at the image, one backend after the other.
 *
 *   job ─▶ worker: (its source, ) image (, its bytes) ─▶ [ `available`, job gone ]
 *                    │ failed: undone
 *                    ▼
 *   [ place elsewhere: new job, next attempt ] ◀── attempts left and a backend fits? ──▶ [ `error` ]
 *
 *   Brackets are transactions. An attempt whose image may still be there (undoing failed, or the call hangs) keeps its own job row
 *   as JOB_CLEAN until it is gone; each attempt has an image id of its own, so cleaning one cannot hit the next.
 */
#include "engine/internal.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECLAIM_TRIES = 6 /* for room that lies in the trash; some seconds */ };

void attempt_offer(struct backend *b, const struct job_row *row, bool counted, int64_t began_ns)
{
	struct job_brief brief = { row->id, row->volume, row->project, row->kind, row->class };

	counter_add(&b->chosen, 1);
	worker_offer(b, &brief, counted, began_ns);
}

/* --- the steps --- */

/* Cuts the lines "key=value" of job_row.qos apart, in place. */
static size_t take_limits(char *text, struct driver_qos ret[QOS_LIMITS])
{
	size_t n = 0;
	char *equals;

	while (n < QOS_LIMITS && (equals = strchr(text, '='))) {
		*equals = '\0';
		ret[n].key = text;
		ret[n++].value = strtoull(equals + 1, &text, 10);
		text += *text == '\n';
	}
	return n;
}

static void set_limits(struct backend *b, struct run *r, struct driver_create *each,
	struct driver_qos limits[QOS_LIMITS])
{
	each->qos = limits;
	each->qos_count = take_limits(r->row.qos, limits);
	for (size_t i = 0; i < each->qos_count; i++)
		if (!b->driver->qos_known || !b->driver->qos_known(limits[i].key))
			log_warning_seldom("backend %s does not keep %s, which types want of it",
				b->conf->name, limits[i].key);
}

static void image_create(struct backend *b, struct run *const *run, size_t n)
{
	CLEANUP_FREE struct driver_create *each = calloc(n, sizeof *each);
	CLEANUP_FREE struct driver_source *source = calloc(n, sizeof *source);
	CLEANUP_FREE struct driver_qos(*limits)[QOS_LIMITS] = calloc(n, sizeof *limits);

	for (size_t i = 0; i < n; i++) {
		if (!each || !source || !limits) {
			run[i]->code = err_set(&run[i]->err, -ENOMEM, "out of memory");
			continue;
		}
		run_image(run[i], &each[i].image);
		each[i].fresh = run[i]->fresh;
		if (clone_source(b, run[i], &source[i]))
			each[i].source = &source[i];
		set_limits(b, run[i], &each[i], limits[i]);
	}
	if (!each || !source || !limits)
		return;
	if (run[0]->row.class == CLASS_CREATE)
		b->driver->create(b->be, each, n);
	else
		clone_create(b, run[0], each); /* comes alone */
	for (size_t i = 0; i < n; i++) {
		run[i]->code = each[i].code;
		run[i]->err = each[i].err;
	}
}

static int undo_image(struct backend *b, struct run *r)
{
	return image_undo(b, r, NULL);
}

static int undo_snapshot(struct backend *b, struct run *r)
{
	return clone_let_go(b, r, NULL);
}

static const struct step create_steps[] = {
	{ "source", clone_check, NULL },
	{ "snapshot", clone_snapshot,
		undo_snapshot }, /* also the one that the driver takes for an image */
	{ "image", image_create, undo_image },
	{ "contents", clone_fill, NULL },
	{ "release", clone_release, NULL },
	{ 0 },
};

/* --- the result --- */

struct attempted {
	struct request q;
	struct backend *b; /* where the attempt was */
	struct job *job;   /* NULL: a worker still has it */
	int64_t id;	   /* the job's row */
	int code;
	bool left_over, counted;
	int64_t began_ns; /* of the first attempt, as far as this server knows */
	bool settled;	  /* of the last apply(): the volume has what it came to */
	char sentence[ERR_TEXT_MAX];
	struct backend *next;	/* of the last apply(): where the next attempt is; NULL */
	struct clone_plan plan; /* of the last apply(): how */
	struct job_row row;
};

/* How the next attempt makes it of what the volume is made from. */
static int plan_again(struct attempted *o, struct tx *tx, const struct volume *from,
	const struct type_rules *rules, const struct backend *b)
{
	if (from->id)
		return clone_plan(tx, from, o->row.snapshot, b, rules, &o->plan);
	o->plan = (struct clone_plan){ .class = CLASS_CREATE };
	return 0;
}

/*
 * Another backend, for the rows of the volume and of the new job: in its zone, unless its type lists several and its spec named none;
 * what has a source stays in its zone (reference, 1.7). 0, or -ENOSPC with what to tell the user.
 */
static int try_elsewhere(struct attempted *o, struct tx *tx, const struct volume *v,
	const struct volume *from, struct placement *ret, struct err *err)
{
	CLEANUP(hints_release) struct hints hints = { 0 };
	CLEANUP(free_facts) struct facts *volume = NULL;
	struct wanted wanted = { .size = v->size,
		.from = from->id ? from : NULL,
		.zone = v->zone,
		.project = v->project,
		.tried = o->row.tried,
		.hints = &hints };
	const struct type_rules *rules;
	size_t n = strlen(o->row.tried);
	bool zoned;
	int r;

	(void)snprintf(o->row.tried + n, sizeof o->row.tried - n, "%s\t%.1000s\n", o->b->conf->name,
		o->sentence);
	if (o->row.attempt >= o->q.e->conf->attempts)
		return err_set(err, -ENOSPC, "given up after %d attempts", o->row.attempt);
	r = type_rules(o->q.e, tx, v->type_id, &rules, err);
	r = r < 0 ? r
		  : hints_again(o->q.e, tx, v->id, type_lists_zones(rules), &hints, &zoned, err);
	if (r < 0)
		return r;
	wanted.type = type_compiled(rules);
	if (!zoned && !from->id)
		wanted.zone = NULL;
	r = volume_facts(o->q.e, v, wanted.zone, &volume, err);
	wanted.volume = volume;
	r = r < 0 ? r : place(o->q.e, tx, &wanted, ret, err);
	return r < 0 ? r : plan_again(o, tx, from, rules, ret->b);
}

/* "ssd: cannot create…; hdd: …" from "ssd\tcannot create…\nhdd\t…\n". */
static void tried_text(const char *tried, char *to, size_t room)
{
	size_t n = 0;

	for (; *tried && n + 4 < room; tried++) {
		if (*tried == '\t' || (*tried == '\n' && tried[1])) {
			to[n++] = *tried == '\t' ? ':' : ';';
			to[n++] = ' ';
		} else if (*tried != '\n') {
			to[n++] = *tried;
		}
	}
	to[n] = '\0';
}

static int next_attempt(
	struct attempted *o, struct tx *tx, const struct volume *v, const struct placement *p)
{
	struct job_row *j = &o->row;
	int r;

	new_image_id(j->image_id);
	j->backend = p->b->id;
	j->attempt++;
	j->class = o->plan.class;
	j->flatten = o->plan.flatten;
	o->next = p->b;
	r = tx_volume_place(tx, v->id, p->b->conf->name, p->b->conf->zone, j->image_id);
	r = r < 0 ? r : tx_volume_parent(tx, v->id, o->plan.parent);
	r = r < 0 ? r : tx_job_add(tx, j);
	r = r < 0 ? r
		  : request_event(&o->q, tx, v->id, "volume.create.retry",
			    "%s: %s; attempt %d on %s, weight %.3f%s", o->b->conf->name,
			    o->sentence, j->attempt, p->b->conf->name, p->weight, p->others);
	note_volume(o->q.e, v->id, VOL_CHANGED_PLACE, VOL_CREATING, false);
	return r;
}

static int no_attempt(
	struct attempted *o, struct tx *tx, const struct volume *v, const struct err *why)
{
	char tried[sizeof o->row.tried], reason[REASON_LEN + 1];
	int r;

	tried_text(o->row.tried, tried, sizeof tried);
	(void)snprintf(reason, sizeof reason, "%.500s (tried %.500s)", why->text, tried);
	o->settled = true;
	r = tx_volume_place(tx, v->id, "", v->zone, v->image_id);
	r = r < 0 ? r : tx_volume_status(tx, v->id, VOL_ERROR, reason);
	r = r < 0 ? r : request_event(&o->q, tx, v->id, "scheduler.create_volume", "%s", why->text);
	r = r < 0 ? r : request_event(&o->q, tx, v->id, "volume.create.error", "%s", reason);
	note_volume(o->q.e, v->id, VOL_CHANGED_PLACE | VOL_CHANGED_STATUS, VOL_ERROR, false);
	return r;
}

int attempt_abandon(struct tx *tx, const struct job_row *j)
{
	struct job_row clean = *j;
	struct volume v;
	int r = tx_volume(tx, j->volume, &v);

	if (r < 0)
		return r == -ENOENT ? tx_job_abandon(tx, j->id) : r;
	clean.kind = JOB_CLEAN;
	clean.class = CLASS_OTHER;
	clean.parent = j->flatten ? j->source : v.parent;
	r = tx_job_turn(tx, &clean);
	return r < 0 ? r : tx_volume_parent(tx, v.id, 0);
}

/* The attempt failed or was given up: its row goes, or stays for the cleaning. */
static int failed(struct attempted *o, struct tx *tx, const struct volume *v)
{
	struct volume from = { 0 };
	struct placement p = { 0 };
	struct err why = { 0 };
	int r;

	if (o->left_over) {
		r = attempt_abandon(tx, &o->row);
	} else {
		r = tx_job_remove(tx, o->id);
		r = r < 0 ? r : tx_volume_parent(tx, v->id, 0);
	}
	if (r == 0 && o->row.source)
		r = tx_volume(tx, o->row.source, &from);
	if (r < 0)
		return r;
	r = try_elsewhere(o, tx, v, &from, &p, &why);
	if (r == 0)
		return next_attempt(o, tx, v, &p);
	if (r == -ENOSPC && p.room.b && o->q.tries < RECLAIM_TRIES) {
		reclaim_begin(p.room.b, p.room.purging);
		return -EAGAIN; /* tried again, as every result that must be written */
	}
	return r == -ENOSPC && why.code ? no_attempt(o, tx, v, &why) : r;
}

/* Where no block counts as used, tools take it for one hole: what is made from something has its source's. */
static int has_blocks(struct attempted *o, struct tx *tx, const struct volume *v)
{
	return o->row.source ? tx_volume_used(tx, v->id, SIZE_UNIT) : 0;
}

static int succeeded(struct attempted *o, struct tx *tx, const struct volume *v)
{
	int r = tx_job_remove(tx, o->id);

	o->settled = true;
	r = r < 0 ? r : has_blocks(o, tx, v);
	r = r < 0 ? r : tx_volume_status(tx, v->id, VOL_AVAILABLE, "");
	r = r < 0 ? r
		  : request_event(&o->q, tx, v->id, "volume.create.end", "on %s", o->b->conf->name);
	note_volume(o->q.e, v->id, VOL_CHANGED_STATUS | (o->row.source ? VOL_CHANGED_USED : 0),
		VOL_AVAILABLE, false);
	return r;
}

static int attempted_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct attempted *o = (struct attempted *)q;
	struct volume v;
	int r;

	o->next = NULL;
	o->settled = false;
	r = tx_job(tx, o->id, &o->row);
	if (r == -ENOENT || (r == 0 && o->row.kind != JOB_CREATE))
		return 0; /* settled before */
	r = r < 0 ? r : tx_volume(tx, o->row.volume, &v);
	if (r < 0)
		return r;
	return o->code == 0 ? succeeded(o, tx, &v) : failed(o, tx, &v);
}

static void count_attempt(struct attempted *o)
{
	if (o->next)
		counter_add(&o->q.e->numbers.retries, 1);
	if (o->left_over && (o->next || o->settled))
		op_accepted(o->q.e, OP_CLEAN); /* as which the job goes on */
	if (o->settled)
		op_ended(o->q.e, o->row.source ? OP_CLONE : OP_CREATE, o->code, o->began_ns);
}

static void attempted_ended(struct request *q, int code)
{
	struct attempted *o = (struct attempted *)q;
	bool counted = o->counted;

	count_attempt(o);
	if (o->next)
		attempt_offer(o->next, &o->row, counted, o->began_ns);
	else if (counted)
		room_return(q->e);
	if (o->code == 0 && o->row.class == CLASS_COPY)
		measure_now(o->b, o->row.volume);
	if (!o->job)
		return; /* its worker cleans up */
	if (o->left_over) {
		o->job->kind = JOB_CLEAN;
		o->job->class = CLASS_OTHER;
		if (o->code == -ECANCELED)
			worker_again(o->job);
		else
			later_job(o->job);
	} else {
		worker_forget(o->job);
	}
}

static struct attempted *attempted_new(struct job *j)
{
	struct attempted *o =
		request_new(j->b->e, sizeof *o, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!o)
		return NULL;
	o->b = j->b;
	o->id = j->id;
	o->counted = j->counted;
	o->began_ns = j->began_ns;
	o->q.apply = attempted_apply;
	o->q.ended = attempted_ended;
	o->q.must = true;
	return o;
}

/* One line, as the list of what was tried wants it. */
static void set_sentence(struct attempted *o, const char *text)
{
	(void)snprintf(o->sentence, sizeof o->sentence, "%s", text);
	for (char *p = o->sentence; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

static struct request *attempt_finish(struct backend *b, struct run *r)
{
	struct attempted *o = attempted_new(r->job);

	if (!o)
		return NULL; /* the image may be there: creating it again finds it */
	o->job = r->job;
	r->job->counted = false;
	o->code = r->code;
	o->left_over = r->left_over;
	set_sentence(o, r->err.text[0] ? r->err.text : strerror(-r->code));
	if (r->code < 0)
		log_warning("backend %s: volume %s: %s", b->conf->name, r->row.uuid, o->sentence);
	return &o->q;
}

bool attempt_give_up(struct job *j, bool running, const char *why)
{
	struct attempted *o = attempted_new(j);

	if (!o)
		return false;
	o->job = running ? NULL : j;
	j->counted = false;
	o->code = -ECANCELED;
	o->left_over = true;
	set_sentence(o, why);
	request_submit(&o->q);
	return true;
}

const struct op op_create = { JOB_CREATE, create_steps, attempt_finish };
