/*
 * .volfs/metrics: one page. What several families show is gathered before the first line. Nothing here grows with the number of
 * volumes.
 *
 * Whoever may look into the mount may read it; what projects use is an administrator's to see.
 */
#include "fs/metrics.h"
#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>

enum {
	PROJECTS_MAX = 300, /* that are shown */
	AT_ONCE = 64,
};

static int gather_backends(struct page *p)
{
	struct fs *fs = p->c->fs;
	size_t n = engine_backend_count(fs->engine);

	p->backends = calloc(n ? n : 1, sizeof *p->backends);
	if (!p->backends)
		return -ENOMEM;
	for (; p->backend_count < n; p->backend_count++) {
		struct of_backend *b = &p->backends[p->backend_count];
		int r = engine_backend(fs->engine, p->c->view, p->backend_count, &b->now);

		if (r < 0)
			return r;
		engine_backend_numbers(fs->engine, p->backend_count, &b->numbers);
		b->conf = &fs->conf->backends[p->backend_count];
	}
	return 0;
}

static void add_count(void *arg, const struct volume_count *c)
{
	struct page *p = arg;

	if (p->count_count == p->count_room) {
		size_t room = p->count_room ? 2 * p->count_room : 64;
		struct volume_count *at = realloc(p->counts, room * sizeof *at);

		if (!at) {
			p->failed = true;
			return;
		}
		p->counts = at;
		p->count_room = room;
	}
	p->counts[p->count_count++] = *c;
}

static int gather_projects(struct page *p)
{
	int64_t after = 0;
	int n;

	p->projects = calloc(PROJECTS_MAX, sizeof *p->projects);
	if (!p->projects)
		return -ENOMEM;
	do {
		size_t room = PROJECTS_MAX - p->project_count;

		n = view_quotas(p->c->view, after, p->projects + p->project_count,
			room < AT_ONCE ? room : AT_ONCE);
		if (n > 0) {
			p->project_count += (size_t)n;
			after = p->projects[p->project_count - 1].id;
		}
	} while (n > 0);
	return n;
}

static int gather(struct page *p)
{
	uint64_t volumes;
	int r = gather_backends(p);

	r = r < 0 ? r : view_volume_counts(p->c->view, add_count, p);
	r = r < 0 ? r : view_counts(p->c->view, &volumes, &p->jobs);
	r = r < 0 ? r : view_file_sizes(p->c->view, &p->database, &p->wal);
	r = r < 0 ? r : view_log_ends(p->c->view, &p->log);
	if (r == 0 && who_is_admin(p->c->fs, p->c))
		r = gather_projects(p);
	return r == 0 && p->failed ? -ENOMEM : r;
}

static void page_release(struct page *p)
{
	free(p->backends);
	free(p->counts);
	free(p->projects);
}

void metrics_one(struct page *p, const struct family *f)
{
	metric_sample(p->out, f->name, NO_LABELS, f->one(p));
}

static void add_families(struct page *p, const struct family *f)
{
	for (; f->name; f++) {
		metric_head(p->out, f->name, f->type, f->help);
		f->samples(p, f);
	}
}

int metrics_show(struct ctx *c, int64_t row, struct buf *out)
{
	CLEANUP(page_release) struct page p = { .c = c, .out = out };
	int r = gather(&p);

	if (r < 0)
		return r;
	add_families(&p, metrics_things);
	add_families(&p, metrics_work);
	return 0;
}
