/*
 * Who waits for a snapshot: mkdir is answered when it has been taken.
 *
 *   ASKS ── accepted: its row is known ──▶ WAITS ── the job's outcome ──▶ answered
 *     │ refused                             │ given up, too late, or the end
 *     ▼                                     ▼
 *   answered                              [ nameless and `deleting` ] ──▶ answered: -EINTR, -ETIMEDOUT
 *
 * Where another server goes on, WAITS ends without an answer: the kernel asks that one again, which finds the row and its job.
 *
 * Outcome and withdrawal go through the writer, and both answer from its thread after their commit: where they meet, the first one counts,
 * and the other finds nobody who waits. A snapshot that was withdrawn is removed by its own job (op_snapshot.c).
 */
#include "engine/internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct snap_wait {
	struct engine *e;
	engine_done *done;
	void *arg;
	int64_t snapshot; /* snaps_lock; 0: not accepted yet */
	int64_t due_ns;
	int why; /* snaps_lock; it is being withdrawn, to be answered with this; 0 */
	struct snap_wait *next;
};

struct snap_wait *snap_wait_new(struct engine *e, engine_done *done, void *arg)
{
	struct snap_wait *w = calloc(1, sizeof *w);

	if (!w)
		return NULL;
	w->e = e;
	w->done = done;
	w->arg = arg;
	w->due_ns = clock_mono_ns() + e->conf->snapshot_timeout * INT64_C(1000000000);
	LOCK_SCOPE(&e->snaps_lock);
	w->next = e->snaps;
	e->snaps = w;
	return w;
}

/* Takes out w, or whoever waits for that snapshot, as long as there is one. */
static struct snap_wait *take(struct engine *e, const struct snap_wait *w, int64_t snapshot)
{
	LOCK_SCOPE(&e->snaps_lock);
	for (struct snap_wait **at = &e->snaps; *at; at = &(*at)->next) {
		struct snap_wait *found = *at;

		if (w ? found != w : found->snapshot != snapshot)
			continue;
		*at = found->next;
		return found;
	}
	return NULL;
}

static void answer(struct snap_wait *w, const struct result *res)
{
	if (w && w->done)
		w->done(w->arg, res);
	free(w);
}

void snap_wait_over(struct snap_wait *w, const struct result *res)
{
	answer(take(w->e, w, 0), res);
}

void snap_wait_answer(struct engine *e, int64_t snapshot, int code, const char *text)
{
	const struct result res = { code, code < 0 ? 0 : snapshot, code < 0 ? text : "" };
	struct snap_wait *w;

	while ((w = take(e, NULL, snapshot)))
		answer(w, &res);
}

/* --- withdrawal --- */

struct withdrawal {
	struct request q;
	int64_t snapshot;
	int why;
	bool withdrawn; /* by the last apply(): else its outcome was there first */
	char sentence[REASON_LEN + 1];
};

/* What the backend says for itself, if it is down. */
static void set_sentence(struct withdrawal *w, const struct snapshot *s, const struct volume *v)
{
	struct backend *b = backend_by_name(w->q.e, v->backend);
	char down[REASON_LEN + 1] = "";

	if (w->why == -EINTR) {
		(void)snprintf(w->sentence, sizeof w->sentence,
			"interrupted: snapshot '%s' of volume '%s' is not taken", s->name, v->name);
		return;
	}
	if (b) {
		lock_take(&b->lock);
		if (b->state == BACKEND_DOWN)
			memcpy(down, b->reason, sizeof down);
		lock_drop(&b->lock);
	}
	(void)snprintf(w->sentence, sizeof w->sentence,
		"snapshot '%s' of volume '%s' was not taken within %ld s%s%.400s", s->name, v->name,
		w->q.e->conf->snapshot_timeout, *down ? ": its backend is " : "", down);
}

