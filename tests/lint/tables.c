/*
 * Prints the tables of the code, one row a line, for the lint that compares them with etc/ and doc/:
 * "option<TAB>path<TAB>default<TAB>help" and "key<TAB>name<TAB>help". With a file: reads it as a configuration first.
 */
#include "config.h"
#include "spec.h"

#include <stdio.h>

static int read_configuration(const char *file)
{
	struct conf conf = { 0 };
	struct err err = { 0 };
	int code = conf_read(file, &conf, &err);

	if (code < 0)
		(void)fprintf(stderr, "%s\n", err.text);
	conf_release(&conf);
	return code;
}

int main(int argc, char **argv)
{
	const char *name, *value, *help;

	if (argc > 1 && read_configuration(argv[1]) < 0)
		return 1;
	for (size_t i = 0; conf_option(i, &name, &value, &help); i++)
		printf("option\t%s\t%s\t%s\n", name, value, help);
	for (size_t i = 0; spec_key(i, &name, &help); i++)
		printf("key\t%s\t%s\n", name, help);
	return 0;
}
