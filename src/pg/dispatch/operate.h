/*
 * pg/dispatch/operate.h - the clerk of a dispatcher who works off operations: changes of many rows, in steps.
 */
#ifndef BMW_PG_DISPATCH_OPERATE_H
#define BMW_PG_DISPATCH_OPERATE_H

#include "postgres.h"

#include "core/operation.h"
#include "core/scheduler.h"
#include "pg/dispatch/transaction.h"
#include "pg/server/shared_memory.h"

typedef struct BmwOperator
{
	BmwScheduler *scheduler;
	BmwSlot *slot;
	bool (*is_ours)(int64 endpoint_id, void *context); /* of the shard? */
	void *context;
	BmwOperations operations;
	bool has_more;		/* than the reading that goes on has found */
	BmwStreak streak;	/* of failures */
	bool has_extension; /* false: it has gone */
} BmwOperator;

extern void bmw_operate_init(BmwOperator *clerk, BmwScheduler *scheduler, BmwSlot *slot,
							 bool (*is_ours)(int64 endpoint_id, void *context), void *context);
/* At most one step, in transactions of its own. */
extern void bmw_operate_run(BmwOperator *clerk);
/* In how long there is something to do again, if nothing is announced before. */
extern int64 bmw_operate_wait_us(const BmwOperator *clerk);

#endif
