/* The folder's map: what each file of sched/ offers its siblings. */
#ifndef VOLFS_SCHED_INTERNAL_H
#define VOLFS_SCHED_INTERNAL_H

#include "sched/sched.h"

#include <string.h>

/* --- facts.c --- */

/* Where a value is: keys, divided by NUL where they lead through nested maps. Borrows its text. */
struct path {
	uint64_t hash;
	const char *text;
	uint32_t len;
};
uint64_t path_hash(const char *text, size_t len);
struct path path_of(const char *text, size_t len);

/* The layout is explained in facts.c; it is here for the sake of facts_find() alone, which is compiled into its place. */
struct fact_entry {
	uint64_t hash;
	struct fact value;
	uint32_t len;  /* of the path */
	uint32_t size; /* of the entry with all that follows: a multiple of FACTS_UNIT */
	char path[];   /* and a NUL; the text and a NUL */
};

enum { FACTS_UNIT = 8 };
_Static_assert(
	_Alignof(struct fact_entry) <= FACTS_UNIT, "entries begin at multiples of FACTS_UNIT");

struct facts {
	uint32_t mask;	     /* of slots, whose number is a power of two */
	uint32_t first, end; /* offsets of the first entry, and behind the last */
	uint16_t slot[];     /* by hash: the offset of an entry in FACTS_UNITs; 0: free */
};

static inline struct fact_entry *facts_entry(const struct facts *f, uint32_t offset)
{
	return (struct fact_entry *)(void *)((char *)(uintptr_t)f + offset);
}

/* f may be NULL. NULL: there is none. */
static inline const struct fact *facts_find(const struct facts *f, const struct path *p)
{
	uint32_t offset;

	if (!f)
		return NULL;
	for (uint64_t at = p->hash; (offset = f->slot[at & f->mask] * FACTS_UNIT) != 0; at++) {
		const struct fact_entry *e = facts_entry(f, offset);

		if (e->hash == p->hash && e->len == p->len && !memcmp(e->path, p->text, p->len))
			return &e->value;
	}
	return NULL;
}

/* Walks all: *at is 0 for the first; NULL at the end. */
const struct fact *facts_next(const struct facts *f, uint32_t *at, struct path *ret_path);

/* A number of GiB or of anything else; whole ones are FACT_INT. */
static inline void fact_number(double value, struct fact *ret)
{
	if (value > -0x1p53 && value < 0x1p53 && value == (double)(int64_t)value) {
		ret->kind = FACT_INT;
		ret->integer = (int64_t)value;
	} else {
		ret->kind = FACT_REAL;
		ret->real = value;
	}
}

/* What is not 0, not empty, not null. */
bool fact_is_something(const struct fact *f);
static inline bool fact_is_true(const struct fact *f)
{
	return f->kind == FACT_BOOL || f->kind == FACT_INT ? f->integer != 0 : fact_is_something(f);
}

void number_json(double number, struct buf *out);

/* --- match.c --- */

enum match_op {
	MATCH_NULL,  /* the requirement is null: so must the capability be */
	MATCH_WHOLE, /* no operator: the capability is this very text */
	MATCH_AT_LEAST,
	MATCH_AT_MOST,
	MATCH_EQUAL,
	MATCH_OTHER,
	MATCH_TEXT_EQUAL,
	MATCH_TEXT_OTHER,
	MATCH_TEXT_BELOW,
	MATCH_TEXT_AT_MOST,
	MATCH_TEXT_ABOVE,
	MATCH_TEXT_AT_LEAST,
	MATCH_IN,
	MATCH_IS,
	MATCH_OR,
};

struct word {
	const char *text;
	size_t len; /* 0: there is none */
};

enum { REQUIREMENT_CHOICES = 4 };

/* An extra spec, taken apart; texts are borrowed from it. */
struct requirement {
	const char *key;  /* as the administrator wrote it, without "capabilities:" */
	struct path path; /* to the capability */
	const char *text; /* NULL: null */
	enum match_op op;
	struct word operand;			 /* of MATCH_WHOLE: all of it */
	struct word choice[REQUIREMENT_CHOICES]; /* of MATCH_OR */
	size_t choices;
	const char *rest; /* further ones; NULL */
	double number;	  /* the operand's */
	bool is_number, truth;
};

void requirement_parse(const char *text, struct requirement *ret); /* all but key and path */
bool requirement_met(const struct requirement *r, const struct fact *f);
bool text_number(const char *text, size_t len, double *ret);

struct want;

/* --- type.c --- */

struct sched_type {
	struct facts *extra, *qos;
	struct requirement *requirement; /* those that the capabilities filter checks */
	size_t count;
	char *paths;	   /* that they point into */
	const char *zones; /* the only zones, by comma; NULL: any */
	bool thick;
};

