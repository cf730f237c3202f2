/*
 * core/scheduler.c - the whole: limits, time, when to wake.
 */
#include "core/scheduler.h"

#include <stdlib.h>

#include "core/scheduler_internal.h"

#define CLOCK_SLACK_US BMW_SECOND_US /* that a clock may go back by itself */
#define STUCK_US (5 * BMW_SECOND_US) /* in a queue; then it is left to the table */
#define PARK_LANES 500				 /* looked at in a turn of the cycle */
#define FULL_AT 10000				 /* fresh records: nothing more is started */
#define FULL_OF_STUCK_AT 50000

static void clock_went_back(BmwScheduler *scheduler, int64_t by_us);
static void clamp(BmwLane *lane, void *context);
static void park_stuck(BmwScheduler *scheduler);
static int park_stuck_of(BmwScheduler *scheduler, BmwLane *lane, int most);
static int64_t later(int64_t a, int64_t b);
static int64_t parking_wakeup_us(const BmwScheduler *scheduler);
static int64_t reading_wakeup_us(const BmwScheduler *scheduler);
static int64_t sending_wakeup_us(const BmwScheduler *scheduler);
static void free_target(BmwLane *lane, void *context);

BmwScheduler *
bmw_scheduler_create(const BmwLimits *limits, int64_t now_us)
{
	BmwScheduler *scheduler = calloc(1, sizeof(*scheduler));

	if (scheduler == NULL)
		return NULL;
	scheduler->limits = *limits;
	scheduler->now_us = now_us;
	scheduler->next_second_us = now_us + BMW_SECOND_US;
	scheduler->park_length = BMW_PARK_LENGTH;
	scheduler->abort_at_us = scheduler->errands_at_us = BMW_NEVER_US;
	scheduler->kept_end = &scheduler->kept;
	scheduler->errands_end = &scheduler->errands;
	scheduler->lanes = bmw_lanes_create(limits->max_in_flight, limits->lane_capacity);
	scheduler->order = bmw_order_create();
	if (scheduler->lanes == NULL || scheduler->order == NULL)
	{
		bmw_scheduler_destroy(scheduler);
		return NULL;
	}
	bmw_lanes_set_check(scheduler->lanes, bmw_send_check, scheduler);
	return scheduler;
}

void
bmw_scheduler_destroy(BmwScheduler *scheduler)
{
	if (scheduler == NULL)
		return;
	bmw_memory_destroy(scheduler);
	bmw_scheduler_record_destroy(scheduler);
	bmw_errand_destroy(scheduler);
	bmw_passes_destroy(&scheduler->passes);
	if (scheduler->lanes != NULL)
		bmw_lanes_each(scheduler->lanes, free_target, NULL);
	bmw_delays_release(scheduler->latest_delays);
	bmw_lanes_destroy(scheduler->lanes);
	bmw_heap_free(&scheduler->trials.waiting);
	bmw_order_destroy(scheduler->order);
	free(scheduler);
}

void
bmw_scheduler_set_limits(BmwScheduler *scheduler, const BmwLimits *limits)
{
	scheduler->limits = *limits;
	bmw_lanes_limit(scheduler->lanes, limits->max_in_flight);
	bmw_lanes_limit_destinations(scheduler->lanes, limits->max_to_destination);
}

void
bmw_scheduler_set_tokens(BmwScheduler *scheduler, const BmwTokenPort *tokens)
{
	bmw_lanes_set_tokens(scheduler->lanes, tokens);
}

void
bmw_scheduler_set_places(BmwScheduler *scheduler, const BmwPlacePort *places)
{
	bmw_lanes_set_places(scheduler->lanes, places);
}

void
bmw_scheduler_set_destinations(BmwScheduler *scheduler, const BmwDestinationPort *port)
{
	bmw_lanes_set_destinations(scheduler->lanes, port);
	bmw_lanes_limit_destinations(scheduler->lanes, scheduler->limits.max_to_destination);
}

void
bmw_scheduler_set_mode(BmwScheduler *scheduler, BmwMode mode)
{
	scheduler->mode = mode;
}

