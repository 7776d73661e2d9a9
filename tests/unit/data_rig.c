#include "data_rig.h"

#include "base/clock.h"
#include "base/lock.h"
#include "store/view.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utlist.h>

/* --- the storage */

struct op {
	enum disk_op op;
	int64_t volume;
	uint64_t off, len;
	char *in;
	const char *out;
	void **handle;
	driver_done *done;
	void *arg;
	struct op *prev, *next;
};

static struct {
	struct lock lock;
	char *bytes;			       /* of all images, shared with children */
	unsigned hold;			       /* lock */
	struct op *queue;		       /* lock; held, or for the threads */
	unsigned threads, wanted;	       /* lock */
	pthread_cond_t changed;		       /* lock; queue, hold, threads */
	int fail[DISK_OPS];		       /* lock */
	unsigned begun[DISK_OPS];	       /* lock */
	uint64_t off[DISK_OPS], len[DISK_OPS]; /* lock */
	unsigned random;		       /* lock */
} disk = { .lock = LOCK_INIT };

static char handle_of[DISK_IMAGES]; /* what data_open() gives: their places count */

void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

char *disk_bytes(int64_t volume)
{
	return disk.bytes + volume * DISK_BYTES;
}

/* What of a range has bytes. */
static size_t within(uint64_t off, uint64_t len)
{
	if (off >= DISK_BYTES)
		return 0;
	return (size_t)(len < DISK_BYTES - off ? len : DISK_BYTES - off);
}

/* The lock makes each operation one piece. */
static void carry_out_locked(const struct op *o)
{
	char *at = disk_bytes(o->volume) + o->off;
	size_t n = within(o->off, o->len);

	switch (o->op) {
	case DISK_OPEN:
		*o->handle = &handle_of[o->volume];
		break;
	case DISK_READ:
		memset(o->in, 0, o->len);
		if (n)
			memcpy(o->in, at, n);
		break;
	case DISK_WRITE:
		if (n)
			memcpy(at, o->out, n);
		break;
	case DISK_ZERO:
		if (n)
			memset(at, 0, n);
		break;
	default:
		break;
	}
}

static void finish(struct op *o, int code)
{
	driver_done *done = o->done;
	void *arg = o->arg;

	lock_take(&disk.lock);
	if (code == 0)
		carry_out_locked(o);
	lock_drop(&disk.lock);
	free(o);
	done(arg, code);
}

static void begin(const struct op *what)
{
	struct op *o = malloc(sizeof *o);
	bool now;
	int code;

	must(o);
	*o = *what;
	lock_take(&disk.lock);
	disk.begun[o->op]++;
	disk.off[o->op] = o->off;
	disk.len[o->op] = o->len;
	code = disk.fail[o->op];
	disk.fail[o->op] = 0;
	now = code || (!(disk.hold & HOLD(o->op)) && !disk.threads);
	if (!now) {
		DL_APPEND(disk.queue, o);
		pthread_cond_broadcast(&disk.changed);
	}
	lock_drop(&disk.lock);
	if (now)
		finish(o, code);
}

void disk_hold(unsigned ops)
{
	LOCK_SCOPE(&disk.lock);
	disk.hold = ops;
	pthread_cond_broadcast(&disk.changed);
}

void disk_fail(enum disk_op op, int code)
{
	LOCK_SCOPE(&disk.lock);
	disk.fail[op] = code;
}

static struct op *oldest_locked(enum disk_op op)
{
	struct op *o;

	DL_SEARCH_SCALAR(disk.queue, o, op, op);
	return o;
}

void disk_answer(enum disk_op op, int code)
{
	struct timespec until = clock_mono_in_ms(20000);
	struct op *o;

	lock_take(&disk.lock);
	while (!(o = oldest_locked(op)))
		must(lock_wait_until(&disk.lock, &disk.changed, &until));
	DL_DELETE(disk.queue, o);
	lock_drop(&disk.lock);
	finish(o, code);
}

void disk_answer_all(void)
{
	struct op *o;

	disk_hold(HOLD_NONE);
	for (;;) {
		lock_take(&disk.lock);
		o = disk.queue;
		if (o)
			DL_DELETE(disk.queue, o);
		lock_drop(&disk.lock);
		if (!o)
			return;
		finish(o, 0);
	}
}

