/*
 * pg/dispatch/statistics.h - the clerk of a dispatcher who counts what became of attempts.
 *
 * In memory, for each endpoint and minute that something was written of, and once a
 * minute into tables: so nothing is paid for endpoints to which nothing is sent, and a
 * row for each of the others. A crash costs the counts of a minute, a stop none.
 */
#ifndef BMW_PG_DISPATCH_STATISTICS_H
#define BMW_PG_DISPATCH_STATISTICS_H

#include "postgres.h"

#include "core/scheduler.h"
#include "pg/dispatch/transaction.h"
#include "pg/server/shared_memory.h"
#include "utils/hsearch.h"

/* What a dispatcher does with its time. */
typedef enum BmwPhase
{
	BMW_PHASE_INTAKE, /* events are read, and it is found out for whom they are */
	BMW_PHASE_FETCH,  /* what is due is read from the table */
	BMW_PHASE_SEND,	  /* requests are started, and answers read */
	BMW_PHASE_RECORD, /* outcomes are written */
	BMW_PHASE_UPKEEP, /* the rest */
	BMW_PHASE_IDLE	  /* it waits for whatever comes first */
} BmwPhase;

#define BMW_PHASES (BMW_PHASE_IDLE + 1)

/* Of this dispatcher, since they were written. */
typedef struct BmwDispatcherCounts
{
	int64 events;
	int64 delivered;
	int64 failed_attempts;
	int64 given_up;
	int64 canceled;
	int64 flushes;
	int64 records;
	int64 largest_flush;
	int64 longest_flush_us;
	int64 failed_flushes;
	int64 phase_us[BMW_PHASES];
} BmwDispatcherCounts;

typedef struct BmwStatistics
{
	BmwSlot *slot;
	HTAB *minutes;	/* by endpoint and minute */
	HTAB *totals;	/* of all endpoints, by minute */
	HTAB *failures; /* by endpoint and cause */
	BmwDispatcherCounts counts;
	int64 write_at_us;
	int64 forget_at_us; /* old minutes */
	int64 now_us;
	BmwPhase phase;
	int64 phase_since_us; /* by bmw_clock_us() */
	BmwStreak streak;
	bool has_extension;
} BmwStatistics;

extern void bmw_statistics_init(BmwStatistics *statistics, BmwSlot *slot, int64 now_us);
/* So many events were taken. */
extern void bmw_statistics_took(BmwStatistics *statistics, int events);
/* A flush has ended: the records of which something is known now. */
extern void bmw_statistics_add(BmwStatistics *statistics, const BmwRecord *records, int length,
							   BmwWriting result, int64 duration_us);
/* From now on its time is spent on this. */
extern void bmw_statistics_enter(BmwStatistics *statistics, BmwPhase phase);
extern void bmw_statistics_run(BmwStatistics *statistics, int64 now_us);
/* Writes what is counted, whenever it is. */
extern void bmw_statistics_end(BmwStatistics *statistics);
/* The clock was set back. */
extern void bmw_statistics_shift(BmwStatistics *statistics, int64 back_us);
/* When it has something to do again. */
extern int64 bmw_statistics_wakeup_us(const BmwStatistics *statistics);

#endif
