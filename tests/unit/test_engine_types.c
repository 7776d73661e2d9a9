/* Volume types at work: which one a volume gets, what it demands, and when it may be changed. */
#include "tests/lib/rig.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static struct rig rig;
static const struct change_id none;
static const gid_t in_bin[] = { 2 };
static const struct caller user = {
	.uid = 1, .gid = 1, .pid = 1, .groups = in_bin, .group_count = 1
};
static const char *const backends[] = {
	"zone = \"west\"; capabilities = { speed = \"slow\"; };",
	"zone = \"east\"; capabilities = { speed = \"fast\"; };",
	"zone = \"north\"; capabilities = { speed = \"fast\"; };",
};

static void begin(const char *more)
{
	char text[2000];

	(void)snprintf(text, sizeof text, "default_zone = \"west\";\n%s", more);
	rig_make_of(&rig, COUNT(backends), text, backends);
	rig_up(&rig);
}

static int set_up(void **state)
{
	fault_reset();
	begin("");
	return 0;
}

/* For those that begin with a configuration of their own. */
static int set_up_nothing(void **state)
{
	fault_reset();
	return 0;
}

static int tear_down(void **state)
{
	fault_reset();
	rig_idle(&rig);
	rig_recount(&rig);
	rig_down(&rig);
	rig_drop(&rig);
	return 0;
}

static void again(void)
{
	rig_down(&rig);
	rig_up(&rig);
}

/* --- the calls, waited for --- */

static int add(const struct caller *who, const char *name, int64_t *ret)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_type_add(rig.engine, none, who, name, rig_done, &a);
	return rig_wait(&a, ret);
}

static int64_t type(const char *name)
{
	int64_t id;

	if (add(&rig.who, name, &id) != 0)
		fail_msg("%s: %s", name, rig_text);
	return id;
}

static int entry_as(const struct caller *who, int64_t id, enum type_list list, const char *key,
	const char *value, enum meta_how how)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_type_entry(rig.engine, none, who, id, list, key, value, how, rig_done, &a);
	return rig_wait(&a, NULL);
}

static int entry(int64_t id, enum type_list list, const char *key, const char *value)
{
	return entry_as(&rig.who, id, list, key, value, META_SET);
}

static void spec(int64_t id, const char *key, const char *value)
{
	if (entry(id, TYPE_EXTRA_SPECS, key, value) != 0)
		fail_msg("%s=%s: %s", key, value ? value : "nothing", rig_text);
}

static int entry_rename(int64_t id, enum type_list list, const char *key, const char *to)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_type_entry_rename(rig.engine, none, &rig.who, id, list, key, to, rig_done, &a);
	return rig_wait(&a, NULL);
}

static int rename_to(int64_t id, const char *name)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_type_rename(rig.engine, none, &rig.who, id, name, rig_done, &a);
	return rig_wait(&a, NULL);
}

static int remove_(int64_t id)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_type_remove(rig.engine, none, &rig.who, id, rig_done, &a);
	return rig_wait(&a, NULL);
}

static int set(int64_t id, unsigned fields, struct vol_type values)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_type_set(rig.engine, none, &rig.who, id, fields, &values, rig_done, &a);
	return rig_wait(&a, NULL);
}

static void make_default(int64_t id, bool yes)
{
	assert_int_equal(set(id, TYPE_SET_DEFAULT, (struct vol_type){ .is_default = yes }), 0);
}

static void limit(const char *project, int64_t id, enum quota_resource what, int64_t max)
{
	struct rig_answer a;

	rig_begin(&a);
	engine_quota_set(rig.engine, none, &rig.who, project, id, what, max, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), 0);
}

/* Not inlined: GCC 12 with both sanitizers then loses the address of the thread's variable. */
static void __attribute__((noinline)) says(const char *sentence)
{
	if (!strstr(rig_text, sentence))
		fail_msg("'%s' is not in: %s", sentence, rig_text);
}

static struct volume row(int64_t id)
{
	struct volume v;

	assert_int_equal(view_volume(rig.view, id, &v), 0);
	return v;
}

static struct volume made_as(const struct caller *who, const char *text)
{
	int64_t id;

	if (rig_create_as(&rig, who, text, NULL, &id) != 0)
		fail_msg("%s: %s", text, rig_text);
	if (rig_settle(&rig, id) != VOL_AVAILABLE)
		fail_msg("%s: %s", text, row(id).reason);
	return row(id);
}

static struct volume made(const char *text)
{
	return made_as(&rig.who, text);
}

/* The volume is accepted, and nobody can have it. */
static struct volume fails(const char *text)
{
	int64_t id;

	assert_int_equal(rig_create(&rig, text, &id), 0);
	assert_int_equal(rig_settle(&rig, id), VOL_ERROR);
	return row(id);
}

static void gone(struct volume v)
{
	assert_int_equal(rig_delete(&rig, v.id), 0);
	rig_idle(&rig);
}

/* The same answer from the check while writing and from the transaction. */
static void refused(const struct caller *who, const char *text, int code, const char *sentence)
{
	struct spec s;
	struct err err = { 0 };

	assert_int_equal(rig_create_as(&rig, who, text, NULL, NULL), code);
	says(sentence);
	assert_int_equal(spec_parse(text, strlen(text), true, &s, &err), 0);
	assert_int_equal(engine_spec_check(rig.engine, rig.view, who, &s,
				 "00000000-0000-4000-8000-000000000000", false, &err),
		code);
	assert_string_equal(err.text, rig_text);
	spec_release(&s);
}

/* --- which type --- */

