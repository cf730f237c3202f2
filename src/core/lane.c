/*
 * core/lane.c - the queues and the health of the endpoints: who sends next.
 *
 * A lane is in the ring of ready lanes exactly when it could hand out a job
 * now, and in the heap when something will happen to it at a known time (its
 * hold ends, its rows become due). refresh() is the one place that decides
 * both; every change of a lane ends with it.
 */
#include "core/lane.h"

#include <stdlib.h>

#include "core/heap.h"

/* Every so manieth job of a lane comes from the due queue, if there is one. */
#define DUE_TURN 4

#define START_WINDOW 4
#define REST_MIN_US INT64_C(1000000)
#define REST_MAX_DOUBLINGS 4

typedef struct Queue
{
	BmwJob	   *head;
	BmwJob	   *tail;
	int			length;
} Queue;

struct BmwLane
{
	BmwLanes   *lanes;
	BmwLane    *hash_next;
	BmwLane    *ring_next;		/* NULL: not in the ring */
	BmwLane    *ring_previous;
	BmwHeapNode wake;
	int64_t		endpoint_id;
	void	   *tag;
	Queue		fresh;
	Queue		due;
	int			in_flight;
	int			max_in_flight;
	int			window;			/* 1 .. max_in_flight */
	int			rests;			/* in a row, without a success */
	unsigned	turn;
	bool		is_stopped;
	int64_t		hold_until_us;
	int64_t		due_us;			/* first waiting row of the table */
	int64_t		last_success_us;
	int64_t		failing_since_us;
};

struct BmwLanes
{
	BmwLane   **buckets;
	int			buckets_length; /* a power of two */
	int			length;
	BmwLane    *ring;			/* whose turn is next; NULL: no lane is ready */
	BmwHeap		heap;
	int			capacity;
	int			max_in_flight;
	BmwLaneCounts total;
	int64_t		now_us;			/* the latest that a caller said */
};

static void refresh(BmwLane *lane);
static BmwLane *next_lane(const BmwLanes *lanes);
static void slow_down(BmwLane *lane, int64_t now_us);
static void hold(BmwLane *lane, int64_t hold_us, int64_t now_us);
static bool is_ready(const BmwLane *lane);
static int64_t wake_us(const BmwLane *lane);
static bool wants_due(const BmwLane *lane);
static void ring_insert(BmwLane *lane);
static void ring_remove(BmwLane *lane);
static bool push(BmwLane *lane, Queue *queue, BmwJob *job, int64_t now_us);
static BmwJob *pop(BmwLane *lane, Queue *queue);
static Queue *next_queue(BmwLane *lane);
static bool grow_buckets(BmwLanes *lanes);
static BmwLane **bucket_of(const BmwLanes *lanes, int64_t endpoint_id);

BmwLanes *
bmw_lanes_create(int max_in_flight, int capacity)
{
	BmwLanes   *lanes = calloc(1, sizeof(*lanes));

	if (lanes == NULL)
		return NULL;
	lanes->max_in_flight = max_in_flight;
	lanes->capacity = capacity;
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
			free(lane);
		}
	bmw_heap_free(&lanes->heap);
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
	BmwLane    *lane = bmw_lanes_find(lanes, endpoint_id);

	if (lane == NULL)
	{
		if (!bmw_heap_reserve(&lanes->heap, lanes->length + 1) ||
			(lanes->length >= lanes->buckets_length && !grow_buckets(lanes)) ||
			(lane = calloc(1, sizeof(*lane))) == NULL)
			return NULL;
		lane->lanes = lanes;
		lane->endpoint_id = endpoint_id;
		lane->wake.item = lane;
		lane->due_us = BMW_NEVER_US;
		lane->window = max_in_flight < START_WINDOW ? max_in_flight : START_WINDOW;
		lane->hash_next = *bucket_of(lanes, endpoint_id);
		*bucket_of(lanes, endpoint_id) = lane;
		lanes->length++;
	}
	else if (lane->window > max_in_flight)
		lane->window = max_in_flight;
	lane->max_in_flight = max_in_flight;
	refresh(lane);
	return lane;
}

BmwLane *
bmw_lanes_find(const BmwLanes *lanes, int64_t endpoint_id)
{
	BmwLane    *lane = *bucket_of(lanes, endpoint_id);

	while (lane != NULL && lane->endpoint_id != endpoint_id)
		lane = lane->hash_next;
	return lane;
}

