/*
 * What the kernel asks, counted: how many requests of each kind, and how long each took until its answer, whoever gives that and when.
 * Some tens of nanoseconds a request. Of the process: it has one session.
 */
#ifndef VOLFS_FS_REQUESTS_H
#define VOLFS_FS_REQUESTS_H

#include "base/metric.h"

#include <linux/fuse.h>

enum { REQUEST_KINDS = 64 }; /* FUSE_LOOKUP … */

struct request_numbers {
	struct counter asked;
	struct histogram took; /* of those that were answered */
};
extern const struct bounds request_bounds;

/* Of one opcode, below REQUEST_KINDS. */
const struct request_numbers *request_numbers(unsigned opcode);

void requests_begin(const struct fuse_in_header *in); /* it has been read */
void requests_end(const struct fuse_out_header
		*out); /* what is about to be written: an answer, or a notification */

#endif
