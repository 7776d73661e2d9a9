/*
 * A crowd that looks at volumes: threads that block in a read of `wait`, and one epoll for many opens of `status`. For tests/system/onlookers.sh.
 *
 *      onlookers MOUNT READERS POLLERS
 *
 * Reader and poller i look at volume i of those that the root has. Commands come on stdin, a line each, and are answered on stdout by a line:
 *
 *      reset WORD     writes it to the `reset` of each volume
 *      begin          the readers block, the pollers are armed; this many of each
 *      interrupt      SIGINT for every reader; when all have been sent away with EINTR they block again
 *      kill           a process with as many pollers is killed
 *      settled        until each reader was told `available`, and each poller has seen POLLPRI and read that
 *      one WORD       the same for the pollers alone, all at the first volume, which is reset to WORD
 *
 * … with the milliseconds that it took.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 512, WRITERS = 16, STACK = 64 << 10, BOUND_MS = 60000, EVENTS = 256 };

static const char *mount_point;
static char **volumes;
static int volume_count, reader_count, poller_count;
static pthread_t *readers;
static int *status_fd;
static atomic_int answered, interrupted, bad, at_work;
static const char *word;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void pause_ms(void)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* Waits until n have been counted; returns the moment. */
static double until(atomic_int *count, int n, const char *what)
{
	double began = now_ms();

	while (atomic_load(count) < n) {
		if (now_ms() - began > BOUND_MS) {
			fprintf(stderr, "%s: %d of %d\n", what, atomic_load(count), n);
			exit(1);
		}
		pause_ms();
	}
	return now_ms();
}

static int open_file(int volume, const char *name, int flags)
{
	char path[PATH_BYTES];
	int fd;

	(void)snprintf(path, sizeof path, "%s/%s/%s", mount_point, volumes[volume], name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

static void find_volumes(void)
{
	struct dirent **e;
	int n = scandir(mount_point, &e, NULL, alphasort);

	if (n < 0)
		die(mount_point);
	volumes = calloc((size_t)n + 1, sizeof *volumes);
	for (int i = 0; volumes && i < n; i++)
		if (e[i]->d_name[0] == 'v')
			volumes[volume_count++] = e[i]->d_name;
	if (!volume_count)
		die("no volumes");
}

/* --- reset --- */

static void reset(int volume)
{
	int fd = open_file(volume, "reset", O_WRONLY);

	if (write(fd, word, strlen(word)) < 0 || close(fd) < 0)
		die("reset");
}

/* Many at a time: then a commit is for many. */
static void *reset_some(void *first)
{
	for (long i = (long)first; i < volume_count; i += WRITERS)
		reset((int)i);
	return NULL;
}

static void reset_all(void)
{
	pthread_t t[WRITERS];

	for (long i = 0; i < WRITERS; i++)
		if (pthread_create(&t[i], NULL, reset_some, (void *)i))
			die("a thread");
	for (int i = 0; i < WRITERS; i++)
		(void)pthread_join(t[i], NULL);
}

/* --- readers --- */

static void on_signal(int number)
{
}

static void *reader(void *number)
{
	int fd = open_file((int)((long)number % volume_count), "wait", O_RDONLY);
	char text[64];
	ssize_t n;

	atomic_fetch_add(&at_work, 1);
	while ((n = read(fd, text, sizeof text)) < 0 && errno == EINTR)
		atomic_fetch_add(&interrupted, 1);
	if (n != 10 || memcmp(text, "available\n", 10))
		atomic_fetch_add(&bad, 1);
	atomic_fetch_add(&answered, 1);
	close(fd);
	return NULL;
}

/* In a table of files of their own: one limit on open files is for all of a process that share one. */
static void *lead_readers(void *arg)
{
	pthread_attr_t attr;

	if (unshare(CLONE_FILES) < 0)
		die("unshare");
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK);
	for (long i = 0; i < reader_count; i++)
		if (pthread_create(&readers[i], &attr, reader, (void *)i))
			die("a reader");
	return NULL;
}

static void start_readers(void)
{
	pthread_t leader;

	if (pthread_create(&leader, NULL, lead_readers, NULL))
		die("a thread");
	(void)pthread_join(leader, NULL);
	(void)until(&at_work, reader_count, "readers");
}

static bool sleeps(const char *task)
{
	char path[PATH_BYTES], text[PATH_BYTES];
	FILE *f;
	bool yes;

	(void)snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", task);
	f = fopen(path, "re");
	yes = f && fgets(text, sizeof text, f) && strstr(text, ") S ");
	if (f)
		(void)fclose(f);
	return yes;
}

/* What they wait for is their answer: this thread alone is awake. */
static void until_blocked(void)
{
	double began = now_ms();
	int n = -1;

	while (n < reader_count && now_ms() - began < BOUND_MS) {
		DIR *d = opendir("/proc/self/task");
		struct dirent *e;

		pause_ms();
		for (n = 0; d && (e = readdir(d));)
			n += sleeps(e->d_name);
		if (d)
			(void)closedir(d);
	}
	if (n < reader_count)
		die("blocked readers");
}

static void interrupt_readers(void)
{
	atomic_store(&interrupted, 0);
	for (int i = 0; i < reader_count; i++)
		if (pthread_kill(readers[i], SIGINT))
			die("pthread_kill");
	(void)until(&interrupted, reader_count, "interrupted");
}

/* --- pollers --- */

static void look(int fd, char text[64])
{
	ssize_t n = lseek(fd, 0, SEEK_SET) == 0 ? read(fd, text, 63) : -1;

	if (n < 0)
		die("status");
	text[n] = '\0';
}

/* `status` of `volume` (or of all in turn) each open in an epoll, read once. */
static int arm(int volume)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	char text[64];

	for (int i = 0; i < poller_count; i++) {
		struct epoll_event e = { .events = EPOLLPRI, .data.fd = -1 };

		e.data.fd = status_fd[i] =
			open_file(volume < 0 ? i % volume_count : volume, "status", O_RDONLY);
		look(e.data.fd, text);
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, e.data.fd, &e) < 0)
			die("epoll_ctl");
	}
	return epoll;
}

