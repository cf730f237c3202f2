/*
 * pg/dispatch/intake.c - how the dispatcher learns of newly committed events.
 *
 * By the difference of two snapshots: the new events are those of transactions
 * that were running in `previous` and are over in `now`, and those of
 * transactions that began later and that `now` sees. Nothing old is read
 * again, however long some other transaction runs. A pass is everything
 * between two snapshots, read in chunks; the cursor moves past it when all its
 * deliveries have a row.
 *
 * A pass whose endpoints could not be read, because somebody has locked them, is
 * matched with those known before: provisionally. It does not settle, and as
 * soon as they can be read everything since is read once more; deliveries that
 * are in memory or in the tables are then left out.
 *
 * The flag is_awake must be cleared before the snapshot is taken: a commit in
 * between then wakes us once too often, never once too seldom.
 */
#include "postgres.h"

#include "pg/dispatch/dispatcher.h"
#include "pg/server/settings.h"

#define CHUNK 500									  /* events */
#define LOOK_INTERVAL_US (5 * INT64CONST(1000000))	  /* for what nothing announced */
#define GATHER_US 2000								  /* between looks under load */
#define PATIENCE_US INT64CONST(1000000)				  /* for a lane that is full but moving */
#define MIXED_US (10 * INT64CONST(1000000))			  /* how long several lanes count as busy */
#define FLOOR_MARGIN_US (INT64CONST(86400) * 1000000) /* for clocks that are set back */

typedef struct Placing
{
	BmwDispatcher *dispatcher;
	const BmwEventRow *row;
	BmwEvent *event; /* made for the first endpoint */
} Placing;

typedef struct Collecting
{
	BmwUuid ids[CHUNK];
	int length;
} Collecting;

static bool has_something_to_look_for(BmwDispatcher *dispatcher);
static bool is_waiting_for_endpoints(const BmwDispatcher *dispatcher);
static bool can_match_again(const BmwDispatcher *dispatcher);
static bool is_blocked_by_lanes(BmwDispatcher *dispatcher);
static bool is_patient(BmwDispatcher *dispatcher, const BmwLane *lane, int64 since_us);
static bool begin_pass(BmwDispatcher *dispatcher);
static void begin_provisional(BmwDispatcher *dispatcher);
static void match_again(BmwIntake *intake);
static void copy_snapshot(const BmwSnapshot *from, BmwSnapshot *to);
static int64 since_of(const BmwIntake *intake, const BmwSnapshot *now);
static int read_chunk(BmwDispatcher *dispatcher, BmwEventRowFn fn, void *context);
static void find_recorded(BmwDispatcher *dispatcher);
static void collect_id(const BmwEventRow *row, void *context);
static void remember_recorded(const BmwUuid *event_id, int64 endpoint_id, void *context);
static void end_chunk(BmwDispatcher *dispatcher, int rows);
static void end_pass(BmwDispatcher *dispatcher);
static void take_event(const BmwEventRow *row, void *context);
static void place(void *tag, void *context);
static void queue_or_park(BmwDispatcher *dispatcher, BmwEvent *event, const BmwEndpoint *endpoint);
static bool is_taken(const BmwIntake *intake, const BmwDeliveryKey *key);
static void note_mixed(BmwIntake *intake, BmwLane *lane, int64 now_us);
static void note_tight(BmwDispatcher *dispatcher, BmwLane *lane);
static void settle_passes(BmwDispatcher *dispatcher);

void
bmw_intake_start(BmwDispatcher *dispatcher)
{
	BmwIntake *intake = &dispatcher->intake;
	HASHCTL control = {.keysize = sizeof(BmwDeliveryKey), .entrysize = sizeof(BmwDeliveryKey)};

	intake->unrecorded =
		hash_create("bm_webhook unrecorded", 1024, &control, HASH_ELEM | HASH_BLOBS);
	bmw_store_read_cursor(dispatcher->shard, dispatcher->shards, &intake->previous,
						  &intake->since_us);
	/* written by a clock that was ahead: then it bounds nothing */
	if (intake->since_us > dispatcher->now_us)
		intake->since_us = 0;
	intake->is_recovering = true;
	pg_atomic_write_u32(&dispatcher->slot->is_awake, 1);
}

