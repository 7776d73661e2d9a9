/*
 * The drivers' conformance tests: driver_tests CONF DIR [GROUP…], started by driver.sh on a cluster of its own.
 * `driver_tests CONF DIR child …` is another process that a test needs (rig.c).
 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(void);
} groups[] = {
	{ "same", same_tests },
	{ "format", format_tests },
	{ "qos", qos_tests },
	{ "clone", clone_tests },
	{ "crash", crash_tests },
	{ "clone-crash", clone_crash_tests },
	{ "snap", snap_tests },
	{ "images", images_tests },
	{ "snap-crash", snap_crash_tests },
	{ "trouble", trouble_tests },
};

static int connect_admin(void)
{
	if (rados_create(&rig.admin, "admin") < 0 ||
		rados_conf_read_file(rig.admin, rig.ceph_conf) < 0 || rados_connect(rig.admin) < 0)
		return -1;
	if (rados_ioctx_create(rig.admin, "vols", &rig.vols) < 0 ||
		rados_ioctx_create(rig.admin, "data", &rig.data) < 0)
		return -1;
	return 0;
}

static int run_groups(int argc, char **argv)
{
	int failed = 0;

	for (size_t i = 0; i < COUNT(groups); i++) {
		bool wanted = argc == 0;

		for (int k = 0; k < argc; k++)
			wanted |= !strcmp(argv[k], groups[i].name);
		if (wanted)
			failed += groups[i].run();
	}
	return failed;
}

int main(int argc, char **argv)
{
	int r;

	if (argc < 3) {
		(void)fprintf(stderr, "usage: driver_tests CONF DIR [GROUP…]\n");
		return 2;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	rig.program = argv[0];
	rig.ceph_conf = argv[1];
	rig.dir = argv[2];
	rig.full = getenv("VOLFS_TEST_FULL") != NULL;
	(void)setenv("CONF", rig.ceph_conf, 1);
	(void)setenv("DIR", rig.dir, 1);
	if (connect_admin() < 0) {
		(void)fprintf(stderr,
			"driver_tests: cannot connect by '%s' to pools vols and data\n",
			rig.ceph_conf);
		return 2;
	}
	if (argc > 4 && !strcmp(argv[3], "child"))
		return rig_child_main(argc - 4, argv + 4);
	r = run_groups(argc - 3, argv + 3);
	rados_ioctx_destroy(rig.vols);
	rados_ioctx_destroy(rig.data);
	rados_shutdown(rig.admin);
	return r ? 1 : 0;
}
