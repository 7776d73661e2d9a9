/* .volfs: everything that is not a volume. */
#include "base/text.h"
#include "fs/internal.h"
#include "version.h"

static const char readme[] =
	"volfs: every volume is a directory beside this one.\n"
	"\n"
	"  echo size=10 > new/spec      makes one; `cat new/spec` shows every key\n"
	"  cat NAME/status NAME/error   how it is doing, and why\n"
	"  cat NAME/wait                returns when it has settled\n"
	"  echo 20G > NAME/size         grows it\n"
	"  mkdir NAME/snapshots/S       takes a snapshot; its bytes are in data\n"
	"  echo snapshot=NAME@S > new/N makes a volume of it; source=NAME: of a volume\n"
	"  echo S > NAME/revert         back to the latest snapshot\n"
	"  mv OLD NEW; rmdir NAME       renames, deletes\n"
	"  mv .volfs/trash/UUID NAME    brings a deleted one back\n"
	"\n"
	"Here:\n"
	"  by/id/<uuid>          symlinks to the volumes; by/status/<word>/<name>, and\n"
	"                        by type, backend, project, zone\n"
	"  backends/<backend>/   state error driver zone total free allocated volumes\n"
	"                        filter_function goodness_function capabilities\n"
	"  types/<type>/         mkdir, rmdir, mv; description public default\n"
	"                        extra_specs/ qos/; access/ default_for/: touch a project\n"
	"  quotas/<project>/     .max, .current; the same of one type: type/<type>/\n"
	"  trash/<uuid>/         deleted volumes, till they expire; rmdir purges one now\n"
	"  unmanaged/<backend>/  images that no volume owns: mv adopts, or lets one go\n"
	"  events                what happens, as lines of JSON: cat follows it\n"
	"  history               what has happened, in the same lines: tail -f, jq\n"
	"  json                  every volume, a line of JSON each: jq, grep\n"
	"  summary               backends, counts and all volumes, as a table to look at\n"
	"  errors                the latest refused requests, and why\n"
	"  status version        of this daemon\n"
	"  metrics               numbers for Prometheus\n"
	"\n"
	"Found by name, but not listed (reading blocks, and tree walkers would hang):\n"
	"<volume>/wait, .volfs/events. After a spec was accepted as new/NAME, that name\n"
	"still shows it, also not listed.\n";

static int show_readme(struct ctx *c, int64_t row, struct buf *out)
{
	buf_adds(out, readme);
	return 0;
}

static int show_errors(struct ctx *c, int64_t row, struct buf *out)
{
	errlog_show(c->fs->errlog, c->uid, who_is_admin(c->fs, c), out);
	return 0;
}

static int show_status(struct ctx *c, int64_t row, struct buf *out)
{
	buf_addf(out, "%s\n", engine_status(c->fs->engine));
	return 0;
}

static int show_version(struct ctx *c, int64_t row, struct buf *out)
{
	buf_adds(out, VOLFS_VERSION "\n");
	return 0;
}

/* Says that these can be read; their read() does it. */
static int show_lines(struct ctx *c, int64_t row, struct buf *out)
{
	return 0;
}

static int volfs_stat(struct ctx *c, int64_t row, struct stat *st)
{
	stat_dir(st, 0755, 0, 0, c->fs->started_us);
	return 0;
}

static const struct attr volfs_attrs[] = {
	{ "README", 0444, show_readme, NULL, 0, NULL },
	{ "errors", 0444, show_errors, NULL, ATTR_STREAM, NULL },
	{ "status", 0444, show_status, NULL, 0, NULL },
	{ "version", 0444, show_version, NULL, 0, NULL },
	{ "events", 0444, show_lines, NULL, ATTR_UNLISTED | ATTR_STREAM | ATTR_FOLLOW,
		follow_read },
	{ "history", 0444, show_lines, NULL, ATTR_LOG, log_read },
	{ "json", 0444, show_lines, NULL, ATTR_STREAM, json_all_read },
	{ "summary", 0444, show_lines, NULL, ATTR_STREAM, summary_read },
	{ "metrics", 0444, metrics_show, NULL, ATTR_STREAM, NULL },
	{ 0 },
};

static const struct subdir volfs_subdirs[] = {
	{ .name = "by", .kind = KIND_BY },
	{ .name = "backends", .kind = KIND_BACKENDS },
	{ .name = "types", .kind = KIND_TYPES },
	{ .name = "quotas", .kind = KIND_QUOTAS },
	{ .name = "trash", .kind = KIND_TRASH },
	{ .name = "unmanaged", .kind = KIND_UNMANAGED },
	{ 0 },
};

const struct dir dir_volfs = {
	.attrs = volfs_attrs,
	.subdirs = volfs_subdirs,
	.timeout = LONG_TIMEOUT,
	.attr_timeout = 0,
	.stat = volfs_stat,
};
