/* The catalogue against a storage of the test's own: what differs, what only seems to while work is in progress. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "engine/compare.h"
#include "store_rig.h"

#include <errno.h>

/* --- the storage --- */

enum { IMAGES = 16, SNAPS = 24 };

static struct {
	struct driver_found image[IMAGES];
	struct driver_found_snap snap[IMAGES][SNAPS];
	size_t count;
	unsigned lists, looks, twice; /* twice: each image is listed so */
	int broken;
	void (*before_list)(unsigned n);
	void (*before_look)(unsigned n);
} disk;

static struct driver_found *image_at(const char *name)
{
	for (size_t i = 0; i < disk.count; i++)
		if (!strcmp(disk.image[i].name, name))
			return &disk.image[i];
	return NULL;
}

static int disk_list(void *be, bool parts, int (*each)(void *arg, const struct driver_found *found),
	void *arg, struct err *e)
{
	int r = 0;

	disk.lists++;
	if (disk.before_list)
		disk.before_list(disk.lists);
	assert_true(parts);
	for (size_t i = 0; i < disk.count && r >= 0; i++)
		for (unsigned n = 0; n <= disk.twice && r >= 0; n++)
			r = each(arg, &disk.image[i]);
	return r < 0 ? r : 0;
}

static int disk_look(void *be, const char *name, struct driver_found *ret, struct err *e)
{
	const struct driver_found *at;

	disk.looks++;
	if (disk.before_look)
		disk.before_look(disk.looks);
	if (disk.broken)
		return err_set(e, disk.broken, "the storage does not answer");
	at = image_at(name);
	if (!at || at->parts)
		return err_set(e, -ENOENT, "there is no image '%s'", name);
	*ret = *at;
	return 0;
}

static int disk_snaps(
	void *be, const char *name, struct driver_found_snap *ret, size_t n, struct err *e)
{
	const struct driver_found *at = image_at(name);

	if (!at)
		return err_set(e, -ENOENT, "there is no image '%s'", name);
	for (size_t i = 0; i < at->snapshots && i < n; i++)
		ret[i] = disk.snap[at - disk.image][i];
	return (int)at->snapshots;
}

static const struct driver driver_disk = {
	.name = "disk", .list = disk_list, .look = disk_look, .snaps = disk_snaps
};

static struct driver_found *put(
	const char *name, const char *uuid, const char *image_id, bool parts)
{
	struct driver_found *at = &disk.image[disk.count++];

	assert_true(disk.count <= IMAGES);
	*at = (struct driver_found){ .parts = parts, .size = 1 << 20 };
	(void)snprintf(at->name, sizeof at->name, "%s", name);
	(void)snprintf(at->uuid, sizeof at->uuid, "%s", uuid);
	(void)snprintf(at->image_id, sizeof at->image_id, "%s", image_id);
	return at;
}

static struct driver_found *put_volume(const struct volume *vol)
{
	char name[64];

	(void)snprintf(name, sizeof name, "volume-%s", vol->uuid);
	return put(name, vol->uuid, vol->image_id, false);
}

static void take_away(const struct driver_found *at)
{
	size_t i = (size_t)(at - disk.image);

	disk.count--;
	for (; i < disk.count; i++) {
		disk.image[i] = disk.image[i + 1];
		memcpy(disk.snap[i], disk.snap[i + 1], sizeof disk.snap[i]);
	}
}

static void put_snap(struct driver_found *at, const char *name, const char *uuid, bool temporary)
{
	struct driver_found_snap *n = &disk.snap[at - disk.image][at->snapshots++];

	assert_true(at->snapshots <= SNAPS);
	*n = (struct driver_found_snap){ .temporary = temporary };
	(void)snprintf(n->name, sizeof n->name, "%s", name);
	(void)snprintf(n->uuid, sizeof n->uuid, "%s", uuid);
}

/* --- the comparison --- */

static struct view *v;
static struct buf said;
static unsigned pauses, end_at;

static int found(void *arg, const struct difference *d)
{
	char text[DIFFERENCE_TEXT];

	difference_text(d, text);
	buf_addf(&said, "%s\n", text);
	return 0;
}

static bool pause_it(void *arg)
{
	return end_at && ++pauses == end_at;
}

static struct compare compared;

static int compare(void)
{
	compared = (struct compare){ .view = v,
		.driver = &driver_disk,
		.backend = 1,
		.name = "b",
		.found = found,
		.pause = pause_it };
	buf_clear(&said);
	err = (struct err){ 0 };
	return compare_backend(&compared, &err);
}

