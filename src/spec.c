/*
 * The keys of a spec and the rules of their values. One row of the table is one key; parsing,
 * formatting, the template and the man page's lint all walk the same rows. The syntaxes are in
 * spec_syntax.c.
 */
#include "spec.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "spec_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unictype.h>
#include <unistr.h>

/* A row of the table. check sees a plain, non-empty text of at most max bytes. */
struct key {
	const char *name;
	const char *example, *help; /* of the template */
	size_t offset;		    /* of a char * in struct spec */
	size_t max;		    /* bytes of a value */
	int (*check)(const char *value, struct err *err);
	int (*take)(const struct key *k, struct spec *s, const char *value, struct err *err);
	enum spec_source source;
	enum spec_json json; /* what JSON may give beside a text or a number */
	bool may_be_empty;
};

static const char metadata_prefix[] = "metadata.";

static int no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

/* Values. */

static int take_size(const struct key *k, struct spec *s, const char *value, struct err *err)
{
	return text_volume_size(value, &s->size, err);
}

static int take_text(const struct key *k, struct spec *s, const char *value, struct err *err)
{
	char **text = (char **)((char *)s + k->offset);

	*text = strdup(value);
	return *text ? 0 : no_memory(err);
}

static int take_source(const struct key *k, struct spec *s, const char *value, struct err *err)
{
	if (s->source_kind != SPEC_RAW)
		return err_set(err, -EINVAL,
			"only one of source, snapshot, image and backup can be given");
	s->source_kind = k->source;
	return take_text(k, s, value, err);
}

static int check_name(const char *value, struct err *err)
{
	return spec_name_check(value, NULL, err);
}

static int check_snapshot(const char *value, struct err *err)
{
	const char *at = strchr(value, '@');

	if (at ? at == value || !at[1] || strchr(at + 1, '@') : !text_is_uuid(value))
		return err_set(
			err, -EINVAL, "a snapshot is given as VOLUME@SNAPSHOT, or by its UUID");
	return 0;
}

#define TEXT(member) .offset = offsetof(struct spec, member), .take = take_text
#define SOURCE(kind) .offset = offsetof(struct spec, source), .take = take_source, .source = (kind)

static const struct key keys[] = {
	{ "size", "10G", "a whole number and K, M, G, T or P; a bare number is GiB",
		.max = NAME_LEN, .take = take_size },
	{ "name", "db", "the directory's name; without it, the volume's UUID", .max = SPEC_MAX,
		TEXT(name), .check = check_name },
	{ "type", "fast", "volume type, by name or id", .max = NAME_LEN, TEXT(type) },
	{ "zone", "default", "availability zone", .max = NAME_LEN, TEXT(zone) },
	{ "project", "web", "one of your groups; default: the primary one", .max = NAME_LEN,
		TEXT(project) },
	{ "description", "'free text'", "free text, at most 255 bytes", .max = NAME_LEN,
		TEXT(description), .may_be_empty = true },
	{ "source", "db", "clone this volume (name or UUID)", .max = NAME_LEN,
		SOURCE(SPEC_VOLUME) },
	{ "snapshot", "db@monday", "clone this snapshot (or its UUID)", .max = 2 * NAME_LEN + 1,
		SOURCE(SPEC_SNAPSHOT), .check = check_snapshot },
	{ "image", "debian-12", "start from this golden image", .max = NAME_LEN,
		SOURCE(SPEC_IMAGE) },
	{ "backup", "db-2026-11-22", "restore this backup", .max = NAME_LEN, SOURCE(SPEC_BACKUP) },
	{ "group", "web-tier", "put it into this group", .max = NAME_LEN, TEXT(group) },
	{ "metadata.KEY", "value", "metadata; any number of keys", .max = NAME_LEN,
		.may_be_empty = true },
	{ "hint.same_backend", "db,log", "on a backend of one of these volumes", .max = SPEC_MAX,
		TEXT(hint_same_backend), .json = SPEC_JSON_NAMES },
	{ "hint.different_backend", "db2", "on a backend of none of these volumes", .max = SPEC_MAX,
		TEXT(hint_different_backend), .json = SPEC_JSON_NAMES },
	{ "hint.query", "'[\">\", \"$free_capacity_gb\", 100]'", "query of the JSON filter",
		.max = SPEC_MAX, TEXT(hint_query), .json = SPEC_JSON_ANY },
};
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static bool is_metadata(const struct key *k)
{
	return !k->take;
}

