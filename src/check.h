/*
 * `volfs --check`: compares the catalogue with the storage of every backend (engine/compare.h) and its sums with a recount, beside a
 * running daemon, too; nothing is changed. `volfs --repair`, without one, mends what is unambiguous.
 */
#ifndef VOLFS_CHECK_H
#define VOLFS_CHECK_H

#include "config.h"

#include <stdbool.h>

/* Exit statuses. */
enum {
	CHECK_AGREES = 0,  /* or has been mended */
	CHECK_DIFFERS = 1, /* and is left so */
	CHECK_BLIND = 2,   /* not everything could be looked at: standard error says why */
};

/* Prints a line for each difference, and one with the counts. */
int check_run(const struct conf *conf, bool repair);

#endif