void disk_forget(void)
{
	struct op *o, *tmp;

	LOCK_SCOPE(&disk.lock);
	disk.hold = HOLD_NONE;
	DL_FOREACH_SAFE(disk.queue, o, tmp)
	{
		DL_DELETE(disk.queue, o);
		free(o);
	}
}

unsigned disk_held(enum disk_op op)
{
	struct op *o;
	unsigned n = 0;

	LOCK_SCOPE(&disk.lock);
	DL_FOREACH(disk.queue, o)
	n += o->op == op;
	return n;
}

const void *disk_backend(void)
{
	return &disk;
}

unsigned disk_begun(enum disk_op op)
{
	LOCK_SCOPE(&disk.lock);
	return disk.begun[op];
}

uint64_t disk_off(enum disk_op op)
{
	LOCK_SCOPE(&disk.lock);
	return disk.off[op];
}

uint64_t disk_len(enum disk_op op)
{
	LOCK_SCOPE(&disk.lock);
	return disk.len[op];
}

/* Any of the first few. */
static struct op *any_locked(void)
{
	struct op *o = disk.queue;

	disk.random = disk.random * 1103515245 + 12345;
	for (unsigned n = disk.random >> 16 & 7; o && o->next && n; n--)
		o = o->next;
	if (o)
		DL_DELETE(disk.queue, o);
	return o;
}

static void *answers(void *arg)
{
	lock_take(&disk.lock);
	for (;;) {
		struct op *o = any_locked();

		if (o) {
			lock_drop(&disk.lock);
			finish(o, 0);
			lock_take(&disk.lock);
		} else if (!disk.wanted) {
			break;
		} else {
			lock_wait(&disk.lock, &disk.changed);
		}
	}
	disk.threads--;
	pthread_cond_broadcast(&disk.changed);
	lock_drop(&disk.lock);
	return NULL;
}

void disk_threads(unsigned n)
{
	pthread_t t;

	LOCK_SCOPE(&disk.lock);
	disk.wanted = n;
	pthread_cond_broadcast(&disk.changed);
	for (; disk.threads < n; disk.threads++) {
		must(pthread_create(&t, NULL, answers, NULL) == 0);
		pthread_detach(t);
	}
	while (!n && disk.threads)
		lock_wait(&disk.lock, &disk.changed);
}

static int64_t volume_of(const void *handle)
{
	return (const char *)handle - handle_of;
}

static void disk_open(void *be, const struct driver_image *image, const struct driver_snap *snap,
	bool writable, void **ret, driver_done *done, void *arg)
{
	must(be == &disk && writable == !snap);
	begin(&(struct op){ .op = DISK_OPEN,
		.volume = strtol((snap ? snap->uuid : image->uuid) + 24, NULL, 10),
		.handle = ret,
		.done = done,
		.arg = arg });
}

static void disk_close(void *data, driver_done *done, void *arg)
{
	begin(&(struct op){
		.op = DISK_CLOSE, .volume = volume_of(data), .done = done, .arg = arg });
}

static void disk_read(void *data, uint64_t off, size_t len, void *buf, driver_done *done, void *arg)
{
	begin(&(struct op){ .op = DISK_READ,
		.volume = volume_of(data),
		.off = off,
		.len = len,
		.in = buf,
		.done = done,
		.arg = arg });
}

static void disk_write(
	void *data, uint64_t off, size_t len, const void *buf, driver_done *done, void *arg)
{
	begin(&(struct op){ .op = DISK_WRITE,
		.volume = volume_of(data),
		.off = off,
		.len = len,
		.out = buf,
		.done = done,
		.arg = arg });
}

static void disk_zero(void *data, uint64_t off, uint64_t len, driver_done *done, void *arg)
{
	begin(&(struct op){ .op = DISK_ZERO,
		.volume = volume_of(data),
		.off = off,
		.len = len,
		.done = done,
		.arg = arg });
}

static void disk_flush(void *data, driver_done *done, void *arg)
{
	begin(&(struct op){
		.op = DISK_FLUSH, .volume = volume_of(data), .done = done, .arg = arg });
}

