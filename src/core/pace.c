/*
 * core/pace.c - the rate at which a receiver that limits it is sent to.
 *
 * The rate is measured over a second at least, or twice the latency: with less,
 * what a burst was allowed would count as a rate.
 */
#include "core/pace.h"

#include <stdbool.h>

#define SECOND_US INT64_C(1000000)
#define LOWER 0.93		   /* of what was accepted */
#define RETURN_US 8000000  /* from there to what was accepted */
#define SLACK_US 10000	   /* that a late start may be made up for */
#define UNUSED_US 30000000 /* without use, the pace ends */
#define NOTHING 0.05	   /* of what was accepted before */
#define MOST 3.0		   /* times the peak: it does not limit any more */
#define MIN_RATE 1.0
#define MANY 4			/* refusals, */
#define MANY_OF 50		/* among so many requests; more, when some are usual */
#define MUCH_MORE 2.5	/* times the usual */
#define USUAL_MOST 0.04 /* more is never usual: others may send there as well */
#define ENOUGH 200		/* requests, to know what is usual */

static bool says_nothing(const BmwPace *pace);
static double usual_of(const BmwPace *pace);
static double share_below(const BmwPace *pace);
static bool is_below(const BmwPace *pace);
static void count(BmwPace *pace, bool is_refused);
static void measure(BmwPace *pace, int64_t period_us, int64_t now_us);
static void raise_rate(BmwPace *pace, int64_t now_us);
static void note_if_nothing_is_accepted(BmwPace *pace);
static bool is_regaining(const BmwPace *pace);
static void regain(BmwPace *pace, int64_t latency_us, int64_t now_us);
static int64_t period_of(int64_t latency_us);

int64_t
bmw_pace_next_us(const BmwPace *pace)
{
	return pace->rate > 0 ? pace->next_us : 0;
}

void
bmw_pace_started(BmwPace *pace, int64_t now_us)
{
	if (pace->meter_us == 0)
		pace->meter_us = now_us;
	if (pace->rate <= 0)
		return;
	if (pace->next_us < now_us - SLACK_US)
		pace->next_us = now_us - SLACK_US;
	else
		pace->used_us = now_us;
	pace->next_us += (int64_t) ((double) SECOND_US / pace->rate);
}

void
bmw_pace_succeeded(BmwPace *pace, int64_t latency_us, int64_t now_us)
{
	if (now_us < pace->meter_us)
		return;
	pace->successes++;
	count(pace, false);
	if (pace->before > 0)
		regain(pace, latency_us, now_us);
	measure(pace, period_of(latency_us), now_us);
}

void
bmw_pace_refused(BmwPace *pace, double guess, int64_t latency_us, int64_t now_us)
{
	const int64_t period_us = period_of(latency_us);
	double rate = guess;

	if (pace->rate > 0 && now_us - pace->lowered_us < period_us + latency_us && !is_regaining(pace))
		return;
	count(pace, true);
	if (says_nothing(pace))
		return;
	measure(pace, period_us, now_us);
	note_if_nothing_is_accepted(pace);
	if (pace->accepted > 0 && (pace->rate > 0 || pace->accepted > guess))
		rate = pace->accepted;
	bmw_pace_limit(pace, rate, latency_us, now_us);
	pace->is_asked_for = true;
}

void
bmw_pace_measure(BmwPace *pace, int64_t from_us)
{
	pace->meter_us = from_us;
	pace->successes = 0;
	pace->accepted = 0;
}

bool
bmw_pace_is_measured(const BmwPace *pace, int64_t latency_us, int64_t now_us)
{
	return pace->accepted > 0 || now_us - pace->meter_us >= period_of(latency_us);
}

double
bmw_pace_accepted(const BmwPace *pace, int64_t now_us)
{
	const int64_t passed_us = now_us - pace->meter_us;

	if (pace->accepted > 0 || passed_us <= 0)
		return pace->accepted;
	return pace->successes * (double) SECOND_US / (double) passed_us;
}

