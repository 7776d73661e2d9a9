/* volfs-schedule: the folder's map. One document in, one out; everything that decides is sched/. */
#ifndef VOLFS_SCHEDULE_INTERNAL_H
#define VOLFS_SCHEDULE_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"
#include "sched/sched.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- text.c: the document's text, from which elements are taken one by one --- */

struct text {
	char *at;
	size_t len, pos;
};

int text_read(int fd, struct text *ret, struct err *err);
void text_release(struct text *t);

/* Takes one value of JSON, the caller's to release; NULL with "line 3, column 7: …". */
json_t *text_value(struct text *t, struct err *err);

/* -EINVAL with "line 3, column 7: why" */
int text_fail(const struct text *t, size_t pos, const char *why, struct err *err);

/* Calls take() for each element of the array (of the object: each key, and the text stands at its value). */
int text_array(struct text *t, int (*take)(void *to, json_t *element, size_t i, struct err *err),
	void *to, struct err *err);
int text_object(struct text *t, int (*take)(void *to, const char *key, struct err *err), void *to,
	struct err *err);
int text_end(struct text *t, struct err *err); /* nothing may follow */

/* --- field.c: the members of an object, by a table --- */

struct field {
	const char *name;
	/* v is not null, unless `null_too` says that null means something else than absence */
	int (*take)(const json_t *v, void *to, struct err *err);
	size_t offset;
	bool null_too;
};

/* An unknown member is refused: a misspelt one must not be taken for absent. */
int fields_read(
	const json_t *object, const struct field *fields, size_t count, void *to, struct err *err);

/* To the types in brackets. Text is borrowed from the document's element. */
int take_text(const json_t *v, void *to, struct err *err);   /* const char * */
int take_bool(const json_t *v, void *to, struct err *err);   /* bool */
int take_size(const json_t *v, void *to, struct err *err);   /* double: not negative */
int take_count(const json_t *v, void *to, struct err *err);  /* uint64_t */
int take_object(const json_t *v, void *to, struct err *err); /* const json_t * */
int take_array(const json_t *v, void *to, struct err *err);  /* const json_t * */
int take_any(const json_t *v, void *to, struct err *err);    /* const json_t * */
int take_number(const json_t *v, double min, double max, double *ret, struct err *err);

/* --- places.c: which backend holds which volume --- */

struct places {
	struct place *at;
	size_t count, room;
};

int places_add(struct places *p, const char *id, uint32_t backend, struct err *err);
void places_sort(struct places *p); /* after the last, before the first is looked for */

/* Adds the indices of the backends that hold it; *ret_is_id false: it is no id of a volume, neither by its form nor anywhere
 * here. -ENOMEM. */
int places_find(const struct places *p, const char *id, bool *ret_is_id, struct buf *indices);
void places_release(struct places *p);

/* --- fleet.c: the backends --- */

struct fleet {
	struct sched_backend *b;
	struct owned *owned; /* what b borrows */
	size_t count, room;
	struct name *names;
	struct function *functions; /* each text is compiled once */
	struct places places;
};

int fleet_add(struct fleet *f, json_t *element, struct err *err);
void fleet_release(struct fleet *f);

/* --- request.c --- */

struct request {
	struct sched_request r;
	struct sched_type *type;
	struct query *query;
	struct facts *volume;
	const char **attempted;
	struct buf same, different;	  /* the hints as sentences show them */
	struct buf on_same, on_different; /* uint32_t */
	char *bad_same, *bad_different;
};

/* Borrows from element. f NULL: only looks whether it is well-formed. */
int request_read(
	const json_t *element, const struct fleet *f, struct request *ret, struct err *err);
void request_release(struct request *r);

/* --- document.c: what the document says --- */

enum { DOCUMENT_NAMES_MAX = 64 };

struct document {
	struct text text;
	struct fleet fleet;
	char *filter[DOCUMENT_NAMES_MAX + 1];
	struct sched_weigher_conf weigher[DOCUMENT_NAMES_MAX];
	size_t filters, weighers;
	bool has_filters, has_weighers; /* else the default ones */
	double *random;
	size_t random_count, random_room;
	bool commit, explain;
	size_t requests_at; /* where they stand in the text */
	unsigned seen;	    /* which members */
};

int document_read(int fd, struct document *ret, struct err *err);
void document_release(struct document *d);

/* --- results.c: what comes of it --- */

/* Chooses for each request and writes the results to fd. */
int results_write(struct document *d, int fd, struct err *err);

/* Reads a document from fd in, writes the other to fd out. */
int schedule(int in, int out, struct err *err);

#endif
