/*
 * core/lanes.c - the set of all lanes: finding one, and whose turn it is.
 *
 * A lane is among the ready ones of its share exactly when it could hand out a
 * job now, in the heap `held` while only time keeps it from that, and in the
 * heap `waiting` when rows of the table wait for it, with the time from which it may fetch
 * them. bmw_lane_refresh() is the one place that decides all three. Two heaps,
 * because a lane that nobody fetches for must not hide one whose hold has ended.
 */
#include <stdlib.h>

#include "core/lane_internal.h"

#define NO_MEMORY_US INT64_C(1000000)

static void end_holds(BmwLanes *lanes);
static BmwLane *next_lane(const BmwLanes *lanes);
static bool may_start(BmwLanes *lanes, BmwLane *lane, int64_t now_us);
static bool is_to_be_sent(const BmwLanes *lanes, BmwJob *job);
static void list_new(BmwLane *lane);
static bool has_jobs(const BmwLane *lane);
static bool wants_due(const BmwLane *lane);
static void set_or_remove(BmwHeap *heap, BmwHeapNode *node, bool is_in, int64_t key);
static BmwLane *make_lane(BmwLanes *lanes, int64_t endpoint_id);
static bool grow_buckets(BmwLanes *lanes);
static BmwLane **bucket_of(const BmwLanes *lanes, int64_t endpoint_id);

BmwLanes *
bmw_lanes_create(int max_in_flight, int capacity)
{
	BmwLanes *lanes = calloc(1, sizeof(*lanes));

	if (lanes == NULL)
		return NULL;
	lanes->max_in_flight = max_in_flight;
	lanes->capacity = capacity;
	TAILQ_INIT(&lanes->with_new);
	if (!grow_buckets(lanes))
	{
		free(lanes);
		return NULL;
	}
	return lanes;
}

void
bmw_lanes_destroy(BmwLanes *lanes)
{
	if (lanes == NULL)
		return;
	for (int i = 0; i < lanes->buckets_length; i++)
		for (BmwLane *lane = lanes->buckets[i], *next; lane != NULL; lane = next)
		{
			next = lane->hash_next;
			bmw_window_end(&lane->window);
			free(lane);
		}
	bmw_heap_free(&lanes->held);
	bmw_heap_free(&lanes->waiting);
	bmw_destinations_free(&lanes->destinations);
	bmw_share_free_all(&lanes->shares);
	free(lanes->buckets);
	free(lanes);
}

void
bmw_lanes_limit(BmwLanes *lanes, int max_in_flight)
{
	lanes->max_in_flight = max_in_flight;
}

BmwLane *
bmw_lanes_open(BmwLanes *lanes, int64_t endpoint_id, int max_in_flight)
{
	BmwLane *lane = bmw_lanes_find(lanes, endpoint_id);

	if (lane == NULL)
		lane = make_lane(lanes, endpoint_id);
	if (lane == NULL)
		return NULL;
	bmw_lane_set_limit(lane, max_in_flight);
	return lane;
}

void
bmw_lanes_set_check(BmwLanes *lanes, BmwJobCheck check, void *context)
{
	lanes->check = check;
	lanes->check_context = context;
}

BmwLane *
bmw_lanes_find(const BmwLanes *lanes, int64_t endpoint_id)
{
	BmwLane *lane = *bucket_of(lanes, endpoint_id);

	while (lane != NULL && lane->endpoint_id != endpoint_id)
		lane = lane->hash_next;
	return lane;
}

void
bmw_lanes_close(BmwLanes *lanes, BmwLane *lane)
{
	BmwLane **link = bucket_of(lanes, lane->endpoint_id);

	while (*link != lane)
		link = &(*link)->hash_next;
	*link = lane->hash_next;
	bmw_lane_forget_note(lane);
	bmw_share_leave(&lanes->shares, lane);
	bmw_heap_remove(&lanes->held, &lane->held);
	bmw_heap_remove(&lanes->waiting, &lane->waiting);
	lanes->length--;
	bmw_window_end(&lane->window);
	free(lane);
}

BmwLaneCounts
bmw_lanes_counts(const BmwLanes *lanes)
{
	return lanes->total;
}

