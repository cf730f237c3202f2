/*
 * cycle.c - the cycle of a dispatcher, as src/pg/dispatch/cycle.c has it: take in, send, collect,
 * record. Between two statements the world goes on.
 */
#include "dispatcher.h"

#include "check.h"
#include "receivers.h"
#include "tables.h"
#include "trace.h"
#include "world.h"

static void set_time(Dispatcher *dispatcher);
static Result take_in(Dispatcher *dispatcher);
static Result read_tables(Dispatcher *dispatcher);
static void end(Dispatcher *dispatcher);
static void plan_next(Dispatcher *dispatcher);

bool
dispatcher_pause(Dispatcher *dispatcher, int64_t most)
{
	world_run_until(world.now + random_between(0, random_chance(100) ? most * 10 : most));
	if (!world.is_calm && PLAN_HAS(HAS_DISPATCHER_CRASHES) && random_below(5000) == 0)
		dispatcher_crash(dispatcher->shard, "in its cycle");
	if (!world.is_calm && PLAN_HAS(HAS_SERVER_CRASHES) && random_below(20000) == 0)
		dispatchers_server_crash();
	return !dispatcher->must_die;
}

Result
dispatcher_statement(Dispatcher *dispatcher)
{
	if (!dispatcher_pause(dispatcher, 300))
		return RESULT_DIED;
	if (!world.is_calm && PLAN_HAS(HAS_STATEMENT_FAILURES) && random_chance(10))
	{
		world_fault(SECOND);
		return RESULT_FAILED;
	}
	return RESULT_DONE;
}

void
dispatcher_cycle(Dispatcher *dispatcher)
{
	dispatcher->cycles++;
	set_time(dispatcher);
	bmw_scheduler_durable(dispatcher->scheduler, wal_flushed());
	if (take_in(dispatcher) == RESULT_DIED)
		return;
	clerk_start(dispatcher);
	if (!dispatcher_pause(dispatcher, 100))
		return;
	set_time(dispatcher);
	clerk_connect(dispatcher);
	clerk_collect(dispatcher);
	clerk_start(dispatcher);
	clerk_connect(dispatcher);
	if (clerk_record(dispatcher) == RESULT_DIED || clerk_operate(dispatcher) == RESULT_DIED ||
		clerk_write_proofs(dispatcher) == RESULT_DIED)
		return;
	check_dispatcher(dispatcher);
	plan_next(dispatcher);
}

static void
set_time(Dispatcher *dispatcher)
{
	if (bmw_scheduler_set_time(dispatcher->scheduler, world_wall()) > 0)
		MET(MET_CLOCK_BACK);
}

static Result
take_in(Dispatcher *dispatcher)
{
	bool wants_endpoints = clerk_wants_endpoints(dispatcher);
	Result result;

	if (bmw_scheduler_is_resting(dispatcher->scheduler))
		return RESULT_DONE;
	if (!wants_endpoints &&
		!bmw_scheduler_wants_events(dispatcher->scheduler, dispatcher->is_awake) &&
		!(dispatcher->is_loaded && clerk_wants_fetch(dispatcher)))
		return RESULT_DONE;
	memory_begin(true);
	result = read_tables(dispatcher);
	memory_end();
	if (result == RESULT_FAILED)
		bmw_scheduler_rest(dispatcher->scheduler, random_chance(500) ? SECOND / 5 : SECOND);
	return result;
}

static Result
read_tables(Dispatcher *dispatcher)
{
	Result result;

	if (bmw_scheduler_wants_events(dispatcher->scheduler, dispatcher->is_awake))
		result = clerk_take_in(dispatcher);
	else
		result = clerk_refresh(dispatcher);
	if (result == RESULT_DONE && dispatcher->is_loaded)
		result = clerk_fetch(dispatcher);
	return result;
}

/* It stops: what can be written is. */
static void
end(Dispatcher *dispatcher)
{
	int before;

	do
	{
		before = bmw_scheduler_counts(dispatcher->scheduler).unwritten;
		if (clerk_record(dispatcher) == RESULT_DIED)
			break;
	} while (bmw_scheduler_counts(dispatcher->scheduler).unwritten < before);
	trace("shard %d stops", dispatcher->shard);
	dispatcher->must_die = true;
}

static void
plan_next(Dispatcher *dispatcher)
{
	int64_t wakeup = bmw_scheduler_wakeup_us(dispatcher->scheduler);
	int64_t now = world_wall();

	if (dispatcher->is_stopping &&
		(receivers_open(dispatcher->shard, -1) == 0 || world.now >= dispatcher->stop_by))
	{
		end(dispatcher);
		return;
	}
	if (dispatcher->mode == BMW_RUNNING &&
		wakeup > now + bmw_operations_wakeup_us(&dispatcher->operations) - world.now)
		wakeup = now + bmw_operations_wakeup_us(&dispatcher->operations) - world.now;
	if (wakeup > now + 60 * SECOND)
		wakeup = now + 60 * SECOND;
	if (dispatcher->is_latched || wakeup <= now)
		wakeup = now;
	else
		wakeup = now + (wakeup - now + 999) / 1000 * 1000;
	dispatcher->wake_at = world.now + (wakeup - now) + random_between(1, 50);
	world_at(dispatcher->wake_at, ACTOR_DISPATCHER, dispatcher->shard);
}