/* What is said of it, with UUID in its place. */
static void must_say(const char *text, const char *uuid)
{
	CLEANUP(buf_release) struct buf want = { 0 };
	const char *at;

	for (; (at = strstr(text, "UUID")); text = at + 4) {
		buf_add(&want, text, (size_t)(at - text));
		buf_adds(&want, uuid);
	}
	buf_adds(&want, text);
	assert_int_equal(compare(), 0);
	assert_string_equal(buf_text(&said), buf_text(&want));
}

static void must_agree(void)
{
	assert_int_equal(compare(), 0);
	assert_string_equal(buf_text(&said), "");
}

static int start(void **state)
{
	if (make_dir(state) < 0)
		return -1;
	memset(&disk, 0, sizeof disk);
	pauses = end_at = 0;
	up();
	return view_open(s, &v, &err);
}

static int stop(void **state)
{
	buf_release(&said);
	view_close(v);
	v = NULL;
	return drop_dir(state);
}

/* --- what the catalogue has --- */

static struct volume added(const char *name, enum vol_status status)
{
	static unsigned n;
	struct volume vol = volume(name);

	vol.status = status;
	(void)snprintf(vol.image_id, sizeof vol.image_id, "%014x", ++n);
	assert_int_equal(change(add_volume, &vol), 0);
	return vol;
}

static int set_status(struct tx *tx, void *arg, struct err *e)
{
	const struct volume *vol = arg;

	return tx_volume_status(tx, vol->id, vol->status, "");
}

static int trash(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_trash(tx, *(int64_t *)arg, INT64_MAX);
}

static int purge(struct tx *tx, void *arg, struct err *e)
{
	return tx_volume_purge(tx, *(int64_t *)arg);
}

static int add_job(struct tx *tx, void *arg, struct err *e)
{
	return tx_job_add(tx, arg);
}

static struct job_row job(enum job_kind kind, enum job_class class, const struct volume *vol)
{
	struct job_row j = { .kind = kind, .class = class, .volume = vol->id, .backend = 1 };

	(void)snprintf(j.uuid, sizeof j.uuid, "%s", vol->uuid);
	(void)snprintf(j.image_id, sizeof j.image_id, "%s", vol->image_id);
	assert_int_equal(change(add_job, &j), 0);
	return j;
}

static int remove_job(struct tx *tx, void *arg, struct err *e)
{
	return tx_job_remove(tx, *(int64_t *)arg);
}

static int add_snapshot(struct tx *tx, void *arg, struct err *e)
{
	return tx_snapshot_add(tx, arg);
}

static struct snapshot taken(const struct volume *of, const char *name, enum snap_status status)
{
	struct snapshot n = { .volume = of->id, .status = status };
	uuid_t uuid;

	uuid_generate(uuid);
	uuid_unparse_lower(uuid, n.uuid);
	(void)snprintf(n.name, sizeof n.name, "%s", name);
	assert_int_equal(change(add_snapshot, &n), 0);
	return n;
}

static int remove_snapshot(struct tx *tx, void *arg, struct err *e)
{
	return tx_snapshot_remove(tx, *(int64_t *)arg);
}

/* --- images --- */

static void they_agree(void **state)
{
	struct volume db = added("db", VOL_AVAILABLE), old = added("old", VOL_AVAILABLE);
	struct volume used = added("used", VOL_IN_USE);

	(void)put_volume(&db);
	(void)put_volume(&old);
	(void)put_volume(&used);
	(void)put("vm-disk-1", "", "", false); /* nobody's */
	assert_int_equal(change(trash, &old.id), 0);
	must_agree();
	assert_int_equal(compared.volumes, 3);
	assert_int_equal(disk.lists, 1);
	assert_int_equal(disk.looks, 3);
}

static void a_missing_image_is_named(void **state)
{
	struct volume db = added("db", VOL_AVAILABLE);

	must_say("volume 'db' (UUID): its image is missing\n", db.uuid);
	assert_int_equal(change(trash, &db.id), 0); /* it could not come back */
	must_say("volume 'db' (UUID): its image is missing\n", db.uuid);
	db.status = VOL_ERROR; /* as --repair leaves it */
	assert_int_equal(change(set_status, &db), 0);
	must_agree();
}

