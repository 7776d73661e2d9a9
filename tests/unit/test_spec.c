#include "base/text.h"
#include "spec.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)

static int parse(const char *text, bool whole, struct spec *s, struct err *err)
{
	return spec_parse(text, strlen(text), whole, s, err);
}

/* What a spec means, as spec_format() writes it. */
static void same(const char *text, const char *meaning)
{
	struct buf out = { 0 };
	struct err err = { 0 };
	struct spec s;

	if (parse(text, true, &s, &err) < 0)
		fail_msg("'%s' was refused: %s", text, err.text);
	spec_format(&s, true, &out);
	if (strcmp(buf_text(&out), meaning) != 0)
		fail_msg("'%s' means\n%s, not\n%s", text, buf_text(&out), meaning);
	buf_release(&out);
	spec_release(&s);
}

static const struct {
	const char *text, *meaning;
} good[] = {
	{ "size=10", "size=10G\n" },
	{ "size=10\n", "size=10G\n" },
	{ "\n\n \t size=10 \t\n\n", "size=10G\n" },
	{ "size=10\r\nname=db\r\n", "size=10G\nname=db\n" },
	{ "size=512M name=db type=fast zone=west project=web",
		"size=512M\nname=db\ntype=fast\nzone=west\nproject=web\n" },
	{ "# a comment\nsize=10 # and 'another\nname=a", "size=10G\nname=a\n" },
	{ "size=10 description=a#b", "size=10G\ndescription='a#b'\n" },
	{ "size=10 description=\\#b", "size=10G\ndescription='#b'\n" },
	{ "size=10 name=1db", "size=10G\nname=1db\n" },
	{ "size=10 name=_db.x-y:z=+%^~*?!$&;|()<>[]{}\\\\",
		"size=10G\nname='_db.x-y:z=+%^~*?!$&;|()<>[]{}\\'\n" },
	{ "size=10 name=d\xc3\xa9j\xc3\xa0", "size=10G\nname='d\xc3\xa9j\xc3\xa0'\n" },
	/* quoting */
	{ "size='10'", "size=10G\n" },
	{ "'size=10'", "size=10G\n" },
	{ "size=\"10\"", "size=10G\n" },
	{ "si'ze'=1\"0\"", "size=10G\n" },
	{ "size=10 description='it'\"'\"'s'", "size=10G\ndescription='it'\\''s'\n" },
	{ "size=10 description='it'\\''s'", "size=10G\ndescription='it'\\''s'\n" },
	{ "size=10 description=it\\'s", "size=10G\ndescription='it'\\''s'\n" },
	{ "size=10 description=\"a \\\"b\\\" \\$x \\`y\\` \\\\ \\n\"",
		"size=10G\ndescription='a \"b\" $x `y` \\ \\n'\n" },
	{ "size=10 description='$HOME `id` \\n \"'",
		"size=10G\ndescription='$HOME `id` \\n \"'\n" },
	{ "size=10 description=\"\"", "size=10G\ndescription=''\n" },
	{ "size=10 description=", "size=10G\ndescription=''\n" },
	{ "size=10 description=a\\ b", "size=10G\ndescription='a b'\n" },
	{ "size=10 \\\n name=db", "size=10G\nname=db\n" },
	{ "size=1\\\n0", "size=10G\n" },
	{ "size=1\\\r\n0", "size=10G\n" },
	{ "size=\"1\\\n0\"", "size=10G\n" },
	{ "size=10 description='size=20 name=x'", "size=10G\ndescription='size=20 name=x'\n" },
	/* metadata */
	{ "size=10 metadata.a=1 metadata.b=", "size=10G\nmetadata.a=1\nmetadata.b=''\n" },
	{ "size=10 metadata.a=b=c", "size=10G\nmetadata.a='b=c'\n" },
	{ "size=10 metadata.'two words'=x", "size=10G\nmetadata.'two words'=x\n" },
	{ "size=10 metadata.a.b:c-d_E9=x", "size=10G\nmetadata.a.b:c-d_E9=x\n" },
	/* sources */
	{ "source=db", "source=db\n" },
	{ "snapshot=db@monday name=copy", "name=copy\nsnapshot=db@monday\n" },
	{ "snapshot=0f8fad5b-d9cb-469f-a165-70867728950e",
		"snapshot=0f8fad5b-d9cb-469f-a165-70867728950e\n" },
	{ "size=10 image=debian", "size=10G\nimage=debian\n" },
	{ "backup=b1", "backup=b1\n" },
	{ "size=10 group=g hint.same_backend=a,b hint.different_backend=c hint.query='[\"=\",1,1]'",
		"size=10G\ngroup=g\nhint.same_backend=a,b\nhint.different_backend=c\nhint.query='[\"=\",1,1]'\n" },
	/* JSON */
	{ "{\"size\":10}", "size=10G\n" },
	{ "{\"size\":\"10G\", \"name\" : \"db\"}\n", "size=10G\nname=db\n" },
	{ "{\n\t\"size\": 10,\r\n\t\"metadata\": {\"a\": \"x\", \"b\": 0.10, \"c\": -3},\n\t\"metadata.d\": 1e3\n}",
		"size=10G\nmetadata.a=x\nmetadata.b=0.10\nmetadata.c=-3\nmetadata.d=1e3\n" },
	{ "{\"size\":10,\"metadata\":{}}", "size=10G\n" },
	{ "{\"size\":10,\"description\":\"a \\\"b\\\" \\u00e9 {}:,\"}",
		"size=10G\ndescription='a \"b\" \xc3\xa9 {}:,'\n" },
	{ "{\"s\\u0069ze\":10}", "size=10G\n" },
	{ "{\"size\":\"1G\",\"hint.query\":[\"=\",\"$x\",1]}",
		"size=1G\nhint.query='[\"=\",\"$x\",1]'\n" },
	/* what is in it is kept as it is written, and is no key of the spec */
	{ "{\"hint.query\":\r\n[ \"and\",\t{ \"size\" : \"a ]\\\" }\" }, [ ], 1e3,0.10 ,\n\"\\u00e9\" ] ,\"size\":1}",
		"size=1G\nhint.query='[\"and\",{\"size\":\"a ]\\\" }\"},[],1e3,0.10,\"\\u00e9\"]'\n" },
	{ "{\"hint.query\":{ },\"size\":1}", "size=1G\nhint.query='{}'\n" },
	{ "{\"hint.same_backend\":[ \"a\", \"b:\" ],\"hint.different_backend\":[\"c\"],\"size\":1}",
		"size=1G\nhint.same_backend=a,b:\nhint.different_backend=c\n" },
};

