/* What comes next in the log: cut at any size, over what is lost, for readers of one project; from the catalogue and from the window. */
#include "unit.h"

#include "fs/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The catalogue: events 1 … last, of project 1 and 2 in turn; `first` is the oldest that is kept. */
enum { LAST = 600 };

static struct {
	int64_t first, last;
	uint64_t pos[LAST + 2];
	char line[LAST + 2][300];
	int queries;
} all;

static const struct log_reader admin = { .all = true };
static const struct log_reader member = { .count = 1, .project = { 2 } };
static const struct log_reader nobody = { .count = 1, .project = { 3 } };

static int64_t project_of(int64_t id)
{
	return 1 + id % 2;
}

static int set_up(void **state)
{
	all.first = 1;
	all.last = LAST;
	for (int id = 1; id <= LAST; id++) {
		(void)snprintf(all.line[id], sizeof all.line[id], "{\"id\":%d,\"%*s\"}\n", id,
			id % 200, "x");
		all.pos[id + 1] = all.pos[id] + strlen(all.line[id]);
	}
	return 0;
}

int view_log(struct view *v, int64_t after, struct log_row *ret, size_t n, struct buf *text)
{
	int64_t id = after + 1 < all.first ? all.first : after + 1;
	size_t i = 0;

	all.queries++;
	for (; i < n && id <= all.last; i++, id++) {
		ret[i] = (struct log_row){ .id = id,
			.project = project_of(id),
			.pos = all.pos[id],
			.len = strlen(all.line[id]) };
		buf_adds(text, all.line[id]);
	}
	return (int)i;
}

int view_log_ends(struct view *v, struct log_ends *ret)
{
	*ret = (struct log_ends){ all.first, all.last, all.pos[all.first], all.pos[all.last + 1] };
	return 0;
}

int view_log_next_of(struct view *v, const struct log_reader *who, int64_t after, int64_t *ret_id)
{
	for (int64_t id = after + 1 < all.first ? all.first : after + 1; id <= all.last; id++)
		if (log_sees(who, project_of(id))) {
			*ret_id = id;
			return 0;
		}
	return -ENOENT;
}

/* What the rest of log.c asks for, which is not tested here. */
int view_log_ends_of(struct view *v, const struct log_reader *who, struct log_ends *ret)
{
	return -EIO;
}

int view_log_at_of(struct view *v, const struct log_reader *who, uint64_t pos, int64_t *ret_id,
	uint64_t *ret_start)
{
	return -EIO;
}

int64_t store_log_last(struct store *s)
{
	return all.last;
}

int log_who(struct ctx *c, uint64_t fh, struct log_reader *ret)
{
	return -EIO;
}

int log_who_asks(struct ctx *c, struct log_reader *ret)
{
	return -EIO;
}

bool place_find(struct fs *fs, uint64_t fh, off_t off, int64_t *ret_pos)
{
	return false;
}

bool place_within(
	struct fs *fs, uint64_t fh, off_t off, off_t *ret_begin, int64_t *ret_pos, off_t *ret_end)
{
	return false;
}

void place_next(struct fs *fs, uint64_t fh, off_t off, int64_t pos)
{
}

int reply_errno(int code)
{
	return -code;
}

int fuse_reply_err(fuse_req_t req, int err)
{
	return 0;
}

int fuse_reply_buf(fuse_req_t req, const char *at, size_t len)
{
	return 0;
}

/* --- */

static void expect_rest(struct buf *want, const struct log_reader *who, int64_t id)
{
	for (; id <= all.last; id++)
		if (log_sees(who, project_of(id)))
			buf_adds(want, all.line[id]);
}

/* Reads on from *at to the end, by answers of `room` bytes. */
static void read_all(struct buf *got, const struct log_reader *who, struct log_place *at,
	size_t room, bool whole)
{
	for (;;) {
		struct log_answer a = { .room = room, .whole = whole, .at = *at };
		struct log_place back;

		assert_int_equal(log_fill(NULL, who, &a), 0);
		assert_true(a.text.len <= room);
		back = log_unpack(log_pack(a.at));
		assert_int_equal(back.id, a.at.id);
		assert_int_equal(back.within, a.at.within);
		*at = a.at;
		if (!a.text.len)
			break;
		if (whole && room >= 300)
			assert_int_equal(a.text.at[a.text.len - 1], '\n');
		buf_add(got, a.text.at, a.text.len);
		buf_release(&a.text);
	}
}

static void any_size_gives_the_same_bytes(void **state)
{
	static const size_t rooms[] = { 1, 2, 7, 64, 299, 300, 4096, 1 << 20 };
	const struct log_reader *who[] = { &admin, &member, &nobody };

	for (size_t i = 0; i < COUNT(rooms); i++)
		for (size_t j = 0; j < COUNT(who); j++)
			for (int whole = 0; whole < 2; whole++) {
				struct log_place at = { .id = 1 };
				struct buf want = { 0 }, got = { 0 };

				expect_rest(&want, who[j], 1);
				read_all(&got, who[j], &at, rooms[i], whole);
				assert_string_equal(buf_text(&got), buf_text(&want));
				assert_int_equal(at.id, LAST + 1);
				buf_release(&want);
				buf_release(&got);
			}
}

