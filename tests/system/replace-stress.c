/*
 * Changes, reads, waits and polls on a mount whose server is killed again and again: no call may
 * fail, no change may be done twice. For tests/system/replace.sh and replace-fs.sh.
 *
 *      replace-stress plain|volfs|drafts MOUNTPOINT SUPERVISOR ROUNDS MAX_MS
 *
 * ROUNDS times the child of process SUPERVISOR is killed, each 1 to MAX_MS after the one before.
 * `plain` is for the filesystem of replace-fs.c, the others are for the real one. Every worker has names
 * of its own and knows what each call must answer: a change that is done twice shows itself as
 * EEXIST or ENOENT, or as a volume too many at the end.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 6, READERS = 2, SLEEPERS = 4, SHOWN = 20 };

static const char *mountpoint;
static _Atomic bool stop;
static _Atomic unsigned long calls, failures, passes;
static _Atomic unsigned woken;

/* --- what a call must answer ----------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static void complain(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (atomic_fetch_add(&failures, 1) >= SHOWN)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "replace-stress: %s\n", line);
}

/* r and errno of a call just made; want: 0 for success, else the errno. */
static bool must(long r, int want, const char *call, const char *name)
{
	int got = r < 0 ? errno : 0;

	atomic_fetch_add(&calls, 1);
	if (got == want)
		return true;
	complain("%s %s: %s, wanted %s", call, name, got ? strerror(got) : "success",
		want ? strerror(want) : "success");
	return false;
}

struct path {
	char at[256];
};

__attribute__((format(printf, 1, 2))) static struct path in(const char *fmt, ...)
{
	struct path p;
	int n = snprintf(p.at, sizeof p.at, "%s/", mountpoint);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(p.at + n, sizeof p.at - (size_t)n, fmt, ap);
	va_end(ap);
	return p;
}

static void make_file(struct path p, int want)
{
	int fd = open(p.at, O_CREAT | O_EXCL | O_WRONLY, 0644);

	if (must(fd, want, "create", p.at) && fd >= 0)
		(void)must(close(fd), 0, "close", p.at);
}

static void drop_file(struct path p, int want)
{
	(void)must(unlink(p.at), want, "unlink", p.at);
}

static void make_dir(struct path p, int want)
{
	(void)must(mkdir(p.at, 0755), want, "mkdir", p.at);
}

static void drop_dir(struct path p, int want)
{
	(void)must(rmdir(p.at), want, "rmdir", p.at);
}

static void move(struct path from, struct path to, int want)
{
	(void)must(rename(from.at, to.at), want, "rename", from.at);
}

