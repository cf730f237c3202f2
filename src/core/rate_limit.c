/*
 * core/rate_limit.c - so many requests a second, exactly: a token bucket.
 */
#include "core/rate_limit.h"

#define SECOND_US INT64_C(1000000)

void
bmw_rate_limit_set(BmwRateLimit *limit, int rate, int burst)
{
	/* rounded up: never more */
	limit->interval_us = rate > 0 ? (SECOND_US + rate - 1) / rate : 0;
	limit->slack_us = burst > 1 ? limit->interval_us * (burst - 1) : 0;
}

int64_t
bmw_rate_limit_next_us(const BmwRateLimit *limit)
{
	return limit->interval_us > 0 ? limit->full_us - limit->slack_us : 0;
}

void
bmw_rate_limit_started(BmwRateLimit *limit, int64_t now_us)
{
	if (limit->interval_us == 0)
		return;
	limit->full_us = (limit->full_us > now_us ? limit->full_us : now_us) + limit->interval_us;
}

void
bmw_rate_limit_shift(BmwRateLimit *limit, int64_t by_us)
{
	limit->full_us -= by_us;
}
