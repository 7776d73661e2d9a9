/* Volumes that are made from something: what a spec must fulfil, what the new volume takes over, how it comes about, what is locked. */
#include "base/clock.h"
#include "tests/lib/driver_clone.h"
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static struct rig rig;
static bool is_up;
static const struct caller user = { .uid = 1, .gid = 1, .pid = 1 };

static void begin_with(
	const struct driver *driver, size_t backends, const char *more, const char *const *each)
{
	clone_fault_reset();
	rig_make_of(&rig, backends, more, each);
	rig.driver = driver;
	rig_up(&rig);
	is_up = true;
}

static void begin(const struct driver *driver, size_t backends, const char *more)
{
	begin_with(driver, backends, more, NULL);
}

static int tear_down(void **state)
{
	clone_fault_reset();
	if (is_up) {
		rig_idle(&rig);
		rig_recount(&rig);
		rig_down(&rig);
		rig_drop(&rig);
	}
	is_up = false;
	return 0;
}

static struct volume row(int64_t id)
{
	struct volume v;

	assert_int_equal(view_volume(rig.view, id, &v), 0);
	return v;
}

/* Accepted and settled as `status`. */
static int64_t settles(const char *spec, enum vol_status status)
{
	int64_t id;

	if (rig_create(&rig, spec, &id) < 0)
		fail_msg("%s: %s", spec, rig_text);
	if (rig_settle(&rig, id) != (int)status)
		fail_msg("%s: %s", spec, row(id).reason);
	return id;
}

static int64_t made(const char *spec)
{
	return settles(spec, VOL_AVAILABLE);
}

static int64_t taken(int64_t volume, const char *name)
{
	int64_t id;

	if (rig_snapshot(&rig, volume, name, &id) < 0)
		fail_msg("snapshot %s: %s", name, rig_text);
	return id;
}

static void set(int64_t volume, unsigned fields, const struct volume *values)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_set(rig.engine, (struct change_id){ 0 }, &rig.who, volume, fields, values, rig_done,
		&a);
	assert_int_equal(rig_wait(&a, NULL), 0);
}

static void reset(int64_t volume, enum vol_status status)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_reset(rig.engine, (struct change_id){ 0 }, &rig.who, volume, status, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
}

__attribute__((format(printf, 1, 2))) static int64_t sql(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return rig_sql(&rig, text);
}

static int check(const struct caller *who, const char *text, bool partial, struct err *err)
{
	struct spec spec;
	int r;

	assert_int_equal(spec_parse(text, strlen(text), !partial, &spec, err), 0);
	r = engine_spec_check(rig.engine, rig.view, who, &spec,
		"00000000-0000-4000-8000-000000000000", partial, err);
	spec_release(&spec);
	return r;
}

/* By the writing of its line, and again by the transaction, in the same words. */
static void refused(const struct caller *who, const char *text, int code, const char *sentence)
{
	struct err err = { 0 };

	assert_int_equal(rig_create_as(&rig, who, text, NULL, NULL), code);
	if (!strstr(rig_text, sentence))
		fail_msg("'%s' is not in: %s", sentence, rig_text);
	assert_int_equal(check(who, text, false, &err), code);
	assert_string_equal(err.text, rig_text);
}

/* --- what a spec must fulfil --- */

static void a_source_must_be_there(void **state)
{
	char text[128];
	int64_t db, monday;

	begin(driver_copies(), 1, NULL);
	db = made("size=4M name=db");
	(void)made("size=4M name=log");
	monday = taken(db, "monday");
	refused(&rig.who, "source=dbb", -ENOENT, "no such volume: 'dbb'");
	refused(&rig.who, "snapshot=dbb@monday", -ENOENT, "no such volume: 'dbb'");
	refused(&rig.who, "snapshot=db@tuesday", -ENOENT, "volume 'db' has no snapshot 'tuesday'");
	refused(&rig.who, "snapshot=log@monday", -ENOENT, "volume 'log' has no snapshot 'monday'");
	refused(&rig.who, "snapshot=11111111-1111-4111-8111-111111111111", -ENOENT,
		"no such snapshot: '11111111-1111-4111-8111-111111111111'");
	refused(&rig.who, "source=11111111-1111-4111-8111-111111111111", -ENOENT,
		"no such volume: '11111111-1111-4111-8111-111111111111'");
	refused(&rig.who, "type=nope source=dbb", -ENOENT, "no such volume type: 'nope'");
	refused(&rig.who, "source=dbb size=1M name=new2 zone=moon", -ENOENT, "no such volume");
	/* by UUID, whatever way */
	(void)snprintf(text, sizeof text, "name=a source=%s", row(db).uuid);
	assert_int_equal(row(made(text)).size, 4 * MIB);
	struct snapshot s;
	assert_int_equal(view_snapshot(rig.view, monday, &s), 0);
	(void)snprintf(text, sizeof text, "name=b snapshot=%s", s.uuid);
	(void)made(text);
	(void)snprintf(text, sizeof text, "name=c snapshot=%s@%s", row(db).uuid, s.uuid);
	(void)made(text);
	(void)snprintf(text, sizeof text, "snapshot=log@%s", s.uuid);
	refused(&rig.who, text, -ENOENT, "volume 'log' has no snapshot");
	/* one that is going is gone */
	assert_int_equal(rig_unsnap(&rig, monday), 0);
	refused(&rig.who, "snapshot=db@monday", -ENOENT, "volume 'db' has no snapshot 'monday'");
}

