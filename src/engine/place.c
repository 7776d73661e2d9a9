/*
 * Choosing a backend, inside the writer's transaction: from the capacity that it last reported less all that the catalogue has promised
 * since. As there is one writer, two volumes can never be promised the same room.
 */
#include "engine/internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A backend's sums in this transaction, and the sentence that a choice may quote; the writer thread's. */
struct candidate {
	struct backend_row row;
	char reason[REASON_LEN + 1];
};

bool place_zone_known(const struct engine *e, const char *zone)
{
	for (size_t i = 0; i < e->backend_count; i++)
		if (strcmp(e->backend[i].conf->zone, zone) == 0)
			return true;
	return false;
}

static int scratch(struct engine *e)
{
	if (e->candidate)
		return 0;
	e->candidate = calloc(e->backend_count, sizeof *e->candidate);
	e->choice = calloc(e->backend_count, sizeof *e->choice);
	e->work.chance.state = (uint64_t)clock_wall_us();
	return e->candidate && e->choice ? 0 : -ENOMEM;
}

/* What has been promised since the statistics were taken is not free any more. */
static void subtract_promises(struct backend_stats *stats, uint64_t allocated, uint64_t settled)
{
	uint64_t since = allocated > settled ? allocated - settled : 0;

	stats->free = stats->free > since ? stats->free - since : 0;
}

static struct sched_amount amount(uint64_t bytes, bool unknown, bool infinite)
{
	return (struct sched_amount){ .is = unknown    ? SCHED_UNKNOWN
					    : infinite ? SCHED_INFINITE
						       : SCHED_NUMBER,
		.gib = sched_gib(bytes) };
}

static void set_stats(struct sched_backend *c, const struct backend_stats *s)
{
	c->total = amount(s->total, s->total_unknown, s->total_infinite);
	c->free = amount(s->free, s->free_unknown, s->free_infinite);
}

/* disabled: an administrator wants nothing new there. */
static void candidate(struct engine *e, size_t i, bool disabled)
{
	struct backend *b = &e->backend[i];
	struct sched_backend *c = &e->choice[i];
	struct candidate *own = &e->candidate[i];
	struct backend_stats stats;
	uint64_t settled;

	lock_take(&b->lock);
	*c = (struct sched_backend){ .name = b->conf->name,
		.zone = b->conf->zone,
		.state = disabled ? BACKEND_DISABLED : b->state,
		.state_reason = own->reason,
		.allocated = sched_gib(own->row.allocated),
		.provisioned = sched_gib(own->row.allocated),
		.reserved_percentage = b->conf->reserved_percentage,
		.max_over_subscription_ratio = b->conf->max_over_subscription_ratio,
		.thin = b->conf->thin,
		.thick = !b->conf->thin,
		.volumes = own->row.volumes,
		.capabilities = capabilities_locked(b),
		.filter = b->filter,
		.goodness = b->goodness };
	stats = b->stats;
	settled = b->settled;
	(void)snprintf(own->reason, sizeof own->reason, "%s",
		disabled ? "disabled by an administrator" : b->reason);
	lock_drop(&b->lock);
	subtract_promises(&stats, own->row.allocated, settled);
	set_stats(c, &stats);
}

struct reading {
	struct engine *e;
	size_t at, read;
};

/* Rows come in order of their ids, and backends are nearly always configured in that order: so the next one is the one. */
static void take_row(void *arg, const struct backend_row *row)
{
	struct reading *reading = arg;
	struct engine *e = reading->e;

	for (size_t n = 0; n < e->backend_count; n++) {
		size_t i = (reading->at + n) % e->backend_count;

		if (e->backend[i].id != row->id)
			continue;
		e->candidate[i].row = *row;
		reading->at = i + 1;
		reading->read++;
		return;
	}
}

static int candidates(struct engine *e, struct tx *tx)
{
	struct reading reading = { e, 0, 0 };
	int r = tx_backends(tx, take_row, &reading);

	if (r == 0 && reading.read < e->backend_count)
		r = -EIO;
	for (size_t i = 0; r == 0 && i < e->backend_count; i++)
		candidate(e, i, e->candidate[i].row.disabled);
	return r;
}

enum { TRIED_MAX = 16 };

