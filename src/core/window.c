/*
 * core/window.c - how many requests an endpoint may have in flight: a window that tunes itself.
 *
 * What is judged are rounds: requests that started after the last change, some
 * dozen of them, so that each judgement sees what the last one has led to.
 */
#include "core/window.h"

#include <math.h>
#include <stddef.h>

#include "core/window_internal.h"

#define SECOND_US INT64_C(1000000)
#define START 4
#define SHORT_US (3 * SECOND_US) /* of an outage: half of the window is kept */

#define GROW_PART 20 /* of the window, a round */
#define RESERVE_FROM 64
#define RESERVE_PART 16
#define REFUSING 0.05 /* of all requests, whatever is done: worth telling */
#define USED 0.75	  /* of the window: then it may be what limits */

static BmwAnswer answer_of(BmwWindowEnd end);
static double possible_rate(const BmwWindow *window);
static void reopen(BmwWindow *window, int64_t open_us, int64_t now_us);
static bool is_measured(BmwWindow *window, int64_t now_us);
static void judge(BmwWindow *window, int64_t now_us);
static bool is_time_to_test(const BmwWindow *window, const BmwFindings *findings, int64_t now_us);
static void decide(BmwWindow *window, const BmwFindings *findings, int64_t now_us);
static void grow(BmwWindow *window);
static int places(const BmwWindow *window);
static int reserve(const BmwWindow *window);

void
bmw_window_begin(BmwWindow *window, int max, int64_t now_us)
{
	bmw_window_test_end(window);
	*window =
		(BmwWindow){.max = max, .is_doubling = true, .test_after_us = BMW_WINDOW_TEST_AFTER_US};
	bmw_window_round_begin(window, now_us - 1);
	bmw_window_set_size(window, START);
}

void
bmw_window_end(BmwWindow *window)
{
	bmw_window_test_end(window);
}

void
bmw_window_set_max(BmwWindow *window, int max)
{
	const bool was_limit = window->size >= window->max - reserve(window);

	window->max = max;
	bmw_window_set_size(window, was_limit && window->size < START ? START : window->size);
}

int64_t
bmw_window_next_us(const BmwWindow *window, int in_flight)
{
	const BmwBreaker *breaker = &window->breaker;

	if (in_flight >= window->max)
		return INT64_MAX;
	if (bmw_breaker_is_open(breaker))
		return bmw_breaker_probe_us(breaker);
	if (in_flight - breaker->stuck >= places(window))
		return bmw_breaker_hangs_us(breaker, in_flight, (int64_t) window->base_us);
	return bmw_pace_next_us(&window->pace);
}

void
bmw_window_started(BmwWindow *window, int in_flight, int64_t now_us)
{
	bmw_breaker_started(&window->breaker, in_flight, (int64_t) window->base_us, now_us);
	bmw_pace_started(&window->pace, now_us);
	bmw_window_round_join(window, in_flight + 1 - window->breaker.stuck, now_us);
}

void
bmw_window_finished(BmwWindow *window, BmwWindowEnd end, int in_flight, int64_t started_us,
					int64_t now_us)
{
	const int64_t open_us = bmw_breaker_finished(&window->breaker, answer_of(end), in_flight,
												 (int64_t) window->base_us, started_us, now_us);

	if (open_us > 0)
		reopen(window, open_us, now_us);
	if (end == BMW_WINDOW_SUCCESS)
		bmw_pace_succeeded(&window->pace, (int64_t) window->base_us, now_us);
	if (end == BMW_WINDOW_LIMITED)
		bmw_pace_refused(&window->pace, possible_rate(window), (int64_t) window->base_us, now_us);
	if (started_us >= window->round.from_us && started_us <= window->round.to_us)
		bmw_window_round_count(window, end, now_us > started_us ? now_us - started_us : 1);
	if (bmw_window_round_is_complete(window, now_us))
		judge(window, now_us);
}

void
bmw_window_shift(BmwWindow *window, int64_t by_us)
{
	window->round.from_us -= by_us;
	if (window->round.to_us != INT64_MAX)
		window->round.to_us -= by_us;
	window->tested_us -= by_us;
	if (window->failing_us != 0)
		window->failing_us -= by_us;
	bmw_pace_shift(&window->pace, by_us);
	if (window->test.pace != NULL)
		bmw_pace_shift(window->test.pace, by_us);
	bmw_breaker_shift(&window->breaker, by_us);
}

int
bmw_window_allowed(const BmwWindow *window)
{
	return bmw_breaker_is_open(&window->breaker) ? 1 : places(window);
}

