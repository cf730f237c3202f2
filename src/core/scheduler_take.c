/*
 * core/scheduler_take.c - where a new event goes: into a lane, to the table, or
 * behind an earlier one of its message.
 *
 * Memory is asked for first: an event is placed for all its endpoints or for
 * none. Events of one pass may have ids in another order than they are read in;
 * those of a message are therefore placed when the pass has been read to its end.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/scheduler_internal.h"

#define PATIENCE_US BMW_SECOND_US	  /* for a lane that is full but moving */
#define MIXED_US (10 * BMW_SECOND_US) /* how long several lanes count as busy */
#define MAX_KEPT 5000				  /* bodies kept until the end of a pass */
#define LANE_SHARE 4				  /* of the bytes: what new events of one endpoint may hold */

typedef struct Placing
{
	BmwScheduler *scheduler;
	const BmwArrival *arrival;
	BmwDelivery *deliveries; /* linked by kept_next */
	BmwDelivery **end;
	BmwEvent *event; /* NULL: no lane gets it */
	uint64_t message[2];
} Placing;

static BmwStatus plan(Placing *placing);
static BmwStatus plan_one(Placing *placing, int64_t endpoint_id);
static void give_up(Placing *placing);
static void place(Placing *placing, BmwDelivery *delivery);
static void keep(Placing *placing, BmwDelivery *delivery, BmwTarget *target);
static void queue(BmwScheduler *scheduler, BmwDelivery *delivery, BmwTarget *target);
static bool wants_body(const BmwScheduler *scheduler, const BmwTarget *target, size_t bytes);
static void place_kept(BmwScheduler *scheduler, BmwDelivery *delivery);
static void note_mixed(BmwScheduler *scheduler, int64_t endpoint_id);
static void note_tight(BmwScheduler *scheduler, int64_t endpoint_id);
static bool is_patient(const BmwScheduler *scheduler, const BmwLane *lane, int64_t since_us);

BmwStatus
bmw_scheduler_take(BmwScheduler *scheduler, const BmwArrival *arrival)
{
	Placing placing = {.scheduler = scheduler, .arrival = arrival};

	placing.end = &placing.deliveries;
	if (plan(&placing) != BMW_OK)
	{
		give_up(&placing);
		return BMW_ERROR_MEMORY;
	}
	for (BmwDelivery *delivery = placing.deliveries, *next; delivery != NULL; delivery = next)
	{
		next = delivery->kept_next;
		delivery->kept_next = NULL;
		place(&placing, delivery);
	}
	if (placing.event != NULL)
		bmw_event_release(placing.event);
	scheduler->passes.position = arrival->position;
	return BMW_OK;
}

void
bmw_take_end_of_pass(BmwScheduler *scheduler)
{
	BmwDelivery *delivery = scheduler->kept;

	scheduler->kept = NULL;
	scheduler->kept_end = &scheduler->kept;
	scheduler->kept_bodies = 0;
	for (BmwDelivery *next; delivery != NULL; delivery = next)
	{
		next = delivery->kept_next;
		delivery->kept_next = NULL;
		place_kept(scheduler, delivery);
	}
}

/*
 * A lane that is full but moving holds intake back, because parking what it
 * would take soon costs more than waiting: for as long as it moves when nobody
 * else gets events, for a moment when others do. A lane that does not move holds
 * nobody back.
 */
bool
bmw_take_is_blocked(BmwScheduler *scheduler)
{
	bool is_blocked = false;

	for (int i = 0; i < scheduler->tight_length; i++)
	{
		const BmwTightLane *tight = &scheduler->tight[i];
		const BmwLane *lane = bmw_lanes_find(scheduler->lanes, tight->endpoint_id);

		if (lane == NULL || bmw_lane_room_new(lane) >= BMW_CHUNK_LENGTH)
			scheduler->tight[i--] = scheduler->tight[--scheduler->tight_length];
		else
			is_blocked |= is_patient(scheduler, lane, tight->since_us);
	}
	return is_blocked;
}

