/* Changes that need no job: name, owner, text, metadata, status by an administrator, limits. */
#include "engine/internal.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One struct for all of them: what each needs of it is named in its own function. */
struct edit {
	struct request q;
	unsigned fields;
	struct volume values;
	char project[NAME_LEN + 1];
	char *key, *value;
	enum meta_how how;
	bool limited; /* by limit and max */
	enum quota_resource limit;
	int64_t max;
	int64_t type; /* whose quota; 0: of all types */
	struct backend *b;
	bool disabled;
};

static void edit_release(struct request *q)
{
	free(((struct edit *)q)->key);
	free(((struct edit *)q)->value);
}

static struct edit *edit_new(struct engine *e, struct change_id id, const struct caller *who,
	int64_t volume, int (*apply)(struct request *, struct tx *, struct err *),
	engine_done *done, void *arg)
{
	struct edit *c = request_new(e, sizeof *c, id, who, done, arg);

	if (!c)
		return NULL;
	c->q.volume = c->q.row = volume;
	c->q.apply = apply;
	c->q.release = edit_release;
	return c;
}

/* Submits it, or refuses it with what r and err say. */
static void send(struct edit *c, int r, const struct err *err)
{
	if (r < 0)
		request_refuse(&c->q, r, err);
	else
		request_submit(&c->q);
}

int volume_live(struct tx *tx, int64_t id, struct volume *ret, struct err *err)
{
	int r = tx_volume(tx, id, ret);

	if (r == 0 && ret->trashed && ret->expires_us)
		return err_set(
			err, -EBUSY, "volume '%s' is in the trash: bring it back first", ret->uuid);
	if (r == -ENOENT || (r == 0 && ret->trashed))
		return err_set(err, -ENOENT, "no such volume");
	return r;
}

/* --- name --- */

static int rename_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct edit *c = (struct edit *)q;
	struct volume v;
	int r;

	r = volume_live(tx, q->volume, &v, err);
	r = r < 0 ? r : spec_name_check(c->key, v.uuid, err);
	if (r < 0 || strcmp(v.name, c->key) == 0)
		return r;
	r = name_free(tx, c->key, err);
	r = r < 0 ? r : tx_volume_rename(tx, v.id, c->key);
	r = r < 0 ? r
		  : request_event(
			    q, tx, v.id, "volume.update.end", "name %s, was %s", c->key, v.name);
	note_volume(q->e, v.id, VOL_CHANGED_NAME, v.status, false);
	note(q->e, (struct change_note){ .kind = CHANGE_LIST, .volume = v.id });
	return r;
}

void engine_rename(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	const char *name, engine_done *done, void *arg)
{
	struct edit *c = edit_new(e, id, who, volume, rename_apply, done, arg);

	if (!c)
		return;
	request_counts(&c->q, OP_RENAME);
	c->key = strdup(name);
	send(c, c->key ? 0 : -ENOMEM, NULL);
}

/* --- owner and text --- */

/* To another project: its quota must have room for the whole volume and its snapshots. */
static int move_quota(struct edit *c, struct tx *tx, const struct volume *v, struct err *err)
{
	uint64_t snapshots, size;
	struct quotas q;
	int64_t from, to;
	int r;

	if (strcmp(c->project, v->project) == 0)
		return 0;
	r = quotas_read(&(struct reader){ NULL, tx }, c->project, v->type_id, &q);
	r = r < 0 ? r : tx_snapshot_sums(tx, v->id, &snapshots, &size);
	r = r < 0 ? r : size_check(&q, v->size, err);
	r = r < 0 ? r : quota_check(&q, 1, v->size + size, err);
	r = r < 0 ? r : quota_check_snapshots(&q, snapshots, 0, err);
	r = r < 0 ? r : tx_project(tx, v->project, &from);
	r = r < 0 ? r : tx_project(tx, c->project, &to);
	if (r < 0)
		return r;
	note_quota(c->q.e, from);
	note_quota(c->q.e, to);
	return 0;
}

/* While it is still its old project's, whose users will see no later event of it. */
static int tell_leaving(struct edit *c, struct tx *tx, const struct volume *v, const char *project)
{
	if (strcmp(project, v->project) == 0)
		return 0;
	return request_event(
		&c->q, tx, v->id, "volume.transfer.accept.start", "to project %s", project);
}

