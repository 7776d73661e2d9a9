/*
 * An error is a negative errno and one finished sentence.
 *
 * 0 or more is success, -errno is failure, everywhere. Whoever can explain a failure to a user takes
 * `struct err *err` as its last argument and writes the sentence where it detects the failure; callers may
 * put context before it. Untouched on success, so calls can be chained. NULL is accepted: then nobody
 * wants to know. A sentence is lower case, has no full stop, names the thing, the reason and, if there
 * is one, the way out.
 */
#ifndef VOLFS_BASE_ERR_H
#define VOLFS_BASE_ERR_H

enum { ERR_TEXT_MAX = 1024 };

struct err {
	int code; /* negative errno; 0: no error */
	char text[ERR_TEXT_MAX];
};

/* Writes code (negative) and sentence; returns code. err may be NULL. Any thread. */
__attribute__((format(printf, 3, 4))) int err_set(struct err *err, int code, const char *fmt, ...);

/* Puts "…: " before the sentence that is there; returns its code (-EIO if err is NULL). */
__attribute__((format(printf, 2, 3))) int err_in(struct err *err, const char *fmt, ...);

/* The name of an errno, given negative or positive ("EDQUOT"); "E?" if unknown. Static. */
const char *err_name(int code);

#endif
