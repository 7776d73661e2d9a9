/* Changes of a snapshot that need no job: its name and description. */
#include "engine/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct edit {
	struct request q;
	int64_t snapshot;
	char text[NAME_LEN + 1]; /* the new name, or description */
	bool append;
};

static struct edit *edit_new(struct engine *e, struct change_id id, const struct caller *who,
	int64_t snapshot, int (*apply)(struct request *, struct tx *, struct err *),
	engine_done *done, void *arg)
{
	struct edit *c = request_new(e, sizeof *c, id, who, done, arg);

	if (!c)
		return NULL;
	c->snapshot = c->q.row = snapshot;
	c->q.apply = apply;
	return c;
}

/* text was checked with r as the result: so it fits. */
static void send(struct edit *c, const char *text, int r, const struct err *err)
{
	if (r < 0) {
		request_refuse(&c->q, r, err);
		return;
	}
	(void)snprintf(c->text, sizeof c->text, "%s", text);
	request_submit(&c->q);
}

/* One that is being taken keeps the name that mkdir has given it. */
static int rename_check(struct edit *c, struct tx *tx, const struct volume *v,
	const struct snapshot *s, struct err *err)
{
	struct snapshot other;
	int r = spec_snapshot_name_check(c->text, s->uuid, err);

	if (r < 0)
		return r;
	if (s->status == SNAP_CREATING)
		return err_set(
			err, -EBUSY, "snapshot '%s' is %s", s->name, snap_status_name(s->status));
	r = tx_snapshot_by_name(tx, v->id, c->text, &other);
	if (r == 0)
		return err_set(err, -EEXIST, "volume '%s' has a snapshot '%s'", v->name, c->text);
	return r == -ENOENT ? 0 : r;
}

static int rename_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct edit *c = (struct edit *)q;
	struct snapshot s;
	struct volume v;
	int r = snapshot_live(tx, c->snapshot, &s, &v, err);

	if (r < 0 || strcmp(s.name, c->text) == 0)
		return r;
	r = rename_check(c, tx, &v, &s, err);
	r = r < 0 ? r : tx_snapshot_rename(tx, s.id, c->text);
	snapshot_note(q->e, &v, s.id);
	return r < 0 ? r
		     : request_event_snap(
			       q, tx, v.id, c->text, "snapshot.update.end", "was %s", s.name);
}

void engine_snapshot_rename(struct engine *e, struct change_id id, const struct caller *who,
	int64_t snapshot, const char *name, engine_done *done, void *arg)
{
	struct edit *c = edit_new(e, id, who, snapshot, rename_apply, done, arg);
	struct err err = { 0 };

	if (!c)
		return;
	if (strlen(name) > NAME_LEN)
		send(c, name,
			err_set(&err, -ENAMETOOLONG,
				"a name is %zu bytes long; at most %d are possible", strlen(name),
				NAME_LEN),
			&err);
	else
		send(c, name, 0, NULL);
}

static int describe_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct edit *c = (struct edit *)q;
	const char *text = c->text;
	struct snapshot s;
	struct volume v;
	int r = snapshot_live(tx, c->snapshot, &s, &v, err);

	if (r == 0 && c->append) {
		r = value_append(s.description, c->text, err);
		text = s.description;
	}
	r = r < 0 ? r : tx_snapshot_text(tx, s.id, text);
	if (r < 0)
		return r;
	snapshot_note(q->e, &v, s.id);
	return request_event_snap(q, tx, v.id, s.name, "snapshot.update.end", "description");
}

void engine_snapshot_describe(struct engine *e, struct change_id id, const struct caller *who,
	int64_t snapshot, const char *text, bool append, engine_done *done, void *arg)
{
	struct edit *c = edit_new(e, id, who, snapshot, describe_apply, done, arg);
	struct err err = { 0 };

	if (!c)
		return;
	c->append = append;
	send(c, text, spec_value_check(text, strlen(text), &err), &err);
}
