/*
 * .volfs/summary: a table for a terminal of 80 columns: backends, counts by status, and all volumes that the reader may see. The first
 * two, the head, are everybody's. Nothing of it is kept: each read writes on from a line of the head or from a row, so whoever exists
 * all the time is there once, and a million volumes take no memory. Widths are fixed, since nobody knows what comes.
 *
 * A place (place.c) is that of a line: ~n is line n of the head; else what comes are the volumes behind a row. Reads are answered by
 * whole lines as far as that goes; who asks for the middle of what the latest read wrote, as a shell's `read` does that seeks back, has
 * its lines written again. Everything else but the beginning is unknown: EINVAL.
 */
#include "base/clock.h"
#include "base/column.h"
#include "fs/internal.h"
#include "fs/log.h"
#include "store/numbers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ANSWER_MAX: a millisecond's work; a larger read would keep others waiting. */
enum { HEAD_BEGIN = ~0, BAR = 10, ANSWER_MAX = 128 * 1024 };

struct writer {
	struct ctx *c;
	uint64_t fh;
	struct part part; /* of text: lines that nobody asks for are cut off at its begin */
	int64_t next;	  /* what comes at its end */
	struct buf text, head;
	bool walks; /* a walk over volumes has begun */
};

/* --- the head --- */

/* Bytes in use of a storage that says how large it is; else false. */
static bool in_use(const struct backend_stats *s, uint64_t *ret)
{
	if (s->total_unknown || s->total_infinite || s->free_unknown || s->free_infinite)
		return false;
	*ret = s->total > s->free ? s->total - s->free : 0;
	return true;
}

/* "[######----]  60%   6.0T" */
static void add_bar(struct buf *out, bool known, uint64_t used, uint64_t total)
{
	double share = known && total ? (double)used / (double)total : 0;
	char text[8];

	if (!known) {
		column_right(out, "-", BAR + 2 + 6 + 7);
		return;
	}
	buf_addc(out, '[');
	for (int i = 0; i < BAR; i++)
		buf_addc(out, share * BAR + 0.5 >= i + 1 ? '#' : '-');
	(void)snprintf(text, sizeof text, "%.0f%%", share * 100);
	buf_addc(out, ']');
	column_right(out, text, 6);
	column_bytes(out, used, 7);
}

static void add_number(struct buf *out, uint64_t n, unsigned columns)
{
	char text[32];

	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)n);
	column_right(out, text, columns);
}

/* The columns that a backend and their total have. */
struct capacity {
	bool known;
	uint64_t used, total, allocated, volumes;
};

static void backend_line(struct buf *out, const char *name, const char *state, const char *total,
	const struct capacity *of)
{
	column_ends(out, name, 17);
	buf_addc(out, ' ');
	column_left(out, state, 8);
	buf_addc(out, ' ');
	add_bar(out, of->known, of->used, of->total);
	if (total)
		column_right(out, total, 9);
	else
		column_bytes(out, of->total, 9);
	column_bytes(out, of->allocated, 9);
	add_number(out, of->volumes, 9);
	buf_addc(out, '\n');
}

static int add_backends(struct ctx *c, struct buf *out)
{
	struct capacity sum = { 0 };
	struct engine_backend b;

	buf_adds(out, "BACKEND           STATE    "
		      "                     USED    TOTAL PROMISED  VOLUMES\n");
	for (size_t i = 0; i < engine_backend_count(c->fs->engine); i++) {
		struct capacity one = { 0 };
		int r = engine_backend(c->fs->engine, c->view, i, &b);

		if (r < 0)
			return r;
		one.known = in_use(&b.stats, &one.used);
		one.total = b.stats.total;
		one.allocated = b.allocated;
		one.volumes = b.volumes;
		backend_line(out, b.name, backend_state_name(b.state),
			b.stats.total_infinite	? "infinite"
			: b.stats.total_unknown ? "unknown"
						: NULL,
			&one);
		sum.known |= one.known;
		sum.used += one.used;
		sum.total += one.known ? one.total : 0;
		sum.allocated += one.allocated;
		sum.volumes += one.volumes;
	}
	backend_line(out, "total", "", NULL, &sum);
	return 0;
}

static void count_line(struct buf *out, const char *what, uint64_t volumes, uint64_t size)
{
	column_left(out, what, 17);
	add_number(out, volumes, 10);
	column_bytes(out, size, 9);
	buf_addc(out, '\n');
}

struct counts {
	uint64_t volumes[2][VOL_STATUS_COUNT], size[2][VOL_STATUS_COUNT]; /* [1]: in the trash */
};

static void add_count(void *arg, const struct volume_count *n)
{
	struct counts *all = arg;

	if ((unsigned)n->status >= VOL_STATUS_COUNT)
		return;
	all->volumes[n->trashed][n->status] += n->volumes;
	all->size[n->trashed][n->status] += n->size;
}

static int add_counts(struct ctx *c, struct buf *out)
{
	uint64_t volumes[2] = { 0 }, size[2] = { 0 };
	struct counts n = { 0 };
	int r = view_volume_counts(c->view, add_count, &n);

	if (r < 0)
		return r;
	buf_adds(out, "\nSTATUS              VOLUMES     SIZE\n");
	for (int s = 0; s < VOL_STATUS_COUNT; s++) {
		if (n.volumes[0][s])
			count_line(out, vol_status_name((enum vol_status)s), n.volumes[0][s],
				n.size[0][s]);
		for (int trashed = 0; trashed < 2; trashed++) {
			volumes[trashed] += n.volumes[trashed][s];
			size[trashed] += n.size[trashed][s];
		}
	}
	count_line(out, "total", volumes[0], size[0]);
	if (volumes[1])
		count_line(out, "in the trash", volumes[1], size[1]);
	return 0;
}

