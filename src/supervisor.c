#include "supervisor.h"

#include "base/clock.h"
#include "base/log.h"
#include "behind.h"
#include "dblock.h"
#include "keep.h"
#include "mount.h"
#include "server.h"
#include "spawn.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	START_MS = 60000, /* a first server that answers nothing for so long is no server */
	GRACE_MS = 5000,  /* to end in order, then SIGKILL */
	DEATHS_REMEMBERED = 64,
	DEATHS_MS = 60000,
};

#define INIT_HAS_RESEND (UINT64_C(1) << 39) /* FUSE_HAS_RESEND */

enum goal {
	GOAL_RUN,
	GOAL_REPLACE, /* the server was asked to make way */
	GOAL_END,
};

struct supervisor {
	const struct supervisor_args *args;
	struct program program;
	struct mount mount;
	int fuse_fd, keep_fd, lock_fd;
	int signal_fd;
	int report_fd; /* to the process that was called, until it was told how it went; -1 in front
			*/
	pid_t server, probe; /* 0: none */
	int ready_fd;	     /* of the server; -1 when it has said all */
	bool answers;	     /* the mount has answered once */
	enum goal goal;
	int64_t deadline; /* clock_mono_ns(); INT64_MAX: none */
	int64_t death[DEATHS_REMEMBERED];
	size_t deaths;	 /* all of them; the last ones are in death[] */
	char said[1024]; /* the server's sentence */
	size_t said_len;
	int status; /* of volfs, when it ends */
};

/* --- server and mount ------------------------------------------------------------------------ */

static void forget_ready(struct supervisor *s)
{
	if (s->ready_fd >= 0)
		(void)close(s->ready_fd);
	s->ready_fd = -1;
}

static struct server_args server_args_of(const struct supervisor *s)
{
	return (struct server_args){
		.config = s->args->config,
		.local = s->args->local,
		.mountpoint = s->mount.path,
		.foreground = s->args->foreground,
		.fuse_fd = s->fuse_fd,
		.keep_fd = s->keep_fd,
		.ready_fd = -1,
		.lock_fd = s->lock_fd,
	};
}

static int start_server(struct supervisor *s, struct err *err)
{
	struct server_args args = server_args_of(s);
	pid_t pid;

	forget_ready(s);
	s->said_len = 0;
	pid = spawn_server(&s->program, &args, &s->ready_fd, err);
	s->server = pid > 0 ? pid : 0;
	return pid < 0 ? (int)pid : 0;
}

static void close_mount(struct supervisor *s)
{
	if (s->fuse_fd >= 0) {
		mount_end(&s->mount, s->fuse_fd);
		(void)close(s->fuse_fd); /* the last one: whoever still waits gets ENOTCONN */
	}
	if (s->keep_fd >= 0)
		(void)close(s->keep_fd);
	s->fuse_fd = s->keep_fd = -1;
}

static int open_mount(struct supervisor *s, struct err *err)
{
	s->keep_fd = keep_create(err);
	if (s->keep_fd < 0)
		return s->keep_fd;
	s->fuse_fd = mount_begin(&s->mount, err);
	if (s->fuse_fd >= 0)
		return 0;
	(void)close(s->keep_fd);
	s->keep_fd = -1;
	return s->fuse_fd;
}

/* Can the kernel send again what the dead server left unanswered? Unknown before INIT: then nothing
 * was asked yet. */
static bool can_go_on(const struct supervisor *s)
{
	struct keep *k;
	bool can;

	if (keep_map(s->keep_fd, &k, NULL) < 0)
		return false;
	can = !atomic_load(&k->init_len) || (k->capable & INIT_HAS_RESEND);
	keep_unmap(k);
	return can;
}

/* --- what happens to a server ---------------------------------------------------------------- */

static void end_with(struct supervisor *s, const char *sentence)
{
	log_err("%s", sentence);
	behind_failed(&s->report_fd, sentence);
	s->status = EXIT_FAILURE;
	s->goal = GOAL_END;
}

/* Counts a death; true if there were too many within a minute. */
static bool died_too_often(struct supervisor *s)
{
	int64_t now = clock_mono_ns();
	size_t max = s->args->max_deaths;

	if (max > DEATHS_REMEMBERED)
		max = DEATHS_REMEMBERED;
	s->death[s->deaths++ % DEATHS_REMEMBERED] = now;
	if (max == 0 || s->deaths < max)
		return false;
	return now - s->death[(s->deaths - max) % DEATHS_REMEMBERED] < DEATHS_MS * INT64_C(1000000);
}

