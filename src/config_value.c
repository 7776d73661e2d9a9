/* What the value of an option may be: a function for each kind, which the rows of config.c's table name. */
#include "config_internal.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "sched/sched.h"
#include "type.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int conf_no_memory(struct reader *r)
{
	return err_set(r->err, -ENOMEM, "out of memory");
}

int conf_refuse(struct reader *r, const config_setting_t *s, const char *why)
{
	const char *file = config_setting_source_file(s), *name = config_setting_name(s);
	const config_setting_t *parent = config_setting_parent(s);

	if (!name && parent) /* an element of an array or list */
		name = config_setting_name(parent);
	return err_set(r->err, -EINVAL, "%s:%u: %s: %s", file ? file : r->file,
		config_setting_source_line(s), name ? name : "", why);
}

static const char *quoted(const char *before, const char *text, char why[160])
{
	char shown[TEXT_SHOWN_MAX];

	(void)snprintf(why, 160, "%s '%s'", before, text_shown(text, shown));
	return why;
}

static bool number_of(const config_setting_t *s, double *ret)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
		*ret = config_setting_get_int(s);
		return true;
	case CONFIG_TYPE_INT64:
		*ret = (double)config_setting_get_int64(s);
		return true;
	case CONFIG_TYPE_FLOAT:
		*ret = config_setting_get_float(s);
		return true;
	default:
		return false;
	}
}

int conf_set_double(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	double value;
	char why[160];

	if (!number_of(s, &value))
		return conf_refuse(r, s, "must be a number");
	if (!(value >= o->min && value <= o->max)) {
		(void)snprintf(why, sizeof why, "must be %.10g to %.10g", o->min, o->max);
		return conf_refuse(r, s, why);
	}
	*(double *)field = value;
	return 0;
}

int conf_set_long(const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	double value;
	int code;

	if (config_setting_type(s) == CONFIG_TYPE_FLOAT || !number_of(s, &value))
		return conf_refuse(r, s, "must be a whole number");
	code = conf_set_double(o, s, &value, r);
	if (code == 0)
		*(long *)field = (long)value;
	return code;
}

int conf_set_limit(const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	long value = 0;
	int code = conf_set_long(o, s, &value, r);

	if (code == 0)
		*(int64_t *)field = value;
	return code;
}

