/*
 * The configuration file: one table of options in config.c, filled through libconfig. Read once at
 * start; constant and shared by all threads afterwards. Errors name file and line: "volfs.conf:12:
 * unknown option 'wrokers'".
 */
#ifndef VOLFS_CONFIG_H
#define VOLFS_CONFIG_H

#include "base/err.h"
#include "driver.h"
#include "volume.h"

#include <stdbool.h>
#include <stddef.h>

struct conf_weigher {
	char *name;
	double multiplier;
};

/* A volume type. Lists are NULL-terminated; extra specs and QoS specs are "key=value". */
struct conf_type {
	char *name, *description;
	bool is_public;
	char **extra_specs, **qos, **access;
};

struct conf {
	char *database; /* path */
	long workers;	/* per backend */
	char *default_zone;
	char *admin_group;
	char *debug;	       /* modules, by comma; "" */
	long stats_interval;   /* seconds between two statistics of a backend, default 10 */
	long trash_delay;      /* seconds a deleted volume stays; 0: it is purged at once */
	long history_events;   /* that the log keeps */
	long history_age;      /* seconds, at most; 0: no limit */
	int64_t io_memory;     /* bytes of requests under way; -1: no limit */
	long snapshot_timeout; /* seconds that mkdir of a snapshot waits at most */
	long max_clone_depth; /* a clone of a volume that has so many ancestors is flattened; 0: nothing stays a clone */
	long copies;		 /* CLASS_COPY jobs of a backend at a time */
	bool clone_in_same_zone; /* a volume is made in its source's zone */
	mode_t volume_mode;	 /* octal text "0755" in the file */
	char *new_group;	 /* "" : new/ is 01777; else 01770 and this group */
	char **draft_patterns;	 /* NULL-terminated */
	char **projects;	 /* allowed project names, NULL-terminated; empty: any */
	struct quota quota;	 /* the defaults: only max[] */
	char *default_type;	 /* "": none */
	bool zone_fallback;	 /* default_zone in place of one where the volume cannot be */
	struct conf_type *types; /* to be made where they are not yet */
	size_t type_count;
	char **filters; /* NULL-terminated */
	struct conf_weigher *weighers;
	size_t weigher_count;
	long attempts;
	long max_drafts, max_blocked, max_requests; /* per uid: 64, 1024, 256 */
	long queue_max; /* accepted and unfinished jobs before writers wait, default 10000 */
	struct backend_conf *backends;
	size_t backend_count;
};

/* Reads file. On failure *ret is left released. */
int conf_read(const char *file, struct conf *ret, struct err *err);

/* Defaults with one backend "local" of driver local in dir, the database in dir/volfs.db, no quota
 * limits: `volfs --local DIR`. make: dir and what belongs into it, where it is missing. */
int conf_local(const char *dir, bool make, struct conf *ret, struct err *err);
void conf_release(struct conf *c);

/* Walks the table of options, for lint and `volfs --help-config`: path ("scheduler.attempts",
 * "backends.pool"), default as text, help; false at the end. */
bool conf_option(size_t i, const char **ret_path, const char **ret_default, const char **ret_help);

#endif