static void another_size_is_named(void **state)
{
	struct volume db = added("db", VOL_AVAILABLE);

	put_volume(&db)->size = 512;
	must_say("volume 'db' (UUID): its image has 512 bytes, not 1048576\n", db.uuid);
	disk.image[0].size = 0;
	must_say("volume 'db' (UUID): its image is broken: it is empty\n", db.uuid);
	(void)snprintf(disk.image[0].reason, sizeof disk.image[0].reason, "a part is missing");
	must_say("volume 'db' (UUID): its image is broken: a part is missing\n", db.uuid);
}

static void what_no_row_names_is_named(void **state)
{
	struct volume gone = volume("gone");

	(void)put_volume(&gone);
	disk.twice = 1;
	must_say("image 'volume-UUID' is no volume's: adopt it, or remove it by hand\n", gone.uuid);
	take_away(disk.image);
	(void)put(".new", gone.uuid, "", true);
	must_say("'.new' was left over by an interrupted change\n", "");
}

/* Of another backend, and a driver that tells only the image's id. */
static void parts_are_known_by_their_id(void **state)
{
	struct volume db = added("db", VOL_AVAILABLE), clean = volume("clean"), held = volume("h");
	char name[32];

	(void)put_volume(&db);
	(void)snprintf(name, sizeof name, "rbd_header.%s", db.image_id);
	(void)put(name, "", db.image_id, true);
	(void)put("vm-disk-2", "", "3a2b", true); /* somebody has put it into the trash */
	(void)snprintf(clean.image_id, sizeof clean.image_id, "c1");
	(void)job(JOB_CLEAN, CLASS_OTHER, &clean);
	(void)put("rbd_header.c1", "", "c1", true);
	(void)snprintf(held.image_id, sizeof held.image_id, "c2");
	(void)job(JOB_CLEAN, CLASS_HELD, &held);
	(void)put("rbd_header.c2", "", "c2", true);
	must_agree();
	(void)put("rbd_object_map.c4", "", "c4", true);
	(void)put("volume", volume("gone").uuid, "c4", true);
	must_say("'volume' was left over by an interrupted change\n", "");
	disk.count -= 2;
	(void)put("rbd_header.c3", "", "c3", true);
	(void)put("rbd_object_map.c3", "", "c3", true);
	must_say(
		"'rbd_header.c3' was left over by an interrupted change: whose it was cannot be told, "
		"so decide by hand\n"
		"'rbd_object_map.c3' was left over by an interrupted change: whose it was cannot be "
		"told, so decide by hand\n",
		"");
}

static void parts_beside_an_image_are_left_to_a_person(void **state)
{
	struct volume db = added("db", VOL_AVAILABLE);

	(void)put_volume(&db);
	(void)put(".volume.new", db.uuid, "", true);
	must_say("'.volume.new' was left over by an interrupted change: its volume is there, so "
		 "decide by hand\n",
		"");
}

/* --- work in progress --- */

static void a_job_answers_for_it(void **state)
{
	struct volume creating = added("a", VOL_CREATING), extending = added("b", VOL_EXTENDING);
	struct volume deleting = added("c", VOL_DELETING), given_up = volume("d");
	struct volume held = volume("e"), elsewhere = volume("f");

	(void)job(JOB_CREATE, CLASS_CREATE, &creating);
	(void)job(JOB_EXTEND, CLASS_OTHER, &extending);
	put_volume(&extending)->size = 2 << 20;
	(void)job(JOB_PURGE, CLASS_OTHER, &deleting);
	(void)job(JOB_CLEAN, CLASS_OTHER, &given_up);
	(void)put_volume(&given_up);
	(void)put(".new", given_up.uuid, "", true);
	(void)job(JOB_CLEAN, CLASS_HELD, &held);
	(void)put_volume(&held);
	must_agree();
	(void)snprintf(elsewhere.backend, sizeof elsewhere.backend, "c");
	assert_int_equal(change(add_volume, &elsewhere), 0);
	must_agree();
	(void)put_volume(&elsewhere); /* its row says it is on another backend */
	must_say(
		"image 'volume-UUID' bears the name of a volume that is on backend 'c': decide by hand\n",
		elsewhere.uuid);
}

static void states_that_promise_nothing(void **state)
{
	static const enum vol_status all[] = { VOL_ERROR, VOL_ERROR_DELETING, VOL_ERROR_MANAGING,
		VOL_ERROR_UNMANAGING, VOL_CREATING, VOL_DELETING, VOL_MANAGING };
	struct volume vol;

	for (size_t i = 0; i < COUNT(all); i++)
		vol = added(NULL, all[i]);
	must_agree();
	assert_int_equal(disk.looks, 0);
	(void)put_volume(&vol); /* and it may be there */
	must_agree();
}