/* To another user or project is what the reference calls a transfer. */
static int tell_owner(struct edit *c, struct tx *tx, const struct volume *v, const char *project)
{
	CLEANUP(buf_release) struct buf what = { 0 };
	bool transfer = strcmp(project, v->project) != 0;

	if (c->fields & SET_UID) {
		transfer |= c->values.uid != v->uid;
		buf_addf(&what, "uid %u, was %u", (unsigned)c->values.uid, (unsigned)v->uid);
	}
	if (c->fields & SET_GID)
		buf_addf(&what, "%sproject %s, was %s", what.len ? "; " : "", project, v->project);
	if (c->fields & SET_MODE)
		buf_addf(&what, "%smode %04o, was %04o", what.len ? "; " : "",
			(unsigned)(c->values.mode & 0777), (unsigned)v->mode);
	return request_event(&c->q, tx, v->id,
		transfer ? "volume.transfer.accept.end" : "volume.update.end", "%s",
		buf_text(&what));
}

static int set_owner(struct edit *c, struct tx *tx, const struct volume *v, struct err *err)
{
	const struct volume *to = &c->values;
	mode_t mode = c->fields & SET_MODE ? to->mode & 0777 : v->mode;
	uid_t uid = c->fields & SET_UID ? to->uid : v->uid;
	gid_t gid = c->fields & SET_GID ? to->gid : v->gid;
	const char *project = c->fields & SET_GID ? c->project : v->project;
	int r = c->fields & SET_GID ? move_quota(c, tx, v, err) : 0;

	r = r < 0 ? r : tell_leaving(c, tx, v, project);
	r = r < 0 ? r : tx_volume_owner(tx, v->id, mode, uid, gid, project);
	/* A new owner of the volume has its bytes, too, whoever had them. */
	if (r == 0 && c->fields & (SET_UID | SET_GID))
		r = tx_volume_data(tx, v->id, (uid_t)-1, (gid_t)-1, v->data_mode);
	r = r < 0 ? r : tell_owner(c, tx, v, project);
	note_volume(c->q.e, v->id, VOL_CHANGED_OWNER | VOL_CHANGED_DATA, v->status, false);
	return r;
}

int value_append(char text[NAME_LEN + 1], const char *more, struct err *err)
{
	size_t len = strlen(text), n = strlen(more);
	bool blank = len && n;

	if (len + blank + n > NAME_LEN)
		return err_set(err, -EINVAL,
			"with what is there the value is %zu bytes long; at most %d are possible",
			len + blank + n, NAME_LEN);
	if (blank)
		text[len++] = ' ';
	memcpy(text + len, more, n + 1);
	return 0;
}

static int set_text(struct edit *c, struct tx *tx, const struct volume *v, struct err *err)
{
	const struct volume *to = &c->values;
	const char *text = c->fields & SET_DESCRIPTION ? to->description : v->description;
	bool protected_ = c->fields & SET_PROTECTED ? to->protected_ : v->protected_;
	char both[NAME_LEN + 1];
	int r = 0;

	if (c->fields & SET_APPEND) {
		memcpy(both, v->description, sizeof both);
		r = value_append(both, to->description, err);
		text = both;
	}
	r = r < 0 ? r : tx_volume_text(tx, v->id, text, protected_);

	r = r < 0 ? r
		  : request_event(&c->q, tx, v->id, "volume.update.end", "%s",
			    !(c->fields & SET_PROTECTED) ? "description"
			    : protected_		 ? "protected 1"
							 : "protected 0");
	note_volume(c->q.e, v->id, VOL_CHANGED_TEXT, v->status, false);
	return r;
}

/* Of `data` alone. */
static int set_data(struct edit *c, struct tx *tx, const struct volume *v)
{
	const struct volume *to = &c->values;
	mode_t mode = c->fields & SET_DATA_MODE ? to->data_mode & 0777 : v->data_mode;
	uid_t uid = c->fields & SET_DATA_UID ? to->data_uid : v->data_uid;
	gid_t gid = c->fields & SET_DATA_GID ? to->data_gid : v->data_gid;
	int r = tx_volume_data(tx, v->id, uid, gid, mode);

	note_volume(c->q.e, v->id, VOL_CHANGED_DATA, v->status, false);
	return r < 0 ? r
		     : request_event(&c->q, tx, v->id, "volume.update.end",
			       "data uid %u, gid %u, mode %04o",
			       (unsigned)(uid == (uid_t)-1 ? v->uid : uid),
			       (unsigned)(gid == (gid_t)-1 ? v->gid : gid), (unsigned)mode);
}

/* Which status they need: reference, 6.2. */
static int may_flag(const struct edit *c, const struct volume *v, struct err *err)
{
	bool readonly = c->fields & SET_READONLY && c->values.readonly != v->readonly;

	if ((readonly && v->status != VOL_AVAILABLE) || v->status == VOL_MAINTENANCE)
		return err_set(
			err, -EBUSY, "volume '%s' is %s", v->name, vol_status_name(v->status));
	return 0;
}

