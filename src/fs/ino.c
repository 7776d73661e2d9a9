/*
 *      52      51 … 13         12 … 8   7 … 0
 *      draft   row             kind     index          1 is the root (KIND_ROOT, row 0, index 1
 * never exists as a file)
 *
 * A draft's number has bit 52 set and its file's serial below, displaced by a random number of the
 * mount, so that another volfs on the same machine has others.
 */
#include "fs/internal.h"

#define DRAFT_BIT (UINT64_C(1) << 52)

fuse_ino_t ino_of(struct node n)
{
	if (n.kind == KIND_ROOT && n.index == 0)
		return FUSE_ROOT_ID;
	if (n.kind == KIND_DRAFT)
		return DRAFT_BIT | ((uint64_t)n.row & (DRAFT_BIT - 1));
	return (uint64_t)n.row << 13 | (uint64_t)n.kind << 8 | n.index;
}

fuse_ino_t ino_of_volume(int64_t row)
{
	return ino_of((struct node){ .kind = KIND_VOLUME, .row = row });
}

struct node ino_node(fuse_ino_t ino)
{
	if (ino == FUSE_ROOT_ID)
		return (struct node){ .kind = KIND_ROOT };
	if (ino & DRAFT_BIT)
		return (struct node){ .kind = KIND_DRAFT, .row = (int64_t)(ino & (DRAFT_BIT - 1)) };
	return (struct node){
		.kind = (ino >> 8) & 31, .row = (int64_t)(ino >> 13), .index = ino & 255
	};
}
