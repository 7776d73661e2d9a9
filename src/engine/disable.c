/* An administrator takes a backend out of use for new volumes, and back. */
#include "engine/internal.h"

#include <errno.h>

struct disable {
	struct request q; /* row: the backend's */
	struct backend *b;
	bool disabled;
};

static int disable_apply(struct request *q, struct tx *tx, struct err *err)
{
	struct disable *c = (struct disable *)q;
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
	struct disable *c = request_new(e, sizeof *c, id, who, done, arg);
	struct err err = { 0 };

	if (!c)
		return;
	c->b = &e->backend[i];
	c->q.row = c->b->id;
	c->q.apply = disable_apply;
	c->disabled = disabled;
	request_send(&c->q,
		who->admin ? 0 : err_set(&err, -EACCES, "only an administrator disables a backend"),
		&err);
}
