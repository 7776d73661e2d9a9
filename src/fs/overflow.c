/*
 * What requests under way hold in memory, and what writes carry beyond that. A storage that hangs lets requests pile up, and the kernel has
 * given each write's bytes away with its message: they must lie somewhere until the storage takes them. Beyond io_memory that is a file
 * of its own for each, without a name, beside the database: the kernel writes it out and drops its pages when it needs the room.
 *
 * A disk may be slow, and may be the very one that hangs: so threads of its own copy to files, and no reader of requests waits for
 * them. What it cannot put there stays in memory. A file that cannot be read any more ends the server (SIGBUS); its successor is sent
 * the requests again.
 */
#include "fs/file.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	THREADS = SESSION_THREADS, /* as many as may hand it something: else it would lag behind */
	FILES = 32768, /* half of the mappings that a process may have (vm.max_map_count) */
};

struct overflow {
	char *dir;
	uint64_t limit; /* bytes */
	_Atomic uint64_t held;
	_Atomic unsigned files;
	struct lock lock;
	pthread_cond_t more;
	struct parcel *first, **end; /* lock */
	unsigned queued, idle;	     /* lock; parcels; threads that have nothing to do */
	unsigned count;		     /* lock */
	bool ending;		     /* lock */
	pthread_t thread[THREADS];
};

/* --- how much there is */

bool overflow_room(struct overflow *o, size_t n)
{
	if (atomic_fetch_add(&o->held, n) + n <= o->limit)
		return true;
	atomic_fetch_sub(&o->held, n);
	return false;
}

void overflow_back(struct overflow *o, size_t n)
{
	atomic_fetch_sub(&o->held, n);
}

/* --- files */

static int write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		bytes += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* The mapping keeps the file. */
static int to_file(const struct overflow *o, struct parcel *p)
{
	CLEANUP_FD int fd = open(o->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	void *at;
	int r = fd < 0 ? -errno : write_all(fd, p->at, p->len);

	if (r < 0)
		return r;
	at = mmap(NULL, p->len, PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	(void)munmap(p->at, p->len);
	p->at = at;
	p->in_file = true;
	return 0;
}

static int move_out(struct overflow *o, struct parcel *p)
{
	int r = atomic_fetch_add(&o->files, 1) < FILES ? to_file(o, p) : -EMFILE;

	if (r < 0)
		atomic_fetch_sub(&o->files, 1);
	return r;
}

static struct parcel *next(struct overflow *o, bool *ret_ending)
{
	struct parcel *p;

	LOCK_SCOPE(&o->lock);
	o->idle++;
	while (!o->first && !o->ending)
		lock_wait(&o->lock, &o->more);
	o->idle--;
	*ret_ending = o->ending;
	p = o->first;
	if (p) {
		o->first = p->next;
		o->queued--;
	}
	if (!o->first)
		o->end = &o->first;
	return p;
}

static void *copy(void *arg)
{
	struct overflow *o = arg;
	struct parcel *p;
	bool ending;

	pthread_setname_np(pthread_self(), "overflow");
	while ((p = next(o, &ending))) {
		int r = ending ? 0 : move_out(o, p);

		if (r < 0)
			log_err_seldom(
				"what a write carries stays in memory: no file for it in '%s': %s",
				o->dir, strerror(-r));
		p->ready(p);
	}
	return NULL;
}

/* --- parcels */

/* Not malloc(), which would keep the memory. */
void *overflow_space(struct parcel *p, size_t len)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	p->at = at;
	p->len = len;
	return at;
}

bool overflow_put(struct overflow *o, struct parcel *p, const void *bytes, size_t len)
{
	if (!overflow_space(p, len))
		return false;
	memcpy(p->at, bytes, len);
	p->next = NULL;
	lock_take(&o->lock);
	if (o->queued >= o->idle && o->count < THREADS &&
		pthread_create(&o->thread[o->count], NULL, copy, o) == 0)
		o->count++;
	if (o->count) {
		o->queued++;
		*o->end = p;
		o->end = &p->next;
		pthread_cond_signal(&o->more);
		p = NULL;
	}
	lock_drop(&o->lock);
	if (p)
		p->ready(p); /* no thread: in memory, then */
	return true;
}

void overflow_drop(struct overflow *o, struct parcel *p)
{
	if (p->in_file)
		atomic_fetch_sub(&o->files, 1);
	if (p->at)
		(void)munmap(p->at, p->len);
}

/* --- life */

int overflow_new(const struct conf *conf, struct overflow **ret)
{
	struct overflow *o = calloc(1, sizeof *o);
	char *slash;

	if (!o)
		return -ENOMEM;
	o->dir = strdup(conf->database);
	if (!o->dir) {
		free(o);
		return -ENOMEM;
	}
	slash = strrchr(o->dir, '/'); /* the path is absolute */
	slash[slash == o->dir] = '\0';
	o->limit = conf->io_memory < 0 ? UINT64_MAX : (uint64_t)conf->io_memory;
	lock_init(&o->lock);
	cond_init(&o->more);
	o->end = &o->first;
	*ret = o;
	return 0;
}

void overflow_end(struct overflow *o)
{
	lock_take(&o->lock);
	o->ending = true;
	pthread_cond_broadcast(&o->more);
	lock_drop(&o->lock);
	for (unsigned i = 0; i < o->count; i++) /* nobody starts one any more */
		pthread_join(o->thread[i], NULL);
}

void overflow_free(struct overflow *o)
{
	if (!o)
		return;
	pthread_cond_destroy(&o->more);
	lock_release(&o->lock);
	free(o->dir);
	free(o);
}
