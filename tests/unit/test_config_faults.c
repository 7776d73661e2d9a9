/* Memory that runs out while the configuration is read. */
#include "config.h"
#include "faults.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char text[] =
	"backends = ( { name = \"a\"; driver = \"local\"; path = \"/d\"; filter_function = \"1 < 2\";\n"
	"capabilities = { speed = \"fast\"; a = [ 1, 2 ]; }; } );\n"
	"default_type = \"fast\";\n"
	"types = ( { name = \"fast\"; description = \"quick\"; extra_specs = [ \"a=b\", \"c=\" ];\n"
	"qos = [ \"consumer=both\", \"total_iops_sec=9\" ]; access = [ \"web\" ]; },\n"
	"{ name = \"slow\"; } );\n"
	"scheduler = { weighers = ( { name = \"capacity\"; } ); };\n";

static long survives(const char *file, bool all_after)
{
	static const struct conf nothing;

	for (long n = 1;; n++) {
		struct err err = { 0 };
		struct conf c;
		int code;

		faults_begin(n, all_after);
		code = conf_read(file, &c, &err);
		if (!faults_end()) {
			assert_int_equal(code, 0);
			conf_release(&c);
			return n;
		}
		if (code != -ENOMEM)
			fail_msg("allocation %ld: %d %s", n, code, err.text);
		assert_int_equal(err.code, code);
		assert_string_equal(err.text, "out of memory");
		assert_memory_equal(&c, &nothing, sizeof c);
	}
}

static void reading(void **state)
{
	char file[] = "/tmp/volfs-conf-XXXXXX";
	int fd = mkstemp(file);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
	close(fd);
	assert_true(survives(file, false) > 60);
	assert_true(survives(file, true) > 60);
	unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