/* "90", "30m", "12h", "1d": seconds. */
static bool delay_of(const char *text, long *ret)
{
	static const struct {
		char unit;
		long seconds;
	} units[] = { { '\0', 1 }, { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end;
	long n;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || n > INT_MAX)
		return false;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (*end == units[i].unit && (i == 0 || !end[1]) &&
			n <= INT_MAX / units[i].seconds) {
			*ret = n * units[i].seconds;
			return true;
		}
	return false;
}

int conf_set_delay(const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	const char *text = config_setting_get_string(s);

	if (!text)
		return conf_set_long(o, s, field, r);
	if (!delay_of(text, field))
		return conf_refuse(r, s, "must be seconds, or a number with s, m, h or d");
	return 0;
}

int conf_set_ratio(const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	const char *text = config_setting_get_string(s);

	if (text && !strcmp(text, "auto")) {
		*(double *)field = 0;
		return 0;
	}
	if (text)
		return conf_refuse(r, s, "must be a number, or \"auto\"");
	return conf_set_double(o, s, field, r);
}

int conf_set_bool(const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	if (config_setting_type(s) != CONFIG_TYPE_BOOL)
		return conf_refuse(r, s, "must be true or false");
	*(bool *)field = config_setting_get_bool(s);
	return 0;
}

static int refuse_word(
	const struct option *o, const config_setting_t *s, const char *text, struct reader *r)
{
	CLEANUP(buf_release) struct buf why = { 0 };
	char shown[TEXT_SHOWN_MAX];

	buf_addf(&why, "there is no '%s', only", text_shown(text, shown));
	for (size_t i = 0; o->words[i]; i++)
		buf_addf(&why, "%s %s", i ? "," : "", o->words[i]);
	return buf_failed(&why) ? conf_no_memory(r) : conf_refuse(r, s, buf_text(&why));
}

static int text_of(
	const struct option *o, const config_setting_t *s, const char **ret, struct reader *r)
{
	const char *text = config_setting_get_string(s);

	if (!text)
		return conf_refuse(r, s, "must be text in double quotes");
	if (!text_is_plain(text, strlen(text)))
		return conf_refuse(r, s, "must be UTF-8 without control characters");
	for (size_t i = 0; o->words && strcmp(o->words[i], text) != 0;) {
		if (!o->words[++i])
			return refuse_word(o, s, text, r);
	}
	*ret = text;
	return 0;
}

int conf_set_text(const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	const char *text = NULL;
	int code = text_of(o, s, &text, r);

	if (code < 0)
		return code;
	free(*(char **)field);
	*(char **)field = strdup(text);
	return *(char **)field ? 0 : conf_no_memory(r);
}

int conf_set_path(const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	int code = conf_set_text(o, s, field, r);

	if (code == 0 && **(char **)field != '/')
		return conf_refuse(r, s, "must be an absolute path");
	return code;
}

/* It becomes the name of a directory. */
int conf_set_name(const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	int code = conf_set_text(o, s, field, r);
	const char *name = *(char **)field;

	if (code == 0 && (!*name || *name == '.' || strchr(name, '/') || strlen(name) > NAME_LEN))
		return conf_refuse(
			r, s, "must have 1 to 255 bytes, no '/' and no '.' at its start");
	return code;
}

int conf_set_backend_name(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	int code = conf_set_name(o, s, field, r);
	const char *name = *(char **)field;
	char why[160];

	for (size_t i = 0; code == 0 && i < r->conf->backend_count; i++) {
		const char *other = r->conf->backends[i].name;

		if (other && other != name && !strcmp(other, name))
			return conf_refuse(
				r, s, quoted("a second backend has the name", name, why));
	}
	return code;
}

int conf_set_mode(const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	const char *text = config_setting_get_string(s);
	char *end;
	unsigned long mode;

	if (!text || !*text || text[strspn(text, "01234567")])
		return conf_refuse(r, s, "must be octal text such as \"0755\"");
	mode = strtoul(text, &end, 8);
	if (mode > 0777)
		return conf_refuse(r, s, "must be \"0000\" to \"0777\"");
	*(mode_t *)field = (mode_t)mode;
	return 0;
}

/* Text, or -1 for no limit: a bare number would leave open what it counts. */
int conf_set_size_limit(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	const char *text = config_setting_get_string(s);
	uint64_t bytes;
	struct err why;
	double number;

	if (!text && number_of(s, &number) && number == SIZE_LIMIT_NONE) {
		*(int64_t *)field = SIZE_LIMIT_NONE;
		return 0;
	}
	if (!text)
		return conf_refuse(
			r, s, "must be a size in double quotes such as \"1000G\", or -1");
	if (text_size(text, &bytes, &why) < 0)
		return conf_refuse(r, s, why.text);
	*(int64_t *)field = (int64_t)bytes;
	return 0;
}

int conf_set_chunk(const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	const char *text = config_setting_get_string(s);
	uint64_t bytes;
	struct err why;

	if (!text)
		return conf_refuse(r, s, "must be a size in double quotes such as \"4M\"");
	if (text_size(text, &bytes, &why) < 0)
		return conf_refuse(r, s, why.text);
	if (bytes < 4096 || bytes > 32 << 20 || (bytes & (bytes - 1)))
		return conf_refuse(r, s, "must be a power of two, 4K to 32M");
	*(uint64_t *)field = bytes;
	return 0;
}

void conf_free_texts(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

int conf_set_texts(const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	int n = config_setting_length(s), code = 0;
	char **list;

	if (!config_setting_is_array(s) && !config_setting_is_list(s))
		return conf_refuse(r, s, "must be a list such as [ \"one\", \"two\" ]");
	list = calloc((size_t)n + 1, sizeof *list);
	if (!list)
		return conf_no_memory(r);
	for (int i = 0; i < n && code == 0; i++)
		code = conf_set_text(o, config_setting_get_elem(s, (unsigned)i), &list[i], r);
	if (code < 0) {
		conf_free_texts(list);
		return code;
	}
	conf_free_texts(*(char ***)field);
	*(char ***)field = list;
	return 0;
}

/* A filter or goodness function. */
int conf_set_function(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	int code = conf_set_text(o, s, field, r);
	const char *text = *(char **)field;
	struct expr *e = NULL;
	struct err why;

	if (code < 0 || !*text)
		return code;
	if (expr_new(text, &e, &why) < 0)
		return conf_no_memory(r);
	if (expr_check(e, &why) < 0)
		code = conf_refuse(r, s, why.text);
	expr_free(e);
	return code;
}

/* NULL: no memory, or a text that is not UTF-8. */
static json_t *json_of(const config_setting_t *s)
{
	bool group = config_setting_is_group(s);
	json_t *all;

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return json_integer(config_setting_get_int64(s));
	case CONFIG_TYPE_FLOAT:
		return json_real(config_setting_get_float(s));
	case CONFIG_TYPE_BOOL:
		return json_boolean(config_setting_get_bool(s));
	case CONFIG_TYPE_STRING:
		return json_string(config_setting_get_string(s));
	default:
		all = group ? json_object() : json_array();
	}
	for (int i = 0; all && i < config_setting_length(s); i++) {
		const config_setting_t *at = config_setting_get_elem(s, (unsigned)i);
		json_t *value = json_of(at);

		if (group ? json_object_set_new(all, config_setting_name(at), value) == 0
			  : json_array_append_new(all, value) == 0)
			continue;
		json_decref(all);
		return NULL;
	}
	return all;
}

int conf_set_capabilities(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	struct facts *facts = NULL;
	struct err why;
	json_t *json;
	int code;

	if (!config_setting_is_group(s))
		return conf_refuse(r, s, "must be a group: { … }");
	json = json_of(s);
	if (!json)
		return conf_refuse(r, s, "its texts must be UTF-8");
	code = facts_new(json, &facts, &why);
	if (code < 0) {
		json_decref(json);
		return code == -ENOMEM ? conf_no_memory(r) : conf_refuse(r, s, why.text);
	}
	facts_free(facts);
	json_decref(*(json_t **)field);
	*(json_t **)field = json;
	return 0;
}

int conf_set_type_name(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	int code = conf_set_text(o, s, field, r);
	const char *name = *(char **)field;
	struct err err;
	char why[160];

	if (code == 0 && type_name_check(name, &err) < 0)
		return conf_refuse(r, s, err.text);
	for (size_t i = 0; code == 0 && i < r->conf->type_count; i++) {
		const char *other = r->conf->types[i].name;

		if (other && other != name && !strcmp(other, name))
			return conf_refuse(r, s, quoted("a second type has the name", name, why));
	}
	return code;
}

/* It is kept in one field. */
int conf_set_description(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	int code = conf_set_text(o, s, field, r);

	return code == 0 && strlen(*(char **)field) > NAME_LEN
		       ? conf_refuse(r, s, "must have at most 255 bytes")
		       : code;
}

/* Each becomes the name of a file. */
int conf_set_access(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	int code = conf_set_texts(o, s, field, r);
	char **names = *(char ***)field;

	for (int i = 0; code == 0 && names[i]; i++)
		if (!*names[i] || *names[i] == '.' || strchr(names[i], '/') ||
			strlen(names[i]) > NAME_LEN)
			return conf_refuse(r, config_setting_get_elem(s, (unsigned)i),
				"must be the name of a group");
	return code;
}

static int check_pairs(
	enum type_list list, const config_setting_t *s, char **pairs, struct reader *r)
{
	struct err why;

	for (int i = 0; pairs[i]; i++)
		if (type_pair_check(list, pairs[i], &why) < 0)
			return conf_refuse(r, config_setting_get_elem(s, (unsigned)i), why.text);
	return 0;
}

int conf_set_extra_specs(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	int code = conf_set_texts(o, s, field, r);

	return code < 0 ? code : check_pairs(TYPE_EXTRA_SPECS, s, *(char ***)field, r);
}

int conf_set_qos(const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	int code = conf_set_texts(o, s, field, r);

	return code < 0 ? code : check_pairs(TYPE_QOS, s, *(char ***)field, r);
}