static struct volume racer;

/* The purge ends between the two looks, or the creation between listing and catalogue. */
static void is_purged(unsigned n)
{
	if (n == 2)
		return;
	take_away(image_at(disk.image[0].name));
	assert_int_equal(change(purge, &racer.id), 0);
}

static void what_goes_meanwhile_is_no_difference(void **state)
{
	racer = added("db", VOL_AVAILABLE);
	(void)put_volume(&racer);
	disk.before_look = is_purged;
	must_agree();
	assert_int_equal(disk.looks, 1);
}

static void is_extended(unsigned n)
{
	if (n > 1)
		return;
	disk.image[0].size = 3 << 20;
	racer.size = 3 << 20;
	assert_int_equal(sql("UPDATE volume SET size = 3 << 20"), -1);
}

static void what_grows_meanwhile_is_no_difference(void **state)
{
	racer = added("db", VOL_AVAILABLE);
	(void)put_volume(&racer);
	disk.before_look = is_extended;
	must_agree();
	assert_int_equal(disk.looks, 2);
}

/* The row goes after the storage was listed, the image before it is listed again. */
static int64_t racer_job;
static void was_cleaned(unsigned n)
{
	if (n == 1)
		assert_int_equal(change(remove_job, &racer_job), 0);
	else
		take_away(disk.image);
}

static void an_image_that_is_being_removed_is_no_orphan(void **state)
{
	racer = volume("db");
	(void)put_volume(&racer);
	racer_job = job(JOB_CLEAN, CLASS_OTHER, &racer).id;
	disk.before_list = was_cleaned;
	must_agree();
	assert_int_equal(disk.lists, 2);
}

static void is_adopted(unsigned n)
{
	if (n == 2)
		assert_int_equal(change(add_volume, &racer), 0);
}

static void an_image_that_gets_a_row_is_no_orphan(void **state)
{
	racer = volume("db");
	(void)put_volume(&racer);
	disk.before_list = is_adopted;
	must_agree();
}

/* --- snapshots --- */

static void snapshots_are_compared_both_ways(void **state)
{
	struct volume db = added("db", VOL_AVAILABLE);
	struct snapshot a = taken(&db, "a", SNAP_AVAILABLE), b = taken(&db, "b", SNAP_RESTORING);
	struct driver_found *at = put_volume(&db);
	char want[1024];

	put_snap(at, "snapshot-a", a.uuid, false);
	put_snap(at, "snapshot-b", b.uuid, false);
	put_snap(at, "theirs", "", false); /* somebody took it by hand */
	must_agree();
	assert_int_equal(compared.snapshots, 2);
	at->snapshots = 1;
	(void)snprintf(want, sizeof want, "volume 'db' (%s): its snapshot 'b' (%s) is missing\n",
		db.uuid, b.uuid);
	must_say(want, "");
	at->snapshots = 2;
	assert_int_equal(change(remove_snapshot, &a.id), 0);
	must_say("volume 'db' (UUID): its image's snapshot 'snapshot-a' is none of the volume's: "
		 "remove it by hand\n",
		db.uuid);
}

static void snapshots_under_way_promise_nothing(void **state)
{
	struct volume db = added("db", VOL_AVAILABLE);
	struct snapshot a = taken(&db, "a", SNAP_CREATING), b = taken(&db, "", SNAP_DELETING);
	struct driver_found *at = put_volume(&db);

	(void)taken(&db, "c", SNAP_ERROR_DELETING);
	must_agree();
	put_snap(at, "snapshot-a", a.uuid, false);
	put_snap(at, "snapshot-b", b.uuid, false);
	must_agree();
}

static void a_temporary_one_is_its_creations(void **state)
{
	struct volume db = added("db", VOL_AVAILABLE), clone = added("clone", VOL_CREATING);
	struct driver_found *at = put_volume(&db);
	struct job_row j = job(JOB_CREATE, CLASS_SNAP, &clone);
	char want[1024];

	put_snap(at, "clone_snap", clone.uuid, true);
	must_agree();
	assert_int_equal(sql("UPDATE job SET backend = 7"), -1); /* a copy to elsewhere */
	must_agree();
	assert_int_equal(change(remove_job, &j.id), 0);
	(void)snprintf(want, sizeof want,
		"volume 'db' (%s): its image's temporary snapshot 'clone_snap' was left over\n",
		db.uuid);
	must_say(want, "");
}

