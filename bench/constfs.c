/*
 * The limit for a filesystem on FUSE: one that answers everything from constants, by the same
 * libfuse, with as many threads, the same open flags and time-outs as volfs. What volfs needs
 * beyond it is its own work.
 *
 *      constfs [-n N] MOUNTPOINT -f
 *
 * N directories (0 … 1,000,000; default 1000) `v0000000` …, each with the attributes of a volume,
 * every one of which holds the same word. `empty` in the root is for round trips: a close of it is
 * a FLUSH that is answered at once. Stays in front; ends on SIGTERM or when it is unmounted.
 */
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	INO_EMPTY = 2,
	FILE_BITS = 8, /* inode number: (entry + 1) << FILE_BITS | file; file 0 is the directory */
	N_MAX = 1000000,
};
/* As many as volfs has: see session_threads() in src/fs/fs.c. */
static unsigned threads(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN) + 1;

	return n < 3 ? 3 : n > 10 ? 10 : (unsigned)n;
}

static const double forever = 86400;
static const char word[] = "available\n";
static const char *const attribute[] = { "status", "error", "id", "size", "used", "type", "zone",
	"backend", "project", "description", "spec", "created", "updated", "protected", "history",
	"connection", "reset", "json" };
enum { ATTRIBUTES = sizeof attribute / sizeof *attribute };

static long entries = 1000;

static long entry_of(fuse_ino_t ino)
{
	return (long)(ino >> FILE_BITS) - 1;
}

static bool ino_stat(fuse_ino_t ino, struct stat *st)
{
	size_t file = ino & ((1 << FILE_BITS) - 1);

	memset(st, 0, sizeof *st);
	st->st_ino = ino;
	st->st_nlink = 1;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = 1700000000;
	st->st_mode = S_IFREG | 0644;
	if (ino == FUSE_ROOT_ID) {
		st->st_mode = S_IFDIR | 0755;
	} else if (ino == INO_EMPTY) {
		st->st_size = 0;
	} else if (entry_of(ino) >= entries || file > ATTRIBUTES) {
		return false;
	} else if (file == 0) {
		st->st_mode = S_IFDIR | 0755;
		st->st_size = INT64_C(10) << 30;
	} else {
		st->st_size = sizeof word - 1;
	}
	return true;
}

/* The inode number of a name; 0 if there is none. */
static fuse_ino_t find(fuse_ino_t parent, const char *name)
{
	char *end;
	long n;

	if (parent == FUSE_ROOT_ID) {
		if (!strcmp(name, "empty"))
			return INO_EMPTY;
		n = name[0] == 'v' && strlen(name) == 8 ? strtol(name + 1, &end, 10) : -1;
		return n >= 0 && n < entries && !*end ? (fuse_ino_t)(n + 1) << FILE_BITS : 0;
	}
	for (size_t i = 0; i < ATTRIBUTES; i++)
		if (!strcmp(name, attribute[i]))
			return parent + i + 1;
	return 0;
}

static struct fuse_entry_param entry_param(fuse_ino_t ino)
{
	struct fuse_entry_param e = {
		.ino = ino, .attr_timeout = forever, .entry_timeout = forever
	};

	(void)ino_stat(ino, &e.attr);
	return e;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	conn->want |= conn->capable & (FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_EXPORT_SUPPORT);
	conn->max_write = 1 << 20;
	conn->max_background = 65535;
	conn->congestion_threshold = 49151;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_ino_t ino = find(parent, name);
	struct fuse_entry_param e;

	if (!ino) {
		(void)fuse_reply_err(req, ENOENT);
		return;
	}
	e = entry_param(ino);
	(void)fuse_reply_entry(req, &e);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	if (ino_stat(ino, &st))
		(void)fuse_reply_attr(req, &st, forever);
	else
		(void)fuse_reply_err(req, ENOENT);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	fi->noflush = ino != INO_EMPTY;
	(void)fuse_reply_open(req, fi);
}

static void op_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	size_t len = ino == INO_EMPTY ? 0 : sizeof word - 1;

	if ((size_t)off >= len)
		(void)fuse_reply_buf(req, NULL, 0);
	else
		(void)fuse_reply_buf(
			req, word + off, len - (size_t)off < size ? len - (size_t)off : size);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)fuse_reply_write(req, size);
}

static void op_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	op_getattr(req, ino, fi);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fuse_reply_err(req, 0);
}

/* The name at a place of a listing; NULL at its end. */
static const char *name_at(fuse_ino_t dir, off_t at, char text[32])
{
	if (dir != FUSE_ROOT_ID)
		return at < ATTRIBUTES ? attribute[at] : NULL;
	if (at == 0)
		return "empty";
	if (at > entries)
		return NULL;
	(void)snprintf(text, 32, "v%07ld", (long)at - 1);
	return text;
}

static void list(fuse_req_t req, fuse_ino_t dir, size_t size, off_t off, bool plus)
{
	char text[32], *buf = malloc(size);
	const char *name;
	size_t len = 0;

	for (; buf && (name = name_at(dir, off, text)); off++) {
		struct fuse_entry_param e = entry_param(find(dir, name));
		size_t need =
			plus ? fuse_add_direntry_plus(req, buf + len, size - len, name, &e, off + 1)
			     : fuse_add_direntry(
				       req, buf + len, size - len, name, &e.attr, off + 1);

		if (need > size - len)
			break;
		len += need;
	}
	(void)fuse_reply_buf(req, buf, len);
	free(buf);
}

static void op_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, false);
}

static void op_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, true);
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
};

static int serve(const char *mountpoint)
{
	char *argv[] = { (char *)"constfs",
		(char *)"-odefault_permissions,allow_other,nosuid,nodev,fsname=constfs", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *se = fuse_session_new(&args, &ops, sizeof ops, NULL);
	int r = -1;

	if (!se || !config || fuse_set_signal_handlers(se) < 0 ||
		fuse_session_mount(se, mountpoint) < 0)
		return 1;
	fuse_loop_cfg_set_max_threads(config, threads());
	fuse_loop_cfg_set_idle_threads(config, threads());
	r = fuse_session_loop_mt(se, config);
	fuse_session_unmount(se);
	fuse_remove_signal_handlers(se);
	fuse_session_destroy(se);
	fuse_loop_cfg_destroy(config);
	fuse_opt_free_args(&args);
	return r < 0;
}

int main(int argc, char **argv)
{
	int letter;

	while ((letter = getopt(argc, argv, "n:f")) != -1) {
		if (letter == 'n')
			entries = atol(optarg);
		else if (letter != 'f')
			return 2;
	}
	if (optind != argc - 1 || entries < 0 || entries > N_MAX) {
		(void)fprintf(stderr, "usage: constfs [-n N] MOUNTPOINT -f\n");
		return 2;
	}
	return serve(argv[optind]);
}
