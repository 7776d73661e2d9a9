/*
 * The map of src/fs, for its own files only: what each offers to its siblings.
 *
 * A request goes: ops.c unpacks it → a directory's table (dir_*.c) says what the name or inode
 * means → reply. What changes something goes to the engine with a struct change (reply.c), which is
 * answered from the engine's callback; no thread of the session waits.
 */
#ifndef VOLFS_FS_INTERNAL_H
#define VOLFS_FS_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/lock.h"
#include "base/metric.h"
#include "config.h"
#include "data/data.h"
#include "engine/engine.h"
#include "fs/fs.h"
#include "fs/session.h"
#include "keep.h"
#include "store/view.h"
#include "volume.h"

#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* --- ino.c: inode numbers, stateless: made from kind, row and index, and back. Below 2^53, so that
 * every language's numbers hold them. The order of kinds is part of the numbers. */

enum kind {
	KIND_ROOT,
	KIND_NEW,
	KIND_VOLFS,    /* .volfs */
	KIND_VOLUME,   /* row: volume */
	KIND_METADATA, /* row: volume */
	KIND_META,     /* row: metadata; a file */
	KIND_BY,       /* this and the next two: dir_by.c */
	KIND_BY_KEY,
	KIND_BY_LINK, /* a symlink */
	KIND_BACKENDS,
	KIND_BACKEND, /* row: index of the backend's row */
	KIND_QUOTAS,
	KIND_QUOTA, /* row: quota */
	KIND_TRASH,
	KIND_ACCEPTED, /* row: volume; new/NAME after acceptance; a file */
	KIND_TYPES,
	KIND_TYPE,	  /* row: type */
	KIND_EXTRA_SPECS, /* row: type, of this and the next three */
	KIND_QOS,
	KIND_ACCESS,
	KIND_DEFAULT_FOR,
	KIND_TYPE_ENTRY,  /* row: what is in one of these; a file */
	KIND_QUOTA_TYPES, /* row: quota */
	KIND_TYPE_QUOTA,  /* row: a type's quota */
	KIND_DATA, /* row: volume; its bytes; a file. Index DATA_OF_SNAPSHOT: row: snapshot */
	KIND_ATTACHMENTS,     /* row: volume */
	KIND_ATTACHMENT,      /* row: use */
	KIND_SNAPSHOTS,	      /* row: volume */
	KIND_SNAPSHOT,	      /* row: snapshot */
	KIND_UNMANAGED,	      /* row 0: unmanaged/; else the backend's: its directory there */
	KIND_UNMANAGED_IMAGE, /* row: unmanaged */
	KIND_COUNT,
	KIND_DRAFT = 31, /* row: the draft's file serial; a file. Bit 52 is set: found again in
			    /proc/<pid>/fdinfo */
};

enum { DATA_OF_SNAPSHOT = 1 };

/* index 0 is the object itself (a directory or a lone file), i > 0 the i-th attribute of its table.
 */
struct node {
	enum kind kind;
	int64_t row;
	unsigned index;
};

fuse_ino_t ino_of(struct node n);
fuse_ino_t ino_of_volume(int64_t row); /* of its directory */
struct node ino_node(fuse_ino_t ino);

/* --- fs.c */

struct errlog;
struct admit;
struct waiters;
struct drafts;
struct opens;
struct guard;
struct changes;
struct handles;
struct killed;
struct places;
struct openers;
struct follow;
struct again;