bool
bmw_intake_wants(BmwDispatcher *dispatcher)
{
	return bmw_enabled && !dispatcher->is_stopping && !bmw_recorder_is_full(dispatcher) &&
		   bmw_cache_is_loaded(dispatcher) && has_something_to_look_for(dispatcher) &&
		   !is_blocked_by_lanes(dispatcher) && !is_waiting_for_endpoints(dispatcher);
}

void
bmw_intake_read(BmwDispatcher *dispatcher)
{
	BmwIntake *intake = &dispatcher->intake;
	bool has_pass = intake->current != NULL || begin_pass(dispatcher);

	bool is_current = bmw_cache_refresh(dispatcher);

	if (!has_pass)
		return;
	/* after the snapshot: an event that it sees must find the endpoints that were there before it */
	intake->current->has_endpoints |= is_current;
	if (is_waiting_for_endpoints(dispatcher))
		return;
	if (!intake->current->has_endpoints || intake->has_provisional)
		begin_provisional(dispatcher);
	if (intake->is_recovering)
		find_recorded(dispatcher);
	end_chunk(dispatcher, read_chunk(dispatcher, take_event, dispatcher));
	intake->recorded = NULL;
}

int64
bmw_intake_wakeup_us(const BmwDispatcher *dispatcher)
{
	const BmwIntake *intake = &dispatcher->intake;
	int64 wakeup = intake->last_look_us + LOOK_INTERVAL_US;

	if (!bmw_enabled)
		return BMW_NEVER_US;
	if (intake->tight_length > 0)
		wakeup = Min(wakeup, dispatcher->now_us + PATIENCE_US);
	if (intake->current != NULL || can_match_again(dispatcher) ||
		pg_atomic_read_u32(&dispatcher->slot->is_awake) != 0)
		wakeup = intake->tight_length > 0 ? Min(wakeup, dispatcher->now_us + 10000)
										  : intake->gather_until_us;
	if (is_waiting_for_endpoints(dispatcher))
		wakeup = Max(wakeup, dispatcher->cache.read_again_us);
	return wakeup;
}

void
bmw_intake_forget_lane(BmwDispatcher *dispatcher, BmwLane *lane)
{
	BmwIntake *intake = &dispatcher->intake;

	for (int i = 0; i < intake->tight_length; i++)
		if (intake->tight[i].lane == lane)
			intake->tight[i--] = intake->tight[--intake->tight_length];
	if (intake->last_lane == lane)
		intake->last_lane = NULL;
}

void
bmw_intake_recorded(BmwDispatcher *dispatcher, const BmwRecord *record)
{
	BmwDeliveryKey key = {.event_id = record->event_id, .endpoint_id = record->endpoint_id};
	BmwPass *pass = record->pass;

	if (pass == NULL)
		return;
	hash_search(dispatcher->intake.unrecorded, &key, HASH_REMOVE, NULL);
	pass->unsettled--;
	settle_passes(dispatcher);
}

static bool
has_something_to_look_for(BmwDispatcher *dispatcher)
{
	BmwIntake *intake = &dispatcher->intake;

	if (intake->current != NULL || can_match_again(dispatcher))
		return true;
	if (dispatcher->now_us >= intake->last_look_us + LOOK_INTERVAL_US)
		return true;
	return dispatcher->now_us >= intake->gather_until_us &&
		   pg_atomic_read_u32(&dispatcher->slot->is_awake) != 0;
}

/* A pass begins when the endpoints may be read, and once they were read it goes on. */
static bool
is_waiting_for_endpoints(const BmwDispatcher *dispatcher)
{
	const BmwPass *pass = dispatcher->intake.current;

	return (pass == NULL || !pass->has_endpoints) && bmw_cache_is_stale(dispatcher) &&
		   !dispatcher->cache.is_locked;
}

