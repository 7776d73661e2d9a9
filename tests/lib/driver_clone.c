#include "tests/lib/driver_clone.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct clone_fault clone_fault;

struct cloning {
	const struct backend_conf *conf;
	void *be;
};

void clone_fault_reset(void)
{
	fault_reset();
	clone_fault.no_read = clone_fault.no_write = clone_fault.mute = clone_fault.hang_flatten =
		NULL;
	clone_fault.flattened = clone_fault.reads = 0;
}

static bool is(const char *_Atomic *which, const struct cloning *c)
{
	const char *name = atomic_load(which);

	return name && strcmp(name, c->conf->name) == 0;
}

static int clone_open(const struct backend_conf *conf, void **ret, struct err *err)
{
	struct cloning *c = calloc(1, sizeof *c);
	int r;

	if (!c)
		return -ENOMEM;
	c->conf = conf;
	r = driver_fault.open(conf, &c->be, err);
	if (r < 0)
		free(c);
	else
		*ret = c;
	return r;
}

static void clone_close(void *be)
{
	struct cloning *c = be;

	driver_fault.close(c->be);
	free(c);
}

/* --- what needs what: a file by the clone's UUID, with its source's in it --- */

static void needs_path(const struct cloning *c, const char *uuid, char path[512])
{
	(void)snprintf(path, 512, "%s.needs%s%s", c->conf->path, *uuid ? "/" : "", uuid);
}

static void need(const struct cloning *c, const char *uuid, const char *source)
{
	char path[512];
	FILE *f;

	needs_path(c, "", path);
	(void)mkdir(path, 0700);
	needs_path(c, uuid, path);
	f = fopen(path, "w");
	if (!f || fputs(source, f) < 0 || fclose(f) != 0)
		abort();
}

static bool need_no_more(const struct cloning *c, const char *uuid)
{
	char path[512];

	needs_path(c, uuid, path);
	return unlink(path) == 0;
}

static bool needs(const struct cloning *c, const char *clone, const char *uuid)
{
	char path[512], source[UUID_LEN + 1] = "";
	FILE *f;

	needs_path(c, clone, path);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(source, sizeof source, f))
		source[0] = '\0';
	(void)fclose(f);
	return !strcmp(source, uuid);
}

static bool is_needed(const struct cloning *c, const char *uuid)
{
	char path[512];
	struct dirent *d;
	bool any = false;
	DIR *dir;

	needs_path(c, "", path);
	dir = opendir(path);
	while (dir && !any && (d = readdir(dir)))
		any = d->d_name[0] != '.' && needs(c, d->d_name, uuid);
	if (dir)
		closedir(dir);
	return any;
}

/* It is needed from before there is anything of it: dying in between leaves no clone that nobody knows of. */
static void clone_create(void *be, struct driver_create *each, size_t n)
{
	struct cloning *c = be;

	for (size_t i = 0; i < n; i++)
		if (each[i].source)
			need(c, each[i].image.uuid, each[i].source->image.uuid);
	driver_fault.create(c->be, each, n);
}

static void copies_create(void *be, struct driver_create *each, size_t n)
{
	driver_fault.create(((struct cloning *)be)->be, each, n);
}

static int clone_remove(void *be, const struct driver_image *image,
	struct driver_progress *progress, struct err *err)
{
	struct cloning *c = be;
	int r;

	if (is_needed(c, image->uuid))
		return err_set(err, -EMLINK, "clones need it");
	r = driver_fault.remove(c->be, image, progress, err);
	if (r == 0)
		(void)need_no_more(c, image->uuid);
	return r;
}

static int clone_flatten(void *be, const struct driver_image *image,
	struct driver_progress *progress, struct err *err)
{
	struct cloning *c = be;
	int r = fault_point(err);

	atomic_store(&progress->total, image->size);
	atomic_store(&progress->done, image->size / 4);
	while (is(&clone_fault.hang_flatten, c))
		usleep(2000);
	if (r < 0)
		return r;
	if (need_no_more(c, image->uuid))
		atomic_fetch_add(&clone_fault.flattened, 1);
	return fault_point(err);
}

/* --- all that is passed on --- */

static int clone_stat(void *be, struct backend_stats *ret, struct err *err)
{
	return driver_fault.stat(((struct cloning *)be)->be, ret, err);
}

static size_t clone_batch(void *be)
{
	return driver_fault.batch(((struct cloning *)be)->be);
}

static int clone_resize(void *be, const struct driver_image *image, uint64_t size, struct err *err)
{
	return driver_fault.resize(((struct cloning *)be)->be, image, size, err);
}

static int clone_snap_create(void *be, const struct driver_image *image,
	const struct driver_snap *snap, struct driver_progress *progress, struct err *err)
{
	return driver_fault.snap_create(((struct cloning *)be)->be, image, snap, progress, err);
}

static int clone_snap_remove(
	void *be, const struct driver_image *image, const struct driver_snap *snap, struct err *err)
{
	return driver_fault.snap_remove(((struct cloning *)be)->be, image, snap, err);
}

static int clone_revert(void *be, const struct driver_image *image, const struct driver_snap *snap,
	struct driver_progress *progress, struct err *err)
{
	return driver_fault.revert(((struct cloning *)be)->be, image, snap, progress, err);
}

static int clone_list(void *be, bool parts,
	int (*each)(void *arg, const struct driver_found *found), void *arg, struct err *err)
{
	return driver_fault.list(((struct cloning *)be)->be, parts, each, arg, err);
}

static int clone_look(void *be, const char *name, struct driver_found *ret, struct err *err)
{
	return driver_fault.look(((struct cloning *)be)->be, name, ret, err);
}

