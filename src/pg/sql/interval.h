/*
 * pg/sql/interval.h - intervals and instants as plain microseconds, as the core wants them.
 */
#ifndef BMW_PG_SQL_INTERVAL_H
#define BMW_PG_SQL_INTERVAL_H

#include "postgres.h"
#include "utils/timestamp.h"

/* Microseconds, a month being 30 days and a day 24 hours; false on overflow or infinity. */
extern bool bmw_interval_us(const Interval *interval, int64 *us);

/*
 * endpoint.timeout, and an element of endpoint.retry_delays: for the trigger that
 * checks them and for the dispatcher that uses them, so that both see the same
 * number. False when it is out of range; *us is then the nearest value in it.
 */
extern bool bmw_interval_timeout(const Interval *interval, int64 *us);
extern bool bmw_interval_delay(const Interval *interval, int64 *us);
/* endpoint.ttl, likewise. */
extern bool bmw_interval_ttl(const Interval *interval, int64 *us);

/* An interval of these microseconds, and no months or days. Palloc'd. */
extern Datum bmw_interval_datum(int64 us);

/* Unix microseconds; the timestamp must be finite and after 290000 BC. */
static inline int64
bmw_unix_us(TimestampTz at)
{
	return at + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

static inline TimestampTz
bmw_from_unix_us(int64 unix_us)
{
	return unix_us - (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

#endif
