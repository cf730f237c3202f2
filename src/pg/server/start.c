/*
 * pg/server/start.c - the start of a dispatcher, for the launcher; what all workers of a database have in common.
 */
#include "postgres.h"

#include "pg/server/start.h"

#include <signal.h>

#include "miscadmin.h"
#include "pg/server/databases.h"
#include "pg/server/give_way.h"
#include "utils/memutils.h"

#define NO_WORKER_LOG_MS 10000 /* shorter is usual while many databases are tried */

static void refused(BmwStart *start, BmwSlot *slot);
static void accepted(BmwStart *start, BmwSlot *slot);

BackgroundWorker
bmw_start_worker(const char *name, const char *function, int slot)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_library_name = "bm_webhook",
		.bgw_main_arg = Int32GetDatum(slot),
	};

	strlcpy(worker.bgw_name, name, sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, name, sizeof(worker.bgw_type));
	strlcpy(worker.bgw_function_name, function, sizeof(worker.bgw_function_name));
	return worker;
}

bool
bmw_start_dispatcher(BmwStart *start, int slot)
{
	BackgroundWorker worker = bmw_start_worker("bm_webhook dispatcher", "bmw_worker_main", slot);
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	bool is_accepted;

	worker.bgw_notify_pid = MyProcPid;
	is_accepted = RegisterDynamicBackgroundWorker(&worker, &start->handle);
	MemoryContextSwitchTo(caller);
	if (is_accepted)
		accepted(start, &bmw_shared->slots[slot]);
	else
		refused(start, &bmw_shared->slots[slot]);
	return is_accepted;
}

/* All of max_worker_processes are in use. */
static void
refused(BmwStart *start, BmwSlot *slot)
{
	TimestampTz now = GetCurrentTimestamp();
	bool is_first;
	NameData name;

	start->handle = NULL;
	start->not_before = TimestampTzPlusMilliseconds(now, BMW_NO_WORKER_DELAY_MS);
	if (bmw_give_way_waits(slot))
		return;
	if (start->refused == 0)
		start->refused = now;
	if (slot->lacks_worker || !TimestampDifferenceExceeds(start->refused, now, NO_WORKER_LOG_MS))
		return;
	is_first = !bmw_start_is_any_lacking(slot->database);
	slot->lacks_worker = true;
	if (!is_first)
		return;
	bmw_databases_read_name(slot->database, &name);
	ereport(LOG, errmsg("bm_webhook has no background worker for database \"%s\"", NameStr(name)),
			errdetail("Nothing is sent there; events are captured and wait."),
			errhint("Raise \"max_worker_processes\"."));
}

static void
accepted(BmwStart *start, BmwSlot *slot)
{
	const bool lacked = slot->lacks_worker;
	NameData name;

	start->refused = 0;
	slot->lacks_worker = false;
	if (!lacked || bmw_start_is_any_lacking(slot->database))
		return;
	bmw_databases_read_name(slot->database, &name);
	ereport(LOG,
			errmsg("bm_webhook has got a background worker for database \"%s\"", NameStr(name)));
}

void
bmw_start_ask_to_end(const BmwStart *start, const BmwSlot *slot)
{
	if (start->handle != NULL)
		TerminateBackgroundWorker(start->handle);
	else if (slot->pid != 0)
		kill(slot->pid, SIGTERM);
}

bool
bmw_start_is_any_lacking(Oid database)
{
	for (int i = 0; i < bmw_shared->slots_length; i++)
	{
		const BmwSlot *slot = &bmw_shared->slots[i];

		if (OidIsValid(slot->database) && slot->lacks_worker &&
			(!OidIsValid(database) || slot->database == database))
			return true;
	}
	return false;
}