/* Names from job_row.tried ("name\tsentence\n"…), cut apart in place. */
static size_t tried_names(char *tried, const char *name[TRIED_MAX + 1])
{
	size_t n = 0;

	for (char *line = tried; n < TRIED_MAX && *line;) {
		char *tab = strchr(line, '\t');
		char *end = tab ? strchr(tab, '\n') : NULL;

		if (!end)
			break;
		*tab = '\0';
		name[n++] = line;
		line = end + 1;
	}
	name[n] = NULL;
	return n;
}

/* A clone shares its source's bytes only where they are. Anywhere else all of them are copied, which is better than none. */
static bool beside_source(
	struct engine *e, const struct sched_request *want, const struct backend *source)
{
	CLEANUP(buf_release) struct buf why = { 0 };

	return !sched_refusal(
		e->sched, want, e->choice, e->backend_count, (size_t)(source - e->backend), &why);
}

/* --- room that lies in the trash --- */

/* What a choice of one, or of all, goes through. */
struct field {
	struct engine *e;
	struct sched_backend *of;    /* n of them */
	const struct candidate *own; /* what the catalogue says of each */
	struct backend *b;
	size_t n;
	bool anyway; /* a disabled one, too */
};

/* As if so much were promised no longer, and so much more were free. */
static struct sched_backend relieved(
	const struct sched_backend *now, uint64_t promised, uint64_t free)
{
	struct sched_backend c = *now;

	c.provisioned -= sched_gib(promised);
	if (c.provisioned < 0)
		c.provisioned = 0;
	if (c.free.is == SCHED_NUMBER)
		c.free.gib += sched_gib(free);
	return c;
}

static bool fits(const struct field *f, const struct sched_request *want, size_t i,
	const struct sched_backend *as)
{
	struct sched_backend now = f->of[i];
	struct buf why = { 0 };
	bool yes;

	f->of[i] = *as;
	yes = !sched_refusal(f->e->sched, want, f->of, f->n, i, &why);
	f->of[i] = now;
	buf_release(&why);
	return yes;
}

/* What is being purged and `more` of what is not yet: would it be enough? */
static bool enough(const struct field *f, const struct sched_request *want, size_t i, uint64_t more)
{
	uint64_t bytes = f->own[i].row.purging + more;
	struct sched_backend as = relieved(&f->of[i], bytes, bytes);

	return fits(f, want, i, &as);
}

/* So many bytes of its trash that the volume fits, and not one more: it might be another volume's. It fits if all of it goes. */
static uint64_t least(const struct field *f, const struct sched_request *want, size_t i)
{
	uint64_t low = 0, high = f->own[i].row.trash;

	if (enough(f, want, i, 0))
		return 0;
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		if (enough(f, want, i, middle))
			high = middle;
		else
			low = middle;
	}
	return high;
}

/*
 * What is promised to a volume on its way out is as good as free, once that way has begun; its bytes are free when the storage says so.
 * The index of the backend that has room by that, or -ENOSPC with what is to be purged first.
 */
static int choose_relieved(const struct field *f, const struct sched_request *want,
	double *ret_weight, struct reclaim *ret)
{
	struct sched_backend as;
	struct err ignored;
	int i;

	*ret = (struct reclaim){ 0 };
	for (size_t k = 0; k < f->n; k++) {
		uint64_t bytes = f->own[k].row.purging + f->own[k].row.trash;

		f->of[k] = relieved(&f->of[k], bytes, bytes);
	}
	i = sched_choose(f->e->sched, &f->e->work, want, f->of, f->n, ret_weight, &ignored);
	if (i < 0)
		return i;
	candidate(f->e, (size_t)(&f->b[i] - f->e->backend), !f->anyway && f->own[i].row.disabled);
	as = relieved(&f->of[i], f->own[i].row.purging, 0);
	if (fits(f, want, (size_t)i, &as))
		return i;
	ret->b = &f->b[i];
	ret->purging = f->own[i].row.purging + least(f, want, (size_t)i);
	as = relieved(&f->of[i], ret->purging, 0);
	ret->measured = !fits(f, want, (size_t)i, &as);
	return -ENOSPC;
}

static bool has_trash(const struct field *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->own[i].row.trash || f->own[i].row.purging)
			return true;
	return false;
}

/* The choice; where nothing fits, once more with what lies in the trash. err keeps what the first one said. */
static int choose(const struct field *f, const struct sched_request *want, double *ret_weight,
	struct reclaim *ret, struct err *err)
{
	int r = sched_choose(f->e->sched, &f->e->work, want, f->of, f->n, ret_weight, err);