static void describe(int status, char *text, size_t room)
{
	if (WIFSIGNALED(status))
		(void)snprintf(
			text, room, "signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)snprintf(text, room, "exit status %d", WEXITSTATUS(status));
}

/* Starts the next server, on a new mount where the old one cannot be gone on with. */
static void start_next(struct supervisor *s, bool anew)
{
	struct err err;
	int r = 0;

	if (anew) {
		log_warning("mounting %s anew: files that are open there will fail", s->mount.path);
		close_mount(s);
		r = open_mount(s, &err);
	}
	if (r == 0)
		r = start_server(s, &err);
	if (r < 0)
		end_with(s, err.text);
}

static void take_ready(struct supervisor *s);

/* The server died while it should have lived. */
static void server_died(struct supervisor *s, int status)
{
	char how[64], text[160];
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	describe(status, how, sizeof how);
	if (!mount_is_there(&s->mount)) {
		log_info("%s was unmounted", s->mount.path);
		s->goal = GOAL_END;
	} else if (code == 0) {
		/* It found its connection gone under a mount that is still there: no server could go on with that. */
		log_notice("the connection of %s was aborted (umount -f): ending", s->mount.path);
		s->goal = GOAL_END;
	} else if (code == SERVER_TOLD) {
		log_notice("somebody else told the server to end: starting another");
		start_next(s, !can_go_on(s));
	} else if (code == SERVER_REFUSED) {
		end_with(s, s->said_len ? s->said : "the server refused to start");
	} else if (died_too_often(s)) {
		(void)snprintf(text, sizeof text,
			"the server died %u times within a minute, last by %s: giving up",
			s->args->max_deaths, how);
		end_with(s, s->said_len && !s->answers ? s->said : text);
	} else {
		log_warning("the server died (%s), starting another%s%s", how,
			s->said_len ? ": " : "", s->said_len ? s->said : "");
		start_next(s, code == SERVER_REMOUNT || !can_go_on(s));
	}
}

static void server_ended(struct supervisor *s, int status)
{
	s->server = 0;
	take_ready(s);
	forget_ready(s);
	if (s->goal == GOAL_RUN) {
		server_died(s, status);
	} else if (s->goal == GOAL_REPLACE) {
		int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

		s->goal = GOAL_RUN;
		s->deadline = INT64_MAX;
		start_next(s, code == SERVER_REMOUNT || !can_go_on(s));
	}
}

/* What the server wrote: that it is ready, or why it cannot be. */
static void take_ready(struct supervisor *s)
{
	ssize_t n;

	if (s->ready_fd < 0)
		return;
	while ((n = read(s->ready_fd, s->said + s->said_len, sizeof s->said - 1 - s->said_len)) > 0)
		s->said_len += (size_t)n;
	s->said[s->said_len] = '\0';
	if (s->said[0] == SERVER_READY && s->said_len) {
		s->said_len = 0;
		if (!s->answers && !s->probe) {
			mount_raise_read_ahead(&s->mount);
			s->probe = mount_probe(&s->mount, s->fuse_fd);
		}
	}
	if (n == 0 || s->said_len == sizeof s->said - 1)
		forget_ready(s);
}

static void probe_ended(struct supervisor *s, int status)
{
	s->probe = 0;
	if (s->goal != GOAL_RUN)
		return;
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		end_with(s, "the mount does not answer");
		return;
	}
	s->answers = true;
	s->deadline = INT64_MAX;
	log_info("serving %s", s->mount.path);
	behind_ready(&s->report_fd);
}

static void reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->server)
			server_ended(s, status);
		else if (pid == s->probe)
			probe_ended(s, status);
	}
}

/* --- what others ask of us ------------------------------------------------------------------- */

static void set_deadline(struct supervisor *s, long ms)
{
	s->deadline = clock_mono_ns() + ms * INT64_C(1000000);
}

/* A bad configuration must not take a good server away: the new binary is asked first. */
static void asked_to_replace(struct supervisor *s)
{
	struct server_args args = server_args_of(s);
	struct err err;

	if (s->goal != GOAL_RUN || s->server == 0)
		return;
	if (spawn_check(&s->program, &args, &err) < 0) {
		log_err("the server is not replaced: %s", err.text);
		return;
	}
	log_notice("replacing the server");
	s->goal = GOAL_REPLACE;
	set_deadline(s, GRACE_MS);
	(void)kill(s->server, SIGHUP);
}

