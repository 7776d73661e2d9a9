/*
 * Who may read which lines of the log: an administrator all, everybody else those of the own projects. Who opened a stream counts, as
 * with every file, not who reads from it. So names of projects are looked up once for an open; their rows again and again until each
 * has one, since a project has none before its first volume. A later server looks the names up anew, by the groups of who reads on: if
 * that is another user than the one who opened it (it was passed on, or is the input of a set-id program), there are none.
 */
#include "base/cleanup.h"
#include "fs/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct opener {
	uint64_t fh;
	struct log_reader who; /* openers.lock */
	size_t count, len;     /* names, one behind the other */
	UT_hash_handle hh;
	char names[];
};

struct openers {
	struct lock lock;
	struct opener *all; /* lock */
};

int openers_new(struct openers **ret)
{
	*ret = calloc(1, sizeof **ret);
	if (!*ret)
		return -ENOMEM;
	lock_init(&(*ret)->lock);
	return 0;
}

void openers_free(struct openers *o)
{
	struct opener *x, *tmp;

	if (!o)
		return;
	HASH_ITER (hh, o->all, x, tmp) {
		HASH_DEL(o->all, x);
		free(x);
	}
	lock_release(&o->lock);
	free(o);
}

static bool is_known(const struct log_reader *who)
{
	return who->all || who->known == INT64_MAX;
}

/* Those that are not all known yet are asked for again. x: nobody else's. */
static int find_rows(struct view *v, struct opener *x)
{
	const char *name[LOG_PROJECTS], *at = x->names;

	if (is_known(&x->who))
		return 0;
	for (size_t i = 0; i < x->count; i++, at += strlen(at) + 1)
		name[i] = at;
	return view_log_reader(v, name, x->count, &x->who);
}

static struct opener *opener_new(struct ctx *c)
{
	char name[LOG_PROJECTS][NAME_LEN + 1];
	struct opener *x;
	struct who who;
	size_t n, len = 0;

	who_fill(c->fs, c->uid, c->gid, c->pid, &who);
	n = engine_projects_of(c->fs->engine, &who.caller, name, LOG_PROJECTS);
	for (size_t i = 0; i < n; i++)
		len += strlen(name[i]) + 1;
	x = calloc(1, sizeof *x + len);
	if (!x)
		return NULL;
	x->who.all = who.caller.admin;
	x->count = n;
	for (size_t i = 0; i < n; i++) {
		memcpy(x->names + x->len, name[i], strlen(name[i]) + 1);
		x->len += strlen(name[i]) + 1;
	}
	return x;
}

int log_who_asks(struct ctx *c, struct log_reader *ret)
{
	CLEANUP_FREE struct opener *x = NULL;
	int r;

	*ret = (struct log_reader){ .all = c->uid == 0 };
	if (ret->all)
		return 0;
	x = opener_new(c);
	r = x ? find_rows(c->view, x) : -ENOMEM;
	if (r == 0)
		*ret = x->who;
	return r;
}

/* Who it is as far as it is known. *ret_copy: to be asked for, where that is not all; NULL: no memory for one. */
static bool is_remembered(
	struct openers *o, uint64_t fh, struct log_reader *ret, struct opener **ret_copy)
{
	struct opener *x;

	LOCK_SCOPE(&o->lock);
	HASH_FIND(hh, o->all, &fh, sizeof fh, x);
	if (!x)
		return false;
	*ret = x->who;
	*ret_copy = is_known(ret) ? NULL : malloc(sizeof *x + x->len);
	if (*ret_copy)
		memcpy(*ret_copy, x, sizeof *x + x->len);
	return true;
}

/* Another thread may have asked as well, and later. */
static void remember(struct openers *o, uint64_t fh, const struct log_reader *who)
{
	struct opener *x;

	LOCK_SCOPE(&o->lock);
	HASH_FIND(hh, o->all, &fh, sizeof fh, x);
	if (x && x->who.known < who->known)
		x->who = *who;
}

/* False: it is not remembered. */
static bool recall(
	struct openers *o, struct view *v, uint64_t fh, struct log_reader *ret, int *ret_r)
{
	CLEANUP_FREE struct opener *copy = NULL;

	*ret_r = 0;
	if (!is_remembered(o, fh, ret, &copy))
		return false;
	if (is_known(ret))
		return true;
	*ret_r = copy ? find_rows(v, copy) : -ENOMEM;
	if (*ret_r == 0) {
		*ret = copy->who;
		remember(o, fh, ret);
	}
	return true;
}

int log_who(struct ctx *c, uint64_t fh, struct log_reader *ret)
{
	struct openers *o = c->fs->openers;
	struct opener *x, *other;
	int r;

	*ret = (struct log_reader){ .all = place_is_admin(c->fs, fh), .known = INT64_MAX };
	if (ret->all || recall(o, c->view, fh, ret, &r))
		return ret->all ? 0 : r;
	if (!place_is_of(c->fs, fh, c->uid))
		return 0;
	x = opener_new(c);
	if (!x)
		return -ENOMEM;
	x->who.all = false; /* so it was opened, whoever goes on with it after a restart */
	r = find_rows(c->view, x);
	if (r < 0) {
		free(x);
		return r;
	}
	x->fh = fh;
	*ret = x->who;
	lock_take(&o->lock);
	HASH_REPLACE(hh, o->all, fh, sizeof x->fh, x, other);
	lock_drop(&o->lock);
	free(other);
	return 0;
}

void log_who_again(struct fs *fs, struct view *v, uint64_t fh, struct log_reader *ret)
{
	int r;

	if (!ret->all)
		(void)recall(fs->openers, v, fh, ret, &r);
}

void openers_forget(struct openers *o, uint64_t fh)
{
	struct opener *x;

	LOCK_SCOPE(&o->lock);
	HASH_FIND(hh, o->all, &fh, sizeof fh, x);
	if (!x)
		return;
	HASH_DEL(o->all, x);
	free(x);
}
