/*
 * Creation.
 *
 *   engine_create ─▶ [ checks, quota, place, volume `creating`, job ] ─▶ worker: image ─▶ [ `available`, job gone ]
 *                                                                          │ failed: undone
 *                                                                          ▼
 *                     [ place elsewhere: new job, next attempt ] ◀── attempts left and a backend fits? ──▶ [ `error` ]
 *
 *   Brackets are transactions. An attempt whose image may still be there (undoing failed, or the call hangs) keeps its own job row
 *   as JOB_CLEAN until it is gone; each attempt has an image id of its own, so cleaning one cannot hit the next.
 */
#include "engine/internal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* --- the request --- */

struct create {
	struct request q;
	struct volume vol;
	bool named;
	char *file, *text, *zone, *same, *different;
	size_t len;
	struct spec_pair *meta;
	size_t meta_count;
	int64_t project;   /* row */
	struct backend *b; /* of the last apply(); NULL: none fits, or nothing new */
	struct job_row job;
};

static void new_image_id(char id[IMAGE_ID_LEN + 1])
{
	uint64_t n;

	if (getrandom(&n, sizeof n, 0) != sizeof n)
		abort(); /* Linux: cannot happen for so few bytes */
	(void)snprintf(id, IMAGE_ID_LEN + 1, "%014llx",
		(unsigned long long)(n & UINT64_C(0xffffffffffffff)));
}

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
	free(c->same);
	free(c->different);
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

/* NULL stays NULL; false: no memory. */
static bool copy(char **to, const char *from)
{
	if (from)
		*to = strdup(from);
	return !from || *to;
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
	if (!copy(&c->zone, s->zone ? s->zone : c->q.e->conf->default_zone) ||
		!copy(&c->same, s->hint_same_backend) ||
		!copy(&c->different, s->hint_different_backend))
		return -ENOMEM;
	return meta_copy(c, s);
}

/* What can be judged without the catalogue. */
static int prepare(struct create *c, const struct caller *who, const struct spec *s,
	const char *uuid, struct err *err)
{
	const char *name = s->name ? s->name : c->file ? c->file : uuid;
	struct volume *v = &c->vol;
	int r;

	r = names_check(c->q.e, s, err);
	r = r < 0 ? r : project_of(c->q.e, who, s->project, v->project, &v->gid, err);
	if (r < 0)
		return r;
	c->named = strcmp(name, uuid) != 0;
	if (c->named)
		r = spec_name_check(name, uuid, err);
	if (r == 0 && !s->size)
		r = err_set(err, -EINVAL, "size is missing");
	if (r < 0)
		return r;
	(void)snprintf(v->uuid, sizeof v->uuid, "%s", uuid);
	(void)snprintf(v->name, sizeof v->name, "%s", name);
	(void)snprintf(
		v->description, sizeof v->description, "%s", s->description ? s->description : "");
	v->size = s->size;
	v->uid = who->uid;
	v->mode = c->q.e->conf->volume_mode;
	return 0;
}

/* --- the transaction --- */

static int name_free(struct create *c, struct tx *tx, struct err *err)
{
	struct volume other;
	int64_t id;

	if (!c->named || tx_volume_by_name(tx, c->vol.name, &id) == -ENOENT)
		return 0;
	if (tx_volume(tx, id, &other) < 0)
		return err_set(err, -EIO, "the catalogue cannot be read: see the log");
	return taken(err, c->vol.name, other.uid);
}

static int reserve(struct create *c, struct tx *tx, struct err *err)
{
	struct quota quota;
	int r = tx_quota(tx, c->vol.project, &quota);

	r = r < 0 ? r : size_check(&quota, c->vol.size, err);
	return r < 0 ? r : quota_check(&quota, 1, c->vol.size, err);
}

static int add_metadata(struct create *c, struct tx *tx)
{
	int64_t id;
	int r = 0;

	for (size_t i = 0; i < c->meta_count && r == 0; i++)
		r = tx_meta_set(tx, c->vol.id, c->meta[i].key, c->meta[i].value, &id);
	return r;
}

