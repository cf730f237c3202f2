/*
 * core/scheduler_heads.c - the first deliveries of messages, whose rows were held back until it was their turn.
 */
#include <string.h>

#include "core/scheduler_internal.h"

#define TRIES 32 /* endpoints */

static int take_heads(BmwScheduler *scheduler, int64_t endpoint_id, int room);
static bool has_ended(const BmwScheduler *scheduler, const BmwOrderHead *head);
static bool is_same(const BmwUuid *a, const BmwUuid *b);

bool
bmw_scheduler_fetch_wants_heads(const BmwScheduler *scheduler)
{
	/* after a crash the earlier event of a message may have no row: intake finds it */
	return !scheduler->passes.needs_check && bmw_order_is_wanting(scheduler->order);
}

bool
bmw_heads_fetch(BmwScheduler *scheduler, BmwFetch *fetch)
{
	int64_t endpoint_id;

	if (!bmw_scheduler_fetch_wants_heads(scheduler) || scheduler->now_us < scheduler->heads_at_us)
		return false;
	for (int tries = 0; tries < TRIES && bmw_order_next_wanting(scheduler->order, &endpoint_id);
		 tries++)
	{
		const BmwTarget *target = bmw_target_find(scheduler, endpoint_id);

		if (target == NULL || target->is_gone || bmw_target_is_stopped(target))
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
		scheduler->heads_at_us = scheduler->now_us + BMW_NO_ROOM_PAUSE_US;
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
void
bmw_heads_abandon(BmwScheduler *scheduler)
{
	for (int i = 0; i < scheduler->heads_length; i++)
		bmw_order_want(scheduler->order, &scheduler->heads[i].key);
	scheduler->heads_length = 0;
}

/* One that is not pending has ended in a way that nobody told of. */
bool
bmw_heads_offer(BmwScheduler *scheduler, const BmwFetch *fetch, const BmwDueRow *row)
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

/* A head without a pending row, which is not in memory either, keeps nobody waiting. */
void
bmw_heads_forget_lost(BmwScheduler *scheduler)
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

const BmwOrderHead *
bmw_heads_find(const BmwScheduler *scheduler, const BmwUuid *event_id)
{
	for (int i = 0; i < scheduler->heads_length; i++)
		if (is_same(&scheduler->heads[i].id, event_id))
			return &scheduler->heads[i];
	return NULL;
}

static bool
is_same(const BmwUuid *a, const BmwUuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
