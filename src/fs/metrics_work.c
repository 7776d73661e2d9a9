/* What was done: operations, commits, requests. */
#include "fs/metrics.h"

#include "fs/requests.h"

/* --- operations --- */

static const struct engine_numbers *engine_of(const struct page *p)
{
	return engine_numbers(p->c->fs->engine);
}

static void accepted(struct page *p, const struct family *f)
{
	for (unsigned op = OP_NONE + 1; op < OP_JOBS; op++)
		metric_sample(p->out, f->name, LABEL({ "operation", engine_op_name(op) }),
			(double)counter_get(&engine_of(p)->op[op].accepted));
}

static void durations(struct page *p, const struct family *f)
{
	static const char *const word[RESULT_COUNT] = { "ok", "error" };

	for (unsigned op = OP_NONE + 1; op < OP_COUNT; op++)
		for (unsigned r = 0; r < RESULT_COUNT; r++)
			metric_histogram(p->out, f->name,
				LABEL({ "operation", engine_op_name(op) }, { "result", word[r] }),
				&engine_op_bounds, &engine_of(p)->op[op].took[r]);
}

static double retries(const struct page *p)
{
	return (double)counter_get(&engine_of(p)->retries);
}

static double unplaced(const struct page *p)
{
	return (double)counter_get(&engine_of(p)->unplaced);
}

/* --- the catalogue --- */

static const struct store_numbers *store_of(const struct page *p)
{
	return store_numbers(p->c->view);
}

static void commits(struct page *p, const struct family *f)
{
	metric_histogram(p->out, f->name, NO_LABELS, &store_commit_bounds, &store_of(p)->commit);
}

static void batches(struct page *p, const struct family *f)
{
	metric_histogram(p->out, f->name, NO_LABELS, &store_batch_bounds, &store_of(p)->batch);
}

static double commits_lost(const struct page *p)
{
	return (double)counter_get(&store_of(p)->lost);
}

static double changes_refused(const struct page *p)
{
	return (double)counter_get(&store_of(p)->refused);
}

static double database_bytes(const struct page *p)
{
	return (double)p->database;
}

static double wal_bytes(const struct page *p)
{
	return (double)p->wal;
}

static double wal_pages(const struct page *p)
{
	return (double)counter_get(&store_of(p)->wal);
}

/* --- requests --- */

static const struct request_name {
	unsigned opcode;
	const char *name;
} request_names[] = {
	{ FUSE_LOOKUP, "lookup" },
	{ FUSE_GETATTR, "getattr" },
	{ FUSE_SETATTR, "setattr" },
	{ FUSE_READLINK, "readlink" },
	{ FUSE_OPEN, "open" },
	{ FUSE_CREATE, "create" },
	{ FUSE_READ, "read" },
	{ FUSE_WRITE, "write" },
	{ FUSE_FLUSH, "flush" },
	{ FUSE_FSYNC, "fsync" },
	{ FUSE_RELEASE, "release" },
	{ FUSE_OPENDIR, "opendir" },
	{ FUSE_READDIR, "readdir" },
	{ FUSE_READDIRPLUS, "readdirplus" },
	{ FUSE_RELEASEDIR, "releasedir" },
	{ FUSE_MKDIR, "mkdir" },
	{ FUSE_RMDIR, "rmdir" },
	{ FUSE_UNLINK, "unlink" },
	{ FUSE_RENAME, "rename" },
	{ FUSE_RENAME2, "rename2" },
	{ FUSE_STATFS, "statfs" },
	{ FUSE_POLL, "poll" },
	{ FUSE_LSEEK, "lseek" },
	{ FUSE_FALLOCATE, "fallocate" },
	{ FUSE_FORGET, "forget" },
	{ FUSE_BATCH_FORGET, "batch_forget" },
	{ FUSE_INTERRUPT, "interrupt" },
};

enum { REQUEST_NAMES = sizeof request_names / sizeof request_names[0] };

static void fuse_requests(struct page *p, const struct family *f)
{
	for (size_t i = 0; i < REQUEST_NAMES; i++)
		metric_sample(p->out, f->name, LABEL({ "operation", request_names[i].name }),
			(double)counter_get(&request_numbers(request_names[i].opcode)->asked));
}

