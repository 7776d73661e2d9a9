/*
 * One daemon per database: flock(2) on DATABASE.lock, in which its process id stands. The
 * descriptor goes to every server too, so the lock is held as long as one of them lives.
 */
#ifndef VOLFS_DBLOCK_H
#define VOLFS_DBLOCK_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Makes the database's folder if it is missing (its parent must exist). *ret: the locked
 * descriptor, close-on-exec off; -1 for a database that is no local file. -EBUSY with a sentence
 * that names the other daemon. Waits a while for the server of a daemon that was killed. */
int dblock_take(const char *database, int *ret, struct err *err);

/* Does that process hold it? Not a stale file, that is. */
bool dblock_is_held_by(const char *database, pid_t pid);

/* Writes the calling process' id into it. */
void dblock_sign(int fd);

#endif
