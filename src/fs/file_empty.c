/*
 * Opens with O_TRUNC: all of the volume is discarded first. cp skips the holes of its source and trusts that an emptied file has zeroes there.
 *
 * Whose opener is killed meanwhile is gone on with, so that nobody ever reads half of it: its description stays, nobody's, and with it the
 * volume in use, until that is done; whatever is asked of the volume waits (src/data). It stands in the keep, and a successor begins it
 * anew.
 */
#include "fs/file.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

struct emptying {
	struct data_io io;
	struct patient patient;
	struct change *ch; /* the open; NULL: a dead server's */
	struct fs *fs;
	struct handle *handle;
	struct node node;
	bool killed; /* the opener was: nobody has the description */
};

static struct emptying *of_patient(struct patient *p)
{
	return (struct emptying *)((char *)p - offsetof(struct emptying, patient));
}

/* The opener has its answer by now, and the keep says whose the description is. */
static void empty_free(struct patient *p)
{
	struct emptying *e = of_patient(p);

	if (e->killed) {
		file_forget(e->fs, e->handle->fh, e->node);
		free(e->ch);
	}
	free(e);
}

static void empty_leave(struct patient *p)
{
	struct emptying *e = of_patient(p);
	struct keep_open *o = &e->fs->keep->open[e->handle->fh % KEEP_OPENS];

	o->writes = KEEP_EMPTIES;
	atomic_store(&o->used, KEEP_USED);
	data_leave(e->handle->image, &e->io);
}

static void emptied(struct data_io *io, int code)
{
	struct emptying *e = (struct emptying *)io;

	e->killed = !patient_claim(&e->patient);
	if (!e->killed && code < 0)
		file_refuse_opened(e->ch, code, "its blocks cannot be discarded");
	else if (!e->killed)
		file_reply_open(e->ch);
	patient_end(&e->patient);
}

static void left_emptied(struct data_io *io, int code)
{
	empty_free(&((struct emptying *)io)->patient);
}

static struct emptying *empty_new(struct fs *fs, struct handle *h, struct node n)
{
	struct emptying *e = calloc(1, sizeof *e);

	if (e)
		*e = (struct emptying){ .io = { .op = DATA_EMPTY, .done = emptied },
			.fs = fs,
			.handle = h,
			.node = n };
	return e;
}

void file_empty(struct change *ch, struct handle *h)
{
	struct emptying *e = empty_new(ch->fs, h, ch->node);

	if (!e) {
		file_refuse_opened(ch, -ENOMEM, "out of memory");
		return;
	}
	e->ch = ch;
	patient_begin(&e->patient, ch->req, empty_free, empty_leave);
	data_submit(h->image, &e->io);
}

void file_empty_left(struct fs *fs, struct handle *h, struct node n)
{
	struct emptying *e = empty_new(fs, h, n);

	if (!e)
		return; /* it stays half done, and in use until the mount ends */
	e->killed = true;
	e->io.done = left_emptied;
	data_submit(h->image, &e->io);
}
