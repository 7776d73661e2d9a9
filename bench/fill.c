/*
 * Fills a catalogue with available volumes, for measurements with many rows: through the store
 * itself, so that triggers and indexes are what they would be.
 *
 *      fill DATABASE COUNT BACKEND [PREFIX [ERRORS]]
 *
 * ERRORS of them, spread over all, are in status error.
 */
#include "store/store.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

enum { AT_ONCE = 200 }; /* SQLite walks the journal of each: many more take longer */

static long next, count, errors;
static const char *backend, *prefix = "v";
static sem_t done;
static int result;

static int add_one(struct tx *tx, long i)
{
	bool bad = errors && i % (count / errors) == 0 && i / (count / errors) < errors;
	struct volume v = {
		.status = bad ? VOL_ERROR : VOL_AVAILABLE, .size = UINT64_C(10) << 30, .mode = 0755
	};
	uuid_t id;
	int r;

	uuid_generate_random(id);
	uuid_unparse_lower(id, v.uuid);
	(void)snprintf(v.name, sizeof v.name, "%s-%ld", prefix, i);
	(void)snprintf(v.project, sizeof v.project, "root");
	(void)snprintf(v.zone, sizeof v.zone, "default");
	(void)snprintf(v.backend, sizeof v.backend, "%s", backend);
	(void)snprintf(v.image_id, sizeof v.image_id, "%014lx", i);
	r = tx_volume_add(tx, &v, false, "size=10\n", 8);
	return r < 0 ? r
		     : tx_event(tx,
			       &(struct event){
				       .volume = v.id, .event = "volume.create.end", .uid = -1 });
}

static int run(struct change *c, struct tx *tx, struct err *err)
{
	long end = next + AT_ONCE < count ? next + AT_ONCE : count;
	int r = 0;

	for (; r >= 0 && next < end; next++)
		r = add_one(tx, next);
	return r < 0 ? err_set(err, r, "cannot add volume %ld: %s", next, strerror(-r)) : 0;
}

static void told(struct change *c, int code, const struct err *err)
{
	result = code;
	if (code < 0)
		fprintf(stderr, "fill: %s\n", err->text);
	sem_post(&done);
}

int main(int argc, char **argv)
{
	struct quota none = {
		.max[QUOTA_VOLUMES] = -1, .max[QUOTA_SIZE] = -1, .max[QUOTA_PER_VOLUME_SIZE] = -1
	};
	struct change c = { .run = run, .done = told };
	struct err err = { 0 };
	struct store *s;

	if (argc < 4)
		return fprintf(stderr, "fill DATABASE COUNT BACKEND [PREFIX [ERRORS]]\n"), 2;
	count = atol(argv[2]);
	backend = argv[3];
	prefix = argc > 4 ? argv[4] : prefix;
	errors = argc > 5 ? atol(argv[5]) : 0;
	if (errors > count)
		return fprintf(stderr, "fill: more errors than volumes\n"), 2;
	sem_init(&done, 0, 0);
	if (store_open(argv[1], &none, &s, &err) < 0 ||
		store_start(s, &(struct store_hooks){ 0 }, &err) < 0)
		return fprintf(stderr, "fill: %s\n", err.text), 1;
	while (next < count && result >= 0) {
		store_submit(s, &c);
		sem_wait(&done);
	}
	store_stop(s);
	store_close(s);
	return result < 0;
}
