/*
 * pg/capture.c - the trigger function capture(): rows that change become events.
 *
 * Row level: one event a call. Statement level: the transition table (always
 * named new_rows or old_rows) is read 1,000 rows at a time, directly, or by a
 * query when there is a condition. Plans are kept for each trigger; a relcache
 * or function invalidation only marks them, because one may be in use further
 * up the stack: the memory goes at the end of the transaction that notices.
 * The condition's names are looked up in pg_catalog only, like those of a row
 * trigger that watch() creates, whoever's search_path is set.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pg/capture_plan.h"
#include "pg/capture_row.h"
#include "pg/compat.h"
#include "pg/event_store.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(bm_webhook_capture);
PG_FUNCTION_INFO_V1(bm_webhook_check_capture);

#define BATCH_ROWS 1000
#define BATCH_BYTES (8 * 1024 * 1024)

/* What is kept for a trigger. */
typedef struct Cached
{
	Oid trigger; /* key */
	Oid relation;
	bool is_valid;
	MemoryContext context; /* of the plan */
	BmwCapturePlan *plan;
	SPIPlanPtr query; /* NULL: rows are read directly */
} Cached;

/* Events gathered from a statement. */
typedef struct Batch
{
	MemoryContext context; /* of the events' texts */
	BmwNewEvent *events;   /* room for BATCH_ROWS */
	int length;
} Batch;

static void check_call(FunctionCallInfo fcinfo);
pg_noreturn static void misused(const char *message);
static const char *operation_of(const TriggerData *trigger);
static void capture_row(TriggerData *trigger);
static void capture_statement(TriggerData *trigger);
static void read_directly(TriggerData *trigger, Cached *cached, Batch *batch);
static void read_by_query(TriggerData *trigger, Cached *cached, Batch *batch);
static void add_row(Batch *batch, TriggerData *trigger, Cached *cached, TupleTableSlot *slot);
static void flush(Batch *batch);
static Cached *find_plan(TriggerData *trigger);
static void build_plan(TriggerData *trigger, Cached *cached);
static Oid watched_table(const TriggerData *trigger);
static HeapTuple find_trigger(Relation triggers, Oid oid);
static SPIPlanPtr prepare_query(TriggerData *trigger, const BmwCaptureArguments *arguments);
static char *query_text(TriggerData *trigger, const BmwCaptureArguments *arguments);
static void append_join(StringInfo sql, Relation relation, const char *key);
static int restrict_planning(void);
static HTAB *plans(void);
static void forget_relation(Datum arg, Oid relid);
static void forget_functions(Datum arg, int cache_id, uint32 hash_value);
static void drop_invalid(void);

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

/* _check_capture(relation regclass, arguments text[]): would a trigger with these arguments work? */
Datum
bm_webhook_check_capture(PG_FUNCTION_ARGS)
{
	Relation relation = relation_open(PG_GETARG_OID(0), AccessShareLock);
	BmwCaptureArguments arguments;
	char **texts;
	int length = bmw_capture_texts(PG_GETARG_DATUM(1), &texts);

	bmw_capture_arguments_parse(texts, length, &arguments);
	arguments.watched = RelationGetRelid(relation);
	bmw_capture_plan_create(&arguments, relation, RelationGetDescr(relation));
	relation_close(relation, NoLock);
	PG_RETURN_VOID();
}

static void
check_call(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		misused("capture() was not called as a trigger");

	const TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!TRIGGER_FIRED_AFTER(trigger->tg_event))
		misused("capture() must be an AFTER trigger");
	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		misused("capture() cannot be a TRUNCATE trigger");
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) &&
		(TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? trigger->tg_oldtable
													: trigger->tg_newtable) == NULL)
		misused("capture() needs a transition table for each statement");
}

static void
misused(const char *message)
{
	ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED), errmsg("%s", message),
			errhint("Use bm_webhook.watch() to create capture triggers."));
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
	Cached *cached = find_plan(trigger);
	TupleTableSlot *slot =
		TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newslot : trigger->tg_trigslot;
	BmwNewEvent event;

	bmw_capture_row(cached->plan, trigger->tg_relation, operation_of(trigger), slot, &event);
	bmw_event_store_insert(&event, 1);
}

