/*
 * core/breaker.c - the circuit breaker of an endpoint.
 */
#include "core/breaker.h"

#define SECOND_US INT64_C(1000000)
#define HANGS_MIN_US SECOND_US
#define HANGS_MAX_US (5 * SECOND_US)
#define HANGS_LATENCIES 4

/* Probes: a quarter of the outage up to a second, a sixtieth up to ten. */
#define FIRST_US (SECOND_US / 10)
#define LAST_US (10 * SECOND_US)
#define FREE_PROBES 4 /* that hang; each further one makes the interval half as long again */

/* Misses in a row that open it, and times how many there are between two answers. */
#define MISSES 32
#define RUNS 12
#define RUNS_AVERAGED 16

static void open_at(BmwBreaker *breaker, int in_flight, int64_t now_us);
static int64_t close_at(BmwBreaker *breaker, int64_t now_us);
static void miss(BmwBreaker *breaker, BmwAnswer answer, int in_flight, int64_t latency_us,
				 int64_t now_us);
static int64_t interval_us(const BmwBreaker *breaker);

int64_t
bmw_breaker_probe_us(const BmwBreaker *breaker)
{
	return breaker->probe_us + interval_us(breaker);
}

int64_t
bmw_breaker_hangs_us(const BmwBreaker *breaker, int in_flight, int64_t latency_us)
{
	int64_t patience_us = HANGS_LATENCIES * latency_us;

	if (in_flight <= breaker->stuck)
		return INT64_MAX;
	if (patience_us < HANGS_MIN_US)
		patience_us = HANGS_MIN_US;
	if (patience_us > HANGS_MAX_US)
		patience_us = HANGS_MAX_US;
	return breaker->quiet_us + patience_us;
}

void
bmw_breaker_started(BmwBreaker *breaker, int in_flight, int64_t latency_us, int64_t now_us)
{
	if (!bmw_breaker_is_open(breaker) &&
		now_us >= bmw_breaker_hangs_us(breaker, in_flight, latency_us))
	{
		open_at(breaker, in_flight, breaker->quiet_us);
		breaker->probes_us = now_us;
	}
	if (bmw_breaker_is_open(breaker))
	{
		breaker->probe_us = now_us;
		breaker->stuck = in_flight + 1;
		breaker->stuck_us = now_us + 1;
		breaker->probes++;
	}
	else if (in_flight <= breaker->stuck)
		breaker->quiet_us = now_us;
}

int64_t
bmw_breaker_finished(BmwBreaker *breaker, BmwAnswer answer, int in_flight, int64_t latency_us,
					 int64_t started_us, int64_t now_us)
{
	breaker->quiet_us = now_us;
	if (breaker->stuck > 0 && started_us < breaker->stuck_us)
		breaker->stuck--;
	if (breaker->stuck > in_flight)
		breaker->stuck = in_flight;
	if (breaker->probes > 0 && started_us >= breaker->probes_us)
		breaker->probes--;
	if (answer == BMW_ANSWER_UNKNOWN)
		return 0;
	if (answer != BMW_ANSWER_SOME)
		miss(breaker, answer, in_flight, latency_us, now_us);
	else if (breaker->misses == 0 || started_us >= breaker->missed_us)
		return close_at(breaker, now_us);
	return 0;
}

void
bmw_breaker_shift(BmwBreaker *breaker, int64_t by_us)
{
	if (bmw_breaker_is_open(breaker))
		breaker->opened_us -= by_us;
	breaker->probe_us -= by_us;
	breaker->quiet_us -= by_us;
	breaker->stuck_us -= by_us;
	breaker->probes_us -= by_us;
	breaker->missed_us -= by_us;
}

static void
open_at(BmwBreaker *breaker, int in_flight, int64_t now_us)
{
	breaker->opened_us = now_us != 0 ? now_us : 1;
	breaker->stuck = in_flight;
	breaker->stuck_us = now_us + 1;
}

static int64_t
close_at(BmwBreaker *breaker, int64_t now_us)
{
	const int64_t opened_us = breaker->opened_us;

	breaker->run += ((float) breaker->misses - breaker->run) / RUNS_AVERAGED;
	breaker->misses = breaker->probes = 0;
	breaker->opened_us = 0;
	return opened_us != 0 ? now_us - opened_us + 1 : 0;
}

/* Who is busy may have others at work, whose answers are awaited. */
static void
miss(BmwBreaker *breaker, BmwAnswer answer, int in_flight, int64_t latency_us, int64_t now_us)
{
	if (breaker->misses++ == 0)
		breaker->missed_us = now_us;
	if (bmw_breaker_is_open(breaker) || (float) breaker->misses < MISSES + RUNS * breaker->run ||
		(answer == BMW_ANSWER_BUSY && now_us - breaker->missed_us < FIRST_US + 2 * latency_us))
		return;
	open_at(breaker, in_flight, now_us);
	breaker->probe_us = now_us;
	breaker->probes_us = now_us + 1;
}

static int64_t
interval_us(const BmwBreaker *breaker)
{
	const int64_t outage_us = breaker->probe_us - breaker->opened_us;
	int64_t interval = outage_us / 4 < SECOND_US ? outage_us / 4 : SECOND_US;

	if (interval < outage_us / 60)
		interval = outage_us / 60;
	if (interval < FIRST_US)
		interval = FIRST_US;
	if (interval > LAST_US)
		interval = LAST_US;
	for (int i = FREE_PROBES; i < breaker->probes && interval < LAST_US; i++)
		interval += interval / 2;
	return interval;
}
