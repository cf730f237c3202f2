/*
 * core/lane.c - one lane: its two queues, its window, its health.
 *
 * Whose turn it is among all lanes is decided in lanes.c; what changes here is
 * told there by bmw_lane_refresh().
 */
#include "core/lane.h"

#include <stddef.h>

#include "core/lane_internal.h"

/* Every so manieth job of a lane comes from the due queue, if there is one. */
#define DUE_TURN 4

static bool push(BmwLane *lane, BmwLaneQueue *queue, BmwJob *job, int64_t now_us);
static BmwJob *take(BmwLane *lane, BmwLaneQueue *queue);
static int room(const BmwLane *lane, const BmwLaneQueue *queue);
static BmwLaneQueue *next_queue(BmwLane *lane);
static void land(BmwLane *lane, const BmwJob *job, BmwWindowEnd end, int64_t now_us);
static void hold(BmwLane *lane, int64_t hold_us, int64_t now_us);

void
bmw_lane_set_limit(BmwLane *lane, int max_in_flight)
{
	if (lane->window.max == 0)
		bmw_window_begin(&lane->window, max_in_flight, lane->lanes->now_us);
	else
		bmw_window_set_max(&lane->window, max_in_flight);
	bmw_lane_refresh(lane);
}

void
bmw_lane_set_rate(BmwLane *lane, int rate, int burst)
{
	bmw_rate_limit_set(&lane->rate_limit, rate, burst);
	bmw_lane_refresh(lane);
}

int64_t
bmw_lane_endpoint(const BmwLane *lane)
{
	return lane->endpoint_id;
}

void *
bmw_lane_tag(const BmwLane *lane)
{
	return lane->tag;
}

void
bmw_lane_set_tag(BmwLane *lane, void *tag)
{
	lane->tag = tag;
}

void
bmw_lane_set_stopped(BmwLane *lane, bool is_stopped)
{
	if (lane->is_stopped && !is_stopped)
	{
		lane->failing_since_us = lane->hold_until_us = 0;
		bmw_window_begin(&lane->window, lane->window.max, lane->lanes->now_us);
		if (lane->reported.allowed > 0)
			bmw_lane_note(lane);
	}
	lane->is_stopped = is_stopped;
	bmw_lane_refresh(lane);
}

void
bmw_lane_go_on(BmwLane *lane)
{
	lane->is_stopped = false;
	bmw_lane_refresh(lane);
}

bool
bmw_lane_is_stopped(const BmwLane *lane)
{
	return lane->is_stopped;
}

bool
bmw_lane_push_new(BmwLane *lane, BmwJob *job, int64_t now_us)
{
	return push(lane, &lane->fresh, job, now_us);
}

bool
bmw_lane_push_due(BmwLane *lane, BmwJob *job, int64_t now_us)
{
	return push(lane, &lane->due, job, now_us);
}

void
bmw_lane_give_back(BmwLane *lane, BmwJob *job, int64_t hold_us, int64_t now_us)
{
	land(lane, job, BMW_WINDOW_VOID, now_us);
	hold(lane, hold_us, now_us);
	bmw_lane_queue_return(job->has_row ? &lane->due : &lane->fresh, job);
	lane->lanes->total.queued++;
	bmw_lane_refresh(lane);
}

int
bmw_lane_room_new(const BmwLane *lane)
{
	return room(lane, &lane->fresh);
}

int
bmw_lane_room_due(const BmwLane *lane)
{
	return room(lane, &lane->due);
}

BmwJob *
bmw_lane_take_new(BmwLane *lane)
{
	return take(lane, &lane->fresh);
}

BmwJob *
bmw_lane_take_due(BmwLane *lane)
{
	return take(lane, &lane->due);
}

void
bmw_lane_put_back(BmwLane *lane, BmwJob *job)
{
	bmw_lane_queue_push(job->has_row ? &lane->due : &lane->fresh, job);
	lane->lanes->total.queued++;
	bmw_lane_refresh(lane);
}

int64_t
bmw_lane_oldest_us(const BmwLane *lane)
{
	return lane->fresh.head != NULL ? lane->fresh.head->queued_us : BMW_NEVER_US;
}

int64_t
bmw_lane_last_success_us(const BmwLane *lane)
{
	return lane->last_success_us;
}

int64_t
bmw_lane_failing_since_us(const BmwLane *lane)
{
	return lane->failing_since_us;
}

int64_t
bmw_lane_hold_until_us(const BmwLane *lane)
{
	return lane->hold_until_us;
}

BmwLaneCounts
bmw_lane_counts(const BmwLane *lane)
{
	return (BmwLaneCounts){.queued = lane->fresh.length + lane->due.length,
						   .in_flight = lane->in_flight};
}

