/*
 * dispatcher.c - the life of dispatchers: started, woken, killed, stopped, sharded.
 *
 * One that dies in the middle of its cycle is only marked: the clerk that let the
 * world run on sees it, and nothing that it had not committed is done.
 */
#include "dispatcher.h"

#include <stdlib.h>
#include <string.h>

#include "operations.h"
#include "random.h"
#include "receivers.h"
#include "trace.h"
#include "users.h"
#include "world.h"

Dispatcher dispatchers[MAX_SHARDS];
int dispatchers_length;

static int wanted; /* another number of shards, when all have stopped; 0: none */
static int64_t held_until;

static void bury(Dispatcher *dispatcher);
static void forget_patience(void);
static void reset_cursors(int count);
static void read_cursor(const Dispatcher *dispatcher, BmwSnapshot *snapshot);
static BmwLimits limits(void);

void
dispatchers_begin(void)
{
	memset(dispatchers, 0, sizeof(dispatchers));
	for (int i = 0; i < MAX_SHARDS; i++)
		dispatchers[i].shard = i;
	dispatchers_length = wanted = 0;
	held_until = 0;
	shared_begin();
}

void
dispatchers_end(void)
{
	for (int i = 0; i < MAX_SHARDS; i++)
		bury(&dispatchers[i]);
}

void
dispatchers_set(int count)
{
	if (dispatchers_length == count || wanted != 0)
		return;
	wanted = count;
	for (int i = 0; i < dispatchers_length; i++)
		dispatcher_stop(i);
	if (dispatchers_length == 0)
		dispatcher_start(0);
}

void
dispatchers_hold(int64_t length)
{
	held_until = world.now + length;
	world_fault(length);
	for (int i = 0; i < dispatchers_length; i++)
		dispatcher_wake(i);
	for (int i = 0; i < dispatchers_length; i++)
		world_after(length + 1, ACTOR_DISPATCHER, i + MAX_SHARDS);
}

void
dispatchers_announce(bool endpoints, int due)
{
	for (int i = 0; i < dispatchers_length; i++)
	{
		Dispatcher *dispatcher = &dispatchers[i];
		bool is_news = !dispatcher->is_awake || endpoints || due != NOTHING_DUE;

		dispatcher->is_awake = true;
		if (due != NOTHING_DUE && dispatcher->due_length < MAX_NAMED && random_chance(700))
			dispatcher->due[dispatcher->due_length++] = due;
		else
			dispatcher->has_due |= due != NOTHING_DUE;
		if (is_news)
			dispatcher_wake(i);
	}
}

void
dispatchers_announce_operation(void)
{
	for (int i = 0; i < dispatchers_length; i++)
		dispatchers[i].has_operation = true;
}

void
dispatchers_server_crash(void)
{
	trace("the server crashes: the WAL from %d to %d is lost", (int) wal_flushed(),
		  (int) wal_end());
	for (int i = 0; i < MAX_SHARDS; i++)
	{
		dispatchers[i].committed = 0;
		dispatcher_crash(i, "of the server");
	}
	users_crash();
	shared_begin();
	wal_lose();
	registry_forgive();
	forget_patience();
}

void
dispatcher_crash(int shard, const char *why)
{
	Dispatcher *dispatcher = &dispatchers[shard];

	if (!dispatcher->is_running || dispatcher->must_die)
		return;
	trace("shard %d: killed (%s)", shard, why);
	world_fault(SECOND);
	if (dispatcher->is_in_cycle)
		MET(MET_DIED_IN_CYCLE);
	dispatcher->must_die = true;
	if (!dispatcher->is_in_cycle)
		bury(dispatcher);
	world_after(random_about(SECOND), ACTOR_START, shard);
}

void
dispatcher_stop(int shard)
{
	Dispatcher *dispatcher = &dispatchers[shard];

	if (!dispatcher->is_running || dispatcher->is_stopping)
		return;
	trace("shard %d: to stop", shard);
	dispatcher->is_stopping = true;
	dispatcher->stop_by = world.now + random_about(2 * SECOND);
	world_at(dispatcher->stop_by, ACTOR_DISPATCHER, shard + MAX_SHARDS);
	dispatcher_wake(shard);
}

void
dispatcher_start(int shard)
{
	Dispatcher *dispatcher = &dispatchers[shard];
	int starts = dispatcher->starts + 1;
	BmwSnapshot cursor;
	int64_t since;

	for (int i = 0; i < MAX_SHARDS; i++)
		if (wanted != 0 && dispatchers[i].is_running)
			return;
	if (wanted != 0)
		reset_cursors(wanted);
	if (shard >= dispatchers_length || dispatcher->is_running)
		return;
	*dispatcher = (Dispatcher){.shard = shard,
							   .is_running = true,
							   .starts = starts,
							   .started = world.now,
							   .is_awake = true,
							   .wake_at = -1,
							   .limits = limits()};
	memory_end(); /* another one may be in the middle of its cycle */
	dispatcher->scheduler = bmw_scheduler_create(&dispatcher->limits, world_wall());
	shared_use(dispatcher);
	dispatcher->router = bmw_router_create();
	read_cursor(dispatcher, &cursor);
	since = tables.cursors[shard].since;
	trace("shard %d of %d starts, cursor %d:%d", shard, dispatchers_length, (int) cursor.xmin,
		  (int) cursor.xmax);
	bmw_scheduler_start(dispatcher->scheduler, &cursor, since);
	dispatcher->generation = UINT64_MAX;
	dispatcher_wake(shard);
}

