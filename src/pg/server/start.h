/*
 * pg/server/start.h - the start of a dispatcher, for the launcher; what all workers of a database have in common.
 */
#ifndef BMW_PG_SERVER_START_H
#define BMW_PG_SERVER_START_H

#include "postgres.h"
#include "pg/server/shared_memory.h"
#include "postmaster/bgworker.h"
#include "utils/timestamp.h"

#define BMW_NO_WORKER_DELAY_MS 2000 /* until it is tried again */

/* What the launcher alone knows of a slot. */
typedef struct BmwStart
{
	BackgroundWorkerHandle *handle; /* NULL: not running */
	TimestampTz not_before;
	int failures;		 /* in a row */
	TimestampTz refused; /* since when no worker could be had; 0: there is one */
	bool is_asked_again; /* somebody asked after it had started */
	bool is_unlisted;	 /* its database is served no longer */
	bool gives_way;		 /* it was asked to end, as others lack workers */
} BmwStart;

/* A worker for the database of this slot, which is not started again by itself. */
extern BackgroundWorker bmw_start_worker(const char *name, const char *function, int slot);
/* False: there is no worker to be had now; the log is told when that lasts. */
extern bool bmw_start_dispatcher(BmwStart *start, int slot);
/* With the lock held. */
extern void bmw_start_ask_to_end(const BmwStart *start, const BmwSlot *slot);
/* Of the dispatchers of this database, or of any (InvalidOid): has the log been told of one without a worker? */
extern bool bmw_start_is_any_lacking(Oid database);

#endif