BmwJob *
bmw_lane_first(BmwLane *lane)
{
	return next_queue(lane)->head;
}

BmwJob *
bmw_lane_hand_out(BmwLane *lane, int64_t now_us)
{
	BmwJob *job = bmw_lane_queue_pop(next_queue(lane));

	lane->turn++;
	job->started_us = now_us;
	job->party = bmw_destination_start(lane);
	bmw_window_started(&lane->window, lane->in_flight, now_us);
	bmw_rate_limit_started(&lane->rate_limit, now_us);
	lane->in_flight++;
	lane->lanes->total.queued--;
	lane->lanes->total.in_flight++;
	bmw_lane_note(lane);
	bmw_lane_refresh(lane);
	return job;
}

void
bmw_lane_note(BmwLane *lane)
{
	if (lane->is_noted)
		return;
	LIST_INSERT_HEAD(&lane->lanes->noted, lane, noted);
	lane->is_noted = true;
}

void
bmw_lane_forget_note(BmwLane *lane)
{
	if (!lane->is_noted)
		return;
	LIST_REMOVE(lane, noted);
	lane->is_noted = false;
}

void
bmw_lane_finished(BmwLane *lane, const BmwJob *job, BmwWindowEnd end, int64_t hold_us,
				  int64_t now_us)
{
	land(lane, job, end, now_us);
	if (end == BMW_WINDOW_SUCCESS)
	{
		lane->last_success_us = now_us;
		lane->failing_since_us = 0;
	}
	else if (lane->failing_since_us == 0)
		lane->failing_since_us = now_us;
	hold(lane, hold_us, now_us);
	bmw_lane_refresh(lane);
}

const BmwWindow *
bmw_lane_window(const BmwLane *lane)
{
	return &lane->window;
}

void
bmw_lane_set_due(BmwLane *lane, int64_t due_us)
{
	lane->due_us = due_us;
	bmw_lane_refresh(lane);
}

void
bmw_lane_expect(BmwLane *lane, int64_t due_us)
{
	if (due_us < lane->due_us)
		bmw_lane_set_due(lane, due_us);
}

void
bmw_lane_shift(BmwLane *lane, int64_t by_us)
{
	lane->hold_until_us -= by_us;
	bmw_window_shift(&lane->window, by_us);
	bmw_rate_limit_shift(&lane->rate_limit, by_us);
	if (lane->due_us != BMW_NEVER_US)
		lane->due_us -= by_us;
	if (lane->last_success_us != 0)
		lane->last_success_us -= by_us;
	if (lane->failing_since_us != 0)
		lane->failing_since_us -= by_us;
	for (BmwJob *job = lane->fresh.head; job != NULL; job = job->next)
		job->queued_us -= by_us;
	bmw_lane_refresh(lane);
}

static bool
push(BmwLane *lane, BmwLaneQueue *queue, BmwJob *job, int64_t now_us)
{
	if (queue->length >= lane->lanes->capacity)
		return false;
	lane->lanes->now_us = now_us;
	job->lane = lane;
	job->queued_us = now_us;
	bmw_lane_queue_push(queue, job);
	lane->lanes->total.queued++;
	bmw_lane_refresh(lane);
	return true;
}

static BmwJob *
take(BmwLane *lane, BmwLaneQueue *queue)
{
	BmwJob *job = bmw_lane_queue_pop(queue);

	if (job == NULL)
		return NULL;
	lane->lanes->total.queued--;
	bmw_lane_refresh(lane);
	return job;
}

static int
room(const BmwLane *lane, const BmwLaneQueue *queue)
{
	const int left = lane->lanes->capacity - queue->length;

	return left > 0 ? left : 0;
}

static BmwLaneQueue *
next_queue(BmwLane *lane)
{
	bool is_due_turn =
		(lane->turn + 1) % DUE_TURN == 0 || bmw_breaker_is_open(&lane->window.breaker);

	if (lane->fresh.head == NULL || (is_due_turn && lane->due.head != NULL))
		return &lane->due;
	return &lane->fresh;
}

/* A request of the lane has ended. */
static void
land(BmwLane *lane, const BmwJob *job, BmwWindowEnd end, int64_t now_us)
{
	lane->lanes->now_us = now_us;
	lane->in_flight--;
	lane->lanes->total.in_flight--;
	bmw_destination_end(&lane->lanes->destinations, job->party);
	bmw_window_finished(&lane->window, end, lane->in_flight, job->started_us, now_us);
	bmw_lane_note(lane);
}

static void
hold(BmwLane *lane, int64_t hold_us, int64_t now_us)
{
	if (hold_us > 0 && now_us + hold_us > lane->hold_until_us)
		lane->hold_until_us = now_us + hold_us;
}
