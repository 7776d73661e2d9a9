/*
 * Callers that are killed while the storage does not answer. The kernel tells of the first signal that reaches a caller, whatever it
 * is, and of no other. Only one that ends the process counts: who handles a signal must not find a read of a file cut short. So an
 * interrupted request is looked at until it is answered, and when its caller is dying it is answered at once; what the storage says later
 * is dropped.
 *
 * A request is answered by whoever claims it first. libfuse calls on_interrupt() with the request's lock held: taking the function back
 * before the answer waits for it.
 */
#include "fs/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

enum { LOOK_MS = 50 };

struct killed {
	struct lock lock;
	pthread_cond_t more;
	pthread_t thread;
	struct patient *first; /* lock */
	bool ending;	       /* lock */
};

static void on_interrupt(fuse_req_t req, void *arg)
{
	struct patient *p = arg;
	struct killed *k = ((struct fs *)fuse_req_userdata(req))->killed;

	LOCK_SCOPE(&k->lock);
	if (p->listed || k->ending)
		return;
	p->listed = true;
	atomic_fetch_add(&p->refs, 1);
	DL_APPEND(k->first, p);
	pthread_cond_signal(&k->more);
}

void patient_begin(struct patient *p, fuse_req_t req, void (*release)(struct patient *p),
	void (*leave)(struct patient *p))
{
	p->req = req;
	p->tid = fuse_req_ctx(req)->pid;
	p->release = release;
	p->leave = leave;
	p->listed = false;
	atomic_init(&p->refs, 1);
	atomic_init(&p->claimed, false);
	fuse_req_interrupt_func(req, on_interrupt, p);
}

bool patient_claim(struct patient *p)
{
	if (atomic_exchange(&p->claimed, true))
		return false;
	fuse_req_interrupt_func(p->req, NULL, NULL);
	return true;
}

void patient_end(struct patient *p)
{
	if (atomic_fetch_sub(&p->refs, 1) == 1)
		p->release(p);
}

/* True: it needs no further look. */
static bool look(struct patient *p)
{
	if (atomic_load(&p->claimed))
		return true;
	if (!who_is_killed(p->tid))
		return false;
	if (!patient_claim(p))
		return true;
	if (p->leave)
		p->leave(p);
	fuse_reply_err(p->req, EINTR);
	return true;
}

/* Takes a list of its own, and gives back what has to be looked at again. */
static void look_at_all(struct killed *k)
{
	struct patient *list, *again = NULL, *p, *tmp;

	lock_take(&k->lock);
	list = k->first;
	k->first = NULL;
	lock_drop(&k->lock);
	DL_FOREACH_SAFE(list, p, tmp)
	{
		DL_DELETE(list, p);
		if (look(p))
			patient_end(p);
		else
			DL_APPEND(again, p);
	}
	LOCK_SCOPE(&k->lock);
	DL_CONCAT(k->first, again);
}

static void *watch(void *arg)
{
	struct killed *k = arg;
	bool ending;

	pthread_setname_np(pthread_self(), "killed");
	do {
		struct timespec pause = clock_mono_in_ms(LOOK_MS);

		lock_take(&k->lock);
		while (!k->ending && !k->first)
			lock_wait(&k->lock, &k->more);
		lock_drop(&k->lock);
		look_at_all(k);
		lock_take(&k->lock);
		while (!k->ending && lock_wait_until(&k->lock, &k->more, &pause))
			;
		ending = k->ending;
		lock_drop(&k->lock);
	} while (!ending);
	return NULL;
}

int killed_new(struct killed **ret)
{
	struct killed *k = calloc(1, sizeof *k);

	if (!k)
		return -ENOMEM;
	lock_init(&k->lock);
	cond_init(&k->more);
	if (pthread_create(&k->thread, NULL, watch, k)) {
		free(k);
		return -EAGAIN;
	}
	*ret = k;
	return 0;
}

void killed_free(struct killed *k)
{
	struct patient *p, *tmp;

	if (!k)
		return;
	lock_take(&k->lock);
	k->ending = true;
	pthread_cond_signal(&k->more);
	lock_drop(&k->lock);
	pthread_join(k->thread, NULL);
	DL_FOREACH_SAFE(k->first, p, tmp)
	patient_end(p);
	pthread_cond_destroy(&k->more);
	lock_release(&k->lock);
	free(k);
}
