/* A choice in words, for histories: made only for what was chosen, and only when somebody writes it down. */
#include "base/cleanup.h"
#include "base/text.h"
#include "sched/internal.h"

enum {
	OTHERS_MAX = 4,	  /* of those that passed, beside the chosen one */
	REFUSED_MAX = 3,  /* reasons told */
	REASON_MAX = 120, /* bytes of each */
};

/* Of those that passed, the heaviest first, without the chosen one: how many there are in all. */
static size_t heaviest(const struct sched_work *work, uint32_t chosen,
	const struct sched_ranked *ret[OTHERS_MAX], size_t *ret_count)
{
	size_t count = 0, all = 0;

	for (size_t k = 0; k < work->left; k++) {
		const struct sched_ranked *one = &work->ranked[k];
		size_t at;

		if (one->backend == chosen)
			continue;
		all++;
		for (at = count; at && ret[at - 1]->weight < one->weight; at--)
			if (at < OTHERS_MAX)
				ret[at] = ret[at - 1];
		if (at < OTHERS_MAX)
			ret[at] = one;
		count += count < OTHERS_MAX;
	}
	*ret_count = count;
	return all;
}

static void add_others(const struct sched_work *work, const struct sched_backend *b,
	uint32_t chosen, struct buf *out)
{
	const struct sched_ranked *best[OTHERS_MAX];
	size_t n, all = heaviest(work, chosen, best, &n);

	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%s %.3f", i ? ", " : "; also weighed: ", b[best[i]->backend].name,
			best[i]->weight);
	if (all > n)
		buf_addf(out, " and %zu more", all - n);
}

static void add_refusal(const struct sched *s, const struct sched_request *r,
	const struct sched_backend *b, size_t n, size_t i, struct buf *out)
{
	CLEANUP(buf_release) struct buf why = { 0 };
	const char *filter = sched_refusal(s, r, b, n, i, &why);
	size_t len = text_cut(buf_text(&why), why.len, REASON_MAX);

	buf_addf(out, "%s (%s): %.*s%s", b[i].name, filter ? filter : "", (int)len, buf_text(&why),
		len < why.len ? "…" : "");
}

void sched_explain(const struct sched *s, const struct sched_work *work,
	const struct sched_request *r, const struct sched_backend *b, size_t n, uint32_t chosen,
	struct buf *out)
{
	size_t refused = n - work->left, told = 0;

	add_others(work, b, chosen, out);
	/* Those that passed stand in the backends' order: who is not among them was refused. */
	for (uint32_t i = 0, k = 0; i < n && told < REFUSED_MAX; i++) {
		if (k < work->left && work->ranked[k].backend == i) {
			k++;
			continue;
		}
		buf_adds(out, told++ ? "; " : "; refused: ");
		add_refusal(s, r, b, n, i, out);
	}
	if (refused > told)
		buf_addf(out, "; and %zu more", refused - told);
}