BmwJob *
bmw_lanes_next(BmwLanes *lanes, int64_t now_us)
{
	BmwLane *lane;

	lanes->now_us = now_us;
	end_holds(lanes);
	do
	{
		lane = next_lane(lanes);
		if (lane == NULL)
			return NULL;
	} while (!is_to_be_sent(lanes, bmw_lane_first(lane)) || !may_start(lanes, lane, now_us));
	bmw_share_pass_turn(&lanes->shares, lane);
	return bmw_lane_hand_out(lane, now_us);
}

BmwLane *
bmw_lanes_next_due(BmwLanes *lanes, int64_t now_us)
{
	const BmwHeapNode *top = bmw_heap_top(&lanes->waiting);

	lanes->now_us = now_us;
	return top != NULL && top->key <= now_us ? top->item : NULL;
}

int64_t
bmw_lanes_wakeup_us(const BmwLanes *lanes, int64_t now_us)
{
	const BmwHeapNode *held = bmw_heap_top(&lanes->held);
	const BmwHeapNode *waiting = bmw_heap_top(&lanes->waiting);
	int64_t wakeup = bmw_share_wakeup_us(&lanes->shares);

	if (next_lane(lanes) != NULL)
		return now_us;
	if (bmw_destinations_wakeup_us(&lanes->destinations) < wakeup)
		wakeup = bmw_destinations_wakeup_us(&lanes->destinations);
	if (held != NULL && held->key < wakeup)
		wakeup = held->key;
	if (waiting != NULL && waiting->key < wakeup)
		wakeup = waiting->key;
	return wakeup;
}

void
bmw_lanes_each(BmwLanes *lanes, void (*fn)(BmwLane *lane, void *context), void *context)
{
	for (int i = 0; i < lanes->buckets_length; i++)
		for (BmwLane *lane = lanes->buckets[i], *next; lane != NULL; lane = next)
		{
			next = lane->hash_next;
			fn(lane, context);
		}
}

int
bmw_lanes_with_new(const BmwLanes *lanes)
{
	return lanes->with_new_length;
}

BmwLane *
bmw_lanes_turn_new(BmwLanes *lanes)
{
	BmwLane *lane = TAILQ_FIRST(&lanes->with_new);

	TAILQ_REMOVE(&lanes->with_new, lane, with_new);
	TAILQ_INSERT_TAIL(&lanes->with_new, lane, with_new);
	return lane;
}

void
bmw_lanes_shift(BmwLanes *lanes, int64_t by_us, int64_t now_us)
{
	lanes->now_us = now_us;
	bmw_share_end_holds(&lanes->shares, BMW_NEVER_US);
	bmw_destinations_hurry(&lanes->destinations);
	for (int i = 0; i < lanes->buckets_length; i++)
		for (BmwLane *lane = lanes->buckets[i]; lane != NULL; lane = lane->hash_next)
			bmw_lane_shift(lane, by_us);
}

void
bmw_lane_refresh(BmwLane *lane)
{
	BmwLanes *lanes = lane->lanes;
	const bool may_send = has_jobs(lane) && !lane->is_stopped;

	list_new(lane);
	lane->open_us = bmw_window_next_us(&lane->window, lane->in_flight);
	if (lane->open_us < lane->hold_until_us)
		lane->open_us = lane->hold_until_us;
	if (lane->open_us < bmw_rate_limit_next_us(&lane->rate_limit))
		lane->open_us = bmw_rate_limit_next_us(&lane->rate_limit);
	if (!may_send || lane->open_us > lanes->now_us)
		bmw_destination_withdraw(&lanes->destinations, lane);
	bmw_share_update(&lanes->shares, lane,
					 may_send && lane->open_us <= lanes->now_us && !lane->visit.is_waiting);
	set_or_remove(&lanes->held, &lane->held,
				  may_send && lane->open_us > lanes->now_us && lane->open_us != BMW_NEVER_US,
				  lane->open_us);
	set_or_remove(&lanes->waiting, &lane->waiting, wants_due(lane),
				  lane->due_us > lane->hold_until_us ? lane->due_us : lane->hold_until_us);
}

static void
end_holds(BmwLanes *lanes)
{
	const BmwHeapNode *top;
	BmwLane *lane;

	while ((top = bmw_heap_top(&lanes->held)) != NULL && top->key <= lanes->now_us)
		bmw_lane_refresh(top->item);
	while ((lane = bmw_destinations_call(&lanes->destinations, lanes->now_us)) != NULL)
		bmw_lane_refresh(lane);
	bmw_share_end_holds(&lanes->shares, lanes->now_us);
}