void
bmw_pace_limit(BmwPace *pace, double accepted, int64_t latency_us, int64_t now_us)
{
	if (pace->rate > 0 && pace->rate < accepted)
		accepted = pace->rate;
	if (accepted < MIN_RATE)
		accepted = MIN_RATE;
	pace->peak = accepted;
	pace->rate = accepted * LOWER;
	pace->lowered_us = pace->used_us = now_us;
	pace->usual = usual_of(pace);
	pace->served = pace->refused = pace->below = pace->below_refused = 0;
	bmw_pace_measure(pace, now_us + latency_us);
}

void
bmw_pace_doubt(BmwPace *pace)
{
	if (!pace->is_asked_for)
		pace->rate = 0;
}

void
bmw_pace_shift(BmwPace *pace, int64_t by_us)
{
	pace->lowered_us -= by_us;
	pace->doubled_us -= by_us;
	pace->next_us -= by_us;
	pace->used_us -= by_us;
	if (pace->meter_us != 0)
		pace->meter_us -= by_us;
}

/* One that was refused below the rate that was accepted is not refused for the rate. */
static bool
says_nothing(const BmwPace *pace)
{
	const double usual = usual_of(pace);

	return (usual > 0 || is_below(pace)) && pace->refused < MANY + MUCH_MORE * usual * MANY_OF;
}

static double
usual_of(const BmwPace *pace)
{
	return pace->below >= ENOUGH ? share_below(pace) : pace->usual;
}

static double
share_below(const BmwPace *pace)
{
	const double share = (double) pace->below_refused / (pace->below > 0 ? pace->below : 1);

	return share < USUAL_MOST ? share : USUAL_MOST;
}

static bool
is_below(const BmwPace *pace)
{
	return pace->rate > 0 && pace->rate < pace->peak;
}

static void
count(BmwPace *pace, bool is_refused)
{
	if (pace->served + pace->refused >= MANY_OF)
		pace->served = pace->refused = 0;
	pace->served += !is_refused;
	pace->refused += is_refused;
	pace->below += is_below(pace);
	pace->below_refused += is_below(pace) && is_refused;
}

static void
measure(BmwPace *pace, int64_t period_us, int64_t now_us)
{
	const int64_t passed_us = now_us - pace->meter_us;

	if (pace->meter_us == 0 || passed_us < period_us)
		return;
	pace->accepted = pace->successes * (double) SECOND_US / (double) passed_us;
	pace->meter_us = now_us;
	pace->successes = 0;
	if (pace->rate > 0)
		raise_rate(pace, now_us);
}

static void
raise_rate(BmwPace *pace, int64_t now_us)
{
	const double passed = (double) (now_us - pace->lowered_us - RETURN_US) / RETURN_US;
	const double wanted = pace->peak * (1 + (1 - LOWER) * passed * passed * passed);

	if (is_below(pace) && wanted >= pace->peak)
		pace->usual = share_below(pace);
	if (wanted > pace->rate)
		pace->rate = wanted;
	if (pace->rate > MOST * pace->peak || now_us - pace->used_us > UNUSED_US)
	{
		pace->rate = pace->before = 0;
		pace->is_asked_for = false;
	}
}

/* But for what was at work then. Once doubling led to a refusal, what was before is no more. */
static void
note_if_nothing_is_accepted(BmwPace *pace)
{
	const double before = pace->before > 0 ? pace->before : pace->peak;
	const bool is_nothing = pace->rate > 0 && pace->accepted < NOTHING * before;

	pace->before = is_nothing && pace->doubled_us < pace->lowered_us ? before : 0;
}

/* Has it been doubled since it was lowered? */
static bool
is_regaining(const BmwPace *pace)
{
	return pace->before > 0 && pace->doubled_us > pace->lowered_us;
}

/* Its answers to the last rate are here: so long after it began, and one interval. */
static void
regain(BmwPace *pace, int64_t latency_us, int64_t now_us)
{
	const int64_t interval_us = (int64_t) ((double) SECOND_US / pace->rate);

	if (now_us < pace->doubled_us + latency_us + interval_us)
		return;
	pace->doubled_us = now_us;
	pace->rate *= 2;
	pace->next_us = now_us;
	if (pace->rate < LOWER * pace->before)
		return;
	pace->rate = LOWER * pace->before;
	pace->peak = pace->before;
	pace->before = 0;
	pace->lowered_us = now_us;
}

static int64_t
period_of(int64_t latency_us)
{
	return 2 * latency_us > SECOND_US ? 2 * latency_us : SECOND_US;
}
