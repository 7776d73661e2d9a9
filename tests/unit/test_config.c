#include "config.h"
#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#define BACKEND "backends = ( { name = \"a\"; driver = \"local\"; path = \"/d\"; } );\n"

static char file[64];

/* Reads text as a configuration file. */
static int conf_of(const char *text, struct conf *ret, struct err *err)
{
	FILE *f;
	int fd, code;

	strcpy(file, "/tmp/volfs-conf-XXXXXX");
	fd = mkstemp(file);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	code = conf_read(file, ret, err);
	unlink(file);
	return code;
}

static void the_smallest_file_has_every_default(void **state)
{
	struct conf c;

	assert_int_equal(conf_of(BACKEND, &c, NULL), 0);
	assert_string_equal(c.database, "/var/lib/volfs/volfs.db");
	assert_int_equal(c.workers, 16);
	assert_string_equal(c.default_zone, "default");
	assert_string_equal(c.admin_group, "disk");
	assert_int_equal(c.quota.max[QUOTA_VOLUMES], 10);
	assert_int_equal(c.quota.max[QUOTA_SIZE], 1000 * GIB);
	assert_int_equal(c.quota.max[QUOTA_PER_VOLUME_SIZE], SIZE_LIMIT_NONE);
	assert_string_equal(c.filters[0], "availability_zone");
	assert_string_equal(c.filters[1], "capacity");
	assert_string_equal(c.filters[2], "capabilities");
	assert_null(c.filters[3]);
	assert_int_equal(c.weigher_count, 1);
	assert_string_equal(c.weighers[0].name, "capacity");
	assert_true(c.weighers[0].multiplier == 1.0);
	assert_int_equal(c.attempts, 3);
	assert_string_equal(c.debug, "");
	assert_int_equal(c.stats_interval, 10);
	assert_int_equal(c.trash_delay, 86400);
	assert_int_equal(c.history_events, 1000000);
	assert_int_equal(c.history_age, 30 * 86400);
	assert_int_equal(c.io_memory, 256 * MIB);
	assert_int_equal(c.snapshot_timeout, 60);
	assert_int_equal(c.max_clone_depth, 5);
	assert_int_equal(c.copies, 3);
	assert_true(c.clone_in_same_zone);
	assert_int_equal(c.volume_mode, 0755);
	assert_string_equal(c.new_group, "");
	assert_string_equal(c.draft_patterns[0], ".*");
	assert_string_equal(c.draft_patterns[8], "tmp.??????????");
	assert_string_equal(c.draft_patterns[9], "4913");
	assert_null(c.draft_patterns[10]);
	assert_null(c.projects[0]);
	assert_int_equal(c.max_drafts, 64);
	assert_int_equal(c.max_blocked, 1024);
	assert_int_equal(c.max_requests, 256);
	assert_int_equal(c.queue_max, 10000);
	conf_release(&c);
}

static void a_backend_has_defaults_too(void **state)
{
	const struct backend_conf *b;
	struct conf c;

	assert_int_equal(
		conf_of("default_zone = \"west\"; backends = ( { name = \"ssd\"; driver = \"rbd\"; } );",
			&c, NULL),
		0);
	b = &c.backends[0];
	assert_string_equal(b->zone, "west");
	assert_string_equal(b->ceph_conf, "/etc/ceph/ceph.conf");
	assert_string_equal(b->ceph_user, "admin");
	assert_string_equal(b->pool, "vols");
	assert_string_equal(b->namespace, "");
	assert_string_equal(b->data_pool, "");
	assert_string_equal(
		b->features, "layering,exclusive-lock,object-map,fast-diff,deep-flatten");
	assert_string_equal(b->direct, "auto");
	assert_int_equal(b->chunk_size, 4 * MIB);
	assert_true(b->reserved_percentage == 0);
	assert_true(b->max_over_subscription_ratio == 20.0);
	assert_true(b->thin);
	assert_int_equal(b->timeout, 30);
	conf_release(&c);
}

