/*
 * The log: one line, syslog's levels. In front it goes to stderr, otherwise to syslog (which is the journal
 * under systemd; there lines on stderr carry the journal's "<N>" prefixes). Debug lines are by module:
 * log_debug() is silent unless the module's name (the file's folder) is in the `debug` list.
 * Any thread. No keys, no passphrases.
 */
#ifndef VOLFS_BASE_LOG_H
#define VOLFS_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_target {
	LOG_TO_STDERR,
	LOG_TO_SYSLOG,
};

/* Before the first thread. modules: "engine,store", "all", or NULL; copied. */
void log_open(enum log_target target, const char *modules);

/* level: LOG_ERR … LOG_DEBUG of <syslog.h>. */
__attribute__((format(printf, 2, 3))) void log_line(int level, const char *fmt, ...);
bool log_debugs(const char *file);

/*
 * For what may go wrong at every request while something is wrong for good (a full disk): one place in the sources speaks at most
 * once a second, and says how many lines it left out.
 */
struct log_place {
	_Atomic int64_t next_ns; /* monotonic: not before */
	_Atomic unsigned left_out;
};
__attribute__((format(printf, 3, 4))) void log_line_seldom(
	struct log_place *place, int level, const char *fmt, ...);
#define log_seldom(level, ...)                                                                     \
	do {                                                                                       \
		static struct log_place log_place_;                                                \
		log_line_seldom(&log_place_, (level), __VA_ARGS__);                                \
	} while (0)
#define log_err_seldom(...)	log_seldom(3, __VA_ARGS__)
#define log_warning_seldom(...) log_seldom(4, __VA_ARGS__)

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
