/*
 * pg/dispatch/worker.c - the process in which a dispatcher lives: start, wait, end.
 *
 * The only wait of the program: for the latch, for the death of the postmaster
 * and for the one descriptor that stands for all sockets. Ends by leaving the
 * reason in its slot, for the launcher: FREE (no extension here), OUTDATED,
 * HELD (asked to stop), or whatever it was when an error ended it.
 */
#include "postgres.h"

#include "pg/dispatch/worker.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pg/server/compat.h"
#include "pg/dispatch/crash.h"
#include "pg/dispatch/cycle.h"
#include "pg/dispatch/fence.h"
#include "pg/dispatch/store.h"
#include "pg/dispatch/transaction.h"
#include "pg/server/shared_places.h"
#include "pg/server/troubles.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#define STOP_MS 1000	/* for requests in flight and their outcomes, when asked to stop */
#define RESHARD_MS 5000 /* and for another number of shards, when nobody waits for the end */

static void quit(SIGNAL_ARGS);
static void attach(BmwSlot *slot);
static void detach(int code, Datum slot);
static void set_state(BmwSlot *slot, BmwSlotState state);
static bool may_run(BmwSlot *slot);
static bool own_shard(BmwSlot *slot, Oid cursor);
static bool pass_fence(BmwSlot *slot);
static WaitEventSet *create_events(int more);
static void run(BmwSlot *slot);
static void stop(BmwSlot *slot, BmwCycle *cycle, WaitEventSet *events);
static int stop_ms(const BmwSlot *slot);
static void wait(WaitEventSet *events, long timeout_ms);
static uint32 wait_event(void);
static void reload(BmwCycle *cycle);

void
bmw_worker_main(Datum arg)
{
	BmwSlot *slot = &bmw_shared->slots[DatumGetInt32(arg)];

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGQUIT, quit);
	attach(slot);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(slot->database, InvalidOid, 0);
	bmw_transaction_init();
	if (!may_run(slot))
		proc_exit(0);
	if (pass_fence(slot))
		run(slot);
	else
		set_state(slot, BMW_SLOT_HELD);
	proc_exit(0);
}

void
bmw_worker_terminate_at_once(void)
{
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
}

static void
quit(SIGNAL_ARGS)
{
	bmw_crash_excuse();
	SignalHandlerForCrashExit(postgres_signal_arg);
}

/* What the slot says is left to the dispatcher that has it: one leaves no slot before it has ended. */
static void
attach(BmwSlot *slot)
{
	bool is_held;
	int owner;

	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	owner = slot->pid;
	is_held = slot->holder != 0;
	if (owner == 0 && !is_held)
		slot->pid = MyProcPid;
	LWLockRelease(bmw_shared->lock);
	if (owner != 0)
	{
		ereport(LOG, errmsg("process %d is the dispatcher of bm_webhook here already", owner));
		proc_exit(0);
	}
	if (is_held)
	{
		set_state(slot, BMW_SLOT_HELD);
		proc_exit(0);
	}
	pg_atomic_write_u32(&slot->proc, BMW_MY_PROC_NUMBER + 1);
	before_shmem_exit(detach, PointerGetDatum(slot));
}

static void
detach(int code, Datum slot_datum)
{
	BmwSlot *slot = (BmwSlot *) DatumGetPointer(slot_datum);

	/* a session lock outlives proc_exit() outside a transaction, on a PGPROC that others get */
	LockReleaseAll(DEFAULT_LOCKMETHOD, true);
	ConditionVariableCancelSleep();
	pg_atomic_write_u32(&slot->proc, 0);
	bmw_shared_places_forget(slot);
	bmw_troubles_leave(slot);
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	slot->pid = 0;
	slot->lacks_keeper = false;
	LWLockRelease(bmw_shared->lock);
	ConditionVariableBroadcast(&slot->flushed);
	bmw_shmem_wake(&bmw_shared->launcher);
}

static void
set_state(BmwSlot *slot, BmwSlotState state)
{
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	slot->state = state;
	slot->since = GetCurrentTimestamp();
	LWLockRelease(bmw_shared->lock);
}

