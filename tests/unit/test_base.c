/* err, buf, log, lock, clock, cleanup: the small ones together. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/text.h"
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void an_error_is_a_code_and_a_sentence(void **state)
{
	struct err err = { 0 };

	assert_int_equal(err_set(&err, -ENOENT, "no type '%s'", "fast"), -ENOENT);
	assert_int_equal(err.code, -ENOENT);
	assert_string_equal(err.text, "no type 'fast'");
	assert_int_equal(err_in(&err, "line %d", 3), -ENOENT);
	assert_string_equal(err.text, "line 3: no type 'fast'");
}

static void nobody_may_want_to_know(void **state)
{
	assert_int_equal(err_set(NULL, -EBUSY, "busy"), -EBUSY);
	assert_int_equal(err_in(NULL, "in"), -EIO);
}

static void a_long_sentence_is_cut_and_marked(void **state)
{
	struct err err = { 0 };
	char longer[2 * ERR_TEXT_MAX];

	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	(void)err_set(&err, -EINVAL, "%s", longer);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	(void)err_in(&err, "here");
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	assert_int_equal(strncmp(err.text, "here: x", 7), 0);
	assert_non_null(strstr(err.text, "\xe2\x80\xa6"));
}

static void errors_have_names(void **state)
{
	assert_string_equal(err_name(-EDQUOT), "EDQUOT");
	assert_string_equal(err_name(EDQUOT), "EDQUOT");
	assert_string_equal(err_name(-99999), "E?");
}

static void text_grows(void **state)
{
	struct buf b = { 0 };
	char *text;

	assert_string_equal(buf_text(&b), "");
	buf_adds(&b, "a");
	buf_addc(&b, 'b');
	buf_addf(&b, "%05d", 7);
	buf_add(&b, "x\0y", 3);
	assert_int_equal(b.len, 10);
	assert_memory_equal(b.at, "ab00007x\0y", 11);
	buf_cut(&b, 11);
	assert_int_equal(b.len, 10);
	buf_cut(&b, 4);
	buf_addu(&b, 0);
	buf_addu(&b, UINT64_MAX);
	assert_string_equal(buf_text(&b), "ab00018446744073709551615");
	buf_clear(&b);
	assert_string_equal(buf_text(&b), "");
	for (int i = 0; i < 10000; i++)
		buf_addf(&b, "%d,", i % 10);
	assert_int_equal(b.len, 20000);
	assert_false(buf_failed(&b));
	text = buf_detach(&b);
	assert_int_equal(strlen(text), 20000);
	assert_null(b.at);
	free(text);
	text = buf_detach(&b);
	assert_string_equal(text, "");
	free(text);
}

static void a_buffer_remembers_that_memory_was_short(void **state)
{
	struct buf b = { 0 };

	buf_adds(&b, "a");
	buf_add(&b, "", SIZE_MAX - 4);
	assert_true(buf_failed(&b));
	buf_adds(&b, "b");
	assert_string_equal(buf_text(&b), "a");
	assert_null(buf_detach(&b));
	assert_false(buf_failed(&b));
}

static void say_two_lines(void)
{
	log_err("volume %d: broken", 7);
	log_debug("said only if asked");
}

/* What say() has the log write to stderr. */
static void captured(const char *modules, void (*say)(void), char *text, size_t room)
{
	int pipe_fd[2], was = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(pipe_fd), 0);
	assert_true(dup2(pipe_fd[1], STDERR_FILENO) >= 0);
	close(pipe_fd[1]);
	unsetenv("JOURNAL_STREAM");
	log_open(LOG_TO_STDERR, modules);
	say();
	assert_true(dup2(was, STDERR_FILENO) >= 0);
	close(was);
	n = read(pipe_fd[0], text, room - 1);
	close(pipe_fd[0]);
	assert_true(n > 0);
	text[n] = '\0';
}

static void the_log_is_lines(void **state)
{
	char text[512];

	captured(NULL, say_two_lines, text, sizeof text);
	assert_string_equal(text, "volfs: volume 7: broken\n");
	captured("all", say_two_lines, text, sizeof text);
	assert_string_equal(text, "volfs: volume 7: broken\nvolfs: said only if asked\n");
}

static struct log_place place;

static void say_a_thousand(void)
{
	for (int i = 1; i <= 1000; i++)
		log_line_seldom(&place, 3, "full: %d", i);
}

