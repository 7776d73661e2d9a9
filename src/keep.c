#include "keep.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Any change of the layout counts the version up; a change of size is noticed by itself. */
enum { KEEP_MAGIC = 0x766b6570, KEEP_VERSION = 6 };

/* Where the search for a free slot begins: every slot below is taken, or was a moment ago. Only a
 * hint. */
static _Atomic uint32_t draft_hint, poll_hint, open_hint, place_hint;

static int keep_begin(int fd)
{
	struct keep *k = mmap(NULL, sizeof *k, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (k == MAP_FAILED)
		return -errno;
	k->magic = KEEP_MAGIC;
	k->version = KEEP_VERSION;
	if (getrandom(&k->mount_id, sizeof k->mount_id, 0) < 0) {
		int r = -errno;

		keep_unmap(k);
		return r;
	}
	keep_unmap(k);
	return 0;
}

int keep_create(struct err *err)
{
	int fd = memfd_create("volfs-keep", 0);
	int r = fd < 0 || ftruncate(fd, sizeof(struct keep)) < 0 ? -errno : keep_begin(fd);

	if (r == 0)
		return fd;
	if (fd >= 0)
		(void)close(fd);
	return err_set(err, r, "cannot make the memory that outlives a server: %s", strerror(-r));
}

int keep_map(int fd, struct keep **ret, struct err *err)
{
	struct stat st;
	struct keep *k;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "cannot look at the kept memory: %m");
	if (st.st_size != (off_t)sizeof *k)
		return err_set(err, -EPROTO, "the kept memory is of another version of volfs");
	k = mmap(NULL, sizeof *k, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (k == MAP_FAILED)
		return err_set(err, -errno, "cannot map the kept memory: %m");
	if (k->magic != KEEP_MAGIC || k->version != KEEP_VERSION) {
		keep_unmap(k);
		return err_set(err, -EPROTO, "the kept memory is of another version of volfs");
	}
	*ret = k;
	return 0;
}

void keep_unmap(struct keep *k)
{
	if (k)
		(void)munmap(k, sizeof *k);
}

void keep_succeed(struct keep *k)
{
	uint32_t high = atomic_load(&k->draft_high);

	for (uint32_t i = 0; i < high; i++)
		if (atomic_load(&k->draft[i].used) == KEEP_CLAIMED)
			atomic_store(&k->draft[i].used, KEEP_FREE);
	high = atomic_load(&k->open_high);
	for (uint32_t i = 0; i < high; i++)
		if (atomic_load(&k->open[i].used) == KEEP_CLAIMED)
			atomic_store(&k->open[i].used, KEEP_FREE);
	high = atomic_load(&k->place_high);
	for (uint32_t i = 0; i < high; i++)
		if (atomic_load(&k->place[i].used) == KEEP_CLAIMED)
			atomic_store(&k->place[i].used, KEEP_FREE);
	atomic_fetch_add(&k->server, 1);
}

/* Counts up to at least n. */
static void raise_to(_Atomic uint32_t *high, uint32_t n)
{
	uint32_t was = atomic_load(high);

	while (was < n && !atomic_compare_exchange_weak(high, &was, n))
		;
}

static void lower_to(_Atomic uint32_t *hint, uint32_t n)
{
	uint32_t was = atomic_load(hint);

	while (was > n && !atomic_compare_exchange_weak(hint, &was, n))
		;
}

/* Everything behind `used`; a slot given back was returned to the kernel but for the parts of its
 * first and last page. */
static void draft_clear(struct keep_draft *d)
{
	memset((char *)d + sizeof d->used, 0, offsetof(struct keep_draft, text) - sizeof d->used);
	d->text[0] = '\0';
}

struct keep_draft *keep_draft_take(struct keep *k)
{
	uint32_t start = atomic_load(&draft_hint);

	for (uint32_t n = 0; n < KEEP_DRAFTS; n++) {
		uint32_t i = (start + n) % KEEP_DRAFTS, was = KEEP_FREE;
		struct keep_draft *d = &k->draft[i];

		/* A slot that is claimed must be below the mark before it is marked: a successor
		 * frees it. */
		raise_to(&k->draft_high, i + 1);
		if (!atomic_compare_exchange_strong(&d->used, &was, KEEP_CLAIMED))
			continue;
		atomic_store(&draft_hint, (i + 1) % KEEP_DRAFTS);
		draft_clear(d);
		d->serial = atomic_fetch_add(&k->draft_serial, 1) + 1;
		return d;
	}
	return NULL;
}

void keep_draft_use(struct keep_draft *d)
{
	atomic_store(&d->used, KEEP_USED);
}

void keep_draft_drop(struct keep *k, struct keep_draft *d)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)d->text + page - 1) & ~(page - 1);
	uintptr_t to = (uintptr_t)(d + 1) & ~(page - 1);

	/* The pages go while the slot is nobody else's; they read as zeroes afterwards. */
	atomic_store(&d->used, KEEP_CLAIMED);
	if (to > from)
		(void)madvise((void *)from, to - from, MADV_REMOVE);
	atomic_store(&d->used, KEEP_FREE);
	lower_to(&draft_hint, (uint32_t)(d - k->draft));
}

