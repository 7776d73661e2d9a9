/* A volume's file `spec`: what would create such a volume again, without its name. */
#include "base/text.h"
#include "fs/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void add_word(struct buf *out, const char *key, const char *value)
{
	if (!value[0])
		return;
	buf_addf(out, "%s=", key);
	text_quote(out, value);
	buf_addc(out, '\n');
}

/* What it was made from, by the names of today, as long as that is there. */
static int add_source(struct ctx *c, const struct volume *v, struct buf *out)
{
	char uuid[UUID_LEN + 1] = "", name[2 * NAME_LEN + 2];
	const char *at = strchr(v->origin, '@');
	struct vol_entry source;
	struct snapshot snap;
	int r;

	memcpy(uuid, v->origin, strnlen(v->origin, UUID_LEN));
	r = uuid[0] ? view_entry_by_uuid(c->view, uuid, &source) : -ENOENT;
	if (r == 0 && at)
		r = view_snapshot_by_uuid(c->view, at + 1, &snap);
	if (r < 0 || source.trashed || (at && (snap.volume != source.id || !snap.name[0])))
		return r == -ENOENT ? 0 : r;
	(void)snprintf(
		name, sizeof name, "%s%s%s", source.name, at ? "@" : "", at ? snap.name : "");
	add_word(out, at ? "snapshot" : "source", name);
	return 0;
}

static int add_metadata(struct ctx *c, int64_t row, struct buf *out)
{
	struct meta_entry m[8];
	int64_t after = 0;
	int got;

	while ((got = view_metas(c->view, row, after, m, 8)) > 0)
		for (int i = 0; i < got; i++) {
			buf_adds(out, "metadata.");
			text_quote(out, m[i].key);
			buf_addc(out, '=');
			text_quote(out, m[i].value);
			buf_addc(out, '\n');
			after = m[i].id;
		}
	return got;
}

int respec_show(struct ctx *c, int64_t row, struct buf *out)
{
	char size[TEXT_SIZE_MAX];
	struct volume v;
	int r = view_volume(c->view, row, &v);

	if (r < 0)
		return r;
	add_word(out, "size", text_of_size(v.size, size));
	add_word(out, "type", v.type);
	add_word(out, "zone", v.zone);
	add_word(out, "project", v.project);
	add_word(out, "description", v.description);
	r = add_source(c, &v, out);
	return r < 0 ? r : add_metadata(c, row, out);
}
