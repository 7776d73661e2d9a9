/*
 * The results: the requests are read a second time, each chosen for and written before the next. So a million of them take
 * no more memory than one.
 */
#include "schedule/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FLUSH_AT = 65536 };

struct results {
	struct document *d;
	struct sched *sched;
	struct sched_index *index;
	struct sched_work work;
	struct buf out, why;
	uint8_t *passed; /* which backends pass; explain */
	int to;
};

static int prepare(struct results *s, struct err *err)
{
	static const char *const filters[] = { "availability_zone", "capacity", NULL };
	static const struct sched_weigher_conf weigher = { "capacity", 1 };
	struct sched_conf conf = { filters, &weigher, 1, true };
	int r;

	if (s->d->has_filters)
		conf.filters = (const char *const *)s->d->filter;
	if (s->d->has_weighers) {
		conf.weighers = s->d->weigher;
		conf.weigher_count = s->d->weighers;
	}
	s->work.chance =
		(struct sched_chance){ .number = s->d->random, .count = s->d->random_count };
	s->passed = calloc(s->d->fleet.count + 1, sizeof *s->passed);
	r = s->passed ? sched_new(&conf, &s->sched, err) : err_set(err, -ENOMEM, "out of memory");
	return r < 0 ? r
		     : sched_index_new(s->sched, s->d->fleet.b, s->d->fleet.count, &s->index, err);
}

static int flush(struct results *s, struct err *err)
{
	size_t done = 0;

	while (done < s->out.len) {
		ssize_t n = write(s->to, s->out.at + done, s->out.len - done);

		if (n < 0 && errno != EINTR)
			return err_set(
				err, -errno, "cannot write the results: %s", strerror(errno));
		done += n > 0 ? (size_t)n : 0;
	}
	buf_clear(&s->out);
	return 0;
}

static void add_text(struct buf *out, const char *text)
{
	const struct fact f = { .kind = FACT_TEXT, .text = text };

	fact_json(&f, out);
}

/* Of one request. */
struct outcome {
	int choice; /* below 0: none */
	double weight;
	int left; /* explain: how many pass, in work.ranked */
	struct err why;
};

static void add_ranked(struct results *s, int i, double weight)
{
	const struct fact f = { .kind = FACT_REAL, .real = weight };

	buf_adds(&s->out, "{\"name\": ");
	add_text(&s->out, s->d->fleet.b[i].name);
	buf_adds(&s->out, ", \"weight\": ");
	fact_json(&f, &s->out);
	buf_addc(&s->out, '}');
}

static void add_refused(struct results *s, const struct sched_request *r, const struct outcome *o)
{
	const char *before = "";

	memset(s->passed, 0, s->d->fleet.count);
	for (int k = 0; k < o->left; k++)
		s->passed[s->work.ranked[k].backend] = 1;
	for (size_t i = 0; i < s->d->fleet.count; i++) {
		const char *filter;

		if (s->passed[i])
			continue;
		buf_clear(&s->why);
		filter = sched_refusal(s->sched, r, s->d->fleet.b, s->d->fleet.count, i, &s->why);
		buf_addf(&s->out, "%s{\"name\": ", before);
		add_text(&s->out, s->d->fleet.b[i].name);
		buf_addf(&s->out, ", \"filter\": \"%s\", \"reason\": ", filter);
		add_text(&s->out, buf_text(&s->why));
		buf_addc(&s->out, '}');
		before = ", ";
	}
}

static void add_order(struct results *s, const struct outcome *o)
{
	if (o->choice >= 0 && !s->d->explain)
		add_ranked(s, o->choice, o->weight);
	for (int k = 0; s->d->explain && k < o->left; k++) {
		buf_adds(&s->out, k ? ", " : "");
		add_ranked(s, (int)s->work.ranked[k].backend, s->work.ranked[k].weight);
	}
}

/* Who has won, and with explain the order of all. A request that no backend fits is no failure of ours. */
static int choose(struct results *s, const struct sched_request *r, struct outcome *ret)
{
	int n;

	if (s->d->explain) {
		n = sched_rank(s->sched, &s->work, r, s->d->fleet.b, s->d->fleet.count, &ret->why);
		ret->left = n < 0 ? 0 : n;
		ret->choice = n < 0 ? -1 : (int)s->work.ranked[0].backend;
	} else {
		n = sched_index_choose(s->index, &s->work, r, &ret->weight, &ret->why);
		ret->choice = n;
	}
	return n == -ENOSPC || n >= 0 ? 0 : n;
}

static void write_result(struct results *s, const struct sched_request *r, const struct outcome *o)
{
	buf_adds(&s->out, "{ \"choice\": ");
	if (o->choice >= 0)
		add_text(&s->out, s->d->fleet.b[o->choice].name);
	else
		buf_adds(&s->out, "null");
	buf_adds(&s->out, ", \"order\": [");
	add_order(s, o);
	buf_adds(&s->out, "], \"refused\": [");
	if (s->d->explain)
		add_refused(s, r, o);
	buf_adds(&s->out, "], \"error\": ");
	if (o->choice >= 0)
		buf_adds(&s->out, "null");
	else
		add_text(&s->out, o->why.text);
	buf_adds(&s->out, " }");
}

static int answer(struct results *s, const struct sched_request *r, struct err *err)
{
	struct outcome o = { 0 };
	int code = choose(s, r, &o);

	if (code < 0)
		return err_set(err, code, "%s", o.why.text);
	write_result(s, r, &o);
	if (o.choice >= 0 && s->d->commit) {
		sched_consume(&s->d->fleet.b[o.choice], r);
		sched_index_changed(s->index, (size_t)o.choice);
	}
	return buf_failed(&s->out) || buf_failed(&s->why) ? err_set(err, -ENOMEM, "out of memory")
							  : 0;
}

static int take_request(void *to, json_t *element, size_t i, struct err *err)
{
	struct results *s = to;
	struct request r;
	int code = request_read(element, &s->d->fleet, &r, err);

	if (code < 0)
		return code;
	buf_adds(&s->out, i ? ",\n  " : "\n  ");
	code = answer(s, &r.r, err);
	request_release(&r);
	return code == 0 && s->out.len > FLUSH_AT ? flush(s, err) : code;
}

static int write_results(struct results *s, struct err *err)
{
	int r;

	s->d->text.pos = s->d->requests_at;
	buf_adds(&s->out, "{ \"results\": [");
	r = text_array(&s->d->text, take_request, s, err);
	buf_adds(&s->out, "\n] }\n");
	return r < 0 ? r : flush(s, err);
}

int results_write(struct document *d, int fd, struct err *err)
{
	struct results s = { .d = d, .to = fd };
	int r = prepare(&s, err);

	r = r < 0 ? r : write_results(&s, err);
	sched_index_free(s.index);
	sched_free(s.sched);
	sched_work_release(&s.work);
	free(s.passed);
	buf_release(&s.out);
	buf_release(&s.why);
	return r;
}

int schedule(int in, int out, struct err *err)
{
	struct document d;
	int r = document_read(in, &d, err);

	if (r < 0)
		return r;
	r = results_write(&d, out, err);
	document_release(&d);
	return r;
}
