/*
 * The log as the readers of .volfs/events and .volfs/history get it: who sees which lines (log_who.c), where a reader stands and what
 * comes next (log.c), the latest lines in memory (window.c), and those who wait for the next one (follow.h).
 */
#ifndef VOLFS_FS_LOG_H
#define VOLFS_FS_LOG_H

#include "fs/internal.h"

enum {
	LOG_WITHIN_BITS = 20,
	LOG_LINE_MAX = 1 << 19, /* no line is longer */
	LOG_TELLS = 1 << 19,	/* a bit of log_place.within: of the line that says what was lost */
	LOG_BATCH = 256,	/* rows that are read at once */
};

/* Where a reader stands: the next event, and how many bytes of its line it was given. id 0: before what is kept, and how far is not
 * known. */
struct log_place {
	int64_t id;
	uint32_t within;
};

/* As place.c keeps it. */
int64_t log_pack(struct log_place at);
struct log_place log_unpack(int64_t pos);

/* An answer that is being filled. */
struct log_answer {
	struct buf text;
	size_t room;
	bool whole; /* no part of a line, but of one that is longer than the room by itself */
	struct log_place at;
};

/* What comes before `first`, an event at pos, is no longer kept. False: it is full. */
bool log_answer_lost(struct log_answer *a, int64_t first, uint64_t pos);

bool log_sees(const struct log_reader *who, int64_t project);
/* A line of the log. False: it is full, or it is not known yet whose it is. */
bool log_answer_row(struct log_answer *a, const struct log_reader *who, const struct log_row *row,
	const char *line);

/* From the catalogue, until the answer is full or the log has ended: 0, or -EIO, -ENOMEM. */
int log_fill(struct view *v, const struct log_reader *who, struct log_answer *a);

/*
 * What comes at an offset where this open of a stream has been before: at the end of its last answer, or within it (a shell's `read`
 * seeks back to the end of its line). True, and *ret.
 */
bool log_goes_on(
	struct ctx *c, const struct log_reader *who, uint64_t fh, off_t off, struct log_place *ret);
/* Notes what comes at an offset. */
void log_note(struct fs *fs, uint64_t fh, off_t off, struct log_place at);
/* Notes where the next read goes on, and answers. from: where this one began. */
void log_reply(struct fs *fs, fuse_req_t req, uint64_t fh, off_t off, struct log_place from,
	const struct log_answer *a);

/* --- log_who.c: who opened a stream, and so which lines it shows. Any thread */

/* 0; -ENOMEM, -EIO. */
int log_who(struct ctx *c, uint64_t fh, struct log_reader *ret);
/* The same once more, for a project may have come. Unknown handles leave *ret as it is. */
void log_who_again(struct fs *fs, struct view *v, uint64_t fh, struct log_reader *ret);
/* Of the caller, without an open. */
int log_who_asks(struct ctx *c, struct log_reader *ret);

/* --- window.c: the latest lines. One thread changes it, any thread reads it */

struct window;

int window_new(struct window **ret);
void window_free(struct window *w);
void window_restart(struct window *w, int64_t id); /* empty; id comes next */
/* Rows as view_log() gives them. True: a project is among them that had no event here before. */
bool window_add(struct window *w, const struct log_row *row, size_t n, const char *text);
/* The event that comes next, of those that it holds and behind them. */
void window_ends(struct window *w, int64_t *ret_first, int64_t *ret_next);
/* Fills the answer with what the reader sees of it. False, and nothing done: it does not begin early enough. */
bool window_fill(struct window *w, const struct log_reader *who, struct log_answer *a);

#endif
