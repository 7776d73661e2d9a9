/* The step runner. */
#include "engine/internal.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_FENCED = 75 }; /* EX_TEMPFAIL: the supervisor starts another server */

int driver_said(struct backend *b, int code, const struct err *err)
{
	if (code != -ESHUTDOWN)
		return code;
	log_err("backend %s: this server has been fenced (%s): ending, so that another one starts",
		b->conf->name, err ? err->text : "");
	_exit(EXIT_FENCED);
}

void run_image(const struct run *r, struct driver_image *ret)
{
	*ret = (struct driver_image){ .size = r->row.size, .shared = r->row.shared };
	memcpy(ret->uuid, r->row.uuid, sizeof ret->uuid);
	memcpy(ret->image_id, r->row.image_id, sizeof ret->image_id);
}

static int remove_counted(
	struct backend *b, struct run *r, struct driver_progress *progress, struct err *err)
{
	struct driver_image image;

	run_image(r, &image);
	if (b->e->let_go && b->e->let_go(b->e->let_go_arg, b->be, image.uuid) < 0)
		return err_set(err, -EBUSY, "its bytes are still in use here");
	return driver_said(b, b->driver->remove(b->be, &image, progress, err), err);
}

int image_undo(struct backend *b, struct run *r, struct err *err)
{
	return remove_counted(b, r, NULL, err);
}

int image_remove(struct backend *b, struct run *r, struct err *err)
{
	int code = image_undo(b, r, err);

	return code < 0 ? code : clone_let_go(b, r, err);
}

/* A purge is looked at in the trash; what else is removed has no volume that could show it. */
static int remove_one(struct backend *b, struct run *r)
{
	struct driver_progress *progress = NULL;
	int code;

	if (r->row.kind == JOB_PURGE)
		progress = run_progress(r, "purge");
	code = remove_counted(b, r, progress, &r->err);
	return code < 0 ? code : clone_let_go(b, r, &r->err);
}

void step_remove_image(struct backend *b, struct run *const *run, size_t n)
{
	for (size_t i = 0; i < n; i++)
		run[i]->code = remove_one(b, run[i]);
}

/* Steps `last` … 0, in reverse; the failing one too, for it may have left a half. */
static void undo(const struct op *op, size_t last, struct backend *b, struct run *r)
{
	(void)run_progress(r, NULL); /* it has failed */
	for (size_t i = last + 1; i-- > 0;) {
		int code = op->steps[i].undo ? op->steps[i].undo(b, r) : 0;

		if (code == 0)
			continue;
		r->left_over = true;
		log_warning("backend %s: volume %s: cannot undo step '%s' yet: %s", b->conf->name,
			r->row.uuid, op->steps[i].name, err_name(code));
	}
}

/* What says nothing against the backend: somebody has the image, or clones need it. */
static bool is_fair(int code)
{
	return code == -EBUSY || code == -ENOTEMPTY || code == -EMLINK || code == -ECANCELED;
}

/* One step of a run is over. True: it failed for good, and is to be undone. */
static bool step_failed(struct backend *b, const struct run *r)
{
	if (driver_said(b, r->code, &r->err) >= 0 || r->again)
		return false;
	if (!is_fair(r->code))
		counter_add(&b->errors, 1);
	return true;
}

void steps_run(const struct op *op, struct backend *b, struct run *const *run, size_t n)
{
	struct run *live[BATCH_LIMIT];

	assert(n <= BATCH_LIMIT);
	for (size_t i = 0; op->steps[i].run; i++) {
		size_t count = 0;

		for (size_t k = 0; k < n; k++)
			if (run[k]->code == 0 && !run[k]->stale)
				live[count++] = run[k];
		if (count)
			op->steps[i].run(b, live, count);
		for (size_t k = 0; k < count; k++)
			if (step_failed(b, live[k]))
				undo(op, i, b, live[k]);
	}
}
