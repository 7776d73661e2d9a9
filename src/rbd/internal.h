/*
 * The map of this folder: what each file offers to its siblings.  Names begin with rb_, since rbd_ is librbd's.
 *
 * A backend has two connections, made when first needed:
 *   change   without operation time-outs: create, remove, resize. A time-out in the middle of a change would leave things
 *            behind that land later. Its address is what is fenced.
 *   look     with the backend's time-out: statistics and other look-ups.
 * Both give up connecting after the time-out. Each has one struct rb_pool: the I/O contexts of the pool of that name as
 * it is now; a pool that was deleted and made again under its name gets new ones.
 *
 * An image is known by its name, `volume-<uuid>`, and where it was made by the object class directly (format.c) also by the
 * id that the caller chose. librbd chooses an id of its own: there the name is all.
 */
#ifndef VOLFS_RBD_INTERNAL_H
#define VOLFS_RBD_INTERNAL_H

#include "base/err.h"
#include "base/lock.h"
#include "driver.h"

#include <rados/librados.h>
#include <rbd/librbd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RB_BATCH = 32,	      /* creations that share one operation on the directory */
	RB_NAME_ROOM = 64,    /* volume-<uuid> and its NUL; also an id of librbd's making */
	RB_OBJECT_ROOM = 288, /* name of a RADOS object, with a name that people may have chosen */
	RB_KNOWN = 16,	      /* sources of clones that are remembered */
	RB_SNAP_NAME_ROOM = NAME_LEN + 1,
};

/* Refers to the pool as it was when this was made; counted. */
struct rb_pool {
	rados_t cluster;	/* the link's, borrowed */
	rados_ioctx_t io, data; /* data: of the data pool; the same as io without one */
	int64_t id, data_id;	/* data_id: -1 without a data pool */
	atomic_uint refs;
};

struct rb_handle;

enum rb_link_state {
	RB_LINK_DOWN,
	RB_LINK_CONNECTING, /* one thread is at it, without the lock; others wait */
	RB_LINK_UP,	    /* for good: librados finds its way back by itself */
};

struct rb_link {
	bool timed;		  /* operations end after the backend's time-out */
	struct lock lock;	  /* never held over a call that may wait for the cluster */
	pthread_cond_t settled;	  /* state is not CONNECTING any more */
	enum rb_link_state state; /* lock */
	unsigned attempt;	  /* lock; counts connections tried */
	struct err failure;	  /* lock; of the last attempt that failed */
	rados_t cluster;	  /* constant once UP */
	struct rb_pool *pool;	  /* lock; NULL until first needed */
};

/* The snapshot that a clone is made of, as its header names it; pool -1: it is no clone. */
struct rb_parent {
	int64_t pool;
	char space[RB_NAME_ROOM],
		id[RB_NAME_ROOM]; /* namespace and id of the image; cut where longer */
	uint64_t snap;
};

/* What a clone is made of. */
struct rb_source {
	struct rb_parent parent;
	uint64_t size; /* of the snapshot */
};

/* A source of clones that was found to be fit for the direct way, and until when that is believed. */
struct rb_known {
	char image[UUID_LEN + 1], snapshot[UUID_LEN + 1];
	struct rb_source source;
	int64_t until_ns; /* 0: nothing */
};

struct flight;

struct rb_backend {
	const struct backend_conf *conf;
	uint64_t features; /* as configured, without data-pool */
	uint8_t order;	   /* log2 of the bytes of an object */
	struct rb_link change, look;
	atomic_int direct;	/* enum rb_direct */
	atomic_long calls;	/* under way */
	atomic_long crash_left; /* test only: operations until the process kills itself */
	struct lock known_lock;
	struct rb_known known[RB_KNOWN]; /* known_lock */
	struct lock handle_lock;
	pthread_cond_t handle_changed;
	struct rb_handle *handles; /* handle_lock */
	struct lock info_lock;
	char fsid[UUID_LEN + 1]; /* info_lock; "" until connected */
	char monitors[512];	 /* info_lock */
};

/* Counts the caller among be->calls to the end of the block: close() leaves alone what somebody still uses. */
#define RB_CALL(be)                                                                                \
	atomic_fetch_add(&(be)->calls, 1);                                                         \
	__attribute__((cleanup(rb_call_end), unused)) struct rb_backend *rb_call_ = (be)