static void
capture_statement(TriggerData *trigger)
{
	Cached cached =
		*find_plan(trigger); /* a copy: the entry may move while functions of users run */
	Batch batch = {
		.context = AllocSetContextCreate(CurrentMemoryContext, "bm_webhook capture",
										 ALLOCSET_DEFAULT_SIZES),
		.events = palloc(sizeof(BmwNewEvent) * BATCH_ROWS),
	};

	if (cached.query == NULL)
		read_directly(trigger, &cached, &batch);
	else
		read_by_query(trigger, &cached, &batch);
	flush(&batch);
	MemoryContextDelete(batch.context);
}

/* With a read pointer of our own, as an executor node would: other triggers read the same table. */
static void
read_directly(TriggerData *trigger, Cached *cached, Batch *batch)
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
read_by_query(TriggerData *trigger, Cached *cached, Batch *batch)
{
	SPI_connect();
	SPI_register_trigger_data(trigger);

	int nest_level = restrict_planning();
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
add_row(Batch *batch, TriggerData *trigger, Cached *cached, TupleTableSlot *slot)
{
	MemoryContext before = MemoryContextSwitchTo(batch->context);

	bmw_capture_row(cached->plan, trigger->tg_relation, operation_of(trigger), slot,
					&batch->events[batch->length++]);
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

static Cached *
find_plan(TriggerData *trigger)
{
	Cached *cached = hash_search(plans(), &trigger->tg_trigger->tgoid, HASH_FIND, NULL);

	if (cached != NULL && cached->is_valid)
		return cached;

	Cached built = {.trigger = trigger->tg_trigger->tgoid, .is_valid = true};

	build_plan(trigger, &built);
	drop_invalid();
	cached = hash_search(plans(), &built.trigger, HASH_ENTER, NULL);
	*cached = built;
	return cached;
}

/* Raises errors before anything is kept. */
static void
build_plan(TriggerData *trigger, Cached *cached)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "bm_webhook capture plan",
												  ALLOCSET_SMALL_SIZES);
	BmwCaptureArguments arguments;
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);

	SPI_connect();
	MemoryContextSwitchTo(context);
	bmw_capture_arguments_parse(trigger->tg_trigger->tgargs, trigger->tg_trigger->tgnargs,
								&arguments);
	arguments.watched = watched_table(trigger);
	if (arguments.when != NULL || arguments.key != NULL)
	{
		cached->query = prepare_query(trigger, &arguments);
		desc =
			((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(cached->query)))->resultDesc;
		MemoryContextSwitchTo(context); /* SPI has switched to its own */
	}
	cached->relation = RelationGetRelid(trigger->tg_relation);
	cached->plan = bmw_capture_plan_create(&arguments, trigger->tg_relation, desc);
	cached->context = context;
	if (cached->query != NULL)
		SPI_keepplan(cached->query);
	MemoryContextSetParent(context, CacheMemoryContext);
	SPI_finish();
}

/* A trigger on a partition may be the clone of one on the table that watch() was called for. */
static Oid
watched_table(const TriggerData *trigger)
{
	Relation triggers = table_open(TriggerRelationId, AccessShareLock);
	Oid oid = trigger->tg_trigger->tgoid;
	Oid table = RelationGetRelid(trigger->tg_relation);

	while (OidIsValid(oid))
	{
		HeapTuple tuple = find_trigger(triggers, oid);

		if (tuple == NULL)
			break;
		oid = ((Form_pg_trigger) GETSTRUCT(tuple))->tgparentid;
		table = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
	}
	table_close(triggers, AccessShareLock);
	return table;
}

static HeapTuple
find_trigger(Relation triggers, Oid oid)
{
	ScanKeyData key;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));

	SysScanDesc scan = systable_beginscan(triggers, TriggerOidIndexId, true, NULL, 1, &key);
	HeapTuple tuple = systable_getnext(scan);

	tuple = HeapTupleIsValid(tuple) ? heap_copytuple(tuple) : NULL;
	systable_endscan(scan);
	return tuple;
}

