/*
 * inside.c - what must hold of what the scheduler holds. The one file here, with
 * inside_order.c and inside_turns.c, that looks into it.
 */
#include "core/lane_internal.h"
#include "core/scheduler_internal.h"

#include "check.h"
#include "trace.h"
#include "world.h"

#define LARGEST_BODY INT64_C(70000)
/* of the checks that look at everything: in so many cycles once */
#define SOMETIMES ((unsigned long) (8 + tables.events_length / 100))

typedef struct Sum
{
	int64_t bytes;
	int64_t lane_bytes[MAX_ENDPOINTS];
	int loaded[MAX_ENDPOINTS];
	int deliveries;
} Sum;

static void check_counts(const Dispatcher *dispatcher);
static void check_lanes(const Dispatcher *dispatcher);
static void check_memory(const Dispatcher *dispatcher);
static void add_up(BmwScheduler *scheduler, BmwDelivery *delivery, void *context);
static void check_nothing_is_lost(const Dispatcher *dispatcher);
static bool is_taken(const BmwPasses *passes, uint64_t xid);
static bool is_in_memory(const Dispatcher *dispatcher, int event, int endpoint);
static void check_what_is_due(const Dispatcher *dispatcher);
static void check_due_rows(const Dispatcher *dispatcher, int endpoint, const BmwTarget *target);
static BmwLane *lane_of(const Dispatcher *dispatcher, int endpoint);

void
check_dispatcher(Dispatcher *dispatcher)
{
	const BmwPasses *passes = &dispatcher->scheduler->passes;

	if (passes->oldest != NULL && passes->oldest != passes->newest)
		MET(MET_PASSES_TOGETHER);
	if (passes->has_provisional)
		MET(MET_PROVISIONAL);
	check_counts(dispatcher);
	check_lanes(dispatcher);
	if (dispatcher->cycles % SOMETIMES != 0)
		return;
	check_memory(dispatcher);
	check_nothing_is_lost(dispatcher);
	check_what_is_due(dispatcher);
	check_order_lists(dispatcher);
}

void
check_plan_look(Dispatcher *dispatcher, int64_t at_us)
{
	dispatcher->scheduler->looking.next_us = at_us;
}

void
check_is_empty(const Dispatcher *dispatcher)
{
	BmwSchedulerCounts counts = bmw_scheduler_counts(dispatcher->scheduler);

	if (counts.deliveries != 0 || counts.bytes != 0 || counts.in_flight != 0 ||
		counts.unwritten != 0 || counts.queued != 0)
		violation("shard %d still holds %d deliveries, %d bytes, %d records when all is done",
				  dispatcher->shard, counts.deliveries, (int) counts.bytes, counts.unwritten);
	check_order_is_done(dispatcher);
}

/* Into the story. */
void
check_describe(int endpoint)
{
	for (int i = 0; i < dispatchers_length; i++)
	{
		const BmwLane *lane = dispatchers[i].is_running ? lane_of(&dispatchers[i], endpoint) : NULL;
		const BmwTarget *target = lane != NULL ? lane->tag : NULL;
		int64_t now;

		if (lane == NULL)
			continue;
		now = dispatchers[i].scheduler->now_us;
		trace(
			"endpoint %d in shard %d: %d new, %d due, %d loaded, %d in flight, window %d%s%s, held for %.3f s, "
			"rows due in %.3f s, from %.3f s, turn %d by rule %d",
			endpoint, i, lane->fresh.length, lane->due.length, target->loaded, lane->in_flight,
			(int) lane->window.size, lane->is_stopped ? ", stopped" : "",
			lane->visit.is_waiting ? ", waits for its address" : "",
			(double) (lane->hold_until_us - now) / 1e6, (double) (lane->due_us - now) / 1e6,
			(double) (target->from_us - now) / 1e6, (int) lane->member.turn,
			(int) lane->member.rule);
	}
}

static void
check_counts(const Dispatcher *dispatcher)
{
	BmwSchedulerCounts counts = bmw_scheduler_counts(dispatcher->scheduler);
	int open = receivers_open(dispatcher->shard, -1);
	int64_t most = dispatcher->limits.max_bytes;

	if (counts.in_flight != open)
		violation("shard %d counts %d in flight, and %d are", dispatcher->shard, counts.in_flight,
				  open);
	if (open > 2 * dispatcher->limits.max_in_flight)
		violation("shard %d has %d in flight", dispatcher->shard, open);
	if (counts.bytes < 0 || counts.bytes > most + 2 * registry.length * LARGEST_BODY)
		violation("shard %d holds %d bytes of %d", dispatcher->shard, (int) counts.bytes,
				  (int) most);
}

static void
check_lanes(const Dispatcher *dispatcher)
{
	for (int i = 0; i < registry.length; i++)
	{
		const BmwLane *lane = lane_of(dispatcher, i);

		if (lane == NULL)
			continue;
		if (lane->window.size < 1 || lane->window.size > lane->window.max)
			violation("endpoint %d has a window of %d", i, (int) lane->window.size);
		if (lane->in_flight != receivers_open(dispatcher->shard, i))
			violation("endpoint %d counts %d in flight", i, lane->in_flight);
		if (lane->fresh.length >= dispatcher->limits.lane_capacity)
			MET(MET_PARKED_WHILE_FULL);
		if (lane->fresh.length > dispatcher->limits.lane_capacity + MAX_REQUESTS)
			violation("endpoint %d has a queue of %d", i, lane->fresh.length);
		if (lane->is_stopped && ((const BmwTarget *) lane->tag)->is_learnt &&
			lane->fresh.length + lane->due.length > 0)
			violation("endpoint %d is stopped, and %d deliveries stay in its queues", i,
					  lane->fresh.length + lane->due.length);
	}
}

