/*
 * The whole document: read once to see that it is well-formed and to keep all but the requests; these are read a second
 * time, each chosen for and written before the next. So nothing is written of a document that is not well-formed, and a
 * million requests take no more memory than one.
 */
#include "base/cleanup.h"
#include "base/text.h"
#include "schedule/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FLUSH_AT = 65536, NAMES_MAX = 64 };

struct document {
	struct text text;
	struct fleet fleet;
	char *filter[NAMES_MAX + 1];
	struct sched_weigher_conf weigher[NAMES_MAX];
	size_t filters, weighers;
	double *random;
	size_t random_count, random_room;
	bool commit, explain;
	size_t requests_at; /* where they stand in the text; 0: not seen yet */
	unsigned seen;	    /* which members */

	struct sched *sched;
	struct sched_index *index;
	struct sched_work work;
	struct buf out, why;
	uint8_t *passed; /* which backends pass; explain */
	int to;
};

/* Members. Each takes the value at which the text stands. */

static int in_list(int r, const char *list, size_t i, struct err *err)
{
	return r < 0 ? err_in(err, "%s[%zu]", list, i) : r;
}

static int take_backend(void *to, json_t *element, size_t i, struct err *err)
{
	struct document *d = to;

	return in_list(fleet_add(&d->fleet, element, err), "backends", i, err);
}

static int take_filter(void *to, json_t *element, size_t i, struct err *err)
{
	struct document *d = to;
	const char *name = NULL;
	int r = take_text(element, &name, err);

	if (r == 0 && i == NAMES_MAX)
		r = err_set(err, -EINVAL, "more than %d filters", NAMES_MAX);
	if (r == 0 && !(d->filter[d->filters++] = strdup(name)))
		r = err_set(err, -ENOMEM, "out of memory");
	return in_list(r, "filters", i, err);
}

static int take_multiplier(const json_t *v, void *to, struct err *err)
{
	return take_number(v, -1e9, 1e9, to, err);
}

struct weigher_entry {
	const char *name;
	double multiplier;
};

static const struct field weigher_fields[] = {
	{ "name", take_text, offsetof(struct weigher_entry, name), true },
	{ "multiplier", take_multiplier, offsetof(struct weigher_entry, multiplier), false },
};