/* Names and metadata. */

static int check_length(const char *what, size_t len, struct err *err)
{
	if (len > NAME_LEN)
		return err_set(err, -ENAMETOOLONG, "%s is %zu bytes long; at most %d are possible",
			what, len, NAME_LEN);
	if (!len)
		return err_set(err, -EINVAL, "%s must not be empty", what);
	return 0;
}

/* A name's letters: also those that are none in ASCII, but never what a shell or a listing would
 * trip over. */
static bool name_may_have(ucs4_t c)
{
	return !uc_is_property_white_space(c) && !uc_is_general_category(c, UC_CATEGORY_Z) &&
	       !(c < 128 && strchr("\"'`/@,#", (int)c));
}

static bool name_may_start(ucs4_t c)
{
	return c == '_' || uc_is_general_category(c, UC_CATEGORY_L) ||
	       uc_is_general_category(c, UC_CATEGORY_Nd);
}

static int check_name_letters(const char *name, size_t len, struct err *err)
{
	char shown[TEXT_SHOWN_MAX];

	for (size_t i = 0, n; i < len; i += n) {
		ucs4_t c;

		n = (size_t)u8_mbtouc(&c, (const uint8_t *)name + i, len - i);
		if (i == 0 && !name_may_start(c))
			return err_set(err, -EINVAL,
				"name '%s' does not start with a letter, a digit or '_'",
				text_shown(name, shown));
		if (!name_may_have(c))
			return err_set(err, -EINVAL, "name '%s' has %s in it",
				text_shown(name, shown),
				c < 128 && c > ' ' ? (char[]){ '\'', (char)c, '\'', '\0' }
						   : "white space");
	}
	return 0;
}

int spec_snapshot_name_check(const char *name, const char *own_uuid, struct err *err)
{
	size_t len = strlen(name);
	int r = check_length("a name", len, err);

	if (r < 0)
		return r;
	if (!text_is_plain(name, len))
		return err_set(err, -EINVAL, "a name must be UTF-8 without control characters");
	r = check_name_letters(name, len, err);
	if (r < 0)
		return r;
	if (text_is_uuid(name) && !(own_uuid && !strcasecmp(name, own_uuid)))
		return err_set(err, -EINVAL, "name '%s' is a UUID, and not its own", name);
	return 0;
}

int spec_name_check(const char *name, const char *own_uuid, struct err *err)
{
	if (!strcmp(name, "new"))
		return err_set(err, -EINVAL, "a volume cannot be named 'new'");
	return spec_snapshot_name_check(name, own_uuid, err);
}