static bool write_text(struct path p, const char *text)
{
	int fd = open(p.at, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	bool fine;

	if (!must(fd, 0, "open", p.at))
		return false;
	fine = must(write(fd, text, strlen(text)), 0, "write", p.at);
	return must(close(fd), 0, "close", p.at) && fine;
}

/* First read, and that the next is end of file. */
static bool read_text(struct path p, char *text, size_t room)
{
	int fd = open(p.at, O_RDONLY);
	ssize_t n;
	char more;

	text[0] = '\0';
	if (!must(fd, 0, "open", p.at))
		return false;
	n = read(fd, text, room - 1);
	if (must(n, 0, "read", p.at))
		text[n] = '\0';
	if (n > 0 && read(fd, &more, 1) != 0)
		complain("read %s: no end of file after '%s'", p.at, text);
	(void)must(close(fd), 0, "close", p.at);
	return n > 0;
}

static void expect_text(struct path p, const char *want)
{
	char text[256];

	if (read_text(p, text, sizeof text) && strcmp(text, want))
		complain("%s: '%s', wanted '%s'", p.at, text, want);
}

/* --- plain ----------------------------------------------------------------------------------- */

static void plain_pass(unsigned me, unsigned long k)
{
	struct path d = in("d%u-%lu", me, k), e = in("e%u-%lu", me, k), f = in("f%u-%lu", me, k);

	make_dir(d, 0);
	make_dir(d, EEXIST);
	move(d, e, 0);
	move(d, e, ENOENT);
	drop_dir(d, ENOENT);
	drop_dir(e, 0);
	drop_dir(e, ENOENT);
	make_file(f, 0);
	make_file(f, EEXIST);
	drop_file(f, 0);
	drop_file(f, ENOENT);
}

/* Files are direct I/O: to be mapped they need a flag of INIT that libfuse does not know. */
static void map_text(struct path p, const char *want)
{
	int fd = open(p.at, O_RDONLY);
	char *at;

	if (!must(fd, 0, "open", p.at))
		return;
	at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (must(at == MAP_FAILED ? -1 : 0, 0, "mmap", p.at)) {
		if (memcmp(at, want, strlen(want)))
			complain("mmap %s: wrong bytes", p.at);
		(void)munmap(at, 4096);
	}
	(void)close(fd);
}

static void plain_look(unsigned me)
{
	static const char want[] = "the same text for everybody\n";

	expect_text(in("text"), want);
	map_text(in("text"), want);
}

/* --- volfs ----------------------------------------------------------------------------------- */

static void metadata_pass(struct path volume, unsigned long k)
{
	struct path key;

	(void)snprintf(key.at, sizeof key.at, "%.200s/metadata/k%lu", volume.at, k);
	make_file(key, 0);
	make_file(key, EEXIST);
	(void)write_text(key, "value\n");
	expect_text(key, "value\n");
	drop_file(key, 0);
	drop_file(key, ENOENT);
}

static void named_spec_pass(unsigned me, unsigned long k)
{
	struct path spec = in("new/n%u-%lu", me, k), dir = in("n%u-%lu", me, k);

	if (!write_text(spec, "size=1M\n"))
		return;
	expect_text(in("n%u-%lu/wait", me, k), "available\n");
	expect_text(in("n%u-%lu/status", me, k), "available\n");
	drop_dir(dir, 0);
	drop_dir(dir, ENOENT);
}

/* The answer on the same descriptor: the UUID, which is the directory's name. */
static void answered_spec_pass(void)
{
	struct path spec = in("new/spec");
	int fd = open(spec.at, O_RDWR);
	char id[64] = "";

	if (!must(fd, 0, "open", spec.at))
		return;
	(void)must(write(fd, "size=1M ", 8), 0, "write", spec.at);
	(void)must(write(fd, "description=twice\n", 18), 0, "write", spec.at);
	if (must(read(fd, id, sizeof id - 1), 0, "read", spec.at)) {
		id[strcspn(id, "\n")] = '\0';
		if (strlen(id) != 36)
			complain("new/spec answered '%s'", id);
		expect_text(in("%s/wait", id), "available\n");
		expect_text(in("%s/description", id), "twice\n");
		drop_dir(in("%s", id), 0);
	}
	(void)must(close(fd), 0, "close", spec.at);
}

static void volfs_pass(unsigned me, unsigned long k)
{
	struct path v = in("s%u", me), w = in("t%u", me);

	metadata_pass(v, k);
	move(v, w, 0);
	move(v, w, ENOENT);
	move(w, v, 0);
	named_spec_pass(me, k);
	answered_spec_pass();
}

/* As sed -i does it. */
static void keyed_pass(unsigned me)
{
	struct path temporary = in("s%u/metadata/.new", me), key = in("s%u/metadata/key", me);
	struct path other = in("s%u/metadata/other", me);

	(void)write_text(temporary, "value\n");
	move(temporary, key, 0);
	move(temporary, key, ENOENT);
	move(key, other, 0);
	move(key, other, ENOENT);
	expect_text(other, "value\n");
	drop_file(other, 0);
	drop_file(other, ENOENT);
}

/* A draft that goes to and fro between two names, and away. */
static void drafts_pass(unsigned me, unsigned long k)
{
	struct path a = in("new/.a%u", me), b = in("new/.b%u", me);

	(void)write_text(b, "size=3M\n"); /* to be replaced */
	(void)write_text(a, "size=2M\n");
	for (int i = 0; i < 16; i++) {
		move(a, b, 0);
		move(b, a, 0);
	}
	expect_text(a, "size=2M\n");
	drop_file(b, ENOENT);
	drop_file(a, 0);
	drop_file(a, ENOENT);
	keyed_pass(me);
}

static void volfs_look(unsigned me)
{
	struct stat st;
	struct path p = in("home/status");

	expect_text(p, "available\n");
	(void)must(stat(p.at, &st), 0, "stat", p.at);
	expect_text(in(".volfs/by/id/../../../home/size"), "1M\n");
	map_text(in("home/size"), "1M\n");
}

/* --- threads --------------------------------------------------------------------------------- */

static const struct kind {
	const char *name;
	void (*pass)(unsigned me, unsigned long k);
	void (*look)(unsigned me);
	const char *poll, *block; /* files to sleep on; block may be NULL */
	short events;
} kinds[] = {
	{ "plain", plain_pass, plain_look, "poll", "block", POLLIN },
	{ "volfs", volfs_pass, volfs_look, "home/status", NULL, POLLPRI },
	{ "drafts", drafts_pass, volfs_look, "home/status", NULL, POLLPRI },
};
static const struct kind *kind;

static void *worker(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	for (unsigned long k = 0; !atomic_load(&stop); k++) {
		kind->pass(me, k);
		atomic_fetch_add(&passes, 1);
	}
	return NULL;
}

static void *looker(void *arg)
{
	while (!atomic_load(&stop))
		kind->look((unsigned)(uintptr_t)arg);
	return NULL;
}

/* Has what was waited for come? As for a file of sysfs, POLLPRI says: read it again. */
static bool has_come(int fd, const char *name)
{
	char text[64] = "";

	if (kind->events != POLLPRI)
		return true;
	(void)must(pread(fd, text, sizeof text - 1, 0), 0, "read", name);
	return strcmp(text, "available\n") != 0;
}

/* Sleeps in poll(2) through all kills. */
static void *poller(void *arg)
{
	struct path p = in("%s", kind->poll);
	struct pollfd fd = { .fd = open(p.at, O_RDONLY), .events = kind->events };

	if (!must(fd.fd, 0, "open", p.at))
		return NULL;
	(void)has_come(fd.fd, p.at);
	do {
		(void)must(poll(&fd, 1, -1), 0, "poll", p.at);
		if (!(fd.revents & kind->events)) {
			complain("poll %s: woken with events %x", p.at, (unsigned)fd.revents);
			break;
		}
	} while (!has_come(fd.fd, p.at));
	if (!atomic_load(&stop))
		complain("poll %s: woken too early", p.at);
	atomic_fetch_add(&woken, 1);
	(void)close(fd.fd);
	return NULL;
}

static void *blocked_reader(void *arg)
{
	expect_text(in("%s", kind->block), "gone\n");
	if (!atomic_load(&stop))
		complain("read %s: returned too early", kind->block);
	atomic_fetch_add(&woken, 1);
	return NULL;
}

static void start(pthread_t *thread, unsigned n, void *(*run)(void *))
{
	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&thread[i], NULL, run, (void *)(uintptr_t)i))
			abort();
}

