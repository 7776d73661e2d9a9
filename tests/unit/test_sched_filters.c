/* Each filter, each branch, and the reason as a person reads it. The reference, 4.5. */
#include "sched_rig.h"

#include <errno.h>
#include <stdio.h>

/* Why the filter refuses b[i] of n; "" where it passes. Static. */
static const char *reason_among(const char *filter, const struct sched_request *r,
	const struct sched_backend *b, size_t n, size_t i)
{
	static char text[2048];
	struct sched *s = sched_of(filter, NULL, 0);
	struct sched_work work = { 0 };
	struct buf why = { 0 };
	const char *name = sched_refusal(s, r, b, n, i, &why);

	(void)snprintf(text, sizeof text, "%s", name ? buf_text(&why) : "");
	if (name && b[i].state == BACKEND_UP)
		assert_string_equal(name, filter);
	assert_false(buf_failed(&why));
	if (n == 1)
		assert_int_equal(sched_choose(s, &work, r, b, 1, NULL, NULL), name ? -ENOSPC : 0);
	sched_work_release(&work);
	buf_release(&why);
	sched_free(s);
	return text;
}

static const char *reason(
	const char *filter, const struct sched_request *r, const struct sched_backend *b)
{
	return reason_among(filter, r, b, 1, 0);
}

static void the_state_comes_first(void **state)
{
	const struct sched_request r = { .size = 1 };
	struct sched_backend b = backend_of("a", 10, 0, 1);

	b.state = BACKEND_DISABLED;
	assert_string_equal(reason("capacity", &r, &b), "disabled");
	b.state = BACKEND_DOWN;
	b.state_reason = "since 12:04:11";
	assert_string_equal(reason("capacity", &r, &b), "down since 12:04:11");
}

static void zones(void **state)
{
	struct sched_type *listed =
		type_of("{'RESKEY:availability_zones': ' west , east,, '}", NULL);
	struct sched_type *none = type_of("{'RESKEY:availability_zones': ' , '}", NULL);
	struct sched_backend b[] = { backend_of("a", 10, 0, 1), backend_of("b", 10, 0, 1) };
	struct sched_request r = { .size = 1, .type = listed };

	b[0].zone = "east";
	b[1].zone = "north";
	assert_string_equal(reason("availability_zone", &r, &b[0]), "");
	assert_string_equal(reason("availability_zone", &r, &b[1]),
		"is in zone north, the type allows west, east");
	r.zone = "east";
	assert_string_equal(reason("availability_zone", &r, &b[0]), "");
	r.zone = "north"; /* it is there, but not for this type */
	assert_string_equal(reason("availability_zone", &r, &b[1]),
		"zone north is wanted, but the type allows only west, east");
	r.type = none;
	assert_string_equal(reason("availability_zone", &r, &b[1]),
		"zone north is wanted, but the type allows only none");
	r.zone = NULL;
	assert_string_equal(
		reason("availability_zone", &r, &b[1]), "is in zone north, the type allows none");
	r.type = NULL;
	assert_string_equal(reason("availability_zone", &r, &b[1]), "");
	sched_type_free(listed);
	sched_type_free(none);
}

static void a_zone_that_is_not_to_be_had_is_replaced(void **state)
{
	struct sched_type *listed = type_of("{'RESKEY:availability_zones': 'west'}", NULL);
	struct sched_backend b[] = { backend_of("a", 10, 0, 1), backend_of("b", 10, 0, 1) };
	struct sched_request r = { .size = 1, .zone = "mars", .zone_else = "east" };

	b[0].zone = "east";
	b[1].zone = "west";
	assert_string_equal(reason_among("availability_zone", &r, b, 2, 0), "");
	assert_string_equal(reason_among("availability_zone", &r, b, 2, 1),
		"is in zone west, zone east wanted");
	r.zone = "west";
	assert_string_equal(reason_among("availability_zone", &r, b, 2, 1), "");
	/* what it is replaced by is not held against the type */
	r.type = listed;
	r.zone = "east";
	assert_string_equal(reason_among("availability_zone", &r, b, 2, 0), "");
	sched_type_free(listed);
}

