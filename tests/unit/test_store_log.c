/* The log: lines and their places, for all and for the readers of some projects; compared with a walk over all lines. */
#include "base/clock.h"
#include "store_rig.h"

#include <errno.h>

enum {
	PROJECTS = 5,
	LINES = 600,
	DETAIL_MAX = 200,
};

static struct view *v;
static int64_t project[PROJECTS]; /* row; [0]: of none */

static int start(void **state)
{
	if (make_dir(state) < 0)
		return -1;
	up();
	return view_open(s, &v, &err);
}

static int stop(void **state)
{
	view_close(v);
	v = NULL;
	return drop_dir(state);
}

/* --- events --- */

static int add_event(struct tx *tx, void *arg, struct err *e)
{
	return tx_event(tx, arg);
}

static int add_and_fail(struct tx *tx, void *arg, struct err *e)
{
	int r = tx_event(tx, arg);

	return r < 0 ? r : err_set(e, -EPERM, "on purpose");
}

static int find_projects(struct tx *tx, void *arg, struct err *e)
{
	char name[8];
	int r = 0;

	for (int i = 1; i < PROJECTS && r >= 0; i++) {
		(void)snprintf(name, sizeof name, "p%d", i);
		r = tx_project(tx, name, &project[i]);
	}
	return r;
}

static void happens(int64_t of, const char *detail)
{
	struct event e = { .project = of, .event = "test", .uid = -1, .detail = detail };

	assert_int_equal(change(add_event, &e), 0);
}

/* Some of the projects, and of none. */
static int add_random(struct tx *tx, void *arg, struct err *e)
{
	char detail[DETAIL_MAX + 1];
	int r = 0;

	for (int i = 0; i < *(int *)arg && r >= 0; i++) {
		size_t len = (size_t)rand() % DETAIL_MAX;
		struct event event = { .event = "test", .uid = -1, .detail = detail };

		memset(detail, 'x', len);
		detail[len] = '\0';
		event.project = project[rand() % (PROJECTS - 1)]; /* the last one has none */
		r = tx_event(tx, &event);
	}
	return r;
}

static int add_random_and_fail(struct tx *tx, void *arg, struct err *e)
{
	int r = add_random(tx, arg, e);

	return r < 0 ? r : err_set(e, -EPERM, "on purpose");
}

/* n: a multiple of 10. */
static void random_events(int n)
{
	int some = 10;

	assert_int_equal(change(find_projects, NULL), 0);
	for (; n > 0; n -= some) {
		assert_int_equal(change(add_random, &some), 0);
		assert_int_equal(change(add_random_and_fail, &some), -EPERM);
	}
}

/* --- the walk --- */

struct walk {
	struct log_row row[LINES];
	int n;
	struct buf text;
};

static void walk(struct walk *w)
{
	*w = (struct walk){ 0 };
	w->n = view_log(v, 0, w->row, LINES, &w->text);
	assert_true(w->n >= 0);
	assert_false(buf_failed(&w->text));
}

static bool sees(const struct log_reader *who, int64_t of)
{
	bool found = who->all;

	for (size_t i = 0; i < who->count && !found; i++)
		found = who->project[i] == of;
	return found;
}

/* start: the bytes of his that are no longer there. */
static void same_ends(const struct walk *w, const struct log_reader *who, uint64_t start)
{
	struct log_ends e, all;
	uint64_t bytes = 0;
	int64_t first = 0, last = 0;

	for (int i = 0; i < w->n; i++) {
		if (!sees(who, w->row[i].project))
			continue;
		bytes += w->row[i].len;
		first = first ? first : w->row[i].id;
		last = w->row[i].id;
	}
	assert_int_equal(view_log_ends(v, &all), 0);
	assert_int_equal(view_log_ends_of(v, who, &e), 0);
	assert_int_equal(e.start, start);
	assert_int_equal(e.end, start + bytes);
	assert_int_equal(e.first, first ? first : all.last + 1);
	assert_int_equal(e.last, first ? last : all.last);
}

static void same_line(const struct log_reader *who, uint64_t pos, int64_t id, uint64_t start)
{
	int64_t got;
	uint64_t at;

	assert_int_equal(view_log_at_of(v, who, pos, &got, &at), 0);
	assert_int_equal(got, id);
	assert_int_equal(at, start);
	if (!who->all)
		return;
	assert_int_equal(view_log_at(v, pos, &got), 0);
	assert_int_equal(got, id);
}

