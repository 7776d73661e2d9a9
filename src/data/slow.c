/*
 * Threads for what blocks: opening an image, asking where its data is. A few for each backend, so that one which hangs holds up no other;
 * started when there is work, and gone a while after the last.
 */
#include "data/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

enum { THREADS = 4, LINGER_MS = 10000 };

struct crew {
	struct slow *s;
	const void *backend;
	struct slow_task *first, *last; /* slow.lock */
	unsigned queued;		/* slow.lock; of these */
	unsigned threads, idle;		/* slow.lock */
	pthread_cond_t work;
	struct crew *next;
};

struct slow {
	struct lock lock;
	struct crew *crews;   /* lock */
	unsigned threads;     /* lock; of all crews */
	unsigned busy;	      /* lock; of these, with a task */
	bool ending;	      /* lock */
	pthread_cond_t fewer; /* lock; threads */
};

int slow_new(struct slow **ret)
{
	struct slow *s = calloc(1, sizeof *s);

	if (!s)
		return -ENOMEM;
	lock_init(&s->lock);
	cond_init(&s->fewer);
	*ret = s;
	return 0;
}

static struct crew *crew_locked(struct slow *s, const void *backend)
{
	struct crew *c;

	lock_assert_held(&s->lock);
	LL_SEARCH_SCALAR(s->crews, c, backend, backend);
	if (c)
		return c;
	c = calloc(1, sizeof *c);
	if (!c)
		return s->crews; /* joins another's */
	c->s = s;
	c->backend = backend;
	cond_init(&c->work);
	LL_PREPEND(s->crews, c);
	return c;
}

static struct slow_task *next_locked(struct crew *c)
{
	struct slow_task *t = c->first;

	lock_assert_held(&c->s->lock);
	if (t) {
		c->first = t->next;
		c->queued--;
	}
	return t;
}

static void *crew_thread(void *arg)
{
	struct crew *c = arg;
	struct slow *s = c->s;
	bool lingered = false;

	pthread_setname_np(pthread_self(), "data-slow");
	lock_take(&s->lock);
	for (;;) {
		struct slow_task *t = next_locked(c);

		if (t) {
			s->busy++;
			lock_drop(&s->lock);
			t->run(t);
			lock_take(&s->lock);
			s->busy--;
			lingered = false;
		} else if (s->ending || lingered) {
			break;
		} else {
			struct timespec until = clock_mono_in_ms(LINGER_MS);

			c->idle++;
			lingered = !lock_wait_until(&s->lock, &c->work, &until);
			c->idle--;
		}
	}
	c->threads--;
	s->threads--;
	pthread_cond_broadcast(&s->fewer);
	lock_drop(&s->lock);
	return NULL;
}

void slow_run(struct slow *s, const void *backend, struct slow_task *t)
{
	struct crew *c;
	pthread_t thread;
	bool start = false, run = false;

	t->next = NULL;
	lock_take(&s->lock);
	c = crew_locked(s, backend);
	if (c) {
		if (c->first)
			c->last->next = t;
		else
			c->first = t;
		c->last = t;
		c->queued++;
		/* One that is idle, and has not woken yet, counts for one task. */
		start = c->queued > c->idle && c->threads < THREADS;
		c->threads += start;
		s->threads += start;
		pthread_cond_signal(&c->work);
	}
	lock_drop(&s->lock);
	if (start && pthread_create(&thread, NULL, crew_thread, c)) {
		/* One that is running will come to it; without any, the caller has to. */
		lock_take(&s->lock);
		c->threads--;
		s->threads--;
		run = !c->threads && (t = next_locked(c));
		lock_drop(&s->lock);
	} else if (start) {
		pthread_detach(thread);
	}
	if (!c || run)
		t->run(t);
}

bool slow_free(struct slow *s, long ms)
{
	struct timespec until = clock_mono_in_ms(ms);
	struct crew *c, *tmp;
	bool stuck;

	if (!s)
		return true;
	lock_take(&s->lock);
	s->ending = true;
	LL_FOREACH(s->crews, c)
	pthread_cond_broadcast(&c->work);
	while (s->threads > s->busy) /* they end by themselves */
		lock_wait(&s->lock, &s->fewer);
	while (s->threads && lock_wait_until(&s->lock, &s->fewer, &until))
		;
	stuck = s->threads;
	lock_drop(&s->lock);
	if (stuck)
		return false;
	LL_FOREACH_SAFE(s->crews, c, tmp)
	{
		pthread_cond_destroy(&c->work);
		free(c);
	}
	pthread_cond_destroy(&s->fewer);
	lock_release(&s->lock);
	free(s);
	return true;
}
