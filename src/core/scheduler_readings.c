/*
 * core/scheduler_readings.c - when endpoints are read, and what holds until all that has changed was.
 */
#include "core/scheduler_internal.h"

#define REST_FACTOR 2 /* between two readings, times what one took: a third of the time at most */
#define MAX_REST_US (BMW_SECOND_US / 4)
#define LOCK_RETRY_US (BMW_SECOND_US / 10)

static int64_t rest_after(const BmwReadings *readings, int64_t took_us);

bool
bmw_scheduler_wants_endpoints(BmwScheduler *scheduler, bool has_changed)
{
	BmwReadings *readings = &scheduler->readings;
	BmwPass *pass = scheduler->passes.current;

	readings->has_changed = has_changed;
	if (!has_changed)
	{
		readings->is_behind = false;
		if (pass != NULL)
			pass->has_endpoints = true;
	}
	return has_changed && scheduler->now_us >= readings->again_us;
}

void
bmw_scheduler_endpoints_locked(BmwScheduler *scheduler)
{
	scheduler->readings.is_behind = true;
	scheduler->readings.again_us = scheduler->now_us + LOCK_RETRY_US;
}

void
bmw_scheduler_endpoints_read(BmwScheduler *scheduler, bool is_complete, int64_t took_us)
{
	BmwReadings *readings = &scheduler->readings;

	readings->again_us = scheduler->now_us + rest_after(readings, took_us);
	readings->is_loaded = readings->is_loaded || is_complete;
	readings->has_changed = readings->is_behind = !is_complete;
	if (is_complete && scheduler->passes.current != NULL)
		scheduler->passes.current->has_endpoints = true;
}

/* The first one reads all there are, for which nobody has to rest: events wait for the next. */
static int64_t
rest_after(const BmwReadings *readings, int64_t took_us)
{
	if (!readings->is_loaded)
		return 0;
	return took_us < MAX_REST_US / REST_FACTOR ? took_us * REST_FACTOR : MAX_REST_US;
}
