/*
 * pg/capture/trigger.c - the trigger function capture(): rows that change become events.
 *
 * Row level: one event a call. Statement level: the transition table (always
 * named new_rows or old_rows) is read 1,000 rows at a time, directly, or by a
 * query when there is a condition.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pg/capture/arguments.h"
#include "pg/capture/plan_cache.h"
#include "pg/capture/failure.h"
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
static void read_pairs(SPITupleTable *pairs, TriggerData *trigger, const BmwCaptureCached *cached,
					   Batch *batch);
static void store_half(TupleTableSlot *slot, const Datum *values, const bool *nulls);
static bool is_all_null(TupleTableSlot *slot);
static void add_row(Batch *batch, TriggerData *trigger, const BmwCaptureCached *cached,
					BmwCaptureRows rows);
static BmwCaptureRows only_row(const TriggerData *trigger, TupleTableSlot *slot);
static void add_failure(Batch *batch, TriggerData *trigger, const char *error);
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
	BmwCaptureRows rows = only_row(trigger, trigger->tg_trigslot);
	BmwNewEvent event;

	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		rows = (BmwCaptureRows){.new_row = trigger->tg_newslot, .old_row = trigger->tg_trigslot};
	if (bmw_capture_row(cached.plan, trigger->tg_relation, operation_of(trigger), rows, &event))
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
		add_failure(&batch, trigger, cached.plan->fault);
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
		add_row(batch, trigger, cached, only_row(trigger, slot));
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

		if (cached->pair_half != NULL)
			read_pairs(rows, trigger, cached, batch);
		for (uint64 i = 0; i < rows->numvals && cached->pair_half == NULL; i++)
		{
			ExecStoreHeapTuple(rows->vals[i], slot, false);
			add_row(batch, trigger, cached, only_row(trigger, slot));
		}
		ExecClearTuple(slot);
		SPI_freetuptable(rows);
	}
	ExecDropSingleTupleTableSlot(slot);
	SPI_cursor_close(cursor);
	SPI_finish();
}

/* Each is a new row with the old one behind it. */
static void
read_pairs(SPITupleTable *pairs, TriggerData *trigger, const BmwCaptureCached *cached, Batch *batch)
{
	TupleDesc desc = pairs->tupdesc;
	Datum *values = palloc(sizeof(Datum) * (desc->natts + 1));
	bool *nulls = palloc(sizeof(bool) * (desc->natts + 1));
	BmwCaptureRows rows = {
		.new_row = MakeSingleTupleTableSlot(cached->pair_half, &TTSOpsVirtual),
		.old_row = MakeSingleTupleTableSlot(cached->pair_half, &TTSOpsVirtual),
	};

	for (uint64 i = 0; i < pairs->numvals; i++)
	{
		BmwCaptureRows known = rows;

		heap_deform_tuple(pairs->vals[i], desc, values, nulls);
		store_half(rows.new_row, values, nulls);
		store_half(rows.old_row, values + desc->natts / 2, nulls + desc->natts / 2);
		if (is_all_null(rows.old_row))
			known.old_row = NULL;
		add_row(batch, trigger, cached, known);
	}
	ExecDropSingleTupleTableSlot(rows.new_row);
	ExecDropSingleTupleTableSlot(rows.old_row);
}

static void
store_half(TupleTableSlot *slot, const Datum *values, const bool *nulls)
{
	ExecClearTuple(slot);
	for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
	{
		slot->tts_values[i] = values[i];
		slot->tts_isnull[i] = nulls[i];
	}
	ExecStoreVirtualTuple(slot);
}

/* Then there was no row: it would have its key. */
static bool
is_all_null(TupleTableSlot *slot)
{
	for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
		if (!slot->tts_isnull[i])
			return false;
	return true;
}

static BmwCaptureRows
only_row(const TriggerData *trigger, TupleTableSlot *slot)
{
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		return (BmwCaptureRows){.old_row = slot};
	return (BmwCaptureRows){.new_row = slot};
}

static void
add_row(Batch *batch, TriggerData *trigger, const BmwCaptureCached *cached, BmwCaptureRows rows)
{
	MemoryContext before = MemoryContextSwitchTo(batch->context);

	if (bmw_capture_row(cached->plan, trigger->tg_relation, operation_of(trigger), rows,
						&batch->events[batch->length]))
		batch->length++;
	MemoryContextSwitchTo(before);
	if (batch->length == BATCH_ROWS ||
		MemoryContextMemAllocated(batch->context, true) > BATCH_BYTES)
		flush(batch);
}

/* One event for all rows of the statement, which cannot be told apart. */
static void
add_failure(Batch *batch, TriggerData *trigger, const char *error)
{
	BmwNewEvent *event = &batch->events[batch->length++];

	*event = (BmwNewEvent){0};
	bmw_capture_failure(trigger->tg_relation, operation_of(trigger), error, event);
}

static void
flush(Batch *batch)
{
	CHECK_FOR_INTERRUPTS();
	bmw_event_store_insert(batch->events, batch->length);
	batch->length = 0;
	MemoryContextReset(batch->context);
}
