/*
 * A mutex that can be asserted. Field comments name the lock that guards them; LOCK_SCOPE(&q->lock)
 * holds it to the end of the block; lock_assert_held() opens a function whose name ends in _locked.
 * No lock is held over a driver call, a reply to the kernel, a notification or a commit.
 */
#ifndef VOLFS_BASE_LOCK_H
#define VOLFS_BASE_LOCK_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

struct lock {
	pthread_mutex_t mutex;
	_Atomic(pthread_t) owner; /* 0: free; only compared with the caller's own */
};

#define LOCK_INIT                                                                                  \
	{                                                                                          \
		.mutex = PTHREAD_MUTEX_INITIALIZER                                                 \
	}

static inline void lock_init(struct lock *l)
{
	pthread_mutex_init(&l->mutex, NULL);
	atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
}

static inline void lock_release(struct lock *l)
{
	pthread_mutex_destroy(&l->mutex);
}

static inline void lock_take(struct lock *l)
{
	pthread_mutex_lock(&l->mutex);
	atomic_store_explicit(&l->owner, pthread_self(), memory_order_relaxed);
}

static inline void lock_drop(struct lock *l)
{
	atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
	pthread_mutex_unlock(&l->mutex);
}

static inline void lock_assert_held(struct lock *l)
{
	assert(atomic_load_explicit(&l->owner, memory_order_relaxed) == pthread_self());
	(void)l;
}

/* Waits on a condition made by cond_init(); gives the lock back meanwhile. */
static inline void lock_wait(struct lock *l, pthread_cond_t *cond)
{
	lock_assert_held(l);
	atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
	pthread_cond_wait(cond, &l->mutex);
	atomic_store_explicit(&l->owner, pthread_self(), memory_order_relaxed);
}

/* The same until a moment of CLOCK_MONOTONIC; false when that has come. */
static inline bool lock_wait_until(
	struct lock *l, pthread_cond_t *cond, const struct timespec *until)
{
	int r;

	lock_assert_held(l);
	atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
	r = pthread_cond_timedwait(cond, &l->mutex, until);
	atomic_store_explicit(&l->owner, pthread_self(), memory_order_relaxed);
	return r == 0;
}

static inline void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

static inline void lock_scope_end(struct lock **l)
{
	lock_drop(*l);
}
#define LOCK_PASTE2_(a, b) a##b
#define LOCK_PASTE_(a, b)  LOCK_PASTE2_(a, b)
#define LOCK_SCOPE(l)                                                                              \
	lock_take(l);                                                                              \
	__attribute__((cleanup(lock_scope_end), unused)) struct lock *LOCK_PASTE_(                 \
		lock_scope_, __LINE__) = (l)

#endif
