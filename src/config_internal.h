/* What config.c (the table of options, reading a file by it) and config_value.c (what a value may be) share. */
#ifndef VOLFS_CONFIG_INTERNAL_H
#define VOLFS_CONFIG_INTERNAL_H

#include "config.h"

#include <libconfig.h>
#include <stddef.h>

/* One read. A setting of a default has no file and no line: only our own mistake could make it
 * fail. */
struct reader {
	const char *file;
	struct conf *conf;
	struct err *err;
};

struct option {
	const char *path; /* "group.name" */
	/* NULL: a group or a list of groups, no value of its own */
	int (*set)(
		const struct option *o, const config_setting_t *s, void *field, struct reader *r);
	size_t offset;		  /* of the field in the struct of its group */
	const char *def;	  /* NULL: must be given */
	double min, max;	  /* of a number */
	const char *const *words; /* the only ones, NULL-terminated; NULL: any */
	const char *help;
};

/* Each puts the value of s, judged as the row says, into its field; what was there is released. -EINVAL by file and line; -ENOMEM. */
typedef int conf_set(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r);
conf_set conf_set_double, conf_set_long, conf_set_limit, conf_set_delay, conf_set_ratio,
	conf_set_bool, conf_set_text, conf_set_path, conf_set_name, conf_set_backend_name,
	conf_set_mode, conf_set_size_limit, conf_set_chunk, conf_set_texts, conf_set_function,
	conf_set_capabilities, conf_set_type_name, conf_set_description, conf_set_access,
	conf_set_extra_specs, conf_set_qos;

int conf_no_memory(struct reader *r);
int conf_refuse(struct reader *r, const config_setting_t *s,
	const char *why); /* "FILE:LINE: option: why" */
void conf_free_texts(char **list);

#endif
