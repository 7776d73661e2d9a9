/* Requests and their answers, counted by kind. */
#include "unit.h"

#include "fs/requests.h"

static uint64_t answered(unsigned opcode)
{
	const struct histogram *h = &request_numbers(opcode)->took;
	uint64_t n = 0;

	for (unsigned i = 0; i <= request_bounds.count; i++)
		n += counter_get(&h->range[i]);
	return n;
}

static void begin(unsigned opcode, uint64_t unique)
{
	requests_begin(&(struct fuse_in_header){ .opcode = opcode, .unique = unique });
}

static void end(uint64_t unique)
{
	requests_end(&(struct fuse_out_header){ .unique = unique });
}

static void each_answer_counts_once(void **state)
{
	begin(FUSE_LOOKUP, 2);
	begin(FUSE_READ, 4);
	end(4);
	end(2);
	end(2);
	end(0); /* a notification */
	assert_int_equal(answered(FUSE_LOOKUP), 1);
	assert_int_equal(answered(FUSE_READ), 1);
	assert_int_equal(counter_get(&request_numbers(FUSE_READ)->asked), 1);
}

/* The kernel numbers it by the request that it is about, and one. */
static void an_interrupted_request_counts_as_well(void **state)
{
	uint64_t before = answered(FUSE_READ);

	begin(FUSE_READ, 10);
	begin(FUSE_INTERRUPT, 11);
	end(10);
	assert_int_equal(answered(FUSE_READ), before + 1);
	assert_int_equal(counter_get(&request_numbers(FUSE_INTERRUPT)->asked), 1);
}

static void what_is_sent_again_counts_in_the_new_server(void **state)
{
	uint64_t before = answered(FUSE_OPEN), resent = UINT64_C(1) << 63 | 20;

	begin(FUSE_OPEN, resent);
	end(resent);
	assert_int_equal(answered(FUSE_OPEN), before + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_answer_counts_once),
		cmocka_unit_test(an_interrupted_request_counts_as_well),
		cmocka_unit_test(what_is_sent_again_counts_in_the_new_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
