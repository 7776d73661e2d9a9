/*
 * The log: one line, syslog's levels. In front it goes to stderr, otherwise to syslog (which is the journal
 * under systemd; there lines on stderr carry the journal's "<N>" prefixes). Debug lines are by module:
 * log_debug() is silent unless the module's name (the file's folder) is in the `debug` list.
 * Any thread. No keys, no passphrases.
 */
#ifndef VOLFS_BASE_LOG_H
#define VOLFS_BASE_LOG_H

#include <stdbool.h>

enum log_target {
	LOG_TO_STDERR,
	LOG_TO_SYSLOG,
};

/* Before the first thread. modules: "engine,store", "all", or NULL; copied. */
void log_open(enum log_target target, const char *modules);

/* level: LOG_ERR … LOG_DEBUG of <syslog.h>. */
__attribute__((format(printf, 2, 3))) void log_line(int level, const char *fmt, ...);
bool log_debugs(const char *file);

#define log_err(...)	 log_line(3, __VA_ARGS__)
#define log_warning(...) log_line(4, __VA_ARGS__)
#define log_notice(...)	 log_line(5, __VA_ARGS__)
#define log_info(...)	 log_line(6, __VA_ARGS__)
#define log_debug(...)                                                                             \
	do {                                                                                       \
		if (log_debugs(__FILE__))                                                          \
			log_line(7, __VA_ARGS__);                                                  \
	} while (0)

#endif