static int set_flags(struct edit *c, struct tx *tx, const struct volume *v, struct err *err)
{
	bool readonly = c->fields & SET_READONLY ? c->values.readonly : v->readonly;
	bool bootable = c->fields & SET_BOOTABLE ? c->values.bootable : v->bootable;
	int r = may_flag(c, v, err);

	r = r < 0 ? r : tx_volume_flags(tx, v->id, readonly, bootable);
	r = r < 0 ? r
		  : request_event(&c->q, tx, v->id, "volume.update.end", "%s %d",
			    c->fields & SET_READONLY ? "readonly" : "bootable",
			    c->fields & SET_READONLY ? readonly : bootable);
	note_volume(c->q.e, v->id, VOL_CHANGED_TEXT, v->status, false);
	return r;
}

static int set_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct edit *c = (struct edit *)q;
	struct volume v;
	int r = volume_live(tx, q->volume, &v, err);

	if (r == 0 && c->fields & (SET_READONLY | SET_BOOTABLE))
		r = set_flags(c, tx, &v, err);
	if (r == 0 && c->fields & (SET_DATA_MODE | SET_DATA_UID | SET_DATA_GID))
		r = set_data(c, tx, &v);

	if (r == 0 && c->fields & (SET_MODE | SET_UID | SET_GID))
		r = set_owner(c, tx, &v, err);
	if (r == 0 && c->fields & (SET_DESCRIPTION | SET_PROTECTED))
		r = set_text(c, tx, &v, err);
	return r;
}

void engine_set(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	unsigned fields, const struct volume *values, engine_done *done, void *arg)
{
	struct edit *c = edit_new(e, id, who, volume, set_apply, done, arg);
	struct err err = { 0 };
	int r = 0;

	if (!c)
		return;
	request_counts(&c->q, OP_UPDATE);
	c->fields = fields;
	c->values = *values;
	if (fields & SET_GID)
		r = project_of_gid(e, values->gid, c->project, &err);
	if (r == 0 && fields & SET_DESCRIPTION)
		r = spec_value_check(values->description, strlen(values->description), &err);
	send(c, r, &err);
}

/* --- the administrator's reset --- */

/* What makes no sense to claim of a volume: that is for an operation to say. */
static bool may_claim(enum vol_status s)
{
	return s != VOL_DELETING && s != VOL_REVERTING && s != VOL_UNMANAGING &&
	       s != VOL_ERROR_UNMANAGING && s != VOL_MIGRATING;
}

static int reset_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct edit *c = (struct edit *)q;
	enum vol_status to = c->values.status;
	struct volume v;
	int64_t job;
	int r = volume_live(tx, q->volume, &v, err);

	if (r < 0)
		return r;
	if (tx_job_of(tx, v.id, &job) == 0)
		return err_set(err, -EBUSY, "volume '%s' is %s, and that is still under way",
			v.name, vol_status_name(v.status));
	r = tx_volume_status(tx, v.id, to, vol_status_is_error(to) ? v.reason : "");
	r = r < 0 ? r
		  : request_event(q, tx, v.id, "volume.reset_status.end", "%s, was %s",
			    vol_status_name(to), vol_status_name(v.status));
	note_volume(q->e, v.id, VOL_CHANGED_STATUS, to, false);
	return r;
}

void engine_reset(struct engine *e, struct change_id id, const struct caller *who, int64_t volume,
	enum vol_status status, engine_done *done, void *arg)
{
	struct edit *c = edit_new(e, id, who, volume, reset_apply, done, arg);
	struct err err = { 0 };
	int r = 0;

	if (!c)
		return;
	request_counts(&c->q, OP_RESET);
	c->values.status = status;
	if (!who->admin)
		r = err_set(&err, -EACCES, "only an administrator resets a status");
	else if (!may_claim(status))
		r = err_set(
			&err, -EINVAL, "a status cannot be reset to %s", vol_status_name(status));
	send(c, r, &err);
}

/* --- metadata --- */

static int meta_remove(struct edit *c, struct tx *tx, struct err *err)
{
	int r = tx_meta_find(tx, c->q.volume, c->key, &c->q.row);

	if (r == -ENOENT)
		return err_set(err, r, "no such metadata: '%s'", c->key);
	return r < 0 ? r : tx_meta_remove(tx, c->q.row);
}

static int meta_put(struct edit *c, struct tx *tx, struct err *err)
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
	struct edit *c = (struct edit *)q;
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
	struct edit *c = edit_new(e, id, who, volume, meta_apply, done, arg);
	struct err err = { 0 };
	int r;

	if (!c)
		return;
	request_counts(&c->q, OP_UPDATE);
	r = value ? spec_metadata_key_check(key, &err) : 0;
	if (r == 0 && value)
		r = spec_value_check(value, strlen(value), &err);
	c->key = strdup(key);
	c->value = value ? strdup(value) : NULL;
	c->how = how;
	if (r == 0 && (!c->key || (value && !c->value)))
		r = -ENOMEM;
	send(c, r, &err);
}

