/*
 * pg/interval.c - intervals as plain microseconds.
 *
 * PostgreSQL keeps months, days and microseconds apart; retry delays and
 * timeouts need one number. Parts may have different signs.
 */
#include "postgres.h"

#include "common/int.h"
#include "pg/interval.h"

bool
bmw_interval_us(const Interval *interval, int64 *us)
{
	int64 days = (int64) interval->month * DAYS_PER_MONTH + interval->day;
	int64 from_days;

	return !pg_mul_s64_overflow(days, USECS_PER_DAY, &from_days) &&
		   !pg_add_s64_overflow(from_days, interval->time, us);
}
