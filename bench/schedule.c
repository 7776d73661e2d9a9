/*
 * One choice among so many backends with every filter and weigher on, beside one pass over the memory that it has to
 * look at: each backend, and what it reported.
 *
 *	schedule BACKENDS ROUNDS        choice_us=… pass_us=…   (the fastest of the rounds)
 */
#include "base/clock.h"
#include "sched/sched.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const filters[] = { "availability_zone", "capacity", "capabilities",
	"same_backend", "different_backend", "driver", "json", "ignore_attempted", NULL };
static const struct sched_weigher_conf weighers[] = { { "capacity", 1 },
	{ "allocated_capacity", -1 }, { "volume_number", -1 }, { "goodness", 1 }, { "chance", 1 },
	{ "stochastic", 1 } };

struct fleet {
	struct sched_backend *b;
	char *names;
	size_t n, bytes;
};

static struct facts *report(size_t i, size_t *bytes)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:i, s:b, s:{s:i}, s:[s, s]}",
		"volume_backend_name", "gold", "vendor_name", "acme", "disk",
		i % 2 ? "ssd" : "nvme", "iops", (int)(i % 9000), "compression", 1, "nested",
		"level", (int)(i % 7), "features", "clone", "trim");
	struct facts *f = NULL;

	if (!json || facts_new(json, &f, NULL) < 0)
		abort();
	json_decref(json);
	*bytes += 600;
	return f;
}

static void fleet_init(struct fleet *f, const struct expr *filter, const struct expr *goodness)
{
	enum { NAME = 24 };

	f->b = calloc(f->n, sizeof *f->b);
	f->names = calloc(f->n, NAME);
	if (!f->b || !f->names)
		abort();
	for (size_t i = 0; i < f->n; i++) {
		char *name = f->names + NAME * i;

		(void)snprintf(name, NAME, "b%zu", i);
		f->b[i] = (struct sched_backend){ .name = name,
			.zone = "default",
			.state = BACKEND_UP,
			.total = { SCHED_NUMBER, (double)(1000 + i % 977) },
			.free = { SCHED_NUMBER, (double)(500 + i % 391) },
			.allocated = (double)(i % 89),
			.provisioned = (double)(i % 89),
			.reserved_percentage = 5,
			.max_over_subscription_ratio = 2,
			.thin = i % 2,
			.volumes = i % 31,
			.capabilities = report(i, &f->bytes),
			.filter = filter,
			.goodness = goodness };
	}
	f->bytes += f->n * sizeof *f->b;
}

static struct sched_type *type_of(const char *extra)
{
	json_t *json = json_loads(extra, 0, NULL);
	struct sched_type *t = NULL;

	if (!json || sched_type_new(json, NULL, &t, NULL) < 0)
		abort();
	json_decref(json);
	return t;
}

static struct query *query_of(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	struct query *q = NULL;

	if (!json || query_new(json, &q, NULL) < 0 || query_check(q, NULL) < 0)
		abort();
	json_decref(json);
	return q;
}

static double choose(const struct sched *s, struct sched_work *w, const struct fleet *f,
	const struct sched_request *r)
{
	int64_t from = clock_mono_ns();

	if (sched_choose(s, w, r, f->b, f->n, NULL, NULL) < 0)
		abort();
	return (double)(clock_mono_ns() - from) / 1000;
}

static double pass(const volatile unsigned char *memory, size_t bytes)
{
	int64_t from = clock_mono_ns();

	for (size_t i = 0; i + 64 <= bytes; i += 64)
		(void)memory[i];
	return (double)(clock_mono_ns() - from) / 1000;
}

int main(int argc, char **argv)
{
	struct fleet f = { .n = argc > 2 ? strtoul(argv[1], NULL, 10) : 0 };
	long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
	const struct sched_conf conf = { filters, weighers, sizeof weighers / sizeof weighers[0],
		false };
	const char *const attempted[] = { "b1", NULL };
	const uint32_t elsewhere[] = { 3, 300, 3000 };
	struct sched_request r = { .size = 10, .zone = "default", .attempted = attempted };
	struct sched_work w = { 0 };
	struct expr *filter = NULL, *goodness = NULL;
	struct sched *s = NULL;
	double choice = 1e9, memory = 1e9, took;
	unsigned char *scanned;

	if (!f.n || rounds < 1 ||
		expr_new("volume.size < 100 and stats.free_capacity_gb > 1", &filter, NULL) < 0 ||
		expr_new("100 / max(stats.allocated_capacity_gb, 1)", &goodness, NULL) < 0 ||
		sched_new(&conf, &s, NULL) < 0)
		return 1;
	fleet_init(&f, filter, goodness);
	r.type = type_of(
		"{\"compression\": \"<is> True\", \"disk\": \"<or> ssd <or> nvme\", \"capabilities:vendor_name\": \"acme\"}");
	r.query = query_of("[\">\", \"$free_capacity_gb\", 10]");
	r.different = (struct sched_hint){ .volumes = "x", .on = elsewhere, .on_count = 3 };
	scanned = calloc(1, f.bytes);
	if (!scanned)
		return 1;
	memset(scanned, 1, f.bytes);
	for (long i = 0; i < rounds; i++) {
		took = choose(s, &w, &f, &r);
		choice = took < choice ? took : choice;
		took = pass(scanned, f.bytes);
		memory = took < memory ? took : memory;
	}
	printf("choice_us=%.1f pass_us=%.1f\n", choice, memory);
	return 0;
}
