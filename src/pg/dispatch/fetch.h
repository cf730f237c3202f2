/*
 * pg/dispatch/fetch.h - the clerk of a dispatcher who fetches what waits in the table.
 */
#ifndef BMW_PG_DISPATCH_FETCH_H
#define BMW_PG_DISPATCH_FETCH_H

#include "postgres.h"

#include "core/scheduler.h"
#include "pg/server/shared_memory.h"

typedef struct BmwFetcher
{
	BmwScheduler *scheduler;
	BmwSlot *slot;
	bool (*is_ours)(int64 endpoint_id, void *context); /* of the shard? */
	void *context;
	int lanes; /* that are read from at once, */
	int rows;  /* and as many, */
	int learn; /* and whose order is learnt */
} BmwFetcher;

extern void bmw_fetch_init(BmwFetcher *fetcher, BmwScheduler *scheduler, BmwSlot *slot,
						   bool (*is_ours)(int64 endpoint_id, void *context), void *context);
/* Is a transaction wanted? Rows that SQL made due are looked for at once. */
extern bool bmw_fetch_wants(BmwFetcher *fetcher);
extern void bmw_fetch_run(BmwFetcher *fetcher); /* inside a transaction */

#endif
