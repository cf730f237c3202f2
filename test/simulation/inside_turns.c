/*
 * inside_turns.c - what must hold of turns: nobody who may send is passed over, and a receiver that
 * refuses much, or limits the rate, still gets requests. It looks inside, too.
 */
#include <string.h>

#include "core/lane_internal.h"
#include "core/scheduler_internal.h"
#include "core/share_internal.h"

#include "check.h"
#include "trace.h"
#include "world.h"

#define HUNGRY_FOR (20 * SECOND)
#define JOBS 5	/* that wait all that time */
#define LEAST 5 /* requests in it */

/* Something waits for a steady receiver, and nothing but its answers stands in the way. */
typedef struct Hunger
{
	int64_t since; /* true time; 0: it is not so */
	int started;
} Hunger;

static int passed_over[MAX_ENDPOINTS];
static Hunger hungry[MAX_SHARDS][MAX_ENDPOINTS];

static void check_hunger(const Dispatcher *dispatcher, int endpoint, const BmwLane *lane);
static bool is_hungry(const Dispatcher *dispatcher, int endpoint, const BmwLane *lane);
static BmwLane *lane_of(const Dispatcher *dispatcher, int endpoint);
static bool may_send(const BmwLane *lane, int64_t now);

void
check_begin(void)
{
	for (int i = 0; i < MAX_ENDPOINTS; i++)
		passed_over[i] = 0;
	memset(hungry, 0, sizeof(hungry));
}

/* When no request was started any more: nobody who may send waits while nothing is in flight. */
void
check_turns(Dispatcher *dispatcher)
{
	const BmwScheduler *scheduler = dispatcher->scheduler;

	for (int i = 0; i < registry.length; i++)
	{
		const BmwLane *lane = lane_of(dispatcher, i);

		if (lane == NULL)
			continue;
		check_hunger(dispatcher, i, lane);
		if (!may_send(lane, scheduler->now_us) || lane->in_flight > 0)
			passed_over[i] = 0;
		else if (!lane->member.share->is_held && scheduler->lanes->total.in_flight == 0 &&
				 scheduler->mode == BMW_RUNNING && !scheduler->is_paused &&
				 !bmw_scheduler_is_full(scheduler))
			violation("endpoint %d may send, nothing is in flight, and nothing is sent", i);
	}
}

/* One that has nothing in flight is not passed over for ever by others of its application. */
void
check_started(Dispatcher *dispatcher, int endpoint)
{
	const BmwLane *started = lane_of(dispatcher, endpoint);

	passed_over[endpoint] = 0;
	hungry[dispatcher->shard][endpoint].started++;
	if (started != NULL && started->in_flight > started->window.max)
		violation("endpoint %d has %d in flight, more than its limit of %d", endpoint,
				  started->in_flight, started->window.max);
	if (started == NULL || started->in_flight < 2)
		return;
	for (int i = 0; i < registry.length; i++)
	{
		const BmwLane *lane = lane_of(dispatcher, i);

		if (lane == NULL || lane == started || lane->in_flight > 0 ||
			lane->member.share != started->member.share ||
			lane->member.rule > started->member.rule || /* one in doubt waits for others in doubt */
			!may_send(lane, dispatcher->scheduler->now_us))
			continue;
		if (++passed_over[i] > MAX_ENDPOINTS)
		{
			check_describe(i);
			check_describe(endpoint);
			violation("endpoint %d may send and is passed over for ever", i);
		}
	}
}

static void
check_hunger(const Dispatcher *dispatcher, int endpoint, const BmwLane *lane)
{
	Hunger *hunger = &hungry[dispatcher->shard][endpoint];

	if (!is_hungry(dispatcher, endpoint, lane))
		hunger->since = 0;
	else if (hunger->since == 0)
		*hunger = (Hunger){.since = world.now};
	else if (world.now - hunger->since >= HUNGRY_FOR)
	{
		MET(MET_STEADY);
		if (hunger->started < LEAST)
		{
			check_describe(endpoint);
			violation("endpoint %d refuses much, and starves: %d requests in %d s", endpoint,
					  hunger->started, (int) (HUNGRY_FOR / SECOND));
		}
		hunger->since = 0;
	}
}

/* Others who hang or are slow may hold what is left for those in doubt. */
static bool
is_hungry(const Dispatcher *dispatcher, int endpoint, const BmwLane *lane)
{
	const BmwScheduler *scheduler = dispatcher->scheduler;

	return receivers_are_steady(endpoint) && lane->member.share->rate == 0 &&
		   !PLAN_HAS(HAS_HANGING) && !PLAN_HAS(HAS_OUTAGES) && !PLAN_HAS(HAS_ADDRESSES) &&
		   world.now >= world.faulty && scheduler->mode == BMW_RUNNING && !scheduler->is_paused &&
		   !bmw_scheduler_is_full(scheduler) && !lane->is_stopped &&
		   lane->fresh.length + lane->due.length >= JOBS &&
		   lane->hold_until_us <= scheduler->now_us;
}

static BmwLane *
lane_of(const Dispatcher *dispatcher, int endpoint)
{
	return bmw_lanes_find(dispatcher->scheduler->lanes, registry_id(endpoint));
}

static bool
may_send(const BmwLane *lane, int64_t now)
{
	return !lane->is_stopped && !lane->visit.is_waiting &&
		   lane->fresh.length + lane->due.length > 0 && lane->hold_until_us <= now &&
		   bmw_window_next_us(&lane->window, lane->in_flight) <= now &&
		   bmw_rate_limit_next_us(&lane->rate_limit) <= now;
}
