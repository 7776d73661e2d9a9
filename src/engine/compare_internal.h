/* What compare.c and compare_images.c share. */
#ifndef VOLFS_ENGINE_COMPARE_INTERNAL_H
#define VOLFS_ENGINE_COMPARE_INTERNAL_H

#include "base/cleanup.h"
#include "engine/compare.h"

/* A growing array. `{ 0 }` is an empty one. */
struct differences {
	struct difference *at;
	size_t len, room;
};
struct difference *differences_add(struct differences *all); /* zeroed; NULL: no memory */
void differences_release(struct differences *all);

int compare_has_job(struct compare *c, int64_t backend, const char *uuid, struct err *err);
int compare_pause(struct compare *c, struct err *err); /* -EINTR */
int catalogue_failed(int code, struct err *err);       /* with the sentence; returns code */

/* From the storage to the catalogue: images and parts that no row names. */
int compare_images(struct compare *c, struct err *err);

#endif
