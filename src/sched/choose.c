#include "base/cleanup.h"
#include "sched/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct weighing {
	const struct weigher *weigher;
	double multiplier;
};

struct sched {
	const struct filter **filters; /* the implicit ones first; NULL-terminated */
	struct weighing *weighers;
	size_t weigher_count;
};

/* Making one. */

static int add_filters(struct sched *s, const char *const *names, struct err *err)
{
	size_t count = 0, n = 0;

	while (names[count])
		count++;
	while (filter_always(n))
		n++;
	s->filters = calloc(n + count + 1, sizeof *s->filters);
	if (!s->filters)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		s->filters[i] = filter_always(i);
	for (size_t i = 0; i < count; i++) {
		s->filters[n + i] = filter_find(names[i]);
		if (!s->filters[n + i])
			return err_set(err, -EINVAL, "there is no filter '%s'", names[i]);
	}
	return 0;
}

static int add_weighers(
	struct sched *s, const struct sched_weigher_conf *conf, size_t count, struct err *err)
{
	s->weighers = calloc(count + 1, sizeof *s->weighers);
	if (!s->weighers)
		return err_set(err, -ENOMEM, "out of memory");
	s->weigher_count = count;
	for (size_t i = 0; i < count; i++) {
		s->weighers[i].multiplier = conf[i].multiplier;
		s->weighers[i].weigher = weigher_find(conf[i].name);
		if (!s->weighers[i].weigher)
			return err_set(err, -EINVAL, "there is no weigher '%s'", conf[i].name);
	}
	return 0;
}

int sched_new(const char *const *filters, const struct sched_weigher_conf *weighers,
	size_t weigher_count, struct sched **ret, struct err *err)
{
	struct sched *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	r = add_filters(s, filters, err);
	if (r == 0)
		r = add_weighers(s, weighers, weigher_count, err);
	if (r < 0) {
		sched_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void sched_free(struct sched *s)
{
	if (!s)
		return;
	free(s->filters);
	free(s->weighers);
	free(s);
}

/* Choosing. */

/* The first filter that refuses it; NULL: none does. Filters judge each backend by itself, so this
 * order and "each filter over the survivors of the one before" come to the same. */
static const struct filter *refusing(
	const struct sched *s, const struct sched_request *r, const struct sched_backend *b)
{
	for (size_t i = 0; s->filters[i]; i++) {
		if (!s->filters[i]->pass(b, r))
			return s->filters[i];
	}
	return NULL;
}

/* Cuts text to room bytes at a character's border. */
static size_t cut(const char *text, size_t len, size_t room)
{
	if (len <= room)
		return len;
	for (len = room; len && (text[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

/* Names every backend and why, as far as a sentence has room; each reason gets its share. */
static int none_fits(const struct sched *s, const struct sched_request *r,
	const struct sched_backend *b, size_t n, struct err *err)
{
	enum { EACH = 200, ALL = ERR_TEXT_MAX - 32 }; /* room for "; and N more" */
	CLEANUP(buf_release) struct buf text = { 0 }, why = { 0 };

	for (size_t i = 0; i < n; i++) {
		size_t len;

		buf_clear(&why);
		buf_addf(&why, "%s: ", b[i].name);
		refusing(s, r, &b[i])->why(&b[i], r, &why);
		len = cut(buf_text(&why), why.len, EACH);
		if (text.len + len + sizeof "no backend fits: ; …" > ALL) {
			buf_addf(&text, "; and %zu more", n - i);
			break;
		}
		buf_addf(&text, "%s%.*s%s", i ? "; " : "", (int)len, buf_text(&why),
			len < why.len ? "…" : "");
	}
	if (buf_failed(&text) || buf_failed(&why))
		return err_set(err, -ENOSPC, "no backend fits");
	return err_set(
		err, -ENOSPC, "no backend fits: %s", n ? buf_text(&text) : "none is configured");
}

/* sum[k]: the weight of the backend with index chosen[k] */
static void weigh(const struct sched *s, const struct sched_request *r,
	const struct sched_backend *b, const size_t *chosen, size_t n, double *raw, double *sum)
{
	for (size_t w = 0; w < s->weigher_count; w++) {
		double multiplier = s->weighers[w].multiplier;

		for (size_t k = 0; k < n; k++)
			raw[k] = s->weighers[w].weigher->weigh(&b[chosen[k]], r, multiplier);
		weigher_normalise(raw, n);
		for (size_t k = 0; k < n; k++)
			sum[k] += multiplier * raw[k];
	}
}

int sched_choose(const struct sched *s, const struct sched_request *r,
	const struct sched_backend *b, size_t n, double *ret_weight, struct err *err)
{
	CLEANUP_FREE size_t *chosen = calloc(n + 1, sizeof *chosen);
	CLEANUP_FREE double *raw = calloc(n + 1, sizeof *raw);
	CLEANUP_FREE double *sum = calloc(n + 1, sizeof *sum);
	size_t left = 0, best = 0;

	if (!chosen || !raw || !sum)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		if (!refusing(s, r, &b[i]))
			chosen[left++] = i;
	}
	if (!left)
		return none_fits(s, r, b, n, err);
	weigh(s, r, b, chosen, left, raw, sum);
	for (size_t k = 1; k < left; k++) {
		if (sum[k] > sum[best]) /* the earlier one of two equal ones stays */
			best = k;
	}
	if (ret_weight)
		*ret_weight = sum[best];
	return (int)chosen[best];
}