static inline void rb_call_end(struct rb_backend **be)
{
	atomic_fetch_sub(&(*be)->calls, 1);
}

enum rb_direct {
	RB_DIRECT_UNKNOWN, /* "auto", and not connected yet */
	RB_DIRECT_ON,
	RB_DIRECT_OFF,
};

/* The lock of who writes to an image, as librbd takes it. */
#define RB_LOCK_NAME "rbd_lock"
#define RB_LOCK_TAG  "internal"

/* What an image's header says. */
struct rb_header {
	uint64_t size, features, op_features, flags;
	uint8_t order;
	uint32_t snapshots;
	int64_t data_pool; /* -1: none */
	struct rb_parent parent;
};

/* --- connect.c */

void rb_link_init(struct rb_link *l, bool timed);
void rb_link_release(struct rb_link *l); /* nobody is in a call */

/* Connects if need be and refers to the pool as it is now; rb_pool_put() it. */
int rb_pool_get(struct rb_backend *be, struct rb_link *l, struct rb_pool **ret, struct err *err);
void rb_pool_put(struct rb_pool *p);

/* Has the pool been deleted (and perhaps made again)? Asked after -ENOENT where something ought to be. */
bool rb_pool_is_stale(struct rb_backend *be, const struct rb_pool *p);

/* Connects if need be. */
int rb_link_connect(struct rb_backend *be, struct rb_link *l, rados_t *ret, struct err *err);

/* --- error.c */

/* Makes the sentence for a code of librados or librbd: "cannot <doing>: <why>"; returns code. */
__attribute__((format(printf, 4, 5))) int rb_fail(
	const struct rb_backend *be, struct err *err, int code, const char *doing, ...);

/* --- create.c */

void rb_create(void *be, struct driver_create *each, size_t n);

/* What can be said of a size without asking anybody. */
int rb_check_size(const struct rb_backend *be, uint64_t size, struct err *err);

/* --- format.c: the object class */

const char *rb_image_name(const char *uuid, char ret[RB_NAME_ROOM]);
const char *rb_object(
	char ret[RB_OBJECT_ROOM], const char *kind, const char *name); /* kind: "rbd_header." */

/* Objects that an image of that size has, without their number being limited. */
uint64_t rb_object_count(uint64_t size, uint8_t order);

/* One creation of a batch. */
struct rb_make {
	struct driver_create *c;
	const struct rb_source *source; /* NULL: an empty image */
	struct flight *look;		/* of a clone: rb_format_look() */
};

/* Asks whether an earlier try of a clone, if there was one, has made its header: while that is under way, its source can be looked for. */
void rb_format_look(
	struct rb_backend *be, struct rb_pool *p, const struct driver_create *c, struct flight *f);

/*
 * Creates n images (up to RB_BATCH), all operations in flight at once. Sets each code and sentence; repeated, it completes what is
 * there. -EEXIST: the name belongs to an image of another id (librbd made it); nothing of this id is left then.
 */
void rb_format_create(
	struct rb_backend *be, struct rb_pool *p, const struct rb_make *each, size_t n);

/* Adds to op what takes a clone off its parent's header: -ENOENT if it is not there. */
void rb_format_detach(rados_write_op_t op, struct rb_backend *be, struct rb_pool *p, const char *id,
	uint64_t snap);

/* --- header.c: what there is of an image */

/* The questions to a header, to be sent with one read operation, and their answers. */
enum { RB_QUESTIONS = 7, RB_QUESTION_SNAPS = 3 };
struct rb_header_query {
	char answer[RB_QUESTIONS][256];
	size_t len[RB_QUESTIONS];
	int code[RB_QUESTIONS];
};
rados_read_op_t rb_header_ask(
	struct rb_header_query *q); /* the caller sends and releases it; q stays until it landed */
int rb_header_answer(const struct rb_header_query *q, struct rb_header *ret);

/* Reads the header of an image by id; -ENOENT. */
int rb_format_header(struct rb_pool *p, const char *id, struct rb_header *ret);

/* The id that a name stands for, by its id object or by the directory; -ENOENT. */
int rb_format_find(struct rb_pool *p, const char *name, char ret_id[RB_NAME_ROOM]);