void
bmw_lanes_close(BmwLanes *lanes, BmwLane *lane)
{
	BmwLane   **link = bucket_of(lanes, lane->endpoint_id);

	while (*link != lane)
		link = &(*link)->hash_next;
	*link = lane->hash_next;
	if (lane->ring_next != NULL)
		ring_remove(lane);
	bmw_heap_remove(&lanes->heap, &lane->wake);
	lanes->length--;
	free(lane);
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
	lane->is_stopped = is_stopped;
	refresh(lane);
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
	Queue	   *queue = job->has_row ? &lane->due : &lane->fresh;

	lane->lanes->now_us = now_us;
	hold(lane, hold_us, now_us);
	lane->in_flight--;
	lane->lanes->total.in_flight--;
	job->next = queue->head;
	queue->head = job;
	if (queue->tail == NULL)
		queue->tail = job;
	queue->length++;
	lane->lanes->total.queued++;
	refresh(lane);
}

int
bmw_lane_room_new(const BmwLane *lane)
{
	int			room = lane->lanes->capacity - lane->fresh.length;

	return room > 0 ? room : 0;
}

int
bmw_lane_room_due(const BmwLane *lane)
{
	int			room = lane->lanes->capacity - lane->due.length;

	return room > 0 ? room : 0;
}

BmwJob *
bmw_lane_take_new(BmwLane *lane)
{
	return lane->fresh.head != NULL ? pop(lane, &lane->fresh) : NULL;
}

