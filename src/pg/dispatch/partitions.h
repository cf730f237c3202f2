/*
 * pg/dispatch/partitions.h - the clerk of a dispatcher who makes partitions for the days to come.
 */
#ifndef BMW_PG_DISPATCH_PARTITIONS_H
#define BMW_PG_DISPATCH_PARTITIONS_H

#include "postgres.h"

#include "pg/dispatch/transaction.h"
#include "pg/server/shared_memory.h"

typedef struct BmwPartitions
{
	BmwSlot *slot;
	int64 look_at_us; /* the next look whether some must be made */
	BmwStreak streak; /* of failures, of what is not needed to go on */
	bool has_made_one;
	bool is_lacking; /* some could not be made, which was logged */
	bool has_extension;
	int64 now_us;
} BmwPartitions;

extern void bmw_partitions_init(BmwPartitions *partitions, BmwSlot *slot);
/* Those that must be made, each in its own transaction. */
extern void bmw_partitions_make(BmwPartitions *partitions, int64 now_us);

#endif