/* One of both alone. */
int rb_format_id_of(struct rb_pool *p, const char *name, char ret_id[RB_NAME_ROOM]);
int rb_format_entry_of(struct rb_pool *p, const char *name, char ret_id[RB_NAME_ROOM]);

/* The name that the directory has for an id: somebody may have chosen it; -ENOENT. */
int rb_format_name_of(struct rb_pool *p, const char *id, char ret_name[NAME_LEN + 1]);

/* Is there a directory entry, id object, header and map that agree, of this size? 0, -ENOENT (something is missing or differs). */
int rb_format_complete(struct rb_pool *p, const char *name, const char *id, uint64_t size);

/*
 * Reads an object map: *ret_bits is malloc'ed, two bits an object, the first in the upper bits of the first byte; NULL on
 * failure. -EINVAL: it is not a map of count objects.
 */
int rb_format_map(struct rb_pool *p, const char *id, uint64_t count, unsigned char **ret_bits);

static inline unsigned rb_map_state(const unsigned char *bits, uint64_t i)
{
	return (unsigned)bits[i / 4] >> (6 - 2 * (i % 4)) & 3; /* 0: no object */
}

/* Features that the direct way knows all about. */
#define RB_PLAIN_FEATURES                                                                          \
	(RBD_FEATURE_LAYERING | RBD_FEATURE_EXCLUSIVE_LOCK | RBD_FEATURE_OBJECT_MAP |              \
		RBD_FEATURE_FAST_DIFF | RBD_FEATURE_DEEP_FLATTEN | RBD_FEATURE_DATA_POOL)

/* Features that only one client at a time can keep: the lock, and what needs it. With it two who write would pass it to and fro. */
#define RB_ALONE_FEATURES                                                                          \
	(RBD_FEATURE_EXCLUSIVE_LOCK | RBD_FEATURE_OBJECT_MAP | RBD_FEATURE_FAST_DIFF |             \
		RBD_FEATURE_JOURNALING)

/* Those that an image is made with. */
static inline uint64_t rb_features(const struct rb_backend *be, const struct driver_image *image)
{
	return image->shared ? be->features & ~(uint64_t)RB_ALONE_FEATURES : be->features;
}

/* What an image's clones, snapshots and parent have done to it besides, and to its features then. */
#define RB_PLAIN_OP_FEATURES                                                                       \
	(RBD_OPERATION_FEATURE_CLONE_PARENT | RBD_OPERATION_FEATURE_CLONE_CHILD |                  \
		RBD_OPERATION_FEATURE_SNAP_TRASH)

/* Does an image have nothing that the direct way does not know? */
static inline bool rb_is_plain(const struct rb_header *h)
{
	return !(h->features & ~(uint64_t)(RB_PLAIN_FEATURES | RBD_FEATURE_OPERATIONS)) &&
	       !(h->op_features & ~(uint64_t)RB_PLAIN_OP_FEATURES);
}

/* --- snapinfo.c: what a header says of snapshots */

enum rb_snap_space { /* as the object class numbers them */
	RB_SNAP_USER,
	RB_SNAP_GROUP,
	RB_SNAP_TRASH, /* removed while clones needed it; goes with the last of them */
	RB_SNAP_MIRROR,
};

struct rb_snap {
	uint64_t id, size;
	enum rb_snap_space space;
	char name[RB_SNAP_NAME_ROOM]; /* in the trash: as it was; cut where it is longer */
	uint32_t children;	      /* clones of format 2 */
	bool is_protected;	      /* clones of format 1 need that */
	bool last; /* the newest of those of RB_SNAP_USER; not by rb_snap_get() */
	int64_t created_us;
};

/* snapshot-<uuid>, or of a temporary one volume-<uuid>.clone_snap */
const char *rb_snap_name(const struct driver_snap *snap, char ret[RB_NAME_ROOM]);

/* The snapshot of that name in the user namespace; -ENOENT: no such snapshot, or image. */
int rb_snap_find(
	struct rb_pool *p, const char *image_id, const char *snap_name, struct rb_snap *ret);
int rb_snap_get(struct rb_pool *p, const char *image_id, uint64_t id, struct rb_snap *ret);

/* The same in two halves: the question to the image's header, as rb_header_ask(), and the answer. */
struct rb_snap_query {
	char info[2048], protection[8]; /* info is mostly its name */
	size_t info_len, protection_len;
	int info_code, protection_code;
};
rados_read_op_t rb_snap_ask(struct rb_snap_query *q, uint64_t id);
int rb_snap_answer(const struct rb_snap_query *q, struct rb_snap *ret);

