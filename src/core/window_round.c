/*
 * core/window_round.c - what is seen of requests that were started one after the other.
 */
#include <math.h>

#include "core/window_internal.h"

/* Successes in a round: eight times the window, within these bounds, or the window. */
#define ROUND_MIN 16
#define ROUND_MAX 64
#define ROUND_WINDOWS 8
#define TEST_ROUNDS 2 /* a test is as long as so many */

/* What counts as late and as failing. */
#define LATE 1.3	/* times the base latency, and what chance may add */
#define CLIP 8.0	/* one answer counts as no more than this times the base */
#define CHANCE 3.0	/* standard errors */
#define FAILING 0.1 /* more refusals than usual, of all requests */
#define FAILING_PART 1.3

static bool is_full(const BmwWindow *window);
static double round_length(const BmwWindow *window);
static void count_missing(BmwWindow *window, int64_t now_us);

void
bmw_window_round_begin(BmwWindow *window, int64_t now_us)
{
	window->round = (BmwWindowRound){.from_us = now_us + 1, .to_us = INT64_MAX};
}

void
bmw_window_round_join(BmwWindow *window, int in_flight, int64_t now_us)
{
	BmwWindowRound *round = &window->round;

	if (now_us < round->from_us || now_us > round->to_us)
		return;
	if (in_flight > round->most)
		round->most = in_flight;
	round->started++;
	if (round->to_us == INT64_MAX && is_full(window))
		round->to_us = now_us;
}

void
bmw_window_round_count(BmwWindow *window, BmwWindowEnd end, int64_t latency_us)
{
	BmwWindowRound *round = &window->round;
	double latency = (double) latency_us;

	switch (end)
	{
		case BMW_WINDOW_SUCCESS:
			if (window->base_us > 0 && latency > CLIP * window->base_us)
				latency = CLIP * window->base_us;
			round->good++;
			round->sum_us += latency;
			round->square_us += latency * latency;
			break;
		case BMW_WINDOW_OVERLOAD:
		case BMW_WINDOW_UNANSWERED:
			round->bad++;
			break;
		case BMW_WINDOW_FAILURE:
		case BMW_WINDOW_LIMITED:
		case BMW_WINDOW_VOID:
			round->other++;
			break;
	}
}

/* The last few are not waited for longer than answers usually need. */
bool
bmw_window_round_is_complete(const BmwWindow *window, int64_t now_us)
{
	const BmwWindowRound *round = &window->round;
	const int missing = round->started - round->good - round->bad - round->other;
	const double waited_us = (double) (now_us - round->to_us);

	if (round->to_us == INT64_MAX)
		return false;
	if (missing <= 0)
		return true;
	return window->base_us > 0 &&
		   (waited_us > CLIP * window->base_us ||
			(missing <= round->started / ROUND_MIN && waited_us > 2 * window->base_us));
}

BmwFindings
bmw_window_round_end(BmwWindow *window, int64_t now_us)
{
	count_missing(window, now_us);

	const BmwWindowRound *round = &window->round;
	const int all = round->good + round->bad > 0 ? round->good + round->bad : 1;
	BmwFindings findings = {.share = (double) round->bad / all};
	const double usual = window->base_share;
	const double more = findings.share - usual;

	findings.share_error = sqrt(findings.share * (1 - findings.share) / all);
	findings.accepted = bmw_pace_accepted(&window->pace, now_us);
	findings.is_failing = more > FAILING && findings.share > FAILING_PART * usual &&
						  more * all > CHANCE * sqrt(usual * (1 - usual) * all);
	if (round->good == 0)
		return findings;
	findings.mean_us = round->sum_us / round->good;

	const double variance = round->square_us / round->good - findings.mean_us * findings.mean_us;

	findings.error_us = variance > 0 ? sqrt(variance / round->good) : 0;
	findings.is_late = window->base_us > 0 &&
					   findings.mean_us > window->base_us + BMW_WINDOW_OURS_US &&
					   findings.mean_us > LATE * window->base_us + CHANCE * findings.error_us;
	return findings;
}

/* Refused requests do not count, so that it has enough of the others; up to a bound. */
static bool
is_full(const BmwWindow *window)
{
	const BmwWindowRound *round = &window->round;
	const double wanted = round_length(window);

	return round->started - round->bad - round->other >= wanted || round->started >= 4 * wanted;
}

static double
round_length(const BmwWindow *window)
{
	double length = window->size * ROUND_WINDOWS;

	if (length > ROUND_MAX)
		length = window->size > ROUND_MAX ? window->size : ROUND_MAX;
	if (window->is_doubling && !window->test.is_on)
		length = window->size;
	if (length < ROUND_MIN)
		length = ROUND_MIN;
	return window->test.is_on ? length * TEST_ROUNDS : length;
}

/* They are late, at least. */
static void
count_missing(BmwWindow *window, int64_t now_us)
{
	BmwWindowRound *round = &window->round;

	while (round->good + round->bad + round->other < round->started)
		bmw_window_round_count(window, BMW_WINDOW_SUCCESS, now_us - round->to_us);
}