static void by_name_and_by_id(void **state)
{
	struct vol_type t;
	struct volume v;
	char text[100];
	int64_t fast = type("fast");

	assert_int_equal(view_type(rig.view, fast, &t), 0);
	v = made_as(&user, "size=1M type=fast");
	assert_int_equal(v.type_id, fast);
	assert_string_equal(v.type, "fast");
	assert_string_equal(v.type_uuid, t.uuid);
	(void)snprintf(text, sizeof text, "size=1M type=%s", t.uuid);
	assert_int_equal(made_as(&user, text).type_id, fast);
	refused(&user, "size=1M type=Fast", -ENOENT, "no such volume type: 'Fast'");
	refused(&user, "size=1M type=00000000-0000-4000-8000-000000000000", -ENOENT,
		"no such volume type: '00000000-0000-4000-8000-000000000000'");
	assert_int_equal(made("size=1M").type_id, 0);
	assert_string_equal(made("size=1M").type, "");
}

static bool seen(const struct caller *who, int64_t id)
{
	struct vol_type t;

	assert_int_equal(view_type(rig.view, id, &t), 0);
	return engine_type_seen(rig.engine, rig.view, who, &t);
}

/* For whoever has no access it does not exist; the project of the volume decides, not the person. */
static void private_types(void **state)
{
	static const struct caller alone = { .uid = 3, .gid = 3, .pid = 1 };
	int64_t id = type("secret");

	assert_true(seen(&user, id));
	assert_int_equal(set(id, TYPE_SET_PUBLIC, (struct vol_type){ .is_public = false }), 0);
	refused(&user, "size=1M type=secret", -ENOENT, "no such volume type: 'secret'");
	assert_false(seen(&user, id));
	assert_true(seen(&rig.who, id));
	(void)made("size=1M type=secret");
	(void)made("size=1M type=secret project=daemon");
	assert_int_equal(entry(id, TYPE_ACCESS, "bin", ""), 0);
	refused(&user, "size=1M type=secret", -ENOENT, "no such volume type: 'secret'");
	(void)made_as(&user, "size=1M type=secret project=bin");
	assert_true(seen(&user, id));
	assert_false(seen(&alone, id));
	assert_int_equal(entry(id, TYPE_ACCESS, "daemon", ""), 0);
	(void)made_as(&user, "size=1M type=secret");
	assert_int_equal(entry(id, TYPE_ACCESS, "daemon", NULL), 0);
	refused(&user, "size=1M type=secret", -ENOENT, "no such volume type: 'secret'");
	assert_int_equal(entry(id, TYPE_ACCESS, "daemon", NULL), -ENOENT);
	says("there is no 'daemon'");
}

static bool is_default(int64_t id)
{
	struct vol_type t;

	assert_int_equal(view_type(rig.view, id, &t), 0);
	return engine_type_is_default(rig.engine, rig.view, &t);
}

static void the_nearest_default(void **state)
{
	int64_t mine, theirs, all, configured;

	begin("default_type = \"configured\";\ntypes = ( { name = \"configured\"; } );");
	configured = made("size=1M").type_id;
	assert_string_equal(made("size=1M").type, "configured");
	assert_true(is_default(configured));
	mine = type("mine");
	theirs = type("theirs");
	all = type("all");
	make_default(all, true);
	assert_int_equal(made_as(&user, "size=1M").type_id, all);
	assert_true(is_default(all));
	assert_false(is_default(configured));
	assert_int_equal(entry(theirs, TYPE_DEFAULT_FOR, "daemon", ""), 0);
	assert_int_equal(made_as(&user, "size=1M").type_id, theirs);
	assert_int_equal(made_as(&user, "size=1M project=bin").type_id, all);
	assert_int_equal(made("size=1M").type_id, all);
	assert_int_equal(made_as(&user, "size=1M type=mine").type_id, mine);
	assert_int_equal(entry(mine, TYPE_DEFAULT_FOR, "daemon", ""), 0);
	assert_int_equal(made_as(&user, "size=1M").type_id, mine);
	assert_int_equal(entry(mine, TYPE_DEFAULT_FOR, "daemon", NULL), 0);
	assert_int_equal(made_as(&user, "size=1M").type_id, all);
	make_default(all, false);
	assert_int_equal(made_as(&user, "size=1M").type_id, configured);
}

static void no_default_at_all(void **state)
{
	int64_t all = type("all");

	make_default(all, true);
	assert_int_equal(made("size=1M").type_id, all);
	make_default(all, false);
	assert_int_equal(made("size=1M").type_id, 0);
}

static void a_missing_default_type_is_said(void **state)
{
	static const char sentence[] =
		"no such volume type: 'gone', which is default_type of the configuration";

	begin("default_type = \"gone\";");
	refused(&user, "size=1M", -ENOENT, sentence);
	make_default(type("all"), true);
	(void)made_as(&user, "size=1M");
	assert_int_equal(rename_to(type("back"), "gone"), 0);
	assert_int_equal(made_as(&user, "size=1M type=gone").type_id, 2);
}

/* --- how large --- */

static void sizes_are_bounded_inclusively(void **state)
{
	int64_t fast = type("fast");
	struct volume v;

	spec(fast, "provisioning:min_vol_size", "2M");
	spec(fast, "provisioning:max_vol_size", "4M");
	refused(&user, "size=1M type=fast", -EINVAL,
		"a volume of type 'fast' has at least 2M: 1M is too small");
	refused(&user, "size=5M type=fast", -EINVAL,
		"a volume of type 'fast' has at most 4M: 5M is too large");
	(void)made_as(&user, "size=4M type=fast");
	v = made_as(&user, "size=2M type=fast");
	assert_int_equal(rig_extend(&rig, v.id, 4 * MIB + 512), -EINVAL);
	says("a volume of type 'fast' has at most 4M: 4194816B is too large");
	assert_int_equal(rig_extend(&rig, v.id, 4 * MIB), 0);
	assert_int_equal(rig_settle(&rig, v.id), VOL_AVAILABLE);
	(void)made_as(&user, "size=5M");
	make_default(fast, true);
	refused(&user, "size=5M", -EINVAL, "has at most 4M");
}