/* The same as rb_snap_find(), by what a header answered just now: a question less, mostly. */
int rb_snap_find_in(struct rb_pool *p, const char *image_id, const struct rb_header_query *q,
	const char *snap_name, struct rb_snap *ret);

/* All of an image, of every namespace, in the order of their taking: *ret is malloc'ed; how many, or -errno (-ENOENT: no such image). */
int rb_snap_list(struct rb_pool *p, const char *image_id, struct rb_snap **ret);

/* --- flight.c: operations under way */

struct flight {
	rados_completion_t done; /* NULL: it could not even be sent, or nothing was */
	int code;
};

/* Sends op to object and frees it; rb_land() gives the answer. */
void rb_fly(struct rb_backend *be, struct flight *f, rados_ioctx_t io, const char *object,
	rados_write_op_t op);
void rb_fly_remove(struct rb_backend *be, struct flight *f, rados_ioctx_t io, const char *object);

/* Makes the completion for a call of librados' own; sent() takes what that call returned. */
rados_completion_t rb_flight_begin(struct rb_backend *be, struct flight *f);
void rb_flight_sent(struct flight *f, int r);
int rb_land(struct flight *f); /* waits; the code; a second call answers the same */

/* Before rados_shutdown(), nothing being under way: waits for librados' own afterwork. */
void rb_flights_settle(rados_ioctx_t io);

/* --- clone.c: what a clone is made of */

/*
 * Asks for the snapshot that c is made from; a source that is an image as it is now is found by its temporary snapshot. 0: fit to be
 * cloned directly; RB_NOT_PLAIN; -errno, with a sentence in c->err.
 */
int rb_source_find(
	struct rb_backend *be, struct rb_pool *p, struct driver_create *c, struct rb_source *ret);

/* The name of that snapshot. */
const char *rb_source_snap_name(const struct driver_create *c, char ret[RB_NAME_ROOM]);

/* Clones an image as it is now: takes the temporary snapshot, lets make() clone that, and removes it. Sets code and sentence. */
void rb_clone_image(struct rb_backend *be, struct rb_pool *p, struct driver_create *c,
	void (*make)(
		struct rb_backend *be, struct rb_pool *p, struct driver_create *each, size_t n));

/* --- known.c: sources of clones, for a second after they were asked for */

bool rb_known_get(struct rb_backend *be, const struct rb_pool *p, const struct driver_source *s,
	struct rb_source *ret);
void rb_known_put(
	struct rb_backend *be, const struct driver_source *s, const struct rb_source *source);
void rb_known_forget(struct rb_backend *be, const struct rb_source *source);

/* --- release.c: snapshots that go with something else */

/*
 * Removes the snapshots that go with an image: temporary ones, and those in the trash that nobody needs any more. The caller is alone
 * with it (rb_handle_alone). 0: none is left. -ENOTEMPTY: there are others; -EMLINK: clones need one. Then all are untouched.
 */
int rb_snaps_clear(struct rb_pool *p, const char *id);

/* A clone has left its parent's snapshot, and r and snap are what rb_snap_get() says of it since: removes it if it is in the trash and
 * this was the last. Failure is only logged: then it goes with its image. */
void rb_parent_release(struct rb_backend *be, struct rb_pool *p, const struct rb_parent *parent,
	int r, const struct rb_snap *snap);

/* --- meter.c */

/* Becomes a progress; one without `progress` counts for nobody. */
struct rb_meter {
	struct driver_progress *progress; /* NULL */
	uint64_t bytes;
};

/* Tells at once how much there is to do. */
void rb_meter_start(struct rb_meter *m, struct driver_progress *progress, uint64_t bytes);

/* So many of so many objects. Never back: what begins anew, as the rebuilding of an object map does, counts as done. A
 * librbd_progress_fn_t: arg is the meter. Returns 0. */
int rb_meter_tell(uint64_t done, uint64_t total, void *meter);

/* --- remove.c */

enum rb_removed {
	RB_REMOVED = 1, /* a complete image of this name and id */
	RB_REMOVED_PARTS, /* whatever was left of that id; the name may stand for another image, or lie in the trash */
	RB_NOT_PLAIN, /* untouched: librbd must do it */
};

