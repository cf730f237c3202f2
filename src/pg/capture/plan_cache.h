/*
 * pg/capture/plan_cache.h - the plans of capture triggers, kept as long as they are right.
 */
#ifndef BMW_PG_CAPTURE_PLAN_CACHE_H
#define BMW_PG_CAPTURE_PLAN_CACHE_H

#include "commands/trigger.h"
#include "executor/spi.h"
#include "pg/capture/plan.h"

/* What is kept for a trigger. */
typedef struct BmwCaptureCached
{
	Oid trigger; /* key */
	Oid relation;
	Oid watched; /* the relation itself, or the ancestor that watch() was called for */
	bool is_valid;
	MemoryContext context; /* of the plan */
	BmwCapturePlan *plan;
	SPIPlanPtr query;	 /* NULL: rows are read directly */
	TupleDesc pair_half; /* of the query's rows, which are pairs of such; NULL: they are none */
	bool is_blind;		 /* the query cannot be asked any more */
} BmwCaptureCached;

/*
 * The plan of the trigger that was fired. A copy, because the entry may go
 * while functions of users run; what it points to lives until the end of the
 * transaction. Ereports 39P01 for arguments that no watch makes.
 */
extern BmwCaptureCached bmw_capture_cache_find(TriggerData *trigger);

#endif