static void
check_memory(const Dispatcher *dispatcher)
{
	Sum sum = {.bytes = 0};

	bmw_memory_each(dispatcher->scheduler, add_up, &sum);
	if (sum.bytes != dispatcher->scheduler->bytes)
		violation("shard %d counts %d bytes and holds %d", dispatcher->shard,
				  (int) dispatcher->scheduler->bytes, (int) sum.bytes);
	if (sum.deliveries != dispatcher->scheduler->deliveries)
		violation("shard %d counts %d deliveries and holds %d", dispatcher->shard,
				  dispatcher->scheduler->deliveries, sum.deliveries);
	for (int i = 0; i < registry.length; i++)
	{
		const BmwLane *lane = lane_of(dispatcher, i);
		const BmwTarget *target = lane != NULL ? lane->tag : NULL;

		if (target != NULL && target->bytes != sum.lane_bytes[i])
			violation("endpoint %d counts %d bytes and holds %d", i, (int) target->bytes,
					  (int) sum.lane_bytes[i]);
		if (target != NULL && target->loaded != sum.loaded[i])
			violation("endpoint %d counts %d rows in memory, and there are %d", i, target->loaded,
					  sum.loaded[i]);
	}
}

static void
add_up(BmwScheduler *scheduler, BmwDelivery *delivery, void *context)
{
	Sum *sum = context;
	int64_t bytes = delivery->job.event != NULL ? (int64_t) delivery->job.event->body_len : 0;
	int endpoint = registry_of(delivery->endpoint_id);

	(void) scheduler;
	sum->bytes += bytes;
	sum->lane_bytes[endpoint] += bytes;
	sum->loaded[endpoint] += delivery->job.has_row;
	sum->deliveries++;
}

/* Each delivery has a row, is in memory, or its event has not been taken yet. */
static void
check_nothing_is_lost(const Dispatcher *dispatcher)
{
	const BmwPasses *passes = &dispatcher->scheduler->passes;

	for (int i = 0; i < tables.events_length; i++)
	{
		const Event *event = &tables.events[i];

		if (!event->is_committed || event->must == 0 ||
			!is_taken(passes, (uint64_t) (FIRST_XID + event->xact)))
			continue;
		for (int e = 0; event->must >> e != 0; e++)
			if ((event->must >> e & 1) != 0 && dispatcher_owns(dispatcher, e) &&
				pair_of(i, e)->row.status == ROW_NONE && pair_of(i, e)->row.aside == ROW_NONE &&
				!is_in_memory(dispatcher, i, e))
				violation("event %d is lost for endpoint %d", i, e);
	}
}

static bool
is_taken(const BmwPasses *passes, uint64_t xid)
{
	return bmw_snapshot_sees(&passes->previous, xid) &&
		   (!passes->has_provisional || bmw_snapshot_sees(&passes->provisional_previous, xid));
}

static bool
is_in_memory(const Dispatcher *dispatcher, int event, int endpoint)
{
	return bmw_memory_find(dispatcher->scheduler, &tables.events[event].id,
						   registry_id(endpoint)) != NULL;
}

/* What waits in the table is expected in time. */
static void
check_what_is_due(const Dispatcher *dispatcher)
{
	if (!dispatcher->scheduler->looking.has_looked || dispatcher->has_due ||
		dispatcher->due_length > 0 || dispatcher->scheduler->looking.is_under_way ||
		dispatcher->scheduler->looking.next_us <= dispatcher->scheduler->now_us + SECOND ||
		dispatcher->scheduler->errands != NULL)
		return;
	for (int i = 0; i < registry.length; i++)
	{
		const BmwLane *lane = lane_of(dispatcher, i);

		if (lane != NULL && !lane->is_stopped)
			check_due_rows(dispatcher, i, lane->tag);
	}
}

static void
check_due_rows(const Dispatcher *dispatcher, int endpoint, const BmwTarget *target)
{
	/* a pause for want of room, and a clock that was set back by less than a second during it */
	const int64_t soon = dispatcher->scheduler->now_us + 2 * SECOND;
	const int *events;
	int length = rows_pending(endpoint, &events);

	for (int i = 0; i < length; i++)
	{
		const Pair *pair = pair_of(events[i], endpoint);
		int64_t due = pair->row.due > soon ? pair->row.due : soon;

		if (pair->row.aside != ROW_NONE || pair->row.due == BMW_HELD_BACK ||
			(pair->again != 0 && world.now < pair->again + SECOND) ||
			is_in_memory(dispatcher, events[i], endpoint))
			continue;
		if (target->lane->due_us > due || target->from_us > pair->row.due)
			violation("nobody waits for event %d, which is due for endpoint %d in %.3f s",
					  events[i], endpoint,
					  (double) (pair->row.due - dispatcher->scheduler->now_us) / 1e6);
	}
}

static BmwLane *
lane_of(const Dispatcher *dispatcher, int endpoint)
{
	return bmw_lanes_find(dispatcher->scheduler->lanes, registry_id(endpoint));
}
