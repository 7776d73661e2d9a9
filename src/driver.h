/*
 * The only way to storage. A driver is a static struct of functions; the engine drives a volume's life through it,
 * nothing else does (fs later reads and writes the bytes of `data` through it).
 *
 * What every driver promises:
 *  - every function may be called from any thread, many at once, also for the same backend; drivers lock for themselves.
 *  - open() never waits for the storage: an unreachable cluster is a backend that is down, not an error.
 *  - create, remove, resize have no time-out: they return when the storage has done it or has said no. So the caller
 *    gives each a thread of its own. stat, used and ping-like calls end within the backend's `timeout`.
 *  - create, remove, resize can be repeated after a crash anywhere inside them, by the same or another process: the
 *    image is known by uuid and image_id, both chosen by the caller and written down before. After remove() has
 *    returned 0 no object of the image is left, whatever earlier tries did.
 *  - errors are -errno and a sentence without the backend's name (the caller puts it before).
 *
 *      open ──▶ ( stat · create · remove · resize · used · connection … from any thread )* ──▶ close
 */
#ifndef VOLFS_DRIVER_H
#define VOLFS_DRIVER_H

#include "base/buf.h"
#include "base/err.h"
#include "volume.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* One backend of the configuration; config.c fills it, drivers keep the pointer for their life. */
struct backend_conf {
	char *name, *driver, *zone;
	double reserved_percentage;	    /* 0 … 100 */
	double max_over_subscription_ratio; /* ≥ 1; 0: "auto" */
	bool thin;
	long timeout;				   /* seconds */
	char *filter_function, *goodness_function; /* expressions; "": none */
	json_t *capabilities;			   /* added to what it reports; an object */
	/* rbd */
	bool flatten; /* a clone does not stay one */
	char *ceph_conf, *ceph_user, *pool, *namespace, *data_pool, *features, *direct;
	uint64_t chunk_size; /* bytes, a power of two, 4 KiB … 32 MiB */
	/* local */
	char *path;
	long crash_at; /* test only, from VOLFS_TEST_*; 0 */
};

struct driver_image {
	char uuid[UUID_LEN + 1];
	char image_id[IMAGE_ID_LEN + 1];
	uint64_t size; /* bytes */
	bool shared; /* to create(), adopt() and connection(): several hosts write to it at once, so it is made without what gives it to one at a time */
};

/* A snapshot, by the uuid that the caller chose. temporary: taken for the creation of the volume of that uuid, and to be removed with it:
 * what a crash leaves of it goes with the image that it is of. */
struct driver_snap {
	char uuid[UUID_LEN + 1];
	bool temporary;
};

/* What an image is made from, on the same backend. */
struct driver_source {
	struct driver_image image; /* size: when it, or its snapshot, was made into a source */
	char snapshot[UUID_LEN +
		      1]; /* ""; the image as it is now: create() takes a temporary snapshot, and that may take a while */
};

/* How far a long change is, in bytes that there are; the driver writes, anybody reads. total 0: not known yet, or nothing to do. Where
 * a function takes one it may be NULL: nobody wants to know. */
struct driver_progress {
	_Atomic uint64_t done, total;
};

/* An image in the storage, whoever made it. */
struct driver_found {
	char name[NAME_LEN + 1];	 /* its own */
	char uuid[UUID_LEN + 1];	 /* of the volume whose name by our scheme it has; "" */
	char image_id[IMAGE_ID_LEN + 1]; /* as far as known; "" */
	bool parts;			 /* no image: what an interrupted change left over */
	uint64_t size, used;		 /* look() only, like all below; bytes */
	unsigned snapshots;
	char reason[REASON_LEN +
		    1]; /* why it cannot be adopted (open elsewhere, locked, of a kind that we cannot read); "" */
};

/* A snapshot in the storage. */
struct driver_found_snap {
	char name[NAME_LEN + 1]; /* its own */
	char uuid[UUID_LEN + 1]; /* that of our scheme; "" */
	bool temporary;		 /* as in driver_snap */
	uint64_t size;		 /* of the image when it was taken */
	int64_t created_us;	 /* 0: not known */
};

/*
 * One limit on the speed of a volume, for its storage to keep. Key: total_iops_sec, read_iops_sec, write_iops_sec (operations a
 * second), total_bytes_sec, read_bytes_sec, write_bytes_sec, or one of these with `_max` behind it: what a burst may reach.
 * 0: without limit.
 */
