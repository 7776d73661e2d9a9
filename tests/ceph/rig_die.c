/*
 * Death between two messages to the cluster. librados sends each by sendmsg(); this program's own takes its place (the program is linked
 * with its symbols exported) and counts them.
 */
#include "rig.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long messages_left; /* 0: no end */

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (atomic_load(&messages_left) > 0 && atomic_fetch_sub(&messages_left, 1) == 1)
		kill(getpid(), SIGKILL);
	return syscall(SYS_sendmsg, fd, message, flags);
}

void rig_die_at_message(long n)
{
	atomic_store(&messages_left, n);
}

/* --- the process that dies */

struct task {
	struct rig_backend *b;
	struct driver_image image;
	const char *other;
	struct driver_snap snap; /* other as its uuid */
	struct err err;
};

static int do_snap(struct task *t)
{
	return t->b->driver->snap_create(t->b->be, &t->image, &t->snap, NULL, &t->err);
}

static int do_unsnap(struct task *t)
{
	return t->b->driver->snap_remove(t->b->be, &t->image, &t->snap, &t->err);
}

static int do_revert(struct task *t)
{
	struct driver_progress progress = { 0 };

	return t->b->driver->revert(t->b->be, &t->image, &t->snap, &progress, &t->err);
}

static int do_flatten(struct task *t)
{
	struct driver_progress progress = { 0 };

	return t->b->driver->flatten(t->b->be, &t->image, &progress, &t->err);
}

static int do_adopt(struct task *t)
{
	return t->b->driver->adopt(t->b->be, t->other, &t->image, &t->err);
}

static int do_snap_adopt(struct task *t)
{
	return t->b->driver->snap_adopt(t->b->be, &t->image, "theirs", &t->snap, &t->err);
}

static int do_disown(struct task *t)
{
	return t->b->driver->disown(t->b->be, &t->image, t->other, &t->err);
}

static const struct {
	const char *name;
	int (*run)(struct task *t);
} tasks[] = {
	{ "snap", do_snap },
	{ "unsnap", do_unsnap },
	{ "revert", do_revert },
	{ "flatten", do_flatten },
	{ "adopt", do_adopt },
	{ "snap_adopt", do_snap_adopt },
	{ "disown", do_disown },
};

/* child WHAT DIRECT UUID ID SIZE MESSAGES OTHER: says the address of its connection, then does it. */
int rig_die_main(char **w)
{
	struct rig_backend b = { .driver = &driver_rbd };
	struct task t = { .b = &b, .image.size = strtoull(w[4], NULL, 10), .other = w[6] };
	char address[256];
	int r = -1;

	rig_backend_conf(&b.conf, w[1]);
	(void)snprintf(t.image.uuid, sizeof t.image.uuid, "%s", w[2]);
	(void)snprintf(t.image.image_id, sizeof t.image.image_id, "%s", w[3]);
	(void)snprintf(t.snap.uuid, sizeof t.snap.uuid, "%s", w[6]);
	if (b.driver->open(&b.conf, &b.be, &t.err) < 0 ||
		b.driver->address(b.be, address, sizeof address, &t.err) < 0)
		return 2;
	(void)printf("%s\n", address);
	(void)fflush(stdout);
	rig_die_at_message(atol(w[5]));
	for (size_t i = 0; i < COUNT(tasks); i++)
		if (!strcmp(tasks[i].name, w[0]))
			r = tasks[i].run(&t);
	if (r < 0)
		(void)fprintf(stderr, "child %s: %s\n", w[0], t.err.text);
	return r < 0;
}

/* --- who lets it die */

bool rig_dies_at_message(struct rig_backend *b, const char *what, const struct driver_image *image,
	const char *other, int n)
{
	char size[24], at[24];
	const char *words[] = { what, b->conf.direct, image->uuid, image->image_id, size, at, other,
		NULL };

	(void)snprintf(size, sizeof size, "%llu", (unsigned long long)image->size);
	(void)snprintf(at, sizeof at, "%d", n);
	return rig_child_dies(b, words);
}