struct fs {
	const struct conf *conf;
	struct store *store;
	struct keep *keep;
	struct engine *engine;
	struct data *data;
	struct session *session;
	struct errlog *errlog;
	struct admit *admit;
	struct waiters *waiters;
	struct drafts *drafts;
	struct opens *opens;
	struct guard *guard;	/* was refused to unlink an attribute */
	struct guard *unlinked; /* unlinked new/NAME */
	struct changes *changes;
	struct again *again;
	struct handles *handles; /* open `data` */
	struct killed *killed;
	struct overflow *overflow;
	struct places *places;	 /* of open streams */
	struct openers *openers; /* the same */
	struct follow *follow;
	gid_t admin_gid;
	gid_t new_gid; /* of new/ if new_group is configured */
	int64_t started_us;
	_Atomic int64_t listed_us; /* when the list of volumes last changed: the root's mtime */
	struct lock views_lock;
	struct view_ref
		*views; /* views_lock: every thread's read connection, to be closed at the end */
};

/* The calling thread's own read connection, opened at its first use; NULL (logged) if it cannot be
 * opened. */
struct view *fs_view(struct fs *fs);

/* What a handler works with: the request's sender and a view. seen: how many changes had gone out
 * before it read. */
struct ctx {
	struct fs *fs;
	struct view *view;
	fuse_req_t req;
	uid_t uid;
	gid_t gid;
	pid_t pid; /* a thread's id; 0: in another pid namespace */
	uint64_t seen;
};

struct ctx ctx_of(fuse_req_t req);

/* --- caller.c: what /proc and the user database say of a caller */

enum { WHO_GROUPS = 64 };
struct who {
	struct caller caller; /* caller.groups points into groups */
	gid_t groups[WHO_GROUPS];
	pid_t tgid;
};
void who_fill(struct fs *fs, uid_t uid, gid_t gid, pid_t tid, struct who *ret);
bool who_is_admin(struct fs *fs, const struct ctx *c);
pid_t who_tgid(pid_t tid); /* 0 if it is gone or unknown */
/* The same of who closes a descriptor; *ret_killed: because a signal is ending it. */
pid_t who_closes(pid_t tid, bool *ret_killed);
bool who_is_killed(pid_t tid); /* a signal is ending it, or it is gone */
/* How many descriptors of process tgid lead to an inode number. */
unsigned who_descriptors(pid_t tgid, fuse_ino_t ino);

/* --- reply.c: one request, one reply */

enum reply_kind {
	REPLY_CODE,   /* fuse_reply_err, also of 0 */
	REPLY_RENAME, /* the same, by rename_code() */
	REPLY_WRITE,  /* fuse_reply_write(size) */
	REPLY_ATTR,   /* fuse_reply_attr of node */
	REPLY_OPEN,   /* fuse_reply_open(fi) */
	REPLY_CREATE, /* fuse_reply_create: the node's kind, the result's row */
	REPLY_ENTRY,  /* fuse_reply_entry: the same */
	REPLY_DATA,   /* an open of `data`: file_opened() */
	REPLY_GROWN,  /* fuse_reply_attr of node, once its volume has settled */
};

/* One changing request on its way through the engine. Freed by its reply. */
struct change {
	struct fs *fs;
	fuse_req_t req;
	enum reply_kind reply;
	size_t size;		  /* REPLY_WRITE */
	bool append;		  /* of free text: after what is there */
	struct node node;	  /* REPLY_ATTR, REPLY_CREATE */
	struct fuse_file_info fi; /* REPLY_OPEN, REPLY_CREATE */
	struct change_id id;
	struct who who;
	char what[3 * NAME_LEN]; /* the file, as `errors` names it: "db/size" */
};

/* NULL: no memory, already answered. fmt: the file's name. */
__attribute__((format(printf, 4, 5))) struct change *change_new(
	struct ctx *c, enum reply_kind reply, struct node node, const char *fmt, ...);
/* The file is made and opened: REPLY_CREATE. */
void change_opens(struct change *ch, const struct fuse_file_info *fi);
engine_done change_done; /* the engine's callback; arg: the struct change */
void change_answer(struct change *ch, int code, const char *text); /* from the handler itself */
/* A SETATTR of what belongs to volume n.row: answered when these fields of it are set, at once where there is none (times are ours). */
void change_fields(
	struct ctx *c, struct node n, const char *what, unsigned fields, const struct volume *v);