static bool
can_match_again(const BmwDispatcher *dispatcher)
{
	return dispatcher->intake.has_provisional && !dispatcher->cache.is_locked;
}

/*
 * A lane that is full but moving holds intake back, because parking what it
 * would take soon costs more than waiting: for as long as it moves when nobody
 * else gets events, for a moment when others do. A lane that does not move holds
 * nobody back.
 */
static bool
is_blocked_by_lanes(BmwDispatcher *dispatcher)
{
	BmwIntake *intake = &dispatcher->intake;
	bool is_blocked = false;

	for (int i = 0; i < intake->tight_length; i++)
	{
		BmwLane *lane = intake->tight[i].lane;

		if (bmw_lane_room_new(lane) >= CHUNK)
			intake->tight[i--] = intake->tight[--intake->tight_length];
		else
			is_blocked |= is_patient(dispatcher, lane, intake->tight[i].since_us);
	}
	return is_blocked;
}

static bool
is_patient(BmwDispatcher *dispatcher, const BmwLane *lane, int64 since_us)
{
	bool is_moving = dispatcher->now_us - bmw_lane_last_success_us(lane) < PATIENCE_US;
	bool has_others = dispatcher->now_us - dispatcher->intake.mixed_us < MIXED_US;

	return is_moving && !bmw_lane_is_stopped(lane) &&
		   (!has_others || dispatcher->now_us - since_us < PATIENCE_US);
}

