/*
 * One table of options. A row's default is written as it would stand in the file, and goes through
 * the same function as what does stand there: so the file, the defaults, the lint of etc/volfs.conf
 * and the man page cannot disagree.
 */
#include "config_internal.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const drivers[] = { "rbd", "local", NULL };
static const char *const filters[] = { "availability_zone", "capacity", "capabilities",
	"same_backend", "different_backend", "driver", "json", "ignore_attempted", NULL };
static const char *const weighers[] = { "capacity", "allocated_capacity", "volume_number",
	"goodness", "stochastic", "chance", NULL };
static const char *const directs[] = { "auto", "on", "off", NULL };

static int set_types(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r);
static int set_weighers(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r);
static int set_backends(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r);

/* The table. */

#define CONF(member)	.offset = offsetof(struct conf, member)
#define QUOTA(resource) CONF(quota.max[QUOTA_##resource])
#define TYPE(member)	.offset = offsetof(struct conf_type, member)
#define BACKEND(member) .offset = offsetof(struct backend_conf, member)
#define WEIGHER(member) .offset = offsetof(struct conf_weigher, member)

static const struct option options[] = {
	{ "database", conf_set_path, CONF(database), "\"/var/lib/volfs/volfs.db\"",
		.help = "the catalogue; one daemon at a time uses it" },
	{ "workers", conf_set_long, CONF(workers), "16", 1, 1024,
		.help = "threads for each backend" },
	{ "default_zone", conf_set_name, CONF(default_zone), "\"default\"",
		.help = "zone of a volume whose spec names none" },
	{ "zone_fallback", conf_set_bool, CONF(zone_fallback), "false",
		.help = "default_zone in place of one that there is not, or not for the type" },
	{ "default_type", conf_set_text, CONF(default_type), "\"\"",
		.help = "type of a volume whose spec names none, unless .volfs/types says otherwise" },
	{ "types", set_types, CONF(types), "( )",
		.help = "volume types that are made at start where they are not there" },
	{ "types.name", conf_set_type_name, TYPE(name), NULL,
		.help = "its directory in .volfs/types" },
	{ "types.description", conf_set_description, TYPE(description), "\"\"",
		.help = "free text" },
	{ "types.public", conf_set_bool, TYPE(is_public), "true",
		.help = "every project may use it; false: those in access" },
	{ "types.extra_specs", conf_set_extra_specs, TYPE(extra_specs), "[ ]",
		.help = "what a backend must be: [ \"key=value\", … ]" },
	{ "types.qos", conf_set_qos, TYPE(qos), "[ ]",
		.help = "limits: [ \"key=value\", … ]; consumer= back-end, front-end or both" },
	{ "types.access", conf_set_access, TYPE(access), "[ ]",
		.help = "projects that may use it" },
	{ "admin_group", conf_set_text, CONF(admin_group), "\"disk\"",
		.help = "its members are administrators, as root is" },
	{ "debug", conf_set_text, CONF(debug), "\"\"",
		.help = "modules that log what they do, by comma; \"all\"" },
	{ "stats_interval", conf_set_long, CONF(stats_interval), "10", 1, 86400,
		.help = "seconds between two statistics of a backend" },
	{ "trash_delay", conf_set_delay, CONF(trash_delay), "\"1d\"", 0, INT_MAX,
		.help = "how long a deleted volume can come back: seconds, or 30m, 12h, 1d; 0: not at all" },
	{ "history_events", conf_set_long, CONF(history_events), "1000000", 1000, 1000000000,
		.help = "events that the log keeps" },
	{ "history_age", conf_set_delay, CONF(history_age), "\"30d\"", 0, INT_MAX,
		.help = "how long it keeps them at most: seconds, or 30m, 12h, 1d; 0: no limit" },
	{ "io_memory", conf_set_size_limit, CONF(io_memory), "\"256M\"",
		.help = "memory for reads and writes under way; what writes carry beyond it goes to files; -1: no limit" },
	{ "snapshot_timeout", conf_set_long, CONF(snapshot_timeout), "60", 1, 86400,
		.help = "seconds after which mkdir of a snapshot gives up" },
	{ "max_clone_depth", conf_set_long, CONF(max_clone_depth), "5", 0, 64,
		.help = "ancestors that the source of a clone may have before the clone is flattened; 0: all are" },
	{ "copies", conf_set_long, CONF(copies), "3", 1, 64,
		.help = "volumes of each backend that are copied, flattened or reverted at a time" },
	{ "clone_in_same_zone", conf_set_bool, CONF(clone_in_same_zone), "true",
		.help = "a volume made from another is made in its zone" },
	{ "volume_mode", conf_set_mode, CONF(volume_mode), "\"0755\"",
		.help = "permissions of a new volume's directory" },
	{ "new_group", conf_set_text, CONF(new_group), "\"\"",
		.help = "who may create volumes; \"\": everybody" },
	{ "draft_patterns", conf_set_texts, CONF(draft_patterns),
		"[ \".*\", \"#*\", \"*~\", \"*.tmp\", \"*.part\", \"*.bak\", \"*.orig\", \"sed\?\?\?\?\?\?\", "
		"\"tmp.\?\?\?\?\?\?\?\?\?\?\", \"4913\" ]",
		.help = "names in new/ that are drafts: not submitted until renamed" },
	{ "projects", conf_set_texts, CONF(projects), "[ ]",
		.help = "groups that can be projects; none named: any" },
	{ "quota", .help = "limits of a project that has none of its own; -1: no limit" },
	{ "quota.volumes", conf_set_limit, QUOTA(VOLUMES), "10", -1, INT_MAX, .help = "volumes" },
	{ "quota.size", conf_set_size_limit, QUOTA(SIZE), "\"1000G\"",
		.help = "size of all volumes and snapshots together" },
	{ "quota.per_volume_size", conf_set_size_limit, QUOTA(PER_VOLUME_SIZE), "-1",
		.help = "size of one volume" },
	{ "quota.snapshots", conf_set_limit, QUOTA(SNAPSHOTS), "10", -1, INT_MAX,
		.help = "snapshots" },
	{ "quota.backups", conf_set_limit, QUOTA(BACKUPS), "10", -1, INT_MAX,
		.help = "backups (there are none yet)" },
	{ "quota.backup_size", conf_set_size_limit, QUOTA(BACKUP_SIZE), "\"1000G\"",
		.help = "size of all backups together" },
	{ "quota.groups", conf_set_limit, QUOTA(GROUPS), "10", -1, INT_MAX,
		.help = "groups of volumes (there are none yet)" },
	{ "quota.trash_size", conf_set_size_limit, QUOTA(TRASH_SIZE), "-1",
		.help = "size of all deleted volumes that can come back; beyond it the oldest are purged" },
	{ "scheduler", .help = "how a volume's backend is chosen" },
	{ "scheduler.filters", conf_set_texts, CONF(filters),
		"[ \"availability_zone\", \"capacity\", \"capabilities\" ]", .words = filters,
		.help = "what a backend must pass, in this order" },
	{ "scheduler.weighers", set_weighers, CONF(weighers),
		"( { name = \"capacity\"; multiplier = 1.0; } )",
		.help = "what orders those that pass" },
	{ "scheduler.weighers.name", conf_set_text, WEIGHER(name), NULL, .words = weighers,
		.help = "the weigher" },
	{ "scheduler.weighers.multiplier", conf_set_double, WEIGHER(multiplier), "1.0", -1e9, 1e9,
		.help = "its share in the sum; left out, -1.0 for allocated_capacity and volume_number" },
	{ "scheduler.attempts", conf_set_long, CONF(attempts), "3", 1, 100,
		.help = "backends that are tried for one volume" },
	{ "limits", .help = "what one user can take; root is exempt" },
	{ "limits.drafts", conf_set_long, CONF(max_drafts), "64", 1, 16384,
		.help = "drafts for each user" },
	{ "limits.blocked", conf_set_long, CONF(max_blocked), "1024", 1, 65536,
		.help = "blocked reads for each user" },
	{ "limits.requests", conf_set_long, CONF(max_requests), "256", 1, 65536,
		.help = "requests in flight for each user" },
	{ "limits.queue", conf_set_long, CONF(queue_max), "10000", 1, 10000000,
		.help = "unfinished jobs of all users before writers wait" },
	{ "backends", set_backends, CONF(backends), NULL, .help = "the storage" },
	{ "backends.name", conf_set_backend_name, BACKEND(name), NULL,
		.help = "its directory in .volfs/backends" },
	{ "backends.driver", conf_set_text, BACKEND(driver), NULL, .words = drivers,
		.help = "rbd or local" },
	{ "backends.zone", conf_set_text, BACKEND(zone), "\"\"",
		.help = "availability zone; \"\": the default_zone" },
	{ "backends.reserved_percentage", conf_set_double, BACKEND(reserved_percentage), "0", 0,
		100, .help = "share of the total that is never promised" },
	{ "backends.max_over_subscription_ratio", conf_set_ratio,
		BACKEND(max_over_subscription_ratio), "20.0", 1, 1e9,
		.help = "how often the usable total may be promised (thin); or \"auto\"" },
	{ "backends.thin", conf_set_bool, BACKEND(thin), "true",
		.help = "space is taken when written, not when created" },
	{ "backends.timeout", conf_set_long, BACKEND(timeout), "30", 1, 86400,
		.help = "seconds without an answer until it is down" },
	{ "backends.filter_function", conf_set_function, BACKEND(filter_function), "\"\"",
		.help = "what must be true for a volume to come here (filter driver)" },
	{ "backends.goodness_function", conf_set_function, BACKEND(goodness_function), "\"\"",
		.help = "how good it is for a volume, 0 to 100 (weigher goodness)" },
	{ "backends.capabilities", conf_set_capabilities, BACKEND(capabilities), "{ }",
		.help = "added to what it reports: { name = value; … }" },
	{ "backends.flatten", conf_set_bool, BACKEND(flatten), "false",
		.help = "clones are made independent of their source; a type can ask for it, too" },
	{ "backends.ceph_conf", conf_set_path, BACKEND(ceph_conf), "\"/etc/ceph/ceph.conf\"",
		.help = "rbd: Ceph's configuration" },
	{ "backends.ceph_user", conf_set_text, BACKEND(ceph_user), "\"admin\"",
		.help = "rbd: user without \"client.\"" },
	{ "backends.pool", conf_set_text, BACKEND(pool), "\"vols\"", .help = "rbd: pool" },
	{ "backends.namespace", conf_set_text, BACKEND(namespace), "\"\"",
		.help = "rbd: namespace in the pool" },
	{ "backends.data_pool", conf_set_text, BACKEND(data_pool), "\"\"",
		.help = "rbd: pool of the data, if it is another" },
	{ "backends.chunk_size", conf_set_chunk, BACKEND(chunk_size), "\"4M\"",
		.help = "rbd: size of an object, a power of two" },
	{ "backends.features", conf_set_text, BACKEND(features),
		"\"layering,exclusive-lock,object-map,fast-diff,deep-flatten\"",
		.help = "rbd: image features" },
	{ "backends.direct", conf_set_text, BACKEND(direct), "\"auto\"", .words = directs,
		.help = "rbd: plain images without librbd: where that is proven (auto), on, off" },
	{ "backends.path", conf_set_path, BACKEND(path), "\"/var/lib/volfs/disk\"",
		.help = "local: directory of the volumes" },
};
enum { OPTION_COUNT = sizeof options / sizeof options[0] };