/* Every line by its first byte, its last and one between. */
static void same_places(const struct walk *w, const struct log_reader *who, uint64_t start)
{
	uint64_t at = start;
	int64_t id;

	for (int i = 0; i < w->n; i++) {
		const struct log_row *row = &w->row[i];

		if (!sees(who, row->project))
			continue;
		if (at == start && start > 0) {
			same_line(who, 0, row->id, at);
			same_line(who, start - 1, row->id, at);
		}
		same_line(who, at, row->id, at);
		same_line(who, at + (uint64_t)rand() % row->len, row->id, at);
		same_line(who, at + row->len - 1, row->id, at);
		at += row->len;
	}
	assert_int_equal(view_log_at_of(v, who, at, &id, &at), -ENOENT);
	assert_int_equal(view_log_at_of(v, who, at + 1000, &id, &at), -ENOENT);
}

static struct log_reader reader(unsigned mask)
{
	struct log_reader who = { 0 };

	for (int i = 1; i < PROJECTS; i++)
		if (mask & 1U << i)
			who.project[who.count++] = project[i];
	return who;
}

/* gone: lines that the log held before. */
static void all_is_as_the_walk_says(const struct walk *gone)
{
	struct log_reader all = { .all = true };
	struct walk w;

	walk(&w);
	for (unsigned mask = 0; mask < 1U << PROJECTS; mask += 2) {
		struct log_reader who = mask ? reader(mask) : all;
		uint64_t start = 0;

		for (int i = 0; gone && i < gone->n && (w.n == 0 || gone->row[i].id < w.row[0].id);
			i++)
			start += sees(&who, gone->row[i].project) ? gone->row[i].len : 0;
		same_ends(&w, &who, start);
		same_places(&w, &who, start);
	}
	buf_release(&w.text);
}

/* --- tests --- */

static void an_empty_log_has_its_ends_at_zero(void **state)
{
	struct log_reader nobody = { 0 };
	struct log_row row;
	struct buf text = { 0 };
	struct log_ends e;
	int64_t id;

	assert_int_equal(view_log(v, 0, &row, 1, &text), 0);
	assert_int_equal(view_log_ends(v, &e), 0);
	assert_true(e.first == 1 && e.last == 0 && e.start == 0 && e.end == 0);
	assert_int_equal(view_log_ends_of(v, &nobody, &e), 0);
	assert_true(e.first == 1 && e.last == 0 && e.start == 0 && e.end == 0);
	assert_int_equal(view_log_at(v, 0, &id), -ENOENT);
	assert_int_equal(store_log_last(s), 0);
	buf_release(&text);
}

static void a_line_says_its_position(void **state)
{
	struct log_row row[3];
	struct buf text = { 0 };
	char want[64];

	happens(0, "one");
	happens(0, "a \"quoted\" line\n");
	assert_int_equal(view_log(v, 0, row, 3, &text), 2);
	assert_int_equal(row[0].pos, 0);
	assert_int_equal(row[1].pos, row[0].len);
	assert_int_equal(row[0].len + row[1].len, text.len);
	assert_int_equal(text.at[row[0].len - 1], '\n');
	assert_non_null(strstr(text.at, "\"position\":0}\n"));
	assert_non_null(strstr(text.at, "\"detail\":\"a \\\"quoted\\\" line\\u000a\""));
	(void)snprintf(want, sizeof want, "\"position\":%zu}\n", row[0].len);
	assert_non_null(strstr(text.at, want));
	assert_int_equal(view_log(v, row[0].id, row, 3, &text), 1);
	assert_int_equal(view_log(v, row[0].id, row, 3, &text), 0);
	buf_release(&text);
}

static void places_are_what_a_walk_finds(void **state)
{
	random_events(LINES / 2);
	all_is_as_the_walk_says(NULL);
}

/* As retention does. */
static void drop_up_to(int64_t id)
{
	char text[128];

	(void)snprintf(text, sizeof text, "UPDATE counts SET log_start = %lld", (long long)id);
	assert_int_equal(sql(text), -1);
	(void)snprintf(text, sizeof text, "DELETE FROM event WHERE id <= %lld AND id %% 3 > 0",
		(long long)id);
	assert_int_equal(sql(text), -1);
}

