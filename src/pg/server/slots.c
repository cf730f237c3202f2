/*
 * pg/server/slots.c - the launcher's side of the slots: a dispatcher in each.
 *
 * Slots are given out and taken back here only, so `slots` and `starts` of one
 * index always speak of the same dispatcher; and `database` and `shard`, which
 * only the launcher writes, it may read without the lock.
 */
#include "postgres.h"

#include "pg/server/slots.h"

#include "miscadmin.h"
#include "pg/server/give_way.h"
#include "pg/server/shards.h"
#include "pg/server/shared_memory.h"
#include "pg/server/start.h"
#include "storage/procarray.h"
#include "utils/memutils.h"

#define OUTDATED_DELAY_MS 60000
#define FAILURE_DELAY_MS 1000 /* doubles with each failure in a row */
#define FAILURE_DELAY_MAX_MS 60000

static BmwStart starts[BMW_MAX_SLOTS];

static void leave_database(int index);
static void reshard(void);
static bool is_outnumbered(int index);
static bool is_any_busy(Oid database);
static void renumber(Oid database);
static bool open_missing(Oid database);
static bool is_open(Oid database, int shard);
static bool open_slot(Oid database, int shard);
static void give_out(BmwSlot *slot);
static BmwSlot *free_slot(void);
static void close_slot(int index);
static void watch_running(int index);
static void ended(int index);
static long delay_after_failure(int index);
static bool claim(int index);
static void start(int index);
static bool is_held(BmwSlot *slot);
static void set_state(BmwSlot *slot, BmwSlotState state);
static bool is_waiting(int index);
static bool is_vacant(int index);

bool
bmw_slots_open(Oid database)
{
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);

	const bool are_open = open_missing(database);

	LWLockRelease(bmw_shared->lock);
	return are_open;
}

void
bmw_slots_close_others(List *databases)
{
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (OidIsValid(bmw_shared->slots[i].database) &&
			!list_member_oid(databases, bmw_shared->slots[i].database))
			leave_database(i);
	LWLockRelease(bmw_shared->lock);
}

bool
bmw_slots_take_released(void)
{
	bool is_any = false;

	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (is_waiting(i) && bmw_shared->slots[i].state == BMW_SLOT_HELD &&
			!is_held(&bmw_shared->slots[i]))
		{
			set_state(&bmw_shared->slots[i], BMW_SLOT_STARTING);
			is_any = true;
		}
	LWLockRelease(bmw_shared->lock);
	return is_any;
}

void
bmw_slots_run(void)
{
	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (OidIsValid(bmw_shared->slots[i].database) && starts[i].handle != NULL)
			watch_running(i);
	bmw_shards_review();
	reshard();
	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (OidIsValid(bmw_shared->slots[i].database) && starts[i].handle == NULL && claim(i))
			start(i);
	bmw_give_way(starts);
}

long
bmw_slots_delay_ms(long max_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	long delay = max_ms;

	LWLockAcquire(bmw_shared->lock, LW_SHARED);
	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (is_waiting(i) && bmw_shared->slots[i].holder == 0)
			delay = Min(delay, Max(TimestampDifferenceMilliseconds(now, starts[i].not_before), 1));
	LWLockRelease(bmw_shared->lock);
	return delay;
}

/* It was dropped, or nobody is to connect to it any more. */
static void
leave_database(int index)
{
	starts[index].is_unlisted = true;
	if (is_vacant(index))
		close_slot(index);
	else
		bmw_start_ask_to_end(&starts[index], &bmw_shared->slots[index]);
}

/*
 * Which endpoints a dispatcher serves depends on their number: those of another one
 * must all have ended before the first of the new ones starts.
 */
