/*
 * Any capability against any requirement of an extra spec: the first line is the requirement, the rest the capability as
 * JSON. Held:
 *  - the answer is the same twice, and the same for a list of that capability alone;
 *  - a requirement without an operator is met by its own text and by no other;
 *  - as a type's extra spec it is met by a backend that reports the capability exactly if it matches.
 */
#include "sched/sched.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool matches(const json_t *capability, const char *requirement)
{
	bool is = false, again = false;

	assert(match_json(capability, requirement, &is, NULL) == 0);
	assert(match_json(capability, requirement, &again, NULL) == 0);
	assert(is == again);
	return is;
}

static void check_list(const json_t *capability, const char *requirement, bool is)
{
	json_t *list = json_array();

	assert(json_array_append(list, (json_t *)(uintptr_t)capability) == 0);
	if (!json_is_array(capability))
		assert(matches(list, requirement) == is);
	json_decref(list);
}

static void check_text(const json_t *capability, const char *requirement, bool is)
{
	const char *text = json_string_value(capability);

	/* an operator's word can be spelled by its characters alone */
	if (!json_is_array(capability) && !strpbrk(requirement, "=<>!"))
		assert(is == (text && !strcmp(text, requirement)));
}

/* Through the filter. */
static void check_filter(json_t *capability, const char *requirement, bool is)
{
	static const char *const filters[] = { "capabilities", NULL };
	const struct sched_conf conf = { filters, NULL, 0, false };
	struct sched_backend b = { .name = "a", .zone = "z", .state = BACKEND_UP };
	struct sched_request r = { .size = 1 };
	json_t *report = json_object(), *extra = json_object();
	struct sched_work work = { 0 };
	struct sched_type *type = NULL;
	struct facts *facts = NULL;
	struct sched *s = NULL;

	json_object_set(report, "x", capability);
	if (facts_new(report, &facts, NULL) == 0 &&
		json_object_set_new(extra, "x", json_string(requirement)) == 0 &&
		sched_type_new(extra, NULL, &type, NULL) == 0) {
		assert(sched_new(&conf, &s, NULL) == 0);
		r.type = type;
		b.capabilities = facts;
		assert((sched_choose(s, &work, &r, &b, 1, NULL, NULL) == 0) == is);
	}
	sched_work_release(&work);
	sched_free(s);
	sched_type_free(type);
	facts_free(facts);
	json_decref(report);
	json_decref(extra);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = memchr(data, '\n', len);
	char *requirement;
	json_t *capability;
	bool is = false;

	if (!end || memchr(data, '\0', (size_t)(end - data)))
		return 0;
	requirement = strndup((const char *)data, (size_t)(end - data));
	capability = json_loadb(
		(const char *)end + 1, len - (size_t)(end - data) - 1, JSON_DECODE_ANY, NULL);
	/* what is nested too deeply is refused */
	if (capability && match_json(capability, requirement, &is, NULL) == 0) {
		is = matches(capability, requirement);
		check_list(capability, requirement, is);
		check_text(capability, requirement, is);
		check_filter(capability, requirement, is);
	}
	json_decref(capability);
	free(requirement);
	return 0;
}
