/* What lies on a backend and is nobody's: seen, adopted, let go. */
#include "tests/lib/driver_clone.h"
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOST "volume-00000000-0000-4000-8000-00000000beef"

static struct rig rig;
static const struct caller user = { .uid = 1, .gid = 1, .pid = 1 };

static int set_up(void **state)
{
	clone_fault_reset();
	rig_make(&rig, 2,
		"quota = { volumes = 10; size = \"100M\"; snapshots = 5; };\n"
		"types = ( { name = \"fast\"; } );\n"
		"default_type = \"fast\";");
	return 0;
}

static int tear_down(void **state)
{
	clone_fault_reset();
	if (rig.engine) {
		rig_idle(&rig);
		rig_recount(&rig);
		rig_down(&rig);
	}
	rig_drop(&rig);
	return 0;
}

/* --- files of b0 --- */

static const char *path_of(const char *name)
{
	static _Thread_local char path[512];

	(void)snprintf(path, sizeof path, "%s/b0/%s", rig.dir, name);
	return path;
}

static void put(const char *name, off_t size)
{
	int fd = open(path_of(name), O_CREAT | O_WRONLY | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(pwrite(fd, name, strlen(name), 0), (ssize_t)strlen(name));
	close(fd);
}

static bool there(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

/* It still holds what put() wrote as `was`. */
static bool holds(const char *name, const char *was)
{
	char text[64] = "";
	int fd = open(path_of(name), O_RDONLY);
	bool same = fd >= 0 && pread(fd, text, strlen(was), 0) == (ssize_t)strlen(was) &&
		    !strcmp(text, was);

	if (fd >= 0)
		close(fd);
	return same;
}

static const char *image_of(const struct volume *v)
{
	static _Thread_local char name[UUID_LEN + 8];

	(void)snprintf(name, sizeof name, "volume-%s", v->uuid);
	return name;
}

/* --- calls --- */

static int64_t backend(const char *name)
{
	struct backend_sums sums;

	assert_int_equal(view_backend(rig.view, name, &sums), 0);
	return sums.id;
}

static int look(const char *name, struct unmanaged *ret)
{
	return view_unmanaged_by_name(rig.view, backend("b0"), name, ret);
}

/* Looked through again, within 10 s. */
static struct unmanaged seen(const char *name)
{
	struct unmanaged u;

	for (int i = 0; look(name, &u) < 0; i++) {
		if (i > 1000)
			fail_msg("%s is not seen", name);
		engine_look_unmanaged(rig.engine, backend("b0"));
		usleep(10000);
	}
	return u;
}

static void unseen(const char *name)
{
	struct unmanaged u;

	for (int i = 0; look(name, &u) == 0; i++) {
		if (i > 1000)
			fail_msg("%s is seen still", name);
		engine_look_unmanaged(rig.engine, backend("b0"));
		usleep(10000);
	}
}

static int adopt_as(const struct caller *who, int64_t unmanaged, const char *name, int64_t *id)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_adopt(rig.engine, (struct change_id){ 0 }, who, unmanaged, name, rig_done, &a);
	return rig_wait(&a, id);
}

static int adopt(int64_t unmanaged, const char *name, int64_t *id)
{
	return adopt_as(&rig.who, unmanaged, name, id);
}

static int disown_as(const struct caller *who, int64_t id, const char *on, const char *image)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_disown(
		rig.engine, (struct change_id){ 0 }, who, id, backend(on), image, rig_done, &a);
	return rig_wait(&a, NULL);
}

static int let_go(int64_t id, const char *image)
{
	return disown_as(&rig.who, id, "b0", image);
}

static int reset(int64_t id, enum vol_status status)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_reset(rig.engine, (struct change_id){ 0 }, &rig.who, id, status, rig_done, &a);
	return rig_wait(&a, NULL);
}

