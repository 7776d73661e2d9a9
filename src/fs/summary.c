/*
 * .volfs/summary: a table for a terminal of 80 columns: backends, counts by status, and all volumes that the reader may see. The first
 * two, the head, are everybody's. Nothing of it is kept: each read writes on from a line of the head or from a row, so whoever exists
 * all the time is there once, and a million volumes take no memory. Widths are fixed, since nobody knows what comes.
 *
 * A place (place.c) is that of a line: ~n is line n of the head; else what comes are the volumes behind a row, of one project of the
 * reader's after the other. Reads are answered by whole lines as far as that goes; who asks for the middle of what the latest read
 * wrote, as a shell's `read` does that seeks back, has its lines written again. Everything else but the beginning is unknown: EINVAL.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/column.h"
#include "fs/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_BEGIN = ~0, BATCH = 64, ROW_BITS = 40 };
enum { BAR = 10 };

struct writer {
	struct ctx *c;
	struct log_reader who; /* projects in order of their rows */
	off_t begin;	       /* of text */
	int64_t pos, next;     /* places of its begin and its end */
	struct buf text, head;
	size_t got, taken; /* of row[] */
	struct vol_summary row[BATCH];
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
	column_left(out, name, 17);
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

static int add_counts(struct ctx *c, struct buf *out)
{
	uint64_t volumes[2] = { 0 }, size[2] = { 0 };
	struct status_counts n;
	int r = view_status_counts(c->view, &n);

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

static void add_word(struct buf *out, const char *word, unsigned columns)
{
	column_left(out, *word ? word : "-", columns);
}

static void volume_line(struct buf *out, const struct vol_summary *v)
{
	add_word(out, v->name, 25);
	buf_addc(out, ' ');
	add_word(out, vol_status_name(v->status), 16);
	column_bytes(out, v->size, 7);
	column_bytes(out, v->used, 7);
	buf_addc(out, ' ');
	add_word(out, v->type, 8);
	buf_addc(out, ' ');
	add_word(out, v->backend, 8);
	add_age(out, v->created_us);
	buf_addc(out, '\n');
}

/* More rows behind w->next. How many, or -errno. */
static int more_rows(struct writer *w)
{
	int64_t row = w->next & ((INT64_C(1) << ROW_BITS) - 1);
	size_t i = (size_t)(w->next >> ROW_BITS);
	int got = 0;

	if (w->who.all)
		got = view_summary(w->c->view, 0, row, w->row, BATCH);
	for (; !w->who.all && got == 0 && i < w->who.count; i++, row = 0) {
		got = view_summary(w->c->view, w->who.project[i], row, w->row, BATCH);
		w->next = (int64_t)i << ROW_BITS | row;
	}
	w->got = got > 0 ? (size_t)got : 0;
	w->taken = 0;
	return got;
}

static int volume_next(struct writer *w)
{
	const struct vol_summary *v;

	if (w->taken == w->got) {
		int r = more_rows(w);

		if (r <= 0)
			return r;
	}
	v = &w->row[w->taken++];
	volume_line(&w->text, v);
	w->next = w->next >> ROW_BITS << ROW_BITS | v->id;
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
		if (w->begin + (off_t)w->text.len <= off) {
			w->begin += (off_t)w->text.len;
			w->pos = w->next;
			buf_clear(&w->text);
		} else if (before && w->begin + (off_t)w->text.len > off + (off_t)size) {
			w->text.len = before;
			w->next = next;
			return 0;
		}
	}
}

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static bool find_place(struct ctx *c, uint64_t fh, off_t off, struct writer *w)
{
	off_t end;

	w->begin = off;
	w->pos = HEAD_BEGIN;
	return off == 0 || place_find(c->fs, fh, off, &w->pos) ||
	       place_within(c->fs, fh, off, &w->begin, &w->pos, &end);
}

static void answer(struct writer *w, uint64_t fh, size_t size, off_t off)
{
	struct fs *fs = w->c->fs;

	if (w->text.len) {
		place_next(fs, fh, w->begin, w->pos);
		place_next(fs, fh, w->begin + (off_t)w->text.len, w->next);
	}
	reply_slice(w->c->req, buf_text(&w->text), w->text.len, size, off - w->begin);
}

void summary_read(struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	CLEANUP_FREE struct writer *w = calloc(1, sizeof *w);
	int r;

	if (!w) {
		fuse_reply_err(c->req, ENOMEM);
		return;
	}
	w->c = c;
	if (!find_place(c, fi->fh, off, w)) {
		refuse_node(c, n, -EINVAL, "it is read from its beginning on, without leaps");
		return;
	}
	w->next = w->pos;
	r = log_who(c, fi->fh, &w->who);
	qsort(w->who.project, w->who.count, sizeof *w->who.project, by_number);
	r = r < 0 ? r : write_lines(w, size, off);
	if (r < 0)
		fuse_reply_err(c->req, reply_errno(r));
	else
		answer(w, fi->fh, size, off);
	buf_release(&w->text);
	buf_release(&w->head);
}