static int write_head(struct ctx *c, struct buf *out)
{
	int r = add_backends(c, out);

	r = r < 0 ? r : add_counts(c, out);
	buf_adds(out, "\nNAME                      STATUS          "
		      "   SIZE   USED TYPE     BACKEND   AGE\n");
	return r < 0 ? r : buf_failed(out) ? -ENOMEM : 0;
}

/* Line n of it; beyond them the volumes begin. 1, 0 or -errno. */
static int head_line(struct writer *w, int64_t n)
{
	const char *at, *end;
	int r = w->head.len ? 0 : write_head(w->c, &w->head);

	if (r < 0)
		return r;
	for (at = buf_text(&w->head); n > 0 && *at; n--)
		at = strchr(at, '\n') + 1;
	if (!*at)
		return 0;
	end = strchr(at, '\n') + 1;
	buf_add(&w->text, at, (size_t)(end - at));
	w->next = *end ? w->next - 1 : 0;
	return 1;
}

/* --- volumes --- */

/* "59s", "59m", "23h", "999d", "12y" */
static void add_age(struct buf *out, int64_t created_us)
{
	static const struct {
		int64_t seconds, below;
		char unit;
	} scale[] = {
		{ 1, 60, 's' },
		{ 60, 3600, 'm' },
		{ 3600, 86400, 'h' },
		{ 86400, 86400 * INT64_C(1000), 'd' },
		{ 86400 * 365, INT64_MAX, 'y' },
	};
	int64_t age = (clock_wall_us() - created_us) / 1000000;
	char text[32];
	int i = 0;

	while (age >= scale[i].below)
		i++;
	(void)snprintf(text, sizeof text, "%lld%c",
		(long long)(age < 0 ? 0 : age / scale[i].seconds), scale[i].unit);
	column_right(out, text, 5);
}

static void volume_line(struct buf *out, const struct volume *v)
{
	column_left(out, v->name, 25);
	buf_addc(out, ' ');
	column_left(out, vol_status_name(v->status), 16);
	column_bytes(out, v->size, 7);
	column_bytes(out, v->used, 7);
	buf_addc(out, ' ');
	column_ends(out, v->type[0] ? v->type : "-", 8);
	buf_addc(out, ' ');
	column_ends(out, v->backend[0] ? v->backend : "-", 8);
	add_age(out, v->created_us);
	buf_addc(out, '\n');
}

static int begin_walk(struct writer *w)
{
	struct log_reader who;
	int r = log_who(w->c, w->fh, &who);

	if (r < 0)
		return r;
	w->walks = true;
	return view_walk(w->c->view, &who, w->next);
}

static int volume_next(struct writer *w)
{
	struct volume v;
	int r = w->walks ? 0 : begin_walk(w);

	r = r < 0 ? r : view_walk_volume(w->c->view, &v);
	if (r <= 0)
		return r;
	volume_line(&w->text, &v);
	w->next = v.id;
	return 1;
}

/* --- lines --- */

/* Adds one line: 1, or 0 at the end, or -errno. */
static int next_line(struct writer *w)
{
	int r = 0;

	if (w->next < 0)
		r = head_line(w, ~w->next);
	if (r == 0 && w->next < 0)
		w->next = 0; /* it has become shorter */
	if (r == 0)
		r = volume_next(w);
	return r > 0 && buf_failed(&w->text) ? -ENOMEM : r;
}

/* Lines from the one on that holds the byte at off: as many whole ones as fit, at least one. */
static int write_lines(struct writer *w, size_t size, off_t off)
{
	for (;;) {
		size_t before = w->text.len;
		int64_t next = w->next;
		int r = next_line(w);

		if (r <= 0)
			return r;
		if (w->part.begin + (off_t)w->text.len <= off) {
			w->part.begin += (off_t)w->text.len;
			w->part.pos = w->next;
			buf_clear(&w->text);
		} else if (before && w->part.begin + (off_t)w->text.len > off + (off_t)size) {
			buf_cut(&w->text, before);
			w->next = next;
			return 0;
		}
	}
}

static void answer(struct writer *w, size_t size, off_t off)
{
	if (w->text.len)
		place_part_read(w->c->fs, w->fh, &w->part, w->text.len, w->next);
	reply_slice(w->c->req, buf_text(&w->text), w->text.len, size, off - w->part.begin);
}

void summary_read(struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct writer w = { .c = c, .fh = fi->fh };
	int r;

	if (!place_part(c->fs, fi->fh, off, HEAD_BEGIN, &w.part)) {
		refuse_node(c, n, -EINVAL, "it is read from its beginning on, without leaps");
		return;
	}
	w.next = w.part.pos;
	size = size < ANSWER_MAX ? size : ANSWER_MAX;
	r = write_lines(&w, size, off);
	if (w.walks)
		view_walk_end(c->view);
	if (r < 0)
		fuse_reply_err(c->req, reply_errno(r));
	else
		answer(&w, size, off);
	buf_release(&w.text);
	buf_release(&w.head);
}