void
bmw_scheduler_set_paused(BmwScheduler *scheduler, bool is_paused)
{
	scheduler->is_paused = is_paused;
}

int64_t
bmw_scheduler_set_time(BmwScheduler *scheduler, int64_t now_us)
{
	int64_t back_us = scheduler->now_us - now_us;

	scheduler->now_us = now_us;
	scheduler->errands_made = 0;
	if (back_us > CLOCK_SLACK_US)
		clock_went_back(scheduler, back_us);
	if (now_us >= scheduler->next_second_us)
	{
		scheduler->next_second_us = now_us + BMW_SECOND_US;
		scheduler->to_look_at = bmw_lanes_with_new(scheduler->lanes);
	}
	park_stuck(scheduler);
	return back_us > CLOCK_SLACK_US ? back_us : 0;
}

void
bmw_scheduler_rest(BmwScheduler *scheduler, int64_t us)
{
	scheduler->rest_until_us = scheduler->now_us + us;
	bmw_heads_abandon(scheduler);
}

bool
bmw_scheduler_is_resting(const BmwScheduler *scheduler)
{
	return scheduler->now_us < scheduler->rest_until_us;
}

int64_t
bmw_scheduler_wakeup_us(const BmwScheduler *scheduler)
{
	BmwLaneCounts counts = bmw_lanes_counts(scheduler->lanes);
	int64_t wakeup =
		bmw_scheduler_earlier(bmw_scheduler_record_wakeup_us(scheduler), scheduler->errands_at_us);

	/* a look that was wanted and could not be taken is not tried at once */
	wakeup = bmw_scheduler_earlier(wakeup, scheduler->looking.next_us > scheduler->now_us
											   ? scheduler->looking.next_us
											   : scheduler->now_us + BMW_SECOND_US);
	if (counts.queued > 0)
		wakeup = bmw_scheduler_earlier(wakeup, parking_wakeup_us(scheduler));
	if (counts.in_flight > 0)
		wakeup = bmw_scheduler_earlier(wakeup, scheduler->abort_at_us);
	if (scheduler->mode != BMW_STOPPING && scheduler->readings.has_changed)
		wakeup = bmw_scheduler_earlier(
			wakeup, later(scheduler->readings.again_us, scheduler->rest_until_us));
	if (scheduler->mode == BMW_RUNNING && !bmw_scheduler_is_full(scheduler))
		wakeup = bmw_scheduler_earlier(wakeup, reading_wakeup_us(scheduler));
	return wakeup;
}

BmwSchedulerCounts
bmw_scheduler_counts(const BmwScheduler *scheduler)
{
	BmwLaneCounts counts = bmw_lanes_counts(scheduler->lanes);
	const BmwWriter *writer = &scheduler->writer;

	return (BmwSchedulerCounts){.queued = counts.queued,
								.in_flight = counts.in_flight,
								.unwritten = writer->fresh.length + writer->stuck.length,
								.stuck = writer->stuck.length,
								.deliveries = scheduler->deliveries,
								.bytes = scheduler->bytes,
								.ordered = bmw_order_count(scheduler->order)};
}

bool
bmw_scheduler_may_read(const BmwScheduler *scheduler)
{
	return scheduler->mode == BMW_RUNNING && scheduler->now_us >= scheduler->rest_until_us &&
		   !bmw_scheduler_is_full(scheduler);
}

bool
bmw_scheduler_is_full(const BmwScheduler *scheduler)
{
	return scheduler->writer.fresh.length >= FULL_AT ||
		   scheduler->writer.stuck.length >= FULL_OF_STUCK_AT;
}

