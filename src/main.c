/* Arguments and configuration; then the supervisor, or the server that a supervisor starts. */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "check.h"
#include "config.h"
#include "server.h"
#include "supervisor.h"
#include "version.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEATHS = 5 };

static const char default_config[] = "/etc/volfs/volfs.conf";

enum action {
	RUN,
	HELP,
	HELP_CONFIG,
	VERSION,
	CHECK_CONFIG,
	CHECK,
	REPAIR,
};

struct arguments {
	enum action action;
	const char *config, *local, *options, *source, *mountpoint, *deaths;
	const char *server; /* the descriptors */
	bool foreground;
	char *config_path, *local_path; /* absolute; owned */
	unsigned max_deaths;
};

/* One row per option: what --help says, and what is done with it. to: where the argument, or true,
 * or the action goes. */
enum kind { FLAG, TEXT, ACTION, IGNORED };
static const struct row {
	const char *name, *argument;
	int letter;
	enum kind kind;
	size_t to;
	enum action action;
	const char *help; /* NULL: not for people */
} rows[] = {
#define TO(field) offsetof(struct arguments, field)
	{ "config", "FILE", 'c', TEXT, TO(config), RUN,
		"the configuration (/etc/volfs/volfs.conf)" },
	{ "foreground", NULL, 'f', FLAG, TO(foreground), RUN, "stay in front; log to stderr" },
	{ "local", "DIR", 'l', TEXT, TO(local), RUN, "no configuration: sparse files under DIR" },
	{ "options", "OPTIONS", 'o', TEXT, TO(options), RUN,
		"mount options, by comma, as mount(8) gives them" },
	{ "restarts", "N", 'r', TEXT, TO(deaths), RUN,
		"give up after N deaths in a minute (5; 0: never)" },
	{ "check", NULL, 'C', ACTION, 0, CHECK,
		"compare catalogue and storage, beside a daemon too" },
	{ "repair", NULL, 'R', ACTION, 0, REPAIR,
		"the same without one; mend what is unambiguous" },
	{ "check-config", NULL, 'K', ACTION, 0, CHECK_CONFIG,
		"only read the configuration; say what is wrong" },
	{ "help-config", NULL, 'H', ACTION, 0, HELP_CONFIG,
		"every option of the configuration, with its default" },
	{ "help", NULL, 'h', ACTION, 0, HELP, "this" },
	{ "version", NULL, 'V', ACTION, 0, VERSION, "the version" },
	{ "server", "FDS", 'S', TEXT, TO(server), RUN, NULL },
	{ "types", "TYPE", 't', IGNORED, 0, RUN,
		NULL }, /* the last three: mount(8) says them to its helpers */
	{ "no-mtab", NULL, 'n', IGNORED, 0, RUN, NULL },
	{ "sloppy", NULL, 's', IGNORED, 0, RUN, NULL },
	{ "verbose", NULL, 'v', IGNORED, 0, RUN, NULL },
#undef TO
};
enum { ROWS = sizeof rows / sizeof *rows };

static void usage(FILE *to)
{
	(void)fputs(
		"usage: volfs [-c FILE] [-f] [-o OPTIONS] [SOURCE] MOUNTPOINT\n"
		"       volfs --local DIR MOUNTPOINT\n\n"
		"A directory of block volumes: write a spec into MOUNTPOINT/new, get a volume.\n"
		"SOURCE is shown in /proc/mounts; if it is a path, it is the configuration file.\n\n",
		to);
	for (size_t i = 0; i < ROWS; i++) {
		char left[40];

		if (!rows[i].help)
			continue;
		(void)snprintf(left, sizeof left, "-%c, --%s%s%s", rows[i].letter, rows[i].name,
			rows[i].argument ? " " : "", rows[i].argument ? rows[i].argument : "");
		(void)fprintf(to, "  %-24s %s\n", left, rows[i].help);
	}
}

static void usage_of_config(void)
{
	const char *path, *def, *help;

	for (size_t i = 0; conf_option(i, &path, &def, &help); i++)
		(void)printf("%s%s%s\n        %s\n", path, def ? " = " : "", def ? def : "",
			help ? help : "");
}

static void take_option(struct arguments *a, const struct row *row, const char *value)
{
	char *base = (char *)a;

	if (row->kind == FLAG)
		*(bool *)(void *)(base + row->to) = true;
	else if (row->kind == TEXT)
		*(const char **)(void *)(base + row->to) = value;
	else if (row->kind == ACTION)
		a->action = row->action;
}

static int parse_options(int argc, char **argv, struct arguments *a)
{
	struct option option[ROWS + 1] = { 0 };
	char letters[2 * ROWS + 1];
	size_t n = 0;
	int letter;

	for (size_t i = 0; i < ROWS; i++) {
		option[i].name = rows[i].name;
		option[i].has_arg = rows[i].argument ? required_argument : no_argument;
		option[i].val = rows[i].letter;
		letters[n++] = (char)rows[i].letter;
		if (rows[i].argument)
			letters[n++] = ':';
	}
	letters[n] = '\0';
	while ((letter = getopt_long(argc, argv, letters, option, NULL)) != -1) {
		size_t i = 0;

		while (i < ROWS && rows[i].letter != letter)
			i++;
		if (i == ROWS) /* getopt has said what is wrong */
			return -EINVAL;
		take_option(a, &rows[i], optarg);
	}
	return 0;
}

