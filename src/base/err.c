#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	err->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return code;
}

int err_in(struct err *err, const char *fmt, ...)
{
	char was[ERR_TEXT_MAX];
	va_list ap;
	int n;

	if (!err)
		return -EIO;
	(void)snprintf(was, sizeof was, "%s", err->text);
	va_start(ap, fmt);
	n = vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof err->text) {
		size_t room = sizeof err->text - (size_t)n;

		if ((size_t)snprintf(err->text + n, room, ": %s", was) >= room)
			memcpy(err->text + sizeof err->text - sizeof "…", "…", sizeof "…");
	}
	return err->code;
}

const char *err_name(int code)
{
	const char *name = strerrorname_np(code < 0 ? -code : code);

	return name ? name : "E?";
}
