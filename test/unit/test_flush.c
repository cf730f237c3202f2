/*
 * test_flush.c - records into a log that refuses some and has others locked.
 */
#include "core/flush.h"

#include "unit.h"

#define LENGTH 1000

typedef struct Log
{
	bool refuses[LENGTH];
	bool waits[LENGTH]; /* a lock on another's uncommitted row: the statement fails */
	bool locked[LENGTH];
	int attempts;
} Log;

static BmwRecord records[LENGTH];
static Log sea;
static BmwFlush flush;

static BmwFlushAttempt
attempt(const BmwFlushStep *step)
{
	const int first = (int) (step->records - records);
	BmwFlushAttempt result = BMW_FLUSH_COMMITTED;

	sea.attempts++;
	for (int i = first; i < first + step->length; i++)
	{
		records[i].is_locked = sea.locked[i];
		records[i].fate = i % 7 == 0 && !sea.locked[i] ? BMW_RECORD_OVERTAKEN : records[i].fate;
		if (sea.refuses[i] && result == BMW_FLUSH_COMMITTED)
			result = BMW_FLUSH_ROW_REFUSED;
		if (sea.waits[i] && result == BMW_FLUSH_COMMITTED)
			result = BMW_FLUSH_ROW_LOCKED;
	}
	return result;
}

static BmwWriting
write_all(int64_t step_us)
{
	int64_t now_us = 0;
	BmwFlushStep step;

	sea.attempts = 0;
	bmw_flush_begin(&flush, records, LENGTH, now_us);
	while ((step = bmw_flush_next(&flush, now_us += step_us)).length > 0)
		if (step.is_setting_aside)
			bmw_flush_set_aside(&flush, step.records != &records[501]);
		else
			bmw_flush_attempted(&flush, attempt(&step));
	return flush.result;
}

static void
test_fates(void)
{
	flush = (BmwFlush){0};
	sea = (Log){0};
	CHECK_INT(write_all(0), BMW_WRITING_DONE);
	CHECK_INT(sea.attempts, 1);
	sea.refuses[10] = sea.refuses[501] = sea.waits[700] = sea.locked[14] = true;
	CHECK_INT(write_all(0), BMW_WRITING_DONE);
	CHECK(sea.attempts < 100);
	for (int i = 0; i < LENGTH; i++)
		CHECK_INT(records[i].fate, i == 10							 ? BMW_RECORD_SET_ASIDE
								   : i == 501 || i == 700 || i == 14 ? BMW_RECORD_STUCK
								   : i % 7 == 0						 ? BMW_RECORD_OVERTAKEN
																	 : BMW_RECORD_WRITTEN);
}

/* It stops for a turn of the cycle and begins with as many as it ended with. */
static void
test_budget(void)
{
	flush = (BmwFlush){0};
	sea = (Log){0};
	for (int i = 0; i < LENGTH; i++)
		sea.refuses[i] = true;
	CHECK_INT(write_all(100000), BMW_WRITING_UNFINISHED);
	CHECK(sea.attempts < 30);
	CHECK_INT(records[LENGTH - 1].fate, BMW_RECORD_UNTRIED);
	CHECK_INT(flush.size, 1);
}

static void
test_impossible(void)
{
	flush = (BmwFlush){0};
	bmw_flush_begin(&flush, records, LENGTH, 0);
	bmw_flush_attempted(&flush, BMW_FLUSH_IMPOSSIBLE);
	CHECK_INT(bmw_flush_next(&flush, 0).length, 0);
	CHECK_INT(flush.result, BMW_WRITING_FAILED);
	CHECK_INT(records[0].fate, BMW_RECORD_UNTRIED);
	bmw_flush_begin(&flush, records, LENGTH, 0);
	bmw_flush_attempted(&flush, BMW_FLUSH_LOG_LOCKED);
	CHECK_INT(bmw_flush_next(&flush, 0).length, 0);
	CHECK_INT(flush.result, BMW_WRITING_LOCKED);
}

int
main(void)
{
	test_fates();
	test_budget();
	test_impossible();
	return unit_finish("flush");
}
