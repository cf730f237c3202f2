/*
 * core/scheduler_fetch.c - what comes back from the table: what is due, and the
 * heads of messages whose row was held back (scheduler_heads.c).
 *
 * For many lanes at once: ids come first, then bodies that are wanted and fit. What was seen of a lane's
 * due rows is not read again: from_us says how far; whoever hears of an earlier one moves it back.
 */
#include <assert.h>
#include <string.h>

#include "core/scheduler_internal.h"

#define LANE_SHARE 8 /* of the bytes: what fetched deliveries of one endpoint may hold */
#define NEARLY_FULL(most)                                                                          \
	((most) - (most) / 16) /* then rows are not read to find that they do not fit */

static bool take_due(BmwScheduler *scheduler, BmwFetch *fetch);
static BmwLane *next_with_room(BmwScheduler *scheduler);
static int room_of(const BmwScheduler *scheduler, const BmwTarget *target);
static void share_out(const BmwScheduler *scheduler, int rows, BmwFetch *fetches, int length);
static bool fits(const BmwScheduler *scheduler, const BmwTarget *target, int64_t bytes);
static void skip(BmwFetch *fetch, int64_t due_us);
static BmwDelivery *create(BmwScheduler *scheduler, const BmwFetch *fetch, const BmwDueRow *row,
						   const BmwEventSource *source);
static BmwStatus load_for(BmwScheduler *scheduler, BmwTarget *target, BmwDelivery *delivery,
						  const BmwEventSource *source);
static void end_due(BmwScheduler *scheduler, BmwTarget *target, const BmwFetch *fetch, int rows,
					int64_t next_due_us);

bool
bmw_scheduler_wants_fetch(BmwScheduler *scheduler)
{
	if (!bmw_scheduler_may_read(scheduler) || scheduler->is_paused)
		return false;
	return (bmw_heads_are_wanted(scheduler) && scheduler->now_us >= scheduler->heads_at_us) ||
		   bmw_lanes_next_due(scheduler->lanes, scheduler->now_us) != NULL;
}

/* One that is not ended is due again after a while: a statement may fail. */
int
bmw_scheduler_next_due(BmwScheduler *scheduler, int rows, BmwFetch *fetches, int most)
{
	int length = 0;

	if (!bmw_scheduler_may_read(scheduler) || scheduler->is_paused)
		return 0;
	while (length < most && take_due(scheduler, &fetches[length]))
		length++;
	share_out(scheduler, rows, fetches, length);
	return length;
}

bool
bmw_scheduler_offer(BmwScheduler *scheduler, BmwFetch *fetch, const BmwDueRow *row)
{
	bool is_known = bmw_memory_find(scheduler, &row->event_id, fetch->endpoint_id) != NULL;

	if (fetch->heads != NULL)
		return bmw_heads_offer(scheduler, fetch, row) && !is_known;
	if (row->due_us != fetch->last_due_us)
		fetch->seen_at_last = 0;
	fetch->last_due_us = row->due_us;
	fetch->seen_at_last++;
	return !is_known;
}

bool
bmw_scheduler_has_room(BmwScheduler *scheduler, BmwFetch *fetch, const BmwDueRow *row,
					   int64_t bytes)
{
	const BmwTarget *target = bmw_target_find(scheduler, fetch->endpoint_id);

	if (target == NULL || fits(scheduler, target, bytes))
		return true;
	if (fetch->heads != NULL)
		bmw_heads_put_back(scheduler, fetch, &row->event_id);
	else
		skip(fetch, row->due_us);
	return false;
}

BmwStatus
bmw_scheduler_load(BmwScheduler *scheduler, const BmwFetch *fetch, const BmwDueRow *row,
				   const BmwEventSource *source, bool is_for_endpoint)
{
	BmwTarget *target = bmw_target_find(scheduler, fetch->endpoint_id);
	BmwDelivery *delivery;

	if (target == NULL || bmw_memory_find(scheduler, &row->event_id, fetch->endpoint_id) != NULL)
		return BMW_OK;
	delivery = create(scheduler, fetch, row, source);
	if (delivery == NULL)
		return BMW_ERROR_MEMORY;
	if (source != NULL && is_for_endpoint && !target->is_gone)
		return load_for(scheduler, target, delivery, source);
	bmw_memory_add(scheduler, delivery);
	target->loaded++;
	bmw_scheduler_record_cancel(scheduler, delivery,
								source == NULL ? BMW_EVENT_GONE : BMW_ENDPOINT_REPLACED);
	return BMW_OK;
}