static void
reshard(void)
{
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < bmw_shared->slots_length; i++)
	{
		if (!is_outnumbered(i))
			continue;
		if (!bmw_shared->slots[i].is_resharded)
			bmw_start_ask_to_end(&starts[i], &bmw_shared->slots[i]);
		bmw_shared->slots[i].is_resharded = true;
		if (!is_any_busy(bmw_shared->slots[i].database))
			renumber(bmw_shared->slots[i].database);
	}
	LWLockRelease(bmw_shared->lock);
}

/* Was it given out for another number of shards? */
static bool
is_outnumbered(int index)
{
	const BmwSlot *slot = &bmw_shared->slots[index];

	return OidIsValid(slot->database) && slot->shards != bmw_shards_each();
}

static bool
is_any_busy(Oid database)
{
	bool is_any = false;

	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (bmw_shared->slots[i].database == database)
			is_any |= !is_vacant(i) || is_held(&bmw_shared->slots[i]);
	return is_any;
}

static void
renumber(Oid database)
{
	for (int i = 0; i < bmw_shared->slots_length; i++)
	{
		BmwSlot *slot = &bmw_shared->slots[i];

		if (slot->database != database)
			continue;
		if (slot->shard >= bmw_shards_each())
			close_slot(i);
		else
			give_out(slot);
	}
	open_missing(database);
}

static bool
open_missing(Oid database)
{
	bool is_resharding = false;
	bool are_open = true;

	for (int i = 0; i < bmw_shared->slots_length; i++)
		is_resharding |= bmw_shared->slots[i].database == database && is_outnumbered(i);
	for (int shard = 0; shard < bmw_shards_each(); shard++)
		if (!is_open(database, shard) && !is_resharding)
			are_open &= open_slot(database, shard);
	return are_open;
}

static bool
is_open(Oid database, int shard)
{
	bool is_there = false;

	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (bmw_shared->slots[i].database == database && bmw_shared->slots[i].shard == shard)
		{
			is_there = starts[i].is_asked_again = true;
			starts[i].not_before = 0; /* the extension may be another one now */
		}
	return is_there;
}

static bool
open_slot(Oid database, int shard)
{
	BmwSlot *slot = free_slot();

	if (slot == NULL)
		return false;
	slot->shard = shard;
	slot->holder = 0;
	bmw_shmem_forget(slot);
	give_out(slot);
	slot->database = database;
	return true;
}

static void
give_out(BmwSlot *slot)
{
	starts[slot - bmw_shared->slots] = (BmwStart){0};
	slot->shards = bmw_shards_each();
	slot->is_resharded = slot->lacks_worker = slot->lacks_keeper = false;
	set_state(slot, BMW_SLOT_STARTING);
}

/* NULL when all are taken: status() then shows nothing for that database. One of a copy is given up before. */
static BmwSlot *
free_slot(void)
{
	Assert(LWLockHeldByMeInMode(bmw_shared->lock, LW_EXCLUSIVE));
	for (int i = 0; i < BMW_MAX_SLOTS; i++)
		if (bmw_shared->slots[i].database == InvalidOid)
		{
			if (i >= bmw_shared->slots_length)
				bmw_shared->slots_length = i + 1;
			return &bmw_shared->slots[i];
		}
	for (int i = 0; i < BMW_MAX_SLOTS; i++)
		if (bmw_give_way_waits(&bmw_shared->slots[i]) && is_vacant(i) &&
			bmw_shared->slots[i].keeper == 0 && !is_held(&bmw_shared->slots[i]))
			return &bmw_shared->slots[i];
	return NULL;
}

static void
close_slot(int index)
{
	bmw_shared->slots[index].database = InvalidOid;
	set_state(&bmw_shared->slots[index], BMW_SLOT_FREE);
}

static void
start(int index)
{
	BmwSlot *slot = &bmw_shared->slots[index];

	starts[index].is_asked_again = starts[index].gives_way = false;
	if (bmw_start_dispatcher(&starts[index], index))
		return;
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	set_state(slot, bmw_give_way_waits(slot) ? BMW_SLOT_NOT_ADOPTED : BMW_SLOT_NO_WORKER);
	LWLockRelease(bmw_shared->lock);
}