/* All times that were planned by the clock that was wrong move with it. */
static void
clock_went_back(BmwScheduler *scheduler, int64_t by_us)
{
	scheduler->rest_until_us -= by_us;
	scheduler->next_second_us -= by_us;
	scheduler->readings.again_us -= by_us;
	scheduler->mixed_us -= by_us;
	scheduler->heads_at_us -= by_us;
	scheduler->looking.next_us -= by_us;
	scheduler->looking.ended_us -= by_us;
	if (scheduler->abort_at_us != BMW_NEVER_US)
		scheduler->abort_at_us -= by_us;
	for (int i = 0; i < scheduler->tight_length; i++)
		scheduler->tight[i].since_us -= by_us;
	for (BmwWaitingErrand *waiting = scheduler->errands; waiting != NULL; waiting = waiting->next)
		waiting->not_before_us = 0;
	if (scheduler->errands != NULL)
		scheduler->errands_at_us = 0;
	bmw_lanes_shift(scheduler->lanes, by_us, scheduler->now_us);
	bmw_passes_shift(&scheduler->passes, by_us);
	bmw_trials_shift(&scheduler->trials, by_us);
	bmw_scheduler_record_shift(scheduler, by_us);
	bmw_lanes_each(scheduler->lanes, clamp, scheduler);
}

static void
clamp(BmwLane *lane, void *context)
{
	BmwErrand errand = {.kind = BMW_ERRAND_CLAMP, .endpoint_id = bmw_lane_endpoint(lane)};
	BmwTarget *target = bmw_lane_tag(lane);

	target->from_us = 0;
	bmw_errand_add(context, &errand);
}

/*
 * What waits for long goes to the table, so that the cursor can move on: once a second
 * all lanes with new jobs are looked at, some in each turn of the cycle.
 */
static void
park_stuck(BmwScheduler *scheduler)
{
	int room = scheduler->park_length;

	for (int i = 0; i < PARK_LANES && scheduler->to_look_at > 0 && room > 0 &&
					bmw_lanes_with_new(scheduler->lanes) > 0 && !bmw_scheduler_is_full(scheduler);
		 i++)
	{
		room -= park_stuck_of(scheduler, bmw_lanes_turn_new(scheduler->lanes), room);
		if (room > 0)
			scheduler->to_look_at--;
	}
}

/* How many were. The young ones of a lane that does not move are left. */
static int
park_stuck_of(BmwScheduler *scheduler, BmwLane *lane, int most)
{
	BmwTarget *target = bmw_lane_tag(lane);
	int parked = 0;

	while (parked < most && bmw_lane_oldest_us(lane) < scheduler->now_us - STUCK_US &&
		   bmw_target_park_one(scheduler, target))
		parked++;
	return parked;
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t
parking_wakeup_us(const BmwScheduler *scheduler)
{
	bool is_under_way = scheduler->to_look_at > 0 && bmw_lanes_with_new(scheduler->lanes) > 0 &&
						!bmw_scheduler_is_full(scheduler);

	return is_under_way ? scheduler->now_us : scheduler->next_second_us;
}

/* For what is read from the tables: not before they can be. */
static int64_t
reading_wakeup_us(const BmwScheduler *scheduler)
{
	int64_t endpoint_id;
	int64_t wakeup = bmw_passes_wakeup_us(scheduler);

	if (bmw_scheduler_next_unlearnt(scheduler, &endpoint_id, 1) > 0)
		wakeup = bmw_scheduler_earlier(wakeup, scheduler->now_us);
	if (!scheduler->is_paused)
		wakeup = bmw_scheduler_earlier(wakeup, sending_wakeup_us(scheduler));
	return later(wakeup, scheduler->rest_until_us);
}

/* For what may be sent or fetched. */
static int64_t
sending_wakeup_us(const BmwScheduler *scheduler)
{
	int64_t wakeup = bmw_lanes_wakeup_us(scheduler->lanes, scheduler->now_us);

	wakeup = bmw_scheduler_earlier(wakeup, bmw_trials_wakeup_us(scheduler));
	if (!bmw_heads_are_wanted(scheduler))
		return wakeup;
	return bmw_scheduler_earlier(wakeup, scheduler->heads_at_us);
}

static void
free_target(BmwLane *lane, void *context)
{
	BmwTarget *target = bmw_lane_tag(lane);

	(void) context;
	free(target->trial);
	bmw_delays_release(target->rules.schedule.delays_us);
	free(target);
}
