/*
 * pg/dispatch/intake.h - the clerk of a dispatcher who reads new events.
 */
#ifndef BMW_PG_DISPATCH_INTAKE_H
#define BMW_PG_DISPATCH_INTAKE_H

#include "postgres.h"

#include "core/scheduler.h"
#include "pg/dispatch/endpoints.h"
#include "pg/dispatch/full.h"
#include "pg/dispatch/statistics.h"
#include "pg/server/shared_memory.h"
#include "utils/hsearch.h"

typedef struct BmwIntake
{
	BmwScheduler *scheduler;
	BmwSlot *slot;
	BmwEndpoints *endpoints; /* refreshed between a pass's snapshot and its events */
	HTAB *recorded;			 /* deliveries of the chunk at hand that have a row; NULL: none */
	BmwFilters *filters;
	BmwStatistics *statistics;
	BmwFull full;
	BmwMatch *matches; /* of the event at hand */
	int matches_length;
	int matches_capacity;
} BmwIntake;

extern void bmw_intake_init(BmwIntake *intake, BmwScheduler *scheduler, BmwSlot *slot,
							BmwEndpoints *endpoints, BmwFilters *filters,
							BmwStatistics *statistics);
/* Where was the shard? Inside a transaction, once. */
extern void bmw_intake_start(BmwIntake *intake);
extern bool bmw_intake_wants(const BmwIntake *intake);
/* A pass is begun, a chunk of it read. Inside a transaction. */
extern void bmw_intake_read(BmwIntake *intake);

#endif