static void good_specs_are_understood(void **state)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		same(good[i].text, good[i].meaning);
		same(good[i].meaning, good[i].meaning);
	}
}

/* A write may end anywhere: nothing that may yet become right is refused early. */
static void no_prefix_of_a_good_spec_is_refused(void **state)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		for (size_t n = 0; n <= strlen(good[i].text); n++) {
			struct err err = { 0 };
			struct spec s;

			if (spec_parse(good[i].text, n, false, &s, &err) < 0)
				fail_msg("'%.*s' was refused: %s", (int)n, good[i].text, err.text);
			spec_release(&s);
		}
	}
}

#define N50(s)	s s s s s s s s s s
#define N250(s) N50(s s s s s s s s s s s s s s s s s s s s s s s s s)
#define N255	N250("x") "xxxxx"
#define N256	N255 "x"

static const struct {
	const char *text;
	int code;
	const char *sentence; /* its beginning */
} bad[] = {
	{ "", -EINVAL, "the size is missing" },
	{ "# only a comment\n", -EINVAL, "the size is missing" },
	{ "name=db\n", -EINVAL, "the size is missing" },
	{ "image=debian\n", -EINVAL, "the size is missing" },
	{ "size=10 sise=3\n", -EINVAL,
		"line 1, column 9: unknown key 'sise'; did you mean 'size'?" },
	{ "size=10\n\nfoo=3\n", -EINVAL, "line 3, column 1: unknown key 'foo'" },
	{ "size=10 nmae=x\n", -EINVAL,
		"line 1, column 9: unknown key 'nmae'; did you mean 'name'?" },
	{ "size=10 Name=x\n", -EINVAL,
		"line 1, column 9: unknown key 'Name'; did you mean 'name'?" },
	{ "size=10 hint.foo=x\n", -EINVAL, "line 1, column 9: unknown key 'hint.foo'" },
	{ "size=10 metadata=x\n", -EINVAL, "line 1, column 9: unknown key 'metadata'" },
	{ "size=10 size=10\n", -EINVAL, "line 1, column 9: key 'size' is given twice" },
	{ "size=10\ndescription= description=x\n", -EINVAL,
		"line 2, column 14: key 'description' is given twice" },
	{ "size=10 metadata.a=1 metadata.a=1\n", -EINVAL,
		"line 1, column 22: metadata key 'a' is given twice" },
	{ "size\n", -EINVAL, "line 1, column 1: 'size' is not key=value" },
	{ "size = 10\n", -EINVAL, "line 1, column 1: 'size' is not key=value" },
	{ "=10\n", -EINVAL, "line 1, column 1: '=10' has no key" },
	{ "size=\n", -EINVAL, "line 1, column 6: 'size' has no value" },
	{ "size=10 type=''\n", -EINVAL, "line 1, column 14: 'type' has no value" },
	{ "size=0\n", -EINVAL, "line 1, column 6: size '0' is less than 1 MiB" },
	{ "size=-1\n", -EINVAL, "line 1, column 6: size '-1' is not a whole number" },
	{ "size=1e3\n", -EINVAL, "line 1, column 6: size '1e3' is not a whole number" },
	{ "size=1.5\n", -EINVAL, "line 1, column 6: size '1.5' is not a whole number" },
	{ "size=99999999T\n", -EINVAL, "line 1, column 6: size '99999999T' is too large" },
	{ "size=1048577B\n", -EINVAL,
		"line 1, column 6: size '1048577B' is not a multiple of 512" },
	{ "size=512K\n", -EINVAL, "line 1, column 6: size '512K' is less than 1 MiB" },
	/* names */
	{ "size=10 name=a/b\n", -EINVAL, "line 1, column 14: name 'a/b' has '/' in it" },
	{ "size=10 name=.\n", -EINVAL, "line 1, column 14: name '.' does not start with" },
	{ "size=10 name=..\n", -EINVAL, "line 1, column 14: name '..' does not start with" },
	{ "size=10 name=.volfs\n", -EINVAL, "line 1, column 14: name '.volfs' does not start" },
	{ "size=10 name=a@b\n", -EINVAL, "line 1, column 14: name 'a@b' has '@' in it" },
	{ "size=10 name=a,b\n", -EINVAL, "line 1, column 14: name 'a,b' has ',' in it" },
	{ "size=10 name=a#b\n", -EINVAL, "line 1, column 14: name 'a#b' has '#' in it" },
	{ "size=10 name=a\\'b\n", -EINVAL, "line 1, column 14: name 'a'b' has ''' in it" },
	{ "size=10 name=-a\n", -EINVAL, "line 1, column 14: name '-a' does not start with" },
	{ "size=10 name='a b'\n", -EINVAL, "line 1, column 14: name 'a b' has white space in it" },
	{ "size=10 name=a\xc2\xa0"
	  "b\n",
		-EINVAL,
		"line 1, column 14: name 'a\xc2\xa0"
		"b' has white space" },
	{ "size=10 name='a\nb'\n", -EINVAL,
		"line 1, column 14: the quote is not closed on its line" },
	{ "size=10 name=new\n", -EINVAL, "line 1, column 14: a volume cannot be named 'new'" },
	{ "size=10 name=''\n", -EINVAL, "line 1, column 14: 'name' has no value" },
	{ "size=10 name=" N256 "\n", -ENAMETOOLONG, "line 1, column 14: a name is 256 bytes long" },
	{ "size=10 name=0f3e7a52-6d1c-4f0e-9a3b-2c5d7e8f9a0b\n", -EINVAL,
		"line 1, column 14: name '0f3e7a52-" },
	{ "size=10 description=" N256 "\n", -EINVAL,
		"line 1, column 21: 'description' is 256 bytes long" },
	{ "size=10 type=" N256 "\n", -EINVAL, "line 1, column 14: 'type' is 256 bytes long" },
	{ "size=10 metadata.a=" N256 "\n", -EINVAL,
		"line 1, column 20: 'metadata.a' is 256 bytes" },
	{ "size=10 metadata." N256 "=a\n", -ENAMETOOLONG,
		"line 1, column 9: a metadata key is 256 bytes" },
	{ "size=10 metadata.=a\n", -EINVAL, "line 1, column 9: a metadata key must not be empty" },
	{ "size=10 metadata.a/b=a\n", -EINVAL,
		"line 1, column 9: metadata key 'a/b' has more than" },
	{ "size=10 metadata.a%2Fb=a\n", -EINVAL, "line 1, column 9: metadata key" },
	{ "size=10 metadata...=a\n", -EINVAL, "line 1, column 9: a metadata key cannot be '..'" },
	/* sources */
	{ "source=a image=b\n", -EINVAL,
		"line 1, column 16: only one of source, snapshot, image and backup" },
	{ "source=a source=a\n", -EINVAL, "line 1, column 10: key 'source' is given twice" },
	{ "snapshot=a\n", -EINVAL, "line 1, column 10: a snapshot is given as" },
	{ "snapshot=0f8fad5b-d9cb-469f-a165-7086772895\n", -EINVAL,
		"line 1, column 10: a snapshot is given as" },
	{ "snapshot=@a\n", -EINVAL, "line 1, column 10: a snapshot is given as" },
	{ "snapshot=a@\n", -EINVAL, "line 1, column 10: a snapshot is given as" },
	{ "snapshot=a@b@c\n", -EINVAL, "line 1, column 10: a snapshot is given as" },
	/* bytes */
	{ "size=10 name=\xff\n", -EINVAL, "line 1, column 14: not valid UTF-8" },
	{ "d\xc3\xa9=1 name=\xc3\n", -EINVAL, "line 1, column 11: not valid UTF-8" },
	{ "size=10\x01\n", -EINVAL, "line 1, column 8: control character U+0001" },
	{ "size=10 # \x1b[31m\n", -EINVAL, "line 1, column 11: control character U+001B" },
	{ "size=10\xc2\x85\n", -EINVAL, "line 1, column 8: control character U+0085" },
	{ "size=10\x7f\n", -EINVAL, "line 1, column 8: control character U+007F" },
	{ "size=10\rname=x\n", -EINVAL, "line 1, column 8: control character U+000D" },
	{ "size=10 description=a\\\tb\n", -EINVAL,
		"line 1, column 21: the value of 'description' must be" },
	/* quotes */
	{ "size=10 name='db\n", -EINVAL, "line 1, column 14: the quote is not closed on its line" },
	{ "size=10\nname=\"db\nzone=\"\n", -EINVAL,
		"line 2, column 6: the quote is not closed on its line" },
	/* JSON */
	{ "{}", -EINVAL, "the size is missing" },
	{ "{\"size\":10,\"foo\":3}", -EINVAL, "line 1, column 12: unknown key 'foo'" },
	{ "{\"size\":10,\n \"sizes\":3}", -EINVAL,
		"line 2, column 2: unknown key 'sizes'; did you mean 'size'?" },
	{ "{\"size\":10,\"size\":3}", -EINVAL, "line 1, column 12: key 'size' is given twice" },
	{ "{\"size\":10,\"metadata\":{\"a\":1},\n\"metadata.a\":1}", -EINVAL,
		"line 2, column 1: metadata key 'a' is given twice" },
	{ "{\"size\":10,\"metadata\":{\"a\":1,\"a\":1}}", -EINVAL,
		"line 1, column 30: key 'a' is given twice" },
	{ "{\"size\":10,\"metadata\":{\"a\":\n{}}}", -EINVAL,
		"line 2, column 1: the value of 'metadata.a' must be text or a number" },
	{ "{\"size\":10,\"metadata\":{\"a/b\":1}}", -EINVAL,
		"line 1, column 24: metadata key 'a/b'" },
	{ "{\"size\":10,\"metadata\":[1]}", -EINVAL,
		"line 1, column 23: the value of 'metadata' must be" },
	{ "{\"size\":10,\"name\":\"a\\nb\"}", -EINVAL,
		"line 1, column 19: the value of 'name' must be UTF-8" },
	{ "{\"size\":10,\"na\\nme\":\"b\"}", -EINVAL, "line 1, column 12: unknown key 'na?me'" },
	{ "{\"size\":10,\"name\":\"a\\u0000b\"}", -EINVAL, "line 1, column " },
	{ "{\"size\":null}", -EINVAL,
		"line 1, column 9: the value of 'size' must be text or a number" },
	{ "{\"size\":true}", -EINVAL,
		"line 1, column 9: the value of 'size' must be text or a number" },
	{ "{\"hint.query\":[1],\n\"sise\":1}", -EINVAL,
		"line 2, column 1: unknown key 'sise'; did you mean 'size'?" },
	{ "{\"hint.query\":true}", -EINVAL,
		"line 1, column 15: the value of 'hint.query' must be text, a list or an object" },
	{ "{\"hint.query\":[1],\"hint.query\":[1]}", -EINVAL,
		"line 1, column 19: key 'hint.query' is given twice" },
	{ "{\"hint.same_backend\":[]}", -EINVAL,
		"line 1, column 22: 'hint.same_backend' has no value" },
	{ "{\"hint.same_backend\":[\"a\",\"b,c\"]}", -EINVAL,
		"line 1, column 22: the list 'hint.same_backend' must hold names, each a text" },
	{ "{\"hint.same_backend\":[\"\"]}", -EINVAL, "line 1, column 22: the list" },
	{ "{\"hint.different_backend\":[\"a\",1]}", -EINVAL,
		"line 1, column 27: the list 'hint.different_backend' must hold names" },
	{ "{\"hint.same_backend\":{}}", -EINVAL,
		"line 1, column 22: the value of 'hint.same_backend' must be text or a list of names" },
	{ "{\"name\":[\"a\"]}", -EINVAL,
		"line 1, column 9: the value of 'name' must be text or a number" },
	{ "{\"size\":1e3}", -EINVAL, "line 1, column 9: size '1e3' is not a whole number" },
	{ "{\"size\":10.0}", -EINVAL, "line 1, column 9: size '10.0' is not a whole number" },
	{ "{\"size\":-1}", -EINVAL, "line 1, column 9: size '-1' is not a whole number" },
	{ "{\"size\":10}{", -EINVAL, "line 1, column 12: not JSON: end of file expected" },
	{ "{\"size\":10,}", -EINVAL, "line 1, column 12: not JSON: " },
	{ "{size:10}", -EINVAL, "line 1, column 2: not JSON: " },
	{ "{\"size\":tru}", -EINVAL, "line 1, column 9: not JSON: invalid token" },
	{ "{\"size\":10", -EINVAL, "line 1, column 10: not JSON: " },
	{ "{\"name\":\"\xff\"}", -EINVAL, "line 1, column 10: not valid UTF-8" },
	{ "[{\"size\":10}]", -EINVAL, "line 1, column 1: '[{size:10}]' is not key=value" },
};

