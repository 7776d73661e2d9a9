/*
 * What hangs on a volume type: extra specs, QoS specs, projects with access, projects whose default it is. What a key and its value may
 * be is type.h's to say; here it is whether they go together, and when they may change.
 */
#include "engine/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int type_fits_the_others(struct type_edit *c, struct tx *tx, const char *key, const char *value,
	const char *gone, struct err *err)
{
	static const char *const others[] = { TYPE_MIN_SIZE, TYPE_MAX_SIZE, "multiattach",
		"cacheable" };
	struct type_entry other;
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof others / sizeof others[0]; i++) {
		if (gone && !strcmp(gone, others[i]))
			continue;
		r = tx_type_entry(tx, c->type, TYPE_EXTRA_SPECS, others[i], &other);
		if (r == 0)
			r = type_pair_fits(key, value, other.key, other.value, err);
		else if (r == -ENOENT)
			r = 0;
	}
	return r;
}

static int project_check(struct engine *e, struct type_edit *c, struct err *err)
{
	struct caller admin = { .admin = true };
	char name[NAME_LEN + 1];
	gid_t gid;
	int r;

	if (!strcmp(c->key, "root"))
		return 0;
	r = project_of(e, &admin, c->key, name, &gid, err);
	if (r == 0 && strcmp(name, c->key) != 0)
		return err_set(err, -ENOENT, "the project is called '%s'", name);
	return r;
}

static int value_check(enum type_list list, const char *key, const char *value, struct err *err)
{
	switch (list) {
	case TYPE_EXTRA_SPECS:
		return type_spec_check(key, value, err);
	case TYPE_QOS:
		return type_qos_check(key, value, err);
	case TYPE_ACCESS:
	case TYPE_DEFAULT_FOR:
		return *value ? err_set(err, -EINVAL, "the file's name says it all: it stays empty")
			      : 0;
	}
	return -EINVAL;
}

/* What is appended is judged with what is there, in the transaction. */
static int entry_check(struct engine *e, struct type_edit *c, struct err *err)
{
	int r = c->how == META_APPEND ? type_key_check(c->key, err)
				      : value_check(c->list, c->key, c->value, err);

	if (r == 0 && c->how == META_APPEND)
		r = spec_value_check(c->value, strlen(c->value), err);
	if (r == 0 && (c->list == TYPE_ACCESS || c->list == TYPE_DEFAULT_FOR))
		r = project_check(e, c, err);
	return r;
}

/* --- the changes --- */

/* May the list be changed now? */
static int list_open(struct type_edit *c, struct tx *tx, struct vol_type *ret, struct err *err)
{
	int r = type_there(c, tx, ret, err);

	if (r == 0 && c->list == TYPE_EXTRA_SPECS)
		r = type_unused(tx, ret, "extra specs cannot be changed", err);
	return r;
}

/* value NULL: the key is gone. */
static int tell(struct type_edit *c, struct tx *tx, const struct vol_type *t, const char *key,
	const char *value)
{
	static const struct {
		const char *set, *removed;
	} event[] = {
		[TYPE_EXTRA_SPECS] = { "volume_type_extra_specs.update",
			"volume_type_extra_specs.delete" },
		[TYPE_QOS] = { "qos_specs.update", "qos_specs.delete_keys" },
		[TYPE_ACCESS] = { "volume_type_project.access.add",
			"volume_type_project.access.remove" },
		[TYPE_DEFAULT_FOR] = { "volume_type_project.default.add",
			"volume_type_project.default.remove" },
	};
	const char *name = value ? event[c->list].set : event[c->list].removed;

	return request_event_of(&c->q, tx, 0, t->name, name, "%s%s%s", key,
		value && *value ? "=" : "", value ? value : "");
}

static int no_such_key(struct type_edit *c, int r, struct err *err)
{
	return r == -ENOENT ? err_set(err, r, "there is no '%s'", c->key) : r;
}

