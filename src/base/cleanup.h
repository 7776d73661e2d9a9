/*
 * Cleanup declared with the variable: CLEANUP_FREE char *s = NULL;  CLEANUP_FD int fd = -1;
 * `return take_ptr(&s)` where ownership leaves.
 */
#ifndef VOLFS_BASE_CLEANUP_H
#define VOLFS_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn)  __attribute__((cleanup(fn)))
#define CLEANUP_FREE CLEANUP(cleanup_free_ptr)
#define CLEANUP_FD   CLEANUP(cleanup_close_fd)

static inline void cleanup_free_ptr(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void *take_ptr_(void *p)
{
	void *was = *(void **)p;

	*(void **)p = NULL;
	return was;
}
#define take_ptr(p) ((__typeof__(*(p)))take_ptr_(p))

#endif
