/*
 * Allocations that fail. The test is linked with --wrap for each allocating function, so that what
 *the libraries under test call lands in faults.c; shared libraries keep their own.
 *
 *	for (n = 1;; n++) {
 *		faults_begin(n, false);
 *		code = thing(…);
 *		if (!faults_end())
 *			break;          // it took fewer than n allocations: done without a fault
 *		assert(code == -ENOMEM) …
 *	}
 */
#ifndef VOLFS_TESTS_FAULTS_H
#define VOLFS_TESTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

/* The nth allocation from here on fails, and with all_after every later one. */
void faults_begin(long n, bool all_after);

/* No more faults; was there one? */
bool faults_end(void);

/* For libraries that let their allocator be set. */
void *faults_malloc(size_t n);

#endif