static void a_source_must_be_readable(void **state)
{
	const gid_t groups[] = { 7, 8 };
	struct caller other = { .uid = 2, .gid = 2, .pid = 1 }, member = other;
	struct volume v = { 0 };
	int64_t db;

	begin(driver_copies(), 1, NULL);
	assert_int_equal(rig_create_as(&rig, &user, "size=4M name=db", NULL, &db), 0);
	assert_int_equal(rig_settle(&rig, db), VOL_AVAILABLE);
	(void)taken(db, "monday");
	member.groups = groups;
	member.group_count = 2;
	refused(&other, "source=db", -EACCES, "you may not read volume 'db'");
	refused(&other, "snapshot=db@monday", -EACCES, "you may not read volume 'db'");
	assert_int_equal(rig_create_as(&rig, &user, "source=db", NULL, NULL), 0);
	assert_int_equal(rig_create(&rig, "source=db", NULL), 0);
	/* a group of `data`, then everybody */
	v.data_gid = 8;
	v.data_mode = 0640;
	set(db, SET_DATA_GID | SET_DATA_MODE, &v);
	refused(&other, "source=db", -EACCES, "see the mode of its file 'data'");
	assert_int_equal(rig_create_as(&rig, &member, "source=db", NULL, NULL), 0);
	v.data_mode = 0604;
	set(db, SET_DATA_MODE, &v);
	refused(&member, "source=db", -EACCES, "you may not read");
	assert_int_equal(rig_create_as(&rig, &other, "snapshot=db@monday", NULL, NULL), 0);
	/* whose file nobody can get at */
	v.mode = 0700;
	set(db, SET_MODE, &v);
	refused(&other, "source=db", -EACCES, "you may not read");
	v.mode = 0755;
	set(db, SET_MODE, &v);
	/* whom it was given to */
	v.data_uid = 2;
	v.data_mode = 0600;
	set(db, SET_DATA_UID | SET_DATA_MODE, &v);
	assert_int_equal(rig_create_as(&rig, &other, "source=db", NULL, NULL), 0);
}

