#include "postgres.h"

#include "pg/dispatch/adoption.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pg/dispatch/store.h"

static void set_waits(BmwSlot *slot, bool waits, uint64 generation);
static void tell(const char *why_not);

void
bmw_adoption_look(BmwScheduler *scheduler, BmwSlot *slot, uint64 generation)
{
	bool waits;
	const char *why_not = bmw_store_why_not_adopted(&waits);

	set_waits(slot, waits, generation);
	bmw_scheduler_set_paused(scheduler, *why_not != '\0' || bmw_store_is_paused());
	if (bmw_shmem_not_adopted(slot, why_not) && slot->shard == 0)
		tell(why_not);
}

/* Who calls adopt() moves the generation on and then says that it does not wait: which must not be overwritten by what
 * was read before. */
static void
set_waits(BmwSlot *slot, bool waits, uint64 generation)
{
	if (pg_atomic_exchange_u32(&slot->waits_for_adopt, waits) == 0 && waits)
		bmw_shmem_wake(&bmw_shared->launcher);
	if (pg_atomic_read_u64(&slot->generation) != generation)
		pg_atomic_write_u32(&slot->waits_for_adopt, 0);
}

static void
tell(const char *why_not)
{
	const char *database = get_database_name(MyDatabaseId);

	if (*why_not == '\0')
		ereport(LOG, errmsg("bm_webhook sends from database \"%s\": it was adopted", database));
	else
		ereport(
			LOG, errmsg("bm_webhook does not send from database \"%s\"", database),
			errdetail("%s.", why_not),
			errhint(
				"If it is to send, call bm_webhook.adopt() in it; adopt(drop => true) drops what "
				"waits before."));
}
