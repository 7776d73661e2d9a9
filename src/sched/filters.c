/* One row is one filter: whether a backend passes, and how a person is told why not. */
#include "sched/internal.h"

#include <math.h>
#include <string.h>

/* Not up: nothing else about it is worth saying. */

static bool state_pass(const struct sched_backend *b, const struct sched_request *r)
{
	return b->state == BACKEND_UP;
}

static void state_why(const struct sched_backend *b, const struct sched_request *r, struct buf *out)
{
	const char *word = b->state == BACKEND_DISABLED ? "disabled" : "down";
	const char *reason = b->state_reason ? b->state_reason : "";

	if (!strncmp(reason, word, strlen(word))) {
		buf_adds(out, reason);
		return;
	}
	buf_adds(out, word);
	if (*reason)
		buf_addf(out, "%s%s", strncmp(reason, "since ", 6) ? ": " : " ", reason);
}

/* What has failed this volume is not tried again. */

static bool attempted_pass(const struct sched_backend *b, const struct sched_request *r)
{
	for (size_t i = 0; r->attempted && r->attempted[i]; i++) {
		if (!strcmp(r->attempted[i], b->name))
			return false;
	}
	return true;
}

static void attempted_why(
	const struct sched_backend *b, const struct sched_request *r, struct buf *out)
{
	buf_adds(out, "has failed this volume already");
}

static bool zone_pass(const struct sched_backend *b, const struct sched_request *r)
{
	return !r->zone || !*r->zone || !strcmp(r->zone, b->zone);
}

static void zone_why(const struct sched_backend *b, const struct sched_request *r, struct buf *out)
{
	buf_addf(out, "is in zone %s, zone %s wanted", b->zone, r->zone);
}

/* The decision list of the reference, 4.5, by its rows. */
static bool capacity_pass(const struct sched_backend *b, const struct sched_request *r)
{
	struct capacity c = capacity_of(b, r);
	double need = (double)r->size;

	if (r->size == 0) /* 2 */
		return true;
	if (b->stats.free_infinite || b->stats.free_unknown) /* 4 */
		return true;
	if (b->stats.total_infinite || b->stats.total_unknown) /* 5 */
		return b->reserved_percentage == 0;
	if (b->stats.total == 0) /* 6 */
		return false;
	/* 7, 9; multiplied out, because reserving all of it leaves 0 to divide by */
	if (c.thin && (c.ratio < 1 || (double)b->provisioned + need > c.ratio * c.available))
		return false;
	return c.virtual_free >= need; /* 8, 10 */
}

/* One digit after the point, rounded so that what is free never looks enough when it is not. */
static void add_size(struct buf *out, double bytes, bool up)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB" };
	size_t i = 0;
	double tenths;

	if (bytes < 0)
		bytes = 0;
	for (; bytes >= 1024 && i + 1 < sizeof units / sizeof units[0]; i++)
		bytes /= 1024;
	tenths = up ? ceil(bytes * 10) : floor(bytes * 10);
	buf_addf(out, "%.*f %s", fmod(tenths, 10) != 0, tenths / 10, units[i]);
}

static void capacity_why(
	const struct sched_backend *b, const struct sched_request *r, struct buf *out)
{
	struct capacity c = capacity_of(b, r);

	if (!c.known) {
		buf_addf(out, "its total is not known, and %g%% of it are reserved",
			b->reserved_percentage);
		return;
	}
	if (b->stats.total == 0) {
		buf_adds(out, "has no capacity at all");
		return;
	}
	add_size(out, c.virtual_free, false);
	buf_adds(out, " free, ");
	add_size(out, (double)r->size, true);
	buf_adds(out, " wanted");
	if (!c.thin && (double)b->stats.free <= c.virtual_free)
		return;
	buf_adds(out, " (");
	add_size(out, (double)b->provisioned, true);
	buf_adds(out, " of ");
	add_size(out, c.available, false);
	buf_adds(out, " are promised)");
}

static const struct filter always[] = {
	{ NULL, state_pass, state_why },
	{ NULL, attempted_pass, attempted_why },
};

static const struct filter filters[] = {
	{ "availability_zone", zone_pass, zone_why },
	{ "capacity", capacity_pass, capacity_why },
};

const struct filter *filter_find(const char *name)
{
	for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
		if (!strcmp(filters[i].name, name))
			return &filters[i];
	}
	return NULL;
}

const struct filter *filter_always(size_t i)
{
	return i < sizeof always / sizeof always[0] ? &always[i] : NULL;
}
