/*
 * The threads that read and write. A queue and at most LOCAL_THREADS threads, started when there is work that nobody waits for.
 * (Not io_uring: containers commonly forbid it, so threads would be needed beside it. It was measured: 1.7 times as many scattered
 * reads at depth 32 that the page cache misses, no more of anything else.)
 */
#include "local/internal.h"

#include <errno.h>
#include <string.h>

void local_pool_init(struct local_pool *p)
{
	lock_init(&p->lock);
	cond_init(&p->more);
	p->end = &p->first;
}

/* The next to do; NULL: the thread ends. */
static struct local_op *take(struct local_pool *p)
{
	LOCK_SCOPE(&p->lock);
	struct local_op *op;

	while (!p->first && !p->closing) {
		p->idle++;
		lock_wait(&p->lock, &p->more);
		p->idle--;
	}
	if (p->closing)
		return NULL;
	op = p->first;
	p->first = op->next;
	if (!p->first)
		p->end = &p->first;
	p->queued--;
	atomic_fetch_add(&p->at_work, 1);
	return op;
}

void local_op_end(struct local_op *op, int code)
{
	driver_done *done = op->done;
	void *arg = op->arg;

	free(op->spent);
	done(arg, code);
}

static void *work(void *arg)
{
	struct local_pool *p = arg;
	struct local_op *op;

	while ((op = take(p))) {
		int code = op->run(op);

		/* before done(): after the last of them the backend may be closed */
		atomic_fetch_sub(&p->at_work, 1);
		local_op_end(op, code);
	}
	return NULL;
}

/* Sees to it that somebody takes one more: those who wait may have been woken for the others in the queue. */
static int wake_locked(struct local_pool *p)
{
	int r;

	lock_assert_held(&p->lock);
	if (p->queued < p->idle) {
		pthread_cond_signal(&p->more);
		return 0;
	}
	if (p->count == LOCAL_THREADS)
		return 0;
	r = pthread_create(&p->threads[p->count], NULL, work, p);
	if (r == 0)
		p->count++;
	return p->count > 0 ? 0 : -r;
}

void local_submit(struct local_pool *p, struct local_op *op)
{
	int r;

	lock_take(&p->lock);
	r = wake_locked(p);
	if (r == 0) {
		op->next = NULL;
		*p->end = op;
		p->end = &op->next;
		p->queued++;
	}
	lock_drop(&p->lock);
	if (r < 0)
		local_op_end(op, r);
}

bool local_pool_end(struct local_pool *p)
{
	lock_take(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->more);
	lock_drop(&p->lock);
	/* one that hangs in the storage is not waited for: the process is about to end */
	if (atomic_load(&p->at_work) > 0)
		return false;
	for (size_t i = 0; i < p->count; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->more);
	lock_release(&p->lock);
	return true;
}
