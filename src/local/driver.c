/* Volumes as sparse files in one directory: no cluster needed. */
#include "base/cleanup.h"
#include "local/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

int local_dir(const struct local *l, struct err *err)
{
	/* read access, not O_PATH: it is also fsynced */
	int fd = open(l->conf->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_set(err, -errno, "cannot use the directory '%s': %s", l->conf->path,
			strerror(errno));
	return fd;
}

void local_crash_point(struct local *l)
{
	if (l->conf->crash_at > 0 && atomic_fetch_sub(&l->crash_left, 1) == 1)
		kill(getpid(), SIGKILL);
}

/* A descriptor for each volume whose bytes are open: the usual 1,024 are too few, the hard limit is what the system allows. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int local_open(const struct backend_conf *conf, void **ret, struct err *err)
{
	struct local *l;

	if (!conf->path || conf->path[0] != '/')
		return err_set(err, -EINVAL, "option 'path' must be an absolute path");
	l = calloc(1, sizeof *l);
	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	l->conf = conf;
	atomic_init(&l->crash_left, conf->crash_at);
	local_pool_init(&l->pool);
	allow_descriptors();
	*ret = l;
	return 0;
}

static void local_close(void *be)
{
	struct local *l = be;

	if (local_pool_end(&l->pool))
		free(l);
}

static int local_stat(void *be, struct backend_stats *ret, struct err *err)
{
	struct local *l = be;
	CLEANUP_FD int dir = local_dir(l, err);
	struct statvfs vfs;

	if (dir < 0)
		return dir;
	if (fstatvfs(dir, &vfs) < 0)
		return err_set(err, -errno, "cannot read the free space of '%s': %s", l->conf->path,
			strerror(errno));
	if (vfs.f_flag & ST_RDONLY)
		return err_set(err, -EROFS, "'%s' is on a read-only filesystem", l->conf->path);
	/* f_bavail: what the filesystem keeps for root is not to be promised */
	*ret = (struct backend_stats){
		.total = (uint64_t)vfs.f_blocks * vfs.f_frsize,
		.free = (uint64_t)vfs.f_bavail * vfs.f_frsize,
	};
	return 0;
}

static void local_connection(void *be, const struct driver_image *image, struct buf *out)
{
	struct local *l = be;
	char name[LOCAL_NAME_MAX];

	local_name(image, name);
	buf_addf(out, "path=%s/%s\nformat=raw\nuri=file://%s/%s\n", l->conf->path, name,
		l->conf->path, name);
}

static json_t *local_capabilities(void *be)
{
	return json_pack("{s:s, s:s, s:b, s:b, s:b}", "vendor_name", "Open Source",
		"storage_protocol", "local", "multiattach", 0, "qos_support", 0, "QoS_support", 0);
}

static size_t local_batch(void *be)
{
	return LOCAL_BATCH;
}

const struct driver driver_local = {
	.name = "local",
	.open = local_open,
	.close = local_close,
	.stat = local_stat,
	.create = local_create,
	.batch = local_batch,
	.remove = local_remove,
	.resize = local_resize,
	.quiet = true,
	.snap_create = local_snap_create,
	.snap_remove = local_snap_remove,
	.revert = local_revert,
	.list = local_list,
	.look = local_look,
	.snaps = local_snaps,
	.adopt = local_adopt,
	.snap_adopt = local_snap_adopt,
	.disown = local_disown,
	.can_be_called = local_name_is_foreign,
	.used = local_used,
	.connection = local_connection,
	.capabilities = local_capabilities,
	.data_open = local_data_open,
	.data_close = local_data_close,
	.data_read = local_data_read,
	.data_write = local_data_write,
	.data_zero = local_data_zero,
	.data_flush = local_data_flush,
	.data_next = local_data_next,
};
