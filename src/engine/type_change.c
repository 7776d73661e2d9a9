/*
 * Changes of volume types, an administrator's: made, renamed, removed, their fields, and those of the configuration (reference, 7.6,
 * 7.18); their lists are type_lists.c's. Each change makes the writer forget what it has compiled.
 *
 * What a volume's backend was chosen by stays true of it: extra specs change only while no volume has the type. QoS specs, access and
 * defaults say what becomes of the next volumes, and change at any time.
 */
#include "engine/internal.h"

#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void edit_release(struct request *q)
{
	free(((struct type_edit *)q)->key);
	free(((struct type_edit *)q)->value);
}

struct type_edit *type_edit_new(struct engine *e, struct change_id id, const struct caller *who,
	int64_t type, int (*apply)(struct request *, struct tx *, struct err *), engine_done *done,
	void *arg)
{
	struct type_edit *c = request_new(e, sizeof *c, id, who, done, arg);

	if (!c)
		return NULL;
	c->type = c->q.row = type;
	c->q.apply = apply;
	c->q.release = edit_release;
	return c;
}

void type_edit_send(struct type_edit *c, int r, struct err *err)
{
	if (r == 0 && !c->q.admin)
		r = err_set(err, -EACCES, "only an administrator changes volume types");
	request_send(&c->q, r, err);
}

int type_there(struct type_edit *c, struct tx *tx, struct vol_type *ret, struct err *err)
{
	int r = tx_type(tx, c->type, ret);

	types_forget(c->q.e);
	return r == -ENOENT ? err_set(err, r, "the volume type is gone") : r;
}

static int taken_by_type(struct tx *tx, const char *name, int64_t but, struct err *err)
{
	struct vol_type other;
	int r = tx_type_find(tx, name, &other);

	if (r == 0 && other.id != but)
		return err_set(err, -EEXIST, "there is a volume type '%s'", name);
	return r == -ENOENT ? 0 : r;
}

/* --- made --- */

static int add(struct type_edit *c, struct tx *tx, struct err *err)
{
	int r = taken_by_type(tx, c->values.name, 0, err);

	r = r < 0 ? r : tx_type_add(tx, &c->values);
	if (r < 0)
		return r;
	c->type = c->q.row = c->values.id;
	types_forget(c->q.e);
	atomic_store(&c->q.e->has_types, true);
	return 0;
}

static int made(struct type_edit *c, struct tx *tx)
{
	return request_event_of(&c->q, tx, 0, c->values.name, "volume_type.create", "%s",
		c->values.is_public ? "" : "private");
}

static int add_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct type_edit *c = (struct type_edit *)q;
	int r = add(c, tx, err);

	return r < 0 ? r : made(c, tx);
}

static int new_values(struct vol_type *t, const char *name, struct err *err)
{
	*t = (struct vol_type){ .is_public = true };
	(void)snprintf(t->name, sizeof t->name, "%s", name);
	new_uuid(t->uuid);
	return type_name_check(name, err);
}

void engine_type_add(struct engine *e, struct change_id id, const struct caller *who,
	const char *name, engine_done *done, void *arg)
{
	struct type_edit *c = type_edit_new(e, id, who, 0, add_apply, done, arg);
	struct err err = { 0 };

	if (c)
		type_edit_send(c, new_values(&c->values, name, &err), &err);
}

/* --- renamed --- */

static int rename_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct type_edit *c = (struct type_edit *)q;
	struct vol_type t;
	int r = type_there(c, tx, &t, err);

	if (r < 0 || !strcmp(t.name, c->key))
		return r;
	if (!strcmp(t.name, q->e->conf->default_type))
		return err_set(err, -EBUSY,
			"type '%s' is default_type of the configuration, by this name", t.name);
	r = taken_by_type(tx, c->key, t.id, err);
	r = r < 0 ? r : tx_type_rename(tx, t.id, c->key);
	if (r < 0)
		return r;
	note(q->e, (struct change_note){ .kind = CHANGE_TYPE, .row = t.id });
	return request_event_of(q, tx, 0, c->key, "volume_type.update", "was %s", t.name);
}