/* The decision list, by its rows. */
static void capacity_by_its_rows(void **state)
{
	struct sched_request r = { .size = 10, .exists_on = "a" };
	struct sched_backend b = backend_of("a", 0, 0, 1);

	assert_string_equal(reason("capacity", &r, &b), ""); /* 1 */
	r.exists_on = "b";
	assert_string_equal(reason("capacity", &r, &b), "has no capacity at all"); /* 6 */
	r.size = 0;
	assert_string_equal(reason("capacity", &r, &b), ""); /* 2 */
	r = (struct sched_request){ .size = 10, .extending = true, .new_size = 10 };
	assert_string_equal(reason("capacity", &r, &b), ""); /* 2: extended by nothing */
	r.new_size = 10.5;
	b = backend_of("a", 100, 99.75, 1);
	assert_string_equal(reason("capacity", &r, &b),
		"256 MiB free, 512 MiB wanted (99.8 GiB of 100 GiB are promised)");
	r = (struct sched_request){ .size = 10 };
	b.free.is = SCHED_UNSET;
	assert_string_equal(reason("capacity", &r, &b), "has not said what is free"); /* 3 */
	b.free.is = SCHED_INFINITE;
	assert_string_equal(reason("capacity", &r, &b), ""); /* 4 */
	b.free.is = SCHED_NUMBER;
	b.total.is = SCHED_UNKNOWN;
	assert_string_equal(reason("capacity", &r, &b), ""); /* 5 */
	b.reserved_percentage = 2.5;
	assert_string_equal(
		reason("capacity", &r, &b), "its total is not known, and 2.5% of it are reserved");
	b = backend_of("a", -5, 0, 1);
	assert_string_equal(reason("capacity", &r, &b), "has no capacity at all");
	b = backend_of("a", 100, 0, 0.5);
	assert_string_equal(reason("capacity", &r, &b),
		"is thin, and its over-subscription ratio 0.5 is below 1"); /* 9 */
	b.thin = false;
	assert_string_equal(
		reason("capacity", &r, &b), ""); /* the ratio of what is not thin is 1 */
	b.free.gib = 9;
	assert_string_equal(reason("capacity", &r, &b), "9 GiB free, 10 GiB wanted"); /* 10 */
}

static bool fits(const struct sched_backend *b, double size)
{
	const struct sched_request r = { .size = size };

	return !*reason("capacity", &r, b);
}

static void what_is_reserved_and_rounded_is_as_in_the_reference(void **state)
{
	struct sched_backend b = backend_of("a", 15, 0, 1);

	b.reserved_percentage = 10; /* 1.5 of them: 1 */
	assert_true(fits(&b, 14));
	assert_false(fits(&b, 14.5));
	b = backend_of("a", 100, 0, 1);
	b.reserved_percentage = 29; /* 29 of them, and not 28 */
	assert_true(fits(&b, 71));
	assert_false(fits(&b, 72));
	b.reserved_percentage = 100;
	assert_false(fits(&b, 1));
	/* results are rounded to hundredths */
	b = backend_of("a", 100, 90.006, 1);
	b.thin = false;
	assert_true(fits(&b, 9.99)); /* 9.994 */
	assert_false(fits(&b, 9.994));
	b.provisioned = 90.004; /* 9.996: to the nearest, that is 10 */
	assert_true(fits(&b, 10));
	b.thin = true; /* row 7: promised would be 100.004 of 100 */
	assert_false(fits(&b, 10));
	b.provisioned = 89.875; /* 10.125 is a tie: to the even one, 10.12 */
	assert_true(fits(&b, 10.12));
	assert_false(fits(&b, 10.125));
	b.provisioned = 89.625; /* 10.375: 10.38 */
	b.thin = false;
	assert_true(fits(&b, 10.38));
	b.free.gib = 1.005; /* as a double it is less than the tie */
	assert_true(fits(&b, 1));
	assert_false(fits(&b, 1.005));
}

