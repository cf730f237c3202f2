/*
 * pg/dispatch/store_statistics.h - the statements that write what a dispatcher has counted.
 */
#ifndef BMW_PG_DISPATCH_STORE_STATISTICS_H
#define BMW_PG_DISPATCH_STORE_STATISTICS_H

#include "postgres.h"

#include "pg/dispatch/statistics.h"

#define BMW_HISTOGRAM_BUCKETS 140 /* the last one: 1.1 ^ 139 ms, more than any timeout */
#define BMW_CAUSE_SIZE 32

/* The attempts of an endpoint, or of all that a shard has, in a minute; padding must be zero. */
typedef struct BmwMinuteKey
{
	int64 id; /* of the endpoint, or the shard */
	int64 minute_us;
} BmwMinuteKey;

typedef struct BmwMinute
{
	BmwMinuteKey key;
	int64 delivered;
	int64 failed_attempts;
	int64 retries;
	int64 given_up;
	int64 canceled;
	int64 duration_us; /* of those that were delivered */
	int64 last_success_us;
	int64 last_failure_us;
	int32 histogram[BMW_HISTOGRAM_BUCKETS];
} BmwMinute;

typedef struct BmwFailureKey
{
	int64 endpoint_id;
	char cause[BMW_CAUSE_SIZE];
} BmwFailureKey;

typedef struct BmwFailure
{
	BmwFailureKey key;
	int64 attempts;
	int64 last_us;
} BmwFailure;

/* All of a table, which is left as it is. */
extern void bmw_store_minutes(HTAB *minutes);
extern void bmw_store_totals(HTAB *totals);
extern void bmw_store_failures(HTAB *failures);
extern void bmw_store_dispatcher(int shard, const BmwDispatcherCounts *counts);
/* What is older than it is kept, and what is of endpoints that are not there any more. */
extern void bmw_store_forget_statistics(void);

#endif