struct driver_qos {
	const char *key;
	uint64_t value;
};

/*
 * One creation of a batch: the driver fills code (0 or -errno) and err for each. The limits are borrowed until create() returns and
 * are the same whenever the creation is repeated. Keys that the driver does not know are ignored: the caller has warned.
 */
struct driver_create {
	struct driver_image image;
	const struct driver_qos *qos;
	size_t qos_count;
	const struct driver_source *
		source; /* borrowed; NULL: an empty image. It has at most image.size bytes; the rest reads as zeroes */
	struct driver_progress
		*progress; /* of copying from the source, where that takes its bytes; NULL */
	bool fresh; /* nobody has asked for this image before: no earlier try needs to be looked for */
	int code;
	struct err err;
};

/*
 * The end of something begun on an image's bytes: 0 or -errno, once; perhaps within the call that began it, else from a thread of the
 * driver or of the storage's library. It must not block, nor end the image.
 */
typedef void driver_done(void *arg, int code);

/* Who has an image open, outside this process. */
struct driver_watcher {
	char address[128]; /* as fence() takes it */
};

struct driver {
	const char *name;

	/* *ret is what the other functions get. conf outlives it. Fails for what no waiting mends: bad options, no memory. */
	int (*open)(const struct backend_conf *conf, void **ret, struct err *err);

	/* Gives up what is in flight without waiting for the storage; nobody else may be in a call, but for calls that
	 * hang in the storage: the process is about to end. */
	void (*close)(void *be);

	/* Capacity now. Connects if need be. Within conf->timeout; -ETIMEDOUT, -EACCES, -ENOENT (pool) with a sentence: down. */
	int (*stat)(void *be, struct backend_stats *ret, struct err *err);

	/*
	 * Makes n images (1 ≤ n ≤ batch) at once; each has its own result, 0 also if an earlier try of the same image had
	 * finished. After a failure of one, remove() of it must be called (it may be half there). Blocks without bound.
	 * From a source it is a clone: copy on write where the storage can. The caller keeps the source from being removed meanwhile. One
	 * whose source is an image as it is now comes alone (n == 1).
	 */
	void (*create)(void *be, struct driver_create *each, size_t n);

	/* How many creations one create() can usefully take at once, as things stand; 1: no gain, each wants a thread of its own.
	 * Asked before each; never waits. */
	size_t (*batch)(void *be);

	/* Removes the image and everything of it. 0 if there is nothing. -EBUSY: somebody has it open (untouched).
	 * -ENOTEMPTY: it has snapshots (untouched), temporary ones aside, which go with it. -EMLINK: clones need it (untouched); to be
	 * called again when they are gone or flattened. */
	int (*remove)(void *be, const struct driver_image *image, struct driver_progress *progress,
		struct err *err);

	/* Grows it to size; 0 if it has that size already; -EINVAL if smaller. */
	int (*resize)(void *be, const struct driver_image *image, uint64_t size, struct err *err);

	/*
	 * Snapshots. All four block without bound, and can be repeated after a crash anywhere inside them. snap_create: of an image that
	 * may be in use here and elsewhere: what was done when it was called is in it, and it is what a power cut at one moment would
	 * have left; 0 if it is there already; its progress is that of a driver that copies. quiet: it wants that nothing is written through this process meanwhile. snap_remove: 0 if
	 * there is none; clones of it keep what they need. revert: the contents of the image become the snapshot's, which has its size;
	 * -EBUSY: it is open somewhere; a crash in the middle is made good by repeating it. NULL where the storage has none of this.
	 */
	bool quiet;
	int (*snap_create)(void *be, const struct driver_image *image,
		const struct driver_snap *snap, struct driver_progress *progress, struct err *err);
	int (*snap_remove)(void *be, const struct driver_image *image,
		const struct driver_snap *snap, struct err *err);
	int (*revert)(void *be, const struct driver_image *image, const struct driver_snap *snap,
		struct driver_progress *progress, struct err *err);

	/* NULL: clones need nothing of their source once they are made. Else: makes a clone independent of it; 0 if it is. */
	int (*flatten)(void *be, const struct driver_image *image, struct driver_progress *progress,
		struct err *err);