static void bounds_leave_a_size(void **state)
{
	int64_t fast = type("fast");

	spec(fast, "provisioning:min_vol_size", "2G");
	assert_int_equal(entry(fast, TYPE_EXTRA_SPECS, "provisioning:max_vol_size", "1G"), -EINVAL);
	says("provisioning:min_vol_size is 2G: no size would do");
	spec(fast, "provisioning:max_vol_size", "2");
	spec(fast, "provisioning:min_vol_size", "1G");
	assert_int_equal(entry(fast, TYPE_EXTRA_SPECS, "provisioning:min_vol_size", "3G"), -EINVAL);
	assert_int_equal(
		entry(fast, TYPE_EXTRA_SPECS, "provisioning:min_vol_size", "much"), -EINVAL);
	spec(fast, "provisioning:max_vol_size", NULL);
	spec(fast, "provisioning:min_vol_size", "3G");
}

/* --- where --- */

static void types_have_zones(void **state)
{
	int64_t far = type("far"), nowhere = type("nowhere"), empty = type("empty");
	bool east = false, north = false;

	spec(far, "RESKEY:availability_zones", " east,, north ,moon,");
	spec(nowhere, "RESKEY:availability_zones", "moon, sun");
	spec(empty, "RESKEY:availability_zones", " , ");
	for (int i = 0; i < 40 && !(east && north); i++) {
		struct volume v = made_as(&rig.who, "size=1M type=far");

		assert_string_not_equal(v.zone, "west");
		assert_string_equal(v.zone, !strcmp(v.backend, "b1") ? "east" : "north");
		east |= !strcmp(v.zone, "east");
		north |= !strcmp(v.zone, "north");
		atomic_store(&fault.refuse, east && !north ? "b1" : "b2");
	}
	atomic_store(&fault.refuse, NULL);
	assert_true(east && north);
	assert_string_equal(made_as(&user, "size=1M type=far zone=north").backend, "b2");
	refused(&user, "size=1M type=far zone=west", -EINVAL,
		"type 'far' is not for zone 'west', only for:  east,, north ,moon,");
	refused(&user, "size=1M type=far zone=moon", -ENOENT,
		"no such zone: no backend is in 'moon'");
	refused(&user, "size=1M type=nowhere", -EINVAL,
		"no backend is in a zone of type 'nowhere': moon, sun");
	refused(&user, "size=1M type=nowhere zone=west", -EINVAL,
		"no backend is in a zone of type 'nowhere'");
	refused(&user, "size=1M type=empty", -EINVAL,
		"no backend is in a zone of type 'empty':  , ");
	assert_string_equal(made_as(&user, "size=1M").zone, "west");
}

/* The default zone is taken as it is, also where the type does not list it; there the volume grows, too. */
static void zones_fall_back(void **state)
{
	int64_t far;
	struct volume v;

	begin("zone_fallback = true;");
	far = type("far");
	spec(far, "RESKEY:availability_zones", "east");
	v = made_as(&user, "size=1M zone=moon");
	assert_string_equal(v.zone, "west");
	v = made_as(&user, "size=1M type=far zone=north");
	assert_string_equal(v.zone, "west");
	assert_string_equal(v.backend, "b0");
	assert_int_equal(rig_extend(&rig, v.id, 2 * MIB), 0);
	assert_int_equal(rig_settle(&rig, v.id), VOL_AVAILABLE);
	v = made_as(&user, "size=1M type=far zone=moon");
	assert_string_equal(v.zone, "west");
	v = made_as(&user, "size=1M type=far");
	assert_string_equal(v.zone, "east");
	v = made_as(&user, "size=1M type=far zone=east");
	assert_string_equal(v.zone, "east");
}

static void a_retry_keeps_the_type(void **state)
{
	int64_t fast = type("fast"), near = type("near");
	struct volume v;
	char qos[FAULT_QOS];

	spec(fast, "RESKEY:availability_zones", "west,east");
	assert_int_equal(entry(fast, TYPE_QOS, "total_iops_sec", "9"), 0);
	for (int i = 0; i < 6; i++) {
		atomic_store(&fault.refuse, i % 2 ? "b0" : "b1");
		v = made("size=1M type=fast");
		assert_string_equal(v.backend, i % 2 ? "b1" : "b0");
		assert_string_equal(v.zone, i % 2 ? "east" : "west");
		assert_int_equal(v.type_id, fast);
		fault_qos(qos);
		assert_string_equal(qos, "total_iops_sec=9");
	}
	/* where the spec or the default says the zone, it stays in that */
	atomic_store(&fault.refuse, "b0");
	v = fails("size=1M type=fast zone=west");
	assert_non_null(strstr(v.reason, "b0: refused"));
	assert_int_equal(v.type_id, fast);
	v = fails("size=1M type=near");
	assert_int_equal(v.type_id, near);
	assert_string_equal(v.zone, "west");
}

/* --- which backend --- */

static void extra_specs_decide(void **state)
{
	int64_t fast = type("fast"), odd = type("odd"), empty = type("empty"), scoped = type("s");
	struct volume v;

	spec(fast, "speed", "fast");
	spec(odd, "speed", "<in> warp");
	spec(empty, "nosuch", "");
	spec(scoped, "vendor:speed", "warp");
	v = fails("size=1M type=fast");
	assert_non_null(
		strstr(v.reason, "its capability 'speed' is \"slow\", the type wants 'fast'"));
	assert_int_equal(v.type_id, fast);
	assert_string_equal(made("size=1M type=fast zone=east").backend, "b1");
	assert_string_equal(made("size=1M type=fast zone=north").backend, "b2");
	v = fails("size=1M type=odd zone=east");
	assert_non_null(
		strstr(v.reason, "its capability 'speed' is \"fast\", the type wants '<in> warp'"));
	(void)made("size=1M type=empty");
	(void)made("size=1M type=s");
}

/* --- speed --- */

static void speed(const char *text, const char *want)
{
	char qos[FAULT_QOS];

	(void)made(text);
	fault_qos(qos);
	assert_string_equal(qos, want);
}

