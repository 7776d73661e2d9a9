/* librbd's trash: the omap of one object, asked page by page through the object class. */
#include "rbd/internal.h"

#include "base/cleanup.h"
#include "rbd/encode.h"

#include <errno.h>
#include <stdlib.h>

enum { PAGE = 256, ENTRY_ROOM = 512 }; /* an entry: id, name, source, two times, state */

/* One entry: its id into last; true if it is the one that is looked for. */
static bool read_entry(struct dec *d, const char *name, const char *id, char last[RB_NAME_ROOM])
{
	char is[256];
	struct dec body;
	uint32_t len;

	dec_string(d, last, RB_NAME_ROOM);
	dec_raw(d, NULL, 2);
	len = dec_u32(d);
	body = (struct dec){ d->at, d->left < len ? d->left : len, d->bad };
	dec_raw(d, NULL, len);
	(void)dec_u8(&body); /* who put it there */
	dec_string(&body, is, sizeof is);
	return !d->bad && (!strcmp(last, id) || (!body.bad && !strcmp(is, name)));
}

/* The entries after `last`: how many, or -ENOENT; *found if the last that was read is the one. */
static int read_page(struct rb_pool *p, char *room, const char *name, const char *id,
	char last[RB_NAME_ROOM], bool *found)
{
	struct enc in = { .len = 0 };
	struct dec d = { .at = room };
	uint32_t n;
	int r;

	enc_string(&in, last);
	enc_u64(&in, PAGE);
	r = rados_exec(
		p->io, "rbd_trash", "rbd", "trash_list", in.at, in.len, room, PAGE * ENTRY_ROOM);
	if (r < 0)
		return r;
	d.left = (size_t)r;
	n = dec_u32(&d);
	for (uint32_t i = 0; i < n && !d.bad && !*found; i++)
		*found = read_entry(&d, name, id, last);
	return d.bad ? -EBADMSG : (int)n;
}

int rb_trash_find(struct rb_pool *p, const char *name, const char *id, char ret_id[RB_NAME_ROOM])
{
	CLEANUP_FREE char *room = malloc(PAGE * ENTRY_ROOM);
	bool found = false;
	int n;

	if (!room)
		return -ENOMEM;
	ret_id[0] = '\0';
	do {
		n = read_page(p, room, name, id, ret_id, &found);
		if (n < 0)
			return n;
	} while (!found && n == PAGE);
	return found ? 0 : -ENOENT;
}

int rb_trash_finish_move(struct rb_pool *p, const char *id)
{
	enum { NORMAL, MOVING };
	struct enc in = { .len = 0 };

	enc_string(&in, id);
	enc_u8(&in, NORMAL);
	enc_u8(&in, MOVING); /* as it must be now */
	return rados_exec(p->io, "rbd_trash", "rbd", "trash_state_set", in.at, in.len, NULL, 0);
}
