/*
 * Volumes as JSON, an object on one line each: <volume>/json, and .volfs/json with all of them. Both are written here, by hand: a library
 * would build a tree of each first, and a million lines take seconds as it is.
 */
#include "fs/json.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static void add_text(struct buf *b, const void *at)
{
	text_json(b, at);
}

static void add_status(struct buf *b, const void *at)
{
	buf_addc(b, '"');
	buf_adds(b, vol_status_name(*(const enum vol_status *)at));
	buf_addc(b, '"');
}

static void add_number(struct buf *b, const void *at)
{
	buf_addu(b, *(const uint64_t *)at);
}

static void add_id(struct buf *b, const void *at)
{
	buf_addu(b, *(const uint32_t *)at);
}

static void add_flag(struct buf *b, const void *at)
{
	buf_adds(b, *(const bool *)at ? "true" : "false");
}

static void add_time(struct buf *b, const void *at)
{
	char text[CLOCK_TEXT_MAX];

	buf_addc(b, '"');
	buf_adds(b, clock_text(*(const int64_t *)at, text));
	buf_addc(b, '"');
}

/* A member whose value is a field of a struct volume. */
struct member {
	const char *start; /* of its text, up to its value */
	size_t len, offset;
	void (*add)(struct buf *b, const void *at);
};
#define MEMBER(start, add, field)                                                                  \
	{                                                                                          \
		start, sizeof start - 1, offsetof(struct volume, field), add                       \
	}

static const struct member members[] = {
	MEMBER("{\"id\":", add_text, uuid),
	MEMBER(",\"name\":", add_text, name),
	MEMBER(",\"status\":", add_status, status),
	MEMBER(",\"error\":", add_text, reason),
	MEMBER(",\"size\":", add_number, size),
	MEMBER(",\"used\":", add_number, used),
	MEMBER(",\"type\":", add_text, type),
	MEMBER(",\"zone\":", add_text, zone),
	MEMBER(",\"backend\":", add_text, backend),
	MEMBER(",\"project\":", add_text, project),
	MEMBER(",\"description\":", add_text, description),
	MEMBER(",\"created\":", add_time, created_us),
	MEMBER(",\"updated\":", add_time, updated_us),
	MEMBER(",\"protected\":", add_flag, protected_),
	MEMBER(",\"readonly\":", add_flag, readonly),
	MEMBER(",\"bootable\":", add_flag, bootable),
	MEMBER(",\"uid\":", add_id, uid),
	MEMBER(",\"gid\":", add_id, gid),
	MEMBER(",\"origin\":", add_text, origin),
};

static int add_metadata(struct view *v, struct buf *b)
{
	struct meta_entry m;
	const char *before = "";
	int r;

	while ((r = view_walk_meta(v, &m)) > 0) {
		buf_adds(b, before);
		text_json(b, m.key);
		buf_addc(b, ':');
		text_json(b, m.value);
		before = ",";
	}
	return r;
}

static int add_attachments(struct view *v, struct buf *b)
{
	const char *before = "";
	struct use u;
	int r;

	while ((r = view_walk_use(v, &u)) > 0) {
		buf_adds(b, before);
		buf_adds(b, "{\"name\":");
		text_json(b, u.name);
		buf_adds(b, ",\"host\":");
		text_json(b, u.host);
		buf_adds(b, ",\"mode\":");
		text_json(b, use_mode(&u));
		buf_adds(b, ",\"since\":");
		add_time(b, &u.since_us);
		buf_addc(b, '}');
		before = ",";
	}
	return r;
}

static int add_snapshots(struct view *v, struct buf *b)
{
	const char *before = "";
	struct snapshot s;
	int r;

	while ((r = view_walk_snapshot(v, &s)) > 0) {
		buf_adds(b, before);
		buf_adds(b, "{\"name\":");
		text_json(b, s.name);
		buf_adds(b, ",\"id\":");
		text_json(b, s.uuid);
		buf_adds(b, ",\"size\":");
		buf_addu(b, s.size);
		buf_adds(b, ",\"created\":");
		add_time(b, &s.created_us);
		buf_adds(b, ",\"status\":");
		text_json(b, snap_status_name(s.status));
		buf_addc(b, '}');
		before = ",";
	}
	return r;
}

/* As the file says it, in bytes; null while there is none. */
static void add_progress(struct engine *e, const struct volume *v, struct buf *b)
{
	uint64_t done, total;
	const char *what;

	if (!e || !engine_progress(e, v, &done, &total, &what)) {
		buf_adds(b, "null");
		return;
	}
	buf_adds(b, "{\"what\":");
	text_json(b, what);
	buf_adds(b, ",\"done\":");
	buf_addu(b, done);
	buf_adds(b, ",\"total\":");
	buf_addu(b, total);
	buf_addc(b, '}');
}

int json_next(struct view *v, struct engine *e, struct buf *out, struct volume *ret)
{
	int r = view_walk_volume(v, ret);

	if (r <= 0)
		return r;
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		buf_add(out, members[i].start, members[i].len);
		members[i].add(out, (const char *)ret + members[i].offset);
	}
	buf_adds(out, ",\"progress\":");
	add_progress(e, ret, out);
	buf_adds(out, ",\"metadata\":{");
	r = add_metadata(v, out);
	buf_adds(out, "},\"attachments\":[");
	if (r == 0)
		r = add_attachments(v, out);
	buf_adds(out, "],\"snapshots\":[");
	if (r == 0)
		r = add_snapshots(v, out);
	buf_adds(out, "]}\n");
	return r < 0 ? r : buf_failed(out) ? -ENOMEM : 1;
}

int json_of_volume(
	struct view *v, struct engine *e, int64_t row, struct buf *out, struct volume *ret)
{
	int r = view_walk_one(v, row);

	r = r < 0 ? r : json_next(v, e, out, ret);
	view_walk_end(v);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}
