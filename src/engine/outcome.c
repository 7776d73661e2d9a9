/* What every operation does around its own: its job's row, made in the transaction that accepts it; and the result of a run. */
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>

int job_for(struct tx *tx, const struct backend *b, const struct volume *v, enum job_kind kind,
	enum job_class class, struct job_row *ret)
{
	*ret = (struct job_row){ .kind = kind,
		.class = class,
		.volume = v->id,
		.backend = b->id,
		.size = v->size,
		.attempt = 1 };
	memcpy(ret->uuid, v->uuid, sizeof ret->uuid);
	memcpy(ret->image_id, v->image_id, sizeof ret->image_id);
	return tx_project(tx, v->project, &ret->project);
}

int job_begin(struct request *q, struct tx *tx, struct backend *b, struct job_row *job)
{
	int r = tx_job_add(tx, job);

	return r < 0 ? r : request_offer(q, b, job);
}

void outcome_ended(struct request *q, int code)
{
	struct outcome *o = (struct outcome *)q;

	op_ended(q->e, o->op, o->code, o->began_ns);
	worker_forget(o->job);
}

void *outcome_new(struct backend *b, const struct run *r, size_t size,
	int (*apply)(struct request *q, struct tx *tx, struct err *err))
{
	struct outcome *o = request_new(b->e, size, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!o)
		return NULL;
	o->b = b;
	o->job = r->job;
	o->id = r->job->id;
	o->volume = r->row.volume;
	o->snapshot = r->row.snapshot;
	o->size = r->row.size;
	o->code = r->code;
	o->left_over = r->left_over;
	o->op = op_of_job(r->job->kind);
	o->began_ns = r->job->began_ns;
	memcpy(o->uuid, r->row.uuid, sizeof o->uuid);
	(void)snprintf(o->sentence, sizeof o->sentence, "%s",
		r->err.text[0] ? r->err.text : strerror(-r->code));
	o->q.apply = apply;
	o->q.ended = outcome_ended;
	o->q.must = true;
	return o;
}

void outcome_reason(const struct outcome *o, char reason[REASON_LEN + 1])
{
	(void)snprintf(reason, REASON_LEN + 1, "%s: %.900s", o->b->conf->name, o->sentence);
}
