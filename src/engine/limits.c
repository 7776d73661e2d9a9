/* An administrator's changes of limits: a project's, or one of its for a single type. */
#include "engine/internal.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct limit_edit {
	struct request q; /* row: the project's, or the type's of it */
	char project[NAME_LEN + 1];
	int64_t type; /* 0: of all types */
	bool limited; /* by the next two; else only the row is wanted */
	enum quota_resource limit;
	int64_t max;
};

/* type: its name; "": of all. */
static int set_limit(struct limit_edit *c, struct tx *tx, int64_t project, const char *type)
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
	struct limit_edit *c = (struct limit_edit *)q;
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
static int known_project(
	struct engine *e, const char *project, struct limit_edit *c, struct err *err)
{
	gid_t gid;
	struct caller admin = { .admin = true };

	(void)snprintf(c->project, sizeof c->project, "%s", project);
	if (strcmp(project, "default") == 0 || strcmp(project, "root") == 0)
		return 0;
	return project_of(e, &admin, project, c->project, &gid, err);
}

static struct limit_edit *limit_edit_new(struct engine *e, struct change_id id,
	const struct caller *who, int64_t type, engine_done *done, void *arg)
{
	struct limit_edit *c = request_new(e, sizeof *c, id, who, done, arg);

	if (!c)
		return NULL;
	c->type = type;
	c->q.apply = quota_apply;
	return c;
}

void engine_quota_set(struct engine *e, struct change_id id, const struct caller *who,
	const char *project, int64_t type, enum quota_resource what, int64_t max, engine_done *done,
	void *arg)
{
	struct limit_edit *c = limit_edit_new(e, id, who, type, done, arg);
	struct err err = { 0 };
	int r = 0;

	if (!c)
		return;
	c->limited = true;
	c->limit = what;
	c->max = max;
	if (!who->admin)
		r = err_set(&err, -EACCES, "only an administrator sets a quota");
	(void)snprintf(c->project, sizeof c->project, "%s", project);
	request_send(&c->q, r, &err);
}

void engine_quota_row(
	struct engine *e, const char *project, int64_t type, engine_done *done, void *arg)
{
	struct limit_edit *c = limit_edit_new(e, (struct change_id){ 0 }, NULL, type, done, arg);
	struct err err = { 0 };
	int r = 0;

	if (!c)
		return;
	if (type) /* of a project that has its row */
		(void)snprintf(c->project, sizeof c->project, "%s", project);
	else
		r = known_project(e, project, c, &err);
	request_send(&c->q, r, &err);
}
