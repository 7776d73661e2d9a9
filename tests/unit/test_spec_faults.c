/* Memory that runs out while a spec is read or written. */
#include "faults.h"
#include "spec.h"
#include "unit.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Returns how many faults it took until the spec was read. */
static long survives(const char *text, bool all_after)
{
	static const struct spec nothing;
	long n;

	for (n = 1;; n++) {
		struct err err = { 0 };
		struct spec s;
		int code;

		faults_begin(n, all_after);
		code = spec_parse(text, strlen(text), true, &s, &err);
		if (!faults_end()) {
			assert_int_equal(code, 0);
			spec_release(&s);
			return n;
		}
		/* Jansson calls a token that it had no memory for invalid */
		assert_true(code == -ENOMEM || (text[0] == '{' && code == -EINVAL));
		assert_int_equal(err.code, code);
		assert_true(err.text[0]);
		assert_memory_equal(&s, &nothing, sizeof s);
	}
}

static void words(void **state)
{
	static const char text[] =
		"size=10 name=db type=fast zone=w project=web group=g description='x y' "
		"hint.same_backend=a hint.different_backend=b hint.query=c snapshot=a@b "
		"metadata.1= metadata.2= metadata.3= metadata.4= metadata.5= metadata.6= "
		"metadata.7= metadata.8= metadata.9=value";

	assert_true(survives(text, false) > 30);
	assert_true(survives(text, true) > 30);
}

static void json(void **state)
{
	static const char text[] =
		"{\"size\": 10, \"name\": \"db\", \"metadata\": {\"a\": 1, \"b\": \"x\"}, "
		"\"source\": \"db2\", \"hint.same_backend\": [\"a\", \"b\"], \"hint.query\": [\"=\", 1, {}]}";

	json_set_alloc_funcs(faults_malloc, free);
	assert_true(survives(text, false) > 30);
	assert_true(survives(text, true) > 30);
}

static void format(void **state)
{
	static const char text[] = "size=10 name=db description='it'\\''s' metadata.a=b";
	struct spec s;
	long n;

	assert_int_equal(spec_parse(text, strlen(text), true, &s, NULL), 0);
	for (n = 1;; n++) {
		struct buf out = { 0 };
		bool happened;

		faults_begin(n, false);
		spec_format(&s, true, &out);
		happened = faults_end();
		assert_int_equal(buf_failed(&out), happened);
		buf_release(&out);
		if (!happened)
			break;
	}
	assert_true(n > 1);
	spec_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(json),
		cmocka_unit_test(format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
