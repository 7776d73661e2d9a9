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

/* "it was not a JSON document at this place" */
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

/* --- fleet.c: the backends, and where volumes are --- */

struct fleet {
	struct sched_backend *b;
	struct owned *owned; /* what b borrows */
	size_t count, room;
	struct name *names;
	struct function *functions; /* each text is compiled once */
	struct place *place;	    /* of each volume; by id after fleet_ready() */
	size_t places, place_room;
};

int fleet_add(struct fleet *f, json_t *element, struct err *err);
void fleet_ready(struct fleet *f);
void fleet_release(struct fleet *f);

/* Adds the indices of the backends that hold it; false: it is no id of a volume, neither by its form nor anywhere here. */
int fleet_where(const struct fleet *f, const char *id, bool *ret_is_id, struct buf *indices);

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

/* --- document.c --- */

/* Reads a document from fd in, writes the other to fd out. */
int document_run(int in, int out, struct err *err);

#endif