static void the_storage_is_told_of_limits(void **state)
{
	int64_t fast = type("fast");

	speed("size=1M type=fast", "");
	assert_int_equal(entry(fast, TYPE_QOS, "total_iops_sec", "1000"), 0);
	assert_int_equal(entry(fast, TYPE_QOS, "read_bytes_sec_max", "0"), 0);
	assert_int_equal(entry(fast, TYPE_QOS, "write_iops_sec", ""), 0);
	assert_int_equal(entry(fast, TYPE_QOS, "total_iops_sec_max_length", "60"), 0);
	assert_int_equal(entry(fast, TYPE_QOS, "free_text", "many"), 0);
	speed("size=1M type=fast", "total_iops_sec=1000 read_bytes_sec_max=0");
	speed("size=1M", "");
	assert_int_equal(
		set(fast, TYPE_SET_CONSUMER, (struct vol_type){ .consumer = QOS_BOTH }), 0);
	speed("size=1M type=fast", "total_iops_sec=1000 read_bytes_sec_max=0");
	assert_int_equal(
		set(fast, TYPE_SET_CONSUMER, (struct vol_type){ .consumer = QOS_FRONT_END }), 0);
	speed("size=1M type=fast", "");
	assert_int_equal(
		set(fast, TYPE_SET_CONSUMER, (struct vol_type){ .consumer = QOS_BACK_END }), 0);
	assert_int_equal(entry(fast, TYPE_QOS, "total_iops_sec", "5"), 0);
	speed("size=1M type=fast", "total_iops_sec=5 read_bytes_sec_max=0");
}

/* A creation that is repeated carries what it was accepted with, whatever has become of its type. */
static void limits_are_those_of_the_acceptance(void **state)
{
	int64_t fast = type("fast"), id;
	char qos[FAULT_QOS];

	assert_int_equal(entry(fast, TYPE_QOS, "total_iops_sec", "9"), 0);
	atomic_store(&fault.hang, "b0");
	assert_int_equal(rig_create(&rig, "size=1M type=fast", &id), 0);
	assert_int_equal(entry(fast, TYPE_QOS, "total_iops_sec", "5"), 0);
	assert_int_equal(rig_sql(&rig, "SELECT qos = 'total_iops_sec=9' || char(10) FROM job"), 1);
	assert_int_equal(
		set(fast, TYPE_SET_CONSUMER, (struct vol_type){ .consumer = QOS_FRONT_END }), 0);
	atomic_store(&fault.hang, NULL);
	assert_int_equal(rig_settle(&rig, id), VOL_AVAILABLE);
	fault_qos(qos);
	assert_string_equal(qos, "total_iops_sec=9");
}

/* --- quotas --- */

/* The ceiling of one volume, then size ahead of count, and each time the project ahead of the type. */
static void complaints_come_in_order(void **state)
{
	int64_t fast = type("fast");

	limit("daemon", 0, QUOTA_PER_VOLUME_SIZE, 4 * MIB);
	limit("daemon", fast, QUOTA_PER_VOLUME_SIZE, 3 * MIB);
	limit("daemon", 0, QUOTA_SIZE, 5 * MIB);
	limit("daemon", fast, QUOTA_SIZE, 4 * MIB);
	limit("daemon", 0, QUOTA_VOLUMES, 1);
	limit("daemon", fast, QUOTA_VOLUMES, 1);
	(void)made_as(&user, "size=3M type=fast");
	refused(&user, "size=5M type=fast", -EFBIG,
		"a volume of 5M is larger than project 'daemon' may have: 4M each");
	refused(&user, "size=4M type=fast", -EFBIG,
		"a volume of 4M is larger than type 'fast' in project 'daemon' may have: 3M each");
	refused(&user, "size=3M type=fast", -EDQUOT,
		"quota of project 'daemon': 3M wanted, 3M of 5M in use");
	limit("daemon", 0, QUOTA_SIZE, SIZE_LIMIT_NONE);
	refused(&user, "size=3M type=fast", -EDQUOT,
		"quota of type 'fast' in project 'daemon': 3M wanted, 3M of 4M in use");
	limit("daemon", fast, QUOTA_SIZE, QUOTA_INHERIT);
	refused(&user, "size=3M type=fast", -EDQUOT,
		"quota of project 'daemon': 1 more wanted, 1 of 1 volumes in use");
	limit("daemon", 0, QUOTA_VOLUMES, QUOTA_INHERIT);
	refused(&user, "size=3M type=fast", -EDQUOT,
		"quota of type 'fast' in project 'daemon': 1 more wanted, 1 of 1 volumes in use");
	(void)made_as(&user, "size=4M");
	limit("default", fast, QUOTA_VOLUMES, 2);
	limit("daemon", fast, QUOTA_VOLUMES, QUOTA_INHERIT);
	(void)made_as(&user, "size=3M type=fast");
	refused(&user, "size=3M type=fast", -EDQUOT, "1 more wanted, 2 of 2 volumes in use");
	(void)made_as(&user, "size=3M type=fast project=bin");
}

static void extending_counts_for_the_type(void **state)
{
	int64_t fast = type("fast");
	struct volume v;

	limit("daemon", fast, QUOTA_SIZE, 4 * MIB);
	limit("daemon", fast, QUOTA_PER_VOLUME_SIZE, 5 * MIB);
	limit("daemon", fast, QUOTA_VOLUMES, 1);
	v = made_as(&user, "size=3M type=fast");
	assert_int_equal(rig_extend(&rig, v.id, 6 * MIB), -EFBIG);
	says("a volume of 6M is larger than type 'fast' in project 'daemon' may have: 5M each");
	assert_int_equal(rig_extend(&rig, v.id, 5 * MIB), -EDQUOT);
	says("quota of type 'fast' in project 'daemon': 2M wanted, 3M of 4M in use");
	assert_int_equal(rig_extend(&rig, v.id, 4 * MIB), 0);
	assert_int_equal(rig_settle(&rig, v.id), VOL_AVAILABLE);
	gone(v);
	(void)made_as(&user, "size=4M type=fast");
}

