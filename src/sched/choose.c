#include "base/cleanup.h"
#include "base/text.h"
#include "sched/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Making one. */

static int add_filters(struct sched *s, const char *const *names, struct err *err)
{
	char shown[TEXT_SHOWN_MAX];

	s->filter[s->filters++] = filter_state();
	for (size_t i = 0; names[i]; i++) {
		const struct filter *f = filter_find(names[i]);

		if (!f)
			return err_set(err, -EINVAL, "there is no filter '%s'",
				text_shown(names[i], shown));
		if (s->filters == FILTER_MAX)
			return err_set(err, -EINVAL, "more than %d filters", FILTER_MAX - 1);
		s->filter[s->filters++] = f;
	}
	return 0;
}

static int add_weighers(
	struct sched *s, const struct sched_weigher_conf *conf, size_t count, struct err *err)
{
	char shown[TEXT_SHOWN_MAX];

	s->weighing = calloc(count + 1, sizeof *s->weighing);
	if (!s->weighing)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++) {
		const struct weigher *w = weigher_find(conf[i].name);

		if (!w)
			return err_set(err, -EINVAL, "there is no weigher '%s'",
				text_shown(conf[i].name, shown));
		if (w->weigh)
			s->weighing[s->weighings++] = (struct weighing){ w, conf[i].multiplier };
		else
			s->stochastic = true;
	}
	return 0;
}

