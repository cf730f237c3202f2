/*
 * pg/capture/trigger.c - the trigger function capture(): rows that change become events.
 *
 * Row level: one event a call. Statement level: the transition table (always
 * named new_rows or old_rows) is read 1,000 rows at a time, directly, or by a
 * query when there is a condition.
 */
#include "postgres.h"

#include "access/relation.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pg/capture/arguments.h"
#include "pg/capture/plan_cache.h"
#include "pg/capture/query.h"
#include "pg/capture/row.h"
#include "pg/sql/insert.h"
#include "pg/sql/refuse.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(bm_webhook_capture);
PG_FUNCTION_INFO_V1(bm_webhook_check_capture);

#define BATCH_ROWS 1000
#define BATCH_BYTES (8 * 1024 * 1024)

/* Events gathered from a statement. */
typedef struct Batch
{
	MemoryContext context; /* of the events' texts */
	BmwNewEvent *events;   /* room for BATCH_ROWS */
	int length;
} Batch;

static void check_call(FunctionCallInfo fcinfo);
static const char *operation_of(const TriggerData *trigger);
static void capture_row(TriggerData *trigger);
static void capture_statement(TriggerData *trigger);
static void read_directly(TriggerData *trigger, const BmwCaptureCached *cached, Batch *batch);
static void read_by_query(TriggerData *trigger, const BmwCaptureCached *cached, Batch *batch);
static void add_row(Batch *batch, TriggerData *trigger, const BmwCaptureCached *cached,
					TupleTableSlot *slot);
static void flush(Batch *batch);

Datum
bm_webhook_capture(PG_FUNCTION_ARGS)
{
	check_call(fcinfo);

	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		capture_row(trigger);
	else
		capture_statement(trigger);
	return PointerGetDatum(NULL);
}

/* check_capture(relation regclass, arguments text[]): would a trigger with these arguments work? */
Datum
bm_webhook_check_capture(PG_FUNCTION_ARGS)
{
	Relation relation = relation_open(PG_GETARG_OID(0), AccessShareLock);
	BmwCaptureArguments arguments;
	char **texts;
	int length = bmw_capture_texts(PG_GETARG_DATUM(1), &texts);
	ErrorContextCallback *context = bmw_refuse_without_context();

	bmw_capture_arguments_parse(texts, length, &arguments);
	arguments.watched = RelationGetRelid(relation);
	bmw_capture_plan_notice(
		bmw_capture_plan_create(&arguments, relation, RelationGetDescr(relation)), relation);
	relation_close(relation, NoLock);
	error_context_stack = context;
	PG_RETURN_VOID();
}

static void
check_call(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		bmw_capture_misused("capture() was not called as a trigger");

	const TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!TRIGGER_FIRED_AFTER(trigger->tg_event))
		bmw_capture_misused("capture() must be an AFTER trigger");
	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		bmw_capture_misused("capture() cannot be a TRUNCATE trigger");
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) &&
		(TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? trigger->tg_oldtable
													: trigger->tg_newtable) == NULL)
		bmw_capture_misused("capture() needs a transition table for each statement");
}

static const char *
operation_of(const TriggerData *trigger)
{
	return TRIGGER_FIRED_BY_INSERT(trigger->tg_event)	? "INSERT"
		   : TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? "UPDATE"
														: "DELETE";
}

/* The trigger manager calls us in a context that it resets for each row. */
static void
capture_row(TriggerData *trigger)
{
	BmwCaptureCached cached = bmw_capture_cache_find(trigger);
	TupleTableSlot *slot =
		TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newslot : trigger->tg_trigslot;
	BmwNewEvent event;

	if (bmw_capture_row(cached.plan, trigger->tg_relation, operation_of(trigger), slot, &event))
		bmw_event_store_insert(&event, 1);
}

static void
capture_statement(TriggerData *trigger)
{
	BmwCaptureCached cached = bmw_capture_cache_find(trigger);
	Batch batch = {
		.context = AllocSetContextCreate(CurrentMemoryContext, "bm_webhook capture",
										 ALLOCSET_DEFAULT_SIZES),
		.events = palloc(sizeof(BmwNewEvent) * BATCH_ROWS),
	};

	if (cached.is_blind)
		bmw_capture_failure(trigger->tg_relation, operation_of(trigger), cached.plan->fault,
							&batch.events[batch.length++]);
	else if (cached.query == NULL)
		read_directly(trigger, &cached, &batch);
	else
		read_by_query(trigger, &cached, &batch);
	flush(&batch);
	MemoryContextDelete(batch.context);
}

/* With a read pointer of our own, as an executor node would: other triggers read the same table. */
static void
read_directly(TriggerData *trigger, const BmwCaptureCached *cached, Batch *batch)
{
	Tuplestorestate *rows =
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? trigger->tg_oldtable : trigger->tg_newtable;
	TupleTableSlot *slot =
		MakeSingleTupleTableSlot(RelationGetDescr(trigger->tg_relation), &TTSOpsMinimalTuple);
	int pointer = tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND);

	tuplestore_select_read_pointer(rows, pointer);
	tuplestore_rescan(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		add_row(batch, trigger, cached, slot);
		tuplestore_select_read_pointer(rows, pointer);
	}
	ExecDropSingleTupleTableSlot(slot);
}

static void
read_by_query(TriggerData *trigger, const BmwCaptureCached *cached, Batch *batch)
{
	SPI_connect();
	SPI_register_trigger_data(trigger);

	int nest_level = bmw_capture_query_restrict();
	Portal cursor = SPI_cursor_open(NULL, cached->query, NULL, NULL, true);

	AtEOXact_GUC(false, nest_level);

	TupleTableSlot *slot = MakeSingleTupleTableSlot(cursor->tupDesc, &TTSOpsHeapTuple);

	for (SPI_cursor_fetch(cursor, true, BATCH_ROWS); SPI_processed > 0;
		 SPI_cursor_fetch(cursor, true, BATCH_ROWS))
	{
		SPITupleTable *rows = SPI_tuptable;

		for (uint64 i = 0; i < rows->numvals; i++)
		{
			ExecStoreHeapTuple(rows->vals[i], slot, false);
			add_row(batch, trigger, cached, slot);
		}
		ExecClearTuple(slot);
		SPI_freetuptable(rows);
	}
	ExecDropSingleTupleTableSlot(slot);
	SPI_cursor_close(cursor);
	SPI_finish();
}

static void
add_row(Batch *batch, TriggerData *trigger, const BmwCaptureCached *cached, TupleTableSlot *slot)
{
	MemoryContext before = MemoryContextSwitchTo(batch->context);

	if (bmw_capture_row(cached->plan, trigger->tg_relation, operation_of(trigger), slot,
						&batch->events[batch->length]))
		batch->length++;
	MemoryContextSwitchTo(before);
	if (batch->length == BATCH_ROWS ||
		MemoryContextMemAllocated(batch->context, true) > BATCH_BYTES)
		flush(batch);
}

static void
flush(Batch *batch)
{
	CHECK_FOR_INTERRUPTS();
	bmw_event_store_insert(batch->events, batch->length);
	batch->length = 0;
	MemoryContextReset(batch->context);
}
