/*
 * pg/server/give_way.c - dispatchers of copies, which wait for adopt(), give way where workers are few.
 *
 * Whoever may create databases can copy one as often as he likes, and each copy has a dispatcher, which sends nothing. Of
 * a database that nothing is known of yet, one is started to find out; so each copy gets its turn once.
 */
#include "postgres.h"

#include "pg/server/give_way.h"

static int lacking(void);

bool
bmw_give_way_waits(BmwSlot *slot)
{
	return pg_atomic_read_u32(&slot->waits_for_adopt) != 0;
}

bool
bmw_give_way_is_due(void)
{
	Assert(LWLockHeldByMe(bmw_shared->lock));
	return lacking() > 0;
}

void
bmw_give_way(BmwStart *starts)
{
	int needed;

	LWLockAcquire(bmw_shared->lock, LW_SHARED);
	needed = lacking();
	for (int i = 0; i < bmw_shared->slots_length; i++)
		needed -= starts[i].gives_way && bmw_shared->slots[i].pid != 0;
	for (int i = 0; i < bmw_shared->slots_length && needed > 0; i++)
	{
		BmwSlot *slot = &bmw_shared->slots[i];

		if (!OidIsValid(slot->database) || slot->state != BMW_SLOT_RUNNING || starts[i].gives_way ||
			!bmw_give_way_waits(slot))
			continue;
		bmw_start_ask_to_end(&starts[i], slot);
		starts[i].gives_way = true;
		needed--;
	}
	LWLockRelease(bmw_shared->lock);
}

void
bmw_give_way_tell(BmwStart *starts)
{
	for (int i = 0; i < bmw_shared->slots_length; i++)
	{
		BmwSlot *slot = &bmw_shared->slots[i];

		if (slot->state == BMW_SLOT_NO_WORKER)
			starts[i].not_before = 0;
		if (!slot->lacks_keeper)
			continue;
		pg_atomic_write_u32(&slot->has_upkeep, 1);
		bmw_shmem_wake(&slot->proc);
	}
}

/* Workers that databases lack of which it is not known that they wait for adopt(). */
static int
lacking(void)
{
	int workers = 0;

	for (int i = 0; i < bmw_shared->slots_length; i++)
	{
		BmwSlot *slot = &bmw_shared->slots[i];

		if (OidIsValid(slot->database) && !bmw_give_way_waits(slot))
			workers += (slot->state == BMW_SLOT_NO_WORKER) + slot->lacks_keeper;
	}
	return workers;
}
