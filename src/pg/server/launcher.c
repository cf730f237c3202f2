/*
 * pg/server/launcher.c - one dispatcher for each shard of each database that has the extension.
 *
 * The launcher cannot see which databases have the extension: it starts a
 * dispatcher in each and lets it find out. A database without it is left alone
 * until somebody asks (CREATE EXTENSION does, and a commit that wrote an event
 * where no dispatcher is). Started when recovery has ended, so a standby sends
 * nothing until it is promoted.
 */
#include "postgres.h"

#include "pg/server/launcher.h"

#include "miscadmin.h"
#include "pg/server/compat.h"
#include "pg/server/databases.h"
#include "pg/server/shared_memory.h"
#include "pg/server/slots.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define LOOK_INTERVAL_MS 10000 /* for databases that nothing announced */

static List *looked_at = NIL; /* databases that have been tried, by Oid */

static void look_at_databases(void);
static void forget_dropped(List *databases);
static void take_requests(void);
static void look_at(Oid database);
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
		if (bmw_slots_take_released() || GetCurrentTimestamp() >= next_look)
		{
			look_at_databases();
			next_look = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOOK_INTERVAL_MS);
		}
		bmw_slots_run();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 bmw_slots_delay_ms(LOOK_INTERVAL_MS), PG_WAIT_EXTENSION);
	}
	/* with 0 it would not be started again */
	proc_exit(1);
}

/* New databases are tried; what is gone is forgotten. */
static void
look_at_databases(void)
{
	List *databases = bmw_databases_list();
	ListCell *cell;

	forget_dropped(databases);
	foreach (cell, databases)
		if (!list_member_oid(looked_at, lfirst_oid(cell)))
			look_at(lfirst_oid(cell));
	list_free(databases);
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
		look_at(requests[i]);
}

static void
leave(int code, Datum arg)
{
	pg_atomic_write_u32(&bmw_shared->launcher, 0);
}

static void
look_at(Oid database)
{
	MemoryContext caller;

	if (!bmw_slots_open(database))
		return; /* it is looked at again */
	caller = MemoryContextSwitchTo(TopMemoryContext);
	looked_at = list_append_unique_oid(looked_at, database);
	MemoryContextSwitchTo(caller);
}

static void
forget_dropped(List *databases)
{
	ListCell *cell;

	bmw_slots_close_others(databases);
	foreach (cell, looked_at)
		if (!list_member_oid(databases, lfirst_oid(cell)))
			looked_at = foreach_delete_current(looked_at, cell);
}
