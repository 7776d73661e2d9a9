/* A volume type, compiled: its extra specs are taken apart once, and not for every backend of every choice. */
#include "base/text.h"
#include "sched/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char own_scope[] = "capabilities";

/* The part of a key that leads to a capability: what follows the scope that names it, or all of a key without scopes.
 * NULL: a scope of somebody else (a vendor's, RESKEY:availability_zones, provisioning:type). */
static const char *capability_key(const char *key)
{
	const char *colon = strchr(key, ':');

	if (!colon)
		return key;
	if ((size_t)(colon - key) == strlen(own_scope) &&
		!strncmp(key, own_scope, strlen(own_scope)))
		return colon + 1;
	return NULL;
}

/* "a:b" leads through nested maps: as a path, "a\0b". */
static struct path capability_path(const char *key, char *room)
{
	size_t len = strlen(key);

	for (size_t i = 0; i <= len; i++)
		room[i] = key[i] == ':' ? '\0' : key[i];
	return path_of(room, len);
}

/* What the other filters ask of a type. */
static void take_setting(struct sched_type *t, const char *key, const char *text)
{
	if (!strcmp(key, "RESKEY:availability_zones"))
		t->zones = text;
	else if (!strcmp(key, "provisioning:type"))
		t->thick = text && !strcmp(text, "thick");
}

static int take_spec(struct sched_type *t, const char *key, const struct fact *value, char **room,
	struct err *err)
{
	const char *name = capability_key(key);
	const char *text = value->kind == FACT_TEXT ? value->text : NULL;
	struct requirement *r = &t->requirement[t->count];
	char shown[TEXT_SHOWN_MAX];

	if (!text && value->kind != FACT_NULL)
		return err_set(err, -EINVAL, "extra spec '%s' must be text or null",
			text_shown(key, shown));
	take_setting(t, key, text);
	if (!name)
		return 0;
	requirement_parse(text, r);
	r->key = name;
	r->path = capability_path(name, *room);
	*room += strlen(name) + 1;
	t->count++;
	return 0;
}

static int take_specs(struct sched_type *t, struct err *err)
{
	size_t n = 0, bytes = 0;
	const struct fact *value;
	struct path key;
	char *room;
	int r = 0;

	for (uint32_t at = 0; facts_next(t->extra, &at, &key); n++)
		bytes += key.len + 1;
	t->requirement = calloc(n + 1, sizeof *t->requirement);
	t->paths = room = malloc(bytes + 1);
	if (!t->requirement || !room)
		return err_set(err, -ENOMEM, "out of memory");
	for (uint32_t at = 0; r == 0 && (value = facts_next(t->extra, &at, &key));)
		r = take_spec(t, key.text, value, &room, err);
	return r;
}

int sched_type_new(const json_t *extra_specs, const json_t *qos_specs, struct sched_type **ret,
	struct err *err)
{
	struct sched_type *t = calloc(1, sizeof *t);
	int r;

	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	r = facts_new(extra_specs, &t->extra, err);
	r = r < 0 ? err_in(err, "extra_specs") : facts_new(qos_specs, &t->qos, err);
	r = r < 0 ? r : take_specs(t, err);
	if (r < 0) {
		sched_type_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void sched_type_free(struct sched_type *t)
{
	if (!t)
		return;
	facts_free(t->extra);
	facts_free(t->qos);
	free(t->requirement);
	free(t->paths);
	free(t);
}
