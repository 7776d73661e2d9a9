/*
 * What a spec says of where its volume is to be: beside other volumes, away from them, where a query is true. Compiled in the
 * thread that asks; which backends hold the volumes is looked up in the writer's transaction, so that none moves or goes in between.
 */
#include "engine/internal.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAID_MAX = 400 };

/* The backends that hold volumes of one hint; the writer thread's. */
struct holders {
	bool *holds;  /* by index */
	uint32_t *on; /* those indices */
	char said[SAID_MAX];
};

int hint_next(const char **at, char name[NAME_LEN + 1])
{
	size_t n = *at ? strcspn(*at, ",") : 0;

	if (!*at || !**at)
		return 0;
	if (n > NAME_LEN)
		return -ENAMETOOLONG;
	memcpy(name, *at, n);
	name[n] = '\0';
	*at += n + ((*at)[n] == ',');
	return 1;
}

int hint_query(const char *text, struct query **ret, struct err *err)
{
	json_t *json = json_string(text);
	struct query *q = NULL;
	int r = json ? query_new(json, &q, err) : err_set(err, -ENOMEM, "out of memory");

	json_decref(json);
	if (r == 0 && query_check(q, err) < 0) {
		err_in(err, "hint.query");
		r = -EINVAL;
	}
	if (r < 0)
		query_free(q);
	else
		*ret = q;
	return r;
}

int hints_take(const struct spec *s, struct hints *ret, struct err *err)
{
	struct hints h = { 0 };
	int r = 0;

	if (s->hint_same_backend)
		r = (h.same = strdup(s->hint_same_backend)) ? 0 : -ENOMEM;
	if (r == 0 && s->hint_different_backend)
		r = (h.different = strdup(s->hint_different_backend)) ? 0 : -ENOMEM;
	if (r < 0)
		err_set(err, r, "out of memory");
	if (r == 0 && s->hint_query)
		r = hint_query(s->hint_query, &h.query, err);
	if (r < 0)
		hints_release(&h);
	else
		*ret = h;
	return r;
}

void hints_release(struct hints *h)
{
	free(h->same);
	free(h->different);
	query_free(h->query);
	*h = (struct hints){ 0 };
}

int hints_again(struct engine *e, struct tx *tx, int64_t volume, bool zones, struct hints *ret,
	bool *ret_zoned, struct err *err)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	struct spec spec = { 0 };
	int r;

	*ret_zoned = true;
	if (!e->follows.same && !e->follows.different && !e->follows.query && !zones)
		return 0;
	r = tx_volume_spec(tx, volume, &text);
	if (r == 0 && buf_failed(&text))
		r = -ENOMEM;
	if (r < 0)
		return r;
	r = spec_parse(buf_text(&text), text.len, true, &spec, err);
	r = r < 0 ? r : hints_take(&spec, ret, err);
	*ret_zoned = spec.zone;
	spec_release(&spec);
	if (r == -ENOMEM)
		return r;
	return r < 0 ? err_set(err, -ENOSPC, "its spec cannot be read any more: %s",
			       err->code ? err->text : strerror(-r))
		     : 0;
}

/* --- in the transaction --- */

static int make_holders(struct engine *e)
{
	if (e->holders)
		return 0;
	e->holders = calloc(2, sizeof *e->holders);
	for (size_t i = 0; e->holders && i < 2; i++) {
		e->holders[i].holds = calloc(e->backend_count, sizeof *e->holders[i].holds);
		e->holders[i].on = calloc(e->backend_count, sizeof *e->holders[i].on);
		if (!e->holders[i].holds || !e->holders[i].on) {
			hints_end(e);
			return -ENOMEM;
		}
	}
	return e->holders ? 0 : -ENOMEM;
}

void hints_end(struct engine *e)
{
	for (size_t i = 0; e->holders && i < 2; i++) {
		free(e->holders[i].holds);
		free(e->holders[i].on);
	}
	free(e->holders);
	e->holders = NULL;
}

int hint_volume(struct tx *tx, const char *name, int64_t *ret_id)
{
	int r = tx_volume_by_name(tx, name, ret_id);

	return r == -ENOENT ? tx_volume_by_uuid(tx, name, ret_id) : r;
}

/* A project sees its own volumes, and root, whose administrators' it is, everybody's. */
static bool sees(const char *project, const struct volume *v)
{
	return !strcmp(project, v->project) || !strcmp(project, "root");
}

/* What has been deleted since, and what is another project's, is nowhere. */
static int mark(struct engine *e, struct tx *tx, const char *name, const char *project,
	struct holders *h, bool *hidden)
{
	const struct backend *b;
	struct volume v;
	int64_t id;
	int r = hint_volume(tx, name, &id);

	r = r < 0 ? r : tx_volume(tx, id, &v);
	if (r < 0 || v.trashed)
		return r == -ENOENT ? 0 : r;
	if (!sees(project, &v)) {
		*hidden = true;
		return 0;
	}
	b = backend_by_name(e, v.backend);
	if (b)
		h->holds[b - e->backend] = true;
	return 0;
}

/* The volumes as the sentence names them. */
static const char *say(struct holders *h, const char *volumes, const char *project, bool hidden)
{
	char shown[TEXT_SHOWN_MAX];

	if (!hidden)
		return volumes;
	(void)snprintf(h->said, sizeof h->said, "%s (only those of project %s count)",
		text_shown(volumes, shown), project);
	return h->said;
}

static int find(struct engine *e, struct tx *tx, const char *volumes, const char *project,
	struct holders *h, struct sched_hint *ret)
{
	char name[NAME_LEN + 1];
	const char *at = volumes;
	bool hidden = false;
	size_t n = 0;
	int r;

	memset(h->holds, 0, e->backend_count * sizeof *h->holds);
	while ((r = hint_next(&at, name)) > 0 && (r = mark(e, tx, name, project, h, &hidden)) >= 0)
		;
	if (r < 0)
		return r;
	for (size_t i = 0; i < e->backend_count; i++)
		if (h->holds[i])
			h->on[n++] = (uint32_t)i;
	*ret = (struct sched_hint){
		.volumes = say(h, volumes, project, hidden), .on = h->on, .on_count = n
	};
	return 0;
}

int hints_find(struct engine *e, struct tx *tx, const struct hints *h, const char *project,
	struct sched_request *want)
{
	bool same = e->follows.same && h->same, different = e->follows.different && h->different;
	int r = same || different ? make_holders(e) : 0;

	if (r == 0 && same)
		r = find(e, tx, h->same, project, &e->holders[0], &want->same);
	if (r == 0 && different)
		r = find(e, tx, h->different, project, &e->holders[1], &want->different);
	want->query = h->query;
	return r;
}
