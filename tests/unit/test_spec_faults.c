/* Memory that runs out while a spec is read: the Nth allocation fails, for N = 1, 2, … until none
 * is left to fail. */
#include "spec.h"
#include "unit.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static long until_fault; /* allocations until one fails; 0: none will */
static bool and_all_after, happened;

static bool fault(void)
{
	if (until_fault == 0 || --until_fault > 0)
		return false;
	until_fault = and_all_after ? 1 : 0;
	happened = true;
	return true;
}

/* Linked with --wrap: what the libraries under test call lands here. */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t n)
{
	return fault() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fault() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fault() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fault() ? NULL : __real_realloc(p, n * size);
}

char *__wrap_strdup(const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = fault() ? NULL : __real_malloc(n);

	return copy ? memcpy(copy, text, n) : NULL;
}

/* Returns how many faults it took until the spec was read. */
static long survives(const char *text, bool all_after)
{
	static const struct spec nothing;
	long n;

	for (n = 1;; n++) {
		struct err err = { 0 };
		struct spec s;
		int code;

		until_fault = n;
		and_all_after = all_after;
		happened = false;
		code = spec_parse(text, strlen(text), true, &s, &err);
		until_fault = 0;
		if (!happened) {
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
		"\"source\": \"db2\"}";

	json_set_alloc_funcs(__wrap_malloc, free);
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

		until_fault = n;
		and_all_after = happened = false;
		spec_format(&s, true, &out);
		until_fault = 0;
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