struct keep_draft *keep_draft_each(struct keep *k, size_t *at)
{
	uint32_t high = atomic_load(&k->draft_high);

	while (*at < high) {
		struct keep_draft *d = &k->draft[(*at)++];

		if (atomic_load(&d->used) == KEEP_USED)
			return d;
	}
	return NULL;
}

const struct keep_draft_state *keep_draft_now(const struct keep_draft *d)
{
	return &d->state[atomic_load_explicit(&d->turn, memory_order_acquire) & 1];
}

struct keep_draft_state *keep_draft_next(struct keep_draft *d)
{
	uint32_t turn = atomic_load_explicit(&d->turn, memory_order_acquire) & 1;

	d->state[!turn] = d->state[turn];
	return &d->state[!turn];
}

void keep_draft_flip(struct keep_draft *d)
{
	atomic_fetch_xor_explicit(&d->turn, 1, memory_order_release);
}

int keep_poll_add(struct keep *k, uint64_t kh)
{
	uint32_t start = atomic_load(&poll_hint);

	for (uint32_t n = 0; n < KEEP_POLLS; n++) {
		uint32_t i = (start + n) % KEEP_POLLS;
		uint64_t was = 0;

		if (atomic_load(&k->poll[i]) ||
			!atomic_compare_exchange_strong(&k->poll[i], &was, kh))
			continue;
		atomic_store(&poll_hint, (i + 1) % KEEP_POLLS);
		return (int)i;
	}
	return -ENOSPC;
}

void keep_poll_drop(struct keep *k, int slot)
{
	atomic_store(&k->poll[slot], 0);
	lower_to(&poll_hint, (uint32_t)slot);
}

struct keep_deed *keep_deed_add(struct keep_deeds *all, uint64_t tgid, uint64_t ino, int64_t at_ns)
{
	uint32_t start = atomic_load(&all->hint);

	for (uint32_t n = 0; n < KEEP_DEEDS; n++) {
		uint32_t i = (start + n) % KEEP_DEEDS;
		struct keep_deed *d = &all->deed[i];

		raise_to(&all->high, i + 1);
		if (atomic_load(&d->at_ns))
			continue;
		d->tgid = tgid;
		d->ino = ino;
		atomic_store(&d->at_ns, at_ns);
		atomic_store(&all->hint, (i + 1) % KEEP_DEEDS);
		return d;
	}
	return NULL;
}

void keep_deed_drop(struct keep_deeds *all, struct keep_deed *d)
{
	atomic_store(&d->at_ns, 0);
	lower_to(&all->hint, (uint32_t)(d - all->deed));
}

int keep_open_take(struct keep *k)
{
	uint32_t start = atomic_load(&open_hint);

	for (uint32_t n = 0; n < KEEP_OPENS; n++) {
		uint32_t i = (start + n) % KEEP_OPENS, was = KEEP_FREE;
		struct keep_open *o = &k->open[i];

		raise_to(&k->open_high, i + 1);
		if (!atomic_compare_exchange_strong(&o->used, &was, KEEP_CLAIMED))
			continue;
		atomic_store(&open_hint, (i + 1) % KEEP_OPENS);
		atomic_store(&o->error, 0);
		o->serial = atomic_fetch_add(&k->open_serial, 1) + 1;
		return (int)i;
	}
	return -1;
}

void keep_open_drop(struct keep *k, int slot)
{
	atomic_store(&k->open[slot].used, KEEP_FREE);
	lower_to(&open_hint, (uint32_t)slot);
}

int keep_place_take(struct keep *k)
{
	uint32_t start = atomic_load(&place_hint);

	for (uint32_t n = 0; n < KEEP_PLACES; n++) {
		uint32_t i = (start + n) % KEEP_PLACES, was = KEEP_FREE;
		struct keep_place *p = &k->place[i];

		raise_to(&k->place_high, i + 1);
		if (!atomic_compare_exchange_strong(&p->used, &was, KEEP_CLAIMED))
			continue;
		atomic_store(&place_hint, (i + 1) % KEEP_PLACES);
		atomic_store(&p->turn, 0);
		p->at[0].off = p->at[1].off = -1;
		p->serial = atomic_fetch_add(&k->open_serial, 1) + 1;
		return (int)i;
	}
	return -1;
}

void keep_place_drop(struct keep *k, int slot)
{
	atomic_store(&k->place[slot].used, KEEP_FREE);
	lower_to(&place_hint, (uint32_t)slot);
}