static int add_job(struct create *c, struct tx *tx)
{
	c->job = (struct job_row){ .kind = JOB_CREATE,
		.volume = c->vol.id,
		.backend = c->b->id,
		.project = c->project,
		.size = c->vol.size,
		.attempt = 1 };
	memcpy(c->job.uuid, c->vol.uuid, sizeof c->job.uuid);
	memcpy(c->job.image_id, c->vol.image_id, sizeof c->job.image_id);
	return tx_job_add(tx, &c->job);
}

/* Chooses a backend; where none fits the volume is accepted all the same, as `error` with the reason. */
static int choose(struct create *c, struct tx *tx, double *weight)
{
	struct volume *v = &c->vol;
	struct placement place_;
	struct err err = { 0 };
	int r = place(c->q.e, tx, v->size, c->zone, "", &place_, &err);

	c->b = r == 0 ? place_.b : NULL;
	v->backend[0] = v->reason[0] = '\0';
	new_image_id(v->image_id);
	v->status = c->b ? VOL_CREATING : VOL_ERROR;
	(void)snprintf(v->zone, sizeof v->zone, "%s", c->b ? c->b->conf->zone : c->zone);
	if (r == 0) {
		(void)snprintf(v->backend, sizeof v->backend, "%s", c->b->conf->name);
		*weight = place_.weight;
	} else if (r == -ENOSPC && err.code) {
		(void)snprintf(v->reason, sizeof v->reason, "%s", err.text);
		r = 0;
	}
	return r;
}

static int tell(struct create *c, struct tx *tx, double weight)
{
	const struct volume *v = &c->vol;
	char size[TEXT_SIZE_MAX];
	int r;

	(void)text_of_size(v->size, size);
	if (c->b)
		r = request_event(&c->q, tx, v->id, "volume.create.start",
			"size %s, project %s, on %s in zone %s, weight %.3f", size, v->project,
			v->backend, v->zone, weight);
	else
		r = request_event(&c->q, tx, v->id, "volume.create.error",
			"size %s, project %s: %s", size, v->project, v->reason);
	note_volume(c->q.e, v->id, VOL_CHANGED_NEW | VOL_CHANGED_STATUS, v->status, false);
	note(c->q.e, (struct change_note){ .kind = CHANGE_LIST, .volume = v->id });
	note_quota(c->q.e, c->project);
	return r;
}

static int add_row(struct create *c, struct tx *tx, struct err *err)
{
	int r = tx_volume_add(tx, &c->vol, c->file, c->text, c->len);

	if (r == -EEXIST) /* the name is free, so it is the file's */
		return err_set(err, r, "new/%s was accepted before, and its volume lives",
			c->file ? c->file : "spec");
	return r < 0 ? r : add_metadata(c, tx);
}

static int create_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct create *c = (struct create *)q;
	double weight = 0;
	int r;

	c->b = NULL;
	if (tx_volume_by_uuid(tx, c->vol.uuid, &q->row) == 0 ||
		tx_volume_purged(tx, c->vol.uuid, &q->row) == 0)
		return 0; /* this very spec was accepted before */
	r = hints_check(NULL, tx, c->same, c->different, err);
	r = r < 0 ? r : name_free(c, tx, err);
	r = r < 0 ? r : reserve(c, tx, err);
	r = r < 0 ? r : choose(c, tx, &weight);
	r = r < 0 ? r : tx_project(tx, c->vol.project, &c->project);
	r = r < 0 ? r : add_row(c, tx, err);
	r = r < 0 || !c->b ? r : add_job(c, tx);
	q->row = c->vol.id;
	return r < 0 ? r : tell(c, tx, weight);
}

static void offer(struct backend *b, const struct job_row *row, bool counted)
{
	struct job_brief brief = { row->id, row->volume, row->project, row->kind };

	worker_offer(b, &brief, counted);
}