/* What stands without an option: [SOURCE] MOUNTPOINT. */
static int parse_operands(int argc, char **argv, struct arguments *a, struct err *err)
{
	int n = argc - optind;

	if (a->action != RUN && n == 0)
		return 0;
	if (n < 1)
		return err_set(err, -EINVAL, "where to mount? see volfs --help");
	if (n > 2)
		return err_set(err, -EINVAL, "'%s' is one word too many, see volfs --help",
			argv[optind + 2]);
	a->mountpoint = argv[argc - 1];
	if (n == 2)
		a->source = argv[optind];
	return 0;
}

static int parse_deaths(struct arguments *a, struct err *err)
{
	char *end;
	unsigned long n;

	a->max_deaths = MAX_DEATHS;
	if (!a->deaths)
		return 0;
	errno = 0;
	n = strtoul(a->deaths, &end, 10);
	if (errno || end == a->deaths || *end || n > 64)
		return err_set(err, -EINVAL, "--restarts wants a number from 0 to 64, not '%s'",
			a->deaths);
	a->max_deaths = (unsigned)n;
	return 0;
}

/* The server is started from / and after a change of directory: what it is given is absolute. */
static int absolute(const char *path, char **ret, struct err *err)
{
	CLEANUP_FREE char *here = NULL;

	if (path[0] == '/')
		*ret = strdup(path);
	else if (!(here = getcwd(NULL, 0)) || asprintf(ret, "%s/%s", here, path) < 0)
		*ret = NULL;
	return *ret ? 0 : err_set(err, -ENOMEM, "cannot find out the path of '%s'", path);
}

static int settle_paths(struct arguments *a, struct err *err)
{
	if (!a->config && !a->local && a->source && strchr(a->source, '/'))
		a->config = a->source;
	if (a->config && a->local)
		return err_set(err, -EINVAL, "--config and --local exclude each other");
	if (a->local)
		return absolute(a->local, &a->local_path, err);
	return absolute(a->config ? a->config : default_config, &a->config_path, err);
}

/* Here already, so that what is wrong in the file is said to whoever typed the command, before
 * anything is mounted. */
static int read_config(const struct arguments *a, struct conf *ret, struct err *err)
{
	if (a->local_path)
		return conf_local(a->local_path, a->action == RUN, ret, err);
	return conf_read(a->config_path, ret, err);
}

static int supervise(const struct arguments *a, const struct conf *conf)
{
	struct supervisor_args args = {
		.config = a->config_path,
		.local = a->local_path,
		.source = a->source,
		.mountpoint = a->mountpoint,
		.options = a->options,
		.foreground = a->foreground,
		.max_deaths = a->max_deaths,
		.database = conf->database,
	};

	log_open(LOG_TO_STDERR, conf->debug);
	return supervisor_run(&args);
}

static int serve(const struct arguments *a, struct err *err)
{
	struct server_args args = {
		.config = a->config_path,
		.local = a->local_path,
		.mountpoint = a->mountpoint,
		.foreground = a->foreground,
	};

	if (sscanf(a->server, "%d,%d,%d,%d", &args.fuse_fd, &args.keep_fd, &args.ready_fd,
		    &args.lock_fd) != 4)
		return err_set(err, -EINVAL, "--server is for the supervisor alone");
	return server_run(&args);
}

static int carry_out(const struct arguments *a, const struct conf *conf)
{
	if (a->action == RUN)
		return supervise(a, conf);
	if (a->action == CHECK_CONFIG)
		return EXIT_SUCCESS;
	log_open(LOG_TO_STDERR, conf->debug);
	return check_run(conf, a->action == REPAIR);
}

/* The exit status, or -errno with the sentence. */
static int run(struct arguments *a, struct err *err)
{
	struct conf conf;
	int r = settle_paths(a, err);

	if (r == 0)
		r = parse_deaths(a, err);
	if (r == 0 && a->server)
		return serve(a, err);
	if (r == 0)
		r = read_config(a, &conf, err);
	if (r < 0)
		return r;
	r = carry_out(a, &conf);
	conf_release(&conf);
	return r;
}

static bool checks(const struct arguments *a)
{
	return a->action == CHECK || a->action == REPAIR;
}

int main(int argc, char **argv)
{
	struct arguments a = { 0 };
	struct err err = { 0 };
	int r = parse_options(argc, argv, &a);

	(void)umask(077); /* the catalogue tells of everybody's volumes */
	if (r < 0)
		return 2;
	if (a.action == HELP)
		usage(stdout);
	else if (a.action == HELP_CONFIG)
		usage_of_config();
	else if (a.action == VERSION)
		(void)puts("volfs " VOLFS_VERSION);
	else if ((r = parse_operands(argc, argv, &a, &err)) == 0)
		r = run(&a, &err);
	if (r < 0)
		(void)fprintf(stderr, "volfs: %s\n", err.text);
	free(a.config_path);
	free(a.local_path);
	return r >= 0 ? r : checks(&a) ? CHECK_BLIND : EXIT_FAILURE;
}
