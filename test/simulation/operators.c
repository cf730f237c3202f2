/*
 * operators.c - what operators do, and what goes wrong around the server: crashes,
 * locks of tables, full disks, clocks, other numbers of shards.
 */
#include "operators.h"

#include "dispatcher.h"
#include "registry.h"
#include "tables.h"
#include "trace.h"
#include "users.h"
#include "world.h"

static void reshard(void);
static void crash_something(int shard);
static void lock_a_table(void);
static void move_clock(void);
static void set_clock(int64_t by);
static void refuse_something(void);

void
operators_begin(void)
{
	dispatchers_set(PLAN_HAS(HAS_SHARDS) ? 1 + random_below(MAX_SHARDS) : 1);
}

/* Argument: another thing that is done but that which comes round. */
void
users_operate(int argument)
{
	int shard = random_below(MAX_SHARDS);

	if (world.is_calm)
		return;
	if (argument == CRASH_SOMETHING)
		crash_something(shard);
	if (argument == CRASH_SERVER)
		dispatchers_server_crash();
	if (argument == CORRECT_CLOCK && world.clock > CLOCK_AT_START)
		set_clock(CLOCK_AT_START - world.clock);
	if (argument != 0)
		return;
	world_after(random_about(3 * SECOND), ACTOR_OPERATOR, 0);
	switch (random_below(9))
	{
		case 0:
			if (PLAN_HAS(HAS_DISPATCHER_CRASHES))
				dispatcher_crash(shard, "killed");
			break;
		case 1:
			if (PLAN_HAS(HAS_SERVER_CRASHES) && random_chance(500))
				dispatchers_server_crash();
			break;
		case 2:
			if (PLAN_HAS(HAS_STOPS))
				dispatcher_stop(shard);
			break;
		case 3:
			if (PLAN_HAS(HAS_TABLE_LOCKS))
				lock_a_table();
			break;
		case 4:
			if (PLAN_HAS(HAS_CLOCK_JUMPS))
				move_clock();
			break;
		case 5:
			if (PLAN_HAS(HAS_REFUSALS))
				refuse_something();
			break;
		case 6:
			if (PLAN_HAS(HAS_DISK_FULL))
			{
				tables.full_until = world.now + random_about(2 * SECOND);
				world_fault(tables.full_until - world.now);
			}
			break;
		case 7:
			if (PLAN_HAS(HAS_RESHARDING) && random_chance(300))
				reshard();
			break;
		case 8:
			if (PLAN_HAS(HAS_HOLDING))
				dispatchers_hold(random_about(SECOND));
			break;
	}
}

/* And soon, before or after the others have stopped, something may crash. */
static void
reshard(void)
{
	dispatchers_set(1 + random_below(MAX_SHARDS));
	if (random_chance(700))
		world_after(random_about(SECOND), ACTOR_OPERATOR, CRASH_SOMETHING);
}

static void
crash_something(int shard)
{
	MET(MET_CRASH_AND_SHARDS);
	if (PLAN_HAS(HAS_SERVER_CRASHES) && random_chance(500))
		dispatchers_server_crash();
	else if (PLAN_HAS(HAS_DISPATCHER_CRASHES))
		dispatcher_crash(shard, "while the number of shards changes");
}

/* Who has not read them yet goes on with what was known before. */
void
operators_lock_endpoints(int64_t until)
{
	tables.endpoints_locked_until = until;
	world_fault(until - world.now);
	for (int i = 0; i < registry.length; i++)
		if (registry.endpoints[i].ordered != INT64_MAX &&
			registry.endpoints[i].ordered > world.now - 30 * SECOND)
			registry.endpoints[i].ordered = until + 10 * SECOND;
	for (int i = 0; i < tables.events_length; i++)
		if (tables.events[i].is_committed && tables.events[i].committed > world.now - 10 * SECOND)
			tables.events[i].may |= registry_match_before(&tables.events[i]);
}

static void
lock_a_table(void)
{
	int64_t until = world.now + random_about(SECOND);
	int which = random_below(3);

	world_fault(until - world.now);
	trace("%s is locked until %.6f",
		  which == 0   ? "the log"
		  : which == 1 ? "endpoint"
					   : "cursor",
		  (double) until / (double) SECOND);
	if (which == 0)
		tables.log_locked_until = until;
	else if (which == 1)
		operators_lock_endpoints(until);
	else
		tables.cursor_locked_until = until;
}

/* Ahead, and often somebody notices; or back. */
static void
move_clock(void)
{
	int64_t by = random_about(random_chance(500) ? 3 * SECOND : 600 * SECOND);
	bool is_ahead = random_chance(500);

	set_clock(is_ahead ? by : -by);
	if (is_ahead && random_chance(700))
		world_after(random_about(5 * SECOND), ACTOR_OPERATOR, CORRECT_CLOCK);
}

static void
set_clock(int64_t by)
{
	world.clock += by;
	if (by < 0)
		world.set_back -= by;
	world_fault(0);
	trace("the clock is set by %.3f s", (double) by / (double) SECOND);
}

static void
refuse_something(void)
{
	int first = tables.events_length > 20 ? tables.events_length - 20 : 0;

	for (int i = first; i < tables.events_length + 5 && i < MAX_EVENTS; i++)
		if (random_chance(100))
			pair_of(i, random_below(registry.length))->is_refused = true;
}
