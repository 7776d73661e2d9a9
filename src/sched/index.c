/*
 * Many choices among many backends: the same results as a pass over all of them, mostly without one.
 *
 * Where the only weigher is `capacity` with a positive multiplier, normalising keeps the order of the raw weights, so the
 * winner is the survivor with the most virtual free capacity, the first of equal ones. Backends of one zone are the
 * leaves of a tournament tree: each node knows the best of its leaves, and the best of those that have less than that
 * one (whether there is such a survivor decides if the winner's normalised weight is 1 or 0). What is looked up is
 * still judged by the filters; whatever does not go by this pattern takes the plain pass.
 *
 * Two different hundredths stay different when they are normalised, as long as both are below LIMIT: 1e12 * 100 is far
 * from the 53 bits of a double. By the byte they would not, so there is no index then.
 */
#include "sched/internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT 1e12

enum { NONE = UINT32_MAX };

/* Of its leaves. */
struct best {
	double first, second;	/* the most, and the most below that; -INFINITY: none */
	uint32_t at, second_at; /* whose: the backend with the lowest index */
};

struct tree {
	uint32_t leaves;   /* a power of two */
	struct best *node; /* node 1 is the root, node i has the children 2i and 2i + 1 */
};

/* The backends of one zone, or all. */
struct group {
	const char *zone;    /* NULL: all */
	uint32_t members;    /* those whose numbers decide */
	uint32_t without;    /* the first that passes without a comparison of numbers; NONE */
	struct tree tree[2]; /* for thin and for thick requests */
};

struct sched_index {
	const struct sched *s;
	const struct sched_backend *b;
	size_t count;
	struct group *group; /* the first is of all; then by zone's name */
	size_t groups;
	uint32_t *group_of;  /* of each backend, beside the first */
	uint32_t (*leaf)[2]; /* of each backend in the first group and in its own; NONE */
	bool plain;	     /* nothing goes by the pattern */
};

/* Trees. */

static struct best leaf_of(double value, uint32_t backend)
{
	return (struct best){
		.first = value, .second = -INFINITY, .at = backend, .second_at = NONE
	};
}

static void take_second(struct best *b, double value, uint32_t at)
{
	if (value == -INFINITY || value < b->second)
		return;
	if (value > b->second || at < b->second_at)
		b->second_at = at;
	b->second = value;
}

static struct best better(const struct best *l, const struct best *r)
{
	const struct best *winner = r->first > l->first ? r : l, *other = winner == l ? r : l;
	struct best b = *winner;

	if (other->first == b.first)
		b.at = other->at < b.at ? other->at : b.at;
	else
		take_second(&b, other->first, other->at);
	take_second(&b, other->second, other->second_at);
	return b;
}

static int tree_init(struct tree *t, uint32_t members)
{
	t->leaves = 1;
	while (t->leaves < members)
		t->leaves *= 2;
	t->node = calloc(2 * (size_t)t->leaves, sizeof *t->node);
	if (!t->node)
		return -ENOMEM;
	for (uint32_t i = 0; i < 2 * t->leaves; i++)
		t->node[i] = leaf_of(-INFINITY, NONE);
	return 0;
}

static void tree_set(struct tree *t, uint32_t leaf, double value, uint32_t backend)
{
	uint32_t i = t->leaves + leaf;

	t->node[i] = leaf_of(value, backend);
	while (i /= 2)
		t->node[i] = better(&t->node[2 * i], &t->node[2 * i + 1]);
}

/* What a backend has to offer. */

/* As requests see it for whom only numbers can decide. */
static struct want probe(const struct sched_index *x, bool thick)
{
	static const struct sched_request any = { .size = 1 };
	struct want w = {
		.s = x->s, .r = &any, .all = x->b, .count = x->count, .need = 1, .thick = thick
	};

	return w;
}

static double value_of(struct sched_index *x, const struct sched_backend *b, bool thick)
{
	const struct want w = probe(x, thick);
	const struct capacity c = capacity_of(&w, b);

	if (fabs(c.virtual_free) > LIMIT || fabs(c.available) > LIMIT)
		x->plain = true;
	return c.thin && c.ratio < 1 ? -INFINITY : c.virtual_free;
}

void sched_index_changed(struct sched_index *x, size_t i)
{
	struct group *own;

	if (x->plain || x->leaf[i][0] == NONE)
		return;
	own = &x->group[x->group_of[i]];
	for (int thick = 0; thick < 2; thick++) {
		double value = value_of(x, &x->b[i], thick);

		tree_set(&x->group[0].tree[thick], x->leaf[i][0], value, (uint32_t)i);
		tree_set(&own->tree[thick], x->leaf[i][1], value, (uint32_t)i);
	}
}

/* Making one. */

/* Does the configuration go by the pattern, and every backend? */
static bool is_plain(const struct sched_index *x)
{
	const struct sched *s = x->s;
	const struct weighing *g = s->weighing;

	if (!s->hundredths || s->stochastic || s->weighings != 1 ||
		g->weigher != weigher_find("capacity"))
		return true;
	if (!(g->multiplier > 1e-100 && g->multiplier < 1e100))
		return true;
	for (size_t i = 0; i < x->count; i++) {
		if (x->b[i].filter)
			return true;
	}
	return x->count >= NONE;
}

static int compare_zones(const void *l, const void *r)
{
	return strcmp(((const struct group *)l)->zone, ((const struct group *)r)->zone);
}