/* --- attributes.c: what a backend is asked by name --- */

struct attribute {
	const char *name;
	bool in_stats; /* functions know it as stats.<name>; queries know all, as $<name> */
	struct fact (*get)(const struct sched_backend *b);
	size_t number; /* where get is NULL: the offset of a double in sched_backend, */
	size_t amount; /* or of a sched_amount; neither can be 0 */
};

static inline const void *backend_at(const struct sched_backend *b, size_t offset)
{
	return (const char *)b + offset;
}

void attribute_get(const struct attribute *a, const struct sched_backend *b, struct fact *ret);
const struct attribute *attribute_find(const char *name, size_t len); /* NULL: none */

/* Some are capabilities: never NULL, but perhaps null. */
bool attribute_is_reported(const char *name, size_t len);
const struct fact *attribute_reported(const struct sched_backend *b, const struct path *path);

/* --- expr.c, expr_eval.c --- */

enum expr_dict {
	EXPR_STATS,
	EXPR_CAPABILITIES,
	EXPR_VOLUME,
	EXPR_EXTRA,
	EXPR_QOS,
	EXPR_DICTS,
};
extern const char *const expr_dict_name[EXPR_DICTS];

struct expr_variable {
	enum expr_dict dict;
	struct path whole; /* "dict\0entry" */
	struct path entry;
	const struct attribute *attribute; /* of stats; NULL: it is reported, or none */
	bool reported;
	size_t number;		   /* of stats: the attribute's offset, to be read at once; 0 */
	size_t amount;		   /* the same, where that is a number */
	bool is_protocol, is_size; /* the storage protocol; the volume's size */
};

enum expr_code {
	EXPR_PUSH,
	EXPR_VARIABLE,
	EXPR_OR,
	EXPR_AND,
	EXPR_JUMP,
	EXPR_JUMP_UNLESS,
	EXPR_COMPARE,	   /* two values become a truth */
	EXPR_COMPARE_KEEP, /* a chain's first: two values become a truth and the right one */
	EXPR_COMPARE_NEXT, /* its next: a truth and two values become a truth and the right one */
	EXPR_COMPARE_END,  /* a truth and a value become the truth */
	EXPR_NOT,
	EXPR_ADD,
	EXPR_SUBTRACT,
	EXPR_MULTIPLY,
	EXPR_DIVIDE,
	EXPR_POWER,
	EXPR_MINUS,
	EXPR_PLUS,
	EXPR_ABS,
	EXPR_MIN,
	EXPR_MAX,
	EXPR_END,
};

enum expr_compare { EXPR_BELOW, EXPR_AT_MOST, EXPR_ABOVE, EXPR_AT_LEAST, EXPR_EQUAL, EXPR_OTHER };

/* One step of the stack machine. */
struct expr_op {
	enum expr_code code;
	uint32_t at; /* offset in the text, for messages */
	union {
		struct fact value;
		uint32_t variable; /* which of them */
		uint32_t to;	   /* jumps */
		enum expr_compare compare;
	};
};

enum { EXPR_STACK = 512, EXPR_NESTED = 50 };

struct expr {
	char *text;
	char *bytes; /* of literals and of variables' paths */
	struct expr_op *op;
	size_t count;
	struct expr_variable *variable;
	size_t variables;
	const struct path *protocol; /* of a variable that is one; NULL */
	char *malformed;	     /* why it is no expression; NULL: it is one */
};

/* Where variables come from. */
struct expr_scope {
	const struct fact *(*find)(
		const struct expr_scope *s, const struct expr_variable *v, struct fact *room);
	const struct facts *all; /* expr_value()'s */
	const struct sched_backend *backend;
	const struct want *want;
	const struct fact
		*protocol; /* one of several synonyms for the backend's storage protocol; NULL */
};

/* No sentence is made where err is NULL. */
int expr_eval(const struct expr *e, const struct expr_scope *s, struct fact *ret, struct err *err);
size_t expr_column(const struct expr *e, size_t at);

/* --- function.c: a backend's functions, over what a choice knows --- */

bool function_passes(const struct want *w, const struct sched_backend *b);
void function_why(const struct want *w, const struct sched_backend *b, struct buf *out);
double function_goodness(const struct want *w, const struct sched_backend *b);

/* --- query.c, query_eval.c --- */

enum query_node_kind {
	NODE_LITERAL,
	NODE_ATTRIBUTE, /* of the backend */
	NODE_REPORTED,	/* of the backend, if it reports it */
	NODE_CAPABILITY,
	NODE_MAP,     /* all of its capabilities, or its service */
	NODE_MISSING, /* no such variable: it vanishes */
	NODE_ALWAYS,  /* an empty query: true */
	NODE_CALL,
};