BmwWindowReason
bmw_window_reason(const BmwWindow *window)
{
	const bool is_full = places(window) >= window->max - reserve(window);

	if (bmw_breaker_is_open(&window->breaker))
		return BMW_WINDOW_SILENT;
	if (window->pace.rate > 0 && window->pace.is_asked_for)
		return BMW_WINDOW_LIMITING;
	if (window->pace.rate > 0 || window->base_share > REFUSING || window->failing_us != 0)
		return BMW_WINDOW_REFUSING;
	if (!window->is_doubling && window->test.late_us > 0 && !is_full)
		return BMW_WINDOW_LATE;
	return BMW_WINDOW_FREE;
}

static BmwAnswer
answer_of(BmwWindowEnd end)
{
	switch (end)
	{
		case BMW_WINDOW_SUCCESS:
		case BMW_WINDOW_FAILURE:
		case BMW_WINDOW_LIMITED:
			return BMW_ANSWER_SOME;
		case BMW_WINDOW_OVERLOAD:
			return BMW_ANSWER_BUSY;
		case BMW_WINDOW_UNANSWERED:
			return BMW_ANSWER_NONE;
		case BMW_WINDOW_VOID:
			break;
	}
	return BMW_ANSWER_UNKNOWN;
}

/* More than that cannot have been sent. */
static double
possible_rate(const BmwWindow *window)
{
	const double latency_us = window->base_us > 0 ? window->base_us : (double) SECOND_US / 10;

	return window->size * (double) SECOND_US / latency_us;
}

/* After an outage: carefully, but what it could do before is soon reached. */
static void
reopen(BmwWindow *window, int64_t open_us, int64_t now_us)
{
	if (window->test.is_on)
		window->size = window->test.size;
	bmw_window_set_size(window,
						open_us < SHORT_US && window->size / 2 > START ? window->size / 2 : START);
	window->is_doubling = true;
	bmw_window_test_end(window);
	bmw_window_round_begin(window, now_us);
}

static void
judge(BmwWindow *window, int64_t now_us)
{
	BmwFindings findings = bmw_window_round_end(window, now_us);

	if (window->test.is_on)
		bmw_window_test_conclude(window, &findings, now_us);
	else
	{
		bmw_window_learn(window, &findings);
		if (!findings.is_failing)
			window->failing_us = 0;
		if (is_time_to_test(window, &findings, now_us))
			findings.is_late = true;
		decide(window, &findings, now_us);
	}
	bmw_window_round_begin(window, now_us);
}

/* Now and then it is seen whether less would do: what was learnt while others made it slow is forgotten. */
static bool
is_time_to_test(const BmwWindow *window, const BmwFindings *findings, int64_t now_us)
{
	return !window->is_doubling && now_us - window->tested_us > window->test_after_us &&
		   window->round.most >= USED * places(window) && findings->mean_us > BMW_WINDOW_OURS_US;
}

static void
decide(BmwWindow *window, const BmwFindings *findings, int64_t now_us)
{
	if (findings->is_failing && !is_measured(window, now_us))
		return;
	if (findings->is_late || findings->is_failing)
		bmw_window_test_begin(window, findings, now_us);
	else
		grow(window);
}

/* So many are refused: how many are accepted, must be known before fewer are sent. */
static bool
is_measured(BmwWindow *window, int64_t now_us)
{
	const int64_t latency_us = (int64_t) window->base_us;

	if (window->pace.rate > 0)
		return true;
	if (window->failing_us == 0)
	{
		window->failing_us = now_us;
		bmw_pace_measure(&window->pace, now_us + latency_us);
	}
	return bmw_pace_is_measured(&window->pace, latency_us, now_us);
}

/* The lowest is the norm; slowly, because a round may have been lucky. */
void
bmw_window_learn(BmwWindow *window, const BmwFindings *findings)
{
	if (window->base_us <= 0)
		window->base_us = findings->mean_us;
	else if (findings->mean_us > 0 && findings->mean_us + 2 * findings->error_us < window->base_us)
		window->base_us = findings->mean_us + 2 * findings->error_us;
	if (findings->share + 2 * findings->share_error < window->base_share)
		window->base_share = findings->share + 2 * findings->share_error;
}

static void
grow(BmwWindow *window)
{
	const double step = window->size / GROW_PART > 1 ? window->size / GROW_PART : 1;

	if (window->round.good == 0 || window->round.most < USED * places(window))
		return;
	bmw_window_set_size(window, window->is_doubling ? 2 * window->size : window->size + step);
}

void
bmw_window_set_size(BmwWindow *window, double size)
{
	const int most = window->max - reserve(window);

	if (size > most)
		size = most;
	window->size = size >= 1 ? size : 1;
}

static int
places(const BmwWindow *window)
{
	return (int) window->size;
}

/* Places that only probes use. */
static int
reserve(const BmwWindow *window)
{
	return window->max >= RESERVE_FROM ? window->max / RESERVE_PART : 0;
}