/* value: the other key. The row moves, as an inode does. */
static int meta_rename_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct edit *c = (struct edit *)q;
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
	struct edit *c = edit_new(e, id, who, volume, meta_rename_apply, done, arg);
	struct err err = { 0 };
	int r;

	if (!c)
		return;
	request_counts(&c->q, OP_UPDATE);
	r = spec_metadata_key_check(to, &err);
	c->key = strdup(key);
	c->value = strdup(to);
	if (r == 0 && (!c->key || !c->value))
		r = -ENOMEM;
	send(c, r, &err);
}

/* --- quotas --- */

/* type: its name; "": of all. */
static int set_limit(struct edit *c, struct tx *tx, int64_t project, const char *type)
{
	const char *what = quota_resource_name(c->limit);
	char max[TEXT_SIZE_MAX];
	int r = tx_quota_limit(tx, c->q.row, c->type != 0, c->limit, c->max);

	return r < 0 ? r
		     : request_event_of(&c->q, tx, project, c->project, "quota.update", "%s %s%s%s",
			       what, engine_limit_text(c->limit, c->max, max),
			       *type ? ", type " : "", type);
}

/* With a row of the type's, too, if it is about one type. */
static int quota_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct edit *c = (struct edit *)q;
	struct vol_type t = { 0 };
	int64_t project;
	int r = tx_project(tx, c->project, &project);

	q->row = project;
	note_quota(q->e, project);
	if (r == 0 && c->type) {
		r = tx_type(tx, c->type, &t);
		if (r == -ENOENT)
			return err_set(err, r, "the volume type is gone");
		r = r < 0 ? r : tx_type_quota(tx, q->row, c->type, &q->row);
	}
	if (r == 0 && c->limited)
		r = set_limit(c, tx, project, t.name);
	/* One for everybody who has none of his own ("default") shows with each project's next deletion. */
	if (r == 0 && c->limited && c->limit == QUOTA_TRASH_SIZE)
		r = trash_fit(q, tx, c->project, c->type);
	return r;
}

/* A project that exists: a group, or one that has a row already (a group may go while its volumes stay). */
static int known_project(struct engine *e, const char *project, struct edit *c, struct err *err)
{
	gid_t gid;
	struct caller admin = { .admin = true };

	(void)snprintf(c->project, sizeof c->project, "%s", project);
	if (strcmp(project, "default") == 0 || strcmp(project, "root") == 0)
		return 0;
	return project_of(e, &admin, project, c->project, &gid, err);
}

void engine_quota_set(struct engine *e, struct change_id id, const struct caller *who,
	const char *project, int64_t type, enum quota_resource what, int64_t max, engine_done *done,
	void *arg)
{
	struct edit *c = edit_new(e, id, who, 0, quota_apply, done, arg);
	struct err err = { 0 };
	int r = 0;

	if (!c)
		return;
	c->limited = true;
	c->limit = what;
	c->max = max;
	c->type = type;
	if (!who->admin)
		r = err_set(&err, -EACCES, "only an administrator sets a quota");
	(void)snprintf(c->project, sizeof c->project, "%s", project);
	send(c, r, &err);
}

void engine_quota_row(
	struct engine *e, const char *project, int64_t type, engine_done *done, void *arg)
{
	struct edit *c = edit_new(e, (struct change_id){ 0 }, NULL, 0, quota_apply, done, arg);
	struct err err = { 0 };
	int r = 0;

	if (!c)
		return;
	c->type = type;
	if (type) /* of a project that has its row */
		(void)snprintf(c->project, sizeof c->project, "%s", project);
	else
		r = known_project(e, project, c, &err);
	send(c, r, &err);
}

/* --- backends --- */

static int disable_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct edit *c = (struct edit *)q;

	struct backend_row had;
	int r = tx_backend_sums(tx, c->b->id, &had);

	note(q->e, (struct change_note){ .kind = CHANGE_BACKEND, .row = c->b->id });
	r = r < 0 ? r : tx_backend_disable(tx, c->b->id, c->disabled);
	if (r < 0 || had.disabled == c->disabled)
		return r;
	return request_event_of(q, tx, 0, c->b->conf->name,
		c->disabled ? "backend.disable" : "backend.enable", "%s", "");
}

void engine_backend_disable(struct engine *e, struct change_id id, const struct caller *who,
	size_t i, bool disabled, engine_done *done, void *arg)
{
	struct edit *c = edit_new(e, id, who, 0, disable_apply, done, arg);
	struct err err = { 0 };

	if (!c)
		return;
	c->b = &e->backend[i];
	c->q.row = c->b->id;
	c->disabled = disabled;
	send(c, who->admin ? 0 : err_set(&err, -EACCES, "only an administrator disables a backend"),
		&err);
}
