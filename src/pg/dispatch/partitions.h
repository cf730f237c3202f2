/*
 * pg/dispatch/partitions.h - the clerk of a dispatcher who makes partitions for the days to come.
 */
#ifndef BMW_PG_DISPATCH_PARTITIONS_H
#define BMW_PG_DISPATCH_PARTITIONS_H

#include "postgres.h"

#include "pg/dispatch/transaction.h"
#include "pg/dispatch/upkeep.h"
#include "pg/server/shared_memory.h"

typedef struct BmwPartitions
{
	BmwSlot *slot;
	int64 look_at_us; /* the next look whether some must be made */
	BmwStreak streak; /* of failures, of what is not needed to go on */
	bool has_made_one;
	bool has_lacked; /* at the last look; the table may only have been busy */
	bool has_extension;
	int64 now_us;
	BmwUpkeep upkeep; /* of those that there are */
} BmwPartitions;

extern void bmw_partitions_init(BmwPartitions *partitions, BmwSlot *slot);
/* If it is time to: those that must be made, each in its own transaction; and the keeper is started. */
extern void bmw_partitions_run(BmwPartitions *partitions, int64 now_us);
extern int64 bmw_partitions_wakeup_us(const BmwPartitions *partitions, int64 now_us);
/* The clock has gone back. */
extern void bmw_partitions_shift(BmwPartitions *partitions, int64 back_us);
/* Settings may have changed. */
extern void bmw_partitions_reload(BmwPartitions *partitions);

#endif
