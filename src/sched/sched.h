/*
 * Which backend. Pure: backends and a request in, an ordered choice and the reasons out. No I/O, no
 * clock, no threads; time and chance come in as arguments. Semantics: the reference, section 4.
 * Filters run in the configured order, each over the survivors of the one before; weighers'
 * normalised, multiplied sums order what is left, best first, stable.
 *
 * What is asked of every backend in every choice is compiled once and borrowed by those who ask:
 *
 *	facts        a JSON object made compact: what a backend reported, a volume's properties
 *	expr         a backend's filter or goodness function
 *	sched_type   a volume type: its extra specs and QoS specs
 *	query        a volume's hint for the JSON filter
 *
 * All of them are constant once made: any number of threads may use them.
 */
#ifndef VOLFS_SCHED_H
#define VOLFS_SCHED_H

#include "base/buf.h"
#include "base/err.h"
#include "volume.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- facts: facts.c --- */

enum fact_kind {
	FACT_NULL,
	FACT_BOOL,
	FACT_INT,
	FACT_REAL,
	FACT_TEXT,
	FACT_LIST,
	FACT_MAP,
};

/* One value. Plain data: text and items are borrowed from what it was taken from. */
struct fact {
	enum fact_kind kind;
	uint32_t count; /* of a list's items, of a map's members */
	union {
		int64_t integer; /* of FACT_BOOL, too: 0 or 1 */
		double real;
		const char *text;
		const struct fact *item;
	};
};

struct facts;

/* object: a JSON object, or NULL for an empty one; not kept. -EINVAL where it is nested too deeply. */
int facts_new(const json_t *object, struct facts **ret, struct err *err);
void facts_free(struct facts *f);

/* Adds the value as JSON; what is not finite as null. */
void fact_json(const struct fact *f, struct buf *out);

/* --- the language of filter and goodness functions: expr.c, expr_eval.c --- */

struct expr;

/* Fails for want of memory alone: a text that is no expression is one whose every value is the error that
 * expr_check() tells. */
int expr_new(const char *text, struct expr **ret, struct err *err);
void expr_free(struct expr *e);

/* -EINVAL with the sentence: "column 7: expected a value, found ')'". */
int expr_check(const struct expr *e, struct err *err);
bool expr_has_variables(const struct expr *e);

/* Its value where each of the five dictionaries is the member of that name in `all` (NULL: they are empty). */
int expr_value(const struct expr *e, const struct facts *all, struct fact *ret, struct err *err);

/* --- requirements of extra specs: match.c --- */

/* Does a capability meet the requirement, the value of an extra spec? */
bool match(const struct fact *capability, const char *requirement);
int match_json(const json_t *capability, const char *requirement, bool *ret, struct err *err);

/* --- volume types: type.c --- */

struct sched_type;

/* Both are JSON objects or NULL, not kept. -EINVAL: an extra spec is neither text nor null. */
int sched_type_new(const json_t *extra_specs, const json_t *qos_specs, struct sched_type **ret,
	struct err *err);
void sched_type_free(struct sched_type *t);

/* Is the zone one of "a, b,c", as a type lists them? */
bool sched_zone_listed(const char *zones, const char *zone);

/* --- the JSON filter's queries: query.c --- */

struct query;

/* json: an array, or a text that holds one; kept, unchanged. Fails for want of memory alone: one that is malformed passes no
 * backend, for the reason that query_check() tells. */
int query_new(const json_t *json, struct query **ret, struct err *err);
void query_free(struct query *q);
int query_check(const struct query *q, struct err *err); /* -EINVAL with the sentence */

/* --- choosing: choose.c --- */

/* What a storage says of its capacity: a number, or a word in its place. */
enum sched_is {
	SCHED_NUMBER,
	SCHED_INFINITE,
	SCHED_UNKNOWN,
	SCHED_UNSET, /* it says nothing */
};

struct sched_amount {
	enum sched_is is;
	double gib;
};

/* Sizes are GiB, as the reference counts; bytes up to 8 PiB are exact in them. */
static inline double sched_gib(uint64_t bytes)
{
	return (double)bytes / (double)(UINT64_C(1) << 30);
}

/* One candidate. Everything in it is borrowed. */
struct sched_backend {
	const char *name, *zone;
	enum backend_state state;
	const char *state_reason; /* why it is not up; "" */
	struct sched_amount total, free;
	double allocated;   /* sum of its volumes' sizes in the catalogue */
	double provisioned; /* what the storage says is promised; = allocated where not known */
	double reserved_percentage;	    /* 0 … 100 */
	double max_over_subscription_ratio; /* 0: auto */
	bool thin, thick;		    /* what it supports */
	uint64_t volumes;
	const struct facts *capabilities;     /* what it reported; NULL: nothing */
	const struct expr *filter, *goodness; /* its functions; NULL: it has none */
};

