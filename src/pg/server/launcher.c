/*
 * pg/server/launcher.c - one dispatcher for each shard of each database that has the extension.
 *
 * The launcher cannot see which databases have the extension: it starts a
 * dispatcher in each and lets it find out. A database without it is left alone
 * until somebody asks (CREATE EXTENSION does, and a commit that wrote an event
 * where no dispatcher is). Started when recovery has ended, so a standby sends
 * nothing until it is promoted.
 *
 * Slots are given out and taken back here only, so `slots` and `starts` of one
 * index always speak of the same dispatcher.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pg/server/compat.h"
#include "pg/server/settings.h"
#include "pg/server/launcher.h"
#include "pg/server/shared_memory.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#define LOOK_INTERVAL_MS 10000 /* for databases that nothing announced */
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
static List *looked_at = NIL; /* databases that have been tried, by Oid */

static void look_at_databases(void);
static List *list_databases(void);
static void take_requests(void);
static void open_slots(Oid database);
static BmwSlot *free_slot(void);
static void forget_dropped(List *databases);
static void close_slot(int index);
static bool is_any_released(void);
static void run_slots(void);
static void watch_running(int index);
static void ended(int index);
static void start(int index);
static void refused(int index);
static void accepted(int index);
static void read_database_name(Oid database, NameData *name);
static bool is_held(BmwSlot *slot);
static void set_state(BmwSlot *slot, BmwSlotState state);
static long delay_ms(void);
static void leave(int code, Datum arg);

void
bmw_launcher_register(void)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = 1,
		.bgw_name = "bm_webhook launcher",
		.bgw_type = "bm_webhook launcher",
		.bgw_library_name = "bm_webhook",
		.bgw_function_name = "bmw_launcher_main",
	};

	RegisterBackgroundWorker(&worker);
}

void
bmw_launcher_main(Datum arg)
{
	TimestampTz next_look = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGINT, SIG_IGN);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	before_shmem_exit(leave, (Datum) 0);
	pg_atomic_write_u32(&bmw_shared->launcher, BMW_MY_PROC_NUMBER + 1);

	while (!ShutdownRequestPending)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		take_requests();
		if (GetCurrentTimestamp() >= next_look || is_any_released())
		{
			look_at_databases();
			next_look = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOOK_INTERVAL_MS);
		}
		run_slots();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, delay_ms(),
						 PG_WAIT_EXTENSION);
	}
	/* with 0 it would not be started again */
	proc_exit(1);
}

/* New databases are tried; what is gone is forgotten. */
static void
look_at_databases(void)
{
	List *databases = list_databases();
	ListCell *cell;

	forget_dropped(databases);
	foreach (cell, databases)
		if (!list_member_oid(looked_at, lfirst_oid(cell)))
			open_slots(lfirst_oid(cell));
	list_free(databases);
}

/* All databases that can be connected to and are no templates, in TopMemoryContext. */
static List *
list_databases(void)
{
	List *databases = NIL;
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext caller;

		if (!database->datallowconn || database->datistemplate)
			continue;
		caller = MemoryContextSwitchTo(TopMemoryContext);
		databases = lappend_oid(databases, database->oid);
		MemoryContextSwitchTo(caller);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	return databases;
}

static void
take_requests(void)
{
	Oid requests[BMW_MAX_REQUESTS];
	int length;

	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	length = bmw_shared->requests_length;
	memcpy(requests, bmw_shared->requests, sizeof(Oid) * length);
	bmw_shared->requests_length = 0;
	if (bmw_shared->look_at_all)
	{
		list_free(looked_at);
		looked_at = NIL;
	}
	bmw_shared->look_at_all = false;
	LWLockRelease(bmw_shared->lock);
	for (int i = 0; i < length; i++)
		open_slots(requests[i]);
}

/* Slots for every shard of a database that has none yet. */
static void
open_slots(Oid database)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	looked_at = list_append_unique_oid(looked_at, database);
	MemoryContextSwitchTo(caller);
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	for (int shard = 0; shard < bmw_shards; shard++)
	{
		BmwSlot *slot = free_slot();
		bool is_open = false;

		for (int i = 0; i < bmw_shared->slots_length; i++)
			if (bmw_shared->slots[i].database == database && bmw_shared->slots[i].shard == shard)
				is_open = starts[i].is_asked_again = true;
		if (is_open || slot == NULL)
			continue;
		starts[slot - bmw_shared->slots] = (Start){0};
		slot->shard = shard;
		slot->holder = 0;
		memset(&slot->numbers, 0, sizeof(slot->numbers));
		slot->last_error_at = 0;
		set_state(slot, BMW_SLOT_STARTING);
		slot->database = database;
	}
	LWLockRelease(bmw_shared->lock);
}

