/*
 * driver_fault.h's driver with what clones add: images that need their source's until they are flattened, and the bytes of images, which
 * can be made to fail. The storage remembers what needs what, so a process that dies forgets nothing.
 */
#ifndef VOLFS_TESTS_DRIVER_CLONE_H
#define VOLFS_TESTS_DRIVER_CLONE_H

#include "tests/lib/driver_fault.h"

struct clone_fault {
	const char *_Atomic no_read;  /* backend whose images cannot be read */
	const char *_Atomic no_write; /* backend whose images cannot be written */
	const char
		*_Atomic mute; /* backend that does not answer who reads, until this is another */
	const char *_Atomic hang_flatten; /* as the name says */
	_Atomic unsigned flattened, reads;
};
extern struct clone_fault clone_fault;
void clone_fault_reset(void); /* and fault_reset() */

const struct driver *driver_clone(void);  /* clones need their source */
const struct driver *driver_copies(void); /* they do not */

#endif
