/*
 * Compares the catalogue with what a backend's storage has, both ways; changes nothing. It may run while volumes come and go: what
 * a job looks after is no difference, and whatever else disagrees is looked at a second time, the catalogue before the storage, and
 * counts only if both looks found the same. That is enough: what the first look at the storage saw and the second look at the
 * catalogue still contradicts was wrong in between, for a row is written before its image is made, and goes after it is gone.
 */
#ifndef VOLFS_ENGINE_COMPARE_H
#define VOLFS_ENGINE_COMPARE_H

#include "driver.h"
#include "store/view.h"
#include "volume.h"

#include <stdbool.h>
#include <stdint.h>

enum difference_kind {
	DIFF_ORPHAN,	     /* an image with a volume's name, and no such volume is here */
	DIFF_PARTS,	     /* what an interrupted change left over, and no job looks after it */
	DIFF_MISSING,	     /* a volume's image */
	DIFF_SIZE,	     /* it has another size */
	DIFF_BROKEN,	     /* it is there, but cannot be opened */
	DIFF_SNAP_MISSING,   /* in the storage, that is */
	DIFF_SNAP_ORPHAN,    /* with a snapshot's name, and there is no such snapshot */
	DIFF_SNAP_TEMPORARY, /* taken for the making of a volume that is not being made */
};

struct difference {
	enum difference_kind kind;
	int64_t volume, snapshot;  /* rows; 0. DIFF_ORPHAN: that of a volume on another backend */
	struct driver_image image; /* size: what the catalogue says */
	uint64_t size;		   /* DIFF_SIZE: what it is */
	struct driver_snap snap;   /* DIFF_SNAP_… */
	char name[NAME_LEN + 1];   /* the volume's; DIFF_ORPHAN, DIFF_PARTS: the image's own */
	char detail[NAME_LEN +
		    1]; /* DIFF_SNAP_…: the snapshot's name, its own where there is no row; DIFF_BROKEN: why;
		      DIFF_ORPHAN: the volume's backend */
};

/* "volume 'db' (UUID): its image is missing". */
enum { DIFFERENCE_TEXT = 3 * NAME_LEN };
void difference_text(const struct difference *d, char text[DIFFERENCE_TEXT]);

struct compare {
	struct view *view; /* the caller's alone meanwhile */
	const struct driver *driver;
	void *be;
	int64_t backend;  /* row */
	const char *name; /* the backend's */
	/* Each difference, once. < 0 ends it with that. */
	int (*found)(void *arg, const struct difference *d);
	/* Between two questions to the storage; true: enough, end it. NULL: never. */
	bool (*pause)(void *arg);
	void *arg;
	/* Several threads, each with its own struct and view: this one is `part` of `parts` and looks at its share of the volumes; the first
	 * one (0) lists the storage, too. 0 parts: it does all. */
	unsigned part, parts;
	uint64_t volumes, snapshots; /* how many of them were compared */
};

/* All snapshots of an image, of which there are about so many: how many. *ret: the caller's to free. */
int all_snaps(const struct driver *driver, void *be, const char *image, unsigned about,
	struct driver_found_snap **ret, struct err *err);

/* 0, found()'s code, -EINTR (pause), -ENOTSUP (a driver that cannot list), or why the storage or the catalogue could not be read. */
int compare_backend(struct compare *c, struct err *err);

#endif