static void a_source_must_be_at_rest(void **state)
{
	int64_t db, monday;
	struct rig_answer a;

	begin(driver_copies(), 1, NULL);
	db = made("size=4M name=db");
	monday = taken(db, "monday");
	reset(db, VOL_ERROR);
	refused(&rig.who, "source=db", -EBUSY, "volume 'db' is error");
	reset(db, VOL_MAINTENANCE);
	refused(&rig.who, "source=db", -EBUSY, "volume 'db' is maintenance");
	(void)made(
		"name=anyway snapshot=db@monday"); /* which is what it was, whatever happened since */
	reset(db, VOL_AVAILABLE);
	(void)sql("UPDATE snapshot SET status = 2 WHERE id = %" PRId64 " RETURNING 1", monday);
	refused(&rig.who, "snapshot=db@monday", -EBUSY, "snapshot 'db@monday' is restoring");
	(void)sql("UPDATE snapshot SET status = 1 WHERE id = %" PRId64 " RETURNING 1", monday);
	/* one that is in use will do */
	rig_begin(&a);
	engine_data_open(rig.engine, (struct change_id){ 0 }, &rig.who, db, 77, true, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
	assert_int_equal(row(db).status, VOL_IN_USE);
	(void)made("name=used source=db");
}

static void it_is_not_smaller(void **state)
{
	int64_t db;

	begin(driver_copies(), 1, "quota = { size = \"60M\"; volumes = 100; };");
	assert_int_equal(rig_create_as(&rig, &user, "size=8M name=db", NULL, &db), 0);
	assert_int_equal(rig_settle(&rig, db), VOL_AVAILABLE);
	(void)taken(db, "monday");
	assert_int_equal(rig_extend(&rig, db, 16 * MIB), 0);
	assert_int_equal(rig_settle(&rig, db), VOL_AVAILABLE);
	refused(&user, "source=db size=8M", -EINVAL,
		"8M is too small for what is made from volume 'db': it has 16M");
	refused(&user, "snapshot=db@monday size=7M", -EINVAL,
		"7M is too small for what is made from snapshot 'db@monday': it has 8M");
	assert_int_equal(row(made("name=a snapshot=db@monday")).size, 8 * MIB);
	assert_int_equal(row(made("name=b snapshot=db@monday size=12M")).size, 12 * MIB);
	assert_int_equal(row(made("name=c source=db")).size, 16 * MIB);
	/* the quota is asked for what it will have: the snapshot counts 8M, too */
	assert_int_equal(rig_create_as(&rig, &user, "size=24M name=e", NULL, NULL), 0);
	refused(&user, "source=db", -EDQUOT, "16M wanted, 48M of 60M in use");
}

/* Lines that come one by one: what is certain is told at once, what may yet follow is waited for. */
static void lines_may_come_in_any_order(void **state)
{
	struct err err = { 0 };

	begin(driver_copies(), 2,
		"clone_in_same_zone = false;\n"
		"types = ( { name = \"here\"; extra_specs = [ \"RESKEY:availability_zones=default\" ]; } );");
	(void)made("size=8M name=db");
	assert_int_equal(check(&rig.who, "source=db\n", true, &err), 0);
	assert_int_equal(check(&rig.who, "size=16M\n", true, &err), 0);
	assert_int_equal(check(&rig.who, "size=4M\n", true, &err), 0);
	assert_int_equal(check(&rig.who, "name=x\nsource=db\nsize=16M\n", true, &err), 0);
	assert_int_equal(check(&rig.who, "size=4M\nsource=db\n", true, &err), -EINVAL);
	assert_string_equal(
		err.text, "4M is too small for what is made from volume 'db': it has 8M");
	assert_int_equal(check(&rig.who, "source=nowhere\n", true, &err), -ENOENT);
	assert_int_equal(check(&user, "source=db\n", true, &err), -EACCES);
	assert_int_equal(check(&rig.who, "snapshot=db@x\n", true, &err), -ENOENT);
}

static const char *const zones[] = { "zone = \"a\";", "zone = \"b\";" };
static const char *const named[] = {
	"zone = \"a\"; capabilities = { volume_backend_name = \"x\"; };",
	"zone = \"b\"; capabilities = { volume_backend_name = \"x\"; };"
};

static void zones_follow_the_source(void **state)
{
	int64_t db;

	begin_with(driver_copies(), 2,
		"default_zone = \"b\";\n"
		"types = ( { name = \"ab\"; extra_specs = [ \"RESKEY:availability_zones=a,b\", \"volume_backend_name=x\" ]; },"
		" { name = \"b\"; extra_specs = [ \"RESKEY:availability_zones=b\", \"volume_backend_name=x\" ]; } );",
		named);
	db = made("size=4M name=db zone=a type=ab");
	assert_string_equal(row(db).backend, "b0");
	assert_string_equal(row(made("name=a source=db")).zone, "a");
	refused(&rig.who, "source=db zone=b", -EINVAL,
		"zone 'b': what is made from volume 'db' is in its zone, 'a'");
	refused(&rig.who, "source=db zone=moon", -ENOENT, "no such zone");
	refused(&rig.who, "source=db type=b", -EINVAL, "type 'b' is not for zone 'a', only for: b");
}

static void types_must_go_together(void **state)
{
	struct err err = { 0 };
	int64_t db;

	begin_with(driver_copies(), 2,
		"default_zone = \"a\";\n"
		"types = ( { name = \"fast\"; extra_specs = [ \"volume_backend_name=x\" ]; },"
		" { name = \"slow\"; extra_specs = [ \"volume_backend_name=x\", \"provisioning:max_vol_size=6M\" ]; },"
		" { name = \"other\"; extra_specs = [ \"volume_backend_name=y\" ]; },"
		" { name = \"any\"; }, { name = \"some\"; },"
		" { name = \"secret\"; public = false; access = [ \"root\" ]; } );",
		named);
	db = made("size=4M name=db type=fast");
	(void)taken(db, "monday");
	(void)made("size=4M name=plain type=any");
	(void)made("size=4M name=bare");
	assert_string_equal(row(made("name=a source=db")).type, "fast");
	assert_string_equal(row(made("name=b source=db type=fast")).type, "fast");
	assert_string_equal(row(made("name=c source=db type=slow")).type, "slow");
	refused(&rig.who, "snapshot=db@monday type=other", -EINVAL,
		"type 'other' is not for what is made from volume 'db', which has type 'fast': both types "
		"must have the same volume_backend_name");
	refused(&rig.who, "source=plain type=some", -EINVAL, "type 'some' is not for");
	refused(&rig.who, "source=bare type=some", -EINVAL, "which has none");
	refused(&rig.who, "source=db type=slow size=8M", -EINVAL,
		"a volume of type 'slow' has at most 6M");
	assert_string_equal(row(made("name=d source=bare")).type, "");
	/* of two faults the one that the reference finds first */
	refused(&rig.who, "source=db type=other size=1M", -EINVAL, "type 'other' is not for");
	/* a private one is taken over, though it could not be named */
	db = made("size=4M name=hidden type=secret");
	set(db, SET_DATA_MODE, &(struct volume){ .data_mode = 0644 });
	refused(&user, "size=4M type=secret", -ENOENT, "no such volume type");
	assert_int_equal(rig_create_as(&rig, &user, "name=e source=hidden", NULL, &db), 0);
	assert_int_equal(rig_settle(&rig, db), VOL_AVAILABLE);
	assert_string_equal(row(db).type, "secret");
	/* in either order of the lines */
	assert_int_equal(check(&rig.who, "type=other\nsource=db\n", true, &err), -EINVAL);
	assert_int_equal(check(&rig.who, "source=db\ntype=slow\n", true, &err), 0);
}

/* With one backend there is nothing that could not be shared. */
static void one_backend_takes_any_type(void **state)
{
	begin(driver_copies(), 1, "types = ( { name = \"any\"; }, { name = \"some\"; } );");
	(void)made("size=4M name=db type=any");
	assert_string_equal(row(made("name=a source=db type=some")).type, "some");
}

/* --- what it takes over, and how it comes about --- */

static void path_of(const struct volume *v, char path[512])
{
	for (size_t i = 0; i < rig.conf.backend_count; i++)
		if (!strcmp(rig.conf.backends[i].name, v->backend)) {
			(void)snprintf(
				path, 512, "%s/volume-%s", rig.conf.backends[i].path, v->uuid);
			return;
		}
	fail_msg("volume '%s' is on no backend", v->name);
}

static int open_image(int64_t id)
{
	struct volume v = row(id);
	char path[512];
	int fd;

	path_of(&v, path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* Some ranges with holes between them, an odd end among them, each block told apart. */
static const struct {
	off_t at;
	size_t len;
} written[] = { { 0, 4096 }, { MIB - 4096, 3 * 4096 }, { 3 * MIB + 512, 1024 },
	{ 4 * MIB - 512, 512 } };

static void write_pattern(int64_t id, unsigned char seed)
{
	int fd = open_image(id);

	for (size_t i = 0; i < COUNT(written); i++) {
		unsigned char buf[3 * 4096];

		for (size_t k = 0; k < written[i].len; k++)
			buf[k] = (unsigned char)(seed + i * 31 + k / 512 + k % 251);
		assert_int_equal(
			pwrite(fd, buf, written[i].len, written[i].at), (ssize_t)written[i].len);
	}
	close(fd);
}

/* The first `size` bytes of both are the same; what comes after them in the second is zero. */
static void same_bytes(int64_t one, int64_t other)
{
	uint64_t size = row(one).size, all = row(other).size;
	char *a = calloc(1, all), *b = calloc(1, all);
	int fa = open_image(one), fb = open_image(other);

	assert_true(a && b);
	assert_int_equal(pread(fa, a, size, 0), (ssize_t)size);
	assert_int_equal(pread(fb, b, all, 0), (ssize_t)all);
	assert_memory_equal(a, b, all);
	close(fa);
	close(fb);
	free(a);
	free(b);
}

static void a_clone_is_a_volume_of_its_own(void **state)
{
	struct buf history = { 0 };
	int64_t db, copy, twice, monday, v;

	begin(driver_copies(), 1, NULL);
	db = made("size=4M name=db metadata.a=b description=d");
	set(db, SET_BOOTABLE, &(struct volume){ .bootable = true });
	write_pattern(db, 1);
	monday = taken(db, "monday");
	(void)monday;
	copy = made("name=copy source=db");
	same_bytes(db, copy);
	assert_true(row(copy).bootable);
	assert_string_equal(row(copy).description, "");
	assert_string_equal(row(copy).origin, row(db).uuid);
	assert_int_equal(row(copy).parent, 0);
	assert_true(row(copy).used > 0);
	assert_int_equal(sql("SELECT count(*) FROM meta WHERE volume = %" PRId64, copy), 0);
	/* each goes its own way, and the snapshot stays */
	write_pattern(db, 2);
	v = made("name=old snapshot=db@monday size=6M");
	same_bytes(copy, v);
	assert_true(
		!strncmp(row(v).origin, row(db).uuid, UUID_LEN) && row(v).origin[UUID_LEN] == '@');
	twice = made("name=twice source=old size=8M");
	same_bytes(v, twice);
	same_bytes(copy, twice);
	assert_int_equal(view_history(rig.view, copy, &history), 0);
	assert_non_null(strstr(history.at, ", from db, project "));
	buf_release(&history);
	assert_int_equal(rig_images(&rig), 4);
}

/* What the catalogue says of the creation that is under way. */
struct under_way {
	int64_t class, flatten, source, snapshot, parent;
};

static struct under_way under_way(int64_t id)
{
	return (struct under_way){
		sql("SELECT class FROM job WHERE kind = 1 AND volume = %" PRId64, id),
		sql("SELECT flatten FROM job WHERE kind = 1 AND volume = %" PRId64, id),
		sql("SELECT coalesce(source, 0) FROM job WHERE kind = 1 AND volume = %" PRId64, id),
		sql("SELECT coalesce(snapshot, 0) FROM job WHERE kind = 1 AND volume = %" PRId64,
			id),
		row(id).parent,
	};
}

static int64_t accepted(const char *spec)
{
	int64_t id;

	if (rig_create(&rig, spec, &id) < 0)
		fail_msg("%s: %s", spec, rig_text);
	return id;
}

static void a_job_says_how(void **state)
{
	struct under_way u;
	int64_t db, monday, a, b;

	begin(driver_clone(), 1, NULL);
	db = made("size=4M name=db");
	monday = taken(db, "monday");
	atomic_store(&fault.hang, "b0");
	a = accepted("name=a source=db");
	b = accepted("name=b snapshot=db@monday");
	u = under_way(a);
	assert_int_equal(u.class, CLASS_SNAP);
	assert_int_equal(u.source, db);
	assert_int_equal(u.snapshot, 0);
	assert_int_equal(u.parent, db);
	u = under_way(b);
	assert_int_equal(u.class, CLASS_CREATE);
	assert_int_equal(u.source, db);
	assert_int_equal(u.snapshot, monday);
	assert_int_equal(u.parent, db);
	atomic_store(&fault.hang, NULL);
	assert_int_equal(rig_settle(&rig, a), VOL_AVAILABLE);
	assert_int_equal(rig_settle(&rig, b), VOL_AVAILABLE);
	assert_int_equal(row(b).parent, db); /* for good */
	assert_int_equal(clone_fault.flattened, 0);
}

static void flattens(const char *more, const char *const *each, const char *type)
{
	struct under_way u;
	struct volume v;
	uint64_t done, total;
	const char *what;
	char spec[64];
	int64_t db, a;

	begin_with(driver_clone(), 1, more, each);
	(void)snprintf(spec, sizeof spec, "size=4M name=db%s", type);
	db = made(spec);
	write_pattern(db, 1);
	(void)taken(db, "monday");
	atomic_store(&clone_fault.hang_flatten, "b0");
	a = accepted("name=a snapshot=db@monday size=5M");
	u = under_way(a);
	assert_int_equal(u.class, CLASS_COPY);
	assert_int_equal(u.flatten, 1);
	assert_int_equal(u.parent, 0);
	v = row(a);
	while (!engine_progress(rig.engine, &v, &done, &total, &what))
		usleep(1000);
	assert_string_equal(what, "flatten");
	assert_int_equal(total, 5 * MIB);
	assert_int_equal(done, 5 * MIB / 4);
	assert_int_equal(rig_delete(&rig, db), -ENOTEMPTY);
	atomic_store(&clone_fault.hang_flatten, NULL);
	assert_int_equal(rig_settle(&rig, a), VOL_AVAILABLE);
	assert_int_equal(row(a).parent, 0);
	assert_int_equal(clone_fault.flattened, 1);
	assert_false(engine_progress(rig.engine, &v, &done, &total, &what));
	same_bytes(db, a);
	(void)made("name=b source=db");
	assert_int_equal(clone_fault.flattened, 2);
	tear_down(NULL);
}

static void clones_are_flattened_where_that_is_wanted(void **state)
{
	static const char *const each[] = { "flatten = true;" };
	static const char typed[] =
		"types = ( { name = \"t\"; extra_specs = [ \"provisioning:flatten=%s\" ]; } );";
	static const char *const yes[] = { "true", "<is> True", "1", "yes" };
	char more[128];

	flattens(NULL, each, "");
	flattens("max_clone_depth = 0;", NULL, "");
	for (size_t i = 0; i < COUNT(yes); i++) {
		(void)snprintf(more, sizeof more, typed, yes[i]);
		flattens(more, NULL, " type=t");
	}
	(void)snprintf(more, sizeof more, typed, "<is> False");
	begin(driver_clone(), 1, more);
	(void)made("size=4M name=db type=t");
	(void)made("name=a source=db");
	assert_int_equal(clone_fault.flattened, 0);
}

/* Where clones need nothing, there is nothing to flatten. */
static void copies_are_not_flattened(void **state)
{
	static const char *const each[] = { "flatten = true;" };
	int64_t db, a;

	begin_with(driver_copies(), 1, "max_clone_depth = 0;", each);
	db = made("size=4M name=db");
	a = made("name=a source=db");
	assert_int_equal(row(a).parent, 0);
	same_bytes(db, a);
}

static void too_long_a_chain_is_cut(void **state)
{
	static const char *const name[] = { "v0", "v1", "v2", "v3", "v4", "v5" };
	int64_t id[6];
	char spec[64];

	begin(driver_clone(), 1, "max_clone_depth = 2;");
	id[0] = made("size=4M name=v0");
	for (size_t i = 1; i < 6; i++) {
		(void)snprintf(spec, sizeof spec, "name=%s source=%s", name[i], name[i - 1]);
		id[i] = made(spec);
	}
	/* v1 and v2 have one and two ancestors; v3 would have three */
	assert_int_equal(row(id[1]).parent, id[0]);
	assert_int_equal(row(id[2]).parent, id[1]);
	assert_int_equal(row(id[3]).parent, 0);
	assert_int_equal(row(id[4]).parent, id[3]);
	assert_int_equal(row(id[5]).parent, id[4]);
	assert_int_equal(clone_fault.flattened, 1);
}

/* --- another backend --- */

static const char apart[] = "clone_in_same_zone = false;\nscheduler = { attempts = 3; };";

static void another_backend_gets_a_copy(void **state)
{
	struct under_way u;
	struct volume v;
	uint64_t done, total;
	const char *what;
	int64_t db, a;

	begin_with(driver_clone(), 2, apart, zones);
	db = made("size=4M name=db zone=a");
	write_pattern(db, 3);
	(void)taken(db, "monday");
	atomic_store(&clone_fault.mute, "b0");
	a = accepted("name=a snapshot=db@monday zone=b size=6M");
	u = under_way(a);
	assert_int_equal(u.class, CLASS_COPY);
	assert_int_equal(u.flatten, 0);
	assert_int_equal(u.parent, 0);
	v = row(a);
	while (!engine_progress(rig.engine, &v, &done, &total, &what))
		usleep(1000);
	assert_string_equal(what, "copy");
	assert_true(total > 0 && total < 64 * 1024); /* what there is, and not its holes */
	while (!atomic_load(&clone_fault.reads))
		usleep(1000);
	atomic_store(&clone_fault.mute, NULL);
	(void)rig_settle(&rig, a);
	tear_down(NULL);

	begin_with(driver_clone(), 2, apart, zones);
	db = made("size=4M name=db zone=a");
	write_pattern(db, 3);
	(void)taken(db, "monday");
	a = made("name=a snapshot=db@monday zone=b size=6M");
	same_bytes(db, a);
	assert_string_equal(row(a).backend, "b1");
	assert_string_equal(row(a).zone, "b");
	a = made("name=b source=db zone=b");
	same_bytes(db, a);
	assert_int_equal(row(a).parent, 0);
	assert_int_equal(fault.snapped, 2); /* monday, and one for b */
	assert_int_equal(fault.unsnapped, 1);
}

/* Where the source is there is no room: a copy is better than nothing. */
static void a_full_backend_sends_copies_elsewhere(void **state)
{
	int64_t db, a;

	clone_fault_reset();
	atomic_store(&fault.total, 20 * MIB);
	rig_make(&rig, 2, NULL);
	for (int i = 0; i < 2; i++)
		rig.conf.backends[i].max_over_subscription_ratio = 1;
	rig.driver = driver_clone();
	rig_up(&rig);
	is_up = true;
	db = made("size=12M name=db");
	write_pattern(db, 5);
	a = made("name=a source=db");
	assert_string_not_equal(row(a).backend, row(db).backend);
	same_bytes(db, a);
	(void)settles("name=b source=db", VOL_ERROR);
	atomic_store(&fault.total, 0);
}

static void the_next_attempt_copies(void **state)
{
	int64_t db, a;

	begin(driver_clone(), 2, "scheduler = { attempts = 3; };");
	db = made("size=4M name=db hint.query='[\"=\", \"$host\", \"b0\"]'");
	write_pattern(db, 6);
	atomic_store(&fault.refuse, row(db).backend[1] == '0' ? "b0" : "b1");
	a = made("name=a source=db");
	assert_string_not_equal(row(a).backend, row(db).backend);
	assert_int_equal(row(a).parent, 0);
	same_bytes(db, a);
}

static void reading_or_writing_fails(void **state)
{
	const char *_Atomic *which[] = { &clone_fault.no_read, &clone_fault.no_write };
	static const char *const backend[] = { "b0", "b1" };
	static const char *const said[] = { "reading its source at 0: Input/output error",
		"writing at 0: No space left on device" };

	for (size_t i = 0; i < 2; i++) {
		int64_t db, a;

		begin_with(driver_clone(), 2, apart, zones);
		db = made("size=4M name=db zone=a");
		write_pattern(db, 7);
		atomic_store(which[i], backend[i]);
		a = settles("name=a source=db zone=b", VOL_ERROR);
		if (!strstr(row(a).reason, said[i]))
			fail_msg("'%s' is not in: %s", said[i], row(a).reason);
		rig_idle(&rig);
		assert_int_equal(rig_images(&rig), 1);
		assert_int_equal(rig_snapshots(&rig), 0);
		/* nothing is locked by what has failed */
		clone_fault_reset();
		assert_int_equal(rig_delete(&rig, db), 0);
		tear_down(NULL);
	}
}

/* Two that could be written to, one of which fails in the middle: the other has all of it. */
static void writing_fails_and_another_has_it(void **state)
{
	static const char *const three[] = { "zone = \"a\";", "zone = \"b\";", "zone = \"b\";" };
	int64_t db, a;

	begin_with(driver_clone(), 3, apart, three);
	db = made("size=4M name=db zone=a");
	write_pattern(db, 8);
	atomic_store(&clone_fault.no_write, "b1");
	for (int i = 0; i < 4; i++) {
		char spec[64];

		(void)snprintf(spec, sizeof spec, "name=c%d source=db zone=b", i);
		a = made(spec);
		assert_string_equal(row(a).backend, "b2");
		same_bytes(db, a);
	}
	rig_idle(&rig);
	assert_int_equal(rig_images(&rig), 5);
	assert_int_equal(rig_snapshots(&rig), 0);
}

static void the_target_goes_down(void **state)
{
	static const char *const three[] = { "zone = \"a\";", "zone = \"b\";", "zone = \"b\";" };
	int64_t db, a;
	bool second;

	begin_with(driver_clone(), 3, apart, three);
	db = made("size=4M name=db zone=a");
	write_pattern(db, 9);
	atomic_store(&clone_fault.mute, "b0"); /* so it is under way for as long as we want */
	a = accepted("name=a source=db zone=b");
	while (!atomic_load(&clone_fault.reads))
		usleep(1000);
	second = row(a).backend[1] == '2';
	atomic_store(&fault.down, second ? "b2" : "b1");
	while (row(a).backend[1] == (second ? '2' : '1'))
		usleep(1000);
	atomic_store(&clone_fault.mute,
		NULL); /* what was asked before fails; what is asked then does not */
	atomic_store(&fault.down, NULL);
	(void)rig_settle(&rig, a);
	rig_idle(&rig);
	rig_recount(&rig);
	if (row(a).status == VOL_AVAILABLE)
		same_bytes(db, a);
	assert_int_equal(rig_images(&rig), row(a).status == VOL_AVAILABLE ? 2 : 1);
}

static void the_source_is_down(void **state)
{
	char text[REASON_LEN + 1];
	int64_t db, a;

	begin_with(driver_clone(), 2, apart, zones);
	db = made("size=4M name=db zone=a");
	write_pattern(db, 4);
	/* in the middle: the volume is given up, though nobody has answered yet */
	atomic_store(&clone_fault.mute, "b0");
	a = accepted("name=a source=db zone=b");
	while (!atomic_load(&clone_fault.reads))
		usleep(1000);
	atomic_store(&fault.down, "b0");
	assert_int_equal(rig_settle(&rig, a), VOL_ERROR);
	if (!strstr(row(a).reason, "down since"))
		fail_msg("%s", row(a).reason);
	/* from the beginning */
	a = settles("name=b source=db zone=b", VOL_ERROR);
	(void)snprintf(text, sizeof text, "backend 'b0', which has its source 'db', is down since");
	assert_memory_equal(row(a).reason, text, strlen(text));
	atomic_store(&clone_fault.mute, NULL);
	atomic_store(&fault.down, NULL);
	rig_idle(&rig);
	assert_int_equal(rig_images(&rig), 1);
	assert_int_equal(rig_snapshots(&rig), 0);
}

static void the_source_is_not_configured_any_more(void **state)
{
	int64_t db, a;
	size_t n;

	begin_with(driver_clone(), 2, apart, zones);
	db = made("size=4M name=db zone=b");
	assert_string_equal(row(db).backend, "b1");
	rig_down(&rig);
	n = rig.conf.backend_count;
	rig.conf.backend_count = 1;
	rig_up(&rig);
	a = settles("name=a source=db zone=a", VOL_ERROR);
	assert_string_equal(
		row(a).reason, "backend 'b1', which has its source 'db', is not configured");
	rig_down(&rig);
	rig.conf.backend_count = n;
	rig_up(&rig);
}

/* --- writers are quiet while it is taken --- */

struct quiet {
	_Atomic int now, most, calls, stops, code;
};

static int be_quiet(void *arg, const void *be, const char *uuid, bool stop)
{
	struct quiet *q = arg;
	int now;

	atomic_fetch_add(&q->calls, 1);
	atomic_fetch_add(&q->stops, stop);
	if (atomic_load(&q->code))
		return q->code;
	now = atomic_fetch_add(&q->now, 1) + 1;
	if (now > atomic_load(&q->most))
		atomic_store(&q->most, now);
	return 0;
}

static void speak(void *arg, const void *be, const char *uuid)
{
	atomic_fetch_sub(&((struct quiet *)arg)->now, 1);
}

static void writers_are_quiet_meanwhile(void **state)
{
	struct quiet q = { 0 };
	int64_t db, a;

	begin_with(driver_clone(), 2, apart, zones);
	db = made("size=4M name=db zone=a");
	engine_on_snapshot(rig.engine, be_quiet, speak, &q);
	(void)made("name=a source=db");
	assert_int_equal(q.calls, 1);
	(void)made("name=b source=db zone=b");
	assert_int_equal(q.calls, 2);
	assert_int_equal(q.stops, 2); /* as this driver wants it */
	assert_int_equal(q.now, 0);
	(void)taken(db, "monday");
	q.calls = 0;
	(void)made("name=c snapshot=db@monday");
	(void)made("name=d snapshot=db@monday zone=b");
	assert_int_equal(q.calls, 0); /* nobody can write to a snapshot */
	q.code = -EIO;
	a = settles("name=e source=db", VOL_ERROR);
	if (!strstr(row(a).reason, "what was written to its source does not reach it"))
		fail_msg("%s", row(a).reason);
	/* A server that ends has failed nobody: the next one, or this one in a moment, does it. */
	q.calls = 0;
	q.code = -EAGAIN;
	if (rig_create(&rig, "name=f source=db", &a) < 0)
		fail_msg("%s", rig_text);
	for (int ms = 0; ms < 10000 && q.calls < 2; ms++)
		usleep(1000);
	assert_true(q.calls >= 2);
	q.code = 0;
	assert_int_equal(rig_settle(&rig, a), VOL_AVAILABLE);
	assert_int_equal(q.now, 0);
	engine_on_snapshot(rig.engine, NULL, NULL, NULL);
}

/* --- the lock --- */

static void a_source_is_locked_meanwhile(void **state)
{
	static const char *const spec[] = { "name=copy source=db", "name=copy snapshot=db@monday" };

	for (size_t i = 0; i < COUNT(spec); i++)
		for (int end = 0; end < 3; end++) {
			int64_t db, copy, monday = 0;

			begin(driver_clone(), 1, NULL);
			db = made("size=4M name=db");
			if (i)
				monday = taken(db, "monday");
			if (end == 1)
				atomic_store(&fault.refuse, "b0");
			atomic_store(&fault.hang, "b0");
			copy = accepted(spec[i]);
			if (i) {
				assert_int_equal(rig_unsnap(&rig, monday), -EBUSY);
				assert_non_null(strstr(rig_text, "'copy'"));
				assert_int_equal(rig_delete(&rig, db), -ENOTEMPTY);
				assert_int_equal(rig_extend(&rig, db, 5 * MIB), 0);
			} else {
				assert_int_equal(rig_delete(&rig, db), -EBUSY);
				assert_string_equal(
					rig_text, "volume 'copy' is being made from it");
				assert_int_equal(rig_extend(&rig, db, 5 * MIB), -EBUSY);
				assert_string_equal(
					rig_text, "volume 'copy' is being made from it");
			}
			if (end == 2) { /* given up */
				atomic_store(&fault.down, "b0");
				assert_int_equal(rig_settle(&rig, copy), VOL_ERROR);
			}
			atomic_store(&fault.hang, NULL);
			atomic_store(&fault.down, NULL);
			assert_int_equal(rig_settle(&rig, copy), end ? VOL_ERROR : VOL_AVAILABLE);
			atomic_store(&fault.refuse, NULL);
			rig_idle(&rig);
			if (i)
				assert_int_equal(rig_unsnap(&rig, monday), 0);
			(void)rig_settle(&rig, db);
			assert_int_equal(rig_delete(&rig, db), 0);
			assert_int_equal(rig_delete(&rig, copy), 0);
			tear_down(NULL);
		}
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_teardown(fn, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_source_must_be_there),
		TEST(a_source_must_be_readable),
		TEST(a_source_must_be_at_rest),
		TEST(it_is_not_smaller),
		TEST(lines_may_come_in_any_order),
		TEST(zones_follow_the_source),
		TEST(types_must_go_together),
		TEST(one_backend_takes_any_type),
		TEST(a_clone_is_a_volume_of_its_own),
		TEST(a_job_says_how),
		TEST(clones_are_flattened_where_that_is_wanted),
		TEST(copies_are_not_flattened),
		TEST(too_long_a_chain_is_cut),
		TEST(another_backend_gets_a_copy),
		TEST(a_full_backend_sends_copies_elsewhere),
		TEST(the_next_attempt_copies),
		TEST(reading_or_writing_fails),
		TEST(writing_fails_and_another_has_it),
		TEST(the_target_goes_down),
		TEST(the_source_is_down),
		TEST(the_source_is_not_configured_any_more),
		TEST(writers_are_quiet_meanwhile),
		TEST(a_source_is_locked_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
