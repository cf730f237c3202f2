/*
 * test_backoff.c - the default schedule, jitter, exponential tables.
 */
#include "core/backoff.h"
#include "core/delays.h"

#include <math.h>

#include "unit.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)

static const int64_t default_delays[] = {
	5 * SECOND, 300 * SECOND, 1800 * SECOND, 2 * HOUR,	5 * HOUR,
	10 * HOUR,	14 * HOUR,	  20 * HOUR,	 24 * HOUR,
};

static void
test_delay(void)
{
	const BmwSchedule schedule = {default_delays, 9};
	const BmwSchedule none = {NULL, 0};

	for (int i = 0; i < 9; i++)
	{
		const int64_t delay = default_delays[i];

		CHECK_INT(bmw_backoff_delay(&schedule, i + 1, 0), delay * 8 / 10);
		CHECK_INT(bmw_backoff_delay(&schedule, i + 1, 0.5), delay);
		CHECK(bmw_backoff_delay(&schedule, i + 1, 0.999999) < delay * 12 / 10);
		CHECK(bmw_backoff_delay(&schedule, i + 1, 0.999999) > delay * 119 / 100);
	}
	CHECK_INT(bmw_backoff_delay(&schedule, 10, 0.5), BMW_BACKOFF_EXHAUSTED);
	CHECK_INT(bmw_backoff_delay(&schedule, 1000000, 0.5), BMW_BACKOFF_EXHAUSTED);
	CHECK_INT(bmw_backoff_delay(&schedule, 0, 0.5), 5 * SECOND);
	CHECK_INT(bmw_backoff_delay(&none, 1, 0.5), BMW_BACKOFF_EXHAUSTED);
}

static void
test_shared(void)
{
	const int64_t others[] = {SECOND, HOUR};
	const BmwSchedule usual = {default_delays, 9};
	const BmwSchedule other = {others, 2};
	const BmwSchedule none = {NULL, 0};
	const int64_t *latest = NULL;
	const int64_t *first = bmw_delays_share(&latest, &usual);
	const int64_t *second = bmw_delays_share(&latest, &usual);
	const int64_t *third = bmw_delays_share(&latest, &other);
	const int64_t *empty = bmw_delays_share(&latest, &none);

	CHECK(first == second && first != default_delays);
	CHECK_INT(first[8], 24 * HOUR);
	CHECK(third != first && empty != NULL);
	CHECK_INT(third[1], HOUR);
	bmw_delays_release(first);
	CHECK_INT(second[8], 24 * HOUR);
	bmw_delays_release(second);
	bmw_delays_release(third);
	bmw_delays_release(empty);
	bmw_delays_release(latest);
	bmw_delays_release(NULL);
}

static void
test_exponential(void)
{
	const int64_t doubled[] = {1, 2, 4, 8, 10, 10, 10};
	int64_t delays[BMW_BACKOFF_MAX_DELAYS];
	int length = -1;

	CHECK_INT(bmw_backoff_exponential(SECOND, 2, 10 * SECOND, 8, delays, &length), BMW_OK);
	CHECK_INT(length, 7);
	for (int i = 0; i < 7; i++)
		CHECK_INT(delays[i], doubled[i] * SECOND);

	CHECK_INT(bmw_backoff_exponential(100, 1.5, 1000, 4, delays, &length), BMW_OK);
	CHECK_INT(delays[0], 100);
	CHECK_INT(delays[1], 150);
	CHECK_INT(delays[2], 225);

	CHECK_INT(bmw_backoff_exponential(7, 1, 7, 4, delays, &length), BMW_OK);
	CHECK_INT(delays[2], 7);
	CHECK_INT(bmw_backoff_exponential(7, 2, 7, 1, delays, &length), BMW_OK);
	CHECK_INT(length, 0);

	/* A factor that overflows at once, and the longest table. */
	CHECK_INT(bmw_backoff_exponential(1, 1e308, BMW_BACKOFF_MAX_DELAY_US,
									  BMW_BACKOFF_MAX_DELAYS + 1, delays, &length),
			  BMW_OK);
	CHECK_INT(length, BMW_BACKOFF_MAX_DELAYS);
	CHECK_INT(delays[0], 1);
	CHECK_INT(delays[1], BMW_BACKOFF_MAX_DELAY_US);
	CHECK_INT(delays[99], BMW_BACKOFF_MAX_DELAY_US);
}

static BmwStatus
exponential(int64_t base_us, double factor, int64_t max_us, int attempts)
{
	int64_t delays[BMW_BACKOFF_MAX_DELAYS];
	int length;

	return bmw_backoff_exponential(base_us, factor, max_us, attempts, delays, &length);
}

static void
test_refused(void)
{
	CHECK_INT(exponential(0, 2, 10, 3), BMW_ERROR_SYNTAX);
	CHECK_INT(exponential(-1, 2, 10, 3), BMW_ERROR_SYNTAX);
	CHECK_INT(exponential(1, 0.99, 10, 3), BMW_ERROR_SYNTAX);
	CHECK_INT(exponential(1, -2, 10, 3), BMW_ERROR_SYNTAX);
	CHECK_INT(exponential(1, NAN, 10, 3), BMW_ERROR_SYNTAX);
	CHECK_INT(exponential(1, INFINITY, 10, 3), BMW_ERROR_SYNTAX);
	CHECK_INT(exponential(10, 2, 9, 3), BMW_ERROR_SYNTAX);
	CHECK_INT(exponential(1, 2, 10, 0), BMW_ERROR_SYNTAX);
	CHECK_INT(exponential(1, 2, 10, INT32_MIN), BMW_ERROR_SYNTAX);
	CHECK_INT(exponential(1, 2, 10, BMW_BACKOFF_MAX_DELAYS + 2), BMW_ERROR_TOO_LARGE);
	CHECK_INT(exponential(1, 2, BMW_BACKOFF_MAX_DELAY_US + 1, 3), BMW_ERROR_TOO_LARGE);
	CHECK_INT(exponential(1, 2, BMW_BACKOFF_MAX_DELAY_US, 3), BMW_OK);
}

int
main(void)
{
	test_delay();
	test_shared();
	test_exponential();
	test_refused();
	return unit_finish("backoff");
}