/* Whose turn it is: share.h has the rules. */
static BmwLane *
next_lane(const BmwLanes *lanes)
{
	return bmw_share_next(&lanes->shares, 2 * lanes->max_in_flight - lanes->total.in_flight);
}

static bool
may_start(BmwLanes *lanes, BmwLane *lane, int64_t now_us)
{
	if (!bmw_destination_admit(&lanes->destinations, lane, now_us))
	{
		if (lane->visit.party == NULL)
			lane->hold_until_us = now_us + NO_MEMORY_US;
		bmw_lane_refresh(lane);
	}
	else if (bmw_share_admit(&lanes->shares, lane, now_us))
		return true;
	else
		bmw_destination_withdraw(&lanes->destinations, lane);
	bmw_lane_note(lane);
	return false;
}

static bool
is_to_be_sent(const BmwLanes *lanes, BmwJob *job)
{
	return lanes->check == NULL || lanes->check(job, lanes->check_context);
}

/* A look at those with new jobs costs nothing for the many that have none. */
static void
list_new(BmwLane *lane)
{
	const bool has_new = lane->fresh.length > 0;

	if (has_new == lane->has_new)
		return;
	lane->has_new = has_new;
	lane->lanes->with_new_length += has_new ? 1 : -1;
	if (has_new)
		TAILQ_INSERT_TAIL(&lane->lanes->with_new, lane, with_new);
	else
		TAILQ_REMOVE(&lane->lanes->with_new, lane, with_new);
}

static bool
has_jobs(const BmwLane *lane)
{
	return lane->fresh.length + lane->due.length > 0;
}

static bool
wants_due(const BmwLane *lane)
{
	const int enough = bmw_breaker_is_open(&lane->window.breaker) ? 0 : lane->lanes->capacity / 4;

	return lane->due_us != BMW_NEVER_US && !lane->is_stopped && lane->due.length <= enough;
}

static void
set_or_remove(BmwHeap *heap, BmwHeapNode *node, bool is_in, int64_t key)
{
	if (is_in)
		bmw_heap_set(heap, node, key);
	else
		bmw_heap_remove(heap, node);
}

static BmwLane *
make_lane(BmwLanes *lanes, int64_t endpoint_id)
{
	BmwLane *lane;

	if (!bmw_heap_reserve(&lanes->held, lanes->length + 1) ||
		!bmw_heap_reserve(&lanes->waiting, lanes->length + 1) ||
		(lanes->length >= lanes->buckets_length && !grow_buckets(lanes)) ||
		(lane = calloc(1, sizeof(*lane))) == NULL)
		return NULL;
	if (!bmw_share_join(&lanes->shares, lane, NULL))
	{
		free(lane);
		return NULL;
	}
	lane->lanes = lanes;
	lane->endpoint_id = endpoint_id;
	lane->held.item = lane->waiting.item = lane;
	lane->due_us = BMW_NEVER_US;
	lane->hash_next = *bucket_of(lanes, endpoint_id);
	*bucket_of(lanes, endpoint_id) = lane;
	lanes->length++;
	return lane;
}

static bool
grow_buckets(BmwLanes *lanes)
{
	BmwLanes grown = *lanes;

	grown.buckets_length = lanes->buckets_length > 0 ? lanes->buckets_length * 2 : 64;
	grown.buckets = calloc((size_t) grown.buckets_length, sizeof(*grown.buckets));
	if (grown.buckets == NULL)
		return false;
	for (int i = 0; i < lanes->buckets_length; i++)
		for (BmwLane *lane = lanes->buckets[i], *next; lane != NULL; lane = next)
		{
			BmwLane **bucket = bucket_of(&grown, lane->endpoint_id);

			next = lane->hash_next;
			lane->hash_next = *bucket;
			*bucket = lane;
		}
	free(lanes->buckets);
	lanes->buckets = grown.buckets;
	lanes->buckets_length = grown.buckets_length;
	return true;
}

static BmwLane **
bucket_of(const BmwLanes *lanes, int64_t endpoint_id)
{
	uint64_t hash = (uint64_t) endpoint_id * UINT64_C(0x9E3779B97F4A7C15);

	return &lanes->buckets[(hash >> 32) & (uint64_t) (lanes->buckets_length - 1)];
}