static bool is_answered(unsigned opcode)
{
	return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

static void fuse_durations(struct page *p, const struct family *f)
{
	for (size_t i = 0; i < REQUEST_NAMES; i++)
		if (is_answered(request_names[i].opcode))
			metric_histogram(p->out, f->name,
				LABEL({ "operation", request_names[i].name }), &request_bounds,
				&request_numbers(request_names[i].opcode)->took);
}

static void refusals(struct page *p, const struct family *f)
{
	for (unsigned i = 1; i < REFUSED_CODES; i++) {
		uint64_t n = errlog_refused(p->c->fs->errlog, i);

		if (n)
			metric_sample(
				p->out, f->name, LABEL({ "errno", err_name((int)i) }), (double)n);
	}
}

static double events(const struct page *p)
{
	return (double)p->log.last;
}

static double log_events(const struct page *p)
{
	return (double)(p->log.last - p->log.first + 1);
}

static double log_bytes(const struct page *p)
{
	return (double)(p->log.end - p->log.start);
}

static double followers(const struct page *p)
{
	return (double)follow_count(p->c->fs->follow);
}

static double blocked_readers(const struct page *p)
{
	unsigned readers, polls;

	waiters_count(p->c->fs->waiters, &readers, &polls);
	return readers;
}

static double polls(const struct page *p)
{
	unsigned readers, n;

	waiters_count(p->c->fs->waiters, &readers, &n);
	return n;
}

static double streams(const struct page *p)
{
	return place_count(p->c->fs);
}

const struct family metrics_work[] = {
	{ "volfs_operations_accepted_total", METRIC_COUNTER, "Jobs that were accepted.",
		SAMPLES(accepted) },
	{ "volfs_operation_duration_seconds", METRIC_HISTOGRAM,
		"From acceptance to outcome (of an earlier server's: since this one knows it); "
		"of what is no job: from request to answer.",
		SAMPLES(durations) },
	{ "volfs_scheduler_unplaced_total", METRIC_COUNTER,
		"Creations that ended as an error because no backend fitted.", ONE(unplaced) },
	{ "volfs_create_retries_total", METRIC_COUNTER,
		"Attempts at creations after the first, elsewhere.", ONE(retries) },
	{ "volfs_refused_requests_total", METRIC_COUNTER, "Requests that were refused, by errno.",
		SAMPLES(refusals) },
	{ "volfs_catalogue_commit_duration_seconds", METRIC_HISTOGRAM,
		"Transactions, from their begin to their commit.", SAMPLES(commits) },
	{ "volfs_catalogue_commit_changes", METRIC_HISTOGRAM, "Changes of a transaction.",
		SAMPLES(batches) },
	{ "volfs_catalogue_commits_lost_total", METRIC_COUNTER,
		"Transactions that could not be committed.", ONE(commits_lost) },
	{ "volfs_catalogue_changes_refused_total", METRIC_COUNTER,
		"Changes that were rolled back alone, mostly refused requests.",
		ONE(changes_refused) },
	{ "volfs_catalogue_size_bytes", METRIC_GAUGE, "The database's file.", ONE(database_bytes) },
	{ "volfs_catalogue_wal_size_bytes", METRIC_GAUGE,
		"Its -wal, which is used again and again.", ONE(wal_bytes) },
	{ "volfs_catalogue_wal_pages", METRIC_GAUGE, "Pages in the -wal as of the latest commit.",
		ONE(wal_pages) },
	{ "volfs_fuse_requests_total", METRIC_COUNTER, "What the kernel asked.",
		SAMPLES(fuse_requests) },
	{ "volfs_fuse_request_duration_seconds", METRIC_HISTOGRAM,
		"From reading a request to its answer; reads that block included.",
		SAMPLES(fuse_durations) },
	{ "volfs_events_total", METRIC_COUNTER, "Events that ever were, of all servers.",
		ONE(events) },
	{ "volfs_log_events", METRIC_GAUGE, "Those that .volfs/history holds.", ONE(log_events) },
	{ "volfs_log_size_bytes", METRIC_GAUGE, "Its size.", ONE(log_bytes) },
	{ "volfs_followers", METRIC_GAUGE, "Who waits for the next event, in read(2) or poll(2).",
		ONE(followers) },
	{ "volfs_blocked_readers", METRIC_GAUGE, "Readers that wait for a volume.",
		ONE(blocked_readers) },
	{ "volfs_polls", METRIC_GAUGE, "Descriptors on which poll(2) is to be woken.", ONE(polls) },
	{ "volfs_streams", METRIC_GAUGE, "Open streams: .volfs/events, history, json.",
		ONE(streams) },
	{ 0 },
};
