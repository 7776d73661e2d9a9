/* What the tests of sched/ share: JSON in single quotes, backends in one line, choices of one call. */
#ifndef VOLFS_TESTS_SCHED_RIG_H
#define VOLFS_TESTS_SCHED_RIG_H

#include "sched/sched.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

/* 'x' stands for "x" */
static inline json_t *json_of(const char *text)
{
	char *copy = strdup(text);
	json_t *json;

	for (char *at = copy; *at; at++)
		*at = *at == '\'' ? '"' : *at;
	json = json_loads(copy, JSON_DECODE_ANY, NULL);
	if (!json)
		fail_msg("no JSON: %s", text);
	free(copy);
	return json;
}

static inline struct facts *facts_of(const char *text)
{
	json_t *json = json_of(text);
	struct facts *f = NULL;

	assert_int_equal(facts_new(json, &f, NULL), 0);
	json_decref(json);
	return f;
}

static inline struct sched_type *type_of(const char *extra, const char *qos)
{
	json_t *e = extra ? json_of(extra) : NULL, *q = qos ? json_of(qos) : NULL;
	struct sched_type *t = NULL;

	assert_int_equal(sched_type_new(e, q, &t, NULL), 0);
	json_decref(e);
	json_decref(q);
	return t;
}

static inline struct query *query_of(const char *text)
{
	json_t *json = json_of(text);
	struct query *q = NULL;

	assert_int_equal(query_new(json, &q, NULL), 0);
	json_decref(json);
	return q;
}

static inline struct expr *expr_of(const char *text)
{
	struct expr *e = NULL;

	assert_int_equal(expr_new(text, &e, NULL), 0);
	return e;
}

/* Thin, up, in GiB. */
static inline struct sched_backend backend_of(
	const char *name, double total, double provisioned, double ratio)
{
	return (struct sched_backend){
		.name = name,
		.zone = "default",
		.state = BACKEND_UP,
		.state_reason = "",
		.total = { SCHED_NUMBER, total },
		.free = { SCHED_NUMBER, total },
		.allocated = provisioned,
		.provisioned = provisioned,
		.max_over_subscription_ratio = ratio,
		.thin = true,
	};
}

/* filter and weigher: NULL, or the only one */
static inline struct sched *sched_of(const char *filter, const char *weigher, double multiplier)
{
	const char *const filters[] = { filter, NULL };
	const struct sched_weigher_conf weighers = { weigher, multiplier };
	const struct sched_conf conf = { filters, &weighers, weigher ? 1 : 0, true };
	struct sched *s = NULL;

	assert_int_equal(sched_new(&conf, &s, NULL), 0);
	return s;
}

#endif