#define change_refuse(ch, err) change_answer((ch), (err)->code, (err)->text)

/* What a rename answers: mv says "cannot move to a subdirectory of itself" for EINVAL, so a name or a
 * text that is refused is EBADMSG. */
int rename_code(int code);

/* A refusal that needs no engine: errno to the caller, what (a file) and the sentence to `errors`. */
void refuse(struct ctx *c, int code, const char *what, const char *text);
void refuse_node(struct ctx *c, struct node n, int code, const char *text); /* of a file */

/* The errno that the kernel may see of a code (never ENOSYS, never positive). */
int reply_errno(int code);

/* --- named.c: a file as `errors` names it, in text; or else `otherwise` */

enum { NAMED_MAX = 3 * NAME_LEN };
const char *named(struct fs *fs, struct node n, const char *otherwise, char text[NAMED_MAX]);

/* --- errlog.c: .volfs/errors */

int errlog_new(struct keep *keep, struct errlog **ret);
void errlog_free(struct errlog *l);
void errlog_add(
	struct errlog *l, const struct caller *who, int code, const char *file, const char *text);
/* Lines of uid, oldest first; all: of everybody. */
void errlog_show(struct errlog *l, uid_t uid, bool all, struct buf *out);
/* How many requests this server has refused with that errno (below REFUSED_CODES). */
enum { REFUSED_CODES = 256 };
uint64_t errlog_refused(const struct errlog *l, unsigned error);

/* --- attr.c: the generic half of an attribute file */

enum {
	ATTR_UNLISTED = 1, /* found by name only */
	ATTR_STREAM = 2,   /* st_size 0: large, or it blocks */
	ATTR_ADMIN = 4,	   /* root:admin_group instead of the object's owner */
	ATTR_FREE = 8,	   /* free text: O_TRUNC and truncation empty it */
	ATTR_WAIT = 16,	   /* a read blocks until the volume has settled */
	ATTR_POLL = 32,	   /* poll(2) says POLLPRI when the text is no longer what was read */
	ATTR_MAYBE = 64,   /* there at times only: show says -ENOENT at others */
	ATTR_FOLLOW = 128, /* .volfs/events */
	ATTR_LOG = 256,	   /* .volfs/history */
	ATTR_FRESH = 512, /* its text says something of other objects: its length is never cached */
};

struct attr {
	const char *name; /* NULL ends a table. New rows at the end: the index is part of the inode
			     number */
	mode_t mode;
	/* Adds the text, with its newline. 0, -ENOENT, -EIO. */
	int (*show)(struct ctx *c, int64_t row, struct buf *out);
	/* Takes trimmed text and ends in one answer of ch. */
	void (*store)(struct change *ch, int64_t row, const char *text);
	unsigned flags;
	/* Of a stream, in place of show, which is only there to say that it can be read: answers a read. fi->fh has a place. */
	void (*read)(
		struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi);
};

int attr_stat(struct ctx *c, struct node n, const struct attr *a, const struct stat *object,
	struct stat *ret);
void attr_open(struct ctx *c, struct node n, const struct attr *a, struct fuse_file_info *fi);
void attr_read(struct ctx *c, struct node n, const struct attr *a, size_t size, off_t off,
	struct fuse_file_info *fi);
void attr_write(struct ctx *c, struct node n, const struct attr *a, const char *text, size_t size,
	off_t off, struct fuse_file_info *fi);
void attr_truncate(struct ctx *c, struct node n, const struct attr *a, off_t size);

/* Text kept for an open from its read at offset 0 on; fh is an id. */
int opens_new(struct fs *fs, struct opens **ret);
void opens_free(struct opens *o);
uint64_t opens_next(struct opens *o);
/* Takes text (left empty); error: what the read after the end answers (positive errno), 0 for end
 * of file. */
