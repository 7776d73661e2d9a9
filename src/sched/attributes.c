/* What filter functions (`stats.…`) and queries (`$…`) can ask a backend by name. One row is one name. */
#include "sched/internal.h"

#include <string.h>

static struct fact text(const char *value)
{
	return (struct fact){ .kind = value ? FACT_TEXT : FACT_NULL, .text = value };
}

static struct fact truth(bool is)
{
	return (struct fact){ .kind = FACT_BOOL, .integer = is };
}

static struct fact number(double value)
{
	struct fact f;

	fact_number(value, &f);
	return f;
}

static void amount(const struct sched_amount *a, struct fact *ret)
{
	static const char *const words[] = {
		[SCHED_INFINITE] = "infinite",
		[SCHED_UNKNOWN] = "unknown",
		[SCHED_UNSET] = NULL,
	};

	if (a->is == SCHED_NUMBER)
		fact_number(a->gib, ret);
	else
		*ret = text(words[a->is]);
}

static struct fact get_name(const struct sched_backend *b)
{
	return text(b->name);
}

static struct fact get_zone(const struct sched_backend *b)
{
	return text(b->zone);
}

static struct fact get_ratio(const struct sched_backend *b)
{
	return b->max_over_subscription_ratio > 0 ? number(b->max_over_subscription_ratio)
						  : text("auto");
}

static struct fact get_thin(const struct sched_backend *b)
{
	return truth(b->thin);
}

static struct fact get_thick(const struct sched_backend *b)
{
	return truth(b->thick);
}

static struct fact get_false(const struct sched_backend *b)
{
	return truth(b->state == BACKEND_DISABLED);
}

/* Nobody tells these: no backend is in a cluster, and sched/ knows no time. */
static struct fact get_null(const struct sched_backend *b)
{
	return text(NULL);
}

#define NUMBER(member) NULL, offsetof(struct sched_backend, member), 0
#define AMOUNT(member) NULL, 0, offsetof(struct sched_backend, member)

static const struct attribute attributes[] = {
	{ "host", true, get_name, 0, 0 },
	{ "backend_id", true, get_name, 0, 0 },
	{ "cluster_name", true, get_null, 0, 0 },
	{ "updated", true, get_null, 0, 0 },
	{ "total_capacity_gb", true, AMOUNT(total) },
	{ "free_capacity_gb", true, AMOUNT(free) },
	{ "allocated_capacity_gb", true, NUMBER(allocated) },
	{ "reserved_percentage", true, NUMBER(reserved_percentage) },
	{ "provisioned_capacity_gb", false, NUMBER(provisioned) },
	{ "max_over_subscription_ratio", false, get_ratio, 0, 0 },
	{ "thin_provisioning_support", false, get_thin, 0, 0 },
	{ "thick_provisioning_support", false, get_thick, 0, 0 },
	{ "service.host", false, get_name, 0, 0 },
	{ "service.availability_zone", false, get_zone, 0, 0 },
	{ "service.disabled", false, get_false, 0, 0 },
};

/* Capabilities that are attributes too. Where a backend is silent, some are false and the others null. */
static const struct {
	const char *name;
	bool is_false;
} reported[] = {
	{ "volume_backend_name", false },
	{ "vendor_name", false },
	{ "driver_version", false },
	{ "storage_protocol", false },
	{ "QoS_support", true },
	{ "multiattach", true },
	{ "filter_function", false },
	{ "goodness_function", false },
};
enum { REPORTED = sizeof reported / sizeof reported[0] };

static bool is(const char *name, size_t len, const char *other)
{
	return strlen(other) == len && !memcmp(name, other, len);
}

const struct attribute *attribute_find(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
		if (is(name, len, attributes[i].name))
			return &attributes[i];
	}
	return NULL;
}

static size_t reported_find(const char *name, size_t len)
{
	size_t i = 0;

	while (i < REPORTED && !is(name, len, reported[i].name))
		i++;
	return i;
}

bool attribute_is_reported(const char *name, size_t len)
{
	return reported_find(name, len) < REPORTED;
}

void attribute_get(const struct attribute *a, const struct sched_backend *b, struct fact *ret)
{
	if (a->get)
		*ret = a->get(b);
	else if (a->number)
		fact_number(*(const double *)backend_at(b, a->number), ret);
	else
		amount(backend_at(b, a->amount), ret);
}

const struct fact *attribute_reported(const struct sched_backend *b, const struct path *path)
{
	static const struct fact silent[] = { { .kind = FACT_NULL }, { .kind = FACT_BOOL } };
	const struct fact *f = facts_find(b->capabilities, path);
	size_t i;

	if (f)
		return f;
	i = reported_find(path->text, path->len);
	return &silent[i < REPORTED && reported[i].is_false];
}
