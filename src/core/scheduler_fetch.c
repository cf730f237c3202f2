/*
 * core/scheduler_fetch.c - what comes back from the table: what is due, and the
 * heads of messages whose row was held back.
 *
 * Ids come first, then bodies that are wanted and fit. What was seen of a lane's due rows
 * is not read again: from_us says how far; whoever hears of an earlier one moves it back.
 */
#include <assert.h>
#include <string.h>

#include "core/scheduler_internal.h"

#define LANES_A_TURN 32
#define NO_ROOM_PAUSE_US (BMW_SECOND_US / 10)
#define LANE_SHARE 8 /* of the bytes: what fetched deliveries of one endpoint may hold */

static bool fetch_heads(BmwScheduler *scheduler, BmwFetch *fetch);
static int take_heads(BmwScheduler *scheduler, int64_t endpoint_id, int room);
static void abandon_fetch(BmwScheduler *scheduler);
static bool fetch_due(BmwScheduler *scheduler, BmwFetch *fetch);
static bool can_fetch(const BmwTarget *target);
static bool offer_head(BmwScheduler *scheduler, const BmwFetch *fetch, const BmwDueRow *row);
static bool has_ended(const BmwScheduler *scheduler, const BmwOrderHead *head);
static bool fits(const BmwScheduler *scheduler, const BmwTarget *target, int64_t bytes);
static bool is_same(const BmwUuid *a, const BmwUuid *b);
static void skip(BmwScheduler *scheduler, int64_t due_us);
static BmwDelivery *create(BmwScheduler *scheduler, const BmwFetch *fetch, const BmwDueRow *row,
						   const BmwEventSource *source);
static BmwStatus load_for(BmwScheduler *scheduler, BmwTarget *target, BmwDelivery *delivery,
						  const BmwEventSource *source);
static void forget_lost_heads(BmwScheduler *scheduler);
static void end_due(BmwScheduler *scheduler, BmwTarget *target, const BmwFetch *fetch, int rows,
					int64_t next_due_us);

bool
bmw_scheduler_wants_fetch(BmwScheduler *scheduler)
{
	if (!bmw_scheduler_may_read(scheduler) || scheduler->is_paused)
		return false;
	return (bmw_scheduler_fetch_wants_heads(scheduler) &&
			scheduler->now_us >= scheduler->heads_at_us) ||
		   bmw_lanes_next_due(scheduler->lanes, scheduler->now_us) != NULL;
}

bool
bmw_scheduler_next_fetch(BmwScheduler *scheduler, BmwFetch *fetch)
{
	abandon_fetch(scheduler);
	scheduler->has_skipped = false;
	scheduler->last_due_us = 0;
	scheduler->seen_at_last = 0;
	if (!bmw_scheduler_may_read(scheduler) || scheduler->is_paused ||
		scheduler->turns >= LANES_A_TURN)
		return false;
	scheduler->turns++;
	return fetch_heads(scheduler, fetch) || fetch_due(scheduler, fetch);
}

bool
bmw_scheduler_offer(BmwScheduler *scheduler, const BmwFetch *fetch, const BmwDueRow *row)
{
	bool is_known = bmw_memory_find(scheduler, &row->event_id, fetch->endpoint_id) != NULL;

	if (fetch->heads != NULL)
		return offer_head(scheduler, fetch, row) && !is_known;
	if (row->due_us != scheduler->last_due_us)
		scheduler->seen_at_last = 0;
	scheduler->last_due_us = row->due_us;
	scheduler->seen_at_last++;
	return !is_known;
}

