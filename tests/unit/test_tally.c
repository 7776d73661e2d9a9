#include "base/tally.h"
#include "unit.h"

static void a_user_has_at_most_so_many(void **state)
{
	struct tally t = { 0 };

	assert_true(tally_take(&t, 1000, 2));
	assert_true(tally_take(&t, 1000, 2));
	assert_false(tally_take(&t, 1000, 2));
	assert_true(tally_take(&t, 1001, 2));
	tally_give(&t, 1000);
	assert_true(tally_take(&t, 1000, 2));
	assert_false(tally_take(&t, 1002, 0));
	tally_release(&t);
}

static void nothing_is_kept_of_a_user_who_has_none(void **state)
{
	struct tally t = { 0 };

	assert_true(tally_take(&t, 1000, 1));
	tally_give(&t, 1000);
	assert_null(t.users);
	tally_give(&t, 1000);
	tally_release(&t);
}

static void root_is_not_counted(void **state)
{
	struct tally t = { 0 };

	assert_true(tally_take(&t, 0, 0));
	assert_null(t.users);
	tally_give(&t, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_has_at_most_so_many),
		cmocka_unit_test(nothing_is_kept_of_a_user_who_has_none),
		cmocka_unit_test(root_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
