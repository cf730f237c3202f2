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
#include "pg/server/databases.h"
#include "pg/server/settings.h"
#include "pg/server/shared_memory.h"
#include "postmaster/bgworker.h"
#include "storage/procarray.h"
#include "storage/spin.h"
#include "utils/memutils.h"

#define NO_WORKER_DELAY_MS 2000
#define NO_WORKER_LOG_MS 10000 /* shorter is usual while many databases are tried */
#define OUTDATED_DELAY_MS 60000
#define FAILURE_DELAY_MS 1000 /* doubles with each failure in a row */
#define FAILURE_DELAY_MAX_MS 60000

/* What the launcher alone knows of a slot. */
typedef struct Start
{
	BackgroundWorkerHandle *handle; /* NULL: not running */
	TimestampTz not_before;
	int failures;		 /* in a row */
	TimestampTz refused; /* since when no worker could be had; 0: there is one */
	bool is_refusal_logged;
	bool is_asked_again; /* somebody asked after it had started */
} Start;

static Start starts[BMW_MAX_SLOTS];

static bool is_open(Oid database, int shard);
static void open_slot(Oid database, int shard);
static void forget_numbers(BmwSlot *slot);
static BmwSlot *free_slot(void);
static void close_slot(int index);
static void watch_running(int index);
static void ended(int index);
static long delay_after_failure(int index);
static bool claim(int index);
static void start(int index);
static void refused(int index);
static void accepted(int index);
static bool is_held(BmwSlot *slot);
static void set_state(BmwSlot *slot, BmwSlotState state);
static bool is_waiting(int index);

void
bmw_slots_open(Oid database)
{
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	for (int shard = 0; shard < bmw_shards; shard++)
		if (!is_open(database, shard))
			open_slot(database, shard);
	LWLockRelease(bmw_shared->lock);
}

void
bmw_slots_close_others(List *databases)
{
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (OidIsValid(bmw_shared->slots[i].database) && starts[i].handle == NULL &&
			!list_member_oid(databases, bmw_shared->slots[i].database))
			close_slot(i);
	LWLockRelease(bmw_shared->lock);
}

bool
bmw_slots_is_any_released(void)
{
	bool is_any = false;

	LWLockAcquire(bmw_shared->lock, LW_SHARED);
	for (int i = 0; i < bmw_shared->slots_length; i++)
	{
		const BmwSlot *slot = &bmw_shared->slots[i];

		is_any |= OidIsValid(slot->database) && slot->state == BMW_SLOT_HELD && slot->holder == 0 &&
				  starts[i].handle == NULL;
	}
	LWLockRelease(bmw_shared->lock);
	return is_any;
}

void
bmw_slots_run(void)
{
	for (int i = 0; i < bmw_shared->slots_length; i++)
	{
		if (OidIsValid(bmw_shared->slots[i].database) && starts[i].handle != NULL)
			watch_running(i);
		if (OidIsValid(bmw_shared->slots[i].database) && starts[i].handle == NULL && claim(i))
			start(i);
	}
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

static bool
is_open(Oid database, int shard)
{
	bool is_there = false;

	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (bmw_shared->slots[i].database == database && bmw_shared->slots[i].shard == shard)
			is_there = starts[i].is_asked_again = true;
	return is_there;
}

static void
open_slot(Oid database, int shard)
{
	BmwSlot *slot = free_slot();

	if (slot == NULL)
		return;
	starts[slot - bmw_shared->slots] = (Start){0};
	slot->shard = shard;
	slot->holder = 0;
	forget_numbers(slot);
	set_state(slot, BMW_SLOT_STARTING);
	slot->database = database;
}

static void
forget_numbers(BmwSlot *slot)
{
	SpinLockAcquire(&slot->mutex);
	memset(&slot->numbers, 0, sizeof(slot->numbers));
	slot->last_error_at = 0;
	SpinLockRelease(&slot->mutex);
}

/* NULL when all are taken: status() then shows nothing for that database. */
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
	return NULL;
}

static void
close_slot(int index)
{
	bmw_shared->slots[index].database = InvalidOid;
	set_state(&bmw_shared->slots[index], BMW_SLOT_FREE);
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
	LWLockRelease(bmw_shared->lock);
}

/* A dispatcher has gone; it left the reason as its slot's state. */
static void
ended(int index)
{
	BmwSlot *slot = &bmw_shared->slots[index];
	Start *start = &starts[index];
	long delay = 0;

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
			delay = OUTDATED_DELAY_MS;
			break;
		case BMW_SLOT_STARTING:
		case BMW_SLOT_RUNNING:
		case BMW_SLOT_NO_WORKER:
		case BMW_SLOT_FAILED:
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
	Start *start = &starts[index];

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
	may_start =
		is_waiting(index) && !is_held(slot) && starts[index].not_before <= GetCurrentTimestamp();
	if (may_start)
		set_state(slot, BMW_SLOT_STARTING);
	LWLockRelease(bmw_shared->lock);
	return may_start;
}

static void
start(int index)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_name = "bm_webhook dispatcher",
		.bgw_type = "bm_webhook dispatcher",
		.bgw_library_name = "bm_webhook",
		.bgw_function_name = "bmw_worker_main",
		.bgw_main_arg = Int32GetDatum(index),
		.bgw_notify_pid = MyProcPid,
	};
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	starts[index].is_asked_again = false;
	if (RegisterDynamicBackgroundWorker(&worker, &starts[index].handle))
		accepted(index);
	else
		refused(index);
	MemoryContextSwitchTo(caller);
}

/* All of max_worker_processes are in use. */
static void
refused(int index)
{
	Start *start = &starts[index];
	TimestampTz now = GetCurrentTimestamp();
	NameData name;

	start->handle = NULL;
	start->not_before = TimestampTzPlusMilliseconds(now, NO_WORKER_DELAY_MS);
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	set_state(&bmw_shared->slots[index], BMW_SLOT_NO_WORKER);
	LWLockRelease(bmw_shared->lock);
	if (start->refused == 0)
		start->refused = now;
	if (start->is_refusal_logged ||
		!TimestampDifferenceExceeds(start->refused, now, NO_WORKER_LOG_MS))
		return;
	start->is_refusal_logged = true;
	bmw_databases_read_name(bmw_shared->slots[index].database, &name);
	ereport(LOG, errmsg("bm_webhook has no background worker for database \"%s\"", NameStr(name)),
			errdetail("Nothing is sent there; events are captured and wait."),
			errhint("Raise \"max_worker_processes\"."));
}

static void
accepted(int index)
{
	NameData name;

	if (starts[index].is_refusal_logged)
	{
		bmw_databases_read_name(bmw_shared->slots[index].database, &name);
		ereport(LOG, errmsg("bm_webhook has got a background worker for database \"%s\"",
							NameStr(name)));
	}
	starts[index].refused = 0;
	starts[index].is_refusal_logged = false;
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

/* For a start: in use, and nobody in it, not even one that a launcher left that died. */
static bool
is_waiting(int index)
{
	const BmwSlot *slot = &bmw_shared->slots[index];

	Assert(LWLockHeldByMe(bmw_shared->lock));
	return OidIsValid(slot->database) && starts[index].handle == NULL && slot->pid == 0;
}