static void every_filter_and_weigher_has_its_name(void **state)
{
	static const char text[] = BACKEND
		"scheduler = { filters = [ \"availability_zone\", \"capacity\", \"capabilities\", \"same_backend\",\n"
		"  \"different_backend\", \"driver\", \"json\", \"ignore_attempted\" ];\n"
		"  weighers = ( { name = \"capacity\"; }, { name = \"allocated_capacity\"; }, { name = \"volume_number\"; },\n"
		"  { name = \"goodness\"; }, { name = \"stochastic\"; }, { name = \"chance\"; },\n"
		"  { name = \"volume_number\"; multiplier = 2; } ); };\n";
	static const double multiplier[] = { 1, -1, -1, 1, 1, 1, 2 };
	struct conf c;

	assert_int_equal(conf_of(text, &c, NULL), 0);
	assert_string_equal(c.filters[7], "ignore_attempted");
	assert_int_equal(c.weigher_count, COUNT(multiplier));
	for (size_t i = 0; i < c.weigher_count; i++)
		assert_true(c.weighers[i].multiplier == multiplier[i]);
	conf_release(&c);
}

static void everything_can_be_written(void **state)
{
	static const char text[] =
		"database = \"/x/volfs.db\"; workers = 32; default_zone = \"z\"; admin_group = \"wheel\";\n"
		"debug = \"engine,store\"; stats_interval = 5; trash_delay = \"12h\"; volume_mode = \"0700\";\n"
		"new_group = \"users\"; draft_patterns = [ \"*.draft\" ]; projects = [ \"web\", \"db\" ];\n"
		"quota = { volumes = -1; size = \"2T\"; per_volume_size = \"512M\"; };\n"
		"scheduler = { filters = [ ]; weighers = ( { name = \"capacity\"; multiplier = -1; } ); attempts = 1; };\n"
		"limits = { drafts = 1; blocked = 2; requests = 3; queue = 4; };\n"
		"snapshot_timeout = 9; max_clone_depth = 0; copies = 64; clone_in_same_zone = false;\n"
		"history_events = 1000; history_age = 0; io_memory = -1;\n"
		"backends = ( { name = \"a\"; driver = \"rbd\"; ceph_conf = \"/c\"; ceph_user = \"u\"; pool = \"p\";\n"
		"  namespace = \"n\"; zone = \"y\"; chunk_size = \"64K\"; features = \"layering\"; data_pool = \"d\";\n"
		"  reserved_percentage = 12.5; max_over_subscription_ratio = \"auto\"; thin = false; timeout = 3;\n"
		"  filter_function = \"volume.size < 7\"; goodness_function = \"100\";\n"
		"  capabilities = { i = 7; l = 5000000000L; f = 0.5; b = true; t = \"x\"; g = { a = [ 1, 2 ]; l = ( \"y\", { } ); }; };\n"
		"  direct = \"on\"; flatten = true; }, { name = \"b\"; driver = \"local\"; path = \"/p\"; } );\n";
	struct conf c;
	char *json;

	assert_int_equal(conf_of(text, &c, NULL), 0);
	assert_int_equal(c.workers, 32);
	assert_int_equal(c.trash_delay, 12 * 3600);
	assert_int_equal(c.history_events, 1000);
	assert_int_equal(c.history_age, 0);
	assert_int_equal(c.io_memory, SIZE_LIMIT_NONE);
	assert_int_equal(c.snapshot_timeout, 9);
	assert_int_equal(c.max_clone_depth, 0);
	assert_int_equal(c.copies, 64);
	assert_false(c.clone_in_same_zone);
	assert_true(c.backends[0].flatten);
	assert_false(c.backends[1].flatten);
	assert_int_equal(c.volume_mode, 0700);
	assert_string_equal(c.draft_patterns[0], "*.draft");
	assert_null(c.draft_patterns[1]);
	assert_string_equal(c.projects[1], "db");
	assert_int_equal(c.quota.max[QUOTA_VOLUMES], SIZE_LIMIT_NONE);
	assert_int_equal(c.quota.max[QUOTA_SIZE], 2048 * GIB);
	assert_int_equal(c.quota.max[QUOTA_PER_VOLUME_SIZE], 512 * MIB);
	assert_null(c.filters[0]);
	assert_true(c.weighers[0].multiplier == -1.0);
	assert_int_equal(c.queue_max, 4);
	assert_int_equal(c.backend_count, 2);
	assert_int_equal(c.backends[0].chunk_size, 65536);
	assert_true(c.backends[0].reserved_percentage == 12.5);
	assert_true(c.backends[0].max_over_subscription_ratio == 0);
	assert_false(c.backends[0].thin);
	assert_string_equal(c.backends[0].zone, "y");
	assert_string_equal(c.backends[1].zone, "z");
	assert_string_equal(c.backends[1].path, "/p");
	assert_string_equal(c.backends[0].filter_function, "volume.size < 7");
	assert_string_equal(c.backends[0].goodness_function, "100");
	assert_string_equal(c.backends[1].filter_function, "");
	json = json_dumps(c.backends[0].capabilities, 0);
	assert_string_equal(json,
		"{\"i\": 7, \"l\": 5000000000, \"f\": 0.5, \"b\": true, \"t\": \"x\", "
		"\"g\": {\"a\": [1, 2], \"l\": [\"y\", {}]}}");
	free(json);
	assert_int_equal(json_object_size(c.backends[1].capabilities), 0);
	conf_release(&c);
}