int spec_metadata_key_check(const char *key, struct err *err)
{
	static const char may[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				  "-_:. ";
	char shown[TEXT_SHOWN_MAX];
	int r = check_length("a metadata key", strlen(key), err);

	if (r < 0)
		return r;
	if (key[strspn(key, may)])
		return err_set(err, -EINVAL,
			"metadata key '%s' has more than letters, digits, blanks and - _ : . in it",
			text_shown(key, shown));
	if (!strcmp(key, ".") || !strcmp(key, ".."))
		return err_set(err, -EINVAL, "a metadata key cannot be '%s'", key);
	return 0;
}

int spec_value_check(const char *value, size_t len, struct err *err)
{
	if (len > NAME_LEN)
		return err_set(err, -EINVAL, "the value is %zu bytes long; at most %d are possible",
			len, NAME_LEN);
	if (memchr(value, '\0', len) || !text_is_plain(value, len))
		return err_set(err, -EINVAL, "the value must be UTF-8 without control characters");
	return 0;
}

/* FNV-1a: only to tell most keys apart without comparing them. */
static uint32_t hash_of(const char *text)
{
	uint32_t h = 2166136261;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619;
	return h;
}

static bool metadata_has(const struct spec_reader *r, const char *key, uint32_t hash)
{
	for (size_t i = 0; i < r->spec->metadata_count; i++) {
		if (r->metadata_hash[i] == hash && !strcmp(r->spec->metadata[i].key, key))
			return true;
	}
	return false;
}

static int metadata_grow(struct spec_reader *r)
{
	size_t room = r->metadata_room ? 2 * r->metadata_room : 8;
	struct spec_pair *pair;
	uint32_t *hash;

	if (r->spec->metadata_count < r->metadata_room)
		return 0;
	pair = reallocarray(r->spec->metadata, room, sizeof *pair);
	if (!pair)
		return no_memory(r->err);
	r->spec->metadata = pair;
	hash = reallocarray(r->metadata_hash, room, sizeof *hash);
	if (!hash)
		return no_memory(r->err);
	r->metadata_hash = hash;
	r->metadata_room = room;
	return 0;
}

static int take_metadata(struct spec_reader *r, const char *key, size_t key_at, const char *value)
{
	CLEANUP_FREE char *own_key = NULL, *own_value = NULL;
	uint32_t hash = hash_of(key);
	char shown[TEXT_SHOWN_MAX];
	struct spec *s = r->spec;
	int code = spec_metadata_key_check(key, r->err);

	if (code < 0) {
		(void)spec_fail_in(r, key_at);
		return code;
	}
	if (metadata_has(r, key, hash))
		return spec_fail(r, key_at, -EINVAL, "metadata key '%s' is given twice",
			text_shown(key, shown));
	code = metadata_grow(r);
	if (code < 0)
		return code;
	own_key = strdup(key);
	own_value = strdup(value);
	if (!own_key || !own_value)
		return no_memory(r->err);
	r->metadata_hash[s->metadata_count] = hash;
	s->metadata[s->metadata_count++] =
		(struct spec_pair){ take_ptr(&own_key), take_ptr(&own_value) };
	return 0;
}

/* Finding a key, and the one that was probably meant. */

static const struct key *key_find(const char *name)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (is_metadata(&keys[i])
				? !strncmp(name, metadata_prefix, sizeof metadata_prefix - 1)
				: !strcmp(keys[i].name, name))
			return &keys[i];
	}
	return NULL;
}

enum spec_json spec_key_json(const char *name)
{
	const struct key *k = key_find(name);

	return k ? k->json : SPEC_JSON_PLAIN;
}

static const char *key_near(const char *name)
{
	size_t best = 3, len = strlen(name);
	const char *near = NULL;

	for (size_t i = 0; i < KEY_COUNT; i++) {
		size_t n = text_edits(name, keys[i].name);

		if (n < best && n < len) {
			best = n;
			near = keys[i].name;
		}
	}
	return near;
}

static int unknown_key(struct spec_reader *r, const char *key, size_t at)
{
	const char *near = key_near(key);
	char shown[TEXT_SHOWN_MAX];

	text_shown(key, shown);
	if (near)
		return spec_fail(
			r, at, -EINVAL, "unknown key '%s'; did you mean '%s'?", shown, near);
	return spec_fail(r, at, -EINVAL, "unknown key '%s'", shown);
}

static int check_value(const struct key *k, const char *name, const char *value, struct err *err)
{
	size_t len = strlen(value);
	char shown[TEXT_SHOWN_MAX];

	if (!text_is_plain(value, len))
		return err_set(err, -EINVAL,
			"the value of '%s' must be UTF-8 without control characters", k->name);
	if (!len && !k->may_be_empty)
		return err_set(err, -EINVAL, "'%s' has no value", k->name);
	if (len > k->max)
		return err_set(err, -EINVAL, "'%s' is %zu bytes long; at most %zu are possible",
			text_shown(name, shown), len, k->max);
	return k->check ? k->check(value, err) : 0;
}

int spec_take(
	struct spec_reader *r, const char *key, size_t key_at, const char *value, size_t value_at)
{
	const struct key *k = key_find(key);
	uint64_t bit;
	int code;