/* Its job goes on, and will find that nobody wants it. */
static int withdraw_row(struct withdrawal *w, struct tx *tx, const struct snapshot *s)
{
	struct job_row job;
	struct volume v;
	int64_t id;
	int r = tx_volume(tx, s->volume, &v);

	r = r < 0 ? r : tx_job_of_snapshot(tx, s->id, &id);
	r = r < 0 ? r : tx_job(tx, id, &job);
	if (r < 0)
		return r;
	set_sentence(w, s, &v);
	r = snapshot_nameless(&w->q, tx, &v, s, &job);
	r = r < 0 ? r : snapshot_answered(tx, &job);
	return r < 0 ? r
		     : request_event_snap(&w->q, tx, v.id, s->name, "snapshot.create.error", "%s",
			       w->sentence);
}

static int withdraw_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct withdrawal *w = (struct withdrawal *)q;
	struct snapshot s;
	int r = tx_snapshot(tx, w->snapshot, &s);

	w->withdrawn = false;
	if (r == -ENOENT || (r == 0 && s.status != SNAP_CREATING))
		return 0;
	r = r < 0 ? r : withdraw_row(w, tx, &s);
	w->withdrawn = r == 0;
	return r;
}

static void withdraw_done(void *arg, const struct result *res)
{
	struct withdrawal *w = arg;

	if (res->code == 0 && w->withdrawn)
		snap_wait_answer(w->q.e, w->snapshot, w->why, w->sentence);
}

static void withdraw(struct engine *e, int64_t snapshot, int why)
{
	struct withdrawal *w = request_new(e, sizeof *w, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!w)
		return; /* then it is answered when it has been taken */
	w->snapshot = snapshot;
	w->why = why;
	w->q.apply = withdraw_apply;
	w->q.done = withdraw_done;
	w->q.arg = w;
	w->q.must = true;
	request_submit(&w->q);
}

void snap_wait_for(struct snap_wait *w, int64_t snapshot)
{
	struct engine *e = w->e;
	int why;

	lock_take(&e->snaps_lock);
	w->snapshot = snapshot;
	if (e->snaps_closed && !w->why)
		w->why = -EINTR;
	why = w->why;
	lock_drop(&e->snaps_lock);
	if (why)
		withdraw(e, snapshot, why);
}

void engine_snapshot_give_up(struct engine *e, engine_done *done, void *arg)
{
	struct snap_wait *w;
	int64_t snapshot = 0;

	lock_take(&e->snaps_lock);
	for (w = e->snaps; w && (w->done != done || w->arg != arg);)
		w = w->next;
	if (w && !w->why) {
		w->why = -EINTR;
		snapshot = w->snapshot;
	}
	lock_drop(&e->snaps_lock);
	if (snapshot)
		withdraw(e, snapshot, -EINTR);
}

/* The next one that has waited too long; all: one that waits. Not accepted yet: that is for snap_wait_for() to find. */
static bool next_due(struct engine *e, bool all, int64_t now_ns, int64_t *ret_snapshot)
{
	LOCK_SCOPE(&e->snaps_lock);
	e->snaps_closed = e->snaps_closed || all;
	for (struct snap_wait *w = e->snaps; w; w = w->next) {
		if (w->why || !w->snapshot || !(all || w->due_ns <= now_ns))
			continue;
		w->why = all ? -EINTR : -ETIMEDOUT;
		*ret_snapshot = w->snapshot;
		return true;
	}
	return false;
}

void snap_wait_due(struct engine *e)
{
	int64_t now = clock_mono_ns(), snapshot;

	while (next_due(e, false, now, &snapshot))
		withdraw(e, snapshot, -ETIMEDOUT);
}

void snap_wait_close(struct engine *e)
{
	int64_t snapshot;

	while (next_due(e, true, 0, &snapshot))
		withdraw(e, snapshot, -EINTR);
}

void snap_wait_release(struct engine *e)
{
	struct snap_wait *w;

	while ((w = e->snaps)) {
		e->snaps = w->next;
		answer(w, NULL);
	}
}