void opens_keep(struct opens *o, uint64_t fh, struct buf *text, int error);
/* Answers from what was kept; false if there is nothing. */
bool opens_reply(struct opens *o, uint64_t fh, fuse_req_t req, size_t size, off_t off);
/* Was this open shown another text than this? False if it was shown none yet. */
bool opens_differ(struct opens *o, uint64_t fh, const struct buf *text);
/* The same of what does not begin at offset 0; no error is kept. */
void opens_keep_at(struct opens *o, uint64_t fh, off_t from, struct buf *text);
bool opens_reply_at(
	struct opens *o, uint64_t fh, fuse_req_t req, off_t from, size_t size, off_t off);
void opens_drop(struct opens *o, uint64_t fh);
void reply_slice(fuse_req_t req, const char *at, size_t len, size_t size, off_t off);

/*
 * --- place.c: where the reader of a stream is
 *
 * What comes next in a stream is not told by the offset of a read alone: it began somewhere, left something out, or
 * walks rows. So each open of one has a place in the keep, where its server leaves what comes at the next offset; a later server
 * goes on there. Any thread; one read of an open at a time is what programs do, and what is remembered.
 */

int places_new(struct fs *fs); /* fs->places, with what earlier servers left; before any request */
void places_free(struct places *all);
/* From an OPEN's handler: a handle for fi->fh; -EAGAIN if the user has too many (limits.blocked), -ENFILE if all have. */
int place_open(struct ctx *c, uint64_t *ret_fh);
bool place_is_admin(struct fs *fs, uint64_t fh);	 /* was it opened by one? */
bool place_is_of(struct fs *fs, uint64_t fh, uid_t uid); /* … by this user? */
/* What comes at off: true, if a read of this open ended there. */
bool place_find(struct fs *fs, uint64_t fh, off_t off, int64_t *ret_pos);
bool place_latest(
	struct fs *fs, uint64_t fh, int64_t *ret_pos); /* what comes after its last answer */
/* The same of an offset between these two: where that part of the stream begins, and ends. */
bool place_within(
	struct fs *fs, uint64_t fh, off_t off, off_t *ret_begin, int64_t *ret_pos, off_t *ret_end);
/* Before the answer: the next read, at off, goes on at pos. What was noted before this is known as well; what before that, no more. */
void place_next(struct fs *fs, uint64_t fh, off_t off, int64_t pos);
/* A part of a stream that begins with `first`: what one read is answered from. */
struct part {
	off_t begin, end; /* end 0: it is yet to be written */
	int64_t pos;	  /* what comes at its begin */
};
/* The one that begins at off, or the latest that was read, if off is in the middle of that. False: no read of this open has led there. */
bool place_part(struct fs *fs, uint64_t fh, off_t off, int64_t first, struct part *ret);
/* Before the answer: it has so many bytes. The next reads go on behind it, or within it. */
void place_part_read(struct fs *fs, uint64_t fh, const struct part *p, size_t len, int64_t next);
void place_drop(struct fs *fs, uint64_t fh); /* nothing if it is none of ours */
unsigned place_count(struct fs *fs);	     /* how many streams are open */

/* --- json_all.c: answers a read of .volfs/json (json.h: what it writes) */

void json_all_read(struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi);

/* --- dir.c: the generic half of a directory */

#define LONG_TIMEOUT                                                                               \
	86400.0 /* seconds: what changes only through this mount is invalidated at each change */
#define DRAFT_TIMEOUT                                                                              \
	1.0 /* enough for an open(2), which asks whether it may; writes invalidate it */

struct subdir {
	const char *name; /* NULL ends a table */
	enum kind kind;
	bool same_row; /* its row is the object's (metadata/), else 0 */
	bool unlisted;
	unsigned index; /* of its node */
};

/* One dynamic entry of a listing; at: its place (> 0, rising). */
struct entry {
	char name[NAME_LEN + 1];
	struct node node;
	struct stat st;
	int64_t at;
	uint64_t generation;
};

