/* Which backend holds which volume: a list, sorted by id once it is complete. */
#include "schedule/internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct place {
	char *id; /* canonical */
	uint32_t backend;
};

/* As UUIDs are written by people: "urn:uuid:", braces, hyphens or none, capitals. Returns its 32 digits, or NULL. */
static const char *uuid_digits(const char *id, char digits[33])
{
	size_t n = 0;

	while (!strncasecmp(id, "urn:", 4) || !strncasecmp(id, "uuid:", 5))
		id += tolower((unsigned char)id[1]) == 'r' ? 4 : 5;
	for (; *id; id++) {
		if (strchr("{}-", *id))
			continue;
		if (n == 32 || !isxdigit((unsigned char)*id))
			return NULL;
		digits[n++] = (char)tolower((unsigned char)*id);
	}
	digits[n] = '\0';
	return n == 32 ? digits : NULL;
}

static bool grow(struct places *p)
{
	size_t room = p->room ? 2 * p->room : 64;
	struct place *more;

	if (p->count < p->room)
		return true;
	more = reallocarray(p->at, room, sizeof *more);
	if (!more)
		return false;
	p->at = more;
	p->room = room;
	return true;
}

int places_add(struct places *p, const char *id, uint32_t backend, struct err *err)
{
	char digits[33];
	const char *canonical = uuid_digits(id, digits);
	char *copy = grow(p) ? strdup(canonical ? canonical : id) : NULL;

	if (!copy)
		return err_set(err, -ENOMEM, "out of memory");
	p->at[p->count++] = (struct place){ copy, backend };
	return 0;
}

static int compare(const void *l, const void *r)
{
	const struct place *a = l, *b = r;
	int is = strcmp(a->id, b->id);

	return is ? is : (a->backend > b->backend) - (a->backend < b->backend);
}

void places_sort(struct places *p)
{
	if (p->count)
		qsort(p->at, p->count, sizeof *p->at, compare);
}

int places_find(const struct places *p, const char *id, bool *ret_is_id, struct buf *indices)
{
	char digits[33];
	const char *canonical = uuid_digits(id, digits);
	size_t low = 0, high = p->count;

	if (canonical)
		id = canonical;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(p->at[middle].id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_is_id = canonical || (low < p->count && !strcmp(p->at[low].id, id));
	for (; low < p->count && !strcmp(p->at[low].id, id); low++)
		buf_add(indices, &p->at[low].backend, sizeof p->at[low].backend);
	return buf_failed(indices) ? -ENOMEM : 0;
}

void places_release(struct places *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->at[i].id);
	free(p->at);
	*p = (struct places){ 0 };
}
