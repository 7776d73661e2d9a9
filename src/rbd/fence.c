/*
 * Fencing: a process that died may have operations under way that land late. Once its address is on the cluster's blocklist
 * and our own connection has the map that says so, whatever we send comes after the last that it could do.
 */
#include "rbd/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Long enough for a host that hangs, not only for a process that died. */
enum { FENCE_SECONDS = 24 * 60 * 60 };

/* For those who may not wait for it later (rb_busy); without one they go without. */
static void open_pool(struct rb_backend *be)
{
	struct rb_pool *p;

	if (rb_pool_get(be, &be->change, &p, NULL) >= 0)
		rb_pool_put(p);
}

int rb_fence_address(void *backend, char *text, size_t room, struct err *err)
{
	struct rb_backend *be = backend;
	char *addresses = NULL;
	rados_t cluster;
	int n, r;

	RB_CALL(be);
	r = rb_link_connect(be, &be->change, &cluster, err);
	if (r < 0) {
		if (err)
			err->code = -ENOTCONN;
		return -ENOTCONN;
	}
	open_pool(be);
	r = rados_getaddrs(cluster, &addresses);
	if (r < 0)
		return rb_fail(be, err, r, "learn the own address");
	n = snprintf(text, room, "%s", addresses);
	rados_buffer_free(addresses);
	return (size_t)n < room ? 0
				: err_set(err, -ENAMETOOLONG, "the own address has %d bytes", n);
}

/* "v2:1.2.3.4:0/567" without its protocol: a fence is for every protocol. */
static const char *bare(const char *address)
{
	return address[0] == 'v' && address[1] && address[2] == ':' ? address + 3 : address;
}

int rb_fence_one(struct rb_backend *be, rados_t change, const char *address)
{
	rados_t look;
	char one[128];
	int r = rb_link_connect(be, &be->look, &look, NULL);

	(void)snprintf(one, sizeof one, "%s", bare(address));
	if (r >= 0)
		r = rados_blocklist_add(look, one, FENCE_SECONDS);
	return r < 0 ? r : rados_wait_for_latest_osdmap(change);
}

/* text is what address() wrote: one address, or several as "[v2:…,v1:…]" (those of IPv6 have brackets of their own inside). */
int rb_fence(void *backend, const char *text, struct err *err)
{
	struct rb_backend *be = backend;
	char copy[512], *rest, *address, *list = copy;
	rados_t change;
	int r;

	RB_CALL(be);
	r = rb_link_connect(be, &be->change, &change, err);
	if (r < 0)
		return r;
	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return err_set(err, -EINVAL, "an address of %zu bytes is none", strlen(text));
	if (list[0] == '[' && list[1]) {
		list++;
		list[strlen(list) - 1] = '\0';
	}
	for (address = strtok_r(list, ", \n", &rest); address;
		address = strtok_r(NULL, ", \n", &rest)) {
		r = rb_fence_one(be, change, address);
		if (r < 0)
			return rb_fail(be, err, r, "fence '%s'", address);
	}
	return 0;
}
