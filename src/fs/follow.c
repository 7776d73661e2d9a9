/*
 * The thread for those who wait for the next event. It looks after a commit, reads what is new once for all of them into the window, and
 * answers who blocks in read(2) and wakes who sleeps in poll(2). It does so at once when there was nothing for a while, and else every
 * PAUSE_US at most, or later where there are many to answer: so what they cost is bounded, and each gets more at a time.
 *
 * Nothing is queued for a reader. Who does not read stays where he is, and reads from the window when he comes back, or from the
 * catalogue in a thread of his own request if he is far behind.
 */
#include "fs/follow.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

enum {
	PAUSE_US = 4000,
	PAUSE_EACH_US = 25, /* … for each that is answered */
};

void follow_look(struct follow *f)
{
	bool first;

	lock_take(&f->lock);
	first = !f->woken;
	f->woken = true;
	lock_drop(&f->lock);
	if (first)
		pthread_cond_signal(&f->more);
}

void follow_wake(struct follow *f)
{
	if (atomic_load(&f->looking) && store_log_last(f->fs->store) >= atomic_load(&f->next))
		follow_look(f);
}

size_t follow_count(struct follow *f)
{
	return atomic_load(&f->looking);
}

/* --- what is new --- */

/* The first event that somebody waits for; 0: nobody does. */
static int64_t lowest(struct follow *f)
{
	int64_t blocked, asleep;

	LOCK_SCOPE(&f->lock);
	blocked = blocked_first_locked(f);
	asleep = asleep_first_locked(f);
	return !blocked || (asleep && asleep < blocked) ? asleep : blocked;
}

/* Takes what is new into the window: how many lines. */
static int read_new(struct follow *f, struct view *v)
{
	struct log_row row[LOG_BATCH];
	int64_t first, next, low = lowest(f);
	struct buf text = { 0 };
	int n = 0;

	window_ends(f->window, &first, &next);
	if (low && (low > next || low < first))
		window_restart(f->window, next = low);
	if (low)
		n = view_log(v, next - 1, row, LOG_BATCH, &text);
	if (n > 0 && row[0].id > next) {
		f->kept = row[0].id;
		f->kept_pos = row[0].pos;
	}
	if (n > 0 && !buf_failed(&text) && window_add(f->window, row, (size_t)n, text.at))
		f->project_at = row[n - 1].id;
	window_ends(f->window, &first, &next);
	atomic_store(&f->next, next);
	buf_release(&text);
	return n;
}

/* What is in the window is known of every reader, unless a project has come that was not there when it asked. */
static void learn(struct follow *f, struct view *v, struct stand *s)
{
	int64_t first, next;

	if (s->who.known == INT64_MAX)
		return;
	if (v && s->who.known < f->project_at)
		log_who_again(f->fs, v, s->fh, &s->who);
	window_ends(f->window, &first, &next);
	if (s->who.known >= f->project_at && s->who.known < next - 1)
		s->who.known = next - 1;
}

bool follow_next(struct follow *f, struct view *v, struct stand *s, struct log_answer *a)
{
	learn(f, v, s);
	if (a->at.id < f->kept && !log_answer_lost(a, f->kept, f->kept_pos))
		return true;
	return window_fill(f->window, &s->who, a);
}

/* --- the thread --- */

static void look(struct follow *f, struct view *v)
{
	int64_t began_ns = clock_mono_ns(), each = 0;
	int rows;

	do {
		rows = v ? read_new(f, v) : 0;
		f->pass++;
		each += (int64_t)blocked_answer(f, v);
		each += (int64_t)asleep_wake(f, v);
	} while (rows == LOG_BATCH);
	each *= PAUSE_EACH_US;
	f->due_ns = began_ns + (each > PAUSE_US ? each : PAUSE_US) * 1000;
}

/* Until there is something to do. True: to look. */
static bool next_locked(struct follow *f)
{
	while (!f->ending && !f->interrupted) {
		if (f->woken && clock_mono_ns() >= f->due_ns)
			break;
		if (f->woken)
			(void)lock_wait_until(&f->lock, &f->more,
				&(struct timespec){
					f->due_ns / 1000000000, f->due_ns % 1000000000 });
		else
			lock_wait(&f->lock, &f->more);
	}
	if (f->interrupted || f->ending)
		return false;
	f->woken = false;
	return true;
}

static void *run(void *arg)
{
	struct follow *f = arg;
	struct view *view = fs_view(f->fs);

	for (;;) {
		struct follower *interrupted;
		bool due, ending;

		lock_take(&f->lock);
		due = next_locked(f);
		ending = f->ending;
		interrupted = f->interrupted;
		f->interrupted = NULL;
		lock_drop(&f->lock);
		blocked_interrupted(f, interrupted);
		if (ending)
			return NULL;
		if (due)
			look(f, view);
	}
}

int follow_new(struct fs *fs, struct follow **ret, struct err *err)
{
	struct follow *f = calloc(1, sizeof *f);

	if (!f || window_new(&f->window) < 0) {
		free(f);
		return err_set(err, -ENOMEM, "no memory for followers of events");
	}
	f->fs = fs;
	lock_init(&f->lock);
	cond_init(&f->more);
	if (pthread_create(&f->thread, NULL, run, f)) {
		window_free(f->window);
		free(f);
		return err_set(err, -EAGAIN, "cannot start the followers' thread");
	}
	(void)pthread_setname_np(f->thread, "followers");
	*ret = f;
	return 0;
}

/* As with waiters, blocked readers stay unanswered. */
void follow_free(struct follow *f)
{
	if (!f)
		return;
	lock_take(&f->lock);
	f->ending = true;
	pthread_cond_signal(&f->more);
	lock_drop(&f->lock);
	pthread_join(f->thread, NULL);
	lock_take(&f->lock);
	asleep_free_locked(f);
	blocked_free_locked(f);
	lock_drop(&f->lock);
	lock_release(&f->lock);
	window_free(f->window);
	free(f);
}