/* ret < 0: it is refused. */
static long delay_of(const char *text)
{
	struct conf c;
	char all[256];
	long delay;

	(void)snprintf(all, sizeof all, BACKEND "trash_delay = %s;", text);
	if (conf_of(all, &c, NULL) < 0)
		return -1;
	delay = c.trash_delay;
	conf_release(&c);
	return delay;
}

static void a_delay_has_a_unit(void **state)
{
	static const struct {
		const char *text;
		long delay;
	} all[] = {
		{ "0", 0 },
		{ "90", 90 },
		{ "2147483647", INT_MAX },
		{ "2147483648L", -1 },
		{ "\"0\"", 0 },
		{ "\"90\"", 90 },
		{ "\"90s\"", 90 },
		{ "\"30m\"", 1800 },
		{ "\"12h\"", 43200 },
		{ "\"7d\"", 604800 },
		{ "\"24855d\"", 24855L * 86400 },
		{ "\"24856d\"", -1 },
		{ "\"2147483648\"", -1 },
		{ "\"99999999999999999999\"", -1 },
		{ "\"\"", -1 },
		{ "\"d\"", -1 },
		{ "\"-1d\"", -1 },
		{ "\"+1d\"", -1 },
		{ "\" 1d\"", -1 },
		{ "\"1 d\"", -1 },
		{ "\"1d \"", -1 },
		{ "\"1dd\"", -1 },
		{ "\"1.5h\"", -1 },
		{ "\"1D\"", -1 },
		{ "\"0x10\"", -1 },
		{ "true", -1 },
	};

	for (size_t i = 0; i < COUNT(all); i++)
		if (delay_of(all[i].text) != all[i].delay)
			fail_msg("%s: %ld", all[i].text, delay_of(all[i].text));
}

