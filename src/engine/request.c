/*
 * A change on its way through the writer:
 *
 *    request_new ─▶ request_submit ─▶ its user's turn ─▶ run(): resent? answered before? else apply() ─▶ commit ─▶ ended() ─▶ done() ─▶ freed
 *                                                            ▲                                            │
 *                                                            └── `must`, and it failed: after a pause ◀───┘
 *                                                            └── diverted: after what apply() asked for ◀──┘
 *
 * ended() of a whole batch comes before the first done(): jobs that a commit has made are offered to the workers together.
 */
#include "engine/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void request_free(struct request *q)
{
	if (q->release)
		q->release(q);
	free(q->sentence);
	free(q);
}

/* Was it done already, for the server before this one? */
static bool answered(struct request *q, struct tx *tx)
{
	struct answer a;

	if (!q->id.resent || !q->id.unique || tx_answer_find(tx, q->id.mount, q->id.unique, &a) < 0)
		return false;
	q->row = a.row;
	return true;
}

static int run(struct change *c, struct tx *tx, struct err *err)
{
	struct request *q = (struct request *)c;
	size_t mark = q->e->notes.len, offers = q->e->offers.len;
	int r;

	/* Also what would be refused now: its group may not be found just then. */
	if (answered(q, tx))
		return 0;
	if (q->refused)
		return err_set(err, q->refused, "%s", q->sentence ? q->sentence : "out of memory");
	r = q->apply(q, tx, err);
	if (r >= 0 && q->id.unique) {
		struct answer a = { q->id.mount, q->id.unique, 0, q->row };

		r = tx_answer_add(tx, &a);
	}
	if (r < 0) {
		q->e->notes.len = mark;
		q->e->offers.len = offers;
	}
	return r;
}

static bool again(const struct request *q, int code)
{
	return code < 0 && q->must;
}

static void ended(struct change *c, int code)
{
	struct request *q = (struct request *)c;

	if (q->ended && !again(q, code))
		q->ended(q, code);
}

static void done(struct change *c, int code, const struct err *err)
{
	struct request *q = (struct request *)c, *write, *create;
	struct result res = { .code = code, .row = q->row, .text = err->text };

	if (again(q, code)) {
		later_request(q);
		return;
	}
	if (code < 0 && q->divert && q->divert(q, code))
		return;
	if (q->op)
		op_ended(q->e, q->op, code, q->began_ns);
	if (q->done)
		q->done(q->arg, &res);
	write = turn_over(q, TURN_WRITE);
	create = turn_over(q, TURN_CREATE);
	request_free(q);
	if (write)
		store_submit(write->e->store, &write->change);
	if (create)
		room_enter(create);
}

static void set_who(struct request *q, const struct caller *who, bool ask)
{
	if (!who) {
		(void)snprintf(q->who, sizeof q->who, "volfs");
		return;
	}
	q->asked = true;
	q->uid = who->uid;
	q->pid = who->pid;
	q->admin = who->admin;
	(void)snprintf(q->who, sizeof q->who, "uid %u, pid %d", (unsigned)who->uid, (int)who->pid);
	user_name(q->e, q->uid, ask, q->user, sizeof q->user);
}

void request_asked_by(struct request *q, const struct caller *who)
{
	set_who(q, who, false);
}

void *request_new(struct engine *e, size_t size, struct change_id id, const struct caller *who,
	engine_done *done_fn, void *arg)
{
	struct request *q = calloc(1, size);

	if (!q) {
		/* Without memory for this there is none for a thread to answer from. */
		log_err_seldom("out of memory: a request is refused");
		if (done_fn)
			done_fn(arg, &(struct result){ -ENOMEM, 0, "out of memory" });
		return NULL;
	}
	q->e = e;
	q->id = id;
	q->done = done_fn;
	q->arg = arg;
	q->change.run = run;
	q->change.ended = ended;
	q->change.done = done;
	set_who(q, who, true);
	return q;
}

void request_counts(struct request *q, enum engine_op op)
{
	q->op = op;
	q->began_ns = clock_mono_ns();
}

void request_submit(struct request *q)
{
	if (turn_ask(q, TURN_WRITE, true) > 0)
		store_submit(q->e->store, &q->change);
}

