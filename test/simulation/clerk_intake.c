/*
 * clerk_intake.c - the clerk who reads new events.
 */
#include <string.h>

#include "check.h"
#include "dispatcher.h"
#include "trace.h"
#include "world.h"

#define MOST 500

typedef struct Matching
{
	BmwMatch matches[MAX_ENDPOINTS];
	int length;
} Matching;

static Result begin_pass(Dispatcher *dispatcher);
static int read_chunk(const BmwChunk *chunk, int *events);
static int read_xact(int xact, const BmwPosition *after, int limit, int *events);
static BmwStatus take(Dispatcher *dispatcher, const BmwChunk *chunk, int number);
static void add_match(int64_t endpoint_id, void *context);

Result
clerk_take_in(Dispatcher *dispatcher)
{
	static int lists[MAX_SHARDS][MOST];
	int *events = lists[dispatcher->shard];
	Result result = RESULT_DONE;
	BmwChunk chunk;
	int rows;

	if (bmw_scheduler_needs_pass(dispatcher->scheduler))
		result = begin_pass(dispatcher);
	if (result == RESULT_DONE)
		result = clerk_refresh(dispatcher);
	if (result != RESULT_DONE || !bmw_scheduler_next_chunk(dispatcher->scheduler, &chunk))
		return result;
	result = dispatcher_statement(dispatcher);
	if (result != RESULT_DONE)
		return result;
	rows = read_chunk(&chunk, events);
	if (rows >= chunk.limit)
		MET(MET_CHUNKS);
	for (int i = 0; i < rows; i++)
		if (take(dispatcher, &chunk, events[i]) != BMW_OK)
			return RESULT_FAILED;
	if (rows > 0)
		trace("shard %d takes %d events", dispatcher->shard, rows);
	return bmw_scheduler_end_chunk(dispatcher->scheduler, rows) == BMW_OK ? RESULT_DONE
																		  : RESULT_FAILED;
}

static Result
begin_pass(Dispatcher *dispatcher)
{
	BmwSnapshot now;
	Result result;

	dispatcher->is_awake = false;
	result = dispatcher_statement(dispatcher);
	if (result != RESULT_DONE)
	{
		dispatcher->is_awake = true;
		return result;
	}
	memory_end();
	xact_snapshot(&now);
	memory_begin(true);
	return bmw_scheduler_begin_pass(dispatcher->scheduler, &now) == BMW_OK ? RESULT_DONE
																		   : RESULT_FAILED;
}

/* By (xid, id), from after on. */
static int
read_chunk(const BmwChunk *chunk, int *events)
{
	int rows = 0;

	for (int i = 0; chunk->xids != NULL && i < chunk->xids_length; i++)
		if (chunk->xids[i] >= chunk->after.xid)
			rows += read_xact((int) (chunk->xids[i] - FIRST_XID), &chunk->after,
							  chunk->limit - rows, events + rows);
	if (chunk->xids != NULL)
		return rows;
	for (uint64_t xid = chunk->after.xid < FIRST_XID ? FIRST_XID : chunk->after.xid;
		 xid < chunk->now->xmax && rows < chunk->limit; xid++)
		if (bmw_snapshot_sees(chunk->now, xid))
			rows += read_xact((int) (xid - FIRST_XID), &chunk->after, chunk->limit - rows,
							  events + rows);
	return rows;
}

static int
read_xact(int number, const BmwPosition *after, int limit, int *events)
{
	const Xact *xact = &tables.xacts[number];
	int rows = 0;

	if (xact->state != XACT_COMMITTED)
		return 0;
	for (int i = xact->first_event; i >= 0 && rows < limit; i = tables.events[i].next)
		if ((uint64_t) (FIRST_XID + number) > after->xid ||
			memcmp(tables.events[i].id.bytes, after->id.bytes, sizeof(after->id.bytes)) > 0)
			events[rows++] = i;
	return rows;
}

static BmwStatus
take(Dispatcher *dispatcher, const BmwChunk *chunk, int number)
{
	const Event *event = &tables.events[number];
	Matching matching = {.length = 0};
	BmwRouteEvent route = {.type = registry_type(event->type),
						   .application = registry_application(event->application),
						   .created_us = event->created,
						   .endpoint_id =
							   event->endpoint == NOBODY ? 0 : registry_id(event->endpoint)};
	BmwEventSource source = event_source(number);
	BmwArrival arrival = {
		.position = {.xid = (uint64_t) (FIRST_XID + event->xact), .id = event->id},
		.source = &source,
		.matches = matching.matches};

	if (chunk->xids != NULL)
		MET(MET_LATE_XID);
	world.steps++;
	if (dispatcher->is_in_round)
		MET(MET_ROUND);
	bmw_router_match(dispatcher->router, &route, add_match, &matching);
	for (int i = 0; chunk->needs_check && i < matching.length; i++)
	{
		const Row *row = &pair_of(number, registry_of(matching.matches[i].endpoint_id))->row;

		matching.matches[i].has_row = row->status != ROW_NONE || row->aside != ROW_NONE;
		if (matching.matches[i].has_row)
			MET(MET_CHECKED);
	}
	arrival.matches_length = matching.length;
	return bmw_scheduler_take(dispatcher->scheduler, &arrival);
}

static void
add_match(int64_t endpoint_id, void *context)
{
	Matching *matching = context;

	matching->matches[matching->length++] = (BmwMatch){.endpoint_id = endpoint_id};
}