void engine_type_rename(struct engine *e, struct change_id id, const struct caller *who,
	int64_t type, const char *name, engine_done *done, void *arg)
{
	struct type_edit *c = type_edit_new(e, id, who, type, rename_apply, done, arg);
	struct err err = { 0 };
	int r;

	if (!c)
		return;
	c->key = strdup(name);
	r = c->key ? type_name_check(name, &err) : -ENOMEM;
	type_edit_send(c, r, &err);
}

/* --- removed --- */

int type_unused(struct tx *tx, const struct vol_type *t, const char *what, struct err *err)
{
	int64_t uses;
	int r = tx_type_uses(tx, t->id, &uses);

	if (r == 0 && uses > 0)
		return err_set(err, -EBUSY, "%s: %" PRId64 " volume%s of type '%s' exist%s", what,
			uses, uses == 1 ? "" : "s", t->name, uses == 1 ? "s" : "");
	return r;
}

static int no_default(struct request *q, struct tx *tx, const struct vol_type *t, struct err *err)
{
	struct type_entry project;
	int r;

	if (t->is_default || !strcmp(t->name, q->e->conf->default_type))
		return err_set(err, -EBUSY, "type '%s' is the default type", t->name);
	r = tx_type_entries(tx, t->id, TYPE_DEFAULT_FOR, 0, &project, 1);
	if (r > 0)
		return err_set(err, -EBUSY, "type '%s' is the default type of project '%s'",
			t->name, project.key);
	return r;
}

static int remove_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct type_edit *c = (struct type_edit *)q;
	struct vol_type t;
	int r = type_there(c, tx, &t, err);

	r = r < 0 ? r : type_unused(tx, &t, "it cannot be removed", err);
	r = r < 0 ? r : no_default(q, tx, &t, err);
	r = r < 0 ? r : tx_type_remove(tx, t.id);
	if (r < 0)
		return r;
	return request_event_of(q, tx, 0, t.name, "volume_type.delete", "%s", "");
}

void engine_type_remove(struct engine *e, struct change_id id, const struct caller *who,
	int64_t type, engine_done *done, void *arg)
{
	struct type_edit *c = type_edit_new(e, id, who, type, remove_apply, done, arg);
	struct err err = { 0 };

	if (c)
		type_edit_send(c, 0, &err);
}

/* --- its fields --- */

static int set_default(
	struct request *q, struct tx *tx, const struct vol_type *t, bool yes, struct err *err)
{
	if (yes)
		return tx_type_make_default(tx, t->id);
	if (t->is_default)
		return tx_type_make_default(tx, 0);
	if (!strcmp(t->name, q->e->conf->default_type))
		return err_set(err, -EBUSY,
			"type '%s' is default_type of the configuration: make another the default",
			t->name);
	return 0;
}

static int tell_fields(struct type_edit *c, struct tx *tx, const struct vol_type *t)
{
	unsigned f = c->fields;

	return request_event_of(&c->q, tx, 0, t->name, "volume_type.update", "%s%s%s%s",
		f & TYPE_SET_DESCRIPTION ? "description" : "",
		!(f & TYPE_SET_DEFAULT) ? ""
		: c->values.is_default	? "default"
					: "not default",
		!(f & TYPE_SET_PUBLIC) ? ""
		: t->is_public	       ? "public"
				       : "private",
		f & TYPE_SET_CONSUMER ? "consumer" : "");
}

static int set_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct type_edit *c = (struct type_edit *)q;
	const struct vol_type *to = &c->values;
	struct vol_type t;
	int r = type_there(c, tx, &t, err);

	if (r == 0 && c->fields & TYPE_SET_DEFAULT)
		r = set_default(q, tx, &t, to->is_default, err);
	if (r == 0 && c->fields & TYPE_SET_APPEND)
		r = value_append(t.description, to->description, err);
	else if (r == 0 && c->fields & TYPE_SET_DESCRIPTION)
		memcpy(t.description, to->description, sizeof t.description);
	if (c->fields & TYPE_SET_PUBLIC)
		t.is_public = to->is_public;
	if (c->fields & TYPE_SET_CONSUMER)
		t.consumer = to->consumer;
	r = r < 0 ? r : tx_type_set(tx, &t);
	return r < 0 ? r : tell_fields(c, tx, &t);
}

