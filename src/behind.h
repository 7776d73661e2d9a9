/* Going into the background, and telling the process that was called how it went there. */
#ifndef VOLFS_BEHIND_H
#define VOLFS_BEHIND_H

#include "base/err.h"

/* The rest of the program runs in a grandchild without a terminal, whose log is syslog. Returns
 * there, with the descriptor that leads to the caller; the process that was called waits in here
 * for the word, and exits with 0, or 1 and the sentence on stderr. */
int behind_go(int *ret_report_fd, struct err *err);

/* The word. Closes the descriptor and sets it to -1, in which case (and in front) they do nothing.
 * After ready, stdin, stdout and stderr lead nowhere. */
void behind_ready(int *report_fd);
void behind_failed(int *report_fd, const char *sentence);

#endif