/* Reading. */

/* The row `name` in group `group` ("" at the top); NULL if there is none. */
static const struct option *option_find(const char *group, const char *name)
{
	size_t n = strlen(group);

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const char *path = options[i].path;

		if (n && (strncmp(path, group, n) != 0 || path[n] != '.'))
			continue;
		if (!strcmp(path + (n ? n + 1 : 0), name))
			return &options[i];
	}
	return NULL;
}

static bool option_is_in(const struct option *o, const char *group)
{
	const char *dot = strrchr(o->path, '.');
	size_t n = dot ? (size_t)(dot - o->path) : 0;

	return n == strlen(group) && !strncmp(o->path, group, n);
}

static int set_default(const struct option *o, void *field, struct reader *r)
{
	struct buf text = { 0 };
	config_t config;
	int code = -ENOMEM;

	config_init(&config);
	buf_addf(&text, "value = %s;", o->def);
	if (!buf_failed(&text) && config_read_string(&config, buf_text(&text)))
		code = o->set(o, config_lookup(&config, "value"), field, r);
	else
		(void)conf_no_memory(r);
	config_destroy(&config);
	buf_release(&text);
	return code;
}

/* The option of this group that was probably meant. */
static const char *option_near(const char *group, const char *name)
{
	size_t best = 3, len = strlen(name);
	const char *near = NULL;

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const char *dot = strrchr(options[i].path, '.');
		const char *own = dot ? dot + 1 : options[i].path;
		size_t n = option_is_in(&options[i], group) ? text_edits(name, own) : SIZE_MAX;

		if (n < best && n < len) {
			best = n;
			near = own;
		}
	}
	return near;
}

