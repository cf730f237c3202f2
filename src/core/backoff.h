/*
 * core/backoff.h - when to try again.
 *
 * A schedule is an array of delays in microseconds: delays[0] follows the
 * first attempt. A delivery has length + 1 attempts. Jitter is +-20 %.
 */
#ifndef BMW_CORE_BACKOFF_H
#define BMW_CORE_BACKOFF_H

#include <stdint.h>

#include "core/status.h"

#define BMW_BACKOFF_MAX_DELAYS 100
#define BMW_BACKOFF_MAX_DELAY_US (INT64_C(30) * 86400 * 1000000)
#define BMW_BACKOFF_EXHAUSTED (-1)

typedef struct BmwSchedule
{
	const int64_t *delays_us;
	int length;
} BmwSchedule;

/*
 * Delay after `attempts_made` (>= 1) attempts, jittered by random in [0, 1):
 * delay * (0.8 + 0.4 * random). BMW_BACKOFF_EXHAUSTED when none is left.
 */
extern int64_t bmw_backoff_delay(const BmwSchedule *schedule, int attempts_made, double random);

/*
 * Writes base * factor^i, each capped at max, for i = 0 .. attempts - 2 (the
 * first attempt has no delay before it) and returns how many in *length.
 * BMW_ERROR_SYNTAX when base <= 0, factor < 1 or not finite, max < base,
 * attempts < 1; BMW_ERROR_TOO_LARGE when attempts - 1 > BMW_BACKOFF_MAX_DELAYS
 * or max > BMW_BACKOFF_MAX_DELAY_US.
 */
extern BmwStatus bmw_backoff_exponential(int64_t base_us, double factor, int64_t max_us,
										 int attempts, int64_t *delays_us, int *length);

#endif