static void bad_specs_are_refused_by_line_and_column(void **state)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		static const struct spec nothing;
		struct err err = { 0 };
		struct spec s;
		int code = parse(bad[i].text, true, &s, &err);

		if (code != bad[i].code || err.code != code ||
			strncmp(err.text, bad[i].sentence, strlen(bad[i].sentence)) != 0)
			fail_msg("'%s' was answered %d: %s", bad[i].text, code, err.text);
		assert_true(text_is_plain(err.text, strlen(err.text)));
		assert_memory_equal(&s, &nothing, sizeof s);
		assert_int_equal(parse(bad[i].text, true, &s, NULL), code);
	}
}

/* What complete lines show is refused by the write(2) already; what only the end can show is not.
 */
static void complete_lines_are_judged_early(void **state)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		size_t len = strlen(bad[i].text);
		bool line = len && bad[i].text[len - 1] == '\n';
		bool missing = !strncmp(bad[i].sentence, "the size", 8);
		struct spec s;
		int code = parse(bad[i].text, false, &s, NULL);

		if (line && code != (missing ? 0 : bad[i].code))
			fail_msg("'%s' was answered %d", bad[i].text, code);
		spec_release(&s);
	}
}

static void an_unfinished_line_is_not_judged(void **state)
{
	static const char *const texts[] = { "foo", "size=10\nfoo", "name='a", "size=10\nname=\"",
		"size=0", "size=10 \\\nfo", "foo\\\n", "description=\"a\\\n", "\xff", "{", "{\"si",
		"{\"foo\"", "{\"size\":tr", "{\"size\":-", "{\"name\":\"\xc3", "{\"name\":\"\\u00",
		"{\"a\":1,\r", "{\"foo\":1" };

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct err err = { 0 };
		struct spec s;

		if (parse(texts[i], false, &s, &err) < 0)
			fail_msg("'%s' was refused: %s", texts[i], err.text);
		spec_release(&s);
	}
}

