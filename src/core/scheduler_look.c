/*
 * core/scheduler_look.c - the look at all that waits in the table: for what SQL has
 * made due, and for whatever else was not heard of.
 */
#include "core/scheduler_internal.h"

#define LOOK_INTERVAL_US (60 * BMW_SECOND_US)
#define LOOK_AGAIN 1000 /* messages: their heads may have been missed */

bool
bmw_scheduler_wants_rows(BmwScheduler *scheduler, bool is_announced)
{
	int64_t endpoint_id;

	return bmw_scheduler_wants_fetch(scheduler) ||
		   bmw_scheduler_next_unlearnt(scheduler, &endpoint_id) ||
		   bmw_scheduler_wants_look(scheduler, is_announced);
}

bool
bmw_scheduler_wants_look(const BmwScheduler *scheduler, bool is_announced)
{
	return is_announced || scheduler->now_us >= scheduler->look_at_us;
}

/* An endpoint may have given the order up while no dispatcher ran. */
bool
bmw_scheduler_looks_at_held(const BmwScheduler *scheduler)
{
	return !scheduler->has_looked;
}

void
bmw_scheduler_looked(BmwScheduler *scheduler)
{
	bmw_order_want_some(scheduler->order, LOOK_AGAIN);
	scheduler->has_looked = true;
	scheduler->look_at_us = scheduler->now_us + LOOK_INTERVAL_US;
}