void
bmw_scheduler_end_fetch(BmwScheduler *scheduler, const BmwFetch *fetch, int rows,
						int64_t next_due_us)
{
	BmwTarget *target = bmw_target_find(scheduler, fetch->endpoint_id);

	if (fetch->heads != NULL)
		bmw_heads_end(scheduler, fetch);
	else if (target != NULL)
		end_due(scheduler, target, fetch, rows, next_due_us);
}

void
bmw_scheduler_expect(BmwScheduler *scheduler, int64_t endpoint_id, int64_t due_us)
{
	BmwErrand cancel = {.kind = BMW_ERRAND_CANCEL,
						.endpoint_id = endpoint_id,
						.reason = BMW_ENDPOINT_DELETED};
	BmwErrand let_go = {.kind = BMW_ERRAND_LET_GO, .endpoint_id = endpoint_id};
	BmwTarget *target = bmw_target_find(scheduler, endpoint_id);

	if (target == NULL || target->is_gone)
	{
		if (scheduler->readings.is_loaded)
			bmw_errand_add(scheduler, &cancel);
	}
	else if (due_us != BMW_HELD_BACK)
	{
		bmw_errand_clamp_if_late(scheduler, target, due_us);
		bmw_target_expect(target, due_us);
	}
	else if (!target->rules.is_ordered)
		bmw_errand_add(scheduler, &let_go);
}

void
bmw_scheduler_moved(BmwScheduler *scheduler, int64_t endpoint_id, const BmwUuid *event_id,
					int64_t due_us)
{
	BmwDelivery *delivery = bmw_memory_find(scheduler, event_id, endpoint_id);

	if (delivery == NULL)
		return;
	delivery->fetched_due_us = due_us;
	if (delivery->state == BMW_DELIVERY_RECORDED)
		bmw_scheduler_record_find(scheduler, delivery)->fetched_due_us = due_us;
}

static bool
take_due(BmwScheduler *scheduler, BmwFetch *fetch)
{
	BmwLane *lane = next_with_room(scheduler);
	const BmwTarget *target = lane != NULL ? bmw_lane_tag(lane) : NULL;

	if (target == NULL)
		return false;
	bmw_lane_set_due(lane, scheduler->now_us + BMW_NO_ROOM_PAUSE_US);
	*fetch = (BmwFetch){.endpoint_id = target->rules.id,
						.endpoint = target->rules.tag,
						.from_us = target->from_us,
						.to_us = scheduler->now_us,
						.limit = target->from_us > 0 ? target->from_length : target->loaded};
	return true;
}

static BmwLane *
next_with_room(BmwScheduler *scheduler)
{
	BmwLane *lane;

	while ((lane = bmw_lanes_next_due(scheduler->lanes, scheduler->now_us)) != NULL &&
		   room_of(scheduler, bmw_lane_tag(lane)) == 0)
		bmw_lane_set_due(lane, scheduler->now_us + BMW_NO_ROOM_PAUSE_US);
	return lane;
}

/* For so many rows: none while bodies take all, but one for an endpoint that holds none of the table. */
static int
room_of(const BmwScheduler *scheduler, const BmwTarget *target)
{
	const int64_t most = scheduler->limits.max_bytes;

	if (scheduler->bytes < NEARLY_FULL(most) && target->bytes < NEARLY_FULL(most / LANE_SHARE))
		return bmw_lane_room_due(target->lane);
	return target->loaded == 0 ? 1 : 0;
}

/* Besides those that are in memory, each lane gets as many rows as the others. */
static void
share_out(const BmwScheduler *scheduler, int rows, BmwFetch *fetches, int length)
{
	for (int i = 0; i < length; i++)
	{
		const BmwTarget *target = bmw_target_find(scheduler, fetches[i].endpoint_id);
		int room = room_of(scheduler, target);
		int share = rows > length ? rows / length : 1;

		fetches[i].limit += room < share ? room : share;
	}
}