static void what_is_judged_early_is_there(void **state)
{
	struct spec s;

	assert_int_equal(parse("size=10\nname=db\nzone=we", false, &s, NULL), 0);
	assert_true(s.size == 10 * GIB);
	assert_string_equal(s.name, "db");
	assert_null(s.zone);
	spec_release(&s);
}

static void a_spec_is_bounded(void **state)
{
	size_t len = SPEC_MAX + 1;
	char *text = malloc(len);
	struct err err = { 0 };
	struct spec s;

	memset(text, ' ', len);
	memcpy(text, "size=10\n", 8);
	assert_int_equal(spec_parse(text, SPEC_MAX, true, &s, &err), 0);
	spec_release(&s);
	assert_int_equal(spec_parse(text, len, true, &s, &err), -EFBIG);
	assert_int_equal(spec_parse(text, len, false, &s, &err), -EFBIG);
	free(text);
}

static void zero_bytes_are_control_characters(void **state)
{
	static const char text[] = "size=10\0name=x\n", json[] = "{\"size\":10\0}";
	struct err err = { 0 };
	struct spec s;

	assert_int_equal(spec_parse(text, sizeof text - 1, true, &s, &err), -EINVAL);
	assert_string_equal(err.text, "line 1, column 8: control character U+0000");
	assert_int_equal(spec_parse(json, sizeof json - 1, true, &s, &err), -EINVAL);
}