/* Is the extension here, is it the one that this library belongs to, and is the shard free? */
static bool
may_run(BmwSlot *slot)
{
	char *version;
	bool is_ours = false;

	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	version = bmw_store_version();
	if (version == NULL)
		set_state(slot, BMW_SLOT_FREE);
	else if (strcmp(version, BMW_VERSION) != 0)
	{
		set_state(slot, BMW_SLOT_OUTDATED);
		if (bmw_troubles_note(slot, true, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE))
			ereport(
				WARNING, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("extension \"bm_webhook\" has version %s, its library %s", version,
					   BMW_VERSION),
				errhint(
					"Run ALTER EXTENSION bm_webhook UPDATE, or restart the server when the library is the older one."));
	}
	else
		is_ours = own_shard(slot, bmw_store_cursor_table());
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	return is_ours;
}

/*
 * A session lock that nobody else can take: an object lock on the cursor table,
 * which conflicts with no command, with the shard as part of its name.
 */
static bool
own_shard(BmwSlot *slot, Oid cursor)
{
	LOCKTAG tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId, cursor, slot->shard + 1);
	if (LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL)
		return true;
	set_state(slot, BMW_SLOT_FAILED);
	bmw_shmem_error(slot, "another dispatcher still owns the shard");
	return false;
}

/* Waits until this server may send. False: it is asked to stop. */
static bool
pass_fence(BmwSlot *slot)
{
	WaitEventSet *events = create_events(0);
	BmwFence fence = {0};
	bool is_open;

	while (!(is_open = bmw_fence_is_open(&fence, slot)) && !ShutdownRequestPending)
	{
		if (fence.is_refused && slot->state != BMW_SLOT_FENCED)
			set_state(slot, BMW_SLOT_FENCED);
		wait(events, bmw_fence_wait_ms(&fence));
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			bmw_fence_reload(&fence);
		}
	}
	bmw_fence_end(&fence);
	FreeWaitEventSet(events);
	return is_open;
}

static WaitEventSet *
create_events(int more)
{
	WaitEventSet *events = bmw_create_wait_event_set(2 + more);

	AddWaitEventToSet(events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	return events;
}

static void
run(BmwSlot *slot)
{
	BmwCycle *cycle;
	WaitEventSet *events = create_events(1);

	set_state(slot, BMW_SLOT_RUNNING);
	cycle = bmw_cycle_create(slot);
	AddWaitEventToSet(events, WL_SOCKET_READABLE, bmw_cycle_fd(cycle), NULL, NULL);
	pgstat_report_activity(STATE_RUNNING, "bm_webhook: sending");
	while (!ShutdownRequestPending && bmw_cycle_has_extension(cycle))
	{
		long timeout_ms;

		reload(cycle);
		timeout_ms = bmw_cycle_run(cycle);
		wait(events, timeout_ms);
	}
	stop(slot, cycle, events);
	set_state(slot, bmw_cycle_has_extension(cycle) ? BMW_SLOT_HELD : BMW_SLOT_FREE);
}

static void
stop(BmwSlot *slot, BmwCycle *cycle, WaitEventSet *events)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), stop_ms(slot));

	while (bmw_cycle_has_extension(cycle) && bmw_cycle_stop(cycle) &&
		   GetCurrentTimestamp() < deadline)
		wait(events, Min(bmw_cycle_run(cycle), 50));
	bmw_cycle_end(cycle);
}

static int
stop_ms(const BmwSlot *slot)
{
	bool is_resharded;

	LWLockAcquire(bmw_shared->lock, LW_SHARED);
	is_resharded = slot->is_resharded;
	LWLockRelease(bmw_shared->lock);
	return is_resharded ? RESHARD_MS : STOP_MS;
}

static void
wait(WaitEventSet *events, long timeout_ms)
{
	WaitEvent event;

	(void) WaitEventSetWait(events, timeout_ms, &event, 1, wait_event());
	ResetLatch(MyLatch);
	/* pg_cancel_backend() may end a statement, not the process and what it has in flight */
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
}

/* For answers, for what is to be sent, or for the next time that something is due: all at once. */
static uint32
wait_event(void)
{
	static uint32 event = 0;

	if (event == 0)
		event = bmw_wait_event_new("BmWebhookDispatch");
	return event;
}

static void
reload(BmwCycle *cycle)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	bmw_transaction_init();
	if (!bmw_cycle_reload(cycle))
		ShutdownRequestPending = true;
}
