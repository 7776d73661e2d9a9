#include "fs/metrics_text.h"

#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

void metric_head(struct buf *out, const char *name, enum metric_type type, const char *help)
{
	static const char *const word[] = {
		[METRIC_COUNTER] = "counter",
		[METRIC_GAUGE] = "gauge",
		[METRIC_HISTOGRAM] = "histogram",
	};

	buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, word[type]);
}

/* A name that is no valid text (a group's may be anything) would have the reader refuse the whole page. */
static void add_value(struct buf *out, const char *text)
{
	bool plain = text_is_plain(text, strlen(text));

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			buf_addc(out, '\\');
		buf_addc(out, plain || (c >= ' ' && c < 0x7f) ? *text : '?');
	}
}

static void add_labels(struct buf *out, struct labels l, const char *le)
{
	char before = '{';

	for (size_t i = 0; i < LABELS && l.of[i].name; i++) {
		buf_addc(out, before);
		buf_adds(out, l.of[i].name);
		buf_adds(out, "=\"");
		add_value(out, l.of[i].value);
		buf_addc(out, '"');
		before = ',';
	}
	if (le) {
		buf_addf(out, "%cle=\"%s\"", before, le);
		before = ',';
	}
	if (before == ',')
		buf_addc(out, '}');
}

enum { NUMBER_MAX = 32 };

static const char *number(double v, char text[NUMBER_MAX])
{
	if (isinf(v))
		return v < 0 ? "-Inf" : "+Inf";
	if (fabs(v) < 1e15 && v == trunc(v))
		(void)snprintf(text, NUMBER_MAX, "%" PRId64, (int64_t)v);
	else
		(void)snprintf(text, NUMBER_MAX, "%.15g", v);
	return text;
}

static void add_line(struct buf *out, const char *name, const char *end, struct labels l,
	const char *le, double value)
{
	char text[NUMBER_MAX];

	buf_adds(out, name);
	buf_adds(out, end);
	add_labels(out, l, le);
	buf_addc(out, ' ');
	buf_adds(out, number(value, text));
	buf_addc(out, '\n');
}

void metric_sample(struct buf *out, const char *name, struct labels l, double value)
{
	if (!isnan(value))
		add_line(out, name, "", l, NULL, value);
}

/* Others add to it meanwhile: the count is that of the ranges as they were read, so that these never contradict each other. */
void metric_histogram(struct buf *out, const char *name, struct labels l, const struct bounds *b,
	const struct histogram *h)
{
	uint64_t below = 0;
	char le[NUMBER_MAX];

	for (unsigned i = 0; i < b->count; i++) {
		below += counter_get(&h->range[i]);
		add_line(out, name, "_bucket", l, number((double)b->at[i] / b->unit, le),
			(double)below);
	}
	below += counter_get(&h->range[b->count]);
	add_line(out, name, "_bucket", l, "+Inf", (double)below);
	add_line(out, name, "_sum", l, NULL, (double)counter_get(&h->sum) / b->unit);
	add_line(out, name, "_count", l, NULL, (double)below);
}