/* False when nothing has ended since the last look. */
static bool
begin_pass(BmwDispatcher *dispatcher)
{
	BmwIntake *intake = &dispatcher->intake;
	BmwPass *pass = calloc(1, sizeof(*pass));

	if (pass == NULL)
		return false;
	if (can_match_again(dispatcher))
		match_again(intake);
	pg_atomic_exchange_u32(&dispatcher->slot->is_awake, 0);
	bmw_store_current_snapshot(&pass->now);
	pass->since_us = since_of(intake, &pass->now);
	intake->last_look_us = dispatcher->now_us;
	free(intake->ended);
	intake->ended = malloc(sizeof(uint64) * Max(intake->previous.xip_length, 1));
	if (intake->ended == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	intake->ended_length = bmw_snapshot_ended(&intake->previous, &pass->now, intake->ended);
	if (intake->ended_length == 0 && pass->now.xmax == intake->previous.xmax &&
		!intake->is_recovering)
	{
		intake->since_us = pass->since_us;
		bmw_snapshot_free(&pass->now);
		free(pass);
		return false;
	}
	intake->is_reading_ended = true;
	intake->position = (BmwPosition){0};
	if (intake->oldest == NULL)
		intake->oldest = pass;
	else
		intake->newest->next = pass;
	intake->current = intake->newest = pass;
	return true;
}

/* The pass at hand, and all that come before the endpoints can be read, will be read once more. */
static void
begin_provisional(BmwDispatcher *dispatcher)
{
	BmwIntake *intake = &dispatcher->intake;

	intake->current->is_provisional = true;
	if (intake->has_provisional)
		return;
	copy_snapshot(&intake->previous, &intake->provisional_previous);
	intake->provisional_since_us = intake->since_us;
	intake->has_provisional = true;
}

/* The pass that begins now reaches back to where they began. */
static void
match_again(BmwIntake *intake)
{
	bmw_snapshot_free(&intake->previous);
	intake->previous = intake->provisional_previous;
	intake->since_us = intake->provisional_since_us;
	intake->last_look_us = 0; /* that was of a later snapshot */
	intake->has_provisional = false;
	intake->is_recovering = true;
}

/*
 * What `now` does not see was captured after this: nothing that was running at
 * the last look still runs, or else what held for the last look holds on.
 */
static int64
since_of(const BmwIntake *intake, const BmwSnapshot *now)
{
	if (now->xmin >= intake->previous.xmax && intake->last_look_us != 0)
		return intake->last_look_us;
	return intake->since_us;
}

/* Hands the next rows of the pass to fn, without moving on. */
static int
read_chunk(BmwDispatcher *dispatcher, BmwEventRowFn fn, void *context)
{
	BmwIntake *intake = &dispatcher->intake;
	BmwPosition after = intake->position;
	BmwUuid floor;

	bmw_uuid_floor(intake->since_us - FLOOR_MARGIN_US, &floor);
	if (intake->is_reading_ended)
		return intake->ended_length == 0 ? 0
										 : bmw_store_events_of(intake->ended, intake->ended_length,
															   &after, &floor, CHUNK, fn, context);
	return bmw_store_new_events(&after, &floor, &intake->current->now, CHUNK, fn, context);
}

/* After a restart: which deliveries of the coming chunk have a row already. */
static void
find_recorded(BmwDispatcher *dispatcher)
{
	Collecting *collecting = palloc0(sizeof(*collecting));
	HASHCTL control = {.keysize = sizeof(BmwDeliveryKey),
					   .entrysize = sizeof(BmwDeliveryKey),
					   .hcxt = CurrentMemoryContext};

	read_chunk(dispatcher, collect_id, collecting);
	dispatcher->intake.recorded =
		hash_create("bm_webhook recorded", CHUNK, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (collecting->length > 0)
		bmw_store_existing(collecting->ids, collecting->length, remember_recorded, dispatcher);
}

static void
collect_id(const BmwEventRow *row, void *context)
{
	Collecting *collecting = context;

	collecting->ids[collecting->length++] = row->position.id;
}

static void
remember_recorded(const BmwUuid *event_id, int64 endpoint_id, void *context)
{
	BmwDispatcher *dispatcher = context;
	BmwDeliveryKey key = {.event_id = *event_id, .endpoint_id = endpoint_id};

	hash_search(dispatcher->intake.recorded, &key, HASH_ENTER, NULL);
}

static void
end_chunk(BmwDispatcher *dispatcher, int rows)
{
	BmwIntake *intake = &dispatcher->intake;

	if (rows > 0)
		intake->gather_until_us = dispatcher->now_us + GATHER_US;
	if (rows >= CHUNK)
		return;
	if (!intake->is_reading_ended)
	{
		end_pass(dispatcher);
		return;
	}
	intake->is_reading_ended = false;
	intake->position.xid = intake->previous.xmax - 1;
	memset(intake->position.id.bytes, 0xFF, sizeof(intake->position.id.bytes));
}

static void
end_pass(BmwDispatcher *dispatcher)
{
	BmwIntake *intake = &dispatcher->intake;
	BmwPass *pass = intake->current;
	BmwSnapshot copy;

	copy_snapshot(&pass->now, &copy);
	bmw_ordering_end_pass(dispatcher);
	bmw_snapshot_free(&intake->previous);
	intake->previous = copy;
	intake->since_us = pass->since_us;
	intake->current = NULL;
	intake->is_recovering = false;
	pass->is_read = true;
	settle_passes(dispatcher);
}

static void
copy_snapshot(const BmwSnapshot *from, BmwSnapshot *to)
{
	*to = *from;
	to->xip = malloc(sizeof(uint64) * Max(from->xip_length, 1));
	if (to->xip == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	if (from->xip_length > 0)
		memcpy(to->xip, from->xip, sizeof(uint64) * from->xip_length);
}

static void
take_event(const BmwEventRow *row, void *context)
{
	BmwDispatcher *dispatcher = context;
	Placing placing = {.dispatcher = dispatcher, .row = row};

	if (row->route.endpoint_id != 0 || !bmw_cache_is_muted(dispatcher, &row->route))
		bmw_router_match(dispatcher->cache.router, &row->route, place, &placing);
	if (placing.event != NULL)
		bmw_event_release(placing.event);
	dispatcher->intake.position = row->position;
}

static void
place(void *tag, void *context)
{
	Placing *placing = context;
	BmwDispatcher *dispatcher = placing->dispatcher;
	BmwEndpoint *endpoint = tag;
	BmwDeliveryKey key = {.event_id = placing->row->source.id, .endpoint_id = endpoint->id};

	/* the router has it until the endpoints are read again, when the dispatcher itself has disabled it */
	if (!endpoint->is_enabled || is_taken(&dispatcher->intake, &key))
		return;
	if (placing->event == NULL)
		placing->event = bmw_event_create(&placing->row->source);
	if (placing->event == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	if (endpoint->is_ordered && placing->row->source.message_id != NULL)
		bmw_ordering_take(dispatcher, placing->event, endpoint->id, dispatcher->intake.current);
	else
		queue_or_park(dispatcher, placing->event, endpoint);
	hash_search(dispatcher->intake.unrecorded, &key, HASH_ENTER, NULL);
}

/* One event for one endpoint: into its lane, or to the table when that is full. */
static void
queue_or_park(BmwDispatcher *dispatcher, BmwEvent *event, const BmwEndpoint *endpoint)
{
	BmwPass *pass = dispatcher->intake.current;
	BmwLane *lane = bmw_lanes_find(dispatcher->lanes, endpoint->id);
	BmwJob *job;

	if (lane == NULL || bmw_lane_is_stopped(lane) || bmw_lane_room_new(lane) == 0 ||
		dispatcher->bytes >= BMW_MAX_BYTES)
	{
		bmw_recorder_park(dispatcher, event, endpoint->id, pass,
						  lane != NULL ? bmw_lane_hold_until_us(lane) : 0);
		pass->unsettled++;
		return;
	}
	note_mixed(&dispatcher->intake, lane, dispatcher->now_us);
	job = bmw_job_create(dispatcher, event, endpoint);
	job->pass = pass;
	pass->unsettled++;
	bmw_lane_push_new(lane, job, dispatcher->now_us);
	if (bmw_lane_room_new(lane) < CHUNK)
		note_tight(dispatcher, lane);
}

/* Is it in memory, or does it have a row? */
static bool
is_taken(const BmwIntake *intake, const BmwDeliveryKey *key)
{
	return hash_search(intake->unrecorded, key, HASH_FIND, NULL) != NULL ||
		   (intake->recorded != NULL &&
			hash_search(intake->recorded, key, HASH_FIND, NULL) != NULL);
}

/* Are there several lanes that get events? */
static void
note_mixed(BmwIntake *intake, BmwLane *lane, int64 now_us)
{
	if (intake->last_lane != NULL && intake->last_lane != lane)
		intake->mixed_us = now_us;
	intake->last_lane = lane;
}

static void
note_tight(BmwDispatcher *dispatcher, BmwLane *lane)
{
	BmwIntake *intake = &dispatcher->intake;

	for (int i = 0; i < intake->tight_length; i++)
		if (intake->tight[i].lane == lane)
			return;
	if (intake->tight_length < lengthof(intake->tight))
		intake->tight[intake->tight_length++] = (BmwTightLane){lane, dispatcher->now_us};
}

/* Passes settle in order: the cursor is one snapshot. A provisional one is settled by the one that reads it again. */
static void
settle_passes(BmwDispatcher *dispatcher)
{
	BmwIntake *intake = &dispatcher->intake;

	while (intake->oldest != NULL && intake->oldest->is_read && intake->oldest->unsettled == 0)
	{
		BmwPass *pass = intake->oldest;

		intake->oldest = pass->next;
		if (intake->oldest == NULL)
			intake->newest = NULL;
		if (pass->is_provisional)
			bmw_snapshot_free(&pass->now);
		else
			bmw_recorder_settled(dispatcher, &pass->now, pass->since_us);
		free(pass);
	}
}