/* A hint that names volumes. */
struct sched_hint {
	const char *
		volumes; /* as they were asked for, for the sentence; NULL: there is no such hint */
	const char *bad; /* NULL, or why no backend can follow it: "'x' is no volume's id" */
	const uint32_t *on; /* the backends that hold at least one of them: indices, ascending */
	size_t on_count;
};

struct sched_request {
	double size;	  /* GiB */
	bool extending;	  /* from size to new_size, */
	double new_size;  /* on the backends that are asked */
	const char *zone; /* NULL or "": any */
	/* taken in its place where the type or the backends know no such zone; NULL: none is */
	const char *zone_else;
	const struct sched_type *type; /* NULL: none */
	struct sched_hint same, different;
	const struct query *query;    /* NULL: none */
	const struct facts *volume;   /* its properties; NULL: its size alone is known */
	const char *const *attempted; /* names that failed this volume; NULL-terminated, or NULL */
	const char *exists_on;	      /* the backend that has it and needs no room for it; NULL */
};

struct sched_weigher_conf {
	const char *name;
	double multiplier;
};

struct sched_conf {
	const char *const *filters; /* NULL-terminated; `state` comes first without being named */
	const struct sched_weigher_conf *weighers;
	size_t weigher_count;
	/* Capacity to the letter of the reference: reserved in whole GiB, results to hundredths, which may promise 5 MiB that are
	 * not there. Otherwise by the byte. */
	bool hundredths;
};

/* Numbers from 0 to below 1: those that are given, in turn and again and again; without any, a generator's. */
struct sched_chance {
	const double *number;
	size_t count, next;
	uint64_t state; /* the generator's: first its seed */
};

struct sched_ranked {
	double weight;
	uint32_t backend; /* its index */
};

/* What choices need beside, kept from one to the next: one thread at a time. { 0 } is a valid empty one. */
struct sched_work {
	struct sched_chance chance;
	struct sched_ranked *ranked; /* filled by sched_rank() */
	size_t left;		     /* how many they are, of the last choice that was one */
	double *raw;
	struct memo *memo;
	size_t room;
	uint64_t choices;
};
void sched_work_release(struct sched_work *w);

struct sched; /* compiled configuration; constant after sched_new(), shared by threads */

/* -EINVAL with a sentence for an unknown name. */
int sched_new(const struct sched_conf *conf, struct sched **ret, struct err *err);
void sched_free(struct sched *s);

/* What a weigher's multiplier is unless somebody says otherwise; 0: there is no such weigher. */
double sched_multiplier(const char *weigher);

/*
 * Chooses among n backends. Returns the index of the best, or -ENOSPC with a sentence naming every
 * backend and what was wrong with it: "no backend fits: ssd: 3 GiB free, 10 GiB wanted; hdd: down
 * since 12:04:11". *ret_weight (may be NULL) is the winner's sum.
 */
int sched_choose(const struct sched *s, struct sched_work *w, const struct sched_request *r,
	const struct sched_backend *b, size_t n, double *ret_weight, struct err *err);

/* The same choice, with all that pass, best first, in w->ranked: how many they are, or -ENOSPC. */
int sched_rank(const struct sched *s, struct sched_work *w, const struct sched_request *r,
	const struct sched_backend *b, size_t n, struct err *err);

/* The name of the first filter that refuses b[i] of n, and its reason in why; NULL: none does. */
const char *sched_refusal(const struct sched *s, const struct sched_request *r,
	const struct sched_backend *b, size_t n, size_t i, struct buf *why);

/*
 * Adds how the last sched_choose() with these came out, which chose b[chosen]: "; also weighed: hdd 0.420, …; refused: slow (capacity): …".
 * Some hundred bytes however many backends there are.
 */
void sched_explain(const struct sched *s, const struct sched_work *w, const struct sched_request *r,
	const struct sched_backend *b, size_t n, uint32_t chosen, struct buf *out);

/* Books what was chosen: as many GiB more are promised, and are free no longer. */
void sched_consume(struct sched_backend *b, const struct sched_request *r);

/* --- many choices among many backends: index.c --- */

struct sched_index;

/* b is the caller's and may be changed by sched_consume(), each change told by sched_index_changed(). */
int sched_index_new(const struct sched *s, const struct sched_backend *b, size_t n,
	struct sched_index **ret, struct err *err);
void sched_index_free(struct sched_index *x);
void sched_index_changed(struct sched_index *x, size_t i);

/* The same as sched_choose(), without a look at each backend where the filters and weighers allow that. */
int sched_index_choose(struct sched_index *x, struct sched_work *w, const struct sched_request *r,
	double *ret_weight, struct err *err);

#endif