static void capabilities(void **state)
{
	static const struct {
		const char *extra, *reason;
	} rows[] = {
		{ "{}", "" },
		{ "{'disk': 'ssd'}", "" },
		{ "{'capabilities:disk': 'ssd'}", "" },
		{ "{'disk': 'hdd'}", "its capability 'disk' is \"ssd\", the type wants 'hdd'" },
		{ "{'thin': '<is> True', 'iops': '>= 5000'}", "" },
		{ "{'iops': '>= 5001'}",
			"its capability 'iops' is 5000, the type wants '>= 5001'" },
		{ "{'iops': '5000'}", "its capability 'iops' is 5000, the type wants '5000'" },
		{ "{'nosuch': '<is> False'}",
			"has no capability 'nosuch', the type wants '<is> False'" },
		{ "{'acme:disk': 'tape', 'provisioning:type': 'thin', 'RESKEY:x': 'y'}", "" },
		{ "{'capabilities:a:b': '== 1'}", "" },
		{ "{'capabilities:a:c': '== 1'}",
			"has no capability 'a:c', the type wants '== 1'" },
		{ "{'capabilities:a:b:c': '== 1'}",
			"has no capability 'a:b:c', the type wants '== 1'" },
		{ "{'capabilities:disk:x': 'ssd'}",
			"has no capability 'disk:x', the type wants 'ssd'" },
		{ "{'a': 'b'}", "its capability 'a' is {…}, the type wants 'b'" },
		{ "{'protocols': 'iscsi'}", "" },
		{ "{'protocols': 'fc'}",
			"its capability 'protocols' is [\"iscsi\", \"nfs\"], the type wants 'fc'" },
		{ "{'empty': '!= x'}", "its capability 'empty' is [], the type wants '!= x'" },
		{ "{'nothing': null}", "" },
		{ "{'disk': null}", "its capability 'disk' is \"ssd\", the type wants null" },
		{ "{'nosuch': null}", "has no capability 'nosuch', the type wants null" },
	};
	struct facts *f =
		facts_of("{'disk': 'ssd', 'thin': true, 'iops': 5000, 'a': {'b': 1, 'd': {}}, "
			 "'protocols': ['iscsi', 'nfs'], 'empty': [], 'nothing': null}");
	struct sched_backend b = backend_of("a", 10, 0, 1);

	b.capabilities = f;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sched_type *t = type_of(rows[i].extra, NULL);
		const struct sched_request r = { .size = 1, .type = t };

		assert_string_equal(reason("capabilities", &r, &b), rows[i].reason);
		sched_type_free(t);
	}
	facts_free(f);
}

static void what_is_attached_is_extended_online_or_not_at_all(void **state)
{
	static const struct {
		const char *volume;
		bool passes;
	} rows[] = {
		{ "{}", true },
		{ "{'attach_status': 'detached', 'status': 'in-use'}", true },
		{ "{'attach_status': 'attached'}", false },
		{ "{'status': 'in-use'}", false },
		{ "{'status': 'available'}", true },
	};
	struct facts *offline = facts_of("{'online_extend_support': false}");
	struct facts *silent = facts_of("{'online_extend_support': null}");
	struct sched_backend b = backend_of("a", 10, 0, 1);

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct facts *volume = facts_of(rows[i].volume);
		struct sched_request r = { .size = 1, .volume = volume };

		b.capabilities = offline;
		assert_string_equal(reason("capabilities", &r, &b), "");
		r.extending = true;
		r.new_size = 2;
		assert_string_equal(reason("capabilities", &r, &b),
			rows[i].passes ? "" : "cannot extend a volume that is attached");
		b.capabilities = silent;
		assert_string_equal(reason("capabilities", &r, &b), "");
		facts_free(volume);
	}
	facts_free(offline);
	facts_free(silent);
}

static void same_and_different(void **state)
{
	static const uint32_t on[] = { 1, 3 };
	struct sched_backend b[] = { backend_of("a", 10, 0, 1), backend_of("b", 10, 0, 1),
		backend_of("c", 10, 0, 1), backend_of("d", 10, 0, 1) };
	const struct sched_hint hint = { .volumes = "db, log", .on = on, .on_count = 2 };
	const struct sched_hint nowhere = { .volumes = "gone" };
	const struct sched_hint bad = { .volumes = "x", .bad = "'x' is no id of a volume" };
	struct sched_request r = { .size = 1 };

	assert_string_equal(reason_among("same_backend", &r, b, 4, 0), "");
	assert_string_equal(reason_among("different_backend", &r, b, 4, 0), "");
	r.same = r.different = hint;
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(reason_among("same_backend", &r, b, 4, i),
			i % 2 ? "" : "holds none of the volumes db, log");
		assert_string_equal(reason_among("different_backend", &r, b, 4, i),
			i % 2 ? "holds one of the volumes db, log" : "");
	}
	r.same = r.different = nowhere;
	assert_string_equal(
		reason_among("same_backend", &r, b, 4, 1), "holds none of the volumes gone");
	assert_string_equal(reason_among("different_backend", &r, b, 4, 1), "");
	r.same = r.different = bad;
	assert_string_equal(reason_among("same_backend", &r, b, 4, 1), "'x' is no id of a volume");
	assert_string_equal(
		reason_among("different_backend", &r, b, 4, 1), "'x' is no id of a volume");
}

