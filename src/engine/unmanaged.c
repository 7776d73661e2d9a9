/*
 * What lies on a backend and is no volume's. A thread lists the images, passes over those that the catalogue knows (one query by index
 * each, whatever their number), looks at the others, and writes what it saw into rows for unmanaged/: changes that a power cut may take
 * back. It lives as long as one look through: at the start, every SCAN_S, and sooner where somebody looks. Statistics do not wait for it.
 */
#include "engine/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SCAN_S = 300,  /* between two that nobody asked for, */
	SHARE = 10,    /* and this many times as long as one takes */
	SEEN_MAX = 16, /* rows of one change */
};

bool image_is_ours(const char *name, char ret_uuid[UUID_LEN + 1])
{
	return text_uuid_within(name, "volume-", "", ret_uuid);
}

/* --- rows --- */

struct seen {
	struct request q;
	struct backend *b;
	unsigned adoptions; /* the backend's, before the first of these was looked at */
	size_t n;
	struct unmanaged of[SEEN_MAX];
};

/* Adoption takes the row away: after one, what has none is left to the next look. */
static bool may_be_adopted(struct seen *s, struct tx *tx, const struct unmanaged *u)
{
	struct unmanaged row;

	return atomic_load(&s->b->adoptions) != s->adoptions &&
	       tx_unmanaged_by_name(tx, u->backend, u->name, &row) < 0;
}

/* It became a volume's meanwhile, or is about to, or to be no more. */
static bool is_taken(struct seen *s, struct tx *tx, const struct unmanaged *u)
{
	char uuid[UUID_LEN + 1];
	int64_t id;

	return tx_job_of_name(tx, u->backend, u->name, &id) == 0 ||
	       (image_is_ours(u->name, uuid) && tx_volume_by_uuid(tx, uuid, &id) == 0) ||
	       may_be_adopted(s, tx, u);
}

static bool is_news(struct tx *tx, const struct unmanaged *u)
{
	struct unmanaged old;

	return tx_unmanaged_by_name(tx, u->backend, u->name, &old) < 0 || old.size != u->size ||
	       old.used != u->used || old.snapshots != u->snapshots ||
	       strcmp(old.reason, u->reason) != 0;
}

void note_unmanaged(struct engine *e, int64_t backend)
{
	note(e, (struct change_note){ .kind = CHANGE_UNMANAGED, .row = backend });
}

static int seen_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct seen *s = (struct seen *)q;
	bool news = false;
	int r = 0;

	for (size_t i = 0; i < s->n && r == 0; i++) {
		if (is_taken(s, tx, &s->of[i]))
			continue;
		news = news || is_news(tx, &s->of[i]);
		r = tx_unmanaged_see(tx, &s->of[i]);
	}
	if (news)
		note_unmanaged(q->e, s->b->id);
	return r;
}

static struct seen *seen_new(struct backend *b)
{
	struct seen *s = request_new(b->e, sizeof *s, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!s)
		return NULL;
	s->b = b;
	s->adoptions = atomic_load(&b->adoptions);
	s->q.apply = seen_apply;
	s->q.change.lazy = true;
	return s;
}

struct unseen {
	struct request q;
	struct backend *b;
	int64_t before_us;
};

static int unseen_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct unseen *u = (struct unseen *)q;
	int n = tx_unmanaged_unseen(tx, u->b->id, u->before_us);

	if (n > 0)
		note_unmanaged(q->e, u->b->id);
	return n < 0 ? n : 0;
}

static void forget_unseen(struct backend *b, int64_t before_us)
{
	struct unseen *u = request_new(b->e, sizeof *u, (struct change_id){ 0 }, NULL, NULL, NULL);

	if (!u)
		return;
	u->b = b;
	u->before_us = before_us;
	u->q.apply = unseen_apply;
	u->q.change.lazy = true;
	request_submit(&u->q);
}

/* --- looking through --- */

struct scan {
	struct backend *b;
	struct view *view;
	char **name; /* of what is no volume's */
	size_t n, room;
	struct seen *seen; /* not submitted yet; NULL */
};

static bool must_stop(struct backend *b)
{
	LOCK_SCOPE(&b->lock);
	return b->stopping;
}

/* A volume, wherever it is, alive or in the trash; or what is on its way out. What cannot be read is taken for known. */
static bool is_known(struct scan *s, const char *uuid)
{
	struct vol_entry entry;
	struct job_row job;

	return view_entry_by_uuid(s->view, uuid, &entry) != -ENOENT ||
	       view_job_of_image(s->view, s->b->id, uuid, &job) != -ENOENT;
}

