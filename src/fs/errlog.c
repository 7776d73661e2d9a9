/*
 * The latest refused requests: a ring per user, so that nobody can push another's lines out, and at
 * most ERRLOG_USERS users, the longest silent one being forgotten first.
 */
#include "base/clock.h"
#include "base/text.h"
#include "fs/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum { RING = 64, ERRLOG_USERS = 1024 };

struct line {
	uint64_t number; /* over all users: the order of a merged listing */
	char *text;
};

struct ring {
	uid_t uid;
	unsigned next; /* where the next line goes */
	struct line line[RING];
	UT_hash_handle hh;
};

struct errlog {
	struct lock lock;
	struct ring *rings; /* lock; in order of first use, moved to the end at each use */
	uint64_t number;    /* lock */
};

int errlog_new(struct errlog **ret)
{
	struct errlog *l = calloc(1, sizeof *l);

	if (!l)
		return -ENOMEM;
	lock_init(&l->lock);
	*ret = l;
	return 0;
}

static void ring_free(struct errlog *l, struct ring *r)
{
	HASH_DEL(l->rings, r);
	for (unsigned i = 0; i < RING; i++)
		free(r->line[i].text);
	free(r);
}

void errlog_free(struct errlog *l)
{
	if (!l)
		return;
	while (l->rings)
		ring_free(l, l->rings);
	lock_release(&l->lock);
	free(l);
}

static struct ring *ring_of_locked(struct errlog *l, uid_t uid)
{
	struct ring *r;

	lock_assert_held(&l->lock);
	HASH_FIND(hh, l->rings, &uid, sizeof uid, r);
	if (r) {
		HASH_DEL(l->rings, r);
	} else {
		if (HASH_COUNT(l->rings) >= ERRLOG_USERS)
			ring_free(l, l->rings);
		r = calloc(1, sizeof *r);
		if (!r)
			return NULL;
		r->uid = uid;
	}
	HASH_ADD(hh, l->rings, uid, sizeof r->uid, r);
	return r;
}

/* One line of valid text: where a file's name would break it (a newline, bytes that are no UTF-8), everything odd is a '?'. */
static char *line_text(const struct caller *who, int code, const char *file, const char *text)
{
	char when[CLOCK_TEXT_MAX], *line = NULL;

	if (asprintf(&line, "%s uid=%u session=%d pid=%d %s %s: %s",
		    clock_text(clock_wall_us(), when), (unsigned)who->uid, (int)who->session,
		    (int)who->pid, err_name(code), file, text) < 0)
		return NULL;
	bool plain = text_is_plain(line, strlen(line));

	for (char *c = line; *c && !plain; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
	return line;
}

void errlog_add(
	struct errlog *l, const struct caller *who, int code, const char *file, const char *text)
{
	char *line = line_text(who, code, file, text);
	struct ring *r;

	LOCK_SCOPE(&l->lock);
	r = line ? ring_of_locked(l, who->uid) : NULL;
	if (!r) {
		free(line);
		return;
	}
	free(r->line[r->next].text);
	r->line[r->next] = (struct line){ .number = ++l->number, .text = line };
	r->next = (r->next + 1) % RING;
}

static int by_number(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

void errlog_show(struct errlog *l, uid_t uid, bool all, struct buf *out)
{
	struct line *lines;
	struct ring *r, *tmp;
	size_t n = 0;

	LOCK_SCOPE(&l->lock);
	lines = calloc(HASH_COUNT(l->rings) + 1, RING * sizeof *lines);
	if (!lines)
		return;
	HASH_ITER (hh, l->rings, r, tmp)
		for (unsigned i = 0; i < RING && (all || r->uid == uid); i++)
			if (r->line[i].text)
				lines[n++] = r->line[i];
	qsort(lines, n, sizeof *lines, by_number);
	for (size_t i = 0; i < n; i++) {
		buf_adds(out, lines[i].text);
		buf_addc(out, '\n');
	}
	free(lines);
}