static void
watch_running(int index)
{
	pid_t pid;

	if (GetBackgroundWorkerPid(starts[index].handle, &pid) != BGWH_STOPPED)
		return;
	pfree(starts[index].handle);
	starts[index].handle = NULL;
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	ended(index);
	bmw_give_way_tell(starts);
	LWLockRelease(bmw_shared->lock);
}

/* A dispatcher has gone; it left the reason as its slot's state. */
static void
ended(int index)
{
	BmwSlot *slot = &bmw_shared->slots[index];
	BmwStart *start = &starts[index];
	long delay = 0;

	if (start->is_unlisted)
	{
		close_slot(index);
		return;
	}
	switch (slot->state)
	{
		case BMW_SLOT_FREE: /* no extension there, unless it came a moment ago */
			if (!start->is_asked_again)
			{
				close_slot(index);
				return;
			}
			break;
		case BMW_SLOT_HELD:
			start->failures = 0;
			break;
		case BMW_SLOT_OUTDATED:
			delay = start->is_asked_again ? 0 : OUTDATED_DELAY_MS;
			break;
		case BMW_SLOT_STARTING:
		case BMW_SLOT_RUNNING:
		case BMW_SLOT_NO_WORKER:
		case BMW_SLOT_FAILED:
		case BMW_SLOT_FENCED:
		case BMW_SLOT_NOT_ADOPTED:
			delay = delay_after_failure(index);
			set_state(slot, BMW_SLOT_FAILED);
			break;
	}
	start->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
}

/* One that ran for a while begins with a short one again. */
static long
delay_after_failure(int index)
{
	BmwStart *start = &starts[index];

	if (TimestampDifferenceExceeds(bmw_shared->slots[index].since, GetCurrentTimestamp(),
								   FAILURE_DELAY_MAX_MS))
		start->failures = 0;
	return Min(FAILURE_DELAY_MS << Min(start->failures++, 10), FAILURE_DELAY_MAX_MS);
}

/* May a dispatcher be started in it now? Then its state says so: from its start on the state is its own. */
static bool
claim(int index)
{
	BmwSlot *slot = &bmw_shared->slots[index];
	bool may_start;

	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	may_start = is_waiting(index) && !is_held(slot) && slot->state != BMW_SLOT_HELD &&
				starts[index].not_before <= GetCurrentTimestamp();
	if (may_start && bmw_give_way_waits(slot) && bmw_give_way_is_due())
	{
		starts[index].not_before =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(), BMW_NO_WORKER_DELAY_MS);
		set_state(slot, BMW_SLOT_NOT_ADOPTED);
		may_start = false;
	}
	if (may_start)
		set_state(slot, BMW_SLOT_STARTING);
	LWLockRelease(bmw_shared->lock);
	return may_start;
}

/* By a backend that still lives. */
static bool
is_held(BmwSlot *slot)
{
	if (slot->holder != 0 && BackendPidGetProc(slot->holder) == NULL)
		slot->holder = 0;
	if (slot->holder != 0)
		set_state(slot, BMW_SLOT_HELD);
	return slot->holder != 0;
}

static void
set_state(BmwSlot *slot, BmwSlotState state)
{
	Assert(LWLockHeldByMeInMode(bmw_shared->lock, LW_EXCLUSIVE));
	if (slot->state != state)
		slot->since = GetCurrentTimestamp();
	slot->state = state;
}

/* For a start. */
static bool
is_waiting(int index)
{
	return OidIsValid(bmw_shared->slots[index].database) && is_vacant(index) &&
		   !is_outnumbered(index);
}

/* Nobody in it, not even one that a launcher left that died. */
static bool
is_vacant(int index)
{
	Assert(LWLockHeldByMe(bmw_shared->lock));
	return starts[index].handle == NULL && bmw_shared->slots[index].pid == 0;
}