	*ret = (struct reclaim){ 0 };
	return r == -ENOSPC && has_trash(f) ? choose_relieved(f, want, ret_weight, ret) : r;
}

/* --- the choice --- */

/* Where there was one. */
static void explain(
	struct engine *e, const struct sched_request *want, int chosen, char *others, size_t room)
{
	CLEANUP(buf_release) struct buf text = { 0 };

	if (e->backend_count > 1)
		sched_explain(e->sched, &e->work, want, e->choice, e->backend_count,
			(uint32_t)chosen, &text);
	(void)snprintf(others, room, "%.*s", (int)text_cut(buf_text(&text), text.len, room - 1),
		buf_text(&text));
}

int place(struct engine *e, struct tx *tx, const struct wanted *w, struct placement *ret,
	struct err *err)
{
	struct job_row copy;
	const char *name[TRIED_MAX + 1];
	struct sched_request want = { .size = sched_gib(w->size),
		.zone = w->zone,
		/* type_zone() has put it in the place of one that the type lacks: then its list is no matter */
		.zone_else = e->conf->zone_fallback ? e->conf->default_zone : NULL,
		.type = w->type,
		.attempted = name,
		.volume = w->volume };
	struct backend *source = NULL;
	int r = w->from ? clone_from(e, w->from, &source, err) : 0;

	r = r < 0 ? r : scratch(e);
	r = r < 0 ? r : candidates(e, tx);
	r = r < 0 ? r : hints_find(e, tx, w->hints, w->project, &want);
	if (r < 0)
		return r;
	(void)snprintf(copy.tried, sizeof copy.tried, "%s", w->tried);
	(void)tried_names(copy.tried, name);
	*ret = (struct placement){ .b = source };
	if (source && beside_source(e, &want, source))
		return 0;
	r = choose(
		&(struct field){ e, e->choice, e->candidate, e->backend, e->backend_count, false },
		&want, &ret->weight, &ret->room, err);
	if (r < 0)
		return r;
	*err = (struct err){ 0 };
	ret->b = &e->backend[r];
	explain(e, &want, r, ret->others, sizeof ret->others);
	return 0;
}

/* A volume that is where it is, and wants to have `size` there. */
static int fits_there(struct engine *e, struct tx *tx, struct backend *b, const struct volume *v,
	double size, struct reclaim *room, struct err *err)
{
	CLEANUP(free_facts) struct facts *volume = NULL;
	const struct type_rules *rules;
	struct sched_request want = { .size = sched_gib(v->size),
		.extending = true,
		.new_size = size,
		/* it stays where it is, also where the type lists other zones (zone_fallback) */
		.zone = b->conf->zone,
		.zone_else = b->conf->zone };
	int r = type_rules(e, tx, v->type_id, &rules, err);

	want.type = r < 0 ? NULL : type_compiled(rules);
	r = r < 0 ? r : volume_facts(e, v, v->zone, &volume, err);
	want.volume = volume;
	if (r < 0)
		return r;
	r = choose(&(struct field){ e, &e->choice[b - e->backend], &e->candidate[b - e->backend], b,
			   1, true },
		&want, NULL, room, err);
	return r < 0 ? r : 0;
}

/* As it is now. A disabled one keeps what it has. */
static int look_at(struct engine *e, struct tx *tx, struct backend *b)
{
	size_t i = (size_t)(b - e->backend);
	int r = scratch(e);

	r = r < 0 ? r : tx_backend_sums(tx, b->id, &e->candidate[i].row);
	if (r == 0)
		candidate(e, i, false);
	return r;
}

int place_more(struct engine *e, struct tx *tx, struct backend *b, const struct volume *v,
	uint64_t size, struct reclaim *room, struct err *err)
{
	size_t i = (size_t)(b - e->backend);
	int r = look_at(e, tx, b);

	if (r == 0 && e->choice[i].state != BACKEND_UP)
		return err_set(
			err, -EIO, "backend '%s' is %s", b->conf->name, e->candidate[i].reason);
	return r < 0 ? r : fits_there(e, tx, b, v, sched_gib(size), room, err);
}

int place_beside(
	struct engine *e, struct tx *tx, struct backend *b, const struct volume *v, struct err *err)
{
	struct reclaim ignored; /* a snapshot drives nobody out */
	int r = look_at(e, tx, b);

	if (r < 0 || e->choice[b - e->backend].state != BACKEND_UP)
		return r;
	return fits_there(e, tx, b, v, 2 * sched_gib(v->size), &ignored, err);
}