static struct group *find_group(const struct sched_index *x, const char *zone)
{
	const struct group key = { .zone = zone };

	if (!zone)
		return &x->group[0];
	return bsearch(&key, x->group + 1, x->groups - 1, sizeof key, compare_zones);
}

static int make_groups(struct sched_index *x)
{
	size_t n = x->count, kept = 1;

	x->group = calloc(n + 1, sizeof *x->group);
	x->group_of = calloc(n + 1, sizeof *x->group_of);
	x->leaf = calloc(n + 1, sizeof *x->leaf);
	if (!x->group || !x->group_of || !x->leaf)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		x->group[i + 1].zone = x->b[i].zone;
	qsort(x->group + 1, n, sizeof *x->group, compare_zones);
	for (size_t i = 1; i <= n; i++) {
		if (kept == 1 || compare_zones(&x->group[i], &x->group[kept - 1]) != 0)
			x->group[kept++].zone = x->group[i].zone;
	}
	x->groups = kept;
	for (size_t i = 0; i < kept; i++)
		x->group[i].without = NONE;
	return 0;
}

/* Gives it a leaf in both its groups, unless numbers have nothing to decide. */
static void place(struct sched_index *x, size_t i)
{
	const struct want w = probe(x, false);
	const struct sched_backend *b = &x->b[i];
	struct group *of[2] = { &x->group[0], find_group(x, b->zone) };
	int without = capacity_without_numbers(&w, b);

	x->group_of[i] = (uint32_t)(of[1] - x->group);
	for (int k = 0; k < 2; k++) {
		x->leaf[i][k] = NONE;
		if (b->state != BACKEND_UP || without == 0)
			continue;
		if (without < 0)
			x->leaf[i][k] = of[k]->members++;
		else if (of[k]->without == NONE)
			of[k]->without = (uint32_t)i;
	}
}

static int fill(struct sched_index *x)
{
	int r = make_groups(x);

	if (r < 0)
		return r;
	for (size_t i = 0; i < x->count; i++)
		place(x, i);
	for (size_t i = 0; i < x->groups && r == 0; i++) {
		r = tree_init(&x->group[i].tree[0], x->group[i].members);
		r = r < 0 ? r : tree_init(&x->group[i].tree[1], x->group[i].members);
	}
	for (size_t i = 0; i < x->count && r == 0; i++)
		sched_index_changed(x, i);
	return r;
}

int sched_index_new(const struct sched *s, const struct sched_backend *b, size_t n,
	struct sched_index **ret, struct err *err)
{
	struct sched_index *x = calloc(1, sizeof *x);

	if (x) {
		*x = (struct sched_index){ .s = s, .b = b, .count = n };
		x->plain = is_plain(x);
	}
	if (!x || (!x->plain && fill(x) < 0)) {
		sched_index_free(x);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*ret = x;
	return 0;
}

void sched_index_free(struct sched_index *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->groups; i++) {
		free(x->group[i].tree[0].node);
		free(x->group[i].tree[1].node);
	}
	free(x->group);
	free(x->group_of);
	free(x->leaf);
	free(x);
}

/* Choosing. */

/* Is the request one of which only zone and numbers can refuse a backend? */
static bool goes_by_pattern(const struct sched_index *x, const struct want *w)
{
	const struct filter *zone = filter_find("availability_zone"),
			    *capacity = filter_find("capacity");
	const struct filter *driver = filter_find("driver");
	bool by_capacity = false;

	if (x->plain || !(w->need > 0) || w->zones || w->r->exists_on)
		return false;
	for (size_t i = 0; i < w->filters; i++) {
		const struct filter *f = w->filter[i];

		if (f != filter_state() && f != zone && f != capacity && f != driver)
			return false;
		by_capacity |= f == capacity;
	}
	return by_capacity;
}

/* Whether another weight than the winner's is among the survivors: 1, 0; -1: only a look at each can tell. */
static int differs(const struct sched_index *x, const struct want *w, const struct group *g,
	const struct best *best)
{
	if (g->without != NONE)
		return 1;
	if (best->second < w->need)
		return 0;
	return want_passes(w, &x->b[best->second_at]) ? 1 : -1;
}

static const char *wanted_zone(const struct want *w)
{
	for (size_t i = 0; i < w->filters; i++) {
		if (w->filter[i] == filter_find("availability_zone"))
			return w->zone;
	}
	return NULL; /* nobody minds it */
}

int sched_index_choose(struct sched_index *x, struct sched_work *work,
	const struct sched_request *r, double *ret_weight, struct err *err)
{
	const struct group *g;
	const struct best *best;
	struct want w;
	int other;

	want_init(&w, x->s, r, x->b, x->count);
	if (!goes_by_pattern(x, &w))
		return choose_plainly(&w, work, ret_weight, err);
	g = find_group(x, wanted_zone(&w));
	if (!g)
		return none_fits(&w, err);
	best = &g->tree[w.thick].node[1];
	if (best->first < w.need) {
		if (g->without == NONE)
			return none_fits(&w, err);
		if (ret_weight)
			*ret_weight = 0; /* all that pass weigh the same */
		return (int)g->without;
	}
	other = want_passes(&w, &x->b[best->at]) ? differs(x, &w, g, best) : -1;
	if (other < 0)
		return choose_plainly(&w, work, ret_weight, err);
	if (ret_weight)
		*ret_weight = other ? x->s->weighing[0].multiplier : 0;
	return (int)best->at;
}
