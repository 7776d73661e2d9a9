/* Ceph's codes as sentences: the one place that knows what they mean for somebody who has a pool and a key. */
#include "rbd/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void reason(const struct rb_backend *be, int code, char *text, size_t room)
{
	const struct backend_conf *c = be->conf;
	const char *pool = c->data_pool && c->data_pool[0] ? c->data_pool : c->pool;

	switch (code) {
	case -EDQUOT:
		(void)snprintf(text, room, "pool '%s' is full: its quota is reached", pool);
		break;
	case -ENOSPC:
		(void)snprintf(text, room, "pool '%s' is full", pool);
		break;
	case -ENOENT:
		(void)snprintf(text, room, "it does not exist in pool '%s'", c->pool);
		break;
	case -ESHUTDOWN:
		(void)snprintf(text, room,
			"this server was fenced: the cluster has its address on the blocklist");
		break;
	case -ETIMEDOUT:
		(void)snprintf(text, room, "the cluster did not answer within %ld s", c->timeout);
		break;
	case -EACCES:
	case -EPERM:
		(void)snprintf(text, room, "client.%s may not do that in pool '%s'", c->ceph_user,
			c->pool);
		break;
	case -EBUSY:
		(void)snprintf(text, room, "somebody has it open");
		break;
	case -EROFS: /* librbd's, where another client does not hand over the lock */
		(void)snprintf(text, room, "somebody keeps it locked (rbd lock ls shows who)");
		break;
	case -ENOTEMPTY:
		(void)snprintf(text, room, "it has snapshots");
		break;
	case -EMLINK:
		(void)snprintf(text, room, "clones need it");
		break;
	case -ENOTCONN:
		(void)snprintf(text, room, "the connection to the cluster was lost");
		break;
	default:
		(void)snprintf(text, room, "%s", strerror(-code));
	}
}

int rb_fail(const struct rb_backend *be, struct err *err, int code, const char *doing, ...)
{
	char what[256], why[256];
	va_list ap;

	va_start(ap, doing);
	(void)vsnprintf(what, sizeof what, doing, ap);
	va_end(ap);
	reason(be, code, why, sizeof why);
	return err_set(err, code, "cannot %s: %s", what, why);
}