static int change_group(int64_t id, gid_t gid)
{
	struct volume values = { .gid = gid };
	struct rig_answer a;

	rig_begin(&a);
	engine_set(rig.engine, none, &rig.who, id, SET_GID, &values, rig_done, &a);
	return rig_wait(&a, NULL);
}

static void another_project_has_a_quota_of_the_type(void **state)
{
	int64_t fast = type("fast");
	struct volume v = made_as(&user, "size=3M type=fast");
	struct quota q;

	limit("bin", fast, QUOTA_SIZE, 2 * MIB);
	assert_int_equal(change_group(v.id, 2), -EDQUOT);
	says("quota of type 'fast' in project 'bin': 3M wanted, 0B of 2M in use");
	assert_string_equal(row(v.id).project, "daemon");
	limit("bin", fast, QUOTA_SIZE, 3 * MIB);
	assert_int_equal(change_group(v.id, 2), 0);
	assert_int_equal(row(v.id).type_id, fast);
	assert_int_equal(view_quota_of_type(rig.view, "bin", fast, &q), 0);
	assert_int_equal(q.used[QUOTA_SIZE], 3 * MIB);
	assert_int_equal(q.used[QUOTA_VOLUMES], 1);
	assert_int_equal(view_quota_of_type(rig.view, "daemon", fast, &q), 0);
	assert_int_equal(q.used[QUOTA_SIZE] + q.used[QUOTA_VOLUMES], 0);
}

/* --- changing types --- */

static void only_administrators_change_types(void **state)
{
	int64_t fast = type("fast");
	struct rig_answer a;

	assert_int_equal(add(&user, "slow", NULL), -EACCES);
	says("only an administrator changes volume types");
	assert_int_equal(entry_as(&user, fast, TYPE_EXTRA_SPECS, "a", "b", META_SET), -EACCES);
	assert_int_equal(
		entry_as(&user, fast, TYPE_ACCESS, "no-such-group", "", META_SET), -EACCES);
	rig_begin(&a);
	engine_type_remove(rig.engine, none, &user, fast, rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), -EACCES);
	rig_begin(&a);
	engine_type_rename(rig.engine, none, &user, fast, "x", rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), -EACCES);
	rig_begin(&a);
	engine_type_entry_rename(
		rig.engine, none, &user, fast, TYPE_EXTRA_SPECS, "a", "b", rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), -EACCES);
	rig_begin(&a);
	engine_type_set(rig.engine, none, &user, fast, TYPE_SET_PUBLIC, &(struct vol_type){ 0 },
		rig_done, &a);
	assert_int_equal(rig_wait(&a, NULL), -EACCES);
}

static void adds_and_describes(void **state)
{
	int64_t fast = type("fast");
	struct vol_type t;

	assert_int_equal(add(&rig.who, "fast", NULL), -EEXIST);
	says("there is a volume type 'fast'");
	assert_int_equal(add(&rig.who, "a/b", NULL), -EINVAL);
	assert_int_equal(
		set(fast, TYPE_SET_DESCRIPTION, (struct vol_type){ .description = "quick" }), 0);
	assert_int_equal(set(fast, TYPE_SET_DESCRIPTION | TYPE_SET_APPEND,
				 (struct vol_type){ .description = "and dear" }),
		0);
	assert_int_equal(
		set(fast, TYPE_SET_DESCRIPTION, (struct vol_type){ .description = "a\nb" }),
		-EINVAL);
	assert_int_equal(view_type(rig.view, fast, &t), 0);
	assert_string_equal(t.description, "quick and dear");
	assert_true(t.is_public);
	assert_int_equal(t.consumer, QOS_BACK_END);
	assert_int_equal(remove_(fast), 0);
	assert_int_equal(remove_(fast), -ENOENT);
	says("the volume type is gone");
	assert_int_equal(rename_to(fast, "x"), -ENOENT);
	assert_int_equal(entry(fast, TYPE_QOS, "a", "b"), -ENOENT);
	assert_int_equal(set(fast, TYPE_SET_PUBLIC, t), -ENOENT);
}

/* What its backend was chosen by stays true of a volume, until the last of it is gone. */
static void extra_specs_stay_while_in_use(void **state)
{
	static const char one[] = "extra specs cannot be changed: 1 volume of type 'fast' exists";
	int64_t fast = type("fast");
	struct volume v, w;

	spec(fast, "v:a", "b");
	v = made("size=1M type=fast");
	w = made("size=1M type=fast");
	assert_int_equal(entry(fast, TYPE_EXTRA_SPECS, "c", "d"), -EBUSY);
	says("extra specs cannot be changed: 2 volumes of type 'fast' exist");
	gone(w);
	assert_int_equal(entry(fast, TYPE_EXTRA_SPECS, "v:a", "c"), -EBUSY);
	says(one);
	assert_int_equal(entry(fast, TYPE_EXTRA_SPECS, "v:a", NULL), -EBUSY);
	assert_int_equal(entry_rename(fast, TYPE_EXTRA_SPECS, "v:a", "c"), -EBUSY);
	assert_int_equal(entry(fast, TYPE_QOS, "a", "b"), 0);
	assert_int_equal(entry(fast, TYPE_ACCESS, "bin", ""), 0);
	assert_int_equal(entry(fast, TYPE_DEFAULT_FOR, "bin", ""), 0);
	assert_int_equal(entry(fast, TYPE_DEFAULT_FOR, "bin", NULL), 0);
	atomic_store(&fault.hang, "b0");
	assert_int_equal(rig_delete(&rig, v.id), 0);
	assert_int_equal(entry(fast, TYPE_EXTRA_SPECS, "v:a", "c"), -EBUSY);
	says(one);
	assert_int_equal(remove_(fast), -EBUSY);
	says("it cannot be removed: 1 volume of type 'fast' exists");
	atomic_store(&fault.hang, NULL);
	rig_idle(&rig);
	spec(fast, "v:a", "c");
	assert_int_equal(remove_(fast), 0);
}

