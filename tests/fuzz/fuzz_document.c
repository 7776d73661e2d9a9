/*
 * Any bytes as a document for volfs-schedule. Held: a failure has a plain sentence and writes nothing; a success writes
 * one JSON document, with a result for each request.
 */
#include "base/text.h"
#include "schedule/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int scratch(const void *bytes, size_t len)
{
	int fd = memfd_create("document", MFD_CLOEXEC);

	if (fd < 0 || (len && write(fd, bytes, len) != (ssize_t)len) || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	return fd;
}

static void check_results(int fd, const uint8_t *data, size_t len)
{
	json_t *in = json_loadb((const char *)data, len, 0, NULL), *out;

	if (lseek(fd, 0, SEEK_SET) < 0)
		abort();
	out = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
	assert(in && out);
	assert(json_array_size(json_object_get(out, "results")) ==
		json_array_size(json_object_get(in, "requests")));
	json_decref(in);
	json_decref(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int in = scratch(data, len), out = scratch("", 0);
	struct err err = { 0 };
	int r = schedule(in, out, &err);

	assert((r < 0) == (err.text[0] != '\0'));
	assert(text_is_plain(err.text, strlen(err.text)));
	if (r == 0)
		check_results(out, data, len);
	else
		assert(lseek(out, 0, SEEK_END) == 0);
	close(in);
	close(out);
	return 0;
}