/* An enum rb_removed, or -EBUSY, -ENOTEMPTY, -EMLINK (untouched), or another -errno. */
int rb_format_remove(struct rb_backend *be, struct rb_pool *p, const char *name, const char *id,
	struct driver_progress *progress, struct err *err);

/* --- qos.c: limits on an image's speed, which librbd keeps */

bool rb_qos_supported(void); /* by this librbd */
bool rb_qos_known(const char *key);

/* Adds c's limits to the operation that makes a header. */
void rb_qos_add(rados_write_op_t op, const struct driver_create *c);

/* Is a key of an image's metadata a limit, whoever set it? */
bool rb_qos_is_limit(const char *metadata);

/* Has c any limits that rb_qos_apply() would set? */
bool rb_qos_any(const struct driver_create *c);

/* Sets c's limits on an image that is open, and of a clone takes away those that came with its source. Can be repeated. */
int rb_qos_apply(rbd_image_t image, const struct driver_create *c);

/* --- image.c: librbd */

/* The image and its limits; the sentence goes to c->err. */
int rb_image_create(struct rb_backend *be, struct rb_pool *p, struct driver_create *c);

/* By name, wherever it is; image's id: what the trash may know it by too. 0 if there is nothing. */
int rb_image_remove(struct rb_backend *be, struct rb_pool *p, const char *name,
	const struct driver_image *image, struct driver_progress *progress, struct err *err);
int rb_image_resize(
	struct rb_backend *be, struct rb_pool *p, const char *uuid, uint64_t size, struct err *err);

/* Allocated bytes of an image, by its map if that can be trusted, else by a question for each object. */
int rb_image_sum(rbd_image_t image, uint64_t size, uint64_t *ret);

int rb_image_used(
	struct rb_backend *be, struct rb_pool *p, const char *name, uint64_t *ret, struct err *err);

/* --- handle.c */

/* Opens an image for a change, or joins who has it open for one. Blocks; -ENOENT. */
int rb_handle_get(struct rb_backend *be, struct rb_pool *p, const char *id, struct rb_handle **ret,
	rbd_image_t *ret_image);

/*
 * For its removal: until it is put nobody else gets a handle of the image. Waits for those that there are. A thread may have one of a
 * clone when it wants one of the clone's parent, never the other way.
 */
int rb_handle_alone(
	struct rb_backend *be, struct rb_pool *p, const char *id, struct rb_handle **ret);
void rb_handle_put(struct rb_backend *be, struct rb_handle *h); /* the last one closes it */

/* --- snap.c: see driver.h */

#define RB_NO_SNAP UINT64_C(0xfffffffffffffffe) /* CEPH_NOSNAP: the image itself */

int rb_snap_create(void *be, const struct driver_image *image, const struct driver_snap *snap,
	struct driver_progress *progress, struct err *err);
int rb_snap_remove(void *be, const struct driver_image *image, const struct driver_snap *snap,
	struct err *err);

/* An image opened for a change. */
struct rb_change {
	struct rb_backend *be;
	struct rb_pool *p;
	rbd_image_t image;
	char name[RB_NAME_ROOM], id[RB_NAME_ROOM];
	uint64_t features;
};

/* Opens the image, lets run() change it, closes it. be, p and name come from the caller, and id if it knows it. */
int rb_change_image(struct rb_change *c, int (*run)(struct rb_change *c, void *arg), void *arg);

/* 0; -ENOENT: the snapshot has no object map. */
int rb_change_find_map(const struct rb_change *c, uint64_t snap);

/* --- rewrite.c: see driver.h */

int rb_revert(void *be, const struct driver_image *image, const struct driver_snap *snap,
	struct driver_progress *progress, struct err *err);
int rb_flatten(void *be, const struct driver_image *image, struct driver_progress *progress,
	struct err *err);

/* --- images.c: see driver.h */

int rb_list(void *be, bool parts, int (*each)(void *arg, const struct driver_found *found),
	void *arg, struct err *err);

/* --- look.c: see driver.h */

int rb_look(void *be, const char *name, struct driver_found *ret, struct err *err);
int rb_snaps(void *be, const char *name, struct driver_found_snap *ret, size_t n, struct err *err);

