/*
 * core/backoff.c - when to try again.
 *
 * Attempts are counted from 1, delays from 0: the delay after attempt n is
 * delays_us[n - 1]. Jitter goes both ways, so a delay can be 20 % longer than
 * the schedule says, and than BMW_BACKOFF_MAX_DELAY_US. Delays are below 2^53
 * microseconds, so a double holds them exactly.
 */
#include "core/backoff.h"

#include <math.h>

#define JITTER_LEAST 0.8
#define JITTER_SPREAD 0.4

int64_t
bmw_backoff_delay(const BmwSchedule *schedule, int attempts_made, double random)
{
	/* None made cannot be; the first delay is the harmless answer. */
	const int index = attempts_made < 1 ? 0 : attempts_made - 1;

	if (index >= schedule->length)
		return BMW_BACKOFF_EXHAUSTED;
	return (int64_t) ((double) schedule->delays_us[index] *
					  (JITTER_LEAST + JITTER_SPREAD * random));
}

BmwStatus
bmw_backoff_exponential(int64_t base_us, double factor, int64_t max_us, int attempts,
						int64_t *delays_us, int *length)
{
	*length = 0;
	/* !(factor >= 1) is true for NaN. */
	if (base_us <= 0 || !(factor >= 1) || !isfinite(factor) || max_us < base_us || attempts < 1)
		return BMW_ERROR_SYNTAX;
	if (attempts - 1 > BMW_BACKOFF_MAX_DELAYS || max_us > BMW_BACKOFF_MAX_DELAY_US)
		return BMW_ERROR_TOO_LARGE;

	const double max = (double) max_us;
	double delay = (double) base_us;

	for (int i = 0; i < attempts - 1; i++)
	{
		delays_us[i] = (int64_t) (delay + 0.5);
		/* Capped at each step, so that the product never grows to infinity. */
		delay = delay * factor < max ? delay * factor : max;
	}
	*length = attempts - 1;
	return BMW_OK;
}