/* More rows may come than were asked room for: not all that are in memory are among them. */
static bool
fits(const BmwScheduler *scheduler, const BmwTarget *target, int64_t bytes)
{
	const int64_t most = scheduler->limits.max_bytes;

	if (bmw_lane_room_due(target->lane) == 0)
		return false;
	return target->loaded == 0 ||
		   (scheduler->bytes + bytes <= most && target->bytes + bytes <= most / LANE_SHARE);
}

/* It is left in the table for now. */
static void
skip(BmwFetch *fetch, int64_t due_us)
{
	if (!fetch->has_skipped || due_us < fetch->skipped_due_us)
		fetch->skipped_due_us = due_us;
	fetch->has_skipped = true;
}

static BmwDelivery *
create(BmwScheduler *scheduler, const BmwFetch *fetch, const BmwDueRow *row,
	   const BmwEventSource *source)
{
	BmwDelivery *delivery = bmw_memory_create(scheduler, &row->event_id, fetch->endpoint_id);
	const BmwOrderHead *head = bmw_heads_find(scheduler, fetch, &row->event_id);

	if (delivery == NULL)
		return NULL;
	if (source != NULL && source->message_id != NULL)
	{
		BmwOrderKey key = bmw_order_key(0, source->application, source->message_id);

		memcpy(delivery->message, key.message, sizeof(delivery->message));
	}
	else if (source == NULL && head != NULL)
		memcpy(delivery->message, head->key.message, sizeof(delivery->message));
	delivery->job.has_row = true;
	delivery->job.attempts = row->attempts;
	delivery->job.first_attempt_us = row->first_attempt_us;
	delivery->fetched_due_us = row->due_us;
	return delivery;
}

static BmwStatus
load_for(BmwScheduler *scheduler, BmwTarget *target, BmwDelivery *delivery,
		 const BmwEventSource *source)
{
	BmwOrderKey key = bmw_delivery_key(delivery);
	BmwEvent *event = NULL;
	bool is_head = true;
	bool is_queued;

	/* it may be new to its message: it had no row yet when the endpoint began to keep the order */
	if (bmw_target_keeps_order(target, delivery))
	{
		if (bmw_order_add(scheduler->order, &key, &delivery->event_id) != BMW_OK)
			return bmw_memory_give_up(delivery);
		is_head = bmw_order_is_head(scheduler->order, &key, &delivery->event_id);
	}
	if (is_head && (event = bmw_event_create(source)) == NULL)
		return bmw_memory_give_up(delivery);
	bmw_memory_add(scheduler, delivery);
	target->loaded++;
	if (!is_head)
	{
		bmw_scheduler_record_park(scheduler, delivery, BMW_HELD_BACK);
		return BMW_OK;
	}
	bmw_memory_hold(scheduler, delivery, event);
	bmw_event_release(event);
	delivery->state = BMW_DELIVERY_QUEUED;
	delivery->identity = target->rules.identity;
	is_queued = bmw_lane_push_due(target->lane, &delivery->job, scheduler->now_us);
	assert(is_queued);
	(void) is_queued;
	return BMW_OK;
}

static void
end_due(BmwScheduler *scheduler, BmwTarget *target, const BmwFetch *fetch, int rows,
		int64_t next_due_us)
{
	bool is_all = rows < fetch->limit;

	target->from_us = is_all ? fetch->to_us : fetch->last_due_us;
	target->from_length = is_all ? 0 : fetch->seen_at_last;
	bmw_lane_set_due(target->lane, is_all ? next_due_us : scheduler->now_us);
	if (is_all)
		bmw_errand_clamp_if_late(scheduler, target, next_due_us);
	if (fetch->has_skipped && fetch->skipped_due_us <= target->from_us)
		target->from_us = 0; /* with those at the same time */
	if (fetch->has_skipped)
		bmw_lane_set_due(target->lane, scheduler->now_us + BMW_NO_ROOM_PAUSE_US);
}
