#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static const int64_t SELDOM_NS = 1000000000;

static enum log_target target;
static bool journal; /* stderr is the journal: it reads "<N>" as the level */
static char debug_modules[256];

void log_open(enum log_target to, const char *modules)
{
	target = to;
	journal = getenv("JOURNAL_STREAM") != NULL;
	(void)snprintf(debug_modules, sizeof debug_modules, "%s", modules ? modules : "");
	if (to == LOG_TO_SYSLOG)
		openlog("volfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void log_line(int level, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (target == LOG_TO_SYSLOG)
		syslog(level, "%s", text);
	else if (journal)
		(void)fprintf(stderr, "<%d>%s\n", level, text);
	else
		(void)fprintf(stderr, "volfs: %s\n", text);
}

/* Of several threads that come when it is time, one speaks. */
void log_line_seldom(struct log_place *place, int level, const char *fmt, ...)
{
	int64_t now = clock_mono_ns(), next = atomic_load(&place->next_ns);
	char text[2048];
	unsigned n;
	va_list ap;

	if (now < next ||
		!atomic_compare_exchange_strong(&place->next_ns, &next, now + SELDOM_NS)) {
		atomic_fetch_add(&place->left_out, 1);
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	n = atomic_exchange(&place->left_out, 0);
	if (n)
		log_line(level, "%s (and %u such lines left out)", text, n);
	else
		log_line(level, "%s", text);
}

/* Is the folder of this source file one of the modules to debug? */
bool log_debugs(const char *file)
{
	char module[64];
	const char *src, *end, *at;
	size_t n;

	if (!debug_modules[0])
		return false;
	if (!strcmp(debug_modules, "all"))
		return true;
	src = strstr(file, "src/");
	src = src ? src + 4 : file;
	end = strpbrk(src, "/.");
	n = end ? (size_t)(end - src) : strlen(src);
	if (n == 0 || n >= sizeof module)
		return false;
	memcpy(module, src, n);
	module[n] = '\0';
	at = strstr(debug_modules, module);
	return at && (at == debug_modules || at[-1] == ',') && (at[n] == ',' || at[n] == '\0');
}