BmwOrderKey
bmw_delivery_key(const BmwDelivery *delivery)
{
	return (BmwOrderKey){.endpoint_id = delivery->endpoint_id,
						 .message = {delivery->message[0], delivery->message[1]}};
}

/* Everything that needs memory. */
static BmwStatus
plan(Placing *placing)
{
	const BmwArrival *arrival = placing->arrival;
	const BmwEventSource *source = arrival->source;

	if (source->message_id != NULL)
	{
		BmwOrderKey key = bmw_order_key(0, source->application, source->message_id);

		placing->message[0] = key.message[0];
		placing->message[1] = key.message[1];
	}
	/* they count among those in memory when all have been planned */
	if (!bmw_scheduler_record_reserve(placing->scheduler, arrival->matches_length))
		return BMW_ERROR_MEMORY;
	for (int i = 0; i < arrival->matches_length; i++)
		if (!arrival->matches[i].has_row &&
			plan_one(placing, arrival->matches[i].endpoint_id) != BMW_OK)
			return BMW_ERROR_MEMORY;
	return BMW_OK;
}

static BmwStatus
plan_one(Placing *placing, int64_t endpoint_id)
{
	BmwScheduler *scheduler = placing->scheduler;
	const BmwEventSource *source = placing->arrival->source;
	const BmwTarget *target = bmw_target_find(scheduler, endpoint_id);
	BmwDelivery *delivery;
	BmwOrderKey key;

	/* who matched may not know yet that it was disabled by us */
	if ((target != NULL && !target->rules.is_enabled) ||
		bmw_memory_find(scheduler, &source->id, endpoint_id) != NULL)
		return BMW_OK;
	delivery = bmw_memory_create(scheduler, &source->id, endpoint_id);
	if (delivery == NULL)
		return BMW_ERROR_MEMORY;
	*placing->end = delivery;
	placing->end = &delivery->kept_next;
	delivery->message[0] = placing->message[0];
	delivery->message[1] = placing->message[1];
	key = bmw_delivery_key(delivery);
	if (bmw_target_keeps_order(target, delivery) &&
		bmw_order_add(scheduler->order, &key, &source->id) != BMW_OK)
		return BMW_ERROR_MEMORY;
	if (placing->event == NULL && target != NULL &&
		wants_body(scheduler, target, source->data_len) &&
		(placing->event = bmw_event_create(source)) == NULL)
		return BMW_ERROR_MEMORY;
	return BMW_OK;
}

/* What the order has got already is the same when the event is taken again. */
static void
give_up(Placing *placing)
{
	for (BmwDelivery *delivery = placing->deliveries, *next; delivery != NULL; delivery = next)
	{
		next = delivery->kept_next;
		free(delivery);
	}
	if (placing->event != NULL)
		bmw_event_release(placing->event);
}

static void
place(Placing *placing, BmwDelivery *delivery)
{
	BmwScheduler *scheduler = placing->scheduler;
	BmwTarget *target = bmw_target_find(scheduler, delivery->endpoint_id);
	BmwPass *pass = scheduler->passes.current;

	bmw_memory_add(scheduler, delivery);
	delivery->job.pass = pass;
	pass->unsettled++;
	if (placing->arrival->is_beyond && target != NULL && target->rules.application != NULL)
		bmw_scheduler_record_cancel(scheduler, delivery, BMW_APPLICATION_FULL);
	else if (bmw_target_keeps_order(target, delivery))
		keep(placing, delivery, target);
	else if (target == NULL || placing->event == NULL || bmw_lane_room_new(target->lane) == 0 ||
			 !wants_body(scheduler, target, placing->event->body_len))
		bmw_scheduler_record_park(scheduler, delivery,
								  target != NULL ? bmw_lane_hold_until_us(target->lane) : 0);
	else
	{
		note_mixed(scheduler, delivery->endpoint_id);
		bmw_memory_hold(scheduler, delivery, placing->event);
		queue(scheduler, delivery, target);
		if (bmw_lane_room_new(target->lane) < BMW_CHUNK_LENGTH)
			note_tight(scheduler, delivery->endpoint_id);
	}
}

