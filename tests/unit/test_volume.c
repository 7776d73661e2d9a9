#include "unit.h"
#include "volume.h"

#include <errno.h>
#include <string.h>

static void every_status_has_a_word_of_its_own(void **state)
{
	for (int i = 0; i < VOL_STATUS_COUNT; i++) {
		enum vol_status back;

		assert_non_null(vol_status_name((enum vol_status)i));
		assert_int_equal(vol_status_find(vol_status_name((enum vol_status)i), &back), 0);
		assert_int_equal(back, i);
	}
}

/* The database holds the numbers, users and programs the words. */
static void the_words_and_their_order_stay(void **state)
{
	static const char all[] =
		"creating downloading available reserved attaching in-use detaching extending retyping "
		"migrating backing-up restoring-backup reverting uploading deleting managing unmanaging "
		"maintenance error error_deleting error_extending error_restoring error_backing-up "
		"error_managing error_unmanaging ";
	char got[sizeof all + 100] = "";

	for (int i = 0; i < VOL_STATUS_COUNT; i++) {
		strcat(got, vol_status_name((enum vol_status)i));
		strcat(got, " ");
	}
	assert_string_equal(got, all);
}

static void settled_means_that_nothing_is_under_way(void **state)
{
	static const enum vol_status settled[] = { VOL_AVAILABLE, VOL_RESERVED, VOL_IN_USE,
		VOL_MAINTENANCE, VOL_ERROR, VOL_ERROR_DELETING, VOL_ERROR_EXTENDING,
		VOL_ERROR_RESTORING, VOL_ERROR_BACKING_UP, VOL_ERROR_MANAGING,
		VOL_ERROR_UNMANAGING };
	size_t n = 0;

	for (int i = 0; i < VOL_STATUS_COUNT; i++)
		n += vol_status_settled((enum vol_status)i);
	assert_int_equal(n, COUNT(settled));
	for (size_t i = 0; i < COUNT(settled); i++) {
		assert_true(vol_status_settled(settled[i]));
		assert_int_equal(vol_status_is_error(settled[i]),
			!strncmp(vol_status_name(settled[i]), "error", 5));
	}
	assert_false(vol_status_is_error(VOL_CREATING));
}

static void strange_words_and_numbers_do_no_harm(void **state)
{
	enum vol_status s = VOL_AVAILABLE;

	assert_int_equal(vol_status_find("", &s), -ENOENT);
	assert_int_equal(vol_status_find("Available", &s), -ENOENT);
	assert_int_equal(s, VOL_AVAILABLE);
	assert_string_equal(vol_status_name((enum vol_status)999), "error");
	assert_true(vol_status_settled((enum vol_status)999));
	assert_string_equal(backend_state_name(BACKEND_UP), "up");
	assert_string_equal(backend_state_name(BACKEND_DOWN), "down");
	assert_string_equal(backend_state_name(BACKEND_DISABLED), "disabled");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_status_has_a_word_of_its_own),
		cmocka_unit_test(the_words_and_their_order_stay),
		cmocka_unit_test(settled_means_that_nothing_is_under_way),
		cmocka_unit_test(strange_words_and_numbers_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
