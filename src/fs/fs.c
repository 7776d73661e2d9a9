/* Builds the parts of the filesystem, and gives each thread a read connection of its own. */
#include "base/clock.h"
#include "base/log.h"
#include "fs/internal.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <unistd.h>

struct view_ref {
	struct view *view;
	struct view_ref *next;
};

struct view *fs_view(struct fs *fs)
{
	static __thread struct view *mine;
	struct err err = { 0 };
	struct view_ref *ref;

	if (mine)
		return mine;
	ref = calloc(1, sizeof *ref);
	if (!ref || view_open(fs->store, &ref->view, &err) < 0) {
		log_err_seldom("cannot read the catalogue: %s", ref ? err.text : "no memory");
		free(ref);
		return NULL;
	}
	LOCK_SCOPE(&fs->views_lock);
	ref->next = fs->views;
	fs->views = ref;
	return mine = ref->view;
}

/* -1: no such group (refused by nobody: then only root is an admin). */
static gid_t gid_of(const char *name)
{
	struct group *g = name && name[0] ? getgrnam(name) : NULL;

	return g ? g->gr_gid : (gid_t)-1;
}

/*
 * No handler waits for the disk or the storage, so more threads than processors only cost switches between them (2 processors, 32
 * creations in flight: 3 threads 1,181 to 1,225 a second, 10 threads 1,000 to 1,010). One more, for whoever reads /proc.
 */
static unsigned session_threads(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN) + 1;

	return n < 3 ? 3 : n > SESSION_THREADS ? SESSION_THREADS : (unsigned)n;
}

/* All that fs_changed() touches: the engine starts before fs_start(), and settles at once what a dead server left. */
static int build(struct fs *fs, int fuse_fd, struct err *err)
{
	int r;

	if (errlog_new(fs->keep, &fs->errlog) < 0 || opens_new(fs, &fs->opens) < 0 ||
		guard_new(&fs->keep->refused, &fs->guard) < 0 ||
		guard_new(&fs->keep->unlinked, &fs->unlinked) < 0 || killed_new(&fs->killed) < 0 ||
		overflow_new(fs->conf, &fs->overflow) < 0 ||
		changes_new(atomic_load(&fs->keep->server) > 1, &fs->changes) < 0 ||
		places_new(fs) < 0 || openers_new(&fs->openers) < 0 ||
		admit_new(fs->keep, fs->conf->max_blocked, &fs->admit) < 0)
		return err_set(err, -ENOMEM, "no memory");
	if (fs->admin_gid == (gid_t)-1)
		log_warning("no group '%s' (admin_group): only root is an administrator",
			fs->conf->admin_group);
	if (fs->conf->new_group && fs->conf->new_group[0] && fs->new_gid == (gid_t)-1)
		return err_set(err, -ENOENT, "no group '%s' (new_group)", fs->conf->new_group);
	r = again_new(fs, &fs->again, err);
	if (r == 0)
		r = waiters_new(fs, &fs->waiters, err);
	if (r == 0)
		r = follow_new(fs, &fs->follow, err);
	return r < 0 ? r
		     : session_new(&fs_ops, fs, fs->keep, fuse_fd, session_threads(), &fs->session,
			       err);
}

int fs_new(const struct conf *conf, struct store *store, struct keep *keep, int fuse_fd,
	struct fs **ret, struct err *err)
{
	struct fs *fs = calloc(1, sizeof *fs);
	int r;

	if (!fs)
		return err_set(err, -ENOMEM, "no memory");
	fs->conf = conf;
	fs->store = store;
	fs->keep = keep;
	fs->started_us = clock_wall_us();
	fs->listed_us = fs->started_us;
	fs->admin_gid = gid_of(conf->admin_group);
	fs->new_gid = gid_of(conf->new_group);
	lock_init(&fs->views_lock);
	r = build(fs, fuse_fd, err);
	if (r < 0) {
		fs_free(fs);
		return r;
	}
	*ret = fs;
	return 0;
}

/* What a successor tells the kernel before it answers anybody. */
static void tell_again(struct fs *fs)
{
	/* The configuration may be another one now, and the root's time is kept nowhere. */
	session_inval(fs->session, ino_of((struct node){ .kind = KIND_NEW }));
	session_inval(fs->session, FUSE_ROOT_ID);
	if (!session_epoch_done(fs->session))
		changes_again(fs);
}

void fs_join(struct fs *fs, struct engine *engine, struct data *data)
{
	fs->engine = engine;
	fs->data = data;
}

int fs_start(struct fs *fs, struct err *err)
{
	int r = files_new(fs, err);

	if (r == 0)
		r = drafts_new(fs, &fs->drafts, err);
	if (r == 0)
		r = session_take_over(fs->session, err);
	if (r == 0 && session_is_successor(fs->session))
		tell_again(fs);
	return r < 0 ? r : session_start(fs->session, err);
}

int fs_wait(struct fs *fs)
{
	return session_wait(fs->session);
}

void fs_quit(struct fs *fs)
{
	session_quit(fs->session);
}

void fs_stop(struct fs *fs)
{
	session_stop(fs->session);
	overflow_end(fs->overflow);
}

void fs_free(struct fs *fs)
{
	struct view_ref *ref;

	if (!fs)
		return;
	follow_free(fs->follow);
	again_free(fs->again);
	waiters_free(fs->waiters);
	admit_free(fs->admit);
	killed_free(fs->killed);
	overflow_free(fs->overflow);
	drafts_free(fs->drafts);
	session_free(fs->session);
	openers_free(fs->openers);
	places_free(fs->places);
	errlog_free(fs->errlog);
	opens_free(fs->opens);
	guard_free(fs->guard);
	guard_free(fs->unlinked);
	changes_free(fs->changes);
	files_free(fs);
	while ((ref = fs->views)) {
		fs->views = ref->next;
		view_close(ref->view);
		free(ref);
	}
	lock_release(&fs->views_lock);
	free(fs);
}
