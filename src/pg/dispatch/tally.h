/*
 * pg/dispatch/tally.h - the clerk of a dispatcher who keeps the numbers of what is pending.
 */
#ifndef BMW_PG_DISPATCH_TALLY_H
#define BMW_PG_DISPATCH_TALLY_H

#include "postgres.h"

#include "pg/dispatch/transaction.h"
#include "pg/server/shared_memory.h"

typedef struct BmwTallyClerk
{
	BmwSlot *slot;
	int64 add_up_at_us;	 /* the changes, if there are some */
	int64 recount_at_us; /* the next batch of endpoints */
	int64 recounted_us;	 /* what those of this minute took */
	int batch;			 /* endpoints in it */
	int64 after_id;		 /* the recount goes on after this endpoint */
	int64 full_at_us;	 /* which applications are full, when something was added up or one is */
	bool wants_full;	 /* something was */
	bool has_full;		 /* one is */
	BmwStreak streak;
	bool has_extension;
} BmwTallyClerk;

extern void bmw_tally_init(BmwTallyClerk *clerk, BmwSlot *slot);
extern void bmw_tally_run(BmwTallyClerk *clerk, int64 now_us);
/* The clock was set back. */
extern void bmw_tally_shift(BmwTallyClerk *clerk, int64 back_us);
/* When it has something to do again. */
extern int64 bmw_tally_wakeup_us(const BmwTallyClerk *clerk);

#endif