static void types_and_quotas_can_be_written(void **state)
{
	static const char text[] = BACKEND
		"default_type = \"fast\"; zone_fallback = true;\n"
		"types = ( { name = \"fast\"; description = \"quick, and dear\"; public = false;\n"
		"  extra_specs = [ \"speed=>= 5\", \"x=\", \"provisioning:max_vol_size=2T\" ];\n"
		"  qos = [ \"consumer=both\", \"total_iops_sec=9\" ]; access = [ \"web\", \"db\" ]; },\n"
		"  { name = \"slow\"; } );\n"
		"quota = { volumes = 0; size = \"1M\"; per_volume_size = \"2M\"; snapshots = 3; backups = 4;\n"
		"  backup_size = \"5M\"; groups = 6; trash_size = \"7M\"; };\n";
	const struct conf_type *t;
	struct conf c;

	assert_int_equal(conf_of(text, &c, NULL), 0);
	assert_string_equal(c.default_type, "fast");
	assert_true(c.zone_fallback);
	assert_int_equal(c.type_count, 2);
	t = &c.types[0];
	assert_string_equal(t->name, "fast");
	assert_string_equal(t->description, "quick, and dear");
	assert_false(t->is_public);
	assert_string_equal(t->extra_specs[0], "speed=>= 5");
	assert_string_equal(t->extra_specs[1], "x=");
	assert_null(t->extra_specs[3]);
	assert_string_equal(t->qos[1], "total_iops_sec=9");
	assert_null(t->qos[2]);
	assert_string_equal(t->access[1], "db");
	assert_null(t->access[2]);
	t = &c.types[1];
	assert_string_equal(t->description, "");
	assert_true(t->is_public);
	assert_null(t->extra_specs[0]);
	assert_null(t->qos[0]);
	assert_null(t->access[0]);
	for (uint64_t i = 0; i < QUOTA_COUNT; i++) {
		bool size = quota_resource_is_size((enum quota_resource)i);

		assert_int_equal(c.quota.max[i], size ? i * MIB : i);
	}
	conf_release(&c);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			conf_of(i ? BACKEND "types = [ ];" : BACKEND "types = ( );", &c, NULL), 0);
		assert_int_equal(c.type_count, 0);
		assert_string_equal(c.default_type, "");
		assert_false(c.zone_fallback);
		conf_release(&c);
	}
}