static int unknown_option(const char *group, const config_setting_t *s, struct reader *r)
{
	const char *file = config_setting_source_file(s), *name = config_setting_name(s);
	const char *near = option_near(group, name);

	return err_set(r->err, -EINVAL, "%s:%u: unknown option '%s'%s%s%s", file ? file : r->file,
		config_setting_source_line(s), name, near ? "; did you mean '" : "",
		near ? near : "", near ? "'?" : "");
}

static int check_names(const config_setting_t *group, const char *path, struct reader *r)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);

		if (!option_find(path, config_setting_name(s)))
			return unknown_option(path, s, r);
	}
	return 0;
}

static int missing(const struct option *o, const config_setting_t *group, struct reader *r)
{
	const char *file = config_setting_source_file(group);
	unsigned line = config_setting_source_line(group); /* 0: the file as a whole */

	return err_set(r->err, -EINVAL, "%s:%u: option '%s' is missing", file ? file : r->file,
		line ? line : 1, o->path);
}

/* Fills base from the options directly in group (NULL: it is not in the file). */
static int read_group(const config_setting_t *group, const char *path, void *base, struct reader *r)
{
	int code;

	if (group && !config_setting_is_group(group))
		return conf_refuse(r, group, "must be a group: { … }");
	code = group ? check_names(group, path, r) : 0;
	for (size_t i = 0; i < OPTION_COUNT && code == 0; i++) {
		const struct option *o = &options[i];
		const char *dot = strrchr(o->path, '.');
		const config_setting_t *s;

		if (!o->set || !option_is_in(o, path))
			continue;
		s = group ? config_setting_get_member(group, dot ? dot + 1 : o->path) : NULL;
		if (s)
			code = o->set(o, s, (char *)base + o->offset, r);
		else if (o->def)
			code = set_default(o, (char *)base + o->offset, r);
		else
			code = missing(o, group, r);
	}
	return code;
}