struct dir {
	const struct attr *attrs;
	const struct subdir *subdirs;
	double timeout;	     /* seconds that the kernel may keep dynamic entries */
	double attr_timeout; /* … and the attributes of this object and its files */
	/* Attributes of the directory itself (st_ino is filled in by dir.c); its owner is its
	 * files' owner. */
	int (*stat)(struct ctx *c, int64_t row, struct stat *st);
	/* Dynamic entries: by name; and up to n after a place. */
	int (*find)(struct ctx *c, int64_t row, const char *name, struct entry *ret);
	int (*list)(struct ctx *c, int64_t row, int64_t after, struct entry *ret, size_t n);
	/* What find did not find but may get a row now; answers the lookup. NULL: nothing does. */
	void (*make)(struct ctx *c, int64_t row, const char *name);
	/* Gestures; each answers. NULL: nothing can be made, removed, renamed here. */
	void (*mkdir)(struct ctx *c, int64_t row, const char *name);
	void (*rmdir)(struct ctx *c,
		const struct entry
			*e); /* what is dynamic, or what the kernel sends again and is gone */
	void (*create)(struct ctx *c, int64_t row, const char *name, mode_t mode,
		struct fuse_file_info *fi);
	void (*unlink)(struct ctx *c, int64_t row, const char *name);
	void (*rename)(struct ctx *c, int64_t row, const char *name, const char *newname);
	/* statfs of what is in here; NULL: the sum of all backends. */
	int (*space)(struct ctx *c, int64_t row, struct statvfs *ret);
};

extern const struct dir dir_root, dir_new, dir_volfs, dir_volume, dir_metadata, dir_attachments,
	dir_attachment, dir_by, dir_by_key, dir_backends, dir_backend, dir_quotas, dir_quota,
	dir_quota_types, dir_type_quota, dir_trash, dir_types, dir_type, dir_extra_specs, dir_qos,
	dir_access, dir_default_for, dir_snapshots, dir_snapshot, dir_unmanaged,
	dir_unmanaged_image;

const struct dir *dir_of(enum kind kind);   /* NULL: not a directory */
const struct attr *dir_attr(struct node n); /* NULL: not an attribute */
bool dir_has_attr(const struct dir *d, const char *name);
bool dir_has_subdir(const struct dir *d, const char *name);
int dir_lookup(struct ctx *c, struct node parent, const char *name, struct entry *ret,
	double *entry_timeout);
void dir_read(struct ctx *c, struct node n, size_t size, off_t off, bool plus);
int node_stat(struct ctx *c, struct node n, struct stat *st); /* of any kind of node */
double node_attr_timeout(struct node n);
void stat_dir(struct stat *st, mode_t mode, uid_t uid, gid_t gid, int64_t changed_us);

/* --- respec.c */

int respec_show(
	struct ctx *c, int64_t row, struct buf *out); /* what would create such a volume again */

/* --- dir_volume.c, dir_metadata.c, dir_attachments.c, dir_snapshots.c, dir_quotas.c, dir_backends.c */

void entry_of_volume(const struct vol_entry *v, struct entry *ret);
int volume_stat_file(
	struct ctx *c, int64_t row, mode_t mode, struct stat *st); /* a file owned as the volume */
void volume_setattr(struct ctx *c, struct node n, const struct stat *attr, int to_set);
unsigned volume_attr_index(const char *name); /* from 1 */
unsigned volume_attr_count(void);
/* A volume alive, in the trash or purged within the hour (trashed is set, *ret_purged too). */
int volume_entry(struct ctx *c, int64_t row, struct vol_entry *ret, bool *ret_purged);
int meta_stat(struct ctx *c, int64_t row, struct stat *st);
unsigned attachment_attr_count(void);
unsigned snapshot_attr_count(void);
const struct attr *meta_attr(
	void); /* a metadata key is a file by itself, with an attribute's behaviour */