void
dispatcher_wake(int shard)
{
	Dispatcher *dispatcher = &dispatchers[shard];

	dispatcher->is_latched = true;
	if (!dispatcher->is_running || dispatcher->is_in_cycle ||
		(dispatcher->wake_at >= world.now && dispatcher->wake_at <= world.now + 50))
		return;
	dispatcher->wake_at = world.now + random_between(1, 50);
	world_at(dispatcher->wake_at, ACTOR_DISPATCHER, shard);
}

/* Argument beyond the shards: whatever time it has planned to wake at. */
void
dispatcher_wakes(int argument)
{
	Dispatcher *dispatcher = &dispatchers[argument % MAX_SHARDS];

	if (!dispatcher->is_running || dispatcher->is_in_cycle ||
		(argument < MAX_SHARDS && dispatcher->wake_at > world.now))
		return;
	dispatcher->is_latched = false;
	dispatcher->is_in_cycle = true;
	dispatcher->mode = dispatcher->is_stopping	? BMW_STOPPING
					   : world.now < held_until ? BMW_HOLDING
												: BMW_RUNNING;
	bmw_scheduler_set_mode(dispatcher->scheduler, dispatcher->mode);
	dispatcher_cycle(dispatcher);
	dispatcher->is_in_cycle = false;
	if (!dispatcher->must_die)
		return;
	bury(dispatcher);
	world_after(random_about(SECOND / 2), ACTOR_START, wanted != 0 ? 0 : dispatcher->shard);
}

bool
dispatchers_are_up(void)
{
	for (int i = 0; i < dispatchers_length; i++)
		if (!dispatchers[i].is_running)
			return false;
	return wanted == 0;
}

bool
dispatcher_owns(const Dispatcher *dispatcher, int endpoint)
{
	return (endpoint * 7 + endpoint / 3) % dispatchers_length == dispatcher->shard;
}

static void
bury(Dispatcher *dispatcher)
{
	if (!dispatcher->is_running)
		return;
	if (bmw_scheduler_counts(dispatcher->scheduler).unwritten > 0)
		forget_patience();
	/* whatever it ends by, it flushes the WAL then; in a crash of the server nobody does */
	wal_flush(dispatcher->committed);
	bmw_scheduler_destroy(dispatcher->scheduler);
	shared_leave(dispatcher);
	bmw_router_destroy(dispatcher->router);
	bmw_snapshot_free(&dispatcher->seen);
	receivers_drop(dispatcher->shard);
	challenges_drop(dispatcher->shard);
	operations_forget_known();
	dispatcher->is_running = dispatcher->must_die = false;
	dispatcher->scheduler = NULL;
	dispatcher->router = NULL;
}

/* What a receiver has asked for may be lost with the record of it. */
static void
forget_patience(void)
{
	for (int i = 0; i < tables.events_length; i++)
		for (int e = 0; e < registry.length; e++)
			pair_of(i, e)->not_before = 0;
}

/* All begin where the slowest was. */
static void
reset_cursors(int count)
{
	uint64_t oldest = UINT64_MAX;
	int64_t since = INT64_MAX;

	if (dispatchers_length > 0)
		MET(MET_RESHARDED);
	for (int i = 0; i < dispatchers_length; i++)
	{
		oldest = tables.cursors[i].xmin < oldest ? tables.cursors[i].xmin : oldest;
		since = tables.cursors[i].since < since ? tables.cursors[i].since : since;
	}
	if (dispatchers_length == 0)
	{
		oldest = FIRST_XID;
		since = world_wall();
	}
	dispatchers_length = count;
	wanted = 0;
	trace("%d shards from now on, from xid %d", count, (int) oldest);
	for (int i = 0; i < count; i++)
	{
		BmwSnapshot snapshot = {.xmin = oldest, .xmax = oldest};

		cursor_write(i, &snapshot, since);
		dispatchers[i].is_running = false;
		world_after(random_about(SECOND), ACTOR_START, i);
	}
	wal_commit_durably();
}

static void
read_cursor(const Dispatcher *dispatcher, BmwSnapshot *snapshot)
{
	const Cursor *cursor = &tables.cursors[dispatcher->shard];

	*snapshot =
		(BmwSnapshot){.xmin = cursor->xmin, .xmax = cursor->xmax, .xip_length = cursor->xip_length};
	snapshot->xip = malloc(sizeof(cursor->xip));
	memcpy(snapshot->xip, cursor->xip, sizeof(cursor->xip));
}

static BmwLimits
limits(void)
{
	static const int capacities[] = {4096, 1024, 700};
	static const int places[] = {5, 20, 200};
	BmwLimits made = {.max_in_flight = places[random_below(3)],
					  .lane_capacity = capacities[random_below(3)],
					  .max_bytes = random_between(20, 2000) * 1000,
					  .flush_interval_us = random_between(0, 10) * MS,
					  .disable_after_us = random_chance(300) ? 90 * SECOND : 3600 * SECOND,
					  .max_to_destination = registry_address_limit()};

	if (PLAN_HAS(HAS_SMALL_LANES))
		made.lane_capacity = 8 + random_below(60);
	return made;
}