/* Thousands of keys are no reason to be slow, or to lose one. */
static void many_keys_are_kept_apart(void **state)
{
	struct buf text = { 0 };
	struct spec s;

	buf_adds(&text, "size=1");
	for (int i = 0; i < 4000; i++)
		buf_addf(&text, "\nmetadata.%d=", i);
	assert_int_equal(spec_parse(text.at, text.len, true, &s, NULL), 0);
	assert_int_equal(s.metadata_count, 4000);
	assert_string_equal(s.metadata[3999].key, "3999");
	spec_release(&s);
	buf_adds(&text, "\nmetadata.77=");
	assert_int_equal(spec_parse(text.at, text.len, true, &s, NULL), -EINVAL);
	buf_release(&text);
}

static void the_longest_are_taken(void **state)
{
	struct spec s;

	assert_int_equal(
		parse("size=1 name=" N255 " description='" N255 "' metadata." N255 "=" N255, true,
			&s, NULL),
		0);
	assert_int_equal(strlen(s.name), 255);
	assert_int_equal(strlen(s.metadata[0].key), 255);
	spec_release(&s);
}

static void a_uuid_is_only_its_own_volume_s_name(void **state)
{
	static const char own[] = "0f3e7a52-6d1c-4f0e-9a3b-2c5d7e8f9a0b";

	assert_int_equal(spec_name_check(own, own, NULL), 0);
	assert_int_equal(spec_name_check(own, NULL, NULL), -EINVAL);
	assert_int_equal(
		spec_name_check(own, "1f3e7a52-6d1c-4f0e-9a3b-2c5d7e8f9a0b", NULL), -EINVAL);
	assert_int_equal(spec_name_check("a\nb", own, NULL), -EINVAL);
	assert_int_equal(spec_name_check("a\xff", own, NULL), -EINVAL);
	assert_int_equal(spec_name_check(N256, own, NULL), -ENAMETOOLONG);
	assert_int_equal(spec_name_check("", own, NULL), -EINVAL);
	assert_int_equal(spec_name_check("new", own, NULL), -EINVAL);
	assert_int_equal(spec_snapshot_name_check("new", own, NULL), 0);
	assert_int_equal(spec_snapshot_name_check("a@b", own, NULL), -EINVAL);
	assert_int_equal(spec_snapshot_name_check(own, NULL, NULL), -EINVAL);
	assert_int_equal(spec_snapshot_name_check(N256, own, NULL), -ENAMETOOLONG);
}

