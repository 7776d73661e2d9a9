/*
 * Volume types: what their names, keys and values may be. Syntax only: whether one exists, and who may change it, is the engine's to
 * say. Pure: no I/O, no locks, any thread.
 */
#ifndef VOLFS_TYPE_H
#define VOLFS_TYPE_H

#include "base/err.h"
#include "volume.h"

/* Extra specs that are no capabilities (reference, 7.6): bounds of a volume's size, inclusive; where it may be, by comma. */
#define TYPE_MIN_SIZE "provisioning:min_vol_size"
#define TYPE_MAX_SIZE "provisioning:max_vol_size"
#define TYPE_ZONES    "RESKEY:availability_zones"
/* A clone does not stay one: a boolean. And by what a source's backend is told, where a volume gets another type than its source. */
#define TYPE_FLATTEN "provisioning:flatten"
#define TYPE_BACKEND "volume_backend_name"

/* A directory's name and a word in specs: as a volume's, but for `new`. -EINVAL, -ENAMETOOLONG. */
int type_name_check(const char *name, struct err *err);

/* A key of extra_specs/ or qos/: -EINVAL. */
int type_key_check(const char *key, struct err *err);

/* A key with its value, "" for not written yet: -EINVAL. A limit that the storage keeps is a whole number. */
int type_spec_check(const char *key, const char *value, struct err *err);
int type_qos_check(const char *key, const char *value, struct err *err);

/* Is the key of a QoS spec a limit that a storage may keep? There are QOS_LIMITS. */
bool type_qos_is_limit(const char *key);

/* "key=value" of the configuration, as one of the lists takes it: -EINVAL. consumer= of QoS specs is the consumer. */
int type_pair_check(enum type_list list, const char *pair, struct err *err);

/* Two extra specs of one type that are in each other's way: -EINVAL. */
int type_pair_fits(const char *key, const char *value, const char *other, const char *other_value,
	struct err *err);

/* back-end, front-end, both; back and front will do: 0 or -ENOENT. */
#define TYPE_CONSUMER_WORDS "consumer takes back-end, front-end or both"
int type_consumer_find(const char *word, enum qos_consumer *ret);

#endif