#define TYPE(more) BACKEND "types = ( { name = \"fast\"; " more " } );"
#define FIFTY	   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	const char *text, *sentence; /* after "FILE:" */
} bad[] = {
	{ "", "1: option 'backends' is missing" },
	{ "backends = ( );", "1: backends: must have at least one backend" },
	{ BACKEND "wrokers = 3;", "2: unknown option 'wrokers'; did you mean 'workers'?" },
	{ BACKEND "\nquota = {\n size = \"1G\";\n sise = 3; };",
		"5: unknown option 'sise'; did you mean 'size'?" },
	{ BACKEND "workers = 0;", "2: workers: must be 1 to 1024" },
	{ BACKEND "workers = 99999999999;", "2: workers: must be 1 to 1024" },
	{ BACKEND "workers = \"16\";", "2: workers: must be a whole number" },
	{ BACKEND "workers = 1.5;", "2: workers: must be a whole number" },
	{ BACKEND "workers = 1;\nworkers = 2;", "3: duplicate setting name" },
	{ BACKEND "workers = ;", "2: syntax error" },
	{ BACKEND "database = \"volfs.db\";", "2: database: must be an absolute path" },
	{ BACKEND "database = 3;", "2: database: must be text in double quotes" },
	{ BACKEND "default_zone = \"\";", "2: default_zone: must have 1 to 255 bytes" },
	{ BACKEND "trash_delay = -1;", "2: trash_delay: must be 0 to 2147483647" },
	{ BACKEND "history_events = 999;", "2: history_events: must be 1000 to 1000000000" },
	{ BACKEND "trash_delay = 1.5;", "2: trash_delay: must be a whole number" },
	{ BACKEND "trash_delay = \"1w\";",
		"2: trash_delay: must be seconds, or a number with s, m, h or d" },
	{ BACKEND "max_clone_depth = 65;", "2: max_clone_depth: must be 0 to 64" },
	{ BACKEND "volume_mode = 0755;", "2: volume_mode: must be octal text such as \"0755\"" },
	{ BACKEND "volume_mode = \"0999\";", "2: volume_mode: must be octal text" },
	{ BACKEND "volume_mode = \"7777\";", "2: volume_mode: must be \"0000\" to \"0777\"" },
	{ BACKEND "projects = \"web\";", "2: projects: must be a list such as" },
	{ BACKEND "projects = ( \"web\", 3 );", "2: projects: must be text in double quotes" },
	{ BACKEND "quota = 3;", "2: quota: must be a group" },
	{ BACKEND "quota = { size = 1000; };", "2: size: must be a size in double quotes" },
	{ BACKEND "quota = { size = \"1.5T\"; };", "2: size: size '1.5T' is not a whole number" },
	{ BACKEND "quota = { volumes = -2; };", "2: volumes: must be -1 to 2147483647" },
	{ BACKEND "quota = { snapshots = -2; };", "2: snapshots: must be -1 to 2147483647" },
	{ BACKEND "quota = { groups = 1.5; };", "2: groups: must be a whole number" },
	{ BACKEND "quota = { backup_size = 7; };", "2: backup_size: must be a size in double" },
	{ BACKEND "quota = {\n trash_size = \"x\"; };", "3: trash_size: size 'x' is not" },
	{ BACKEND "quota = { snapshot = 1; };",
		"2: unknown option 'snapshot'; did you mean 'snapshots'?" },
	{ BACKEND "zone_fallback = 1;", "2: zone_fallback: must be true or false" },
	{ BACKEND "default_type = 3;", "2: default_type: must be text in double quotes" },
	{ BACKEND "types = 3;", "2: types: must be a list of groups" },
	{ BACKEND "types = [ \"fast\" ];", "2: types: must be a list of groups" },
	{ BACKEND "types = (\n{ } );", "3: option 'types.name' is missing" },
	{ BACKEND "types = (\n{ name = \"a b\"; } );", "3: name: name 'a b' has white space" },
	{ BACKEND "types = ( { name = \"\"; } );", "2: name: a name must not be empty" },
	{ BACKEND "types = ( { name = \"fast\"; },\n{ name = \"slow\"; },\n{ name = \"fast\"; } );",
		"4: name: a second type has the name 'fast'" },
	{ TYPE("speed = 3;"), "2: unknown option 'speed'" },
	{ TYPE("public = 1;"), "2: public: must be true or false" },
	{ TYPE("description = 3;"), "2: description: must be text in double quotes" },
	{ TYPE("description = \"" FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY "\";"),
		"2: description: must have at most 255 bytes" },
	{ TYPE("extra_specs = \"a=b\";"), "2: extra_specs: must be a list such as" },
	{ TYPE("extra_specs = [ \"a=b\",\n\"c\" ];"),
		"3: extra_specs: must be \"key=value\", not 'c'" },
	{ TYPE("extra_specs = [ \"a b=c\" ];"), "2: extra_specs: the key 'a b' has more than" },
	{ TYPE("extra_specs = [ \"provisioning:min_vol_size=x\" ];"),
		"2: extra_specs: size 'x' is not" },
	{ TYPE("qos = [ \"consumer=front-end\",\n\n\"total_iops_sec=x\" ];"),
		"4: qos: total_iops_sec takes a whole number" },
	{ TYPE("qos = [ \"consumer=x\" ];"), "2: qos: consumer takes back-end, front-end or both" },
	{ TYPE("access = \"web\";"), "2: access: must be a list such as" },
	{ TYPE("access = [ \"web\",\n\"a/b\" ];"), "3: access: must be the name of a group" },
	{ TYPE("access = [ \"\" ];"), "2: access: must be the name of a group" },
	{ BACKEND "scheduler = { filters = [ \"capacity\",\n\"speed\" ]; };",
		"3: filters: there is no 'speed'" },
	{ BACKEND "scheduler = { weighers = [ \"capacity\" ]; };",
		"2: weighers: must be a list of groups" },
	{ BACKEND "scheduler = { weighers = ( { name = \"speed\"; } ); };",
		"2: name: there is no 'speed'" },
	{ BACKEND "scheduler = { weighers = ( { multiplier = 2; } ); };",
		"2: option 'scheduler.weighers.name' is missing" },
	{ BACKEND "scheduler = { attempts = 0; };", "2: attempts: must be 1 to 100" },
	{ BACKEND "limits = { drafts = 0; };", "2: drafts: must be 1 to 16384" },
	{ "backends = 3;", "1: backends: must be a list of groups" },
	{ "backends = ( 3 );", "1: backends: must be a group" },
	{ "backends = (\n{ driver = \"rbd\"; } );", "2: option 'backends.name' is missing" },
	{ "backends = (\n{ name = \"a\"; } );", "2: option 'backends.driver' is missing" },
	{ "backends = ( { name = \"a/b\"; driver = \"rbd\"; } );",
		"1: name: must have 1 to 255 bytes" },
	{ "backends = ( { name = \"a\"; driver = \"lvm\"; } );",
		"1: driver: there is no 'lvm', only rbd, local" },
	{ "backends = ( { name = \"a\"; driver = \"rbd\"; },\n { name = \"b\"; driver = \"rbd\"; },\n"
	  " { name = \"a\"; driver = \"rbd\"; } );",
		"3: name: a second backend has the name 'a'" },
	{ "backends = ( { name = \"a\"; driver = \"rbd\"; },\n { name = \"b\"; driver = \"rbd\"; namespace = \"n\"; },\n"
	  " { name = \"c\"; driver = \"rbd\"; data_pool = \"d\"; } );",
		"3: backend 'c' is where 'a' is: give it another pool or namespace" },
	{ "backends = ( { name = \"a\"; driver = \"local\"; path = \"/x\"; },\n { name = \"b\"; driver = \"local\"; path = \"/y\"; },\n"
	  " { name = \"c\"; driver = \"local\"; path = \"/y\"; } );",
		"3: backend 'c' is where 'b' is: give it another path" },
	{ "backends = ( { name = \"a\"; driver = \"rbd\"; foo = 1; } );",
		"1: unknown option 'foo'" },
	{ "backends = ( { name = \"a\"; driver = \"rbd\"; chunk_size = \"3M\"; } );",
		"1: chunk_size: must be a power of two, 4K to 32M" },
	{ "backends = ( { name = \"a\"; driver = \"rbd\"; chunk_size = \"64M\"; } );",
		"1: chunk_size: must be a power of two" },
	{ "backends = ( { name = \"a\"; driver = \"rbd\"; chunk_size = 4; } );",
		"1: chunk_size: must be a size in double quotes" },
	{ "backends = ( { name = \"a\"; driver = \"rbd\"; thin = 1; } );",
		"1: thin: must be true or false" },
	{ "backends = ( { name = \"a\"; driver = \"rbd\"; reserved_percentage = 101; } );",
		"1: reserved_percentage: must be 0 to 100" },
	{ "backends = ( { name = \"a\"; driver = \"rbd\"; max_over_subscription_ratio = 0.5; } );",
		"1: max_over_subscription_ratio: must be 1 to" },
	{ "backends = ( { name = \"a\"; driver = \"rbd\"; max_over_subscription_ratio = \"much\"; } );",
		"1: max_over_subscription_ratio: must be a number, or \"auto\"" },
	{ "backends = ( { name = \"a\"; driver = \"rbd\"; direct = \"maybe\"; } );",
		"1: direct: there is no 'maybe', only auto, on, off" },
	{ "backends = ( { name = \"a\"; driver = \"local\";\n filter_function = \"1 +\"; } );",
		"2: filter_function: " },
	{ "backends = ( { name = \"a\"; driver = \"local\";\n\n goodness_function = \")\"; } );",
		"3: goodness_function: column 1" },
	{ "backends = ( { name = \"a\"; driver = \"local\"; capabilities = 7; } );",
		"1: capabilities: must be a group" },
	{ "backends = ( { name = \"a\"; driver = \"local\"; capabilities = { a = \"\\xff\"; }; } );",
		"1: capabilities: its texts must be UTF-8" },
	{ "backends = ( { name = \"a\"; driver = \"local\"; path = \"disk\"; } );",
		"1: path: must be an absolute path" },
};