	/*
	 * What is in the storage. list(): each() of every image, and with parts of what interrupted changes left over, name, uuid and
	 * image_id alone, in any order, some of them perhaps twice; what each() returns < 0 ends it. look(): all of one. snaps(): up to n
	 * snapshots in order of their taking, how many there are, or -errno. Within the backend's timeout for each question.
	 */
	int (*list)(void *be, bool parts, int (*each)(void *arg, const struct driver_found *found),
		void *arg, struct err *err);
	int (*look)(void *be, const char *name, struct driver_found *ret, struct err *err);
	int (*snaps)(void *be, const char *name, struct driver_found_snap *ret, size_t n,
		struct err *err);

	/*
	 * An image of another name becomes that of `image` (uuid; image_id is filled in, and size), its snapshot `name` that of snap. 0 if it
	 * is already. -EBUSY: open elsewhere, or locked; -ENOENT. disown: the other way. -EEXIST: the name is taken; -EINVAL: it cannot be
	 * a name there. Block without bound; can be repeated after a crash.
	 */
	int (*adopt)(void *be, const char *name, struct driver_image *image, struct err *err);
	int (*snap_adopt)(void *be, const struct driver_image *image, const char *name,
		const struct driver_snap *snap, struct err *err);
	int (*disown)(
		void *be, const struct driver_image *image, const char *name, struct err *err);
	bool (*can_be_called)(const char *name); /* what disown() would answer -EINVAL to; no I/O */

	/* Bytes really allocated. */
	int (*used)(void *be, const struct driver_image *image, uint64_t *ret, struct err *err);

	/* key=value lines for `connection`; never a key, never I/O. */
	void (*connection)(void *be, const struct driver_image *image, struct buf *out);

	/*
	 * Fencing, NULL where a dead process cannot act late (local). address(): writes the addresses of the connection that
	 * changes things, as text for fence(); connects if need be; -ENOTCONN while it cannot. The caller writes them
	 * down durably before the first change. fence(): after it has returned 0, nothing sent from there before can land.
	 */
	int (*address)(void *be, char *text, size_t room, struct err *err);
	int (*fence)(void *be, const char *text, struct err *err);

	/* What else it reports, for the scheduler: a new JSON object, as far as known now; NULL: no memory. Never waits.
	 * Without the function: nothing. */
	json_t *(*capabilities)(void *be);

	/* Will create() keep a limit of this key? Without the function: none. */
	bool (*qos_known)(const char *key);

	/*
	 * The bytes of an image. None of these blocks, whatever the storage does, but for data_next, which wants a thread of its
	 * own; any thread, many at once on one image. done may come at any time until it has come. No time-outs.
	 *
	 * snap: the image as it was then, never writable; NULL: as it is.
	 *
	 *      data_open ──▶ ( read · write · zero · flush · next )* ──▶ data_close      nothing is under way then
	 *
	 * read and write lie within the size; the buffer is borrowed until done. What was written is on stable storage once a flush
	 * that began after its done() has ended well, and is read by everybody from its done() on. Reads, writes and zeroings that
	 * overlap and are under way together come in any order. zero: the range reads as zeroes afterwards, its space is given back as
	 * far as the storage can.
	 */
	void (*data_open)(void *be, const struct driver_image *image,
		const struct driver_snap *snap, bool writable, void **ret, driver_done *done,
		void *arg);
	void (*data_close)(void *data, driver_done *done, void *arg);
	void (*data_read)(
		void *data, uint64_t off, size_t len, void *buf, driver_done *done, void *arg);
	void (*data_write)(void *data, uint64_t off, size_t len, const void *buf, driver_done *done,
		void *arg);
	void (*data_zero)(void *data, uint64_t off, uint64_t len, driver_done *done, void *arg);
	void (*data_flush)(void *data, driver_done *done, void *arg);

	/* Where the next data (hole: the next hole) at or after off begins, in an image of size bytes; size: there is none. */
	int (*data_next)(void *data, uint64_t off, uint64_t size, bool hole, uint64_t *ret);

	/*
	 * NULL where nobody outside can be known of. busy(): done gets 0, or -EBUSY: somebody outside this process has it open; or
	 * another -errno; never blocks. watchers(): up to n of those, how many there are, or -errno; within the backend's timeout. evict():
	 * the watcher can do nothing any more, when it returns 0.
	 */
	void (*busy)(void *be, const struct driver_image *image, driver_done *done, void *arg);
	int (*watchers)(void *be, const struct driver_image *image, struct driver_watcher *ret,
		size_t n, struct err *err);
	int (*evict)(void *be, const struct driver_image *image, const struct driver_watcher *who,
		struct err *err);
};

extern const struct driver driver_rbd, driver_local;

#endif
