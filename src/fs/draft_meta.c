/*
 * Directories whose files are keys (metadata/, a type's lists): drafts there. A temporary file of an editor, of sed -i, of rsync is no
 * key: it is a draft as in new/, found by its name and not listed, and gives its text to the key whose name it gets.
 */
#include "base/cleanup.h"
#include "base/text.h"
#include "fs/draft.h"
#include "type.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

struct keying {
	struct drafts *ds;
	struct draft *d;
	struct change *ch;
};

/* NULL: there is none of that name, or a dead server carried this very rename out (*ret_done). */
static struct draft *take(
	struct drafts *ds, int64_t dir, const char *name, struct change_id id, bool *ret_done)
{
	struct draft *d;

	LOCK_SCOPE(&ds->lock);
	d = draft_moved_by_locked(ds, id);
	*ret_done = d && d->k->dropped;
	if (*ret_done)
		return NULL;
	d = draft_by_name_locked(ds, dir, name);
	if (!d || d->submitting)
		return NULL;
	draft_move_locked(ds, d, NULL, id);
	d->submitting = true;
	return d;
}

static void give_back(struct drafts *ds, struct draft *d)
{
	LOCK_SCOPE(&ds->lock);
	d->submitting = false;
	draft_end_locked(ds, d);
}

static void drop(struct drafts *ds, struct draft *d)
{
	LOCK_SCOPE(&ds->lock);
	draft_drop_locked(ds, d);
}

/* The key has the text. The draft is off its name before that is told, and freed after it: as long as
 * the kernel may ask again, it is there to say that this was done. */
static void keyed(void *arg, const struct result *res)
{
	struct keying *k = arg;

	if (res->code == 0)
		drop(k->ds, k->d);
	change_done(k->ch, res);
	give_back(k->ds, k->d);
	free(k);
}

/* NULL: no memory, answered. */
static struct keying *keying_new(struct ctx *c, struct draft *d, const char *key)
{
	struct keying *k = malloc(sizeof *k);
	struct node dir = ino_node((fuse_ino_t)d->k->dir);
	char file[KEYS_FILE];
	struct change *ch;

	keys_file(c, dir, key, file);
	ch = change_new(c, REPLY_RENAME, dir, "%s", file);
	if (k && ch) {
		*k = (struct keying){ c->fs->drafts, d, ch };
		return k;
	}
	if (ch)
		change_answer(ch, -ENOMEM, "no memory");
	free(k);
	return NULL;
}

/* qos/consumer is a file of the type and no key, but sed -i and others replace it as they do keys. */
static void submit_consumer(struct keying *k, int64_t type, const char *text)
{
	struct vol_type t = { 0 };

	if (type_consumer_find(text, &t.consumer) < 0)
		keyed(k, &(struct result){ -EINVAL, 0, TYPE_CONSUMER_WORDS });
	else
		engine_type_set(k->ch->fs->engine, k->ch->id, &k->ch->who.caller, type,
			TYPE_SET_CONSUMER, &t, keyed, k);
}

static void submit(struct keying *k, const char *key)
{
	const struct keep_draft *draft = k->d->k;
	size_t len = keep_draft_now(draft)->len;
	CLEANUP_FREE char *text = strndup(draft->text, len);
	struct node dir = ino_node((fuse_ino_t)draft->dir);
	struct change *ch = k->ch;

	if (!text)
		keyed(k, &(struct result){ -ENOMEM, 0, "no memory" });
	else if (strlen(text) != len)
		keyed(k, &(struct result){ -EINVAL, 0, "the value holds a NUL byte" });
	else if (dir.kind == KIND_METADATA)
		engine_meta(ch->fs->engine, ch->id, &ch->who.caller, dir.row, key, text_trim(text),
			META_SET, keyed, k);
	else if (dir_has_attr(dir_of(dir.kind), key))
		submit_consumer(k, dir.row, text_trim(text));
	else
		engine_type_entry(ch->fs->engine, ch->id, &ch->who.caller, dir.row,
			type_list_of(dir.kind), key, text_trim(text), META_SET, keyed, k);
}

bool draft_to_key(struct ctx *c, int64_t dir, const char *from, const char *key)
{
	struct keying *k;
	struct draft *d;
	bool done;

	d = take(c->fs->drafts, dir, from, session_change_id(c->fs->session), &done);
	if (!d) {
		if (done)
			fuse_reply_err(c->req, 0);
		return done;
	}
	k = keying_new(c, d, key);
	if (k)
		submit(k, key);
	else
		give_back(c->fs->drafts, d);
	return true;
}

/* What programs make for a moment: swap files, backups, and what is renamed to a key when it is complete. Fewer than
 * draft_patterns: who copies a key to KEY.bak wants to keep it. */
static bool key_is_draft(const char *name)
{
	static const char *const patterns[] = { ".*", "#*", "*~", "sed??????", "tmp.??????????" };

	for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
		if (fnmatch(patterns[i], name, 0) == 0)
			return true;
	return false;
}

bool keys_create(
	struct ctx *c, int64_t dir, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	char file[KEYS_FILE];

	if (key_is_draft(name)) {
		draft_create(c, dir, name, mode, fi);
		return true;
	}
	if (strcmp(name, "4913") != 0)
		return false;
	keys_file(c, ino_node((fuse_ino_t)dir), name, file);
	refuse(c, -EPERM, file, "vim tries by it whether to move the file away: no");
	return true;
}

bool keys_rename(struct ctx *c, int64_t dir, const char *name, const char *newname)
{
	return key_is_draft(newname) ? draft_rename(c, dir, name, newname)
				     : draft_to_key(c, dir, name, newname);
}
