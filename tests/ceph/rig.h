/*
 * What the driver tests share: backends to test on, a look at every object of a pool, other processes, and the cluster's own tools.
 * The cluster is started by driver.sh; its pools are `vols` and `data`, with the namespace `team` in both.
 * Everything here fails the running test where it cannot do its work.
 */
#ifndef VOLFS_TESTS_CEPH_RIG_H
#define VOLFS_TESTS_CEPH_RIG_H

#include "base/buf.h"
#include "driver.h"

#include <rados/librados.h>
#include <rbd/librbd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MIB	     (UINT64_C(1) << 20)
#define GIB	     (UINT64_C(1) << 30)
#define ALL_FEATURES "layering,exclusive-lock,object-map,fast-diff,deep-flatten"

struct rig {
	const char *program; /* for children */
	const char *ceph_conf;
	const char *dir; /* for files of the tests */
	bool full;	 /* VOLFS_TEST_FULL */
	rados_t admin;	 /* a client of its own, beside those of the drivers */
	rados_ioctx_t vols,
		data; /* all namespaces can be listed; operations go to the one that rig_space() set */
};
extern struct rig rig;

/* One backend under test. */
struct rig_backend {
	const struct driver *driver;
	struct backend_conf conf;
	void *be;
};

void rig_backend_conf(struct backend_conf *conf,
	const char *direct);	      /* rbd, all features, pool vols, 4 MiB, 30 s */
void rig_open(struct rig_backend *b); /* conf is filled */
void rig_close(struct rig_backend *b);

/* An image of that size with a uuid and id that no other has. */
struct driver_image rig_image(uint64_t size);
const char *rig_image_name(const struct driver_image *image); /* static, one at a time */

int rig_create(struct rig_backend *b, const struct driver_image *image, struct err *err);
int rig_clone(struct rig_backend *b, const struct driver_image *image,
	const struct driver_source *source, struct err *err);
int rig_clone_fresh(struct rig_backend *b, const struct driver_image *image,
	const struct driver_source *source, struct err *err); /* asked for the first time */
/* By librbd: its id; a snapshot `snapshot-<uuid>`, whose uuid is made here, and its id; that snapshot gone again. */
void rig_id(const struct rig_backend *b, const struct driver_image *image, char id[64]);
uint64_t rig_snap(
	const struct rig_backend *b, const struct driver_image *image, char uuid[UUID_LEN + 1]);
void rig_snap_remove(
	const struct rig_backend *b, const struct driver_image *image, const char *uuid);

void rig_must_create(struct rig_backend *b, const struct driver_image *image);
void rig_must_remove(struct rig_backend *b, const struct driver_image *image);

/*
 * Everything in a pool, one line for each object, omap key and attribute, sorted. Values in hex; of times only that they are there. With
 * id not NULL it is shown as <id>, so that two images can be compared.
 */
char *rig_dump(rados_ioctx_t pool, const char *id);
void rig_same(const char *before, char *after_taken); /* compares and frees the second */
/* Where snapshots were, whose objects the OSD trims later: waits for that. The namespace of operations is set to space afterwards. */
char *rig_dump_trimmed(rados_ioctx_t pool);
void rig_same_soon(const char *before, rados_ioctx_t pool, const char *space);

void rig_space(const char *space); /* the namespace that the admin's operations go to; "" */

