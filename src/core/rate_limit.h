/*
 * core/rate_limit.h - so many requests a second, exactly: a token bucket.
 *
 * In any second no more than `rate + burst` start: up to `burst` at once, after a
 * pause, and otherwise one each 1/rate second (generic cell rate algorithm, ATM
 * Forum TM 4.0, 4.4.2). pace.h is for what a receiver is found to accept; this is
 * what somebody has said.
 */
#ifndef BMW_CORE_RATE_LIMIT_H
#define BMW_CORE_RATE_LIMIT_H

#include <stdint.h>

/* Zeroed memory limits nothing. */
typedef struct BmwRateLimit
{
	int64_t interval_us; /* 0: no limit */
	int64_t slack_us;	 /* that the burst is worth */
	int64_t full_us;	 /* when the bucket is full again */
} BmwRateLimit;

/* rate: a second, at most a million; 0: no limit. What was used before, counts on. */
extern void bmw_rate_limit_set(BmwRateLimit *limit, int rate, int burst);
/* When may the next request start; in the past: now. */
extern int64_t bmw_rate_limit_next_us(const BmwRateLimit *limit);
extern void bmw_rate_limit_started(BmwRateLimit *limit, int64_t now_us);
extern void bmw_rate_limit_shift(BmwRateLimit *limit, int64_t by_us);

#endif