/* NULL when all are taken: status() then shows nothing for that database. */
static BmwSlot *
free_slot(void)
{
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
forget_dropped(List *databases)
{
	ListCell *cell;

	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (OidIsValid(bmw_shared->slots[i].database) && starts[i].handle == NULL &&
			!list_member_oid(databases, bmw_shared->slots[i].database))
			close_slot(i);
	foreach (cell, looked_at)
		if (!list_member_oid(databases, lfirst_oid(cell)))
			looked_at = foreach_delete_current(looked_at, cell);
}

static void
close_slot(int index)
{
	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	bmw_shared->slots[index].database = InvalidOid;
	set_state(&bmw_shared->slots[index], BMW_SLOT_FREE);
	LWLockRelease(bmw_shared->lock);
}

/* What held a slot may have dropped its database: look before starting anything. */
static bool
is_any_released(void)
{
	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (OidIsValid(bmw_shared->slots[i].database) &&
			bmw_shared->slots[i].state == BMW_SLOT_HELD && bmw_shared->slots[i].holder == 0 &&
			starts[i].handle == NULL)
			return true;
	return false;
}

static void
run_slots(void)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < bmw_shared->slots_length; i++)
	{
		if (!OidIsValid(bmw_shared->slots[i].database))
			continue;
		if (starts[i].handle != NULL)
			watch_running(i);
		if (OidIsValid(bmw_shared->slots[i].database) && starts[i].handle == NULL &&
			bmw_shared->slots[i].pid == 0 && /* left over by a launcher that died */
			!is_held(&bmw_shared->slots[i]) && starts[i].not_before <= now)
			start(i);
	}
}

static void
watch_running(int index)
{
	pid_t pid;

	if (GetBackgroundWorkerPid(starts[index].handle, &pid) != BGWH_STOPPED)
		return;
	pfree(starts[index].handle);
	starts[index].handle = NULL;
	ended(index);
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
			if (TimestampDifferenceExceeds(slot->since, GetCurrentTimestamp(),
										   FAILURE_DELAY_MAX_MS))
				start->failures = 0;
			delay = Min(FAILURE_DELAY_MS << Min(start->failures, 10), FAILURE_DELAY_MAX_MS);
			start->failures++;
			set_state(slot, BMW_SLOT_FAILED);
			break;
	}
	start->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
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
	/* before it runs: from then on the state is the dispatcher's */
	set_state(&bmw_shared->slots[index], BMW_SLOT_STARTING);
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
	set_state(&bmw_shared->slots[index], BMW_SLOT_NO_WORKER);
	if (start->refused == 0)
		start->refused = now;
	if (start->is_refusal_logged ||
		!TimestampDifferenceExceeds(start->refused, now, NO_WORKER_LOG_MS))
		return;
	start->is_refusal_logged = true;
	read_database_name(bmw_shared->slots[index].database, &name);
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
		read_database_name(bmw_shared->slots[index].database, &name);
		ereport(LOG, errmsg("bm_webhook has got a background worker for database \"%s\"",
							NameStr(name)));
	}
	starts[index].refused = 0;
	starts[index].is_refusal_logged = false;
}

static void
read_database_name(Oid database, NameData *name)
{
	char *found;

	StartTransactionCommand();
	found = get_database_name(database);
	namestrcpy(name, found != NULL ? found : "?");
	CommitTransactionCommand();
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
	if (slot->state != state)
		slot->since = GetCurrentTimestamp();
	slot->state = state;
}

/* Until the next start that is put off, at most LOOK_INTERVAL_MS. */
static long
delay_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long delay = LOOK_INTERVAL_MS;

	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (OidIsValid(bmw_shared->slots[i].database) && starts[i].handle == NULL &&
			bmw_shared->slots[i].pid == 0 && bmw_shared->slots[i].holder == 0)
			delay = Min(delay, Max(TimestampDifferenceMilliseconds(now, starts[i].not_before), 1));
	return delay;
}

static void
leave(int code, Datum arg)
{
	pg_atomic_write_u32(&bmw_shared->launcher, 0);
}
