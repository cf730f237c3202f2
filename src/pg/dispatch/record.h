/*
 * pg/dispatch/record.h - the clerk of a dispatcher who writes: outcomes, the cursor, changes of endpoints.
 */
#ifndef BMW_PG_DISPATCH_RECORD_H
#define BMW_PG_DISPATCH_RECORD_H

#include "postgres.h"

#include "core/flush.h"
#include "core/scheduler.h"
#include "pg/server/shared_memory.h"
#include "pg/dispatch/statistics.h"
#include "pg/dispatch/transaction.h"

typedef struct BmwRecorder
{
	BmwScheduler *scheduler;
	BmwSlot *slot;
	BmwStatistics *statistics;
	BmwFlush flush;
	BmwStreak streak; /* of failures of the log as a whole */
	BmwStreak cursor_streak;
	BmwStreak errand_streak;
	int lines;				 /* in the server log, about what was set aside */
	TimestampTz lines_since; /* counted from here */
	bool has_extension;		 /* false: it has gone */
} BmwRecorder;

extern void bmw_record_init(BmwRecorder *recorder, BmwScheduler *scheduler, BmwSlot *slot,
							BmwStatistics *statistics);
/* Writes what is due, in transactions of its own; what cannot be written stays with the scheduler. */
extern void bmw_record_run(BmwRecorder *recorder);
/* Tells the scheduler what is durable by now. */
extern void bmw_record_look(BmwRecorder *recorder);

#endif
