#include "server.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "config.h"
#include "data/data.h"
#include "driver.h"
#include "engine/engine.h"
#include "fs/fs.h"
#include "keep.h"
#include "store/store.h"

#include <errno.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
	END_MS = 4000, /* what is under way may take so long to finish; the supervisor kills after
			  five seconds */
	REPLACE_MS =
		1000, /* … when another server is to go on with it, and callers wait meanwhile */
	LEAVE_MS = 200,
	STUCK_S = 10, /* whoever does not end by then ends by SIGALRM: the supervisor may be gone */
};

static const struct driver *const drivers[] = { &driver_rbd, &driver_local, NULL };

/* From the leaves up; zeroed where it has not come to it yet. */
struct server {
	const struct server_args *args;
	struct conf conf;
	struct keep *keep;
	struct store *store;
	struct fs *fs;
	struct engine *engine;
	struct data *data;
};

/* For the signal handlers, which may come before there is a filesystem to quit. */
static _Atomic(struct fs *) quitting;
static _Atomic int told_by; /* the signal that ends us; 0 */

static void told_to_end(int signal)
{
	struct fs *fs = atomic_load(&quitting);

	atomic_store(&told_by, signal);
	(void)alarm(STUCK_S);
	if (fs)
		fs_quit(fs);
}

static void catch_signals(void)
{
	struct sigaction act = { .sa_handler = told_to_end, .sa_flags = SA_RESTART };

	(void)sigaction(SIGTERM, &act, NULL);
	(void)sigaction(SIGHUP, &act, NULL);
	act.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &act, NULL);
	(void)sigaction(SIGINT, &act, NULL); /* a terminal's ^C is for the supervisor */
}

static int read_config(struct server *s, struct err *err)
{
	int r = s->args->local ? conf_local(s->args->local, true, &s->conf, err)
			       : conf_read(s->args->config, &s->conf, err);

	if (r < 0)
		return r;
	log_open(s->args->foreground ? LOG_TO_STDERR : LOG_TO_SYSLOG, s->conf.debug);
	return 0;
}

static int map_keep(struct server *s, struct err *err)
{
	int r = keep_map(s->args->keep_fd, &s->keep, err);

	if (r == 0)
		keep_succeed(s->keep);
	return r;
}

/* The database's locks are its own; what can be mended by trying again is not refused. */
static int refusal_of(int code)
{
	return code == -ENOMEM || code == -EAGAIN || code == -EBUSY ? SERVER_FAILED
								    : SERVER_REFUSED;
}

/* Exit status, 0 if requests are answered. */
static int build(struct server *s, struct err *err)
{
	struct engine_hooks hooks = { .changed = fs_changed };
	struct data_hooks data_hooks = { .failed = fs_write_failed };
	int r = read_config(s, err);

	if (r < 0)
		return SERVER_REFUSED;
	if (map_keep(s, err) < 0)
		return SERVER_REMOUNT;
	r = store_open(s->conf.database, &s->conf.quota, &s->store, err);
	if (r == 0)
		r = fs_new(&s->conf, s->store, s->keep, s->args->fuse_fd, &s->fs, err);
	hooks.arg = data_hooks.arg = s->fs;
	if (r == 0)
		r = engine_new(&s->conf, s->store, drivers, &hooks, &s->engine, err);
	if (r == 0)
		r = data_new(s->engine, s->keep, &data_hooks, &s->data, err);
	if (r == 0) {
		fs_join(s->fs, s->engine, s->data);
		engine_on_remove(s->engine, data_let_go, s->data);
		engine_on_snapshot(s->engine, data_quiet, data_go_on, s->data);
		r = engine_start(s->engine, err);
	}
	if (r < 0)
		return refusal_of(r);
	r = fs_start(s->fs, err);
	return r == -ESTALE ? SERVER_REMOUNT : r < 0 ? SERVER_FAILED : 0;
}

/* The engine first: its writer still answers callers through the session. Where calls hang in the
 * storage, everything stays as it is for their threads until the process ends. */
static void take_down(struct server *s, int status)
{
	if (!data_is_closed(s->data) || !engine_free(s->engine) || !data_free(s->data))
		_exit(status);
	fs_free(s->fs);
	store_close(s->store);
	keep_unmap(s->keep);
	conf_release(&s->conf);
}

static void tell(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		log_warning("the supervisor does not listen: %s", strerror(errno));
	(void)close(fd);
}

/* Until somebody unmounts or tells us to end. What stays unfinished has a row in the catalogue. */
static int serve(struct server *s)
{
	int64_t until_ms, left_ms;
	bool replaced;
	int r;

	atomic_store(&quitting, s->fs);
	if (atomic_load(&told_by)) /* it came while there was nothing to quit */
		fs_quit(s->fs);
	r = fs_wait(s->fs);
	(void)alarm(STUCK_S);
	if (r < 0)
		log_err("the connection to the kernel failed: %s", strerror(-r));
	replaced = atomic_load(&told_by) == SIGHUP;
	until_ms = clock_mono_ns() / 1000000 + (replaced ? REPLACE_MS : END_MS);
	fs_stop(s->fs);
	data_stop(s->data, until_ms - clock_mono_ns() / 1000000);
	/* Its threads that are idle need a moment to leave, also where the bytes took all the time. */
	left_ms = until_ms - clock_mono_ns() / 1000000;
	engine_stop(s->engine, left_ms > LEAVE_MS ? left_ms : LEAVE_MS, replaced);
	atomic_store(&quitting, NULL);
	return r < 0 ? SERVER_FAILED : atomic_load(&told_by) ? SERVER_TOLD : 0;
}

int server_run(const struct server_args *args)
{
	struct server s = { .args = args };
	struct err err = { 0 };
	int status;

	catch_signals();
	/* Memory pressure must not make us wait for a write to a loop device over our own `data`.
	 */
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0)
		log_debug("not an I/O flusher: %s", strerror(errno));
	status = build(&s, &err);
	if (status) {
		/* Threads may be running already; the supervisor logs the sentence. */
		tell(args->ready_fd, err.text);
		_exit(status);
	}
	tell(args->ready_fd, (const char[]){ SERVER_READY, '\0' });
	status = serve(&s);
	take_down(&s, status);
	return status;
}