static int clone_snaps(
	void *be, const char *name, struct driver_found_snap *ret, size_t n, struct err *err)
{
	return driver_fault.snaps(((struct cloning *)be)->be, name, ret, n, err);
}

static int clone_adopt(void *be, const char *name, struct driver_image *image, struct err *err)
{
	return driver_fault.adopt(((struct cloning *)be)->be, name, image, err);
}

static int clone_snap_adopt(void *be, const struct driver_image *image, const char *name,
	const struct driver_snap *snap, struct err *err)
{
	return driver_fault.snap_adopt(((struct cloning *)be)->be, image, name, snap, err);
}

static int clone_disown(
	void *be, const struct driver_image *image, const char *name, struct err *err)
{
	return driver_fault.disown(((struct cloning *)be)->be, image, name, err);
}

static int clone_used(void *be, const struct driver_image *image, uint64_t *ret, struct err *err)
{
	return driver_fault.used(((struct cloning *)be)->be, image, ret, err);
}

static void clone_connection(void *be, const struct driver_image *image, struct buf *out)
{
	driver_fault.connection(((struct cloning *)be)->be, image, out);
}

/* --- bytes --- */

struct open_image {
	struct cloning *c;
	void *data;
	void **ret;
	driver_done *done;
	void *arg;
};

static void opened(void *arg, int code)
{
	struct open_image *o = arg;
	driver_done *done = o->done;
	void *done_arg = o->arg;

	if (code < 0)
		free(o);
	else
		*o->ret = o;
	done(done_arg, code);
}

static void clone_data_open(void *be, const struct driver_image *image,
	const struct driver_snap *snap, bool writable, void **ret, driver_done *done, void *arg)
{
	struct open_image *o = calloc(1, sizeof *o);
	struct cloning *c = be;

	if (!o)
		abort();
	*o = (struct open_image){ .c = c, .ret = ret, .done = done, .arg = arg };
	driver_local.data_open(fault_inner(c->be), image, snap, writable, &o->data, opened, o);
}

static void data_closed(void *arg, int code)
{
	struct open_image *o = arg;
	driver_done *done = o->done;
	void *done_arg = o->arg;

	free(o);
	done(done_arg, code);
}

static void clone_data_close(void *data, driver_done *done, void *arg)
{
	struct open_image *o = data;

	o->done = done;
	o->arg = arg;
	driver_local.data_close(o->data, data_closed, o);
}

struct late_read {
	struct open_image *o;
	driver_done *done;
	void *arg;
};

static void *answer_later(void *arg)
{
	struct late_read *l = arg;

	while (is(&clone_fault.mute, l->o->c))
		usleep(2000);
	l->done(l->arg, -EIO);
	free(l);
	return NULL;
}

static bool read_later(struct open_image *o, driver_done *done, void *arg)
{
	struct late_read *l = malloc(sizeof *l);
	pthread_t t;

	if (!l)
		return false;
	*l = (struct late_read){ o, done, arg };
	if (pthread_create(&t, NULL, answer_later, l) != 0) {
		free(l);
		return false;
	}
	pthread_detach(t);
	return true;
}

static void clone_data_read(
	void *data, uint64_t off, size_t len, void *buf, driver_done *done, void *arg)
{
	struct open_image *o = data;

	atomic_fetch_add(&clone_fault.reads, 1);
	if (is(&clone_fault.mute, o->c) && read_later(o, done, arg))
		return;
	if (is(&clone_fault.no_read, o->c))
		done(arg, -EIO);
	else
		driver_local.data_read(o->data, off, len, buf, done, arg);
}

static void clone_data_write(
	void *data, uint64_t off, size_t len, const void *buf, driver_done *done, void *arg)
{
	struct open_image *o = data;

	if (is(&clone_fault.no_write, o->c))
		done(arg, -ENOSPC);
	else if (fault_point(NULL) < 0)
		done(arg, -EIO);
	else
		driver_local.data_write(o->data, off, len, buf, done, arg);
}

static void clone_data_zero(void *data, uint64_t off, uint64_t len, driver_done *done, void *arg)
{
	driver_local.data_zero(((struct open_image *)data)->data, off, len, done, arg);
}

static void clone_data_flush(void *data, driver_done *done, void *arg)
{
	driver_local.data_flush(((struct open_image *)data)->data, done, arg);
}

static int clone_data_next(void *data, uint64_t off, uint64_t size, bool hole, uint64_t *ret)
{
	return driver_local.data_next(((struct open_image *)data)->data, off, size, hole, ret);
}

static struct driver common(void)
{
	return (struct driver){ .name = "local",
		.open = clone_open,
		.close = clone_close,
		.stat = clone_stat,
		.create = copies_create,
		.batch = clone_batch,
		.remove = clone_remove,
		.resize = clone_resize,
		.quiet = true,
		.snap_create = clone_snap_create,
		.snap_remove = clone_snap_remove,
		.revert = clone_revert,
		.list = clone_list,
		.look = clone_look,
		.snaps = clone_snaps,
		.adopt = clone_adopt,
		.snap_adopt = clone_snap_adopt,
		.disown = clone_disown,
		.used = clone_used,
		.connection = clone_connection,
		.qos_known = driver_fault.qos_known,
		.data_open = clone_data_open,
		.data_close = clone_data_close,
		.data_read = clone_data_read,
		.data_write = clone_data_write,
		.data_zero = clone_data_zero,
		.data_flush = clone_data_flush,
		.data_next = clone_data_next };
}

const struct driver *driver_clone(void)
{
	static struct driver d;

	d = common();
	d.create = clone_create;
	d.flatten = clone_flatten;
	return &d;
}

const struct driver *driver_copies(void)
{
	static struct driver d;

	d = common();
	return &d;
}