static void a_function_of_the_driver(void **state)
{
	static const struct {
		const char *function, *reason;
	} rows[] = {
		{ "1", "" },
		{ "volume.size < 10 and stats.free_capacity_gb >= 100", "" },
		{ "volume.size > 10",
			"its filter function 'volume.size > 10' is false (volume.size is 5)" },
		{ "stats.total_capacity_gb > 200 or stats.total_capacity_gb < volume.size",
			"its filter function 'stats.total_capacity_gb > 200 or stats.total_capacity_gb < "
			"volume.size' is false (stats.total_capacity_gb is 100, volume.size is 5)" },
		{ "extra.tier == 'gold' && qos.iops > 50", "" },
		{ "extra.nosuch",
			"its filter function 'extra.nosuch' has no value: column 1: there is no extra.nosuch" },
		{ "stats.vendor_name == 'Acme'", "" },
		{ "stats.driver_version",
			"its filter function 'stats.driver_version' has no value: column 1: "
			"stats.driver_version is null (stats.driver_version is null)" },
		{ "stats.provisioned_capacity_gb",
			"its filter function 'stats.provisioned_capacity_gb' has no value: column 1: "
			"there is no stats.provisioned_capacity_gb" },
		{ "stats.QoS_support == 0 and stats.host == 'a' and stats.backend_id == 'a'", "" },
		{ "stats.allocated_capacity_gb + stats.reserved_percentage == 12", "" },
		{ "1 +",
			"its filter function '1 +' has no value: column 4: expected a value, found the end" },
		{ "''", "its filter function '''' is false" },
		{ "False", "" },
	};
	struct facts *f = facts_of("{'vendor_name': 'Acme'}");
	struct sched_type *t = type_of("{'tier': 'gold'}", "{'iops': '100'}");
	struct sched_backend b = backend_of("a", 100, 2, 1);
	const struct sched_request r = { .size = 5, .type = t };

	assert_string_equal(reason("driver", &r, &b), "");
	b.reserved_percentage = 10;
	b.capabilities = f;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct expr *e = expr_of(rows[i].function);

		b.filter = e;
		assert_string_equal(reason("driver", &r, &b), rows[i].reason);
		expr_free(e);
	}
	sched_type_free(t);
	facts_free(f);
}

static void one_of_several_names_of_a_protocol_is_enough(void **state)
{
	struct facts *f = facts_of("{'storage_protocol': ['iSCSI', 'iscsi']}");
	struct expr *e = expr_of("stats.storage_protocol == 'iscsi'");
	struct expr *other = expr_of("capabilities.storage_protocol == 'FC'");
	struct sched_backend b = backend_of("a", 100, 0, 1);
	const struct sched_request r = { .size = 5 };

	b.capabilities = f;
	b.filter = e;
	assert_string_equal(reason("driver", &r, &b), "");
	b.filter = other;
	assert_string_equal(reason("driver", &r, &b),
		"its filter function 'capabilities.storage_protocol == 'FC'' is false "
		"(capabilities.storage_protocol is [\"iSCSI\", \"iscsi\"])");
	expr_free(e);
	expr_free(other);
	facts_free(f);
}

