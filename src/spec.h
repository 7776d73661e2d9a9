/*
 * A spec: what a user writes into new/ to get a volume. Text (key=value words, quoted as in POSIX
 * sh) or one JSON object. Syntax and value rules only: whether a type or a name exists is the
 * engine's to say.
 *
 * Pure: no I/O, no locks, any thread. The table of keys is in spec.c; the template that new/spec
 * prints comes from it.
 */
#ifndef VOLFS_SPEC_H
#define VOLFS_SPEC_H

#include "base/buf.h"
#include "base/err.h"
#include "volume.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum spec_source {
	SPEC_RAW,      /* no source: an empty volume */
	SPEC_VOLUME,   /* source=  */
	SPEC_SNAPSHOT, /* snapshot=vol@snap */
	SPEC_IMAGE,
	SPEC_BACKUP,
};

struct spec_pair {
	char *key, *value;
};

/* `{ 0 }` is a valid empty one. Strings are owned; NULL where the key was not given. */
struct spec {
	uint64_t size; /* bytes; 0: not given */
	char *name, *type, *zone, *project, *description, *group;
	enum spec_source source_kind;
	char *source; /* of source_kind; NULL for SPEC_RAW */
	struct spec_pair *metadata;
	size_t metadata_count;
	char *hint_same_backend, *hint_different_backend, *hint_query;
};

/*
 * Parses text (len bytes, need not end in NUL). whole: false while more may follow (a last line
 * without its newline is then not judged, nor is what only the end can show: a missing size; for
 * JSON nothing but the syntax so far can be judged). Errors name line and column: "line 2, column
 * 7: unknown key 'sise'". -EINVAL; -EFBIG over SPEC_MAX; -ENAMETOOLONG for names and metadata keys.
 * On failure *ret is left released ({ 0 }). An input of white space and comments only gives a spec
 * without size: with whole that is -EINVAL (missing size) unless a source is given that supplies
 * one (an image does not).
 */
int spec_parse(const char *text, size_t len, bool whole, struct spec *ret, struct err *err);
void spec_release(struct spec *s); /* leaves { 0 } */

/* The rules of a volume's name (product.md, "The spec"): -EINVAL, -ENAMETOOLONG. UUID-shaped names
 * are refused unless own_uuid (may be NULL) is that very one. */
int spec_name_check(const char *name, const char *own_uuid, struct err *err);

/* The same of a snapshot's name: it may be `new`. */
int spec_snapshot_name_check(const char *name, const char *own_uuid, struct err *err);

/* The rules of a metadata key, given as a file's name; of a value. -EINVAL, -ENAMETOOLONG. */
int spec_metadata_key_check(const char *key, struct err *err);
int spec_value_check(const char *value, size_t len, struct err *err);

/* Text that spec_parse() turns into the same spec; with_name false leaves the name out. */
void spec_format(const struct spec *s, bool with_name, struct buf *out);

/* The commented template of every key. */
void spec_template(struct buf *out);

/* Walks the table of keys, for lint: name and help of row i; false at the end. */
bool spec_key(size_t i, const char **ret_key, const char **ret_help);

#endif
