/*
 * The filesystem: the FUSE session over a descriptor that is mounted already, and everything that a
 * user sees.
 *
 *      fs_new ──▶ fs_join ──▶ fs_start (requests are answered from here on) ──▶ fs_wait ──▶ fs_stop ──▶ fs_free
 */
#ifndef VOLFS_FS_H
#define VOLFS_FS_H

#include "base/err.h"
#include "config.h"
#include "data/data.h"
#include "engine/engine.h"
#include "keep.h"

struct fs;

/* Everything given outlives it. fuse_fd is the mounted /dev/fuse. */
int fs_new(const struct conf *conf, struct store *store, struct keep *keep, int fuse_fd,
	struct fs **ret, struct err *err);

/* For engine_hooks. arg: the struct fs. */
void fs_changed(void *arg, const struct change_note *note, size_t n);

/* For data_hooks: a kept write failed; arg: the struct fs. */
void fs_write_failed(void *arg, int64_t volume, int code);

/* What it works with, before the engine starts. */
void fs_join(struct fs *fs, struct engine *engine, struct data *data);

/* Starts the threads. If the keep holds an INIT exchange: the kernel sends every unanswered request
 * again. */
int fs_start(struct fs *fs, struct err *err);

/* Until the filesystem was unmounted (0) or fs_quit() was called (0), or the session failed
 * (-errno). */
int fs_wait(struct fs *fs);
void fs_quit(struct fs *fs); /* async-signal-safe */

void fs_stop(struct fs *fs);
void fs_free(struct fs *fs);

#endif
