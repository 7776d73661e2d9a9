/*
 * Any bytes as the JSON filter's query. Held:
 *  - what is JSON is a query, or is malformed with a plain sentence and then passes no backend;
 *  - a list and the text that holds it are the same query;
 *  - a query and its negation do not both refuse; a refusal has a reason.
 */
#include "base/text.h"
#include "sched/sched.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct sched *json_alone(void)
{
	static const char *const filters[] = { "json", NULL };
	const struct sched_conf conf = { filters, NULL, 0, false };
	static struct sched *s;

	if (!s)
		assert(sched_new(&conf, &s, NULL) == 0);
	return s;
}

static struct facts *report(void)
{
	static struct facts *f;
	json_t *json;

	if (f)
		return f;
	json = json_loads(
		"{\"a\": {\"b\": 1}, \"list\": [1, \"x\"], \"volume_backend_name\": \"gold\", \"none\": null}",
		0, NULL);
	assert(facts_new(json, &f, NULL) == 0);
	json_decref(json);
	return f;
}

static bool passes(const json_t *json, bool *ret_malformed)
{
	const struct sched_backend b = { .name = "b1",
		.zone = "west",
		.state = BACKEND_UP,
		.total = { SCHED_NUMBER, 100.5 },
		.free = { SCHED_UNKNOWN, 0 },
		.capabilities = report() };
	struct sched_request r = { .size = 1 };
	struct err err = { 0 };
	struct buf why = { 0 };
	struct query *q = NULL;
	bool is;

	assert(query_new(json, &q, NULL) == 0);
	*ret_malformed = query_check(q, &err) < 0;
	assert(text_is_plain(err.text, strlen(err.text)));
	r.query = q;
	is = !sched_refusal(json_alone(), &r, &b, 1, 0, &why);
	assert(is == (why.len == 0) && !(is && *ret_malformed));
	assert(text_is_plain(buf_text(&why), why.len));
	buf_release(&why);
	query_free(q);
	return is;
}

static void check_as_text(const json_t *json, bool is)
{
	char *dumped = json_dumps(json, 0);
	json_t *text = dumped ? json_string(dumped) : NULL;
	bool malformed;

	if (text)
		assert(passes(text, &malformed) == is);
	json_decref(text);
	free(dumped);
}

static void check_negation(json_t *json, bool is)
{
	json_t *not = json_pack("[s, O]", "not", json);
	bool malformed, other = passes(not, &malformed);

	/* one level more may be one too many; what is null vanishes */
	if (!malformed && !is)
		assert(other || json_array_size(json) == 0);
	json_decref(not );
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	json_t *json =
		json_loadb((const char *)data, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	bool malformed, is;

	if (!json)
		return 0;
	is = passes(json, &malformed);
	if (json_is_array(json)) {
		check_as_text(json, is);
		if (!malformed)
			check_negation(json, is);
	}
	json_decref(json);
	return 0;
}
