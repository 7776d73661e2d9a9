/*
 * Operations under way. No callbacks: librados would wake its finisher thread for each, only for that to wake us.
 * Whoever sends many waits for the last one first; by then most others have landed, and one sleep serves for all.
 */
#include "rbd/internal.h"

#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

/* The tests' crash: the process dies just before it sends its n-th operation. */
static void crash_point(struct rb_backend *be)
{
	if (be->conf->crash_at > 0 && atomic_fetch_sub(&be->crash_left, 1) == 1)
		kill(getpid(), SIGKILL);
}

rados_completion_t rb_flight_begin(struct rb_backend *be, struct flight *f)
{
	crash_point(be);
	f->code = rados_aio_create_completion2(NULL, NULL, &f->done);
	if (f->code < 0)
		f->done = NULL;
	return f->done;
}

void rb_flight_sent(struct flight *f, int r)
{
	if (r >= 0)
		return;
	rados_aio_release(f->done);
	f->done = NULL;
	f->code = r;
}

void rb_fly(struct rb_backend *be, struct flight *f, rados_ioctx_t io, const char *object,
	rados_write_op_t op)
{
	if (rb_flight_begin(be, f))
		rb_flight_sent(f, rados_aio_write_op_operate(op, io, f->done, object, NULL, 0));
	rados_release_write_op(op); /* librados has taken its contents */
}

void rb_fly_remove(struct rb_backend *be, struct flight *f, rados_ioctx_t io, const char *object)
{
	if (rb_flight_begin(be, f))
		rb_flight_sent(f, rados_aio_remove(io, object, f->done));
}

int rb_land(struct flight *f)
{
	if (!f->done)
		return f->code;
	rados_aio_wait_for_complete(f->done);
	f->code = rados_aio_get_return_value(f->done);
	rados_aio_release(f->done);
	f->done = NULL;
	return f->code;
}

static void post(rados_completion_t done, void *sem)
{
	(void)sem_post(sem);
}

/*
 * librados (16.2) ends a watch or notification in its finisher, after it has said that the operation is complete, and does not wait
 * for that in rados_shutdown(): it would reach for what is gone. A callback goes through the same finisher, behind them. Without
 * writes under way this asks nothing of the cluster.
 */
void rb_flights_settle(rados_ioctx_t io)
{
	rados_completion_t done;
	sem_t settled;

	if (rados_aio_create_completion2(&settled, post, &done) < 0)
		return;
	(void)sem_init(&settled, 0, 0);
	if (rados_aio_flush_async(io, done) >= 0)
		while (sem_wait(&settled) < 0)
			;
	rados_aio_release(done);
	(void)sem_destroy(&settled);
}
