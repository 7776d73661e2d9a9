/*
 * The latest lines of the log, so that a thousand followers do not each ask the catalogue for the same ones. A line's bytes are at its
 * place in the log modulo WINDOW_BYTES, and go on behind that where they do not end before it: so each is in one piece.
 */
#include "fs/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { WINDOW_BYTES = 4 << 20, WINDOW_ROWS = 16384 };

struct window {
	struct lock lock;
	int64_t first, next;		 /* lock: events from first on, up to next */
	int64_t project_max;		 /* of the thread that adds: projects have rising numbers */
	struct log_row row[WINDOW_ROWS]; /* lock: of event id: at id % WINDOW_ROWS */
	char text[WINDOW_BYTES + LOG_LINE_MAX]; /* lock */
};

/* Pages that nobody has written to cost nothing. */
int window_new(struct window **ret)
{
	struct window *w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (w == MAP_FAILED)
		return -ENOMEM;
	lock_init(&w->lock);
	*ret = w;
	return 0;
}

void window_free(struct window *w)
{
	if (!w)
		return;
	lock_release(&w->lock);
	(void)munmap(w, sizeof *w);
}

static struct log_row *row_of(struct window *w, int64_t id)
{
	return &w->row[id % WINDOW_ROWS];
}

void window_restart(struct window *w, int64_t id)
{
	LOCK_SCOPE(&w->lock);
	w->first = w->next = id;
}

static void add_locked(struct window *w, const struct log_row *row, const char *line)
{
	lock_assert_held(&w->lock);
	assert(row->len <= LOG_LINE_MAX);
	if (row->id != w->next)
		w->first = w->next = row->id;
	while (w->first < w->next &&
		(w->next - w->first == WINDOW_ROWS ||
			row->pos + row->len - row_of(w, w->first)->pos > WINDOW_BYTES))
		w->first++;
	memcpy(w->text + row->pos % WINDOW_BYTES, line, row->len);
	*row_of(w, row->id) = *row;
	w->next = row->id + 1;
}

bool window_add(struct window *w, const struct log_row *row, size_t n, const char *text)
{
	int64_t known = w->project_max;

	LOCK_SCOPE(&w->lock);
	for (size_t i = 0; i < n; i++) {
		add_locked(w, &row[i], text);
		text += row[i].len;
		if (row[i].project > w->project_max)
			w->project_max = row[i].project;
	}
	return w->project_max > known;
}

void window_ends(struct window *w, int64_t *ret_first, int64_t *ret_next)
{
	LOCK_SCOPE(&w->lock);
	*ret_first = w->first;
	*ret_next = w->next;
}

bool window_fill(struct window *w, const struct log_reader *who, struct log_answer *a)
{
	LOCK_SCOPE(&w->lock);
	if (a->at.id < w->first || a->at.within & LOG_TELLS)
		return false;
	while (a->at.id < w->next) {
		const struct log_row *row = row_of(w, a->at.id);

		if (!log_sees(who, row->project))
			log_answer_skip(a, row->id);
		else if (!log_answer_line(a, row->id, w->text + row->pos % WINDOW_BYTES, row->len))
			break;
	}
	return true;
}