static void a_chain_of_many_is_read_whole(void **state)
{
	struct volume db = added("db", VOL_AVAILABLE);
	struct driver_found *at = put_volume(&db);

	for (int i = 0; i < 20; i++) {
		char name[16];
		struct snapshot n;

		(void)snprintf(name, sizeof name, "s%d", i);
		n = taken(&db, name, SNAP_AVAILABLE);
		put_snap(at, name, n.uuid, false);
	}
	must_agree();
	assert_int_equal(compared.snapshots, 20);
}

/* --- when it cannot --- */

static void a_storage_that_does_not_answer_is_no_difference(void **state)
{
	(void)added("db", VOL_AVAILABLE);
	disk.broken = -ETIMEDOUT;
	assert_int_equal(compare(), -ETIMEDOUT);
	assert_string_equal(err.text, "the storage does not answer");
	assert_string_equal(buf_text(&said), "");
}

static void it_can_be_ended(void **state)
{
	for (int i = 0; i < 5; i++) {
		struct volume vol = added(NULL, VOL_AVAILABLE);

		(void)put_volume(&vol);
	}
	end_at = 3;
	assert_int_equal(compare(), -EINTR);
	assert_int_equal(disk.looks, 2);
}

static void each_part_looks_at_its_share(void **state)
{
	struct volume gone = volume("gone");
	uint64_t sum = 0;

	for (int i = 0; i < 10; i++) {
		struct volume vol = added(NULL, VOL_AVAILABLE);

		(void)put_volume(&vol);
	}
	(void)put_volume(&gone);
	buf_clear(&said);
	for (unsigned i = 0; i < 3; i++) {
		compared = (struct compare){ .view = v,
			.driver = &driver_disk,
			.backend = 1,
			.name = "b",
			.found = found,
			.part = i,
			.parts = 3 };
		assert_int_equal(compare_backend(&compared, &err), 0);
		assert_in_range(compared.volumes, 3, 4);
		sum += compared.volumes;
	}
	assert_int_equal(sum, 10);
	assert_int_equal(disk.looks, 10);
	assert_int_equal(disk.lists, 2); /* by the first one, twice */
	assert_string_equal(strchr(buf_text(&said), '\n'), "\n");
}

static void a_driver_that_cannot_list_says_so(void **state)
{
	const struct driver none = { .name = "none" };
	struct compare c = { .driver = &none };

	assert_int_equal(compare_backend(&c, &err), -ENOTSUP);
	assert_string_equal(err.text, "the driver 'none' cannot list what is there");
}

/* --- sums --- */

static void sum_said(void *arg, const char *text)
{
	buf_addf(&said, "%s\n", text);
}

static int add_type(struct tx *tx, void *arg, struct err *e)
{
	return tx_type_add(tx, arg);
}

static int count_anew(struct tx *tx, void *arg, struct err *e)
{
	return tx_recount(tx);
}