static void create_ended(struct request *q, int code)
{
	struct create *c = (struct create *)q;

	if (code == 0 && c->b)
		offer(c->b, &c->job, true);
	else
		room_return(q->e);
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
	if (r < 0)
		err_set(&err, r, "out of memory");
	else
		r = prepare(c, who, spec, uuid, &err);
	if (r < 0) {
		request_refuse(&c->q, r, &err);
		return;
	}
	c->q.ended = create_ended;
	room_ask(&c->q, wait);
}

/* --- the steps --- */

static void image_create(struct backend *b, struct run *const *run, size_t n)
{
	CLEANUP_FREE struct driver_create *each = calloc(n, sizeof *each);

	for (size_t i = 0; i < n; i++) {
		if (!each) {
			run[i]->code = err_set(&run[i]->err, -ENOMEM, "out of memory");
			continue;
		}
		memcpy(each[i].image.uuid, run[i]->row.uuid, sizeof each[i].image.uuid);
		memcpy(each[i].image.image_id, run[i]->row.image_id, sizeof each[i].image.image_id);
		each[i].image.size = run[i]->row.size;
	}
	if (!each)
		return;
	b->driver->create(b->be, each, n);
	for (size_t i = 0; i < n; i++) {
		run[i]->code = each[i].code;
		run[i]->err = each[i].err;
	}
}

static int image_undo(struct backend *b, struct run *r)
{
	return image_remove(b, r, NULL);
}

static const struct step create_steps[] = {
	{ "image", image_create, image_undo },
	{ 0 },
};

/* --- the result --- */

struct outcome {
	struct request q;
	struct backend *b; /* where the attempt was */
	struct job *job;   /* NULL: a worker still has it */
	int64_t id;	   /* the job's row */
	int code;
	bool left_over, counted;
	char sentence[ERR_TEXT_MAX];
	struct backend *next; /* of the last apply(): where the next attempt is; NULL */
	struct job_row row;
};

/* Another backend, for the rows of the volume and of the new job. 0, or -ENOSPC with what to tell the user. */
static int try_elsewhere(struct outcome *o, struct tx *tx, const struct volume *v, const char *zone,
	struct placement *ret, struct err *err)
{
	size_t n = strlen(o->row.tried);
	int r;

	(void)snprintf(o->row.tried + n, sizeof o->row.tried - n, "%s\t%.1000s\n", o->b->conf->name,
		o->sentence);
	if (o->row.attempt >= o->q.e->conf->attempts)
		return err_set(err, -ENOSPC, "given up after %d attempts", o->row.attempt);
	r = place(o->q.e, tx, v->size, zone, o->row.tried, ret, err);
	return r;
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
	struct outcome *o, struct tx *tx, const struct volume *v, const struct placement *p)
{
	struct job_row *j = &o->row;
	int r;

	new_image_id(j->image_id);
	j->backend = p->b->id;
	j->attempt++;
	o->next = p->b;
	r = tx_volume_place(tx, v->id, p->b->conf->name, p->b->conf->zone, j->image_id);
	r = r < 0 ? r : tx_job_add(tx, j);
	r = r < 0 ? r
		  : request_event(&o->q, tx, v->id, "volume.create.retry",
			    "%s: %s; attempt %d on %s, weight %.3f", o->b->conf->name, o->sentence,
			    j->attempt, p->b->conf->name, p->weight);
	note_volume(o->q.e, v->id, VOL_CHANGED_PLACE, VOL_CREATING, false);
	return r;
}

static int no_attempt(
	struct outcome *o, struct tx *tx, const struct volume *v, const struct err *why)
{
	char tried[sizeof o->row.tried], reason[REASON_LEN + 1];
	int r;

	tried_text(o->row.tried, tried, sizeof tried);
	(void)snprintf(reason, sizeof reason, "%.500s (tried %.500s)", why->text, tried);
	r = tx_volume_place(tx, v->id, "", v->zone, v->image_id);
	r = r < 0 ? r : tx_volume_status(tx, v->id, VOL_ERROR, reason);
	r = r < 0 ? r : request_event(&o->q, tx, v->id, "volume.create.error", "%s", reason);
	note_volume(o->q.e, v->id, VOL_CHANGED_PLACE | VOL_CHANGED_STATUS, VOL_ERROR, false);
	return r;
}

