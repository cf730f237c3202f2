/*
 * pg/dispatch/keys.h - the clerk of a dispatcher who removes expired idempotency keys and signing secrets.
 */
#ifndef BMW_PG_DISPATCH_KEYS_H
#define BMW_PG_DISPATCH_KEYS_H

#include "postgres.h"

#include "pg/dispatch/transaction.h"
#include "pg/server/shared_memory.h"

typedef struct BmwKeys
{
	BmwSlot *slot;
	int64 look_at_us;
	BmwStreak streak; /* of failures, of what is not needed to go on */
	int forgotten;	  /* at the last look */
} BmwKeys;

extern void bmw_keys_init(BmwKeys *keys, BmwSlot *slot);
/* When there may be some to forget. */
extern int64 bmw_keys_wakeup_us(const BmwKeys *keys);
/* Some of them, in a transaction, if it is time to. */
extern void bmw_keys_forget(BmwKeys *keys, int64 now_us);

#endif