static void join(pthread_t *thread, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		(void)pthread_join(thread[i], NULL);
}

/* --- killing --------------------------------------------------------------------------------- */

static void pause_us(long us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	(void)nanosleep(&t, NULL);
}

static pid_t parent_of(const char *pid, char *ret_state)
{
	char path[300], line[512];
	FILE *f;
	char *at;
	int parent = 0;

	(void)snprintf(path, sizeof path, "/proc/%s/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	at = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
	(void)fclose(f);
	return at && sscanf(at + 1, " %c %d", ret_state, &parent) == 2 ? parent : 0;
}

/* A living child of the supervisor: 0 if there is none at this moment. */
static pid_t find_server(pid_t supervisor)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	pid_t found = 0;
	char state;

	while (d && !found && (e = readdir(d)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
			parent_of(e->d_name, &state) == supervisor && state != 'Z')
			found = (pid_t)atoi(e->d_name);
	if (d)
		(void)closedir(d);
	return found;
}

static unsigned kill_rounds(pid_t supervisor, unsigned rounds, unsigned max_ms)
{
	unsigned kills = 0;

	for (unsigned tries = 0; kills < rounds && tries < rounds * 100; tries++) {
		pid_t server;

		pause_us(1000 + random() % ((long)max_ms * 1000));
		server = find_server(supervisor);
		if (server && kill(server, SIGKILL) == 0)
			kills++;
	}
	return kills;
}

/* --- beginning and end ----------------------------------------------------------------------- */

static void begin_volfs(void)
{
	(void)write_text(in("new/home"), "size=1M\n");
	expect_text(in("home/wait"), "available\n");
	for (unsigned i = 0; i < WORKERS; i++) {
		(void)write_text(in("new/s%u", i), "size=1M\n");
		expect_text(in("s%u/wait", i), "available\n");
	}
}

/* What everybody waited for. */
static void let_go(void)
{
	if (kind->block)
		make_file(in("go"), 0);
	else
		(void)write_text(in("home/reset"), "maintenance\n");
}

/* Nothing but what was there at the beginning. */
static void check_names(unsigned want)
{
	DIR *d = opendir(mountpoint);
	struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.' && strcmp(e->d_name, "new") != 0;
	if (!d || n != want)
		complain("%u names are left in %s, wanted %u", n, mountpoint, want);
	if (d)
		(void)closedir(d);
}

int main(int argc, char **argv)
{
	pthread_t workers[WORKERS], readers[READERS], pollers[SLEEPERS], blocked[SLEEPERS];
	unsigned sleepers, kills;

	for (size_t i = 0; argc == 6 && i < sizeof kinds / sizeof kinds[0]; i++)
		if (!strcmp(argv[1], kinds[i].name))
			kind = &kinds[i];
	if (!kind)
		return 2;
	sleepers = kind->block ? 2 * SLEEPERS : SLEEPERS;
	mountpoint = argv[2];
	srandom((unsigned)getpid());
	if (!kind->block)
		begin_volfs();
	start(pollers, SLEEPERS, poller);
	if (kind->block)
		start(blocked, SLEEPERS, blocked_reader);
	start(workers, WORKERS, worker);
	start(readers, READERS, looker);
	kills = kill_rounds((pid_t)atoi(argv[3]), (unsigned)atoi(argv[4]), (unsigned)atoi(argv[5]));
	if (atomic_load(&woken))
		complain("%u sleepers were woken before their time", atomic_load(&woken));
	atomic_store(&stop, true);
	join(workers, WORKERS);
	join(readers, READERS);
	let_go();
	join(pollers, SLEEPERS);
	if (kind->block)
		join(blocked, SLEEPERS);
	check_names(kind->block ? 4 : WORKERS + 1);
	(void)printf("%u kills, %lu calls, %lu passes, %u of %u sleepers woken, %lu failures\n",
		kills, atomic_load(&calls), atomic_load(&passes), atomic_load(&woken), sleepers,
		atomic_load(&failures));
	return atomic_load(&failures) || kills < (unsigned)atoi(argv[4]) || !atomic_load(&passes);
}
