/*
 * pg/capture/plan_cache.c - the plans of capture triggers, kept as long as they are right.
 *
 * A relcache or function invalidation only marks them, because one may be in
 * use further up the stack: the memory goes at the end of the transaction that
 * notices.
 */
#include "postgres.h"

#include "pg/capture/plan_cache.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_trigger.h"
#include "pg/capture/arguments.h"
#include "pg/capture/guard.h"
#include "pg/capture/query.h"
#include "pg/capture/trust.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* What goes into a plan. */
typedef struct Building
{
	TriggerData *trigger;
	BmwCaptureCached *cached;
	BmwCaptureArguments arguments;
	const char *fault; /* of the plan; NULL: none */
} Building;

static bool is_still_bound(SPIPlanPtr query);
static void build_plan(TriggerData *trigger, BmwCaptureCached *cached);
static void check_level(const TriggerData *trigger, const BmwCaptureArguments *arguments);
static void build_query(void *argument);
static void build_rows(void *argument);
static void build_broken(void *argument);
static TupleDesc row_shape(const Building *building);
static TupleDesc result_shape(SPIPlanPtr query);
static TupleDesc first_half(TupleDesc pair);
static Oid watched_table(const TriggerData *trigger);
static HeapTuple find_trigger(Relation triggers, Oid oid);
static HTAB *plans(void);
static void forget_relation(Datum arg, Oid relid);
static void forget_all(Datum arg, int cache_id, uint32 hash_value);
static void drop_invalid(void);

BmwCaptureCached
bmw_capture_cache_find(TriggerData *trigger)
{
	BmwCaptureCached *cached = hash_search(plans(), &trigger->tg_trigger->tgoid, HASH_FIND, NULL);

	if (cached != NULL && cached->is_valid && is_still_bound(cached->query))
		return *cached;
	if (cached != NULL)
		cached->is_valid = false;

	BmwCaptureCached built = {.trigger = trigger->tg_trigger->tgoid, .is_valid = true};

	build_plan(trigger, &built);
	drop_invalid();
	cached = hash_search(plans(), &built.trigger, HASH_ENTER, NULL);
	*cached = built;
	return built;
}

/* PostgreSQL would look up the names of a query that is not by itself, and ask nobody whose that is. */
static bool
is_still_bound(SPIPlanPtr query)
{
	return query == NULL || SPI_plan_is_valid(query);
}

/*
 * A column, type or function that was there when the watch was made may be
 * gone: then the rows are reported, and nobody's write fails. A trigger that
 * was written wrongly is an error still.
 */
static void
build_plan(TriggerData *trigger, BmwCaptureCached *cached)
{
	MemoryContext before = CurrentMemoryContext;
	Building building = {.trigger = trigger, .cached = cached};

	cached->context =
		AllocSetContextCreate(before, "bm_webhook capture plan", ALLOCSET_SMALL_SIZES);
	cached->relation = RelationGetRelid(trigger->tg_relation);
	cached->watched = watched_table(trigger);
	MemoryContextSwitchTo(cached->context);
	bmw_capture_arguments_parse(trigger->tg_trigger->tgargs, trigger->tg_trigger->tgnargs,
								&building.arguments);
	building.arguments.watched = cached->watched;
	check_level(trigger, &building.arguments);
	building.fault = bmw_capture_guard(build_query, &building);
	cached->is_blind = building.fault != NULL;
	if (building.fault == NULL)
		building.fault = bmw_capture_guard(build_rows, &building);
	if (building.fault != NULL && bmw_capture_guard(build_broken, &building) != NULL)
	{
		building.arguments.message_id = NULL;
		build_broken(&building);
	}
	MemoryContextSetParent(cached->context, CacheMemoryContext);
	MemoryContextSwitchTo(before);
}

static void
check_level(const TriggerData *trigger, const BmwCaptureArguments *arguments)
{
	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event) &&
		(arguments->when != NULL || arguments->key != NULL))
		bmw_capture_misused("arguments \"when\" and \"key\" are for statement triggers");
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) &&
		TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) && arguments->old != NULL &&
		arguments->key == NULL)
		bmw_capture_misused(
			"argument \"old\" of a statement trigger for UPDATE needs an argument \"key\"");
}

static void
build_query(void *argument)
{
	Building *building = argument;

	if (building->arguments.when == NULL && building->arguments.key == NULL)
		return;
	SPI_connect();

	SPIPlanPtr query = bmw_capture_query_prepare(building->trigger, &building->arguments);

	bmw_capture_trust_query(query, building->cached->watched);
	SPI_keepplan(query);
	SPI_finish();
	building->cached->query = query;
	if (bmw_capture_query_has_pairs(&building->arguments))
		building->cached->pair_half = first_half(result_shape(query));
}

static void
build_rows(void *argument)
{
	Building *building = argument;

	building->cached->plan = bmw_capture_plan_create(
		&building->arguments, building->trigger->tg_relation, row_shape(building));
}

static void
build_broken(void *argument)
{
	Building *building = argument;

	building->cached->plan = bmw_capture_plan_create_broken(
		&building->arguments, building->trigger->tg_relation, row_shape(building), building->fault);
}

/* Of what the query returns, or of the table. */
static TupleDesc
row_shape(const Building *building)
{
	if (building->cached->query == NULL)
		return RelationGetDescr(building->trigger->tg_relation);
	if (building->cached->pair_half != NULL)
		return building->cached->pair_half;
	return result_shape(building->cached->query);
}

static TupleDesc
result_shape(SPIPlanPtr query)
{
	return ((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(query)))->resultDesc;
}

static TupleDesc
first_half(TupleDesc pair)
{
	TupleDesc half = CreateTemplateTupleDesc(pair->natts / 2);

	for (int i = 1; i <= half->natts; i++)
		TupleDescCopyEntry(half, i, pair, i);
	return half;
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

static HTAB *
plans(void)
{
	static HTAB *kept = NULL;

	if (kept == NULL)
	{
		HASHCTL control = {.keysize = sizeof(Oid),
						   .entrysize = sizeof(BmwCaptureCached),
						   .hcxt = CacheMemoryContext};

		kept = hash_create("bm_webhook capture plans", 16, &control,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		CacheRegisterRelcacheCallback(forget_relation, PointerGetDatum(kept));
		/* what is called, whose that is, and who has the rights of whom */
		CacheRegisterSyscacheCallback(PROCOID, forget_all, PointerGetDatum(kept));
		CacheRegisterSyscacheCallback(CASTSOURCETARGET, forget_all, PointerGetDatum(kept));
		CacheRegisterSyscacheCallback(AUTHOID, forget_all, PointerGetDatum(kept));
		CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_all, PointerGetDatum(kept));
	}
	return kept;
}

static void
forget_relation(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	BmwCaptureCached *cached;

	hash_seq_init(&scan, (HTAB *) DatumGetPointer(arg));
	while ((cached = hash_seq_search(&scan)) != NULL)
		if (relid == InvalidOid || relid == cached->relation || relid == cached->watched ||
			list_member_oid(cached->plan->relations, relid) || cached->plan->fault != NULL)
			cached->is_valid = false;
}

static void
forget_all(Datum arg, int cache_id, uint32 hash_value)
{
	HASH_SEQ_STATUS scan;
	BmwCaptureCached *cached;

	hash_seq_init(&scan, (HTAB *) DatumGetPointer(arg));
	while ((cached = hash_seq_search(&scan)) != NULL)
		cached->is_valid = false;
}

static void
drop_invalid(void)
{
	HASH_SEQ_STATUS scan;
	BmwCaptureCached *cached;

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