void engine_type_set(struct engine *e, struct change_id id, const struct caller *who, int64_t type,
	unsigned fields, const struct vol_type *values, engine_done *done, void *arg)
{
	struct type_edit *c = type_edit_new(e, id, who, type, set_apply, done, arg);
	struct err err = { 0 };
	int r = 0;

	if (!c)
		return;
	c->fields = fields;
	c->values = *values;
	if (fields & TYPE_SET_DESCRIPTION)
		r = spec_value_check(values->description, strlen(values->description), &err);
	type_edit_send(c, r, &err);
}

/* --- the configuration's --- */

/* "key=value", which the configuration has checked. A consumer is a field and no key. */
static int add_pair(
	struct type_edit *c, struct tx *tx, enum type_list list, const char *pair, struct err *err)
{
	const char *value = strchr(pair, '=') + 1;
	int r;

	free(c->key);
	c->key = strndup(pair, (size_t)(value - pair - 1));
	if (!c->key)
		return -ENOMEM;
	if (list == TYPE_QOS && !strcmp(c->key, "consumer") &&
		type_consumer_find(value, &c->values.consumer) == 0)
		return tx_type_set(tx, &c->values);
	r = list == TYPE_EXTRA_SPECS ? type_fits_the_others(c, tx, c->key, value, NULL, err) : 0;
	return r < 0 ? r : tx_type_entry_set(tx, c->type, list, c->key, value, &c->q.row);
}

static int add_pairs(
	struct type_edit *c, struct tx *tx, enum type_list list, char **pairs, struct err *err)
{
	int r = 0;

	for (; r == 0 && *pairs; pairs++)
		r = add_pair(c, tx, list, *pairs, err);
	return r;
}

static int configured_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct type_edit *c = (struct type_edit *)q;
	const struct conf_type *conf = c->conf;
	struct vol_type had;
	int r = tx_type_find(tx, conf->name, &had);

	if (r != -ENOENT)
		return r; /* it is there: what was made of it since stands */
	r = add(c, tx, err);
	r = r < 0 ? r : add_pairs(c, tx, TYPE_EXTRA_SPECS, conf->extra_specs, err);
	r = r < 0 ? r : add_pairs(c, tx, TYPE_QOS, conf->qos, err);
	for (char **p = conf->access; r == 0 && *p; p++)
		r = tx_type_entry_set(tx, c->type, TYPE_ACCESS, *p, "", &q->row);
	return r < 0 ? r : made(c, tx);
}

/* Nothing is written where it is there already: a full disk does not keep volfs from starting. */
static int configured(
	struct engine *e, struct view *v, const struct conf_type *conf, struct err *err)
{
	struct vol_type had;
	struct type_edit *c;
	int r;

	if (view_type_find(v, conf->name, &had) == 0)
		return 0;
	c = type_edit_new(e, (struct change_id){ 0 }, NULL, 0, configured_apply, NULL, NULL);
	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	r = new_values(&c->values, conf->name, err);
	if (r < 0) {
		edit_release(&c->q);
		free(c);
		return r;
	}
	c->conf = conf;
	c->values.is_public = conf->is_public;
	(void)snprintf(
		c->values.description, sizeof c->values.description, "%s", conf->description);
	return request_wait(&c->q, NULL, err);
}

int types_configured(struct engine *e, struct err *err)
{
	struct vol_type any;
	struct view *v;
	int r = view_open(e->store, &v, err);

	if (r < 0)
		return r;
	r = view_types(v, 0, &any, 1);
	atomic_store(&e->has_types, r > 0);
	for (size_t i = 0; r >= 0 && i < e->conf->type_count; i++) {
		struct err why = { 0 };

		/* A full disk, or specs in each other's way: the rest works without it. */
		if (configured(e, v, &e->conf->types[i], &why) < 0)
			log_err("volume type '%s' of the configuration is not made: %s",
				e->conf->types[i].name, why.text);
	}
	view_close(v);
	return r < 0 ? err_set(err, r, "the catalogue cannot be read: see the log") : 0;
}
