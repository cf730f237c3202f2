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

/* A test: by how much smaller, and what makes it better. */
#define SHRINK 0.7
#define SHRINK_MIN 0.5 /* also of a small window, which has few steps to go */
#define SMALL 8
#define STILL_SENT 0.82
#define ROOM 1.1 /* for what is accepted */
#define STILL_ACCEPTED 0.7
#define BETTER_SHARE 0.5 /* of what is refused beyond the usual */

/* The next test without a reason: times the length of this one, within bounds. */
#define AGAIN 6
#define AGAIN_SMALL 1
#define AGAIN_IN_VAIN 20
#define TEST_AFTER_MIN_US (4 * SECOND_US)
#define TEST_AFTER_MAX_US (60 * SECOND_US)

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
static void conclude(BmwWindow *window, const BmwFindings *findings, int64_t now_us);
static bool is_better(const BmwWindow *window, const BmwFindings *findings);
static void go_back(BmwWindow *window, const BmwFindings *findings);
static void plan_test(BmwWindow *window, int64_t now_us, int times);
static void learn(BmwWindow *window, const BmwFindings *findings);
static void begin_test(BmwWindow *window, const BmwFindings *findings, int64_t now_us);
static void grow(BmwWindow *window);
static void set_size(BmwWindow *window, double size);
static int places(const BmwWindow *window);
static int reserve(const BmwWindow *window);

void
bmw_window_begin(BmwWindow *window, int max, int64_t now_us)
{
	*window = (BmwWindow){.max = max, .is_doubling = true, .test_after_us = TEST_AFTER_MIN_US};
	bmw_window_round_begin(window, now_us - 1);
	set_size(window, START);
}

void
bmw_window_set_max(BmwWindow *window, int max)
{
	const bool was_limit = window->size >= window->max - reserve(window);

	window->max = max;
	set_size(window, was_limit && window->size < START ? START : window->size);
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
	bmw_pace_shift(&window->test.pace, by_us);
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
	set_size(window, open_us < SHORT_US && window->size / 2 > START ? window->size / 2 : START);
	window->is_doubling = true;
	window->test.is_on = false;
	bmw_window_round_begin(window, now_us);
}

static void
judge(BmwWindow *window, int64_t now_us)
{
	BmwFindings findings = bmw_window_round_end(window, now_us);

	if (window->test.is_on)
		conclude(window, &findings, now_us);
	else
	{
		learn(window, &findings);
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
		begin_test(window, findings, now_us);
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
static void
learn(BmwWindow *window, const BmwFindings *findings)
{
	if (window->base_us <= 0)
		window->base_us = findings->mean_us;
	else if (findings->mean_us > 0 && findings->mean_us + 2 * findings->error_us < window->base_us)
		window->base_us = findings->mean_us + 2 * findings->error_us;
	if (findings->share + 2 * findings->share_error < window->base_share)
		window->base_share = findings->share + 2 * findings->share_error;
}

static void
begin_test(BmwWindow *window, const BmwFindings *findings, int64_t now_us)
{
	double part = window->size <= SMALL ? SHRINK_MIN : SHRINK;

	window->test = (BmwWindowTest){.is_on = true,
								   .is_doubling = window->is_doubling,
								   .size = window->size,
								   .late_us = findings->is_late ? findings->mean_us : 0,
								   .share = findings->is_failing ? findings->share : 0,
								   .accepted = findings->accepted,
								   .pace = window->pace};
	window->tested_us = now_us;
	window->failing_us = 0;
	/* Little's law: so many are at work, the others wait, or are refused */
	if (findings->is_late && findings->mean_us * part > window->base_us)
		part = window->base_us / findings->mean_us;
	if (findings->is_failing)
	{
		part = ROOM * findings->accepted * fmax(findings->mean_us, window->base_us) /
			   (double) SECOND_US / window->size;
		bmw_pace_limit(&window->pace, findings->accepted, (int64_t) window->base_us, now_us);
	}
	if (part < SHRINK_MIN)
		part = SHRINK_MIN;
	set_size(window, window->size * (part < 1 ? part : 1));
	window->is_doubling = false;
}

/* Was it better with less? Otherwise it was not the number of requests, or not only ours. */
static void
conclude(BmwWindow *window, const BmwFindings *findings, int64_t now_us)
{
	BmwWindowTest *test = &window->test;
	const bool is_late = test->late_us > 0 && findings->mean_us > 0;

	test->is_on = false;
	if (is_better(window, findings))
	{
		plan_test(window, now_us, window->size <= SMALL ? AGAIN_SMALL : AGAIN);
		learn(window, findings);
		if (is_late && findings->mean_us > window->base_us)
			window->base_us += (findings->mean_us - window->base_us) / 4;
		return;
	}
	plan_test(window, now_us, AGAIN_IN_VAIN);
	if (test->share > 0)
	{
		window->base_share = findings->share;
		window->pace = test->pace;
		bmw_pace_doubt(&window->pace);
	}
	go_back(window, is_late ? findings : NULL);
	window->is_doubling = test->is_doubling;
}

static bool
is_better(const BmwWindow *window, const BmwFindings *findings)
{
	const BmwWindowTest *test = &window->test;
	const BmwWindowRound *round = &window->round;
	const double accepted =
		round->good * (double) SECOND_US / (double) (round->to_us - round->from_us + 1);

	if (test->share > 0 && accepted > STILL_ACCEPTED * test->accepted &&
		findings->share - window->base_share < BETTER_SHARE * (test->share - window->base_share))
		return true;
	/* Little's law: throughput is the window by the latency */
	return test->late_us > 0 && findings->mean_us > 0 &&
		   findings->mean_us * STILL_SENT * floor(test->size) < floor(window->size) * test->late_us;
}

/*
 * To the window before. Was it a little better, then others send to the receiver too: so
 * much less of the way, or all who send would drive each other up.
 */
static void
go_back(BmwWindow *window, const BmwFindings *findings)
{
	const BmwWindowTest *test = &window->test;
	double ours = 0;

	if (findings != NULL && window->size < test->size)
		ours = (1 - findings->mean_us / test->late_us) / (1 - window->size / test->size);
	if (ours < 0)
		ours = 0;
	if (ours > 1)
		ours = 1;
	if (findings != NULL)
		window->base_us += (findings->mean_us - window->base_us) * (1 - ours);
	set_size(window, window->size + (test->size - window->size) * (1 - ours));
}

/* Tests cost little of the time; the less, the less they find. */
static void
plan_test(BmwWindow *window, int64_t now_us, int times)
{
	int64_t after_us = (now_us - window->tested_us) * times;

	if (after_us < TEST_AFTER_MIN_US)
		after_us = TEST_AFTER_MIN_US;
	window->test_after_us = after_us < TEST_AFTER_MAX_US ? after_us : TEST_AFTER_MAX_US;
}

static void
grow(BmwWindow *window)
{
	const double step = window->size / GROW_PART > 1 ? window->size / GROW_PART : 1;

	if (window->round.good == 0 || window->round.most < USED * places(window))
		return;
	set_size(window, window->is_doubling ? 2 * window->size : window->size + step);
}

static void
set_size(BmwWindow *window, double size)
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
