/* Names that we choose: of volumes, snapshots and types, and of their images. */
#include "engine/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <uuid/uuid.h>

void new_uuid(char ret[UUID_LEN + 1])
{
	uuid_t id;

	uuid_generate_random(id);
	uuid_unparse_lower(id, ret);
}

void new_image_id(char ret[IMAGE_ID_LEN + 1])
{
	uint64_t n;

	if (getrandom(&n, sizeof n, 0) != sizeof n)
		abort(); /* Linux: cannot happen for so few bytes */
	(void)snprintf(ret, IMAGE_ID_LEN + 1, "%014llx",
		(unsigned long long)(n & UINT64_C(0xffffffffffffff)));
}