static void what_is_gone_still_counts(void **state)
{
	struct walk gone;

	random_events(LINES / 2);
	walk(&gone);
	drop_up_to(1);
	all_is_as_the_walk_says(&gone);
	drop_up_to(LINES / 4);
	all_is_as_the_walk_says(&gone);
	drop_up_to(LINES / 2);
	all_is_as_the_walk_says(&gone);
	buf_release(&gone.text);
}

static void it_goes_on_where_it_was(void **state)
{
	struct walk gone, w;
	int64_t last;

	random_events(LINES / 4);
	walk(&gone);
	last = store_log_last(s);
	assert_int_equal(last, gone.row[gone.n - 1].id);
	drop_up_to(last);
	view_close(v);
	down();
	up();
	assert_int_equal(view_open(s, &v, &err), 0);
	assert_int_equal(store_log_last(s), last);
	happens(project[1], "after");
	assert_int_equal(store_log_last(s), last + 1);
	all_is_as_the_walk_says(&gone);
	walk(&w);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.row[0].pos, gone.row[gone.n - 1].pos + gone.row[gone.n - 1].len);
	buf_release(&w.text);
	buf_release(&gone.text);
}

static void an_event_that_was_undone_leaves_no_trace(void **state)
{
	struct event e = { .event = "undone", .uid = -1 };
	struct walk w;

	happens(0, "one");
	assert_int_equal(change(add_and_fail, &e), -EPERM);
	assert_int_equal(store_log_last(s), 1);
	happens(0, "two");
	walk(&w);
	assert_int_equal(w.n, 2);
	assert_int_equal(w.row[1].id, 2);
	assert_int_equal(w.row[1].pos, w.row[0].len);
	assert_int_equal(sql("SELECT log_end FROM counts"), (int64_t)w.text.len);
	buf_release(&w.text);
}

static void a_reader_has_each_project_once(void **state)
{
	const char *const names[] = { "p2", "none", "p1", "p2", "p1" };
	struct log_reader who;

	assert_int_equal(change(find_projects, NULL), 0);
	assert_int_equal(view_log_reader(v, names, COUNT(names), &who), 0);
	assert_false(who.all);
	assert_int_equal(who.count, 2);
	assert_int_equal(who.project[0], project[2]);
	assert_int_equal(who.project[1], project[1]);
	assert_int_equal(view_log_reader(v, names, 0, &who), 0);
	assert_int_equal(who.count, 0);
}

/* --- retention --- */

static int64_t events_of(int64_t volume)
{
	char text[80];

	(void)snprintf(text, sizeof text, "SELECT count(*) FROM event WHERE volume = %lld",
		(long long)volume);
	return sql(text);
}

static int nothing(struct tx *tx, void *arg, struct err *e)
{
	return 0;
}

/* The writer looks once a second, with whatever it commits then. */
static void until(const char *query, int64_t n)
{
	for (int i = 0; sql(query) != n; i++) {
		if (i == 100)
			fail_msg(
				"%s is %lld, not %lld", query, (long long)sql(query), (long long)n);
		usleep(100000);
		assert_int_equal(change(nothing, NULL), 0);
	}
}

struct many {
	int n;
	struct event event;
};

static int add_many(struct tx *tx, void *arg, struct err *e)
{
	const struct many *m = arg;
	int r = 0;

	for (int i = 0; i < m->n && r >= 0; i++)
		r = tx_event(tx, &m->event);
	return r;
}

static void happen(int n, int64_t to)
{
	struct many m = { n, { .volume = to, .event = "test", .uid = -1 } };

	assert_int_equal(change(add_many, &m), 0);
}

static int64_t added(const char *name)
{
	struct volume vol = volume(name);

	assert_int_equal(change(add_volume, &vol), 0);
	return vol.id;
}