static void a_default_type_stays(void **state)
{
	int64_t std, fast;

	begin("default_type = \"std\";\ntypes = ( { name = \"std\"; } );");
	std = made("size=1M").type_id;
	fast = type("fast");
	assert_int_equal(rename_to(std, "x"), -EBUSY);
	says("type 'std' is default_type of the configuration, by this name");
	assert_int_equal(rename_to(std, "std"), 0);
	gone(row(1));
	assert_int_equal(remove_(std), -EBUSY);
	says("type 'std' is the default type");
	assert_int_equal(
		set(std, TYPE_SET_DEFAULT, (struct vol_type){ .is_default = false }), -EBUSY);
	says("type 'std' is default_type of the configuration: make another the default");
	make_default(fast, true);
	assert_int_equal(remove_(fast), -EBUSY);
	says("type 'fast' is the default type");
	make_default(fast, false);
	assert_int_equal(entry(fast, TYPE_DEFAULT_FOR, "bin", ""), 0);
	assert_int_equal(remove_(fast), -EBUSY);
	says("type 'fast' is the default type of project 'bin'");
	assert_int_equal(entry(fast, TYPE_DEFAULT_FOR, "bin", NULL), 0);
	assert_int_equal(remove_(fast), 0);
}

static void a_new_name_is_shown_by_its_volumes(void **state)
{
	int64_t fast = type("fast");
	struct volume v = made("size=1M type=fast");

	(void)type("slow");
	assert_int_equal(rename_to(fast, "slow"), -EEXIST);
	says("there is a volume type 'slow'");
	assert_int_equal(rename_to(fast, "fast"), 0);
	assert_int_equal(rename_to(fast, "quick"), 0);
	assert_string_equal(row(v.id).type, "quick");
	assert_int_equal(row(v.id).type_id, fast);
	assert_int_equal(made("size=1M type=quick").type_id, fast);
	refused(&user, "size=1M type=fast", -ENOENT, "no such volume type: 'fast'");
	assert_int_equal(rename_to(fast, "a b"), -EINVAL);
}

static void lists_take_what_makes_sense(void **state)
{
	int64_t fast = type("fast");
	struct type_entry e;

	assert_int_equal(entry_as(&rig.who, fast, TYPE_EXTRA_SPECS, "a", "1", META_CREATE), 0);
	assert_int_equal(
		entry_as(&rig.who, fast, TYPE_EXTRA_SPECS, "a", "2", META_CREATE), -EEXIST);
	says("'a' is there");
	assert_int_equal(entry_as(&rig.who, fast, TYPE_EXTRA_SPECS, "a", "2", META_APPEND), 0);
	assert_int_equal(view_type_entry_by_key(rig.view, fast, TYPE_EXTRA_SPECS, "a", &e), 0);
	assert_string_equal(e.value, "1 2");
	assert_int_equal(entry(fast, TYPE_EXTRA_SPECS, "a b", "1"), -EINVAL);
	assert_int_equal(entry(fast, TYPE_QOS, "total_iops_sec", "many"), -EINVAL);
	says("total_iops_sec takes a whole number");
	assert_int_equal(entry(fast, TYPE_ACCESS, "no-such-group", ""), -ENOENT);
	says("no such project: there is no group 'no-such-group'");
	assert_int_equal(entry(fast, TYPE_ACCESS, "bin", "x"), -EINVAL);
	says("the file's name says it all: it stays empty");
	assert_int_equal(entry(fast, TYPE_ACCESS, "root", ""), 0);
	assert_int_equal(entry_rename(fast, TYPE_ACCESS, "root", "bin"), -EPERM);
	says("a project is not renamed here");
	assert_int_equal(entry_rename(fast, TYPE_EXTRA_SPECS, "x", "y"), -ENOENT);
	says("there is no 'x'");
	spec(fast, "b", "3");
	assert_int_equal(entry_rename(fast, TYPE_EXTRA_SPECS, "a", "b"), 0);
	assert_int_equal(view_type_entry_by_key(rig.view, fast, TYPE_EXTRA_SPECS, "b", &e), 0);
	assert_string_equal(e.value, "1 2");
	assert_int_equal(
		view_type_entry_by_key(rig.view, fast, TYPE_EXTRA_SPECS, "a", &e), -ENOENT);
}

/* In whatever way a value comes to a key, it is judged under that key, and as a whole. */
static void values_fit_their_keys_in_every_way(void **state)
{
	int64_t fast = type("fast");

	spec(fast, "a", "much");
	assert_int_equal(
		entry_rename(fast, TYPE_EXTRA_SPECS, "a", "provisioning:max_vol_size"), -EINVAL);
	says("size 'much' is not a whole number");
	spec(fast, "provisioning:min_vol_size", "1G");
	assert_int_equal(entry_as(&rig.who, fast, TYPE_EXTRA_SPECS, "provisioning:min_vol_size",
				 "2G", META_APPEND),
		-EINVAL);
	says("size '1G 2G' is not a whole number");
	spec(fast, "b", "512M");
	assert_int_equal(
		entry_rename(fast, TYPE_EXTRA_SPECS, "b", "provisioning:max_vol_size"), -EINVAL);
	says("provisioning:min_vol_size is 1G: no size would do");
	/* the key that goes is in nobody's way */
	assert_int_equal(entry_rename(fast, TYPE_EXTRA_SPECS, "provisioning:min_vol_size",
				 "provisioning:max_vol_size"),
		0);
	assert_int_equal(entry(fast, TYPE_QOS, "x", "many"), 0);
	assert_int_equal(entry_rename(fast, TYPE_QOS, "x", "total_iops_sec"), -EINVAL);
	assert_int_equal(entry(fast, TYPE_QOS, "read_iops_sec", "5"), 0);
	assert_int_equal(
		entry_as(&rig.who, fast, TYPE_QOS, "read_iops_sec", "5", META_APPEND), -EINVAL);
	assert_int_equal(entry_as(&rig.who, fast, TYPE_QOS, "write_iops_sec", "5", META_APPEND), 0);
	assert_int_equal(
		entry_as(&rig.who, fast, TYPE_ACCESS, "no-such-group", "", META_APPEND), -ENOENT);
	assert_int_equal(entry_as(&rig.who, fast, TYPE_ACCESS, "bin", "x", META_APPEND), -EINVAL);
	assert_int_equal(
		entry_as(&rig.who, fast, TYPE_EXTRA_SPECS, "c", "a\nb", META_APPEND), -EINVAL);
}