bool
bmw_scheduler_has_room(BmwScheduler *scheduler, const BmwFetch *fetch, const BmwDueRow *row,
					   int64_t bytes)
{
	const BmwTarget *target = bmw_target_find(scheduler, fetch->endpoint_id);

	if (target == NULL || fits(scheduler, target, bytes))
		return true;
	for (int i = 0; i < fetch->heads_length; i++)
		if (is_same(&fetch->heads[i], &row->event_id))
			bmw_order_want(scheduler->order, &scheduler->heads[i].key);
	if (fetch->heads != NULL)
		scheduler->heads_at_us = scheduler->now_us + NO_ROOM_PAUSE_US;
	else
		skip(scheduler, row->due_us);
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
		forget_lost_heads(scheduler);
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

bool
bmw_scheduler_fetch_wants_heads(const BmwScheduler *scheduler)
{
	/* after a crash the earlier event of a message may have no row: intake finds it */
	return !scheduler->passes.needs_check && bmw_order_is_wanting(scheduler->order);
}

static bool
fetch_heads(BmwScheduler *scheduler, BmwFetch *fetch)
{
	int64_t endpoint_id;

	if (!bmw_scheduler_fetch_wants_heads(scheduler) || scheduler->now_us < scheduler->heads_at_us)
		return false;
	for (int tries = 0;
		 tries < LANES_A_TURN && bmw_order_next_wanting(scheduler->order, &endpoint_id); tries++)
	{
		const BmwTarget *target = bmw_target_find(scheduler, endpoint_id);

		if (target == NULL || !can_fetch(target))
			bmw_order_unwant_all(scheduler->order, endpoint_id);
		else if (take_heads(scheduler, endpoint_id, bmw_lane_room_due(target->lane)) > 0)
		{
			*fetch = (BmwFetch){.endpoint_id = endpoint_id,
								.endpoint = target->rules.tag,
								.heads = scheduler->head_ids,
								.heads_length = scheduler->heads_length,
								.limit = scheduler->heads_length};
			return true;
		}
	}
	if (bmw_order_is_wanting(scheduler->order))
		scheduler->heads_at_us = scheduler->now_us + NO_ROOM_PAUSE_US;
	return false;
}

/* Those in memory come by themselves. */
static int
take_heads(BmwScheduler *scheduler, int64_t endpoint_id, int room)
{
	BmwOrderHead *heads = scheduler->heads;
	int most = room < BMW_FETCH_LENGTH ? room : BMW_FETCH_LENGTH;
	int length = bmw_order_take_wanted(scheduler->order, endpoint_id, heads, most);

	scheduler->heads_length = 0;
	for (int i = 0; i < length; i++)
		if (bmw_memory_find(scheduler, &heads[i].id, endpoint_id) == NULL &&
			!has_ended(scheduler, &heads[i]))
		{
			scheduler->is_head_seen[scheduler->heads_length] = false;
			scheduler->head_ids[scheduler->heads_length] = heads[i].id;
			heads[scheduler->heads_length++] = heads[i];
		}
	return scheduler->heads_length;
}

/* The statements failed, or memory was out: they are wanted as before. */
static void
abandon_fetch(BmwScheduler *scheduler)
{
	for (int i = 0; i < scheduler->heads_length; i++)
		bmw_order_want(scheduler->order, &scheduler->heads[i].key);
	scheduler->heads_length = 0;
}

static bool
fetch_due(BmwScheduler *scheduler, BmwFetch *fetch)
{
	BmwLane *lane = bmw_lanes_next_due(scheduler->lanes, scheduler->now_us);
	const BmwTarget *target = lane != NULL ? bmw_lane_tag(lane) : NULL;
	int room;

	if (target == NULL)
		return false;
	room = bmw_lane_room_due(lane);
	room = room < BMW_FETCH_LENGTH ? room : BMW_FETCH_LENGTH;
	*fetch =
		(BmwFetch){.endpoint_id = target->rules.id,
				   .endpoint = target->rules.tag,
				   .from_us = target->from_us,
				   .to_us = scheduler->now_us,
				   .limit = room + (target->from_us > 0 ? target->from_length : target->loaded)};
	return true;
}

static bool
can_fetch(const BmwTarget *target)
{
	return !target->is_gone && !bmw_target_is_stopped(target);
}

/* One that is not pending has ended in a way that nobody told of. */
static bool
offer_head(BmwScheduler *scheduler, const BmwFetch *fetch, const BmwDueRow *row)
{
	for (int i = 0; i < fetch->heads_length; i++)
		if (is_same(&fetch->heads[i], &row->event_id))
			scheduler->is_head_seen[i] = row->is_pending;
	if (row->is_pending && row->due_us != BMW_HELD_BACK && row->due_us != 0)
		bmw_scheduler_expect(scheduler, fetch->endpoint_id, row->due_us);
	return row->is_pending && row->due_us == BMW_HELD_BACK;
}

static bool
has_ended(const BmwScheduler *scheduler, const BmwOrderHead *head)
{
	const BmwWriter *writer = &scheduler->writer;

	for (int i = 0; i < writer->ended_length; i++)
	{
		const BmwEnded *ended = &writer->ended[(writer->ended_first + i) % writer->ended_capacity];

		if (is_same(&ended->head.id, &head->id) &&
			ended->head.key.endpoint_id == head->key.endpoint_id)
			return true;
	}
	return false;
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

static bool
is_same(const BmwUuid *a, const BmwUuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* It is left in the table for now. */
static void
skip(BmwScheduler *scheduler, int64_t due_us)
{
	if (!scheduler->has_skipped || due_us < scheduler->skipped_due_us)
		scheduler->skipped_due_us = due_us;
	scheduler->has_skipped = true;
}

static BmwDelivery *
create(BmwScheduler *scheduler, const BmwFetch *fetch, const BmwDueRow *row,
	   const BmwEventSource *source)
{
	BmwDelivery *delivery = bmw_memory_create(scheduler, &row->event_id, fetch->endpoint_id);

	if (delivery == NULL)
		return NULL;
	if (source != NULL && source->message_id != NULL)
	{
		BmwOrderKey key = bmw_order_key(0, source->application, source->message_id);

		memcpy(delivery->message, key.message, sizeof(delivery->message));
	}
	for (int i = 0; source == NULL && i < fetch->heads_length; i++)
		if (is_same(&fetch->heads[i], &row->event_id))
			memcpy(delivery->message, scheduler->heads[i].key.message, sizeof(delivery->message));
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

/* A head without a pending row, which is not in memory either, keeps nobody waiting. */
static void
forget_lost_heads(BmwScheduler *scheduler)
{
	for (int i = 0; i < scheduler->heads_length; i++)
	{
		const BmwOrderHead *head = &scheduler->heads[i];
		BmwUuid next;

		if (scheduler->is_head_seen[i] ||
			bmw_memory_find(scheduler, &head->id, head->key.endpoint_id) != NULL)
			continue;
		if (bmw_order_remove(scheduler->order, &head->key, &head->id, &next))
			bmw_order_want(scheduler->order, &head->key);
	}
	scheduler->heads_length = 0;
}

static void
end_due(BmwScheduler *scheduler, BmwTarget *target, const BmwFetch *fetch, int rows,
		int64_t next_due_us)
{
	bool is_all = rows < fetch->limit;

	target->from_us = is_all ? fetch->to_us : scheduler->last_due_us;
	target->from_length = is_all ? 0 : scheduler->seen_at_last;
	bmw_lane_set_due(target->lane, is_all ? next_due_us : scheduler->now_us);
	if (is_all)
		bmw_errand_clamp_if_late(scheduler, target, next_due_us);
	if (scheduler->has_skipped && scheduler->skipped_due_us <= target->from_us)
		target->from_us = 0; /* with those at the same time */
	if (scheduler->has_skipped)
		bmw_lane_set_due(target->lane, scheduler->now_us + NO_ROOM_PAUSE_US);
}
