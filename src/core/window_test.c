/*
 * core/window_test.c - a window is made smaller to see whether that helps.
 */
#include "core/window.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "core/window_internal.h"

#define SECOND_US INT64_C(1000000)

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
#define TEST_AFTER_MAX_US (60 * SECOND_US)

static BmwPace *copy_of(const BmwPace *pace);
static bool is_better(const BmwWindow *window, const BmwFindings *findings);
static void go_back(BmwWindow *window, const BmwFindings *findings);
static void plan_test(BmwWindow *window, int64_t now_us, int times);

void
bmw_window_test_begin(BmwWindow *window, const BmwFindings *findings, int64_t now_us)
{
	double part = window->size <= SMALL ? SHRINK_MIN : SHRINK;

	window->test = (BmwWindowTest){.is_on = true,
								   .is_doubling = window->is_doubling,
								   .size = window->size,
								   .late_us = findings->is_late ? findings->mean_us : 0,
								   .share = findings->is_failing ? findings->share : 0,
								   .accepted = findings->accepted,
								   .pace = findings->is_failing ? copy_of(&window->pace) : NULL};
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
	bmw_window_set_size(window, window->size * (part < 1 ? part : 1));
	window->is_doubling = false;
}

/* Endpoints at rest have none: there are very many of them. */
static BmwPace *
copy_of(const BmwPace *pace)
{
	BmwPace *copy = malloc(sizeof(*copy));

	if (copy != NULL)
		*copy = *pace;
	return copy;
}

/* Was it better with less? Otherwise it was not the number of requests, or not only ours. */
void
bmw_window_test_conclude(BmwWindow *window, const BmwFindings *findings, int64_t now_us)
{
	BmwWindowTest *test = &window->test;
	const bool is_late = test->late_us > 0 && findings->mean_us > 0;

	if (is_better(window, findings))
	{
		bmw_window_test_end(window);
		plan_test(window, now_us, window->size <= SMALL ? AGAIN_SMALL : AGAIN);
		bmw_window_learn(window, findings);
		if (is_late && findings->mean_us > window->base_us)
			window->base_us += (findings->mean_us - window->base_us) / 4;
		return;
	}
	plan_test(window, now_us, AGAIN_IN_VAIN);
	if (test->share > 0)
	{
		window->base_share = findings->share;
		if (test->pace != NULL)
			window->pace = *test->pace;
		bmw_pace_doubt(&window->pace);
	}
	bmw_window_test_end(window);
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
	bmw_window_set_size(window, window->size + (test->size - window->size) * (1 - ours));
}

/* Tests cost little of the time; the less, the less they find. */
static void
plan_test(BmwWindow *window, int64_t now_us, int times)
{
	int64_t after_us = (now_us - window->tested_us) * times;

	if (after_us < BMW_WINDOW_TEST_AFTER_US)
		after_us = BMW_WINDOW_TEST_AFTER_US;
	window->test_after_us = after_us < TEST_AFTER_MAX_US ? after_us : TEST_AFTER_MAX_US;
}

void
bmw_window_test_end(BmwWindow *window)
{
	window->test.is_on = false;
	free(window->test.pace);
	window->test.pace = NULL;
}