static void multiattach_and_cacheable(void **state)
{
	int64_t fast = type("fast");

	spec(fast, "multiattach", "<is> True");
	assert_int_equal(entry(fast, TYPE_EXTRA_SPECS, "cacheable", "<is> True"), -EINVAL);
	says("cacheable and multiattach exclude each other");
	spec(fast, "cacheable", "<is> False");
	spec(fast, "other", "<is> True");
	assert_int_equal(entry_rename(fast, TYPE_EXTRA_SPECS, "other", "cacheable"), -EINVAL);
	says("cacheable and multiattach exclude each other");
	spec(fast, "cacheable", "<is>");
	assert_int_equal(
		entry_as(&rig.who, fast, TYPE_EXTRA_SPECS, "cacheable", "True", META_APPEND),
		-EINVAL);
	assert_int_equal(entry_rename(fast, TYPE_EXTRA_SPECS, "multiattach", "cacheable"), 0);
}

/* --- between a request and its transaction --- */

static void send(struct rig_answer *a, const char *text)
{
	char id[UUID_LEN + 1];
	struct spec s;
	struct err err;
	static unsigned n;

	(void)snprintf(id, sizeof id, "00000000-0000-4000-8000-%012u", ++n);
	assert_int_equal(spec_parse(text, strlen(text), true, &s, &err), 0);
	rig_begin(a);
	engine_create(
		rig.engine, none, &rig.who, &s, id, NULL, text, strlen(text), true, rig_done, a);
	spec_release(&s);
}

static void what_is_true_in_the_transaction_counts(void **state)
{
	int64_t fast = type("fast"), slow = type("slow");
	struct rig_answer removed, bound, create[2];
	struct spec s = { .size = MIB, .type = (char *)"fast" };
	struct err err;

	assert_int_equal(engine_spec_check(rig.engine, rig.view, &rig.who, &s, "", false, &err), 0);
	rig_begin(&removed);
	rig_begin(&bound);
	engine_type_remove(rig.engine, none, &rig.who, fast, rig_done, &removed);
	send(&create[0], "size=1M type=fast");
	engine_type_entry(rig.engine, none, &rig.who, slow, TYPE_EXTRA_SPECS,
		"provisioning:min_vol_size", "2M", META_SET, rig_done, &bound);
	send(&create[1], "size=1M type=slow");
	assert_int_equal(rig_wait(&removed, NULL), 0);
	assert_int_equal(rig_wait(&create[0], NULL), -ENOENT);
	says("no such volume type: 'fast'");
	assert_int_equal(rig_wait(&bound, NULL), 0);
	assert_int_equal(rig_wait(&create[1], NULL), -EINVAL);
	says("a volume of type 'slow' has at least 2M: 1M is too small");
}

/* What was compiled of a type is forgotten with each change of any. */
static void changes_are_seen_at_once(void **state)
{
	int64_t fast = type("fast");

	for (int i = 0; i < 3; i++) {
		spec(fast, "speed", "slow");
		spec(fast, "provisioning:max_vol_size", "9M");
		gone(made("size=9M type=fast"));
		spec(fast, "provisioning:max_vol_size", "1M");
		refused(&user, "size=2M type=fast", -EINVAL, "has at most 1M");
		spec(fast, "speed", "fast");
		gone(fails("size=1M type=fast"));
		spec(fast, "RESKEY:availability_zones", "east");
		gone(made("size=1M type=fast"));
		spec(fast, "RESKEY:availability_zones", NULL);
		assert_int_equal(entry_rename(fast, TYPE_EXTRA_SPECS, "speed", "vendor:speed"), 0);
		gone(made("size=1M type=fast"));
		spec(fast, "vendor:speed", NULL);
		assert_int_equal(remove_(fast), 0);
		fast = type("fast");
	}
}

/* A commit that fails takes the change back, and what was compiled of it. */
static void a_lost_change_was_never_seen(void **state)
{
	enum { PAIRS = 20 };
	char small[128], big[160], block[4096] = { 0 };
	struct rig_answer bound[PAIRS], create[PAIRS];
	int64_t fast;
	int fd;

	rig_make_of(&rig, COUNT(backends), "default_zone = \"west\";", backends);
	(void)snprintf(small, sizeof small, "%s/small", rig.dir);
	assert_int_equal(mkdir(small, 0700), 0);
	assert_int_equal(mount("volfs-test", small, "tmpfs", 0, "size=2m"), 0);
	free(rig.conf.database);
	assert_true(asprintf(&rig.conf.database, "%s/volfs.db", small) > 0);
	rig_up(&rig);
	fast = type("fast");
	(void)snprintf(big, sizeof big, "%s/big", small);
	fd = open(big, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, block, sizeof block) > 0)
		;
	for (int i = 0; i < PAIRS; i++) {
		rig_begin(&bound[i]);
		engine_type_entry(rig.engine, none, &rig.who, fast, TYPE_EXTRA_SPECS,
			"provisioning:min_vol_size", "2M", META_SET, rig_done, &bound[i]);
		send(&create[i], "size=3M type=fast");
	}
	for (int i = 0; i < PAIRS; i++) {
		assert_true(rig_wait(&bound[i], NULL) < 0);
		assert_int_equal(rig_wait(&create[i], NULL), -ENOSPC);
	}
	assert_int_equal(unlink(big), 0);
	close(fd);
	(void)made("size=1M type=fast");
	rig_idle(&rig);
	rig_recount(&rig);
	rig_down(&rig);
	assert_int_equal(umount(small), 0);
	rig_up(&rig); /* for tear_down: another, of which nothing is known */
}

