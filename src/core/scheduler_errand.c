/*
 * core/scheduler_errand.c - changes of an endpoint's rows: one after the other,
 * in steps, until each is done. A user may have locked such a row.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/scheduler_internal.h"

#define LATER_US BMW_SECOND_US
#define TURN_LENGTH 100	  /* in one turn of the cycle: nobody waits for thousands of them */
#define COMPARE_MOST 1000 /* beyond, the same may wait twice: it is done twice, which is no harm */

static BmwWaitingErrand *find(BmwScheduler *scheduler, const BmwErrand *errand);

void
bmw_errand_add(BmwScheduler *scheduler, const BmwErrand *errand)
{
	BmwWaitingErrand *waiting = find(scheduler, errand);

	if (waiting != NULL)
	{
		waiting->errand = *errand;
		return;
	}
	waiting = calloc(1, sizeof(*waiting));
	if (waiting == NULL)
		return; /* every errand comes again by itself: a failure, a look at the table */
	waiting->errand = *errand;
	*scheduler->errands_end = waiting;
	scheduler->errands_end = &waiting->next;
	scheduler->errands_length++;
	scheduler->errands_at_us = 0;
}

/* Once for each endpoint: a clock that is set back later is noticed by who runs. */
void
bmw_errand_clamp_if_late(BmwScheduler *scheduler, BmwTarget *target, int64_t due_us)
{
	BmwErrand errand = {.kind = BMW_ERRAND_CLAMP, .endpoint_id = target->rules.id};
	const BmwSchedule *schedule = &target->rules.schedule;
	int64_t longest_us = 0;

	if (target->is_clamped || due_us == BMW_NEVER_US)
		return;
	for (int i = 0; i < schedule->length; i++)
		if (schedule->delays_us[i] > longest_us)
			longest_us = schedule->delays_us[i];
	if (due_us - scheduler->now_us <= longest_us + longest_us / 5 + BMW_SECOND_US)
		return;
	target->is_clamped = true;
	bmw_errand_add(scheduler, &errand);
}

bool
bmw_scheduler_next_errand(BmwScheduler *scheduler, BmwErrand *errand)
{
	int64_t next_us = BMW_NEVER_US;

	if (scheduler->now_us < scheduler->errands_at_us || scheduler->errands_made >= TURN_LENGTH)
		return false;
	for (const BmwWaitingErrand *waiting = scheduler->errands; waiting != NULL;
		 waiting = waiting->next)
	{
		if (waiting->not_before_us <= scheduler->now_us)
		{
			*errand = waiting->errand;
			scheduler->errands_made++;
			return true;
		}
		if (waiting->not_before_us < next_us)
			next_us = waiting->not_before_us;
	}
	scheduler->errands_at_us = next_us;
	return false;
}

BmwErrandResult
bmw_errand_result(bool is_done, int rows)
{
	if (is_done)
		return BMW_ERRAND_DONE;
	return rows >= BMW_ERRAND_ROWS ? BMW_ERRAND_MORE : BMW_ERRAND_LATER;
}

void
bmw_scheduler_errand_done(BmwScheduler *scheduler, const BmwErrand *errand, BmwErrandResult result)
{
	BmwWaitingErrand **link = &scheduler->errands;
	BmwWaitingErrand *waiting;
	BmwTarget *target = bmw_target_find(scheduler, errand->endpoint_id);

	while (*link != NULL && ((*link)->errand.kind != errand->kind ||
							 (*link)->errand.endpoint_id != errand->endpoint_id))
		link = &(*link)->next;
	waiting = *link;
	assert(waiting != NULL);
	if (result != BMW_ERRAND_DONE)
	{
		/* at the next turn of the cycle, after what else there is to do */
		waiting->not_before_us = scheduler->now_us + (result == BMW_ERRAND_MORE ? 1 : LATER_US);
		return;
	}
	*link = waiting->next;
	if (scheduler->errands_end == &waiting->next)
		scheduler->errands_end = link;
	scheduler->errands_length--;
	if (target != NULL && errand->kind == BMW_ERRAND_DISABLE)
		bmw_target_disable(scheduler, target);
	if (target != NULL && (errand->kind == BMW_ERRAND_LET_GO || errand->kind == BMW_ERRAND_CLAMP))
		bmw_target_expect(target, 0);
	free(waiting);
}

void
bmw_errand_destroy(BmwScheduler *scheduler)
{
	while (scheduler->errands != NULL)
	{
		BmwWaitingErrand *waiting = scheduler->errands;

		scheduler->errands = waiting->next;
		free(waiting);
	}
}

static BmwWaitingErrand *
find(BmwScheduler *scheduler, const BmwErrand *errand)
{
	BmwWaitingErrand *waiting = scheduler->errands;

	for (int i = 0; waiting != NULL && i < COMPARE_MOST; i++, waiting = waiting->next)
		if (waiting->errand.kind == errand->kind &&
			waiting->errand.endpoint_id == errand->endpoint_id)
			return waiting;
	return NULL;
}