static void refused(int code, int expected, const char *sentence)
{
	if (code != expected)
		fail_msg("%d, not %d: %s", code, expected, rig_text);
	if (!strstr(rig_text, sentence))
		fail_msg("'%s' is not in: %s", sentence, rig_text);
}

static struct volume row(int64_t id)
{
	struct volume v;

	assert_int_equal(view_volume(rig.view, id, &v), 0);
	return v;
}

static bool has_event(int64_t id, const char *event)
{
	struct buf history = { 0 };
	bool has;

	assert_int_equal(view_history(rig.view, id, &history), 0);
	has = strstr(buf_text(&history), event);
	buf_release(&history);
	return has;
}

static int64_t adopted(const char *image, const char *name)
{
	int64_t id;

	if (adopt(seen(image).id, name, &id) != 0)
		fail_msg("%s", rig_text);
	if (rig_settle(&rig, id) != VOL_AVAILABLE)
		fail_msg("%s", row(id).reason);
	return id;
}

static int64_t made(const char *spec)
{
	int64_t id;

	if (rig_create(&rig, spec, &id) != 0)
		fail_msg("%s: %s", spec, rig_text);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	return id;
}

static int64_t made_on_b0(const char *spec)
{
	int64_t id;

	atomic_store(&fault.refuse, "b1");
	id = made(spec);
	atomic_store(&fault.refuse, NULL);
	assert_string_equal(row(id).backend, "b0");
	return id;
}

/* --- looking --- */

static void sees_what_is_nobodys(void **state)
{
	struct unmanaged u;
	struct volume v;

	put("img", 2 << 20);
	put("odd", (2 << 20) + 100);
	put("small", 512 << 10);
	put(LOST, 1 << 20);
	rig_up(&rig);
	v = row(made_on_b0("size=1M"));
	u = seen("img"); /* nobody had to ask */
	assert_int_equal(u.size, 2 << 20);
	assert_true(u.used > 0);
	assert_string_equal(u.reason, "");
	assert_non_null(strstr(seen("odd").reason, "no multiple of 512"));
	assert_string_equal(seen("small").reason, "it has 512K: a volume has at least 1 MiB");
	assert_string_equal(seen(LOST).reason, "");
	assert_int_equal(look(image_of(&v), &u), -ENOENT);
	assert_int_equal(unlink(path_of("img")), 0);
	unseen("img");
	put("later", 1 << 20);
	assert_int_equal(seen("later").size, 1 << 20);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM unmanaged"), 4);
}

static void looking_holds_nobody_up(void **state)
{
	unsigned listed;

	atomic_store(&fault.hang_list, "b0");
	put("img", 1 << 20);
	rig_up(&rig);
	for (int i = 0; i < 5; i++) {
		(void)made("size=1M");
		engine_look_unmanaged(rig.engine, backend("b0"));
		usleep(300000);
	}
	listed = atomic_load(&fault.listed);
	assert_true(listed >= 2 && listed <= 4); /* of both backends, and one of them at a time */
	atomic_store(&fault.hang_list, NULL);
	assert_int_equal(seen("img").size, 1 << 20);
	/* not more often than statistics */
	listed = atomic_load(&fault.listed);
	for (int i = 0; i < 50; i++) {
		engine_look_unmanaged(rig.engine, backend("b0"));
		usleep(10000);
	}
	assert_true(atomic_load(&fault.listed) <= listed + 2);
}

/* --- adopting --- */