static void values_of_attributes_follow_the_same_rules(void **state)
{
	assert_int_equal(spec_value_check("", 0, NULL), 0);
	assert_int_equal(spec_value_check(N255, 255, NULL), 0);
	assert_int_equal(spec_value_check(N256, 256, NULL), -EINVAL);
	assert_int_equal(spec_value_check("a\0b", 3, NULL), -EINVAL);
	assert_int_equal(spec_value_check("a\nb", 3, NULL), -EINVAL);
	assert_int_equal(spec_metadata_key_check("a", NULL), 0);
	assert_int_equal(spec_metadata_key_check("", NULL), -EINVAL);
	assert_int_equal(spec_metadata_key_check(N256, NULL), -ENAMETOOLONG);
	assert_int_equal(spec_metadata_key_check("a=b", NULL), -EINVAL);
}

static void the_name_can_be_left_out(void **state)
{
	struct buf out = { 0 };
	struct spec s;

	assert_int_equal(parse("name=db size=10", true, &s, NULL), 0);
	spec_format(&s, false, &out);
	assert_string_equal(buf_text(&out), "size=10G\n");
	buf_release(&out);
	spec_release(&s);
}

static void the_template_is_an_empty_spec_of_every_key(void **state)
{
	const char *key, *help;
	struct buf out = { 0 };
	struct err err = { 0 };
	struct spec s;
	size_t n;

	spec_template(&out);
	assert_int_equal(spec_parse(out.at, out.len, false, &s, &err), 0);
	spec_release(&s);
	assert_int_equal(spec_parse(out.at, out.len, true, &s, &err), -EINVAL);
	assert_int_equal(strncmp(err.text, "the size is missing", 19), 0);
	for (n = 0; spec_key(n, &key, &help); n++) {
		assert_non_null(strstr(out.at, key));
		assert_non_null(strstr(out.at, help));
	}
	assert_int_equal(n, 15);
	buf_release(&out);
}

