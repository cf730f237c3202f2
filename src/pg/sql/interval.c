/*
 * pg/sql/interval.c - intervals as plain microseconds.
 *
 * PostgreSQL keeps months, days and microseconds apart; retry delays and
 * timeouts need one number. Parts may have different signs.
 */
#include "postgres.h"

#include "pg/sql/interval.h"

#include "common/int.h"
#include "core/backoff.h"

#define MIN_TIMEOUT_US INT64CONST(10000)
#define MAX_TIMEOUT_US (5 * USECS_PER_MINUTE)
#define MIN_TTL_US USECS_PER_SEC
#define MAX_TTL_US (366 * USECS_PER_DAY)

static bool clamp(const Interval *interval, int64 min_us, int64 max_us, int64 *us);

bool
bmw_interval_us(const Interval *interval, int64 *us)
{
	int64 days = (int64) interval->month * DAYS_PER_MONTH + interval->day;
	int64 from_days;

	return !pg_mul_s64_overflow(days, USECS_PER_DAY, &from_days) &&
		   !pg_add_s64_overflow(from_days, interval->time, us);
}

bool
bmw_interval_timeout(const Interval *interval, int64 *us)
{
	return clamp(interval, MIN_TIMEOUT_US, MAX_TIMEOUT_US, us);
}

bool
bmw_interval_delay(const Interval *interval, int64 *us)
{
	return clamp(interval, 0, BMW_BACKOFF_MAX_DELAY_US, us);
}

bool
bmw_interval_ttl(const Interval *interval, int64 *us)
{
	return clamp(interval, MIN_TTL_US, MAX_TTL_US, us);
}

Datum
bmw_interval_datum(int64 us)
{
	Interval *interval = palloc0(sizeof(*interval));

	interval->time = us;
	return IntervalPGetDatum(interval);
}

static bool
clamp(const Interval *interval, int64 min_us, int64 max_us, int64 *us)
{
	if (!bmw_interval_us(interval, us))
		*us = interval->month < 0 || interval->day < 0 ? min_us : max_us;
	else if (*us >= min_us && *us <= max_us)
		return true;
	*us = Min(Max(*us, min_us), max_us);
	return false;
}