static void a_long_history_shows_its_latest(void **state)
{
	int64_t one = added("long");
	struct buf text = { 0 };
	size_t lines = 0;

	happen(1, added("other"));
	happen(VIEW_HISTORY_MAX + 50, one);
	assert_int_equal(view_history(v, one, &text), 0);
	for (const char *at = buf_text(&text); (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, VIEW_HISTORY_MAX);
	buf_clear(&text);
	happen(1, one);
	assert_int_equal(view_history(v, one, &text), 0);
	assert_non_null(strstr(buf_text(&text), " test volfs\n"));
	buf_release(&text);
}

static int trash(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_trash(tx, *(int64_t *)arg, 0);
}

static int purge(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_purge(tx, *(int64_t *)arg);
}

static void it_keeps_so_many(void **state)
{
	struct walk gone;

	random_events(LINES / 2);
	walk(&gone);
	store_keep_log(s, LINES / 4, 0);
	until("SELECT log_start FROM counts", LINES / 4);
	until("SELECT log_swept FROM counts", LINES / 4);
	assert_int_equal(sql("SELECT count(*) FROM event"), LINES / 4);
	all_is_as_the_walk_says(&gone);
	buf_release(&gone.text);
}

static void it_keeps_them_so_long(void **state)
{
	struct walk gone;

	random_events(LINES / 4);
	walk(&gone);
	(void)sql("UPDATE event SET at_us = at_us - 10000000000 WHERE id <= 40");
	store_keep_log(s, 0, 3600);
	until("SELECT log_start FROM counts", 40);
	all_is_as_the_walk_says(&gone);
	(void)sql("UPDATE event SET at_us = at_us - 10000000000");
	until("SELECT log_start FROM counts", LINES / 4);
	until("SELECT count(*) FROM event", 0);
	all_is_as_the_walk_says(&gone);
	buf_release(&gone.text);
}

static void a_volume_keeps_its_latest(void **state)
{
	int64_t busy = added("busy") /* row 1 */, quiet = added("quiet"),
		deleted = added("deleted"), dropped = added("dropped");

	happen(10, quiet);
	happen(10, deleted);
	happen(10, dropped);
	happen(10, 0);
	happen(1500, busy);
	assert_int_equal(change(trash, &deleted), 0);
	assert_int_equal(change(purge, &dropped), 0);
	assert_int_equal(events_of(dropped), 10);
	store_keep_log(s, 100, 0);
	until("SELECT log_swept FROM counts", 1440);
	assert_int_equal(events_of(busy), 256 + 100);
	assert_int_equal(sql("SELECT max(id) - min(id) FROM event WHERE volume = 1"), 355);
	assert_int_equal(events_of(quiet), 10);
	assert_int_equal(events_of(deleted), 10);
	assert_int_equal(sql("SELECT count(*) FROM event"), 256 + 100 + 10 + 10);
}

/* For an hour it is read as before; the log needs none of them for that. */
static void a_purged_one_is_forgotten_later(void **state)
{
	int64_t one = added("one");

	happen(10, one);
	assert_int_equal(change(trash, &one), 0);
	assert_int_equal(change(purge, &one), 0);
	happen(100, 0);
	store_keep_log(s, 95, 0);
	until("SELECT log_swept FROM counts", 15);
	assert_int_equal(events_of(one), 10);
	(void)sql("UPDATE purged SET at_us = 1");
	until("SELECT count(*) FROM purged", 0);
	assert_int_equal(events_of(one), 0);
}

static void the_log_keeps_what_is_purged(void **state)
{
	int64_t one = added("one"), two = added("two");

	assert_int_equal(change(find_projects, NULL), 0);
	happen(10, one);
	happen(10, two);
	assert_int_equal(change(trash, &one), 0);
	assert_int_equal(change(purge, &one), 0);
	(void)sql("UPDATE purged SET at_us = 1");
	until("SELECT count(*) FROM purged", 0);
	assert_int_equal(change(purge, &two), 0);
	assert_int_equal(sql("SELECT count(*) FROM event"), 20);
	all_is_as_the_walk_says(NULL);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(an_empty_log_has_its_ends_at_zero),
		TEST(a_line_says_its_position),
		TEST(places_are_what_a_walk_finds),
		TEST(what_is_gone_still_counts),
		TEST(it_goes_on_where_it_was),
		TEST(an_event_that_was_undone_leaves_no_trace),
		TEST(a_reader_has_each_project_once),
		TEST(a_long_history_shows_its_latest),
		TEST(it_keeps_so_many),
		TEST(it_keeps_them_so_long),
		TEST(a_volume_keeps_its_latest),
		TEST(a_purged_one_is_forgotten_later),
		TEST(the_log_keeps_what_is_purged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