static void mistakes_are_named_by_file_and_line(void **state)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		static const struct conf nothing;
		struct err err = { 0 };
		struct conf c;
		size_t n;

		assert_int_equal(conf_of(bad[i].text, &c, &err), -EINVAL);
		assert_int_equal(err.code, -EINVAL);
		assert_memory_equal(&c, &nothing, sizeof c);
		n = strlen(file);
		if (strncmp(err.text, file, n) != 0 || err.text[n] != ':' ||
			strncmp(err.text + n + 1, bad[i].sentence, strlen(bad[i].sentence)) != 0)
			fail_msg("'%s' was answered: %s", bad[i].text, err.text);
	}
}

static void a_file_that_cannot_be_read_says_so(void **state)
{
	struct err err = { 0 };
	struct conf c;

	assert_int_equal(conf_read("/nonexistent/volfs.conf", &c, &err), -ENOENT);
	assert_non_null(strstr(err.text, "'/nonexistent/volfs.conf': No such file or directory"));
	assert_true(conf_read("/tmp", &c, &err) < 0);
}

/* The default of each option, written into a file, gives what leaving it out gives. */
static void every_default_can_stand_in_the_file(void **state)
{
	const char *path, *def, *help;
	size_t n;

	for (n = 0; conf_option(n, &path, &def, &help); n++) {
		const char *dot = strrchr(path, '.');
		char text[1000];
		struct err err = { 0 };
		struct conf c;

		assert_true(help[0]);
		if (!def[0] || !strncmp(path, "scheduler.weighers.", 19))
			continue;
		if (!strncmp(path, "backends.", 9))
			(void)snprintf(text, sizeof text,
				"backends = ( { name = \"a\"; driver = \"rbd\"; %s = %s; } );",
				dot + 1, def);
		else if (!strncmp(path, "types.", 6))
			(void)snprintf(text, sizeof text,
				BACKEND "types = ( { name = \"fast\"; %s = %s; } );", dot + 1, def);
		else if (dot)
			(void)snprintf(text, sizeof text, BACKEND "%.*s = { %s = %s; };",
				(int)(dot - path), path, dot + 1, def);
		else
			(void)snprintf(text, sizeof text, BACKEND "%s = %s;", path, def);
		if (conf_of(text, &c, &err) < 0)
			fail_msg("%s: %s", text, err.text);
		conf_release(&c);
	}
	assert_true(n > 40);
}