/* May it be adopted? 0; -errno and a sentence that does not name the image: why not; -errno alone: it could not be found out. */
int rb_judge(struct rb_backend *be, struct rb_pool *p, rbd_image_t image, const char *id,
	struct err *err);

/* The same of nothing but a lock that a person took: librbd would wait for its end. */
int rb_judge_lock(struct rb_pool *p, const char *id, struct err *err);

/* --- adopt.c: see driver.h */

int rb_adopt(void *be, const char *name, struct driver_image *image, struct err *err);
int rb_snap_adopt(void *be, const struct driver_image *image, const char *name,
	const struct driver_snap *snap, struct err *err);
int rb_disown(void *be, const struct driver_image *image, const char *name, struct err *err);
bool rb_can_be_called(const char *name);

/* --- data.c: see driver.h */

void rb_data_open(void *be, const struct driver_image *image, const struct driver_snap *snap,
	bool writable, void **ret, driver_done *done, void *arg);
void rb_data_close(void *data, driver_done *done, void *arg);
void rb_data_read(void *data, uint64_t off, size_t len, void *buf, driver_done *done, void *arg);
void rb_data_write(
	void *data, uint64_t off, size_t len, const void *buf, driver_done *done, void *arg);
void rb_data_zero(void *data, uint64_t off, uint64_t len, driver_done *done, void *arg);
void rb_data_flush(void *data, driver_done *done, void *arg);
int rb_data_next(void *data, uint64_t off, uint64_t size, bool hole, uint64_t *ret);

/* --- trash.c */

/* The id of an image in librbd's trash that has this name or this id; -ENOENT. */
int rb_trash_find(struct rb_pool *p, const char *name, const char *id, char ret_id[RB_NAME_ROOM]);

/* An image that died on its way into the trash counts as there: else librbd refuses to remove it (-EUCLEAN). */
int rb_trash_finish_move(struct rb_pool *p, const char *id);

/* --- stats.c */

int rb_stat_pool(void *be, struct backend_stats *ret, struct err *err);
int rb_used(void *be, const struct driver_image *image, uint64_t *ret, struct err *err);

/* --- watchers.c */

/*
 * What a notification brought back: who answered it, and who let it time out (u32 count; then client, watch and for the former a
 * reply). 1: somebody of whom is_ours() says no; 0: nobody; -EBADMSG.
 */
int rb_others(const char *reply, size_t len,
	bool (*is_ours)(const void *arg, uint64_t client, uint64_t watch, bool late),
	const void *arg);

/* Who has an open image open, but for this backend's connections: up to room of them, how many there are, or -errno. */
int rb_watchers_of(
	struct rb_backend *be, rbd_image_t image, struct driver_watcher *ret, size_t room);

/* Waits until this handle, which is open for writing, is the image's only one. What of ours has it open besides ends by itself: librbd,
 * removing the last clone of a snapshot, opens the snapshot's image. 0, -EBUSY (a program outside, or ours that does not end), or another
 * -errno. May take 30 s. */
int rb_wait_alone(struct rb_backend *be, rbd_image_t image);

/* Who holds the lock of an image. */
struct rb_locker {
	char tag[256], client[1024], cookie[1024], address[1024];
};

/* 1: somebody does; 0: nobody, or there is no such header; -ERANGE: too many; or another -errno. */
int rb_locker_of(struct rb_pool *p, const char *header, struct rb_locker *ret);

/* Is it the lock that librbd takes for whoever writes? Else a person did (rbd lock add). */
bool rb_is_writer(const struct rb_locker *l);

/* Is that client of the cluster one of this backend's connections? */
bool rb_is_own(struct rb_backend *be, uint64_t client);
void rb_busy(void *be, const struct driver_image *image, driver_done *done, void *arg);
int rb_watchers(void *be, const struct driver_image *image, struct driver_watcher *ret, size_t n,
	struct err *err);
int rb_evict(void *be, const struct driver_image *image, const struct driver_watcher *who,
	struct err *err);

/* --- fence.c */

int rb_fence_address(void *be, char *text, size_t room, struct err *err);
int rb_fence(void *be, const char *text, struct err *err);

/* Puts one address on the blocklist and sees to it that what p's connection sends afterwards comes after that. */
int rb_fence_one(struct rb_backend *be, rados_t change, const char *address);

#endif
