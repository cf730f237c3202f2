/*
 * core/report.c - what a dispatcher does with each endpoint, for those who want to see it.
 */
#include "core/report.h"

#include <math.h>

#include "core/lane_internal.h"
#include "core/scheduler_internal.h"

#define STEP 100 /* of a rate: smaller changes are not new */

static BmwReport make(const BmwLane *lane, int64_t now_us);
static double rounded(double rate);
static bool is_another(const BmwLane *lane, const BmwReport *report);

bool
bmw_report_is_due(const BmwScheduler *scheduler)
{
	return !LIST_EMPTY(&scheduler->lanes->noted);
}

bool
bmw_report_next(BmwScheduler *scheduler, BmwReport *report)
{
	BmwLane *lane;

	while ((lane = LIST_FIRST(&scheduler->lanes->noted)) != NULL)
	{
		bmw_lane_forget_note(lane);
		*report = make(lane, scheduler->now_us);
		if (is_another(lane, report))
			report->since_us = scheduler->now_us;
		else if (report->in_flight == lane->reported.in_flight)
			continue;
		lane->reported = (BmwLaneReported){.in_flight = report->in_flight,
										   .allowed = report->allowed,
										   .reason = report->reason,
										   .rate = (float) report->rate,
										   .is_crowded = report->is_crowded,
										   .is_queueing = report->is_queueing,
										   .held_until_us = report->held_until_us,
										   .since_us = report->since_us};
		return true;
	}
	return false;
}

static BmwReport
make(const BmwLane *lane, int64_t now_us)
{
	const BmwWindow *window = &lane->window;
	BmwReport report = {.endpoint_id = lane->endpoint_id,
						.in_flight = lane->in_flight,
						.allowed = bmw_window_allowed(window),
						.rate = rounded(window->pace.rate),
						.reason = bmw_window_reason(window),
						.is_crowded = bmw_share_is_crowded(lane),
						.is_queueing = lane->visit.is_waiting,
						.since_us = lane->reported.since_us};

	if (bmw_breaker_is_open(&window->breaker))
		report.held_until_us = bmw_breaker_probe_us(&window->breaker);
	if (lane->hold_until_us > report.held_until_us)
		report.held_until_us = lane->hold_until_us;
	if (report.held_until_us <= now_us)
		report.held_until_us = 0;
	return report;
}

/* To a hundredth of itself. */
static double
rounded(double rate)
{
	const double unit = rate > 0 ? pow(10, floor(log10(rate))) / STEP : 1;

	return rate > 0 ? round(rate / unit) * unit : 0;
}

/* But for in_flight, which tells nothing of how it is. */
static bool
is_another(const BmwLane *lane, const BmwReport *report)
{
	const BmwLaneReported *last = &lane->reported;

	return report->allowed != last->allowed || report->reason != last->reason ||
		   (float) report->rate != last->rate || report->held_until_us != last->held_until_us ||
		   report->is_crowded != last->is_crowded || report->is_queueing != last->is_queueing;
}
