/*
 * core/tokens.c - so many requests a second, exactly, of whatever several processes send together.
 */
#include "core/tokens.h"

#include <stddef.h>

#include "core/rate_limit.h"

#define SECOND_US INT64_C(1000000)
#define REST_US                                                                                    \
	(10 * SECOND_US) /* that a bucket is kept when it is full: clocks of processes differ */
#define MAX_GRACE_US (SECOND_US / 50)
#define BACK_US (60 * SECOND_US) /* so much further ahead than can be: the clock was set back */

static BmwTokenBucket *find(BmwTokenSet *set, uint64_t key);
static int64_t take(BmwTokenBucket *bucket, const BmwTokenRequest *request);
static BmwRateLimit limit_of(BmwTokenBucket *bucket, const BmwTokenRequest *request);
static int64_t grace_us(const BmwRateLimit *limit);
static int whose_turn(const BmwTokenBucket *bucket, int by);

int64_t
bmw_tokens_take(BmwTokenSet *set, const BmwTokenRequest *request)
{
	BmwTokenBucket *bucket = find(set, request->key);

	if (bucket->key == request->key)
		return take(bucket, request);
	if (bucket->key != 0 && bucket->full_us + REST_US > request->now_us)
		return request->may_exceed ? 0 : bucket->full_us + REST_US;
	*bucket = (BmwTokenBucket){.key = request->key};
	return take(bucket, request);
}

static int64_t
take(BmwTokenBucket *bucket, const BmwTokenRequest *request)
{
	const uint32_t me = UINT32_C(1) << request->by;
	const int next = whose_turn(bucket, request->by);
	BmwRateLimit limit = limit_of(bucket, request);
	int64_t open_us = bmw_rate_limit_next_us(&limit);

	if (next != request->by && request->now_us >= open_us &&
		request->now_us < open_us + grace_us(&limit))
		open_us += grace_us(&limit);
	if (open_us > request->now_us)
	{
		bucket->waiting |= me;
		return open_us;
	}
	bmw_rate_limit_started(&limit, request->now_us);
	bucket->full_us = limit.full_us;
	bucket->waiting &= ~(me | UINT32_C(1) << next);
	bucket->last = (uint32_t) request->by;
	return 0;
}

/* That of the key; else the one that has been full for longest. */
static BmwTokenBucket *
find(BmwTokenSet *set, uint64_t key)
{
	BmwTokenBucket *oldest = &set->buckets[0];

	for (int i = 0; i < BMW_TOKENS_IN_SET; i++)
	{
		BmwTokenBucket *bucket = &set->buckets[i];

		if (bucket->key == key)
			return bucket;
		if (bucket->full_us < oldest->full_us)
			oldest = bucket;
	}
	return oldest;
}

/* As it is in shared memory, but for what only a clock that was set back since can have left there. */
static BmwRateLimit
limit_of(BmwTokenBucket *bucket, const BmwTokenRequest *request)
{
	BmwRateLimit limit = {.full_us = bucket->full_us};
	int64_t most_us;

	bmw_rate_limit_set(&limit, request->rate, request->burst);
	most_us = request->now_us + limit.slack_us + limit.interval_us;
	if (limit.full_us > most_us + BACK_US)
		bucket->full_us = limit.full_us = most_us;
	return limit;
}

static int64_t
grace_us(const BmwRateLimit *limit)
{
	return limit->interval_us / 2 < MAX_GRACE_US ? limit->interval_us / 2 : MAX_GRACE_US;
}

/* Of those that wait the first after the last one; nobody waits: who asks. */
static int
whose_turn(const BmwTokenBucket *bucket, int by)
{
	for (int i = 1; i <= BMW_TOKENS_MAX_BY; i++)
	{
		int next = ((int) bucket->last + i) % BMW_TOKENS_MAX_BY;

		if (bucket->waiting & UINT32_C(1) << next)
			return next;
	}
	return by;
}
