/*
 * Any bytes as a configuration file. Held: a failure has a code and a sentence and leaves nothing;
 * a success leaves no error and every text that the rest of volfs relies on.
 */
#include "config.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
const char *__lsan_default_suppressions(void);

/* The scanner of libconfig 1.5 loses a string that it had read when the parser gave up: once, at
 * start. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig_yylex\nleak:strbuf_append\n";
}

static void check_values(const struct conf *c)
{
	assert(c->database && c->default_zone && c->admin_group && c->debug && c->new_group);
	assert(c->draft_patterns && c->projects && c->filters);
	assert(c->workers > 0 && c->attempts > 0 && c->trash_delay >= 0);
	assert(c->backend_count > 0);
	for (size_t i = 0; i < c->backend_count; i++) {
		const struct backend_conf *b = &c->backends[i];

		assert(b->name && b->name[0] && b->driver && b->zone && b->zone[0]);
		assert(b->pool && b->namespace && b->data_pool && b->features && b->direct &&
			b->path);
		assert(b->chunk_size && !(b->chunk_size & (b->chunk_size - 1)));
		for (size_t k = 0; k < i; k++)
			assert(strcmp(b->name, c->backends[k].name) != 0);
	}
	for (size_t i = 0; i < c->weigher_count; i++)
		assert(c->weighers[i].name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct conf nothing;
	static int fd = -1;
	char path[64];
	struct err err = { 0 };
	struct conf c;
	int code;

	/* other files are not ours to read */
	if (memmem(data, len, "@include", 8))
		return 0;
	if (fd < 0)
		fd = memfd_create("volfs.conf", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, data, len, 0) != (ssize_t)len)
		abort();
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	code = conf_read(path, &c, &err);
	assert(code <= 0 && err.code == code);
	assert((code < 0) == (err.text[0] != '\0'));
	if (code < 0)
		assert(!memcmp(&c, &nothing, sizeof c));
	else
		check_values(&c);
	conf_release(&c);
	return 0;
}