/* A list of groups: one struct of `size` bytes for each. */
static int read_list(const config_setting_t *list, const char *path, size_t size, void **ret,
	size_t *ret_count, struct reader *r)
{
	int n = config_setting_length(list), code = 0;

	if (!config_setting_is_list(list))
		return conf_refuse(r, list, "must be a list of groups: ( { … }, { … } )");
	*ret = calloc((size_t)n + 1, size);
	if (!*ret)
		return conf_no_memory(r);
	*ret_count = (size_t)n;
	for (int i = 0; i < n && code == 0; i++)
		code = read_group(config_setting_get_elem(list, (unsigned)i), path,
			(char *)*ret + (size_t)i * size, r);
	return code;
}

/* Of these, less is better: unless it is said otherwise, they count against a backend. */
static bool weighs_against(const char *name)
{
	return !strcmp(name, "allocated_capacity") || !strcmp(name, "volume_number");
}

static int set_weighers(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	int code = read_list(
		s, o->path, sizeof *r->conf->weighers, (void **)field, &r->conf->weigher_count, r);

	for (size_t i = 0; code == 0 && i < r->conf->weigher_count; i++) {
		struct conf_weigher *w = &r->conf->weighers[i];
		const config_setting_t *group = config_setting_get_elem(s, (unsigned)i);

		if (weighs_against(w->name) && !config_setting_get_member(group, "multiplier"))
			w->multiplier = -1;
	}
	return code;
}