static SPIPlanPtr
prepare_query(TriggerData *trigger, const BmwCaptureArguments *arguments)
{
	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		misused("arguments \"when\" and \"key\" are for statement triggers");
	SPI_register_trigger_data(trigger);

	int nest_level = restrict_planning();
	SPIPlanPtr query = SPI_prepare(query_text(trigger, arguments), 0, NULL);

	AtEOXact_GUC(false, nest_level);
	if (query == NULL)
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not prepare the query of a capture trigger"));
	return query;
}

/* The aliases are what a condition calls the rows: NEW and OLD. */
static char *
query_text(TriggerData *trigger, const BmwCaptureArguments *arguments)
{
	StringInfoData sql;

	initStringInfo(&sql);
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		appendStringInfoString(&sql, "SELECT old.* FROM old_rows AS old");
	else
		appendStringInfoString(&sql, "SELECT new.* FROM new_rows AS new");
	if (arguments->key != NULL)
		append_join(&sql, trigger->tg_relation, arguments->key);
	if (arguments->when != NULL)
		appendStringInfo(&sql, " WHERE (%s\n)", arguments->when);
	return sql.data;
}

/* LEFT JOIN: a row whose key was changed still counts, as one without an old version. */
static void
append_join(StringInfo sql, Relation relation, const char *key)
{
	char **names;
	int length = bmw_capture_names(key, &names);

	appendStringInfoString(sql, " LEFT JOIN old_rows AS old ON ");
	for (int i = 0; i < length; i++)
	{
		TupleDesc desc = RelationGetDescr(relation);
		Oid type = TupleDescAttr(desc, bmw_capture_column(relation, desc, names[i]))->atttypid;
		Oid equality = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
		const char *name = quote_identifier(names[i]);

		if (!OidIsValid(equality))
			ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION),
					errmsg("key column \"%s\" has a type without equality", names[i]));
		if (i > 0)
			appendStringInfoString(sql, " AND ");
		generate_operator_clause(sql, psprintf("new.%s", name), type, equality,
								 psprintf("old.%s", name), type);
	}
}

/*
 * The plan is kept, and may have been made for one row: a nested loop over the
 * million rows of the next statement would never end. Undone by AtEOXact_GUC().
 */
static int
restrict_planning(void)
{
	int nest_level = NewGUCNestLevel();

	set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_SAVE, true, 0, false);
	set_config_option("enable_nestloop", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
					  0, false);
	return nest_level;
}

static HTAB *
plans(void)
{
	static HTAB *kept = NULL;

	if (kept == NULL)
	{
		HASHCTL control = {.keysize = sizeof(Oid),
						   .entrysize = sizeof(Cached),
						   .hcxt = CacheMemoryContext};

		kept = hash_create("bm_webhook capture plans", 16, &control,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		CacheRegisterRelcacheCallback(forget_relation, PointerGetDatum(kept));
		CacheRegisterSyscacheCallback(PROCOID, forget_functions, PointerGetDatum(kept));
		/* whose a function is, and who has the rights of whom */
		CacheRegisterSyscacheCallback(AUTHOID, forget_functions, PointerGetDatum(kept));
		CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_functions, PointerGetDatum(kept));
	}
	return kept;
}

static void
forget_relation(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	Cached *cached;

	hash_seq_init(&scan, (HTAB *) DatumGetPointer(arg));
	while ((cached = hash_seq_search(&scan)) != NULL)
		if (relid == InvalidOid || relid == cached->relation)
			cached->is_valid = false;
}

static void
forget_functions(Datum arg, int cache_id, uint32 hash_value)
{
	HASH_SEQ_STATUS scan;
	Cached *cached;

	hash_seq_init(&scan, (HTAB *) DatumGetPointer(arg));
	while ((cached = hash_seq_search(&scan)) != NULL)
		if (cached->plan->has_function)
			cached->is_valid = false;
}

static void
drop_invalid(void)
{
	HASH_SEQ_STATUS scan;
	Cached *cached;

	hash_seq_init(&scan, plans());
	while ((cached = hash_seq_search(&scan)) != NULL)
	{
		if (cached->is_valid)
			continue;
		MemoryContextSetParent(cached->context, TopTransactionContext);
		if (cached->query != NULL)
			SPI_freeplan(cached->query);
		hash_search(plans(), &cached->trigger, HASH_REMOVE, NULL);
	}
}