static void disarm(int epoll)
{
	close(epoll);
	for (int i = 0; i < poller_count; i++)
		close(status_fd[i]);
}

/* Until each has read `wanted`. *ret_first: when the first one was woken. A later server wakes all: some look in vain. */
static void see(int epoll, const char *wanted, double *ret_first)
{
	struct epoll_event e[EVENTS];
	int seen = 0;

	*ret_first = 0;
	while (seen < poller_count) {
		int n = epoll_wait(epoll, e, EVENTS, BOUND_MS);

		if (n <= 0) {
			fprintf(stderr, "woken: %d of %d\n", seen, poller_count);
			exit(1);
		}
		if (!*ret_first)
			*ret_first = now_ms();
		for (int i = 0; i < n; i++) {
			char text[64];

			look(e[i].data.fd, text);
			if (!strncmp(text, wanted, strlen(wanted))) {
				(void)epoll_ctl(epoll, EPOLL_CTL_DEL, e[i].data.fd, NULL);
				seen++;
			}
		}
	}
}

static void kill_pollers(void)
{
	int told[2], status;
	char c;
	pid_t pid = -1;

	if (pipe(told) < 0 || (pid = fork()) < 0)
		die("fork");
	if (pid == 0) {
		for (int i = 0; i < poller_count; i++) /* the limit is for both together */
			close(status_fd[i]);
		(void)arm(0);
		(void)!write(told[1], "", 1);
		for (;;)
			pause();
	}
	close(told[1]);
	if (read(told[0], &c, 1) != 1 || kill(pid, SIGKILL) < 0 || waitpid(pid, &status, 0) != pid)
		die("kill");
	close(told[0]);
}

/* --- commands --- */

static void settle(int epoll)
{
	double first;

	see(epoll, "available", &first);
	(void)until(&answered, reader_count, "answered");
	if (atomic_load(&bad)) {
		fprintf(stderr, "%d readers were not told 'available'\n", atomic_load(&bad));
		exit(1);
	}
}

static void command(char *line)
{
	static int epoll = -1;
	double began = now_ms();

	if (!strncmp(line, "reset ", 6)) {
		word = line + 6;
		reset_all();
	} else if (!strcmp(line, "begin")) {
		start_readers();
		epoll = arm(-1);
		until_blocked();
	} else if (!strcmp(line, "interrupt")) {
		interrupt_readers();
	} else if (!strcmp(line, "kill")) {
		kill_pollers();
	} else if (!strcmp(line, "settled")) {
		settle(epoll);
		disarm(epoll);
	} else if (!strncmp(line, "one ", 4)) {
		double first;

		epoll = arm(0);
		word = line + 4;
		began = now_ms();
		reset(0);
		see(epoll, word, &first);
		disarm(epoll);
	} else {
		die(line);
	}
	printf("%.0f\n", now_ms() - began);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct rlimit files;
	struct sigaction sa = { .sa_handler = on_signal };
	char line[128];

	if (argc != 4)
		return 2;
	mount_point = argv[1];
	reader_count = atoi(argv[2]);
	poller_count = atoi(argv[3]);
	readers = calloc((size_t)reader_count + 1, sizeof *readers);
	status_fd = calloc((size_t)poller_count + 1, sizeof *status_fd);
	if (!readers || !status_fd || getrlimit(RLIMIT_NOFILE, &files) < 0)
		die("onlookers");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0 || sigaction(SIGINT, &sa, NULL) < 0)
		die("onlookers");
	find_volumes();
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		command(line);
	}
	return 0;
}
