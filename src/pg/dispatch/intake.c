/*
 * pg/dispatch/intake.c - the clerk of a dispatcher who reads new events.
 *
 * What is new is core/scheduler_pass.c's; here are the snapshots and the rows.
 * The flag is_awake must be cleared before the snapshot is taken: a commit in
 * between then wakes us once too often, never once too seldom.
 */
#include "postgres.h"

#include "pg/dispatch/intake.h"

#include "pg/dispatch/store.h"
#include "pg/dispatch/transaction.h"
#include "utils/memutils.h"

/* A delivery, as a key. */
typedef struct DeliveryKey
{
	BmwUuid event_id;
	int64 endpoint_id;
} DeliveryKey;

typedef struct Collecting
{
	BmwUuid *ids;
	int length;
} Collecting;

static void begin_pass(BmwIntake *intake);
static int read_chunk(const BmwChunk *chunk, BmwEventRowFn fn, void *context);
static void find_recorded(BmwIntake *intake, const BmwChunk *chunk);
static void collect_id(const BmwEventRow *row, void *context);
static void remember_recorded(const BmwUuid *event_id, int64 endpoint_id, void *context);
static void take_event(const BmwEventRow *row, void *context);
static void add_match(int64_t endpoint_id, void *context);
static void apply_filters(BmwIntake *intake, const BmwEventRow *row);

void
bmw_intake_init(BmwIntake *intake, BmwScheduler *scheduler, BmwSlot *slot, BmwEndpoints *endpoints,
				BmwFilters *filters, BmwStatistics *statistics)
{
	*intake = (BmwIntake){.scheduler = scheduler,
						  .slot = slot,
						  .endpoints = endpoints,
						  .filters = filters,
						  .statistics = statistics};
	intake->matches_capacity = 64;
	intake->matches =
		MemoryContextAlloc(TopMemoryContext, sizeof(BmwMatch) * intake->matches_capacity);
}

void
bmw_intake_start(BmwIntake *intake)
{
	BmwSnapshot cursor;
	int64 since_us;

	bmw_store_read_cursor(intake->slot->shard, intake->slot->shards, &cursor, &since_us);
	bmw_scheduler_start(intake->scheduler, &cursor, since_us);
	pg_atomic_write_u32(&intake->slot->is_awake, 1);
}

bool
bmw_intake_wants(const BmwIntake *intake)
{
	return bmw_scheduler_wants_events(intake->scheduler,
									  pg_atomic_read_u32(&intake->slot->is_awake) != 0);
}

void
bmw_intake_read(BmwIntake *intake)
{
	BmwChunk chunk;
	int events;

	if (bmw_scheduler_needs_pass(intake->scheduler))
		begin_pass(intake);
	/* after the snapshot: an event that it sees must find the endpoints that were there before it */
	bmw_endpoints_refresh(intake->endpoints);
	if (!bmw_scheduler_next_chunk(intake->scheduler, &chunk))
		return;
	intake->recorded = NULL;
	bmw_full_refresh(&intake->full);
	if (chunk.needs_check)
		find_recorded(intake, &chunk);
	events = read_chunk(&chunk, take_event, intake);
	bmw_transaction_require_memory(bmw_scheduler_end_chunk(intake->scheduler, events) == BMW_OK);
	bmw_statistics_took(intake->statistics, events);
}

static void
begin_pass(BmwIntake *intake)
{
	BmwSnapshot now;

	pg_atomic_exchange_u32(&intake->slot->is_awake, 0);
	bmw_store_current_snapshot(&now);
	bmw_transaction_require_memory(bmw_scheduler_begin_pass(intake->scheduler, &now) == BMW_OK);
}

static int
read_chunk(const BmwChunk *chunk, BmwEventRowFn fn, void *context)
{
	BmwPosition after = chunk->after;

	if (chunk->xids != NULL)
		return bmw_store_events_of(chunk->xids, chunk->xids_length, &after, &chunk->floor,
								   chunk->limit, fn, context);
	return bmw_store_new_events(&after, &chunk->floor, chunk->now, chunk->limit, fn, context);
}

/* Which deliveries of the chunk have a row already. */
static void
find_recorded(BmwIntake *intake, const BmwChunk *chunk)
{
	Collecting collecting = {.ids = palloc(sizeof(BmwUuid) * chunk->limit)};
	HASHCTL control = {.keysize = sizeof(DeliveryKey),
					   .entrysize = sizeof(DeliveryKey),
					   .hcxt = CurrentMemoryContext};

	read_chunk(chunk, collect_id, &collecting);
	intake->recorded = hash_create("bm_webhook recorded", chunk->limit, &control,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (collecting.length > 0)
		bmw_store_existing(collecting.ids, collecting.length, remember_recorded, intake);
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
	BmwIntake *intake = context;
	DeliveryKey key = {.event_id = *event_id, .endpoint_id = endpoint_id};

	hash_search(intake->recorded, &key, HASH_ENTER, NULL);
}

static void
take_event(const BmwEventRow *row, void *context)
{
	BmwIntake *intake = context;
	BmwArrival arrival = {.position = row->position,
						  .source = &row->source,
						  .is_beyond = bmw_full_has(&intake->full, &row->route)};

	intake->matches_length = 0;
	bmw_endpoints_match(intake->endpoints, &row->route, add_match, intake);
	for (int i = 0; intake->recorded != NULL && i < intake->matches_length; i++)
	{
		DeliveryKey key = {.event_id = row->source.id,
						   .endpoint_id = intake->matches[i].endpoint_id};

		intake->matches[i].has_row = hash_search(intake->recorded, &key, HASH_FIND, NULL) != NULL;
	}
	if (row->route.endpoint_id == 0 && bmw_filters_exist(intake->filters))
		apply_filters(intake, row);
	arrival.matches = intake->matches;
	arrival.matches_length = intake->matches_length;
	bmw_transaction_require_memory(bmw_scheduler_take(intake->scheduler, &arrival) == BMW_OK);
}

static void
add_match(int64_t endpoint_id, void *context)
{
	BmwIntake *intake = context;

	if (intake->matches_length == intake->matches_capacity)
	{
		intake->matches_capacity *= 2;
		intake->matches = repalloc(intake->matches, sizeof(BmwMatch) * intake->matches_capacity);
	}
	intake->matches[intake->matches_length++] = (BmwMatch){.endpoint_id = endpoint_id};
}

/* What has a row was let through before. */
static void
apply_filters(BmwIntake *intake, const BmwEventRow *row)
{
	BmwFiltered event = {.source = &row->source};
	int kept = 0;

	for (int i = 0; i < intake->matches_length; i++)
	{
		const BmwMatch *match = &intake->matches[i];

		if (match->has_row || bmw_filters_pass(intake->filters, match->endpoint_id, &event))
			intake->matches[kept++] = *match;
	}
	intake->matches_length = kept;
}