/* Data is where a block of 4 KiB is not all zeroes. */
static int disk_next(void *data, uint64_t off, uint64_t size, bool hole, uint64_t *ret)
{
	static const char zeroes[4096];
	const char *bytes = disk_bytes(volume_of(data));
	int code;

	LOCK_SCOPE(&disk.lock);
	disk.begun[DISK_NEXT]++;
	while (disk.hold & HOLD(DISK_NEXT))
		lock_wait(&disk.lock, &disk.changed);
	code = disk.fail[DISK_NEXT];
	disk.fail[DISK_NEXT] = 0;
	for (; off < size && off < DISK_BYTES; off += 4096 - off % 4096)
		if (!memcmp(bytes + off / 4096 * 4096, zeroes, 4096) == hole)
			break;
	*ret = off >= size || (!hole && off >= DISK_BYTES) ? size : off;
	return code;
}

static const struct driver driver_disk = {
	.name = "disk",
	.data_open = disk_open,
	.data_close = disk_close,
	.data_read = disk_read,
	.data_write = disk_write,
	.data_zero = disk_zero,
	.data_flush = disk_flush,
	.data_next = disk_next,
};

/* --- the engine and the catalogue */

static struct {
	struct lock lock;
	bool ready;		   /* lock */
	struct engine_ready *wait; /* lock */
} backend = { .lock = LOCK_INIT };

static struct volume volume[DISK_IMAGES];
struct volume *const volumes = volume;

int engine_image(
	struct engine *e, const struct volume *vol, struct engine_image *ret, struct err *err)
{
	if (vol->id == UNCONFIGURED)
		return err_set(err, -EIO, "its backend is not configured");
	*ret = (struct engine_image){ .driver = &driver_disk, .be = &disk };
	memcpy(ret->image.uuid, vol->uuid, sizeof ret->image.uuid);
	ret->image.size = vol->size;
	return 0;
}

bool engine_when_ready(struct engine *e, void *be, struct engine_ready *r)
{
	LOCK_SCOPE(&backend.lock);
	must(be == &disk);
	if (backend.ready)
		return true;
	r->next = backend.wait;
	backend.wait = r;
	return false;
}

void engine_fenced(struct engine *e, void *be)
{
	_exit(FENCED);
}

void backend_ready(bool yes)
{
	struct engine_ready *r;

	lock_take(&backend.lock);
	backend.ready = yes;
	r = backend.wait;
	if (yes)
		backend.wait = NULL;
	lock_drop(&backend.lock);
	while (yes && r) {
		struct engine_ready *next = r->next;

		r->ready(r);
		r = next;
	}
}

void backend_forget(void)
{
	LOCK_SCOPE(&backend.lock);
	backend.wait = NULL;
}

int view_volume(struct view *v, int64_t id, struct volume *ret)
{
	if (id == GONE)
		return -ENOENT;
	must(id > 0 && id < DISK_IMAGES);
	*ret = volume[id];
	return 0;
}

/* --- the clock */

int64_t __real_clock_mono_ns(void);
int64_t __wrap_clock_mono_ns(void);

static _Atomic int64_t ahead_ns;

int64_t __wrap_clock_mono_ns(void)
{
	return __real_clock_mono_ns() + ahead_ns;
}

void run_ahead(long s)
{
	ahead_ns += s * INT64_C(1000000000);
}

/* --- one server */

struct data *server;
struct keep *keep;
_Atomic unsigned failures, failed_at;
_Atomic int failed_code;
_Atomic int64_t failed_volume;

static int keep_fd;
static _Atomic unsigned moments;
static struct data *forgotten[16]; /* so that they count as leaked by nobody */
static size_t forgotten_count;

unsigned moment(void)
{
	return ++moments;
}

static void failed(void *arg, int64_t vol, int code)
{
	must(arg == &server);
	failed_volume = vol;
	failed_code = code;
	failed_at = moment();
	failures++;
}

void server_begin(void)
{
	struct data_hooks hooks = { .failed = failed, .arg = &server };
	struct err err = { 0 };

	must(data_new(NULL, keep, &hooks, &server, &err) == 0);
}

