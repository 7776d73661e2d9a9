/*
 * A crowd of writers, each a process of its own, that write specs at the same moment. For tests/system/commit.sh.
 *
 *      crowd [-c] [-g FILE] [-u UID:GID]… FOLDER PREFIX COUNT SPEC…
 *
 * Writer i is the user, and writes the spec, whose turn it is: open(FOLDER/PREFIXi), write, close. All of them meet before
 * the open, or with -c before the close; so the close of each is at the server before the first is answered. With -g they
 * go on when FILE is there, and FILE.met says that all have come.
 *
 * As each is answered it prints a line: its name, OK or the errno and the call that gave it (EDQUOT@close), its spec.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { USERS_MAX = 8, LINE_BYTES = 512 };

static struct {
	unsigned uid, gid;
} users[USERS_MAX] = { { 0, 0 } };
static int user_count, spec_count;
static const char *folder, *prefix, *gate;
static char **specs;
static bool meet_at_close;
static int met[2], go[2]; /* pipes: a byte of each who has come; end of file when all may go on */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void meet(void)
{
	char c = 0;

	if (write(met[1], &c, 1) != 1 || read(go[0], &c, 1) != 0)
		die("crowd: meet");
}

/* Returns which call failed, with its errno; NULL: none. */
static const char *submit(const char *path, const char *spec)
{
	ssize_t len = (ssize_t)strlen(spec);
	int fd, code;

	if (!meet_at_close)
		meet();
	fd = open(path, O_WRONLY | O_CREAT, 0644);
	code = fd < 0 || write(fd, spec, (size_t)len) == len ? 0 : errno;
	if (meet_at_close) /* who has failed too: the others count on it */
		meet();
	if (fd < 0)
		return "open";
	if (code) {
		(void)close(fd);
		errno = code;
		return "write";
	}
	return close(fd) < 0 ? "close" : NULL;
}

static void writer(int i)
{
	char path[LINE_BYTES], line[LINE_BYTES], spec[LINE_BYTES];
	const char *failed;
	int n;

	close(met[0]);
	close(go[1]);
	if (setgroups(0, NULL) || setgid(users[i % user_count].gid) ||
		setuid(users[i % user_count].uid))
		die("crowd: become the user");
	(void)snprintf(path, sizeof path, "%s/%s%d", folder, prefix, i);
	(void)snprintf(spec, sizeof spec, "%s\n", specs[i % spec_count]);
	failed = submit(path, spec);
	/* one write for one line: they do not mix */
	n = snprintf(line, sizeof line, "%s%d %s%s%s %s", prefix, i,
		failed ? strerrorname_np(errno) : "OK", failed ? "@" : "", failed ? failed : "",
		spec);
	_exit(write(STDOUT_FILENO, line, (size_t)n) == n ? 0 : 1);
}

static void wait_for_gate(void)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	char told[LINE_BYTES];
	int fd;

	(void)snprintf(told, sizeof told, "%s.met", gate);
	fd = open(told, O_WRONLY | O_CREAT, 0644);
	if (fd < 0)
		die(told);
	close(fd);
	while (access(gate, F_OK) != 0)
		nanosleep(&moment, NULL);
}

static int crowd(int count)
{
	int status, bad = 0;
	char c;

	if (pipe(met) || pipe(go))
		die("crowd: pipe");
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("crowd: fork");
		if (pid == 0)
			writer(i);
	}
	close(met[1]);
	close(go[0]);
	for (int i = 0; i < count; i++)
		if (read(met[0], &c, 1) != 1)
			die("crowd: a writer has not come");
	if (gate)
		wait_for_gate();
	close(go[1]);
	while (wait(&status) > 0)
		bad |= status;
	return bad ? 1 : 0;
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "cg:u:")) >= 0) {
		if (opt == 'c')
			meet_at_close = true;
		else if (opt == 'g')
			gate = optarg;
		else if (opt != 'u' || user_count == USERS_MAX ||
			 sscanf(optarg, "%u:%u", &users[user_count].uid, &users[user_count].gid) !=
				 2)
			return 2;
		else
			user_count++;
	}
	if (argc - optind < 4)
		return 2;
	user_count = user_count ? user_count : 1;
	folder = argv[optind];
	prefix = argv[optind + 1];
	specs = argv + optind + 3;
	spec_count = argc - optind - 3;
	return crowd(atoi(argv[optind + 2]));
}
