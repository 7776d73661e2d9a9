/* Changes of a volume's metadata: keys that are set, appended to, removed, renamed. */
#include "engine/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct meta_edit {
	struct request q;  /* row: the key's */
	char *key, *value; /* value NULL: it goes. Of a rename: the other key */
	enum meta_how how;
};

static void edit_release(struct request *q)
{
	free(((struct meta_edit *)q)->key);
	free(((struct meta_edit *)q)->value);
}

static struct meta_edit *meta_edit_new(struct engine *e, struct change_id id,
	const struct caller *who, int64_t volume,
	int (*apply)(struct request *, struct tx *, struct err *), engine_done *done, void *arg)
{
	struct meta_edit *c = request_new(e, sizeof *c, id, who, done, arg);

	if (!c)
		return NULL;
	c->q.volume = c->q.row = volume;
	c->q.apply = apply;
	c->q.release = edit_release;
	request_counts(&c->q, OP_UPDATE);
	return c;
}

static int meta_remove(struct meta_edit *c, struct tx *tx, struct err *err)
{
	int r = tx_meta_find(tx, c->q.volume, c->key, &c->q.row);

	if (r == -ENOENT)
		return err_set(err, r, "no such metadata: '%s'", c->key);
	return r < 0 ? r : tx_meta_remove(tx, c->q.row);
}

static int meta_put(struct meta_edit *c, struct tx *tx, struct err *err)
{
	char had[NAME_LEN + 1] = "";
	const char *value = c->value;
	int64_t row;
	int r = c->how == META_SET ? 0 : tx_meta_get(tx, c->q.volume, c->key, &row, had);

	if (r == 0 && c->how == META_CREATE)
		return err_set(err, -EEXIST, "metadata '%s' exists", c->key);
	if (r == -ENOENT)
		r = 0;
	if (r == 0 && c->how == META_APPEND) {
		r = value_append(had, c->value, err);
		value = had;
	}
	return r < 0 ? r : tx_meta_set(tx, c->q.volume, c->key, value, &c->q.row);
}

/* May its metadata be changed now? */
static int meta_volume(struct request *q, struct tx *tx, struct volume *ret, struct err *err)
{
	int r = volume_live(tx, q->volume, ret, err);

	if (r == 0 && (ret->status == VOL_MAINTENANCE || ret->status == VOL_UPLOADING))
		r = err_set(
			err, -EBUSY, "volume '%s' is %s", ret->name, vol_status_name(ret->status));
	return r;
}

static void note_meta(struct engine *e, const struct volume *v, int64_t row)
{
	note(e, (struct change_note){
			.kind = CHANGE_META, .volume = v->id, .row = row, .status = v->status });
}

static int meta_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct meta_edit *c = (struct meta_edit *)q;
	struct volume v;
	int r = meta_volume(q, tx, &v, err);

	if (r == 0)
		r = c->value ? meta_put(c, tx, err) : meta_remove(c, tx, err);
	if (r < 0)
		return r;
	note_meta(q->e, &v, q->row);
	return request_event(q, tx, v.id, "volume.update.end", "metadata %s %s", c->key,
		c->value ? "set" : "removed");
}

void engine_meta(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	const char *key, const char *value, enum meta_how how, engine_done *done, void *arg)
{
	struct meta_edit *c = meta_edit_new(e, id, who, volume, meta_apply, done, arg);
	struct err err = { 0 };
	int r;

	if (!c)
		return;
	r = value ? spec_metadata_key_check(key, &err) : 0;
	if (r == 0 && value)
		r = spec_value_check(value, strlen(value), &err);
	c->key = strdup(key);
	c->value = value ? strdup(value) : NULL;
	c->how = how;
	if (r == 0 && (!c->key || (value && !c->value)))
		r = -ENOMEM;
	request_send(&c->q, r, &err);
}

/* The row moves, as an inode does. */
static int meta_rename_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct meta_edit *c = (struct meta_edit *)q;
	int64_t replaced;
	struct volume v;
	int r = meta_volume(q, tx, &v, err);

	if (r < 0)
		return r;
	r = tx_meta_find(tx, v.id, c->key, &q->row);
	if (r == -ENOENT)
		return err_set(err, r, "no such metadata: '%s'", c->key);
	if (r == 0 && tx_meta_find(tx, v.id, c->value, &replaced) == 0 && replaced != q->row) {
		r = tx_meta_remove(tx, replaced);
		note_meta(q->e, &v, replaced);
	}
	r = r < 0 ? r : tx_meta_rename(tx, q->row, c->value);
	if (r < 0)
		return r;
	note_meta(q->e, &v, q->row);
	return request_event(
		q, tx, v.id, "volume.update.end", "metadata %s set, was %s", c->value, c->key);
}

void engine_meta_rename(struct engine *e, struct change_id id, const struct caller *who,
	int64_t volume, const char *key, const char *to, engine_done *done, void *arg)
{
	struct meta_edit *c = meta_edit_new(e, id, who, volume, meta_rename_apply, done, arg);
	struct err err = { 0 };
	int r;

	if (!c)
		return;
	r = spec_metadata_key_check(to, &err);
	c->key = strdup(key);
	c->value = strdup(to);
	if (r == 0 && (!c->key || !c->value))
		r = -ENOMEM;
	request_send(&c->q, r, &err);
}