static void one_place_speaks_once_a_second(void **state)
{
	char text[512];

	captured(NULL, say_a_thousand, text, sizeof text);
	assert_string_equal(text, "volfs: full: 1\n");
	atomic_store(&place.next_ns, 0);
	captured(NULL, say_a_thousand, text, sizeof text);
	assert_string_equal(text, "volfs: full: 1 (and 999 such lines left out)\n");
}

static void say_at_two_places(void)
{
	for (int i = 0; i < 10; i++) {
		log_err_seldom("here");
		log_warning_seldom("there");
	}
}

static void places_do_not_silence_each_other(void **state)
{
	char text[512];

	captured(NULL, say_at_two_places, text, sizeof text);
	assert_string_equal(text, "volfs: here\nvolfs: there\n");
}

static void debugging_is_by_module(void **state)
{
	log_open(LOG_TO_STDERR, "engine,store");
	assert_true(log_debugs("../src/engine/queue.c"));
	assert_true(log_debugs("src/store/open.c"));
	assert_false(log_debugs("src/rbd/image.c"));
	assert_false(log_debugs("src/stor/open.c"));
	log_open(LOG_TO_STDERR, NULL);
	assert_false(log_debugs("src/engine/queue.c"));
}

static struct lock lock = LOCK_INIT;
static int counted; /* lock */

static void *count(void *arg)
{
	for (int i = 0; i < 10000; i++) {
		LOCK_SCOPE(&lock);
		lock_assert_held(&lock);
		counted++;
	}
	return NULL;
}

static void a_lock_excludes(void **state)
{
	pthread_t thread[4];

	counted = 0;
	for (size_t i = 0; i < COUNT(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, count, NULL), 0);
	for (size_t i = 0; i < COUNT(thread); i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(counted, 40000);
}

static void a_lock_that_is_not_held_is_noticed(void **state)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		/* cmocka would report the abort as its own */
		signal(SIGABRT, SIG_DFL);
		(void)freopen("/dev/null", "w", stderr);
		lock_assert_held(&lock);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void waiting_ends_at_its_moment(void **state)
{
	struct timespec until = clock_mono_in_ms(20);
	int64_t before = clock_mono_ns();
	pthread_cond_t cond;
	struct lock l;

	lock_init(&l);
	cond_init(&cond);
	lock_take(&l);
	while (lock_wait_until(&l, &cond, &until))
		;
	lock_assert_held(&l);
	lock_drop(&l);
	assert_true(clock_mono_ns() - before >= 20 * 1000000 - 1000);
	pthread_cond_destroy(&cond);
	lock_release(&l);
}

static void time_is_shown_as_rfc_3339(void **state)
{
	char text[CLOCK_TEXT_MAX];

	assert_string_equal(clock_text(0, text), "1970-01-01T00:00:00Z");
	assert_string_equal(clock_text(INT64_C(1795380058123456), text), "2026-11-22T20:40:58Z");
	assert_true(clock_wall_us() > INT64_C(1700000000) * 1000000);
}

/* Every day of four centuries and some, at another time of it each. */
static void its_dates_are_those_of_strftime(void **state)
{
	char text[CLOCK_TEXT_MAX], want[CLOCK_TEXT_MAX];

	for (int64_t day = 0; day < 160000; day++) {
		time_t s = day * 86400 + day * 7919 % 86400;
		struct tm tm;

		gmtime_r(&s, &tm);
		strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%SZ", &tm);
		assert_string_equal(clock_text((int64_t)s * 1000000 + 999999, text), want);
	}
}

static void ownership_moves(void **state)
{
	CLEANUP_FREE char *from = strdup("x");
	CLEANUP_FREE char *to = take_ptr(&from);

	assert_null(from);
	assert_string_equal(to, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_is_a_code_and_a_sentence),
		cmocka_unit_test(nobody_may_want_to_know),
		cmocka_unit_test(a_long_sentence_is_cut_and_marked),
		cmocka_unit_test(errors_have_names),
		cmocka_unit_test(text_grows),
		cmocka_unit_test(a_buffer_remembers_that_memory_was_short),
		cmocka_unit_test(the_log_is_lines),
		cmocka_unit_test(one_place_speaks_once_a_second),
		cmocka_unit_test(places_do_not_silence_each_other),
		cmocka_unit_test(debugging_is_by_module),
		cmocka_unit_test(a_lock_excludes),
		cmocka_unit_test(a_lock_that_is_not_held_is_noticed),
		cmocka_unit_test(waiting_ends_at_its_moment),
		cmocka_unit_test(time_is_shown_as_rfc_3339),
		cmocka_unit_test(its_dates_are_those_of_strftime),
		cmocka_unit_test(ownership_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