static void adopts(void **state)
{
	int64_t id;
	struct volume v;
	struct unmanaged u;

	put("img", 3 << 20);
	rig_up(&rig);
	id = adopted("img", "db");
	v = row(id);
	assert_string_equal(v.name, "db");
	assert_string_equal(v.backend, "b0");
	assert_string_equal(v.zone, "default");
	assert_string_equal(v.project, "root");
	assert_string_equal(v.type, "fast");
	assert_int_equal(v.size, 3 << 20);
	assert_int_equal(v.uid, 0);
	assert_int_equal(v.parent, 0);
	assert_true(v.used > 0);
	assert_false(there("img"));
	assert_true(holds(image_of(&v), "img"));
	assert_int_equal(look("img", &u), -ENOENT);
	assert_true(has_event(id, "volume.manage_existing.start"));
	assert_true(has_event(id, "volume.manage_existing.end"));
	assert_int_equal(rig_sql(&rig, "SELECT size FROM project WHERE name = 'root'"), 3 << 20);
	/* it is a volume like others */
	assert_int_equal(rig_extend(&rig, id, 4 << 20), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(rig_delete(&rig, id), 0);
	rig_idle(&rig);
	assert_int_equal(rig_images(&rig), 0);
}

/* Whoever lists the images has them looked at, and adopts them meanwhile. */
static void is_seen_no_more(void **state)
{
	struct unmanaged u;
	int64_t id, img, before;

	put("img", 1 << 20);
	put("other", 1 << 20);
	rig_up(&rig);
	img = seen("img").id;
	(void)seen("other");
	atomic_store(&fault.hang_look, "img");
	for (int i = 0; !atomic_load(&fault.looking) && i < 1000; i++) {
		engine_look_unmanaged(rig.engine, backend("b0"));
		usleep(10000);
	}
	assert_int_equal(atomic_load(&fault.looking), 1);
	assert_int_equal(adopt(img, "db", &id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	before = seen("other").seen_us;
	atomic_store(&fault.hang_look, NULL);
	for (int i = 0; seen("other").seen_us == before; i++) /* both are told of at once */
		assert_true(i < 1000 && usleep(10000) == 0);
	assert_int_equal(look("img", &u), -ENOENT);
}

static void adopts_only_what_it_may(void **state)
{
	const struct caller admin = { .uid = 1, .gid = 1, .pid = 1, .admin = true };
	int64_t img, id;
	struct unmanaged u;

	put("img", 3 << 20);
	put("odd", (3 << 20) + 1);
	put("large", 101 << 20);
	rig_up(&rig);
	img = seen("img").id;
	(void)made("size=1M name=taken");
	refused(adopt_as(&user, img, "db", NULL), -EACCES, "only an administrator");
	refused(adopt(img, "taken", NULL), -EEXIST,
		"the name 'taken' is taken by a volume of uid 0");
	refused(adopt(img, ".hidden", NULL), -EINVAL, "'.hidden'");
	refused(adopt(99, "db", NULL), -ENOENT, "no such image");
	refused(adopt(seen("odd").id, "db", NULL), -EBUSY,
		"image 'odd' cannot be adopted: 'odd' has 3145729 bytes");
	refused(adopt_as(&admin, seen("large").id, "db", NULL), -EDQUOT,
		"quota of project 'daemon': 101M wanted");
	assert_int_equal(look("img", &u), 0);
	assert_int_equal(adopt_as(&admin, img, "db", &id), 0);
	refused(adopt_as(&admin, img, "db2", NULL), -ENOENT, "it is gone, or a volume's by now");
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(row(id).uid, 1);
	assert_string_equal(row(id).project, "daemon");
}

static void who_uses_it_keeps_it(void **state)
{
	struct unmanaged u;
	int64_t id;

	put("img", 1 << 20);
	rig_up(&rig);
	u = seen("img");
	atomic_store(&fault.outside, "b0"); /* only just now */
	assert_int_equal(adopt(u.id, "db", &id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_ERROR_MANAGING);
	assert_string_equal(row(id).reason, "b0: " FAULT_WATCHER " has it open");
	assert_true(holds("img", "img"));
	u = seen("img");
	refused(adopt(u.id, "db2", NULL), -EBUSY,
		"cannot be adopted: " FAULT_WATCHER " has it open");
	/* forgotten, and the image left alone */
	assert_int_equal(rig_delete(&rig, id), 0);
	assert_int_equal(view_volume(rig.view, id, &(struct volume){ 0 }), -ENOENT);
	assert_true(holds("img", "img"));
	atomic_store(&fault.outside, NULL);
	for (int i = 0; i < 1000 && seen("img").reason[0]; i++) {
		engine_look_unmanaged(rig.engine, backend("b0"));
		usleep(10000);
	}
	(void)adopted("img", "db");
}

/* What a lost catalogue, or somebody of the same habits, has left: it keeps its UUID. */
static void a_lost_one_keeps_its_name(void **state)
{
	int64_t id;

	put(LOST, 1 << 20);
	rig_up(&rig);
	id = adopted(LOST, "db");
	assert_string_equal(row(id).uuid, &LOST[7]);
	assert_true(holds(LOST, LOST));
	assert_int_equal(rig_delete(&rig, id), 0);
	rig_idle(&rig);
	assert_false(there(LOST));
	/* who has known it lately must not know two of them */
	put(LOST, 1 << 20);
	refused(adopt(seen(LOST).id, "db", NULL), -EBUSY, "gone for less than an hour");
}

static void its_snapshots_come_along(void **state)
{
	struct snapshot s[4];
	int64_t id;

	put("img", 1 << 20);
	atomic_store(&fault.foreign, "b0");
	rig_up(&rig);
	assert_int_equal(seen("img").snapshots, FAULT_SNAPS);
	id = adopted("img", "db");
	assert_int_equal(atomic_load(&fault.snaps_adopted), 3); /* a temporary one is nobody's */
	assert_int_equal(view_snapshots(rig.view, id, 0, s, 4), 3);
	assert_string_equal(s[0].name, "monday");
	assert_string_equal(s[0].description, "");
	assert_int_equal(s[0].created_us, 1000);
	assert_int_equal(s[0].size, 1 << 20);
	assert_string_equal(s[1].name, s[1].uuid); /* no name of ours */
	assert_string_equal(s[1].description, "up/down");
	assert_string_equal(s[2].name, "mine");
	assert_string_equal(s[2].uuid, FAULT_SNAP);
	for (int i = 0; i < 3; i++)
		assert_int_equal(s[i].status, SNAP_AVAILABLE);
	assert_int_equal(rig_sql(&rig, "SELECT snapshots FROM project WHERE name = 'root'"), 3);
	assert_int_equal(rig_sql(&rig, "SELECT size FROM project WHERE name = 'root'"), 4 << 20);
}

static void snapshots_count_ahead(void **state)
{
	const struct caller admin = { .uid = 1, .gid = 1, .pid = 1, .admin = true };

	put("img", 30 << 20);
	put("img2", 1 << 20);
	atomic_store(&fault.foreign, "b0");
	rig_up(&rig);
	refused(adopt_as(&admin, seen("img").id, "db", NULL), -EDQUOT, "150M wanted");
	assert_int_equal(adopt_as(&admin, seen("img2").id, "db", NULL), 0);
	rig_idle(&rig);
	unlink(path_of("img"));
	put("img3", 1 << 20);
	refused(adopt_as(&admin, seen("img3").id, "db2", NULL), -EDQUOT, "snapshots");
}

/* Whatever step fails, the image has its old name again, and no row of a snapshot is left. */
static void fails_anywhere(void **state)
{
	for (long n = 1; n <= 8; n++) {
		int64_t id;
		int status;

		clone_fault_reset();
		put("img", 1 << 20);
		atomic_store(&fault.foreign, "b0");
		rig_up(&rig);
		(void)seen("img");
		atomic_store(&fault.passed, 0);
		atomic_store(&fault.fail_at, n);
		assert_int_equal(adopt(seen("img").id, "db", &id), 0);
		status = rig_settle(&rig, id);
		assert_int_equal(status, VOL_ERROR_MANAGING);
		assert_non_null(strstr(row(id).reason, "fails"));
		assert_true(holds("img", "img"));
		assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM snapshot"), 0);
		assert_int_equal(rig_delete(&rig, id), 0);
		assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM volume"), 0);
		assert_int_equal(unlink(path_of("img")), 0);
		rig_recount(&rig);
		rig_down(&rig);
	}
	rig_up(&rig);
}

/* --- letting go --- */

static void lets_go(void **state)
{
	struct unmanaged u;
	int64_t id, project;
	struct volume v;

	put("img", 2 << 20);
	rig_up(&rig);
	id = adopted("img", "db");
	v = row(id);
	atomic_store(&fault.hang, "b0");
	assert_int_equal(let_go(id, "mine"), 0);
	assert_int_equal(row(id).status, VOL_UNMANAGING);
	assert_int_equal(look("mine", &u), 0); /* who moved it there finds it there */
	refused(adopt(u.id, "db2", NULL), -EBUSY, "is being let go");
	refused(rig_delete(&rig, id), -EBUSY, "is unmanaging");
	atomic_store(&fault.hang, NULL);
	rig_idle(&rig);
	assert_int_equal(view_volume(rig.view, id, &v), -ENOENT);
	assert_true(holds("mine", "img"));
	project = rig_sql(&rig, "SELECT volumes + size FROM project WHERE name = 'root'");
	assert_int_equal(project, 0);
	assert_int_equal(look("mine", &u), 0);
	assert_string_equal(u.reason, "");
	id = adopted("mine", "db"); /* and back */
	v = row(id);
	assert_true(holds(image_of(&v), "img"));
}

/* A look through that begins and ends meanwhile finds the image under neither name. */
static void is_seen_while_it_goes(void **state)
{
	struct unmanaged u;
	int64_t id;

	rig_up(&rig);
	id = made_on_b0("size=1M");
	atomic_store(&fault.hang, "b0");
	assert_int_equal(let_go(id, "mine"), 0);
	put("img", 1 << 20);
	(void)seen("img");
	assert_int_equal(unlink(path_of("img")), 0);
	unseen("img");
	assert_int_equal(look("mine", &u), 0);
	atomic_store(&fault.hang, NULL);
	rig_idle(&rig);
	assert_int_equal(look("mine", &u), 0);
	assert_string_equal(u.reason, "");
}

static void lets_go_only_what_it_may(void **state)
{
	struct rig_answer a;
	struct unmanaged u;
	char other[UUID_LEN + 8];
	int64_t id, use;

	put("img", 1 << 20);
	put("img2", 1 << 20);
	rig_up(&rig);
	id = adopted("img", "db");
	u = seen("img2");
	(void)snprintf(other, sizeof other, "%s", LOST);
	refused(disown_as(&user, id, "b0", "x"), -EACCES, "only an administrator");
	refused(disown_as(&rig.who, id, "b1", "x"), -EINVAL, "volume 'db' is on backend 'b0'");
	refused(let_go(99, "x"), -ENOENT, "no such volume");
	refused(let_go(id, ""), -EINVAL, "1 to 255 bytes");
	refused(let_go(id, other), -EINVAL, "is the name of another volume's image");
	refused(let_go(id, "img2"), -EEXIST, "image 'img2' exists");
	assert_int_equal(reset(id, VOL_ERROR), 0);
	refused(let_go(id, "x"), -EBUSY, "volume 'db' is error");
	assert_int_equal(reset(id, VOL_AVAILABLE), 0);
	rig_begin(&a);
	engine_attach(rig.engine, (struct change_id){ 0 }, &rig.who, id, "vm", rig_done, &a);
	assert_int_equal(rig_wait(&a, &use), 0);
	refused(let_go(id, "x"), -EBUSY, "volume 'db' is attached");
	rig_begin(&a);
	engine_detach(rig.engine, (struct change_id){ 0 }, &rig.who, use, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
	/* what the catalogue did not know: a name that is taken by now, one that cannot be, somebody who has it open */
	put("late", 1 << 20);
	assert_int_equal(mkdir(path_of(".late.snapshots"), 0700), 0);
	assert_int_equal(let_go(id, "late"), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_non_null(strstr(row(id).reason, "late"));
	assert_null(strstr(row(id).reason, "by now"));
	assert_true(there(".late.snapshots")); /* it was not taken over */
	assert_int_equal(let_go(id, "../up"), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_int_equal(look("../up", &u), -ENOENT);
	atomic_store(&fault.outside, "b0");
	assert_int_equal(let_go(id, "x"), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	assert_non_null(strstr(row(id).reason, FAULT_WATCHER));
	assert_true(has_event(id, "volume.unmanage.error"));
	atomic_store(&fault.outside, NULL);
	(void)snprintf(other, sizeof other, "volume-%s", row(id).uuid);
	assert_int_equal(unlink(path_of(other)), 0); /* it cannot be found */
	assert_int_equal(let_go(id, "x"), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_ERROR_UNMANAGING);
	refused(rig_delete(&rig, id), -EBUSY, "is error_unmanaging");
	assert_int_equal(reset(id, VOL_AVAILABLE), 0);
}

static void what_others_need_stays(void **state)
{
	int64_t id, clone, snap;
	char needs[512];
	struct volume v;

	rig.driver = driver_clone();
	rig_up(&rig);
	id = made_on_b0("size=1M name=db");
	assert_int_equal(rig_snapshot(&rig, id, "s", &snap), 0);
	atomic_store(&fault.hang, "b0");
	assert_int_equal(rig_create(&rig, "name=clone snapshot=db@s", &clone), 0);
	refused(let_go(id, "x"), -EBUSY, "volume 'clone' is being made from it");
	atomic_store(&fault.hang, NULL);
	assert_int_equal(rig_settle(&rig, clone), VOL_AVAILABLE);
	refused(let_go(id, "x"), -EBUSY,
		"volume 'clone' was made from 'db' and still needs its image");
	atomic_store(&fault.hang_snap, "b0");
	assert_int_equal(rig_unsnap(&rig, snap), 0);
	refused(let_go(id, "x"), -EBUSY, "snapshots of volume 'db' are being made or removed");
	atomic_store(&fault.hang_snap, NULL);
	rig_idle(&rig);
	/* the clone itself may go, and with it the last need of its source's image */
	assert_int_equal(rig_delete(&rig, id), 0);
	for (int i = 0; i < 10000 && !rig_sql(&rig, "SELECT count(*) FROM job WHERE class = 9");
		i++)
		usleep(1000);
	v = row(clone);
	assert_int_equal(let_go(clone, "x"), 0);
	for (int i = 0; i < 10000 && !there("x"); i++)
		usleep(1000);
	assert_true(there("x"));
	/* the storage knows better: the image is tried again until nobody needs it */
	usleep(300000);
	assert_int_equal(rig_images(&rig), 2);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM job WHERE class = 0 AND kind = 4"), 1);
	(void)snprintf(needs, sizeof needs, "%s/b0.needs/%s", rig.dir, v.uuid);
	assert_int_equal(unlink(needs), 0);
	rig_idle(&rig);
	assert_int_equal(rig_images(&rig), 1);
}

/* They are the storage's as before, and come along when it is adopted again. */
static void snapshots_stay_with_their_image(void **state)
{
	struct snapshot s[4];
	int64_t id, snap;

	rig_up(&rig);
	id = made_on_b0("size=1M name=db");
	assert_int_equal(rig_snapshot(&rig, id, "monday", &snap), 0);
	assert_int_equal(view_snapshot(rig.view, snap, &s[1]), 0);
	assert_int_equal(let_go(id, "img"), 0);
	rig_idle(&rig);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM snapshot"), 0);
	assert_int_equal(rig_snapshots(&rig), 1);
	id = adopted("img", "db");
	assert_int_equal(view_snapshots(rig.view, id, 0, s, 1), 1);
	assert_string_equal(s[0].uuid, s[1].uuid); /* by its name in the storage */
	assert_int_equal(s[0].status, SNAP_AVAILABLE);
	assert_int_equal(rig_revert(&rig, id, s[0].name), 0);
	rig_idle(&rig);
	assert_int_equal(rig_unsnap(&rig, s[0].id), 0);
	rig_idle(&rig);
	assert_int_equal(rig_snapshots(&rig), 0);
	assert_int_equal(rig_delete(&rig, id), 0);
}

static void under_its_own_name(void **state)
{
	struct unmanaged u;
	char name[UUID_LEN + 8];
	struct volume v;
	int64_t id;

	rig_up(&rig);
	id = made_on_b0("size=1M name=db");
	v = row(id);
	(void)snprintf(name, sizeof name, "%s", image_of(&v));
	assert_int_equal(let_go(id, name), 0);
	rig_idle(&rig);
	assert_true(there(name));
	assert_int_equal(view_volume(rig.view, id, &v), -ENOENT);
	assert_int_equal(look(name, &u), 0);
	assert_string_equal(u.reason, "");
	id = adopted(name, "db");
	assert_string_equal(row(id).uuid, name + 7);
}

/* --- dying --- */

static void adopt_and_let_go(void)
{
	int64_t id = adopted("img", "db");

	assert_int_equal(let_go(id, "img"), 0);
	rig_idle(&rig);
}

static void live_and_die(long commits, long points)
{
	clone_fault_reset();
	atomic_store(&fault.foreign, "b0");
	atomic_store(&fault.kill_after, commits);
	atomic_store(&fault.kill_at, points);
	rig_up(&rig);
	adopt_and_let_go();
	_exit(0);
}

/* After any death it is a volume's or nobody's, and never lost. */
static void dies_anywhere(void **state)
{
	put("img", 1 << 20);
	for (long n = 1; n <= 26; n += rig_stride()) {
		pid_t pid = fork();
		int64_t id;
		int status;

		assert_true(pid >= 0);
		if (pid == 0)
			live_and_die(n <= 14 ? n : 0, n > 14 ? n - 14 : 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		clone_fault_reset();
		atomic_store(&fault.foreign, "b0");
		rig_up(&rig);
		rig_idle(&rig);
		rig_recount(&rig);
		assert_int_equal(rig_images(&rig), 1);
		id = rig_sql(&rig, "SELECT coalesce(max(id), 0) FROM volume");
		assert_int_equal(there("img"), id == 0);
		if (id) {
			struct volume v = row(id);

			assert_int_equal(v.status, VOL_AVAILABLE);
			assert_true(holds(image_of(&v), "img"));
			assert_int_equal(
				rig_sql(&rig, "SELECT count(*) FROM snapshot WHERE status = 1"), 3);
			assert_int_equal(let_go(id, "img"), 0);
			rig_idle(&rig);
		}
		assert_true(holds("img", "img"));
		assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM snapshot"), 0);
		rig_down(&rig);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sees_what_is_nobodys),
		TEST(looking_holds_nobody_up),
		TEST(adopts),
		TEST(is_seen_no_more),
		TEST(adopts_only_what_it_may),
		TEST(who_uses_it_keeps_it),
		TEST(a_lost_one_keeps_its_name),
		TEST(its_snapshots_come_along),
		TEST(snapshots_count_ahead),
		TEST(fails_anywhere),
		TEST(lets_go),
		TEST(is_seen_while_it_goes),
		TEST(lets_go_only_what_it_may),
		TEST(what_others_need_stays),
		TEST(snapshots_stay_with_their_image),
		TEST(under_its_own_name),
		TEST(dies_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