/* The refusal goes through the writer's thread, and changes nothing. */
void request_refuse(struct request *q, int code, const struct err *err)
{
	q->refused = code;
	q->sentence = strdup(err && err->text[0] ? err->text : strerror(-code));
	request_submit(q);
}

void request_send(struct request *q, int code, const struct err *err)
{
	if (code < 0)
		request_refuse(q, code, err);
	else
		request_submit(q);
}

struct waiting {
	struct lock lock;
	pthread_cond_t cond;
	bool over;	/* lock */
	int code;	/* lock */
	int64_t row;	/* lock */
	struct err err; /* lock */
};

static void wake(void *arg, const struct result *res)
{
	struct waiting *w = arg;

	LOCK_SCOPE(&w->lock);
	w->over = true;
	w->code = res->code;
	w->row = res->row;
	if (res->code < 0)
		err_set(&w->err, res->code, "%s", res->text ? res->text : "");
	pthread_cond_signal(&w->cond);
}

int request_wait(struct request *q, int64_t *ret_row, struct err *err)
{
	struct waiting w = { 0 };

	lock_init(&w.lock);
	cond_init(&w.cond);
	q->done = wake;
	q->arg = &w;
	request_submit(q);
	lock_take(&w.lock);
	while (!w.over)
		lock_wait(&w.lock, &w.cond);
	lock_drop(&w.lock);
	if (w.code == 0 && ret_row)
		*ret_row = w.row;
	if (w.code < 0 && err)
		*err = w.err;
	pthread_cond_destroy(&w.cond);
	lock_release(&w.lock);
	return w.code;
}

void note(struct engine *e, struct change_note n)
{
	struct notes *all = &e->notes;

	if (all->len == all->room) {
		size_t room = all->room ? all->room * 2 : 64;
		struct change_note *at = realloc(all->at, room * sizeof *at);

		if (!at) {
			log_err_seldom(
				"out of memory: a change is not shown until its cache entry ends");
			return;
		}
		all->at = at;
		all->room = room;
	}
	all->at[all->len++] = n;
}

int request_offer(struct request *q, struct backend *b, const struct job_row *job)
{
	struct offers *all = &q->e->offers;

	if (all->len == all->room) {
		size_t room = all->room ? all->room * 2 : 64;
		struct offer *at = realloc(all->at, room * sizeof *at);

		if (!at)
			return -ENOMEM;
		all->at = at;
		all->room = room;
	}
	all->at[all->len++] = (struct offer){ b, { .id = job->id,
							 .volume = job->volume,
							 .project = job->project,
							 .kind = job->kind,
							 .class = job->class } };
	return 0;
}

void note_volume(struct engine *e, int64_t id, unsigned mask, enum vol_status status, bool trashed)
{
	note(e, (struct change_note){ .kind = CHANGE_VOLUME,
			.volume = id,
			.mask = mask,
			.status = status,
			.trashed = trashed });
}

void note_quota(struct engine *e, int64_t project)
{
	note(e, (struct change_note){ .kind = CHANGE_QUOTA, .row = project });
}

__attribute__((format(printf, 4, 0))) static int add_event(
	struct request *q, struct tx *tx, struct event *event, const char *fmt, va_list ap)
{
	char detail[2 * ERR_TEXT_MAX];

	(void)vsnprintf(detail, sizeof detail, fmt, ap);
	event->uid = q->asked ? (int64_t)q->uid : -1;
	event->pid = q->pid;
	event->user = q->user;
	event->detail = detail;
	return tx_event(tx, event);
}

int request_event(
	struct request *q, struct tx *tx, int64_t volume, const char *event, const char *fmt, ...)
{
	struct event e = { .volume = volume, .event = event };
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = add_event(q, tx, &e, fmt, ap);
	va_end(ap);
	return r;
}

int request_event_snap(struct request *q, struct tx *tx, int64_t volume, const char *snapshot,
	const char *event, const char *fmt, ...)
{
	struct event e = { .volume = volume, .snapshot = snapshot, .event = event };
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = add_event(q, tx, &e, fmt, ap);
	va_end(ap);
	return r;
}

int request_event_of(struct request *q, struct tx *tx, int64_t project, const char *name,
	const char *event, const char *fmt, ...)
{
	struct event e = { .project = project, .name = name, .event = event };
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = add_event(q, tx, &e, fmt, ap);
	va_end(ap);
	return r;
}