static void wrong_sums_are_named_and_counted_anew(void **state)
{
	struct vol_type t = { .name = "fast", .uuid = "t" };
	struct volume vol = volume("db");

	assert_int_equal(change(add_type, &t), 0);
	vol.type_id = t.id;
	assert_int_equal(change(add_volume, &vol), 0);
	(void)taken(&vol, "a", SNAP_AVAILABLE);
	(void)job(JOB_CLEAN, CLASS_OTHER, &vol);
	assert_int_equal(view_recount(v, sum_said, NULL), 0);
	assert_int_equal(sql("UPDATE project SET volumes = 9 WHERE name = 'p'"), -1);
	assert_int_equal(
		sql("UPDATE type_quota SET snapshots = 3, trash_waiting = 5 WHERE in_use = 1"), -1);
	assert_int_equal(sql("UPDATE backend SET pending = 4, trash_waiting = 6, purging = 7"), -1);
	assert_int_equal(sql("UPDATE counts SET jobs = 7"), -1);
	assert_int_equal(sql("UPDATE volume_count SET volumes = 2, size = 0"), -1);
	assert_int_equal(sql("INSERT INTO volume_count VALUES (0, 1, 18, 0, 5)"), -1);
	assert_int_equal(view_recount(v, sum_said, NULL), 6);
	assert_string_equal(buf_text(&said),
		"project 'p' is counted 9 volumes and 1 snapshots of 1048576 bytes, and 0 bytes of "
		"trash, 0 of them waiting: there are 1 and 1 of 1048576, and 0, 0 of them waiting\n"
		"project 'p' is counted 1 volumes and 3 snapshots of 1048576 bytes, and 0 bytes of "
		"trash, 5 of them waiting, of type 'fast': there are 1 and 1 of 1048576, and 0, 0 of them "
		"waiting\n"
		"backend 'b' is counted 1 volumes, 1048576 bytes promised, 4 of these being made, 6 in "
		"the trash and 7 being purged: there are 1, 1048576, 0, 0 and 0\n"
		"1 volumes and 7 jobs are counted: there are 1 and 1\n"
		"0 volumes of 5 bytes are counted on backend '' in status 18 of the trash: there are 0 of "
		"0\n"
		"2 volumes of 0 bytes are counted on backend 'b' in status 2: there are 1 of 1048576\n");
	assert_int_equal(change(count_anew, NULL), 0);
	assert_int_equal(view_recount(v, sum_said, NULL), 0);
	recount();
	assert_int_equal(sql("DELETE FROM volume_count"), -1);
	assert_int_equal(view_recount(v, sum_said, NULL), 1);
	assert_int_equal(change(count_anew, NULL), 0);
	assert_int_equal(sql("DELETE FROM type_quota"), -1);
	assert_int_equal(view_recount(v, sum_said, NULL), 1);
	assert_int_equal(sql("UPDATE snapshot SET project = 1"), -1);
	assert_int_equal(view_recount(v, sum_said, NULL), 2 + 1); /* that moves its sums, too */
	assert_int_equal(change(count_anew, NULL), 0);
	assert_int_equal(view_recount(v, sum_said, NULL), 0);
	recount();
}

/* --- a catalogue that is only looked at --- */

static void looking_writes_nothing(void **state)
{
	struct volume db = added("db", VOL_AVAILABLE);
	struct store *other;
	struct view *w;
	struct vol_entry entry;

	assert_int_equal(store_look(path, &defaults, &other, &err), 0); /* beside the writer */
	assert_int_equal(view_open(other, &w, &err), 0);
	assert_int_equal(view_entry_by_name(w, "db", &entry), 0);
	assert_int_equal(entry.id, db.id);
	(void)added("new", VOL_AVAILABLE);
	assert_int_equal(view_entry_by_name(w, "new", &entry), 0);
	view_close(w);
	store_close(other);
}

static void other_versions_are_refused(void **state)
{
	struct store *other;

	assert_int_equal(sql("PRAGMA user_version = 3"), -1);
	assert_int_equal(store_look(path, &defaults, &other, &err), -EPROTO);
	assert_non_null(strstr(err.text, "is of version 3, this volfs knows 5: start it once"));
	assert_int_equal(sql("PRAGMA user_version = 6"), -1);
	assert_int_equal(store_look(path, &defaults, &other, &err), -EPROTO);
	assert_non_null(strstr(err.text, "is of a newer version (6)"));
	assert_int_equal(sql("PRAGMA user_version = 5"), -1);
	assert_int_equal(store_look("/nowhere/x.db", &defaults, &other, &err), -ENOENT);
	assert_int_equal(access("/nowhere", F_OK), -1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(they_agree),
		TEST(a_missing_image_is_named),
		TEST(another_size_is_named),
		TEST(what_no_row_names_is_named),
		TEST(parts_are_known_by_their_id),
		TEST(parts_beside_an_image_are_left_to_a_person),
		TEST(a_job_answers_for_it),
		TEST(states_that_promise_nothing),
		TEST(what_goes_meanwhile_is_no_difference),
		TEST(what_grows_meanwhile_is_no_difference),
		TEST(an_image_that_is_being_removed_is_no_orphan),
		TEST(an_image_that_gets_a_row_is_no_orphan),
		TEST(snapshots_are_compared_both_ways),
		TEST(snapshots_under_way_promise_nothing),
		TEST(a_temporary_one_is_its_creations),
		TEST(a_chain_of_many_is_read_whole),
		TEST(a_storage_that_does_not_answer_is_no_difference),
		TEST(it_can_be_ended),
		TEST(each_part_looks_at_its_share),
		TEST(a_driver_that_cannot_list_says_so),
		TEST(wrong_sums_are_named_and_counted_anew),
		TEST(looking_writes_nothing),
		TEST(other_versions_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