static void a_directory_alone_is_a_configuration(void **state)
{
	char dir[] = "/tmp/volfs-local-XXXXXX", inner[100], want[200], command[100];
	struct err err = { 0 };
	struct stat st;
	struct conf c;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(inner, sizeof inner, "%s/a \"b\\c", dir);
	for (int i = 0; i < 2; i++) { /* the second time it is there */
		assert_int_equal(conf_local(inner, true, &c, NULL), 0);
		(void)snprintf(want, sizeof want, "%s/volfs.db", inner);
		assert_string_equal(c.database, want);
		(void)snprintf(want, sizeof want, "%s/disk", inner);
		assert_string_equal(c.backends[0].path, want);
		assert_string_equal(c.backends[0].name, "local");
		assert_string_equal(c.backends[0].driver, "local");
		assert_int_equal(c.backend_count, 1);
		assert_int_equal(c.quota.max[QUOTA_VOLUMES], SIZE_LIMIT_NONE);
		assert_int_equal(c.quota.max[QUOTA_SIZE], SIZE_LIMIT_NONE);
		assert_int_equal(c.quota.max[QUOTA_PER_VOLUME_SIZE], SIZE_LIMIT_NONE);
		assert_int_equal(stat(want, &st), 0);
		assert_true(S_ISDIR(st.st_mode));
		conf_release(&c);
	}
	assert_int_equal(conf_local("/nonexistent/volfs", true, &c, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/volfs"));
	(void)snprintf(inner, sizeof inner, "%s/other", dir);
	assert_int_equal(conf_local(inner, false, &c, &err), -ENOENT);
	assert_int_equal(stat(inner, &st), -1);
	(void)snprintf(command, sizeof command, "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_file_has_every_default),
		cmocka_unit_test(a_backend_has_defaults_too),
		cmocka_unit_test(every_filter_and_weigher_has_its_name),
		cmocka_unit_test(everything_can_be_written),
		cmocka_unit_test(a_delay_has_a_unit),
		cmocka_unit_test(types_and_quotas_can_be_written),
		cmocka_unit_test(mistakes_are_named_by_file_and_line),
		cmocka_unit_test(a_file_that_cannot_be_read_says_so),
		cmocka_unit_test(every_default_can_stand_in_the_file),
		cmocka_unit_test(a_directory_alone_is_a_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
