#include "spawn.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int program_find(struct program *ret, struct err *err)
{
	ssize_t n = readlink("/proc/self/exe", ret->path, sizeof ret->path - 1);

	if (n < 0)
		return err_set(err, -errno, "cannot find the program itself: %m");
	ret->path[n] = '\0';
	ret->fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	return ret->fd < 0 ? err_set(err, -errno, "cannot open the program itself: %m") : 0;
}

static void unblock_signals(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
}

static void exec_server(const struct program *p, const struct server_args *a)
{
	char fds[64];
	const char *argv[12];
	size_t n = 0;

	(void)snprintf(
		fds, sizeof fds, "%d,%d,%d,%d", a->fuse_fd, a->keep_fd, a->ready_fd, a->lock_fd);
	argv[n++] = "volfs";
	argv[n++] = "--server";
	argv[n++] = fds;
	if (a->foreground)
		argv[n++] = "--foreground";
	argv[n++] = a->local ? "--local" : "--config";
	argv[n++] = a->local ? a->local : a->config;
	argv[n++] = "--";
	argv[n++] = a->mountpoint;
	argv[n] = NULL;
	(void)execv(p->path, (char *const *)argv);
	log_warning("cannot start %s (%s), starting the volfs that was there", p->path,
		strerror(errno));
	(void)fexecve(p->fd, (char *const *)argv, environ);
	log_err("cannot start a server: %s", strerror(errno));
}

/* Whoever called volfs may read its output to the end: `said=$(volfs … 2>&1)`. */
static void let_go_of_output(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)dup2(fd, STDOUT_FILENO);
	(void)dup2(fd, STDERR_FILENO);
}

/* In the child, up to its exec. */
static void become_server(const struct program *p, const struct server_args *args, pid_t parent)
{
	(void)setpgid(0, 0); /* the terminal's ^C is for the supervisor */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILURE); /* it died before it could be watched */
	unblock_signals();
	if (!args->foreground)
		let_go_of_output();
	exec_server(p, args);
	_exit(EXIT_FAILURE);
}

pid_t spawn_server(
	const struct program *p, const struct server_args *args, int *ret_ready_fd, struct err *err)
{
	struct server_args a = *args;
	pid_t self = getpid(), pid;
	int ready[2];

	if (pipe2(ready, O_CLOEXEC) < 0)
		return err_set(err, -errno, "cannot start a server: %m");
	pid = fork();
	if (pid == 0) {
		(void)fcntl(ready[1], F_SETFD, 0); /* it alone outlives the exec */
		a.ready_fd = ready[1];
		become_server(p, &a, self);
	}
	(void)close(ready[1]);
	if (pid < 0) {
		(void)close(ready[0]);
		return err_set(err, -errno, "cannot start a server: %m");
	}
	(void)fcntl(ready[0], F_SETFL, O_NONBLOCK);
	*ret_ready_fd = ready[0];
	return pid;
}

static void exec_check(const struct program *p, const struct server_args *a, int stderr_fd)
{
	unblock_signals();
	(void)dup2(stderr_fd, STDERR_FILENO);
	(void)execl(p->path, "volfs", "--check-config", a->local ? "--local" : "--config",
		a->local ? a->local : a->config, (char *)NULL);
	(void)dprintf(STDERR_FILENO, "cannot start %s: %s", p->path, strerror(errno));
	_exit(EXIT_FAILURE);
}

int spawn_check(const struct program *p, const struct server_args *args, struct err *err)
{
	char said[ERR_TEXT_MAX - 32];
	int out[2], status = -1;
	ssize_t n;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		return err_set(err, -errno, "cannot check the configuration: %m");
	pid = fork();
	if (pid == 0)
		exec_check(p, args, out[1]);
	(void)close(out[1]);
	n = read(out[0], said, sizeof said - 1); /* one line, or nothing if all is well */
	(void)close(out[0]);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
		WEXITSTATUS(status) == 0)
		return 0;
	said[n > 0 ? n : 0] = '\0';
	said[strcspn(said, "\n")] = '\0';
	return err_set(err, -EINVAL, "%s", said);
}