void server_recover(void)
{
	struct err err = { 0 };

	must(data_recover(server, NULL, &err) == 0);
}

void server_new(void)
{
	server_begin();
	server_recover();
}

void server_end(void)
{
	data_stop(server, 20000);
	must(data_free(server));
	server = NULL;
}

void server_forget(void)
{
	must(forgotten_count < 16);
	forgotten[forgotten_count++] = server;
	server = NULL;
}

unsigned kept_places(void)
{
	unsigned n = 0;

	for (int i = 0; i < KEEP_WRITES; i++)
		n += keep->write[i].used != KEEP_FREE;
	return n;
}

int data_set_up(void **state)
{
	struct err err = { 0 };

	for (int i = 0; i < DISK_IMAGES; i++) {
		volume[i].id = i;
		volume[i].size = DISK_BYTES;
		(void)snprintf(
			volume[i].uuid, sizeof volume[i].uuid, "00000000-0000-0000-0000-%012d", i);
	}
	disk.bytes = mmap(NULL, (size_t)DISK_BYTES * DISK_IMAGES, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(disk.bytes != MAP_FAILED);
	cond_init(&disk.changed);
	memset(disk.fail, 0, sizeof disk.fail);
	memset(disk.begun, 0, sizeof disk.begun);
	disk.hold = HOLD_NONE;
	backend.ready = true;
	backend.wait = NULL;
	failures = 0;
	keep_fd = keep_create(&err);
	must(keep_fd >= 0 && keep_map(keep_fd, &keep, &err) == 0);
	keep_succeed(keep);
	server_new();
	return 0;
}

int data_tear_down(void **state)
{
	disk_answer_all();
	if (server)
		server_end();
	must(!disk.queue);
	must(kept_places() == 0);
	pthread_cond_destroy(&disk.changed);
	keep_unmap(keep);
	must(munmap(disk.bytes, (size_t)DISK_BYTES * DISK_IMAGES) == 0);
	return close(keep_fd);
}

struct data_image *image_of(int64_t vol)
{
	struct data_image *i;
	struct err err = { 0 };

	must(data_get(server, &volume[vol], false, &i, &err) == 0);
	return i;
}

struct data_image *open_image(int64_t vol)
{
	struct data_image *i = image_of(vol);

	must(request(i, DATA_DRAIN, 0, 0, NULL) == 0);
	return i;
}

static void req_done(struct data_io *io, int code)
{
	struct req *r = (struct req *)io;

	r->code = code;
	r->at = moment();
	r->over = true;
}

void req_begin(
	struct req *r, struct data_image *i, enum data_op op, uint64_t off, uint64_t len, void *buf)
{
	*r = (struct req){
		.io = { .op = op, .off = off, .len = len, .buf = buf, .done = req_done }
	};
	data_submit(i, &r->io);
}

int req_wait(struct req *r)
{
	WAIT_FOR(r->over);
	return r->code;
}

int request(struct data_image *i, enum data_op op, uint64_t off, uint64_t len, void *buf)
{
	struct req r;

	req_begin(&r, i, op, off, len, buf);
	return req_wait(&r);
}

bool keep_c(struct data_image *i, uint64_t off, size_t len, char c)
{
	char *buf = malloc(len);
	struct data_io *io;

	must(buf);
	memset(buf, c, len);
	must(data_keep_write(i, off, len, buf, &io));
	memset(buf, 0xee, len); /* they are kept elsewhere */
	free(buf);
	data_submit_kept(io);
	return io;
}

bool keeps(struct data_image *i, uint64_t off, size_t len)
{
	static const char zeroes[KEEP_WRITE_MAX + 1];
	struct data_io *io;

	must(len <= sizeof zeroes);
	if (!data_keep_write(i, off, len, zeroes, &io))
		return false;
	data_submit_kept(io);
	return true;
}

void answered(void *arg, int code, uint64_t off)
{
	struct answer *a = arg;

	a->code = code;
	a->off = off;
	a->over = true;
}

int answer_wait(struct answer *a, uint64_t *ret)
{
	WAIT_FOR(a->over);
	if (ret)
		*ret = a->off;
	return a->code;
}
