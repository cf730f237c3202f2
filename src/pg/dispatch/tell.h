/*
 * pg/dispatch/tell.h - the clerk of a dispatcher who tells others how it does: status(), endpoint_pace.
 */
#ifndef BMW_PG_DISPATCH_TELL_H
#define BMW_PG_DISPATCH_TELL_H

#include "postgres.h"

#include "core/scheduler.h"
#include "pg/server/shared_memory.h"

typedef struct BmwTeller
{
	BmwScheduler *scheduler;
	BmwSlot *slot;
	int64 reports_at_us;	/* those of the endpoints, if there are some */
	int64 statistics_at_us; /* the next report of those that were held back */
} BmwTeller;

/* What a cycle knows beside its scheduler. */
typedef struct BmwToldNumbers
{
	int64 sent;
	int64 resent;
	TimestampTz unrecorded_since;
} BmwToldNumbers;

extern void bmw_tell_init(BmwTeller *teller, BmwScheduler *scheduler, BmwSlot *slot);
extern void bmw_tell_run(BmwTeller *teller, const BmwToldNumbers *numbers, int64 now_us);
/* The clock was set back. */
extern void bmw_tell_shift(BmwTeller *teller, int64 back_us);
/* When it has something to do again. */
extern int64 bmw_tell_wakeup_us(const BmwTeller *teller);

#endif