/* --- another engine --- */

static void another_engine_knows_it_all(void **state)
{
	int64_t fast = type("fast"), std = type("std");
	struct volume v, w;
	char qos[FAULT_QOS];

	spec(fast, "speed", "fast");
	spec(fast, "provisioning:max_vol_size", "4M");
	spec(fast, "RESKEY:availability_zones", "east");
	assert_int_equal(entry(fast, TYPE_QOS, "total_iops_sec", "9"), 0);
	make_default(std, true);
	assert_int_equal(entry(fast, TYPE_DEFAULT_FOR, "daemon", ""), 0);
	limit("daemon", fast, QUOTA_VOLUMES, 2);
	v = made_as(&user, "size=1M");
	again();
	assert_int_equal(row(v.id).type_id, fast);
	assert_int_equal(made("size=1M").type_id, std);
	refused(&user, "size=5M", -EINVAL, "has at most 4M");
	w = made_as(&user, "size=1M");
	assert_string_equal(w.backend, "b1");
	fault_qos(qos);
	assert_string_equal(qos, "total_iops_sec=9");
	refused(&user, "size=1M", -EDQUOT, "2 of 2 volumes in use");
	assert_int_equal(entry(fast, TYPE_EXTRA_SPECS, "a", "b"), -EBUSY);
	assert_int_equal(rig_extend(&rig, v.id, 4 * MIB), 0);
	assert_int_equal(rig_settle(&rig, v.id), VOL_AVAILABLE);
}

/* --- the configuration's --- */

static void configured_types_are_made_once(void **state)
{
	struct vol_type t;
	struct type_entry e[4];
	int64_t slow;

	begin("types = ( { name = \"fast\"; description = \"quick\"; public = false;\n"
	      "extra_specs = [ \"speed=fast\", \"x=\" ]; access = [ \"bin\" ];\n"
	      "qos = [ \"consumer=both\", \"total_iops_sec=9\", \"note=front-end\" ]; },\n"
	      "{ name = \"bad\"; extra_specs = [ \"provisioning:min_vol_size=2G\",\n"
	      "\"provisioning:max_vol_size=1G\" ]; },\n"
	      "{ name = \"worse\"; extra_specs = [ \"multiattach=<is> True\",\n"
	      "\"cacheable=<is> True\" ]; },\n"
	      "{ name = \"slow\"; } );");
	assert_int_equal(view_type_find(rig.view, "fast", &t), 0);
	assert_string_equal(t.description, "quick");
	assert_false(t.is_public);
	assert_int_equal(t.consumer, QOS_BOTH);
	assert_int_equal(view_type_entries(rig.view, t.id, TYPE_EXTRA_SPECS, 0, e, 4), 2);
	assert_string_equal(e[0].key, "speed");
	assert_string_equal(e[0].value, "fast");
	assert_int_equal(view_type_entries(rig.view, t.id, TYPE_QOS, 0, e, 4), 2);
	assert_string_equal(e[1].key, "note");
	assert_string_equal(e[1].value, "front-end");
	assert_int_equal(view_type_entries(rig.view, t.id, TYPE_ACCESS, 0, e, 4), 1);
	/* what is in its own way is not made, and nothing of it; the rest is */
	assert_int_equal(view_type_find(rig.view, "bad", &t), -ENOENT);
	assert_int_equal(view_type_find(rig.view, "worse", &t), -ENOENT);
	assert_int_equal(rig_sql(&rig, "SELECT count(*) FROM type_entry"), 5);
	assert_int_equal(view_type_find(rig.view, "slow", &t), 0);
	slow = t.id;
	assert_int_equal(view_type_find(rig.view, "fast", &t), 0);
	spec(t.id, "speed", "slow");
	assert_int_equal(entry(t.id, TYPE_ACCESS, "bin", NULL), 0);
	assert_int_equal(remove_(slow), 0);
	again();
	assert_int_equal(view_type_entries(rig.view, t.id, TYPE_EXTRA_SPECS, 0, e, 4), 2);
	assert_string_equal(e[0].value, "slow");
	assert_int_equal(view_type_entries(rig.view, t.id, TYPE_ACCESS, 0, e, 4), 0);
	assert_int_equal(view_type_find(rig.view, "slow", &t), 0); /* it was not there */
	assert_true(t.id > slow);
}

int main(void)
{
#define TEST(fn)	cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
#define TEST_OF_OWN(fn) cmocka_unit_test_setup_teardown(fn, set_up_nothing, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(by_name_and_by_id),
		TEST(private_types),
		TEST_OF_OWN(the_nearest_default),
		TEST(no_default_at_all),
		TEST_OF_OWN(a_missing_default_type_is_said),
		TEST(sizes_are_bounded_inclusively),
		TEST(bounds_leave_a_size),
		TEST(types_have_zones),
		TEST_OF_OWN(zones_fall_back),
		TEST(a_retry_keeps_the_type),
		TEST(extra_specs_decide),
		TEST(the_storage_is_told_of_limits),
		TEST(limits_are_those_of_the_acceptance),
		TEST(complaints_come_in_order),
		TEST(extending_counts_for_the_type),
		TEST(another_project_has_a_quota_of_the_type),
		TEST(only_administrators_change_types),
		TEST(adds_and_describes),
		TEST(extra_specs_stay_while_in_use),
		TEST_OF_OWN(a_default_type_stays),
		TEST(a_new_name_is_shown_by_its_volumes),
		TEST(lists_take_what_makes_sense),
		TEST(values_fit_their_keys_in_every_way),
		TEST(multiattach_and_cacheable),
		TEST(what_is_true_in_the_transaction_counts),
		TEST(changes_are_seen_at_once),
		TEST_OF_OWN(a_lost_change_was_never_seen),
		TEST(another_engine_knows_it_all),
		TEST_OF_OWN(configured_types_are_made_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