BmwJob *
bmw_lane_take_due(BmwLane *lane)
{
	return lane->due.head != NULL ? pop(lane, &lane->due) : NULL;
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

BmwLaneCounts
bmw_lanes_counts(const BmwLanes *lanes)
{
	return lanes->total;
}

BmwJob *
bmw_lanes_next(BmwLanes *lanes, int64_t now_us)
{
	BmwLane    *lane;
	BmwJob	   *job;

	lanes->now_us = now_us;
	lane = next_lane(lanes);
	if (lane == NULL)
		return NULL;
	lanes->ring = lane->ring_next;
	job = pop(lane, next_queue(lane));
	job->started_us = now_us;
	lane->in_flight++;
	lanes->total.in_flight++;
	refresh(lane);
	return job;
}

void
bmw_lane_finished(BmwLane *lane, BmwLaneSignal signal, int64_t hold_us, int64_t now_us)
{
	lane->lanes->now_us = now_us;
	lane->in_flight--;
	lane->lanes->total.in_flight--;
	switch (signal)
	{
		case BMW_LANE_SUCCESS:
			lane->last_success_us = now_us;
			lane->rests = 0;
			if (lane->window < lane->max_in_flight)
				lane->window++;
			break;
		case BMW_LANE_SLOW_DOWN:
			slow_down(lane, now_us);
			break;
		case BMW_LANE_FAILURE:
			break;
	}
	if (signal == BMW_LANE_SUCCESS)
		lane->failing_since_us = 0;
	else if (lane->failing_since_us == 0)
		lane->failing_since_us = now_us;
	hold(lane, hold_us, now_us);
	refresh(lane);
}

void
bmw_lane_set_due(BmwLane *lane, int64_t due_us)
{
	lane->due_us = due_us;
	refresh(lane);
}

void
bmw_lane_expect(BmwLane *lane, int64_t due_us)
{
	if (due_us < lane->due_us)
		bmw_lane_set_due(lane, due_us);
}

BmwLane *
bmw_lanes_next_due(BmwLanes *lanes, int64_t now_us)
{
	BmwHeapNode *top;

	lanes->now_us = now_us;
	while ((top = bmw_heap_top(&lanes->heap)) != NULL && top->key <= now_us)
	{
		BmwLane    *lane = top->item;

		if (wants_due(lane) && lane->due_us <= now_us && lane->hold_until_us <= now_us)
			return lane;
		refresh(lane);			/* its hold has ended: to the ring */
	}
	return NULL;
}

int64_t
bmw_lanes_wakeup_us(const BmwLanes *lanes, int64_t now_us)
{
	const BmwHeapNode *top = bmw_heap_top(&lanes->heap);

	if (next_lane(lanes) != NULL)
		return now_us;
	return top != NULL ? top->key : BMW_NEVER_US;
}

void
bmw_lanes_each(BmwLanes *lanes, void (*fn) (BmwLane *lane, void *context), void *context)
{
	for (int i = 0; i < lanes->buckets_length; i++)
		for (BmwLane *lane = lanes->buckets[i], *next; lane != NULL; lane = next)
		{
			next = lane->hash_next;
			fn(lane, context);
		}
}

static void
refresh(BmwLane *lane)
{
	int64_t		wake = wake_us(lane);

	if (is_ready(lane) != (lane->ring_next != NULL))
	{
		if (lane->ring_next == NULL)
			ring_insert(lane);
		else
			ring_remove(lane);
	}
	if (wake == BMW_NEVER_US)
		bmw_heap_remove(&lane->lanes->heap, &lane->wake);
	else
		bmw_heap_set(&lane->lanes->heap, &lane->wake, wake);
}

/* Whose turn it is; beyond the limit only lanes that have nothing in flight. */
static BmwLane *
next_lane(const BmwLanes *lanes)
{
	BmwLane    *lane = lanes->ring;

	if (lane == NULL || lanes->total.in_flight < lanes->max_in_flight)
		return lane;
	if (lanes->total.in_flight >= 2 * lanes->max_in_flight)
		return NULL;
	do
	{
		if (lane->in_flight == 0)
			return lane;
		lane = lane->ring_next;
	} while (lane != lanes->ring);
	return NULL;
}

static void
slow_down(BmwLane *lane, int64_t now_us)
{
	if (lane->window > 1)
	{
		lane->window /= 2;
		return;
	}
	hold(lane, REST_MIN_US << lane->rests, now_us);
	if (lane->rests < REST_MAX_DOUBLINGS)
		lane->rests++;
}

static void
hold(BmwLane *lane, int64_t hold_us, int64_t now_us)
{
	if (hold_us > 0 && now_us + hold_us > lane->hold_until_us)
		lane->hold_until_us = now_us + hold_us;
}

static bool
is_ready(const BmwLane *lane)
{
	return !lane->is_stopped && lane->in_flight < lane->window &&
		lane->fresh.length + lane->due.length > 0 &&
		lane->hold_until_us <= lane->lanes->now_us;
}

/* When time alone changes something for this lane. */
static int64_t
wake_us(const BmwLane *lane)
{
	int64_t		wake = BMW_NEVER_US;

	if (lane->is_stopped)
		return BMW_NEVER_US;
	if (wants_due(lane))
		wake = lane->due_us > lane->hold_until_us ? lane->due_us : lane->hold_until_us;
	if (lane->hold_until_us > lane->lanes->now_us && lane->hold_until_us < wake &&
		lane->fresh.length + lane->due.length > 0)
		wake = lane->hold_until_us;
	return wake;
}

static bool
wants_due(const BmwLane *lane)
{
	return lane->due_us != BMW_NEVER_US && !lane->is_stopped &&
		lane->due.length <= lane->lanes->capacity / 4;
}

/* At the end of the round: before the lane whose turn is next. */
static void
ring_insert(BmwLane *lane)
{
	BmwLane    *next = lane->lanes->ring;

	if (next == NULL)
	{
		lane->ring_next = lane->ring_previous = lane;
		lane->lanes->ring = lane;
		return;
	}
	lane->ring_next = next;
	lane->ring_previous = next->ring_previous;
	lane->ring_previous->ring_next = lane;
	next->ring_previous = lane;
}

static void
ring_remove(BmwLane *lane)
{
	BmwLanes   *lanes = lane->lanes;

	if (lanes->ring == lane)
		lanes->ring = lane->ring_next == lane ? NULL : lane->ring_next;
	lane->ring_next->ring_previous = lane->ring_previous;
	lane->ring_previous->ring_next = lane->ring_next;
	lane->ring_next = lane->ring_previous = NULL;
}

static bool
push(BmwLane *lane, Queue *queue, BmwJob *job, int64_t now_us)
{
	if (queue->length >= lane->lanes->capacity)
		return false;
	lane->lanes->now_us = now_us;
	job->lane = lane;
	job->queued_us = now_us;
	job->next = NULL;
	if (queue->tail != NULL)
		queue->tail->next = job;
	else
		queue->head = job;
	queue->tail = job;
	queue->length++;
	lane->lanes->total.queued++;
	refresh(lane);
	return true;
}

static BmwJob *
pop(BmwLane *lane, Queue *queue)
{
	BmwJob	   *job = queue->head;

	queue->head = job->next;
	if (queue->head == NULL)
		queue->tail = NULL;
	queue->length--;
	lane->lanes->total.queued--;
	job->next = NULL;
	refresh(lane);
	return job;
}

static Queue *
next_queue(BmwLane *lane)
{
	bool		is_due_turn = ++lane->turn % DUE_TURN == 0;

	if (lane->fresh.head == NULL || (is_due_turn && lane->due.head != NULL))
		return &lane->due;
	return &lane->fresh;
}

static bool
grow_buckets(BmwLanes *lanes)
{
	BmwLanes	grown = *lanes;

	grown.buckets_length = lanes->buckets_length > 0 ? lanes->buckets_length * 2 : 64;
	grown.buckets = calloc((size_t) grown.buckets_length, sizeof(*grown.buckets));
	if (grown.buckets == NULL)
		return false;
	for (int i = 0; i < lanes->buckets_length; i++)
		for (BmwLane *lane = lanes->buckets[i], *next; lane != NULL; lane = next)
		{
			BmwLane   **bucket = bucket_of(&grown, lane->endpoint_id);

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
	uint64_t	hash = (uint64_t) endpoint_id * UINT64_C(0x9E3779B97F4A7C15);

	return &lanes->buckets[(hash >> 32) & (uint64_t) (lanes->buckets_length - 1)];
}
