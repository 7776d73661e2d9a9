/*
 * Any bytes as a spec. Held:
 *  - a failure has a code and a plain sentence and leaves nothing; a success leaves no error;
 *  - what is good as a whole is refused at no prefix of it;
 *  - what was understood, written by spec_format(), is understood as the same.
 */
#include "base/text.h"
#include "spec.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int parse(const char *text, size_t len, bool whole, struct spec *s)
{
	static const struct spec nothing;
	struct err err = { 0 };
	int code = spec_parse(text, len, whole, s, &err);

	assert(code <= 0 && err.code == code);
	assert((code < 0) == (err.text[0] != '\0'));
	assert(text_is_plain(err.text, strlen(err.text)));
	assert(code == 0 || !memcmp(s, &nothing, sizeof nothing));
	return code;
}

static void check_values(const struct spec *s)
{
	assert(s->size % SIZE_UNIT == 0);
	assert(s->size == 0 || s->size >= SIZE_MIN);
	assert(!s->name || spec_name_check(s->name, NULL, NULL) == 0);
	assert((s->source_kind == SPEC_RAW) == (s->source == NULL));
	assert(!s->description ||
		spec_value_check(s->description, strlen(s->description), NULL) == 0);
	for (size_t i = 0; i < s->metadata_count; i++) {
		const struct spec_pair *m = &s->metadata[i];

		assert(spec_metadata_key_check(m->key, NULL) == 0);
		assert(spec_value_check(m->value, strlen(m->value), NULL) == 0);
	}
}

static void check_round_trip(const struct spec *s)
{
	struct buf once = { 0 }, twice = { 0 };
	struct spec again;

	spec_format(s, true, &once);
	if (once.len <= SPEC_MAX) { /* quoting makes some texts longer */
		assert(parse(buf_text(&once), once.len, true, &again) == 0);
		assert(again.size == s->size && again.source_kind == s->source_kind);
		assert(again.metadata_count == s->metadata_count);
		spec_format(&again, true, &twice);
		assert(once.len == twice.len && !memcmp(once.at, twice.at, once.len));
		spec_release(&again);
	}
	buf_release(&once);
	buf_release(&twice);
}

static void check_prefixes(const char *text, size_t len)
{
	size_t step = len / 64 + 1;

	for (size_t n = 0; n < len; n += step) {
		struct spec s;

		assert(parse(text, n, false, &s) == 0);
		spec_release(&s);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;
	struct spec s;

	if (parse(text, len, false, &s) == 0) {
		check_values(&s);
		spec_release(&s);
	}
	if (parse(text, len, true, &s) == 0) {
		check_values(&s);
		check_round_trip(&s);
		check_prefixes(text, len);
		spec_release(&s);
	}
	return 0;
}