	if (!k)
		return unknown_key(r, key, key_at);
	bit = UINT64_C(1) << (k - keys);
	if (!is_metadata(k) && (r->seen & bit))
		return spec_fail(r, key_at, -EINVAL, "key '%s' is given twice", k->name);
	r->seen |= bit;
	code = check_value(k, key, value, r->err);
	if (code == 0 && is_metadata(k))
		return take_metadata(r, key + sizeof metadata_prefix - 1, key_at, value);
	if (code == 0)
		code = k->take(k, r->spec, value, r->err);
	return code < 0 && code != -ENOMEM ? spec_fail_in(r, value_at) : code;
}

/* The whole. */

static int parse(struct spec_reader *r, bool whole)
{
	bool json = r->len && r->text[0] == '{';
	const struct spec *s = r->spec;
	int code;

	if (r->len > SPEC_MAX)
		return err_set(r->err, -EFBIG, "a spec has at most %d bytes", SPEC_MAX);
	code = json ? spec_read_json(r, whole) : spec_read_words(r, whole);
	if (code < 0 || !whole)
		return code;
	/* an image never supplies a size */
	if (!s->size && (s->source_kind == SPEC_RAW || s->source_kind == SPEC_IMAGE))
		return err_set(r->err, -EINVAL, "the size is missing: size=10 means 10 GiB");
	return 0;
}

int spec_parse(const char *text, size_t len, bool whole, struct spec *ret, struct err *err)
{
	struct spec_reader r = { .text = text, .len = len, .spec = ret, .err = err };
	struct err unwanted;
	int code;

	*ret = (struct spec){ 0 };
	if (!err)
		r.err = &unwanted; /* sentences are built in steps */
	code = parse(&r, whole);
	free(r.metadata_hash);
	if (code < 0)
		spec_release(ret);
	return code;
}

void spec_release(struct spec *s)
{
	char *owned[] = { s->name, s->type, s->zone, s->project, s->description, s->group,
		s->source, s->hint_same_backend, s->hint_different_backend, s->hint_query };

	for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
		free(owned[i]);
	for (size_t i = 0; i < s->metadata_count; i++) {
		free(s->metadata[i].key);
		free(s->metadata[i].value);
	}
	free(s->metadata);
	*s = (struct spec){ 0 };
}

static void format_metadata(const struct spec *s, struct buf *out)
{
	for (size_t i = 0; i < s->metadata_count; i++) {
		buf_adds(out, metadata_prefix);
		text_quote(out, s->metadata[i].key);
		buf_addc(out, '=');
		text_quote(out, s->metadata[i].value);
		buf_addc(out, '\n');
	}
}

static void format_text(const struct key *k, const struct spec *s, struct buf *out)
{
	const char *value = *(char *const *)((const char *)s + k->offset);

	if (!value || (k->take == take_source && s->source_kind != k->source))
		return;
	buf_addf(out, "%s=", k->name);
	text_quote(out, value);
	buf_addc(out, '\n');
}

void spec_format(const struct spec *s, bool with_name, struct buf *out)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *k = &keys[i];
		char size[TEXT_SIZE_MAX];

		if (is_metadata(k))
			format_metadata(s, out);
		else if (k->take != take_size) {
			if (with_name || k->offset != offsetof(struct spec, name))
				format_text(k, s, out);
		} else if (s->size)
			buf_addf(out, "size=%s\n", text_of_size(s->size, size));
	}
}

void spec_template(struct buf *out)
{
	buf_adds(out,
		"# A spec: key=value words; write it to new/NAME, or here. See volfs-spec(5).\n"
		"# Values are quoted as in a shell: description='two words'. Only the size is needed.\n"
		"#\n");
	for (size_t i = 0; i < KEY_COUNT; i++)
		buf_addf(out, "# %s=%s\n#         %s\n", keys[i].name, keys[i].example,
			keys[i].help);
}

bool spec_key(size_t i, const char **ret_key, const char **ret_help)
{
	if (i >= KEY_COUNT)
		return false;
	*ret_key = keys[i].name;
	*ret_help = keys[i].help;
	return true;
}