/* Each would take the other's volumes for images that nobody owns, and --check would say of them to remove them. */
static bool share_place(const struct backend_conf *a, const struct backend_conf *b)
{
	if (strcmp(a->driver, b->driver) != 0)
		return false;
	if (!strcmp(a->driver, "local"))
		return !strcmp(a->path, b->path);
	return !strcmp(a->ceph_conf, b->ceph_conf) && !strcmp(a->pool, b->pool) &&
	       !strcmp(a->namespace, b->namespace);
}

static int check_places(const config_setting_t *list, struct reader *r)
{
	const struct backend_conf *all = r->conf->backends;

	for (size_t i = 0; i < r->conf->backend_count; i++)
		for (size_t j = 0; j < i; j++) {
			const config_setting_t *s = config_setting_get_elem(list, (unsigned)i);
			const char *file = config_setting_source_file(s);

			if (share_place(&all[i], &all[j]))
				return err_set(r->err, -EINVAL,
					"%s:%u: backend '%s' is where '%s' is: give it another %s",
					file ? file : r->file, config_setting_source_line(s),
					all[i].name, all[j].name,
					strcmp(all[i].driver, "local") ? "pool or namespace"
								       : "path");
		}
	return 0;
}

static int set_backends(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	int code;

	if (config_setting_is_list(s) && config_setting_length(s) == 0)
		return conf_refuse(r, s, "must have at least one backend");
	code = read_list(
		s, o->path, sizeof *r->conf->backends, (void **)field, &r->conf->backend_count, r);
	return code < 0 ? code : check_places(s, r);
}

static int set_types(
	const struct option *o, const config_setting_t *s, void *field, struct reader *r)
{
	if (config_setting_is_array(s) && config_setting_length(s) == 0)
		return 0; /* [ ] and ( ) alike */
	return read_list(
		s, o->path, sizeof *r->conf->types, (void **)field, &r->conf->type_count, r);
}

/* What no option tells: a backend without a zone of its own is in the default zone. */
static int fill_backends(struct reader *r)
{
	const char *crash_at = getenv("VOLFS_TEST_CRASH_AT");

	for (size_t i = 0; i < r->conf->backend_count; i++) {
		char **zone = &r->conf->backends[i].zone;

		r->conf->backends[i].crash_at = crash_at ? strtol(crash_at, NULL, 10) : 0;
		if (**zone)
			continue;
		free(*zone);
		*zone = strdup(r->conf->default_zone);
		if (!*zone)
			return conf_no_memory(r);
	}
	return 0;
}

static int fill(const config_t *config, struct reader *r)
{
	static const char *const groups[] = { "quota", "scheduler", "limits" };
	int code = read_group(config_root_setting(config), "", r->conf, r);

	for (size_t i = 0; i < sizeof groups / sizeof groups[0] && code == 0; i++)
		code = read_group(config_lookup(config, groups[i]), groups[i], r->conf, r);
	return code < 0 ? code : fill_backends(r);
}

static int read_failed(const config_t *config, struct reader *r, int error)
{
	const char *file = config_error_file(config);

	if (config_error_type(config) == CONFIG_ERR_PARSE)
		return err_set(r->err, -EINVAL, "%s:%d: %s", file ? file : r->file,
			config_error_line(config), config_error_text(config));
	if (!error)
		error = EIO;
	return err_set(
		r->err, -error, "cannot read the configuration '%s': %s", r->file, strerror(error));
}