static int read_weigher(
	const json_t *element, size_t i, struct sched_weigher_conf *ret, struct err *err)
{
	struct weigher_entry e = { 0 };
	char shown[TEXT_SHOWN_MAX];
	int r = fields_read(element, weigher_fields, 2, &e, err);

	if (r < 0)
		return r;
	if (i == NAMES_MAX)
		return err_set(err, -EINVAL, "more than %d weighers", NAMES_MAX);
	if (!e.name)
		return err_set(err, -EINVAL, "it has no name");
	if (sched_multiplier(e.name) == 0)
		return err_set(err, -EINVAL, "there is no weigher '%s'", text_shown(e.name, shown));
	ret->multiplier = json_is_number(json_object_get(element, "multiplier"))
				  ? e.multiplier
				  : sched_multiplier(e.name);
	ret->name = strdup(e.name);
	return ret->name ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int take_weigher(void *to, json_t *element, size_t i, struct err *err)
{
	struct document *d = to;
	int r = read_weigher(element, i, &d->weigher[i < NAMES_MAX ? i : 0], err);

	d->weighers += r == 0;
	return in_list(r, "weighers", i, err);
}

static int take_draw(void *to, json_t *element, size_t i, struct err *err)
{
	struct document *d = to;
	double number = 0;
	int r = take_number(element, 0, 1, &number, err);

	if (r == 0 && number == 1)
		r = err_set(err, -EINVAL, "must be below 1");
	if (r == 0 && i == d->random_room) {
		size_t room = i ? 2 * i : 64;
		double *more = reallocarray(d->random, room, sizeof *more);

		if (!more)
			return err_set(err, -ENOMEM, "out of memory");
		d->random = more;
		d->random_room = room;
	}
	if (r == 0)
		d->random[d->random_count++] = number;
	return in_list(r, "random", i, err);
}

static int check_request(void *to, json_t *element, size_t i, struct err *err)
{
	struct request r;
	int code = request_read(element, NULL, &r, err);

	if (code == 0)
		request_release(&r);
	return in_list(code, "requests", i, err);
}

static int take_flag(struct document *d, const char *key, bool *to, struct err *err)
{
	json_t *value = text_value(&d->text, err);
	int r = -EINVAL;

	if (value)
		r = json_is_null(value) ? 0 : take_bool(value, to, err);
	if (value && r < 0)
		(void)err_in(err, "%s", key);
	json_decref(value);
	return r;
}

static const struct member {
	const char *name;
	int (*take)(
		void *to, json_t *element, size_t i, struct err *err); /* of a list; NULL: a flag */
	size_t flag;
} members[] = {
	{ "backends", take_backend, 0 },
	{ "requests", check_request, 0 },
	{ "filters", take_filter, 0 },
	{ "weighers", take_weigher, 0 },
	{ "random", take_draw, 0 },
	{ "commit", NULL, offsetof(struct document, commit) },
	{ "explain", NULL, offsetof(struct document, explain) },
};
enum { BACKENDS, REQUESTS, FILTERS, WEIGHERS, MEMBERS = sizeof members / sizeof members[0] };

static int unknown_member(const char *key, struct err *err)
{
	char shown[TEXT_SHOWN_MAX];

	return err_set(err, -EINVAL,
		"unknown key '%s', only backends, requests, filters, weighers, random, commit and explain",
		text_shown(key, shown));
}

/* null where a list is left out */
static bool skip_null(struct text *t)
{
	if (t->len - t->pos < 4 || memcmp(t->at + t->pos, "null", 4) != 0)
		return false;
	t->pos += 4;
	return true;
}

static int take_member(void *to, const char *key, struct err *err)
{
	struct document *d = to;
	size_t i = 0;

	while (i < MEMBERS && strcmp(members[i].name, key) != 0)
		i++;
	if (i == MEMBERS)
		return unknown_member(key, err);
	if (d->seen & 1u << i)
		return err_set(err, -EINVAL, "the key '%s' is given twice", key);
	if (!members[i].take) {
		d->seen |= 1u << i;
		return take_flag(d, key, (bool *)(void *)((char *)d + members[i].flag), err);
	}
	if (i > REQUESTS && skip_null(&d->text))
		return 0;
	d->seen |= 1u << i;
	if (i == REQUESTS)
		d->requests_at = d->text.pos;
	return text_array(&d->text, members[i].take, d, err);
}

static int read_document(struct document *d, int in, struct err *err)
{
	int r = text_read(in, &d->text, err);

	r = r < 0 ? r : text_object(&d->text, take_member, d, err);
	r = r < 0 ? r : text_end(&d->text, err);
	for (size_t i = BACKENDS; i <= REQUESTS && r == 0; i++) {
		if (!(d->seen & 1u << i))
			r = err_set(err, -EINVAL, "the document has no '%s'", members[i].name);
	}
	return r;
}

/* Choosing. */

static int prepare(struct document *d, struct err *err)
{
	static const char *const filters[] = { "availability_zone", "capacity", NULL };
	static const struct sched_weigher_conf weigher = { "capacity", 1 };
	struct sched_conf conf = { filters, &weigher, 1, true };
	int r;

	if (d->seen & 1u << FILTERS)
		conf.filters = (const char *const *)d->filter;
	if (d->seen & 1u << WEIGHERS) {
		conf.weighers = d->weigher;
		conf.weigher_count = d->weighers;
	}
	d->work.chance = (struct sched_chance){ .number = d->random, .count = d->random_count };
	fleet_ready(&d->fleet);
	d->passed = calloc(d->fleet.count + 1, sizeof *d->passed);
	r = d->passed ? sched_new(&conf, &d->sched, err) : err_set(err, -ENOMEM, "out of memory");
	return r < 0 ? r : sched_index_new(d->sched, d->fleet.b, d->fleet.count, &d->index, err);
}

static int flush(struct document *d, struct err *err)
{
	size_t done = 0;

	while (done < d->out.len) {
		ssize_t n = write(d->to, d->out.at + done, d->out.len - done);

		if (n < 0 && errno != EINTR)
			return err_set(
				err, -errno, "cannot write the results: %s", strerror(errno));
		done += n > 0 ? (size_t)n : 0;
	}
	buf_clear(&d->out);
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

static void add_ranked(struct document *d, int i, double weight)
{
	const struct fact f = { .kind = FACT_REAL, .real = weight };

	buf_adds(&d->out, "{\"name\": ");
	add_text(&d->out, d->fleet.b[i].name);
	buf_adds(&d->out, ", \"weight\": ");
	fact_json(&f, &d->out);
	buf_addc(&d->out, '}');
}

static void add_refused(struct document *d, const struct sched_request *r, const struct outcome *o)
{
	const char *before = "";

	memset(d->passed, 0, d->fleet.count);
	for (int k = 0; k < o->left; k++)
		d->passed[d->work.ranked[k].backend] = 1;
	for (size_t i = 0; i < d->fleet.count; i++) {
		const char *filter;

		if (d->passed[i])
			continue;
		buf_clear(&d->why);
		filter = sched_refusal(d->sched, r, d->fleet.b, d->fleet.count, i, &d->why);
		buf_addf(&d->out, "%s{\"name\": ", before);
		add_text(&d->out, d->fleet.b[i].name);
		buf_addf(&d->out, ", \"filter\": \"%s\", \"reason\": ", filter);
		add_text(&d->out, buf_text(&d->why));
		buf_addc(&d->out, '}');
		before = ", ";
	}
}

static void add_order(struct document *d, const struct outcome *o)
{
	if (o->choice >= 0 && !d->explain)
		add_ranked(d, o->choice, o->weight);
	for (int k = 0; d->explain && k < o->left; k++) {
		buf_adds(&d->out, k ? ", " : "");
		add_ranked(d, (int)d->work.ranked[k].backend, d->work.ranked[k].weight);
	}
}

/* Who has won, and with explain the order of all. A request that no backend fits is no failure of ours. */
static int choose(struct document *d, const struct sched_request *r, struct outcome *ret)
{
	int n;

	if (d->explain) {
		n = sched_rank(d->sched, &d->work, r, d->fleet.b, d->fleet.count, &ret->why);
		ret->left = n < 0 ? 0 : n;
		ret->choice = n < 0 ? -1 : (int)d->work.ranked[0].backend;
	} else {
		n = sched_index_choose(d->index, &d->work, r, &ret->weight, &ret->why);
		ret->choice = n;
	}
	return n == -ENOSPC || n >= 0 ? 0 : n;
}

static void write_result(struct document *d, const struct sched_request *r, const struct outcome *o)
{
	buf_adds(&d->out, "{ \"choice\": ");
	if (o->choice >= 0)
		add_text(&d->out, d->fleet.b[o->choice].name);
	else
		buf_adds(&d->out, "null");
	buf_adds(&d->out, ", \"order\": [");
	add_order(d, o);
	buf_adds(&d->out, "], \"refused\": [");
	if (d->explain)
		add_refused(d, r, o);
	buf_adds(&d->out, "], \"error\": ");
	if (o->choice >= 0)
		buf_adds(&d->out, "null");
	else
		add_text(&d->out, o->why.text);
	buf_adds(&d->out, " }");
}

static int answer(struct document *d, const struct sched_request *r, struct err *err)
{
	struct outcome o = { 0 };
	int code = choose(d, r, &o);

	if (code < 0)
		return err_set(err, code, "%s", o.why.text);
	write_result(d, r, &o);
	if (o.choice >= 0 && d->commit) {
		sched_consume(&d->fleet.b[o.choice], r);
		sched_index_changed(d->index, (size_t)o.choice);
	}
	return buf_failed(&d->out) || buf_failed(&d->why) ? err_set(err, -ENOMEM, "out of memory")
							  : 0;
}

static int take_request(void *to, json_t *element, size_t i, struct err *err)
{
	struct document *d = to;
	struct request r;
	int code = request_read(element, &d->fleet, &r, err);

	if (code < 0)
		return code;
	buf_adds(&d->out, i ? ",\n  " : "\n  ");
	code = answer(d, &r.r, err);
	request_release(&r);
	return code == 0 && d->out.len > FLUSH_AT ? flush(d, err) : code;
}

static int write_results(struct document *d, struct err *err)
{
	int r;

	d->text.pos = d->requests_at;
	buf_adds(&d->out, "{ \"results\": [");
	r = text_array(&d->text, take_request, d, err);
	buf_adds(&d->out, "\n] }\n");
	return r < 0 ? r : flush(d, err);
}

static void release(struct document *d)
{
	text_release(&d->text);
	sched_index_free(d->index);
	sched_free(d->sched);
	sched_work_release(&d->work);
	fleet_release(&d->fleet);
	for (size_t i = 0; i < d->filters; i++)
		free(d->filter[i]);
	for (size_t i = 0; i < d->weighers; i++)
		free((char *)(uintptr_t)d->weigher[i].name);
	free(d->random);
	free(d->passed);
	buf_release(&d->out);
	buf_release(&d->why);
}

int document_run(int in, int out, struct err *err)
{
	struct document d = { .to = out };
	int r = read_document(&d, in, err);

	r = r < 0 ? r : prepare(&d, err);
	r = r < 0 ? r : write_results(&d, err);
	release(&d);
	return r;
}
