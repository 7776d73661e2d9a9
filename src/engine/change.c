/* Changes of a volume that need no job: name, owner, text, flags, status by an administrator. */
#include "engine/internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct edit {
	struct request q;
	unsigned fields; /* of values */
	struct volume values;
	char project[NAME_LEN + 1]; /* with SET_GID */
	char *name;		    /* of a rename */
};

static void edit_release(struct request *q)
{
	free(((struct edit *)q)->name);
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
	r = r < 0 ? r : spec_name_check(c->name, v.uuid, err);
	if (r < 0 || strcmp(v.name, c->name) == 0)
		return r;
	r = name_free(tx, c->name, err);
	r = r < 0 ? r : tx_volume_rename(tx, v.id, c->name);
	r = r < 0 ? r
		  : request_event(
			    q, tx, v.id, "volume.update.end", "name %s, was %s", c->name, v.name);
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
	c->name = strdup(name);
	request_send(&c->q, c->name ? 0 : -ENOMEM, NULL);
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
	request_send(&c->q, r, &err);
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
	request_send(&c->q, r, &err);
}