/* The lost line ends, in the log's count of bytes, where the first one that is kept begins. */
static void expect_lost(const char *text, const char *count)
{
	const char *at = strstr(text, "\"position\":"), *end = strchr(text, '\n');
	char want[64];

	(void)snprintf(want, sizeof want, "\"event\":\"lost\",\"count\":%s,", count);
	assert_non_null(strstr(text, want));
	assert_int_equal((uint64_t)atoll(at + 11) + (uint64_t)(end + 1 - text), all.pos[all.first]);
	assert_string_equal(end + 1, all.line[all.first]);
}

static void what_is_lost_is_told_once(void **state)
{
	static const size_t rooms[] = { 1, 50, 104, 105, 4096 };

	all.first = all.last = 400;
	for (size_t i = 0; i < COUNT(rooms); i++)
		for (int known = 0; known < 2; known++) {
			struct log_place at = { .id = known ? 100 : 0,
				.within = known ? 0 : LOG_TELLS };
			struct buf got = { 0 };

			read_all(&got, &admin, &at, rooms[i], true);
			expect_lost(got.at, known ? "300" : "null");
			assert_int_equal(at.id, 401);
			buf_release(&got);
		}
}

static void a_line_whose_rest_is_lost_ends(void **state)
{
	struct log_place at = { .id = 100, .within = 5 };
	struct buf got = { 0 };

	all.first = all.last = 400;
	read_all(&got, &admin, &at, 4096, true);
	assert_int_equal(got.at[0], '\n');
	expect_lost(got.at + 1, "300");
	buf_release(&got);
}

static void an_empty_log_says_what_went(void **state)
{
	struct log_place at = { .id = 100 };
	struct buf got = { 0 };

	all.first = LAST + 1;
	read_all(&got, &admin, &at, 4096, true);
	assert_non_null(strstr(got.at, "\"count\":501,"));
	assert_int_equal(at.id, LAST + 1);
	buf_release(&got);
}

/* Others' events cost a question, not a walk. */
static void who_sees_nothing_reads_nothing(void **state)
{
	struct log_place at = { .id = 1 };
	struct buf got = { 0 };

	all.queries = 0;
	read_all(&got, &nobody, &at, 4096, true);
	assert_int_equal(got.len, 0);
	assert_true(all.queries <= 1);
	buf_release(&got);
}

/* --- the window --- */

static void add_rows(struct window *w, int64_t from, int64_t to)
{
	for (int64_t id = from; id <= to; id++) {
		struct log_row row = { .id = id,
			.project = project_of(id),
			.pos = all.pos[id],
			.len = strlen(all.line[id]) };

		(void)window_add(w, &row, 1, all.line[id]);
	}
}

static void window_gives_the_same_bytes(void **state)
{
	struct log_answer a = { .room = 1 << 20, .whole = true, .at = { .id = 300 } };
	struct buf want = { 0 };
	struct window *w;

	assert_int_equal(window_new(&w), 0);
	window_restart(w, 200);
	add_rows(w, 200, LAST);
	expect_rest(&want, &member, 300);
	assert_true(window_fill(w, &member, &a));
	assert_string_equal(buf_text(&a.text), buf_text(&want));
	assert_int_equal(a.at.id, LAST + 1);
	buf_release(&a.text);
	a.at.id = 199;
	assert_false(window_fill(w, &admin, &a));
	buf_release(&want);
	window_free(w);
}

/* Much more than it holds: it keeps the latest, each in one piece. */
static void window_forgets_the_oldest(void **state)
{
	enum { ROWS = 100000, LEN = 997 };
	char line[LEN + 1];
	struct window *w;
	int64_t first, next;

	assert_int_equal(window_new(&w), 0);
	window_restart(w, 1);
	for (int64_t id = 1; id <= ROWS; id++) {
		struct log_row row = { .id = id, .pos = (uint64_t)(id - 1) * LEN, .len = LEN };

		(void)snprintf(line, sizeof line, "%*lld", LEN, (long long)id);
		(void)window_add(w, &row, 1, line);
	}
	window_ends(w, &first, &next);
	assert_int_equal(next, ROWS + 1);
	assert_in_range(next - first, 4000, 4300);
	for (int64_t id = first; id < next; id++) {
		struct log_answer a = { .room = LEN, .whole = true, .at = { .id = id } };

		assert_true(window_fill(w, &admin, &a));
		assert_int_equal(a.text.len, LEN);
		assert_int_equal(atoll(a.text.at), id);
		buf_release(&a.text);
	}
	window_free(w);
}

static void window_says_when_a_project_is_new(void **state)
{
	struct log_row row = { .id = 1, .project = 5, .len = 1 };
	struct window *w;

	assert_int_equal(window_new(&w), 0);
	window_restart(w, 1);
	assert_true(window_add(w, &row, 1, "\n"));
	row.id = 2;
	assert_false(window_add(w, &row, 1, "\n"));
	row = (struct log_row){ .id = 7, .project = 6, .len = 1 };
	assert_true(window_add(w, &row, 1, "\n"));
	window_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(any_size_gives_the_same_bytes, set_up),
		cmocka_unit_test_setup(what_is_lost_is_told_once, set_up),
		cmocka_unit_test_setup(a_line_whose_rest_is_lost_ends, set_up),
		cmocka_unit_test_setup(an_empty_log_says_what_went, set_up),
		cmocka_unit_test_setup(who_sees_nothing_reads_nothing, set_up),
		cmocka_unit_test_setup(window_gives_the_same_bytes, set_up),
		cmocka_unit_test_setup(window_forgets_the_oldest, set_up),
		cmocka_unit_test_setup(window_says_when_a_project_is_new, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
