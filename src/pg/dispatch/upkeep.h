/*
 * pg/dispatch/upkeep.h - the clerk of a dispatcher who starts the keeper of the log when there is work for it.
 */
#ifndef BMW_PG_DISPATCH_UPKEEP_H
#define BMW_PG_DISPATCH_UPKEEP_H

#include "postgres.h"

#include "pg/dispatch/transaction.h"
#include "pg/server/shared_memory.h"

typedef struct BmwUpkeep
{
	BmwSlot *slot;
	int64 looked_at_us; /* the last time; 0: at once */
	int64 pause_us;		/* until the next */
	int64 check_at_us;	/* when to see again how the keeper is */
	bool is_idle;		/* the keeper is at work, and wakes the dispatcher when it ends */
	BmwStreak streak;	/* of failures, of what is not needed to go on */
	bool is_due;
	bool has_no_worker; /* max_worker_processes is used up */
} BmwUpkeep;

extern void bmw_upkeep_init(BmwUpkeep *upkeep, BmwSlot *slot);
/* When to look whether there is work. */
extern int64 bmw_upkeep_wakeup_us(const BmwUpkeep *upkeep);
/* The clock has gone back. */
extern void bmw_upkeep_shift(BmwUpkeep *upkeep, int64 back_us);
/* Settings may have changed. */
extern void bmw_upkeep_reload(BmwUpkeep *upkeep);
/* Looks, if it is time to, or if somebody has asked for an operation. */
extern void bmw_upkeep_run(BmwUpkeep *upkeep, int64 now_us);

#endif
