/*
 * Fair between projects: a lane for each that has something waiting, in a ring; each turn takes one job of one lane. So a
 * project with a thousand creations delays another's first by one.
 */
#include "engine/internal.h"

#include <stdlib.h>
#include <uthash.h>

struct lane {
	int64_t project;
	struct job *first, **last;
	struct lane *before, *after; /* ring */
	UT_hash_handle hh;
};

static struct lane *lane_new(struct queue *q, int64_t project)
{
	struct lane *l = calloc(1, sizeof *l);

	if (!l)
		return q->turn; /* unfair for once, but not lost */
	l->project = project;
	l->last = &l->first;
	HASH_ADD(hh, q->lanes, project, sizeof l->project, l);
	if (!q->turn) {
		l->before = l->after = q->turn = l;
	} else {
		l->after = q->turn;
		l->before = q->turn->before;
		l->before->after = l->after->before = l;
	}
	return l;
}

static void lane_free(struct queue *q, struct lane *l)
{
	HASH_DEL(q->lanes, l);
	l->before->after = l->after;
	l->after->before = l->before;
	if (q->turn == l)
		q->turn = l->after == l ? NULL : l->after;
	free(l);
}

void queue_push(struct queue *q, struct job *j)
{
	struct lane *l;

	HASH_FIND(hh, q->lanes, &j->project, sizeof j->project, l);
	if (!l)
		l = lane_new(q, j->project);
	if (!l)
		abort(); /* no memory for the first 100 bytes: the catalogue has the job, the next server the memory */
	j->next = NULL;
	*l->last = j;
	l->last = &j->next;
	q->waiting++;
}

struct job *queue_take(struct queue *q)
{
	struct lane *l = q->turn;
	struct job *j;

	if (!l)
		return NULL;
	j = l->first;
	l->first = j->next;
	if (!l->first)
		l->last = &l->first;
	q->waiting--;
	q->turn = l->after;
	if (!l->first)
		lane_free(q, l);
	return j;
}

void queue_release(struct queue *q)
{
	while (q->turn)
		lane_free(q, q->turn);
	q->waiting = 0;
}