/* Runs a shell command with $CONF and $DIR set; its exit code. rig_sh() must be 0. */
__attribute__((format(printf, 1, 2))) int rig_sh_code(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void rig_sh(const char *fmt, ...);

/* Waits up to seconds for a shell command to succeed. */
void rig_until(int seconds, const char *command);

/*
 * child.c. Another process: this program again as `driver_tests CONF DIR child WORDS…`. It says one line when it has got where it
 * should; rig_child_line() reads that. rig_child_end(): closes its stdin, and waits; its wait status.
 */
struct rig_child {
	int pid, in, out;
};
struct rig_child rig_child(const char *const *words);
void rig_child_line(struct rig_child *c, char line[256]); /* "" if it died before */
int rig_child_end(struct rig_child *c);
void rig_child_kill(struct rig_child *c); /* SIGKILL, and waits */
/* The child says the address of its connection, and is to be killed in what it does then; it is fenced. false: it came to its end. */
bool rig_child_dies(struct rig_backend *b, const char *const *words);
int rig_child_main(int argc, char **argv);

/*
 * Lets a process make a change (create, limited, clone, fresh, remove), die in it, and fences it. At the driver's n-th operation, or with
 * n < 0 before its -n-th message to the cluster: true if it came to that; or us microseconds after it began. source: of a clone; else
 * NULL.
 */
bool rig_dies_at(struct rig_backend *b, const char *what, const struct driver_image *image,
	const struct driver_source *source, int n);
void rig_dies_after(struct rig_backend *b, const char *what, const struct driver_image *image,
	const struct driver_source *source, unsigned us);

/* Writes n objects' first bytes through librbd, spread over the image. */
void rig_write(const struct driver_image *image, int n);

/*
 * rig_data.c: an image's bytes by the driver, each call waited for. snap: NULL, or at that snapshot. What is written is a pattern of seed and
 * place; a sum is one of all bytes. rig_sum_outside(): by librbd, of "image" or "image@snapshot" in the namespace that rig_space() set.
 */
struct rig_data {
	struct rig_backend *b;
	void *data;
	uint64_t size;
};
int rig_data_open(struct rig_data *d, struct rig_backend *b, const struct driver_image *image,
	const struct driver_snap *snap, bool writable); /* 0 or -errno */
void rig_data_close(struct rig_data *d);
void rig_data_put(struct rig_data *d, uint64_t off, size_t len, unsigned seed); /* and flushes */
uint64_t rig_sum(struct rig_backend *b, const struct driver_image *image, uint64_t size,
	const struct driver_snap *snap);
uint64_t rig_sum_outside(const char *name);
/* Opens, puts, closes. */
void rig_put(struct rig_backend *b, const struct driver_image *image, uint64_t off, size_t len,
	unsigned seed);

/* A clone by librbd, of the format that does not need a protected snapshot, or of the one that does. */
void rig_clone_by_librbd(const struct driver_image *image, const struct driver_snap *snap,
	const struct driver_image *clone, int format);
struct driver_snap rig_new_snap(void);			   /* with a uuid that no other has */
const char *rig_snap_name(const struct driver_snap *snap); /* static, one at a time */

/*
 * rig_die.c: lets another process do one thing and die just before the n-th message that it sends (0: never); true if it died. It is
 * fenced then. other: the snapshot's uuid, or the name. Only for backends in pool vols without a namespace.
 */
bool rig_dies_at_message(struct rig_backend *b, const char *what, const struct driver_image *image,
	const char *other, int n);
int rig_die_main(char **words);	 /* the other process */
void rig_die_at_message(long n); /* this very process; 0: not any more */

/*
 * driver_qos.c: images with limits of every key that there is, and one that no driver knows. The check: does librbd say that the image
 * has exactly these, or no metadata at all?
 */
int qos_create(struct rig_backend *b, const struct driver_image *image, struct err *err);
void qos_must_create(struct rig_backend *b, const struct driver_image *image);
void qos_check(const struct rig_backend *b, const struct driver_image *image, bool limited);

/* The groups of tests; each returns the number of those that failed. */
int same_tests(void);	/* every driver: the same tests */
int format_tests(void); /* direct against librbd, and half-states */
int clone_tests(void);	/* clones, and what becomes of the snapshots that they are made of */
int crash_tests(void);	/* processes that die in the middle */
int clone_crash_tests(void);
int qos_tests(void);	    /* limits on an image's speed */
int snap_tests(void);	    /* snapshots, revert, flatten */
int images_tests(void);	    /* what others made, and how it changes hands */
int snap_crash_tests(void); /* processes that die in the middle of these two */
int trouble_tests(void);    /* busy, full, deleted, stopped, refused, fenced */

#endif