static void
keep(Placing *placing, BmwDelivery *delivery, BmwTarget *target)
{
	BmwScheduler *scheduler = placing->scheduler;

	if (placing->event == NULL || scheduler->kept_bodies >= MAX_KEPT ||
		!wants_body(scheduler, target, placing->event->body_len))
	{
		bmw_scheduler_record_park(scheduler, delivery, BMW_HELD_BACK);
		return;
	}
	bmw_memory_hold(scheduler, delivery, placing->event);
	delivery->state = BMW_DELIVERY_KEPT;
	*scheduler->kept_end = delivery;
	scheduler->kept_end = &delivery->kept_next;
	scheduler->kept_bodies++;
}

static void
queue(BmwScheduler *scheduler, BmwDelivery *delivery, BmwTarget *target)
{
	bool is_queued;

	delivery->state = BMW_DELIVERY_QUEUED;
	delivery->identity = target->rules.identity;
	is_queued = bmw_lane_push_new(target->lane, &delivery->job, scheduler->now_us);
	assert(is_queued);
	(void) is_queued;
}

/* Nobody's bodies take all: an endpoint that holds none may always have one. */
static bool
wants_body(const BmwScheduler *scheduler, const BmwTarget *target, size_t bytes)
{
	const int64_t most = scheduler->limits.max_bytes;

	if (bmw_target_is_stopped(target) && target->is_learnt)
		return false;
	return target->bytes == 0 || (scheduler->bytes + (int64_t) bytes <= most &&
								  target->bytes + (int64_t) bytes <= most / LANE_SHARE);
}

static void
place_kept(BmwScheduler *scheduler, BmwDelivery *delivery)
{
	BmwTarget *target = bmw_target_find(scheduler, delivery->endpoint_id);
	BmwOrderKey key = bmw_delivery_key(delivery);
	bool is_head = true;

	if (target == NULL || target->is_gone)
	{
		bmw_scheduler_record_cancel(scheduler, delivery, BMW_ENDPOINT_DELETED);
		return;
	}
	if (target->rules.is_ordered)
		is_head =
			target->is_learnt && bmw_order_is_head(scheduler->order, &key, &delivery->event_id);
	if (is_head && !bmw_target_is_stopped(target) && bmw_lane_room_new(target->lane) > 0)
		queue(scheduler, delivery, target);
	else
		bmw_scheduler_record_park(scheduler, delivery, is_head ? 0 : BMW_HELD_BACK);
}

/* Are there several lanes that get events? */
static void
note_mixed(BmwScheduler *scheduler, int64_t endpoint_id)
{
	if (scheduler->last_endpoint_id != 0 && scheduler->last_endpoint_id != endpoint_id)
		scheduler->mixed_us = scheduler->now_us;
	scheduler->last_endpoint_id = endpoint_id;
}

static void
note_tight(BmwScheduler *scheduler, int64_t endpoint_id)
{
	for (int i = 0; i < scheduler->tight_length; i++)
		if (scheduler->tight[i].endpoint_id == endpoint_id)
			return;
	if (scheduler->tight_length < BMW_TIGHT_LENGTH)
		scheduler->tight[scheduler->tight_length++] =
			(BmwTightLane){.endpoint_id = endpoint_id, .since_us = scheduler->now_us};
}

static bool
is_patient(const BmwScheduler *scheduler, const BmwLane *lane, int64_t since_us)
{
	bool is_moving = scheduler->now_us - bmw_lane_last_success_us(lane) < PATIENCE_US;
	bool has_others = scheduler->now_us - scheduler->mixed_us < MIXED_US;

	return is_moving && !bmw_lane_is_stopped(lane) &&
		   (!has_others || scheduler->now_us - since_us < PATIENCE_US);
}
