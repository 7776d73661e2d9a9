/*
 * Watchers: programs outside this daemon that have an image open, such as a hypervisor or a mapped device. Only the storage knows of
 * them, so they are asked for when somebody looks (as measure.c asks how much is used), and the answer becomes rows beside those of
 * attachments, whose numbers stay the same while the watcher does. They say what was last seen: no status follows from them, and a
 * deletion asks anew (op_delete.c).
 */
#include "engine/internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WATCHERS_MAX = 32 }; /* shown of one volume; who has more has other worries */

struct seen {
	struct request q;
	size_t n;
	struct driver_watcher watcher[WATCHERS_MAX];
};

/* A name has no '/': an address's is written as in metadata that was adopted. */
static void name_of(const struct driver_watcher *w, char name[NAME_LEN + 1])
{
	size_t len = (size_t)snprintf(name, NAME_LEN + 1, "watcher:");

	for (const char *p = w->address; *p && len + 3 <= NAME_LEN; p++) {
		if (*p == '/') {
			memcpy(name + len, "%2F", 3);
			len += 3;
		} else {
			name[len++] = *p;
		}
	}
	name[len] = '\0';
}

static bool is_seen(const struct seen *s, const struct use *u)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->watcher[i].address, u->host))
			return true;
	return false;
}

static int drop_gone(struct seen *s, struct tx *tx)
{
	struct use u[4];
	int64_t after = 0;
	int got;

	while ((got = tx_uses(tx, s->q.volume, after, u, 4)) > 0)
		for (int i = 0; i < got; i++) {
			after = u[i].id;
			if (u[i].kind != USE_WATCHER || is_seen(s, &u[i]))
				continue;
			if (tx_use_remove(tx, u[i].id) < 0)
				return -EIO;
			note(s->q.e, (struct change_note){ .kind = CHANGE_USES,
					     .volume = s->q.volume,
					     .row = u[i].id });
		}
	return got;
}

static int add_new(struct seen *s, struct tx *tx, const struct driver_watcher *w)
{
	struct use u = { .volume = s->q.volume, .kind = USE_WATCHER, .writes = true }, had;
	int r;

	name_of(w, u.name);
	memcpy(u.host, w->address, sizeof w->address);
	if (tx_use_by_name(tx, u.volume, u.name, &had) == 0)
		return 0;
	r = tx_use_add(tx, &u);
	note(s->q.e,
		(struct change_note){ .kind = CHANGE_USES, .volume = s->q.volume, .row = u.id });
	return r;
}

static int seen_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct seen *s = (struct seen *)q;
	struct volume v;
	int r = tx_volume(tx, q->volume, &v);

	if (r == -ENOENT)
		return 0; /* gone meanwhile */
	r = r < 0 ? r : drop_gone(s, tx);
	for (size_t i = 0; i < s->n && r >= 0; i++)
		r = add_new(s, tx, &s->watcher[i]);
	return r;
}

static bool is_news(struct backend *b, const struct seen *s)
{
	struct use u[WATCHERS_MAX];
	size_t known = 0;
	int64_t after = 0;
	int got;

	LOCK_SCOPE(&b->view_lock);
	while ((got = view_uses(b->view, s->q.volume, after, u, WATCHERS_MAX)) > 0)
		for (int i = 0; i < got; i++) {
			after = u[i].id;
			if (u[i].kind != USE_WATCHER)
				continue;
			if (!is_seen(s, &u[i]))
				return true;
			known++;
		}
	return known != s->n;
}

int watchers_look(struct backend *b, const struct volume *v)
{
	struct driver_image image;
	struct err err = { 0 };
	struct seen *s;
	int n;

	if (!b->driver->watchers)
		return 0;
	s = request_new(b->e, sizeof *s, (struct change_id){ 0 }, NULL, NULL, NULL);
	if (!s)
		return 0;
	image_of(v, &image);
	n = driver_said(
		b, b->driver->watchers(b->be, &image, s->watcher, WATCHERS_MAX, &err), &err);
	s->q.volume = v->id;
	s->q.apply = seen_apply;
	s->q.change.lazy = true;
	s->n = n < 0 ? 0 : n < WATCHERS_MAX ? (size_t)n : WATCHERS_MAX;
	if (n < 0)
		log_debug("volume %s: who has it open is not known: %s", v->name, err.text);
	if (n >= 0 && is_news(b, s))
		request_submit(&s->q);
	else
		free(s);
	return n < 0 ? n : 0;
}

int watchers_evict(struct backend *b, const struct volume *v, struct request *q, struct err *err)
{
	struct driver_watcher w;
	struct driver_image image;
	struct use u;
	int r;

	lock_take(&b->view_lock);
	r = view_use(b->view, q->row, &u);
	lock_drop(&b->view_lock);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(err, r, "the catalogue cannot be read");
	if (!b->driver->evict)
		return err_set(err, -EOPNOTSUPP, "backend '%s' evicts nobody", b->conf->name);
	image_of(v, &image);
	(void)snprintf(w.address, sizeof w.address, "%.*s", (int)sizeof w.address - 1, u.host);
	log_notice("backend %s: volume %s: the client at %s is evicted by %s", b->conf->name,
		v->name, w.address, q->who);
	return driver_said(b, b->driver->evict(b->be, &image, &w, err), err);
}
