/* How .volfs/metrics is written: Prometheus' text format, version 0.0.4. */
#ifndef VOLFS_FS_METRICS_TEXT_H
#define VOLFS_FS_METRICS_TEXT_H

#include "base/buf.h"
#include "base/metric.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* Labels of a sample; those without a name are left out. */
enum { LABELS = 3 };
struct labels {
	struct label {
		const char *name, *value;
	} of[LABELS];
};
#define NO_LABELS  ((struct labels){ 0 })
#define LABEL(...) ((struct labels){ { __VA_ARGS__ } })

/* Begins a family: its samples follow. help: one line. */
void metric_head(struct buf *out, const char *name, enum metric_type type, const char *help);
/* NaN: there is none. */
void metric_sample(struct buf *out, const char *name, struct labels l, double value);
void metric_histogram(struct buf *out, const char *name, struct labels l, const struct bounds *b,
	const struct histogram *h);

#endif
