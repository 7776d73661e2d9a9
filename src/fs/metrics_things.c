/* What there is: the server, volumes, backends, queues, projects. */
#include "fs/metrics.h"

#include "base/clock.h"
#include "version.h"

#include <math.h>
#include <string.h>

/* --- the server --- */

static void build_info(struct page *p, const struct family *f)
{
	metric_sample(p->out, f->name, LABEL({ "version", VOLFS_VERSION }), 1);
}

static double start_time(const struct page *p)
{
	return (double)p->c->fs->started_us / 1e6;
}

static double page_time(const struct page *p)
{
	return (double)clock_wall_us() / 1e6;
}

static double restarts(const struct page *p)
{
	return (double)(atomic_load(&p->c->fs->keep->server) - 1);
}

static double ready(const struct page *p)
{
	return !strcmp(engine_status(p->c->fs->engine), "ready");
}

/* --- volumes --- */

static void volume_samples(struct page *p, const struct family *f, bool trashed, bool sizes)
{
	for (size_t i = 0; i < p->count_count; i++) {
		const struct volume_count *n = &p->counts[i];

		if (n->trashed == trashed)
			metric_sample(p->out, f->name,
				LABEL({ "backend", n->backend },
					{ "status", vol_status_name(n->status) }),
				(double)(sizes ? n->size : n->volumes));
	}
}

static void volumes(struct page *p, const struct family *f)
{
	volume_samples(p, f, false, false);
}

static void volume_sizes(struct page *p, const struct family *f)
{
	volume_samples(p, f, false, true);
}

static void trash_volumes(struct page *p, const struct family *f)
{
	volume_samples(p, f, true, false);
}

static void trash_sizes(struct page *p, const struct family *f)
{
	volume_samples(p, f, true, true);
}

/* --- backends --- */

static void samples_of_backends(struct page *p, const struct family *f)
{
	for (size_t i = 0; i < p->backend_count; i++)
		metric_sample(p->out, f->name, LABEL({ "backend", p->backends[i].now.name }),
			f->of_backend(&p->backends[i]));
}

static void backend_info(struct page *p, const struct family *f)
{
	for (size_t i = 0; i < p->backend_count; i++) {
		const struct engine_backend *b = &p->backends[i].now;

		metric_sample(p->out, f->name,
			LABEL({ "backend", b->name }, { "driver", b->driver }, { "zone", b->zone }),
			1);
	}
}

static double amount(uint64_t bytes, bool unknown, bool infinite)
{
	return unknown ? (double)NAN : infinite ? (double)INFINITY : (double)bytes;
}

static double backend_up(const struct of_backend *b)
{
	return b->now.state == BACKEND_UP;
}

static double backend_disabled(const struct of_backend *b)
{
	return b->now.state == BACKEND_DISABLED;
}

static double backend_total(const struct of_backend *b)
{
	const struct backend_stats *s = &b->now.stats;

	return amount(s->total, s->total_unknown, s->total_infinite);
}

static double backend_free(const struct of_backend *b)
{
	const struct backend_stats *s = &b->now.stats;

	return amount(s->free, s->free_unknown, s->free_infinite);
}

static double backend_allocated(const struct of_backend *b)
{
	return (double)b->now.allocated;
}

/* 0 in the configuration: it is found out anew for each choice. */
static double backend_ratio(const struct of_backend *b)
{
	double max = b->conf->max_over_subscription_ratio;

	return max > 0 ? max : (double)NAN;
}

static double backend_reserved(const struct of_backend *b)
{
	return (double)b->conf->reserved_percentage / 100;
}

static double backend_thin(const struct of_backend *b)
{
	return b->conf->thin;
}

static double backend_chosen(const struct of_backend *b)
{
	return (double)b->numbers.chosen;
}

static double backend_errors(const struct of_backend *b)
{
	return (double)b->numbers.errors;
}

/* --- jobs --- */

static void samples_of_queues(struct page *p, const struct family *f)
{
	for (size_t i = 0; i < p->backend_count; i++)
		for (unsigned q = 0; q < QUEUE_COUNT; q++)
			metric_sample(p->out, f->name,
				LABEL({ "backend", p->backends[i].now.name },
					{ "class", engine_queue_name(q) }),
				f->of_queue(&p->backends[i], q));
}

static double queue_waiting(const struct of_backend *b, unsigned q)
{
	return (double)b->numbers.queue[q].waiting;
}

static double queue_running(const struct of_backend *b, unsigned q)
{
	return (double)b->numbers.queue[q].running;
}

static double queue_oldest(const struct of_backend *b, unsigned q)
{
	return b->numbers.queue[q].oldest_s;
}

static double jobs(const struct page *p)
{
	return (double)p->jobs;
}

/* --- projects --- */

static void samples_of_projects(struct page *p, const struct family *f)
{
	for (size_t i = 0; i < p->project_count; i++)
		metric_sample(p->out, f->name, LABEL({ "project", p->projects[i].project }),
			f->of_project(&p->projects[i]));
}

#define PROJECT(what, resource)                                                                    \
	static double project_##what(const struct quota *q)                                        \
	{                                                                                          \
		return (double)q->used[resource];                                                  \
	}                                                                                          \
	static double project_##what##_limit(const struct quota *q)                                \
	{                                                                                          \
		int64_t max = q->max[resource];                                                    \
                                                                                                   \
		return max == SIZE_LIMIT_NONE ? (double)INFINITY : (double)max;                    \
	}
