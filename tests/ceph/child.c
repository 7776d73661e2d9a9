/* Other processes that a test needs: this program again, as somebody who has an image open, or who changes one and dies of it. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct rig_child rig_child(const char *const *words)
{
	const char *argv[16] = { rig.program, rig.ceph_conf, rig.dir, "child" };
	struct rig_child c;
	int in[2], out[2];

	for (size_t i = 0; words[i]; i++)
		argv[4 + i] = words[i];
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (c.pid ==
		0) { /* a copy with threads missing: nothing but system calls until it is a program again */
		dup2(in[0], 0);
		dup2(out[1], 1);
		execve(rig.program, (char **)argv, environ);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	c.in = in[1];
	c.out = out[0];
	return c;
}

void rig_child_line(struct rig_child *c, char line[256])
{
	size_t n = 0;

	while (n < 255 && read(c->out, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
}

static int reap(struct rig_child *c)
{
	int status = -1;

	close(c->in);
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(c->out);
	return status;
}

int rig_child_end(struct rig_child *c)
{
	return reap(c);
}

void rig_child_kill(struct rig_child *c)
{
	kill(c->pid, SIGKILL);
	(void)reap(c);
}

static void say(const char *line)
{
	(void)printf("%s\n", line);
	(void)fflush(stdout);
}

static void wait_for_end(void)
{
	char c;

	while (read(0, &c, 1) > 0)
		;
}

/* child open|write IMAGE: has it open; after a write the lock too. Says its address. */
static int child_open(const char *name, bool write)
{
	rbd_image_t image;
	char *address;
	int r = rbd_open(rig.vols, name, &image, NULL);

	if (r >= 0 && write)
		r = rbd_write(image, 0, 4, "data") == 4 ? 0 : -EIO;
	if (r < 0 || rados_getaddrs(rig.admin, &address) < 0)
		return 1;
	say(address);
	rados_buffer_free(address);
	wait_for_end();
	return rbd_close(image) < 0;
}

/*
 * child create|limited|clone|fresh|remove DIRECT UUID ID SIZE CRASH_AT [SOURCE ID SNAPSHOT]: says the address of its connection, then does
 * it. CRASH_AT: of the driver's operations, or if negative of the messages.
 */
static int child_change(int n, char **w)
{
	struct rig_backend b = { .driver = &driver_rbd };
	struct driver_image image = { .size = strtoull(w[4], NULL, 10) };
	struct driver_source source = { .snapshot = "" };
	char address[256];
	struct err err = { 0 };
	int r;

	rig_backend_conf(&b.conf, w[1]);
	b.conf.crash_at = atol(w[5]) > 0 ? atol(w[5]) : 0;
	(void)snprintf(image.uuid, sizeof image.uuid, "%s", w[2]);
	(void)snprintf(image.image_id, sizeof image.image_id, "%s", w[3]);
	if (n > 6) {
		(void)snprintf(source.image.uuid, sizeof source.image.uuid, "%s", w[6]);
		(void)snprintf(source.image.image_id, sizeof source.image.image_id, "%s", w[7]);
		(void)snprintf(source.snapshot, sizeof source.snapshot, "%s", w[8]);
	}
	if (b.driver->open(&b.conf, &b.be, &err) < 0 ||
		b.driver->address(b.be, address, sizeof address, &err) < 0)
		return 2;
	say(address);
	rig_die_at_message(-atol(w[5]));
	if (!strcmp(w[0], "create"))
		r = rig_create(&b, &image, &err);
	else if (!strcmp(w[0], "limited"))
		r = qos_create(&b, &image, &err);
	else if (!strcmp(w[0], "clone"))
		r = rig_clone(&b, &image, &source, &err);
	else if (!strcmp(w[0], "fresh"))
		r = rig_clone_fresh(&b, &image, &source, &err);
	else
		r = b.driver->remove(b.be, &image, NULL, &err);
	if (r < 0)
		(void)fprintf(stderr, "child %s: %s\n", w[0], err.text);
	return r < 0;
}

int rig_child_main(int argc, char **argv)
{
	if (argc == 7)
		return rig_die_main(argv);
	if (argc == 2)
		return child_open(argv[1], !strcmp(argv[0], "write"));
	return argc == 6 || argc == 9 ? child_change(argc, argv) : 2;
}

/* --- those that die */

static struct rig_child start(const char *const *words, char address[256])
{
	struct rig_child c = rig_child(words);

	rig_child_line(&c, address);
	assert_true(address[0]);
	return c;
}

static void fence(struct rig_backend *b, const char *address)
{
	struct err err = { 0 };

	if (b->driver->fence(b->be, address, &err) != 0)
		fail_msg("fence: %s", err.text);
}

/* librados itself can throw and abort a young process ("EVP_DecryptInit_ex failed"): then another one does it. */
bool rig_child_dies(struct rig_backend *b, const char *const *words)
{
	char address[256];
	int status;

	for (int tries = 1;; tries++) {
		struct rig_child c = start(words, address);

		status = rig_child_end(&c);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			return false;
		assert_true(WIFSIGNALED(status));
		fence(b, address);
		if (WTERMSIG(status) != SIGABRT || tries == 3)
			break;
	}
	assert_int_equal(WTERMSIG(status), SIGKILL);
	return true;
}

/* The words of child_change(). */
struct change_words {
	char size[24], at[24];
	const char *list[10];
};

static const char *const *change_words(struct change_words *w, struct rig_backend *b,
	const char *what, const struct driver_image *image, const struct driver_source *source,
	int crash_at)
{
	const char *words[] = { what, b->conf.direct, image->uuid, image->image_id, w->size, w->at,
		source ? source->image.uuid : NULL, source ? source->image.image_id : NULL,
		source ? source->snapshot : NULL, NULL };

	(void)snprintf(w->size, sizeof w->size, "%llu", (unsigned long long)image->size);
	(void)snprintf(w->at, sizeof w->at, "%d", crash_at);
	memcpy(w->list, words, sizeof words);
	return w->list;
}

bool rig_dies_at(struct rig_backend *b, const char *what, const struct driver_image *image,
	const struct driver_source *source, int n)
{
	struct change_words w;

	return rig_child_dies(b, change_words(&w, b, what, image, source, n));
}

void rig_dies_after(struct rig_backend *b, const char *what, const struct driver_image *image,
	const struct driver_source *source, unsigned us)
{
	struct change_words w;
	char address[256];
	struct rig_child c = start(change_words(&w, b, what, image, source, 0), address);

	usleep(us);
	rig_child_kill(&c);
	fence(b, address);
}
