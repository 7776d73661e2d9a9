/* The folder's map of spec: what spec.c (keys and their values) and spec_syntax.c (the two
 * syntaxes) offer each other. */
#ifndef VOLFS_SPEC_INTERNAL_H
#define VOLFS_SPEC_INTERNAL_H

#include "spec.h"

/* One parse. Offsets are bytes of text; errors turn them into line and column. */
struct spec_reader {
	const char *text;
	size_t len;
	struct spec *spec;
	struct err *err;
	uint64_t seen;		 /* bit i: row i of the table of keys was given */
	uint32_t *metadata_hash; /* of each metadata key, to find a second one quickly */
	size_t metadata_room;
};

/* What the value of a key may be in JSON, beside a text or a number. */
enum spec_json {
	SPEC_JSON_PLAIN, /* nothing else */
	SPEC_JSON_NAMES, /* a list of texts: names, which the words part by comma */
	SPEC_JSON_ANY,	 /* a list or an object: JSON is what the text would be */
};

/* spec.c */

enum spec_json spec_key_json(const char *name);

/* Takes one key and its value, both plain text, from the offsets where they stand. */
int spec_take(
	struct spec_reader *r, const char *key, size_t key_at, const char *value, size_t value_at);

/* spec_syntax.c */

/* Read words, or one JSON object, and give each key to spec_take(). */
int spec_read_words(struct spec_reader *r, bool whole);
int spec_read_json(struct spec_reader *r, bool whole);

/* Sets "line …, column …: " and the sentence; returns code. */
__attribute__((format(printf, 4, 5))) int spec_fail(
	struct spec_reader *r, size_t at, int code, const char *fmt, ...);

/* Puts "line …, column …" before the sentence that is there. */
int spec_fail_in(struct spec_reader *r, size_t at);

#endif
