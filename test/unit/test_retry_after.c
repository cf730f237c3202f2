/*
 * test_retry_after.c - seconds and dates, against a clock that stands still.
 */
#include "core/retry_after.h"

#include "core/outcome.h"
#include "unit.h"

#define SECOND INT64_C(1000000)
#define NOW_S INT64_C(1700000000) /* Tue, 14 Nov 2023 22:13:20 GMT */

static int64_t
parse(const char *value)
{
	return bmw_retry_after_parse(value, NOW_S);
}

int
main(void)
{
	CHECK_INT(parse("7"), 7 * SECOND);
	CHECK_INT(parse("007"), 7 * SECOND);
	CHECK_INT(parse("86399"), 86399 * SECOND);
	CHECK_INT(parse("86401"), BMW_RETRY_AFTER_MAX_US);
	CHECK_INT(parse("99999999999999999999999999"), BMW_RETRY_AFTER_MAX_US);
	CHECK_INT(parse("Tue, 14 Nov 2023 22:13:50 GMT"), 30 * SECOND);
	CHECK_INT(parse("Tuesday, 14-Nov-23 22:13:50 GMT"), 30 * SECOND);
	CHECK_INT(parse("Tue Nov 14 22:13:50 2023"), 30 * SECOND);
	CHECK_INT(parse("Fri, 31 Dec 9999 23:59:59 GMT"), BMW_RETRY_AFTER_MAX_US);

	CHECK_INT(parse(""), BMW_RETRY_AFTER_NONE);
	CHECK_INT(parse("0"), BMW_RETRY_AFTER_NONE);
	CHECK_INT(parse("-5"), BMW_RETRY_AFTER_NONE);
	CHECK_INT(parse("1.5"), BMW_RETRY_AFTER_NONE);
	CHECK_INT(parse("7 s"), BMW_RETRY_AFTER_NONE);
	CHECK_INT(parse("soon"), BMW_RETRY_AFTER_NONE);
	CHECK_INT(parse("Tue, 14 Nov 2023 22:13:20 GMT"), BMW_RETRY_AFTER_NONE);
	CHECK_INT(parse("Tue, 14 Nov 2023 22:13:19 GMT"), BMW_RETRY_AFTER_NONE);
	return unit_finish("retry_after");
}