PROJECT(volumes, QUOTA_VOLUMES)
PROJECT(size, QUOTA_SIZE)
PROJECT(snapshots, QUOTA_SNAPSHOTS)
PROJECT(trash_size, QUOTA_TRASH_SIZE)

const struct family metrics_things[] = {
	{ "volfs_build_info", METRIC_GAUGE, "What is running.", SAMPLES(build_info) },
	{ "volfs_metrics_time_seconds", METRIC_GAUGE, "When this was read from the daemon.",
		ONE(page_time) },
	{ "volfs_server_start_time_seconds", METRIC_GAUGE,
		"When this server began; its counters begin at 0 then.", ONE(start_time) },
	{ "volfs_server_restarts_total", METRIC_COUNTER,
		"How often the server of this mount was replaced: after a crash, or by SIGHUP.",
		ONE(restarts) },
	{ "volfs_ready", METRIC_GAUGE,
		"1: what an earlier server left is fenced and taken up on every backend that is up.",
		ONE(ready) },
	{ "volfs_volumes", METRIC_GAUGE, "Volumes that are alive. backend \"\": on none.",
		SAMPLES(volumes) },
	{ "volfs_volume_size_bytes", METRIC_GAUGE, "Sum of their sizes.", SAMPLES(volume_sizes) },
	{ "volfs_trash_volumes", METRIC_GAUGE,
		"Volumes in the trash, by the status they had there.", SAMPLES(trash_volumes) },
	{ "volfs_trash_size_bytes", METRIC_GAUGE, "Sum of their sizes.", SAMPLES(trash_sizes) },
	{ "volfs_backend_info", METRIC_GAUGE, "The configured backends.", SAMPLES(backend_info) },
	{ "volfs_backend_up", METRIC_GAUGE, "1: it answers, and is not disabled.",
		BACKENDS(backend_up) },
	{ "volfs_backend_disabled", METRIC_GAUGE, "1: an administrator wants nothing new there.",
		BACKENDS(backend_disabled) },
	{ "volfs_backend_total_bytes", METRIC_GAUGE, "Capacity, as last reported.",
		BACKENDS(backend_total) },
	{ "volfs_backend_free_bytes", METRIC_GAUGE, "What is free of it, as last reported.",
		BACKENDS(backend_free) },
	{ "volfs_backend_allocated_bytes", METRIC_GAUGE,
		"Promised to volumes, those in the trash and unfinished ones included.",
		BACKENDS(backend_allocated) },
	{ "volfs_backend_max_over_subscription_ratio", METRIC_GAUGE,
		"So many times its capacity may be promised; absent: found out for each choice.",
		BACKENDS(backend_ratio) },
	{ "volfs_backend_reserved_ratio", METRIC_GAUGE,
		"The part of its capacity that no volume gets.", BACKENDS(backend_reserved) },
	{ "volfs_backend_thin", METRIC_GAUGE, "1: volumes take only what was written.",
		BACKENDS(backend_thin) },
	{ "volfs_backend_errors_total", METRIC_COUNTER,
		"Steps of jobs, and questions for its statistics, that failed there.",
		BACKENDS(backend_errors) },
	{ "volfs_scheduler_choices_total", METRIC_COUNTER,
		"Creations that were sent there, retries included.", BACKENDS(backend_chosen) },
	{ "volfs_jobs", METRIC_GAUGE,
		"Unfinished jobs in the catalogue, with images that are kept for their clones.",
		ONE(jobs) },
	{ "volfs_queue_waiting_jobs", METRIC_GAUGE,
		"Jobs in memory that wait; of more than some thousands the rest is only in volfs_jobs.",
		QUEUES(queue_waiting) },
	{ "volfs_queue_running_jobs", METRIC_GAUGE, "Calls of the storage under way.",
		QUEUES(queue_running) },
	{ "volfs_queue_oldest_job_seconds", METRIC_GAUGE,
		"How long the oldest job has been unfinished; of an earlier server's: since this one knows it. "
		"0: there is none.",
		QUEUES(queue_oldest) },
	{ "volfs_project_volumes", METRIC_GAUGE,
		"Volumes of a project; only an administrator is shown this, of 300 projects.",
		PROJECTS(project_volumes) },
	{ "volfs_project_volumes_limit", METRIC_GAUGE, "How many it may have.",
		PROJECTS(project_volumes_limit) },
	{ "volfs_project_size_bytes", METRIC_GAUGE, "Sizes of its volumes and snapshots.",
		PROJECTS(project_size) },
	{ "volfs_project_size_limit_bytes", METRIC_GAUGE, "How much that may be.",
		PROJECTS(project_size_limit) },
	{ "volfs_project_snapshots", METRIC_GAUGE, "Its snapshots.", PROJECTS(project_snapshots) },
	{ "volfs_project_snapshots_limit", METRIC_GAUGE, "How many it may have.",
		PROJECTS(project_snapshots_limit) },
	{ "volfs_project_trash_size_bytes", METRIC_GAUGE, "Sizes of its volumes in the trash.",
		PROJECTS(project_trash_size) },
	{ "volfs_project_trash_size_limit_bytes", METRIC_GAUGE, "How much that may be.",
		PROJECTS(project_trash_size_limit) },
	{ 0 },
};
