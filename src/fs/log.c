/*
 * What comes next for a reader of the log, and .volfs/history: the log as a file that grows. Its offsets are bytes of the lines that its
 * reader sees, counted from the first event that ever was; so they stay true when the oldest go. But who reads from offset 0 begins with
 * the oldest that is there (place.c knows where he is from then on), and never meets what is gone. Who seeks there finds empty lines,
 * which readers of lines and of JSON pass over.
 *
 * A line that says what was lost has always the same length: whoever seeks back into an answer finds the rest where it was.
 */
#include "fs/log.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LOST_LEN = 104 };

int64_t log_pack(struct log_place at)
{
	return at.id << LOG_WITHIN_BITS | at.within;
}

struct log_place log_unpack(int64_t pos)
{
	return (struct log_place){ pos >> LOG_WITHIN_BITS,
		(uint32_t)(pos & ((1 << LOG_WITHIN_BITS) - 1)) };
}

/* --- one answer --- */

/* What is left of text from `within` on, or of that as much as goes in. False: not all of it. */
static bool add_rest(struct log_answer *a, const char *text, size_t len, uint32_t within)
{
	size_t rest = len - within, room = a->room - a->text.len;

	if (rest <= room) {
		buf_add(&a->text, text + within, rest);
		return true;
	}
	if (a->whole && a->text.len)
		return false;
	buf_add(&a->text, text + within, room);
	a->at.within += (uint32_t)room;
	return false;
}

/* Others' events, up to id: left out. */
static void skip(struct log_answer *a, int64_t id)
{
	if (a->at.id <= id)
		a->at = (struct log_place){ .id = id + 1 };
}

/* Its position is such that its end is where what is kept begins, as with every other line. */
static void write_lost(char text[LOST_LEN + 1], int64_t count, uint64_t pos)
{
	char at[CLOCK_TEXT_MAX], number[24] = "null";
	int n;

	if (count)
		(void)snprintf(number, sizeof number, "%" PRId64, count);
	n = snprintf(text, LOST_LEN + 1,
		"{\"time\":\"%s\",\"event\":\"lost\",\"count\":%s,\"position\":%" PRIu64 "}",
		clock_text_us(clock_wall_us(), at), number, pos > LOST_LEN ? pos - LOST_LEN : 0);
	memset(text + n, ' ', (size_t)(LOST_LEN - n));
	memcpy(text + LOST_LEN - 1, "\n", 2);
}

bool log_answer_lost(struct log_answer *a, int64_t first, uint64_t pos)
{
	char text[LOST_LEN + 1];

	if (a->at.within && !(a->at.within & LOG_TELLS)) { /* the rest of a line is gone */
		if (!add_rest(a, "\n", 1, 0))
			return false;
	}
	a->at.within = a->at.within & LOG_TELLS ? a->at.within : LOG_TELLS;
	write_lost(text, a->at.id ? first - a->at.id : 0, pos);
	if (!add_rest(a, text, LOST_LEN, a->at.within & ~(uint32_t)LOG_TELLS))
		return false;
	a->at = (struct log_place){ .id = first };
	return true;
}

bool log_sees(const struct log_reader *who, int64_t project)
{
	if (who->all)
		return true;
	for (size_t i = 0; i < who->count; i++)
		if (who->project[i] == project)
			return true;
	return false;
}

bool log_answer_row(struct log_answer *a, const struct log_reader *who, const struct log_row *row,
	const char *line)
{
	bool sees = log_sees(who, row->project);

	if (sees ? !add_rest(a, line, row->len, a->at.within) : row->id > who->known)
		return false;
	a->at = (struct log_place){ .id = row->id + 1 };
	return true;
}

/* --- from the catalogue --- */

/* False: it is full. */
static bool add_rows(struct log_answer *a, const struct log_reader *who, const struct log_row *row,
	int n, const char *text)
{
	for (int i = 0; i < n; text += row[i++].len) {
		if (row[i].id > a->at.id && !log_answer_lost(a, row[i].id, row[i].pos))
			return false;
		if (!log_answer_row(a, who, &row[i], text))
			return false;
	}
	return true;
}

/* Over what others did in between, which may be very much. 1: there is more; 0: there is nothing, as far as is known. */
static int jump(struct view *v, const struct log_reader *who, struct log_answer *a)
{
	struct log_ends ends;
	int64_t id;
	int r = view_log_ends(v, &ends);

	if (r < 0 || a->at.id < ends.first) /* something is lost: view_log() finds that out */
		return r < 0 ? r : 1;
	r = view_log_next_of(v, who, a->at.id - 1, &id);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT)
		id = ends.last + 1;
	skip(a, id - 1 < who->known ? id - 1 : who->known);
	return r == 0 && a->at.id == id;
}

/* The log has ended: but if it is empty, what went may be news. */
static int at_end(struct view *v, struct log_answer *a)
{
	struct log_ends ends;
	int r = view_log_ends(v, &ends);

	if (r == 0 && a->at.id < ends.first && ends.last < ends.first)
		(void)log_answer_lost(a, ends.first, ends.start);
	return r;
}