/* text NULL: from the file */
static int read_config(const char *file, const char *text, struct conf *ret, struct err *err)
{
	struct reader r = { .file = file, .conf = ret, .err = err };
	config_t config;
	int code;

	*ret = (struct conf){ 0 };
	config_init(&config);
	errno = 0;
	if (text ? config_read_string(&config, text) : config_read_file(&config, file))
		code = fill(&config, &r);
	else
		code = read_failed(&config, &r, errno);
	config_destroy(&config);
	if (code < 0)
		conf_release(ret);
	return code;
}

int conf_read(const char *file, struct conf *ret, struct err *err)
{
	return read_config(file, NULL, ret, err);
}

/* DIR and DIR/disk; what is there already is used as it is. */
static int make_dirs(const char *dir, struct err *err)
{
	CLEANUP_FREE char *disk = NULL;

	if (asprintf(&disk, "%s/disk", dir) < 0) {
		disk = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return err_set(
			err, -errno, "cannot make the directory '%s': %s", dir, strerror(errno));
	if (mkdir(disk, 0700) < 0 && errno != EEXIST)
		return err_set(
			err, -errno, "cannot make the directory '%s': %s", disk, strerror(errno));
	return 0;
}

static void add_escaped(struct buf *b, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_addc(b, '\\');
		buf_addc(b, *text);
	}
}

int conf_local(const char *dir, bool make, struct conf *ret, struct err *err)
{
	CLEANUP(buf_release) struct buf text = { 0 };
	CLEANUP_FREE char *path = NULL;
	int code = make ? make_dirs(dir, err) : 0;

	if (code < 0)
		return code;
	path = realpath(dir, NULL);
	if (!path)
		return err_set(
			err, -errno, "cannot use the directory '%s': %s", dir, strerror(errno));
	buf_adds(&text,
		"quota = { volumes = -1; size = -1; per_volume_size = -1; snapshots = -1; backups = -1; "
		"backup_size = -1; groups = -1; trash_size = -1; };\ndatabase = \"");
	add_escaped(&text, path);
	buf_adds(&text,
		"/volfs.db\";\nbackends = ( { name = \"local\"; driver = \"local\"; path = \"");
	add_escaped(&text, path);
	buf_adds(&text, "/disk\"; } );\n");
	if (buf_failed(&text))
		return err_set(err, -ENOMEM, "out of memory");
	return read_config(dir, buf_text(&text), ret, err);
}

static void release_backend(struct backend_conf *b)
{
	char *owned[] = { b->name, b->driver, b->zone, b->ceph_conf, b->ceph_user, b->pool,
		b->namespace, b->data_pool, b->features, b->direct, b->path, b->filter_function,
		b->goodness_function };

	for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
		free(owned[i]);
	json_decref(b->capabilities);
}

static void release_type(struct conf_type *t)
{
	free(t->name);
	free(t->description);
	conf_free_texts(t->extra_specs);
	conf_free_texts(t->qos);
	conf_free_texts(t->access);
}

void conf_release(struct conf *c)
{
	for (size_t i = 0; i < c->weigher_count; i++)
		free(c->weighers[i].name);
	for (size_t i = 0; i < c->backend_count; i++)
		release_backend(&c->backends[i]);
	for (size_t i = 0; i < c->type_count; i++)
		release_type(&c->types[i]);
	free(c->weighers);
	free(c->backends);
	free(c->types);
	free(c->default_type);
	conf_free_texts(c->draft_patterns);
	conf_free_texts(c->projects);
	conf_free_texts(c->filters);
	free(c->database);
	free(c->default_zone);
	free(c->admin_group);
	free(c->debug);
	free(c->new_group);
	*c = (struct conf){ 0 };
}

bool conf_option(size_t i, const char **ret_path, const char **ret_default, const char **ret_help)
{
	if (i >= OPTION_COUNT)
		return false;
	*ret_path = options[i].path;
	*ret_default = options[i].def ? options[i].def : "";
	*ret_help = options[i].help;
	return true;
}