enum query_op {
	OP_EQUAL,
	OP_BELOW,
	OP_ABOVE,
	OP_AT_MOST,
	OP_AT_LEAST,
	OP_IN,
	OP_NOT,
	OP_AND,
	OP_OR,
	OPS
};

struct query_node {
	enum query_node_kind kind;
	enum query_op op;
	uint32_t first; /* its first argument; 0: none (node 0 is the top) */
	uint32_t next;	/* the next argument of the same operator; 0: none */
	struct fact value;
	const struct attribute *attribute;
	struct path path;
	char *owned;	  /* the path's text */
	const char *name; /* of a variable, with the $ */
};

struct query {
	json_t *json; /* literals point into it */
	struct query_node *node;
	size_t count, room;
	char *text;	 /* for the sentence */
	char *malformed; /* why it is no query; NULL: it is one */
};

bool query_is_empty(const struct query *q);
bool query_passes(const struct query *q, const struct sched_backend *b);
void query_why(const struct query *q, const struct sched_backend *b, struct buf *out);

/* --- capacity.c: what a backend can still promise --- */

#define GIB ((double)(UINT64_C(1) << 30))

struct capacity {
	bool known;   /* false: total or free is infinite or unknown, and the rest means nothing */
	bool thin;    /* the request and the backend are */
	double ratio; /* how often the usable total may be promised */
	double available;    /* GiB that may be promised in all */
	double virtual_free; /* GiB of them that are left; negative: more has been promised */
};
struct capacity capacity_of(const struct want *w, const struct sched_backend *b);

/* --- filters.c --- */

enum { FILTER_MAX = 32 };

struct filter {
	const char *name;
	/* It passes every backend of this request, so it is not asked; NULL: it must be asked. */
	bool (*idle)(const struct want *w);
	bool (*pass)(const struct want *w, const struct sched_backend *b);
	/* adds why it did not, for a person: "3 GiB free, 10 GiB wanted" */
	void (*why)(const struct want *w, const struct sched_backend *b, struct buf *out);
};
const struct filter *filter_find(const char *name); /* NULL: there is none */
const struct filter *filter_state(void);	    /* that needs no configuration */

/* The rows of capacity's decision list that need no comparison of numbers: 1 passes, 0 does not, -1: numbers decide. */
int capacity_without_numbers(const struct want *w, const struct sched_backend *b);

/* Adds the text as a sentence may show it: on one line, and no more than some 200 bytes. */
void add_shown(struct buf *out, const char *text);

/* Adds " is 5". A reason gives so many variables at most. */
void add_value(struct buf *out, const struct fact *f);
enum { SAID_MAX = 8 };

/* --- weighers.c --- */

struct weigher {
	const char *name;
	double multiplier; /* unless another is configured */
	/* the raw weight; INFINITY stands for "more than all finite ones"; NULL: the stochastic handler */
	double (*weigh)(const struct want *w, const struct sched_backend *b, double multiplier);
};
const struct weigher *weigher_find(const char *name);

/*
 * Adds n raw weights, multiplied, to those of left. First they are made finite, and, unless the stochastic handler is to draw
 * by them, brought to 0 … 1: (w - min) / (max - min); all equal: all 0.
 */
void weigher_add(
	double *raw, size_t n, double multiplier, bool normalise, struct sched_ranked *left);

double chance_draw(struct sched_chance *c);

/* --- choose.c --- */

struct weighing {
	const struct weigher *weigher;
	double multiplier;
};

struct sched {
	const struct filter *filter[FILTER_MAX]; /* `state` first */
	size_t filters;
	struct weighing *weighing; /* without the stochastic handler */
	size_t weighings;
	bool stochastic, hundredths;
};

/* What the capacity filter has worked out, for the weigher. */
struct memo {
	uint64_t choice;
	double virtual_free;
};

/* A request, as the filters and weighers see it; made anew for each choice. */
struct want {
	const struct sched *s;
	const struct sched_request *r;
	const struct sched_backend *all;
	size_t count;
	double need; /* GiB */
	bool thick;
	const char *zone;  /* the only one; NULL: any */
	const char *zones; /* those of the type, by comma; NULL: any */
	struct sched_chance *chance;
	struct memo *memo;			 /* of each backend; NULL: none is kept */
	uint64_t choice;			 /* its number: older memos mean nothing */
	const struct filter *filter[FILTER_MAX]; /* those that are not idle */
	size_t filters;
};

void want_init(struct want *w, const struct sched *s, const struct sched_request *r,
	const struct sched_backend *b, size_t n);
int none_fits(const struct want *w, struct err *err);
bool want_passes(const struct want *w, const struct sched_backend *b);
int choose_plainly(struct want *w, struct sched_work *work, double *ret_weight, struct err *err);

#endif
