/*
 * test_operation.c - operations take turns, rest in proportion, and none is forgotten.
 */
#include "core/operation.h"

#include "unit.h"

#define SECOND INT64_C(1000000)

static int64_t
next(BmwOperations *operations, int64_t now_us)
{
	int64_t id;

	return bmw_operations_next(operations, &id, now_us) ? id : 0;
}

static void
test_reading(void)
{
	BmwOperations operations = {0};

	CHECK(bmw_operations_wants_reading(&operations, false, SECOND));
	bmw_operations_read(&operations, true, SECOND);
	CHECK(!bmw_operations_wants_reading(&operations, false, 2 * SECOND));
	CHECK(bmw_operations_wants_reading(&operations, true, 2 * SECOND));
	CHECK(bmw_operations_wants_reading(&operations, false, 61 * SECOND));
	CHECK_INT(bmw_operations_wakeup_us(&operations), 61 * SECOND);
	CHECK_INT(next(&operations, 100 * SECOND), 0);
}

static void
test_turns(void)
{
	BmwOperations operations = {0};
	int64_t now_us = SECOND;

	for (int64_t id = 1; id <= 3; id++)
		CHECK(bmw_operations_add(&operations, id, 7));
	bmw_operations_read(&operations, true, now_us);
	for (int i = 0; i < 9; i++)
	{
		CHECK_INT(next(&operations, now_us), i % 3 + 1);
		bmw_operations_done(&operations, i % 3 + 1, BMW_OPERATION_MORE, 1000, now_us);
		CHECK_INT(next(&operations, now_us + 8999), 0);
		CHECK_INT(bmw_operations_wakeup_us(&operations), now_us + 9000);
		now_us += 9000;
	}
	CHECK_INT(next(&operations, now_us), 1);
	bmw_operations_done(&operations, 1, BMW_OPERATION_ENDED, 0, now_us);
	CHECK_INT(next(&operations, now_us), 2);
	bmw_operations_done(&operations, 2, BMW_OPERATION_LATER, 0, now_us);
	CHECK_INT(next(&operations, now_us), 3);
	bmw_operations_done(&operations, 3, BMW_OPERATION_ENDED, 10 * SECOND, now_us);
	CHECK_INT(next(&operations, now_us + SECOND - 1), 0);
	CHECK_INT(bmw_operations_wakeup_us(&operations), now_us + SECOND);
	CHECK_INT(next(&operations, now_us + SECOND), 2);
}

static void
test_many(void)
{
	BmwOperations operations = {0};

	for (int64_t id = 1; id <= BMW_OPERATIONS; id++)
		CHECK(bmw_operations_add(&operations, id, 7));
	CHECK(!bmw_operations_add(&operations, BMW_OPERATIONS + 1, 7));
	bmw_operations_read(&operations, false, SECOND);
	CHECK(!bmw_operations_wants_reading(&operations, true, SECOND));
	CHECK(bmw_operations_wants_reading(&operations, false, 2 * SECOND));
	CHECK_INT(bmw_operations_wakeup_us(&operations), 0);
	for (int64_t id = 1; id <= BMW_OPERATIONS / 2; id++)
	{
		CHECK(!bmw_operations_wants_reading(&operations, true, SECOND));
		CHECK_INT(next(&operations, SECOND), id);
		bmw_operations_done(&operations, id, BMW_OPERATION_ENDED, 0, SECOND);
	}
	CHECK(bmw_operations_wants_reading(&operations, false, SECOND));
	bmw_operations_begin_reading(&operations);
	CHECK(bmw_operations_add(&operations, BMW_OPERATIONS + 1, 7));
	bmw_operations_read(&operations, true, SECOND);
	CHECK_INT(next(&operations, SECOND), BMW_OPERATIONS + 1);
}

/* One application has more than there is room for, another has one; each gets every other step. */
static void
test_applications(void)
{
	BmwOperations operations = {0};

	for (int64_t id = 1; id <= BMW_OPERATIONS; id++)
		CHECK(bmw_operations_add(&operations, id, 7));
	bmw_operations_read(&operations, false, SECOND);
	CHECK_INT(next(&operations, SECOND), 1);
	bmw_operations_done(&operations, 1, BMW_OPERATION_MORE, 0, SECOND);
	bmw_operations_begin_reading(&operations);
	CHECK(bmw_operations_add(&operations, 1, 7));
	CHECK(bmw_operations_add(&operations, 100, 8));
	CHECK(bmw_operations_add(&operations, 2, 7));
	bmw_operations_read(&operations, false, SECOND);
	for (int i = 0; i < 4; i++)
	{
		int64_t id = next(&operations, SECOND);

		CHECK_INT(id, i % 2 == 0 ? (i == 0 ? 2 : 1) : 100);
		bmw_operations_done(&operations, id, BMW_OPERATION_MORE, 0, SECOND);
	}
	bmw_operations_done(&operations, 100, BMW_OPERATION_LATER, 0, SECOND);
	CHECK_INT(next(&operations, SECOND), 2);
}

/* As many rows as two milliseconds are enough for. */
static void
test_rows(void)
{
	BmwOperations operations = {0};
	int64_t at = SECOND;

	CHECK(bmw_operations_add(&operations, 1, 7));
	bmw_operations_read(&operations, true, at);
	CHECK_INT(bmw_operations_rows(&operations), BMW_OPERATION_ROWS);
	for (int i = 0; i < 40; i++)
	{
		const int64_t a_row = i < 20 ? 100 : i < 30 ? 30 : 1;
		const int64_t took = 500 + bmw_operations_rows(&operations) * a_row;

		CHECK_INT(next(&operations, at += SECOND), 1);
		bmw_operations_done(&operations, 1, BMW_OPERATION_MORE, took, at);
		if (i == 19)
			CHECK(bmw_operations_rows(&operations) < 40);
		if (i == 29)
			CHECK(bmw_operations_rows(&operations) < 70);
	}
	CHECK_INT(bmw_operations_rows(&operations), BMW_OPERATION_ROWS);
}

int
main(void)
{
	test_reading();
	test_turns();
	test_many();
	test_applications();
	test_rows();
	return unit_finish("operation");
}
