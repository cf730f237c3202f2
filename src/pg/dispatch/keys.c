/*
 * pg/dispatch/keys.c - the clerk of a dispatcher who removes expired idempotency keys and signing secrets.
 *
 * A few in each short transaction, with pauses, so that it delays neither what is to be
 * sent nor a writer who uses one of them again. Expired ones that are still there do nothing.
 */
#include "postgres.h"

#include "pg/dispatch/keys.h"

#include "pg/dispatch/store.h"

#define AT_ONCE 500
#define PAUSE_US (100 * INT64CONST(1000))			/* while there are more */
#define LOOK_INTERVAL_US (20 * INT64CONST(1000000)) /* else */

static void forget(void *context);

void
bmw_keys_init(BmwKeys *keys, BmwSlot *slot)
{
	*keys = (BmwKeys){.slot = slot};
}

void
bmw_keys_forget(BmwKeys *keys, int64 now_us)
{
	if (keys->slot->shard != 0 || now_us < keys->look_at_us)
		return;
	keys->forgotten = 0;
	(void) bmw_transaction_run(keys->slot, &keys->streak, forget, keys);
	keys->look_at_us = now_us + (keys->forgotten == AT_ONCE ? PAUSE_US : LOOK_INTERVAL_US);
}

int64
bmw_keys_wakeup_us(const BmwKeys *keys)
{
	return keys->slot->shard == 0 ? keys->look_at_us : PG_INT64_MAX;
}

static void
forget(void *context)
{
	BmwKeys *keys = context;

	bmw_transaction_limit_lock_wait("100ms");
	keys->forgotten = Max(bmw_store_forget_keys(AT_ONCE), bmw_store_forget_secrets(AT_ONCE));
}
