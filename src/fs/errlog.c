/*
 * The latest refused requests: a ring per user, so that nobody can push another's lines out, and at
 * most KEEP_USERS users, the longest silent one being forgotten first. They stand in the keep: who asks for the reason of a refusal
 * is told it by the next server too.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "fs/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* What finds a user's ring. */
struct ring {
	uid_t uid;
	struct keep_refusals *k;
	UT_hash_handle hh;
};

struct errlog {
	struct counter refused[REFUSED_CODES];
	struct lock lock;
	struct keep *keep;
	struct ring *rings; /* lock; in order of first use, moved to the end at each use */
	uint64_t number;    /* lock */
};

static uint64_t newest(const struct keep_refusals *k)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < KEEP_LINES; i++)
		if (atomic_load(&k->number[i]) > n)
			n = atomic_load(&k->number[i]);
	return n;
}

static int by_use(const struct ring *a, const struct ring *b)
{
	uint64_t x = newest(a->k), y = newest(b->k);

	return (x > y) - (x < y);
}

/* NULL: no memory. */
static struct ring *ring_add_locked(struct errlog *l, uid_t uid, struct keep_refusals *k)
{
	struct ring *r = calloc(1, sizeof *r);

	lock_assert_held(&l->lock);
	if (!r)
		return NULL;
	r->uid = uid;
	r->k = k;
	HASH_ADD(hh, l->rings, uid, sizeof r->uid, r);
	return r;
}

int errlog_new(struct keep *keep, struct errlog **ret)
{
	struct errlog *l = calloc(1, sizeof *l);
	uint32_t high = atomic_load(&keep->refusals_high);

	if (!l)
		return -ENOMEM;
	l->keep = keep;
	lock_init(&l->lock);
	*ret = l; /* freed by its owner, whatever happens */
	LOCK_SCOPE(&l->lock);
	for (uint32_t i = 0; i < high; i++) {
		struct keep_refusals *k = &keep->refusals[i];
		uint64_t n = newest(k);

		if (n && !ring_add_locked(l, k->uid, k))
			return -ENOMEM;
		if (n > l->number)
			l->number = n;
	}
	HASH_SORT(l->rings, by_use);
	return 0;
}

/* The keep's part stays: it is the next server's. */
void errlog_free(struct errlog *l)
{
	struct ring *r, *tmp;

	if (!l)
		return;
	HASH_ITER (hh, l->rings, r, tmp) {
		HASH_DEL(l->rings, r);
		free(r);
	}
	lock_release(&l->lock);
	free(l);
}

/* What a line of the keep holds, to the last whole character. */
static void cut(char *line)
{
	size_t n = KEEP_LINE - 1;

	if (strlen(line) <= n)
		return;
	while (n > 0 && ((unsigned char)line[n] & 0xc0) == 0x80)
		n--;
	line[n] = '\0';
}

/* One line of valid text: where a file's name would break it (a newline, bytes that are no UTF-8), everything odd is a '?'. */
static char *line_text(const struct caller *who, int code, const char *file, const char *text)
{
	char when[CLOCK_TEXT_MAX], *line = NULL;

	if (asprintf(&line, "%s uid=%u session=%d pid=%d %s %s: %s",
		    clock_text(clock_wall_us(), when), (unsigned)who->uid, (int)who->session,
		    (int)who->pid, err_name(code), file, text) < 0)
		return NULL;
	cut(line);
	bool plain = text_is_plain(line, strlen(line));

	for (char *c = line; *c && !plain; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
	return line;
}

/* The place for one more user: one that has no lines, or the longest silent user's, who is forgotten. */
static struct keep_refusals *place_locked(struct errlog *l)
{
	uint32_t high = atomic_load(&l->keep->refusals_high);
	struct keep_refusals *k;
	struct ring *silent;

	lock_assert_held(&l->lock);
	for (uint32_t i = HASH_COUNT(l->rings) < high ? 0 : high; i < high; i++)
		if (newest(&l->keep->refusals[i]) == 0)
			return &l->keep->refusals[i];
	if (high < KEEP_USERS) {
		atomic_store(&l->keep->refusals_high, high + 1);
		return &l->keep->refusals[high];
	}
	silent = l->rings;
	k = silent->k;
	HASH_DEL(l->rings, silent);
	free(silent);
	for (unsigned i = 0; i < KEEP_LINES; i++)
		atomic_store(&k->number[i], 0);
	return k;
}

static struct ring *ring_of_locked(struct errlog *l, uid_t uid)
{
	struct ring *r;

	lock_assert_held(&l->lock);
	HASH_FIND(hh, l->rings, &uid, sizeof uid, r);
	if (!r)
		return ring_add_locked(l, uid, place_locked(l));
	HASH_DEL(l->rings, r);
	HASH_ADD(hh, l->rings, uid, sizeof r->uid, r);
	return r;
}

/* In place of the oldest one. A server that is killed in here loses that one and nothing else. */
static void put_line(struct keep_refusals *k, uid_t uid, uint64_t number, const char *line)
{
	unsigned at = 0;

	for (unsigned i = 1; i < KEEP_LINES; i++)
		if (atomic_load(&k->number[i]) < atomic_load(&k->number[at]))
			at = i;
	atomic_store(&k->number[at], 0);
	k->uid = uid;
	(void)snprintf(k->line[at], KEEP_LINE, "%s", line);
	atomic_store(&k->number[at], number);
}

void errlog_add(
	struct errlog *l, const struct caller *who, int code, const char *file, const char *text)
{
	CLEANUP_FREE char *line = line_text(who, code, file, text);
	struct ring *r;

	counter_add(&l->refused[reply_errno(code) % REFUSED_CODES], 1);
	LOCK_SCOPE(&l->lock);
	r = line ? ring_of_locked(l, who->uid) : NULL;
	if (r)
		put_line(r->k, r->uid, ++l->number, line);
}

uint64_t errlog_refused(const struct errlog *l, unsigned error)
{
	return counter_get(&l->refused[error % REFUSED_CODES]);
}

struct shown {
	uint64_t number;
	const char *text;
};

static int by_number(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

void errlog_show(struct errlog *l, uid_t uid, bool all, struct buf *out)
{
	CLEANUP_FREE struct shown *lines = NULL;
	struct ring *r, *tmp;
	size_t n = 0;

	LOCK_SCOPE(&l->lock);
	lines = calloc(HASH_COUNT(l->rings) + 1, KEEP_LINES * sizeof *lines);
	if (!lines)
		return;
	HASH_ITER (hh, l->rings, r, tmp)
		for (unsigned i = 0; i < KEEP_LINES && (all || r->uid == uid); i++) {
			uint64_t number = atomic_load(&r->k->number[i]);

			if (number)
				lines[n++] = (struct shown){ number, r->k->line[i] };
		}
	qsort(lines, n, sizeof *lines, by_number);
	for (size_t i = 0; i < n; i++) {
		buf_adds(out, lines[i].text);
		buf_addc(out, '\n');
	}
}