int sched_new(const struct sched_conf *conf, struct sched **ret, struct err *err)
{
	struct sched *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->hundredths = conf->hundredths;
	r = add_filters(s, conf->filters, err);
	if (r == 0)
		r = add_weighers(s, conf->weighers, conf->weigher_count, err);
	if (r < 0) {
		sched_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void sched_free(struct sched *s)
{
	if (!s)
		return;
	free(s->weighing);
	free(s);
}

/* What is wanted. */

static bool zone_known(const struct want *w, const char *zone)
{
	for (size_t i = 0; i < w->count; i++) {
		if (!strcmp(w->all[i].zone, zone))
			return true;
	}
	return false;
}

/* The reference, 1.7: a zone that is not to be had is replaced where the request says by which; that one is taken as it
 * is. */
static void resolve_zone(struct want *w)
{
	w->zone = w->r->zone && *w->r->zone ? w->r->zone : NULL;
	w->zones = w->r->type ? w->r->type->zones : NULL;
	if (!w->zone || !w->r->zone_else)
		return;
	if ((!w->zones || sched_zone_listed(w->zones, w->zone)) && zone_known(w, w->zone))
		return;
	w->zone = w->r->zone_else;
	w->zones = NULL;
}

void want_init(struct want *w, const struct sched *s, const struct sched_request *r,
	const struct sched_backend *b, size_t n)
{
	w->s = s;
	w->r = r;
	w->all = b;
	w->count = n;
	w->need = r->extending ? r->new_size - r->size : r->size;
	w->thick = r->type && r->type->thick;
	w->chance = NULL;
	w->memo = NULL;
	w->filters = 0;
	resolve_zone(w);
	for (size_t i = 0; i < s->filters; i++) {
		if (!s->filter[i]->idle || !s->filter[i]->idle(w))
			w->filter[w->filters++] = s->filter[i];
	}
}

/* The first filter that refuses it; NULL: none does. Filters judge each backend by itself, so this
 * order and "each filter over the survivors of the one before" come to the same. */
static const struct filter *refusing(const struct want *w, const struct sched_backend *b)
{
	for (size_t i = 0; i < w->filters; i++) {
		if (!w->filter[i]->pass(w, b))
			return w->filter[i];
	}
	return NULL;
}

bool want_passes(const struct want *w, const struct sched_backend *b)
{
	return !refusing(w, b);
}

/* Saying why. */

/* Names every backend and why, as far as a sentence has room; each reason gets its share. */
int none_fits(const struct want *w, struct err *err)
{
	enum { EACH = 200, ALL = ERR_TEXT_MAX - 32 }; /* room for "; and N more" */
	CLEANUP(buf_release) struct buf text = { 0 }, why = { 0 };

	for (size_t i = 0; i < w->count; i++) {
		size_t len;

		buf_clear(&why);
		buf_addf(&why, "%s: ", w->all[i].name);
		refusing(w, &w->all[i])->why(w, &w->all[i], &why);
		len = text_cut(buf_text(&why), why.len, EACH);
		if (text.len + len + sizeof "no backend fits: ; …" > ALL) {
			buf_addf(&text, "; and %zu more", w->count - i);
			break;
		}
		buf_addf(&text, "%s%.*s%s", i ? "; " : "", (int)len, buf_text(&why),
			len < why.len ? "…" : "");
	}
	if (buf_failed(&text) || buf_failed(&why))
		return err_set(err, -ENOSPC, "no backend fits");
	return err_set(err, -ENOSPC, "no backend fits: %s",
		w->count ? buf_text(&text) : "none is configured");
}

const char *sched_refusal(const struct sched *s, const struct sched_request *r,
	const struct sched_backend *b, size_t n, size_t i, struct buf *why)
{
	const struct filter *f;
	struct want w;

	want_init(&w, s, r, b, n);
	f = refusing(&w, &b[i]);
	if (f)
		f->why(&w, &b[i], why);
	return f ? f->name : NULL;
}

/* Choosing. */

static int make_room(struct sched_work *work, size_t n, struct err *err)
{
	if (n <= work->room)
		return 0;
	sched_work_release(work);
	work->ranked = calloc(n, sizeof *work->ranked);
	work->raw = calloc(n, sizeof *work->raw);
	work->memo = calloc(n, sizeof *work->memo);
	if (!work->ranked || !work->raw || !work->memo) {
		sched_work_release(work);
		return err_set(err, -ENOMEM, "out of memory");
	}
	work->room = n;
	return 0;
}

void sched_work_release(struct sched_work *work)
{
	free(work->ranked);
	free(work->raw);
	free(work->memo);
	work->ranked = NULL;
	work->raw = NULL;
	work->memo = NULL;
	work->room = 0;
}

/* Those that pass, in their order: how many. */
enum {
	AHEAD = 6
}; /* so many backends before they are looked at, their capabilities are fetched into the cache */

static size_t filter_all(const struct want *w, struct sched_ranked *left)
{
	size_t n = 0;

	for (uint32_t i = 0; i < w->count; i++) {
		if (i + AHEAD < w->count)
			__builtin_prefetch(w->all[i + AHEAD].capabilities);
		if (!refusing(w, &w->all[i]))
			left[n++] = (struct sched_ranked){ 0, i };
	}
	return n;
}

static void weigh_all(const struct want *w, struct sched_ranked *left, size_t n, double *raw)
{
	for (size_t i = 0; i < w->s->weighings; i++) {
		const struct weighing *g = &w->s->weighing[i];

		for (size_t k = 0; k < n; k++)
			raw[k] = g->weigher->weigh(w, &w->all[left[k].backend], g->multiplier);
		weigher_add(raw, n, g->multiplier, !w->s->stochastic, left);
	}
}

/* The stochastic handler: each gets a share of the whole as large as its weight. One that weighs less than nothing gets
 * none; where nobody has one, all are as likely. */
static size_t draw(const struct sched_ranked *left, size_t n, double x)
{
	double total = 0, sum = 0;
	size_t last = 0;

	for (size_t k = 0; k < n; k++)
		total += left[k].weight > 0 ? left[k].weight : 0;
	if (!(total > 0))
		return (size_t)(x * (double)n);
	for (size_t k = 0; k < n; k++) {
		if (!(left[k].weight > 0))
			continue;
		sum += left[k].weight;
		last = k;
		if (sum > x * total)
			break;
	}
	return last;
}

static size_t best_of(const struct sched_ranked *left, size_t n)
{
	size_t best = 0;

	/* the earlier one of two equal ones stays */
	for (size_t k = 1; k < n; k++) {
		if (left[k].weight > left[best].weight)
			best = k;
	}
	return best;
}

/* Filters and weighs: ranked holds the survivors in their order, *ret_first which of them has won. Returns how many they
 * are, or -ENOSPC. */
static int choose(struct want *w, struct sched_work *work, size_t *ret_first, struct err *err)
{
	size_t n;
	int r = make_room(work, w->count, err);

	if (r < 0)
		return r;
	w->chance = &work->chance;
	w->memo = work->memo;
	w->choice = ++work->choices;
	n = filter_all(w, work->ranked);
	work->left = n;
	if (!n)
		return none_fits(w, err);
	weigh_all(w, work->ranked, n, work->raw);
	*ret_first = w->s->stochastic ? draw(work->ranked, n, chance_draw(w->chance))
				      : best_of(work->ranked, n);
	return (int)n;
}

int choose_plainly(struct want *w, struct sched_work *work, double *ret_weight, struct err *err)
{
	size_t first;
	int r = choose(w, work, &first, err);

	if (r < 0)
		return r;
	if (ret_weight)
		*ret_weight = work->ranked[first].weight;
	return (int)work->ranked[first].backend;
}

int sched_choose(const struct sched *s, struct sched_work *work, const struct sched_request *r,
	const struct sched_backend *b, size_t n, double *ret_weight, struct err *err)
{
	struct want w;

	want_init(&w, s, r, b, n);
	return choose_plainly(&w, work, ret_weight, err);
}

/* The heavier first; of two equal ones, the one that came first. */
static int compare(const void *l, const void *r)
{
	const struct sched_ranked *a = l, *b = r;

	if (a->weight != b->weight)
		return a->weight > b->weight ? -1 : 1;
	return (a->backend > b->backend) - (a->backend < b->backend);
}

static void turn(struct sched_ranked *at, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		struct sched_ranked other = at[i];

		at[i] = at[n - 1 - i];
		at[n - 1 - i] = other;
	}
}

int sched_rank(const struct sched *s, struct sched_work *work, const struct sched_request *r,
	const struct sched_backend *b, size_t n, struct err *err)
{
	size_t first;
	struct want w;
	int left;

	want_init(&w, s, r, b, n);
	left = choose(&w, work, &first, err);
	if (left < 0)
		return left;
	if (!s->stochastic) {
		qsort(work->ranked, (size_t)left, sizeof *work->ranked, compare);
		return left;
	}
	turn(work->ranked, first); /* turned thrice, the list begins at the winner */
	turn(work->ranked + first, (size_t)left - first);
	turn(work->ranked, (size_t)left);
	return left;
}