int log_fill(struct view *v, const struct log_reader *who, struct log_answer *a)
{
	struct log_row row[LOG_BATCH / 4];
	struct buf text = { 0 };
	int n = 1, r = 0;

	while (a->text.len < a->room) {
		if (!who->all && (r = jump(v, who, a)) <= 0)
			break;
		buf_clear(&text);
		n = view_log(v, a->at.id - 1, row, sizeof row / sizeof row[0], &text);
		if (n <= 0)
			break;
		if (buf_failed(&text) || !add_rows(a, who, row, n, text.at))
			break;
	}
	if (r >= 0 && n == 0)
		r = at_end(v, a);
	if (buf_failed(&text) || buf_failed(&a->text))
		r = -ENOMEM;
	buf_release(&text);
	return n < 0 ? n : r < 0 ? r : 0;
}

/* --- where a reader is --- */

bool log_goes_on(
	struct ctx *c, const struct log_reader *who, uint64_t fh, off_t off, struct log_place *ret)
{
	struct log_answer again = { 0 };
	int64_t pos;
	off_t from, end;
	bool ok;

	if (place_find(c->fs, fh, off, &pos)) {
		*ret = log_unpack(pos);
		return true;
	}
	if (!place_within(c->fs, fh, off, &from, &pos, &end))
		return false;
	again.room = (size_t)(off - from);
	again.at = log_unpack(pos);
	ok = log_fill(c->view, who, &again) == 0 && again.text.len == again.room;
	*ret = again.at;
	buf_release(&again.text);
	return ok;
}

void log_note(struct fs *fs, uint64_t fh, off_t off, struct log_place at)
{
	place_next(fs, fh, off, log_pack(at));
}

void log_reply(struct fs *fs, fuse_req_t req, uint64_t fh, off_t off, struct log_place from,
	const struct log_answer *a)
{
	/* Where it began stays known as well: the kernel may ask once more, or the reader seek back. */
	log_note(fs, fh, off, from);
	place_next(fs, fh, off + (off_t)a->text.len, log_pack(a->at));
	fuse_reply_buf(req, a->text.at, a->text.len);
}

int log_opened(struct ctx *c, const struct attr *a, uint64_t fh)
{
	struct log_reader who;
	int r = log_who(c, fh, &who);

	if (r == 0 && a->flags & ATTR_FOLLOW)
		place_next(c->fs, fh, 0,
			log_pack((struct log_place){ .id = store_log_last(c->fs->store) + 1 }));
	return r;
}

/* --- history --- */

static int last_time(struct view *v, int64_t id, struct timespec *ret)
{
	struct buf text = { 0 };
	struct log_row row;
	int n = view_log(v, id - 1, &row, 1, &text);

	if (n > 0)
		*ret = (struct timespec){ row.at_us / 1000000, row.at_us % 1000000 * 1000 };
	buf_release(&text);
	return n < 0 ? n : 0;
}

int log_stat(struct ctx *c, struct stat *st)
{
	struct log_reader who;
	struct log_ends ends;
	int r = log_who_asks(c, &who);

	if (r == 0)
		r = view_log_ends_of(c->view, &who, &ends);
	if (r < 0)
		return r;
	st->st_size = (off_t)ends.end;
	st->st_blocks = (st->st_size + 511) / 512; /* no holes: cp would look for them */
	if (ends.last >= ends.first)
		r = last_time(c->view, ends.last, &st->st_mtim);
	st->st_ctim = st->st_mtim;
	return r;
}

/* By its true offset. -ENOENT: it is the end, or beyond it. *ret_gone: so many bytes from off on are not there any more. */
static int history_seek(struct ctx *c, const struct log_reader *who, off_t off,
	struct log_place *ret, off_t *ret_gone)
{
	struct log_ends ends;
	uint64_t start;
	int r = view_log_ends_of(c->view, who, &ends);

	*ret_gone = 0;
	if (r < 0)
		return r;
	if (off == 0) {
		*ret = (struct log_place){ .id = ends.first };
		return 0;
	}
	if (off < (off_t)ends.start)
		*ret_gone = (off_t)ends.start - off;
	r = view_log_at_of(c->view, who, (uint64_t)(off + *ret_gone), &ret->id, &start);
	if (r == 0)
		ret->within = (uint32_t)((uint64_t)(off + *ret_gone) - start);
	return r;
}

static void reply_gone(struct ctx *c, size_t n)
{
	char empty[4096];

	n = n < sizeof empty ? n : sizeof empty;
	memset(empty, '\n', n);
	fuse_reply_buf(c->req, empty, n);
}

/* The kernel names an owner of locks with each read(2), but with none that fills its page cache for mmap(2), sendfile(2) or splice(2). */
static bool is_for_cache(const struct fuse_file_info *fi)
{
	return fi->lock_owner == 0;
}

void log_read(struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct log_answer a = { .room = size };
	struct log_place from = { 0 };
	struct log_reader who;
	off_t gone = 0;
	int r;

	/* Pages are everybody's, these lines are not. */
	if (is_for_cache(fi)) {
		refuse_node(c, n, -EINVAL, "it can only be read by read(2), not mapped");
		return;
	}
	r = log_who(c, fi->fh, &who);
	if (r == 0 && !log_goes_on(c, &who, fi->fh, off, &from))
		r = history_seek(c, &who, off, &from, &gone);
	a.at = from;
	if (r == 0 && !gone)
		r = log_fill(c->view, &who, &a);
	if (r < 0 && r != -ENOENT)
		fuse_reply_err(c->req, reply_errno(r));
	else if (gone)
		reply_gone(c, (size_t)gone < size ? (size_t)gone : size);
	else if (a.text.len)
		log_reply(c->fs, c->req, fi->fh, off, from, &a);
	else
		fuse_reply_buf(c->req, NULL, 0);
	buf_release(&a.text);
}