int backend_space(struct ctx *c, const char *name, struct statvfs *ret); /* name NULL: the sum */

/* --- dir_by.c */

enum { BY_TARGET_MAX = NAME_LEN + 16 };
struct node by_above(struct node n); /* of a directory there */
int by_link_stat(struct ctx *c, struct node n, struct stat *st);
int by_link_target(struct ctx *c, struct node n, char target[BY_TARGET_MAX]);

/* --- summary.c */

/* Answers a read of .volfs/summary. */
void summary_read(struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi);

/* --- dir_unmanaged.c, move.c */

/* The image's name of what stands in a path; false: there can be none. */
bool unmanaged_name(const char *shown, char name[NAME_LEN + 1]);
/* A rename between directories that the table there names, or else a refusal. */
void move_between(
	struct ctx *c, struct node from, const char *name, struct node to, const char *newname);

/* --- dir_types.c, dir_type_lists.c */

/* Who looks at types: found out when the first private one is met, once for all of a listing. { 0 } to begin with. */
struct looker {
	bool known;
	struct who who;
};
bool type_seen(struct ctx *c, struct looker *l, const struct vol_type *t); /* may it know of it? */
int type_entry_stat(struct ctx *c, int64_t row, struct stat *st);
const struct attr *type_entry_attr(void);
enum type_list type_list_of(enum kind kind); /* 0: it is none */
const char *type_list_name(enum type_list list);
/* A key in a directory of keys, as `errors` names it: "metadata/app", ".volfs/types/fast/qos/total_iops_sec". */
enum { KEYS_FILE = 3 * NAME_LEN };
void keys_file(struct ctx *c, struct node dir, const char *name, char text[KEYS_FILE]);

/* --- dir_new.c */

int64_t accepted_find(struct ctx *c, const char *file);	   /* what a spec became: a row; 0: none */
bool accepted_was_unlinked(struct ctx *c, int64_t volume); /* by this process, just now */
/* That spec as a file: it is read only. */
void accepted_open(struct ctx *c, struct node n, struct fuse_file_info *fi);
void accepted_read(struct ctx *c, struct node n, size_t size, off_t off);

/* --- draft.c, draft_open.c, draft_io.c, draft_meta.c: new/, and drafts among keys (metadata, a type's lists). dir: 0: new/;
 * else the inode number of the directory that they are in. */

int drafts_new(struct fs *fs, struct drafts **ret, struct err *err);
void drafts_free(struct drafts *d);
fuse_ino_t draft_ino(struct fs *fs, uint64_t file);
void draft_create(
	struct ctx *c, int64_t dir, const char *name, mode_t mode, struct fuse_file_info *fi);
void draft_open(struct ctx *c, struct node n, struct fuse_file_info *fi);
void draft_read(struct ctx *c, struct fuse_file_info *fi, size_t size, off_t off);
void draft_write(
	struct ctx *c, struct fuse_file_info *fi, const char *text, size_t size, off_t off);
void draft_flush(struct ctx *c, struct fuse_file_info *fi);
void draft_release(struct ctx *c, struct fuse_file_info *fi);
void draft_truncate(struct ctx *c, struct node n, off_t size);
void new_rename(struct ctx *c, int64_t row, const char *from, const char *to);
int draft_stat(struct ctx *c, struct node n, struct stat *st);
void draft_chmod(struct ctx *c, struct node n, mode_t mode); /* the caller replies */
int draft_find(struct ctx *c, int64_t dir, const char *name, struct entry *ret);
int draft_list(struct ctx *c, int64_t after, struct entry *ret, size_t n);

/* False: there is no such draft, and nothing is answered. To another draft's name; to a key's. */
bool draft_unlink(struct ctx *c, int64_t dir, const char *name);
bool draft_rename(struct ctx *c, int64_t dir, const char *from, const char *to);
bool draft_to_key(struct ctx *c, int64_t dir, const char *from, const char *key);

