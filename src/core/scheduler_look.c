/*
 * core/scheduler_look.c - the look at all that waits in the table: for what SQL has
 * made due, and for whatever else was not heard of.
 *
 * It goes through the endpoints that have something waiting in the order of their
 * ids, some at a time, and others have their turn between: what it costs at once
 * does not depend on how many they are, nor on how much waits for each.
 */
#include <assert.h>

#include "core/scheduler_internal.h"

#define LOOK_INTERVAL_US (60 * BMW_SECOND_US)
#define LOOK_AGAIN 1000						/* messages: their heads may have been missed */
#define STEP_PAUSE_US (BMW_SECOND_US / 500) /* between two steps */
#define STEP_LONG_US (BMW_SECOND_US / 100)	/* then the next one is shorter */
#define STEP_MOST 100						/* endpoints */
#define STEP_LEAST 5

bool
bmw_scheduler_wants_rows(BmwScheduler *scheduler)
{
	int64_t endpoint_id;

	return bmw_scheduler_wants_fetch(scheduler) ||
		   bmw_scheduler_next_unlearnt(scheduler, &endpoint_id, 1) > 0 ||
		   bmw_scheduler_wants_look(scheduler);
}

void
bmw_scheduler_rows_are_due(BmwScheduler *scheduler)
{
	BmwLooking *looking = &scheduler->looking;
	int64_t soon_us = looking->ended_us + BMW_SECOND_US;

	looking->is_wanted_again = looking->is_under_way;
	if (!looking->is_under_way && soon_us < looking->next_us)
		looking->next_us = soon_us;
}

/* An id of which nothing is known is left to the next look. */
void
bmw_scheduler_rows_are_due_for(BmwScheduler *scheduler, int64_t endpoint_id)
{
	BmwTarget *target = bmw_target_find(scheduler, endpoint_id);

	if (target == NULL || target->is_gone)
		return;
	bmw_target_expect(target, 0);
	if (target->rules.is_ordered)
		bmw_order_want_some(scheduler->order, LOOK_AGAIN);
}

bool
bmw_scheduler_wants_look(const BmwScheduler *scheduler)
{
	return scheduler->now_us >= scheduler->looking.next_us;
}

BmwLook
bmw_scheduler_begin_look(BmwScheduler *scheduler)
{
	BmwLooking *looking = &scheduler->looking;

	if (!looking->is_under_way)
		looking->after_id = INT64_MIN;
	if (looking->step == 0)
		looking->step = STEP_MOST;
	looking->is_under_way = true;
	/* an endpoint may have given the order up while no dispatcher ran */
	return (BmwLook){.after_id = looking->after_id,
					 .limit = looking->step,
					 .with_held = !looking->has_looked};
}

void
bmw_scheduler_end_look(BmwScheduler *scheduler, const BmwLook *look, int found, int64_t last_id,
					   int64_t took_us)
{
	BmwLooking *looking = &scheduler->looking;

	assert(looking->is_under_way && found <= look->limit);
	if (took_us > STEP_LONG_US && looking->step > STEP_LEAST)
		looking->step /= 2;
	else if (took_us < STEP_LONG_US / 4 && looking->step < STEP_MOST)
		looking->step++;
	looking->next_us = scheduler->now_us + STEP_PAUSE_US;
	looking->after_id = last_id;
	if (found == look->limit)
		return;
	bmw_order_want_some(scheduler->order, LOOK_AGAIN);
	looking->has_looked = true;
	looking->is_under_way = false;
	looking->ended_us = scheduler->now_us;
	looking->next_us =
		scheduler->now_us + (looking->is_wanted_again ? BMW_SECOND_US : LOOK_INTERVAL_US);
	looking->is_wanted_again = false;
}