/* Every example of the template is one that works. */
static void the_examples_of_the_template_are_good(void **state)
{
	struct buf out = { 0 };
	size_t examples = 0;

	spec_template(&out);
	for (const char *line = out.at, *end; (end = strchr(line, '\n')); line = end + 1) {
		size_t len = (size_t)(end + 1 - line);
		struct err err = { 0 };
		struct spec s;

		if (line[2] == ' ' || !memchr(line, '=', len) || memchr(line, ':', len))
			continue;
		if (spec_parse(line + 2, len - 2, false, &s, &err) < 0)
			fail_msg("the template's '%.*s': %s", (int)len, line, err.text);
		spec_release(&s);
		examples++;
	}
	assert_int_equal(examples, 15);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_specs_are_understood),
		cmocka_unit_test(no_prefix_of_a_good_spec_is_refused),
		cmocka_unit_test(bad_specs_are_refused_by_line_and_column),
		cmocka_unit_test(complete_lines_are_judged_early),
		cmocka_unit_test(an_unfinished_line_is_not_judged),
		cmocka_unit_test(what_is_judged_early_is_there),
		cmocka_unit_test(a_spec_is_bounded),
		cmocka_unit_test(zero_bytes_are_control_characters),
		cmocka_unit_test(many_keys_are_kept_apart),
		cmocka_unit_test(the_longest_are_taken),
		cmocka_unit_test(a_uuid_is_only_its_own_volume_s_name),
		cmocka_unit_test(values_of_attributes_follow_the_same_rules),
		cmocka_unit_test(the_name_can_be_left_out),
		cmocka_unit_test(the_template_is_an_empty_spec_of_every_key),
		cmocka_unit_test(the_examples_of_the_template_are_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