/* What is the same of every directory of keys. True: a draft, or a refusal, and answered. */
bool keys_create(
	struct ctx *c, int64_t dir, const char *name, mode_t mode, struct fuse_file_info *fi);
bool keys_rename(struct ctx *c, int64_t dir, const char *name, const char *newname);

/* --- file.c, file_io.c: `data` */

int files_new(struct fs *fs,
	struct err *err); /* with those that earlier servers had open; before any request */
void files_free(struct fs *fs);
/* Has anybody a snapshot's `data` open, here? Then it cannot be removed. */
bool file_snapshot_is_open(struct fs *fs, int64_t snapshot);
int file_stat(struct ctx *c, struct node n, struct stat *st);
void file_setattr(struct ctx *c, struct node n, const struct stat *attr, int to_set);
void file_open(struct ctx *c, struct node n, struct fuse_file_info *fi);
bool file_is_shared(struct view *v,
	const struct volume *vol);	 /* may programs on other hosts write to it, too? */
void file_opened(struct change *ch);	 /* the engine has accepted it: answers */
void file_not_opened(struct change *ch); /* it has not: what was begun is undone; another answers */
void file_release(struct ctx *c, struct node n, struct fuse_file_info *fi);
void file_read(struct ctx *c, struct fuse_file_info *fi, size_t size, off_t off);
void file_write(struct ctx *c, struct fuse_file_info *fi, const char *text, size_t size, off_t off);
void file_fsync(struct ctx *c, struct fuse_file_info *fi);
void file_flush(struct ctx *c, struct fuse_file_info *fi);
void file_fallocate(struct ctx *c, struct fuse_file_info *fi, int mode, off_t off, off_t len);
void file_lseek(struct ctx *c, struct fuse_file_info *fi, off_t off, int whence);

/* --- killed.c: requests that end when their caller is killed, though the storage does not answer */

struct patient {
	fuse_req_t req;
	pid_t tid;
	void (*release)(struct patient *p);
	void (*leave)(
		struct patient *p); /* the caller was killed, and goes when this returns; NULL */
	atomic_uint refs;
	atomic_bool claimed;
	bool listed;		     /* killed.lock */
	struct patient *prev, *next; /* killed.lock */
};
int killed_new(struct killed **ret);
void killed_free(struct killed *k);
/* Embedded in what a request's answer needs, from before the storage is asked. release() is called when nobody refers to it any more. */
void patient_begin(struct patient *p, fuse_req_t req, void (*release)(struct patient *p),
	void (*leave)(struct patient *p));
bool patient_claim(
	struct patient *p); /* true: the caller answers the request. false: it was answered */
void patient_end(struct patient *p); /* the storage has ended, and the answer is out */

/* --- overflow.c: see file.h */

int overflow_new(const struct conf *conf, struct overflow **ret);
void overflow_end(
	struct overflow *o); /* what is on its way to a file is ready at once; nothing more comes */
void overflow_free(struct overflow *o);

/* --- wait.c, wait_read.c, wait_poll.c: readers that block until a volume has settled, and poll(2) */

int waiters_new(struct fs *fs, struct waiters **ret, struct err *err);
void waiters_free(struct waiters *w);
void wait_read(struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi);
void wait_poll(struct ctx *c, struct node n, const struct attr *a, struct fuse_file_info *fi,
	struct fuse_pollhandle *ph);
/* A volume changed: those who wait for it look again, after waiters_go(). */
void waiters_wake(struct waiters *w, int64_t volume);
/* All that a commit changed has been told: they look now, on the waiters' own thread; if it is one reader, on the caller's, who has a
 * view of its own. */
void waiters_go(struct waiters *w);
void waiters_forget(struct waiters *w, uint64_t fh); /* the open is released: its poll too */
void waiters_count(struct waiters *w, unsigned *ret_readers, unsigned *ret_polls);
/* Answers a change that is durable when its volume has settled, -EIO if that is an error; at once when its caller is interrupted. */
void wait_change(struct change *ch, int64_t volume);