static int keep_name(void *arg, const struct driver_found *found)
{
	struct scan *s = arg;
	char uuid[UUID_LEN + 1];

	if (must_stop(s->b))
		return -ECANCELED;
	if (found->parts || (image_is_ours(found->name, uuid) && is_known(s, uuid)))
		return 0;
	if (s->n == s->room) {
		size_t room = s->room ? 2 * s->room : 64;
		char **name = reallocarray(s->name, room, sizeof *name);

		if (!name)
			return -ENOMEM;
		s->name = name;
		s->room = room;
	}
	s->name[s->n] = strdup(found->name);
	if (!s->name[s->n])
		return -ENOMEM;
	s->n++;
	return 0;
}

/* What a volume cannot be, whatever the driver says. */
static void judge(struct unmanaged *u)
{
	char size[TEXT_SIZE_MAX];

	if (u->reason[0])
		return;
	if (u->size % SIZE_UNIT)
		(void)snprintf(u->reason, sizeof u->reason,
			"its size, %llu bytes, is no multiple of %d", (unsigned long long)u->size,
			(int)SIZE_UNIT);
	else if (u->size < SIZE_MIN || u->size > INT64_MAX)
		(void)snprintf(u->reason, sizeof u->reason,
			"it has %s: a volume has at least 1 MiB", text_of_size(u->size, size));
}

/* -ENOENT: it is gone. */
static int look_at(struct backend *b, const char *name, struct unmanaged *ret)
{
	struct driver_found found = { 0 };
	struct err err = { 0 };
	int r = driver_said(b, b->driver->look(b->be, name, &found, &err), &err);

	if (r == -ENOENT || r == -ETIMEDOUT)
		return r;
	*ret = (struct unmanaged){ .backend = b->id,
		.size = found.size,
		.used = found.used,
		.snapshots = found.snapshots };
	(void)snprintf(ret->name, sizeof ret->name, "%s", name);
	(void)snprintf(ret->reason, sizeof ret->reason, "%s", r < 0 ? err.text : found.reason);
	if (r == 0)
		judge(ret);
	return 0;
}

static void submit_seen(struct scan *s)
{
	if (s->seen)
		request_submit(&s->seen->q);
	s->seen = NULL;
}

static int see(struct scan *s, const char *name)
{
	int r;

	if (!s->seen && !(s->seen = seen_new(s->b)))
		return -ENOMEM;
	r = look_at(s->b, name, &s->seen->of[s->seen->n]);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (++s->seen->n == SEEN_MAX)
		submit_seen(s);
	return 0;
}

static int look_through(struct scan *s, struct err *err)
{
	int64_t began_us = clock_wall_us();
	int r = driver_said(s->b, s->b->driver->list(s->b->be, false, keep_name, s, err), err);

	for (size_t i = 0; i < s->n && r >= 0; i++)
		r = must_stop(s->b) ? -ECANCELED : see(s, s->name[i]);
	submit_seen(s);
	if (r >= 0)
		forget_unseen(s->b, began_us);
	return r;
}

static void *scan_thread(void *arg)
{
	struct backend *b = arg;
	struct scan s = { .b = b };
	int64_t began = clock_mono_ns();
	struct err err = { 0 };
	int r;

	backend_name_thread(b, "scan");
	r = view_open(b->e->store, &s.view, &err);
	if (r == 0)
		r = look_through(&s, &err);
	if (r < 0 && r != -ECANCELED)
		log_debug("backend %s: cannot be looked through: %s", b->conf->name,
			err.text[0] ? err.text : strerror(-r));
	while (s.n)
		free(s.name[--s.n]);
	free(s.name);
	view_close(s.view);
	lock_take(&b->lock);
	b->scanning = false;
	b->scan_took_ns = clock_mono_ns() - began;
	pthread_cond_broadcast(&b->tick); /* who waits for the threads to end */
	lock_drop(&b->lock);
	return NULL;
}

static bool is_due_locked(struct backend *b, bool asked)
{
	int64_t every = (asked ? b->e->conf->stats_interval : SCAN_S) * INT64_C(1000000000);
	int64_t share = b->scan_took_ns * (asked ? 1 : SHARE);

	lock_assert_held(&b->lock);
	if (b->scanning || b->stopping || b->state != BACKEND_UP || !b->looked)
		return false;
	return !b->scanned_ns || clock_mono_ns() - b->scanned_ns >= (every > share ? every : share);
}

void unmanaged_due(struct backend *b, bool asked)
{
	pthread_t t;

	if (!b->driver->list || !b->driver->look)
		return;
	LOCK_SCOPE(&b->lock);
	if (!is_due_locked(b, asked))
		return;
	b->scanned_ns = clock_mono_ns();
	b->scanning = true;
	if (pthread_create(&t, NULL, scan_thread, b) == 0)
		pthread_detach(t);
	else
		b->scanning = false;
}

void engine_look_unmanaged(struct engine *e, int64_t backend)
{
	struct backend *b = backend_by_id(e, backend);

	if (b)
		unmanaged_due(b, true);
}
