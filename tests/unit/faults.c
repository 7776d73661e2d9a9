#include "faults.h"

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

void faults_begin(long n, bool all_after)
{
	until_fault = n;
	and_all_after = all_after;
	happened = false;
}

bool faults_end(void)
{
	until_fault = 0;
	return happened;
}

void *faults_malloc(size_t n)
{
	return __wrap_malloc(n);
}