/* --- admit.c: how many of each user's calls may wait, in wait_*.c and follow_*.c. Any thread, under whatever lock */

int admit_new(struct keep *keep, long max, struct admit **ret);
void admit_free(struct admit *a);
/* One more blocked read; false: the user has too many. And one less. */
bool admit_read(struct admit *a, uid_t uid);
void admit_read_end(struct admit *a, uid_t uid);
/* A place in the keep for a sleeping poll(2); -1: it has none. */
int admit_poll(struct admit *a, uid_t uid, uint64_t kh);
void admit_poll_end(struct admit *a, uid_t uid, int slot);

/* --- log.c, log_who.c, window.c, follow.c, follow_read.c, follow_poll.c: .volfs/events and .volfs/history; log.h says more */

int openers_new(struct openers **ret);
void openers_free(struct openers *o);
void openers_forget(struct openers *o, uint64_t fh);
/* From an OPEN of any stream: remembers who it is, and where `events` begins. 0, -ENOMEM, -EIO. */
int log_opened(struct ctx *c, const struct attr *a, uint64_t fh);
int log_stat(struct ctx *c, struct stat *st); /* of history: size and time as its caller sees it */
void log_read(struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi);

int follow_new(struct fs *fs, struct follow **ret, struct err *err);
void follow_free(struct follow *f);
void follow_read(struct ctx *c, struct node n, size_t size, off_t off, struct fuse_file_info *fi);
void follow_poll(struct ctx *c, struct fuse_file_info *fi, struct fuse_pollhandle *ph);
void follow_wake(struct follow *f);		   /* after each commit: there may be new events */
void follow_forget(struct follow *f, uint64_t fh); /* as waiters_forget() */
size_t follow_count(struct follow *f);		   /* how many wait, in read(2) or poll(2) */

/* --- metrics.c: .volfs/metrics */

int metrics_show(struct ctx *c, int64_t row, struct buf *out);

/* --- guard.c: what a process did to an object (by its directory's inode number) within the last 60 s: tree
 * walkers must not destroy, and who removes an accepted spec may write it again */

int guard_new(struct keep_deeds *keep, struct guard **ret);
void guard_free(struct guard *g);
void guard_note(struct guard *g, pid_t tgid, fuse_ino_t ino);
bool guard_knows(struct guard *g, pid_t tgid, fuse_ino_t ino);
void guard_forget(struct guard *g, pid_t tgid, fuse_ino_t ino);
bool guard_is_empty(struct guard *g); /* then nobody needs to ask /proc who it is */

/* --- notify.c: changes to the kernel's caches */

int changes_new(bool all_told, struct changes **ret); /* all_told: an earlier server did */
void changes_free(struct changes *ch);
uint64_t changes_seen(struct changes *ch);
/* The kernel is about to be told of n: from here on its changes are notified. */
void changes_tell(struct changes *ch, struct node n);
/* The same for what a READDIRPLUS answered: len bytes of entries. */
void changes_repeat_page(struct fs *fs, uint64_t seen, const char *at, size_t len);
/* Repeats the notification for ino if row changed after `seen` was taken: the kernel may not have
 * known the inode yet. */
void changes_repeat(struct fs *fs, uint64_t seen, int64_t row, fuse_ino_t ino);

/* again.c */
int again_new(struct fs *fs, struct again **ret, struct err *err);
void again_free(struct again *a);
void again_later(struct again *a, fuse_ino_t ino); /* notifies it once more, in some milliseconds */
void again_root(struct again
		*a); /* the list of volumes changed: notifies the root, in 5 ms at the latest */

/* Notifies what a dead server may have changed and not notified, where the kernel did not drop all. */
void changes_again(struct fs *fs);

extern const struct fuse_lowlevel_ops fs_ops; /* ops.c */

#endif