static int put(struct type_edit *c, struct tx *tx, const struct vol_type *t, struct err *err)
{
	struct type_entry had;
	const char *value = c->value;
	int r = tx_type_entry(tx, c->type, c->list, c->key, &had);

	if (r == 0 && c->how == META_CREATE)
		return err_set(err, -EEXIST, "'%s' is there", c->key);
	if (r == 0 && c->how == META_APPEND) {
		r = value_append(had.value, c->value, err);
		value = had.value;
	}
	if (r == -ENOENT)
		r = 0;
	if (r == 0 && c->how == META_APPEND)
		r = value_check(c->list, c->key, value, err);
	if (r == 0 && c->list == TYPE_EXTRA_SPECS)
		r = type_fits_the_others(c, tx, c->key, value, NULL, err);
	r = r < 0 ? r : tx_type_entry_set(tx, c->type, c->list, c->key, value, &c->q.row);
	return r < 0 ? r : tell(c, tx, t, c->key, value);
}

static int entry_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct type_edit *c = (struct type_edit *)q;
	struct type_entry had;
	struct vol_type t;
	int r = list_open(c, tx, &t, err);

	if (r < 0)
		return r;
	if (c->value)
		return put(c, tx, &t, err);
	r = no_such_key(c, tx_type_entry(tx, c->type, c->list, c->key, &had), err);
	r = r < 0 ? r : tx_type_entry_remove(tx, had.id);
	return r < 0 ? r : tell(c, tx, &t, c->key, NULL);
}

void engine_type_entry(struct engine *e, struct change_id id, const struct caller *who,
	int64_t type, enum type_list list, const char *key, const char *value, enum meta_how how,
	engine_done *done, void *arg)
{
	struct type_edit *c = type_edit_new(e, id, who, type, entry_apply, done, arg);
	struct err err = { 0 };
	int r = 0;

	if (!c)
		return;
	c->list = list;
	c->how = how;
	c->key = strdup(key);
	c->value = value ? strdup(value) : NULL;
	if (!c->key || (value && !c->value))
		r = -ENOMEM;
	else if (value && who->admin)
		r = entry_check(e, c, &err);
	type_edit_send(c, r, &err);
}

/* value: the other key. The row moves, as an inode does. */
static int entry_rename_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct type_edit *c = (struct type_edit *)q;
	struct type_entry from, to;
	struct vol_type t;
	int r = list_open(c, tx, &t, err);

	r = r < 0 ? r : no_such_key(c, tx_type_entry(tx, c->type, c->list, c->key, &from), err);
	if (r < 0 || !strcmp(c->key, c->value))
		return r;
	r = value_check(c->list, c->value, from.value, err);
	if (r == 0 && c->list == TYPE_EXTRA_SPECS)
		r = type_fits_the_others(c, tx, c->value, from.value, c->key, err);
	if (r < 0)
		return r;
	q->row = from.id;
	if (tx_type_entry(tx, c->type, c->list, c->value, &to) == 0)
		r = tx_type_entry_remove(tx, to.id);
	r = r < 0 ? r : tx_type_entry_rename(tx, from.id, c->value);
	r = r < 0 ? r : tell(c, tx, &t, c->key, NULL);
	return r < 0 ? r : tell(c, tx, &t, c->value, from.value);
}

void engine_type_entry_rename(struct engine *e, struct change_id id, const struct caller *who,
	int64_t type, enum type_list list, const char *key, const char *to, engine_done *done,
	void *arg)
{
	struct type_edit *c = type_edit_new(e, id, who, type, entry_rename_apply, done, arg);
	struct err err = { 0 };
	int r;

	if (!c)
		return;
	c->list = list;
	c->key = strdup(key);
	c->value = strdup(to);
	r = c->key && c->value ? type_key_check(to, &err) : -ENOMEM;
	if (r == 0 && (list == TYPE_ACCESS || list == TYPE_DEFAULT_FOR))
		r = err_set(&err, -EPERM, "a project is not renamed here");
	type_edit_send(c, r, &err);
}