static void asked_to_end(struct supervisor *s)
{
	behind_failed(&s->report_fd, "ended by a signal before the mount answered");
	s->goal = GOAL_END;
}

static void take_signal(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGCHLD)
			reap(s);
		else if (info.ssi_signo == SIGHUP)
			asked_to_replace(s);
		else
			asked_to_end(s);
	}
}

static void deadline_passed(struct supervisor *s)
{
	s->deadline = INT64_MAX;
	if (s->goal == GOAL_RUN) {
		end_with(s, "the mount did not answer within a minute");
		return;
	}
	log_warning("the server does not end, killing it");
	if (s->server)
		(void)kill(s->server, SIGKILL);
}

/* --- the life of the supervisor -------------------------------------------------------------- */

static void wait_for_something(struct supervisor *s)
{
	struct pollfd fd[2] = { { .fd = s->signal_fd, .events = POLLIN },
		{ .fd = s->ready_fd, .events = POLLIN } };
	int timeout = -1;

	if (s->deadline != INT64_MAX) {
		int64_t left = (s->deadline - clock_mono_ns()) / 1000000 + 1;

		timeout = left > 0 ? (int)left : 0;
	}
	if (poll(fd, 2, timeout) < 0)
		return;
	if (fd[1].revents)
		take_ready(s);
	if (fd[0].revents)
		take_signal(s);
	if (s->deadline != INT64_MAX && clock_mono_ns() >= s->deadline)
		deadline_passed(s);
}

/* Unmounts first: while the server still answers, so that what is mapped can be written back, and
 * nobody comes in any more. */
static void finish(struct supervisor *s)
{
	mount_end(&s->mount, s->fuse_fd);
	if (s->probe)
		(void)kill(s->probe, SIGKILL);
	if (s->server) {
		(void)kill(s->server, SIGTERM);
		set_deadline(s, GRACE_MS);
		while (s->server)
			wait_for_something(s);
	}
	close_mount(s);
}

static int catch_signals(struct supervisor *s, struct err *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGQUIT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? err_set(err, -errno, "cannot watch for signals: %m") : 0;
}

/* A request time-out of the kernel aborts the whole mount under a reader of `wait`. */
static void warn_of_timeouts(void)
{
	static const char *const file[] = { "/proc/sys/fs/fuse/default_request_timeout",
		"/proc/sys/fs/fuse/max_request_timeout" };

	for (size_t i = 0; i < 2; i++) {
		FILE *f = fopen(file[i], "re");
		long seconds = 0;

		if (f && fscanf(f, "%ld", &seconds) == 1 && seconds != 0)
			log_warning(
				"%s is %ld: the kernel will end the mount when a read of `wait` takes that long; "
				"set it to 0",
				file[i], seconds);
		if (f)
			(void)fclose(f);
	}
}

/* All that can be refused while the caller still listens on its terminal. */
static int prepare(struct supervisor *s, struct err *err)
{
	int r = program_find(&s->program, err);

	if (r == 0)
		r = mount_prepare(
			s->args->mountpoint, s->args->source, s->args->options, &s->mount, err);
	if (r == 0)
		r = dblock_take(s->args->database, &s->lock_fd, err);
	if (r == 0)
		warn_of_timeouts();
	if (r == 0 && !s->args->foreground)
		r = behind_go(&s->report_fd, err);
	return r;
}

static int begin(struct supervisor *s, struct err *err)
{
	int r = catch_signals(s, err);

	dblock_sign(s->lock_fd);
	if (r == 0)
		r = open_mount(s, err);
	if (r == 0)
		r = start_server(s, err);
	set_deadline(s, START_MS);
	return r;
}

int supervisor_run(const struct supervisor_args *args)
{
	struct supervisor s = {
		.args = args,
		.fuse_fd = -1,
		.keep_fd = -1,
		.lock_fd = -1,
		.signal_fd = -1,
		.report_fd = -1,
		.ready_fd = -1,
		.deadline = INT64_MAX,
	};
	struct err err;

	if (prepare(&s, &err) < 0) {
		(void)fprintf(stderr, "volfs: %s\n", err.text);
		mount_release(&s.mount);
		return EXIT_FAILURE;
	}
	if (begin(&s, &err) < 0)
		end_with(&s, err.text);
	while (s.goal != GOAL_END)
		wait_for_something(&s);
	finish(&s);
	mount_release(&s.mount);
	return s.status;
}