static void a_volumes_query(void **state)
{
	static const struct {
		const char *query, *reason;
	} rows[] = {
		{ "[]", "" },
		{ "''", "" },
		{ "{}", "" },
		{ "['>=', '$free_capacity_gb', 100]", "" },
		{ "['<', '$free_capacity_gb', 100]",
			"the query [\"<\", \"$free_capacity_gb\", 100] is false ($free_capacity_gb is 100)" },
		{ "['=', '$volume_backend_name', 'gold']", "" },
		{ "['=', '$name', 'a']",
			"the query [\"=\", \"$name\", \"a\"] is false ($name is null)" },
		{ "['=', '$host', 'a']", "" },
		{ "['=', '$backend_id', '$host', '$service.host']", "" },
		{ "['=', '$service.availability_zone', 'default']", "" },
		{ "['=', '$capabilities.a.b', 1]", "" },
		{ "['=', '$capabilities.a.x', 1]",
			"the query [\"=\", \"$capabilities.a.x\", 1] is false ($capabilities.a.x is null)" },
		{ "['and', '$capabilities']", "" },
		{ "['=', 1, 1.0, true]", "" },
		{ "['=', 1, 1, 2]", "the query [\"=\", 1, 1, 2] is false" },
		{ "['=', 1]", "the query [\"=\", 1] is false" },
		{ "['=', '5', 5]", "the query [\"=\", \"5\", 5] is false" },
		{ "['<', 1, 2, 3]", "" },
		{ "['<', 2, 3, 1]", "the query [\"<\", 2, 3, 1] is false" },
		{ "['<', 'a', 'b']", "" },
		{ "['<', 'a', 5]", "the query [\"<\", \"a\", 5] is false" },
		{ "['<', '$nosuch', 3, 9]", "" }, /* it vanishes */
		{ "['<=', 3, 3]", "" },
		{ "['>', 3, 3]", "the query [\">\", 3, 3] is false" },
		{ "['in', '$host', 'b', 'a']", "" },
		{ "['in', '$host', 'b']",
			"the query [\"in\", \"$host\", \"b\"] is false ($host is \"a\")" },
		{ "['in', 1]", "the query [\"in\", 1] is false" },
		{ "['and']", "" },
		{ "['or']", "the query [\"or\"] is false" },
		{ "['and', true, []]", "" },
		{ "['and', true, 0]", "the query [\"and\", true, 0] is false" },
		{ "['or', false, ['=', 1, 1]]", "" },
		{ "['not', true]", "the query [\"not\", true] is false" },
		{ "['not', true, false]", "" }, /* a list: any of it */
		{ "['and', ['not', true], true]",
			"the query [\"and\", [\"not\", true], true] is false" }, /* also within another */
		{ "['or', ['not', ['=', '$host', 'b']], false]", "" },
		{ "'[\\\"=\\\", \\\"$host\\\", \\\"a\\\"]'", "" },
		{ "['like', 1]",
			"the query cannot be understood: there is no operator 'like', only = < > <= >= in not and or" },
		{ "[1, 2]",
			"the query cannot be understood: a list begins with its operator, a text" },
		{ "['=', {'a': 1}]",
			"the query cannot be understood: an argument is a text, a number, true, false or a list, not a map" },
		{ "5", "the query cannot be understood: is not a list: [\"<\", \"$allocated_capacity_gb\", 100]" },
		{ "'[\\\"=\\\"'",
			"the query cannot be understood: line 1, column 4: ']' expected near end of file" },
		{ "['=', '$reserved_percentage', 0]", "" },
		{ "['=', '$total_capacity_gb', 100, '$provisioned_capacity_gb']",
			"the query [\"=\", \"$total_capacity_gb\", 100, \"$provisioned_capacity_gb\"] is false "
			"($total_capacity_gb is 100, $provisioned_capacity_gb is 0)" },
		{ "['=', '$max_over_subscription_ratio', 1]", "" },
		{ "['and', '$thin_provisioning_support', ['not', '$thick_provisioning_support'], ['not', '$multiattach']]",
			"" },
	};
	struct facts *f = facts_of("{'volume_backend_name': 'gold', 'a': {'b': 1}}");
	struct sched_backend b = backend_of("a", 100, 0, 1);

	b.capabilities = f;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct query *q = query_of(rows[i].query);
		const struct sched_request r = { .size = 5, .query = q };

		assert_string_equal(reason("json", &r, &b), rows[i].reason);
		query_free(q);
	}
	facts_free(f);
}

