/*
 * core/scheduler_heads.c - the heads of messages whose row was held back: they are fetched by their ids.
 */
#include <assert.h>
#include <string.h>

#include "core/scheduler_internal.h"

static int take(BmwScheduler *scheduler, int64_t endpoint_id, int rows, BmwFetch *fetch);
static bool can_fetch(const BmwTarget *target);
static int take_wanted(BmwScheduler *scheduler, int64_t endpoint_id, int most);
static bool has_ended(const BmwScheduler *scheduler, const BmwOrderHead *head);
static bool is_same(const BmwUuid *a, const BmwUuid *b);

bool
bmw_heads_are_wanted(const BmwScheduler *scheduler)
{
	/* after a crash the earlier event of a message may have no row: intake finds it */
	return !scheduler->passes.needs_check && bmw_order_is_wanting(scheduler->order);
}

/* Endpoints come in turn: when the first comes again, all have been asked. */
int
bmw_scheduler_next_heads(BmwScheduler *scheduler, int rows, BmwFetch *fetches, int most)
{
	int64_t endpoint_id;
	int length = 0;

	assert(scheduler->heads_length == 0);
	if (!bmw_scheduler_may_read(scheduler) || scheduler->is_paused ||
		!bmw_heads_are_wanted(scheduler) || scheduler->now_us < scheduler->heads_at_us)
		return 0;
	for (int tries = 0; tries < BMW_FETCHES && length < most && scheduler->heads_length < rows &&
						bmw_order_next_wanting(scheduler->order, &endpoint_id);
		 tries++)
	{
		if (length > 0 && fetches[0].endpoint_id == endpoint_id)
			break;
		length += take(scheduler, endpoint_id, rows, &fetches[length]);
	}
	scheduler->heads_fetches = length;
	if (length == 0 && bmw_order_is_wanting(scheduler->order))
		scheduler->heads_at_us = scheduler->now_us + BMW_NO_ROOM_PAUSE_US;
	return length;
}

/* One that is not pending has ended in a way that nobody told of. */
bool
bmw_heads_offer(BmwScheduler *scheduler, const BmwFetch *fetch, const BmwDueRow *row)
{
	const BmwOrderHead *head = bmw_heads_find(scheduler, fetch, &row->event_id);

	if (head != NULL)
		scheduler->is_head_seen[head - scheduler->heads] = row->is_pending;
	if (row->is_pending && row->due_us != BMW_HELD_BACK && row->due_us != 0)
		bmw_scheduler_expect(scheduler, fetch->endpoint_id, row->due_us);
	return row->is_pending && row->due_us == BMW_HELD_BACK;
}

const BmwOrderHead *
bmw_heads_find(const BmwScheduler *scheduler, const BmwFetch *fetch, const BmwUuid *event_id)
{
	for (int i = 0; i < fetch->heads_length; i++)
		if (is_same(&fetch->heads[i], event_id))
			return &scheduler->heads[fetch->heads - scheduler->head_ids + i];
	return NULL;
}

void
bmw_heads_put_back(BmwScheduler *scheduler, const BmwFetch *fetch, const BmwUuid *event_id)
{
	const BmwOrderHead *head = bmw_heads_find(scheduler, fetch, event_id);

	if (head != NULL)
		bmw_order_want(scheduler->order, &head->key);
	scheduler->heads_at_us = scheduler->now_us + BMW_NO_ROOM_PAUSE_US;
}

/* A head without a pending row, which is not in memory either, keeps nobody waiting. */
void
bmw_heads_end(BmwScheduler *scheduler, const BmwFetch *fetch)
{
	const int first = (int) (fetch->heads - scheduler->head_ids);

	for (int i = first; i < first + fetch->heads_length; i++)
	{
		const BmwOrderHead *head = &scheduler->heads[i];
		BmwUuid next;

		if (scheduler->is_head_seen[i] ||
			bmw_memory_find(scheduler, &head->id, head->key.endpoint_id) != NULL)
			continue;
		if (bmw_order_remove(scheduler->order, &head->key, &head->id, &next))
			bmw_order_want(scheduler->order, &head->key);
	}
	if (--scheduler->heads_fetches == 0)
		scheduler->heads_length = 0;
}

void
bmw_heads_abandon(BmwScheduler *scheduler)
{
	for (int i = 0; i < scheduler->heads_length; i++)
		bmw_order_want(scheduler->order, &scheduler->heads[i].key);
	scheduler->heads_length = 0;
}

static int
take(BmwScheduler *scheduler, int64_t endpoint_id, int rows, BmwFetch *fetch)
{
	const BmwTarget *target = bmw_target_find(scheduler, endpoint_id);
	const BmwUuid *heads = scheduler->head_ids + scheduler->heads_length;
	int most = rows < BMW_FETCH_LENGTH ? rows : BMW_FETCH_LENGTH;
	int length;

	if (target == NULL || !can_fetch(target))
	{
		bmw_order_unwant_all(scheduler->order, endpoint_id);
		return 0;
	}
	most -= scheduler->heads_length;
	length = bmw_lane_room_due(target->lane);
	length = take_wanted(scheduler, endpoint_id, length < most ? length : most);
	if (length > 0)
		*fetch = (BmwFetch){.endpoint_id = endpoint_id,
							.endpoint = target->rules.tag,
							.heads = heads,
							.heads_length = length,
							.limit = length};
	return length > 0;
}

static bool
can_fetch(const BmwTarget *target)
{
	return !target->is_gone && !bmw_target_is_stopped(target);
}

/* Those in memory come by themselves. */
static int
take_wanted(BmwScheduler *scheduler, int64_t endpoint_id, int most)
{
	const int first = scheduler->heads_length;
	BmwOrderHead *heads = scheduler->heads;
	int length = bmw_order_take_wanted(scheduler->order, endpoint_id, heads + first, most);

	for (int i = first; i < first + length; i++)
		if (bmw_memory_find(scheduler, &heads[i].id, endpoint_id) == NULL &&
			!has_ended(scheduler, &heads[i]))
		{
			scheduler->is_head_seen[scheduler->heads_length] = false;
			scheduler->head_ids[scheduler->heads_length] = heads[i].id;
			heads[scheduler->heads_length++] = heads[i];
		}
	return scheduler->heads_length - first;
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

static bool
is_same(const BmwUuid *a, const BmwUuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
