#include "behind.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORD_READY = '+' };

static int await_word(int fd)
{
	char text[ERR_TEXT_MAX];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof text - 1 && (n = read(fd, text + len, sizeof text - 1 - len)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0)
			len += (size_t)n;
	}
	text[len] = '\0';
	if (len == 1 && text[0] == WORD_READY)
		return EXIT_SUCCESS;
	(void)fprintf(stderr, "volfs: %s\n",
		len ? text : "ended before the mount answered; the log may say why");
	return EXIT_FAILURE;
}

int behind_go(int *ret_report_fd, struct err *err)
{
	int pipe_fd[2];
	pid_t pid;

	(void)fflush(NULL);
	if (pipe2(pipe_fd, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return err_set(err, -errno, "cannot go into the background: %m");
	if (pid > 0) {
		(void)close(pipe_fd[1]);
		(void)waitpid(pid, NULL, 0);
		_exit(await_word(pipe_fd[0]));
	}
	(void)close(pipe_fd[0]);
	(void)setsid();
	pid = fork();
	if (pid != 0)
		_exit(pid < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
	if (chdir("/") < 0)
		log_warning("cannot change to /: %s", strerror(errno));
	log_open(LOG_TO_SYSLOG, NULL);
	*ret_report_fd = pipe_fd[1];
	return 0;
}

static void let_go_of_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		(void)dup2(null, fd);
	if (null > 2)
		(void)close(null);
}

static void tell(int *report_fd, const char *word)
{
	if (*report_fd < 0)
		return;
	if (write(*report_fd, word, strlen(word)) < 0)
		log_notice("nobody waits for: %s", word);
	(void)close(*report_fd);
	*report_fd = -1;
}

void behind_ready(int *report_fd)
{
	const char word[] = { WORD_READY, '\0' };

	if (*report_fd < 0)
		return;
	let_go_of_terminal();
	tell(report_fd, word);
}

void behind_failed(int *report_fd, const char *sentence)
{
	tell(report_fd, sentence);
}