static void words_in_place_of_numbers(void **state)
{
	struct query *q = query_of(
		"['and', ['=', '$total_capacity_gb', 'infinite'], ['=', '$free_capacity_gb', 'unknown'], "
		"['=', '$max_over_subscription_ratio', 'auto']]");
	struct expr *e = expr_of(
		"stats.total_capacity_gb == infinite and stats.free_capacity_gb == unknown");
	struct sched_backend b = backend_of("a", 100, 0, 0);
	const struct sched_request r = { .size = 5, .query = q };

	b.total.is = SCHED_INFINITE;
	b.free.is = SCHED_UNKNOWN;
	b.filter = e;
	assert_string_equal(reason("json", &r, &b), "");
	assert_string_equal(reason("driver", &r, &b), "");
	b.free.is = SCHED_UNSET;
	assert_string_equal(reason("driver", &r, &b),
		"its filter function 'stats.total_capacity_gb == infinite and stats.free_capacity_gb == unknown' "
		"has no value: column 41: stats.free_capacity_gb is null "
		"(stats.total_capacity_gb is \"infinite\", stats.free_capacity_gb is null)");
	query_free(q);
	expr_free(e);
}

static void queries_are_bounded(void **state)
{
	struct buf deep = { 0 };
	struct query *q;
	struct err err = { 0 };

	for (int i = 0; i < 32; i++)
		buf_adds(&deep, "['and', ");
	buf_adds(&deep, "1");
	for (int i = 0; i < 32; i++)
		buf_adds(&deep, "]");
	q = query_of(buf_text(&deep));
	assert_int_equal(query_check(q, NULL), 0);
	query_free(q);
	buf_clear(&deep);
	for (int i = 0; i < 2000; i++)
		buf_adds(&deep, "['and', ");
	buf_adds(&deep, "1");
	for (int i = 0; i < 2000; i++)
		buf_adds(&deep, "]");
	q = query_of(buf_text(&deep));
	assert_int_equal(query_check(q, &err), -EINVAL);
	assert_string_equal(err.text, "is nested more than 32 levels deep");
	query_free(q);
	buf_release(&deep);
}

static void what_has_failed_is_not_tried_again(void **state)
{
	static const char *const attempted[] = { "b", "a", NULL }, *const none[] = { NULL };
	const struct sched_backend b = backend_of("a", 100, 0, 1),
				   other = backend_of("aa", 100, 0, 1);
	struct sched_request r = { .size = 5 };

	assert_string_equal(reason("ignore_attempted", &r, &b), "");
	r.attempted = none;
	assert_string_equal(reason("ignore_attempted", &r, &b), "");
	r.attempted = attempted;
	assert_string_equal(reason("ignore_attempted", &r, &b), "has failed this volume already");
	assert_string_equal(reason("ignore_attempted", &r, &other), "");
}

static void facts_are_bounded_and_extra_specs_are_text(void **state)
{
	struct buf deep = { 0 };
	struct facts *f = NULL;
	struct sched_type *t = NULL;
	struct err err = { 0 };
	json_t *json;

	for (int i = 0; i < 17; i++)
		buf_adds(&deep, "{'a': ");
	buf_adds(&deep, "1");
	for (int i = 0; i < 17; i++)
		buf_adds(&deep, "}");
	json = json_of(buf_text(&deep));
	assert_int_equal(facts_new(json, &f, &err), -EINVAL);
	assert_string_equal(err.text, "is nested more than 16 levels deep");
	json_decref(json);
	json = json_of("{'size': 5}");
	assert_int_equal(sched_type_new(json, NULL, &t, &err), -EINVAL);
	assert_string_equal(err.text, "extra spec 'size' must be text or null");
	json_decref(json);
	buf_release(&deep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_state_comes_first),
		cmocka_unit_test(zones),
		cmocka_unit_test(a_zone_that_is_not_to_be_had_is_replaced),
		cmocka_unit_test(capacity_by_its_rows),
		cmocka_unit_test(what_is_reserved_and_rounded_is_as_in_the_reference),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(what_is_attached_is_extended_online_or_not_at_all),
		cmocka_unit_test(same_and_different),
		cmocka_unit_test(a_function_of_the_driver),
		cmocka_unit_test(one_of_several_names_of_a_protocol_is_enough),
		cmocka_unit_test(a_volumes_query),
		cmocka_unit_test(words_in_place_of_numbers),
		cmocka_unit_test(queries_are_bounded),
		cmocka_unit_test(what_has_failed_is_not_tried_again),
		cmocka_unit_test(facts_are_bounded_and_extra_specs_are_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
