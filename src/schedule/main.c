/* volfs-schedule: what volfs would choose, and why; a document of JSON in, one out. */
#include "base/buf.h"
#include "schedule/internal.h"
#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void usage(FILE *to)
{
	(void)fputs(
		"usage: volfs-schedule < DOCUMENT\n"
		"       volfs-schedule --match CAPABILITY REQUIREMENT\n"
		"       volfs-schedule --eval EXPRESSION [< VARIABLES]\n\n"
		"Which backend volfs would choose for each request of a JSON document, and why.\n\n"
		"  --match     does the capability (JSON, or else text) meet the requirement\n"
		"              of an extra spec: true or false\n"
		"  --eval      the value of a filter or goodness function, as JSON; variables\n"
		"              are {\"stats\": {…}, \"capabilities\": {…}, …}\n"
		"  -h, --help  this\n"
		"  --version   the version\n\n"
		"See volfs-schedule(1).\n",
		to);
}

static int run_match(char **words, struct err *err)
{
	json_t *capability = json_loads(words[0], JSON_DECODE_ANY, NULL);
	bool is = false;
	int r;

	if (!capability)
		capability = json_string(words[0]);
	if (!capability)
		return err_set(err, -EINVAL, "the capability is not UTF-8");
	r = match_json(capability, words[1], &is, err);
	json_decref(capability);
	if (r == 0)
		(void)puts(is ? "true" : "false");
	return r;
}

/* {"stats": {…}, "capabilities": {…}, "volume": {…}, "extra": {…}, "qos": {…}}, each may be left out */
static int check_variables(const json_t *json, struct err *err)
{
	const json_t *any;
	const struct field fields[] = {
		{ "stats", take_object, 0, false },
		{ "capabilities", take_object, 0, false },
		{ "volume", take_object, 0, false },
		{ "extra", take_object, 0, false },
		{ "qos", take_object, 0, false },
	};

	return fields_read(json, fields, sizeof fields / sizeof fields[0], &any, err);
}

/* Nothing is read for an expression without variables: nobody need give it an input. */
static int read_variables(const struct expr *e, struct facts **ret, struct err *err)
{
	struct text text = { 0 };
	json_t *json = NULL;
	int r;

	if (!expr_has_variables(e) || isatty(STDIN_FILENO))
		return 0;
	r = text_read(STDIN_FILENO, &text, err);
	while (r == 0 && text.pos < text.len && strchr(" \t\r\n", text.at[text.pos]))
		text.pos++;
	if (r == 0 && text.pos < text.len) {
		json = text_value(&text, err);
		r = json ? text_end(&text, err) : -EINVAL;
		r = r < 0 ? r : check_variables(json, err);
		r = r < 0 ? r : facts_new(json, ret, err);
		if (r < 0)
			(void)err_in(err, "the variables");
	}
	json_decref(json);
	text_release(&text);
	return r;
}

static int run_eval(char **words, struct err *err)
{
	struct facts *variables = NULL;
	struct expr *e = NULL;
	struct buf out = { 0 };
	struct fact value;
	int r = expr_new(words[0], &e, err);

	r = r < 0 ? r : expr_check(e, err);
	r = r < 0 ? r : read_variables(e, &variables, err);
	r = r < 0 ? r : expr_value(e, variables, &value, err);
	if (r == 0)
		fact_json(&value, &out);
	if (r == 0 && buf_failed(&out))
		r = err_set(err, -ENOMEM, "out of memory");
	if (r == 0)
		(void)puts(buf_text(&out));
	buf_release(&out);
	facts_free(variables);
	expr_free(e);
	return r;
}

static int run_document(char **words, struct err *err)
{
	if (isatty(STDIN_FILENO))
		return err_set(err, -EINVAL,
			"the document is read from standard input, see volfs-schedule --help");
	return schedule(STDIN_FILENO, STDOUT_FILENO, err);
}

static int run_help(char **words, struct err *err)
{
	usage(stdout);
	return 0;
}

static int run_version(char **words, struct err *err)
{
	(void)puts("volfs-schedule " VOLFS_VERSION);
	return 0;
}

/* A capability may begin with '-', so options are not looked for among the words. */
static const struct action {
	const char *option;
	int words;
	int (*run)(char **words, struct err *err);
} actions[] = {
	{ "--match", 2, run_match },
	{ "--eval", 1, run_eval },
	{ "--help", 0, run_help },
	{ "-h", 0, run_help },
	{ "--version", 0, run_version },
};

static int run(int argc, char **argv, struct err *err)
{
	if (argc < 2)
		return run_document(NULL, err);
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		if (strcmp(actions[i].option, argv[1]) != 0)
			continue;
		if (argc - 2 != actions[i].words)
			return err_set(err, -EINVAL,
				"%s takes %d words, not %d, see volfs-schedule --help", argv[1],
				actions[i].words, argc - 2);
		return actions[i].run(argv + 2, err);
	}
	return err_set(err, -EINVAL, "what is '%s'? see volfs-schedule --help", argv[1]);
}

int main(int argc, char **argv)
{
	struct err err = { 0 };
	int r = run(argc, argv, &err);

	if (r == 0 && fflush(stdout) != 0)
		r = err_set(&err, -EIO, "cannot write the result: %s", strerror(errno));
	if (r < 0)
		(void)fprintf(stderr, "volfs-schedule: %s\n", err.text);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