/* The attempt failed or was given up: its row goes, or stays for the cleaning. */
static int failed(struct outcome *o, struct tx *tx, const struct volume *v)
{
	struct placement p;
	struct err why = { 0 };
	int r;

	r = o->left_over ? tx_job_abandon(tx, o->id) : tx_job_remove(tx, o->id);
	if (r < 0)
		return r;
	r = try_elsewhere(o, tx, v, v->zone, &p, &why);
	if (r == 0)
		return next_attempt(o, tx, v, &p);
	return r == -ENOSPC && why.code ? no_attempt(o, tx, v, &why) : r;
}

static int succeeded(struct outcome *o, struct tx *tx, const struct volume *v)
{
	int r = tx_job_remove(tx, o->id);

	r = r < 0 ? r : tx_volume_status(tx, v->id, VOL_AVAILABLE, "");
	r = r < 0 ? r
		  : request_event(&o->q, tx, v->id, "volume.create.end", "on %s", o->b->conf->name);
	note_volume(o->q.e, v->id, VOL_CHANGED_STATUS, VOL_AVAILABLE, false);
	return r;
}

static int outcome_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct outcome *o = (struct outcome *)q;
	struct volume v;
	int r;

	o->next = NULL;
	r = tx_job(tx, o->id, &o->row);
	if (r == -ENOENT || (r == 0 && o->row.kind != JOB_CREATE))
		return 0; /* settled before */
	r = r < 0 ? r : tx_volume(tx, o->row.volume, &v);
	if (r < 0)
		return r;
	return o->code == 0 ? succeeded(o, tx, &v) : failed(o, tx, &v);
}

static void outcome_ended(struct request *q, int code)
{
	struct outcome *o = (struct outcome *)q;
	bool counted = o->counted;

	if (o->next)
		offer(o->next, &o->row, counted);
	else if (counted)
		room_return(q->e);
	if (!o->job)
		return; /* its worker cleans up */
	if (o->left_over) {
		o->job->kind = JOB_CLEAN;
		if (o->code == -ECANCELED)
			worker_again(o->job);
		else
			later_job(o->job);
	} else {
		worker_forget(o->job);
	}
}

static struct outcome *outcome_new(struct job *j)
{
	struct outcome *o =
		request_new(j->b->e, sizeof *o, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!o)
		return NULL;
	o->b = j->b;
	o->id = j->id;
	o->counted = j->counted;
	o->q.apply = outcome_apply;
	o->q.ended = outcome_ended;
	o->q.must = true;
	return o;
}

/* One line, as the list of what was tried wants it. */
static void set_sentence(struct outcome *o, const char *text)
{
	(void)snprintf(o->sentence, sizeof o->sentence, "%s", text);
	for (char *p = o->sentence; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

static void create_finish(struct backend *b, struct run *r)
{
	struct outcome *o = outcome_new(r->job);

	if (!o) {
		later_job(r->job); /* the image may be there: creating it again finds it */
		run_free(r);
		return;
	}
	o->job = r->job;
	r->job->counted = false;
	o->code = r->code;
	o->left_over = r->left_over;
	set_sentence(o, r->err.text[0] ? r->err.text : strerror(-r->code));
	if (r->code < 0)
		log_warning("backend %s: volume %s: %s", b->conf->name, r->row.uuid, o->sentence);
	run_free(r);
	request_submit(&o->q);
}

bool create_give_up(struct job *j, bool running)
{
	struct outcome *o = outcome_new(j);

	if (!o)
		return false;
	o->job = running ? NULL : j;
	j->counted = false;
	o->code = -ECANCELED;
	o->left_over = true;
	set_sentence(o, j->b->reason);
	request_submit(&o->q);
	return true;
}

const struct op op_create = { JOB_CREATE, create_steps, create_finish };
